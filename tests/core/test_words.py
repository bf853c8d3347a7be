"""Errors, options, types, time, registry: the words of the house."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from deras.core import types as t
from deras.core.errors import OptionError, Span, SqlError, caret, did_you_mean, line_column
from deras.core.options import Option, parse_duration, parse_memory, read_options
from deras.core.registry import connector, format_
from deras.core.schema import Schema
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK, VirtualClock, Watermark

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "SELECT a,\n\tbb FROM t"


def test_an_error_shows_line_and_caret() -> None:
    error = SqlError("there is no column 'bb'", text=TEXT, span=Span(11, 13), hint="Did you mean 'b'?")
    assert line_column(TEXT, 11) == (2, 2)
    assert error.render() == (
        "error: there is no column 'bb' (line 2, column 2)\n2 | \tbb FROM t\n  | \t^^\nHint: Did you mean 'b'?"
    )
    assert error.to_json()["line"] == 2
    assert caret("abc", Span(3, 3)).endswith("|    ^")


def test_did_you_mean_names_near_words() -> None:
    assert did_you_mean("sensr", ["sensor", "value"]) == "Did you mean 'sensor'?"
    assert did_you_mean("zzz", ["sensor"]) == ""


@pytest.mark.parametrize(
    ("text", "ms"), [("10 s", 10_000), ("5min", 300_000), ("200ms", 200), ("1 d", 86_400_000), ("3", 3)]
)
def test_durations(text: str, ms: float) -> None:
    assert parse_duration(text) == ms


def test_wrong_durations_and_sizes() -> None:
    for wrong in ("", "s", "10 parsec", "-1 s"):
        with pytest.raises(ValueError, match="is no duration"):
            parse_duration(wrong)
    assert parse_memory("16 mb") == 16 << 20
    with pytest.raises(ValueError, match="is no size"):
        parse_memory("16 apples")


DECLARED = (
    Option("path", required=True, help="Where the files are."),
    Option("rate", "int", default=5),
    Option("mode", "enum", choices=("fast", "safe")),
    Option("fields.*.min", "int"),
    Option("password", secret=True),
)


def test_options_are_read_and_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET_WORD", "sesame")
    texts = {"path": "x", "fields.a.min": "3", "mode": "FAST", "password": "${env:SECRET_WORD}", "connector": "c"}
    found = read_options(DECLARED, texts, what="connector 'c'", extra=["connector"])
    assert (found["path"], found["rate"], found["mode"], found["fields.a.min"]) == ("x", 5, "fast", 3)
    assert found["password"] == "sesame"
    assert found.texts["password"] == "${env:SECRET_WORD}"
    assert found.starting("fields.") == {"a.min": 3}


@pytest.mark.parametrize(
    ("texts", "message", "hint"),
    [
        ({}, "connector 'c' needs option 'path'", "Where the files are."),
        ({"path": "x", "pth": "y"}, "connector 'c' has no option 'pth'", "Did you mean 'path'?"),
        ({"path": "x", "rate": "many"}, "option 'rate' of connector 'c': 'many' is no whole number", ""),
        ({"path": "x", "mode": "slow"}, "option 'mode' of connector 'c': 'slow' is none of 'fast', 'safe'", ""),
        ({"path": "x", "password": "${env:NOT_SET_ANYWHERE}"}, "option 'password' of connector 'c': environment variable 'NOT_SET_ANYWHERE' is not set", ""),
    ],
)  # fmt: skip
def test_wrong_options_say_what_is_wrong(texts: dict[str, str], message: str, hint: str) -> None:
    with pytest.raises(OptionError) as caught:
        read_options(DECLARED, texts, what="connector 'c'")
    assert caught.value.message == message
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("type_", "name", "layout"),
    [
        (t.STRING, "STRING", t.Layout.VIEWS),
        (t.varchar(10).with_nullable(False), "VARCHAR(10) NOT NULL", t.Layout.VIEWS),
        (t.decimal(18, 2), "DECIMAL(18, 2)", t.Layout.WORDS),
        (t.decimal(19, 2), "DECIMAL(19, 2)", t.Layout.LIMBS),
        (t.timestamp_ltz(3), "TIMESTAMP_LTZ(3)", t.Layout.WORDS),
        (t.row(a=t.INT, b=t.array(t.STRING)), "ROW<`a` INT, `b` ARRAY<STRING>>", t.Layout.NESTED),
        (t.map_of(t.STRING, t.DOUBLE), "MAP<STRING, DOUBLE>", t.Layout.NESTED),
    ],
)
def test_types_have_flinks_names(type_: t.SqlType, name: str, layout: t.Layout) -> None:
    assert str(type_) == name
    assert type_.layout is layout


def test_every_type_has_its_four_names() -> None:
    every = [
        t.BOOLEAN, t.TINYINT, t.SMALLINT, t.INT, t.BIGINT, t.FLOAT, t.DOUBLE, t.decimal(10, 2), t.char(3), t.STRING, t.BYTES,
        t.DATE, t.time(3), t.timestamp(3), t.timestamp(9), t.timestamp_ltz(6), t.INTERVAL_DAY, t.INTERVAL_MONTH, t.array(t.INT),
        t.map_of(t.STRING, t.INT), t.row(a=t.INT),
    ]  # fmt: skip
    for type_ in every:
        assert t.polars_type(type_) is not None
        assert t.arrow_type(type_) is not None
        assert type_.oid > 0
        assert str(type_)


def test_schema_select_keeps_a_whole_key() -> None:
    schema = Schema.of(a=t.INT, b=t.INT, c=t.INT, key=["c", "a"])
    assert schema.select([2, 0]).key == (0, 1)
    assert schema.select([0, 1]).key == ()
    assert schema.index("b") == 1
    with pytest.raises(KeyError):
        schema.index("B")


def test_watermarks_meet_at_the_least_active() -> None:
    assert Watermark.meet(Watermark(5), Watermark(3), Watermark(1, idle=True)) == Watermark(3)
    assert Watermark.meet(Watermark(5, idle=True), Watermark(7, idle=True)) == Watermark(7, idle=True)
    assert MIN_WATERMARK < 0 < MAX_WATERMARK


def test_a_virtual_clock_jumps() -> None:
    clock = VirtualClock(1000)
    clock.sleep(2.5)
    assert clock.now() == 3500
    assert clock.wait(threading.Event(), 1) is False
    assert clock.now() == 4500


def test_registry_knows_its_names() -> None:
    assert connector("filesystem").name == "filesystem"
    with pytest.raises(OptionError) as caught:
        connector("filesytem")
    assert caught.value.hint == "Did you mean 'filesystem'?"
    with pytest.raises(OptionError, match="there is no format 'jsonn'"):
        format_("jsonn")
