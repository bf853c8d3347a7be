"""Top-N: golden cases of Flink 2.3, and anything against plain Python, four ways."""

from __future__ import annotations

import functools
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deras.core.delta import Delta
from deras.core.errors import PlanError
from deras.core.schema import Field, Schema
from deras.core.types import BIGINT, DOUBLE, INT, STRING, array, decimal
from deras.engine.operators.rank import RANK_TYPE, Rank
from deras.engine.ranking import SortKey
from deras.testing.engine import Harness, Step, four_ways

RN = Field("rn", RANK_TYPE)
LONG = "a text that is longer than twelve bytes: "
WIDE = Schema.of(k=STRING, g=BIGINT, i=BIGINT, d=DOUBLE, w=decimal(38, 2), t=STRING, n=INT)
VALUES = [
    st.sampled_from(["a", "b", LONG + "k", None]),
    st.sampled_from([1, None]),
    st.none() | st.integers(-2, 2) | st.sampled_from([-(2**63), 2**63 - 1]),
    st.none() | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1.5, -1.5]),
    st.none() | st.sampled_from([Decimal(x + ".00") for x in ("9" * 30, "-1", "0")]),
    st.none() | st.sampled_from(["", "a", "ab", "é", "abcdefg", "abcdefgh", LONG + "1", LONG + "10", LONG + "2"]),
    st.integers(0, 3),
]
ROWS = st.tuples(*VALUES)
ORDERS = st.lists(st.tuples(st.integers(2, 5), st.booleans(), st.booleans()), max_size=3).map(
    lambda found: [SortKey(*x) for x in found]
)


def value_order(x: Any) -> Any:
    if isinstance(x, float):
        return (1, 0.0) if math.isnan(x) else (0, x)
    return x.encode() if isinstance(x, str) else x


def compare(order: list[SortKey], a: Any, b: Any) -> int:
    for o in order:
        x, y = a[o.column], b[o.column]
        if x is None or y is None:
            if x is y:
                continue
            return -1 if (x is None) == o.nulls_first else 1
        x, y = value_order(x), value_order(y)
        if x != y:
            return -1 if (x < y) != o.descending else 1
    return 0


def ranked(rows: list[Any], order: list[SortKey], function: str, latest: bool = False) -> list[tuple[int, Any]]:
    """(rank, row) in order; the rows are given as they arrived."""
    found = sorted(reversed(rows) if latest else rows, key=functools.cmp_to_key(lambda a, b: compare(order, a, b)))
    out: list[tuple[int, Any]] = []
    for i, r in enumerate(found):
        if function == "ROW_NUMBER" or i == 0:
            rank = i + 1
        elif compare(order, r, found[i - 1]) == 0:
            rank = out[-1][0]
        else:
            rank = i + 1 if function == "RANK" else out[-1][0] + 1
        out.append((rank, r))
    return out


def expected(
    rows: list[Any], partition: list[int], order: list[SortKey], function: str, first: int, last: Any, latest: bool
) -> list[Any]:
    groups: dict[Any, list[Any]] = {}
    for r in rows:
        groups.setdefault(tuple(r[i] for i in partition), []).append(r)
    out = []
    for found in groups.values():
        top = found[0][6] if last == "n" else last
        out += [(*r, rank) for rank, r in ranked(found, order, function, latest) if first <= rank <= top]
    return out


def as_text(rows: list[Any]) -> list[str]:
    return sorted(map(repr, rows))


PARTITIONS = st.sampled_from([[], [0], [0, 1]])
FUNCTIONS = st.sampled_from(["ROW_NUMBER", "ROW_NUMBER", "RANK", "DENSE_RANK"])
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def make(
    partition: Any, order: Any, first: int, last: Any, ranked: bool, function: str, append: bool, latest: bool
) -> Any:
    return lambda: Rank(
        WIDE,
        partition,
        order,
        first,
        None if last == "n" else last,
        RN if ranked else None,
        function,
        append,
        limit=6 if last == "n" else None,
        latest=latest,
    )


@SETTINGS
@given(
    st.lists(ROWS, max_size=30), PARTITIONS, ORDERS, st.integers(1, 3), st.sampled_from([0, 1, 2, 5, 16, 17, 129, "n"]),
    FUNCTIONS, st.booleans(), st.booleans(), st.integers(1, 9),
)  # fmt: skip
def test_rows_that_only_come(
    rows: list[Any],
    partition: Any,
    order: Any,
    first: int,
    last: Any,
    function: str,
    rank: bool,
    latest: bool,
    size: int,
) -> None:
    if last == "n":
        # As Flink has it: the number is the same in all rows of a key.
        rows = [(*r[:6], len(repr([r[i] for i in partition])) % 4) for r in rows]
    steps = [Step(Delta.of(WIDE, rows[i : i + size])) for i in range(0, len(rows), size)]
    found = four_ways(make(partition, order, first, last, rank, function, True, latest), steps)
    want = expected(rows, partition, order, function, first, last, latest)
    assert as_text(found) == as_text(want if rank else [r[:-1] for r in want])


@SETTINGS
@given(st.data(), PARTITIONS, ORDERS, st.integers(1, 2), st.sampled_from([1, 2, 5, 1 << 40]), FUNCTIONS, st.booleans())
def test_rows_that_come_and_go(
    data: st.DataObject, partition: Any, order: Any, first: int, last: int, function: str, rank: bool
) -> None:
    held: list[Any] = []
    steps = []
    for _ in range(data.draw(st.integers(1, 6))):
        batch = []
        for _ in range(data.draw(st.integers(1, 6))):
            if held and data.draw(st.integers(0, 2)) == 0:
                row = held[data.draw(st.integers(0, len(held) - 1))]
                held.remove(row)  # the eldest equal one
                batch.append((-1, row))
            else:
                row = data.draw(ROWS)
                held.append(row)
                batch.append((1, row))
        steps.append(Step(Delta.of(WIDE, [r for _, r in batch], [w for w, _ in batch])))
    found = four_ways(make(partition, order, first, last, rank, function, False, False), steps)
    want = expected(held, partition, order, function, first, last, False)
    assert as_text(found) == as_text(want if rank else [r[:-1] for r in want])


def changes(rank: Field | None, rows: list[Any], append: bool = True) -> list[str]:
    s = Schema.of(p=DOUBLE, n=STRING)
    h = Harness(lambda: Rank(s, [], [SortKey(0, True, False)], 1, 2, rank, input_append=append))
    out = []
    for w, p, n in rows:
        d = h.step([Delta.of(s, [(p, n)], [w])])
        if d is not None:
            out += [("+" if w > 0 else "-") + "".join(map(str, r[1:])) for w, r in d.changes()]
    return out


BIDS = [(1, p, n) for p, n in [(4.0, "C"), (2.0, "A"), (5.0, "D"), (3.0, "B"), (1.0, "E"), (9.0, "LATE"), (6.0, "F")]]


@pytest.mark.parametrize("append", [True, False])
def test_flinks_top_2(append: bool) -> None:
    with_rank = "+C1 +A2 -C1 +D1 -A2 +C2 -D1 +LATE1 -C2 +D2 -D2 +F2"
    assert " ".join(changes(RN, BIDS, append)) == with_rank
    assert " ".join(changes(None, BIDS, append)) == "+C +A -A +D -C +LATE -D +F"


def test_a_row_that_goes_is_replaced_by_the_next() -> None:
    rows = [*BIDS, (-1, 9.0, "LATE"), (-1, 4.0, "C"), (-1, 6.0, "F")]
    assert " ".join(changes(RN, rows, False)[12:]) == "-LATE1 +F1 -F2 +D2 -F1 +D1 -D2 +B2"
    assert " ".join(changes(None, rows, False)[8:]) == "-LATE +D -F +B"


def test_a_row_that_was_hidden_comes_into_sight() -> None:
    """Ranks 2 and 3 without their numbers: better rows push the first one down to where it is shown."""
    s = Schema.of(k=BIGINT, x=BIGINT)
    h = Harness(lambda: Rank(s, [0], [SortKey(1, True)], 2, 3, None))
    told = []
    for x in (5, 7, 6, 9, 1):
        d = h.step([Delta.of(s, [(1, x)])])
        told.append([] if d is None else [(w, r[1]) for w, r in d.changes()])
    assert told == [[], [(1, 5)], [(1, 6)], [(-1, 5), (1, 7)], []]


@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("nulls_first", [False, True])
@pytest.mark.parametrize("last", [1, 2])
def test_null_is_not_the_least_or_greatest_value(value: int, descending: bool, nulls_first: bool, last: int) -> None:
    s = Schema.of(k=BIGINT, x=BIGINT, n=BIGINT)
    order = [SortKey(1, descending, nulls_first)]
    for xs in ([value, None, value], [None, value, None], [value, None, 0], [None, value, 0]):
        rows = [(1, x, i) for i, x in enumerate(xs)]
        h = Harness(lambda: Rank(s, [0], order, 1, last, None))
        for r in rows:
            h.step([Delta.of(s, [r])])
        want = [r for rank, r in ranked(rows, order, "ROW_NUMBER") if rank <= last]
        assert as_text(h.run.rows()) == as_text(want)


def test_a_removal_without_a_row_is_rejected() -> None:
    s = Schema.of(p=DOUBLE, n=STRING)
    h = Harness(lambda: Rank(s, [1], [SortKey(0)], 1, 1, RN, input_append=False))
    assert h.step([Delta.of(s, [(1.0, "a"), (2.0, "a")], [1, -1])]).rows() == [(1.0, "a", 1)]  # type: ignore[union-attr]
    assert h.run.dropped == [("constraint", b'{"p":2.0,"n":"a"}')]


def test_a_nested_column_has_no_order() -> None:
    with pytest.raises(PlanError, match="cannot be sorted by `a`: ARRAY<INT> has no order"):
        Rank(Schema.of(a=array(INT)), [], [SortKey(0)], 1, 1)


def test_nested_columns_are_carried_and_taken_back() -> None:
    s = Schema.of(a=array(INT), x=INT)
    h = Harness(lambda: Rank(s, [0], [SortKey(1, True)], 1, 1, None, input_append=False))
    h.step([Delta.of(s, [([1, 2], 1), ([1, 2], 2), ([], 3)])])
    d = h.step([Delta.of(s, [([1, 2], 2), ([], 3)], [-1, -1])])
    assert d is not None
    assert list(d.changes()) == [(-1, ([1, 2], 2)), (1, ([1, 2], 1)), (-1, ([], 3))]


def test_links_survive_compaction() -> None:
    """Several blocks are emptied at once, so that rows move into a block that was freed a moment before."""
    s = Schema.of(k=BIGINT, x=BIGINT, t=STRING)
    h = Harness(lambda: Rank(s, [0], [SortKey(1, True)], 1, 3, RN, input_append=False))
    rows = [(i % 50, i * 7919 % 10007, f"{LONG}{i}") for i in range(41000)]
    h.step([Delta.of(s, rows)])
    for keep in (lambda i: i % 9 < 4, lambda i: i % 4 == 0, lambda i: i % 3 == 0):
        kept = [r for i, r in enumerate(rows) if keep(i)]
        gone = [r for i, r in enumerate(rows) if not keep(i)]
        h.step([Delta.of(s, gone, [-1] * len(gone))])
        rows = kept
    groups: dict[int, list[Any]] = {}
    for r in rows:
        groups.setdefault(r[0], []).append(r)
    want = [(*r, rank) for g in groups.values() for rank, r in ranked(g, [SortKey(1, True)], "ROW_NUMBER") if rank <= 3]
    assert as_text(h.run.rows()) == as_text(want)


@pytest.mark.parametrize("rank", [RN, None])
def test_lists_survive_compaction(rank: Field | None) -> None:
    """Better rows push the kept ones out until blocks are moved; keys that no longer win lie among them."""
    s = Schema.of(k=BIGINT, x=BIGINT, t=STRING)
    h = Harness(lambda: Rank(s, [0], [SortKey(1, True), SortKey(2)], 1, 3, rank))
    rows = [(i % (6000 if i < 18000 else 900), i // 7, f"{LONG}{i}") for i in range(60000)]
    for a in range(0, len(rows), 5000):
        h.step([Delta.of(s, rows[a : a + 5000])])
    groups: dict[int, list[Any]] = {}
    for r in rows:
        groups.setdefault(r[0], []).append(r)
    want = [(*r, n) for g in groups.values() for n, r in ranked(g, [SortKey(1, True), SortKey(2)], "ROW_NUMBER")]
    found = [r if rank else r[:-1] for r in want if r[-1] <= 3]
    assert as_text(h.run.rows()) == as_text(found)


def test_only_rows_that_stay_are_copied() -> None:
    """What a later row of the step pushes out never enters state."""
    s = Schema.of(k=BIGINT, x=BIGINT)
    h = Harness(lambda: Rank(s, [0], [SortKey(1, True)], 1, 2, RN))
    d = h.step([Delta.of(s, [(i % 3, i) for i in range(3000)])])
    assert d is not None
    assert d.weights is None or (d.weights == 1).all()
    assert d.length == 6
    assert h.operator._top.segments._at == 6  # type: ignore[attr-defined]
    assert h.step([Delta.of(s, [(0, 5), (1, 2), (2, 9)])]) is None


def test_memory_stays_flat() -> None:
    s = Schema.of(k=BIGINT, x=BIGINT, t=STRING)
    h = Harness(lambda: Rank(s, [0], [SortKey(1, True)], 1, 3, RN, input_append=False))
    sizes = []
    for i in range(60):
        delta = Delta.of(s, [(i * 2000 + j, j, f"{LONG}{i} {j}") for j in range(2000)])
        h.step([delta])
        h.step([-delta])
        ranking = h.operator._ranking  # type: ignore[attr-defined]
        sizes.append((ranking.segments._blocks, ranking.index.used, ranking._same.used))
    assert sizes[-1] == sizes[30]
    assert sizes[-1][0] <= 3
    assert h.run.rows() == []
