"""Kernels that merge the cells of slices into those of windows, and of sessions that meet."""

# Numba is typed in part only.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,call-arg"

from __future__ import annotations

import numpy as np

from deras.core.jit import float_bits, helper, kernel, prefetch
from deras.engine.kernels.agg import add_float, add_wide, less_limbs

_RO1 = "Array(int64, 1, 'C', readonly=True)"
_S32 = np.int64(32)


@helper
def add_pair(out, p, c, s, e):
    """Add one compensated pair to another."""
    add_float(out, p, c, float_bits(np.uint64(s)))
    x = float_bits(np.uint64(e))
    if x != 0.0:
        add_float(out, p, c, x)


@helper
def merge_one(tab, g, cell0, ops, out, p):
    """Merge the cells of group g into row p of ``out``."""
    out[p, 1] += tab[g, cell0 + 1]
    for i in range(len(ops)):
        code = ops[i, 0]
        c = ops[i, 1]
        q = cell0 + c
        if code == 0:
            out[p, c] += tab[g, q]
        elif code == 1 or code == 6:
            out[p, c] += tab[g, q]
            out[p, c + 1] += tab[g, q + 1]
            if code == 6:
                out[p, c + 2] += tab[g, q + 2]
        elif code == 2 or code == 3:
            out[p, c] += tab[g, q]
            add_wide(out, p, c + 1, tab[g, q + 1], tab[g, q + 2], False)
            # The upper 64 bits, less the sign that add_wide carried on.
            out[p, c + 3] += tab[g, q + 3] - (tab[g, q + 2] >> np.int64(63))
        elif code == 4 or code == 5:
            out[p, c] += tab[g, q]
            add_pair(out, p, c + 1, tab[g, q + 1], tab[g, q + 2])
            for j in range(3, 6):
                out[p, c + j] += tab[g, q + j]
            if code == 5:
                add_pair(out, p, c + 6, tab[g, q + 6], tab[g, q + 7])
                out[p, c + 8] += tab[g, q + 8]
        elif tab[g, q] != 0:
            if code == 12 or code == 13:
                better = out[p, c] == 0
                if code == 12:
                    better |= less_limbs(tab[g, q + 1], tab[g, q + 2], out[p, c + 1], out[p, c + 2])
                else:
                    better |= less_limbs(out[p, c + 1], out[p, c + 2], tab[g, q + 1], tab[g, q + 2])
            elif code <= 11:
                x = tab[g, q + 1]
                y = out[p, c + 1]
                better = out[p, c] == 0 or (x < y if (code & 1) == 0 else x > y)
            else:
                x = tab[g, q]
                y = out[p, c]
                better = y == 0 or (x < y if (code & 1) == 0 else x > y)
            if better:
                out[p, c] = tab[g, q]
                out[p, c + 1] = tab[g, q + 1]
                if code == 12 or code == 13 or code >= 16:
                    out[p, c + 2] = tab[g, q + 2]


@kernel("void(int64[::1], int64[::1], int64[:, ::1], int64, int64[:, ::1], int64[:, ::1])")
def merge_cells(ids, places, tab, cell0, ops, out):
    """Merge the cells of slices into those of windows: ``ids[k]`` into row ``places[k]`` of ``out`` (first zeros)."""
    n = len(ids)
    for k in range(n):
        if k + 12 < n:
            prefetch(tab, ids[k + 12])
        g = ids[k]
        p = places[k]
        merge_one(tab, g, cell0, ops, out, p)


@kernel(
    f"int64({_RO1}, int64[:, ::1], int64, int64, int64, int64[:, ::1], int64[:, ::1], int64, int64, int64[:, ::1],"
    " int64[::1], int64)"
)
def merge_slices(ids, tab, cell0, cells, key, ops, keys, place, stamp, out, chosen, m):
    """Merge the groups of a window's slices that have one key. A window may be merged in several calls.

    Args:
        ids: groups of the window's slices, in the order of their first rows.
        tab: their table.
        cell0: first cell in a row of it.
        cells: cells of a group.
        key: where a group's key is in its row: an id of ``keys``.
        ops: code and cell of each aggregate.
        keys: table of the keys.
        place: the cell in it that tells a key's place in the window: stamp << 32 | place.
        stamp: number of this window, greater than any before.
        out: int64[groups, cells], filled by place: cells of the window.
        chosen: filled by place: the first group of the key.
        m: the keys of the calls before.

    Returns:
        The number of keys in the window.
    """
    n = len(ids)
    for k in range(n):
        if k + 24 < n:
            prefetch(tab, ids[k + 24])
        if k + 8 < n:
            prefetch(keys, tab[ids[k + 8], key])
        g = ids[k]
        d = tab[g, key]
        x = keys[d, place]
        if (x >> _S32) == stamp:
            merge_one(tab, g, cell0, ops, out, x & np.int64(0xFFFFFFFF))
            continue
        keys[d, place] = (stamp << _S32) | np.int64(m)
        for j in range(cells):
            out[m, j] = tab[g, cell0 + j]
        chosen[m] = g
        m += 1
    return m


@kernel(f"void({_RO1}, int64[:, ::1], int64)")
def hold(ids, tab, c):
    """Count one more in a cell of each."""
    for k in range(len(ids)):
        tab[ids[k], c] += 1


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64[:, ::1], int64, int64[::1])")
def let_go(ids, tab, key, keys, c, out):
    """Count one less in a cell of each group's key; those at 0 are given, and their number."""
    m = 0
    for k in range(len(ids)):
        d = tab[ids[k], key]
        keys[d, c] -= 1
        if keys[d, c] == 0:
            out[m] = d
            m += 1
    return m


@kernel(f"boolean({_RO1}, int64[:, ::1], int64)")
def rising(ids, tab, c):
    """Whether a cell rises from one to the next."""
    falls = False
    for k in range(1, len(ids)):
        falls |= tab[ids[k], c] < tab[ids[k - 1], c]
    return not falls
