"""Anomaly detection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.core.errors import PlanError
from deras.sql.lower.lowering import lowers
from deras.sql.plan.detect import Detect
from deras.sql.plan.text import blame

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine.operator import Operator
    from deras.sql.lower.lowering import Lowering


@lowers(Detect)
def _detect(lowering: Lowering, rel: Detect) -> Callable[[], Operator]:
    if not rel.input.append_only():
        raise PlanError(
            "DETECT_ANOMALIES needs an input that only inserts",
            detail=f"Updates come from {blame(rel.input)}.",
            hint="Detect on the raw rows, or on a window aggregate.",
        )
    below, schema = rel.input.schema, rel.schema
    args = (rel.keys, rel.time, rel.value, dict(rel.options))

    def make() -> Operator:
        from deras.engine.operators import detect as engine

        return engine.Detect(below, *args, schema)

    return make
