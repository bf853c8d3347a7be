"""SQL types: one table for SQL, Polars, Arrow and PostgreSQL.

Nothing third-party is imported here; ``polars_type`` and ``arrow_type`` import when called.

Physical layouts (see :mod:`deras.core.column`):

========  =====================================================================================================
layout    SQL types, unit of the word
========  =====================================================================================================
words     BOOLEAN (0/1), integers, DATE (days), TIME (ns of day), TIMESTAMP and TIMESTAMP_LTZ (µs; ns for p > 6),
          DECIMAL p <= 18 (scaled), INTERVAL (months; ms)
floats    FLOAT, DOUBLE
limbs     DECIMAL p > 18: low and high 64 bits of the scaled two's complement integer
views     CHAR, VARCHAR, BINARY, VARBINARY: 16-byte Arrow views
nested    ARRAY, MAP, MULTISET, ROW: a Polars series (List, List of Struct(key, value), Struct)
========  =====================================================================================================
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


class Kind(enum.Enum):
    """The families of SQL types; the value is Flink's name."""

    BOOLEAN = "BOOLEAN"
    TINYINT = "TINYINT"
    SMALLINT = "SMALLINT"
    INT = "INT"
    BIGINT = "BIGINT"
    FLOAT = "FLOAT"
    DOUBLE = "DOUBLE"
    DECIMAL = "DECIMAL"
    CHAR = "CHAR"
    VARCHAR = "VARCHAR"
    BINARY = "BINARY"
    VARBINARY = "VARBINARY"
    DATE = "DATE"
    TIME = "TIME"
    TIMESTAMP = "TIMESTAMP"
    TIMESTAMP_LTZ = "TIMESTAMP_LTZ"
    INTERVAL_MONTH = "INTERVAL YEAR TO MONTH"
    INTERVAL_DAY = "INTERVAL DAY TO SECOND"
    ARRAY = "ARRAY"
    MULTISET = "MULTISET"
    MAP = "MAP"
    ROW = "ROW"
    NULL = "NULL"


class Layout(enum.Enum):
    """How values lie in memory."""

    WORDS = "words"
    FLOATS = "floats"
    LIMBS = "limbs"
    VIEWS = "views"
    NESTED = "nested"


MAX_LENGTH = 2147483647  # STRING is VARCHAR of this length, BYTES is VARBINARY of it

_INTEGERS = {Kind.TINYINT: 8, Kind.SMALLINT: 16, Kind.INT: 32, Kind.BIGINT: 64}
_NESTED = frozenset({Kind.ARRAY, Kind.MULTISET, Kind.MAP, Kind.ROW})
_VIEWS = frozenset({Kind.CHAR, Kind.VARCHAR, Kind.BINARY, Kind.VARBINARY})

# kind -> (Polars name, Arrow name, PostgreSQL oid) of the types without parameters
_TABLE: dict[Kind, tuple[str, str, int]] = {
    Kind.BOOLEAN: ("Boolean", "bool_", 16),
    Kind.TINYINT: ("Int8", "int8", 21),
    Kind.SMALLINT: ("Int16", "int16", 21),
    Kind.INT: ("Int32", "int32", 23),
    Kind.BIGINT: ("Int64", "int64", 20),
    Kind.FLOAT: ("Float32", "float32", 700),
    Kind.DOUBLE: ("Float64", "float64", 701),
    Kind.CHAR: ("String", "string_view", 1042),
    Kind.VARCHAR: ("String", "string_view", 1043),
    Kind.BINARY: ("Binary", "binary_view", 17),
    Kind.VARBINARY: ("Binary", "binary_view", 17),
    Kind.DATE: ("Date", "date32", 1082),
    Kind.INTERVAL_MONTH: ("Int32", "int32", 1186),
    Kind.NULL: ("Null", "null", 25),
}
_OTHER_OIDS = {
    Kind.DECIMAL: 1700,
    Kind.TIME: 1083,
    Kind.TIMESTAMP: 1114,
    Kind.TIMESTAMP_LTZ: 1184,
    Kind.INTERVAL_DAY: 1186,
    Kind.ROW: 3802,  # jsonb
    Kind.MAP: 3802,
    Kind.MULTISET: 3802,
    Kind.ARRAY: 3802,
}


@dataclass(frozen=True, slots=True)
class SqlType:
    """A SQL type, as Flink names it.

    Args:
        kind: the family.
        precision: DECIMAL, TIME and TIMESTAMP precision, or the length of CHAR, VARCHAR, BINARY, VARBINARY.
        scale: of DECIMAL.
        children: (element,) of ARRAY and MULTISET, (key, value) of MAP, field types of ROW.
        names: field names of ROW.
        nullable: whether NULL may appear.
    """

    kind: Kind
    precision: int = 0
    scale: int = 0
    children: tuple[SqlType, ...] = ()
    names: tuple[str, ...] = ()
    nullable: bool = field(default=True)
    layout: Layout = field(init=False, repr=False, compare=False)
    """The physical layout."""

    def __post_init__(self) -> None:
        # Asked for per column and step: told once.
        object.__setattr__(self, "layout", self._layout())

    def with_nullable(self, nullable: bool) -> SqlType:
        """The same type with another nullability."""
        return self if self.nullable == nullable else replace(self, nullable=nullable)

    def same(self, other: SqlType) -> bool:
        """Equal, apart from the outer nullability."""
        return self.with_nullable(True) == other.with_nullable(True)

    def _layout(self) -> Layout:
        if self.kind in (Kind.FLOAT, Kind.DOUBLE):
            return Layout.FLOATS
        if self.kind in _VIEWS:
            return Layout.VIEWS
        if self.kind in _NESTED:
            return Layout.NESTED
        if self.kind is Kind.DECIMAL and self.precision > 18:
            return Layout.LIMBS
        return Layout.WORDS

    @property
    def is_integer(self) -> bool:
        """TINYINT to BIGINT."""
        return self.kind in _INTEGERS

    @property
    def bits(self) -> int:
        """Width of an integer type."""
        return _INTEGERS[self.kind]

    @property
    def is_exact(self) -> bool:
        """Integer or DECIMAL."""
        return self.is_integer or self.kind is Kind.DECIMAL

    @property
    def is_approximate(self) -> bool:
        """FLOAT or DOUBLE."""
        return self.kind in (Kind.FLOAT, Kind.DOUBLE)

    @property
    def is_numeric(self) -> bool:
        """Any number."""
        return self.is_exact or self.is_approximate

    @property
    def is_text(self) -> bool:
        """CHAR or VARCHAR."""
        return self.kind in (Kind.CHAR, Kind.VARCHAR)

    @property
    def is_bytes(self) -> bool:
        """BINARY or VARBINARY."""
        return self.kind in (Kind.BINARY, Kind.VARBINARY)

    @property
    def is_timestamp(self) -> bool:
        """TIMESTAMP or TIMESTAMP_LTZ."""
        return self.kind in (Kind.TIMESTAMP, Kind.TIMESTAMP_LTZ)

    @property
    def is_interval(self) -> bool:
        """Either interval."""
        return self.kind in (Kind.INTERVAL_DAY, Kind.INTERVAL_MONTH)

    @property
    def nanoseconds(self) -> bool:
        """Whether a timestamp's word counts ns (p > 6) and not µs."""
        return self.is_timestamp and self.precision > 6

    @property
    def words_per_ms(self) -> int:
        """Units of a timestamp's word in one millisecond."""
        return 1_000_000 if self.nanoseconds else 1_000

    def __str__(self) -> str:
        text = self._name()
        return text if self.nullable else f"{text} NOT NULL"

    def _name(self) -> str:
        kind = self.kind
        if kind is Kind.DECIMAL:
            return f"DECIMAL({self.precision}, {self.scale})"
        if kind is Kind.VARCHAR and self.precision == MAX_LENGTH:
            return "STRING"
        if kind is Kind.VARBINARY and self.precision == MAX_LENGTH:
            return "BYTES"
        if kind in _VIEWS or kind in (Kind.TIME, Kind.TIMESTAMP, Kind.TIMESTAMP_LTZ):
            return f"{kind.value}({self.precision})"
        if kind is Kind.INTERVAL_DAY:
            return "INTERVAL DAY TO SECOND(3)"
        if kind in (Kind.ARRAY, Kind.MULTISET, Kind.MAP):
            return f"{kind.value}<{', '.join(map(str, self.children))}>"
        if kind is Kind.ROW:
            return "ROW<" + ", ".join(f"`{n}` {t}" for n, t in zip(self.names, self.children, strict=True)) + ">"
        return str(kind.value)

    @property
    def oid(self) -> int:
        """The PostgreSQL type oid that a client is told."""
        return _TABLE[self.kind][2] if self.kind in _TABLE else _OTHER_OIDS[self.kind]


BOOLEAN = SqlType(Kind.BOOLEAN)
TINYINT = SqlType(Kind.TINYINT)
SMALLINT = SqlType(Kind.SMALLINT)
INT = SqlType(Kind.INT)
BIGINT = SqlType(Kind.BIGINT)
FLOAT = SqlType(Kind.FLOAT)
DOUBLE = SqlType(Kind.DOUBLE)
STRING = SqlType(Kind.VARCHAR, MAX_LENGTH)
BYTES = SqlType(Kind.VARBINARY, MAX_LENGTH)
DATE = SqlType(Kind.DATE)
NULL = SqlType(Kind.NULL)
INTERVAL_DAY = SqlType(Kind.INTERVAL_DAY)
INTERVAL_MONTH = SqlType(Kind.INTERVAL_MONTH)


def decimal(precision: int = 10, scale: int = 0) -> SqlType:
    """DECIMAL(p, s)."""
    return SqlType(Kind.DECIMAL, precision, scale)


def char(length: int = 1) -> SqlType:
    """CHAR(n)."""
    return SqlType(Kind.CHAR, length)


def varchar(length: int = MAX_LENGTH) -> SqlType:
    """VARCHAR(n)."""
    return SqlType(Kind.VARCHAR, length)


def time(precision: int = 0) -> SqlType:
    """TIME(p)."""
    return SqlType(Kind.TIME, precision)


def timestamp(precision: int = 6) -> SqlType:
    """TIMESTAMP(p)."""
    return SqlType(Kind.TIMESTAMP, precision)


def timestamp_ltz(precision: int = 6) -> SqlType:
    """TIMESTAMP_LTZ(p): an instant; its word counts from 1970 in UTC."""
    return SqlType(Kind.TIMESTAMP_LTZ, precision)


def array(element: SqlType) -> SqlType:
    """ARRAY<t>."""
    return SqlType(Kind.ARRAY, children=(element,))


def map_of(key: SqlType, value: SqlType) -> SqlType:
    """MAP<k, v>."""
    return SqlType(Kind.MAP, children=(key, value))


def row(**fields: SqlType) -> SqlType:
    """ROW<name type, …>."""
    return SqlType(Kind.ROW, children=tuple(fields.values()), names=tuple(fields))


def polars_type(t: SqlType) -> Any:
    """The Polars dtype of a SQL type (TIMESTAMP_LTZ is Datetime in UTC)."""
    import polars as pl

    kind = t.kind
    if kind in _TABLE:
        return getattr(pl, _TABLE[kind][0])
    if kind is Kind.DECIMAL:
        return pl.Decimal(t.precision, t.scale)
    if kind is Kind.TIME:
        return pl.Time
    if kind is Kind.TIMESTAMP:
        return pl.Datetime("ns" if t.precision > 6 else "us")
    if kind is Kind.TIMESTAMP_LTZ:
        return pl.Datetime("ns" if t.precision > 6 else "us", "UTC")
    if kind is Kind.INTERVAL_DAY:
        return pl.Duration("ms")
    if kind is Kind.ARRAY:
        return pl.List(polars_type(t.children[0]))
    if kind is Kind.MULTISET:
        return pl.List(pl.Struct({"key": polars_type(t.children[0]), "value": pl.Int32}))
    if kind is Kind.MAP:
        return pl.List(pl.Struct({"key": polars_type(t.children[0]), "value": polars_type(t.children[1])}))
    return pl.Struct({n: polars_type(c) for n, c in zip(t.names, t.children, strict=True)})


def arrow_type(t: SqlType) -> pa.DataType:
    """The Arrow type of a SQL type, as readers of views and sinks get it (text as string_view)."""
    import pyarrow as pa

    kind = t.kind
    if kind in _TABLE:
        return getattr(pa, _TABLE[kind][1])()
    if kind is Kind.DECIMAL:
        return pa.decimal128(t.precision, t.scale)
    if kind is Kind.TIME:
        return pa.time64("ns")
    if kind is Kind.TIMESTAMP:
        return pa.timestamp("ns" if t.precision > 6 else "us")
    if kind is Kind.TIMESTAMP_LTZ:
        return pa.timestamp("ns" if t.precision > 6 else "us", tz="UTC")
    if kind is Kind.INTERVAL_DAY:
        return pa.duration("ms")
    if kind is Kind.ARRAY:
        return pa.list_(arrow_type(t.children[0]))
    if kind is Kind.MULTISET:
        return pa.map_(arrow_type(t.children[0]), pa.int32())
    if kind is Kind.MAP:
        return pa.map_(arrow_type(t.children[0]), arrow_type(t.children[1]))
    return pa.struct([(n, arrow_type(c)) for n, c in zip(t.names, t.children, strict=True)])


def from_polars(dtype: pl.DataType) -> SqlType:
    """The SQL type of a Polars dtype (unsigned types widen; unknown ones raise ``TypeError``)."""
    import polars as pl

    simple: dict[Any, SqlType] = {
        pl.Boolean: BOOLEAN,
        pl.Int8: TINYINT,
        pl.Int16: SMALLINT,
        pl.Int32: INT,
        pl.Int64: BIGINT,
        pl.UInt8: SMALLINT,
        pl.UInt16: INT,
        pl.UInt32: BIGINT,
        pl.UInt64: decimal(20, 0),
        pl.Float32: FLOAT,
        pl.Float64: DOUBLE,
        pl.String: STRING,
        pl.Categorical: STRING,
        pl.Binary: BYTES,
        pl.Date: DATE,
        pl.Time: time(9),
        pl.Null: NULL,
    }
    base = dtype.base_type()
    if base in simple:
        return simple[base]
    if isinstance(dtype, pl.Decimal):
        return decimal(dtype.precision or 38, dtype.scale)
    if isinstance(dtype, pl.Datetime):
        precision = {"ms": 3, "us": 6, "ns": 9}[dtype.time_unit]
        return timestamp_ltz(precision) if dtype.time_zone else timestamp(precision)
    if isinstance(dtype, pl.Duration):
        return INTERVAL_DAY
    if isinstance(dtype, pl.List):
        return array(from_polars(dtype.inner))  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        return row(**{f.name: from_polars(f.dtype) for f in dtype.fields})  # type: ignore[arg-type]
    raise TypeError(f"no SQL type for {dtype}")
