"""Kernels for time: milliseconds of timestamps, watermarks row by row, wall time in a zone, window bounds."""

from __future__ import annotations

import numpy as np

from deras.core.jit import kernel

_RO1 = "Array(int64, 1, 'C', readonly=True)"
_MIN, _MAX = np.int64(-(1 << 63)), np.int64((1 << 63) - 1)
_ROB = "Array(uint8, 1, 'C', readonly=True)"


@kernel(f"int64({_RO1}, {_ROB}, int64, int64, int64, int64, int64[::1], int64[::1])")
def marks_of_rows(words, valid, unit, own, others, table, marks, result):  # type: ignore[no-untyped-def]
    """The watermark that each row of one part saw.

    Args:
        words: the watermark expression per row.
        valid: 1 where it is not NULL; empty if all are.
        unit: words in a millisecond.
        own: the part's watermark before the rows.
        others: the least watermark of the other active parts.
        table: the table's watermark before the rows.
        marks: int64[n], filled.
        result: filled with (own, table) after the rows.
    """
    has = len(valid) > 0
    seen = min(others, own)
    if seen > table:
        table = seen
    # Only a word beyond all before it is divided.
    least = _MIN
    for i in range(len(words)):
        marks[i] = table
        if words[i] >= least and (not has or valid[i]):
            ms = words[i] // unit
            if ms > own:
                own = ms
                table = max(table, min(others, own))
            least = words[i] + 1 if words[i] < _MAX else _MAX
    result[0] = own
    result[1] = table
    return 0


@kernel(f"void({_RO1}, int64, int64[::1], int64[::1], int64[::1])")
def wall_times(words, unit, starts, offsets, out):  # type: ignore[no-untyped-def]
    """Wall time in ms of timestamp words.

    Args:
        words: instants (or wall times, with one offset of 0).
        unit: words in a millisecond.
        starts: instants (ms) from which an offset counts, ascending; the first counts for all before, too.
        offsets: wall time minus UTC in ms.
        out: int64[n], filled.
    """
    k = len(starts)
    j = 0
    for i in range(len(words)):
        ms = words[i] // unit
        if ms < starts[j] or (j + 1 < k and ms >= starts[j + 1]):
            lo = 0
            hi = k
            while hi - lo > 1:
                mid = (lo + hi) >> 1
                if starts[mid] <= ms:
                    lo = mid
                else:
                    hi = mid
            j = lo
        out[i] = ms + offsets[j]


@kernel("void(int64[::1], int64[::1], int64[::1], int64[::1])")
def instants(walls, starts, offsets, out):  # type: ignore[no-untyped-def]
    """Instants of wall times: the later of two in an autumn night, the moment of the change in a spring gap.

    Args:
        walls: wall times in ms.
        starts: instants (ms) from which an offset counts, ascending.
        offsets: wall time minus UTC in ms.
        out: int64[n], filled.
    """
    k = len(starts)
    for i in range(len(walls)):
        w = walls[i]
        # The last offset whose period has begun by this wall time gives the later instant.
        lo = 0
        hi = k
        while hi - lo > 1:
            mid = (lo + hi) >> 1
            if starts[mid] + min(offsets[mid], offsets[mid - 1]) <= w:
                lo = mid
            else:
                hi = mid
        j = lo
        t = w - offsets[j]
        out[i] = starts[j] if j > 0 and t < starts[j] else t


@kernel("int64(int64[::1], int64, int64, int64, int64, int64[::1])")
def count_windows(walls, kind, size, slide, offset, last):  # type: ignore[no-untyped-def]
    """How many windows all rows fall into; fills each row's last (or only) window end.

    Args:
        walls: times in ms.
        kind: 0 tumble, 1 hop, 2 cumulate.
        size: ms.
        slide: ms between hops, or the step of cumulate.
        offset: ms that all windows are shifted by.
        last: int64[n], filled with ends in ms.
    """
    total = 0
    for i in range(len(walls)):
        t = walls[i] - offset
        if kind == 1:
            start = (t // slide) * slide
            last[i] = start + size + offset
            # ends e = start + size - j * slide that are after t
            total += max(0, (start + size - t + slide - 1) // slide)
        elif kind == 2:
            end = (t // size) * size + size
            last[i] = end + offset
            total += (end - (t // slide) * slide) // slide
        else:
            last[i] = (t // size) * size + size + offset
            total += 1
    return total


@kernel("int64(int64[::1], int64, int64, int64, int64, int64[::1], int64[::1], int64[::1])")
def assign_windows(walls, kind, size, slide, offset, rows, starts, ends):  # type: ignore[no-untyped-def]
    """Every (row, window) pair: rows in order, a row's windows by end. Arguments as in ``count_windows``."""
    m = 0
    for i in range(len(walls)):
        t = walls[i] - offset
        if kind == 1:
            last = (t // slide) * slide
            k = max(0, (last + size - t + slide - 1) // slide)
            for j in range(k - 1, -1, -1):
                s = last - j * slide
                rows[m] = i
                starts[m] = s + offset
                ends[m] = s + size + offset
                m += 1
        elif kind == 2:
            s = (t // size) * size
            e = (t // slide) * slide + slide
            while e <= s + size:
                rows[m] = i
                starts[m] = s + offset
                ends[m] = e + offset
                m += 1
                e += slide
        else:
            s = (t // size) * size
            rows[m] = i
            starts[m] = s + offset
            ends[m] = s + size + offset
            m += 1
    return m


@kernel(f"int64({_RO1}, int64, int64, int64, int64, int64, int64, {_RO1}, int64, int64[::1], int64[::1])")
def places_of_rows(words, unit, shift, span, offset, after, spread, marks, low, places, seen):  # type: ignore[no-untyped-def]
    """The window or slice of each row, where wall time is always as far from UTC and no row is late.

    Args:
        words: timestamps.
        unit: words in a millisecond.
        shift: wall time minus UTC in ms.
        span: length of a window or slice, ms.
        offset: that all are shifted by, ms.
        after: from the start of a window or slice to the end of its first window, ms.
        spread: from its start to what ``places`` gets, ms.
        marks: the watermark that each row saw (may fall).
        low: the watermark before the step.
        places: int64[n], filled.
        seen: int64[n + 1], filled with the watermarks seen, each once, rising, the one before the step first.

    Returns:
        The number of watermarks seen; -1 where a row is late for one of its windows.
    """
    seen[0] = low
    m = 1
    top = low
    first = 0
    last = 0  # words of the window: [first, last)
    place = 0
    fire = 0
    for r in range(len(words)):
        w = words[r]
        if w < first or w >= last:
            t = w // unit + shift - offset
            start = t // span * span + offset
            first = (start - shift) * unit
            last = first + span * unit
            place = start + spread
            fire = start + after - 1 - shift
        if marks[r] > top:
            top = marks[r]
            seen[m] = top
            m += 1
        if fire <= top:
            return -1
        places[r] = place
    return m
