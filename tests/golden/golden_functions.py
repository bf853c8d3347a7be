"""Functions of udfs.test."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from deras import process_function, udf

if TYPE_CHECKING:
    import polars as pl


@udf(result_type="INT")
def vowels(word: str | None) -> int | None:
    return None if word is None else sum(c in "aeiou" for c in word)


@udf(result_type="BIGINT", func_type="polars")
def twice(n: pl.Series) -> pl.Series:
    return n * 2


@udf(result_type="DOUBLE")
def inverse(n: int | None) -> float | None:
    return None if n is None else 1 / n


@udf(result_type="BIGINT", func_type="polars")
def picky(n: pl.Series) -> pl.Series:
    if (n == 0).any():
        raise ValueError("no zeros, please")
    return n + 1


@udf(result_type="STRING", retry=1, capacity=3)
async def looked_up(key: str) -> str:
    """Answers late, and not at all for some."""
    await asyncio.sleep(0.002 * (len(key) % 3))
    if key == "down":
        raise ConnectionError("nobody there")
    return key.upper()


@udf(result_type="STRING", cache=10, rate_limit=2000)
async def cached(key: str) -> str:
    """What was asked for is kept."""
    await asyncio.sleep(0.001 * (len(key) % 2))
    return key * 2


@udf(result_type="BIGINT", timeout=0.3, retry=0)
async def slow(n: int) -> int:
    """Too slow for odd numbers."""
    await asyncio.sleep(30 * (n % 2))
    return n


@process_function(result_types="ROW<event STRING, n BIGINT, total BIGINT>")
class Visits:
    """Counts the rows of a visit, which ends after some seconds without one."""

    def process(self, ctx, row):
        if row.v == 666:
            raise ValueError("no such value")
        state = ctx.state
        if "n" not in state:
            state |= {"n": 0, "values": []}
            yield "begin", None, None
        state["n"] += 1
        state["values"].append(row.v)
        if "end" in state:
            ctx.delete_timer(state["end"])
        state["end"] = ctx.timestamp + 1000 * ctx.args.get("seconds", 5)
        ctx.register_timer(state["end"])

    def on_timer(self, ctx, timestamp):
        yield "end", ctx.state["n"], sum(v or 0 for v in ctx.state["values"])
        ctx.clear()


@process_function(result_types="BIGINT")
class Counted:
    """A number that only grows, from a start that is an argument."""

    def open(self, ctx):
        self.step = int(ctx.get_job_parameter("step", "1"))

    def process(self, ctx, row):
        ctx.state["n"] = ctx.state.get("n", ctx.args.get("start", 0)) + self.step
        return ctx.state["n"]


@process_function(result_types="ROW<beat BIGINT>")
class Beats:
    """Every second of event time, as long as there are rows to come."""

    def process(self, ctx, row):
        if not ctx.state:
            ctx.state["on"] = True
            ctx.register_timer(ctx.timestamp // 1000 * 1000 + 1000)

    def on_timer(self, ctx, timestamp):
        ctx.register_timer(timestamp + 1000)
        return timestamp % 100_000


NUMBER = 7


def untyped(x):
    return x


@udf(result_type="BIGINT", input_types=["BIGINT", "BIGINT"])
def default_arguments(n, factor=2):
    return None if n is None else n * factor


@udf(result_type="STRING")
def joined(*parts):
    return "/".join("-" if x is None else x for x in parts)


@udf(result_type="DOUBLE", deterministic=False)
def shaky(n):
    return n / 2


@udf(result_type="DOUBLE", func_type="pandas")
def half(n):
    return n / 2
