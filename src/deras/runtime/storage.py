"""Files that must survive: atomic replacement, checksummed frames, and what to tell a person when the disk refuses."""

from __future__ import annotations

import errno
import json
import os
import struct
import zlib
from typing import TYPE_CHECKING, Any

from deras.core.errors import CorruptError, DerasError, ExternalError
from deras.engine.state.codec import MAGIC as CHUNK
from deras.engine.state.codec import Packed
from deras.runtime.bulk_files import BulkWriter, read_pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Chunk = tuple[str, str, Any]
"""Kind, name, bytes-like: how an operator's state travels (see ``State.freeze``)."""

MAGIC = b"DERASCK1"
_FRAME = struct.Struct("<4sHHQI")  # tag, bytes of kind, bytes of name, bytes of payload, crc32
_TAG = b"CHN2"
"""The payload is a chunk with a checksum of its own; the frame's goes on from it over sizes and names."""
_TAG_1 = b"CHNK"
"""As written by format 1: the checksum covers the whole payload."""


def disk_error(e: OSError, doing: str) -> DerasError:
    """One sentence for an ``OSError``: what was tried, what the system said, what to do.

    Args:
        e: what the system raised.
        doing: the act, e.g. ``write the checkpoint to 'data/checkpoints'``.
    """
    said = (e.strerror or str(e)).lower()
    if e.errno in (errno.ENOSPC, errno.EDQUOT):
        return ExternalError(f"cannot {doing}: {said}", hint="Free some space on this disk; it is tried again.")
    if e.errno == errno.EROFS:
        return ExternalError(f"cannot {doing}: {said}", hint="Choose a folder that can be written.", retry="never")
    if e.errno in (errno.EACCES, errno.EPERM):
        hint = "Change the owner or the mode of the folder, or choose another one."
        return ExternalError(f"cannot {doing}: {said}", hint=hint, retry="never")
    return ExternalError(f"cannot {doing}: {said}")


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable (a rename is not, before this)."""
    fd = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(fd)
    except OSError as e:  # some network file systems have no fsync for folders
        if e.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file as a whole: after a crash there is the old or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_json(path: Path, body: dict[str, Any]) -> None:
    """A JSON object with a checksum of itself, written as a whole."""
    text = json.dumps(body, separators=(",", ":"), sort_keys=True)
    write_atomic(path, f'{{"crc32":{zlib.crc32(text.encode())},"body":\n{text}\n}}\n'.encode())


def read_json(path: Path) -> dict[str, Any]:
    """What :func:`write_json` wrote; ``CorruptError`` naming the file where it does not hold."""
    try:
        raw = path.read_bytes()
    except OSError as e:
        raise disk_error(e, f"read '{path}'") from None
    try:
        outer = json.loads(raw)
        body = raw.split(b"\n", 2)[1]
        good = outer["crc32"] == zlib.crc32(body)
        found: dict[str, Any] = outer["body"]
    except (ValueError, KeyError, IndexError, TypeError):
        good, found = False, {}
    if not good:
        raise CorruptError(f"'{path}' is damaged", detail="Its text does not match its checksum.")
    return found


class ChunkFile:
    """State chunks in one file: magic, then frames, each with its own checksum. Written once, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = len(MAGIC)
        self._file = BulkWriter(path)
        self._file.write(memoryview(MAGIC))

    def add(self, chunks: Iterable[Chunk]) -> tuple[int, int, int]:
        """Append chunks; gives (offset, bytes, number of chunks) of the run."""
        start, n = self.size, 0
        for kind, name, payload in chunks:
            k, m = kind.encode(), name.encode()
            if isinstance(payload, Packed):
                tag, parts, size = _TAG, payload.parts, payload.nbytes
                crc = _frame_crc(payload.crc, len(k), len(m), size, k + m)
            else:
                view = memoryview(payload).cast("B")
                tag, parts, size, crc = _TAG_1, [view], view.nbytes, zlib.crc32(view)
            self._file.write(memoryview(_FRAME.pack(tag, len(k), len(m), size, crc) + k + m))
            for part in parts:
                self._file.write(part)
            self.size += _FRAME.size + len(k) + len(m) + size
            n += 1
        return start, self.size - start, n

    def close(self) -> None:
        """Make it durable (its name too)."""
        self._file.close()
        sync_folder(self.path.parent)

    def abandon(self) -> None:
        """Take the unfinished file away."""
        self._file.abandon()
        self.path.unlink(missing_ok=True)


class _Stream:
    """The bytes of a file in order, without holding them."""

    def __init__(self, path: Path) -> None:
        self._pieces = read_pieces(path)
        self._view = memoryview(b"")

    def _next(self, n: int) -> memoryview:
        if not self._view.nbytes:
            self._view = next(self._pieces, self._view)
        got, self._view = self._view[:n], self._view[n:]
        return got

    def take(self, n: int) -> bytes:
        """The next bytes; fewer at the end."""
        found = b""
        while len(found) < n and (got := self._next(n - len(found))).nbytes:
            found += got
        return found

    def crc(self, n: int) -> int | None:
        """The checksum of the next bytes; None if there are fewer."""
        crc = 0
        while n:
            got = self._next(n)
            if not got.nbytes:
                return None
            crc = zlib.crc32(got, crc)
            n -= got.nbytes
        return crc


def check_file(path: Path, size: int) -> None:
    """Read a whole file of chunks back.

    Args:
        path: of the file.
        size: the bytes that were written.

    Raises:
        CorruptError: it is not what was written; names file and byte.
    """
    try:
        stream = _Stream(path)
        if stream.take(len(MAGIC)) != MAGIC:
            raise CorruptError(f"'{path}' is damaged", detail="It does not begin as a file of this kind.")
        at = len(MAGIC)
        while len(head := stream.take(_FRAME.size)) == _FRAME.size:
            tag, k, m, n, crc = _FRAME.unpack(head)
            if tag not in (_TAG, _TAG_1):
                raise CorruptError(f"'{path}' is damaged", detail=f"There is no record at byte {at}.")
            names = stream.take(k + m)
            first = stream.take(12) if tag == _TAG else b""
            found = stream.crc(max(0, n - len(first)))
            if found is None or not _matches(tag, crc, found, first, k, m, n, names):
                detail = f"The checksum of the record at byte {at} does not match."
                raise CorruptError(f"'{path}' is damaged", detail=detail)
            at += _FRAME.size + k + m + n
        if head or at != size:
            raise CorruptError(f"'{path}' is damaged", detail=f"It has {at + len(head)} bytes instead of {size}.")
    except OSError as e:
        raise disk_error(e, f"read '{path}'") from None


def _frame_crc(crc: int, k: int, m: int, n: int, names: bytes) -> int:
    return zlib.crc32(struct.pack("<HHQ", k, m, n) + names, crc)


def _matches(tag: bytes, crc: int, found: int, first: bytes, k: int, m: int, n: int, names: bytes) -> bool:
    """Whether a frame and its payload are whole: ``found`` is the checksum of the payload behind ``first``."""
    if tag == _TAG_1:
        return found == crc
    return first == CHUNK + found.to_bytes(4, "little") and _frame_crc(found, k, m, n, names) == crc


def read_chunks(path: Path, offset: int, length: int) -> Iterator[Chunk]:
    """The chunks of one run; ``CorruptError`` naming file and byte at the first that does not match."""
    try:
        with path.open("rb") as f:
            if f.read(len(MAGIC)) != MAGIC:
                raise CorruptError(f"'{path}' is damaged", detail="It does not begin as a file of this kind.")
            f.seek(offset)
            at, end = offset, offset + length
            while at < end:
                head = f.read(_FRAME.size)
                if len(head) < _FRAME.size:
                    raise CorruptError(f"'{path}' is damaged", detail=f"It ends at byte {at + len(head)}.")
                tag, k, m, n, crc = _FRAME.unpack(head)
                if tag not in (_TAG, _TAG_1) or at + _FRAME.size + k + m + n > end:
                    raise CorruptError(f"'{path}' is damaged", detail=f"There is no record at byte {at}.")
                names = f.read(k + m)
                payload = f.read(n)
                first = payload[:12] if tag == _TAG else b""
                found = zlib.crc32(memoryview(payload)[len(first) :])
                if len(payload) != n or not _matches(tag, crc, found, first, k, m, n, names):
                    detail = f"The checksum of the record at byte {at} does not match."
                    raise CorruptError(f"'{path}' is damaged", detail=detail)
                at += _FRAME.size + k + m + n
                yield names[:k].decode(), names[k:].decode(), payload
    except OSError as e:
        raise disk_error(e, f"read '{path}'") from None
