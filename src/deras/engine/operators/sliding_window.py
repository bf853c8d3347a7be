"""Sliding windows: the rows of the last while, again at every moment at which one comes or leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.delta import Delta
from deras.core.time import MIN_WATERMARK
from deras.engine.kernels.sliding import slide
from deras.engine.operator import Operator, Out
from deras.engine.operators.window_table import time_column
from deras.engine.rejects import reject_rows
from deras.engine.windows import time_text
from deras.engine.zones import zone as zone_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.column import Column
    from deras.core.records import Rejected
    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.state import Index, Segments, State

Words = npt.NDArray[np.int64]


class SlidingTable(Operator):
    """The window table function SLIDING: a window for every moment at which its content changes.

    A row is in a window from its time on until ``size_ms`` later; at both moments there is a window with all rows of
    the key that are in it then, unless there is none. A window comes when the watermark reaches its moment, windows by
    time, rows in arrival order. A row is late when the watermark that it saw had reached its time.

    Args:
        input: schema of the rows; they only come.
        rowtime: position of the time attribute.
        size_ms: how long a row is in the window.
        zone: the session's zone where the time is TIMESTAMP_LTZ (the bounds are wall times), else None.
        keys: positions of the columns of PARTITION BY.
        schema: the output: the input's columns, then window_start, window_end (exclusive) and window_time, the moment.
        origin: what rejected rows are said to come from.
    """

    append_only = True

    def __init__(
        self,
        input: Schema,  # noqa: A002
        rowtime: int,
        size_ms: int,
        zone: str | None,
        keys: Sequence[int],
        schema: Schema,
        origin: str = "SlidingTable",
    ) -> None:
        self.input = input
        self.rowtime = rowtime
        self.size = size_ms
        self.zone = zone
        self.keys = tuple(keys)
        self.schema = schema
        self.origin = origin
        self._rows: Segments
        self._index: Index
        self._values: dict[str, Any] = {}
        # The next moment at which a window changes, or None: not known.
        self._next: int | None = None

    def open(self, state: State) -> None:
        """The rows that are in some window to come."""
        self._rows = state.segments("rows", self.input)
        self._index = state.index("keys", [self.input[i].type for i in self.keys], 0, saved=False)
        self._values = state.values("sliding")
        state.on_restore(self._restored)

    def _restored(self) -> None:
        self._next = None

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Take the rows, give the windows whose moment has passed."""
        low = max(tick.low, int(self._values.get("watermark", MIN_WATERMARK)))
        high = max(low, tick.high)
        self._values["watermark"] = high
        seen = np.array([low], np.int64)
        dropped: list[Rejected] = []
        delta = deltas[0]
        if delta is not None and delta.length:
            marks = np.maximum.accumulate(np.maximum(delta.mark_array(), low))
            seen = np.concatenate([seen, marks[np.flatnonzero(np.diff(marks, prepend=low))]])
            self._take(delta, marks, dropped)
        return Out(self._fire(low, high, seen), dropped)

    def _times(self, column: Column) -> Words:
        found: Words = np.ascontiguousarray(column.words()) // column.type.words_per_ms
        return found

    def _take(self, delta: Delta, marks: Words, dropped: list[Rejected]) -> None:
        column = delta.columns[self.rowtime]
        valid = column.valid()
        there = np.ones(delta.length, np.bool_) if valid is None else valid != 0
        times = self._times(column)
        late = np.flatnonzero(there & (times <= marks))
        if len(bad := np.flatnonzero(~there)):
            message = f"the time column `{self.input[self.rowtime].name}` of {self} is NULL"
            dropped.append(reject_rows(delta, bad, [message] * len(bad), reason="constraint", origin=self.origin))
        if len(late):
            messages = [
                f"late for {self}: the watermark was {time_text(m)}, the row is of {time_text(t)}"
                for m, t in zip(marks[late].tolist(), times[late].tolist(), strict=True)
            ]
            dropped.append(reject_rows(delta, late, messages, reason="late", origin=self.origin, rowtime=self.rowtime))
        rows = np.flatnonzero(there & (times > marks))
        if not len(rows):
            return
        taken = delta if len(rows) == delta.length else delta.take(rows)
        self._rows.append(taken.columns, len(rows))
        if self._next is not None:
            self._next = min(self._next, int(times[rows].min()))

    def _fire(self, passed: int, limit: int, seen: Words) -> Delta | None:
        if not len(self._rows) or (self._next is not None and self._next > limit):
            return None
        held = self._rows.snapshot()
        ids = held.ids()
        columns = held.columns(ids)
        times = self._times(columns[self.rowtime])
        groups = np.zeros(len(ids), np.int64)
        if self.keys:
            groups = self._index.lookup([columns[i] for i in self.keys], length=len(ids))
            self._index.release(np.unique(groups))
        order = np.lexsort((times, groups))
        by_key, in_time = np.ascontiguousarray(groups[order]), np.ascontiguousarray(times[order])
        empty = np.empty(0, np.int64)
        total = slide(by_key, in_time, self.size, passed, limit, empty, empty)
        gone = times + self.size <= limit
        after = np.concatenate([times[times > limit], times[~gone] + self.size])
        self._next = int(after.min()) if len(after) else None
        out = None
        if total:
            rows, moments = np.empty(total, np.int64), np.empty(total, np.int64)
            slide(by_key, in_time, self.size, passed, limit, rows, moments)
            rows = order[rows]
            place = self._in_order(rows, moments, groups)
            out = self._give([c.take(rows[place]) for c in columns], moments[place], seen)
        if gone.any():
            self._rows.kill(ids[gone])
            self._rows.tidy()
        return out

    @staticmethod
    def _in_order(rows: Words, moments: Words, groups: Words) -> Words:
        """By moment, windows of one moment by their first row, rows by arrival; the rows of a window lie together."""
        keys = groups[rows]
        changes = (moments[1:] != moments[:-1]) | (keys[1:] != keys[:-1])
        begins = np.concatenate([np.zeros(1, np.int64), np.flatnonzero(changes) + 1])
        counts = np.diff(begins, append=len(rows))
        windows = np.lexsort((np.minimum.reduceat(rows, begins), moments[begins]))
        counts = counts[windows]
        ends = np.cumsum(counts)
        found: Words = np.repeat(begins[windows] - (ends - counts), counts) + np.arange(len(rows))
        taken = rows[found]
        falls = taken[1:] < taken[:-1]
        falls[ends[:-1] - 1] = False
        if falls.any():
            found = found[np.lexsort((taken, np.repeat(np.arange(len(counts)), counts)))]
        return found

    def _give(self, columns: list[Column], moments: Words, seen: Words) -> Delta:
        starts, ends = moments + 1 - self.size, moments + 1
        if self.zone is not None:
            zone = zone_of(self.zone)
            starts, ends = zone.wall(starts, 1), zone.wall(moments, 1) + 1
        types = [f.type for f in self.schema.fields[len(self.input) :]]
        bounds = [time_column(t, ms) for t, ms in zip(types, (starts, ends, moments), strict=True)]
        # What was the watermark just before the one that fired it: the greatest one seen below.
        marks = seen[np.maximum(np.searchsorted(seen, moments, "left") - 1, 0)]
        return Delta(self.schema, [*columns, *bounds], None, marks, len(moments))

    def __str__(self) -> str:
        return f"SLIDING({self.size} ms)"

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {
            "operator": "SlidingTable",
            "window": str(self),
            "time": self.input[self.rowtime].name,
            "keys": [self.input[i].name for i in self.keys],
            "state": "the rows of windows to come",
            "bounded": True,
        }
