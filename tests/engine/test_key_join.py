"""The join on a unique key: against plain Python and against the general join, with marks, TTL and restores."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.types import BIGINT, BOOLEAN, INT, STRING, array
from deras.engine.operator import RowErrors
from deras.engine.operators.join import Join
from deras.engine.operators.key_join import KeyJoin
from deras.testing.engine import Harness, Step, four_ways

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from deras.core.column import Column
    from deras.core.time import Tick

KEYED = Schema.of(id=BIGINT, s=STRING)
MARKED = Schema.of(id=BIGINT, s=STRING, joins=BOOLEAN)
OTHER = Schema.of(t=STRING, k=BIGINT)
LONG = "a text of more than twelve bytes"
TEXTS = st.sampled_from([None, "", "x", LONG, LONG + "!"])


class Less:
    """The residual ``s < t`` over the columns that it reads; fails where t is 'bad'."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def run(self, delta: Delta, tick: Tick) -> tuple[Delta, list[RowErrors]]:
        names = [f.name for f in delta.schema]
        s, t = delta.columns[names.index("s")].values(), delta.columns[names.index("t")].values()
        bad = [i for i, x in enumerate(t) if x == "bad"]
        good = [i for i in range(len(s)) if i not in bad and s[i] is not None and t[i] is not None and s[i] < t[i]]
        errors = [RowErrors(np.array(bad), ["cannot compare"] * len(bad))] if bad else []
        return delta.take(np.array(good, np.int64)), errors


class LessAtOnce(Less):
    """The same, said from the columns alone."""

    def passing(self, columns: Sequence[Column]) -> npt.NDArray[np.bool_]:
        names = [f.name for f in self.schema]
        s, t = columns[names.index("s")].values(), columns[names.index("t")].values()
        return np.array([a is not None and b is not None and a < b for a, b in zip(s, t, strict=True)], np.bool_)


def key_join(keyed: int = 0, **more: Any) -> KeyJoin:
    one = MARKED if more.get("mark") is not None else KEYED
    if keyed == 0:
        return KeyJoin(one, OTHER, [0], [1], 0, **more)
    return KeyJoin(OTHER, one, [1], [0], 1, **more)


def flip(step: Step, keyed: int) -> Step:
    deltas = step.inputs(2)
    return Step(deltas if keyed == 0 else deltas[::-1], step.high, step.now)


@st.composite
def scripts(draw: st.DrawFn, *, marked: bool = False, null_safe: bool = False) -> tuple[list[Step], Any, Any]:
    """Steps with at most one keyed row a key, and the rows of both sides."""
    keys = list(draw(st.permutations([None, *range(6)] if null_safe else range(6))))
    steps, ones, others = [], [], []
    for _ in range(draw(st.integers(1, 5))):
        n = draw(st.integers(0, min(3, len(keys))))
        joins = st.sampled_from([True, False, None])
        one = [(keys.pop(), draw(TEXTS), *((draw(joins),) if marked else ())) for _ in range(n)]
        other = draw(
            st.lists(st.tuples(st.sampled_from(["x", LONG, "z", None]), st.none() | st.integers(0, 6)), max_size=6)
        )
        ones += one
        others += other
        schema = MARKED if marked else KEYED
        steps.append(Step([Delta.of(schema, one) if one else None, Delta.of(OTHER, other) if other else None]))
    return steps, ones, others


def nested_loop(ones: list[Any], others: list[Any], keyed: int, null_safe: bool = False) -> Counter[Any]:
    return Counter(
        (a[:2] + b if keyed == 0 else b + a[:2])
        for a in ones
        for b in others
        if a[0] == b[1] and (null_safe or a[0] is not None) and (len(a) == 2 or a[2])
    )


@settings(max_examples=30, deadline=None)
@given(scripts(), st.integers(0, 1))
def test_it_is_the_nested_loop_four_ways(script: Any, keyed: int) -> None:
    steps, ones, others = script
    rows = four_ways(lambda: key_join(keyed), [flip(s, keyed) for s in steps])
    assert Counter(rows) == nested_loop(ones, others, keyed)


@settings(max_examples=30, deadline=None)
@given(scripts(marked=True), st.integers(0, 1))
def test_marked_rows_are_filtered_rows_four_ways(script: Any, keyed: int) -> None:
    steps, ones, others = script
    rows = four_ways(lambda: key_join(keyed, mark=2), [flip(s, keyed) for s in steps])
    assert Counter(rows) == nested_loop(ones, others, keyed)


@settings(max_examples=20, deadline=None)
@given(scripts(null_safe=True))
def test_null_safe_keys(script: Any) -> None:
    steps, ones, others = script
    rows = four_ways(lambda: key_join(null_safe=[True]), steps)
    assert Counter(rows) == nested_loop(ones, others, 0, null_safe=True)


@settings(max_examples=20, deadline=None)
@given(scripts(), st.integers(0, 1), st.sampled_from([Less, LessAtOnce]))
def test_the_condition_reads_its_columns_only(script: Any, keyed: int, less: type[Less]) -> None:
    steps, _, _ = script
    schema = Schema.of(s=STRING, t=STRING) if keyed == 0 else Schema.of(t=STRING, s=STRING)
    reads = [1, 2] if keyed == 0 else [0, 3]
    steps = [flip(s, keyed) for s in steps]
    rows = four_ways(lambda: key_join(keyed, residual=less(schema), reads=reads), steps)
    sides = (KEYED, OTHER) if keyed == 0 else (OTHER, KEYED)
    keys = ([0], [1]) if keyed == 0 else ([1], [0])
    general = Harness(lambda: Join(*sides, *keys, Less(Schema((*sides[0].fields, *sides[1].fields)))))
    for s in steps:
        general.step(s.inputs(2))
    assert rows == general.run.rows()


def test_rows_that_fail_in_the_condition_are_told_once_and_whole() -> None:
    make = lambda: key_join(residual=Less(Schema.of(s=STRING, t=STRING)), reads=[1, 2])  # noqa: E731
    steps = [
        Step([None, Delta.of(OTHER, [("bad", 1), ("z", 1)])]),
        Step([Delta.of(KEYED, [(1, "a")]), None]),
        Step([None, Delta.of(OTHER, [("bad", 1)])]),
    ]
    assert four_ways(make, steps) == [(1, "a", "z", 1)]
    h = Harness(make)
    for s in steps:
        h.step(s.inputs(2))
    assert h.run.dropped == [("expression", b'{"id":1,"s":"a","t":"bad","k":1}')] * 2


def test_order_is_the_keyed_sides_then_that_of_arrival() -> None:
    h = Harness(key_join)
    h.step([Delta.of(KEYED, [(3, "c")]), Delta.of(OTHER, [("r1", 2), ("r2", 1), ("r3", 2)])])
    out = h.step([Delta.of(KEYED, [(1, "a"), (2, "b")]), Delta.of(OTHER, [("r4", 2), ("r5", 3), ("r6", 1)])])
    assert out is not None
    assert [(r[1], r[2]) for r in out.rows()] == [
        ("a", "r2"), ("b", "r1"), ("b", "r3"),  # those that waited
        ("b", "r4"), ("c", "r5"), ("a", "r6"),
    ]  # fmt: skip
    assert out.weights is None


def test_as_many_pairs_as_rows_are_not_a_pair_a_row() -> None:
    make = lambda: key_join(residual=Less(Schema.of(s=STRING, t=STRING)), reads=[1, 2])  # noqa: E731
    for new in (key_join, make):
        h = Harness(new)
        h.step([None, Delta.of(OTHER, [("r1", 2), ("r2", 2), ("r3", 2)])])
        out = h.step([Delta.of(KEYED, [(1, "a"), (2, "b"), (3, "c")]), None])
        assert out is not None
        assert out.rows() == [(2, "b", "r1", 2), (2, "b", "r2", 2), (2, "b", "r3", 2)]


def test_marks_come_from_the_row_that_completes_the_pair() -> None:
    h = Harness(key_join)
    other = Delta.of(OTHER, [("r1", 1), ("r2", 2)])
    h.step([None, Delta(OTHER, other.columns, None, np.array([5, 6]), 2)])
    keyed = Delta.of(KEYED, [(3, "c"), (1, "a")])
    out = h.step([Delta(KEYED, keyed.columns, None, np.array([7, 8]), 2), None])
    assert out is not None
    assert (out.rows(), out.mark_array().tolist()) == ([(1, "a", "r1", 1)], [8])
    last = Delta.of(OTHER, [("r3", 4), ("r4", 3)])
    out = h.step([None, Delta(OTHER, last.columns, None, np.array([9, 10]), 2)])
    assert out is not None
    assert out.mark_array().tolist() == [10]


def test_state_is_what_can_still_meet() -> None:
    h = Harness(lambda: key_join(mark=2))
    h.step([None, Delta.of(OTHER, [("a", 1), ("b", 1), ("c", 2), ("d", None), ("e", 3)])])
    assert h.state.size().rows == 4
    h.step([Delta.of(MARKED, [(1, "x", True), (2, "y", False), (None, "z", True)]), None])
    h.step([None, Delta.of(OTHER, [("f", 1), ("g", 2)])])
    # The row of 1, the mark of 2, the row that waits for 3.
    assert (h.state.size().rows, h.state.size().keys) == (3, 3)
    assert h.run.rows() == [(1, "x", "a", 1), (1, "x", "b", 1), (1, "x", "f", 1)]


def test_a_second_row_of_a_key_is_rejected() -> None:
    steps = [
        Step([Delta.of(KEYED, [(1, "first"), (1, "second")]), Delta.of(OTHER, [("a", 1)])]),
        Step([Delta.of(KEYED, [(1, "third"), (2, "b")]), Delta.of(OTHER, [("b", 1)])]),
    ]
    assert four_ways(key_join, steps) == [(1, "first", "a", 1), (1, "first", "b", 1)]
    h = Harness(key_join)
    for s in steps:
        h.step(s.inputs(2))
    assert h.run.dropped == [("constraint", b'{"id":1,"s":"second"}'), ("constraint", b'{"id":1,"s":"third"}')]


def test_a_second_row_of_a_marked_key() -> None:
    h = Harness(lambda: key_join(mark=2))
    rows = [(1, "out", False), (1, "in", True), (2, "in", True), (2, "out", False), (3, "out", None), (3, "out", False)]
    h.step([Delta.of(MARKED, rows), Delta.of(OTHER, [("a", 1), ("b", 2), ("c", 3)])])
    assert h.run.rows() == [(2, "in", "b", 2)]
    # What the filter excludes is never told.
    assert h.run.dropped == [("constraint", b'{"id":1,"s":"in"}')]


def test_several_keys_of_text_and_nested_columns() -> None:
    left = Schema.of(a=STRING, b=INT, v=array(INT))
    right = Schema.of(n=array(STRING), d=INT, c=STRING)
    ones = [(LONG, 1, [1, 2]), (LONG, 2, None), ("short", 1, [])]
    others = [(["u"], 1, LONG), ([], 2, LONG), (None, 1, "short"), (["w"], 2, "short"), (["v"], 1, LONG)]
    steps = [Step([None, Delta.of(right, others[:3])]), Step([Delta.of(left, ones), None])]
    steps.append(Step([None, Delta.of(right, others[3:])]))
    rows = four_ways(lambda: KeyJoin(left, right, [0, 1], [2, 1], 0), steps)
    want = [a + b for a in ones for b in others if (a[0], a[1]) == (b[2], b[1])]
    assert sorted(map(repr, rows)) == sorted(map(repr, want))


@settings(max_examples=30, deadline=None)
@given(scripts(marked=True), st.data(), st.sampled_from([(10, 0), (0, 10), (10, 25)]))
def test_with_a_ttl_it_is_the_general_join(script: Any, data: st.DataObject, ttl: tuple[int, int]) -> None:
    plain, _, _ = script
    steps, now = [], 0
    for s in plain:
        now += data.draw(st.integers(0, 20))
        steps.append(Step(s.deltas, None, now))
    rows = four_ways(lambda: key_join(mark=2, ttl=ttl), steps, batch=False)
    # The general join sees what the marks leave.
    general = Harness(lambda: Join(KEYED, OTHER, [0], [1], left_unique=True, ttl=ttl))
    for s in steps:
        one, other = s.inputs(2)
        if one is not None:
            one = Delta.of(KEYED, [r[:2] for r in one.rows() if r[2]])
        general.step([one, None], now=s.now)
        general.step([None, other], now=s.now)
    assert rows == general.run.rows()


def test_a_key_may_come_again_when_its_row_is_forgotten() -> None:
    h = Harness(lambda: key_join(mark=2, ttl=(10, 5)))
    h.step([Delta.of(MARKED, [(1, "a", True), (2, "b", False)]), Delta.of(OTHER, [("w", 3)])], now=1)
    h.step([Delta.of(MARKED, [(1, "again", True), (2, "b", True)]), Delta.of(OTHER, [("x", 1), ("x", 2)])], now=11)
    h.step([Delta.of(MARKED, [(3, "late", True)]), None], now=12)
    assert h.run.rows() == [(1, "again", "x", 1), (2, "b", "x", 2)]
    assert h.run.dropped == []


@pytest.mark.parametrize("ttl", [0, 50])
def test_state_is_flat_where_keys_come_and_rows_meet(ttl: int) -> None:
    """Rows move when memory is given back: who waits is found where it lies."""
    h = Harness(lambda: key_join(ttl=(0, ttl)))
    n, waits = 3000, 500
    want = 0
    for i in range(30):
        first = i * n
        ids = np.arange(first, first + n)
        others = np.concatenate([ids, ids, ids[:waits]])
        # Every tenth key waits for the next step but one.
        kept = ids[ids % 10 != 0]
        late = np.arange(first - 2 * n, first - n)
        late = late[(late >= 0) & (late % 10 == 0)]
        ones = np.concatenate([kept, late])
        h.step([None, Delta.of(OTHER, [(LONG, int(k)) for k in others])], now=i)
        h.step([Delta.of(KEYED, [(int(k), "s") for k in ones]), None], now=i)
        want += 2 * len(ones) + int((ones % n < waits).sum())
        got = sum(d.length for d in h.run.deltas)
        assert got == want
        del h.run.deltas[:-1]
        want = h.run.deltas[0].length
    assert h.state.size().parts["waiting"] < 8 << 20


def test_wakes_only_to_forget() -> None:
    assert Harness(key_join).operator.wake() is None
    h = Harness(lambda: key_join(ttl=(10, 10)))
    h.step([Delta.of(KEYED, [(1, "a")]), None], now=5)
    at = h.operator.wake()
    assert at is not None
    for now in range(at, at + 40):
        h.step([None, None], now=now)
    assert h.state.size().rows == h.state.size().keys == 0
    assert h.state.size().expired == 1


@pytest.mark.parametrize("keyed", [0, 1])
@pytest.mark.parametrize("ttl", [(0, 0), (3, 3)])
def test_what_is_read_later_is_what_was_joined(keyed: int, ttl: tuple[int, int]) -> None:
    """Columns of many rows are gathered when they are read: here after all steps."""
    rnd = np.random.default_rng(keyed)
    fields = (KEYED[1], OTHER[0]) if keyed == 0 else (OTHER[0], KEYED[1])
    reads = [1, 2] if keyed == 0 else [0, 3]
    h = Harness(lambda: key_join(keyed, residual=Less(Schema(fields)), reads=reads, ttl=ttl))
    sides = (KEYED, OTHER) if keyed == 0 else (OTHER, KEYED)
    keys = ([0], [1]) if keyed == 0 else ([1], [0])
    whole = Less(Schema((*sides[0].fields, *sides[1].fields)))
    general = Harness(lambda: Join(*sides, *keys, whole, ttl=ttl))
    ids = rnd.permutation(9000)
    for i in range(6):
        one = Delta.of(
            KEYED, [(int(k), f"{k % 7} is a text of the keyed side") for k in ids[i * 1500 : i * 1500 + 1500]]
        )
        rows = [(f"{k % 5} is a text of the other", int(k)) for k in rnd.integers(0, 9000, 9000)]
        other = Delta.of(OTHER, rows)
        h.step(flip(Step([one, other]), keyed).inputs(2), now=i + 1)
        for d in ([one, None], [None, other]):
            general.step(flip(Step(d), keyed).inputs(2), now=i + 1)
    assert h.run.rows() == general.run.rows()
    assert len(h.run.rows()) > 1000


def test_marks_live_as_long_as_rows() -> None:
    h = Harness(lambda: key_join(mark=2, ttl=(10, 0)))
    h.step([Delta.of(MARKED, [(1, "a", False)]), None], now=5)
    h.step([None, Delta.of(OTHER, [("x", 1)])], now=14)
    assert h.state.size().rows == 1
    h.step([None, Delta.of(OTHER, [("x", 1)])], now=15)
    # The mark is gone, and the row waits.
    assert (h.state.size().rows, h.state.size().keys) == (1, 1)
    h.step([Delta.of(MARKED, [(1, "a", True)]), None], now=16)
    assert h.run.rows() == [(1, "a", "x", 1)]


@pytest.mark.parametrize("mark", [None, 2])
def test_rows_and_marks_move_when_others_are_forgotten(mark: int | None) -> None:
    h = Harness(lambda: key_join(mark=mark, ttl=(3, 1)))
    n, got = 3500, 0
    for i in range(24):
        ids = range(i * n, i * n + n)
        rows = [(k, str(k), k % 2 == 0) if mark else (k, str(k)) for k in ids]
        h.step([Delta.of(MARKED if mark else KEYED, rows), None], now=i + 1)
        # Those that came with the two steps before are there, those before them not.
        asked = [("x", k) for k in range(max(0, (i - 3) * n), i * n, 3)]
        out = h.step([None, Delta.of(OTHER, asked)], now=i + 1)
        want = [k for _, k in asked if k >= (i - 2) * n and (mark is None or k % 2 == 0)]
        found = [] if out is None else out.rows()
        assert [(r[0], r[1], r[3]) for r in found] == [(k, str(k), k) for k in want]
        got += len(found)
    assert got > n
    # What moved is forgotten where it lies now.
    assert h.state.size().rows <= 3 * n + n // 3 + 1


def test_rows_that_wait_move_when_those_before_them_are_forgotten() -> None:
    """The first row of a key goes by its age; then the block of the second is emptied, and used again."""
    h = Harness(lambda: key_join(ttl=(0, 10)))
    keys, met = range(100), range(1000, 10_000)
    h.step([None, Delta.of(OTHER, [("old", k) for k in keys])], now=0)
    h.step([None, Delta.of(OTHER, [*(("new", k) for k in keys), *(("met", k) for k in met)])], now=5)
    for i in range(20):
        h.step([None, Delta.of(OTHER, [("x", 10_000 + i)])], now=12)
    assert h.state.size().rows == len(keys) + len(met) + 20
    h.step([Delta.of(KEYED, [(k, "s") for k in met]), None], now=13)
    for i in range(5):
        later = range(20_000 + i * 5000, 25_000 + i * 5000)
        h.step([None, Delta.of(OTHER, [(f"later {i}", k) for k in later])], now=13)
        h.step([Delta.of(KEYED, [(k, "s") for k in later]), None], now=13)
    out = h.step([Delta.of(KEYED, [(k, "s") for k in keys]), None], now=14)
    assert out is not None
    assert sorted(out.rows()) == [(k, "s", "new", k) for k in keys]
