"""GROUP BY without windows: a result per key that changes as rows come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.delta import Delta
from deras.engine.accumulator import Accumulator
from deras.engine.kernels import idle as k
from deras.engine.operator import Operator, Out
from deras.engine.rejects import reject_errors
from deras.engine.state.idle import Idle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.column import Column
    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.aggregates import AggregateCall
    from deras.engine.state import State


class GroupAggregate(Operator):
    """Keeps the aggregates of every key, and gives each change of a result once a step: the old goes, the new comes.

    Keys change in the order in which the step touched them first. A key whose last row went goes, too. Without keys
    there is one row, from the first input row on (none on empty input, as in Flink's streaming mode).

    With a TTL a key to which no row came for so long is forgotten, without a word: when it comes again it begins anew,
    and what takes a forgotten row back changes nothing.

    Args:
        input: schema of the rows.
        keys: positions of the key columns.
        calls: the aggregates.
        schema: the output: keys, then aggregates.
        input_append: whether the input only inserts.
        emit_unchanged: send old and new also where they are equal.
        ttl: after how many ms of processing time without a row a key is forgotten; 0: never.
        forgetful: an operator before this one forgets, so that rows may be taken back that are not there.
        origin: what rejected rows are said to come from.
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
        ttl: int = 0,
        forgetful: bool = False,
        origin: str = "GroupAggregate",
    ) -> None:
        self.origin = origin
        self.input = input
        self.keys = tuple(keys)
        self.calls = tuple(calls)
        self.schema = schema
        self.input_append = input_append
        # As in Flink: an update that changes nothing still keeps what comes later from forgetting.
        self.emit_unchanged = emit_unchanged or ttl > 0
        self.ttl = ttl
        self._forgetful = (forgetful or ttl > 0) and not input_append
        types = [input[i].type for i in self.keys]
        self._groups = Accumulator(
            types,
            self.calls,
            input,
            updating=not input_append,
            released=not input_append or ttl > 0,
            extra=1 if ttl else 0,
        )

    def open(self, state: State) -> None:
        """The groups and, where needed, their values."""
        self._groups.open(state)
        self._idle = Idle(state, "groups", self.ttl) if self.ttl or self._forgetful else None

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Take the rows; give the changes."""
        delta = deltas[0]
        if self._idle is not None:
            self._idle.begin(tick.now)
            if self.ttl:
                self._expire(self._idle.keys(self._groups.groups, self._time))
        if delta is None or not delta.length:
            return Out()
        groups = self._groups
        keys = [delta.columns[i] for i in self.keys]
        ids = None
        if self._idle is not None:
            delta, keys, ids = self._known(self._idle, delta, keys)
            if not delta.length:
                return Out()
        touched = groups.update(delta, keys, keep_old=True, ids=ids)
        dropped = reject_errors(delta, touched.errors, self.origin) if touched.errors else ()
        if not len(touched.ids):
            return Out(None, dropped)
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
        return Out(out, dropped)

    @property
    def _time(self) -> int:
        """The column of the table of groups with the time of the last row."""
        return self._groups.groups.cell0 + self._groups.extra

    def _known(self, idle: Idle, delta: Delta, keys: list[Column]) -> tuple[Delta, list[Column], Any]:
        """The rows that count, and the ids of their keys: what is idle goes before it is read."""
        index = self._groups.groups
        ids = index.lookup(keys, length=delta.length)
        if self.ttl and len(gone := idle.among(ids, index, self._time)):
            self._expire(gone)
            ids = index.lookup(keys, length=delta.length)
        if self._forgetful and delta.weights is not None:
            out = np.empty(delta.length, np.int64)
            m = k.grounded(ids, np.ascontiguousarray(delta.weights), index.tab, index.cell0 + 1, out)
            if m < delta.length:
                idle.absorb(delta.length - m)
                some = out[:m]
                left = ids[some]
                fresh = np.setdiff1d(ids, left)
                index.release(fresh[index.tab[fresh, index.cell0 + 1] == 0])
                delta, keys, ids = delta.take(some), [c.take(some) for c in keys], left
        if self.ttl:
            idle.wrote(ids, index, self._time)
        return delta, keys, ids

    def _expire(self, ids: Any) -> None:
        if len(ids) and self._idle is not None:
            self._groups.release(ids)
            self._idle.count(len(ids))

    def wake(self) -> int | None:
        """When it looks for idle keys."""
        return self._idle.wake(len(self._groups.groups)) if self.ttl and self._idle is not None else None

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {
            **({"ttl": self.ttl} if self.ttl else {}),
            "operator": "GroupAggregate",
            "keys": [self.input[i].name for i in self.keys],
            "aggregates": [str(c) for c in self.calls],
            "state": "cells of each key"
            + (", values of each key" if self._groups.layouts.sets else "")
            + (", accumulators of each key" if self._groups.users is not None else ""),
            "bounded": not self.keys and not self._groups.layouts.sets,
        }
