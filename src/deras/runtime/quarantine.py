"""Rows that left the flow: kept with reason and origin, durable with the epoch they belong to, readable by SQL."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from deras.core.schema import Field, Schema
from deras.core.time import MIN_WATERMARK
from deras.core.types import BIGINT, BYTES, STRING, timestamp, timestamp_ltz
from deras.runtime.storage import disk_error, sync_folder
from deras.views.registry import View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from deras.core.records import Rejected

NAME = "deras_quarantine"
SCHEMA = Schema(
    (
        Field("id", BIGINT.with_nullable(False), comment="number, in order"),
        Field("source", STRING, comment="table, view or sink it belongs to"),
        Field("origin", STRING, comment="table, operator or sink where it happened"),
        Field("reason", STRING, comment="decode, late, expression, udf, constraint, expired, sink"),
        Field("message", STRING, comment="what was wrong"),
        Field("record", BYTES, comment="the record as it came, or the row as JSON"),
        Field("text", STRING, comment="the record as text, where it is UTF-8"),
        Field("place", STRING, comment="place in the source"),
        Field("event_time", timestamp(3), comment="time of the row"),
        Field("seen_at", timestamp_ltz(3), comment="when it was put here"),
        Field("epoch", BIGINT, comment="checkpoint epoch"),
    )
)
_ARROW = pa.schema(
    [
        ("id", pa.int64()),
        ("source", pa.string()),
        ("origin", pa.string()),
        ("reason", pa.string()),
        ("message", pa.string()),
        ("record", pa.binary()),
        ("text", pa.string()),
        ("place", pa.string()),
        ("event_time", pa.timestamp("ms")),
        ("seen_at", pa.timestamp("ms", tz="UTC")),
        ("epoch", pa.int64()),
    ]
)
_MOST_FILES = 32
_LEAST_TIME, _MOST_TIME = -62_135_596_800_000, 253_402_300_799_999


class Quarantine:
    """The rejected rows of a project.

    New rows lie in memory; those of an epoch go to a Parquet file that the manifest of its checkpoint names. A file
    that no manifest names is of an epoch that will be done again, and is removed at the start: so nothing is doubled.

    Args:
        folder: ``quarantine/`` of the project, or None: memory only.
        most_rows: rows in memory before some go to a file early (with a folder) or the oldest are let go (counted in
            ``forgotten``).
    """

    def __init__(self, folder: Path | None, most_rows: int = 100_000) -> None:
        self._folder = folder
        self._most = most_rows
        self._lock = threading.Lock()
        self._tail: list[pa.Table] = []
        self._tail_rows = 0
        self._files: list[dict[str, Any]] = []
        self._spilled: list[dict[str, Any]] = []
        self._cut: tuple[list[pa.Table], list[dict[str, Any]]] | None = None
        self._next = 1
        self._serial = 0
        self.counts: Counter[tuple[str, str]] = Counter()
        """Rows by (table, reason) since the project began."""
        self.forgotten = 0

    # ---- writing

    def add(self, table: str, rejected: Rejected, *, seen_at: int, epoch: int) -> None:
        """Keep rows. Called between and during steps, cheap."""
        n = len(rejected)
        if not n:
            return
        texts = [_text(r) for r in rejected.raw]
        with self._lock:
            ids = range(self._next, self._next + n)
            self._next += n
            columns = [
                pa.array(ids, pa.int64()),
                pa.array([table] * n, pa.string()),
                pa.array([rejected.origin] * n, pa.string()),
                pa.array([str(rejected.reason)] * n, pa.string()),
                pa.array([m.encode("utf-8", "replace").decode() for m in rejected.messages], pa.string()),
                pa.array([bytes(r) for r in rejected.raw], pa.binary()),
                pa.array(texts, pa.string()),
                pa.array(rejected.positions, pa.string()),
                pa.array(
                    [t if t is not None and _LEAST_TIME <= t <= _MOST_TIME else None for t in rejected.times],
                    pa.timestamp("ms"),
                ),
                pa.array([seen_at] * n, pa.timestamp("ms", tz="UTC")),
                pa.array([epoch] * n, pa.int64()),
            ]
            self._tail.append(pa.Table.from_arrays(columns, schema=_ARROW))
            self._tail_rows += n
            self.counts[table, rejected.reason] += n
            if self._tail_rows > self._most:
                self._relieve(epoch)

    def _relieve(self, epoch: int) -> None:
        if self._folder is not None:
            try:
                self._spilled.append(self._write(pa.concat_tables(self._tail), epoch))
                self._tail, self._tail_rows = [], 0
            except OSError:
                pass  # no space now: they stay in memory, and the checkpoint tries again
            return
        while len(self._tail) > 1 and self._tail_rows - self._tail[0].num_rows >= self._most:
            gone = self._tail.pop(0).num_rows
            self._tail_rows -= gone
            self.forgotten += gone

    def _write(self, table: pa.Table, epoch: int) -> dict[str, Any]:
        assert self._folder is not None  # noqa: S101
        self._serial += 1
        name = f"epoch-{epoch:012d}-{self._serial}.parquet"
        path = self._folder / name
        try:
            with path.open("wb") as f:
                pq.write_table(table, f, compression="zstd")
                f.flush()
                os.fsync(f.fileno())
            sync_folder(self._folder)
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise
        return {"file": name, "rows": table.num_rows, "epoch": epoch}

    # ---- checkpoints

    def cut(self) -> dict[str, Any]:
        """Between two steps: close the epoch; gives counters for the manifest. ``save`` writes the rows."""
        with self._lock:
            before, spilled = self._cut or ([], [])  # of a checkpoint that failed
            self._cut = ([*before, *self._tail], [*spilled, *self._spilled])
            self._tail, self._tail_rows, self._spilled = [], 0, []
            return {"next": self._next, "counts": [[t, r, n] for (t, r), n in self.counts.items()]}

    def save(self, epoch: int, about: dict[str, Any]) -> dict[str, Any]:
        """Write the rows of the cut epoch; gives what the manifest says of the quarantine.

        Raises:
            DerasError: the disk refused; the rows stay in memory.
        """
        with self._lock:
            tables, spilled = self._cut or ([], [])
            files = [*self._files, *spilled]
        if self._folder is None:
            return {**about, "files": []}
        try:
            if tables:
                files.append(self._write(pa.concat_tables(tables), epoch))
            if len(files) > _MOST_FILES:
                merged = pa.concat_tables([pq.read_table(self._folder / f["file"], schema=_ARROW) for f in files])
                files = [self._write(merged, epoch)]
        except OSError as e:
            raise disk_error(e, f"write quarantined rows to '{self._folder}'") from None
        return {**about, "files": files}

    def saved(self, about: dict[str, Any]) -> None:
        """The manifest that names these files is written."""
        with self._lock:
            if self._folder is None:
                if self._cut is not None:
                    self._tail = [*self._cut[0], *self._tail]
                    self._tail_rows = sum(t.num_rows for t in self._tail)
            else:
                self._files = list(about["files"])
            self._cut = None

    def prune(self, manifests: Iterable[dict[str, Any]]) -> None:
        """Remove files that no kept checkpoint names."""
        if self._folder is None:
            return
        with self._lock:
            named = {f["file"] for m in manifests for f in m.get("files", ())}
            named |= {f["file"] for f in [*self._files, *self._spilled, *(self._cut or ([], []))[1]]}
        for path in self._folder.glob("epoch-*.parquet"):
            if path.name not in named:
                path.unlink(missing_ok=True)

    def restore(self, about: dict[str, Any]) -> None:
        """Go back to what a manifest says (an empty one: to nothing)."""
        with self._lock:
            self._tail, self._tail_rows, self._spilled, self._cut = [], 0, [], None
            self._files = list(about.get("files", ()))
            self._next = int(about.get("next", 1))
            self.counts = Counter({(t, r): n for t, r, n in about.get("counts", ())})
            last = [int(f["file"].removesuffix(".parquet").rsplit("-", 1)[1]) for f in self._files]
            self._serial = max([self._serial, *last])

    # ---- reading

    @property
    def rows(self) -> int:
        """Rows kept now."""
        with self._lock:
            cut, spilled = self._cut or ([], [])
            files = [*self._files, *spilled, *self._spilled]
            return self._tail_rows + sum(int(f["rows"]) for f in files) + sum(int(t.num_rows) for t in cut)

    def arrow(self) -> pa.Table:
        """All rows, in order."""
        with self._lock:
            cut, spilled = self._cut or ([], [])
            files = [*self._files, *spilled, *self._spilled]
            tables = [*cut, *self._tail]
        parts = []
        for f in files:
            assert self._folder is not None  # noqa: S101
            parts.append(pq.read_table(self._folder / f["file"], schema=_ARROW))
        return pa.concat_tables([*parts, *tables]).sort_by("id") if parts or tables else _ARROW.empty_table()


def _text(raw: bytes) -> str | None:
    try:
        return bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        return None


class QuarantineSnapshot:
    """The quarantine as a view's snapshot."""

    watermark = MIN_WATERMARK
    """Its rows have no common time."""

    def __init__(self, quarantine: Quarantine, step: int) -> None:
        self._quarantine = quarantine
        self.step = step

    @property
    def rows(self) -> int:
        """Rows kept."""
        return self._quarantine.rows

    def arrow(self) -> pa.Table:
        """All rows."""
        return self._quarantine.arrow()

    def frame(self) -> Any:
        """All rows as a Polars frame."""
        import polars as pl

        return pl.from_arrow(self.arrow())


def as_view(quarantine: Quarantine, step: Callable[[], int]) -> View:
    """The quarantine as a view that SQL can ask; ``step`` gives the number of the last step."""
    return View(
        NAME,
        SCHEMA,
        lambda: QuarantineSnapshot(quarantine, step()),
        "rows that left the flow, with reason and origin",
        append_only=True,
        system=True,
    )
