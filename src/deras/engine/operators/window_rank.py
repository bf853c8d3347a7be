"""Top-N of windows: the first rows of each window and key, given once, when the watermark has passed its end."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.time import MIN_WATERMARK
from deras.core.types import BIGINT
from deras.engine.operator import AT_ONCE, PIECE, Operator, Out
from deras.engine.ranking import Ranking, SortKey
from deras.engine.rejects import reject_rows
from deras.engine.toplist import TopList, fits
from deras.engine.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.records import Rejected
    from deras.core.schema import Field
    from deras.core.time import Tick
    from deras.engine.state import State

_END = BIGINT.with_nullable(False)
_NONE = np.zeros(0, np.int64)


class WindowRank(Operator):
    """Gives the rows of each window and key whose rank lies in a range; insert-only, by window end, then by key in the
    order of the keys' first rows, then by rank. The input only inserts.

    A row is late when the watermark that it saw had reached the last millisecond of its window. A step gives the rows
    of at most ``piece`` keys; the watermark stays behind those that are owed.

    Args:
        input: schema of the rows, which has the window's end.
        end: position of the window's end.
        partition: positions of the key (without the window's bounds).
        order: by what; then by arrival.
        first: least rank, from 1.
        last: greatest rank.
        rank: the output's rank column, or None if it is not wanted.
        function: ``ROW_NUMBER``, ``RANK`` or ``DENSE_RANK``.
        zone: the session's zone where the window's time is TIMESTAMP_LTZ, else None.
        latest: of equal rows the last arrived comes first.
        origin: what rejected rows are said to come from.
    """

    append_only = True
    piece: int = PIECE // 4
    """Keys of which a step gives the rows."""

    def __init__(
        self,
        input: Schema,  # noqa: A002
        end: int,
        partition: Sequence[int],
        order: Sequence[SortKey],
        first: int = 1,
        last: int | None = None,
        rank: Field | None = None,
        function: str = "ROW_NUMBER",
        zone: str | None = None,
        latest: bool = False,
        origin: str = "WindowRank",
    ) -> None:
        self.input = input
        self.end = end
        self.rank = rank
        self.function = function
        self.origin = origin
        self.schema = Schema(input.fields if rank is None else (*input.fields, rank))
        # Only what tells when a window ends: its size does not matter.
        self.windows = Windows("tumble", 1, zone=zone)
        self.partition = tuple(partition)
        self._ranking = Ranking(input, partition, order, function, first, last, latest=latest, more_keys=[_END])
        self._top: TopList | None = None
        if last is not None and fits(partition, function, last):
            self._top = TopList(input, partition, order, first, last, latest=latest, more_keys=[_END])
        self._clear()

    def _clear(self) -> None:
        self._members: dict[int, list[Any]] = {}
        self._waiting: list[tuple[int, int]] = []

    def open(self, state: State) -> None:
        """The rows of windows that have not fired."""
        self._rows = self._top or self._ranking
        self._rows.open(state)
        self._values = state.values("window")
        state.on_restore(self._rebuild)

    def _rebuild(self) -> None:
        self._clear()
        for rows, columns in self._rows.restored():
            ends = self._ends(columns)
            ids = self._keys(columns, ends)
            self._take(columns, ids, ends, rows)

    def _ends(self, columns: Sequence[Column]) -> Any:
        column = columns[self.end]
        return np.ascontiguousarray(column.words() // column.type.words_per_ms)

    def _keys(self, columns: Sequence[Column], ends: Any) -> Any:
        return self._rows.keys(columns, len(ends), [Column.of_words(_END, ends)])

    def _take(self, columns: Sequence[Column], ids: Any, ends: Any, given: Any = None) -> Any:
        """Rows into their windows; gives those that went. ``given``: where they lie in state already."""
        if self._top is not None:
            found = self._top.change(columns, ids, 0, given)
            self._note(found.keys[found.fresh], ends[found.first[found.fresh]])
            return found.dead
        r = self._ranking
        some = r.promising(columns, ids) if given is None else None
        if some is not None:
            # The others come too late for a key that has rows.
            columns, ids, ends = [c.take(some) for c in columns], ids[some], ends[some]
        keys, first = r.touched(ids)
        fresh = np.flatnonzero(r.index.tab[keys, r.index.cell0 + 1] == 0)
        self._note(keys[fresh], ends[first[fresh]])
        if given is not None:
            r.place(ids, given, columns)
            return _NONE
        return r.change(columns, None, ids)[0]

    def _note(self, keys: Any, ends: Any) -> None:
        """Remember new keys with their windows."""
        for end in np.unique(ends).tolist():
            if end not in self._members:
                self._members[end] = []
                heapq.heappush(self._waiting, (self._fire_at(end), end))
            self._members[end].append(keys[ends == end])

    def _fire_at(self, end: int) -> int:
        return int(self.windows.fire_at(np.array([end], np.int64))[0])

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Take the rows, fire the windows."""
        low = max(tick.low, int(self._values.get("watermark", MIN_WATERMARK)))
        high = max(low, tick.high)
        self._values["watermark"] = high
        delta = deltas[0]
        dropped: list[Rejected] = []
        seen = np.array([low], np.int64)
        r = self._rows
        dead = _NONE
        if delta is not None and delta.length:
            marks = np.maximum.accumulate(np.maximum(delta.mark_array(), low))
            seen = np.unique(np.append(marks, low))
            ends = self._ends(delta.columns)
            good = self.windows.fire_at(ends) > marks
            if not good.all():
                late = np.flatnonzero(~good)
                text = "late for its window in a Top-N: the watermark had passed the window's end"
                dropped.append(
                    reject_rows(delta, late, [text] * len(late), reason="late", origin=self.origin, rowtime=self.end)
                )
                places = np.flatnonzero(good)
                delta, ends = delta.take(places), ends[places]
            if delta.length:
                dead = self._take(delta.columns, self._keys(delta.columns, ends), ends)
        fired = []
        keys = []
        owed = self._values.get("owed")
        if owed:
            seen = np.concatenate([np.array(owed, np.int64), seen])
        room = self.piece
        while self._waiting and self._waiting[0][0] <= high and room > 0:
            at, end = self._waiting[0]
            parts = self._members[end]
            ids = parts[0] if len(parts) == 1 else np.concatenate(parts)
            if len(ids) > room:
                self._members[end] = [ids[room:]]
                ids = ids[:room]
            else:
                heapq.heappop(self._waiting)
                del self._members[end]
            room -= len(ids)
            if self._top is not None:
                listing, gone = self._top.listing(ids), self._top.all_of(ids)
            else:
                listing, beyond = self._ranking.listing(ids)
                gone = np.concatenate([beyond, self._ranking.all_of(ids)])
            rows = listing.rows
            if len(rows):
                columns = r.segments.take(rows)
                if self.rank is not None:
                    columns.append(Column.of_words(self.rank.type, listing.ranks))
                # What was the watermark just before the one that fired it: the greatest one seen below.
                mark = int(seen[max(int(np.searchsorted(seen, at, "left")) - 1, 0)])
                fired.append(Delta(self.schema, columns, None, mark, len(rows)))
            dead = np.concatenate([dead, gone])
            keys.append(ids)
        r.forget(dead)
        for ids in keys:
            r.index.release(ids)
        dues = np.array([at for at, _ in self._waiting if at <= high], np.int64) if room <= 0 else _NONE
        if len(dues):
            # Only what the rows to come must know.
            self._values["owed"] = np.unique(seen[np.maximum(np.searchsorted(seen, dues, "left") - 1, 0)]).tolist()
        elif owed:
            del self._values["owed"]
        return Out(Delta.concat(fired) if fired else None, dropped)

    def wake(self) -> int | None:
        """At once, while results are owed."""
        return AT_ONCE if "owed" in self._values else None

    def hold(self, high: int) -> int:
        """While results are owed: the watermark before the first of them fell due."""
        owed = self._values.get("owed")
        return int(owed[0]) if owed else high

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        r = self._ranking
        return {
            "operator": "WindowRank",
            "function": self.function,
            "partition": [self.input[i].name for i in self.partition],
            "order": [key.text(self.input) for key in r.order],
            "ranks": f"{r.first} to {r.last}",
            "state": f"the first {r.last} rows of each key and window that has not fired",
            "bounded": True,
        }
