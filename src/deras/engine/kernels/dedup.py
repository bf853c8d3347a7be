"""Kernels of one row per key: the first or the last by arrival or by time.

A key has three cells from ``c``: its row (-1: none), the time of that row, scratch (-1).
"""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,no-any-return"

from __future__ import annotations

from deras.core.jit import kernel, prefetch

_RO1 = "Array(int64, 1, 'C', readonly=True)"


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64[::1])")
def fresh(ids, tab, c, out):
    """The positions of rows whose key (its first cell is 0) comes for the first time; gives their number."""
    m = 0
    for k in range(len(ids)):
        if k + 12 < len(ids):
            prefetch(tab, ids[k + 12])
        if tab[ids[k], c] == 0:
            tab[ids[k], c] = 1
            out[m] = k
            m += 1
    return m


@kernel(f"int64({_RO1}, {_RO1}, boolean, int64[:, ::1], int64, int64[::1], int64[::1])")
def fold(ids, times, last, tab, c, touched, best):
    """The row of each key that wins: of the greatest time and the last of equals, or of the least and the first.

    ``touched`` are the keys whose row changes, in order of the first change, ``best`` the position of the new row;
    gives their number. Keys with row -2 are closed.
    """
    m = 0
    for k in range(len(ids)):
        if k + 12 < len(ids):
            prefetch(tab, ids[k + 12])
        d = ids[k]
        if tab[d, c] == -2:
            continue
        p = tab[d, c + 2]
        if p >= 0 or tab[d, c] >= 0:
            held = tab[d, c + 1]
            if (times[k] < held) if last else (times[k] >= held):
                continue
        if p < 0:
            p = m
            touched[p] = d
            tab[d, c + 2] = p
            m += 1
        best[p] = k
        tab[d, c + 1] = times[k]
    for p in range(m):
        tab[touched[p], c + 2] = -1
    return m


@kernel(f"void({_RO1}, {_RO1}, {_RO1}, int64[:, ::1], int64, int64[:, ::1], int64)")
def hold(ids, held, times, tab, c, rows, s):
    """Give keys their rows and times, and rows (cell s) their keys."""
    for k in range(len(ids)):
        tab[ids[k], c] = held[k]
        tab[ids[k], c + 1] = times[k]
        rows[held[k], s] = ids[k]


@kernel(
    f"void({_RO1}, {_RO1}, {_RO1}, int64[:, ::1], int64, int64[:, ::1], int64, int64[::1], int64[::1], int64[::1], "
    "int64[::1], int64[::1])"
)
def replace(touched, best, new, tab, c, rows, s, gone, out, signs, at, counts):
    """Keys that :func:`fold` gave get their new rows; the changes: of each key the old row goes, the new one comes.

    ``gone``: the old rows, counts[0] of them; ``out``, ``signs``, ``at``: the changes, counts[1] of them, with the
    position of the row that caused each.
    """
    n = 0
    g = 0
    for p in range(len(touched)):
        if p + 12 < len(touched):
            prefetch(tab, touched[p + 12])
        d = touched[p]
        old = tab[d, c]
        if old >= 0:
            gone[g] = old
            g += 1
            out[n] = old
            signs[n] = -1
            at[n] = best[p]
            n += 1
        tab[d, c] = new[p]
        rows[new[p], s] = d
        out[n] = new[p]
        signs[n] = 1
        at[n] = best[p]
        n += 1
    counts[0] = g
    counts[1] = n


@kernel(f"void({_RO1}, int64[:, ::1], int64, int64[:, ::1], int64)")
def moved(new, rows, s, tab, c):
    """Rows moved: their keys follow."""
    for k in range(len(new)):
        tab[rows[new[k], s], c] = new[k]
