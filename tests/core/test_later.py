"""Columns that are gathered when they are read: as those that are gathered at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.later import TOGETHER, WORTH, LateColumn, Pick, late_concat, late_gather, late_take, settle
from deras.core.schema import Schema
from deras.core.types import BIGINT, DOUBLE, INT, STRING, array, decimal

WIDE = Schema.of(a=BIGINT, t=STRING, d=DOUBLE, w=decimal(38, 2), x=array(INT), i=INT)
ROWS = [
    (
        i if i % 3 else None,
        None if i % 5 == 0 else f"a text of some length {i}" if i % 2 else str(i),
        i / 7,
        None,
        [i],
        i,
    )
    for i in range(40)
]


def late(delta: Delta, rows: Any) -> Delta:
    pick = Pick(np.array(rows, np.int64))
    columns = [LateColumn(c.type, c.take, pick) for c in delta.columns]
    return Delta(delta.schema, columns, None, delta.mark_array()[pick.rows], len(rows))


PLACES = st.lists(st.integers(0, 39), max_size=12)
DELTA = Delta(WIDE, Delta.of(WIDE, ROWS).columns, None, np.arange(40))


@given(st.lists(PLACES, min_size=1, max_size=4), st.data())
def test_what_is_read_is_what_was_taken(parts: list[list[int]], data: st.DataObject) -> None:
    now = Delta.concat([DELTA.take(np.array(p, np.int64)) for p in parts])
    then = late_concat([late(DELTA, p) for p in parts])
    for _ in range(data.draw(st.integers(0, 3))):
        if data.draw(st.booleans()):
            which = data.draw(st.integers(0, len(WIDE) - 1))
            assert then.columns[which].values() == now.columns[which].values()
        if now.length:
            rows = np.array(data.draw(st.lists(st.integers(0, now.length - 1), max_size=9)), np.int64)
            now, then = now.take(rows), then.take(rows)
        a = data.draw(st.integers(0, now.length))
        now, then = now.slice(a, now.length), then.slice(a, then.length)
    assert len(then) == len(now)
    assert then.rows() == now.rows()
    assert then.mark_array().tolist() == now.mark_array().tolist()
    for x, y in zip(then.columns, now.columns, strict=True):
        bits = [[1] * len(x) if c.valid() is None else c.valid().tolist() for c in (x, y)]  # type: ignore[union-attr]
        assert bits[0] == bits[1]


def test_each_form_is_that_of_the_gathered_column() -> None:
    rows = np.array([3, 3, 39, 0])
    for reads in ("words", "floats", "limbs", "views", "series", "values", "valid"):
        for c, f in zip(late(DELTA, rows).columns, WIDE, strict=True):
            layout = {"words": "words", "floats": "floats", "limbs": "limbs", "views": "views"}.get(reads)
            if layout is not None and f.type.layout.value != layout:
                continue
            getattr(c, reads)()
            assert c.values() == DELTA.columns[WIDE.names.index(f.name)].take(rows).values()
    c = late(DELTA, rows).columns[0]
    assert c.with_type(BIGINT.with_nullable(False)).type == BIGINT.with_nullable(False)
    assert c.where(np.array([1, 0, 1, 0], np.uint8)).values() == [None, None, None, None]
    assert c.where(np.array([1, 1, 1, 1], np.uint8)).values() == [None, None, None, None]
    assert Column.concat([c, DELTA.columns[0]]).values() == [None, None, None, None, *[r[0] for r in ROWS]]


def test_nothing_is_gathered_but_what_is_read() -> None:
    asked: list[list[int]] = []

    def gather(rows: Any) -> Column:
        asked.append(rows.tolist())
        return DELTA.columns[5].take(rows)

    c = LateColumn(INT, gather, Pick(np.arange(40)))
    few = c.take(np.array([30, 20, 10])).slice(1, 3)
    assert asked == []
    assert few.values() == [20, 10]
    assert few.words().tolist() == [20, 10]
    assert asked == [[20, 10]]
    assert c.values() == list(range(40))
    assert c.take(np.array([1])).values() == [1]
    assert asked == [[20, 10], list(range(40))]


def test_few_rows_are_gathered_at_once() -> None:
    columns = [Column.of_words(BIGINT, np.arange(2 * WORTH))]
    assert not isinstance(late_take(columns, np.arange(WORTH - 1))[0], LateColumn)
    many = late_take(columns, np.arange(WORTH))[0]
    assert isinstance(many, LateColumn)
    assert many.values() == list(range(WORTH))


def test_of_few_rows_all_columns_are_gathered_with_the_first() -> None:
    many = Delta.of(Schema.of(a=BIGINT, b=BIGINT), [(i, -i) for i in range(TOGETHER + 9)])
    asked: list[tuple[int, Any]] = []

    def gather(rows: Any, only: Any) -> list[Column]:
        asked.append((len(rows), only))
        return [many.columns[i].take(rows) for i in (range(2) if only is None else only)]

    a, b = late_gather([BIGINT, BIGINT], gather, np.arange(TOGETHER + 9)[::-1].copy())
    assert a.values() == list(range(TOGETHER + 9))[::-1]
    assert asked == [(TOGETHER + 9, (0,))]
    rows = np.array([5, 3, 5])
    assert b.take(rows).values() == [-(TOGETHER + 8 - i) for i in (5, 3, 5)]
    c, d = late_gather([BIGINT, BIGINT], gather, np.arange(WORTH))
    some = np.array([5, 3])
    assert (d.take(some).values(), c.take(some).values()) == ([-5, -3], [5, 3])
    assert asked == [(TOGETHER + 9, (0,)), (3, None), (2, None)]
    both = settle(Delta(many.schema, late_gather([BIGINT, BIGINT], gather, np.arange(WORTH))))
    assert len(asked) == 4
    assert [c.values()[-1] for c in both.columns] == [WORTH - 1, 1 - WORTH]
    assert len(asked) == 4
    assert late_gather([BIGINT, BIGINT], gather, np.arange(WORTH - 1))[1].values() == [-i for i in range(WORTH - 1)]
