"""Joins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.core.schema import Schema
from deras.sql.lower.lowering import lowers
from deras.sql.plan.joins import Join

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine.operator import Operator
    from deras.sql.lower.lowering import Lowering


@lowers(Join)
def _join(lowering: Lowering, rel: Join) -> Callable[[], Operator]:
    left, right, zone = rel.left.schema, rel.right.schema, lowering.zone
    residual, keys = rel.residual, (rel.left_keys, rel.right_keys)
    appends = rel.left.append_only(), rel.right.append_only()
    origin = lowering.origin("Join")

    def make() -> Operator:
        from deras.engine.operators import join as engine
        from deras.sql.expr.program import RowProgram

        both = Schema((*left.fields, *right.fields))
        program = None if residual is None else RowProgram(both, both, None, residual, zone)
        return engine.Join(left, right, *keys, program, *appends, origin)

    return make
