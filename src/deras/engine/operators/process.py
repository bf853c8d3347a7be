"""A user's program over keyed rows: with state and timers of its own for every key."""

from __future__ import annotations

import abc
import datetime
import heapq
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Field, Schema
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK
from deras.core.types import STRING
from deras.engine.operator import Operator, Out, RowErrors
from deras.engine.operators.window_table import time_column
from deras.engine.rejects import reject_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.time import Tick
    from deras.engine.state import Index, Segments, State

Words = npt.NDArray[np.int64]
_EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 (UTC, without a zone)
_EVENT, _PROCESSING = 0, 1


def milliseconds(time: datetime.datetime | float) -> int:
    """A moment as ms since 1970: a number is that already, a datetime without a zone is UTC."""
    if isinstance(time, datetime.datetime):
        if time.tzinfo is not None:
            time = time.astimezone(datetime.UTC).replace(tzinfo=None)
        return (time - _EPOCH) // datetime.timedelta(milliseconds=1)
    return int(time)


class Context:
    """What a process function sees beside the row: the key, its state, time and timers.

    Attributes:
        key: the values of PARTITION BY.
        state: what is remembered of the key, by names of your choice: numbers, texts, lists, dicts …
        args: the constant arguments of the call, by name in lower case.
        timestamp: event time of the row or timer, ms since 1970; None without ``on_time``.
        watermark: the event time that has passed, ms.
        now: processing time, ms.
    """

    __slots__ = ("_cleared", "_dropped", "_made", "args", "key", "now", "state", "timestamp", "watermark")

    def __init__(self) -> None:
        self.key: tuple[Any, ...] = ()
        self.state: dict[str, Any] = {}
        self.args: dict[str, Any] = {}
        self.timestamp: int | None = None
        self.watermark = MIN_WATERMARK
        self.now = 0
        self._made: list[tuple[int, int]] = []
        self._dropped: list[tuple[int, int]] = []
        self._cleared = False

    def register_timer(self, time: datetime.datetime | float) -> None:
        """Call ``on_timer`` when the watermark reaches this event time. One timer a key and moment."""
        self._made.append((_EVENT, milliseconds(time)))

    def register_processing_timer(self, time: datetime.datetime | float) -> None:
        """Call ``on_timer`` at this processing time."""
        self._made.append((_PROCESSING, milliseconds(time)))

    def delete_timer(self, time: datetime.datetime | float) -> None:
        """Forget the timer of an event time, if there is one."""
        self._dropped.append((_EVENT, milliseconds(time)))

    def delete_processing_timer(self, time: datetime.datetime | float) -> None:
        """Forget the timer of a processing time, if there is one."""
        self._dropped.append((_PROCESSING, milliseconds(time)))

    def clear(self) -> None:
        """Forget the key: state and timers."""
        self._cleared = True


class ProcessProgram(abc.ABC):
    """What handles rows and timers.

    Args (attributes):
        name: of the function, for messages.
        fields: the columns that it gives.
        args: the constant arguments of the call.
    """

    name: str
    fields: tuple[Field, ...]
    args: dict[str, Any]

    @abc.abstractmethod
    def rows(self, delta: Delta) -> list[Any]:
        """The rows as objects."""

    @abc.abstractmethod
    def keys(self, columns: Sequence[Column], length: int) -> list[tuple[Any, ...]]:
        """The keys as values."""

    @abc.abstractmethod
    def process(self, context: Context, row: Any) -> list[tuple[Any, ...]]:
        """Handle a row; gives rows. May raise anything: the row fails alone."""

    @abc.abstractmethod
    def on_timer(self, context: Context, timestamp: int) -> list[tuple[Any, ...]]:
        """Handle a timer; gives rows."""

    @abc.abstractmethod
    def columns(self, rows: Sequence[tuple[Any, ...]]) -> list[Column]:
        """Rows as columns of ``fields``."""

    @abc.abstractmethod
    def save(self, kept: Any) -> str:
        """State and timers as text, for a checkpoint."""

    @abc.abstractmethod
    def load(self, text: str) -> Any:
        """What :meth:`save` wrote."""

    @abc.abstractmethod
    def message(self, e: Exception) -> str:
        """What a user reads of an exception."""


class _Key:
    """What is kept of a key: state, and timers (kind, ms) with the number in which they were made."""

    __slots__ = ("state", "timers", "values")

    def __init__(self, values: tuple[Any, ...]) -> None:
        self.values = values
        self.state: dict[str, Any] = {}
        self.timers: dict[tuple[int, int], int] = {}


class Process(Operator):
    """Hands rows and timers to a program, in the order of time: before a row, the timers that its watermark passed.

    State is objects while the operator runs, and becomes text at a checkpoint: only of keys touched since the one
    before. A key without state and timers is forgotten.

    Args:
        input: schema of the rows, which are only inserted.
        keys: positions of the key columns.
        time: position of the event time, or None.
        program: what is called.
        schema: of the output: the keys, the program's columns and, with ``time``, the event time of row or timer.
        origin: what rejected rows are said to come from.
    """

    append_only = True

    def __init__(
        self,
        input: Schema,  # noqa: A002
        keys: Sequence[int],
        time: int | None,
        program: ProcessProgram,
        schema: Schema,
        origin: str = "Process",
    ) -> None:
        self.input = input
        self.keys = tuple(keys)
        self.time = time
        self.program = program
        self.schema = schema
        self.origin = origin
        self._types = [input[k].type for k in self.keys]
        self._index: Index
        self._saved: Segments
        self._values: dict[str, Any] = {}
        self._kept: dict[int, _Key] = {}
        self._places: dict[int, int] = {}
        self._dirty: set[int] = set()
        self._heaps: tuple[list[tuple[int, int, int]], ...] = ([], [])
        self._context = Context()
        self._context.args = program.args
        self._out: list[tuple[int, tuple[Any, ...], int, int]] = []
        self._empty: set[int] = set()

    # ---- state

    def open(self, state: State) -> None:
        """A text for each key."""
        self._index = state.index("keys", self._types, 0, saved=False)
        fields = [*(Field(f"k{i}", t) for i, t in enumerate(self._types)), Field("kept", STRING)]
        self._saved = state.segments("states", Schema(tuple(fields)))
        self._values = state.values("process")
        state.on_freeze(self._write)
        state.on_restore(self._read)

    def _write(self) -> None:
        ids = [i for i in self._dirty if i in self._kept]
        self._dirty.clear()
        if not ids:
            return
        texts = [self._text(self._kept[i]) for i in ids]
        self._saved.kill(np.array([self._places[i] for i in ids if i in self._places], np.int64))
        columns = [*self._index.key_columns(np.array(ids, np.int64)), Column.of_values(STRING, texts)]
        self._places.update(zip(ids, self._saved.append(columns, len(ids)).tolist(), strict=True))
        self._tidy()

    def _text(self, kept: _Key) -> str:
        return self.program.save([kept.state, [[kind, at, n] for (kind, at), n in kept.timers.items()]])

    def _tidy(self) -> None:
        for old, new in self._saved.tidy():
            moved = dict(zip(old.tolist(), new.tolist(), strict=True))
            self._places = {i: moved.get(p, p) for i, p in self._places.items()}

    def _read(self) -> None:
        self._kept, self._places, self._dirty, self._heaps = {}, {}, set(), ([], [])
        rows = self._saved.snapshot()
        places = rows.ids()
        if not len(places):
            return
        *columns, texts = rows.columns(places)
        ids = self._index.lookup(columns, length=len(places))
        values = self.program.keys(columns, len(places))
        for i, place, key, text in zip(ids.tolist(), places.tolist(), values, texts.series().to_list(), strict=True):
            kept = self._kept[i] = _Key(key)
            kept.state, timers = self.program.load(text)
            for kind, at, n in timers:
                kept.timers[kind, at] = n
                heapq.heappush(self._heaps[kind], (at, n, i))
            self._places[i] = place

    # ---- a step

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Hand over rows and timers."""
        context = self._context
        context.now = tick.now
        seen = max(tick.low, int(self._values.get("watermark", MIN_WATERMARK)))
        context.watermark = seen
        self._fire(_PROCESSING, tick.now, seen)
        dropped: Sequence[Any] = ()
        delta = deltas[0]
        if delta is not None and delta.length:
            seen, errors = self._take(delta, seen)
            if errors:
                at = sorted(errors)
                found = [RowErrors(np.array(at, np.int64), [errors[i] for i in at], "udf")]
                dropped = reject_errors(delta, found, self.origin, self.time)
        high = max(seen, tick.high)
        if high > seen:
            self._fire(_EVENT, high, seen)
        self._values["watermark"] = high
        out = self._given()
        self._forget()
        return Out(out, dropped)

    def _take(self, delta: Delta, seen: int) -> tuple[int, dict[int, str]]:
        context, program = self._context, self.program
        columns = [delta.columns[k] for k in self.keys]
        ids = self._index.lookup(columns, length=delta.length).tolist()
        keys = program.keys(columns, delta.length)
        marks = np.maximum(delta.mark_array(), seen).tolist()
        times = self._times(delta)
        errors: dict[int, str] = {}
        for i, row in enumerate(program.rows(delta)):
            if marks[i] > seen:
                self._fire(_EVENT, marks[i], seen)
                seen = marks[i]
            kept = self._kept.get(ids[i])
            if kept is None:
                kept = self._kept[ids[i]] = _Key(keys[i])
            context.watermark, context.timestamp = seen, None if times is None else times[i]
            try:
                given = self._call(ids[i], kept, lambda row=row: program.process(context, row))
            except Exception as e:  # noqa: BLE001 (a user's function may raise anything)
                errors[i] = program.message(e)
                continue
            self._out += [(ids[i], g, seen, context.timestamp or 0) for g in given]
        return seen, errors

    def _times(self, delta: Delta) -> list[int] | None:
        if self.time is None:
            return None
        column = delta.columns[self.time]
        found: list[int] = (column.words() // column.type.words_per_ms).tolist()
        return found

    def _call(self, i: int, kept: _Key, call: Any) -> list[tuple[Any, ...]]:
        context = self._context
        context.key, context.state = kept.values, kept.state
        context._made, context._dropped, context._cleared = [], [], False
        self._dirty.add(i)
        try:
            given: list[tuple[Any, ...]] = call()
        except Exception:
            if not kept.state and not kept.timers:
                self._empty.add(i)
            raise
        if context._cleared:
            kept.state, kept.timers = {}, {}
        else:
            kept.state = context.state
        for timer in context._dropped:
            kept.timers.pop(timer, None)
        for timer in context._made:
            if timer not in kept.timers:
                n = self._values["timers"] = int(self._values.get("timers", 0)) + 1
                kept.timers[timer] = n
                heapq.heappush(self._heaps[timer[0]], (timer[1], n, i))
        if kept.state or kept.timers:
            self._empty.discard(i)
        else:
            self._empty.add(i)
        return given

    def _fire(self, kind: int, limit: int, seen: int) -> None:
        """Timers up to ``limit``, in the order of time. ``seen``: the watermark that their rows see."""
        heap, context = self._heaps[kind], self._context
        # What is registered when time has come to its end would fire for ever.
        last = int(self._values.get("timers", 0)) if limit == MAX_WATERMARK else None
        while heap and heap[0][0] <= limit:
            at, n, i = heapq.heappop(heap)
            kept = self._kept.get(i)
            if kept is None or kept.timers.get((kind, at)) != n:
                continue
            del kept.timers[kind, at]
            if last is not None and n > last:
                self._dirty.add(i)
                if not kept.state and not kept.timers:
                    self._empty.add(i)
                continue
            context.watermark = max(seen, limit) if kind == _EVENT else seen
            context.timestamp = at if kind == _EVENT else None
            given = self._call(i, kept, lambda at=at: self.program.on_timer(context, at))
            self._out += [(i, g, seen, at) for g in given]

    def _given(self) -> Delta | None:
        out, self._out = self._out, []
        if not out:
            return None
        ids = np.array([o[0] for o in out], np.int64)
        columns = [*self._index.key_columns(ids), *self.program.columns([o[1] for o in out])]
        if self.time is not None:
            columns.append(time_column(self.schema[len(columns)].type, np.array([o[3] for o in out], np.int64)))
        made = [c.with_type(f.type) for c, f in zip(columns, self.schema, strict=True)]
        return Delta(self.schema, made, None, np.array([o[2] for o in out], np.int64), len(out))

    def _forget(self) -> None:
        if not self._empty:
            return
        gone = [p for i in self._empty if (p := self._places.pop(i, None)) is not None]
        for i in self._empty:
            self._kept.pop(i, None)
            self._dirty.discard(i)
        self._index.release(np.array(sorted(self._empty), np.int64))
        self._empty.clear()
        self._saved.kill(np.array(gone, np.int64))
        self._tidy()

    def wake(self) -> int | None:
        """The next timer of processing time."""
        heap = self._heaps[_PROCESSING]
        return heap[0][0] if heap else None

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {
            "operator": "Process",
            "function": self.program.name,
            "keys": [self.input[k].name for k in self.keys],
            "state": "what the function keeps of each key, and its timers",
            "bounded": False,
        }
