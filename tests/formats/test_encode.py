"""Columns to text: Flink's forms, and back again without a difference."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Context, Decimal
from typing import Any

import numpy as np
import pytest
from formats_kit import block, make
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core import types as t
from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.errors import RowError
from deras.core.schema import Schema

_WIDE = Context(prec=60)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def times(unit: int) -> st.SearchStrategy[dt.datetime]:
    low, high = dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)
    return st.datetimes(low, high).map(lambda x: x.replace(microsecond=x.microsecond // unit * unit))


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    top = 10**precision - 1
    return st.integers(-top, top).map(lambda x: Decimal(x).scaleb(-scale, _WIDE))


COLUMNS: list[tuple[t.SqlType, st.SearchStrategy[Any]]] = [
    (t.BOOLEAN, st.booleans()),
    (t.TINYINT, st.integers(-128, 127)),
    (t.INT, st.integers(-(2**31), 2**31 - 1)),
    (t.BIGINT, st.integers(-(2**63), 2**63 - 1)),
    (t.FLOAT, st.floats(width=32, allow_nan=False)),
    (t.DOUBLE, st.floats(allow_nan=False)),
    (t.decimal(10, 2), decimals(10, 2)),
    (t.decimal(18, 18), decimals(18, 18)),
    (t.decimal(38, 10), decimals(38, 10)),
    (t.STRING, texts),
    (t.BYTES, st.binary(max_size=30)),
    (t.DATE, st.dates()),
    (t.time(6), st.times()),
    (t.timestamp(3), times(1000)),
    (t.timestamp(6), times(1)),
    (t.timestamp_ltz(0), times(1000000).map(lambda x: x.replace(tzinfo=dt.UTC))),
]
NESTED: list[tuple[t.SqlType, st.SearchStrategy[Any]]] = [
    (t.array(t.decimal(5, 1)), st.lists(st.none() | decimals(5, 1), max_size=3)),
    (t.row(a=t.STRING, b=t.timestamp(3)), st.fixed_dictionaries({"a": st.none() | texts, "b": st.none() | times(1000)})),
    (t.array(t.row(x=t.array(t.BYTES))), st.lists(st.fixed_dictionaries({"x": st.lists(st.binary(max_size=5), max_size=2)}), max_size=2)),
    (t.map_of(t.STRING, t.BIGINT), st.dictionaries(texts, st.integers(-9, 9), max_size=3)),
]  # fmt: skip


def lines(name: str, delta: Delta, **options: str) -> bytes:
    encoder = make(name, **options).encoder(delta.schema)
    found = encoder.encode(delta)
    return encoder.header() + (found if isinstance(found, bytes) else b"".join(found))


def back(name: str, delta: Delta, **options: str) -> Delta:
    text = lines(name, delta, **options)
    found = make(name, **options).decoder(delta.schema).decode(block(text))
    assert not found.rejected, (found.rejected, text)
    return found.delta


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_json_round_trip(data: st.DataObject) -> None:
    columns = data.draw(st.lists(st.sampled_from(COLUMNS + NESTED), min_size=1, max_size=6))
    names = data.draw(st.lists(texts, min_size=len(columns), max_size=len(columns), unique=True))
    schema = Schema.of(**{n: c for n, (c, _) in zip(names, columns, strict=True)})
    rows = data.draw(st.lists(st.tuples(*(st.none() | s for _, s in columns)), max_size=8))
    delta = Delta.of(schema, rows)
    options = data.draw(st.sampled_from([
        {}, {"timestamp_format__standard": "ISO-8601"}, {"encode__ignore_null_fields": "true"},
        {"encode__decimal_as_plain_number": "true"},
    ]))  # fmt: skip
    assert back("json", delta, **options).rows() == delta.rows()
    for line in lines("json", delta, **options).splitlines():
        json.loads(line)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_csv_round_trip(data: st.DataObject) -> None:
    # A line of nothing is no record, so there is always a second column. Text has no NULL unless there is a literal.
    columns = [(t.INT, st.just(1)), *data.draw(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=6))]
    schema = Schema.of(**{f"c{i}": c for i, (c, _) in enumerate(columns)})
    rows = data.draw(st.lists(st.tuples(*(st.none() | s for _, s in columns)), max_size=8))
    options = data.draw(st.sampled_from([
        {"null_literal": "NULL"}, {"null_literal": ""}, {"null_literal": "n/a", "field_delimiter": ";"},
        {"null_literal": "NULL", "escape_character": "\\"}, {"null_literal": "NULL", "quote_character": "'", "header": "true"},
    ]))  # fmt: skip
    delta = Delta.of(schema, rows)
    assert back("csv", delta, **options).rows() == delta.rows()


def one(type_: t.SqlType, value: Any, **options: str) -> str:
    text = lines("json", Delta.of(Schema.of(x=type_), [(value,)]), **options).decode()
    assert text.startswith('{"x":')
    return text[5:-2]


def test_flinks_forms() -> None:
    moment = dt.datetime(2020, 12, 30, 12, 13, 14, 123000)
    assert one(t.timestamp(3), moment) == '"2020-12-30 12:13:14.123"'
    assert one(t.timestamp(3), moment.replace(microsecond=0)) == '"2020-12-30 12:13:14"'
    assert one(t.timestamp_ltz(3), moment.replace(tzinfo=dt.UTC)) == '"2020-12-30 12:13:14.123Z"'
    assert one(t.timestamp(3), moment, timestamp_format__standard="ISO-8601") == '"2020-12-30T12:13:14.123"'
    assert one(t.decimal(10, 2), Decimal("100.00")) == "1E+2"
    assert one(t.decimal(10, 2), Decimal("120.50")) == "120.5"
    assert one(t.decimal(10, 2), Decimal("-120.00")) == "-1.2E+2"
    assert one(t.decimal(10, 2), Decimal("100.00"), encode__decimal_as_plain_number="true") == "100"
    assert one(t.decimal(10, 8), Decimal("0.00000012")) == "1.2E-7"
    assert one(t.decimal(10, 8), Decimal("0.00000012"), encode__decimal_as_plain_number="true") == "0.00000012"
    assert one(t.decimal(38, 2), Decimal("100.00")) == "1E+2"
    assert one(t.BYTES, b"hello") == '"aGVsbG8="'
    assert one(t.STRING, 'a"\\/\b\f\n\r\t\x01é😀') == '"a\\"\\\\/\\b\\f\\n\\r\\t\\u0001é😀"'
    assert one(t.DOUBLE, float("nan")) == '"NaN"'
    assert one(t.DOUBLE, float("-inf")) == '"-Infinity"'
    assert one(t.BIGINT, -(2**63)) == "-9223372036854775808"
    assert one(t.BIGINT, None) == "null"
    assert (
        lines("json", Delta.of(Schema.of(a=t.INT, b=t.INT), [(None, 1)]), encode__ignore_null_fields="true")
        == b'{"b":1}\n'
    )


def test_decimals_in_kernel_and_python_agree() -> None:
    for scale in (0, 1, 6, 18):
        for x in (0, 1, -1, 10, -1200, 123456, 10**17, 10**18 - 1, 999 * 10**10):
            value = Decimal(x).scaleb(-scale)
            for plain in ("true", "false"):
                narrow = one(t.decimal(18, scale), value, encode__decimal_as_plain_number=plain)
                wide = one(t.decimal(38, scale), value, encode__decimal_as_plain_number=plain)
                assert narrow == wide
                assert Decimal(narrow) == value


def test_null_keys_of_maps() -> None:
    schema = Schema.of(m=t.map_of(t.STRING, t.INT))
    delta = Delta.of(schema, [({None: 1, "k": 2},)])
    with pytest.raises(RowError, match="NULL key"):
        lines("json", delta)
    assert lines("json", delta, map_null_key__mode="DROP") == b'{"m":{"k":2}}\n'
    text = lines("json", delta, map_null_key__mode="LITERAL", map_null_key__literal="none")
    assert text == b'{"m":{"none":1,"k":2}}\n'


def test_csv_forms() -> None:
    schema = Schema.of(a=t.STRING, b=t.array(t.INT), c=t.DOUBLE, d=t.DATE)
    rows = [("plain", [1, 2], 1.5, dt.date(2024, 1, 2)), ('say "x", y', None, None, None), ("", [], 1.0, None)]
    assert lines("csv", Delta.of(schema, rows), header="true").decode().splitlines() == [
        "a,b,c,d", "plain,1;2,1.5,2024-01-02", '"say ""x"", y",,,', '"","",1.0,',
    ]  # fmt: skip


def test_many_rows_and_long_ones() -> None:
    schema = Schema.of(i=t.BIGINT, s=t.STRING)
    rows = [(i, "x" * (i % 977) + "\n" * (i % 7)) for i in range(30_000)] + [(1, "y" * 9_000_000)]
    found = back("json", Delta.of(schema, rows))
    assert found.rows() == rows


def test_sliced_and_taken_columns() -> None:
    schema = Schema.of(i=t.BIGINT, s=t.STRING)
    delta = Delta.of(schema, [(i, f"text number {i} of a few") for i in range(10)])
    want = [(3, "text number 3 of a few"), (4, "text number 4 of a few")]
    assert back("json", delta.slice(3, 5)).rows() == want
    assert back("json", delta.take(np.array([3, 4]))).rows() == want
    assert Column.of_values(t.INT, []).values() == []
    assert lines("json", Delta.empty(schema)) == b""
