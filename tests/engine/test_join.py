from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.time import Tick
from deras.core.types import BIGINT, DOUBLE, INT, STRING, array
from deras.engine.operator import RowErrors
from deras.engine.operators.join import Join
from deras.engine.state import State
from deras.testing.engine import Harness, Step, four_ways

if TYPE_CHECKING:
    import pytest

LEFT = Schema.of(a=BIGINT, s=STRING)
RIGHT = Schema.of(t=STRING, k=BIGINT)
LONG = "a text of more than twelve bytes"


class Less:
    """The residual ``s < t``; fails where t is 'bad'."""

    schema = Schema((*LEFT.fields, *RIGHT.fields))

    def run(self, delta: Delta, tick: Tick) -> tuple[Delta, list[RowErrors]]:
        s, t = delta.columns[1].values(), delta.columns[2].values()
        bad = [i for i, x in enumerate(t) if x == "bad"]
        good = [i for i in range(len(s)) if i not in bad and s[i] is not None and t[i] is not None and s[i] < t[i]]
        errors = [RowErrors(np.array(bad), ["cannot compare"] * len(bad))] if bad else []
        return delta.take(np.array(good, np.int64)), errors


@st.composite
def changes(draw: st.DrawFn, schema: Schema, updating: bool, live: list[Any]) -> Delta | None:
    key = st.none() | st.integers(0, 3)
    text = st.sampled_from([None, "", "x", LONG, LONG + "!"])
    row = st.tuples(key, text) if schema is LEFT else st.tuples(text, key)
    rows, weights = [], []
    for _ in range(draw(st.integers(0, 6))):
        if updating and live and draw(st.booleans()):
            rows.append(live.pop(draw(st.integers(0, len(live) - 1))))
            weights.append(-1)
        else:
            r = draw(row)
            live.append(r)
            rows.append(r)
            weights.append(1)
    return Delta.of(schema, rows, weights if updating else None) if rows else None


def nested_loop(left: list[Any], right: list[Any]) -> Counter[Any]:
    return Counter(a + b for a in left for b in right if a[0] is not None and a[0] == b[1])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_join_is_the_nested_loop_four_ways(data: st.DataObject) -> None:
    updating = [data.draw(st.booleans()), data.draw(st.booleans())]
    live: tuple[list[Any], list[Any]] = ([], [])
    steps = [
        Step([data.draw(changes(s, u, x)) for s, u, x in zip((LEFT, RIGHT), updating, live, strict=True)])
        for _ in range(data.draw(st.integers(1, 5)))
    ]
    rows = four_ways(lambda: Join(LEFT, RIGHT, [0], [1], None, not updating[0], not updating[1]), steps)
    assert Counter(rows) == nested_loop(*live)


def test_order_is_that_of_arrival() -> None:
    h = Harness(lambda: Join(LEFT, RIGHT, [0], [1]))
    h.step([None, Delta.of(RIGHT, [("r1", 1), ("r2", 2), ("r3", 1)])])
    out = h.step([Delta.of(LEFT, [(1, "a"), (2, "b"), (1, "c")]), Delta.of(RIGHT, [("r4", 1), ("r5", 2)])])
    assert out is not None
    assert [(r[1], r[2]) for r in out.rows()] == [
        ("a", "r1"), ("a", "r3"), ("b", "r2"), ("c", "r1"), ("c", "r3"),  # left meets the right as it was
        ("a", "r4"), ("c", "r4"), ("b", "r5"),  # right meets the left as it is
    ]  # fmt: skip
    assert out.weights is None


def test_weights_of_more_than_one_row() -> None:
    h = Harness(lambda: Join(LEFT, RIGHT, [0], [1], None, False, False))
    h.step([Delta.of(LEFT, [(1, "a")], [3]), Delta.of(RIGHT, [("r", 1)], [2])])
    out = h.step([Delta.of(LEFT, [(1, "a")], [-2]), None])
    assert out is not None
    assert list(out.changes()) == [(-1, (1, "a", "r", 1))] * 4
    assert h.run.rows() == [(1, "a", "r", 1)] * 2


def test_keys_compare_by_bits() -> None:
    schema = Schema.of(x=DOUBLE)
    h = Harness(lambda: Join(schema, schema, [0], [0]))
    nan = float("nan")
    out = h.step([Delta.of(schema, [(0.0,), (-0.0,), (nan,)]), Delta.of(schema, [(0.0,), (nan,)])])
    assert out is not None
    assert [str(r) for r in out.rows()] == ["(0.0, 0.0)", "(nan, nan)"]


def test_no_keys_is_the_product() -> None:
    rows = four_ways(
        lambda: Join(LEFT, RIGHT, [], []),
        [
            Step([Delta.of(LEFT, [(1, "a"), (None, "b")]), Delta.of(RIGHT, [("r", None)])]),
            Step([None, Delta.of(RIGHT, [("q", 2)])]),
        ],
    )
    assert len(rows) == 4


def test_residual_filters_and_its_errors_are_told_once() -> None:
    steps = [
        Step([Delta.of(LEFT, [(1, "a"), (1, "z")], [1, 1]), Delta.of(RIGHT, [("m", 1), ("bad", 1)])]),
        Step([Delta.of(LEFT, [(1, "a")], [-1]), None]),
        Step([Delta.of(LEFT, [(1, "b")], [1]), None]),
    ]
    make = lambda: Join(LEFT, RIGHT, [0], [1], Less(), False, True, origin="join of l and r")  # noqa: E731
    # In one batch the failed pairs of a row that came and went are never made.
    assert four_ways(make, steps, dropped=False) == [(1, "b", "m", 1)]
    h = Harness(make)
    for s in steps:
        h.step(s.inputs(2))
    assert [(reason, raw) for reason, raw in h.run.dropped] == [
        ("expression", b'{"a":1,"s":"a","t":"bad","k":1}'),
        ("expression", b'{"a":1,"s":"z","t":"bad","k":1}'),
        ("expression", b'{"a":1,"s":"b","t":"bad","k":1}'),
    ]


def test_row_taken_back_that_never_came_is_told() -> None:
    h = Harness(lambda: Join(LEFT, RIGHT, [0], [1], None, False, True))
    assert h.step([Delta.of(LEFT, [(1, "a")], [-1]), Delta.of(RIGHT, [("r", 1)])]) is None
    assert h.run.dropped == [("constraint", b'{"a":1,"s":"a"}')]


def test_nested_columns_travel_and_identify() -> None:
    schema = Schema.of(k=INT, v=array(STRING))
    make = lambda: Join(schema, schema, [0], [0], None, False, False)  # noqa: E731
    rows = [(1, ["a", None]), (1, ["b"]), (1, None)]
    steps = [
        Step([Delta.of(schema, rows), Delta.of(schema, [(1, [])])]),
        Step([Delta.of(schema, [(1, ["b"])], [-1]), None]),
    ]
    assert four_ways(make, steps) == [(1, None, 1, []), (1, ["a", None], 1, [])]


def test_declared_key_finds_the_row() -> None:
    left = LEFT.with_key([1])
    steps = [
        Step([Delta.of(left, [(1, "x"), (1, "y")]), Delta.of(RIGHT, [("r", 1), ("q", 2)])]),
        Step([Delta.of(left, [(1, "x"), (2, "x")], [-1, 1]), None]),
    ]
    assert four_ways(lambda: Join(left, RIGHT, [0], [1], None, False, True), steps) == [
        (1, "y", "r", 1),
        (2, "x", "q", 2),
    ]


def test_many_partners_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deras.engine.operators.join.ROOM", 7)
    h = Harness(lambda: Join(LEFT, RIGHT, [0], [1]))
    left = [(i % 3, f"l{i}") for i in range(20)]
    right = [(f"r{i}", i % 4) for i in range(50)]
    h.step([None, Delta.of(RIGHT, right)])
    out = h.step([Delta.of(LEFT, left), None])
    assert out is not None
    assert out.rows() == [a + b for a in left for b in right if a[0] == b[1]]


def test_fresh_keys_that_go_again_leave_memory_flat() -> None:
    operator = Join(LEFT, RIGHT, [0], [1], None, False, False)
    state = State()
    operator.open(state)
    sizes = []
    for i in range(100):
        left = Delta.of(LEFT, [(i * 1000 + j, f"{LONG} {i} {j}") for j in range(1000)], [1] * 1000)
        right = Delta.of(RIGHT, [(f"{LONG} {i} {j}", i * 1000 + j) for j in range(1000)], [1] * 1000)
        out = operator.step([left, right], Tick())
        assert out.delta is not None
        assert out.delta.length == 1000
        out = operator.step([-left, -right], Tick())
        assert out.delta is not None
        assert (out.delta.weights == -1).all()
        sizes.append(state.size().bytes)
    assert state.size().keys == state.size().rows == 0
    assert max(sizes) < 14_000_000  # 400 000 rows of 100 bytes went through
