"""Expressions: syntax to bound trees; every error carries its place."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from deras.core import types as t
from deras.core.errors import BindError, PlanError, Span, did_you_mean
from deras.core.types import Kind, SqlType
from deras.sql.bind.arguments import cast_arguments, takes
from deras.sql.bind.intervals import interval_value
from deras.sql.bind.scope import AmbiguousError, Scope, nested
from deras.sql.expr import nodes as e
from deras.sql.expr.moments import parse_date, parse_time, parse_timestamp
from deras.sql.functions import aggregates, operators, registry
from deras.sql.functions.process import UserProcess
from deras.sql.functions.registry import ArgumentError
from deras.sql.functions.udaf import UserAggregate
from deras.sql.functions.udf import UserFunction, optional
from deras.sql.syntax import ast
from deras.sql.types import castable, sql_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from deras.sql.bind.context import BindContext
    from deras.sql.bind.over import Windows
    from deras.sql.bind.query import QueryBinder

WINDOW_WORDS = {"START", "END", "ROWTIME", "PROCTIME"}
_OVER_ONLY = {"ROW_NUMBER", "RANK", "DENSE_RANK", "LAG", "LEAD", "NTILE", "PERCENT_RANK", "CUME_DIST"}


def not_yet(what: str, span: Span, hint: str = "") -> PlanError:
    """The error for a clause of Flink SQL that Deras does not run yet."""
    return PlanError(f"{what} is not supported yet", span=span, hint=hint)


class ExprBinder:
    """Binds expressions over one scope.

    Args:
        context: catalog, settings and text.
        scope: the columns in reach.
        aggregates: whether aggregate functions may stand here, and what to say if not.
        legacy: gives the bound column of a legacy group window function (``TUMBLE_START(…)``), or None.
        q: binds subqueries; None where they may not stand.
        windows: binds calls with OVER, where they may stand.
        aliases: what names mean that are no columns.
    """

    def __init__(
        self,
        context: BindContext,
        scope: Scope,
        *,
        aggregates: bool = False,
        clause: str = "",
        legacy: Callable[[ast.Call], e.Expr | None] | None = None,
        q: QueryBinder | None = None,
        windows: Windows | None = None,
        aliases: Mapping[str, e.Expr] | None = None,
    ) -> None:
        self.context = context
        self.scope = scope
        self.aggregates = aggregates
        self.clause = clause
        self.legacy = legacy
        self.windows = windows
        self.aliases = aliases or {}
        self.q = q
        self._inside = 0

    def bind(self, x: ast.Expr) -> e.Expr:
        """Bind one expression."""
        try:
            return self._bind(x)
        except ArgumentError as err:
            raise BindError(str(err), span=x.span, hint=err.hint) from None

    def condition(self, x: ast.Expr, what: str) -> e.Expr:
        """Bind a BOOLEAN."""
        bound = self.bind(x)
        try:
            return operators.boolean(bound, what)
        except ArgumentError as err:
            raise BindError(str(err), span=x.span, hint=err.hint) from None

    def _at(self, x: ast.Node) -> e.Where:
        return e.Where(self.context.text, x.span)

    def _bind(self, x: ast.Expr) -> e.Expr:
        at = self._at(x)
        match x:
            case ast.LiteralValue():
                return self._literal(x)
            case ast.ColumnRef():
                return self._column(x)
            case ast.Call():
                return self._call(x)
            case ast.Binary():
                return self._binary(x, at)
            case ast.Chain():
                return self._chain(x, at)
            case ast.Unary(op="-", operand=ast.LiteralValue(kind=ast.LiteralKind.INTEGER, value=int(number)) as whole):
                # The least INT and BIGINT are no numbers without their sign.
                return self._literal(replace(whole, value=-number, span=x.span))
            case ast.Unary():
                if x.op == "NOT":
                    return operators.negation(self.bind(x.operand), at)
                operand = self.bind(x.operand)
                return operators.negative(operand, at) if x.op == "-" else operand
            case ast.Is():
                return operators.test(self.bind(x.operand), f"NOT {x.test}" if x.negated else x.test, at)
            case ast.Between():
                return self._between(x, at)
            case ast.InList():
                return self._in(x, at)
            case ast.Like():
                return self._like(x, at)
            case ast.Case():
                return self._case(x, at)
            case ast.Cast():
                return self.cast(self.bind(x.operand), sql_type(x.type), x.span, safe=x.safe)
            case ast.IntervalLiteral():
                type_, value = interval_value(x)
                return e.Literal(type_.with_nullable(False), value, at=at)
            case ast.IntervalExpr():
                return self._interval(x, at)
            case ast.FieldAccess():
                return self._field(x)
            case ast.ItemAccess():
                return registry.call(self._function("ITEM", x.span), [self.bind(x.base), self.bind(x.index)], at)
            case ast.ArrayValue() if x.kind == "ARRAY":
                return registry.call(self._function("ARRAY", x.span), [self.bind(i) for i in x.items], at)
            case ast.MapValue():
                return registry.call(self._function("MAP", x.span), [self.bind(i) for i in x.items], at)
            case ast.RowValue():
                if not x.explicit and len(x.items) == 1:
                    return self.bind(x.items[0])
                return registry.call(self._function("ROW", x.span), [self.bind(i) for i in x.items], at)
            case ast.Keyword():
                if x.word.upper() == "DEFAULT":
                    raise not_yet("DEFAULT as a value", x.span)
                return e.Literal(t.STRING.with_nullable(False), x.word.upper(), at=at)
            case ast.InQuery() | ast.Exists() | ast.ScalarSubquery() | ast.Quantified() | ast.CollectionQuery():
                if self.q is None:
                    where = f" in {self.clause}" if self.clause else " here"
                    raise not_yet(f"a subquery{where}", x.span, "Write it as a join.")
                from deras.sql.bind.subqueries import bind_subquery

                return bind_subquery(self.q, self, x)
            case ast.Star():
                raise BindError("'*' cannot stand here", span=x.span)
            case ast.NamedArgument():
                raise BindError("this function takes no named arguments", span=x.span)
            case ast.Descriptor() | ast.TableArgument():
                raise BindError("this belongs to a window table function in FROM", span=x.span)
        raise not_yet(f"this form ({type(x).__name__})", x.span)

    # ---- leaves

    def _literal(self, x: ast.LiteralValue) -> e.Expr:
        kind, value, at = x.kind, x.value, self._at(x)
        text = value if isinstance(value, str) else "" if isinstance(value, bytes) else str(value)
        match kind:
            case ast.LiteralKind.NULL:
                return e.Literal(t.NULL, None, at=at)
            case ast.LiteralKind.BOOLEAN:
                return e.Literal(t.BOOLEAN.with_nullable(False), bool(value), at=at)
            case ast.LiteralKind.INTEGER:
                assert isinstance(value, int)  # noqa: S101 (for the type checker)
                if not -1 << 63 <= value < 1 << 63:
                    raise BindError(
                        f"the number {text} is out of the range of BIGINT",
                        span=x.span,
                        hint=f"Write it as text: CAST('{text}' AS DECIMAL(38, 0)).",
                    )
                type_ = t.INT if -1 << 31 <= value < 1 << 31 else t.BIGINT
                return e.Literal(type_.with_nullable(False), value, at=at)
            case ast.LiteralKind.DECIMAL:
                scale = len(text.partition(".")[2])
                precision = max(len(text.replace(".", "")), scale, 1)
                if precision > 38:
                    raise BindError(
                        "the number has more than 38 digits", span=x.span, hint="Write it as DOUBLE: 1.5E0."
                    )
                scaled = int(Decimal(text).scaleb(scale))
                return e.Literal(t.decimal(precision, scale).with_nullable(False), scaled, at=at)
            case ast.LiteralKind.DOUBLE:
                return e.Literal(t.DOUBLE.with_nullable(False), float(text), at=at)
            case ast.LiteralKind.STRING:
                return e.Literal(t.char(len(text)).with_nullable(False), text, at=at)
            case ast.LiteralKind.BINARY:
                assert isinstance(value, bytes)  # noqa: S101 (for the type checker)
                return e.Literal(SqlType(Kind.BINARY, len(value), nullable=False), value, at=at)
            case ast.LiteralKind.DATE:
                return self._moment(x, t.DATE, parse_date(text), 1)
            case ast.LiteralKind.TIME:
                digits = len(text.partition(".")[2])
                return self._moment(x, t.time(min(digits, 9)), parse_time(text), 1)
            case _:
                digits = min(len(text.partition(".")[2]), 9)
                ltz = kind is ast.LiteralKind.TIMESTAMP_LTZ
                type_ = SqlType(Kind.TIMESTAMP_LTZ if ltz else Kind.TIMESTAMP, digits)
                wall = self._moment(
                    x, SqlType(Kind.TIMESTAMP, digits), parse_timestamp(text), 1 if digits > 6 else 1000
                )
                return self.cast(wall, type_, x.span) if ltz else wall

    def _moment(self, x: ast.LiteralValue, type_: SqlType, value: int | None, unit: int) -> e.Expr:
        if value is None:
            form = {Kind.DATE: "2026-01-31", Kind.TIME: "23:59:59"}.get(type_.kind, "2026-01-31 23:59:59.123")
            raise BindError(
                f"'{x.value!s}' is no {type_.kind.value}",
                span=x.span,
                hint=f"Write for example {type_.kind.value} '{form}'.",
            )
        return e.Literal(type_.with_nullable(False), value // unit, at=self._at(x))

    def _column(self, x: ast.ColumnRef) -> e.Expr:
        if self.aliases and len(x.parts) == 1:
            name = x.parts[0].name
            if name in self.aliases and not any(c.field.name == name for c in self.scope.columns):
                return self.aliases[name]
        try:
            c, rest = self.scope.resolve(x.parts)
        except AmbiguousError:
            raise
        except BindError:
            if self.scope.outer is None:
                raise
            try:
                return self.scope.outer.column(x)
            except AmbiguousError:
                raise
            except BindError:
                pass
            raise
        bound: e.Expr = e.InputRef(c.field.type, c.index, at=self._at(x))
        for part in rest:
            bound = self._fields(bound, part, x.span)
        return bound

    def _fields(self, base: e.Expr, name: ast.Identifier, span: Span) -> e.Expr:
        from deras.sql.functions.collections import field_access

        return field_access(base, nested(base.type, name), e.Where(self.context.text, span))

    def _field(self, x: ast.FieldAccess) -> e.Expr:
        if x.name is None:
            raise not_yet("'.*' on an expression", x.span)
        return self._fields(self.bind(x.base), x.name, x.span)

    def _interval(self, x: ast.IntervalExpr, at: e.Where) -> e.Expr:
        from deras.sql.functions.times import interval_of

        return interval_of(self.bind(x.value), x.unit, at)

    # ---- operators

    def _binary(self, x: ast.Binary, at: e.Where) -> e.Expr:
        if x.op == "OVERLAPS":
            return self._overlaps(x, at)
        a, b = self.bind(x.left), self.bind(x.right)
        if x.op in operators.COMPARISONS or x.op.startswith("IS "):
            return operators.comparison(x.op, a, b, at)
        if x.op in ("+", "-", "*", "/", "%"):
            return operators.arithmetic(x.op, a, b, at)
        raise not_yet(f"operator {x.op}", x.span)

    def _overlaps(self, x: ast.Binary, at: e.Where) -> e.Expr:
        """Whether two spans of time, each (start, end) or (start, length), have an instant in common."""
        bounds: list[e.Expr] = []
        for side in (x.left, x.right):
            if not isinstance(side, ast.RowValue) or len(side.items) != 2:
                raise BindError(
                    "OVERLAPS takes two spans of time",
                    span=side.span,
                    hint="Write (start, end) OVERLAPS (start, end); the end may be an INTERVAL.",
                )
            start, end = self.bind(side.items[0]), self.bind(side.items[1])
            if end.type.is_interval:
                end = operators.arithmetic("+", start, end, self._at(side))
            bounds += [
                registry.call(self._function(name, side.span), [start, end], self._at(side))
                for name in ("LEAST", "GREATEST")
            ]
        low, high, low2, high2 = bounds
        return self._logic(
            "AND", [operators.comparison(">=", high, low2, at), operators.comparison(">=", high2, low, at)], at
        )

    def _chain(self, x: ast.Chain, at: e.Where) -> e.Expr:
        terms = [self.bind(y) for y in x.terms]
        if x.op == "||":
            return operators.concatenation(terms, at)
        bound = []
        for term, y in zip(terms, x.terms, strict=True):
            try:
                bound.append(operators.boolean(term, x.op))
            except ArgumentError as err:
                raise BindError(str(err), span=y.span, hint=err.hint) from None
        return e.Logic(t.BOOLEAN.with_nullable(any(b.type.nullable for b in bound)), x.op, tuple(bound), at=at)

    def _between(self, x: ast.Between, at: e.Where) -> e.Expr:
        value, low, high = self.bind(x.operand), self.bind(x.low), self.bind(x.high)
        both = self._within(value, low, high, at)
        if x.symmetric:
            both = self._logic("OR", [both, self._within(value, high, low, at)], at)
        return operators.negation(both, at) if x.negated else both

    def _within(self, value: e.Expr, low: e.Expr, high: e.Expr, at: e.Where) -> e.Expr:
        return self._logic(
            "AND", [operators.comparison(">=", value, low, at), operators.comparison("<=", value, high, at)], at
        )

    @staticmethod
    def _logic(op: Any, terms: list[e.Expr], at: e.Where) -> e.Expr:
        return e.Logic(t.BOOLEAN.with_nullable(any(x.type.nullable for x in terms)), op, tuple(terms), at=at)

    def _in(self, x: ast.InList, at: e.Where) -> e.Expr:
        value = self.bind(x.operand)
        tests = []
        for item in x.items:
            bound = self.bind(item)
            try:
                tests.append(operators.comparison("=", value, bound, at))
            except ArgumentError as err:
                raise BindError(str(err).replace("'='", "IN"), span=item.span, hint=err.hint) from None
        found = tests[0] if len(tests) == 1 else self._logic("OR", tests, at)
        return operators.negation(found, at) if x.negated else found

    def _like(self, x: ast.Like, at: e.Where) -> e.Expr:
        value, pattern = self.bind(x.operand), self.bind(x.pattern)
        escape = None if x.escape is None else self.bind(x.escape)
        if x.op in ("RLIKE", "ILIKE"):
            raise BindError(
                f"{x.op} is not Flink SQL", span=x.span, hint="Use REGEXP(text, pattern) or LOWER(text) LIKE pattern."
            )
        found = operators.like(x.op, value, pattern, escape, at)
        return operators.negation(found, at) if x.negated else found

    def _case(self, x: ast.Case, at: e.Where) -> e.Expr:
        conditions: list[e.Expr] = []
        operand = None if x.operand is None else self.bind(x.operand)
        for w in x.whens:
            if operand is None:
                conditions.append(self.condition(w.condition, "WHEN"))
            else:
                conditions.append(operators.comparison("=", operand, self.bind(w.condition), self._at(w)))
        results = [self.bind(w.result) for w in x.whens]
        results.append(e.Literal(t.NULL, None) if x.otherwise is None else self.bind(x.otherwise))
        return operators.case(conditions, results, at)

    def cast(self, value: e.Expr, target: SqlType, span: Span, *, safe: bool = False) -> e.Expr:
        """CAST or TRY_CAST of a bound value."""
        source = value.type
        if not castable(source, target):
            hint = ""
            if source.is_numeric and target.is_timestamp:
                hint = "Use TO_TIMESTAMP_LTZ(number, 0) for seconds, or 3 for milliseconds."
            elif source.is_timestamp and target.is_numeric:
                hint = "Use UNIX_TIMESTAMP(text) or EXTRACT(EPOCH FROM value)."
            raise BindError(
                f"cannot cast {source.with_nullable(True)} to {target.with_nullable(True)}", span=span, hint=hint
            )
        at = e.Where(self.context.text, span)
        if source.kind is Kind.NULL:
            return e.Literal(target.with_nullable(True), None, at=at)
        nullable = source.nullable or safe or (target.kind is Kind.DECIMAL)
        type_ = target.with_nullable(nullable)
        if source.same(target) and not safe:
            return value
        return e.Cast(type_, value, safe, at=at)

    # ---- calls

    def _function(self, name: str, span: Span) -> registry.Function:
        found = registry.find(name)
        if found is None:
            raise not_yet(f"function {name}", span)
        return found

    def _call(self, x: ast.Call) -> e.Expr:
        name = x.function
        if x.over is not None or name in _OVER_ONLY:
            if self.windows is None or self._inside:
                where = "an aggregate function" if self._inside else self.clause or "this place"
                hint = "Compute it in a subquery, or filter with QUALIFY." if where == "WHERE" else "Use a subquery."
                raise BindError(f"window function {name} cannot stand in {where}", span=x.span, hint=hint)
            return self.windows.bind(self, x)
        if self.legacy is not None and (found := self.legacy(x)) is not None:
            return found
        head, _, tail = name.partition("_")
        if head in ("TUMBLE", "HOP", "SESSION") and (tail in WINDOW_WORDS or not tail):
            raise BindError(
                f"{name} belongs to GROUP BY {head}(…)",
                span=x.span,
                hint="Group by the same window, or use the table function in FROM and its column window_start.",
            )
        own = self.context.catalog.function(x.name.parts[-1].name)
        if own is not None:
            return self._user(own, x)
        if aggregates.is_aggregate(name):
            return self._aggregate(x)
        if name in aggregates.NOT_YET or name in NOT_YET:
            raise not_yet(f"function {name}", x.span)
        for wrong, what in (
            (x.distinct, "DISTINCT"),
            (x.filter, "FILTER"),
            (x.order_by, "ORDER BY"),
            (x.within_group, "WITHIN GROUP"),
        ):
            if wrong:
                raise BindError(f"{what} belongs to aggregate functions, which {name} is not", span=x.span)
        function = registry.find(name)
        if function is None:
            known = [*registry.functions(), *aggregates.NAMES, *(f.name for f in self.context.catalog.functions())]
            words = [k for k in known if k[0].isalpha()]
            hint = (
                did_you_mean(name, words)
                or "Declare a Python function with CREATE FUNCTION name AS 'module.function' LANGUAGE PYTHON."
            )
            raise BindError(f"there is no function '{x.name}'", span=x.name.span, hint=hint)
        if name == "CURRENT_WATERMARK":
            self._rowtime(x)
        if name == "CURRENT_DATABASE" and not x.args:
            return e.Literal(t.STRING.with_nullable(False), self.context.catalog.current[1], at=self._at(x))
        args = [self._argument(a) for a in x.args]
        try:
            if x.json is not None:
                from deras.sql.bind.json import bind_json

                return bind_json(self, x, args)
            return registry.call(function, args, self._at(x))
        except ArgumentError as err:
            raise BindError(str(err), span=x.span, hint=err.hint) from None

    def _rowtime(self, x: ast.Call) -> None:
        for a in x.args:
            field = self.scope.resolve(a.parts)[0].field if isinstance(a, ast.ColumnRef) else None
            if field is None or field.time != "rowtime":
                raise BindError(
                    f"{x.function} takes the column of a WATERMARK, not {self._text(a)}",
                    span=a.span,
                    hint="Declare WATERMARK FOR column AS … in CREATE TABLE.",
                )

    def _text(self, a: ast.Expr) -> str:
        return f"'{self.context.text[a.span.start : a.span.end]}'"

    def _argument(self, a: ast.Expr) -> e.Expr:
        return self.bind(a)

    def _user(self, own: Any, x: ast.Call) -> e.Expr:
        try:
            udf = own.loaded(self.context.folder)
        except Exception as err:
            raise BindError(f"function '{own.name}': {err}", span=x.span, hint=getattr(err, "hint", "")) from err
        if isinstance(udf, UserAggregate):
            return self._user_aggregate(udf, x)
        if not isinstance(udf, UserFunction):
            raise BindError(
                f"'{own.name}' is a table function, which stands in FROM",
                span=x.name.span,
                hint=f"Write FROM {own.name}(DATA => TABLE t PARTITION BY k)."
                if isinstance(udf, UserProcess)
                else f"Write CROSS JOIN LATERAL TABLE({own.name}(…)) AS t(…).",
            )
        args = cast_arguments(own.name, udf.input_types, [self.bind(a) for a in x.args], x, optional(udf.function))
        takes(own.name, udf.function, len(args), x)
        return e.UdfCall(udf.result_type, udf, tuple(args), at=self._at(x))

    def _user_aggregate(self, udaf: UserAggregate, x: ast.Call) -> e.Expr:
        self._may_aggregate(x)
        if x.distinct:
            raise not_yet(f"DISTINCT in {udaf.name}", x.span, "Use SELECT DISTINCT in a subquery.")
        self._inside += 1
        try:
            args = cast_arguments(udaf.name, udaf.input_types, [self.bind(a) for a in x.args], x)
            general = udaf.func_type == "general"
            takes(udaf.name, udaf.function.accumulate if general else udaf.function, len(args) + general, x)
            condition = None if x.filter is None else self.condition(x.filter, "FILTER")
        finally:
            self._inside -= 1
        type_ = udaf.result_type.with_nullable(True)
        return e.AggregateRef(type_, udaf.name, tuple(args), False, condition, udaf, at=self._at(x))

    def _may_aggregate(self, x: ast.Call) -> None:
        if not self.aggregates:
            where = f" in {self.clause}" if self.clause else " here"
            raise BindError(
                f"aggregate function {x.function} cannot stand{where}", span=x.span, hint="Use HAVING, or a subquery."
            )
        if self._inside:
            raise BindError("an aggregate function cannot stand inside another", span=x.span, hint="Use a subquery.")
        if x.within_group or x.order_by:
            raise not_yet(f"ORDER BY in {x.function}", x.span)

    def _aggregate(self, x: ast.Call) -> e.Expr:
        self._may_aggregate(x)
        self._inside += 1
        try:
            args = [] if len(x.args) == 1 and isinstance(x.args[0], ast.Star) else [self.bind(a) for a in x.args]
            condition = None if x.filter is None else self.condition(x.filter, "FILTER")
        finally:
            self._inside -= 1
        if x.function in aggregates.BUILT:
            return self._built(x, args, condition)
        try:
            type_, args = aggregates.bind(x.function, args, star=bool(x.args) and isinstance(x.args[0], ast.Star))
        except ArgumentError as err:
            raise BindError(str(err), span=x.span, hint=err.hint) from None
        if x.distinct and not args:
            raise BindError(f"{x.function}(DISTINCT *) is not SQL", span=x.span, hint="Name the columns.")
        if condition is not None and x.function != "COUNT":
            type_ = type_.with_nullable(True)
        distinct = x.distinct and x.function not in ("MIN", "MAX")
        return e.AggregateRef(type_, x.function, tuple(args), distinct, condition, at=self._at(x))

    def _built(self, x: ast.Call, args: list[e.Expr], condition: e.Expr | None) -> e.Expr:
        from deras.sql.functions import collecting

        if len(x.args) == 1 and isinstance(x.args[0], ast.Star):
            raise BindError(f"{x.function} takes no *", span=x.args[0].span, hint="Name a column.")
        if x.nulls is not None and x.function != "ARRAY_AGG":
            raise BindError(f"{x.nulls} NULLS does not go with {x.function}", span=x.span)
        try:
            return collecting.build(
                x.function,
                args,
                distinct=x.distinct,
                condition=condition,
                ignore_nulls=x.nulls == "IGNORE",
                on_null=None if x.json is None else x.json.on_null,
                at=self._at(x),
            )
        except ArgumentError as err:
            raise BindError(str(err), span=x.span, hint=err.hint) from None


# Functions of Flink 2.3 that are planned, so that the message can say so.
NOT_YET = frozenset(
    {
        "PARSE_JSON",
        "TRY_PARSE_JSON",
        "OBJECT_OF",
        "OBJECT_UPDATE",
        "MATCH_ROWTIME",
        "MATCH_PROCTIME",
        "ML_PREDICT",
        *(f"BITMAP_{x}" for x in ("AND", "ANDNOT", "BUILD", "CARDINALITY", "FROM_BYTES", "OR", "XOR")),
        *(f"BITMAP_TO_{x}" for x in ("ARRAY", "BYTES", "STRING")),
    }
)


def same_columns(exprs: Sequence[e.Expr]) -> bool:
    """Whether the expressions are columns 0, 1, 2 … in order."""
    return all(isinstance(x, e.InputRef) and x.index == i for i, x in enumerate(exprs))
