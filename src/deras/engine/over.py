"""Frames of rows by key, kept up to date: the heart of OVER windows in a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.column import Column
from deras.core.errors import PlanError
from deras.core.schema import Field, Schema
from deras.core.time import MIN_WATERMARK
from deras.core.types import BIGINT, DOUBLE, Kind, Layout, SqlType
from deras.engine.accumulator import Accumulator
from deras.engine.aggregates import AggregateCall, result_type
from deras.engine.kernels import agg_values as v
from deras.engine.kernels import index as ik
from deras.engine.kernels import over as k
from deras.engine.state.keys import KeyShape, column_of_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.delta import Delta
    from deras.engine.state import Index, State

Words = npt.NDArray[np.int64]

RANKS = {"ROW_NUMBER": 0, "RANK": 1, "DENSE_RANK": 2}
"""Ranking functions of a stream, by their column in what ``frames`` fills."""
PICKS = {"MIN": 0, "MAX": 1, "FIRST_VALUE": 2, "LAST_VALUE": 3}
VALUES = {Layout.WORDS: v.WORD, Layout.FLOATS: v.FLOAT, Layout.LIMBS: v.LIMBS, Layout.VIEWS: v.TEXT}
_NONE = np.zeros(0, np.int64)
_TIME = BIGINT.with_nullable(False)


@dataclass(frozen=True, slots=True)
class WindowCall:
    """One function over the frame of each row. Arguments and filters are columns of the input.

    Args:
        function: an aggregate's name, ROW_NUMBER, RANK, DENSE_RANK, LAG; the updating operator knows more.
        arg: position of the argument, or None.
        type: of the result.
        distinct: each value once.
        filter: position of a BOOLEAN column: only rows where it is TRUE count.
        input_type: of the argument (default: as in the input's schema).
        offset: distance of LAG and LEAD; parts of NTILE.
        default: position of the default of LAG and LEAD, or None.
    """

    function: str
    arg: int | None
    type: SqlType
    distinct: bool = False
    filter: int | None = None
    input_type: SqlType | None = None
    offset: int = 1
    default: int | None = None

    def aggregate(self) -> AggregateCall:
        """The same as an aggregate."""
        return AggregateCall(self.function, self.arg, self.type, self.distinct, self.filter, self.input_type)

    def __str__(self) -> str:
        return f"{self.function}({'*' if self.arg is None and self.function == 'COUNT' else self._args()})"

    def _args(self) -> str:
        args = [] if self.arg is None else [f"${self.arg}"]
        if self.function in ("LAG", "LEAD"):
            args.append(str(self.offset))
        return ", ".join(args)


class Frames:
    """The frames of all keys.

    Args:
        input: schema of the rows.
        keys: positions of the partition's columns.
        calls: the functions; their results come in this order.
        mode: ``ROWS``, ``RANGE`` or ``ALL`` of :mod:`deras.engine.kernels.over`.
        size: rows before the row itself, or ms; 0 for ``ALL``.
        peers: rows of one key and time see one another.
        ties: rows of one key and time have one rank.

    Raises:
        PlanError: a function cannot be computed in a stream.
    """

    def __init__(
        self,
        input: Schema,  # noqa: A002
        keys: Sequence[int],
        calls: Sequence[WindowCall],
        mode: int,
        size: int,
        *,
        peers: bool,
        ties: bool,
    ) -> None:
        self.input = input
        self.keys = tuple(keys)
        self.calls = tuple(calls)
        self.mode, self.size = mode, size
        self.peers, self.ties = peers, ties
        self._types = [input[i].type for i in self.keys]
        self.bounded = mode != k.ALL
        # Where each call's result comes from: (kind, number).
        self._from: list[tuple[str, int]] = []
        plain: list[AggregateCall] = []
        picks: list[WindowCall] = []
        self._lags: list[WindowCall] = []
        for call in self.calls:
            t = call.input_type or (None if call.arg is None else input[call.arg].type)
            if call.function in RANKS:
                self._from.append(("rank", RANKS[call.function]))
            elif call.function == "LAG":
                self._from.append(("lag", len(self._lags)))
                self._lags.append(call)
            elif call.function in ("LEAD", "NTILE", "PERCENT_RANK", "CUME_DIST"):
                raise PlanError(f"{call.function} needs rows that come later, which a stream does not have")
            elif call.function in PICKS and (self.bounded or (t is not None and t.layout is Layout.VIEWS)):
                result_type(call.function, t)
                self._from.append(("pick", len(picks)))
                picks.append(call)
            else:
                self._from.append(("cells", len(plain)))
                plain.append(call.aggregate())
        self._picks = picks
        self._accumulator = Accumulator(self._types, plain, input, updating=False, released=False, shared=False)
        layouts = self._accumulator.layouts
        for aggregate, final in zip(plain, layouts.finals, strict=True):
            if final.how not in ("words", "floats", "wide", "pair"):
                raise PlanError(f"{aggregate.function} is not supported in an OVER window yet")
        self._sets = layouts.sets
        self.width = layouts.cells
        self.x = self.width  # first cell behind those of the aggregates
        self._keep = self.bounded or bool(self._lags)
        self._stored = self._keep or bool(picks)
        self._retain = size if self.bounded else max((c.offset for c in self._lags), default=0)
        self._columns(layouts)

    def _columns(self, layouts: Any) -> None:
        """Which columns a row needs here, and where the kernels find them."""
        fields: list[Field] = []
        self._sources: list[tuple[int, bool]] = []  # position in the input (-1: the time), as DOUBLE

        def column(i: int, double: bool = False) -> int:
            if (i, double) in self._sources:
                return self._sources.index((i, double))
            t = _TIME if i < 0 else DOUBLE if double else self.input[i].type
            fields.append(Field(f"c{len(fields)}", t))
            self._sources.append((i, double))
            return len(fields) - 1

        if self._stored:
            for key in self.keys:
                column(key)
            column(-1)
        ops: list[tuple[Any, int, int | None, int | None]] = []
        for op in layouts.ops:
            arg = (
                None
                if op.arg is None
                else column(op.arg, bool(op.as_float and self.input[op.arg].type.kind is Kind.DECIMAL))
            )
            ops.append((op, op.code, arg, None if op.filter is None else column(op.filter)))
        picks = [(column(c.arg or 0), None if c.filter is None else column(c.filter)) for c in self._picks]
        self._lag_columns = [column(c.arg or 0) for c in self._lags]
        self._set_columns = [column(s.arg) for s in self._sets]
        self.schema = Schema(tuple(fields))
        flat = [i for i, f in enumerate(fields) if f.type.layout is not Layout.NESTED]
        self._shape = KeyShape([fields[i].type for i in flat])
        place = self._place = {i: n for n, i in enumerate(flat)}

        def at(i: int | None) -> tuple[int, int, int]:
            """Word, NULL mask and bit of a column."""
            if i is None:
                return -1, -1, 0
            if i not in place:
                raise PlanError(f"an OVER window does not take {fields[i].type}")
            _, word, mask = self._shape.columns[place[i]].tolist()
            if not fields[i].type.nullable:
                mask = -1
            return word, mask, place[i] % 64

        self._set_filters = [at(None if s.filter is None else column(s.filter)) for s in self._sets]
        rows = []
        for op, code, arg, filter_ in ops:
            gate = -1 if op.values is None else op.values
            rows.append((code, op.cell, *at(arg), *at(filter_), gate))
        # The cells of a value's set hold its filter and NULLs already: what has a gate needs no other test.
        self._ops = np.array([(*r[:3], -1, 0, -1, -1, 0, r[8]) if r[8] >= 0 else r for r in rows], np.int64).reshape(
            -1, 9
        )
        first = k.OWN + len(self._sets)
        self._first = first
        self._pick_rows = np.array(
            [
                (
                    PICKS[c.function],
                    at(arg)[0],
                    VALUES[fields[arg].type.layout],
                    *at(arg)[1:],
                    *at(filter_),
                    first + 2 * n,
                )
                for n, (c, (arg, filter_)) in enumerate(zip(self._picks, picks, strict=True))
            ],
            np.int64,
        ).reshape(-1, 9)
        self._pick_columns = [arg for arg, _ in picks]
        self._row_cells = first + 2 * len(self._picks)
        self._time_word = at(len(self.keys))[0] if self._stored else -1

    # ---- state

    def open(self, state: State) -> None:
        """Keys with their cells; rows in frames; values of DISTINCT."""
        extra = [MIN_WATERMARK, -1, -1, 0, 0, 0, 0, 0] + [-1, -1] * len(self._picks)
        self.index: Index = state.index("keys", self._types, self.width + len(extra), [0] * self.width + extra)
        self._values = [state.index(f"values{i}", [*self._types, s.type], 1) for i, s in enumerate(self._sets)]
        self._counters = state.values("frames")
        if self._stored:
            init = [-1, -2, -2, 0] + [-1] * len(self._sets) + [-2, -2] * len(self._picks)
            self._rows = state.segments("frames", self.schema, self._row_cells, 0, init)
            self._c = self._rows.cell0
        else:
            self._c = self._shape.width

    def restored(self) -> None:
        """After a restore: everything that refers to ids."""
        if not self._stored:
            return
        index, tab = self.index, self.index.tab
        live = index.ids()
        first = index.cell0 + self.x
        for cell in [k.HEAD, k.TAIL, *range(k.PICKS, k.PICKS + 2 * len(self._picks))]:
            tab[live, first + cell] = -1
        tab[live, first + k.COUNT] = 0
        rows = self._rows.snapshot()
        ids = rows.ids()
        for a in range(0, len(ids), 1 << 16):
            part = ids[a : a + (1 << 16)]
            columns = rows.columns(part)
            owners = index.lookup(columns[: len(self.keys)], insert=False, length=len(part))
            self._note_values(columns, len(part), columns[: len(self.keys)], self._rows.tab, part, insert=False)
            k.relink(
                owners, np.ascontiguousarray(part), tab, first, self._rows.tab, self._c, self._pick_rows, self._bases(),
                not self.bounded, self._keep,
            )  # fmt: skip

    def _bases(self) -> Any:
        return self._rows.bases if self._stored else np.zeros(1, np.int64)

    # ---- rows

    def lookup(self, delta: Delta) -> Words:
        """The ids of the rows' keys."""
        return self.index.lookup([delta.columns[i] for i in self.keys], length=delta.length)

    def process(self, delta: Delta, ids: Words, times: Words) -> list[Column]:
        """Take rows in the order in which they are processed; gives the results of the calls for each.

        Args:
            delta: the rows.
            ids: of their keys.
            times: ms, rising for each key.
        """
        n = delta.length
        index = self.index
        first = index.cell0 + self.x
        columns = self._own(delta, times)
        keys = [delta.columns[i] for i in self.keys]
        if self._stored:
            place = self._rows.append(columns, n)
            rows = self._rows.tab
        else:
            place = np.arange(n)
            rows = np.zeros((n, self._c + self._row_cells), np.int64)
            packed, _ = self._shape.pack(columns, n)
            rows[:, : self._c] = packed
        self._note_values(columns, n, keys, rows, place, insert=True)
        lead = np.empty(n if self.peers else 0, np.int64)
        if self.peers:
            stamp = int(self._counters.get("stamp", 0)) + 1
            self._counters["stamp"] = stamp
            k.leads(ids, times, index.tab, index.cell0, stamp, lead)
        arrival = int(self._counters.get("arrival", 0))
        self._counters["arrival"] = arrival + 3 * n
        kept = len(self._rows) if self._stored else 0
        events = np.empty(2 * n + (kept if self.bounded else 0) + 1, np.int64)
        ranks = np.empty((n if any(kind == "rank" for kind, _ in self._from) else 0, 3), np.int64)
        lagged = np.empty((n, len(self._lags)), np.int64)
        dropped = np.empty(0 if self.bounded or not self._keep else n + 1, np.int64)
        lags = np.array([c.offset for c in self._lags], np.int64)
        m = k.frames(
            ids, times, place, lead, self.mode, self._retain, self._keep,
            self.ties, lags, index.tab, first, rows, self._c, self._time_word, events, ranks, lagged, dropped,
        )  # fmt: skip
        for i, values in enumerate(self._values):
            k.gates(events, m, rows, self._c, i, values.tab, values.cell0, self._c + k.OWN + i)
        out = np.empty((n, self.width), np.int64)
        best = np.empty((n, len(self._picks)), np.int64)
        slots = np.empty(n, np.int64)
        before = self._held(ids) if self._picks and not self.bounded else _NONE
        s = k.aggregate(
            events, m, ids, index.tab, index.cell0, self.width, first, rows, rows.ctypes.data, self._c, self._ops,
            self._pick_rows, self._bases(), not self.bounded, arrival, out, best, slots,
        )  # fmt: skip
        if self.peers:
            slots = slots[lead]
        results = self._results(delta, out[:s], best[:s], slots if s < n else None, lagged, ranks)
        self._forget(events, m, place, dropped, before)
        return results

    def _own(self, delta: Delta, times: Words) -> list[Column]:
        out = []
        for i, double in self._sources:
            if i < 0:
                out.append(Column.of_words(_TIME, times))
            elif double:
                c = delta.columns[i]
                out.append(Column.of_floats(DOUBLE, as_float(c), c.valid()))
            else:
                out.append(delta.columns[i].with_type(self.input[i].type))
        return out

    def _note_values(
        self, columns: Sequence[Column], n: int, keys: Sequence[Column], rows: Any, place: Words, *, insert: bool
    ) -> None:
        """Write each row's value ids where the kernels look for them."""
        for i, (s, values) in enumerate(zip(self._sets, self._values, strict=True)):
            column = columns[self._set_columns[i]]
            mask = column.valid()
            passed = np.ones(n, np.bool_) if mask is None else mask != 0
            if s.filter is not None:
                f = columns[self._sources.index((s.filter, False))]
                passed = passed & (f.words() != 0)
                if (valid := f.valid()) is not None:
                    passed = passed & (valid != 0)
            some = np.flatnonzero(passed)
            ids = np.full(n, -1, np.int64)
            ids[some] = values.lookup([*keys, column.with_type(s.type)], some, insert)
            rows[place, self._c + k.OWN + i] = ids

    def _held(self, ids: Words) -> Words:
        """The rows that picks of the touched keys held before the step."""
        tab, first = self.index.tab, self.index.cell0 + self.x + k.PICKS
        found = [tab[ids, first + 2 * p] for p in range(len(self._picks))]
        held = np.unique(np.concatenate(found))
        return held[held >= 0]

    def _forget(self, events: Words, m: int, place: Words, dropped: Words, before: Words) -> None:
        """Let go of rows and values that no frame has any more."""
        if not self._stored:
            return
        rows = self._rows
        if self.bounded:
            left = events[:m]
            dead = left[(left & 3) == 1] >> 2
            for i, values in enumerate(self._values):
                ids = np.unique(rows.tab[dead, self._c + k.OWN + i])
                ids = ids[ids >= 0]
                values.touch(ids)
                values.release(ids[values.tab[ids, values.cell0] == 0])
        else:
            some = [place, before] if not len(dropped) else [place, before, dropped[: dropped[-1]]]
            candidates = np.concatenate(some)
            out = np.empty(len(candidates), np.int64)
            found = k.unused(candidates, rows.tab, self._c, self._first, len(self._picks), out)
            dead = out[:found]
        rows.kill(dead)
        for old, new in rows.tidy():
            k.moved(
                old, new, self.index.tab, self.index.cell0 + self.x, rows.tab, self._c, self._first, len(self._picks)
            )

    # ---- results

    def _results(
        self, delta: Delta, cells: Words, best: Words, slots: Words | None, lagged: Words, ranks: Words
    ) -> list[Column]:
        made = self._of_cells(cells)
        found = []
        for call, (kind, i) in zip(self.calls, self._from, strict=True):
            if kind == "rank":
                found.append(Column.of_words(call.type, np.ascontiguousarray(ranks[:, i])))
                continue
            if kind == "lag":
                found.append(self._lag(delta, call, self._lag_columns[i], lagged[:, i]))
                continue
            column = made[i] if kind == "cells" else self._of_rows(self._pick_columns[i], best[:, i], call.type)
            found.append(column if slots is None else column.take(slots))
        return found

    def _of_cells(self, cells: Words) -> list[Column]:
        return self._accumulator.of_cells(cells)

    def _of_rows(self, column: int, rows: Words, type_: SqlType) -> Column:
        """One column of kept rows; -1 is NULL."""
        there = rows >= 0
        if not there.any():
            return Column.nulls(type_, len(rows))
        if there.all():
            return self._gather(column, rows).with_type(type_)
        some = self._gather(column, rows[there])
        both = Column.concat([some.with_type(type_), Column.nulls(type_, 1)])
        at = np.full(len(rows), len(some), np.int64)
        at[there] = np.arange(len(some))
        return both.take(at)

    def _gather(self, column: int, rows: Words) -> Column:
        held, t = self._rows, self.schema[column].type
        rows = np.ascontiguousarray(rows)
        if t.layout is Layout.NESTED:
            return held.take(rows)[column]
        place = self._place[column]
        kind, word, mask = self._shape.columns[place].tolist()
        words = np.empty((len(rows), 1 if kind == 0 else 2), np.int64)
        valid = np.empty(len(rows), np.uint8)
        ik.take_words(rows, held.tab, word, mask, place % 64, words, valid)
        buffers: list[Any] = []
        if kind == 2:
            chunks = held._arena.chunks
            local, used = np.full(len(chunks), -1, np.int64), np.empty(len(chunks), np.int64)
            m = ik.localise(words.view(np.uint64), local, used)
            buffers = [chunks[c] for c in used[:m].tolist()]
        return column_of_words(t, words, valid if mask >= 0 else None, buffers)

    def _lag(self, delta: Delta, call: WindowCall, column: int, rows: Words) -> Column:
        found = self._of_rows(column, rows, call.type.with_nullable(True))
        if call.default is None or (rows >= 0).all():
            return found.with_type(call.type)
        other = delta.columns[call.default].with_type(found.type)
        at = np.where(rows >= 0, np.arange(len(rows)), len(rows) + np.arange(len(rows)))
        return Column.concat([found, other]).take(at).with_type(call.type)

    # ---- keys that go

    def release(self, ids: Words) -> None:
        """Forget these keys with all that they have."""
        if not self._stored:
            self.index.release(ids)
            return
        index, rows = self.index, self._rows
        room = int(index.tab[ids, index.cell0 + self.x + k.COUNT].sum())
        out = np.empty(room, np.int64)
        m = k.drain(ids, index.tab, index.cell0 + self.x, rows.tab, self._c, out)
        for i, values in enumerate(self._values):
            held = np.unique(rows.tab[out[:m], self._c + k.OWN + i])
            values.release(held[held >= 0])
        rows.kill(out[:m])
        if self._picks and not self.bounded:
            rows.kill(self._held(ids))
        index.release(ids)


def as_float(column: Column) -> Any:
    """The values of a DECIMAL as float64."""
    t = column.type
    if t.layout is Layout.LIMBS:
        limbs = column.limbs()
        high = limbs[:, 1].astype(np.float64) * 2.0**64
        return (high + np.ascontiguousarray(limbs[:, 0]).view(np.uint64).astype(np.float64)) / 10.0**t.scale
    return column.words() / 10.0**t.scale
