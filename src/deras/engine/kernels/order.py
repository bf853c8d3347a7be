"""Kernels that compare rows of segments by some of their columns.

``orders`` is int64[n, 6], a row per column: kind (0 word, 1 limbs, 2 text, 3 float), first word, NULL mask word or -1,
bit in it, 1 if descending, 1 if NULLs come first. ``base`` is the address of the rows' array, ``bases`` the addresses
of the text chunks. The prefix of a row is a word that orders as the first column does, as far as a word can tell.
"""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,no-any-return"
# mypy: disable-error-code="operator,call-overload"

from __future__ import annotations

import numpy as np

from deras.core.jit import helper, kernel, load8_at, routine

MAX = np.int64((1 << 63) - 1)
MIN = np.int64(-(1 << 63))
_INF = np.int64(0x7FF0000000000000)
_LOW = np.uint64(0xFFFFFFFF)
_S32 = np.uint64(32)
_ONE = np.uint64(1)
_RO1 = "Array(int64, 1, 'C', readonly=True)"
_ROB = "Array(uint8, 1, 'C', readonly=True)"


@helper
def float_order(bits):
    """The bits of a DOUBLE as a word that orders as the values do: NaN last, both zeros equal."""
    if (bits & MAX) > _INF:
        return MAX
    if bits == MIN:
        return np.int64(0)
    return bits ^ ((bits >> 63) & MAX)


@helper
def _is_null(rows, d, mask, bit):
    return mask >= 0 and (np.uint64(rows[d, mask]) >> np.uint64(bit)) & _ONE != 0


@helper
def _text_at(rows, d, j, base, bases):
    length = rows[d, j] & 0xFFFFFFFF
    if length <= 12:
        return base + (d * rows.shape[1] + j) * 8 + 4
    ref = np.uint64(rows[d, j + 1])
    return bases[np.int64(ref & _LOW)] + np.int64(ref >> _S32)


@routine
def compare_text(a, la, b, lb):
    """Bytes at two addresses: below 0, 0 or above 0."""
    for i in range(min(la, lb)):
        x = np.int64(load8_at(a + i))
        y = np.int64(load8_at(b + i))
        if x != y:
            return x - y
    return la - lb


@routine
def compare(rows, base, bases, orders, a, b):
    """Two rows by all the columns: below 0, 0 or above 0."""
    for o in range(len(orders)):
        j = orders[o, 1]
        null_a = _is_null(rows, a, orders[o, 2], orders[o, 3])
        null_b = _is_null(rows, b, orders[o, 2], orders[o, 3])
        if null_a or null_b:
            if null_a and null_b:
                continue
            return np.int64(-1) if null_a == (orders[o, 5] == 1) else np.int64(1)
        kind = orders[o, 0]
        x = np.int64(0)
        if kind == 0:
            x = np.int64(rows[a, j] > rows[b, j]) - np.int64(rows[a, j] < rows[b, j])
        elif kind == 3:
            u = float_order(rows[a, j])
            v = float_order(rows[b, j])
            x = np.int64(u > v) - np.int64(u < v)
        elif kind == 1:
            x = np.int64(rows[a, j + 1] > rows[b, j + 1]) - np.int64(rows[a, j + 1] < rows[b, j + 1])
            if x == 0:
                low_a = np.uint64(rows[a, j])
                low_b = np.uint64(rows[b, j])
                x = np.int64(low_a > low_b) - np.int64(low_a < low_b)
        else:
            x = compare_text(
                _text_at(rows, a, j, base, bases),
                rows[a, j] & 0xFFFFFFFF,
                _text_at(rows, b, j, base, bases),
                rows[b, j] & 0xFFFFFFFF,
            )
        if x != 0:
            return -x if orders[o, 4] == 1 else x
    return np.int64(0)


@helper
def prefix_of_null(nulls_first):
    """The prefix of NULL."""
    return MIN if nulls_first == 1 else MAX


@routine
def row_prefix(rows, base, bases, orders, d):
    """The prefix of a row."""
    if len(orders) == 0:
        return np.int64(0)
    if _is_null(rows, d, orders[0, 2], orders[0, 3]):
        return prefix_of_null(orders[0, 5])
    j = orders[0, 1]
    kind = orders[0, 0]
    x = rows[d, j]
    if kind == 3:
        x = float_order(x)
    elif kind == 1:
        x = rows[d, j + 1]
    elif kind == 2:
        length = rows[d, j] & 0xFFFFFFFF
        at = _text_at(rows, d, j, base, bases)
        x = np.int64(0)
        for i in range(7):
            x = x << 8
            if i < length:
                x |= np.int64(load8_at(at + i))
    return ~x if orders[0, 4] == 1 else x


@kernel(f"void({_RO1}, {_ROB}, int64, int64, int64, int64[::1])")
def prefixes(words, valid, kind, descending, nulls_first, out):
    """The prefixes of rows that are not in segments yet, of a first column of words (kind 0) or floats (3)."""
    for k in range(len(words)):
        if len(valid) > 0 and valid[k] == 0:
            out[k] = prefix_of_null(nulls_first)
            continue
        x = words[k]
        if kind == 3:
            x = float_order(x)
        out[k] = ~x if descending == 1 else x


@kernel(f"void(int64[::1], int64[::1], int64[:, ::1], int64, int64, {_RO1}, int64[:, ::1])")
def sort(ids, scratch, rows, birth, base, bases, orders):
    """Rows by the columns, ties by birth, in place (merge sort from runs of one)."""
    n = len(ids)
    width = np.int64(1)
    a, b = ids, scratch
    while width < n:
        for start in range(0, n, 2 * width):
            mid = min(start + width, n)
            end = min(mid + width, n)
            i = start
            j = mid
            for k in range(start, end):
                if i < mid and j < end:
                    x = compare(rows, base, bases, orders, a[i], a[j])
                    left = x < 0 or (x == 0 and rows[a[i], birth] < rows[a[j], birth])
                else:
                    left = i < mid
                if left:
                    b[k] = a[i]
                    i += 1
                else:
                    b[k] = a[j]
                    j += 1
        a, b = b, a
        width *= 2
    if width > 1:
        # After an odd number of passes the result lies in the scratch.
        passes = 0
        w = np.int64(1)
        while w < n:
            passes += 1
            w *= 2
        if passes % 2 == 1:
            for k in range(n):
                ids[k] = scratch[k]
