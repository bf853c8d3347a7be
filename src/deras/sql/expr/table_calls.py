"""Calls of users' Python table functions: a row that raises fails alone, with its traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deras.engine.operator import RowErrors
from deras.engine.operators.correlate import Rows, TableProgram
from deras.sql.expr.program import column_of, frame_series
from deras.sql.expr.python import logical, python_values, series_of, trace
from deras.sql.functions.udtf import UserTableFunction, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.column import Column
    from deras.core.delta import Delta
    from deras.core.time import Tick
    from deras.core.types import SqlType


class TableCalls(TableProgram):
    """Calls a table function for every row.

    Args:
        function: what is called.
        types: of the arguments.
        args: positions of the arguments in the input.
    """

    def __init__(self, function: UserTableFunction, types: Sequence[SqlType], args: Sequence[int]) -> None:
        self.function = function
        self.fields = function.fields
        self.types = types
        self.args = args

    def run(self, delta: Delta, tick: Tick) -> tuple[Rows, list[Column], Sequence[RowErrors]]:
        """Call it; what one call gives is taken whole or not at all."""
        given = [
            python_values(logical(frame_series(delta.columns[a]), t), t)
            for a, t in zip(self.args, self.types, strict=True)
        ]
        f, width = self.function.function, len(self.fields)
        made: list[list[Any]] = [[] for _ in self.fields]
        rows: list[int] = []
        failed: dict[int, str] = {}
        for i, values in enumerate(zip(*given, strict=True) if given else (() for _ in range(delta.length))):
            try:
                found = rows_of(f(*values), width)
            except Exception as e:  # noqa: BLE001 (a user's function may raise anything)
                failed[i] = f"table function {self.function.name} failed: {trace(e)}"
                continue
            for r in found:
                rows.append(i)
                for held, v in zip(made, r, strict=True):
                    held.append(v)
        columns = []
        bad: dict[int, str] = {}
        for field, column in zip(self.fields, made, strict=True):
            series, messages = series_of(column, field.type, f"table function {self.function.name}")
            bad |= messages
            columns.append(column_of(series, field.type))
        at = np.array(rows, np.int64)
        if bad:
            for k, text in bad.items():
                failed[rows[k]] = text
            keep = np.flatnonzero(~np.isin(at, list(failed)))
            at, columns = at[keep], [c.take(keep) for c in columns]
        if not failed:
            return at, columns, ()
        places = sorted(failed)
        return at, columns, [RowErrors(np.array(places, np.int64), [failed[p] for p in places], "udf")]
