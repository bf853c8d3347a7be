"""Session windows: rows of a key that follow one another within a gap, as a table function and aggregated."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Field, Schema
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK
from deras.core.types import BIGINT, timestamp, timestamp_ltz
from deras.engine.accumulator import Accumulator
from deras.engine.kernels import agg_merge, join
from deras.engine.kernels import session as k
from deras.engine.operator import AT_ONCE, PIECE, Operator, Out
from deras.engine.operators.window_aggregate import WindowAggregate
from deras.engine.operators.window_table import time_column
from deras.engine.rejects import reject_rows
from deras.engine.state.memory import Reserve
from deras.engine.state.rowset import LIST, RowSet
from deras.engine.windows import passed_walls, time_text
from deras.engine.zones import zone as zone_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.records import Rejected
    from deras.core.time import Tick
    from deras.engine.aggregates import AggregateCall
    from deras.engine.state import Index, State

Words = npt.NDArray[np.int64]

_WORD = BIGINT.with_nullable(False)


class _Taken:
    """What became of the rows of a step.

    Args:
        ids: the session of each, -1 where it is late.
        merged: int64[m, 2]: sessions that went, and what they became part of.
        walls: the time of each.
        arrivals: the number of each among all rows ever.
    """

    __slots__ = ("arrivals", "ids", "merged", "walls")

    def __init__(self, ids: Words, merged: Words, walls: Words, arrivals: Words) -> None:
        self.ids = ids
        self.merged = merged
        self.walls = walls
        self.arrivals = arrivals

    def take(self, rows: Words) -> _Taken:
        """Some of the rows."""
        return _Taken(self.ids[rows], self.merged, self.walls[rows], self.arrivals[rows])


class _Sessions(Operator):
    """The open sessions of all keys: assigned row by row, fired by the watermark or by processing time.

    A session's key in ``index`` is the arrival number of its first row and the key's values; so sessions of one key
    that overlap in time (a row behind one that has fired may open another) are told apart.
    """

    append_only = True
    piece: int | None = None
    """Sessions a step looks for that are over; None: all. By processing time always all."""

    def __init__(
        self,
        input: Schema,  # noqa: A002
        rowtime: int | None,
        gap_ms: int,
        zone: str | None,
        keys: Sequence[int],
        origin: str,
    ) -> None:
        self.input = input
        self.rowtime = rowtime
        self.gap = gap_ms
        self.zone = zone
        self.keys = tuple(keys)
        self.origin = origin
        self._values: dict[str, Any] = {}
        self._rebuild = False
        self.index: Index
        self._at = 0
        self._keys: Index
        self._heap = Reserve(1 << 27, 3, np.int64)
        self._counts = np.zeros(8, np.int64)
        self._over: list[Words] = []
        self._slots = np.empty((64, k.SLOT), np.int64)

    def _open(self, state: State, index: Index, cell: int) -> None:
        self.index = index
        self._at = index.cell0 + cell
        self._keys = state.index("keys", [self.input[i].type for i in self.keys], 1, saved=False)
        self._values = state.values("session")
        state.on_restore(self._restored)

    def _restored(self) -> None:
        self._rebuild = True

    def _relist(self) -> None:
        """After a restore: chains and heap."""
        raise NotImplementedError

    def _keep(self, delta: Delta, taken: _Taken) -> None:
        """Take the rows into their sessions. None of them is late."""
        raise NotImplementedError

    def _give(self, ids: Words, ends: Words, seen: Words) -> Delta | None:
        """The results of sessions that are over; they go afterwards."""
        raise NotImplementedError

    # ---- a step

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Take the rows, fire the sessions that are over."""
        low = max(tick.low, int(self._values.get("watermark", MIN_WATERMARK)))
        if self._rebuild:
            self._rebuild = False
            self._relist()
        delta = deltas[0]
        if delta is not None and not delta.length:
            delta = None
        if self.rowtime is None:
            return self._proctime_step(delta, tick)
        high = max(low, tick.high)
        self._values["watermark"] = high
        start = np.array([low], np.int64)
        if delta is None:
            return Out(self._fire(high, start))
        dropped: list[Rejected] = []
        column = delta.columns[self.rowtime]
        if (valid := column.valid()) is not None and not valid.all():
            bad = np.flatnonzero(valid == 0)
            message = f"the time column `{self.input[self.rowtime].name}` of {self} is NULL"
            dropped.append(reject_rows(delta, bad, [message] * len(bad), reason="constraint", origin=self.origin))
            delta = delta.take(np.flatnonzero(valid))
            column = delta.columns[self.rowtime]
        marks = np.maximum.accumulate(np.maximum(delta.mark_array(), low))
        walls = zone_of(self.zone).wall(np.ascontiguousarray(column.words()), column.type.words_per_ms)
        taken = self._take(delta, walls, passed_walls(self.zone, marks))
        late = np.flatnonzero(taken.ids < 0)
        if len(late):
            dropped.append(self._late(delta, late, walls, marks))
            keep = np.flatnonzero(taken.ids >= 0)
            delta, taken = delta.take(keep), taken.take(keep)
        self._keep(delta, taken)
        seen = np.concatenate([start, marks[np.flatnonzero(np.diff(marks, prepend=low))]])
        return Out(self._fire(high, seen), dropped)

    def _proctime_step(self, delta: Delta | None, tick: Tick) -> Out:
        marks = np.array([tick.low], np.int64)
        fired = [self._fire(tick.now - 1, marks)]
        if delta is not None:
            walls = zone_of(self.zone).wall(
                np.full(delta.length, tick.now * 1000, np.int64), timestamp_ltz(3).words_per_ms
            )
            limits = passed_walls(self.zone, np.full(delta.length, tick.now - 1, np.int64))
            self._keep(delta, self._take(delta, walls, limits))
        if tick.high == MAX_WATERMARK:
            fired.append(self._fire(MAX_WATERMARK, marks))
        some = [f for f in fired if f is not None]
        return Out(Delta.concat(some) if some else None)

    def wake(self) -> int | None:
        """The processing time (ms) at which a session may be over, at once while results are owed, or None."""
        if self.rowtime is not None:
            return AT_ONCE if "owed" in self._values else None
        if self._rebuild:
            return MIN_WATERMARK
        if not self._counts[2]:
            return None
        end = np.array([self._heap.array[0, 0] - 1], np.int64)
        return int(self._instant(end)[0]) + 1

    def hold(self, high: int) -> int:
        """While results are owed: the watermark before the first of them fell due."""
        owed = self._values.get("owed")
        return int(owed[0]) if owed else high

    def _instant(self, walls: Words) -> Words:
        return walls if self.zone is None else zone_of(self.zone).instant(walls)

    def _take(self, delta: Delta, walls: Words, limits: Words) -> _Taken:
        arrival = int(self._values.get("arrival", 0))
        self._values["arrival"] = arrival + delta.length
        arrivals = np.arange(arrival, arrival + delta.length)
        return self._assign([delta.columns[i] for i in self.keys], walls, limits, arrivals)

    def _assign(self, keys: list[Column], walls: Words, limits: Words, arrivals: Words) -> _Taken:
        n = len(walls)
        if not n:
            return _Taken(walls, np.empty((0, 2), np.int64), walls, arrivals)
        key_ids = self._keys.lookup(keys, length=n)
        counts, index = self._counts, self.index
        counts[:2] = 0
        places, touched = np.empty(n, np.int64), np.empty(n, np.int64)
        head = self._keys.cell0
        begin = 0
        while True:
            begin = k.assign(
                key_ids, walls, limits, arrivals, self.gap, begin, self._keys.tab, head, index.tab, self._at,
                places, self._slots, touched, counts,
            )  # fmt: skip
            if begin == n:
                break
            more = np.empty((2 * len(self._slots) + n, k.SLOT), np.int64)
            more[: counts[0]] = self._slots[: counts[0]]
            self._slots = more
        slots, m = self._slots, int(counts[0])
        fresh = np.empty(m, np.int64)
        made = k.resolve(places, slots, m, fresh)
        if made:
            rows = slots[fresh[:made], 8]
            births = Column.of_words(_WORD, slots[fresh[:made], 6])
            slots[fresh[:made], 0] = index.lookup([births, *(c.take(rows) for c in keys)], length=made)
        self._heap.need(int(counts[2]) + made)
        over, merged = np.empty(m, np.int64), np.empty((m, 2), np.int64)
        k.settle(
            slots, m, fresh, made, self.gap, self._keys.tab, head, index.tab, self._at, self._heap.array, counts, over,
            touched, merged,
        )  # fmt: skip
        if counts[3]:
            self._over.append(over[: counts[3]])
        if counts[4]:
            self._keys.release(touched[: counts[4]])
        ids = np.where(places >= 0, slots[places, 0], -1)
        return _Taken(ids, merged[: counts[5]], walls, arrivals)

    def _fire(self, limit: int, seen: Words) -> Delta | None:
        """Results of sessions that are over at a watermark of ``limit``, by end, then by first row.

        Of all, or about as many as a step gives: those below an end up to which all are known.
        """
        wall = int(passed_walls(self.zone, np.array([limit], np.int64))[0])
        counts, index = self._counts, self.index
        heap = self._heap.array
        owed = self._values.get("owed")
        if owed:
            seen = np.concatenate([np.array(owed, np.int64), seen])
        room = None if self.rowtime is None else self.piece
        while counts[2] and heap[0, 0] - 1 <= wall and (room is None or room > 0):
            most = 4096 if room is None else min(4096, room)
            over, empty = np.empty(most, np.int64), np.empty(most, np.int64)
            k.sweep(
                wall, self.gap, self._keys.tab, self._keys.cell0, index.tab, self._at, index.flags, heap, counts, over,
                empty,
            )  # fmt: skip
            if counts[3]:
                self._over.append(over[: counts[3]])
                room = None if room is None else room - int(counts[3])
            if counts[4]:
                self._keys.release(empty[: counts[4]])
            if not counts[6]:
                break
        ids = np.concatenate(self._over) if self._over else np.empty(0, np.int64)
        self._over = []
        ends = index.tab[ids, self._at + 1] + self.gap
        if counts[2] and heap[0, 0] - 1 <= wall:
            # More is over: the ends in the heap are the least that they can be.
            later = ends >= heap[0, 0]
            if later.any():
                self._over = [ids[later]]
                ids, ends = ids[~later], ends[~later]
            first = self._instant(np.array([heap[0, 0] - 1], np.int64))[0]
            self._values["owed"] = np.unique(seen[max(int(np.searchsorted(seen, first, "left")) - 1, 0) :]).tolist()
        elif owed:
            del self._values["owed"]
        if not len(ids):
            return None
        order = np.lexsort((index.tab[ids, 0], ends))
        return self._give(ids[order], ends[order], seen)

    def _marks(self, fire: Words, seen: Words) -> Words:
        """The watermark just before the one that fired: the greatest one seen below."""
        found: Words = seen[np.maximum(np.searchsorted(seen, fire, "left") - 1, 0)]
        return found

    def _late(self, delta: Delta, late: Words, walls: Words, marks: Words) -> Rejected:
        zone = f" ({self.zone})" if self.zone else ""
        messages = [
            f"late for the session {time_text(s)} to {time_text(s + self.gap)}{zone} of {self}: the watermark was "
            f"{time_text(m)}"
            for s, m in zip(walls[late].tolist(), marks[late].tolist(), strict=True)
        ]
        return reject_rows(delta, late, messages, reason="late", origin=self.origin, rowtime=self.rowtime)

    def __str__(self) -> str:
        return f"SESSION({self.gap} ms)"

    def _explain(self) -> dict[str, Any]:
        return {
            "operator": type(self).__name__,
            "window": str(self),
            "time": "processing time" if self.rowtime is None else self.input[self.rowtime].name,
            "keys": [self.input[i].name for i in self.keys],
        }


class SessionTable(_Sessions):
    """The window table function SESSION: rows with the bounds of their session, when it is over.

    A session lasts until ``gap_ms`` after its last row; rows that touch it belong to it, and sessions that touch become
    one. It is over when the watermark reaches its last millisecond: then its rows come, in arrival order, sessions by
    end. A row is late when it touches no open session and its own would be over already.

    Args:
        input: schema of the rows.
        rowtime: position of the time attribute; None: processing time.
        gap_ms: of silence that ends a session.
        zone: the session's zone where the time is TIMESTAMP_LTZ (sessions follow wall time, as in Flink), else None.
        keys: positions of the columns of PARTITION BY.
        schema: the output: the input's columns, then window_start, window_end and window_time.
        append_only: whether the input only inserts.
        origin: what rejected rows are said to come from.
    """

    def __init__(
        self,
        input: Schema,  # noqa: A002
        rowtime: int | None,
        gap_ms: int,
        zone: str | None,
        keys: Sequence[int],
        schema: Schema,
        append_only: bool = True,
        origin: str = "SessionTable",
    ) -> None:
        super().__init__(input, rowtime, gap_ms, zone, keys, origin)
        self.schema = schema
        self.append_only = append_only
        self._rows: RowSet

    def open(self, state: State) -> None:
        """The rows of open sessions; which sessions there are follows from them."""
        types = [_WORD, *(self.input[i].type for i in self.keys)]
        index = state.index("sessions", types, k.CELLS + 3, (*[0] * k.CELLS, *LIST), saved=False)
        words = 1 + (not self.append_only) + (self.rowtime is None)
        kept = [*self.input.types, *[_WORD] * words]
        schema = Schema(tuple(Field(str(i), t) for i, t in enumerate(kept)))
        self._rows = RowSet(state, "rows", schema, updating=False, groups=index, cell=k.CELLS)
        self._open(state, index, 0)

    def _relist(self) -> None:
        rows = self._rows.segments.snapshot()
        ids = rows.ids()
        n = len(self.input)
        for a in range(0, len(ids), 1 << 16):
            part = ids[a : a + (1 << 16)]
            columns = rows.columns(part)
            time = columns[-1 if self.rowtime is None else self.rowtime]
            unit = 1 if self.rowtime is None else time.type.words_per_ms
            words = np.ascontiguousarray(time.words())
            walls = words if self.rowtime is None else zone_of(self.zone).wall(words, unit)
            arrivals = np.ascontiguousarray(columns[n].words())
            limits = np.full(len(part), MIN_WATERMARK, np.int64)
            taken = self._assign([columns[i] for i in self.keys], walls, limits, arrivals)
            self._link(part, taken)

    def _link(self, rows: Words, taken: _Taken) -> None:
        kept = self._rows
        tab, cell = kept.segments.tab, kept.group_list
        join.link(taken.ids, rows, tab, cell, self.index.tab, kept.group_cell)
        self._join(taken)

    def _join(self, taken: _Taken) -> None:
        if len(taken.merged):
            kept = self._rows
            k.join_lists(taken.merged, kept.segments.tab, kept.group_list, self.index.tab, kept.group_cell)
            self.index.release(taken.merged[:, 0])

    def _keep(self, delta: Delta, taken: _Taken) -> None:
        extra = [taken.arrivals]
        if not self.append_only:
            extra.append(delta.weight_array())
        if self.rowtime is None:
            extra.append(taken.walls)
        columns = [*delta.columns, *(Column.of_words(_WORD, np.ascontiguousarray(x)) for x in extra)]
        self._rows.apply(columns, None, delta.length, taken.ids)
        self._join(taken)

    def _give(self, ids: Words, ends: Words, seen: Words) -> Delta | None:
        kept, index = self._rows, self.index
        total = int(index.tab[ids, kept.group_cell + 2].sum())
        rows, owners = np.empty(total, np.int64), np.empty(total, np.int64)
        tab = kept.segments.tab
        k.members(ids, tab, kept.group_list, index.tab, kept.group_cell, rows, owners)
        order = np.lexsort((tab[rows, kept.segments.cell0 - 2], owners))
        rows, owners = rows[order], owners[order]
        columns = kept.segments.take(rows)
        n = len(self.input)
        ends = ends[owners]
        starts = index.tab[ids, self._at][owners]
        fire = self._instant(ends - 1)
        types = [f.type for f in self.schema.fields[n:]]
        bounds = [time_column(t, ms) for t, ms in zip(types, (starts, ends, fire), strict=True)]
        weights = None if self.append_only else np.ascontiguousarray(columns[n + 1].words())
        kept.segments.kill(rows)
        kept.tidy()
        index.release(ids)
        return Delta(self.schema, [*columns[:n], *bounds], weights, self._marks(fire, seen), total)

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {**self._explain(), "state": "the rows of open sessions", "bounded": True}


class _Cells(_Sessions):
    """Sessions of which only the aggregates' cells are kept."""

    piece: int | None = PIECE

    def __init__(
        self,
        input: Schema,  # noqa: A002
        rowtime: int | None,
        gap_ms: int,
        zone: str | None,
        keys: Sequence[int],
        groups: Accumulator,
        schema: Schema,
        layout: Sequence[int | str],
        origin: str,
    ) -> None:
        super().__init__(input, rowtime, gap_ms, zone, keys, origin)
        self.schema = schema
        self.layout = tuple(layout)
        self._groups = groups

    def open(self, state: State) -> None:
        self._groups.open(state)
        self._open(state, self._groups.groups, self._groups.extra)

    def _relist(self) -> None:
        index = self.index
        every = index.ids()
        for a in range(0, len(every), 1 << 16):
            ids = every[a : a + (1 << 16)]
            keys = self._keys.lookup(index.key_columns(ids)[1:], length=len(ids))
            self._heap.need(int(self._counts[2]) + len(ids))
            k.rechain(
                ids, keys, self.gap, self._keys.tab, self._keys.cell0, index.tab, self._at, self._heap.array,
                self._counts,
            )  # fmt: skip

    def _keep(self, delta: Delta, taken: _Taken) -> None:
        groups = self._groups
        if len(taken.merged):
            gone, into = np.ascontiguousarray(taken.merged[:, 0]), taken.merged[:, 1]
            roots, places = np.unique(into, return_inverse=True)
            cells = groups.cells(roots)
            own = slice(groups.groups.cell0, groups.groups.cell0 + groups.extra)
            agg_merge.merge_cells(
                gone,
                np.ascontiguousarray(places.reshape(-1)),
                groups.groups.tab,
                groups.groups.cell0,
                groups.ops,
                cells,
            )
            groups.groups.tab[roots, own] = cells[:, : groups.extra]
            groups.groups.touch(roots)
            groups.release(gone)
        if delta.length:
            groups.update(delta, [], keep_old=False, ids=taken.ids)

    def _give(self, ids: Words, ends: Words, seen: Words) -> Delta | None:
        groups = self._groups
        shown = ids
        if groups.layouts.updating:
            alive = groups.groups.tab[ids, groups.groups.cell0 + 1] > 0
            shown, ends = ids[alive], ends[alive]
        made = [*groups.groups.key_columns(shown)[1:], *groups.results(groups.cells(shown), shown)]
        fire = self._instant(ends - 1)
        times = {"start": groups.groups.tab[shown, self._at], "end": ends, "time": fire}
        columns = [
            time_column(field.type, times[item]) if isinstance(item, str) else made[item].with_type(field.type)
            for item, field in zip(self.layout, self.schema, strict=True)
        ]
        groups.release(ids)
        return Delta(self.schema, columns, None, self._marks(fire, seen), len(shown))

    def explain(self) -> dict[str, Any]:
        return self._explain()


class SessionAggregate(Operator):
    """Aggregates per session; insert-only, by the session's end, then by its first row.

    The aggregates of an open session lie in cells, which are merged when sessions meet. Where cells cannot be merged
    (DISTINCT, MIN and MAX of text …) the rows of open sessions are kept and aggregated when they are over.

    Args:
        input: schema of the rows.
        rowtime: position of the time attribute; None: processing time.
        gap_ms: of silence that ends a session.
        zone: the session's zone where the time is TIMESTAMP_LTZ, else None.
        keys: positions of the key columns.
        calls: the aggregates.
        schema: the output.
        layout: the output's columns in order: numbers (keys first, then aggregates) and ``start``, ``end``, ``time``.
        input_append: whether the input only inserts.
        origin: what rejected rows are said to come from.
    """

    append_only = True

    def __init__(
        self,
        input: Schema,  # noqa: A002
        rowtime: int | None,
        gap_ms: int,
        zone: str | None,
        keys: Sequence[int],
        calls: Sequence[AggregateCall],
        schema: Schema,
        layout: Sequence[int | str],
        *,
        input_append: bool = True,
        origin: str = "SessionAggregate",
    ) -> None:
        self.schema = schema
        self.calls = tuple(calls)
        self._proctime = rowtime is None
        types = [_WORD, *(input[i].type for i in keys)]
        groups = Accumulator(types, calls, input, updating=not input_append, released=True, extra=k.CELLS)
        self._parts: list[Operator]
        if groups.mergeable:
            self._parts = [_Cells(input, rowtime, gap_ms, zone, keys, groups, schema, layout, origin)]
            return
        n = len(input)
        times = (Field("start", timestamp(3)), Field("end", timestamp(3)))
        last = Field("time", timestamp(3) if zone is None else timestamp_ltz(3), "rowtime")
        rows = Schema((*input.fields, *times, last))
        table = SessionTable(input, rowtime, gap_ms, zone, keys, rows, input_append, origin)
        # A row stands at its session's last millisecond, so a window of one millisecond finds the session again. The
        # start is one more key.
        inner = [len(keys) if x == "start" else x if isinstance(x, str) or x < len(keys) else x + 1 for x in layout]
        windows = WindowAggregate(
            rows, n + 2, "tumble", 1, 0, 0, zone, [*keys, n], calls, schema, inner, input_append=input_append,
            attached=True, origin=origin,
        )  # fmt: skip
        windows.piece = None
        self._parts = [table, windows]

    def open(self, state: State) -> None:
        """Cells, or rows and the groups that they make for a moment."""
        for part in self._parts:
            part.open(state)

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Take the rows, fire the sessions that are over."""
        out = self._parts[0].step(deltas, tick)
        if len(self._parts) == 1:
            return out
        if self._proctime:
            if out.delta is not None:
                out.delta.marks = MIN_WATERMARK
            tick = replace(tick, low=MIN_WATERMARK, high=tick.high if tick.high == MAX_WATERMARK else tick.now - 1)
        done = self._parts[1].step([out.delta], tick)
        return Out(done.delta, [*out.dropped, *done.dropped])

    def wake(self) -> int | None:
        """The processing time (ms) at which a session may be over, or None."""
        return self._parts[0].wake()

    def hold(self, high: int) -> int:
        """While results are owed: the watermark before the first of them fell due."""
        return self._parts[0].hold(high)

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        kept = "cells" if len(self._parts) == 1 else "rows"
        return {
            **self._parts[0].explain(),
            "operator": "SessionAggregate",
            "aggregates": [str(c) for c in self.calls],
            "state": f"{kept} of open sessions",
            "bounded": True,
        }
