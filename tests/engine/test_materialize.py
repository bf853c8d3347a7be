from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core.delta import Delta
from deras.core.schema import Field, Schema
from deras.core.time import MIN_WATERMARK, Tick
from deras.core.types import BIGINT, INT, STRING, array
from deras.engine.operators.materialize import Materialize
from deras.engine.operators.union import Union
from deras.engine.state import State
from deras.engine.state.segments import BLOCK
from deras.testing.engine import Harness, Step, four_ways

SCHEMA = Schema.of(k=BIGINT, s=STRING)
LONG = "a text of more than twelve bytes"
TEXTS = ["", "x", LONG, None]


def view(operator: Materialize) -> list[tuple[Any, ...]]:
    return list(zip(*(c.values() for c in operator.snapshot().columns()), strict=True))


def made(*args: Any, **more: Any) -> tuple[Materialize, State]:
    operator = Materialize(*args, **more)
    state = State("view")
    operator.open(state)
    return operator, state


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_rows_without_key_are_a_multiset(data: st.DataObject) -> None:
    live: list[Any] = []
    steps = []
    for _ in range(data.draw(st.integers(1, 6))):
        rows, weights = [], []
        for _ in range(data.draw(st.integers(0, 6))):
            if live and data.draw(st.booleans()):
                rows.append(live.pop(data.draw(st.integers(0, len(live) - 1))))
                weights.append(-1)
            else:
                rows.append((data.draw(st.none() | st.integers(0, 2)), data.draw(st.sampled_from(TEXTS))))
                live.append(rows[-1])
                weights.append(1)
        steps.append(Step(Delta.of(SCHEMA, rows, weights) if rows else None))
    assert Counter(four_ways(lambda: Materialize(SCHEMA), steps)) == Counter(live)
    h = Harness(lambda: Materialize(SCHEMA))
    for s in steps:
        h.step(s.inputs(1))
    assert Counter(view(h.operator)) == Counter(live)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.tuples(st.none() | st.integers(0, 3), st.sampled_from(TEXTS)), max_size=8), max_size=5))
def test_last_row_of_a_key_wins(batches: list[list[Any]]) -> None:
    steps = [Step(Delta.of(SCHEMA, b) if b else None) for b in batches]
    want = {r[0]: r for b in batches for r in b}
    assert Counter(four_ways(lambda: Materialize(SCHEMA, [0], True), steps)) == Counter(want.values())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_row_before_comes_back(data: st.DataObject) -> None:
    live: list[Any] = []
    steps = []
    for _ in range(data.draw(st.integers(1, 6))):
        rows, weights = [], []
        for _ in range(data.draw(st.integers(0, 6))):
            if live and data.draw(st.booleans()):
                r = live[data.draw(st.integers(0, len(live) - 1))]
                del live[len(live) - 1 - live[::-1].index(r)]  # of equal rows the latest goes
                rows.append(r)
                weights.append(-1)
            else:
                rows.append((data.draw(st.none() | st.integers(0, 2)), data.draw(st.sampled_from(TEXTS))))
                live.append(rows[-1])
                weights.append(1)
        steps.append(Step(Delta.of(SCHEMA, rows, weights) if rows else None))
    want = {r[0]: r for r in live}
    assert Counter(four_ways(lambda: Materialize(SCHEMA, [0], False, ()), steps)) == Counter(want.values())


def test_changes_are_folded_per_key_in_order_of_first_touch() -> None:
    h = Harness(lambda: Materialize(SCHEMA, [0], False))
    h.step([Delta.of(SCHEMA, [(1, "a"), (2, "b")], [1, 1])])
    out = h.step([Delta.parse(SCHEMA, "+ 3 c\n- 2 b\n+ 2 bb\n- 1 a\n- 2 bb\n+ 2 bbb\n+ 4 d\n- 4 d")])
    assert out is not None
    assert list(out.changes()) == [(1, (3, "c")), (-1, (2, "b")), (1, (2, "bbb")), (-1, (1, "a"))]
    assert view(h.operator) == [(3, "c"), (2, "bbb")]  # type: ignore[arg-type]


def test_append_only_without_key_passes_its_input_on() -> None:
    operator, _ = made(SCHEMA, (), True)
    delta = Delta.of(SCHEMA, [(1, "a"), (1, "a")])
    assert operator.step([delta], Tick()).delta is delta
    assert operator.append_only
    assert view(operator) == [(1, "a"), (1, "a")]


def test_removal_without_a_row_is_told_and_not_passed_on() -> None:
    operator, _ = made(SCHEMA)
    out = operator.step([Delta.of(SCHEMA, [(1, "a"), (2, "b")], [1, -1])], Tick())
    assert out.delta is not None
    assert out.delta.rows() == [(1, "a")]
    assert [(r.reason, r.raw) for r in out.dropped] == [("constraint", [b'{"k":2,"s":"b"}'])]


def test_snapshot_is_of_its_step() -> None:
    operator, _ = made(SCHEMA, [0], False)
    assert (operator.snapshot().rows, operator.snapshot().watermark) == (0, MIN_WATERMARK)
    operator.step([Delta.of(SCHEMA, [(1, LONG)])], Tick(epoch=3, high=70, step=5))
    seen = operator.snapshot()
    for i in range(100):
        operator.step([Delta.of(SCHEMA, [(1, f"{LONG} {i}")] * 3000)], Tick(step=6 + i, high=71))
    assert (seen.step, seen.epoch, seen.watermark, seen.rows) == (5, 3, 70, 1)
    assert seen.arrow().to_pylist() == [{"k": 1, "s": LONG}]
    assert seen.frame().rows() == [(1, LONG)]
    assert operator.snapshot().arrow().to_pylist() == [{"k": 1, "s": f"{LONG} 99"}]
    operator.step([None], Tick(step=200, high=99))
    assert (operator.snapshot().step, operator.snapshot().watermark) == (200, 99)


def test_repeated_names_are_numbered_for_readers() -> None:
    schema = Schema((Field("a", INT), Field("a", INT), Field("a_1", INT)))
    operator, _ = made(schema, (), True)
    operator.step([Delta.of(schema, [(1, 2, 3)])], Tick())
    assert operator.snapshot().arrow().column_names == ["a", "a_1", "a_1_1"]
    assert operator.snapshot().frame().rows() == [(1, 2, 3)]


def test_readers_beside_the_step_thread_see_whole_steps() -> None:
    operator, _ = made(SCHEMA, [0], False)
    wrong: list[Any] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            rows = Counter(r[1] for r in view(operator))
            if len(rows) > 1 or sum(rows.values()) not in (0, 500):
                wrong.append(rows)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for r in readers:
        r.start()
    for i in range(300):
        operator.step([Delta.of(SCHEMA, [(k, f"{LONG} {i}") for k in range(500)])], Tick(step=i))
    done.set()
    for r in readers:
        r.join()
    assert not wrong


@pytest.mark.parametrize("key", [(), (0,)])
def test_restored_view_says_where_it_stands(key: tuple[int, ...]) -> None:
    operator, state = made(SCHEMA, key, False)
    operator.step([Delta.of(SCHEMA, [(1, "a"), (2, LONG)], [1, 1])], Tick(epoch=2, high=40, step=7))
    again, other = made(SCHEMA, key, False)
    other.restore(state.freeze(2).chunks())
    assert view(again) == [(1, "a"), (2, LONG)]
    assert (again.snapshot().step, again.snapshot().epoch, again.snapshot().watermark) == (7, 2, 40)


def test_old_rows_can_be_moved_elsewhere() -> None:
    schema = Schema.of(a=BIGINT)
    operator, state = made(schema, (), True)
    n = 5 * BLOCK + 100
    operator.step([Delta.of(schema, [(i,) for i in range(n)])], Tick())
    state.freeze(1)
    chunks = operator.closed_chunks(retain=2 * BLOCK)
    assert [c.snapshot.rows for c in chunks] == [BLOCK] * 3
    assert np.concatenate([c.snapshot.columns()[0].words() for c in chunks]).tolist() == list(range(3 * BLOCK))
    assert [c.first for c in chunks] == sorted(c.first for c in chunks)
    operator.drop_chunks(chunks)
    assert [r[0] for r in view(operator)] == list(range(3 * BLOCK, n))
    assert chunks[0].snapshot.rows == BLOCK
    assert operator.closed_chunks(retain=2 * BLOCK) == []
    operator.step([Delta.of(schema, [(n,)])], Tick())
    again, other = made(schema, (), True)
    frozen = [*state.base(2).chunks()]
    other.restore(frozen)
    assert [r[0] for r in view(again)] == list(range(3 * BLOCK, n + 1))
    # What is appended after a restart is numbered on.
    again.step([Delta.of(schema, [(0,)] * 4 * BLOCK)], Tick())
    assert again.closed_chunks(retain=0)[0].first > chunks[-1].last


def test_nested_key() -> None:
    schema = Schema.of(k=array(INT), v=INT)
    steps = [Step(Delta.of(schema, [([1], 1), ([2], 2), (None, 3)])), Step(Delta.of(schema, [([1], 4)]))]
    assert four_ways(lambda: Materialize(schema, [0], True), steps) == [(None, 3), ([1], 4), ([2], 2)]


def test_union_keeps_the_order_of_its_inputs() -> None:
    h = Harness(lambda: Union(SCHEMA, 3, append_only=False))
    a, b = Delta.of(SCHEMA, [(1, "a"), (2, "b")]), Delta.of(SCHEMA, [(1, "a")], [-1])
    out = h.step([a, None, b])
    assert out is not None
    assert list(out.changes()) == [(1, (1, "a")), (1, (2, "b")), (-1, (1, "a"))]
    assert h.step([None, None, None]) is None
