"""CAST as Flink does it: numbers wrap and cut, text in Java's forms, times through the session's zone."""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import polars as pl

from deras.core.types import MAX_LENGTH, Kind, SqlType, polars_type
from deras.sql.expr import decimals

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.sql.functions.registry import CallContext

_INTS: dict[Kind, Any] = {Kind.TINYINT: pl.Int8, Kind.SMALLINT: pl.Int16, Kind.INT: pl.Int32, Kind.BIGINT: pl.Int64}
_TRUE = ("t", "true", "y", "yes", "1")
_FALSE = ("f", "false", "n", "no", "0")


# ---------------------------------------------------------------- expressions


def cast_value(c: CallContext, x: pl.Expr, s: SqlType, d: SqlType) -> pl.Expr:
    """The cast as an expression; failures are told to the context."""
    if s.kind is Kind.NULL:
        return x.cast(_frame(d))
    if d.is_text:
        return fit_text(_to_text(c, x, s), s, d)
    if s.is_text:
        return _from_text(c, x, s, d)
    if d.is_numeric:
        return _number(x, s, d)
    if d.kind is Kind.BOOLEAN:
        return x if s.kind is Kind.BOOLEAN else x.cast(pl.Int64) != 0 if s.is_integer else x.cast(pl.Float64) != 0
    if d.is_bytes:
        return x if s.same(d) else fit_bytes(x, d)
    return _time(c, x, s, d)


def _frame(t: SqlType) -> Any:
    if t.kind is Kind.DECIMAL:
        return pl.Int64 if t.precision <= 18 else pl.Int128
    return polars_type(t)


def _number(x: pl.Expr, s: SqlType, d: SqlType) -> pl.Expr:
    if s.kind is Kind.BOOLEAN:
        x = x.cast(pl.Int32)
        return _number(x, SqlType(Kind.INT), d)
    if s.is_integer:
        if d.is_integer:
            return x if s.kind is d.kind else x.cast(_INTS[d.kind], wrap_numerical=True)
        if d.kind is Kind.DECIMAL:
            source = SqlType(Kind.DECIMAL, {8: 3, 16: 5, 32: 10, 64: 19}[s.bits], 0)
            return decimals.rescale(x.cast(pl.Int64 if s.bits < 64 else pl.Int128), source, d)
        return x.cast(_frame(d))
    if s.kind is Kind.DECIMAL:
        if d.kind is Kind.DECIMAL:
            return decimals.rescale(x, s, d)
        if d.is_integer:
            cut = decimals.divide_down(decimals.wide(x), decimals.power10(s.scale)) if s.scale else x
            return cut.cast(_INTS[d.kind], wrap_numerical=True)
        value = x.cast(pl.Float64)
        value = decimals.quotient(value, 10.0**s.scale) if s.scale else value
        return value.cast(pl.Float32) if d.kind is Kind.FLOAT else value
    if d.is_integer:
        # Java: NaN is 0, infinities are the ends; below INT it goes through INT and wraps.
        first = pl.Int64 if d.kind is Kind.BIGINT else pl.Int32
        whole = x.cast(pl.Float64).fill_nan(0.0).cast(first, wrap_numerical=True)
        return whole if first is _INTS[d.kind] else whole.cast(_INTS[d.kind], wrap_numerical=True)
    return x.cast(_frame(d))


def fit_text(x: pl.Expr, s: SqlType, d: SqlType) -> pl.Expr:
    """Text as CHAR(n) (cut, padded) or VARCHAR(n) (cut)."""
    if d.kind is Kind.CHAR:
        if s.kind is Kind.CHAR and s.precision == d.precision:
            return x
        return x.str.slice(0, d.precision).str.pad_end(d.precision, " ")
    if d.precision == MAX_LENGTH or (s.is_text and s.precision <= d.precision):
        return x
    return x.str.slice(0, d.precision)


def fit_bytes(x: pl.Expr, d: SqlType) -> pl.Expr:
    """Bytes as BINARY(n) (cut, filled with zeros) or VARBINARY(n) (cut)."""
    if d.precision == MAX_LENGTH:
        return x
    if d.kind is Kind.BINARY:
        n = d.precision
        return x.map_batches(
            lambda v: pl.Series("", [None if b is None else b[:n].ljust(n, b"\0") for b in v], dtype=pl.Binary),
            return_dtype=pl.Binary,
        )
    return x.bin.slice(0, d.precision)


def _to_text(c: CallContext, x: pl.Expr, s: SqlType) -> pl.Expr:
    if s.is_text:
        return x
    if s.is_integer:
        return x.cast(pl.String)
    if s.kind is Kind.BOOLEAN:
        return pl.when(x).then(pl.lit("TRUE")).when(x.not_()).then(pl.lit("FALSE"))
    if s.is_bytes:
        return x.cast(pl.String, strict=False)
    if s.kind is Kind.DATE:
        return x.dt.to_string("%Y-%m-%d")
    if s.kind is Kind.TIME:
        return _digits(x, "%H:%M:%S", 8, s.precision)
    if s.kind is Kind.TIMESTAMP_LTZ:
        x = x.dt.convert_time_zone(c.zone).dt.replace_time_zone(None)
    return _digits(x, "%Y-%m-%d %H:%M:%S", 19, s.precision)


def _digits(x: pl.Expr, form: str, width: int, precision: int) -> pl.Expr:
    """A moment as text with as many digits of the second as its type has."""
    if precision == 0:
        return x.dt.to_string(form)
    known = next(k for k in (3, 6, 9) if k >= precision)
    text = x.dt.to_string(f"{form}%.{known}f")
    return text if known == precision else text.str.slice(0, width + 1 + precision)


def _from_text(c: CallContext, x: pl.Expr, s: SqlType, d: SqlType) -> pl.Expr:
    trimmed = x if d.kind is Kind.BOOLEAN else x.str.strip_chars()
    if d.is_integer:
        dtype = _INTS[d.kind]
        value = trimmed.cast(dtype, strict=False)
        # '1.5' is 1, '+7' is 7.
        loose = trimmed.str.extract(r"^\+?(-?[0-9]+)(?:\.[0-9]*)?$", 1).cast(dtype, strict=False)
        value = pl.coalesce(value, loose)
    elif d.is_approximate:
        plain = trimmed.str.replace(r"(?i)^([+-]?[0-9.]+(?:e[+-]?[0-9]+)?)[df]$", "$1")
        value = plain.cast(pl.Float64, strict=False)
        value = value.cast(pl.Float32) if d.kind is Kind.FLOAT else value
    elif d.kind is Kind.BOOLEAN:
        low = trimmed.str.to_lowercase()
        value = pl.when(low.is_in(_TRUE)).then(pl.lit(value=True)).when(low.is_in(_FALSE)).then(pl.lit(value=False))
    elif d.is_bytes:
        return fit_bytes(x.cast(pl.Binary), d)
    else:
        raise TypeError(f"no expression for CAST({s} AS {d})")
    c.fail(value.is_null() & x.is_not_null(), f"the text is no {d.with_nullable(True)}")
    return value


def _time(c: CallContext, x: pl.Expr, s: SqlType, d: SqlType) -> pl.Expr:
    if s.kind is Kind.TIMESTAMP_LTZ and d.kind is not Kind.TIMESTAMP_LTZ:
        x = x.dt.convert_time_zone(c.zone).dt.replace_time_zone(None)
        s = SqlType(Kind.TIMESTAMP, s.precision)
    if d.kind is Kind.DATE:
        return x.cast(pl.Date)
    if d.kind is Kind.TIME:
        if s.kind is Kind.TIME:
            return cut(x.cast(pl.Int64), s.precision, d.precision, 9).cast(pl.Time)
        return cut(x.cast(pl.Time).cast(pl.Int64), 9, d.precision, 9).cast(pl.Time)
    if d.kind is Kind.TIMESTAMP_LTZ and s.kind is not Kind.TIMESTAMP_LTZ:
        wall = _time(c, x, s, SqlType(Kind.TIMESTAMP, d.precision))
        return to_instant(wall, c.zone)
    if s.kind is Kind.DATE:
        return x.cast(pl.Datetime("ns" if d.nanoseconds else "us"))
    if s.kind is Kind.TIME:
        ns = x.cast(pl.Int64)
        return (ns if d.nanoseconds else ns // 1000).cast(pl.Datetime("ns" if d.nanoseconds else "us"))
    if s.is_timestamp and d.is_timestamp:
        dtype = polars_type(d)
        if s.nanoseconds != d.nanoseconds:
            x = x.cast(dtype)
        if d.precision < s.precision:
            x = cut(x.cast(pl.Int64), s.precision, d.precision, 9 if d.nanoseconds else 6).cast(dtype)
        return x
    if s.is_interval and s.kind is d.kind:
        return x
    if s.kind is d.kind:
        return x
    raise TypeError(f"no CAST({s} AS {d})")


def to_instant(wall: pl.Expr, zone: str, *, latest: bool = False) -> pl.Expr:
    """Wall time of a zone as an instant: the earlier (or later) of two, and past a gap in spring."""
    which: Any = "latest" if latest else "earliest"
    exact = wall.dt.replace_time_zone(zone, ambiguous=which, non_existent="null")
    shifted = (wall + pl.duration(hours=1)).dt.replace_time_zone(zone, ambiguous=which, non_existent="null")
    return pl.coalesce(exact, shifted).dt.convert_time_zone("UTC")


def cut(x: pl.Expr, source: int, target: int, unit: int) -> pl.Expr:
    """An Int64 count of 10**-unit seconds without the digits below ``target``."""
    if target >= min(source, unit):
        return x
    step = 10 ** (unit - target)
    found: pl.Expr = (x // step) * step
    return found


# ---------------------------------------------------------------- host


def host_cast(s: SqlType, d: SqlType) -> Callable[[CallContext, pl.Series], Any] | None:
    """The cast as a function over series where Polars has no exact one, else None."""
    if d.is_text and s.is_approximate:
        return _float_text
    if d.is_text and s.kind is Kind.DECIMAL:
        scale = s.scale
        return lambda c, x: _limited(
            pl.Series("", [None if v is None else decimals.text(v, scale) for v in x], dtype=pl.String), s, c.type
        )
    if d.is_text and s.kind in (Kind.ARRAY, Kind.MAP, Kind.ROW, Kind.MULTISET, Kind.INTERVAL_DAY, Kind.INTERVAL_MONTH):
        return lambda c, x: _limited(
            pl.Series("", [None if v is None else plain_text(v, s, c.zone) for v in x], dtype=pl.String), s, c.type
        )
    if d.kind is Kind.DECIMAL and s.is_approximate:
        return _float_decimal
    if d.kind is Kind.DECIMAL and s.is_text:
        return _text_decimal
    if s.is_text and d.kind in (Kind.DATE, Kind.TIME, Kind.TIMESTAMP, Kind.TIMESTAMP_LTZ):
        from deras.sql.expr.moments import read_moments

        return read_moments
    if s.kind in (Kind.ARRAY, Kind.MAP, Kind.ROW, Kind.MULTISET):
        return lambda _, x: _nested(x, s, d)
    return None


def _nested(x: pl.Series, s: SqlType, d: SqlType) -> pl.Series:
    if s.kind is Kind.ARRAY and d.children[0].kind is Kind.DECIMAL and s.children[0].kind is Kind.DECIMAL:
        # Polars rounds half to even.
        target = d.children[0]
        rounded = [None if v is None else [decimals.rescaled(i, target) for i in v] for v in x.to_list()]
        return pl.Series("", rounded, dtype=polars_type(d))
    return _renamed(x, s, d).cast(polars_type(d), strict=False)


def _renamed(x: pl.Series, s: SqlType, d: SqlType) -> pl.Series:
    """The fields of a ROW under the target's names: they go by their place."""
    if s.kind is not Kind.ROW:
        return x
    fields = [
        _nested(x.struct.field(a), p, q).alias(b) if p.kind is Kind.ROW else x.struct.field(a).alias(b)
        for a, b, p, q in zip(s.names, d.names, s.children, d.children, strict=True)
    ]
    made = pl.DataFrame(fields).to_struct()
    return (
        made
        if not x.null_count()
        else made.zip_with(x.is_not_null(), pl.Series("", [None], dtype=made.dtype).new_from_index(0, len(x)))
    )


def _limited(x: pl.Series, s: SqlType, d: SqlType) -> pl.Series:
    return x.to_frame("x").select(fit_text(pl.col("x"), s, d)).to_series()


def _float_text(c: CallContext, x: pl.Series) -> pl.Series:
    single = c.types[0].kind is Kind.FLOAT
    # Each distinct value is written once.
    texts = {v: java_float(v, single=single) for v in x.unique().to_list() if v is not None and v == v}
    texts_list = [
        None if v is None else "NaN" if v != v else ("-0.0" if v == 0 and math.copysign(1, v) < 0 else texts[v])
        for v in x
    ]
    return _limited(pl.Series("", texts_list, dtype=pl.String), c.types[0], c.type)


def java_float(v: float, *, single: bool = False) -> str:
    """A DOUBLE (or FLOAT) as Java's ``toString`` writes it: ``1.0E10``, ``1.0E-5``, ``100.0``."""
    if v != v:
        return "NaN"
    if math.isinf(v):
        return "Infinity" if v > 0 else "-Infinity"
    if v == 0:
        return "-0.0" if math.copysign(1, v) < 0 else "0.0"
    if single:
        import numpy as np

        digits_text = np.format_float_scientific(np.float32(v), unique=True, trim="0")
    else:
        digits_text = repr(v)
    sign, digits, exponent = Decimal(digits_text).as_tuple()
    shown = "".join(map(str, digits)).rstrip("0") or "0"
    point = len(digits) + int(exponent)  # digits before the decimal point
    if 1e-3 <= abs(v) < 1e7:
        if point <= 0:
            body = f"0.{'0' * -point}{shown}"
        elif point >= len(shown):
            body = f"{shown}{'0' * (point - len(shown))}.0"
        else:
            body = f"{shown[:point]}.{shown[point:]}"
    else:
        body = f"{shown[0]}.{shown[1:] or '0'}E{point - 1}"
    return f"-{body}" if sign else body


def _float_decimal(c: CallContext, x: pl.Series) -> pl.Series:
    d = c.type
    exact = x.cast(pl.Float64) if c.types[0].kind is Kind.DOUBLE else x
    if c.types[0].kind is Kind.FLOAT:
        values = [
            None if v is None else Decimal(java_float(v, single=True)) if math.isfinite(v) else Decimal("NaN")
            for v in exact
        ]
    else:
        values = [None if v is None else Decimal(repr(v)) for v in exact]
    return decimals.series([None if v is None else decimals.to_scaled(v, d) for v in values], d)


def _text_decimal(c: CallContext, x: pl.Series) -> Any:
    import numpy as np

    failed = np.zeros(len(x), np.bool_)
    out: list[int | None] = []
    for i, v in enumerate(x):
        scaled = None
        if v is not None:
            try:
                scaled = decimals.to_scaled(Decimal(v.strip()), c.type) if "_" not in v else None
                failed[i] = scaled is None
            except InvalidOperation:
                failed[i] = True
        out.append(scaled)
    return decimals.series(out, c.type), failed if failed.any() else None


def plain_text(v: Any, t: SqlType, zone: str) -> str:
    """A value of any type as Flink prints it inside arrays, maps and rows."""
    if v is None:
        return "NULL"
    match t.kind:
        case Kind.ARRAY:
            return "[" + ", ".join(plain_text(x, t.children[0], zone) for x in v) + "]"
        case Kind.MAP | Kind.MULTISET:
            value = t.children[1] if t.kind is Kind.MAP else SqlType(Kind.INT)
            return (
                "{"
                + ", ".join(
                    f"{plain_text(x['key'], t.children[0], zone)}={plain_text(x['value'], value, zone)}" for x in v
                )
                + "}"
            )
        case Kind.ROW:
            values = v.values() if isinstance(v, dict) else v
            return "(" + ", ".join(plain_text(x, f, zone) for x, f in zip(values, t.children, strict=True)) + ")"
        case Kind.BOOLEAN:
            return "TRUE" if v else "FALSE"
        case Kind.DOUBLE | Kind.FLOAT:
            return java_float(v, single=t.kind is Kind.FLOAT)
        case Kind.INTERVAL_MONTH:
            return f"{'-' if v < 0 else '+'}{abs(v) // 12}-{abs(v) % 12:02d}"
        case Kind.INTERVAL_DAY:
            ms = round(v.total_seconds() * 1000)
            day, rest = divmod(abs(ms), 86_400_000)
            clock = f"{rest // 3600000:02d}:{rest // 60000 % 60:02d}:{rest // 1000 % 60:02d}.{rest % 1000:03d}"
            return f"{'-' if ms < 0 else '+'}{day} {clock}"
        case Kind.TIMESTAMP | Kind.TIMESTAMP_LTZ:
            if t.kind is Kind.TIMESTAMP_LTZ:
                from zoneinfo import ZoneInfo

                v = v.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
            text = v.isoformat(sep=" ", timespec="microseconds")
            return str(text[: 19 + (t.precision + 1 if t.precision else 0)])
        case Kind.DECIMAL:
            return str(format(v, "f"))
        case Kind.BINARY | Kind.VARBINARY:
            return str(bytes(v).decode(errors="replace"))
        case _:
            return str(v)
