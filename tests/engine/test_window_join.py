"""Window joins against nested loops per window, four ways."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.time import Tick
from deras.core.types import BIGINT, STRING, timestamp
from deras.engine.operator import RowErrors
from deras.engine.operators.window_join import WindowJoin
from deras.engine.state import State
from deras.testing.engine import Harness, Step, four_ways

END = timestamp(3).with_nullable(False)
LEFT = Schema.of(a=BIGINT, s=STRING, e=END)
RIGHT = Schema.of(f=END, t=STRING, k=BIGINT)
KINDS = ["INNER", "LEFT", "RIGHT", "FULL", "SEMI", "ANTI"]
LONG = "a text of more than twelve bytes"


def at(ms: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=ms)


class Less:
    """The residual ``s < t``."""

    schema = Schema((*LEFT.fields, *RIGHT.fields))

    def run(self, delta: Delta, tick: Tick) -> tuple[Delta, list[RowErrors]]:
        pairs = zip(delta.columns[1].values(), delta.columns[4].values(), strict=True)
        return delta.take(np.array([i for i, (s, t) in enumerate(pairs) if s < t], np.int64)), []


def rows_of(schema: Schema, rows: list[Any], mark: int) -> Delta | None:
    if not rows:
        return None
    d = Delta.of(schema, rows)
    return Delta(schema, d.columns, None, mark, d.length)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_join_is_the_nested_loop_of_each_window_four_ways(kind: str, data: st.DataObject) -> None:
    row = st.tuples(st.none() | st.integers(0, 2), st.sampled_from(["", "x", LONG]), st.integers(1, 5))
    keyed, residual, safe = (data.draw(st.booleans()) for _ in range(3))
    safe = safe and keyed
    piece = data.draw(st.sampled_from([1, 140, 1 << 15]))  # one window a step, two, or all
    steps, watermark = [], -1
    left: list[Any] = []
    right: list[Any] = []
    late: Counter[Any] = Counter()
    for _ in range(data.draw(st.integers(1, 5))):
        deltas = []
        for kept, schema in ((left, LEFT), (right, RIGHT)):
            rows = []
            for k, s, w in data.draw(st.lists(row, max_size=6)):
                made = (k, s, at(w * 10)) if schema is LEFT else (at(w * 10), s, k)
                rows.append(made)
                if w * 10 - 1 > watermark:
                    kept.append(made)
                else:
                    late[made] += 1
            deltas.append(rows_of(schema, rows, watermark))
        watermark += data.draw(st.integers(0, 20))
        steps.append(Step(deltas, watermark))
    steps.append(Step([None, None], 1000))
    keys = ([0], [2]) if keyed else ([], [])

    def make() -> WindowJoin:
        made = WindowJoin(
            LEFT, RIGHT, *keys, 2, 0, None, kind, Less() if residual else None, [safe] if keyed else []
        )  # fmt: skip
        made.piece = piece
        return made

    def match(a: Any, b: Any) -> bool:
        same = not keyed or (a[0] == b[2] and (safe or a[0] is not None))
        return a[2] == b[0] and same and (not residual or a[1] < b[1])

    got = Counter(four_ways(make, steps))
    if kind in ("SEMI", "ANTI"):
        want = Counter(a for a in left if any(match(a, b) for b in right) is (kind == "SEMI"))
    else:
        want = Counter(a + b for a in left for b in right if match(a, b))
        if kind in ("LEFT", "FULL"):
            want += Counter((*a, None, None, None) for a in left if not any(match(a, b) for b in right))
        if kind in ("RIGHT", "FULL"):
            want += Counter((None, None, None, *b) for b in right if not any(match(a, b) for a in left))
    assert got == want
    h = Harness(make)
    for s in steps:
        before = h.operator.hold(h.low)
        out = h.step(s.inputs(2), s.high)
        place = 2 if kind in ("SEMI", "ANTI", "INNER", "LEFT") else 3
        if out is not None and kind != "FULL":
            ends = [r[place] for r in out.rows()]
            assert all(e is None or e > at(max(before, -9)) for e in ends)
            assert (out.mark_array() <= h.operator.hold(h.low)).all()
    h.settle()
    assert len(h.run.dropped) == late.total()
    assert {reason for reason, _ in h.run.dropped} <= {"late"}


def test_a_window_is_joined_when_the_lesser_watermark_passes_its_end() -> None:
    h = Harness(lambda: WindowJoin(LEFT, RIGHT, [0], [2], 2, 0, kind="FULL"))
    assert h.step([rows_of(LEFT, [(1, "a", at(10)), (2, "b", at(10)), (1, "c", at(20))], 5), None], 8) is None
    assert h.step([None, rows_of(RIGHT, [(at(10), "x", 1), (at(10), "y", 1), (at(10), "z", 3)], 8)], 8) is None
    out = h.step([None, None], 9)
    assert out is not None
    assert [r[1::3] for r in out.rows()] == [("a", "x"), ("a", "y"), ("b", None), (None, "z")]
    assert out.mark_array().tolist() == [8] * 4
    assert h.step([rows_of(LEFT, [(1, "late", at(10))], 9), None], 9) is None
    assert h.run.dropped == [("late", b'{"a":1,"s":"late","e":"1970-01-01 00:00:00.010000"}')]
    out = h.step([None, None], 50)
    assert out is not None
    assert [r[1] for r in out.rows()] == ["c"]


def test_rows_of_the_last_step_come_after_those_that_waited() -> None:
    h = Harness(lambda: WindowJoin(LEFT, RIGHT, [], [], 2, 0, kind="FULL"))
    assert h.step([rows_of(LEFT, [(1, "a", at(10))], 0), rows_of(RIGHT, [(at(20), "x", 1)], 0)], 5) is None
    left = [(2, "d", at(30)), (3, "c", at(20)), (4, "b", at(10)), (5, "e", at(20)), (6, "f", at(90))]
    out = h.step([rows_of(LEFT, left, 5), rows_of(RIGHT, [(at(30), "z", 1), (at(20), "y", 1)], 5)], 40)
    assert out is not None
    assert [(r[1], r[4]) for r in out.rows()] == [
        ("a", None), ("b", None), ("c", "x"), ("c", "y"), ("e", "x"), ("e", "y"), ("d", "z"),
    ]  # fmt: skip
    assert h.state.size().rows == 1
    out = h.step([None, None], 100)
    assert out is not None
    assert [r[1] for r in out.rows()] == ["f"]
    assert h.state.size().rows == 0


def test_windows_end_at_local_times() -> None:
    h = Harness(lambda: WindowJoin(LEFT, RIGHT, [0], [2], 2, 0, "UTC+01:00"))
    hour = 3_600_000
    h.step([rows_of(LEFT, [(1, "a", at(2 * hour))], 0), rows_of(RIGHT, [(at(2 * hour), "x", 1)], 0)], 0)
    assert h.step([None, None], hour - 2) is None
    assert h.step([None, None], hour - 1) is not None


def test_many_partners_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deras.engine.operators.join.ROOM", 7)
    left = [(i % 3, f"l{i:02}", at(10)) for i in range(20)]
    right = [(at(10), f"m{i:02}", i % 4) for i in range(30)]
    for residual in (None, Less()):
        h = Harness(lambda r=residual: WindowJoin(LEFT, RIGHT, [0], [2], 2, 0, None, "LEFT", r))
        h.step([rows_of(LEFT, left, 0), rows_of(RIGHT, right, 0)], 100)
        assert Counter(h.run.rows()) == Counter(a + b for a in left for b in right if a[0] == b[2])


def test_hours_of_windows_leave_memory_flat() -> None:
    operator = WindowJoin(LEFT, RIGHT, [0], [2], 2, 0)
    state = State()
    operator.open(state)
    sizes = []
    for i in range(60):
        end = at((i + 1) * 10)
        left = rows_of(LEFT, [(j, f"{LONG} {i} {j}", end) for j in range(1000)], i * 10)
        right = rows_of(RIGHT, [(end, f"{LONG} {i} {j}", j) for j in range(1000)], i * 10)
        out = operator.step([left, right], Tick(low=i * 10, high=i * 10 + 9))
        assert out.delta is not None
        assert out.delta.length == 1000
        sizes.append(state.size().bytes)
    assert state.size().keys == state.size().rows == 0
    assert max(sizes[20:]) <= max(sizes[:20]) * 1.3
