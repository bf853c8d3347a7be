"""The regular inner equi-join: both sides kept, each change of one side meets the rows of the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.engine.kernels import join as k
from deras.engine.operator import Operator, Out, Program
from deras.engine.rejects import reject_errors, reject_rows
from deras.engine.state.rowset import LIST, RowSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.column import Column
    from deras.core.records import Rejected
    from deras.core.time import Tick
    from deras.engine.state import State

ROOM = 1 << 16
"""Pairs that are looked at together (a residual condition then needs no more memory than that)."""


class Join(Operator):
    """Inner join on equal keys.

    Changes of the left meet the right as it was before the step, then changes of the right meet the left as it is after
    it: each in arrival order, the partners of one row in the order of their arrival. A NULL in a key matches nothing.

    Args:
        left: schema of the first input.
        right: schema of the second.
        left_keys: positions in ``left``; none for a cross join.
        right_keys: positions in ``right``, of the same types.
        residual: the rest of the condition, a filter over the joined row; its output columns must be the joined ones.
        left_append: whether the first input only inserts.
        right_append: whether the second input only inserts.
        origin: what rejected rows are said to come from.
    """

    arity: ClassVar[int] = 2

    def __init__(
        self,
        left: Schema,
        right: Schema,
        left_keys: Sequence[int],
        right_keys: Sequence[int],
        residual: Program | None = None,
        left_append: bool = True,
        right_append: bool = True,
        origin: str = "Join",
    ) -> None:
        for a, b in zip(left_keys, right_keys, strict=True):
            if left[a].type.layout is not right[b].type.layout:
                raise ValueError(f"join keys {left[a]} and {right[b]} are not of one type")
        self.inputs = (left, right)
        self.keys = (tuple(left_keys), tuple(right_keys))
        self.residual = residual
        self.schema = Schema((*left.fields, *right.fields))
        self.append_only = left_append and right_append
        self._append = (left_append, right_append)
        self.origin = origin

    def open(self, state: State) -> None:
        """Rows of both sides; the index of keys is rebuilt from them."""
        types = [self.inputs[0][i].type.with_nullable(False) for i in self.keys[0]]
        self._index = state.index("keys", types, 6, LIST + LIST, saved=False)
        self._sides = tuple(
            RowSet(
                state,
                name,
                schema,
                updating=not append,
                groups=self._index,
                cell=cell,
                identity=schema.key,
            )
            for name, schema, append, cell in zip(("left", "right"), self.inputs, self._append, (0, 3), strict=True)
        )
        state.on_restore(self._rebuild)

    def _rebuild(self) -> None:
        for side, keys in zip(self._sides, self.keys, strict=True):
            side.rebuild(keys)

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Join the changes of one step."""
        parts: list[Delta] = []
        dropped: list[Rejected] = []
        for side in (0, 1):
            delta = deltas[side]
            if delta is None or not delta.length:
                continue
            delta = single(self._with_keys(delta, self.keys[side]))
            if not delta.length:
                continue
            ids = self._index.lookup([delta.columns[i] for i in self.keys[side]], length=delta.length)
            self._meet(side, delta, ids, tick, parts, dropped)
            absent = self._sides[side].apply(delta.columns, delta.weights, delta.length, ids)
            if len(absent):
                text = "a row is taken back that never came"
                dropped.append(
                    reject_rows(delta, absent, [text] * len(absent), reason="constraint", origin=self.origin)
                )
            if delta.weights is not None:
                self._release(ids)
            self._sides[side].tidy()
        return Out(Delta.concat(parts) if parts else None, dropped)

    def _with_keys(self, delta: Delta, keys: Sequence[int]) -> Delta:
        """Without the rows that can never match."""
        ok: Any = None
        for i in keys:
            valid = delta.columns[i].valid()
            if valid is not None:
                ok = valid if ok is None else ok & valid
        return delta if ok is None or ok.all() else delta.take(np.flatnonzero(ok))

    def _meet(self, side: int, delta: Delta, ids: Any, tick: Tick, parts: list[Delta], dropped: list[Rejected]) -> None:
        other = self._sides[1 - side]
        tab, cell = self._index.tab, other.group_cell
        total = k.matches(ids, tab, cell)
        start = 0
        while total > 0 and start < delta.length:
            # A list longer than ROOM is given whole.
            room = min(total, ROOM) if total <= ROOM else max(ROOM, int(tab[ids, cell + 2].max()))
            outer, inner = np.empty(room + 1, np.int64), np.empty(room, np.int64)
            start = k.pairs(ids, start, room, tab, cell, other.segments.tab, other.group_list, outer, inner)
            m = int(outer[-1])
            if not m:
                break
            mine, theirs = delta.take(outer[:m]), other.segments.take(inner[:m])
            columns: list[Column] = [*mine.columns, *theirs] if side == 0 else [*theirs, *mine.columns]
            weights = None if self.append_only else mine.weight_array()
            found = Delta(self.schema, columns, weights, mine.marks, m)
            if self.residual is not None:
                joined = found
                found, errors = self.residual.run(found, tick)
                if errors:
                    dropped += reject_errors(joined, errors, self.origin)
            if found.length:
                parts.append(found)

    def _release(self, ids: Any) -> None:
        left, right = (s.group_cell for s in self._sides)
        out = np.empty(len(ids), np.int64)
        m = k.empty(ids, self._index.tab, left, out)
        m = k.empty(out[:m], self._index.tab, right, out)
        if m:
            self._index.release(out[:m])

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        names = [[s[i].name for i in keys] for s, keys in zip(self.inputs, self.keys, strict=True)]
        return {
            "operator": "Join",
            "type": "INNER",
            "on": [f"{a} = {b}" for a, b in zip(*names, strict=True)],
            "state": "all rows of both inputs, for ever",
            "bounded": False,
        }


def single(delta: Delta) -> Delta:
    """The same changes with every weight +1 or -1 (a weight of 3 becomes three rows, 0 none)."""
    w = delta.weights
    if w is None or (np.abs(w) == 1).all():
        return delta
    out = delta.take(np.repeat(np.arange(delta.length), np.abs(w)))
    assert out.weights is not None  # noqa: S101 (it was not None before)
    return Delta(out.schema, out.columns, np.sign(out.weights), out.marks, out.length)
