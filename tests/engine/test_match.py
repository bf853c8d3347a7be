"""MATCH_RECOGNIZE: random patterns over random rows against plain references, four ways; state; checkpoints."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.errors import PlanError, RowError
from deras.core.schema import Field, Schema
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK
from deras.core.types import BIGINT, BOOLEAN, STRING, timestamp
from deras.engine.aggregates import AggregateCall
from deras.engine.kernels import match_conditions as c
from deras.engine.match_plan import LAST_OF, NEXT_ROW, PAST_LAST, Condition, MatchPlan, Pick, Total, finish_input
from deras.engine.operators.match import Match
from deras.engine.patterns import (
    Alt,
    Pattern,
    Repeat,
    Seq,
    Var,
    beyond_flink,
    compile_pattern,
    linear,
    nullable,
    variables,
)
from deras.testing.engine import Harness, Step, four_ways

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

INPUT = Schema((Field("k", STRING), Field("ts", timestamp(3)), Field("can", BIGINT), Field("n", BIGINT)))
NAMES = ("A", "B", "C")


@dataclass(frozen=True)
class Row:
    """One row: ``can``: the variables that may take it, as bits."""

    key: str
    time: int
    can: int
    n: int


class Prepare:
    """The variables' conditions on the row alone, then n."""

    schema = Schema((*(Field(n, BOOLEAN) for n in NAMES), Field("n", BIGINT)))

    def run(self, delta: Delta, tick: Any) -> Any:
        can = delta.columns[2].words()
        tests = [Column.of_words(BOOLEAN, can >> v & 1) for v in range(len(NAMES))]
        return delta.with_columns(self.schema, [*tests, delta.columns[3]]), []


@dataclass
class Finish:
    """Everything as it comes."""

    schema: Schema

    def run(self, delta: Delta, tick: Any) -> Any:
        return Delta(self.schema, delta.columns, delta.weights, delta.marks, delta.length), []


ALL = (1 << len(NAMES)) - 1
# n > n of the row before, or no row before: cells 0 and 1 are the last and the last but one row.
RISING = np.array(
    [
        [c.LOAD, 0, 0, 0],
        [c.LOAD, 1, 0, 0],
        [c.COMPARE, 4, 0, 0],
        [c.LOAD, 1, 0, 0],
        [c.IS_NULL, 0, 0, 0],
        [c.OR, 0, 0, 0],
    ],
    np.int64,
)
# The sum of all n so far is below 12: cells 2 and 3.
SMALL = np.array([[c.CELL, 2, 3, 0], [c.CONST, 12, 0, 0], [c.COMPARE, 2, 0, 0]], np.int64)
SLOTS = np.array([[c.LAST, ALL, 0, 1, -1, -1], [c.SUM, ALL, 2, 0, 0, -1]], np.int64)
CODES = {"": None, "rising": RISING, "small": SMALL}


def operator(
    pattern: Pattern, skip: int = NEXT_ROW, within: int = 0, codes: Sequence[str] = ("", "", ""), skip_bits: int = 0
) -> Match:
    """Gives for each row of a match: n, key, variable, first n and last n of the match, rows so far, rows of the match."""
    count = AggregateCall("COUNT", None, BIGINT.with_nullable(False))
    plan = MatchPlan(
        compile_pattern(pattern),
        NAMES,
        tuple(Condition(row=True, code=CODES[x]) for x in codes),
        SLOTS,
        4,
        (0, 1),
        skip=skip,
        skip_bits=skip_bits,
        within_ms=within,
        picks=(Pick(-1, ALL, running=True), Pick(0, ALL, forward=True), Pick(0, ALL)),
        totals=(Total(count, ALL, running=True), Total(count, ALL)),
        all_rows=True,
    )
    schema = finish_input([STRING], [BIGINT], plan)
    return Match(INPUT, (0,), 1, (), Prepare(), plan, Finish(schema), schema)


# ---------------------------------------------------------------- references


class MissingError(Exception):
    """AFTER MATCH SKIP TO a variable that the match does not have, or to its first row."""


def holds(code: str, rows: list[Row], at: int, begin: int) -> bool:
    match code:
        case "rising":
            return at == begin or rows[at].n > rows[at - 1].n
        case "small":
            return sum(r.n for r in rows[begin : at + 1]) < 12
    return True


class Reference:
    """All ways of a pattern from one row, best first, by walking the pattern itself."""

    def __init__(self, pattern: Pattern, codes: Sequence[str], within: int) -> None:
        self.pattern, self.codes, self.within = pattern, codes, within
        self.flink = not beyond_flink(pattern)

    def takes(self, v: int, rows: list[Row], at: int, begin: int) -> bool:
        return bool(rows[at].can >> v & 1) and holds(self.codes[v], rows, at, begin)

    def ways(self, rows: list[Row], begin: int) -> tuple[list[str] | None, bool]:
        """The variables of the match that begins at a row, and whether it could still go on at the end of the rows."""
        end = len(rows)
        if self.within:
            end = next((i for i in range(begin, len(rows)) if rows[i].time - rows[begin].time >= self.within), end)
        self.open = False
        if not self.flink:
            found = next(self._walk(self.pattern, rows[:end], begin, begin, []), None)
            return (None if found is None else [NAMES[v] for v in found[1]]), False
        items = linear(self.pattern)
        assert items is not None
        best: list[int] | None = None
        for way in self._linear(items, 0, 0, rows[:end], begin, begin, []):
            if best is None or len(way) < len(best):
                best = way
        alive = self.open and best is None and not self.within
        return (None if best is None else [NAMES[v] for v in best]), alive

    def _walk(
        self, p: Pattern, rows: list[Row], at: int, begin: int, way: list[int]
    ) -> Iterator[tuple[int, list[int]]]:
        """SQL's preferment by plain backtracking."""
        match p:
            case Var():
                if at < len(rows) and self.takes(p.index, rows, at, begin):
                    yield at + 1, [*way, p.index]
            case Seq():
                yield from self._items(p.items, rows, at, begin, way)
            case Alt():
                for x in p.items:
                    yield from self._walk(x, rows, at, begin, way)
            case Repeat():
                yield from self._again(p, 0, rows, at, begin, way)

    def _items(
        self, items: tuple[Pattern, ...], rows: list[Row], at: int, begin: int, way: list[int]
    ) -> Iterator[tuple[int, list[int]]]:
        if not items:
            yield at, way
            return
        for to, found in self._walk(items[0], rows, at, begin, way):
            yield from self._items(items[1:], rows, to, begin, found)

    def _again(
        self, p: Repeat, n: int, rows: list[Row], at: int, begin: int, way: list[int]
    ) -> Iterator[tuple[int, list[int]]]:
        def more() -> Iterator[tuple[int, list[int]]]:
            if p.high is None or n < p.high:
                for to, found in self._walk(p.item, rows, at, begin, way):
                    if to > at or n < p.low:
                        yield from self._again(p, n + 1, rows, to, begin, found)

        if p.greedy:
            yield from more()
        if n >= p.low:
            yield at, way
        if not p.greedy:
            yield from more()

    def _linear(
        self, items: list[Repeat], i: int, n: int, rows: list[Row], at: int, begin: int, way: list[int]
    ) -> Iterator[list[int]]:
        """Flink's rules: round a loop before out of it; out of a greedy loop only where it cannot go on."""
        if i == len(items):
            yield way
            return
        if at == len(rows):
            # After its last row a match is complete where the rest may be empty.
            if all((n if j == i else 0) >= x.low for j, x in enumerate(items) if j >= i):
                yield way
            self.open = True
            return
        x = items[i]
        assert isinstance(x.item, Var)
        takes = self.takes(x.item.index, rows, at, begin)
        possessive = x.greedy and x.low != x.high and (x.low, x.high) != (0, 1)
        if takes and (x.high is None or n < x.high):
            yield from self._linear(items, i, n + 1, rows, at + 1, begin, [*way, x.item.index])
        if n >= x.low and not (possessive and takes and (x.high is None or n < x.high)):
            yield from self._linear(items, i + 1, 0, rows, at, begin, way)


def reference(
    rows: Sequence[Row], pattern: Pattern, skip: int, within: int, codes: Sequence[str], skip_bits: int = 0
) -> list[tuple[Any, ...]]:
    """What :func:`operator` gives for rows that are on time."""
    found = []
    matcher = Reference(pattern, codes, within)
    for key in sorted({r.key for r in rows}):
        mine = sorted((r for r in rows if r.key == key), key=lambda r: r.time)
        bound = 0
        for begin in range(len(mine)):
            if begin < bound:
                continue
            way, alive = matcher.ways(mine, begin)
            if alive:
                break  # what begins later waits for it
            if way is None:
                continue
            part = mine[begin : begin + len(way)]
            for i, (r, v) in enumerate(zip(part, way, strict=True)):
                found.append((r.n, key, v, part[0].n, part[-1].n, i + 1, len(way)))
            if skip == PAST_LAST:
                bound = begin + len(way)
            elif skip == LAST_OF:
                places = [i for i, v in enumerate(way) if skip_bits >> NAMES.index(v) & 1]
                if not places or places[-1] == 0:
                    raise MissingError
                bound = begin + places[-1]
            else:
                bound = begin + 1
    return sorted(found)


# ---------------------------------------------------------------- drawn

VARS = st.integers(0, 2).map(Var)
BOUNDS = st.sampled_from([(0, None), (1, None), (2, None), (0, 1), (1, 2), (2, 3), (2, 2), (0, 2)])


def repeats(inner: st.SearchStrategy[Pattern]) -> st.SearchStrategy[Pattern]:
    return st.builds(lambda x, b, g: Repeat(x, b[0], b[1], g), inner, BOUNDS, st.booleans())


PATTERNS = st.recursive(
    VARS | repeats(VARS),
    lambda x: (
        st.lists(x, min_size=2, max_size=3).map(lambda i: Seq(tuple(i)))
        | st.lists(x, min_size=2, max_size=3).map(lambda i: Alt(tuple(i)))
        | repeats(x)
    ),
    max_leaves=5,
).filter(lambda p: not nullable(p) and len(variables(p)) <= 6)
# In these every variable stands once, in order, as Flink wants it; not two in a row may be drawn from the same rows
# with a tie, of which Flink's own outcome depends on a heap.
LINEAR = st.lists(st.tuples(BOUNDS, st.booleans()), min_size=1, max_size=3).map(
    lambda q: Seq(tuple(Var(i) if b == (2, 2) else Repeat(Var(i), *b, g) for i, (b, g) in enumerate(q)))
)
FLINK = LINEAR.filter(lambda p: not nullable(p) and not beyond_flink(p))
ROWS = st.lists(
    st.builds(Row, st.sampled_from("xy"), st.integers(0, 12), st.integers(0, 7), st.integers(0, 6)), max_size=14
)
CODES_OF = st.tuples(*[st.sampled_from(["", "", "rising", "small"])] * 3)


def steps_of(rows: Sequence[Row], cuts: Sequence[int]) -> tuple[list[Step], list[Row]]:
    """Steps after which the watermark stands two behind the latest time, and the rows that are on time."""
    steps, good = [], []
    mark = MIN_WATERMARK
    bounds = sorted({0, len(rows), *(i % (len(rows) + 1) for i in cuts)})
    for a, b in itertools.pairwise(bounds):
        part = rows[a:b]
        good += [r for r in part if r.time > mark]
        columns = [
            Column.of_values(STRING, [r.key for r in part]),
            Column.of_words(INPUT[1].type, np.array([r.time * 1000 for r in part], np.int64)),
            Column.of_words(BIGINT, np.array([r.can for r in part], np.int64)),
            Column.of_words(BIGINT, np.array([r.n for r in part], np.int64)),
        ]
        delta = Delta(INPUT, columns, None, mark)
        mark = max(mark, max(r.time for r in part) - 2)
        steps.append(Step(delta, mark))
    return [*steps, Step(None, MAX_WATERMARK)], good


@settings(max_examples=100, deadline=None)
@given(
    PATTERNS,
    ROWS,
    st.lists(st.integers(0, 20), max_size=3),
    st.sampled_from([NEXT_ROW, PAST_LAST]),
    CODES_OF,
    st.data(),
)
def test_as_backtracking(
    pattern: Pattern, rows: list[Row], cuts: list[int], skip: int, codes: tuple[str, ...], data: st.DataObject
) -> None:
    within = data.draw(st.sampled_from([0, 0, 3]))
    steps, good = steps_of(rows, cuts)
    want = reference(good, pattern, skip, within, codes)
    assert four_ways(lambda: operator(pattern, skip, within, codes), steps) == sorted(want, key=_order)


@settings(max_examples=100, deadline=None)
@given(FLINK, ROWS, st.lists(st.integers(0, 20), max_size=3), CODES_OF, st.data())
def test_as_flink_matches(
    pattern: Pattern, rows: list[Row], cuts: list[int], codes: tuple[str, ...], data: st.DataObject
) -> None:
    skip, bits = data.draw(st.sampled_from([(NEXT_ROW, 0), (PAST_LAST, 0), (LAST_OF, 2)]))
    within = data.draw(st.sampled_from([0, 0, 3]))
    steps, good = steps_of(rows, cuts)
    try:
        want = reference(good, pattern, skip, within, codes, bits)
    except MissingError:
        assume(False)
    assert compile_pattern(pattern).eager
    assert four_ways(lambda: operator(pattern, skip, within, codes, bits), steps) == sorted(want, key=_order)


def _order(row: tuple[Any, ...]) -> str:
    return repr(tuple(row))


# ---------------------------------------------------------------- single things

AB = Seq((Var(0), Repeat(Var(1), 1, None), Var(2)))


def feed(h: Harness, rows: Sequence[Row], high: int) -> list[tuple[Any, ...]]:
    [step, *_], _ = steps_of(rows, [])
    out = h.step([step.deltas], high)  # type: ignore[list-item]
    return [] if out is None else out.rows()


def test_state_goes_when_nothing_has_begun() -> None:
    h = Harness(lambda: operator(AB))
    for i in range(300):
        feed(h, [Row(f"{i}-{j}", i, 2, 1) for j in range(20)], i)
    size = h.state.size()
    assert (size.keys, size.rows) == (0, 0)


def test_rows_of_partial_matches_stay_and_go_within() -> None:
    h = Harness(lambda: operator(AB, within=10))
    feed(h, [Row("x", 1, 1, 1), Row("x", 2, 2, 2), Row("y", 2, 1, 3), Row("z", 20, 1, 4)], 3)
    assert h.state.size().rows == 4
    h.step([None], 11)
    assert (h.state.size().rows, h.state.size().keys) == (2, 2)  # x began at 1, so that 11 is too late
    h.step([None], 12)
    assert (h.state.size().rows, h.state.size().keys) == (1, 1)


def test_rows_move_in_memory_while_matches_are_open() -> None:
    """Most rows go, so that the segments are tidied; the open matches must find theirs again."""
    h = Harness(lambda: operator(AB, skip=PAST_LAST, codes=("", "rising", "")))
    feed(h, [Row(f"open{j}", 0, 1, 0) for j in range(50)], 0)
    for i in range(1, 25):
        noise = [Row(f"gone{j}", i, 1, 1) for j in range(5000)]
        assert feed(h, noise + [Row(f"open{j}", i, 2, i) for j in range(50)], i) == []
    found = feed(h, [Row(f"open{j}", 30, 4, 99) for j in range(50)], 30)
    assert len(found) == 50 * 26
    assert {(r[3], r[4], r[6]) for r in found} == {(0, 99, 26)}
    assert sorted({r[0] for r in found}) == [*range(25), 99]


def test_skip_to_the_first_row_fails() -> None:
    h = Harness(lambda: operator(Seq((Var(0), Var(1))), skip=LAST_OF, skip_bits=1))
    with pytest.raises(RowError, match="first row of the match"):
        feed(h, [Row("x", 1, 1, 1), Row("x", 2, 2, 2)], 5)


def test_skip_to_what_is_not_there_fails() -> None:
    h = Harness(lambda: operator(Seq((Var(0), Repeat(Var(1), 0, None), Var(2))), skip=LAST_OF, skip_bits=2))
    with pytest.raises(RowError, match="has no row of that variable"):
        feed(h, [Row("x", 1, 1, 1), Row("x", 2, 4, 2)], 5)


def test_an_empty_pattern_is_refused() -> None:
    with pytest.raises(PlanError, match="no row at all"):
        compile_pattern(Seq((Repeat(Var(0), 0, None), Alt((Var(1), Repeat(Var(2), 0, 1))))))


def test_a_pattern_that_is_too_large_is_refused() -> None:
    with pytest.raises(PlanError, match="states"):
        compile_pattern(Repeat(Repeat(Seq((Var(0), Var(1))), 200, 200), 200, 200))
    with pytest.raises(PlanError, match="states"):
        compile_pattern(Seq((Repeat(Var(0), 20_000, 20_000), Var(1))))


def test_matches_leave_in_the_order_of_their_last_rows() -> None:
    h = Harness(lambda: operator(Seq((Var(0), Var(1)))))
    found = feed(h, [Row("y", 1, 1, 1), Row("x", 2, 1, 2), Row("x", 3, 2, 3), Row("y", 4, 2, 4)], 9)
    assert [r[0] for r in found] == [2, 3, 1, 4]
