"""The values of groups in the order in which they came: what ARRAY_AGG, LISTAGG and their like are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from deras.core.column import Column
from deras.core.schema import Field, Schema
from deras.core.types import SqlType, polars_type
from deras.engine.kernels import join as k
from deras.engine.state.rowset import LIST, RowSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.delta import Delta
    from deras.engine.aggregates import ValueList
    from deras.engine.state import Index, State

Words = npt.NDArray[np.int64]


class ValueLists:
    """The lists of one argument. A value that goes is the first of those equal to it.

    Args:
        state: where they live.
        name: of the part of the state.
        key_types: of the groups.
        plan: which values.
        groups: the index of the groups, with three cells for the list.
        updating: values may go.
    """

    def __init__(
        self,
        state: State,
        name: str,
        key_types: Sequence[SqlType],
        plan: ValueList,
        groups: Index,
        *,
        updating: bool,
    ) -> None:
        self._plan = plan
        self._groups = groups
        self._keys = len(key_types)
        fields = [Field(f"k{i}", t) for i, t in enumerate(key_types)]
        schema = Schema((*fields, Field("value", plan.type.with_nullable(True))))
        self._rows = RowSet(state, name, schema, updating=updating, groups=groups, cell=plan.cell, oldest=True)

    def take(
        self,
        delta: Delta,
        keys: Sequence[Column],
        ids: Words,
        mask: npt.NDArray[np.uint8] | None,
        gate: Words | None,
    ) -> None:
        """Take the rows of a delta where the mask is 1; with a gate: as often as it says."""
        weights = delta.weights
        rows: Words | None = None if mask is None else np.flatnonzero(mask)
        if gate is not None:
            weights = gate
            rows = np.flatnonzero(gate)
        value = delta.columns[self._plan.arg].with_type(self._plan.type.with_nullable(True))
        columns = [*keys, value]
        n = delta.length
        if rows is not None and len(rows) < n:
            columns = [c.take(rows) for c in columns]
            weights = None if weights is None else weights[rows]
            ids, n = np.ascontiguousarray(ids[rows]), len(rows)
        if not n:
            return
        self._rows.apply(columns, None if weights is None else np.ascontiguousarray(weights), n, ids)

    def _members(self, ids: Words) -> tuple[Words, Words]:
        """(place in ``ids``, row) of all values, in order."""
        ids = np.ascontiguousarray(ids)
        rows = self._rows
        total = int(k.matches(ids, self._groups.tab, rows.group_cell))
        outer, inner = np.empty(total + 1, np.int64), np.empty(total, np.int64)
        k.pairs(
            ids, 0, total + 1, self._groups.tab, rows.group_cell, rows.segments.tab, rows.group_list, outer, inner
        )  # fmt: skip
        return outer[:total], inner

    def result(self, type_: SqlType, kind: int, ids: Words) -> Column:
        """For each group its values (``kind`` 0), the first (1) or the last (2); NULL where there is none."""
        if kind:
            rows = self._groups.tab[ids, self._rows.group_cell + kind - 1]
            some = rows >= 0
            if some.all():
                return self._values(rows).with_type(type_)
            found = self._values(np.ascontiguousarray(rows[some])).series()
            places = pl.select(
                pl.when(pl.lit(pl.Series(some))).then(pl.lit(pl.Series(np.cumsum(some) - 1)))
            ).to_series()
            series = found.gather(places)
            return Column.of_series(type_.with_nullable(True), series)
        outer, inner = self._members(ids)
        counts = np.bincount(outer, minlength=len(ids)).astype(np.int64)
        offsets = np.zeros(len(ids) + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        values = self._values(inner).series().to_arrow(compat_level=pl.CompatLevel.oldest())
        empty = counts == 0
        array = pa.LargeListArray.from_arrays(
            pa.array(offsets, mask=np.append(empty, False)) if empty.any() else pa.array(offsets), values
        )
        made = pl.Series("", pl.from_arrow(array), dtype=polars_type(type_))
        return Column.of_series(type_.with_nullable(True), made)

    def _values(self, rows: Words) -> Column:
        return self._rows.segments.take(rows)[self._keys]

    def release(self, ids: Words) -> None:
        """The groups go: their values, too."""
        outer, inner = self._members(ids)
        if not len(inner):
            return
        rows = self._rows
        if rows.updating:
            weights = np.full(len(inner), -1, np.int64)
            rows.apply(rows.segments.take(inner), weights, len(inner), np.ascontiguousarray(ids[outer]))
        else:
            rows.segments.kill(inner)
            cell = rows.group_cell
            self._groups.tab[ids, cell : cell + 3] = LIST

    def tidy(self) -> None:
        """Give memory back."""
        self._rows.tidy()

    def relink(self, live: Words) -> None:
        """After a restore."""
        cell = self._rows.group_cell
        self._groups.tab[live, cell : cell + 3] = LIST
        self._rows.rebuild(range(self._keys))


def changed_lists(old: Column, new: Column) -> tuple[Words, npt.NDArray[np.uint8], Column]:
    """Old and new results one after the other: words that differ where they do, and the results."""
    n = old.length
    other = old.series().ne_missing(new.series()).to_numpy().astype(np.int64)
    words = np.concatenate([np.zeros(n, np.int64), other])
    return words, np.ones(2 * n, np.uint8), Column.concat([old, new])
