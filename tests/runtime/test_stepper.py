"""Order of tickets, calls between steps, limits."""

from __future__ import annotations

import random
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from deras.core.errors import ExternalError
from deras.runtime.stepper import Stepper, Stopped


def batch(n: int, rows: int = 1, size: int = 1) -> Any:
    return SimpleNamespace(n=n, delta=SimpleNamespace(length=rows), bytes=size)


def test_batches_are_applied_in_ticket_order_by_many_threads() -> None:
    seen: list[int] = []
    inside = threading.Semaphore(1)

    def step(batches: list[Any]) -> None:
        assert inside.acquire(blocking=False), "two steps at once"
        seen.extend(b.n for b in batches)
        inside.release()

    s = Stepper(step, most_rows=10, most_bytes=1000, in_flight=8)
    called: list[int] = []

    def work() -> None:
        chance = random.Random(threading.get_ident())
        for _ in range(300):
            n = s.reserve()
            for _ in range(chance.randrange(200)):
                pass
            s.submit(n, batch(n))
            if n % 50 == 0:
                called.append(s.between(lambda: len(seen)))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert seen == list(range(1800))
    assert s.waiting == 0
    assert len(called) == 36


def test_a_step_has_limits() -> None:
    steps: list[list[int]] = []
    s = Stepper(lambda bs: steps.append([b.n for b in bs]), most_rows=5, most_bytes=100, in_flight=20)
    numbers = [s.reserve() for _ in range(10)]
    for n in numbers[:0:-1]:
        s.submit(n, batch(n, rows=2, size=90 if n == 9 else 1))
    assert steps == []
    s.submit(0, batch(0, rows=2))
    assert steps == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]


def test_work_that_is_owed_goes_on_in_turns_with_batches() -> None:
    steps: list[list[int]] = []
    left = [0]

    def step(batches: list[Any]) -> None:
        steps.append([b.n for b in batches])
        left[0] = 5 if batches and batches[0].n == 0 else max(0, left[0] - 1)

    s = Stepper(step, most_rows=2, most_bytes=100, in_flight=8, owes=lambda: left[0] > 0)
    numbers = [s.reserve() for _ in range(4)]
    for n in numbers[:0:-1]:
        s.submit(n, batch(n, rows=2))
    s.submit(0, batch(0, rows=2))
    assert steps == [[0], [], [1], [], [2], [], [3]]
    left[0] = 3
    assert s.between(lambda: len(steps)) == 7
    assert steps[7:] == [[], [], []]  # nobody waits for a batch


def test_batches_wait_for_work_that_is_owed_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deras.runtime.stepper._PATIENCE", 4)
    steps: list[list[int]] = []
    left = [0]

    def step(batches: list[Any]) -> None:
        steps.append([b.n for b in batches])
        left[0] -= not batches

    s = Stepper(step, most_rows=1, most_bytes=100, in_flight=8, owes=lambda: left[0] > 0)
    numbers = [s.reserve() for _ in range(4)]
    for n in numbers[:0:-1]:
        s.submit(n, batch(n))
    left[0] = 9
    s.submit(0, batch(0))
    assert steps == [[], [0], [], [1], *[[]] * 7, [2], [3]]


def test_reserve_waits_while_too_much_is_in_flight() -> None:
    s = Stepper(lambda _: None, most_rows=5, most_bytes=100, in_flight=2)
    a, b = s.reserve(), s.reserve()
    got: list[int] = []
    t = threading.Thread(target=lambda: got.append(s.reserve()))
    t.start()
    t.join(0.05)
    assert got == []
    s.submit(b, batch(b))
    t.join(0.05)
    assert got == []
    s.submit(a, batch(a))
    t.join(10)
    assert got == [2]


def test_a_failing_step_ends_everything() -> None:
    def step(_: Any) -> None:
        raise ZeroDivisionError

    errors: list[BaseException] = []
    s = Stepper(step, most_rows=5, most_bytes=100, in_flight=2)
    s.on_error = errors.append
    s.submit(s.reserve(), batch(0))
    assert isinstance(s.error, ZeroDivisionError)
    assert errors == [s.error]
    with pytest.raises(Stopped):
        s.reserve()
    with pytest.raises(Stopped):
        s.between(lambda: 1)


def test_between_gives_result_error_and_timeout() -> None:
    go = threading.Event()
    s = Stepper(lambda _: go.wait(30), most_rows=5, most_bytes=100, in_flight=2)  # type: ignore[arg-type, return-value]
    assert s.between(lambda: 7) == 7
    assert s.between(lambda: s.between(lambda: 8)) == 8
    with pytest.raises(KeyError):
        s.between(lambda: {}["x"])
    t = threading.Thread(target=lambda: s.submit(s.reserve(), batch(0)))
    t.start()
    while not s._stepping.locked():
        pass
    with pytest.raises(ExternalError, match="does not end"):
        s.between(lambda: 1, timeout=0.05)
    go.set()
    t.join(10)
