"""Moments moved by constants take a short way through a program: it gives what the long way gives."""

from __future__ import annotations

import numpy as np
import pytest

from deras.core import types as t
from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.time import Tick
from deras.sql.expr.nodes import Cast, Expr, InputRef, Literal
from deras.sql.expr.program import RowProgram
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
