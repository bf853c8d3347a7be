"""Bad input, end to end: nothing is dropped in silence, and what is put aside says why, where and when."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import deras
from deras.core.errors import RowError
from deras.session.session import Session

TABLE = """CREATE TABLE r (id INT, v DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
  WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = '{}');"""
WINDOWS = """CREATE MATERIALIZED VIEW w AS SELECT window_start, COUNT(*) AS n, COUNT(id) AS ids FROM
  TUMBLE(TABLE r, DESCRIPTOR(ts), INTERVAL '1' MINUTE) GROUP BY window_start, window_end;"""
COLUMNS = "source, reason, message, record, place, event_time, seen_at"


def put(folder: Path, name: str, *records: bytes) -> str:
    (folder / name).write_bytes(b"".join(r + b"\n" for r in records))
    return TABLE.format(name, name.rsplit(".", 1)[1])


def aside(s: Session, columns: str = COLUMNS) -> list[tuple[Any, ...]]:
    return s.sql(f"SELECT {columns} FROM deras_quarantine ORDER BY id").rows()


def line(id_: Any, v: Any, second: int) -> bytes:
    at = dt.datetime(2024, 1, 1) + dt.timedelta(seconds=second)
    return json.dumps({"id": id_, "v": v, "ts": at.isoformat(sep=" ")}).encode()


def counts(s: Session) -> dict[tuple[str, str], int]:
    """By (table, reason), the same in the quarantine, the status and the metrics."""
    told = {(c["table"], c["reason"]): c["rows"] for c in s.status()["quarantine"]["counts"]}
    found = {
        (t, r): n
        for t, r, n in s.sql(
            "SELECT source, reason, COUNT(*) AS n FROM deras_quarantine GROUP BY source, reason"
        ).rows()
    }
    metric = {
        (x.labels["table"], x.labels["reason"]): int(x.value)
        for m in s.job.metrics.registry.collect()
        for x in m.samples
        if x.name == "deras_rejected_rows_total"
    }
    assert told == found == metric
    return told


def test_records_that_cannot_be_read(tmp_path: Path) -> None:
    good = line(1, 1.5, 1)
    bad = [b'{"id": 2, "v": ', b'{"id": "x", "v": 1, "ts": "2024-01-01 00:00:02"}', b'{"id": 3, "v": "\xff"}']
    with Session(base=tmp_path) as s:
        s.run(put(tmp_path, "r.json", good, bad[0], bad[1], line(4, None, 3), bad[2]) + WINDOWS)
        assert s.wait(30)
        assert s.sql("SELECT n FROM w").rows() == [(2,)]
        rows = aside(s)
        assert [(r[0], r[1], r[3]) for r in rows] == [("r", "decode", b) for b in bad]
        starts = [len(good) + 1, len(good) + len(bad[0]) + 2]
        assert rows[0][4] == f"line 2 (byte {starts[0]})"
        assert rows[1][4] == f"line 3 (byte {starts[1]})"
        assert "`id`" in rows[1][2] or "'id'" in rows[1][2] or "id" in rows[1][2].split()
        now = dt.datetime.now(dt.UTC)
        assert all(r[2] and dt.timedelta(0) <= now - r[6] < dt.timedelta(minutes=5) for r in rows)
        assert counts(s) == {("r", "decode"): 3}


def test_csv_records_that_cannot_be_read(tmp_path: Path) -> None:
    bad = [b"x,1,2024-01-01 00:00:02", b"3,1"]
    with Session(base=tmp_path) as s:
        s.run(put(tmp_path, "r.csv", b"1,1.5,2024-01-01 00:00:01", *bad, b"4,,2024-01-01 00:00:03") + WINDOWS)
        assert s.wait(30)
        rows = aside(s)
        assert [(r[0], r[1], r[3]) for r in rows] == [("r", "decode", b) for b in bad]
        assert rows[0][4].startswith("line 2 ")
        assert s.sql("SELECT n FROM w").rows() == [(2,)]


def test_late_rows(tmp_path: Path) -> None:
    with Session(base=tmp_path) as s:
        s.run(put(tmp_path, "r.json", line(1, 1, 10), line(2, 2, 70), line(3, 3, 20), line(4, 4, 65)) + WINDOWS)
        assert s.wait(30)
        assert s.sql("SELECT n FROM w ORDER BY window_start").rows() == [(1,), (2,)]
        ((table, reason, message, raw, _, event_time, _),) = aside(s)
        assert (table, reason, event_time) == ("w", "late", dt.datetime(2024, 1, 1, 0, 0, 20))
        assert json.loads(raw) == {"id": 3, "ts": "2024-01-01 00:00:20"}  # nobody reads v
        assert "2024-01-01 00:01:00" in message


def test_a_null_rowtime(tmp_path: Path) -> None:
    with Session(base=tmp_path) as s:
        s.run(put(tmp_path, "r.json", b'{"id": 1, "ts": null}', line(2, 2, 0)) + WINDOWS)
        assert s.wait(30)
        assert [(r[0], r[1]) for r in aside(s)] == [("r", "constraint")]


VIEW = "CREATE MATERIALIZED VIEW q AS SELECT id, 10 / (id - 2) AS x FROM r;"


def test_an_expression_that_fails(tmp_path: Path) -> None:
    with Session(base=tmp_path) as s:
        s.run(put(tmp_path, "r.json", line(1, 0, 0), line(2, 0, 5), line(3, 0, 6)) + VIEW)
        assert s.wait(30)
        assert s.sql("SELECT id, x FROM q").rows() == [(1, -10), (3, 10)]
        ((table, reason, message, raw, *_),) = aside(s)
        assert (table, reason) == ("q", "expression")
        assert message.startswith("division by zero in `10 / (id - 2)` (line ")
        assert json.loads(raw)["id"] == 2
        assert counts(s) == {("q", "expression"): 1}


@pytest.mark.parametrize("how", ["SET 'deras.on-error' = 'fail';", "SET 'deras.strict-flink' = 'true';"])
def test_it_fails_the_job_where_asked(tmp_path: Path, how: str) -> None:
    with Session(base=tmp_path) as s:
        s.sql(how + put(tmp_path, "r.json", line(1, 0, 0), line(2, 0, 5), line(3, 0, 6)))
        with pytest.raises(RowError, match="division by zero") as e:
            s.sql("SELECT id, 10 / (id - 2) AS x FROM r").rows()
        assert "id" in e.value.detail
        assert "quarantine" in e.value.hint


def test_strict_flink_with_quarantine_and_back(tmp_path: Path) -> None:
    table = put(tmp_path, "r.json", line(1, 0, 0), line(2, 0, 5))
    query = "SELECT CAST(id AS STRING), 10 / (id - 2) AS x FROM r"
    with Session(base=tmp_path) as s:
        s.sql("SET 'deras.strict-flink' = 'true'; SET 'deras.on-error' = 'quarantine';" + table)
        assert s.sql(query).rows() == [("1", -10)]
    with Session(base=tmp_path) as s:
        s.sql("SET 'deras.on-error' = 'fail'; RESET 'deras.on-error';" + table)
        assert s.sql(query).rows() == [("1", -10)]


def test_a_cast_that_fails(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"s": "12"}\n{"s": "x"}\n')
    with Session(base=tmp_path) as s:
        s.sql("CREATE TABLE t (s STRING) WITH ('connector' = 'filesystem', 'path' = 't.json', 'format' = 'json')")
        assert s.sql("SELECT CAST(s AS INT) FROM t").rows() == [(12,)]
        ((reason, message),) = aside(s, "reason, message")
        assert reason == "expression"
        assert "`CAST(s AS INT)` (line 1, column 8)" in message


def test_a_function_that_raises(tmp_path: Path) -> None:
    @deras.udf(result_type="DOUBLE")
    def inverse(n: int) -> float:
        return 1 / n

    with Session(base=tmp_path) as s:
        s.register(inverse)
        s.run(
            put(tmp_path, "r.json", line(1, 0, 0), line(0, 0, 5), line(4, 0, 6))
            + "CREATE MATERIALIZED VIEW q AS SELECT id, inverse(id) AS x FROM r;"
        )
        assert s.wait(30)
        assert s.sql("SELECT id, x FROM q").rows() == [(1, 1.0), (4, 0.25)]
        ((_, reason, message, raw, *_),) = aside(s)
        assert reason == "udf"
        assert "inverse" in message
        assert "ZeroDivisionError: division by zero" in message
        assert "return 1 / n" in message  # the traceback
        assert json.loads(raw)["id"] == 0
        assert counts(s) == {("q", "udf"): 1}


RECORDS = st.one_of(
    st.tuples(st.just("row"), st.integers(0, 4), st.integers(0, 400)),
    st.tuples(st.just("null time"), st.integers(0, 4), st.just(0)),
    st.tuples(
        st.sampled_from(['{"id": 1', "not json", '{"id": true, "ts": "2024-01-01 00:00:00"}', "[1]"]),
        st.just(0),
        st.just(0),
    ),
)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(RECORDS, max_size=40))
def test_in_is_out_and_accounted_for(records: list[tuple[str, int, int]]) -> None:
    """Every record is in the counts of the windows, or in quarantine, exactly once."""
    texts = [
        line(i, 1, at) if kind == "row" else b'{"id": %d, "ts": null}' % i if kind == "null time" else kind.encode()
        for kind, i, at in records
    ]
    high = -1
    late = failed = counted = 0
    for kind, i, at in records:
        if kind != "row":
            continue
        if i == 2:
            failed += 1
        elif at // 60 * 60 + 60 - 0.001 <= high:
            late += 1
        else:
            counted += 1
        high = max(high, at)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Session(base=folder) as s:
            s.run(
                put(folder, "r.json", *texts)
                + "CREATE VIEW checked AS SELECT id, 6 / (id - 2) AS x, ts FROM r;"
                + WINDOWS.replace("TABLE r", "TABLE checked").replace("COUNT(id)", "SUM(x)")
            )
            assert s.wait(30)
            n = s.sql("SELECT COALESCE(SUM(n), 0) AS n FROM w").rows()[0][0]
            found = counts(s)
            assert int(n) == counted
            assert found.get(("w", "late"), 0) == late
            assert found.get(("w", "expression"), 0) == failed
            assert found.get(("r", "constraint"), 0) == sum(k == "null time" for k, _, _ in records)
            (source,) = s.status()["sources"]
            assert source["rows"] == len(records) == int(n) + sum(found.values())
