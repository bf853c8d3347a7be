"""Kernels of joins with the version of a moment: versions of a key in the order of their times.

A version's cells from ``s``: time (ms), the watermark at its arrival, whether it is a deletion; then index id, next
and previous version. An index id has from ``c``: first version, last version, number, rows that wait for it, and a 0
for scratch.
"""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,no-any-return"

from __future__ import annotations

import numpy as np

from deras.core.jit import helper, kernel, prefetch
from deras.engine.kernels.join import _unlink

_RO1 = "Array(int64, 1, 'C', readonly=True)"


@kernel(f"int64({_RO1}, {_RO1}, int64[:, ::1], int64, int64[::1])")
def changes(ids, weights, tab, c, keep):
    """Positions without the removals that an insertion of the same key follows: those are halves of updates.

    ``tab[id, c]`` is 0 before and after; gives their number.
    """
    n = len(ids)
    first = n
    for k in range(n - 1, -1, -1):
        d = ids[k]
        if not (weights[k] < 0 and tab[d, c] > 0):
            first -= 1
            keep[first] = k
        tab[d, c] = weights[k]
    for k in range(n):
        tab[ids[k], c] = 0
    for k in range(first, n):
        keep[k - first] = keep[k]
    return n - first


@kernel(f"int64({_RO1}, {_RO1}, int64[:, ::1], int64, int64[:, ::1], int64, int64[::1])")
def newest(ids, times, rows, s, tab, c, keep):
    """Positions of the rows that are not older than the last version of their key at that moment; their number."""
    for k in range(len(ids)):
        tab[ids[k], c + 4] = 0
    m = 0
    for k in range(len(ids)):
        d = ids[k]
        # The scratch cell holds one more than the position of the key's newest row so far.
        p = tab[d, c + 4]
        if p > 0:
            if times[k] < times[p - 1]:
                continue
        else:
            last = tab[d, c + 1]
            if last >= 0 and times[k] < rows[last, s]:
                continue
        tab[d, c + 4] = k + 1
        keep[m] = k
        m += 1
    for k in range(len(ids)):
        tab[ids[k], c + 4] = 0
    return m


@kernel(f"void({_RO1}, {_RO1}, int64[:, ::1], int64, int64[:, ::1], int64)")
def insert(ids, new, rows, s, tab, c):
    """New versions into the lists of their keys, by time; those of one moment by arrival."""
    for k in range(len(ids)):
        if k + 8 < len(ids):
            prefetch(tab, ids[k + 8])
        d = ids[k]
        r = new[k]
        t = rows[r, s]
        before = tab[d, c + 1]
        after = np.int64(-1)
        while before >= 0 and rows[before, s] > t:
            after = before
            before = rows[before, s + 5]
        rows[r, s + 3] = d
        rows[r, s + 4] = after
        rows[r, s + 5] = before
        if before < 0:
            tab[d, c] = r
        else:
            rows[before, s + 4] = r
        if after < 0:
            tab[d, c + 1] = r
        else:
            rows[after, s + 5] = r
        tab[d, c + 2] += 1


@kernel(f"void({_RO1}, int64[:, ::1], int64, int64)")
def count(ids, tab, c, by):
    """Add to a cell of each id; -1 has none."""
    for k in range(len(ids)):
        if ids[k] >= 0:
            tab[ids[k], c] += by


@kernel(f"void({_RO1}, {_RO1}, int64, int64[:, ::1], int64, int64[:, ::1], int64, int64[::1])")
def version_at(ids, times, before, tab, c, rows, s, found):
    """The version of each key that held at a time (less ``before``), or -1.

    It is the last one up to that time that had come before the watermark passed the time. A deletion hides what was
    there before it, but not what came when it was over.
    """
    for k in range(len(ids)):
        if k + 8 < len(ids) and ids[k + 8] >= 0:
            prefetch(tab, ids[k + 8])
        found[k] = -1
        d = ids[k]
        if d < 0:
            continue
        t = times[k]
        over = np.int64(-0x8000000000000000)
        r = tab[d, c + 1]
        while r >= 0:
            time = rows[r, s]
            mark = rows[r, s + 1]
            if time <= t - before and mark < t and mark >= over:
                if rows[r, s + 2] == 0:
                    found[k] = r
                    break
                over = max(over, max(time, mark))
            r = rows[r, s + 5]


@helper
def _remove(rows, s, r, tab, c):
    _unlink(rows, s + 3, r, tab, c)
    rows[r, s + 3] = -1


@kernel(f"int64({_RO1}, int64, int64[:, ::1], int64, int64[:, ::1], int64, int64[::1], int64[::1])")
def outdated(due, limit, rows, s, tab, c, gone, groups):
    """Versions that no time after ``limit`` asks for, out of their lists; ``due`` are those whose time came.

    ``gone`` has room for all versions that there are, ``groups`` gets their ids; gives their number.
    """
    m = np.int64(0)
    for k in range(len(due)):
        r = due[k]
        d = rows[r, s + 3]
        if d < 0:
            continue
        over = max(rows[r, s], rows[r, s + 1])
        after = rows[r, s + 4]
        if after >= 0:
            after_over = max(rows[after, s], rows[after, s + 1])
            if after_over <= limit and (rows[after, s + 2] == 0 or rows[r, s + 1] < after_over):
                _remove(rows, s, r, tab, c)
                gone[m] = r
                groups[m] = d
                m += 1
                continue
        p = rows[r, s + 5]
        while p >= 0:
            before = rows[p, s + 5]
            if rows[r, s + 2] == 0 or rows[p, s + 1] < over:
                _remove(rows, s, p, tab, c)
                gone[m] = p
                groups[m] = d
                m += 1
            p = before
        if rows[r, s + 2] != 0:
            _remove(rows, s, r, tab, c)
            gone[m] = r
            groups[m] = d
            m += 1
    return m


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64[::1])")
def unused(ids, tab, c, out):
    """The ids without versions and without rows that wait, each as often as it is given; gives their number."""
    m = 0
    for k in range(len(ids)):
        d = ids[k]
        if d >= 0 and tab[d, c + 2] == 0 and tab[d, c + 3] == 0:
            out[m] = d
            m += 1
    return m
