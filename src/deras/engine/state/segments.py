"""Rows in state: appended, never changed, killed; read by others as of a moment while the step thread goes on."""

from __future__ import annotations

import weakref
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from deras.core.types import Layout, polars_type
from deras.engine.kernels import segments as k
from deras.engine.state.arena import Arena
from deras.engine.state.keys import KeyShape
from deras.engine.state.memory import Reserve
from deras.engine.state.rows import BLOCK, SHIFT, Pin, Rows, gather, own, pick

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any

    from deras.core.column import Column
    from deras.core.schema import Schema

Ids = npt.NDArray[np.int64]

_ROWS = 1 << 27
_MOVES = 4  # blocks compacted in one tidying: about a millisecond
_NONE = np.zeros(0, np.int64)


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
        self._mark = 0
        self._now = 1
        self._frozen = 1
        self.live_rows = 0
        self._block = -1
        self._at = BLOCK
        self._blocks = 0
        self._live = np.zeros(16, np.int64)
        self._filled = np.zeros(16, np.int64)
        self._texts: dict[int, list[tuple[int, int]]] = {}
        self._free: deque[tuple[int, int]] = deque()
        self._pins: weakref.WeakSet[Pin] = weakref.WeakSet()
        self._dead = 0
        self._fresh: dict[int, int] = {}
        self._deleted: list[npt.NDArray[np.int64]] = []
        self._noted = Reserve(_ROWS, 0, np.uint8) if saved else None
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

    def append(
        self,
        columns: Sequence[Column],
        length: int,
        births: npt.NDArray[np.int64] | None = None,
        rows: Ids | None = None,
    ) -> Ids:
        """Copy rows in; gives their ids, in order.

        Args:
            columns: one per field of the schema.
            length: number of rows.
            births: their birth numbers, only when a checkpoint is restored.
            rows: which rows of the columns (``length`` of them); None for the first ones. Nothing else is copied.

        Raises:
            IndexError: there is no such row.
        """
        birth = self._now
        if births is None:
            births = _NONE
            self._now += length
        extent = length
        if rows is None:
            rows = _NONE
        elif length:
            rows = np.ascontiguousarray(rows, np.int64)
            extent = int(rows.max()) + 1
            if len(rows) != length or rows.min() < 0:
                raise IndexError(f"{length} rows are to be appended, {len(rows)} are given")
        plan, kept = self.shape.plan([columns[i] for i in self._flat], extent, rows if len(rows) else None)
        out = np.empty(length, np.int64)
        arena = self._arena
        start = 0
        while start < length:
            if self._at >= BLOCK:
                self._open()
            stop = min(length, start + BLOCK - self._at)
            to = (self._block << SHIFT) + self._at
            done = k.store(
                plan, rows, start, stop, to, birth, births, self.shape.width, self._tab.array, arena.chunk,
                arena.fill, self._init,
            )  # fmt: skip
            if done > start:
                out[start:done] = np.arange(to, to + done - start)
                for i, blocks in self._nested.items():
                    places = rows[start:done] if len(rows) else np.arange(start, done)
                    blocks[self._block].append(own(columns[i].series(), places))
                    self._merge(blocks[self._block])
                self._grew(done - start)
            if done < stop:
                self._text(int(arena.fill[3]))
            start = done
        del kept
        self.live_rows += length
        return out

    def kill(self, ids: Ids) -> None:
        """The rows go. Ids of dead rows are passed over."""
        ids = np.ascontiguousarray(ids, np.int64)
        if len(ids):
            births, died = self._kill(ids, self._frozen)
            self.live_rows -= died
            self._dead += died
            if len(births):
                self._deleted.append(births)

    def _kill(self, ids: Ids, frozen: int) -> tuple[npt.NDArray[np.int64], int]:
        births = np.empty(len(ids) + 1, np.int64)
        died = k.kill(ids, self._tab.array, self.shape.width, self._now, frozen, self._live, SHIFT, births)
        self._now += 1
        return births[: births[-1]].copy(), int(died)

    def touch(self, ids: Ids) -> None:
        """Saved cells of these rows changed."""
        if self._noted is not None and len(ids):
            out = np.empty(len(ids), np.int64)
            m = k.note(np.ascontiguousarray(ids, np.int64), self._noted.array, out)
            if m:
                self._changed.append(out[:m])

    def tidy(self) -> list[tuple[Ids, Ids]]:
        """After kills, once a step: free dead blocks, move the rows of a few mostly dead ones.

        Returns:
            (old ids, new ids) of moved rows: the caller puts the new ids where it keeps the old ones. Moved rows keep
            their cells.
        """
        if self._dead < BLOCK:
            return []
        closed = self._free_dead()
        live = self._live[: self._blocks]
        want = self._stranded()
        # Not each block as soon as it is half empty: waiting until half of all is dead leaves less to be moved.
        if self._filled[: self._blocks][closed].sum() > 2 * live[closed].sum() + BLOCK:
            want |= live < BLOCK // 2
        poor = np.flatnonzero(closed & want)
        moved: list[tuple[Ids, Ids]] = []
        if len(poor):
            poor = poor[np.argsort(live[poor], kind="stable")][:_MOVES]
            moved = [self._move(b) for b in poor.tolist()]
            # Only now: links of moved rows are read from their old places, which nothing may have overwritten.
            for b in poor.tolist():
                self._release(b)
        if len(poor) < _MOVES:
            self._dead = 0
        return moved

    def _free_dead(self) -> npt.NDArray[np.bool_]:
        """Blocks without a live row are given back; gives which of the others are full."""
        n = self._blocks
        closed = self._filled[:n] > 0
        if self._block >= 0:
            closed[self._block] = False
        for b in np.flatnonzero(closed & (self._live[:n] == 0)).tolist():
            closed[b] = False
            self._release(b)
        return closed

    def _stranded(self) -> npt.NDArray[np.bool_]:
        """Blocks that keep chunks of text alive of which most is of blocks given back."""
        out = np.zeros(self._blocks, bool)
        bad = set(np.flatnonzero(2 * self._arena.held < self._arena.used).tolist())
        if bad:
            out[[b for b, texts in self._texts.items() if any(c in bad for c, _ in texts)]] = True
        return out

    def _move(self, block: int) -> tuple[Ids, Ids]:
        width = self.shape.width
        start_id = block << SHIFT
        room = np.empty(BLOCK, np.int64)
        m = k.visible(self._tab.array, width, start_id, start_id + int(self._filled[block]), 0, self._now, room, 0)
        old = room[:m]
        new = np.empty(m, np.int64)
        arena = self._arena
        start = 0
        while start < m:
            if self._at >= BLOCK:
                self._open()
            stop = min(m, start + BLOCK - self._at)
            to = (self._block << SHIFT) + self._at
            done = k.move(
                old, start, stop, width, self._tab.array, self.shape.kinds, arena.bases, arena.chunk, arena.fill, to
            )
            if done > start:
                new[start:done] = np.arange(to, to + done - start)
                for i, blocks in self._nested.items():
                    blocks[self._block].append(pick(blocks, old[start:done], polars_type(self.schema[i].type)))
                    self._merge(blocks[self._block])
                self._grew(done - start)
            if done < stop:
                self._text(int(arena.fill[3]))
            start = done
        self._kill(old, -1)
        if self._noted is not None:
            # What was noted under the old ids is noted under the new ones: there it is found alive.
            self.touch(new[self._noted.array[old] != 0])
        return old, new

    def _grew(self, n: int) -> None:
        self._fresh.setdefault(self._block, self._at)
        self._at += n
        self._live[self._block] += n
        self._filled[self._block] = self._at

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
            self._tab.fills(b << SHIFT)
        self._settle()
        self._block = b
        self._at = 0
        self._live[b] = 0
        self._filled[b] = 0
        self._texts[b] = []
        for blocks in self._nested.values():
            blocks[b] = []

    def _settle(self) -> None:
        """Count the open block's text in the current chunk as the block's."""
        arena = self._arena
        end = int(arena.fill[1])
        if end > self._mark:
            arena.held[arena.current] += end - self._mark
            self._texts[self._block].append((arena.current, end - self._mark))
            self._mark = end

    def _release(self, block: int) -> None:
        arena = self._arena
        for chunk, size in self._texts.pop(block):
            arena.held[chunk] -= size
            if not arena.held[chunk] and chunk != arena.current:
                arena.forget(chunk)
        for blocks in self._nested.values():
            blocks.pop(block, None)
        self._fresh.pop(block, None)
        self._filled[block] = 0
        self._live[block] = 0
        self._free.append((self._now, block))

    def _text(self, need: int) -> None:
        self._settle()
        arena = self._arena
        full = arena.current
        arena.open(need)
        self._mark = 0
        if not arena.held[full]:
            arena.forget(full)

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
        arena = self._arena
        return gather(self.schema, self.shape, self._tab.array, arena.chunks, arena.bases, self._nested, ids, only)

    def snapshot(self) -> Rows:
        """The rows of this moment, between two steps. Costs microseconds; values are read when asked for."""
        return self._rows(0, self._extent())

    def _extent(self) -> npt.NDArray[np.int64]:
        blocks = np.flatnonzero(self._filled[: self._blocks] > 0)
        return np.stack([blocks << SHIFT, (blocks << SHIFT) + self._filled[blocks]], axis=1)

    def _rows(self, low: int, ranges: npt.NDArray[np.int64]) -> Rows:
        pin = Pin(self._now)
        self._pins.add(pin)
        nested = {i: {b: list(p) for b, p in blocks.items()} for i, blocks in self._nested.items()}
        chunks, bases = list(self._arena.chunks), self._arena.bases.copy()
        return Rows(self.schema, self._now, low, ranges, self._tab.array, self.shape, chunks, bases, nested, pin)

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
        self._free_dead()

    # ---- checkpoints

    def freeze(self, full: bool = False) -> SegmentsFrozen:
        """What changed since the last freeze, or everything. Values are read later, by the thread that writes."""
        if full:
            return self._with_cells(self._rows(0, self._extent()), [], [])
        changed = [c for c in (self._noted_cells(),) if len(c[0])] if self._changed else []
        fresh = [((b << SHIFT) + a, (b << SHIFT) + int(self._filled[b])) for b, a in self._fresh.items()]
        rows = self._rows(self._frozen, np.array(fresh, np.int64).reshape(-1, 2))
        frozen = self._with_cells(rows, self._deleted, changed)
        self._frozen = self._now
        self._fresh, self._deleted = {}, []
        return frozen

    def _noted_cells(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        assert self._noted is not None  # noqa: S101 (else nothing is noted)
        ids = np.concatenate(self._changed)
        births, cells = np.empty(len(ids), np.int64), np.empty((len(ids), self.n_saved), np.int64)
        m = k.changed(ids, self._noted.array, self._tab.array, self.shape.width, self._frozen, births, cells)
        self._changed = []
        return births[:m], cells[:m]

    def _with_cells(self, rows: Rows, deleted: list[Any], changed: list[Any]) -> SegmentsFrozen:
        # Cells change in place, so they are copied now; everything else about a row is read later.
        cells = None
        if self.n_saved:
            ids = rows.ids()
            cells = np.empty((len(ids), self.n_saved), np.int64)
            k.cells(ids, self._tab.array, self.cell0, cells)
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
        self._fresh, self._deleted = {}, []
        if self._changed:
            self._noted_cells()

    @property
    def bytes(self) -> int:
        """Memory in use, about."""
        return int(self._blocks * BLOCK * self._tab.array.shape[1] * 8 + self._arena.bytes)
