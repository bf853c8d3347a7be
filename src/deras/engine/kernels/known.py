"""Kernels of ids that are known by the row of a source: one more than the id, 0 where none is, ``ASKED`` meanwhile."""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,no-any-return"

from __future__ import annotations

import numpy as np

from deras.core.jit import kernel, prefetch

ASKED = 0xFFFFFFFF
"""The row stands among those whose ids are asked for."""

_RO1 = "Array(int64, 1, 'C', readonly=True)"
_AHEAD = 16


@kernel(f"void({_RO1}, uint32[::1], uint8[::1], boolean, int64[::1], int64[::1], int64[::1], int64[::1])")
def known(rows, held, flags, touch, ids, missing, again, counts):
    """The id of each row that has one.

    Args:
        rows: the rows, any of them several times.
        held: what is known.
        flags: of the ids; with ``touch`` those that are known get the flag 1.
        touch: see ``flags``.
        ids: filled with the ids that are known.
        missing: filled with the places of the others: the first of each row,
        again: and the further ones of that row.
        counts: int64[2], filled with the lengths of the two.
    """
    n = len(rows)
    room = np.uint64(len(held))
    m = 0
    a = 0
    for i in range(n):
        if i + _AHEAD < n and np.uint64(rows[i + _AHEAD]) < room:
            prefetch(held, rows[i + _AHEAD])
        r = rows[i]
        x = np.int64(0)
        if np.uint64(r) < room:
            x = np.int64(held[r])
            if x == 0:
                held[r] = np.uint32(0xFFFFFFFF)
        if x == 0:
            missing[m] = i
            m += 1
        elif x == 0xFFFFFFFF:
            again[a] = i
            a += 1
        else:
            ids[i] = x - 1
            if touch and flags[x - 1] & 1 == 0:
                flags[x - 1] |= np.uint8(1)
    counts[0] = m
    counts[1] = a


@kernel(f"int64({_RO1}, uint32[::1], {_RO1}, {_RO1}, {_RO1}, int64[::1])")
def remember(rows, held, missing, found, again, ids):
    """The ids of the rows that were missing are these (-1: still none); gives one more than the greatest row.

    Args:
        rows: as they were given to :func:`known`.
        held: what is known.
        missing: what that gave.
        found: the id of each.
        again: what that gave.
        ids: filled at both.
    """
    room = np.uint64(len(held))
    end = 0
    for i in range(len(missing)):
        k = missing[i]
        r = rows[k]
        ids[k] = found[i]
        if np.uint64(r) < room:
            held[r] = np.uint32(found[i] + 1)
            end = max(end, r + 1)
    for i in range(len(again)):
        ids[again[i]] = np.int64(held[rows[again[i]]]) - 1
    return end
