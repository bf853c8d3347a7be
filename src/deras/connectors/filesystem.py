"""``'connector' = 'filesystem'``: files and folders, bounded or followed, read at full speed or replayed in time."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from deras.connectors._file_reader import FileReader, Follow, FrameReader
from deras.connectors._files import glob_base, list_files, resolve
from deras.connectors._replay import Pace, ReplayReader
from deras.core import contracts
from deras.core.column import Column
from deras.core.contracts import Reader, Sink, Source, TableContext
from deras.core.errors import ExternalError, OptionError, PlanError
from deras.core.options import Option
from deras.core.predicates import Skipped, bounds_of_value, comparable, remaining
from deras.core.types import BIGINT, STRING, Kind, Layout, SqlType, timestamp_ltz

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from deras.core.contracts import Lookup, SourceDelivery
    from deras.core.predicates import Filters, Value
    from deras.core.records import Offset
    from deras.core.schema import Schema

MANY_FILES = 256
"""Above this number of parts no file stays open between two polls."""


def _pattern(text: str) -> str | None:
    try:
        re.compile(text)
    except re.error as e:
        return f"{text!r} is no regular expression: {e}"
    return None


def _not_negative(value: float) -> str | None:
    return "it must not be negative" if value < 0 else None


def _positive(value: float) -> str | None:
    return None if value > 0 else "it must be greater than 0"


def _comparable(value: Any, t: SqlType) -> Value | None:
    """The value of a partition column, as rows will have it."""
    column = Column.of_values(t, [value])
    (found,) = column.values()
    if found is not None and t.kind is Kind.DECIMAL:
        return Fraction(found)
    return comparable(column.words()[0] if found is not None and t.layout is Layout.WORDS else found, t)


class FileSource(Source):
    """Files as a source: each file is a part with a watermark of its own."""

    delivery: ClassVar[SourceDelivery] = "exactly-once"

    def __init__(self, table: TableContext) -> None:
        o = table.options
        self._table = table
        if table.format is None:
            raise OptionError("connector 'filesystem' needs option 'format'", hint="For example 'format' = 'json'.")
        self._format = table.format
        self._root = resolve(o["path"], table.folder)
        self._pattern = o.get("source.path.regex-pattern")
        interval = o.get("source.monitor-interval")
        self.bounded = interval is None
        self._follow: Follow | None = None
        self._single = self._root.is_file()
        if interval is not None:
            self.discovery = None if self._single else interval / 1000
            settle = o.get("source.tail.settle")
            if settle is None and not self._single:
                settle = 60_000.0
            self._follow = Follow(interval / 1000, None if settle is None else settle / 1000)
        schema = table.schema
        self._physical = [i for i, f in enumerate(schema) if f.metadata_key is None]
        self._pace: Pace | None = None
        speed = o.get("scan.replay.speed") or 0.0
        if speed:
            if table.rowtime is None or schema[table.rowtime].metadata_key is not None:
                raise PlanError(
                    f"table '{table.name}' cannot be replayed: its rowtime is no physical column",
                    hint="Declare WATERMARK FOR a column that the file holds, or leave out 'scan.replay.speed'.",
                )
            if not schema[table.rowtime].type.is_timestamp:
                raise PlanError(f"table '{table.name}' cannot be replayed: its rowtime is no timestamp")
            self._pace = Pace(table.clock, speed)
        self._count = 0
        self._wanted: tuple[int, ...] | None = None
        self._filters: Filters = ()
        self._folders: dict[str, bool] = {}
        self.skipped = self._left_out = Skipped()

    def filter(self, filters: Filters) -> None:
        """Files are left out by the values that their folders name, row groups of columnar ones by their statistics."""
        self._filters = filters

    def want(self, columns: Sequence[int]) -> None:
        """Columnar files are read by column."""
        self._wanted = tuple(columns)

    def parts(self) -> list[str]:
        """The files' paths relative to the folder (``""`` for a single file), sorted."""
        if self._follow is not None and self.discovery is None:
            return [""]
        try:
            found = list_files(self._root, self._pattern)
        except ExternalError:
            if self._follow is None or self._root.exists():
                raise
            found = []
        self._count = len(found)
        if not self._filters or not self._table.partition_keys:
            return found
        left = [f for f in found if self._needed(f)]
        self._left_out.files = len(found) - len(left)
        return left

    def _below(self, part: str) -> Path:
        return (glob_base(self._root) or self._root) / part if part else self._root

    def _given(self, part: str) -> dict[str, Any]:
        """The partition columns of a file, by metadata key."""
        keys = self._table.partition_keys
        if not keys:
            return {}
        from deras.connectors._file_partitions import values_of

        path = self._below(part)
        types = {f.name: f.type for f in self._table.schema}
        below = str(path.relative_to(self._root)) if self._root.is_dir() else str(path)
        used = [k for k in keys if k in types]
        return values_of(below, used, [types[k] for k in used], self._table.options["partition.default-name"])

    def _needed(self, part: str) -> bool:
        folder = part.rpartition("/")[0]
        if folder not in self._folders:
            self._folders[folder] = self._left(self._given(part)) is not None
        return self._folders[folder]

    def _left(self, given: dict[str, Any]) -> Filters | None:
        """What the filters ask of a file's own columns; None: no row of it can pass."""
        known = {}
        for i, f in enumerate(self._table.schema):
            if f.metadata_key in given:
                known[i] = bounds_of_value(_comparable(given[f.metadata_key], f.type))
        return remaining(self._filters, known)

    def open(self, part: str, at: Offset | None) -> Reader:
        """A reader of one file."""
        path, schema, given = self._below(part), self._table.schema, self._given(part)
        if self._format.columnar:
            left = self._left(given) if self._format.prunes and self._filters else ()
            inner: Reader = FrameReader(path, self._format, schema, at, given, self._wanted, left or (), self.skipped)
            decoder = None
        else:
            physical = schema.select(self._physical)
            splitter = self._format.decoder(physical, [], str(path))
            inner = FileReader(
                path, splitter, self._table.clock, at, self._follow, thrifty=self._count > MANY_FILES, partition=given
            )
            decoder = None
            if self._pace is not None:
                assert self._table.rowtime is not None  # noqa: S101
                decoder = self._format.decoder(physical, [self._physical.index(self._table.rowtime)], str(path))
        if self._pace is None:
            return inner
        assert self._table.rowtime is not None  # noqa: S101
        place = self._table.rowtime if decoder is None else self._physical.index(self._table.rowtime)
        return ReplayReader(inner, decoder, place, schema[self._table.rowtime].type, self._pace)


class Connector(contracts.Connector):
    """Files and folders of the local file system.

    A folder is read with all folders below it, sorted by path; names that begin with ``.`` or ``_`` are left out, as in
    Flink. Each file has its own watermark. ``.gz``, ``.zst``, ``.bz2`` and ``.lz4`` are unpacked.

    With ``'source.monitor-interval'`` a file or folder is followed: new files and, beyond Flink, appended lines.
    A file that was rotated is read to its end before the new one; a truncated one from its new start (with a warning).
    """

    name: ClassVar[str] = "filesystem"
    formats: ClassVar[Literal["required", "none"]] = "required"
    metadata: ClassVar[dict[str, SqlType]] = {
        "file.path": STRING.with_nullable(False),
        "file.name": STRING.with_nullable(False),
        "file.size": BIGINT.with_nullable(False),
        "file.modification-time": timestamp_ltz(3).with_nullable(False),
    }
    options: ClassVar[Sequence[Option]] = (
        Option(
            "path", help="A file, a folder, or a glob; relative paths start at the project's folder.", required=True
        ),
        Option(
            "source.monitor-interval",
            "duration",
            "Follow the path: look for new files and appended lines this often. Absent: read once, bounded.",
            check=_positive,
        ),
        Option(
            "source.path.regex-pattern",
            help="Read only files whose absolute path matches this regular expression as a whole.",
            check=_pattern,
        ),
        Option(
            "source.tail.settle",
            "duration",
            "Ours: a last line without newline in a followed file counts as whole after this time without change "
            "(default: 1 min in a folder, never for a single file).",
            check=_not_negative,
        ),
        Option(
            "scan.replay.speed",
            "float",
            "Ours: give rows when their event time has come, this many times faster than they happened; 0: at once.",
            default=0.0,
            check=_not_negative,
        ),
        Option("sink.rolling-policy.file-size", "memory", "Begin a new part file at this size.", default=128 << 20),
        Option(
            "sink.rolling-policy.rollover-interval",
            "duration",
            "Keep one part file open this long, over several checkpoints; absent: a part file per checkpoint, so that "
            "rows are visible after each.",
        ),
        Option(
            "sink.rolling-policy.check-interval", "duration", "Accepted for Flink's sake; sizes are always checked."
        ),
        Option(
            "partition.default-name",
            help="Folder of rows whose partition is NULL or empty.",
            default="__DEFAULT_PARTITION__",
        ),
        Option(
            "partition.time-extractor.kind", "enum", "How a partition's time is found.", "default", choices=("default",)
        ),
        Option(
            "partition.time-extractor.timestamp-pattern",
            help="A partition's time from its columns, for example '$dt $hr:00:00'; default: the first column.",
        ),
        Option("partition.time-extractor.timestamp-formatter", help="Accepted for Flink's sake; ISO forms are read."),
        Option(
            "sink.partition-commit.trigger",
            "enum",
            "A partition is complete some time after its first row, or when the watermark has passed its own time.",
            "process-time",
            choices=("process-time", "partition-time"),
        ),
        Option("sink.partition-commit.delay", "duration", "Wait so long with it.", default=0.0, check=_not_negative),
        Option("sink.partition-commit.policy.kind", help="'success-file' puts a file into complete partitions."),
        Option("sink.partition-commit.success-file.name", help="That file's name.", default="_SUCCESS"),
        Option(
            "sink.partition-commit.watermark-time-zone", help="The zone of times in partitions' names.", default="UTC"
        ),
        Option("sink.shuffle-by-partition.enable", "bool", "Accepted for Flink's sake.", default=False),
        Option("sink.parallelism", "int", "Accepted for Flink's sake; one writer is used."),
        Option("auto-compaction", "bool", "Accepted for Flink's sake; files are not compacted.", default=False),
    )

    @classmethod
    def filterable(
        cls,
        options: Mapping[str, str],  # noqa: ARG003
        schema: Schema,
        format_: type[contracts.Format] | None,
    ) -> frozenset[int]:
        """Partition columns, and those of files that hold statistics."""
        prunes = format_ is not None and format_.prunes
        return frozenset(
            i
            for i, f in enumerate(schema)
            if (prunes if f.metadata_key is None else f.metadata_key.startswith("partition."))
        )

    def source(self, table: TableContext) -> Source:
        """Files to read."""
        return FileSource(table)

    def lookup(self, table: TableContext, keys: Sequence[int]) -> Lookup:
        """Files that are read whole."""
        from deras.connectors._lookup import WholeTable

        return WholeTable(table, lambda: FileSource(table))

    def sink(self, table: TableContext) -> Sink:
        """A folder to write part files into."""
        from deras.connectors._file_sink import FileSink

        return FileSink(table)
