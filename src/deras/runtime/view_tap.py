"""Reading a materialised view as a stream: first the rows that it has, then its changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deras.core.column import Column
from deras.core.delta import Delta
from deras.engine.operator import Operator, Out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.state import State


class ViewTap(Operator):
    """Passes a view's changes on; gives the rows that the view had before first.

    Args:
        schema: the view's.
        append_only: whether the view only grows.
        first: the rows at the time of attaching, or None.
    """

    def __init__(self, schema: Schema, append_only: bool, first: Delta | None = None) -> None:
        self.schema = schema
        self.append_only = append_only
        self._first = first
        self._values: dict[str, Any] = {}

    def open(self, state: State) -> None:
        """Whether the first rows are given."""
        self._values = state.values("tap")

    def wake(self) -> int | None:
        """At once, while the first rows wait."""
        return None if self._first is None else 0

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """First rows, then changes."""
        (delta,) = deltas
        first, self._first = self._first, None
        self._values["given"] = True
        if first is None or not first.length:
            return Out(delta)
        return Out(first if delta is None else Delta.concat([first, delta]))

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {"operator": "View", "state": "none"}


def as_delta(snapshot: Any, schema: Schema) -> Delta:
    """The rows of a snapshot as one delta of +1."""
    frame = snapshot.frame()
    columns = [Column.of_series(f.type, frame.to_series(i)) for i, f in enumerate(schema)]
    return Delta(schema, columns, length=frame.height)
