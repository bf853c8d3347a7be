"""Both faces of a column agree, for every layout, with and without NULLs."""

from __future__ import annotations

import datetime as dt
from decimal import Context, Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core import types as t
from deras.core.column import Column, Views

TEXT = st.text(max_size=40)
_LOW, _HIGH = dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)
WIDE = Context(prec=60)
VALUES: list[tuple[t.SqlType, st.SearchStrategy[Any]]] = [
    (t.BOOLEAN, st.booleans()),
    (t.TINYINT, st.integers(-128, 127)),
    (t.SMALLINT, st.integers(-(2**15), 2**15 - 1)),
    (t.INT, st.integers(-(2**31), 2**31 - 1)),
    (t.BIGINT, st.integers(-(2**63), 2**63 - 1)),
    (t.FLOAT, st.floats(width=32, allow_nan=False)),
    (t.DOUBLE, st.floats(allow_nan=False)),
    (t.decimal(10, 2), st.decimals(-99_999_999, 99_999_999, places=2)),
    (t.decimal(18, 0), st.integers(-(10**18) + 1, 10**18 - 1).map(Decimal)),
    (t.decimal(38, 4), st.integers(-(10**38) + 1, 10**38 - 1).map(lambda i: WIDE.scaleb(Decimal(i), -4))),
    (t.STRING, TEXT),
    (t.char(5), st.text(min_size=5, max_size=5)),
    (t.BYTES, st.binary(max_size=40)),
    (t.DATE, st.dates()),
    (t.time(3), st.times().map(lambda x: x.replace(microsecond=x.microsecond // 1000 * 1000))),
    (t.timestamp(3), st.datetimes(_LOW, _HIGH)),
    (t.timestamp(9), st.datetimes(_LOW, _HIGH)),
    (t.timestamp_ltz(3), st.datetimes(_LOW, _HIGH, timezones=st.just(dt.UTC))),
    (t.INTERVAL_DAY, st.integers(-(10**11), 10**11).map(lambda ms: dt.timedelta(milliseconds=ms))),
    (t.INTERVAL_MONTH, st.integers(-1000, 1000)),
]


@pytest.mark.parametrize(("type_", "values"), VALUES, ids=lambda v: str(v) if isinstance(v, t.SqlType) else "")
def test_series_to_numpy_and_back(type_: t.SqlType, values: st.SearchStrategy[Any]) -> None:
    import decimal

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.none() | values, max_size=30))
    def check(rows: list[Any]) -> None:
        with decimal.localcontext(decimal.Context(prec=60)):
            column = Column.of_values(type_, rows)
            array, valid = column._numpy(), column.valid()
            again = Column._of(type_, array, len(rows), valid)
            expected = column.series().to_list()
            assert again.series().to_list() == expected
            assert again.series().dtype == t.polars_type(type_)
            if rows:
                picked = np.array([len(rows) - 1, 0, 0], np.int64)
                want = [expected[i] for i in picked]
                assert again.take(picked).values() == want
                assert column.take(picked).values() == want
                assert again.slice(1, len(rows)).values() == expected[1:]
                assert Column.concat([again, again.slice(0, 1)]).values() == expected + expected[:1]

    check()


def test_text_of_views_points_into_its_buffers() -> None:
    data = np.frombuffer(b"a text that is longer than twelve bytes", np.uint8)
    column = Column.of_series(t.STRING, pl.Series("", ["a text that is longer than twelve bytes", "short", None]))
    views = column.views()
    assert views.views.shape == (3, 2)
    assert int(views.views[0, 0]) & 0xFFFFFFFF == len(data)
    place = int(views.views[0, 1])
    number, offset = place & 0xFFFFFFFF, place >> 32
    assert bytes(views.buffers[number][offset : offset + len(data)]) == bytes(data)
    assert int(views.views[2, 0]) == 0
    assert len(views.bases()) >= 1


def test_words_share_memory_with_polars() -> None:
    words = np.arange(1000)
    column = Column.of_words(t.BIGINT, words)
    assert column.series().to_numpy().ctypes.data == words.ctypes.data
    text = Column.of_series(t.STRING, pl.Series("", ["a long enough text to have a buffer"] * 3))
    made = Column.of_views(t.STRING, Views(text.views().views, text.views().buffers))
    assert made.series().to_list() == text.series().to_list()


def test_a_sliced_series_keeps_its_own_rows() -> None:
    s = pl.Series("", ["alpha", "beta", "a text longer than twelve", None, "e"])
    column = Column.of_series(t.STRING, s.slice(1, 4))
    again = Column.of_views(t.STRING, column.views(), column.valid())
    assert again.values() == ["beta", "a text longer than twelve", None, "e"]
    chunked = pl.concat([s, s], rechunk=False).slice(3, 4)
    column = Column.of_series(t.STRING, chunked)
    assert Column.of_views(t.STRING, column.views(), column.valid()).values() == chunked.to_list()


def test_nested_values_stay_polars() -> None:
    column = Column.of_values(t.map_of(t.STRING, t.INT), [{"a": 1}, None])
    assert column.values() == [[{"key": "a", "value": 1}], None]
    row = Column.of_values(t.row(a=t.INT, b=t.STRING), [{"a": 1, "b": "x"}])
    with pytest.raises(TypeError):
        row.words()


@pytest.mark.parametrize("t_", [v[0] for v in VALUES], ids=str)
def test_nulls_that_nobody_looked_at(t_: t.SqlType) -> None:
    def fresh() -> Column:
        return Column.nulls(t_, 3)

    assert fresh().values() == [None] * 3
    assert fresh().series().dtype == t.polars_type(t_)
    assert fresh().valid().tolist() == [0, 0, 0]
    assert fresh().take(np.array([2, 0])).values() == [None, None]
    assert fresh().slice(1, 3).values() == [None, None]
    assert fresh().slice(1, 1).values() == []
    assert fresh().with_type(t_.with_nullable(True)).values() == [None] * 3
    c = fresh()
    array = c._numpy()  # the array first, then everything else from it
    assert len(array.views if isinstance(array, Views) else array) == 3
    assert c.values() == [None] * 3
    assert Column.concat([fresh(), fresh()]).values() == [None] * 6


@pytest.mark.parametrize(("t_", "values"), [(v[0], v[1]) for v in VALUES], ids=lambda x: str(x)[:12])
@given(data=st.data())
@settings(max_examples=10)
def test_nulls_beside_values(t_: t.SqlType, values: st.SearchStrategy[Any], data: st.DataObject) -> None:
    given_ = Column.of_values(t_, [data.draw(values), data.draw(values)])
    both = Column.concat([Column.nulls(t_, 1), given_, Column.nulls(t_, 2)])
    assert both.values() == [None, *given_.values(), None, None]
    assert both.valid().tolist() == [0, 1, 1, 0, 0]
