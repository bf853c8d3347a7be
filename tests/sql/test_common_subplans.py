"""Equal subplans are computed once, and nobody sees it."""

from __future__ import annotations

import datetime as dt

import pytest
from harness import Session, fold
from hypothesis import given, settings
from hypothesis import strategies as st

TABLES = """
CREATE TABLE bid (
  auction INT, price INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '2' SECOND
) WITH ('connector' = 'filesystem', 'path' = 'bid', 'format' = 'csv')
"""
HOP = "TABLE(HOP(TABLE bid, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '6' SECOND))"
QUERIES = {
    "the greatest of a window": (
        f"""SELECT a.auction, a.n, a.e FROM (
          SELECT auction, COUNT(*) AS n, window_start AS s, window_end AS e FROM {HOP}
          GROUP BY auction, window_start, window_end) a
        JOIN (SELECT MAX(n) AS m, s, e FROM (
          SELECT COUNT(*) AS n, window_start AS s, window_end AS e FROM {HOP}
          GROUP BY auction, window_start, window_end) GROUP BY s, e) b
        ON a.s = b.s AND a.e = b.e AND a.n >= b.m""",
        2,
    ),
    "WITH twice": (
        """WITH g AS (SELECT auction, COUNT(*) AS n, SUM(price) AS p FROM bid GROUP BY auction)
        SELECT a.auction, a.n, b.p FROM g a JOIN g b ON a.auction = b.auction AND a.n = b.n AND a.p = b.p""",
        1,
    ),
    "other columns of one that takes back": (
        """WITH g AS (SELECT auction, COUNT(*) AS n, MAX(price) AS p FROM bid GROUP BY auction)
        SELECT auction, n FROM g UNION ALL SELECT auction, p FROM g""",
        2,
    ),
    "of two that differ a part is one": (
        """WITH w AS (SELECT auction, MAX(price) AS p, COUNT(*) AS n, window_end AS e FROM
          TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '4' SECOND)) GROUP BY auction, window_start, window_end)
        SELECT auction, SUM(p) AS x FROM w GROUP BY auction UNION ALL SELECT auction, COUNT(n) FROM w GROUP BY auction""",
        3,
    ),
    "filters differ": (
        """WITH g AS (SELECT auction, COUNT(*) AS n FROM bid GROUP BY auction)
        SELECT auction, n FROM g WHERE auction = 1 UNION ALL SELECT auction, n FROM g WHERE auction > 1""",
        2,
    ),
    "IN as a value": (
        """SELECT auction, price, auction IN (SELECT price FROM bid WHERE price IS NOT NULL GROUP BY price) AS x
        FROM bid""",
        None,
    ),
}

ROWS = st.lists(
    st.tuples(
        st.integers(1, 3) | st.none(),
        st.integers(1, 4) | st.none(),
        st.integers(0, 30).map(lambda s: dt.datetime(2024, 1, 1) + dt.timedelta(seconds=s)),
    ),
    max_size=25,
)


def _results(query: str, rows: list, share: bool, one_by_one: bool) -> list:
    session = Session(TABLES, **{"table.optimizer.reuse-sub-plan-enabled": str(share).lower()})
    changes, dropped = session.query(query, {"bid": rows}, one_by_one=one_by_one)
    # One operator rejects a late row once, two do so twice.
    return [fold(changes), changes if one_by_one else None, {raw for r in dropped for raw in r.raw}]


@pytest.mark.parametrize("name", QUERIES)
@settings(max_examples=12, deadline=None)
@given(rows=ROWS, one_by_one=st.booleans())
def test_results_are_those_without_sharing(name: str, rows: list, one_by_one: bool) -> None:
    query = QUERIES[name][0]
    assert _results(query, rows, True, one_by_one) == _results(query, rows, False, one_by_one)


@pytest.mark.parametrize("name", [n for n, (_, count) in QUERIES.items() if count])
def test_number_of_aggregates(name: str) -> None:
    query, count = QUERIES[name]
    flow = Session(TABLES).plan(query).dataflows[0]
    found = [n.label for n in flow.nodes if "Aggregate(" in n.label]
    assert len(found) == count
    assert len({n.name for n in flow.nodes}) == len(flow.nodes)
    off = Session(TABLES, **{"table.optimizer.reuse-sub-plan-enabled": "false"})
    assert len([n for n in off.plan(query).dataflows[0].nodes if "Aggregate(" in n.label]) >= count


def test_off_is_off() -> None:
    query, count = QUERIES["the greatest of a window"]
    off = Session(TABLES, **{"table.optimizer.reuse-sub-plan-enabled": "false"})
    flow = off.plan(query).dataflows[0]
    assert len([n for n in flow.nodes if "Aggregate(" in n.label]) == count + 1
    assert "Reused" not in flow.explain["plan"]
    assert len(flow.sources) == 1


def test_explain_shows_it_once() -> None:
    plan = Session(TABLES).plan(QUERIES["the greatest of a window"][0]).dataflows[0].explain["plan"]
    assert plan.count("HOP(") == 1
    assert plan.count("(reuse_id=[1])") == plan.count("Reused(reference_id=[1])") == 1


def test_chance_is_thrown_twice() -> None:
    query = "SELECT RAND() AS x, price FROM bid UNION ALL SELECT RAND() AS x, price FROM bid"
    changes, _ = Session(TABLES).query(query, {"bid": [(1, i, dt.datetime(2024, 1, 1)) for i in range(20)]})
    assert len({x for _, (x, _) in changes}) == 40
