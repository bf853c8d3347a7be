"""``f(…) OVER (…)``: windows of rows, named and inherited, and the plan nodes that compute them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from deras.core import types as t
from deras.core.errors import BindError, PlanError, did_you_mean
from deras.core.schema import Field, Schema
from deras.core.types import Kind, SqlType
from deras.sql.expr import nodes as e
from deras.sql.functions import aggregates
from deras.sql.functions.registry import ArgumentError, cast_to
from deras.sql.plan.calc import Calc
from deras.sql.plan.over import RANKS, SHIFTS, Frame, OrderKey, Over, OverCall
from deras.sql.syntax import ast
from deras.sql.types import common_type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deras.core.errors import Span
    from deras.sql.bind.expressions import ExprBinder
    from deras.sql.plan.rel import Rel

_BIGINT = t.BIGINT.with_nullable(False)
_DOUBLE = t.DOUBLE.with_nullable(False)


@dataclass(frozen=True, slots=True)
class Window:
    """A bound window: what rows belong together, in which order, and which of them count."""

    partition: tuple[e.Expr, ...]
    order: tuple[tuple[e.Expr, bool, bool], ...]
    frame: Frame


@dataclass(frozen=True, slots=True)
class OverRef(e.Expr):
    """A window function's call while its SELECT is being bound; planning replaces it by a column."""

    function: str
    args: tuple[e.Expr, ...]
    window: Window
    distinct: bool = False
    filter: e.Expr | None = None
    offset: int = 1
    spans: tuple[tuple[str, e.Where], ...] = field(default=(), compare=False)

    def children(self) -> tuple[e.Expr, ...]:
        """Arguments, filter, partition and order: grouping rewrites them."""
        filter_ = () if self.filter is None else (self.filter,)
        return (*self.args, *filter_, *self.window.partition, *(x for x, _, _ in self.window.order))

    def rebuild(self, children: tuple[e.Expr, ...]) -> e.Expr:
        """The same with other operands."""
        rest = list(children)
        args = tuple(rest.pop(0) for _ in self.args)
        filter_ = None if self.filter is None else rest.pop(0)
        partition = tuple(rest.pop(0) for _ in self.window.partition)
        order = tuple((rest.pop(0), d, n) for _, d, n in self.window.order)
        return replace(self, args=args, filter=filter_, window=replace(self.window, partition=partition, order=order))


class Windows:
    """The windows of one SELECT: binds calls with OVER.

    Args:
        named: those of its WINDOW clause.
    """

    def __init__(self, named: Sequence[ast.NamedWindow]) -> None:
        self.named: dict[str, ast.WindowSpec] = {}
        for w in named:
            if w.name.name in self.named:
                raise BindError(f"there are two windows '{w.name.name}'", span=w.name.span)
            self.named[w.name.name] = w.spec

    # ---- windows

    def _spec(self, x: ast.WindowSpec | ast.Identifier, inside: tuple[str, ...] = ()) -> ast.WindowSpec:
        """The window with everything that it inherits."""
        if isinstance(x, ast.Identifier):
            return self._named(x, inside)
        if x.base is None:
            return x
        base = self._named(x.base, inside)
        hint = f"Write it in '{x.base.name}' or here, not in both."
        if x.partition_by:
            raise BindError(
                f"a window on top of '{x.base.name}' cannot have a PARTITION BY of its own", span=x.span, hint=hint
            )
        if x.order_by and base.order_by:
            raise BindError(f"'{x.base.name}' has an ORDER BY already", span=x.span, hint=hint)
        if base.frame is not None:
            raise BindError(
                f"'{x.base.name}' has a frame, so no window can build on it",
                span=x.base.span,
                hint=f"Write OVER {x.base.name} without parentheses, or move the frame from WINDOW to OVER (…).",
            )
        return replace(x, base=None, partition_by=base.partition_by, order_by=x.order_by or base.order_by)

    def _named(self, name: ast.Identifier, inside: tuple[str, ...]) -> ast.WindowSpec:
        found = self.named.get(name.name)
        if found is None or name.name in inside:
            known = list(self.named)
            hint = did_you_mean(name.name, known) or (f"Known here: {', '.join(known)}." if known else "")
            raise BindError(
                f"there is no window '{name.name}'",
                span=name.span,
                hint=hint or f"Declare it behind FROM and WHERE: WINDOW {name.name} AS (PARTITION BY … ORDER BY …).",
            )
        return self._spec(found, (*inside, name.name))

    # ---- calls

    def bind(self, binder: ExprBinder, x: ast.Call) -> OverRef:
        """Bind a call with OVER."""
        name = aggregates.canonical(x.function)
        if x.over is None:
            raise BindError(
                f"{name} needs OVER",
                span=x.span,
                hint=f"Write {name}({'…' if x.args else ''}) OVER (PARTITION BY … ORDER BY …).",
            )
        if binder.context.catalog.function(x.name.parts[-1].name) is not None:
            from deras.sql.bind.expressions import not_yet

            raise not_yet(f"function {x.name} in an OVER window", x.span, "Use GROUP BY, or a window table function.")
        if name not in RANKS | SHIFTS and not aggregates.is_aggregate(name):
            raise BindError(
                f"OVER takes aggregate and ranking functions, which {x.function} is not",
                span=x.name.span,
                hint=did_you_mean(name, [*aggregates.NAMES, *RANKS, *SHIFTS]),
            )
        if x.nulls is not None:
            raise BindError(
                f"{x.nulls} NULLS does not go with {name}",
                span=x.span,
                hint="FIRST_VALUE and LAST_VALUE pass over NULLs as it is, as in Flink."
                if name in ("FIRST_VALUE", "LAST_VALUE")
                else "",
            )
        if x.order_by or x.within_group:
            raise BindError(f"ORDER BY inside {name} does not go with OVER", span=x.span)
        written = self._spec(x.over)
        window = self._window(binder, written, name, x)
        filter_ = None if x.filter is None else binder.condition(x.filter, "FILTER")
        if filter_ is not None:
            if name in RANKS | SHIFTS:
                raise BindError(f"FILTER does not go with {name}", span=x.span)
            _ours(binder, "FILTER together with OVER", x, "Use CASE WHEN … THEN … END as the argument.")
        type_, args, offset = self._arguments(binder, x, name)
        if filter_ is not None and name != "COUNT":
            type_ = type_.with_nullable(True)
        if x.distinct and (name in RANKS | SHIFTS or not args):
            raise BindError(f"DISTINCT does not go with {name}{'' if args else '(*)'}", span=x.span)
        distinct = x.distinct and name not in ("MIN", "MAX")
        text = binder.context.text
        spans = [("call", e.Where(text, x.span))]
        if written.order_by:
            spans.append(("order", e.Where(text, written.order_by[0].span.to(written.order_by[-1].span))))
        if written.frame is not None:
            spans.append(("frame", e.Where(text, written.frame.span)))
        return OverRef(type_, name, tuple(args), window, distinct, filter_, offset, tuple(spans), at=spans[0][1])

    def _arguments(self, binder: ExprBinder, x: ast.Call, name: str) -> tuple[SqlType, list[e.Expr], int]:
        if name in SHIFTS:
            return self._shift(binder, x, name)
        if name in RANKS:
            if name == "NTILE":
                if len(x.args) != 1:
                    raise BindError("NTILE takes the number of parts", span=x.span)
                return _BIGINT, [], _whole(binder, x.args[0], "the number of parts", least=1)
            if x.args:
                raise BindError(f"{name} takes no arguments", span=x.args[0].span)
            return (_DOUBLE if name in ("PERCENT_RANK", "CUME_DIST") else _BIGINT), [], 1
        star = len(x.args) == 1 and isinstance(x.args[0], ast.Star)
        given = [] if star else [binder.bind(a) for a in x.args]
        try:
            type_, args = aggregates.bind(name, given, star=star)
        except ArgumentError as err:
            raise BindError(str(err), span=x.span, hint=err.hint) from None
        return type_, list(args), 1

    @staticmethod
    def _shift(binder: ExprBinder, x: ast.Call, name: str) -> tuple[SqlType, list[e.Expr], int]:
        if not 1 <= len(x.args) <= 3:
            raise BindError(f"{name} takes a value, a distance and a default, not {len(x.args)} arguments", span=x.span)
        value = binder.bind(x.args[0])
        offset = 1
        if len(x.args) > 1:
            offset = _whole(binder, x.args[1], f"the distance of {name}", least=0)
        if len(x.args) < 3:
            return value.type.with_nullable(True), [value], offset
        default = binder.bind(x.args[2])
        type_ = common_type([value.type, default.type])
        if type_ is None:
            raise BindError(
                f"the default of {name} is a {default.type.with_nullable(True)}, its value a "
                f"{value.type.with_nullable(True)}",
                span=x.args[2].span,
                hint="Convert with CAST.",
            )
        if isinstance(default, e.Literal) and default.value is None:
            return type_.with_nullable(True), [cast_to(value, type_)], offset
        return type_, [cast_to(value, type_), cast_to(default, type_)], offset

    def _window(self, binder: ExprBinder, spec: ast.WindowSpec, name: str, x: ast.Call) -> Window:
        partition = []
        for item in spec.partition_by:
            bound = binder.bind(item)
            if bound.type.kind is Kind.MAP:
                raise PlanError(f"PARTITION BY a {bound.type} is not supported", span=item.span)
            if not isinstance(bound, e.Literal):
                partition.append(bound)
        order = []
        for o in spec.order_by:
            if isinstance(o.expr, ast.LiteralValue):
                raise BindError(
                    "ORDER BY in OVER takes no positions and no constants", span=o.span, hint="Write the column itself."
                )
            key = binder.bind(o.expr)
            if key.type.layout is t.Layout.NESTED:
                raise BindError(f"rows cannot be ordered by a {key.type.with_nullable(True)}", span=o.span)
            order.append((key, o.descending, (not o.descending) if o.nulls_first is None else o.nulls_first))
        if name in RANKS | SHIFTS:
            if spec.frame is not None:
                raise BindError(
                    f"{name} takes no {spec.frame.unit} frame",
                    span=spec.frame.span if spec.frame.span.start >= x.span.start else x.span,
                    detail="It looks at the whole partition up to its row, whatever the frame says.",
                    hint="Leave the frame out, or give the window of the ranks a definition of its own.",
                )
            if not order:
                raise BindError(
                    f"{name} needs an ORDER BY in its window", span=x.span, hint="Order by a time attribute."
                )
            return Window(tuple(partition), tuple(order), Frame("range", None, 0))
        return Window(tuple(partition), tuple(order), self._frame(binder, spec, order))

    def _frame(self, binder: ExprBinder, spec: ast.WindowSpec, order: list[tuple[e.Expr, bool, bool]]) -> Frame:
        frame = spec.frame
        if frame is None:
            return Frame("range", None, 0 if order else None)
        if frame.unit == "RANGE" and not order:
            raise BindError("RANGE needs an ORDER BY", span=frame.span, hint="Order by a time attribute.")
        end = frame.end or ast.FrameBound("CURRENT ROW", span=frame.span)
        wrong = ""
        if frame.start.kind == "UNBOUNDED FOLLOWING":
            wrong = "a frame cannot begin with UNBOUNDED FOLLOWING"
        elif end.kind == "UNBOUNDED PRECEDING":
            wrong = "a frame cannot end with UNBOUNDED PRECEDING"
        if wrong:
            raise BindError(wrong, span=frame.span)
        lower = self._bound(binder, frame, frame.start, order)
        upper = self._bound(binder, frame, end, order)
        found = Frame("rows" if frame.unit == "ROWS" else "range", None if lower is None else -lower, upper)
        if lower is not None and upper is not None and lower > upper:
            raise BindError("the frame ends before it begins", span=frame.span)
        return found

    @staticmethod
    def _bound(
        binder: ExprBinder, frame: ast.Frame, bound: ast.FrameBound, order: list[tuple[e.Expr, bool, bool]]
    ) -> int | None:
        """Distance of a bound from the row: negative before it; None: unbounded."""
        if bound.value is None:
            return 0 if bound.kind == "CURRENT ROW" else None
        sign = -1 if bound.kind == "PRECEDING" else 1
        if frame.unit == "ROWS":
            return sign * _whole(binder, bound.value, "the bound of ROWS", least=0)
        value = _constant(binder, bound.value)
        key = order[0][0].type
        if len(order) > 1:
            raise BindError("RANGE with a distance needs a single ORDER BY key", span=frame.span)
        if key.is_timestamp:
            if value is None or value.type.kind is not Kind.INTERVAL_DAY:
                raise BindError(
                    "RANGE over a time takes an INTERVAL of days to seconds",
                    span=bound.span,
                    hint="Write INTERVAL '10' SECOND PRECEDING; ROWS takes a number of rows.",
                )
            return sign * _not_negative(int(value.value), bound)
        if not (key.is_integer and value is not None and value.type.is_integer):
            raise BindError(
                f"RANGE with a distance does not go with ORDER BY a {key.with_nullable(True)}",
                span=bound.span,
                hint="Order by a time attribute or an integer, or use ROWS.",
            )
        return sign * _not_negative(int(value.value), bound)


def _constant(binder: ExprBinder, x: ast.Expr) -> e.Literal | None:
    bound = binder.bind(x)
    return bound if isinstance(bound, e.Literal) and bound.value is not None else None


def _not_negative(value: int, bound: ast.FrameBound) -> int:
    if value < 0:
        raise BindError("the bound of a frame cannot be negative", span=bound.span)
    return value


def _whole(binder: ExprBinder, x: ast.Expr, what: str, *, least: int) -> int:
    value = _constant(binder, x)
    if value is None or not value.type.is_integer or int(value.value) < least:
        hint = "An interval goes with RANGE." if value is not None and value.type.kind is Kind.INTERVAL_DAY else ""
        raise BindError(f"{what} must be a whole number from {least} on, written out", span=x.span, hint=hint)
    return int(value.value)


def _ours(binder: ExprBinder, what: str, x: ast.Node, instead: str) -> None:
    if binder.context.settings.strict_flink:
        raise PlanError(f"{what} is not Flink SQL", span=x.span, hint=instead)


# ---- plans


def over_refs(exprs: Sequence[e.Expr]) -> list[OverRef]:
    """The window calls of some expressions, each once."""
    found: list[OverRef] = []
    for x in exprs:
        for y in x.walk():
            if isinstance(y, OverRef) and y not in found:
                if any(isinstance(z, OverRef) for c in y.children() for z in c.walk()):
                    raise BindError(
                        "a window function cannot stand inside another",
                        span=y.at.span if y.at is not None else None,
                        hint="Use a subquery.",
                    )
                found.append(y)
    return found


def plan_over(rel: Rel, refs: Sequence[OverRef], *, strict: bool) -> tuple[Rel, Callable[[e.Expr], e.Expr]]:
    """Nodes for the calls on top of a plan: one for each different window, in order of first use.

    Args:
        rel: the input.
        refs: the calls.
        strict: refuse what Flink refuses.

    Returns:
        The plan (the input's columns, then others), and what replaces the calls in expressions over the input.
    """
    width = len(rel.schema)
    columns: list[e.Expr] = [e.InputRef(f.type, i) for i, f in enumerate(rel.schema)]
    fields = list(rel.schema.fields)

    def column(x: e.Expr) -> int:
        if isinstance(x, e.InputRef):
            return x.index
        if x in columns:
            return columns.index(x)
        columns.append(x)
        is_now = isinstance(x, e.Context) and x.kind == "proctime"
        fields.append(Field(f"${len(fields)}", x.type, "proctime" if is_now else None))
        return len(columns) - 1

    groups: dict[Any, list[int]] = {}
    made: list[OverCall] = []
    for i, r in enumerate(refs):
        args = tuple(column(a) for a in r.args)
        filter_ = None if r.filter is None else column(r.filter)
        input_type = r.args[0].type if r.args else None
        made.append(OverCall(r.function, args, r.type, r.distinct, filter_, input_type, r.offset))
        partition = tuple(dict.fromkeys(column(x) for x in r.window.partition))
        order = tuple(OrderKey(column(x), d, n) for x, d, n in r.window.order)
        # Ranks have no frame: they go along with what shares partition and order and forgets nothing.
        frame = None if r.function in RANKS | SHIFTS else r.window.frame
        key = next(
            (k for k in groups if k[:2] == (partition, order) and _alike(k[2], frame)), (partition, order, frame)
        )
        members = groups.pop(key, [])
        groups[(partition, order, key[2] or frame)] = [*members, i]
    if len(columns) > width:
        rel = Calc(Schema(tuple(fields)), rel, tuple(columns))
    if strict and len(groups) > 1:
        second = list(groups.values())[1][0]
        raise PlanError(
            "one SELECT of Flink SQL has one OVER window",
            span=span_of(refs[second]),
            hint="Use the same window, or a subquery for the second one.",
        )
    at: dict[int, int] = {}
    for (partition, order, frame), members in groups.items():
        calls: list[OverCall] = []
        for i in members:
            if made[i] not in calls:
                calls.append(made[i])
            at[i] = len(rel.schema) + calls.index(made[i])
        n = len(rel.schema)
        schema = Schema((*rel.schema.fields, *(Field(f"w{n + i}", c.type) for i, c in enumerate(calls))))
        spans = refs[members[0]].spans
        rel = Over(schema, rel, partition, order, frame or Frame("range", None, 0), tuple(calls), spans, strict)

    def above(x: e.Expr) -> e.Expr:
        def change(y: e.Expr) -> e.Expr | None:
            return e.InputRef(y.type, at[refs.index(y)], at=y.at) if isinstance(y, OverRef) else None

        return e.transform(x, change)

    return rel, above


def _alike(a: Frame | None, b: Frame | None) -> bool:
    if a is None or b is None:
        return all(f is None or (f.lower is None and f.upper == 0) for f in (a, b))
    return a == b


def span_of(x: e.Expr) -> Span | None:
    """Where an expression is written."""
    return x.at.span if x.at is not None else None
