"""Calls that are waited for: order, watermarks, restores; no function is really called here."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.time import MAX_WATERMARK, Tick
from deras.core.types import BIGINT
from deras.engine.operators.async_map import AsyncMap, AsyncProgram
from deras.engine.state import State

if TYPE_CHECKING:
    from collections.abc import Sequence

IN = Schema.of(n=BIGINT)
OUT = Schema.of(n=BIGINT, r=BIGINT)


class Answers(AsyncProgram):
    """Answers when the test says so."""

    name = "ask"

    def __init__(self, ordered: bool) -> None:
        self.ordered = ordered
        self.asked: dict[int, Future[Any]] = {}

    def begin(self, delta: Delta) -> list[Future[Any]]:
        made = []
        for (n,) in delta.rows():
            self.asked[n] = Future()
            made.append(self.asked[n])
        return made

    def column(self, values: Sequence[Any]) -> tuple[Column, dict[int, str]]:
        return Column.of_values(BIGINT, list(values)), {}

    def message(self, e: BaseException) -> str:
        return str(e)

    def answer(self, *numbers: int) -> None:
        for n in numbers:
            self.asked[n].set_result(10 * n)


def make(ordered: bool, state: State | None = None) -> tuple[AsyncMap, Answers, State]:
    answers = Answers(ordered)
    op = AsyncMap(IN, answers, OUT)
    state = state or State("s")
    op.open(state)
    return op, answers, state


def rows(n: int, mark: int) -> Delta:
    d = Delta.of(IN, [(n,)])
    return Delta(IN, d.columns, None, mark, 1)


def given(op: AsyncMap, delta: Delta | None, low: int, high: int, now: int = 0) -> list[tuple[Any, ...]]:
    out = op.step([delta], Tick(low=low, high=high, now=now)).delta
    return [] if out is None else [row for _, row in out.changes()]


def test_rows_keep_their_order() -> None:
    op, answers, _ = make(True)
    for n in (1, 2, 3):
        assert given(op, rows(n, n), n, n) == []
    answers.answer(2, 3)
    assert given(op, None, 3, 3) == []
    answers.answer(1)
    assert given(op, None, 3, 3) == [(1, 10), (2, 20), (3, 30)]
    assert op.wake() is None


def test_without_order_a_row_leaves_when_its_answer_is_there() -> None:
    op, answers, _ = make(False)
    for n in (1, 2, 3):
        given(op, rows(n, n), n, n)
    answers.answer(2)
    assert given(op, None, 3, 3) == [(2, 20)]
    answers.answer(3, 1)
    assert sorted(given(op, None, 3, 3)) == [(1, 10), (3, 30)]


def test_the_watermark_stays_behind_what_waits() -> None:
    for ordered in (True, False):
        op, answers, _ = make(ordered)
        assert op.hold(5) == 5
        given(op, rows(1, 7), 7, 7)
        given(op, rows(2, 9), 9, 20)
        assert op.hold(20) == 7
        answers.answer(1)
        given(op, None, 20, 20)
        assert op.hold(20) == 9
        answers.answer(2)
        given(op, None, 20, 20)
        assert op.hold(20) == 20


def test_an_overtaking_row_sees_no_watermark_beyond_those_that_wait() -> None:
    op, answers, _ = make(False)
    given(op, rows(1, 7), 7, 7)
    given(op, rows(2, 9), 9, 9)
    answers.answer(2)
    out = op.step([None], Tick(low=9, high=9)).delta
    assert out is not None
    assert out.mark_array().tolist() == [7]


def test_it_looks_again_while_a_call_waits() -> None:
    op, answers, _ = make(True)
    given(op, rows(1, 0), 0, 0, now=1000)
    due = op.wake()
    assert due is not None
    assert 1000 < due <= 1100
    answers.answer(1)
    assert given(op, None, 0, 0, now=due) == [(1, 10)]
    assert op.wake() is None


def test_rows_that_wait_are_asked_again_after_a_restore() -> None:
    op, answers, state = make(True)
    for n in (1, 2, 3):
        given(op, rows(n, n), n, n)
    answers.answer(1)
    given(op, None, 3, 3)
    chunks = list(state.freeze(1).chunks())
    state = State("s")
    op, answers, state = make(True, state)
    state.restore(chunks)
    assert op.hold(3) < 2
    assert op.wake() is not None
    assert given(op, None, 3, 3) == []
    assert sorted(answers.asked) == [2, 3]
    assert op.hold(3) == 2
    answers.answer(2, 3)
    assert given(op, None, 3, 3) == [(2, 20), (3, 30)]


def test_a_failed_call_rejects_its_row_only() -> None:
    op, answers, _ = make(True)
    given(op, Delta.of(IN, [(1,), (2,)]), 0, 0)
    answers.asked[1].set_exception(ValueError("no"))
    answers.answer(2)
    out = op.step([None], Tick(low=0, high=MAX_WATERMARK))
    assert out.delta is not None
    assert [row for _, row in out.delta.changes()] == [(2, 20)]
    [rejected] = out.dropped
    assert rejected.reason == "udf"
    assert rejected.messages == ["no"]
