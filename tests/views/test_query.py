"""SELECT over snapshots: right rows, nothing else allowed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from deras.core.schema import Schema
from deras.core.types import BIGINT, STRING
from deras.views.query import AdHoc, QueryCancelledError, QueryError
from deras.views.registry import UnknownViewError, View, Views

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = Schema.of(k=STRING, n=BIGINT)


class Fixed:
    """A snapshot that stands still."""

    step = 1
    watermark = 0

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.rows = table.num_rows

    def arrow(self) -> pa.Table:
        return self.table


@pytest.fixture
def ask() -> Iterator[AdHoc]:
    views = Views()
    text = pa.array(["a", "b", None]).cast(pa.string_view())
    t = pa.table({"k": text, "n": pa.array([1, 2, 3])})
    views.add(View("counts", SCHEMA, lambda: Fixed(t)))
    views.add(View("Odd name; DROP", SCHEMA, lambda: Fixed(t)))
    at = pa.array([1_700_000_000_000_000], pa.timestamp("us", tz="UTC"))
    views.add(View("times", SCHEMA, lambda: Fixed(pa.table({"seen": at}))))
    adhoc = AdHoc(views, threads=1)
    yield adhoc
    adhoc.close()


def rows(t: pa.Table) -> list[dict[str, Any]]:
    return t.to_pylist()  # type: ignore[no-any-return]


def test_select(ask: AdHoc) -> None:
    assert rows(ask.query("SELECT k, n * 2 AS m FROM counts WHERE n > 1 ORDER BY n")) == [
        {"k": "b", "m": 4},
        {"k": None, "m": 6},
    ]
    assert rows(ask.query("FROM COUNTS SELECT count(*) AS c")) == [{"c": 3}]
    assert rows(ask.query('SELECT sum(n) AS s FROM "Odd name; DROP"')) == [{"s": 6}]


def test_parameters(ask: AdHoc) -> None:
    assert rows(ask.query("SELECT n FROM counts WHERE k = ?", ["b"])) == [{"n": 2}]
    assert rows(ask.query("SELECT n FROM counts WHERE k = $k", {"k": "'; DROP TABLE counts; --"})) == []


def test_join_and_cte_that_hides_a_view(ask: AdHoc) -> None:
    sql = "WITH x AS (SELECT 7 AS n) SELECT c.n FROM counts c JOIN x ON c.n < x.n ORDER BY 1"
    assert [r["n"] for r in rows(ask.query(sql))] == [1, 2, 3]


def test_times_are_utc(ask: AdHoc) -> None:
    assert rows(
        ask.query("SELECT CAST(seen AS VARCHAR) AS t, hour(seen) AS h FROM times WHERE seen < now() - INTERVAL 1 HOUR")
    ) == [{"t": "2023-11-14 22:13:20+00", "h": 22}]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t (a INT)",
        "DROP VIEW counts",
        "INSERT INTO counts VALUES ('x', 1)",
        "SET threads = 8",
        "COPY counts TO '/tmp/out.csv'",
        "ATTACH '/tmp/x.db'",
        "INSTALL httpfs",
        "PRAGMA version",
        "SELECT 1; SELECT 2",
        "",
    ],
)
def test_only_one_select(ask: AdHoc, sql: str) -> None:
    with pytest.raises(QueryError):
        ask.query(sql)
    assert rows(ask.query("SELECT count(*) AS c FROM counts")) == [{"c": 3}]


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM '/etc/passwd'", "SELECT * FROM read_blob('/etc/*')"]
)
def test_no_files(ask: AdHoc, sql: str) -> None:
    with pytest.raises(QueryError):
        ask.query(sql)


def test_python_variables_are_not_tables(ask: AdHoc) -> None:
    secret = pa.table({"a": [1]})
    with pytest.raises(QueryError, match="no view 'secret'"):
        ask.query("SELECT * FROM secret")
    assert secret.num_rows == 1


def test_wrong_sql_is_told(ask: AdHoc) -> None:
    with pytest.raises(QueryError, match="no view 'count'") as e:
        ask.query("SELECT * FROM count")
    assert e.value.hint == "Did you mean 'counts'?"
    with pytest.raises(QueryError, match="syntax error") as e:
        ask.query("SELEC 1")
    assert "SELEC 1" in e.value.detail
    with pytest.raises(QueryError, match="column") as e:
        ask.query("SELECT nn FROM counts")


def test_timeout_and_cancel(ask: AdHoc) -> None:
    slow = "SELECT count(*) FROM range(100000000) a, range(100000000) b"
    with pytest.raises(QueryCancelledError, match=r"longer than 0.2 s"):
        ask.query(slow, timeout=0.2)
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(QueryCancelledError, match="cancelled"):
        ask.query(slow, timeout=None, cancel=stop)


def test_views_are_of_one_moment() -> None:
    views = Views()
    calls: list[str] = []

    def together(fn: Any) -> Any:
        calls.append("together")
        return fn()

    views.together = together
    t = pa.table({"n": [1]})
    views.add(View("a", SCHEMA, lambda: Fixed(t)))
    views.add(View("b", SCHEMA, lambda: Fixed(t)))
    AdHoc(views).query("SELECT * FROM a, b")
    assert calls == ["together"]


def test_unknown_view() -> None:
    views = Views()
    views.add(View("alerts", SCHEMA, lambda: None))
    with pytest.raises(UnknownViewError, match="no view 'alert'") as e:
        views.view("alert")
    assert e.value.hint == "Did you mean 'alerts'?"
    views.remove("alerts")
    assert "alerts" not in views
