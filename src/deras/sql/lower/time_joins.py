"""Joins that time bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deras.core.schema import Schema
from deras.sql.lower.lowering import lowers
from deras.sql.plan.time_joins import IntervalJoin, TemporalJoin

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine.operator import Operator, Program
    from deras.sql.expr.nodes import Expr
    from deras.sql.lower.lowering import Lowering


def _residual(left: Schema, right: Schema, residual: Expr | None, zone: str) -> Program | None:
    if residual is None:
        return None
    from deras.sql.expr.program import RowProgram

    both = Schema((*left.fields, *right.fields))
    return RowProgram(both, both, None, residual, zone)


@lowers(IntervalJoin)
def _interval(lowering: Lowering, rel: IntervalJoin) -> Callable[[], Operator]:
    left, right, zone = rel.left.schema, rel.right.schema, lowering.zone
    keys = rel.left_keys, rel.right_keys
    kind: Any = rel.kind.lower()
    origin = lowering.origin("IntervalJoin")

    def make() -> Operator:
        from deras.engine.operators import interval_join as engine

        return engine.IntervalJoin(
            left, right, *keys, rel.left_time, rel.right_time, rel.low, rel.high, kind,
            _residual(left, right, rel.residual, zone), rel.schema, origin,
        )  # fmt: skip

    return make


@lowers(TemporalJoin)
def _temporal(lowering: Lowering, rel: TemporalJoin) -> Callable[[], Operator]:
    left, right, zone = rel.left.schema, rel.right.schema, lowering.zone
    keys = rel.left_keys, rel.right_keys
    kind: Any = rel.kind.lower()
    left_time, right_time = rel.left_time, rel.right_time
    assert left_time is not None and right_time is not None  # noqa: S101, PT018
    append = rel.left.append_only()
    origin = lowering.origin("TemporalJoin")

    def make() -> Operator:
        from deras.engine.operators import temporal_join as engine

        return engine.TemporalJoin(
            left, right, *keys, left_time, right_time, kind, _residual(left, right, rel.residual, zone), rel.schema,
            rel.strict, append, origin, rel.newest,
        )  # fmt: skip

    return make
