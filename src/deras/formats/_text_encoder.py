"""What encoders of text formats share: the kernel writes; what it does not know comes as ready text."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from deras.core.column import Column
from deras.core.contracts import Encoder
from deras.core.errors import RowError
from deras.core.types import STRING, Kind, Layout, SqlType
from deras.formats import _encode_kernel as e

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.delta import Delta
    from deras.core.schema import Schema


def decimal_text(value: Decimal, plain: bool) -> str:
    """As Java's BigDecimal.toString (or toPlainString) after stripTrailingZeros."""
    if value == 0:
        return "0"
    sign, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    scale = -int(exponent)
    stripped = text.rstrip("0")
    scale -= len(text) - len(stripped)
    minus = "-" if sign else ""
    if plain and scale < 0:
        return minus + stripped + "0" * -scale
    if scale == 0:
        return minus + stripped
    adjusted = len(stripped) - 1 - scale
    if scale > 0 and (plain or adjusted >= -6):
        padded = stripped.rjust(scale + 1, "0")
        return f"{minus}{padded[:-scale]}.{padded[-scale:]}"
    point = f"{stripped[0]}.{stripped[1:]}" if len(stripped) > 1 else stripped
    return f"{minus}{point}E{adjusted:+d}"


class Forms:
    """How Python values inside nested columns are written, as the kernel writes them at the top."""

    def __init__(self, iso: bool, plain: bool) -> None:
        self.separator = "T" if iso else " "
        self.plain = plain

    def text(self, value: Any, t: SqlType) -> str:
        """A scalar (not None) as bare text."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, Decimal):
            return decimal_text(value, self.plain)
        if isinstance(value, dt.datetime):
            fraction = f".{value.microsecond:06d}".rstrip("0") if value.microsecond else ""
            zone = "Z" if t.kind is Kind.TIMESTAMP_LTZ else ""
            return f"{value.date().isoformat()}{self.separator}{value:%H:%M:%S}{fraction}{zone}"
        if isinstance(value, dt.time):
            fraction = f".{value.microsecond:06d}".rstrip("0") if value.microsecond else ""
            return f"{value:%H:%M:%S}{fraction}"
        if isinstance(value, dt.timedelta):
            return str(value // dt.timedelta(milliseconds=1))
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        if isinstance(value, float):
            return _float_text(value)
        return str(value)


def _float_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


class TextEncoder(Encoder):
    """Rows as lines of text."""

    text_kind = e.RAW
    quotes_words = False
    """Whether dates and times stand in quotes."""

    def __init__(self, schema: Schema, forms: Forms, style: Sequence[int], prefixes: list[bytes], null: bytes) -> None:
        self.schema = schema
        self.forms = forms
        self._style = np.array(style, np.int64)
        self._prefix = np.frombuffer(b"".join(prefixes) + b"\0", np.uint8)[:-1].copy()
        self._begins = np.cumsum([0, *map(len, prefixes)]).astype(np.int64)
        self._null = np.frombuffer(null + b"\0", np.uint8)[:-1].copy()
        self._grow = 1 << 16

    def encode(self, delta: Delta) -> list[bytes] | bytes:
        """One line a row."""
        n, m = len(delta), len(delta.columns)
        params = np.zeros((m, 6), np.int64)
        values = np.zeros(m, np.int64)
        valids = np.zeros(m, np.int64)
        bases: list[np.ndarray[Any, Any]] = []
        kept: list[Any] = []  # arrays whose addresses the kernel has
        base = 0
        for f, column in enumerate(delta.columns):
            kind, column, a, b, c = self._column(column)
            if kind <= e.RAW:
                views = column.views()
                array: Any = np.ascontiguousarray(views.views)
                addresses = views.bases()
                kept.append(views)
                params[f, e.BASE] = base
                base += len(addresses)
                bases.append(addresses)
            else:
                array = np.ascontiguousarray(column.words())
            valid = column.valid()
            if valid is not None:
                valid = np.ascontiguousarray(valid)
                valids[f] = valid.ctypes.data
            kept += [array, valid]
            values[f] = array.ctypes.data
            quoted = self.quotes_words and kind in (e.DATE, e.TIME, e.TIMESTAMP)
            params[f, : e.BASE] = kind, quoted, a, b, c
        found: list[bytes] = []
        state = np.zeros(3, np.int64)
        all_bases = np.concatenate(bases) if bases else np.zeros(1, np.int64)
        size = min(max(self._grow, 256), 1 << 22)
        while True:
            out = np.empty(max(size, int(state[2])) + 64, np.uint8)
            state[1] = 0
            done = e.encode(
                out, state, n, params, values, valids, all_bases, self._prefix, self._begins, self._null, self._style
            )
            if state[1]:
                found.append(out[: state[1]].tobytes())
            if done:
                break
            # The next room is for what is left, as far as the rows so far can tell.
            rows = max(int(state[0]), 1)
            size = min(max(sum(map(len, found)) * (n - rows) // rows * 5 // 4, 1 << 16), 1 << 22)
        self._grow = max(map(len, found), default=256) * 5 // 4
        return found[0] if len(found) == 1 else found

    def _column(self, column: Column) -> tuple[int, Column, int, int, int]:
        """Kind, column in the form for the kernel, A, B, C."""
        t = column.type
        match t.kind:
            case Kind.CHAR | Kind.VARCHAR:
                return self.text_kind, column, 0, 0, 0
            case Kind.BOOLEAN:
                return e.BOOLEAN, column, 0, 0, 0
            case Kind.DATE:
                return e.DATE, column, 0, 0, 0
            case Kind.TIME:
                return e.TIME, column, 1, 0, 0
            case Kind.TIMESTAMP | Kind.TIMESTAMP_LTZ:
                zone = int(t.kind is Kind.TIMESTAMP_LTZ)
                return e.TIMESTAMP, column, (1 if t.nanoseconds else 1000), ord(self.forms.separator), zone
            case Kind.DECIMAL if t.layout is Layout.WORDS:
                return e.DECIMAL, column, t.scale, int(self.forms.plain), 0
            case _ if t.layout is Layout.WORDS:
                return e.INTEGER, column, 0, 0, 0
            case Kind.FLOAT | Kind.DOUBLE:
                return e.RAW, Column.of_series(STRING, self.floats(column)), 0, 0, 0
            case Kind.BINARY | Kind.VARBINARY:
                return e.RAW, Column.of_series(STRING, self.bytes_(column.series())), 0, 0, 0
            case _:
                return e.RAW, Column.of_series(STRING, self.texts(column)), 0, 0, 0

    def floats(self, column: Column) -> pl.Series:
        """DOUBLE or FLOAT as text; what is no number as :meth:`no_number` gives it."""
        s = column.series()
        texts = s.cast(pl.String)
        if s.is_finite().all():
            return texts
        values = [
            x if x is None or math.isfinite(v) else self.no_number(_float_text(v))
            for x, v in zip(texts.to_list(), s.to_list(), strict=True)
        ]
        return pl.Series("", values, dtype=pl.String)

    def no_number(self, text: str) -> str:
        """NaN and the infinities."""
        return text

    def bytes_(self, s: pl.Series) -> pl.Series:
        """BYTES as base64 text."""
        return s.bin.encode("base64")

    def texts(self, column: Column) -> pl.Series:
        """Nested values (or wide decimals) as ready text, NULL where they are."""
        t = column.type
        return pl.Series("", [None if v is None else self.value(v, t) for v in column.values()], dtype=pl.String)

    def value(self, value: Any, t: SqlType) -> str:
        """A nested value (or a wide decimal) as ready text."""
        raise NotImplementedError


def json_value(value: Any, t: SqlType, forms: Forms, null_key: str, literal: str, leave_out: bool) -> str:
    """Any value as JSON."""
    if value is None:
        return "null"
    kind = t.kind
    more = (forms, null_key, literal, leave_out)
    if kind is Kind.ROW:
        pairs = [(n, value[n], c) for n, c in zip(t.names, t.children, strict=True)]
        fields = [f"{_quoted(n)}:{json_value(v, c, *more)}" for n, v, c in pairs if v is not None or not leave_out]
        return "{" + ",".join(fields) + "}"
    if kind is Kind.ARRAY:
        return "[" + ",".join(json_value(v, t.children[0], *more) for v in value) + "]"
    if kind in (Kind.MAP, Kind.MULTISET):
        second = t.children[1] if kind is Kind.MAP else SqlType(Kind.INT)
        parts = []
        for entry in value:
            key = entry["key"]
            if key is None:
                if null_key == "DROP":
                    continue
                if null_key == "FAIL":
                    raise RowError(
                        "a map has a NULL key, which JSON cannot hold",
                        hint="Set 'json.map-null-key.mode' to 'DROP' or 'LITERAL'.",
                    )
                key = literal
            else:
                key = forms.text(key, t.children[0])
            parts.append(f"{_quoted(key)}:{json_value(entry['value'], second, *more)}")
        return "{" + ",".join(parts) + "}"
    text = forms.text(value, t)
    if t.is_numeric or t.is_interval or kind is Kind.BOOLEAN:
        return f'"{text}"' if text in ("NaN", "Infinity", "-Infinity") else text
    return _quoted(text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
