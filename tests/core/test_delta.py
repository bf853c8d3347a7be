"""The algebra of deltas."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.types import BIGINT, BOOLEAN, STRING, decimal, timestamp

AB = Schema.of(a=BIGINT, b=STRING)
ROWS = st.lists(st.tuples(st.sampled_from([1, -1]), st.integers(0, 3), st.sampled_from(["x", "y", None])), max_size=20)


def _delta(rows: list[tuple[int, int, str | None]]) -> Delta:
    return Delta.of(AB, [r[1:] for r in rows], [r[0] for r in rows])


def _fold(delta: Delta) -> dict[object, int]:
    found: dict[object, int] = {}
    for w, r in delta.changes():
        found[r] = found.get(r, 0) + w
    return {k: v for k, v in found.items() if v}


@given(ROWS, ROWS)
def test_plus_and_minus(left: list[tuple[int, int, str | None]], right: list[tuple[int, int, str | None]]) -> None:
    a, b = _delta(left), _delta(right)
    assert _fold(a - a) == {}
    assert _fold(a + b) == _fold(b + a)
    assert _fold((a + b) - b) == _fold(a)
    assert _fold(-(-a)) == _fold(a)


@given(ROWS)
def test_consolidate_keeps_sum_and_first_place(rows: list[tuple[int, int, str | None]]) -> None:
    delta = _delta(rows)
    folded = delta.consolidate()
    assert _fold(folded) == _fold(delta)
    assert len(folded) == len(_fold(delta))
    first = {r: i for i, r in reversed(list(enumerate(delta.rows())))}
    places = [first[r] for r in folded.rows()]
    assert places == sorted(places)


def test_parse_draws_rows() -> None:
    schema = Schema.of(n=BIGINT, s=STRING, d=decimal(5, 2), t=timestamp(3), f=BOOLEAN)
    delta = Delta.parse(schema, "+ 1 'two words' 3.5 '2026-01-01 00:00:01' true // came\n- NULL NULL NULL NULL NULL")
    assert [w for w, _ in delta.changes()] == [1, -1]
    first, second = delta.rows()
    assert str(first) == "(1, 'two words', Decimal('3.50'), datetime.datetime(2026, 1, 1, 0, 0, 1), True)"
    assert second == (None,) * 5


def test_marks_follow_their_rows() -> None:
    d = Delta(AB, Delta.of(AB, [[1, "x"], [2, "y"], [3, "z"]]).columns, None, np.array([10, 20, 30]))
    assert d.take(np.array([2, 0])).mark_array().tolist() == [30, 10]
    assert d.slice(1, 3).mark_array().tolist() == [20, 30]
    other = Delta(AB, Delta.of(AB, [[4, "w"]]).columns, None, 40)
    assert Delta.concat([d, other]).mark_array().tolist() == [10, 20, 30, 40]
    same = Delta.concat([other, other])
    assert same.marks == 40


def test_rows_without_columns_keep_their_number() -> None:
    none = Schema(())
    d = Delta(none, [], None, length=3)
    assert len(d) == 3
    assert d.rows() == [(), (), ()]
    assert len(Delta.concat([d, d])) == 6
