"""Window aggregation: golden cases of Flink 2.3, and any order of rows against plain Python."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine import reference

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.errors import PlanError
from deras.core.schema import Field, Schema
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK, Tick
from deras.core.types import BIGINT, DOUBLE, INT, STRING, SqlType, decimal, timestamp, timestamp_ltz
from deras.engine.aggregates import AggregateCall, result_type
from deras.engine.graph import Graph
from deras.engine.operator import AT_ONCE, Feed
from deras.engine.operators.source import SourceInput
from deras.engine.operators.window_aggregate import WindowAggregate
from deras.engine.operators.window_table import WindowTable
from deras.engine.state import State

D = Decimal
MINUTE = 60_000
T3 = timestamp(3)
EPOCH = dt.datetime(1970, 1, 1)


class Behind:
    """A watermark some ms behind the rowtime in column 0."""

    def __init__(self, ms: int, type_: SqlType = T3) -> None:
        self.ms = ms
        self.schema = Schema.of(w=type_)

    def run(self, delta: Delta, tick: Tick) -> Any:
        column = delta.columns[0]
        words = column.words() - self.ms * 1000
        return delta.with_columns(self.schema, [Column.of_words(column.type, words, column.valid())]), ()


def at(ms: int) -> dt.datetime:
    return EPOCH + dt.timedelta(milliseconds=ms)


def ms_of(t: dt.datetime) -> int:
    return (t.replace(tzinfo=None) - EPOCH) // dt.timedelta(milliseconds=1)


def calls_of(schema: Schema, *wanted: Any) -> list[AggregateCall]:
    found = []
    for function, arg, *rest in wanted:
        t = result_type(function, None if arg is None else schema[arg].type)
        found.append(AggregateCall(function, arg, t, **(rest[0] if rest else {})))
    return found


class Run:
    """A source and an operator; steps, and crashes with a restart from what was frozen."""

    def __init__(self, schema: Schema, make: Any, delay: int = 0) -> None:
        self.schema, self.make, self.delay = schema, make, delay
        self.saved: list[Any] = []
        self.rows: list[tuple[tuple[Any, ...], int]] = []
        self.late: list[bytes] = []
        self.start()

    def start(self, nodes: Any = None) -> None:
        self.graph = Graph()
        self.states = [State("s"), State("o")]
        source = SourceInput(self.schema, None, Behind(self.delay, self.schema[0].type), 0, "t")
        self.source = self.graph.add(source, name="s", state=self.states[0])
        self.operator = self.make()
        self.node = self.graph.add(self.operator, [self.source], name="o", state=self.states[1])
        if self.saved:
            for i in range(2):
                self.states[i].restore([c for pair in self.saved for c in pair[i]])
            for n, (low, out) in nodes.items():
                self.graph.nodes[n].low, self.graph.nodes[n].out = low, out
        source.declare(["p"])

    def crash(self) -> None:
        self.saved.append([list(s.freeze(len(self.saved)).chunks()) for s in self.states])
        self.start({n: (node.low, node.out) for n, node in self.graph.nodes.items()})
        self.saved = [[list(s.base(0).chunks()) for s in self.states]]

    def step(self, rows: Any = (), ended: bool = False) -> None:
        delta = Delta.of(self.schema, rows) if rows else None
        self.feed({self.source: [Feed("p", delta, ended=ended)]})

    @property
    def owes(self) -> bool:
        return self.graph.wake() == AT_ONCE

    def feed(self, feeds: Any) -> None:
        result = self.graph.step(feeds, epoch=0, now=0)
        found = result.deltas.get(self.node)
        if found is not None:
            assert found.weights is None
            self.rows += zip(found.rows(), found.mark_array().tolist(), strict=True)
        for r in result.dropped:
            assert r.reason == "late"
            self.late += r.raw


BIDS = Schema((Field("ts", T3, "rowtime"), Field("price", decimal(10, 2)), Field("item", STRING)))
GOLDEN = [
    (dt.datetime(2020, 4, 15, 8, m, s), D(p), n)
    for m, s, p, n in [
        (5, 0, "4.00", "C"),
        (7, 0, "2.00", "A"),
        (9, 0, "5.00", "D"),
        (11, 0, "3.00", "B"),
        (13, 0, "1.00", "E"),
        (9, 30, "9.00", "LATE"),
        (17, 0, "6.00", "F"),
    ]
]


def golden(kind: str, size: int, slide: int, batch: int) -> tuple[list[str], list[bytes]]:
    calls = calls_of(BIDS, ("SUM", 1), ("COUNT", None))
    out = Schema.of(total=decimal(38, 2), n=BIGINT, window_start=T3, window_end=T3)
    run = Run(BIDS, lambda: WindowAggregate(BIDS, 0, kind, size, slide, 0, None, [], calls, out), 1000)
    for i in range(0, 7, batch):
        run.step(GOLDEN[i : i + batch])
    run.step(ended=True)
    return [f"{r[2]:%H:%M}-{r[3]:%H:%M} {r[0]}, {r[1]}" for r, _ in run.rows], run.late


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_golden_windows(batch: int) -> None:
    rows, late = golden("tumble", 10 * MINUTE, 0, batch)
    assert rows == ["08:00-08:10 11.00, 3", "08:10-08:20 10.00, 3"]
    assert late == [b'{"ts":"2020-04-15 08:09:30","price":9.00,"item":"LATE"}']
    rows, late = golden("cumulate", 10 * MINUTE, 2 * MINUTE, batch)
    assert [r.split("-")[1].split(",")[0] for r in rows] == [
        "08:06 4.00",
        "08:08 6.00",
        "08:10 11.00",
        "08:12 3.00",
        "08:14 4.00",
        "08:16 4.00",
        "08:18 10.00",
        "08:20 10.00",
    ]
    assert len(late) == 1
    rows, late = golden("hop", 10 * MINUTE, 5 * MINUTE, batch)  # the late row still counts in 08:05-08:15
    assert rows == ["08:00-08:10 11.00, 3", "08:05-08:15 24.00, 6", "08:10-08:20 10.00, 3", "08:15-08:25 6.00, 1"]
    assert late == []


def test_bare_table_function_keeps_the_late_row() -> None:
    out = Schema((*BIDS.fields, Field("ws", T3), Field("we", T3), Field("wt", T3, "rowtime")))
    run = Run(BIDS, lambda: WindowTable(BIDS, 0, "tumble", 10 * MINUTE, 0, 0, None, out), 1000)
    for row in GOLDEN:
        run.step([row])
    found = [(r[2], f"{r[3]:%H:%M}-{r[4]:%H:%M}", f"{r[5]:%H:%M:%S.%f}") for r, _ in run.rows]
    assert len(found) == 7
    assert found[5] == ("LATE", "08:00-08:10", "08:09:59.999000")
    assert [m for _, m in run.rows] == [MIN_WATERMARK, *(ms_of(r[0]) - 1000 for r in (*GOLDEN[:5], GOLDEN[4]))]


def test_message_of_a_late_row() -> None:
    calls = calls_of(BIDS, ("COUNT", None))
    op = WindowAggregate(BIDS, 0, "tumble", 10 * MINUTE, 0, 0, None, [], calls, Schema.of(n=BIGINT))
    op.open(State())
    delta = Delta.of(BIDS, [GOLDEN[5]])
    delta.marks = ms_of(GOLDEN[4][0]) - 1000
    (dropped,) = op.step([delta], Tick()).dropped
    assert (dropped.reason, dropped.origin, dropped.times) == ("late", "WindowAggregate", [ms_of(GOLDEN[5][0])])
    assert dropped.messages == [
        "late for the window 2020-04-15 08:00:00 to 2020-04-15 08:10:00 of TUMBLE(600000 ms): "
        "the watermark was 2020-04-15 08:12:59"
    ]


def test_chained_windows() -> None:
    """A window over window_time of another one: nothing is late, whatever comes in one step."""
    calls = calls_of(BIDS, ("COUNT", None))
    inner = Schema((Field("n", BIGINT), Field("window_time", T3, "rowtime")))
    outer_calls = calls_of(inner, ("SUM", 0))
    outer = Schema.of(n=BIGINT, window_end=T3)
    for batch in (1, 7):
        graph = Graph()
        source = SourceInput(BIDS, None, Behind(1000), 0, "t")
        s = graph.add(source, name="s", state=State())
        source.declare(["p"])
        first = WindowAggregate(BIDS, 0, "tumble", 2 * MINUTE, 0, 0, None, [], calls, inner, [0, "time"])
        a = graph.add(first, [s], name="a", state=State())
        second = WindowAggregate(inner, 1, "tumble", 10 * MINUTE, 0, 0, None, [], outer_calls, outer, [0, "end"])
        b = graph.add(second, [a], name="b", state=State())
        rows, dropped = [], 0
        for i in [*range(0, 7, batch), None]:
            feed = Feed("p", ended=True) if i is None else Feed("p", Delta.of(BIDS, GOLDEN[i : i + batch]))
            result = graph.step({s: [feed]}, epoch=0, now=0)
            dropped += sum(map(len, result.dropped))
            if b in result.deltas:
                rows += result.deltas[b].rows()
        assert [(n, f"{t:%H:%M}") for n, t in rows] == [(3, "08:10"), (3, "08:20")]
        assert dropped == 1


# ---- anything


EVENTS = Schema(
    (
        Field("ts", T3, "rowtime"),
        Field("k", STRING),
        Field("x", INT),
        Field("d", DOUBLE),
        Field("t", STRING),
        Field("m", decimal(9, 2)),
        Field("w", decimal(30, 0)),
    )
)
ROWS = st.tuples(
    st.integers(-60, 120),
    st.sampled_from(["a", "b", None, "a key that is longer than twelve bytes"]),
    st.none() | st.integers(-9, 9),
    st.none() | st.floats(-1e3, 1e3, width=32) | st.sampled_from([float("nan"), float("inf")]),
    st.none() | st.sampled_from(["", "x", "a text that is longer than twelve bytes"]),
    st.none() | st.decimals(-1000, 1000, places=2),
    st.none() | st.integers(-(10**30) + 1, 10**30 - 1).map(D),
)
KINDS = st.sampled_from([("tumble", 10, 0), ("hop", 12, 4), ("hop", 30, 5), ("cumulate", 20, 5), ("hop", 6, 6)])
PLAIN = (
    ("COUNT", None),
    ("SUM", 2),
    ("MIN", 2),
    ("MAX", 3),
    ("SUM", 3),
    ("STDDEV_POP", 2),
    ("AVG", 3),
    ("VAR_SAMP", 3),
    ("SUM", 5),
    ("AVG", 5),
    ("SUM", 6),
    ("MIN", 6),
    ("MAX", 6),
    ("COUNT", 6),
)
SPECIAL = (*PLAIN, ("COUNT", 2, {"distinct": True}), ("MAX", 4), ("LAST_VALUE", 2), ("FIRST_VALUE", 4))


def expected_of(rows: Any, kind: Any, offset: int, delay: int, keys: Any, calls: Any) -> Any:
    """Row by row, as the rules of Flink say."""
    held: dict[int, dict[Any, list[Any]]] = {}
    late, out = [], []
    wm = MIN_WATERMARK

    def fire(new: int) -> None:
        for end in sorted(e for e in held if e - 1 <= new):
            for key, found in held.pop(end).items():
                results = [reference.aggregate(c, None if c.arg is None else EVENTS[c.arg].type, found) for c in calls]
                out.append(((*key, *results, end), wm))

    for i, r in enumerate(rows):
        ends = [e for _, e in reference.windows(*kind, offset, r[0])]
        if ends[-1] - 1 <= wm:
            late.append(i)
        for end in ends:
            if end - 1 > wm:
                held.setdefault(end, {}).setdefault(tuple(r[k] for k in keys), []).append(r)
        if r[0] - delay > wm:
            fire(r[0] - delay)
            wm = r[0] - delay
    fire(MAX_WATERMARK)
    return out, late


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(ROWS, max_size=40),
    KINDS,
    st.sampled_from([0, 3, -7]),
    st.integers(0, 15),
    st.sampled_from([[], [1], [1, 2]]),
    st.sampled_from([PLAIN, SPECIAL]),
    st.sampled_from([1, 2, 3, 7, 1 << 15]),
    st.data(),
)
def test_any_order_and_any_batches(
    rows: list[Any], kind: Any, offset: int, delay: int, keys: list[int], wanted: Any, piece: int, data: st.DataObject
) -> None:
    """Results, their order and the watermark that they saw; also where a step gives few of those that are due."""
    calls = calls_of(EVENTS, *wanted)
    names = {f"k{k}": EVENTS[k].type for k in keys} | {f"c{i}": c.type for i, c in enumerate(calls)}
    out = Schema.of(**names, window_end=T3)
    layout = [*range(len(names)), "end"]
    expected, late = expected_of(rows, kind, offset, delay, keys, calls)
    name, size, slide = kind

    def make() -> WindowAggregate:
        made = WindowAggregate(EVENTS, 0, name, size, slide, offset, None, keys, calls, out, layout)
        made.piece = piece
        return made

    run = Run(EVENTS, make, delay)

    def step(*args: Any, **kwargs: Any) -> None:
        node, given = run.graph.nodes[run.node], len(run.rows)
        before = node.out
        run.step(*args, **kwargs)
        # Nothing is late downstream: not by its time, not by the watermark that it saw.
        assert all(ms_of(r[-1]) - 1 > before and mark <= node.out for r, mark in run.rows[given:])
        assert piece > 1 or args or len(run.rows) <= given + 1

    real = [(at(r[0]), *r[1:]) for r in rows]
    i = 0
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
        assert run.graph.nodes[run.node].out < MAX_WATERMARK or len(run.rows) == len(expected)
        if data.draw(st.integers(0, 7)) == 0:
            run.crash()
        step()
    assert run.graph.nodes[run.node].out == MAX_WATERMARK
    found = [((*r[:-1], ms_of(r[-1])), mark) for r, mark in run.rows]
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert reference.same(a, b), (a, b)
    assert len(run.late) == len(late)
    assert len(run.operator._groups.groups) == 0
    assert all(len(s.index) == 0 for s in run.operator._groups.sets)
    assert not run.operator._members
    assert not run.operator._waiting


def test_windows_of_local_time() -> None:
    """Days of Jakarta begin at 17:00 UTC; in an autumn night of Berlin two hours are one window."""
    ltz = timestamp_ltz(3)
    s = Schema((Field("ts", ltz, "rowtime"),))
    calls = calls_of(s, ("COUNT", None))
    out = Schema.of(n=BIGINT, window_start=T3, window_end=T3, window_time=ltz)
    utc = dt.UTC

    def run(zone: str, size: int, times: list[dt.datetime]) -> list[Any]:
        r = Run(s, lambda: WindowAggregate(s, 0, "tumble", size, 0, 0, zone, [], calls, out))
        for t in times:
            r.step([(t,)])
        r.step(ended=True)
        assert r.late == []
        return [x for x, _ in r.rows]

    day = 24 * 60 * MINUTE
    times = [dt.datetime(2024, 1, 1, 16, 59, 59, tzinfo=utc), dt.datetime(2024, 1, 1, 17, tzinfo=utc)]
    found = run("Asia/Jakarta", day, times)
    assert found[0][:3] == (1, dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2))
    assert found[0][3] == dt.datetime(2024, 1, 1, 16, 59, 59, 999000, tzinfo=utc)
    assert found[1][1] == dt.datetime(2024, 1, 2)
    assert run("GMT+07:00", day, times) == found
    times = [dt.datetime(2024, 10, 27, h, 30, tzinfo=utc) for h in (0, 1, 2)]  # 02:30, 02:30, 03:30
    found = run("Europe/Berlin", 60 * MINUTE, times)
    assert [(x[0], f"{x[1]:%H:%M}", f"{x[3]:%H:%M}") for x in found] == [(2, "02:00", "01:59"), (1, "03:00", "02:59")]
    times = [dt.datetime(2024, 3, 31, h, 30, tzinfo=utc) for h in (0, 1)]  # 01:30, 03:30
    found = run("Europe/Berlin", 60 * MINUTE, times)
    assert [(x[0], f"{x[1]:%H:%M}", f"{x[3]:%H:%M}") for x in found] == [(1, "01:00", "00:59"), (1, "03:00", "01:59")]


@pytest.mark.parametrize("kind", [("tumble", 1000, 0), ("hop", 1000, 500)])
def test_windows_of_processing_time(kind: Any) -> None:
    s = Schema.of(k=STRING)
    calls = calls_of(s, ("COUNT", None))
    out = Schema.of(k=STRING, n=BIGINT, window_end=T3)
    state = State()

    def make() -> WindowAggregate:
        op = WindowAggregate(s, None, *kind, 0, "UTC", [0], calls, out, [0, 1, "end"], proctime=True)
        op.open(state)
        return op

    def step(op: WindowAggregate, now: int, rows: Any = (), high: int = MIN_WATERMARK) -> list[Any]:
        found = op.step([Delta.of(s, rows) if rows else None], Tick(now=now, high=high)).delta
        return [] if found is None else [(k, n, ms_of(e)) for k, n, e in found.rows()]

    op = make()
    assert op.wake() is None
    assert step(op, 400, [("a",), ("b",), ("a",)]) == []
    first = 500 if kind[0] == "hop" else 1000
    assert op.wake() == first
    assert step(op, first - 1) == []
    chunks = list(state.freeze(0).chunks())
    state = State()
    op = make()
    state.restore(chunks)
    assert op.wake() is not None
    assert step(op, first) == [("a", 2, first), ("b", 1, first)]
    assert step(op, 1200, [("c",)])[-2:] == ([("a", 2, 1000), ("b", 1, 1000)] if kind[0] == "hop" else [])
    assert step(op, 1300, high=MAX_WATERMARK)[-1] == ("c", 1, 2000)
    assert len(op._groups.groups) == 0


def test_a_hop_that_its_slide_does_not_divide_is_refused() -> None:
    with pytest.raises(PlanError, match="multiple of its slide"):
        WindowAggregate(BIDS, 0, "hop", 10, 4, 0, None, [], [], Schema.of())


def test_updates_go_into_windows() -> None:
    s = Schema((Field("ts", T3, "rowtime"), Field("x", INT)))
    calls = calls_of(s, ("COUNT", None), ("MAX", 1))
    for kind in (("tumble", 10, 0), ("hop", 10, 5)):
        op = WindowAggregate(s, 0, *kind, 0, None, [], calls, Schema.of(n=BIGINT, x=INT, e=T3), input_append=False,
                             layout=[0, 1, "end"])  # fmt: skip
        op.open(State())
        delta = Delta.of(s, [(at(1), 5), (at(2), 7), (at(2), 7), (at(31), 1), (at(31), 1)], [1, 1, -1, 1, -1])
        out = op.step([delta], Tick(high=MAX_WATERMARK)).delta
        assert out is not None
        assert {r[:2] for r in out.rows()} == {(1, 5)}
        assert len(op._groups.groups) == 0


def test_memory_stays_flat_over_many_windows() -> None:
    s = Schema((Field("ts", T3, "rowtime"), Field("k", STRING)))
    calls = calls_of(s, ("COUNT", 1, {"distinct": True}))
    out = Schema.of(k=STRING, n=BIGINT)
    op = WindowAggregate(s, 0, "tumble", 10, 0, 0, None, [1], calls, out)
    op.open(State())
    sizes = []
    for i in range(500):
        delta = Delta.of(s, [(at(10 * i), f"a fresh key in every window {i} {j}") for j in range(1000)])
        found = op.step([delta], Tick(low=10 * i - 1, high=10 * i + 9)).delta
        assert found is not None
        assert len(found) == 1000
        sizes.append(op._groups.groups.bytes + op._groups.sets[0].index.bytes)
    assert op._groups.groups.used == 1000
    assert max(sizes) < 8 << 20  # 34 MB of text went through


def test_the_marks_of_a_step_do_not_cost_a_pass_each() -> None:
    """Many windows in one step fire together."""
    s = Schema((Field("ts", T3, "rowtime"),))
    calls = calls_of(s, ("COUNT", None))
    op = WindowAggregate(s, 0, "tumble", 1, 0, 0, None, [], calls, Schema.of(n=BIGINT))
    op.open(State())
    n = 5000
    delta = Delta(s, [Column.of_words(T3, np.arange(n) * 1000)], None, np.arange(n) - 2)
    out = op.step([delta], Tick(high=n)).delta
    assert out is not None
    assert len(out) == n
    assert out.mark_array().tolist() == [min(i - 1, n - 3) for i in range(n)]


def test_with_bounds_checks() -> None:
    """The same tests, once, with every array access of the kernels checked."""
    if os.environ.get("DERAS_BOUNDSCHECK") == "1":
        pytest.skip("this is that run")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            __file__,
            "-k",
            "golden or memory or time",
        ],
        env={**os.environ, "DERAS_BOUNDSCHECK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
