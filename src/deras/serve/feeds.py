"""Panels as feeds: rows are computed once per change; a viewer is only the number of the last patch that it saw.

A viewer who is behind by more patches than a feed keeps gets the newest snapshot: there are no queues per viewer.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from deras.core.errors import DerasError, InternalError
from deras.serve import frames
from deras.serve.values import page_column, page_kind, plain, sql_type_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from deras.core.schema import Schema
    from deras.serve.definition import Panel, Query, Tile
    from deras.serve.platform import Change, Platform, ViewInfo

PATCHES = 64
_RETRY_S = 2.0
_QUERY_TIMEOUT_S = 10.0
_SPARK = 120
_COST_SHARE = 5  # a feed sleeps at least this many times what its last update took


def describe(table: pa.Table, schema: Schema | None) -> list[dict[str, str]]:
    """Names, SQL types and page kinds of columns."""
    types = {f.name: str(f.type) for f in schema} if schema is not None else {}
    return [
        {"name": f.name, "type": types.get(f.name) or sql_type_text(f.type), "kind": page_kind(f.type)}
        for f in table.schema
    ]


def error_json(error: Exception) -> dict[str, object]:
    """Any error as the page shows it."""
    if not isinstance(error, DerasError):
        error = InternalError("the panel could not be computed", detail=f"{type(error).__name__}: {error}")
    return error.to_json()


def names_in(sql: str, views: Sequence[str]) -> list[str]:
    """The views that a SQL text may read: those whose name stands in it as a word."""
    words = {w.lower() for w in re.findall(r"\w+", sql)}
    return [v for v in views if v.lower() in words or re.search(re.escape(v), sql, re.IGNORECASE) is not None]


class Feed:
    """What is common to all feeds: versions, patches, the loop that refreshes when something changed."""

    def __init__(self, id_: str, platform: Platform, pool: Executor, refresh_ms: float) -> None:
        self.id = id_
        self.platform = platform
        self.pool = pool
        self.refresh_s = refresh_ms / 1000
        self.version = 0
        self.patches: deque[tuple[int, bytes]] = deque(maxlen=PATCHES)
        self.on_news: Callable[[], None] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dirty = asyncio.Event()
        self._told = False
        self._task: asyncio.Task[None] | None = None
        self._stops: list[Callable[[], None]] = []
        self._full: tuple[int, bytes] | None = None
        self._lock = asyncio.Lock()
        self._failed = b""

    # ---- life

    def start(self) -> None:
        """Begin to follow the views; from the server's loop."""
        self._loop = asyncio.get_running_loop()
        self._dirty.set()
        self._task = self._loop.create_task(self._run(), name=f"feed-{self.id}")

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._leave()

    def _leave(self) -> None:
        for stop in self._stops:
            stop()
        self._stops.clear()

    def _tell(self) -> None:
        # From the step's thread: one wake-up at a time, however many changes come.
        if self._told or self._loop is None:
            return
        self._told = True
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # the loop has ended between two steps
            self._told = False

    def _wake(self) -> None:
        self._told = False
        self._dirty.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._dirty.wait(), None if self._stops and not self._failed else _RETRY_S)
            self._dirty.clear()
            began = loop.time()
            try:
                async with self._lock:
                    if not self._stops:
                        await loop.run_in_executor(self.pool, self._enter)
                    await self._refresh()
                    if self._failed:
                        self._failed = b""
                        self._full = None
                        self._publish(None)
            except asyncio.CancelledError:
                raise
            except Exception as e:  # noqa: BLE001 (a wrong panel shows its error, the page lives on)
                told = orjson.dumps({"id": self.id, "op": "error", "error": error_json(e)})
                if told != self._failed:
                    self._failed = told
                    self._leave()
                    self._publish(told)
            await asyncio.sleep(max(self.refresh_s, _COST_SHARE * (loop.time() - began)))

    # ---- viewers

    def _publish(self, patch: bytes | None) -> None:
        """Make a new version; None: only a snapshot leads to it."""
        self.version += 1
        if patch is None:
            self.patches.clear()
        else:
            self.patches.append((self.version, patch))
        self.on_news()

    async def since(self, version: int | None) -> tuple[int, list[bytes]]:
        """The newest version and the messages that lead there from ``version`` (None: from nothing)."""
        if version == self.version:
            return version, []
        if version is not None and self.patches and self.patches[0][0] <= version + 1:
            return self.version, [p for v, p in self.patches if v > version]
        if self._failed:
            return self.version, [self._failed]
        async with self._lock:
            if self.version == 0:
                return 0, []
            if self._full is None or self._full[0] != self.version:
                try:
                    full = await self._snapshot()
                except Exception as e:  # noqa: BLE001 (a wrong panel shows its error, the page lives on)
                    return self.version, [orjson.dumps({"id": self.id, "op": "error", "error": error_json(e)})]
                self._full = (self.version, full)
            return self._full[0], [self._full[1]]

    # ---- to be filled in

    def _enter(self) -> None:
        """Subscribe; on a pool thread."""
        raise NotImplementedError

    async def _refresh(self) -> None:
        """Bring patches up to date."""
        raise NotImplementedError

    async def _snapshot(self) -> bytes:
        """Everything, at ``self.version``; the lock is held."""
        raise NotImplementedError


class ViewFeed(Feed):
    """A panel on a view as it is: the step's own changes go to the viewers, nothing is asked again."""

    def __init__(self, panel: Panel, platform: Platform, pool: Executor, refresh_ms: float) -> None:
        super().__init__(panel.id, platform, pool, refresh_ms)
        self.panel = panel
        self._info: ViewInfo
        self._names: list[str] = []
        self._key: list[str] | None = None
        self._pending: deque[Change] = deque()
        self._step = -1

    def _enter(self) -> None:
        info = frames.find_view(self.platform, self.panel.query.view)
        wanted = frames.check_columns(self.panel, info)
        key = [info.schema.names[i] for i in info.schema.key]
        self._key = None if info.append_only else key
        self._names = list(dict.fromkeys([*wanted, *(self._key or [])]))
        self._info = info
        self._pending.clear()
        self._step = -1
        self._stops.append(self.platform.subscribe(info.name, self._changed))

    def _changed(self, change: Change) -> None:
        self._pending.append(change)
        self._tell()

    async def _refresh(self) -> None:
        if self._step < 0:
            self._full = None
            await self._snapshot_now()
            return
        self._drain(None)

    def _drain(self, until: int | None) -> None:
        taken = []
        while self._pending and (until is None or self._pending[0].step <= until):
            change = self._pending.popleft()
            if change.step > self._step:
                taken.append(change)
        if not taken:
            return
        self._step = taken[-1].step
        self._full = None
        if sum(len(c.delta) for c in taken) > max(20_000, 4 * self.panel.max_points):
            self._publish(None)
            return
        table, gone = frames.changes_table(taken, self._names, self._key)
        table = frames.where(table, self.panel.query)
        if table.num_rows == 0 and not gone:
            return
        self._publish(self._message("put", table, taken[-1].watermark, gone))

    def _message(self, op: str, table: pa.Table, watermark: int | None, gone: list[list[Any]] | None = None) -> bytes:
        schema = self._info.schema
        types = {f.name: f.type for f in schema}
        body: dict[str, Any] = {
            "id": self.id,
            "op": op,
            "data": [page_column(table.column(n).combine_chunks(), types.get(n)) for n in table.column_names],
            "watermark": watermark,
            "updated": self.platform.clock.now(),
        }
        if op == "set":
            body |= {"columns": describe(table, schema), "key": self._key, "order": "time"}
        if gone:
            body["del"] = gone
        return orjson.dumps(body)

    async def _snapshot_now(self) -> bytes:
        view, panel, names = self._info.name, self.panel, self._names
        loop = asyncio.get_running_loop()

        def take() -> tuple[int, int | None, pa.Table]:
            snap = self.platform.snapshot(view)
            table = frames.where(plain(snap.table.select(names)), panel.query)
            return snap.step, snap.watermark, frames.trim(table, panel)

        step, watermark, table = await loop.run_in_executor(self.pool, take)
        if self._step >= 0:
            self._drain(step)
        self._step = max(step, self._step)
        if self.version == 0:
            self._publish(None)
        full = self._message("set", table, watermark)
        self._full = (self.version, full)
        return full

    async def _snapshot(self) -> bytes:
        return await self._snapshot_now()


class QueryFeed(Feed):
    """A panel on SQL: asked again when a view in it changed, at most as often as the page refreshes."""

    def __init__(self, panel: Panel, platform: Platform, pool: Executor, refresh_ms: float) -> None:
        super().__init__(panel.id, platform, pool, refresh_ms)
        self.panel = panel
        self._rows: dict[bytes, bytes] = {}
        self._table: pa.Table | None = None
        self._views: list[str] = []

    def _enter(self) -> None:
        subscribe_to(self, self.panel.query)

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        table = await loop.run_in_executor(self.pool, ask, self.platform, self.panel.query)
        table = frames.trim(frames.only(table, self.panel), self.panel)
        before, self._table = self._table, table
        if before is not None and before.equals(table):
            return
        self._full = None
        if self.panel.is_table or before is None or before.schema != table.schema:
            self._rows = {} if self.panel.is_table else self._keyed(table)[0]
            self._publish(None if before is None else self._message("set", table))
            return
        rows, places = self._keyed(table)
        fresh = [places[k] for k, r in rows.items() if self._rows.get(k) != r]
        gone = [orjson.loads(k) for k in self._rows if k not in rows]
        self._rows = rows
        if len(fresh) * 2 > len(rows):
            self._publish(self._message("set", table))
        elif fresh or gone:
            self._publish(self._message("put", table.take(pa.array(fresh, pa.int64())), gone))

    def _key(self) -> list[str]:
        return [c for c in (self.panel.by, self.panel.repeat, self.panel.x) if c]

    def _keyed(self, table: pa.Table) -> tuple[dict[bytes, bytes], dict[bytes, int]]:
        columns = [page_column(table.column(n).combine_chunks()) for n in table.column_names]
        at = [table.column_names.index(k) for k in self._key()]
        rows: dict[bytes, bytes] = {}
        places: dict[bytes, int] = {}
        for i, row in enumerate(zip(*columns, strict=True)):
            key = orjson.dumps([row[j] for j in at])
            rows[key] = orjson.dumps(row)
            places[key] = i
        return rows, places

    def _message(self, op: str, table: pa.Table, gone: list[list[Any]] | None = None) -> bytes:
        key = (list(self.panel.key) or None) if self.panel.is_table else self._key()
        body: dict[str, Any] = {
            "id": self.id,
            "op": op,
            "data": [page_column(table.column(n).combine_chunks()) for n in table.column_names],
            "updated": self.platform.clock.now(),
        }
        if op == "set":
            body |= {"columns": describe(table, None), "key": key, "order": "given"}
        if gone:
            body["del"] = gone
        return orjson.dumps(body)

    async def _snapshot(self) -> bytes:
        if self._table is None:
            raise InternalError("the panel has no rows yet")
        return self._message("set", self._table)


class TileFeed(Feed):
    """One number: the last row's value; its past comes from the rows, or is kept here while somebody watches."""

    def __init__(self, tile: Tile, platform: Platform, pool: Executor, refresh_ms: float) -> None:
        super().__init__(tile.id, platform, pool, max(refresh_ms, 250.0))
        self.tile = tile
        self._past: deque[float] = deque(maxlen=_SPARK)
        self._sampled = 0.0
        self._body: dict[str, Any] = {}

    def _enter(self) -> None:
        subscribe_to(self, self.tile.query)

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        table = await loop.run_in_executor(self.pool, ask, self.platform, self.tile.query)
        name = frames.value_column(table, self.tile)
        values = page_column(table.column(name).combine_chunks())
        value = values[-1] if values else None
        if len(values) > 1:
            past = [v for v in values[-_SPARK:] if isinstance(v, (int, float))]
        else:
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if number and value is not None and loop.time() - self._sampled >= 1.0:
                self._sampled = loop.time()
                self._past.append(float(value))
            past = list(self._past)
        body = {"id": self.id, "op": "tile", "value": value, "kind": page_kind(table.column(name).type), "spark": past}
        if self._body and {**body, "updated": 0} == {**self._body, "updated": 0}:
            return
        self._body = {**body, "updated": self.platform.clock.now()}
        self._full = None
        self._publish(orjson.dumps(self._body))

    async def _snapshot(self) -> bytes:
        return orjson.dumps(self._body)


def subscribe_to(feed: Feed, query: Query) -> None:
    """Let changes of the views in a query mark a feed as dirty."""
    names = [v.name for v in feed.platform.views()]
    used = [frames.find_view(feed.platform, query.view).name] if query.view else names_in(query.sql, names)

    def changed(_: Change) -> None:
        feed._tell()

    for name in used:
        feed._stops.append(feed.platform.subscribe(name, changed))


def ask(platform: Platform, query: Query) -> pa.Table:
    """The rows of a query."""
    if query.sql:
        return plain(platform.query(query.sql, timeout=_QUERY_TIMEOUT_S))
    return frames.where(plain(platform.snapshot(frames.find_view(platform, query.view).name).table), query)
