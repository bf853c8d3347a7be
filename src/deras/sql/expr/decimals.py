"""DECIMAL as scaled integers in Polars: rescale HALF_UP, fit into a precision (else NULL), exact fallbacks on the host.

Up to 18 digits a value is Int64, above that Int128. Nothing here uses Polars' Decimal, which rounds half to even and
fails the frame.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from deras.core.types import SqlType

WIDE = pl.Int128
EXACT = Context(prec=120, rounding=ROUND_HALF_UP)


def wide(x: pl.Expr) -> pl.Expr:
    """As Int128."""
    return x.cast(WIDE)


def power10(n: int) -> pl.Expr:
    """10**n as Int128."""
    return pl.lit(10**n, dtype=WIDE)


def fit(x: pl.Expr, t: SqlType) -> pl.Expr:
    """An Int128 scaled value as DECIMAL(p, s): NULL where it has more than p digits."""
    if t.precision < 39:
        limit = power10(t.precision)
        x = pl.when((x < limit) & (x > pl.lit(-(10**t.precision), dtype=WIDE))).then(x)
    return x.cast(pl.Int64) if t.precision <= 18 else x


def quotient(a: pl.Expr, b: pl.Expr | float) -> pl.Expr:
    """A / b of floats by a constant, as IEEE says.

    Of several values and one divisor Polars multiplies by the reciprocal, which is rounded otherwise: 3 / 10.0 would be
    0.30000000000000004 in a step of two rows, and 0.3 in one of one.
    """
    divisor = pl.lit(b, dtype=pl.Float64) if isinstance(b, float) else b
    # A column of the divisor; what Polars knows to be the same for all rows would be one value again.
    return a / (a.is_nan().cast(pl.Float64) * 0.0 + divisor)


def divide_half_up(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    """Int128 a / b rounded half away from zero; NULL where b is 0."""
    magnitude = a.abs()
    divisor = b.abs()
    quotient = magnitude // divisor
    rest = magnitude - quotient * divisor
    # 2 * rest would overflow for divisors near 2**127.
    rounded = pl.when(rest >= divisor - rest).then(quotient + pl.lit(1, dtype=WIDE)).otherwise(quotient)
    negative = (a < pl.lit(0, dtype=WIDE)) != (b < pl.lit(0, dtype=WIDE))
    return pl.when(negative).then(pl.lit(0, dtype=WIDE) - rounded).otherwise(rounded)


def divide_down(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    """Int128 a / b cut toward zero; NULL where b is 0."""
    quotient = a.abs() // b.abs()
    negative = (a < pl.lit(0, dtype=WIDE)) != (b < pl.lit(0, dtype=WIDE))
    return pl.when(negative).then(pl.lit(0, dtype=WIDE) - quotient).otherwise(quotient)


def rescale(x: pl.Expr, source: SqlType, target: SqlType) -> pl.Expr:
    """DECIMAL(p1, s1) to DECIMAL(p2, s2): HALF_UP, NULL where it does not fit."""
    up = target.scale - source.scale
    grows = target.precision - target.scale >= source.precision - source.scale
    if up == 0:
        if grows:
            return x if (source.precision <= 18) == (target.precision <= 18) else x.cast(_dtype(target))
        return fit(wide(x), target)
    if up > 0:
        if grows:
            if target.precision <= 18:
                return x * pl.lit(10**up, dtype=pl.Int64)
            return wide(x) * power10(up)
        # The digits that do not fit are found before the multiplication, which could overflow.
        room = power10(target.precision - up) if target.precision >= up else power10(0)
        x = wide(x)
        kept = pl.when(x.abs() < room).then(x)
        return fit(kept * power10(up), target)
    return fit(divide_half_up(wide(x), power10(-up)), target)


def _dtype(t: SqlType) -> type[pl.DataType]:
    return pl.Int64 if t.precision <= 18 else WIDE


def to_scaled(value: Decimal, t: SqlType) -> int | None:
    """The scaled integer of an exact value, HALF_UP; None where it does not fit or is no number."""
    if not value.is_finite():
        return None
    try:
        scaled = int(value.scaleb(t.scale, EXACT).to_integral_value(ROUND_HALF_UP, EXACT))
    except (InvalidOperation, OverflowError):
        return None
    return scaled if abs(scaled) < 10**t.precision else None


def round_quotient(a: int, b: int) -> int:
    """A / b rounded half away from zero."""
    q, r = divmod(abs(a), abs(b))
    if 2 * r >= abs(b):
        q += 1
    return -q if (a < 0) != (b < 0) else q


def series(values: list[int | None], t: SqlType) -> pl.Series:
    """Scaled integers as a series of the frame's dtype."""
    return pl.Series("", values, dtype=_dtype(t))


def text(scaled: int, scale: int) -> str:
    """A scaled integer as plain digits."""
    digits = str(abs(scaled)).rjust(scale + 1, "0")
    whole = digits if scale == 0 else f"{digits[:-scale]}.{digits[-scale:]}"
    return f"-{whole}" if scaled < 0 else whole


def rescaled(v: Decimal | None, t: SqlType) -> Decimal | None:
    """A value at the scale of a type, HALF_UP; NULL where it does not fit."""
    scaled = None if v is None else to_scaled(v, t)
    return None if scaled is None else Decimal(scaled).scaleb(-t.scale, EXACT)
