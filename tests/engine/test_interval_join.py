from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK, Tick
from deras.core.types import BIGINT, STRING, timestamp
from deras.engine.operator import RowErrors
from deras.engine.operators.interval_join import IntervalJoin
from deras.engine.state import State
from deras.testing.engine import Harness, Run, Step, four_ways

if TYPE_CHECKING:
    from deras.engine.operators.interval_join import JoinKind

TS = timestamp(3)
LEFT = Schema.of(k=BIGINT, t=TS, s=STRING)
RIGHT = Schema.of(x=STRING, u=TS, j=BIGINT)
KINDS: tuple[JoinKind, ...] = ("inner", "left", "right", "full", "semi", "anti")


def at(ms: int) -> Any:
    return np.datetime64(ms, "ms").astype(object)


class Row:
    """A row of one side: key, time, name, and the watermark that it saw."""

    def __init__(self, key: int | None, time: int, name: str, mark: int) -> None:
        self.key, self.time, self.name, self.mark = key, time, name, mark

    def left(self) -> tuple[Any, ...]:
        return (self.key, at(self.time), self.name)

    def right(self) -> tuple[Any, ...]:
        return (self.name, at(self.time), self.key)


def delta(side: int, rows: list[Row]) -> Delta | None:
    if not rows:
        return None
    d = Delta.of((LEFT, RIGHT)[side], [r.left() if side == 0 else r.right() for r in rows])
    return Delta(d.schema, d.columns, None, np.array([r.mark for r in rows]), d.length)


def passes(a: Row, b: Row) -> bool:
    return a.name[-1] != b.name[-1]


def reference(
    left: list[Row], right: list[Row], low: int, high: int, kind: str, rest: bool
) -> tuple[Counter[Any], Counter[str]]:
    rows: Counter[Any] = Counter()
    had: set[int] = set()
    for a in left:
        for b in right:
            if a.key is None or a.key != b.key or not low <= b.time - a.time <= high:
                continue
            if a.time + high <= b.mark or b.time - low <= a.mark or (rest and not passes(a, b)):
                continue
            if kind not in ("semi", "anti"):
                rows[a.left() + b.right()] += 1
            had |= {id(a), id(b)}
    late: Counter[str] = Counter()
    for side, kept in ((left, kind in ("left", "full", "anti")), (right, kind in ("right", "full"))):
        for r in side:
            if id(r) in had:
                if kind == "semi" and side is left:
                    rows[r.left()] += 1
            elif kept:
                none = (None, None, None)
                row = r.left() if kind == "anti" else r.left() + none if side is left else none + r.right()
                rows[row] += 1
            elif r.key is not None and r.time + (high if side is left else -low) <= r.mark:
                late[r.name] += 1
    return rows, late


class Differ:
    """The residual: the last letters of the names differ."""

    schema = Schema((*LEFT.fields, *RIGHT.fields))

    def run(self, delta: Delta, tick: Tick) -> tuple[Delta, list[RowErrors]]:
        a, b = delta.columns[2].values(), delta.columns[3].values()
        return delta.take(np.array([i for i in range(delta.length) if a[i][-1] != b[i][-1]], np.int64)), []


def names(run: Run | Harness) -> Counter[str]:
    import orjson

    dropped = run.dropped if isinstance(run, Run) else run.run.dropped
    found = []
    for reason, raw in dropped:
        assert reason == "late"
        row = orjson.loads(raw)
        found.append(row.get("s") or row.get("x"))
    return Counter(found)


@st.composite
def inputs(draw: st.DrawFn) -> tuple[list[Step], list[Row], list[Row]]:
    steps: list[Step] = []
    left: list[Row] = []
    right: list[Row] = []
    high = MIN_WATERMARK
    now = 0
    for i in range(draw(st.integers(1, 5))):
        sides = []
        for side, all_ in ((0, left), (1, right)):
            rows = [
                Row(
                    draw(st.none() | st.integers(0, 2)),
                    now + draw(st.integers(-8, 8)),
                    f"{'ab'[side]}{i}.{j}{draw(st.sampled_from('xyz'))}",
                    high,
                )
                for j in range(draw(st.integers(0, 4)))
            ]
            all_ += rows
            sides.append(delta(side, rows))
        now += draw(st.integers(0, 6))
        high = max(high, now - 3)
        steps.append(Step(sides, high))
    steps.append(Step([None, None], MAX_WATERMARK))
    return steps, left, right


@settings(max_examples=80, deadline=None)
@given(inputs(), st.integers(-6, 3), st.integers(0, 7), st.sampled_from(KINDS), st.booleans())
def test_pairs_pads_and_late_rows_four_ways(
    data: tuple[list[Step], list[Row], list[Row]], low: int, width: int, kind: JoinKind, rest: bool
) -> None:
    steps, left, right = data
    high = low + width

    def make() -> IntervalJoin:
        return IntervalJoin(LEFT, RIGHT, [0], [2], 1, 1, low, high, kind, Differ() if rest else None)

    rows = four_ways(make, steps)
    want, late = reference(left, right, low, high, kind, rest)
    assert Counter(rows) == want
    h = Harness(make)
    for s in steps:
        h.step(s.inputs(2), s.high)
    assert names(h) == late


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(KINDS))
def test_a_table_with_itself_however_it_is_cut(data: st.DataObject, kind: JoinKind) -> None:
    low, high = -3, 4
    both: list[Row] = []
    mark = MIN_WATERMARK
    marks = []
    for i in range(data.draw(st.integers(1, 14))):
        time = data.draw(st.integers(0, 30))
        both.append(Row(data.draw(st.integers(0, 1)), time, f"{i}", mark))
        mark = max(mark, time - 1)
        marks.append(mark)
    others = [Row(r.key, r.time, r.name, r.mark) for r in both]
    want, late = reference(both, others, low, high, kind, False)
    for _ in range(3):
        h = Harness(lambda: IntervalJoin(LEFT, RIGHT, [0], [2], 1, 1, low, high, kind))
        start = 0
        while start < len(both):
            stop = data.draw(st.integers(start + 1, len(both)))
            part = both[start:stop]
            out = h.step([delta(0, part), delta(1, part)], marks[stop - 1])
            if out is not None:
                saw = out.mark_array()
                assert (saw[1:] >= saw[:-1]).all()
                assert saw.max() <= h.operator.hold(marks[stop - 1])
            start = stop
        h.step([None, None], MAX_WATERMARK)
        assert Counter(h.run.rows()) == want
        assert names(h) == late


def test_pads_come_when_the_watermark_passes_the_bound() -> None:
    h = Harness(lambda: IntervalJoin(LEFT, RIGHT, [0], [2], 1, 1, 0, 10, "left"))
    assert h.step([delta(0, [Row(1, 100, "a", 0)]), None], 109) is None
    out = h.step([None, None], 110)
    assert out is not None
    assert out.rows() == [(1, at(100), "a", None, None, None)]
    assert out.marks.tolist() == [99]  # type: ignore[union-attr]
    assert h.operator.hold(110) == 100


def test_bounds_count_in_and_a_late_row_joins_until_they_end() -> None:
    h = Harness(lambda: IntervalJoin(LEFT, RIGHT, [0], [2], 1, 1, -5, 5))
    h.step([delta(0, [Row(1, 100, "a", 0)]), None], 104)
    # 98 is late (the watermark is 104), but the left row still waits for rows up to 105.
    out = h.step([None, delta(1, [Row(1, 98, "b", 104), Row(1, 95, "c", 104), Row(1, 94, "d", 104)])], 104)
    assert out is not None
    assert [r[3] for r in out.rows()] == ["b", "c"]
    assert h.step([None, delta(1, [Row(1, 99, "e", 105)])], 105) is None
    assert names(h) == Counter({"d": 1, "e": 1})


def test_order_is_that_of_arrival() -> None:
    h = Harness(lambda: IntervalJoin(LEFT, RIGHT, [0], [2], 1, 1, -9, 9))
    h.step([None, delta(1, [Row(1, 5, "r1", 0), Row(2, 5, "r2", 0), Row(1, 4, "r3", 0)])])
    out = h.step([delta(0, [Row(1, 5, "a", 0), Row(2, 5, "b", 0), Row(1, 1, "c", 0)]), None])
    assert out is not None
    assert [(r[2], r[3]) for r in out.rows()] == [("a", "r1"), ("a", "r3"), ("b", "r2"), ("c", "r1"), ("c", "r3")]


def test_processing_time() -> None:
    def make() -> IntervalJoin:
        return IntervalJoin(LEFT, RIGHT, [0], [2], None, None, 0, 10, "left")

    steps = [
        Step([delta(0, [Row(1, 0, "a", 0), Row(2, 0, "b", 0)]), None], now=100),
        Step([None, delta(1, [Row(1, 0, "r", 0)])], now=110),
        Step([None, delta(1, [Row(2, 0, "s", 0)])], now=111),
        Step([delta(0, [Row(1, 0, "c", 0)]), None], now=112),
        Step([None, None], MAX_WATERMARK, now=113),
    ]
    rows = four_ways(make, steps, batch=False)
    assert {(r[2], r[3]) for r in rows} == {("a", "r"), ("b", None), ("c", None)}
    h = Harness(make)
    h.step(steps[0].inputs(2), now=100)
    assert h.operator.wake() == 111


def test_null_times_are_told() -> None:
    h = Harness(lambda: IntervalJoin(LEFT, RIGHT, [0], [2], 1, 1, 0, 1))
    h.step([Delta.of(LEFT, [(1, None, "a")]), None])
    assert [r for r, _ in h.run.dropped] == ["constraint"]


def test_many_partners_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deras.engine.operators.interval_join.ROOM", 7)
    h = Harness(lambda: IntervalJoin(LEFT, RIGHT, [0], [2], 1, 1, 0, 3))
    left = [Row(i % 3, i, f"l{i}", 0) for i in range(1, 20)]
    right = [Row(i % 4, i, f"r{i}", 0) for i in range(1, 50)]
    h.step([None, delta(1, right)])
    out = h.step([delta(0, left), None])
    assert out is not None
    assert Counter(out.rows()) == reference(left, right, 0, 3, "inner", False)[0]


@pytest.mark.parametrize("kind", ["inner", "full"])
def test_hours_of_fresh_keys_leave_memory_flat(kind: JoinKind) -> None:
    operator = IntervalJoin(LEFT, RIGHT, [0], [2], 1, 1, -1000, 1000, kind)
    state = State()
    operator.open(state)
    sizes = []
    rnd = random.Random(1)
    words = np.arange(2000, dtype=np.int64)
    from deras.core.column import Column

    texts = Column.of_values(STRING, [f"a text of more than twelve bytes {i}" for i in range(2000)])
    for i in range(80):
        keys = Column.of_words(BIGINT, words + i * 2000)
        times = Column.of_words(TS, (words % 1000 + i * 1000 + rnd.randint(0, 9)) * 1000)
        low = i * 1000 - 1000
        left = Delta(LEFT, [keys, times, texts], None, low)
        right = Delta(RIGHT, [texts, times, keys], None, low)
        out = operator.step([left, right], Tick(low=low, high=low + 1000))
        assert out.delta is not None
        assert out.delta.length >= 2000
        assert not out.dropped
        sizes.append(state.size().bytes)
    assert state.size().keys < 8500
    assert state.size().rows < 17000
    assert max(sizes[40:]) <= max(sizes[20:40]) * 1.1
    assert max(sizes) < 12_000_000
    operator.step([None, None], Tick(low=low + 1000, high=MAX_WATERMARK))
    assert state.size().keys == state.size().rows == 0
