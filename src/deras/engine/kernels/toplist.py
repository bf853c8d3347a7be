"""Kernels of short lists: of each key the first N rows in order, where rows only come.

A key has ``3 + 2 * N`` cells from ``c`` (``3 + 3 * N`` with two prefixes): rows, scratch (-1), the prefix of the last
row, then N prefixes of the first column, N of the second if there are ``two``, and N rows, all in order. A row is its
place, or ``-1 - k`` for row k of the step: it is copied into state only if it is still listed when the step ends.
A row has one cell, ``s``: the id of its key.

What prefixes cannot tell (text, wide numbers, a third column, NULL against the least or greatest value) is compared in
full, from the rows in state and from the step's columns packed as keys are.
"""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,no-any-return"
# mypy: disable-error-code="operator,call-overload"

from __future__ import annotations

import numpy as np

from deras.core.jit import kernel, load8_at, prefetch, routine
from deras.engine.kernels.order import MAX, MIN, _is_null, _text_at, compare_text, float_order, prefix_of_null

DONE, ROOM, PACK = 0, 1, 2
"""Why :func:`merge` stops: it has seen all rows, has no room for old lists, or needs the packed columns."""
_UNKNOWN = np.int64(2)
_RO1 = "Array(int64, 1, 'C', readonly=True)"
_ROV = "Array(uint64, 2, 'C', readonly=True)"
_ROB = "Array(uint8, 1, 'C', readonly=True)"


@kernel(f"void({_ROV}, {_RO1}, {_ROB}, int64, int64, int64, int64[::1])")
def text_prefixes(views, bases, valid, address, descending, nulls_first, out):
    """The prefixes of texts that are not in segments yet: their first seven bytes. ``address``: of the views."""
    for k in range(len(views)):
        if len(valid) > 0 and valid[k] == 0:
            out[k] = prefix_of_null(nulls_first)
            continue
        length = np.int64(views[k, 0] & np.uint64(0xFFFFFFFF))
        ref = views[k, 1]
        at = address + 16 * k + 4
        if length > 12:
            at = bases[np.int64(ref & np.uint64(0xFFFFFFFF))] + np.int64(ref >> np.uint64(32))
        x = np.int64(0)
        for i in range(7):
            x = x << 8
            if i < length:
                x |= np.int64(load8_at(at + i))
        out[k] = ~x if descending == 1 else x


@routine
def _packed_text(packed, d, j, address):
    if packed[d, j] & 0xFFFFFFFF <= 12:
        return address + (d * packed.shape[1] + j) * 8 + 4
    return packed[d, j + 1]


@routine
def _compare(packed, places, address, k, rows, base, bases, orders, r):
    """Row k of the step with a listed row, by all columns: below 0, 0 or above 0."""
    held = r >= 0
    other = rows if held else packed
    order = orders if held else places
    b = r if held else -1 - r
    for o in range(len(orders)):
        i = places[o, 1]
        j = order[o, 1]
        null_a = _is_null(packed, k, places[o, 2], places[o, 3])
        null_b = _is_null(other, b, order[o, 2], order[o, 3])
        if null_a or null_b:
            if null_a and null_b:
                continue
            return np.int64(-1) if null_a == (orders[o, 5] == 1) else np.int64(1)
        kind = orders[o, 0]
        if kind == 0:
            x = np.int64(packed[k, i] > other[b, j]) - np.int64(packed[k, i] < other[b, j])
        elif kind == 3:
            u = float_order(packed[k, i])
            v = float_order(other[b, j])
            x = np.int64(u > v) - np.int64(u < v)
        elif kind == 1:
            x = np.int64(packed[k, i + 1] > other[b, j + 1]) - np.int64(packed[k, i + 1] < other[b, j + 1])
            if x == 0:
                low_a = np.uint64(packed[k, i])
                low_b = np.uint64(other[b, j])
                x = np.int64(low_a > low_b) - np.int64(low_a < low_b)
        else:
            text = _text_at(rows, b, j, base, bases) if held else _packed_text(packed, b, j, address)
            x = compare_text(
                _packed_text(packed, k, i, address), packed[k, i] & 0xFFFFFFFF, text, other[b, j] & 0xFFFFFFFF
            )
        if x != 0:
            return np.int64(-1 if (x < 0) != (orders[o, 4] == 1) else 1)
    return np.int64(0)


@routine
def _told(x, y, q, k, second, orders, packed, places, address, rows, base, bases, r):
    """What follows where the first prefixes are equal (x); y is the second of the listed row r."""
    n = len(orders)
    if n == 0:
        return np.int64(0)
    if (orders[0, 0] == 0 or orders[0, 0] == 3) and x != MIN and x != MAX:
        if n == 1:
            return np.int64(0)
        if second:
            if q[k] != y:
                return np.int64(-1) if q[k] < y else np.int64(1)
            if n == 2 and (orders[1, 0] == 0 or orders[1, 0] == 3) and y != MIN and y != MAX:
                return np.int64(0)
    if len(packed) == 0:
        return _UNKNOWN
    return _compare(packed, places, address, k, rows, base, bases, orders, r)


@kernel(
    f"int64(int64, {_RO1}, {_RO1}, {_RO1}, int64[:, ::1], int64[:, ::1], int64, int64[:, ::1], int64, {_RO1}, "
    "int64[:, ::1], int64[:, ::1], int64, int64, int64, int64[::1], int64[::1], int64[::1], int64[::1], int64[::1])"
)
def merge(
    start,
    ids,
    p,
    q,
    packed,
    places,
    address,
    rows,
    base,
    bases,
    orders,
    tab,
    c,
    size,
    latest,
    touched,
    first,
    starts,
    old,
    meta,
):
    """Rows from ``start`` on into the lists of their keys; gives the row where it stopped, why is ``meta[2]``.

    ``p``, ``q``: prefixes of the first and the second column; empty if there is none. ``packed``: the columns of the
    order as keys, ``places`` where they lie, ``address`` of it; empty if not made yet. ``touched``: keys whose list
    changes, in order of the first change (``meta[0]`` of them), ``first`` that row, ``starts`` where the list as it was
    begins in ``old`` (``meta[1]``: used).
    """
    n = len(ids)
    m = meta[0]
    used = meta[1]
    second = len(q) > 0
    row0 = c + 3 + (2 * size if second else size)
    meta[2] = DONE
    stop = n
    for k in range(start, n):
        if k + 12 < n:
            prefetch(tab, ids[k + 12])
        d = ids[k]
        count = tab[d, c]
        x = p[k] if len(p) > 0 else np.int64(0)
        if count == size and x > tab[d, c + 2]:
            continue
        j = count
        told = np.int64(0)
        while j > 0:
            other = tab[d, c + 2 + j]
            if x > other:
                break
            if x == other:
                y = tab[d, c + 2 + size + j] if second else np.int64(0)
                told = _told(
                    x, y, q, k, second, orders, packed, places, address, rows, base, bases, tab[d, row0 + j - 1]
                )
                if told > 0 or (told == 0 and latest == 0):
                    break
            j -= 1
        if told == _UNKNOWN:
            meta[2] = PACK
            stop = k
            break
        if j == size:
            continue
        if tab[d, c + 1] < 0:
            if used + count > len(old):
                meta[2] = ROOM
                stop = k
                break
            for i in range(count):
                old[used + i] = tab[d, row0 + i]
            touched[m] = d
            first[m] = k
            starts[m] = used
            tab[d, c + 1] = m
            m += 1
            used += count
        end = min(count, size - 1)
        for i in range(end, j, -1):
            tab[d, c + 3 + i] = tab[d, c + 2 + i]
            tab[d, row0 + i] = tab[d, row0 + i - 1]
        tab[d, c + 3 + j] = x
        tab[d, row0 + j] = -1 - k
        if second:
            for i in range(end, j, -1):
                tab[d, c + 3 + size + i] = tab[d, c + 2 + size + i]
            tab[d, c + 3 + size + j] = q[k]
        tab[d, c] = end + 1
        tab[d, c + 2] = tab[d, c + 3 + end]
    meta[0] = m
    meta[1] = used
    return stop


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64, int64, uint8[::1], int64[::1], int64[::1])")
def survivors(touched, tab, c, row0, n, marks, where, out):
    """Which of the ``n`` rows of the step are listed now, ascending; gives their number.

    ``marks``: zeros; ``where``: of each such row, the place in ``out``, which has room for one more than there are.
    """
    for i in range(len(touched)):
        if i + 8 < len(touched):
            prefetch(tab, touched[i + 8])
        d = touched[i]
        for j in range(tab[d, c]):
            r = tab[d, row0 + j]
            if r < 0:
                marks[-1 - r] = 1
    m = np.int64(0)
    for k in range(n):
        out[m] = k
        where[k] = m
        m += np.int64(marks[k])
    return m


@kernel(
    f"void({_RO1}, {_RO1}, {_RO1}, {_RO1}, {_RO1}, {_RO1}, int64, int64[:, ::1], int64, int64[:, ::1], int64, int64, "
    "int64, int64, int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1])"
)
def settle(
    touched, first, starts, old, where, new, used, rows, s, tab, c, row0, skip, shown, dead, out, ranks, signs, at,
    counts,
):  # fmt: skip
    """Lists name the rows where they lie now; gives what changed, key by key.

    Row k of the step lies at ``new[where[k]]``, or at ``new[k]`` where ``where`` is empty. ``at``: the row that changed
    the key first.
    ``skip``: ranks that are not shown; ``shown``: 2, with the rank: rank by rank, old then new; 1, rows alone: first
    those that leave; 0, nothing is told. ``dead``: rows that left the lists. counts[0] and counts[1]: their number,
    and that of the changes.
    """
    n = np.int64(0)
    g = np.int64(0)
    for t in range(len(touched)):
        if t + 8 < len(touched):
            prefetch(tab, touched[t + 8])
        d = touched[t]
        a = starts[t]
        before = (starts[t + 1] if t + 1 < len(touched) else used) - a
        count = tab[d, c]
        tab[d, c + 1] = -1
        # Rows are pushed out from the end: those that stay are the first of the old list.
        kept = np.int64(0)
        for j in range(count):
            kept += np.int64(tab[d, row0 + j] >= 0)
        for i in range(kept, before):
            dead[g] = old[a + i]
            g += 1
            if shown == 1 and i >= skip:
                out[n] = old[a + i]
                signs[n] = -1
                at[n] = first[t]
                n += 1
        i = np.int64(0)
        for j in range(count):
            r = tab[d, row0 + j]
            came = r < 0
            if came:
                r = new[where[-1 - r]] if len(where) > 0 else new[-1 - r]
                tab[d, row0 + j] = r
                rows[r, s] = d
            else:
                i += 1
            if j < skip or shown == 0:
                continue
            if shown == 1:
                if came or i <= skip:
                    out[n] = r
                    signs[n] = 1
                    at[n] = first[t]
                    n += 1
                continue
            if j < before:
                if old[a + j] == r and not came:
                    continue
                out[n] = old[a + j]
                ranks[n] = j + 1
                signs[n] = -1
                at[n] = first[t]
                n += 1
            out[n] = r
            ranks[n] = j + 1
            signs[n] = 1
            at[n] = first[t]
            n += 1
    counts[0] = g
    counts[1] = n


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64, int64, int64[::1], int64[::1], int64[::1])")
def listed(ids, tab, c, row0, skip, out, ranks, starts):
    """The rows of keys from rank ``skip + 1`` on, in order, with their ranks; gives their number.

    Key i's are out[starts[i]:starts[i + 1]].
    """
    n = np.int64(0)
    for k in range(len(ids)):
        if k + 8 < len(ids):
            prefetch(tab, ids[k + 8])
        starts[k] = n
        d = ids[k]
        for j in range(skip, tab[d, c]):
            out[n] = tab[d, row0 + j]
            ranks[n] = j + 1
            n += 1
    starts[len(ids)] = n
    return n


@kernel(f"void({_RO1}, {_RO1}, int64[:, ::1], int64, int64[:, ::1], int64, int64)")
def moved(old, new, rows, s, tab, c, row0):
    """Rows moved: their lists follow."""
    for k in range(len(old)):
        d = rows[new[k], s]
        for j in range(tab[d, c]):
            if tab[d, row0 + j] == old[k]:
                tab[d, row0 + j] = new[k]
                break
