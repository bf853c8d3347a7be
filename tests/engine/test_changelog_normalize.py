"""ChangelogNormalize against a dict."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.types import BIGINT, DOUBLE, STRING, array
from deras.engine.operators.changelog_normalize import ChangelogNormalize, equal_rows
from deras.testing.engine import Harness, Step, four_ways

SCHEMA = Schema.of(k=STRING, v=BIGINT, t=STRING)
LONG = "a text of more than twelve bytes"
KEYS = ["a", "b", LONG, None]
CHANGE = st.tuples(
    st.sampled_from([1, 1, -1]),
    st.sampled_from(KEYS),
    st.none() | st.integers(0, 2),
    st.sampled_from(["x", LONG, None]),
)


def reference(changes: list[tuple[int, Any, Any, Any]]) -> tuple[list[tuple[int, tuple[Any, ...]]], dict[Any, Any]]:
    now: dict[Any, Any] = {}
    out = []
    for w, *row in changes:
        old, new = now.get(row[0]), tuple(row) if w > 0 else None
        if old != new:
            out += [(-1, old)] if old is not None else []
            out += [(1, new)] if new is not None else []
        if new is None:
            now.pop(row[0], None)
        else:
            now[row[0]] = new
    return out, now


def make() -> ChangelogNormalize:
    return ChangelogNormalize(SCHEMA, [0])


def steps_of(batches: list[list[Any]]) -> list[Step]:
    return [
        Step(Delta.of(SCHEMA, [c[1:] for c in b], [c[0] for c in b]) if b else None, high=i)
        for i, b in enumerate(batches)
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(CHANGE, max_size=8), max_size=5))
def test_the_last_row_of_each_key(batches: list[list[Any]]) -> None:
    changes, left = reference([c for b in batches for c in b])
    found = four_ways(make, steps_of(batches))
    assert sorted(map(repr, found)) == sorted(map(repr, left.values()))
    for size in (1, 3, 1000):
        flat = [c for b in batches for c in b]
        h = Harness(make)
        for s in steps_of([flat[i : i + size] for i in range(0, len(flat), size)]):
            h.step(s.inputs(1), s.high)
        # Not only the end: every change of it, whatever the steps.
        assert [x for d in h.run.deltas for x in d.changes()] == changes


def test_a_key_that_goes_leaves_nothing() -> None:
    h = Harness(make)
    for i in range(50):
        rows = [(f"key {i} {j} of some length", j, LONG) for j in range(200)]
        h.step([Delta.of(SCHEMA, rows)])
        h.step([Delta.of(SCHEMA, [(k, None, None) for k, *_ in rows], [-1] * 200)])
    size = h.state.size()
    assert size.keys == 0
    assert size.rows == 0


def test_a_row_carries_the_watermark_that_it_saw() -> None:
    h = Harness(make)
    given_ = Delta.of(SCHEMA, [("a", 1, None), ("a", 2, None), ("b", 1, None)])
    out = h.step([Delta(SCHEMA, given_.columns, None, np.array([5, 6, 7]), 3)])
    assert out is not None
    assert out.mark_array().tolist() == [5, 6, 6, 7]


def test_equal_rows_by_type() -> None:
    a = [1.0, 0.0, float("nan"), None, 2.0, None]
    b = [1.0, -0.0, float("nan"), None, None, 2.0]
    found = equal_rows([Column.of_values(DOUBLE, a)], [Column.of_values(DOUBLE, b)])
    assert found.tolist() == [True, False, True, True, False, False]
    lists = [[1, None], [1], None, []]
    other = [[1, None], [2], None, None]
    found = equal_rows([Column.of_values(array(BIGINT), lists)], [Column.of_values(array(BIGINT), other)])
    assert found.tolist() == [True, False, True, False]


def test_an_update_that_comes_twice() -> None:
    h = Harness(lambda: ChangelogNormalize(SCHEMA, [0], pairs=True))
    a, b = ("a", 1, "x"), ("a", 2, "x")
    h.step([Delta.of(SCHEMA, [a, a, a, b, a, b, b, b], [1, 1, -1, 1, -1, 1, -1, -1])])
    assert [x for d in h.run.deltas for x in d.changes()] == [(1, a), (-1, a), (1, b), (-1, b)]
