"""Ids of an index by the rows of a lasting source: a key that came from one of its rows is not hashed again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deras.engine.kernels import known as k
from deras.engine.state.memory import Reserve

if TYPE_CHECKING:
    from collections.abc import Callable

Words = npt.NDArray[np.int64]
Source = tuple[object, tuple[int, ...], Words]
"""The source, the numbers of the key's columns in it, and the rows: see :func:`deras.core.later.source_of`."""

_ROWS = 1 << 27
_TRIES = 16


class KnownRows:
    """Which id the key of a source's row has, for one source and one choice of its columns at a time.

    Four bytes a row of the source; derived, never saved. An index that often releases ids is not worth it: after some
    times nothing is kept any more.
    """

    __slots__ = ("_held", "_numbers", "_source", "_tries", "_used")

    def __init__(self) -> None:
        self._held: Reserve | None = None
        self._source: object = None
        self._numbers: tuple[int, ...] = ()
        self._used = 0
        self._tries = 0

    def find(
        self, source: Source, flags: npt.NDArray[np.uint8], touch: bool, ask: Callable[[Words | None], Words]
    ) -> Words:
        """The ids of the rows' keys.

        Args:
            source: see :data:`Source`.
            flags: of the index's ids.
            touch: mark the ids that are known as changed.
            ask: gives the ids of the keys at these places (None: all), or -1.
        """
        token, numbers, rows = source
        n = len(rows)
        if self._held is None or self._source is not token or self._numbers != numbers:
            self.clear()
            if self._tries >= _TRIES:
                return ask(None)
            self._held, self._source, self._numbers = Reserve(_ROWS, 0, np.uint32), token, numbers
        held = self._held.array
        ids, missing, again = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
        counts = np.zeros(2, np.int64)
        k.known(rows, held, flags, touch, ids, missing, again, counts)
        m, a = counts.tolist()
        if m:
            try:
                found = ask(None if m == n else missing[:m])
            except BaseException:
                self.clear()  # what was asked for is marked so
                raise
            self._used = max(self._used, int(k.remember(rows, held, missing[:m], found, again[:a], ids)))
        return ids

    def clear(self) -> None:
        """Ids may go to other keys now."""
        if self._held is not None:
            self._held, self._source, self._used = None, None, 0
            self._tries += 1

    @property
    def bytes(self) -> int:
        """Memory in use, about."""
        return 4 * self._used
