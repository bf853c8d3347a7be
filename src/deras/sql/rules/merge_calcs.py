"""A projection or filter over another becomes one: one Polars call instead of two."""

from __future__ import annotations

from deras.sql.expr import nodes as e
from deras.sql.expr.analysis import volatile
from deras.sql.plan import nodes as p


def merge_calcs(rel: p.Rel) -> p.Rel:
    """Calc over Calc to one Calc, unless that would evaluate a volatile expression twice."""
    while isinstance(rel, p.Calc) and isinstance(rel.input, p.Calc):
        inner = rel.input
        if inner.exprs is not None and any(map(volatile, inner.exprs)):
            break
        if inner.exprs is None:
            exprs, predicate = rel.exprs, rel.predicate
        else:
            columns = inner.exprs
            exprs = columns if rel.exprs is None else tuple(e.substitute(x, columns) for x in rel.exprs)
            predicate = None if rel.predicate is None else e.substitute(rel.predicate, columns)
        both = e.conjunction([*e.conjuncts(inner.predicate), *e.conjuncts(predicate)])
        rel = p.Calc(rel.schema, inner.input, exprs, both)
    if isinstance(rel, p.Calc) and rel.predicate is None:
        plain = rel.exprs is None or (
            len(rel.exprs) == len(rel.input.schema)
            and all(isinstance(x, e.InputRef) and x.index == i for i, x in enumerate(rel.exprs))
        )
        if plain and rel.schema.fields == rel.input.schema.fields:
            return rel.input
    return rel
