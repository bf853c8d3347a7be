"""Session windows: golden cases of Flink 2.3, and any order of rows, in any steps and with crashes, against Python."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine import reference
from tests.engine.test_window_aggregate import (
    BIDS,
    EVENTS,
    GOLDEN,
    MINUTE,
    PLAIN,
    ROWS,
    SPECIAL,
    T3,
    D,
    Run,
    at,
    calls_of,
    ms_of,
)

from deras.core.delta import Delta
from deras.core.schema import Field, Schema
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK, Tick
from deras.core.types import BIGINT, INT, STRING, decimal, timestamp_ltz
from deras.engine.operators.session_window import SessionAggregate, SessionTable
from deras.engine.state import State
from deras.engine.windows import passed_walls
from deras.engine.zones import zone

GAP = 10


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_golden_session(batch: int) -> None:
    """A row that is too late for a window of ten minutes is good for a session."""
    calls = calls_of(BIDS, ("SUM", 1), ("COUNT", None))
    out = Schema.of(total=decimal(38, 2), n=BIGINT, window_start=T3, window_end=T3)
    layout = [0, 1, "start", "end"]
    run = Run(BIDS, lambda: SessionAggregate(BIDS, 0, 5 * MINUTE, None, [], calls, out, layout), 1000)
    for i in range(0, 7, batch):
        run.step(GOLDEN[i : i + batch])
    run.step(ended=True)
    found = [(r[0], r[1], f"{r[2]:%H:%M:%S}", f"{r[3]:%H:%M:%S}") for r, _ in run.rows]
    assert found == [(D("30.00"), 7, "08:05:00", "08:22:00")]
    assert run.late == []


def sessions_of(rows: Any, delay: int, keys: Any) -> tuple[list[tuple[Any, int, int, list[int], int]], list[int]]:
    """Row by row, as Flink's rules say: (key, start, end, rows, watermark before it fired), and the late rows."""
    held: dict[Any, list[list[Any]]] = {}
    late, out = [], []
    wm = MIN_WATERMARK

    def fire(new: int) -> None:
        over = [(s, key) for key, some in held.items() for s in some if s[1] - 1 <= new]
        for s, key in sorted(over, key=lambda x: (x[0][1], x[0][2][0])):
            held[key].remove(s)
            out.append((key, s[0], s[1], s[2], wm))

    for i, r in enumerate(rows):
        key = tuple(r[k] for k in keys)
        mine = held.setdefault(key, [])
        new = [r[0], r[0] + GAP, [i]]
        for s in [s for s in mine if s[0] <= new[1] and s[1] >= new[0]]:
            mine.remove(s)
            new = [min(s[0], new[0]), max(s[1], new[1]), sorted(s[2] + new[2])]
        if new[1] - 1 <= wm:
            late.append(i)
        else:
            mine.append(new)
        if r[0] - delay > wm:
            fire(r[0] - delay)
            wm = r[0] - delay
    fire(MAX_WATERMARK)
    return out, late


def drive(run: Run, rows: Any, data: st.DataObject) -> None:
    real = [(at(r[0]), *r[1:]) for r in rows]
    i = 0

    def step(*args: Any, **kwargs: Any) -> None:
        node, given = run.graph.nodes[run.node], len(run.rows)
        before = node.out
        run.step(*args, **kwargs)
        # Nothing is late downstream: not by its time, not by the watermark that it saw.
        late = 0 if run.operator.schema[-1].name == "t" else 1  # the last column is the time, or the end
        assert all(ms_of(r[-1]) - late > before and mark <= node.out for r, mark in run.rows[given:])

    while i < len(rows):
        n = data.draw(st.integers(1, 12))
        step(real[i : i + n])
        i += n
        if data.draw(st.integers(0, 3)) == 0:
            run.crash()
        for _ in range(data.draw(st.integers(0, 9)) if run.owes else 0):
            step()
        if run.owes and data.draw(st.booleans()):
            run.crash()
    step(ended=True)
    while run.owes:
        if data.draw(st.integers(0, 7)) == 0:
            run.crash()
        step()
    assert run.graph.nodes[run.node].out == MAX_WATERMARK


def in_pieces(op: SessionAggregate, piece: int) -> SessionAggregate:
    """A step gives few of the sessions that are over, where only cells are kept."""
    if len(op._parts) == 1:
        op._parts[0].piece = piece
    return op


def is_empty(op: Any) -> bool:
    parts = getattr(op, "_parts", [op])
    first = parts[0]
    rows = len(first._rows) if isinstance(first, SessionTable) else 0
    inner = [len(p._groups.groups) for p in parts if hasattr(p, "_groups")]
    return not (rows or len(first.index) or len(first._keys) or first._counts[2] or any(inner))


ANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@ANY
@given(
    st.lists(ROWS, max_size=40),
    st.integers(0, 40),
    st.sampled_from([[], [1], [1, 2]]),
    st.sampled_from([PLAIN, SPECIAL]),
    st.sampled_from([1, 2, 1 << 15]),
    st.data(),
)
def test_aggregates_in_any_order_and_any_steps(
    rows: list[Any], delay: int, keys: list[int], wanted: Any, piece: int, data: st.DataObject
) -> None:
    calls = calls_of(EVENTS, *wanted)
    names = {f"k{k}": EVENTS[k].type for k in keys} | {f"c{i}": c.type for i, c in enumerate(calls)}
    out = Schema.of(window_start=T3, **names, window_end=T3)
    layout = ["start", *range(len(names)), "end"]
    over, late = sessions_of(rows, delay, keys)
    types = [None if c.arg is None else EVENTS[c.arg].type for c in calls]
    expected = [
        ((s, *key, *(reference.aggregate(c, t, [rows[i] for i in mine]) for c, t in zip(calls, types, strict=True)), e), wm)
        for key, s, e, mine, wm in over
    ]  # fmt: skip
    run = Run(EVENTS, lambda: in_pieces(SessionAggregate(EVENTS, 0, GAP, None, keys, calls, out, layout), piece), delay)
    drive(run, rows, data)
    found = [((ms_of(r[0]), *r[1:-1], ms_of(r[-1])), mark) for r, mark in run.rows]
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert reference.same(a, b), (a, b)
    assert len(run.late) == len(late)
    assert is_empty(run.operator)


@ANY
@given(st.lists(ROWS, max_size=40), st.integers(0, 40), st.sampled_from([[], [1], [1, 2]]), st.data())
def test_rows_in_any_order_and_any_steps(rows: list[Any], delay: int, keys: list[int], data: st.DataObject) -> None:
    out = Schema((*EVENTS.fields, Field("s", T3), Field("e", T3), Field("t", T3, "rowtime")))
    over, late = sessions_of(rows, delay, keys)
    expected = [((*rows[i], s, e, e - 1), wm) for _, s, e, mine, wm in over for i in mine]
    run = Run(EVENTS, lambda: SessionTable(EVENTS, 0, GAP, None, keys, out), delay)
    drive(run, rows, data)
    found = [((ms_of(r[0]), *r[1:-3], *map(ms_of, r[-3:])), mark) for r, mark in run.rows]
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert reference.same(a, b), (a, b)
    assert len(run.late) == len(late)
    assert is_empty(run.operator)


CLOSE = Schema((Field("ts", T3, "rowtime"), Field("k", STRING), Field("x", INT)))
CLOSE_ROWS = st.lists(st.tuples(st.integers(0, 200), st.sampled_from(["a", "b"]), st.integers(-9, 9)), min_size=10, max_size=30)  # fmt: skip


@pytest.mark.parametrize("kind", ["cells", "rows"])
@pytest.mark.parametrize("crash", [False, True])
def test_a_row_between_makes_one_of_open_sessions(kind: str, crash: bool) -> None:
    calls = calls_of(CLOSE, ("COUNT", 2, {"distinct": kind == "rows"}), ("SUM", 2), ("MIN", 2))
    out = Schema.of(k=STRING, n=BIGINT, total=INT, least=INT, start=T3, end=T3)
    run = Run(CLOSE, lambda: SessionAggregate(CLOSE, 0, GAP, None, [1], calls, out, [0, 1, 2, 3, "start", "end"]), 100)
    # 0, 15 and 30 are sessions of their own until 8 joins the first two, then 22 the third to them; b has its own.
    for time, key, x in [(0, "a", 5), (15, "a", 3), (30, "a", 1), (8, "b", 9), (8, "a", 2), (22, "a", 4), (50, "a", 7)]:
        run.step([(at(time), key, x)])
        if crash:
            run.crash()
    run.step(ended=True)
    assert [(*r[:4], ms_of(r[4]), ms_of(r[5])) for r, _ in run.rows] == [
        ("b", 1, 9, 9, 8, 18),
        ("a", 5, 15, 1, 0, 40),
        ("a", 1, 7, 7, 50, 60),
    ]
    assert is_empty(run.operator)


@pytest.mark.parametrize("kind", ["cells", "rows", "table"])
@settings(max_examples=40, deadline=None)
@given(CLOSE_ROWS, st.sampled_from([30, 300]), st.sampled_from([1, 3]), st.data())
def test_sessions_that_meet_in_any_steps(
    kind: str, rows: list[Any], delay: int, piece: int, data: st.DataObject
) -> None:
    over, late = sessions_of(rows, delay, [1])
    calls = calls_of(CLOSE, ("COUNT", 2, {"distinct": kind == "rows"}), ("SUM", 2), ("MIN", 2))
    out = Schema.of(k=STRING, n=BIGINT, total=INT, least=INT, start=T3, end=T3)
    table = Schema((*CLOSE.fields, Field("s", T3), Field("e", T3), Field("t", T3, "rowtime")))

    def make() -> Any:
        if kind == "table":
            return SessionTable(CLOSE, 0, GAP, None, [1], table)
        made = SessionAggregate(CLOSE, 0, GAP, None, [1], calls, out, [0, 1, 2, 3, "start", "end"])
        return in_pieces(made, piece)

    run = Run(CLOSE, make, delay)
    drive(run, rows, data)
    want: list[Any] = []
    for (key,), start, end, mine, _ in over:
        xs = [rows[i][2] for i in mine]
        if kind == "table":
            want += [(*rows[i], start, end, end - 1) for i in mine]
        else:
            want.append((key, len(set(xs) if kind == "rows" else xs), sum(xs), min(xs), start, end))
    if kind == "table":
        found = [(ms_of(r[0]), *r[1:3], *map(ms_of, r[3:])) for r, _ in run.rows]
    else:
        found = [(*r[:4], *map(ms_of, r[4:])) for r, _ in run.rows]
    assert found == want
    assert len(run.late) == len(late)
    assert is_empty(run.operator)


def test_sessions_of_one_key_may_overlap() -> None:
    """Behind a session that has fired a row may open another, which a later one joins."""
    s = Schema((Field("ts", T3, "rowtime"),))
    out = Schema.of(n=BIGINT, start=T3, end=T3)
    calls = calls_of(s, ("COUNT", None))
    run = Run(s, lambda: SessionAggregate(s, 0, GAP, None, [], calls, out, [0, "start", "end"]), 0)
    run.step([(at(t),) for t in (0, 15, 9, 7, 4, 21)])
    run.step(ended=True)
    # 0 fires at watermark 15; 9 and 7 join 15; 4 touches nothing that is over.
    assert [(n, ms_of(a), ms_of(b)) for (n, a, b), _ in run.rows] == [(1, 0, 10), (5, 4, 31)]


@pytest.mark.parametrize("batch", [1, 3])
def test_a_session_is_over_at_its_last_millisecond(batch: int) -> None:
    """Within one step too: a row that comes then opens another."""
    s = Schema((Field("ts", T3, "rowtime"), Field("k", STRING)))
    out = Schema.of(k=STRING, n=BIGINT, start=T3, end=T3)
    calls = calls_of(s, ("COUNT", None))
    for time, want in (
        (8, [("a", 2, 0, 15), ("b", 1, 8, 18)]),
        (9, [("a", 1, 0, 10), ("a", 1, 5, 15), ("b", 1, 9, 19)]),
    ):
        run = Run(s, lambda: SessionAggregate(s, 0, GAP, None, [1], calls, out, [0, 1, "start", "end"]), 0)
        rows = [(at(0), "a"), (at(time), "b"), (at(5), "a")]
        for i in range(0, 3, batch):
            run.step(rows[i : i + batch])
        run.step(ended=True)
        assert [(k, n, ms_of(a), ms_of(b)) for (k, n, a, b), _ in run.rows] == want


def test_a_late_row_says_why() -> None:
    op = SessionTable(BIDS, 0, 5 * MINUTE, None, [2], Schema((*BIDS.fields, *(Field(x, T3) for x in "set"))))
    op.open(State())
    delta = Delta.of(BIDS, [GOLDEN[5], (None, D(1), "?")])
    delta.marks = ms_of(GOLDEN[6][0])
    null, late = op.step([delta], Tick()).dropped
    assert (late.reason, late.origin, late.times) == ("late", "SessionTable", [ms_of(GOLDEN[5][0])])
    assert late.messages == [
        "late for the session 2020-04-15 08:09:30 to 2020-04-15 08:14:30 of SESSION(300000 ms): "
        "the watermark was 2020-04-15 08:17:00"
    ]
    assert (null.reason, null.messages) == ("constraint", ["the time column `ts` of SESSION(300000 ms) is NULL"])


@pytest.mark.parametrize("extreme", ["SUM", "MAX"])  # kept in cells, and with the rows
def test_updates_go_into_sessions(extreme: str) -> None:
    s = Schema((Field("ts", T3, "rowtime"), Field("x", INT)))
    calls = calls_of(s, ("COUNT", None), (extreme, 1))
    op = SessionAggregate(
        s, 0, GAP, None, [], calls, Schema.of(n=BIGINT, x=INT, e=T3), [0, 1, "end"], input_append=False
    )
    op.open(State())
    delta = Delta.of(s, [(at(1), 5), (at(2), 7), (at(2), 7), (at(31), 1), (at(31), 1)], [1, 1, -1, 1, -1])
    out = op.step([delta], Tick(high=MAX_WATERMARK)).delta
    assert out is not None
    assert [(*r[:2], ms_of(r[2])) for r in out.rows()] == [(1, 5, 12)]  # a row that went has made the session longer
    assert is_empty(op)


@pytest.mark.parametrize("distinct", [False, True])
def test_sessions_of_processing_time(distinct: bool) -> None:
    s = Schema.of(k=STRING)
    calls = calls_of(s, ("COUNT", 0, {"distinct": distinct}))
    out = Schema.of(k=STRING, n=BIGINT, window_start=T3, window_end=T3)
    state = State()

    def make() -> SessionAggregate:
        op = SessionAggregate(s, None, 1000, "UTC", [0], calls, out, [0, 1, "start", "end"])
        op.open(state)
        return op

    def step(op: Any, now: int, rows: Any = (), high: int = MIN_WATERMARK) -> list[Any]:
        found = op.step([Delta.of(s, rows) if rows else None], Tick(now=now, high=high)).delta
        return [] if found is None else [(k, n, ms_of(a), ms_of(b)) for k, n, a, b in found.rows()]

    op = make()
    assert op.wake() is None
    assert step(op, 400, [("a",), ("b",)]) == []
    assert op.wake() == 1400
    assert step(op, 900, [("a",)]) == []
    chunks = list(state.freeze(0).chunks())
    state = State()
    op = make()
    state.restore(chunks)
    assert op.wake() is not None
    assert step(op, 1399) == []
    assert step(op, 1400) == [("b", 1, 400, 1400)]
    n = 1 if distinct else 2
    assert step(op, 1950, [("a",)]) == [("a", n, 400, 1900)]
    assert step(op, 2000, high=MAX_WATERMARK) == [("a", 1, 1950, 2950)]
    assert is_empty(op)


def test_sessions_of_local_time() -> None:
    """As in Flink, sessions follow wall time: in an autumn night of Berlin 02:10 comes twice."""
    ltz = timestamp_ltz(3)
    s = Schema((Field("ts", ltz, "rowtime"), Field("k", STRING)))
    calls = calls_of(s, ("COUNT", None))
    out = Schema.of(k=STRING, n=BIGINT, window_start=T3, window_end=T3, window_time=ltz)
    layout = [0, 1, "start", "end", "time"]
    run = Run(s, lambda: SessionAggregate(s, 0, 30 * MINUTE, "Europe/Berlin", [1], calls, out, layout), 1000)
    rows = [(540, "a"), (560, "a"), (570, "b"), (605, "a"), (640, "a"), (700, "b")]
    for ms, k in rows:
        run.step([(dt.datetime(2023, 10, 28, 15, 50, tzinfo=dt.UTC) + dt.timedelta(minutes=ms), k)])
    run.step(ended=True)
    assert run.late == []
    assert [(r[0], r[1], f"{r[2]:%H:%M}", f"{r[3]:%H:%M}") for r, _ in run.rows] == [
        ("a", 1, "02:10", "02:40"),
        ("b", 1, "02:20", "02:50"),
        ("a", 2, "02:50", "03:25"),
        ("a", 1, "03:30", "04:00"),
        ("b", 1, "04:30", "05:00"),
    ]


def test_what_a_watermark_has_passed() -> None:
    import numpy as np

    berlin = zone("Europe/Berlin")
    autumn = ms_of(dt.datetime(2023, 10, 29, 1))
    marks = np.array(
        [MIN_WATERMARK, *range(autumn - 2 * 60 * MINUTE, autumn + 2 * 60 * MINUTE, 7 * MINUTE), MAX_WATERMARK]
    )
    walls = passed_walls("Europe/Berlin", marks)
    assert walls[0] == MIN_WATERMARK
    assert walls[-1] == MAX_WATERMARK
    assert (berlin.instant(walls[1:-1]) <= marks[1:-1]).all()
    assert (berlin.instant(walls[1:-1] + 1) > marks[1:-1]).all()


@pytest.mark.parametrize("kind", ["cells", "rows"])
def test_memory_stays_flat_over_many_sessions(kind: str) -> None:
    s = Schema((Field("ts", T3, "rowtime"), Field("k", STRING)))
    out = Schema.of(k=STRING, n=BIGINT)
    calls = calls_of(s, ("COUNT", 1, {"distinct": kind == "rows"}))
    op = SessionAggregate(s, 0, 5, None, [1], calls, out, [0, 1])
    state = State()
    op.open(state)
    sizes = []
    given = 0
    for i in range(300):
        rows = [(at(10 * i), f"a fresh key in every session {i} {j}") for j in range(1000)]
        # One session goes on for ever.
        delta = Delta.of(s, [*rows, *((at(10 * i + t), "the same") for t in (0, 4, 8))])
        found = op.step([delta], Tick(low=10 * i - 1, high=10 * i + 8)).delta
        given += 0 if found is None else len(found)
        sizes.append(state.size().bytes)
    assert given == 300 * 1000
    assert max(sizes) < 16 << 20  # 10 MB of text alone went through
    # Arrays are made anew when they have room for twice as much: sizes go up and down. 32 bytes a row kept would double it.
    assert max(sizes[150:]) <= max(sizes[:150]) * 1.25
    assert len(op._parts[0].index) == 1  # type: ignore[attr-defined]
