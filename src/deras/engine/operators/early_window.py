"""GROUP BY window with results before its end: what is known so far, every while of processing time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Field, Schema
from deras.core.time import MIN_WATERMARK
from deras.core.types import BIGINT
from deras.engine.operator import Out
from deras.engine.operators.window_aggregate import WindowAggregate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.time import Tick
    from deras.engine.operators.window_aggregate import Words
    from deras.engine.state import Index, Segments, State

_END = BIGINT.with_nullable(False)


class EarlyWindowAggregate(WindowAggregate):
    """A window aggregate whose results come early and are corrected; the last ones stand when the window has ended.

    ``delay_ms`` of processing time after a row every window that changed gives its result so far; with 0, every step
    does. What was given before is taken back; a result that has not changed is not given again. Every window has cells
    of its own, whether windows overlap or not.

    Args:
        delay_ms: time between two results, ms.
        input: schema of the rows, which only come.
        args: as for :class:`WindowAggregate`.
        kwargs: as for :class:`WindowAggregate`.
    """

    append_only = False
    piece: int | None = None  # a window that has ended and one that has not would be told of in turns

    def __init__(self, delay_ms: int, input: Schema, *args: Any, **kwargs: Any) -> None:  # noqa: A002
        super().__init__(input, *args, **kwargs)
        self.delay = delay_ms
        self._sliced = False
        self._touched: list[Words] | None = []  # None: all
        self._all = Schema(
            (
                Field("end", _END),
                *(Field(f"k{i}", input[k].type) for i, k in enumerate(self.keys)),
                *(Field(f"c{i}", f.type) for i, f in enumerate(self.schema)),
            )
        )

    def open(self, state: State) -> None:
        """The open windows, and what was told of them."""
        super().open(state)
        self._shown: Segments = state.segments("shown", self._all)
        types = [f.type for f in self._all.fields[: 1 + len(self.keys)]]
        self._places: Index = state.index("places", types, 1, (-1,), saved=False)

    def _restored(self) -> None:
        super()._restored()
        self._touched = None
        rows = self._shown.snapshot()
        ids = rows.ids()
        if len(ids):
            found = self._places.lookup(rows.columns(ids)[: 1 + len(self.keys)], length=len(ids))
            self._places.tab[found, self._places.cell0] = ids

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Take the rows, give the results of windows that have ended, and where it is time those so far."""
        out = super().step(deltas, tick)
        due = self._values.get("due")
        if due is None and (self._touched is None or self._touched):
            due = self._values["due"] = tick.now + self.delay
        if due is not None and due <= tick.now:
            self._values["due"] = None
            early = self._early()
            both = [d for d in (out.delta, early) if d is not None]
            out = Out(Delta.concat(both) if both else None, out.dropped)
        return out

    def wake(self) -> int | None:
        """The processing time (ms) at which results so far are wanted, or None."""
        due, ends = self._values.get("due"), super().wake()
        return ends if due is None else int(due) if ends is None else min(int(due), ends)

    def _note(self, ids: Words) -> None:
        if self._touched is not None:
            self._touched.append(ids.copy())

    def _early(self) -> Delta | None:
        groups = self._groups
        index = groups.groups
        ids = index.ids()
        if self._touched is not None:
            ids = np.intersect1d(ids, np.concatenate(self._touched)) if self._touched else ids[:0]
        self._touched = []
        if not len(ids):
            return None
        ends = index.tab[ids, 0]
        order = np.lexsort((index.tab[ids, index.cell0 + groups.extra], ends))
        ids, ends = ids[order], ends[order]
        mark = np.array([int(self._values.get("watermark", MIN_WATERMARK))], np.int64)
        keys, results = index.key_columns(ids)[1:], groups.results(groups.cells(ids), ids)
        return self._told(keys, ends, super()._out(keys, results, ends, mark), last=False)

    def _out(self, keys: list[Column], results: list[Column], ends: Words, seen: Words) -> Delta:
        return self._told(keys, ends, super()._out(keys, results, ends, seen), last=True)

    def _told(self, keys: list[Column], ends: Words, found: Delta, *, last: bool) -> Delta:
        """Results as changes of what was told before."""
        n, shown, places = found.length, self._shown, self._places
        ids = places.lookup([Column.of_words(_END, ends), *keys], length=n)
        old = places.tab[ids, places.cell0]
        had = np.flatnonzero(old >= 0)
        gone = old[had].copy()
        before = shown.take(gone)[1 + len(keys) :]
        same = np.ones(len(had), np.bool_)
        for a, b in zip(before, found.columns, strict=True):
            same &= a.series().eq_missing(b.take(had).series()).to_numpy()
        new = np.ones(n, np.bool_)
        new[had[same]] = False
        changed = had[~same]
        if last:
            shown.kill(gone)
            places.release(ids)
        else:
            shown.kill(gone[~same])
            rows = np.flatnonzero(new)
            kept = [Column.of_words(_END, ends[rows]), *(c.take(rows) for c in (*keys, *found.columns))]
            places.tab[ids[rows], places.cell0] = shown.append(kept, len(rows))
        for was, now in shown.tidy():
            self._moved(was, now)
        plus = np.flatnonzero(new)
        marks = found.mark_array()
        minus = np.flatnonzero(~same)
        columns = [c.take(minus) for c in before]
        out = Delta.concat(
            [
                Delta(self.schema, columns, np.full(len(minus), -1, np.int64), marks[changed], len(minus)),
                Delta(self.schema, [c.take(plus) for c in found.columns], np.ones(len(plus), np.int64), marks[plus],
                      len(plus)),
            ]
        )  # fmt: skip
        order = np.argsort(np.concatenate([changed * 2, plus * 2 + 1]), kind="stable")
        return out.take(order)

    def _moved(self, was: Words, now: Words) -> None:
        index = self._places
        ids = index.ids()
        held = index.tab[ids, index.cell0]
        order = np.argsort(was)
        at = np.minimum(np.searchsorted(was[order], held), len(was) - 1)
        hit = was[order][at] == held
        index.tab[ids[hit], index.cell0] = now[order][at[hit]]

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {
            **super().explain(),
            "operator": "EarlyWindowAggregate",
            "early": f"every {self.delay} ms" if self.delay else "every step",
            "state": "cells of each key and window that has not ended, and what was told of it",
        }
