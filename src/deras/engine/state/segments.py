"""Rows in state: appended, never changed, killed; read by others as of a moment while the step thread goes on."""

from __future__ import annotations

import weakref
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from deras.core.column import Column
from deras.core.types import Layout, polars_type
from deras.engine.kernels import index as ik
from deras.engine.kernels import segments as k
from deras.engine.state.arena import Arena
from deras.engine.state.keys import KeyShape, column_of_words
from deras.engine.state.memory import Reserve

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from deras.core.schema import Schema

Ids = npt.NDArray[np.int64]

SHIFT = 13
BLOCK = 1 << SHIFT
"""Rows of a block: the unit of compaction and of reuse."""
_ROWS = 1 << 27
_MOVES = 4  # blocks compacted in one tidying: about a millisecond


class _Pin:
    """Somebody reads the rows as of a moment: blocks freed since then must not be written over."""

    __slots__ = ("__weakref__", "at")

    def __init__(self, at: int) -> None:
        self.at = at


@dataclass(slots=True)
class Rows:
    """The rows visible at a moment. Immutable; may be read by any thread, at any later time.

    Args:
        schema: of the rows.
        at: the moment.
        low: only rows born at or after it.
        ranges: int64[n, 2] places to look at.
    """

    schema: Schema
    at: int
    low: int
    ranges: npt.NDArray[np.int64]
    _segments_tab: Any
    _shape: KeyShape
    _chunks: list[Any]
    _nested: dict[int, dict[int, list[pl.Series]]]
    _pin: _Pin
    _ids: Ids | None = field(default=None)

    def ids(self) -> Ids:
        """The places of the rows, in arrival order."""
        if self._ids is None:
            room = int((self.ranges[:, 1] - self.ranges[:, 0]).sum())
            out = np.empty(room, np.int64)
            m = 0
            width = self._shape.width
            for a, b in self.ranges.tolist():
                m = k.visible(self._segments_tab, width, a, b, self.low, self.at, out, m)
            ids = out[:m].copy()
            if not k.in_order(ids, self._segments_tab, width):
                ids = ids[np.argsort(self.births(ids), kind="stable")]
            self._ids = ids
        return self._ids

    def __len__(self) -> int:
        return len(self.ids())

    def births(self, ids: Ids) -> npt.NDArray[np.int64]:
        """The birth numbers of rows: unique, ascending in arrival order."""
        return self.word(ids, self._shape.width)

    def word(self, ids: Ids, word: int) -> npt.NDArray[np.int64]:
        """One word of each row."""
        out = np.empty(len(ids), np.int64)
        k.gather(ids, self._segments_tab, word, out)
        return out

    def columns(self, ids: Ids | None = None) -> list[Column]:
        """The values of all rows, or of the rows at these places."""
        ids = self.ids() if ids is None else ids
        return gather(self.schema, self._shape, self._segments_tab, self._chunks, self._nested, ids)


def gather(
    schema: Schema,
    shape: KeyShape,
    tab: Any,
    chunks: Sequence[Any],
    nested: dict[int, dict[int, list[pl.Series]]],
    ids: Ids,
    only: Collection[int] | None = None,
) -> list[Column]:
    """The columns of rows, or those at the positions ``only``; text points into the chunks."""
    out = []
    i = 0
    for position, f in enumerate(schema):
        if only is not None and position not in only:
            i += f.type.layout is not Layout.NESTED
            continue
        if f.type.layout is Layout.NESTED:
            out.append(Column.of_series(f.type, _nested(nested[position], ids, polars_type(f.type))))
            continue
        kind, j, mask = shape.columns[i].tolist()
        words = np.empty((len(ids), 1 if kind == 0 else 2), np.int64)
        valid = np.empty(len(ids), np.uint8)
        ik.take_words(ids, tab, j, mask, i % 64, words, valid)
        buffers: list[Any] = []
        if kind == 2:
            local = np.full(len(chunks), -1, np.int64)
            used = np.empty(len(chunks), np.int64)
            m = ik.localise(words.view(np.uint64), local, used)
            buffers = [chunks[c] for c in used[:m].tolist()]
        out.append(column_of_words(f.type, words, valid if mask >= 0 else None, buffers))
        i += 1
    return out


def _nested(blocks: dict[int, list[pl.Series]], ids: Ids, dtype: Any) -> pl.Series:
    if not len(ids):
        return pl.Series("", [], dtype=dtype)
    order = np.argsort(ids >> SHIFT, kind="stable")
    numbers, starts = np.unique((ids >> SHIFT)[order], return_index=True)
    parts = []
    for n, a, b in zip(numbers.tolist(), starts.tolist(), [*starts[1:].tolist(), len(ids)]):
        pieces = blocks[n]
        whole = pieces[0] if len(pieces) == 1 else pl.concat(pieces, rechunk=True)
        parts.append(whole.gather(pl.Series(ids[order[a:b]] & (BLOCK - 1))))
    back = np.empty(len(ids), np.int64)
    back[order] = np.arange(len(ids))
    return pl.concat(parts, rechunk=True).gather(pl.Series(back))


@dataclass(slots=True)
class SegmentsFrozen:
    """What changed in segments since a freeze (or everything). Immutable."""

    rows: Rows
    cells: npt.NDArray[np.int64] | None
    deleted: list[npt.NDArray[np.int64]]
    changed: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]


class Segments:
    """Append-only rows that can be killed. Values are copied in; nothing points into the given columns afterwards.

    A row has an id (its place, until it is killed or moved by :meth:`tidy`), a birth number (unique, ascending, kept
    through moves and restores) and ``cells`` words that the operator's kernels read and write as ``tab[id, cell0 +
    i]``.

    Args:
        schema: of the rows; any types.
        cells: mutable words a row.
        saved: how many of them, from the first, go into checkpoints. Who changes one calls :meth:`touch`.
        init: their first values.
    """

    def __init__(self, schema: Schema, cells: int = 0, saved: int = 0, init: Sequence[int] = ()) -> None:
        self.schema = schema
        flat = [f.type for f in schema if f.type.layout is not Layout.NESTED]
        self.shape = KeyShape(flat)
        self._flat = [i for i, f in enumerate(schema) if f.type.layout is not Layout.NESTED]
        self._nested: dict[int, dict[int, list[pl.Series]]] = {
            i: {} for i, f in enumerate(schema) if f.type.layout is Layout.NESTED
        }
        self.cell0 = self.shape.width + 2
        self.n_cells = cells
        self.n_saved = saved
        self._init = np.array(list(init) or [0] * cells, np.int64)
        self._tab = Reserve(_ROWS, self.cell0 + cells, np.int64)
        self._arena = Arena()
        self._fill = np.zeros(4, np.int64)
        self._now = 1
        self._frozen = 1
        self.live_rows = 0
        self._block = -1
        self._at = BLOCK
        self._blocks = 0
        self._live = np.zeros(16, np.int64)
        self._filled = np.zeros(16, np.int64)
        self._texts: dict[int, list[int]] = {}
        self._free: deque[tuple[int, int]] = deque()
        self._pins: weakref.WeakSet[_Pin] = weakref.WeakSet()
        self._dead = 0
        self._ranges: list[tuple[int, int]] = []
        self._deleted: list[npt.NDArray[np.int64]] = []
        self._changed: list[npt.NDArray[np.int64]] = []
        self._restoring: tuple[npt.NDArray[np.int64], Ids] | None = None

    @property
    def tab(self) -> npt.NDArray[np.int64]:
        """int64[reserved, width]: column words, birth, death, cells, by id. Take it anew in each step."""
        return self._tab.array  # type: ignore[no-any-return]

    @property
    def bases(self) -> npt.NDArray[np.int64]:
        """Address of each chunk of long text, for kernels. Take it anew in each step."""
        return self._arena.bases

    def __len__(self) -> int:
        """The number of live rows."""
        return self.live_rows

    @property
    def extent(self) -> int:
        """No row lies at this place or beyond."""
        return self._blocks << SHIFT

    # ---- writing

    def append(self, columns: Sequence[Column], length: int, births: npt.NDArray[np.int64] | None = None) -> Ids:
        """Copy rows in; gives their ids, in order.

        Args:
            columns: one per field of the schema.
            length: number of rows.
            births: their birth numbers, only when a checkpoint is restored.
        """
        if births is None:
            births = np.arange(self._now, self._now + length)
            self._now += length
        packed, _ = self.shape.pack([columns[i] for i in self._flat], length)
        out = np.empty(length, np.int64)
        start = 0
        while start < length:
            if self._at >= BLOCK:
                self._open()
            stop = min(length, start + BLOCK - self._at)
            to = (self._block << SHIFT) + self._at
            done = k.store(
                packed, start, stop, to, births, self.shape.width, self.shape.kinds, self._tab.array, self._chunk(),
                self._fill, self._init,
            )  # fmt: skip
            out[start:done] = np.arange(to, to + done - start)
            for i, blocks in self._nested.items():
                if done > start:
                    blocks[self._block].append(_own(columns[i].series(), start, done))
                    self._merge(blocks[self._block])
            self._grew(to, done - start)
            if done < stop:
                self._text(int(self._fill[3]))
            start = done
        self.live_rows += length
        return out

    def kill(self, ids: Ids) -> None:
        """The rows go. Ids of dead rows are passed over."""
        ids = np.ascontiguousarray(ids, np.int64)
        if not len(ids):
            return
        before = int(self._live.sum())
        births = np.empty(len(ids), np.int64)
        m = k.kill(ids, self._tab.array, self.shape.width, self._now, self._frozen, self._live, SHIFT, births)
        self._now += 1
        died = before - int(self._live.sum())
        self.live_rows -= died
        self._dead += died
        if m:
            self._deleted.append(births[:m].copy())

    def touch(self, ids: Ids) -> None:
        """Saved cells of these rows changed."""
        if self.n_saved and len(ids):
            self._changed.append(np.array(ids, np.int64))

    def tidy(self) -> list[tuple[Ids, Ids]]:
        """After kills, once a step: free dead blocks, move the rows of a few mostly dead ones.

        Returns:
            (old ids, new ids) of moved rows: the caller puts the new ids where it keeps the old ones. Moved rows keep
            their cells.
        """
        if self._dead < BLOCK:
            return []
        n = self._blocks
        closed = self._filled[:n] > 0
        if self._block >= 0:
            closed[self._block] = False
        for b in np.flatnonzero(closed & (self._live[:n] == 0)).tolist():
            closed[b] = False
            self._release(b)
        moved: list[tuple[Ids, Ids]] = []
        poor = np.flatnonzero(closed & (self._live[:n] < BLOCK // 2))
        if len(poor):
            poor = poor[np.argsort(self._live[poor], kind="stable")][:_MOVES]
            moved = [self._move(b) for b in poor.tolist()]
            # Only now: links of moved rows are read from their old places, which nothing may have overwritten.
            for b in poor.tolist():
                self._release(b)
        if len(poor) < _MOVES:
            self._dead = 0
        return moved

    def _move(self, block: int) -> tuple[Ids, Ids]:
        width = self.shape.width
        start_id = block << SHIFT
        room = np.empty(BLOCK, np.int64)
        m = k.visible(self._tab.array, width, start_id, start_id + int(self._filled[block]), 0, self._now, room, 0)
        old = room[:m]
        new = np.empty(m, np.int64)
        start = 0
        while start < m:
            if self._at >= BLOCK:
                self._open()
            stop = min(m, start + BLOCK - self._at)
            to = (self._block << SHIFT) + self._at
            done = k.move(
                old, start, stop, width, self._tab.array, self.shape.kinds, self._arena.bases, self._chunk(),
                self._fill, to,
            )  # fmt: skip
            new[start:done] = np.arange(to, to + done - start)
            for i, blocks in self._nested.items():
                if done > start:
                    blocks[self._block].append(_nested(blocks, old[start:done], polars_type(self.schema[i].type)))
                    self._merge(blocks[self._block])
            self._grew(to, done - start)
            if done < stop:
                self._text(int(self._fill[3]))
            start = done
        births = np.empty(m, np.int64)
        k.kill(old, self._tab.array, width, self._now, -1, self._live, SHIFT, births)
        self._now += 1
        if self._changed:
            # Changes noted under the old ids: they are found again under the new ones.
            self._changed = [_renamed(c, old, new) for c in self._changed]
        return old, new

    def _grew(self, to: int, n: int) -> None:
        if n:
            self._at += n
            self._live[self._block] += n
            self._filled[self._block] = self._at
            if self._ranges and self._ranges[-1][1] == to:
                self._ranges[-1] = (self._ranges[-1][0], to + n)
            else:
                self._ranges.append((to, to + n))

    def _open(self) -> None:
        oldest = min((p.at for p in self._pins), default=self._now + 1)
        if self._free and self._free[0][0] < oldest:
            _, b = self._free.popleft()
        else:
            b = self._blocks
            self._blocks += 1
            if self._blocks > len(self._live):
                self._live = np.concatenate([self._live, np.zeros_like(self._live)])
                self._filled = np.concatenate([self._filled, np.zeros_like(self._filled)])
            self._tab.need(self._blocks << SHIFT)
        self._block = b
        self._at = 0
        self._live[b] = 0
        self._filled[b] = 0
        self._texts[b] = []
        self._fill[:3] = (0, 0, 0)
        for blocks in self._nested.values():
            blocks[b] = []

    def _release(self, block: int) -> None:
        for c in self._texts.pop(block):
            self._arena.forget(c)
        for blocks in self._nested.values():
            blocks.pop(block, None)
        self._filled[block] = 0
        self._live[block] = 0
        self._free.append((self._now, block))

    def _text(self, need: int) -> None:
        self._arena.open(need)
        self._fill[:3] = self._arena.fill
        self._texts[self._block].append(int(self._fill[0]))

    def _chunk(self) -> Any:
        return self._arena.chunks[int(self._fill[0])]

    def _merge(self, pieces: list[pl.Series]) -> None:
        # Doubling keeps the number of pieces small and the copying linear.
        while len(pieces) > 1 and len(pieces[-2]) < 2 * len(pieces[-1]):
            last = pieces.pop()
            pieces[-1] = pl.concat([pieces[-1], last], rechunk=True)

    # ---- reading

    def take(self, ids: Ids, only: Collection[int] | None = None) -> list[Column]:
        """The values of rows, as columns that stay valid whatever happens to the rows.

        Args:
            ids: of the rows.
            only: positions of the columns that are wanted, which come in the schema's order; None: all.
        """
        ids = np.ascontiguousarray(ids, np.int64)
        return gather(self.schema, self.shape, self._tab.array, self._arena.chunks, self._nested, ids, only)

    def snapshot(self) -> Rows:
        """The rows of this moment, between two steps. Costs microseconds; values are read when asked for."""
        return self._rows(0, self._extent())

    def _extent(self) -> npt.NDArray[np.int64]:
        blocks = np.flatnonzero(self._filled[: self._blocks] > 0)
        return np.stack([blocks << SHIFT, (blocks << SHIFT) + self._filled[blocks]], axis=1)

    def _rows(self, low: int, ranges: npt.NDArray[np.int64]) -> Rows:
        pin = _Pin(self._now)
        self._pins.add(pin)
        nested = {i: {b: list(p) for b, p in blocks.items()} for i, blocks in self._nested.items()}
        return Rows(
            self.schema, self._now, low, ranges, self._tab.array, self.shape, list(self._arena.chunks), nested, pin
        )

    def oldest(self, retain: int) -> list[Rows]:
        """Full blocks beyond the newest ``retain`` rows, oldest first (of segments where rows never moved)."""
        blocks = [b for b in range(self._blocks) if self._live[b] and b != self._block]
        blocks.sort(key=lambda b: int(self._tab.array[b << SHIFT, self.cell0 - 2]))
        spare = self.live_rows - retain
        out = []
        for b in blocks:
            spare -= int(self._live[b])
            if spare < 0:
                break
            start = b << SHIFT
            out.append(self._rows(0, np.array([[start, start + self._filled[b]]], np.int64)))
        return out

    def drop(self, rows: Rows) -> None:
        """Kill the rows that :meth:`oldest` gave."""
        self.kill(rows.ids())
        self._dead = max(self._dead, BLOCK)
        self.tidy()

    # ---- checkpoints

    def freeze(self, full: bool = False) -> SegmentsFrozen:
        """What changed since the last freeze, or everything. Values are read later, by the thread that writes."""
        if full:
            return self._with_cells(self._rows(0, self._extent()), [], [])
        changed = []
        if self._changed:
            ids = np.unique(np.concatenate(self._changed))
            row = self._tab.array[ids]
            old = (row[:, self.cell0 - 1] == 0) & (row[:, self.cell0 - 2] < self._frozen)
            changed.append((row[old, self.cell0 - 2], row[old, self.cell0 : self.cell0 + self.n_saved]))
        rows = self._rows(self._frozen, np.array(self._ranges, np.int64).reshape(-1, 2))
        frozen = self._with_cells(rows, self._deleted, changed)
        self._frozen = self._now
        self._ranges, self._deleted, self._changed = [], [], []
        return frozen

    def _with_cells(self, rows: Rows, deleted: list[Any], changed: list[Any]) -> SegmentsFrozen:
        # Cells change in place, so they are copied now; everything else about a row is read later.
        cells = self._tab.array[rows.ids(), self.cell0 : self.cell0 + self.n_saved] if self.n_saved else None
        return SegmentsFrozen(rows, cells, deleted, changed)

    def put(self, columns: Sequence[Column], births: npt.NDArray[np.int64], cells: npt.NDArray[np.int64]) -> None:
        """Rows as a checkpoint has them."""
        ids = self.append(columns, len(births), np.ascontiguousarray(births))
        if self.n_saved:
            self._tab.array[ids, self.cell0 : self.cell0 + self.n_saved] = cells
        known = self._restoring
        both = (births, ids) if known is None else (np.append(known[0], births), np.append(known[1], ids))
        self._restoring = (np.array(both[0]), both[1])
        if len(births):
            self._now = max(self._now, int(births.max()) + 1)

    def _find(self, births: npt.NDArray[np.int64]) -> Ids:
        known, ids = self._restoring or (np.zeros(0, np.int64), np.zeros(0, np.int64))
        order = np.argsort(known, kind="stable")
        self._restoring = (known[order], ids[order])
        at = np.searchsorted(self._restoring[0], births)
        return self._restoring[1][at]

    def forget(self, births: npt.NDArray[np.int64]) -> None:
        """Rows that went, as a checkpoint's increment says."""
        self.kill(self._find(births))

    def amend(self, births: npt.NDArray[np.int64], cells: npt.NDArray[np.int64]) -> None:
        """Saved cells that changed, as a checkpoint's increment says."""
        self._tab.array[self._find(births), self.cell0 : self.cell0 + self.n_saved] = cells

    def restored(self, now: int) -> None:
        """The replay is over: what there is is what the checkpoint has."""
        self._restoring = None
        self._now = max(self._now, now)
        self._frozen = self._now
        self._ranges, self._deleted, self._changed = [], [], []

    @property
    def bytes(self) -> int:
        """Memory in use, about."""
        return int(self._blocks * BLOCK * self._tab.array.shape[1] * 8 + self._arena.bytes)


def _own(series: pl.Series, start: int, stop: int) -> pl.Series:
    """Rows of a series with memory of their own: slices and string views would keep the whole batch alive."""
    part = series.gather(pl.Series(np.arange(start, stop)))
    return pl.Series("", part.to_arrow(compat_level=pl.CompatLevel.oldest()))


def _renamed(ids: Ids, old: Ids, new: Ids) -> Ids:
    at = np.searchsorted(old, ids)
    at[at == len(old)] = 0
    hit = old[at] == ids if len(old) else np.zeros(len(ids), bool)
    return np.where(hit, new[at], ids) if len(old) else ids
