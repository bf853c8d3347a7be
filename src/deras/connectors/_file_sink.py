"""Writing files: hidden while they grow, durable before a checkpoint, visible after it."""

from __future__ import annotations

import logging
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from deras.connectors._files import external, glob_base, resolve
from deras.core.contracts import Sink, SinkDelivery, TableContext, Writer
from deras.core.errors import ConfigError, ExternalError, InternalError, OptionError

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

    from deras.core.contracts import Encoder, FileWriter
    from deras.core.delta import Delta
    from deras.core.schema import Schema
    from deras.core.time import Tick

_log = logging.getLogger("deras.connectors.filesystem")


@dataclass(slots=True)
class _Part:
    """A file being written: its place below the folder, hidden and final, and its bytes so far."""

    hidden: str
    final: str
    begun: float
    file: FileIO | None = None
    columnar: FileWriter | None = None
    size: int = 0


class FileSink(Sink):
    """A folder of part files; rows appear in it exactly once, after the checkpoint that holds them.

    A writer has a *run*, a random word that its token carries on, and numbers its files: ``part-<run>-<n>``. While one
    grows it is hidden, as ``.part-<run>-<n>.inprogress``. ``prepare`` syncs what the checkpoint will hold and names it,
    ``commit`` renames it. What a restored run wrote after its checkpoint is removed; others' files are never touched.
    """

    delivery: ClassVar[SinkDelivery] = "exactly-once"

    def __init__(self, table: TableContext) -> None:
        if table.format is None:
            raise OptionError("connector 'filesystem' needs option 'format'", hint="For example 'format' = 'json'.")
        self.table = table
        self.format = table.format
        self.accepts = table.format.accepts
        self.folder = resolve(table.options["path"], table.folder)
        if glob_base(self.folder) is not None:
            raise OptionError(f"option 'path': a glob cannot be written to: {self.folder}", hint="Give a folder.")
        self.settled: dict[str, Any] | None = None
        """The unfinished file of the token committed last."""

    def open(self, schema: Schema, state: dict[str, Any] | None = None) -> Writer:
        """Begin to write; with a token: clear away what came after its checkpoint, go on in its unfinished file."""
        if self.folder.exists() and not self.folder.is_dir():
            raise ConfigError(
                f"cannot write to {self.folder}: it is a file, not a folder",
                hint="Option 'path' of a sink names a folder.",
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.table.partition_keys:
                from deras.connectors._file_partitions import PartitionedWriter

                return PartitionedWriter(self, schema, state)
            return FileSinkWriter(self, schema, state)
        except OSError as e:
            raise external(e, self.folder, "write to") from e

    def commit(self, token: dict[str, Any]) -> None:
        """Make the token's files visible."""
        folders: set[Path] = set()
        try:
            for hidden, final in token["files"]:
                source, target = self.folder / hidden, self.folder / final
                try:
                    source.rename(target)
                    folders.add(target.parent)
                except FileNotFoundError:
                    if not target.exists():
                        _log.info("%s is not there: committed before, and taken away since", target)
            for folder in folders:
                sync_folder(folder)
            if token.get("success"):
                from deras.connectors._file_partitions import mark_complete

                mark_complete(self.folder, token)
        except OSError as e:
            raise external(e, self.folder, "make files visible in") from e
        self.settled = token["open"]


class FileSinkWriter(Writer):
    """Writes one run's files.

    Args:
        sink: where to.
        schema: the rows' columns.
        state: the token to go on from.

    Raises:
        OSError: the folder cannot be written.
        ExternalError: the unfinished file of the checkpoint is gone.
    """

    def __init__(self, sink: FileSink, schema: Schema, state: dict[str, Any] | None) -> None:
        o = sink.table.options
        self._sink = sink
        self._folder = sink.folder
        self._clock = sink.table.clock
        self._schema = schema
        self._columnar = sink.format.columnar
        self._encoder: Encoder | None = None if self._columnar else sink.format.encoder(schema)
        self._most: int = o["sink.rolling-policy.file-size"]
        interval = o.get("sink.rolling-policy.rollover-interval")
        self._hold = 0.0 if interval is None or self._columnar else interval / 1000
        extension = sink.format.extension
        self._extension = f".{extension.lstrip('.')}" if extension else ""
        self._run: str = state["run"] if state else secrets.token_hex(4)
        self._next: int = state["next"] if state else 0
        self._part: _Part | None = None
        self._full: list[list[str]] = []
        self._changed = False
        self._held: dict[str, Any] | None = None
        if state:
            self._restore(state)

    # ---- the contract

    def write(self, delta: Delta, tick: Tick) -> None:
        """Append rows."""
        if delta.weights is not None:
            if self._sink.accepts == "append" and (delta.weights < 0).any():
                raise InternalError("a file sink was given a retraction")
            if self._sink.accepts == "append" and (delta.weights != 1).any():
                delta = delta.take(np.repeat(np.arange(delta.length), delta.weights))
        if not delta.length:
            return
        try:
            part = self._part or self._begin()
            self._changed = True
            if part.columnar is not None:
                part.columnar.write(delta)
                part.size = (self._folder / part.hidden).stat().st_size
            else:
                assert self._encoder is not None  # noqa: S101
                assert part.file is not None  # noqa: S101
                made = self._encoder.encode(delta)
                part.size += _write_all(part.file, made if isinstance(made, bytes) else b"".join(made))
            if part.size >= self._most:
                self._finish()
        except OSError as e:
            raise external(e, self._folder, "write to") from e

    def prepare(self, epoch: int) -> dict[str, Any] | None:
        """Make durable what was written; name what is to become visible."""
        try:
            part = self._part
            if part is not None and self._clock.monotonic() - part.begun >= self._hold:
                self._finish()
                part = None
                self._changed = True
            if not self._changed:
                return None
            if part is not None:
                assert part.file is not None  # noqa: S101
                os.fsync(part.file.fileno())
            if self._full or part is not None:
                sync_folder(self._folder)
        except OSError as e:
            raise external(e, self._folder, "write to") from e
        self._held = None
        if part is not None:
            self._held = {"hidden": part.hidden, "final": part.final, "size": part.size}
        files, self._full = self._full, []
        self._changed = False
        return {"run": self._run, "next": self._next, "files": files, "open": self._held}

    def close(self) -> None:
        """Close the file; one that the last checkpoint holds as a whole becomes visible."""
        part, self._part = self._part, None
        if part is None:
            return
        try:
            if part.file is not None:
                part.file.close()
            held = self._held
            whole = not self._changed and held is not None and held == self._sink.settled
            if whole and held["hidden"] == part.hidden:  # type: ignore[index]
                (self._folder / part.hidden).rename(self._folder / part.final)
                sync_folder(self._folder)
        except OSError as e:
            # The checkpoint holds what is needed to go on.
            _log.warning("cannot finish %s: %s", self._folder / part.hidden, e)

    # ---- files

    def _path(self, name: str) -> tuple[str, str]:
        """Where a file lies below the folder while it grows, and in the end."""
        return f".{name}.inprogress", name

    def _begin(self) -> _Part:
        part = _Part(*self._path(f"part-{self._run}-{self._next}{self._extension}"), self._clock.monotonic())
        path = self._folder / part.hidden
        if self._columnar:
            part.columnar = self._sink.format.file_writer(path, self._schema)
        else:
            assert self._encoder is not None  # noqa: S101
            part.file = path.open("wb", buffering=0)
            part.size = _write_all(part.file, self._encoder.header())
        self._next += 1
        self._part = part
        return part

    def _finish(self) -> None:
        """Close the current file, durable, to become visible with the next token."""
        part = self._part
        assert part is not None  # noqa: S101
        if part.columnar is not None:
            part.columnar.close()
            fd = os.open(self._folder / part.hidden, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        else:
            assert part.file is not None  # noqa: S101
            os.fsync(part.file.fileno())
            part.file.close()
        self._part = None
        self._full.append([part.hidden, part.final])

    def _restore(self, state: dict[str, Any]) -> None:
        held = state["open"]
        keep = {held["hidden"]} if held else set()
        for path in self._folder.rglob(f".part-{self._run}-*.inprogress"):
            if path.name not in keep:
                path.unlink()
        for path in self._folder.rglob(f"part-{self._run}-*"):
            number = path.name.split("-")[2].partition(".")[0]
            if number.isdecimal() and int(number) >= self._next:
                # An older checkpoint is restored: its rows after it are written again.
                _log.warning("%s holds rows from after the checkpoint: hidden, they are written again", path)
                path.rename(path.with_name(f".{path.name}.rolled-back"))
        if held is None:
            return
        path = self._folder / held["hidden"]
        if not path.exists():
            if (self._folder / held["final"]).exists():
                return  # finished when the job was stopped
            raise ExternalError(
                f"the unfinished file of the checkpoint is gone: {path}",
                hint="Put it back, or start afresh without the checkpoint.",
                retry="never",
            )
        file = path.open("r+b", buffering=0)
        file.truncate(held["size"])
        file.seek(0, os.SEEK_END)
        self._part = _Part(held["hidden"], held["final"], self._clock.monotonic(), file, size=held["size"])
        self._held = self._sink.settled = held


def _write_all(file: FileIO, data: bytes) -> int:
    view = memoryview(data)
    while view:
        view = view[file.write(view) or 0 :]
    return len(data)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
