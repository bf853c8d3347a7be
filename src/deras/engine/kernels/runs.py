"""Kernels of runs: neighbouring rows with one key."""

# Numba is typed in part only.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,call-arg"

from __future__ import annotations

from deras.core.jit import kernel

_RO1 = "Array(int64, 1, 'C', readonly=True)"
_ROB = "Array(uint8, 1, 'C', readonly=True)"
_RO2 = "Array(int64, 2, 'C', readonly=True)"


@kernel(f"int64({_RO1}, {_ROB}, uint8[::1])")
def heads_of_words(words, valid, heads):
    """Set ``heads[r]`` where row r has another word than the row before; gives the number of heads so far.

    ``valid``: 0 where a row is NULL, empty: none is.
    """
    nulls = len(valid) > 0
    m = 0
    for r in range(1, len(words)):
        other = words[r] != words[r - 1]
        if nulls:
            other = valid[r] != valid[r - 1] or (valid[r] != 0 and other)
        if other:
            heads[r] = 1
        m += heads[r]
    return m


@kernel(f"int64({_RO2}, {_ROB}, uint8[::1])")
def heads_of_pairs(pairs, valid, heads):
    """As :func:`heads_of_words`, for two words a row. Views that are equal are equal texts; others may be, too."""
    nulls = len(valid) > 0
    m = 0
    for r in range(1, len(pairs)):
        other = pairs[r, 0] != pairs[r - 1, 0] or pairs[r, 1] != pairs[r - 1, 1]
        if nulls:
            other = valid[r] != valid[r - 1] or (valid[r] != 0 and other)
        if other:
            heads[r] = 1
        m += heads[r]
    return m


@kernel("void(int64[::1], int64[::1], int64[::1])")
def spread(starts, owners, ids):
    """The owner of each row; ``starts``: the first row of each run, and at last the number of rows."""
    for q in range(len(owners)):
        for r in range(starts[q], starts[q + 1]):
            ids[r] = owners[q]
