"""Filters that a source is told: what it may leave out, because the query above removes it anyway.

A filter is a conjunction of clauses, a clause is a disjunction of comparisons of one column with a constant. It is only
ever a hint: the plan keeps its filter, and a source leaves out rows of which it knows that a clause is not TRUE.

Values are compared as Python does, exactly: integers and FLOAT, DOUBLE as they are, BOOLEAN as 0 and 1, DECIMAL as a
fraction, DATE in days, TIMESTAMP and TIMESTAMP_LTZ in nanoseconds, texts and bytes as bytes (texts in UTF-8, whose
order is SQL's).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from deras.core.types import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deras.core.types import SqlType

Value = int | float | Fraction | bytes
Op = Literal["=", "<>", "<", "<=", ">", ">=", "IS NULL", "IS NOT NULL"]

FLIPPED: dict[str, Op] = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""The comparison with its sides exchanged."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A column beside a constant.

    Args:
        column: its position in the source's schema.
        op: the comparison; NULL makes all but IS [NOT] NULL not TRUE, NaN all but <>.
        value: the constant; None for IS [NOT] NULL.
    """

    column: int
    op: Op
    value: Value | None = None


Clause = tuple[Comparison, ...]
"""TRUE where one of its comparisons is."""
Filters = tuple[Clause, ...]
"""TRUE where all of its clauses are; () says nothing."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is known of the values of some rows in one column.

    Args:
        least: no value is less (NaN aside); None: unknown.
        greatest: no value is greater (NaN aside); None: unknown.
        none_null: whether it is known that no value is NULL.
        all_null: whether it is known that every value is.
        may_be_nan: whether there may be NaN.
    """

    least: Value | None = None
    greatest: Value | None = None
    none_null: bool = False
    all_null: bool = False
    may_be_nan: bool = False


def bounds_of_value(value: Value | None) -> Bounds:
    """Of rows that all hold one value."""
    if value is None:
        return Bounds(all_null=True)
    nan = value != value
    return Bounds(None if nan else value, None if nan else value, none_null=True, may_be_nan=nan)


def _excluded(op: Op, least: Any, greatest: Any, v: Any) -> bool:
    match op:
        case "=":
            return bool(v < least or v > greatest)
        case "<>":
            return bool(least == v == greatest)
        case "<":
            return bool(least >= v)
        case "<=":
            return bool(least > v)
        case ">":
            return bool(greatest <= v)
    return bool(greatest < v)


def may_hold(x: Comparison, bounds: Bounds) -> bool:
    """Whether a comparison may be TRUE of one of the rows."""
    if x.op == "IS NULL":
        return not bounds.none_null
    if bounds.all_null:
        return False
    if x.op == "IS NOT NULL":
        return True
    if bounds.least is None or bounds.greatest is None or x.value is None:
        return True
    if x.op == "<>" and bounds.may_be_nan:
        return True
    return not _excluded(x.op, bounds.least, bounds.greatest, x.value)


def excludes(filters: Filters, bounds: Callable[[int], Bounds]) -> bool:
    """Whether no row can pass.

    Args:
        filters: of the source.
        bounds: what is known of a column, by its position.
    """
    return any(not any(may_hold(x, bounds(x.column)) for x in clause) for clause in filters)


def remaining(filters: Filters, known: Mapping[int, Bounds]) -> Filters | None:
    """What is left to ask of rows that have the same value in some columns; None: none of them can pass.

    Args:
        filters: of the source.
        known: the bounds of such columns, by position.
    """
    left = []
    for clause in filters:
        if any(x.column in known and may_hold(x, known[x.column]) for x in clause):
            continue
        rest = tuple(x for x in clause if x.column not in known)
        if not rest:
            return None
        left.append(rest)
    return tuple(left)


_MOST_CLAUSES = 16
_MOST_COMPARISONS = 256


def either(a: Filters, b: Filters) -> Filters:
    """A filter for two readers of one source: TRUE at least where one of theirs is."""
    if a == b:
        return a
    made = dict.fromkeys(tuple(dict.fromkeys(x + y)) for x in a for y in b)
    return tuple(c for c in made if len(c) <= _MOST_COMPARISONS)[:_MOST_CLAUSES]


def comparable(value: Any, t: SqlType) -> Value | None:
    """A constant in physical form (a scaled DECIMAL, days, µs or ns …) as it is compared; None: it cannot be."""
    if value is None:
        return None
    if t.kind is Kind.DECIMAL:
        return Fraction(int(value), 10**t.scale)
    if t.is_timestamp:
        return int(value) * (1 if t.nanoseconds else 1000)
    if t.is_text:
        return str(value).encode("utf-8", "surrogatepass")
    if t.kind in (Kind.BINARY, Kind.VARBINARY):
        return bytes(value)
    if t.is_integer or t.kind in (Kind.BOOLEAN, Kind.DATE):
        return int(value)
    if t.is_approximate:
        return float(value)
    return None


@dataclass(slots=True)
class Skipped:
    """What a source has left out since it was opened.

    Args:
        files: that were not opened, for the values that their folders name.
        row_groups: of columnar files, for their statistics.
        rows: of those row groups.
    """

    files: int = 0
    row_groups: int = 0
    rows: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, rows: int) -> None:
        """One more row group."""
        with self._lock:
            self.row_groups += 1
            self.rows += rows
