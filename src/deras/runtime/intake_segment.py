"""Segments of the intake log: frames with a checksum each, and what a crash or a bad disk can do to them.

A frame is 48 bytes of header and a payload, little-endian::

    "DRIL"  crc32  length  table id  kind  version  count  0    sequence  arrival  durable
    4 s     u32    u32     u16       u8    u8       u32    u32  i64       i64 µs   i64

The checksum covers everything after itself. ``durable`` says up to which byte the file had been synced when the frame
was written. So a bad frame can be judged: if a later valid frame says that this place had been durable, the disk lost
something that was promised; if none does, it is the torn end of a write that nobody was told of.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deras.core.errors import CorruptError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION = 1
MAGIC = b"DRIL"
HEADER = struct.Struct("<4sIIHBBIIqqq")
DATA, TABLE, BEGIN, END = 0, 1, 2, 3
"""Kinds of frames: records; a table's name; the first of a segment; a clean end."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Args:
        kind: ``DATA``, ``TABLE``, ``BEGIN`` or ``END``.
        table: the table's number in this log.
        sequence: place of the payload's first byte in the table's stream.
        arrival: µs since 1970.
        count: records in the payload.
        payload: the bytes.
        at: the frame's place in the file.
        durable: bytes of the file that were synced before.
    """

    kind: int
    table: int
    sequence: int
    arrival: int
    count: int
    payload: bytes
    at: int = 0
    durable: int = 0

    @property
    def end(self) -> int:
        """The place after the frame in the file."""
        return self.at + HEADER.size + len(self.payload)


class BadFrameError(Exception):
    """No valid frame at ``at``."""

    def __init__(self, at: int, why: str) -> None:
        super().__init__(why)
        self.at = at
        self.why = why


def pack(kind: int, table: int, sequence: int, arrival: int, count: int, payload: bytes, durable: int) -> bytes:
    """A frame's header (the payload follows it as it is)."""
    head = HEADER.pack(MAGIC, 0, len(payload), table, kind, VERSION, count, 0, sequence, arrival, durable)
    crc = zlib.crc32(payload, zlib.crc32(head[8:]))
    return MAGIC + struct.pack("<I", crc) + head[8:]


def unpack(data: bytes | memoryview, offset: int, base: int = 0) -> Frame:
    """The frame at an offset; ``base`` is where ``data`` begins in the file.

    Raises:
        BadFrameError: there is none, or its checksum is wrong.
    """
    view = memoryview(data)
    if len(view) - offset < HEADER.size:
        raise BadFrameError(base + offset, "the frame's header is cut off")
    magic, crc, length, table, kind, version, count, _, sequence, arrival, durable = HEADER.unpack_from(view, offset)
    if magic != MAGIC:
        raise BadFrameError(base + offset, "no frame begins here")
    begin = offset + HEADER.size
    if len(view) - begin < length:
        raise BadFrameError(base + offset, "the frame's payload is cut off")
    payload = bytes(view[begin : begin + length])
    if zlib.crc32(payload, zlib.crc32(view[offset + 8 : begin])) != crc:
        raise BadFrameError(base + offset, "the checksum does not match")
    if version != VERSION:
        raise BadFrameError(base + offset, f"written by a newer version ({version})")
    return Frame(kind, table, sequence, arrival, count, payload, base + offset, durable)


def frames(path: Path, start: int = 0, end: int | None = None, chunk: int = 1 << 20) -> Iterator[Frame]:
    """The frames of a file from a place to ``end`` (default: its end).

    Raises:
        BadFrameError: at the first that is not valid.
        OSError: it cannot be read.
    """
    with path.open("rb") as f:
        size = f.seek(0, 2) if end is None else end
        f.seek(start)
        data, base = b"", start
        at = 0
        while base + at < size:
            left = len(data) - at
            need = HEADER.size if left < HEADER.size else HEADER.size + _length(data, at)
            if left < need and base + len(data) < size:
                more = f.read(min(max(chunk, need - left), size - base - len(data)))
                data, base, at = data[at:] + more, base + at, 0
                if more:
                    continue
            frame = unpack(data, at, base)
            at += HEADER.size + len(frame.payload)
            yield frame


def _length(data: bytes, at: int) -> int:
    return int.from_bytes(data[at + 8 : at + 12], "little") if data[at : at + 4] == MAGIC else 0


def was_durable(path: Path, at: int) -> int | None:
    """The place of a valid frame after ``at`` that was written when ``at`` had already been synced, or None."""
    data = path.read_bytes()
    place = data.find(MAGIC, at + 1)
    while place >= 0:
        try:
            frame = unpack(data, place)
        except BadFrameError:
            frame = None
        if frame is not None and frame.durable > at:
            return place
        place = data.find(MAGIC, place + 1)
    return None


def corrupt(path: Path, bad: BadFrameError) -> CorruptError:
    """The error for a damaged segment."""
    return CorruptError(
        f"intake log is damaged: {path} at byte {bad.at}: {bad.why}",
        detail="Rows after this place had been acknowledged to their senders.",
        hint="Restore the file from a backup, or move it away to go on without the rows that only it holds.",
    )


@dataclass(slots=True)
class Segment:
    """A file of the log: its number, and where each table's stream stood at its begin (name to (id, sequence))."""

    number: int
    path: Path
    begins: dict[str, tuple[int, int]]


def begin_payload(number: int, tables: dict[str, tuple[int, int]]) -> bytes:
    """The payload of a segment's first frame."""
    return json.dumps({"segment": number, "tables": tables}, separators=(",", ":")).encode()


def read_begin(path: Path, number: int) -> Segment:
    """A segment by its first frame; ``BadFrameError`` if that is none."""
    with path.open("rb") as f:
        head = f.read(HEADER.size)
        frame = unpack(head + f.read(_length(head, 0)), 0)
    if frame.kind != BEGIN:
        raise BadFrameError(0, "it does not begin as a segment")
    body: dict[str, Any] = json.loads(frame.payload)
    if body["segment"] != number:
        raise BadFrameError(0, f"it is segment {body['segment']} under another name")
    return Segment(number, path, {n: (int(i), int(s)) for n, (i, s) in body["tables"].items()})
