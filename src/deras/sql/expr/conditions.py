"""Conditions that are nothing but comparisons of words: answered by NumPy on the columns as they are.

For a handful of columns a call of Polars costs more than the comparing. What is not of this simple form is left to
:class:`deras.sql.expr.program.RowProgram`, which means the same.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.delta import Delta
from deras.core.types import Kind, Layout, SqlType
from deras.sql.expr import nodes as e

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deras.core.column import Column
    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.operator import RowErrors

Mask = npt.NDArray[np.bool_]

_COMPARE: dict[str, Any] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


def words_condition(x: e.Expr) -> Callable[[Sequence[Column]], Mask] | None:
    """Where a condition is TRUE, from the columns; None if it is not made of comparisons of words alone."""
    if isinstance(x, e.Logic):
        parts = [words_condition(t) for t in x.terms]
        if any(part is None for part in parts):
            return None
        join = np.logical_and if x.op == "AND" else np.logical_or
        # TRUE of both is TRUE of each, and of one is TRUE of any: NULL needs no answer of its own.
        return lambda columns: join.reduce([part(columns) for part in parts if part is not None])
    if not isinstance(x, e.Call) or x.function.name not in _COMPARE or len(x.args) != 2:
        return None
    compare = _COMPARE[x.function.name]
    a, b = x.args
    if not isinstance(a, e.InputRef) or not _alike(a.type, b.type):
        return None
    if isinstance(b, e.InputRef):
        i, j = a.index, b.index
        return lambda columns: _known(compare(columns[i].words(), columns[j].words()), columns[i], columns[j])
    if isinstance(b, e.Literal) and type(b.value) is int and _LEAST <= b.value <= _MOST:
        i, value = a.index, np.int64(b.value)
        return lambda columns: _known(compare(columns[i].words(), value), columns[i])
    return None


def _alike(a: SqlType, b: SqlType) -> bool:
    """Whether the words of two types compare as their values do."""
    if a.layout is not Layout.WORDS or b.layout is not Layout.WORDS:
        return False
    if a.is_integer and b.is_integer:
        return True
    if a.kind is not b.kind or a.kind is Kind.BOOLEAN:
        return False
    return a.nanoseconds == b.nanoseconds and (a.kind is not Kind.DECIMAL or a.scale == b.scale)


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
