"""The type rules of Flink SQL: types as written, common types, allowed casts, results of DECIMAL arithmetic."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from deras.core.errors import BindError
from deras.core.types import (
    BIGINT,
    BOOLEAN,
    BYTES,
    DATE,
    DOUBLE,
    FLOAT,
    INT,
    INTERVAL_DAY,
    INTERVAL_MONTH,
    MAX_LENGTH,
    NULL,
    SMALLINT,
    STRING,
    TINYINT,
    Kind,
    SqlType,
    decimal,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.sql.syntax.ast import DataType

_SIMPLE = {
    "BOOLEAN": BOOLEAN, "TINYINT": TINYINT, "SMALLINT": SMALLINT, "INT": INT, "INTEGER": INT, "BIGINT": BIGINT,
    "FLOAT": FLOAT, "DOUBLE": DOUBLE, "DOUBLE PRECISION": DOUBLE, "STRING": STRING, "BYTES": BYTES, "DATE": DATE,
    "NULL": NULL,
}  # fmt: skip
_LENGTHS = {"CHAR": Kind.CHAR, "VARCHAR": Kind.VARCHAR, "BINARY": Kind.BINARY, "VARBINARY": Kind.VARBINARY}
_TIMES = {
    "TIME": (Kind.TIME, 0), "TIMESTAMP": (Kind.TIMESTAMP, 6), "TIMESTAMP_LTZ": (Kind.TIMESTAMP_LTZ, 6),
    "TIME WITHOUT TIME ZONE": (Kind.TIME, 0), "TIMESTAMP WITHOUT TIME ZONE": (Kind.TIMESTAMP, 6),
    "TIMESTAMP WITH LOCAL TIME ZONE": (Kind.TIMESTAMP_LTZ, 6),
}  # fmt: skip
_DIGITS = {Kind.TINYINT: 3, Kind.SMALLINT: 5, Kind.INT: 10, Kind.BIGINT: 19}


def sql_type(t: DataType) -> SqlType:
    """The type of its syntax; ``BindError`` where Flink has no such type."""
    return _sql_type(t).with_nullable(t.nullable is not False)


def _sql_type(t: DataType) -> SqlType:
    name = t.name.upper()
    if name in _SIMPLE:
        return _SIMPLE[name]
    if name in _LENGTHS:
        length = t.args[0] if t.args else MAX_LENGTH if name.startswith("VAR") else 1
        if not 1 <= length <= MAX_LENGTH:
            raise BindError(f"the length of {name} must be between 1 and {MAX_LENGTH}", span=t.span)
        return SqlType(_LENGTHS[name], length)
    if name in ("DECIMAL", "DEC", "NUMERIC"):
        precision, scale = (*t.args, 10, 0)[:2] if not t.args else (t.args[0], t.args[1] if len(t.args) > 1 else 0)
        if precision > 38 and scale <= 38:
            precision = 38  # as Flink does, silently
        if not 1 <= precision <= 38 or not 0 <= scale <= precision:
            raise BindError(
                f"DECIMAL({precision}, {scale}) needs 1 <= precision <= 38 and scale <= precision", span=t.span
            )
        return decimal(precision, scale)
    if name in _TIMES:
        kind, default = _TIMES[name]
        precision = t.args[0] if t.args else default
        if not 0 <= precision <= 9:
            raise BindError(f"the precision of {name} must be between 0 and 9", span=t.span)
        return SqlType(kind, precision)
    if name == "INTERVAL":
        unit = (t.unit or "").upper()
        return INTERVAL_MONTH if unit.startswith(("YEAR", "MONTH")) else INTERVAL_DAY
    if name in ("ARRAY", "MULTISET", "MAP"):
        return SqlType(Kind[name], children=tuple(sql_type(e) for e in t.elements))
    if name == "ROW":
        names = tuple(f.name.name for f in t.fields)
        return SqlType(Kind.ROW, children=tuple(sql_type(f.type) for f in t.fields), names=names)
    hint = (
        "VARIANT, RAW and structured types are not supported yet." if name in ("VARIANT", "RAW", "STRUCTURED") else ""
    )
    if name == "TIMESTAMP WITH TIME ZONE":
        hint = "Flink has no such columns; use TIMESTAMP_LTZ."
    raise BindError(f"there is no type {t.name}", span=t.span, hint=hint)


@functools.lru_cache(maxsize=512)
def parse_type(text: str) -> SqlType:
    """The type of a text such as ``'DECIMAL(10, 2)'``.

    Raises:
        SqlSyntaxError: it is no type.
    """
    from deras.sql.syntax.ast import Cast
    from deras.sql.syntax.parser import parse_expression

    e = parse_expression(f"CAST(NULL AS {text})")
    assert isinstance(e, Cast)  # noqa: S101 (for the type checker)
    return sql_type(e.type)


def as_decimal(t: SqlType) -> SqlType:
    """An exact numeric as DECIMAL: BIGINT is DECIMAL(19, 0)."""
    return t if t.kind is Kind.DECIMAL else decimal(_DIGITS[t.kind], 0).with_nullable(t.nullable)


def _adjust(precision: int, scale: int) -> SqlType:
    # The integer part is kept at the cost of the scale, which keeps at least six digits (as SQL Server and Hive do).
    if precision <= 38:
        return decimal(precision, scale)
    return decimal(38, max(38 - (precision - scale), min(scale, 6)))


def decimal_result(op: str, a: SqlType, b: SqlType) -> SqlType:
    """The type of ``a op b`` for exact numbers of which one is DECIMAL (Flink's LogicalTypeMerging)."""
    a, b = as_decimal(a), as_decimal(b)
    p1, s1, p2, s2 = a.precision, a.scale, b.precision, b.scale
    if op in "+-":
        s = max(s1, s2)
        return _adjust(max(p1 - s1, p2 - s2) + s + 1, s)
    if op == "*":
        return _adjust(p1 + p2 + 1, s1 + s2)
    if op == "/":
        s = max(6, s1 + p2 + 1)
        return _adjust(p1 - s1 + s2 + s, s)
    s = max(s1, s2)
    return _adjust(min(p1 - s1, p2 - s2) + s, s)


def round_result(t: SqlType, digits: int) -> SqlType:
    """The type of ROUND(DECIMAL, digits)."""
    if digits >= t.scale:
        return t
    if digits < 0:
        return decimal(min(38, 1 + t.precision - t.scale), 0).with_nullable(t.nullable)
    return decimal(1 + t.precision - t.scale + digits, digits).with_nullable(t.nullable)


def sum_type(t: SqlType) -> SqlType:
    """The type of SUM."""
    return decimal(38, t.scale) if t.kind is Kind.DECIMAL else t.with_nullable(True)


def avg_type(t: SqlType) -> SqlType:
    """The type of AVG: the input's, DECIMAL(38, max(6, s)) for DECIMAL."""
    return decimal(38, max(6, t.scale)) if t.kind is Kind.DECIMAL else t.with_nullable(True)


def common_type(types: Sequence[SqlType]) -> SqlType | None:
    """The least type that all values fit in (CASE, COALESCE, IN, UNION, comparisons), or None."""
    found: SqlType | None = None
    for t in types:
        if t.kind is Kind.NULL:
            continue
        found = t if found is None else _common2(found, t)
        if found is None:
            return None
    return (found or NULL).with_nullable(any(t.nullable for t in types))


def _common2(a: SqlType, b: SqlType) -> SqlType | None:
    if a.same(b):
        return a
    if a.is_integer and b.is_integer:
        return a if a.bits >= b.bits else b
    if a.is_exact and b.is_exact:
        x, y = as_decimal(a), as_decimal(b)
        s = max(x.scale, y.scale)
        return decimal(min(38, max(x.precision - x.scale, y.precision - y.scale) + s), s)
    if a.is_numeric and b.is_numeric:
        if Kind.DOUBLE in (a.kind, b.kind) or Kind.DECIMAL in (a.kind, b.kind):
            return DOUBLE
        return FLOAT
    if (a.is_text and b.is_text) or (a.is_bytes and b.is_bytes):
        fixed, variable = (Kind.CHAR, Kind.VARCHAR) if a.is_text else (Kind.BINARY, Kind.VARBINARY)
        length = max(a.precision, b.precision)
        return SqlType(fixed if a.kind is b.kind is fixed and a.precision == b.precision else variable, length)
    if a.kind is b.kind and a.kind in (Kind.TIME, Kind.TIMESTAMP, Kind.TIMESTAMP_LTZ):
        return a if a.precision >= b.precision else b
    if a.is_timestamp and b.is_timestamp:
        return SqlType(Kind.TIMESTAMP_LTZ, max(a.precision, b.precision))
    if {a.kind, b.kind} <= {Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMP_LTZ}:
        return a if a.is_timestamp else b
    if a.kind is b.kind and a.kind in (Kind.ARRAY, Kind.MULTISET, Kind.MAP, Kind.ROW):
        if len(a.children) != len(b.children):
            return None
        children = [common_type([x, y]) for x, y in zip(a.children, b.children, strict=True)]
        if any(c is None for c in children):
            return None
        return SqlType(a.kind, children=tuple(c for c in children if c is not None), names=a.names)
    return None


def implicit(source: SqlType, target: SqlType) -> bool:
    """Whether a value is cast without being asked (INSERT, function arguments)."""
    s, t = source.kind, target.kind
    if s is Kind.NULL or source.same(target):
        return True
    if s in (Kind.ARRAY, Kind.MULTISET, Kind.MAP, Kind.ROW):
        return (
            s is t
            and len(source.children) == len(target.children)
            and all(map(implicit, source.children, target.children))
        )
    if source.is_text and target.is_text:
        return True
    if source.is_bytes and target.is_bytes:
        return True
    if target.is_integer:
        return source.is_integer and source.bits <= target.bits
    if t in (Kind.DECIMAL, Kind.DOUBLE):
        return source.is_numeric
    if t is Kind.FLOAT:
        return source.is_numeric and s is not Kind.DOUBLE
    if t is Kind.DATE:
        return s in (Kind.DATE, Kind.TIMESTAMP)
    if t is Kind.TIME:
        return s in (Kind.TIME, Kind.TIMESTAMP)
    if t in (Kind.TIMESTAMP, Kind.TIMESTAMP_LTZ):
        return s in (Kind.TIMESTAMP, Kind.TIMESTAMP_LTZ)
    return s is t


def castable(source: SqlType, target: SqlType) -> bool:
    """Whether CAST(source AS target) exists."""
    s, t = source.kind, target.kind
    if implicit(source, target):
        return True
    if target.is_text:
        return True
    if source.is_text:
        return t not in (Kind.ARRAY, Kind.MULTISET, Kind.MAP, Kind.ROW, Kind.INTERVAL_DAY, Kind.INTERVAL_MONTH)
    if target.is_numeric:
        return source.is_numeric or s is Kind.BOOLEAN
    if t is Kind.BOOLEAN:
        return source.is_numeric
    if t is Kind.DATE:
        return source.is_timestamp
    if t is Kind.TIME:
        return source.is_timestamp
    if target.is_timestamp:
        return s in (Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMP_LTZ, Kind.TIME)
    if s is t and s in (Kind.ARRAY, Kind.MULTISET, Kind.MAP, Kind.ROW):
        return len(source.children) == len(target.children) and all(map(castable, source.children, target.children))
    return False
