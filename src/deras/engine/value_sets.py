"""The values of an argument by group, for DISTINCT, for MIN and MAX with retraction, and for the best text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deras.core.column import Column
from deras.core.types import BIGINT, Layout, SqlType
from deras.engine.kernels import agg as k
from deras.engine.kernels import agg_values as v

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.engine.aggregates import ValueSet
    from deras.engine.state import Index, State

Words = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint8]

NO_WORDS = np.zeros(0, np.int64)
NO_BITS = np.zeros(0, np.uint8)
_KINDS = {Layout.WORDS: v.WORD, Layout.FLOATS: v.FLOAT, Layout.LIMBS: v.LIMBS, Layout.VIEWS: v.TEXT}
_NUMBER = BIGINT.with_nullable(False)


@dataclass(slots=True)
class Hits:
    """Rows of a step through which values came or went.

    Args:
        rows: their positions.
        came: a bit for each filter for which the value came.
        went: and for which it went; empty if none can.
    """

    rows: Words
    came: Words
    went: Words

    def gate(self, n: int, bit: int) -> Words:
        """By row of a step of n rows: 1 where a value came for the filter, -1 where one went."""
        gate = np.zeros(n, np.int64)
        gate[self.rows] = (self.came >> bit) & 1
        if len(self.went):
            gate[self.rows] -= (self.went >> bit) & 1
        return gate


class ValueIndex:
    """The values of one set.

    A value is found by its group's number, which is given once and stays through a restore, and by itself: long keys of
    groups are kept and hashed once, not again with every value.

    Args:
        state: where it lives.
        name: of its index.
        plan: which values.
        keyed: whether there are several groups.
        updating: rows may go again.
    """

    def __init__(self, state: State, name: str, plan: ValueSet, *, keyed: bool, updating: bool) -> None:
        self.plan = plan
        self._keyed = keyed
        self._updating = updating
        # A NULL comes in only where it is a value.
        self._type: SqlType = plan.type if plan.nulls else plan.type.with_nullable(False)
        cells = 0 if plan.keep is not None else 3 + len(plan.filters) if updating else 3 if plan.form else 1
        self.index: Index = state.index(name, [*([_NUMBER] if keyed else []), self._type], cells)
        self._dead: list[Words] = []

    @property
    def word(self) -> int:
        """The value's first word in a row of the table."""
        return int(self.index.shape.columns[-1, 1])

    @property
    def _kind(self) -> int:
        return _KINDS[self.plan.type.layout]

    def _lookup(
        self, numbers: tuple[Index, int], ids: Words, column: Column, rows: Words | None, *, touch: bool
    ) -> Words:
        """Ids of the values of rows (at least one; None: all); ``numbers``: the groups, the cell of their numbers."""
        groups, cell = numbers
        value = column if rows is None else column.take(rows)
        n = value.length
        if not self.plan.nulls:
            value = _certain(value, self._type)
        columns = [value.with_type(self._type)]
        if self._keyed:
            own = np.empty(n, np.int64)
            k.cell_of(ids, NO_WORDS if rows is None else rows, groups.tab, cell, own)
            columns.insert(0, Column.of_words(_NUMBER, own))
        return self.index.lookup(columns, length=n, touch=touch)

    def take(
        self, column: Column, masks: Sequence[Bits | None], weights: Words, numbers: tuple[Index, int], ids: Words
    ) -> Hits:
        """Take the values of a step's rows.

        Args:
            column: the argument.
            masks: by filter: 1 where a row passes; None: all do.
            weights: of the rows; empty if all are 1.
            numbers: the groups, and the place of their numbers in a row of the table.
            ids: the group of each row.
        """
        rows: Words | None = None
        if all(m is not None for m in masks):
            some = masks[0]
            for m in masks[1:]:
                some = some | m  # type: ignore[operator]
            rows = np.flatnonzero(some)  # type: ignore[arg-type]
            if not len(rows):
                return Hits(NO_WORDS, NO_WORDS, NO_WORDS)
            if len(rows) == column.length:
                rows = None
        index, plan = self.index, self.plan
        values = self._lookup(numbers, ids, column, rows, touch=self._updating)
        n = len(values)
        groups, cell = numbers[0], numbers[0].cell0 + plan.cell
        held = [None if m is None else np.ascontiguousarray(m) for m in masks]
        addresses = np.array([0 if m is None else m.ctypes.data for m in held], np.int64)
        at = NO_WORDS if rows is None else rows
        hits, came = np.empty(n, np.int64), np.empty(n, np.int64)
        if not self._updating:
            m = v.see(
                values, at, addresses, index.tab, index.cell0, index.flags, plan.form, groups.tab, cell, ids, hits, came
            )
            return Hits(hits[:m], came[:m], NO_WORDS)
        went, dead, counts = np.empty(n, np.int64), np.empty(n, np.int64), np.zeros(1, np.int64)
        m = v.weigh(
            values, at, weights, addresses, index.tab, index.cell0, plan.form, self.word, self._kind,
            index._arena.bases, groups.tab, cell, ids, hits, came, went, dead, counts,
        )  # fmt: skip
        if counts[0]:
            self._dead.append(dead[: counts[0]])
        return Hits(hits[:m], came[:m], went[:m])

    def keep(
        self,
        keep: int,
        column: Column,
        mask: Bits | None,
        numbers: tuple[Index, int],
        ids: Words,
        touched: Words,
    ) -> None:
        """Keep the best text of each group.

        Args:
            keep: which is best: 0 least, 1 greatest, 2 first, 3 last.
            column: the argument.
            mask: 1 where a row counts; None: all do.
            numbers: as for :meth:`take`.
            ids: the group of each row.
            touched: all groups of the step by their places in it.
        """
        texts = column.views()
        views, bases = np.ascontiguousarray(texts.views), texts.bases()
        groups, index = numbers[0], self.index
        cell = groups.cell0 + self.plan.cell
        best = np.full(len(touched), -1, np.int64)
        v.candidates(ids, groups.tab, groups.cell0, NO_BITS if mask is None else mask, views, bases, keep, best)
        some = np.flatnonzero(best >= 0)
        if not len(some):
            return
        rows, owners = best[some], touched[some]
        held = groups.tab[owners, cell] - 1
        better = np.empty(len(rows), np.uint8)
        v.improves(rows, held, views, bases, index.tab, self.word, index._arena.bases, keep, better)
        chosen = np.flatnonzero(better)
        if not len(chosen):
            return
        rows, owners, held = rows[chosen], owners[chosen], held[chosen]
        new = self._lookup(numbers, ids, column, rows, touch=True)
        groups.tab[owners, cell] = new + 1
        gone = held[(held >= 0) & (held != new)]
        if len(gone):
            self._dead.append(gone)

    def tidy(self) -> None:
        """After the results of a step are out: let go of values that no row has."""
        for ids in self._dead:
            if self.plan.keep is None:
                ids = np.unique(ids)
                c = self.index.cell0 + 3
                ids = ids[~self.index.tab[ids, c : c + len(self.plan.filters)].any(axis=1)]
            self.index.release(ids)
        self._dead = []

    def release(self, ids: Words, groups: Index) -> None:
        """Groups go, with their values."""
        cell = groups.cell0 + self.plan.cell
        if self.plan.keep is not None:
            held = groups.tab[ids, cell] - 1
            self.index.release(held[held >= 0])
            return
        found = np.empty(max(64, 2 * len(ids)), np.int64)
        while True:
            m = v.members(ids, groups.tab, cell, self.index.tab, self.index.cell0 + 1, self.plan.form, found)
            if m <= len(found):
                break
            found = np.empty(m, np.int64)
        self.index.release(found[:m])

    def relink(self, groups: Index, live: Words, number: int) -> None:
        """After a restore: hang the values into their groups, which are found by their numbers."""
        index, plan = self.index, self.plan
        groups.tab[live, groups.cell0 + plan.cell] = 0
        if plan.keep is None and not self._updating and not plan.form:
            return
        values = index.ids()
        if plan.keep is None:
            index.tab[values, index.cell0 + 1] = 0
            index.tab[values, index.cell0 + 2] = 0
        if not len(values) or not len(live):
            return
        if self._keyed:
            own = groups.tab[live, number]
            order = np.argsort(own)
            ids = live[order][np.searchsorted(own[order], index.tab[values, 0])]
        else:
            ids = np.full(len(values), live[0], np.int64)
        v.relink(
            values, ids, index.tab, index.cell0, plan.form, self.word, self._kind, index._arena.bases, groups.tab,
            groups.cell0 + plan.cell, plan.keep is not None,
        )  # fmt: skip


def _certain(column: Column, type_: SqlType) -> Column:
    """The column without its validity: none of its rows that count is NULL."""
    if column.valid() is None:
        return column
    match type_.layout:
        case Layout.WORDS:
            return Column.of_words(type_, column.words())
        case Layout.FLOATS:
            return Column.of_floats(type_, column.floats())
        case Layout.LIMBS:
            return Column.of_limbs(type_, column.limbs())
        case _:
            return Column.of_views(type_, column.views())
