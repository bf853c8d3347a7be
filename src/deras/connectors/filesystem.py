"""``'connector' = 'filesystem'``: files and folders, bounded or followed, read at full speed or replayed in time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from deras.connectors._file_reader import FileReader, Follow, FrameReader
from deras.connectors._files import glob_base, list_files, resolve
from deras.connectors._replay import Pace, ReplayReader
from deras.core import contracts
from deras.core.contracts import Reader, Sink, Source, TableContext
from deras.core.errors import ExternalError, OptionError, PlanError
from deras.core.options import Option
from deras.core.types import BIGINT, STRING, SqlType, timestamp_ltz

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.contracts import Lookup, SourceDelivery
    from deras.core.records import Offset

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
        return found

    def open(self, part: str, at: Offset | None) -> Reader:
        """A reader of one file."""
        path = (glob_base(self._root) or self._root) / part if part else self._root
        schema = self._table.schema
        keys = self._table.partition_keys
        given: dict[str, Any] = {}
        if keys:
            from deras.connectors._file_partitions import values_of

            types = {f.name: f.type for f in schema}
            below = str(path.relative_to(self._root)) if self._root.is_dir() else str(path)
            default = self._table.options["partition.default-name"]
            used = [k for k in keys if k in types]
            given = values_of(below, used, [types[k] for k in used], default)
        if self._format.columnar:
            inner: Reader = FrameReader(path, self._format, schema, at, given, self._wanted)
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
