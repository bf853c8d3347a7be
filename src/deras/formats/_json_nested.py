"""Columns of ROW and ARRAY from their JSON texts, by the kernel that decodes records.

The texts of a ROW are records themselves; the elements of all arrays are records without a key. What the kernel does
not take (or what is wrong) is named, so that the exact path judges the whole value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from deras.core.column import Column
from deras.core.records import PAD, Block
from deras.core.schema import Field, Schema
from deras.core.types import Kind, Layout, SqlType, polars_type
from deras.formats import _json_kernel as k
from deras.formats._json_decoder import JsonDecoder
from deras.formats._json_texts import Ids, Texts
from deras.formats._text_decoder import Run

if TYPE_CHECKING:
    from deras.core.records import Decoded
    from deras.formats._exact import Style


def supported(t: SqlType) -> bool:
    """Whether the kernel decodes all of it: no MAP, no MULTISET, no ROW without fields or with equal names."""
    if t.layout is not Layout.NESTED:
        return True
    if t.kind is Kind.ROW and (not t.names or len(set(t.names)) < len(t.names)):
        return False
    return t.kind in (Kind.ROW, Kind.ARRAY) and all(map(supported, t.children))


class NestedDecoder:
    """Decodes one type; see the module."""

    def __init__(self, t: SqlType, style: Style) -> None:
        self.type = t
        names = t.names if t.kind is Kind.ROW else ("",)
        schema = Schema(tuple(Field(n, c) for n, c in zip(names, t.children, strict=True)))
        self._inner = JsonDecoder(schema, None, "", style)
        self._inner.state[k.BARE] = t.kind is Kind.ARRAY

    def decode(self, texts: Texts) -> tuple[Column, Ids]:
        """The values, and the positions of those that the kernel does not take (they are NULL)."""
        if self.type.kind is Kind.ROW:
            return self._rows(texts)
        return self._lists(texts)

    def _parts(self, texts: Texts) -> tuple[Decoded, Ids]:
        block = Block(texts.data, 0, len(texts.data) - PAD)
        part = _Part(self._inner, block, texts.data)
        decoded = part.decode(0, block.end, texts.spans)
        return decoded, np.unique(np.array(part.left, np.int64))

    def _rows(self, texts: Texts) -> tuple[Column, Ids]:
        there = np.flatnonzero(~texts.missing)
        some = len(there) < len(texts.spans)
        decoded, left = self._parts(Texts(texts.data, np.ascontiguousarray(texts.spans[there])) if some else texts)
        fields = [c.series().alias(n) for c, n in zip(decoded.delta.columns, self.type.names, strict=True)]
        series = pl.DataFrame(fields).to_struct("")
        if some or len(left):
            place: Any = np.full(len(texts.spans), -1)
            place[there] = np.arange(len(there))
            place[there[left]] = -1
            series = series.gather(pl.Series(place).set(pl.Series(place < 0), None))
        return Column.of_series(self.type, series.cast(polars_type(self.type))), there[left]

    def _lists(self, texts: Texts) -> tuple[Column, Ids]:
        elements, counts = texts.elements()
        decoded, left = self._parts(elements)
        missing = texts.missing
        wrong = (counts < 0) & ~missing
        if len(left):
            ends = np.cumsum(np.maximum(counts, 0))
            wrong[np.searchsorted(ends, left, side="right")] = True
        offsets = np.concatenate([[0], np.cumsum(np.maximum(counts, 0))])
        null = missing | wrong
        inner = decoded.delta.columns[0].series()
        lists = pa.LargeListArray.from_arrays(
            pa.array(offsets, pa.int64()),
            inner.to_arrow(compat_level=pl.CompatLevel.newest()),
            mask=pa.array(null) if null.any() else None,
        )
        series = pl.Series("", lists).cast(polars_type(self.type))
        return Column.of_series(self.type, series), np.flatnonzero(wrong)


class _Part(Run):
    """Values as records; those that the kernel leaves are only noted in ``left``."""

    def __init__(self, decoder: JsonDecoder, block: Block, data: Any) -> None:
        super().__init__(decoder, block, data)
        self.left: list[int] = []

    def _one(self, start: int, end: int, row: int) -> None:
        self.left.append(row)
        for j, i in enumerate(self.d.wanted):
            self._put(j, i, row, None)

    def _nested(self, j: int, i: int, t: SqlType, rows: int) -> Column:
        column, left = self.by_kernel(j, i, t, rows)
        self.left.extend(left.tolist())
        return column


__all__ = ["NestedDecoder", "supported"]
