"""Dataflows made by hand, a sink with two phases and a source that tests push into."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from deras.core import contracts, registry
from deras.core.column import Column
from deras.core.contracts import Reader, Sink, Source, TableContext, Writer
from deras.core.delta import Delta
from deras.core.options import Option
from deras.core.records import Records
from deras.core.schema import Field, Schema
from deras.core.types import BIGINT, STRING, timestamp
from deras.engine.aggregates import AggregateCall
from deras.engine.dataflow import Dataflow, NodeSpec, SourceSpec, Target
from deras.engine.operators.group_aggregate import GroupAggregate
from deras.engine.operators.materialize import Materialize
from deras.engine.operators.source import SourceInput
from deras.engine.operators.window_aggregate import WindowAggregate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TS = timestamp(3)
EVENTS = Schema((Field("k", STRING), Field("v", BIGINT), Field("ts", TS, "rowtime")))
COUNTS = Schema((Field("k", STRING), Field("n", BIGINT), Field("total", BIGINT)), key=(0,))
WINDOWS = Schema(
    (Field("k", STRING), Field("n", BIGINT), Field("total", BIGINT), Field("window_start", TS), Field("window_end", TS))
)


class Bounded:
    """The watermark ``ts - delay``."""

    def __init__(self, delay_ms: int = 0) -> None:
        self.delay = delay_ms
        self.schema = Schema((Field("w", TS),))

    def run(self, delta: Delta, tick: Any) -> tuple[Delta, list[Any]]:
        c = delta.columns[2]
        return delta.with_columns(self.schema, [Column.of_words(TS, c.words() - self.delay * 1000, c.valid())]), []


def line(k: str, v: int, ms: int) -> str:
    at = np.datetime64(ms, "ms").item().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return json.dumps({"k": k, "v": v, "ts": at})


def write_events(
    path: Path, n: int, *, keys: int = 7, start: int = 0, step_ms: int = 100
) -> list[tuple[str, int, int]]:
    rows = [(f"k{(i * 31) % keys}", i, 1_700_000_000_000 + i * step_ms) for i in range(start, start + n)]
    with path.open("a") as f:
        f.writelines(line(*r) + "\n" for r in rows)
    return rows


def source(path: Path, *, delay_ms: int = 0, watermark: bool = True, **options: str) -> SourceSpec:
    texts = {"connector": "filesystem", "path": str(path), "format": "json"}
    texts |= {k.replace("__", ".").replace("_", "-"): v for k, v in options.items()}

    def make() -> SourceInput:
        return SourceInput(EVENTS, None, Bounded(delay_ms) if watermark else None, 2 if watermark else None, "events")

    return SourceSpec("events", texts["connector"], texts, EVENTS, (0, 1, 2), make, "source-events", 2)


CALLS = [AggregateCall("COUNT", None, BIGINT), AggregateCall("SUM", 1, BIGINT)]


def counts(spec: SourceSpec, view: str = "counts") -> Dataflow:
    nodes = [
        NodeSpec(f"agg-{view}", lambda: GroupAggregate(EVENTS, [0], CALLS, COUNTS, True), (~0,), "GroupAggregate(k)"),
        NodeSpec(f"rows-{view}", lambda: Materialize(COUNTS, (0,), False), (0,), f"View({view})"),
    ]
    return Dataflow([spec], nodes, 1, Target("view", view, COUNTS, upsert_key=(0,)), False, sql=f"-- {view}")


def windows(spec: SourceSpec, target: Target | None = None, size_ms: int = 10_000) -> Dataflow:
    schema = WINDOWS

    def aggregate() -> WindowAggregate:
        return WindowAggregate(
            EVENTS, 2, "tumble", size_ms, size_ms, 0, None, [0], CALLS, schema, layout=(0, 1, 2, "start", "end")
        )

    target = target or Target("view", "windows", schema)
    nodes = [NodeSpec(f"win-{target.name}", aggregate, (~0,), "WindowAggregate(k)")]
    if target.kind == "view":
        nodes.append(NodeSpec(f"rows-{target.name}", lambda: Materialize(schema, (), True), (0,), "View(windows)"))
    return Dataflow([spec], nodes, len(nodes) - 1, target, True, sql=f"-- {target.name}")


def passing(spec: SourceSpec, target: Target) -> Dataflow:
    return Dataflow([spec], [], ~0, target, True, sql="-- passing")


def file_sink(path: Path, schema: Schema = WINDOWS, name: str = "out") -> Target:
    options = {"connector": "filesystem", "path": str(path), "format": "json"}
    return Target("sink", name, schema, "filesystem", options)


def expected_counts(rows: list[tuple[str, int, int]]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for k, v, _ in rows:
        n, total = found.get(k, (0, 0))
        found[k] = (n + 1, total + v)
    return found


def expected_windows(rows: list[tuple[str, int, int]], size_ms: int = 10_000) -> list[tuple[Any, ...]]:
    found: dict[tuple[int, str], tuple[int, int]] = {}
    for k, v, ms in rows:
        key = (ms // size_ms * size_ms, k)
        n, total = found.get(key, (0, 0))
        found[key] = (n + 1, total + v)
    return sorted((k, n, t, w) for (w, k), (n, t) in found.items())


def counts_of(snapshot: Any) -> dict[str, tuple[int, int]]:
    return {r["k"]: (r["n"], r["total"]) for r in snapshot.arrow().to_pylist()}


def windows_of(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    def ms(v: Any) -> int:
        return int(np.datetime64(v, "ms").astype(np.int64))

    return sorted((r["k"], r["n"], r["total"], ms(r["window_start"])) for r in rows)


# ---- a sink with two phases, and connectors that misbehave on demand


class FilesSink(Sink):
    """Writes JSON lines: a hidden file per epoch, shown by ``commit``."""

    delivery = "exactly-once"
    accepts = "all"
    before_write: ClassVar[Callable[[Delta], None]] = staticmethod(lambda _: None)
    before_prepare: ClassVar[Callable[[int], None]] = staticmethod(lambda _: None)
    before_commit: ClassVar[Callable[[dict[str, Any]], None]] = staticmethod(lambda _: None)

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, schema: Schema, state: dict[str, Any] | None = None) -> FilesWriter:
        self.folder.mkdir(exist_ok=True)
        for left in self.folder.glob(".*.part"):
            left.unlink()
        return FilesWriter(self.folder, schema)

    def commit(self, token: dict[str, Any]) -> None:
        FilesSink.before_commit(token)
        hidden, shown = self.folder / token["hidden"], self.folder / token["shown"]
        if hidden.exists():
            hidden.rename(shown)
        elif not shown.exists():
            raise AssertionError(f"{token} was never written or is lost")


class FilesWriter(Writer):
    def __init__(self, folder: Path, schema: Schema) -> None:
        self.folder = folder
        self.schema = schema
        self.lines: list[str] = []
        self.closed = False

    def write(self, delta: Delta, tick: Any) -> None:
        FilesSink.before_write(delta)
        assert not self.closed
        for w, row in delta.changes():
            values = [v.isoformat() if hasattr(v, "isoformat") else v for v in row]
            self.lines.append(json.dumps({"w": w, **dict(zip(self.schema.names, values, strict=True))}))

    def prepare(self, epoch: int) -> dict[str, Any] | None:
        FilesSink.before_prepare(epoch)
        if not self.lines:
            return None
        name = f"epoch-{epoch}.prepared"
        with (self.folder / f".{name}").open("w") as f:
            f.write("".join(x + "\n" for x in self.lines))
        self.lines.clear()
        return {"hidden": f".{name}", "shown": f"epoch-{epoch}.json"}

    def close(self) -> None:
        self.closed = True


class PushReader(Reader):
    """Gives what a test pushed; offset is the number of records."""

    def __init__(self, source: PushSource, at: dict[str, Any] | None) -> None:
        self.source = source
        self.at = at["n"] if at else 0

    def poll(self, limit: int, wait: float) -> Records | None:
        s = self.source
        with s.changed:
            if self.at >= len(s.rows) and not s.closed and wait:
                s.changed.wait(wait)
            rows = s.rows[self.at : self.at + s.most]
            if not rows:
                return None if s.closed else Records({"n": self.at})
            self.at += len(rows)
        s.polls += 1
        return Records({"n": self.at}, delta=events(rows))

    def ack(self, offset: dict[str, Any]) -> None:
        self.source.acked.append(offset["n"])


class PushSource(Source):
    delivery = "exactly-once"

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, int]] = []
        self.changed = threading.Condition()
        self.closed = False
        self.most = 1000
        self.polls = 0
        self.acked: list[int] = []
        self.fail_once: Exception | None = None

    def parts(self) -> list[str]:
        if self.fail_once is not None:
            e, self.fail_once = self.fail_once, None
            raise e
        return ["0"]

    def open(self, part: str, at: dict[str, Any] | None) -> PushReader:
        return PushReader(self, at)

    def push(self, *rows: tuple[str, int, int], close: bool = False) -> None:
        with self.changed:
            self.rows.extend(rows)
            self.closed = self.closed or close
            self.changed.notify_all()


PUSHED: dict[str, PushSource] = {}


class FilesConnector(contracts.Connector):
    name = "files"
    options = (Option("path"),)

    def sink(self, table: TableContext) -> FilesSink:
        return FilesSink(Path(table.options["path"]))


class PushConnector(contracts.Connector):
    name = "push"
    options = (Option("path"),)

    def source(self, table: TableContext) -> PushSource:
        return PUSHED.setdefault(table.options["path"], PushSource())


def install() -> Callable[[], None]:
    """Make the connectors ``files`` and ``push`` known; gives the undoing."""
    real = registry.connector
    mine = {"files": FilesConnector, "push": PushConnector}

    def connector(name: str) -> Any:
        return mine[name] if name in mine else real(name)

    registry.connector = connector  # type: ignore[assignment]

    def undo() -> None:
        registry.connector = real
        PUSHED.clear()

    return undo


def events(rows: Sequence[tuple[str, int, int]]) -> Delta:
    columns = [
        Column.of_values(STRING, [r[0] for r in rows]),
        Column.of_words(BIGINT, np.array([r[1] for r in rows], np.int64)),
        Column.of_words(TS, np.array([r[2] * 1000 for r in rows], np.int64)),
    ]
    return Delta(EVENTS, columns, length=len(rows))


def pushed(name: str = "p", delay_ms: int = 0) -> SourceSpec:
    spec = source(Path(name), delay_ms=delay_ms)
    return replace(spec, connector="push", options={"connector": "push", "path": name}, name=f"source-{name}")


def files(path: Path, schema: Schema = WINDOWS, name: str = "out") -> Target:
    return Target("sink", name, schema, "files", {"connector": "files", "path": str(path)})


def read_files(path: Path) -> list[dict[str, Any]]:
    found = []
    for p in sorted(path.glob("epoch-*.json"), key=lambda p: int(p.stem.removeprefix("epoch-"))):
        found += [json.loads(x) for x in p.read_text().splitlines()]
    return found


def files_windows(path: Path) -> list[tuple[Any, ...]]:
    return windows_of(read_files(path))
