"""What users' functions keep, as JSON and back; and what cannot be kept."""

from __future__ import annotations

import collections
import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deras.core.delta import Delta
from deras.core.errors import ConfigError, PlanError
from deras.core.schema import Schema
from deras.core.time import Tick
from deras.core.types import BIGINT, STRING
from deras.engine.aggregates import AggregateCall
from deras.engine.operators.group_aggregate import GroupAggregate
from deras.engine.operators.process import Process, milliseconds
from deras.engine.state import State
from deras.sql.functions import kept
from deras.sql.functions.process import process_function
from deras.sql.functions.pyflink.row import Row
from deras.sql.functions.pyflink.views import ListView, MapView
from deras.sql.functions.udaf import udaf
from deras.sql.functions.udf import load

if TYPE_CHECKING:
    from pathlib import Path

    from deras.engine.operator import Operator

VALUES = [
    None,
    True,
    -7,
    2**80,
    1.5,
    'ä\n"{',
    b"\x00\xff",
    Decimal("1.20"),
    datetime.date(2024, 2, 29),
    datetime.datetime(2024, 2, 29, 1, 2, 3, 4),
    datetime.time(1, 2, 3),
    datetime.timedelta(days=-1, microseconds=3),
    [1, [2, (3,)]],
    {"a": 1, (1, 2): {"x": set()}},
    {1, 2},
    frozenset({"a"}),
    collections.deque([1, 2], maxlen=3),
    collections.Counter("abca"),
    Row(1, None, [2]),
    Row(n=1, word="a"),
    ListView([1, 2]),
    MapView({"a": 1}),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: repr(v).partition(" object at ")[0])
def test_values_come_back(value: Any) -> None:
    found = kept.loads(kept.dumps(value, "x"))
    assert found == value
    assert type(found) is type(value)


def test_numpy_numbers_become_pythons() -> None:
    assert kept.loads(kept.dumps([np.int64(3), np.float32(0.5)], "x")) == [3, 0.5]


def test_anything_else_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"the accumulator of f keeps a builtins\.object"):
        kept.dumps([object()], "the accumulator of f")


# ---------------------------------------------------------------- accumulators

IN = Schema.of(k=STRING, v=BIGINT)
OUT = Schema.of(k=STRING, total=BIGINT)


class Total:
    """A sum."""

    def create_accumulator(self) -> dict[str, int]:
        return {"n": 0}

    def accumulate(self, acc: dict[str, int], v: int) -> None:
        acc["n"] += v

    def get_value(self, acc: dict[str, int]) -> int:
        return acc["n"]


def grouped(f: Any, *, append: bool = True) -> tuple[GroupAggregate, State]:
    call = AggregateCall("total", 1, BIGINT, program=udaf(f, result_type="BIGINT").program([BIGINT]))
    op = GroupAggregate(IN, [0], [call], OUT, append)
    state = State("s")
    op.open(state)
    return op, state


def changes(op: Operator, rows: list[tuple[Any, ...]]) -> list[tuple[int, tuple[Any, ...]]]:
    out = op.step([Delta.of(IN, rows)], Tick()).delta
    return [] if out is None else list(out.changes())


def test_a_checkpoint_holds_only_touched_accumulators() -> None:
    op, state = grouped(Total)
    changes(op, [(f"k{i}", i) for i in range(500)])
    log = list(state.freeze(1).chunks())
    changes(op, [("k3", 10)])
    more = list(state.freeze(2).chunks())
    assert sum(len(b) for _, _, b in more) < sum(len(b) for _, _, b in log) / 10
    op, state = grouped(Total)
    state.restore([*log, *more])
    assert changes(op, [("k3", 1), ("k4", 1)]) == [
        (-1, ("k3", 13)),
        (1, ("k3", 14)),
        (-1, ("k4", 4)),
        (1, ("k4", 5)),
    ]


def test_an_accumulator_that_no_checkpoint_can_hold_is_told_with_the_first_row() -> None:
    class Bad(Total):
        def create_accumulator(self) -> Any:
            return {"n": 0, "lock": object()}

    op, _ = grouped(Bad)
    with pytest.raises(ConfigError, match=r"keeps a builtins\.object"):
        changes(op, [("a", 1)])


def test_updates_need_retract() -> None:
    with pytest.raises(PlanError, match="has no method retract"):
        grouped(Total, append=False)


# ---------------------------------------------------------------- processing time


@process_function(result_types="ROW<n BIGINT, at_ms BIGINT>")
class Quiet:
    """Tells keys that were quiet for a second."""

    def process(self, ctx: Any, row: Any) -> None:
        if "due" in ctx.state:
            ctx.delete_processing_timer(ctx.state["due"])
        ctx.state["n"] = ctx.state.get("n", 0) + 1
        ctx.state["due"] = ctx.now + 1000
        ctx.register_processing_timer(ctx.state["due"])

    def on_timer(self, ctx: Any, timestamp: int) -> Any:
        n = ctx.state["n"]
        ctx.clear()
        return n, timestamp


def quiet() -> tuple[Process, State]:
    schema = Schema.of(k=STRING, n=BIGINT, at_ms=BIGINT)
    op = Process(IN, [0], None, Quiet.program(IN, {}), schema)
    state = State("s")
    op.open(state)
    return op, state


def stepped(op: Operator, rows: list[tuple[Any, ...]], now: int) -> list[tuple[Any, ...]]:
    out = op.step([Delta.of(IN, rows) if rows else None], Tick(now=now)).delta
    return [] if out is None else [row for _, row in out.changes()]


def test_timers_of_processing_time_fire_also_after_a_restore() -> None:
    op, state = quiet()
    assert stepped(op, [("a", 1), ("b", 1)], 1000) == []
    assert stepped(op, [("a", 1)], 1500) == []
    assert op.wake() == 2000
    log = list(state.freeze(1).chunks())
    op, state = quiet()
    state.restore(log)
    assert op.wake() == 2000
    assert stepped(op, [], 2000) == [("b", 1, 2000)]
    assert stepped(op, [("a", 1)], 2400) == []
    assert stepped(op, [], 3400) == [("a", 3, 3400)]
    assert op.wake() is None
    assert state.size().rows == 0


def test_state_of_forgotten_keys_is_not_in_later_checkpoints() -> None:
    op, state = quiet()
    stepped(op, [("a", 1)], 0)
    log = list(state.freeze(1).chunks())
    stepped(op, [], 5000)
    log += list(state.freeze(2).chunks())
    op, state = quiet()
    state.restore(log)
    assert op.wake() is None
    assert stepped(op, [("a", 1)], 9000) == []
    assert stepped(op, [], 10_000) == [("a", 1, 10_000)]


def test_moments_are_milliseconds() -> None:
    assert milliseconds(5) == 5
    assert milliseconds(datetime.datetime(1970, 1, 1, 0, 0, 1)) == 1000
    zone = datetime.timezone(datetime.timedelta(hours=1))
    assert milliseconds(datetime.datetime(1970, 1, 1, 1, 0, 1, tzinfo=zone)) == 1000


def test_a_module_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot import Python module 'no_such_module'") as e:
        load("no_such_module.f", "f", tmp_path)
    assert str(tmp_path.resolve()) in str(e.value.hint)
