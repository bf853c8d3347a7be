"""One row per key: the first or the last that came, by arrival or by event time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deras.core.delta import Delta
from deras.core.time import MIN_WATERMARK
from deras.engine.kernels import dedup as k
from deras.engine.kernels import sort as sk
from deras.engine.operator import Operator, Out
from deras.engine.ranking import Ranking, SortKey, key_types
from deras.engine.rejects import reject_rows
from deras.engine.state.idle import Idle, KeyClock
from deras.engine.state.rowset import keyable
from deras.engine.toplist import append_some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.column import Column
    from deras.core.records import Rejected
    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.state import Segments, State

Keep = Literal["first", "last"]


class Deduplicate(Operator):
    """Keeps one row of each key; its input only inserts.

    By arrival (``time`` None): ``first`` lets the first row of each key through at once, ``last`` replaces the key's
    row by every new one. By event time: ``last`` replaces it by rows that are not older. ``first`` waits until the
    watermark has passed the oldest row of the key, and gives that, insert-only; rows behind the watermark are late.

    With a TTL a key is forgotten, without a word, when its row came so long ago: the next row is its first. (Not where
    rows wait for the watermark.)

    Args:
        input: schema of the rows.
        partition: positions of the key.
        time: position of the rowtime, or None for the order of arrival.
        keep: ``first`` or ``last``.
        origin: what rejected rows are said to come from.
        ttl: after how many ms of processing time a key is forgotten; 0: never.
    """

    def __init__(
        self,
        input: Schema,  # noqa: A002
        partition: Sequence[int],
        time: int | None,
        keep: Keep,
        origin: str = "Deduplicate",
        ttl: int = 0,
    ) -> None:
        self.schema = input
        self.partition = tuple(partition)
        self.time = time
        self.keep = keep
        self.origin = origin
        self.append_only = keep == "first"
        self._waits = keep == "first" and time is not None
        self.ttl = 0 if self._waits else ttl

    def open(self, state: State) -> None:
        """A row per key; for the first by arrival the key alone."""
        types = key_types(self.schema, self.partition)
        self._ranking: Ranking | None = None
        self._clock: KeyClock | None = None
        self._idle: Idle | None = None
        if self.ttl and self.append_only:
            self._idle = Idle(state, "keys", self.ttl)
        elif self.ttl:
            self._clock = KeyClock(state, "keys", types, self.ttl)
        if self.append_only:
            # What was given once must never be given again, so these keys are saved.
            self._index = state.index("keys", types, 3, (0, 0, -1) if not self._waits else (-1, 0, -1))
        else:
            self._index = state.index("keys", types, 3, (-1, 0, -1), saved=False)
        if self._waits:
            assert self.time is not None  # noqa: S101 (so it waits)
            self._values = state.values("watermark")
            self._ranking = Ranking(self.schema, (), [SortKey(self.time)], updating=False)
            self._ranking.open(state, "waiting")
            self._segments: Segments = self._ranking.segments
        elif not self.append_only:
            self._segments = state.segments("rows", self.schema, 1)
        state.on_restore(self._rebuild)

    def _keys(self, columns: Sequence[Column], n: int) -> Any:
        return self._index.lookup([keyable(columns[i]) for i in self.partition], length=n)

    def _times(self, columns: Sequence[Column], n: int) -> Any:
        return np.zeros(n, np.int64) if self.time is None else np.ascontiguousarray(columns[self.time].words())

    def _rebuild(self) -> None:
        if self.append_only and not self._waits:
            return
        index, segments = self._index, self._segments
        if self._waits:
            # Closed keys stay closed; rows have other places than before.
            ids = index.ids()
            held = index.cells[ids, 0]
            index.tab[ids, index.cell0] = np.where(held == -2, -2, -1)
        snapshot = segments.snapshot()
        everything = snapshot.ids()
        for a in range(0, len(everything), 1 << 16):
            part = everything[a : a + (1 << 16)]
            columns = snapshot.columns(part)
            self._hold(self._keys(columns, len(part)), part, self._times(columns, len(part)))
            if self._waits:
                self._put(part)

    @property
    def _cell(self) -> int:
        """The row's cell with its key."""
        return self._segments.cell0 + (5 if self._waits else 0)

    def _hold(self, ids: Any, rows: Any, times: Any) -> None:
        k.hold(ids, rows, times, self._index.tab, self._index.cell0, self._segments.tab, self._cell)

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Take the rows; give the changes."""
        delta = deltas[0]
        if delta is not None and not delta.length:
            delta = None
        if self._waits:
            return self._waiting_step(delta, tick)
        if self._idle is not None:
            self._idle.begin(tick.now)
            self._expire(self._idle.keys(self._index, self._index.cell0 + 1))
        if self._clock is not None:
            self._clock.begin(tick.now)
            self._clock.forget(self._clock.stale(), self._index, self._segments)
        if delta is None:
            return Out()
        n = delta.length
        index = self._index
        if self._clock is not None:
            self._clock.forget(
                self._clock.visit([keyable(delta.columns[i]) for i in self.partition], n), self._index, self._segments
            )
        ids = self._keys(delta.columns, n)
        if self.append_only:
            out = np.empty(n, np.int64)
            if self._idle is not None and len(gone := self._idle.among(ids, index, index.cell0 + 1)):
                self._expire(gone)
                ids = self._keys(delta.columns, n)
            m = k.fresh(ids, index.tab, index.cell0, out)
            if self._idle is not None:
                self._idle.wrote(ids[out[:m]], index, index.cell0 + 1)
            return Out(delta if m == n else delta.take(out[:m]) if m else None)
        segments = self._segments
        times = self._times(delta.columns, n)
        touched, best = np.empty(n, np.int64), np.empty(n, np.int64)
        m = k.fold(ids, times, True, index.tab, index.cell0, touched, best)
        if not m:
            return Out()
        touched, best = touched[:m], best[:m]
        new = append_some(segments, delta.columns, best)
        gone, counts = np.empty(m, np.int64), np.empty(2, np.int64)
        rows, weights, at = (np.empty(2 * m, np.int64) for _ in range(3))
        k.replace(
            touched, best, new, index.tab, index.cell0, segments.tab, self._cell, gone, rows, weights, at, counts
        )  # fmt: skip
        gone, size = gone[: counts[0]], int(counts[1])
        marks = delta.marks[at[:size]] if isinstance(delta.marks, np.ndarray) else delta.marks
        made = Delta(self.schema, segments.take(rows[:size]), weights[:size], marks, size)
        segments.kill(gone)
        for _, moved in segments.tidy():
            k.moved(moved, segments.tab, self._cell, index.tab, index.cell0)
        return Out(made)

    def _expire(self, ids: Any) -> None:
        if len(ids) and self._idle is not None:
            self._index.release(ids)
            self._idle.count(len(ids))

    def wake(self) -> int | None:
        """When it looks for idle keys."""
        if self._clock is not None:
            return self._clock.due()
        return None if self._idle is None else self._idle.wake(len(self._index))

    # ---- the first by event time

    def _put(self, rows: Any) -> None:
        r = self._ranking
        assert r is not None  # noqa: S101 (it waits)
        (one,) = r.keys([], 1).tolist()
        tab = r.segments.tab
        sk.put(
            rows, tab, r.cell, r.width, r.index.tab, r.index.cell0, one, tab.ctypes.data, r.bases, r.orders
        )  # fmt: skip

    def _waiting_step(self, delta: Delta | None, tick: Tick) -> Out:
        r, index, segments = self._ranking, self._index, self._segments
        assert r is not None and self.time is not None  # noqa: S101, PT018 (it waits)
        low = max(tick.low, int(self._values.get("at", MIN_WATERMARK)))
        high = max(low, tick.high)
        self._values["at"] = high
        dropped: list[Rejected] = []
        unit = self.schema[self.time].type.words_per_ms
        gone: list[Any] = []
        if delta is not None:
            marks = np.maximum(delta.mark_array(), low)
            late = np.flatnonzero(delta.columns[self.time].words() // unit < marks)
            if len(late):
                name = self.schema[self.time].name
                text = f"late for the first row of its key: `{name}` was behind the watermark"
                dropped.append(
                    reject_rows(delta, late, [text] * len(late), reason="late", origin=self.origin, rowtime=self.time)
                )
                keep = np.ones(delta.length, np.bool_)
                keep[late] = False
                delta = delta.take(np.flatnonzero(keep))
            n = delta.length
            ids = self._keys(delta.columns, n)
            times = self._times(delta.columns, n)
            touched, best = np.empty(n, np.int64), np.empty(n, np.int64)
            m = k.fold(ids, times, False, index.tab, index.cell0, touched, best)
            if m:
                touched, best = touched[:m], best[:m]
                old = index.tab[touched, index.cell0]
                old = old[old >= 0]
                sk.take_out(old, segments.tab, r.cell, r.width, r.index.tab, r.index.cell0)
                gone.append(old)
                new = append_some(segments, delta.columns, best)
                self._put(new)
                self._hold(touched, new, times[best])
        (one,) = r.keys([], 1).tolist()
        fired = np.empty(int(r.index.tab[one, r.index.cell0 + 1]), np.int64)
        n = sk.due(high, unit, segments.tab, r.cell, r.width, r.index.tab, r.index.cell0, one, fired)
        out = None
        if n:
            fired = fired[:n]
            keys = segments.tab[fired, self._cell]
            index.tab[keys, index.cell0] = -2
            index.touch(keys)
            columns = segments.take(fired)
            # Each goes when the watermark reaches its time: just before, it was below.
            out = Delta(self.schema, columns, None, columns[self.time].words() // unit - 1, n)
            gone.append(fired)
        if gone:
            segments.kill(np.concatenate(gone))
            for old, new in segments.tidy():
                r.follow(old, new)
                k.moved(new, segments.tab, self._cell, index.tab, index.cell0)
        return Out(out, dropped)

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        state = "one row of each key"
        if self.append_only:
            state = "the keys that have come" + (", rows ahead of the watermark" if self._waits else "")
        return {
            **({"ttl": self.ttl} if self.ttl else {}),
            "operator": "Deduplicate",
            "keep": self.keep,
            "keys": [self.schema[i].name for i in self.partition],
            "order": "arrival" if self.time is None else self.schema[self.time].name,
            "state": state,
            "bounded": not self.partition,
        }
