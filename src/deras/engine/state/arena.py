"""Long text of keys and rows: append-only chunks, cleaned one at a time when most of one is dead.

Bytes in a chunk never change, so columns may point into it; a cleaned chunk is forgotten, not reused, and lives on
only as
long as a column that points into it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

_SMALL, _LARGE = 4096, 1 << 20


class Arena:
    """Chunks of bytes with references ``number | offset << 32`` into them, as in the second word of an Arrow view."""

    def __init__(self) -> None:
        self.chunks: list[Any] = []
        self.used: list[int] = []
        self.bases = np.zeros(8, np.int64)
        """Address of each chunk."""
        self.held = np.zeros(8, np.int64)
        """Live bytes of each chunk."""
        self.fill = np.zeros(3, np.int64)
        """Current chunk, its used bytes, its size."""
        self._spare: list[int] = []
        self._next = _SMALL
        self.dead = 0
        """Bytes that died since the last look."""
        self.open(0)

    @property
    def chunk(self) -> Any:
        """The bytes of the current chunk."""
        return self.chunks[int(self.fill[0])]

    @property
    def bytes(self) -> int:
        """Memory held."""
        return sum(len(c) for c in self.chunks if c is not None)

    def open(self, need: int) -> None:
        """Begin a chunk with room for ``need`` bytes."""
        if self.chunks:
            self.used[int(self.fill[0])] = int(self.fill[1])
        size = max(self._next, need)
        self._next = min(self._next * 2, _LARGE)
        if self._spare:
            number = self._spare.pop()
        else:
            number = len(self.chunks)
            self.chunks.append(None)
            self.used.append(0)
            if number >= len(self.bases):
                # Kernels see the arrays anew at each call.
                self.bases = np.concatenate([self.bases, np.zeros_like(self.bases)])
                self.held = np.concatenate([self.held, np.zeros_like(self.held)])
        chunk = np.empty(size, np.uint8)
        self.chunks[number] = chunk
        self.used[number] = 0
        self.bases[number] = chunk.ctypes.data
        self.held[number] = 0
        self.fill[:] = (number, 0, size)

    def tidy(self, move: Callable[[int], None]) -> None:
        """After deaths: forget dead chunks, and have ``move(number)`` copy one mostly dead chunk's live text away."""
        if self.dead < min(_LARGE // 4, self._next // 2):
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
        self.chunks[number] = None
        self.bases[number] = 0
        self.used[number] = 0
        self._spare.append(number)
