"""The JSON decode kernel: records to columns in one pass, driven by the schema.

Three ideas make it fast: the key that followed this one in the record before is expected again, compared eight
bytes at a time; the end of a string is searched 32 bytes at a time; strings are not copied but pointed to. What it does
not understand (or what is wrong) it leaves to the exact path, record by record: it never guesses. It never reads past
``PAD`` bytes after the end and never loops without a bound.

The arrays are explained at :class:`deras.formats._json_decoder.JsonDecoder`, which owns them.
"""

# Tuples and generators cost time or do not compile in kernels.
# ruff: noqa: SIM109
# mypy: disable-error-code="no-untyped-def,assignment"

from __future__ import annotations

import numpy as np

from deras.core.jit import (
    copy32,
    helper,
    kernel,
    load8,
    load32,
    load64,
    match2,
    population,
    routine,
    string_stops,
    trailing_zeros,
)
from deras.formats._json_key_kernel import find_key, key_at, learn_key, same
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

# Kinds of value (params[key, KIND]).
SKIP, BOOLEAN, INTEGER, DOUBLE, FLOAT, DECIMAL, WIDE_DECIMAL, TEXT, DATE, TIME, TIMESTAMP, RAW, BINARY = range(13)

# Columns of ``params``.
KIND, SLOT, A, B, C, NOT_NULL = range(6)

# Places in ``state``.
AT, ROW, END, SIDE, ODD, KEYS, KEY_BYTES, WANTED, FAIL_MISSING, CAPACITY, SIDE_BUFFER, SPANS, STAMP, BARE = range(14)

STATES = 16

# Answers of :func:`decode`.
DONE, MORE_SIDE, MORE_ODD = range(3)

MAX_DEPTH = 64

_NULL = np.uint32(int.from_bytes(b"null", "little"))
_TRUE = np.uint32(int.from_bytes(b"true", "little"))
_ALSE = np.uint32(int.from_bytes(b"alse", "little"))
_HEX = np.array([int(chr(c), 16) if chr(c) in "0123456789abcdefABCDEF" else -1 for c in range(256)], np.int64)


@kernel("int64(uint8[::1], int64, int64)")
def count_lines(data, start, end):
    """Number of lines in data[start:end], the last one counted even if it lacks its end."""
    n = 0
    i = start
    while i + 32 <= end:
        n += population(U(match2(data, i, np.uint8(10), np.uint8(10))))
        i += 32
    while i < end:
        n += load8(data, i) == 10
        i += 1
    return n + (end > start and load8(data, end - 1) != 10)


@routine
def _blank(data, i, end, feed):
    """The next place that holds no white space; ``feed``: a line feed counts as such."""
    while (
        load8(data, i) <= 32
        and i < end
        and (load8(data, i) == 32 or load8(data, i) == 9 or load8(data, i) == 13 or (feed and load8(data, i) == 10))
    ):
        i += 1
    return i


@helper
def _hex4(data, i):
    """The number of four hexadecimal digits; below 0 if one is none."""
    return (
        _HEX[load8(data, i)] << 12
        | _HEX[load8(data, i + 1)] << 8
        | _HEX[load8(data, i + 2)] << 4
        | _HEX[load8(data, i + 3)]
    )


@helper
def _escape_length(data, i):
    """Length of the escape at i (a backslash): 2, 6, or 12 for a surrogate pair; 0 if it is wrong."""
    c = load8(data, i + 1)
    if c == 117:
        x = _hex4(data, i + 2)
        if x < 0 or 0xDC00 <= x <= 0xDFFF:
            return 0
        if x < 0xD800 or x > 0xDFFF:
            return 6
        if load8(data, i + 6) != 92 or load8(data, i + 7) != 117:
            return 0
        y = _hex4(data, i + 8)
        return 12 if 0xDC00 <= y <= 0xDFFF else 0
    if c == 34 or c == 92 or c == 47 or c == 98 or c == 102 or c == 110 or c == 114 or c == 116:
        return 2
    return 0


@helper
def _string(data, i, end):
    """The closing quote of a string whose first byte is at i, all of it checked.

    Returns:
        (place of the quote or -1, whether there are escapes).
    """
    escaped = False
    while i < end:
        m = string_stops(data, i)
        if m == 0:
            i += 32
            continue
        i += trailing_zeros(m)
        c = load8(data, i)
        if c == 34:
            return (i if i < end else -1), escaped
        n = 0
        if c >= 128:
            n = utf8_length(data, i)
        elif c == 92:
            n = _escape_length(data, i)
            escaped = True
        if n == 0:
            return -1, escaped
        i += n
    return -1, escaped


@helper
def _number_end(data, i, end):
    """The place after the JSON number at i, or -1."""
    if load8(data, i) == 45:
        i += 1
    if load8(data, i) == 48:
        i += 1
    else:
        first = i
        while i < end and 48 <= load8(data, i) <= 57:
            i += 1
        if i == first:
            return -1
    if load8(data, i) == 46:
        i += 1
        first = i
        while i < end and 48 <= load8(data, i) <= 57:
            i += 1
        if i == first:
            return -1
    if load8(data, i) | 32 == 101:
        i += 1
        if load8(data, i) == 43 or load8(data, i) == 45:
            i += 1
        first = i
        while i < end and 48 <= load8(data, i) <= 57:
            i += 1
        if i == first:
            return -1
    return i


@kernel("int64(uint8[::1], int64, int64, boolean)")
def skip_value(data, i, end, feed):
    """The place after the JSON value at i, or -1 if it is wrong or nested more than 64 deep.

    Args:
        data: bytes.
        i: the first byte of the value.
        end: where the bytes end.
        feed: whether a line feed is white space.
    """
    depth = 0
    objects = U(0)
    while i < end:
        c = load8(data, i)
        opened = False
        if c == 34:
            i, _ = _string(data, i + 1, end)
            if i < 0:
                return -1
            i += 1
        elif c == 123 or c == 91:
            if depth == MAX_DEPTH:
                return -1
            objects = objects << U(1) | U(c == 123)
            depth += 1
            opened = True
            i = _blank(data, i + 1, end, feed)
        elif (c == 116 and load32(data, i) == _TRUE) or (c == 110 and load32(data, i) == _NULL):
            i += 4
        elif c == 102 and load32(data, i + 1) == _ALSE:
            i += 5
        else:
            i = _number_end(data, i, end)
            if i < 0:
                return -1
        # After a value, or after an opening bracket: close what ends here, then stand before the next value.
        while True:
            if depth == 0:
                return i if i <= end else -1
            if not opened:
                i = _blank(data, i, end, feed)
            if i >= end:
                return -1
            inside_object = objects & U(1) != 0
            c = load8(data, i)
            if c == (125 if inside_object else 93):
                objects >>= U(1)
                depth -= 1
                opened = False
                i += 1
                continue
            if not opened:
                if c != 44:
                    return -1
                i = _blank(data, i + 1, end, feed)
            if inside_object:
                if i >= end or load8(data, i) != 34:
                    return -1
                i, _ = _string(data, i + 1, end)
                if i < 0:
                    return -1
                i = _blank(data, i + 1, end, feed)
                if i >= end or load8(data, i) != 58:
                    return -1
                i = _blank(data, i + 1, end, feed)
            break
    return -1


@kernel("int64(uint8[::1], int64, int64, int64[:, ::1])")
def split_array(data, start, end, spans):
    """Find the elements of the JSON array at data[start:end] (white space around it is fine).

    Args:
        data: bytes.
        start: first byte.
        end: one after the last.
        spans: out, [n, 2]: first byte and one after the last of each element; those beyond its room are only counted.

    Returns:
        The number of elements, or -1 - place where the text is no array.
    """
    i = _blank(data, start, end, True)
    if i >= end or load8(data, i) != 91:
        return -1 - i
    n = 0
    i = _blank(data, i + 1, end, True)
    if i < end and load8(data, i) == 93:
        i += 1
    else:
        while True:
            after = skip_value(data, i, end, True)
            if after < 0:
                return -1 - i
            if n < len(spans):
                spans[n, 0] = i
                spans[n, 1] = after
            n += 1
            i = _blank(data, after, end, True)
            if i >= end or (load8(data, i) != 44 and load8(data, i) != 93):
                return -1 - i
            i += 1
            if load8(data, i - 1) == 93:
                break
            i = _blank(data, i, end, True)
    i = _blank(data, i, end, True)
    return n if i >= end else -1 - i


@routine
def _unescape(data, i, close, side, at):
    """Write the text data[i:close] (checked before) without escapes to side[at:]; gives the place after it."""
    while i < close:
        if load8(data, i) != 92:
            # Text and side have room for what is copied too much.
            copy32(side, at, data, i)
            m = match2(data, i, np.uint8(92), np.uint8(92))
            n = min(trailing_zeros(m) if m != 0 else 32, close - i)
            at += n
            i += n
            continue
        c = load8(data, i + 1)
        i += 2
        if c == 110:
            side[at] = 10
        elif c == 116:
            side[at] = 9
        elif c == 114:
            side[at] = 13
        elif c == 98:
            side[at] = 8
        elif c == 102:
            side[at] = 12
        elif c != 117:
            side[at] = c
        else:
            x = _hex4(data, i)
            i += 4
            if 0xD800 <= x <= 0xDBFF:
                x = 0x10000 + ((x - 0xD800) << 10) + (_hex4(data, i + 2) - 0xDC00)
                i += 6
                side[at] = 0xF0 | x >> 18
                side[at + 1] = 0x80 | (x >> 12 & 63)
                side[at + 2] = 0x80 | (x >> 6 & 63)
                side[at + 3] = 0x80 | (x & 63)
                at += 4
                continue
            if x >= 0x800:
                side[at] = 0xE0 | x >> 12
                side[at + 1] = 0x80 | (x >> 6 & 63)
                side[at + 2] = 0x80 | (x & 63)
                at += 3
                continue
            if x >= 0x80:
                side[at] = 0xC0 | x >> 6
                side[at + 1] = 0x80 | (x & 63)
                at += 2
                continue
            side[at] = x
        at += 1
    return at


_ARRAYS = (
    "uint8[::1], int64[:, ::1], int64[::1], int64[:, ::1], uint8[::1], int64[::1], int64[::1], int64[::1], int64[::1], "
    "int64[:, ::1], uint64[:, :, ::1], uint8[:, ::1], int64[::1], int64[::1], int64[::1], uint8[::1], int64[:, ::1], "
    "uint64[:, ::1]"
)


@kernel(f"int64({_ARRAYS})")
def decode(
    data,
    spans,
    state,
    params,
    keys,
    koff,
    klen,
    table,
    follower,
    words,
    wide,
    valid,
    nulls,
    stamp,
    wanted,
    side,
    odd,
    powers,
):
    """Decode records until all are done or room is short; called again with more room it goes on where it stopped."""
    i = state[AT]
    row = state[ROW]
    by_span = state[SPANS] >= 0
    feed = by_span
    end = state[END]
    span = state[SPANS]
    n_wanted = state[WANTED]
    bare = state[BARE] != 0
    in_order = True
    # The day last read: most times of a stream are of the same.
    day_head = U(0)
    day_tail = np.uint32(0)
    day = -2_000_000_000
    while True:
        # ---- the next record
        if by_span:
            if span >= len(spans):
                state[AT], state[ROW], state[SPANS] = i, row, span
                return DONE
            i = spans[span, 0]
            end = spans[span, 1]
        else:
            i = _blank(data, i, end, False)
            if i >= end:
                state[AT], state[ROW] = i, row
                return DONE
            if load8(data, i) == 10:
                i += 1
                continue
        if state[ODD] >= len(odd) or row >= state[CAPACITY]:
            state[AT], state[ROW], state[SPANS] = i, row, span
            return MORE_ODD
        start = i
        side_start = state[SIDE]
        found = 0
        last = len(follower) - 1
        misses = 0
        seen = 0
        stamped = state[STAMP] + row
        ok = bare or load8(data, i) == 123
        if ok:
            if not bare:
                i = _blank(data, i + 1, end, feed)
            if not bare and load8(data, i) == 125:
                i += 1
            else:
                while True:
                    # ---- a key: the expected one, or any
                    if bare:
                        f = 0
                    else:
                        expected = follower[U(last)]
                        f = expected
                        seen += 1
                        if (
                            in_order
                            and f >= 0
                            and i + klen[U(f)] <= end
                            and same(data, i, keys, koff[U(f)], klen[U(f)])
                        ):
                            i += klen[U(f)]
                        else:
                            if load8(data, i) != 34:
                                ok = False
                                break
                            f = key_at(data, i, end, keys, koff, klen, table)
                            if f >= 0:
                                i += klen[U(f)]
                            else:
                                close, escaped = _string(data, i + 1, end)
                                if close < 0 or escaped:
                                    ok = False
                                    break
                                f = find_key(data, i + 1, close - i - 1, keys, koff, klen, table)
                                if f < 0:
                                    f = learn_key(data, i + 1, close - i - 1, -1 - f, keys, koff, klen, table, state)
                                i = close + 1
                            misses += f != expected
                            if f >= 0:
                                follower[U(last)] = f
                        if f >= 0:
                            last = f
                        if load8(data, i) != 58:
                            i = _blank(data, i, end, feed)
                            if load8(data, i) != 58:
                                ok = False
                                break
                        i += 1
                        if load8(data, i) <= 32:
                            i = _blank(data, i, end, feed)
                    if i >= end:
                        ok = False
                        break
                    # ---- a value
                    kind = params[U(f), KIND] if f >= 0 else SKIP
                    c = load8(data, i)
                    if kind == SKIP:
                        if c == 34:
                            i, escaped = _string(data, i + 1, end)
                            ok = i >= 0
                            i += 1
                        elif c - 48 <= 9:
                            first = i
                            i, negative, x, exponent, whole = read_number(data, i)
                            if i < 0:
                                i = skip_value(data, first, end, feed)
                            ok = i >= 0
                        else:
                            i = skip_value(data, i, end, feed)
                            ok = i >= 0
                        if not ok:
                            break
                    elif c == 110:
                        if load32(data, i) != _NULL:
                            ok = False
                            break
                        i += 4
                        if stamp[U(f)] == stamped:
                            stamp[U(f)] = 0
                            found -= 1
                    else:
                        slot = params[U(f), SLOT]
                        if stamp[U(f)] != stamped:
                            stamp[U(f)] = stamped
                            found += 1
                        if kind == TEXT or kind == BINARY:
                            first = i + 1
                            if c == 34:
                                i, escaped = _string(data, first, end)
                                if i < 0:
                                    ok = False
                                    break
                                if escaped:
                                    at = state[SIDE]
                                    if at + (i - first) + 64 > len(side):
                                        state[AT], state[ROW], state[SPANS], state[SIDE] = start, row, span, side_start
                                        return MORE_SIDE
                                    after = _unescape(data, first, i, side, at)
                                    n = after - at
                                    wide[U(slot), U(row), 0] = view_head(side, at, n)
                                    wide[U(slot), U(row), 1] = view_tail(side, at, n, state[SIDE_BUFFER])
                                    state[SIDE] = after
                                else:
                                    n = i - first
                                    wide[U(slot), U(row), 0] = view_head(data, first, n)
                                    wide[U(slot), U(row), 1] = view_tail(data, first, n, 0)
                                i += 1
                            elif kind == TEXT and c != 123 and c != 91:
                                first = i
                                i = skip_value(data, i, end, feed)
                                if i < 0:
                                    ok = False
                                    break
                                wide[U(slot), U(row), 0] = view_head(data, first, i - first)
                                wide[U(slot), U(row), 1] = view_tail(data, first, i - first, 0)
                            else:
                                ok = False
                                break
                        elif (
                            kind == INTEGER
                            or kind == DOUBLE
                            or kind == FLOAT
                            or kind == DECIMAL
                            or kind == WIDE_DECIMAL
                        ):
                            quoted = c == 34
                            i, negative, x, exponent, whole = read_number(data, i + quoted)
                            if i < 0:
                                ok = False
                                break
                            if quoted:
                                if load8(data, i) != 34:
                                    ok = False
                                    break
                                i += 1
                            if kind == INTEGER:
                                if not whole or x > U(params[U(f), B]) + U(negative):
                                    ok = False
                                    break
                                words[U(slot), U(row)] = -np.int64(x) if negative else np.int64(x)
                            elif kind == DECIMAL:
                                y = to_scaled(x, exponent, params[U(f), A], params[U(f), B])
                                if y < 0:
                                    ok = False
                                    break
                                words[U(slot), U(row)] = -y if negative else y
                            elif kind == WIDE_DECIMAL:
                                y = to_scaled(x, exponent, 18, params[U(f), B])
                                if y < 0:
                                    ok = False
                                    break
                                y = -y if negative else y
                                wide[U(slot), U(row), 0] = U(y)
                                wide[U(slot), U(row), 1] = U(y >> 63)
                            else:
                                v = to_double(x, exponent, powers)
                                if v != v:
                                    ok = False
                                    break
                                if kind == FLOAT:
                                    if v > 3.4028234663852886e38:
                                        ok = False
                                        break
                                    v = np.float64(np.float32(v))
                                words[U(slot), U(row)] = np.float64(-v if negative else v).view(np.int64)
                        elif kind == TIMESTAMP:
                            # A: separator, B: precision, C: 0 µs or 1 ns, +2 with a zone
                            t = i + 1
                            if load64(data, t) == day_head and load32(data, t + 7) == day_tail:
                                days = day
                            else:
                                days = read_date(data, t)
                                if days >= -1_000_000_000:
                                    day_head = load64(data, t)
                                    day_tail = load32(data, t + 7)
                                    day = days
                            clock = read_clock(data, t + 11)
                            if c != 34 or days < -1_000_000_000 or clock < 0 or load8(data, t + 10) != params[U(f), A]:
                                ok = False
                                break
                            i, nanos = read_fraction(data, t + 19, params[U(f), B])
                            if i < 0:
                                ok = False
                                break
                            if params[U(f), C] & 2:
                                if load8(data, i) != 90:
                                    ok = False
                                    break
                                i += 1
                            if load8(data, i) != 34:
                                ok = False
                                break
                            i += 1
                            seconds = days * 86400 + clock
                            if params[U(f), C] & 1:
                                if seconds < -9_223_372_036 or seconds > 9_223_372_035:
                                    ok = False
                                    break
                                words[U(slot), U(row)] = seconds * 1_000_000_000 + nanos
                            else:
                                words[U(slot), U(row)] = seconds * 1_000_000 + nanos // 1000
                        elif kind == BOOLEAN:
                            if c == 116 and load32(data, i) == _TRUE:
                                words[U(slot), U(row)] = 1
                                i += 4
                            elif c == 102 and load32(data, i + 1) == _ALSE:
                                words[U(slot), U(row)] = 0
                                i += 5
                            else:
                                ok = False
                                break
                        elif kind == DATE:
                            days = read_date(data, i + 1)
                            if c != 34 or days < -1_000_000_000 or load8(data, i + 11) != 34:
                                ok = False
                                break
                            words[U(slot), U(row)] = days
                            i += 12
                        elif kind == TIME:
                            clock = read_clock(data, i + 1)
                            if c != 34 or clock < 0:
                                ok = False
                                break
                            i, nanos = read_fraction(data, i + 9, params[U(f), B])
                            if i < 0 or load8(data, i) != 34:
                                ok = False
                                break
                            i += 1
                            words[U(slot), U(row)] = clock * 1_000_000_000 + nanos
                        else:  # RAW
                            first = i
                            i = skip_value(data, i, end, feed)
                            if i < 0:
                                ok = False
                                break
                            wide[U(slot), U(row), 0] = view_head(data, first, i - first)
                            wide[U(slot), U(row), 1] = view_tail(data, first, i - first, 0)
                    if bare:
                        break
                    # ---- what follows
                    c = load8(data, i)
                    if c <= 32:
                        i = _blank(data, i, end, feed)
                        c = load8(data, i)
                    i += 1
                    if c == 44:
                        if load8(data, i) <= 32:
                            i = _blank(data, i, end, feed)
                        continue
                    ok = c == 125
                    break
            if ok:
                if i < end and load8(data, i) <= 32:
                    i = _blank(data, i, end, feed)
                ok = i == end or (i < end and not by_span and load8(data, i) == 10)
        # Where keys come in any order, a guess that is mostly wrong costs more than the search.
        in_order = 2 * misses <= seen
        if ok and found != n_wanted:
            # ---- keys that are missing or NULL
            for j in range(n_wanted):
                f = wanted[j]
                if stamp[U(f)] != stamped:
                    if params[U(f), NOT_NULL] or state[FAIL_MISSING]:
                        ok = False
                        break
                    if nulls[j] == 0:
                        valid[j, :] = 1
                    nulls[j] += 1
                    valid[j, row] = 0
                    slot = params[U(f), SLOT]
                    kind = params[U(f), KIND]
                    if kind == TEXT or kind == BINARY or kind == RAW or kind == WIDE_DECIMAL:
                        wide[U(slot), U(row), 0] = 0
                        wide[U(slot), U(row), 1] = 0
                    else:
                        words[U(slot), U(row)] = 0
        if not ok:
            # ---- leave it to the exact path
            state[SIDE] = side_start
            if by_span:
                i = end
            else:
                i = start
                while i + 32 <= end:
                    m = match2(data, i, np.uint8(10), np.uint8(10))
                    if m != 0:
                        i += trailing_zeros(m)
                        break
                    i += 32
                while i < end and load8(data, i) != 10:
                    i += 1
            k = state[ODD]
            odd[k, 0] = start
            odd[k, 1] = i
            odd[k, 2] = row
            state[ODD] = k + 1
        row += 1
        if by_span:
            span += 1
        elif i < end:
            i += 1
