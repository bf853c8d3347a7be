"""A view's rows as engine state: changes in, snapshots for readers, the effective changelog out."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.time import MIN_WATERMARK
from deras.engine.kernels import join as k
from deras.engine.operator import Operator, Out
from deras.engine.operators.join import single
from deras.engine.rejects import reject_rows
from deras.engine.state.rowset import LIST, RowSet, keyable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    import pyarrow as pa

    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.state import Rows, State


@dataclass(slots=True)
class Snapshot:
    """A view as it was at the end of a step. Immutable; for any thread; values are read when first asked for.

    Args:
        schema: of the rows.
        step: number of the step.
        epoch: checkpoint epoch that the step belongs to.
        watermark: of the view, ms.
    """

    schema: Schema
    step: int
    epoch: int
    watermark: int
    _rows: Rows
    _arrow: Any = field(default=None)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self._rows)

    def columns(self) -> list[Column]:
        """The rows in order of arrival."""
        return self._rows.columns()

    def arrow(self) -> pa.Table:
        """The rows in order of arrival; repeated names get a number."""
        import pyarrow as pa

        with self._lock:
            if self._arrow is None:
                arrays = [c.to_arrow() for c in self.columns()]
                self._arrow = pa.Table.from_arrays(arrays, names=_unique(self.schema.names))
            return self._arrow

    def frame(self) -> pl.DataFrame:
        """The rows in order of arrival; repeated names get a number."""
        import polars as pl

        names = _unique(self.schema.names)
        return pl.DataFrame([c.series().alias(n) for n, c in zip(names, self.columns(), strict=True)])


def _unique(names: Sequence[str]) -> list[str]:
    seen: set[str] = set()
    out = []
    for n in names:
        made, i = n, 1
        while made in seen:
            made, i = f"{n}_{i}", i + 1
        seen.add(made)
        out.append(made)
    return out


@dataclass(slots=True)
class ClosedChunk:
    """Old rows of an append-only view that nothing will change.

    Args:
        first: number of its first row since the view began; unique and ascending, also across restarts.
        last: number of its last row.
        snapshot: the rows.
    """

    first: int
    last: int
    snapshot: Snapshot


class Materialize(Operator):
    """Keeps the rows of a view.

    Without a key every row is kept as often as it came. With a key, the last arrived live row of each key is the view's
    row; taking it away brings the one before back, where the input may have several live rows of a key. The output is
    what really changed: for each key touched in the step, in order of first touch, the row before (-1) and after (+1).

    Args:
        schema: of the rows.
        key: positions of the view's unique key, or ().
        append_only: whether the input only inserts.
        input_key: the upsert key of the input, where it is not ``key``; () if only whole rows are unique.
        origin: what rejected rows are said to come from.
        forgetful: an operator before this one forgets (state TTL): taking back a row that is not there is no mistake.
    """

    def __init__(
        self,
        schema: Schema,
        key: Sequence[int] = (),
        append_only: bool = False,
        input_key: Sequence[int] | None = None,
        origin: str = "Materialize",
        forgetful: bool = False,
    ) -> None:
        self.schema = schema
        self.key = tuple(key)
        self.append_only = append_only and not self.key
        self.origin = origin
        self._forgetful = forgetful
        self._input_append = append_only
        own = self.key if input_key is None else tuple(input_key)
        unique = append_only or (bool(own) and set(own) <= set(self.key))
        self._mode = "rows" if not self.key else "unique" if unique else "latest"
        self._step = self._epoch = 0
        self._watermark = MIN_WATERMARK

    def open(self, state: State) -> None:
        """Rows, and an index that is rebuilt from them."""
        self._all: RowSet | None = None
        if self._mode == "rows":
            self._all = RowSet(state, "rows", self.schema, updating=not self._input_append)
            self._segments = self._all.segments
        else:
            # Cells: the view's row, scratch, and for "latest" the list of all live rows.
            types = [self.schema[i].type for i in self.key]
            types = [keyable(Column.of_values(t, [])).type.with_nullable(True) for t in types]
            cells = (-1, -1, *LIST) if self._mode == "latest" else (-1, -1)
            self._index = state.index("keys", types, len(cells), cells, saved=False)
            self._segments = state.segments("rows", self.schema, 1)
            if self._mode == "latest":
                self._all = RowSet(state, "live", self.schema, updating=True, groups=self._index, cell=2)
        self._values = state.values("view")
        state.on_restore(self._rebuild)
        self._publish()

    def _rebuild(self) -> None:
        if self._all is not None:
            self._all.rebuild(self.key)
        if self._mode != "rows":
            rows = self._segments.snapshot()
            ids = rows.ids()
            for a in range(0, len(ids), 1 << 16):
                self._hold(self._lookup(rows.columns(ids[a : a + (1 << 16)]), len(ids)), ids[a : a + (1 << 16)])
        self._step, self._epoch, self._watermark = self._values.get("at", [0, 0, MIN_WATERMARK])
        self._publish()

    def _lookup(self, columns: Sequence[Column], n: int) -> Any:
        return self._index.lookup([keyable(columns[i]) for i in self.key], length=n)

    def _hold(self, keys: Any, rows: Any) -> None:
        """The view's rows of these keys."""
        k.put_cell(keys, self._index.tab, self._index.cell0, rows)
        k.put_cell(rows, self._segments.tab, self._segments.cell0, keys)

    # ---- steps

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Take the changes of one step, publish a new snapshot."""
        delta = deltas[0]
        out = Out()
        if delta is not None and delta.length:
            delta = single(delta)
            out = self._take_rows(delta) if self._mode == "rows" else self._take_keys(delta)
            self._tidy()
        self._step, self._epoch, self._watermark = tick.step, tick.epoch, tick.high
        self._values["at"] = [tick.step, tick.epoch, tick.high]
        self._publish()
        return out

    def _take_rows(self, delta: Delta) -> Out:
        assert self._all is not None  # noqa: S101 (so in this mode)
        absent = self._all.apply(delta.columns, delta.weights, delta.length, None)
        if not len(absent):
            return Out(delta)
        keep = np.ones(delta.length, bool)
        keep[absent] = False
        rest = delta.take(np.flatnonzero(keep))
        return Out(rest) if self._forgetful else Out(rest, [self._reject(delta, absent)])

    def _reject(self, delta: Delta, rows: Any) -> Any:
        text = "a row is taken back that never came"
        return reject_rows(delta, rows, [text] * len(rows), reason="constraint", origin=self.origin)

    def _take_keys(self, delta: Delta) -> Out:
        n = delta.length
        dropped = []
        ids = self._lookup(delta.columns, n)
        index, segments = self._index, self._segments
        touched = np.empty(n, np.int64)
        if self._all is None:
            last = np.empty(n, np.int64)
            m = k.fold(ids, delta.weight_array(), index.tab, index.cell0 + 1, touched, last)
            after = last[:m]
        else:
            m = k.firsts(ids, index.tab, index.cell0 + 1, touched)
        touched = touched[:m]
        before = np.empty(m, np.int64)
        k.get_cell(touched, index.tab, index.cell0, before)
        source: Sequence[Column]
        if self._all is None:
            source = delta.columns
            at = after
        else:
            live = self._all
            top = index.cell0 + 3
            was, now = np.empty(m, np.int64), np.empty(m, np.int64)
            k.get_cell(touched, index.tab, top, was)
            absent = live.apply(delta.columns, delta.weights, n, ids)
            if len(absent) and not self._forgetful:
                dropped.append(self._reject(delta, absent))
            k.get_cell(touched, index.tab, top, now)
            changed = np.flatnonzero(was != now)
            same = np.flatnonzero((was == now) & (now < 0))
            gone = touched[same]
            touched, before, now = touched[changed], before[changed], now[changed]
            after = np.where(now >= 0, np.cumsum(now >= 0) - 1, -1)
            source = live.segments.take(now[now >= 0])
            at = after
            if len(gone):
                index.release(gone)
        came = at >= 0
        at = at[came]
        whole = len(at) == len(source[0]) and bool((at == np.arange(len(at))).all())
        rows = segments.append(source if whole else [c.take(at) for c in source], len(at))
        new = np.full(len(touched), -1, np.int64)
        new[came] = rows
        out = self._changes(before, new, delta)
        segments.kill(before[before >= 0])
        k.put_cell(touched, index.tab, index.cell0, new)
        k.put_cell(rows, segments.tab, segments.cell0, touched[came])
        if len(rows) < len(touched):
            index.release(touched[~came])
        return Out(out, dropped)

    def _changes(self, before: Any, after: Any, delta: Delta) -> Delta | None:
        """Before (-1) and after (+1) of each key, beside each other; all are rows of the segments still."""
        rows = np.stack([before, after], axis=1).reshape(-1)
        there = rows >= 0
        rows = rows[there]
        if not len(rows):
            return None
        weights = np.tile(np.array([-1, 1]), len(before))[there]
        # The rows of a folded step stand for all of it: they saw what its last row saw.
        marks = int(delta.marks.max()) if isinstance(delta.marks, np.ndarray) else delta.marks
        return Delta(self.schema, self._segments.take(rows), weights, marks, len(rows))

    def _tidy(self) -> None:
        if self._all is not None:
            self._all.tidy()
        if self._mode != "rows":
            segments = self._segments
            for _, new in segments.tidy():
                keys = np.empty(len(new), np.int64)
                k.get_cell(new, segments.tab, segments.cell0, keys)
                k.put_cell(keys, self._index.tab, self._index.cell0, new)

    # ---- readers

    def _publish(self) -> None:
        # One reference is set: readers need no lock, and see the step before until this one is whole.
        self._snapshot = Snapshot(self.schema, self._step, self._epoch, self._watermark, self._segments.snapshot())

    def snapshot(self) -> Snapshot:
        """The view at the end of the last step. From any thread, without waiting."""
        return self._snapshot

    def closed_chunks(self, retain: int) -> list[ClosedChunk]:
        """The oldest rows beyond the newest ``retain``, in full blocks, oldest first; only of append-only views.

        They stay in the view until :meth:`drop_chunks`. Call between steps; the chunks may be read by any thread.
        """
        if self._mode != "rows" or not self._input_append:
            return []
        out = []
        for rows in self._segments.oldest(retain):
            births = rows.births(rows.ids())
            snapshot = Snapshot(self.schema, self._step, self._epoch, self._watermark, rows)
            out.append(ClosedChunk(int(births[0]), int(births[-1]), snapshot))
        return out

    def drop_chunks(self, chunks: Sequence[ClosedChunk]) -> None:
        """These rows are kept elsewhere now: forget them. Call between steps."""
        for c in chunks:
            self._segments.drop(c.snapshot._rows)
        self._publish()

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {
            "operator": "Materialize",
            "key": [self.schema[i].name for i in self.key],
            "state": {
                "rows": "all rows",
                "unique": "one row per key",
                "latest": "all live rows, and the latest of each key",
            }[self._mode],
            "bounded": False,
        }
