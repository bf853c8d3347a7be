"""What needs no row is computed once, while planning; what would fail is left to fail where it is asked for."""

from __future__ import annotations

from dataclasses import replace

from deras.core.types import Kind
from deras.sql.expr import nodes as e
from deras.sql.plan import nodes as p


def fold(x: e.Expr, zone: str) -> e.Expr:
    """The expression with its constant parts computed."""
    children = x.children()
    if not children:
        return x
    new = tuple(fold(c, zone) for c in children)
    if any(a is not b for a, b in zip(new, children, strict=True)):
        x = x.rebuild(new)
    if isinstance(x, e.Logic):
        return _logic(x)
    constant = all(isinstance(c, e.Literal) for c in new)
    if not constant or not isinstance(x, (e.Call, e.Cast)) or not e.deterministic(x):
        return x
    if x.type.kind in (Kind.ARRAY, Kind.MAP, Kind.ROW, Kind.MULTISET) or any(
        c.type.kind in (Kind.ARRAY, Kind.MAP, Kind.ROW) for c in new
    ):
        return x
    from deras.sql.expr.program import evaluate

    try:
        return e.Literal(x.type, evaluate(x, zone), at=x.at)
    except ValueError:
        return x


def _logic(x: e.Logic) -> e.Expr:
    """Drop terms that decide nothing; an earlier term may fail, so only leading deciders end the evaluation."""
    neutral = x.op == "AND"
    kept: list[e.Expr] = []
    for t in x.terms:
        if isinstance(t, e.Literal) and t.value is not None:
            if t.value is neutral:
                continue
            if not kept:
                return t
        kept.append(t)
    if not kept:
        return e.Literal(x.type.with_nullable(False), neutral)
    if len(kept) == 1:
        return kept[0]
    return x if len(kept) == len(x.terms) else replace(x, terms=tuple(kept))


def fold_constants(rel: p.Rel, zone: str) -> p.Rel:
    """Fold in all expressions of one node; a filter that is TRUE goes."""
    if isinstance(rel, p.Calc):
        exprs = None if rel.exprs is None else tuple(fold(x, zone) for x in rel.exprs)
        predicate = None if rel.predicate is None else fold(rel.predicate, zone)
        if isinstance(predicate, e.Literal) and predicate.value is True:
            predicate = None
        return replace(rel, exprs=exprs, predicate=predicate)
    if isinstance(rel, p.Join) and rel.residual is not None:
        return replace(rel, residual=fold(rel.residual, zone))
    if isinstance(rel, p.Values):
        return replace(rel, rows=tuple(tuple(fold(x, zone) for x in r) for r in rel.rows))
    return rel
