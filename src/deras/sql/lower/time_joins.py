"""Joins that time bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deras.core.errors import PlanError
from deras.core.schema import Schema
from deras.engine.dataflow import LookupSpec, NodeSpec
from deras.sql.lower.lowering import lowers, places
from deras.sql.plan.text import blame, digest
from deras.sql.plan.time_joins import IntervalJoin, LookupJoin, PresentJoin, TemporalJoin

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine.operator import Operator, Program
    from deras.sql.expr.nodes import Expr
    from deras.sql.lower.lowering import Lowering
    from deras.sql.plan.rel import Rel


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


def _only_insert(rel: Rel) -> None:
    if not rel.append_only():
        raise PlanError(
            "a join with the present needs rows that only come on its left",
            detail=f"Updates come from {blame(rel)}; what a row found cannot be found again when it goes.",
            hint="Join before grouping, or join FOR SYSTEM_TIME AS OF a rowtime.",
        )


@lowers(PresentJoin)
def _present(lowering: Lowering, rel: PresentJoin) -> Callable[[], Operator]:
    _only_insert(rel.left)
    left, right, zone = rel.left.schema, rel.right.schema, lowering.zone
    kind: Any = rel.kind.lower()
    append = rel.right.append_only()
    origin = lowering.origin("PresentJoin")

    def make() -> Operator:
        from deras.engine.operators import lookup_join as engine

        return engine.PresentJoin(
            left, right, rel.left_keys, rel.right_keys, kind, _residual(left, right, rel.residual, zone), rel.schema,
            append, origin,
        )  # fmt: skip

    return make


@places(LookupJoin)
def _lookup(lowering: Lowering, rel: LookupJoin, inputs: list[int], text: str) -> int:
    _only_insert(rel.input)
    below, zone = rel.input.schema, lowering.zone
    kind: Any = rel.kind.lower()
    options = dict(rel.options)
    origin = lowering.origin("LookupJoin")
    from deras.core.options import parse_duration

    def ms(texts: dict[str, str], name: str) -> int:
        return int(parse_duration(texts[name])) if name in texts else 0

    said = dict(rel.settings)
    reload = ms(options, "lookup.full-cache.periodic-reload.interval")
    retries = int(options.get("lookup.max-retries", "3"))
    partial = options.get("lookup.cache", "").upper() == "PARTIAL"
    again, attempts = ms(said, "fixed-delay"), int(said.get("max-attempts", "0"))
    ordered = said.get("output-mode", "ordered").lower() == "ordered"
    part = "lookup.partial-cache."
    missing = options.get(part + "cache-missing-key", options.get(part + "caching-missing-key", "true"))
    # What is missing is asked for again: it must not be found missing in the cache.
    keep_missing = missing.strip().lower() == "true" and not again

    def make() -> Operator:
        from deras.engine.lookup_cache import LookupCache
        from deras.engine.operators import lookup_join as engine

        cache = None
        if partial:
            cache = LookupCache(
                rel.found, rel.table_keys, int(options.get(part + "max-rows", "0")),
                ms(options, part + "expire-after-write"), ms(options, part + "expire-after-access"), keep_missing,
            )  # fmt: skip
        return engine.LookupJoin(
            below, rel.found, rel.keys, rel.table_keys, kind, _residual(below, rel.found, rel.residual, zone),
            rel.schema, reload, retries, origin, cache, again, attempts, ordered,
        )  # fmt: skip

    spec = LookupSpec(rel.table.name, options, rel.found, rel.table_keys)
    name = f"{lowering.owner}/{digest(text)}"
    lowering.nodes.append(NodeSpec(name, make, tuple(inputs), rel.describe(), spec))
    return len(lowering.nodes) - 1
