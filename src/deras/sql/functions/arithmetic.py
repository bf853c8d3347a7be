"""Numbers: rounding, powers, logarithms, chance."""

# ruff: noqa: ARG001 -- every implementation takes the same arguments

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from deras.core import types as t
from deras.core.types import Kind, SqlType
from deras.sql.expr import decimals
from deras.sql.expr.nodes import Expr, Literal
from deras.sql.functions.registry import CallContext, scalar
from deras.sql.functions.times import cut_to_unit
from deras.sql.types import round_result

if TYPE_CHECKING:
    from collections.abc import Sequence


@scalar("ABS(number)", result=lambda args: args[0].type)
def absolute(c: CallContext, x: pl.Expr) -> pl.Expr:
    """The value without its sign.

    Example:
        >>> ABS(-2.5)
        2.5
    """
    return x.abs()


@scalar("SIGN(number)", result=lambda args: args[0].type)
def sign(c: CallContext, x: pl.Expr) -> pl.Expr:
    """-1, 0 or 1.

    Example:
        >>> SIGN(-3)
        -1
    """
    if c.type.kind is Kind.DECIMAL:
        one = pl.lit(10**c.type.scale, dtype=pl.Int64 if c.type.precision <= 18 else pl.Int128)
        return pl.when(x > 0).then(one).when(x < 0).then(0 - one).when(x == 0).then(0 * one)
    return x.sign()


def _whole(args: Sequence[Expr]) -> SqlType:
    x = args[0].type
    if x.kind is Kind.DECIMAL:
        return t.decimal(x.precision, 0)
    return x


def _floor(c: CallContext, x: pl.Expr, *unit: pl.Expr) -> pl.Expr:
    if unit:
        return cut_to_unit(c, x, str(c.constants[1]), up=False)
    return _round_down(c, x, up=False)


def _ceil(c: CallContext, x: pl.Expr, *unit: pl.Expr) -> pl.Expr:
    if unit:
        return cut_to_unit(c, x, str(c.constants[1]), up=True)
    return _round_down(c, x, up=True)


def _round_down(c: CallContext, x: pl.Expr, *, up: bool) -> pl.Expr:
    source = c.types[0]
    if source.is_integer:
        return x
    if source.kind is Kind.DECIMAL:
        step = decimals.power10(source.scale)
        whole = decimals.wide(x)
        low = whole // step
        if up:
            low = pl.when(low * step < whole).then(low + pl.lit(1, dtype=pl.Int128)).otherwise(low)
        return decimals.fit(low, c.type)
    return x.ceil() if up else x.floor()


@scalar("FLOOR(number)", "FLOOR(datetime, word)", result=_whole)
def floor(c: CallContext, x: pl.Expr, *unit: pl.Expr) -> pl.Expr:
    """The greatest whole number not above; with TO the start of a moment's unit (weeks begin on Sunday).

    Example:
        >>> FLOOR(TIMESTAMP '2024-02-03 04:05:06' TO HOUR)
        2024-02-03 04:00:00
    """
    return _floor(c, x, *unit)


@scalar("CEIL(number)", "CEIL(datetime, word)", "CEILING(number)", "CEILING(datetime, word)", result=_whole)
def ceil(c: CallContext, x: pl.Expr, *unit: pl.Expr) -> pl.Expr:
    """The least whole number not below; with TO the end of a moment's unit.

    Example:
        >>> CEIL(1.2)
        2
    """
    return _ceil(c, x, *unit)


def _digits(args: Sequence[Expr]) -> int:
    if len(args) < 2:
        return 0
    if not isinstance(args[1], Literal):
        from deras.sql.rules.fold_constants import fold

        folded = fold(args[1], "UTC")
        return int(folded.value) if isinstance(folded, Literal) and folded.value is not None else 0
    return int(args[1].value or 0)


def _constant_digits(args: Sequence[Expr]) -> bool:
    if len(args) < 2 or isinstance(args[1], Literal):
        return True
    from deras.sql.rules.fold_constants import fold

    return isinstance(fold(args[1], "UTC"), Literal)


def _rows(c: CallContext, x: pl.Expr, places: pl.Expr, *, down: bool) -> pl.Expr:
    """Rounds each row to its own number of digits."""
    from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

    scale = c.type.scale if c.type.kind is Kind.DECIMAL else 0
    mode = ROUND_DOWN if down else ROUND_HALF_UP
    approximate = c.type.is_approximate

    def one(v: Any, n: int | None) -> Any:
        if v is None or n is None:
            return None
        if approximate and v - v != 0:  # no number, or without end
            return v
        exact = Decimal(repr(v)) if approximate else Decimal(v).scaleb(-scale, decimals.EXACT)
        if -int(exact.as_tuple().exponent) <= n:
            return v
        cut = exact.quantize(Decimal(1).scaleb(-max(n, -60)), mode, decimals.EXACT)
        return float(cut) if approximate else int(cut.scaleb(scale, decimals.EXACT))

    dtype = (
        (pl.Int64 if c.type.precision <= 18 else pl.Int128) if c.type.kind is Kind.DECIMAL else t.polars_type(c.type)
    )
    return pl.map_batches(
        [x, places],
        lambda s: pl.Series("", [one(v, n) for v, n in zip(s[0], s[1], strict=True)], dtype=dtype),
        return_dtype=dtype,
    )


def _round_type(args: Sequence[Expr]) -> SqlType:
    x = args[0].type
    if x.kind is not Kind.DECIMAL or not _constant_digits(args):
        return x
    return round_result(x, _digits(args))


def _round(c: CallContext, x: pl.Expr, *places: pl.Expr) -> pl.Expr:
    if places and not c.literal[1]:
        return _rows(c, x, places[0], down=False)
    source, digits = c.types[0], int(c.constants[1] or 0) if len(c.types) > 1 else 0
    if source.is_approximate:
        # Half away from zero on the shortest decimal form, as Java's BigDecimal.valueOf does.
        return x.round(digits, mode="half_away_from_zero") if digits >= 0 else _round_tens(x, digits)
    if source.is_integer:
        if digits >= 0:
            return x
        step = 10**-digits
        whole = decimals.divide_half_up(decimals.wide(x), decimals.power10(-digits))
        return (whole * pl.lit(step, dtype=pl.Int128)).cast(t.polars_type(c.type), wrap_numerical=True)
    if digits >= source.scale:
        return x
    drop = source.scale - digits
    whole = decimals.divide_half_up(decimals.wide(x), decimals.power10(min(drop, 38)))
    if digits < 0:
        whole = whole * decimals.power10(-digits)
    return decimals.fit(whole, c.type)


def _round_tens(x: pl.Expr, digits: int) -> pl.Expr:
    step = 10.0**-digits
    return decimals.quotient(x, step).round(0, mode="half_away_from_zero") * step


@scalar("ROUND(number[, integer])", result=_round_type)
def round_(c: CallContext, x: pl.Expr, *places: pl.Expr) -> pl.Expr:
    """Rounded to a number of digits, half away from zero.

    Example:
        >>> ROUND(2.345, 2)
        2.35
    """
    return _round(c, x, *places)


@scalar("TRUNCATE(number[, integer])", result=_round_type)
def truncate(c: CallContext, x: pl.Expr, *places: pl.Expr) -> pl.Expr:
    """Cut to a number of digits, toward zero.

    Example:
        >>> TRUNCATE(42.345, 2)
        42.34
    """
    if places and not c.literal[1]:
        return _rows(c, x, places[0], down=True)
    source, digits = c.types[0], int(c.constants[1] or 0) if len(c.types) > 1 else 0
    if source.is_approximate:
        step = 10.0**digits
        scaled = x * step
        cut_ = decimals.quotient(pl.when(scaled < 0).then(scaled.ceil()).otherwise(scaled.floor()), step)
        return pl.when(scaled.is_finite()).then(cut_).otherwise(x)
    drop = source.scale - digits
    if drop <= 0:
        return x
    step128 = decimals.power10(min(drop, 38))
    cut = decimals.divide_down(decimals.wide(x), step128)
    if source.is_integer:
        return (cut * step128).cast(t.polars_type(source))
    if digits < 0:
        cut = cut * decimals.power10(-digits)
    return decimals.fit(cut, c.type)


def _exact(x: pl.Expr, name: str) -> pl.Expr:
    # Polars divides natural logarithms: its log10(1000) is not 3.
    import numpy as np

    function = getattr(np, name)

    def run(s: pl.Series) -> pl.Series:
        with np.errstate(all="ignore"):
            return pl.Series(function(s.to_numpy()))

    found = x.fill_null(1.0).map_batches(run, return_dtype=pl.Float64)
    return pl.when(x.is_not_null()).then(found)


def _double(name: str, doc: str, example: str, result: str, build: Any, *, second: bool = False) -> None:
    def made(c: CallContext, *args: pl.Expr) -> pl.Expr:
        return build(*args)  # type: ignore[no-any-return]

    made.__doc__ = f"{doc}\n\nExample:\n    >>> {example}\n    {result}\n"
    made.__module__ = __name__
    scalar(f"{name}(double{', double' if second else ''}) -> DOUBLE")(made)


_double("SQRT", "The square root.", "SQRT(16)", "4.0", lambda x: x.sqrt())
_double("EXP", "e to the power of the value.", "EXP(0)", "1.0", lambda x: x.exp())
_double("LN", "The natural logarithm.", "LN(1)", "0.0", lambda x: x.log())
_double("LOG10", "The logarithm to base 10.", "LOG10(1000)", "3.0", lambda x: _exact(x, "log10"))
_double("LOG2", "The logarithm to base 2.", "LOG2(8)", "3.0", lambda x: _exact(x, "log2"))
_double("SIN", "The sine.", "SIN(0)", "0.0", lambda x: x.sin())
_double("COS", "The cosine.", "COS(0)", "1.0", lambda x: x.cos())
_double("TAN", "The tangent.", "TAN(0)", "0.0", lambda x: x.tan())
_double("COT", "The cotangent.", "COT(1)", "0.6420926159343306", lambda x: 1.0 / x.tan())
_double("ASIN", "The arc sine.", "ASIN(0)", "0.0", lambda x: x.arcsin())
_double("ACOS", "The arc cosine.", "ACOS(1)", "0.0", lambda x: x.arccos())
_double("ATAN", "The arc tangent.", "ATAN(0)", "0.0", lambda x: x.arctan())
_double("SINH", "The hyperbolic sine.", "SINH(0)", "0.0", lambda x: x.sinh())
_double("COSH", "The hyperbolic cosine.", "COSH(0)", "1.0", lambda x: x.cosh())
_double("TANH", "The hyperbolic tangent.", "TANH(0)", "0.0", lambda x: x.tanh())
_double("DEGREES", "Radians in degrees.", "DEGREES(0)", "0.0", lambda x: x.degrees())
_double("RADIANS", "Degrees in radians.", "RADIANS(0)", "0.0", lambda x: x.radians())
_double(
    "POWER",
    "The first number to the power of the second.",
    "POWER(2, 10)",
    "1024.0",
    lambda x, y: x.pow(y),
    second=True,
)
_double("ATAN2", "The angle of a point.", "ATAN2(0, 1)", "0.0", lambda y, x: pl.arctan2(y, x), second=True)


@scalar("LOG(double) -> DOUBLE", "LOG(double, double) -> DOUBLE")
def log(c: CallContext, x: pl.Expr, *y: pl.Expr) -> pl.Expr:
    """The natural logarithm, or with two arguments that of the second to the base of the first.

    Example:
        >>> LOG(1)
        0.0
    """
    return y[0].log() / x.log() if y else x.log()


@scalar("PI() -> DOUBLE", nullable=False)
def pi(c: CallContext) -> pl.Expr:
    """The number pi.

    Example:
        >>> PI()
        3.141592653589793
    """
    import math

    return pl.lit(math.pi)


@scalar("E() -> DOUBLE", nullable=False)
def e(c: CallContext) -> pl.Expr:
    """The number e.

    Example:
        >>> E()
        2.718281828459045
    """
    import math

    return pl.lit(math.e)


@scalar("RAND([integer]) -> DOUBLE", kind="host", deterministic=False, nullable=False, rows=True)
def rand(c: CallContext, run: Any, *seed: pl.Series) -> pl.Series:
    """A number from 0 (included) to 1 (excluded), another one for every row."""
    return pl.Series("", run.rng.random(run.rows))


@scalar(
    "RAND_INTEGER(integer) -> INT", "RAND_INTEGER(integer, integer) -> INT", kind="host", deterministic=False, rows=True
)
def rand_integer(c: CallContext, run: Any, *args: pl.Series) -> pl.Series:
    """A whole number from 0 to the bound (excluded), another one for every row; two arguments: seed, bound."""
    bounds = args[-1].cast(pl.Int64)
    drawn = pl.Series("", run.rng.random(run.rows))
    return (drawn * bounds).floor().cast(pl.Int32)


@scalar("UUID() -> CHAR(36)", kind="host", deterministic=False, nullable=False, rows=True)
def uuid(c: CallContext, run: Any) -> pl.Series:
    """A random UUID (version 4), another one for every row."""
    import uuid as _uuid

    raw = run.rng.bytes(16 * run.rows)
    return pl.Series(
        "", [str(_uuid.UUID(bytes=raw[i * 16 : i * 16 + 16], version=4)) for i in range(run.rows)], dtype=pl.String
    )


@scalar("BIN(integer) -> STRING")
def bin_(c: CallContext, x: pl.Expr) -> pl.Expr:
    """A whole number in binary digits.

    Example:
        >>> BIN(4)
        100
    """
    return x.map_elements(lambda v: format(v & 0xFFFFFFFFFFFFFFFF if v < 0 else v, "b"), return_dtype=pl.String)
