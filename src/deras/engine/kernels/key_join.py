"""Kernels of a join in which one side has at most one row of a key.

An index id has two cells from ``c``. The second says what the first means: -1 nothing; ``ROW`` the row of the keyed
side; ``MARK`` a mark, the place of a key that never joins; else it is the last of the rows that wait, and the first
cell their first. A row that waits has three cells as in :mod:`deras.engine.kernels.join`.
"""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,no-any-return"

from __future__ import annotations

import numpy as np

from deras.core.jit import kernel, prefetch

ROW, MARK = -2, -3

_RO1 = "Array(int64, 1, 'C', readonly=True)"
_ROB = "Array(uint8, 1, 'C', readonly=True)"


@kernel(
    f"void({_RO1}, {_ROB}, int64[:, ::1], int64, int64[:, ::1], int64, int64[::1], int64[::1], int64[::1], int64[::1], "
    "int64[::1], int64[::1])"
)
def settle(ids, joins, tab, c, waiting, s, rows, marks, twice, cause, partner, counts):
    """What rows of the keyed side mean, in order: the first of a key counts.

    Args:
        ids: the key of each row.
        joins: whether the row joins; else it is a mark. Length 0: all do.
        tab: the keys; ``c``: their first cell. Filled with positions in ``ids``, which :func:`place` makes rows.
        c: see ``tab``.
        waiting: the rows that wait; ``s``: the cells that link them.
        s: see ``waiting``.
        rows: filled with the rows that are to be kept.
        marks: filled with the rows of which a mark is to be kept.
        twice: filled with the rows that join, and of whose key there was one.
        cause: filled with the row of each released one, -1 where it released it by a mark.
        partner: filled with the rows that wait no longer.
        counts: int64[4], filled with the lengths of the four.
    """
    a = 0
    b = 0
    t = 0
    m = 0
    for k in range(len(ids)):
        d = ids[k]
        last = tab[d, c + 1]
        ok = len(joins) == 0 or joins[k] != 0
        if last <= -2:
            if ok:
                twice[t] = k
                t += 1
            continue
        if last >= 0:
            r = tab[d, c]
            while r >= 0:
                cause[m] = k if ok else -1
                partner[m] = r
                m += 1
                r = waiting[r, s + 1]
        tab[d, c] = k
        if ok:
            tab[d, c + 1] = -2
            rows[a] = k
            a += 1
        else:
            tab[d, c + 1] = -3
            marks[b] = k
            b += 1
    counts[0] = a
    counts[1] = b
    counts[2] = t
    counts[3] = m


@kernel(f"void({_RO1}, {_RO1}, int64[:, ::1], int64, int64, int64[:, ::1], int64)")
def place(ids, new, tab, c, kind, rows, s):
    """Rows (or marks) of keys lie there: cells of the keys, and the key in cell ``s`` of the rows."""
    for k in range(len(ids)):
        if k + 8 < len(ids):
            prefetch(tab, ids[k + 8])
        tab[ids[k], c] = new[k]
        tab[ids[k], c + 1] = kind
        rows[new[k], s] = ids[k]


@kernel(f"void({_RO1}, int64[:, ::1], int64, int64[::1], int64[::1], int64[::1], int64[::1])")
def meet(ids, tab, c, outer, inner, wait, counts):
    """What rows of the other side find, in order.

    Args:
        ids: the key of each row.
        tab: the keys; ``c``: their first cell.
        c: see ``tab``.
        outer: filled with the rows that have a partner.
        inner: filled with their partners.
        wait: filled with the rows that have none yet.
        counts: int64[2], filled with the numbers of pairs and of rows that wait.
    """
    m = 0
    w = 0
    for k in range(len(ids)):
        if k + 16 < len(ids):
            prefetch(tab, ids[k + 16])
        d = ids[k]
        kind = tab[d, c + 1]
        if kind == -2:
            outer[m] = k
            inner[m] = tab[d, c]
            m += 1
        elif kind != -3:
            wait[w] = k
            w += 1
    counts[0] = m
    counts[1] = w


@kernel(f"int64({_ROB}, {_RO1}, {_RO1}, int64[::1], int64[::1])")
def choose(passing, mine, theirs, ours, others):
    """The pairs that pass (1; else 0) into ``ours`` and ``others``, both as long; gives their number."""
    m = 0
    for k in range(len(passing)):
        # Written always, counted where it passes: which rows do cannot be foreseen.
        ours[m] = mine[k]
        others[m] = theirs[k]
        m += np.int64(passing[k])
    return m


@kernel(f"void({_RO1}, {_RO1}, int64[:, ::1], int64, int64[:, ::1], int64)")
def queue(ids, new, tab, c, rows, s):
    """Rows begin to wait for their keys, behind those that wait already."""
    for k in range(len(ids)):
        if k + 8 < len(ids):
            prefetch(tab, ids[k + 8])
        d = ids[k]
        r = new[k]
        last = tab[d, c + 1]
        rows[r, s] = d
        rows[r, s + 1] = -1
        rows[r, s + 2] = last
        if last < 0:
            tab[d, c] = r
        else:
            rows[last, s + 1] = r
        tab[d, c + 1] = r


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64, int64[:, ::1], int64, int64, int64[::1])")
def idle_rows(ids, tab, c, kind, rows, t, limit, out):
    """The keys have no row (or mark) any more that came at ``limit`` or before; gives how many rows are in ``out``.

    Args:
        ids: the keys; any may be given several times.
        tab: their cells; ``c``: the first.
        c: see ``tab``.
        kind: ``ROW`` or ``MARK``.
        rows: where rows of that kind are; ``t``: the cell of their time.
        t: see ``rows``.
        limit: the time.
        out: filled with the rows that go.
    """
    m = 0
    for k in range(len(ids)):
        d = ids[k]
        if tab[d, c + 1] == kind and rows[tab[d, c], t] <= limit:
            out[m] = tab[d, c]
            m += 1
            tab[d, c] = -1
            tab[d, c + 1] = -1
    return m


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64[:, ::1], int64, int64, int64, int64[::1])")
def idle_heads(ids, tab, c, rows, s, t, limit, out):
    """Rows that came at ``limit`` or before wait no longer; gives how many are in ``out``.

    Args:
        ids: the keys; any may be given several times.
        tab: their cells; ``c``: the first.
        c: see ``tab``.
        rows: the rows that wait; ``s``: the cells that link them, ``t``: the cell of their time.
        s: see ``rows``.
        t: see ``rows``.
        limit: the time.
        out: filled with the rows that go.
    """
    m = 0
    for k in range(len(ids)):
        d = ids[k]
        if tab[d, c + 1] < 0:
            continue
        r = tab[d, c]
        while r >= 0 and rows[r, t] <= limit:
            out[m] = r
            m += 1
            r = rows[r, s + 1]
        tab[d, c] = r
        if r < 0:
            tab[d, c + 1] = -1
        else:
            rows[r, s + 2] = -1
    return m


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64[::1])")
def free(ids, tab, c, out):
    """The keys of which nothing is known, as often as they are given; gives their number."""
    m = 0
    for k in range(len(ids)):
        if tab[ids[k], c + 1] == -1:
            out[m] = ids[k]
            m += 1
    return m
