"""The intake log: what comes from sources that cannot be replayed is durable here before they say that they have it.

One append-only log per project with a stream per table. A table's *sequence* counts the payload bytes of its stream, so
that blocks are contiguous and a record's place is exact. Many appends share one sync: whatever arrived while the last
sync ran is the next batch, with no delay added. Whole segments are removed (or kept as history) when the checkpoints of
all tables are past them.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.contracts import Reader
from deras.core.errors import CorruptError, DerasError, ExternalError
from deras.core.records import PAD, Block, Offset, Records
from deras.core.time import Clock, SystemClock
from deras.runtime import intake_segment as seg
from deras.runtime.intake_recovery import recover, segment_number
from deras.runtime.intake_segment import BadFrameError, Frame, Segment
from deras.runtime.storage import disk_error, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_log = logging.getLogger("deras.intake")

SEGMENT_BYTES = 64 << 20
MEMORY_BYTES = 32 << 20
"""Bytes a table keeps in memory for its reader; what is older is read from disk."""
ARCHIVE = "archive"
_FORGOTTEN = 1 << 62


def write_all(fd: int, data: bytes) -> None:
    """Write every byte (``os.write`` may stop early)."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync(fd: int) -> None:
    """Make what was written durable."""
    os.fdatasync(fd)


@dataclass(slots=True)
class _Pending:
    table: str
    payload: bytes
    count: int
    future: Future[int]


@dataclass(slots=True)
class _Table:
    """A stream. Sequences: ``first`` still stored, ``next`` to be written; ``held`` is where ``memory`` begins."""

    id: int
    first: int = 0
    next: int = 0
    held: int = 0
    memory: deque[Frame] = field(default_factory=deque)
    memory_bytes: int = 0
    waiting: int = 0
    delivered: int = 0
    acked: int | None = None
    cursor: tuple[int, int, int] | None = None
    arrived: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class Chunk:
    """Records of a table: ``data[:end]`` with padding after it.

    Args:
        data: uint8 array.
        end: bytes of records.
        sequence: place of the first byte in the table's stream.
        count: records.
        arrival: when the first of them came, µs since 1970.
    """

    data: npt.NDArray[np.uint8]
    end: int
    sequence: int
    count: int
    arrival: int

    @property
    def next(self) -> int:
        """The sequence after these records."""
        return self.sequence + self.end


class IntakeLog:
    """The log of one project.

    Args:
        folder: where its files lie; made if need be.
        clock: the time.
        segment_bytes: when to begin a new file.
        memory_bytes: bytes a table keeps in memory for its reader.
        keep_history: move segments that are no longer needed to ``archive/`` instead of removing them.

    Raises:
        CorruptError: a file does not match its checksums; names file and byte.
        ExternalError: the folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock | None = None,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        memory_bytes: int = MEMORY_BYTES,
        keep_history: bool = False,
    ) -> None:
        self.folder = folder
        self._clock = clock or SystemClock()
        self._segment_bytes = segment_bytes
        self._memory_bytes = memory_bytes
        self._keep_history = keep_history
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._pending: list[_Pending] = []
        self._tables: dict[str, _Table] = {}
        self._segments: list[Segment] = []
        self._fd = -1
        self._size = 0
        self._defined: set[str] = set()
        self._dirty = False
        self._closing = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._recover()
        except OSError as e:
            raise disk_error(e, f"open the intake log in '{folder}'") from e
        self._thread = threading.Thread(target=self._run, name="deras-intake-log", daemon=True)
        self._thread.start()

    # ---- appending

    def append(self, table: str, payload: bytes, count: int = 1) -> Future[int]:
        """Log whole records of a table, each with its end.

        Args:
            table: the table's name.
            payload: not empty; for line formats it ends with a newline.
            count: records in it.

        Returns:
            The sequence of the payload's first byte, once it is durable. ``ExternalError`` if the disk refuses:
            then nothing of it is stored, and later appends may succeed.
        """
        if not payload:
            raise ValueError("payload is empty")
        future: Future[int] = Future()
        with self._work:
            if self._closing:
                future.set_exception(ExternalError("the intake log is closed", retry="never"))
                return future
            self._pending.append(_Pending(table, payload, count, future))
            self._of(table).waiting += len(payload)
            self._work.notify()
        return future

    def backlog(self, table: str) -> int:
        """Bytes of a table that its reader has not been given yet."""
        with self._lock:
            t = self._tables.get(table)
            return 0 if t is None else max(0, t.next + t.waiting - t.delivered)

    def tables(self) -> dict[str, dict[str, int]]:
        """For each table: ``first`` and ``next`` sequence, and ``acked`` (-1: never)."""
        with self._lock:
            return {
                n: {"first": t.first, "next": t.next, "acked": -1 if t.acked is None else t.acked}
                for n, t in self._tables.items()
            }

    # ---- reading

    def read(self, table: str, sequence: int, limit: int, wait: float) -> Chunk | None:
        """The records from a sequence on: about ``limit`` bytes, at least one payload.

        Waits at most ``wait`` seconds for the first; None if nothing came.

        Raises:
            CorruptError: what is asked for is damaged or no longer there.
        """
        found = self._read(table, sequence, limit)
        if found is None and wait > 0:
            with self._lock:
                t = self._of(table)
                if t.next == sequence:
                    t.arrived.clear()
            self._clock.wait(t.arrived, wait)
            found = self._read(table, sequence, limit)
        return found

    def first(self, table: str) -> int:
        """The first sequence of a table that is still stored."""
        with self._lock:
            return self._of(table).first

    def begin(self, table: str, sequence: int) -> None:
        """Tell that a reader begins here; the backlog counts from there."""
        with self._lock:
            t = self._of(table)
            if not t.first <= sequence <= t.next:
                raise CorruptError(
                    f"the intake log has no place {sequence} of table '{table}'",
                    detail=f"It holds {t.first} to {t.next}.",
                    hint="The checkpoint and the intake log belong to different times: restore both together.",
                )
            t.delivered = sequence

    def replay(self, table: str, sequence: int = 0) -> Iterator[Frame]:
        """All stored records of a table from a sequence on, archived segments first. Payload by payload."""
        with self._lock:
            t = self._of(table)
            upto = t.next
            segments = [*self._archived(), *self._segments]
        ends = [s.begins.get(table, (0, 0))[1] for s in segments[1:]] + [upto]
        for s, end in zip(segments, ends, strict=True):
            if s.begins.get(table, (0, 0))[1] >= end or end <= sequence:
                continue
            for frame in self._frames(s):
                if frame.kind == seg.DATA and frame.table == t.id:
                    if frame.sequence >= sequence:
                        yield frame
                    if frame.sequence + len(frame.payload) >= end:
                        break

    def _read(self, table: str, sequence: int, limit: int) -> Chunk | None:
        with self._lock:
            t = self._of(table)
            if sequence == t.next:
                return None
            if not t.first <= sequence < t.next:
                raise CorruptError(
                    f"the intake log has no place {sequence} of table '{table}'",
                    detail=f"It holds {t.first} to {t.next}.",
                )
            taken: list[Frame] = []
            size = 0
            if sequence >= t.held:
                while t.memory and t.memory[0].sequence + len(t.memory[0].payload) <= sequence:
                    self._forget_oldest(t)
                while t.memory and (not taken or size + len(t.memory[0].payload) <= limit):
                    frame = self._forget_oldest(t)
                    taken.append(frame)
                    size += len(frame.payload)
            upto = t.held
        if not taken:
            taken = self._from_disk(table, t, sequence, upto, limit)
        chunk = _join(taken, sequence)
        with self._lock:
            t.delivered = max(t.delivered, chunk.next)
        return chunk

    @staticmethod
    def _forget_oldest(t: _Table) -> Frame:
        frame = t.memory.popleft()
        t.memory_bytes -= len(frame.payload)
        t.held = frame.sequence + len(frame.payload)
        return frame

    def _from_disk(self, table: str, t: _Table, sequence: int, upto: int, limit: int) -> list[Frame]:
        """Payloads from a sequence on, not past ``upto``; the place is remembered for the next call."""
        with self._lock:
            segments = list(self._segments)
            ends = [s.begins.get(table, (0, 0))[1] for s in segments[1:]] + [t.next]
            index = next(i for i, e in enumerate(ends) if sequence < e)
            start = 0
            if t.cursor is not None and t.cursor[0] == sequence and t.cursor[1] == segments[index].number:
                start = t.cursor[2]
        taken: list[Frame] = []
        size = 0
        for frame in self._frames(segments[index], start):
            if frame.kind != seg.DATA or frame.table != t.id or frame.sequence + len(frame.payload) <= sequence:
                continue
            if frame.sequence >= min(upto, ends[index]) or (taken and size + len(frame.payload) > limit):
                break
            taken.append(frame)
            size += len(frame.payload)
            if frame.sequence + len(frame.payload) >= min(upto, ends[index]):
                break  # behind it may lie what a failed write left
        if not taken or taken[0].sequence > sequence:
            path = segments[index].path
            raise CorruptError(f"intake log is damaged: {path} lacks place {sequence} of table '{table}'")
        last = taken[-1]
        with self._lock:
            t.cursor = (last.sequence + len(last.payload), segments[index].number, last.end)
        return taken

    def _frames(self, s: Segment, start: int = 0) -> Iterator[Frame]:
        with self._lock:
            active = bool(self._segments) and self._segments[-1] is s
            end = self._size if active else None
        try:
            yield from seg.frames(s.path, start, end)
        except BadFrameError as e:
            raise seg.corrupt(s.path, e) from None
        except OSError as e:
            raise disk_error(e, f"read the intake log '{s.path}'") from e

    # ---- cutting

    def cut(self, table: str, upto: int) -> None:
        """All records of a table before ``upto`` are in a durable checkpoint: free whole segments that nobody needs."""
        with self._lock:
            t = self._of(table)
            t.acked = max(upto, t.acked or 0)
        self._remove()

    def forget(self, table: str) -> None:
        """The table was dropped: nothing is kept for it any longer."""
        with self._lock:
            t = self._of(table)
            t.acked = _FORGOTTEN
            t.delivered = t.next
        self._remove()

    def _remove(self) -> None:
        with self._lock:
            gone: list[Segment] = []
            while len(self._segments) > 1 and self._needless(self._segments[0], self._segments[1]):
                gone.append(self._segments.pop(0))
                for name, (_, sequence) in self._segments[0].begins.items():
                    self._tables[name].first = sequence
        try:
            for s in gone:
                if self._keep_history:
                    (self.folder / ARCHIVE).mkdir(exist_ok=True)
                    s.path.rename(self.folder / ARCHIVE / s.path.name)
                else:
                    s.path.unlink(missing_ok=True)
            if gone:
                sync_folder(self.folder)
        except OSError as e:
            # It is tried again at the next start; no row depends on it.
            _log.warning("cannot remove an old part of the intake log: %s", e)

    def _needless(self, s: Segment, after: Segment) -> bool:
        for name, (_, end) in after.begins.items():
            begin = s.begins.get(name, (0, 0))[1]
            acked = self._tables[name].acked
            if end > begin and (acked is None or acked < end):
                return False
        return True

    def _archived(self) -> list[Segment]:
        folder = self.folder / ARCHIVE
        if not folder.is_dir():
            return []
        try:
            return [seg.read_begin(p, segment_number(p)) for p in sorted(folder.glob("intake-*.log"))]
        except BadFrameError as e:
            raise seg.corrupt(folder, e) from None

    def close(self) -> None:
        """Write what is pending, note the clean end, free everything. Twice is fine."""
        with self._work:
            if self._closing:
                return
            self._closing = True
            self._work.notify()
        self._thread.join()
        if self._fd >= 0:
            try:
                now = self._clock.now_us()
                write_all(self._fd, seg.pack(seg.END, 0, 0, now, 0, b"", self._size))
                sync(self._fd)
            except OSError as e:
                _log.warning("cannot note the clean end of the intake log: %s", e)
            os.close(self._fd)
            self._fd = -1
        with self._lock:
            for t in self._tables.values():
                t.arrived.set()

    # ---- the writer's thread

    def _of(self, table: str) -> _Table:
        t = self._tables.get(table)
        if t is None:
            t = self._tables[table] = _Table(len(self._tables) + 1)
        return t

    def _run(self) -> None:
        while True:
            with self._work:
                while not self._pending and not self._closing:
                    self._work.wait()
                batch, self._pending = self._pending, []
            if not batch:
                return
            error: DerasError | None = None
            frames: list[Frame] = []
            try:
                frames = self._write(batch)
            except OSError as e:
                error = disk_error(e, "write to the intake log")
                self._undo()
            except Exception as e:  # noqa: BLE001 (senders must be answered whatever happens)
                error = ExternalError(f"cannot write to the intake log: {e}")
                self._undo()
            self._publish(batch, frames, error)
            if error is None and self._size >= self._segment_bytes:
                self._roll()

    def _write(self, batch: list[_Pending]) -> list[Frame]:
        if self._fd < 0 or self._dirty:
            self._mend()
        now, durable = self._clock.now_us(), self._size
        parts: list[bytes] = []
        frames: list[Frame] = []
        nexts: dict[str, int] = {}
        at = self._size
        named: set[str] = set()
        for p in batch:
            with self._lock:
                t = self._of(p.table)
            if p.table not in self._defined and p.table not in named:
                name = p.table.encode()
                parts += (seg.pack(seg.TABLE, t.id, 0, now, 0, name, durable), name)
                at += seg.HEADER.size + len(name)
                named.add(p.table)
            sequence = nexts.get(p.table, t.next)
            parts += (seg.pack(seg.DATA, t.id, sequence, now, p.count, p.payload, durable), p.payload)
            frames.append(Frame(seg.DATA, t.id, sequence, now, p.count, p.payload, at, durable))
            at += seg.HEADER.size + len(p.payload)
            nexts[p.table] = sequence + len(p.payload)
        self._dirty = True
        write_all(self._fd, b"".join(parts))
        sync(self._fd)
        self._dirty = False
        self._defined |= named
        with self._lock:
            self._size = at
        return frames

    def _publish(self, batch: list[_Pending], frames: list[Frame], error: DerasError | None) -> None:
        with self._lock:
            for i, p in enumerate(batch):
                t = self._of(p.table)
                t.waiting -= len(p.payload)
                if error is None:
                    t.memory.append(frames[i])
                    t.memory_bytes += len(p.payload)
                    t.next = frames[i].sequence + len(p.payload)
                    while t.memory_bytes > self._memory_bytes and len(t.memory) > 1:
                        self._forget_oldest(t)
                    t.arrived.set()
        for i, p in enumerate(batch):
            if not p.future.set_running_or_notify_cancel():
                continue
            if error is None:
                p.future.set_result(frames[i].sequence)
            else:
                p.future.set_exception(error)

    def _undo(self) -> None:
        """Take the unfinished batch away, so that the log stays valid; tried again before the next write."""
        if self._fd < 0:
            return
        try:
            os.ftruncate(self._fd, self._size)
            os.lseek(self._fd, self._size, os.SEEK_SET)
        except OSError as e:
            _log.warning("cannot cut the intake log back: %s", e)

    def _mend(self) -> None:
        """After a failed write or sync: cut back, and go on in a new file.

        After a failed sync the system may call pages clean that never reached the disk: this file is trusted no more.
        """
        self._undo()
        self._begin_segment()
        self._dirty = False

    def _roll(self) -> None:
        try:
            self._begin_segment()
        except OSError as e:
            _log.warning("cannot begin a new part of the intake log, going on in the old one: %s", e)
            return
        self._remove()

    def _begin_segment(self) -> None:
        number = self._segments[-1].number + 1 if self._segments else 1
        with self._lock:
            begins = {n: (t.id, t.next) for n, t in self._tables.items()}
        path = self.folder / f"intake-{number:012d}.log"
        payload = seg.begin_payload(number, begins)
        data = seg.pack(seg.BEGIN, 0, 0, self._clock.now_us(), 0, payload, 0) + payload
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            write_all(fd, data)
            os.fsync(fd)
            sync_folder(self.folder)
        except BaseException:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        if self._fd >= 0:
            os.close(self._fd)
        with self._lock:
            self._fd, self._size = fd, len(data)
            self._segments.append(Segment(number, path, begins))
            self._defined = set(begins)

    def _recover(self) -> None:
        found = recover(self.folder)
        self._segments = found.segments
        for name, stream in found.streams.items():
            self._tables[name] = _Table(stream.id, stream.first, stream.next, held=stream.next, delivered=stream.first)
        if not self._segments:
            self._begin_segment()
            return
        fd = os.open(self._segments[-1].path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
        os.lseek(fd, found.size, os.SEEK_SET)
        self._fd, self._size, self._defined = fd, found.size, set(found.streams)


def _join(frames: list[Frame], sequence: int) -> Chunk:
    skip = sequence - frames[0].sequence
    size = sum(len(f.payload) for f in frames) - skip
    data: npt.NDArray[np.uint8] = np.empty(size + PAD, np.uint8)
    view = data.data
    at = 0
    for f in frames:
        payload = memoryview(f.payload)[skip:] if skip else f.payload
        view[at : at + len(payload)] = payload
        at += len(payload)
        skip = 0
    return Chunk(data, size, sequence, sum(f.count for f in frames), frames[0].arrival)


class LoggedReader(Reader):
    """A table of the intake log: what the runtime opens where ``Source.intake`` is True.

    Offsets are ``{"seq": n}``.

    Args:
        log: the project's log.
        table: the table's name.
        at: where an earlier run stopped, or None for all that is stored.
        origin: what to write beside a bad record, e.g. ``http:readings``.
        arrival: whether metadata column ``arrival-time`` is read: then a block holds the records of one append.
    """

    def __init__(
        self, log: IntakeLog, table: str, at: Offset | None = None, *, origin: str = "", arrival: bool = False
    ) -> None:
        self._log = log
        self._table = table
        self._origin = origin or f"http:{table}"
        self._sequence = int(at["seq"]) if at else log.first(table)
        self._arrival = arrival
        log.begin(table, self._sequence)

    def poll(self, limit: int, wait: float) -> Records | None:
        """The next records; never ends."""
        chunk = self._log.read(self._table, self._sequence, 1 if self._arrival else limit, wait)
        if chunk is None:
            return Records({"seq": self._sequence})
        self._sequence = chunk.next
        metadata: dict[str, Any] = {"arrival-time": chunk.arrival} if self._arrival else {}
        block = Block(chunk.data, 0, chunk.end, self._origin, chunk.sequence, 0, metadata)
        return Records({"seq": chunk.next}, [block], count=chunk.count)

    def ack(self, offset: Offset) -> None:
        """Let the log remove what is in a durable checkpoint."""
        self._log.cut(self._table, int(offset["seq"]))

    def close(self) -> None:
        """Nothing to free: the log is shared."""
