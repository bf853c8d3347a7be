"""ORDER BY: by event time as the watermark passes, within a step of processing time, or at the end of the input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.delta import Delta
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK
from deras.engine.kernels import order as ok
from deras.engine.kernels import sort as k
from deras.engine.operator import Operator, Out
from deras.engine.operators.join import single
from deras.engine.ranking import Ranking, SortKey, orders_of
from deras.engine.rejects import reject_rows
from deras.engine.state import State
from deras.engine.state.rowset import RowSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.records import Rejected
    from deras.core.schema import Schema
    from deras.core.time import Tick


class TemporalSort(Operator):
    """Gives rows in the order of their event time, when the watermark has passed it; its input only inserts.

    Equal times stand by the other columns of the order, then by arrival. A row whose time is not after that of the last
    row given is late and rejected (it may lie behind the watermark and still be in time, as in Flink).

    Args:
        input: schema of the rows.
        order: the rowtime, ascending, then any columns.
        origin: what rejected rows are said to come from.
    """

    append_only = True

    def __init__(self, input: Schema, order: Sequence[SortKey], origin: str = "TemporalSort") -> None:  # noqa: A002
        self.schema = input
        self.order = tuple(order)
        self.time = order[0].column
        self.origin = origin
        self._ranking = Ranking(input, (), self.order)

    def open(self, state: State) -> None:
        """The rows that wait."""
        self._ranking.open(state)
        self._values = state.values("sort")
        state.on_restore(self._rebuild)

    def _rebuild(self) -> None:
        for rows, columns in self._ranking.restored():
            self._ranking.place(self._ranking.keys(columns, len(rows)), rows, columns)

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Take the rows, give those whose time has come."""
        delta = deltas[0]
        r, segments = self._ranking, self._ranking.segments
        state = np.zeros(4, np.int64)
        state[0] = max(tick.low, int(self._values.get("watermark", MIN_WATERMARK)))
        state[1] = int(self._values.get("given", MIN_WATERMARK))
        high = max(int(state[0]), tick.high)
        n = 0 if delta is None else delta.length
        empty = np.zeros(0, np.int64)
        new = times = marks = empty
        if delta is not None and n:
            new = segments.append(delta.columns, n)
            times = np.ascontiguousarray(delta.columns[self.time].words())
            marks = np.maximum.accumulate(np.maximum(delta.mark_array(), tick.low))
        (one,) = r.keys([], 1).tolist()
        size = n + int(r.index.tab[one, r.index.cell0 + 1])
        out, out_marks, late = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(n, np.int64)
        unit = self.schema[self.time].type.words_per_ms
        k.pass_through(
            new, times, marks, unit, high, segments.tab, r.cell, r.width, r.index.tab, r.index.cell0, one,
            segments.tab.ctypes.data, r.bases, r.orders, out, out_marks, late, state,
        )  # fmt: skip
        self._values["watermark"], self._values["given"] = int(state[0]), int(state[1])
        m = int(state[2])
        dropped: list[Rejected] = []
        late = late[: state[3]]
        if len(late) and delta is not None:
            name = self.schema[self.time].name
            text = f"late for ORDER BY `{name}`: a row of this or a later time was given already"
            dropped.append(
                reject_rows(delta, late, [text] * len(late), reason="late", origin=self.origin, rowtime=self.time)
            )
        gone = out[:m]
        made = Delta(self.schema, segments.take(gone), None, out_marks[:m], m) if m else None
        if m or len(late):
            r.forget(np.concatenate([gone, new[late]]))
        return Out(made, dropped)

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {
            "operator": "TemporalSort",
            "order": [key.text(self.schema) for key in self.order],
            "state": "rows ahead of the watermark",
            "bounded": True,
        }


class ProctimeSort(Operator):
    """Sorts the rows that came at one moment of processing time, which are those of a step; its input only inserts.

    Args:
        input: schema of the rows.
        order: what stands behind the processing time.
    """

    append_only = True

    def __init__(self, input: Schema, order: Sequence[SortKey]) -> None:  # noqa: A002
        self.schema = input
        self.order = tuple(order)
        Ranking(input, (), order)  # what cannot be sorted is told while planning

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Sort."""
        delta = deltas[0]
        if delta is None or delta.length < 2:
            return Out(delta)
        segments = State().segments("rows", self.schema)
        ids = segments.append(delta.columns, delta.length)
        sort_rows(segments, self.order, ids)
        return Out(delta.take(ids))

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {"operator": "ProctimeSort", "order": [key.text(self.schema) for key in self.order], "bounded": True}


class SortAtEnd(Operator):
    """Gives all rows, sorted, when the input has ended: ORDER BY in batch mode.

    Args:
        input: schema of the rows.
        order: by what; then by arrival.
        first: number of the first row that is given, from 1.
        last: number of the last one, None for all.
        input_append: whether the input only inserts.
        identity: positions that identify an input row for removal; () for all columns.
        origin: what rejected rows are said to come from.
    """

    append_only = True

    def __init__(
        self,
        input: Schema,  # noqa: A002
        order: Sequence[SortKey],
        first: int = 1,
        last: int | None = None,
        input_append: bool = True,
        identity: Sequence[int] = (),
        origin: str = "SortAtEnd",
    ) -> None:
        self.schema = input
        self.order = tuple(order)
        self.first = max(1, first)
        self.last = last
        self.input_append = input_append
        self.identity = tuple(identity)
        self.origin = origin
        Ranking(input, (), order)

    def open(self, state: State) -> None:
        """All rows."""
        self._rows = RowSet(state, "rows", self.schema, updating=not self.input_append, identity=self.identity)
        self._values = state.values("sort")
        state.on_restore(self._rows.rebuild)

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Take the rows; at the end, give them."""
        delta = deltas[0]
        dropped: list[Rejected] = []
        if delta is not None and delta.length:
            delta = delta if self.input_append else single(delta)
            absent = self._rows.apply(delta.columns, delta.weights, delta.length, None)
            if len(absent):
                text = ["a row is taken back that never came"] * len(absent)
                dropped.append(reject_rows(delta, absent, text, reason="constraint", origin=self.origin))
            self._rows.tidy()
        if tick.high != MAX_WATERMARK or self._values.get("done"):
            return Out(None, dropped)
        self._values["done"] = True
        segments = self._rows.segments
        ids = np.ascontiguousarray(segments.snapshot().ids())
        sort_rows(segments, self.order, ids)
        ids = ids[self.first - 1 : self.last]
        return Out(Delta(self.schema, segments.take(ids), None, tick.low, len(ids)) if len(ids) else None, dropped)

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {
            "operator": "SortAtEnd",
            "order": [key.text(self.schema) for key in self.order],
            "state": "all rows",
            "bounded": False,
        }


def sort_rows(segments: Any, order: Sequence[SortKey], ids: Any) -> None:
    """Sort rows of segments in place; equal ones stand by arrival."""
    tab = segments.tab
    orders = orders_of(segments, order)
    ok.sort(ids, np.empty(len(ids), np.int64), tab, segments.shape.width, tab.ctypes.data, segments.bases, orders)


class Limit(Operator):
    """The first rows by arrival of an input that only inserts.

    Args:
        input: schema of the rows.
        first: number of the first row that is given, from 1.
        last: number of the last one, None for all.
    """

    append_only = True

    def __init__(self, input: Schema, first: int, last: int | None) -> None:  # noqa: A002
        self.schema = input
        self.first = max(1, first)
        self.last = last

    def open(self, state: State) -> None:
        """How many rows came."""
        self._values = state.values("limit")

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Give what is in the range."""
        delta = deltas[0]
        if delta is None or not delta.length:
            return Out()
        came = int(self._values.get("rows", 0))
        # Rows beyond the last are not counted: the number stays small.
        self._values["rows"] = came + delta.length if self.last is None else min(came + delta.length, self.last)
        start = max(0, self.first - 1 - came)
        stop = delta.length if self.last is None else max(start, min(delta.length, self.last - came))
        if start >= stop:
            return Out()
        return Out(delta if (start, stop) == (0, delta.length) else delta.slice(start, stop))

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {"operator": "Limit", "rows": f"{self.first} to {self.last or 'all'}", "bounded": True}
