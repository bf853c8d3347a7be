"""Subscriptions: each change of a view as server-sent events, resumable within a bounded memory of recent steps."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from deras.serve.frames import find_view
from deras.serve.values import json_column

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from concurrent.futures import Executor

    from deras.serve.platform import Change, Platform, Snapshot, ViewInfo

_RING_BYTES = 8 << 20
_RING_EVENTS = 4096
_CHUNK_ROWS = 2000
_HEARTBEAT_S = 10.0
_LINGER_S = 60.0
_INLINE_ROWS = 1000


@dataclass(frozen=True, slots=True)
class _Event:
    step: int
    data: bytes


def change_json(change: Change, info: ViewInfo, select: list[int]) -> dict[str, Any]:
    """A change as its readers get it: ``{"step", "watermark", "changes": [[kind, [values]], …]}``.

    Kinds are Flink's: with a key, a -1 and a +1 of one key in one step are ``-U`` and ``+U``, else ``-D`` and ``+I``.
    """
    delta = change.delta
    columns = [json_column(delta.columns[i].to_arrow(), delta.schema[i].type) for i in select]
    weights = delta.weight_array().tolist()
    came: set[bytes] = set()
    gone: set[bytes] = set()
    keys: list[bytes] = []
    if info.schema.key and not info.append_only:
        key_columns = [json_column(delta.columns[i].to_arrow(), delta.schema[i].type) for i in info.schema.key]
        keys = [orjson.dumps(k) for k in zip(*key_columns, strict=True)]
        came = {k for k, w in zip(keys, weights, strict=True) if w > 0}
        gone = {k for k, w in zip(keys, weights, strict=True) if w < 0}
    rows: list[list[Any]] = []
    for i, w in enumerate(weights):
        both = bool(keys) and keys[i] in came and keys[i] in gone
        kind = ("+U" if both else "+I") if w > 0 else ("-U" if both else "-D")
        rows += [[kind, [c[i] for c in columns]]] * abs(w)
    return {"step": change.step, "watermark": change.watermark, "changes": rows}


class ViewStream:
    """The recent changes of one view, encoded once for all readers; there are no queues per reader.

    A reader is only the number of the last step that it saw. One whose step has left the memory gets a snapshot again.
    """

    def __init__(self, platform: Platform, info: ViewInfo, boot: str, pool: Executor) -> None:
        self.platform = platform
        self.info = info
        self.boot = boot
        self.readers = 0
        self.closed = False
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._inbox: deque[Change] = deque()
        self._ring: deque[_Event] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._arrived = asyncio.Event()
        self._told = False
        self._left_at = self._loop.time()
        self._all = list(range(len(info.schema)))
        self._stop: Callable[[], None] = platform.subscribe(info.name, self._changed)
        # Asked after subscribing: every change above this step is, or will be, in the ring.
        self._floor = find_view(platform, info.name).step
        self._task = self._loop.create_task(self._pump(), name=f"changes-{info.name}")

    def _changed(self, change: Change) -> None:
        # From the step's thread: note it, wake the loop once.
        self._inbox.append(change)
        if not self._told:
            self._told = True
            try:
                self._loop.call_soon_threadsafe(self._arrive)
            except RuntimeError:  # the loop has ended
                self._told = False

    def _arrive(self) -> None:
        self._told = False
        self._arrived.set()

    async def _pump(self) -> None:
        while not self.closed:
            await self._arrived.wait()
            self._arrived.clear()
            if not self.readers and self._loop.time() - self._left_at > _LINGER_S:
                self.close()
                return
            while self._inbox:
                change = self._inbox.popleft()
                if len(change.delta) > _INLINE_ROWS:  # too much for the loop that also answers requests
                    data = await self._loop.run_in_executor(self._pool, self._encode, change)
                else:
                    data = self._encode(change)
                self._ring.append(_Event(change.step, data))
                self._bytes += len(data)
                while len(self._ring) > 1 and (self._bytes > _RING_BYTES or len(self._ring) > _RING_EVENTS):
                    dropped = self._ring.popleft()
                    self._bytes -= len(dropped.data)
                    self._floor = max(self._floor, dropped.step)
            self._wake()

    def _encode(self, change: Change) -> bytes:
        data = orjson.dumps(change_json(change, self.info, self._all))
        return b"id: %s-%d\nevent: change\ndata: %s\n\n" % (self.boot.encode(), change.step, data)

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def close(self) -> None:
        """End it for all readers."""
        self.closed = True
        self._stop()
        self._arrived.set()
        self._wake()

    def _resume(self, last_id: str) -> int | None:
        boot, _, step = last_id.rpartition("-")
        return int(step) if boot == self.boot and step.isdigit() and int(step) >= self._floor else None

    async def read(self, last_id: str, snapshot: bool = True) -> AsyncIterator[bytes]:
        """Events for one reader: ``schema``, ``snapshot`` parts unless it resumes, then ``change`` after ``change``."""
        self.readers += 1
        try:
            fields = [{"name": f.name, "type": str(f.type)} for f in self.info.schema]
            head = {"view": self.info.name, "columns": fields, "key": [fields[i]["name"] for i in self.info.schema.key]}
            yield b"retry: 1000\nevent: schema\ndata: " + orjson.dumps(head) + b"\n\n"
            seen = self._resume(last_id) if last_id else None
            if seen is None and not snapshot and not last_id:
                seen = max(self._floor, self._ring[-1].step if self._ring else 0)
            while not self.closed:
                news = self._news
                if seen is None or seen < self._floor:
                    snap = await self._loop.run_in_executor(self._pool, self.platform.snapshot, self.info.name)
                    for start in range(0, max(snap.table.num_rows, 1), _CHUNK_ROWS):
                        yield await self._loop.run_in_executor(self._pool, self._part, snap, start)
                    seen = snap.step
                for event in list(self._ring):
                    if event.step <= seen:
                        continue
                    if seen < self._floor:
                        break
                    yield event.data
                    seen = event.step
                if news is self._news and not self.closed:
                    try:
                        await asyncio.wait_for(news.wait(), _HEARTBEAT_S)
                    except TimeoutError:
                        yield b": still here\n\n"
        finally:
            self.readers -= 1
            self._left_at = self._loop.time()

    def _part(self, snap: Snapshot, start: int) -> bytes:
        part = snap.table.slice(start, _CHUNK_ROWS)
        columns = [json_column(part.column(f.name).combine_chunks(), f.type) for f in self.info.schema]
        last = start + _CHUNK_ROWS >= snap.table.num_rows
        rows = [list(r) for r in zip(*columns, strict=True)]
        body = {"step": snap.step, "watermark": snap.watermark, "rows": rows, "last": last}
        # Only the last part has an id: a reader cut off before it starts again.
        name = b"id: %s-%d\n" % (self.boot.encode(), snap.step) if last else b""
        return name + b"event: snapshot\ndata: " + orjson.dumps(body) + b"\n\n"


class Streams:
    """The view streams of a server, made when first read."""

    def __init__(self, platform: Platform, boot: str, pool: Executor) -> None:
        self._platform = platform
        self._boot = boot
        self._pool = pool
        self._streams: dict[str, ViewStream] = {}

    def read(self, view: str, last_id: str, snapshot: bool) -> AsyncIterator[bytes]:
        """The events of a view; ``DerasError`` at once if there is no such view."""
        info = find_view(self._platform, view)
        stream = self._streams.get(view)
        if stream is None or stream.closed or stream.info.schema != info.schema:
            if stream is not None:
                stream.close()
            stream = ViewStream(self._platform, info, self._boot, self._pool)
            self._streams[view] = stream
        return stream.read(last_id, snapshot)

    def close(self) -> None:
        """End all."""
        for stream in self._streams.values():
            stream.close()
        self._streams.clear()
