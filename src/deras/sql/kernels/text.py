"""Functions of text over string views: results share the bytes of their arguments where they can.

``said`` is what a kernel says of each row: 1 for a value, 0 for NULL, 2 where the function's general form decides.
"""

from __future__ import annotations

import numpy as np

from deras.core.jit import kernel, load64_at
from deras.sql.kernels.views import ask, fetch8, find_byte, find_text, first_bytes, put_part, region

_HIGH = np.uint64(0x8080808080808080)
_ONES = np.uint64(0x0101010101010101)


@kernel(
    "int64(uint64[:, ::1], int64[::1], uint8[::1], uint64[::1], int64, int64, uint64[:, ::1], uint8[::1])",
)
def split_parts(views, bases, valid, separator, size, index, out, said):  # type: ignore[no-untyped-def]
    """Part ``index`` of each text between separators of ``size`` bytes; gives the number of NULLs.

    Empty text has no parts.
    """
    here = np.int64(views.ctypes.data)
    head = separator[0] & np.uint64(0xFF)
    nulls = np.int64(0)
    for i in range(len(views)):
        ask(views, i, bases)
        start, length, limit = region(views, here, i, bases)
        end = start + length
        at, stop = start, np.int64(-1)
        if length > np.int64(0) and (len(valid) == 0 or valid[i] != 0):
            k = index
            while True:
                if size == np.int64(1):
                    stop = find_byte(at, end, limit, head)
                else:
                    stop = find_text(at, end, limit, separator, size, np.int64(0))
                    stop = end if stop < np.int64(0) else stop
                if k == np.int64(0):
                    break
                if stop == end:
                    stop = np.int64(-1)
                    break
                at = stop + size
                k -= np.int64(1)
        if stop < np.int64(0):
            out[i, 0] = np.uint64(0)
            out[i, 1] = np.uint64(0)
            said[i] = 0
            nulls += np.int64(1)
            continue
        put_part(out, i, views, i, start, at, stop - at, limit)
        said[i] = 1
    return nulls


@kernel("int64(uint64[:, ::1], uint8[::1])")
def long_bytes(views, valid):  # type: ignore[no-untyped-def]
    """The bytes of all texts that do not lie in their views."""
    total = np.int64(0)
    for i in range(len(views)):
        length = np.int64(views[i, 0] & np.uint64(0xFFFFFFFF))
        if length > np.int64(12) and (len(valid) == 0 or valid[i] != 0):
            total += (length + np.int64(7)) & ~np.int64(7)
    return total


@kernel(
    "int64(uint64[:, ::1], int64[::1], uint8[::1], uint8, uint64[:, ::1], uint64[::1], uint8[::1])",
)
def change_case(views, bases, valid, first, out, heap, said):  # type: ignore[no-untyped-def]
    """Letters of ASCII from ``first`` on to the other case; gives the number of undecided rows (not ASCII).

    ``heap``: words of :func:`long_bytes`; a long text begins at a word.
    """
    here = np.int64(views.ctypes.data)
    low = np.uint64(0x80 - np.int64(first)) * _ONES
    high = np.uint64(0x80 - np.int64(first) - 26) * _ONES
    undecided = np.int64(0)
    used = np.int64(0)
    for i in range(len(views)):
        out[i, 0] = np.uint64(0)
        out[i, 1] = np.uint64(0)
        said[i] = 1
        ask(views, i, bases)
        if len(valid) and valid[i] == 0:
            said[i] = 0
            continue
        start, length, limit = region(views, here, i, bases)
        if length <= np.int64(12):
            a = first_bytes(load64_at(start), min(length, np.int64(8)))
            b = np.uint64(0)
            if length > np.int64(8):
                b = first_bytes(load64_at(start + np.int64(4)) >> np.uint64(32), length - np.int64(8))
            if (a | b) & _HIGH:
                said[i] = 2
                undecided += np.int64(1)
                continue
            a ^= (((a + low) ^ (a + high)) & _HIGH) >> np.uint64(2)
            b ^= (((b + low) ^ (b + high)) & _HIGH) >> np.uint64(2)
            out[i, 0] = np.uint64(length) | (a << np.uint64(32))
            out[i, 1] = (a >> np.uint64(32)) | (b << np.uint64(32))
            continue
        begin = used
        seen = np.uint64(0)
        done = np.int64(0)
        while done < length:
            x = fetch8(start + done, limit)
            seen |= x
            heap[used] = x ^ ((((x + low) ^ (x + high)) & _HIGH) >> np.uint64(2))
            used += np.int64(1)
            done += np.int64(8)
        if seen & _HIGH:
            said[i] = 2
            undecided += np.int64(1)
            used = begin
            continue
        out[i, 0] = np.uint64(length) | (heap[begin] << np.uint64(32))
        out[i, 1] = np.uint64(begin * np.int64(8)) << np.uint64(32)
    return undecided
