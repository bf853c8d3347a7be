"""An attached dataflow: its nodes in the graph, its target, and whether it is done."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from deras.runtime.targets import Changes, Listeners, SinkTarget, Subscription

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.core.errors import DerasError
    from deras.core.schema import Schema
    from deras.engine.dataflow import Dataflow
    from deras.engine.operators.materialize import ClosedChunk
    from deras.runtime.sources import SourceNode
    from deras.views.history import History


class Attached:
    """A dataflow that runs, as its user sees it.

    Args:
        id: number, unique in the job.
        key: stable name in manifests, e.g. ``view:alerts``.
        dataflow: what was attached.
    """

    def __init__(self, id_: int, key: str, dataflow: Dataflow) -> None:
        self.id = id_
        self.key = key
        self.dataflow = dataflow
        self.listeners = Listeners()
        self.error: DerasError | None = None
        self.notes: list[str] = []
        """Sentences for the user, e.g. from when a view counts."""
        self.attached_at = 0
        self.rows = 0
        self.changed_at: int | None = None
        self.step = 0
        self._finished = threading.Event()
        self._left = dataflow.limit
        # What belongs to one run (between two restarts).
        self.sources: list[SourceNode] = []
        self.nodes: list[int] = []
        self.names: dict[str, str] = {}
        """Under which name of the graph each of its nodes lies, by the flow's own name for it."""
        self.resumed = False
        """Whether it goes on from a checkpoint."""
        self.output = -1
        self.sink: SinkTarget | None = None
        self.history: History | None = None
        self.closing: list[ClosedChunk] = []
        """Old rows that the writing thread puts into a history file."""
        self.closed: tuple[dict[str, Any], list[ClosedChunk]] | None = None
        """A history file that is written, and whose rows leave memory with the next checkpoint."""
        self.done = False
        """Everything went through; a sink may still have to commit."""

    @property
    def kind(self) -> str:
        """``view``, ``sink`` or ``query``."""
        return self.dataflow.target.kind

    @property
    def name(self) -> str:
        """Of the view or table."""
        return self.dataflow.target.name

    @property
    def schema(self) -> Schema:
        """Of the rows that arrive at the target."""
        return self.dataflow.target.schema

    @property
    def durable(self) -> bool:
        """Whether checkpoints keep it: queries of a caller are not kept."""
        return self.kind != "query"

    @property
    def finished(self) -> bool:
        """Whether it has ended (all input read and committed, or failed, or detached)."""
        return self._finished.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended; raises its error if it failed. Tells whether it has ended."""
        done = self._finished.wait(timeout)
        if self.error is not None:
            raise self.error
        return done

    # ---- called by the run

    def begin_run(self) -> None:
        """Forget what belonged to the run before."""
        self.sources, self.nodes, self.output, self.sink, self.done = [], [], -1, None, False
        self.resumed, self.names = False, {}
        self.history, self.closing, self.closed = None, [], None

    def limit(self, rows: int) -> int:
        """How many of these rows still count (LIMIT)."""
        if self._left is None:
            return rows
        taken = min(rows, self._left)
        self._left -= taken
        return taken

    @property
    def full(self) -> bool:
        """Whether a LIMIT is reached."""
        return self._left == 0

    def end(self, step: int, watermark: int, error: DerasError | None = None) -> None:
        """It is over: tell the listeners once."""
        if self._finished.is_set():
            return
        self.error = error
        self.done = True
        self._finished.set()
        self.listeners.send(Changes(None, step, watermark, ended=True, error=error))

    def listen(self, callback: Callable[[Changes], None]) -> Subscription:
        """One more listener."""
        s = Subscription(callback)
        self.listeners.add(s)
        return s

    def facts(self) -> dict[str, Any]:
        """For ``deras jobs``."""
        return {
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "sql": self.dataflow.sql,
            "rows": self.rows,
            "attached": self.attached_at,
            "state": "failed" if self.error else "finished" if self.finished else "running",
            "notes": list(self.notes),
        }
