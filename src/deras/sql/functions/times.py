"""Dates and times: the present, parts of a moment, arithmetic with intervals."""

# ruff: noqa: ARG001 -- every implementation takes the same arguments

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from deras.core import types as t
from deras.core.types import Kind, SqlType, polars_type
from deras.sql.expr.cast import to_instant
from deras.sql.expr.nodes import Call, Cast, Context, Expr, InputRef, Literal, Where
from deras.sql.functions.registry import ArgumentError, CallContext, Function, cast_to, scalar

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNIT_MS = {
    "MILLISECOND": 1, "SECOND": 1000, "MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000, "WEEK": 604_800_000,
}  # fmt: skip
_UNIT_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12, "DECADE": 120, "CENTURY": 1200, "MILLENNIUM": 12000}


# ---------------------------------------------------------------- now


@scalar("PROCTIME() -> TIMESTAMP_LTZ(3)", kind="macro")
def proctime(args: Sequence[Expr], at: Where | None) -> Expr:
    """The time at which the row is processed; a column ``AS PROCTIME()`` is a processing-time attribute."""
    return Context(t.timestamp_ltz(3).with_nullable(False), "proctime", at=at)


def _now(type_: SqlType, at: Where | None) -> Expr:
    return Context(type_.with_nullable(False), "now", at=at)


@scalar(
    "CURRENT_TIMESTAMP() -> TIMESTAMP_LTZ(3)",
    "NOW() -> TIMESTAMP_LTZ(3)",
    "CURRENT_ROW_TIMESTAMP() -> TIMESTAMP_LTZ(3)",
    kind="macro",
)
def current_timestamp(args: Sequence[Expr], at: Where | None) -> Expr:
    """The present instant."""
    return _now(t.timestamp_ltz(3), at)


@scalar("LOCALTIMESTAMP() -> TIMESTAMP(3)", kind="macro")
def localtimestamp(args: Sequence[Expr], at: Where | None) -> Expr:
    """The present wall time in the session's zone."""
    return Cast(t.timestamp(3).with_nullable(False), _now(t.timestamp_ltz(3), at), at=at)


@scalar("CURRENT_DATE() -> DATE", kind="macro")
def current_date(args: Sequence[Expr], at: Where | None) -> Expr:
    """Today in the session's zone."""
    return Cast(t.DATE.with_nullable(False), _now(t.timestamp_ltz(3), at), at=at)


@scalar("CURRENT_TIME() -> TIME", "LOCALTIME() -> TIME", kind="macro")
def current_time(args: Sequence[Expr], at: Where | None) -> Expr:
    """The present time of day in the session's zone."""
    return Cast(t.time(0).with_nullable(False), _now(t.timestamp_ltz(3), at), at=at)


@scalar("CURRENT_WATERMARK(moment)", kind="macro")
def current_watermark(args: Sequence[Expr], at: Where | None) -> Expr:
    """The watermark that the row saw when it came; NULL before the first."""
    type_ = SqlType(args[0].type.kind, 3)
    return Context(type_, "watermark", at=at)


# ---------------------------------------------------------------- arithmetic


def _shift(c: CallContext, x: pl.Expr, by: pl.Expr) -> pl.Expr:
    """A moment moved by an interval."""
    kind = c.types[0].kind
    if c.types[1].kind is Kind.INTERVAL_MONTH:
        wall = x
        if kind is Kind.TIMESTAMP_LTZ:
            wall = x.dt.convert_time_zone(c.zone).dt.replace_time_zone(None)
        # Without a day of its own the month's last day stands in: Jan 31 + 1 month = Feb 28.
        moved = _add_months(wall, by, c.types[0])
        return to_instant(moved, c.zone) if kind is Kind.TIMESTAMP_LTZ else moved
    ms = by.cast(pl.Int64)
    if kind is Kind.DATE:
        return (x.cast(pl.Datetime("ms")).cast(pl.Int64) + ms).cast(pl.Datetime("ms")).cast(pl.Date)
    if kind is Kind.TIME:
        day = 86_400_000_000_000
        return ((x.cast(pl.Int64) + ms * 1_000_000) % day).cast(pl.Time)
    unit = 1_000_000 if c.types[0].nanoseconds else 1000
    return (x.cast(pl.Int64) + ms * unit).cast(polars_type(c.types[0]))


def _add_months(x: pl.Expr, months: pl.Expr, type_: SqlType) -> pl.Expr:
    months = months.cast(pl.Int32)
    total = x.dt.year() * 12 + x.dt.month().cast(pl.Int32) - 1 + months
    year, month = total.floordiv(12), total % 12 + 1
    first = pl.date(year, month, 1)
    day = pl.min_horizontal(x.dt.day().cast(pl.Int32), first.dt.month_end().dt.day().cast(pl.Int32))
    date = pl.date(year, month, day)
    if type_.kind is Kind.DATE:
        return date
    dtype = pl.Datetime("ns" if type_.nanoseconds else "us")
    per_day = 86_400_000_000_000 if type_.nanoseconds else 86_400_000_000
    return (date.cast(dtype).cast(pl.Int64) + x.cast(pl.Int64) % per_day).cast(dtype)


def _make(name: str, build: Any) -> Function:
    return Function(name, "expression", (), build, family="times")


def _negated(c: CallContext, x: pl.Expr, by: pl.Expr) -> pl.Expr:
    return _shift(c, x, (pl.lit(0, dtype=pl.Int64) - by.cast(pl.Int64)))


def _interval_sum(c: CallContext, a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return (a.cast(pl.Int64) + b.cast(pl.Int64)).cast(polars_type(c.type))


def _interval_difference(c: CallContext, a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return (a.cast(pl.Int64) - b.cast(pl.Int64)).cast(polars_type(c.type))


def _times(c: CallContext, a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return (a.cast(pl.Int64) * b.cast(pl.Int64)).cast(polars_type(c.type))


def _between(c: CallContext, a: pl.Expr, b: pl.Expr) -> pl.Expr:
    a, b = (
        x.cast(pl.Datetime("ms")).cast(pl.Int64) for x in (a.dt.replace_time_zone(None), b.dt.replace_time_zone(None))
    )
    return b - a


_SHIFT = _make("+", _shift)
_SHIFT_BACK = _make("-", _negated)
_SUM = _make("+", _interval_sum)
_DIFFERENCE = _make("-", _interval_difference)
_TIMES = _make("*", _times)
_BETWEEN = _make("MILLISECONDS_BETWEEN", _between)


def milliseconds_between(a: Expr, b: Expr) -> Expr:
    """Milliseconds from one moment to another of the same kind; the second one is known to be there."""
    return Call(t.BIGINT.with_nullable(a.type.nullable), _BETWEEN, (a, b))


def shift_of(e: Expr) -> tuple[int, int] | None:
    """Of a timestamp column moved by a constant number of days … milliseconds: the column and the words to add."""
    if not isinstance(e, Call) or (e.function is not _SHIFT and e.function is not _SHIFT_BACK):
        return None
    column, by = e.args
    if not isinstance(column, InputRef) or not isinstance(by, Literal) or by.value is None:
        return None
    if not column.type.is_timestamp or by.type.kind is not Kind.INTERVAL_DAY:
        return None
    words = int(by.value) * column.type.words_per_ms
    return column.index, words if e.function is _SHIFT else -words


def _is_moment(x: SqlType) -> bool:
    return x.is_timestamp or x.kind in (Kind.DATE, Kind.TIME)


def shift_moment(op: str, a: Expr, b: Expr, at: Where | None) -> Expr | None:
    """Arithmetic with moments and intervals, or None if it is none."""
    x, y = a.type, b.type
    nullable = x.nullable or y.nullable
    if op in "+-" and _is_moment(x) and y.is_interval:
        if x.kind is Kind.TIME and y.kind is Kind.INTERVAL_MONTH:
            raise ArgumentError("a TIME has no months")
        return Call(x.with_nullable(nullable), _SHIFT if op == "+" else _SHIFT_BACK, (a, b), at=at)
    if op == "+" and x.is_interval and _is_moment(y):
        return shift_moment("+", b, a, at)
    if op in "+-" and x.is_interval and x.kind is y.kind:
        return Call(x.with_nullable(nullable), _SUM if op == "+" else _DIFFERENCE, (a, b), at=at)
    if op == "*" and x.is_interval and y.is_integer:
        return Call(x.with_nullable(nullable), _TIMES, (a, b), at=at)
    if op == "*" and x.is_integer and y.is_interval:
        return Call(y.with_nullable(nullable), _TIMES, (b, a), at=at)
    if op == "-" and _is_moment(x) and _is_moment(y):
        raise ArgumentError("moments are not subtracted with '-' in Flink SQL", "Use TIMESTAMPDIFF(SECOND, a, b).")
    return None


def interval_of(value: Expr, unit: str, at: Where | None) -> Expr:
    """``INTERVAL expr unit``."""
    unit = unit.upper()
    if isinstance(value, Literal) and value.type.is_text:
        raise ArgumentError("the interval's text does not fit its unit")
    if not value.type.is_integer:
        raise ArgumentError(f"an interval needs a whole number, not {value.type.with_nullable(True)}")
    months = unit in _UNIT_MONTHS
    type_ = t.INTERVAL_MONTH if months else t.INTERVAL_DAY
    one = Literal(type_.with_nullable(False), _UNIT_MONTHS[unit] if months else _UNIT_MS[unit])
    return Call(type_.with_nullable(value.type.nullable), _TIMES, (one, value), at=at)


def _unit(c: CallContext, i: int) -> str:
    return str(c.constants[i]).upper()


@scalar("TIMESTAMPADD(word, integer, datetime)", kind="macro")
def timestampadd(args: Sequence[Expr], at: Where | None) -> Expr:
    """A moment moved by a number of units.

    Example:
        >>> TIMESTAMPADD(MONTH, 1, DATE '2024-01-31')
        2024-02-29
    """
    unit = str(getattr(args[0], "value", "")).upper()
    if unit not in _UNIT_MONTHS and unit not in _UNIT_MS:
        raise ArgumentError(f"TIMESTAMPADD has no unit {unit}")
    moment = args[2]
    if moment.type.kind is Kind.DATE and unit in ("HOUR", "MINUTE", "SECOND", "MILLISECOND"):
        moment = cast_to(moment, t.timestamp(3))
    found = shift_moment("+", moment, interval_of(args[1], unit, at), at)
    if found is None:
        raise ArgumentError(f"TIMESTAMPADD does not take {moment.type.with_nullable(True)}")
    return found


def _wall(c: CallContext, x: pl.Expr, i: int) -> pl.Expr:
    """The wall time of a moment in the session's zone."""
    if c.types[i].kind is Kind.TIMESTAMP_LTZ:
        return x.dt.convert_time_zone(c.zone).dt.replace_time_zone(None)
    return x


@scalar("TIMESTAMPDIFF(word, datetime, datetime) -> INT")
def timestampdiff(c: CallContext, unit: pl.Expr, a: pl.Expr, b: pl.Expr) -> pl.Expr:
    """Whole units from the first moment to the second.

    Example:
        >>> TIMESTAMPDIFF(DAY, TIMESTAMP '2024-01-01 23:00:00', TIMESTAMP '2024-01-02 22:00:00')
        0
    """
    name = _unit(c, 0)
    ms = pl.Datetime("us")
    x, y = _wall(c, a, 1).cast(ms), _wall(c, b, 2).cast(ms)
    if name in _UNIT_MONTHS:
        months = (y.dt.year() - x.dt.year()) * 12 + (y.dt.month().cast(pl.Int32) - x.dt.month().cast(pl.Int32))
        # A month is whole when its day and time are reached.
        day = 86_400_000_000
        # The 31st is reached at the end of a shorter month.
        day_x, day_y = x.dt.day().cast(pl.Int64), y.dt.day().cast(pl.Int64)
        last_x, last_y = x.dt.days_in_month().cast(pl.Int64), y.dt.days_in_month().cast(pl.Int64)
        clock_x, clock_y = x.cast(pl.Int64) % day, y.cast(pl.Int64) % day
        after = pl.min_horizontal(day_x, last_y) * day + clock_x
        before = pl.min_horizontal(day_y, last_x) * day + clock_y
        months = (
            pl.when((months > 0) & (day_y * day + clock_y < after))
            .then(months - 1)
            .when((months < 0) & (day_x * day + clock_x < before))
            .then(months + 1)
            .otherwise(months)
        )
        return _toward_zero(months, _UNIT_MONTHS[name]).cast(pl.Int32)
    if name not in _UNIT_MS:
        raise ArgumentError(f"TIMESTAMPDIFF has no unit {name}")
    return _toward_zero(y.cast(pl.Int64) - x.cast(pl.Int64), _UNIT_MS[name] * 1000).cast(pl.Int32, wrap_numerical=True)


def _toward_zero(x: pl.Expr, by: int) -> pl.Expr:
    return pl.when(x < 0).then(-((-x) // by)).otherwise(x // by)


# ---------------------------------------------------------------- parts


_PARTS: dict[str, Any] = {
    "YEAR": lambda x: x.dt.year(),
    "QUARTER": lambda x: x.dt.quarter(),
    "MONTH": lambda x: x.dt.month(),
    "WEEK": lambda x: x.dt.week(),
    "ISOYEAR": lambda x: x.dt.iso_year(),
    "DAY": lambda x: x.dt.day(),
    "DOY": lambda x: x.dt.ordinal_day(),
    "DOW": lambda x: x.dt.weekday() % 7 + 1,
    "ISODOW": lambda x: x.dt.weekday(),
    "HOUR": lambda x: x.dt.hour(),
    "MINUTE": lambda x: x.dt.minute(),
    "SECOND": lambda x: x.dt.second(),
    "MILLISECOND": lambda x: x.dt.millisecond(),
    "MICROSECOND": lambda x: x.dt.microsecond(),
    "NANOSECOND": lambda x: x.dt.nanosecond(),
    "DECADE": lambda x: x.dt.year() // 10,
    "CENTURY": lambda x: (x.dt.year() + 99) // 100,
    "MILLENNIUM": lambda x: (x.dt.year() + 999) // 1000,
}
_OF_DAY = {"HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND", "NANOSECOND"}


def _part(c: CallContext, unit: str, x: pl.Expr, i: int) -> pl.Expr:
    kind = c.types[i].kind
    if unit == "EPOCH":
        if kind is Kind.DATE:
            return x.cast(pl.Int32).cast(pl.Int64) * 86400
        if kind is Kind.TIME:
            return x.cast(pl.Int64) // 1_000_000_000
        return x.cast(pl.Int64) // (1_000_000_000 if c.types[i].nanoseconds else 1_000_000)
    if unit not in _PARTS:
        raise ArgumentError(f"there is no part {unit} of a moment")
    if kind is Kind.DATE and unit in _OF_DAY:
        return (x.cast(pl.Int32) * 0).cast(pl.Int64)
    if kind is Kind.TIME and unit not in _OF_DAY:
        raise ArgumentError(f"a TIME has no {unit}")
    return _PARTS[unit](_wall(c, x, i)).cast(pl.Int64)  # type: ignore[no-any-return]


def _of_interval(unit: str, months: bool, x: pl.Expr) -> pl.Expr:
    value = x.cast(pl.Int64)
    units = _UNIT_MONTHS if months else _UNIT_MS
    if unit not in units or unit == "WEEK":
        raise ArgumentError(f"an interval of {'years and months' if months else 'days to seconds'} has no {unit}")
    above = {
        "MONTH": 12,
        "QUARTER": 12,
        "HOUR": 86_400_000,
        "MINUTE": 3_600_000,
        "SECOND": 60_000,
        "MILLISECOND": 60_000,
    }
    size = value.abs() % above[unit] if unit in above else value.abs()
    part = size // units[unit] + (1 if unit == "QUARTER" else 0)
    return pl.when(value < 0).then(-part).otherwise(part)


@scalar("EXTRACT(word, datetime) -> BIGINT", "EXTRACT(word, interval) -> BIGINT")
def extract(c: CallContext, unit: pl.Expr, x: pl.Expr) -> pl.Expr:
    """A part of a moment; DOW counts from Sunday = 1, WEEK is ISO's.

    Example:
        >>> EXTRACT(DOW FROM DATE '2024-02-04')
        1
    """
    if c.types[1].is_interval:
        return _of_interval(_unit(c, 0), c.types[1].kind is Kind.INTERVAL_MONTH, x)
    return _part(c, _unit(c, 0), x, 1)


def _declare(name: str, unit: str, doc: str, example: str, result: str) -> None:
    def build(c: CallContext, x: pl.Expr) -> pl.Expr:
        return _part(c, unit, x, 0)

    build.__doc__ = f"{doc}\n\nExample:\n    >>> {example}\n    {result}\n"
    build.__module__ = __name__
    scalar(f"{name}(datetime) -> BIGINT")(build)


_declare("YEAR", "YEAR", "The year.", "YEAR(DATE '2024-02-03')", "2024")
_declare("QUARTER", "QUARTER", "The quarter, 1 to 4.", "QUARTER(DATE '2024-05-03')", "2")
_declare("MONTH", "MONTH", "The month, 1 to 12.", "MONTH(DATE '2024-05-03')", "5")
_declare("WEEK", "WEEK", "The ISO week.", "WEEK(DATE '2024-12-30')", "1")
_declare("DAYOFYEAR", "DOY", "The day of the year.", "DAYOFYEAR(DATE '2024-02-01')", "32")
_declare("DAYOFMONTH", "DAY", "The day of the month.", "DAYOFMONTH(DATE '2024-02-03')", "3")
_declare("DAYOFWEEK", "DOW", "The day of the week, Sunday is 1.", "DAYOFWEEK(DATE '2024-02-03')", "7")
_declare("HOUR", "HOUR", "The hour.", "HOUR(TIMESTAMP '2024-02-03 04:05:06')", "4")
_declare("MINUTE", "MINUTE", "The minute.", "MINUTE(TIMESTAMP '2024-02-03 04:05:06')", "5")
_declare("SECOND", "SECOND", "The second.", "SECOND(TIMESTAMP '2024-02-03 04:05:06')", "6")


def cut_to_unit(c: CallContext, x: pl.Expr, unit: str, *, up: bool) -> pl.Expr:
    """FLOOR or CEIL of a moment to a unit; weeks begin on Sunday, as Flink's do."""
    type_ = c.types[0]
    wall = _wall(c, x, 0)
    if type_.kind is Kind.TIME:
        ns = _UNIT_MS[unit] * 1_000_000
        low = (x.cast(pl.Int64) // ns) * ns
        return pl.when(pl.lit(up) & (low < x.cast(pl.Int64))).then(low + ns).otherwise(low).cast(pl.Time)
    every = {
        "MILLISECOND": "1ms", "SECOND": "1s", "MINUTE": "1m", "HOUR": "1h", "DAY": "1d", "MONTH": "1mo",
        "QUARTER": "3mo",         "YEAR": "1y", "DECADE": "10y", "CENTURY": "100y", "MILLENNIUM": "1000y",
    }  # fmt: skip
    if unit == "WEEK":
        low = wall.dt.offset_by("1d").dt.truncate("1w").dt.offset_by("-1d")
        step = "1w"
    elif unit in every:
        step = every[unit]
        low = wall.dt.truncate(step)
    else:
        raise ArgumentError(f"FLOOR and CEIL have no unit {unit}")
    found = pl.when(low < wall).then(low.dt.offset_by(step)).otherwise(low) if up else low
    return to_instant(found, c.zone) if type_.kind is Kind.TIMESTAMP_LTZ else found
