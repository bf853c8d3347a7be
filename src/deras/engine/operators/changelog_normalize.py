"""The last row of each key of a changelog that does not say what it replaces: Flink's ChangelogNormalize."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.types import Layout
from deras.engine.kernels import changes as c
from deras.engine.kernels import join as k
from deras.engine.operator import Operator, Out
from deras.engine.operators.join import single
from deras.engine.state.idle import KeyClock
from deras.engine.state.rowset import keyable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.state import State


class ChangelogNormalize(Operator):
    """Completes a changelog by key: +1 is the key's new row, whatever was there; -1 says that the key is gone.

    Only the key of a -1 counts, so that deletions without the other columns (a tombstone) are complete behind it. What
    changes nothing gives nothing: a row equal to the one before, a deletion of a key that is not there. Changes are
    not folded: every version of a row passes, in order of arrival.

    With a TTL a key is forgotten, without a word, when no change of it came for so long. Then also a row that is equal
    to the one before passes: it keeps what comes later from forgetting.

    Args:
        schema: of the rows.
        key: positions of the unique key.
        pairs: whether a -1 right before a +1 of its key is the first half of an update, and not a deletion.
        ttl: after how many ms of processing time without a change a key is forgotten; 0: never.
    """

    append_only = False

    def __init__(self, schema: Schema, key: Sequence[int], pairs: bool = False, ttl: int = 0) -> None:
        self.schema = schema
        self.key = tuple(key)
        self.pairs = pairs
        self.ttl = ttl

    def open(self, state: State) -> None:
        """The row of each key, and an index that is rebuilt from them."""
        types = [self.schema[i].type for i in self.key]
        types = [keyable(Column.of_values(t, [])).type.with_nullable(True) for t in types]
        self._index = state.index("keys", types, 1, (-1,), saved=False)
        self._segments = state.segments("rows", self.schema, 1)
        self._clock = KeyClock(state, "keys", types, self.ttl) if self.ttl else None
        state.on_restore(self._rebuild)

    def _lookup(self, columns: Sequence[Column], n: int) -> npt.NDArray[np.int64]:
        return self._index.lookup([keyable(columns[i]) for i in self.key], length=n)

    def _rebuild(self) -> None:
        rows = self._segments.snapshot()
        ids = rows.ids()
        for a in range(0, len(ids), 1 << 16):
            some = ids[a : a + (1 << 16)]
            keys = self._lookup(rows.columns(some), len(some))
            k.put_cell(keys, self._index.tab, self._index.cell0, some)
            k.put_cell(some, self._segments.tab, self._segments.cell0, keys)

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Give what each change really changed."""
        delta = deltas[0]
        if self._clock is not None:
            self._clock.begin(tick.now)
            self._clock.forget(self._clock.stale(), self._index, self._segments)
        if delta is None or not delta.length:
            return Out()
        delta = single(delta)
        if self._clock is not None:
            self._clock.forget(
                self._clock.visit([keyable(delta.columns[i]) for i in self.key], delta.length),
                self._index,
                self._segments,
            )
        index, segments = self._index, self._segments
        weights = delta.weight_array()
        ids = self._lookup(delta.columns, delta.length)
        if self.pairs and delta.weights is not None:
            halves = (weights[:-1] < 0) & (weights[1:] > 0) & (ids[:-1] == ids[1:])
            kept = np.flatnonzero(~np.append(halves, False))
            delta, weights, ids = delta.take(kept), weights[kept], ids[kept]
        n = delta.length
        came = np.flatnonzero(weights > 0)
        columns = delta.columns if len(came) == n else [x.take(came) for x in delta.columns]
        new = segments.append(columns, len(came))
        before, after = np.empty(n, np.int64), np.empty(n, np.int64)
        c.replace(ids, weights, new, index.tab, index.cell0, before, after)
        k.put_cell(new, segments.tab, segments.cell0, ids[came])
        out = self._changes(delta, before, after)
        segments.kill(before[before >= 0])
        gone = np.unique(ids[weights < 0])
        if len(gone):
            now = np.empty(len(gone), np.int64)
            k.get_cell(gone, index.tab, index.cell0, now)
            index.release(gone[now < 0])
        for _, moved in segments.tidy():
            keys = np.empty(len(moved), np.int64)
            k.get_cell(moved, segments.tab, segments.cell0, keys)
            k.put_cell(keys, index.tab, index.cell0, moved)
        return Out(out)

    def _changes(self, delta: Delta, before: npt.NDArray[np.int64], after: npt.NDArray[np.int64]) -> Delta | None:
        both = np.flatnonzero((before >= 0) & (after >= 0))
        if len(both) and not self.ttl:
            same = both[equal_rows(self._segments.take(before[both]), self._segments.take(after[both]))]
            # Copies: the caller kills all that was replaced, equal or not.
            before, after = before.copy(), after.copy()
            before[same] = after[same] = -1
        rows = np.stack([before, after], axis=1).reshape(-1)
        there = rows >= 0
        rows = rows[there]
        if not len(rows):
            return None
        weights = np.tile(np.array([-1, 1]), delta.length)[there]
        marks = np.repeat(delta.mark_array(), 2)[there] if isinstance(delta.marks, np.ndarray) else delta.marks
        return Delta(self.schema, self._segments.take(rows), None if (weights > 0).all() else weights, marks, len(rows))

    def wake(self) -> int | None:
        """When it looks for idle keys."""
        return None if self._clock is None else self._clock.due()

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {
            **({"ttl": self.ttl} if self.ttl else {}),
            "operator": "ChangelogNormalize",
            "key": [self.schema[i].name for i in self.key],
            "state": "the last row of each key",
            "bounded": False,
        }


def equal_rows(a: Sequence[Column], b: Sequence[Column]) -> npt.NDArray[np.bool_]:
    """Which rows are equal in all columns, place by place; NULL equals NULL, floats compare by their bits.

    Args:
        a: columns.
        b: columns of the same types and length.
    """
    same = np.ones(len(a[0]) if a else 0, np.bool_)
    for x, y in zip(a, b, strict=True):
        if not same.any():
            break
        match x.type.layout:
            case Layout.WORDS:
                same &= _equal(x, y, x.words() == y.words())
            case Layout.FLOATS:
                same &= _equal(x, y, x.floats().view(np.int64) == y.floats().view(np.int64))
            case _:
                same &= keyable(x).series().eq_missing(keyable(y).series()).to_numpy()
    return same


def _equal(x: Column, y: Column, values: Any) -> Any:
    a, b = x.valid(), y.valid()
    if a is None and b is None:
        return values
    whole = np.ones(len(x), np.uint8)
    a, b = whole if a is None else a, whole if b is None else b
    return (a == b) & (values | (a == 0))
