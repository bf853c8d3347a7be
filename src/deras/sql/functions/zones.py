"""Moments from and to text and numbers, through patterns and the session's time zone."""

# ruff: noqa: ARG001 -- every implementation takes the same arguments

from __future__ import annotations

import datetime
import functools
import re
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import polars as pl

from deras.core import types as t
from deras.core.types import Kind, SqlType, polars_type
from deras.sql.expr.cast import to_instant
from deras.sql.expr.moments import parse_date, parse_timestamp
from deras.sql.expr.nodes import Literal
from deras.sql.functions.registry import ArgumentError, CallContext, scalar
from deras.sql.kernels import plans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.sql.expr.nodes import Expr

# Java's pattern letters in chrono's; longest first.
_LETTERS = (
    ("yyyy", "%Y"),
    ("uuuu", "%Y"),
    ("yy", "%y"),
    ("y", "%Y"),
    ("u", "%Y"),
    ("MMMM", "%B"),
    ("MMM", "%b"),
    ("MM", "%m"),
    ("M", "%-m"),
    ("dd", "%d"),
    ("d", "%-d"),
    ("HH", "%H"),
    ("H", "%-H"),
    ("hh", "%I"),
    ("h", "%-I"),
    ("mm", "%M"),
    ("m", "%-M"),
    ("ss", "%S"),
    ("s", "%-S"),
    ("SSSSSSSSS", "%9f"),
    ("SSSSSS", "%6f"),
    ("SSS", "%3f"),
    ("SS", "%2f"),
    ("S", "%1f"),
    ("EEEE", "%A"),
    ("EEE", "%a"),
    ("E", "%a"),
    ("DDD", "%j"),
    ("D", "%-j"),
    ("a", "%p"),
)


@functools.lru_cache(maxsize=256)
def chrono(pattern: str) -> str:
    """A Java date pattern (``yyyy-MM-dd HH:mm:ss``) as chrono's.

    Raises:
        ArgumentError: a letter is not supported.
    """
    out: list[str] = []
    i = 0
    while i < len(pattern):
        ch = pattern[i]
        if ch == "'":
            end = pattern.find("'", i + 1)
            if end < 0:
                raise ArgumentError(f"the pattern '{pattern}' has an open quote")
            out.append(pattern[i + 1 : end].replace("%", "%%") or "'")
            i = end + 1
            continue
        found = next(((a, b) for a, b in _LETTERS if pattern.startswith(a, i)), None)
        if found is not None:
            out.append(found[1])
            i += len(found[0])
        elif ch.isalpha():
            raise ArgumentError(
                f"letter '{ch}' of the pattern '{pattern}' is not supported yet", "Put text in quotes: ''T''."
            )
        else:
            out.append("%%" if ch == "%" else ch)
            i += 1
    return "".join(out)


@scalar(
    "DATE_FORMAT(moment, text) -> STRING",
    "DATE_FORMAT(text, text) -> STRING",
    nullable=True,
    kernel=plans.date_format,
)
def date_format(c: CallContext, x: pl.Expr, pattern: pl.Expr) -> pl.Expr:
    """A moment as text by a Java pattern; TIMESTAMP_LTZ in the session's zone.

    Example:
        >>> DATE_FORMAT(TIMESTAMP '2024-02-03 04:05:06', 'yyyy/MM/dd HH:mm')
        2024/02/03 04:05
    """
    if not c.literal[1] or c.constants[1] is None:
        raise ArgumentError("DATE_FORMAT needs a constant pattern")
    if c.types[0].is_text:
        x = x.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False)
    elif c.types[0].kind is Kind.TIMESTAMP_LTZ:
        x = x.dt.convert_time_zone(c.zone).dt.replace_time_zone(None)
    pieces = [_piece(x, p) for p in _SPECIAL.split(c.constants[1]) if p]
    return pieces[0] if len(pieces) == 1 else pl.concat_str(pieces) if pieces else x.dt.to_string("")


# Letters that chrono has not: week of the year and of the month (from Sunday, as in Java's locale US), its year,
# quarter, hours from 1 to 24 and from 0 to 11. Quoted text is no letter.
_SPECIAL = re.compile(r"((?:'[^']*'|[^'wWYQqkK])+)")
_LETTER = re.compile(r"(w+|W+|Y+|Q+|q+|k+|K+)")


def _piece(x: pl.Expr, text: str) -> pl.Expr:
    if not _LETTER.fullmatch(text[:1]):
        return x.dt.to_string(chrono(text))
    parts = [_special(x, run) for run in _LETTER.findall(text)]
    return parts[0] if len(parts) == 1 else pl.concat_str(parts)


def _special(x: pl.Expr, run: str) -> pl.Expr:
    """A run of one letter."""
    letter, width = run[0], len(run)
    hour, day = x.dt.hour().cast(pl.Int64), x.dt.day().cast(pl.Int64)
    if letter in "wY":
        # The week is that of its Saturday.
        saturday = x.dt.offset_by("0d") + pl.duration(days=6 - x.dt.weekday() % 7)
        value = (saturday.dt.ordinal_day().cast(pl.Int64) - 1) // 7 + 1 if letter == "w" else saturday.dt.year()
        if letter == "Y" and width == 2:
            value = value % 100
    elif letter == "W":
        first = x.dt.month_start().dt.weekday().cast(pl.Int64) % 7
        value = (day - 1 + first) // 7 + 1
    elif letter in "Qq":
        value = x.dt.quarter()
    elif letter == "k":
        value = (hour + 23) % 24 + 1
    else:
        value = hour % 12
    text = value.cast(pl.Int64).cast(pl.String)
    return text.str.zfill(width) if width > 1 else text


def _read(c: CallContext, x: pl.Series, pattern: str | None, dtype: Any) -> pl.Series:
    """Text to wall time; NULL where it does not fit."""
    if pattern is None:
        found = x.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
        missing = np.flatnonzero((found.is_null() & x.is_not_null()).to_numpy())
        if len(missing):
            values = [parse_timestamp(v) for v in x.gather(pl.Series(missing))]
            micros = pl.Series("", [None if v is None else v // 1000 for v in values], dtype=pl.Int64)
            found = found.to_physical().scatter(missing, micros).cast(pl.Datetime("us"))
    else:
        text = chrono(pattern)
        has_time = any(f in text for f in ("%H", "%-H", "%I", "%-I"))
        read = text.replace("%-", "%").replace(".%3f", "%.3f").replace(".%6f", "%.6f").replace(".%9f", "%.9f")
        if has_time:
            read = read if "%M" in read else f"{read}:%M"
            whole = x if "%M" in text or "%-M" in text else x + ":00"
            found = whole.str.to_datetime(read, time_unit="us", strict=False)
        else:
            found = x.str.to_date(read, strict=False).cast(pl.Datetime("us"))
    return ((found.to_physical() // 1000) * 1000).cast(dtype)


@scalar("TO_TIMESTAMP(text[, text]) -> TIMESTAMP(3)", kind="host", nullable=True)
def to_timestamp(c: CallContext, x: pl.Series, *pattern: pl.Series) -> pl.Series:
    """A TIMESTAMP(3) from text by a Java pattern (``yyyy-MM-dd HH:mm:ss`` by default); NULL where it does not fit.

    Example:
        >>> TO_TIMESTAMP('2024-02-03 04:05:06')
        2024-02-03 04:05:06.000
    """
    if pattern and not c.literal[1]:
        raise ArgumentError("TO_TIMESTAMP needs a constant pattern")
    return _read(c, x, c.constants[1] if pattern else None, polars_type(c.type))


def _ltz_type(args: Sequence[Expr]) -> SqlType:
    p = args[1].value if len(args) == 2 and isinstance(args[1], Literal) else 3
    return t.timestamp_ltz(p if isinstance(p, int) and 3 < p <= 9 else 3)


@scalar(
    "TO_TIMESTAMP_LTZ(number[, integer])",
    "TO_TIMESTAMP_LTZ(text[, text])",
    "TO_TIMESTAMP_LTZ(text, text, text)",
    kind="host",
    nullable=True,
    result=_ltz_type,
)
def to_timestamp_ltz(c: CallContext, x: pl.Series, *rest: pl.Series) -> pl.Series:
    """An instant from a number (0: seconds, 3: milliseconds …), or from text by a pattern in a zone (or UTC).

    Example:
        >>> TO_TIMESTAMP_LTZ(1000, 3)
        1970-01-01 00:00:01.000
    """
    dtype = polars_type(c.type)
    if c.types[0].is_text:
        pattern = c.constants[1] if rest else None
        wall = _read(c, x, pattern, pl.Datetime("us"))
        zone = str(c.constants[2]) if len(rest) > 1 else "UTC"
        return wall.to_frame("x").select(to_instant(pl.col("x"), zone)).to_series().cast(dtype)
    precision = rest[0].to_list() if rest else [3] * len(x)
    scale = c.types[0].scale if c.types[0].kind is Kind.DECIMAL else 0
    if not c.types[0].is_approximate and not scale and (not rest or c.literal[1]):
        p = int(c.constants[1] or 0) if rest else 3
        if not 0 <= p <= 9:
            raise ArgumentError("the precision of TO_TIMESTAMP_LTZ is 0 (seconds), 3 (milliseconds) … 9 (nanoseconds)")
        unit = 9 if c.type.nanoseconds else 6
        whole = x.cast(pl.Int64)
        scaled: pl.Series = whole * 10 ** (unit - p) if p <= unit else whole // 10 ** (p - unit)
        return scaled.cast(dtype)
    out: list[int | None] = []
    for v, p in zip(x, precision, strict=True):
        out.append(None if v is None or p not in (0, 3) else int(v / 10**scale * (1000 if p == 0 else 1)) * 1000)
    return pl.Series("", out, dtype=pl.Int64).cast(dtype)


@scalar("TO_DATE(text[, text]) -> DATE", kind="host", nullable=True)
def to_date(c: CallContext, x: pl.Series, *pattern: pl.Series) -> pl.Series:
    """A DATE from text by a Java pattern (``yyyy-MM-dd`` by default); NULL where it does not fit.

    Example:
        >>> TO_DATE('03.02.2024', 'dd.MM.yyyy')
        2024-02-03
    """
    if pattern:
        if not c.literal[1]:
            raise ArgumentError("TO_DATE needs a constant pattern")
        return _read(c, x, c.constants[1], pl.Datetime("us")).cast(pl.Date)
    return pl.Series("", [None if v is None else parse_date(v) for v in x], dtype=pl.Int32).cast(pl.Date)


@scalar("FROM_UNIXTIME(integer[, text]) -> STRING", kind="host", nullable=True)
def from_unixtime(c: CallContext, x: pl.Series, *pattern: pl.Series) -> pl.Series:
    """Seconds since 1970 as text in the session's zone.

    Example:
        >>> FROM_UNIXTIME(0)
        1970-01-01 00:00:00
    """
    if pattern and not c.literal[1]:
        raise ArgumentError("FROM_UNIXTIME needs a constant pattern")
    form = chrono(c.constants[1]) if pattern else "%Y-%m-%d %H:%M:%S"
    wall = (x.cast(pl.Int64) * 1_000_000).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(c.zone)
    return wall.dt.replace_time_zone(None).dt.to_string(form)


@scalar("UNIX_TIMESTAMP(text[, text]) -> BIGINT", kind="host")
def unix_timestamp(c: CallContext, x: pl.Series, *pattern: pl.Series) -> pl.Series:
    """Seconds since 1970 of text in the session's zone.

    Example:
        >>> UNIX_TIMESTAMP('1970-01-01 00:01:00')
        60
    """
    if pattern and not c.literal[1]:
        raise ArgumentError("UNIX_TIMESTAMP needs a constant pattern")
    wall = _read(c, x, c.constants[1] if pattern else None, pl.Datetime("us"))
    instant = wall.to_frame("x").select(to_instant(pl.col("x"), c.zone, latest=True)).to_series()
    seconds = instant.to_physical() // 1_000_000
    return seconds.fill_null(-(1 << 63)).zip_with(
        x.is_not_null(), pl.Series("", [None], dtype=pl.Int64).new_from_index(0, len(x))
    )


@functools.lru_cache(maxsize=64)
def _zone(name: str) -> datetime.tzinfo:
    """A time zone; one that there is not is UTC, as in Java."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return datetime.UTC


@scalar("CONVERT_TZ(text, text, text) -> STRING", kind="host", nullable=True)
def convert_tz(c: CallContext, x: pl.Series, source: pl.Series, target: pl.Series) -> pl.Series:
    """Wall time of one zone in another.

    Example:
        >>> CONVERT_TZ('1970-01-01 00:00:00', 'UTC', 'America/Los_Angeles')
        1969-12-31 16:00:00
    """
    out: list[str | None] = []
    for v, a, b in zip(x, source, target, strict=True):
        ns = None if v is None or a is None or b is None else parse_timestamp(v)
        if ns is None:
            out.append(None)
            continue
        wall = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=ns // 1000)
        moved = wall.replace(tzinfo=_zone(a)).astimezone(_zone(b))
        out.append(moved.strftime("%Y-%m-%d %H:%M:%S"))
    return pl.Series("", out, dtype=pl.String)
