"""Short ways through a program give what the long way gives."""

from __future__ import annotations

from decimal import Context, Decimal

import numpy as np
import pytest

from deras.core import types as t
from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.time import Tick
from deras.sql.expr.analysis import fallible
from deras.sql.expr.nodes import Cast, Expr, InputRef, Literal
from deras.sql.expr.program import SMALL, RowProgram
from deras.sql.functions.operators import arithmetic, case, comparison
from deras.sql.functions.operators import test as is_
from deras.sql.functions.registry import call, find
from deras.sql.functions.times import shift_moment, shift_of


@pytest.mark.parametrize("op", ["+", "-"])
@pytest.mark.parametrize("type_", [t.timestamp(3), t.timestamp(9), t.timestamp_ltz(6)], ids=str)
@pytest.mark.parametrize("ms", [4000, -1, 86_400_000])
def test_a_moment_moved_by_a_constant(op: str, type_: t.SqlType, ms: int) -> None:
    words = np.array([0, 1_700_000_000_000_000, 5, -123_456_789_000], np.int64)
    delta = Delta(Schema.of(ts=type_), [Column.of_words(type_, words, np.array([1, 1, 0, 1], np.uint8))])
    by = Literal(t.INTERVAL_DAY, ms)
    short = shift_moment(op, InputRef(type_, 0), by, None)
    long = shift_moment(op, InputRef(type_, 0), Cast(t.INTERVAL_DAY, by), None)
    assert short is not None
    assert long is not None
    assert shift_of(short) is not None
    assert shift_of(long) is None

    def run(e: Expr) -> list[object]:
        program = RowProgram(delta.schema, Schema.of(x=type_), [e])
        found, errors = program.run(delta, Tick())
        assert not errors
        return found.columns[0].values()

    assert run(short) == run(long)
    assert run(short)[2] is None


@pytest.mark.parametrize("op", ["/", "%"])
@pytest.mark.parametrize("divisor", [1, -1, 7, -7, 123, -(2**63), 2**63 - 1])
@pytest.mark.parametrize("type_", [t.BIGINT, t.DOUBLE])
def test_a_divisor_that_is_not_zero_cannot_fail(op: str, divisor: int, type_: t.SqlType) -> None:
    if op == "%" and type_ is t.DOUBLE:
        return
    numbers = [0, 1, -1, 6, -6, 7, -7, 8, -8, 2**62, -(2**62), None]
    value = float(divisor) if type_ is t.DOUBLE else divisor
    columns = [Column.of_values(type_, [v and type(value)(v) for v in numbers]), Column.of_values(type_, [value] * 12)]
    delta = Delta(Schema.of(a=type_, b=type_), columns)
    a, b = InputRef(type_, 0), InputRef(type_, 1)
    short, long = arithmetic(op, a, Literal(type_, value)), arithmetic(op, a, b)
    assert not fallible(short)
    assert fallible(long)
    assert fallible(arithmetic(op, a, Literal(type_, type(value)(0))))
    found, errors = RowProgram(delta.schema, Schema.of(x=type_, y=type_), [short, long]).run(delta, Tick())
    assert not errors
    assert found.columns[0].values() == found.columns[1].values()
    if type_ is t.DOUBLE:
        assert found.columns[0].values() == [None if v is None else v / value for v in columns[0].values()]
    if type_ is t.BIGINT and op == "%":
        # The remainder has the sign of the first number.
        wanted = [None if v is None else abs(v) % abs(divisor) * (-1 if v < 0 else 1) for v in numbers]
        assert found.columns[0].values() == wanted


@pytest.mark.parametrize("n", [1, SMALL, SMALL + 1, 3 * SMALL])
def test_what_the_filter_computed_is_there_already(n: int) -> None:
    words = ["Apple", "google", None, "x&channel_id=12", "&channel_id=" + "a" * 20, "no", "É&channel_id=1"]
    texts = [words[i % len(words)] for i in range(n)]
    delta = Delta(
        Schema.of(k=t.BIGINT, s=t.STRING), [Column.of_values(t.BIGINT, range(n)), Column.of_values(t.STRING, texts)]
    )
    s = InputRef(t.STRING, 1)
    extract, lower = find("REGEXP_EXTRACT"), find("LOWER")
    assert extract is not None
    assert lower is not None

    def part() -> Expr:
        return call(extract, [s, Literal(t.STRING, "(&|^)channel_id=([^&]*)"), Literal(t.INT, 2)])

    def apple() -> Expr:
        return comparison("=", call(lower, [s]), Literal(t.STRING, "apple"))

    predicate = is_(part(), "NOT NULL")
    exprs = [InputRef(t.BIGINT, 0), case([apple()], [Literal(t.STRING, "0"), part()]), call(lower, [part()])]
    schema = Schema.of(k=t.BIGINT, x=t.STRING, y=t.STRING)
    program = RowProgram(delta.schema, schema, exprs, predicate)
    found, errors = program.run(delta, Tick())
    kept, _ = RowProgram(delta.schema, delta.schema, None, predicate).run(delta, Tick())
    wanted, _ = RowProgram(delta.schema, schema, exprs).run(kept, Tick())
    assert not errors
    assert [c.values() for c in found.columns] == [c.values() for c in wanted.columns]
    assert found.length == sum(1 for x in texts if x and "channel_id=" in x)
    assert program._project is not None
    # One step is left for LOWER of the text, one for LOWER of the part, and one for CASE.
    assert [len(steps) for steps in program._project.steps] == [2, 1]


def test_decimals_are_divided_as_floats_are() -> None:
    type_ = t.decimal(3, 1)
    column = Column.of_words(type_, np.array([3, 7, 999, -1], np.int64))
    delta = Delta(Schema.of(a=type_), [column])
    found, _ = RowProgram(delta.schema, Schema.of(x=t.DOUBLE), [Cast(t.DOUBLE, InputRef(type_, 0))]).run(delta, Tick())
    assert found.columns[0].values() == [0.3, 0.7, 99.9, -0.1]


@pytest.mark.parametrize(("factor", "precision"), [(908, 23), (908, 22), (908, 21), (999, 21), (-1, 19), (1, 20)])
def test_a_cast_that_cannot_cut_a_product_is_none(factor: int, precision: int) -> None:
    words = [2**63 - 1, -(2**63), 0, None, 1]
    product = arithmetic("*", InputRef(t.BIGINT, 0), Literal(t.decimal(4, 3).with_nullable(False), factor))
    to = t.decimal(precision, 3)
    delta = Delta(Schema.of(a=t.BIGINT), [Column.of_values(t.BIGINT, words)])
    found, errors = RowProgram(delta.schema, Schema.of(x=to), [Cast(to, product)]).run(delta, Tick())
    assert not errors
    exact = [None if w is None else w * factor for w in words]
    wanted = [None if v is None or abs(v) >= 10**precision else Decimal(v).scaleb(-3, Context(prec=60)) for v in exact]
    assert found.columns[0].values() == wanted
