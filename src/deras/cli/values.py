"""Values of SQL as text for a terminal and CSV, and as JSON, told by their SQL type."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from deras.core.types import Kind

if TYPE_CHECKING:
    from deras.core.types import SqlType


def moment(v: dt.datetime, t: SqlType, zone: dt.tzinfo | None) -> str:
    """A timestamp with as many digits as its type has; instants in the session's zone."""
    if v.tzinfo is not None:
        v = v.astimezone(zone) if zone is not None else v
        v = v.replace(tzinfo=None)
    text = v.isoformat(" ", "seconds")
    digits = t.precision
    return text + (f".{v.microsecond:06d}".ljust(digits + 1, "0")[: digits + 1] if digits else "")


def clock_time(v: dt.time, t: SqlType) -> str:
    """A time of day with as many digits as its type has."""
    text = v.isoformat("seconds")
    return text + (f".{v.microsecond:06d}".ljust(t.precision + 1, "0")[: t.precision + 1] if t.precision else "")


def float_text(v: float, single: bool = False) -> str:
    """A DOUBLE or FLOAT, shortest form that reads back as the same."""
    if math.isnan(v):
        return "NaN"
    if math.isinf(v):
        return "Infinity" if v > 0 else "-Infinity"
    if single:
        import numpy as np

        return str(np.float32(v))
    return repr(v)


def interval(v: Any, t: SqlType) -> str:
    """``+1-02`` (years, months) or ``+1 02:03:04.000`` (days and time), as Flink shows them."""
    if t.kind is Kind.INTERVAL_MONTH:
        months = int(v)
        years, rest = divmod(abs(months), 12)
        return f"{'-' if months < 0 else '+'}{years}-{rest:02d}"
    ms = round(v.total_seconds() * 1000) if isinstance(v, dt.timedelta) else int(v)
    sign, ms = ("-", -ms) if ms < 0 else ("+", ms)
    seconds, ms = divmod(ms, 1000)
    days, seconds = divmod(seconds, 86_400)
    return f"{sign}{days} {seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{ms:03d}"


def text_of(v: Any, t: SqlType, zone: dt.tzinfo | None = None, null: str = "NULL") -> str:
    """A value as one line of text."""
    if v is None:
        return null
    match t.kind:
        case Kind.BOOLEAN:
            return "TRUE" if v else "FALSE"
        case Kind.DOUBLE:
            return float_text(v)
        case Kind.FLOAT:
            return float_text(v, single=True)
        case Kind.DECIMAL:
            return format(v, "f") if isinstance(v, Decimal) else str(v)
        case Kind.BINARY | Kind.VARBINARY:
            return f"x'{bytes(v).hex()}'"
        case Kind.TIMESTAMP | Kind.TIMESTAMP_LTZ:
            return moment(v, t, zone) if isinstance(v, dt.datetime) else str(v)
        case Kind.TIME:
            return clock_time(v, t) if isinstance(v, dt.time) else str(v)
        case Kind.INTERVAL_DAY | Kind.INTERVAL_MONTH:
            return interval(v, t)
        case Kind.ARRAY:
            return "[" + ", ".join(text_of(x, t.children[0], zone) for x in v) + "]"
        case Kind.MAP | Kind.MULTISET:
            pairs = ((text_of(k, t.children[0], zone), _of_map(x, t, zone)) for k, x in v.items())
            return "{" + ", ".join(f"{k}={x}" for k, x in pairs) + "}"
        case Kind.ROW:
            return "(" + ", ".join(text_of(v[n], c, zone) for n, c in zip(t.names, t.children, strict=True)) + ")"
        case _:
            return str(v)


def _of_map(v: Any, t: SqlType, zone: dt.tzinfo | None) -> str:
    return text_of(v, t.children[1], zone) if t.kind is Kind.MAP else str(v)


def json_of(v: Any, t: SqlType) -> Any:
    """A value as JSON: DECIMAL as text, times in ISO 8601 (instants in UTC), bytes in base64, NaN as text."""
    if v is None or isinstance(v, (bool, str)):
        return v
    if isinstance(v, float):
        return v if math.isfinite(v) else float_text(v)
    if isinstance(v, Decimal):
        return format(v, "f")
    if isinstance(v, (bytes, bytearray)):
        import base64

        return base64.b64encode(v).decode()
    if isinstance(v, dt.datetime):
        return moment(v, t, dt.UTC).replace(" ", "T") + ("Z" if v.tzinfo is not None else "")
    if isinstance(v, dt.time):
        return clock_time(v, t)
    if isinstance(v, dt.date):
        return v.isoformat()
    if t.is_interval:
        return interval(v, t)
    match t.kind:
        case Kind.ARRAY:
            return [json_of(x, t.children[0]) for x in v]
        case Kind.MAP:
            return {_key(k, t.children[0]): json_of(x, t.children[1]) for k, x in v.items()}
        case Kind.MULTISET:
            return {_key(k, t.children[0]): int(x) for k, x in v.items()}
        case Kind.ROW:
            return {n: json_of(v[n], c) for n, c in zip(t.names, t.children, strict=True)}
        case _:
            return v


def _key(v: Any, t: SqlType) -> str:
    found = json_of(v, t)
    return found if isinstance(found, str) else "null" if found is None else str(found)


def is_number(t: SqlType) -> bool:
    """Whether a column is set flush right."""
    return t.is_numeric


def clean(text: str) -> str:
    """Text that cannot change the terminal: control characters are written out, as in Python."""
    if text.isprintable():
        return text
    names = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return "".join(
        c if c.isprintable() else names.get(c) or (f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{ord(c):04x}")
        for c in text
    )
