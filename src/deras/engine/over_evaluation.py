"""The functions of an OVER window over whole, ordered partitions: nothing is kept between two evaluations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.column import Column
from deras.core.errors import PlanError
from deras.core.types import BIGINT, Kind, Layout
from deras.engine.accumulator import Accumulator
from deras.engine.aggregates import result_type
from deras.engine.kernels import over as k
from deras.engine.over import PICKS, VALUES, as_float

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.schema import Schema
    from deras.engine.aggregates import AggregateCall
    from deras.engine.over import WindowCall
    from deras.engine.state import Segments, State

Words = npt.NDArray[np.int64]

_PLACES = frozenset({"ROW_NUMBER", "RANK", "DENSE_RANK", "PERCENT_RANK", "CUME_DIST", "NTILE"})
_PLACE = BIGINT.with_nullable(False)


class Evaluation:
    """What the calls of one window give.

    Args:
        input: schema of the rows.
        calls: the functions.

    Raises:
        PlanError: a function does not take its argument.
    """

    def __init__(self, input: Schema, calls: Sequence[WindowCall]) -> None:  # noqa: A002
        self.input = input
        self.calls = tuple(calls)
        plain: list[AggregateCall] = []
        self._picks: list[WindowCall] = []
        self._from: list[tuple[str, int]] = []
        for call in self.calls:
            if call.function in _PLACES or call.function in ("LAG", "LEAD"):
                self._from.append(("place", 0))
            elif call.function in PICKS:
                result_type(call.function, call.input_type or input[call.arg or 0].type)
                self._from.append(("pick", len(self._picks)))
                self._picks.append(call)
            else:
                self._from.append(("cells", len(plain)))
                plain.append(call.aggregate())
        self._accumulator = Accumulator([], plain, input, updating=False, released=False, shared=False)
        layouts = self._accumulator.layouts
        for one, final in zip(plain, layouts.finals, strict=True):
            if final.how not in ("words", "floats", "wide", "pair"):
                raise PlanError(f"{one.function} is not supported in an OVER window yet")
        self._sets = layouts.sets
        self._aggregates = bool(plain or self._picks)

    def open(self, state: State) -> None:
        """Nothing is saved: only tables for the distinct values of one evaluation."""
        self._values = [state.index(f"values{i}", [_PLACE, s.type], 1, saved=False) for i, s in enumerate(self._sets)]

    def run(self, segments: Segments, rows: Words, starts: Words, dense: Words, lo: Words, hi: Words) -> list[Column]:
        """The results, one column per call.

        Args:
            segments: where the rows lie.
            rows: of all partitions, in order.
            starts: where each partition begins, and the end.
            dense: DENSE_RANK of each row.
            lo: first row of each frame, as a place in ``rows``.
            hi: last row of each frame.
        """
        made: list[Column] = []
        best = np.empty((0, 0), np.int64)
        columns = segments.take(rows)
        if self._aggregates and len(rows):
            made, best = self._frames(segments, rows, columns, starts, lo, hi)
        found = []
        for call, (kind, i) in zip(self.calls, self._from, strict=True):
            if not len(rows):
                found.append(Column.of_values(call.type, []))
            elif kind == "cells":
                found.append(made[i])
            elif kind == "pick":
                found.append(_at(columns[call.arg or 0], best[:, i]).with_type(call.type))
            elif call.function in ("LAG", "LEAD"):
                found.append(_shifted(columns, call, starts))
            else:
                found.append(_placed(call, starts, dense))
        return found

    def _frames(
        self, segments: Segments, rows: Words, columns: list[Column], starts: Words, lo: Words, hi: Words
    ) -> tuple[list[Column], Words]:
        n, width = len(rows), segments.shape.width
        layouts = self._accumulator.layouts
        # Arguments that are needed as DOUBLE follow the row's own words.
        doubles = [
            op.arg
            for op in layouts.ops
            if op.arg is not None and op.as_float and self.input[op.arg].type.kind is Kind.DECIMAL
        ]
        doubles = list(dict.fromkeys(doubles))
        c = width + len(doubles)
        first = k.OWN + len(self._sets)
        scratch = np.zeros((n, c + first + 2 * len(self._picks)), np.int64)
        scratch[:, :width] = segments.tab[rows, :width]
        for i, arg in enumerate(doubles):
            scratch[:, width + i] = np.ascontiguousarray(as_float(columns[arg])).view(np.int64)
        owner = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        used = self._note_values(scratch, c, columns, owner)
        ops = []
        for op in layouts.ops:
            word, mask, bit = self._word(segments, op.arg)
            if op.arg in doubles and op.as_float:
                word = width + doubles.index(op.arg)
            if op.values is not None:
                ops.append((op.code, op.cell, word, -1, 0, -1, -1, 0, op.values))
            else:
                ops.append((op.code, op.cell, word, mask, bit, *self._word(segments, op.filter), -1))
        picks = []
        for i, call in enumerate(self._picks):
            word, mask, bit = self._word(segments, call.arg)
            value = VALUES[self.input[call.arg or 0].type.layout]
            more = self._word(segments, call.filter)
            picks.append((PICKS[call.function], word, value, mask, bit, *more, first + 2 * i))
        cells = layouts.cells
        # One row of cells for each partition, and behind them what the walk needs.
        tab = np.zeros((len(starts) - 1, cells + k.PICKS + 2 * len(picks)), np.int64)
        tab[:, cells + k.PICKS :] = -1
        events = np.empty(3 * n + 1, np.int64)
        m = k.walk(starts, lo, hi, scratch, c, events)
        for i, values in enumerate(self._values):
            k.gates(events, m, scratch, c, i, values.tab, values.cell0, c + k.OWN + i)
        out, best = np.empty((n, cells), np.int64), np.empty((n, len(picks)), np.int64)
        k.aggregate(
            events, m, owner, tab, 0, cells, cells, scratch, scratch.ctypes.data, c,
            np.array(ops, np.int64).reshape(-1, 9), np.array(picks, np.int64).reshape(-1, 9), segments.bases, False, 0,
            out, best, np.empty(n, np.int64),
        )  # fmt: skip
        for values, ids in zip(self._values, used, strict=True):
            values.release(ids)
        return self._accumulator.of_cells(out), best

    def _word(self, segments: Segments, i: int | None) -> tuple[int, int, int]:
        """Word, NULL mask and bit of a column."""
        if i is None:
            return -1, -1, 0
        t = self.input[i].type
        if t.layout is Layout.NESTED:
            raise PlanError(f"an OVER window does not take {t}")
        place = sum(f.type.layout is not Layout.NESTED for f in self.input.fields[:i])
        _, word, mask = segments.shape.columns[place].tolist()
        return word, mask if t.nullable else -1, place % 64

    def _note_values(self, scratch: Any, c: int, columns: list[Column], owner: Words) -> list[Words]:
        used = []
        for i, (s, values) in enumerate(zip(self._sets, self._values, strict=True)):
            n = len(owner)
            passed = np.ones(n, np.bool_)
            tests = [columns[s.arg].valid()]
            if s.filter is not None:
                f = columns[s.filter]
                passed = f.words() != 0
                tests.append(f.valid())
            for bits in tests:
                if bits is not None:
                    passed = passed & (bits != 0)
            some = np.flatnonzero(passed)
            ids = np.full(n, -1, np.int64)
            ids[some] = values.lookup([Column.of_words(_PLACE, owner), columns[s.arg].with_type(s.type)], some)
            scratch[:, c + k.OWN + i] = ids
            used.append(np.unique(ids[some]))
        return used


def _at(column: Column, places: Words) -> Column:
    """The rows at these places; -1 is NULL."""
    there = places >= 0
    if there.all():
        return column.take(places)
    both = Column.concat([column.with_type(column.type.with_nullable(True)), Column.nulls(column.type, 1)])
    return both.take(np.where(there, places, len(column)))


def _shifted(columns: list[Column], call: WindowCall, starts: Words) -> Column:
    """LAG and LEAD."""
    n = int(starts[-1])
    own = np.arange(n)
    sizes = np.diff(starts)
    low, high = np.repeat(starts[:-1], sizes), np.repeat(starts[1:], sizes)
    at = own - call.offset if call.function == "LAG" else own + call.offset
    inside = (at >= low) & (at < high)
    value = columns[call.arg or 0]
    if call.default is None:
        return _at(value, np.where(inside, at, -1)).with_type(call.type)
    default = columns[call.default].with_type(value.type)
    return Column.concat([value, default]).take(np.where(inside, at, n + own)).with_type(call.type)


def _placed(call: WindowCall, starts: Words, dense: Words) -> Column:
    """Functions of a row's place in its partition."""
    n = int(starts[-1])
    sizes = np.diff(starts)
    low, size = np.repeat(starts[:-1], sizes), np.repeat(sizes, sizes)
    number = np.arange(n) - low + 1
    name = call.function
    if name == "ROW_NUMBER":
        return Column.of_words(call.type, number)
    if name == "DENSE_RANK":
        return Column.of_words(call.type, np.ascontiguousarray(dense))
    if name == "NTILE":
        parts = call.offset
        whole, rest = size // parts, size % parts
        big = rest * (whole + 1)
        ahead = number - 1
        tile = np.where(ahead < big, ahead // (whole + 1), rest + (ahead - big) // np.maximum(whole, 1))
        return Column.of_words(call.type, tile + 1)
    fresh = np.ones(n, np.bool_)
    fresh[1:] = (dense[1:] != dense[:-1]) | (low[1:] != low[:-1])
    if name == "CUME_DIST":
        group = np.cumsum(fresh) - 1
        last = np.append(np.flatnonzero(fresh)[1:], n) - 1
        return Column.of_floats(call.type, (last[group] - low + 1) / size)
    rank = number[np.maximum.accumulate(np.where(fresh, np.arange(n), 0))]
    if name == "RANK":
        return Column.of_words(call.type, rank)
    return Column.of_floats(call.type, np.where(size > 1, (rank - 1) / np.maximum(size - 1, 1), 0.0))
