"""Filters go towards the sources: below unions, windows and aggregates (for joins see ``join_filters``).

Only conditions that cannot fail and always give the same move.
"""

from __future__ import annotations

from dataclasses import replace

from deras.sql.expr import nodes as e
from deras.sql.expr.analysis import movable
from deras.sql.plan import nodes as p


def _filter(rel: p.Rel, terms: list[e.Expr]) -> p.Rel:
    predicate = e.conjunction(terms)
    return rel if predicate is None else p.Calc(rel.schema, rel, None, predicate)


def push_filters(rel: p.Rel) -> p.Rel:
    """Move what can move one node down."""
    if not isinstance(rel, p.Calc) or rel.predicate is None:
        return rel
    below = rel.input
    terms = e.conjuncts(rel.predicate)
    if isinstance(below, p.Union):
        if not all(map(movable, terms)):
            return rel
        parts = tuple(_filter(part, terms) for part in below.parts)
        return replace(rel, input=replace(below, parts=parts), predicate=None)
    if isinstance(below, p.Unary):
        return _through(rel, below, terms)
    return rel


def _through(rel: p.Calc, below: p.Unary, terms: list[e.Expr]) -> p.Rel:
    place = below.through()
    down = [t for t in terms if e.refs(t) and all(i in place for i in e.refs(t)) and movable(t)]
    if not down:
        return rel
    moved = [e.remap(t, lambda i: place[i]) for t in down]
    stay = e.conjunction([t for t in terms if t not in down])
    return replace(rel, input=below.rebuild((_filter(below.input, moved),)), predicate=stay)
