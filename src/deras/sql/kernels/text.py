"""Functions of text over string views: results share the bytes of their arguments where they can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.column import Column, Views
from deras.core.jit import kernel, load64_at
from deras.sql.kernels.views import ask, fetch8, find_byte, find_text, first_bytes, put_part, region, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from deras.core.types import SqlType

_NONE = np.zeros(0, np.uint8)
_HIGH = np.uint64(0x8080808080808080)
_ONES = np.uint64(0x0101010101010101)

GIVEN, NULL, UNDECIDED = 1, 0, 2
"""What a kernel says of a row. Of those that it leaves undecided the general form of the function decides."""


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
        said: uint8[n] of ``GIVEN``, ``NULL``, ``UNDECIDED``.
        counts: how many rows are NULL, and how many are undecided.
        general: the function for undecided rows.
    """
    nulls, undecided = counts
    if undecided:
        if general is None:
            raise ValueError("a kernel left rows undecided")
        rows = np.flatnonzero(said == UNDECIDED)
        found = general(source.take(rows))
        theirs, valid = found.views(), found.valid()
        moved = theirs.views.copy()
        moved[(moved[:, 0] & np.uint64(0xFFFFFFFF)) > 12, 1] += np.uint64(len(buffers))
        views[rows] = moved
        buffers = [*buffers, *theirs.buffers]
        said[rows] = 1 if valid is None else valid
        nulls = nulls + (0 if valid is None else len(valid) - int(valid.sum()))
    return Column.of_views(t, Views(views, buffers), said if nulls else None)


@kernel(
    "int64(uint64[:, ::1], int64[::1], uint8[::1], uint64[::1], int64, int64, uint64[:, ::1], uint8[::1])",
)
def split_parts(views, bases, valid, separator, size, index, out, said):  # type: ignore[no-untyped-def]
    """Part ``index`` of each text between separators of ``size`` bytes; gives the number of NULLs.

    Empty text has no parts.
    """
    here = np.int64(views.ctypes.data)
    head = separator[0] & np.uint64(0xFF)
    nulls = np.int64(0)
    for i in range(len(views)):
        ask(views, i, bases)
        start, length, limit = region(views, here, i, bases)
        end = start + length
        at, stop = start, np.int64(-1)
        if length > np.int64(0) and (len(valid) == 0 or valid[i] != 0):
            k = index
            while True:
                if size == np.int64(1):
                    stop = find_byte(at, end, limit, head)
                else:
                    stop = find_text(at, end, limit, separator, size, np.int64(0))
                    stop = end if stop < np.int64(0) else stop
                if k == np.int64(0):
                    break
                if stop == end:
                    stop = np.int64(-1)
                    break
                at = stop + size
                k -= np.int64(1)
        if stop < np.int64(0):
            out[i, 0] = np.uint64(0)
            out[i, 1] = np.uint64(0)
            said[i] = 0
            nulls += np.int64(1)
            continue
        put_part(out, i, views, i, start, at, stop - at, limit)
        said[i] = 1
    return nulls


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


@kernel("int64(uint64[:, ::1], uint8[::1])")
def long_bytes(views, valid):  # type: ignore[no-untyped-def]
    """The bytes of all texts that do not lie in their views."""
    total = np.int64(0)
    for i in range(len(views)):
        length = np.int64(views[i, 0] & np.uint64(0xFFFFFFFF))
        if length > np.int64(12) and (len(valid) == 0 or valid[i] != 0):
            total += (length + np.int64(7)) & ~np.int64(7)
    return total


@kernel(
    "int64(uint64[:, ::1], int64[::1], uint8[::1], uint8, uint64[:, ::1], uint64[::1], uint8[::1])",
)
def change_case(views, bases, valid, first, out, heap, said):  # type: ignore[no-untyped-def]
    """Letters of ASCII from ``first`` on to the other case; gives the number of undecided rows (not ASCII).

    ``heap``: words of :func:`long_bytes`; a long text begins at a word.
    """
    here = np.int64(views.ctypes.data)
    low = np.uint64(0x80 - np.int64(first)) * _ONES
    high = np.uint64(0x80 - np.int64(first) - 26) * _ONES
    undecided = np.int64(0)
    used = np.int64(0)
    for i in range(len(views)):
        out[i, 0] = np.uint64(0)
        out[i, 1] = np.uint64(0)
        said[i] = 1
        ask(views, i, bases)
        if len(valid) and valid[i] == 0:
            said[i] = 0
            continue
        start, length, limit = region(views, here, i, bases)
        if length <= np.int64(12):
            a = first_bytes(load64_at(start), min(length, np.int64(8)))
            b = np.uint64(0)
            if length > np.int64(8):
                b = first_bytes(load64_at(start + np.int64(4)) >> np.uint64(32), length - np.int64(8))
            if (a | b) & _HIGH:
                said[i] = 2
                undecided += np.int64(1)
                continue
            a ^= (((a + low) ^ (a + high)) & _HIGH) >> np.uint64(2)
            b ^= (((b + low) ^ (b + high)) & _HIGH) >> np.uint64(2)
            out[i, 0] = np.uint64(length) | (a << np.uint64(32))
            out[i, 1] = (a >> np.uint64(32)) | (b << np.uint64(32))
            continue
        begin = used
        seen = np.uint64(0)
        done = np.int64(0)
        while done < length:
            x = fetch8(start + done, limit)
            seen |= x
            heap[used] = x ^ ((((x + low) ^ (x + high)) & _HIGH) >> np.uint64(2))
            used += np.int64(1)
            done += np.int64(8)
        if seen & _HIGH:
            said[i] = 2
            undecided += np.int64(1)
            used = begin
            continue
        out[i, 0] = np.uint64(length) | (heap[begin] << np.uint64(32))
        out[i, 1] = np.uint64(begin * np.int64(8)) << np.uint64(32)
    return undecided


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
