"""What a viewer of a dashboard gets: snapshots, then only changes; folded together they equal the view."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serve_client import NOW, Events
from serve_fake import FakePlatform

from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.types import BIGINT, STRING, timestamp_ltz
from deras.serve.app import Server
from deras.serve.definition import Dashboards, Panel, Query
from deras.serve.feeds import names_in
from deras.serve.frames import changes_table, thin, trim
from deras.serve.platform import Change, Status

if TYPE_CHECKING:
    from pathlib import Path

    from serve_fake import Factory

KEYED = Schema.of(key=["k"], k=STRING, n=BIGINT)


class Folded:
    """The page's state, folded from messages as the page does it."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        self.keys: dict[str, list[str] | None] = {}
        self.rows: dict[str, dict[Any, tuple[Any, ...]]] = {}
        self.ops: list[tuple[str, str]] = []
        self.status: dict[str, Any] = {}

    def take(self, event: str, data: Any) -> None:
        if event != "news":
            return
        self.status = data.get("status", self.status)
        for m in data["messages"]:
            self.ops.append((m["id"], m["op"]))
            if m["op"] == "set":
                self.names[m["id"]] = [c["name"] for c in m["columns"]]
                self.keys[m["id"]] = m["key"]
                self.rows[m["id"]] = {}
            if m["op"] in ("set", "put"):
                rows = self.rows[m["id"]]
                for gone in m.get("del", ()):
                    rows.pop(tuple(gone), None)
                for row in zip(*m["data"], strict=True):
                    key = self.keys[m["id"]]
                    at = None if key is None else [self.names[m["id"]].index(k) for k in key]
                    rows[len(rows) if at is None else tuple(row[i] for i in at)] = row


def watch(server: Server, folded: Folded, until: Any, limit: int = 300) -> Events:
    events = Events(server, "/v1/dashboards/main/events")

    def seen(event: str, data: Any) -> bool:
        folded.take(event, data)
        return bool(until())

    events.until(seen, limit)
    return events


@pytest.fixture
def boards(platform: FakePlatform, tmp_path: Path) -> Any:
    servers = []

    def start(text: str) -> Server:
        (tmp_path / "dashboard.yaml").write_text("title: T\nrefresh: 20 ms\n" + text, "utf-8")
        server = Server(platform, Dashboards(tmp_path), port=0)
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


def test_a_keyed_view_is_followed_by_patches(boards: Any, platform: FakePlatform) -> None:
    platform.add("v", KEYED, append_only=False)
    platform.push("v", [("a", 1), ("b", 2)])
    folded = Folded()
    server = boards("panels: [{title: A, mark: table, view: v}]")
    events = watch(server, folded, lambda: len(folded.rows.get("p0", {})) == 2)
    platform.push("v", [("a", 1), ("a", 5), ("b", 2), ("c", 3)], [-1, 1, -1, 1])
    events.until(lambda e, d: folded.take(e, d) or set(folded.rows["p0"].values()) == {("a", 5), ("c", 3)})
    assert folded.ops[0] == ("p0", "set")
    assert set(folded.ops[1:]) == {("p0", "put")}
    events.close()


def test_a_second_viewer_costs_no_query(boards: Any, platform: FakePlatform, factory: Factory) -> None:
    factory.rows(NOW)
    server = boards("panels: [{title: A, mark: table, sql: SELECT count(*) AS n FROM readings}]")
    first = Folded()
    a = watch(server, first, lambda: first.rows.get("p0"))
    asked = platform.queries
    viewers = []
    for _ in range(10):
        folded = Folded()
        viewers.append(watch(server, folded, lambda f=folded: f.rows.get("p0")))
    assert platform.queries == asked
    factory.rows(NOW + 1000)
    a.until(lambda e, d: first.take(e, d) or first.rows["p0"] == {0: (8,)})
    assert platform.queries <= asked + 3  # once for each of the three views that the text may name
    for v in (a, *viewers):
        v.close()


def test_a_chart_on_sql_sends_only_what_changed(boards: Any, platform: FakePlatform, factory: Factory) -> None:
    for i in range(20):
        factory.rows(NOW + i * 1000, odd=False)
    server = boards("panels: [{title: A, x: ts, y: value, by: sensor, sql: 'SELECT sensor, ts, value FROM readings'}]")
    folded = Folded()
    events = watch(server, folded, lambda: len(folded.rows.get("p0", {})) == 80)
    factory.rows(NOW + 20_000, odd=False)
    # News of the status alone may come in between.
    events.until(lambda e, d: folded.take(e, d) or len(folded.rows["p0"]) == 84)
    assert folded.ops == [("p0", "set"), ("p0", "put")]
    events.close()


def test_tiles_status_and_errors(boards: Any, platform: FakePlatform, factory: Factory) -> None:
    factory.rows(NOW, odd=False)
    platform.the_status = Status(state="catching up", events_per_second=12.5)
    server = boards(
        "tiles: [{title: N, sql: SELECT 1 AS a}]\n"
        "panels: [{title: A, mark: table, sql: SELECT nope FROM stats}, {title: B, view: stats, x: ts, y: mean}]"
    )
    errors: dict[str, Any] = {}
    tile: list[Any] = []
    folded = Folded()

    def look(event: str, data: Any) -> bool:
        folded.take(event, data)
        for m in data.get("messages", ()) if event == "news" else ():
            if m["op"] == "error":
                errors[m["id"]] = m["error"]
            if m["op"] == "tile":
                tile.append(m["value"])
        return bool(len(errors) == 2 and tile and folded.status)

    events = Events(server, "/v1/dashboards/main/events")
    events.until(look)
    assert tile[0] == 1
    assert folded.status["state"] == "catching up"
    assert folded.status["project"] == "factory"
    assert errors["p1"]["message"] == "there is no column 'ts' in view 'stats'"
    assert errors["p1"]["hint"].startswith("Columns: sensor")
    events.close()


def test_a_view_that_comes_later_is_found(boards: Any, platform: FakePlatform) -> None:
    server = boards("panels: [{title: A, mark: table, view: later}]")
    folded = Folded()
    events = watch(server, folded, lambda: ("p0", "error") in folded.ops)
    platform.add("later", KEYED, append_only=False)
    platform.push("later", [("a", 1)])
    events.until(lambda e, d: folded.take(e, d) or folded.rows.get("p0") == {("a",): ("a", 1)})
    events.close()


def test_a_burst_becomes_one_snapshot(boards: Any, platform: FakePlatform) -> None:
    platform.add("many", Schema.of(n=BIGINT, t=timestamp_ltz(3)))
    server = boards("panels: [{title: A, mark: table, view: many, limit: 50}]")
    folded = Folded()
    events = watch(server, folded, lambda: "p0" in folded.rows)
    moment = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    platform.push("many", [(i, moment) for i in range(30_000)])
    events.until(lambda e, d: folded.take(e, d) or len(folded.rows["p0"]) == 50)
    assert folded.ops[-1] == ("p0", "set")
    assert [r[0] for r in folded.rows["p0"].values()] == list(range(29_950, 30_000))
    events.close()


# ---- frames


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=24), st.integers(1, 5))
def test_folded_changes_equal_the_view(wishes: list[tuple[str, int]], parts: int) -> None:
    """Each wish sets a key to a number; 0 removes it. Patches of any grouping lead to the same rows."""
    state: dict[str, int] = {}
    changes: list[tuple[tuple[str, int], int]] = []
    for key, n in wishes:
        if key in state:
            changes.append(((key, state.pop(key)), -1))
        if n:
            state[key] = n
            changes.append(((key, n), 1))
    rows: dict[str, int] = {}
    size = max(1, len(changes) // parts)
    for start in range(0, len(changes), size):
        part = changes[start : start + size]
        delta = Delta.of(KEYED, [r for r, _ in part], [w for _, w in part])
        table, gone = changes_table([Change(1, None, delta)], ["k", "n"], ["k"])
        for (key,) in gone:
            rows.pop(key, None)
        rows |= dict(zip(table.column("k").to_pylist(), table.column("n").to_pylist(), strict=True))
    assert rows == state


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(4, 60))
def test_thinning_keeps_extremes_ends_and_marks(values: list[float], limit: int) -> None:
    y = np.array(values)
    marked = np.zeros(len(y), bool)
    marked[len(y) // 3] = True
    kept = thin(np.arange(len(y)), y, marked, limit)
    assert len(kept) <= max(limit, 3) + 4 or len(y) <= limit
    assert {0, len(y) - 1, len(y) // 3} <= set(kept.tolist())
    assert y[kept].max() == y.max()
    assert y[kept].min() == y.min()
    assert (np.diff(kept) > 0).all()


def test_a_chart_shows_its_window_in_order() -> None:
    platform = FakePlatform()
    platform.add("v", Schema.of(t=timestamp_ltz(3), y=BIGINT))
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    platform.push("v", [(start + dt.timedelta(seconds=s), s) for s in (5, 1, 100, 99, 98, 97, 3)] + [(None, 7)])
    panel = Panel(id="p", title="p", query=Query(view="v"), x="t", y=("y",), window=3000.0)
    assert trim(platform.snapshot("v").table, panel).column("y").to_pylist() == [97, 98, 99, 100]


def test_views_in_a_query_are_found_by_name() -> None:
    views = ["readings", "alerts", "odd name"]
    assert names_in('SELECT * FROM Readings r JOIN "odd name" USING (a)', views) == ["readings", "odd name"]
    assert names_in("SELECT 1", views) == []
