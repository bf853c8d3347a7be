"""Table functions: each row with the rows that a function makes of it."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.column import Column
from deras.core.types import Kind
from deras.engine.operator import Operator, Out
from deras.engine.rejects import reject_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.delta import Delta
    from deras.core.schema import Field, Schema
    from deras.core.time import Tick
    from deras.engine.operator import RowErrors

Rows = npt.NDArray[np.int64]


class TableProgram(abc.ABC):
    """What makes rows of rows. It keeps nothing, and gives the same rows for the same row: a row that goes takes back
    what it brought.

    Args (attributes):
        fields: the columns that it adds.
    """

    fields: tuple[Field, ...]

    @abc.abstractmethod
    def run(self, delta: Delta, tick: Tick) -> tuple[Rows, list[Column], Sequence[RowErrors]]:
        """The rows made of a delta.

        Returns:
            For each new row the position of the row that it was made of (ascending), the columns of ``fields``, and
            the rows for which it failed (these have no new rows).
        """


class Unnest(TableProgram):
    """The elements of a collection.

    Args:
        column: position of the ARRAY, MULTISET or MAP.
        fields: what an element becomes: one column, or one for each field of an element ROW, or key and value of a
            MAP; with ``ordinality`` one more, its place from 1.
        ordinality: whether there is that one.
    """

    def __init__(self, column: int, fields: tuple[Field, ...], *, ordinality: bool = False) -> None:
        self.column = column
        self.fields = fields
        self.ordinality = ordinality

    def run(self, delta: Delta, tick: Tick) -> tuple[Rows, list[Column], Sequence[RowErrors]]:
        """Explode the column."""
        held = delta.columns[self.column]
        lists = held.series()
        sizes = lists.list.len().fill_null(0).to_numpy().astype(np.int64)
        rows = np.repeat(np.arange(len(sizes)), sizes)
        flat = lists.filter(sizes > 0).explode()
        if held.type.kind is Kind.MULTISET:
            # An element is kept once, with how often it is there.
            often = flat.struct.field("value").to_numpy().astype(np.int64)
            rows = np.repeat(rows, often)
            flat = flat.struct.field("key").gather(np.repeat(np.arange(len(often)), often))
            sizes = np.bincount(rows, minlength=len(sizes)).astype(np.int64)
        n = len(self.fields) - self.ordinality
        element = held.type.children[0]
        if held.type.kind is Kind.MAP:
            parts = [flat.struct.field("key"), flat.struct.field("value")]
        elif element.kind is Kind.ROW:
            parts = [flat.struct.field(name) for name in element.names]
        else:
            parts = [flat]
        columns = [Column.of_series(f.type, s) for f, s in zip(self.fields[:n], parts, strict=True)]
        if self.ordinality:
            first = np.cumsum(sizes) - sizes
            columns.append(Column.of_words(self.fields[n].type, np.arange(len(rows)) - first[rows] + 1))
        return rows, columns, ()


class Correlate(Operator):
    """Each row with the rows that a table function makes of it.

    Args:
        input: schema of the input.
        program: the function.
        outer: whether a row of which nothing is made goes out with NULLs.
        schema: of the output: the input's columns, then the program's.
        append_only: whether the input only inserts.
        origin: what rejected rows are said to come from.
    """

    def __init__(
        self,
        input: Schema,  # noqa: A002
        program: TableProgram,
        outer: bool,
        schema: Schema,
        append_only: bool = True,
        origin: str = "Correlate",
    ) -> None:
        self.input = input
        self.program = program
        self.outer = outer
        self.schema = schema
        self.append_only = append_only
        self.origin = origin
        self._rowtime = next((i for i, f in enumerate(input) if f.time == "rowtime"), None)

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Run the function on each new row."""
        delta = deltas[0]
        if delta is None or not delta.length:
            return Out()
        rows, columns, errors = self.program.run(delta, tick)
        dropped = reject_errors(delta, errors, self.origin, self._rowtime) if errors else ()
        if self.outer:
            rows, columns = self._padded(delta.length, rows, columns, errors)
        wide = delta.take(rows)
        return Out(wide.with_columns(self.schema, [*wide.columns, *columns]), dropped)

    @staticmethod
    def _padded(n: int, rows: Rows, columns: list[Column], errors: Sequence[RowErrors]) -> tuple[Rows, list[Column]]:
        alone = np.ones(n, np.bool_)
        alone[rows] = False
        for e in errors:
            alone[e.rows] = False
        missing = np.flatnonzero(alone)
        if not len(missing):
            return rows, columns
        both = np.concatenate([rows, missing])
        order = np.argsort(both, kind="stable")
        padded = []
        for c in columns:
            nothing = Column.nulls(c.type, len(missing))
            padded.append(Column.concat([c, nothing]).take(order) if len(c) else nothing)
        return both[order], padded

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {"operator": "Correlate", "columns": self.schema.names, "state": "none"}


class Repeat(Operator):
    """Each row as often as one of its columns says.

    Args:
        times: position of that column, a BIGINT without NULLs.
        schema: of the output: the input without it, if it is the last.
        append_only: whether the input only inserts.
    """

    def __init__(self, times: int, schema: Schema, append_only: bool = True) -> None:
        self.times = times
        self.schema = schema
        self.append_only = append_only

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Copy the rows."""
        delta = deltas[0]
        if delta is None or not delta.length:
            return Out()
        rows = np.repeat(np.arange(delta.length), np.maximum(delta.columns[self.times].words(), 0))
        wide = delta.take(rows)
        return Out(wide.with_columns(self.schema, [c for i, c in enumerate(wide.columns) if i != self.times]))

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {"operator": "Repeat", "state": "none"}
