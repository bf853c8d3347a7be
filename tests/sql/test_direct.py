"""Expressions as operations on columns: as the general program answers them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deras.core import types as t
from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Field, Schema
from deras.core.time import Tick
from deras.sql.expr import nodes as e
from deras.sql.expr.direct import condition, direct
from deras.sql.expr.program import Evaluation, RowProgram, Run, frame_series
from deras.sql.functions.operators import arithmetic, case, comparison, like, negation
from deras.sql.functions.operators import test as truth
from deras.sql.functions.registry import call, cast_to, find

BIG, INT, SMALL, DOUBLE, TEXT, MILLIS, NANOS, MONEY, TRUTH, DAY, WIDE = range(11)
TYPES = [
    t.BIGINT, t.INT, t.SMALLINT, t.DOUBLE, t.STRING, t.timestamp(3), t.timestamp(9), t.decimal(10, 2), t.BOOLEAN,
    t.DATE, t.decimal(30, 4),
]  # fmt: skip
SCHEMA = Schema(tuple(Field(f"c{i}", x) for i, x in enumerate(TYPES)))
REFS = [e.InputRef(x, i) for i, x in enumerate(TYPES)]
WORDS = [
    "",
    "a",
    "OR",
    "apple",
    "apples",
    "exactly12byt",
    "thirteen byte",
    "é",
    "aé€a",
    "a long text with apples in it",
]
INTS = {BIG: 64, INT: 32, SMALL: 16}


def ints(bits: int) -> st.SearchStrategy[int]:
    ends = [-(1 << (bits - 1)), (1 << (bits - 1)) - 1, -1, 0, 1, 7, -7, 123]
    return st.sampled_from(ends) | st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1) | st.integers(-20, 20)


FLOATS = st.sampled_from([0.0, -0.0, 1.5, math.nan, math.inf, -math.inf, 1e308, -2.0]) | st.floats()
MOMENTS = st.integers(-(10**14), 10**14) | st.integers(-5, 5)


def values(i: int) -> st.SearchStrategy[Any]:
    match i:
        case 0 | 1 | 2:
            return ints(INTS[i])
        case 3:
            return FLOATS
        case 4:
            return st.sampled_from(WORDS) | st.text(st.sampled_from("aplé"), max_size=15)
        case 5 | 6:
            return MOMENTS
        case 7:
            return st.integers(-(10**10) + 1, 10**10 - 1)
        case 8:
            return st.booleans()
        case 9:
            return st.integers(-3, 3)
        case _:
            return st.integers(-(10**20), 10**20)


def column(i: int, given: list[Any]) -> Column:
    """Physical values as a column."""
    type_ = TYPES[i]
    if i in (DOUBLE, TEXT, TRUTH):
        return Column.of_values(type_, given)
    bits = np.array([v is not None for v in given], np.uint8)
    valid = None if bits.all() else bits
    if i == WIDE:
        limbs = np.array([[(v or 0) & 0xFFFFFFFFFFFFFFFF, (v or 0) >> 64] for v in given], object).reshape(-1, 2)
        low = limbs[:, 0].astype(np.uint64).view(np.int64)
        return Column.of_limbs(type_, np.stack([low, limbs[:, 1].astype(np.int64)], axis=1), valid)
    return Column.of_words(type_, np.array([v or 0 for v in given], np.int64), valid)


@st.composite
def literals(draw: st.DrawFn, i: int) -> e.Expr:
    return e.Literal(TYPES[i].with_nullable(False), draw(values(i)))


@st.composite
def numbers(draw: st.DrawFn, i: int, depth: int) -> e.Expr:
    """Values of a column's type."""
    choice = draw(st.integers(0, 5)) if depth else 0
    if choice <= 1:
        return REFS[i]
    if choice == 2:
        results = draw(st.lists(numbers(i, depth - 1) | literals(i), min_size=2, max_size=4))
        if draw(st.booleans()):
            results[draw(st.integers(0, len(results) - 1))] = e.Literal(TYPES[i], None)
        made = [draw(conditions(depth - 1)) for _ in results[1:]]
        if all(isinstance(r, e.Literal) and r.value is None for r in results):
            results[0] = REFS[i]
        return case(made, results)
    if i in INTS and choice == 3:
        source = draw(st.sampled_from(sorted(INTS)))
        return cast_to(draw(numbers(source, depth - 1)), TYPES[i])
    if i in (*INTS, DOUBLE):
        if choice == 4 and i in INTS:
            divisor = e.Literal(TYPES[i].with_nullable(False), draw(st.sampled_from([1, 2, 7, 123, 1000])))
            return arithmetic(draw(st.sampled_from("/%")), draw(numbers(i, depth - 1)), divisor)
        other = draw(numbers(i, depth - 1) | literals(i))
        return arithmetic(draw(st.sampled_from("+-*")), draw(numbers(i, depth - 1)), other)
    return REFS[i]


@st.composite
def conditions(draw: st.DrawFn, depth: int = 3) -> e.Expr:
    choice = draw(st.integers(0, 7))
    if depth and choice == 0:
        terms = draw(st.lists(conditions(depth - 1), min_size=2, max_size=3))
        return e.Logic(t.BOOLEAN, draw(st.sampled_from(["AND", "OR"])), tuple(terms))
    if depth and choice == 1:
        return negation(draw(conditions(depth - 1)))
    if depth and choice == 2:
        kinds = ["TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "UNKNOWN", "NOT UNKNOWN", "NULL", "NOT NULL"]
        return truth(draw(conditions(depth - 1)), draw(st.sampled_from(kinds)))
    if choice == 3:
        return truth(draw(st.sampled_from(REFS)), draw(st.sampled_from(["NULL", "NOT NULL"])))
    op = draw(st.sampled_from(["=", "<>", "<", "<=", ">", ">="]))
    if choice == 4:
        if draw(st.booleans()):
            text = e.Literal(t.STRING.with_nullable(False), draw(st.sampled_from(WORDS)))
            sides = [REFS[TEXT], text]
            left, right = draw(st.permutations(sides))
            return comparison(draw(st.sampled_from(["=", "<>"])), left, right)
        pattern = draw(st.sampled_from(["{}", "{}%", "%{}", "%{}%"])).format(draw(st.sampled_from(WORDS[1:])))
        return like("LIKE", REFS[TEXT], e.Literal(t.STRING.with_nullable(False), pattern), None)
    if choice == 5:
        unit = draw(st.sampled_from(["HOUR", "MINUTE", "SECOND"]))
        f = find(unit)
        assert f is not None
        part = call(f, [REFS[draw(st.sampled_from([MILLIS, NANOS]))]])
        return comparison(op, part, e.Literal(t.BIGINT.with_nullable(False), draw(st.integers(0, 23))))
    if choice == 6:
        factor = e.Literal(t.decimal(4, 3).with_nullable(False), draw(st.sampled_from([908, -908, 1, 7])))
        left, right = draw(st.permutations([factor, REFS[draw(st.sampled_from([BIG, INT, MONEY]))]]))
        product = arithmetic("*", left, right)
        most = 10**product.type.precision - 1
        limit = draw(st.integers(-3000, 3000) | st.integers(-most, most))
        return comparison(op, product, e.Literal(product.type.with_nullable(False), limit))
    i = draw(st.sampled_from([BIG, INT, SMALL, DOUBLE, MILLIS, NANOS, MONEY, DAY]))
    return comparison(op, draw(numbers(i, depth)), draw(numbers(i, depth) | literals(i)))


def rows_of(made: Any) -> list[Any]:
    s = frame_series(made) if isinstance(made, Column) else made
    # A NaN is equal to itself here.
    return ["NaN" if isinstance(v, float) and math.isnan(v) else v for v in s.to_physical().to_list()]


def answers(x: e.Expr, columns: list[Column], zone: str = "UTC") -> tuple[list[Any], list[Any]]:
    """With operations, and from Polars alone."""
    run = Run(len(columns[0]), 0, 0, np.random.default_rng(0))
    (ours,), codes, _ = Evaluation(SCHEMA.types, [x], zone).run(columns, run)
    (theirs,), other, _ = Evaluation(SCHEMA.types, [x], zone, operations=False).run(columns, run)
    assert codes is None
    assert other is None
    return rows_of(ours), rows_of(theirs)


@st.composite
def tables(draw: st.DrawFn) -> list[Column]:
    n = draw(st.integers(1, 6))
    columns = [column(i, draw(st.lists(st.none() | values(i), min_size=n, max_size=n))) for i in range(len(TYPES))]
    begin = draw(st.integers(0, n - 1))
    return [c.slice(begin, n) for c in columns] if draw(st.booleans()) else columns


@settings(max_examples=150, deadline=None)
@given(conditions(), tables())
def test_conditions_are_as_the_general_program_says(x: e.Expr, columns: list[Column]) -> None:
    ours, theirs = answers(x, columns)
    assert ours == theirs
    delta = Delta(SCHEMA, columns, length=len(columns[0]))
    kept, errors = RowProgram(SCHEMA, SCHEMA, None, x).run(delta, Tick())
    assert not errors
    assert kept.length == sum(v is True or v == 1 for v in theirs)
    passing = condition(x)
    if passing is not None:
        assert passing(columns).tolist() == [v is True for v in theirs]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(TYPES) - 1).flatmap(lambda i: numbers(i, 3)), tables())
def test_values_are_as_the_general_program_says(x: e.Expr, columns: list[Column]) -> None:
    ours, theirs = answers(x, columns)
    assert ours == theirs


@given(st.sampled_from([MILLIS, NANOS]), st.sampled_from(["HOUR", "MINUTE", "SECOND"]), tables())
@settings(max_examples=60, deadline=None)
def test_parts_of_moments(i: int, unit: str, columns: list[Column]) -> None:
    extract = find("EXTRACT")
    assert extract is not None
    x = call(extract, [e.Literal(t.char(len(unit)).with_nullable(False), unit), REFS[i]])
    assert direct(x) is not None
    ours, theirs = answers(x, columns)
    assert ours == theirs


def test_a_zone_moves_the_hours_of_instants() -> None:
    f = find("HOUR")
    assert f is not None
    x = call(f, [e.InputRef(t.timestamp_ltz(3), 0)])
    assert direct(x) is not None
    assert direct(x, "Asia/Kolkata") is None


def constants(*texts: str | None) -> list[e.Expr]:
    return [e.Literal(t.STRING.with_nullable(v is None), v) for v in texts]


def test_case_over_texts_says_what_python_says() -> None:
    long = "a text that is longer than twelve bytes"
    columns = [column(i, [None] * 5) for i in range(len(TYPES))]
    columns[BIG] = column(BIG, [1, 2, 3, None, 4])
    columns[TEXT] = column(TEXT, ["x", long, long + "!", "y", None])
    ones = [comparison("=", REFS[BIG], e.Literal(t.BIGINT.with_nullable(False), k)) for k in (1, 2)]
    x = case(ones, [*constants(long.upper()), *constants(None), REFS[TEXT]])
    assert direct(x) is not None
    assert answers(x, columns) == ([long.upper(), None, long + "!", "y", None],) * 2
    fixed = case(ones, constants("one", long, None))
    assert answers(fixed, columns) == (["one", long, None, None, None],) * 2


def words(*given: int | None) -> list[Column]:
    return [column(i, list(given) if i in (BIG, INT) else [None] * len(given)) for i in range(len(TYPES))]


@pytest.mark.parametrize(("op", "divisor"), [("/", 3), ("%", 3), ("/", 1), ("%", 1), ("%", (1 << 63) - 1)])
def test_division_is_toward_zero(op: str, divisor: int) -> None:
    given = [7, -7, -6, 0, -(1 << 63), (1 << 63) - 1]
    x = arithmetic(op, REFS[BIG], e.Literal(t.BIGINT.with_nullable(False), divisor))
    assert direct(x) is not None
    want = [(abs(v) // divisor if op == "/" else abs(v) % divisor) * (-1 if v < 0 else 1) for v in given]
    columns = [column(i, given if i == BIG else [None] * len(given)) for i in range(len(TYPES))]
    assert answers(x, columns)[0] == want


def test_sums_wrap_in_their_own_width() -> None:
    top = (1 << 31) - 1
    x = arithmetic("+", REFS[INT], e.Literal(t.INT.with_nullable(False), 1))
    assert answers(x, words(top, 1, None))[0] == [-(1 << 31), 2, None]


@pytest.mark.parametrize(
    "x",
    [
        arithmetic("/", REFS[BIG], REFS[BIG]),
        arithmetic("%", REFS[BIG], e.Literal(t.BIGINT.with_nullable(False), 0)),
        arithmetic("/", REFS[DOUBLE], e.Literal(t.DOUBLE.with_nullable(False), 3.0)),
        comparison("<", REFS[TEXT], REFS[TEXT]),
        cast_to(REFS[TEXT], t.INT),
        REFS[BIG],
    ],
    ids=str,
)
def test_what_may_fail_or_is_of_another_form_is_left(x: e.Expr) -> None:
    assert direct(x) is None


@given(
    st.lists(st.none() | st.text(st.sampled_from("abé"), max_size=30), min_size=1, max_size=8),
    st.text(st.sampled_from("abé"), min_size=1, max_size=14),
    st.integers(0, 3),
)
@example(["ab" * 6, "ab" * 7, "b" + "ab" * 7, "ab" * 7 + "b"], "ab" * 7, 0)
@settings(max_examples=200, deadline=None)
def test_patterns_are_what_python_says(texts: list[str | None], text: str, how: int) -> None:
    columns = [column(i, texts if i == TEXT else [None] * len(texts)) for i in range(len(TYPES))]
    pattern = ("{}", "{}%", "%{}", "%{}%")[how].format(text)
    says = (text.__eq__, lambda v: v.startswith(text), lambda v: v.endswith(text), lambda v: text in v)[how]
    x = like("LIKE", REFS[TEXT], e.Literal(t.STRING.with_nullable(False), pattern), None)
    assert direct(x) is not None
    want = [None if v is None else says(v) for v in texts]
    assert [None if v is None else bool(v) for v in answers(x, columns)[0]] == want


@given(
    st.lists(st.none() | st.text(st.sampled_from("abé€\U0001f600"), max_size=20), min_size=1, max_size=8),
    st.integers(0, 22),
    st.none() | st.integers(0, 22),
)
@example(["abcdefghijklmnopqrstuvwxyz", "", None, "é" * 13, "abé" * 6], 3, 13)
@settings(max_examples=200, deadline=None)
def test_characters_are_pythons(texts: list[str | None], place: int, many: int | None) -> None:
    columns = [column(i, texts if i == TEXT else [None] * len(texts)) for i in range(len(TYPES))]
    length, substring = find("CHAR_LENGTH"), find("SUBSTRING")
    assert length is not None
    assert substring is not None
    counted = call(length, [REFS[TEXT]])
    assert direct(counted) is not None
    ours, theirs = answers(counted, columns)
    assert ours == theirs == [None if v is None else len(v) for v in texts]
    begin = max(0, place - 1)
    where = [e.Literal(t.INT.with_nullable(False), v) for v in (place, many) if v is not None]
    cut = call(substring, [REFS[TEXT], *where])
    assert direct(cut) is not None
    ours, theirs = answers(cut, columns)
    assert ours == theirs == [None if v is None else v[begin:][:many] for v in texts]


@pytest.mark.parametrize("where", [(-1,), (1, -1)])
def test_places_from_the_end_are_left(where: tuple[int, ...]) -> None:
    f = find("SUBSTRING")
    assert f is not None
    x = call(f, [REFS[TEXT], *(e.Literal(t.INT.with_nullable(False), v) for v in where)])
    assert direct(x) is None
