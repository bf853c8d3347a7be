"""Kernels of MATCH_RECOGNIZE: the rows of matches that were found."""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,no-any-return"

from __future__ import annotations

from deras.core.jit import kernel
from deras.engine.kernels.match import drop_node


@kernel("void(int64[::1], int64[:, ::1], int64[::1])")
def lengths(matches, nodes, out):
    """The number of rows of matches, by their last nodes."""
    for i in range(len(matches)):
        n = matches[i] + 1
        m = 0
        while n > 0:
            m += 1
            n = nodes[n - 1, 2]
        out[i] = m


@kernel("void(int64[::1], int64[:, ::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1])")
def unfold(matches, nodes, first, rows, variables, free_nodes, meta):
    """The rows and variables of matches, in order; then the matches' nodes are let go."""
    for i in range(len(matches)):
        n = matches[i] + 1
        at = first[i + 1]
        while n > 0:
            at -= 1
            rows[at] = nodes[n - 1, 0] - 1
            variables[at] = nodes[n - 1, 1]
            n = nodes[n - 1, 2]
        drop_node(matches[i] + 1, nodes, free_nodes, meta)


@kernel("void(int64[::1], int64[::1], int64, int64, int64, int64[::1])")
def pick(first, variables, bits, offset, forward, out):
    """The place of one row of each match: of those whose variable is in ``bits`` the first or last but ``offset``.

    -1 where there is none.
    """
    for i in range(len(first) - 1):
        out[i] = -1
        left = offset
        n = first[i + 1] - first[i]
        for j in range(n):
            at = first[i] + j if forward else first[i + 1] - 1 - j
            if (bits >> (variables[at] & 255)) & 1:
                if left == 0:
                    out[i] = at
                    break
                left -= 1


@kernel("void(int64[::1], int64[::1], int64[::1], int64[::1], int64, int64, int64, int64[::1])")
def pick_running(first, variables, upto, owner, bits, offset, forward, out):
    """As ``pick``, for each row as it was when that row was the newest: ``upto`` its place, ``owner`` its match."""
    for i in range(len(upto)):
        out[i] = -1
        left = offset
        begin = first[owner[i]]
        n = upto[i] + 1 - begin
        for j in range(n):
            at = begin + j if forward else upto[i] - j
            if (bits >> (variables[at] & 255)) & 1:
                if left == 0:
                    out[i] = at
                    break
                left -= 1
