"""Kernels of a queue of rows by due time: a binary heap of (due, birth, row) triples.

A row that was killed or moved leaves its triple behind: it is passed over when it comes up, since the place then holds
a dead row or one of another birth.
"""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,no-any-return"

from __future__ import annotations

from deras.core.jit import helper, kernel

_RO1 = "Array(int64, 1, 'C', readonly=True)"


@helper
def _before(heap, i, due, birth):
    return heap[i, 0] < due or (heap[i, 0] == due and heap[i, 1] < birth)


@kernel(f"void(int64[:, ::1], int64, {_RO1}, {_RO1}, int64[:, ::1], int64)")
def push(heap, n, dues, ids, rows, birth):
    """Rows with their due times into a heap of ``n`` (which has room); ``rows[id, birth]`` is a row's birth."""
    for k in range(len(ids)):
        due = dues[k]
        r = ids[k]
        b = rows[r, birth]
        i = n + k
        while i > 0:
            up = (i - 1) >> 1
            if not (due < heap[up, 0] or (due == heap[up, 0] and b < heap[up, 1])):
                break
            heap[i, 0] = heap[up, 0]
            heap[i, 1] = heap[up, 1]
            heap[i, 2] = heap[up, 2]
            i = up
        heap[i, 0] = due
        heap[i, 1] = b
        heap[i, 2] = r


@kernel("int64(int64[:, ::1], int64, int64, int64[:, ::1], int64, int64[::1], int64[::1], int64[::1])")
def pop(heap, n, limit, rows, birth, ids, dues, left):
    """Live rows due up to ``limit``, by due time then birth, as many as ``ids`` has room for.

    Gives their number; the heap's new size is in ``left[0]``.
    """
    m = 0
    while n > 0 and m < len(ids) and heap[0, 0] <= limit:
        r = heap[0, 2]
        if rows[r, birth] == heap[0, 1] and rows[r, birth + 1] == 0:
            ids[m] = r
            dues[m] = heap[0, 0]
            m += 1
        n -= 1
        due = heap[n, 0]
        b = heap[n, 1]
        last = heap[n, 2]
        i = 0
        while True:
            c = 2 * i + 1
            if c >= n:
                break
            if c + 1 < n and _before(heap, c + 1, heap[c, 0], heap[c, 1]):
                c += 1
            if not _before(heap, c, due, b):
                break
            heap[i, 0] = heap[c, 0]
            heap[i, 1] = heap[c, 1]
            heap[i, 2] = heap[c, 2]
            i = c
        heap[i, 0] = due
        heap[i, 1] = b
        heap[i, 2] = last
    left[0] = n
    return m
