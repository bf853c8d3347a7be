"""Characters to tokens, as Flink does it: backticks quote names, single quotes text, keywords ignore case."""

from __future__ import annotations

import enum
import re
from typing import NamedTuple

from deras.core.errors import Span


class Kind(enum.Enum):
    """What a token is."""

    WORD = "word"  # bare name or keyword
    QUOTED = "quoted"  # `name`
    STRING = "string"
    BINARY = "binary"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DOUBLE = "double"
    OPERATOR = "operator"
    BAD = "bad"  # not SQL; value is the message, hint what to do
    END = "end"


class Token(NamedTuple):
    """One token.

    ``key`` is what a parser compares: the upper-case word of a bare name, the text of an operator, and for all other
    kinds something that no keyword equals. ``value`` is the name, text or number in its decoded form.
    """

    kind: Kind
    key: str
    value: str
    start: int
    end: int
    hint: str = ""
    raw: bytes = b""

    @property
    def span(self) -> Span:
        """Where it stands."""
        return Span(self.start, self.end)


_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|//[^\n]*)
  | (?P<hint>/\*\+)
  | (?P<comment>/\*)
  | (?P<unicode>[uU]&'(?:[^']|'')*')
  | (?P<binary>[xX]'(?:[^']|'')*')
  | (?P<escape>[eE]'(?:[^'\\]|''|\\.)*')
  | (?P<string>(?:_[A-Za-z][A-Za-z0-9_-]*|[nN])?'(?:[^']|'')*')
  | (?P<word>[^\W\d][\w$]*)
  | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<quoted>`(?:[^`]|``)+`)
  | (?P<operator>=>|<>|!=|<=|>=|\|\||==|::|&&|<<|\{-|-\}|->|[-+*/%<>=(),;.:?\[\]{}|^$])
    """,
    re.VERBOSE | re.DOTALL,
)

_BAD_OPERATORS = {
    "==": "Compare with a single =.",
    "::": "Flink SQL has no :: cast; write CAST(value AS type).",
    "&&": "Write AND.",
    "<<": "Flink SQL has no shift operator.",
    "->": "Flink SQL has no lambda or JSON arrow; use JSON_VALUE(text, '$.path').",
}
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_C_ESCAPE = re.compile(r"''|\\(?:x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([0-7]{1,3})|(.))", re.DOTALL)


def tokenize(text: str) -> list[Token]:
    """All tokens of a text, the last one of kind END; comments and space are left out.

    Never raises: what cannot be read becomes a BAD token, so that an earlier mistake is told first.
    """
    out: list[Token] = []
    at, size = 0, len(text)
    in_hint = False
    match = _TOKEN.match
    append = out.append
    while at < size:
        if in_hint and text.startswith("*/", at):
            append(Token(Kind.OPERATOR, "*/", "*/", at, at + 2))
            in_hint = False
            at += 2
            continue
        m = match(text, at)
        if m is None:
            token = _bad(text, at)
            append(token)
            at = token.end
            continue
        end = m.end()
        group = m.lastgroup
        if group == "space":
            pass
        elif group == "word":
            word = text[at:end]
            append(Token(Kind.WORD, word.upper(), word, at, end))
        elif group == "operator":
            op = text[at:end]
            if op in _BAD_OPERATORS:
                append(Token(Kind.BAD, "", f"unexpected {op!r}", at, end, _BAD_OPERATORS[op]))
            else:
                append(Token(Kind.OPERATOR, op, op, at, end))
        elif group == "number":
            append(_number(text, at, end))
            end = out[-1].end
        elif group == "string":
            quote = text.index("'", at)
            append(Token(Kind.STRING, "'", text[quote + 1 : end - 1].replace("''", "'"), at, end))
        elif group == "quoted":
            append(Token(Kind.QUOTED, "`", text[at + 1 : end - 1].replace("``", "`"), at, end))
        elif group == "hint":
            append(Token(Kind.OPERATOR, "/*+", "/*+", at, end))
            in_hint = True
        elif group == "comment":
            close = text.find("*/", end)
            if close < 0:
                hint = "Close the comment with */."
                append(Token(Kind.BAD, "", "unclosed comment", at, at + 2, hint))
                at = size
                break
            end = close + 2
        else:
            append(_special_string(group or "", text, at, end))
        at = end
    append(Token(Kind.END, "", "", size, size))
    return out


def _number(text: str, at: int, end: int) -> Token:
    after = re.compile(r"[^\W]+").match(text, end)
    if after is not None:
        word = text[at : after.end()]
        hint = f"A name does not start with a digit: write `{word}` in backticks, or put a space after the number."
        return Token(Kind.BAD, "", f"malformed number or name {word!r}", at, after.end(), hint)
    number = text[at:end]
    if number.isdigit():
        return Token(Kind.INTEGER, "0", number, at, end)
    kind = Kind.DOUBLE if "e" in number or "E" in number else Kind.DECIMAL
    return Token(kind, "0", number, at, end)


def _special_string(group: str, text: str, at: int, end: int) -> Token:
    if group == "binary":
        digits = text[at + 2 : end - 1]
        if len(digits) % 2 or not re.fullmatch("[0-9A-Fa-f]*", digits):
            hint = "Write an even number of the digits 0-9 and A-F, such as X'0AFF'."
            return Token(Kind.BAD, "", "malformed binary literal", at, end, hint)
        return Token(Kind.BINARY, "'", digits, at, end, raw=bytes.fromhex(digits))
    if group == "unicode":
        body = text[at + 3 : end - 1].replace("''", "'")
        # UESCAPE is not honoured by the lexer: Flink's own examples use the backslash
        try:
            value = re.sub(r"\\(\\|\+[0-9A-Fa-f]{6}|[0-9A-Fa-f]{4}|)", _code_point, body)
        except (ValueError, OverflowError):
            hint = r"After a backslash come four hexadecimal digits (\00E9), or a second backslash."
            return Token(Kind.BAD, "", "malformed unicode escape", at, end, hint)
        return Token(Kind.STRING, "'", value, at, end)
    body = text[at + 2 : end - 1]
    try:
        return Token(Kind.STRING, "'", _C_ESCAPE.sub(_c_escape, body), at, end)
    except (ValueError, OverflowError):
        return Token(
            Kind.BAD, "", "malformed escape in string", at, end, "Use \\n, \\t, \\uXXXX or a doubled backslash."
        )


def _code_point(m: re.Match[str]) -> str:
    code = m.group(1)
    if code == "\\":
        return "\\"
    if not code:
        raise ValueError(code)
    return _character(int(code.lstrip("+"), 16))


def _character(code: int) -> str:
    if 0xD800 <= code < 0xE000:
        raise ValueError(code)
    return chr(code)


def _c_escape(m: re.Match[str]) -> str:
    if m.group() == "''":
        return "'"
    for digits in m.groups()[:3]:
        if digits:
            return _character(int(digits, 16))
    if m.group(4):
        return _character(int(m.group(4), 8))
    return _ESCAPES.get(m.group(5), m.group(5))


def _bad(text: str, at: int) -> Token:
    c = text[at]
    if c == "'" or (c in "xXuUeEnN_" and "'" in text[at : at + 3]):
        line = text.find("\n", at)
        end = len(text) if line < 0 else line
        hint = "Close the text with a single quote; a quote inside is written twice ('it''s')."
        return Token(Kind.BAD, "", "unclosed string", at, len(text) if line < 0 else end, hint)
    if c == '"':
        close = text.find('"', at + 1)
        end = at + 1 if close < 0 else close + 1
        name = text[at + 1 : end - 1] if close > 0 else ""
        hint = "Double quotes do not quote in Flink SQL: "
        hint += f"write `{name}` for a name or '{name}' for text." if name else "use backticks for names, ' for text."
        return Token(Kind.BAD, "", "unexpected double quote", at, end, hint)
    if c == "`":
        empty = text.startswith("``", at)
        if empty:
            return Token(Kind.BAD, "", "empty name", at, at + 2, "Write at least one character between the backticks.")
        end = text.find("\n", at)
        hint = "Close the name with a backtick."
        return Token(Kind.BAD, "", "unclosed backtick", at, len(text) if end < 0 else end, hint)
    hint = ""
    if c in "‘’“”´":
        hint = "Typographic quotes do not quote: use ' for text and ` for names."
    elif c == "\\":
        hint = "A backslash means nothing outside of text."
    elif c == "@":
        hint = "Flink SQL has no variables; use SET 'key' = 'value' for settings."
    elif c == "!":
        hint = "Write NOT, or <> for not equal."
    elif c == "#":
        hint = "A comment starts with --."
    elif c == "~":
        hint = "Use LIKE, SIMILAR TO or REGEXP(text, pattern)."
    return Token(Kind.BAD, "", f"unexpected character {c!r}", at, at + 1, hint)
