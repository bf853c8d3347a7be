"""The regular join: both sides kept, each change of one side meets the rows of the other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Field, Schema
from deras.engine.kernels import join as k
from deras.engine.operator import Operator, Out, Program
from deras.engine.rejects import reject_errors, reject_rows
from deras.engine.state.idle import Idle, soonest
from deras.engine.state.rowset import LIST, RowSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.records import Rejected
    from deras.core.time import Tick
    from deras.engine.state import State

Ids = npt.NDArray[np.int64]
JoinKind = Literal["INNER", "LEFT", "RIGHT", "FULL", "SEMI", "ANTI"]

ROOM = 1 << 16
"""Pairs that are looked at together (a residual condition then needs no more memory than that)."""
_NONE = np.zeros(0, np.int64)


def padded(kind: JoinKind) -> tuple[bool, bool]:
    """Whether rows of the left, of the right, come with NULLs where they have no partner."""
    return kind in ("LEFT", "FULL"), kind in ("RIGHT", "FULL")


def joined_fields(left: Schema, right: Schema, kind: JoinKind) -> tuple[Field, ...]:
    """The fields of a join: what may be padded is nullable; SEMI and ANTI give the left ones only."""
    if kind in ("SEMI", "ANTI"):
        return left.fields
    pads_left, pads_right = padded(kind)
    first = tuple(_nullable(f) for f in left.fields) if pads_right else left.fields
    second = tuple(_nullable(f) for f in right.fields) if pads_left else right.fields
    return (*first, *second)


def _nullable(f: Field) -> Field:
    return replace(f, type=f.type.with_nullable(True))


class Join(Operator):
    """Join on equal keys and a condition.

    Changes of the left meet the right as it was before the step, then changes of the right meet the left as it is after
    it: each in arrival order, the partners of one row in the order of their arrival. A NULL in a key matches nothing
    (unless that key is null-safe), so such a row is never kept: it goes out padded at once, or not at all.

    An outer join pads a row as long as no partner passes key and condition. Without a condition the number of a row's
    partners is the length of the other side's list; with one each row keeps its number.

    With a TTL rows of a side are forgotten when they came so long ago, without a word: nobody meets them any more.
    What takes such a row back still takes its pairs back, as far as the other side has them.

    Args:
        left: schema of the first input.
        right: schema of the second.
        left_keys: positions in ``left``; none for a join without equality.
        right_keys: positions in ``right``, of the same types.
        residual: the rest of the condition, a filter over the joined row; its output columns must be the joined ones.
        left_append: whether the first input only inserts.
        right_append: whether the second input only inserts.
        origin: what rejected rows are said to come from.
        kind: INNER, LEFT, RIGHT, FULL, or SEMI and ANTI (the left's rows with, or without, a partner).
        null_safe: for each key whether NULL equals NULL (IS NOT DISTINCT FROM).
        left_unique: there is never more than one live row of a key on the left.
        right_unique: the same of the right.
        ttl: after how many ms of processing time rows of the left, of the right, are forgotten; 0: never.
        forgetful: operators before this one forget, so that rows may be taken back that are not there, and new rows
            come for keys that should have one.
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
        kind: JoinKind = "INNER",
        null_safe: Sequence[bool] = (),
        left_unique: bool = False,
        right_unique: bool = False,
        ttl: Sequence[int] = (0, 0),
        forgetful: bool = False,
    ) -> None:
        check_keys(left, right, left_keys, right_keys)
        self.inputs = (left, right)
        self.keys = (tuple(left_keys), tuple(right_keys))
        self.null_safe = tuple(null_safe) or (False,) * len(self.keys[0])
        self.residual = residual
        self.kind: JoinKind = kind
        self.schema = Schema(joined_fields(left, right, kind))
        self.append_only = left_append and right_append and kind in ("INNER", "SEMI")
        self.unique = (left_unique, right_unique)
        self.ttl = tuple(ttl)
        self.forgetful = forgetful or any(self.ttl)
        self._append = (left_append, right_append)
        self._pads = padded(kind)
        self._half = kind in ("SEMI", "ANTI")
        self.origin = origin
        self._both = Schema((*left.fields, *right.fields))

    def open(self, state: State) -> None:
        """Rows of both sides; the index of keys is rebuilt from them."""
        types = key_types(self.inputs, self.keys, self.null_safe)
        self._index = state.index("keys", types, 7, (*LIST, *LIST, 0), saved=False)
        # With a condition the list's length says nothing: a row whose partners matter keeps their number.
        counted = (self._pads[0] or self._half, self._pads[1])
        self._sides = tuple(
            RowSet(
                state,
                name,
                schema,
                updating=not append,
                groups=self._index,
                cell=cell,
                identity=schema.key,
                unique=unique,
                counted=self.residual is not None and number,
                timed=ttl > 0,
            )
            for name, schema, append, cell, unique, number, ttl in zip(
                ("left", "right"), self.inputs, self._append, (0, 3), self.unique, counted, self.ttl, strict=True
            )
        )
        self._idle = tuple(
            Idle(state, name, ttl) if self.forgetful else None
            for name, ttl in zip(("left", "right"), self.ttl, strict=True)
        )
        state.on_restore(self._rebuild)

    def _rebuild(self) -> None:
        for side, keys in zip(self._sides, self.keys, strict=True):
            side.rebuild(keys)

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Join the changes of one step."""
        parts: list[Delta] = []
        dropped: list[Rejected] = []
        for idle, rows in zip(self._idle, self._sides, strict=True):
            if idle is not None:
                idle.begin(tick.now)
                if idle.ttl:
                    self._release(idle.expire(rows, idle.rows(rows)))
        for side in (0, 1):
            delta = deltas[side]
            if delta is not None and delta.length:
                self._take(side, single(delta), tick, parts, dropped)
        if any(self.ttl):
            for rows in self._sides:
                rows.tidy()
        return Out(Delta.concat(parts) if parts else None, dropped)

    def _take(self, side: int, delta: Delta, tick: Tick, parts: list[Delta], dropped: list[Rejected]) -> None:
        own = self._sides[side]
        keyed = keyed_rows(delta, self.keys[side], self.null_safe)
        alone = self._pads[side] or (side == 0 and self.kind == "ANTI")
        if keyed is not None and not alone:
            delta, keyed = delta.take(keyed), None
        if not delta.length:
            return
        kept = delta if keyed is None else delta.take(keyed)
        ids = self._index.lookup([kept.columns[i] for i in self.keys[side]], length=kept.length)
        for clock, rows in zip(self._idle, self._sides, strict=True):
            if clock is not None and clock.ttl:
                clock.expire(rows, clock.heads(rows, ids))
        absent = own.apply(kept.columns, kept.weights, kept.length, ids)
        forgotten = _NONE
        idle = self._idle[side]
        if idle is not None:
            forgotten, absent = absent if keyed is None else keyed[absent], _NONE
            idle.absorb(len(forgotten))
            if idle.ttl:
                idle.came(own)
        if len(absent):
            text = "a row is taken back that never came"
            dropped.append(reject_rows(kept, absent, [text] * len(absent), reason="constraint", origin=self.origin))
        if keyed is not None or len(absent):
            # All rows in their order again: those without a key meet nobody.
            there = np.ones(kept.length, bool)
            there[absent] = False
            places = np.arange(delta.length) if keyed is None else keyed
            every = np.full(delta.length, -1, np.int64)
            every[places[there]] = ids[there]
            if len(absent):
                stay = np.ones(delta.length, bool)
                stay[places[absent]] = False
                delta, every = delta.take(np.flatnonzero(stay)), every[stay]
        else:
            every = ids
        if self.kind == "INNER":
            self._meet(side, delta, every, tick, parts, dropped)
        else:
            self._settle(side, delta, every, forgotten, tick, parts, dropped)
        if idle is not None and self.unique[side]:
            own.remove(idle.older(own, ids))
        if delta.weights is not None or len(absent):
            self._release(ids)
        own.tidy()

    # ---- inner

    def _meet(self, side: int, delta: Delta, ids: Ids, tick: Tick, parts: list[Delta], dropped: list[Rejected]) -> None:
        start = 0
        while start < delta.length:
            start, outer, inner = self._pairs(side, ids, start)
            if not len(outer):
                break
            found = self._joined(side, delta, outer, inner)
            if self.residual is not None:
                joined = found
                found, errors = self.residual.run(found, tick)
                if errors:
                    dropped += reject_errors(joined, errors, self.origin)
            if found.length:
                parts.append(found)

    def _pairs(self, side: int, ids: Ids, start: int) -> tuple[int, Ids, Ids]:
        """The next pairs (change, row of the other side) and where to go on."""
        other = self._sides[1 - side]
        tab, cell = self._index.tab, other.group_cell
        total = int(k.matches(ids[start:], tab, cell))
        if not total:
            return len(ids), _NONE, _NONE
        # A list longer than ROOM is given whole.
        there = ids[ids >= 0]
        room = total if total <= ROOM else max(ROOM, int(tab[there, cell + 2].max()))
        outer, inner = np.empty(room + 1, np.int64), np.empty(room, np.int64)
        stop = k.pairs(ids, start, room, tab, cell, other.segments.tab, other.group_list, outer, inner)
        m = int(outer[-1])
        return stop, outer[:m], inner[:m]

    def _joined(self, side: int, delta: Delta, outer: Ids, inner: Ids, weights: Ids | None = None) -> Delta:
        mine, theirs = delta.take(outer), self._sides[1 - side].segments.take(inner)
        columns: list[Column] = [*mine.columns, *theirs] if side == 0 else [*theirs, *mine.columns]
        if weights is None and not self.append_only:
            weights = mine.weight_array()
        return Delta(self._both, columns, weights, mine.marks, len(outer))

    # ---- outer, semi, anti

    def _settle(
        self,
        side: int,
        delta: Delta,
        ids: Ids,
        forgotten: Ids,
        tick: Tick,
        parts: list[Delta],
        dropped: list[Rejected],
    ) -> None:
        own, other = self._sides[side], self._sides[1 - side]
        weights = np.ascontiguousarray(delta.weight_array())
        before = _NONE
        theirs = 0
        if self._half:
            theirs = 0 if side == 0 else 1 if self.kind == "SEMI" else -1
            alone = 0 if side == 1 else 2 if self.kind == "SEMI" else 1
        else:
            theirs = -1 if self._pads[1 - side] else 0
            alone = 1 if self._pads[side] else 0
        if theirs and other.count_cell < 0:
            before = np.empty(delta.length, np.int64)
            scratch = self._index.cell0 + 6
            counted = weights
            if len(forgotten):
                # They left the lists long ago.
                counted = weights.copy()
                counted[forgotten] = 0
            k.running(ids, counted, self._index.tab, own.group_cell, scratch, before)
        new = np.full(delta.length, -1, np.int64)
        if own.count_cell >= 0:
            new[(weights > 0) & (ids >= 0)] = own.new
        start = 0
        while start < delta.length:
            stop, outer, inner = self._pairs(side, ids, start)
            if self.residual is not None and len(outer):
                outer, inner = self._passing(side, delta, outer, inner, tick, dropped)
            room = 2 * len(outer) + stop - start
            left, right, signs, cause = (np.empty(room, np.int64) for _ in range(4))
            m = k.settle(
                start, stop, outer, inner, len(outer), weights, before, new, own.segments.tab, own.count_cell,
                other.segments.tab, other.count_cell, not self._half, alone, theirs, left, right, signs,
                cause,
            )  # fmt: skip
            if other.count_cell >= 0:
                other.segments.touch(inner)
            if m:
                parts.append(self._out(side, delta, left[:m], right[:m], signs[:m], cause[:m]))
            start = stop

    def _passing(
        self, side: int, delta: Delta, outer: Ids, inner: Ids, tick: Tick, dropped: list[Rejected]
    ) -> tuple[Ids, Ids]:
        """The pairs that pass the condition."""
        assert self.residual is not None  # noqa: S101 (asked only then)
        # The weights travel with their rows: here they say which pair a row is.
        joined = self._joined(side, delta, outer, inner, np.arange(1, len(outer) + 1))
        found, errors = self.residual.run(joined, tick)
        if errors:
            joined = Delta(self._both, joined.columns, delta.weight_array()[outer], joined.marks, joined.length)
            dropped += reject_errors(joined, errors, self.origin)
        at = found.weight_array() - 1 if found.length else _NONE
        return np.ascontiguousarray(outer[at]), np.ascontiguousarray(inner[at])

    def _out(self, side: int, delta: Delta, mine: Ids, theirs: Ids, signs: Ids, cause: Ids) -> Delta:
        """Output rows from changes and rows of the other side, -1 where there is none."""
        marks = delta.marks[cause] if isinstance(delta.marks, np.ndarray) else delta.marks
        segments = self._sides[1 - side].segments
        weights = None if self.append_only else np.array(signs)
        if self._half:
            columns = [c.take(mine) for c in delta.columns] if side == 0 else segments.take(theirs)
            return Delta(self.schema, columns, weights, marks, len(signs))
        ours = _padded(delta.columns, mine)
        others = _nothing(segments.schema, len(theirs))
        if (theirs >= 0).any():
            some = theirs[theirs >= 0]
            others = segments.take(np.where(theirs >= 0, theirs, some[0]))
            if len(some) < len(theirs):
                keep = (theirs >= 0).view(np.uint8)
                others = [c.where(keep) for c in others]
        columns = [*ours, *others] if side == 0 else [*others, *ours]
        typed = [c.with_type(f.type) for c, f in zip(columns, self.schema, strict=True)]
        return Delta(self.schema, typed, weights, marks, len(signs))

    def _release(self, ids: Ids) -> None:
        left, right = (s.group_cell for s in self._sides)
        out = np.empty(len(ids), np.int64)
        m = k.empty(ids, self._index.tab, left, out)
        m = k.empty(out[:m], self._index.tab, right, out)
        if m:
            self._index.release(out[:m])

    def wake(self) -> int | None:
        """When it looks for idle rows."""
        return soonest((i, len(s)) for i, s in zip(self._idle, self._sides, strict=True) if i is not None and i.ttl)

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {
            **({"ttl": list(self.ttl)} if any(self.ttl) else {}),
            "operator": "Join",
            "type": self.kind,
            "on": key_names(self.inputs, self.keys, self.null_safe),
            "state": "all rows of both inputs" + ("" if all(self.ttl) else ", for ever"),
            "bounded": False,
        }


def check_keys(left: Schema, right: Schema, left_keys: Sequence[int], right_keys: Sequence[int]) -> None:
    """``ValueError`` if two keys cannot be compared."""
    for a, b in zip(left_keys, right_keys, strict=True):
        if left[a].type.layout is not right[b].type.layout:
            raise ValueError(f"join keys {left[a]} and {right[b]} are not of one type")


def key_types(inputs: Sequence[Schema], keys: Sequence[Sequence[int]], null_safe: Sequence[bool]) -> list[Any]:
    """The types of an index of join keys: NULL is a value only where the key is null-safe."""
    return [inputs[0][i].type.with_nullable(safe) for i, safe in zip(keys[0], null_safe, strict=True)]


def key_names(inputs: Sequence[Schema], keys: Sequence[Sequence[int]], null_safe: Sequence[bool]) -> list[str]:
    """The equalities as text."""
    names = [[s[i].name for i in own] for s, own in zip(inputs, keys, strict=True)]
    signs = ["IS NOT DISTINCT FROM" if safe else "=" for safe in null_safe]
    return [f"{a} {sign} {b}" for a, sign, b in zip(names[0], signs, names[1], strict=True)]


def keyed_rows(delta: Delta, keys: Sequence[int], null_safe: Sequence[bool]) -> Ids | None:
    """Positions of the rows that can have partners; None if all can."""
    ok: Any = None
    for i, safe in zip(keys, null_safe, strict=True):
        valid = None if safe else delta.columns[i].valid()
        if valid is not None:
            ok = valid if ok is None else ok & valid
    return None if ok is None or ok.all() else np.flatnonzero(ok)


def _padded(columns: Sequence[Column], rows: Ids) -> list[Column]:
    """The rows at these positions, NULLs where a position is -1."""
    there = rows >= 0
    if there.all():
        return [c.take(rows) for c in columns]
    if not there.any():
        return [Column.nulls(c.type, len(rows)) for c in columns]
    keep = there.view(np.uint8)
    at = np.maximum(rows, 0)
    return [c.take(at).where(keep) for c in columns]


def _nothing(schema: Schema, n: int) -> list[Column]:
    return [Column.nulls(f.type, n) for f in schema]


def single(delta: Delta) -> Delta:
    """The same changes with every weight +1 or -1 (a weight of 3 becomes three rows, 0 none)."""
    w = delta.weights
    if w is None or (np.abs(w) == 1).all():
        return delta
    out = delta.take(np.repeat(np.arange(delta.length), np.abs(w)))
    assert out.weights is not None  # noqa: S101 (it was not None before)
    return Delta(out.schema, out.columns, np.sign(out.weights), out.marks, out.length)
