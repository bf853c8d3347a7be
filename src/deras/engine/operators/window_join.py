"""The join of two windowed streams: rows of one window and key meet when the window ends; the result is final."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.time import MIN_WATERMARK
from deras.engine.kernels import join as k
from deras.engine.operator import AT_ONCE, PIECE, Operator, Out, Program
from deras.engine.operators import join as regular
from deras.engine.rejects import reject_errors, reject_rows
from deras.engine.state.rowset import LIST, RowSet
from deras.engine.windows import time_text
from deras.engine.zones import zone as zone_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.records import Rejected
    from deras.core.time import Tick
    from deras.engine.state import State

Ids = npt.NDArray[np.int64]
_NONE = np.zeros(0, np.int64)
_LEAST = 128  # what a window costs beside its rows, in rows


class WindowJoin(Operator):
    """Joins insert-only inputs whose rows carry the end of their window; insert-only, by window end.

    Rows wait in lists by window. When the watermark reaches a window's last millisecond, its rows are joined by a hash
    of their keys and forgotten. Rows whose window ends in the step in which they come do not enter the state, unless a
    step has no room for that window: then it is owed, and the output's watermark stays behind it. A row is
    late, and rejected, when the watermark that it saw had reached that: of both inputs' watermarks the lesser one
    counts.

    Args:
        left: schema of the first input.
        right: schema of the second.
        left_keys: positions in ``left`` without the window's bounds; none where the window alone is joined.
        right_keys: positions in ``right``, of the same types.
        left_end: position of ``window_end`` in ``left`` (wall time where ``zone`` is given).
        right_end: the same in ``right``.
        zone: the session's zone where the windows are of TIMESTAMP_LTZ, else None.
        kind: INNER, LEFT, RIGHT, FULL, SEMI or ANTI.
        residual: the rest of the condition, a filter over the joined row; its output columns must be the joined ones.
        null_safe: for each key whether NULL equals NULL.
        shared: whether both inputs come from one source, so that a row's own mark is the watermark of both. Else a
            step's rows of the left are judged by the right's watermark before the step: as if they had come first.
        origin: what rejected rows are said to come from.
    """

    arity: ClassVar[int] = 2
    append_only = True
    piece: int = PIECE
    """Rows after which a step joins no further window; a window is joined in one step."""

    def __init__(
        self,
        left: Schema,
        right: Schema,
        left_keys: Sequence[int],
        right_keys: Sequence[int],
        left_end: int,
        right_end: int,
        zone: str | None = None,
        kind: regular.JoinKind = "INNER",
        residual: Program | None = None,
        null_safe: Sequence[bool] = (),
        shared: bool = True,
        origin: str = "WindowJoin",
    ) -> None:
        regular.check_keys(left, right, left_keys, right_keys)
        if left[left_end].type.words_per_ms != right[right_end].type.words_per_ms:
            raise ValueError("the windows' ends are not of one type")
        self.inputs = (left, right)
        self.keys = (tuple(left_keys), tuple(right_keys))
        self.ends = (left_end, right_end)
        self.zone = zone
        self.kind: regular.JoinKind = kind
        self.residual = residual
        self.null_safe = tuple(null_safe) or (False,) * len(self.keys[0])
        self.schema = Schema(regular.joined_fields(left, right, kind))
        self.shared = shared
        self.origin = origin
        self._both = Schema((*left.fields, *right.fields))
        pads = regular.padded(kind)
        # Whether a row that can have no partner matters all the same.
        self._lonely = (pads[0] or kind == "ANTI", pads[1])
        self._pads = pads
        self._unit = left[left_end].type.words_per_ms

    def open(self, state: State) -> None:
        """Rows of the windows that have not ended, in lists by window."""
        end = self.inputs[0][self.ends[0]].type.with_nullable(False)
        self._windows = state.index("windows", [end], 6, (*LIST, *LIST), saved=False)
        self._sides = tuple(
            RowSet(state, name, schema, updating=False, groups=self._windows, cell=cell)
            for name, schema, cell in zip(("left", "right"), self.inputs, (0, 3), strict=True)
        )
        types = regular.key_types(self.inputs, self.keys, self.null_safe)
        self._hash = state.index("hash", types, 3, LIST, saved=False)
        self._values = state.values("window")
        self._waiting: list[tuple[int, int]] = []
        self._known: set[int] = set()
        # By side and window the rows of this step whose window ends in it.
        self._passing: tuple[dict[int, Delta], dict[int, Delta]] = ({}, {})
        state.on_restore(self._rebuild)

    def _rebuild(self) -> None:
        for side, end in zip(self._sides, self.ends, strict=True):
            side.rebuild([end])
        self._waiting, self._known = [], set()
        self._expect(self._windows.key_columns(self._windows.ids())[0].words())

    def _expect(self, ends: Ids) -> None:
        """Wait for these windows (words of their ends, each once)."""
        fresh = [e for e in ends.tolist() if e not in self._known]
        if fresh:
            self._known.update(fresh)
            for at, end in zip(self._fire_at(np.array(fresh, np.int64)).tolist(), fresh, strict=True):
                heapq.heappush(self._waiting, (at, end))

    def _fire_at(self, ends: Ids) -> Ids:
        last = ends // self._unit - 1
        return last if self.zone is None else zone_of(self.zone).instant(last)

    # ---- steps

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Take the rows, join the windows that ended."""
        low = max(tick.low, int(self._values.get("watermark", MIN_WATERMARK)))
        high = max(low, tick.high)
        self._values["watermark"] = high
        dropped: list[Rejected] = []
        seen = [np.array([low], np.int64)]
        for side in (0, 1):
            delta = deltas[side]
            if delta is not None and delta.length:
                delta = regular.single(delta)
                marks = delta.mark_array()
                if side == 0 and not self.shared:
                    before = max(low, int(self._values.get("right", MIN_WATERMARK)))
                    marks = np.clip(marks, low, min(before, high))
                else:
                    self._values["right"] = max(int(marks[-1]), int(self._values.get("right", MIN_WATERMARK)))
                    marks = np.clip(marks, low, high)
                seen.append(marks)
                self._take(side, delta, marks, high, dropped)
        fired: list[Delta] = []
        if self._waiting and self._waiting[0][0] <= high:
            owed = self._values.pop("owed", [])
            moments = np.unique(np.concatenate([np.array(owed, np.int64), *seen]))
            room = self.piece
            while self._waiting and self._waiting[0][0] <= high and room > 0:
                at, end = heapq.heappop(self._waiting)
                self._known.discard(end)
                # What was the watermark just before the one that ended the window: the greatest one seen below.
                mark = int(moments[max(0, int(np.searchsorted(moments, at, "left")) - 1)])
                given = len(fired)
                room -= _LEAST + self._join(end, mark, tick, fired, dropped) + sum(d.length for d in fired[given:])
            for s in self._sides:
                s.tidy()
            dues = np.array([at for at, _ in self._waiting if at <= high], np.int64) if room <= 0 else _NONE
            if len(dues):
                marks = moments[np.maximum(np.searchsorted(moments, dues, "left") - 1, 0)]
                self._values["owed"] = np.unique(marks).tolist()
                self._keep_passing()
        return Out(Delta.concat(fired) if fired else None, dropped)

    def _keep_passing(self) -> None:
        """The rows of this step whose windows are owed wait with the others."""
        for side, passing in enumerate(self._passing):
            for delta in passing.values():
                ids = self._windows.lookup([delta.columns[self.ends[side]]], length=delta.length)
                self._sides[side].apply(delta.columns, None, delta.length, ids)
            passing.clear()

    def _take(self, side: int, delta: Delta, marks: Ids, high: int, dropped: list[Rejected]) -> None:
        ends = delta.columns[self.ends[side]].words()
        marks = np.maximum.accumulate(marks)
        begins = _begins(ends)
        heads = ends[begins[:-1]]
        # Marks rise, so a run of rows of one window has a late one if its last is late.
        if (self._fire_at(heads) <= marks[begins[1:] - 1]).any():
            late = self._fire_at(ends) <= marks
            rows = np.flatnonzero(late)
            messages = [
                f"late for the window that ended at {time_text(e // self._unit)}: the watermark was {time_text(m)}"
                for e, m in zip(ends[rows].tolist(), marks[rows].tolist(), strict=True)
            ]
            dropped.append(reject_rows(delta, rows, messages, reason="late", origin=self.origin))
            delta = delta.take(np.flatnonzero(~late))
        if not self._lonely[side]:
            keyed = regular.keyed_rows(delta, self.keys[side], self.null_safe)
            if keyed is not None:
                delta = delta.take(keyed)
        if not delta.length:
            return
        ends = delta.columns[self.ends[side]].words()
        if (ends[1:] < ends[:-1]).any():
            # Only the order in a window matters.
            delta = delta.take(np.argsort(ends, kind="stable"))
            ends = delta.columns[self.ends[side]].words()
        begins = _begins(ends)
        heads = ends[begins[:-1]]
        self._expect(heads)
        passing = self._fire_at(heads) <= high
        for q in np.flatnonzero(passing).tolist():
            self._passing[side][int(heads[q])] = delta.slice(int(begins[q]), int(begins[q + 1]))
        if passing.all():
            return
        if passing.any():
            delta = delta.take(np.flatnonzero(np.repeat(~passing, np.diff(begins))))
        ids = self._windows.lookup([delta.columns[self.ends[side]]], length=delta.length)
        self._sides[side].apply(delta.columns, None, delta.length, ids)

    # ---- a window's end

    def _join(self, end: int, mark: int, tick: Tick, fired: list[Delta], dropped: list[Rejected]) -> int:
        """Join the rows of a window; gives how many there were."""
        words = np.array([end], np.int64)
        window = self._windows.lookup([Column.of_words(self._windows.types[0], words)], insert=False)
        rows = [self._members(s, window) for s in self._sides]
        left, right = (self._rows_of(i, end, rows[i], mark) for i in (0, 1))
        has = np.zeros(left.length, bool), np.zeros(right.length, bool)
        if left.length and right.length:
            self._pairs(left, right, has, mark, tick, fired, dropped)
        if self.kind in ("SEMI", "ANTI"):
            chosen = np.flatnonzero(has[0] if self.kind == "SEMI" else ~has[0])
            if len(chosen):
                fired.append(Delta(self.schema, left.take(chosen).columns, None, mark, len(chosen)))
        for side, one in ((0, left), (1, right)):
            alone = np.flatnonzero(~has[side]) if self._pads[side] else np.zeros(0, np.int64)
            if len(alone):
                nothing = [Column.nulls(f.type, len(alone)) for f in self.inputs[1 - side]]
                own = list(one.take(alone).columns)
                fired.append(self._out([*own, *nothing] if side == 0 else [*nothing, *own], mark, len(alone)))
        if window[0] >= 0:
            for s, ids in zip(self._sides, rows, strict=True):
                s.segments.kill(ids)
            self._windows.release(window)
        return left.length + right.length

    def _rows_of(self, side: int, end: int, kept: Ids, mark: int) -> Delta:
        """The rows of a window: those that waited, then those of this step."""
        schema = self.inputs[side]
        passing = self._passing[side].pop(end, None)
        if passing is None or len(kept):
            waited = Delta(schema, self._sides[side].segments.take(kept), None, mark, len(kept))
            if passing is None:
                return waited
            passing = Delta.concat([waited, Delta(schema, passing.columns, None, mark, passing.length)])
        return Delta(schema, passing.columns, None, mark, passing.length)

    def _members(self, side: RowSet, window: Ids) -> Ids:
        if window[0] < 0:
            return np.empty(0, np.int64)
        tab, cell = self._windows.tab, side.group_cell
        n = int(k.matches(window, tab, cell))
        outer, rows = np.empty(n + 1, np.int64), np.empty(n, np.int64)
        k.pairs(window, 0, n, tab, cell, side.segments.tab, side.group_list, outer, rows)
        return rows

    def _pairs(
        self,
        left: Delta,
        right: Delta,
        has: tuple[Any, Any],
        mark: int,
        tick: Tick,
        fired: list[Delta],
        dropped: list[Rejected],
    ) -> None:
        """Join the rows of one window by their keys; ``has`` is filled with who has a partner."""
        if not self.keys[0] and min(left.length, right.length) == 1:
            # One row meets all of the other side.
            each = np.arange(max(left.length, right.length)), np.zeros(max(left.length, right.length), np.int64)
            self._meet(left, right, each if right.length == 1 else each[::-1], has, mark, tick, fired, dropped)
            return
        index = self._hash
        rows = regular.keyed_rows(right, self.keys[1], self.null_safe)
        there = np.arange(right.length) if rows is None else rows
        found = index.lookup([right.columns[i].take(there) for i in self.keys[1]], length=len(there))
        links = np.empty((right.length, 3), np.int64)
        k.link(found, there, links, 0, index.tab, index.cell0)
        rows = regular.keyed_rows(left, self.keys[0], self.null_safe)
        mine = np.arange(left.length) if rows is None else rows
        ids = np.full(left.length, -1, np.int64)
        ids[mine] = index.lookup([left.columns[i].take(mine) for i in self.keys[0]], insert=False, length=len(mine))
        start = 0
        total = int(k.matches(ids, index.tab, index.cell0))
        most = int(index.tab[found, index.cell0 + 2].max()) if len(found) else 0
        room = total if total <= regular.ROOM else max(regular.ROOM, most)
        while total and start < left.length:
            outer, inner = np.empty(room + 1, np.int64), np.empty(room, np.int64)
            start = int(k.pairs(ids, start, room, index.tab, index.cell0, links, 0, outer, inner))
            m = int(outer[-1])
            outer, inner = outer[:m], inner[:m]
            if not m:
                break
            self._meet(left, right, (outer, inner), has, mark, tick, fired, dropped)
        index.release(found)

    def _meet(
        self,
        left: Delta,
        right: Delta,
        pairs: tuple[Any, ...],
        has: tuple[Any, Any],
        mark: int,
        tick: Tick,
        fired: list[Delta],
        dropped: list[Rejected],
    ) -> None:
        """Pairs of rows of one window with equal keys: give those that the rest of the condition lets through."""
        outer, inner = pairs
        m = len(outer)
        if self.residual is None:
            has[0][outer] = True
            has[1][inner] = True
            if self.kind not in ("SEMI", "ANTI"):
                fired.append(self._out([*_gathered(left, outer), *_gathered(right, inner)], mark, m))
            return
        # The weights travel with their rows: here they say which pair a row is.
        both = [*_gathered(left, outer), *_gathered(right, inner)]
        joined = Delta(self._both, both, np.arange(1, m + 1), mark, m)
        passed, errors = self.residual.run(joined, tick)
        if errors:
            dropped += reject_errors(joined, errors, self.origin)
        if not passed.length:
            return
        at = passed.weight_array() - 1
        has[0][outer[at]] = True
        has[1][inner[at]] = True
        if self.kind not in ("SEMI", "ANTI"):
            fired.append(self._out(list(passed.columns), mark, passed.length))

    def _out(self, columns: list[Column], mark: int, n: int) -> Delta:
        typed = [c.with_type(f.type) for c, f in zip(columns, self.schema, strict=True)]
        return Delta(self.schema, typed, None, mark, n)

    def wake(self) -> int | None:
        """At once, while results are owed."""
        return AT_ONCE if "owed" in self._values else None

    def hold(self, high: int) -> int:
        """While results are owed: the watermark before the first of them fell due."""
        owed = self._values.get("owed")
        return int(owed[0]) if owed else high

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {
            "operator": "WindowJoin",
            "type": self.kind,
            "on": regular.key_names(self.inputs, self.keys, self.null_safe),
            "state": "rows of windows that have not ended",
            "bounded": True,
        }


def _begins(ends: Ids) -> Ids:
    """Where runs of equal ends begin, and at last the number of rows."""
    changes: Ids = np.flatnonzero(ends[1:] != ends[:-1]) + 1
    return np.concatenate([np.zeros(1, np.int64), changes, np.array([len(ends)], np.int64)])


def _gathered(delta: Delta, rows: Ids) -> list[Column]:
    """The columns of some rows; the same memory where they are all rows in order."""
    n = delta.length
    if len(rows) == n and rows[0] == 0 and rows[-1] == n - 1 and (rows[1:] == rows[:-1] + 1).all():
        return list(delta.columns)
    return [c.take(rows) for c in delta.columns]
