"""Kernels of rows in order by key: a treap per key whose nodes are the rows themselves.

A row has six cells from ``s``: the key's id (-1: in no tree), prefix, left, right, parent, a scratch word (0). A key
has six cells from ``c``: root (-1), rows, rows shown at the end of the last step, the greatest rank that is shown (-1:
not told yet), scratch (-1), the prefix of the last row. Priorities are a hash of the rows' births: a tree has one shape
whatever the order of its making, so a restart does not change it.

Functions: 0 ROW_NUMBER, 1 RANK, 2 DENSE_RANK. Equal rows stand by birth; ``latest``: the younger first.
"""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,no-any-return"

from __future__ import annotations

import numpy as np

from deras.core.jit import helper, kernel, prefetch, routine
from deras.engine.kernels.join import _link, _unlink
from deras.engine.kernels.order import MAX, compare, row_prefix

ROW_CELLS, KEY_CELLS = 6, 6
_RO1 = "Array(int64, 1, 'C', readonly=True)"
_MIX = np.uint64(0x9E3779B97F4A7C15)
_S29 = np.uint64(29)


@helper
def _priority(birth):
    x = np.uint64(birth) * _MIX
    return (x ^ (x >> _S29)) * _MIX


@routine
def _before(rows, s, width, base, bases, orders, latest, a, b):
    pa = rows[a, s + 1]
    pb = rows[b, s + 1]
    if pa != pb:
        return pa < pb
    x = compare(rows, base, bases, orders, a, b)
    if x != 0:
        return x < 0
    return (rows[a, width] < rows[b, width]) != (latest == 1)


@helper
def _up(rows, s, tab, c, d, x):
    """Rotate a node above its parent."""
    p = rows[x, s + 4]
    g = rows[p, s + 4]
    if rows[p, s + 2] == x:
        inner = rows[x, s + 3]
        rows[p, s + 2] = inner
        rows[x, s + 3] = p
    else:
        inner = rows[x, s + 2]
        rows[p, s + 3] = inner
        rows[x, s + 2] = p
    if inner >= 0:
        rows[inner, s + 4] = p
    rows[p, s + 4] = x
    rows[x, s + 4] = g
    if g < 0:
        tab[d, c] = x
    elif rows[g, s + 2] == p:
        rows[g, s + 2] = x
    else:
        rows[g, s + 3] = x


@routine
def insert(rows, s, width, tab, c, d, x, base, bases, orders, latest):
    """A row into the tree of a key."""
    rows[x, s] = d
    rows[x, s + 1] = row_prefix(rows, base, bases, orders, x)
    rows[x, s + 2] = -1
    rows[x, s + 3] = -1
    rows[x, s + 4] = -1
    tab[d, c + 1] += 1
    p = tab[d, c]
    if p < 0:
        tab[d, c] = x
        return
    while True:
        side = 2 if _before(rows, s, width, base, bases, orders, latest, x, p) else 3
        below = rows[p, s + side]
        if below < 0:
            rows[p, s + side] = x
            rows[x, s + 4] = p
            break
        p = below
    mine = _priority(rows[x, width])
    while rows[x, s + 4] >= 0 and _priority(rows[rows[x, s + 4], width]) < mine:
        _up(rows, s, tab, c, d, x)


@routine
def remove(rows, s, width, tab, c, x):
    """A row out of its tree."""
    d = rows[x, s]
    while rows[x, s + 2] >= 0 and rows[x, s + 3] >= 0:
        left = rows[x, s + 2]
        right = rows[x, s + 3]
        higher = left if _priority(rows[left, width]) > _priority(rows[right, width]) else right
        _up(rows, s, tab, c, d, higher)
    below = rows[x, s + 2] if rows[x, s + 2] >= 0 else rows[x, s + 3]
    p = rows[x, s + 4]
    if below >= 0:
        rows[below, s + 4] = p
    if p < 0:
        tab[d, c] = below
    elif rows[p, s + 2] == x:
        rows[p, s + 2] = below
    else:
        rows[p, s + 3] = below
    rows[x, s] = -1
    tab[d, c + 1] -= 1


@helper
def least(rows, s, x):
    """The first row below a node (-1: no node)."""
    while x >= 0 and rows[x, s + 2] >= 0:
        x = rows[x, s + 2]
    return x


@helper
def greatest(rows, s, x):
    """The last row below a node (-1: no node)."""
    while x >= 0 and rows[x, s + 3] >= 0:
        x = rows[x, s + 3]
    return x


@helper
def following(rows, s, x):
    """The row after a row, or -1."""
    if rows[x, s + 3] >= 0:
        return least(rows, s, rows[x, s + 3])
    p = rows[x, s + 4]
    while p >= 0 and rows[p, s + 3] == x:
        x = p
        p = rows[x, s + 4]
    return p


@kernel(f"int64({_RO1}, {_RO1}, boolean, int64[:, ::1], int64, int64[::1])")
def promising(ids, prefixes, exact, tab, c, out):
    """The rows that may be among the first of their key; gives their number. The others come too late to be shown."""
    m = np.int64(0)
    for k in range(len(ids)):
        if k + 12 < len(ids):
            prefetch(tab, ids[k + 12])
        d = ids[k]
        limit = tab[d, c + 3]
        if limit >= 0 and tab[d, c + 1] >= limit:
            worst = tab[d, c + 5]
            if prefixes[k] > worst or (exact and prefixes[k] == worst) or limit == 0:
                continue
        out[m] = k
        m += 1
    return m


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64[::1], int64[::1])")
def touched(ids, tab, c, out, first):
    """The distinct ids in order of first touch, and where that was; gives their number."""
    m = np.int64(0)
    for k in range(len(ids)):
        d = ids[k]
        if tab[d, c + 4] < 0:
            tab[d, c + 4] = m
            out[m] = d
            first[m] = k
            m += 1
    for i in range(m):
        tab[out[i], c + 4] = -1
    return m


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64)")
def room(ids, tab, c, function):
    """How many rows at most :func:`listing` will give."""
    n = np.int64(0)
    for k in range(len(ids)):
        d = ids[k]
        count = tab[d, c + 1]
        n += min(count, max(tab[d, c + 3], 0)) if function == 0 else count
    return n


@kernel(
    f"void({_RO1}, {_RO1}, {_RO1}, {_RO1}, {_RO1}, int64[:, ::1], int64, int64, int64[:, ::1], int64, int64, "
    f"int64[:, ::1], int64, int64, {_RO1}, int64[:, ::1], int64, boolean, int64[::1], int64[::1], int64[::1])"
)
def change(
    weights,
    ids,
    same,
    new,
    limits,
    rows,
    s,
    width,
    tab,
    c,
    t,
    stab,
    sc,
    base,
    bases,
    orders,
    latest,
    bounded,
    dead,
    absent,
    counts,
):
    """Changes in order: +1 puts the next new row in its place, -1 takes the eldest equal one away.

    ``weights``: empty if all come. ``same``: the lists of equal rows (cells t of a row, sc of ``stab``); empty if none
    is kept. ``limits``: the greatest rank that each row tells its key; empty if it is constant. ``bounded``: no more
    rows than the greatest rank are kept. ``dead`` gets rows that went, ``absent`` the removals without a row;
    counts[0] and counts[1] their numbers.
    """
    p = np.int64(0)
    m = np.int64(0)
    a = np.int64(0)
    for k in range(len(ids)):
        if k + 8 < len(ids):
            prefetch(tab, ids[k + 8])
        d = ids[k]
        if len(weights) == 0 or weights[k] > 0:
            r = new[p]
            p += 1
            if len(limits) > 0 and tab[d, c + 3] < 0:
                tab[d, c + 3] = max(limits[k], 0)
            if len(same) > 0:
                _link(rows, t, r, stab, sc, same[k])
            insert(rows, s, width, tab, c, d, r, base, bases, orders, latest)
            if bounded and tab[d, c + 1] >= tab[d, c + 3]:
                x = greatest(rows, s, tab[d, c])
                if tab[d, c + 1] > tab[d, c + 3]:
                    remove(rows, s, width, tab, c, x)
                    dead[m] = x
                    m += 1
                    x = greatest(rows, s, tab[d, c])
                if x >= 0:
                    tab[d, c + 5] = rows[x, s + 1]
        else:
            r = stab[same[k], sc]
            if r < 0:
                absent[a] = k
                a += 1
                continue
            _unlink(rows, t, r, stab, sc)
            remove(rows, s, width, tab, c, r)
            dead[m] = r
            m += 1
    counts[0] = m
    counts[1] = a


@kernel(
    f"int64({_RO1}, int64[:, ::1], int64, int64[:, ::1], int64, int64, int64, {_RO1}, int64[:, ::1], int64, int64, "
    "boolean, int64[::1], int64[::1], int64[::1], int64[::1], int64[::1])"
)
def listing(ids, tab, c, rows, s, width, base, bases, orders, function, first, prune, out, ranks, starts, dead, counts):
    """The rows of each key whose rank is from ``first`` to its limit, in order, with their ranks.

    Key i's are out[starts[i]:starts[i + 1]]. ``prune``: rows beyond the limit leave the tree, into ``dead``
    (counts[0]).
    """
    n = np.int64(0)
    m = np.int64(0)
    for k in range(len(ids)):
        starts[k] = n
        d = ids[k]
        limit = tab[d, c + 3]
        x = least(rows, s, tab[d, c])
        last = np.int64(-1)
        place = np.int64(0)
        rank = np.int64(0)
        while x >= 0:
            place += 1
            if function == 0:
                rank = place
            elif last < 0 or rows[x, s + 1] != rows[last, s + 1] or compare(rows, base, bases, orders, x, last) != 0:
                rank = place if function == 1 else rank + 1
            if rank > limit:
                break
            if rank >= first:
                out[n] = x
                ranks[n] = rank
                n += 1
            last = x
            x = following(rows, s, x)
        tab[d, c + 2] = n - starts[k]
        if prune and x >= 0:
            while True:
                y = greatest(rows, s, tab[d, c])
                remove(rows, s, width, tab, c, y)
                dead[m] = y
                m += 1
                if y == x:
                    break
    starts[len(ids)] = n
    counts[0] = m
    return n


@kernel(
    f"int64(int64, {_RO1}, {_RO1}, {_RO1}, {_RO1}, {_RO1}, {_RO1}, int64[:, ::1], int64, int64, int64[::1], "
    "int64[::1], int64[::1], int64[::1])"
)
def differ(keys, old, old_ranks, old_starts, new, new_ranks, new_starts, rows, s, shown, out, ranks, signs, owner):
    """The changes from the old listing to the new one, key by key.

    ``shown``: 2, the rank is seen and no two rows share one: rank by rank, old then new; 1, it is seen: rows that go or
    change their rank, then those that come; 0, only the rows are seen.
    """
    n = np.int64(0)
    for k in range(keys):
        a = old_starts[k]
        b = new_starts[k]
        old_end = old_starts[k + 1]
        new_end = new_starts[k + 1]
        if shown == 2:
            while a < old_end or b < new_end:
                both = a < old_end and b < new_end
                if both and old[a] == new[b]:
                    a += 1
                    b += 1
                    continue
                if a < old_end:
                    out[n] = old[a]
                    ranks[n] = old_ranks[a]
                    signs[n] = -1
                    owner[n] = k
                    n += 1
                    a += 1
                if b < new_end:
                    out[n] = new[b]
                    ranks[n] = new_ranks[b]
                    signs[n] = 1
                    owner[n] = k
                    n += 1
                    b += 1
            continue
        for i in range(a, old_end):
            rows[old[i], s + 5] = old_ranks[i] if shown == 1 else 1
        for i in range(b, new_end):
            if rows[new[i], s + 5] == (new_ranks[i] if shown == 1 else 1):
                rows[new[i], s + 5] = -1
        for i in range(a, old_end):
            if rows[old[i], s + 5] > 0:
                out[n] = old[i]
                ranks[n] = old_ranks[i]
                signs[n] = -1
                owner[n] = k
                n += 1
                rows[old[i], s + 5] = 0
        for i in range(b, new_end):
            if rows[new[i], s + 5] >= 0:
                out[n] = new[i]
                ranks[n] = new_ranks[i]
                signs[n] = 1
                owner[n] = k
                n += 1
            rows[new[i], s + 5] = 0
    return n


@kernel(f"void({_RO1}, {_RO1}, int64[:, ::1], int64, int64[:, ::1], int64)")
def moved(old, new, rows, s, tab, c):
    """Rows moved: neighbours and trees follow. Neighbours may have moved too: the old place hands on the links."""
    for k in range(len(old)):
        r = old[k]
        n = new[k]
        for i in range(ROW_CELLS):
            rows[n, s + i] = rows[r, s + i]
        left = rows[n, s + 2]
        right = rows[n, s + 3]
        p = rows[n, s + 4]
        if left >= 0:
            rows[left, s + 4] = n
        if right >= 0:
            rows[right, s + 4] = n
        if p < 0:
            tab[rows[n, s], c] = n
        elif rows[p, s + 2] == r:
            rows[p, s + 2] = n
        else:
            rows[p, s + 3] = n


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64[:, ::1], int64, int64[::1])")
def rows_of(ids, tab, c, rows, s, out):
    """All rows of the keys, in order; gives their number."""
    n = np.int64(0)
    for k in range(len(ids)):
        x = least(rows, s, tab[ids[k], c])
        while x >= 0:
            out[n] = x
            n += 1
            x = following(rows, s, x)
    return n


UNBOUNDED = int(MAX)
"""The greatest rank where there is no limit."""
