"""Format ``raw``: the bytes of a record are the value of the single column.

In files a record is a line; its line feed (and a carriage return before it) is no part of the value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from deras.core.column import Column, Views
from deras.core.contracts import Decoder, Encoder
from deras.core.contracts import Format as FormatContract
from deras.core.delta import Delta
from deras.core.errors import OptionError
from deras.core.options import Option
from deras.core.records import Block, Decoded
from deras.formats._common import Refusals, metadata_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.schema import Schema


class Format(FormatContract):
    """One STRING or BYTES column; see the module."""

    name = "raw"
    options: ClassVar[Sequence[Option]] = (
        Option("charset", "enum", "The encoding of text.", "UTF-8", choices=("UTF-8",)),
        Option(
            "endianness", "enum", "Accepted for Flink's sake.", "big-endian", choices=("big-endian", "little-endian")
        ),
    )

    @staticmethod
    def _column(schema: Schema) -> int:
        found = [i for i, f in enumerate(schema) if f.metadata_key is None]
        if len(found) != 1 or not (schema[found[0]].type.is_text or schema[found[0]].type.is_bytes):
            names = ", ".join(f"{schema[i].name} {schema[i].type}" for i in found)
            raise OptionError(
                "format 'raw' needs a single column of type STRING or BYTES",
                detail=f"The table has: {names or 'none'}.",
                hint="Use another format, or declare one column.",
            )
        return found[0]

    def decoder(self, schema: Schema, wanted: Sequence[int] | None = None, origin: str = "") -> Decoder:
        """A decoder of lines."""
        return RawDecoder(schema, self._column(schema), origin)

    def encoder(self, schema: Schema) -> Encoder:
        """An encoder of lines."""
        return RawEncoder(self._column(schema))


class RawDecoder(Decoder):
    """Lines to values."""

    def __init__(self, schema: Schema, column: int, origin: str) -> None:
        self._schema = schema
        self._column = column
        self._origin = origin

    def decode(self, block: Block) -> Decoded:
        """All lines of the block, empty ones too; text that is no UTF-8 is refused."""
        data = block.data[block.start : block.end]
        ends = np.flatnonzero(data == 10)
        if len(data) and (not len(ends) or ends[-1] != len(data) - 1):
            ends = np.append(ends, len(data))
        starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
        stops = ends - ((ends > starts) & (data[np.maximum(ends - 1, 0)] == 13)) if len(ends) else ends
        n = len(ends)
        t = self._schema[self._column].type
        lengths = (stops - starts).astype(np.uint64)
        padded = block.data
        views = np.zeros((n, 2), np.uint64)
        begin = (starts + block.start).astype(np.uint64)
        for k in range(12):
            # The first bytes of each value, zero after its end.
            byte = padded[np.minimum(begin + np.uint64(k), np.uint64(len(padded) - 1))].astype(np.uint64)
            byte[lengths <= k] = 0
            views[:, int(k >= 4)] |= byte << np.uint64(8 * (k + 4 if k < 4 else k - 4))
        views[:, 0] |= lengths
        long = lengths > 12
        views[long, 1] = begin[long] << np.uint64(32)
        refusals = Refusals(block, self._origin)
        kept = None
        column = Column.of_views(t, Views(views, [block.data]))
        if t.is_text and bool((data >= 128).any()):
            bad = []
            for i in np.flatnonzero(np.maximum.reduceat(np.append(data, 0), starts) >= 128).tolist():
                try:
                    data[starts[i] : stops[i]].tobytes().decode("utf-8")
                except UnicodeDecodeError as e:
                    bad.append(i)
                    first = int(starts[i]) + block.start
                    text = f"not valid UTF-8 (column {e.start + 1})"
                    refusals.add("decode", text, first, int(ends[i]) + block.start)
            if bad:
                kept = np.delete(np.arange(n), bad)
                column = column.take(kept)
        m = len(column)
        columns = [
            column if i == self._column else metadata_column(f.type, block.metadata.get(f.metadata_key or ""), m, kept)
            for i, f in enumerate(self._schema)
        ]
        return Decoded(Delta(self._schema, columns, length=m), refusals.rejected(), n)


class RawEncoder(Encoder):
    """Values to lines; NULL gives an empty one."""

    def __init__(self, column: int) -> None:
        self._column = column

    def encode(self, delta: Delta) -> bytes:
        """One line a row."""
        values = delta.columns[self._column].values()
        return b"".join((v.encode() if isinstance(v, str) else v or b"") + b"\n" for v in values)
