"""The join that forgets by the watermark, and the filter before it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.time import MAX_WATERMARK
from deras.core.types import BIGINT, STRING, timestamp
from deras.engine.operators.candidate_filter import PLACES, CandidateFilter
from deras.engine.operators.expiring_join import ExpiringJoin
from deras.engine.windows import Windows
from deras.testing.engine import Harness, Step, four_ways

TS = timestamp(3)
ROWS = Schema.of(k=BIGINT, t=TS, s=STRING)
RESULTS = Schema.of(m=BIGINT, e=TS)
SIZE = 10


def at(ms: int | None) -> Any:
    return None if ms is None else np.datetime64(ms, "ms").astype(object)


def drawn(seed: int, n: int, side: int) -> tuple[list[Step], list[tuple[Any, ...]]]:
    """Steps in which results come when the watermark passes their windows, and all pairs of equal keys in reach."""
    rnd = random.Random(seed)
    high = 0
    rows: list[tuple[Any, Any, str]] = []
    results: list[tuple[Any, int]] = []
    steps = []
    for i in range(n):
        mine = []
        for j in range(rnd.randrange(4)):
            t = rnd.choice((None, high + rnd.randrange(-30, 30), (high + rnd.randrange(30)) // SIZE * SIZE))
            mine.append((rnd.choice((None, 1, 2, 3)), t, f"{'x' * rnd.randrange(20)}{i}.{j}"))
        # Often just before a window ends.
        low, high = high, rnd.choice((high + rnd.randrange(15), high // SIZE * SIZE + SIZE + 8))
        ends = [e for e in range((low + SIZE) // SIZE * SIZE - SIZE, high + SIZE, SIZE) if low < e - 1 <= high]
        theirs = [(rnd.choice((None, 1, 2, 3)), e) for e in ends for _ in range(rnd.randrange(3))]
        rows += mine
        results += theirs
        deltas = [
            Delta.of(ROWS, [(k, at(t), s) for k, t, s in mine]) if mine else None,
            Delta.of(RESULTS, [(m, at(e)) for m, e in theirs]) if theirs else None,
        ]
        steps.append(Step(deltas if side == 0 else deltas[::-1], high))
    pairs = [
        (k, at(t), s, m, at(e)) if side == 0 else (m, at(e), k, at(t), s)
        for k, t, s in rows
        for m, e in results
        if k is not None and k == m and t is not None and e <= t + SIZE
    ]
    return steps, pairs


class Reach:
    """The condition that results end at most ``SIZE`` after the row's time."""

    def __init__(self, schema: Schema, t: int, e: int) -> None:
        self.schema, self.t, self.e = schema, t, e

    def run(self, delta: Delta, tick: object) -> tuple[Delta, tuple[()]]:
        t, e = delta.columns[self.t].words() // 1000, delta.columns[self.e].words() // 1000
        return delta.take(np.flatnonzero(e <= t + SIZE)), ()


def join(side: int) -> ExpiringJoin:
    sides = (ROWS, RESULTS) if side == 0 else (RESULTS, ROWS)
    both = Schema((*sides[0].fields, *sides[1].fields))
    condition = Reach(both, 1, 4) if side == 0 else Reach(both, 3, 1)
    return ExpiringJoin(*sides, [0], [0], side, 1, SIZE, condition)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1 << 32), side=st.sampled_from((0, 1)))
def test_join(seed: int, side: int) -> None:
    steps, pairs = drawn(seed, 60, side)
    got = four_ways(lambda: join(side), steps, seed=seed, batch=False)
    assert sorted(got, key=repr) == sorted(pairs, key=repr)


def test_one_batch() -> None:
    """Rows that are late within a step meet what comes in it."""
    steps, pairs = drawn(1, 40, 0)
    h = Harness(lambda: join(0))
    deltas = [[d for s in steps if (d := s.inputs(2)[i]) is not None] for i in (0, 1)]
    h.step([Delta.concat(d) for d in deltas], MAX_WATERMARK)
    assert sorted(h.run.rows(), key=repr) == sorted(pairs, key=repr)


def test_rows_go_with_the_watermark() -> None:
    h = Harness(lambda: join(0))
    n = 5000
    for i in range(40):
        t = 10_000 * i
        h.step([Delta.of(ROWS, [(k, at(t + k), "a long text to be kept") for k in range(n)]), None], t)
        assert h.state.size().rows <= 3 * n
        if i == 20:
            h.restart(list(h.state.base(i).chunks()))
    h.step([None, None], 1_000_000)
    assert h.state.size().rows == 0
    assert h.state.size().keys == 0
    # What comes now meets the results that there are, and is not kept.
    h.step([None, Delta.of(RESULTS, [(7, at(1_000_010))])], 1_000_009)
    out = h.step([Delta.of(ROWS, [(7, at(1_000_000), "late"), (7, at(999_999), "not of it")]), None], 1_000_010)
    assert out is not None
    assert [r[2] for r in out.rows()] == ["late"]
    assert h.state.size().rows == 1


# ---------------------------------------------------------------- candidates

VALUES = Schema.of(v=BIGINT, t=TS, n=BIGINT)
KINDS = {
    "tumble": Windows("tumble", 10),
    "shifted": Windows("tumble", 10, 0, 3),
    "hop": Windows("hop", 12, 4),
    "cumulate": Windows("cumulate", 12, 4, 1),
}


def needed(rows: list[tuple[Any, Any, int]], windows: Windows, low: int, high: int, sign: int) -> set[int]:
    """Which rows have the extreme of a window that they may meet: of all rows that are not late for it."""
    step = windows.slide or windows.size
    best: dict[int, int] = {}
    for v, t, mark in rows:
        if v is None or t is None:
            continue
        _, _, ends = windows.assign(np.array([t], np.int64))
        for e in ends.tolist():
            if e - 1 > mark:
                best[e] = max(best.get(e, v * sign), v * sign)
    found = set()
    for i, (v, t, _) in enumerate(rows):
        if v is None or t is None:
            continue
        ends = [e for e in range(t + low, t + high + 1) if (e - windows.offset) % step == 0]
        if any(best.get(e) == v * sign for e in ends):
            found.add(i)
    return found


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    reach=st.sampled_from(((0, 10), (0, 0), (1, 12), (-5, 3), (4, 30), (-20, -7))),
    function=st.sampled_from(("MAX", "MIN")),
)
def test_candidates(kind: str, seed: int, reach: tuple[int, int], function: Any) -> None:
    windows = KINDS[kind]
    rnd = random.Random(seed)
    mark, seen = 0, []
    for _ in range(60):
        t = rnd.choice((None, *[mark + rnd.randrange(-25, 30) for _ in range(9)]))
        seen.append((rnd.choice((None, *range(-3, 4))), t, mark))
        mark += rnd.choice((0, 0, 0, 3))
    steps: list[Step] = []
    start = 0
    for i in range(1, len(seen) + 1):
        if i == len(seen) or rnd.random() < 0.2:
            d = Delta.of(VALUES, [(v, at(t), start + k) for k, (v, t, _) in enumerate(seen[start:i])])
            marks = np.array([m for _, _, m in seen[start:i]])
            steps.append(Step(Delta(VALUES, d.columns, None, marks, i - start), seen[i][2] if i < len(seen) else mark))
            start = i
    out = four_ways(lambda: CandidateFilter(VALUES, 0, 1, function, windows, *reach), steps, seed=seed)
    given_ = {n for _, _, n in out}
    assert needed(seen, windows, *reach, 1 if function == "MAX" else -1) <= given_
    assert all(seen[n][0] is not None and seen[n][1] is not None for n in given_)


def test_most_go_no_further() -> None:
    rng = np.random.default_rng(1)
    n = 20_000
    rows = [(int(v), at(i // 10), i) for i, v in enumerate(rng.permutation(n))]
    h = Harness(lambda: CandidateFilter(VALUES, 0, 1, "MAX", Windows("tumble", 1000), 0, 1000))
    out = h.step([Delta.of(VALUES, rows)], 0)
    assert out is not None
    assert out.length < 100


def test_windows_far_apart_share_places() -> None:
    """More windows than places are open: rows go on, and the earlier windows keep theirs."""
    rows = [(5, at(10 * i), i) for i in range(3 * PLACES)] + [(4, at(10 * i), i) for i in range(3 * PLACES)]
    h = Harness(lambda: CandidateFilter(VALUES, 0, 1, "MAX", Windows("tumble", 10), 1, 10))
    out = h.step([Delta.of(VALUES, rows)], 0)
    assert out is not None
    assert [n for v, _, n in out.rows() if v == 4] == list(range(PLACES, 3 * PLACES))


def test_refuses() -> None:
    with pytest.raises(ValueError, match="compares words"):
        CandidateFilter(ROWS, 2, 1, "MAX", Windows("tumble", 10), 0, 10)
