"""Aggregates that a user's program computes: an accumulator of its own for every group."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.column import Column
from deras.core.schema import Field, Schema
from deras.core.types import STRING
from deras.engine.operator import RowErrors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.delta import Delta
    from deras.core.types import SqlType
    from deras.engine.aggregates import AggregateCall
    from deras.engine.state import Index, Segments, State

Words = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint8]


class AggregateProgram(abc.ABC):
    """What computes an aggregate row by row. An accumulator is any object, changed in place.

    Args (attributes):
        name: in messages and plans.
        retracts: whether rows can be taken back.
    """

    name: str
    retracts: bool

    @abc.abstractmethod
    def rows(self, columns: Sequence[Column], length: int) -> list[tuple[Any, ...]]:
        """The arguments of each row."""

    @abc.abstractmethod
    def create(self) -> Any:
        """The accumulator of a new group."""

    @abc.abstractmethod
    def accumulate(self, accumulator: Any, args: tuple[Any, ...]) -> None:
        """Take a row. May raise anything: the row fails alone."""

    @abc.abstractmethod
    def retract(self, accumulator: Any, args: tuple[Any, ...]) -> None:
        """Take a row back."""

    @abc.abstractmethod
    def value(self, accumulator: Any) -> Any:
        """The result of a group; the object is its own, not a part of the accumulator."""

    @abc.abstractmethod
    def column(self, values: Sequence[Any]) -> Column:
        """Results as a column."""

    @abc.abstractmethod
    def save(self, accumulator: Any) -> str:
        """The accumulator as text, for a checkpoint."""

    @abc.abstractmethod
    def load(self, text: str) -> Any:
        """What :meth:`save` wrote."""

    @abc.abstractmethod
    def message(self, e: Exception) -> str:
        """What a user reads of an exception."""


class UserGroups:
    """The accumulators of all groups.

    They are objects while the operator runs, and become rows of text (group's key, then a text for each aggregate) at a
    checkpoint: only those of groups touched since the one before.

    Args:
        calls: the aggregates; each has a program.
        key_types: of a group's key.
    """

    def __init__(self, calls: Sequence[AggregateCall], key_types: Sequence[SqlType]) -> None:
        self.calls = tuple(calls)
        self.programs = [c.program for c in calls if c.program is not None]
        fields = [Field(f"k{i}", t) for i, t in enumerate(key_types)]
        fields += [Field(f"a{i}", STRING) for i in range(len(self.calls))]
        self._schema = Schema(tuple(fields))
        self._groups: Index
        self._saved: Segments
        self._held: dict[int, list[Any]] = {}
        self._results: dict[int, list[Any]] = {}
        self._dirty: set[int] = set()
        self._places: dict[int, int] = {}
        self._tried = False

    def open(self, state: State, groups: Index) -> None:
        """Ask for the part of the state."""
        self._groups = groups
        self._saved = state.segments("accumulators", self._schema)
        state.on_freeze(self._write)
        state.on_restore(self._read)

    # ---- checkpoints

    def _write(self) -> None:
        ids = [i for i in self._dirty if i in self._held]
        self._dirty.clear()
        if not ids:
            return
        texts = [[p.save(a) for a in column] for p, column in zip(self.programs, self._columns(ids), strict=True)]
        gone = [self._places[i] for i in ids if i in self._places]
        self._saved.kill(np.array(gone, np.int64))
        columns = [*self._groups.key_columns(np.array(ids, np.int64)), *(Column.of_values(STRING, t) for t in texts)]
        self._places.update(zip(ids, self._saved.append(columns, len(ids)).tolist(), strict=True))
        self._tidy()

    def _columns(self, ids: Sequence[int]) -> list[list[Any]]:
        held = [self._held[i] for i in ids]
        return [[h[j] for h in held] for j in range(len(self.programs))]

    def _tidy(self) -> None:
        for old, new in self._saved.tidy():
            moved = dict(zip(old.tolist(), new.tolist(), strict=True))
            self._places = {i: moved.get(p, p) for i, p in self._places.items()}

    def _read(self) -> None:
        self._held, self._results, self._dirty, self._places = {}, {}, set(), {}
        rows = self._saved.snapshot()
        places = rows.ids()
        if not len(places):
            return
        columns = rows.columns(places)
        n = len(self._schema) - len(self.programs)
        ids = self._groups.lookup(columns[:n], insert=False, length=len(places)).tolist()
        texts = [c.series().to_list() for c in columns[n:]]
        for i, place, *one in zip(ids, places.tolist(), *texts, strict=True):
            self._held[i] = [p.load(t) for p, t in zip(self.programs, one, strict=True)]
            self._places[i] = place

    # ---- rows

    def take(
        self, delta: Delta, ids: Words, masks: Sequence[Bits | None], *, keep_old: bool
    ) -> tuple[dict[int, list[Any]], RowErrors | None]:
        """Take the rows of a delta, in order.

        Args:
            delta: the rows.
            ids: the group of each.
            masks: by aggregate, which rows count.
            keep_old: give the results that were.

        Returns:
            By group its results before, where it had some, and the rows that failed. These count in no aggregate (what
            a program did before it raised stays).
        """
        old: dict[int, list[Any]] = {}
        places = ids.tolist()
        if keep_old:
            known = [i for i in dict.fromkeys(places) if i in self._held]
            old = {i: self.results(i) for i in known}
        given = []
        for call, program, mask in zip(self.calls, self.programs, masks, strict=True):
            args = [delta.columns[a] for a in call.columns]
            given.append((program, program.rows(args, delta.length), None if mask is None else mask.tolist()))
        weights = None if delta.weights is None else delta.weights.tolist()
        failed: dict[int, str] = {}
        for row, group in enumerate(places):
            weight = 1 if weights is None else weights[row]
            try:
                self._one(given, group, row, weight)
            except _Failed as e:
                failed[row] = str(e)
        self._dirty.update(places)
        for i in set(places):
            self._results.pop(i, None)
        if not self._tried and (some := next((i for i in places if i in self._held), None)) is not None:
            # What no checkpoint could keep is told with the first rows, not hours later.
            self._tried = True
            for program, accumulator in zip(self.programs, self._held[some], strict=True):
                program.save(accumulator)
        if not failed:
            return old, None
        return old, RowErrors(np.array(list(failed), np.int64), list(failed.values()), "udf")

    def _one(self, given: Sequence[Any], group: int, row: int, weight: int) -> None:
        held = self._held.get(group)
        done: list[tuple[Any, Any, tuple[Any, ...]]] = []
        program: Any = None
        try:
            if held is None:
                held = []
                for program in self.programs:
                    held.append(program.create())
                self._held[group] = held
            for at, (program, rows, mask) in enumerate(given):
                if mask is not None and not mask[row]:
                    continue
                for _ in range(abs(weight)):
                    (program.accumulate if weight > 0 else program.retract)(held[at], rows[row])
                    done.append((program, held[at], rows[row]))
        except Exception as e:
            for other, accumulator, args in reversed(done):
                if other.retracts:
                    (other.retract if weight > 0 else other.accumulate)(accumulator, args)
            raise _Failed(program.message(e)) from e

    def results(self, group: int) -> list[Any]:
        """The results of a group."""
        found = self._results.get(group)
        if found is None:
            held = self._held.get(group)
            if held is None:
                return [None] * len(self.programs)
            found = [p.value(a) for p, a in zip(self.programs, held, strict=True)]
            self._results[group] = found
        return found

    def release(self, ids: Words) -> None:
        """The groups go."""
        gone = []
        for i in ids.tolist():
            self._held.pop(i, None)
            self._results.pop(i, None)
            self._dirty.discard(i)
            place = self._places.pop(i, None)
            if place is not None:
                gone.append(place)
        self._saved.kill(np.array(gone, np.int64))
        self._tidy()


class _Failed(Exception):
    """A program raised; the message is for the user."""
