"""Grouping without windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.sql.forgetting import forgets
from deras.sql.lower.lowering import lowers
from deras.sql.plan.aggregates import AggCall, Aggregate

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.core.schema import Schema
    from deras.engine.aggregates import AggregateCall
    from deras.engine.operator import Operator
    from deras.sql.lower.lowering import Lowering


def engine_calls(calls: tuple[AggCall, ...], below: Schema) -> Callable[[], list[AggregateCall]]:
    """What makes the engine's form of the calls."""

    def made() -> list[AggregateCall]:
        from deras.engine.aggregates import AggregateCall

        return [
            AggregateCall(
                c.function,
                c.arg,
                c.type,
                c.distinct,
                c.filter,
                c.input_type,
                c.more,
                None if c.user is None else c.user.program([below[a].type for a in c.args]),
            )
            for c in calls
        ]

    return made


@lowers(Aggregate)
def _aggregate(lowering: Lowering, rel: Aggregate) -> Callable[[], Operator]:
    below, keys, calls, schema = rel.input.schema, rel.keys, engine_calls(rel.calls, rel.input.schema), rel.schema
    append = rel.input.append_only()
    ttl, forgetful = (rel.ttl or (0,))[0], forgets(rel.input)
    origin = lowering.origin("GroupAggregate")

    def make() -> Operator:
        from deras.engine.operators.group_aggregate import GroupAggregate

        return GroupAggregate(below, keys, calls(), schema, append, ttl=ttl, forgetful=forgetful, origin=origin)

    make()  # what the engine cannot aggregate is told while planning
    return make
