"""Queries planned and run over drawn rows: the golden cases of Flink, row by row and in one batch."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal as D  # noqa: N817 (many literals)

import pytest
from harness import Session, fold

BID = """
CREATE TABLE bid (
  bidtime TIMESTAMP(3), price DECIMAL(10, 2), item STRING, k INT,
  twice AS price * 2,
  WATERMARK FOR bidtime AS bidtime - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = 'bids', 'format' = 'csv');
"""


def at(hour: int, minute: int, second: int = 0) -> datetime:
    return datetime(2020, 4, 15, hour, minute, second)


ROWS = [
    (at(8, 5), D("4.00"), "C", 1),
    (at(8, 7), D("2.00"), "A", 2),
    (at(8, 9), D("5.00"), "D", -7),
    (at(8, 11), D("3.00"), "B", 4),
    (at(8, 13), D("1.00"), "E", 0),
    (at(8, 9, 30), D("9.00"), "LATE", 3),
    (at(8, 17), D("6.00"), "F", None),
]


@pytest.fixture
def session() -> Session:
    return Session(BID)


def run(session: Session, text: str) -> list[tuple]:
    """The changes one row at a time; the folded result of one batch must agree."""
    changes, dropped = session.query(text, {"bid": ROWS})
    batch, batch_dropped = session.query(text, {"bid": ROWS}, one_by_one=False)
    assert fold(changes) == fold(batch)
    assert sum(map(len, dropped)) == sum(map(len, batch_dropped))
    return changes


TUMBLE = "TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES)"


@pytest.mark.parametrize(
    "source",
    [
        f"TABLE({TUMBLE})",
        TUMBLE,
        "TUMBLE(DATA => TABLE bid, TIMECOL => DESCRIPTOR(bidtime), SIZE => INTERVAL '10' MINUTE)",
        "(SELECT window_start, window_end, price FROM " + TUMBLE + ")",
    ],
)
def test_tumble(session: Session, source: str) -> None:
    got = run(
        session,
        f"SELECT window_start, window_end, SUM(price), COUNT(*) FROM {source} GROUP BY window_start, window_end",
    )
    assert got == [
        (1, (at(8, 0), at(8, 10), D("11.00"), 3)),
        (1, (at(8, 10), at(8, 20), D("10.00"), 3)),
    ]


def test_late_rows_are_told(session: Session) -> None:
    _, dropped = session.query(
        f"SELECT window_end, COUNT(*) FROM {TUMBLE} GROUP BY window_start, window_end", {"bid": ROWS}
    )
    assert [(r.reason, len(r)) for r in dropped] == [("late", 1)]
    assert b"LATE" in dropped[0].raw[0] or b"window" not in dropped[0].raw[0]


def test_legacy_tumble(session: Session) -> None:
    got = run(
        session,
        "SELECT TUMBLE_END(bidtime, INTERVAL '10' MINUTE) AS e, SUM(price) FROM bid GROUP BY TUMBLE(bidtime, INTERVAL '10' MINUTE)",
    )
    assert got == [(1, (at(8, 10), D("11.00"))), (1, (at(8, 20), D("10.00")))]


def test_bare_window_keeps_late_rows(session: Session) -> None:
    got = run(session, f"SELECT * FROM {TUMBLE}")
    assert len(got) == 7
    late = next(r for _, r in got if "LATE" in r)
    assert late[5:7] == (at(8, 0), at(8, 10))


def test_current_watermark(session: Session) -> None:
    got = run_one_by_one(session, "SELECT CURRENT_WATERMARK(bidtime) FROM bid")
    seconds = [None, at(8, 4, 59), at(8, 6, 59), at(8, 8, 59), at(8, 10, 59), at(8, 12, 59), at(8, 12, 59)]
    assert [r[0] for _, r in got] == seconds


def run_one_by_one(session: Session, text: str) -> list[tuple]:
    return session.query(text, {"bid": ROWS})[0]


def test_global_aggregate_changes(session: Session) -> None:
    got = run(session, "SELECT COUNT(*), SUM(price) FROM bid")
    assert len(got) == 13
    assert got[:3] == [(1, (1, D("4.00"))), (-1, (1, D("4.00"))), (1, (2, D("6.00")))]
    assert got[-1] == (1, (7, D("30.00")))


def test_aggregate_of_an_aggregate(session: Session) -> None:
    got = run(
        session, "SELECT cnt, COUNT(*) FROM (SELECT k > 0 AS p, COUNT(*) AS cnt FROM bid GROUP BY k > 0) GROUP BY cnt"
    )
    assert fold(got) == [(1, 1), (2, 1), (4, 1)]


def test_hop_again_by_the_same_window(session: Session) -> None:
    inner = "SELECT item, window_start, window_end, COUNT(*) AS n FROM HOP(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '5' MINUTE, INTERVAL '10' MINUTE) GROUP BY item, window_start, window_end"
    got = run(session, f"SELECT window_start, window_end, SUM(n) FROM ({inner}) GROUP BY window_start, window_end")
    assert got == [
        (1, (at(8, 0), at(8, 10), 3)),
        (1, (at(8, 5), at(8, 15), 6)),
        (1, (at(8, 10), at(8, 20), 3)),
        (1, (at(8, 15), at(8, 25), 1)),
    ]


def test_chained_windows(session: Session) -> None:
    inner = f"SELECT window_time, SUM(price) AS s FROM {TUMBLE} GROUP BY window_start, window_end, window_time"
    session.run(f"CREATE VIEW tens AS {inner};")
    got = run(
        session,
        "SELECT window_start, SUM(s) FROM TUMBLE(TABLE tens, DESCRIPTOR(window_time), INTERVAL '20' MINUTE) GROUP BY window_start, window_end",
    )
    assert got == [(1, (at(8, 0), D("21.00")))]


def test_where_having_and_aliases(session: Session) -> None:
    got = run(
        session,
        "SELECT k > 0 AS p, MAX(b.price) m FROM bid AS b WHERE b.price > 1 GROUP BY k > 0 HAVING MAX(price) > 5",
    )
    assert fold(got) == [(None, D("6.00")), (True, D("9.00"))]


def test_computed_column(session: Session) -> None:
    assert run(session, "SELECT twice FROM bid WHERE item = 'A'") == [(1, (D("4.00"),))]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a.item, b.item FROM bid a, bid b WHERE a.k = b.k + 1 AND a.price > 1",
        "SELECT a.item, b.item FROM bid a JOIN bid b ON a.k = b.k + 1 WHERE a.price > 1",
        "SELECT a.item, b.item FROM bid a INNER JOIN (SELECT k + 1 AS k1, item FROM bid) b ON b.k1 = a.k AND a.price > 1",
    ],
)
def test_join(session: Session, text: str) -> None:
    assert fold(run(session, text)) == [("A", "C"), ("B", "LATE"), ("C", "E"), ("LATE", "A")]


def test_using(session: Session) -> None:
    got = run(
        session, "WITH x AS (SELECT item, price AS p FROM bid WHERE price > 5) SELECT * FROM x JOIN bid USING (item)"
    )
    assert sorted(r[0] for _, r in got) == ["F", "LATE"]
    assert session.plan("SELECT * FROM bid a JOIN bid b USING (item)").schema.names.count("item") == 1


def test_rows_that_fail_go_alone(session: Session) -> None:
    changes, dropped = session.query("SELECT item, 10 / k FROM bid", {"bid": ROWS}, one_by_one=False)
    assert [r for _, r in changes] == [("C", 10), ("A", 5), ("D", -1), ("B", 2), ("LATE", 3), ("F", None)]
    assert [r.messages for r in dropped] == [["division by zero in `10 / k` (line 1, column 14)"]]


@pytest.mark.parametrize(
    "where", ["k <> 0 AND 10 / k > 2", "CASE WHEN k = 0 THEN FALSE ELSE 10 / k > 2 END", "NOT (k = 0 OR 10 / k <= 2)"]
)
def test_guards(session: Session, where: str) -> None:
    changes, dropped = session.query(f"SELECT item FROM bid WHERE {where}", {"bid": ROWS}, one_by_one=False)
    assert [r[0] for _, r in changes] == ["C", "A", "LATE"]
    assert not dropped


def test_union_distinct_values(session: Session) -> None:
    assert fold(run(session, "SELECT k FROM bid WHERE k > 2 UNION ALL SELECT 5 FROM bid WHERE k = 1")) == [
        (3,),
        (4,),
        (5,),
    ]
    assert len(run(session, "SELECT DISTINCT k > 0 FROM bid")) == 3
    planned = session.plan("SELECT a + 1, b FROM (VALUES (1, 'x'), (2, 'yy')) AS t (a, b)")
    assert planned.dataflows[0].sources[0].options["rows"] == '[[2, "x"], [3, "yy"]]'


def test_materialized_view_is_a_source(session: Session) -> None:
    planned = session.run("CREATE MATERIALIZED VIEW counts AS SELECT k, COUNT(*) AS n FROM bid GROUP BY k;")
    assert planned.view.schema.key == (0,)
    assert not planned.view.append_only
    flow = session.plan("SELECT SUM(n) FROM counts").dataflows[0]
    assert list(flow.views) == ["counts"]
    assert flow.sources[0].connector == "view"


def test_python_functions(session: Session) -> None:
    from deras.sql.catalog import CatalogFunction
    from deras.sql.functions.udf import udf

    @udf(result_type="INT")
    def invert(x):
        return 10 // x

    @udf(result_type="DOUBLE", func_type="numpy")
    def half(x):
        return x / 2

    session.catalog.add_function(CatalogFunction("invert", udf=invert))
    session.catalog.add_function(CatalogFunction("half", udf=half))
    changes, dropped = session.query(
        "SELECT item, Invert(k), half(CAST(k AS DOUBLE)) FROM bid WHERE k IS NOT NULL", {"bid": ROWS}, one_by_one=False
    )
    assert changes[0] == (1, ("C", 10, 0.5))
    assert len(changes) == 5
    assert dropped[0].reason == "udf"
    assert "ZeroDivisionError" in dropped[0].messages[0]


def test_pruning_and_stable_names(session: Session) -> None:
    one = session.plan("SELECT item FROM bid WHERE price > 3").dataflows[0]
    assert one.sources[0].wanted == (0, 1, 2)
    two = Session(BID).plan("SELECT  item AS item  FROM bid  WHERE price > 3").dataflows[0]
    assert [n.name for n in one.nodes] == [n.name for n in two.nodes]
    other = session.plan("SELECT item FROM bid WHERE price > 4").dataflows[0]
    assert one.nodes[0].name != other.nodes[0].name
