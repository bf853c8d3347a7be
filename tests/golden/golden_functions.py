"""Functions of udfs.test."""

from __future__ import annotations

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
