from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK, Tick
from deras.core.types import BIGINT, STRING, timestamp
from deras.engine.operator import RowErrors
from deras.engine.operators.temporal_join import TemporalJoin
from deras.engine.state import State
from deras.testing.engine import Harness, Run, Step, as_batch, as_steps, from_base, one_by_one, with_crashes

TS = timestamp(3)
LEFT = Schema.of(k=BIGINT, t=TS, s=STRING)
RIGHT = Schema.of(x=STRING, u=TS, j=BIGINT)


def at(ms: int) -> Any:
    return np.datetime64(ms, "ms").astype(object)


class Row:
    """A row or version: key, time, name, the watermark that it saw, +1 or -1."""

    def __init__(self, key: int | None, time: int, name: str, mark: int, weight: int = 1) -> None:
        self.key, self.time, self.name, self.mark, self.weight = key, time, name, mark, weight

    def left(self) -> tuple[Any, ...]:
        return (self.key, at(self.time), self.name)

    def right(self) -> tuple[Any, ...]:
        return (self.name, at(self.time), self.key)


def delta(side: int, rows: list[Row]) -> Delta | None:
    if not rows:
        return None
    weights = [r.weight for r in rows] if any(r.weight < 0 for r in rows) else None
    d = Delta.of((LEFT, RIGHT)[side], [r.left() if side == 0 else r.right() for r in rows], weights)
    return Delta(d.schema, d.columns, d.weights, np.array([r.mark for r in rows]), d.length)


def rising(right: list[Row]) -> list[Row]:
    """Versions that are not older than the last one of their key."""
    last: dict[int | None, int] = {}
    found = []
    for b in right:
        if b.time >= last.get(b.key, b.time):
            last[b.key] = b.time
            found.append(b)
    return found


def version(a: Row, right: list[Row], strict: bool) -> Row | None:
    over = MIN_WATERMARK
    for _, b in sorted(enumerate(right), key=lambda x: (x[1].time, x[0]), reverse=True):
        if b.key != a.key or a.key is None or b.time > a.time - strict or b.mark >= a.time or b.mark < over:
            continue
        if b.weight > 0:
            return b
        over = max(over, b.time, b.mark)
    return None


def reference(left: list[Row], right: list[Row], kind: str, strict: bool, rest: bool) -> tuple[Counter[Any], int]:
    rows: Counter[Any] = Counter()
    late = 0
    for a in left:
        if a.time <= a.mark:
            late += 1
            continue
        b = version(a, right, strict)
        if b is not None and not (rest and b.name[-1] == a.name[-1]):
            rows[a.left() + b.right()] += 1
        elif kind == "left":
            rows[(*a.left(), None, None, None)] += 1
    return rows, late


class Differ:
    """The residual: the last letters of the names differ."""

    schema = Schema((*LEFT.fields, *RIGHT.fields))

    def run(self, delta: Delta, tick: Tick) -> tuple[Delta, list[RowErrors]]:
        a, b = delta.columns[2].values(), delta.columns[3].values()
        return delta.take(np.array([i for i in range(delta.length) if a[i][-1] != b[i][-1]], np.int64)), []


@st.composite
def inputs(draw: st.DrawFn, deletes: bool) -> tuple[list[Step], list[Row], list[Row]]:
    steps: list[Step] = []
    left: list[Row] = []
    right: list[Row] = []
    high = MIN_WATERMARK
    now = 0
    for i in range(draw(st.integers(1, 6))):
        mine = [
            Row(
                draw(st.none() | st.integers(0, 1)),
                now + draw(st.integers(-6, 8)),
                f"a{i}.{j}{draw(st.sampled_from('xyz'))}",
                high,
            )
            for j in range(draw(st.integers(0, 3)))
        ]
        theirs = [
            Row(
                draw(st.integers(0, 1)), now + draw(st.integers(-6, 6)), f"b{i}.{j}{draw(st.sampled_from('xyz'))}", high
            )
            for j in range(draw(st.integers(0, 3)))
        ]
        left += mine
        right += theirs
        now += draw(st.integers(0, 6))
        high = max(high, now - 3)
        steps.append(Step([delta(0, mine), delta(1, theirs)], high))
        if deletes and draw(st.booleans()):
            # In a step of its own, so that no insertion follows that would make it an update.
            gone = Row(draw(st.integers(0, 1)), now + draw(st.integers(-6, 4)), "gone", high, -1)
            right.append(gone)
            steps.append(Step([None, delta(1, [gone])], high))
            steps.append(Step([None, None], high))
    steps.append(Step([None, None], MAX_WATERMARK))
    return steps, left, right


@settings(max_examples=100, deadline=None)
@given(st.booleans().flatmap(inputs), st.sampled_from(["inner", "left"]), st.booleans(), st.booleans(), st.booleans())
def test_versions_deletions_and_late_rows(
    data: tuple[list[Step], list[Row], list[Row]], kind: Any, strict: bool, rest: bool, newest: bool
) -> None:
    steps, left, right = data
    newest = newest and all(r.weight > 0 for r in right)

    def make() -> TemporalJoin:
        return TemporalJoin(LEFT, RIGHT, [0], [2], 1, 1, kind, Differ() if rest else None, strict=strict, newest=newest)

    want, late = reference(left, rising(right) if newest else right, kind, strict, rest)
    rows = one_by_one(steps, 2)
    runs = [
        as_steps(make, steps),
        as_steps(make, rows),
        with_crashes(make, steps, 1),
        with_crashes(make, rows, 2),
        from_base(make, steps, 3),
    ]
    if all(r.weight > 0 for r in right):
        runs.append(as_batch(make, steps))
    for run in runs:
        assert Counter(run.rows()) == want
        assert [reason for reason, _ in run.dropped] == ["late"] * late
        for d in run.deltas:
            times = d.columns[1].words()
            assert (times[1:] >= times[:-1]).all()
            assert (d.mark_array() < times // 1000).all()


def rows_of(run: Harness | Run) -> list[tuple[Any, Any]]:
    found = run.run if isinstance(run, Harness) else run
    return [(r[2], r[3]) for d in found.deltas for r in d.rows()]


def test_it_waits_for_both_and_sorts_by_time() -> None:
    h = Harness(lambda: TemporalJoin(LEFT, RIGHT, [0], [2], 1, 1, "left"))
    h.step([delta(0, [Row(1, 20, "b", 0), Row(1, 10, "a", 0)]), None], 5)
    h.step([None, delta(1, [Row(1, 8, "v8", 5), Row(1, 15, "v15", 5)])], 9)
    assert rows_of(h) == []
    h.step([None, None], 30)
    assert rows_of(h) == [("a", "v8"), ("b", "v15")]


def test_an_update_in_one_step_is_two_versions_and_keeps_the_first() -> None:
    update = [
        Row(1, 5, "v5", 0),
        Row(1, 5, "v5", 0, -1),
        Row(1, 10, "v10", 0),
        Row(1, 10, "v10", 0, -1),
        Row(1, 15, "v15", 0),
    ]
    left = [Row(1, t, f"a{t}", 0) for t in (4, 7, 12, 17)]
    h = Harness(lambda: TemporalJoin(LEFT, RIGHT, [0], [2], 1, 1, "left"))
    h.step([delta(0, left), delta(1, update)], MAX_WATERMARK)
    assert rows_of(h) == [("a4", None), ("a7", "v5"), ("a12", "v10"), ("a17", "v15")]


def test_a_deletion_is_a_tombstone_at_its_own_time() -> None:
    right = [Row(1, 5, "v5", 0), Row(1, 10, "v5", 0, -1)]
    h = Harness(lambda: TemporalJoin(LEFT, RIGHT, [0], [2], 1, 1, "left"))
    h.step([delta(0, [Row(1, 7, "a7", 0), Row(1, 10, "a10", 0)]), delta(1, right)], MAX_WATERMARK)
    assert rows_of(h) == [("a7", "v5"), ("a10", None)]


def test_the_later_of_two_versions_of_one_moment_wins() -> None:
    h = Harness(lambda: TemporalJoin(LEFT, RIGHT, [0], [2], 1, 1))
    h.step([delta(0, [Row(1, 7, "a", 0)]), delta(1, [Row(1, 5, "first", 0), Row(1, 5, "second", 0)])], 9)
    assert rows_of(h) == [("a", "second")]


def test_an_updating_left_is_passed_on() -> None:
    left = [Row(1, 7, "a", 0), Row(1, 7, "a", 0, -1), Row(1, 8, "b", 0)]
    h = Harness(lambda: TemporalJoin(LEFT, RIGHT, [0], [2], 1, 1, left_append=False))
    h.step([delta(0, left), delta(1, [Row(1, 5, "v", 0)])], 9)
    h.run.check_legal()
    assert [(w, r[2]) for d in h.run.deltas for w, r in d.changes()] == [(1, "a"), (-1, "a"), (1, "b")]


def test_a_failed_condition_is_told_and_not_padded() -> None:
    class Fails:
        schema = Differ.schema

        def run(self, delta: Delta, tick: Tick) -> tuple[Delta, list[RowErrors]]:
            return delta.take(np.arange(1, delta.length)), [RowErrors(np.array([0]), ["no"])]

    h = Harness(lambda: TemporalJoin(LEFT, RIGHT, [0], [2], 1, 1, "left", Fails()))
    h.step([delta(0, [Row(1, 7, "a", 0), Row(1, 8, "b", 0)]), delta(1, [Row(1, 5, "v", 0)])], 9)
    assert rows_of(h) == [("b", "v")]
    assert [reason for reason, _ in h.run.dropped] == ["expression"]


@pytest.mark.parametrize("deletes", [False, True])
def test_old_versions_and_answered_rows_are_forgotten(deletes: bool) -> None:
    operator = TemporalJoin(LEFT, RIGHT, [0], [2], 1, 1, "left")
    state = State()
    operator.open(state)
    n = 2000
    words = np.arange(n, dtype=np.int64)
    texts = Column.of_values(STRING, [f"a text of more than twelve bytes {i}" for i in range(n)])
    sizes = []
    for i in range(60):
        keys = Column.of_words(BIGINT, words + (i * n if deletes else 0))
        times = Column.of_words(TS, (words % 1000 + i * 1000) * 1000)
        low = i * 1000 - 1
        right = Delta(RIGHT, [texts, times, keys], None, low)
        out = operator.step([Delta(LEFT, [keys, times, texts], None, low), right], Tick(low=low, high=low + 1000))
        assert out.delta is not None
        assert out.delta.length == n
        assert out.delta.columns[3].valid() is None
        if deletes:
            gone = Delta(RIGHT, [texts, times, keys], -np.ones(n, np.int64), low + 1000)
            operator.step([None, gone], Tick(low=low + 1000, high=low + 1000))
        sizes.append(state.size().bytes)
    assert state.size().keys == state.size().rows == (0 if deletes else n)
    assert max(sizes[40:]) <= max(sizes[20:40]) * 1.1
