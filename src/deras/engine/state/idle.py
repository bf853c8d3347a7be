"""State that is forgotten when nothing was written to it for a time: Flink's ``table.exec.state.ttl``.

What is idle is found in two ways: exactly for what a step touches, before it is read, and by a sweep over everything,
piece by piece, for what nobody touches. So a result never depends on how far the sweep has come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from deras.engine.kernels import idle as k

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deras.core.column import Column
    from deras.core.types import SqlType
    from deras.engine.state import Index, Segments, State
    from deras.engine.state.rowset import RowSet

Ids = npt.NDArray[np.int64]
Keys: TypeAlias = "tuple[list[Column], int]"
"""Columns of keys, and how many."""

PIECE = 1 << 14
"""Keys or rows that one step looks at: about a millisecond, some more where many are forgotten."""
_SWEEPS = 8
_NONE = np.zeros(0, np.int64)


class Idle:
    """The clock of one part of a state: knows when to look, where to go on, and how much was forgotten.

    Args:
        state: the operator's state, in which the counts are kept as values.
        name: of the part.
        ttl: after how many ms of processing time without a write something is idle; more than 0.
    """

    def __init__(self, state: State, name: str, ttl: int) -> None:
        self.ttl = ttl
        self._values = state.values(f"{name}.idle")
        self._now = 0

    @property
    def expired(self) -> int:
        """How many keys or rows were forgotten so far."""
        return int(self._values.get("expired", 0))

    def begin(self, now: int) -> None:
        """A step begins at this time, ms."""
        # 0 says that a cell was never written.
        self._now = max(now, 1)

    @property
    def now(self) -> int:
        """What goes into the cell of what is written in this step."""
        return self._now

    @property
    def limit(self) -> int:
        """What was last written then, or before, is idle."""
        return self._now - self.ttl

    def count(self, n: int) -> None:
        """So many were forgotten."""
        self._values["expired"] = self.expired + n

    def absorb(self, n: int) -> None:
        """So many changes took back what had been forgotten."""
        if n:
            self._values["absorbed"] = int(self._values.get("absorbed", 0)) + n

    def piece(self, end: int) -> tuple[int, int]:
        """The places to look at in this step, of ``end``; none most of the time."""
        values = self._values
        at = int(values.get("at", -1))
        if at < 0:
            if self._now < int(values.get("next", 0)):
                return 0, 0
            at = 0
        stop = min(end, at + PIECE)
        if stop >= end:
            values["at"] = -1
            values["next"] = self._now + max(1, self.ttl // _SWEEPS)
        else:
            values["at"] = stop
        return at, max(stop, at)

    def wake(self, kept: int) -> int | None:
        """When it wants to look again, where ``kept`` keys or rows are there."""
        if not kept:
            return None
        return self._now if int(self._values.get("at", -1)) >= 0 else int(self._values.get("next", 0))

    # ---- keys

    def keys(self, index: Index, cell: int) -> Ids:
        """The idle keys of this step's piece; ``cell`` is the column of ``index.tab`` with the time."""
        a, b = self.piece(index.used)
        if a >= b:
            return _NONE
        out = np.empty(b - a, np.int64)
        return out[: k.idle_keys(index.flags, a, b, index.tab, cell, self.limit, out)]

    def among(self, ids: Ids, index: Index, cell: int) -> Ids:
        """Those of ``ids`` that are idle, each once."""
        out = np.empty(len(ids), np.int64)
        m = k.idle(ids, index.tab, cell, self.limit, out)
        return np.unique(out[:m]) if m else _NONE

    def wrote(self, ids: Ids, index: Index, cell: int) -> None:
        """These keys are written now."""
        k.written(ids, index.tab, cell, self._now)

    # ---- rows

    def rows(self, rows: RowSet) -> Ids:
        """The idle rows of this step's piece."""
        segments = rows.segments
        a, b = self.piece(segments.extent)
        if a >= b:
            return _NONE
        out = np.empty(b - a, np.int64)
        m = k.idle_rows(segments.tab, a, b, segments.cell0 - 1, rows.time_cell, self.limit, out)
        return out[:m]

    def expire(self, rows: RowSet, gone: Ids) -> Ids:
        """Forget these rows; gives their groups, which may be empty now."""
        if not len(gone):
            return _NONE
        self.count(len(gone))
        return rows.remove(gone)

    def came(self, rows: RowSet) -> None:
        """The rows that the set took last came now."""
        k.written(rows.new, rows.segments.tab, rows.time_cell, self._now)

    def older(self, rows: RowSet, ids: Ids) -> Ids:
        """Of groups that should have one row, all but the last."""
        assert rows.groups is not None  # noqa: S101 (only then there are lists)
        tab, c = rows.groups.tab, rows.group_cell
        more = np.unique(ids[tab[ids, c + 2] > 1])
        out = np.empty(int(tab[more, c + 2].sum()), np.int64)
        return out[: k.older(more, tab, c, rows.segments.tab, rows.group_list, out)]

    def heads(self, rows: RowSet, ids: Ids) -> Ids:
        """The idle rows of these groups, which lie at the beginning of their lists."""
        assert rows.groups is not None  # noqa: S101 (only then there are lists)
        tab, c = rows.groups.tab, rows.group_cell
        out = np.empty(1024, np.int64)
        while True:
            m = k.idle_heads(ids, tab, c, rows.segments.tab, rows.group_list, rows.time_cell, self.limit, out)
            if m < len(out):
                return np.unique(out[:m]) if m else _NONE
            out = np.empty(8 * len(out), np.int64)


class KeyClock(Idle):
    """The clock of an operator that keeps something for each key, and nothing of it in an index that is saved.

    Args:
        state: the operator's state.
        name: of the part.
        types: of the keys.
        ttl: after how many ms of processing time without a write a key is idle.
    """

    def __init__(self, state: State, name: str, types: Sequence[SqlType], ttl: int) -> None:
        super().__init__(state, name, ttl)
        self._keys = state.index(f"{name}.clock", types, 1)

    def stale(self) -> Keys:
        """The idle keys of this step's piece: the operator is to forget them."""
        ids = self.keys(self._keys, self._keys.cell0)
        found = self._keys.key_columns(ids), len(ids)
        self._keys.release(ids)
        return found

    def visit(self, columns: Sequence[Column], n: int) -> Keys:
        """These keys are written now. Gives those that were idle before: the operator is to forget them first."""
        ids = self._keys.lookup(columns, length=n)
        gone = self.among(ids, self._keys, self._keys.cell0)
        self.wrote(ids, self._keys, self._keys.cell0)
        return self._keys.key_columns(gone), len(gone)

    def forget(self, keys: Keys, index: Index, segments: Segments) -> None:
        """Idle keys and the one row of each (the first cell of ``index``) go without a word, and are counted."""
        columns, n = keys
        if not n:
            return
        ids = index.lookup(columns, insert=False, length=n)
        ids = ids[ids >= 0]
        rows = index.tab[ids, index.cell0]
        segments.kill(rows[rows >= 0])
        index.release(ids)
        self.count(len(ids))

    def due(self) -> int | None:
        """When it wants to look again."""
        return self.wake(len(self._keys))


def soonest(parts: Iterable[tuple[Idle, int]]) -> int | None:
    """When the first of some clocks wants to look, each with how much it keeps."""
    return min((t for i, kept in parts if (t := i.wake(kept)) is not None), default=None)
