"""What stands on the right of a join and reads its left: UNNEST, LATERAL TABLE, LATERAL subqueries."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deras.core.errors import BindError, ConfigError
from deras.core.schema import Field, Schema
from deras.core.types import INT, Kind
from deras.sql.bind.arguments import cast_arguments, takes
from deras.sql.bind.decorrelate import pull
from deras.sql.bind.expressions import ExprBinder, not_yet
from deras.sql.bind.scope import Scope
from deras.sql.bind.subqueries import Correlation
from deras.sql.expr import nodes as e
from deras.sql.functions.process import UserProcess
from deras.sql.functions.udf import optional
from deras.sql.functions.udtf import UserTableFunction
from deras.sql.plan import nodes as p
from deras.sql.plan.correlate import Correlate, UnnestFunction
from deras.sql.plan.joins import JoinKind, joined_schema
from deras.sql.syntax import ast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.sql.bind.query import QueryBinder
    from deras.sql.plan.correlate import TableFunction


def reads_left(r: ast.Relation) -> bool:
    """Whether a relation may read what stands on its left in FROM."""
    match r:
        case ast.Unnest():
            return True
        case ast.SubqueryRelation():
            return r.lateral
        case ast.FunctionRelation():
            from deras.sql.bind.relations import is_relation_function

            return r.lateral or not is_relation_function(r)
    return False


def alone(q: QueryBinder, r: ast.Relation) -> tuple[p.Rel, Scope]:
    """UNNEST or a table function with nothing on its left."""
    one = p.Values(Schema(()), ((),))
    rel, scope = _right(q, one, Scope(outer=q.outer), r, outer=False)
    return rel, scope


def bind_lateral(q: QueryBinder, r: ast.Join, left: p.Rel, scope: Scope) -> tuple[p.Rel, Scope]:
    """A join whose right reads its left.

    Raises:
        BindError: a kind or condition that cannot be.
    """
    if r.kind not in ("INNER", "LEFT", "CROSS", "COMMA"):
        raise BindError(
            f"{r.kind} JOIN cannot have a right side that reads the left",
            span=r.right.span,
            hint="Only CROSS, INNER and LEFT JOIN can.",
        )
    if r.using or r.natural:
        raise BindError("a lateral join takes ON, not USING or NATURAL", span=r.span)
    outer = r.kind == "LEFT"
    rel, both = _right(q, left, scope, r.right, outer=outer)
    if r.on is None:
        if r.kind in ("INNER", "LEFT"):
            raise BindError("JOIN needs ON", span=r.span, hint="Write ON TRUE.")
        return rel, both
    condition = ExprBinder(q.context, both, clause="ON").condition(r.on, "ON")
    if isinstance(condition, e.Literal) and condition.value is True:
        return rel, both
    if outer:
        raise not_yet("a LEFT JOIN of a table function with a condition", r.on.span, "Write ON TRUE.")
    return p.Calc(rel.schema, rel, None, condition), both


def _right(q: QueryBinder, left: p.Rel, scope: Scope, r: ast.Relation, *, outer: bool) -> tuple[p.Rel, Scope]:
    match r:
        case ast.Unnest():
            return _unnest(q, left, scope, r, outer=outer)
        case ast.SubqueryRelation():
            return _subquery(q, left, scope, r, outer=outer)
        case ast.FunctionRelation():
            return _function(q, left, scope, r, outer=outer)
    raise not_yet(type(r).__name__, r.span)


# ---------------------------------------------------------------- table functions


def _with_columns(rel: p.Rel, exprs: Sequence[e.Expr]) -> tuple[p.Rel, tuple[int, ...]]:
    """The input with a column for each expression, and their positions."""
    fields = list(rel.schema.fields)
    columns: list[e.Expr] = [e.InputRef(f.type, i) for i, f in enumerate(fields)]
    places = []
    for x in exprs:
        if isinstance(x, e.InputRef):
            places.append(x.index)
            continue
        places.append(len(columns))
        fields.append(Field(f"$f{len(columns)}", x.type))
        columns.append(x)
    if len(columns) == len(rel.schema):
        return rel, tuple(places)
    return p.Calc(Schema(tuple(fields), rel.schema.key), rel, tuple(columns)), tuple(places)


def correlate(
    left: p.Rel, scope: Scope, function: TableFunction, args: Sequence[e.Expr], alias: ast.Alias | None, *, outer: bool
) -> tuple[p.Rel, Scope]:
    """The left's rows with what a table function makes of them."""
    n = len(left.schema)
    wide, places = _with_columns(left, args)
    fields = list(function.fields)
    if alias is not None and alias.columns:
        if len(alias.columns) != len(fields):
            raise BindError(
                f"alias '{alias.name.name}' names {len(alias.columns)} columns, the function gives {len(fields)}",
                span=alias.span,
            )
        fields = [replace(f, name=c.name) for f, c in zip(fields, alias.columns, strict=True)]
    if outer:
        fields = [replace(f, type=f.type.with_nullable(True)) for f in fields]
    rel: p.Rel = Correlate(Schema((*wide.schema.fields, *fields)), wide, function, places, outer)
    if len(wide.schema) > n:
        keep = [*range(n), *range(len(wide.schema), len(rel.schema))]
        schema = Schema(tuple(rel.schema[i] for i in keep))
        rel = p.Calc(schema, rel, tuple(e.InputRef(rel.schema[i].type, i) for i in keep))
    name = alias.name.name if alias is not None else ""
    return rel, scope.joined(Scope.of(Schema(tuple(fields)), name), n)


def _unnest(q: QueryBinder, left: p.Rel, scope: Scope, r: ast.Unnest, *, outer: bool) -> tuple[p.Rel, Scope]:
    if len(r.args) != 1:
        raise not_yet("UNNEST of several collections", r.span, "Unnest one after the other WITH ORDINALITY.")
    value = ExprBinder(q.context, scope, clause="UNNEST").bind(r.args[0])
    type_ = value.type
    match type_.kind:
        case Kind.MAP:
            fields = [Field("KEY", type_.children[0]), Field("VALUE", type_.children[1])]
        case Kind.ARRAY | Kind.MULTISET:
            element = type_.children[0]
            if element.kind is Kind.ROW:
                # A NULL among the rows is a row of NULLs.
                fields = [
                    Field(name, c.with_nullable(c.nullable or element.nullable))
                    for name, c in zip(element.names, element.children, strict=True)
                ]
            else:
                fields = [Field(r.alias.name.name if r.alias is not None else "EXPR$0", element)]
        case _:
            raise BindError(
                f"UNNEST takes an ARRAY, MAP or MULTISET, not {type_.with_nullable(True)}", span=r.args[0].span
            )
    if r.ordinality:
        fields.append(Field("ORDINALITY", INT.with_nullable(False)))
    return correlate(left, scope, UnnestFunction(tuple(fields), r.ordinality), [value], r.alias, outer=outer)


def _function(
    q: QueryBinder, left: p.Rel, scope: Scope, r: ast.FunctionRelation, *, outer: bool
) -> tuple[p.Rel, Scope]:
    from deras.sql.bind.relations import no_table_function

    name = r.call.name.parts[-1].name
    own = q.context.catalog.function(name)
    found = None
    if own is not None:
        try:
            found = own.loaded(q.context.folder)
        except ConfigError as err:
            raise BindError(f"function '{own.name}': {err}", span=r.call.span, hint=err.hint) from err
    if isinstance(found, UserProcess):
        return _process(q, left, found, r)
    if not isinstance(found, UserTableFunction):
        raise no_table_function(q, r)
    binder = ExprBinder(q.context, scope, clause=name)
    given = [binder.bind(a) for a in r.call.args]
    args = cast_arguments(found.name, found.input_types, given, r.call, optional(found.function))
    takes(found.name, found.function, len(args), r.call)
    return correlate(left, scope, found, args, r.alias, outer=outer)


def _process(q: QueryBinder, left: p.Rel, found: UserProcess, r: ast.FunctionRelation) -> tuple[p.Rel, Scope]:
    from deras.sql.bind.process import bind_process
    from deras.sql.bind.relations import aliased

    if len(left.schema):
        raise BindError(
            f"process function {found} cannot stand behind another relation",
            span=r.span,
            hint="Write it in a subquery: JOIN (SELECT * FROM f(…)) AS t ON ….",
        )
    return aliased(bind_process(q, found, r.call), r.alias, "")


# ---------------------------------------------------------------- subqueries


def _subquery(
    q: QueryBinder, left: p.Rel, scope: Scope, r: ast.SubqueryRelation, *, outer: bool
) -> tuple[p.Rel, Scope]:
    correlation = Correlation(ExprBinder(q.context, scope))
    plan = q.inner(correlation).query(r.query)
    width = len(plan.schema)
    right, terms = pull(plan, e.Where(q.context.text, r.span))
    n = len(left.schema)

    def change(y: e.Expr) -> e.Expr | None:
        if isinstance(y, e.Outer):
            return correlation.values[y.index]
        if isinstance(y, e.InputRef):
            return replace(y, index=y.index + n)
        return None

    kind: JoinKind = "LEFT" if outer else "INNER"
    on = e.conjunction([e.transform(t, change) for t in terms])
    rel: p.Rel = p.Join(joined_schema(left.schema, right.schema, kind), left, right, kind, (), (), on)
    if len(right.schema) > width:
        schema = Schema(rel.schema.fields[: n + width])
        rel = p.Calc(schema, rel, tuple(e.InputRef(f.type, i) for i, f in enumerate(schema)))
    names = rel.schema.fields[n : n + width]
    if r.alias is not None and r.alias.columns:
        if len(r.alias.columns) != width:
            raise BindError(
                f"alias '{r.alias.name.name}' names {len(r.alias.columns)} columns, the subquery has {width}",
                span=r.alias.span,
            )
        names = tuple(replace(f, name=c.name) for f, c in zip(names, r.alias.columns, strict=True))
    qualifier = r.alias.name.name if r.alias is not None else ""
    kept = Scope([replace(c, field=replace(rel.schema[c.index], name=c.field.name)) for c in scope.columns])
    return rel, kept.joined(Scope.of(Schema(names), qualifier), n)
