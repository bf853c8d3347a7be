"""Memory that stays at one address while it grows: a large virtual reservation, paid for only where it is touched."""

from __future__ import annotations

import contextlib
import mmap
import sys
from typing import Any

import numpy as np
import pyarrow as pa

from deras.engine.state.ahead import HUGE, Ahead

# Python names this flag only since 3.13.
_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)


def _map(size: int, huge: bool) -> Any:
    if not hasattr(mmap, "MAP_ANONYMOUS"):
        return None
    try:
        made = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE)
    except (OSError, ValueError, OverflowError):
        return None
    # Random probes into large tables are bound by the TLB. The first pages stay small, so small state costs little.
    if huge and size > 2 * HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):
            made.madvise(mmap.MADV_HUGEPAGE, HUGE, size - HUGE)
    return made


class Reserve:
    """Zeroed rows at one address.

    ``array`` has all reserved rows, most of them never touched: address it by row, never as a whole.

    Args:
        rows: wanted reservation; less is taken where the system gives less (then :meth:`need` moves the array).
        width: elements a row, or 0 for a one-dimensional array.
        dtype: of the elements.
        huge: use huge pages; False where touched places lie far apart.
    """

    __slots__ = ("_ahead", "_huge", "_map", "array", "dtype", "rows", "width")

    def __init__(self, rows: int, width: int, dtype: Any, *, huge: bool = True) -> None:
        self._huge = huge
        self.dtype = np.dtype(dtype)
        self.width = width
        self.rows = 0
        while True:
            self._map = _map(max(mmap.PAGESIZE, rows * max(width, 1) * self.dtype.itemsize), huge)
            if self._map is not None or rows <= 4096:
                break
            rows >>= 1
        self._ahead: Ahead | None = None
        self.array: Any = self._make(rows)
        self.rows = rows

    def _make(self, rows: int) -> Any:
        n = rows * max(self.width, 1)
        flat = np.zeros(n, self.dtype) if self._map is None else np.frombuffer(self._map, self.dtype, n)
        if self._map is not None and self._huge:
            # A map, not its address, keeps the memory; an array would be asked for its own.
            self._ahead = Ahead(self._map, pa.py_buffer(flat).address, flat.nbytes)
        return flat.reshape(rows, self.width) if self.width else flat

    def fills(self, rows: int) -> None:
        """So many rows are in use, from the first: the memory of those that follow is touched ahead of time."""
        ahead = self._ahead
        if ahead is not None and (used := rows * max(self.width, 1) * self.dtype.itemsize) >= ahead.at:
            ahead.ask(used)

    def follows(self, first: int, stop: int) -> None:
        """Rows first..stop are filled next, from the first: as :meth:`fills`, where not all before them are in use."""
        ahead = self._ahead
        if ahead is not None and (at := first * max(self.width, 1) * self.dtype.itemsize) >= ahead.LEAST:
            ahead.ask_for(at, stop * max(self.width, 1) * self.dtype.itemsize)

    def drop(self, first: int, stop: int) -> None:
        """Give back the memory of rows first..stop, which begin and end with a page; whether they are zeros is open."""
        if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
            size = max(self.width, 1) * self.dtype.itemsize
            with contextlib.suppress(OSError, ValueError):
                self._map.madvise(mmap.MADV_DONTNEED, first * size, (stop - first) * size)

    def need(self, rows: int) -> bool:
        """Have at least so many rows; True if the array moved (only beyond the reservation)."""
        if rows <= self.rows:
            return False
        old, had = self.array, self.rows
        while self.rows < rows:
            self.rows *= 2
        self._map = _map(self.rows * max(self.width, 1) * self.dtype.itemsize, self._huge)
        self.array = self._make(self.rows)
        self.array[:had] = old
        return True
