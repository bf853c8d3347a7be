"""Aggregate and process functions against plain Python, four ways: steps of any size, crashes in between."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deras.core.delta import Delta
from deras.core.schema import Field, Schema
from deras.core.time import MAX_WATERMARK
from deras.core.types import BIGINT, STRING, timestamp
from deras.engine.aggregates import AggregateCall
from deras.engine.operators.group_aggregate import GroupAggregate
from deras.engine.operators.process import Process
from deras.sql.functions.process import process_function
from deras.sql.functions.udaf import udaf
from deras.testing.engine import Step, four_ways

IN = Schema.of(k=STRING, v=BIGINT)


class Values:
    """All values in order of size, as text; no 13."""

    def create_accumulator(self) -> list[int]:
        return []

    def accumulate(self, acc: list[int], v: int) -> None:
        if v == 13:
            raise ValueError("13")
        acc.append(v)

    def retract(self, acc: list[int], v: int) -> None:
        acc.remove(v)

    def get_value(self, acc: list[int]) -> str:
        return " ".join(map(str, sorted(acc)))


def aggregate(append: bool) -> GroupAggregate:
    program = udaf(Values, result_type="STRING").program([BIGINT])
    calls = [AggregateCall("values", 1, STRING, program=program), AggregateCall("COUNT", None, BIGINT)]
    return GroupAggregate(IN, [0], calls, Schema.of(k=STRING, v=STRING, n=BIGINT), append)


few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@few
@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(10, 16)), max_size=6), max_size=6))
def test_rows_that_come(steps: list[list[tuple[str, int]]]) -> None:
    found = four_ways(lambda: aggregate(True), [Step(Delta.of(IN, s)) for s in steps if s])
    held: dict[str, list[int]] = {}
    for k, v in [row for s in steps for row in s]:
        if v != 13:
            held.setdefault(k, []).append(v)
    assert sorted(found) == sorted((k, " ".join(map(str, sorted(v))), len(v)) for k, v in held.items())


@few
@given(st.data())
def test_rows_that_come_and_go(data: st.DataObject) -> None:
    held: list[tuple[str, int]] = []
    steps = []
    for _ in range(data.draw(st.integers(0, 6))):
        rows, weights = [], []
        for _ in range(data.draw(st.integers(1, 5))):
            if held and data.draw(st.booleans()):
                rows.append(held.pop(data.draw(st.integers(0, len(held) - 1))))
                weights.append(-1)
            else:
                rows.append((data.draw(st.sampled_from("ab")), data.draw(st.integers(1, 4))))
                held.append(rows[-1])
                weights.append(1)
        steps.append(Step(Delta.of(IN, rows, weights)))
    found = four_ways(lambda: aggregate(False), steps)
    groups: dict[str, list[int]] = {}
    for k, v in held:
        groups.setdefault(k, []).append(v)
    assert sorted(found) == sorted((k, " ".join(map(str, sorted(v))), len(v)) for k, v in groups.items())


# ---------------------------------------------------------------- process functions

EVENTS = Schema((Field("k", STRING), Field("ts", timestamp(3), "rowtime")))
GIVEN = Schema((Field("k", STRING), Field("n", BIGINT), Field("rowtime", timestamp(3), "rowtime")))


@process_function(result_types="ROW<n BIGINT>")
class Gaps:
    """Rows of a key until 10 ms without one."""

    def process(self, ctx: Any, row: Any) -> None:
        if "due" in ctx.state:
            ctx.delete_timer(ctx.state["due"])
        ctx.state["n"] = ctx.state.get("n", 0) + 1
        ctx.state["due"] = max(ctx.state.get("due", 0), ctx.timestamp + 10)
        ctx.register_timer(ctx.state["due"])

    def on_timer(self, ctx: Any, timestamp: int) -> Any:
        n = ctx.state["n"]
        ctx.clear()
        return n


@few
@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=5), max_size=8))
def test_sessions_by_timers(steps: list[list[tuple[str, int]]]) -> None:
    start = datetime.datetime(1970, 1, 1)
    now, given_steps = 0, []
    due: dict[str, int] = {}
    n: dict[str, int] = {}
    want = []

    def fire(mark: int) -> None:
        over = [k for k, at in due.items() if at <= mark]
        want.extend((k, n.pop(k), due.pop(k)) for k in over)

    for s in steps:
        moments, marks = [], []
        for k, ahead in s:
            marks.append(now - 1)
            fire(now - 1)
            now += ahead
            moments.append((k, start + datetime.timedelta(milliseconds=now)))
            n[k] = n.get(k, 0) + 1
            due[k] = now + 10
        delta = Delta.of(EVENTS, moments)
        delta = Delta(EVENTS, delta.columns, None, np.array(marks, np.int64), len(marks))
        given_steps.append(Step(delta if marks else None, now - 1))
    fire(1 << 60)
    given_steps.append(Step(None, MAX_WATERMARK))
    found = four_ways(lambda: Process(EVENTS, [0], 1, Gaps.program(EVENTS, {}), GIVEN), given_steps)
    shown = [(k, n, round((t - start) / datetime.timedelta(milliseconds=1))) for k, n, t in found]
    assert sorted(shown) == sorted(want)
