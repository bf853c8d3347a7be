"""Joins of a stream with final results of windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.core.schema import Schema
from deras.sql.lower.lowering import lowers
from deras.sql.plan.expiring import CandidateFilter, ExpiringJoin

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine.operator import Operator
    from deras.sql.lower.lowering import Lowering


@lowers(ExpiringJoin)
def _join(lowering: Lowering, rel: ExpiringJoin) -> Callable[[], Operator]:
    left, right, zone = rel.left.schema, rel.right.schema, lowering.zone
    residual, keys, safe = rel.residual, (rel.left_keys, rel.right_keys), rel.safe
    expiry = rel.expiring, rel.time, rel.reach
    origin = lowering.origin("ExpiringJoin")

    def make() -> Operator:
        from deras.engine.operators import expiring_join as engine
        from deras.sql.expr.program import RowProgram

        both = Schema((*left.fields, *right.fields))
        program = None if residual is None else RowProgram(both, both, None, residual, zone)
        return engine.ExpiringJoin(left, right, *keys, *expiry, program, safe, origin)

    return make


@lowers(CandidateFilter)
def _candidates(lowering: Lowering, rel: CandidateFilter) -> Callable[[], Operator]:
    schema = rel.input.schema
    # Windows that rows have already end after the last millisecond that these bring.
    kind = "tumble" if rel.kind == "attached" else rel.kind

    def make() -> Operator:
        from deras.engine.operators import candidate_filter as engine
        from deras.engine.windows import Windows

        return engine.CandidateFilter(
            schema, rel.value, rel.time, rel.function, Windows(kind, rel.size, rel.slide, rel.offset), rel.low, rel.high
        )

    return make
