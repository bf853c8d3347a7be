"""DDL: what statements do to the catalog, what SHOW and DESCRIBE say of it, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from deras.core.errors import DerasError
from deras.sql.catalog import Catalog
from deras.sql.planner import Planner
from deras.sql.settings import Settings
from deras.sql.syntax.parser import parse_script

BASE = """
CREATE TABLE t (
  id INT, name STRING COMMENT 'who', ts TIMESTAMP(3), up AS UPPER(name),
  f STRING METADATA FROM 'file.name' VIRTUAL,
  WATERMARK FOR ts AS ts - INTERVAL '1' SECOND, PRIMARY KEY (id) NOT ENFORCED
) PARTITIONED BY (name) WITH ('connector' = 'filesystem', 'path' = 'x', 'format' = 'json', 'json.ignore-parse-errors' = 'true');
"""


class Sql:
    """A planner that runs scripts; gives the rows of the last statement."""

    def __init__(self, text: str = "") -> None:
        self.catalog = Catalog()
        self.settings = Settings({"table.local-time-zone": "UTC"})
        self.planner = Planner(self.catalog, self.settings)
        if text:
            self(text)

    def __call__(self, text: str) -> list[Any]:
        rows: list[Any] = []
        for statement in parse_script(text):
            planned = self.planner.plan(statement, text)
            planned.apply()
            rows = [r[0] if len(r) == 1 else r for r in planned.rows]
        return rows

    def create(self, name: str = "t") -> str:
        return str(self(f"SHOW CREATE TABLE {name}")[0])

    def refused(self, text: str) -> str:
        with pytest.raises(DerasError) as e:
            self(text)
        return e.value.message


# ---------------------------------------------------------------- LIKE


def columns(sql: Sql, name: str) -> list[Any]:
    return [(r[0], r[3], r[4], r[5]) for r in sql(f"DESCRIBE {name}")]


def test_like_takes_everything_unless_told_otherwise() -> None:
    sql = Sql(BASE)
    sql("CREATE TABLE a (x INT) WITH ('path' = 'y') LIKE t")
    assert [c[0] for c in columns(sql, "a")] == ["id", "name", "ts", "up", "f", "x"]
    assert columns(sql, "a")[0][1] == "PRI(id)"
    assert columns(sql, "a")[2][3] is not None
    made = sql.catalog.tables()[-1]
    assert made.options["path"] == "y"
    assert made.options["format"] == "json"
    assert made.partition_keys == ("name",)


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        ("EXCLUDING GENERATED", ["up"]),
        ("EXCLUDING METADATA", ["f"]),
        ("EXCLUDING ALL INCLUDING OPTIONS", ["up", "f", "key", "watermark", "partitions"]),
        ("EXCLUDING CONSTRAINTS", ["key"]),
        ("EXCLUDING WATERMARKS", ["watermark"]),
        ("EXCLUDING PARTITIONS", ["partitions"]),
        ("INCLUDING ALL EXCLUDING GENERATED EXCLUDING METADATA", ["up", "f"]),
        ("INCLUDING ALL OVERWRITING OPTIONS", []),
    ],
)
def test_like_options(options: str, gone: list[str]) -> None:
    sql = Sql(BASE)
    sql(f"CREATE TABLE a LIKE t ({options})")
    made = sql.catalog.tables()[-1]
    found = {c.name for c in made.columns}
    found |= {"key"} if made.schema.key else set()
    found |= {"watermark"} if made.watermark else set()
    found |= {"partitions"} if made.partition_keys else set()
    assert found == {"id", "name", "ts", "up", "f", "key", "watermark", "partitions"} - set(gone)


def test_like_refuses_what_collides() -> None:
    sql = Sql(BASE)
    assert sql.refused("CREATE TABLE a (id STRING) LIKE t") == "column 'id' is declared twice"
    assert sql.refused("CREATE TABLE a (up AS 1) LIKE t (INCLUDING GENERATED)") == "column 'up' is declared twice"
    sql("CREATE TABLE b (up AS LOWER(name), f STRING METADATA FROM 'file.path' VIRTUAL) "
        "LIKE t (OVERWRITING GENERATED OVERWRITING METADATA)")  # fmt: skip
    assert {c[0]: c[2] for c in columns(sql, "b")}["up"] == "AS LOWER(name)"
    sql("CREATE TABLE c (WATERMARK FOR ts AS ts) LIKE t (OVERWRITING WATERMARKS)")
    assert columns(sql, "c")[2][3] == "ts"
    assert "WATERMARK" in sql.refused("CREATE TABLE d (WATERMARK FOR ts AS ts) LIKE t")
    assert "PRIMARY KEY" in sql.refused("CREATE TABLE d (PRIMARY KEY (id) NOT ENFORCED) LIKE t")
    assert "option 'path'" in sql.refused("CREATE TABLE d WITH ('path' = 'z') LIKE t (INCLUDING OPTIONS)")
    assert "PARTITION" in sql.refused("CREATE TABLE d (n INT) PARTITIONED BY (n) LIKE t")


# ---------------------------------------------------------------- ALTER TABLE


def test_alter_columns() -> None:
    sql = Sql(BASE)
    sql("ALTER TABLE t ADD (a BIGINT NOT NULL COMMENT 'new' FIRST, b AS a + 1 AFTER a)")
    sql("ALTER TABLE t ADD c STRING")
    assert [c[0] for c in columns(sql, "t")] == ["a", "b", "id", "name", "ts", "up", "f", "c"]
    sql("ALTER TABLE t MODIFY (c INT AFTER id, up AS LOWER(name))")
    assert [c[0] for c in columns(sql, "t")] == ["a", "b", "id", "c", "name", "ts", "up", "f"]
    sql("ALTER TABLE t RENAME c TO d")
    sql("ALTER TABLE t DROP (a, b)")
    assert [c[0] for c in columns(sql, "t")] == ["id", "d", "name", "ts", "up", "f"]
    described = sql("DESCRIBE t")
    assert described[4][4] == "AS LOWER(name)"
    assert described[2][6] == "who"
    assert described[0][3] == "PRI(id)"
    assert sql(sql.create().replace("`t`", "`again`", 1)) == []
    assert sql("DESCRIBE again") == described


def test_alter_keys_watermarks_and_options() -> None:
    sql = Sql(BASE)
    sql("ALTER TABLE t DROP WATERMARK; ALTER TABLE t DROP PRIMARY KEY")
    assert "WATERMARK" not in sql.create()
    assert "PRIMARY KEY" not in sql.create()
    sql("ALTER TABLE t ADD (WATERMARK FOR ts AS ts, PRIMARY KEY (ts) NOT ENFORCED)")
    sql("ALTER TABLE t MODIFY WATERMARK FOR ts AS ts - INTERVAL '2' SECOND")
    assert "INTERVAL '2' SECOND" in sql.create()
    assert "PRIMARY KEY (`ts`)" in sql.create()
    sql("ALTER TABLE t SET ('path' = 'other'); ALTER TABLE t RESET ('json.ignore-parse-errors')")
    assert sql.catalog.tables()[0].options == {"connector": "filesystem", "path": "other", "format": "json"}
    sql("ALTER TABLE t RENAME TO u")
    assert sql("SHOW TABLES") == ["u"]
    assert sql("ALTER TABLE IF EXISTS t RENAME TO v") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ALTER TABLE t ADD id INT", "column 'id' exists already"),
        ("ALTER TABLE t ADD x INT AFTER y", "table 't' has no column 'y'"),
        ("ALTER TABLE t MODIFY x INT", "table 't' has no column 'x'"),
        ("ALTER TABLE t DROP x", "table 't' has no column 'x'"),
        ("ALTER TABLE t DROP name", "column 'name' cannot be dropped: computed column 'up' needs it"),
        ("ALTER TABLE t DROP ts", "column 'ts' cannot be dropped: the WATERMARK needs it"),
        ("ALTER TABLE t DROP id", "column 'id' cannot be dropped: the PRIMARY KEY needs it"),
        ("ALTER TABLE t RENAME name TO n", "column 'name' cannot be renamed: computed column 'up' needs it"),
        ("ALTER TABLE t RENAME id TO name", "column 'name' exists already"),
        ("ALTER TABLE t ADD WATERMARK FOR ts AS ts", "the table has a WATERMARK already"),
        ("ALTER TABLE t ADD PRIMARY KEY (name) NOT ENFORCED", "the table has a PRIMARY KEY already"),
        ("ALTER TABLE t MODIFY ts STRING", "a rowtime column must be TIMESTAMP(p) or TIMESTAMP_LTZ(p) with p <= 3, 'ts' is STRING"),
        ("ALTER TABLE t RESET ('connector')", "the connector of a table cannot be reset"),
        ("ALTER TABLE t SET ('format' = 'jsn')", "there is no format 'jsn'"),
        ("ALTER TABLE nothing DROP x", "there is no table or view 'nothing'"),
        ("ALTER VIEW t AS SELECT 1", "'t' is a table"),
        ("ALTER TABLE t RENAME TO t", "'t' exists already"),
    ],
)  # fmt: skip
def test_alter_refuses(text: str, message: str) -> None:
    sql = Sql(BASE)
    before = sql.create()
    assert sql.refused(text) == message
    assert sql.create() == before


def test_alter_view_and_rename_what_is_read() -> None:
    sql = Sql(BASE + "CREATE VIEW v AS SELECT id FROM t")
    assert sql.refused("ALTER TABLE t RENAME TO u") == "'t' is read by v"
    sql("ALTER VIEW v AS SELECT name, id FROM t; ALTER VIEW v RENAME TO w")
    assert [r[0] for r in sql("DESCRIBE w")] == ["name", "id"]
    assert sql.refused("ALTER VIEW w AS SELECT nothing FROM t") == "there is no column 'nothing'"


# ---------------------------------------------------------------- temporary objects, catalogs, databases


def test_a_temporary_table_hides_a_permanent_one() -> None:
    sql = Sql("CREATE TABLE t (a INT) WITH ('connector' = 'datagen'); CREATE VIEW v AS SELECT * FROM t")
    sql("CREATE TEMPORARY TABLE t (b INT) WITH ('connector' = 'datagen')")
    assert sql("SHOW TABLES") == ["t", "v"]
    assert [r[0] for r in sql("DESCRIBE t")] == ["b"]
    assert sql.refused("DROP TABLE t") == "a temporary table 't' exists"
    sql("DROP TEMPORARY TABLE t")
    assert [r[0] for r in sql("DESCRIBE t")] == ["a"]
    assert sql.refused("DROP TEMPORARY TABLE t") == "table 't' is not temporary"
    sql("DROP TEMPORARY TABLE IF EXISTS t")
    assert sql.refused("DROP TABLE t") == "'t' is read by v"


def test_catalogs_and_databases() -> None:
    sql = Sql("CREATE CATALOG c COMMENT 'mine' WITH ('type' = 'generic_in_memory', 'default-database' = 'd')")
    assert sql("SHOW CATALOGS") == ["c", "default_catalog"]
    sql("USE CATALOG c")
    assert (sql("SHOW CURRENT CATALOG"), sql("SHOW CURRENT DATABASE")) == (["c"], ["d"])
    sql("CREATE DATABASE e COMMENT 'more' WITH ('k' = 'v'); CREATE TABLE e.t (a INT) WITH ('connector' = 'datagen')")
    assert (sql("SHOW DATABASES"), sql("SHOW TABLES"), sql("SHOW TABLES FROM e")) == (["d", "e"], [], ["t"])
    assert sql("SHOW TABLES IN c.e LIKE 'x%'") == []
    assert sql("DESCRIBE DATABASE EXTENDED e") == [
        ("catalog", "c"),
        ("name", "e"),
        ("comment", "more"),
        ("option:k", "v"),
    ]
    sql("ALTER DATABASE e SET ('k' = 'w'); ALTER CATALOG c COMMENT 'yours'")
    assert sql("DESCRIBE CATALOG c") == [("name", "c"), ("type", "generic_in_memory"), ("comment", "yours")]
    assert "COMMENT 'yours'" in sql("SHOW CREATE CATALOG c")[0]
    assert sql.refused("DROP DATABASE d") == "database 'd' is the current one"
    assert sql.refused("DROP DATABASE e") == "database 'e' is not empty: t"
    assert sql.refused("CREATE DATABASE e") == "database 'e' exists already"
    sql("CREATE DATABASE IF NOT EXISTS e; DROP DATABASE e CASCADE; DROP DATABASE IF EXISTS e")
    assert sql.refused("SELECT * FROM e.t") == "there is no database 'e'"
    assert sql.refused("DROP CATALOG c") == "catalog 'c' is the current one"
    sql("USE CATALOG default_catalog; DROP CATALOG c")
    assert sql.refused("USE CATALOG c") == "there is no catalog 'c'"
    assert sql.refused("CREATE CATALOG x WITH ('type' = 'hive')") == "there is no catalog type 'hive'"
    assert sql.refused("CREATE CATALOG x") == "a catalog needs option 'type'"
    assert sql.refused("DROP CATALOG x") == "there is no catalog 'x'"


# ---------------------------------------------------------------- CREATE TABLE AS


def test_create_table_as() -> None:
    sql = Sql(BASE)
    sql("CREATE TABLE a WITH ('connector' = 'blackhole') AS SELECT id, name AS n, ts FROM t")
    assert [(r[0], r[1], r[2]) for r in sql("DESCRIBE a")] == [
        ("id", "INT", False), ("n", "STRING", True), ("ts", "TIMESTAMP(3)", True)
    ]  # fmt: skip
    sql("CREATE TABLE b (x INT, id BIGINT, twice AS id * 2, PRIMARY KEY (id) NOT ENFORCED) "
        "WITH ('connector' = 'blackhole') AS SELECT id, name FROM t")  # fmt: skip
    assert [(r[0], r[1]) for r in sql("DESCRIBE b")] == [
        ("x", "INT"), ("id", "BIGINT"), ("twice", "BIGINT"), ("name", "STRING")
    ]  # fmt: skip
    sql("CREATE TABLE c (name, id) WITH ('connector' = 'blackhole') AS SELECT id, name FROM t")
    assert [r[0] for r in sql("DESCRIBE c")] == ["name", "id"]
    assert sql.refused("CREATE TABLE c WITH ('connector' = 'blackhole') AS SELECT 1 AS x") == "'c' exists already"
    sql("CREATE OR REPLACE TABLE c WITH ('connector' = 'blackhole') AS SELECT 1 AS x")
    assert [r[0] for r in sql("DESCRIBE c")] == ["x"]
    for text, message in [
        ("CREATE TABLE d (name) WITH ('connector' = 'blackhole') AS SELECT id, name FROM t", "1 columns are named, the query gives 2"),
        ("CREATE TABLE d (z) WITH ('connector' = 'blackhole') AS SELECT id FROM t", "there is no column 'z'"),
        ("CREATE TABLE d (id AS 1) WITH ('connector' = 'blackhole') AS SELECT id FROM t", "column 'id' is computed, and the query gives it, too"),
        ("CREATE TABLE d (id DATE) WITH ('connector' = 'blackhole') AS SELECT id FROM t", "column 'id' of table 'd' is DATE, the query gives INT"),
        ("CREATE TABLE d WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'json') AS SELECT id, COUNT(*) AS n FROM t GROUP BY id", "table 'd' doesn't support consuming update changes"),
    ]:  # fmt: skip
        assert sql.refused(text) == message
    assert "d" not in sql("SHOW TABLES")


# ---------------------------------------------------------------- the rest


def test_show_and_describe() -> None:
    sql = Sql(BASE)
    assert sql("SHOW JARS") == sql("SHOW MODELS") == sql("SHOW PROCEDURES") == []
    assert sql("SHOW FULL MODULES") == [("core", True)]
    assert [r[0] for r in sql("SHOW COLUMNS FROM t LIKE '%s'")] == ["ts"]
    assert sql("DESCRIBE FUNCTION `upper`") == [("is system function", "true")]
    assert sql.refused("DESCRIBE FUNCTION `uper`") == "there is no function 'uper'"
    assert sql("SHOW VIEWS") == []
    rows = {r[0]: r for r in sql("DESCRIBE t")}
    assert rows["ts"] == ("ts", "TIMESTAMP(3) *ROWTIME*", True, None, None, "ts - INTERVAL '1' SECOND", None)
    assert rows["f"][4] == "METADATA FROM 'file.name' VIRTUAL"


def test_settings_that_mean_nothing_here_are_taken() -> None:
    sql = Sql(
        "SET 'sql-client.execution.result-mode' = 'tableau'; SET 'sql-client.execution.max-table-result.rows' = '10'"
    )
    assert ("sql-client.execution.result-mode", "tableau") in sql("SET")
    sql("RESET 'sql-client.execution.result-mode'; RESET")
    assert sql("SET") == []


def test_hints_change_options_of_one_use() -> None:
    sql = Sql(BASE)
    text = "SELECT id FROM t /*+ OPTIONS('path' = 'elsewhere') */"
    (flow,) = sql.planner.plan(parse_script(text)[0], text).dataflows
    assert flow.sources[0].options["path"] == "elsewhere"
    assert sql.catalog.tables()[0].options["path"] == "x"
    assert "pth" in sql.refused("SELECT id FROM t /*+ OPTIONS('pth' = 'elsewhere') */")


def test_explain_shows_which_changes_a_source_gives() -> None:
    sql = Sql("CREATE TABLE u (k STRING, v INT, PRIMARY KEY (k) NOT ENFORCED) "
              "WITH ('connector' = 'values', 'changelog-mode' = 'I,UA,D')")  # fmt: skip
    text = sql("EXPLAIN CHANGELOG_MODE SELECT k, v FROM u WHERE v > 1")[0]
    assert "Scan(table: u, columns: [k, v])  -- changes: I,UA,D" in text
    assert "ChangelogNormalize(key: [k])  -- changes: I,UB,UA,D; state: the last row of each key, unbounded" in text


def test_show_create_names_the_right_statement() -> None:
    sql = Sql(BASE + "CREATE VIEW v AS SELECT id FROM t")
    assert sql.refused("SHOW CREATE TABLE v") == "'v' is a view"
    assert sql("SHOW CREATE VIEW v") == ["CREATE VIEW v AS SELECT id FROM t"]
