"""Joins that time bounds: interval joins keep the time attributes of both inputs, and so do joins with versions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deras.core.schema import Schema
from deras.sql.bind.scope import Scope
from deras.sql.expr import nodes as e
from deras.sql.plan import nodes as p

if TYPE_CHECKING:
    from deras.sql.plan.time_joins import IntervalJoin


def keep_time(rel: p.Rel, scope: Scope) -> tuple[p.Rel, Scope]:
    """If a join is one of intervals, make it one, so that what is written above it can use its time attributes.

    Args:
        rel: the plan of FROM, or of FROM and WHERE.
        scope: its columns.
    """
    made = _interval(rel)
    if made is None:
        return rel, scope
    columns = [replace(c, field=replace(made.schema[c.index], name=c.field.name)) for c in scope.columns]
    return made, Scope(columns, scope.outer)


def _interval(rel: p.Rel) -> p.Rel | None:
    from deras.sql.rules.interval_joins import interval_join
    from deras.sql.rules.join_filters import join_filters
    from deras.sql.rules.join_keys import join_keys

    join = rel
    if isinstance(rel, p.Calc):
        if rel.exprs is not None or not isinstance(rel.input, p.Join):
            return None
        join = join_filters(rel)
    if not isinstance(join, p.Join):
        return None
    keyed = join_keys(join_filters(join))
    inner = keyed.input if isinstance(keyed, p.Calc) else keyed
    found: IntervalJoin | None = interval_join(inner) if isinstance(inner, p.Join) else None
    if found is None or not isinstance(keyed, p.Calc) or keyed.exprs is None:
        return found
    fields = tuple(
        replace(f, time=found.schema[x.index].time)
        for f, x in zip(keyed.schema, keyed.exprs, strict=True)
        if isinstance(x, e.InputRef)
    )
    return replace(keyed, schema=Schema(fields), input=found)
