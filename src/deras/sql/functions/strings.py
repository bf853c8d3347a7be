"""Text. Places count characters (code points) from 1, as in SQL."""

# ruff: noqa: ARG001 -- every implementation takes the same arguments

from __future__ import annotations

import re
from dataclasses import replace as replace_
from typing import TYPE_CHECKING

import polars as pl

from deras.core import types as t
from deras.core.types import Kind, SqlType
from deras.sql.expr.nodes import Call, Expr, Literal, Where
from deras.sql.functions.operators import concatenation
from deras.sql.functions.registry import CallContext, call, cast_to, find, scalar
from deras.sql.kernels import plans

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORD = re.compile(r"[A-Za-z0-9]+")


def _same(args: Sequence[Expr]) -> SqlType:
    return args[0].type


def _varying(args: Sequence[Expr]) -> SqlType:
    """VARCHAR of the text's length."""
    x = args[0].type
    return x if x.kind is Kind.VARCHAR else SqlType(Kind.VARCHAR, max(1, x.precision))


@scalar("UPPER(text) -> STRING", result=_same, kernel=plans.upper)
def upper(c: CallContext, x: pl.Expr) -> pl.Expr:
    """The text in capitals.

    Example:
        >>> UPPER('äb')
        ÄB
    """
    return x.str.to_uppercase()


@scalar("LOWER(text) -> STRING", result=_same, kernel=plans.lower)
def lower(c: CallContext, x: pl.Expr) -> pl.Expr:
    """The text in small letters.

    Example:
        >>> LOWER('AB')
        ab
    """
    return x.str.to_lowercase()


@scalar("INITCAP(text) -> STRING", kind="host", result=_same)
def initcap(c: CallContext, x: pl.Series) -> pl.Series:
    """Each word with a capital first letter; words are letters and digits of ASCII, as in Flink.

    Example:
        >>> INITCAP('hello WORLD')
        Hello World
    """
    out = [None if v is None else _WORD.sub(lambda m: m[0].capitalize(), v) for v in x]
    return pl.Series("", out, dtype=pl.String)


@scalar("CHAR_LENGTH(text) -> INT", "CHARACTER_LENGTH(text) -> INT")
def char_length(c: CallContext, x: pl.Expr) -> pl.Expr:
    """The number of characters.

    Example:
        >>> CHAR_LENGTH('äb')
        2
    """
    return x.str.len_chars().cast(pl.Int32)


@scalar("LENGTH(text) -> INT", ours=True)
def length_(c: CallContext, x: pl.Expr) -> pl.Expr:
    """The number of characters; Flink calls it CHAR_LENGTH only.

    Example:
        >>> LENGTH('äb')
        2
    """
    return x.str.len_chars().cast(pl.Int32)


@scalar("OCTET_LENGTH(text) -> INT", ours=True)
def octet_length(c: CallContext, x: pl.Expr) -> pl.Expr:
    """The number of bytes in UTF-8.

    Example:
        >>> OCTET_LENGTH('äb')
        3
    """
    return x.str.len_bytes().cast(pl.Int32)


@scalar("CONCAT(text...) -> STRING", kind="macro")
def concat(args: Sequence[Expr], at: Where | None) -> Expr:
    """The texts one after the other; NULL if one is.

    Example:
        >>> CONCAT('a', 'b', 'c')
        abc
    """
    return concatenation([cast_to(a, t.STRING) for a in args], at)


@scalar("CONCAT_WS(text[, text...]) -> STRING")
def concat_ws(c: CallContext, separator: pl.Expr, *args: pl.Expr) -> pl.Expr:
    """The texts with a separator between them; NULLs are left out, a NULL separator gives NULL.

    Example:
        >>> CONCAT_WS('-', 'a', CAST(NULL AS STRING), 'b')
        a-b
    """
    if not args:
        return pl.when(separator.is_not_null()).then(pl.lit(""))
    if c.literal[0] and c.constants[0] is not None:
        return pl.concat_str(args, separator=c.constants[0], ignore_nulls=True)
    parts: list[pl.Expr] = []
    begun: pl.Expr = pl.lit(value=False)
    for a in args:
        lead = pl.when(begun & a.is_not_null()).then(separator).otherwise(pl.lit(""))
        parts.append(lead + a.fill_null(""))
        begun = begun | a.is_not_null()
    return pl.concat_str(parts, ignore_nulls=False)


@scalar("TRIM(text) -> STRING", "TRIM(word, text) -> STRING", "TRIM(word, text, text) -> STRING", kind="macro")
def trim(args: Sequence[Expr], at: Where | None) -> Expr:
    """The text without leading and trailing characters (spaces by default).

    Example:
        >>> TRIM(LEADING 'x' FROM 'xxaxx')
        axx
    """
    side, what, text = "BOTH", None, args[-1]
    words = [a for a in args[:-1] if isinstance(a, Literal) and a.type == t.STRING.with_nullable(False)]
    if words and str(words[0].value) in ("BOTH", "LEADING", "TRAILING"):
        side = str(words[0].value)
    if len(args) == 3 or (len(args) == 2 and not words):
        what = args[-2]
    name = {"BOTH": "BTRIM", "LEADING": "LTRIM", "TRAILING": "RTRIM"}[side]
    function = find(name)
    assert function is not None  # noqa: S101 (for the type checker)
    made = call(function, [text] if what is None else [text, what], at)
    assert isinstance(made, Call)  # noqa: S101 (for the type checker)
    return replace_(made, type=_varying([text]).with_nullable(made.type.nullable))


def _characters(c: CallContext) -> str | None:
    if len(c.types) == 1:
        return " "
    return str(c.constants[1]) if c.literal[1] and c.constants[1] is not None else None


@scalar("LTRIM(text[, text]) -> STRING", result=_varying)
def ltrim(c: CallContext, x: pl.Expr, *what: pl.Expr) -> pl.Expr:
    """The text without leading characters (spaces by default).

    Example:
        >>> LTRIM('  a ') || '.'
        a .
    """
    return x.str.strip_chars_start(_characters(c) or (what[0] if what else " "))


@scalar("RTRIM(text[, text]) -> STRING", result=_varying)
def rtrim(c: CallContext, x: pl.Expr, *what: pl.Expr) -> pl.Expr:
    """The text without trailing characters (spaces by default).

    Example:
        >>> RTRIM('  a ') || '.'
          a.
    """
    return x.str.strip_chars_end(_characters(c) or (what[0] if what else " "))


@scalar("BTRIM(text[, text]) -> STRING")
def btrim(c: CallContext, x: pl.Expr, *what: pl.Expr) -> pl.Expr:
    """The text without leading and trailing characters (spaces by default).

    Example:
        >>> BTRIM('  a ')
        a
    """
    return x.str.strip_chars(_characters(c) or (what[0] if what else " "))


@scalar(
    "SUBSTRING(text, integer[, integer]) -> STRING",
    "SUBSTR(text, integer[, integer]) -> STRING",
    result=_varying,
    nullable=True,
)
def substring(c: CallContext, x: pl.Expr, start: pl.Expr, *length: pl.Expr) -> pl.Expr:
    """A part of the text from a place; a negative place counts from the end, a negative length gives NULL.

    Example:
        >>> SUBSTRING('abcdef', 2, 3)
        bcd
    """
    at = start.cast(pl.Int64)
    n = x.str.len_chars().cast(pl.Int64)
    # Place 0 is place 1; before the text's start nothing is found.
    begin = pl.when(at > 0).then(at - 1).when(at == 0).then(0 * at).otherwise(n + at)
    if length:
        size = length[0].cast(pl.Int64)
        part = x.str.slice(begin, pl.when(size > 0).then(size).otherwise(0).cast(pl.UInt64))
        return (
            pl.when((begin >= 0) & (size >= 0))
            .then(part)
            .when(begin.is_not_null() & (size >= 0) & x.is_not_null())
            .then(pl.lit(""))
        )
    part = x.str.slice(begin)
    return pl.when(begin >= 0).then(part).when(begin.is_not_null() & x.is_not_null()).then(pl.lit(""))


@scalar("LEFT(text, integer) -> STRING", result=_varying, nullable=True)
def left(c: CallContext, x: pl.Expr, n: pl.Expr) -> pl.Expr:
    """The first characters.

    Example:
        >>> LEFT('abc', 2)
        ab
    """
    size = n.cast(pl.Int64)
    return x.str.head(pl.when(size > 0).then(size).otherwise(0 * size))


@scalar("RIGHT(text, integer) -> STRING", result=_varying, nullable=True)
def right(c: CallContext, x: pl.Expr, n: pl.Expr) -> pl.Expr:
    """The last characters.

    Example:
        >>> RIGHT('abc', 2)
        bc
    """
    size = n.cast(pl.Int64)
    return x.str.tail(pl.when(size > 0).then(size).otherwise(0 * size))


def _pad(x: str | None, n: int | None, pad: str | None, *, front: bool) -> str | None:
    if x is None or n is None or pad is None or n < 0 or (not pad and len(x) < n):
        return None
    if len(x) >= n:
        return x[:n]
    fill = (pad * (n // len(pad) + 1))[: n - len(x)]
    return fill + x if front else x + fill


@scalar("LPAD(text, integer, text) -> STRING", kind="host", nullable=True)
def lpad(c: CallContext, x: pl.Series, n: pl.Series, pad: pl.Series) -> pl.Series:
    """The text filled from the left to a length, or cut to it.

    Example:
        >>> LPAD('hi', 5, 'xy')
        xyxhi
    """
    return pl.Series("", [_pad(*r, front=True) for r in zip(x, n, pad, strict=True)], dtype=pl.String)


@scalar("RPAD(text, integer, text) -> STRING", kind="host", nullable=True)
def rpad(c: CallContext, x: pl.Series, n: pl.Series, pad: pl.Series) -> pl.Series:
    """The text filled from the right to a length, or cut to it.

    Example:
        >>> RPAD('hi', 5, 'xy')
        hixyx
    """
    return pl.Series("", [_pad(*r, front=False) for r in zip(x, n, pad, strict=True)], dtype=pl.String)


@scalar("REPEAT(text, integer) -> STRING", kind="host")
def repeat(c: CallContext, x: pl.Series, n: pl.Series) -> pl.Series:
    """The text several times.

    Example:
        >>> REPEAT('ab', 3)
        ababab
    """
    return pl.Series(
        "", [None if a is None or b is None else a * max(b, 0) for a, b in zip(x, n, strict=True)], dtype=pl.String
    )


@scalar("REVERSE(text) -> STRING", nullable=True)
def reverse(c: CallContext, x: pl.Expr) -> pl.Expr:
    """The text backwards.

    Example:
        >>> REVERSE('abc')
        cba
    """
    return x.str.reverse()


@scalar("REPLACE(text, text, text) -> STRING", kind="host")
def replace(c: CallContext, x: pl.Series, old: pl.Series, new: pl.Series) -> pl.Series:
    """The text with all places of one text replaced by another; an empty one is found between all characters.

    Example:
        >>> REPLACE('banana', 'a', 'o')
        bonono
    """
    if c.literal[1] and c.literal[2] and len(x) and None not in (old[0], new[0]) and old[0]:
        return x.str.replace_all(old[0], new[0], literal=True)
    out = [None if None in r else r[0].replace(r[1], r[2]) for r in zip(x, old, new, strict=True)]
    return pl.Series("", out, dtype=pl.String)


@scalar("POSITION(text, text) -> INT")
def position(c: CallContext, what: pl.Expr, x: pl.Expr) -> pl.Expr:
    """The place of a text in another, from 1; 0 if it is not there.

    Example:
        >>> POSITION('b' IN 'abc')
        2
    """
    return _find(x, what)


def _find(x: pl.Expr, what: pl.Expr) -> pl.Expr:
    at = x.str.find(what, literal=True)
    # Polars counts bytes, SQL characters.
    chars = x.str.slice(0, 2**31).cast(pl.Binary).bin.slice(0, at).cast(pl.String).str.len_chars()
    both = x.is_not_null() & what.is_not_null()
    return pl.when(at.is_not_null()).then(chars.cast(pl.Int32) + 1).when(both).then(pl.lit(0, dtype=pl.Int32))


@scalar("LOCATE(text, text[, integer]) -> INT")
def locate(c: CallContext, what: pl.Expr, x: pl.Expr, *start: pl.Expr) -> pl.Expr:
    """The place of the first text in the second (from a place on), from 1; 0 if it is not there.

    Example:
        >>> LOCATE('c', 'abc')
        3
    """
    if not start:
        return _find(x, what)
    # An empty text is found at the start, wherever the search begins.
    skip = pl.max_horizontal(start[0].cast(pl.Int64) - 1, pl.lit(0, dtype=pl.Int64))
    found = _find(x.str.slice(skip), what)
    return (
        pl.when(start[0].is_not_null() & (found > 0))
        .then(pl.when(what == "").then(pl.lit(1, dtype=pl.Int32)).otherwise(found + skip.cast(pl.Int32)))
        .when(start[0].is_not_null())
        .then(found)
    )


@scalar("INSTR(text, text) -> INT")
def instr(c: CallContext, x: pl.Expr, what: pl.Expr) -> pl.Expr:
    """The place of the second text in the first, from 1; 0 if it is not there.

    Example:
        >>> INSTR('abc', 'c')
        3
    """
    return _find(x, what)


@scalar("STARTSWITH(text, text) -> BOOLEAN")
def startswith(c: CallContext, x: pl.Expr, what: pl.Expr) -> pl.Expr:
    """Whether the text begins with another.

    Example:
        >>> STARTSWITH('abc', 'ab')
        TRUE
    """
    return x.str.starts_with(what)


@scalar("ENDSWITH(text, text) -> BOOLEAN")
def endswith(c: CallContext, x: pl.Expr, what: pl.Expr) -> pl.Expr:
    """Whether the text ends with another.

    Example:
        >>> ENDSWITH('abc', 'bc')
        TRUE
    """
    return x.str.ends_with(what)


@scalar("SPLIT_INDEX(text, text, integer) -> STRING", kind="host", nullable=True, kernel=plans.split_index)
def split_index(c: CallContext, x: pl.Series, separator: pl.Series, index: pl.Series) -> pl.Series:
    """The part of a text between separators, counted from 0; NULL where there is none.

    Example:
        >>> SPLIT_INDEX('a,b,c', ',', 1)
        b
    """
    if all(c.literal[1:]) and len(x) and separator[0]:
        if index[0] is None or index[0] < 0:
            return pl.Series("", [None] * len(x), dtype=pl.String)
        parts_ = x.str.split(separator[0]).list.get(index[0], null_on_oob=True)
        return parts_.zip_with(x != "", pl.Series("", [None], dtype=pl.String).new_from_index(0, len(x)))
    out: list[str | None] = []
    for a, s, i in zip(x, separator, index, strict=True):
        parts = None if not a or not s or i is None or i < 0 else a.split(s)
        out.append(parts[i] if parts is not None and i < len(parts) else None)
    return pl.Series("", out, dtype=pl.String)


@scalar("ASCII(text) -> INT", kind="host")
def ascii_(c: CallContext, x: pl.Series) -> pl.Series:
    """The code of the first byte, signed as in Flink; 0 for empty text.

    Example:
        >>> ASCII('abc')
        97
    """
    return pl.Series("", [None if v is None else (v.encode()[0] ^ 128) - 128 if v else 0 for v in x], dtype=pl.Int32)


@scalar("CHR(integer) -> STRING", kind="host", nullable=True)
def chr_(c: CallContext, x: pl.Series) -> pl.Series:
    """The character of a code (modulo 256).

    Example:
        >>> CHR(97)
        a
    """
    return pl.Series("", [None if v is None else "" if v < 0 else chr(v & 255) for v in x], dtype=pl.String)


def _overlaid(args: Sequence[Expr]) -> SqlType:
    return SqlType(Kind.VARCHAR, min(t.MAX_LENGTH, args[0].type.precision + args[1].type.precision))


@scalar("OVERLAY(text, text, integer[, integer]) -> STRING", kind="host", result=_overlaid)
def overlay(c: CallContext, x: pl.Series, new: pl.Series, start: pl.Series, *length: pl.Series) -> pl.Series:
    """The text with a part replaced.

    Example:
        >>> OVERLAY('xxxxxtest' PLACING 'xxxx' FROM 6)
        xxxxxxxxx
    """
    sizes = length[0] if length else pl.Series("", [None] * len(x), dtype=pl.Int64)
    out: list[str | None] = []
    for a, b, s, n in zip(x, new, start, sizes, strict=True):
        if a is None or b is None or s is None or (length and n is None):
            out.append(None)
        elif s <= 0 or s > len(a):
            out.append(a)
        else:
            size = len(b) if n is None else n
            out.append(a[: s - 1] + b + (a[s - 1 + size :] if size >= 0 else ""))
    return pl.Series("", out, dtype=pl.String)
