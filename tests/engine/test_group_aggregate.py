"""GROUP BY: golden cases of Flink 2.3, and anything against plain Python."""

from __future__ import annotations

import datetime as dt
import math
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

from deras.core.delta import Delta
from deras.core.errors import PlanError
from deras.core.schema import Schema
from deras.core.time import Tick
from deras.core.types import BIGINT, BOOLEAN, DOUBLE, FLOAT, INT, SMALLINT, STRING, array, decimal, timestamp
from deras.engine import runs
from deras.engine.aggregates import AggregateCall, result_type
from deras.engine.operators.group_aggregate import GroupAggregate
from deras.engine.state import State
from deras.testing.engine import Harness

D = Decimal


def call(schema: Schema, function: str, arg: int | None = None, **more: Any) -> AggregateCall:
    return AggregateCall(function, arg, result_type(function, None if arg is None else schema[arg].type), **more)


def make(schema: Schema, keys: list[int], calls: list[AggregateCall], append: bool, **more: Any) -> GroupAggregate:
    names = {f"k{i}": schema[k].type for i, k in enumerate(keys)} | {f"c{i}": c.type for i, c in enumerate(calls)}
    op = GroupAggregate(schema, keys, calls, Schema.of(**names), append, **more)
    op.open(State())
    return op


def changes(op: GroupAggregate, delta: Delta) -> list[tuple[int, tuple[Any, ...]]]:
    out = op.step([delta], Tick()).delta
    return [] if out is None else list(out.changes())


def hashable(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(reference.identity(x) for x in row)


class Folded:
    """A changelog folded by key; refuses what is not legal."""

    def __init__(self, keys: int) -> None:
        self.keys = keys
        self.rows: dict[Any, tuple[Any, ...]] = {}

    def take(self, found: list[tuple[int, tuple[Any, ...]]]) -> None:
        for w, row in found:
            key = hashable(row[: self.keys])
            if w < 0:
                assert hashable(self.rows.pop(key)) == hashable(row)
            else:
                assert key not in self.rows
                self.rows[key] = row


BIDS = Schema.of(price=decimal(10, 2), item=STRING)
GOLDEN = [("4.00", "C"), ("2.00", "A"), ("5.00", "D"), ("3.00", "B"), ("1.00", "E"), ("9.00", "LATE"), ("6.00", "F")]


def test_count_and_sum_without_keys_change_as_flinks() -> None:
    op = make(BIDS, [], [call(BIDS, "COUNT"), call(BIDS, "SUM", 0)], True)
    found = []
    for p, n in GOLDEN:
        found += changes(op, Delta.of(BIDS, [(D(p), n)]))
    sums = ["4.00", "6.00", "11.00", "14.00", "15.00", "24.00", "30.00"]
    expected = [(1, (1, D("4.00")))]
    for i in range(1, 7):
        expected += [(-1, (i, D(sums[i - 1]))), (1, (i + 1, D(sums[i])))]
    assert found == expected
    assert len(found) == 13


def test_a_batch_folds_to_one_change() -> None:
    op = make(BIDS, [], [call(BIDS, "COUNT"), call(BIDS, "SUM", 0)], True)
    assert changes(op, Delta.of(BIDS, [(D(p), n) for p, n in GOLDEN])) == [(1, (7, D("30.00")))]


def test_aggregate_over_aggregate_retracts_as_flinks() -> None:
    s = Schema.of(cur=STRING)
    first = make(s, [0], [call(s, "COUNT")], True)
    t = first.schema
    second = make(t, [1], [call(t, "COUNT")], False)
    found: list[tuple[int, Any]] = []
    for cur in ["EUR", "EUR", "USD", "EUR", "JPY"]:
        delta = first.step([Delta.of(s, [(cur,)])], Tick()).delta
        assert delta is not None
        for i in range(len(delta)):  # Flink takes one change after the other
            found += changes(second, delta.slice(i, i + 1))
    assert found == [
        (1, (1, 1)),
        (-1, (1, 1)),
        (1, (2, 1)),
        (1, (1, 1)),
        (-1, (2, 1)),
        (1, (3, 1)),
        (-1, (1, 1)),
        (1, (1, 2)),
    ]


def test_no_row_on_empty_input_and_none_when_all_went() -> None:
    op = make(BIDS, [], [call(BIDS, "COUNT")], False)
    assert op.step([None], Tick()).delta is None
    row = Delta.of(BIDS, [(D(1), "x")])
    assert changes(op, row) == [(1, (1,))]
    assert changes(op, -row) == [(-1, (1,))]
    assert len(op._groups.groups) == 0


def test_unchanged_results_are_not_sent_unless_asked() -> None:
    s = Schema.of(k=INT, x=INT)
    for always in (False, True):
        op = make(s, [0], [call(s, "MAX", 1)], True, emit_unchanged=always)
        assert changes(op, Delta.of(s, [(1, 5)])) == [(1, (1, 5))]
        assert changes(op, Delta.of(s, [(1, 3)])) == ([(-1, (1, 5)), (1, (1, 5))] if always else [])


def test_keys_change_in_order_of_first_touch_and_take_the_mark_of_that_row() -> None:
    s = Schema.of(k=STRING)
    op = make(s, [0], [call(s, "COUNT")], True)
    delta = Delta.of(s, [(k,) for k in ["b", "a", "b", "a very long key that is not inline", "a"]])
    delta.marks = np.array([1, 2, 3, 4, 5])
    out = op.step([delta], Tick()).delta
    assert out is not None
    assert out.rows() == [("b", 2), ("a", 2), ("a very long key that is not inline", 1)]
    assert out.mark_array().tolist() == [1, 2, 4]


def test_nulls_group_together_and_negative_zero_is_its_own_key() -> None:
    s = Schema.of(k=DOUBLE)
    op = make(s, [0], [call(s, "COUNT")], True)
    found = changes(op, Delta.of(s, [(None,), (0.0,), (-0.0,), (None,)]))
    assert [(hashable(r)) for _, r in found] == [(None, 2), ("0x0.0p+0", 1), ("-0x0.0p+0", 1)]


@pytest.mark.parametrize(
    ("function", "type_", "values", "expected"),
    [
        ("AVG", INT, [1, 2], 1),
        ("AVG", INT, [-1, -2], -1),
        ("SUM", INT, [2**31 - 1, 1], -(2**31)),
        ("SUM", SMALLINT, [32767, 1], -32768),
        ("SUM", BIGINT, [2**63 - 1, 1], -(2**63)),
        ("SUM", INT, [None, None], None),
        ("COUNT", INT, [None, None], 0),
        ("STDDEV_POP", BIGINT, [1, 2, 4], 1),
        ("VAR_SAMP", INT, [5], None),
        ("SUM", decimal(38, 0), [D("9" * 38), D(1)], None),
        ("SUM", decimal(38, 0), [D("9" * 38), D(1), D(-1)], D("9" * 38)),
        ("SUM", decimal(38, 0), [-D("9" * 38), D(-1)], None),
        ("AVG", decimal(38, 0), [D("9" * 38), D("9" * 38)], None),  # no digit left for DECIMAL(38, 6)
        ("AVG", decimal(10, 2), [D("0.01"), D("0.02"), D("0.02")], D("0.016667")),
        ("AVG", decimal(10, 2), [D("-0.01"), D("-0.02"), D("-0.02")], D("-0.016667")),
        ("AVG", decimal(10, 7), [D("0.0000001"), D("0.0000002")], D("0.0000002")),
        ("AVG", decimal(10, 7), [D("-0.0000001"), D("-0.0000002")], D("-0.0000002")),
        ("VAR_POP", decimal(10, 2), [D("1.00"), D("2.00")], D("0.250000")),
        ("STDDEV_SAMP", decimal(10, 2), [D("1.00"), D("3.00")], D("1.414214")),
        ("SUM", DOUBLE, [1e16, 1.0, -1e16], 1.0),
        ("SUM", DOUBLE, [math.inf, 1.0], math.inf),
        ("SUM", DOUBLE, [math.inf, -math.inf], math.nan),
        ("MAX", DOUBLE, [math.inf, math.nan, 1.0], math.nan),
        ("MIN", DOUBLE, [math.nan, 1.0, -math.inf], -math.inf),
        ("VAR_POP", DOUBLE, [1e9 + 1, 1e9 + 2, 1e9 + 3], 2 / 3),
        ("MAX", STRING, ["b", "ba", "a much longer text than twelve", None], "ba"),
        ("MIN", STRING, ["ä", "z", "zz"], "z"),
        ("MIN", BOOLEAN, [True, False, None], False),
        ("SUM", FLOAT, [0.5, 0.25], 0.75),
    ],
)
@pytest.mark.parametrize("append", [True, False])
def test_values(function: str, type_: Any, values: list[Any], expected: Any, append: bool) -> None:
    s = Schema.of(x=type_)
    op = make(s, [], [call(s, function, 0)], append)
    ((_, (found,)),) = changes(op, Delta.of(s, [(v,) for v in values]))
    assert reference.same(found, expected)


def test_a_cancelled_infinity_or_nan_leaves_nothing_behind() -> None:
    s = Schema.of(x=DOUBLE)
    op = make(s, [], [call(s, f, 0) for f in ("SUM", "AVG", "MIN", "MAX", "STDDEV_POP")], False)
    first = Delta.of(s, [(0.1,), (0.2,)])
    changes(op, first)
    for bad in (math.nan, math.inf, -math.inf, 1e300):
        delta = Delta.of(s, [(bad,)])
        changes(op, delta)
        changes(op, -delta)
    ((_, row),) = [c for c in changes(op, Delta.of(s, [(0.0,)])) if c[0] < 0]
    assert reference.same(row, (0.1 + 0.2, 0.15, 0.1, 0.2, 0.05))


def test_what_is_refused() -> None:
    s = Schema.of(x=STRING, l=array(INT))
    with pytest.raises(PlanError, match="MODE is not supported yet"):
        result_type("MODE", STRING)
    with pytest.raises(PlanError, match="SUM takes a number, not STRING"):
        result_type("SUM", STRING)
    with pytest.raises(PlanError, match="does not take ARRAY"):
        result_type("MAX", s[1].type)


def test_result_types_are_flinks() -> None:
    found = [str(result_type(f, t)) for f, t in [("SUM", decimal(10, 2)), ("AVG", decimal(10, 2)), ("AVG", INT)]]
    assert found == ["DECIMAL(38, 2)", "DECIMAL(38, 6)", "INT"]
    assert str(result_type("COUNT", None)) == "BIGINT NOT NULL"
    assert str(result_type("STDDEV_POP", BIGINT)) == "BIGINT"


# ---- anything

WIDE = Schema.of(
    k=STRING, g=INT, i=INT, b=BIGINT, d=DOUBLE, m=decimal(12, 3), w=decimal(38, 4), t=STRING, f=BOOLEAN, z=timestamp(3)
)
EPOCH = dt.datetime(1970, 1, 1)
LONG = "a text that is longer than twelve bytes: "
VALUES = {
    0: st.sampled_from(["a", "b", LONG + "k", None]),
    1: st.sampled_from([1, 2, None]),
    2: st.none() | st.integers(-(2**31), 2**31 - 1),
    3: st.none() | st.integers(-50, 50),
    4: st.none() | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0]) | st.floats(-1e6, 1e6, width=32),
    5: st.none() | st.decimals(-(10**8), 10**8, places=3),
    6: st.none() | st.integers(-(10**38) + 1, 10**38 - 1).map(lambda x: D(x).scaleb(-4)),
    7: st.none() | st.sampled_from(["", "a", "ab", "é", LONG + "1", LONG + "2", LONG + "10"]),
    8: st.none() | st.booleans(),
    9: st.none() | st.integers(-(10**12), 10**13).map(lambda ms: EPOCH + dt.timedelta(milliseconds=ms)),
}
ROWS = st.tuples(*(VALUES[i] for i in range(10)))


def wide_calls(append: bool) -> list[AggregateCall]:
    calls = [call(WIDE, "COUNT"), call(WIDE, "COUNT", filter=8)]
    calls += [call(WIDE, "MIN", 9), call(WIDE, "MAX", 9)]
    for arg in (2, 3, 4, 5, 6):
        calls += [call(WIDE, f, arg) for f in ("SUM", "AVG", "MIN", "MAX", "COUNT")]
        calls.append(call(WIDE, "SUM", arg, distinct=True))
    calls += [call(WIDE, f, arg) for f in ("VAR_POP", "VAR_SAMP", "STDDEV_POP", "STDDEV_SAMP") for arg in (3, 4)]
    calls += [call(WIDE, f, 7) for f in ("MIN", "MAX")]
    calls += [call(WIDE, "COUNT", 7, distinct=True, filter=8), call(WIDE, "MAX", 7, filter=8)]
    # The same values seen through several filters.
    calls += [call(WIDE, f, 3, distinct=True, filter=8) for f in ("COUNT", "SUM")]
    calls += [call(WIDE, "COUNT", arg, distinct=True) for arg in (3, 7)]
    if append:
        calls += [call(WIDE, f, arg) for f in ("FIRST_VALUE", "LAST_VALUE") for arg in (3, 4, 6, 7)]
    return calls


def expected_of(rows: list[Any], keys: list[int], calls: list[AggregateCall]) -> dict[Any, tuple[Any, ...]]:
    groups: dict[Any, list[Any]] = {}
    for r in rows:
        groups.setdefault(tuple(r[k] for k in keys), []).append(r)
    return {
        key: (*key, *(reference.aggregate(c, None if c.arg is None else WIDE[c.arg].type, found) for c in calls))
        for key, found in groups.items()
    }


def compare(folded: Folded, expected: dict[Any, tuple[Any, ...]]) -> None:
    assert folded.rows.keys() == expected.keys()
    for key, row in expected.items():
        for i, (a, b) in enumerate(zip(folded.rows[key], row, strict=True)):
            assert reference.same(a, b), (key, i, a, b)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ROWS, max_size=40), st.sampled_from([[], [0], [0, 1]]), st.integers(1, 12))
def test_appended_rows_give_what_plain_python_gives(rows: list[Any], keys: list[int], size: int) -> None:
    calls = wide_calls(append=True)
    op = make(WIDE, keys, calls, True)
    folded = Folded(len(keys))
    for i in range(0, len(rows), size):
        folded.take(changes(op, Delta.of(WIDE, rows[i : i + size])))
    compare(folded, expected_of(rows, keys, calls))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(ROWS, min_size=1, max_size=12),
    st.lists(st.tuples(st.sampled_from(["a", "b", None]), VALUES[1], st.integers(12, 40)), min_size=6, max_size=12),
    st.sampled_from([[], [0], [1], [0, 1]]),
    st.booleans(),
)
def test_long_runs_of_a_key_give_what_plain_python_gives(
    pool: list[Any], lengths: list[Any], keys: list[int], append: bool
) -> None:
    calls = wide_calls(append)
    rows = [(k, g, *pool[i % len(pool)][2:]) for k, g, length in lengths for i in range(length)]
    gone = [] if append else rows[3 : len(rows) // 2]
    delta = Delta.of(WIDE, [*rows, *gone], [1] * len(rows) + [-1] * len(gone))
    assert runs.starts([delta.columns[i] for i in keys], delta.length) is not None
    op = make(WIDE, keys, calls, append)
    folded = Folded(len(keys))
    folded.take(changes(op, delta))
    left = rows[:3] + rows[len(rows) // 2 :] if gone else rows
    compare(folded, expected_of(left, keys, calls))


@pytest.mark.parametrize("append", [True, False])
def test_a_large_step_gives_what_plain_python_gives(append: bool) -> None:
    """More rows than a kernel takes at once, keys in disorder."""
    r = np.random.default_rng(5)
    texts = ["", "ab", LONG + "1", LONG + "2", None]
    rows = [
        (f"key {k}", k % 3, n, b, d / 8, D(m).scaleb(-3), D(m * 10**20).scaleb(-4), texts[m % 5], bool(m & 1), EPOCH)
        for k, n, b, d, m in r.integers(-40, 40, (5000, 5)).tolist()
    ]
    calls = wide_calls(append)
    op = make(WIDE, [0, 1], calls, append)
    gone = [] if append else rows[100:3000]
    delta = Delta.of(WIDE, [*rows, *gone], [1] * len(rows) + [-1] * len(gone))
    assert runs.starts(delta.columns[:2], delta.length) is None
    folded = Folded(2)
    folded.take(changes(op, delta))
    compare(folded, expected_of(rows[:100] + rows[3000:] if gone else rows, [0, 1], calls))


def test_where_runs_begin() -> None:
    words = [7] * 30 + [8] * 30 + [None] * 30 + [8] * 30
    texts = ["a"] * 45 + ["b"] * 75
    columns = [*Delta.of(Schema.of(x=INT, t=STRING), list(zip(words, texts, strict=True))).columns]
    found = runs.starts(columns, 120)
    assert found is not None
    assert found.tolist() == [0, 30, 45, 60, 90, 120]
    assert runs.spread(found, np.arange(5)).tolist() == [0] * 30 + [1] * 15 + [2] * 15 + [3] * 30 + [4] * 30
    assert runs.starts([], 120) is not None
    assert runs.starts(columns, 20) is None  # too few rows
    assert runs.starts([c.take(np.arange(120) * 37 % 120) for c in columns], 120) is None  # too short runs


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from([[], [0], [0, 1]]))
def test_rows_that_come_and_go_give_what_plain_python_gives(data: st.DataObject, keys: list[int]) -> None:
    """With restarts: at some steps the state is frozen, and restored into a new operator."""
    calls = wide_calls(append=False)
    op = make(WIDE, keys, calls, False)
    state = State()
    op.open(state)
    saved: list[Any] = []
    folded = Folded(len(keys))
    held: list[Any] = []
    for _ in range(data.draw(st.integers(1, 6))):
        came = data.draw(st.lists(ROWS, max_size=8))
        batch = [(1, r) for r in came]
        pool = held + came
        gone = data.draw(st.integers(0, len(pool)))
        batch += [(-1, pool.pop(data.draw(st.integers(0, len(pool) - 1)))) for _ in range(gone)]
        held = pool
        if not batch:
            continue
        folded.take(changes(op, Delta.of(WIDE, [r for _, r in batch], [w for w, _ in batch])))
        compare(folded, expected_of(held, keys, calls))
        if data.draw(st.booleans()):
            saved.append(list(state.freeze(len(saved)).chunks()))
            if data.draw(st.booleans()):
                op = make(WIDE, keys, calls, False)
                state = State()
                op.open(state)
                state.restore([c for chunks in saved for c in chunks])
                saved = [list(state.base(0).chunks())]
    groups = op._groups
    assert len(groups.groups) == len(expected_of(held, keys, calls))
    for s, index in zip(groups.layouts.sets, groups.sets, strict=True):
        values = {
            (*(r[k] for k in keys), reference.identity(r[s.arg]))
            for r in held
            if r[s.arg] is not None and any(f is None or r[f] for f in s.filters)
        }
        assert len(index.index) == len(values)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 400)), min_size=200, max_size=400))
def test_the_next_greatest_is_found_among_many(steps: list[tuple[bool, int]]) -> None:
    s = Schema.of(x=INT)
    op = make(s, [], [call(s, "MIN", 0), call(s, "MAX", 0)], False)
    folded = Folded(0)
    held: list[int] = []
    for come, x in steps:
        if come or not held:
            held.append(x)
            folded.take(changes(op, Delta.of(s, [(x,)])))
        else:
            gone = max(held) if x % 2 else min(held)
            held.remove(gone)
            folded.take(changes(op, Delta.of(s, [(gone,)], [-1])))
        assert list(folded.rows.values()) == ([(min(held), max(held))] if held else [])


@pytest.mark.parametrize("append", [True, False])
def test_what_a_filter_sees_later_of_a_value_is_in_the_next_increment(append: bool) -> None:
    s = Schema.of(k=INT, v=INT, f=BOOLEAN)
    calls = [call(s, "COUNT", 1, distinct=True), call(s, "COUNT", 1, distinct=True, filter=2)]
    out = Schema.of(k=INT, a=BIGINT, b=BIGINT)
    h = Harness(lambda: GroupAggregate(s, [0], calls, out, append))
    log: list[Any] = []
    for i, row in enumerate([(1, 5, False), (1, 5, True)]):
        h.step([Delta.of(s, [row])])
        log += [(k, n, bytes(b)) for k, n, b in h.state.freeze(i).chunks()]
    h.restart(log)
    assert h.step([Delta.of(s, [(1, 5, True)])]) is None
    assert h.run.rows() == [(1, 1, 1)]


def test_memory_stays_flat_when_keys_come_and_go() -> None:
    s = Schema.of(k=STRING, x=STRING)
    op = make(s, [0], [call(s, "COUNT", 1, distinct=True), call(s, "MAX", 1)], False)
    sizes = []
    for i in range(400):
        delta = Delta.of(s, [(f"key {i} {j} of some length", f"{LONG}{j % 7}") for j in range(1000)])
        changes(op, delta)
        changes(op, -delta)
        sizes.append((op._groups.groups.used, op._groups.sets[0].index.used, op._groups.groups.bytes))
    assert len(op._groups.groups) == 0
    assert sizes[-1][:2] == sizes[0][:2]
    assert max(size for _, _, size in sizes) < 4 << 20  # 10 MB of keys came and went


def test_with_bounds_checks() -> None:
    """The same tests, once, with every array access of the kernels checked."""
    if os.environ.get("DERAS_BOUNDSCHECK") == "1":
        pytest.skip("this is that run")
    names = "values or golden or flinks or memory or many or large or runs"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__, "-k", names],
        env={**os.environ, "DERAS_BOUNDSCHECK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
