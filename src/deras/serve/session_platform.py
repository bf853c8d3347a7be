"""A session as the platform that is served."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from deras.core.errors import DerasError
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK
from deras.serve.platform import Change, Mount, Snapshot, SourceStatus, Status, ViewInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from deras.core.time import Clock
    from deras.runtime.targets import Changes
    from deras.serve.platform import Cancellation, StateWord
    from deras.session.session import Session

_BEHIND = 30_000.0
"""Delay (ms) from which the platform is called catching up."""
_WORDS: dict[str, StateWord] = {
    "new": "starting",
    "running": "live",
    "restarting": "starting",
    "failed": "failed",
    "stopped": "finished",
}


class SessionPlatform:
    """What the serving room sees of a session.

    Args:
        session: the owner of the job.
        name: the project's name, for the header.
        url: gives the server's address once it is known, for hints.
    """

    def __init__(self, session: Session, name: str, url: Callable[[], str] = lambda: "") -> None:
        self._session = session
        self._name = name
        self._url = url

    @property
    def name(self) -> str:
        """The project's name."""
        return self._name

    @property
    def clock(self) -> Clock:
        """The time."""
        return self._session.clock

    def views(self) -> list[ViewInfo]:
        """All views."""
        job = self._session.job
        found = []
        for view in job.views.values():
            flow = job.flow(view.name)
            try:
                rows = view.snapshot().rows
            except DerasError:  # it is restarting
                rows = 0
            found.append(
                ViewInfo(
                    view.name,
                    view.schema,
                    view.comment,
                    rows,
                    0 if flow is None else flow.step,
                    None if flow is None else job.watermark(view.name),
                    None if flow is None else flow.changed_at,
                    view.append_only,
                )
            )
        return found

    def snapshot(self, view: str) -> Snapshot:
        """The rows of a view now."""
        found = self._session.job.views.view(view).snapshot()
        return Snapshot(found.arrow(), found.step, _mark(found.watermark))

    def query(
        self, sql: str, parameters: Sequence[Any] = (), *, timeout: float = 30.0, cancel: Cancellation | None = None
    ) -> pa.Table:
        """One read-only SELECT over the views."""
        stopped = threading.Event()
        if cancel is not None:
            cancel.bind(stopped.set)
        given = list(parameters) or None
        return self._session.ask.query(sql, given, timeout=timeout, cancel=None if cancel is None else stopped)

    def subscribe(self, view: str, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Every change of a view, from the step's thread."""

        def take(changes: Changes) -> None:
            if changes.delta is not None and changes.delta.length:
                callback(Change(changes.step, _mark(changes.watermark), changes.delta))

        return self._session.job.subscribe(view, take).close

    def status(self) -> Status:
        """State, rates, delay, sources."""
        job = self._session.job
        facts = job.status()
        delay = facts["delay_ms"]
        state = _WORDS[facts["state"]]
        flows = [f for f in facts["flows"] if f["kind"] != "query"]
        if state == "live":
            if flows and all(f["state"] == "finished" for f in flows):
                state = "finished"
            elif (delay["p50"] or 0.0) > _BEHIND:
                state = "catching up"
        error = facts["error"]
        message = "" if error is None else str(error["message"])
        if facts["state"] == "restarting" and facts["notes"]:
            message = facts["notes"][-1]
        marks = [f["watermark"] for f in flows if isinstance(f["watermark"], int)]
        return Status(
            state,
            facts["rows_per_second"],
            delay["p50"],
            delay["p99"],
            min(marks, default=None),
            tuple(self._source(s, facts) for s in facts["sources"]),
            message,
        )

    def _source(self, source: dict[str, Any], facts: dict[str, Any]) -> SourceStatus:
        table = source["table"]
        hint = ""
        found = self._session.job.tables().get(table)
        path, url = getattr(found, "path", None), self._url()
        address = getattr(found, "address", None) or (f"{url}{path}" if path and url else "")
        if address:
            hint = f"curl -d '{{…}}' -H 'Content-Type: application/json' {address}"
        waiting = next((f["why_silent"] for f in facts["flows"] if f["why_silent"] and f["kind"] != "query"), "")
        rejected = sum(c["rows"] for c in facts["quarantine"]["counts"] if c["table"] == table)
        return SourceStatus(table, source["rows"], source["last"], source["since"], hint, waiting, rejected)

    def metrics(self) -> bytes:
        """In Prometheus' text format."""
        return self._session.job.metrics_text()

    def ingest(self) -> Sequence[Mount]:
        """The applications of all tables that take posts and do not listen themselves."""
        found = []
        for source in self._session.job.tables().values():
            app = getattr(source, "intake_app", None)
            if app is not None and getattr(source, "listen", None) is None:
                found.append(Mount(source.path, app, app.authenticated))  # type: ignore[attr-defined]
        return found


def _mark(at: int) -> int | None:
    return None if at in (MIN_WATERMARK, MAX_WATERMARK) else at
