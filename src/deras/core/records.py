"""What crosses the doors: raw records from a source, rejected rows with their reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from deras.core.delta import Delta

Offset = dict[str, Any]
"""Where to read on: a small JSON object that the source made and understands (numbers, strings, lists)."""

Reason = Literal["decode", "late", "expression", "udf", "constraint", "expired", "sink"]

PAD = 64
"""Bytes readable after the end of a block: decode kernels load past the last byte."""


@dataclass(slots=True)
class Block:
    """Raw bytes to decode: ``data[start:end]`` of a uint8 array with at least ``PAD`` readable bytes after ``end``.

    Args:
        data: uint8 array; not reused while a delta made of it lives (strings point into it).
        start: first byte.
        end: one after the last byte.
        origin: what to write beside a bad record, e.g. a path or ``http:/readings``.
        position: position of the first byte in the origin (byte offset in a file, sequence number in a log).
        line: number of the first line (from 1), where lines are counted; else 0.
        metadata: per-record or constant metadata columns of the connector by key (constants as scalars).
        lines: newlines in ``data[start:end]`` if the reader has counted them, else -1.
    """

    data: npt.NDArray[np.uint8]
    start: int
    end: int
    origin: str = ""
    position: int = 0
    line: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)
    lines: int = -1


@dataclass(slots=True)
class Rejected:
    """Rows that left the flow, to be kept in quarantine: reason and origin, never silence.

    All lists have one entry a row.

    Args:
        reason: the class of the trouble.
        origin: the table, operator or sink it happened at.
        messages: what was wrong, for a person.
        raw: the record's bytes, or the row as JSON text.
        positions: place in the source (``line 7 (byte 120)``), or "".
        times: the row's event time or arrival in ms, or None.
        meant: its user asked for such rows to go: they never fail the job.
    """

    reason: Reason
    origin: str
    messages: list[str]
    raw: list[bytes]
    positions: list[str]
    times: list[int | None]
    meant: bool = False

    def __len__(self) -> int:
        return len(self.messages)


@dataclass(slots=True)
class Decoded:
    """A block as columns.

    Args:
        delta: the good rows, in the block's order.
        rejected: the bad ones.
        count: records seen (good + bad).
    """

    delta: Delta
    rejected: Sequence[Rejected] = ()
    count: int = 0


@dataclass(slots=True)
class Records:
    """One answer of a reader: blocks to decode, or a ready delta, and where to read on after them.

    Args:
        blocks: raw bytes for the table's format.
        delta: ready columns (datagen, parquet); exactly one of the two is given.
        resume: the offset after these records.
        count: records if known, else 0 (the decoder counts).
    """

    resume: Offset
    blocks: Sequence[Block] = ()
    delta: Delta | None = None
    count: int = 0
