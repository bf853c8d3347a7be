"""Of each key the first few rows in order, where rows only come: short lists instead of trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deras.core.later import LateColumn
from deras.core.types import Layout
from deras.engine.kernels import order as ok
from deras.engine.kernels import toplist as k
from deras.engine.ranking import FUNCTIONS, KINDS, Listing, arrivals, key_types, orders_of
from deras.engine.state.keys import KeyShape, plain
from deras.engine.state.rowset import keyable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deras.core.column import Column
    from deras.core.schema import Schema
    from deras.core.types import SqlType
    from deras.engine.ranking import SortKey
    from deras.engine.state import Segments, State

Ids = npt.NDArray[np.int64]

LENGTH, GLOBAL_LENGTH = 16, 128
"""The longest list of a key; that of rows without a key."""
_NONE = np.zeros(0, np.int64)
_NO_BITS = np.zeros(0, np.uint8)
_UNPACKED = np.zeros((0, 0), np.int64)


def append_some(segments: Segments, columns: Sequence[Column], some: Ids) -> Ids:
    """Copy these rows of columns into segments; columns that are not gathered yet are so only for them."""
    if any(isinstance(c, LateColumn) for c in columns):
        return segments.append([c.take(some) for c in columns], len(some))
    return segments.append(columns, len(some), rows=some)


def fits(partition: Sequence[int], function: str, last: int | None) -> bool:
    """Whether lists do for ranks up to ``last`` of rows that only come."""
    longest = LENGTH if partition else GLOBAL_LENGTH
    return FUNCTIONS[function] == 0 and last is not None and last <= longest


@dataclass(slots=True)
class Changes:
    """What a step did to the lists.

    Args:
        keys: whose lists changed, in order of the first change.
        first: the position of the row that changed each first.
        fresh: whether they had no row.
        rows: the row of each change that is told.
        ranks: its rank (only where ranks are shown).
        signs: +1 or -1.
        at: the position of the row that changed its key first.
        dead: rows that left: they are readable until :meth:`TopList.forget`.
    """

    keys: Ids
    first: Ids
    fresh: npt.NDArray[np.bool_]
    rows: Ids
    ranks: Ids
    signs: Ids
    at: Ids
    dead: Ids


_UNCHANGED = Changes(_NONE, _NONE, _NONE.astype(np.bool_), _NONE, _NONE, _NONE, _NONE, _NONE)


class TopList:
    """The first ``last`` rows of each key in order; what is pushed out is forgotten.

    A step finds out on the columns of key and order which of its rows are listed at its end: only those are copied.

    Args:
        schema: of the rows.
        partition: positions of the key; none for one list of all rows.
        order: by what; then by arrival.
        first: least rank that is told.
        last: greatest rank.
        latest: of equal rows the last arrived comes first.
        more_keys: types of key columns that come before the partition's, which the caller gives.
    """

    def __init__(
        self,
        schema: Schema,
        partition: Sequence[int],
        order: Sequence[SortKey],
        first: int,
        last: int,
        *,
        latest: bool = False,
        more_keys: Sequence[SqlType] = (),
    ) -> None:
        self.schema = schema
        self.partition = tuple(partition)
        self.order = tuple(order)
        self.first = max(1, first)
        self.last = max(0, last)
        self.latest = int(latest)
        self._more = tuple(more_keys)
        self._prefixes = 2 if len(self.order) > 1 else 1

    def open(self, state: State, name: str = "rows") -> None:
        """The rows, and lists that are rebuilt from them."""
        n = self.last
        init = [0, -1, int(ok.MIN), *[0] * (n * self._prefixes), *[-1] * n]
        types = [*self._more, *key_types(self.schema, self.partition)]
        self.index = state.index(name + ".keys", types, len(init), init, saved=False)
        self.segments = state.segments(name, self.schema, 1, 0, (-1,))
        self._orders = orders_of(self.segments, self.order)
        self._shape = KeyShape([self.schema[key.column].type.with_nullable(True) for key in self.order])
        places = self._orders.copy()
        for i, (_, j, mask) in enumerate(self._shape.columns.tolist()):
            places[i, 1:4] = j, mask, i % 64
        self._places = places
        self._row0 = self.index.cell0 + 3 + n * self._prefixes

    # ---- changes

    def keys(self, columns: Sequence[Column], n: int, more: Sequence[Column] = ()) -> Ids:
        """The ids of the rows' keys; new ones are made."""
        return self.index.lookup([*more, *(keyable(columns[i]) for i in self.partition)], length=n)

    def _prefix(self, columns: Sequence[Column], i: int) -> Ids:
        """A word a row that orders as column i of the order does, as far as a word can tell."""
        if i >= len(self.order):
            return _NONE
        key = self.order[i]
        column = columns[key.column]
        out = np.empty(len(column), np.int64)
        valid = column.valid()
        bits = _NO_BITS if valid is None else plain(valid, np.uint8)
        down, nulls = int(key.descending), int(key.nulls_first)
        layout = column.type.layout
        if layout is Layout.VIEWS:
            views = column.views()
            at = plain(views.views, np.uint64)
            k.text_prefixes(at, views.bases(), bits, at.ctypes.data, down, nulls, out)
            return out
        match layout:
            case Layout.WORDS:
                words = column.words()
            case Layout.FLOATS:
                words = plain(column.floats(), np.float64).view(np.int64)
            case _:
                words = column.limbs()[:, 1]
        ok.prefixes(plain(words, np.int64), bits, KINDS[layout], down, nulls, out)
        return out

    def change(self, columns: Sequence[Column], ids: Ids, shown: int, given: Ids | None = None) -> Changes:
        """Take rows in order of arrival.

        Args:
            columns: the rows.
            ids: their keys.
            shown: what is told: 0 nothing, 1 rows that come and go, 2 also those whose rank changes.
            given: where the rows lie in the segments already; None: those that stay are copied into them.
        """
        index, segments, n = self.index, self.segments, len(ids)
        p, q = self._prefix(columns, 0), self._prefix(columns, 1)
        packed, address = _UNPACKED, 0
        touched, first, starts = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
        old = np.empty(max(n, self.last), np.int64)
        meta = np.zeros(3, np.int64)
        start = 0
        while True:
            start = k.merge(
                start, ids, p, q, packed, self._places, address, segments.tab, segments.tab.ctypes.data,
                segments.bases, self._orders, index.tab, index.cell0, self.last, self.latest, touched, first, starts,
                old, meta,
            )  # fmt: skip
            if meta[2] == k.DONE:
                break
            if meta[2] == k.ROOM:
                old = np.concatenate([old, np.empty(len(old), np.int64)])
            else:
                packed, _ = self._shape.pack([columns[key.column] for key in self.order], n)
                address = packed.ctypes.data
        m, used = int(meta[0]), int(meta[1])
        if not m:
            return _UNCHANGED
        touched, first, starts = touched[:m], first[:m], starts[:m]
        where, new = _NONE, given
        if new is None:
            where, some, marks = np.empty(n, np.int64), np.empty(n + 1, np.int64), np.zeros(n, np.uint8)
            found = k.survivors(touched, index.tab, index.cell0, self._row0, n, marks, where, some)
            new = append_some(segments, columns, some[:found])
        size = (used + self.last * m) if shown else 0
        size = min(size, used + n) if shown == 1 else size
        dead, counts = np.empty(used, np.int64), np.zeros(2, np.int64)
        out, ranks, signs, at = (np.empty(size, np.int64) for _ in range(4))
        k.settle(
            touched, first, starts, old, where, new, used, segments.tab, segments.cell0, index.tab, index.cell0,
            self._row0, self.first - 1, shown, dead, out, ranks, signs, at, counts,
        )  # fmt: skip
        gone, told = counts.tolist()
        fresh = starts == np.append(starts[1:], used)
        return Changes(
            touched, first, fresh, out[:told], ranks[:told], signs[:told], at[:told], dead[:gone]
        )  # fmt: skip

    def all_of(self, ids: Ids) -> Ids:
        """All rows of keys, in order."""
        return self.listing(ids, 0).rows

    def listing(self, ids: Ids, skip: int | None = None) -> Listing:
        """The listed rows of keys, in order; ``skip``: ranks to leave out (default: those that are not told)."""
        tab, c = self.index.tab, self.index.cell0
        size = int(tab[ids, c].sum())
        out, ranks, starts = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(len(ids) + 1, np.int64)
        n = k.listed(ids, tab, c, self._row0, self.first - 1 if skip is None else skip, out, ranks, starts)
        return Listing(out[:n], ranks[:n], starts)

    def drop(self, ids: Ids) -> None:
        """Keys go with all their rows."""
        if len(ids):
            self.segments.kill(self.all_of(ids))
            self.index.release(ids)

    def forget(self, rows: Ids) -> None:
        """Rows that left are not needed any more. Once a step."""
        segments = self.segments
        segments.kill(rows)
        for old, new in segments.tidy():
            k.moved(old, new, segments.tab, segments.cell0, self.index.tab, self.index.cell0, self._row0)

    def restored(self) -> Iterator[tuple[Ids, list[Column]]]:
        """Places and values of all rows in order of arrival, piece by piece."""
        return arrivals(self.segments)

    def rebuild(self) -> None:
        """After a restore: all rows in their lists again (no ``more_keys``)."""
        for rows, columns in self.restored():
            self.place(self.keys(columns, len(rows)), rows, columns)

    def place(self, ids: Ids, rows: Ids, columns: Sequence[Column]) -> None:
        """Rows that are in the segments but in no list, into those of their keys."""
        self.change(columns, ids, 0, rows)
