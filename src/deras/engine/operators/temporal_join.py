"""Joins with the version of a moment: each row of the left meets the row of its key as it was at the row's time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.engine.due import DueQueue
from deras.engine.kernels import temporal_join as k
from deras.engine.kernels.interval_join import moved
from deras.engine.kernels.join import get_cell, put_cell
from deras.engine.operator import Operator, Out, Program
from deras.engine.operators.join import single
from deras.engine.pairing import all_valid, with_partners
from deras.engine.rejects import reject_rows, without
from deras.engine.windows import time_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.column import Column
    from deras.core.records import Rejected
    from deras.core.time import Tick
    from deras.engine.state import State

Words = npt.NDArray[np.int64]


class TemporalJoin(Operator):
    """Join with the last version of the right up to the time of each row of the left.

    A row of the left waits until the watermark passes its time; then it comes, with its version or (``left``) with
    NULLs, in the order of times. A row whose time the watermark had passed on arrival is rejected as late. A version
    that comes late counts from then on.

    On the right every insertion is a version from its time on, and a removal says that from its own time on there is
    none; a removal before an insertion of the same key in one step is half of an update. Versions that no row can ask
    for any more are forgotten.

    Args:
        left: schema of the rows.
        right: schema of the versions.
        left_keys: positions in ``left``.
        right_keys: positions in ``right``, of the same types: the key of which there are versions.
        left_time: position of the left's time attribute.
        right_time: position of the right's.
        kind: ``inner`` or ``left``.
        residual: the rest of the condition, a filter over the joined row; its output columns must be the joined ones.
        schema: the output (by default the columns of both).
        strict: whether the version must be from before the row's time (``ASOF`` with ``>``).
        left_append: whether the left only inserts.
        origin: what rejected rows are said to come from.
        newest: whether versions older than the key's last one are passed over, as in a view of the latest rows.
        name: in messages.
    """

    arity: ClassVar[int] = 2

    def __init__(
        self,
        left: Schema,
        right: Schema,
        left_keys: Sequence[int],
        right_keys: Sequence[int],
        left_time: int,
        right_time: int,
        kind: Literal["inner", "left"] = "inner",
        residual: Program | None = None,
        schema: Schema | None = None,
        strict: bool = False,
        left_append: bool = True,
        origin: str = "TemporalJoin",
        newest: bool = False,
        name: str = "temporal join",
    ) -> None:
        for a, b in zip(left_keys, right_keys, strict=True):
            if left[a].type.layout is not right[b].type.layout:
                raise ValueError(f"join keys {left[a]} and {right[b]} are not of one type")
        self.inputs = (left, right)
        self.keys = (tuple(left_keys), tuple(right_keys))
        self.times = (left_time, right_time)
        self.kind = kind
        self.residual = residual
        self.joined = Schema((*left.fields, *right.fields))
        self.schema = schema or self.joined
        self.strict = strict
        self.append_only = left_append
        self.origin = origin
        self.newest = newest
        self.name = name

    def open(self, state: State) -> None:
        """Rows that wait and versions; keys, lists and what is due are rebuilt from them."""
        types = [self.inputs[0][i].type.with_nullable(False) for i in self.keys[0]]
        self._index = state.index("keys", types, 5, (-1, -1, 0, 0, 0), saved=False)
        self._group = self._index.cell0
        # time, mark, weight; key.
        self._rows = state.segments("left", self.inputs[0], 4, 3)
        self._waiting = DueQueue(self._rows)
        # time, mark, deletion; key, next, previous.
        self._versions = state.segments("right", self.inputs[1], 6, 3)
        self._begins = DueQueue(self._versions)
        state.on_restore(self._rebuild)

    def _rebuild(self) -> None:
        for side, segments in enumerate((self._rows, self._versions)):
            snapshot = segments.snapshot()
            all_ids = snapshot.ids()
            for a in range(0, len(all_ids), 1 << 16):
                ids = all_ids[a : a + (1 << 16)]
                groups = self._groups(side, snapshot.columns(ids), len(ids))
                (self._wait if side == 0 else self._version)(ids, groups)

    def _groups(self, side: int, columns: Sequence[Column], n: int) -> Words:
        """The index ids of rows; -1 where a key is NULL."""
        keys = [columns[i] for i in self.keys[side]]
        ok = all_valid(keys)
        if ok is None:
            return self._index.lookup(keys, length=n)
        ids = np.full(n, -1, np.int64)
        rows = np.flatnonzero(ok)
        ids[rows] = self._index.lookup(keys, rows)
        return ids

    def _wait(self, rows: Words, groups: Words) -> None:
        put_cell(rows, self._rows.tab, self._rows.cell0 + 3, groups)
        k.count(groups, self._index.tab, self._group + 3, 1)
        self._waiting.push(rows, self._cell(self._rows, rows, 0))

    def _version(self, rows: Words, groups: Words) -> None:
        k.insert(groups, rows, self._versions.tab, self._versions.cell0, self._index.tab, self._group)
        self._push_begins(rows)

    def _push_begins(self, rows: Words) -> None:
        begins = np.maximum(self._cell(self._versions, rows, 0), self._cell(self._versions, rows, 1))
        self._begins.push(rows, begins)

    @staticmethod
    def _cell(segments: Any, rows: Words, place: int) -> Words:
        out = np.empty(len(rows), np.int64)
        get_cell(rows, segments.tab, segments.cell0 + place, out)
        return out

    # ---- a step

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Take versions and rows, then answer the rows whose time has come."""
        low, high = tick.low, max(tick.low, tick.high)
        dropped: list[Rejected] = []
        seen = [np.array([low], np.int64)]
        left, right = deltas
        if right is not None and right.length:
            self._take_versions(right, low, high, dropped, seen)
        if left is not None and left.length:
            self._take_rows(left, low, high, dropped, seen)
        out = self._answer(high, seen, tick, dropped)
        self._forget(high)
        return Out(out, dropped)

    def _marked(self, side: int, delta: Delta, low: int, dropped: list[Rejected]) -> tuple[Delta, Words]:
        """The rows that have a time, and the watermark that they saw."""
        at = self.times[side]
        valid = delta.columns[at].valid()
        if valid is not None and not valid.all():
            rows = np.flatnonzero(valid == 0)
            text = f"the time column `{self.inputs[side][at].name}` of the {self.name} is NULL"
            dropped.append(reject_rows(delta, rows, [text] * len(rows), reason="constraint", origin=self.origin))
            delta = without(delta, rows)
        # Late is what its own table's watermark has passed: how far the other is depends on the steps.
        return delta, np.maximum.accumulate(np.maximum(delta.mark_array(), low))

    def _ms(self, side: int, delta: Delta) -> Words:
        column = delta.columns[self.times[side]]
        return column.words() // column.type.words_per_ms

    def _take_versions(self, delta: Delta, low: int, high: int, dropped: list[Rejected], seen: list[Words]) -> None:
        delta, marks = self._marked(1, single(delta), low, dropped)
        seen.append(np.minimum(marks, high))
        ok = all_valid([delta.columns[i] for i in self.keys[1]])
        if ok is not None:
            some = np.flatnonzero(ok)
            delta, marks = delta.take(some), marks[some]
        if not delta.length:
            return
        groups = self._index.lookup([delta.columns[i] for i in self.keys[1]], length=delta.length)
        if delta.weights is not None:
            keep = np.empty(delta.length, np.int64)
            m = k.changes(groups, np.ascontiguousarray(delta.weights), self._index.tab, self._group + 4, keep)
            if m < delta.length:
                delta, marks, groups = delta.take(keep[:m]), marks[keep[:m]], groups[keep[:m]]
        if self.newest:
            keep = np.empty(delta.length, np.int64)
            m = k.newest(
                groups, self._ms(1, delta), self._versions.tab, self._versions.cell0, self._index.tab, self._group, keep
            )  # fmt: skip
            if m < delta.length:
                delta, marks, groups = delta.take(keep[:m]), marks[keep[:m]], groups[keep[:m]]
        rows = self._versions.append(delta.columns, delta.length)
        gone = np.zeros(delta.length, np.int64) if delta.weights is None else (delta.weights < 0).astype(np.int64)
        for place, values in enumerate((self._ms(1, delta), marks, gone)):
            put_cell(rows, self._versions.tab, self._versions.cell0 + place, np.ascontiguousarray(values))
        self._version(rows, groups)

    def _take_rows(self, delta: Delta, low: int, high: int, dropped: list[Rejected], seen: list[Words]) -> None:
        delta, marks = self._marked(0, single(delta), low, dropped)
        seen.append(np.minimum(marks, high))
        times = self._ms(0, delta)
        late = times <= marks
        if late.any():
            rows = np.flatnonzero(late)
            messages = [f"late for the {self.name}: the watermark was {time_text(m)}" for m in marks[rows].tolist()]
            dropped.append(reject_rows(delta, rows, messages, reason="late", origin=self.origin, rowtime=self.times[0]))
        keep = ~late
        if self.kind == "inner" and (ok := all_valid([delta.columns[i] for i in self.keys[0]])) is not None:
            keep &= ok
        if not keep.all():
            some = np.flatnonzero(keep)
            delta, marks, times = delta.take(some), marks[some], times[some]
        if not delta.length:
            return
        groups = self._groups(0, delta.columns, delta.length)
        rows = self._rows.append(delta.columns, delta.length)
        for place, values in enumerate((times, marks, delta.weight_array())):
            put_cell(rows, self._rows.tab, self._rows.cell0 + place, np.ascontiguousarray(values))
        self._wait(rows, groups)

    def _answer(self, high: int, seen: list[Words], tick: Tick, dropped: list[Rejected]) -> Delta | None:
        rows, times = self._waiting.pop(high)
        if not len(rows):
            return None
        groups, versions = self._cell(self._rows, rows, 3), np.empty(len(rows), np.int64)
        k.version_at(
            groups, times, int(self.strict), self._index.tab, self._group, self._versions.tab, self._versions.cell0,
            versions,
        )  # fmt: skip
        columns = self._rows.take(rows)
        weights = None if self.append_only else self._cell(self._rows, rows, 2)
        marks = np.unique(np.concatenate(seen))
        # What was the watermark just before the one that fired it: the greatest one seen below.
        before = np.maximum(
            marks[np.maximum(np.searchsorted(marks, times, "left") - 1, 0)], self._cell(self._rows, rows, 1)
        )
        mine = Delta(self.inputs[0], columns, weights, before, len(rows))
        outer = np.flatnonzero(versions >= 0)
        out = with_partners(
            mine, outer, versions[outer], self._versions.take, keep_all=self.kind == "left", schema=self.schema,
            residual=self.residual, joined=self.joined, tick=tick, origin=self.origin, dropped=dropped,
        )  # fmt: skip
        self._rows.kill(rows)
        k.count(groups, self._index.tab, self._group + 3, -1)
        self._release(groups)
        for _, new in self._rows.tidy():
            self._waiting.push(new, self._cell(self._rows, new, 0))
        return out

    def _forget(self, high: int) -> None:
        due, _ = self._begins.pop(high)
        if not len(due):
            return
        room = len(self._versions)
        gone, groups = np.empty(room, np.int64), np.empty(room, np.int64)
        m = k.outdated(
            due, high, self._versions.tab, self._versions.cell0, self._index.tab, self._group, gone, groups
        )  # fmt: skip
        if not m:
            return
        self._versions.kill(gone[:m])
        self._release(groups[:m])
        for old, new in self._versions.tidy():
            moved(old, new, self._versions.tab, self._versions.cell0, self._index.tab, self._group)
            waits = np.maximum(self._cell(self._versions, new, 0), self._cell(self._versions, new, 1)) > high
            if waits.any():
                self._push_begins(new[waits])

    def _release(self, groups: Words) -> None:
        out = np.empty(len(groups), np.int64)
        m = k.unused(np.ascontiguousarray(groups), self._index.tab, self._group, out)
        if m:
            self._index.release(out[:m])

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        names = [[s[i].name for i in keys] for s, keys in zip(self.inputs, self.keys, strict=True)]
        return {
            "operator": "TemporalJoin",
            "type": self.kind.upper(),
            "on": [f"{a} = {b}" for a, b in zip(*names, strict=True)],
            "time": [s[i].name for s, i in zip(self.inputs, self.times, strict=True)],
            "state": "rows of the left until the watermark passes them, the last version of every key",
            "bounded": False,
        }
