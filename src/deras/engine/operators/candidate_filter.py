"""Rows that may have the extreme of a window: those that are surpassed already go no further."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deras.core.time import MIN_WATERMARK
from deras.core.types import Layout
from deras.engine.kernels import candidates as k
from deras.engine.operator import Operator, Out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.delta import Delta
    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.state import State
    from deras.engine.windows import Windows

PLACES = 256
"""Windows of which an extreme is kept. More are open only where times are far apart: then more rows go through."""
_FREE = np.iinfo(np.int64).min
_ALL = np.zeros(0, np.uint8)


class CandidateFilter(Operator):
    """Lets through what may equal the greatest (or least) value of a window between whose end and its time lie ``low``
    to ``high`` ms.

    The rows that the aggregate of the windows counts are these or more: rows that are late for a window are not of it.
    A row goes no further when for each window that it may meet a counted row had a greater value. NULL equals nothing.

    Args:
        input: schema of rows that only come.
        value: position of the value (one word: an integer, a date, a time).
        time: position of the time by which rows fall into windows, TIMESTAMP.
        function: ``MAX`` or ``MIN``.
        windows: whose extremes are asked for; of wall time.
        low: least difference between the end of a window that a row may meet and its time, ms.
        high: greatest difference, ms.

    Raises:
        ValueError: a value of another layout, or windows in a zone.
    """

    append_only = True

    def __init__(
        self,
        input: Schema,  # noqa: A002
        value: int,
        time: int,
        function: Literal["MAX", "MIN"],
        windows: Windows,
        low: int,
        high: int,
    ) -> None:
        if input[value].type.layout is not Layout.WORDS or windows.zone is not None:
            raise ValueError("a candidate filter compares words, in windows of wall time")
        self.schema = input
        self.value = value
        self.time = time
        self.function = function
        self.windows = windows
        self.low, self.high = low, high
        self._step = windows.size if windows.kind == "tumble" else windows.slide

    def open(self, state: State) -> None:
        """The extremes so far of the windows that have not ended."""
        self._values = state.values("window")
        self._best = state.blobs("extremes")
        self._best["ends"] = np.full(PLACES, _FREE)
        self._best["best"] = np.zeros(PLACES, np.int64)

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Compare the rows of one step."""
        low = max(tick.low, int(self._values.get("watermark", MIN_WATERMARK)))
        self._values["watermark"] = max(low, tick.high)
        delta = deltas[0]
        if delta is None or not delta.length:
            return Out()
        value, time = delta.columns[self.value], delta.columns[self.time]
        has_value, has_time = value.valid(), time.valid()
        out = np.empty(delta.length, np.int64)
        w = self.windows
        n = k.candidates(
            value.words(), _ALL if has_value is None else has_value, time.words(),
            _ALL if has_time is None else has_time, delta.mark_array(), low, time.type.words_per_ms, w.code, w.size,
            self._step, w.offset, self.low, self.high, 1 if self.function == "MAX" else -1, self._best["ends"],
            self._best["best"], out,
        )  # fmt: skip
        return Out(delta if n == delta.length else delta.take(out[:n].copy()) if n else None)

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {
            "operator": "CandidateFilter",
            "value": self.schema[self.value].name,
            "function": self.function,
            "window": str(self.windows),
            "state": f"the {self.function} so far of each window that has not ended",
            "bounded": True,
        }
