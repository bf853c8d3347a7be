"""Rows by rank: Top-N, deduplication, Top-N of windows, ORDER BY and LIMIT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.core.errors import PlanError
from deras.sql.forgetting import forgets
from deras.sql.lower.lowering import lowers
from deras.sql.plan.rank import Deduplicate, Rank, Sort, WindowRank
from deras.sql.plan.text import blame

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine.operator import Operator
    from deras.engine.ranking import SortKey
    from deras.sql.lower.lowering import Lowering
    from deras.sql.plan.over import OrderKey


def sort_keys(order: tuple[OrderKey, ...]) -> list[SortKey]:
    """The engine's form of an order."""
    from deras.engine.ranking import SortKey

    return [SortKey(k.column, k.descending, k.nulls_first) for k in order]


@lowers(Rank)
def _rank(lowering: Lowering, rel: Rank) -> Callable[[], Operator]:
    below, append, identity = rel.input.schema, rel.input.append_only(), rel.input.upsert_key()
    origin = lowering.origin(rel.name)
    ttl, forgetful = (rel.ttl or (0,))[0], forgets(rel.input)

    def make() -> Operator:
        if append and not rel.order and not rel.partition and rel.rank is None and rel.limit is None:
            from deras.engine.operators.sort import Limit

            return Limit(below, rel.first, rel.last)
        from deras.engine.operators import rank as engine

        return engine.Rank(
            below,
            rel.partition,
            sort_keys(rel.order),
            rel.first,
            rel.last,
            rel.rank,
            rel.function,
            append,
            identity,
            rel.limit,
            origin=origin,
            ttl=ttl,
            forgetful=forgetful,
        )

    make()  # what has no order is told while planning
    return make


@lowers(Deduplicate)
def _deduplicate(lowering: Lowering, rel: Deduplicate) -> Callable[[], Operator]:
    below, partition, keep = rel.input.schema, rel.partition, rel.keep
    time = rel.time if below[rel.time].time == "rowtime" else None
    origin = lowering.origin("Deduplicate")
    ttl = (rel.ttl or (0,))[0]

    def make() -> Operator:
        from deras.engine.operators import deduplicate as engine

        return engine.Deduplicate(below, partition, time, keep, origin, ttl)

    return make


@lowers(WindowRank)
def _window_rank(lowering: Lowering, rel: WindowRank) -> Callable[[], Operator]:
    below, origin = rel.input.schema, lowering.origin("WindowRank")

    def make() -> Operator:
        from deras.engine.operators import window_rank as engine

        return engine.WindowRank(
            below,
            rel.end,
            rel.partition,
            sort_keys(rel.order),
            rel.first,
            rel.last,
            rel.rank,
            rel.function,
            rel.zone,
            rel.latest,
            origin,
        )

    make()
    return make


@lowers(Sort)
def _sort(lowering: Lowering, rel: Sort) -> Callable[[], Operator]:
    below, append, identity = rel.input.schema, rel.input.append_only(), rel.input.upsert_key()
    origin = lowering.origin("Sort")
    if rel.kind != "end" and not append:
        raise PlanError(
            "ORDER BY a time attribute needs rows that only come",
            detail=f"Updates come from {blame(rel.input)}.",
            hint="Sort before grouping, or add LIMIT to keep the first rows up to date.",
        )

    def make() -> Operator:
        from deras.engine.operators import sort as engine

        if rel.kind == "rowtime":
            return engine.TemporalSort(below, sort_keys(rel.order), origin)
        if rel.kind == "proctime":
            return engine.ProctimeSort(below, sort_keys(rel.order[1:]))
        return engine.SortAtEnd(below, sort_keys(rel.order), rel.first, rel.last, append, identity, origin)

    make()
    return make
