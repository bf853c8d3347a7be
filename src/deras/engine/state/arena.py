"""Long text of keys and rows: append-only chunks, cleaned one at a time when most of one is dead.

Bytes in a chunk never change, so columns may point into it; a cleaned chunk is forgotten, and its memory is used again
when no column points into it any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deras.engine.state.ahead import HUGE
from deras.engine.state.pieces import LARGEST, piece

if TYPE_CHECKING:
    from collections.abc import Callable

_SMALL = 4096
_PART = 16  # a chunk is at most about this part of what is held


class Arena:
    """Chunks of bytes with references ``number | offset << 32`` into them, as in the second word of an Arrow view."""

    def __init__(self) -> None:
        self.chunks: list[Any] = []
        self.used = np.zeros(8, np.int64)
        """Used bytes of each chunk but the current one."""
        self.bases = np.zeros(8, np.int64)
        """Address of each chunk."""
        self.held = np.zeros(8, np.int64)
        """Live bytes of each chunk."""
        self.fill = np.zeros(4, np.int64)
        """Current chunk, its used bytes, its size; the fourth is for the kernel that fills it."""
        self._spare: list[int] = []
        self._next: Any = None
        self.bytes = 0
        """Memory held."""
        self.dead = 0
        """Bytes that died since the last look."""
        self.open(0)

    @property
    def current(self) -> int:
        """The number of the current chunk."""
        return int(self.fill[0])

    @property
    def chunk(self) -> Any:
        """The bytes of the current chunk."""
        return self.chunks[int(self.fill[0])]

    def open(self, need: int) -> None:
        """Begin a chunk with room for ``need`` bytes."""
        if self.chunks:
            self.used[int(self.fill[0])] = int(self.fill[1])
        size = self._size(need)
        if self._spare:
            number = self._spare.pop()
        else:
            number = len(self.chunks)
            self.chunks.append(None)
            if number >= len(self.bases):
                # Kernels see the arrays anew at each call.
                self.bases = np.concatenate([self.bases, np.zeros_like(self.bases)])
                self.held = np.concatenate([self.held, np.zeros_like(self.held)])
                self.used = np.concatenate([self.used, np.zeros_like(self.used)])
        chunk, self._next = self._next, None
        if chunk is None or len(chunk) != size:
            chunk = piece(size)
        if HUGE <= size <= LARGEST:
            # Of the size that is wanted as long as state grows slowly.
            self._next = piece(size, later=True)
        self.chunks[number] = chunk
        self.bytes += size
        self.used[number] = 0
        self.bases[number] = chunk.ctypes.data
        self.held[number] = 0
        self.fill[:3] = (number, 0, size)

    def _size(self, need: int) -> int:
        """As large as what is held allows: small state stays small, and steady state keeps its sizes."""
        size = _SMALL
        while size < LARGEST and self.bytes >= (4 if size < HUGE else _PART) * size:
            size *= 2
        return max(size, need if need < HUGE else -(-need // HUGE) * HUGE)

    def tidy(self, move: Callable[[int], None]) -> None:
        """After deaths: forget dead chunks, and have ``move(number)`` copy one mostly dead chunk's live text away."""
        if self.dead < min(HUGE // 8, self.bytes // 4):
            return
        self.dead = 0
        current = int(self.fill[0])
        worst, share = -1, 0.5
        for number, chunk in enumerate(self.chunks):
            if chunk is None or number == current:
                continue
            if self.held[number] == 0:
                self.forget(number)
            elif self.held[number] < share * len(chunk):
                worst, share = number, float(self.held[number]) / len(chunk)
        if worst >= 0:
            if self.held[worst] > self.fill[2] - self.fill[1]:
                self.open(int(self.held[worst]))
            move(worst)
            self.forget(worst)

    def forget(self, number: int) -> None:
        """The chunk's text is dead; columns that point into it keep it."""
        self.bytes -= len(self.chunks[number])
        self.chunks[number] = None
        self.bases[number] = 0
        self.used[number] = 0
        self.held[number] = 0
        self._spare.append(number)
