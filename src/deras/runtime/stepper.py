"""Steps in the order of tickets, by whichever thread is free; and whatever has to happen between two of them."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from deras.core.errors import ExternalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.runtime.sources import Batch


_PATIENCE = 256
"""Steps for which batches go on while work is owed; then those who read are held back."""


class Stopped(Exception):
    """The run is over: threads go home."""


class _Call:
    __slots__ = ("done", "error", "fn", "result")

    def __init__(self, fn: Callable[[], Any]) -> None:
        self.fn = fn
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self, failed: bool) -> None:
        if failed:
            self.error = Stopped("the run has failed")
        else:
            try:
                self.result = self.fn()
            except BaseException as e:  # noqa: BLE001 (it belongs to the caller)
                self.error = e
        self.done.set()


class Stepper:
    """Applies decoded batches in ticket order.

    A thread that has decoded a batch hands it over and, if nobody is stepping, steps all that is in order; so there is
    no thread for steps and none that waits for one. ``between`` runs a function while no step is under way.

    Args:
        step: takes some batches, in order, in one step. Called by one thread at a time.
        most_rows: rows after which a step is full.
        most_bytes: raw bytes after which a step is full.
        in_flight: decoded batches that may wait.
        owes: whether the last step left work that is due. Then steps without batches follow, in turns with those that
            have some; when it is owed for long, batches wait until it is done.
    """

    def __init__(
        self,
        step: Callable[[list[Batch]], None],
        *,
        most_rows: int,
        most_bytes: int,
        in_flight: int,
        owes: Callable[[], bool] = lambda: False,
    ) -> None:
        self._step = step
        self._most_rows = most_rows
        self._most_bytes = most_bytes
        self._permits = threading.Semaphore(in_flight)
        self._lock = threading.Lock()
        self._stepping = threading.Lock()
        self._issued = 0
        self._next = 0
        self._ready: dict[int, Batch] = {}
        self._calls: deque[_Call] = deque()
        self._owner = 0
        self._owes = owes
        # Steps since the last one that owed nothing.
        self._behind = 0
        self.error: BaseException | None = None
        self.on_error: Callable[[BaseException], None] | None = None

    def resize(self, most_rows: int, most_bytes: int, in_flight: int) -> None:
        """Other sizes, before the first ticket."""
        self._most_rows, self._most_bytes = most_rows, most_bytes
        self._permits = threading.Semaphore(in_flight)

    @property
    def waiting(self) -> int:
        """Batches that are decoded, or being decoded, and not yet applied."""
        return self._issued - self._next

    def reserve(self) -> int:
        """The next ticket; waits while too much is in flight. Who holds one must submit.

        Raises:
            Stopped: the run is over.
        """
        self._permits.acquire()
        if self.error is not None:
            self._permits.release()
            raise Stopped
        with self._lock:
            number = self._issued
            self._issued += 1
        return number

    def submit(self, number: int, batch: Batch) -> None:
        """Hand over the batch of a ticket, and step if nobody else does."""
        with self._lock:
            self._ready[number] = batch
        self._drain()

    def between(self, fn: Callable[[], Any], timeout: float | None = None) -> Any:
        """Run a function between two steps (perhaps on another thread); gives its result or raises its error.

        Raises:
            Stopped: the run has failed.
            ExternalError: no step ended within ``timeout`` seconds (a sink that blocks).
        """
        if self._owner == threading.get_ident():
            return fn()
        call = _Call(fn)
        self._calls.append(call)
        self._drain()
        if not call.done.wait(timeout):
            raise ExternalError(
                "the running step does not end", hint="A sink may be blocked; see 'deras jobs' for the slowest part."
            )
        if call.error is not None:
            raise call.error
        return call.result

    def fail(self, e: BaseException) -> None:
        """End the run: nobody gets a ticket any more."""
        if self.error is None:
            self.error = e
            if self.on_error is not None:
                self.on_error(e)
        for _ in range(64):  # wake those who wait for a ticket
            self._permits.release()

    def _drain(self) -> None:
        while self._stepping.acquire(blocking=False):
            self._owner = threading.get_ident()
            try:
                while self._one():
                    pass
            finally:
                self._owner = 0
                self._stepping.release()
            # Somebody may have come between the last look and the release.
            with self._lock:
                more = self._next in self._ready and self.error is None
            if not more and not self._calls:
                return

    def _one(self) -> bool:
        while self._calls:
            self._calls.popleft().run(self.error is not None)
        if self.error is not None:
            return False
        self._behind = self._behind + 1 if self._owes() else 0
        owing = self._behind > 0
        batches = [] if self._behind & 1 or self._behind > _PATIENCE else self._in_order()
        if not batches and not owing:
            return False
        try:
            self._step(batches)
        except BaseException as e:  # noqa: BLE001
            self.fail(e)
            return False
        for _ in batches:
            self._permits.release()
        return True

    def _in_order(self) -> list[Batch]:
        """The batches of the next step."""
        batches: list[Batch] = []
        rows = size = 0
        with self._lock:
            while (b := self._ready.get(self._next)) is not None:
                n = 0 if b.delta is None else b.delta.length
                if batches and (rows + n > self._most_rows or size + b.bytes > self._most_bytes):
                    break
                del self._ready[self._next]
                self._next += 1
                batches.append(b)
                rows += n
                size += b.bytes
        return batches
