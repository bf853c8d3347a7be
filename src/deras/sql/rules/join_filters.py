"""Filters and joins: what a condition in WHERE or ON may do to which side.

A condition of WHERE goes below a side whose rows are never padded, or makes an outer join an inner one if no padded row
can pass it. A condition of ON about one side alone filters that side where its rows without partner go anyway, and
else stays: it decides about partners, not about rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deras.sql.expr import nodes as e
from deras.sql.expr.analysis import movable
from deras.sql.plan import nodes as p

if TYPE_CHECKING:
    from deras.sql.plan.joins import JoinKind

_STRICT = frozenset({"=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "MOD", "ABS", "NOT", "LIKE", "||"})
"""Functions that are NULL where an operand is."""


def join_filters(rel: p.Rel) -> p.Rel:
    """Move conditions of and above a join."""
    if isinstance(rel, p.Join):
        return _own(rel)
    if not isinstance(rel, p.Calc) or rel.predicate is None or not isinstance(rel.input, p.Join):
        return rel
    terms = e.conjuncts(rel.predicate)
    if not all(e.deterministic(t) for t in terms):
        return rel
    join = _simplified(rel.input, terms)
    left, right = _split(terms, len(join.left.schema))
    pads_left, pads_right = join.pads
    # Above a join the padded side is the one that the other's padding is about.
    down_left = [] if pads_right else left
    down_right = [] if pads_left or join.half else right
    stay = [t for t in terms if t not in down_left and e.shift(t, -len(join.left.schema)) not in down_right]
    if join.kind == "INNER":
        # What is about both sides becomes part of the condition, so that comma joins find their keys.
        own = [*e.conjuncts(join.residual), *stay]
        stay = []
    else:
        own = e.conjuncts(join.residual)
    if join is rel.input and not down_left and not down_right and len(own) == len(e.conjuncts(join.residual)):
        return rel
    made = replace(
        join,
        left=_filter(join.left, down_left),
        right=_filter(join.right, down_right),
        residual=e.conjunction(own),
    )
    if not stay and rel.exprs is None:
        return _named(made, rel)
    return p.Calc(rel.schema, made, rel.exprs, e.conjunction(stay))


def _own(join: p.Join) -> p.Rel:
    """Conditions of ON about one side alone."""
    terms = e.conjuncts(join.residual)
    left, right = _split(terms, len(join.left.schema))
    down_left = left if join.kind in ("INNER", "RIGHT", "SEMI") else []
    down_right = right if join.kind in ("INNER", "LEFT", "SEMI", "ANTI") else []
    if not down_left and not down_right:
        return join
    n = len(join.left.schema)
    stay = [t for t in terms if t not in down_left and e.shift(t, -n) not in down_right]
    return replace(
        join,
        left=_filter(join.left, down_left),
        right=_filter(join.right, down_right),
        residual=e.conjunction(stay),
    )


def _split(terms: list[e.Expr], n: int) -> tuple[list[e.Expr], list[e.Expr]]:
    """The terms that may move about the left alone, and about the right alone (over its own columns)."""
    left: list[e.Expr] = []
    right: list[e.Expr] = []
    for t in terms:
        used = e.refs(t)
        if used and movable(t) and max(used) < n:
            left.append(t)
        elif used and movable(t) and min(used) >= n:
            right.append(e.shift(t, -n))
    return left, right


def _filter(rel: p.Rel, terms: list[e.Expr]) -> p.Rel:
    predicate = e.conjunction(terms)
    return rel if predicate is None else p.Calc(rel.schema, rel, None, predicate)


def _named(joined: p.Rel, rel: p.Calc) -> p.Rel:
    """The join in place of a filter over it; a projection keeps the filter's names."""
    if joined.schema.fields == rel.schema.fields:
        return joined
    return p.Calc(rel.schema, joined, tuple(e.InputRef(f.type, i) for i, f in enumerate(joined.schema)))


# ---------------------------------------------------------------- outer to inner


def _simplified(join: p.Join, terms: list[e.Expr]) -> p.Join:
    """The join without a padding whose rows no term lets pass."""
    pads_left, pads_right = join.pads
    n = len(join.left.schema)
    first, second = frozenset(range(n)), frozenset(range(n, len(join.schema)))
    if pads_left and any(rejects(t, second) for t in terms):
        pads_left = False
    if pads_right and any(rejects(t, first) for t in terms):
        pads_right = False
    if (pads_left, pads_right) == join.pads:
        return join
    kind: JoinKind = "FULL" if pads_left and pads_right else "LEFT" if pads_left else "RIGHT" if pads_right else "INNER"
    return replace(join, kind=kind)


def rejects(x: e.Expr, columns: frozenset[int]) -> bool:
    """Whether a condition is never TRUE where all these columns are NULL."""
    if isinstance(x, e.Literal):
        return x.value is not True
    if isinstance(x, e.Logic):
        return (any if x.op == "AND" else all)(rejects(t, columns) for t in x.terms)
    if isinstance(x, e.Call):
        name = x.function.name
        if name in ("IS NOT NULL", "IS FALSE", "IS NOT UNKNOWN"):
            return _is_null(x.args[0], columns)
        if name == "IS TRUE":
            return rejects(x.args[0], columns)
        if name == "NOT" and isinstance(x.args[0], e.Call) and x.args[0].function.name in ("IS NULL", "IS UNKNOWN"):
            return _is_null(x.args[0].args[0], columns)
    return _is_null(x, columns)


def _is_null(x: e.Expr, columns: frozenset[int]) -> bool:
    """Whether a value is surely NULL where all these columns are."""
    if isinstance(x, e.InputRef):
        return x.index in columns
    if isinstance(x, e.Cast):
        return _is_null(x.arg, columns)
    if isinstance(x, e.Literal):
        return x.value is None
    if isinstance(x, e.Logic):
        return all(_is_null(t, columns) for t in x.terms)
    return isinstance(x, e.Call) and x.function.name in _STRICT and any(_is_null(a, columns) for a in x.args)
