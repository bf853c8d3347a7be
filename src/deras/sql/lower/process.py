"""Process functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.core.errors import PlanError
from deras.sql.lower.lowering import lowers
from deras.sql.plan.process import Process
from deras.sql.plan.text import blame

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine.operator import Operator
    from deras.sql.lower.lowering import Lowering


@lowers(Process)
def _process(lowering: Lowering, rel: Process) -> Callable[[], Operator]:
    if not rel.input.append_only():
        raise PlanError(
            f"process function {rel.function} needs an input that only inserts",
            detail=f"Updates come from {blame(rel.input)}.",
            hint="Give it the raw rows, or a window aggregate.",
        )
    below, schema, keys, time, function, args = (
        rel.input.schema, rel.schema, rel.keys, rel.time, rel.function, dict(rel.args),
    )  # fmt: skip
    origin = lowering.origin(str(function))

    def make() -> Operator:
        from deras.engine.operators import process as engine

        return engine.Process(below, keys, time, function.program(below, args), schema, origin)

    return make
