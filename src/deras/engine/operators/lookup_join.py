"""Joins with the present: rows meet what a table outside, or another input, holds when they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from deras.core.errors import ExternalError, InternalError
from deras.core.schema import Schema
from deras.engine.kernels import join as k
from deras.engine.operator import Operator, Out, Program
from deras.engine.operators.join import single
from deras.engine.pairing import all_valid, with_partners
from deras.engine.rejects import reject_rows
from deras.engine.state import Index
from deras.engine.state.rowset import LIST, RowSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.column import Column
    from deras.core.contracts import Lookup
    from deras.core.records import Rejected
    from deras.core.time import Tick
    from deras.engine.state import State

Words = npt.NDArray[np.int64]
JoinKind = Literal["inner", "left"]


class _Rows:
    """Rows of a table by key: ``rows[starts[id] : starts[id + 1]]`` are those of a key's id."""

    def __init__(self, columns: Sequence[Column], keys: Sequence[int], length: int) -> None:
        of_key = [columns[i] for i in keys]
        self.index = Index([c.type.with_nullable(False) for c in of_key], 0, saved=False)
        ok = all_valid(of_key)
        places = np.arange(length) if ok is None else np.flatnonzero(ok)
        ids = self.index.lookup(of_key, places, length=len(places))
        order = np.argsort(ids, kind="stable")
        self.rows = places[order]
        self.starts = np.searchsorted(ids[order], np.arange(self.index.used + 1))
        self.columns = columns

    def pairs(self, keys: Sequence[Column], length: int) -> tuple[Words, Words]:
        """Positions of rows and of their partners, in the order of the rows."""
        ids = found_ids(self.index, keys, length)
        there = np.flatnonzero(ids >= 0)
        first = self.starts[ids[there]]
        counts = self.starts[ids[there] + 1] - first
        outer = np.repeat(there, counts)
        ends = np.cumsum(counts)
        inner = np.arange(len(outer)) - np.repeat(ends - counts, counts) + np.repeat(first, counts)
        return outer, self.rows[inner]

    def take(self, rows: Words) -> list[Column]:
        """Rows of the table."""
        return [c.take(rows) for c in self.columns]


class LookupJoin(Operator):
    """Join with what a table outside has for the keys of a row when the row comes; later changes change nothing.

    A table that is given whole is read with the first row, and again when ``reload`` has passed; one that is asked by
    key gets the distinct keys of a step in one question. A NULL in a key finds nothing.

    Args:
        input: schema of the rows. They only insert.
        found: schema of the table's rows.
        keys: positions in ``input``.
        table_keys: positions in ``found``, of the same layouts.
        kind: ``inner`` or ``left``.
        residual: the rest of the condition, a filter over the joined row.
        schema: the output.
        reload: ms of processing time after which a whole table is read again; 0: never.
        retries: how often a question is asked again that failed for a reason that may pass.
        origin: what rejected rows are said to come from.
    """

    append_only = True

    def __init__(
        self,
        input: Schema,  # noqa: A002
        found: Schema,
        keys: Sequence[int],
        table_keys: Sequence[int],
        kind: JoinKind = "inner",
        residual: Program | None = None,
        schema: Schema | None = None,
        reload: int = 0,
        retries: int = 3,
        origin: str = "LookupJoin",
    ) -> None:
        self.input = input
        self.found = found
        self.keys = tuple(keys)
        self.table_keys = tuple(table_keys)
        self.kind = kind
        self.residual = residual
        self.joined = Schema((*input.fields, *found.fields))
        self.schema = schema or self.joined
        self.reload = reload
        self.retries = retries
        self.origin = origin
        self._lookup: Lookup | None = None
        self._whole: _Rows | None = None
        self._read_at = 0

    def attach(self, lookup: Lookup) -> None:
        """The table. Called once, before the first step."""
        self._lookup = lookup

    def step(self, deltas: Sequence[Any], tick: Tick) -> Out:
        """Look the keys of one step up."""
        delta = deltas[0]
        if delta is None or not delta.length:
            return Out()
        if self._lookup is None:
            raise InternalError("a lookup join has no table")
        keys = [delta.columns[i] for i in self.keys]
        if self._lookup.whole:
            if self._whole is None or (self.reload and tick.now - self._read_at >= self.reload):
                rows = self._asked(self._lookup.rows)
                self._whole = _Rows(rows.columns, self.table_keys, rows.length)
                self._read_at = tick.now
            table = self._whole
        else:
            table = self._fetched(self._lookup, keys, delta.length)
        outer, inner = table.pairs(keys, delta.length)
        dropped: list[Rejected] = []
        out = with_partners(
            delta, outer, inner, table.take, keep_all=self.kind == "left", schema=self.schema,
            residual=self.residual, joined=self.joined, tick=tick, origin=self.origin, dropped=dropped,
        )  # fmt: skip
        return Out(out, dropped)

    def _fetched(self, lookup: Lookup, keys: Sequence[Column], n: int) -> _Rows:
        index = Index([c.type for c in keys], 0, saved=False)
        ok = all_valid(keys)
        places = np.arange(n) if ok is None else np.flatnonzero(ok)
        _, first = np.unique(index.lookup(keys, places, length=len(places)), return_index=True)
        rows = self._asked(lambda: lookup.fetch([c.take(places[np.sort(first)]) for c in keys]))
        return _Rows(rows.columns, self.table_keys, rows.length)

    def _asked(self, question: Any) -> Any:
        for _ in range(self.retries):
            try:
                return question()
            except ExternalError as err:
                if err.retry == "never":
                    raise
        return question()

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        names = [[s[i].name for i in keys] for s, keys in ((self.input, self.keys), (self.found, self.table_keys))]
        return {
            "operator": "LookupJoin",
            "type": self.kind.upper(),
            "on": [f"{a} = {b}" for a, b in zip(*names, strict=True)],
            "state": "none",
            "bounded": True,
        }


class PresentJoin(Operator):
    """Join of each row of the left with the rows of the right as they are when it comes.

    Changes of the right in a step come before the rows of the left. Later ones change nothing that was given.

    Args:
        left: schema of the rows. They only insert.
        right: schema of what they meet; it may change.
        left_keys: positions in ``left``.
        right_keys: positions in ``right``, of the same types.
        kind: ``inner`` or ``left``.
        residual: the rest of the condition, a filter over the joined row.
        schema: the output.
        right_append: whether the right only inserts.
        origin: what rejected rows are said to come from.
    """

    arity: ClassVar[int] = 2
    append_only = True

    def __init__(
        self,
        left: Schema,
        right: Schema,
        left_keys: Sequence[int],
        right_keys: Sequence[int],
        kind: JoinKind = "inner",
        residual: Program | None = None,
        schema: Schema | None = None,
        right_append: bool = True,
        origin: str = "PresentJoin",
    ) -> None:
        self.inputs = (left, right)
        self.keys = (tuple(left_keys), tuple(right_keys))
        self.kind = kind
        self.residual = residual
        self.joined = Schema((*left.fields, *right.fields))
        self.schema = schema or self.joined
        self._append = right_append
        self.origin = origin

    def open(self, state: State) -> None:
        """Rows of the right; the index of keys is rebuilt from them."""
        types = [self.inputs[1][i].type.with_nullable(False) for i in self.keys[1]]
        self._index = state.index("keys", types, 3, LIST, saved=False)
        right = self.inputs[1]
        self._right = RowSet(
            state, "right", right, updating=not self._append, groups=self._index, identity=right.key
        )  # fmt: skip
        state.on_restore(lambda: self._right.rebuild(self.keys[1]))

    def step(self, deltas: Sequence[Any], tick: Tick) -> Out:
        """Take the changes of the right, then answer the rows of the left."""
        left, right = deltas
        dropped: list[Rejected] = []
        if right is not None and right.length:
            self._take(single(right), dropped)
        if left is None or not left.length:
            return Out(None, dropped)
        keys = [left.columns[i] for i in self.keys[0]]
        ids = found_ids(self._index, keys, left.length)
        cell = self._right.group_cell
        total = int(k.matches(ids, self._index.tab, cell))
        outer, inner = np.empty(total + 1, np.int64), np.empty(total, np.int64)
        rows = self._right.segments
        k.pairs(ids, 0, total, self._index.tab, cell, rows.tab, self._right.group_list, outer, inner)
        out = with_partners(
            left, outer[:-1], inner, rows.take, keep_all=self.kind == "left", schema=self.schema,
            residual=self.residual, joined=self.joined, tick=tick, origin=self.origin, dropped=dropped,
        )  # fmt: skip
        return Out(out, dropped)

    def _take(self, delta: Any, dropped: list[Rejected]) -> None:
        ok = all_valid([delta.columns[i] for i in self.keys[1]])
        if ok is not None:
            delta = delta.take(np.flatnonzero(ok))
        if not delta.length:
            return
        ids = self._index.lookup([delta.columns[i] for i in self.keys[1]], length=delta.length)
        absent = self._right.apply(delta.columns, delta.weights, delta.length, ids)
        if len(absent):
            text = "a row is taken back that never came"
            dropped.append(reject_rows(delta, absent, [text] * len(absent), reason="constraint", origin=self.origin))
        if delta.weights is not None:
            gone = np.empty(len(ids), np.int64)
            m = k.empty(ids, self._index.tab, self._right.group_cell, gone)
            if m:
                self._index.release(gone[:m])
        self._right.tidy()

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        names = [[s[i].name for i in keys] for s, keys in zip(self.inputs, self.keys, strict=True)]
        return {
            "operator": "PresentJoin",
            "type": self.kind.upper(),
            "on": [f"{a} = {b}" for a, b in zip(*names, strict=True)],
            "state": "all rows of the right",
            "bounded": False,
        }


def found_ids(index: Index, keys: Sequence[Column], length: int) -> Words:
    """The ids of rows' keys; -1 where there is none or a key is NULL."""
    ok = all_valid(keys)
    if ok is None:
        return index.lookup(keys, insert=False, length=length)
    ids = np.full(length, -1, np.int64)
    rows = np.flatnonzero(ok)
    ids[rows] = index.lookup(keys, rows, insert=False)
    return ids
