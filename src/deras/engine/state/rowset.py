"""A multiset of rows, grouped by a key: what both sides of a join and a view without a unique key are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.column import Column
from deras.core.types import BYTES, Layout
from deras.engine.kernels import idle
from deras.engine.kernels import join as k

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.schema import Schema
    from deras.engine.state import Index, State

Ids = npt.NDArray[np.int64]
_EMPTY = np.zeros(0, np.int64)
LIST = (-1, -1, 0)
"""Cells of an empty list: first row, last row, number."""


def keyable(column: Column) -> Column:
    """The column, or for nested types one of bytes that are equal where the values are (maps in any order)."""
    if column.type.layout is not Layout.NESTED:
        return column
    return Column.of_values(BYTES, [None if v is None else repr(_canonical(v)).encode() for v in column.values()])


def _canonical(v: Any) -> Any:
    if isinstance(v, dict):
        return tuple((n, _canonical(x)) for n, x in v.items())
    if isinstance(v, (list, tuple)):
        items = [_canonical(x) for x in v]
        if v and all(isinstance(x, dict) and list(x) == ["key", "value"] for x in v):
            items.sort(key=repr)
        return tuple(items)
    return v


class RowSet:
    """Rows in arrival order, in lists by group; equal rows may repeat; -1 takes the latest equal one, or the first.

    Args:
        state: where it lives.
        name: of its segments.
        schema: of the rows.
        updating: whether rows may go.
        groups: the index of groups (three cells from ``cell`` are this set's, made as ``LIST``), or None.
        cell: first cell in ``groups``, counted from the index's first cell.
        identity: positions that identify a row for removal; () for all columns.
        unique: there is never more than one live row in a group, so the group itself finds the row that goes: no second
            index is kept.
        oldest: -1 takes the first of equal rows.
        counted: keep one saved word a row (zero at first), at ``count_cell``; who changes it calls ``segments.touch``.
        timed: keep another one, at ``time_cell``, for the time of the row's coming.
    """

    def __init__(
        self,
        state: State,
        name: str,
        schema: Schema,
        *,
        updating: bool,
        groups: Index | None = None,
        cell: int = 0,
        identity: Sequence[int] = (),
        unique: bool = False,
        counted: bool = False,
        timed: bool = False,
        oldest: bool = False,
    ) -> None:
        self.schema = schema
        self._oldest = int(oldest)
        self.updating = updating
        self.groups = groups
        self.group_cell = 0 if groups is None else groups.cell0 + cell
        self._identity = tuple(identity) or tuple(range(len(schema)))
        own = updating and not (unique and groups is not None)
        first = int(counted) + int(timed)
        cells = first + (3 if groups is not None else 0) + (3 if own else 0)
        self.segments = state.segments(name, schema, cells, first)
        self.count_cell = self.segments.cell0 if counted else -1
        self.time_cell = self.segments.cell0 + int(counted) if timed else -1
        self.group_list = self.segments.cell0 + first if groups is not None else -1
        self._same_list = self.segments.cell0 + first + (3 if groups is not None else 0)
        self._same: Index | None = None
        self.new = _EMPTY
        """Where the rows lie that the last :meth:`apply` appended, in order."""
        if own:
            types = [BYTES if schema[i].type.layout is Layout.NESTED else schema[i].type for i in self._identity]
            self._same = state.index(name + ".rows", [t.with_nullable(True) for t in types], 3, LIST, saved=False)

    def __len__(self) -> int:
        return len(self.segments)

    def apply(
        self, columns: Sequence[Column], weights: npt.NDArray[np.int64] | None, n: int, ids: Ids | None
    ) -> npt.NDArray[np.int64]:
        """Take changes in order.

        Args:
            columns: the rows.
            weights: +1 or -1 each; None: all +1.
            n: number of changes.
            ids: their groups, where there are groups.

        Returns:
            Positions of the removals for which there was no row.
        """
        segments = self.segments
        if not self.updating or (weights is None and self._same is None):
            self.new = new = segments.append(columns, n)
            if self.groups is not None and ids is not None:
                k.link(ids, new, segments.tab, self.group_list, self.groups.tab, self.group_cell)
            return _EMPTY
        if weights is None:
            weights = np.ones(n, np.int64)
        came = np.flatnonzero(weights > 0)
        self.new = new = segments.append(columns if len(came) == n else [c.take(came) for c in columns], len(came))
        if self._same is None:
            assert self.groups is not None and ids is not None  # noqa: S101, PT018 (so in this form)
            dead, absent, counts = np.empty(n, np.int64), np.empty(n, np.int64), np.zeros(2, np.int64)
            tab, cell = self.groups.tab, self.group_cell
            k.apply(
                np.ascontiguousarray(weights), ids, ids, new, segments.tab, -1, self.group_list, tab, cell, tab, cell,
                self._oldest, dead, absent, counts,
            )  # fmt: skip
            segments.kill(dead[: counts[0]])
            return absent[: counts[1]]
        same = self._same.lookup([keyable(columns[i]) for i in self._identity], length=n)
        dead, absent, counts = np.empty(n, np.int64), np.empty(n, np.int64), np.zeros(2, np.int64)
        groups = self._same if self.groups is None else self.groups
        k.apply(
            np.ascontiguousarray(weights), same if ids is None else ids, same, new, segments.tab, self.group_list,
            self._same_list, groups.tab, self.group_cell, self._same.tab, self._same.cell0, self._oldest, dead, absent,
            counts,
        )  # fmt: skip
        gone = dead[: counts[0]]
        if len(came) < n:
            segments.kill(gone)
            self._drop_empty(self._same, same, self._same.cell0)
        return absent[: counts[1]]

    def remove(self, rows: Ids) -> Ids:
        """Rows go by their places, each given once; gives their groups, which may be empty now."""
        segments = self.segments
        tab = segments.tab
        owners = _EMPTY
        if self.groups is not None:
            owners = np.unique(tab[rows, self.group_list])
            idle.unlink(rows, tab, self.group_list, self.groups.tab, self.group_cell)
        if self._same is not None:
            same = np.unique(tab[rows, self._same_list])
            idle.unlink(rows, tab, self._same_list, self._same.tab, self._same.cell0)
            self._drop_empty(self._same, same, self._same.cell0)
        segments.kill(rows)
        return owners

    @staticmethod
    def _drop_empty(index: Index, ids: Ids, cell: int) -> None:
        out = np.empty(len(ids), np.int64)
        m = k.empty(ids, index.tab, cell, out)
        if m:
            index.release(out[:m])

    def tidy(self) -> None:
        """Give memory of removed rows back, a little at a time. Once a step."""
        for old, new in self.segments.tidy():
            tab = self.segments.tab
            if self.groups is not None:
                k.moved(old, new, tab, self.group_list, self.groups.tab, self.group_cell)
            if self._same is not None:
                k.moved(old, new, tab, self._same_list, self._same.tab, self._same.cell0)

    def rebuild(self, positions: Sequence[int] = ()) -> None:
        """After a restore: link all rows again.

        Args:
            positions: the columns that make the group, in the order of the index's key.
        """
        rows = self.segments.snapshot()
        ids = rows.ids()
        # In pieces: a state may be larger than memory has room for twice.
        for a in range(0, len(ids), 1 << 16):
            part = ids[a : a + (1 << 16)]
            columns = rows.columns(part)
            if self.groups is not None:
                groups = self.groups.lookup([columns[i] for i in positions], length=len(part))
                k.link(groups, part, self.segments.tab, self.group_list, self.groups.tab, self.group_cell)
            if self._same is not None:
                same = self._same.lookup([keyable(columns[i]) for i in self._identity], length=len(part))
                k.link(same, part, self.segments.tab, self._same_list, self._same.tab, self._same.cell0)
