"""Filter and projection: row in, row out, nothing kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deras.engine.operator import Operator, Out, Program
from deras.engine.rejects import reject_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.delta import Delta
    from deras.core.schema import Schema
    from deras.core.time import Tick


class Calc(Operator):
    """Runs a program on each delta; rows whose expressions fail go to quarantine.

    Args:
        input: schema of the input.
        program: filter and projections.
        origin: what rejected rows are said to come from.
        append_only: whether the input only inserts.
    """

    def __init__(self, input: Schema, program: Program, origin: str = "Calc", append_only: bool = True) -> None:  # noqa: A002
        self.input = input
        self.program = program
        self.schema = program.schema
        self.append_only = append_only
        self.origin = origin
        self._rowtime = next((i for i, f in enumerate(input) if f.time == "rowtime"), None)

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Run the program."""
        delta = deltas[0]
        if delta is None or not delta.length:
            return Out()
        found, errors = self.program.run(delta, tick)
        return Out(found, reject_errors(delta, errors, self.origin, self._rowtime) if errors else ())

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {"operator": "Calc", "columns": self.schema.names, "state": "none"}
