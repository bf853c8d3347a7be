"""The views that can be asked, by name: each gives an immutable snapshot of the last step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from deras.core.errors import DerasError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

    from deras.core.schema import Schema


class Snapshot(Protocol):
    """All rows of a view after a step; immutable, and cheap until asked for rows."""

    @property
    def rows(self) -> int:
        """How many."""
        ...

    @property
    def step(self) -> int:
        """The step after which they stood so."""
        ...

    @property
    def watermark(self) -> int:
        """The view's watermark then, ms."""
        ...

    def arrow(self) -> pa.Table:
        """The rows, columns named as in SQL."""
        ...


class UnknownViewError(DerasError):
    """There is no view of this name."""

    code = "unknown-view"


@dataclass(frozen=True, slots=True)
class View:
    """A view.

    Args:
        name: as in SQL.
        schema: columns and key.
        comment: the user's words.
        append_only: rows only come.
        take: gives a snapshot; from any thread.
        system: one of ours (``deras_…``).
    """

    name: str
    schema: Schema
    take: Callable[[], Any]
    comment: str = ""
    append_only: bool = False
    system: bool = False

    def snapshot(self) -> Snapshot:
        """Its rows now."""
        found: Snapshot = self.take()
        return found


class Views(Mapping[str, View]):
    """Views by name. Changed and read from any thread."""

    def __init__(self) -> None:
        self._views: dict[str, View] = {}
        self._lock = threading.Lock()
        self.together: Callable[[Callable[[], Any]], Any] = lambda fn: fn()
        """Runs a function while no step is under way, so that several snapshots are of one moment."""

    def add(self, view: View) -> None:
        """Add or replace one."""
        with self._lock:
            self._views = {**self._views, view.name: view}

    def remove(self, name: str) -> None:
        """Take one away, if it is there."""
        with self._lock:
            self._views = {n: v for n, v in self._views.items() if n != name}

    def __getitem__(self, name: str) -> View:
        found = self._views.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def view(self, name: str) -> View:
        """A view by name; ``UnknownViewError`` with "did you mean"."""
        found = self._views.get(name)
        if found is None:
            hint = did_you_mean(name, self._views) or "CREATE MATERIALIZED VIEW makes one."
            raise UnknownViewError(f"there is no view '{name}'", hint=hint)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def snapshots(self, names: list[str]) -> dict[str, Snapshot]:
        """Snapshots of several views as of one moment between two steps."""
        views = [self.view(n) for n in names]
        if len(views) < 2:
            return {v.name: v.snapshot() for v in views}
        found: dict[str, Snapshot] = self.together(lambda: {v.name: v.snapshot() for v in views})
        return found
