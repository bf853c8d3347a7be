"""Table functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.core.errors import PlanError
from deras.sql.functions.waiting import AsyncFunction
from deras.sql.lower.lowering import lowers
from deras.sql.plan.correlate import Correlate, Repeat
from deras.sql.plan.text import blame

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine.operator import Operator
    from deras.sql.lower.lowering import Lowering


@lowers(Correlate)
def _correlate(lowering: Lowering, rel: Correlate) -> Callable[[], Operator]:
    below, schema, append = rel.input.schema, rel.schema, rel.append_only()
    if not append and not rel.function.deterministic:
        raise PlanError(
            f"table function '{rel.function}' is not deterministic, but its input is updated",
            detail=f"Updates come from {blame(rel.input)}. Rows that go could not be found again.",
            hint="Call it on rows that are only inserted, or declare it deterministic if it is.",
        )
    function, args, outer = rel.function, rel.args, rel.outer
    origin = lowering.origin(str(function))
    if isinstance(function, AsyncFunction):
        return _async(rel, function, origin)

    def make() -> Operator:
        from deras.engine.operators import correlate as engine

        return engine.Correlate(below, function.program(below, args), outer, schema, append, origin)

    return make


def _async(rel: Correlate, function: AsyncFunction, origin: str) -> Callable[[], Operator]:
    below, schema, args = rel.input.schema, rel.schema, rel.args
    if not rel.append_only():
        raise PlanError(
            f"{function} is called for rows that may be updated",
            detail=f"Updates come from {blame(rel.input)}. Another answer would not find the row that goes.",
            hint="Call it on rows that are only inserted, for example before the first GROUP BY.",
        )

    def make() -> Operator:
        from deras.engine.operators.async_map import AsyncMap

        return AsyncMap(below, function.program(below, args), schema, origin)

    return make


@lowers(Repeat)
def _repeat(lowering: Lowering, rel: Repeat) -> Callable[[], Operator]:
    times, schema, append = rel.times, rel.schema, rel.append_only()

    def make() -> Operator:
        from deras.engine.operators import correlate as engine

        return engine.Repeat(times, schema, append)

    return make
