"""Kernels of the interval join: partners within bounds, rows that leave.

A row's cells from ``s``: time (ms), mark, whether it had a partner; then index id (-1: its key is NULL), next and
previous row of its key. An index id has three cells from ``c``: first row, last row, number.
"""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,no-any-return"

from __future__ import annotations

import numpy as np

from deras.core.jit import kernel, prefetch
from deras.engine.kernels.join import _link, _move, _unlink

_RO1 = "Array(int64, 1, 'C', readonly=True)"


@kernel(f"void({_RO1}, {_RO1}, int64[:, ::1], int64, int64[:, ::1], int64)")
def link(ids, new, rows, s, tab, c):
    """New rows at the end of their keys' lists; an id of -1 has no list."""
    for k in range(len(ids)):
        if k + 8 < len(ids) and ids[k + 8] >= 0:
            prefetch(tab, ids[k + 8])
        if ids[k] < 0:
            rows[new[k], s + 3] = -1
        else:
            _link(rows, s + 3, new[k], tab, c, ids[k])


@kernel(f"void({_RO1}, int64[:, ::1], int64, int64[:, ::1], int64, int64[::1])")
def unlink(gone, rows, s, tab, c, ids):
    """Rows out of their lists; ``ids`` gets their index ids (-1: none)."""
    for k in range(len(gone)):
        r = gone[k]
        ids[k] = rows[r, s + 3]
        if ids[k] >= 0:
            _unlink(rows, s + 3, r, tab, c)


@kernel(f"void({_RO1}, {_RO1}, int64[:, ::1], int64, int64[:, ::1], int64)")
def moved(old, new, rows, s, tab, c):
    """Rows moved: neighbours and lists follow. Neighbours may have moved too: the old place hands on the links."""
    for k in range(len(old)):
        if rows[old[k], s + 3] < 0:
            rows[new[k], s + 3] = -1
        else:
            _move(rows, s + 3, old[k], new[k], tab, c)


@kernel(
    f"int64({_RO1}, {_RO1}, {_RO1}, int64, int64, int64[:, ::1], int64, int64[:, ::1], int64, int64, int64, "
    "int64[::1], int64[::1])"
)
def near(ids, times, marks, start, room, tab, c, rows, s, low, high, outer, inner):
    """Pairs (position, row of the other side) with ``low <= other time - own time <= high``, from ``start`` on.

    A pair counts only if neither row's time was over (no partner in time could come any more) by the watermark that
    the other had seen. So the pairs do not depend on which of the two came in which step.

    Stops before a row whose list might not fit into ``room``; the first row's list must fit. The number of pairs is in
    ``outer[-1]`` (which has one place more); gives the position to go on from.
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
        t = times[k]
        r = tab[d, c]
        while r >= 0:
            other = rows[r, s]
            if low <= other - t <= high and t + high > rows[r, s + 1] and other - low > marks[k]:
                outer[m] = k
                inner[m] = r
                m += 1
            r = rows[r, s + 4]
    outer[len(outer) - 1] = m
    return n


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64[::1])")
def matched(ids, rows, cell, fresh):
    """Set the cell of rows; the ones where it was not set, in order, into ``fresh``; gives their number.

    ``fresh`` gets positions in ``ids``.
    """
    m = 0
    for k in range(len(ids)):
        if rows[ids[k], cell] == 0:
            rows[ids[k], cell] = 1
            fresh[m] = k
            m += 1
    return m
