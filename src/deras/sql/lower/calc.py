"""Filters and projections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.sql.lower.lowering import lowers
from deras.sql.plan.calc import Calc

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine.operator import Operator
    from deras.sql.lower.lowering import Lowering


@lowers(Calc)
def _calc(lowering: Lowering, rel: Calc) -> Callable[[], Operator]:
    below, schema, zone = rel.input.schema, rel.schema, lowering.zone
    exprs, predicate, append = rel.exprs, rel.predicate, rel.append_only()
    origin = lowering.origin("Calc")

    def make() -> Operator:
        from deras.engine.operators import calc as engine
        from deras.sql.expr.program import RowProgram

        return engine.Calc(below, RowProgram(below, schema, exprs, predicate, zone), origin, append)

    return make
