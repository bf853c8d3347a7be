"""What the footer of a Parquet file tells of its row groups: which of them cannot hold a row that passes a filter.

A row group is left out only if reading it would have done nothing else: every column that is wanted must come as it is,
or widened, and one that is NOT NULL must be known to hold no NULL. So an error that reading would find is still found.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from deras.core.predicates import Bounds, excludes
from deras.core.types import Kind, SqlType, polars_type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow.parquet as pq

    from deras.core.predicates import Filters, Value
    from deras.core.schema import Schema

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_UNITS = {"ms": 1_000_000, "us": 1000, "ns": 1}


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A column that is wanted: its number in the file, and what makes a statistic's bound a value."""

    number: int
    type: SqlType
    least: Callable[[Any], Value | None] | None
    greatest: Callable[[Any], Value | None] | None


def excluded_groups(file: pq.ParquetFile, schema: Schema, wanted: Sequence[int], filters: Filters) -> set[int]:
    """The numbers of the row groups of which no row passes.

    Args:
        file: open.
        schema: the table's columns in the file.
        wanted: positions of those that are read.
        filters: over ``schema``.
    """
    try:
        leaves = _leaves(file, schema, wanted)
    except pa.ArrowException:
        return set()
    if leaves is None:
        return set()
    found = set()
    for g in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(g)
        known: dict[int, Bounds] = {}

        def bounds(i: int, group: Any = group, known: dict[int, Bounds] = known) -> Bounds:
            if i not in known:
                known[i] = _bounds(group, leaves[i]) if i in leaves else Bounds()
            return known[i]

        if excludes(filters, bounds) and all(schema[i].type.nullable or bounds(i).none_null for i in leaves):
            found.add(g)
    return found


def _leaves(file: pq.ParquetFile, schema: Schema, wanted: Sequence[int]) -> dict[int, _Leaf | None] | None:
    """The wanted columns by position in ``schema``, None for those that the file lacks; None: reading may fail."""
    inside = file.schema_arrow
    numbers = {file.metadata.schema.column(k).path: k for k in range(file.metadata.num_columns)}
    found: dict[int, _Leaf | None] = {}
    for i in wanted:
        name, t = schema[i].name, schema[i].type
        places = inside.get_all_field_indices(name)
        if not places:
            if not t.nullable:
                return None
            found[i] = None
            continue
        if len(places) > 1:
            return None
        held = inside.field(places[0]).type
        values = _values(held, t)
        if values is None and pl.Series("", pa.array([], held)).dtype != polars_type(t):
            return None
        least, greatest = (None, None) if values is None or name not in numbers else values
        found[i] = _Leaf(numbers.get(name, -1), t, least, greatest)
    return found


def _bounds(group: Any, leaf: _Leaf | None) -> Bounds:
    if leaf is None:
        return Bounds(all_null=True)
    chunk = None if leaf.number < 0 else group.column(leaf.number)
    statistics = None if chunk is None else chunk.statistics
    if statistics is None:
        return Bounds()
    nulls = statistics.null_count if statistics.has_null_count else None
    least: Value | None = None
    greatest: Value | None = None
    if statistics.has_min_max and leaf.least is not None and leaf.greatest is not None:
        least, greatest = leaf.least(statistics.min_raw), leaf.greatest(statistics.max_raw)
        if least is None or greatest is None or not least <= greatest:  # type: ignore[operator]
            least = greatest = None
    return Bounds(least, greatest, nulls == 0, nulls == group.num_rows, leaf.type.is_approximate)


Pair = tuple["Callable[[Any], Value | None] | None", "Callable[[Any], Value | None] | None"]


def _same(found: Callable[[Any], Value | None]) -> Pair:
    return found, found


def _values(held: pa.DataType, t: SqlType) -> Pair | None:
    """What makes raw bounds of a column of the file (``least``, ``greatest``) values; None: it is not read as it is."""
    is_ = pa.types
    if t.kind is Kind.BOOLEAN:
        return _same(int) if is_.is_boolean(held) else None
    if t.is_integer:
        return _same(int) if is_.is_signed_integer(held) and held.bit_width <= t.bits else None
    if t.is_approximate:
        fits = is_.is_float32(held) or (is_.is_float64(held) and t.kind is Kind.DOUBLE)
        return _same(lambda v: None if v != v else float(v)) if fits else None
    if t.kind is Kind.DECIMAL:
        if not is_.is_decimal(held) or held.scale != t.scale or held.precision > t.precision:
            return None
        unit = 10**t.scale
        return _same(lambda v: Fraction(int.from_bytes(v, "big", signed=True) if isinstance(v, bytes) else v, unit))
    if t.is_text:
        return (
            _same(_bytes) if is_.is_string(held) or is_.is_large_string(held) or _view(held, pa.string_view) else None
        )
    if t.is_bytes:
        return (
            _same(_bytes) if is_.is_binary(held) or is_.is_large_binary(held) or _view(held, pa.binary_view) else None
        )
    if t.kind is Kind.DATE:
        return _same(int) if is_.is_date32(held) else None
    if t.is_timestamp:
        return _moments(_UNITS[held.unit], t) if is_.is_timestamp(held) and held.unit in _UNITS else None
    return None


def _view(held: pa.DataType, view: Callable[[], pa.DataType]) -> bool:
    return bool(held == view())


def _bytes(v: Any) -> bytes | None:
    return v if isinstance(v, bytes) else None


def _moments(unit: int, t: SqlType) -> Pair:
    """Bounds in ``unit`` ns, rounded away from the values between them where the table's word is coarser."""
    word = 1 if t.nanoseconds else 1000

    def at(v: int) -> int | None:
        return v * word if _LEAST <= v <= _MOST else None

    def least(v: Any) -> int | None:
        return at(v * unit // word) if isinstance(v, int) else None

    def greatest(v: Any) -> int | None:
        return at(-(-v * unit // word)) if isinstance(v, int) else None

    return least, greatest
