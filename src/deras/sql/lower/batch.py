"""Batch mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.sql.lower.lowering import lowers
from deras.sql.plan.batch import DefaultRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine.operator import Operator
    from deras.sql.lower.lowering import Lowering


@lowers(DefaultRow)
def _default(lowering: Lowering, rel: DefaultRow) -> Callable[[], Operator]:
    schema, row = rel.schema, rel.row

    def make() -> Operator:
        from deras.engine.operators import default_row as engine

        return engine.DefaultRow(schema, row)

    return make
