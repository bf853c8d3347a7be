"""Comparisons of words answered by NumPy: as the general program answers them."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core import types as t
from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Field, Schema
from deras.core.time import Tick
from deras.sql.expr import nodes as e
from deras.sql.expr.conditions import WordsFilter, words_condition
from deras.sql.expr.program import Evaluation, RowProgram, Run
from deras.sql.functions.operators import _COMPARISONS

TYPES = [t.BIGINT, t.INT, t.timestamp(3), t.timestamp(9), t.DATE, t.decimal(10, 2), t.INTERVAL_DAY]
SCHEMA = Schema(tuple(Field(f"c{i}{j}", x) for i, x in enumerate(TYPES) for j in range(2)))
PLACES = [(i, j) for i in range(len(SCHEMA)) for j in range(len(SCHEMA)) if i // 2 == j // 2]
WORDS = st.none() | st.integers(-3, 3)


def compared(op: str, a: e.Expr, b: e.Expr) -> e.Call:
    return e.Call(t.BOOLEAN, _COMPARISONS[op], (a, b))


@st.composite
def conditions(draw: st.DrawFn, depth: int = 2) -> e.Expr:
    if depth and draw(st.booleans()):
        terms = draw(st.lists(conditions(depth - 1), min_size=2, max_size=3))
        return e.Logic(t.BOOLEAN, draw(st.sampled_from(["AND", "OR"])), tuple(terms))
    op = draw(st.sampled_from(sorted(_COMPARISONS)))
    i, j = draw(st.sampled_from(PLACES))
    a = e.InputRef(SCHEMA[i].type, i)
    if draw(st.booleans()):
        return compared(op, a, e.InputRef(SCHEMA[j].type, j))
    return compared(op, a, e.Literal(SCHEMA[i].type, draw(st.integers(-3, 3))))


def column(type_: t.SqlType, words: list[Any]) -> Column:
    valid = np.array([w is not None for w in words], np.uint8)
    return Column.of_words(type_, np.array([w or 0 for w in words], np.int64), None if valid.all() else valid)


@settings(max_examples=150, deadline=None)
@given(conditions(), st.data())
def test_it_is_the_general_program(x: e.Expr, data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 6))
    columns = [column(f.type, data.draw(st.lists(WORDS, min_size=n, max_size=n))) for f in SCHEMA]
    delta = Delta(SCHEMA, columns, length=n)
    condition = words_condition(x)
    assert condition is not None
    found, errors = WordsFilter(SCHEMA, condition).run(delta, Tick())
    assert not errors
    # What Polars says.
    general = Evaluation(SCHEMA.types, [x], "UTC", operations=False)
    (mask,), codes, _ = general.run(columns, Run(n, 0, 0, np.random.default_rng(0)))
    assert codes is None
    assert isinstance(mask, pl.Series)
    want = [r for r, answer in zip(delta.rows(), mask.to_list(), strict=True) if answer is True]
    assert found.rows() == want
    program, _ = RowProgram(SCHEMA, SCHEMA, None, x).run(delta, Tick())
    assert program.rows() == want
    assert program.weight_array().tolist() == [1] * len(want)


@pytest.mark.parametrize(
    "x",
    [
        compared("<", e.InputRef(t.DOUBLE, 0), e.InputRef(t.DOUBLE, 1)),
        compared("=", e.InputRef(t.STRING, 0), e.InputRef(t.STRING, 1)),
        compared("=", e.InputRef(t.timestamp(3), 0), e.InputRef(t.timestamp(9), 1)),
        compared("=", e.InputRef(t.decimal(10, 2), 0), e.InputRef(t.decimal(10, 3), 1)),
        compared("=", e.InputRef(t.BIGINT, 0), e.Literal(t.BIGINT, None)),
        compared("=", e.InputRef(t.BIGINT, 0), e.Cast(t.BIGINT, e.InputRef(t.INT, 1))),
    ],
    ids=str,
)
def test_what_words_do_not_say_is_left(x: e.Expr) -> None:
    assert words_condition(x) is None
    both = e.Logic(t.BOOLEAN, "AND", (compared("=", e.InputRef(t.INT, 2), e.InputRef(t.INT, 3)), x))
    assert words_condition(both) is None
