"""What the serving room sees of the platform: the one interface that a session implements for it."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from deras.core.delta import Delta
    from deras.core.schema import Schema
    from deras.core.time import Clock

AsgiApp = Callable[[Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]
StateWord = Literal["starting", "live", "catching up", "paused", "finished", "failed"]


@dataclass(frozen=True, slots=True)
class ViewInfo:
    """A view that can be asked.

    Args:
        name: as in SQL.
        schema: columns, their types and the primary key.
        comment: the user's words for it.
        rows: rows in it now.
        step: number of the step that changed it last.
        watermark: ms since 1970; None while there is none.
        updated: when it changed last, ms since 1970; None if never.
        append_only: rows only come: no change of it carries a negative weight.
    """

    name: str
    schema: Schema
    comment: str = ""
    rows: int = 0
    step: int = 0
    watermark: int | None = None
    updated: int | None = None
    append_only: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All rows of a view after a step; immutable."""

    table: pa.Table
    step: int
    watermark: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What one step changed in one view.

    Args:
        step: its number; grows from change to change.
        watermark: the view's watermark after it, ms since 1970, or None.
        delta: the rows with their weights, in order, unconsolidated.
    """

    step: int
    watermark: int | None
    delta: Delta


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One source, as the header and the empty state tell of it.

    Args:
        name: the table's name.
        received: records since the start.
        last: when the last record came, ms since 1970; None if none did.
        since: since when it listens, ms since 1970.
        hint: how to send a record to it (a ``curl`` command), or an empty string.
        waiting: why it gives no output now, as a sentence, or an empty string.
        rejected: records in quarantine.
    """

    name: str
    received: int = 0
    last: int | None = None
    since: int | None = None
    hint: str = ""
    waiting: str = ""
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """The platform at a glance. Delay: from arrival to visible in views, ms, over the last ten seconds or so."""

    state: StateWord = "live"
    events_per_second: float = 0.0
    delay_p50: float | None = None
    delay_p99: float | None = None
    watermark: int | None = None
    sources: tuple[SourceStatus, ...] = ()
    message: str = ""
    """Why it is not live, as a sentence."""


class Mount(NamedTuple):
    """An ASGI application of an ``http`` source. ``authenticates``: it checks a token of its own."""

    path: str
    app: AsgiApp
    authenticates: bool = False


@dataclass(slots=True)
class Cancellation:
    """A way to stop a running query: the one who runs it binds how, anybody may cancel, before or after."""

    cancelled: bool = False
    _stop: Callable[[], None] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def bind(self, stop: Callable[[], None]) -> None:
        """Say how to stop it; called at once if it is cancelled already."""
        with self._lock:
            self._stop = stop
            late = self.cancelled
        if late:
            stop()

    def cancel(self) -> None:
        """Stop the query; from any thread, any number of times."""
        with self._lock:
            first = not self.cancelled
            self.cancelled = True
            stop = self._stop
        if first and stop is not None:
            stop()


class Platform(Protocol):
    """The running platform. All methods may be called from any thread."""

    @property
    def name(self) -> str:
        """The project's name, for the header."""
        ...

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    def views(self) -> list[ViewInfo]:
        """All views that can be asked; cheap (called for every REST request)."""
        ...

    def snapshot(self, view: str) -> Snapshot:
        """The rows of a view; ``DerasError`` if there is no such view."""
        ...

    def query(
        self, sql: str, parameters: Sequence[Any] = (), *, timeout: float = 30.0, cancel: Cancellation | None = None
    ) -> pa.Table:
        """Run one read-only SELECT (DuckDB's dialect, ``?`` parameters) over the views; blocks.

        All views in it are read at the same step. Raises ``DerasError`` for wrong SQL, anything that writes or reads
        outside the views (files, settings), a timeout (seconds) and a cancelled query.
        """
        ...

    def subscribe(self, view: str, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Be told of each change of a view, in order, from the step's thread; gives the way to stop it.

        Called when ``snapshot`` already shows the step, so that a snapshot is never older than a change told before.
        The callback only notes the change and returns. ``DerasError`` if there is no such view.
        """
        ...

    def status(self) -> Status:
        """The platform at a glance; cheap."""
        ...

    def metrics(self) -> bytes:
        """All metrics in Prometheus' text format."""
        ...

    def ingest(self) -> Sequence[Mount]:
        """The applications of all ``http`` sources that share this server; cheap (called for every POST)."""
        ...
