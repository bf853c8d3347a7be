"""Kernels of functions against the functions' general form."""

from __future__ import annotations

import re
from decimal import Context, Decimal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deras.core import types as t
from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.time import Tick
from deras.sql.expr.nodes import InputRef, Literal
from deras.sql.expr.program import Evaluation, RowProgram
from deras.sql.functions.operators import arithmetic
from deras.sql.functions.registry import CallContext, find
from deras.sql.kernels import plans
from deras.sql.kernels.pattern import program

TEXTS = st.one_of(
    st.none(),
    st.text(st.sampled_from("ab/,&=A \n"), max_size=40),
    st.text(st.sampled_from("ab/,"), min_size=11, max_size=18),
    st.text(st.sampled_from("aZ/é€"), max_size=20),
)
COLUMNS = st.lists(TEXTS, min_size=1, max_size=12)


def both(name, column, constants, types, zone="UTC", result=t.STRING):
    """The kernel and the general form of a call, as functions of a column."""
    f = find(name)
    assert f is not None
    assert f.kernel is not None
    literal = (False, *(True for _ in constants))
    c = CallContext((column.type, *types), result, (None, *constants), literal, zone)
    return f.kernel(c, f.build), plans.general(c, f.build, host=f.kind == "host")


def same(name, values, constants, types, type_=t.STRING, **more):
    """Kernel and general form agree: on the whole, on rows out of order, and on a part."""
    whole = Column.of_values(type_, values)
    rows = np.arange(len(values), dtype=np.int64)[::-1].copy()
    for column in (whole, whole.take(rows), whole.slice(len(values) // 3, len(values))):
        kernel, general = both(name, column, constants, types, **more)
        assert kernel is not None
        assert kernel(column).values() == general(column).values()


@given(COLUMNS, st.sampled_from(["/", ",", "ab", "/,", "a/a", "é", "ab/,ab/,ab"]), st.integers(0, 4))
@example(["ab/cd", "", None, "/", "x" * 8 + "/" + "y" * 13, "é/" * 9], "/", 1)
@settings(max_examples=150, deadline=None)
def test_split_index(values, separator, index):
    same("SPLIT_INDEX", values, (separator, index), (t.STRING, t.INT))


def test_split_index_says_what_python_says():
    values = ["a,b,c", "a,,c", ",", "abc", "", None, "0123456789abc,defghijklmnop,q"]
    column = Column.of_values(t.STRING, values)
    kernel, _ = both("SPLIT_INDEX", column, (",", 1), (t.STRING, t.INT))
    wanted = [v.split(",")[1] if v and "," in v else None for v in values]
    assert kernel(column).values() == wanted == ["b", "", "", None, None, None, "defghijklmnop"]


@given(st.lists(st.one_of(TEXTS, st.text(max_size=30)), min_size=1, max_size=12), st.sampled_from(["LOWER", "UPPER"]))
@example(["@AZ[`az{", "@AZ[`az{" * 3, "ÄÖ ABC", None, "", "İ" * 9], "LOWER")
@example(["@AZ[`az{", "@AZ[`az{" * 3, "äöß abc", None, "", "ß" * 9], "UPPER")
@settings(max_examples=150, deadline=None)
def test_case(values, name):
    same(name, values, (), ())


MICROS = st.integers(-62_200_000_000_000_000, 253_500_000_000_000_000)


def moments(values, type_):
    valid = np.array([v is not None for v in values], np.uint8)
    words = np.array([v or 0 for v in values], np.int64)
    return Column.of_words(type_, words, None if valid.all() else valid)


@given(
    st.lists(
        st.one_of(st.none(), MICROS, st.integers(0, 10**7), st.integers(-(10**7), 10**7)), min_size=1, max_size=12
    ),
    st.sampled_from(
        ["yyyy-MM-dd", "HH:mm", "HH:mm:ss.SSS", "yyyyMMdd'T'HHmmss", "mm", "dd.MM.yyyy HH 'Uhr'", "SSSSSS", "'é' ss"]
    ),
    st.sampled_from([t.timestamp(3), t.timestamp(6), t.timestamp(9), t.timestamp_ltz(3)]),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"]),
)
@settings(max_examples=200, deadline=None)
def test_date_format(values, pattern, type_, zone):
    if type_.nanoseconds:
        values = [None if v is None else max(-(1 << 62), min(1 << 62, v)) for v in values]
    column = moments(values, type_)
    kernel, general = both("DATE_FORMAT", column, (pattern,), (t.STRING,), zone)
    assert kernel is not None
    assert kernel(column).values() == general(column).values()


def test_date_format_of_known_moments():
    words = [0, -1, 86_400_000_000 * 59, 951_782_399_999_999, 253_402_300_799_999_999, -62_167_219_200_000_000]
    column = moments(words, t.timestamp(6))
    kernel, _ = both("DATE_FORMAT", column, ("yyyy-MM-dd HH:mm:ss.SSS",), (t.STRING,))
    assert kernel(column).values() == [
        "1970-01-01 00:00:00.000", "1969-12-31 23:59:59.999", "1970-03-01 00:00:00.000",
        "2000-02-28 23:59:59.999", "9999-12-31 23:59:59.999", "0000-01-01 00:00:00.000",
    ]  # fmt: skip


@pytest.mark.parametrize("pattern", ["EEE dd", "d.M.", "yy", "h:mm", "w"])
def test_patterns_of_no_fixed_length_have_no_kernel(pattern):
    assert both("DATE_FORMAT", moments([0], t.timestamp(3)), (pattern,), (t.STRING,))[0] is None


ATOMS = st.sampled_from(
    ["a", "b", "/", "&", "=", ".", "[ab]", "[^a]", "[a-b/]", r"\w", r"\d", r"\s", r"\S", "ab", "^", "$", r"\."]
)
SUFFIX = st.sampled_from(["", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{1,}", "{0,2}?"])


def _patterns(inner):
    piece = st.tuples(inner, SUFFIX).map(lambda p: p[0] + ("" if p[0] in "^$" else p[1]))
    line = st.lists(piece, min_size=1, max_size=3).map("".join)
    return st.one_of(
        line.map(lambda x: f"({x})"),
        st.tuples(line, line).map(lambda x: f"({x[0]}|{x[1]})"),
        line.map(lambda x: f"(?:{x})"),
        line,
    )


PATTERNS = st.recursive(ATOMS, _patterns, max_leaves=6).map(lambda x: x if "(" in x else f"({x})")


def _groups(pattern):
    return re.compile(pattern).groups


@given(COLUMNS, PATTERNS, st.integers(0, 2))
@example(
    ["x&channel_id=ab&b", "channel_id=/" + "a" * 20, "&channel_id", "é&channel_id=1", None],
    "(&|^)channel_id=([^&]*)",
    2,
)
@example(["aab", "aaab" * 5, "b"], "(a*)a(b|$)", 1)
@settings(max_examples=400, deadline=None)
def test_regexp_extract(values, pattern, group):
    try:
        groups = _groups(pattern)
    except re.error:
        return
    column = Column.of_values(t.STRING, values)
    kernel, general = both("REGEXP_EXTRACT", column, (pattern, group), (t.STRING, t.INT))
    if kernel is None:
        assert program(pattern) is None or group > groups
        return
    assert kernel(column).values() == general(column).values()


PROGRAMS = ["(&|^)channel_id=([^&]*)", r"(\w+)@(\w+)\.com", "a{2,3}b?", "(a|b)+c", "x.*?y", "(?:ab)*c", "^/([^/]+)/"]


@pytest.mark.parametrize("pattern", PROGRAMS)
def test_usual_patterns_have_programs(pattern):
    assert program(pattern) is not None


@pytest.mark.parametrize(
    "pattern", ["(?i)a", r"(a)\1", "a(?=b)", "é", r"\bab", "(a*)*", "[a&&b]", "[[:alpha:]]", "a++", "("]
)
def test_other_patterns_have_none(pattern):
    assert program(pattern) is None


def test_a_pattern_that_goes_back_for_ever_is_left_to_the_general_engine():
    column = Column.of_values(t.STRING, ["a" * 40 + "c", "aab", "é" + "a" * 30 + "b"])
    kernel, general = both("REGEXP_EXTRACT", column, ("((a|aa)+)b", 1), (t.STRING, t.INT))
    assert kernel is not None
    assert kernel(column).values() == general(column).values() == [None, "aa", "a" * 30]


WORDS = st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-9, 9)), min_size=1, max_size=8)
FACTORS = [(908, t.decimal(3, 3)), (-1, t.decimal(1, 0)), (0, t.decimal(1, 0)), (10**18 - 1, t.decimal(18, 5))]


@given(WORDS, st.sampled_from(FACTORS), st.booleans())
@settings(max_examples=100, deadline=None)
def test_an_integer_times_a_constant_decimal(values, factor, first):
    value, type_ = factor
    constant = Literal(type_.with_nullable(False), value)
    column = InputRef(t.BIGINT, 0)
    made = arithmetic("*", constant, column) if first else arithmetic("*", column, constant)
    evaluation = Evaluation([t.BIGINT], [made], "UTC")
    assert [s.kernel is not None for steps in evaluation.steps for s in steps] == [True]
    delta = Delta(Schema.of(a=t.BIGINT), [moments(values, t.BIGINT)])
    found, errors = RowProgram(delta.schema, Schema.of(x=made.type), [made]).run(delta, Tick())
    assert not errors
    exact = Context(prec=60)
    wanted = [None if v is None else Decimal(v * value).scaleb(-type_.scale, exact) for v in values]
    assert found.columns[0].values() == wanted
