"""GROUP BY window: one final result for each window and key, when the watermark has passed the window's end."""

from __future__ import annotations

import bisect
import heapq
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.errors import InternalError, PlanError
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK
from deras.core.types import BIGINT, timestamp_ltz
from deras.engine.accumulator import Accumulator
from deras.engine.kernels import agg_merge as k
from deras.engine.operator import AT_ONCE, PIECE, Operator, Out, RowErrors
from deras.engine.operators.window_table import time_column
from deras.engine.rejects import reject_errors, reject_rows
from deras.engine.windows import WindowKind, Windows, by_place, distinct_marks, time_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.records import Rejected
    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.aggregates import AggregateCall
    from deras.engine.state import Index, State

Words = npt.NDArray[np.int64]

_END = BIGINT.with_nullable(False)


class WindowAggregate(Operator):
    """Aggregates per window and key; insert-only, by window end, keys of a window in the order of their first rows.

    A window fires when the watermark reaches its last millisecond. A row is late for a window when the watermark that
    it saw had reached that; it is rejected when it is late for all of its windows, and counts in the others otherwise.

    Windows that overlap share slices (as long as the slide), so that a row costs one update; slices are merged when a
    window fires. Aggregates whose cells cannot be merged (DISTINCT, MIN and MAX of
    text, FIRST_VALUE …) are kept per window instead.

    A step gives at most ``piece`` results, so that a window of many keys does not make a long one. While results are
    owed it asks for more steps at once, and the output's watermark stays at what it was before they fell due.

    Args:
        input: schema of the rows.
        rowtime: position of the time attribute (None with ``proctime``).
        kind: ``tumble``, ``hop`` or ``cumulate``.
        size_ms: length of the (longest) window.
        slide_ms: distance of hops, or step of cumulate.
        offset_ms: shift of all windows.
        zone: the session's zone where the time is TIMESTAMP_LTZ, else None.
        keys: positions of the key columns.
        calls: the aggregates.
        schema: the output.
        layout: the output's columns in order: numbers (keys first, then aggregates) and ``start``, ``end``, ``time``;
            by default keys, aggregates, and as many of the three as ``schema`` has columns left.
        proctime: windows of processing time: rows count at the step's ``now``, windows fire when it has passed.
        input_append: whether the input only inserts.
        attached: the rows have their windows already, and ``rowtime`` is their last millisecond (a tumble of 1 ms).
        origin: what rejected rows are said to come from.
    """

    append_only = True
    piece: int | None = PIECE
    """Results a step; None: all that are due."""

    def __init__(
        self,
        input: Schema,  # noqa: A002
        rowtime: int | None,
        kind: WindowKind,
        size_ms: int,
        slide_ms: int,
        offset_ms: int,
        zone: str | None,
        keys: Sequence[int],
        calls: Sequence[AggregateCall],
        schema: Schema,
        layout: Sequence[int | str] | None = None,
        *,
        proctime: bool = False,
        input_append: bool = True,
        attached: bool = False,
        origin: str = "WindowAggregate",
    ) -> None:
        self.input = input
        self.rowtime = rowtime
        if kind == "hop" and size_ms % slide_ms:
            raise PlanError(
                f"the size of a hop window ({size_ms} ms) must be a multiple of its slide ({slide_ms} ms)",
                hint="Choose a size that the slide divides.",
            )
        self.windows = Windows(kind, size_ms, slide_ms, offset_ms, zone)
        self.keys = tuple(keys)
        self.calls = tuple(calls)
        self.schema = schema
        self.proctime = proctime
        self.attached = attached
        self.origin = origin
        made = len(self.keys) + len(self.calls)
        self.layout: tuple[int | str, ...] = tuple(
            layout if layout is not None else [*range(made), *("start", "end", "time")[: len(schema) - made]]
        )
        types = [_END, *(input[i].type for i in self.keys)]
        # Own cells: the number of the group's first row, and where there are slices the id of its key.
        extra = 1 if kind == "tumble" else 2
        self._groups = Accumulator(types, self.calls, input, updating=not input_append, released=True, extra=extra)
        self._sliced = kind != "tumble" and self._groups.mergeable
        self._slice = slide_ms
        self._values: dict[str, Any] = {}
        self._keyed: Index
        self._fired = 0
        self._rebuild = False
        # What the last step fired up to.
        self._limit = MIN_WATERMARK
        self._clear()

    def _clear(self) -> None:
        # Ids by window end (or slice start); ends and slices to come, by the watermark that they wait for.
        self._members: dict[int, list[Words]] = {}
        self._waiting: list[tuple[int, int]] = []
        self._fresh: list[int] = []
        self._ends: set[int] = set()
        self._slices: list[tuple[int, int]] = []
        self._merging: _Merging | None = None

    def open(self, state: State) -> None:
        """The groups of all windows that have not fired."""
        self._groups.open(state)
        self._values = state.values("window")
        if self._sliced:
            # Keys with the number of their groups, and their place in the window that fires.
            types = [self.input[i].type for i in self.keys]
            self._keyed = state.index("keys", types, 2, saved=False)
        state.on_restore(self._restored)

    def _restored(self) -> None:
        self._rebuild = True

    # ---- a step

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Take the rows, fire the windows."""
        low = max(tick.low, int(self._values.get("watermark", MIN_WATERMARK)))
        if self._rebuild:
            self._rebuild = False
            self._relist(low)
        delta = deltas[0]
        if delta is not None and not delta.length:
            delta = None
        if self.proctime:
            return self._proctime_step(delta, tick)
        high = max(low, tick.high)
        self._values["watermark"] = high
        if delta is None:
            return Out(self._fire(high, np.array([low], np.int64)))
        if self.rowtime is None:
            raise InternalError("an event-time window has no time column")
        dropped: list[Rejected] = []
        column = delta.columns[self.rowtime]
        rows: Words | None = None
        if (valid := column.valid()) is not None and not valid.all():
            bad = np.flatnonzero(valid == 0)
            message = f"the time column `{self.input[self.rowtime].name}` of {self.windows} is NULL"
            dropped.append(reject_rows(delta, bad, [message] * len(bad), reason="constraint", origin=self.origin))
            rows = np.flatnonzero(valid)
            delta = delta.take(rows)
            column = delta.columns[self.rowtime]
        if self._sliced or self.windows.kind == "tumble":
            found = self.windows.places(column.words(), column.type, delta.mark_array(), low, slices=self._sliced)
            if found is not None:
                dropped += self._take(delta, None, found[0])
                if self._sliced:
                    self._await_slices(low)
                return Out(self._fire(high, found[1]), dropped)
        marks = np.maximum.accumulate(np.maximum(delta.mark_array(), low))
        walls = self.windows.walls(column.words(), column.type)
        lasts, total = self.windows.last_end(walls)
        late = np.flatnonzero(self.windows.fire_at(lasts) <= marks)
        if len(late):
            dropped.append(self._late(delta, late, lasts, marks))
        seen = np.concatenate([np.array([low], np.int64), distinct_marks(marks)])
        if self._sliced:
            return Out(self._sliced_step(delta, walls, lasts, marks, low, high, seen), dropped)
        if self.windows.kind == "tumble":
            ends = lasts
            places = None
            if len(late):
                keep = np.ones(delta.length, np.bool_)
                keep[late] = False
                places = np.flatnonzero(keep)
                ends = lasts[places]
        elif total:
            places, _, ends = self.windows.assign(walls)
            good = self.windows.fire_at(ends) > marks[places]
            if not good.all():
                places, ends = places[good], ends[good]
        else:
            places, ends = np.empty(0, np.int64), np.empty(0, np.int64)
        dropped += self._take(delta, places, ends)
        return Out(self._fire(high, seen), dropped)

    def _late(self, delta: Delta, late: Words, lasts: Words, marks: Words) -> Rejected:
        ends = lasts[late]
        starts = self.windows.start_of(ends)
        zone = f" ({self.windows.zone})" if self.windows.zone else ""
        of = "" if self.attached else f" of {self.windows}"
        messages = [
            f"late for the window {'that ends at' if self.attached else f'{time_text(s)} to'} {time_text(e)}{zone}"
            f"{of}: the watermark was {time_text(m)}"
            for s, e, m in zip(starts.tolist(), ends.tolist(), marks[late].tolist(), strict=True)
        ]
        return reject_rows(delta, late, messages, reason="late", origin=self.origin, rowtime=self.rowtime)

    def _proctime_step(self, delta: Delta | None, tick: Tick) -> Out:
        marks = np.array([tick.low], np.int64)
        done = bool(self._values.get("ended"))
        fired = self._fire(MAX_WATERMARK if done else tick.now - 1, marks)
        dropped: Sequence[Rejected] = ()
        if delta is not None:
            n = delta.length
            walls = self.windows.walls(np.full(n, tick.now * 1000, np.int64), timestamp_ltz(3))
            if self._sliced:
                self._take(delta, None, self._slice_of(walls))
                self._await_slices(tick.now - 1)
            else:
                places, _, ends = self.windows.assign(walls)
                dropped = self._take(delta, None if len(places) == n else places, ends)
        if tick.high == MAX_WATERMARK and not done:
            self._values["ended"] = True
            last = self._fire(MAX_WATERMARK, marks)
            fired = last if fired is None else fired if last is None else Delta.concat([fired, last])
        return Out(fired, dropped)

    def wake(self) -> int | None:
        """The processing time (ms) at which a window ends, at once while results are owed, or None."""
        if self._rebuild:
            more = "owed" in self._values or self._values.get("dropping")
            return AT_ONCE if more or (self.proctime and len(self._groups.groups)) else None
        if self._owes() or self._values.get("dropping"):
            return AT_ONCE
        return self._waiting[0][0] + 1 if self.proctime and self._waiting else None

    def hold(self, high: int) -> int:
        """While results are owed: the watermark before the first of them fell due."""
        if not self._owes():
            return high
        marks = self._values["owed"]
        return int(marks[max(bisect.bisect_left(marks, self._waiting[0][0]) - 1, 0)])

    def _owes(self) -> bool:
        return bool(self._waiting) and self._waiting[0][0] <= self._limit

    def _take(self, delta: Delta, rows: Words | None, places: Words) -> Sequence[Rejected]:
        """Take rows into their windows or slices (``places``: end or start of each); gives those that failed."""
        arrival = int(self._values.get("arrival", 0))
        self._values["arrival"] = arrival + delta.length
        taken = delta if rows is None else delta.take(rows)
        if not taken.length:
            return ()
        groups = self._groups
        keys = [Column.of_words(_END, places), *(taken.columns[i] for i in self.keys)]
        touched = groups.update(taken, keys, keep_old=False)
        self._note(touched.ids)
        tab, cell = groups.groups.tab, groups.groups.cell0 + groups.extra
        fresh = np.flatnonzero(tab[touched.ids, cell] == 0)
        if len(fresh):
            ids = touched.ids[fresh]
            first = touched.first[fresh]
            tab[ids, cell] = arrival + 1 + (first if rows is None else rows[first])
            if self._sliced:
                self._key(ids, [taken.columns[i].take(first) for i in self.keys])
            self._list(ids, tab[ids, 0])
        groups.tidy()
        if not touched.errors:
            return ()
        # A row that failed in several windows is one row.
        failed: dict[int, str] = {}
        for e in touched.errors:
            failed |= dict(zip((e.rows if rows is None else rows[e.rows]).tolist(), e.messages, strict=True))
        at = sorted(failed)
        errors = [RowErrors(np.array(at, np.int64), [failed[i] for i in at], "udf")]
        return reject_errors(delta, errors, self.origin, self.rowtime)

    def _key(self, ids: Words, keys: list[Column]) -> None:
        """New groups know their keys by id."""
        found = self._keyed.lookup(keys, length=len(ids))
        index = self._groups.groups
        index.tab[ids, index.cell0 + self._groups.extra + 1] = found
        k.hold(found, self._keyed.tab, self._keyed.cell0)

    def _note(self, ids: Words) -> None:
        """These groups got rows."""

    def _list(self, ids: Words, places: Words) -> None:
        """Remember new groups with their windows or slices."""
        for place, part in by_place(ids, places):
            pieces = self._members.get(place)
            if pieces is None:
                self._members[place] = [part]
                if self._sliced:
                    last = int(self.windows.last_end(np.array([place], np.int64))[0][0])
                    heapq.heappush(self._slices, (self._fire_at(last), place))
                    self._fresh.append(place)
                else:
                    heapq.heappush(self._waiting, (self._fire_at(place), place))
            else:
                pieces.append(part)

    def _fire_at(self, end: int) -> int:
        return int(self.windows.fire_at(np.array([end], np.int64))[0])

    def _relist(self, low: int) -> None:
        """After a restore: the lists of groups, windows and slices."""
        self._clear()
        index = self._groups.groups
        ids = index.ids()
        ids = ids[np.argsort(index.tab[ids, index.cell0 + self._groups.extra], kind="stable")]
        if len(ids):
            if self._sliced:
                self._key(ids, index.key_columns(ids)[1:])
            self._list(ids, index.tab[ids, 0])
        if not self.proctime:
            self._limit = low
        if self._sliced:
            first = tuple(self._values.get("first", (low + 1, MIN_WATERMARK)))
            self._await_slices(min(low, first[0] - 1))
            self._waiting = [w for w in self._waiting if w >= first]
            heapq.heapify(self._waiting)

    # ---- windows one by one

    def _fire(self, limit: int, seen: Words, *, whole: bool = False) -> Delta | None:
        """Results of the windows that wait for a watermark up to ``limit``: of all, or as many as a step gives.

        Args:
            limit: the watermark.
            seen: the watermarks that were seen since all windows below the first of them were out, rising.
            whole: all.
        """
        self._limit = limit
        owed = self._values.get("owed")
        if owed:
            seen = np.concatenate([np.array(owed, np.int64), seen])
        room = None if whole else self.piece
        fired: Delta | None
        if self._sliced:
            parts = []
            while self._owes() and (room is None or room > 0):
                part, room = self._fire_merged(self._waiting[0][1], seen, room)
                if part is not None:
                    parts.append(part)
            fired = Delta.concat(parts) if parts else None
        else:
            fired = self._fire_plain(seen, room)
        if self._owes():
            # Only what the results to come must know.
            dues = np.array([at for at, _ in self._waiting if at <= limit], np.int64)
            marks = np.unique(seen[np.maximum(np.searchsorted(seen, dues, "left") - 1, 0)])
            self._values["owed"] = marks.tolist()
            self._values["first"] = list(self._waiting[0])
        elif owed:
            del self._values["owed"], self._values["first"]
        if self._sliced:
            passed = self._waiting[0][0] - 1 if self._owes() else limit
            self._drop_slices(passed, room)
            self._values["dropping"] = bool(self._slices) and self._slices[0][0] <= passed
        return fired

    def _fire_plain(self, seen: Words, room: int | None) -> Delta | None:
        ends: list[int] = []
        parts: list[Words] = []
        while self._owes() and (room is None or room > 0):
            end = self._waiting[0][1]
            pieces = self._members[end]
            part = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
            if room is not None and len(part) > room:
                self._members[end] = [part[room:]]
                part = part[:room]
            else:
                heapq.heappop(self._waiting)
                del self._members[end]
            if room is not None:
                room -= len(part)
            ends.append(end)
            parts.append(part)
        if not ends:
            return None
        groups = self._groups
        ids = np.concatenate(parts)
        if groups.layouts.updating:
            alive = groups.groups.tab[ids, groups.groups.cell0 + 1] > 0
            counts = np.array([len(p) for p in parts])
            window_ends = np.repeat(np.array(ends, np.int64), counts)[alive]
            shown = ids[alive]
        else:
            window_ends = np.repeat(np.array(ends, np.int64), [len(p) for p in parts])
            shown = ids
        delta = self._out(
            groups.groups.key_columns(shown)[1:], groups.results(groups.cells(shown), shown), window_ends, seen
        )
        groups.release(ids)
        return delta

    def _out(self, keys: list[Column], results: list[Column], ends: Words, seen: Words) -> Delta:
        made: list[Column] = [*keys, *results]
        columns = []
        fire = self.windows.fire_at(ends)
        for item, field in zip(self.layout, self.schema, strict=True):
            if item == "start":
                columns.append(time_column(field.type, self.windows.start_of(ends)))
            elif item == "end":
                columns.append(time_column(field.type, ends))
            elif item == "time":
                columns.append(time_column(field.type, fire))
            else:
                columns.append(made[int(item)].with_type(field.type))
        # What was the watermark just before the one that fired it: the greatest one seen below.
        one = len(ends) > 0 and ends[0] == ends[-1]  # windows come by their ends
        marks = seen[np.maximum(np.searchsorted(seen, fire[:1] if one else fire, "left") - 1, 0)]
        return Delta(self.schema, columns, None, int(marks[0]) if one else marks, len(ends))

    # ---- slices

    def _slice_of(self, walls: Words) -> Words:
        size, offset = self._slice, self.windows.offset
        return (walls - offset) // size * size + offset

    def _sliced_step(
        self, delta: Delta, walls: Words, lasts: Words, marks: Words, low: int, high: int, seen: Words
    ) -> Delta | None:
        windows = self.windows
        slices = self._slice_of(walls)
        firsts = windows.first_end(slices)
        partly = windows.fire_at(firsts) <= marks
        lost = windows.fire_at(lasts) <= marks
        whole = ~lost & (~partly | (marks <= low))
        fired: list[Delta] = []
        if self._owes() and (partly & ~lost).any():
            # These rows are too late for results that are owed, whose slices they enter.
            out = self._fire(self._limit, seen[:0], whole=True)
            fired += [] if out is None else [out]
        rows = np.flatnonzero(whole)
        self._take(delta, None if len(rows) == delta.length else rows, slices[rows])
        self._await_slices(low)
        rows = np.flatnonzero(~lost & ~whole)
        if len(rows):
            # Rows that are late for some of their windows wait until those have fired.
            levels = windows.last_fired(marks[rows])
            bounds = [0, *(np.flatnonzero(np.diff(levels)) + 1).tolist(), len(rows)]
            arrival = int(self._values["arrival"])
            for a, b in itertools.pairwise(bounds):
                level = self._fire_at(int(levels[a]))
                if (out := self._fire(min(level, high), seen, whole=True)) is not None:
                    fired.append(out)
                part = rows[a:b]
                self._values["arrival"] = arrival - delta.length
                self._take(delta, part, slices[part])
                self._await_slices(level)
        if (out := self._fire(high, seen)) is not None:
            fired.append(out)
        return Delta.concat(fired) if fired else None

    def _await_slices(self, passed: int) -> None:
        """Wait for all windows of new slices that the watermark ``passed`` has not fired."""
        for start in self._fresh:
            for end in self.windows.ends_of_slice(start):
                at = self._fire_at(end)
                if at > passed and end not in self._ends:
                    self._ends.add(end)
                    heapq.heappush(self._waiting, (at, end))
        self._fresh.clear()

    def _fire_merged(self, end: int, seen: Words, room: int | None) -> tuple[Delta | None, int | None]:
        """Results of the first window that is due, and how many more a step may give."""
        groups = self._groups
        index = groups.groups
        merging = self._merging
        if merging is None:
            merging = self._merging = self._begin(end)
        ids = merging.ids
        # Merging a group takes about a quarter of what giving a result does.
        stop = len(ids) if room is None else min(len(ids), merging.merged + 4 * room)
        if merging.merged < len(ids):
            keyed = self._keyed
            merging.keys = k.merge_slices(
                ids[merging.merged : stop], index.tab, index.cell0, groups.width, index.cell0 + groups.extra + 1,
                groups.ops, keyed.tab, keyed.cell0 + 1, self._fired, merging.cells, merging.rows, merging.keys,
            )  # fmt: skip
            if room is not None:
                room -= (stop - merging.merged) // 4
            merging.merged = stop
            if stop < len(ids):
                return None, 0
        begin = merging.given
        stop = merging.keys if room is None else min(merging.keys, begin + max(room, 1))
        merging.given = stop
        if stop == merging.keys:
            heapq.heappop(self._waiting)
            self._ends.discard(end)
            self._merging = None
            self._values.pop("given", None)
        else:
            self._values["given"] = stop
        cells, rows = merging.cells[begin:stop], merging.rows[begin:stop]
        if groups.layouts.updating:
            alive = cells[:, 1] > 0
            cells, rows = np.ascontiguousarray(cells[alive]), rows[alive]
        ends = np.full(len(rows), end, np.int64)
        found = self._out(index.key_columns(rows)[1:], groups.results(cells, rows), ends, seen)
        return found, None if room is None else room - (stop - begin)

    def _begin(self, end: int) -> _Merging:
        start = int(self.windows.start_of(np.array([end], np.int64))[0])
        groups = self._groups
        parts = [p for s in range(start, end, self._slice) for p in self._members.get(s, ())]
        index = groups.groups
        own = index.cell0 + groups.extra
        ids = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if len(parts) > 1 and not k.rising(ids, index.tab, own):
            ids = ids[np.argsort(index.tab[ids, own], kind="stable")]
        self._fired += 1
        cells, rows = np.empty((len(ids), groups.width), np.int64), np.empty(len(ids), np.int64)
        return _Merging(ids, cells, rows, given=int(self._values.get("given", 0)))

    def _drop_slices(self, passed: int, room: int | None) -> None:
        while self._slices and self._slices[0][0] <= passed and (room is None or room > 0):
            start = self._slices[0][1]
            parts = self._members.get(start, [])
            while parts and (room is None or room > 0):
                part = parts.pop()
                if room is not None:
                    if len(part) > room:
                        parts.append(part[room:])
                        part = part[:room]
                    room -= len(part)
                index, keyed = self._groups.groups, self._keyed
                gone = np.empty(len(part), np.int64)
                key = index.cell0 + self._groups.extra + 1
                n = k.let_go(part, index.tab, key, keyed.tab, keyed.cell0, gone)
                keyed.release(gone[:n])
                self._groups.release(part)
            if not parts:
                heapq.heappop(self._slices)
                self._members.pop(start, None)

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {
            "operator": "WindowAggregate",
            "window": "attached" if self.attached else str(self.windows),
            "time": "processing time" if self.rowtime is None else self.input[self.rowtime].name,
            "keys": [self.input[i].name for i in self.keys],
            "aggregates": [str(c) for c in self.calls],
            "state": "cells of each key and " + ("slice" if self._sliced else "window") + " that has not fired",
            "bounded": True,
        }


@dataclass(slots=True)
class _Merging:
    """A window whose slices are being merged, and its results given.

    Args:
        ids: the groups of its slices, by their first rows.
        cells: int64[len(ids), cells]: of its keys so far.
        rows: a group of each key.
        merged: how many of ``ids`` are in.
        keys: how many keys there are.
        given: how many results are out.
    """

    ids: Words
    cells: Words
    rows: Words
    merged: int = 0
    keys: int = 0
    given: int = 0
