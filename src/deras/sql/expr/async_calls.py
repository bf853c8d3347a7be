"""Calls of users' ``async`` functions: on one event loop beside the steps."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from deras.engine.operators.async_map import AsyncProgram
from deras.sql.expr.program import column_of, frame_series
from deras.sql.expr.python import logical, python_values, series_of, trace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from deras.core.column import Column
    from deras.core.delta import Delta
    from deras.core.schema import Schema
    from deras.sql.functions.udf import UserFunction

_LOCK = threading.Lock()
_LOOPS: list[asyncio.AbstractEventLoop] = []


def event_loop() -> asyncio.AbstractEventLoop:
    """The process' loop for users' coroutines, on a thread of its own; started by the first call."""
    with _LOCK:
        if not _LOOPS:
            made = asyncio.new_event_loop()
            threading.Thread(target=made.run_forever, name="deras-async", daemon=True).start()
            _LOOPS.append(made)
        return _LOOPS[0]


class Caller:
    """Calls a function with its options.

    Args:
        function: an ``async`` one.
    """

    def __init__(self, function: UserFunction) -> None:
        if function.waiting is None:
            raise TypeError(f"{function.name} is not async")
        self.function = function
        self.options = function.waiting
        self._free = threading.Semaphore(self.options.capacity)
        self._cache: OrderedDict[Any, Future[Any]] = OrderedDict()
        self._lock = threading.Lock()
        self._slot = 0.0

    def call(self, args: tuple[Any, ...]) -> Future[Any]:
        """Begin a call; waits while there are ``capacity`` of them."""
        key: Any = None
        if self.options.cache:
            key = repr(args)
            with self._lock:
                found = self._cache.get(key)
                # A failure may be here still, or again: its callback may run before the call is kept, or later.
                if found is not None and not _failed(found):
                    self._cache.move_to_end(key)
                    return found
        self._free.acquire()
        made = asyncio.run_coroutine_threadsafe(self._attempts(args), event_loop())
        made.add_done_callback(lambda f: self._done(key, f))
        if key is not None:
            with self._lock:
                self._cache[key] = made
                if len(self._cache) > self.options.cache:
                    self._cache.popitem(last=False)
        return made

    def _done(self, key: Any, f: Future[Any]) -> None:
        self._free.release()
        if key is not None and _failed(f):
            with self._lock:
                if self._cache.get(key) is f:
                    del self._cache[key]

    async def _attempts(self, args: tuple[Any, ...]) -> Any:
        pause = 0.1
        for left in range(self.options.retry, -1, -1):
            await self._pace()
            try:
                return await asyncio.wait_for(self.function.function(*args), self.options.timeout)
            except TimeoutError as e:
                if not left:
                    raise TimeoutError(f"no answer in {self.options.timeout:g} s") from e
            except Exception:
                if not left:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, 10.0)
        return None

    async def _pace(self) -> None:
        if not self.options.rate_limit:
            return
        now = asyncio.get_running_loop().time()
        at = max(now, self._slot)
        self._slot = at + 1 / self.options.rate_limit
        await asyncio.sleep(at - now)


def _failed(f: Future[Any]) -> bool:
    return f.done() and (f.cancelled() or f.exception() is not None)


class AsyncCalls(AsyncProgram):
    """Calls an ``async`` function for every row, and gives its results as a column.

    Args:
        function: what is called.
        input: schema of the rows.
        args: positions of the arguments.
    """

    def __init__(self, function: UserFunction, input: Schema, args: Sequence[int]) -> None:  # noqa: A002
        self.function = function
        self.args = tuple(args)
        self.types = [input[a].type for a in args]
        self.type = function.result_type.with_nullable(True)
        self._caller = Caller(function)
        self.ordered = self._caller.options.ordered
        self.name = function.name

    def begin(self, delta: Delta) -> list[Future[Any]]:
        """Begin a call for each row."""
        given = [
            python_values(logical(frame_series(delta.columns[a]), t), t)
            for a, t in zip(self.args, self.types, strict=True)
        ]
        rows = zip(*given, strict=True) if given else (() for _ in range(delta.length))
        return [self._caller.call(values) for values in rows]

    def column(self, values: Sequence[Any]) -> tuple[Column, dict[int, str]]:
        """Results as a column, and messages for those that are of another type."""
        series, wrong = series_of(list(values), self.type, f"function {self.name}")
        return column_of(series, self.type), wrong

    def message(self, e: BaseException) -> str:
        """With the user's frames."""
        return f"function {self.name} failed: {trace(e)}"
