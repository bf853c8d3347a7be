"""The interval join: rows of two append-only inputs with equal keys whose times lie within bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK
from deras.engine.due import DueQueue
from deras.engine.kernels import interval_join as k
from deras.engine.kernels.join import empty, get_cell, put_cell
from deras.engine.operator import Operator, Out, Program
from deras.engine.pairing import all_valid, surviving
from deras.engine.rejects import reject_rows, without
from deras.engine.windows import time_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.records import Rejected
    from deras.core.time import Tick
    from deras.engine.state import State

Words = npt.NDArray[np.int64]
JoinKind = Literal["inner", "left", "right", "full", "semi", "anti"]

ROOM = 1 << 16
"""Pairs that are looked at together."""
_LIST = (-1, -1, 0)


class _Side:
    """One input: its rows, what they wait for, and what is asked of the other side's times."""

    def __init__(self, state: State, name: str, schema: Schema, cell: int) -> None:
        self.schema = schema
        # time, mark, whether it had a partner; key, next, previous.
        self.segments = state.segments(name, schema, 6, 3)
        self.due = DueQueue(self.segments)
        self.cell = self.segments.cell0
        self.group = cell


class IntervalJoin(Operator):
    """Join on equal keys and ``low <= right time - left time <= high``.

    A pair comes when its second row does. A row that found no partner comes padded with NULLs, where its side is kept
    whole, when the watermark says that no partner in time can come any more; then it is forgotten. A pair counts only
    if each of its rows came before the other's time was over; a row that comes when its own time is over and finds
    nothing is rejected as late. A NULL in a key matches nothing.

    Args:
        left: schema of the first input.
        right: schema of the second.
        left_keys: positions in ``left``.
        right_keys: positions in ``right``, of the same types.
        left_time: position of the first input's time attribute; None: processing time.
        right_time: position of the second's; None: processing time.
        low: least difference of the times, right minus left, ms.
        high: greatest difference, ms.
        kind: which rows come without a partner; ``semi`` and ``anti`` give rows of the left only.
        residual: the rest of the condition, a filter over the joined row; its output columns must be the joined ones.
        schema: the output (by default the columns of both, or of the left).
        origin: what rejected rows are said to come from.
    """

    arity: ClassVar[int] = 2
    append_only = True

    def __init__(
        self,
        left: Schema,
        right: Schema,
        left_keys: Sequence[int],
        right_keys: Sequence[int],
        left_time: int | None,
        right_time: int | None,
        low: int,
        high: int,
        kind: JoinKind = "inner",
        residual: Program | None = None,
        schema: Schema | None = None,
        origin: str = "IntervalJoin",
    ) -> None:
        for a, b in zip(left_keys, right_keys, strict=True):
            if left[a].type.layout is not right[b].type.layout:
                raise ValueError(f"join keys {left[a]} and {right[b]} are not of one type")
        if (left_time is None) is not (right_time is None):
            raise ValueError("an interval join is of event time or of processing time on both sides")
        self.inputs = (left, right)
        self.keys = (tuple(left_keys), tuple(right_keys))
        self.times = (left_time, right_time)
        self.proctime = left_time is None
        self.low, self.high = low, high
        self.kind = kind
        self.residual = residual
        self.joined = Schema((*left.fields, *right.fields))
        one_sided = kind in ("semi", "anti")
        self.schema = schema or (left if one_sided else self.joined)
        self.origin = origin
        # What is asked of the other's time minus one's own.
        self._bounds = ((low, high), (-high, -low))
        self._kept = (kind in ("left", "full", "anti"), kind in ("right", "full"))
        self._delay = max(high, -low, 0)

    def open(self, state: State) -> None:
        """Rows of both sides; keys, lists and what is due are rebuilt from them."""
        types = [self.inputs[0][i].type.with_nullable(False) for i in self.keys[0]]
        self._index = state.index("keys", types, 6, _LIST + _LIST, saved=False)
        self._sides = (
            _Side(state, "left", self.inputs[0], self._index.cell0),
            _Side(state, "right", self.inputs[1], self._index.cell0 + 3),
        )
        state.on_restore(self._rebuild)

    def _rebuild(self) -> None:
        for i, side in enumerate(self._sides):
            rows = side.segments.snapshot()
            all_ids = rows.ids()
            for a in range(0, len(all_ids), 1 << 16):
                ids = all_ids[a : a + (1 << 16)]
                columns = rows.columns(ids)
                k.link(
                    self._groups(i, columns, len(ids)), ids, side.segments.tab, side.cell, self._index.tab, side.group
                )
                times = np.empty(len(ids), np.int64)
                get_cell(ids, side.segments.tab, side.cell, times)
                side.due.push(ids, times + self._bounds[i][1])

    def _groups(self, side: int, columns: Sequence[Column], n: int) -> Words:
        """The index ids of rows; -1 where a key is NULL."""
        keys = [columns[i] for i in self.keys[side]]
        ok = all_valid(keys)
        if ok is None:
            return self._index.lookup(keys, length=n)
        ids = np.full(n, -1, np.int64)
        rows = np.flatnonzero(ok)
        ids[rows] = self._index.lookup(keys, rows)
        return ids

    # ---- a step

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Join the rows of one step, then let go what is over."""
        low, high = tick.low, max(tick.low, tick.high)
        pieces: list[Delta] = []
        dropped: list[Rejected] = []
        if self.proctime:
            self._fire(tick.now - 1, [np.array([low], np.int64)], pieces, dropped)
        seen = [np.array([low], np.int64)]
        for side in (0, 1):
            delta = deltas[side]
            if delta is None or not delta.length:
                continue
            delta = self._checked(side, delta, dropped)
            n = delta.length
            column_at = self.times[side]
            if column_at is None:
                times = np.full(n, tick.now, np.int64)
                marks = np.full(n, MIN_WATERMARK, np.int64)
            else:
                column = delta.columns[column_at]
                times = column.words() // column.type.words_per_ms
                # Late is what its own table's watermark has passed: how far the other is depends on the steps.
                marks = np.maximum.accumulate(np.maximum(delta.mark_array(), low))
                seen.append(np.minimum(marks, high))
            if n:
                self._take(side, delta, times, marks, tick, pieces, dropped)
        limit = high if not self.proctime else MAX_WATERMARK if high == MAX_WATERMARK else None
        if limit is not None:
            self._fire(limit, seen, pieces, dropped)
        for mine, (_, end) in zip(self._sides, self._bounds, strict=True):
            for old, new in mine.segments.tidy():
                k.moved(old, new, mine.segments.tab, mine.cell, self._index.tab, mine.group)
                times = np.empty(len(new), np.int64)
                get_cell(new, mine.segments.tab, mine.cell, times)
                mine.due.push(new, times + end)
        return Out(self._ordered(pieces, high), dropped)

    def _checked(self, side: int, delta: Delta, dropped: list[Rejected]) -> Delta:
        """Without rows that have no time, and without those that can neither match nor be padded."""
        at = self.times[side]
        if at is not None and (valid := delta.columns[at].valid()) is not None and not valid.all():
            rows = np.flatnonzero(valid == 0)
            text = f"the time column `{self.inputs[side][at].name}` of the interval join is NULL"
            dropped.append(reject_rows(delta, rows, [text] * len(rows), reason="constraint", origin=self.origin))
            delta = without(delta, rows)
        if not self._kept[side]:
            ok = all_valid([delta.columns[i] for i in self.keys[side]])
            if ok is not None:
                delta = delta.take(np.flatnonzero(ok))
        return delta

    def _take(
        self,
        side: int,
        delta: Delta,
        times: Words,
        marks: Words,
        tick: Tick,
        pieces: list[Delta],
        dropped: list[Rejected],
    ) -> None:
        mine = self._sides[side]
        ids = self._groups(side, delta.columns, delta.length)
        partnered = self._meet(side, delta, ids, times, marks, tick, pieces, dropped)
        rows = mine.segments.append(delta.columns, delta.length)
        tab = mine.segments.tab
        for place, values in enumerate((times, marks, partnered)):
            put_cell(rows, tab, mine.cell + place, np.ascontiguousarray(values))
        k.link(ids, rows, tab, mine.cell, self._index.tab, mine.group)
        mine.due.push(rows, times + self._bounds[side][1])

    def _meet(
        self,
        side: int,
        delta: Delta,
        ids: Words,
        times: Words,
        marks: Words,
        tick: Tick,
        pieces: list[Delta],
        dropped: list[Rejected],
    ) -> Words:
        """Pairs with the other side's rows; gives 1 for each row that found one."""
        other = self._sides[1 - side]
        low, high = self._bounds[side]
        index = self._index.tab
        partnered = np.zeros(delta.length, np.int64)
        start = 0
        counts = np.zeros(delta.length, np.int64)
        there = ids >= 0
        counts[there] = index[ids[there], other.group + 2]
        total = int(counts.sum())
        while total and start < delta.length:
            room = total if total <= ROOM else max(ROOM, int(counts.max()))
            outer, inner = np.empty(room + 1, np.int64), np.empty(room, np.int64)
            tab = other.segments.tab
            start = k.near(
                ids, times, marks, start, room, index, other.group, tab, other.cell, low, high, outer, inner
            )  # fmt: skip
            m = int(outer[-1])
            if not m:
                continue
            at, rows = outer[:m], inner[:m]
            theirs_marks = np.empty(m, np.int64)
            get_cell(rows, tab, other.cell + 1, theirs_marks)
            both = np.maximum(marks[at], theirs_marks)
            found = None
            if self.residual is not None or self.kind not in ("semi", "anti"):
                my_columns, their_columns = delta.take(at).columns, other.segments.take(rows)
                columns = [*my_columns, *their_columns] if side == 0 else [*their_columns, *my_columns]
                found = Delta(self.joined, columns, None, both, m)
            if self.residual is not None and found is not None:
                found, keep, _ = surviving(self.residual, found, tick, self.origin, dropped)
                at, rows, both = at[keep], rows[keep], both[keep]
            if not len(at):
                continue
            partnered[at] = 1
            fresh = np.empty(len(rows), np.int64)
            first = fresh[: k.matched(rows, tab, other.cell + 2, fresh)]
            if self._kept[1 - side] or self.kind == "semi":
                other.segments.touch(rows[first])
            if found is not None and self.kind not in ("semi", "anti"):
                pieces.append(found)
            elif self.kind == "semi":
                self._semi(side, delta, at, rows, first, both, pieces)
        return partnered

    def _semi(
        self, side: int, delta: Delta, at: Words, rows: Words, first: Words, both: Words, pieces: list[Delta]
    ) -> None:
        if side == 0:
            _, place = np.unique(at, return_index=True)
            taken = delta.take(at[place])
            pieces.append(Delta(self.schema, taken.columns, None, both[place], len(place)))
        elif len(first):
            columns = self._sides[0].segments.take(rows[first])
            pieces.append(Delta(self.schema, columns, None, both[first], len(first)))

    def _fire(self, limit: int, seen: list[Words], pieces: list[Delta], dropped: list[Rejected]) -> None:
        """Rows whose time is over: those without a partner come padded or, when they came late, are rejected."""
        for i, side in enumerate(self._sides):
            ids, dues = side.due.pop(limit)
            if not len(ids):
                continue
            segments = side.segments
            lonely = np.empty(len(ids), np.int64)
            get_cell(ids, segments.tab, side.cell + 2, lonely)
            alone = np.flatnonzero(lonely == 0)
            if len(alone):
                rows, due = ids[alone], dues[alone]
                saw = np.empty(len(rows), np.int64)
                get_cell(rows, segments.tab, side.cell + 1, saw)
                if self._kept[i]:
                    # What was the watermark just before the one that fired it: the greatest one seen below.
                    marks = np.unique(np.concatenate(seen))
                    before = marks[np.maximum(np.searchsorted(marks, due, "left") - 1, 0)]
                    pieces.append(self._padded(i, rows, np.maximum(before, saw)))
                elif not self.proctime:
                    late = np.flatnonzero(saw >= due)
                    if len(late):
                        dropped.append(self._late(i, rows[late], due[late], saw[late]))
            groups = np.empty(len(ids), np.int64)
            k.unlink(ids, segments.tab, side.cell, self._index.tab, side.group, groups)
            segments.kill(ids)
            self._release(groups)

    def _padded(self, side: int, rows: Words, marks: Words) -> Delta:
        columns = self._sides[side].segments.take(rows)
        if self.kind != "anti":
            nulls = [Column.nulls(f.type.with_nullable(True), len(rows)) for f in self.inputs[1 - side]]
            columns = [*columns, *nulls] if side == 0 else [*nulls, *columns]
        return Delta(self.joined if self.kind != "anti" else self.schema, columns, None, marks, len(rows))

    def _late(self, side: int, rows: Words, dues: Words, saw: Words) -> Rejected:
        taken = Delta(self.inputs[side], self._sides[side].segments.take(rows), length=len(rows))
        other = "right" if side == 0 else "left"
        messages = [
            f"late for the interval join: its partners of the {other} side were over at {time_text(d)}, "
            f"and the watermark was {time_text(m)}"
            for d, m in zip(dues.tolist(), saw.tolist(), strict=True)
        ]
        return reject_rows(
            taken, np.arange(len(rows)), messages, reason="late", origin=self.origin, rowtime=self.times[side]
        )

    def _release(self, groups: Words) -> None:
        out = np.empty(len(groups), np.int64)
        some = np.ascontiguousarray(groups[groups >= 0])
        m = empty(some, self._index.tab, self._sides[0].group, out)
        out2 = np.empty(m, np.int64)
        m = empty(out[:m], self._index.tab, self._sides[1].group, out2)
        if m:
            self._index.release(out2[:m])

    def _ordered(self, pieces: list[Delta], high: int) -> Delta | None:
        """All rows in the order of the watermarks that they saw, so that none is late for what comes after."""
        if not pieces:
            return None
        types = self.schema.types
        fit = [
            Delta(self.schema, [c.with_type(t) for c, t in zip(p.columns, types, strict=True)], None, p.marks, p.length)
            for p in pieces
        ]
        out = Delta.concat(fit)
        marks = np.minimum(out.mark_array(), high)
        if len(marks) > 1 and not (marks[1:] >= marks[:-1]).all():
            order = np.argsort(marks, kind="stable")
            out, marks = out.take(order), marks[order]
        free = marks == MIN_WATERMARK
        held = np.where(free, marks, marks - (0 if self.proctime else self._delay))
        return Delta(out.schema, out.columns, None, held, out.length)

    # ---- time

    def hold(self, high: int) -> int:
        """Later rows may be as old as the bounds allow."""
        if self.proctime or high in (MIN_WATERMARK, MAX_WATERMARK):
            return high
        return high - self._delay

    def wake(self) -> int | None:
        """With processing time: when the next row's time is over."""
        if not self.proctime:
            return None
        dues = [d for s in self._sides if (d := s.due.next()) is not None]
        return min(dues) + 1 if dues else None

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        names = [[s[i].name for i in keys] for s, keys in zip(self.inputs, self.keys, strict=True)]
        return {
            "operator": "IntervalJoin",
            "type": self.kind.upper(),
            "on": [f"{a} = {b}" for a, b in zip(*names, strict=True)],
            "bounds": [self.low, self.high],
            "time": "processing time" if self.proctime else "event time",
            "state": f"rows of both inputs for {max(0, self.high)} ms and {max(0, -self.low)} ms",
            "bounded": True,
        }
