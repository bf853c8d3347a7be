"""Where the changes of a dataflow go: a view's readers, a sink's writer, a query's caller."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deras.core.errors import DerasError, InternalError
from deras.core.later import settle
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK, Tick
from deras.runtime.tables import open_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deras.core.contracts import Sink, Writer
    from deras.core.delta import Delta
    from deras.core.time import Clock
    from deras.engine.dataflow import Dataflow

_log = logging.getLogger("deras.job")


@dataclass(frozen=True, slots=True)
class Changes:
    """What a subscriber gets after a step that concerned it, or when it is over.

    Args:
        delta: rows with weights, in order; None at the end and at an error.
        step: number of the step.
        watermark: of the target, ms; ``MIN_WATERMARK`` before the first, ``MAX_WATERMARK`` at the end of bounded input.
        ended: nothing more will come.
        error: why it ended, if not by itself.
        reset: the job restarted from a checkpoint and the target went back with it: take a new snapshot.
    """

    delta: Delta | None
    step: int
    watermark: int = MIN_WATERMARK
    ended: bool = False
    error: DerasError | None = None
    reset: bool = False


class Subscription:
    """One listener of a target. ``close()`` ends it; ``snapshot`` is what it starts from, if asked for."""

    def __init__(self, callback: Callable[[Changes], None]) -> None:
        self.callback: Callable[[Changes], None] | None = callback
        self.snapshot: Any = None

    def close(self) -> None:
        """No more calls, except one that is under way."""
        self.callback = None

    def send(self, changes: Changes) -> None:
        """Call the listener. One that raises is cut off: it must not stop the job."""
        callback = self.callback
        if callback is None:
            return
        try:
            callback(changes)
        except Exception:  # noqa: BLE001
            self.callback = None
            _log.warning("a subscriber failed and is cut off", exc_info=True)


class Listeners:
    """The subscriptions of one target; changed from any thread, called by the one that steps."""

    def __init__(self) -> None:
        self._all: tuple[Subscription, ...] = ()
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._all)

    def add(self, s: Subscription) -> None:
        """One more."""
        with self._lock:
            self._all = (*self._all, s)

    def send(self, changes: Changes) -> None:
        """Call all; forget the closed ones."""
        if changes.delta is not None:
            settle(changes.delta)  # they read it when they like
        for s in self._all:
            s.send(changes)
        if any(s.callback is None for s in self._all):
            with self._lock:
                self._all = tuple(s for s in self._all if s.callback is not None)


class SinkTarget:
    """A sink with its open writer.

    Args:
        name: the key in manifests: the table's name with the flow's id.
        flow: what is written.
        folder: the project's folder.
        clock: the time.
    """

    def __init__(self, name: str, flow: Dataflow, folder: Path, clock: Clock) -> None:
        self.name = name
        target = flow.target
        options = dict(target.options)
        options.setdefault("connector", target.connector)
        connector, context = open_table(
            target.name, target.schema, options, folder=folder, clock=clock, partition_keys=target.partition_keys
        )
        self.sink: Sink = connector.sink(context)
        self.schema = target.schema
        self.identity = flow.identity
        self.writer: Writer | None = None
        self.rows = 0
        self.last_token: dict[str, Any] | None = None

    def open(self, state: dict[str, Any] | None) -> None:
        """Open the writer, after a restart with the token of the checkpoint."""
        self.last_token = state
        self.writer = self.sink.open(self.schema, state)
        self.writer.identify(self.identity)

    def write(self, delta: Delta, tick: Tick) -> None:
        """Hand changes over; may block."""
        assert self.writer is not None  # noqa: S101
        self.writer.write(settle(delta), tick)  # it may keep rows for later
        self.rows += delta.length

    def prepare(self, epoch: int, watermark: int = MIN_WATERMARK) -> dict[str, Any] | None:
        """Flush; gives the token to be committed, if any."""
        if self.writer is None:
            return None
        self.writer.advance(watermark)
        token = self.writer.prepare(epoch)
        if token is not None:
            self.last_token = token
        return token

    def close(self) -> None:
        """Free the writer. Twice is fine."""
        writer, self.writer = self.writer, None
        if writer is not None:
            writer.close()


def as_deras_error(e: BaseException) -> DerasError:
    """The error itself if it is one of ours, else a fault of ours around it."""
    if isinstance(e, DerasError):
        return e
    import traceback

    text = "".join(traceback.format_exception(e))
    made = InternalError(
        f"{type(e).__name__}: {e}", detail=text, hint="This is a fault of Deras; please report it with these lines."
    )
    made.__cause__ = e
    return made


__all__ = ["MAX_WATERMARK", "Changes", "Listeners", "SinkTarget", "Subscription", "as_deras_error"]
