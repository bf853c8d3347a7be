"""Runs an operator in four ways that must agree: one batch, one row a step, with crashes, from a new base.

    result = four_ways(lambda: GroupAggregate(...), [Step(delta), Step(delta2, high=1000)])

What is compared is the folded output (as a multiset of rows, floats to 1e-9) and the rows that were dropped. Every
output
is checked on the way: no row is taken back that is not there.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deras.core.delta import Delta, hashable
from deras.core.time import MIN_WATERMARK, Tick
from deras.engine.operator import AT_ONCE
from deras.engine.state import State, compact

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deras.engine.operator import Operator
    from deras.engine.state import Chunk


@dataclass(slots=True)
class Step:
    """The input of one step.

    Args:
        deltas: one per input (or a single delta).
        high: the watermark at its end, ms; None: as before.
        now: processing time, ms; None: as before.
    """

    deltas: Delta | Sequence[Delta | None] | None = None
    high: int | None = None
    now: int | None = None

    def inputs(self, arity: int) -> list[Delta | None]:
        """One delta per input."""
        if self.deltas is None or isinstance(self.deltas, Delta):
            return [self.deltas, *[None] * (arity - 1)]
        return list(self.deltas)


@dataclass(slots=True)
class Run:
    """What came out of one way.

    Args:
        deltas: the output of each step that gave any.
        dropped: (reason, raw row or "") of each dropped row.
    """

    deltas: list[Delta] = field(default_factory=list)
    dropped: list[tuple[str, bytes]] = field(default_factory=list)

    def rows(self) -> list[tuple[Any, ...]]:
        """The folded output: rows as often as their weights say, sorted."""
        total: Counter[Any] = Counter()
        shown: dict[Any, tuple[Any, ...]] = {}
        for d in self.deltas:
            for w, r in d.changes():
                k = hashable(r)
                total[k] += w
                shown[k] = r
        out = [shown[k] for k, w in total.items() for _ in range(w)]
        return sorted(out, key=_order)

    def check_legal(self) -> None:
        """``AssertionError`` if some prefix takes a row back that is not there."""
        total: Counter[Any] = Counter()
        for d in self.deltas:
            for w, r in d.changes():
                k = hashable(r)
                total[k] += w
                assert total[k] >= 0, f"row {r} is taken back, but it is not there"  # noqa: S101


def _order(row: tuple[Any, ...]) -> str:
    return repr(tuple(f"{v:.6g}" if isinstance(v, float) else v for v in row))


class Harness:
    """One operator with its state, driven step by step."""

    def __init__(self, make: Callable[[], Operator]) -> None:
        self.make = make
        self.step_number = 0
        self.low = MIN_WATERMARK
        self.now = 0
        self.run = Run()
        self._new()

    def _new(self) -> None:
        self.operator = self.make()
        self.state = State("test")
        self.operator.open(self.state)

    def step(self, inputs: Sequence[Delta | None], high: int | None = None, now: int | None = None) -> Delta | None:
        """Run one step; gives its output."""
        self.step_number += 1
        top = self.low if high is None else max(high, self.low)
        self.now = self.now if now is None else now
        out = self.operator.step(inputs, Tick(0, self.now, self.low, top, self.step_number))
        self.low = top
        for r in out.dropped:
            self.run.dropped += [(r.reason, raw) for raw in r.raw]
        if out.delta is None or not out.delta.length:
            return None
        if self.operator.append_only:
            assert (out.delta.weight_array() == 1).all(), "an append-only operator took a row back"  # noqa: S101
        self.run.deltas.append(out.delta)
        return out.delta

    def settle(self) -> Run:
        """Steps without input as long as the operator asks for them; gives what came out of all steps."""
        while self.operator.wake() == AT_ONCE:
            self.step([None] * max(type(self.operator).arity, 1))
        return self.run

    def restart(self, chunks: Sequence[Chunk]) -> None:
        """Another process: nothing but the checkpoint is left."""
        self._new()
        self.state.restore([(k, n, bytes(b)) for k, n, b in chunks])


def as_batch(make: Callable[[], Operator], steps: Sequence[Step]) -> Run:
    """All input in one step."""
    h = Harness(make)
    arity = max(type(h.operator).arity, 1, *(len(s.inputs(1)) for s in steps))
    columns: list[list[Delta]] = [[] for _ in range(arity)]
    for s in steps:
        for kept, d in zip(columns, s.inputs(arity), strict=True):
            if d is not None and d.length:
                kept.append(d)
    highs = [s.high for s in steps if s.high is not None]
    nows = [s.now for s in steps if s.now is not None]
    joined = [Delta.concat(c) if c else None for c in columns]
    h.step(joined, max(highs, default=None), nows[-1] if nows else None)
    return h.settle()


def one_by_one(steps: Sequence[Step], arity: int) -> list[Step]:
    """The same input, one row a step; within a step the watermark is the one that the next row saw."""
    out = []
    for s in steps:
        for i, d in enumerate(s.inputs(arity)):
            if d is None:
                continue
            marks = d.mark_array()
            for row in range(d.length):
                one: list[Delta | None] = [None] * arity
                one[i] = d.slice(row, row + 1)
                seen = int(marks[row + 1]) if arity == 1 and row + 1 < d.length else None
                out.append(Step(one, seen, s.now))
        out.append(Step([None] * arity, s.high, s.now))
    return out


def as_steps(make: Callable[[], Operator], steps: Sequence[Step]) -> Run:
    """Step by step, undisturbed."""
    h = Harness(make)
    for s in steps:
        h.step(s.inputs(max(type(h.operator).arity, 1)), s.high, s.now)
    return h.settle()


def with_crashes(make: Callable[[], Operator], steps: Sequence[Step], seed: int = 0) -> Run:
    """Step by step with checkpoints (a base and increments) and crashes at random places.

    After a crash a new operator is restored, the output since the checkpoint forgotten and the input replayed.
    """
    rnd = random.Random(seed)  # noqa: S311 (not for secrets)
    h = Harness(make)
    log: list[Chunk] = []
    saved = (0, h.low, h.now, 0, 0)
    i = crashes = 0
    while i < len(steps):
        choice = rnd.random()
        if choice < 0.3:
            log += [(k, n, bytes(b)) for k, n, b in h.state.freeze(i).chunks()]
            if rnd.random() < 0.3:
                log = [(k, n, bytes(b)) for k, n, b in compact("test", i, log).chunks()]
            saved = (i, h.low, h.now, len(h.run.deltas), len(h.run.dropped))
        elif choice < 0.5 and crashes < 2 * len(steps) + 2:
            crashes += 1
            i, h.low, h.now, deltas, dropped = saved
            h.restart(log)
            del h.run.deltas[deltas:]
            del h.run.dropped[dropped:]
            continue
        s = steps[i]
        h.step(s.inputs(max(type(h.operator).arity, 1)), s.high, s.now)
        i += 1
    return h.settle()


def from_base(make: Callable[[], Operator], steps: Sequence[Step], seed: int = 0) -> Run:
    """Step by step; once, at a random place, everything is saved and restored elsewhere."""
    rnd = random.Random(seed)  # noqa: S311 (not for secrets)
    h = Harness(make)
    at = rnd.randrange(len(steps) + 1)
    for i, s in enumerate(steps):
        if i == at:
            h.restart(list(h.state.base(i).chunks()))
        h.step(s.inputs(max(type(h.operator).arity, 1)), s.high, s.now)
    return h.settle()


def four_ways(
    make: Callable[[], Operator], steps: Sequence[Step], *, seed: int = 0, batch: bool = True, dropped: bool = True
) -> list[tuple[Any, ...]]:
    """Run all ways and compare them.

    Args:
        make: makes the operator (called often).
        steps: the input.
        seed: of the crashes.
        batch: False where one batch may differ (processing time).
        dropped: whether the dropped rows must agree, too.

    Returns:
        The folded output's rows, sorted.
    """
    arity = max(type(make()).arity, 1, *(len(s.inputs(1)) for s in steps)) if steps else 1
    rows = one_by_one(steps, arity)
    runs = {
        "step by step": as_steps(make, steps),
        "one row a step": as_steps(make, rows),
        "with crashes": with_crashes(make, steps, seed),
        "one row a step, with crashes": with_crashes(make, rows, seed + 1),
        "from a base": from_base(make, steps, seed + 2),
    }
    if batch and steps:
        runs["one batch"] = as_batch(make, steps)
    first = runs["step by step"]
    want = first.rows()
    for name, run in runs.items():
        run.check_legal()
        got = run.rows()
        assert _alike(got, want), f"{name}: {_difference(got, want)}"  # noqa: S101
        if dropped:
            assert Counter(run.dropped) == Counter(first.dropped), f"{name}: other rows were dropped"  # noqa: S101
    return want


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(_alike, a, b))
    return bool(a == b)


def _difference(got: list[Any], want: list[Any]) -> str:
    a, b = Counter(map(repr, got)), Counter(map(repr, want))
    return f"only here: {list((a - b).elements())[:5]}, missing: {list((b - a).elements())[:5]}"
