"""Equalities between the two sides of a join become its keys, wherever they were written."""

from __future__ import annotations

from dataclasses import replace

from deras.core.schema import Field, Schema
from deras.sql.expr import nodes as e
from deras.sql.expr.analysis import movable
from deras.sql.functions.operators import EQUALS
from deras.sql.plan import nodes as p


def join_keys(rel: p.Rel) -> p.Rel:
    """Take the equalities out of a join's condition; computed sides become columns below."""
    if not isinstance(rel, p.Join) or rel.residual is None:
        return rel
    n = len(rel.left.schema)
    pairs: list[tuple[e.Expr, e.Expr]] = []
    rest: list[e.Expr] = []
    for t in e.conjuncts(rel.residual):
        pair = _sides(t, n)
        if pair is None:
            rest.append(t)
        else:
            pairs.append(pair)
    if not pairs:
        return rel
    left, left_keys = _columns(rel.left, [a for a, _ in pairs])
    right, right_keys = _columns(rel.right, [b for _, b in pairs])
    added = len(left.schema) - n
    residual = e.conjunction([e.remap(t, lambda i: i if i < n else i + added) for t in rest])
    schema = Schema(tuple(f.without_time() for f in (*left.schema, *right.schema)))
    made: p.Rel = p.Join(
        schema, left, right, rel.kind, (*rel.left_keys, *left_keys), (*rel.right_keys, *right_keys), residual
    )
    if added or len(right.schema) > len(rel.right.schema):
        keep = [*range(n), *range(n + added, n + added + len(rel.right.schema))]
        made = p.Calc(rel.schema, made, tuple(e.InputRef(schema[i].type, i) for i in keep))
    return made


def _sides(t: e.Expr, n: int) -> tuple[e.Expr, e.Expr] | None:
    if not isinstance(t, e.Call) or t.function is not EQUALS:
        return None
    a, b = t.args
    used_a, used_b = e.refs(a), e.refs(b)
    if not used_a or not used_b or not movable(a) or not movable(b):
        return None
    if max(used_a) < n <= min(used_b):
        return a, e.shift(b, -n)
    if max(used_b) < n <= min(used_a):
        return b, e.shift(a, -n)
    return None


def _columns(rel: p.Rel, exprs: list[e.Expr]) -> tuple[p.Rel, list[int]]:
    """The input with a column for each expression, and their positions."""
    fields = list(rel.schema.fields)
    out: list[e.Expr] = [e.InputRef(f.type, i) for i, f in enumerate(fields)]
    keys = []
    for x in exprs:
        if x in out:
            keys.append(out.index(x))
        else:
            keys.append(len(out))
            fields.append(Field(f"$k{len(out)}", x.type))
            out.append(x)
    if len(out) == len(rel.schema):
        return rel, keys
    return p.Calc(replace(rel.schema, fields=tuple(fields)), rel, tuple(out)), keys
