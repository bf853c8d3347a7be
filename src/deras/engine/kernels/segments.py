"""Kernels of row segments: rows of words with a birth and a death mark, immutable but for the death and the cells.

A row of ``tab`` is: column words and NULL masks as in :mod:`deras.engine.kernels.index`, then birth,
death (0: alive), then the operator's cells. A row is visible at time T when ``birth < T`` and ``death == 0`` or
``death >= T``.
"""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,no-any-return"

from __future__ import annotations

import numpy as np

from deras.core.jit import copy_from, helper, kernel, prefetch

_LOW = np.uint64(0xFFFFFFFF)
_S32 = np.uint64(32)
_RO1 = "Array(int64, 1, 'C', readonly=True)"
_RO2 = "Array(int64, 2, 'C', readonly=True)"


@helper
def _text(source, length, chunk, fill):
    """A long text into the current chunk, which has room; gives its reference."""
    at = fill[1]
    copy_from(chunk, at, source, length)
    fill[1] = at + ((length + 7) & ~7)
    return fill[0] | at << 32


@helper
def _long(words, k, kinds, width):
    need = np.int64(0)
    for j in range(width):
        if kinds[j] == 2:
            length = words[k, j - 1] & 0xFFFFFFFF
            if length > 12:
                need += (length + 7) & ~7
    return need


@kernel(
    f"int64({_RO2}, int64, int64, int64, {_RO1}, int64, int64[::1], int64[:, ::1], uint8[::1], int64[::1], int64[::1])"
)
def store(rows, start, stop, to, births, width, kinds, tab, chunk, fill, init):
    """Packed rows start..stop to ``tab[to:]``; gives the row where the text chunk was full (its need in
    ``fill[3]``).
    """
    for k in range(start, stop):
        need = _long(rows, k, kinds, width)
        if need > fill[2] - fill[1]:
            fill[3] = need
            return k
        d = to + k - start
        for j in range(width):
            w = rows[k, j]
            if kinds[j] == 2:
                length = rows[k, j - 1] & 0xFFFFFFFF
                if length > 12:
                    w = _text(w, length, chunk, fill)
            tab[d, j] = w
        tab[d, width] = births[k]
        tab[d, width + 1] = 0
        for j in range(len(init)):
            tab[d, width + 2 + j] = init[j]
    return stop


@kernel("int64(int64[::1], int64, int64, int64, int64[:, ::1], int64[::1], int64[::1], uint8[::1], int64[::1], int64)")
def move(ids, start, stop, width, tab, kinds, bases, chunk, fill, to):
    """Copies of the rows ids[start:stop] to ``tab[to:]`` with their births and cells; stops as ``store`` does."""
    for k in range(start, stop):
        s = ids[k]
        need = _long(tab, s, kinds, width)
        if need > fill[2] - fill[1]:
            fill[3] = need
            return k
        d = to + k - start
        for j in range(tab.shape[1]):
            tab[d, j] = tab[s, j]
        for j in range(width):
            if kinds[j] == 2:
                length = tab[s, j - 1] & 0xFFFFFFFF
                if length > 12:
                    ref = np.uint64(tab[s, j])
                    tab[d, j] = _text(bases[np.int64(ref & _LOW)] + np.int64(ref >> _S32), length, chunk, fill)
    return stop


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64, int64, int64[::1], int64, int64[::1])")
def kill(ids, tab, width, now, frozen, live, shift, births):
    """Rows die now; those born before ``frozen`` are reported by birth. Dead rows are passed over; gives how many."""
    m = np.int64(0)
    for k in range(len(ids)):
        if k + 8 < len(ids):
            prefetch(tab, ids[k + 8])
        d = ids[k]
        if tab[d, width + 1] != 0:
            continue
        tab[d, width + 1] = now
        live[d >> shift] -= 1
        if tab[d, width] < frozen:
            births[m] = tab[d, width]
            m += 1
    return m


@kernel("int64(int64[:, ::1], int64, int64, int64, int64, int64, int64[::1], int64)")
def visible(tab, width, start, stop, low, high, out, m):
    """Rows start..stop with low <= birth that are visible at ``high``, into out[m:]; gives the new m."""
    for d in range(start, stop):
        birth = tab[d, width]
        death = tab[d, width + 1]
        if low <= birth < high and (death == 0 or death >= high):
            out[m] = d
            m += 1
    return m


@kernel(f"boolean({_RO1}, int64[:, ::1], int64)")
def in_order(ids, tab, width):
    """Whether rows stand in the order of their births."""
    for k in range(1, len(ids)):  # noqa: SIM110 (a kernel)
        if tab[ids[k], width] < tab[ids[k - 1], width]:
            return False
    return True


@kernel(f"void({_RO1}, int64[:, ::1], int64, int64[::1])")
def gather(ids, tab, word, out):
    """One word of each row."""
    for k in range(len(ids)):
        out[k] = tab[ids[k], word]
