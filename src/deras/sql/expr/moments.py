"""Dates and times from text, as Flink reads them: fast for the usual form, leniently row by row for the rest."""

from __future__ import annotations

import calendar
import re
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from deras.core.types import Kind, SqlType, polars_type
from deras.sql.expr.cast import to_instant

if TYPE_CHECKING:
    from deras.sql.functions.registry import CallContext

_DATE = re.compile(r"(\d{1,4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")
_TIME = re.compile(r"(\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?)?)?")
_EPOCH = 719_163  # date.toordinal of 1970-01-01


def days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar."""
    import datetime

    return datetime.date(year, month, day).toordinal() - _EPOCH


def parse_date(text: str) -> int | None:
    """Days of ``yyyy[-[m]m[-[d]d]]``, or None; a time after it is left out."""
    m = _DATE.fullmatch(text.strip().partition(" ")[0])
    if m is None:
        return None
    year, month, day = int(m[1]), int(m[2] or 1), int(m[3] or 1)
    if not 1 <= year <= 9999 or not 1 <= month <= 12 or not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    return days(year, month, day)


def parse_time(text: str) -> int | None:
    """Nanoseconds of day of ``[h]h[:mm[:ss[.fff]]]``, or None."""
    m = _TIME.fullmatch(text.strip())
    if m is None:
        return None
    hour, minute, second = int(m[1]), int(m[2] or 0), int(m[3] or 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    return (hour * 3600 + minute * 60 + second) * 1_000_000_000 + int((m[4] or "0").ljust(9, "0"))


def parse_timestamp(text: str) -> int | None:
    """Nanoseconds since 1970 of ``yyyy-mm-dd[ hh:mm[:ss[.fff]]]``, or None. A day past its month is the last."""
    text = text.strip()
    day_text, _, time_text = text.partition(" ")
    m = _DATE.fullmatch(day_text)
    if m is None or m[3] is None:
        return None
    year, month, day = int(m[1]), int(m[2]), int(m[3])
    if not 1 <= year <= 9999 or not 1 <= month <= 12 or not 1 <= day <= 31:
        return None
    day = min(day, calendar.monthrange(year, month)[1])
    ns = parse_time(time_text) if time_text.strip() else 0
    if ns is None:
        return None
    return days(year, month, day) * 86_400_000_000_000 + ns


def read_moments(c: CallContext, x: pl.Series) -> tuple[pl.Series, npt.NDArray[np.bool_] | None]:
    """CAST of text to DATE, TIME, TIMESTAMP or TIMESTAMP_LTZ, with the rows that are none."""
    t = c.type
    wall = SqlType(Kind.TIMESTAMP, t.precision) if t.kind is Kind.TIMESTAMP_LTZ else t
    dtype = polars_type(wall)
    trimmed = x.str.strip_chars()
    if wall.kind is Kind.TIMESTAMP:
        usual = trimmed.str.contains(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,9})?$")
        found = trimmed.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit=dtype.time_unit, strict=False)
        found = found.zip_with(
            usual.fill_null(value=False), pl.Series("", [None], dtype=dtype).new_from_index(0, len(x))
        )
    elif wall.kind is Kind.DATE:
        found = trimmed.str.to_date("%Y-%m-%d", strict=False)
    else:
        found = trimmed.str.to_time("%H:%M:%S%.f", strict=False)
    missing = np.flatnonzero((found.is_null() & x.is_not_null()).to_numpy())
    failed: npt.NDArray[np.bool_] | None = None
    if len(missing):
        texts = x.gather(pl.Series(missing)).to_list()
        read = {Kind.DATE: parse_date, Kind.TIME: parse_time}.get(wall.kind, parse_timestamp)
        values = [read(v) for v in texts]
        failed = np.zeros(len(x), np.bool_)
        failed[missing] = [v is None for v in values]
        scale = 1000 if wall.kind is Kind.TIMESTAMP and not wall.nanoseconds else 1
        numbers = [None if v is None else v // scale for v in values]
        whole = found.to_physical().cast(pl.Int64).scatter(missing, pl.Series("", numbers, dtype=pl.Int64))
        found = (whole.cast(pl.Int32) if wall.kind is Kind.DATE else whole).cast(dtype)
        if not failed.any():
            failed = None
    if wall.is_timestamp and wall.precision not in (6, 9):
        step = 10 ** ((9 if wall.nanoseconds else 6) - wall.precision)
        found = ((found.to_physical() // step) * step).cast(dtype)
    if t.kind is Kind.TIMESTAMP_LTZ:
        found = found.to_frame("x").select(to_instant(pl.col("x"), c.zone)).to_series()
    return found, failed
