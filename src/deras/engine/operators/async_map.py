"""A column whose values are waited for: calls go on beside the steps, rows leave when their results are there."""

from __future__ import annotations

import abc
from collections import deque
from concurrent.futures import wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.errors import InternalError
from deras.core.schema import Field, Schema
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK
from deras.core.types import BIGINT
from deras.engine.operator import Operator, Out, RowErrors
from deras.engine.rejects import reject_errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from deras.core.time import Tick
    from deras.engine.state import Segments, State

POLL_MS = 5
"""While calls wait, a step looks for results as often."""


class AsyncProgram(abc.ABC):
    """What begins calls.

    Args (attributes):
        name: of the function, for messages.
        ordered: rows leave in their order.
    """

    name: str
    ordered: bool

    @abc.abstractmethod
    def begin(self, delta: Delta) -> list[Future[Any]]:
        """Begin a call for each row. Waits while there are too many."""

    @abc.abstractmethod
    def column(self, values: Sequence[Any]) -> tuple[Column, dict[int, str]]:
        """Results as a column, and by place what is wrong with one."""

    @abc.abstractmethod
    def message(self, e: BaseException) -> str:
        """What a user reads of a call that failed."""


@dataclass(slots=True)
class _Call:
    row: int
    mark: int
    future: Future[Any]


class AsyncMap(Operator):
    """Each row with the result of a call. Rows that wait are state: after a restore they are asked again.

    The watermark stays behind the rows that wait. At the end of the input a step waits for all of them.

    Args:
        input: schema of the rows, which are only inserted.
        program: begins the calls.
        schema: of the output: the input's columns, then the result.
        origin: what rejected rows are said to come from.
    """

    append_only = True

    def __init__(self, input: Schema, program: AsyncProgram, schema: Schema, origin: str = "AsyncMap") -> None:  # noqa: A002
        self.input = input
        self.program = program
        self.schema = schema
        self.origin = origin
        self._rowtime = next((i for i, f in enumerate(input) if f.time == "rowtime"), None)
        self._rows: Segments
        self._calls: deque[_Call] = deque()
        self._now = 0
        self._rebuild = False

    def open(self, state: State) -> None:
        """The rows that wait, each with the watermark that it saw."""
        fields = [*(Field(str(i), t) for i, t in enumerate(self.input.types)), Field("mark", BIGINT)]
        self._rows = state.segments("waiting", Schema(tuple(fields)))
        state.on_restore(self._restored)

    def _restored(self) -> None:
        self._rebuild = True

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Begin calls for the rows; give those that are done."""
        self._now = tick.now
        if self._rebuild:
            self._rebuild = False
            self._again()
        held = self.hold(tick.low)
        delta = deltas[0]
        if delta is not None and delta.length:
            if delta.weights is not None and (delta.weights != 1).any():
                raise InternalError(f"async function {self.program.name} over rows that are taken back")
            marks = delta.mark_array()
            rows = self._rows.append([*delta.columns, Column.of_words(BIGINT, marks)], delta.length)
            self._begin(delta, rows.tolist(), marks.tolist())
        if tick.high == MAX_WATERMARK:
            wait([c.future for c in self._calls])
        return self._done(held)

    def _begin(self, delta: Delta, rows: list[int], marks: list[int]) -> None:
        begun = self.program.begin(delta)
        self._calls.extend(_Call(r, m, f) for r, m, f in zip(rows, marks, begun, strict=True))

    def _again(self) -> None:
        rows = self._rows.snapshot().ids()
        if not len(rows):
            return
        columns = self._rows.take(rows)
        marks = columns[-1].words()
        delta = Delta(self.input, columns[:-1], None, np.ascontiguousarray(marks), len(rows))
        self._begin(delta, rows.tolist(), marks.tolist())

    def _done(self, held: int) -> Out:
        done: list[_Call] = []
        if self.program.ordered:
            while self._calls and self._calls[0].future.done():
                done.append(self._calls.popleft())
        else:
            left: deque[_Call] = deque()
            for c in self._calls:
                (done if c.future.done() else left).append(c)
            self._calls = left
        if not done:
            return Out()
        rows = np.array([c.row for c in done], np.int64)
        columns = self._rows.take(rows)[:-1]
        # A row that was overtaken must not see a later watermark than the one that waited for it.
        marks = np.array([c.mark for c in done], np.int64) if self.program.ordered else held
        delta = Delta(self.input, columns, None, marks, len(done))
        failed: dict[int, str] = {}
        values: list[Any] = []
        for i, c in enumerate(done):
            e = c.future.exception()
            if e is not None:
                failed[i] = self.program.message(e)
            values.append(None if e is not None else c.future.result())
        column, wrong = self.program.column(values)
        failed |= wrong
        self._rows.kill(rows)
        self._move()
        wide = delta.with_columns(self.schema, [*delta.columns, column])
        if not failed:
            return Out(wide)
        at = sorted(failed)
        errors = [RowErrors(np.array(at, np.int64), [failed[i] for i in at], "udf")]
        keep = np.ones(len(done), np.bool_)
        keep[at] = False
        return Out(wide.take(np.flatnonzero(keep)), reject_errors(delta, errors, self.origin, self._rowtime))

    def _move(self) -> None:
        for old, new in self._rows.tidy():
            places = dict(zip(old.tolist(), new.tolist(), strict=True))
            for c in self._calls:
                c.row = places.get(c.row, c.row)

    def hold(self, high: int) -> int:
        """Behind every row that waits."""
        if self._rebuild:
            return MIN_WATERMARK
        return min((c.mark for c in self._calls), default=high) if self._calls else high

    def wake(self) -> int | None:
        """Soon, while calls wait."""
        if self._rebuild:
            return MIN_WATERMARK if len(self._rows) else None
        return self._now + POLL_MS if self._calls else None

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {
            "operator": "AsyncMap",
            "function": self.program.name,
            "order": "kept" if self.program.ordered else "as results come",
            "state": "rows that wait for a result",
            "bounded": True,
        }
