"""Columns that are gathered when they are read: of rows that an operator drops, the other columns never are."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.column import Column
from deras.core.delta import Delta

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deras.core.types import SqlType

Places = npt.NDArray[np.int64]

WORTH = 256
"""Fewer rows are gathered at once: that costs less than to remember how."""
TOGETHER = 4096
"""Of so many rows, or fewer, columns of one source are gathered together: each alone costs nearly as much as all."""


class Pick:
    """Positions that several columns share; positions of these are worked out once for all of them."""

    __slots__ = ("_last", "rows")

    def __init__(self, rows: Places) -> None:
        self.rows = rows
        self._last: tuple[Places, Pick] | None = None

    def of(self, rows: Places) -> Pick:
        """The positions at these positions."""
        if self._last is None or self._last[0] is not rows:
            self._last = (rows, Pick(self.rows[rows]))
        return self._last[1]


class LateColumn(Column):
    """A column that is gathered when it is read; :meth:`take` and :meth:`slice` before that only change what will be.

    Args:
        type_: of the values.
        gather: gives the column of some positions, the same whenever it is called.
        pick: the positions.
        source: what lasting source it is a column of, see :func:`late_gather`, and its number there.
    """

    __slots__ = ("_gather", "_made", "_pick", "_source")

    def __init__(
        self,
        type_: SqlType,
        gather: Callable[[Places], Column],
        pick: Pick,
        source: tuple[object, int] | None = None,
    ) -> None:
        self.type = type_
        self.length = len(pick.rows)
        self._gather = gather
        self._pick = pick
        self._source = source
        self._made: Column | None = None

    def _forced(self) -> Column:
        if self._made is None:
            found = self._gather(self._pick.rows)
            self._made = found if found.type is self.type else found.with_type(self.type)
            del self._gather
            if self._source is None:
                del self._pick
        return self._made

    # What a column holds is asked for under these names only.

    @property
    def _array(self) -> Any:
        return self._forced()._array

    @_array.setter
    def _array(self, value: Any) -> None:
        self._forced()._array = value

    @property
    def _series(self) -> Any:
        return self._forced()._series

    @_series.setter
    def _series(self, value: Any) -> None:
        self._forced()._series = value

    @property
    def _valid(self) -> Any:
        return self._forced()._valid

    @_valid.setter
    def _valid(self, value: Any) -> None:
        self._forced()._valid = value

    @property
    def _has_valid(self) -> bool:
        return self._forced()._has_valid

    @_has_valid.setter
    def _has_valid(self, value: bool) -> None:
        self._forced()._has_valid = value

    def settle(self) -> None:
        """Gather it now; nothing else is held afterwards."""
        self._forced()
        if self._source is not None:
            self._source = None
            del self._pick

    def take(self, rows: Places) -> Column:
        """The rows at these positions, in this order; not gathered yet if this one is not."""
        if self._made is not None:
            return self._made.take(rows)
        return LateColumn(self.type, self._gather, self._pick.of(rows), self._source)

    def slice(self, start: int, stop: int) -> Column:
        """Rows start..stop."""
        if self._made is not None:
            return self._made.slice(start, stop)
        return LateColumn(self.type, self._gather, Pick(self._pick.rows[start:stop]), self._source)

    def with_type(self, type_: SqlType) -> Column:
        """The same values under another type of the same layout."""
        if self._made is not None:
            return self._made.with_type(type_)
        return LateColumn(type_, self._gather, self._pick, self._source)


def settle(delta: Delta) -> Delta:
    """The same delta, with all that is to be gathered gathered now: for who keeps it beyond the step, or elsewhere."""
    for c in delta.columns:
        if isinstance(c, LateColumn):
            c.settle()
    return delta


def source_of(columns: Sequence[Column]) -> tuple[object, tuple[int, ...], Places] | None:
    """The lasting source that all of the columns are of, their numbers there, and the positions; None if there is none.

    Equal positions in equal columns of one source have equal values, in whatever step.
    """
    first = columns[0] if columns else None
    if not isinstance(first, LateColumn) or first._source is None:
        return None
    source, pick = first._source[0], first._pick
    numbers = []
    for c in columns:
        if not isinstance(c, LateColumn) or c._source is None or c._source[0] is not source or c._pick is not pick:
            return None
        numbers.append(c._source[1])
    return source, tuple(numbers), pick.rows


class _Source:
    """Columns that lie side by side: of few rows all are gathered when one is read."""

    __slots__ = ("_gather", "_made", "_rows")

    def __init__(self, gather: Callable[[Places, Sequence[int] | None], list[Column]]) -> None:
        self._gather = gather
        self._rows: Places | None = None
        self._made: list[Column] = []

    def column(self, i: int, rows: Places) -> Column:
        if len(rows) > TOGETHER:
            return self._gather(rows, (i,))[0]
        if self._rows is not rows:
            self._rows, self._made = rows, self._gather(rows, None)
        return self._made[i]


def late_gather(
    types: Sequence[SqlType],
    gather: Callable[[Places, Sequence[int] | None], list[Column]],
    rows: Places,
    lasting: object = None,
) -> list[Column]:
    """The columns that ``gather(rows, positions of columns)`` gives (None: all), each gathered when it is read.

    ``gather`` is called at any later time, as long as one of the columns lives. A ``lasting`` object promises more:
    whenever it is given again, equal positions are of equal rows.
    """
    if len(rows) < WORTH:
        return gather(rows, None)
    source, pick = _Source(gather), Pick(rows)
    return [
        LateColumn(t, partial(source.column, i), pick, None if lasting is None else (lasting, i))
        for i, t in enumerate(types)
    ]


def late_take(columns: Sequence[Column], rows: Places) -> list[Column]:
    """The rows of columns at these positions; of many rows each column only when it is read."""
    if len(rows) < WORTH:
        return [c.take(rows) for c in columns]
    pick = Pick(rows)
    return [c.take(rows) if isinstance(c, LateColumn) else LateColumn(c.type, c.take, pick) for c in columns]


def late_concat(deltas: Sequence[Delta]) -> Delta:
    """As :meth:`Delta.concat`, but columns that are not gathered yet stay so."""
    some = [d for d in deltas if d.length]
    if len(some) < 2 or not any(isinstance(c, LateColumn) for d in some for c in d.columns):
        return Delta.concat(deltas)
    rest = Delta.concat([Delta(d.schema, (), d.weights, d.marks, d.length) for d in some])
    split = _Split(np.cumsum([d.length for d in some]))
    pick = Pick(split.whole)
    columns = [
        LateColumn(f.type, _Parts(split, [d.columns[i] for d in some]), pick) for i, f in enumerate(some[0].schema)
    ]
    return Delta(some[0].schema, columns, rest.weights, rest.marks, rest.length)


class _Split:
    """Positions in columns that stand one after the other, each as those in its own; worked out once for all."""

    __slots__ = ("_back", "_ends", "_parts", "_rows", "whole")

    def __init__(self, ends: Places) -> None:
        self._ends = ends
        self.whole = np.arange(ends[-1])
        self._rows: Places | None = None

    def of(self, rows: Places) -> tuple[list[Places], Places | None]:
        """The positions in each column, and how their values are then to be ordered (None: as they are)."""
        if self._rows is not rows:
            part = np.searchsorted(self._ends, rows, "right")
            self._rows, self._back = rows, None
            if (part[1:] < part[:-1]).any():
                order = np.argsort(part, kind="stable")
                self._back = np.empty(len(order), np.int64)
                self._back[order] = np.arange(len(order))
                rows, part = rows[order], part[order]
            cuts = np.searchsorted(part, np.arange(len(self._ends) + 1)).tolist()
            begins = [0, *self._ends[:-1].tolist()]
            self._parts = [rows[a:b] - begin for a, b, begin in zip(cuts[:-1], cuts[1:], begins, strict=True)]
        return self._parts, self._back


class _Parts:
    """Columns that stand one after the other."""

    __slots__ = ("_columns", "_split")

    def __init__(self, split: _Split, columns: Sequence[Column]) -> None:
        self._split = split
        self._columns = columns

    def __call__(self, rows: Places) -> Column:
        if rows is self._split.whole:
            return Column.concat(self._columns)
        parts, back = self._split.of(rows)
        found = [c.take(p) for c, p in zip(self._columns, parts, strict=True) if len(p)]
        made = Column.concat(found) if found else self._columns[0].slice(0, 0)
        return made if back is None else made.take(back)
