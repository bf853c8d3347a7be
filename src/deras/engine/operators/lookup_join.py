"""Joins with the present: rows meet what a table outside, or another input, holds when they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from deras.core.delta import Delta
from deras.core.errors import ExternalError, InternalError
from deras.core.schema import Schema
from deras.core.time import MAX_WATERMARK
from deras.engine.kernels import join as k
from deras.engine.kernels.join import get_cell, put_cell
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
    from deras.engine.lookup_cache import LookupCache
    from deras.engine.state import State

Words = npt.NDArray[np.int64]
JoinKind = Literal["inner", "left"]
Take = Callable[[Words], "list[Column]"]
# Cells of a row that waits: when it asks again or that it need not, how often it still may, the watermark that it saw.
_DUE, _LEFT, _MARK, _CELLS = 0, 1, 2, 3
_DECIDED = -1


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
        cache: keeps what ``fetch`` found.
        again: ms of processing time after which a row that found nothing asks again; 0: never.
        attempts: how often it asks again.
        ordered: whether rows behind one that waits wait, too.

    A row that waits is state. The watermark waits with it; at the end of the input it asks a last time.
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
        cache: LookupCache | None = None,
        again: int = 0,
        attempts: int = 0,
        ordered: bool = True,
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
        self.cache = cache
        self.again = again
        self.attempts = attempts
        self.ordered = ordered
        self._lookup: Lookup | None = None
        self._whole: _Rows | None = None
        self._read_at = 0
        self._held: int | None = None
        self._next: int | None = None

    def open(self, state: State) -> None:
        """Rows that wait."""
        if self.again:
            self._waiting = state.segments("waiting", self.input, _CELLS, _CELLS)
            state.on_restore(self._note)

    def attach(self, lookup: Lookup) -> None:
        """The table. Called once, before the first step."""
        self._lookup = lookup

    def hold(self, high: int) -> int:
        """The watermark waits with the first row that does."""
        return high if self._held is None else min(high, self._held)

    def wake(self) -> int | None:
        """When the first row asks again."""
        return self._next

    def step(self, deltas: Sequence[Any], tick: Tick) -> Out:
        """Look the keys of one step up."""
        delta = deltas[0]
        if delta is not None and not delta.length:
            delta = None
        if self._lookup is None:
            raise InternalError("a lookup join has no table")
        dropped: list[Rejected] = []
        if self.again:
            return Out(self._step_waiting(delta, tick, dropped), dropped)
        if delta is None:
            return Out()
        return Out(self._joined(delta, *self._pairs(delta, tick), tick, dropped), dropped)

    def _joined(
        self, delta: Delta, outer: Words, inner: Words, take: Take, tick: Tick, dropped: list[Rejected]
    ) -> Delta | None:
        found = with_partners(
            delta, outer, inner, take, keep_all=self.kind == "left", schema=self.schema,
            residual=self.residual, joined=self.joined, tick=tick, origin=self.origin, dropped=dropped,
        )  # fmt: skip
        if self.cache is not None:
            self.cache.trim()
        return found

    def _pairs(self, delta: Delta, tick: Tick, anew: bool = False) -> tuple[Words, Words, Take]:
        """Positions of rows, their partners, and what gives the partners' columns."""
        assert self._lookup is not None  # noqa: S101
        keys = [delta.columns[i] for i in self.keys]
        if self._lookup.whole:
            if self._whole is None or anew or (self.reload and tick.now - self._read_at >= self.reload):
                rows = self._asked(self._lookup.rows)
                self._whole = _Rows(rows.columns, self.table_keys, rows.length)
                self._read_at = tick.now
            table = self._whole
            return (*table.pairs(keys, delta.length), table.take)
        distinct = self._distinct(keys, delta.length)
        if self.cache is None:
            table = self._fetched(self._lookup, distinct)
            return (*table.pairs(keys, delta.length), table.take)
        if len(distinct[0]):
            unknown = self.cache.unknown(distinct, tick.now)
            if len(unknown):
                asked = [c.take(unknown) for c in distinct]
                self.cache.add(asked, self._ask(self._lookup, asked), tick.now)
        return (*self.cache.pairs(self.cache.found(keys, delta.length)), self.cache.take)

    def _distinct(self, keys: Sequence[Column], n: int) -> list[Column]:
        """Each key once, in the order of arrival, without NULLs."""
        index = Index([c.type.with_nullable(False) for c in keys], 0, saved=False)
        ok = all_valid(keys)
        places = np.arange(n) if ok is None else np.flatnonzero(ok)
        _, first = np.unique(index.lookup(keys, places, length=len(places)), return_index=True)
        return [c.take(places[np.sort(first)]) for c in keys]

    def _fetched(self, lookup: Lookup, distinct: list[Column]) -> _Rows:
        rows = self._ask(lookup, distinct) if len(distinct[0]) else Delta.empty(self.found)
        return _Rows(rows.columns, self.table_keys, rows.length)

    def _ask(self, lookup: Lookup, keys: list[Column]) -> Delta:
        found: Delta = self._asked(lambda: lookup.fetch(keys))
        return found

    # ---- rows that found nothing and ask again

    def _missing(self, delta: Delta, outer: Words) -> npt.NDArray[np.bool_]:
        """Which rows found nothing and might yet: those without a NULL in the key."""
        missing = np.ones(delta.length, np.bool_)
        missing[outer] = False
        ok = all_valid([delta.columns[i] for i in self.keys])
        return missing if ok is None else missing & ok

    def _step_waiting(self, fresh: Delta | None, tick: Tick, dropped: list[Rejected]) -> Delta | None:
        """Ask for new rows and for those whose time has come; give those that are decided and need not wait."""
        old = self._waiting.snapshot().ids()
        n = len(old)
        cells = np.empty((_CELLS, n), np.int64)
        for place in range(_CELLS):
            get_cell(old, self._waiting.tab, self._waiting.cell0 + place, cells[place])
        rows = Delta(self.input, self._waiting.take(old), None, cells[_MARK], n) if n else None
        if fresh is not None:
            fresh = single(fresh)
            new = np.empty((_CELLS, fresh.length), np.int64)
            new[_DUE], new[_LEFT], new[_MARK] = tick.now, self.attempts, fresh.mark_array()
            fresh = Delta(self.input, fresh.columns, None, new[_MARK], fresh.length)
            rows = fresh if rows is None else Delta.concat([rows, fresh])
            cells = np.concatenate([cells, new], axis=1)
        if rows is None:
            return None
        last = tick.high >= MAX_WATERMARK
        due, left = cells[_DUE], cells[_LEFT]
        asked = np.flatnonzero((due != _DECIDED) & ((due <= tick.now) | last))
        answer = None
        if len(asked):
            some = rows.take(asked)
            answer = self._pairs(some, tick, anew=bool((asked < n).any()))
            missing = self._missing(some, answer[0])
            waits = asked[missing & (left[asked] > 0) & (not last)]
            due[asked] = _DECIDED
            due[waits] = tick.now + self.again
            left[waits] -= 1
        decided = due == _DECIDED
        if self.ordered and not decided.all():
            decided[int(np.argmin(decided)) :] = False
        given = np.flatnonzero(decided)
        out = None
        if len(given):
            mine = rows.take(given)
            # A row that was decided behind one that waits is asked for once more: nothing was kept for it.
            outer, inner, take = self._restricted(answer, asked, given, mine, tick)
            held = cells[_MARK][~decided]
            if len(held):
                mine = Delta(mine.schema, mine.columns, None, np.minimum(mine.mark_array(), held.min()), mine.length)
            out = self._joined(mine, outer, inner, take, tick, dropped)
        self._waiting.kill(old[decided[:n]])
        stay = old[~decided[:n]]
        self._put(stay, cells[:, :n][:, ~decided[:n]])
        self._waiting.touch(stay)
        if fresh is not None and not decided[n:].all():
            more = np.flatnonzero(~decided[n:])
            added = self._waiting.append(fresh.take(more).columns, len(more))
            self._put(added, cells[:, n + more])
        self._waiting.tidy()
        self._note()
        return out

    def _restricted(
        self, answer: tuple[Words, Words, Take] | None, asked: Words, given: Words, mine: Delta, tick: Tick
    ) -> tuple[Words, Words, Take]:
        """What was found for the rows that are given now; asked for anew if some were not asked in this step."""
        if answer is None or not np.isin(given, asked).all():
            return self._pairs(mine, tick)
        outer, inner, take = answer
        outer = asked[outer]
        here = np.isin(outer, given)
        return np.searchsorted(given, outer[here]), inner[here], take

    def _put(self, ids: Words, cells: Words) -> None:
        for place in range(_CELLS):
            put_cell(ids, self._waiting.tab, self._waiting.cell0 + place, np.ascontiguousarray(cells[place]))

    def _note(self) -> None:
        """When something is to be done, and how far the watermark may go."""
        ids = self._waiting.snapshot().ids()
        if not len(ids):
            self._held = self._next = None
            return
        due, mark = np.empty(len(ids), np.int64), np.empty(len(ids), np.int64)
        get_cell(ids, self._waiting.tab, self._waiting.cell0 + _DUE, due)
        get_cell(ids, self._waiting.tab, self._waiting.cell0 + _MARK, mark)
        self._held = int(mark.min())
        self._next = int(due[due != _DECIDED].min())

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
            "state": "rows that found nothing and ask again" if self.again else "none",
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
