"""Kernels of changes by key: which row each change of a keyed changelog takes the place of."""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,no-any-return"

from __future__ import annotations

import numpy as np

from deras.core.jit import kernel, prefetch

_RO1 = "Array(int64, 1, 'C', readonly=True)"


@kernel(f"int64({_RO1}, {_RO1}, {_RO1}, int64[:, ::1], int64, int64[::1], int64[::1])")
def replace(ids, weights, new, tab, c, before, after):
    """The row of each change's key before and after it (-1: none), in order.

    ``new``: rows of the changes that came (weight > 0), in order; ``tab[id, c]`` holds the key's row. Gives the number
    of rows in ``new`` that were taken.
    """
    p = np.int64(0)
    for k in range(len(ids)):
        if k + 12 < len(ids):
            prefetch(tab, ids[k + 12])
        d = ids[k]
        before[k] = tab[d, c]
        r = np.int64(-1)
        if weights[k] > 0:
            r = new[p]
            p += 1
        after[k] = r
        tab[d, c] = r
    return p
