"""The door for Python users, in one process."""

from __future__ import annotations

import subprocess
import sys

import pytest

import deras
from deras.core.errors import BindError, DerasError, PlanError, SqlSyntaxError
from deras.session.session import Session

NUMBERS = """CREATE TABLE numbers (id BIGINT) WITH (
  'connector' = 'datagen', 'number-of-rows' = '20',
  'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '20');"""
ENDLESS = "CREATE TABLE endless (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '100');"


@pytest.fixture
def s():
    with deras.connect() as session:
        yield session


def test_import_loads_nothing_heavy():
    code = (
        "import sys, deras; print([m for m in ('numpy', 'polars', 'pyarrow', 'numba', 'duckdb') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_values(s):
    r = s.sql("SELECT 1 + 1 AS two, 'a' AS t")
    assert [(f.name, str(f.type)) for f in r.schema] == [("two", "INT NOT NULL"), ("t", "CHAR(1) NOT NULL")]
    assert r.rows() == [(2, "a")]


def test_changes_come_in_order_with_kinds(s):
    s.sql(NUMBERS + "SET 'deras.step.max-rows' = '1';")
    found = list(s.sql("SELECT id > 18 AS big, COUNT(*) AS n FROM numbers GROUP BY id > 18").changes())
    assert found[0] == ("+I", (False, 1))
    live = {}
    for kind, (big, n) in found:
        if kind in ("-U", "-D"):
            assert live.pop(big) == n
        else:
            assert big not in live
            live[big] = n
    assert live == {False: 18, True: 2}


def test_final_table_again_and_again(s):
    s.sql(NUMBERS)
    r = s.sql("SELECT id % 2 AS odd, COUNT(*) AS n FROM numbers GROUP BY id % 2")
    assert sorted(r.pl().rows()) == [(0, 10), (1, 10)]
    assert sorted(r.rows()) == [(0, 10), (1, 10)]
    assert r.arrow().num_rows == 2
    assert "<table" in r._repr_html_()


def test_batch_mode_gives_final_rows_only(s):
    s.sql(NUMBERS + "SET 'execution.runtime-mode' = 'batch';")
    found = list(s.sql("SELECT COUNT(*) AS n FROM numbers").changes())
    assert found == [("+I", (20,))]


def test_endless_query_has_no_final_table(s):
    s.sql(ENDLESS)
    r = s.sql("SELECT id FROM endless")
    assert not r.bounded
    with pytest.raises(PlanError, match="never ends"):
        r.pl()
    assert r.pl(limit=3).height == 3


def test_view_is_asked_at_once(s):
    s.run(NUMBERS + "CREATE MATERIALIZED VIEW v AS SELECT id % 3 AS k, COUNT(*) AS n FROM numbers GROUP BY id % 3;")
    assert s.wait(30)
    r = s.sql("SELECT k, n FROM v ORDER BY k DESC")
    assert not r.streaming
    assert r.rows() == [(2, 7), (1, 7), (0, 6)]
    assert sorted(s.table("v").rows()) == [(0, 6), (1, 7), (2, 7)]
    s.sql("DROP MATERIALIZED VIEW v")
    with pytest.raises(DerasError, match="'v'"):
        s.sql("SELECT * FROM v")


def test_finished_queries_do_not_stay(s):
    s.sql(NUMBERS)
    s.sql("SELECT id FROM numbers").rows()
    for _ in range(200):
        if not s.job.flows:
            break
        s.clock.sleep(0.02)
    assert s.sql("SHOW JOBS").rows() == []


def test_wrong_statement_runs_nothing_of_a_script(s):
    with pytest.raises(BindError) as e:
        s.run(NUMBERS + "CREATE MATERIALIZED VIEW v AS SELECT idd FROM numbers;")
    assert "'id'" in e.value.hint
    assert e.value.line is not None
    assert s.sql("SHOW TABLES").rows() == []


def test_all_errors_of_a_script(s):
    errors = s.check_all(NUMBERS + "SELECT x FROM numbers; SELECT id FROM number;")
    assert [type(e) for e in errors] == [BindError, BindError]
    assert isinstance(s.check_all("SELEC")[0], SqlSyntaxError)


def test_empty_script(s):
    with pytest.raises(PlanError, match="no statement"):
        s.sql("-- nothing")


def test_registered_function(s):
    @deras.udf(result_type="BIGINT")
    def doubled(x: int) -> int:
        return 2 * x

    s.register(doubled)
    s.sql(NUMBERS)
    assert s.sql("SELECT SUM(doubled(id)) AS t FROM numbers").rows() == [(420,)]


def test_closed(s):
    s.close()
    with pytest.raises(PlanError, match="closed"):
        s.sql("SELECT 1")


def test_project_goes_on(tmp_path):
    view = "CREATE MATERIALIZED VIEW v AS SELECT COUNT(*) AS n FROM numbers;"
    with Session(tmp_path / "p") as s:
        s.run(NUMBERS + view)
        assert s.wait(30)
    with Session(tmp_path / "p") as s:
        assert s.job.notes == []
        assert s.sql("SELECT n FROM v").rows() == [(20,)]
        assert s.sql("SHOW MATERIALIZED VIEWS").rows() == [("v",)]


def test_same_process_cannot_open_twice(tmp_path):
    with deras.connect(tmp_path / "p"), pytest.raises(DerasError, match="already"):
        deras.connect(tmp_path / "p")
