"""GROUP BY without windows: a result per key that changes as rows come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.delta import Delta
from deras.engine.accumulator import Accumulator
from deras.engine.operator import Operator, Out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.aggregates import AggregateCall
    from deras.engine.state import State


class GroupAggregate(Operator):
    """Keeps the aggregates of every key, and gives each change of a result once a step: the old goes, the new comes.

    Keys change in the order in which the step touched them first. A key whose last row went goes, too. Without keys
    there is one row, from the first input row on (none on empty input, as in Flink's streaming mode).

    Args:
        input: schema of the rows.
        keys: positions of the key columns.
        calls: the aggregates.
        schema: the output: keys, then aggregates.
        input_append: whether the input only inserts.
        emit_unchanged: send old and new also where they are equal.
    """

    append_only = False

    def __init__(
        self,
        input: Schema,  # noqa: A002
        keys: Sequence[int],
        calls: Sequence[AggregateCall],
        schema: Schema,
        input_append: bool,
        emit_unchanged: bool = False,
    ) -> None:
        self.input = input
        self.keys = tuple(keys)
        self.calls = tuple(calls)
        self.schema = schema
        self.input_append = input_append
        self.emit_unchanged = emit_unchanged
        types = [input[i].type for i in self.keys]
        self._groups = Accumulator(types, self.calls, input, updating=not input_append, released=not input_append)

    def open(self, state: State) -> None:
        """The groups and, where needed, their values."""
        self._groups.open(state)

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Take the rows; give the changes."""
        delta = deltas[0]
        if delta is None or not delta.length:
            return Out()
        groups = self._groups
        keys = [delta.columns[i] for i in self.keys]
        touched = groups.update(delta, keys, keep_old=True)
        places, weights, results = groups.changes(touched, always=self.emit_unchanged)
        out = None
        if len(places):
            rows = touched.first[places]
            marks = delta.marks[rows] if isinstance(delta.marks, np.ndarray) else delta.marks
            named = [c.take(rows) for c in keys]
            out = Delta(self.schema, [*named, *results], weights, marks, len(places))
        groups.tidy()
        if not self.input_append:
            index = groups.groups
            gone = touched.ids[index.tab[touched.ids, index.cell0 + 1] == 0]
            groups.release(gone)
        return Out(out)

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {
            "operator": "GroupAggregate",
            "keys": [self.input[i].name for i in self.keys],
            "aggregates": [str(c) for c in self.calls],
            "state": "cells of each key" + (", values of each key" if self._groups.layouts.sets else ""),
            "bounded": not self.keys and not self._groups.layouts.sets,
        }
