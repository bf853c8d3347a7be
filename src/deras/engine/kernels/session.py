"""Kernels of session windows: rows into open sessions, sessions that meet become one, sessions that are over.

A session of a key lasts from its first row's time to ``gap`` after its last one's; sessions that touch are one. It is
over when the watermark has reached its last millisecond. A key's open sessions are a chain that begins in the one cell
of the key; a session's row in the index of sessions holds its birth (the arrival number of its first row) as first
word, and from ``at`` on:

=====  =================================================================================
cell   what
=====  =================================================================================
0      time of its earliest row, ms
1      time of its latest row, ms
2      the key's next session: id + 1, 0 at the end; -1: over, out of the chain
3      the key's id
=====  =================================================================================

While a step runs, sessions that it touches lie in ``slots``: id (-1: new), start, last, next slot (-1), the slot that
it became part of (-1), whether it is over, birth, key id, and the row that made it. A key's cell is then
``-2 - slot`` of its first one. ``heap`` holds (end, id, birth) of every session by an end that it had at some time;
a session that grew is put back when that end comes.
"""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,return-value,no-any-return"

from __future__ import annotations

from deras.core.jit import helper, kernel, prefetch

CELLS = 4
"""Cells of a session."""
SLOT = 9
"""Words of a slot."""

_RO1 = "Array(int64, 1, 'C', readonly=True)"


@kernel(
    f"int64(int64[::1], {_RO1}, {_RO1}, {_RO1}, int64, int64, int64[:, ::1], int64, int64[:, ::1], int64,"
    "int64[::1], int64[:, ::1], int64[::1], int64[::1])"
)
def assign(keys, times, limits, arrivals, gap, begin, ktab, head_at, tab, at, places, slots, touched, counts):
    """Rows into sessions, in order.

    Args:
        keys: key id of each row.
        times: wall time of each row, ms.
        limits: sessions with ``end - 1 <= limits[r]`` are over when row r comes.
        arrivals: arrival number of each row.
        gap: ms.
        begin: first row to take.
        ktab: the table of keys; ``head_at``: its cell.
        tab: the table of sessions; ``at``: its first cell.
        places: filled with the slot of each row, -1 where it is late.
        slots: filled.
        touched: key ids, filled.
        counts: [0] slots, [1] touched keys; zeros before the first call.

    Returns:
        The number of rows; less if ``slots`` is full: call again with more room and that row as ``begin``.
    """
    n = len(keys)
    m = counts[0]
    for r in range(begin, n):
        if r + 12 < n:
            prefetch(ktab, keys[r + 12])
        k = keys[r]
        t = times[r]
        limit = limits[r]
        h = ktab[k, head_at]
        if h >= 0:
            count = 1
            g = h - 1
            while g >= 0:
                count += 1
                g = tab[g, at + 2] - 1
            if m + count > len(slots):
                counts[0] = m
                return r
            head = m if h > 0 else -1
            g = h - 1
            while g >= 0:
                slots[m, 0] = g
                slots[m, 1] = tab[g, at]
                slots[m, 2] = tab[g, at + 1]
                g = tab[g, at + 2] - 1
                slots[m, 3] = m + 1 if g >= 0 else -1
                slots[m, 4] = -1
                slots[m, 5] = 0
                slots[m, 6] = tab[slots[m, 0], 0]
                slots[m, 7] = k
                slots[m, 8] = -1
                m += 1
            touched[counts[1]] = k
            counts[1] += 1
        else:
            if m + 1 > len(slots):
                counts[0] = m
                return r
            head = -h - 2
        target = -1
        low = t
        high = t
        before = -1
        s = head
        while s >= 0:
            after = slots[s, 3]
            end = slots[s, 2] + gap
            gone = True
            if end - 1 <= limit:
                slots[s, 5] = 1
            elif t <= end and t + gap >= slots[s, 1]:
                low = min(low, slots[s, 1])
                high = max(high, slots[s, 2])
                if target < 0:
                    target = s
                elif slots[s, 6] < slots[target, 6]:
                    slots[target, 4] = s
                    target = s
                else:
                    slots[s, 4] = target
            else:
                gone = False
            if gone:
                if before < 0:
                    head = after
                else:
                    slots[before, 3] = after
            else:
                before = s
            s = after
        if target < 0 and t + gap - 1 > limit:
            target = m
            m += 1
            slots[target, 0] = -1
            slots[target, 4] = -1
            slots[target, 5] = 0
            slots[target, 6] = arrivals[r]
            slots[target, 7] = k
            slots[target, 8] = r
        places[r] = target
        if target >= 0:
            slots[target, 1] = low
            slots[target, 2] = high
            slots[target, 3] = head
            head = target
        ktab[k, head_at] = -2 - head
    counts[0] = m
    return n


@kernel("int64(int64[::1], int64[:, ::1], int64, int64[::1])")
def resolve(places, slots, m, fresh):
    """Slots that became part of others: rows and slots to the last of the chain.

    Args:
        places: the slot of each row, changed in place.
        slots: of the step.
        m: how many.
        fresh: filled with the slots that need an id.

    Returns:
        How many do.
    """
    for s in range(m):
        root = slots[s, 4]
        if root >= 0:
            while slots[root, 4] >= 0:
                root = slots[root, 4]
            slots[s, 4] = root
    for r in range(len(places)):
        s = places[r]
        if s >= 0 and slots[s, 4] >= 0:
            places[r] = slots[s, 4]
    n = 0
    for s in range(m):
        if slots[s, 0] < 0 and slots[s, 4] < 0:
            fresh[n] = s
            n += 1
    return n


@helper
def push(heap, size, end, id_, birth):
    """One more entry."""
    i = size
    while i > 0:
        j = (i - 1) >> 2
        if heap[j, 0] <= end:
            break
        heap[i, 0] = heap[j, 0]
        heap[i, 1] = heap[j, 1]
        heap[i, 2] = heap[j, 2]
        i = j
    heap[i, 0] = end
    heap[i, 1] = id_
    heap[i, 2] = birth


@helper
def sink(heap, size, end, id_, birth):
    """This entry in the place of the first one."""
    i = 0
    while True:
        j = 4 * i + 1
        if j >= size:
            break
        best = j
        for c in range(j + 1, min(j + 4, size)):
            if heap[c, 0] < heap[best, 0]:
                best = c
        if heap[best, 0] >= end:
            break
        heap[i, 0] = heap[best, 0]
        heap[i, 1] = heap[best, 1]
        heap[i, 2] = heap[best, 2]
        i = best
    heap[i, 0] = end
    heap[i, 1] = id_
    heap[i, 2] = birth


@kernel(
    "void(int64[:, ::1], int64, int64[::1], int64, int64, int64[:, ::1], int64, int64[:, ::1], int64, int64[:, ::1],"
    "int64[::1], int64[::1], int64[::1], int64[:, ::1])"
)
def settle(slots, m, fresh, n_fresh, gap, ktab, head_at, tab, at, heap, counts, over, empty, merged):
    """Slots back into the tables.

    Args:
        slots: of the step, with ids; ``m``: how many.
        fresh: the slots that are new; ``n_fresh``: how many.
        gap: ms.
        ktab: the table of keys; ``head_at``: its cell.
        tab: the table of sessions; ``at``: its first cell.
        heap: of ends, with room for all new ones.
        counts: [1] touched keys (in ``empty`` at the call), [2] entries of the heap; filled: [3] sessions that are
            over, [4] keys without a session, [5] sessions that became part of others.
        over: filled with ids.
        empty: touched keys; overwritten with those that have no session now.
        merged: filled with (id that goes, id that it became part of).
    """
    n_over = 0
    n_merged = 0
    for s in range(m):
        g = slots[s, 0]
        if slots[s, 4] >= 0:
            if g >= 0:
                merged[n_merged, 0] = g
                merged[n_merged, 1] = slots[slots[s, 4], 0]
                n_merged += 1
                tab[g, at + 2] = -1
            continue
        tab[g, at] = slots[s, 1]
        tab[g, at + 1] = slots[s, 2]
        tab[g, at + 3] = slots[s, 7]
        if slots[s, 5] != 0:
            tab[g, at + 2] = -1
            over[n_over] = g
            n_over += 1
        else:
            tab[g, at + 2] = slots[slots[s, 3], 0] + 1 if slots[s, 3] >= 0 else 0
    for i in range(n_fresh):
        s = fresh[i]
        if slots[s, 5] == 0:
            push(heap, counts[2], slots[s, 2] + gap, slots[s, 0], slots[s, 6])
            counts[2] += 1
    n_empty = 0
    for i in range(counts[1]):
        k = empty[i]
        head = -ktab[k, head_at] - 2
        if head < 0:
            ktab[k, head_at] = 0
            empty[n_empty] = k
            n_empty += 1
        else:
            ktab[k, head_at] = slots[head, 0] + 1
    counts[3] = n_over
    counts[4] = n_empty
    counts[5] = n_merged


@kernel(
    "void(int64, int64, int64[:, ::1], int64, int64[:, ::1], int64, uint8[::1], int64[:, ::1], int64[::1],"
    "int64[::1], int64[::1])"
)
def sweep(limit, gap, ktab, head_at, tab, at, flags, heap, counts, over, empty):
    """Sessions with ``end - 1 <= limit`` leave their chains.

    Args:
        limit: wall time, ms.
        gap: ms.
        ktab: the table of keys; ``head_at``: its cell.
        tab: the table of sessions; ``at``: its first cell; ``flags``: of the sessions' index.
        heap: of ends.
        counts: [2] entries of the heap, changed; filled: [3] how many sessions, [4] how many keys. [6]: 1 if ``over``
            was too short: call again.
        over: filled with ids of sessions.
        empty: filled with keys that have no session now.
    """
    size = counts[2]
    n = 0
    n_empty = 0
    counts[6] = 0
    while size > 0 and heap[0, 0] - 1 <= limit:
        g = heap[0, 1]
        birth = heap[0, 2]
        if (flags[g] & 4) != 0 and tab[g, 0] == birth and tab[g, at + 2] >= 0:
            end = tab[g, at + 1] + gap
            if end > heap[0, 0]:
                sink(heap, size, end, g, birth)
                continue
            if n == len(over):
                counts[6] = 1
                break
            k = tab[g, at + 3]
            after = tab[g, at + 2]
            s = ktab[k, head_at] - 1
            if s == g:
                ktab[k, head_at] = after
                if after == 0:
                    empty[n_empty] = k
                    n_empty += 1
            else:
                while tab[s, at + 2] - 1 != g:
                    s = tab[s, at + 2] - 1
                tab[s, at + 2] = after
            tab[g, at + 2] = -1
            over[n] = g
            n += 1
        size -= 1
        if size > 0:
            sink(heap, size, heap[size, 0], heap[size, 1], heap[size, 2])
    counts[2] = size
    counts[3] = n
    counts[4] = n_empty


@kernel("void(int64[::1], int64[::1], int64, int64[:, ::1], int64, int64[:, ::1], int64, int64[:, ::1], int64[::1])")
def rechain(ids, keys, gap, ktab, head_at, tab, at, heap, counts):
    """After a restore: chains and heap of sessions, given by id and key id."""
    for i in range(len(ids)):
        g = ids[i]
        k = keys[i]
        tab[g, at + 2] = ktab[k, head_at]
        tab[g, at + 3] = k
        ktab[k, head_at] = g + 1
        push(heap, counts[2], tab[g, at + 1] + gap, g, tab[g, 0])
        counts[2] += 1


@kernel("void(int64[:, ::1], int64[:, ::1], int64, int64[:, ::1], int64)")
def join_lists(merged, rows, s, tab, c):
    """Lists of rows (as in :mod:`deras.engine.kernels.join`) of sessions that became part of others.

    Args:
        merged: (id that goes, id that it became part of).
        rows: the table of rows; ``s``: first cell of the list in it.
        tab: the table of sessions; ``c``: first cell of the list in it.
    """
    for i in range(len(merged)):
        old = merged[i, 0]
        new = merged[i, 1]
        r = tab[old, c]
        if r < 0:
            continue
        if tab[new, c] < 0:
            tab[new, c] = r
        else:
            rows[tab[new, c + 1], s + 1] = r
            rows[r, s + 2] = tab[new, c + 1]
        tab[new, c + 1] = tab[old, c + 1]
        tab[new, c + 2] += tab[old, c + 2]
        while r >= 0:
            rows[r, s] = new
            r = rows[r, s + 1]


@kernel("void(int64[::1], int64[:, ::1], int64, int64[:, ::1], int64, int64[::1], int64[::1])")
def members(ids, rows, s, tab, c, found, owners):
    """All rows of sessions, and the place in ``ids`` of each one's session. Arguments as in ``join_lists``."""
    m = 0
    for i in range(len(ids)):
        r = tab[ids[i], c]
        while r >= 0:
            found[m] = r
            owners[m] = i
            m += 1
            r = rows[r, s + 1]
