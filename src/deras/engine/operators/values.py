"""Constant rows, as of VALUES or of SELECT without FROM: given once, then the input has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deras.core.time import MAX_WATERMARK, MIN_WATERMARK
from deras.engine.operator import Feed, Out, SourceOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.delta import Delta
    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.state import State


class Values(SourceOperator):
    """Gives its rows with the first feed, whatever is in it, and has ended then.

    Args:
        schema: of the rows.
        rows: the rows.
    """

    append_only = True

    def __init__(self, schema: Schema, rows: Delta) -> None:
        self.schema = schema
        self.rows = rows
        self._values: dict[str, Any] = {}

    def open(self, state: State) -> None:
        """Whether the rows are out."""
        self._values = state.values("given")

    def declare(self, parts: Sequence[str]) -> None:
        """There is one part, of any name."""

    def feed(self, feeds: Sequence[Feed], tick: Tick) -> Out:
        """The rows, once."""
        if self._values.get("done"):
            return Out()
        self._values["done"] = True
        return Out(self.rows)

    def watermark(self) -> int:
        """The end, once the rows are out."""
        return MAX_WATERMARK if self._values.get("done") else MIN_WATERMARK

    def watermarks(self) -> dict[str, int]:
        """Of the one part."""
        return {"values": self.watermark()}

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {"operator": "Values", "rows": self.rows.length, "state": "none"}
