"""Joins with the results of windows forget rows, or never see them, and nobody notices."""

from __future__ import annotations

import datetime as dt

import pytest
from harness import Session, fold
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.sql.rules import expiring_joins

TABLES = """
CREATE TABLE bid (
  auction INT, price INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '2' SECOND
) WITH ('connector' = 'filesystem', 'path' = 'bid', 'format' = 'csv')
"""
TUMBLE = "TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '4' SECOND))"
HOP = "TABLE(HOP(TABLE bid, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '6' SECOND))"
CUMULATE = "TABLE(CUMULATE(TABLE bid, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '6' SECOND))"
SHIFTED = "TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '4' SECOND, INTERVAL '1' SECOND))"


def query(window: str, condition: str, *, extreme: str = "MAX(price)", left: str = "", right: str = "") -> str:
    return f"""SELECT b.auction, b.price, b.ts, w.e FROM (SELECT * FROM bid {left}) b
      JOIN (SELECT {extreme} AS m, COUNT(*) AS n, window_start AS s, window_end AS e, window_time AS t FROM {window}
        {right} GROUP BY window_start, window_end, window_time) w
      ON b.price = w.m WHERE {condition}"""


END = "b.ts BETWEEN w.e - INTERVAL '{}' SECOND AND w.e"
BOUNDS = "b.ts >= w.s AND b.ts < w.e"
QUERIES = {
    "Nexmark's": (query(TUMBLE, END.format(4)), True),
    "within the window": (query(TUMBLE, BOUNDS), True),
    "shifted": (query(SHIFTED, BOUNDS), True),
    "turned round": (query(TUMBLE, "w.e > b.ts AND w.s <= b.ts"), True),
    "the least": (query(TUMBLE, BOUNDS, extreme="MIN(price)"), True),
    "hop": (query(HOP, BOUNDS), True),
    "hop, the first windows": (query(HOP, END.format(3)), True),
    "hop, those before": (query(HOP, "b.ts BETWEEN w.e - INTERVAL '1' SECOND AND w.e + INTERVAL '3' SECOND"), True),
    "hop, the least": (query(HOP, BOUNDS, extreme="MIN(price)"), True),
    "cumulate": (query(CUMULATE, BOUNDS), True),
    "windows to come": (query(TUMBLE, END.format(9)), True),
    "windows after": (query(TUMBLE, "b.ts BETWEEN w.e - INTERVAL '9' SECOND AND w.e - INTERVAL '5' SECOND"), True),
    "equal filters": (query(TUMBLE, BOUNDS, left="WHERE auction > 1", right="WHERE auction > 1"), True),
    "a filter more on the rows": (query(TUMBLE, BOUNDS, left="WHERE auction > 1"), True),
    "a filter more on the windows": (query(TUMBLE, BOUNDS, right="WHERE auction > 1"), False),
    "other filters": (query(TUMBLE, BOUNDS, left="WHERE auction > 1", right="WHERE auction < 3"), False),
    "another extreme": (query(TUMBLE, BOUNDS, extreme="MAX(auction)"), False),
    "not all are counted": (query(TUMBLE, BOUNDS, extreme="MAX(price) FILTER (WHERE auction > 1)"), False),
    "no extreme": (query(TUMBLE, BOUNDS, extreme="SUM(price)"), False),
    "results first": (
        f"""SELECT b.auction, b.price, b.ts, w.e FROM (SELECT MAX(price) AS m, window_end AS e FROM {TUMBLE}
          GROUP BY window_start, window_end) w JOIN bid b ON w.m = b.price AND {END.format(4)}""",
        True,
    ),
    "no equality": (
        f"""SELECT b.auction, b.price, b.ts, w.e FROM bid b JOIN (SELECT MAX(price) AS m, window_end AS e FROM {TUMBLE}
          GROUP BY window_start, window_end) w ON b.price >= w.m AND {END.format(4)}""",
        False,
    ),
    "by key": (
        f"""SELECT b.auction, b.price, b.ts, w.e FROM bid b JOIN (SELECT auction, MAX(price) AS m, window_end AS e
          FROM {TUMBLE} GROUP BY auction, window_start, window_end) w
          ON b.auction = w.auction AND b.price = w.m AND {END.format(4)}""",
        False,
    ),
    "the greatest count": (
        f"""SELECT b.auction, b.price, b.ts, w.e FROM bid b JOIN (SELECT MAX(n) AS m, e FROM
          (SELECT COUNT(*) AS n, window_start AS s, window_end AS e FROM {TUMBLE}
           GROUP BY auction, window_start, window_end) GROUP BY s, e) w ON b.price = w.m AND {END.format(4)}""",
        False,
    ),
}

ROWS = st.lists(
    st.tuples(
        st.integers(1, 3) | st.none(),
        st.integers(1, 4) | st.none(),
        st.none() | st.integers(0, 24).map(lambda s: dt.datetime(2024, 1, 1) + dt.timedelta(milliseconds=500 * s)),
    ),
    max_size=40,
).map(
    # Times go on, and some are late.
    lambda rows: [
        (a, p, None if t is None else t + dt.timedelta(milliseconds=500 * (i // 2))) for i, (a, p, t) in enumerate(rows)
    ]
)


def _results(text: str, rows: list, one_by_one: bool) -> tuple[list, list]:
    changes, dropped = Session(TABLES).query(text, {"bid": rows}, one_by_one=one_by_one)
    assert all(w == 1 for w, _ in changes)
    return fold(changes), sorted((r.reason, raw) for r in dropped for raw in r.raw)


@pytest.mark.parametrize("name", QUERIES)
@settings(max_examples=8, deadline=None)
@given(rows=ROWS, one_by_one=st.booleans())
def test_results_are_those_of_the_join_that_keeps_all(name: str, rows: list, one_by_one: bool) -> None:
    text = QUERIES[name][0]
    got = _results(text, rows, one_by_one)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expiring_joins, "expiring_join", lambda rel: None)
        assert got == _results(text, rows, one_by_one)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_row_at_the_very_end_of_a_window_may_meet_it(one_by_one: bool) -> None:
    """It is surpassed in the window that it falls into, not in the one before."""
    start = dt.datetime(2024, 1, 1)
    rows = [(k, price, start + dt.timedelta(seconds=s)) for k, price, s in ((1, 3, 1), (2, 4, 5), (3, 3, 4))]
    found, dropped = _results(QUERIES["Nexmark's"][0], rows, one_by_one)
    assert [(r[0], r[3]) for r in sorted(found)] == [
        (1, start + dt.timedelta(seconds=4)), (2, start + dt.timedelta(seconds=8)), (3, start + dt.timedelta(seconds=4)),
    ]  # fmt: skip
    assert dropped == []


@pytest.mark.parametrize("equals", ["=", "IS NOT DISTINCT FROM"])
def test_where_null_equals_null_rows_without_a_value_have_partners(equals: str) -> None:
    """The greatest of no values is NULL, too."""
    each = f"""SELECT auction, MAX(price) AS v, window_start AS s, window_end AS e FROM {TUMBLE}
      GROUP BY auction, window_start, window_end"""
    windows = f"""SELECT a.auction FROM ({each}) a JOIN (SELECT MAX(v) AS m, s, e FROM ({each}) GROUP BY s, e) w
      ON a.s = w.s AND a.e = w.e AND a.v {equals} w.m"""
    stream = QUERIES["within the window"][0].replace("b.price = w.m", f"b.price {equals} w.m")
    for text in (windows, stream):
        nodes = [n.label for n in Session(TABLES).plan(text).dataflows[0].nodes]
        assert any(x.startswith("CandidateFilter(") for x in nodes) == (equals == "=")
        found, _ = _results(text, [(1, None, dt.datetime(2024, 1, 1)), (2, 5, dt.datetime(2024, 1, 1, 0, 0, 9))], False)
        assert sorted(r[0] for r in found) == ([2] if equals == "=" else [1, 2])


@pytest.mark.parametrize("name", QUERIES)
def test_which_have_candidates(name: str) -> None:
    text, candidates = QUERIES[name]
    labels = [n.label for n in Session(TABLES).plan(text).dataflows[0].nodes]
    assert any(x.startswith("ExpiringJoin(") for x in labels)
    assert any(x.startswith("CandidateFilter(") for x in labels) == candidates


def _kept_as_it_was(session: Session, text: str) -> bool:
    return not any("ExpiringJoin" in n.label for n in session.plan(text).dataflows[0].nodes)


def test_which_are_left_alone() -> None:
    # Nothing says when a row has met its last window.
    assert _kept_as_it_was(Session(TABLES), query(TUMBLE, "b.ts < w.e"))
    padded = query(TUMBLE, "TRUE").replace("JOIN (", "LEFT JOIN (").replace("= w.m", f"= w.m AND {BOUNDS}")
    assert _kept_as_it_was(Session(TABLES), padded)
    # State TTL is by the clock.
    assert _kept_as_it_was(Session(TABLES, **{"table.exec.state.ttl": "1 h"}), QUERIES["Nexmark's"][0])
    early = {"table.exec.emit.early-fire.enabled": "true", "table.exec.emit.early-fire.delay": "1 s"}
    assert _kept_as_it_was(Session(TABLES, **early), QUERIES["Nexmark's"][0])
    local = TABLES.replace("TIMESTAMP(3)", "TIMESTAMP_LTZ(3)")
    assert _kept_as_it_was(Session(local), query(TUMBLE, "CAST(b.ts AS TIMESTAMP(3)) BETWEEN w.s AND w.e"))


# ---------------------------------------------------------------- joins of windows


def counted(asked: str, *, window: str = HOP, extreme: str = "MAX(n)", left: str = "", right: str = "") -> str:
    counts = f"""SELECT auction, COUNT(*) AS n, SUM(price) AS p, window_start AS s, window_end AS e FROM {window}
      GROUP BY auction, window_start, window_end"""
    return f"""SELECT a.auction, a.n, a.p, a.e, b.m FROM ({counts}) a
      JOIN (SELECT {extreme} AS m, MAX(p) AS q, s, e FROM ({counts}) {right} GROUP BY s, e) b
      ON a.s = b.s AND a.e = b.e AND {asked} {left}"""


WINDOWED = {
    "Nexmark's": (counted("a.n >= b.m"), True),
    "equal": (counted("a.n = b.m"), True),
    "equal, NULLs": (counted("a.p = b.m", extreme="MAX(p)"), True),
    "NULLs": (counted("b.m <= a.p", extreme="MAX(p)"), True),
    "the least": (counted("a.p <= b.m", extreme="MIN(p)"), True),
    "tumble": (counted("a.n >= b.m", window=TUMBLE), True),
    "cumulate": (counted("a.n = b.m", window=CUMULATE), True),
    "a filter on the rows": (counted("a.n = b.m", left="WHERE a.p > 3"), True),
    "a filter on what is counted": (counted("a.n = b.m", right="WHERE n < 3"), False),
    "not the greatest": (counted("a.n <= b.m"), False),
    "the other way round": (counted("a.n >= b.m", extreme="MIN(n)"), False),
    "of another column": (counted("a.n >= b.m", extreme="MAX(p)"), False),
}


@pytest.mark.parametrize("name", WINDOWED)
@settings(max_examples=8, deadline=None)
@given(rows=ROWS, one_by_one=st.booleans())
def test_window_joins_give_the_same_rows(name: str, rows: list, one_by_one: bool) -> None:
    text = WINDOWED[name][0]
    got = _results(text, rows, one_by_one)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expiring_joins, "window_candidates", lambda rel: rel)
        assert got == _results(text, rows, one_by_one)


@pytest.mark.parametrize("name", WINDOWED)
def test_which_window_joins_have_candidates(name: str) -> None:
    text, candidates = WINDOWED[name]
    labels = [n.label for n in Session(TABLES).plan(text).dataflows[0].nodes]
    assert any(x.startswith("WindowJoin(") for x in labels)
    assert any(x.startswith("CandidateFilter(") for x in labels) == candidates
