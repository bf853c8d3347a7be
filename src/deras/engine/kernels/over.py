"""Kernels of OVER: which rows are in the frame of each row, and what aggregates give over them.

Rows of a step come in the order in which they are processed. The first kernel walks them and writes *events*: a row
enters its key's frame (``row << 2``), a row leaves it (``row << 2 | 1``), the result of a row of the step is due
(``place << 2 | 2``). The others follow the events.

A key has, from ``x`` on in its row of the index: [0] time of the last row, [1] first and [2] last row that is kept
(-1: none), [3] their number, [4] rows ever, [5] moments ever, [6] rows before the last moment, [7] rows that wait;
then first and last candidate of each pick. A kept row has, from ``c`` on: [0] its key, [1] next and [2] previous row
(-2: not in the list), [3] gates of DISTINCT (two bits a set: came, went), then one word for each set (its value's id)
and two for each pick (next and previous candidate; -2: none).

A *pick* is MIN, MAX, FIRST_VALUE or LAST_VALUE found as a row: its candidates are those rows of the frame that no
later row beats (a monotonic queue), so the best is always the first of them.
"""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,no-any-return"

from __future__ import annotations

import numpy as np

from deras.core.jit import helper, kernel, prefetch
from deras.engine.kernels.agg import take
from deras.engine.kernels.agg_values import value_less

ROWS, RANGE, ALL = 0, 1, 2
"""Frames: a number of rows, a span of time, everything before."""
LAST, HEAD, TAIL, COUNT, TOTAL, MOMENTS, BEFORE, WAITING, PICKS = range(9)
"""Cells of a key."""
KEY, NEXT, PREVIOUS, GATES, OWN = range(5)
"""Cells of a row."""

_RO1 = "Array(int64, 1, 'C', readonly=True)"
_NONE = np.int64(-1)
_OUT = np.int64(-2)


@kernel(f"void({_RO1}, {_RO1}, int64[:, ::1], int64, int64, int64[::1])")
def leads(ids, times, tab, cell0, stamp, out):
    """The last row of the step with the same key and time, for each row.

    Args:
        ids: the key of each row.
        times: of each row; rows of a key are in order of time.
        tab: the index's table; its first cell is scratch.
        cell0: first cell.
        stamp: number of the step, greater than any before.
        out: filled.
    """
    top = stamp << np.int64(32)
    for r in range(len(ids) - 1, -1, -1):
        if r >= 12:
            prefetch(tab, ids[r - 12])
        g = ids[r]
        held = tab[g, cell0]
        out[r] = r
        if held >> np.int64(32) == stamp:
            after = held & np.int64(0xFFFFFFFF)
            if times[after] == times[r]:
                out[r] = out[after]
        tab[g, cell0] = top | np.int64(r)


@helper
def _append(rows, c, h, tab, x, g):
    last = tab[g, x + 2]
    rows[h, c + 1] = -1
    rows[h, c + 2] = last
    if last < 0:
        tab[g, x + 1] = h
    else:
        rows[last, c + 1] = h
    tab[g, x + 2] = h
    tab[g, x + 3] += 1


@helper
def _shift(rows, c, tab, x, g):
    """Take the first row out of a key's list; gives it."""
    h = tab[g, x + 1]
    after = rows[h, c + 1]
    tab[g, x + 1] = after
    if after < 0:
        tab[g, x + 2] = _NONE
    else:
        rows[after, c + 2] = _NONE
    rows[h, c + 1] = _OUT
    rows[h, c + 2] = _OUT
    tab[g, x + 3] -= 1
    return h


@kernel(
    f"int64({_RO1}, {_RO1}, {_RO1}, {_RO1}, int64, int64, boolean, boolean, {_RO1}, int64[:, ::1], int64, "
    "int64[:, ::1], int64, int64, int64[::1], int64[:, ::1], int64[:, ::1], int64[::1])"
)
def frames(ids, times, place, lead, mode, size, keep, ties, lags, tab, x, rows, c, word, events, ranks, lagged, dead):
    """Move the frames over the rows of a step.

    Args:
        ids: the key of each row.
        times: of each row, ms; not falling for a key.
        place: where each row lies in ``rows``.
        lead: the last peer of each row; empty if a row has no peers.
        mode: ROWS, RANGE or ALL.
        size: rows before the row itself, or ms; for ALL how many rows are kept for LAG.
        keep: whether rows are kept in lists.
        ties: whether rows of one time have one rank.
        lags: distances of LAG.
        tab: the keys.
        x: the first of the cells above.
        rows: the rows.
        c: the first of their cells.
        word: where a row's time is.
        events: filled.
        ranks: int64[n or 0, 3], filled with ROW_NUMBER, RANK, DENSE_RANK.
        lagged: int64[n, lags], filled with rows, -1 for none.
        dead: filled with rows that left a list of ALL; their number in its last place.

    Returns:
        The number of events.
    """
    m = 0
    gone = 0
    peers = len(lead) > 0
    ranked = len(ranks) > 0
    for r in range(len(ids)):
        if r + 12 < len(ids):
            prefetch(tab, ids[r + 12])
        g = ids[r]
        t = times[r]
        h = place[r]
        if ranked:
            total = tab[g, x + 4]
            if not ties or total == 0 or tab[g, x] != t:
                tab[g, x + 5] += 1
                tab[g, x + 6] = total
            tab[g, x + 4] = total + 1
            ranks[r, 0] = total + 1
            ranks[r, 1] = tab[g, x + 6] + 1
            ranks[r, 2] = tab[g, x + 5]
        tab[g, x] = t
        rows[h, c] = g
        if keep:
            _append(rows, c, h, tab, x, g)
        events[m] = h << 2
        m += 1
        final = not peers or lead[r] == r
        if mode == 0:
            if tab[g, x + 3] > size + 1:
                events[m] = _shift(rows, c, tab, x, g) << 2 | 1
                m += 1
        elif mode == 1:
            if final:
                while rows[tab[g, x + 1], word] < t - size:
                    events[m] = _shift(rows, c, tab, x, g) << 2 | 1
                    m += 1
        elif keep and tab[g, x + 3] > size + 1:
            dead[gone] = _shift(rows, c, tab, x, g)
            gone += 1
        for j in range(len(lags)):
            at = tab[g, x + 2]
            for _ in range(lags[j]):
                if at < 0:
                    break
                at = rows[at, c + 2]
            lagged[r, j] = at
        if final:
            events[m] = np.int64(r) << 2 | 2
            m += 1
    if len(dead) > 0:
        dead[len(dead) - 1] = gone
    return m


@kernel("void(int64[::1], int64, int64[:, ::1], int64, int64, int64[:, ::1], int64, int64)")
def gates(events, m, rows, c, number, values, cell, word):
    """Let the values of one DISTINCT come and go; marks the rows that made it.

    Args:
        events: of :func:`frames`; ``m``: their number.
        m: see ``events``.
        rows: the rows; ``word``: where a row has its value's id (-1: it does not count).
        c: the first of their cells.
        number: of the set.
        values: the values; ``cell``: how many rows of the frame have one.
        cell: see ``values``.
        word: see ``rows``.
    """
    came = np.int64(1) << np.int64(2 * number)
    went = np.int64(2) << np.int64(2 * number)
    for e in range(m):
        kind = events[e] & 3
        if kind == 2:
            continue
        h = events[e] >> 2
        v = rows[h, word]
        if v < 0:
            continue
        if kind == 0:
            if values[v, cell] == 0:
                rows[h, c + 3] |= came
            values[v, cell] += 1
        else:
            values[v, cell] -= 1
            if values[v, cell] == 0:
                rows[h, c + 3] |= went


@helper
def _counts(rows, h, mask, bit, filter_word, filter_mask, filter_bit):
    """Whether a row's argument is no NULL and its filter is TRUE."""
    if mask >= 0 and (rows[h, mask] >> bit) & 1:
        return False
    if filter_word >= 0:
        if filter_mask >= 0 and (rows[h, filter_mask] >> filter_bit) & 1:
            return False
        return rows[h, filter_word] != 0
    return True


@helper
def _beats(rows, h, t, kind, j, value, bases):
    """Whether a newer row h puts an older candidate t out for ever."""
    if kind == 0:
        return not value_less(rows, t, h, j, value, bases)
    if kind == 1:
        return not value_less(rows, h, t, j, value, bases)
    return kind == 3


@helper
def _push(rows, h, tab, q, s, pick, bases):
    """A row becomes a candidate of a pick; those that it beats are none any more."""
    t = tab[q[0], q[1] + 1]
    while t >= 0 and _beats(rows, h, t, pick[0], pick[1], pick[2], bases):
        before = rows[t, s + 1]
        rows[t, s] = _OUT
        rows[t, s + 1] = _OUT
        t = before
    rows[h, s] = _NONE
    rows[h, s + 1] = t
    if t < 0:
        tab[q[0], q[1]] = h
    else:
        rows[t, s] = h
    tab[q[0], q[1] + 1] = h


@helper
def _enter_pick(rows, h, tab, g, a, pick, s, bases, single):
    """A row enters for one pick; with ``single`` only the best is ever needed."""
    if not _counts(rows, h, pick[3], pick[4], pick[5], pick[6], pick[7]):
        rows[h, s] = _OUT
        rows[h, s + 1] = _OUT
        return
    if single:
        best = tab[g, a]
        if best >= 0:
            if not _beats(rows, h, best, pick[0], pick[1], pick[2], bases):
                rows[h, s] = _OUT
                rows[h, s + 1] = _OUT
                return
            rows[best, s] = _OUT
            rows[best, s + 1] = _OUT
        rows[h, s] = _NONE
        rows[h, s + 1] = _NONE
        tab[g, a] = h
        tab[g, a + 1] = h
        return
    _push(rows, h, tab, (g, a), s, pick, bases)


@helper
def _leave_pick(rows, h, tab, g, a, s):
    if tab[g, a] != h:
        return
    after = rows[h, s]
    tab[g, a] = after
    if after < 0:
        tab[g, a + 1] = _NONE
    else:
        rows[after, s + 1] = _NONE
    rows[h, s] = _OUT
    rows[h, s + 1] = _OUT


@kernel(
    f"int64(int64[::1], int64, {_RO1}, int64[:, ::1], int64, int64, int64, int64[:, ::1], int64, int64, "
    f"int64[:, ::1], int64[:, ::1], {_RO1}, boolean, int64, int64[:, ::1], int64[:, ::1], int64[::1])"
)
def aggregate(
    events, m, ids, tab, cell0, width, x, rows, base, c, ops, picks, bases, single, arrival, out, best, slots
):
    """Take rows into cells and candidates, and out again; copy them where a result is due.

    Args:
        events: of :func:`frames`; ``m``: their number.
        m: see ``events``.
        ids: the key of each row of the step.
        tab: the keys.
        cell0: the first cell of the aggregates; ``width``: their number.
        width: see ``cell0``.
        x: as in :func:`frames`.
        rows: the rows; ``base``: their address; ``c``: the first of their cells.
        base: see ``rows``.
        c: see ``rows``.
        ops: int64[k, 9]: code, cell, argument's word, its NULL mask (-1: none) and bit, the filter's word (-1: none),
            mask and bit, number of the DISTINCT set (-1: none).
        picks: int64[p, 9]: 0 MIN, 1 MAX, 2 FIRST, 3 LAST; word; kind of value; mask, bit, filter as above; the row's
            cell with the candidate's links.
        bases: addresses of the texts' arenas.
        single: a pick needs its best row only (nothing leaves).
        arrival: number of the step's first row among all rows ever.
        out: int64[n, width], filled.
        best: int64[n, p], filled with rows, -1 for none.
        slots: int64[n], filled: where in ``out`` the result of a row is.

    Returns:
        The number of results.
    """
    s = 0
    stride = np.int64(rows.shape[1] * 8)
    for e in range(m):
        if e + 12 < m:
            ahead = events[e + 12]
            if ahead & 3 == 2:
                prefetch(tab, ids[ahead >> 2])
            else:
                prefetch(rows, ahead >> 2)
        kind = events[e] & 3
        h = events[e] >> 2
        if kind == 2:
            g = ids[h]
            for j in range(width):
                out[s, j] = tab[g, cell0 + j]
            for p in range(len(picks)):
                best[s, p] = tab[g, x + PICKS + 2 * p]
            slots[h] = s
            s += 1
            continue
        g = rows[h, c]
        w = np.int64(1) if kind == 0 else np.int64(-1)
        tab[g, cell0 + 1] += w
        for i in range(len(ops)):
            if not _counts(rows, h, ops[i, 3], ops[i, 4], ops[i, 5], ops[i, 6], ops[i, 7]):
                continue
            gate = ops[i, 8]
            if gate >= 0 and (rows[h, c + 3] >> np.int64(2 * gate + kind)) & 1 == 0:
                continue
            take(tab, g, cell0 + ops[i, 1], ops[i, 0], base + h * stride + 8 * ops[i, 2], 0, w, arrival + e)
        for p in range(len(picks)):
            a = x + PICKS + 2 * p
            if kind == 0:
                _enter_pick(rows, h, tab, g, a, picks[p], c + picks[p, 8], bases, single)
            else:
                _leave_pick(rows, h, tab, g, a, c + picks[p, 8])
    return s


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64, int64, int64[::1])")
def unused(place, rows, c, first, picks, out):
    """Rows that are in no list and are no candidate of any pick (links from cell ``first`` on); gives their number."""
    m = 0
    for k in range(len(place)):
        h = place[k]
        used = rows[h, c + 1] != _OUT
        for p in range(picks):
            used |= rows[h, c + first + 2 * p] != _OUT
        if not used:
            out[m] = h
            m += 1
    return m


@kernel(f"void({_RO1}, {_RO1}, int64[:, ::1], int64, int64[:, ::1], int64, int64[:, ::1], {_RO1}, boolean, boolean)")
def relink(ids, place, tab, x, rows, c, picks, bases, single, keep):
    """After a restore: rows in their order into lists and among candidates."""
    for k in range(len(ids)):
        g = ids[k]
        h = place[k]
        rows[h, c] = g
        if keep:
            _append(rows, c, h, tab, x, g)
        for p in range(len(picks)):
            _enter_pick(rows, h, tab, g, x + PICKS + 2 * p, picks[p], c + picks[p, 8], bases, single)


@helper
def _moved(rows, old, new, s, tab, g, a):
    after = rows[old, s]
    before = rows[old, s + 1]
    rows[new, s] = after
    rows[new, s + 1] = before
    if after == _OUT:
        return
    if before < 0:
        tab[g, a] = new
    else:
        rows[before, s] = new
    if after < 0:
        tab[g, a + 1] = new
    else:
        rows[after, s + 1] = new


@kernel(f"void({_RO1}, {_RO1}, int64[:, ::1], int64, int64[:, ::1], int64, int64, int64)")
def moved(old, new, tab, x, rows, c, first, picks):
    """Rows moved: lists and candidates follow. Neighbours may have moved too: the old place hands on the links."""
    for k in range(len(old)):
        g = rows[old[k], c]
        _moved(rows, old[k], new[k], c + 1, tab, g, x + 1)
        for p in range(picks):
            _moved(rows, old[k], new[k], c + first + 2 * p, tab, g, x + PICKS + 2 * p)


@kernel(f"void({_RO1}, int64[:, ::1], int64, int64)")
def count(ids, tab, cell, w):
    """Add to one cell of each id, as often as it is given."""
    for k in range(len(ids)):
        if k + 12 < len(ids):
            prefetch(tab, ids[k + 12])
        tab[ids[k], cell] += w


@kernel(f"void({_RO1}, {_RO1}, {_RO1}, {_RO1}, {_RO1}, {_RO1}, {_RO1}, {_RO1}, int64[:, ::1], int64, uint8[::1])")
def judge(who, when, mark, order, keys, times, dues, by_key, tab, x, late):
    """Which rows behind the watermark are late: not later than the last row of their key that has been processed.

    Args:
        who: key of each row to be judged, in order of arrival.
        when: its time, ms.
        mark: the watermark that it saw.
        order: the rows to be judged, by key, then arrival.
        keys: key of each row that is processed in this step (those to be judged among them: late ones change nothing).
        times: its time.
        dues: the watermark from which it is processed.
        by_key: those rows, by key, then due.
        tab: the keys.
        x: as in :func:`frames`.
        late: set to 1 for late rows.
    """
    p = 0
    n = len(by_key)
    last = np.int64(0)
    before = _NONE
    for k in range(len(order)):
        b = order[k]
        g = who[b]
        if g != before:
            before = g
            last = tab[g, x]
            while p < n and keys[by_key[p]] < g:
                p += 1
        while p < n and keys[by_key[p]] == g and dues[by_key[p]] <= mark[b]:
            last = max(last, times[by_key[p]])
            p += 1
        if when[b] <= last:
            late[b] = 1


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64[:, ::1], int64, int64[::1])")
def drain(ids, tab, x, rows, c, out):
    """All rows kept for some keys, which have none afterwards; gives their number."""
    m = 0
    for k in range(len(ids)):
        while tab[ids[k], x + 1] >= 0:
            out[m] = _shift(rows, c, tab, x, ids[k])
            m += 1
    return m


@kernel(
    f"void({_RO1}, {_RO1}, boolean, boolean, int64, boolean, int64, {_RO1}, {_RO1}, boolean, int64[::1], int64[::1])"
)
def spans(starts, dense, by_rows, low_open, lower, high_open, upper, values, valid, descending, lo, hi):
    """First and last row of the frame of each row of whole, ordered partitions (empty where ``hi`` is below ``lo``).

    Args:
        starts: where each partition begins, and the end.
        dense: DENSE_RANK of each row: peers have the same.
        by_rows: whether bounds count rows; else they are distances of ``values``.
        low_open: no lower bound.
        lower: distance of the lower bound before the row.
        high_open: no upper bound.
        upper: distance of the upper bound behind the row.
        values: what distances are measured by; may be empty where no bound is a distance.
        valid: 0 where it is NULL: such rows see one another.
        descending: whether values fall.
        lo: filled.
        hi: filled.
    """
    for k in range(len(starts) - 1):
        a = starts[k]
        b = starts[k + 1]
        i = a
        j = a
        first = a
        last = a
        for r in range(a, b):
            if r > a and dense[r] != dense[r - 1]:
                first = r
            if last < r or r == a:
                last = r
                while last + 1 < b and dense[last + 1] == dense[r]:
                    last += 1
            low = a
            high = b - 1
            if by_rows:
                if not low_open:
                    low = max(a, r - lower)
                if not high_open:
                    high = min(b - 1, r + upper)
            elif len(valid) > 0 and valid[r] == 0:
                low = a if low_open else first
                high = b - 1 if high_open else last
            else:
                if not low_open:
                    if lower == 0:
                        low = first
                    else:
                        while i < b and (
                            (len(valid) > 0 and valid[i] == 0 and i < r)
                            or (values[r] - values[i] if not descending else values[i] - values[r]) > lower
                        ):
                            i += 1
                        low = i
                if not high_open:
                    if upper == 0:
                        high = last
                    else:
                        j = max(j, last)
                        while (
                            j + 1 < b
                            and not (len(valid) > 0 and valid[j + 1] == 0)
                            and (values[j + 1] - values[r] if not descending else values[r] - values[j + 1]) <= upper
                        ):
                            j += 1
                        high = j
                        while high >= a and (
                            (values[high] - values[r] if not descending else values[r] - values[high]) > upper
                        ):
                            high -= 1
            lo[r] = min(low, high + 1)
            hi[r] = high


@kernel(f"int64({_RO1}, {_RO1}, {_RO1}, int64[:, ::1], int64, int64[::1])")
def walk(starts, lo, hi, rows, c, events):
    """Events that move a frame over whole partitions, from what :func:`spans` gave; gives their number.

    ``rows`` are in the partitions' order; the key of a row (cell ``c``) is its partition's place.
    """
    m = 0
    for k in range(len(starts) - 1):
        i = starts[k]
        o = starts[k]
        for r in range(starts[k], starts[k + 1]):
            while i <= hi[r]:
                rows[i, c] = k
                events[m] = i << 2
                m += 1
                i += 1
            while o < lo[r] and o < i:
                events[m] = o << 2 | 1
                m += 1
                o += 1
            events[m] = np.int64(r) << 2 | 2
            m += 1
    return m
