"""The kernel that writes columns as text, for JSON lines and CSV."""

# Tuples and generators cost time or do not compile in kernels.
# ruff: noqa: SIM109
# mypy: disable-error-code="no-untyped-def,assignment"

from __future__ import annotations

import numpy as np

from deras.core.jit import copy_from, helper, kernel, load8_at, load64_at, match2, quote_stops, trailing_zeros
from deras.formats._text_kernel import POW10, U

# Kinds of value (params[column, KIND]). RAW: text written as it is.
JSON_TEXT, CSV_TEXT, RAW, INTEGER, BOOLEAN, DATE, TIME, TIMESTAMP, DECIMAL = range(9)

# Columns of ``params``. TIME and TIMESTAMP: A nanoseconds in a unit, B separator, C 1 for a Z.
# DECIMAL: A scale, B plain.
KIND, QUOTED, A, B, C, BASE = range(6)

# Places in ``style``: bytes, or -1 for none.
OPEN, CLOSE, BETWEEN, QUOTE, ESCAPE, SKIP_NULLS = range(6)

_HEX = np.frombuffer(b"0123456789ABCDEF", np.uint8).copy()
_FIXED = 48  # room for any value that is no text


@helper
def _digits(out, at, x, width):
    """Write an unsigned number with at least ``width`` digits."""
    n = 1
    while n < 20 and x >= POW10[n]:
        n += 1
    n = max(n, width)
    k = at + n - 1
    while k >= at:
        q = x // U(10)
        out[k] = np.uint8(48) + np.uint8(x - q * U(10))
        x = q
        k -= 1
    return at + n


@helper
def _signed(out, at, x):
    if x < 0:
        out[at] = 45
        return _digits(out, at + 1, U(-x), 1)
    return _digits(out, at, U(x), 1)


@helper
def _fraction(out, at, nanos):
    """A dot and the digits of a fraction of a second, without zeros at the end; nothing for 0."""
    if nanos == 0:
        return at
    out[at] = 46
    at = _digits(out, at + 1, U(nanos), 9)
    while out[at - 1] == 48:
        at -= 1
    return at


@helper
def _date(out, at, days):
    z = days + 719468
    era = z // 146097
    doe = z - era * 146097
    yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    d = doy - (153 * mp + 2) // 5 + 1
    m = mp + 3 if mp < 10 else mp - 9
    y = yoe + era * 400 + (m <= 2)
    if y < 0:
        out[at] = 45
        at += 1
        y = -y
    elif y > 9999:
        out[at] = 43
        at += 1
    at = _digits(out, at, U(y), 4)
    out[at] = 45
    at = _digits(out, at + 1, U(m), 2)
    out[at] = 45
    return _digits(out, at + 1, U(d), 2)


@helper
def _clock(out, at, seconds):
    at = _digits(out, at, U(seconds // 3600), 2)
    out[at] = 58
    at = _digits(out, at + 1, U(seconds // 60 % 60), 2)
    out[at] = 58
    return _digits(out, at + 1, U(seconds % 60), 2)


@helper
def _decimal(out, at, x, scale, plain):
    """As Java's BigDecimal.toString (or toPlainString) after stripTrailingZeros."""
    if x == 0:
        out[at] = 48
        return at + 1
    if x < 0:
        out[at] = 45
        at += 1
        x = -x
    while x % 10 == 0 and (scale > 0 or not plain):
        x //= 10
        scale -= 1
    begin = at
    at = _digits(out, at, U(x), 1)
    n = at - begin
    if scale == 0:
        return at
    exponent = n - 1 - scale
    if scale > 0 and (plain or exponent >= -6):
        if n <= scale:  # 0.00x
            shift = scale - n + 2
            for k in range(n - 1, -1, -1):
                out[begin + k + shift] = out[begin + k]
            for k in range(shift):
                out[begin + k] = 48
            out[begin + 1] = 46
            return begin + n + shift
        for k in range(scale):
            out[at - k] = out[at - k - 1]
        out[at - scale] = 46
        return at + 1
    if n > 1:
        for k in range(n - 1):
            out[at - k] = out[at - k - 1]
        out[begin + 1] = 46
        at += 1
    out[at] = 69
    out[at + 1] = 45 if exponent < 0 else 43
    return _digits(out, at + 2, U(abs(exponent)), 1)


@helper
def _json_text(out, at, address, n):
    r"""Quoted, escaped as Jackson does it: control bytes as \\uXXXX, everything else as it is."""
    out[at] = 34
    at += 1
    copy_from(out, at, address, n)
    # Most texts need no escape: they are looked at 32 bytes at a time, after they were copied.
    k = 0
    while k < n:
        m = quote_stops(out, at + k)
        if m == 0:
            k += 32
            continue
        k += trailing_zeros(m)
        break
    if k < n:
        at += k
        while k < n:
            c = load8_at(address + k)
            k += 1
            if c >= 32 and c != 34 and c != 92:
                out[at] = c
                at += 1
                continue
            out[at] = 92
            if c == 34 or c == 92:
                out[at + 1] = c
            elif c == 10:
                out[at + 1] = 110
            elif c == 9:
                out[at + 1] = 116
            elif c == 13:
                out[at + 1] = 114
            elif c == 8:
                out[at + 1] = 98
            elif c == 12:
                out[at + 1] = 102
            else:
                out[at + 1] = 117
                out[at + 2] = 48
                out[at + 3] = 48
                out[at + 4] = _HEX[c >> 4]
                out[at + 5] = _HEX[c & 15]
                at += 4
            at += 2
    else:
        at += n
    out[at] = 34
    return at + 1


@helper
def _csv_text(out, at, address, n, style, null):
    """Quoted where it must be: it holds a byte with a meaning, is empty, or reads as NULL."""
    quote = style[QUOTE]
    escape = style[ESCAPE]
    needs = n == 0
    if n == len(null):
        needs = True
        for k in range(n):
            needs &= load8_at(address + k) == null[k]
    if n > 0:
        first = load8_at(address)
        needs |= first == 35 or first == 32 or load8_at(address + n - 1) == 32
    # Most texts hold no byte with a meaning: they are looked at 32 bytes at a time, after they were copied.
    copy_from(out, at, address, n)
    k = 0
    while k < n:
        m = match2(out, at + k, np.uint8(style[BETWEEN]), np.uint8(quote))
        m |= match2(out, at + k, np.uint8(10), np.uint8(13))
        if escape >= 0:
            m |= match2(out, at + k, np.uint8(escape), np.uint8(escape))
        if m != 0:
            k += trailing_zeros(m)
            break
        k += 32
    if k >= n and not (needs and quote >= 0):
        return at + n
    for k in range(n):
        c = np.int64(load8_at(address + k))
        needs |= c == style[BETWEEN] or (c == quote or c == escape) or c == 10 or c == 13
    needs &= quote >= 0
    if needs:
        out[at] = quote
        at += 1
    for k in range(n):
        c = np.int64(load8_at(address + k))
        if c == escape or (c == quote and needs):
            out[at] = c if escape < 0 else escape
            at += 1
        out[at] = c
        at += 1
    if needs:
        out[at] = quote
        at += 1
    return at


@kernel(
    "int64(uint8[::1], int64[::1], int64, int64[:, ::1], int64[::1], int64[::1], int64[::1], uint8[::1], int64[::1], "
    "uint8[::1], int64[::1])"
)
def encode(out, state, rows, params, values, valids, bases, prefix, begins, null, style):
    """Write rows until all are written or the room is too short for one more.

    Args:
        out: the room.
        state: in and out: [0] next row, [1] bytes written, [2] room that the next row needs.
        rows: number of rows.
        params: how each column is written.
        values: address of the int64 words or 16-byte views of each column.
        valids: address of the validity bytes of each column, 0 for none.
        bases: addresses of the views' buffers, those of a column from ``params[column, BASE]`` on.
        prefix: what stands before each value.
        begins: where a column's prefix begins (one more entry: the end).
        null: how NULL is written.
        style: bytes with a meaning.

    Returns:
        1 if all rows are written, else 0.
    """
    row = state[0]
    at = state[1]
    columns = len(values)
    fixed = len(prefix) + columns * (_FIXED + len(null)) + 64
    while row < rows:
        need = fixed
        for f in range(columns):
            if params[f, KIND] <= RAW:
                need += 6 * np.int64(load64_at(values[f] + 16 * row) & U(0xFFFFFFFF))
        if at + need > len(out):
            state[0], state[1], state[2] = row, at, need
            return 0
        if style[OPEN] >= 0:
            out[at] = style[OPEN]
            at += 1
        first = True
        for f in range(columns):
            is_null = valids[f] != 0 and load8_at(valids[f] + row) == 0
            if is_null and style[SKIP_NULLS] == 1:
                continue
            if not first:
                out[at] = style[BETWEEN]
                at += 1
            first = False
            for k in range(begins[f], begins[f + 1]):
                out[at] = prefix[k]
                at += 1
            if is_null:
                for k in range(len(null)):
                    out[at] = null[k]
                    at += 1
                continue
            kind = params[f, KIND]
            if kind <= RAW:
                place = values[f] + 16 * row
                n = np.int64(load64_at(place) & U(0xFFFFFFFF))
                address = place + 4
                if n > 12:
                    tail = load64_at(place + 8)
                    address = bases[params[f, BASE] + np.int64(tail & U(0xFFFFFFFF))] + np.int64(tail >> U(32))
                if kind == JSON_TEXT:
                    at = _json_text(out, at, address, n)
                elif kind == CSV_TEXT:
                    at = _csv_text(out, at, address, n, style, null)
                else:
                    copy_from(out, at, address, n)
                    at += n
                continue
            x = np.int64(load64_at(values[f] + 8 * row))
            if params[f, QUOTED]:
                out[at] = 34
                at += 1
            if kind == INTEGER:
                at = _signed(out, at, x)
            elif kind == BOOLEAN:
                word = np.uint64(0x65757274) if x else np.uint64(0x65736C6166)  # true, false
                for k in range(4 if x else 5):
                    out[at] = np.uint8(word >> U(8 * k) & U(255))
                    at += 1
            elif kind == DECIMAL:
                at = _decimal(out, at, x, params[f, A], params[f, B])
            elif kind == DATE:
                at = _date(out, at, x)
            else:
                unit = params[f, A]
                per_second = 1_000_000_000 // unit
                seconds = x // per_second
                nanos = (x - seconds * per_second) * unit
                if kind == TIMESTAMP:
                    days = seconds // 86400
                    seconds -= days * 86400
                    at = _date(out, at, days)
                    out[at] = params[f, B]
                    at += 1
                at = _clock(out, at, seconds)
                at = _fraction(out, at, nanos)
                if params[f, C]:
                    out[at] = 90
                    at += 1
            if params[f, QUOTED]:
                out[at] = 34
                at += 1
        if style[CLOSE] >= 0:
            out[at] = style[CLOSE]
            at += 1
        out[at] = 10
        at += 1
        row += 1
    state[0], state[1] = row, at
    return 1
