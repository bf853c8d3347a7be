"""Calls of users' Python aggregate functions."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import polars as pl

from deras.core.errors import RowError
from deras.core.types import Layout, polars_type
from deras.engine.user_aggregates import AggregateProgram
from deras.sql.expr.program import column_of, frame_series
from deras.sql.expr.python import logical, python_values, series_of, trace
from deras.sql.functions import kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.column import Column
    from deras.core.types import SqlType
    from deras.sql.functions.udaf import UserAggregate


class AggregateCalls(AggregateProgram):
    """Calls the methods of an aggregate function.

    Args:
        function: what is called.
        types: of the arguments.
    """

    def __init__(self, function: UserAggregate, types: Sequence[SqlType]) -> None:
        self.function = function
        self.types = tuple(types)
        self.name = function.name
        self.retracts = self._retracts()
        self._shared = function.result_type.layout is Layout.NESTED

    def _retracts(self) -> bool:
        return callable(getattr(self.function.function, "retract", None))

    def rows(self, columns: Sequence[Column], length: int) -> list[tuple[Any, ...]]:
        """Python values."""
        if not columns:
            return [()] * length
        given = [python_values(logical(frame_series(c), t), t) for c, t in zip(columns, self.types, strict=True)]
        return list(zip(*given, strict=True))

    def create(self) -> Any:
        """``create_accumulator()``."""
        return self.function.function.create_accumulator()

    def accumulate(self, accumulator: Any, args: tuple[Any, ...]) -> None:
        """``accumulate(accumulator, …)``."""
        self.function.function.accumulate(accumulator, *args)

    def retract(self, accumulator: Any, args: tuple[Any, ...]) -> None:
        """``retract(accumulator, …)``."""
        self.function.function.retract(accumulator, *args)

    def value(self, accumulator: Any) -> Any:
        """``get_value(accumulator)``."""
        try:
            found = self._value(accumulator)
        except Exception as e:
            raise RowError(f"aggregate function {self.name} failed to give its value", detail=trace(e)) from e
        # A list that goes out must not change with the accumulator.
        return copy.deepcopy(found) if self._shared else found

    def _value(self, accumulator: Any) -> Any:
        return self.function.function.get_value(accumulator)

    def column(self, values: Sequence[Any]) -> Column:
        """The results; one of another type is an error."""
        t = self.function.result_type.with_nullable(True)
        series, wrong = series_of(list(values), t, f"aggregate function {self.name}")
        if wrong:
            raise RowError(next(iter(wrong.values())), hint="Declare the result_type that it gives.")
        return column_of(series, t)

    def save(self, accumulator: Any) -> str:
        """As JSON."""
        return kept.dumps(accumulator, f"the accumulator of aggregate function {self.name}")

    def load(self, text: str) -> Any:
        """From JSON."""
        return kept.loads(text)

    def message(self, e: Exception) -> str:
        """With the user's frames."""
        return f"aggregate function {self.name} failed: {trace(e)}"


class ColumnCalls(AggregateCalls):
    """Calls a function of columns with all rows of a group; the rows are its accumulator."""

    def _retracts(self) -> bool:
        return True

    def create(self) -> Any:
        """No rows."""
        return []

    def accumulate(self, accumulator: Any, args: tuple[Any, ...]) -> None:
        """One more row."""
        accumulator.append(args)

    def retract(self, accumulator: Any, args: tuple[Any, ...]) -> None:
        """One row less."""
        accumulator.remove(args)

    def _value(self, accumulator: Any) -> Any:
        columns = list(zip(*accumulator, strict=True)) if accumulator else [()] * len(self.types)
        given: list[Any] = [
            pl.Series("", list(c), dtype=polars_type(t)) for c, t in zip(columns, self.types, strict=True)
        ]
        if self.function.func_type == "numpy":
            given = [s.to_numpy() for s in given]
        elif self.function.func_type == "pandas":
            given = [s.to_pandas() for s in given]
        found = self.function.function(*given)
        if hasattr(found, "item") and getattr(found, "ndim", 0) == 0:
            found = found.item()
        if isinstance(found, float) and self.function.func_type == "pandas":
            if found != found:
                return None
            # Integers beside a NULL are floats in pandas.
            if self.function.result_type.is_integer and found.is_integer():
                return int(found)
        return found
