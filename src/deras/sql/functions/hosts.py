"""Functions that are plain Python over the values of a row; what is made of the same values is made once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from deras.core.types import Kind, SqlType, polars_type
from deras.sql.expr.nodes import Call, Expr, Where
from deras.sql.functions.registry import ArgumentError, CallContext, Function, cast_to
from deras.sql.types import common_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FAILED = object()
"""What an implementation gives where a row fails."""
_ENOUGH = 1 << 12


def plain(s: pl.Series, t: SqlType) -> list[Any]:
    """Values of a frame's series as Python has them: DECIMAL as ``Decimal``, MAP as a list of entries."""
    from deras.sql.expr.python import logical

    return logical(s, t).to_list()


def made(out: Sequence[Any], t: SqlType) -> pl.Series:
    """Python values as a frame's series."""
    from deras.sql.expr.python import physical

    if t.kind is Kind.DECIMAL:
        from deras.sql.expr import decimals

        return decimals.series([None if v is None else decimals.to_scaled(v, t) for v in out], t)
    return physical(pl.Series("", out, dtype=polars_type(t), strict=False), t)


def rows(c: CallContext, args: Sequence[pl.Series]) -> Iterator[tuple[Any, ...]]:
    """The rows of the arguments."""
    return zip(*(plain(s, t) for s, t in zip(args, c.types, strict=True)), strict=True)


def each(f: Callable[..., Any], *, nulls: bool = False) -> Callable[..., Any]:
    """A host function that calls ``f`` for every row.

    Args:
        f: gives the value, None for NULL, or ``FAILED``.
        nulls: call it also where an argument is NULL; else the result is NULL there.
    """

    def build(c: CallContext, *args: pl.Series) -> Any:
        out: list[Any] = []
        known: dict[Any, Any] = {}
        failed = np.zeros(len(args[0]) if args else 1, np.bool_)
        hashable = not any(t.children for t in c.types)
        for i, values in enumerate(rows(c, args)):
            if not nulls and None in values:
                out.append(None)
                continue
            if hashable:
                if values not in known:
                    if len(known) >= _ENOUGH:
                        known.clear()
                    known[values] = f(*values)
                v = known[values]
            else:
                v = f(*values)
            if v is FAILED:
                failed[i] = True
                v = None
            out.append(v)
        return made(out, c.type), failed if failed.any() else None

    build.__doc__ = f.__doc__
    build.__module__ = f.__module__
    return build


def host(name: str, f: Callable[..., Any], *, nulls: bool = False) -> Function:
    """A function without signatures, for macros."""
    return Function(name, "host", (), each(f, nulls=nulls), family=f.__module__.rpartition(".")[2])


def call_host(function: Function, type_: SqlType, args: Sequence[Expr], at: Where | None) -> Expr:
    """A call of it."""
    return Call(type_, function, tuple(args), at=at)


def element_with(array: Expr, *others: Expr) -> SqlType:
    """The type of elements that an array's elements and the other values have in common.

    Raises:
        ArgumentError: there is none.
    """
    found = common_type([array.type.children[0], *(o.type for o in others)])
    if found is None:
        shown = ", ".join(str(o.type.with_nullable(True)) for o in others)
        raise ArgumentError(f"the elements of {array.type.with_nullable(True)} have no type in common with {shown}")
    return found


def array_as(x: Expr, element: SqlType) -> Expr:
    """An array with elements of another type."""
    return cast_to(x, SqlType(Kind.ARRAY, children=(element,), nullable=x.type.nullable))


def frozen(v: Any) -> Any:
    """Something that can be compared and looked up by: equal where the values are."""
    if isinstance(v, dict):
        return tuple((k, frozen(x)) for k, x in v.items())
    if isinstance(v, list):
        return tuple(frozen(x) for x in v)
    return v
