"""What a sink's table promises of its columns, enforced before it: NOT NULL, and the lengths of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.types import Kind
from deras.engine.operator import Operator, Out
from deras.engine.rejects import reject_rows, without

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.records import Rejected
    from deras.core.schema import Schema
    from deras.core.time import Tick


class Constraints(Operator):
    """Puts rows aside that a table does not take, or makes their texts fit.

    Args:
        schema: of the rows, with the table's types.
        not_null: positions that may hold no NULL.
        lengths: positions of CHAR, VARCHAR, BINARY and VARBINARY columns that must fit.
        fit: ``TRIM_PAD`` cuts and fills, ``ERROR`` rejects what is too long.
        drop: whether rows with a NULL are meant to go: they never fail the job.
        origin: of rejected rows.
        append_only: whether the input only inserts.
    """

    def __init__(
        self,
        schema: Schema,
        not_null: Sequence[int],
        lengths: Sequence[int] = (),
        fit: Literal["TRIM_PAD", "ERROR"] = "ERROR",
        drop: bool = False,
        origin: str = "Constraints",
        append_only: bool = True,
    ) -> None:
        self.schema = schema
        self.not_null = tuple(not_null)
        self.lengths = tuple(lengths)
        self.fit = fit
        self.drop = drop
        self.origin = origin
        self.append_only = append_only

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Check and fit one delta."""
        delta = deltas[0]
        if delta is None or not delta.length:
            return Out()
        dropped: list[Rejected] = []
        for i in self.not_null:
            valid = delta.columns[i].valid()
            if valid is not None:
                delta = self._without(delta, np.flatnonzero(valid == 0), f"NULL in {self._name(i)}", dropped, self.drop)
        columns = list(delta.columns)
        for i in self.lengths:
            if self.fit == "TRIM_PAD":
                columns[i] = _fitted(columns[i])
            else:
                t = self.schema[i].type
                long = np.flatnonzero(_lengths(delta.columns[i]).fill_null(0).to_numpy() > t.precision)
                delta = self._without(delta, long, f"the value is too long for {self._name(i)}", dropped, False)
                columns = list(delta.columns)
        out = Delta(self.schema, columns, delta.weights, delta.marks, delta.length)
        return Out(out if out.length else None, dropped)

    def _name(self, i: int) -> str:
        f = self.schema[i]
        return f"column '{f.name}' ({f.type})"

    def _without(self, delta: Delta, rows: Any, message: str, dropped: list[Rejected], meant: bool) -> Delta:
        if not len(rows):
            return delta
        # A row that goes was reported when it came.
        told = rows if delta.weights is None else rows[delta.weights[rows] > 0]
        if len(told):
            r = reject_rows(delta, told, [message] * len(told), reason="constraint", origin=self.origin)
            r.meant = meant
            dropped.append(r)
        return without(delta, rows)

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {"operator": "Constraints", "not_null": [self.schema[i].name for i in self.not_null], "state": "none"}


def _lengths(column: Column) -> pl.Series:
    s = column.series()
    return s.str.len_chars() if column.type.is_text else s.bin.size()


def _fitted(column: Column) -> Column:
    """Texts and bytes cut and, for CHAR and BINARY, filled to their length."""
    t = column.type
    s, n = column.series(), t.precision
    if t.is_text:
        s = s.str.slice(0, n)
        if t.kind is Kind.CHAR:
            s = s.str.pad_end(n)
    elif ((sizes := s.bin.size()) > n).any() or (t.kind is Kind.BINARY and (sizes < n).any()):
        cut = [None if v is None else v[:n] for v in s.to_list()]
        if t.kind is Kind.BINARY:
            cut = [None if v is None else v.ljust(n, b"\0") for v in cut]
        s = pl.Series("", cut, dtype=pl.Binary)
    return Column.of_series(t, s)
