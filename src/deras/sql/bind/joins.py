"""Joins in FROM: what ON, USING and NATURAL mean, and which columns there are afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deras.core.errors import BindError
from deras.core.schema import Field, Schema
from deras.sql.bind.expressions import ExprBinder, not_yet
from deras.sql.bind.lateral import bind_lateral, reads_left
from deras.sql.bind.scope import Scope, ScopeColumn
from deras.sql.expr import nodes as e
from deras.sql.functions import operators
from deras.sql.functions.conditional import coalesce
from deras.sql.functions.registry import cast_to
from deras.sql.plan import nodes as p
from deras.sql.plan.joins import joined_schema
from deras.sql.syntax import ast
from deras.sql.types import common_type

if TYPE_CHECKING:
    from deras.sql.bind.query import QueryBinder
    from deras.sql.plan.joins import JoinKind

_KINDS: dict[str, JoinKind] = {
    "INNER": "INNER",
    "CROSS": "INNER",
    "COMMA": "INNER",
    "LEFT": "LEFT",
    "RIGHT": "RIGHT",
    "FULL": "FULL",
}


def bind_join(q: QueryBinder, r: ast.Join) -> tuple[p.Rel, Scope]:
    """The plan of a join and the names of its columns.

    Raises:
        BindError: no condition, a name that stands on both sides, an unknown or ambiguous column.
    """
    from deras.sql.bind.relations import bind_relation

    kind = _KINDS.get(r.kind)
    if kind is None:
        raise not_yet(f"{r.kind} JOIN", r.span)
    left, left_scope = bind_relation(q, r.left)
    if reads_left(r.right):
        return bind_lateral(q, r, left, left_scope)
    right, right_scope = bind_relation(q, r.right)
    return joined(q, r, kind, left, left_scope, right, right_scope)


def joined(
    q: QueryBinder, r: ast.Join, kind: JoinKind, left: p.Rel, left_scope: Scope, right: p.Rel, right_scope: Scope
) -> tuple[p.Rel, Scope]:
    """The join of two bound relations."""
    n = len(left.schema)
    duplicates = set(left_scope.qualifiers()) & set(right_scope.qualifiers())
    if duplicates:
        raise BindError(
            f"table name '{min(duplicates)}' stands twice in FROM",
            span=r.right.span,
            hint="Give one of them an alias with AS.",
        )
    schema = joined_schema(left.schema, right.schema, kind)
    # The condition sees the rows as they were before padding.
    inside = joined_schema(left.schema, right.schema, "INNER")
    scope = left_scope.joined(right_scope, n)
    using = list(r.using)
    if r.natural:
        using = _shared(r, left_scope, right_scope)
    terms: list[e.Expr] = []
    pairs: list[tuple[ast.Identifier, int, int]] = []
    if using:
        for name in using:
            a, b = _side(left_scope, name, "left"), _side(right_scope, name, "right")
            at = e.Where(q.context.text, name.span)
            x = e.InputRef(inside[a.index].type, a.index, at=at)
            y = e.InputRef(inside[b.index + n].type, b.index + n, at=at)
            terms.append(operators.comparison("=", x, y, at))
            pairs.append((name, a.index, b.index + n))
    elif r.on is not None:
        terms.append(ExprBinder(q.context, _typed(scope, inside), clause="ON").condition(r.on, "ON"))
    elif r.kind not in ("CROSS", "COMMA") and not r.natural:
        raise BindError("JOIN needs ON or USING", span=r.span, hint="For all pairs write CROSS JOIN.")
    ttl = q.lifetimes.of(left_scope, right_scope)
    rel: p.Rel = p.Join(schema, left, right, kind, (), (), e.conjunction(terms), ttl=ttl)
    scope = _typed(scope, schema)
    return _merged(q, rel, scope, kind, pairs) if pairs else (rel, scope)


def _typed(scope: Scope, schema: Schema) -> Scope:
    return Scope([replace(c, field=replace(schema[c.index], name=c.field.name)) for c in scope.columns])


def _shared(r: ast.Join, left: Scope, right: Scope) -> list[ast.Identifier]:
    """The common columns of NATURAL, in the left's order."""
    there = {c.field.name for c in right.columns if not c.hidden}
    names = dict.fromkeys(c.field.name for c in left.columns if not c.hidden and c.field.name in there)
    return [ast.Identifier(n, span=r.span) for n in names]


def _side(scope: Scope, name: ast.Identifier, side: str) -> ScopeColumn:
    """The column of USING on one side."""
    if not any(c.field.name == name.name and not c.hidden for c in scope.columns):
        known = list(dict.fromkeys(c.field.name for c in scope.columns if not c.hidden))
        raise BindError(
            f"there is no column '{name.name}' on the {side} of the join",
            span=name.span,
            hint=f"USING takes columns that both sides have; the {side} has: {', '.join(known[:20])}.",
        )
    return scope.resolve([name])[0]


def _merged(
    q: QueryBinder, rel: p.Rel, scope: Scope, kind: JoinKind, pairs: list[tuple[ast.Identifier, int, int]]
) -> tuple[p.Rel, Scope]:
    """One column for each of USING: first in ``*``, under its name alone; both sides' own need their table's name.

    Its value is the first one that is there: the left's, unless that side is padded.
    """
    columns: list[ScopeColumn] = []
    made: list[e.Expr] = []
    fields = list(rel.schema.fields)
    for name, a, b in pairs:
        at = e.Where(q.context.text, name.span)
        x, y = (e.InputRef(rel.schema[i].type, i, at=at) for i in (a, b))
        common = common_type([x.type, y.type])
        if common is None:  # '=' compares more than has a common type: a text with a moment
            common = x.type
        value: e.Expr
        if kind == "FULL":
            value = coalesce([cast_to(x, common), cast_to(y, common)], at)
        else:
            value = cast_to(y if kind == "RIGHT" else x, common)
        field = Field(name.name, value.type)
        if isinstance(value, e.InputRef):
            columns.append(ScopeColumn(value.index, field))
        else:
            columns.append(ScopeColumn(len(rel.schema) + len(made), field))
            made.append(value)
            fields.append(field)
    hidden = {i for _, a, b in pairs for i in (a, b)}
    names = {n.name for n, _, _ in pairs}
    columns += [
        replace(c, hidden=True) if c.index in hidden and c.field.name in names else c
        for c in scope.columns
        # What an inner USING merged has no table's name: it is part of the new one.
        if c.qualifier or c.hidden or c.field.name not in names
    ]
    if made:
        refs = [e.InputRef(f.type, i) for i, f in enumerate(rel.schema)]
        rel = p.Calc(Schema(tuple(fields)), rel, (*refs, *made))
    return rel, Scope(columns)


def not_in(
    left: p.Rel,
    right: p.Rel,
    pairs: list[tuple[int, int]],
    condition: e.Expr | None = None,
) -> p.Join:
    """``(a, …) NOT IN (SELECT b, … )`` as an ANTI join with SQL's NULLs.

    A row passes if every row of the right (that fulfils ``condition``) differs for certain.

    Args:
        left: rows to be tested.
        right: rows that it must not be among.
        pairs: positions in left and right that are compared; of one type.
        condition: correlation with the right, over left then right columns.
    """
    n = len(left.schema)
    schema = joined_schema(left.schema, right.schema, "ANTI")
    known = all(not left.schema[a].type.nullable and not right.schema[b].type.nullable for a, b in pairs)
    if condition is None and (known or len(pairs) == 1):
        keys = tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
        return p.Join(schema, left, right, "ANTI", *keys, null_aware=not known)
    equal = e.conjunction(
        [
            operators.comparison("=", e.InputRef(left.schema[a].type, a), e.InputRef(right.schema[b].type, n + b))
            for a, b in pairs
        ]
    )
    assert equal is not None  # noqa: S101 (there is at least one pair)
    terms = [*e.conjuncts(condition), equal if known else operators.test(equal, "NOT FALSE")]
    return p.Join(schema, left, right, "ANTI", (), (), e.conjunction(terms))
