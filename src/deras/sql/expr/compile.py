"""Bound expressions to Polars: values, and beside them the rows that fail.

Polars evaluates both sides of everything and fails the frame; SQL does neither. So an expression that can fail gives
a value and an
error code (NULL where all is well), and AND, OR and CASE let through only the codes of what they ask for. Functions
that Polars lacks
run on the host between two stages: their arguments are columns of one stage, their results columns of the next.

In frames a DECIMAL is its scaled integer (Int64 up to 18 digits, else Int128); all other types are as in
``polars_type``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from deras.core.errors import BindError
from deras.core.types import Kind, Layout, SqlType, polars_type
from deras.sql.expr.analysis import bound
from deras.sql.expr.cast import cast_value, host_cast
from deras.sql.expr.direct import direct
from deras.sql.expr.nodes import Call, Case, Cast, Context, Expr, InputRef, Literal, Logic, UdfCall, deterministic
from deras.sql.functions.registry import CallContext
from deras.sql.types import as_decimal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    from deras.sql.functions.registry import Kernel

CODE = pl.Int32


def frame_type(t: SqlType) -> Any:
    """The dtype that values of a type have in expression frames."""
    if t.kind is Kind.DECIMAL:
        return pl.Int64 if t.precision <= 18 else pl.Int128
    return polars_type(t)


def literal(value: Any, t: SqlType) -> pl.Expr:
    """A constant in physical form as an expression of the frame's dtype."""
    dtype = frame_type(t)
    if value is None or t.kind is Kind.NULL:
        return pl.lit(None, dtype=dtype)
    if t.is_timestamp or t.kind in (Kind.TIME, Kind.INTERVAL_DAY):
        return pl.lit(value, dtype=pl.Int64).cast(dtype)
    if t.kind is Kind.DATE:
        return pl.lit(value, dtype=pl.Int32).cast(pl.Date)
    return pl.lit(value, dtype=dtype)


@dataclass(slots=True)
class Value:
    """A compiled expression: its value, its error code (None: cannot fail), and the stage at which both are known.

    ``name``: of the column that it is, where nothing is computed.
    """

    expr: pl.Expr
    error: pl.Expr | None = None
    level: int = 0
    name: str = ""


HostResult = tuple[pl.Series, "npt.NDArray[np.bool_] | None", dict[int, str] | None]


@dataclass(slots=True)
class HostStep:
    """A function that runs between two stages: ``run`` on series, or ``kernel`` on columns."""

    out: str
    args: list[Value]
    types: list[SqlType]
    type: SqlType
    run: Callable[[Any, list[pl.Series]], HostResult] | None
    kernel: Kernel | None = None
    error: str = ""
    code: int = 0
    udf: bool = False


@dataclass(slots=True)
class Compiler:
    """Compiles expressions over one input; collects host steps by stage, messages by code, and the columns read.

    ``operations``: whether operations on columns take the place of expressions where they can.
    """

    types: Sequence[SqlType]
    zone: str = "UTC"
    seed: int | None = None
    operations: bool = True
    used: set[int] = field(default_factory=set)
    steps: list[list[HostStep]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    udf_codes: set[int] = field(default_factory=set)
    _memo: dict[Expr, Value] = field(default_factory=dict)
    _names: int = 0

    def compile(self, e: Expr) -> Value:
        """Compile one expression."""
        try:
            known = self._memo.get(e)
        except TypeError:  # a constant that cannot be hashed
            return self._compile(e)
        if known is None:
            known = self._compile(e)
            if deterministic(e):
                self._memo[e] = known
        return known

    def root(self, e: Expr) -> Value:
        """Compile what is wanted as a column: by operations on columns, if all of it can be."""
        try:
            known = self._memo.get(e)
        except TypeError:
            return self._compile(e)
        if self.operations and (known is None or not known.name) and deterministic(e):
            made = direct(e, self.zone)
            if made is not None:
                args = [self.compile(x) for x in made.leaves]
                if all(a.name and a.error is None for a in args):
                    types = [x.type for x in made.leaves]
                    known = self._memo[e] = self._host(e.type, args, types, None, kernel=made)
        return self.compile(e) if known is None else known

    def _compile(self, e: Expr) -> Value:
        match e:
            case InputRef():
                self.used.add(e.index)
                return Value(pl.col(f"c{e.index}"), name=f"c{e.index}")
            case Literal():
                return Value(literal(e.value, e.type))
            case Context():
                return self._host(e.type, [], [], lambda run, _: (run.context(e.kind, e.type), None, None))
            case Logic():
                return self._logic(e)
            case Case():
                return self._case(e)
            case Cast():
                return self._cast(e)
            case Call():
                return self._call(e)
            case UdfCall():
                return self._udf(e)
        raise TypeError(f"cannot compile {type(e).__name__}")

    # ---- errors

    def _code(self, message: str, at: Any) -> int:
        self.messages.append(f"{message} {at}".rstrip() if at is not None else message)
        return len(self.messages)

    @staticmethod
    def _first(errors: Sequence[pl.Expr | None]) -> pl.Expr | None:
        some = [e for e in errors if e is not None]
        if not some:
            return None
        return some[0] if len(some) == 1 else pl.coalesce(some)

    @staticmethod
    def _guarded(condition: pl.Expr, error: pl.Expr | None) -> pl.Expr | None:
        return None if error is None else pl.when(condition).then(error).otherwise(pl.lit(None, dtype=CODE))

    # ---- forms

    def _logic(self, e: Logic) -> Value:
        parts = [self.compile(x) for x in e.terms]
        level = max(p.level for p in parts)
        values = [p.expr for p in parts]
        if e.op == "AND":
            value = values[0] & values[1] if len(values) == 2 else pl.all_horizontal(values)
        else:
            value = values[0] | values[1] if len(values) == 2 else pl.any_horizontal(values)
        error: pl.Expr | None = None
        stop = e.op == "OR"  # the value that ends the evaluation
        for p in reversed(parts):
            if error is not None:
                error = self._guarded(p.expr.eq_missing(pl.lit(stop)).not_(), error)
            error = self._first([p.error, error])
        return Value(value, error, level)

    def _case(self, e: Case) -> Value:
        conditions = [self.compile(c) for c in e.conditions]
        results = [self.compile(r) for r in e.results]
        level = max(p.level for p in [*conditions, *results])
        dtype = frame_type(e.type)
        chain: Any = pl
        for c, r in zip(conditions, results, strict=False):
            chain = chain.when(c.expr).then(r.expr)
        value = chain.otherwise(results[-1].expr)
        if e.type.kind is not Kind.NULL and all(isinstance(r, Literal) for r in e.results):
            value = value.cast(dtype)
        error = results[-1].error
        for c, r in zip(reversed(conditions), reversed(results[:-1]), strict=True):
            if r.error is not None or error is not None:
                none = pl.lit(None, dtype=CODE)
                error = (
                    pl.when(c.expr)
                    .then(none if r.error is None else r.error)
                    .otherwise(none if error is None else error)
                )
            error = self._first([c.error, error])
        return Value(value, error, level)

    def _cast(self, e: Cast) -> Value:
        arg = self.compile(e.arg)
        ctx = CallContext((e.arg.type,), e.type, zone=self.zone, at=e.at)
        host = host_cast(e.arg.type, e.type)
        if _fits(e):
            return arg
        if host is None:
            value = cast_value(ctx, arg.expr, e.arg.type, e.type)
            if value is arg.expr and not ctx.fails:
                return arg
            return self._finish(value, [arg], ctx, safe=e.safe)
        return self._host(
            e.type,
            [arg],
            [e.arg.type],
            lambda _, s: _checked(host(ctx, *s)),
            message="" if e.safe else f"the value is no {e.type.with_nullable(True)}",
            at=e.at,
        )

    def _finish(self, value: pl.Expr, args: Sequence[Value], ctx: CallContext, *, safe: bool = False) -> Value:
        level = max((a.level for a in args), default=0)
        own: list[pl.Expr | None] = []
        if not safe:
            for condition, message in ctx.fails:
                own.append(pl.when(condition).then(pl.lit(self._code(message, ctx.at), dtype=CODE)))
        return Value(value, self._first([*(a.error for a in args), *own]), level)

    def _context(self, e: Call) -> CallContext:
        literal = tuple(isinstance(a, Literal) for a in e.args)
        constants = tuple(a.value if isinstance(a, Literal) else None for a in e.args)
        return CallContext(tuple(a.type for a in e.args), e.type, constants, literal, self.zone, e.at, self.seed)

    def _call(self, e: Call) -> Value:
        from deras.sql.functions.registry import ArgumentError

        args = [self.compile(a) for a in e.args]
        try:
            return self._called(e, args)
        except ArgumentError as err:
            span = None if e.at is None else e.at.span
            raise BindError(str(err), span=span, hint=err.hint) from None

    def _called(self, e: Call, args: Sequence[Value]) -> Value:
        ctx = self._context(e)
        build = e.function.build
        types = [a.type for a in e.args]
        if e.function.kernel is not None:
            given = _whole(e.args[next((i for i, constant in enumerate(ctx.literal) if not constant), 0)])
            # No kernel takes DECIMALs of two words.
            kernel = None if given.type.layout is Layout.LIMBS else e.function.kernel(ctx, build)
            if kernel is not None:
                return self._host(e.type, [self.root(given)], [given.type], None, kernel=kernel)
        if e.function.kind == "host" and not e.function.rows:
            # Constants that the function does not take are found now, not in the first step.
            build(ctx, *(pl.Series("", [], dtype=frame_type(a.type)) for a in e.args))
        if e.function.kind == "host":
            message = f"{e.function.name} failed"
            if e.function.rows:
                return self._host(
                    e.type, args, types, lambda run, s: _checked(build(ctx, run, *s)), message=message, at=e.at
                )
            return self._host(e.type, args, types, lambda _, s: _checked(build(ctx, *s)), message=message, at=e.at)
        return self._finish(build(ctx, *(a.expr for a in args)), args, ctx)

    def _udf(self, e: UdfCall) -> Value:
        from deras.sql.expr.python import call_udf

        args = [self.compile(a) for a in e.args]
        types = [a.type for a in e.args]
        udf, type_ = e.udf, e.type
        message = f"function {udf.name} failed"
        return self._host(
            type_,
            args,
            types,
            lambda run, s: call_udf(udf, types, type_, s, run.rows),
            message=message,
            at=e.at,
            is_udf=True,
        )

    def _host(
        self,
        type_: SqlType,
        args: Sequence[Value],
        types: Sequence[SqlType],
        run: Callable[[Any, list[pl.Series]], HostResult] | None,
        *,
        kernel: Kernel | None = None,
        message: str = "",
        at: Any = None,
        is_udf: bool = False,
    ) -> Value:
        level = max((a.level for a in args), default=0)
        while len(self.steps) <= level:
            self.steps.append([])
        self._names += 1
        step = HostStep(f"h{self._names}", list(args), list(types), type_, run, kernel, udf=is_udf)
        error: pl.Expr | None = None
        if message:
            step.code = self._code(message, at)
            step.error = f"e{self._names}"
            error = pl.col(step.error)
            if is_udf:
                self.udf_codes.add(step.code)
        self.steps[level].append(step)
        return Value(pl.col(step.out), self._first([*(a.error for a in args), error]), level + 1, step.out)


def _whole(e: Expr) -> Expr:
    """The integer that is cast to a DECIMAL which holds all of it, else the expression: kernels take both."""
    if isinstance(e, Cast) and e.arg.type.is_integer and e.type.kind is Kind.DECIMAL and e.type.scale == 0:
        return e.arg if e.type.precision >= as_decimal(e.arg.type).precision else e
    return e


def _fits(e: Cast) -> bool:
    """Whether a cast of one DECIMAL to another leaves every value as it is."""
    s, d = e.arg.type, e.type
    if not s.kind is d.kind is Kind.DECIMAL or s.scale != d.scale or frame_type(s) != frame_type(d):
        return False
    most = bound(e.arg)
    return most is not None and most < 10**d.precision


def _checked(result: Any) -> HostResult:
    if isinstance(result, tuple):
        return result if len(result) == 3 else (*result, None)
    return result, None, None
