"""Deduplicate, ORDER BY, LIMIT and Top-N of windows against plain Python, four ways."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.test_rank import ORDERS, RN, ROWS, WIDE, as_text, compare, ranked

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Field, Schema
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK
from deras.core.types import BIGINT, STRING, timestamp
from deras.engine.operators.deduplicate import Deduplicate
from deras.engine.operators.sort import Limit, ProctimeSort, SortAtEnd, TemporalSort
from deras.engine.operators.window_rank import WindowRank
from deras.engine.ranking import SortKey
from deras.testing.engine import Harness, Step, as_batch, as_steps, four_ways, one_by_one

SETTINGS = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LONG = "a text that is longer than twelve bytes: "
TIMED = Schema((Field("t", timestamp(3).with_nullable(False), "rowtime"), Field("k", STRING), Field("x", BIGINT)))

TIMES = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["a", LONG + "b", None]), st.integers(0, 3), st.integers(0, 4)),
    max_size=30,
)


def timed(rows: list[Any], size: int, lag: int) -> tuple[list[Step], list[tuple[int, Any]]]:
    """Steps with a watermark ``lag`` ms behind the greatest time; and (mark, row) of each row."""
    steps, marked = [], []
    high = MIN_WATERMARK
    for i in range(0, len(rows), size):
        part = rows[i : i + size]
        marks = []
        for t, k, x, _ in part:
            marks.append(high)
            marked.append((high, (t, k, x)))
            high = max(high, t - lag)
        columns = [
            Column.of_words(TIMED[0].type, np.array([r[0] * 1000 for r in part], np.int64)),
            Column.of_values(STRING, [r[1] for r in part]),
            Column.of_values(BIGINT, [r[2] for r in part]),
        ]
        steps.append(Step(Delta(TIMED, columns, None, np.array(marks, np.int64)), high))
    steps.append(Step(None, MAX_WATERMARK))
    return steps, marked


def plain(rows: list[Any]) -> list[Any]:
    return [(r[0].microsecond // 1000, *r[1:]) for r in rows]


@SETTINGS
@given(TIMES, st.integers(1, 7), st.integers(0, 6), st.sampled_from([[], [1]]))
def test_the_last_row_of_each_key(rows: list[Any], size: int, lag: int, partition: Any) -> None:
    steps, marked = timed(rows, size, lag)
    for time in (0, None):
        want: dict[Any, Any] = {}
        for _, r in marked:
            key = tuple(r[i] for i in partition)
            if time is None or key not in want or r[0] >= want[key][0]:
                want[key] = r
        found = four_ways(lambda t=time: Deduplicate(TIMED, partition, t, "last"), steps)
        assert as_text(plain(found)) == as_text(list(want.values()))


@SETTINGS
@given(TIMES, st.integers(1, 7), st.integers(0, 6), st.sampled_from([[], [1]]))
def test_the_first_row_of_each_key(rows: list[Any], size: int, lag: int, partition: Any) -> None:
    steps, marked = timed(rows, size, lag)
    found = four_ways(lambda: Deduplicate(TIMED, partition, None, "first"), steps)
    firsts: dict[Any, Any] = {}
    for _, r in marked:
        firsts.setdefault(tuple(r[i] for i in partition), r)
    assert as_text(plain(found)) == as_text(list(firsts.values()))

    found = four_ways(lambda: Deduplicate(TIMED, partition, 0, "first"), steps)
    held: dict[Any, Any] = {}
    late = 0
    for mark, r in marked:
        key = tuple(r[i] for i in partition)
        if r[0] < mark:
            late += 1
        elif key not in held or (r[0] < held[key][0] and held[key][0] > mark):
            held[key] = r
    assert as_text(plain(found)) == as_text(list(held.values()))
    dropped = as_steps(lambda: Deduplicate(TIMED, partition, 0, "first"), steps).dropped
    assert [reason for reason, _ in dropped] == ["late"] * late


@SETTINGS
@given(TIMES, st.integers(1, 7), st.integers(0, 6), st.booleans())
def test_rows_in_the_order_of_time(rows: list[Any], size: int, lag: int, more: bool) -> None:
    order = [SortKey(0), SortKey(2, True, False)] if more else [SortKey(0)]
    steps, marked = timed(rows, size, lag)
    four_ways(lambda: TemporalSort(TIMED, order), steps)
    given_, waiting, last, at, late = [], [], -1, MIN_WATERMARK, 0
    for mark, r in [*marked, (MAX_WATERMARK, None)]:
        if mark > at:
            waiting.sort(key=lambda r: (r[0], -r[2] if more else 0))
            while waiting and waiting[0][0] <= mark:
                last = waiting[0][0]
                given_.append(waiting.pop(0))
            at = mark
        if r is not None:
            if r[0] > last:
                waiting.append(r)
            else:
                late += 1
    for run in (as_batch, as_steps):
        out = run(lambda: TemporalSort(TIMED, order), steps)
        assert [r for d in out.deltas for r in plain(d.rows())] == given_
        assert len(out.dropped) == late


@SETTINGS
@given(st.lists(ROWS, max_size=30), ORDERS, st.integers(1, 3), st.none() | st.integers(1, 20), st.data())
def test_everything_sorted_at_the_end(rows: list[Any], order: Any, first: int, last: Any, data: st.DataObject) -> None:
    gone = [r for r in rows if data.draw(st.integers(0, 4)) == 0]
    changes = [*((1, r) for r in rows), *((-1, r) for r in gone)]
    kept = list(rows)
    for r in gone:
        # Of equal rows the latest goes.
        at = max(i for i, x in enumerate(kept) if repr(x) == repr(r))
        del kept[at]
    half = len(changes) // 2
    steps = [
        Step(Delta.of(WIDE, [r for _, r in part], [w for w, _ in part])) for part in (changes[:half], changes[half:])
    ]
    steps.append(Step(None, MAX_WATERMARK))

    def make() -> SortAtEnd:
        return SortAtEnd(WIDE, order, first, last, not gone)

    if gone or all(w > 0 for w, _ in changes):
        found = four_ways(make, steps)
        want = sorted(kept, key=functools.cmp_to_key(lambda a, b: compare(order, a, b)))[first - 1 : last]
        assert as_text(found) == as_text(want)
        ordered = [r for d in as_steps(make, steps).deltas for r in d.rows()]
        assert all(compare(order, a, b) <= 0 for a, b in itertools.pairwise(ordered))
        assert len(ordered) == len(want)


def test_rows_of_one_moment_of_processing_time_are_sorted() -> None:
    s = Schema.of(x=BIGINT, t=STRING)
    h = Harness(lambda: ProctimeSort(s, [SortKey(0, True, False), SortKey(1)]))
    d = h.step([Delta.of(s, [(1, "b"), (2, "x"), (1, LONG), (None, "n"), (1, "b")])])
    assert d is not None
    assert d.rows() == [(2, "x"), (1, LONG), (1, "b"), (1, "b"), (None, "n")]


@pytest.mark.parametrize(("first", "last"), [(1, 3), (2, 4), (3, None), (1, 0), (9, 9)])
@pytest.mark.parametrize("size", [1, 2, 7])
def test_the_first_rows(first: int, last: int | None, size: int) -> None:
    s = Schema.of(x=BIGINT)
    steps = [Step(Delta.of(s, [(i,) for i in range(a, min(7, a + size))])) for a in range(0, 7, size)]
    found = four_ways(lambda: Limit(s, first, last), steps)
    assert found == [(i,) for i in range(7)[first - 1 : last]]


@SETTINGS
@given(
    TIMES, st.integers(1, 7), st.integers(0, 6), st.booleans(), st.sampled_from(["ROW_NUMBER", "RANK"]), st.booleans(),
    st.integers(1, 2), st.sampled_from([1, 2, 3, 17, 129]), st.sampled_from([1, 2, 1 << 15]),
)  # fmt: skip
def test_top_of_windows(
    rows: list[Any], size: int, lag: int, keyed: bool, function: str, latest: bool, first: int, last: int, piece: int
) -> None:
    steps, marked = timed([(r[0] // 10 * 10 + 10, *r[1:]) for r in rows], size, lag)
    partition = [1] if keyed else []

    def make() -> WindowRank:
        made = WindowRank(TIMED, 0, partition, [SortKey(2)], first, last, RN, function, None, latest)
        made.piece = piece
        return made

    groups: dict[Any, list[Any]] = {}
    late = 0
    for mark, r in marked:
        if r[0] - 1 <= mark:
            late += 1
        else:
            groups.setdefault((r[0], *(r[i] for i in partition)), []).append(r)
    want = [
        (*r, rank)
        for g in groups.values()
        for rank, r in ranked(g, [SortKey(2)], function, latest)
        if first <= rank <= last
    ]
    found = four_ways(make, steps)
    assert as_text(plain(found)) == as_text(want)
    run = as_steps(make, one_by_one(steps, 1))
    assert len(run.dropped) == late
    ends = [r[0] for d in run.deltas for r in plain(d.rows())]
    assert ends == sorted(ends)
