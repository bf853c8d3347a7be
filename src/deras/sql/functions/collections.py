"""ARRAY, MAP and ROW: constructors and access."""

# ruff: noqa: ARG001 -- every implementation takes the same arguments

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from deras.core import types as t
from deras.core.types import Kind, SqlType
from deras.sql.expr.nodes import Call, Expr, Literal, Where
from deras.sql.functions.hosts import FAILED, host
from deras.sql.functions.maps import entries
from deras.sql.functions.operators import first_approximate
from deras.sql.functions.registry import ArgumentError, CallContext, Function, cast_to, scalar
from deras.sql.types import common_type

if TYPE_CHECKING:
    from collections.abc import Sequence


def _load(x: pl.Expr, type_: SqlType) -> pl.Expr:
    """A nested value as it lies in a frame."""
    if type_.kind is Kind.DECIMAL:
        return x.to_physical().cast(pl.Int64 if type_.precision <= 18 else pl.Int128)
    return x


def _field(c: CallContext, x: pl.Expr, index: pl.Expr) -> pl.Expr:
    place = int(c.constants[1])
    return _load(x.struct.field(c.types[0].names[place]), c.type)


_FIELD = Function("FIELD", "expression", (), _field, family="collections")


def field_access(base: Expr, place: int, at: Where | None) -> Expr:
    """``row.field``."""
    from deras.sql.expr.nodes import Literal

    type_ = base.type.children[place]
    nullable = type_.nullable or base.type.nullable
    return Call(type_.with_nullable(nullable), _FIELD, (base, Literal(t.INT.with_nullable(False), place)), at=at)


@scalar("ITEM(array, integer)", "ITEM(map, any)", kind="macro")
def item(args: Sequence[Expr], at: Where | None) -> Expr:
    """An element of an array (from 1) or the value of a map's key; NULL where there is none.

    Example:
        >>> ARRAY['a', 'b'][2]
        b
    """
    base, index = args
    if base.type.kind is Kind.ARRAY and isinstance(index, Literal) and index.value is not None and index.value < 1:
        raise ArgumentError(f"the elements of an array are counted from 1, not {index.value}")
    if base.type.kind is Kind.ARRAY:
        return Call(base.type.children[0].with_nullable(True), _ELEMENT, (base, index), at=at)
    key, value = base.type.children
    return Call(value.with_nullable(True), _LOOKUP, (base, cast_to(index, key)), at=at)


def _element(c: CallContext, x: pl.Expr, index: pl.Expr) -> pl.Expr:
    place = index.cast(pl.Int64)
    place = pl.when(place >= 1).then(place - 1)
    return _load(x.list.get(place, null_on_oob=True), c.type)


def _lookup(entries: list[Any] | None, key: Any) -> Any:
    return None if entries is None else next((e["value"] for e in entries if e["key"] == key), None)


_ELEMENT = Function("ITEM", "expression", (), _element, family="collections")
_LOOKUP = host("ITEM", _lookup, nulls=True)


@scalar("CARDINALITY(array) -> INT", "CARDINALITY(map) -> INT", "CARDINALITY(multiset) -> INT")
def cardinality(c: CallContext, x: pl.Expr) -> pl.Expr:
    """The number of elements.

    Example:
        >>> CARDINALITY(ARRAY[1, 2, 3])
        3
    """
    return x.list.len().cast(pl.Int32)


def _only(x: list[Any]) -> Any:
    return FAILED if len(x) > 1 else x[0] if x else None


_ONLY = host("ELEMENT", _only)


@scalar("ELEMENT(array)", kind="macro")
def element(args: Sequence[Expr], at: Where | None) -> Expr:
    """The only element of an array; NULL if it is empty, a failure if there are several.

    Example:
        >>> ELEMENT(ARRAY[7])
        7
    """
    return Call(args[0].type.children[0].with_nullable(True), _ONLY, (args[0],), at=at)


def _array(c: CallContext, *items: pl.Expr) -> pl.Expr:
    return pl.concat_list(list(items))


def _whole(type_: SqlType) -> bool:
    """Whether Polars' expressions put values of the type together as they are."""
    return type_.kind not in (Kind.ARRAY, Kind.MAP, Kind.MULTISET, Kind.DECIMAL)


_ARRAY_OF = host("ARRAY", lambda *items: list(items), nulls=True)
_ARRAY = Function("ARRAY", "expression", (), _array, nullable=False, family="collections")


@scalar("ARRAY(any...)", kind="macro")
def array(args: Sequence[Expr], at: Where | None) -> Expr:
    """An array of the values."""
    types = [a.type for a in args]
    common = first_approximate(types) or common_type(types)
    if common is None or common.kind is Kind.NULL:
        raise ArgumentError("the elements of ARRAY have no common type", "Convert them with CAST.")
    function = _ARRAY if _whole(common) else _ARRAY_OF
    return Call(t.array(common).with_nullable(False), function, tuple(cast_to(a, common) for a in args), at=at)


def _row(c: CallContext, *items: pl.Expr) -> pl.Expr:
    return pl.struct([i.alias(n) for n, i in zip(c.type.names, items, strict=True)])


def _row_of(c: CallContext, *items: pl.Series) -> pl.Series:
    from deras.sql.expr.python import logical

    fields = [logical(s, x).alias(n) for n, s, x in zip(c.type.names, items, c.type.children, strict=True)]
    return pl.DataFrame(fields).to_struct()


_ROW = Function("ROW", "expression", (), _row, nullable=False, family="collections")
_ROW_OF = Function("ROW", "host", (), _row_of, nullable=False, family="collections")


@scalar("ROW(any...)", kind="macro")
def row(args: Sequence[Expr], at: Where | None) -> Expr:
    """A row of the values, its fields named EXPR$0, EXPR$1 and so on."""
    names = tuple(f"EXPR${i}" for i in range(len(args)))
    type_ = SqlType(Kind.ROW, children=tuple(a.type for a in args), names=names, nullable=False)
    decimal = any(a.type.kind is Kind.DECIMAL for a in args)
    return Call(type_, _ROW_OF if decimal else _ROW, tuple(args), at=at)


def _map(c: CallContext, *items: pl.Expr) -> pl.Expr:
    entries = [pl.struct(key=k, value=v) for k, v in zip(items[::2], items[1::2], strict=True)]
    return pl.concat_list(entries)


_MAP = Function("MAP", "expression", (), _map, nullable=False, family="collections")
_MAP_OF = host("MAP", lambda *items: entries(zip(items[::2], items[1::2], strict=True)), nulls=True)


@scalar("MAP(any...)", kind="macro")
def map_(args: Sequence[Expr], at: Where | None) -> Expr:
    """A map of keys and values in turn; of a key that is there twice the last value counts.

    Example:
        >>> MAP['a', 1, 'b', 2]['b']
        2
    """
    if len(args) % 2:
        raise ArgumentError("MAP needs keys and values in turn")
    key, value = common_type([a.type for a in args[::2]]), common_type([a.type for a in args[1::2]])
    if key is None or value is None or Kind.NULL in (key.kind, value.kind):
        raise ArgumentError("the keys or values of MAP have no common type", "Convert them with CAST.")
    cast = tuple(cast_to(a, value if i % 2 else key) for i, a in enumerate(args))
    keys = [a.value for a in args[::2] if isinstance(a, Literal)]
    different = len(set(keys)) == len(cast) // 2 == len(keys)
    function = _MAP if different and _whole(key) and _whole(value) else _MAP_OF
    return Call(t.map_of(key.with_nullable(False), value).with_nullable(False), function, cast, at=at)
