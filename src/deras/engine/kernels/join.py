"""Kernels of rows linked by key: doubly linked lists in arrival order, and the probe of a join.

An index id has three cells from ``c``: first row, last row (-1: none), number of rows. A row has three cells
from ``s``: the index id, next row, previous row.
"""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,no-any-return"

from __future__ import annotations

import numpy as np

from deras.core.jit import helper, kernel, prefetch

_RO1 = "Array(int64, 1, 'C', readonly=True)"


@helper
def _link(rows, s, r, tab, c, d):
    last = tab[d, c + 1]
    rows[r, s] = d
    rows[r, s + 1] = -1
    rows[r, s + 2] = last
    if last < 0:
        tab[d, c] = r
    else:
        rows[last, s + 1] = r
    tab[d, c + 1] = r
    tab[d, c + 2] += 1


@helper
def _unlink(rows, s, r, tab, c):
    d = rows[r, s]
    after = rows[r, s + 1]
    before = rows[r, s + 2]
    if before < 0:
        tab[d, c] = after
    else:
        rows[before, s + 1] = after
    if after < 0:
        tab[d, c + 1] = before
    else:
        rows[after, s + 2] = before
    tab[d, c + 2] -= 1


@kernel(f"void({_RO1}, {_RO1}, int64[:, ::1], int64, int64[:, ::1], int64)")
def link(ids, new, rows, s, tab, c):
    """Append new rows to the lists of their ids."""
    for k in range(len(ids)):
        if k + 8 < len(ids):
            prefetch(tab, ids[k + 8])
        _link(rows, s, new[k], tab, c, ids[k])


@kernel(
    f"int64({_RO1}, {_RO1}, {_RO1}, {_RO1}, int64[:, ::1], int64, int64, int64[:, ::1], int64, int64[:, ::1], int64, "
    "int64[::1], int64[::1], int64[::1])"
)
def apply(weights, ids, same, new, rows, s, t, tab, c, stab, sc, dead, absent, counts):
    """Changes in order: +1 links the next new row, -1 unlinks the latest equal one.

    ``ids``: group of each change (list at cells s, c); ``same``: id of equal rows (list at cells t, sc of stab).
    ``s`` < 0:
    no groups. ``dead`` gets the rows that went, ``absent`` the changes without a row; their numbers in counts[0],
    counts[1].
    """
    p = np.int64(0)
    m = np.int64(0)
    a = np.int64(0)
    for k in range(len(weights)):
        if k + 8 < len(weights):
            prefetch(stab, same[k + 8])
        if weights[k] > 0:
            r = new[p]
            p += 1
            _link(rows, t, r, stab, sc, same[k])
            if s >= 0:
                _link(rows, s, r, tab, c, ids[k])
        else:
            r = stab[same[k], sc + 1]
            if r < 0:
                absent[a] = k
                a += 1
                continue
            _unlink(rows, t, r, stab, sc)
            if s >= 0:
                _unlink(rows, s, r, tab, c)
            dead[m] = r
            m += 1
    counts[0] = m
    counts[1] = a
    return p


@kernel(f"void({_RO1}, {_RO1}, int64[:, ::1], int64, int64[:, ::1], int64)")
def moved(old, new, rows, s, tab, c):
    """Rows moved: their neighbours and lists follow. Neighbours may have moved too: the old place hands on the
    links.
    """
    for k in range(len(old)):
        r = old[k]
        n = new[k]
        d = rows[r, s]
        after = rows[r, s + 1]
        before = rows[r, s + 2]
        rows[n, s] = d
        rows[n, s + 1] = after
        rows[n, s + 2] = before
        if before < 0:
            tab[d, c] = n
        else:
            rows[before, s + 1] = n
        if after < 0:
            tab[d, c + 1] = n
        else:
            rows[after, s + 2] = n


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64[::1])")
def empty(ids, tab, c, out):
    """The ids without rows, each once as often as it is given; gives their number."""
    m = 0
    for k in range(len(ids)):
        if tab[ids[k], c + 2] == 0:
            out[m] = ids[k]
            m += 1
    return m


@kernel(f"int64({_RO1}, int64[:, ::1], int64)")
def matches(ids, tab, c):
    """The number of pairs that :func:`pairs` will give. An id of -1 has none."""
    total = np.int64(0)
    n = len(ids)
    for k in range(n):
        if k + 16 < n and ids[k + 16] >= 0:
            prefetch(tab, ids[k + 16])
        if ids[k] >= 0:
            total += tab[ids[k], c + 2]
    return total


@kernel(f"int64({_RO1}, int64, int64, int64[:, ::1], int64, int64[:, ::1], int64, int64[::1], int64[::1])")
def pairs(ids, start, room, tab, c, rows, s, outer, inner):
    """Pairs (position in ids, row of its list) from position ``start`` on, in order, while whole lists fit into
    ``room``.

    The number of pairs is in ``outer[-1]`` (which has one place more); gives the position to go on from.
    """
    m = np.int64(0)
    n = len(ids)
    for k in range(start, n):
        if k + 8 < n and ids[k + 8] >= 0:
            head = tab[ids[k + 8], c]
            if head >= 0:
                prefetch(rows, head)
        d = ids[k]
        if d < 0:
            continue
        if m > 0 and m + tab[d, c + 2] > room:
            outer[len(outer) - 1] = m
            return k
        r = tab[d, c]
        while r >= 0:
            outer[m] = k
            inner[m] = r
            m += 1
            r = rows[r, s + 1]
    outer[len(outer) - 1] = m
    return n


@kernel(f"int64({_RO1}, {_RO1}, int64[:, ::1], int64, int64[::1], int64[::1])")
def fold(ids, weights, tab, c, touched, last):
    """For each id in order of first touch: the position of its last +1, or -1 if a -1 came last.

    ``tab[id, c]`` is -1 before and after.
    """
    m = np.int64(0)
    for k in range(len(ids)):
        if k + 12 < len(ids):
            prefetch(tab, ids[k + 12])
        d = ids[k]
        p = tab[d, c]
        if p < 0:
            p = m
            m += 1
            touched[p] = d
            tab[d, c] = p
        last[p] = k if weights[k] > 0 else -1
    for p in range(m):
        tab[touched[p], c] = -1
    return m


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64[::1])")
def firsts(ids, tab, c, touched):
    """The distinct ids in order of first touch; ``tab[id, c]`` is -1 before and after."""
    m = np.int64(0)
    for k in range(len(ids)):
        d = ids[k]
        if tab[d, c] < 0:
            tab[d, c] = m
            touched[m] = d
            m += 1
    for p in range(m):
        tab[touched[p], c] = -1
    return m


@kernel(f"void({_RO1}, int64[:, ::1], int64, {_RO1})")
def put_cell(ids, tab, c, values):
    """One cell of each id."""
    for k in range(len(ids)):
        tab[ids[k], c] = values[k]


@kernel(f"void({_RO1}, int64[:, ::1], int64, int64[::1])")
def get_cell(ids, tab, c, out):
    """One cell of each id."""
    for k in range(len(ids)):
        if k + 12 < len(ids):
            prefetch(tab, ids[k + 12])
        out[k] = tab[ids[k], c]
