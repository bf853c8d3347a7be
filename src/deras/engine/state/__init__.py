"""What operators remember: indexes of cells, segments of rows, small values; frozen, restored and measured alike."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.errors import CorruptError
from deras.core.schema import Field, Schema
from deras.engine.operator import StateSize
from deras.engine.state import codec
from deras.engine.state.codec import Chunk
from deras.engine.state.index import Index, IndexFrozen
from deras.engine.state.rows import Rows
from deras.engine.state.segments import Segments, SegmentsFrozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from deras.core.types import SqlType

__all__ = ["Chunk", "Frozen", "Index", "Rows", "Segments", "State", "compact"]


@dataclass(slots=True)
class Frozen:
    """A state as it was at a freeze: only what changed since the one before, or all of it. Immutable.

    Args:
        name: of the state.
        epoch: of the checkpoint.
        full: whether it is everything (a base).
    """

    name: str
    epoch: int
    full: bool
    indexes: dict[str, IndexFrozen] = field(default_factory=dict)
    segments: dict[str, SegmentsFrozen] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def chunks(self) -> Iterator[Chunk]:
        """The bytes to be written, in the order in which they are to be restored. For another thread than the
        step's.
        """
        for name, f in self.indexes.items():
            yield from _index_chunks(name, f)
        for name, rows in self.segments.items():
            yield from _segment_chunks(name, rows)
        for name, text in self.values.items():
            yield "values", name, codec.pack({"kind": "values", "name": name, "values": json.loads(text)}, {})
        for name, arrays in self.blobs.items():
            yield "blobs", name, codec.pack({"kind": "blobs", "name": name}, arrays)


def _index_chunks(name: str, f: IndexFrozen) -> Iterator[Chunk]:
    head = {
        "kind": "index",
        "name": name,
        "types": [codec.type_json(t) for t in f.types],
        "cells": f.cells.shape[1],
    }
    # Removals first: a key that went and came again is among the rows.
    for columns, n in zip(f.deleted, f.deleted_rows):
        arrays: dict[str, Any] = {}
        codec.put_columns(columns, arrays)
        yield "index", name, codec.pack({**head, "change": "delete", "rows": n}, arrays)
    for a, b in codec.pieces(len(f.cells)):
        columns = [c.slice(a, b) for c in f.columns]
        arrays = {"groups": f.shape.groups(columns, b - a), "cells": f.cells[a:b]}
        codec.put_columns(columns, arrays)
        yield "index", name, codec.pack({**head, "change": "put", "rows": b - a}, arrays)


def _segment_chunks(name: str, f: SegmentsFrozen) -> Iterator[Chunk]:
    rows = f.rows
    ids = rows.ids()
    n_saved = 0 if f.cells is None else f.cells.shape[1]
    head = {
        "kind": "segments",
        "name": name,
        "types": [codec.type_json(t) for t in rows.schema.types],
        "names": rows.schema.names,
        "cells": n_saved,
        "now": rows.at,
    }
    # Always at least one chunk, for the birth counter.
    for births in [np.concatenate(f.deleted)] if f.deleted else []:
        yield "segments", name, codec.pack({**head, "change": "delete", "rows": len(births)}, {"births": births})
    for births, cells in f.changed:
        arrays = {"births": births, "cells": cells}
        yield "segments", name, codec.pack({**head, "change": "cells", "rows": len(births)}, arrays)
    for a, b in codec.pieces(len(ids)) if len(ids) else [(0, 0)]:
        part = ids[a:b]
        arrays = {"births": rows.births(part)}
        if f.cells is not None:
            arrays["cells"] = f.cells[a:b]
        codec.put_columns(rows.columns(part), arrays)
        yield "segments", name, codec.pack({**head, "change": "put", "rows": b - a}, arrays)


def _misfit(part: str, state: str) -> CorruptError:
    return CorruptError(
        f"part '{part}' of state '{state}' has another shape than its operator",
        hint="The statement changed: start without this checkpoint, or run the statement as it was.",
    )


class State:
    """The state of one operator (one lane). An operator asks for parts by name in ``open`` and keeps nothing elsewhere.

    Args:
        name: stable name, as in the checkpoint's manifest.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._indexes: dict[str, Index] = {}
        self._segments: dict[str, Segments] = {}
        self._values: dict[str, dict[str, Any]] = {}
        self._blobs: dict[str, dict[str, Any]] = {}
        self._after: list[Callable[[], None]] = []
        self._before: list[Callable[[], None]] = []

    # ---- parts

    def index(
        self, name: str, key_types: Sequence[SqlType], cells: int = 0, init: Sequence[int] = (), *, saved: bool = True
    ) -> Index:
        """An index of keys with ``cells`` words each; ``saved=False`` if the operator rebuilds it in ``on_restore``.

        Ids do not survive a restore: what refers to them in cells, values or blobs is to be rebuilt in ``on_restore``.
        """
        made = Index(key_types, cells, init, saved=saved)
        self._indexes[name] = made
        return made

    def segments(self, name: str, schema: Schema, cells: int = 0, saved: int = 0, init: Sequence[int] = ()) -> Segments:
        """Append-only rows that can be killed, with ``cells`` mutable words each, the first ``saved`` in
        checkpoints.
        """
        made = Segments(schema, cells, saved, init)
        self._segments[name] = made
        return made

    def values(self, name: str = "values") -> dict[str, Any]:
        """Small scalars (int, float, str, bool, None, lists of them), saved whole at each freeze. The same dict
        always.
        """
        return self._values.setdefault(name, {})

    def blobs(self, name: str = "blobs") -> dict[str, Any]:
        """Small NumPy arrays, copied whole at each freeze. The same dict always."""
        return self._blobs.setdefault(name, {})

    def on_restore(self, rebuild: Callable[[], None]) -> None:
        """Call this after every restore: to rebuild what is derived."""
        self._after.append(rebuild)

    def on_freeze(self, write: Callable[[], None]) -> None:
        """Call this before every freeze and base: to put what is kept as objects into a part."""
        self._before.append(write)

    # ---- checkpoints

    def freeze(self, epoch: int) -> Frozen:
        """What changed since the last freeze. Costs per touched id, between two steps; writing is for another
        thread.
        """
        return self._frozen(epoch, full=False)

    def base(self, epoch: int) -> Frozen:
        """Everything, as a new beginning of the log. Does not change what the next :meth:`freeze` gives."""
        return self._frozen(epoch, full=True)

    def _frozen(self, epoch: int, full: bool) -> Frozen:
        for write in self._before:
            write()
        return Frozen(
            self.name,
            epoch,
            full,
            {n: i.freeze(full) for n, i in self._indexes.items() if i.saved},
            {n: s.freeze(full) for n, s in self._segments.items()},
            {n: json.dumps(v) for n, v in self._values.items()},
            {n: {k: np.array(a) for k, a in b.items()} for n, b in self._blobs.items()},
        )

    def restore(self, chunks: Iterable[Chunk]) -> None:
        """Replay a base and its increments, in order, into this (opened, empty) state.

        Raises:
            CorruptError: a chunk is damaged or does not fit what the operator asked for.
        """
        moments: dict[str, int] = {}
        for kind, name, data in chunks:
            header, arrays = codec.unpack(data, f"part '{name}' of state '{self.name}'")
            match kind:
                case "index":
                    self._restore_index(name, header, arrays)
                case "segments":
                    self._restore_segments(name, header, arrays)
                    moments[name] = header["now"]
                case "values":
                    held = self.values(name)
                    held.clear()
                    held.update(header["values"])
                case "blobs":
                    kept = self.blobs(name)
                    kept.clear()
                    kept.update({k: np.array(a) for k, a in arrays.items()})
                case _:
                    raise CorruptError(f"state '{self.name}' has a part of unknown kind '{kind}'")
        for name, segments in self._segments.items():
            segments.restored(moments.get(name, 1))
        for rebuild in self._after:
            rebuild()

    def _restore_segments(self, name: str, header: dict[str, Any], arrays: dict[str, Any]) -> None:
        segments = self._segments.get(name)
        types = [codec.type_of(t) for t in header["types"]]
        if (
            segments is None
            or segments.n_saved != header["cells"]
            or [t.with_nullable(True) for t in types] != [t.with_nullable(True) for t in segments.schema.types]
        ):
            raise _misfit(name, self.name)
        births = arrays["births"]
        match header["change"]:
            case "put":
                n = header["rows"]
                cells = arrays.get("cells", np.zeros((n, 0), np.int64))
                segments.put(codec.get_columns(segments.schema.types, arrays, n), births, cells)
            case "cells":
                segments.amend(births, arrays["cells"])
            case _:
                segments.forget(births)

    def _restore_index(self, name: str, header: dict[str, Any], arrays: dict[str, Any]) -> None:
        index = self._indexes.get(name)
        types = [codec.type_of(t) for t in header["types"]]
        if (
            index is None
            or index.n_cells != header["cells"]
            or [t.layout for t in types] != [t.layout for t in index.types]
        ):
            raise _misfit(name, self.name)
        columns = codec.get_columns(index.types, arrays, header["rows"])
        if header["change"] == "put":
            index.put(columns, arrays["cells"])
        else:
            index.forget(columns, header["rows"])

    def size(self) -> StateSize:
        """Keys, rows and bytes kept now."""
        parts = {n: i.bytes for n, i in self._indexes.items()}
        parts |= {n: s.bytes for n, s in self._segments.items()}
        parts |= {n: sum(a.nbytes for a in b.values()) for n, b in self._blobs.items()}
        return StateSize(
            sum(len(i) for i in self._indexes.values()),
            sum(len(s) for s in self._segments.values()),
            sum(parts.values()),
            parts,
            sum(int(v.get("expired", 0)) for n, v in self._values.items() if n.endswith(".idle")),
        )


def compact(name: str, epoch: int, chunks: Iterable[Chunk]) -> Frozen:
    """A base and its increments as one new base, without the operator: for a background thread that rewrites the
    log.
    """
    kept = list(chunks)
    state = State(name)
    for kind, part, data in kept:
        header, _ = codec.unpack(data, f"part '{part}' of state '{name}'")
        if kind == "index" and part not in state._indexes:
            state.index(part, [codec.type_of(t) for t in header["types"]], header["cells"])
        elif kind == "segments" and part not in state._segments:
            fields = tuple(Field(n, codec.type_of(t)) for n, t in zip(header["names"], header["types"]))
            state.segments(part, Schema(fields), header["cells"], header["cells"])
    state.restore(kept)
    return state.base(epoch)
