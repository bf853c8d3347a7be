"""Rows of segments as of a moment, read by others while the step thread goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from deras.core.column import Column
from deras.core.types import polars_type
from deras.engine.kernels import segments as k

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from deras.core.schema import Schema
    from deras.engine.state.keys import KeyShape

Ids = npt.NDArray[np.int64]
Nested = dict[int, dict[int, list[pl.Series]]]
"""Values of nested types, by column and block."""

SHIFT = 13
BLOCK = 1 << SHIFT
"""Rows of a block: the unit of compaction and of reuse."""


class Pin:
    """Somebody reads the rows as of a moment: blocks freed since then must not be written over."""

    __slots__ = ("__weakref__", "at")

    def __init__(self, at: int) -> None:
        self.at = at


@dataclass(slots=True)
class Rows:
    """The rows visible at a moment. Immutable; may be read by any thread, at any later time.

    Args:
        schema: of the rows.
        at: the moment.
        low: only rows born at or after it.
        ranges: int64[n, 2] places to look at.
    """

    schema: Schema
    at: int
    low: int
    ranges: npt.NDArray[np.int64]
    _segments_tab: Any
    _shape: KeyShape
    _chunks: list[Any]
    _bases: npt.NDArray[np.int64]
    _nested: Nested
    _pin: Pin
    _ids: Ids | None = field(default=None)

    def ids(self) -> Ids:
        """The places of the rows, in arrival order."""
        if self._ids is None:
            room = int((self.ranges[:, 1] - self.ranges[:, 0]).sum())
            out = np.empty(room, np.int64)
            m = 0
            width = self._shape.width
            for a, b in self.ranges.tolist():
                m = k.visible(self._segments_tab, width, a, b, self.low, self.at, out, m)
            ids = out[:m].copy()
            if not k.in_order(ids, self._segments_tab, width):
                ids = ids[np.argsort(self.births(ids), kind="stable")]
            self._ids = ids
        return self._ids

    def __len__(self) -> int:
        return len(self.ids())

    def births(self, ids: Ids) -> npt.NDArray[np.int64]:
        """The birth numbers of rows: unique, ascending in arrival order."""
        return self.word(ids, self._shape.width)

    def word(self, ids: Ids, word: int) -> npt.NDArray[np.int64]:
        """One word of each row."""
        out = np.empty(len(ids), np.int64)
        k.gather(ids, self._segments_tab, word, out)
        return out

    def columns(self, ids: Ids | None = None, only: Collection[int] | None = None) -> list[Column]:
        """The values of all rows, or of the rows at these places: all columns, or those at the positions ``only``."""
        ids = self.ids() if ids is None else ids
        return gather(self.schema, self._shape, self._segments_tab, self._chunks, self._bases, self._nested, ids, only)


def gather(
    schema: Schema,
    shape: KeyShape,
    tab: Any,
    chunks: Sequence[Any],
    bases: npt.NDArray[np.int64],
    nested: Nested,
    ids: Ids,
    only: Collection[int] | None = None,
) -> list[Column]:
    """The columns of rows, or some of them by position, in the schema's order; text points into the chunks."""
    which = None if only is None else sorted(only)
    if not nested:
        return shape.read(tab, chunks, bases, ids, which)
    wanted = range(len(schema)) if which is None else which
    flat = [i for i in range(len(schema)) if i not in nested]
    plain = iter(shape.read(tab, chunks, bases, ids, [flat.index(i) for i in wanted if i not in nested]))
    return [
        Column.of_series(schema[i].type, pick(nested[i], ids, polars_type(schema[i].type)))
        if i in nested
        else next(plain)
        for i in wanted
    ]


def pick(blocks: dict[int, list[pl.Series]], ids: Ids, dtype: Any) -> pl.Series:
    """The values of one column of a nested type, by block, of these rows."""
    if not len(ids):
        return pl.Series("", [], dtype=dtype)
    order = np.argsort(ids >> SHIFT, kind="stable")
    numbers, starts = np.unique((ids >> SHIFT)[order], return_index=True)
    parts = []
    for n, a, b in zip(numbers.tolist(), starts.tolist(), [*starts[1:].tolist(), len(ids)]):
        pieces = blocks[n]
        whole = pieces[0] if len(pieces) == 1 else pl.concat(pieces, rechunk=True)
        parts.append(whole.gather(pl.Series(ids[order[a:b]] & (BLOCK - 1))))
    back = np.empty(len(ids), np.int64)
    back[order] = np.arange(len(ids))
    return pl.concat(parts, rechunk=True).gather(pl.Series(back))


def own(series: pl.Series, places: Ids) -> pl.Series:
    """Rows of a series with memory of their own: slices and string views would keep the whole batch alive."""
    part = series.gather(pl.Series(places))
    return pl.Series("", part.to_arrow(compat_level=pl.CompatLevel.oldest()))
