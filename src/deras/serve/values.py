"""Arrow columns as JSON values and CSV text, with no loss that a reader could not see.

JSON: DECIMAL as a string, times in ISO 8601, bytes in base64, intervals as ISO 8601 durations, NaN and infinities as
strings: ``"NaN"``, ``"Infinity"``, ``"-Infinity"``, maps as objects. Page columns: instants as ms since 1970, numbers
as numbers, because a chart can draw nothing else.
"""

from __future__ import annotations

import base64
import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from deras.core.types import Kind, SqlType

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_FLOATS = {math.inf: "Infinity", -math.inf: "-Infinity"}
_INTEGERS = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_string, pa.types.is_large_string)


def _cut(texts: Iterable[str | None], digits: int) -> list[str | None]:
    """Second fractions of ISO texts cut to ``digits`` (the trailing ``Z`` kept)."""
    out: list[str | None] = []
    for t in texts:
        if t is None:
            out.append(None)
            continue
        zone = "Z" if t.endswith("Z") else ""
        body = t.removesuffix("Z")
        head, _, fraction = body.partition(".")
        out.append((f"{head}.{fraction[:digits]}" if digits and fraction else head) + zone)
    return out


def _duration(ms: int) -> str:
    sign, ms = ("-", -ms) if ms < 0 else ("", ms)
    seconds, rest = divmod(ms, 1000)
    return f"{sign}PT{seconds}.{rest:03d}S" if rest else f"{sign}PT{seconds}S"


def _float(v: float | None) -> Any:
    if v is None or math.isfinite(v):
        return v
    return "NaN" if v != v else _FLOATS[v]


def _nested(v: Any, t: SqlType | None) -> Any:
    """One value out of ``to_pylist`` as JSON."""
    if v is None or isinstance(v, (str, bool, int)):
        return v
    if isinstance(v, float):
        return _float(v)
    if isinstance(v, Decimal):
        return format(v, "f")
    if isinstance(v, (bytes, bytearray)):
        return base64.b64encode(v).decode()
    if isinstance(v, datetime):
        return v.isoformat().replace("+00:00", "Z")
    if isinstance(v, (date, time)):
        return v.isoformat()
    if isinstance(v, timedelta):
        return _duration(v // timedelta(milliseconds=1))
    children = t.children if t is not None else ()
    if isinstance(v, dict):
        inner = dict(zip(t.names, children, strict=True)) if t is not None and t.kind is Kind.ROW else {}
        return {str(k): _nested(x, inner.get(k)) for k, x in v.items()}
    if isinstance(v, (list, tuple)):
        if t is not None and t.kind in (Kind.MAP, Kind.MULTISET):
            pairs = [(x["key"], x["value"]) if isinstance(x, dict) else x for x in v]
            last = children[1] if len(children) > 1 else None
            return {_key(k): _nested(x, last) for k, x in pairs}
        element = children[0] if children else None
        return [_nested(x, element) for x in v]
    return str(v)


def _key(k: Any) -> str:
    found = _nested(k, None)
    return found if isinstance(found, str) else "null" if found is None else str(found)


def json_column(array: Any, sql_type: SqlType | None = None) -> list[Any]:
    """The values of an Arrow array as JSON values; ``sql_type`` gives time precision and tells maps."""
    t = array.type
    if any(test(t) for test in _INTEGERS) or pa.types.is_string_view(t):
        return array.to_pylist()  # type: ignore[no-any-return]
    if pa.types.is_floating(t):
        values = array.to_pylist()
        finite = pc.all(pc.is_finite(array)).as_py()
        return values if finite is not False else [_float(v) for v in values]
    if pa.types.is_timestamp(t):
        digits = sql_type.precision if sql_type is not None else {"s": 0, "ms": 3, "us": 6, "ns": 9}[t.unit]
        if t.tz is not None and t.tz != "UTC":
            array = array.cast(pa.timestamp(t.unit, "UTC"))
        texts = array.cast(pa.string()).to_pylist()
        return _cut((x.replace(" ", "T") if x else x for x in texts), digits)
    if pa.types.is_time(t):
        digits = sql_type.precision if sql_type is not None else {"s": 0, "ms": 3, "us": 6, "ns": 9}[t.unit]
        return _cut(array.cast(pa.string()).to_pylist(), digits)
    if pa.types.is_date(t):
        return array.cast(pa.string()).to_pylist()  # type: ignore[no-any-return]
    if pa.types.is_decimal(t):
        return [None if v is None else format(v, "f") for v in array.to_pylist()]
    return [_nested(v, sql_type) for v in array.to_pylist()]


def page_column(array: Any, sql_type: SqlType | None = None) -> list[Any]:
    """Values for the page: times of day and calendar in ms since 1970, decimals and floats as numbers (NaN as null)."""
    t = array.type
    if pa.types.is_timestamp(t):
        return [None if v is None else v / 1000 for v in _us(array)]
    if pa.types.is_decimal(t):
        return array.cast(pa.float64()).to_pylist()  # type: ignore[no-any-return]
    if pa.types.is_floating(t):
        return [v if v is not None and math.isfinite(v) else None for v in array.to_pylist()]
    return json_column(array, sql_type)


def _us(array: Any) -> list[int | None]:
    unit = array.type.unit
    if unit == "ns":
        return [None if v is None else v // 1000 for v in array.cast(pa.int64()).to_pylist()]
    scale = {"s": 1_000_000, "ms": 1000, "us": 1}[unit]
    return [None if v is None else v * scale for v in array.cast(pa.int64()).to_pylist()]


def page_kind(t: Any) -> str:
    """How the page treats a column: instant, local (wall time), number, integer, flag, text, json."""
    if pa.types.is_timestamp(t):
        return "instant" if t.tz is not None else "local"
    if pa.types.is_boolean(t):
        return "flag"
    if pa.types.is_integer(t):
        return "integer"
    if pa.types.is_floating(t) or pa.types.is_decimal(t):
        return "number"
    return "json" if pa.types.is_nested(t) else "text"


def sql_type_text(t: Any) -> str:
    """The SQL name of an Arrow type, for results whose SQL type nobody declared."""
    if pa.types.is_timestamp(t):
        digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[t.unit]
        return f"TIMESTAMP_LTZ({digits})" if t.tz is not None else f"TIMESTAMP({digits})"
    if pa.types.is_decimal(t):
        return f"DECIMAL({t.precision}, {t.scale})"
    if pa.types.is_list(t) or pa.types.is_large_list(t):
        return f"ARRAY<{sql_type_text(t.value_type)}>"
    if pa.types.is_map(t):
        return f"MAP<{sql_type_text(t.key_type)}, {sql_type_text(t.item_type)}>"
    if pa.types.is_struct(t):
        inner = ", ".join(f"`{t.field(i).name}` {sql_type_text(t.field(i).type)}" for i in range(t.num_fields))
        return f"ROW<{inner}>"
    names = {
        "bool": "BOOLEAN", "int8": "TINYINT", "int16": "SMALLINT", "int32": "INT", "int64": "BIGINT",
        "uint8": "SMALLINT", "uint16": "INT", "uint32": "BIGINT", "uint64": "DECIMAL(20, 0)",
        "float": "FLOAT", "double": "DOUBLE", "string": "STRING", "large_string": "STRING", "string_view": "STRING",
        "binary": "BYTES", "large_binary": "BYTES", "binary_view": "BYTES", "date32[day]": "DATE", "null": "NULL",
        "time64[ns]": "TIME(9)", "time64[us]": "TIME(6)", "time32[ms]": "TIME(3)", "time32[s]": "TIME(0)",
    }  # fmt: skip
    return names.get(str(t), str(t).upper())


def plain(table: pa.Table) -> pa.Table:
    """The table with text and bytes in the layouts that every Arrow reader knows (no views)."""
    schema = []
    for f in table.schema:
        if pa.types.is_string_view(f.type):
            f = f.with_type(pa.string())
        elif pa.types.is_binary_view(f.type):
            f = f.with_type(pa.binary())
        schema.append(f)
    target = pa.schema(schema)
    return table if target.equals(table.schema) else table.cast(target)


def _csv_cell(v: Any) -> str:
    if v is None:
        return ""
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, (list, dict)):
        import orjson

        v = orjson.dumps(v).decode()
    text = str(v)
    if text == "" or any(c in text for c in ',"\r\n') or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text


def csv_text(names: Sequence[str], columns: Sequence[Sequence[Any]], rows: int) -> str:
    """RFC 4180 with a header; NULL is nothing, the empty string is ``""`` (as PostgreSQL writes them)."""
    lines = [",".join(_csv_cell(n) for n in names)]
    lines += [",".join(_csv_cell(c[i]) for c in columns) for i in range(rows)]
    return "\r\n".join(lines) + "\r\n"
