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
    "int64, int64[::1], int64[::1], int64[::1])"
)
def apply(weights, ids, same, new, rows, s, t, tab, c, stab, sc, oldest, dead, absent, counts):
    """Changes in order: +1 links the next new row, -1 unlinks the latest equal one (with ``oldest`` 1: the first).

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
            r = stab[same[k], sc + 1 - oldest]
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


@helper
def _move(rows, s, r, n, tab, c):
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


@kernel(f"void({_RO1}, {_RO1}, int64[:, ::1], int64, int64[:, ::1], int64)")
def moved(old, new, rows, s, tab, c):
    """Rows moved: their neighbours and lists follow. Neighbours may have moved too: the old place hands on the
    links.
    """
    for k in range(len(old)):
        _move(rows, s, old[k], new[k], tab, c)


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


@kernel(f"void({_RO1}, {_RO1}, int64[:, ::1], int64, int64, int64[::1])")
def running(ids, weights, tab, c, s, before):
    """How many rows each change's list had before it; the changes have been applied. An id of -1 has none.

    ``tab[id, s]`` is 0 before and after.
    """
    n = len(ids)
    for k in range(n - 1, -1, -1):
        d = ids[k]
        if d < 0:
            before[k] = 0
            continue
        tab[d, s] += weights[k]
        before[k] = tab[d, c + 2] - tab[d, s]
    for k in range(n):
        if ids[k] >= 0:
            tab[ids[k], s] = 0


@kernel(
    f"int64(int64, int64, {_RO1}, {_RO1}, int64, {_RO1}, {_RO1}, {_RO1}, int64[:, ::1], int64, int64[:, ::1], int64, "
    "boolean, int64, int64, int64[::1], int64[::1], int64[::1], int64[::1])"
)
def settle(
    start,
    stop,
    outer,
    inner,
    m,
    weights,
    before,
    new,
    mine,
    own,
    rows,
    c,
    pairs,
    alone,
    other,
    left,
    right,
    signs,
    cause,
):
    """What changes start..stop of one side mean, given the pairs that passed the whole condition.

    Of each change that comes: first what its partners lose, then its pairs; of each that goes: its pairs, then what
    its partners gain; last its own row without partner.

    Args:
        start: the first change.
        stop: behind the last.
        outer: the change of each pair, ascending.
        inner: the other side's row of each pair.
        m: number of pairs.
        weights: of the changes, +1 or -1.
        before: without a count a row (``c`` < 0): how many partners the rows of the other side had before each change.
        new: the row in ``mine`` of each change, -1 where there is none; its number of partners goes to cell ``own``.
        mine: rows of this side.
        own: cell of the number of partners, or -1.
        rows: rows of the other side.
        c: cell of their number of partners, or -1.
        pairs: whether pairs are given.
        alone: which changes are given by themselves: 0 none, 1 those without partner, 2 those with one.
        other: what the first partner means to a row of the other side: 0 nothing, -1 it goes, 1 it comes.
        left: filled with the change of each output row, or -1.
        right: filled with its row of the other side, or -1.
        signs: filled with its weight.
        cause: filled with the change that made it.

    Returns:
        The number of output rows.
    """
    at = np.int64(0)
    g = np.int64(0)
    for k in range(start, stop):
        a = at
        while at < m and outer[at] == k:
            at += 1
        w = weights[k]
        n = at - a
        first = g
        if pairs and w < 0:
            for p in range(a, at):
                left[g] = k
                right[g] = inner[p]
                signs[g] = w
                g += 1
        if other != 0:
            for p in range(a, at):
                r = inner[p]
                was = before[k]
                if c >= 0:
                    was = rows[r, c]
                    rows[r, c] = was + w
                if was == 0 and w > 0:
                    left[g] = -1
                    right[g] = r
                    signs[g] = other
                    g += 1
                elif was + w == 0:
                    left[g] = -1
                    right[g] = r
                    signs[g] = -other
                    g += 1
        if pairs and w > 0:
            for p in range(a, at):
                left[g] = k
                right[g] = inner[p]
                signs[g] = w
                g += 1
        if (alone == 1 and n == 0) or (alone == 2 and n > 0):
            left[g] = k
            right[g] = -1
            signs[g] = w
            g += 1
        for p in range(first, g):
            cause[p] = k
        if own >= 0 and new[k] >= 0:
            mine[new[k], own] = n
    return g


@kernel(f"int64({_RO1}, {_RO1}, int64, int64[:, ::1], int64, int64, int64[::1], int64[::1], int64[::1], int64[::1])")
def tally(ids, weights, start, tab, c, null, total, turned, absent, counts):
    """Count keys in order; gives the position to go on from.

    Args:
        ids: key of each change.
        weights: +1 or -1.
        start: the first change.
        tab: keys with their number in cell ``c``.
        c: the cell.
        null: the key of NULL, or -1. With ``total`` (int64[2]: rows, rows of that key) it stops behind a change that
            makes one of the two zero or takes it from zero; without (length 0) it never stops.
        total: see there.
        turned: filled with the changes that brought a key's first row or took its last.
        absent: filled with the changes that took what was not there; they count for nothing.
        counts: int64[2], filled with the lengths of the two.
    """
    t = np.int64(0)
    a = np.int64(0)
    counts[0] = 0
    counts[1] = 0
    watched = len(total) > 0
    for k in range(start, len(ids)):
        if k + 12 < len(ids):
            prefetch(tab, ids[k + 12])
        d = ids[k]
        w = weights[k]
        was = tab[d, c]
        if was + w < 0:
            absent[a] = k
            a += 1
            counts[1] = a
            continue
        tab[d, c] = was + w
        if was == 0 or was + w == 0:
            turned[t] = k
            t += 1
            counts[0] = t
        if watched:
            rows = total[0]
            nulls = total[1]
            total[0] += w
            if d == null:
                total[1] += w
            if (rows == 0) != (total[0] == 0) or (nulls == 0) != (total[1] == 0):
                return k + 1
    return len(ids)


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64[::1])")
def zeros(ids, tab, c, out):
    """The ids whose cell is zero, each as often as it is given; gives their number."""
    m = 0
    for k in range(len(ids)):
        if tab[ids[k], c] == 0:
            out[m] = ids[k]
            m += 1
    return m


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
