"""One dashboard that is being watched: its feeds, the header's figures, and the stream to each viewer."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import orjson

from deras.serve.feeds import Feed, QueryFeed, TileFeed, ViewFeed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from concurrent.futures import Executor

    from deras.serve.definition import Dashboard, Panel
    from deras.serve.platform import Platform

_LINGER_S = 30.0
_STATUS_S = 0.5
_HEARTBEAT_S = 2.0


class Hub:
    """The feeds of one dashboard; they run while somebody watches and half a minute longer.

    Args:
        platform: what is shown.
        dashboard: how it is shown.
        pool: threads for queries.
        boot: a word that changes with each start of the server.
        current: gives whether the dashboard's file still says the same; asked every half second.
    """

    def __init__(
        self, platform: Platform, dashboard: Dashboard, pool: Executor, boot: str, current: Callable[[], bool]
    ) -> None:
        self.platform = platform
        self.dashboard = dashboard
        self.boot = boot
        self.feeds = [self._feed(p, pool) for p in dashboard.panels]
        self.feeds += [TileFeed(t, platform, pool, dashboard.refresh) for t in dashboard.tiles]
        for feed in self.feeds:
            feed.on_news = self._wake
        self.viewers = 0
        self.closed = False
        self.outdated = False
        self._current = current
        self._pool = pool
        self._news = asyncio.Event()
        self._status = b""
        self._task: asyncio.Task[None] | None = None

    def _feed(self, panel: Panel, pool: Executor) -> Feed:
        kind = ViewFeed if panel.query.view else QueryFeed
        return kind(panel, self.platform, pool, self.dashboard.refresh)

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def status_json(self) -> bytes:
        """The header's figures."""
        found = asdict(self.platform.status())
        found["project"] = self.platform.name
        found["now"] = self.platform.clock.now()
        return orjson.dumps(found)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        idle_since: float | None = None
        while True:
            self._status = self.status_json()
            if not await loop.run_in_executor(self._pool, self._current):
                self.closed = self.outdated = True
            self._wake()
            if self.viewers:
                idle_since = None
            elif idle_since is None:
                idle_since = loop.time()
            elif loop.time() - idle_since > _LINGER_S:
                break
            await asyncio.sleep(_STATUS_S)
        self._task = None
        await self._stop_feeds()

    async def _stop_feeds(self) -> None:
        for feed in self.feeds:
            await feed.stop()

    async def close(self) -> None:
        """End the feeds and all streams."""
        self.closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._stop_feeds()
        self._wake()

    async def stream(self) -> AsyncIterator[bytes]:
        """Server-sent events for one viewer: ``hello``, then ``news`` with the messages of all changed panels."""
        if self._task is None and not self.closed:
            for feed in self.feeds:
                feed.start()
            self._task = asyncio.get_running_loop().create_task(self._watch(), name="hub")
        self.viewers += 1
        seen: dict[str, int | None] = {f.id: None for f in self.feeds}
        loop = asyncio.get_running_loop()
        told_status, told_at = b"", 0.0
        try:
            yield b"retry: 1000\nevent: hello\ndata: " + orjson.dumps({"boot": self.boot}) + b"\n\n"
            while True:
                news = self._news
                messages: list[bytes] = []
                for feed in self.feeds:
                    if seen[feed.id] != feed.version:
                        seen[feed.id], found = await feed.since(seen[feed.id])
                        messages += found
                head = b""
                # The figures hardly ever stand still; twice a second is enough for them.
                due = loop.time() - told_at > 0.9 * _STATUS_S
                if self._status and due and (self._status != told_status or loop.time() - told_at > _HEARTBEAT_S):
                    told_status, told_at = self._status, loop.time()
                    head = b',"status":' + told_status
                if messages or head:
                    sent = self.platform.clock.now_us() / 1000
                    yield b'event: news\ndata: {"sent":%.3f%s,"messages":[%s]}\n\n' % (sent, head, b",".join(messages))
                if self.closed:
                    if self.outdated:
                        yield b"event: reload\ndata: {}\n\n"
                    return
                await news.wait()
        finally:
            self.viewers -= 1
