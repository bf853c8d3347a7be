"""Equalities between the two sides of a join become its keys, wherever they were written."""

from __future__ import annotations

from dataclasses import replace

from deras.core.schema import Field, Schema
from deras.sql.expr import nodes as e
from deras.sql.expr.analysis import movable
from deras.sql.functions.operators import EQUALS, NOT_DISTINCT
from deras.sql.plan import nodes as p
from deras.sql.plan.joins import joined_schema


def join_keys(rel: p.Rel, *, fallible: bool = False) -> p.Rel:
    """Take the equalities out of a join's condition; computed sides become columns below.

    Args:
        rel: any node; only joins change.
        fallible: also sides that can fail: then a row that fails is rejected even if it has no partner.
    """
    if not isinstance(rel, p.Join) or rel.residual is None or rel.null_aware:
        return rel
    n = len(rel.left.schema)
    pairs: list[tuple[e.Expr, e.Expr, bool]] = []
    rest: list[e.Expr] = []
    terms = e.conjuncts(rel.residual)
    for t in terms:
        pair = _sides(t, n, fallible)
        if pair is not None:
            pairs.append(pair)
        elif not (isinstance(t, e.Literal) and t.value is True):
            rest.append(t)
    if not pairs:
        return rel if len(rest) == len(terms) else replace(rel, residual=e.conjunction(rest))
    left, left_keys = _columns(rel.left, [a for a, _, _ in pairs])
    right, right_keys = _columns(rel.right, [b for _, b, _ in pairs])
    added = len(left.schema) - n
    residual = e.conjunction([e.remap(t, lambda i: i if i < n else i + added) for t in rest])
    full = joined_schema(left.schema, right.schema, rel.kind)
    # The columns that there were keep their fields: a rule does not change what a node gives.
    kept = [*range(n), *(() if rel.half else range(n + added, n + added + len(rel.right.schema)))]
    fields = list(full.fields)
    for f, i in zip(rel.schema, kept, strict=True):
        fields[i] = f
    schema = Schema(tuple(fields))
    made: p.Rel = replace(
        rel,
        schema=schema,
        left=left,
        right=right,
        left_keys=(*rel.left_keys, *left_keys),
        right_keys=(*rel.right_keys, *right_keys),
        residual=residual,
        null_safe=(*rel.safe, *(safe for _, _, safe in pairs)),
    )
    if len(schema) > len(kept):
        made = p.Calc(rel.schema, made, tuple(e.InputRef(schema[i].type, i) for i in kept))
    return made


def _sides(t: e.Expr, n: int, fallible: bool) -> tuple[e.Expr, e.Expr, bool] | None:
    if not isinstance(t, e.Call) or (t.function is not EQUALS and t.function is not NOT_DISTINCT):
        return None
    a, b = t.args
    if a.type.children or b.type.children:
        return None  # arrays, maps and rows are no keys
    safe = t.function is NOT_DISTINCT
    used_a, used_b = e.refs(a), e.refs(b)
    ok = e.deterministic if fallible else movable
    if not used_a or not used_b or not (ok(a) and ok(b)):
        return None
    if max(used_a) < n <= min(used_b):
        return a, e.shift(b, -n), safe
    if max(used_b) < n <= min(used_a):
        return b, e.shift(a, -n), safe
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
