"""Functions of maps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from deras.core import types as t
from deras.core.types import Kind, SqlType
from deras.sql.functions.hosts import FAILED, call_host, each, frozen, host
from deras.sql.functions.registry import ArgumentError, cast_to, scalar
from deras.sql.types import common_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.sql.expr.nodes import Expr, Where

Entries = list[dict[str, Any]]


def entries(pairs: Any) -> Entries:
    """A map of (key, value): the last value of a key counts, at the key's first place."""
    found: dict[Any, dict[str, Any]] = {}
    for k, v in pairs:
        entry = found.setdefault(frozen(k), {"key": k, "value": None})
        entry["value"] = v
    return list(found.values())


@scalar("MAP_KEYS(map) -> STRING", kind="host", result=lambda a: t.array(a[0].type.children[0]))
@each
def map_keys(m: Entries) -> list[Any]:
    """The keys.

    Example:
        >>> MAP_KEYS(MAP['a', 1, 'b', 2])
        [a, b]
    """
    return [e["key"] for e in m]


@scalar("MAP_VALUES(map) -> STRING", kind="host", result=lambda a: t.array(a[0].type.children[1]))
@each
def map_values(m: Entries) -> list[Any]:
    """The values.

    Example:
        >>> MAP_VALUES(MAP['a', 1, 'b', 2])
        [1, 2]
    """
    return [e["value"] for e in m]


def _entry(args: Sequence[Expr]) -> SqlType:
    return t.array(SqlType(Kind.ROW, children=args[0].type.children, names=("key", "value")))


@scalar("MAP_ENTRIES(map) -> STRING", kind="host", result=_entry)
@each
def map_entries(m: Entries) -> list[Any]:
    """The entries as rows of key and value.

    Example:
        >>> MAP_ENTRIES(MAP['a', 1])
        [(a, 1)]
    """
    return m


def _paired(args: Sequence[Expr]) -> SqlType:
    return t.map_of(args[0].type.children[0], args[1].type.children[0])


@scalar("MAP_FROM_ARRAYS(array, array) -> STRING", kind="host", result=_paired)
@each
def map_from_arrays(keys: list[Any], values: list[Any]) -> Any:
    """A map of an array of keys and one of values, which must be as long.

    Example:
        >>> MAP_FROM_ARRAYS(ARRAY['a', 'b'], ARRAY[1, 2])
        {a=1, b=2}
    """
    return entries(zip(keys, values, strict=True)) if len(keys) == len(values) else FAILED


_UNION = host("MAP_UNION", lambda *maps: entries((e["key"], e["value"]) for m in maps for e in m))


@scalar("MAP_UNION(map...)", kind="macro")
def map_union(args: Sequence[Expr], at: Where | None) -> Expr:
    """The entries of all maps; of a key that several have the last value counts.

    Example:
        >>> MAP_UNION(MAP['a', 1], MAP['a', 2, 'b', 3])
        {a=2, b=3}
    """
    key = common_type([a.type.children[0] for a in args])
    value = common_type([a.type.children[1] for a in args])
    if key is None or value is None:
        raise ArgumentError("the maps of MAP_UNION have no common type", "Convert them with CAST.")
    out = t.map_of(key, value).with_nullable(any(a.type.nullable for a in args))
    return call_host(_UNION, out, [cast_to(a, out.with_nullable(a.type.nullable)) for a in args], at)


@scalar("STR_TO_MAP(text[, text, text]) -> MAP<STRING, STRING>", kind="host", nullable=True)
@each
def str_to_map(x: str, between: str = ",", within: str = "=") -> Any:
    """A map of a text such as ``a=1,b=2``; the separators (regular expressions) may be others.

    Example:
        >>> STR_TO_MAP('a=1,b=2')['b']
        2
    """
    if not x:
        return []
    try:
        pairs = [re.split(within, p, maxsplit=1) for p in _split(between, x)]
    except re.error:
        return FAILED
    return entries((p[0], p[1] if len(p) > 1 else None) for p in pairs)


def _split(separator: str, x: str) -> list[str]:
    parts = re.split(separator, x)
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return parts
