"""Columns made by kernels of functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.column import Column, Views
from deras.sql.kernels.moments import moment_texts, template
from deras.sql.kernels.numbers import products
from deras.sql.kernels.pattern import program
from deras.sql.kernels.regex import DEPTH, extract_parts
from deras.sql.kernels.text import change_case, long_bytes, split_parts
from deras.sql.kernels.views import rare_byte, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from deras.core.types import SqlType

_NONE = np.zeros(0, np.uint8)
_UNDECIDED = 2
"""What a kernel says of a row: 1 for a value, 0 for NULL, or this: the general form of the function decides."""


def bits(c: Column) -> npt.NDArray[np.uint8]:
    """Validity for kernels: uint8[n], or of length 0 if nothing is NULL."""
    valid = c.valid()
    return _NONE if valid is None else valid


def column(
    t: SqlType,
    source: Column,
    views: npt.NDArray[np.uint64],
    buffers: list[npt.NDArray[np.uint8]],
    said: npt.NDArray[np.uint8],
    counts: tuple[int, int],
    general: Callable[[Column], Column] | None = None,
) -> Column:
    """The column of a kernel's views.

    Args:
        t: its type.
        source: the function's argument.
        views: uint64[n, 2].
        buffers: that they point into.
        said: uint8[n] of 1, 0 (NULL) or 2 (undecided).
        counts: how many rows are NULL, and how many are undecided.
        general: the function for undecided rows.
    """
    nulls, undecided = counts
    if undecided:
        if general is None:
            raise ValueError("a kernel left rows undecided")
        rows = np.flatnonzero(said == _UNDECIDED)
        found = general(source.take(rows))
        theirs, valid = found.views(), found.valid()
        moved = theirs.views.copy()
        moved[(moved[:, 0] & np.uint64(0xFFFFFFFF)) > 12, 1] += np.uint64(len(buffers))
        views[rows] = moved
        buffers = [*buffers, *theirs.buffers]
        said[rows] = 1 if valid is None else valid
        nulls = nulls + (0 if valid is None else len(valid) - int(valid.sum()))
    return Column.of_views(t, Views(views, buffers), said if nulls else None)


def split_index(t: SqlType, separator: str, index: int) -> Callable[[Column], Column]:
    """``SPLIT_INDEX(·, separator, index)`` of a separator that is not empty and an index from 0 on."""
    text = separator.encode()
    words, size = words_of(text), len(text)

    def run(c: Column) -> Column:
        views = c.views()
        out, said = np.empty_like(views.views), np.empty(c.length, np.uint8)
        nulls = split_parts(views.views, views.bases(), bits(c), words, size, index, out, said)
        return column(t, c, out, views.buffers, said, (nulls, 0))

    return run


def case(t: SqlType, first: str, general: Callable[[Column], Column]) -> Callable[[Column], Column]:
    """LOWER (``first``: A) or UPPER (``first``: a); ``general`` for texts that are not ASCII."""

    def run(c: Column) -> Column:
        views, valid = c.views(), bits(c)
        total = long_bytes(views.views, valid)
        if total > 0x7FFFFFFF:
            return general(c)
        out, said = np.empty_like(views.views), np.empty(c.length, np.uint8)
        heap = np.empty(total // 8, np.uint64)
        undecided = change_case(views.views, views.bases(), valid, np.uint8(ord(first)), out, heap, said)
        buffers: list[Any] = [heap.view(np.uint8)] if total else []
        nulls = 0 if not len(valid) else c.length - int(valid.sum())
        return column(t, c, out, buffers, said, (nulls, undecided), general)

    return run


def moment_text(
    t: SqlType, pattern: str, source: SqlType, general: Callable[[Column], Column]
) -> Callable[[Column], Column] | None:
    """``DATE_FORMAT(·, pattern)`` of wall times (TIMESTAMP), or None; ``general`` for years beyond 0 to 9999."""
    made = template(pattern)
    if made is None:
        return None
    per_second = 1_000_000_000 if source.nanoseconds else 1_000_000
    unit = made.seconds * per_second or max(1, per_second // 10**made.digits)
    size = made.size

    def run(c: Column) -> Column:
        n, valid = c.length, bits(c)
        if size > 12 and n * size > 0x7FFFFFFF:
            return general(c)
        out, said = np.empty((n, 2), np.uint64), np.empty(n, np.uint8)
        heap = np.empty(n * size if size > 12 else 0, np.uint8)
        undecided = moment_texts(
            c.words(), valid, per_second, unit, made.fields, made.text.copy(), size, out, heap, said
        )
        nulls = 0 if not len(valid) else n - int(valid.sum())
        return column(t, c, out, [heap] if size > 12 else [], said, (nulls, undecided), general)

    return run


def extract(
    t: SqlType, pattern: str, group: int, general: Callable[[Column], Column]
) -> Callable[[Column], Column] | None:
    """``REGEXP_EXTRACT(·, pattern, group)``, or None; ``general`` for texts that are not ASCII or take too long."""
    made = program(pattern)
    if made is None or not 0 <= group <= made.groups:
        return None
    literal, size, rare = words_of(made.literal), len(made.literal), rare_byte(made.literal)

    def run(c: Column) -> Column:
        views = c.views()
        out, said = np.empty_like(views.views), np.empty(c.length, np.uint8)
        slots, stack = np.empty(2 * made.groups + 2, np.int64), np.empty((DEPTH, 4), np.int64)
        counts = extract_parts(
            views.views, views.bases(), bits(c), made.code, made.sets, made.first, int(made.empty),
            int(made.anchored), literal, size, rare, made.before, slots, stack, group, out, said,
        )  # fmt: skip
        return column(t, c, out, views.buffers, said, counts, general)

    return run


def product(t: SqlType, factor: int) -> Callable[[Column], Column]:
    """Words times a constant below 2**63, as a DECIMAL of more than 18 digits."""

    def run(c: Column) -> Column:
        limbs = np.empty((c.length, 2), np.int64)
        products(c.words(), factor, limbs)
        return Column.of_limbs(t, limbs, c.valid())

    return run
