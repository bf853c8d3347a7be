"""The one row of a global aggregate over nothing, given when the input has ended: batch mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deras.core.delta import Delta
from deras.core.time import MAX_WATERMARK
from deras.engine.operator import Operator, Out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.state import State


class DefaultRow(Operator):
    """Passes changes of at most one row on; if there is none in the end, gives a default.

    Args:
        schema: of the row.
        row: the default, as Python values.
    """

    append_only = False

    def __init__(self, schema: Schema, row: Sequence[Any]) -> None:
        self.schema = schema
        self.row = tuple(row)

    def open(self, state: State) -> None:
        """How many rows there are."""
        self._values = state.values("default")

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Count; at the end add what is missing."""
        delta = deltas[0]
        if delta is not None and delta.length:
            self._values["rows"] = int(self._values.get("rows", 0)) + int(delta.weight_array().sum())
        if tick.high != MAX_WATERMARK or self._values.get("rows") or self._values.get("done"):
            return Out(delta)
        self._values["done"] = True
        made = Delta.of(self.schema, [self.row])
        made.marks = tick.low
        return Out(made if delta is None or not delta.length else Delta.concat([delta, made]))

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {"operator": "DefaultRow", "state": "the number of rows", "bounded": True}
