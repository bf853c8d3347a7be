"""Windows over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.sql.lower.aggregates import engine_calls
from deras.sql.lower.lowering import lowers
from deras.sql.plan.windows import WindowAggregate, WindowTvf

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine.operator import Operator
    from deras.sql.lower.lowering import Lowering


@lowers(WindowTvf)
def _window_table(lowering: Lowering, rel: WindowTvf) -> Callable[[], Operator]:
    below, schema, append = rel.input.schema, rel.schema, rel.append_only()
    args = (rel.time, rel.kind, rel.size, rel.slide, rel.offset, rel.zone)
    origin = lowering.origin("WindowTable")

    def make() -> Operator:
        from deras.engine.operators.window_table import WindowTable

        return WindowTable(below, *args, schema, append, origin)

    return make


@lowers(WindowAggregate)
def _window_aggregate(lowering: Lowering, rel: WindowAggregate) -> Callable[[], Operator]:
    below, schema, keys, calls = rel.input.schema, rel.schema, rel.keys, engine_calls(rel.calls)
    args = (rel.time, rel.kind, rel.size, rel.slide, rel.offset, rel.zone)
    layout: list[int | str] = [*range(len(keys) + len(rel.calls)), *rel.window]
    append, proctime = rel.input.append_only(), rel.time is None
    origin = lowering.origin("WindowAggregate")

    def make() -> Operator:
        from deras.engine.operators import window_aggregate as engine

        return engine.WindowAggregate(
            below, *args, keys, calls(), schema, layout, proctime=proctime, input_append=append, origin=origin
        )

    make()
    return make
