"""Lists of values by group against plain Python: in order of arrival, the first equal value goes."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deras.core.delta import Delta
from deras.core.errors import PlanError
from deras.core.schema import Field, Schema
from deras.core.types import BIGINT, BOOLEAN, INT, STRING, SqlType, array, decimal, timestamp
from deras.engine.aggregates import AggregateCall, result_type
from deras.engine.operators.group_aggregate import GroupAggregate
from deras.engine.operators.window_aggregate import WindowAggregate
from deras.testing.engine import Step, four_ways

D = Decimal
ROWS = Schema.of(k=STRING, i=INT, s=STRING, d=decimal(24, 2), b=BOOLEAN)
LONG = "a text that is longer than what fits into a view"


def call(function: str, arg: int, **more: Any) -> AggregateCall:
    return AggregateCall(function, arg, result_type(function, ROWS[arg].type), **more)


CALLS = [
    call("ARRAY_AGG", 1),
    call("LIST", 2),
    call("LIST", 2, filter=4),
    call("LIST", 3),
    call("LIST", 2, distinct=True),
    call("ARRAY_AGG", 1, distinct=True),
    AggregateCall("COUNT", None, BIGINT.with_nullable(False)),
]
PICKS = [
    AggregateCall(f, a, ROWS[a].type)
    for f in ("FIRST_VALUE", "LAST_VALUE")
    for a in (1, 2, 3)
]  # fmt: skip


def group_by(calls: list[AggregateCall], *, append: bool, keys: bool = True) -> GroupAggregate:
    out = {"k": STRING} if keys else {}
    types: dict[str, SqlType] = {**out, **{f"c{i}": c.type for i, c in enumerate(calls)}}
    return GroupAggregate(ROWS, [0] if keys else [], calls, Schema.of(**types), append)


class Plain:
    """The same in Python: each list on its own, the first equal value goes."""

    def __init__(self) -> None:
        self.groups: dict[Any, list[tuple[Any, ...]]] = defaultdict(list)
        self.made: dict[Any, tuple[list[Any], ...]] = defaultdict(lambda: ([], [], [], [], []))

    def take(self, key: Any, row: tuple[Any, ...], weight: int) -> None:
        _, i, s, d, b = row
        kept = (True, s is not None, bool(b) and s is not None, d is not None, i is not None)
        for values, value, counts in zip(self.made[key], (i, s, s, d, i), kept, strict=True):
            if counts:
                values.append(value) if weight > 0 else values.remove(value)
        self.groups[key].append(row) if weight > 0 else self.groups[key].remove(row)

    def lists(self, key: Any) -> tuple[Any, ...]:
        return tuple(list(x) or None for x in self.made[key][:4])

    def picks(self, key: Any) -> tuple[Any, ...]:
        _, s, _, d, i = self.made[key]
        return tuple(x[place] if x else None for place in (0, -1) for x in (i, s, d))


VALUES = st.tuples(
    st.sampled_from(["x", "y", None]),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, "", "a", "b", LONG]),
    st.sampled_from([None, D("1.50"), D("-99999999999999999999.25")]),
    st.sampled_from([True, False, None]),
)


@st.composite
def histories(draw: Any) -> list[tuple[tuple[Any, ...], int]]:
    """Rows that come and go."""
    there: list[tuple[Any, ...]] = []
    found = []
    for row in draw(st.lists(VALUES, max_size=30)):
        if there and draw(st.booleans()):
            gone = there.pop(draw(st.integers(0, len(there) - 1)))
            found.append((gone, -1))
        there.append(row)
        found.append((row, 1))
    return found


def steps(history: list[tuple[tuple[Any, ...], int]], size: int) -> list[Step]:
    parts = [history[i : i + size] for i in range(0, len(history), size)]
    return [Step(Delta.of(ROWS, [r for r, _ in p], [w for _, w in p])) for p in parts]


SETTINGS = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SETTINGS
@given(histories(), st.sampled_from([1, 3, 100]))
def test_lists_of_rows_that_come_and_go(history: list[tuple[tuple[Any, ...], int]], size: int) -> None:
    plain = Plain()
    for row, weight in history:
        plain.take(row[0], row, weight)
    found = {r[0]: r[1:] for r in four_ways(lambda: group_by(CALLS, append=False), steps(history, size))}
    assert set(found) == {k for k, rows in plain.groups.items() if rows}
    for key, result in found.items():
        assert result[:4] == plain.lists(key)
        # A value that comes again after it was gone stands where it came again.
        assert sorted(result[4] or []) == sorted({r[2] for r in plain.groups[key] if r[2] is not None})
        assert Counter(result[5]) == Counter({r[1]: 1 for r in plain.groups[key]})
        assert result[6] == len(plain.groups[key])


@SETTINGS
@given(histories(), st.sampled_from([1, 3, 100]))
def test_first_and_last_of_rows_that_come_and_go(history: list[tuple[tuple[Any, ...], int]], size: int) -> None:
    plain = Plain()
    for row, weight in history:
        plain.take(None, row, weight)
    run = four_ways(lambda: group_by(PICKS, append=False, keys=False), steps(history, size))
    assert run == ([plain.picks(None)] if plain.groups[None] else [])


@SETTINGS
@given(st.lists(VALUES, max_size=30), st.sampled_from([1, 7, 100]))
def test_lists_of_rows_that_only_come(rows: list[tuple[Any, ...]], size: int) -> None:
    plain = Plain()
    for row in rows:
        plain.take(row[0], row, 1)
    given_ = [Step(Delta.of(ROWS, rows[i : i + size])) for i in range(0, len(rows), size)]
    found = {r[0]: r[1:] for r in four_ways(lambda: group_by(CALLS, append=True), given_)}
    assert {k: r[:4] for k, r in found.items()} == {k: plain.lists(k) for k in plain.groups}
    for key, r in found.items():
        assert r[5] == list(dict.fromkeys(x[1] for x in plain.groups[key]))
        assert (r[4] or []) == list(dict.fromkeys(x[2] for x in plain.groups[key] if x[2] is not None))


def test_one_row_a_step_gives_each_change_once() -> None:
    given_ = [(("x", 1, "a", None, True), 1), (("x", None, None, None, None), 1), (("x", 1, "a", None, True), 1)]
    given_ += [(("x", 1, "a", None, True), -1), (("x", None, None, None, None), -1), (("x", 1, "a", None, True), -1)]
    op = group_by([CALLS[1]], append=False)
    from deras.core.time import Tick
    from deras.engine.state import State

    op.open(State())
    found = []
    for row, weight in given_:
        out = op.step([Delta.of(ROWS, [row], [weight])], Tick()).delta
        found.append([] if out is None else list(out.changes()))
    one, two = ("x", ["a"]), ("x", ["a", "a"])
    assert found == [[(1, one)], [], [(-1, one), (1, two)], [(-1, two), (1, one)], [], [(-1, one)]]


def test_lists_of_nested_values() -> None:
    schema = Schema.of(k=STRING, a=array(INT))
    calls = [AggregateCall("ARRAY_AGG", 1, array(array(INT)))]

    def make() -> GroupAggregate:
        return GroupAggregate(schema, [0], calls, Schema.of(k=STRING, c=array(array(INT))), False)

    rows = [("x", [1, 2]), ("x", None), ("x", [1, 2]), ("x", [3])]
    given_ = [Step(Delta.of(schema, rows)), Step(Delta.of(schema, [("x", [1, 2]), ("x", None)], [-1, -1]))]
    assert four_ways(make, given_) == [("x", [[1, 2], [3]])]
    with pytest.raises(PlanError, match="DISTINCT"):
        GroupAggregate(
            schema, [0], [AggregateCall("LIST", 1, array(array(INT)), distinct=True)], schema, False
        )  # fmt: skip


TIMED = Schema((Field("k", STRING), Field("s", STRING), Field("ts", timestamp(3), "rowtime")))


@pytest.mark.parametrize("kind", ["tumble", "hop"])
def test_lists_of_windows(kind: Any) -> None:
    def at(second: int) -> dt.datetime:
        return dt.datetime(2026, 1, 1) + dt.timedelta(seconds=second)

    slide = 10_000 if kind == "tumble" else 5_000
    schema = Schema.of(k=STRING, c=array(STRING), start=timestamp(3), end=timestamp(3))
    calls = [AggregateCall("LIST", 1, array(STRING))]

    def make() -> WindowAggregate:
        return WindowAggregate(TIMED, 2, kind, 10_000, slide, 0, None, [0], calls, schema)

    rows = [("x", "a", 1), ("y", LONG, 2), ("x", None, 3), ("x", "c", 6), ("x", "b", 11), ("x", "a", 12)]
    base = int(dt.datetime(2026, 1, 1, tzinfo=dt.UTC).timestamp() * 1000)
    given_ = [Step(Delta.of(TIMED, [(k, s, at(t)) for k, s, t in rows]), high=base + 12_000), Step(high=base + 60_000)]
    found = sorted((r[3].second, r[0], r[1]) for r in four_ways(make, given_))
    wanted = [(10, "x", ["a", "c"]), (10, "y", [LONG]), (20, "x", ["b", "a"])]
    if kind == "hop":
        wanted += [(5, "x", ["a"]), (5, "y", [LONG]), (15, "x", ["c", "b", "a"])]
    assert found == sorted(wanted)
