from __future__ import annotations

import csv
import datetime as dt
import io
import math
from decimal import Decimal

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deras.core.column import Column
from deras.core.types import (
    BOOLEAN,
    BYTES,
    DATE,
    DOUBLE,
    INTERVAL_DAY,
    STRING,
    array,
    decimal,
    map_of,
    row,
    time,
    timestamp,
    timestamp_ltz,
)
from deras.serve.values import csv_text, json_column, page_column, plain, sql_type_text

MOMENT = dt.datetime(2024, 2, 29, 13, 4, 5, 120000)


@pytest.mark.parametrize(
    ("sql_type", "value", "expected"),
    [
        (decimal(38, 2), Decimal("12345678901234567890.10"), "12345678901234567890.10"),
        (decimal(10, 2), Decimal("-0.10"), "-0.10"),
        (timestamp(3), MOMENT, "2024-02-29T13:04:05.120"),
        (timestamp(0), MOMENT.replace(microsecond=0), "2024-02-29T13:04:05"),
        (timestamp(9), MOMENT, "2024-02-29T13:04:05.120000000"),
        (timestamp_ltz(3), MOMENT.replace(tzinfo=dt.UTC), "2024-02-29T13:04:05.120Z"),
        (DATE, dt.date(1582, 10, 4), "1582-10-04"),
        (time(0), dt.time(23, 59, 59), "23:59:59"),
        (BYTES, b"\x00\xff", "AP8="),
        (BOOLEAN, True, True),
        (DOUBLE, math.nan, "NaN"),
        (DOUBLE, -math.inf, "-Infinity"),
        (DOUBLE, 0.1, 0.1),
        (INTERVAL_DAY, dt.timedelta(seconds=-1, milliseconds=-500), "-PT1.500S"),
        (array(decimal(4, 1)), [Decimal("1.5"), None], ["1.5", None]),
        (map_of(STRING, DOUBLE), {"a": 1.0, "b": math.inf}, {"a": 1.0, "b": "Infinity"}),
        (
            row(a=STRING, b=map_of(STRING, STRING)),
            {"a": "x", "b": [{"key": "k", "value": "v"}]},
            {"a": "x", "b": {"k": "v"}},
        ),
    ],
)
def test_values_keep_their_meaning_in_json(sql_type, value, expected) -> None:
    column = Column.of_values(sql_type, [value, None])
    found = json_column(column.to_arrow(), sql_type)
    assert found == [expected, None]
    orjson.dumps(found)


def test_page_columns_are_numbers() -> None:
    ts = Column.of_values(timestamp_ltz(3), [MOMENT.replace(tzinfo=dt.UTC), None]).to_arrow()
    assert page_column(ts) == [MOMENT.replace(tzinfo=dt.UTC).timestamp() * 1000, None]
    assert page_column(Column.of_values(decimal(5, 2), [Decimal("1.25"), None]).to_arrow()) == [1.25, None]
    assert page_column(pa.array([1.5, math.nan, math.inf, None])) == [1.5, None, None, None]


@given(st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))))
def test_csv_is_read_back(texts: list[str | None]) -> None:
    text = csv_text(["a,b", "n"], [texts, list(range(len(texts)))], len(texts))
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert rows[0] == ["a,b", "n"]
    assert [r[0] for r in rows[1:]] == [t or "" for t in texts]


def test_csv_tells_null_from_empty_text() -> None:
    assert csv_text(["a", "b"], [["", None], [True, [1]]], 2) == 'a,b\r\n"",true\r\n,[1]\r\n'


def test_plain_tables_have_no_views() -> None:
    table = pa.table({"s": pa.array(["a", None], pa.string_view()), "b": pa.array([b"x", b""], pa.binary_view())})
    assert plain(table).schema.types == [pa.string(), pa.binary()]
    assert plain(table).to_pylist() == table.to_pylist()


def test_types_of_undeclared_results() -> None:
    assert sql_type_text(pa.timestamp("us", "UTC")) == "TIMESTAMP_LTZ(6)"
    assert sql_type_text(pa.list_(pa.struct([("a", pa.decimal128(5, 1))]))) == "ARRAY<ROW<`a` DECIMAL(5, 1)>>"
