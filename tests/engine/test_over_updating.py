"""OVER on rows that come anywhere, change and go: against plain Python, from scratch after every change."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.test_over import CALLS, INPUT, B, D, K, N, P, S, call, output, text_of, value_of

from deras.core.delta import Delta
from deras.core.types import BIGINT, DOUBLE
from deras.engine.operators.over_updating import OverUpdating
from deras.engine.over import WindowCall
from deras.engine.ranking import SortKey
from deras.testing.engine import Harness, Step, four_ways

LONG, PART = BIGINT.with_nullable(False), DOUBLE.with_nullable(False)
PLACES = [
    *(WindowCall(f, None, LONG) for f in ("ROW_NUMBER", "RANK", "DENSE_RANK")),
    *(WindowCall(f, None, PART) for f in ("PERCENT_RANK", "CUME_DIST")),
    WindowCall("NTILE", None, LONG, offset=3),
    call("LAG", S),
    WindowCall("LEAD", N, INPUT[N].type, offset=2),
    WindowCall("LEAD", S, INPUT[S].type, default=S),
]


def order_key(row: Any, column: int, descending: bool) -> Any:
    v = row[column]
    # Flink: NULLs first where ascending, last where descending; negation keeps ties in the order of arrival.
    return (v is not None, 0 if v is None else v) if not descending else (v is None, 0 if v is None else -v)


def expected(
    rows: list[Any], calls: list[WindowCall], unit: str, lower: Any, upper: Any, order: int, down: bool
) -> Any:
    out = []
    for key in {r[K] for r in rows}:
        part = sorted((r for r in rows if r[K] == key), key=lambda r: order_key(r, order, down))
        keys = [order_key(r, order, down) for r in part]
        n = len(part)
        for i, r in enumerate(part):
            low, high = 0, n - 1
            if unit == "rows":
                low = 0 if lower is None else max(0, i - lower)
                high = n - 1 if upper is None else min(n - 1, i + upper)
                frame = part[low : high + 1]
            else:
                frame = [
                    x for j, x in enumerate(part) if _inside(r, x, keys[i], keys[j], j, i, lower, upper, order, down)
                ]
            found = [_value(c, part, keys, i, frame) for c in calls]
            out.append((*r, *found))
    return out


def _inside(
    r: Any, x: Any, mine: Any, other: Any, j: int, i: int, lower: Any, upper: Any, order: int, down: bool
) -> bool:
    if mine == other:
        peers = True
    elif other < mine:
        if lower is None:
            return True
        peers = False
        if r[order] is None or x[order] is None:
            return False
        return abs(r[order] - x[order]) <= lower
    else:
        if upper is None:
            return True
        if r[order] is None or x[order] is None:
            return False
        return abs(r[order] - x[order]) <= upper
    return peers


def _value(c: WindowCall, part: list[Any], keys: list[Any], i: int, frame: list[Any]) -> Any:
    n = len(part)
    match c.function:
        case "ROW_NUMBER":
            return i + 1
        case "RANK":
            return keys.index(keys[i]) + 1
        case "DENSE_RANK":
            return len({k for k in keys if k <= keys[i]})
        case "PERCENT_RANK":
            return keys.index(keys[i]) / (n - 1) if n > 1 else 0.0
        case "CUME_DIST":
            return sum(k <= keys[i] for k in keys) / n
        case "NTILE":
            sizes = [n // 3 + (p < n % 3) for p in range(3)]
            return next(p + 1 for p in range(3) if i < sum(sizes[: p + 1]))
        case "LAG" | "LEAD":
            at = i - c.offset if c.function == "LAG" else i + c.offset
            if 0 <= at < n:
                return part[at][c.arg or 0]
            return None if c.default is None else part[i][c.default]
    return value_of(c, frame)


ROW = st.tuples(
    st.none(),
    st.sampled_from(["a", "b", None]),
    st.one_of(st.none(), st.integers(-3, 3)),
    st.one_of(st.none(), st.sampled_from(["x", "y", "a text longer than twelve", "a text longer than thirteen"])),
    st.one_of(st.none(), st.sampled_from([0.5, -1.25, 3.0])),
    st.one_of(st.none(), st.sampled_from([Decimal("1.25"), Decimal("-0.50")])),
    st.one_of(st.none(), st.booleans()),
)


@given(
    rows=st.lists(st.tuples(ROW, st.integers(0, 3)), max_size=16),
    cuts=st.lists(st.integers(1, 16), max_size=4),
    unit=st.sampled_from(["rows", "range"]),
    lower=st.sampled_from([None, 0, 1, 3]),
    upper=st.sampled_from([None, 0, 2]),
    order=st.sampled_from([N, D]),
    down=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_changes(
    rows: list[Any], cuts: list[int], unit: Any, lower: Any, upper: Any, order: int, down: bool, seed: int
) -> None:
    if unit == "range" and order == D:
        lower, upper = (None if lower is None else 0), (None if upper is None else 0)
    calls = [*CALLS, *PLACES]
    # Every row is told from its like by a number in its text, and may go again later.
    live: list[Any] = []
    changes: list[tuple[Any, int]] = []
    for i, (row, go) in enumerate(rows):
        one = (*row[:S], None if row[S] is None else f"{row[S]} {i}", *row[S + 1 :])
        live.append(one)
        changes.append((one, 1))
        if go == 0 and len(live) > 1:
            changes.append((live.pop(i % len(live)), -1))
    bounds = [0, *sorted({c for c in cuts if 0 < c < len(changes)}), len(changes)]
    steps = []
    for a, b in itertools.pairwise(bounds):
        if a < b:
            part = changes[a:b]
            steps.append(Step(Delta.of(INPUT, [r for r, _ in part], [w for _, w in part])))

    def make() -> OverUpdating:
        return OverUpdating(
            INPUT, [K], [SortKey(order, down, not down)], unit, lower, upper, calls, output(calls), False
        )  # fmt: skip

    found = four_ways(make, steps, seed=seed)
    want = expected(live, calls, unit, lower, upper, order, down)
    assert sorted(map(text_of, found)) == sorted(map(text_of, want))


def drawn(*numbers: int | None) -> list[Any]:
    return [(None, "a", n, f"s{i}", None, None, None) for i, n in enumerate(numbers)]


def test_only_what_differs_is_given_in_the_order_of_the_partition() -> None:
    calls = [call("SUM", N)]
    h = Harness(
        lambda: OverUpdating(INPUT, [K], [SortKey(N)], "rows", 1, 0, calls, output(calls), True)
    )  # fmt: skip
    h.step([Delta.of(INPUT, drawn(1, 5, 9))])
    out = h.step([Delta.of(INPUT, drawn(6))])
    assert out is not None
    assert [(w, r[N], r[-1]) for w, r in out.changes()] == [(1, 6, 11), (-1, 9, 14), (1, 9, 15)]


def test_a_row_that_never_came_is_rejected() -> None:
    calls = [call("COUNT")]
    h = Harness(lambda: OverUpdating(INPUT, [K], [SortKey(N)], "rows", 1, 0, calls, output(calls), False))
    h.step([Delta.of(INPUT, drawn(1), [-1])])
    assert [r for r, _ in h.run.dropped] == ["constraint"]


def test_nothing_is_left_of_rows_that_went() -> None:
    calls = [call("MAX", S), call("COUNT", N, distinct=True), call("SUM", P), call("AVG", D, filter=B)]
    h = Harness(lambda: OverUpdating(INPUT, [K], [SortKey(N)], "range", None, 0, calls, output(calls), False))
    for i in range(50):
        rows = [(None, f"key {i} {k}", k, "text", 1.0, None, True) for k in range(100)]
        h.step([Delta.of(INPUT, rows)])
        h.step([Delta.of(INPUT, rows, [-1] * 100)])
    assert h.run.rows() == []
    assert h.state.size().keys == h.state.size().rows == 0


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_cut_into_steps_does_not_matter_for_ties(size: int) -> None:
    calls = [WindowCall("ROW_NUMBER", None, LONG), call("FIRST_VALUE", S)]
    rows = drawn(*([2, 1, None] * 10))
    h = Harness(lambda: OverUpdating(INPUT, [], [SortKey(N)], "rows", None, 0, calls, output(calls), True))
    for a in range(0, 30, size):
        h.step([Delta.of(INPUT, rows[a : a + size])])
    by_number = {r[-2]: r[S] for r in h.run.rows()}
    order = sorted(range(30), key=lambda i: order_key(rows[i], N, False))
    assert [by_number[i + 1] for i in range(30)] == [rows[i][S] for i in order]
