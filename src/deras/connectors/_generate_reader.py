"""Generated rows as a source's reader, at a rate."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from deras.core.contracts import Reader
from deras.core.delta import Delta
from deras.core.records import Offset, Records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.connectors._generate import Generator
    from deras.core.schema import Schema
    from deras.core.time import Clock

MOST_ROWS = 65536
_ROW_BYTES = 64
"""A guess, to turn a limit of bytes into one of rows."""
CATCH_UP = 1.0
"""Seconds of rows that are made up for after a stall; what is older is not due any more."""


class GeneratorReader(Reader):
    """Makes rows when they are due.

    Args:
        schema: the columns.
        generators: one a column.
        rate: rows in a second.
        total: rows in all, or None.
        clock: the time.
        at: where an earlier run stopped.
    """

    def __init__(
        self,
        schema: Schema,
        generators: Sequence[Generator],
        rate: int,
        total: int | None,
        clock: Clock,
        at: Offset | None,
    ) -> None:
        self._schema = schema
        self._generators = generators
        self._rate = rate
        self._total = total
        self._clock = clock
        self._row = int(at["row"]) if at else 0
        self._paid = 0
        self._begun: float | None = None
        self._closed = threading.Event()

    def poll(self, limit: int, wait: float) -> Records | None:
        """The rows that are due by now."""
        left = MOST_ROWS if self._total is None else self._total - self._row
        if left <= 0 or self._closed.is_set():
            return None
        n = min(left, self._due(), max(1, limit // _ROW_BYTES), MOST_ROWS)
        if n <= 0 and wait > 0:
            assert self._begun is not None  # noqa: S101
            until = self._begun + (self._paid + 1) / self._rate - self._clock.monotonic()
            self._clock.wait(self._closed, min(wait, max(until, 0.0001)))
            n = min(left, self._due(), max(1, limit // _ROW_BYTES), MOST_ROWS)
        if n <= 0:
            return Records({"row": self._row})
        rows = np.arange(self._row, self._row + n, dtype=np.uint64)
        now = self._clock.now_us()
        columns = [g.column(rows, now) for g in self._generators]
        self._row += n
        self._paid += n
        return Records({"row": self._row}, delta=Delta(self._schema, columns, length=n), count=n)

    def _due(self) -> int:
        now = self._clock.monotonic()
        if self._begun is None:
            # The first row is due at once.
            self._begun = now - 1 / self._rate
        behind = now - self._begun - self._paid / self._rate
        if behind > CATCH_UP + 1 / self._rate:
            self._begun += behind - CATCH_UP
        return int((now - self._begun) * self._rate + 1e-6) - self._paid

    def close(self) -> None:
        """Stop."""
        self._closed.set()
