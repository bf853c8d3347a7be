"""The CSV decode kernel: records to columns in one pass; odd records are left to the exact path."""

# Tuples and generators cost time or do not compile in kernels.
# ruff: noqa: SIM109, SIM110
# mypy: disable-error-code="no-untyped-def,assignment"

from __future__ import annotations

import numpy as np

from deras.core.jit import helper, high_bytes, kernel, load8, load32, match2, trailing_zeros
from deras.formats._json_kernel import (
    AT,
    BINARY,
    BOOLEAN,
    CAPACITY,
    DATE,
    DECIMAL,
    DONE,
    DOUBLE,
    END,
    FLOAT,
    INTEGER,
    KIND,
    MORE_ODD,
    MORE_SIDE,
    NOT_NULL,
    ODD,
    RAW,
    ROW,
    SIDE,
    SIDE_BUFFER,
    SKIP,
    SLOT,
    TEXT,
    TIME,
    TIMESTAMP,
    WIDE_DECIMAL,
    A,
    B,
    C,
)
from deras.formats._text_kernel import (
    U,
    read_clock,
    read_date,
    read_fraction,
    read_number,
    to_double,
    to_scaled,
    utf8_length,
    view_head,
    view_tail,
)

# Places in ``marks``: the bytes with a meaning, or -1.
DELIMITER, QUOTE, ESCAPE, COMMENT, COLUMNS = range(5)

_TRUE = np.uint32(int.from_bytes(b"true", "little"))
_FALS = np.uint32(int.from_bytes(b"fals", "little"))


@kernel("int64(uint8[::1], int64, int64, int64[::1])")
def record_end(data, i, end, marks):
    """The place of the line feed that ends the record at i (one in quotes does not), or ``end``.

    Where a quote is never closed, the first line is the record: one stray quote must not swallow the rest of the block.
    """
    first = -1
    quote = marks[QUOTE]
    inside = False
    fresh = True
    while i < end:
        c = np.int64(load8(data, i))
        if c == 10:
            if not inside:
                return i
            if first < 0:
                first = i
        elif c == marks[ESCAPE] and i + 1 < end and load8(data, i + 1) != 10:
            i += 1
        elif c == quote:
            if inside:
                if i + 1 < end and load8(data, i + 1) == quote:
                    i += 1
                else:
                    inside = False
            elif fresh:
                inside = True
        fresh = not inside and c == marks[DELIMITER]
        i += 1
    return first if inside and first >= 0 else end


@helper
def _plain_end(data, i, end, delimiter):
    """The place of the next delimiter, line feed or ``end``."""
    while i < end:
        m = match2(data, i, np.uint8(delimiter), np.uint8(10))
        if m != 0:
            i += trailing_zeros(m)
            break
        i += 32
    return min(i, end)


@helper
def _well_formed(data, i, end):
    """Whether data[i:end] is UTF-8."""
    while i < end:
        m = high_bytes(data, i)
        if m == 0:
            i += 32
            continue
        i += trailing_zeros(m)
        if i >= end:
            return True
        n = utf8_length(data, i)
        i += n
        if n == 0 or i > end:
            return False
    return True


@helper
def _equal(data, i, n, text):
    if n != len(text):
        return False
    for j in range(n):
        if load8(data, i + j) != text[j]:
            return False
    return True


@kernel(
    "int64(uint8[::1], int64[::1], int64[:, ::1], int64[::1], uint8[::1], boolean, int64[::1], int64[:, ::1], "
    "uint64[:, :, ::1], uint8[:, ::1], int64[::1], uint8[::1], int64[:, ::1], uint64[:, ::1])"
)
def decode(data, state, params, marks, null, has_null, number, words, wide, valid, nulls, side, odd, powers):
    """Decode records until all are done or room is short; called again with more room it goes on where it stopped.

    Args:
        data: bytes, with ``PAD`` readable ones after the end.
        state: see :mod:`deras.formats._json_kernel`.
        params: how each column is read.
        marks: the bytes with a meaning.
        null: the null literal.
        has_null: whether there is one.
        number: for each column its place among the wanted ones, or -1.
        words: out, values.
        wide: out, views and limbs.
        valid: out, 0 for NULL.
        nulls: out, number of NULLs of each wanted column.
        side: out, unescaped text.
        odd: out, records for the exact path: first byte, one after the last, row.
        powers: see :func:`deras.formats._text_kernel.power_table`.
    """
    i = state[AT]
    row = state[ROW]
    end = state[END]
    delimiter = marks[DELIMITER]
    quote = marks[QUOTE]
    escape = marks[ESCAPE]
    columns = marks[COLUMNS]
    while True:
        while i < end and (
            load8(data, i) == 10 or (load8(data, i) == 13 and (i + 1 >= end or load8(data, i + 1) == 10))
        ):
            i += 1
        if i < end and np.int64(load8(data, i)) == marks[COMMENT]:
            i = _plain_end(data, i, end, 10)
            continue
        if i >= end or state[ODD] >= len(odd) or row >= state[CAPACITY]:
            state[AT], state[ROW] = i, row
            return DONE if i >= end else MORE_ODD
        start = i
        side_start = state[SIDE]
        ok = True
        for f in range(columns):
            # ---- the field's bytes: data[a:b], and where it goes on
            quoted = i < end and np.int64(load8(data, i)) == quote
            doubled = False
            if quoted:
                a = i + 1
                b = a
                while b < end:
                    c = np.int64(load8(data, b))
                    if c == escape:
                        doubled = True
                        b += 2
                        continue
                    if c == quote:
                        if b + 1 < end and np.int64(load8(data, b + 1)) == quote:
                            doubled = True
                            b += 2
                            continue
                        break
                    b += 1
                if b >= end:
                    ok = False
                    break
                i = b + 1
            else:
                a = i
                b = _plain_end(data, i, end, delimiter)
                i = b
                if b > a and (b == end or load8(data, b) == 10) and load8(data, b - 1) == 13:
                    b -= 1
            last = f == columns - 1
            if not quoted and escape >= 0:
                for j in range(a, b):
                    doubled |= np.int64(load8(data, j)) == escape
                if doubled:
                    ok = False
                    break
            # ---- its value
            kind = params[f, KIND]
            if kind != SKIP:
                j = number[f]
                slot = params[f, SLOT]
                n = b - a
                text = kind == TEXT
                if not quoted and ((has_null and _equal(data, a, n, null)) or (n == 0 and not text)):
                    if params[f, NOT_NULL]:
                        ok = False
                        break
                    if nulls[j] == 0:
                        valid[j, :] = 1
                    nulls[j] += 1
                    valid[j, row] = 0
                    if text or (kind == BINARY or kind == RAW or kind == WIDE_DECIMAL):
                        wide[U(slot), U(row), 0] = 0
                        wide[U(slot), U(row), 1] = 0
                    else:
                        words[U(slot), U(row)] = 0
                else:
                    if nulls[j] != 0:
                        valid[j, row] = 1
                    if text or (kind == BINARY or kind == RAW):
                        if not _well_formed(data, a, b):
                            ok = False
                            break
                        if doubled:
                            at = state[SIDE]
                            if at + n + 64 > len(side):
                                state[AT], state[ROW], state[SIDE] = start, row, side_start
                                return MORE_SIDE
                            first = at
                            k = a
                            while k < b:
                                c = np.int64(load8(data, k))
                                if c == escape or c == quote:
                                    k += 1
                                side[at] = load8(data, k)
                                at += 1
                                k += 1
                            wide[U(slot), U(row), 0] = view_head(side, first, at - first)
                            wide[U(slot), U(row), 1] = view_tail(side, first, at - first, state[SIDE_BUFFER])
                            state[SIDE] = at
                        else:
                            wide[U(slot), U(row), 0] = view_head(data, a, n)
                            wide[U(slot), U(row), 1] = view_tail(data, a, n, 0)
                    elif kind == DATE:
                        days = read_date(data, a)
                        ok = n == 10 and days > -1_000_000_000
                        words[U(slot), U(row)] = days
                    elif kind == TIME or kind == TIMESTAMP:
                        days = read_date(data, a) if kind == TIMESTAMP else 0
                        at = a + 11 if kind == TIMESTAMP else a
                        clock = read_clock(data, at)
                        at, nanos = read_fraction(data, at + 8, params[f, B])
                        if kind == TIMESTAMP and params[f, C] & 2 and at >= 0:
                            at = at + 1 if load8(data, at) == 90 else -1
                        ok = days > -1_000_000_000 and clock >= 0 and at == b
                        if kind == TIME:
                            words[U(slot), U(row)] = clock * 1_000_000_000 + nanos
                        else:
                            seconds = days * 86400 + clock
                            ok = ok and load8(data, a + 10) == params[f, A]
                            if params[f, C] & 1:
                                ok = ok and -9_223_372_036 <= seconds <= 9_223_372_035
                                words[U(slot), U(row)] = seconds * 1_000_000_000 + nanos
                            else:
                                words[U(slot), U(row)] = seconds * 1_000_000 + nanos // 1000
                    elif kind == BOOLEAN:
                        yes = n == 4 and load32(data, a) == _TRUE
                        ok = yes or (n == 5 and load32(data, a) == _FALS and load8(data, a + 4) == 101)
                        words[U(slot), U(row)] = yes
                    else:
                        at, negative, x, exponent, whole = read_number(data, a)
                        ok = at == b and n > 0
                        if kind == INTEGER:
                            ok = ok and whole and x <= U(params[f, B]) + U(negative)
                            words[U(slot), U(row)] = -np.int64(x) if negative else np.int64(x)
                        elif kind == DECIMAL or kind == WIDE_DECIMAL:
                            y = to_scaled(x, exponent, params[f, A] if kind == DECIMAL else 18, params[f, B])
                            ok = ok and y >= 0
                            y = -y if negative else y
                            if kind == DECIMAL:
                                words[U(slot), U(row)] = y
                            else:
                                wide[U(slot), U(row), 0] = U(y)
                                wide[U(slot), U(row), 1] = U(y >> 63)
                        elif kind == DOUBLE or kind == FLOAT:
                            v = to_double(x, exponent, powers)
                            ok = ok and v == v
                            if kind == FLOAT:
                                ok = ok and v <= 3.4028234663852886e38
                                v = np.float64(np.float32(v))
                            words[U(slot), U(row)] = np.float64(-v if negative else v).view(np.int64)
                    if not ok:
                        break
            # ---- what follows
            if last:
                if i < end and load8(data, i) == 13:
                    i += 1
                ok = i >= end or load8(data, i) == 10
            else:
                ok = i < end and np.int64(load8(data, i)) == delimiter
                i += 1
            if not ok:
                break
        if not ok:
            state[SIDE] = side_start
            i = record_end(data, start, end, marks)
            k = state[ODD]
            odd[k, 0] = start
            odd[k, 1] = i
            odd[k, 2] = row
            state[ODD] = k + 1
        row += 1
        i += 1
