"""The contracts between rooms that may not import one another: source, sink, connector, format.

Guarantees are class attributes. A connector is one file ``deras/connectors/<name>.py`` with a class ``Connector`` in
it; a format one file ``deras/formats/<name>.py`` with a class ``Format``; the registry finds them by name.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from deras.core.time import Clock, SystemClock, Tick

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from deras.core.column import Column
    from deras.core.delta import Delta
    from deras.core.options import Option, Options
    from deras.core.predicates import Filters, Skipped
    from deras.core.records import Block, Decoded, Offset, Records
    from deras.core.schema import Schema
    from deras.core.types import SqlType

SourceDelivery = Literal["exactly-once", "at-least-once", "at-most-once"]
SinkDelivery = Literal["exactly-once", "idempotent", "at-least-once"]
Changes = Literal["insert", "upsert", "all"]
"""What a source gives: rows that only come; by key the new row or its deletion; every change with the row before."""
Accepts = Literal["append", "upsert", "all"]
"""What a sink takes: insertions only; by primary key the new row or its deletion; any changelog."""


@dataclass(frozen=True, slots=True)
class TableContext:
    """What a connector is told about its table.

    Args:
        name: the table's name.
        schema: the physical columns (and metadata columns, with ``metadata_key``) that it must produce or accept.
        options: the checked options (connector's and format's).
        format: the table's format, or None.
        folder: the project's folder; relative paths start here.
        clock: the time.
        rowtime: position of the rowtime column in ``schema``, if it is physical.
        bounded_batch: whether the job runs in batch mode.
        partition_keys: PARTITIONED BY.
    """

    name: str
    schema: Schema
    options: Options
    format: Format | None = None
    folder: Path = field(default_factory=Path)
    clock: Clock = field(default_factory=SystemClock)
    rowtime: int | None = None
    bounded_batch: bool = False
    partition_keys: tuple[str, ...] = ()


class Reader(abc.ABC):
    """One part (partition, file set) of a source being read. Used by one thread at a time."""

    @abc.abstractmethod
    def poll(self, limit: int, wait: float) -> Records | None:
        """The next records: about ``limit`` bytes, waiting at most ``wait`` seconds for the first.

        Gives None if the part has ended (bounded source), ``Records`` with no blocks if nothing came in time.
        Never holds a finished record back to fill a batch.
        """

    def ack(self, offset: Offset) -> None:  # noqa: B027 (optional)
        """All records up to ``offset`` are in a durable checkpoint."""

    def close(self) -> None:  # noqa: B027 (optional)
        """Free everything; also after an error."""

    def watermark_hint(self) -> int | None:
        """The lowest event time (ms) still to come from this part, if it knows without decoding; else None."""
        return None

    def idle(self) -> bool:
        """Whether the part has given all it has at present and need not hold back the watermark of the others."""
        return False


class Source(abc.ABC):
    """A table that can be read."""

    delivery: ClassVar[SourceDelivery] = "at-least-once"
    bounded: bool = False
    """Whether every part ends by itself; asked after construction."""
    intake: ClassVar[bool] = False
    """True: cannot be replayed, so the runtime calls ``collect`` and reads its intake log, not ``open``."""
    discovery: float | None = None
    """Seconds after which ``parts`` may have grown and is worth asking again (a followed folder); None: never."""
    skipped: Skipped | None = None
    """What was left out for ``filter``; None: it never does."""

    @abc.abstractmethod
    def parts(self) -> list[str]:
        """The names of the parts; stable between runs."""

    @abc.abstractmethod
    def open(self, part: str, at: Offset | None) -> Reader:
        """Begin to read at an offset that an earlier run gave, or at the start."""

    def want(self, columns: Sequence[int]) -> None:  # noqa: B027 (optional)
        """Told before ``open``: the positions in the schema that anybody reads.

        Readers that give deltas may leave the other columns NULL.
        """

    def filter(self, filters: Filters) -> None:  # noqa: B027 (optional)
        """Told before ``parts``: rows of which ``filters`` are not TRUE may be left out.

        Offsets mean the same whatever the filters were. What is left out is counted in ``skipped``.
        """

    def collect(self, intake: Intake) -> None:
        """Begin to append to the intake log (only where ``intake`` is True)."""
        raise NotImplementedError

    def close(self) -> None:  # noqa: B027 (optional)
        """Stop collecting, free what readers share. Twice is fine."""


class Intake(Protocol):
    """Where a source that cannot be replayed puts its records before it says that it has them."""

    def append(self, table: str, payload: bytes, count: int = 1) -> Future[int]:
        """Log whole records, each ended as the table's format asks (JSON: a newline).

        The future gives the sequence when they are durable, or raises ``ExternalError`` (no space, no permission).
        """
        ...

    def backlog(self, table: str) -> int:
        """Bytes of the table that nobody has read yet."""
        ...


class Lookup:
    """A table that is asked for rows by key. Used by the step's thread."""

    whole: ClassVar[bool] = False
    """True: small and given whole by ``rows``; False: asked for keys by ``fetch``."""

    def rows(self) -> Delta:
        """All rows as they are now, where ``whole``. ``ExternalError`` if they cannot be had."""
        raise NotImplementedError

    def fetch(self, keys: Sequence[Column]) -> Delta:
        """The rows of these distinct keys, in any order. ``ExternalError`` if they cannot be had.

        Args:
            keys: one column per key column, in the order that ``Connector.lookup`` was told; no NULLs.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Free everything."""


class Writer(abc.ABC):
    """One open sink."""

    @abc.abstractmethod
    def write(self, delta: Delta, tick: Tick) -> None:
        """Take changes, in order. May block (that is the backpressure)."""

    def identify(self, key: tuple[int, ...] | None) -> None:  # noqa: B027 (optional)
        """Told before the first ``write``: positions that tell the rows apart, () for a single row, None if only the
        whole row does. For writers that show which changes are updates.
        """

    def advance(self, watermark: int) -> None:  # noqa: B027 (optional)
        """Told before ``prepare``: the watermark of the rows so far, ms; ``MAX_WATERMARK`` after the last one."""

    def prepare(self, epoch: int) -> dict[str, Any] | None:
        """Flush; give a JSON token that ``Sink.commit`` needs, or None if nothing is to be committed."""
        return None

    def close(self) -> None:  # noqa: B027 (optional)
        """Free everything. After the last ``commit`` in a clean end, also after an error."""


class Sink(abc.ABC):
    """A table that can be written."""

    delivery: ClassVar[SinkDelivery] = "at-least-once"
    accepts: Accepts = "append"
    """append: insert-only; upsert: needs a primary key, takes -U/+U/-D by key; all: any changelog."""

    @abc.abstractmethod
    def open(self, schema: Schema, state: dict[str, Any] | None = None) -> Writer:
        """Begin to write. ``schema.key``: the upsert key positions.

        ``state``: the token of the checkpoint that is being restored.
        """

    def commit(self, token: dict[str, Any]) -> None:  # noqa: B027 (optional)
        """Make visible what ``prepare`` gave this token for. Idempotent: called again on recovery."""


class Connector(abc.ABC):
    """A kind of outside system, by the name in ``'connector' = '…'``."""

    name: ClassVar[str]
    options: ClassVar[Sequence[Option]] = ()
    """Options, without those of the format."""
    metadata: ClassVar[dict[str, SqlType]] = {}
    """Readable metadata columns by key."""
    formats: ClassVar[Literal["required", "none"]] = "none"
    """Whether the table needs ``'format' = '…'``."""
    extra: ClassVar[str] = ""
    """The pip extra that brings its library."""

    @classmethod
    def changes(cls, options: Mapping[str, str], format_: type[Format] | None) -> Changes:  # noqa: ARG003
        """What a table with these option texts gives when read; default: what its format gives."""
        return "insert" if format_ is None else format_.changes

    @classmethod
    def filterable(
        cls,
        options: Mapping[str, str],  # noqa: ARG003
        schema: Schema,  # noqa: ARG003
        format_: type[Format] | None,  # noqa: ARG003
    ) -> frozenset[int]:
        """Positions of the columns of which ``Source.filter`` makes use, for a table with these option texts."""
        return frozenset()

    def source(self, table: TableContext) -> Source:
        """The table as a source; ``PlanError`` if it can only be written."""
        from deras.core.errors import PlanError

        raise PlanError(f"connector '{self.name}' cannot be read from", hint="Use it in INSERT INTO only.")

    def lookup(self, table: TableContext, keys: Sequence[int]) -> Lookup:
        """The table to be asked by key; ``PlanError`` if it cannot be.

        Args:
            table: what it is told about the table; a lookup gives all columns of its schema.
            keys: positions of the columns that are compared.
        """
        from deras.core.errors import PlanError

        raise PlanError(
            f"connector '{self.name}' cannot be looked up",
            hint="Join a table of connector 'filesystem', or a materialized view, FOR SYSTEM_TIME AS OF.",
        )

    def sink(self, table: TableContext) -> Sink:
        """The table as a sink; ``PlanError`` if it can only be read."""
        from deras.core.errors import PlanError

        raise PlanError(f"connector '{self.name}' cannot be written to", hint="Use it in FROM only.")


class Decoder(abc.ABC):
    """Bytes to columns for one table; keeps what it learned (key order) between blocks. One per thread."""

    @abc.abstractmethod
    def decode(self, block: Block) -> Decoded:
        """All complete records of the block. Bad ones are rejected one by one with their position."""

    def split(self, block: Block) -> int:
        """End (exclusive, absolute in ``block.data``) of the last complete record: where a reader may cut.

        Default: after the last newline; -1 if there is none.
        """
        for tail in (4096, 1 << 62):
            start = max(block.start, block.end - tail)
            at = block.data[start : block.end].tobytes().rfind(b"\n")
            if at >= 0:
                return start + at + 1
        return -1


class Encoder(abc.ABC):
    """Columns to bytes for one table."""

    @abc.abstractmethod
    def encode(self, delta: Delta) -> list[bytes] | bytes:
        """The rows (weights are the caller's matter) as one chunk of bytes, each record ended as the format asks."""

    def header(self) -> bytes:
        """Bytes at the start of each file."""
        return b""


class FileWriter(Protocol):
    """A columnar file being written."""

    def write(self, delta: Delta) -> None:
        """Add rows."""
        ...

    def close(self) -> None:
        """Write what is left (the footer too). The caller makes it durable."""
        ...


class Format(abc.ABC):
    """How records lie in bytes, by the name in ``'format' = '…'``."""

    name: ClassVar[str]
    options: ClassVar[Sequence[Option]] = ()
    """Options without the ``<name>.`` prefix."""
    changes: ClassVar[Changes] = "insert"
    """Which changes its records are: with "all" and "upsert" a decoder gives weights."""
    accepts: ClassVar[Accepts] = "append"
    """Which changes it can write: with "all" an encoder looks at the weights."""
    metadata: ClassVar[dict[str, SqlType]] = {}
    """Metadata columns that a decoder fills, by key; a table names them ``value.<key>``."""
    columnar: ClassVar[bool] = False
    """True: read and written by whole files (parquet): see ``read_file`` and ``file_writer``."""
    prunes: ClassVar[bool] = False
    """Whether a columnar format leaves out rows that statistics in the file exclude."""
    extension: ClassVar[str] = ""

    def __init__(self, options: Options) -> None:
        self.options_ = options

    def decoder(self, schema: Schema, wanted: Sequence[int] | None = None, origin: str = "") -> Decoder:
        """A decoder for the physical columns; ``wanted``: positions that anybody reads (others come as NULLs)."""
        raise NotImplementedError

    def encoder(self, schema: Schema) -> Encoder:
        """An encoder."""
        raise NotImplementedError

    def read_file(
        self, path: Path, schema: Schema, wanted: Sequence[int] | None = None, batch_rows: int = 65536
    ) -> Iterator[Delta]:
        """The rows of a whole file, where ``columnar``."""
        raise NotImplementedError

    def read_rows(
        self,
        path: Path,
        schema: Schema,
        wanted: Sequence[int] | None = None,
        filters: Filters = (),
        start: int = 0,
        skipped: Skipped | None = None,
    ) -> Iterator[tuple[int, Delta]]:
        """The rows of a file from a place on, each delta with the number of the file's rows up to its end.

        Args:
            path: the file.
            schema: of the rows.
            wanted: positions that anybody reads.
            filters: rows of which they are not TRUE may be left out (where ``prunes``); positions in ``schema``.
            start: so many rows at the beginning are not given.
            skipped: where what is left out is counted.
        """
        at = 0
        for delta in self.read_file(path, schema, wanted):
            before, at = at, at + len(delta)
            if at > start:
                yield at, delta.slice(start - before, len(delta)) if start > before else delta

    def file_writer(self, path: Path, schema: Schema) -> FileWriter:
        """A new file to write, where ``columnar``."""
        raise NotImplementedError
