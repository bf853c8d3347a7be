"""The chunk of a checkpoint: a small header in JSON, raw arrays, a checksum. See docs/reference/checkpoint-
format.md.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from deras.core.column import Column
from deras.core.errors import CorruptError
from deras.core.types import Kind, Layout, SqlType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Chunk = tuple[str, str, Any]
"""(kind, name, bytes-like or :class:`Packed`): kind is ``index``, ``segments``, ``values`` or ``blobs``, name that of
the part of the state.
"""

MAGIC = b"DERASCK1"
_HEAD = struct.Struct("<8sII")
PIECE = 1 << 15
"""Rows in one chunk at most."""


def type_json(t: SqlType) -> list[Any]:
    """A type as JSON."""
    return [t.kind.value, t.precision, t.scale, [type_json(c) for c in t.children], list(t.names), t.nullable]


def type_of(j: Sequence[Any]) -> SqlType:
    """A type from JSON."""
    kind, precision, scale, children, names, nullable = j
    return SqlType(Kind(kind), precision, scale, tuple(map(type_of, children)), tuple(names), nullable)


class Packed:
    """One chunk's bytes in pieces, so that large arrays go to a file without being copied together.

    Args:
        parts: bytes-like pieces; they are not changed afterwards.
        crc: the checksum of everything from byte 12 on, as the chunk itself says.
    """

    __slots__ = ("crc", "nbytes", "parts")

    def __init__(self, parts: list[memoryview], crc: int) -> None:
        self.parts = parts
        self.crc = crc
        self.nbytes = sum(p.nbytes for p in parts)

    def __bytes__(self) -> bytes:
        return b"".join(self.parts)

    def __len__(self) -> int:
        return self.nbytes


def pack(header: dict[str, Any], arrays: dict[str, Any]) -> Packed:
    """One chunk's bytes. The arrays are not copied: who gave them leaves them as they are."""
    described = []
    body = []
    for name, a in arrays.items():
        a = np.ascontiguousarray(a)
        described.append([name, a.dtype.str, list(a.shape)])
        if a.size:
            body.append(a.reshape(-1).view(np.uint8).data)
            if a.nbytes % 8:
                body.append(memoryview(bytes(-a.nbytes % 8)))
    text = json.dumps({**header, "arrays": described}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    # The checksum covers the header's length too.
    crc = zlib.crc32(text, zlib.crc32(struct.pack("<I", len(text))))
    for part in body:
        crc = zlib.crc32(part, crc)
    return Packed([memoryview(_HEAD.pack(MAGIC, crc, len(text)) + text), *body], crc)


def unpack(data: Any, what: str = "chunk") -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and arrays (which share the memory) of a chunk; ``CorruptError`` if it is damaged or of another
    version.
    """
    view = memoryview(bytes(data) if isinstance(data, Packed) else data).cast("B")
    if len(view) < _HEAD.size or bytes(view[:7]) != MAGIC[:7]:
        raise CorruptError(f"{what} is not a chunk of a checkpoint")
    magic, crc, length = _HEAD.unpack_from(view)
    if magic != MAGIC:
        raise CorruptError(
            f"{what} has checkpoint format {magic[7:].decode('latin-1')!r}, this version reads '1'",
            hint="Start with the version of Deras that wrote it.",
        )
    if zlib.crc32(view[12:]) != crc:
        raise CorruptError(f"{what} is damaged", detail="Its checksum does not match its bytes.")
    header = json.loads(bytes(view[16 : 16 + length]))
    arrays = {}
    at = 16 + length
    for name, dtype, shape in header["arrays"]:
        kind = np.dtype(dtype)
        n = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(view, kind, n, at).reshape(shape)
        at += n * kind.itemsize
        at += -at % 8
    return header, arrays


def put_columns(columns: Sequence[Column], arrays: dict[str, Any]) -> None:
    """Columns into arrays named by position."""
    for i, c in enumerate(columns):
        valid = c.valid()
        if valid is not None:
            arrays[f"{i}.valid"] = np.packbits(valid, bitorder="little")
        match c.type.layout:
            case Layout.WORDS:
                arrays[f"{i}.words"] = c.words()
            case Layout.FLOATS:
                arrays[f"{i}.words"] = np.ascontiguousarray(c.floats()).view(np.int64)
            case Layout.LIMBS:
                arrays[f"{i}.words"] = c.limbs()
            case Layout.VIEWS:
                a = c.to_arrow().cast(pa.large_string() if c.type.is_text else pa.large_binary())
                buffers = a.buffers()
                offsets = np.frombuffer(buffers[1], np.int64)[a.offset : a.offset + len(a) + 1]
                text = np.frombuffer(buffers[2], np.uint8) if buffers[2] is not None else np.zeros(0, np.uint8)
                arrays[f"{i}.offsets"] = offsets - offsets[0]
                arrays[f"{i}.text"] = text[offsets[0] : offsets[-1]]
            case _:
                sink = pa.BufferOutputStream()
                batch = pa.record_batch([c.to_arrow()], names=["0"])
                with pa.ipc.new_stream(sink, batch.schema) as writer:
                    writer.write_batch(batch)
                arrays[f"{i}.arrow"] = np.frombuffer(sink.getvalue(), np.uint8)


def get_columns(types: Sequence[SqlType], arrays: dict[str, Any], n: int) -> list[Column]:
    """Columns from arrays named by position."""
    import polars as pl

    out = []
    for i, t in enumerate(types):
        bits = arrays.get(f"{i}.valid")
        valid = None if bits is None else np.unpackbits(bits, count=n, bitorder="little")
        match t.layout:
            case Layout.WORDS:
                out.append(Column.of_words(t, arrays[f"{i}.words"], valid))
            case Layout.FLOATS:
                out.append(Column.of_floats(t, arrays[f"{i}.words"].view(np.float64), valid))
            case Layout.LIMBS:
                out.append(Column.of_limbs(t, arrays[f"{i}.words"], valid))
            case Layout.VIEWS:
                kind = pa.large_string() if t.is_text else pa.large_binary()
                packed = None if bits is None else pa.py_buffer(bits)
                a = pa.Array.from_buffers(
                    kind, n, [packed, pa.py_buffer(arrays[f"{i}.offsets"]), pa.py_buffer(arrays[f"{i}.text"])]
                )
                out.append(Column.of_series(t, pl.Series("", a)))
            case _:
                batch = pa.ipc.open_stream(pa.py_buffer(arrays[f"{i}.arrow"])).read_next_batch()
                out.append(Column.of_series(t, pl.Series("", batch.column(0))))
    return out


def pieces(n: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows of one chunk each."""
    for start in range(0, n, PIECE):
        yield start, min(start + PIECE, n)
