"""The exact path of text formats: one parsed value to the physical value of a SQL type, slowly and rightly.

Values come as JSON has them: None, bool, :class:`Number` (the number's text), str, list, dict. Numbers may come as text
and text as numbers, as Flink's formats accept them; where Flink changes a value (1.5 for an INT, an overflow to
NULL or Infinity, any text for a BOOLEAN), it is refused: a quarantined row can be replayed, a wrong one is not found.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import math
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from deras.core.column import Column, Views
from deras.core.types import Kind, Layout, SqlType, polars_type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_EPOCH = dt.date(1970, 1, 1).toordinal()
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_TIME = re.compile(r"(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?", re.ASCII)
_ZONE = re.compile(r"Z|([+-])(\d\d):?(\d\d)", re.ASCII)
_JAVA_FLOAT = re.compile(r"[+-]?(?:NaN|Infinity|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fFdD]?)", re.ASCII)
_LIMITS = {Kind.TINYINT: 7, Kind.SMALLINT: 15, Kind.INT: 31, Kind.BIGINT: 63}


class Number(str):
    """The text of a JSON number."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Style:
    """How values are written.

    Args:
        iso: timestamps as ``2020-12-30T12:13:14.123`` and not with a space between.
        ignore_errors: a wrong value gives NULL.
        fail_on_missing: a missing field of a ROW is an error.
        plain_text_numbers: a record of text only (csv): every value comes as str.
    """

    iso: bool = False
    ignore_errors: bool = False
    fail_on_missing: bool = False


def show(value: Any) -> str:
    """A value for a message, shortened."""
    text = f"'{value}'" if isinstance(value, str) and not isinstance(value, Number) else str(value)
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, dict):
        text = "an object"
    elif isinstance(value, list):
        text = "an array"
    return text if len(text) <= 60 else text[:57] + "…'"


def _scalar_text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    raise ValueError(f"{show(value)} is no scalar value of this type")


def to_boolean(value: Any) -> int:
    """0 or 1."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and not isinstance(value, Number):
        text = value.strip().lower()
        if text in ("true", "false"):
            return int(text == "true")
    raise ValueError(f"{show(value)} is neither true nor false")


def _integer(value: Any, bits: int) -> int:
    text = _scalar_text(value)
    if re.fullmatch(r"[+-]?\d{1,400}", text, re.ASCII):
        found = int(text)
    elif isinstance(value, Number):
        try:
            exact = Decimal(text)
            if not -400 < exact.adjusted() < 400 or exact != exact.to_integral_value():
                raise ValueError(f"{show(value)} is no whole number")
        except InvalidOperation:
            raise ValueError(f"{show(value)} is no whole number") from None
        found = int(exact)
    else:
        raise ValueError(f"{show(value)} is no whole number")
    if not -(1 << bits) <= found < 1 << bits:
        raise ValueError(f"{show(value)} is out of range")
    return found


def _double(value: Any, single: bool) -> float:
    text = _scalar_text(value)
    if not _JAVA_FLOAT.fullmatch(text):
        raise ValueError(f"{show(value)} is no number")
    found = float(text.rstrip("fFdD") if text[-1] in "fFdD" else text)
    if math.isinf(found) and "Inf" not in text:
        raise ValueError(f"{show(value)} is out of range")
    if single and math.isfinite(found):
        with np.errstate(over="ignore"):
            found = float(np.float32(found))
        if math.isinf(found):
            raise ValueError(f"{show(value)} is out of range")
    return found


def _decimal(value: Any, precision: int, scale: int) -> int:
    text = _scalar_text(value)
    try:
        exact = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{show(value)} is no number") from None
    if not exact.is_finite():
        raise ValueError(f"{show(value)} is no number")
    if exact.adjusted() > 40:
        raise ValueError(f"{show(value)} is out of range")
    with localcontext() as context:
        context.prec = 100
        # The exponent range of the default context would refuse very small numbers.
        context.Emin, context.Emax = -999999999, 999999999
        if exact.adjusted() < -(scale + 2):
            return 0
        if len(exact.as_tuple().digits) > 90:
            context.prec = len(exact.as_tuple().digits) + 50
        found = int(exact.scaleb(scale).quantize(Decimal(1), ROUND_HALF_UP))
    if abs(found) >= 10**precision:
        raise ValueError(f"{show(value)} does not fit")
    return found


def to_days(value: Any) -> int:
    """Days since 1970 of ``yyyy-MM-dd``."""
    m = _DATE.fullmatch(value) if isinstance(value, str) else None
    try:
        if m and m[1] == "0000":
            return dt.date(400, int(m[2]), int(m[3])).toordinal() - 146097 - _EPOCH
        if m:
            return dt.date(int(m[1]), int(m[2]), int(m[3])).toordinal() - _EPOCH
    except ValueError:
        pass
    raise ValueError(f"{show(value)} is no date; expected yyyy-MM-dd")


def _nanos_of_day(text: str, precision: int, short: bool) -> int | None:
    m = _TIME.fullmatch(text)
    if not m or (m[3] is None and not short):
        return None
    h, mi, s = int(m[1]), int(m[2]), int(m[3] or 0)
    if h > 23 or mi > 59 or s > 59:
        return None
    nanos = int((m[4] or "").ljust(9, "0"))
    cut = int(10 ** (9 - min(precision, 9)))
    return (h * 3600 + mi * 60 + s) * 1_000_000_000 + nanos // cut * cut


def _time(value: Any, precision: int, iso: bool) -> int:
    found = _nanos_of_day(value, precision, iso) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{show(value)} is no time; expected HH:mm:ss[.fff]")
    return found


def _timestamp(value: Any, type_: SqlType, iso: bool) -> int:
    zoned = type_.kind is Kind.TIMESTAMP_LTZ
    separator = "T" if iso else " "
    shape = f"yyyy-MM-dd{separator}HH:mm:ss[.fff]{'Z' if zoned else ''}"
    wrong = ValueError(f"{show(value)} is no timestamp; expected {shape}")
    if isinstance(value, Number):
        raise ValueError(f"{show(value)} is no timestamp; declare the column as BIGINT and use TO_TIMESTAMP_LTZ")
    if not isinstance(value, str):
        raise wrong
    other = " " if iso else "T"
    if value[10:11] == other:
        hint = "SQL" if iso else "ISO-8601"
        raise ValueError(f"{wrong}, or set 'timestamp-format.standard' = '{hint}'")
    if value[10:11] != separator:
        raise wrong
    clock, offset = value[11:], 0
    zone = re.search(r"(?:Z|[+-]\d\d:?\d\d)$", clock, re.ASCII)
    if bool(zone) != zoned:
        if zone:
            raise ValueError(f"{wrong}; for a time with a zone declare TIMESTAMP_LTZ")
        raise wrong
    if zone:
        clock = clock[: zone.start()]
        m = _ZONE.fullmatch(zone[0])
        if m is None or (m[1] and (int(m[2]) > 18 or int(m[3]) > 59)):
            raise wrong
        if m[1]:
            offset = (int(m[2]) * 60 + int(m[3])) * 60 * (-1 if m[1] == "-" else 1)
    try:
        days = to_days(value[:10])
    except ValueError:
        raise wrong from None
    nanos = _nanos_of_day(clock, type_.precision, iso)
    if nanos is None:
        raise wrong
    found = (days * 86400 - offset) * 1_000_000_000 + nanos
    if not type_.nanoseconds:
        return found // 1000
    if not -(1 << 63) <= found < 1 << 63:
        raise ValueError(f"{show(value)} is out of range of TIMESTAMP({type_.precision})")
    return found


def to_text(value: Any) -> bytes:
    """Text of any value: of objects and arrays their JSON."""
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, (dict, list)):
        return json_text(value).encode()
    return str(value).encode()


def json_text(value: Any) -> str:
    """Compact JSON of a parsed value, numbers as they were written."""
    import json

    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{json_text(v)}" for k, v in value.items()) + "}"


def to_bytes(value: Any) -> bytes:
    """The bytes that base64 text stands for."""
    if isinstance(value, str) and not isinstance(value, Number):
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            pass
    raise ValueError(f"{show(value)} is no base64 text")


def converter(t: SqlType, style: Style) -> Callable[[Any], Any]:
    """The function from a parsed value (not None) of a scalar type to its word, float, scaled integer or bytes."""
    kind = t.kind
    if kind is Kind.BOOLEAN:
        return to_boolean
    if kind in _LIMITS:
        bits = _LIMITS[kind]
        return lambda v: _integer(v, bits)
    if kind is Kind.INTERVAL_DAY or kind is Kind.INTERVAL_MONTH:
        bits = 63 if kind is Kind.INTERVAL_DAY else 31
        return lambda v: _integer(v, bits)
    if t.is_approximate:
        single = kind is Kind.FLOAT
        return lambda v: _double(v, single)
    if kind is Kind.DECIMAL:
        return lambda v: _decimal(v, t.precision, t.scale)
    if t.is_text:
        return to_text
    if t.is_bytes:
        return to_bytes
    if kind is Kind.DATE:
        return to_days
    if kind is Kind.TIME:
        return lambda v: _time(v, t.precision, style.iso)
    if t.is_timestamp:
        return lambda v: _timestamp(v, t, style.iso)
    raise TypeError(f"{t} cannot be read from text")


class Nested:
    """Checks and normalises parsed values of any type, nested ones too, before :func:`build` makes a column of them."""

    def __init__(self, t: SqlType, style: Style) -> None:
        self.type = t
        self.style = style
        if t.layout is Layout.NESTED:
            self.parts = [Nested(c, style) for c in t.children]
        else:
            self.convert = converter(t, style)

    def __call__(self, value: Any, path: str = "") -> Any:
        """The physical value: scalars as :func:`converter` gives them, ROW and ARRAY a list, MAP a list of pairs."""
        if value is None:
            if not self.type.nullable:
                raise ValueError(f"{path or 'value'} is NOT NULL, but is null")
            return None
        try:
            return self._one(value, path)
        except ValueError as e:
            if self.style.ignore_errors and self.type.nullable:
                return None
            raise ValueError(f"{path}: {e}" if path and not str(e).startswith(path) else str(e)) from None

    def _one(self, value: Any, path: str) -> Any:
        kind = self.type.kind
        if self.type.layout is not Layout.NESTED:
            return self.convert(value)
        if kind is Kind.ROW:
            if not isinstance(value, dict):
                raise ValueError(f"{show(value)} is no object")
            found = []
            for name, part in zip(self.type.names, self.parts, strict=True):
                if name not in value and self.style.fail_on_missing:
                    raise ValueError(f"field '{name}' is missing")
                found.append(part(value.get(name), f"{path}.{name}" if path else name))
            return found
        if kind is Kind.ARRAY:
            if not isinstance(value, list):
                raise ValueError(f"{show(value)} is no array")
            return [self.parts[0](v, f"{path}[{i + 1}]") for i, v in enumerate(value)]
        if not isinstance(value, dict):
            raise ValueError(f"{show(value)} is no object")
        if kind is Kind.MULTISET:
            return [(self.parts[0](k, path), _integer(v, 31)) for k, v in value.items()]
        return [(self.parts[0](k, path), self.parts[1](v, f"{path}['{k}']")) for k, v in value.items()]


def views_of(texts: Sequence[bytes | None]) -> Views:
    """String views of some byte strings (None: an empty one)."""
    array = pa.array(texts, pa.binary_view())
    bufs = array.buffers()
    views = np.frombuffer(bufs[1], np.uint64).reshape(-1, 2) if len(texts) else np.zeros((0, 2), np.uint64)
    return Views(views, [np.frombuffer(b, np.uint8) for b in bufs[2:] if b is not None])


def build(t: SqlType, values: Sequence[Any]) -> Column:
    """A column of physical values as :class:`Nested` gives them."""
    n = len(values)
    valid: Any = None
    if any(v is None for v in values):
        valid = np.array([v is not None for v in values], np.uint8)
    match t.layout:
        case Layout.WORDS:
            return Column.of_words(t, np.array([v or 0 for v in values], np.int64), valid)
        case Layout.FLOATS:
            return Column.of_floats(t, np.array([v or 0.0 for v in values], np.float64), valid)
        case Layout.LIMBS:
            raw = b"".join((v or 0).to_bytes(16, "little", signed=True) for v in values)
            return Column.of_limbs(t, np.frombuffer(raw, np.int64).reshape(-1, 2), valid)
        case Layout.VIEWS:
            return Column.of_views(t, views_of(values), valid)
        case _:
            pass
    if t.kind is Kind.ROW:
        fields = [build(c, [None if v is None else v[i] for v in values]).series() for i, c in enumerate(t.children)]
        frame = pl.DataFrame([s.alias(name) for s, name in zip(fields, t.names, strict=True)])
        series = frame.to_struct("")
        if valid is not None:
            series = pl.select(pl.when(pl.Series(valid.astype(bool))).then(pl.lit(series))).to_series().alias("")
        return Column.of_series(t, series.cast(polars_type(t)))
    flat: list[Any] = []
    offsets = np.zeros(n + 1, np.int64)
    for i, v in enumerate(values):
        flat.extend(v or ())
        offsets[i + 1] = len(flat)
    if t.kind is Kind.ARRAY:
        inner = build(t.children[0], flat).series()
    else:
        from deras.core.types import INT

        second = INT if t.kind is Kind.MULTISET else t.children[1]
        keys = build(t.children[0], [k for k, _ in flat]).series().alias("key")
        inner = pl.DataFrame([keys, build(second, [x for _, x in flat]).series().alias("value")]).to_struct("")
    mask = None if valid is None else pa.array(valid == 0)
    lists = pa.LargeListArray.from_arrays(
        pa.array(offsets), inner.to_arrow(compat_level=pl.CompatLevel.newest()), mask=mask
    )
    return Column.of_series(t, pl.Series("", lists).cast(polars_type(t)))
