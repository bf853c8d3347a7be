"""Queries: SELECT, VALUES, UNION ALL, WITH to a logical plan."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from deras.core.errors import BindError, PlanError, Span
from deras.core.schema import Field, Schema
from deras.core.types import Kind, SqlType
from deras.sql.bind.expressions import WINDOW_WORDS, ExprBinder, not_yet
from deras.sql.bind.grouping import aggregate_sets, grouping, is_grouping, kept_times
from deras.sql.bind.lifetimes import Lifetimes
from deras.sql.bind.lookups import LookupHints
from deras.sql.bind.over import Windows, over_refs, plan_over
from deras.sql.bind.rank import bind_ordered
from deras.sql.bind.relations import bind_relation, identity
from deras.sql.bind.scope import Scope
from deras.sql.bind.sets import set_operation
from deras.sql.bind.subqueries import attach, where
from deras.sql.bind.time_joins import keep_time
from deras.sql.bind.windows import legacy_window
from deras.sql.expr import nodes as e
from deras.sql.functions import aggregates
from deras.sql.functions.registry import cast_to
from deras.sql.plan import nodes as p
from deras.sql.syntax import ast
from deras.sql.types import common_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.sql.bind.context import BindContext
    from deras.sql.bind.subqueries import Correlation

_HINTS = ("BROADCAST", "SHUFFLE_HASH", "SHUFFLE_MERGE", "NEST_LOOP", "LOOKUP", "STATE_TTL")


@dataclass(slots=True)
class QueryBinder:
    """Binds queries; knows the WITH queries in reach."""

    context: BindContext
    ctes: dict[str, p.Rel] = field(default_factory=dict)
    outer: Correlation | None = None
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    lookups: LookupHints | None = None

    def inner(self, outer: Correlation) -> QueryBinder:
        """The binder of a subquery that may read this query's columns."""
        return QueryBinder(self.context, self.ctes, outer)

    def query(self, x: ast.Query, *, top: bool = False, root: bool = False) -> p.Rel:
        """The plan of a query.

        Args:
            x: the query.
            top: it is a statement of its own: its LIMIT is left to who reads the rows.
            root: it is that, or what a statement writes somewhere, not a subquery.
        """
        inner = self
        if x.recursive:
            raise not_yet("WITH RECURSIVE", x.span)
        if x.ctes:
            inner = QueryBinder(self.context, dict(self.ctes), self.outer)
            for cte in x.ctes:
                rel = inner.query(cte.query)
                if cte.columns:
                    if len(cte.columns) != len(rel.schema):
                        raise BindError(
                            f"'{cte.name.name}' names {len(cte.columns)} columns, its query has {len(rel.schema)}",
                            span=cte.name.span,
                        )
                    fields = tuple(replace(f, name=c.name) for f, c in zip(rel.schema, cte.columns, strict=True))
                    rel = p.Calc(Schema(fields), rel, tuple(e.InputRef(f.type, i) for i, f in enumerate(fields)))
                inner.ctes[cte.name.name] = rel
        return bind_ordered(inner, x, top=top, root=root or top)

    def body(self, x: ast.QueryBody) -> p.Rel:
        """The plan of a query's body."""
        match x:
            case ast.Select():
                return SelectBinder(self, x).bind()
            case ast.Values():
                return self._values(x)
            case ast.SetOperation():
                return self._set(x)
            case ast.Query():
                return self.query(x)
            case ast.TableBody():
                from deras.sql.bind.relations import relation_named

                return relation_named(self, x.name, {})
        raise not_yet(type(x).__name__, x.span)

    def _values(self, x: ast.Values) -> p.Rel:
        binder = ExprBinder(self.context, Scope(), clause="VALUES")
        rows = [[binder.bind(i) for i in r.items] for r in x.rows]
        width = len(rows[0])
        for r, node in zip(rows, x.rows, strict=True):
            if len(r) != width:
                raise BindError(f"this row has {len(r)} values, the first has {width}", span=node.span)
        types: list[SqlType] = []
        for i in range(width):
            common = common_type([r[i].type for r in rows])
            if common is None:
                kinds = ", ".join(dict.fromkeys(str(r[i].type.with_nullable(True)) for r in rows))
                raise BindError(
                    f"column {i + 1} of VALUES has no common type: {kinds}", span=x.span, hint="Convert with CAST."
                )
            types.append(common)
        made = tuple(tuple(cast_to(v, ty) for v, ty in zip(r, types, strict=True)) for r in rows)
        return p.Values(Schema(tuple(Field(f"EXPR${i}", ty) for i, ty in enumerate(types))), made)

    def _set(self, x: ast.SetOperation) -> p.Rel:
        parts = [self.body(i) for i in x.inputs]
        first = parts[0].schema
        for part, node in zip(parts, x.inputs, strict=True):
            if len(part.schema) != len(first):
                raise BindError(
                    f"{x.op} needs equal numbers of columns: {len(first)} and {len(part.schema)}", span=node.span
                )
        types: list[SqlType] = []
        for i in range(len(first)):
            common = common_type([part.schema[i].type for part in parts])
            if common is None:
                kinds = " and ".join(dict.fromkeys(str(part.schema[i].type.with_nullable(True)) for part in parts))
                raise BindError(
                    f"column {i + 1} of {x.op} has no common type: {kinds}", span=x.span, hint="Convert with CAST."
                )
            types.append(common)
        same_time = [len({part.schema[i].time for part in parts}) == 1 for i in range(len(first))]
        fields = tuple(
            replace(f, type=ty, time=f.time if keep else None)
            for f, ty, keep in zip(first, types, same_time, strict=True)
        )
        schema = Schema(fields)
        cast = tuple(cast_columns(part, schema) for part in parts)
        if x.op != "UNION":
            return set_operation(x.op, cast, schema, all_rows=x.all)
        rel: p.Rel = p.Union(schema, cast)
        return rel if x.all else distinct(rel)


def cast_columns(rel: p.Rel, schema: Schema) -> p.Rel:
    """The input with its columns cast to a schema's types and named as there."""
    exprs = tuple(
        cast_to(e.InputRef(f.type, i), g.type) for i, (f, g) in enumerate(zip(rel.schema, schema, strict=True))
    )
    if all(isinstance(x, e.InputRef) for x in exprs):
        return rel
    return p.Calc(Schema(schema.fields), rel, exprs)


def distinct(rel: p.Rel) -> p.Rel:
    """Each row once."""
    schema = Schema(rel.schema.fields, tuple(range(len(rel.schema))))
    return p.Aggregate(schema, rel, tuple(range(len(rel.schema))), ())


class SelectBinder:
    """One SELECT."""

    def __init__(self, q: QueryBinder, x: ast.Select) -> None:
        self.q = q
        self.x = x
        self.context = q.context
        self.rel: p.Rel = p.Values(Schema(()), ((),))
        self.scope = Scope()
        self.window: ast.Call | None = None
        self.windows = Windows(())
        self.first_window_column = 0
        self._ttl: tuple[int, ...] = ()

    def bind(self) -> p.Rel:
        """The plan."""
        x = self.x
        self.windows = Windows(x.windows)
        for hint in x.hints:
            if hint.name.upper() not in _HINTS:
                raise not_yet(f"hint {hint.name}", hint.span)
        lifetimes, lookups = Lifetimes(x.hints), LookupHints(x.hints, self.context)
        if x.source is not None:
            before = self.q.lifetimes, self.q.lookups
            self.q.lifetimes, self.q.lookups = lifetimes, lookups
            self.rel, self.scope = bind_relation(self.q, x.source)
            self.q.lifetimes, self.q.lookups = before
        lifetimes.check(self.scope)
        lookups.finish()
        self._ttl = lifetimes.of(self.scope)
        self.scope.outer = self.q.outer
        if x.where is not None:
            binder = ExprBinder(self.context, self.scope, clause="WHERE", q=self.q)
            self.rel = where(self.rel, binder.condition(x.where, "WHERE"))
            self.rel, self.scope = keep_time(self.rel, self.scope)
        self._legacy_window()
        items = self._items()
        grouped = (
            x.group_by is not None
            or x.having is not None
            or any(e.AggregateRef in map(type, b.walk()) for b, _, _ in items)
        )
        having = None
        if x.having is not None:
            binder = ExprBinder(self.context, self.scope, aggregates=True, legacy=self._legacy, q=self.q)
            having = binder.condition(x.having, "HAVING")
        if x.qualify is not None:
            items.append((self._qualify(x.qualify, items), "", x.qualify.span))
        if grouped:
            items, having = self._group(items, having)
        if having is not None:
            self.rel = where(self.rel, having)
        rel = self._project(self._over(items))
        return distinct(rel) if x.distinct else rel

    # ---- windows of rows

    def _qualify(self, x: ast.Expr, items: list[tuple[e.Expr, str, Span]]) -> e.Expr:
        aliases = {name: b for b, name, _ in items}
        binder = ExprBinder(
            self.context, self.scope, aggregates=True, clause="QUALIFY", legacy=self._legacy, q=self.q,
            windows=self.windows, aliases=aliases,
        )  # fmt: skip
        bound = binder.condition(x, "QUALIFY")
        if not over_refs([bound]):
            raise BindError(
                "QUALIFY needs a window function", span=x.span, hint="What filters rows before windows is WHERE."
            )
        return bound

    def _over(self, items: list[tuple[e.Expr, str, Span]]) -> list[tuple[e.Expr, str, Span]]:
        """The items with window functions as columns; a QUALIFY at their end is done."""
        refs = over_refs([b for b, _, _ in items])
        if not refs:
            return items
        self.rel, above = plan_over(self.rel, refs, strict=self.context.settings.strict_flink)
        items = [(above(b), name, span) for b, name, span in items]
        if self.x.qualify is not None:
            self.rel = where(self.rel, items.pop()[0])
        return items

    # ---- items

    def _items(self) -> list[tuple[e.Expr, str, Span]]:
        binder = ExprBinder(
            self.context, self.scope, aggregates=True, clause="SELECT", legacy=self._legacy, q=self.q,
            windows=self.windows,
        )  # fmt: skip
        found: list[tuple[e.Expr, str, Span]] = []
        for item in self.x.items:
            if isinstance(item.expr, ast.Star):
                if not self.scope.columns:
                    raise BindError("'*' needs FROM", span=item.expr.span)
                for c in self.scope.star(item.expr.qualifier):
                    ref = e.InputRef(c.field.type, c.index, at=e.Where(self.context.text, item.expr.span))
                    found.append((ref, c.field.name, item.expr.span))
                continue
            bound = binder.bind(item.expr)
            if bound.type.kind is Kind.NULL:
                raise BindError("NULL has no type here", span=item.expr.span, hint="Give it one: CAST(NULL AS STRING).")
            if item.alias is not None:
                name = item.alias.name
            elif isinstance(item.expr, ast.ColumnRef):
                name = item.expr.parts[-1].name
            else:
                name = f"EXPR${len(found)}"
            found.append((bound, name, item.expr.span))
        return found

    def _project(self, items: list[tuple[e.Expr, str, Span]]) -> p.Rel:
        fields: list[Field] = []
        names: set[str] = set()
        for bound, name, _ in items:
            unique, n = name, 0
            while unique in names:
                unique, n = f"{name}{n}", n + 1
            names.add(unique)
            time = None
            comment = ""
            if isinstance(bound, e.InputRef):
                source = self.rel.schema[bound.index]
                time, comment = source.time, source.comment
            elif isinstance(bound, e.Context) and bound.kind == "proctime":
                time = "proctime"
            fields.append(Field(unique, bound.type, time, comment))
        self.rel, made = attach(self.rel, [b for b, _, _ in items])
        exprs = tuple(made)
        schema = Schema(tuple(fields))
        if identity(self.rel, exprs) and schema.fields == self.rel.schema.fields:
            return self.rel
        return p.Calc(schema, self.rel, exprs)

    # ---- legacy group windows

    def _legacy_window(self) -> None:
        group = self.x.group_by
        if group is None:
            return
        for g in group.items:
            if isinstance(g, ast.Call) and g.function in ("TUMBLE", "HOP", "SESSION"):
                if self.window is not None:
                    raise BindError("GROUP BY can have one window only", span=g.span)
                self.window = g
        if self.window is not None:
            n = len(self.rel.schema)
            self.rel = legacy_window(self.q, self.rel, self.scope, self.window)
            self.first_window_column = n

    def _legacy(self, call: ast.Call) -> e.Expr | None:
        if self.window is None:
            return None
        head, _, tail = call.function.partition("_")
        if head != self.window.function:
            return None
        if tail not in WINDOW_WORDS and tail:
            return None
        if call.args != self.window.args:
            raise BindError(f"{call.function} must have the arguments of the window in GROUP BY", span=call.span)
        if not tail:
            raise BindError(f"{head} can only stand in GROUP BY", span=call.span, hint=f"Use {head}_START(…).")
        place = {"START": 0, "END": 1, "ROWTIME": 2, "PROCTIME": 2}[tail]
        at = self.first_window_column + place
        return e.InputRef(self.rel.schema[at].type, at, at=e.Where(self.context.text, call.span))

    # ---- grouping

    def _group(
        self, items: list[tuple[e.Expr, str, Span]], having: e.Expr | None
    ) -> tuple[list[tuple[e.Expr, str, Span]], e.Expr | None]:
        found = grouping(self.x.group_by, self._key)
        keys = found.keys
        every: list[e.AggregateRef] = []
        for x in [*(b for b, _, _ in items), *([having] if having is not None else [])]:
            for y in x.walk():
                if isinstance(y, e.AggregateRef) and y not in every:
                    every.append(y)
        refs = [r for r in every if not is_grouping(r)]
        numbers = [r for r in every if is_grouping(r)]
        # The aggregate's arguments are columns of a projection below it.
        columns: list[e.Expr] = list(keys)

        def column(x: e.Expr) -> int:
            if x in columns:
                return columns.index(x)
            columns.append(x)
            return len(columns) - 1

        calls = []
        for r in refs:
            arg = column(r.args[0]) if r.args else None
            condition = column(r.filter) if r.filter is not None else None
            type_ = r.type
            if not all(found.sets) and r.function != "COUNT":
                type_ = type_.with_nullable(True)
            input_type = r.args[0].type if r.args else None
            if r.user is not None:
                more = tuple(column(x) for x in r.args[1:])
                calls.append(
                    p.AggCall(r.function, arg, type_, filter=condition, input_type=input_type, more=more, user=r.user)
                )
                continue
            calls.append(p.AggCall(aggregates.canonical(r.function), arg, type_, r.distinct, condition, input_type))
        below = Schema(tuple(self._key_field(c, i) for i, c in enumerate(columns)))
        shown = kept_times(below.fields[: len(keys)], keys, self.rel.window_bounds())
        names = self.rel.schema.names
        wide, columns = attach(self.rel, columns)
        source = p.Calc(below, wide, tuple(columns))
        if len(found.sets) > 1 or numbers:
            self.rel = aggregate_sets(source, shown, found, tuple(calls), numbers)
        else:
            n = len(keys)
            schema = Schema(
                (*shown, *(Field(f"${n + i}", c.type) for i, c in enumerate(calls))),
                tuple(range(n)),
            )  # fmt: skip
            self.rel = p.Aggregate(schema, source, tuple(range(n)), tuple(calls), ttl=self._ttl)
        made = [*refs, *numbers]
        above = [(self._above(b, keys, made, names, span), name, span) for b, name, span in items]
        tested = (
            None
            if having is None or self.x.having is None
            else self._above(having, keys, made, names, self.x.having.span)
        )
        return above, tested

    def _key_field(self, x: e.Expr, i: int) -> Field:
        if isinstance(x, e.InputRef):
            return self.rel.schema[x.index]
        return Field(f"${i}", x.type)

    def _key(self, item: ast.Expr) -> list[e.Expr]:
        if item is self.window or (self.window is not None and item == self.window):
            first = self.first_window_column
            return [e.InputRef(self.rel.schema[at].type, at) for at in range(first, first + 3)]
        if isinstance(item, ast.LiteralValue) and item.kind is ast.LiteralKind.INTEGER:
            raise BindError(
                "GROUP BY takes no positions in Flink SQL", span=item.span, hint="Write the expression itself."
            )
        try:
            key = ExprBinder(self.context, self.scope, clause="GROUP BY").bind(item)
        except BindError as err:
            raise self._alias_hint(item, err) from None
        if key.type.kind is Kind.MAP:
            raise PlanError(f"GROUP BY a {key.type} is not supported", span=item.span)
        return [key]

    def _alias_hint(self, item: ast.Expr, err: BindError) -> BindError:
        if isinstance(item, ast.ColumnRef) and len(item.parts) == 1:
            name = item.parts[0].name
            for s in self.x.items:
                if s.alias is not None and s.alias.name == name:
                    err.hint = (
                        f"'{name}' is an alias of SELECT: GROUP BY takes the expression itself, or use a subquery."
                    )
        return err

    def _above(
        self, x: e.Expr, keys: list[e.Expr], refs: list[e.AggregateRef], names: Sequence[str], span: Span
    ) -> e.Expr:
        n = len(keys)
        grouped = self.rel.schema

        def change(y: e.Expr) -> e.Expr | None:
            if isinstance(y, e.AggregateRef):
                i = refs.index(y)
                return e.InputRef(grouped[n + i].type, n + i, at=y.at)
            if y in keys:
                i = keys.index(y)
                return e.InputRef(grouped[i].type, i, at=y.at)
            if isinstance(y, e.InputRef):
                name = names[y.index]
                place = y.at.span if y.at is not None else span
                raise BindError(
                    f"column '{name}' is neither grouped nor inside an aggregate function",
                    span=place,
                    hint=f"Add it to GROUP BY, or write for example MAX({name}).",
                )
            return None

        return e.transform(x, change)
