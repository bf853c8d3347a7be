from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core.contracts import Lookup
from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.time import MAX_WATERMARK, Tick
from deras.core.types import BIGINT, STRING
from deras.engine.lookup_cache import LookupCache
from deras.engine.operators.lookup_join import LookupJoin
from deras.engine.state import State

LEFT = Schema.of(n=BIGINT, k=BIGINT)
FOUND = Schema.of(x=STRING, j=BIGINT)


class Table(Lookup):
    """Rows by key, and the questions that it got."""

    def __init__(self, rows: dict[int, list[str]]) -> None:
        self.table = rows
        self.asked: list[list[Any]] = []

    def fetch(self, keys: Any) -> Delta:
        wanted = keys[0].values()
        self.asked.append(wanted)
        return Delta.of(FOUND, [(x, k) for k in reversed(wanted) for x in self.table.get(k, [])])


class Join:
    """A join with a table, step by step."""

    def __init__(self, table: Table, *, kind: Any = "inner", cache: LookupCache | None = None, **more: Any) -> None:
        self.more = {"kind": kind, "cache": cache, **more}
        self.table = table
        self.low = 0
        self.renew()

    def renew(self, frozen: Any = None) -> None:
        """A new operator, from a checkpoint if one is given."""
        self.join = LookupJoin(LEFT, FOUND, [1], [1], **self.more)
        self.join.attach(self.table)
        self.state = State("x")
        self.join.open(self.state)
        if frozen is not None:
            self.state.restore(frozen.chunks())

    def step(self, rows: list[tuple[int, int | None]], now: int = 0, high: int = 0) -> list[tuple[Any, ...]]:
        """What a step gives."""
        delta = Delta.of(LEFT, rows) if rows else None
        if delta is not None:
            delta = Delta(delta.schema, delta.columns, None, np.full(len(rows), self.low), len(rows))
        out = self.join.step([delta], Tick(0, now, self.low, high))
        assert not out.dropped
        self.low = max(self.low, high)
        if out.delta is None:
            return []
        columns = [c.values() for c in out.delta.columns]
        return [(n, x) for n, _, x, _ in zip(*columns, strict=True)]


def test_distinct_keys_are_asked_once_a_step_and_nulls_never() -> None:
    t = Table({1: ["a"], 2: ["b", "c"]})
    j = Join(t, kind="left")
    assert j.step([(0, 2), (1, None), (2, 1), (3, 2), (4, 9)]) == [
        (0, "b"), (0, "c"), (1, None), (2, "a"), (3, "b"), (3, "c"), (4, None),
    ]  # fmt: skip
    assert t.asked == [[2, 1, 9]]
    assert j.step([(5, None)]) == [(5, None)]
    assert len(t.asked) == 1, "a step of NULLs alone asks nothing"
    j.step([(6, 1)])
    assert t.asked[1:] == [[1]], "nothing is kept without a cache"


def test_a_cache_answers_what_was_asked_before() -> None:
    t = Table({1: ["a"], 2: ["b"]})
    j = Join(t, cache=LookupCache(FOUND, [1]))
    assert j.step([(0, 1), (1, 7)]) == [(0, "a")]
    t.table[1] = ["new"]
    assert j.step([(2, 7), (3, 2), (4, 1)]) == [(3, "b"), (4, "a")]
    assert t.asked == [[1, 7], [2]]


def test_keys_without_rows_are_asked_again_if_they_are_not_kept() -> None:
    t = Table({1: ["a"]})
    j = Join(t, cache=LookupCache(FOUND, [1], missing=False))
    assert j.step([(0, 1), (1, 7)]) == [(0, "a")]
    t.table[7] = ["z"]
    assert j.step([(2, 7), (3, 1)]) == [(2, "z"), (3, "a")]
    assert t.asked == [[1, 7], [7]]


def test_a_key_is_asked_again_when_it_is_old() -> None:
    t = Table({1: ["a"]})
    j = Join(t, cache=LookupCache(FOUND, [1], after_write=100))
    assert j.step([(0, 1)], now=1000) == [(0, "a")]
    t.table[1] = ["b", "c"]
    assert j.step([(1, 1)], now=1099) == [(1, "a")]
    assert sorted(j.step([(2, 1)], now=1100)) == [(2, "b"), (2, "c")]
    assert t.asked == [[1], [1]]


def test_a_key_that_is_asked_for_stays() -> None:
    t = Table({1: ["a"], 2: ["b"]})
    j = Join(t, cache=LookupCache(FOUND, [1], after_read=100))
    j.step([(0, 1), (0, 2)], now=0)
    j.step([(1, 1)], now=90)
    j.step([(2, 1), (2, 2)], now=180)
    assert t.asked == [[1, 2], [2]]


def test_a_full_cache_keeps_what_was_asked_for_last() -> None:
    t = Table({k: [f"r{k}"] for k in range(20)})
    cache = LookupCache(FOUND, [1], max_rows=10)
    j = Join(t, cache=cache)
    j.step([(0, k) for k in range(8)], now=1)
    j.step([(0, k) for k in (0, 1, 2)], now=2)
    assert len(t.asked) == 1
    j.step([(0, k) for k in range(8, 14)], now=3)
    assert len(cache) <= 10
    t.asked.clear()
    j.step([(0, 13), (0, 0)], now=4)
    assert t.asked == []
    j.step([(0, 5)], now=5)
    assert t.asked == [[5]]


def test_a_step_with_more_keys_than_the_cache_has_room_for_is_answered_whole() -> None:
    t = Table({k: [f"r{k}"] for k in range(50)})
    cache = LookupCache(FOUND, [1], max_rows=5)
    j = Join(t, cache=cache)
    assert j.step([(k, k) for k in range(50)]) == [(k, f"r{k}") for k in range(50)]
    assert len(cache) <= 5


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 99), st.none() | st.integers(0, 12)), max_size=8), max_size=8),
    st.sampled_from([0, 3, 6]),
    st.booleans(),
)
def test_a_cache_changes_nothing_while_the_table_does_not(steps: Any, room: int, missing: bool) -> None:
    t = Table({k: [f"{k}.{i}" for i in range(k % 3)] for k in range(10)})
    plain = Join(t, kind="left")
    cached = Join(t, kind="left", cache=LookupCache(FOUND, [1], max_rows=room, after_read=3, missing=missing))
    for now, rows in enumerate(steps):
        assert Counter(cached.step(rows, now)) == Counter(plain.step(rows, now))


# ---------------------------------------------------------------- asking again


def test_rows_behind_one_that_waits_wait_too() -> None:
    t = Table({1: ["a"]})
    j = Join(t, again=100, attempts=2)
    assert j.step([(0, 1), (1, 7), (2, 1)], now=1000, high=5) == [(0, "a")]
    assert j.join.wake() == 1100
    assert j.join.hold(5) == 0, "the watermark waits with the row"
    assert j.step([(3, 1)], now=1050, high=6) == []
    t.table[7] = ["z"]
    assert j.step([], now=1100, high=6) == [(1, "z"), (2, "a"), (3, "a")]
    assert j.join.wake() is None
    assert j.join.hold(6) == 6


def test_rows_need_not_wait_for_others() -> None:
    t = Table({1: ["a"]})
    j = Join(t, again=100, attempts=2, ordered=False)
    assert j.step([(0, 1), (1, 7), (2, 1)], now=1000) == [(0, "a"), (2, "a")]
    t.table[7] = ["z"]
    assert j.step([(3, 1)], now=1050) == [(3, "a")]
    assert j.step([], now=1100) == [(1, "z")]


@pytest.mark.parametrize("kind", ["inner", "left"])
def test_after_the_last_attempt_there_is_nothing(kind: str) -> None:
    t = Table({1: ["a"]})
    j = Join(t, kind=kind, again=100, attempts=2)
    assert j.step([(0, 7), (1, None), (2, 1)], now=0) == []
    assert j.step([], now=100) == []
    found = j.step([], now=200)
    assert found == ([(2, "a")] if kind == "inner" else [(0, None), (1, None), (2, "a")])
    assert t.asked == [[7, 1], [7], [7], [7, 1]], "once, twice again, and when the rows behind it may go"
    assert j.join.wake() is None


def test_the_end_of_the_input_does_not_wait() -> None:
    t = Table({})
    j = Join(t, kind="left", again=100, attempts=5)
    assert j.step([(0, 7)], now=0) == []
    t.table[7] = ["z"]
    assert j.step([(1, 8)], now=1, high=MAX_WATERMARK) == [(0, "z"), (1, None)]
    assert j.join.hold(MAX_WATERMARK) == MAX_WATERMARK


def test_rows_that_wait_survive() -> None:
    t = Table({1: ["a"]})
    j = Join(t, kind="left", again=100, attempts=1)
    assert j.step([(0, 7), (1, 1)], now=0, high=5) == []
    j.renew(j.state.freeze(1))
    assert j.join.wake() == 100
    assert j.join.hold(5) == 0
    assert j.step([(2, 1)], now=50, high=5) == []
    assert j.step([], now=100, high=5) == [(0, None), (1, "a"), (2, "a")]
    j.renew(j.state.base(2))
    assert j.join.wake() is None
    assert j.step([], now=200, high=5) == []
