"""CSV records to columns and back."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import io
from decimal import Decimal
from typing import Any

import pytest
from formats_kit import block, decode, make, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core import types as t
from deras.core.errors import OptionError
from deras.core.schema import Schema

ABC = Schema.of(a=t.BIGINT, b=t.STRING, c=t.DOUBLE)


def rows(schema: Schema, text: str | bytes, **options: str) -> list[tuple[Any, ...]]:
    found = decode("csv", schema, text, **options)
    assert not found.rejected, found.rejected
    return found.delta.rows()


def test_every_type() -> None:
    schema = Schema.of(
        a=t.BOOLEAN, b=t.TINYINT, c=t.INT, d=t.FLOAT, e=t.DOUBLE, f=t.decimal(6, 2), g=t.decimal(30, 3), h=t.STRING,
        i=t.BYTES, j=t.DATE, k=t.time(3), l=t.timestamp(3), m=t.timestamp_ltz(3), n=t.array(t.INT), o=t.row(x=t.INT, y=t.STRING),
    )  # fmt: skip
    text = (
        "true,-7,12,1.5,1e3,1.005,-12345678901234567890.1234,hello,aGVsbG8=,2024-02-29,12:13:14.5,"
        "2024-01-02 03:04:05.678,2024-01-02 03:04:05Z,1;2,5;y\n"
    )
    assert rows(schema, text) == [
        (
            True, -7, 12, 1.5, 1000.0, Decimal("1.01"), Decimal("-12345678901234567890.123"), "hello", b"hello",
            dt.date(2024, 2, 29), dt.time(12, 13, 14, 500000), dt.datetime(2024, 1, 2, 3, 4, 5, 678000),
            dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC), [1, 2], {"x": 5, "y": "y"},
        )
    ]  # fmt: skip


def test_quotes_line_feeds_crlf_and_last_line() -> None:
    text = '1,"a ""quoted"", text\nover two lines",1\r\n\r\n2,plain "inner" quote,2\n\n3,"",3\r\n4,,4'
    assert rows(ABC, text) == [
        (1, 'a "quoted", text\nover two lines', 1.0),
        (2, 'plain "inner" quote', 2.0),
        (3, "", 3.0),
        (4, "", 4.0),
    ]


def test_null_literal_and_empty_fields() -> None:
    assert rows(ABC, ",,\n1,n/a,2", null_literal="n/a") == [(None, "", None), (1, None, 2.0)]
    assert rows(ABC, '1,,\n1,"",', null_literal="") == [(1, None, None), (1, "", None)]


def test_options() -> None:
    assert rows(ABC, "1\t'x\ty'\t2\n", field_delimiter="\\t", quote_character="'") == [(1, "x\ty", 2.0)]
    assert rows(ABC, "# 1,2,3\n1,#x,2\n", allow_comments="true") == [(1, "#x", 2.0)]
    assert rows(ABC, '1,"x,2', disable_quote_character="true") == [(1, '"x', 2.0)]
    assert rows(ABC, '1,a\\,b,2\n2,"a\\"b",3', escape_character="\\") == [(1, "a,b", 2.0), (2, 'a"b', 3.0)]
    assert rows(ABC, "a,b,c\n1,x,2\n", header="true") == [(1, "x", 2.0)]
    b = block("1,x,2\n", line=5)
    b.position = 100
    assert make("csv", header="true").decoder(ABC).decode(b).delta.rows() == [(1, "x", 2.0)]
    with pytest.raises(OptionError, match="single ASCII"):
        make("csv", field_delimiter="||")


def test_bad_records_alone_are_refused() -> None:
    text = '1,x,1\nq,x,2\n3,x\n4,x,4,4\n5,"x"y,5\n 6 ,x, 6\n7,"never closed,7\n8,x,8\n'
    found = decode("csv", ABC, text)
    assert found.delta.rows() == [(1, "x", 1.0), (6, "x", 6.0), (8, "x", 8.0)]
    assert found.count == 8
    messages = [m for _, m in refused(found)]
    assert messages == [
        "column 'a' (BIGINT): 'q' is no whole number (column 1)",
        "2 fields where 3 are expected",
        "4 fields where 3 are expected",
        "a character stands after a closing quote (column 6)",
        "a quote is not closed (column 3)",
    ]
    assert found.rejected[0].positions[0] == "line 2 (byte 6)"


def test_ignore_parse_errors_and_not_null() -> None:
    assert rows(ABC, "q,x,z", ignore_parse_errors="true") == [(None, "x", None)]
    found = decode("csv", Schema.of(a=t.INT.with_nullable(False)), "x\n", ignore_parse_errors="true")
    assert len(refused(found)) == 1
    found = decode("csv", Schema.of(a=t.INT.with_nullable(False), b=t.INT), ",1\n")
    assert refused(found)[0][0] == "constraint"


def test_projection() -> None:
    found = decode("csv", ABC, 'q,"x""y",1.5', wanted=[1])
    assert found.delta.rows() == [(None, 'x"y', None)]


def test_wrong_utf8() -> None:
    found = decode("csv", ABC, b"1,\xff,1\n2,\xc3\xa9,2\n")
    assert found.delta.rows() == [(2, "é", 2.0)]
    assert refused(found) == [("decode", "not valid UTF-8 (column 3)")]


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"), max_size=30)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(cells, cells), max_size=20))
def test_what_the_standard_library_writes_is_read(records: list[tuple[str, str]]) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(records)
    assert rows(Schema.of(a=t.STRING, b=t.STRING), out.getvalue()) == records


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.sampled_from(["", "\\"]))
def test_noise(raw: bytes, escape: str) -> None:
    options = {"escape_character": escape} if escape else {}
    found = decode("csv", ABC, raw, **options)
    assert found.count == len(found.delta) + sum(map(len, found.rejected))
    found.delta.rows()


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.text("aé漢\U0001f600", max_size=70), st.integers(0, 300), st.integers(0, 255)), max_size=8)
)
def test_utf8_as_python_judges_it(texts: list[tuple[str, int, int]]) -> None:
    """A byte of some texts is replaced: at any place, next to a delimiter too."""
    lines, want = [], []
    for text, place, byte in texts:
        raw = bytearray(text.encode())
        if place < len(raw) and byte not in b'\r\n,"':
            raw[place] = byte
        lines.append(b"x" + bytes(raw) + b",1")
        with contextlib.suppress(UnicodeDecodeError):
            want.append((f"x{raw.decode()}", 1))
    found = decode("csv", Schema.of(a=t.STRING, b=t.BIGINT), b"\n".join(lines))
    assert found.delta.rows() == want
    assert len(refused(found)) == len(texts) - len(want)
