"""Which calls a kernel does: from a call's constants a function of its first argument's column, or None.

The function's general form (``build``) stays the reference, and does the rows that a kernel leaves undecided.
"""

# ruff: noqa: ARG001 -- every plan takes the same arguments

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl

from deras.core.column import Column
from deras.core.types import Kind, SqlType

if TYPE_CHECKING:
    from deras.sql.functions.registry import CallContext, Kernel

Build = Callable[..., Any]


def general(c: CallContext, build: Build, *, host: bool) -> Kernel:
    """The general form as a function of the first argument's column."""

    def run(x: Column) -> Column:
        from deras.sql.expr.compile import frame_type, literal
        from deras.sql.expr.program import column_of, frame_series

        s = frame_series(x)
        rest = list(zip(c.constants[1:], c.types[1:], strict=True))
        if host:
            given = [pl.Series("", [v], dtype=frame_type(t)).new_from_index(0, len(s)) for v, t in rest]
            return column_of(build(c, s, *given), c.type)
        made = build(c, pl.col("x"), *(literal(v, t) for v, t in rest))
        return column_of(s.to_frame("x").select(made).to_series(), c.type)

    return run


def _constant(c: CallContext) -> bool:
    return all(c.literal[1:]) and None not in c.constants[1:]


def split_index(c: CallContext, build: Build) -> Kernel | None:
    """SPLIT_INDEX with a constant separator and place."""
    if not _constant(c) or not c.constants[1] or c.constants[2] < 0:
        return None
    from deras.sql.kernels.columns import split_index as made

    return made(c.type, c.constants[1], c.constants[2])


def upper(c: CallContext, build: Build) -> Kernel | None:
    """UPPER."""
    from deras.sql.kernels.columns import case

    return case(c.type, "a", general(c, build, host=False))


def lower(c: CallContext, build: Build) -> Kernel | None:
    """LOWER."""
    from deras.sql.kernels.columns import case

    return case(c.type, "A", general(c, build, host=False))


def date_format(c: CallContext, build: Build) -> Kernel | None:
    """DATE_FORMAT of moments by a pattern of fixed length."""
    source = c.types[0]
    if not _constant(c) or not source.is_timestamp:
        return None
    from deras.sql.kernels.columns import moment_text

    if source.kind is not Kind.TIMESTAMP_LTZ:
        return moment_text(c.type, c.constants[1], source, general(c, build, host=False))
    wall = SqlType(Kind.TIMESTAMP, source.precision)
    context = replace(c, types=(wall, *c.types[1:]), fails=[])
    made = moment_text(c.type, c.constants[1], wall, general(context, build, host=False))
    if made is None:
        return None

    def run(x: Column) -> Column:
        if c.zone == "UTC":
            return made(Column.of_words(wall, x.words(), x.valid()))
        local = x.series().dt.convert_time_zone(c.zone).dt.replace_time_zone(None)
        return made(Column.of_series(wall, local))

    return run


def regexp_extract(c: CallContext, build: Build) -> Kernel | None:
    """REGEXP_EXTRACT by a constant pattern whose meaning is the same to all engines."""
    from deras.sql.functions.regex import simple

    if not _constant(c) or not simple(c.constants[1]):
        return None
    from deras.sql.kernels.columns import extract

    group = c.constants[2] if len(c.constants) > 2 else 0
    return extract(c.type, c.constants[1], group, general(c, build, host=True))


def multiply(c: CallContext, build: Build) -> Kernel | None:
    """``*`` of an integer (as DECIMAL of scale 0) or a short DECIMAL and a constant, where it gives a long DECIMAL."""
    if c.type.kind is not Kind.DECIMAL or c.type.precision <= 18 or sum(c.literal) != 1:
        return None
    at = c.literal.index(False)
    factor, source = c.constants[1 - at], c.types[at]
    if factor is None or abs(factor) >= 1 << 63 or source.kind is not Kind.DECIMAL:
        return None
    from deras.sql.kernels.columns import product

    return product(c.type, factor)
