"""Sliding windows: any order of rows, in any steps and with crashes, against plain Python."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Field, Schema
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK
from deras.core.types import INT, STRING, timestamp
from deras.engine.operators.sliding_window import SlidingTable
from deras.testing.engine import Step, as_steps, four_ways

T3 = timestamp(3)
S = Schema((Field("k", STRING), Field("ts", T3, "rowtime"), Field("v", INT)))
OUT = Schema((*S.fields, Field("window_start", T3), Field("window_end", T3), Field("window_time", T3, "rowtime")))
SIZE, DELAY = 5, 4

Row = tuple[str | None, int | None, int]


def windows_of(rows: list[Row], keyed: bool) -> tuple[Counter[Any], int]:
    """(key, time, value, moment) of every row in every window, and how many rows are late or without a time."""
    wm = MIN_WATERMARK
    good: list[tuple[str | None, int, int]] = []
    lost = 0
    for k, ts, v in rows:
        if ts is None or ts <= wm:
            lost += 1
        else:
            good.append((k, ts, v))
        if ts is not None:
            wm = max(wm, ts - DELAY)
    found: Counter[Any] = Counter()
    for key in {k if keyed else 0 for k, _, _ in good}:
        mine = [r for r in good if not keyed or r[0] == key]
        for moment in {t for _, t, _ in mine} | {t + SIZE for _, t, _ in mine}:
            found.update((*r, moment) for r in mine if moment - SIZE < r[1] <= moment)
    return found, lost


def steps_of(rows: list[Row], sizes: list[int]) -> list[Step]:
    """Rows with the watermarks that they saw, in steps."""
    out: list[Step] = []
    wm, at = MIN_WATERMARK, 0
    turn = 0
    while at < len(rows):
        part = rows[at : at + sizes[turn % len(sizes)]]
        marks = []
        for _, ts, _ in part:
            marks.append(wm)
            wm = wm if ts is None else max(wm, ts - DELAY)
        times = np.array([0 if t is None else t * 1000 for _, t, _ in part], np.int64)
        valid = np.array([t is not None for _, t, _ in part], np.uint8)
        columns = [
            Column.of_values(STRING, [k for k, _, _ in part]),
            Column.of_words(T3, times, valid),
            Column.of_values(INT, [v for _, _, v in part]),
        ]
        out.append(Step(Delta(S, columns, None, np.array(marks, np.int64), len(part)), wm))
        at += len(part)
        turn += 1
    return [*out, Step(None, MAX_WATERMARK)]


def ms(x: Any) -> int:
    return round((x - type(x)(1970, 1, 1)).total_seconds() * 1000)


ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.one_of(st.none(), st.integers(0, 25)), st.integers(0, 3)),
    max_size=20,
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS, st.lists(st.integers(1, 6), min_size=1, max_size=4), st.booleans(), st.integers(0, 99))
def test_as_plain_python(rows: list[Row], sizes: list[int], keyed: bool, seed: int) -> None:
    def make() -> SlidingTable:
        return SlidingTable(S, 1, SIZE, None, [0] if keyed else [], OUT)

    want, lost = windows_of(rows, keyed)
    steps = steps_of(rows, sizes)
    found = four_ways(make, steps, seed=seed)
    assert len(as_steps(make, steps).dropped) == lost
    assert Counter((k, ms(ts), v, ms(at)) for k, ts, v, _, _, at in found) == want
    for _, _, _, start, end, at in found:
        assert (ms(end) - ms(at), ms(end) - ms(start)) == (1, SIZE)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS, st.booleans())
def test_the_order_does_not_depend_on_the_steps(rows: list[Row], keyed: bool) -> None:
    def given_in(size: int) -> list[Any]:
        run = as_steps(lambda: SlidingTable(S, 1, SIZE, None, [0] if keyed else [], OUT), steps_of(rows, [size]))
        return [r for d in run.deltas for _, r in d.changes()]

    found = given_in(1)
    assert found == given_in(7) == given_in(100)
    assert [ms(r[-1]) for r in found] == sorted(ms(r[-1]) for r in found)
