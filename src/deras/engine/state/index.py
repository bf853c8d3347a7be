"""Exact interning of key tuples to dense ids, each id with a row of 64-bit cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.later import source_of
from deras.engine.kernels import index as k
from deras.engine.state.arena import Arena
from deras.engine.state.keys import KeyShape
from deras.engine.state.known import KnownRows
from deras.engine.state.memory import Reserve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.column import Column
    from deras.core.types import SqlType

Ids = npt.NDArray[np.int64]

_DENSE = 9  # log2 of slots a group, up to which all groups grow together
_BITS = 22  # log2 of slots a group that are reserved
_GIVEN = 8  # log2 of slots a group, from which on what was left is given back
_ROWS = 1 << 27
_FIRST = 3
_NONE = np.zeros(0, np.int64)


@dataclass(slots=True)
class IndexFrozen:
    """What changed in an index: the rows as they are now, and keys that went. Immutable."""

    types: tuple[SqlType, ...]
    columns: list[Column]
    cells: npt.NDArray[np.int64]
    deleted: list[list[Column]]
    deleted_rows: list[int]
    shape: KeyShape
    full: bool


class Index:
    """Key tuples to dense ids.

    Keys are equal when their bits are (-0.0 is not 0.0) or both are NULL. An id is valid until released, then reused.

    Kernels address a key's cells as ``tab[id, cell0 + i]``; ``tab`` is int64[reserved, width] C-contiguous at one
    address
    (never copy or sum it as a whole: most of it is untouched). A DOUBLE cell is its bit pattern. ``flags`` is uint8
    by id:
    a kernel that writes cells outside of a ``lookup`` sets ``flags[id] |= TOUCHED`` (1) or the caller calls
    :meth:`touch`.
    Take ``tab`` and ``flags`` anew in each step.

    Args:
        types: of the key columns; none for one global key.
        cells: 64-bit words a key.
        init: their first values (zeros).
        saved: False for an index that is derived from other state: it is neither frozen nor restored.
    """

    def __init__(self, types: Sequence[SqlType], cells: int, init: Sequence[int] = (), *, saved: bool = True) -> None:
        self.shape = KeyShape(types)
        self.types = tuple(types)
        self.cell0 = self.shape.width
        self.n_cells = cells
        self.saved = saved
        self._init = np.array(list(init) or [0] * cells, np.int64)
        if len(self._init) != cells:
            raise ValueError("init must have one word per cell")
        self._tab = Reserve(_ROWS, max(1, self.cell0 + cells), np.int64)
        self._flags = Reserve(_ROWS, 0, np.uint8)
        self._free = Reserve(_ROWS, 0, np.int32)
        # Groups of 2 ** b slots lie side by side, from slot GROUPS << b on: all of one size are one dense table, and a
        # group that grows is copied from one of them to the next.
        self._slots = Reserve(k.GROUPS << (_BITS + 1), 0, np.uint64)
        self._arena = Arena()
        self._meta = np.zeros(8, np.int64)
        self._meta[3] = min(self._tab.rows, self._flags.rows, self._free.rows)
        self._groups = np.zeros((k.GROUPS, 4), np.int64)
        self._groups[:, 0] = (k.GROUPS + np.arange(k.GROUPS)) << _FIRST
        self._groups[:, 1] = _FIRST
        # Thresholds differ between groups, so that equally full groups do not all grow in the same step; they rise, so
        # that the larger table fills from its start.
        self._share = 0.5 + 0.22 * np.arange(k.GROUPS) / k.GROUPS
        self._limits(range(k.GROUPS))
        self._deleted: list[list[Column]] = []
        self._deleted_rows: list[int] = []
        self._known = KnownRows()

    # ---- looking up

    @property
    def tab(self) -> npt.NDArray[np.int64]:
        """int64[reserved, width]: key words, then cells, by id."""
        return self._tab.array  # type: ignore[no-any-return]

    @property
    def cells(self) -> npt.NDArray[np.int64]:
        """int64[reserved, n_cells]: a strided view of the cells, by id."""
        return self._tab.array[:, self.cell0 : self.cell0 + self.n_cells]  # type: ignore[no-any-return]

    @property
    def flags(self) -> npt.NDArray[np.uint8]:
        """uint8[reserved]: flags by id."""
        return self._flags.array  # type: ignore[no-any-return]

    @property
    def used(self) -> int:
        """One more than the greatest id ever given."""
        return int(self._meta[0])

    def __len__(self) -> int:
        """The number of live keys."""
        return int(self._meta[2])

    def lookup(
        self,
        columns: Sequence[Column],
        rows: npt.NDArray[np.int64] | None = None,
        insert: bool = True,
        *,
        length: int | None = None,
        touch: bool | None = None,
    ) -> Ids:
        """The id of each row's key.

        Args:
            columns: the key columns, of the index's layouts.
            rows: positions to look up (default: all, in order).
            insert: give new keys an id, with cells as ``init``; else they get -1.
            length: the number of rows, needed only when there are no columns.
            touch: mark the ids as changed for the next freeze (default: as ``insert``).

        Returns:
            int64[n].
        """
        if rows is None and (source := source_of(columns)) is not None:
            mark = (insert if touch is None else touch) and self.saved

            def ask(places: Ids | None) -> Ids:
                some = columns if places is None else [c.take(places) for c in columns]
                return self._lookup(some, None, insert, None, touch)

            return self._known.find(source, self._flags.array, mark, ask)
        return self._lookup(columns, rows, insert, length, touch)

    def _lookup(
        self,
        columns: Sequence[Column],
        rows: npt.NDArray[np.int64] | None,
        insert: bool,
        length: int | None,
        touch: bool | None,
    ) -> Ids:
        if rows is None:
            n = extent = len(columns[0]) if columns else length or 0
            rows = _NONE
        else:
            rows = np.ascontiguousarray(rows, np.int64)
            n = len(rows)
            extent = int(rows.max()) + 1 if n else 0
            if n and rows.min() < 0:
                raise IndexError("rows are counted from 0")
        ids = np.empty(n, np.int64)
        if n == 0:
            return ids
        plan, kept = self.shape.plan(columns, extent, rows if len(rows) else None)
        start = 0
        arena = self._arena
        mark = (insert if touch is None else touch) and self.saved
        while True:
            start = k.find(
                plan, rows, start, n, self.shape.width, self.shape.kinds, self._tab.array, self._slots.array,
                self._groups, self._free.array, self._meta, self._flags.array, self._init, ids, insert, mark,
                arena.bases, arena.chunk, arena.fill, arena.held,
            )  # fmt: skip
            if start >= n:
                del kept
                if insert:
                    self._tab.fills(int(self._meta[0]))
                return ids
            reason = int(self._meta[4])
            if reason == k.STOP_SLOTS:
                self._grow(int(self._meta[5]))
            elif reason == k.STOP_ROWS:
                self._more_rows()
            else:
                arena.open(int(self._meta[5]))

    def _limits(self, groups: Any) -> None:
        for g in groups:
            self._groups[g, 3] = max(1, int((1 << int(self._groups[g, 1])) * self._share[g]))

    def _grow(self, group: int) -> None:
        bits = int(self._groups[group, 1]) + 1
        slots = self._slots
        slots.need(k.GROUPS << (bits + 1))
        first, stop = (0, k.GROUPS) if bits <= _DENSE else (group, group + 1)
        k.regrow(slots.array, self._groups, first, stop, bits)
        self._limits(range(first, stop))
        slots.follows((k.GROUPS + stop) << bits, k.GROUPS << (bits + 1))
        if bits > _GIVEN and int(self._groups[:, 1].min()) == bits:
            slots.drop(k.GROUPS << (bits - 1), k.GROUPS << bits)

    def _more_rows(self) -> None:
        rows = int(self._meta[3]) * 2
        for reserve in (self._tab, self._flags, self._free):
            reserve.need(rows)
        self._meta[3] = min(self._tab.rows, self._flags.rows, self._free.rows)

    # ---- ids

    def touch(self, ids: Ids) -> None:
        """Their cells changed: the next freeze saves them."""
        if self.saved:
            k.mark(np.ascontiguousarray(ids, np.int64), self._flags.array, k.TOUCHED)

    def release(self, ids: Ids) -> None:
        """The keys go, their ids may be given to others. Ids that are not in use are passed over."""
        ids = np.ascontiguousarray(ids, np.int64)
        if not len(ids):
            return
        self._known.clear()
        arena = self._arena
        known = np.empty(len(ids) + 1, np.int64)
        arena.dead += k.release(
            ids, self.shape.width, self.shape.kinds, self.shape.columns, self._tab.array, self._slots.array,
            self._groups, self._free.array, self._meta, self._flags.array, arena.bases, arena.held, known,
        )  # fmt: skip
        if self.saved and known[-1]:
            # Their words are still there.
            self._deleted.append(self.key_columns(known[: known[-1]]))
            self._deleted_rows.append(int(known[-1]))
        if arena.dead:
            arena.tidy(self._clean)

    def _clean(self, number: int) -> None:
        arena = self._arena
        k.clean(
            number, arena.used[number], self._tab.array, self._flags.array,
            arena.bases, arena.chunk, arena.fill, arena.held,
        )  # fmt: skip

    def ids(self) -> Ids:
        """All live ids, ascending."""
        out = np.empty(len(self), np.int64)
        m = k.flagged(self._flags.array, self.used, 0, out)
        return out[:m]

    def key_columns(self, ids: Ids) -> list[Column]:
        """The key values of ids, as columns that stay valid whatever happens to the index."""
        return self.shape.read(self._tab.array, self._arena.chunks, self._arena.bases, ids)

    # ---- checkpoints

    def freeze(self, full: bool = False) -> IndexFrozen:
        """What changed since the last freeze (or everything), copied."""
        flags = self._flags.array
        bits = 0 if full else k.TOUCHED
        n = k.count_flagged(flags, self.used, bits)
        ids, cells = np.empty(n, np.int64), np.empty((n, self.n_cells), np.int64)
        k.snapshot(flags, self.used, bits, not full, self._tab.array, self.cell0, ids, cells)
        deleted, rows = ([], []) if full else (self._deleted, self._deleted_rows)
        if not full:
            self._deleted, self._deleted_rows = [], []
        return IndexFrozen(self.types, self.key_columns(ids), cells, deleted, rows, self.shape, full)

    def put(self, columns: Sequence[Column], cells: npt.NDArray[np.int64]) -> None:
        """Set keys and their cells as a checkpoint has them."""
        ids = self.lookup(columns, length=len(cells), touch=False)
        if self.n_cells:
            self._tab.array[ids, self.cell0 : self.cell0 + self.n_cells] = cells
        k.saved(self._flags.array, ids)

    def forget(self, columns: Sequence[Column], length: int) -> None:
        """Take keys out as a checkpoint's increment says."""
        ids = self.lookup(columns, insert=False, length=length)
        saved, self.saved = self.saved, False
        self.release(ids[ids >= 0])
        self.saved = saved

    @property
    def bytes(self) -> int:
        """Memory in use, about."""
        slots = int((1 << self._groups[:, 1]).sum()) * 8
        return int(self.used * (self._tab.array.shape[1] * 8 + 1) + slots + self._arena.bytes + self._known.bytes)
