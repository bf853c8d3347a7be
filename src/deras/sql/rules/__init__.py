"""Rewriting of plans: one rule a file, applied from the sources up, in the order of ``RULES``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.sql.rules.async_calls import async_calls
from deras.sql.rules.common_subplans import prune_shared
from deras.sql.rules.fold_constants import fold_constants
from deras.sql.rules.interval_joins import interval_joins
from deras.sql.rules.join_filters import join_filters
from deras.sql.rules.join_keys import join_keys
from deras.sql.rules.keep_values import keep_values
from deras.sql.rules.merge_calcs import merge_calcs
from deras.sql.rules.prune_columns import prune_columns
from deras.sql.rules.push_filters import push_filters
from deras.sql.rules.ranks import ranks
from deras.sql.rules.source_filters import source_filters
from deras.sql.rules.values_calcs import values_calcs
from deras.sql.rules.window_aggregates import window_aggregates
from deras.sql.rules.window_joins import window_joins

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.sql.plan import nodes as p

RULES: tuple[Callable[[p.Rel], p.Rel], ...] = (
    merge_calcs,
    values_calcs,
    push_filters,
    join_filters,
    join_keys,
    window_joins,
    interval_joins,
    window_aggregates,
    ranks,
)
"""Local rules: a node over rewritten inputs to a node of the same schema. Run until nothing changes."""


def _up(rel: p.Rel, rule: Callable[[p.Rel], p.Rel]) -> p.Rel:
    inputs = rel.inputs()
    new = tuple(_up(i, rule) for i in inputs)
    if any(a is not b for a, b in zip(new, inputs, strict=True)):
        rel = rel.rebuild(new)
    return rule(rel)


def optimise(rel: p.Rel, zone: str, *, share: bool = True, push: bool = True) -> p.Rel:
    """The plan after all rules.

    Args:
        rel: the plan as it was bound.
        zone: the session's time zone.
        share: equal subplans stay equal when columns are pruned.
        push: sources are told of filters.
    """
    rel = _up(rel, lambda r: fold_constants(r, zone))
    for _ in range(10):
        before = rel
        for rule in RULES:
            rel = _up(rel, rule)
        if rel == before:
            break
    rel = _up(rel, lambda r: fold_constants(r, zone))
    rel = keep_values(rel)
    rel = prune_shared(rel) if share else prune_columns(rel)
    rel = _up(_up(rel, merge_calcs), async_calls)
    return source_filters(rel) if push else rel
