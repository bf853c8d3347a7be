"""Rows in order by key: what Top-N, ORDER BY with LIMIT and sorting are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.errors import PlanError
from deras.core.types import BYTES, Layout
from deras.engine.kernels import idle
from deras.engine.kernels import join as jk
from deras.engine.kernels import order as ok
from deras.engine.kernels import rank as k
from deras.engine.state.rowset import LIST, keyable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deras.core.column import Column
    from deras.core.schema import Schema
    from deras.core.types import SqlType
    from deras.engine.state import Segments, State

Ids = npt.NDArray[np.int64]
FUNCTIONS = {"ROW_NUMBER": 0, "RANK": 1, "DENSE_RANK": 2}
_NONE = np.zeros(0, np.int64)
_NO_BITS = np.zeros(0, np.uint8)
KINDS = {Layout.WORDS: 0, Layout.LIMBS: 1, Layout.VIEWS: 2, Layout.FLOATS: 3}
"""How kernels of order call a layout."""


@dataclass(frozen=True, slots=True)
class SortKey:
    """A column of an ORDER BY.

    Args:
        column: its position.
        descending: from the greatest to the least.
        nulls_first: where NULLs stand.
    """

    column: int
    descending: bool = False
    nulls_first: bool = True

    def text(self, schema: Schema) -> str:
        """As SQL has it; the place of NULLs only where it is not Flink's default."""
        words = [schema[self.column].name, "DESC" if self.descending else "ASC"]
        if self.nulls_first is self.descending:
            words.append("NULLS FIRST" if self.nulls_first else "NULLS LAST")
        return " ".join(words)


def orders_of(segments: Segments, order: Sequence[SortKey]) -> npt.NDArray[np.int64]:
    """The order as :mod:`deras.engine.kernels.order` wants it.

    Raises:
        PlanError: a column of a type that has no order.
    """
    found = []
    for key in order:
        t = segments.schema[key.column].type
        if t.layout is Layout.NESTED:
            raise PlanError(f"rows cannot be sorted by `{segments.schema[key.column].name}`: {t} has no order")
        i = [f for f, x in enumerate(segments.schema) if x.type.layout is not Layout.NESTED].index(key.column)
        _, j, mask = segments.shape.columns[i].tolist()
        found.append([KINDS[t.layout], j, mask, i % 64, int(key.descending), int(key.nulls_first)])
    return np.array(found, np.int64).reshape(-1, 6)


def key_types(schema: Schema, keys: Sequence[int]) -> list[SqlType]:
    """The types of key columns in an index."""
    return [BYTES if schema[i].type.layout is Layout.NESTED else schema[i].type.with_nullable(True) for i in keys]


def arrivals(segments: Segments) -> Iterator[tuple[Ids, list[Column]]]:
    """Places and values of all rows in order of arrival, piece by piece."""
    snapshot = segments.snapshot()
    everything = snapshot.ids()
    for a in range(0, len(everything), 1 << 16):
        part = everything[a : a + (1 << 16)]
        yield part, snapshot.columns(part)


@dataclass(slots=True)
class Listing:
    """Some rows of some keys in order: key i's are ``rows[starts[i]:starts[i + 1]]``."""

    rows: Ids
    ranks: Ids
    starts: Ids


class Ranking:
    """Rows by key in order, of each key those whose rank is from ``first`` to ``last``.

    Args:
        schema: of the rows.
        partition: positions of the key; none for one order of all rows.
        order: by what; then by arrival.
        function: ``ROW_NUMBER``, ``RANK`` or ``DENSE_RANK``.
        first: least rank that is listed.
        last: greatest rank that is listed, None for all.
        updating: whether rows may go; then all are kept, else only those up to ``last``.
        identity: positions that identify a row for removal; () for all columns.
        limit: position of a column with the greatest rank of its key (the first row's counts), instead of ``last``.
        latest: of equal rows the last arrived comes first.
        more_keys: types of key columns that come before the partition's, which the caller gives.
    """

    def __init__(
        self,
        schema: Schema,
        partition: Sequence[int],
        order: Sequence[SortKey],
        function: str = "ROW_NUMBER",
        first: int = 1,
        last: int | None = None,
        *,
        updating: bool = False,
        identity: Sequence[int] = (),
        limit: int | None = None,
        latest: bool = False,
        more_keys: Sequence[SqlType] = (),
    ) -> None:
        self.schema = schema
        self.partition = tuple(partition)
        self.order = tuple(order)
        self.function = FUNCTIONS[function]
        self.first = max(1, first)
        self.last = last
        self.limit = limit
        self.updating = updating
        self.latest = int(latest)
        self._identity = tuple(identity) or tuple(range(len(schema)))
        self._more = tuple(more_keys)
        bounded = not updating and (last is not None or limit is not None)
        self._bounded = bounded and self.function == 0
        self._pruned = bounded and self.function != 0
        for key in self.order:
            if schema[key.column].type.layout is Layout.NESTED:
                name, t = schema[key.column].name, schema[key.column].type
                raise PlanError(f"rows cannot be sorted by `{name}`: {t} has no order")

    def open(self, state: State, name: str = "rows") -> None:
        """The rows, and trees that are rebuilt from them."""
        last = -1 if self.limit is not None else k.UNBOUNDED if self.last is None else self.last
        types = [*self._more, *key_types(self.schema, self.partition)]
        init = (-1, 0, 0, last, -1, k.UNBOUNDED)
        self.index = state.index(name + ".keys", types, k.KEY_CELLS, init, saved=False)
        lists = (-1, -1, -1) if self.updating else ()
        self.segments = state.segments(name, self.schema, k.ROW_CELLS + len(lists), 0, (-1, 0, -1, -1, -1, 0, *lists))
        self._same = None
        if self.updating:
            self._same = state.index(name + ".same", key_types(self.schema, self._identity), 3, LIST, saved=False)
        self.orders = orders_of(self.segments, self.order)
        self.cell = self.segments.cell0
        self._t = self.cell + k.ROW_CELLS
        self.width = self.segments.shape.width

    # ---- changes

    def keys(self, columns: Sequence[Column], n: int, more: Sequence[Column] = ()) -> Ids:
        """The ids of the rows' keys; new ones are made."""
        return self.index.lookup([*more, *(keyable(columns[i]) for i in self.partition)], length=n)

    def promising(self, columns: Sequence[Column], ids: Ids) -> Ids | None:
        """Of rows that came, those that may be listed; None: all."""
        if not self._bounded:
            return None
        exact = not self.order
        worth = np.zeros(len(ids), np.int64)
        if self.order:
            key = self.order[0]
            column = columns[key.column]
            kind = KINDS[column.type.layout]
            if kind not in (0, 3):
                return None
            valid = column.valid()
            words = column.words() if kind == 0 else column.floats().view(np.int64)
            ok.prefixes(
                np.ascontiguousarray(words), _NO_BITS if valid is None else valid, kind, int(key.descending),
                int(key.nulls_first), worth,
            )  # fmt: skip
            exact = len(self.order) == 1 and kind == 0 and not column.type.nullable
        out = np.empty(len(ids), np.int64)
        m = k.promising(ids, worth, exact and not self.latest, self.index.tab, self.index.cell0, out)
        return None if m == len(ids) else out[:m]

    def change(self, columns: Sequence[Column], weights: Ids | None, ids: Ids) -> tuple[Ids, Ids]:
        """Take changes in order; rows that went are still readable until :meth:`forget`.

        Args:
            columns: the rows.
            weights: +1 or -1 each; None: all +1.
            ids: their keys.

        Returns:
            Rows that went, and the positions of removals for which there was no row.
        """
        n = len(ids)
        index, segments = self.index, self.segments
        came = None if weights is None else np.flatnonzero(weights > 0)
        if came is None or len(came) == n:
            new = segments.append(columns, n)
        else:
            new = segments.append([c.take(came) for c in columns], len(came))
        same, same_tab, same_cell = _NONE, index.tab, 0
        if self._same is not None:
            same = self._same.lookup([keyable(columns[i]) for i in self._identity], length=n)
            same_tab, same_cell = self._same.tab, self._same.cell0
        limits = _NONE
        if self.limit is not None:
            column = columns[self.limit]
            valid = column.valid()
            limits = np.ascontiguousarray(column.words() if valid is None else column.words() * valid)
        dead, absent, counts = np.empty(n, np.int64), np.empty(n, np.int64), np.zeros(2, np.int64)
        given = _NONE if weights is None else np.ascontiguousarray(weights)
        k.change(
            given, ids, same, new, limits, segments.tab, self.cell, self.width, index.tab, index.cell0, self._t,
            same_tab, same_cell, segments.tab.ctypes.data, self.bases, self.orders, self.latest, self._bounded, dead,
            absent, counts,
        )  # fmt: skip
        if self._same is not None and weights is not None:
            empty = np.empty(n, np.int64)
            m = jk.empty(same, same_tab, same_cell, empty)
            if m:
                self._same.release(empty[:m])
        return dead[: counts[0]], absent[: counts[1]]

    @property
    def bases(self) -> Any:
        """Addresses of the text chunks."""
        return self.segments.bases

    def touched(self, ids: Ids) -> tuple[Ids, Ids]:
        """The distinct ids in order of first touch, and the positions of the touches."""
        out, first = np.empty(len(ids), np.int64), np.empty(len(ids), np.int64)
        m = k.touched(ids, self.index.tab, self.index.cell0, out, first)
        return out[:m], first[:m]

    def listing(self, ids: Ids) -> tuple[Listing, Ids]:
        """The listed rows of keys now, and rows that left because they came to lie beyond the last rank."""
        index, segments = self.index, self.segments
        size = int(k.room(ids, index.tab, index.cell0, self.function))
        out, ranks = np.empty(size, np.int64), np.empty(size, np.int64)
        starts, counts = np.empty(len(ids) + 1, np.int64), np.zeros(1, np.int64)
        dead = np.empty(size if self._pruned else 0, np.int64)
        n = k.listing(
            ids, index.tab, index.cell0, segments.tab, self.cell, self.width, segments.tab.ctypes.data, self.bases,
            self.orders, self.function, self.first, self._pruned, out, ranks, starts, dead, counts,
        )  # fmt: skip
        return Listing(out[:n], ranks[:n], starts), dead[: counts[0]]

    def differ(self, old: Listing, new: Listing, ranked: bool) -> tuple[Ids, Ids, Ids, Ids]:
        """Row, rank, weight and key's place of each change from one listing to another."""
        size = len(old.rows) + len(new.rows)
        out, ranks, signs, owner = (np.empty(size, np.int64) for _ in range(4))
        shown = 0 if not ranked else 2 if self.function == 0 else 1
        n = k.differ(
            len(old.starts) - 1, old.rows, old.ranks, old.starts, new.rows, new.ranks, new.starts, self.segments.tab,
            self.cell, shown, out, ranks, signs, owner,
        )  # fmt: skip
        return out[:n], ranks[:n], signs[:n], owner[:n]

    def all_of(self, ids: Ids) -> Ids:
        """All rows of keys, in order."""
        tab, c = self.index.tab, self.index.cell0
        out = np.empty(int(tab[ids, c + 1].sum()), np.int64)
        n = k.rows_of(ids, tab, c, self.segments.tab, self.cell, out)
        return out[:n]

    def drop(self, ids: Ids) -> None:
        """Keys go with all their rows."""
        if not len(ids):
            return
        rows = self.all_of(ids)
        if self._same is not None:
            tab = self.segments.tab
            same = np.unique(tab[rows, self._t])
            idle.unlink(rows, tab, self._t, self._same.tab, self._same.cell0)
            empty = np.empty(len(same), np.int64)
            self._same.release(empty[: jk.empty(same, self._same.tab, self._same.cell0, empty)])
        self.segments.kill(rows)
        self.index.release(ids)

    def forget(self, rows: Ids, ids: Ids | None = None) -> None:
        """Rows that went are not needed any more; keys among ``ids`` that have no rows go, too. Once a step."""
        segments = self.segments
        segments.kill(rows)
        if ids is not None and len(ids):
            gone = ids[self.index.tab[ids, self.index.cell0 + 1] == 0]
            if len(gone):
                self.index.release(gone)
        for old, new in segments.tidy():
            self.follow(old, new)

    def follow(self, old: Ids, new: Ids) -> None:
        """Rows have other places now."""
        tab = self.segments.tab
        k.moved(old, new, tab, self.cell, self.index.tab, self.index.cell0)
        if self._same is not None:
            jk.moved(old, new, tab, self._t, self._same.tab, self._same.cell0)

    def rebuild(self) -> None:
        """After a restore: all rows in their places again."""
        for rows, columns in self.restored():
            self.place(self.keys(columns, len(rows)), rows, columns)
        ids = self.index.ids()
        if len(ids):
            self.listing(ids)

    def restored(self) -> Iterator[tuple[Ids, list[Column]]]:
        """Places and values of all rows in order of arrival, piece by piece."""
        return arrivals(self.segments)

    def place(self, ids: Ids, rows: Ids, columns: Sequence[Column]) -> None:
        """Rows that are in the segments but in no tree, into the trees of their keys."""
        same, same_tab, same_cell = _NONE, self.index.tab, 0
        if self._same is not None:
            same = self._same.lookup([keyable(columns[i]) for i in self._identity], length=len(rows))
            same_tab, same_cell = self._same.tab, self._same.cell0
        limits = _NONE
        if self.limit is not None:
            valid = columns[self.limit].valid()
            words = columns[self.limit].words()
            limits = np.ascontiguousarray(words if valid is None else words * valid)
        tab = self.segments.tab
        k.change(
            _NONE, ids, same, rows, limits, tab, self.cell, self.width, self.index.tab, self.index.cell0, self._t,
            same_tab, same_cell, tab.ctypes.data, self.bases, self.orders, self.latest, self._bounded,
            np.empty(len(rows), np.int64), _NONE.copy(), np.zeros(2, np.int64),
        )  # fmt: skip
