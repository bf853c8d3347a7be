"""UNION ALL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.delta import Delta, Marks
from deras.engine.operator import Operator, Out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.schema import Schema
    from deras.core.time import Tick


class Union(Operator):
    """All rows of all inputs.

    In a step, rows are merged by the watermark that they saw, rows that saw the same stay in the order of the inputs.
    So a row is as late behind a union as if all rows had come one by one; without watermarks the rows of the first
    input come first, then those of the second …

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
        if not some:
            return Out()
        out = Delta.concat(some)
        if isinstance(out.marks, int):
            # No row can have seen more than the least watermark of all inputs.
            return Out(_marked(out, min(out.marks, tick.high)))
        if len(some) > 1:
            order = np.argsort(np.concatenate([np.maximum.accumulate(d.mark_array()) for d in some]), kind="stable")
            out = out.take(order)
        return Out(_marked(out, np.minimum(out.mark_array(), tick.high)))

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {"operator": "Union", "inputs": self.inputs, "state": "none"}


def _marked(delta: Delta, marks: Marks | int) -> Delta:
    return Delta(delta.schema, delta.columns, delta.weights, marks, delta.length)
