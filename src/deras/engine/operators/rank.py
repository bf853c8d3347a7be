"""Top-N: of each key the rows whose rank is in a range, as rows come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.types import BIGINT
from deras.engine.operator import Operator, Out
from deras.engine.operators.join import single
from deras.engine.ranking import Listing, Ranking, SortKey, key_types
from deras.engine.rejects import reject_rows
from deras.engine.state.idle import KeyClock
from deras.engine.state.rowset import keyable
from deras.engine.toplist import TopList, fits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.records import Rejected
    from deras.core.schema import Field
    from deras.core.time import Tick
    from deras.engine.state import State
    from deras.engine.state.idle import Keys

RANK_TYPE = BIGINT.with_nullable(False)
"""The type of ROW_NUMBER, RANK and DENSE_RANK."""


class Rank(Operator):
    """Gives the rows of each key whose rank lies between ``first`` and ``last``, and each change of them once a step.

    Equal rows rank in the order of their arrival. With the rank in the output every row that moves is an update of its
    rank; without it only rows that enter and leave are told: first those that leave.
    Where the input only inserts, no more than ``last`` rows of a key are kept, else all: short lists
    (:class:`~deras.engine.toplist.TopList`) where that does, else trees.

    With a TTL a key is forgotten with its rows, without a word, when no row of it came for so long.

    Args:
        input: schema of the rows.
        partition: positions of the key; none for one ranking of all rows.
        order: by what; none: by arrival.
        first: least rank, from 1.
        last: greatest rank; None with ``limit``, or for all (ranks from ``first`` on).
        rank: the output's rank column, or None if it is not wanted.
        function: ``ROW_NUMBER``, ``RANK`` or ``DENSE_RANK``.
        input_append: whether the input only inserts.
        identity: positions that identify an input row for removal; () for all columns.
        limit: position of a column with the greatest rank of its key; what the key's first row says counts.
        latest: of equal rows the last arrived comes first.
        origin: what rejected rows are said to come from.
        ttl: after how many ms of processing time without a row a key is forgotten; 0: never.
        forgetful: an operator before this one forgets, so that rows may be taken back that are not there.
    """

    def __init__(
        self,
        input: Schema,  # noqa: A002
        partition: Sequence[int],
        order: Sequence[SortKey],
        first: int = 1,
        last: int | None = None,
        rank: Field | None = None,
        function: str = "ROW_NUMBER",
        input_append: bool = True,
        identity: Sequence[int] = (),
        limit: int | None = None,
        latest: bool = False,
        origin: str = "Rank",
        ttl: int = 0,
        forgetful: bool = False,
    ) -> None:
        self.input = input
        self.rank = rank
        self.function = function
        self.input_append = input_append
        self.origin = origin
        self.ttl = ttl
        self._forgetful = forgetful or ttl > 0
        fields = input.fields if rank is None else (*input.fields, rank)
        self.schema = Schema(fields)
        self._top: TopList | None = None
        if input_append and limit is None and last is not None and fits(partition, function, last):
            self._top = TopList(input, partition, order, first, last, latest=latest)
        self._ranking = Ranking(
            input,
            partition,
            order,
            function,
            first,
            last,
            updating=not input_append,
            identity=identity,
            limit=limit,
            latest=latest,
        )
        # The first rows of each key in order of arrival never change.
        self.append_only = input_append and not order and not latest

    def open(self, state: State) -> None:
        """The rows."""
        kept = self._top or self._ranking
        kept.open(state)
        types = key_types(self.input, self._ranking.partition)
        self._clock = KeyClock(state, "keys", types, self.ttl) if self.ttl else None
        state.on_restore(kept.rebuild)

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Take the rows; give the changes."""
        delta = deltas[0]
        ranking = self._ranking
        if self._clock is not None:
            self._clock.begin(tick.now)
            self._forget(self._clock.stale())
        if delta is None or not delta.length:
            return Out()
        if self._clock is not None:
            columns = [keyable(delta.columns[i]) for i in ranking.partition]
            self._forget(self._clock.visit(columns, delta.length))
        if self._top is not None:
            return Out(self._listed(self._top, delta))
        if not self.input_append:
            delta = single(delta)
        ids = ranking.keys(delta.columns, delta.length)
        if self.input_append and (some := ranking.promising(delta.columns, ids)) is not None:
            if not len(some):
                return Out()
            delta, ids = delta.take(some), ids[some]
        keys, first = ranking.touched(ids)
        old, _ = ranking.listing(keys)
        weights = None if self.input_append else delta.weight_array()
        dead, absent = ranking.change(delta.columns, weights, ids)
        new, beyond = ranking.listing(keys)
        out = self._changes(old, new, delta, first)
        ranking.forget(np.concatenate([dead, beyond]) if len(beyond) else dead, None if self.input_append else keys)
        dropped: list[Rejected] = []
        if len(absent) and not self._forgetful:
            text = "a row is taken back that never came"
            dropped.append(reject_rows(delta, absent, [text] * len(absent), reason="constraint", origin=self.origin))
        return Out(out, dropped)

    def _listed(self, top: TopList, delta: Delta) -> Delta | None:
        found = top.change(delta.columns, top.keys(delta.columns, delta.length), 1 if self.rank is None else 2)
        out = None
        if len(found.rows):
            columns = top.segments.take(found.rows)
            if self.rank is not None:
                columns.append(Column.of_words(self.rank.type, found.ranks))
            marks = delta.marks[found.at] if isinstance(delta.marks, np.ndarray) else delta.marks
            out = Delta(self.schema, columns, None if self.append_only else found.signs, marks, len(found.rows))
        top.forget(found.dead)
        return out

    def _forget(self, keys: Keys) -> None:
        columns, n = keys
        if n and self._clock is not None:
            kept = self._top or self._ranking
            ids = kept.index.lookup(columns, insert=False, length=n)
            ids = ids[ids >= 0]
            kept.drop(ids)
            self._clock.count(len(ids))

    def wake(self) -> int | None:
        """When it looks for idle keys."""
        return None if self._clock is None else self._clock.due()

    def _changes(self, old: Listing, new: Listing, delta: Delta, first: Any) -> Delta | None:
        rows, ranks, signs, owner = self._ranking.differ(old, new, self.rank is not None)
        if not len(rows):
            return None
        columns = self._ranking.segments.take(rows)
        if self.rank is not None:
            columns.append(Column.of_words(self.rank.type, ranks))
        marks = delta.marks[first[owner]] if isinstance(delta.marks, np.ndarray) else delta.marks
        return Delta(self.schema, columns, None if self.append_only else signs, marks, len(rows))

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        r = self._ranking
        last = self.input[r.limit].name if r.limit is not None else r.last
        return {
            **({"ttl": self.ttl} if self.ttl else {}),
            "operator": "Rank",
            "function": self.function,
            "partition": [self.input[i].name for i in r.partition],
            "order": [key.text(self.input) for key in r.order],
            "ranks": f"{r.first} to {last if last is not None else 'all'}",
            "state": f"the first {last} rows of each key" if self.input_append and last is not None else "all rows",
            "bounded": self.input_append and not r.partition and r.last is not None,
        }
