"""Plan a script and run its dataflows over drawn rows, without the runtime."""

from __future__ import annotations

import numpy as np

from deras.core.delta import Delta
from deras.core.time import MAX_WATERMARK
from deras.engine.graph import Graph
from deras.engine.operator import AT_ONCE, Feed
from deras.engine.state import State
from deras.sql.catalog import Catalog
from deras.sql.planner import Planner
from deras.sql.settings import Settings
from deras.sql.syntax.parser import parse_script


class Session:
    """A catalog with settings; statements are planned and applied at once."""

    def __init__(self, script: str = "", zone: str = "UTC", **settings: str) -> None:
        self.catalog = Catalog()
        self.settings = Settings({"table.local-time-zone": zone, **settings})
        self.planner = Planner(self.catalog, self.settings)
        if script:
            self.run(script)

    def plan(self, text: str):
        (statement,) = parse_script(text)
        return self.planner.plan(statement, text)

    def run(self, script: str):
        planned = None
        for statement in parse_script(script):
            planned = self.planner.plan(statement, script)
            planned.apply()
        return planned

    def query(self, text: str, rows: dict[str, list] | None = None, *, one_by_one: bool = True):
        """The changes of a query over drawn rows by table: (weight, row) in order, and what was dropped."""
        planned = self.plan(text)
        (flow,) = planned.dataflows
        return run_flow(flow, rows or {}, one_by_one=one_by_one)


def run_flow(flow, rows: dict[str, list], *, one_by_one: bool = True, now: int = 0):
    graph = Graph()
    ids: dict[int, int] = {}
    feeds: dict[int, list] = {}
    for i, spec in enumerate(flow.sources):
        operator = spec.make()
        node = graph.add(operator, name=spec.name, state=State(spec.name))
        operator.declare(["0"])
        ids[~i] = node
        feeds[node] = [(spec, r) for r in rows.get(spec.table, [])]
    for i, spec in enumerate(flow.nodes):
        ids[i] = graph.add(
            spec.make(), [ids[k] for k in spec.inputs], name=spec.name, state=State(spec.name), label=spec.label
        )
    out = ids[flow.output]
    changes, dropped = [], []

    def take(result) -> None:
        delta = result.deltas.get(out)
        if delta is not None:
            changes.extend(delta.changes())
        dropped.extend(result.dropped)

    for i, spec in enumerate(flow.sources):
        node = ids[~i]
        given = rows.get(spec.table, [])
        if not given:
            continue
        batches = [[r] for r in given] if one_by_one else [given]
        for batch in batches:
            take(graph.step({node: [Feed("0", Delta.of(spec.schema, batch))]}, epoch=0, now=now))
    take(graph.step({ids[~i]: [Feed("0", ended=True)] for i in range(len(flow.sources))}, epoch=0, now=now))
    while graph.wake() == AT_ONCE:
        take(graph.step({}, epoch=0, now=now))
    assert all(n.out == MAX_WATERMARK for n in graph.nodes.values())
    return changes, dropped


def fold(changes) -> list:
    """The rows that are left."""
    left: dict = {}
    for w, r in changes:
        left[r] = left.get(r, 0) + w
    return sorted((r for r, n in left.items() for _ in range(n)), key=str)


__all__ = ["Session", "fold", "np", "run_flow"]
