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

DOCUMENTED = (
    ("COUNT(*)", "The number of rows."),
    ("COUNT(any)", "The number of values."),
    ("SUM(number)", "The sum, in the type of the argument (it wraps); of DECIMAL(p, s) a DECIMAL(38, s)."),
    ("SUM0(number)", "The sum; 0 where there is no value. (**ours**)"),
    ("AVG(number)", "The mean, in the type of the argument; of DECIMAL(p, s) a DECIMAL(38, max(6, s))."),
    ("MIN(any), MAX(any)", "The least and the greatest value."),
    ("FIRST_VALUE(any), LAST_VALUE(any)", "The first and the last value that came and is still there."),
    ("STDDEV_POP(number), STDDEV_SAMP(number), STDDEV(number)", "The standard deviation, of all or of a sample."),
    ("VAR_POP(number), VAR_SAMP(number), VARIANCE(number)", "The variance, of all or of a sample."),
    ("PERCENTILE(number, share[, frequency])", "The value at a share (0 to 1, or an ARRAY of such), interpolated."),
    ("LISTAGG(text[, separator])", "The values as one text with a separator (a comma) between them, as they came."),
    ("ARRAY_AGG(any) [IGNORE NULLS]", "The values as an ARRAY, as they came; with NULLs."),
    ("COLLECT(any)", "The values as a MULTISET."),
    ("JSON_ARRAYAGG(any [ABSENT|NULL ON NULL])", "The values as a JSON array, as they came."),
    ("JSON_OBJECTAGG(KEY text VALUE any [NULL|ABSENT ON NULL])", "Keys and values as a JSON object."),
    ("GROUPING(key, …), GROUPING_ID(key, …)", "Which keys this row's set of GROUPING SETS leaves out."),
)
"""For the reference page."""

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
