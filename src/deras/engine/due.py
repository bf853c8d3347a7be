"""Rows of a segment by the time at which something is due for them: to leave, or to be answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deras.engine.kernels import due as k

if TYPE_CHECKING:
    from deras.engine.state import Segments

Words = npt.NDArray[np.int64]
_PIECE = 1 << 16


class DueQueue:
    """A queue of the live rows of one segment. It is derived: push again what a restore brought, and what moved.

    Args:
        segments: whose rows wait.
    """

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._heap = np.empty((64, 3), np.int64)
        self._n = 0

    def push(self, ids: Words, dues: Words) -> None:
        """Rows and when they are due, ms."""
        need = self._n + len(ids)
        if need > len(self._heap):
            grown = np.empty((max(need, 2 * len(self._heap)), 3), np.int64)
            grown[: self._n] = self._heap[: self._n]
            self._heap = grown
        k.push(self._heap, self._n, dues, ids, self._segments.tab, self._segments.cell0 - 2)
        self._n = need

    def next(self) -> int | None:
        """When the first row may be due, ms; None if nothing waits."""
        return int(self._heap[0, 0]) if self._n else None

    def pop(self, limit: int) -> tuple[Words, Words]:
        """Live rows due up to ``limit`` and their due times, by due time, those of one moment by arrival."""
        found: list[tuple[Words, Words]] = []
        left = np.zeros(1, np.int64)
        while self._n and self._heap[0, 0] <= limit:
            room = min(self._n, _PIECE)
            ids, dues = np.empty(room, np.int64), np.empty(room, np.int64)
            m = k.pop(
                self._heap, self._n, limit, self._segments.tab, self._segments.cell0 - 2, ids, dues, left
            )  # fmt: skip
            self._n = int(left[0])
            found.append((ids[:m], dues[:m]))
        if len(self._heap) > 64 and self._n < len(self._heap) // 8:
            self._heap = self._heap[: max(64, self._n * 2)].copy()
        if len(found) == 1:
            return found[0]
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return np.concatenate([i for i, _ in found]), np.concatenate([d for _, d in found])
