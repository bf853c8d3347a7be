"""JSON records to columns: values, refusals, positions, arrays."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from formats_kit import block, decode, make, refused

from deras.core import types as t
from deras.core.records import Block
from deras.core.schema import Field, Schema

ALL = Schema.of(
    bo=t.BOOLEAN, ti=t.TINYINT, si=t.SMALLINT, i=t.INT, bi=t.BIGINT, f=t.FLOAT, d=t.DOUBLE, de=t.decimal(10, 2),
    wide=t.decimal(38, 6), s=t.STRING, by=t.BYTES, da=t.DATE, tm=t.time(3), ts=t.timestamp(3), ns=t.timestamp(9),
    ltz=t.timestamp_ltz(6),
)  # fmt: skip
UTC = dt.UTC


def one(type_: t.SqlType, value: str, **options: str) -> Any:
    """The value of a column from JSON text, or the exception's message."""
    found = decode("json", Schema.of(x=type_), f'{{"x":{value}}}', **options)
    if found.rejected:
        assert len(found.delta) == 0
        return ValueError(found.rejected[0].messages[0])
    (row,) = found.delta.rows()
    return row[0]


def check(type_: t.SqlType, value: str, want: Any, **options: str) -> None:
    got = one(type_, value, **options)
    if want is ValueError:
        assert isinstance(got, ValueError), got
    else:
        assert got == want
        assert type(got) is type(want)


def test_every_type() -> None:
    text = (
        '{"bo":true,"ti":-128,"si":32767,"i":-2147483648,"bi":9223372036854775807,"f":1.1,"d":1.1,"de":12.345,'
        '"wide":12345678901234567890.1234565,"s":"grün","by":"aGVsbG8=","da":"2024-02-29","tm":"23:59:59.9999",'
        '"ts":"2020-12-30 12:13:14.123456","ns":"2020-12-30 12:13:14.123456789","ltz":"1969-12-31 23:59:59.5Z"}'
    )
    (row,) = decode("json", ALL, text).delta.rows()
    assert row[:5] == (True, -128, 32767, -(2**31), 2**63 - 1)
    assert row[5] == pytest.approx(1.1, abs=1e-7)
    assert row[6] == 1.1
    assert row[7:11] == (Decimal("12.35"), Decimal("12345678901234567890.123457"), "grün", b"hello")
    assert row[11:13] == (dt.date(2024, 2, 29), dt.time(23, 59, 59, 999000))
    assert row[13] == dt.datetime(2020, 12, 30, 12, 13, 14, 123000)
    assert row[15] == dt.datetime(1969, 12, 31, 23, 59, 59, 500000, UTC)
    ns = decode("json", ALL, text).delta.columns[14].words()[0]
    assert ns == 1609330394123456789


@pytest.mark.parametrize(
    ("type_", "text", "want"),
    [
        (t.TINYINT, "127", 127),
        (t.TINYINT, "128", ValueError),
        (t.TINYINT, "-129", ValueError),
        (t.SMALLINT, "-32769", ValueError),
        (t.INT, "2147483648", ValueError),
        (t.INT, "-2147483648", -(2**31)),
        (t.BIGINT, "-9223372036854775808", -(2**63)),
        (t.BIGINT, "9223372036854775808", ValueError),
        (t.BIGINT, "-9223372036854775809", ValueError),
        (t.BIGINT, "100000000000000000000000", ValueError),
        (t.BIGINT, "01", ValueError),
        (t.BIGINT, "-01", ValueError),
        (t.BIGINT, "+1", ValueError),
        (t.BIGINT, "-", ValueError),
        (t.BIGINT, "1.", ValueError),
        (t.BIGINT, ".5", ValueError),
        (t.BIGINT, "1e", ValueError),
        (t.BIGINT, "1e+", ValueError),
        (t.BIGINT, "0x10", ValueError),
        (t.BIGINT, "1.5", ValueError),
        (t.BIGINT, "1.0", 1),
        (t.BIGINT, "1e3", 1000),
        (t.BIGINT, "15e-1", ValueError),
        (t.BIGINT, "1e999999999", ValueError),
        (t.BIGINT, "-0", 0),
        (t.BIGINT, '"42"', 42),
        (t.BIGINT, '" +42 "', 42),
        (t.BIGINT, '"007"', 7),
        (t.BIGINT, '"4.2"', ValueError),
        (t.BIGINT, '""', ValueError),
        (t.BIGINT, '"abc"', ValueError),
        (t.BIGINT, "true", ValueError),
        (t.BIGINT, "[1]", ValueError),
        (t.BIGINT, "null", type(None)),
        (t.DOUBLE, "0.1", 0.1),
        (t.DOUBLE, "-0.0", -0.0),
        (t.DOUBLE, "1e22", 1e22),
        (t.DOUBLE, "9007199254740993", 9007199254740993.0),
        (t.DOUBLE, "1.7976931348623157e308", 1.7976931348623157e308),
        (t.DOUBLE, "5e-324", 5e-324),
        (t.DOUBLE, "2.2250738585072011e-308", 2.2250738585072011e-308),
        (t.DOUBLE, "1e-400", 0.0),
        (t.DOUBLE, "1e400", ValueError),
        (t.DOUBLE, "NaN", ValueError),
        (t.DOUBLE, "Infinity", ValueError),
        (t.DOUBLE, '"Infinity"', float("inf")),
        (t.DOUBLE, '"1.5d"', 1.5),
        (t.DOUBLE, '"x"', ValueError),
        (t.DOUBLE, "0." + "0" * 50 + "1", 1e-51),
        (t.DOUBLE, "1" * 50, float("1" * 50)),
        (t.FLOAT, "1e39", ValueError),
        (t.FLOAT, "3.4028234663852886e38", 3.4028234663852886e38),
        (t.decimal(5, 2), "999.99", Decimal("999.99")),
        (t.decimal(5, 2), "999.995", ValueError),
        (t.decimal(5, 2), "1.005", Decimal("1.01")),
        (t.decimal(5, 2), "-1.005", Decimal("-1.01")),
        (t.decimal(5, 2), "1e2", Decimal("100.00")),
        (t.decimal(5, 2), "1e-30", Decimal("0.00")),
        (t.decimal(5, 2), "0e50", Decimal("0.00")),
        (t.decimal(5, 2), "1e1000000", ValueError),
        (t.decimal(5, 2), '"1.5"', Decimal("1.50")),
        (t.decimal(18, 0), "999999999999999999", Decimal(999999999999999999)),
        (t.decimal(18, 0), "1000000000000000000", ValueError),
        (t.decimal(38, 0), "9" * 38, Decimal("9" * 38)),
        (t.decimal(38, 0), "-" + "9" * 38, Decimal("-" + "9" * 38)),
        (t.decimal(38, 0), "9" * 39, ValueError),
        (t.decimal(20, 2), "-0.005", Decimal("-0.01")),
        (t.BOOLEAN, "false", False),
        (t.BOOLEAN, '"TRUE"', True),
        (t.BOOLEAN, "1", ValueError),
        (t.BOOLEAN, '"yes"', ValueError),
        (t.BOOLEAN, "tru", ValueError),
        (t.STRING, "12.50", "12.50"),
        (t.STRING, "true", "true"),
        (t.STRING, '{"a": [1, 2.50, "x"]}', '{"a":[1,2.50,"x"]}'),
        (t.STRING, '""', ""),
        (t.STRING, '"' + "x" * 1000 + '"', "x" * 1000),
        (t.STRING, r'"a\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\ude00"', 'a"\\/\b\f\n\r\tA\u00e9€😀'),
        (t.STRING, r'"\ud83d"', ValueError),
        (t.STRING, r'"\ude00"', ValueError),
        (t.STRING, r'"\ud83dx"', ValueError),
        (t.STRING, r'"\ud83dA"', ValueError),
        (t.STRING, r'"\x41"', ValueError),
        (t.STRING, r'"\u00g0"', ValueError),
        (t.STRING, '"tab\there"', ValueError),
        (t.STRING, '"nul\x00"', ValueError),
        (t.STRING, '"del\x7f"', "del\x7f"),
        (t.STRING, '"€uro 漢字 😀"', "€uro 漢字 😀"),
        (t.BYTES, '"AP8="', b"\x00\xff"),
        (t.BYTES, '"!!"', ValueError),
        (t.BYTES, "12", ValueError),
        (t.DATE, '"2023-02-29"', ValueError),
        (t.DATE, '"0001-01-01"', dt.date(1, 1, 1)),
        (t.DATE, '"2024-13-01"', ValueError),
        (t.DATE, '"2024-1-01"', ValueError),
        (t.DATE, '"2024-01-00"', ValueError),
        (t.DATE, '"2024-01-01x"', ValueError),
        (t.DATE, "19000", ValueError),
        (t.time(0), '"12:00:00"', dt.time(12)),
        (t.time(0), '"12:00:00.9"', dt.time(12)),
        (t.time(0), '"24:00:00"', ValueError),
        (t.time(0), '"12:60:00"', ValueError),
        (t.timestamp(3), '"2020-12-30 12:13:14"', dt.datetime(2020, 12, 30, 12, 13, 14)),
        (t.timestamp(0), '"2020-12-30 12:13:14.999"', dt.datetime(2020, 12, 30, 12, 13, 14)),
        (t.timestamp(3), '"1969-12-31 23:59:59.9999"', dt.datetime(1969, 12, 31, 23, 59, 59, 999000)),
        (t.timestamp(3), '"2020-12-30T12:13:14"', ValueError),
        (t.timestamp(3), '"2020-12-30 12:13:14Z"', ValueError),
        (t.timestamp(3), '"2020-12-30 12:13"', ValueError),
        (t.timestamp(3), '"2020-12-30 12:13:14."', ValueError),
        (t.timestamp(3), '"2020-12-30 12:13:14.1234567891"', ValueError),
        (t.timestamp(3), '"2020-12-30 25:13:14"', ValueError),
        (t.timestamp(3), "1609330394", ValueError),
        (t.timestamp_ltz(3), '"2020-12-30 12:13:14+02:00"', dt.datetime(2020, 12, 30, 10, 13, 14, tzinfo=UTC)),
        (t.timestamp_ltz(3), '"2020-12-30 12:13:14"', ValueError),
        (t.row(a=t.INT, b=t.array(t.STRING)), '{"b":["x",null],"a":1,"z":0}', {"a": 1, "b": ["x", None]}),
        (t.row(a=t.INT), "[]", ValueError),
        (t.row(a=t.INT), '{"a":"q"}', ValueError),
        (t.array(t.timestamp(3)), '["2020-01-01 00:00:00",null]', [dt.datetime(2020, 1, 1), None]),
        (t.array(t.decimal(20, 1)), "[1.25]", [Decimal("1.3")]),
        (t.map_of(t.STRING, t.BIGINT), '{"k":1}', [{"key": "k", "value": 1}]),
        (t.INTERVAL_DAY, "1500", dt.timedelta(milliseconds=1500)),
    ],
)
def test_values(type_: t.SqlType, text: str, want: Any) -> None:
    check(type_, text, None if want is type(None) else want)


def test_iso_timestamps() -> None:
    options = {"timestamp_format__standard": "ISO-8601"}
    want = dt.datetime(2020, 12, 30, 12, 13, 14, 500000)
    check(t.timestamp(3), '"2020-12-30T12:13:14.5"', want, **options)
    check(t.timestamp(3), '"2020-12-30T12:13"', want.replace(second=0, microsecond=0), **options)
    check(t.timestamp(3), '"2020-12-30 12:13:14.5"', ValueError, **options)
    check(t.timestamp_ltz(3), '"2020-12-30T12:13:14.5Z"', want.replace(tzinfo=UTC), **options)


@pytest.mark.parametrize("column", range(len(ALL)))
def test_null_and_missing(column: int) -> None:
    name = ALL[column].name
    text = f'{{"{name}":null}}\n{{}}\n{{"other":[{{"{name}":1}}]}}\n'
    found = decode("json", ALL, text)
    assert found.delta.rows() == [(None,) * len(ALL)] * 3
    assert not found.rejected


def test_white_space_bom_crlf_empty_lines_and_last_line_without_end() -> None:
    text = b'\xef\xbb\xbf \t{ "x" :\t1 , "y" : [ ] }  \r\n\r\n\n   \n{"x":2}\r\n{"x":3}'
    found = decode("json", Schema.of(x=t.INT), text)
    assert found.delta.rows() == [(1,), (2,), (3,)]
    assert found.count == 3


def test_the_last_of_equal_keys_wins() -> None:
    schema = Schema.of(x=t.INT, y=t.INT)
    text = '{"x":1,"x":2,"y":5}\n{"x":1,"x":null,"y":5}\n{"x":null,"x":3,"y":5}\n{"y":1,"y":2}'
    assert decode("json", schema, text).delta.rows() == [(2, 5), (None, 5), (3, 5), (None, 2)]


def test_escaped_keys() -> None:
    schema = Schema.of(**{"a": t.INT, 'q"k': t.INT, "ü": t.INT})
    assert decode("json", schema, r'{"\u0061":1,"q\"k":2,"\u00fc":3}').delta.rows() == [(1, 2, 3)]
    assert decode("json", schema, '{"ü":3}').delta.rows() == [(None, None, 3)]


def test_many_unknown_keys_and_long_ones() -> None:
    rows = [{f"k{i}-{j}": j for j in range(40)} | {"x" * 300: 1, "x": i} for i in range(50)]
    text = "\n".join(map(json.dumps, rows))
    decoder = make("json").decoder(Schema.of(x=t.INT))
    for _ in range(2):
        assert decoder.decode(block(text)).delta.rows() == [(i,) for i in range(50)]


def test_wide_schemas() -> None:
    schema = Schema.of(**{f"column_{i}": t.BIGINT for i in range(200)})
    text = json.dumps({f"column_{i}": i for i in reversed(range(200)) if i % 3})
    assert decode("json", schema, text).delta.rows() == [tuple(i if i % 3 else None for i in range(200))]


def test_projection_reads_only_what_is_wanted() -> None:
    schema = Schema.of(a=t.INT, b=t.STRING, c=t.DOUBLE)
    text = '{"a":"no number","b":"x","c":1.5}\n{"a":1,"b":"y"}'
    found = decode("json", schema, text, wanted=[1, 2])
    assert found.delta.rows() == [(None, "x", 1.5), (None, "y", None)]
    assert not found.rejected


def test_bad_rows_are_refused_one_by_one_with_their_place() -> None:
    text = '{"x":1}\n{"x":2\n\n{"x":"q"}\n{"x":3}\nrubbish\n[1]\n"text"\n{"x":4} {"x":5}\n{"x":6}\n'
    found = decode("json", Schema.of(x=t.INT), text)
    assert found.delta.rows() == [(1,), (3,), (6,)]
    (r,) = found.rejected
    assert r.positions == [
        "line 2 (byte 8)", "line 4 (byte 16)", "line 6 (byte 34)", "line 7 (byte 43)", "line 8 (byte 46)",
        "line 9 (byte 53)",
    ]  # fmt: skip
    assert r.raw[:2] == [b'{"x":2', b'{"x":"q"}']
    assert r.messages[0] == "not valid JSON: expecting ',' delimiter (column 7)"
    assert r.messages[1] == "column 'x' (INT): 'q' is no whole number (column 2)"
    assert found.count == 9


def test_not_null() -> None:
    schema = Schema.of(x=t.INT.with_nullable(False), y=t.INT)
    found = decode("json", schema, '{"y":1}\n{"x":null}\n{"x":1}\n{"x":"a"}')
    assert found.delta.rows() == [(1, None)]
    text = "column 'x' is NOT NULL, but the record has no value for it"
    assert refused(found)[:2] == [("constraint", text)] * 2
    assert [r.reason for r in found.rejected] == ["constraint", "decode"]


def test_fail_on_missing_field() -> None:
    found = decode("json", Schema.of(x=t.INT, y=t.INT), '{"x":1}\n{"x":1,"y":null}', fail_on_missing_field="true")
    assert found.delta.rows() == [(1, None)]
    assert "column 'y' is missing" in refused(found)[0][1]


def test_ignore_parse_errors_makes_values_null_and_still_tells_of_lost_rows() -> None:
    schema = Schema.of(x=t.INT, y=t.row(a=t.INT, b=t.INT), z=t.INT.with_nullable(False))
    text = '{"x":"q","y":{"a":"q","b":2},"z":1}\n{"x":\n{"z":"q"}'
    found = decode("json", schema, text, ignore_parse_errors="true")
    assert found.delta.rows() == [(None, {"a": None, "b": 2}, 1)]
    assert len(refused(found)) == 2


def test_arrays() -> None:
    schema = Schema.of(x=t.INT, s=t.STRING)
    pretty = '\n[\n  {"x": 1,\n   "s": "a]b"},\n  {"x": "q"}, {"s": "\\u00e9", "x": 3}\n]\n'
    found = decode("json", schema, pretty)
    assert found.delta.rows() == [(1, "a]b"), (3, "é")]
    assert len(refused(found)) == 1
    assert found.count == 3
    lines = '{"x":1}\n[{"x":2},{"x":"q"},{"x":3,"s":"long enough to be a view"}]\n[]\n{"x":4}\n[{"x":5}]'
    found = decode("json", schema, lines)
    assert [r[0] for r in found.delta.rows()] == [1, 2, 3, 4, 5]
    assert found.count == 6
    assert refused(found) == [("decode", "column 'x' (INT): 'q' is no whole number (column 2)")]


def test_bad_arrays() -> None:
    for text in ('[{"x":1}', '[{"x":1},]', '[{"x":1}]]', "[", '[{"x":1}{"x":2}]'):
        found = decode("json", Schema.of(x=t.INT), text)
        assert (len(found.delta), len(refused(found))) == (0, 1), text


def test_depth() -> None:
    schema = Schema.of(x=t.INT)
    for depth in (1, 63, 64, 65, 500):
        text = f'{{"y":{"[" * depth}{"]" * depth},"x":1}}'
        assert decode("json", schema, text).delta.rows() == [(1,)], depth
    for text in ('{"y":' + "[" * 100_000, '{"y":' + "[" * 100_000 + "]" * 100_000 + "}", '{"y":' * 100_000):
        found = decode("json", schema, text + '\n{"x":2}')
        assert found.delta.rows() == [(2,)]
        assert len(refused(found)) == 1


def test_metadata_columns() -> None:
    schema = Schema((Field("x", t.INT), Field("file", t.STRING, metadata_key="file.path")))
    decoder = make("json").decoder(schema)
    found = decoder.decode(block('{"x":1,"file":"no"}\n{"x":"q"}\n{"x":2}', **{"file.path": "a.json"}))
    assert found.delta.rows() == [(1, "a.json"), (2, "a.json")]
    found = decoder.decode(block('{"x":1}\n{"x":"q"}\n{"x":2}', **{"file.path": ["a", "b", "c"]}))
    assert found.delta.rows() == [(1, "a"), (2, "c")]


def test_read_only_blocks_and_values_that_outlive_them() -> None:
    text = b'{"s":"a text longer than twelve bytes"}\n{"s":"another\\n text with an escape"}\n'
    raw = np.frombuffer(text + bytes(64), np.uint8)
    found = make("json").decoder(Schema.of(s=t.STRING)).decode(Block(raw, 0, len(text)))
    del raw
    assert found.delta.rows() == [("a text longer than twelve bytes",), ("another\n text with an escape",)]


def test_many_escapes_over_many_blocks() -> None:
    decoder = make("json").decoder(Schema.of(s=t.STRING))
    rows = ["\t" * (i % 50) + str(i) for i in range(20_000)]
    text = "\n".join(json.dumps({"s": r}) for r in rows)
    for _ in range(2):
        assert [r[0] for r in decoder.decode(block(text)).delta.rows()] == rows
    assert decoder.decode(block('{"s":"x"}')).delta.rows() == [("x",)]


def test_more_bad_rows_than_one_call_of_the_kernel_lists() -> None:
    text = "\n".join('{"x":1}' if i % 2 else '{"x":"007"}' if i % 4 else "bad" for i in range(20_000))
    found = decode("json", Schema.of(x=t.INT), text)
    assert found.delta.columns[0].words().tolist() == [7 if i % 2 == 0 else 1 for i in range(20_000) if i % 4]
    assert len(refused(found)) == 5_000
    assert found.rejected[0].positions[-1].startswith("line 19997 ")


def test_split_is_after_the_last_line() -> None:
    decoder = make("json").decoder(Schema.of(x=t.INT))
    b = block('{"x":1}\n{"x":')
    assert decoder.split(b) == b.start + 8
    assert decoder.split(block('{"x"')) == -1
