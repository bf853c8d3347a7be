"""Tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deras.sql.syntax.lexer import Kind, tokenize
from deras.sql.syntax.words import FUNCTION_WORDS, NILADIC, RESERVED


def kinds(text: str) -> list[tuple[Kind, str]]:
    return [(t.kind, t.value) for t in tokenize(text)[:-1]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abc Abc", [(Kind.WORD, "abc"), (Kind.WORD, "Abc")]),
        ("`a``b` `select`", [(Kind.QUOTED, "a`b"), (Kind.QUOTED, "select")]),
        ("'it''s' ''", [(Kind.STRING, "it's"), (Kind.STRING, "")]),
        ("U&'d\\0061t\\+000061 \\\\'", [(Kind.STRING, "data \\")]),
        (r"E'a\tb\'c\\\x41\u00e9'", [(Kind.STRING, "a\tb'c\\Aé")]),
        ("_UTF16'x' n'y'", [(Kind.STRING, "x"), (Kind.STRING, "y")]),
        ("x'0aFF'", [(Kind.BINARY, "0aFF")]),
        ("1 1.5 .5 1. 1e3 1.5E-3", [(Kind.INTEGER, "1"), (Kind.DECIMAL, "1.5"), (Kind.DECIMAL, ".5"), (Kind.DECIMAL, "1."), (Kind.DOUBLE, "1e3"), (Kind.DOUBLE, "1.5E-3")]),
        ("a--b\nc/* d ; */e", [(Kind.WORD, "a"), (Kind.WORD, "c"), (Kind.WORD, "e")]),
        ("=> <> != <= >= || % ;", [(Kind.OPERATOR, o) for o in ["=>", "<>", "!=", "<=", ">=", "||", "%", ";"]]),
        ("a-1", [(Kind.WORD, "a"), (Kind.OPERATOR, "-"), (Kind.INTEGER, "1")]),
        ("größe 名前 a$b _x", [(Kind.WORD, w) for w in ["größe", "名前", "a$b", "_x"]]),
        ("/*+ X */ *", [(Kind.OPERATOR, "/*+"), (Kind.WORD, "X"), (Kind.OPERATOR, "*/"), (Kind.OPERATOR, "*")]),
    ],
)  # fmt: skip
def test_tokens(text: str, expected: list[tuple[Kind, str]]) -> None:
    assert kinds(text) == expected


@pytest.mark.parametrize("text", ["'a", "`a", "``", '"a"', "/* a", "a == b", "a::b", "X'1'", "1a", "1e", "€", "\\"])
def test_what_is_no_token_says_so_and_how_to_mend_it(text: str) -> None:
    bad = [t for t in tokenize(text) if t.kind is Kind.BAD]
    assert len(bad) == 1
    assert bad[0].value
    assert text == "€" or bad[0].hint


@given(st.text())
def test_any_text_has_tokens_in_order_and_never_raises(text: str) -> None:
    tokens = tokenize(text)
    assert tokens[-1].kind is Kind.END
    at = 0
    for token in tokens:
        assert at <= token.start <= token.end <= len(text)
        at = token.end
    assert all(t.end > t.start for t in tokens[:-1])


@given(st.text())
def test_quoting_brings_any_text_back(text: str) -> None:
    assert kinds("'" + text.replace("'", "''") + "'") == [(Kind.STRING, text)]
    if text:
        assert kinds("`" + text.replace("`", "``") + "`") == [(Kind.QUOTED, text)]


@pytest.mark.parametrize("word", ["value", "date", "time", "timestamp", "year", "month", "day", "hour", "minute", "second",
                                  "prev", "next", "position", "user", "start", "end", "row", "table", "order", "count"])  # fmt: skip
def test_words_that_surprise_are_reserved(word: str) -> None:
    assert word.upper() in RESERVED


@pytest.mark.parametrize("word", ["name", "key", "type", "state", "data", "session", "source", "week", "quarter", "label",
                                  "level", "id", "ts", "amount", "version", "first", "last", "desc", "view", "temporary"])  # fmt: skip
def test_words_that_are_free(word: str) -> None:
    assert word.upper() not in RESERVED


def test_only_reserved_words_need_leave_to_be_functions() -> None:
    assert FUNCTION_WORDS <= RESERVED
    assert NILADIC <= RESERVED
