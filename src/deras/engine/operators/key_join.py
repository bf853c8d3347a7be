"""The inner join in which one side has at most one row of a key: a row that found its partner is not kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from deras.core.delta import Delta
from deras.core.later import late_concat, late_gather, late_take
from deras.core.schema import Schema
from deras.engine.kernels import idle as ik
from deras.engine.kernels import join as jk
from deras.engine.kernels import key_join as k
from deras.engine.operator import Operator, Out, Program
from deras.engine.operators.join import ROOM, check_keys, key_names, key_types, keyed_rows, single
from deras.engine.rejects import reject_errors, reject_rows
from deras.engine.state.idle import Idle, soonest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.column import Column
    from deras.core.records import Rejected
    from deras.core.time import Tick
    from deras.engine.state import Segments, State

Ids = npt.NDArray[np.int64]

_NONE = np.zeros(0, np.int64)
_ALL = np.zeros(0, np.uint8)


@runtime_checkable
class Condition(Protocol):
    """A program that can also say, from the columns alone, which rows pass; none can fail."""

    def passing(self, columns: Sequence[Column]) -> npt.NDArray[np.bool_]:
        """One answer a row."""
        ...


class KeyJoin(Operator):
    """Inner join of two sides that only insert, of which one, the keyed side, has at most one row of a key.

    A row of the other side that finds its partner is joined and forgotten: there can never be another one. A row that
    finds none waits for it. In a step the keyed side goes first; rows of one key keep their order. A NULL in a key
    matches nothing (unless that key is null-safe).

    A column of the keyed side may say which rows join. Of the others only a mark is kept: rows of the other side with
    their keys do not wait.

    That the keyed side has no second row of a key is trusted, not known. Where one comes, the first counts: the second
    is rejected as ``constraint`` if it would join.

    With a TTL rows and marks of the keyed side are forgotten when they came so long ago, and so are rows that wait.

    Args:
        left: schema of the first input.
        right: schema of the second.
        left_keys: positions in ``left``.
        right_keys: positions in ``right``, of the same types.
        keyed: which input is the keyed side, 0 or 1.
        mark: position of the keyed side's last column, a BOOLEAN, where that says which rows join; it is no column of
            the result.
        residual: the rest of the condition, a filter over the columns ``reads``.
        reads: positions in the result's columns.
        origin: what rejected rows are said to come from.
        null_safe: for each key whether NULL equals NULL (IS NOT DISTINCT FROM).
        ttl: after how many ms of processing time rows of the left, of the right, are forgotten; 0: never.
    """

    arity: ClassVar[int] = 2

    def __init__(
        self,
        left: Schema,
        right: Schema,
        left_keys: Sequence[int],
        right_keys: Sequence[int],
        keyed: int,
        mark: int | None = None,
        residual: Program | None = None,
        reads: Sequence[int] = (),
        origin: str = "KeyJoin",
        null_safe: Sequence[bool] = (),
        ttl: Sequence[int] = (0, 0),
    ) -> None:
        check_keys(left, right, left_keys, right_keys)
        self.inputs = (left, right)
        self.keys = (tuple(left_keys), tuple(right_keys))
        if mark is not None and mark != len(self.inputs[keyed]) - 1:
            raise ValueError("the column that says which rows join is not the last one of the keyed side")
        self.null_safe = tuple(null_safe) or (False,) * len(self.keys[0])
        self.keyed = keyed
        self.mark = mark
        self.residual = residual
        self.reads = tuple(reads)
        self.ttl = tuple(ttl)
        self.origin = origin
        self.append_only = True
        sides = [Schema(s.fields[:-1]) if i == keyed and mark is not None else s for i, s in enumerate(self.inputs)]
        self._kept, self._other = sides[keyed], sides[1 - keyed]
        self.schema = Schema((*sides[0].fields, *sides[1].fields))
        n = len(sides[0])
        first, second = [i for i in self.reads if i < n], [i - n for i in self.reads if i >= n]
        if [*first, *(n + i for i in second)] != list(self.reads):
            raise ValueError("columns that a condition reads are not in order")
        self._reads = (first, second)
        self._read_schema = Schema(tuple(self.schema[i] for i in self.reads))

    def open(self, state: State) -> None:
        """Rows of the keyed side, rows that wait, and the keys of marks; the index is rebuilt from them."""
        types = key_types(self.inputs, self.keys, self.null_safe)
        self._index = state.index("keys", types, 2, (-1, -1), saved=False)
        key_ttl, ttl = self.ttl[self.keyed], self.ttl[1 - self.keyed]
        # A row's time is saved; its key (and for rows that wait the neighbours) is found again.
        timed = [int(key_ttl > 0), int(ttl > 0)]
        self._rows = state.segments("rows", self._kept, timed[0] + 1, timed[0])
        self._waiting = state.segments("waiting", self._other, timed[1] + 3, timed[1])
        marks = Schema(tuple(self.inputs[self.keyed][i] for i in self.keys[self.keyed]))
        self._marks = state.segments("marks", marks, timed[0] + 1, timed[0]) if self.mark is not None else None
        self._row_cell = self._rows.cell0 + timed[0]
        self._mark_cell = 0 if self._marks is None else self._marks.cell0 + timed[0]
        self._wait_cell = self._waiting.cell0 + timed[1]
        self._row_clock = Idle(state, "rows", key_ttl) if key_ttl else None
        self._mark_clock = Idle(state, "marks", key_ttl) if key_ttl and self._marks is not None else None
        self._wait_clock = Idle(state, "waiting", ttl) if ttl else None
        self._lasting = object()
        state.on_restore(self._rebuild)

    def _rebuild(self) -> None:
        self._lasting = object()  # rows may lie elsewhere now
        keys, others = self.keys[self.keyed], self.keys[1 - self.keyed]
        for segments, positions, kind, cell in self._kinds(keys):
            for ids, rows in self._again(segments, positions):
                k.place(ids, rows, self._index.tab, self._index.cell0, kind, segments.tab, cell)
        for ids, rows in self._again(self._waiting, others):
            k.queue(ids, rows, self._index.tab, self._index.cell0, self._waiting.tab, self._wait_cell)

    def _kinds(self, keys: Sequence[int]) -> list[tuple[Segments, Sequence[int], int, int]]:
        found: list[tuple[Segments, Sequence[int], int, int]] = [(self._rows, keys, k.ROW, self._row_cell)]
        if self._marks is not None:
            found.append((self._marks, range(len(keys)), k.MARK, self._mark_cell))
        return found

    def _again(self, segments: Segments, positions: Sequence[int]) -> list[tuple[Ids, Ids]]:
        """All rows with their keys, in order and in pieces."""
        found = []
        rows = segments.snapshot().ids()
        place = {p: i for i, p in enumerate(sorted(set(positions)))}
        for a in range(0, len(rows), 1 << 16):
            part = rows[a : a + (1 << 16)]
            columns = segments.take(part, place)
            found.append((self._index.lookup([columns[place[p]] for p in positions], length=len(part)), part))
        return found

    # ---- steps

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Join the changes of one step: the keyed side's first."""
        parts: list[Delta] = []
        dropped: list[Rejected] = []
        if any(self.ttl):
            self._sweep(tick.now)
        for side in (self.keyed, 1 - self.keyed):
            delta = deltas[side]
            if delta is None or not delta.length:
                continue
            delta = single(delta)
            some = keyed_rows(delta, self.keys[side], self.null_safe)
            if some is not None:
                delta = delta.take(some)
                if not delta.length:
                    continue
            ids = self._index.lookup([delta.columns[i] for i in self.keys[side]], length=delta.length)
            if any(self.ttl):
                self._expire(ids)
            if side == self.keyed:
                self._take(delta, ids, tick, parts, dropped)
            else:
                self._meet(delta, ids, tick, parts, dropped)
        self._tidy()
        return Out(late_concat(parts) if parts else None, dropped)

    def _take(self, delta: Delta, ids: Ids, tick: Tick, parts: list[Delta], dropped: list[Rejected]) -> None:
        """Rows of the keyed side: those that wait for them are released."""
        n = len(ids)
        columns = delta.columns[: len(self._kept)]
        index, waiting = self._index, self._waiting
        joins = _ALL if self.mark is None else _true(delta.columns[self.mark])
        room = len(waiting)
        cause, partner = np.empty(room, np.int64), np.empty(room, np.int64)
        rows, marks, twice = (np.empty(n, np.int64) for _ in range(3))
        counts = np.zeros(4, np.int64)
        k.settle(
            ids, joins, index.tab, index.cell0, waiting.tab, self._wait_cell, rows, marks, twice, cause, partner, counts
        )
        a, b, t, m = counts.tolist()
        if a:
            at = rows[:a]
            new = self._rows.append(columns if a == n else [c.take(at) for c in columns], a)
            k.place(ids[at], new, index.tab, index.cell0, k.ROW, self._rows.tab, self._row_cell)
            if self._row_clock is not None:
                ik.written(new, self._rows.tab, self._rows.cell0, self._row_clock.now)
        if b:
            assert self._marks is not None  # noqa: S101 (else all rows join)
            at = marks[:b]
            new = self._marks.append([delta.columns[i].take(at) for i in self.keys[self.keyed]], b)
            k.place(ids[at], new, index.tab, index.cell0, k.MARK, self._marks.tab, self._mark_cell)
            if self._mark_clock is not None:
                ik.written(new, self._marks.tab, self._marks.cell0, self._mark_clock.now)
        if t:
            text = "a second row of a key that is declared or known to be unique"
            rest = Delta(self._kept, columns, None, delta.marks, n)
            dropped.append(reject_rows(rest, twice[:t], [text] * t, reason="constraint", origin=self.origin))
        if m:
            cause, partner = cause[:m], partner[:m]
            joined = np.flatnonzero(cause >= 0)
            mine = Delta(self._kept, columns, None, delta.marks, n)
            self._emit(mine, waiting, self.keyed, cause[joined], partner[joined], tick, parts, dropped)
            waiting.kill(partner)

    def _meet(self, delta: Delta, ids: Ids, tick: Tick, parts: list[Delta], dropped: list[Rejected]) -> None:
        """Rows of the other side: they meet the keyed side, or wait."""
        n = len(ids)
        outer, inner, wait = (np.empty(n, np.int64) for _ in range(3))
        counts = np.zeros(2, np.int64)
        index, waiting = self._index, self._waiting
        k.meet(ids, index.tab, index.cell0, outer, inner, wait, counts)
        m, w = counts.tolist()
        if w:
            at = wait[:w]
            new = waiting.append(delta.columns if w == n else [c.take(at) for c in delta.columns], w)
            k.queue(ids[at], new, index.tab, index.cell0, waiting.tab, self._wait_cell)
            if self._wait_clock is not None:
                ik.written(new, waiting.tab, waiting.cell0, self._wait_clock.now)
        if m:
            self._emit(delta, self._rows, 1 - self.keyed, outer[:m], inner[:m], tick, parts, dropped)

    # ---- output

    def _emit(
        self,
        delta: Delta,
        segments: Segments,
        side: int,
        outer: Ids,
        inner: Ids,
        tick: Tick,
        parts: list[Delta],
        dropped: list[Rejected],
    ) -> None:
        """Pairs (row of ``delta``, which is of this side; row in ``segments``) that pass the condition."""
        for start in range(0, len(outer), ROOM):
            mine, theirs = outer[start : start + ROOM], inner[start : start + ROOM]
            if self.residual is not None:
                mine, theirs = self._passing(delta, segments, side, mine, theirs, tick, dropped)
            if len(mine):
                parts.append(self._joined(delta, segments, side, mine, theirs))

    def _passing(
        self, delta: Delta, segments: Segments, side: int, mine: Ids, theirs: Ids, tick: Tick, dropped: list[Rejected]
    ) -> tuple[Ids, Ids]:
        """The pairs that pass: only the columns that the condition reads are gathered."""
        residual = self.residual
        assert residual is not None  # noqa: S101 (asked only then)
        whole = self._every(side, mine, delta.length)
        ours = [delta.columns[i] if whole else delta.columns[i].take(mine) for i in self._reads[side]]
        others = segments.take(theirs, self._reads[1 - side])
        columns = [*ours, *others] if side == 0 else [*others, *ours]
        if isinstance(residual, Condition):
            passing = residual.passing(columns)
            if passing.all():
                return mine, theirs
            chosen, partners = np.empty(len(mine), np.int64), np.empty(len(mine), np.int64)
            m = k.choose(passing.view(np.uint8), mine, theirs, chosen, partners)
            return chosen[:m], partners[:m]
        # The weights travel with their rows: here they say which pair a row is.
        numbers = np.arange(1, len(mine) + 1)
        marks = delta.marks[mine] if isinstance(delta.marks, np.ndarray) and not whole else delta.marks
        found, errors = residual.run(Delta(self._read_schema, columns, numbers, marks, len(mine)), tick)
        if errors:
            dropped += reject_errors(self._joined(delta, segments, side, mine, theirs), errors, self.origin)
        if found.length == len(mine):
            return mine, theirs
        at = found.weight_array() - 1 if found.length else _NONE
        return mine[at], theirs[at]

    def _joined(self, delta: Delta, segments: Segments, side: int, mine: Ids, theirs: Ids) -> Delta:
        ours, marks = delta.columns, delta.marks
        if not self._every(side, mine, delta.length):
            ours = tuple(late_take(ours, mine))
            marks = marks[mine] if isinstance(marks, np.ndarray) else marks
        others = self._late(theirs) if segments is self._rows else segments.take(theirs)
        columns = [*ours, *others] if side == 0 else [*others, *ours]
        return Delta(self.schema, columns, None, marks, len(mine))

    def _late(self, rows: Ids) -> list[Column]:
        """Columns of the keyed side: without a TTL its rows stay as they are, and are gathered when they are read."""
        if self._row_clock is not None:
            return self._rows.take(rows)
        return late_gather(self._kept.types, self._rows.take, rows, self._lasting)

    def _every(self, side: int, rows: Ids, n: int) -> bool:
        """Whether the positions are 0, 1, … n - 1. Those of the other side ascend, each is there once."""
        return len(rows) == n and (side != self.keyed or bool((rows == np.arange(n)).all()))

    # ---- state that goes

    def _sweep(self, now: int) -> None:
        """Look through a piece of the state for what is idle."""
        gone = [_NONE]
        for clock, segments, cell in (
            (self._row_clock, self._rows, self._row_cell),
            (self._mark_clock, self._marks, self._mark_cell),
            (self._wait_clock, self._waiting, self._wait_cell),
        ):
            if clock is None or segments is None:
                continue
            clock.begin(now)
            a, b = clock.piece(segments.extent)
            if a < b:
                out = np.empty(b - a, np.int64)
                m = ik.idle_rows(segments.tab, a, b, segments.cell0 - 1, segments.cell0, clock.limit, out)
                gone.append(segments.tab[out[:m], cell])
        ids = np.concatenate(gone)
        if len(ids):
            self._expire(ids)
            out = np.empty(len(ids), np.int64)
            m = k.free(ids, self._index.tab, self._index.cell0, out)
            self._index.release(out[:m])

    def _expire(self, ids: Ids) -> None:
        """What is idle of these keys goes."""
        tab, cell = self._index.tab, self._index.cell0
        out = np.empty(len(ids), np.int64)
        for clock, segments, kind in (
            (self._row_clock, self._rows, k.ROW),
            (self._mark_clock, self._marks, k.MARK),
        ):
            if clock is not None and segments is not None and len(segments):
                m = k.idle_rows(ids, tab, cell, kind, segments.tab, segments.cell0, clock.limit, out)
                segments.kill(out[:m])
                if kind == k.ROW:
                    clock.count(m)
        clock, waiting = self._wait_clock, self._waiting
        if clock is not None and len(waiting):
            out = np.empty(len(waiting), np.int64)
            m = k.idle_heads(ids, tab, cell, waiting.tab, self._wait_cell, waiting.cell0, clock.limit, out)
            waiting.kill(out[:m])
            clock.count(m)

    def _tidy(self) -> None:
        """Give memory of rows that went back, a little at a time."""
        index = self._index
        for old, new in self._waiting.tidy():
            jk.moved(old, new, self._waiting.tab, self._wait_cell, index.tab, index.cell0)
        if not self.ttl[self.keyed]:
            return
        for segments, _, kind, cell in self._kinds(self.keys[self.keyed]):
            for _, new in segments.tidy():
                k.place(segments.tab[new, cell], new, index.tab, index.cell0, kind, segments.tab, cell)

    def wake(self) -> int | None:
        """When it looks for idle rows."""
        clocks = ((self._row_clock, self._rows), (self._mark_clock, self._marks), (self._wait_clock, self._waiting))
        return soonest((c, len(s)) for c, s in clocks if c is not None and s is not None)

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {
            **({"ttl": list(self.ttl)} if any(self.ttl) else {}),
            "operator": "KeyJoin",
            "type": "INNER",
            "on": key_names(self.inputs, self.keys, self.null_safe),
            "keyed": ("left", "right")[self.keyed],
            "state": "rows of the keyed side, and rows of the other that wait for theirs",
            "bounded": False,
        }


def _true(column: Column) -> npt.NDArray[np.uint8]:
    """Where a BOOLEAN is TRUE."""
    found: npt.NDArray[np.uint8] = (column.words() != 0).astype(np.uint8)
    valid = column.valid()
    return found if valid is None else found & valid
