"""Filters that sources are told: what they leave out nobody misses."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deras.core.errors import DerasError
from deras.core.time import SystemClock
from deras.runtime.sources import SourceNode
from deras.session.session import Session
from deras.sql.catalog import Catalog
from deras.sql.planner import Planner
from deras.sql.settings import Settings
from deras.sql.syntax.parser import parse_script

OFF = "SET 'table.optimizer.source.predicate-pushdown-enabled' = 'false'"
START = dt.datetime(2024, 1, 1)

COLUMNS: dict[str, tuple[str, pa.DataType, st.SearchStrategy[Any], tuple[str, ...]]] = {
    "i": ("INT", pa.int32(), st.integers(-3, 9), ("0", "5", "-2", "2.5", "CAST(4 AS BIGINT)")),
    "n": ("BIGINT", pa.int16(), st.integers(-300, 300), ("0", "5", "2.5", "5E0", "9223372036854775807")),
    "f": ("FLOAT", pa.float32(), st.floats(width=32), ("0.1", "CAST(0.1 AS FLOAT)", "0", "-1.5E0")),
    "d": ("DOUBLE", pa.float64(), st.floats() | st.floats(-2, 2), ("0.1", "0E0", "1", "-1.5E0")),
    "s": (
        "STRING",
        pa.string(),
        st.text("ab\u00e9\U0001f600", max_size=3) | st.text("ab", min_size=3).map(lambda x: x + "x" * 90),
        ("'ab'", "''", "'\u00e9'", "'b'", "'\U0001f600'", f"'ab{'x' * 90}'"),
    ),
    "p": ("DECIMAL(10, 2)", pa.decimal128(9, 2), st.decimals(-9, 9, places=2), ("0", "2.50", "1.005", "-3")),
    "w": ("DECIMAL(25, 3)", pa.decimal128(25, 3), st.decimals(-9, 9, places=3), ("0", "2.500", "1.0005", "-3")),
    "b": ("BOOLEAN", pa.bool_(), st.booleans(), ("TRUE", "FALSE")),
    "x": ("BYTES", pa.binary(), st.binary(max_size=2), ("X'00'", "X'80FF'", "X''")),
    "dy": (
        "DATE",
        pa.date32(),
        st.integers(0, 9).map(lambda k: START.date() + dt.timedelta(days=k)),
        ("DATE '2024-01-04'", "'2024-01-06'"),
    ),
    "at": (
        "TIMESTAMP(3)",
        pa.timestamp("ms"),
        st.integers(0, 9).map(lambda k: START + dt.timedelta(milliseconds=k)),
        ("TIMESTAMP '2024-01-01 00:00:00.004'", "'2024-01-01 00:00:00.006'", "TIMESTAMP '2024-01-01 00:00:00.0040001'"),
    ),
    "fine": (
        "TIMESTAMP(6)",
        pa.timestamp("ns"),
        st.integers(-9999, 9999),
        ("TIMESTAMP '1970-01-01 00:00:00.000004'", "TIMESTAMP '1969-12-31 23:59:59.999996'"),
    ),
    "z": (
        "TIMESTAMP_LTZ(9)",
        pa.timestamp("us", tz="UTC"),
        st.integers(-9, 9).map(lambda k: START.replace(tzinfo=dt.UTC) + dt.timedelta(microseconds=k)),
        ("TO_TIMESTAMP_LTZ(1704067200000, 3)",),
    ),
}
PLACE = {name: k for k, name in enumerate(COLUMNS)}
OPS = ("=", "<>", "<", "<=", ">", ">=")


def table(options: str = "", columns: str = "", more: str = "") -> str:
    columns = columns or ", ".join(f"`{name}` {c[0]}" for name, c in COLUMNS.items())
    return f"CREATE TABLE t ({columns}) {more} WITH ('connector' = 'filesystem', {options or PARQUET})"


PARQUET = "'path' = 't.parquet', 'format' = 'parquet'"


@st.composite
def conditions(draw: st.DrawFn, depth: int = 2) -> str:
    if depth and draw(st.booleans()):
        parts = draw(st.lists(conditions(depth=depth - 1), min_size=2, max_size=3))
        return "(" + draw(st.sampled_from([" AND ", " AND ", " OR "])).join(parts) + ")"
    name = draw(st.sampled_from(list(COLUMNS)))
    value = st.sampled_from(COLUMNS[name][3])
    kind = draw(st.integers(0, 6))
    if kind == 0:
        return f"`{name}` IS {draw(st.sampled_from(['', 'NOT ']))}NULL"
    if kind == 1:
        return f"`{name}` {draw(st.sampled_from(['', 'NOT ']))}IN ({', '.join(draw(st.lists(value, min_size=1)))})"
    if kind == 2:
        return f"`{name}` BETWEEN {draw(value)} AND {draw(value)}"
    if kind == 3:
        return draw(st.sampled_from(["b", "NOT b"]))
    op, v = draw(st.sampled_from(OPS)), draw(value)
    return f"`{name}` {op} {v}" if draw(st.booleans()) else f"{v} {op} `{name}`"


@st.composite
def tables(draw: st.DrawFn) -> tuple[pa.Table, int]:
    n = draw(st.integers(1, 12))
    made = {}
    for name, (_, type_, values, _) in COLUMNS.items():
        some = draw(st.lists(values | st.none(), min_size=n, max_size=n))
        if draw(st.booleans()):
            some = sorted(some, key=lambda v: (v is None, 0 if v is None or v != v else v))
        made[name] = pa.array(some, type_)
    for name in draw(st.sets(st.sampled_from(list(COLUMNS)), max_size=2)):
        del made[name]
    return pa.table(made), draw(st.integers(1, 4))


def source(folder: Path, script: str, query: str, *, push: bool = True) -> SourceNode:
    """The table of a query, as the runtime reads it."""
    switch = {"table.optimizer.source.predicate-pushdown-enabled": str(push).lower()}
    planner = Planner(Catalog(), Settings({"table.local-time-zone": "UTC", **switch}), folder)
    for s in parse_script(script):
        planner.plan(s, script).apply()
    (s,) = parse_script(query)
    (spec,) = planner.plan(s, query).dataflows[0].sources
    return SourceNode("t", spec, folder, SystemClock())


def read(node: SourceNode, offsets: dict[str, Any] | None = None) -> list[tuple[str, Any, list[Any]]]:
    """What each poll gives: part, offset, rows."""
    found = []
    for name in node.make_parts(None) or list(node.parts):
        part = node.parts[name]
        if part.polled_out:
            continue
        part.offset = (offsets or {}).get(name)
        reader = part.open()
        while (records := reader.poll(1 << 20, 0)) is not None:
            if records.delta is not None:
                found.append((name, records.resume, records.delta.rows()))
        part.close()
    node.close()
    return found


def passing(rows: list[Any], script: str, query: str, folder: Path) -> list[Any]:
    """The rows that pass, by the plan."""
    from deras.core.delta import Delta
    from deras.testing.stage import Stage

    planner = Planner(Catalog(), Settings({"table.local-time-zone": "UTC"}), folder)
    for s in parse_script(script):
        planner.plan(s, script).apply()
    (s,) = parse_script(query)
    flow = planner.plan(s, query).dataflows[0]
    stage = Stage([flow], folder)
    (name,) = stage.specs
    stage.step({name: Delta.of(flow.sources[0].schema, rows)}, end=True)
    return [repr(r) for d in stage.outputs[0].deltas for r in d.rows()]


@settings(max_examples=50, deadline=None)
@given(tables(), conditions(), conditions(), st.booleans())
@example((pa.table({"d": pa.array([float("nan"), 1.0, float("nan")])}), 3), "`d` <> 1", "b", False)
@example(
    (pa.table({"fine": pa.array([3500, 4500], pa.timestamp("ns"))}), 1), COLUMNS["fine"][3][0] + " = `fine`", "b", False
)
def test_the_same_rows_pass(file: tuple[pa.Table, int], condition: str, other: str, polars: bool) -> None:
    query, edited = f"SELECT * FROM t WHERE {condition}", f"SELECT * FROM t WHERE {other}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if polars:
            pl.from_arrow(file[0]).write_parquet(folder / "t.parquet", row_group_size=file[1])  # type: ignore[union-attr]
        else:
            pq.write_table(file[0], folder / "t.parquet", row_group_size=file[1])
        node = source(folder, table(), query)
        got = read(node)
        rows = [r for _, _, some in got for r in some]
        everything = [r for _, _, some in read(source(folder, table(), query, push=False)) for r in some]
        assert len(everything) == file[0].num_rows
        assert len(rows) + node.source.skipped.rows == len(everything)  # type: ignore[union-attr]
        assert passing(rows, table(), query, folder) == passing(everything, table(), query, folder)
        for k, (_, offset, _) in enumerate(got):  # a restart goes on behind what it left out
            again = read(source(folder, table(), query), {"": offset})
            assert repr([r for _, _, some in again for r in some]) == repr([r for g in got[k + 1 :] for r in g[2]])
            # An offset counts rows of the file, so that it says the same when the source is told something else.
            rest = [r for _, _, some in read(source(folder, table(), edited), {"": offset}) for r in some]
            after = passing(everything[offset["row"] :], table(), edited, folder)
            assert passing(rest, table(), edited, folder) == after


# Ten rows, one a row group: which are read.
TEN = {
    "i": pa.array([*range(9), None], pa.int32()),
    "n": pa.array(range(0, 100, 10), pa.int16()),
    "f": pa.array([k / 2 for k in range(10)], pa.float32()),
    "d": pa.array([*(k / 2 for k in range(9)), float("nan")]),
    "s": pa.array([*"abcdefghi", None]),
    "p": pa.array([Decimal(k) / 4 for k in range(10)], pa.decimal128(9, 2)),
    "w": pa.array([Decimal(k) / 4 for k in range(10)], pa.decimal128(25, 3)),
    "b": pa.array([True] * 3 + [False] * 7),
    "x": pa.array([bytes([k]) for k in range(10)]),
    "dy": pa.array([START.date() + dt.timedelta(days=k) for k in range(10)]),
    "at": pa.array([START + dt.timedelta(milliseconds=k) for k in range(10)], pa.timestamp("ms")),
    "fine": pa.array(range(0, 10_000, 1000), pa.timestamp("ns")),
    "z": pa.array([START + dt.timedelta(microseconds=k) for k in range(10)], pa.timestamp("us", tz="UTC")),
}


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("i = 4", [4]),
        ("4 < i", [5, 6, 7, 8]),
        ("i >= 2.5 AND i < 5", [3, 4]),
        ("i IN (1, 7)", [1, 7]),
        ("i IS NULL OR i <= 0", [0, 9]),
        ("i IS NOT NULL AND n > 60", [7, 8]),
        ("i <> 4", [0, 1, 2, 3, 5, 6, 7, 8]),
        ("n = 9223372036854775807", []),
        ("n < 5E0", None),  # compared in DOUBLE, which does not hold every BIGINT
        ("f <= 0.5", [0, 1]),
        ("d > 3E0", [7, 8, 9]),  # of NaN alone there are no bounds
        ("s BETWEEN 'b' AND 'c'", [1, 2]),
        ("s = 'ghost'", []),
        ("p = 0.5", [2]),
        ("w < 0.3", [0, 1]),
        ("b", [0, 1, 2]),
        ("NOT b AND n <= 40", [3, 4]),
        ("b = TRUE", [0, 1, 2]),
        ("x = X'03'", [3]),
        ("dy <= DATE '2024-01-02'", [0, 1]),
        ("dy = '2024-01-03'", [2]),
        ("`at` > TIMESTAMP '2024-01-01 00:00:00.007'", [8, 9]),
        ("fine < TIMESTAMP '1970-01-01 00:00:00.000002'", [0, 1]),
        ("z < TO_TIMESTAMP_LTZ(1704067200000, 3)", []),
        ("i = 4 OR s = 'b'", [1, 4]),
        ("i = 4 OR UPPER(s) = 'B'", None),
        ("i > 6 AND UPPER(s) = 'H'", [7, 8]),
        ("i > 6 AND CAST(s AS INT) > 0", None),  # a text that is no number is put in quarantine wherever it stands
        ("i > 6 AND RAND() >= 0", None),
    ],
)
def test_row_groups_that_cannot_pass_are_not_read(tmp_path: Path, condition: str, rows: list[int] | None) -> None:
    pq.write_table(pa.table(TEN), tmp_path / "t.parquet", row_group_size=1)
    node = source(tmp_path, table(), f"SELECT * FROM t WHERE {condition}")
    expected = list(range(10)) if rows is None else rows
    assert [r[1] // 10 for _, _, some in read(node) for r in some] == expected
    skipped = node.source.skipped
    assert skipped is not None
    assert (skipped.row_groups, skipped.rows) == (10 - len(expected), 10 - len(expected))


def test_reading_begins_anywhere(tmp_path: Path) -> None:
    pq.write_table(pa.table(TEN), tmp_path / "t.parquet", row_group_size=4)
    for start in range(11):
        got = read(source(tmp_path, table(), "SELECT * FROM t WHERE n <> 1"), {"": {"row": start}})
        assert [r[1] // 10 for _, _, some in got for r in some] == list(range(start, 10))


@pytest.mark.parametrize(
    ("held", "columns", "message"),
    [
        (pa.array([1, 300, 5], pa.int64()), "i INT, c TINYINT", "cannot become TINYINT"),
        (pa.array(["1", "x", "5"]), "i INT, c INT", "cannot become INT"),
        (pa.array([1, None, 5], pa.int32()), "i INT, c INT NOT NULL", "NOT NULL"),
    ],
)
def test_what_cannot_be_read_is_found(tmp_path: Path, held: pa.Array, columns: str, message: str) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"i": pa.array([1, 2, 3], pa.int32()), "c": held}), path, row_group_size=1)
    with pytest.raises(DerasError, match=message):
        read(source(tmp_path, table(columns=columns), "SELECT * FROM t WHERE i = 3"))
    assert [r[0] for _, _, some in read(source(tmp_path, table(columns=columns), "SELECT i FROM t WHERE i = 3")) for r in some] == [3]  # fmt: skip
    with pytest.raises(DerasError, match="no such column"):
        read(source(tmp_path, table(columns="i INT, q INT NOT NULL"), "SELECT * FROM t WHERE i = 9"))


def test_what_comes_in_another_form_is_read(tmp_path: Path) -> None:
    """The order of the file's values is not that of the table's."""
    made = pa.table({"i": pa.array(["10", "9", "x"][:2]), "u": pa.array([1, 1 << 31], pa.uint32())})
    pq.write_table(made, tmp_path / "t.parquet", row_group_size=1)
    node = source(tmp_path, table(columns="i INT, u BIGINT"), "SELECT * FROM t WHERE i > 9 AND u < 5")
    assert [r for _, _, some in read(node) for r in some] == [(10, 1), (9, 1 << 31)]


DAYS = "'path' = 'days', 'format' = 'json'"


@pytest.mark.parametrize(
    ("condition", "ids"),
    [
        ("dt = '2024-01-02'", [3, 4]),
        ("dt > '2024-01-01' AND hr = 8", [3]),
        ("hr IN (9, 10) AND id > 0", [2, 4]),
        ("hr IS NULL", [5]),
        ("hr IS NOT NULL AND dt < '2024-01-02'", [1, 2]),
        ("hr <> 8", [2, 4]),
        ("dt = 'never'", []),
        ("id = 3", [1, 2, 3, 4, 5]),
        ("id = 3 OR hr = 9", [1, 2, 3, 4, 5]),
    ],
)
def test_folders_that_cannot_pass_are_not_read(tmp_path: Path, condition: str, ids: list[int]) -> None:
    places = ["dt=2024-01-01/hr=8", "dt=2024-01-01/hr=9", "dt=2024-01-02/hr=8", "dt=2024-01-02/hr=9"]
    for k, place in enumerate([*places, "dt=2024-01-03/hr=__DEFAULT_PARTITION__"], 1):
        folder = tmp_path / "days" / place
        folder.mkdir(parents=True)
        (folder / "a.json").write_text(json.dumps({"id": k}) + "\n")
    script = table(DAYS, "dt STRING, id BIGINT, hr INT", "PARTITIONED BY (dt, hr)")
    node = source(tmp_path, script, f"SELECT * FROM t WHERE {condition}")
    node.make_parts(None)
    names = [n for n in node.parts if n]
    assert [int(json.loads((tmp_path / "days" / n).read_text())["id"]) for n in names] == ids
    assert node.source.skipped is not None
    assert node.source.skipped.files == 5 - len(ids)
    node.close()
    with Session(base=tmp_path) as s:
        s.sql(script)
        want = sorted(s.sql(f"SELECT id FROM t WHERE {condition}").rows())
        s.sql(OFF)
        assert sorted(s.sql(f"SELECT id FROM t WHERE {condition}").rows()) == want


@pytest.mark.parametrize(
    ("type_", "names", "value", "ops"),
    [
        ("INT", ["8", "10", "x"], "9", [0, 2, 1, 1, 1, 1]),
        ("DATE", ["2024-01-09", "2024-01-10"], "DATE '2024-01-10'", [1, 1, 1, 2, 0, 1]),
        ("TIMESTAMP(3)", ["2024-01-09T08%3A00%3A00", "2024-01-10T00%3A00%3A00.001"], "TIMESTAMP '2024-01-10 00:00:00'", [0, 2, 1, 1, 1, 1]),
        ("DECIMAL(5, 2)", ["8.50", "10"], "10", [1, 1, 1, 2, 0, 1]),
        ("DOUBLE", ["8.5", "-0.0"], "0E0", [1, 1, 0, 1, 1, 2]),
        ("BOOLEAN", ["true", "false"], "TRUE", [1, 1, 1, 2, 0, 1]),
        ("STRING", ["a b", "%C3%A9", "a%2Fb"], "'a/b'", [1, 2, 1, 2, 1, 2]),
    ],
)  # fmt: skip
def test_types_of_folders(tmp_path: Path, type_: str, names: list[str], value: str, ops: list[int]) -> None:
    for name in names:
        folder = tmp_path / f"days/k={name}"
        folder.mkdir(parents=True)
        (folder / "a.json").write_text('{"id": 1}\n')
    script = table(DAYS, f"k {type_}, id BIGINT", "PARTITIONED BY (k)")
    for op, n in zip(OPS, ops, strict=True):
        node = source(tmp_path, script, f"SELECT * FROM t WHERE k {op} {value}")
        node.make_parts(None)
        assert len([p for p in node.parts if p]) == n, op
        node.close()
        with Session(base=tmp_path) as s:
            s.sql(f"{OFF}; {script}")
            assert s.sql(f"SELECT id FROM t WHERE k {op} {value}").rows() == [(1,)] * n


def test_columns_of_folders_and_files_together(tmp_path: Path) -> None:
    for k in (1, 2):
        (tmp_path / f"days/k={k}").mkdir(parents=True)
        made = pa.table({"i": pa.array(range(10 * k, 10 * k + 4), pa.int64())})
        pq.write_table(made, tmp_path / f"days/k={k}/a.parquet", row_group_size=1)
    script = table("'path' = 'days', 'format' = 'parquet'", "k INT, i BIGINT", "PARTITIONED BY (k)")

    def found(condition: str) -> list[Any]:
        return [r for _, _, some in read(source(tmp_path, script, f"SELECT * FROM t WHERE {condition}")) for r in some]

    assert found("k = 1 OR i = 22") == [(1, 10), (1, 11), (1, 12), (1, 13), (2, 22)]
    assert found("k = 2 AND i <> 22") == [(2, 20), (2, 21), (2, 23)]
    assert found("k = 3") == []


def told(query: str, script: str = "") -> list[Any]:
    planner = Planner(Catalog(), Settings({"table.local-time-zone": "UTC"}))
    script = script or table()
    for s in parse_script(script):
        planner.plan(s, script).apply()
    (s,) = parse_script(query)
    return [(len(spec.filters), spec.name) for spec in planner.plan(s, query).dataflows[0].sources]


def test_who_is_told() -> None:
    ((n, name),) = told("SELECT s FROM t WHERE i > 5 AND s LIKE 'a%'")
    assert n == 1
    assert told("SELECT s FROM t") == [(0, name)]
    assert told("SELECT MAX(s) FROM (SELECT * FROM t) WHERE i > 5") == [(1, name)]
    # A table with a watermark needs all of its rows.
    columns = "i INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts"
    assert told("SELECT i FROM t WHERE i > 5", table(columns=columns))[0][0] == 0
    # What others do with the files is no statistics.
    assert told("SELECT s FROM t WHERE i > 5", table("'path' = 't', 'format' = 'json'"))[0][0] == 0


def test_readers_of_one_table_are_told_what_holds_for_all() -> None:
    both = "SELECT i FROM t WHERE i > 5 UNION ALL SELECT n FROM t WHERE"
    ((n, _),) = told(f"{both} i < 2 AND b")
    assert n == 2  # i > 5 OR i < 2, i > 5 OR b
    assert told(f"{both} s LIKE 'a%'")[0][0] == 0
    assert len(told("SELECT i FROM t WHERE i > 5 UNION ALL SELECT n FROM t")) == 1


def test_readers_of_one_table_get_their_rows(tmp_path: Path) -> None:
    pq.write_table(pa.table(TEN), tmp_path / "t.parquet", row_group_size=1)
    query = "SELECT i FROM t WHERE i > 6 UNION ALL SELECT i FROM t WHERE i < 3 AND b"
    with Session(base=tmp_path) as s:
        s.sql(table())
        assert sorted(s.sql(query).rows()) == [(0,), (1,), (2,), (7,), (8,)]
    assert len(read(source(tmp_path, table(), query))) > 0


def test_a_statement_set_reads_a_table_once(tmp_path: Path) -> None:
    pq.write_table(pa.table(TEN), tmp_path / "t.parquet", row_group_size=1)
    sinks = [
        f"CREATE TABLE {x} (i INT) WITH ('connector' = 'filesystem', 'path' = '{x}', 'format' = 'json');" for x in "abc"
    ]

    def run(conditions: dict[str, str]) -> tuple[list[dict[str, Any]], dict[str, list[int]]]:
        inserts = [f"INSERT INTO {x} SELECT i FROM t {c};" for x, c in conditions.items()]
        with Session(base=tmp_path) as s:
            s.sql(f"{table()}; {''.join(sinks)} EXECUTE STATEMENT SET BEGIN {''.join(inserts)} END;")
            assert s.wait(30)
            facts = s.status()["sources"]
        found = {}
        for x in conditions:
            files = sorted((tmp_path / x).glob("part-*"))
            found[x] = sorted(json.loads(line)["i"] for f in files for line in f.read_text().splitlines())
            for f in files:
                f.unlink()
        return facts, found

    (facts,), found = run({"a": "WHERE i > 6", "b": "WHERE i < 2 AND b", "c": "WHERE i = 4"})
    assert found == {"a": [7, 8], "b": [0, 1], "c": [4]}
    assert facts["skipped"]["rows"] == 5
    (facts,), found = run({"a": "WHERE i > 6", "b": "WHERE i IS NOT NULL AND UPPER(s) = 'A'", "c": "WHERE i = 4"})
    assert found == {"a": [7, 8], "b": [0], "c": [4]}
    assert facts["skipped"]["rows"] == 1
    (facts,), found = run({"a": "WHERE i > 6", "b": "WHERE UPPER(s) = 'A'"})
    assert found == {"a": [7, 8], "b": [0]}
    assert facts["skipped"] is None


def test_an_insert_goes_on_without_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    sinks = "".join(
        f"CREATE TABLE {x} (i INT) WITH ('connector' = 'filesystem', 'path' = '{tmp_path / x}', 'format' = 'json');"
        for x in "abc"
    )
    path = f"'path' = '{tmp_path / 'in'}', 'format' = 'parquet', 'source.monitor-interval' = '50 ms'"

    def run(file: str, conditions: dict[str, str], want: dict[str, list[int]]) -> None:
        pq.write_table(pa.table(TEN), tmp_path / "x", row_group_size=1)
        (tmp_path / "x").rename(tmp_path / "in" / file)
        inserts = "".join(f"INSERT INTO {x} SELECT i FROM t WHERE {c};" for x, c in conditions.items())
        with Session(tmp_path / "p", restore=False) as s:
            s.run(
                "SET 'execution.checkpointing.interval' = '100 ms';"
                f"{table(path)}; {sinks} EXECUTE STATEMENT SET BEGIN {inserts} END;"
            )
            end = time.monotonic() + 20
            while (found := written()) != want and time.monotonic() < end:
                time.sleep(0.02)
            assert found == want

    def written() -> dict[str, list[int]]:
        return {
            x: sorted(
                json.loads(line)["i"]
                for f in (tmp_path / x).glob("part-*")
                for line in f.read_text(encoding="utf-8").splitlines()
            )
            for x in "abc"
        }

    run("1", {"a": "i > 6", "b": "i < 2"}, {"a": [7, 8], "b": [0, 1], "c": []})
    run("2", {"a": "i > 6"}, {"a": [7, 7, 8, 8], "b": [0, 1], "c": []})
    # What comes new reads all files from the start, for itself.
    run("3", {"a": "i > 6", "c": "i = 4"}, {"a": [7, 7, 7, 8, 8, 8], "b": [0, 1], "c": [4, 4, 4]})


def test_views_with_other_filters_read_for_themselves(tmp_path: Path) -> None:
    pq.write_table(pa.table(TEN), tmp_path / "t.parquet", row_group_size=1)
    with Session(base=tmp_path) as s:
        views = {"x": "i > 6", "y": "i < 2", "z": "i > 6"}
        made = "".join(f"CREATE MATERIALIZED VIEW {v} AS SELECT i FROM t WHERE {c};" for v, c in views.items())
        s.sql(f"{table()};{made}")
        assert s.wait(30)
        assert [sorted(s.sql(f"SELECT i FROM {v}").rows()) for v in views] == [[(7,), (8,)], [(0,), (1,)], [(7,), (8,)]]


def test_it_is_shown(tmp_path: Path) -> None:
    pq.write_table(pa.table(TEN), tmp_path / "t.parquet", row_group_size=2)
    with Session(base=tmp_path) as s:
        s.sql(table())
        plan = s.sql("EXPLAIN SELECT n FROM t WHERE i < 2 AND (dy = DATE '2024-01-01' OR p = 0.25)").rows()[0][0]
        assert "filter: [i < 2 AND (dy = DATE '2024-01-01' OR p = 0.25)]" in plan
        s.sql("CREATE MATERIALIZED VIEW v AS SELECT n FROM t WHERE i < 2")
        assert s.wait(30)
        (facts,) = s.status()["sources"]
        assert facts["skipped"] == {"files": 0, "row_groups": 4, "rows": 8}
        assert facts["rows"] == 2
        assert 'deras_source_skipped{table="t",what="rows"} 8.0' in s.job.metrics_text().decode()
