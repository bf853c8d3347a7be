"""Windows with results so far: they end as windows without, whatever came before, and every prefix is a table."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.test_sliding_window import ROWS, T3, Row, S, steps_of

from deras.core.schema import Schema
from deras.core.time import Tick
from deras.core.types import BIGINT, INT, STRING
from deras.engine.aggregates import AggregateCall
from deras.engine.operators.early_window import EarlyWindowAggregate
from deras.engine.operators.window_aggregate import WindowAggregate
from deras.engine.state import State
from deras.testing.engine import as_steps, four_ways

CALLS = [AggregateCall("SUM", 2, INT), AggregateCall("COUNT", 2, BIGINT, distinct=True)]
OUT = Schema.of(k=STRING, total=INT, n=BIGINT, window_start=T3, window_end=T3)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(
    ROWS,
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.sampled_from([("tumble", 10, 10), ("hop", 10, 5), ("cumulate", 10, 5)]),
    st.sampled_from([0, 3, 1000]),
    st.integers(0, 99),
)
def test_ends_as_without(
    rows: list[Row], sizes: list[int], window: tuple[str, int, int], delay: int, seed: int
) -> None:
    kind, size, slide = window
    args = (S, 1, kind, size, slide, 0, None, [0], CALLS, OUT)

    def make() -> EarlyWindowAggregate:
        return EarlyWindowAggregate(delay, *args)

    steps = [replace(s, now=2 * i) for i, s in enumerate(steps_of(rows, sizes))]
    want = as_steps(lambda: WindowAggregate(*args), steps)  # type: ignore[arg-type]
    assert four_ways(make, steps, seed=seed) == want.rows()


def test_nothing_is_told_twice_and_nothing_stays() -> None:
    op = EarlyWindowAggregate(100, S, 1, "tumble", 10, 10, 0, None, [0], CALLS, OUT)
    state = State()
    op.open(state)
    rows = steps_of([("a", 1, 5), ("a", 2, 7), ("b", 3, 1)], [1])
    changes: list[list[tuple[int, int]]] = []
    low = -(1 << 63)
    for now, step in ((0, rows[0]), (100, None), (150, rows[1]), (200, rows[2]), (250, None), (300, rows[3])):
        high = low if step is None or step.high is None else step.high
        out = op.step(step.inputs(1) if step is not None else [None], Tick(0, now, low, high)).delta
        changes.append([] if out is None else [(w, r[1]) for w, r in out.changes()])
        low = high
        assert op.wake() == {0: 100, 150: 250, 200: 250}.get(now)
    assert changes == [[], [(1, 5)], [], [], [(-1, 5), (1, 12), (1, 1)], []]
    assert state.size().keys == state.size().rows == 0


def test_a_step_of_rows_without_a_time() -> None:
    for kind in ("tumble", "hop"):
        calls = CALLS[:1]
        out = Schema.of(k=STRING, total=INT, window_start=T3, window_end=T3)
        op = WindowAggregate(S, 1, kind, 10, 5, 0, None, [0], calls, out)  # type: ignore[arg-type]
        run = as_steps(lambda op=op: op, steps_of([("a", None, 1), ("a", 3, 2)], [1]))  # type: ignore[misc]
        assert [reason for reason, _ in run.dropped] == ["constraint"]
        assert [r[1] for r in run.rows()] == [2] * (1 if kind == "tumble" else 2)
