"""Conditional functions; all are CASE, so what is not asked for cannot fail."""

# ruff: noqa: ARG001 -- every implementation takes the same arguments

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from deras.sql.expr.nodes import Case
from deras.sql.functions.operators import case, comparison, test
from deras.sql.functions.registry import CallContext, scalar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.sql.expr.nodes import Expr, Where


@scalar("COALESCE(same...)", kind="macro")
def coalesce(args: Sequence[Expr], at: Where | None) -> Expr:
    """The first value that is not NULL; those after it are not computed.

    Example:
        >>> COALESCE(NULL, 2, 1 / 0)
        2
    """
    found = args[-1]
    for a in reversed(args[:-1]):
        found = case([test(a, "NOT NULL", at)], [a, found], at)
        if not args[-1].type.nullable:
            from dataclasses import replace

            found = replace(found, type=found.type.with_nullable(False))
    return found


@scalar("IFNULL(same, same)", kind="macro")
def ifnull(args: Sequence[Expr], at: Where | None) -> Expr:
    """The first value, or the second where it is NULL.

    Example:
        >>> IFNULL(CAST(NULL AS INT), 5)
        5
    """
    return coalesce(args, at)  # type: ignore[no-any-return]


@scalar("NULLIF(any, any)", kind="macro")
def nullif(args: Sequence[Expr], at: Where | None) -> Expr:
    """NULL if both are equal, else the first.

    Example:
        >>> NULLIF(5, 5)
        NULL
    """
    from deras.core import types as t
    from deras.sql.expr.nodes import Literal

    a, b = args
    return case([comparison("=", a, b, at)], [Literal(t.NULL, None), a], at)


@scalar("IF(boolean, same, same)", kind="macro")
def if_(args: Sequence[Expr], at: Where | None) -> Expr:
    """The second value where the condition is TRUE, else the third.

    Example:
        >>> IF(2 > 1, 'yes', 'no')
        yes
    """
    made = case([args[0]], [args[1], args[2]], at)
    assert isinstance(made, Case)  # noqa: S101 (for the type checker)
    return replace(made, type=made.type.with_nullable(made.type.nullable or args[0].type.nullable))


def _extreme(c: CallContext, args: Sequence[pl.Expr], *, most: bool) -> pl.Expr:
    found = (pl.max_horizontal if most else pl.min_horizontal)(args)
    # One NULL makes the result NULL, unlike in Polars.
    return pl.when(pl.all_horizontal([a.is_not_null() for a in args])).then(found)


@scalar("GREATEST(same...) -> same")
def greatest(c: CallContext, *args: pl.Expr) -> pl.Expr:
    """The greatest value; NULL if one is NULL.

    Example:
        >>> GREATEST(1, 3, 2)
        3
    """
    return _extreme(c, args, most=True)


@scalar("LEAST(same...) -> same")
def least(c: CallContext, *args: pl.Expr) -> pl.Expr:
    """The least value; NULL if one is NULL.

    Example:
        >>> LEAST(2, 1.5)
        1.5
    """
    return _extreme(c, args, most=False)


@scalar("IS_ALPHA(text) -> BOOLEAN", nullable=False)
def is_alpha(c: CallContext, x: pl.Expr) -> pl.Expr:
    """Whether all characters are letters.

    Example:
        >>> IS_ALPHA('abc')
        TRUE
    """
    return x.str.contains(r"^\p{L}+$").fill_null(value=False)


@scalar("IS_DIGIT(text) -> BOOLEAN", nullable=False)
def is_digit(c: CallContext, x: pl.Expr) -> pl.Expr:
    """Whether all characters are digits.

    Example:
        >>> IS_DIGIT('12')
        TRUE
    """
    return x.str.contains(r"^\p{Nd}+$").fill_null(value=False)


@scalar("IS_DECIMAL(text) -> BOOLEAN", nullable=False)
def is_decimal(c: CallContext, x: pl.Expr) -> pl.Expr:
    """Whether the text is a number.

    Example:
        >>> IS_DECIMAL('1.5')
        TRUE
    """
    return x.str.strip_chars().str.contains(r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$").fill_null(value=False)


@scalar("CURRENT_DATABASE() -> STRING", kind="macro")
def current_database(args: Sequence[Expr], at: Where | None) -> Expr:
    """The name of the current database.

    Example:
        >>> CURRENT_DATABASE()
        default_database
    """
    # The binder, which knows the catalog, answers before this is asked.
    from deras.core.types import STRING
    from deras.sql.catalog import DATABASE
    from deras.sql.expr.nodes import Literal

    return Literal(STRING.with_nullable(False), DATABASE, at=at)
