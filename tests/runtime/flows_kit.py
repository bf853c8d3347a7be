"""Dataflows made by hand, for tests of the runtime."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.column import Column
from deras.core.schema import Field, Schema
from deras.core.types import BIGINT, STRING, timestamp
from deras.engine.aggregates import AggregateCall
from deras.engine.dataflow import Dataflow, NodeSpec, SourceSpec, Target
from deras.engine.operators.group_aggregate import GroupAggregate
from deras.engine.operators.materialize import Materialize
from deras.engine.operators.source import SourceInput
from deras.engine.operators.window_aggregate import WindowAggregate

if TYPE_CHECKING:
    from pathlib import Path

    from deras.core.delta import Delta

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
