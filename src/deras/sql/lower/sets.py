"""Streams beside one another, and the first rows of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.sql.lower.lowering import lowers, places
from deras.sql.plan.sets import Limit, Union

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine.operator import Operator
    from deras.sql.lower.lowering import Lowering


@lowers(Union)
def _union(lowering: Lowering, rel: Union) -> Callable[[], Operator]:
    schema, n, append = rel.schema, len(rel.parts), rel.append_only()

    def make() -> Operator:
        from deras.engine.operators import union as engine

        return engine.Union(schema, n, append)

    return make


@places(Limit)
def _limit(lowering: Lowering, rel: Limit, inputs: list[int], text: str) -> int:
    """Whoever reads the query stops after so many rows."""
    return inputs[0]
