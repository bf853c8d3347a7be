"""What a sink's table promises of its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.sql.lower.lowering import lowers
from deras.sql.plan.constraints import Constraints

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine.operator import Operator
    from deras.sql.lower.lowering import Lowering


@lowers(Constraints)
def _constraints(lowering: Lowering, rel: Constraints) -> Callable[[], Operator]:
    args = (rel.schema, rel.not_null, rel.lengths, rel.fit, rel.drop, lowering.origin("Constraints"), rel.append_only())

    def make() -> Operator:
        from deras.engine.operators import constraints as engine

        return engine.Constraints(*args)

    return make
