"""Functions of udfs.test."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from deras import udf

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
