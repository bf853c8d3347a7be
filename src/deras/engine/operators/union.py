"""UNION ALL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deras.core.delta import Delta
from deras.engine.operator import Operator, Out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.schema import Schema
    from deras.core.time import Tick


class Union(Operator):
    """All rows of all inputs: in a step, those of the first, then of the second …

    Args:
        schema: of the output; the inputs have the same layouts.
        inputs: how many there are.
        append_only: whether all of them only insert.
    """

    def __init__(self, schema: Schema, inputs: int = 2, append_only: bool = True) -> None:
        self.schema = schema
        self.inputs = inputs
        self.append_only = append_only

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Put the inputs' changes together."""
        some = [
            d.with_columns(self.schema, [c.with_type(f.type) for c, f in zip(d.columns, self.schema, strict=True)])
            for d in deltas
            if d is not None and d.length
        ]
        return Out(Delta.concat(some)) if some else Out()

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {"operator": "Union", "inputs": self.inputs, "state": "none"}
