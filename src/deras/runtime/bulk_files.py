"""Large files that are written once and seldom read: past the page cache where the system allows it.

A checkpoint's file goes to disk and is not looked at again but to check it. Through the page cache it would be copied
into memory that has to be found for it first, push out what is of use, and be written in bursts at the sync.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ALIGNED = 4096  # no device asks for more
_BUFFER = 1 << 20
_spare: list[memoryview] = []  # whose pages are there already
_DIRECT = getattr(os, "O_DIRECT", 0)


def _open(path: Path, flags: int) -> tuple[int, bool]:
    if _DIRECT:
        with contextlib.suppress(OSError):  # file systems in memory, and some of the network, have no such thing
            return os.open(path, flags | _DIRECT, 0o666), True
    return os.open(path, flags, 0o666), False


def _take_buffer() -> memoryview:
    try:
        return _spare.pop()
    except IndexError:
        return memoryview(mmap.mmap(-1, _BUFFER))  # pages begin where devices want them to


def _give_buffer(buffer: memoryview) -> None:
    if len(_spare) < 2:
        _spare.append(buffer)


def _plain(fd: int) -> None:
    import fcntl

    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~_DIRECT)


class BulkWriter:
    """Writes a new file from its beginning to its end.

    Args:
        path: of the file; one that is there is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._fd, self._direct = _open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._buffer = _take_buffer()
        self._at = 0
        self.size = 0

    def write(self, part: memoryview) -> None:
        """Append bytes; they may be changed afterwards."""
        self.size += part.nbytes
        while part.nbytes:
            n = min(part.nbytes, _BUFFER - self._at)
            self._buffer[self._at : self._at + n] = part[:n]
            self._at += n
            part = part[n:]
            if self._at == _BUFFER:
                self._flush(_BUFFER)
                self._at = 0

    def _flush(self, n: int) -> None:
        done = 0
        while done < n:
            try:
                wrote = os.write(self._fd, self._buffer[done:n])
            except OSError as e:
                if not self._direct or e.errno != errno.EINVAL:
                    raise
                self._direct = False
                _plain(self._fd)
                continue
            done += wrote
            if self._direct and done % _ALIGNED:
                self._direct = False
                _plain(self._fd)

    def close(self) -> None:
        """Write the rest and make everything durable, but the file's name."""
        n = -(-self._at // _ALIGNED) * _ALIGNED if self._direct else self._at
        self._buffer[self._at : n] = bytes(n - self._at)
        self._flush(n)
        if n != self._at:
            os.ftruncate(self._fd, self.size)
        os.fsync(self._fd)
        self.abandon()

    def abandon(self) -> None:
        """Close the file as it is. Twice is fine."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
            _give_buffer(self._buffer)


def read_pieces(path: Path) -> Iterator[memoryview]:
    """The bytes of a file from its beginning, from the disk itself where the system allows it.

    A piece is valid until the next is asked for.
    """
    fd, direct = _open(path, os.O_RDONLY)
    buffer = _take_buffer()
    try:
        while True:
            try:
                n = os.readv(fd, [buffer])
            except OSError as e:
                if not direct or e.errno != errno.EINVAL:
                    raise
                direct = False
                _plain(fd)
                continue
            if not n:
                return
            yield buffer[:n]
    finally:
        os.close(fd)
        _give_buffer(buffer)
