"""Kernels of change records: the texts of rows are cut out of envelopes and put one after the other."""

# mypy: disable-error-code="no-untyped-def,no-untyped-call"

from __future__ import annotations

from deras.core.jit import kernel, load8
from deras.formats._json_kernel import split_array


@kernel("int64(uint8[::1], int64[:, ::1], int64[:, ::1], int64[::1])")
def split_arrays(data, spans, out, counts):
    """The elements of many JSON arrays, one after the other.

    Args:
        data: bytes.
        spans: [n, 2]: first byte and one after the last of each array; a first byte below 0: no array, no element.
        out: [m, 2], the elements' spans; those beyond its room are only counted.
        counts: int64[n], elements of each array; -1 where the text is none.

    Returns:
        The number of elements.
    """
    total = 0
    for r in range(len(spans)):
        counts[r] = 0
        if spans[r, 0] >= 0:
            n = split_array(data, spans[r, 0], spans[r, 1], out[min(total, len(out)) :])
            counts[r] = max(n, -1)
            total += max(n, 0)
    return total


@kernel("int64(uint8[::1], int64[:, ::1], int64[:, ::1], uint8[::1], int64[:, ::1])")
def assemble(data, first, second, out, spans):
    """Texts one after the other; two objects become one, in which the second one's fields win.

    That is what decoders make of keys that repeat: the last one counts.

    Args:
        data: bytes.
        first: [n, 2]: spans of the texts.
        second: [n, 2]: spans of objects with the fields that replace the first one's; a first byte below 0: none.
        out: room for all of them.
        spans: [n, 2]: where they lie in ``out``.

    Returns:
        The number of bytes written.
    """
    at = 0
    for r in range(len(first)):
        spans[r, 0] = at
        a = first[r, 0]
        b = first[r, 1]
        if second[r, 0] < 0:
            for i in range(a, b):
                out[at] = load8(data, i)
                at += 1
        else:
            begin = at
            for i in range(a, b - 1):
                out[at] = load8(data, i)
                at += 1
            # A comma only between two fields: either object may be empty.
            last = at - 1
            while last > begin and out[last] <= 32:
                last -= 1
            c = second[r, 0] + 1
            d = second[r, 1]
            while load8(data, c) <= 32:
                c += 1
            if last > begin and c < d - 1:
                out[at] = 44
                at += 1
            for i in range(c, d):
                out[at] = load8(data, i)
                at += 1
        spans[r, 1] = at
    return at
