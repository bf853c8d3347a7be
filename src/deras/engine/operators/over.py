"""OVER in a stream: each row with aggregates over the rows before it, in the order of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from deras.core.delta import Delta
from deras.core.errors import InternalError
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK
from deras.engine.due import DueQueue
from deras.engine.kernels import over as k
from deras.engine.kernels.index import ALIVE
from deras.engine.operator import Operator, Out
from deras.engine.over import Frames
from deras.engine.rejects import reject_rows
from deras.engine.state.idle import KeyClock
from deras.engine.windows import time_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.records import Rejected
    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.over import WindowCall
    from deras.engine.state import State
    from deras.engine.state.idle import Keys

Words = npt.NDArray[np.int64]

_SWEEP = 1024
_CELLS = 2  # the watermark from which a row is processed; then (not saved) its key


class Over(Operator):
    """Adds to every row the results of functions over its frame: rows of its key up to the row itself. Insert-only.

    By event time rows wait for the watermark and come out in the order of time, those of one moment by arrival. With an
    unbounded frame a row behind the watermark is late. With a bounded one it is late only if its key has seen a row
    processed that is not earlier, or (with a range) if it is more than one and a half ranges behind the watermark: so
    a key can be forgotten when it has been silent for two and a half.
    By processing time rows come out at once (a range of time: a millisecond later, with all rows of theirs).

    With a TTL a key without waiting rows is forgotten, without a word, when no row of it came for so long.

    Args:
        input: schema of the rows; append-only.
        partition: positions of the partition's columns.
        rowtime: position of the time attribute; None for processing time.
        unit: ``rows`` or ``range``.
        size: rows before the row itself, or ms; None for all rows before.
        calls: the functions.
        schema: the output: the input's columns, then one for each call.
        origin: what rejected rows are said to come from.
        ttl: after how many ms of processing time without a row a key is forgotten; 0: never.
    """

    append_only = True

    def __init__(
        self,
        input: Schema,  # noqa: A002
        partition: Sequence[int],
        rowtime: int | None,
        unit: Literal["rows", "range"],
        size: int | None,
        calls: Sequence[WindowCall],
        schema: Schema,
        origin: str = "OverAggregate",
        ttl: int = 0,
    ) -> None:
        self.input = input
        self.partition = tuple(partition)
        self.rowtime = rowtime
        self.unit, self.size = unit, size
        self.calls = tuple(calls)
        self.schema = schema
        self.origin = origin
        self.ttl = ttl
        mode = k.ALL if size is None else k.ROWS if unit == "rows" else k.RANGE
        event = rowtime is not None
        peers = unit == "range" and (event or size is not None)
        self._frames = Frames(input, partition, calls, mode, size or 0, peers=peers, ties=event)
        self._bounded = size is not None
        self._waits = event or mode == k.RANGE
        # Flink forgets a key between one and one and a half ranges after its last row.
        self._behind = 0 if mode != k.RANGE or size is None else size + size // 2 + 1
        self._after = 0 if not self._behind or size is None else self._behind + size + 1
        self._hand = 0

    def open(self, state: State) -> None:
        """Frames, and rows that wait."""
        self._frames.open(state)
        self._values = state.values("over")
        self._clock = KeyClock(state, "keys", self._frames.index.types, self.ttl) if self.ttl else None
        if self._waits:
            self._pending = state.segments("pending", self.input, _CELLS, _CELLS - 1, [0, -1])
            self._queue = DueQueue(self._pending)
        state.on_restore(self._restored)

    def _restored(self) -> None:
        self._frames.restored()
        if not self._waits:
            return
        frames, pending = self._frames, self._pending
        index = frames.index
        live = index.ids()
        index.tab[live, self._cell(k.WAITING)] = 0
        self._queue = DueQueue(pending)
        ids = pending.snapshot().ids()
        for a in range(0, len(ids), 1 << 16):
            part = np.ascontiguousarray(ids[a : a + (1 << 16)])
            columns = pending.take(part)
            keys = index.lookup([columns[i] for i in self.partition], length=len(part))
            self._wait(part, keys, np.ascontiguousarray(pending.tab[part, pending.cell0]))

    def _cell(self, cell: int) -> int:
        return self._frames.index.cell0 + self._frames.x + cell

    def _wait(self, rows: Words, keys: Words, dues: Words) -> None:
        pending = self._pending
        pending.tab[rows, pending.cell0 + 1] = keys
        k.count(keys, self._frames.index.tab, self._cell(k.WAITING), 1)
        self._queue.push(rows, dues)

    # ---- a step

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Take rows; give those that are due, with their results."""
        delta = deltas[0]
        if delta is not None and not delta.length:
            delta = None
        if self._clock is not None:
            self._clock.begin(tick.now)
            self._forget(self._clock.stale())
            if delta is not None:
                self._forget(self._clock.visit([delta.columns[i] for i in self.partition], delta.length))
        if self.rowtime is None:
            return self._proctime_step(delta, tick)
        low = max(tick.low, int(self._values.get("watermark", MIN_WATERMARK)))
        high = max(low, tick.high)
        self._values["watermark"] = high
        dropped: list[Rejected] = []
        seen = np.array([low], np.int64)
        if delta is not None:
            delta, marks = self._without_nulls(delta, low, dropped)
            rising = np.concatenate([seen, marks])
            seen = rising[np.append(True, rising[1:] != rising[:-1])]
            if delta.length:
                self._take(delta, marks, dropped)
        out = self._fire(high, seen)
        if self._after and high < MAX_WATERMARK:
            self._sweep(high, 0 if out is None else out.length)
        return Out(out, dropped)

    def _without_nulls(self, delta: Delta, low: int, dropped: list[Rejected]) -> tuple[Delta, Words]:
        assert self.rowtime is not None  # noqa: S101 (so by event time)
        valid = delta.columns[self.rowtime].valid()
        if valid is not None and not valid.all():
            bad = np.flatnonzero(valid == 0)
            message = f"the time column `{self.input[self.rowtime].name}` of OVER is NULL"
            dropped.append(reject_rows(delta, bad, [message] * len(bad), reason="constraint", origin=self.origin))
            delta = delta.take(np.flatnonzero(valid))
        return delta, np.maximum.accumulate(np.maximum(delta.mark_array(), low))

    def _times(self, delta: Delta) -> Words:
        if self.rowtime is None:
            raise InternalError("OVER by processing time has no time column")
        column = delta.columns[self.rowtime]
        return np.ascontiguousarray(column.words() // column.type.words_per_ms)

    def _take(self, delta: Delta, marks: Words, dropped: list[Rejected]) -> None:
        """Let the rows wait that are not late."""
        times = self._times(delta)
        behind = times <= marks
        if not behind.any():
            self._append(delta, times)
            return
        late = self._judge(delta, times, marks, behind) if self._bounded else behind
        if late.any():
            why = "its partition has gone past it" if self._bounded else "the watermark had passed it"
            self._reject(delta, np.flatnonzero(late), marks, why, dropped)
        good = np.flatnonzero(~late)
        self._append(delta.take(good), np.where(behind, np.maximum(times, marks + 1), times)[good])

    def _append(self, delta: Delta, dues: Words) -> None:
        if not delta.length:
            return
        pending = self._pending
        keys = self._frames.lookup(delta)
        rows = pending.append(delta.columns, delta.length)
        pending.tab[rows, pending.cell0] = dues
        self._wait(rows, keys, np.ascontiguousarray(dues))

    def _judge(self, delta: Delta, times: Words, marks: Words, behind: Any) -> Any:
        """Which rows behind the watermark are late."""
        frames, pending = self._frames, self._pending
        late = np.zeros(delta.length, np.bool_)
        if self._behind:
            late = times + self._behind <= marks
        rows = np.flatnonzero(behind & ~late)
        if not len(rows):
            return late
        all_keys = frames.lookup(delta)
        who = all_keys[rows]
        # What is processed up to the last of these rows: rows that wait, then those of this step.
        waiting, dues = self._queue.pop(int(marks[rows[-1]]))
        self._queue.push(waiting, dues)
        held = pending.tab[waiting, pending.cell0 + 1]
        mine = np.isin(held, who)
        waiting, dues, held = waiting[mine], dues[mine], held[mine]
        others = np.isin(all_keys, who) & ~late
        old = self._times(Delta(self.input, pending.take(waiting), length=len(waiting)))
        keys = np.concatenate([held, all_keys[others]])
        when = np.concatenate([old, times[others]])
        due = np.concatenate([dues, np.maximum(times, np.where(behind, marks + 1, times))[others]])
        found = np.zeros(len(rows), np.uint8)
        k.judge(
            who, times[rows], marks[rows], np.argsort(who, kind="stable"), keys, when, due, np.lexsort((due, keys)),
            frames.index.tab, frames.index.cell0 + frames.x, found,
        )  # fmt: skip
        late[rows] = found != 0
        return late

    def _reject(self, delta: Delta, rows: Words, marks: Words, why: str, dropped: list[Rejected]) -> None:
        messages = [f"late for OVER: {why}; the watermark was {time_text(m)}" for m in marks[rows].tolist()]
        dropped.append(reject_rows(delta, rows, messages, reason="late", origin=self.origin, rowtime=self.rowtime))

    def _fire(self, high: int, seen: Words) -> Delta | None:
        """Rows whose time the watermark has passed, with their results."""
        rows, dues = self._queue.pop(high)
        if not len(rows):
            return None
        frames, pending = self._frames, self._pending
        taken = Delta(self.input, pending.take(rows), None, length=len(rows))
        times = self._times(taken)
        # Which of the watermarks seen in this step processed a row; rows of one watermark go by time.
        fired = np.searchsorted(seen, dues, "left")
        before = np.maximum(fired - 1, 0)
        if (times != dues).any():
            order = np.lexsort((times, fired))
            taken, times, before, rows = taken.take(order), times[order], before[order], rows[order]
        keys = np.ascontiguousarray(pending.tab[rows, pending.cell0 + 1])
        frames.index.touch(keys)
        out = self._give(taken, keys, times, seen[before])
        self._done(rows, keys)
        return out

    def _give(self, delta: Delta, keys: Words, times: Words, marks: Any) -> Delta:
        results = self._frames.process(delta, keys, times)
        n = len(self.input)
        made = [c.with_type(f.type) for c, f in zip(results, self.schema.fields[n:], strict=True)]
        return Delta(self.schema, [*delta.columns, *made], None, marks, delta.length)

    def _done(self, rows: Words, keys: Words) -> None:
        """Rows wait no more."""
        pending = self._pending
        k.count(keys, self._frames.index.tab, self._cell(k.WAITING), -1)
        pending.kill(rows)
        for _, new in pending.tidy():
            self._queue.push(new, np.ascontiguousarray(pending.tab[new, pending.cell0]))

    def _sweep(self, high: int, rows: int) -> None:
        """Forget a few of the keys that have been silent for long: not all at once."""
        index = self._frames.index
        used = index.used
        if not used:
            return
        start = self._hand if self._hand < used else 0
        ids = np.arange(start, start + min(used, max(_SWEEP, 2 * rows))) % used
        self._hand = int(ids[-1]) + 1
        tab, cell = index.tab, self._cell(0)
        last = tab[ids, cell + k.LAST]
        old = (index.flags[ids] & ALIVE != 0) & (tab[ids, cell + k.WAITING] == 0) & (last > MIN_WATERMARK)
        old &= last <= high - self._after
        if old.any():
            self._frames.release(ids[old])

    def _forget(self, keys: Keys) -> None:
        columns, n = keys
        if not n or self._clock is None:
            return
        index = self._frames.index
        ids = index.lookup(columns, insert=False, length=n)
        ids = ids[ids >= 0]
        if self._waits:
            waiting = index.tab[ids, self._cell(k.WAITING)] > 0
            if waiting.any():
                # What waits for the watermark is still to come: these keys live on.
                self._clock.visit(index.key_columns(ids[waiting]), int(waiting.sum()))
                ids = ids[~waiting]
        self._frames.release(ids)
        self._clock.count(len(ids))

    # ---- processing time

    def _proctime_step(self, delta: Delta | None, tick: Tick) -> Out:
        frames = self._frames
        if not self._waits:
            if delta is None:
                return Out()
            times = np.full(delta.length, tick.now, np.int64)
            return Out(self._give(delta, frames.lookup(delta), times, delta.marks))
        fired = self._fire_proctime(tick.now - 1, tick.low)
        if delta is not None:
            now = np.full(delta.length, tick.now, np.int64)
            self._append(delta, now)
        if tick.high == MAX_WATERMARK:
            last = self._fire_proctime(MAX_WATERMARK, tick.low)
            fired = last if fired is None else fired if last is None else Delta.concat([fired, last])
        self._sweep(tick.now, 0 if fired is None else fired.length)
        return Out(fired)

    def _fire_proctime(self, limit: int, mark: int) -> Delta | None:
        rows, dues = self._queue.pop(limit)
        if not len(rows):
            return None
        pending = self._pending
        taken = Delta(self.input, pending.take(rows), None, length=len(rows))
        keys = np.ascontiguousarray(pending.tab[rows, pending.cell0 + 1])
        self._frames.index.touch(keys)
        out = self._give(taken, keys, np.ascontiguousarray(dues), mark)
        self._done(rows, keys)
        return out

    def wake(self) -> int | None:
        """By processing time: when the rows of a millisecond are complete. When it looks for idle keys."""
        idle = None if self._clock is None else self._clock.due()
        if self.rowtime is not None or not self._waits:
            return idle
        due = self._queue.next()
        return idle if due is None else due + 1 if idle is None else min(due + 1, idle)

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        frame = "UNBOUNDED" if self.size is None else f"{self.size}{' ms' if self.unit == 'range' else ''}"
        return {
            **({"ttl": self.ttl} if self.ttl else {}),
            "operator": "OverAggregate",
            "keys": [self.input[i].name for i in self.partition],
            "time": "processing time" if self.rowtime is None else self.input[self.rowtime].name,
            "frame": f"{self.unit.upper()} BETWEEN {frame} PRECEDING AND CURRENT ROW",
            "calls": [str(c) for c in self.calls],
            "state": "rows ahead of the watermark, " + ("rows in frames" if self._bounded else "cells of each key"),
            "bounded": bool(self._after) or not self.partition,
        }
