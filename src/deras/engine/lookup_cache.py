"""The rows that lookups found, kept for the next rows of the same keys: no state, empty after a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deras.engine.kernels import join as k
from deras.engine.pairing import all_valid
from deras.engine.state import State
from deras.engine.state.rowset import LIST, RowSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.column import Column
    from deras.core.delta import Delta
    from deras.core.schema import Schema

Words = npt.NDArray[np.int64]
_WRITTEN, _READ = 3, 4


class LookupCache:
    """Rows of a table by key. When it is full, the keys go that were not asked for the longest time.

    Args:
        found: schema of the table's rows.
        keys: positions of the key in ``found``.
        max_rows: how many rows are kept, a key without rows counting as one; 0: any number.
        after_write: ms of processing time after which a key is asked again; 0: never.
        after_read: ms after which a key goes that nobody asks for; 0: never.
        missing: whether keys without rows are kept, too.
    """

    def __init__(
        self,
        found: Schema,
        keys: Sequence[int],
        max_rows: int = 0,
        after_write: int = 0,
        after_read: int = 0,
        missing: bool = True,
    ) -> None:
        self.keys = tuple(keys)
        self.max_rows = max_rows
        self.after_write = after_write
        self.after_read = after_read
        self.missing = missing
        self._state = State("cache")  # of no checkpoint
        types = [found[i].type.with_nullable(False) for i in keys]
        self._index = self._state.index("keys", types, 5, (*LIST, 0, 0), saved=False)
        self._rows = RowSet(self._state, "rows", found, updating=False, groups=self._index)
        self._added = np.empty(0, np.int64)
        self._gone = 0

    def __len__(self) -> int:
        return len(self._rows)

    def unknown(self, keys: Sequence[Column], now: int) -> Words:
        """Positions of the keys, distinct and not NULL, that must be asked for at ``now`` (ms)."""
        n = len(keys[0])
        ids = self._index.lookup(keys, insert=False, length=n)
        there = np.flatnonzero(ids >= 0)
        tab, cell = self._index.tab, self._index.cell0
        known = ids[there]
        old = np.zeros(len(known), np.bool_)
        if self.after_write:
            old |= now - tab[known, cell + _WRITTEN] >= self.after_write
        if self.after_read:
            old |= now - tab[known, cell + _READ] >= self.after_read
        tab[known, cell + _READ] = now
        if old.any():
            self._forget(known[old])
        fresh = np.zeros(n, np.bool_)
        fresh[there[~old]] = True
        return np.flatnonzero(~fresh)

    def add(self, keys: Sequence[Column], rows: Delta, now: int) -> None:
        """What was found for keys that were unknown."""
        ids = self._index.lookup(keys, length=len(keys[0]))
        tab, cell = self._index.tab, self._index.cell0
        tab[ids, cell + _WRITTEN] = now
        tab[ids, cell + _READ] = now
        self._added = ids
        if not rows.length:
            return
        ok = all_valid([rows.columns[i] for i in self.keys])
        if ok is not None:
            rows = rows.take(np.flatnonzero(ok))
        groups = self._index.lookup([rows.columns[i] for i in self.keys], insert=False, length=rows.length)
        if (groups < 0).any():  # a table may give more than it was asked for
            some = np.flatnonzero(groups >= 0)
            rows, groups = rows.take(some), groups[some]
        if rows.length:
            self._rows.apply(rows.columns, None, rows.length, groups)

    def pairs(self, ids: Words) -> tuple[Words, Words]:
        """Positions in ``ids`` (of :meth:`found`) and the rows of their keys, in the order of ``ids``."""
        cell = self._rows.group_cell
        total = int(k.matches(ids, self._index.tab, cell))
        outer, inner = np.empty(total + 1, np.int64), np.empty(total, np.int64)
        k.pairs(ids, 0, total, self._index.tab, cell, self._rows.segments.tab, self._rows.group_list, outer, inner)
        return outer[:-1], inner

    def found(self, keys: Sequence[Column], length: int) -> Words:
        """The ids of keys; -1 where there is none or a key is NULL."""
        ok = all_valid(keys)
        if ok is None:
            return self._index.lookup(keys, insert=False, length=length)
        ids = np.full(length, -1, np.int64)
        rows = np.flatnonzero(ok)
        ids[rows] = self._index.lookup(keys, rows, insert=False)
        return ids

    def take(self, rows: Words) -> list[Column]:
        """Rows of the table."""
        return self._rows.segments.take(rows)

    def trim(self) -> None:
        """Keep to the limits. To be called when the rows of a step have their partners."""
        added, self._added = self._added, np.empty(0, np.int64)
        if not len(added):
            return
        tab, cell = self._index.tab, self._index.cell0
        if not self.missing:
            self._index.release(added[tab[added, cell + 2] == 0])
        # Every key counts at most one more than its rows.
        if self.max_rows and len(self._rows) + len(self._index) > self.max_rows:
            ids = self._index.ids()
            sizes = np.maximum(tab[ids, cell + 2], 1)
            if int(sizes.sum()) > self.max_rows:
                # A tenth more than needed goes, so that not every step must sort.
                order = np.argsort(tab[ids, cell + _READ], kind="stable")[::-1]
                room = max(1, self.max_rows - self.max_rows // 10)
                self._forget(ids[order[np.cumsum(sizes[order]) > room]])

    def _forget(self, ids: Words) -> None:
        _, rows = self.pairs(ids)
        self._rows.segments.kill(rows)
        self._index.release(ids)
        self._rows.tidy()
        self._gone += len(rows)
        if self._gone > 1 << 16:
            self._gone = 0
            self._state.freeze(0)  # forget what a checkpoint would want to know of rows that went
