"""Values and rows as Flink prints them (Java's ``toString`` of the external types)."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.types import Kind, SqlType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.column import Column
    from deras.core.delta import Delta


def row_texts(delta: Delta, kinds: Sequence[str]) -> list[str]:
    """``+I[1, abc]`` for each row."""
    columns = [column_texts(c) for c in delta.columns]
    if not columns:
        return [f"{k}[]" for k in kinds]
    return [f"{k}[{', '.join(values)}]" for k, values in zip(kinds, zip(*columns, strict=True), strict=True)]


def column_texts(column: Column) -> list[str]:
    """Each value of a column as text."""
    t = column.type
    if t.is_timestamp or t.kind is Kind.TIME:
        words = column.words()
        valid = column.valid()
        texts = [_moment(int(w), t) for w in words]
        return texts if valid is None else [x if ok else "null" for x, ok in zip(texts, valid, strict=True)]
    return [value_text(v, t) for v in column.values()]


def value_text(v: Any, t: SqlType) -> str:
    """One Python value of a SQL type as text."""
    if v is None:
        return "null"
    match t.kind:
        case Kind.BOOLEAN:
            return "true" if v else "false"
        case Kind.DOUBLE | Kind.FLOAT:
            return float_text(v, single=t.kind is Kind.FLOAT)
        case Kind.BINARY | Kind.VARBINARY:
            return "[" + ", ".join(str(b - 256 if b > 127 else b) for b in v) + "]"
        case Kind.TIMESTAMP | Kind.TIMESTAMP_LTZ:
            return _moment(_word(v, t), t)
        case Kind.TIME:
            ns = ((v.hour * 60 + v.minute) * 60 + v.second) * 10**9 + v.microsecond * 1000
            return _moment(ns, t)
        case Kind.INTERVAL_DAY:
            return _duration(round(v.total_seconds() * 1000))
        case Kind.INTERVAL_MONTH:
            return _period(int(v))
        case Kind.ARRAY:
            return "[" + ", ".join(value_text(x, t.children[0]) for x in v) + "]"
        case Kind.MAP | Kind.MULTISET:
            key, value = t.children[0], t.children[-1] if t.kind is Kind.MAP else SqlType(Kind.INT)
            pairs = v.items() if isinstance(v, dict) else ((e["key"], e["value"]) for e in v)
            return "{" + ", ".join(f"{value_text(a, key)}={value_text(b, value)}" for a, b in pairs) + "}"
        case Kind.ROW:
            inner = (value_text(v[n], c) for n, c in zip(t.names, t.children, strict=True))
            return f"+I[{', '.join(inner)}]"
        case _:
            return str(v)


def float_text(x: float, *, single: bool = False) -> str:
    """A DOUBLE (or FLOAT) as Java writes it: ``1.0``, ``1.0E10``, ``NaN``."""
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "Infinity" if x > 0 else "-Infinity"
    if x == 0:
        return "-0.0" if math.copysign(1, x) < 0 else "0.0"
    shortest = np.format_float_scientific(np.float32(x) if single else np.float64(x), unique=True, trim="0")
    digits, _, exponent = shortest.partition("e")
    power = int(exponent)
    if -3 <= power < 7:
        number = np.float32(x) if single else np.float64(x)
        return str(np.format_float_positional(number, unique=True, trim="0"))
    return f"{digits}E{power}"


def _word(v: dt.datetime, t: SqlType) -> int:
    zone = dt.UTC if v.tzinfo else None
    passed = v - dt.datetime(1970, 1, 1, tzinfo=zone)
    us = (passed.days * 86400 + passed.seconds) * 1_000_000 + passed.microseconds
    return us * 1000 if t.nanoseconds else us


def _moment(word: int, t: SqlType) -> str:
    """A timestamp or time of day as ``LocalDateTime``, ``Instant`` or ``LocalTime`` print it."""
    per_second = 10**9 if t.nanoseconds or t.kind is Kind.TIME else 10**6
    seconds, rest = divmod(word, per_second)
    text = str(np.datetime64(seconds, "s"))
    if t.kind is Kind.TIME:
        text = text[-8:]
    nanos = rest * (10**9 // per_second)
    fraction = ""
    if nanos:
        fraction = f".{nanos:09d}"
        while fraction.endswith("000"):
            fraction = fraction[:-3]
    if t.kind is Kind.TIMESTAMP_LTZ:
        return f"{text}{fraction}Z"
    if not fraction and text.endswith(":00"):
        text = text[:-3]
    return text + fraction


def _duration(ms: int) -> str:
    if ms == 0:
        return "PT0S"
    sign, ms = (-1 if ms < 0 else 1), abs(ms)
    seconds, ms = divmod(ms, 1000)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    text = "PT" + (f"{sign * hours}H" if hours else "") + (f"{sign * minutes}M" if minutes else "")
    if seconds or ms:
        mark = "-" if sign < 0 else ""
        part = f".{ms:03d}".rstrip("0") if ms else ""
        text += f"{mark}{seconds}{part}S"
    return text


def _period(months: int) -> str:
    years, rest = int(months / 12), math.fmod(months, 12)
    text = (f"{years}Y" if years else "") + (f"{int(rest)}M" if rest else "")
    return "P" + (text or "0D")
