"""How async functions are called: again after failures, at most so many at once, from the cache."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from deras.core.errors import ConfigError
from deras.sql.expr.async_calls import Caller
from deras.sql.functions.udf import udf


def test_a_failed_call_is_made_again() -> None:
    asked: list[int] = []

    @udf(result_type="INT", retry=2)
    async def f(n: int) -> int:
        asked.append(n)
        if len(asked) < 3:
            raise ConnectionError("down")
        return n

    assert Caller(f).call((7,)).result(20) == 7
    assert asked == [7, 7, 7]


def test_the_last_failure_is_the_callers() -> None:
    @udf(result_type="INT", retry=0)
    async def f(n: int) -> int:
        raise ConnectionError(f"down {n}")

    with pytest.raises(ConnectionError, match="down 7"):
        Caller(f).call((7,)).result(20)


def test_no_more_calls_at_once_than_capacity() -> None:
    now, most = 0, 0

    @udf(result_type="INT", capacity=3)
    async def f(n: int) -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.005)
        now -= 1
        return n

    caller = Caller(f)
    calls = [caller.call((n,)) for n in range(12)]
    assert [c.result(20) for c in calls] == list(range(12))
    assert most == 3


def test_kept_results_are_not_asked_again_but_failures_are() -> None:
    asked: list[Any] = []

    @udf(result_type="INT", cache=2, retry=0)
    async def f(n: int) -> int:
        asked.append(n)
        if n < 0:
            raise ValueError("no")
        return n

    caller = Caller(f)
    for n in (1, 1, 2, 1, 3, 1, 2):
        assert caller.call((n,)).result(20) == n
    assert asked == [1, 2, 3, 2]
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            caller.call((-1,)).result(20)
    assert asked[4:] == [-1, -1]


def test_options_of_async_are_refused_for_others() -> None:
    with pytest.raises(ConfigError, match="is for async functions"):

        @udf(result_type="INT", cache=2)
        def f(n: int) -> int:
            return n

    with pytest.raises(ConfigError, match="capacity of an async function cannot be 0"):

        @udf(result_type="INT", capacity=0)
        async def g(n: int) -> int:
            return n
