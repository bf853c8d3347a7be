"""A table being read: its parts, readers and decoders."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from deras.core.column import Column
from deras.core.contracts import TableContext
from deras.core.delta import Delta
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK
from deras.core.types import polars_type
from deras.runtime.intake_log import LoggedReader
from deras.runtime.resuming import over
from deras.runtime.tables import open_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deras.core.contracts import Decoder, Reader, Source
    from deras.core.predicates import Filters
    from deras.core.records import Block, Offset, Records, Rejected
    from deras.core.time import Clock
    from deras.core.types import SqlType
    from deras.engine.dataflow import SourceSpec
    from deras.engine.operator import SourceOperator
    from deras.runtime.intake_log import IntakeLog

_log = logging.getLogger("deras.source")


@dataclass(eq=False, slots=True)
class Part:
    """One part of a source: where it is, what came of it.

    Args:
        source: whose part.
        name: stable name.
        offset: after the last row that a step has taken; None: the beginning.
    """

    source: SourceNode
    name: str
    offset: Offset | None = None
    reader: Reader | None = None
    busy: bool = False
    """A thread is polling it."""
    dry: bool = False
    """The last poll brought nothing: wait for it."""
    polled_out: bool = False
    """The reader has ended (what it gave may still be on its way)."""
    ended: bool = False
    """The end went through a step."""
    idle: bool = False
    waits: bool = False
    """It has once had nothing to give, so a thread may have to wait for it."""
    rows: int = 0
    bytes: int = 0
    turn: int = 0
    last_rows: float = 0.0
    """When rows came last (monotonic s)."""
    last_ms: int | None = None
    """When rows came last (ms since 1970)."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Readers are for one thread at a time."""

    def open(self) -> Reader:
        """The reader, opened at the offset when first needed."""
        if self.reader is None:
            self.reader = self.source.open_part(self)
        return self.reader

    def close(self) -> None:
        """Free the reader. One that a thread is stuck in is left to that thread."""
        if not self.lock.acquire(timeout=2.0):
            _log.warning("%s does not answer; it is left open", self.label)
            return
        try:
            reader, self.reader = self.reader, None
            if reader is not None:
                reader.close()
        finally:
            self.lock.release()

    @property
    def label(self) -> str:
        """For people: ``readings`` or ``bids/2024.json``."""
        return f"{self.source.table}/{self.name}" if self.name else self.source.table


@dataclass(slots=True)
class Batch:
    """What one poll brought, decoded: it is applied in the order of the tickets."""

    part: Part
    records: Records | None
    delta: Delta | None = None
    rejected: Sequence[Rejected] = ()
    count: int = 0
    bytes: int = 0
    version: int = 0
    ended: bool = False
    idle: bool = False
    polled_us: int = 0


class SourceNode:
    """A table that is being read, for one source node of the graph.

    Args:
        name: stable name of the node (the spec's, with a number where a later view reads the table once more).
        spec: what to read.
        folder: the project's folder (paths are relative to it).
        clock: the time.
        log: opens the project's intake log, for sources that need it.
    """

    def __init__(
        self, name: str, spec: SourceSpec, folder: Path, clock: Clock, log: Callable[[], IntakeLog] | None = None
    ) -> None:
        self.name = name
        self.spec = spec
        self.table = spec.table
        self.clock = clock
        self.node = -1
        self.group = 0
        self.connector, self.context = open_table(
            spec.table,
            spec.schema,
            spec.options,
            folder=folder,
            clock=clock,
            rowtime=spec.rowtime,
            partition_keys=spec.partition_keys,
        )
        self.source: Source = self.connector.source(self.context)
        if spec.filters:
            self.source.filter(spec.filters)
        self.operator: SourceOperator | None = None
        self.parts: dict[str, Part] = {}
        self.marks: dict[str, int] = {}
        """Watermark of each part after the last step."""
        self.wanted = frozenset(spec.wanted)
        self.version = 0
        self._fixed = False
        self._widening = threading.Lock()
        self.listening_since: int | None = None
        self.decoded_rows = 0
        self.rejected_rows = 0
        self._local = threading.local()
        self._log: IntakeLog | None = log() if self.source.intake and log is not None else None
        timeout = self.context.options.get("scan.watermark.idle-timeout")
        self.idle_timeout_ms: float | None = timeout
        drift = self.context.options.get("scan.watermark.alignment.max-drift")
        self.max_drift_ms: float | None = drift
        self.alignment: str | None = self.context.options.get("scan.watermark.alignment.group")
        # What the format decodes: physical columns, and metadata that lies in the records.
        inner = {f"value.{key}" for key in (self.context.format.metadata if self.context.format is not None else ())}
        self._physical = [i for i, f in enumerate(spec.schema) if f.metadata_key is None or f.metadata_key in inner]
        self._physical_schema = spec.schema.select(self._physical)

    @property
    def replayable(self) -> bool:
        """Whether reading it once more from the start gives the same rows."""
        return not self.source.intake and self.source.delivery == "exactly-once"

    @property
    def progressed(self) -> bool:
        """Whether anything of it has gone through a step."""
        return any(p.offset is not None or p.ended for p in self.parts.values())

    @property
    def ended(self) -> bool:
        """Whether every part has ended."""
        return all(p.ended for p in self.parts.values()) and bool(self.parts)

    def open_part(self, part: Part) -> Reader:
        """A reader at the part's offset."""
        if self._log is not None:
            arrival = any(self.spec.schema[i].metadata_key == "arrival-time" for i in self.wanted)
            origin = f"{self.connector.name}:{self.table}"
            return LoggedReader(self._log, self.table, part.offset, origin=origin, arrival=arrival)
        with self._widening:
            self._fixed = self.context.format is not None and self.context.format.columnar
            self.source.want(sorted(self.wanted))
            return self.source.open(part.name, part.offset)

    @property
    def over(self) -> bool:
        """Whether it has ended for good: no part can come any more."""
        return self.ended and self.source.discovery is None

    def make_parts(self, saved: dict[str, Any] | None) -> list[str]:
        """Find the parts, with the offsets of a checkpoint where there is one.

        Returns:
            Names of parts that came after the table had ended: they are not read, since operators that have ended with
            it remember nothing.
        """
        saved = saved or {}
        names = self.source.parts() if not self.source.intake else [""]
        if self.source.discovery is None and over(saved):
            for name, about in saved.items():
                self.add_part(name, about)
            return [n for n in names if n not in saved]
        for name in names:
            self.add_part(name, saved.get(name))
        if not names and self.source.discovery is None and self.source.bounded:
            self.add_part("", {"offset": None, "ended": False, "rows": 0}).polled_out = True
        return []

    def add_part(self, name: str, saved: dict[str, Any] | None = None) -> Part:
        """One more part."""
        part = Part(self, name)
        if saved:
            part.offset = saved.get("offset")
            part.ended = part.polled_out = bool(saved.get("ended"))
            part.rows = int(saved.get("rows", 0))
        part.last_rows = self.clock.monotonic()
        self.parts[name] = part
        return part

    def discover(self) -> list[str]:
        """Names of parts that have come since."""
        return [n for n in self.source.parts() if n not in self.parts]

    def widen(self, wanted: Sequence[int]) -> bool:
        """Also read these columns from now on; False where it is too late, as readers are told once which they read."""
        with self._widening:
            more = self.wanted | frozenset(wanted)
            if more != self.wanted:
                if self._fixed:
                    return False
                self.wanted = more
                self.version += 1
            return True

    def serves(self, spec: SourceSpec) -> bool:
        """Whether another reader of the table may share it: it then reads what that one wants, too."""
        return self.leaves_out(spec.filters) and self.widen(spec.wanted)

    def leaves_out(self, filters: Filters) -> bool:
        """Whether it is told just this: else it may leave out what somebody needs."""
        return self.spec.filters == filters

    def part_watermark(self, part: Part) -> int:
        """How far a part is in event time: what its reader knows, else what went through."""
        if part.reader is not None:
            hint = part.reader.watermark_hint()
            if hint is not None:
                return hint
        at = self.marks.get(part.name, MIN_WATERMARK)
        return MIN_WATERMARK if at == MAX_WATERMARK else at

    def listen(self) -> None:
        """Begin to collect, where the source pushes."""
        if self._log is not None and self.listening_since is None:
            self.source.collect(self._log)
        self.listening_since = self.clock.now()

    # ---- decoding

    def decode(self, batch: Batch) -> None:
        """Fill a batch's delta from its raw records (any thread; one decoder per thread)."""
        records = batch.records
        batch.version = self.version
        batch.delta, batch.rejected, batch.count = None, (), 0
        if records is None:
            return
        if records.delta is not None:
            batch.delta = records.delta
            batch.count = records.count or records.delta.length
            return
        if not records.blocks:
            return
        decoder = self._decoder(batch.version)
        deltas: list[Delta] = []
        rejected: list[Rejected] = []
        for block in records.blocks:
            found = decoder.decode(block)
            batch.count += found.count
            rejected.extend(found.rejected)
            if found.delta.length:
                deltas.append(self._with_metadata(found.delta, block))
        batch.delta = Delta.concat(deltas) if deltas else None
        batch.rejected = rejected

    def _decoder(self, version: int) -> Decoder:
        held: tuple[int, Decoder] | None = getattr(self._local, "held", None)
        if held is None or held[0] != version:
            assert self.context.format is not None  # noqa: S101
            wanted = [p for p, i in enumerate(self._physical) if i in self.wanted]
            held = (version, self.context.format.decoder(self._physical_schema, wanted, self.table))
            self._local.held = held
        return held[1]

    def _with_metadata(self, delta: Delta, block: Block) -> Delta:
        schema = self.spec.schema
        if len(self._physical) == len(schema):
            return delta
        physical, held = iter(delta.columns), set(self._physical)
        columns = [
            next(physical) if i in held else _metadata(f.type, block.metadata.get(f.metadata_key or ""), delta)
            for i, f in enumerate(schema)
        ]
        return delta.with_columns(schema, columns)

    # ---- the end

    def snapshot(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        parts = {p.name: {"offset": p.offset, "ended": p.ended, "rows": p.rows} for p in self.parts.values()}
        return {"table": self.table, "connector": self.connector.name, "replayable": self.replayable, "parts": parts}

    def ack(self, parts: dict[str, Any]) -> None:
        """Tell the readers what is durable."""
        for name, saved in parts.items():
            part = self.parts.get(name)
            if part is None or saved.get("offset") is None:
                continue
            with part.lock:
                if part.reader is not None:
                    part.reader.ack(saved["offset"])

    def close(self) -> None:
        """Free readers and source."""
        for part in self.parts.values():
            try:
                part.close()
            except Exception:  # noqa: BLE001
                _log.warning("closing %s failed", part.label, exc_info=True)
        self.source.close()


def _metadata(type_: SqlType, value: Any, delta: Delta) -> Column:
    n = delta.length
    if value is None:
        return Column.nulls(type_, n)
    if isinstance(value, Column):
        return value
    if isinstance(value, list) and len(value) == n:
        return Column.of_values(type_, value)
    if hasattr(value, "dtype") and getattr(value, "ndim", 0) == 1:
        return Column.of_words(type_, value)
    return Column.of_series(type_, pl.Series("", [value], dtype=polars_type(type_), strict=False).new_from_index(0, n))


__all__ = ["Batch", "Part", "SourceNode", "TableContext"]
