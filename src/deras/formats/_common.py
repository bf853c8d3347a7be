"""What decoders of all text formats share: positions of bad records, metadata columns, read-only blocks."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.column import Column
from deras.core.records import Block, Reason, Rejected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.schema import Schema
    from deras.core.types import SqlType

Bits = npt.NDArray[np.uint8]


def writable(data: Bits) -> Bits:
    """The same memory as an array that kernels take (they are typed for writable arrays and do not write to blocks)."""
    if data.flags.writeable:
        return data
    memory = (ctypes.c_uint8 * len(data)).from_address(data.ctypes.data)
    return np.frombuffer(memory, np.uint8)  # type: ignore[call-overload, no-any-return]


class Refusals:
    """Collects the bad records of a block."""

    def __init__(self, block: Block, origin: str) -> None:
        self._block = block
        self._origin = origin or block.origin
        self._items: list[tuple[int, Reason, str, bytes]] = []

    def add(self, reason: Reason, message: str, start: int, end: int) -> None:
        """Refuse the record at ``block.data[start:end]``."""
        raw = self._block.data[start:end].tobytes()
        self._items.append((start, reason, message, raw.rstrip(b"\r\n")))

    def __len__(self) -> int:
        return len(self._items)

    def rejected(self) -> list[Rejected]:
        """One ``Rejected`` for each reason, records in order."""
        found: dict[Reason, Rejected] = {}
        # Lines are counted from one bad record to the next: the block is walked once however many there are.
        data, at, line = self._block.data, self._block.start, self._block.line
        for start, reason, message, raw in sorted(self._items, key=lambda i: i[0]):
            if reason not in found:
                found[reason] = Rejected(reason, self._origin, [], [], [], [])
            if self._block.line > 0:
                line += int(np.count_nonzero(data[at:start] == 10))
                at = start
                text = f"line {line} (byte {self._block.position + start - self._block.start})"
            else:
                text = f"record {self._block.position} (byte {start - self._block.start})"
            r = found[reason]
            r.messages.append(message)
            r.raw.append(raw)
            r.positions.append(text)
            r.times.append(None)
        return list(found.values())


def metadata_column(t: SqlType, value: Any, n: int, kept: npt.NDArray[np.int64] | None) -> Column:
    """A metadata column: a constant for all rows, or one value a record, of which the kept ones stay."""
    if isinstance(value, Column):
        return value if kept is None else value.take(kept)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        return Column.of_values(t, value if kept is None else [value[i] for i in kept.tolist()])
    if value is None:
        return Column.nulls(t, n)
    one = Column.of_values(t, [value])
    return Column.of_series(t, one.series().new_from_index(0, n))


class Nulls:
    """Columns of NULLs."""

    def column(self, t: SqlType, n: int) -> Column:
        """N NULLs."""
        return Column.nulls(t, n)


def physical(schema: Schema, wanted: Sequence[int] | None) -> list[int]:
    """Positions of the columns that bytes must give: physical and wanted."""
    chosen = range(len(schema)) if wanted is None else sorted(set(wanted))
    return [i for i in chosen if schema[i].metadata_key is None]
