"""Deltas to JSON lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Field, Schema
from deras.core.types import Kind, Layout, polars_type
from deras.formats import _encode_kernel as e
from deras.formats._text_encoder import Forms, TextEncoder, json_value

if TYPE_CHECKING:
    from deras.core.types import SqlType


class JsonEncoder(TextEncoder):
    """One object a line, keys in the schema's order."""

    text_kind = e.JSON_TEXT
    quotes_words = True

    def __init__(
        self, schema: Schema, *, iso: bool, plain: bool, leave_out_nulls: bool, null_key: str, null_key_literal: str
    ) -> None:
        prefixes = [json.dumps(f.name, ensure_ascii=False).encode() + b":" for f in schema]
        style = (ord("{"), ord("}"), ord(","), -1, -1, int(leave_out_nulls))
        super().__init__(schema, Forms(iso, plain), style, prefixes, b"null")
        self._maps = (null_key, null_key_literal, leave_out_nulls)
        self._inner: dict[SqlType, JsonEncoder] = {}

    def no_number(self, text: str) -> str:
        """See :class:`TextEncoder`."""
        return f'"{text}"'

    def bytes_(self, s: pl.Series) -> pl.Series:
        """See :class:`TextEncoder`."""
        return pl.select('"' + pl.lit(super().bytes_(s)) + '"').to_series()

    def value(self, value: Any, t: SqlType) -> str:
        """See :class:`TextEncoder`."""
        return json_value(value, t, self.forms, *self._maps)

    def texts(self, column: Column) -> pl.Series:
        """See :class:`TextEncoder`; fields and elements are written by the kernel, maps value by value."""
        t = column.type
        if t.layout is not Layout.NESTED or not _plain(t):
            return super().texts(column)
        s = column.series()
        if t.kind is Kind.ROW:
            fields = zip(t.names, t.children, strict=True)
            found = self._lines(t, [Column.of_series(c, s.struct.field(n)) for n, c in fields])
        else:
            lists: Any = s.to_arrow(compat_level=pl.CompatLevel.newest())
            if isinstance(lists, pa.ChunkedArray):
                lists = lists.combine_chunks()
            child = t.children[0]
            elements = pl.Series("", lists.flatten()).cast(polars_type(child))
            texts = self._lines(t, [Column.of_series(child, elements)])
            ends = s.list.len().fill_null(0).cast(pl.Int64).cum_sum()
            offsets = pa.array(np.concatenate([[0], ends.to_numpy()]), pa.int64())
            joined = pl.Series("", pa.LargeListArray.from_arrays(offsets, texts.to_arrow())).list.join(",")
            found = pl.select(pl.concat_str(pl.lit("["), pl.lit(joined), pl.lit("]"))).to_series()
        return found if not s.null_count() else found.set(s.is_null(), None)

    def _lines(self, t: SqlType, columns: list[Column]) -> pl.Series:
        """The text of each row of a ROW's fields, or of each element of arrays."""
        n = len(columns[0])
        if not n:
            return pl.Series("", [], dtype=pl.String)
        if t not in self._inner:
            self._inner[t] = self._part(t)
        encoder = self._inner[t]
        made = encoder.encode(Delta(encoder.schema, columns, length=n))
        data = np.frombuffer(made if isinstance(made, bytes) else b"".join(made), np.uint8)
        # No value holds a line feed as it is.
        feeds = np.flatnonzero(data == 10)
        offsets = np.concatenate([[0], feeds - np.arange(n)])
        buffers = [None, pa.py_buffer(offsets.astype(np.int64)), pa.py_buffer(data[data != 10])]
        return pl.Series("", pa.Array.from_buffers(pa.large_string(), n, buffers))

    def _part(self, t: SqlType) -> JsonEncoder:
        null_key, literal, leave_out = self._maps
        names = t.names if t.kind is Kind.ROW else ("",)
        made = JsonEncoder(
            Schema(tuple(Field(n, c) for n, c in zip(names, t.children, strict=True))),
            iso=self.forms.separator == "T",
            plain=self.forms.plain,
            leave_out_nulls=leave_out,
            null_key=null_key,
            null_key_literal=literal,
        )
        if t.kind is Kind.ARRAY:
            made._style[[e.OPEN, e.CLOSE, e.SKIP_NULLS]] = -1, -1, 0
            made._prefix = made._prefix[:0]
            made._begins[:] = 0
        return made


def _plain(t: SqlType) -> bool:
    """Whether a type is made of rows, arrays and scalars."""
    if t.layout is not Layout.NESTED:
        return True
    if t.kind is Kind.ROW:
        return bool(t.names) and len(set(t.names)) == len(t.names) and all(map(_plain, t.children))
    return t.kind is Kind.ARRAY and _plain(t.children[0])
