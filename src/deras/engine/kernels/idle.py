"""Kernels of state that is forgotten when nothing was written to it for a time.

A key or row has a cell with the processing time (ms, at least 1) of its last writing; 0 means that it has none yet.
"""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,no-any-return"

from __future__ import annotations

from deras.core.jit import kernel, prefetch
from deras.engine.kernels.index import ALIVE
from deras.engine.kernels.join import _unlink

_RO1 = "Array(int64, 1, 'C', readonly=True)"


@kernel(f"void({_RO1}, int64[:, ::1], int64, int64)")
def written(ids, tab, c, now):
    """These were written now."""
    for k in range(len(ids)):
        if k + 12 < len(ids):
            prefetch(tab, ids[k + 12])
        tab[ids[k], c] = now


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64, int64[::1])")
def idle(ids, tab, c, limit, out):
    """Those last written at ``limit`` or before, as often as they are given; gives their number."""
    m = 0
    for k in range(len(ids)):
        if k + 12 < len(ids):
            prefetch(tab, ids[k + 12])
        at = tab[ids[k], c]
        if at > 0 and at <= limit:
            out[m] = ids[k]
            m += 1
    return m


@kernel("int64(uint8[::1], int64, int64, int64[:, ::1], int64, int64, int64[::1])")
def idle_keys(flags, start, stop, tab, c, limit, out):
    """The ids in use from ``start`` to ``stop`` that were last written at ``limit`` or before; gives their number."""
    m = 0
    for d in range(start, stop):
        if flags[d] & ALIVE and tab[d, c] > 0 and tab[d, c] <= limit:
            out[m] = d
            m += 1
    return m


@kernel("int64(int64[:, ::1], int64, int64, int64, int64, int64, int64[::1])")
def idle_rows(rows, start, stop, death, c, limit, out):
    """The living rows from ``start`` to ``stop`` that were last written at ``limit`` or before; gives their number."""
    m = 0
    for r in range(start, stop):
        if rows[r, death] == 0 and rows[r, c] > 0 and rows[r, c] <= limit:
            out[m] = r
            m += 1
    return m


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64[:, ::1], int64, int64, int64, int64[::1])")
def idle_heads(ids, tab, c, rows, s, t, limit, out):
    """The first rows of the lists of ids, as far as they were last written at ``limit`` or before.

    Args:
        ids: the lists, -1 for none; any may be given several times.
        tab: where the lists are; ``c``: their first cell.
        c: see ``tab``.
        rows: the rows; ``s``: the cells that link them, ``t``: the cell of the time.
        s: see ``rows``.
        t: see ``rows``.
        limit: the time.
        out: filled, as far as it reaches.

    Returns:
        Their number. The same list given again gives its rows again.
    """
    m = 0
    for k in range(len(ids)):
        if ids[k] < 0:
            continue
        r = tab[ids[k], c]
        while r >= 0 and rows[r, t] <= limit:
            if m == len(out):
                return m
            out[m] = r
            m += 1
            r = rows[r, s + 1]
    return m


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64[:, ::1], int64, int64[::1])")
def older(ids, tab, c, rows, s, out):
    """All but the last row of the lists of ids, each given once; gives their number."""
    m = 0
    for k in range(len(ids)):
        r = tab[ids[k], c]
        while r >= 0 and r != tab[ids[k], c + 1]:
            out[m] = r
            m += 1
            r = rows[r, s + 1]
    return m


@kernel(f"void({_RO1}, int64[:, ::1], int64, int64[:, ::1], int64)")
def unlink(gone, rows, s, tab, c):
    """Take rows out of their lists."""
    for k in range(len(gone)):
        _unlink(rows, s, gone[k], tab, c)


@kernel(f"int64({_RO1}, {_RO1}, int64[:, ::1], int64, int64[::1])")
def grounded(ids, weights, tab, c, out):
    """The changes that find something to change: a removal where the count is 0 takes back what was forgotten.

    Args:
        ids: key of each change.
        weights: +1 or -1.
        tab: keys with the number of their rows in cell ``c``; as before after the call.
        c: the cell.
        out: filled with positions.

    Returns:
        Their number.
    """
    m = 0
    for k in range(len(ids)):
        if weights[k] < 0 and tab[ids[k], c] <= 0:
            continue
        tab[ids[k], c] += weights[k]
        out[m] = k
        m += 1
    for k in range(m):
        tab[ids[out[k]], c] -= weights[out[k]]
    return m
