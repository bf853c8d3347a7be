"""Reading files: blocks cut at record ends, following what grows, whole columnar files."""

from __future__ import annotations

import logging
import os
import threading
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.connectors._files import FINGERPRINT, external, fingerprint, packed
from deras.connectors._kernels import count_lines
from deras.core.column import Column
from deras.core.contracts import Decoder, Reader
from deras.core.delta import Delta
from deras.core.errors import CorruptError, ExternalError
from deras.core.records import PAD, Block, Offset, Records

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from deras.core.contracts import Format
    from deras.core.predicates import Filters, Skipped
    from deras.core.schema import Schema
    from deras.core.time import Clock

_log = logging.getLogger("deras.connectors.filesystem")

LEAST_READ = 1 << 16
MOST_RECORD = 1 << 28
"""Bytes after which a record without an end is given up."""


@dataclass(frozen=True, slots=True)
class Follow:
    """How a growing file is followed.

    Args:
        interval: seconds between two looks.
        settle: seconds without change after which a last line without newline counts as whole; None: never.
    """

    interval: float
    settle: float | None = None


class _Packed:
    """The unpacked bytes of a compressed file, read once from the start."""

    def __init__(self, path: Path, codec: str, start: int) -> None:
        import pyarrow as pa

        self._path = path
        self._kept = b""
        try:
            self._stream = pa.CompressedInputStream(pa.OSFile(str(path), "rb"), codec)
            while start > 0:
                n = len(self._stream.read(min(start, 1 << 20)))
                if not n:
                    raise ExternalError(f"file is shorter than where reading stopped: {path}", retry="never")
                start -= n
        except OSError as e:
            raise self._wrong(e) from e

    def _wrong(self, e: OSError) -> ExternalError:
        if e.errno:
            return external(e, self._path, "read")
        return CorruptError(f"cannot unpack {self._path}: {e}", hint="The compressed file is damaged or cut short.")

    def fill(self, view: memoryview) -> int:
        n = min(len(self._kept), len(view))
        view[:n] = self._kept[:n]
        self._kept = self._kept[n:]
        try:
            while n < len(view):
                got = self._stream.readinto(view[n:])
                if not got:
                    break
                n += got
        except OSError as e:
            raise self._wrong(e) from e
        return n

    def unread(self, tail: bytes) -> None:
        self._kept = tail + self._kept

    def close(self) -> None:
        self._stream.close()


class FileReader(Reader):
    """One file as blocks of whole records.

    Each poll is one ``pread`` into a fresh array at the place where the last whole record ended: the unfinished tail is
    read again, not carried over.

    Args:
        path: the file.
        decoder: tells where records end.
        clock: the time.
        at: where an earlier run stopped.
        follow: how it grows, or None if its end is its end.
        thrifty: whether to close the file between polls (very many files).
        partition: metadata columns that the names of its folders give.
    """

    def __init__(
        self,
        path: Path,
        decoder: Decoder,
        clock: Clock,
        at: Offset | None = None,
        follow: Follow | None = None,
        thrifty: bool = False,
        partition: dict[str, Any] | None = None,
    ) -> None:
        self._path = path
        self._decoder = decoder
        self._clock = clock
        self._codec = packed(path)
        self._follow = None if self._codec else follow
        self._thrifty = thrifty and not self._codec
        self._partition = partition or {}
        self._fd = -1
        self._packed: _Packed | None = None
        self._inode = 0
        self._byte = int(at["byte"]) if at else 0
        self._line = int(at["line"]) if at else 1
        self._span = int(at.get("span", 0)) if at else 0
        self._print = int(at.get("print", 0)) if at else 0
        self._at_inode = int(at.get("inode", 0)) if at else 0
        self._first = True
        self._rotated = False
        self._ended = False
        self._caught_up = False
        self._looked = float("-inf")
        self._changed = 0.0
        self._metadata: dict[str, Any] = {}
        self._closed = threading.Event()

    # ---- the contract

    def poll(self, limit: int, wait: float) -> Records | None:
        """One block of at most about ``limit`` bytes; None at the end of a file that is not followed."""
        end = self._clock.monotonic() + wait
        while not self._ended and not self._closed.is_set():
            if self._follow is None or not self._caught_up or self._due():
                block = self._read(max(limit, LEAST_READ))
                if block is not None:
                    return Records(self._offset(), [block])
                if self._ended:
                    break
                if not self._caught_up:
                    continue  # rotated or truncated: there may be more at once
            left = end - self._clock.monotonic()
            if left <= 0:
                return Records(self._offset())
            assert self._follow is not None  # noqa: S101
            pause = min(left, max(self._looked + self._follow.interval - self._clock.monotonic(), 0.001))
            self._clock.wait(self._closed, pause)
        return None

    def idle(self) -> bool:
        """At the present end of a followed file."""
        return self._caught_up

    def close(self) -> None:
        """Close the file."""
        self._closed.set()
        self._release()

    # ---- reading

    def _due(self) -> bool:
        assert self._follow is not None  # noqa: S101
        return self._clock.monotonic() >= self._looked + self._follow.interval

    def _read(self, limit: int) -> Block | None:
        """The next block, or None: at the (present) end."""
        if not self._open():
            self._caught_up = True
            self._looked = self._clock.monotonic()
            return None
        want = limit
        while True:
            data: npt.NDArray[np.uint8] = np.empty(want + PAD, np.uint8)
            try:
                n = self._fill(data.data[:want])
            except OSError as e:
                raise external(e, self._path, "read") from e
            at_end = n < want
            cut = self._decoder.split(Block(data, 0, n)) if n else 0
            if at_end and self._takes_tail(n):
                cut = n
            if cut > 0:
                return self._cut(data, cut, n)
            if at_end:
                if self._packed is not None and n:
                    self._packed.unread(data[:n].tobytes())
                self._at_end()
                return None
            if want >= MOST_RECORD:
                raise ExternalError(
                    f"no end of record within {MOST_RECORD >> 20} MB in {self._path} at byte {self._byte}",
                    hint="Check that the file has the table's format.",
                    retry="never",
                )
            if self._packed is not None:
                self._packed.unread(data[:n].tobytes())
            want *= 2

    def _fill(self, view: memoryview) -> int:
        if self._packed is not None:
            return self._packed.fill(view)
        n = 0
        while n < len(view):
            got = os.preadv(self._fd, [view[n:]], self._byte + n)
            if got <= 0:
                break
            n += got
            if n < len(view) and self._byte + n >= os.fstat(self._fd).st_size:
                break
        return n

    def _cut(self, data: npt.NDArray[np.uint8], cut: int, n: int) -> Block:
        lines = int(count_lines(data, 0, cut))
        block = Block(data, 0, cut, str(self._path), self._byte, self._line, self._metadata, lines)
        if self._packed is not None and cut < n:
            self._packed.unread(data[cut:n].tobytes())
        if self._packed is None and self._span < FINGERPRINT and self._byte + cut > self._span:
            self._span = min(FINGERPRINT, self._byte + cut)
            if self._byte == 0:
                self._print = zlib.crc32(data[: self._span].tobytes())
            else:
                self._print = fingerprint(self._fd, self._span) or 0
        self._byte += cut
        self._line += lines
        self._caught_up = False
        if self._thrifty:
            self._release()
        return block

    def _takes_tail(self, n: int) -> bool:
        """Whether a last line without newline is to be given now."""
        if n == 0:
            return False
        if self._follow is None or self._rotated:
            return True
        if self._follow.settle is None:
            return False
        modified = os.fstat(self._fd).st_mtime
        return self._clock.now() / 1000 - modified >= self._follow.settle

    def _at_end(self) -> None:
        if self._follow is None:
            self._ended = True
            self._release()
            return
        self._looked = self._clock.monotonic()
        if self._rotated:
            self._begin_again()
            return
        self._caught_up = True
        try:
            here = os.fstat(self._fd)
            if here.st_size < self._byte or (self._span and fingerprint(self._fd, self._span) != self._print):
                _log.warning("%s was truncated: reading from its new start (was at byte %d)", self._path, self._byte)
                self._begin_again()
                return
            there = os.stat(self._path)  # noqa: PTH116 (of the name, not of the open file)
            if (there.st_ino, there.st_dev) != (here.st_ino, here.st_dev):
                _log.info("%s was rotated: reading the rest of the old file, then the new one", self._path)
                self._rotated, self._caught_up = True, False
        except FileNotFoundError:
            pass
        except OSError as e:
            raise external(e, self._path, "look at") from e
        finally:
            if self._thrifty and not self._rotated:
                self._release()

    def _begin_again(self) -> None:
        self._release()
        self._byte, self._line, self._span, self._print = 0, 1, 0, 0
        self._rotated, self._caught_up, self._first = False, False, True
        self._at_inode = 0

    # ---- opening

    def _open(self) -> bool:
        """Whether the file is open now; a followed file may not be there yet."""
        if self._fd >= 0 or self._packed is not None:
            return True
        try:
            fd = os.open(self._path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except FileNotFoundError as e:
            if self._follow is not None:
                return False
            gone = "vanished while it was being read" if self._byte or not self._first else "is gone"
            raise ExternalError(
                f"file {gone}: {self._path}",
                hint="It was there when the folder was listed; bounded inputs must stay until the job has ended.",
                retry="never",
            ) from e
        except OSError as e:
            raise external(e, self._path, "open") from e
        try:
            status = os.fstat(fd)
            if self._first or status.st_ino != self._inode:
                fd = self._check(fd, status)
            self._describe(os.fstat(fd))
            if self._codec:
                if not self._span:
                    self._span = min(FINGERPRINT, status.st_size)
                    self._print = fingerprint(fd, self._span) or 0
                self._packed = _Packed(self._path, self._codec, self._byte)
        except OSError as e:
            os.close(fd)
            raise external(e, self._path, "read") from e
        except BaseException:
            os.close(fd)
            raise
        if self._codec:
            os.close(fd)
        else:
            self._fd = fd
        self._first = False
        return True

    def _check(self, fd: int, status: os.stat_result) -> int:
        """See that an offset belongs to this file; gives the descriptor to read."""
        self._inode = status.st_ino
        if not self._byte:
            return fd
        short = not self._codec and status.st_size < self._byte
        if not short and (not self._span or fingerprint(fd, self._span) == self._print):
            return fd
        if self._follow is None:
            raise ExternalError(
                f"file was replaced since the checkpoint: {self._path}",
                detail=f"Reading should go on at byte {self._byte}, but the file is another or shorter one.",
                hint="Put the old file back, or start afresh without the checkpoint.",
                retry="never",
            )
        old = self._rotated_sibling()
        if old is not None:
            os.close(fd)
            self._rotated = True
            self._inode = os.fstat(old).st_ino
            return old
        _log.warning(
            "%s was replaced while stopped: rows after byte %d of the old file are gone", self._path, self._byte
        )
        self._begin_again()
        self._inode = status.st_ino
        return fd

    def _rotated_sibling(self) -> int | None:
        """The old file under its new name (``app.log.1``), found by inode and first bytes."""
        try:
            names = sorted(p for p in self._path.parent.iterdir() if p.name.startswith(self._path.name))
        except OSError:
            return None
        for p in names:
            try:
                fd = os.open(p, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            except OSError:
                continue
            s = os.fstat(fd)
            if s.st_ino == self._at_inode and s.st_size >= self._byte and fingerprint(fd, self._span) == self._print:
                return fd
            os.close(fd)
        return None

    def _describe(self, status: os.stat_result) -> None:
        self._metadata = describe(self._path, status) | self._partition

    def _offset(self) -> Offset:
        inode = self._inode or self._at_inode
        return {"byte": self._byte, "line": self._line, "span": self._span, "print": self._print, "inode": inode}

    def _release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._packed is not None:
            self._packed.close()
            self._packed = None


def describe(path: Path, status: os.stat_result) -> dict[str, Any]:
    """The metadata columns of a file; the time in µs, the unit of TIMESTAMP_LTZ(3)'s word."""
    return {
        "file.path": str(path),
        "file.name": path.name,
        "file.size": status.st_size,
        "file.modification-time": status.st_mtime_ns // 1000,
    }


class FrameReader(Reader):
    """A columnar file as deltas.

    Args:
        path: the file.
        format_: a columnar format.
        schema: all columns of the table, metadata columns too.
        at: where an earlier run stopped.
        partition: metadata columns that the names of its folders give.
        wanted: columns that are read, the others are NULL; None: all.
        filters: rows of which they are not TRUE may be left out; of physical columns only.
        skipped: where what is left out is counted.
    """

    def __init__(
        self,
        path: Path,
        format_: Format,
        schema: Schema,
        at: Offset | None = None,
        partition: dict[str, Any] | None = None,
        wanted: Sequence[int] | None = None,
        filters: Filters = (),
        skipped: Skipped | None = None,
    ) -> None:
        self._path = path
        self._partition = partition or {}
        self._filters = filters
        self._skipped = skipped
        self._format = format_
        self._schema = schema
        self._row = int(at["row"]) if at else 0
        self._at = at
        self._physical = [i for i, f in enumerate(schema) if f.metadata_key is None]
        self._wanted = set(range(len(schema)) if wanted is None else wanted)
        self._rows: Iterator[tuple[int, Delta]] | None = None
        self._size = 0
        self._metadata: dict[str, Any] = {}

    def poll(self, limit: int, wait: float) -> Records | None:
        """The next batch of rows; None at the end."""
        try:
            if self._rows is None:
                self._begin()
            assert self._rows is not None  # noqa: S101
            found = next(self._rows, None)
        except OSError as e:
            raise external(e, self._path, "read") from e
        if found is None:
            return None
        self._row, delta = found
        return Records({"row": self._row, "size": self._size}, delta=self._whole(delta), count=len(delta))

    def _begin(self) -> None:
        status = self._path.stat()
        self._size = status.st_size
        if self._at is not None and self._at.get("size", self._size) != self._size:
            raise ExternalError(f"file was replaced since the checkpoint: {self._path}", retry="never")
        self._metadata = describe(self._path, status) | self._partition
        wanted = [place for place, i in enumerate(self._physical) if i in self._wanted]
        place = {i: k for k, i in enumerate(self._physical)}
        filters = tuple(tuple(replace(x, column=place[x.column]) for x in clause) for clause in self._filters)
        schema = self._schema.select(self._physical)
        self._rows = self._format.read_rows(self._path, schema, wanted, filters, self._row, self._skipped)

    def _whole(self, delta: Delta) -> Delta:
        if len(self._physical) == len(self._schema):
            return delta
        columns = iter(delta.columns)
        made = []
        n = len(delta)
        for i, f in enumerate(self._schema):
            if f.metadata_key is None:
                made.append(next(columns))
            elif i not in self._wanted:
                made.append(Column.nulls(f.type, n))
            else:
                one = Column.of_values(f.type, [self._metadata[f.metadata_key]])
                made.append(one.take(np.zeros(n, np.int64)))
        return Delta(self._schema, made, length=len(delta))

    def close(self) -> None:
        """Close the file."""
        self._rows = None
