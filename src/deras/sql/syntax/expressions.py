"""Expressions, windows and order as nodes."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deras.sql.syntax.nodes import DataType, Identifier, Node, ObjectName

if TYPE_CHECKING:
    from deras.sql.syntax.queries import Query


@dataclass(frozen=True, slots=True)
class Expr(Node):
    """The base of expressions."""


class LiteralKind(enum.Enum):
    """What a literal is; the value's Python type follows from it."""

    NULL = "NULL"
    BOOLEAN = "BOOLEAN"  # bool
    INTEGER = "INTEGER"  # int
    DECIMAL = "DECIMAL"  # str, as written
    DOUBLE = "DOUBLE"  # str, as written (1E3)
    STRING = "STRING"  # str
    BINARY = "BINARY"  # bytes
    DATE = "DATE"  # str between the quotes
    TIME = "TIME"  # str
    TIMESTAMP = "TIMESTAMP"  # str
    TIMESTAMP_LTZ = "TIMESTAMP WITH LOCAL TIME ZONE"  # str


@dataclass(frozen=True, slots=True)
class LiteralValue(Expr):
    """A constant, unsigned (a minus sign is a ``Unary``)."""

    kind: LiteralKind
    value: str | int | bool | bytes | None = None


@dataclass(frozen=True, slots=True)
class IntervalLiteral(Expr):
    """``INTERVAL [-]'value' unit[(precision)] [TO to_unit[(fraction)]]``; units in the singular, upper case."""

    value: str
    unit: str
    to_unit: str | None = None
    negative: bool = False
    precision: int | None = None
    fraction: int | None = None


@dataclass(frozen=True, slots=True)
class IntervalExpr(Expr):
    """``INTERVAL expr unit`` where the amount is not a string literal."""

    value: Expr
    unit: str


@dataclass(frozen=True, slots=True)
class ColumnRef(Expr):
    """``a``, ``t.a``, ``t.a.b``: which part is table, column or field is for the binder to say."""

    parts: tuple[Identifier, ...]


@dataclass(frozen=True, slots=True)
class Star(Expr):
    """``*`` or ``t.*``."""

    qualifier: tuple[Identifier, ...] = ()


@dataclass(frozen=True, slots=True)
class Keyword(Expr):
    """A word as an argument: ``YEAR`` in EXTRACT or FLOOR … TO, ``BOTH`` in TRIM, ``DEFAULT``; or a type in
    RETURNING-like places.
    """

    word: str


@dataclass(frozen=True, slots=True)
class FieldAccess(Expr):
    """``base.name`` where the base is not a plain name: ``f(x).y``, ``a[1].b``, ``(r).c``; ``base.*`` has
    ``name`` None.
    """

    base: Expr
    name: Identifier | None


@dataclass(frozen=True, slots=True)
class ItemAccess(Expr):
    """``base[index]`` on arrays (from 1) and maps."""

    base: Expr
    index: Expr


@dataclass(frozen=True, slots=True)
class Unary(Expr):
    """``NOT``, ``-``, ``+``."""

    op: Literal["NOT", "-", "+"]
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary(Expr):
    """Arithmetic ``+ - * / %``, comparison ``= <> < <= > >=`` (``!=`` is ``<>``), ``IS [NOT] DISTINCT FROM``,
    ``OVERLAPS`` and so on.
    """

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Chain(Expr):
    """Two or more terms joined by one associative operator: ``AND``, ``OR`` or ``||``."""

    op: Literal["AND", "OR", "||"]
    terms: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Is(Expr):
    """``x IS [NOT] test``: NULL, TRUE, FALSE, UNKNOWN, JSON, JSON VALUE, JSON OBJECT, JSON ARRAY, JSON SCALAR, A
    SET, EMPTY.
    """

    operand: Expr
    test: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Between(Expr):
    """``x [NOT] BETWEEN [SYMMETRIC] low AND high``."""

    operand: Expr
    low: Expr
    high: Expr
    negated: bool = False
    symmetric: bool = False


@dataclass(frozen=True, slots=True)
class InList(Expr):
    """``x [NOT] IN (a, b)``."""

    operand: Expr
    items: tuple[Expr, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class InQuery(Expr):
    """``x [NOT] IN (query)``."""

    operand: Expr
    query: Query
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Like(Expr):
    """``x [NOT] LIKE|SIMILAR TO|RLIKE|ILIKE pattern [ESCAPE e]``."""

    operand: Expr
    pattern: Expr
    escape: Expr | None = None
    op: Literal["LIKE", "SIMILAR TO", "RLIKE", "ILIKE"] = "LIKE"
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Exists(Expr):
    """``EXISTS (query)``."""

    query: Query


@dataclass(frozen=True, slots=True)
class Quantified(Expr):
    """``left op SOME|ANY|ALL (query)`` (ANY is kept as SOME); ``items`` when a list was written."""

    op: str
    left: Expr
    quantifier: Literal["SOME", "ALL"]
    query: Query | None
    items: tuple[Expr, ...] = ()


@dataclass(frozen=True, slots=True)
class ScalarSubquery(Expr):
    """``(query)`` where a value is expected."""

    query: Query


@dataclass(frozen=True, slots=True)
class When(Node):
    """One branch of CASE."""

    condition: Expr
    result: Expr


@dataclass(frozen=True, slots=True)
class Case(Expr):
    """``CASE [operand] WHEN … THEN … [ELSE …] END``; ``WHEN 1, 2 THEN x`` becomes two branches."""

    operand: Expr | None
    whens: tuple[When, ...]
    otherwise: Expr | None = None


@dataclass(frozen=True, slots=True)
class Cast(Expr):
    """``CAST(x AS type)``; ``safe`` for TRY_CAST."""

    operand: Expr
    type: DataType
    safe: bool = False


@dataclass(frozen=True, slots=True)
class RowValue(Expr):
    """``ROW(a, b)`` or ``(a, b)`` (``explicit`` False)."""

    items: tuple[Expr, ...]
    explicit: bool = True


@dataclass(frozen=True, slots=True)
class ArrayValue(Expr):
    """``ARRAY[a, b]`` or ``MULTISET[…]``."""

    items: tuple[Expr, ...]
    kind: Literal["ARRAY", "MULTISET"] = "ARRAY"


@dataclass(frozen=True, slots=True)
class MapValue(Expr):
    """``MAP[k1, v1, k2, v2]``: keys and values in turn."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class CollectionQuery(Expr):
    """``ARRAY(query)``, ``MULTISET(query)``, ``MAP(query)``."""

    kind: Literal["ARRAY", "MULTISET", "MAP"]
    query: Query


@dataclass(frozen=True, slots=True)
class NamedArgument(Expr):
    """``name => value``."""

    name: Identifier
    value: Expr


@dataclass(frozen=True, slots=True)
class TableArgument(Expr):
    """``TABLE t [PARTITION BY …] [ORDER BY …]`` or ``(query) [PARTITION BY …]`` as the argument of a table function."""

    source: ObjectName | Query
    partition_by: tuple[Expr, ...] = ()
    order_by: tuple[OrderItem, ...] = ()


@dataclass(frozen=True, slots=True)
class Descriptor(Expr):
    """``DESCRIPTOR(a, b)``."""

    columns: tuple[Identifier, ...]


@dataclass(frozen=True, slots=True)
class JsonBehavior(Node):
    """What JSON_VALUE/JSON_QUERY/JSON_EXISTS do ON EMPTY/ERROR: NULL, ERROR, TRUE, FALSE, UNKNOWN, EMPTY ARRAY,
    EMPTY OBJECT, DEFAULT.
    """

    kind: str
    default: Expr | None = None


@dataclass(frozen=True, slots=True)
class JsonClauses(Node):
    """The extra clauses of the JSON functions.

    ``wrapper`` is ``WITHOUT``, ``WITH CONDITIONAL`` or ``WITH UNCONDITIONAL`` (ARRAY WRAPPER); ``on_null`` is
    ``NULL`` or ``ABSENT``.
    """

    returning: DataType | None = None
    wrapper: str | None = None
    on_empty: JsonBehavior | None = None
    on_error: JsonBehavior | None = None
    on_null: Literal["NULL", "ABSENT"] | None = None


@dataclass(frozen=True, slots=True)
class Call(Expr):
    """A function call, plain, aggregate or windowed.

    The special forms are calls with plain arguments: ``EXTRACT(YEAR FROM x)`` is EXTRACT(Keyword YEAR, x);
    ``FLOOR(x TO DAY)`` is FLOOR(x, Keyword DAY); ``TRIM(BOTH 'a' FROM x)`` is TRIM(Keyword BOTH, 'a', x) and
    ``TRIM(x)`` TRIM(x); ``POSITION(a IN b)``, ``SUBSTRING(x FROM a FOR b)``, ``OVERLAY(x PLACING y FROM a FOR b)``
    have their operands in order; ``TIMESTAMPADD(DAY, 1, t)`` starts with Keyword DAY; ``JSON_OBJECT(KEY k VALUE v,
    …)`` has k, v in turn; ``COUNT(*)`` has one ``Star``; ``CURRENT_DATE`` no arguments.
    """

    name: ObjectName
    args: tuple[Expr, ...] = ()
    distinct: bool = False
    order_by: tuple[OrderItem, ...] = ()  # inside the parentheses
    within_group: tuple[OrderItem, ...] = ()
    filter: Expr | None = None
    nulls: Literal["RESPECT", "IGNORE"] | None = None
    over: WindowSpec | Identifier | None = None
    match_scope: Literal["RUNNING", "FINAL"] | None = None
    json: JsonClauses | None = None

    @property
    def function(self) -> str:
        """The last name part in upper case: built-in functions ignore case."""
        return self.name.parts[-1].name.upper()


@dataclass(frozen=True, slots=True)
class OrderItem(Node):
    """``expr [ASC|DESC] [NULLS FIRST|LAST]``; ``nulls_first`` None when not written."""

    expr: Expr
    descending: bool = False
    nulls_first: bool | None = None


@dataclass(frozen=True, slots=True)
class FrameBound(Node):
    """``UNBOUNDED PRECEDING``, ``PRECEDING`` (with value), ``CURRENT ROW``, ``FOLLOWING`` (with value),
    ``UNBOUNDED FOLLOWING``.
    """

    kind: Literal["UNBOUNDED PRECEDING", "PRECEDING", "CURRENT ROW", "FOLLOWING", "UNBOUNDED FOLLOWING"]
    value: Expr | None = None


@dataclass(frozen=True, slots=True)
class Frame(Node):
    """``ROWS|RANGE BETWEEN start AND end``; ``end`` None for the short form."""

    unit: Literal["ROWS", "RANGE"]
    start: FrameBound
    end: FrameBound | None = None


@dataclass(frozen=True, slots=True)
class WindowSpec(Node):
    """``([base] [PARTITION BY …] [ORDER BY …] [frame])``."""

    base: Identifier | None = None
    partition_by: tuple[Expr, ...] = ()
    order_by: tuple[OrderItem, ...] = ()
    frame: Frame | None = None


@dataclass(frozen=True, slots=True)
class NamedWindow(Node):
    """``WINDOW name AS (spec)``."""

    name: Identifier
    spec: WindowSpec
