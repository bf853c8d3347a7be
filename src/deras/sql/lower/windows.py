"""Windows over time."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from deras.core.errors import PlanError
from deras.sql.lower.aggregates import engine_calls
from deras.sql.lower.lowering import lowers
from deras.sql.plan.text import blame
from deras.sql.plan.windows import SessionAggregate, SessionTvf, SlidingTvf, WindowAggregate, WindowTvf

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine import windows as engine
    from deras.engine.operator import Operator
    from deras.sql.lower.lowering import Lowering
    from deras.sql.plan import windows as plan


def _engine_kind(kind: plan.WindowKind) -> engine.WindowKind:
    return "tumble" if kind == "attached" else kind


@lowers(WindowTvf)
def _window_table(lowering: Lowering, rel: WindowTvf) -> Callable[[], Operator]:
    below, schema, append = rel.input.schema, rel.schema, rel.append_only()
    args = (rel.time, _engine_kind(rel.kind), rel.size, rel.slide, rel.offset, rel.zone)
    origin = lowering.origin("WindowTable")

    def make() -> Operator:
        from deras.engine.operators.window_table import WindowTable

        return WindowTable(below, *args, schema, append, origin)

    return make


@lowers(WindowAggregate)
def _window_aggregate(lowering: Lowering, rel: WindowAggregate) -> Callable[[], Operator]:
    below, schema, keys = rel.input.schema, rel.schema, rel.keys
    calls = engine_calls(rel.calls, below)
    args = (rel.time, _engine_kind(rel.kind), rel.size, rel.slide, rel.offset, rel.zone)
    layout: list[int | str] = [*range(len(keys) + len(rel.calls)), *rel.window]
    append, proctime, attached = rel.input.append_only(), rel.time is None, rel.kind == "attached"
    origin = lowering.origin("WindowAggregate")
    early = rel.early
    if early is not None and not append:
        raise PlanError(
            "results of windows before their end need an input that only inserts",
            detail=f"Updates come from {blame(rel.input)}.",
            hint="RESET 'table.exec.emit.early-fire.enabled'.",
        )

    def make() -> Operator:
        from deras.engine.operators import early_window, window_aggregate

        kind = window_aggregate.WindowAggregate
        return (kind if early is None else functools.partial(early_window.EarlyWindowAggregate, early))(
            below,
            *args,
            keys,
            calls(),
            schema,
            layout,
            proctime=proctime,
            input_append=append,
            attached=attached,
            origin=origin,
        )

    make()
    return make


@lowers(SessionTvf)
def _session_table(lowering: Lowering, rel: SessionTvf) -> Callable[[], Operator]:
    if rel.keys is None:
        raise PlanError(
            "SESSION in GROUP BY is not supported over what the query joins to it",
            hint="Write FROM SESSION(TABLE …, DESCRIPTOR(…), gap), and group by window_start and window_end.",
        )
    below, schema, append, keys = rel.input.schema, rel.schema, rel.append_only(), rel.keys
    args = (rel.time, rel.gap, rel.zone, keys)
    origin = lowering.origin("SessionTable")

    def make() -> Operator:
        from deras.engine.operators.session_window import SessionTable

        return SessionTable(below, *args, schema, append, origin)

    return make


@lowers(SlidingTvf)
def _sliding_table(lowering: Lowering, rel: SlidingTvf) -> Callable[[], Operator]:
    below, schema = rel.input.schema, rel.schema
    args = (rel.time, rel.size, rel.zone, rel.keys)
    origin = lowering.origin("SlidingTable")

    def make() -> Operator:
        from deras.engine.operators.sliding_window import SlidingTable

        return SlidingTable(below, *args, schema, origin)

    return make


@lowers(SessionAggregate)
def _session_aggregate(lowering: Lowering, rel: SessionAggregate) -> Callable[[], Operator]:
    below, schema, keys = rel.input.schema, rel.schema, rel.keys
    calls = engine_calls(rel.calls, below)
    args = (rel.time, rel.gap, rel.zone, keys)
    layout: list[int | str] = [*range(len(keys) + len(rel.calls)), *rel.window]
    append = rel.input.append_only()
    origin = lowering.origin("SessionAggregate")

    def make() -> Operator:
        from deras.engine.operators import session_window

        return session_window.SessionAggregate(
            below, *args, calls(), schema, layout, input_append=append, origin=origin
        )

    make()
    return make
