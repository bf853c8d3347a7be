"""Arithmetic of DECIMALs in two words."""

from __future__ import annotations

import numpy as np

from deras.core.jit import kernel, multiply_high


@kernel("void(int64[::1], int64, int64[:, ::1])")
def products(words, factor, out):  # type: ignore[no-untyped-def]
    """Each word times the factor, in 128 bits: int64[n, 2] of (low, high)."""
    for i in range(len(words)):
        a = words[i]
        high = np.int64(multiply_high(np.uint64(a), np.uint64(factor)))
        # Of unsigned factors it is; a negative one counts 2**64 too much.
        if a < np.int64(0):
            high -= factor
        if factor < np.int64(0):
            high -= a
        out[i, 0] = a * factor
        out[i, 1] = high
