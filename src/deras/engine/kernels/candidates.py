"""Kernel of candidate filters: which rows may have the extreme of a window."""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,return-value,no-any-return"

from __future__ import annotations

import numpy as np

from deras.core.jit import kernel

_RO1 = "Array(int64, 1, 'C', readonly=True)"
_ROB = "Array(uint8, 1, 'C', readonly=True)"
_FREE = np.iinfo(np.int64).min


@kernel(
    f"int64({_RO1}, {_ROB}, {_RO1}, {_ROB}, {_RO1}, int64, int64, int64, int64, int64, int64, int64, int64, int64,"
    "int64[::1], int64[::1], int64[::1])"
)
def candidates(
    values, has_value, times, has_time, marks, mark, unit, kind, size, step, offset, low, high, sign, ends, best, out
):
    """Positions of the rows whose value no row before has surpassed in every window that they may meet.

    A window has a place in ``ends`` by its number, a power of two of them. Of two windows of one place the earlier one
    has it, until it has ended: a window without a place lets all rows pass. An ended window that has its place still
    keeps its last value, and late rows are compared with it.

    Args:
        values: words of the values.
        has_value: 0 where one is NULL; empty if none is. Such a row is neither counted nor given.
        times: words of the times.
        has_time: the same of them.
        marks: the watermark that each row saw, ms.
        mark: the watermark before the rows, ms.
        unit: words in a millisecond.
        kind: 0 tumble, 1 hop, 2 cumulate.
        size: of the (longest) window, ms.
        step: between the ends of windows, ms.
        offset: ms that all windows are shifted by.
        low: a row may meet windows that end at its time plus so much, ms,
        high: up to its time plus so much, ms.
        sign: 1 for the greatest value, -1 for the least.
        ends: ends of windows, ms; INT64_MIN in a free place.
        best: their extremes so far.
        out: filled.

    Returns:
        The number of positions.
    """
    free = np.int64(_FREE)
    mask = len(ends) - 1
    whole = low // step
    part = low - whole * step
    n = 0
    # The step of time that the row before was in, [begin, begin + step), and its number.
    begin = np.int64(0)
    number = np.int64(0)
    some = False
    for i in range(len(values)):
        if marks[i] > mark:
            mark = marks[i]
        if (len(has_value) > 0 and not has_value[i]) or (len(has_time) > 0 and not has_time[i]):
            continue
        v = values[i]
        t = times[i] // 1000 if unit == 1000 else times[i] // unit
        if not some or t < begin or t >= begin + step:
            number = (t - offset) // step
            begin = number * step + offset
            some = True
        # The ends of its own windows.
        last = begin + step
        if kind == 1:
            last = begin + size
        elif kind == 2:
            last = (t - offset) // size * size + size + offset
        e = begin + step
        k = number + 1
        while e <= last:
            if e - 1 > mark:
                s = k & mask
                if ends[s] == e:
                    if (v > best[s]) if sign > 0 else (v < best[s]):
                        best[s] = v
                elif ends[s] == free or ends[s] - 1 <= mark or e < ends[s]:
                    ends[s] = e
                    best[s] = v
            e += step
            k += 1
        # The windows that it may meet: the first end from its time plus ``low`` on.
        over = t - begin + part
        k = number + whole
        if over > 0:
            k += 1
        if over > step:
            k += 1
        e = k * step + offset
        while e <= t + high:
            s = k & mask
            if ends[s] != e or ((v >= best[s]) if sign > 0 else (v <= best[s])):
                out[n] = i
                n += 1
                break
            e += step
            k += 1
    return n
