"""Aggregate functions: which there are, what they take, what they give. The engine computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.core import types as t
from deras.core.types import Kind, SqlType
from deras.sql.functions.registry import ArgumentError
from deras.sql.types import avg_type, sum_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.sql.expr.nodes import Expr

NAMES = (
    "COUNT",
    "SUM",
    "AVG",
    "MIN",
    "MAX",
    "STDDEV_POP",
    "STDDEV_SAMP",
    "VAR_POP",
    "VAR_SAMP",
    "FIRST_VALUE",
    "LAST_VALUE",
)
_ALIASES = {"STDDEV": "STDDEV_SAMP", "VARIANCE": "VAR_SAMP"}
BUILT = ("LISTAGG", "COLLECT", "ARRAY_AGG", "JSON_OBJECTAGG", "JSON_ARRAYAGG", "PERCENTILE", "SUM0")
"""Made of all values of a group: see ``collecting``."""
NOT_YET = frozenset(
    f"BITMAP_{x}_AGG" for x in (*(f"{y}{z}" for y in ("BUILD", "AND", "OR", "XOR") for z in ("", "_CARDINALITY")),)
)

GROUPING = ("GROUPING", "GROUPING_ID", "GROUP_ID")
"""What tells the sets of a GROUP BY apart; bound like aggregates, computed while planning."""


def is_aggregate(name: str) -> bool:
    """Whether a name in upper case is an aggregate function."""
    return name in NAMES or name in BUILT or name in _ALIASES or name in GROUPING


def canonical(name: str) -> str:
    """The engine's name of an aggregate function."""
    return _ALIASES.get(name, name)


def bind(name: str, args: Sequence[Expr], *, star: bool) -> tuple[SqlType, list[Expr]]:
    """The type of a call and its arguments.

    Raises:
        ArgumentError: it does not take these.
    """
    if name in BUILT:
        raise ArgumentError(
            f"{name} is not supported yet with OVER and in MATCH_RECOGNIZE",
            "Use it with GROUP BY in a query of its own.",
        )
    if name in GROUPING:
        if star or (name == "GROUP_ID") != (not args):
            raise ArgumentError(f"{name} takes {'no arguments' if name == 'GROUP_ID' else 'expressions of GROUP BY'}")
        return t.BIGINT.with_nullable(False), list(args)
    if name == "COUNT":
        if star:
            return t.BIGINT.with_nullable(False), []
        if len(args) != 1:
            raise ArgumentError(
                f"COUNT takes one argument or *, not {len(args)}", "Count a ROW of several columns in a subquery."
            )
        return t.BIGINT.with_nullable(False), list(args)
    if star or len(args) != 1:
        raise ArgumentError(f"{name} takes one argument, not {'*' if star else len(args)}")
    x = args[0].type
    if x.kind is Kind.NULL:
        raise ArgumentError(f"{name}(NULL) has no type", "Give it one: CAST(NULL AS INT).")
    if name in ("MIN", "MAX"):
        if x.kind in (Kind.ARRAY, Kind.MAP, Kind.ROW, Kind.MULTISET) or x.is_bytes:
            raise ArgumentError(f"{name} does not take {x.with_nullable(True)}")
        return x, list(args)
    if name in ("FIRST_VALUE", "LAST_VALUE"):
        return x.with_nullable(True), list(args)
    if not x.is_numeric:
        hint = "Convert with CAST(… AS DOUBLE)." if x.is_text else ""
        raise ArgumentError(f"{name} takes numbers, not {x.with_nullable(True)}", hint)
    type_ = sum_type(x) if name == "SUM" else avg_type(x)
    return type_.with_nullable(x.nullable or x.kind is Kind.DECIMAL), list(args)
