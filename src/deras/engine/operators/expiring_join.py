"""The join of a stream with final results of windows: rows of the stream go when no window can bring them a partner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.delta import Delta
from deras.engine.due import DueQueue
from deras.engine.kernels import join as k
from deras.engine.operator import Out, Program
from deras.engine.operators.join import Join, key_names, key_types, keyed_rows, single
from deras.engine.state.rowset import LIST, RowSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.column import Column
    from deras.core.records import Rejected
    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.state import State

Words = npt.NDArray[np.int64]


class ExpiringJoin(Join):
    """An inner join of rows that only come, one side of which is forgotten.

    The other side brings what is final when the watermark has reached the last millisecond of a window. A row at time
    ``t`` of the expiring side meets nothing of windows that end after ``t + reach``: when the watermark has reached the
    millisecond before, it goes. One that comes later meets what there is and is not kept. A row without a time meets
    nothing.

    Args:
        left: schema of the first input.
        right: schema of the second.
        left_keys: positions in ``left``; none for a join without equality.
        right_keys: positions in ``right``, of the same types.
        expiring: which side's rows go: 0 or 1.
        time: position of their time, TIMESTAMP.
        reach: ms.
        residual: the rest of the condition, a filter over the joined row; its output columns must be the joined ones.
        null_safe: for each key whether NULL equals NULL.
        origin: what rejected rows are said to come from.
    """

    def __init__(
        self,
        left: Schema,
        right: Schema,
        left_keys: Sequence[int],
        right_keys: Sequence[int],
        expiring: int,
        time: int,
        reach: int,
        residual: Program | None = None,
        null_safe: Sequence[bool] = (),
        origin: str = "ExpiringJoin",
    ) -> None:
        super().__init__(left, right, left_keys, right_keys, residual, origin=origin, null_safe=null_safe)
        self.expiring = expiring
        self.time = time
        self.reach = reach

    def open(self, state: State) -> None:
        """Rows of both sides; the index of keys and what is due are rebuilt from them."""
        types = key_types(self.inputs, self.keys, self.null_safe)
        self._index = state.index("keys", types, 6, (*LIST, *LIST), saved=False)
        self._sides = tuple(
            RowSet(state, name, schema, updating=False, groups=self._index, cell=cell)
            for name, schema, cell in zip(("left", "right"), self.inputs, (0, 3), strict=True)
        )
        self._idle = (None, None)
        self._due = DueQueue(self._sides[self.expiring].segments)
        state.on_restore(self._rebuild)

    def _rebuild(self) -> None:
        for side, keys in zip(self._sides, self.keys, strict=True):
            side.rebuild(keys)
        rows = self._sides[self.expiring].segments.snapshot()
        ids = rows.ids()
        for a in range(0, len(ids), 1 << 16):
            part = ids[a : a + (1 << 16)]
            self._due.push(part, self._dues(rows.columns(part)))

    def _dues(self, columns: Sequence[Column]) -> Words:
        """The watermark from which no row of the other side can come any more for each row."""
        column = columns[self.time]
        return column.words() // column.type.words_per_ms + (self.reach - 1)

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Join the rows of one step, then let go what is over."""
        parts: list[Delta] = []
        dropped: list[Rejected] = []
        for side in (0, 1):
            delta = deltas[side]
            if delta is not None and delta.length:
                self._take(side, single(delta), tick, parts, dropped)
        self._expire(max(tick.low, tick.high))
        return Out(Delta.concat(parts) if parts else None, dropped)

    def _take(self, side: int, delta: Delta, tick: Tick, parts: list[Delta], dropped: list[Rejected]) -> None:
        own = self._sides[side]
        keyed = keyed_rows(delta, self.keys[side], self.null_safe)
        if keyed is not None:
            delta = delta.take(keyed)
        if side == self.expiring and (there := delta.columns[self.time].valid()) is not None:
            delta = delta.take(np.flatnonzero(there))
        if not delta.length:
            return
        keys = [delta.columns[i] for i in self.keys[side]]
        if side != self.expiring:
            ids = self._index.lookup(keys, length=delta.length)
            own.apply(delta.columns, None, delta.length, ids)
            self._meet(side, delta, ids, tick, parts, dropped)
            own.tidy()
            return
        dues = self._dues(delta.columns)
        late = dues <= tick.low
        kept = np.flatnonzero(~late)
        ids = np.full(delta.length, -1, np.int64)
        if len(kept) < delta.length:
            some = np.flatnonzero(late)
            ids[some] = self._index.lookup([c.take(some) for c in keys], length=len(some), insert=False)
        if len(kept):
            rows = delta if len(kept) == delta.length else delta.take(kept)
            found = self._index.lookup([rows.columns[i] for i in self.keys[side]], length=rows.length)
            own.apply(rows.columns, None, rows.length, found)
            self._due.push(own.new, np.ascontiguousarray(dues[kept]))
            ids[kept] = found
        self._meet(side, delta, ids, tick, parts, dropped)

    def _expire(self, limit: int) -> None:
        side = self._sides[self.expiring]
        ids, _ = self._due.pop(limit)
        if len(ids):
            groups = side.remove(ids)
            for other in self._sides:
                out = np.empty(len(groups), np.int64)
                groups = out[: k.empty(groups, self._index.tab, other.group_cell, out)]
            if len(groups):
                self._index.release(groups)
        # As ``RowSet.tidy``, and what moved is due as it was.
        segments = side.segments
        for old, new in segments.tidy():
            k.moved(old, new, segments.tab, side.group_list, self._index.tab, side.group_cell)
            self._due.push(new, self._dues(segments.take(new)))

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        side = ("left", "right")[self.expiring]
        time = self.inputs[self.expiring][self.time].name
        return {
            "operator": "ExpiringJoin",
            "on": key_names(self.inputs, self.keys, self.null_safe),
            "state": f"rows of the {side} until {self.reach} ms after `{time}`, all rows of the other side",
            "bounded": False,
        }
