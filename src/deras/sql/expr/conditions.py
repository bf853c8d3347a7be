"""Conditions that are nothing but comparisons of words: answered by NumPy on the columns as they are.

For a handful of columns a call of Polars costs more than the comparing. What is not of this simple form is left to
:class:`deras.sql.expr.program.RowProgram`, which means the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.delta import Delta
from deras.sql.expr import nodes as e
from deras.sql.expr.comparing import COMPARE, LEAST, MOST, alike

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deras.core.column import Column
    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.operator import RowErrors

Mask = npt.NDArray[np.bool_]


def words_condition(x: e.Expr) -> Callable[[Sequence[Column]], Mask] | None:
    """Where a condition is TRUE, from the columns; None if it is not made of comparisons of words alone."""
    if isinstance(x, e.Logic):
        parts = [words_condition(t) for t in x.terms]
        if any(part is None for part in parts):
            return None
        join = np.logical_and if x.op == "AND" else np.logical_or
        # TRUE of both is TRUE of each, and of one is TRUE of any: NULL needs no answer of its own.
        return lambda columns: join.reduce([part(columns) for part in parts if part is not None])
    if not isinstance(x, e.Call) or x.function.name not in COMPARE or len(x.args) != 2:
        return None
    compare = COMPARE[x.function.name]
    a, b = x.args
    if not isinstance(a, e.InputRef) or not alike(a.type, b.type):
        return None
    if isinstance(b, e.InputRef):
        i, j = a.index, b.index
        return lambda columns: _known(compare(columns[i].words(), columns[j].words()), columns[i], columns[j])
    if isinstance(b, e.Literal) and type(b.value) is int and LEAST <= b.value <= MOST:
        i, value = a.index, np.int64(b.value)
        return lambda columns: _known(compare(columns[i].words(), value), columns[i])
    return None


def passing(x: e.Expr, zone: str) -> Callable[[Sequence[Column]], Mask] | None:
    """Where a condition over columns is TRUE, from the columns; None if the general program must say it."""
    found = words_condition(x)
    if found is None:
        from deras.sql.expr.direct import condition

        found = condition(x, zone)
    return found


def _known(found: Any, *columns: Column) -> Mask:
    """Without the rows in which one of the columns is NULL."""
    for c in columns:
        valid = c.valid()
        if valid is not None:
            found = found & (valid != 0)
    return found  # type: ignore[no-any-return]


class WordsFilter:
    """A filter of all columns as they are: the ``Program`` of the engine's contract.

    Args:
        schema: of the rows.
        condition: from :func:`words_condition`.
    """

    def __init__(self, schema: Schema, condition: Callable[[Sequence[Column]], Mask]) -> None:
        self.schema = schema
        self.passing = condition

    def run(self, delta: Delta, tick: Tick) -> tuple[Delta, Sequence[RowErrors]]:
        """The rows of which the condition is TRUE. None can fail."""
        if not delta.length:
            return Delta.empty(self.schema), ()
        found = self.passing(delta.columns)
        if found.all():
            return delta, ()
        return delta.take(np.flatnonzero(found)), ()
