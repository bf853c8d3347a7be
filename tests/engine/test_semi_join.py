from __future__ import annotations

from typing import Any

import pytest

from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.time import Tick
from deras.core.types import BIGINT, STRING
from deras.engine.operators.semi_join import SemiJoin
from deras.engine.state import State

LEFT = Schema.of(k=BIGINT, s=STRING)
RIGHT = Schema.of(j=BIGINT)


def test_decided_rows_are_not_kept() -> None:
    for kind, first, then in (("SEMI", [], [(1, "a")]), ("ANTI", [(1, "a"), (2, "b")], [(1, "a")])):
        state = State("x")
        join = SemiJoin(LEFT, RIGHT, [0], [0], kind)  # type: ignore[arg-type]
        join.open(state)

        def step(left: list[Any], right: list[Any]) -> list[tuple[Any, ...]]:
            deltas = [Delta.of(s, rows) if rows else None for s, rows in ((LEFT, left), (RIGHT, right))]
            out = join.step(deltas, Tick()).delta  # noqa: B023
            return [] if out is None else list(zip(*(c.values() for c in out.columns), strict=True))

        assert step([(1, "a"), (2, "b")], []) == first
        assert state.size().rows == 2
        assert step([], [(1,), (1,)]) == then
        assert state.size().rows == 1, "what the right has is decided"
        assert step([(1, "c"), (3, "d")], []) == ([(1, "c")] if kind == "SEMI" else [(3, "d")])
        assert state.size().rows == 2
        assert step([], [(1,), (2,), (3,)]) == [(2, "b"), (3, "d")]
        assert state.size().rows == 0


@pytest.mark.parametrize("kind", ["SEMI", "ANTI"])
def test_what_may_be_taken_back_is_kept(kind: Any) -> None:
    state = State("x")
    join = SemiJoin(LEFT, RIGHT, [0], [0], kind, right_append=False)
    join.open(state)
    join.step([Delta.of(LEFT, [(1, "a")]), Delta.of(RIGHT, [(1,)])], Tick())
    out = join.step([None, Delta.of(RIGHT, [(1,)], [-1])], Tick()).delta
    assert out is not None
    assert out.weight_array().tolist() == [-1 if kind == "SEMI" else 1]
