"""Rows as table, CSV and JSON."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal

from deras.cli.output import CsvWriter, JsonWriter, TableWriter, columns_wide, fit, pad
from deras.cli.values import clean, text_of
from deras.core.schema import Field, Schema
from deras.core.types import (
    BIGINT,
    BOOLEAN,
    BYTES,
    DOUBLE,
    STRING,
    array,
    decimal,
    map_of,
    row,
    timestamp,
    timestamp_ltz,
)

SCHEMA = Schema((Field("n", BIGINT), Field("t", STRING)))
CHANGES = [("+I", (1, "a,b")), ("-U", (None, '"x"')), ("+U", (1234, "")), ("-D", (5, None))]


def written(make) -> str:
    out = io.StringIO()
    w = make(out)
    w.begin()
    w.write(CHANGES)
    w.end()
    return out.getvalue()


def test_json():
    assert written(lambda out: JsonWriter(SCHEMA, out)) == (
        '{"columns":[{"name":"n","type":"BIGINT"},{"name":"t","type":"STRING"}]}\n'
        '{"op":"+I","row":[1,"a,b"]}\n{"op":"-U","row":[null,"\\"x\\""]}\n{"op":"+U","row":[1234,""]}\n'
        '{"op":"-D","row":[5,null]}\n'
    )


def test_csv():
    assert written(lambda out: CsvWriter(SCHEMA, out, False, None)) == 'n,t\n1,"a,b"\n,"""x"""\n1234,""\n5,\n'
    assert written(lambda out: CsvWriter(SCHEMA, out, True, None)).splitlines()[:2] == ["op,n,t", '+I,1,"a,b"']


def test_table():
    assert written(lambda out: TableWriter(SCHEMA, out, True, None)) == (
        "┌────┬──────┬──────┐\n"
        "│ op │    n │ t    │\n"
        "├────┼──────┼──────┤\n"
        "│ +I │    1 │ a,b  │\n"
        '│ -U │ NULL │ "x"  │\n'
        "│ +U │ 1234 │      │\n"
        "│ -D │    5 │ NULL │\n"
        "└────┴──────┴──────┘\n"
    )


def test_table_fits():
    out = io.StringIO()
    w = TableWriter(Schema((Field("a", STRING), Field("b", BIGINT))), out, False, None, width=20)
    w.write([("+I", ("x" * 50, 7)), ("+I", ("表" * 30, 8))])
    w.end()
    assert {columns_wide(line) for line in out.getvalue().splitlines()} == {20}
    assert "…" in out.getvalue()


def test_widths():
    assert fit(["a", "bb"], [["xxx", "y"]], None) == [3, 2]
    assert fit(["a"], [], 80) == [1]
    assert pad("表表表", 4) == "表… "
    assert pad("1", 3, right=True) == "  1"


def test_values():
    assert text_of(None, BIGINT) == "NULL"
    assert text_of(True, BOOLEAN) == "TRUE"
    assert text_of(1.0, DOUBLE) == "1.0"
    assert text_of(float("nan"), DOUBLE) == "NaN"
    assert text_of(Decimal("1E+2"), decimal(10, 0)) == "100"
    assert text_of(b"\x00\xff", BYTES) == "x'00ff'"
    assert text_of(dt.datetime(2026, 1, 2, 3, 4, 5, 678000), timestamp(3)) == "2026-01-02 03:04:05.678"
    assert text_of(dt.datetime(2026, 1, 2, 3, 4, 5), timestamp(0)) == "2026-01-02 03:04:05"
    instant = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    assert text_of(instant, timestamp_ltz(3), dt.timezone(dt.timedelta(hours=7))) == "2026-01-02 10:04:05.000"
    assert text_of([1, None], array(BIGINT)) == "[1, NULL]"
    assert text_of({"k": 2}, map_of(STRING, BIGINT)) == "{k=2}"
    assert text_of({"a": 1, "b": "x"}, row(a=BIGINT, b=STRING)) == "(1, x)"


def test_control_characters_cannot_reach_the_terminal():
    assert clean("a\x1b[2Jb\n") == "a\\x1b[2Jb\\n"
    assert clean("täxt 表") == "täxt 表"
