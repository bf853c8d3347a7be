"""Replaying stored records at a speed: each is given when its event time has come."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deras.connectors._kernels import count_lines
from deras.core.contracts import Reader
from deras.core.records import Block, Offset, Records

if TYPE_CHECKING:
    from deras.core.contracts import Decoder
    from deras.core.delta import Delta
    from deras.core.time import Clock
    from deras.core.types import SqlType

Times = npt.NDArray[np.int64]

CHUNK = 1 << 16
BEFORE_ALL = -(1 << 62)


class Pace:
    """Event time as it runs: all parts of a source share one, so that they stay together.

    Args:
        clock: the time.
        speed: seconds of event time in one second.
    """

    def __init__(self, clock: Clock, speed: float) -> None:
        self.clock = clock
        self.speed = speed
        self._first: int | None = None
        self._begun: float | None = None
        self._lock = threading.Lock()

    def register(self, first: int) -> None:
        """Tell the first event time (ms) of a part; after the replay has begun it changes nothing."""
        with self._lock:
            if self._begun is None and (self._first is None or first < self._first):
                self._first = first

    def now(self) -> int:
        """The event time (ms) up to which rows are due. The first call starts the clock."""
        with self._lock:
            if self._first is None:
                return BEFORE_ALL
            if self._begun is None:
                self._begun = self.clock.monotonic()
            return self._first + int((self.clock.monotonic() - self._begun) * 1000 * self.speed)

    def until(self, time: int) -> float:
        """Seconds of real time until an event time is due."""
        return max(0.0, (time - self.now()) / 1000 / self.speed)


@dataclass(slots=True)
class _Pending:
    """Records that were read and wait: ``times`` (never falling) and, of a block, where each ends."""

    resume: Offset
    times: Times
    block: Block | None = None
    ends: Times = field(default_factory=lambda: np.zeros(0, np.int64))
    delta: Delta | None = None
    done: int = 0


class ReplayReader(Reader):
    """Gives the records of another reader in time.

    Args:
        inner: the reader.
        decoder: decodes the rowtime column (None for readers that give deltas).
        rowtime: position of the rowtime column.
        type_: its type.
        pace: how fast.
    """

    def __init__(self, inner: Reader, decoder: Decoder | None, rowtime: int, type_: SqlType, pace: Pace) -> None:
        self._inner = inner
        self._decoder = decoder
        self._rowtime = rowtime
        self._unit = type_.words_per_ms
        self._pace = pace
        self._pending: _Pending | None = None
        self._resume: Offset | None = None
        self._last = BEFORE_ALL
        self._ended = False
        self._closed = threading.Event()
        self._next(CHUNK, 0.0)
        if self._pending is not None and self._pending.times[0] > BEFORE_ALL:
            pace.register(int(self._pending.times[0]))

    def poll(self, limit: int, wait: float) -> Records | None:
        """The records that are due, waiting at most ``wait`` seconds for the first."""
        clock = self._pace.clock
        end = clock.monotonic() + wait
        while not self._closed.is_set():
            if self._pending is None:
                if self._ended:
                    return None
                self._next(min(limit, CHUNK), max(0.0, end - clock.monotonic()))
                if self._pending is None:
                    if self._ended:
                        return None
                    return Records(self._resume or {})
                if self._last == BEFORE_ALL:
                    self._pace.register(int(self._pending.times[0]))
            p = self._pending
            upto = int(np.searchsorted(p.times, self._pace.now(), side="right"))
            if upto > p.done:
                return self._take(p, upto)
            left = end - clock.monotonic()
            if left <= 0:
                return Records(self._resume or {})
            clock.wait(self._closed, min(left, self._pace.until(int(p.times[p.done])) + 0.0005))
        return None

    def ack(self, offset: Offset) -> None:
        """Pass on."""
        self._inner.ack(offset)

    def idle(self) -> bool:
        """Only where the inner reader is and nothing waits."""
        return self._pending is None and self._inner.idle()

    def watermark_hint(self) -> int | None:
        """The time of the next waiting record."""
        p = self._pending
        if p is None or p.times[p.done] <= BEFORE_ALL:
            return None
        return int(p.times[p.done])

    def close(self) -> None:
        """Close the inner reader."""
        self._closed.set()
        self._inner.close()

    # ---- inside

    def _next(self, limit: int, wait: float) -> None:
        found = self._inner.poll(limit, wait)
        if found is None:
            self._ended = True
            return
        if found.delta is not None and len(found.delta):
            column = found.delta.columns[self._rowtime]
            times = column.words() // self._unit
            valid = column.valid()
            if valid is not None:
                times = np.where(valid == 1, times, BEFORE_ALL)
            self._pending = _Pending(found.resume, self._rising(times), delta=found.delta)
        elif found.blocks:
            # File readers give one block at a time.
            (block,) = found.blocks
            ends, times = self._records(block)
            self._pending = _Pending(found.resume, self._rising(times), block, ends)
        else:
            self._resume = found.resume
        if self._pending is not None and self._resume is None:
            self._resume = self._before(self._pending)

    def _before(self, p: _Pending) -> Offset:
        if p.block is not None:
            return p.resume | {"byte": p.block.position, "line": p.block.line}
        assert p.delta is not None  # noqa: S101
        return p.resume | {"row": p.resume["row"] - len(p.delta)}

    def _rising(self, times: Times) -> Times:
        """A row that is behind its predecessors is due with them: the order stays as stored."""
        risen = np.maximum(np.maximum.accumulate(times), self._last)
        self._last = int(risen[-1])
        return risen

    def _records(self, block: Block) -> tuple[Times, Times]:
        """Where each record ends, and its time (records that cannot be read go with the one before)."""
        assert self._decoder is not None  # noqa: S101
        lines = np.flatnonzero(block.data[block.start : block.end] == 10).astype(np.int64) + block.start + 1
        if not len(lines) or lines[-1] != block.end:
            lines = np.append(lines, block.end)
        decoded = self._decoder.decode(block)
        if len(decoded.delta) == len(lines) and not decoded.rejected:
            return lines, self._times(decoded.delta)
        ends: list[int] = []
        times: list[int] = []
        start, last = block.start, BEFORE_ALL
        for end in lines.tolist():
            one = replace(block, start=start, end=end, position=block.position + start - block.start, lines=-1)
            if end != block.end and self._decoder.split(one) != end:
                continue  # a newline inside a quoted field
            found = self._decoder.decode(one).delta
            if len(found):
                last = int(self._times(found).max())
            ends.append(end)
            times.append(last)
            start = end
        return np.array(ends, np.int64), np.array(times, np.int64)

    def _times(self, delta: Delta) -> Times:
        column = delta.columns[self._rowtime]
        times = column.words() // self._unit
        valid = column.valid()
        return times if valid is None else np.where(valid == 1, times, BEFORE_ALL)

    def _take(self, p: _Pending, upto: int) -> Records:
        whole = upto == len(p.times)
        if p.delta is not None:
            part = p.delta.slice(p.done, upto)
            resume = p.resume | {"row": p.resume["row"] - len(p.delta) + upto}
            made = Records(resume, delta=part, count=len(part))
        else:
            assert p.block is not None  # noqa: S101
            b = p.block
            start = b.start if p.done == 0 else int(p.ends[p.done - 1])
            end = int(p.ends[upto - 1])
            line = b.line + int(count_lines(b.data, b.start, start))
            lines = int(count_lines(b.data, start, end))
            block = replace(b, start=start, end=end, position=b.position + start - b.start, line=line, lines=lines)
            after = {"byte": block.position + end - start, "line": line + lines}
            made = Records(p.resume if whole else p.resume | after, [block])
        p.done = upto
        self._resume = made.resume
        if whole:
            self._pending = None
        return made
