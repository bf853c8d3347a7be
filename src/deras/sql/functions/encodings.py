"""Addresses on the web, character sets, and other ways of writing values as text."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, unquote_to_bytes

from deras.core import types as t
from deras.core.types import Kind
from deras.sql.expr.nodes import Expr, Literal, Where
from deras.sql.functions.hosts import FAILED, call_host, each, host
from deras.sql.functions.registry import ArgumentError, cast_to, scalar
from deras.sql.types import common_type

if TYPE_CHECKING:
    from collections.abc import Sequence

_URL = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$", re.DOTALL)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CHARSETS = {
    "US-ASCII": "ascii", "ISO-8859-1": "latin-1", "UTF-8": "utf-8", "UTF-16BE": "utf-16-be", "UTF-16LE": "utf-16-le",
    "UTF-16": "utf-16",
}  # fmt: skip


@scalar("PARSE_URL(text, text[, text]) -> STRING", kind="host", nullable=True)
@each
def parse_url(url: str, part: str, key: str | None = None) -> str | None:
    """A part of an address: HOST, PATH, QUERY, REF, PROTOCOL, AUTHORITY, FILE, USERINFO, or one key of QUERY.

    Example:
        >>> PARSE_URL('http://a.com/p?x=1&y=2', 'QUERY', 'y')
        2
    """
    m = _URL.match(url)
    if m is None or m[1].lower() not in ("http", "https", "ftp", "file", "jar", "mailto"):
        return None
    authority = m[2]
    user, _, place = (authority or "").rpartition("@")
    host_ = re.sub(r":\d*$", "", place)
    path, query = m[3], m[4]
    found = {
        "HOST": host_,
        "PATH": path,
        "QUERY": query,
        "REF": m[5],
        "PROTOCOL": m[1],
        "AUTHORITY": authority,
        "FILE": path if query is None else f"{path}?{query}",
        "USERINFO": user if authority and "@" in authority else None,
    }.get(part)
    if key is None:
        return found
    if part != "QUERY" or query is None:
        return None
    k = re.search(rf"(?:&|^){re.escape(key)}=([^&]*)", query)
    return None if k is None else k[1]


def _decoded(x: str) -> str | None:
    if _BAD_ESCAPE.search(x):
        return None
    return unquote_to_bytes(x.replace("+", " ")).decode("utf-8", "replace")


@scalar("URL_ENCODE(text) -> STRING", kind="host", nullable=True)
@each
def url_encode(x: str) -> str:
    """The text as a part of an address (``application/x-www-form-urlencoded``).

    Example:
        >>> URL_ENCODE('a b&c')
        a+b%26c
    """
    return quote_plus(x, safe="*").replace("~", "%7E")


@scalar("URL_DECODE(text) -> STRING", kind="host", nullable=True)
@each
def url_decode(x: str) -> str | None:
    """The text that URL_ENCODE was given; NULL where that is not possible.

    Example:
        >>> URL_DECODE('a+b%26c')
        a b&c
    """
    return _decoded(x)


@scalar("URL_DECODE_RECURSIVE(text[, integer]) -> STRING", kind="host", nullable=True, ours=True)
@each
def url_decode_recursive(x: str, depth: int = 10) -> str | None:
    """The text decoded again and again until it stays as it is (10 times at most, or as often as the second says).

    Example:
        >>> URL_DECODE_RECURSIVE('a%2526b')
        a&b
    """
    found: str | None = x
    for _ in range(max(depth, 0)):
        new = _decoded(found or "")
        if new is None or new == found:
            break
        found = new
    return found


@scalar("ENCODE(text, text) -> BYTES", kind="host", nullable=True)
@each
def encode(x: str, charset: str) -> Any:
    """The bytes of a text in a character set: US-ASCII, ISO-8859-1, UTF-8, UTF-16BE, UTF-16LE, UTF-16.

    Example:
        >>> HEX(DECODE(ENCODE('ab', 'UTF-16BE'), 'ISO-8859-1'))
        00610062
    """
    name = _CHARSETS.get(charset.upper())
    if name is None:
        return FAILED
    return (b"\xfe\xff" + x.encode("utf-16-be")) if name == "utf-16" else x.encode(name, "replace")


@scalar("DECODE(bytes, text) -> STRING", kind="host", nullable=True)
@each
def decode(x: bytes, charset: str) -> Any:
    """The text of bytes in a character set.

    Example:
        >>> DECODE(ENCODE('ab', 'UTF-8'), 'UTF-8')
        ab
    """
    name = _CHARSETS.get(charset.upper())
    if name is None:
        return FAILED
    if name == "utf-16" and x[:2] not in (b"\xfe\xff", b"\xff\xfe"):
        name = "utf-16-be"
    return bytes(x).decode(name, "replace")


def _translated(x: str | None, old: str | None, new: str | None) -> str | None:
    if x is None or not old:
        return x
    table: dict[int, str | None] = {}
    for i, ch in enumerate(old):
        table.setdefault(ord(ch), new[i] if new is not None and i < len(new) else None)
    return x.translate(table)


_TRANSLATE = each(_translated, nulls=True)
_TRANSLATE.__doc__ = """Each character of the second text replaced by the one at its place in the third, or left out.

    Example:
        >>> TRANSLATE3('banana', 'an', 'o')
        booo
    """
scalar("TRANSLATE(text, text, text) -> STRING", "TRANSLATE3(text, text, text) -> STRING", kind="host", nullable=True)(
    _TRANSLATE
)


_ELT = host("ELT", lambda i, *values: values[i - 1] if i is not None and 1 <= i <= len(values) else None, nulls=True)


@scalar("ELT(integer, text...)", "ELT(integer, bytes...)", kind="macro")
def elt(args: Sequence[Expr], at: Where | None) -> Expr:
    """The first, second … of the values; NULL where there is none.

    Example:
        >>> ELT(2, 'a', 'b')
        b
    """
    type_ = common_type([a.type for a in args[1:]])
    if type_ is None or len(args) < 2:
        raise ArgumentError("ELT needs a number and values of one type")
    return call_host(_ELT, type_.with_nullable(True), [args[0], *(cast_to(a, type_) for a in args[1:])], at)


_DIRECTIVE = re.compile(r"%(?:(\d+)\$)?([-#+ 0,(<]*)(\d+)?(?:\.(\d+))?([A-Za-z%])")


def _printf(form: str | None, *values: Any) -> Any:
    if form is None:
        return None
    out: list[str] = []
    at, last, end = 0, -1, 0
    for m in _DIRECTIVE.finditer(form):
        between = form[end : m.start()]
        if "%" in between:
            return None
        out.append(between)
        end = m.end()
        kind, flags = m[5], m[2]
        if kind in "n%":
            out.append("\n" if kind == "n" else "%")
            continue
        if m[1]:
            last = int(m[1]) - 1
        elif "<" not in flags:
            last, at = at, at + 1
        if not 0 <= last < len(values):
            return None
        text = _directive(kind, flags, m[4], values[last])
        if text is None:
            return None
        if m[3]:
            text = text.ljust(int(m[3])) if "-" in flags else _filled(text, int(m[3]), zero="0" in flags)
        out.append(text)
    if "%" in form[end:]:
        return None
    return "".join(out) + form[end:]


def _filled(text: str, width: int, *, zero: bool) -> str:
    return text.zfill(width) if zero else text.rjust(width)


def _directive(kind: str, flags: str, precision: str | None, v: Any) -> str | None:
    low = kind.lower()
    try:
        if v is None:
            text = "false" if low == "b" else "null"
        elif low == "s":
            text = str(v).lower() if isinstance(v, bool) else str(v)
            text = text[: int(precision)] if precision else text
        elif low == "d" and isinstance(v, int):
            text = format(
                v, ("+" if "+" in flags else " " if " " in flags else "") + ("," if "," in flags else "") + "d"
            )
        elif low in "feg" and not isinstance(v, (int, str)):
            sign = "+" if "+" in flags else " " if " " in flags else ""
            if low == "f":
                v = Decimal(repr(v) if isinstance(v, float) else v)
                v = v.quantize(Decimal(1).scaleb(-int(precision or 6)), ROUND_HALF_UP)
            text = format(v, f"{sign}{',' if ',' in flags and low == 'f' else ''}.{precision or 6}{low}")
        elif low in "xo" and isinstance(v, int):
            bits = 32 if -(1 << 31) <= v < 1 << 31 else 64
            text = format(v & ((1 << bits) - 1), low)
        elif low == "c" and isinstance(v, (int, str)):
            text = chr(v) if isinstance(v, int) else v
        elif low == "b":
            text = str(v).lower() if isinstance(v, bool) else "true"
        else:
            return None
    except (ValueError, OverflowError, InvalidOperation):
        return None
    return text.upper() if kind.isupper() else text


_PRINTF = host("PRINTF", _printf, nulls=True)


@scalar("PRINTF(text[, any...])", kind="macro")
def printf(args: Sequence[Expr], at: Where | None) -> Expr:
    """A text with values put in, as Java's ``String.format`` does; NULL where the form does not go with the values.

    Example:
        >>> PRINTF('%s has %05.1f', 'x', 1.25E0)
        x has 001.3
    """
    shown = [a if a.type.kind not in (Kind.CHAR, Kind.NULL) else cast_to(a, t.STRING) for a in args]
    return call_host(_PRINTF, t.STRING, shown, at)


@scalar("TYPEOF(any[, boolean])", kind="macro")
def typeof(args: Sequence[Expr], at: Where | None) -> Expr:
    """The type of a value, as text.

    Example:
        >>> TYPEOF(1 + 2)
        INT NOT NULL
    """
    return Literal(t.STRING, str(args[0].type), at=at)


@scalar("INET_ATON(text) -> BIGINT", kind="host", nullable=True)
@each
def inet_aton(x: str) -> int | None:
    """An IPv4 address as a number; NULL where it is none.

    Example:
        >>> INET_ATON('127.0.0.1')
        2130706433
    """
    parts = x.split(".")
    if not 1 <= len(parts) <= 4 or not all(re.fullmatch(r"[0-9]{1,3}", p) and int(p) < 256 for p in parts):
        return None
    numbers = [int(p) for p in parts]
    numbers = [*numbers[:-1], *[0] * (4 - len(numbers)), numbers[-1]]
    return numbers[0] << 24 | numbers[1] << 16 | numbers[2] << 8 | numbers[3]


@scalar("INET_NTOA(integer) -> STRING", kind="host", nullable=True)
@each
def inet_ntoa(x: int) -> str | None:
    """The IPv4 address of a number; NULL where it is none.

    Example:
        >>> INET_NTOA(2130706433)
        127.0.0.1
    """
    return ".".join(str(x >> s & 255) for s in (24, 16, 8, 0)) if 0 <= x < 1 << 32 else None
