"""The characters of texts, counted and cut: UTF-8 by its bytes, so no text is left undecided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deras.core.jit import helper, kernel, load8_at, load64_at, population
from deras.sql.kernels.views import ask, fetch8, first_bytes, put_part, region

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from deras.core.column import Views

_ONES = np.uint64(0x0101010101010101)
_ALL = 1 << 40


@helper
def inner_bytes(start, length, limit):  # type: ignore[no-untyped-def]
    """How many bytes of a text are not the first of a character."""
    inner = np.int64(0)
    at, last = start, start + length - np.int64(8)
    while at <= last:
        x = load64_at(at)
        inner += np.int64(population((x >> np.uint64(7)) & ~(x >> np.uint64(6)) & _ONES))
        at += np.int64(8)
    if at < start + length:
        x = first_bytes(fetch8(at, limit), start + length - at)
        inner += np.int64(population((x >> np.uint64(7)) & ~(x >> np.uint64(6)) & _ONES))
    return inner


@kernel("void(uint64[:, ::1], int64[::1], int64[::1])")
def count_characters(views, bases, out):  # type: ignore[no-untyped-def]
    """The number of characters of each text."""
    here = np.int64(views.ctypes.data)
    for i in range(len(views)):
        ask(views, i, bases)
        start, length, limit = region(views, here, i, bases)
        out[i] = length - inner_bytes(start, length, limit)


@kernel("void(uint64[:, ::1], int64[::1], int64, int64, uint64[:, ::1])")
def cut_characters(views, bases, begin, many, out):  # type: ignore[no-untyped-def]
    """At most ``many`` characters of each text behind the first ``begin``."""
    here = np.int64(views.ctypes.data)
    for i in range(len(views)):
        ask(views, i, bases)
        start, length, limit = region(views, here, i, bases)
        end = start + length
        if inner_bytes(start, length, limit) == np.int64(0):
            first = start + min(begin, length)
            behind = min(first + many, end)
        else:
            seen = np.int64(0)
            first, behind = end, end
            at = start
            while at < end:
                if (np.int64(load8_at(at)) & np.int64(0xC0)) != np.int64(0x80):
                    if seen == begin:
                        first = at
                    if seen == begin + many:
                        behind = at
                        break
                    seen += np.int64(1)
                at += np.int64(1)
            first = min(first, behind)
        out[i, 0] = np.uint64(0)
        out[i, 1] = np.uint64(0)
        if behind > first:
            put_part(out, i, views, i, start, first, behind - first, limit)


def characters(x: Views) -> npt.NDArray[np.int64]:
    """The number of characters of each text."""
    out = np.empty(len(x.views), np.int64)
    count_characters(x.views, x.bases(), out)
    return out


def part(begin: int, many: int | None) -> Callable[[Views], Views]:
    """A function of texts: their characters behind the first ``begin``, at most ``many`` (None: all)."""
    size = _ALL if many is None else many

    def run(x: Views) -> Views:
        out = np.empty_like(x.views)
        cut_characters(x.views, x.bases(), begin, size, out)
        return x.of(out)

    return run
