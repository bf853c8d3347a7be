"""Semi and anti joins on keys alone (IN, EXISTS, NOT IN): the left's rows once, the right's keys counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from deras.core.delta import Delta
from deras.engine.kernels import join as k
from deras.engine.operator import Operator, Out
from deras.engine.operators.join import check_keys, key_names, key_types, keyed_rows, single
from deras.engine.rejects import reject_rows
from deras.engine.state.idle import Idle, soonest
from deras.engine.state.rowset import LIST, RowSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.column import Column
    from deras.core.records import Rejected
    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.state import State

Ids = npt.NDArray[np.int64]
_NONE = np.zeros(0, np.int64)
_TOTAL = "total"


class SemiJoin(Operator):
    """The left's rows whose key the right has (SEMI) or has not (ANTI).

    Of the right only the number of each key is kept. Changes of the left are judged by the right as it was before the
    step, then changes of the right bring or take the left's rows: when a key's first row comes, when its last goes.
    Where neither side takes rows back, a row is decided for good when the right has its key, and not kept any more.

    ``null_aware`` is SQL's NOT IN: with an empty right every row passes; with a NULL on the right none does; else those
    whose key is not NULL and not on the right. When the right turns from one of these cases to another, all rows of the
    left are looked at once.

    With a TTL rows of the left are forgotten when they came so long ago, and keys of the right when no change of them
    came for so long, without a word. (Of NOT IN the right is kept: it says what is not there.)

    Args:
        left: schema of the first input and of the output.
        right: schema of the second.
        left_keys: positions in ``left``; none: EXISTS without a condition.
        right_keys: positions in ``right``, of the same types.
        kind: SEMI or ANTI.
        left_append: whether the first input only inserts.
        right_append: whether the second input only inserts.
        null_safe: for each key whether NULL equals NULL.
        null_aware: NOT IN, for ANTI on one key.
        left_unique: there is never more than one live row of a key on the left.
        origin: what rejected rows are said to come from.
        ttl: after how many ms of processing time rows of the left, keys of the right, are forgotten; 0: never.
        forgetful: an operator before this one forgets, so that rows may be taken back that are not there.

    Raises:
        ValueError: keys of different types, or ``null_aware`` with another kind or number of keys.
    """

    arity: ClassVar[int] = 2

    def __init__(
        self,
        left: Schema,
        right: Schema,
        left_keys: Sequence[int],
        right_keys: Sequence[int],
        kind: Literal["SEMI", "ANTI"],
        left_append: bool = True,
        right_append: bool = True,
        null_safe: Sequence[bool] = (),
        null_aware: bool = False,
        left_unique: bool = False,
        origin: str = "SemiJoin",
        ttl: Sequence[int] = (0, 0),
        forgetful: bool = False,
    ) -> None:
        check_keys(left, right, left_keys, right_keys)
        if null_aware and (kind != "ANTI" or len(left_keys) != 1):
            raise ValueError("NOT IN is an anti join on one key")
        self.inputs = (left, right)
        self.keys = (tuple(left_keys), tuple(right_keys))
        self.kind = kind
        self.null_safe = (True,) if null_aware else tuple(null_safe) or (False,) * len(self.keys[0])
        self.null_aware = null_aware
        self.schema = left
        self.append_only = kind == "SEMI" and left_append and right_append
        self.left_unique = left_unique
        self._append = (left_append, right_append)
        self.origin = origin
        self.ttl = (ttl[0], 0 if null_aware else ttl[1])
        self._forgetful = forgetful or any(self.ttl)
        # Under a TTL the right may lose a key, and what was decided with it.
        self._final = left_append and right_append and not null_aware and not self._forgetful

    def open(self, state: State) -> None:
        """The left's rows in lists by key, the right's keys with their numbers."""
        types = key_types(self.inputs, self.keys, self.null_safe)
        self._index = state.index("keys", types, 3, LIST, saved=False)
        self._left = RowSet(
            state,
            "left",
            self.inputs[0],
            updating=not self._append[0],
            groups=self._index,
            identity=self.inputs[0].key,
            unique=self.left_unique,
            timed=self.ttl[0] > 0,
        )
        self._rows = Idle(state, "left", self.ttl[0]) if self.ttl[0] else None
        self._keys = Idle(state, "right", self.ttl[1]) if self.ttl[1] else None
        self._right = state.index("right", types, 2 if self._keys else 1, (0, 0) if self._keys else (0,))
        self._values = state.values("right")
        state.on_restore(lambda: self._left.rebuild(self.keys[0]))

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Judge the left's changes, then take the right's."""
        parts: list[Delta] = []
        dropped: list[Rejected] = []
        left, right = deltas
        if self._rows is not None:
            self._rows.begin(tick.now)
            self._release(self._rows.expire(self._left, self._rows.rows(self._left)))
        if self._keys is not None:
            self._keys.begin(tick.now)
            self._forget(self._keys, self._keys.keys(self._right, self._right.cell0 + 1))
        if left is not None and left.length:
            self._take_left(single(left), parts, dropped)
        if right is not None and right.length:
            self._take_right(single(right), parts, dropped)
        self._left.tidy()
        return Out(Delta.concat(parts) if parts else None, dropped)

    # ---- left

    def _take_left(self, delta: Delta, parts: list[Delta], dropped: list[Rejected]) -> None:
        keyed = keyed_rows(delta, self.keys[0], self.null_safe)
        if keyed is not None and self.kind == "SEMI":
            delta, keyed = delta.take(keyed), None
        kept = delta if keyed is None else delta.take(keyed)
        columns = [kept.columns[i] for i in self.keys[0]]
        if self._final:
            self._keep_undecided(kept, columns)
            ids = _NONE
        else:
            ids = self._index.lookup(columns, length=kept.length)
        if self._rows is not None:
            self._rows.expire(self._left, self._rows.heads(self._left, ids))
        absent = _NONE if self._final else self._left.apply(kept.columns, kept.weights, kept.length, ids)
        if self._rows is not None:
            self._rows.came(self._left)
        if self._forgetful:
            # The row that goes was given, so it is taken back as far as the right says so.
            absent = _NONE
        if len(absent):
            dropped.append(self._unknown(kept, absent))
        found = self._right.lookup(columns, insert=False, length=kept.length)
        if self._keys is not None:
            there = found[found >= 0]
            if len(gone := self._keys.among(there, self._right, self._right.cell0 + 1)):
                self._forget(self._keys, gone)
                found = self._right.lookup(columns, insert=False, length=kept.length)
        passes = np.ones(delta.length, bool)
        here = self._visible(found, columns)
        if len(absent):
            here[absent] = False
        passes[slice(None) if keyed is None else keyed] = here
        rows = np.flatnonzero(passes)
        if len(rows):
            out = delta if len(rows) == delta.length else delta.take(rows)
            weights = None if self.append_only else out.weight_array()
            parts.append(Delta(self.schema, out.columns, weights, out.marks, out.length))
        if delta.weights is not None:
            self._release(ids)

    def _keep_undecided(self, delta: Delta, columns: Sequence[Column]) -> None:
        """Keep the rows whose key the right has not yet."""
        rows = np.flatnonzero(self._right.lookup(columns, insert=False, length=delta.length) < 0)
        if len(rows):
            ids = self._index.lookup(columns, rows, length=len(rows))
            self._left.apply([c.take(rows) for c in delta.columns], None, len(rows), ids)

    def _visible(self, found: Ids, columns: Sequence[Column]) -> Any:
        """Whether rows pass, by the right's id of their key (-1: not there)."""
        if self.kind == "SEMI":
            return found >= 0
        if not self.null_aware:
            return found < 0
        return _passes(self._case(self._values.get(_TOTAL, (0, 0))), found >= 0, columns[0])

    @staticmethod
    def _case(total: Any) -> str:
        return "empty" if not total[0] else "null" if total[1] else "some"

    def _release(self, ids: Ids) -> None:
        out = np.empty(len(ids), np.int64)
        m = k.empty(ids, self._index.tab, self._left.group_cell, out)
        if m:
            self._index.release(out[:m])

    def _unknown(self, delta: Delta, rows: Ids) -> Rejected:
        text = "a row is taken back that never came"
        return reject_rows(delta, rows, [text] * len(rows), reason="constraint", origin=self.origin)

    # ---- right

    def _take_right(self, delta: Delta, parts: list[Delta], dropped: list[Rejected]) -> None:
        keyed = keyed_rows(delta, self.keys[1], self.null_safe)
        if keyed is not None:
            delta = delta.take(keyed)
        if not delta.length:
            return
        index = self._right
        columns = [delta.columns[i] for i in self.keys[1]]
        ids = index.lookup(columns, length=delta.length)
        if self._keys is not None:
            if len(gone := self._keys.among(ids, index, index.cell0 + 1)):
                self._forget(self._keys, gone)
                ids = index.lookup(columns, length=delta.length)
            self._keys.wrote(ids, index, index.cell0 + 1)
        weights = np.ascontiguousarray(delta.weight_array())
        n = delta.length
        total, null = _NONE.copy(), -1
        if self.null_aware:
            total = np.array(self._values.get(_TOTAL, (0, 0)), np.int64)
            valid = columns[0].valid()
            if valid is not None and not valid.all():
                null = int(ids[np.flatnonzero(valid == 0)[0]])
        start = 0
        turned, absent, counts = np.empty(n, np.int64), np.empty(n, np.int64), np.zeros(2, np.int64)
        while start < n:
            before = total.copy()
            stop = int(k.tally(ids, weights, start, index.tab, index.cell0, null, total, turned, absent, counts))
            if counts[1] and not self._forgetful:
                dropped.append(self._unknown(delta, absent[: counts[1]]))
            changed = turned[: counts[0]]
            if len(total):
                self._values[_TOTAL] = total.tolist()
                was, now = self._case(before), self._case(total)
                last = stop - 1
                if was == now == "some":
                    self._turn(delta, ids, weights, changed, parts)
                elif was != now:
                    # All but the last change happened under the old rule.
                    if was == "some":
                        self._turn(delta, ids, weights, changed[changed < last], parts)
                    self._change(delta, last, was, now, int(ids[last]), int(weights[last]), parts)
            else:
                self._turn(delta, ids, weights, changed, parts)
            start = stop
        if delta.weights is not None:
            out = np.empty(n, np.int64)
            m = k.zeros(ids, index.tab, index.cell0, out)
            if m:
                index.release(out[:m])

    def _turn(self, delta: Delta, ids: Ids, weights: Ids, changed: Ids, parts: list[Delta]) -> None:
        """Keys came or went: the left's rows of these keys change sides."""
        if not len(changed):
            return
        rows = delta.take(changed)
        groups = self._index.lookup([rows.columns[i] for i in self.keys[1]], insert=False, length=rows.length)
        if self._rows is not None:
            self._rows.expire(self._left, self._rows.heads(self._left, groups))
        tab, cell, left = self._index.tab, self._left.group_cell, self._left
        room = int(k.matches(groups, tab, cell))
        if not room:
            return
        outer, inner = np.empty(room + 1, np.int64), np.empty(room, np.int64)
        k.pairs(groups, 0, room, tab, cell, left.segments.tab, left.group_list, outer, inner)
        outer = outer[:-1]
        signs = weights[changed][outer] if self.kind == "SEMI" else -weights[changed][outer]
        marks = rows.marks[outer] if isinstance(rows.marks, np.ndarray) else rows.marks
        columns = left.segments.take(inner)
        parts.append(Delta(self.schema, columns, None if self.append_only else signs, marks, room))
        if self._final:
            left.segments.kill(inner)
            self._index.release(groups[groups >= 0])

    def _change(self, delta: Delta, at: int, was: str, now: str, key: int, weight: int, parts: list[Delta]) -> None:
        """The right became empty, not empty, got its first NULL or lost its last: a new rule for all of the left."""
        rows = self._left.segments.snapshot()
        ids = rows.ids()
        place = self.keys[0][0]
        for a in range(0, len(ids), 1 << 16):
            columns = rows.columns(ids[a : a + (1 << 16)])
            key_column = columns[place]
            found = self._right.lookup([key_column], insert=False)
            counts = np.zeros(len(found), np.int64)
            counts[found >= 0] = self._right.tab[found[found >= 0], self._right.cell0]
            earlier = counts - np.where(found == key, weight, 0)
            signs = _passes(now, counts > 0, key_column).astype(np.int64)
            signs -= _passes(was, earlier > 0, key_column)
            moved = np.flatnonzero(signs)
            if len(moved):
                mark = int(delta.marks[at]) if isinstance(delta.marks, np.ndarray) else delta.marks
                taken = [c.take(moved) for c in columns]
                parts.append(Delta(self.schema, taken, signs[moved], mark, len(moved)))

    def _forget(self, idle: Idle, ids: Ids) -> None:
        self._right.release(ids)
        idle.count(len(ids))

    def wake(self) -> int | None:
        """When it looks for what is idle."""
        return soonest((i, len(p)) for i, p in ((self._rows, self._left), (self._keys, self._right)) if i is not None)

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {
            **({"ttl": list(self.ttl)} if any(self.ttl) else {}),
            "operator": "SemiJoin",
            "type": self.kind + (" (NOT IN)" if self.null_aware else ""),
            "on": key_names(self.inputs, self.keys, self.null_safe),
            "state": (
                "rows of the left input whose key the right has not" if self._final else "all rows of the left input"
            )
            + " and the keys of the right, for ever",
            "bounded": False,
        }


def _passes(case: str, there: Any, key: Column) -> Any:
    """Which rows NOT IN lets through: bool[n], by what the right has and whether the row's key is among it."""
    if case != "some":
        return np.full(len(there), case == "empty")
    valid = key.valid()
    return ~there if valid is None else ~there & valid.astype(bool)
