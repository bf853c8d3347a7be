"""Large pieces of memory on huge pages, used again when nobody points into them any more.

The first touch of a fresh page costs as much as copying it a few times, so what one arena gives back another one takes.
"""

from __future__ import annotations

import contextlib
import mmap
import sys
from typing import Any

import numpy as np

from deras.engine.state.ahead import HUGE, touch

# Python names this flag only since 3.13.
_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
_LEAST = 64 << 10
LARGEST = 4 * HUGE
"""Size of the largest pieces that are used again."""
_KEEP = 4 * LARGEST
"""Bytes kept for later at most; more goes back to the system."""

_spare: dict[int, list[Any]] = {}


class _Owner:
    """Gives the memory back when the last array, column or buffer that points into it is gone, in whatever thread."""

    __slots__ = ("__array_interface__", "_map", "_size")

    def __init__(self, made: Any, size: int) -> None:
        self._map = made
        self._size = size
        place = np.frombuffer(made, np.uint8).ctypes.data
        self.__array_interface__ = {
            "data": (place + (-place % HUGE if size >= HUGE else 0), False),
            "shape": (size,),
            "typestr": "|u1",
            "version": 3,
        }

    def __del__(self) -> None:
        # At the end of the interpreter there is nothing left to give it to.
        with contextlib.suppress(Exception):
            if self._size <= LARGEST and spare() + self._size <= _KEEP:
                _spare.setdefault(self._size, []).append(self._map)


def _fresh(size: int) -> Any:
    if not hasattr(mmap, "MAP_ANONYMOUS"):
        return None
    try:
        room = size + HUGE if size >= HUGE else size
        made = mmap.mmap(-1, room, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE)
    except (OSError, ValueError, OverflowError):
        return None
    if size >= HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):
            made.madvise(mmap.MADV_HUGEPAGE)
    return made


def piece(size: int, *, later: bool = False) -> Any:
    """uint8[size] with anything in it; powers of two from 64 KB to :data:`LARGEST` come from what others gave back.

    ``later``: it is not written at once, so that its memory can be touched by then.
    """
    if size < _LEAST or (size < HUGE and size & (size - 1)):
        return np.empty(size, np.uint8)
    made = None
    # Another thread may take the last one between two looks.
    with contextlib.suppress(KeyError, IndexError):
        made = _spare[size].pop()
    if made is None:
        made = _fresh(size)
        if made is not None and later:
            array = np.asarray(_Owner(made, size))
            touch(array, array.ctypes.data, size)
            return array
    return np.empty(size, np.uint8) if made is None else np.asarray(_Owner(made, size))


def spare() -> int:
    """Bytes kept for later."""
    return sum(size * len(some) for size, some in list(_spare.items()))
