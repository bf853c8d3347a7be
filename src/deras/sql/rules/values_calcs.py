"""A projection of constant rows is constant rows."""

from __future__ import annotations

from deras.core.types import Kind
from deras.sql.expr import nodes as e
from deras.sql.plan import nodes as p


def _nested(x: e.Expr) -> bool:
    return x.type.kind in (Kind.ARRAY, Kind.MAP, Kind.MULTISET, Kind.ROW)


def values_calcs(rel: p.Rel) -> p.Rel:
    """Calc over Values to Values, where every value can be known now."""
    if not isinstance(rel, p.Calc) or not isinstance(rel.input, p.Values) or rel.predicate is not None:
        return rel
    if rel.exprs is None or not all(map(e.deterministic, rel.exprs)):
        return rel
    if any(_nested(y) for x in rel.exprs for y in x.walk()):
        return rel  # constants are no arrays, maps and rows
    rows = tuple(tuple(e.substitute(x, row) for x in rel.exprs) for row in rel.input.rows)
    return p.Values(rel.schema, rows)
