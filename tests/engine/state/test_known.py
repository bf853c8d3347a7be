"""Ids that are known by the row that a key came from: as those that are looked up."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core.column import Column
from deras.core.later import LateColumn, Pick, source_of
from deras.core.types import BIGINT, STRING
from deras.engine.state import State
from deras.engine.state.known import _TRIES

if TYPE_CHECKING:
    from deras.engine.state.index import Index

TYPES = [BIGINT, STRING]
VALUES = st.tuples(
    st.none() | st.integers(0, 3), st.sampled_from([None, "", "a", "a text of more than twelve bytes", "x" * 40])
)
ROWS = 12


def late(columns: list[Column], numbers: list[int], places: list[int], token: object) -> list[Column]:
    pick = Pick(np.array(places, np.int64))
    return [LateColumn(columns[i].type, columns[i].take, pick, (token, i)) for i in numbers]


def now(columns: list[Column], numbers: list[int], places: list[int]) -> list[Column]:
    return [columns[i].take(np.array(places, np.int64)) for i in numbers]


def flags(index: Index) -> list[int]:
    return [int(x) for x in index.flags[: index.used]]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_two_indexes_of_which_one_remembers_are_alike(data: st.DataObject) -> None:
    sources = []
    for _ in range(2):
        rows = data.draw(st.lists(VALUES, min_size=ROWS, max_size=ROWS))
        sources.append(([Column.of_values(t, [r[i] for r in rows]) for i, t in enumerate(TYPES)], object()))
    numbers = [0, 1] if data.draw(st.booleans()) else [0]
    states = [State("a"), State("a")]
    types = [TYPES[i] for i in numbers]
    one, other = (s.index("i", types, 1, [5]) for s in states)
    for round_ in range(data.draw(st.integers(1, 8))):
        columns, token = sources[data.draw(st.sampled_from([0, 0, 0, 1]))]
        places = data.draw(st.lists(st.integers(0, ROWS - 1), max_size=20))
        insert, touch = data.draw(st.booleans()), data.draw(st.sampled_from([None, False, True]))
        with_source: list[Column] = list(late(columns, numbers, places, token))
        if data.draw(st.booleans()):
            some = np.array(
                data.draw(st.lists(st.integers(0, len(places) - 1), max_size=9)) if places else [], np.int64
            )
            with_source = [c.take(some) for c in with_source]
            places = [places[i] for i in some]
        if data.draw(st.booleans()):
            with_source[0].valid()  # gathered already: its source is still known
        assert source_of(with_source) is not None
        got = one.lookup(with_source, insert=insert, touch=touch)
        want = other.lookup(now(columns, numbers, places), insert=insert, touch=touch)
        assert got.tolist() == want.tolist()
        assert flags(one) == flags(other)
        if len(one) and data.draw(st.sampled_from([False, False, True])):
            gone = np.array(data.draw(st.lists(st.sampled_from(one.ids().tolist()))), np.int64)
            one.release(gone)
            other.release(gone)
        if data.draw(st.sampled_from([False, True])):
            chunks = [[(k, n, bytes(b)) for k, n, b in s.freeze(round_).chunks()] for s in states]
            assert chunks[0] == chunks[1]
        assert len(one) == len(other)


def test_a_row_is_hashed_once() -> None:
    columns = [Column.of_values(BIGINT, list(range(100)))]
    index, token = State("a").index("i", [BIGINT], 0), object()
    asked: list[int] = []

    def gather(rows: np.ndarray) -> Column:
        asked.extend(rows.tolist())
        return columns[0].take(rows)

    for places in ([7, 8, 7, 7], [8, 7], [9, 7, 9]):
        pick = Pick(np.array(places))
        found = index.lookup([LateColumn(BIGINT, gather, pick, (token, 0))])
        assert index.key_columns(found)[0].values() == places
    assert asked == [7, 8, 9]
    assert index.bytes > 0


def test_other_columns_of_a_source_are_other_keys() -> None:
    columns = [Column.of_values(BIGINT, [1, 2]), Column.of_values(BIGINT, [3, 4])]
    index, token = State("a").index("i", [BIGINT], 0), object()
    found = [index.lookup(late(columns, [i], [0, 1], token)).tolist() for i in (0, 1, 0)]
    assert found == [[0, 1], [2, 3], [0, 1]]


def test_columns_of_other_rows_have_no_common_source() -> None:
    columns = [Column.of_values(BIGINT, [1, 2]), Column.of_values(BIGINT, [3, 4])]
    token = object()
    (a,), (b,) = late(columns, [0], [0, 1], token), late(columns, [1], [1, 0], token)
    assert source_of([a, b]) is None
    assert source_of([a, columns[1]]) is None
    assert source_of([a, *late(columns, [1], [0, 1], object())]) is None
    assert source_of([]) is None
    a.settle()  # type: ignore[attr-defined]
    assert source_of([a]) is None
    assert a.values() == [1, 2]


def test_a_lookup_that_fails_leaves_nothing_behind() -> None:
    key = BIGINT.with_nullable(False)
    good = Column.of_words(key, np.array([5, 6, 7]))
    bad = Column.of_words(key, np.array([5, 6, 7]), np.array([1, 0, 1], np.uint8))
    index, token = State("a").index("i", [key], 0), object()
    pick = Pick(np.array([0, 1, 1]))
    with pytest.raises(Exception, match="NULL"):
        index.lookup([LateColumn(key, bad.take, pick, (token, 0))])
    found = index.lookup([LateColumn(key, good.take, Pick(np.array([1, 1, 2])), (token, 0))])
    assert index.key_columns(found)[0].values() == [6, 6, 7]


def test_an_index_that_often_lets_go_stops_remembering() -> None:
    column = Column.of_values(BIGINT, [1, 2, 3])
    index, token, asked = State("a").index("i", [BIGINT], 0), object(), 0

    def gather(rows: np.ndarray, count: list[int]) -> Column:
        count[0] += len(rows)
        return column.take(rows)

    for _ in range(_TRIES + 3):
        count = [0]
        for _ in range(2):
            pick = Pick(np.array([2, 0, 2]))
            found = index.lookup([LateColumn(BIGINT, partial(gather, count=count), pick, (token, 0))])
            assert index.key_columns(found)[0].values() == [3, 1, 3]
        asked = count[0]
        index.release(found[:1])
    assert asked == 6


def test_what_is_known_is_marked_as_changed_too() -> None:
    columns = [Column.of_values(BIGINT, [1, 2, 3])]
    state, token = State("a"), object()
    index = state.index("i", [BIGINT], 0)
    index.lookup(late(columns, [0], [0, 1, 2], token))
    state.freeze(1)
    index.lookup(late(columns, [0], [0], token), touch=False)
    assert [f & 1 for f in flags(index)] == [0, 0, 0]
    index.lookup(late(columns, [0], [2, 2, 1], token))
    assert [f & 1 for f in flags(index)] == [0, 1, 1]
