"""Kernels that turn cells into results: a row of cells per group in, words and validity out."""

# Numba is typed in part only.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,call-arg"

from __future__ import annotations

import math

import numpy as np

from deras.core.jit import float_bits, helper, kernel, prefetch

_LOW = np.uint64(0xFFFFFFFF)
_S32 = np.uint64(32)
_MAX_HIGH, _MAX_LOW = np.uint64(0x4B3B4CA85A86C47A), np.uint64(0x098A224000000000)  # 10 ** 38
_SPLIT = 134217729.0
_TOP = np.int64(0x7FFFFFFFFFFFFFFF)


@helper
def wrap(x, bits):
    """The lowest bits of an integer, with sign."""
    s = np.int64(64 - bits)
    return (x << s) >> s


@helper
def quotient(a, b):
    """Integer division towards zero; ``b`` > 0."""
    q = a // b
    if q < 0 and q * b != a:
        q += 1
    return q


@helper
def too_wide(low, middle):
    """Whether an unsigned 128-bit number is 10 ** 38 or more."""
    return middle > _MAX_HIGH or (middle == _MAX_HIGH and low >= _MAX_LOW)


@helper
def word_of(cells, k, c, kind, bits):
    """The result of words from row k of cells, and whether there is one; arguments as in :func:`final_words`."""
    x = cells[k, c]
    ok = True
    if kind == 1:
        ok = cells[k, c + 1] > 0
        x = wrap(x, bits)
    elif kind == 2:
        n = cells[k, c + 1]
        ok = n > 0
        x = wrap(quotient(x, n), bits) if ok else np.int64(0)
    elif kind == 3:
        ok = x != 0
        x = cells[k, c + 1]
    elif kind == 4:
        ok = x != 0
        x = cells[k, c + 1]
        x ^= (x >> np.int64(63)) & _TOP
    elif kind >= 5:
        n = cells[k, c + 1]
        m = n - 1 if kind == 6 or kind == 8 else n
        ok = m > 0
        if ok:
            # The exact quotient cut, as Flink cuts its DOUBLE: what x * x leaves over n is below one.
            square = x * x
            whole = quotient(square, n)
            over = np.int64(1) if square - whole * n > 0 else np.int64(0)
            x = quotient(cells[k, c + 2] - whole - over, m)
            if kind >= 7:
                x = np.int64(math.sqrt(np.float64(x))) if x >= 0 else np.int64(0)
            x = wrap(x, bits)
    return x, ok


@kernel("void(int64[:, ::1], int64[::1], int64[:, ::1], int64[:, ::1], uint8[:, ::1], int64[::1])")
def final_words(cells, rows, plan, out, valid, nulls):
    """Results of words, all aggregates of a row at once.

    Args:
        cells: int64[n, cells].
        rows: those wanted.
        plan: int64[k, 3]: by aggregate its first cell, what it is, and the width of its result in bits. 0 COUNT, 1 SUM,
            2 AVG, 3 MIN or MAX or FIRST or LAST, 4 the same of floats that order as words, 5 VAR_POP, 6 VAR_SAMP,
            7 STDDEV_POP, 8 STDDEV_SAMP (integer arithmetic, as Flink does it).
        out: int64[k, len(rows)], filled.
        valid: uint8[k, len(rows)], filled.
        nulls: int64[k], zeros; the number of results that are NULL is added.
    """
    for p in range(len(rows)):
        k = rows[p]
        for i in range(len(plan)):
            x, ok = word_of(cells, k, plan[i, 0], plan[i, 1], plan[i, 2])
            out[i, p] = x
            valid[i, p] = ok
            if not ok:
                nulls[i] += 1


@kernel("void(int64[:, ::1], int64, boolean, int64, int64[:, ::1], uint8[::1])")
def final_limbs(cells, c, average, up, out, valid):
    """SUM and AVG of DECIMAL from 192-bit sums: exact, HALF_UP, NULL where 38 digits do not hold it.

    Args:
        cells: int64[n, cells].
        c: first cell of the aggregate.
        average: divide by the count.
        up: factor (a power of ten) by which the result's scale is finer than the sum's.
        out: int64[n, 2], filled with low and high.
        valid: uint8[n], filled.
    """
    digits = np.empty(8, np.uint64)
    for k in range(len(cells)):
        n = cells[k, c]
        valid[k] = n > 0
        out[k, 0] = 0
        out[k, 1] = 0
        if n <= 0:
            continue
        a0 = np.uint64(cells[k, c + 1])
        a1 = np.uint64(cells[k, c + 2])
        a2 = np.uint64(cells[k, c + 3])
        negative = cells[k, c + 3] < 0
        if negative:
            a0 = ~a0 + np.uint64(1)
            carry = np.uint64(1) if a0 == np.uint64(0) else np.uint64(0)
            a1 = ~a1 + carry
            carry = np.uint64(1) if carry != np.uint64(0) and a1 == np.uint64(0) else np.uint64(0)
            a2 = ~a2 + carry
        if average:
            digits[0] = a0 & _LOW
            digits[1] = a0 >> _S32
            digits[2] = a1 & _LOW
            digits[3] = a1 >> _S32
            digits[4] = a2 & _LOW
            digits[5] = a2 >> _S32
            digits[6] = 0
            digits[7] = 0
            carry = np.uint64(0)
            for i in range(8):
                x = digits[i] * np.uint64(up) + carry
                digits[i] = x & _LOW
                carry = x >> _S32
            rest = np.uint64(0)
            d = np.uint64(n)
            if n < 1 << 31:
                for i in range(7, -1, -1):
                    x = (rest << _S32) | digits[i]
                    digits[i] = x // d
                    rest = x - digits[i] * d
            else:
                for i in range(7, -1, -1):
                    q = np.uint64(0)
                    for b in range(31, -1, -1):
                        rest = (rest << np.uint64(1)) | ((digits[i] >> np.uint64(b)) & np.uint64(1))
                        q <<= np.uint64(1)
                        if rest >= d:
                            rest -= d
                            q |= np.uint64(1)
                    digits[i] = q
            if rest >= d - rest:
                for i in range(8):
                    digits[i] = (digits[i] + np.uint64(1)) & _LOW
                    if digits[i] != np.uint64(0):
                        break
            a0 = digits[0] | (digits[1] << _S32)
            a1 = digits[2] | (digits[3] << _S32)
            a2 = digits[4] | digits[5] | digits[6] | digits[7]
        if a2 != np.uint64(0) or too_wide(a0, a1):
            valid[k] = 0
            continue
        if negative:
            a0 = ~a0 + np.uint64(1)
            a1 = ~a1 + (np.uint64(1) if a0 == np.uint64(0) else np.uint64(0))
        out[k, 0] = np.int64(a0)
        out[k, 1] = np.int64(a1)


@helper
def product(a, b):
    """A * b and its rounding error (Dekker)."""
    p = a * b
    h = a * _SPLIT
    ah = h - (h - a)
    al = a - ah
    h = b * _SPLIT
    bh = h - (h - b)
    bl = b - bh
    e = ((ah * bh - p) + ah * bl + al * bh) + al * bl
    return p, e


@helper
def renormal(s, e):
    """The same sum as a pair whose second part is the rounding error of the first."""
    t = s + e
    b = t - s
    return t, (s - (t - b)) + (e - b)


@kernel("void(int64[:, ::1], int64, int64, float64[::1], uint8[::1])")
def final_floats(cells, c, kind, out, valid):
    """Results of floats: 1 SUM, 2 AVG, 5 VAR_POP, 6 VAR_SAMP, 7 STDDEV_POP, 8 STDDEV_SAMP. Arguments as elsewhere.

    The variance is (n Q - S²) / (n m) in compensated arithmetic, S the sum, Q the sum of squares, m = n or n - 1.
    """
    for k in range(len(cells)):
        n = cells[k, c] + cells[k, c + 3] + cells[k, c + 4] + cells[k, c + 5]
        m = n - 1 if kind == 6 or kind == 8 else n
        valid[k] = m > 0
        out[k] = 0.0
        if m <= 0:
            continue
        s = np.float64(float_bits(np.uint64(cells[k, c + 1])))
        e = float_bits(np.uint64(cells[k, c + 2]))
        nan = cells[k, c + 3] > 0
        up = cells[k, c + 4] > 0
        down = cells[k, c + 5] > 0
        if nan or (up and down) or ((up or down) and kind >= 5):
            out[k] = np.nan
        elif up or down:
            out[k] = np.inf if up else -np.inf
        elif kind <= 2:
            out[k] = s + e if kind == 1 else (s + e) / n
        elif cells[k, c + 8] > 0:
            out[k] = np.inf
        else:
            q = float_bits(np.uint64(cells[k, c + 6]))
            qe = float_bits(np.uint64(cells[k, c + 7]))
            f = np.float64(n)
            # After a cancellation the error may be the greater part of a pair.
            s, e = renormal(s, e)
            q, qe = renormal(q, qe)
            a, ae = product(f, q)
            b, be = product(s, s)
            x = (a - b) + ((ae + f * qe) - (be + 2.0 * s * e))
            x = max(x, 0.0) / (f * np.float64(m))
            out[k] = math.sqrt(x) if kind >= 7 else x


@kernel("void(int64[:, ::1], int64, int64[:, ::1], uint8[::1])")
def final_pair(cells, c, out, valid):
    """MIN, MAX, FIRST and LAST of limbs."""
    for k in range(len(cells)):
        valid[k] = cells[k, c] != 0
        out[k, 0] = cells[k, c + 1]
        out[k, 1] = cells[k, c + 2]


@kernel("void(int64[:, ::1], uint8[::1], int64, uint8[::1])")
def differ(words, valid, m, out):
    """Where row k and row m + k of a result are not the same, by bits: ``out`` is set to 1."""
    width = words.shape[1]
    for k in range(m):
        a = valid[k]
        if a != valid[m + k]:
            out[k] = 1
        elif a:
            for j in range(width):
                if words[k, j] != words[m + k, j]:
                    out[k] = 1


@kernel(
    "int64(int64[::1], int64[:, ::1], int64[:, ::1], int64, int64[:, ::1], uint8[::1], boolean, int64[::1], int64[::1],"
    " int64[::1], int64[:, ::1], uint8[:, ::1], int64[::1])"
)
def emit(ids, old, tab, cell0, plan, changed, always, places, rows, weights, out, valid, nulls):
    """The changes of touched groups: the old row goes, the new one comes, where they differ.

    Args:
        ids: the groups.
        old: int64[m, cells]: their cells before the step.
        tab: table of the groups.
        cell0: first cell in a row of it.
        plan: the aggregates whose results are words, as in :func:`final_words`.
        changed: 1 where another result changed; empty: there are no others.
        always: also where nothing changed.
        places: int64[2 * m], filled with the group's place, one per change.
        rows: int64[2 * m], filled with the place of the old row, or m more for the new one.
        weights: int64[2 * m], filled with -1 and 1.
        out: int64[k, 2 * m], filled with the results of words.
        valid: uint8[k, 2 * m], filled.
        nulls: int64[k], zeros; made greater than 0 where a result may be NULL.

    Returns:
        The number of changes.
    """
    m = len(ids)
    n = 0
    others = len(changed) > 0
    for k in range(m):
        if k + 12 < m:
            prefetch(tab, ids[k + 12])
        g = ids[k]
        was = old[k, 1] > 0
        now = tab[g, cell0 + 1] > 0
        # Written at the end of what there is, and left there if it counts.
        differ = always or was != now or (others and changed[k] != 0)
        at = n + 1 if was else n
        for i in range(len(plan)):
            x = np.int64(0)
            y = np.int64(0)
            a = True
            b = True
            if was:
                x, a = word_of(old, k, plan[i, 0], plan[i, 1], plan[i, 2])
                out[i, n] = x
                valid[i, n] = a
            if now:
                y, b = word_of(tab, g, cell0 + plan[i, 0], plan[i, 1], plan[i, 2])
                out[i, at] = y
                valid[i, at] = b
            if a != b or (a and x != y):
                differ = True
            if not (a and b):
                nulls[i] = 1
        if not differ:
            continue
        if was:
            places[n] = k
            rows[n] = k
            weights[n] = -1
            n += 1
        if now:
            places[n] = k
            rows[n] = m + k
            weights[n] = 1
            n += 1
    return n
