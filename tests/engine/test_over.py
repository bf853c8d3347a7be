"""OVER in a stream: any rows in any steps against plain Python, and what stays in state."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.errors import PlanError
from deras.core.schema import Field, Schema
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK
from deras.core.types import BIGINT, BOOLEAN, DOUBLE, INT, STRING, decimal, timestamp
from deras.engine.aggregates import result_type
from deras.engine.operators.over import Over
from deras.engine.over import WindowCall
from deras.testing.engine import Harness, Step, as_steps, four_ways

EPOCH = dt.datetime(1970, 1, 1)
INPUT = Schema(
    (
        Field("ts", timestamp(3), "rowtime"),
        Field("k", STRING),
        Field("n", INT),
        Field("s", STRING),
        Field("d", DOUBLE),
        Field("p", decimal(10, 2)),
        Field("b", BOOLEAN),
    )
)
TS, K, N, S, D, P, B = range(7)
LONG = BIGINT.with_nullable(False)


def call(function: str, arg: int | None = None, **more: Any) -> WindowCall:
    if function in ("ROW_NUMBER", "RANK", "DENSE_RANK"):
        return WindowCall(function, None, LONG)
    if function == "LAG":
        assert arg is not None
        return WindowCall(function, arg, INPUT[arg].type, **more)
    return WindowCall(function, arg, result_type(function, None if arg is None else INPUT[arg].type), **more)


CALLS = [
    call("COUNT"),
    call("COUNT", S),
    call("SUM", N),
    call("SUM", P),
    call("AVG", P),
    call("SUM", D),
    call("AVG", N, filter=B),
    call("MIN", N),
    call("MAX", S),
    call("MIN", S, filter=B),
    call("MAX", D),
    call("MIN", P),
    call("FIRST_VALUE", N),
    call("LAST_VALUE", S),
    call("LAST_VALUE", N, filter=B),
    call("FIRST_VALUE", S),
    call("COUNT", N, distinct=True),
    call("SUM", N, distinct=True, filter=B),
    call("COUNT", S, distinct=True),
    call("VAR_POP", D),
    call("STDDEV_SAMP", D),
    call("VAR_POP", P),
]
UNBOUNDED = [*CALLS, call("ROW_NUMBER"), call("RANK"), call("DENSE_RANK"), call("LAG", N, offset=2), call("LAG", S)]
UNBOUNDED.append(call("LAG", N, offset=1, default=N))


def output(calls: list[WindowCall]) -> Schema:
    return Schema((*INPUT.fields, *(Field(f"w{i}", c.type) for i, c in enumerate(calls))))


# ---- plain Python


def value_of(c: WindowCall, frame: list[Any]) -> Any:
    rows = [r for r in frame if c.filter is None or r[c.filter]]
    if c.arg is None:
        return len(rows)
    values = [r[c.arg] for r in rows if r[c.arg] is not None]
    if c.distinct:
        values = list(dict.fromkeys(values))
    if c.function == "COUNT":
        return len(values)
    if not values:
        return None
    if c.function == "SUM":
        return sum(values)
    if c.function == "AVG":
        if c.arg == P:
            return (sum(values) / len(values)).quantize(Decimal("1e-6"), ROUND_HALF_UP)
        return int(sum(values) / len(values))
    if c.function in ("MIN", "MAX"):
        return (min if c.function == "MIN" else max)(values)
    if c.function == "FIRST_VALUE":
        return values[0]
    if c.function == "LAST_VALUE":
        return values[-1]
    mean = sum(values) / len(values)
    squares = sum((v - mean) ** 2 for v in values)
    if c.function == "VAR_POP" and c.arg == P:
        return (squares / len(values)).quantize(Decimal("1e-6"), ROUND_HALF_UP)
    if c.function == "VAR_POP":
        return squares / len(values)
    return math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else None


class Plain:
    """One row after the other."""

    def __init__(self, unit: str, size: int | None, calls: list[WindowCall], keyed: bool) -> None:
        self.unit, self.size, self.calls, self.keyed = unit, size, calls, keyed
        self.done: dict[Any, list[Any]] = defaultdict(list)
        self.waiting: list[tuple[int, int, Any, Any]] = []
        self.out: list[tuple[Any, ...]] = []
        self.late: list[Any] = []

    @staticmethod
    def ms(row: Any) -> int:
        return (row[TS] - EPOCH) // dt.timedelta(milliseconds=1)

    def take(self, row: Any, mark: int) -> None:
        self.advance(mark)
        key, at = (row[K] if self.keyed else None), self.ms(row)
        if at <= mark:
            done = self.done[key]
            too_old = self.unit == "range" and self.size is not None and at + self.size + self.size // 2 + 1 <= mark
            if self.size is None or too_old or (done and self.ms(done[-1]) >= at):
                self.late.append(row)
                return
        self.waiting.append((at, len(self.waiting), key, (row, max(at, mark + 1))))

    def advance(self, mark: int) -> None:
        due = sorted((w for w in self.waiting if w[3][1] <= mark), key=lambda w: (w[0], w[1]))
        if not due:
            return
        self.waiting = [w for w in self.waiting if w[3][1] > mark]
        self.waiting = [(a, i, k, r) for i, (a, _, k, r) in enumerate(self.waiting)]
        moments: dict[Any, list[Any]] = defaultdict(list)
        for at, _, key, (row, _) in due:
            moments[(at, key)].append(row)
        for (at, key), rows in moments.items():
            done = self.done[key]
            for row in rows:
                done.append(row)
                if self.unit == "rows":
                    frame = done if self.size is None else done[-self.size - 1 :]
                    self.out.append(self.result(row, frame, done, len(done)))
            if self.unit == "range":
                frame = [r for r in done if self.size is None or self.ms(r) >= at - self.size]
                for i, row in enumerate(rows):
                    self.out.append(self.result(row, frame, done, len(done) - len(rows) + i + 1))

    def result(self, row: Any, frame: list[Any], done: list[Any], number: int) -> tuple[Any, ...]:
        found = []
        for c in self.calls:
            times = [self.ms(r) for r in done]
            at = self.ms(row)
            if c.function == "ROW_NUMBER":
                found.append(number)
            elif c.function == "RANK":
                found.append(sum(t < at for t in times) + 1)
            elif c.function == "DENSE_RANK":
                found.append(len({t for t in times if t < at}) + 1)
            elif c.function == "LAG":
                before = number - 1 - c.offset
                found.append(done[before][c.arg or 0] if before >= 0 else None if c.default is None else row[c.default])
            else:
                found.append(value_of(c, frame))
        return (*row, *found)


def text_of(row: tuple[Any, ...]) -> str:
    return repr(tuple(f"{v:.6g}" if isinstance(v, float) else str(v) for v in row))


def steps_of(rows: list[Any], cuts: list[int], delay: int) -> tuple[list[Step], list[int]]:
    """Steps with the marks of a watermark ``delay`` ms behind, as a source gives them; the last one ends the input."""
    marks, top = [], MIN_WATERMARK
    for r in rows:
        marks.append(top)
        top = max(top, Plain.ms(r) - delay)
    steps = []
    bounds = [0, *sorted({c for c in cuts if 0 < c < len(rows)}), len(rows)]
    for a, b in itertools.pairwise(bounds):
        if a == b:
            continue
        delta = Delta.of(INPUT, rows[a:b])
        delta = Delta(INPUT, delta.columns, None, np.array(marks[a:b], np.int64))
        steps.append(Step(delta, marks[b] if b < len(rows) else top))
    steps.append(Step(None, MAX_WATERMARK))
    return steps, marks


ROW = st.tuples(
    st.integers(0, 40).map(lambda s: EPOCH + dt.timedelta(milliseconds=s)),
    st.sampled_from(["a", "b", None, "a key that is longer than twelve bytes"]),
    st.one_of(st.none(), st.integers(-3, 3)),
    st.one_of(st.none(), st.sampled_from(["x", "y", "zz", "a text longer than twelve", "a text longer than thirteen"])),
    st.one_of(st.none(), st.sampled_from([0.5, -1.25, 3.0, 1e6])),
    st.one_of(st.none(), st.sampled_from([Decimal("1.25"), Decimal("-0.50"), Decimal("9.99")])),
    st.one_of(st.none(), st.booleans()),
)


@given(
    rows=st.lists(ROW, max_size=30),
    cuts=st.lists(st.integers(1, 30), max_size=5),
    delay=st.sampled_from([0, 3, 15]),
    unit=st.sampled_from(["rows", "range"]),
    size=st.sampled_from([None, 0, 1, 2, 7]),
    keyed=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_rows(
    rows: list[Any], cuts: list[int], delay: int, unit: Any, size: int | None, keyed: bool, seed: int
) -> None:
    calls = UNBOUNDED if size is None else CALLS
    schema = output(calls)
    plain = Plain(unit, size, calls, keyed)
    steps, marks = steps_of(rows, cuts, delay)
    for row, mark in zip(rows, marks, strict=True):
        plain.take(row, mark)
    plain.advance(MAX_WATERMARK)
    found = four_ways(lambda: Over(INPUT, [K] if keyed else [], TS, unit, size, calls, schema), steps, seed=seed)
    assert sorted(map(text_of, found)) == sorted(map(text_of, plain.out))
    run = as_steps(lambda: Over(INPUT, [K] if keyed else [], TS, unit, size, calls, schema), steps)
    assert [r for r, _ in run.dropped] == ["late"] * len(plain.late)


def rows_at(*at: int, key: str = "a") -> list[Any]:
    return [
        (EPOCH + dt.timedelta(milliseconds=t), key, i, f"text number {i}", 1.0, None, None) for i, t in enumerate(at)
    ]


def order_of(steps: list[Step], make: Any) -> list[Any]:
    return [r[N] for d in as_steps(make, steps).deltas for r in d.rows()]


def test_rows_come_out_in_the_order_of_time_ties_by_arrival() -> None:
    calls = [call("ROW_NUMBER")]
    steps, _ = steps_of(rows_at(5, 3, 5, 4, 3, 9), [2, 4], 10)

    def make() -> Over:
        return Over(INPUT, [], TS, "range", None, calls, output(calls))

    assert order_of(steps, make) == [1, 4, 3, 0, 2, 5]


def test_a_row_without_a_time_is_rejected() -> None:
    calls = [call("COUNT")]
    rows = [*rows_at(1), (None, "a", 1, None, None, None, None)]
    h = Harness(lambda: Over(INPUT, [K], TS, "rows", 1, calls, output(calls)))
    h.step([Delta.of(INPUT, rows)], MAX_WATERMARK)
    assert [r for r, _ in h.run.dropped] == ["constraint"]
    assert len(h.run.rows()) == 1


@pytest.mark.parametrize("size", [0, 5])
def test_keys_that_are_silent_are_forgotten(size: int) -> None:
    calls = [call("MAX", S), call("COUNT", S, distinct=True)]
    h = Harness(lambda: Over(INPUT, [K], TS, "range", size, calls, output(calls)))
    for i in range(60):
        rows = [r for k in range(50) for r in rows_at(i * 100, key=f"key number {i} {k}")]
        h.step([Delta.of(INPUT, rows)], i * 100)
    sizes = h.state.size()
    assert sizes.keys < 1200
    assert sizes.rows < 300
    assert len(h.run.rows()) == 3000


def test_frames_of_rows_keep_so_many_rows() -> None:
    calls = [call("MIN", N), call("SUM", N)]
    h = Harness(lambda: Over(INPUT, [K], TS, "rows", 3, calls, output(calls)))
    for i in range(300):
        rows = [r for k in range(100) for r in rows_at(i, key=f"{k}")]
        h.step([Delta.of(INPUT, rows)], i)
    assert h.state.size().rows == 400  # three and the row itself, of each key
    assert h.state.size().bytes < 64 << 20


# ---- processing time


def proctime(unit: Any, size: int | None, calls: list[WindowCall]) -> Over:
    return Over(INPUT, [K], None, unit, size, calls, output(calls))


def test_processing_time_gives_rows_at_once() -> None:
    calls = [call("SUM", N), call("RANK")]
    rows = rows_at(5, 3, 4)
    found = four_ways(lambda: proctime("range", None, calls), [Step(Delta.of(INPUT, rows), now=7)])
    assert [r[-2:] for r in sorted(found, key=lambda r: r[N])] == [(0, 1), (1, 2), (3, 3)]


def test_a_range_of_processing_time_waits_a_millisecond() -> None:
    calls = [call("COUNT")]
    h = Harness(lambda: proctime("range", 10, calls))
    assert h.step([Delta.of(INPUT, rows_at(0, 0))], now=100) is None
    assert h.operator.wake() == 101
    out = h.step([Delta.of(INPUT, rows_at(0))], now=105)
    assert out is not None
    assert [r[-1] for r in out.rows()] == [2, 2]
    out = h.step([None], now=106)
    assert out is not None
    assert [r[-1] for r in out.rows()] == [3]
    h.step([Delta.of(INPUT, rows_at(0))], now=116)
    h.step([None], MAX_WATERMARK, now=116)
    assert [r[-1] for r in h.run.deltas[-1].rows()] == [1]


def test_what_a_stream_cannot_give() -> None:
    lead = WindowCall("LEAD", N, INPUT[N].type)
    with pytest.raises(PlanError, match="LEAD needs rows that come later"):
        Over(INPUT, [K], TS, "range", None, [lead], output([lead]))


def test_results_do_not_point_into_rows_that_went() -> None:
    calls = [call("MAX", S)]
    h = Harness(lambda: Over(INPUT, [], TS, "rows", 1, calls, output(calls)))
    first = h.step([Delta.of(INPUT, rows_at(*range(50)))], 49)
    assert first is not None
    for i in range(1, 400):
        h.step([Delta.of(INPUT, rows_at(*range(i * 50, i * 50 + 50)))], i * 50 + 49)
    assert [r[-1] for r in first.rows()] == [max(f"text number {i}", f"text number {max(0, i - 1)}") for i in range(50)]
    assert isinstance(first.columns[-1], Column)
