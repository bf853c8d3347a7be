"""What operators remember: indexes of cells, segments of rows, small values; frozen, restored and measured alike."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, TYPE_CHECKING

import numpy as np

from deras.core.errors import CorruptError
from deras.engine.operator import StateSize
from deras.engine.state import codec
from deras.engine.state.codec import Chunk
from deras.engine.state.index import Index, IndexFrozen

if TYPE_CHECKING:
    from deras.core.types import SqlType
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["Chunk", "Frozen", "Index", "State"]


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
    values: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def chunks(self) -> Iterator[Chunk]:
        """The bytes to be written, in the order in which they are to be restored. For another thread than the step's."""
        for name, f in self.indexes.items():
            yield from _index_chunks(name, f)
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


class State:
    """The state of one operator (one lane). An operator asks for parts by name in ``open`` and keeps nothing elsewhere.

    Args:
        name: stable name, as in the checkpoint's manifest.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._indexes: dict[str, Index] = {}
        self._values: dict[str, dict[str, Any]] = {}
        self._blobs: dict[str, dict[str, Any]] = {}
        self._after: list[Callable[[], None]] = []

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

    def values(self, name: str = "values") -> dict[str, Any]:
        """Small scalars (int, float, str, bool, None, lists of them), saved whole at each freeze. The same dict always."""
        return self._values.setdefault(name, {})

    def blobs(self, name: str = "blobs") -> dict[str, Any]:
        """Small NumPy arrays, copied whole at each freeze. The same dict always."""
        return self._blobs.setdefault(name, {})

    def on_restore(self, rebuild: Callable[[], None]) -> None:
        """Call this after every restore: to rebuild what is derived."""
        self._after.append(rebuild)

    # ---- checkpoints

    def freeze(self, epoch: int) -> Frozen:
        """What changed since the last freeze. Costs per touched id, between two steps; writing is for another thread."""
        return self._frozen(epoch, full=False)

    def base(self, epoch: int) -> Frozen:
        """Everything, as a new beginning of the log. Does not change what the next :meth:`freeze` gives."""
        return self._frozen(epoch, full=True)

    def _frozen(self, epoch: int, full: bool) -> Frozen:
        return Frozen(
            self.name,
            epoch,
            full,
            {n: i.freeze(full) for n, i in self._indexes.items() if i.saved},
            {n: json.dumps(v) for n, v in self._values.items()},
            {n: {k: np.array(a) for k, a in b.items()} for n, b in self._blobs.items()},
        )

    def restore(self, chunks: Iterable[Chunk]) -> None:
        """Replay a base and its increments, in order, into this (opened, empty) state.

        Raises:
            CorruptError: a chunk is damaged or does not fit what the operator asked for.
        """
        for kind, name, data in chunks:
            header, arrays = codec.unpack(data, f"part '{name}' of state '{self.name}'")
            match kind:
                case "index":
                    self._restore_index(name, header, arrays)
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
        for rebuild in self._after:
            rebuild()

    def _restore_index(self, name: str, header: dict[str, Any], arrays: dict[str, Any]) -> None:
        index = self._indexes.get(name)
        types = [codec.type_of(t) for t in header["types"]]
        if (
            index is None
            or index.n_cells != header["cells"]
            or [t.layout for t in types] != [t.layout for t in index.types]
        ):
            raise CorruptError(
                f"part '{name}' of state '{self.name}' has another shape than its operator",
                hint="The statement changed; start without this checkpoint or restore the statement.",
            )
        columns = codec.get_columns(index.types, arrays, header["rows"])
        if header["change"] == "put":
            index.put(columns, arrays["cells"])
        else:
            index.forget(columns, header["rows"])

    def size(self) -> StateSize:
        """Keys, rows and bytes kept now."""
        parts = {n: i.bytes for n, i in self._indexes.items()}
        parts |= {n: sum(a.nbytes for a in b.values()) for n, b in self._blobs.items()}
        return StateSize(sum(len(i) for i in self._indexes.values()), 0, sum(parts.values()), parts)
