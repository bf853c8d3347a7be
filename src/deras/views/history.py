"""Old rows of append-only views in Parquet: written in the background, read together with what is in memory.

A file is *written* after one checkpoint and *listed* (while its rows leave memory) before the next; the manifest names
only listed files. So after a crash every row is either in the restored state or in a listed file, never in both.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from deras.engine.operators.materialize import ClosedChunk


def _plain(table: pa.Table) -> pa.Table:
    # Parquet knows no views of text: the form that both sides share.
    plain = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    schema = pa.schema([f.with_type(plain.get(f.type, f.type)) for f in table.schema])
    return table.cast(schema) if schema != table.schema else table


def folder_name(view: str) -> str:
    """A file name for a view's name: itself where it is harmless, else with a hash."""
    if re.fullmatch(r"[a-z0-9_]{1,100}", view):
        return view
    import hashlib

    clean = re.sub(r"[^A-Za-z0-9_]", "_", view)[:60]
    return f"{clean}-{hashlib.sha256(view.encode()).hexdigest()[:8]}"


class History:
    """The history files of one view.

    Args:
        folder: ``history/<view>/``; made when the first file is written.
        lock: held while rows change sides; readers take it to see both sides of one moment.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.Lock()
        self._files: list[dict[str, Any]] = []

    @property
    def files(self) -> list[dict[str, Any]]:
        """The listed files, oldest first: ``file``, ``rows``, ``first``, ``last``, ``written`` (ms)."""
        return list(self._files)

    @property
    def rows(self) -> int:
        """Rows in listed files."""
        return sum(int(f["rows"]) for f in self._files)

    def restore(self, files: Sequence[dict[str, Any]]) -> None:
        """List what a manifest names; other files of this view were not finished and go."""
        with self.lock:
            self._files = list(files)

    def write(self, chunks: Sequence[ClosedChunk], epoch: int, now: int) -> dict[str, Any]:
        """Write closed rows to one file, durable; it is not listed yet.

        Raises:
            OSError: the disk refused; nothing is left behind.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        first, last = chunks[0].first, chunks[-1].last
        name = f"epoch-{epoch:012d}-{first}-{last}.parquet"
        table = _plain(pa.concat_tables([c.snapshot.arrow() for c in chunks]))
        path = self.folder / name
        try:
            with path.open("wb") as f:
                pq.write_table(table, f, compression="zstd")
                f.flush()
                os.fsync(f.fileno())
            fd = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise
        return {"file": name, "rows": table.num_rows, "first": first, "last": last, "written": now}

    def list_file(self, about: dict[str, Any], drop: Callable[[], None]) -> None:
        """Rows change sides: they leave memory and their file is listed, in one moment. Between two steps."""
        with self.lock:
            drop()
            self._files = [*self._files, about]

    def expire(self, before: int) -> int:
        """List no longer what was written before a time (ms); gives the rows that went."""
        with self.lock:
            old = [f for f in self._files if f["written"] < before]
            self._files = [f for f in self._files if f["written"] >= before]
        return sum(int(f["rows"]) for f in old)

    def prune(self, named: Iterable[str]) -> None:
        """Remove files that neither are listed nor named by a kept checkpoint."""
        keep = {*named, *(f["file"] for f in self._files)}
        if self.folder.is_dir():
            for path in self.folder.glob("epoch-*.parquet"):
                if path.name not in keep:
                    path.unlink(missing_ok=True)

    def snapshot(self, take: Callable[[], Any]) -> HistorySnapshot:
        """Files and memory of one moment."""
        with self.lock:
            return HistorySnapshot(take(), [self.folder / f["file"] for f in self._files], self.rows)


class HistorySnapshot:
    """A view with rows in files: like its snapshot, and with the files' rows before it."""

    def __init__(self, memory: Any, paths: Sequence[Path], file_rows: int) -> None:
        self.memory = memory
        self._paths = list(paths)
        self._file_rows = file_rows

    @property
    def rows(self) -> int:
        """All rows."""
        return self._file_rows + int(self.memory.rows)

    @property
    def step(self) -> int:
        """The step after which they stood so."""
        return int(self.memory.step)

    @property
    def watermark(self) -> int:
        """The view's watermark then, ms."""
        return int(self.memory.watermark)

    def arrow(self) -> pa.Table:
        """All rows, oldest first. For large histories ``dataset`` reads less."""
        if not self._paths:
            return self.memory.arrow()
        memory = _plain(self.memory.arrow())
        return pa.concat_tables([*(pq.read_table(p, schema=memory.schema) for p in self._paths), memory])

    def frame(self) -> Any:
        """All rows as a Polars frame."""
        import polars as pl

        return pl.from_arrow(self.arrow()) if self._paths else self.memory.frame()

    def dataset(self) -> Any:
        """Files and memory for a reader that takes only the columns and rows that it needs."""
        if not self._paths:
            return self.memory.arrow()
        # Loaded late: it drags in pandas where that is installed, a quarter of a second.
        import pyarrow.dataset as ds

        memory = _plain(self.memory.arrow())
        files = ds.dataset([str(p) for p in self._paths], schema=memory.schema, format="parquet")
        return ds.dataset([files, ds.dataset(memory)])
