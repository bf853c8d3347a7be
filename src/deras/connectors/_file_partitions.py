"""Partitioned folders: ``dt=2020-01-01/hr=08/part-…``, and when a partition counts as complete."""

from __future__ import annotations

import datetime as dt
import logging
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from deras.connectors._file_sink import FileSinkWriter, sync_folder
from deras.connectors._files import external
from deras.core.errors import OptionError
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK
from deras.core.types import Kind, SqlType, polars_type

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deras.connectors._file_sink import FileSink, _Part
    from deras.core.delta import Delta
    from deras.core.options import Options
    from deras.core.schema import Schema
    from deras.core.time import Tick

_log = logging.getLogger("deras.connectors.filesystem")

DEFAULT = "__DEFAULT_PARTITION__"
_ODD = re.compile(r"[\x00-\x1f\"#%'*/:=?\\\x7f{\[\]^]")
_MOST_OPEN = 128


# ---------------------------------------------------------------- names


def escaped(text: str) -> str:
    """A value in the name of a folder, as Hive and Flink write it."""
    return _ODD.sub(lambda m: f"%{ord(m[0]):02X}", text)


def values_of(path: str, keys: Sequence[str], types: Sequence[SqlType], default: str) -> dict[str, Any]:
    """The partition columns of a file by its path below the table's folder; columns that it does not name are NULL."""
    given = dict(part.split("=", 1) for part in path.split("/")[:-1] if "=" in part)
    found: dict[str, Any] = {}
    for key, t in zip(keys, types, strict=True):
        text = unquote(given[key]) if key in given else default
        found[f"partition.{key}"] = None if text == default else _value(text, t)
    return found


def _value(text: str, t: SqlType) -> Any:
    if t.is_text:
        return text
    if t.kind is Kind.BOOLEAN:
        return text.lower() == "true"
    s = pl.Series("", [text])
    try:
        if t.is_timestamp:
            return dt.datetime.fromisoformat(text)
        if t.kind is Kind.DATE:
            return dt.date.fromisoformat(text)
        return s.cast(polars_type(t), strict=True).item()
    except (ValueError, pl.exceptions.PolarsError):
        _log.warning("partition value %r is no %s: it is read as NULL", text, t)
        return None


def places(delta: Delta, positions: Sequence[int], names: Sequence[str], default: str) -> pl.Series:
    """The folder of each row."""
    parts = []
    for i, name in zip(positions, names, strict=True):
        column = delta.columns[i]
        s = column.series()
        if column.type.is_timestamp:
            s = pl.Series("", [None if v is None else v.isoformat() for v in s.to_list()], dtype=pl.String)
        texts = s.cast(pl.String)
        known = texts.unique().drop_nulls()
        made = [escaped(t) if t else default for t in known.to_list()]
        texts = texts.replace_strict(known, pl.Series("", made, dtype=pl.String), default=default)
        parts.append(pl.lit(f"{name}=") + pl.lit(texts))
    return pl.select(pl.concat_str(parts, separator="/")).to_series()


# ---------------------------------------------------------------- commit


class Trigger:
    """When a partition is complete.

    Args:
        options: of the table.
        keys: partition columns.
    """

    def __init__(self, options: Options, keys: Sequence[str]) -> None:
        kinds = [k.strip() for k in (options.get("sink.partition-commit.policy.kind") or "").split(",") if k.strip()]
        for k in kinds:
            if k not in ("success-file", "metastore"):
                raise OptionError(
                    f"option 'sink.partition-commit.policy.kind': there is no policy '{k}'",
                    hint="Write 'success-file'.",
                )
        self.on = "success-file" in kinds
        self.name: str = options["sink.partition-commit.success-file.name"]
        self.by_time = options["sink.partition-commit.trigger"] == "partition-time"
        self.delay: float = options["sink.partition-commit.delay"]
        self.pattern: str = options.get("partition.time-extractor.timestamp-pattern") or f"${keys[0]}"
        self.zone = ZoneInfo(options["sink.partition-commit.watermark-time-zone"])
        for key in re.findall(r"\$(\w+)", self.pattern):
            if key not in keys:
                raise OptionError(
                    f"option 'partition.time-extractor.timestamp-pattern': '{key}' is no partition column",
                    hint=f"They are: {', '.join(keys)}.",
                )

    def ready(self, place: str, begun: float, now: float, watermark: int) -> bool:
        """Whether a partition in which rows came first at ``begun`` (ms) is complete."""
        if watermark == MAX_WATERMARK:
            return True
        if not self.by_time:
            return now >= begun + self.delay
        if watermark == MIN_WATERMARK:
            return False
        at = self.time(place)
        # Without a time in its name a partition is never late: it is complete as soon as it is there.
        return at is None or watermark > at + self.delay

    def time(self, place: str) -> float | None:
        """The time that a partition's name says, ms; None if it is none."""
        given = {k: unquote(v) for k, v in (part.split("=", 1) for part in place.split("/"))}
        text = re.sub(r"\$(\w+)", lambda m: given.get(m[1], m[0]), self.pattern)
        # Hours and minutes of one digit are usual in folder names.
        text = re.sub(r"(?<=[ T:-])(\d)(?=[ :-]|$)", r"0\1", text.strip())
        try:
            at = dt.datetime.fromisoformat(text)
        except ValueError:
            return None
        return at.replace(tzinfo=self.zone).timestamp() * 1000


# ---------------------------------------------------------------- writing


class PartitionedWriter(FileSinkWriter):
    """Writes each row into the folder of its partition; files are finished with every checkpoint.

    Args:
        sink: where to.
        schema: the rows' columns, partition columns too.
        state: the token to go on from.
    """

    def __init__(self, sink: FileSink, schema: Schema, state: dict[str, Any] | None) -> None:
        keys = sink.table.partition_keys
        names = schema.names
        self._keys = [names.index(k) for k in keys]
        self._names = list(keys)
        self._rest = [i for i in range(len(schema)) if i not in self._keys]
        self._inner = schema.select(self._rest)
        self._default: str = sink.table.options["partition.default-name"]
        self._trigger = Trigger(sink.table.options, keys)
        self._parts: dict[str, _Part] = {}
        self._place = ""
        self._watermark = MIN_WATERMARK
        self._pending: dict[str, float] = dict(state.get("pending", {})) if state else {}
        super().__init__(sink, self._inner, state)
        self._hold = 0.0

    def write(self, delta: Delta, tick: Tick) -> None:
        """Append rows, each in its folder."""
        if not delta.length:
            return
        where = places(delta, self._keys, self._names, self._default)
        codes = where.rank("dense").to_numpy()
        order = np.argsort(codes, kind="stable")
        cuts = np.flatnonzero(np.diff(codes[order])) + 1
        inner = delta.with_columns(self._inner, [delta.columns[i] for i in self._rest])
        for rows in np.split(order, cuts):
            self._place = where[int(rows[0])]
            if self._trigger.on:
                self._pending.setdefault(self._place, float(self._clock.now()))
            self._part = self._parts.pop(self._place, None)
            super().write(inner.take(rows) if len(rows) < inner.length else inner, tick)
            if self._part is not None:
                self._parts[self._place] = self._part
                self._part = None
            while len(self._parts) > _MOST_OPEN:
                self._end(next(iter(self._parts)))

    def _end(self, place: str) -> None:
        self._part = self._parts.pop(place)
        try:
            self._finish()
        except OSError as e:
            raise external(e, self._folder, "write to") from e

    def _path(self, name: str) -> tuple[str, str]:
        (self._folder / self._place).mkdir(parents=True, exist_ok=True)
        return f"{self._place}/.{name}.inprogress", f"{self._place}/{name}"

    def advance(self, watermark: int) -> None:
        """The watermark of the rows so far."""
        self._watermark = watermark

    def prepare(self, epoch: int) -> dict[str, Any] | None:
        """Finish all files; name the partitions that are complete."""
        for place in list(self._parts):
            self._end(place)
        try:
            for folder in {(self._folder / hidden).parent for hidden, _ in self._full}:
                sync_folder(folder)
        except OSError as e:
            raise external(e, self._folder, "write to") from e
        now = float(self._clock.now())
        ready = [p for p, begun in self._pending.items() if self._trigger.ready(p, begun, now, self._watermark)]
        self._changed = self._changed or bool(ready)
        for p in ready:
            del self._pending[p]
        token = super().prepare(epoch)
        if token is not None:
            token |= {"success": ready, "success-file": self._trigger.name, "pending": dict(self._pending)}
        return token

    def close(self) -> None:
        """Close what is open."""
        for part in self._parts.values():
            if part.file is not None:
                part.file.close()
        self._parts.clear()
        super().close()


def mark_complete(folder: Path, token: dict[str, Any]) -> None:
    """Put the success file into the partitions that a token calls complete."""
    for place in token.get("success", ()):
        target = folder / place
        if target.is_dir():  # not taken away since
            (target / token["success-file"]).touch()
            sync_folder(target)
