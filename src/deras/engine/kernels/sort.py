"""Kernels of rows that wait in the order of time for the watermark (trees of :mod:`deras.engine.kernels.rank`)."""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,no-any-return"

from __future__ import annotations

import numpy as np

from deras.core.jit import kernel, routine
from deras.engine.kernels.order import MAX
from deras.engine.kernels.rank import insert, least, remove

_RO1 = "Array(int64, 1, 'C', readonly=True)"


@routine
def _bound(mark, unit):
    """The last word of a time that a watermark in ms covers."""
    if mark >= (MAX - unit) // unit:
        return MAX
    if mark <= -(MAX // unit):
        return -MAX
    return mark * unit + unit - 1


@kernel(
    f"void({_RO1}, {_RO1}, {_RO1}, int64, int64, int64[:, ::1], int64, int64, int64[:, ::1], int64, int64, int64, "
    f"{_RO1}, int64[:, ::1], int64[::1], int64[::1], int64[::1], int64[::1])"
)
def pass_through(
    new, times, marks, unit, high, rows, s, width, tab, c, d, base, bases, orders, out, out_marks, late, state
):
    """Rows in order of arrival wait in the tree of key ``d``; every new watermark lets those go that it covers.

    A row is late when its time is not after that of the last row that went. ``marks``: the watermark that each row saw,
    ascending; ``high``: the one at the end. ``state``: the watermark, the time of the last row that went, then the
    numbers of rows in ``out`` and positions in ``late``.
    """
    n = np.int64(0)
    m = np.int64(0)
    for k in range(len(new) + 1):
        mark = marks[k] if k < len(new) else high
        if mark > state[0]:
            bound = _bound(mark, unit)
            x = least(rows, s, tab[d, c])
            while x >= 0 and rows[x, s + 1] <= bound:
                state[1] = rows[x, s + 1]
                remove(rows, s, width, tab, c, x)
                out[n] = x
                out_marks[n] = state[0]
                n += 1
                x = least(rows, s, tab[d, c])
            state[0] = mark
        if k < len(new):
            if times[k] <= state[1]:
                late[m] = k
                m += 1
            else:
                insert(rows, s, width, tab, c, d, new[k], base, bases, orders, 0)
    state[2] = n
    state[3] = m


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64, int64[:, ::1], int64, int64, int64, {_RO1}, int64[:, ::1])")
def put(new, rows, s, width, tab, c, d, base, bases, orders):
    """Rows into the tree of key ``d``; gives their number."""
    for k in range(len(new)):
        insert(rows, s, width, tab, c, d, new[k], base, bases, orders, 0)
    return len(new)


@kernel(f"void({_RO1}, int64[:, ::1], int64, int64, int64[:, ::1], int64)")
def take_out(gone, rows, s, width, tab, c):
    """Rows out of their trees."""
    for k in range(len(gone)):
        remove(rows, s, width, tab, c, gone[k])


@kernel("int64(int64, int64, int64[:, ::1], int64, int64, int64[:, ::1], int64, int64, int64[::1])")
def due(mark, unit, rows, s, width, tab, c, d, out):
    """Rows that a watermark covers leave the tree of key ``d``, in order; gives their number."""
    n = np.int64(0)
    bound = _bound(mark, unit)
    x = least(rows, s, tab[d, c])
    while x >= 0 and rows[x, s + 1] <= bound:
        remove(rows, s, width, tab, c, x)
        out[n] = x
        n += 1
        x = least(rows, s, tab[d, c])
    return n
