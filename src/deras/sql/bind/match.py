"""MATCH_RECOGNIZE: patterns, conditions and measures."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from deras.core.errors import BindError, PlanError, Span, did_you_mean
from deras.core.schema import Field, Schema
from deras.core.types import BIGINT, STRING, Kind, timestamp_ltz
from deras.engine.patterns import MAX_VARIABLES, Alt, Pattern, Repeat, Seq, Var, beyond_flink, nullable
from deras.sql.bind.expressions import ExprBinder, not_yet
from deras.sql.bind.intervals import interval_value
from deras.sql.expr import nodes as e
from deras.sql.expr.patterns import RowValue, Total
from deras.sql.functions import aggregates
from deras.sql.functions.registry import ArgumentError
from deras.sql.plan.match import MatchRecognize
from deras.sql.plan.text import blame
from deras.sql.syntax import ast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.sql.bind.query import QueryBinder
    from deras.sql.bind.scope import Scope
    from deras.sql.functions.udaf import UserAggregate
    from deras.sql.plan.rel import Rel

_PERMUTED = 6


def bind_match(q: QueryBinder, r: ast.MatchRecognize) -> Rel:
    """The plan of a MATCH_RECOGNIZE."""
    from deras.sql.bind.relations import bind_relation

    rel, scope = bind_relation(q, r.input)
    if not rel.append_only():
        raise PlanError(
            "MATCH_RECOGNIZE needs an input that only inserts",
            span=r.input.span,
            detail=f"Updates come from {blame(rel)}.",
            hint="Match on the raw rows, or on a window aggregate.",
        )
    return _Match(q, r, rel, scope).bind()


class _Match:
    def __init__(self, q: QueryBinder, r: ast.MatchRecognize, rel: Rel, scope: Scope) -> None:
        self.q, self.r, self.rel, self.scope = q, r, rel, scope
        self.strict = q.context.settings.strict_flink
        self.names: list[str] = []
        self.bits: dict[str, int] = {}

    def ours(self, what: str, span: Span, hint: str = "") -> None:
        """What Flink does not run is refused under strict-flink."""
        if self.strict:
            raise PlanError(
                f"{what} in MATCH_RECOGNIZE is not Flink SQL",
                span=span,
                hint=hint or "RESET 'deras.strict-flink' to use it.",
            )

    def bind(self) -> Rel:
        """The plan."""
        r = self.r
        keys = tuple(self._key(x) for x in r.partition_by)
        time, proctime, order = self._order()
        pattern = self._pattern()
        self._subsets()
        defines = self._defines(pattern)
        skip, skip_bits = self._after()
        all_rows = r.rows_per_match == "ALL"
        if all_rows:
            self.ours("ALL ROWS PER MATCH", r.span)
        elif not r.measures:
            self.ours("leaving MEASURES out", r.span)
        measures: list[e.Expr] = []
        fields: list[Field] = []
        for m in r.measures:
            binder = MatchBinder(self, time=time, proctime=proctime, all_rows=all_rows)
            bound = binder.bind(m.expr)
            if bound.type.kind is Kind.NULL:
                raise BindError("NULL has no type here", span=m.expr.span, hint="Give it one: CAST(NULL AS STRING).")
            measures.append(bound)
            fields.append(Field(m.name.name, bound.type, binder.time_of(m.expr)))
        before: tuple[int, ...] = ()
        behind: tuple[int, ...] = ()
        if all_rows:
            before = tuple(dict.fromkeys([*keys, time, *(i for i, _ in order)]))
            behind = tuple(i for i in range(len(self.rel.schema)) if i not in before)
            rows = [self._row_field(i) for i in (*before, *behind)]
            made = [*rows[: len(before)], *fields, *rows[len(before) :]]
        else:
            made = [*(self.rel.schema[i].without_time() for i in keys), *fields]
        if not made:
            raise BindError("MATCH_RECOGNIZE gives no columns", span=r.span, hint="Add MEASURES or PARTITION BY.")
        seen: dict[str, Span] = {}
        for f, m in zip(fields, r.measures, strict=True):
            if f.name in seen or f.name in {self.rel.schema[i].name for i in (before + behind if all_rows else keys)}:
                raise BindError(f"the column '{f.name}' is there twice", span=m.name.span, hint="Choose another name.")
            seen[f.name] = m.name.span
        return MatchRecognize(
            Schema(tuple(made)), self.rel, keys, time, proctime, order, pattern, tuple(self.names), defines,
            tuple(measures), skip, skip_bits, self._within(), all_rows, (before, behind),
        )  # fmt: skip

    def _row_field(self, i: int) -> Field:
        f = self.rel.schema[i]
        return f if f.time == "rowtime" else f.without_time()

    def _key(self, x: ast.Expr) -> int:
        bound = ExprBinder(self.q.context, self.scope, clause="PARTITION BY").bind(x)
        if not isinstance(bound, e.InputRef):
            raise BindError("PARTITION BY takes columns here", span=x.span, hint="Compute it in a subquery.")
        return bound.index

    def _order(self) -> tuple[int, bool, tuple[tuple[int, bool], ...]]:
        items = []
        for item in self.r.order_by:
            bound = ExprBinder(self.q.context, self.scope, clause="ORDER BY").bind(item.expr)
            if not isinstance(bound, e.InputRef):
                raise BindError("ORDER BY takes columns here", span=item.expr.span, hint="Compute it in a subquery.")
            items.append((bound.index, bool(item.descending), item.span))
        times = [self.rel.schema[i].time for i, _, _ in items]
        if not items or times[0] not in ("rowtime", "proctime"):
            raise PlanError(
                "MATCH_RECOGNIZE needs ORDER BY with a time attribute first",
                span=items[0][2] if items else self.r.span,
                hint="Order by the column of the WATERMARK, or by a column AS PROCTIME().",
            )
        if items[0][1]:
            raise PlanError(
                "the time attribute of MATCH_RECOGNIZE must be ascending",
                span=items[0][2],
                hint="Leave DESC out: rows are matched in the order of their time.",
            )
        return items[0][0], times[0] == "proctime", tuple((i, d) for i, d, _ in items[1:])

    # ---- the pattern

    def _pattern(self) -> Pattern:
        r = self.r
        if r.anchored_start or r.anchored_end:
            raise PlanError(
                "'^' and '$' have no meaning on a stream",
                span=r.pattern.span,
                detail="A partition of a stream has no last row, and its first one may be long gone.",
                hint="Leave them out.",
            )
        made = self._pattern_of(r.pattern, hidden=False)
        if nullable(made):
            raise PlanError(
                "this pattern can match no row at all",
                span=r.pattern.span,
                hint="At least one variable must not be optional: use + in place of *, or add a variable.",
            )
        if beyond := beyond_flink(made):
            self.ours(
                beyond,
                r.pattern.span,
                "End the pattern with a plain variable or a reluctant quantifier such as +?."
                if "at the end" in beyond
                else "",
            )
        return made

    def _pattern_of(self, x: ast.Pattern, *, hidden: bool) -> Pattern:
        match x:
            case ast.PatternVariable():
                return Var(self._variable(x.name), hidden)
            case ast.PatternSequence():
                return Seq(tuple(self._pattern_of(y, hidden=hidden) for y in x.items))
            case ast.PatternAlternation():
                return Alt(tuple(self._pattern_of(y, hidden=hidden) for y in x.items))
            case ast.PatternRepeat():
                if x.most == 0:
                    raise BindError("a quantifier must allow at least one row", span=x.span, hint="Leave it out.")
                return Repeat(self._pattern_of(x.item, hidden=hidden), x.least, x.most, x.greedy)
            case ast.PatternExclude():
                return self._pattern_of(x.item, hidden=True)
            case ast.PatternPermute():
                if len(x.items) > _PERMUTED:
                    raise PlanError(
                        f"PERMUTE takes at most {_PERMUTED} patterns", span=x.span, hint="All their orders are tried."
                    )
                made = [self._pattern_of(y, hidden=hidden) for y in x.items]
                return Alt(tuple(Seq(order) for order in itertools.permutations(made)))
        raise not_yet(type(x).__name__, x.span)

    def _variable(self, name: ast.Identifier) -> int:
        if name.name not in self.names:
            if len(self.names) == MAX_VARIABLES:
                raise PlanError(f"a pattern has at most {MAX_VARIABLES} variables", span=name.span)
            self.bits[name.name] = 1 << len(self.names)
            self.names.append(name.name)
        return self.names.index(name.name)

    def _subsets(self) -> None:
        for s in self.r.subsets:
            self.ours("SUBSET", s.span, "Flink reads it and gives NULL for its columns.")
            if s.name.name in self.bits:
                raise BindError(f"'{s.name.name}' is a variable of the pattern", span=s.name.span)
            self.bits[s.name.name] = sum({self.known(m) for m in s.members})

    def known(self, name: ast.Identifier) -> int:
        """The variables that a name stands for, as bits."""
        if name.name not in self.bits:
            hint = did_you_mean(name.name, self.bits) or f"Its variables: {', '.join(self.bits)}."
            raise BindError(f"the pattern has no variable '{name.name}'", span=name.span, hint=hint)
        return self.bits[name.name]

    def _defines(self, pattern: Pattern) -> tuple[e.Expr | None, ...]:
        found: dict[str, e.Expr] = {}
        for d in self.r.defines:
            name = d.name.name
            if name in found:
                raise BindError(f"'{name}' is defined twice", span=d.name.span)
            if name not in self.names:
                if name in self.bits:
                    raise BindError(f"'{name}' is a SUBSET and cannot be defined", span=d.name.span)
                if not self.strict:
                    # Flink passes over it in silence; a slip of the pen is what it mostly is.
                    self.known(d.name)
                continue
            before = _least_before(pattern, self.names.index(name))
            binder = MatchBinder(self, current=self.bits[name], before=before)
            found[name] = binder.condition(d.condition, f"DEFINE {name}")
        return tuple(found.get(n) for n in self.names)

    def _after(self) -> tuple[str, int]:
        after = self.r.after
        if after is None:
            return "NEXT ROW", 0
        if after.variable is None:
            return after.kind, 0
        return after.kind, self.known(after.variable)

    def _within(self) -> int:
        within = self.r.within
        if within is None:
            return 0
        if isinstance(within, ast.IntervalLiteral):
            type_, value = interval_value(within)
            if type_.kind is Kind.INTERVAL_DAY and value > 0:
                return int(value)
        raise PlanError(
            "WITHIN takes a constant time above zero",
            span=within.span,
            hint="Write WITHIN INTERVAL '10' MINUTE, with days or less; months have no fixed length.",
        )


class MatchBinder(ExprBinder):
    """Binds measures and conditions: columns are of rows of the match.

    Args:
        match: the variables.
        current: in DEFINE: the variable that is defined, as a bit; 0: in MEASURES.
        before: in DEFINE: how many rows of the match are at least before one of the variable.
        time: position of the time attribute.
        all_rows: values are as of the current row, if nothing else is said.
    """

    def __init__(
        self,
        match: _Match,
        *,
        current: int = 0,
        before: int = 0,
        time: int = 0,
        proctime: bool = False,
        all_rows: bool = False,
    ) -> None:
        clause = "DEFINE" if current else "MEASURES"
        super().__init__(match.q.context, match.scope, aggregates=True, clause=clause)
        self.match = match
        self.current = current
        self.before = before
        self.time = time
        self.proctime = proctime
        self.all_rows = all_rows
        self._of: list[tuple[int, Span]] | None = None  # inside FIRST, LAST or an aggregate: the variables named there

    @property
    def _all(self) -> int:
        return (1 << len(self.match.names)) - 1

    def _running(self, x: ast.Call | None) -> bool:
        scope = None if x is None else x.match_scope
        if scope == "RUNNING" and x is not None:
            self.match.ours("RUNNING", x.span, "Leave it out.")
        if self.current:
            return False
        return self.all_rows and scope != "FINAL"

    def _value(self, arg: e.Expr, bits: int, x: ast.Expr, **more: int) -> e.Expr:
        call = x if isinstance(x, ast.Call) else None
        return RowValue(
            arg.type.with_nullable(True), arg, bits, more.get("offset", 0), bool(more.get("forward", 0)),
            more.get("shift", 0), self._running(call), at=self._at(x),
        )  # fmt: skip

    def _column(self, x: ast.ColumnRef) -> e.Expr:
        parts: Sequence[ast.Identifier] = x.parts
        bits = self._all
        if len(parts) > 1 and parts[0].name in self.match.bits:
            bits, parts = self.match.bits[parts[0].name], parts[1:]
        elif len(parts) > 1 and all(parts[0].name not in (c.qualifier, c.field.name) for c in self.scope.columns):
            self.match.known(parts[0])
        column, rest = self.scope.resolve(parts)
        ref: e.Expr = e.InputRef(column.field.type, column.index, at=self._at(x))
        if self._of is not None:
            self._of.append((bits, x.span))
            bound = ref
        else:
            bound = self._value(ref, bits, x)
        for part in rest:
            bound = self._fields(bound, part, x.span)
        return bound

    def time_of(self, x: ast.Expr) -> Literal["rowtime", "proctime"] | None:
        """The time attribute that a measure is."""
        if isinstance(x, ast.Call) and x.function == "MATCH_ROWTIME":
            return "rowtime"
        if isinstance(x, ast.Call) and x.function == "MATCH_PROCTIME":
            return "proctime"
        return None

    def _inner(self, x: ast.Expr) -> tuple[e.Expr, int]:
        """An expression over one row, and the variables whose rows it may be."""
        if self._of is not None:
            raise BindError("FIRST, LAST and aggregates cannot stand inside one another", span=x.span)
        self._of = []
        try:
            bound = self.bind(x)
            named = self._of
        finally:
            self._of = None
        kinds = {bits for bits, _ in named}
        if len(kinds) > 1:
            raise BindError(
                "this speaks of rows of several variables",
                span=x.span,
                hint="Take FIRST, LAST or the aggregate of each variable by itself.",
            )
        return bound, kinds.pop() if kinds else self._all

    def _call(self, x: ast.Call) -> e.Expr:
        match x.function:
            case "FIRST" | "LAST":
                return self._navigation(x)
            case "PREV" | "NEXT":
                return self._physical(x)
            case "CLASSIFIER":
                self.match.ours("CLASSIFIER", x.span)
                if self.current:
                    raise not_yet("CLASSIFIER in DEFINE", x.span)
                return RowValue(STRING, None, self._all, running=self._running(x), at=self._at(x))
            case "MATCH_NUMBER":
                self.match.ours("MATCH_NUMBER", x.span)
                raise not_yet("MATCH_NUMBER", x.span, "Number the matches with ROW_NUMBER() OVER in an outer query.")
            case "MATCH_ROWTIME":
                return self._rowtime_of(x)
            case "MATCH_PROCTIME":
                return e.Context(timestamp_ltz(3).with_nullable(False), "proctime", at=self._at(x))
        return super()._call(x)

    def _rowtime_of(self, x: ast.Call) -> e.Expr:
        if self.proctime or self.current:
            raise BindError(
                "MATCH_ROWTIME belongs to MEASURES of a match that is ordered by event time",
                span=x.span,
                hint="With processing time use MATCH_PROCTIME().",
            )
        field = next(c.field for c in self.scope.columns if c.index == self.time)
        ref = e.InputRef(field.type, self.time, at=self._at(x))
        return RowValue(field.type.with_nullable(False), ref, self._all, at=self._at(x))

    def _number(self, x: ast.Call, i: int, default: int) -> int:
        if len(x.args) <= i:
            return default
        a = x.args[i]
        if isinstance(a, ast.LiteralValue) and a.kind is ast.LiteralKind.INTEGER and isinstance(a.value, int):
            return a.value
        raise BindError(f"the offset of {x.function} must be a whole number", span=a.span, hint="Write for example 1.")

    def _navigation(self, x: ast.Call) -> e.Expr:
        if not 1 <= len(x.args) <= 2:
            raise BindError(f"{x.function} takes a value and an offset", span=x.span)
        offset = self._number(x, 1, 0)
        arg, bits = self._inner(x.args[0])
        return self._value(arg, bits, x, offset=offset, forward=x.function == "FIRST")

    def _physical(self, x: ast.Call) -> e.Expr:
        self.match.ours(x.function, x.span, "Use LAST(column, 1): the row before within the match.")
        if not 1 <= len(x.args) <= 2:
            raise BindError(f"{x.function} takes a value and an offset", span=x.span)
        by = self._number(x, 1, 1)
        inner = x.args[0]
        if isinstance(inner, ast.Call) and inner.function in ("FIRST", "LAST"):
            found = self._navigation(inner)
        else:
            arg, bits = self._inner(inner)
            found = self._value(arg, bits, x)
        assert isinstance(found, RowValue)  # noqa: S101 (for the type checker)
        if not self.current:
            return replace(found, shift=by if x.function == "NEXT" else -by)
        here = not found.forward and not found.offset and found.bits & self.current
        if x.function == "NEXT" or not here:
            raise not_yet(f"{x.function} of this in DEFINE", x.span, "Rows are judged as they come.")
        if by > self.before:
            raise PlanError(
                f"{x.function} may look at a row before the match here",
                span=x.span,
                detail="Rows before a match are not kept.",
                hint="Use LAST(column, 1), which is NULL there, or put a variable before this one.",
            )
        return replace(found, bits=self._all, offset=by)

    def _user_aggregate(self, udaf: UserAggregate, x: ast.Call) -> e.Expr:
        raise not_yet(f"function {udaf.name} in MATCH_RECOGNIZE", x.span, "Aggregate the matches in a query around it.")

    def _aggregate(self, x: ast.Call) -> e.Expr:
        if x.filter is not None or x.order_by or x.within_group:
            raise not_yet("FILTER and ORDER BY of an aggregate in MATCH_RECOGNIZE", x.span)
        if x.distinct:
            self.match.ours("DISTINCT", x.span)
        star = len(x.args) == 1 and isinstance(x.args[0], ast.Star)
        args: list[e.Expr] = []
        bits = self._all
        if star:
            qualifier = x.args[0].qualifier  # type: ignore[attr-defined]
            if qualifier:
                bits = self.match.known(qualifier[0])
        else:
            if len(x.args) != 1:
                raise BindError(f"{x.function} takes one argument here", span=x.span)
            arg, bits = self._inner(x.args[0])
            args = [arg]
        try:
            type_, args = aggregates.bind(x.function, args, star=star)
        except ArgumentError as err:
            raise BindError(str(err), span=x.span, hint=err.hint) from None
        if not type_.same(BIGINT) or x.function != "COUNT":
            type_ = type_.with_nullable(True)
        distinct = x.distinct and x.function not in ("MIN", "MAX")
        if distinct and self.current:
            raise not_yet("a DISTINCT aggregate in DEFINE", x.span)
        name = aggregates.canonical(x.function)
        return Total(type_, name, args[0] if args else None, bits, distinct, self._running(x), at=self._at(x))


def _least_before(p: Pattern, variable: int) -> int:
    """How many rows of a match are at least before a row of the variable."""
    return _before(p, variable)[0] or 0


def _before(p: Pattern, variable: int) -> tuple[int | None, int]:
    """(least number of rows before the variable, or None where it is not; least number of rows of the whole)."""
    match p:
        case Var():
            return (0 if p.index == variable else None), 1
        case Alt():
            found = [_before(x, variable) for x in p.items]
            least = [b for b, _ in found if b is not None]
            return (min(least) if least else None), min(n for _, n in found)
        case Repeat():
            b, n = _before(p.item, variable)
            return b, n * p.low
    rows = 0
    first: int | None = None
    for x in p.items:
        b, n = _before(x, variable)
        if b is not None and (first is None or rows + b < first):
            first = rows + b
        rows += n
    return first, rows
