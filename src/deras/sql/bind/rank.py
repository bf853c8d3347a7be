"""ORDER BY, LIMIT and OFFSET of a query."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deras.core.errors import BindError, PlanError
from deras.core.schema import Field, Schema
from deras.core.types import Layout
from deras.sql.bind.expressions import ExprBinder
from deras.sql.bind.scope import Scope
from deras.sql.expr import nodes as e
from deras.sql.plan import nodes as p
from deras.sql.plan.over import OrderKey
from deras.sql.plan.rank import Rank, Sort
from deras.sql.syntax import ast

if TYPE_CHECKING:
    from deras.core.errors import Span
    from deras.sql.bind.query import QueryBinder


def bind_ordered(q: QueryBinder, x: ast.Query, *, top: bool, root: bool) -> p.Rel:
    """The plan of a query's body with its ORDER BY, OFFSET and LIMIT.

    Args:
        q: with the query's WITH in reach.
        x: the query.
        top: whether it is a statement of its own: then LIMIT is left to who reads the rows.
        root: whether it is no subquery: only there ORDER BY means something without LIMIT.
    """
    offset = 0 if x.offset is None else _count(q, x.offset, "OFFSET")
    limit = None if x.limit is None else _count(q, x.limit, "LIMIT")
    if x.offset is not None and limit is None and q.context.settings.strict_flink:
        raise PlanError("OFFSET without LIMIT is not Flink SQL", span=x.offset.span, hint="Add LIMIT n.")
    if not x.order_by:
        rel = q.body(x.body)
        if top and limit is not None:
            skipped = rel if not offset else _limit(rel, offset, None)
            return p.Limit(skipped.schema, skipped, limit)
        return rel if limit is None and not offset else _limit(rel, offset, limit)
    rel, order, width = _order(q, x)
    if not root and limit is None and not offset:
        return _first(rel, width)
    last = None if limit is None else offset + limit
    if q.context.settings.batch:
        made: p.Rel = Sort(rel.schema, rel, order, "end", offset + 1, last)
    elif limit is not None:
        made = Rank(rel.schema, rel, (), order, "ROW_NUMBER", offset + 1, last, None, None, "SortLimit")
    else:
        made = _by_time(rel, order, x, offset)
    return _first(made, width)


def _first(rel: p.Rel, width: int) -> p.Rel:
    """Only the first columns."""
    if width == len(rel.schema):
        return rel
    fields = rel.schema.fields[:width]
    return p.Calc(Schema(fields), rel, tuple(e.InputRef(f.type, i) for i, f in enumerate(fields)))


def limited(rel: p.Rel, count: int) -> p.Rel:
    """The first rows of a result that is updated: others take the places of rows that go."""
    return _limit(rel, 0, count)


def _limit(rel: p.Rel, offset: int, limit: int | None) -> p.Rel:
    last = None if limit is None else offset + limit
    return Rank(rel.schema, rel, (), (), "ROW_NUMBER", offset + 1, last, None, None, "Limit")


def _count(q: QueryBinder, x: ast.Expr, what: str) -> int:
    found = ExprBinder(q.context, Scope()).bind(x)
    if not isinstance(found, e.Literal) or not found.type.is_integer or found.value is None:
        raise BindError(f"{what} needs a whole number", span=x.span)
    if int(found.value) < 0:
        raise BindError(f"{what} cannot be negative", span=x.span)
    return int(found.value)


def _by_time(rel: p.Rel, order: tuple[OrderKey, ...], x: ast.Query, offset: int) -> p.Rel:
    first = x.order_by[0]
    time = rel.schema[order[0].column].time
    hint = "Leave ORDER BY out, make a materialized view and sort when reading it; or add LIMIT to keep the first rows."
    if time is None or order[0].descending:
        what = "sort on a non-time-attribute field is not supported"
        if time is not None:
            what = "a stream can be sorted by ascending time only"
        raise PlanError(
            what,
            span=first.span,
            detail="A stream has no end after which its rows could be sorted; only an ascending time attribute "
            "can stand first.",
            hint=hint,
        )
    if offset:
        assert x.offset is not None  # noqa: S101 (it is not 0)
        raise PlanError("OFFSET with ORDER BY needs LIMIT on a stream", span=x.offset.span, hint="Add LIMIT n.")
    return Sort(rel.schema, rel, order, time)


def _order(q: QueryBinder, x: ast.Query) -> tuple[p.Rel, tuple[OrderKey, ...], int]:
    """The body, with more columns behind its own where ORDER BY needs others; the order; how many are its own."""
    rel = q.body(x.body)
    width = len(rel.schema)
    hidden: list[ast.OrderItem] = []
    for item in x.order_by:
        try:
            _key(q, rel, item.expr)
        except BindError:
            # Not a column of the result: perhaps of its tables.
            if not isinstance(x.body, ast.Select) or x.body.distinct:
                raise
            hidden.append(item)
    if hidden:
        assert isinstance(x.body, ast.Select)  # noqa: S101 (else it was raised)
        more = tuple(
            ast.SelectItem(i.expr, ast.Identifier(_name(i.expr, n), span=i.span), span=i.span)
            for n, i in enumerate(hidden)
        )
        rel = q.body(replace(x.body, items=(*x.body.items, *more)))
    columns: list[e.Expr] = [e.InputRef(f.type, i) for i, f in enumerate(rel.schema)]
    fields = list(rel.schema.fields)
    order: list[OrderKey] = []
    for item in x.order_by:
        if item in hidden:
            key: e.Expr = columns[width + hidden.index(item)]
        else:
            key = _key(q, rel, item.expr)
        if isinstance(key, e.Literal):
            continue
        if key.type.layout is Layout.NESTED:
            raise PlanError(f"rows cannot be ordered by a {key.type.with_nullable(True)}", span=item.span)
        if isinstance(key, e.InputRef):
            at = key.index
        else:
            at = len(columns)
            columns.append(key)
            fields.append(Field(f"$order{at}", key.type))
        nulls_first = (not item.descending) if item.nulls_first is None else item.nulls_first
        if all(k.column != at for k in order):
            order.append(OrderKey(at, item.descending, nulls_first))
    if len(columns) > len(rel.schema):
        rel = p.Calc(Schema(tuple(fields)), rel, tuple(columns))
    if not order:
        raise BindError("ORDER BY needs a column", span=x.order_by[0].span)
    return rel, tuple(order), width


def _name(x: ast.Expr, n: int) -> str:
    return x.parts[-1].name if isinstance(x, ast.ColumnRef) else f"$order{n}"


def _key(q: QueryBinder, rel: p.Rel, x: ast.Expr) -> e.Expr:
    """An ORDER BY item over the result's columns: a name, a position, an expression."""
    if isinstance(x, ast.LiteralValue) and x.kind is ast.LiteralKind.INTEGER:
        return _position(rel, int(str(x.value)), x.span)
    return ExprBinder(q.context, Scope.of(rel.schema), clause="ORDER BY").bind(x)


def _position(rel: p.Rel, n: int, span: Span) -> e.Expr:
    if not 1 <= n <= len(rel.schema):
        raise PlanError(
            f"ORDER BY position {n} is not in the select list", span=span, hint=f"It has {len(rel.schema)} columns."
        )
    return e.InputRef(rel.schema[n - 1].type, n - 1)
