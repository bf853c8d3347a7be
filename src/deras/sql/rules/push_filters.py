"""Filters go towards the sources: below joins, unions, windows and aggregates, if they speak of one input only.

Only conditions that cannot fail and always give the same move: below a join a row is asked that might have found no
partner.
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
    if isinstance(rel, p.Join):
        return _into_join(rel, e.conjuncts(rel.residual), [])
    if not isinstance(rel, p.Calc) or rel.predicate is None:
        return rel
    below = rel.input
    terms = e.conjuncts(rel.predicate)
    if isinstance(below, p.Join):
        # Conditions that cannot move become part of the join's own, so that comma joins find their keys.
        if not all(e.deterministic(t) for t in terms):
            return rel
        joined = _into_join(below, e.conjuncts(below.residual), terms)
        return p.Calc(rel.schema, joined, rel.exprs, None) if rel.exprs is not None else replace_schema(joined, rel)
    if isinstance(below, p.Union):
        if not all(map(movable, terms)):
            return rel
        parts = tuple(_filter(part, terms) for part in below.parts)
        return replace(rel, input=replace(below, parts=parts), predicate=None)
    if isinstance(below, p.Unary):
        return _through(rel, below, terms)
    return rel


def replace_schema(joined: p.Rel, rel: p.Calc) -> p.Rel:
    """The join in place of a filter over it; a projection keeps the filter's names."""
    if joined.schema.fields == rel.schema.fields:
        return joined
    return p.Calc(rel.schema, joined, tuple(e.InputRef(f.type, i) for i, f in enumerate(joined.schema)))


def _into_join(join: p.Join, own: list[e.Expr], above: list[e.Expr]) -> p.Rel:
    n = len(join.left.schema)
    left: list[e.Expr] = []
    right: list[e.Expr] = []
    rest: list[e.Expr] = []
    for t in [*own, *above]:
        used = e.refs(t)
        if used and movable(t) and max(used) < n:
            left.append(t)
        elif used and movable(t) and min(used) >= n:
            right.append(e.shift(t, -n))
        else:
            rest.append(t)
    if not left and not right and not above:
        return join
    return replace(join, left=_filter(join.left, left), right=_filter(join.right, right), residual=e.conjunction(rest))


def _through(rel: p.Calc, below: p.Unary, terms: list[e.Expr]) -> p.Rel:
    place = below.through()
    down = [t for t in terms if e.refs(t) and all(i in place for i in e.refs(t)) and movable(t)]
    if not down:
        return rel
    moved = [e.remap(t, lambda i: place[i]) for t in down]
    stay = e.conjunction([t for t in terms if t not in down])
    return replace(rel, input=below.rebuild((_filter(below.input, moved),)), predicate=stay)
