"""OVER where rows come between others, change or go: the results around them change with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.types import Layout
from deras.engine.kernels import over as k
from deras.engine.operator import Operator, Out
from deras.engine.operators.join import single
from deras.engine.over_evaluation import Evaluation
from deras.engine.ranking import Ranking
from deras.engine.rejects import reject_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.records import Rejected
    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.over import WindowCall
    from deras.engine.ranking import Listing, SortKey
    from deras.engine.state import State

Words = npt.NDArray[np.int64]

_NONE = np.zeros(0, np.int64)


class OverUpdating(Operator):
    """Adds to every row the results of functions over its frame, and gives each change of a result.

    All rows of a partition are kept in order. A step evaluates the partitions that it touches before and after, and
    gives what differs: rows that went, then in the partition's order the old and the new form of each row. A change
    costs as much as its partition is long.

    Args:
        input: schema of the rows.
        partition: positions of the partition's columns.
        order: by what rows are ordered; then by arrival.
        unit: ``rows`` or ``range``.
        lower: distance of the frame's first row before the row (ms for a time); None: all before.
        upper: distance of its last row behind the row; None: all.
        calls: the functions.
        schema: the output: the input's columns, then one for each call.
        input_append: whether the input only inserts.
        identity: positions that identify a row for removal; () for all columns.
        origin: what rejected rows are said to come from.
    """

    append_only = False

    def __init__(
        self,
        input: Schema,  # noqa: A002
        partition: Sequence[int],
        order: Sequence[SortKey],
        unit: Literal["rows", "range"],
        lower: int | None,
        upper: int | None,
        calls: Sequence[WindowCall],
        schema: Schema,
        input_append: bool,
        identity: Sequence[int] = (),
        origin: str = "OverAggregate",
    ) -> None:
        self.input, self.schema = input, schema
        self.partition, self.order = tuple(partition), tuple(order)
        self.unit, self.lower, self.upper = unit, lower, upper
        self.calls = tuple(calls)
        self.input_append = input_append
        self.origin = origin
        self._ranking = Ranking(
            input, partition, order, "DENSE_RANK", updating=not input_append, identity=identity
        )  # fmt: skip
        self._evaluation = Evaluation(input, calls)

    def open(self, state: State) -> None:
        """All rows, in order by key."""
        self._ranking.open(state)
        self._evaluation.open(state)
        state.on_restore(self._ranking.rebuild)

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Take the changes; give those of the results."""
        delta = deltas[0]
        if delta is None or not delta.length:
            return Out()
        if not self.input_append:
            delta = single(delta)
        ranking = self._ranking
        ids = ranking.keys(delta.columns, delta.length)
        keys, first = ranking.touched(ids)
        old, _ = ranking.listing(keys)
        before = self._results(old)
        dead, absent = ranking.change(delta.columns, None if self.input_append else delta.weight_array(), ids)
        new, _ = ranking.listing(keys)
        out = self._changes(old, before, new, self._results(new), delta, first)
        ranking.forget(dead, None if self.input_append else keys)
        dropped: list[Rejected] = []
        if len(absent):
            text = "a row is taken back that never came"
            dropped.append(reject_rows(delta, absent, [text] * len(absent), reason="constraint", origin=self.origin))
        return Out(out, dropped)

    # ---- results

    def _results(self, listing: Listing) -> list[Column]:
        """The results of all rows of some partitions."""
        segments = self._ranking.segments
        n = len(listing.rows)
        lo, hi = np.empty(n, np.int64), np.empty(n, np.int64)
        values, valid, unit = _NONE, _NONE, 1
        distances = self.unit == "range" and (self.lower not in (None, 0) or self.upper not in (None, 0))
        descending = bool(self.order) and self.order[0].descending
        if distances:
            column = segments.take(listing.rows)[self.order[0].column]
            values = np.ascontiguousarray(column.words())
            unit = column.type.words_per_ms if column.type.is_timestamp else 1
            if (bits := column.valid()) is not None:
                valid = bits.astype(np.int64)
        k.spans(
            listing.starts, listing.ranks, self.unit == "rows", self.lower is None, (self.lower or 0) * unit,
            self.upper is None, (self.upper or 0) * unit, values, valid, descending, lo, hi,
        )  # fmt: skip
        return self._evaluation.run(segments, listing.rows, listing.starts, listing.ranks, lo, hi)

    def _changes(
        self, old: Listing, before: list[Column], new: Listing, after: list[Column], delta: Delta, first: Words
    ) -> Delta | None:
        a, b = len(old.rows), len(new.rows)
        was = _find(old.rows, new.rows)  # place before of each row after, or -1
        stays = np.flatnonzero(was >= 0)
        changed = np.zeros(len(stays), np.bool_)
        for x, y in zip(before, after, strict=True):
            changed |= _differ(x.take(was[stays]), y.take(stays))
        gone = np.flatnonzero(_find(new.rows, old.rows) < 0)
        came = np.flatnonzero(was < 0)
        other = stays[changed]
        owner_old = np.repeat(np.arange(len(old.starts) - 1), np.diff(old.starts))
        owner_new = np.repeat(np.arange(len(new.starts) - 1), np.diff(new.starts))
        # Place in old then new, weight, and the order: partition, what went first, place, old before new.
        places = np.concatenate([gone, was[other], a + other, a + came])
        weights = np.concatenate(
            [-np.ones(len(gone) + len(other), np.int64), np.ones(len(other) + len(came), np.int64)]
        )
        owner = np.concatenate([owner_old[gone], owner_new[other], owner_new[other], owner_new[came]])
        at = np.concatenate([gone - a, other, other, came])
        if not len(places):
            return None
        order = np.lexsort((weights, at, owner))
        places, weights, owner = places[order], weights[order], owner[order]
        rows = np.concatenate([old.rows, new.rows])[places]
        n = len(self.input)
        columns = [*self._ranking.segments.take(rows)]
        for f, x, y in zip(self.schema.fields[n:], before, after, strict=True):
            both = Column.concat([x, y]) if a and b else x if a else y
            columns.append(both.take(places).with_type(f.type))
        marks = delta.marks[first[owner]] if isinstance(delta.marks, np.ndarray) else delta.marks
        return Delta(self.schema, columns, weights, marks, len(rows))

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {
            "operator": "OverAggregate",
            "keys": [self.input[i].name for i in self.partition],
            "order": [o.text(self.input) for o in self.order],
            "calls": [str(c) for c in self.calls],
            "state": "all rows",
            "bounded": False,
        }


def _find(rows: Words, wanted: Words) -> Words:
    """The place in ``rows`` of each wanted one, -1 if it is not there."""
    if not len(rows):
        return np.full(len(wanted), -1, np.int64)
    order = np.argsort(rows, kind="stable")
    at = np.minimum(np.searchsorted(rows[order], wanted), len(rows) - 1)
    found = order[at]
    return np.where(rows[found] == wanted, found, -1)


def _differ(a: Column, b: Column) -> Any:
    """Where two columns are not the same, by bits."""
    if a.type.layout is Layout.FLOATS:
        words = a.floats().view(np.int64) != b.floats().view(np.int64)
        x, y = a.valid(), b.valid()
        u = np.ones(len(a), np.uint8) if x is None else x
        v = np.ones(len(b), np.uint8) if y is None else y
        return (u != v) | (words & (u != 0))
    return ~a.series().eq_missing(b.series()).to_numpy()
