"""Calls of users' Python process functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deras.core.errors import RowError
from deras.engine.operators.process import Context, ProcessProgram
from deras.sql.expr.program import column_of, frame_series
from deras.sql.expr.python import logical, python_values, series_of, trace
from deras.sql.functions import kept
from deras.sql.functions.pyflink.row import Row
from deras.sql.functions.udtf import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.column import Column
    from deras.core.delta import Delta
    from deras.core.schema import Schema
    from deras.sql.functions.process import UserProcess


class ProcessCalls(ProcessProgram):
    """Calls the methods of a process function.

    Args:
        function: its declaration.
        made: the object.
        input: schema of the rows.
        args: constant arguments by name.
    """

    def __init__(self, function: UserProcess, made: Any, input: Schema, args: dict[str, Any]) -> None:  # noqa: A002
        self.function = function
        self.made = made
        self.name = function.name
        self.fields = function.fields
        self.args = args
        self.names = input.names
        self.timed = callable(getattr(made, "on_timer", None))

    def _values(self, columns: Sequence[Column], length: int) -> list[tuple[Any, ...]]:
        if not columns:
            return [()] * length
        return list(zip(*(python_values(logical(frame_series(c), c.type), c.type) for c in columns), strict=True))

    def rows(self, delta: Delta) -> list[Any]:
        """Rows with names."""
        made = []
        for values in self._values(delta.columns, delta.length):
            row = Row(*values)
            row.set_field_names(self.names)
            made.append(row)
        return made

    def keys(self, columns: Sequence[Column], length: int) -> list[tuple[Any, ...]]:
        """Python values."""
        return self._values(columns, length)

    def process(self, context: Context, row: Any) -> list[tuple[Any, ...]]:
        """``process(context, row)``."""
        return self._given(self.made.process(context, row))

    def on_timer(self, context: Context, timestamp: int) -> list[tuple[Any, ...]]:
        """``on_timer(context, timestamp)``."""
        if not self.timed:
            raise RowError(
                f"process function {self.name} registers timers, and has no method on_timer",
                hint="Give it on_timer(self, context, timestamp).",
            )
        try:
            return self._given(self.made.on_timer(context, timestamp))
        except Exception as e:
            raise RowError(f"process function {self.name} failed in on_timer", detail=trace(e)) from e

    def _given(self, found: Any) -> list[tuple[Any, ...]]:
        rows = rows_of(found, len(self.fields))
        for row in rows:
            for field, v in zip(self.fields, row, strict=True):
                _, wrong = series_of([v], field.type, f"column {field.name} of process function {self.name}")
                if wrong:
                    raise TypeError(wrong[0])
        return rows

    def columns(self, rows: Sequence[tuple[Any, ...]]) -> list[Column]:
        """Checked values as columns."""
        found = []
        for field, values in zip(self.fields, zip(*rows, strict=True), strict=True):
            series, _ = series_of(list(values), field.type, self.name)
            found.append(column_of(series, field.type))
        return found

    def save(self, kept_: Any) -> str:
        """As JSON."""
        return kept.dumps(kept_, f"the state of process function {self.name}")

    def load(self, text: str) -> Any:
        """From JSON."""
        return kept.loads(text)

    def message(self, e: Exception) -> str:
        """With the user's frames."""
        return f"process function {self.name} failed: {trace(e)}"
