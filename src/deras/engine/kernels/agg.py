"""Kernels of aggregate cells: take rows into the cells of their groups.

A group's row in the index table holds, from ``cell0`` on: [0] the step that touched it last << 32 | its place in that
step, [1] the weights of all its rows, then the cells of each aggregate, chosen by code:

====  ==================================================================================================
code  cells
====  ==================================================================================================
0     COUNT: the weights of rows that count
1     sum of words (wraps), count
2, 3  sum of words, of limbs: count, then 192 bits: low, middle, high (exact, so that retraction undoes it)
4     sum of floats: count of finite ones, sum and its error (a compensated pair), counts of NaN, +Inf, -Inf
5     as 4, then the pair of the squares, and the count of values too large to be squared
6     as 1, then the sum of squares (wraps)
8-11  MIN and MAX of words, MIN and MAX of floats (in a form that orders as words): flag, word
12-13 MIN and MAX of limbs: flag, low, high
14-15 FIRST and LAST of words: arrival number + 1, word
16-17 FIRST and LAST of limbs: arrival number + 1, low, high
====  ==================================================================================================
"""

# Numba is typed in part only.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,call-arg"

from __future__ import annotations

import numpy as np

from deras.core.jit import float_bits, helper, kernel, load8_at, load64_at, prefetch

COUNT, SUM_WORD, SUM_WIDE, SUM_WIDE_LIMBS, SUM_FLOAT, SUM_SQUARES, SUM_SQUARES_WORD = range(7)
MIN_WORD, MAX_WORD, MIN_FLOAT, MAX_FLOAT, MIN_LIMBS, MAX_LIMBS, FIRST_WORD, LAST_WORD, FIRST_LIMBS, LAST_LIMBS = range(
    8, 18
)
WIDTH = {0: 1, 1: 2, 2: 4, 3: 4, 4: 6, 5: 9, 6: 3, 8: 2, 9: 2, 10: 2, 11: 2, 12: 3, 13: 3, 14: 2, 15: 2, 16: 3, 17: 3}
"""Cells by code."""
HEAD = 2
"""Cells before those of the aggregates."""

_RO1 = "Array(int64, 1, 'C', readonly=True)"
_TOP = np.int64(0x7FFFFFFFFFFFFFFF)
_QUIET = np.int64(0x7FF8000000000000)
_SPLIT = 134217729.0
_ROOT = 1e150
_S32 = np.int64(32)
_BLOCK = 2048


@helper
def order_of_float(bits):
    """Bits of a double as a word that orders like it: -Inf … -0.0, 0.0 … Inf, NaN (all NaN are one)."""
    x = np.float64(float_bits(np.uint64(bits)))
    b = np.int64(bits)
    if x != x:
        b = _QUIET
    return b ^ ((b >> np.int64(63)) & _TOP)


@helper
def add_wide(tab, g, c, low, high, negative):
    """Add (or take away) a 128-bit number to the 192-bit sum in cells c, c + 1, c + 2."""
    b0 = np.uint64(low)
    b1 = np.uint64(high)
    b2 = np.uint64(high >> np.int64(63))
    if negative:
        b0 = ~b0
        b1 = ~b1
        b2 = ~b2
    carry = np.uint64(1) if negative else np.uint64(0)
    a = np.uint64(tab[g, c])
    s = a + b0
    k = np.uint64(1) if s < a else np.uint64(0)
    s2 = s + carry
    k += np.uint64(1) if s2 < s else np.uint64(0)
    tab[g, c] = np.int64(s2)
    a = np.uint64(tab[g, c + 1])
    s = a + b1
    k2 = np.uint64(1) if s < a else np.uint64(0)
    s2 = s + k
    k2 += np.uint64(1) if s2 < s else np.uint64(0)
    tab[g, c + 1] = np.int64(s2)
    tab[g, c + 2] = np.int64(np.uint64(tab[g, c + 2]) + b2 + k2)


@helper
def add_float(tab, g, c, x):
    """Add to the compensated pair in cells c and c + 1 (Neumaier's two-sum)."""
    s = np.float64(float_bits(np.uint64(tab[g, c])))
    e = float_bits(np.uint64(tab[g, c + 1]))
    t = s + x
    b = t - s
    d = (s - (t - b)) + (x - b)
    if np.isfinite(t):
        e += d
    else:
        e = 0.0
    tab[g, c] = np.float64(t).view(np.int64)
    tab[g, c + 1] = np.float64(e).view(np.int64)


@helper
def add_square(tab, g, c, x, sign):
    """Add x * x with its rounding error (Dekker's product) to the pair in cells c and c + 1."""
    p = x * x
    h = x * _SPLIT
    h = h - (h - x)
    low = x - h
    e = ((h * h - p) + 2.0 * h * low) + low * low
    add_float(tab, g, c, sign * p)
    if np.isfinite(e):
        add_float(tab, g, c, sign * e)


@helper
def take_float(tab, g, c, x, w, squares):
    """One finite or special value, w times."""
    if np.isfinite(x):
        n = tab[g, c] + w
        tab[g, c] = n
        if n == 0:
            tab[g, c + 1] = 0
            tab[g, c + 2] = 0
            if squares:
                for j in range(6, 9):
                    tab[g, c + j] = 0
            return
        sign = 1.0 if w > 0 else -1.0
        for _ in range(abs(w)):
            add_float(tab, g, c + 1, sign * x)
            if squares and abs(x) < _ROOT:
                add_square(tab, g, c + 6, x, sign)
        if squares and abs(x) >= _ROOT:
            tab[g, c + 8] += w
    elif x != x:
        tab[g, c + 3] += w
    elif x > 0:
        tab[g, c + 4] += w
    else:
        tab[g, c + 5] += w


@helper
def less_limbs(low_a, high_a, low_b, high_b):
    """Whether one 128-bit number is below another."""
    return high_a < high_b or (high_a == high_b and np.uint64(low_a) < np.uint64(low_b))


@helper
def take(tab, g, c, code, address, r, w, arrival):
    """Take one value into the cells of one aggregate."""
    if code == 0:
        tab[g, c] += w
        return
    if code == 3 or code == 12 or code == 13 or code >= 16:
        low = np.int64(load64_at(address + 16 * r))
        high = np.int64(load64_at(address + 16 * r + 8))
        if code == 3:
            tab[g, c] += w
            for _ in range(abs(w)):
                add_wide(tab, g, c + 1, low, high, w < 0)
        elif code == 12 or code == 13:
            old_low = tab[g, c + 1]
            old_high = tab[g, c + 2]
            if (
                tab[g, c] == 0
                or (code == 12 and less_limbs(low, high, old_low, old_high))
                or (code == 13 and less_limbs(old_low, old_high, low, high))
            ):
                tab[g, c] = 1
                tab[g, c + 1] = low
                tab[g, c + 2] = high
        elif code == 17 or tab[g, c] == 0:
            tab[g, c] = arrival + 1
            tab[g, c + 1] = low
            tab[g, c + 2] = high
        return
    x = np.int64(load64_at(address + 8 * r))
    if code == 1:
        tab[g, c] += w * x
        tab[g, c + 1] += w
    elif code == 2:
        tab[g, c] += w
        for _ in range(abs(w)):
            add_wide(tab, g, c + 1, x, x >> np.int64(63), w < 0)
    elif code == 4:
        take_float(tab, g, c, float_bits(np.uint64(x)), w, False)
    elif code == 5:
        take_float(tab, g, c, float_bits(np.uint64(x)), w, True)
    elif code == 6:
        tab[g, c] += w * x
        tab[g, c + 1] += w
        tab[g, c + 2] += w * x * x
    elif code <= 11:
        if code >= 10:
            x = order_of_float(x)
        old = tab[g, c + 1]
        if tab[g, c] == 0 or (x < old if (code & 1) == 0 else x > old):
            tab[g, c] = 1
            tab[g, c + 1] = x
    elif code == 15 or tab[g, c] == 0:
        tab[g, c] = arrival + 1
        tab[g, c + 1] = x


@kernel(
    f"int64(int64[::1], {_RO1}, int64[:, ::1], int64, int64, int64, int64[::1], int64[::1], int64[:, ::1])",
)
def touch(ids, weights, tab, cell0, cells, stamp, touched, first, old):
    """Find the groups of a step in order of first touch, copy their cells (if ``old`` has rows), count their weights.

    Args:
        ids: the group of each row.
        weights: of each row; empty if all are 1.
        tab: the index table.
        cell0: first cell in a row of it.
        cells: cells of a group.
        stamp: number of this step, greater than any before.
        touched: ids, filled.
        first: each one's first row, filled.
        old: int64[n or 0, cells], filled with the cells before.

    Returns:
        The number of touched groups.
    """
    n = len(ids)
    m = 0
    has = len(weights) > 0
    keep = old.shape[0] > 0
    for r in range(n):
        if r + 12 < n:
            prefetch(tab, ids[r + 12])
        g = ids[r]
        if (tab[g, cell0] >> _S32) != stamp:
            if keep:
                for j in range(cells):
                    old[m, j] = tab[g, cell0 + j]
            tab[g, cell0] = (stamp << _S32) | np.int64(m)
            touched[m] = g
            first[m] = r
            m += 1
        tab[g, cell0 + 1] += weights[r] if has else 1
    return m


@kernel(f"void(int64[::1], {_RO1}, int64[:, ::1], int64, int64[:, ::1], int64[:, ::1], int64)")
def accumulate(ids, weights, tab, cell0, ops, addresses, arrival):
    """Take all rows into the cells of all aggregates, block by block, so that a block's groups stay in the cache.

    Args:
        ids: the group of each row.
        weights: of each row; empty if all are 1.
        tab: the index table.
        cell0: first cell in a row of it.
        ops: int64[k, 2]: code and cell (from ``cell0``) of each aggregate.
        addresses: int64[k, 2]: of the argument's words, of its mask (uint8, 1 = take) or 0.
        arrival: number of the first row among all rows ever.
    """
    n = len(ids)
    has = len(weights) > 0
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        for r in range(start, stop):
            prefetch(tab, ids[r])
        for i in range(len(ops)):
            code = ops[i, 0]
            c = cell0 + ops[i, 1]
            words = addresses[i, 0]
            mask = addresses[i, 1]
            if code == 0:
                if mask == 0:
                    for r in range(start, stop):
                        tab[ids[r], c] += weights[r] if has else np.int64(1)
                else:
                    for r in range(start, stop):
                        w = weights[r] if has else np.int64(1)
                        tab[ids[r], c] += w * np.int64(load8_at(mask + r) != 0)
            elif code == 1:
                for r in range(start, stop):
                    w = weights[r] if has else np.int64(1)
                    if mask != 0:
                        w *= np.int64(load8_at(mask + r) != 0)
                    g = ids[r]
                    tab[g, c] += w * np.int64(load64_at(words + 8 * r))
                    tab[g, c + 1] += w
            elif code == 8 or code == 9:
                for r in range(start, stop):
                    if mask != 0 and load8_at(mask + r) == 0:
                        continue
                    g = ids[r]
                    x = np.int64(load64_at(words + 8 * r))
                    old = tab[g, c + 1]
                    if tab[g, c] == 0 or (x < old if code == 8 else x > old):
                        tab[g, c] = 1
                        tab[g, c + 1] = x
            else:
                for r in range(start, stop):
                    if mask == 0 or load8_at(mask + r) != 0:
                        take(tab, ids[r], c, code, words, r, weights[r] if has else np.int64(1), arrival + r)


@kernel(f"void(int64[::1], int64[::1], {_RO1}, int64[:, ::1], int64, int64[:, ::1], int64[:, ::1], int64)")
def accumulate_runs(starts, owners, weights, tab, cell0, ops, addresses, arrival):
    """As :func:`accumulate`, for rows in runs of one group each.

    Args:
        starts: the first row of each run, and at last the number of rows.
        owners: the group of each run.
        weights: of each row; empty if all are 1.
        tab: the index table.
        cell0: first cell in a row of it.
        ops: as there.
        addresses: as there.
        arrival: as there.
    """
    has = len(weights) > 0
    for q in range(len(owners)):
        g = owners[q]
        a = starts[q]
        b = starts[q + 1]
        for i in range(len(ops)):
            code = ops[i, 0]
            c = cell0 + ops[i, 1]
            words = addresses[i, 0]
            mask = addresses[i, 1]
            if code <= 1:
                total = np.int64(0)
                number = np.int64(0)
                if code == 0 and mask == 0 and not has:
                    number = b - a
                elif code == 0:
                    for r in range(a, b):
                        w = weights[r] if has else np.int64(1)
                        number += w if mask == 0 else w * np.int64(load8_at(mask + r) != 0)
                else:
                    for r in range(a, b):
                        w = weights[r] if has else np.int64(1)
                        if mask != 0:
                            w *= np.int64(load8_at(mask + r) != 0)
                        total += w * np.int64(load64_at(words + 8 * r))
                        number += w
                if code == 0:
                    tab[g, c] += number
                else:
                    tab[g, c] += total
                    tab[g, c + 1] += number
            elif code == 8 or code == 9:
                flip = np.int64(-1) if code == 9 else np.int64(0)
                there = tab[g, c] != 0
                # The bits of x turned over order the other way round: the least of them is the greatest x.
                best = tab[g, c + 1] ^ flip
                for r in range(a, b):
                    if mask == 0 or load8_at(mask + r) != 0:
                        x = np.int64(load64_at(words + 8 * r)) ^ flip
                        if not there or x < best:
                            best = x
                            there = True
                if there:
                    tab[g, c] = 1
                    tab[g, c + 1] = best ^ flip
            else:
                for r in range(a, b):
                    if mask == 0 or load8_at(mask + r) != 0:
                        take(tab, g, c, code, words, r, weights[r] if has else np.int64(1), arrival + r)


@kernel("void(int64[::1], int64[::1], int64[::1], int64[::1], int64[:, ::1], int64, int64[:, ::1], int64[::1], int64)")
def accumulate_hits(hits, came, went, ids, tab, cell0, ops, words, arrival):
    """Take the rows whose values came or went into the cells of the aggregates of distinct values.

    Args:
        hits: the rows.
        came: a bit for each filter for which the row's value came.
        went: and for which it went; empty: none does.
        ids: the group of each row of the step.
        tab: the index table.
        cell0: first cell in a row of it.
        ops: int64[k, 3]: code, cell, number of the filter.
        words: int64[k]: address of the argument's words.
        arrival: number of the first row among all rows ever.
    """
    both = len(went) > 0
    n = len(hits)
    for h in range(n):
        if h + 12 < n:
            prefetch(tab, ids[hits[h + 12]])
        r = hits[h]
        g = ids[r]
        for i in range(len(ops)):
            v = (came[h] >> ops[i, 2]) & np.int64(1)
            if both:
                v -= (went[h] >> ops[i, 2]) & np.int64(1)
            if ops[i, 0] == 0:
                tab[g, cell0 + ops[i, 1]] += v
            elif v != 0:
                take(tab, g, cell0 + ops[i, 1], ops[i, 0], words[i], r, v, arrival + r)


@kernel("void(int64[::1], int64[::1], int64[:, ::1], int64, int64[::1])")
def cell_of(ids, rows, tab, c, out):
    """One cell of each row's group; ``rows``: positions in ``ids``, empty for all."""
    if len(rows):
        for k in range(len(rows)):
            out[k] = tab[ids[rows[k]], c]
    else:
        for k in range(len(ids)):
            out[k] = tab[ids[k], c]


@kernel("void(int64[::1], int64[:, ::1], int64, int64, int64[:, ::1])")
def copy_cells(ids, tab, cell0, cells, out):
    """The cells of some groups."""
    n = len(ids)
    for k in range(n):
        if k + 12 < n:
            prefetch(tab, ids[k + 12])
        g = ids[k]
        for j in range(cells):
            out[k, j] = tab[g, cell0 + j]
