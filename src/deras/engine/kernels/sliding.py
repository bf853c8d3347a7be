"""Kernel of sliding windows: which rows are in the window at each moment at which its content changes."""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,return-value,no-any-return"

from __future__ import annotations

from deras.core.jit import kernel

_RO1 = "Array(int64, 1, 'C', readonly=True)"


@kernel(f"int64({_RO1}, {_RO1}, int64, int64, int64, int64[::1], int64[::1])")
def slide(keys, times, size, passed, limit, rows, moments):
    """All (row, moment) pairs with ``passed < moment <= limit`` and ``moment - size < time <= moment``.

    Moments of a key are the times at which its rows come and, ``size`` later, leave.

    Args:
        keys: the key of each row; equal ones lie together.
        times: ms, ascending within a key.
        size: ms.
        passed: moments up to this one are done.
        limit: the last moment wanted.
        rows: filled with positions, as far as they fit.
        moments: filled.

    Returns:
        The number of pairs.
    """
    n = len(keys)
    found = 0
    a = 0
    while a < n:
        b = a
        while b < n and keys[b] == keys[a]:
            b += 1
        low = high = a
        while high < b or low < high:
            at = times[high] if high < b else times[low] + size
            if low < high and times[low] + size < at:
                at = times[low] + size
            if at > limit:
                break
            while high < b and times[high] <= at:
                high += 1
            while low < high and times[low] + size <= at:
                low += 1
            if at > passed:
                if found + high - low <= len(rows):
                    for r in range(low, high):
                        rows[found + r - low] = r
                        moments[found + r - low] = at
                found += high - low
        a = b
    return found
