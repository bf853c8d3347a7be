"""State that is forgotten after a time without writing: against plain Python, and bounded for ever."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core.delta import Delta
from deras.core.schema import Field, Schema
from deras.core.types import BIGINT, STRING, timestamp
from deras.engine.aggregates import AggregateCall, result_type
from deras.engine.kernels.idle import idle, idle_keys, idle_rows
from deras.engine.kernels.index import ALIVE
from deras.engine.operators.changelog_normalize import ChangelogNormalize
from deras.engine.operators.deduplicate import Deduplicate
from deras.engine.operators.group_aggregate import GroupAggregate
from deras.engine.operators.join import Join
from deras.engine.operators.materialize import Materialize
from deras.engine.operators.over import Over
from deras.engine.operators.rank import Rank
from deras.engine.operators.semi_join import SemiJoin
from deras.engine.over import WindowCall
from deras.engine.ranking import SortKey
from deras.testing.engine import Harness

TTL = 100
ROW = Schema.of(k=STRING, v=BIGINT)
GROUPED = Schema.of(k=STRING, n=BIGINT, s=BIGINT, d=BIGINT)


def grouped(append: bool = True, forgetful: bool = False, ttl: int = TTL) -> GroupAggregate:
    calls = [
        AggregateCall("COUNT", None, BIGINT),
        AggregateCall("SUM", 1, result_type("SUM", BIGINT)),
        AggregateCall("COUNT", 1, BIGINT, distinct=True),
    ]
    return GroupAggregate(ROW, [0], calls, GROUPED, append, ttl=ttl, forgetful=forgetful)


class PlainGroups:
    """GROUP BY k with a TTL, a row at a time."""

    def __init__(self) -> None:
        self.rows: dict[Any, list[int]] = {}
        self.written: dict[Any, int] = {}

    def take(self, weight: int, row: tuple[Any, int], now: int) -> None:
        key, v = row
        if key in self.rows and self.written[key] <= now - TTL:
            del self.rows[key]
        if weight < 0:
            if key not in self.rows:
                return
            self.rows[key].remove(v)
        else:
            self.rows.setdefault(key, []).append(v)
        self.written[key] = now
        if not self.rows[key]:
            del self.rows[key]

    def result(self, key: Any) -> tuple[Any, ...] | None:
        held = self.rows.get(key)
        return None if held is None else (key, len(held), sum(held), len(set(held)))


def shown(out: dict[Any, tuple[Any, ...]], delta: Delta | None) -> None:
    """Changes applied by key, as a view does."""
    for w, row in [] if delta is None else delta.changes():
        if w > 0:
            out[row[0]] = row
        elif out.get(row[0]) == row:
            del out[row[0]]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_groups_begin_anew_when_they_were_idle(data: st.DataObject) -> None:
    rnd = random.Random(data.draw(st.integers(0, 1 << 30)))
    append = data.draw(st.booleans())
    h = Harness(lambda: grouped(append))
    plain, view, log = PlainGroups(), {}, []  # type: ignore[var-annotated]
    now = 1000
    live: list[tuple[str, int]] = []
    for step in range(30):
        now += rnd.choice([0, 1, 10, 40, 70, 130])
        changes = []
        there = {key for key in plain.rows if plain.written[key] > now - TTL}
        for _ in range(rnd.randrange(4)):
            if live and not append and rnd.random() < 0.4:
                row = live.pop(rnd.randrange(len(live)))
                # A value that was forgotten while its key went on: its removal is not this operator's fault.
                if row[0] in plain.rows and plain.written[row[0]] > now - TTL and row[1] not in plain.rows[row[0]]:
                    continue
                changes.append((-1, row))
            else:
                row = (rnd.choice("abcde") * rnd.choice([1, 20]), rnd.randrange(4))
                live.append(row)
                changes.append((1, row))
            plain.take(*changes[-1], now)
        delta = None
        if changes:
            delta = Delta.of(ROW, [r for _, r in changes], None if append else [w for w, _ in changes])
        shown(view, h.step([delta], now=now))
        for key in {key for _, (key, _) in changes}:
            # What was forgotten stays as it was shown, until the key's next row.
            if plain.result(key) is not None or key in there:
                assert view.get(key) == plain.result(key)
        if rnd.random() < 0.2:
            log += [(k, n, bytes(b)) for k, n, b in h.state.freeze(step).chunks()]
            h.restart(log)
    due = h.operator.wake()
    assert (due is not None) == bool(h.state.size().keys)


def test_what_was_written_at_the_limit_is_forgotten() -> None:
    times = np.array([[0], [99], [100], [101], [100]], np.int64)
    flags = np.array([ALIVE, ALIVE, ALIVE, ALIVE, 0], np.uint8)
    out = np.empty(5, np.int64)
    assert out[: idle_keys(flags, 0, 5, times, 0, 100, out)].tolist() == [1, 2]
    rows = np.hstack([times, np.array([[0], [0], [0], [0], [7]])])  # the last one is dead
    assert out[: idle_rows(rows, 0, 5, 1, 0, 100, out)].tolist() == [1, 2]
    assert out[: idle(np.arange(4), times, 0, 100, out)].tolist() == [1, 2]


def test_groups_with_fresh_keys_for_hours_stay_few() -> None:
    h = Harness(grouped)
    most = 0
    for i in range(400):
        keys = [(f"a key that is long enough {i}:{j}", j) for j in range(50)]
        h.step([Delta.of(ROW, keys)], now=i * 10)
        most = max(most, h.state.size().keys)
    # Of 20 000 keys those of the last 100 ms and of an eighth more, twice: the values of COUNT(DISTINCT).
    assert most <= 2 * 50 * 14
    size = h.state.size()
    assert size.expired >= 20_000 - 50 * 14
    assert size.bytes < 3_000_000
    now = 4000
    while (due := h.operator.wake()) is not None:
        now = max(due, now)
        assert h.step([None], now=now) is None
        assert now < 10_000
    assert h.state.size().keys == 0
    assert h.state.size().expired == 20_000


def test_what_takes_forgotten_rows_back_changes_nothing() -> None:
    h = Harness(lambda: grouped(append=False))
    assert h.step([Delta.of(ROW, [("a", 1)])], now=1000) is not None
    assert h.step([Delta.of(ROW, [("a", 1)], [-1])], now=1000 + TTL) is None
    assert h.state.size().keys == 0
    out = h.step([Delta.of(ROW, [("a", 2), ("a", 2), ("a", 3)], [-1, 1, 1])], now=1001 + TTL)
    assert out is not None
    assert list(out.changes()) == [(1, ("a", 2, 5, 2))]
    assert not h.run.dropped


@pytest.mark.parametrize("ttl", [1, TTL])
def test_a_key_that_is_written_is_kept(ttl: int) -> None:
    h = Harness(lambda: grouped(ttl=ttl))
    for i in range(10):
        h.step([Delta.of(ROW, [("a", 1)])], now=1000 + i * (ttl - 1))
    assert h.run.rows() == [("a", 10, 10, 1)]


# ---- joins

LEFT = Schema.of(k=STRING, a=BIGINT)
RIGHT = Schema.of(j=STRING, b=BIGINT)


class PlainSide:
    """One side of a join with a TTL: rows in order of arrival, with the time of their coming."""

    def __init__(self, ttl: int) -> None:
        self.ttl = ttl
        self.rows: list[tuple[tuple[str, int], int]] = []

    def expire(self, now: int) -> None:
        if self.ttl:
            self.rows = [(r, at) for r, at in self.rows if at > now - self.ttl]

    def take(self, weight: int, row: tuple[str, int], now: int) -> None:
        if weight > 0:
            self.rows.append((row, now))
            return
        for i in range(len(self.rows) - 1, -1, -1):
            if self.rows[i][0] == row:
                del self.rows[i]
                return


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_rows_of_a_join_meet_nobody_after_their_time(data: st.DataObject) -> None:
    rnd = random.Random(data.draw(st.integers(0, 1 << 30)))
    append = data.draw(st.booleans())
    ttl = data.draw(st.sampled_from([(TTL, 3 * TTL), (TTL, 0), (TTL, TTL)]))
    h = Harness(lambda: Join(LEFT, RIGHT, [0], [0], None, append, append, ttl=ttl))
    plain = (PlainSide(ttl[0]), PlainSide(ttl[1]))
    live: tuple[list[Any], list[Any]] = ([], [])
    now, log = 1000, []
    for step in range(30):
        now += rnd.choice([0, 1, 10, 40, 70, 130])
        deltas: list[Delta | None] = []
        expected: list[Any] = []
        for side, schema in enumerate((LEFT, RIGHT)):
            changes = []
            plain[0].expire(now)
            plain[1].expire(now)
            for _ in range(rnd.randrange(4)):
                if live[side] and not append and rnd.random() < 0.4:
                    row = live[side].pop(rnd.randrange(len(live[side])))
                    changes.append((-1, row))
                else:
                    # Equal rows are not told apart, so which of them goes would be a matter of taste.
                    row = (rnd.choice("abc") * rnd.choice([1, 20]), step * 10 + len(changes))
                    live[side].append(row)
                    changes.append((1, row))
                w, (key, _) = changes[-1]
                plain[side].take(w, row, now)
                for other, _ in plain[1 - side].rows:
                    if other[0] == key:
                        expected.append((w, (*row, *other) if side == 0 else (*other, *row)))
            weights = None if append else [w for w, _ in changes]
            deltas.append(Delta.of(schema, [r for _, r in changes], weights) if changes else None)
        out = h.step(deltas, now=now)
        assert Counter([] if out is None else out.changes()) == Counter(expected)
        if rnd.random() < 0.2:
            log += [(k, n, bytes(b)) for k, n, b in h.state.freeze(step).chunks()]
            h.restart(log)
    assert not h.run.dropped


def test_joins_of_fresh_keys_for_hours_keep_few() -> None:
    h = Harness(lambda: Join(LEFT, RIGHT, [0], [0], None, ttl=(TTL, TTL), kind="FULL"))
    most = 0
    for i in range(200):
        keys = [(f"a key that is long enough {i}:{j}", j) for j in range(100)]
        h.step([Delta.of(LEFT, keys), Delta.of(RIGHT, keys[:50])], now=1000 + i * 10)
        most = max(most, h.state.size().rows)
    assert most <= 150 * 14
    now = 3000
    while (due := h.operator.wake()) is not None:
        now = max(due, now)
        assert h.step([None, None], now=now) is None
        assert now < 10_000
    size = h.state.size()
    assert (size.keys, size.rows, size.expired) == (0, 0, 200 * 150)


def test_a_row_that_replaces_another_without_a_word_is_alone() -> None:
    # What comes before forgets: the second row of the key takes the first one's place.
    h = Harness(lambda: Join(LEFT, RIGHT, [0], [0], None, False, True, left_unique=True, forgetful=True))
    h.step([Delta.of(LEFT, [("a", 1)]), None], now=1000)
    h.step([Delta.of(LEFT, [("a", 2)], [1]), None], now=1001)
    out = h.step([None, Delta.of(RIGHT, [("a", 7)])], now=1002)
    assert out is not None
    assert list(out.changes()) == [(1, ("a", 2, "a", 7))]


# ---- one row a key, the first rows of a key


class PlainKeys:
    """What an operator of one key at a time shows, with a TTL; a row a step."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.rows: dict[str, list[int]] = {}
        self.written: dict[str, int] = {}

    def step(self, weight: int, row: tuple[str, int], now: int) -> list[tuple[int, tuple[str, int]]]:
        key, v = row
        if key in self.rows and self.written[key] <= now - TTL:
            del self.rows[key]
        held = self.rows.get(key)
        if self.kind == "first":
            if held is None:
                self.rows[key], self.written[key] = [v], now
                return [(1, row)]
            return []
        self.written[key] = now
        if self.kind == "rank":
            before = sorted(held or [])[:2]
            now_held = [*(held or []), v]
            if weight < 0:
                now_held = list(held or [])
                if v in now_held:
                    now_held.remove(v)
            self.rows[key] = now_held
            if not now_held:
                del self.rows[key]
            after = sorted(now_held)[:2]
            gone, came = Counter(before) - Counter(after), Counter(after) - Counter(before)
            return [*((-1, (key, x)) for x in gone.elements()), *((1, (key, x)) for x in came.elements())]
        out = [] if held is None else [(-1, (key, held[0]))]
        if weight < 0:
            self.rows.pop(key, None)
            return out
        self.rows[key] = [v]
        return [*out, (1, row)]


def one_key_operator(kind: str, append: bool) -> Any:
    match kind:
        case "first" | "last":
            return Deduplicate(ROW, [0], None, kind, ttl=TTL)
        case "rank":
            return Rank(ROW, [0], [SortKey(1)], 1, 2, input_append=append, ttl=TTL)
        case _:
            return ChangelogNormalize(ROW, [0], ttl=TTL)


@pytest.mark.parametrize("kind", ["first", "last", "rank", "normalize"])
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_keys_begin_anew(kind: str, data: st.DataObject) -> None:
    rnd = random.Random(data.draw(st.integers(0, 1 << 30)))
    append = kind in ("first", "last") or (kind == "rank" and data.draw(st.booleans()))
    h, plain = Harness(lambda: one_key_operator(kind, append)), PlainKeys(kind)
    now, log = 1000, []
    live: list[tuple[str, int]] = []
    for step in range(40):
        now += rnd.choice([0, 1, 10, 40, 70, 130])
        row = (rnd.choice("abcd") * rnd.choice([1, 20]), rnd.randrange(100))
        weight = 1
        if not append and live and rnd.random() < 0.3:
            weight, row = -1, live.pop(rnd.randrange(len(live)))
        else:
            live.append(row)
        out = h.step([Delta.of(ROW, [row], None if append else [weight])], now=now)
        assert Counter([] if out is None else out.changes()) == Counter(plain.step(weight, row, now))
        if rnd.random() < 0.2:
            log += [(k, n, bytes(b)) for k, n, b in h.state.freeze(step).chunks()]
            h.restart(log)
    assert not h.run.dropped


@pytest.mark.parametrize("kind", ["first", "last", "rank", "normalize"])
def test_fresh_keys_for_hours_stay_few(kind: str) -> None:
    h = Harness(lambda: one_key_operator(kind, True))
    most = 0
    for i in range(200):
        keys = [(f"a key that is long enough {i}:{j}", j) for j in range(50)]
        h.step([Delta.of(ROW, keys)], now=1000 + i * 10)
        most = max(most, h.state.size().rows, h.state.size().keys)
    assert most <= 3 * 50 * 14
    now = 3000
    while (due := h.operator.wake()) is not None:
        now = max(due, now)
        assert h.step([None], now=now) is None
        assert now < 10_000
    size = h.state.size()
    assert (size.keys, size.rows, size.expired) == (0, 0, 10_000)


# ---- OVER

TIMED = Schema.of(k=STRING, v=BIGINT, at=timestamp(3))


def over(size: int | None, rowtime: bool) -> Over:
    calls = [
        WindowCall("COUNT", None, BIGINT),
        WindowCall("MAX", 0, STRING),
        WindowCall("SUM", 1, result_type("SUM", BIGINT)),
        WindowCall("LAG", 1, BIGINT) if size is None else WindowCall("MIN", 1, BIGINT),
    ]
    fields = [Field(f"w{i}", c.type) for i, c in enumerate(calls)]
    time = 2 if rowtime else None
    return Over(TIMED, [0], time, "rows", size, calls, Schema((*TIMED.fields, *fields)), ttl=TTL)


@pytest.mark.parametrize("rowtime", [False, True])
@pytest.mark.parametrize("size", [None, 2])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_frames_begin_anew(seed: int, size: int | None, rowtime: bool) -> None:
    rnd = random.Random(seed)
    h = Harness(lambda: over(size, rowtime))
    held: dict[str, list[int]] = {}
    written: dict[str, int] = {}
    now, log = 1000, []
    for step in range(40):
        now += rnd.choice([0, 1, 10, 40, 70, 130])
        key, v = rnd.choice("abcd") * rnd.choice([1, 20]), rnd.randrange(100)
        row = (key, v, dt.datetime(2020, 1, 1) + dt.timedelta(seconds=step))
        if key in held and written[key] <= now - TTL:
            del held[key]
        held.setdefault(key, []).append(v)
        written[key] = now
        frame = held[key] if size is None else held[key][-size - 1 :]
        last = min(frame) if size is not None else frame[-2] if len(frame) > 1 else None
        base = int(dt.datetime(2020, 1, 1, tzinfo=dt.UTC).timestamp() * 1000)
        out = h.step([Delta.of(TIMED, [row])], high=base + step * 1000 if rowtime else None, now=now)
        assert out is not None
        assert list(out.changes()) == [(1, (*row, len(frame), key, sum(frame), last))]
        if rnd.random() < 0.2:
            log += [(k, n, bytes(b)) for k, n, b in h.state.freeze(step).chunks()]
            h.restart(log)
    now += 10 * TTL
    while (due := h.operator.wake()) is not None:
        h.step([None], now=max(now, due))
        now += TTL
    size_now = h.state.size()
    assert (size_now.keys, size_now.rows) == (0, 0)
    assert size_now.expired


def test_an_over_window_without_rows_forgets_too() -> None:
    schema = Schema((*TIMED.fields, Field("n", BIGINT)))
    calls = [WindowCall("COUNT", None, BIGINT)]
    h = Harness(lambda: Over(TIMED, [0], None, "rows", None, calls, schema, ttl=TTL))
    row = ("a", 1, dt.datetime(2020, 1, 1))
    counts = []
    for now in (1000, 1050, 1149, 1249, 1250):
        out = h.step([Delta.of(TIMED, [row])], now=now)
        assert out is not None
        counts.append(next(iter(out.changes()))[1][-1])
    assert counts == [1, 2, 3, 1, 2]


# ---- semi joins, views


def test_semi_joins_forget_rows_and_keys() -> None:
    h = Harness(lambda: SemiJoin(LEFT, RIGHT, [0], [0], "SEMI", ttl=(TTL, 3 * TTL)))

    def step(left: list[Any], right: list[Any], now: int) -> list[Any]:
        deltas = [Delta.of(s, r) if r else None for s, r in ((LEFT, left), (RIGHT, right))]
        out = h.step(deltas, now=now)
        return [] if out is None else list(out.changes())

    assert step([("a", 1)], [], 1000) == []
    assert step([("a", 2)], [], 1060) == []
    # The first row is too old for the key's first partner.
    assert step([], [("a", 7)], 1100) == [(1, ("a", 2))]
    assert step([("a", 3)], [], 1399) == [(1, ("a", 3))]
    assert step([("a", 4)], [("b", 1)], 1400) == []
    assert step([], [("a", 8)], 1450) == [(1, ("a", 3)), (1, ("a", 4))]
    log = [(k, n, bytes(b)) for k, n, b in h.state.freeze(1).chunks()]
    h.restart(log)
    assert step([("b", 5)], [], 1699) == [(1, ("b", 5))]
    assert step([("b", 6)], [], 1700) == []
    now = 1700
    while (due := h.operator.wake()) is not None:
        now = max(now, due)
        assert step([], [], now) == []
        assert now < 5000
    size = h.state.size()
    assert (size.keys, size.rows) == (0, 0)


def test_not_in_keeps_what_is_not_there() -> None:
    h = Harness(lambda: SemiJoin(LEFT, RIGHT, [0], [0], "ANTI", null_aware=True, ttl=(TTL, TTL)))
    h.step([None, Delta.of(RIGHT, [("a", 1)])], now=1000)
    out = h.step([Delta.of(LEFT, [("a", 1), ("b", 1)]), None], now=1000 + 10 * TTL)
    assert out is not None
    assert list(out.changes()) == [(1, ("b", 1))]


@pytest.mark.parametrize("key", [(), (0,)])
def test_a_view_behind_forgotten_state_takes_removals_of_nothing(key: tuple[int, ...]) -> None:
    for forgetful in (True, False):
        h = Harness(lambda f=forgetful: Materialize(ROW, key, False, (1,), forgetful=f))  # type: ignore[misc]
        h.step([Delta.of(ROW, [("a", 1), ("b", 2), ("b", 3)], [1, -1, 1])], now=0)
        assert h.run.rows() == [("a", 1), ("b", 3)]
        assert len(h.run.dropped) == (0 if forgetful else 1)
