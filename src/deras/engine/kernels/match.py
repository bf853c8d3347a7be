"""Kernels of MATCH_RECOGNIZE: partial matches of many keys, moved on row by row.

Everything here is derived: it is made anew from the rows that are kept. Numbers of records are stored plus one, so that
0 means none.

Cells of a key: 0 rows that wait for the watermark, 1 and 2 first and last start, 3 and 4 first and last kept row,
5 starts, 6 ways.

A *start* is a row at which matches begin: 1 its time, 2 its number, 3 first of its ways, 4 node of the match that it
has, 5 next start, 6 whether that match is final. A *way* is a partial match: 0 state, 1 node, 2 next way, 3 …
cells of what conditions ask for. A *node* is a row in a match: 0 row plus one, 1 variable (256: hidden), 2 node before,
3 users.
"""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,no-any-return"

from __future__ import annotations

import numpy as np

from deras.core.jit import helper, kernel, routine
from deras.engine.kernels.match_conditions import holds, take

KEY_CELLS = 7
START_WIDTH = 8
WAY_HEAD = 3
NODE_WIDTH = 4

# Kinds of conditions.
ALWAYS, ROW, WAY = 0, 1, 2

# Why a run stopped.
STOP_ROOM = 1
FAIL_MISSING, FAIL_BEGIN = 2, 3


@helper
def drop_node(node, nodes, free_nodes, meta):
    """One user less of a node (its number plus one)."""
    while node > 0:
        n = node - 1
        nodes[n, 3] -= 1
        if nodes[n, 3] > 0:
            return
        free_nodes[meta[2]] = n
        meta[2] += 1
        node = nodes[n, 2]


@helper
def _drop_way(way, ways, nodes, free_ways, free_nodes, meta):
    drop_node(ways[way, 1], nodes, free_nodes, meta)
    free_ways[meta[1]] = way
    meta[1] += 1


@helper
def _drop_ways(start, key, starts, ways, nodes, free_ways, free_nodes, meta, index, cell0):
    way = starts[start, 3]
    starts[start, 3] = 0
    while way > 0:
        after = ways[way - 1, 2]
        _drop_way(way - 1, ways, nodes, free_ways, free_nodes, meta)
        index[key, cell0 + 6] -= 1
        way = after


@routine
def _remove_start(
    start, before, key, starts, ways, nodes, free_starts, free_ways, free_nodes, meta, index, cell0
):  # fmt: skip
    """Take a start (its number) out of its key's list, with all that it has. ``before``: number plus one."""
    _drop_ways(start, key, starts, ways, nodes, free_ways, free_nodes, meta, index, cell0)
    drop_node(starts[start, 4], nodes, free_nodes, meta)
    after = starts[start, 5]
    if before > 0:
        starts[before - 1, 5] = after
    else:
        index[key, cell0 + 1] = after
    if after == 0:
        index[key, cell0 + 2] = before
    index[key, cell0 + 5] -= 1
    free_starts[meta[0]] = start
    meta[0] += 1


@routine
def _skip_to(node, start, skip, bits, starts, nodes, tab, number):
    """The number of the first row at which the next match may begin; below 0: why there is none."""
    begin = starts[start, 2]
    if skip == 0:
        return tab[nodes[node - 1, 0] - 1, number] + 1
    if skip == 1:
        return begin + 1
    found = np.int64(-1)
    while node > 0:
        n = node - 1
        if (bits >> (nodes[n, 1] & 255)) & 1:
            found = tab[nodes[n, 0] - 1, number]
            if skip == 3:
                break
        node = nodes[n, 2]
    if found < 0:
        return np.int64(-FAIL_MISSING)
    return found if found > begin else np.int64(-FAIL_BEGIN)


@routine
def _emit(
    key, moment, skip, bits, starts, ways, nodes, free_starts, free_ways, free_nodes, meta, index, cell0, tab, number,
    out,
):  # fmt: skip
    """Give the matches of a key that nothing earlier can overtake; gives why it failed, or 0."""
    while index[key, cell0 + 1] > 0:
        s = index[key, cell0 + 1] - 1
        if starts[s, 6] == 0:
            if starts[s, 3] > 0:
                return 0
            if starts[s, 4] == 0:
                _remove_start(
                    s, 0, key, starts, ways, nodes, free_starts, free_ways, free_nodes, meta, index, cell0
                )  # fmt: skip
                continue
        node = starts[s, 4]
        bound = _skip_to(node, s, skip, bits, starts, nodes, tab, number)
        if bound < 0:
            return -bound
        m = meta[3]
        out[m, 0] = key
        out[m, 1] = node - 1
        out[m, 2] = moment
        out[m, 3] = starts[s, 2]
        meta[3] = m + 1
        starts[s, 4] = 0
        while index[key, cell0 + 1] > 0 and starts[index[key, cell0 + 1] - 1, 2] < bound:
            _remove_start(
                index[key, cell0 + 1] - 1, 0, key, starts, ways, nodes, free_starts, free_ways, free_nodes, meta,
                index, cell0,
            )  # fmt: skip
    return 0


@helper
def _trim(key, index, cell0, starts, tab, number, killed, meta):
    """Let go of the rows before the first start of a key."""
    first = index[key, cell0 + 1]
    least = starts[first - 1, 2] if first > 0 else np.int64(0x7FFFFFFFFFFFFFFF)
    row = index[key, cell0 + 3]
    while row > 0 and tab[row - 1, number] < least:
        killed[meta[4]] = row - 1
        meta[4] += 1
        row = tab[row - 1, number + 1]
    index[key, cell0 + 3] = row
    if row == 0:
        index[key, cell0 + 4] = 0


@routine
def _expire(
    key, now, within, skip, bits, starts, ways, nodes, free_starts, free_ways, free_nodes, meta, index, cell0, tab,
    number, out,
):  # fmt: skip
    """End the partial matches that took too long, one by one."""
    before = np.int64(0)
    start = index[key, cell0 + 1]
    while start > 0:
        s = start - 1
        moment = starts[s, 1] + within
        if moment > now:
            return 0
        if starts[s, 6] != 0:
            before = start
            start = starts[s, 5]
            continue
        _drop_ways(s, key, starts, ways, nodes, free_ways, free_nodes, meta, index, cell0)
        if starts[s, 4] > 0:
            starts[s, 6] = 1
        else:
            _remove_start(
                s, before, key, starts, ways, nodes, free_starts, free_ways, free_nodes, meta, index, cell0
            )  # fmt: skip
        failed = _emit(
            key, 2 * moment, skip, bits, starts, ways, nodes, free_starts, free_ways, free_nodes, meta, index, cell0,
            tab, number, out,
        )  # fmt: skip
        if failed:
            return failed
        before = np.int64(0)
        start = index[key, cell0 + 1]
    return 0


@helper
def _true(
    v, word, kinds, needs, conditions, code, cells, at, tab, base, bases, texts, si, sf, sn
):  # fmt: skip
    if kinds[v] == ALWAYS:
        return True
    if (word & needs[v]) != needs[v]:
        return False
    if kinds[v] == ROW:
        return True
    return holds(code, conditions[v], conditions[v + 1], cells, at, tab, base, bases, texts, si, sf, sn)


@kernel(
    "int64(int64[::1], int64[::1], int64[::1], int64, int64[::1], int64[:, ::1], int64[::1], int64[::1], int64[::1],"
    " int64[::1], int64[::1], int64[:, ::1], int64[:, ::1], int64, int64[:, ::1], int64, int64[::1], int64, int64,"
    " int64[:, ::1], int64, int64[:, ::1], int64[:, ::1], int64[:, ::1], int64[::1], int64[::1], int64[::1],"
    " int64[::1], int64[::1], int64[:, ::1], int64[::1], int64[:, ::1], float64[::1], uint8[::1],"
    " int64[::1])"
)
def run(
    rows, times, keys, position, plan, edges, first, ends, kinds, needs, conditions, code, slots, texts, tab, base,
    bases, number, least, index, cell0, starts, ways, nodes, free_starts, free_ways, free_nodes, meta, killed, out,
    seen, si, sf, sn, scratch,
):  # fmt: skip
    """Move the partial matches on over rows, in order; gives the row at which room or luck ended.

    ``plan``: 0 within (ms, or 0), 1 skip, 2 its variables (bits), 3 eager, 4 conditions on the row only, 5 cells of a
    way, 6 greatest number of edges. ``number``: the row's word with its number; the link to the
    next row of the key follows. ``least``: the first of the rows' numbers.
    """
    within, skip, bits, eager, pure = plan[0], plan[1], plan[2], plan[3], plan[4]
    cells, width = plan[5], plan[6]
    for k in range(position, len(rows)):
        row, now, key = rows[k], times[k], keys[k]
        need = (index[key, cell0 + 6] + 1) * width + 2
        if meta[1] < need or meta[2] < need or meta[0] < 1 or len(out) - meta[3] < index[key, cell0 + 5] + 1:
            meta[6] = need
            return k
        if within > 0:
            failed = _expire(
                key, now, within, skip, bits, starts, ways, nodes, free_starts, free_ways, free_nodes, meta, index,
                cell0, tab, number, out,
            )  # fmt: skip
            if failed:
                meta[7] = failed
                return k
        # The row joins those that are kept.
        tab[row, number] = least + k
        index[key, cell0] -= 1
        tab[row, number + 1] = 0
        if index[key, cell0 + 4] > 0:
            tab[index[key, cell0 + 4] - 1, number + 1] = row + 1
        else:
            index[key, cell0 + 3] = row + 1
        index[key, cell0 + 4] = row + 1
        word = tab[row, 0]
        # May a match begin here?
        begins = False
        for e in range(first[0], first[1]):
            v = edges[e, 0]
            if kinds[v] == ALWAYS or (word & needs[v]) == needs[v]:
                begins = True
                break
        if begins:
            meta[0] -= 1
            s = free_starts[meta[0]]
            meta[1] -= 1
            way = free_ways[meta[1]]
            ways[way, 0] = 0
            ways[way, 1] = 0
            ways[way, 2] = 0
            for c in range(cells):
                ways[way, WAY_HEAD + c] = 0
            starts[s, 1] = now
            starts[s, 2] = tab[row, number]
            starts[s, 3] = way + 1
            starts[s, 4] = 0
            starts[s, 5] = 0
            starts[s, 6] = 0
            last = index[key, cell0 + 2]
            if last > 0:
                starts[last - 1, 5] = s + 1
            else:
                index[key, cell0 + 1] = s + 1
            index[key, cell0 + 2] = s + 1
            index[key, cell0 + 5] += 1
            index[key, cell0 + 6] += 1
        before = np.int64(0)
        start = index[key, cell0 + 1]
        while start > 0:
            s = start - 1
            following = starts[s, 5]
            if starts[s, 6] != 0:
                before = start
                start = following
                continue
            meta[5] += 1
            stamp = meta[5]
            way = starts[s, 3]
            starts[s, 3] = 0
            tail = np.int64(0)
            cut = False
            while way > 0:
                w = way - 1
                way = ways[w, 2]
                state = ways[w, 0]
                made = np.int64(0)
                tried = np.int64(0)
                true = np.int64(0)
                e = first[state]
                while e < first[state + 1] and not cut:
                    v = edges[e, 0]
                    guards = edges[e, 2]
                    ok = True
                    # First what must not hold, then the variable itself.
                    u = np.int64(0)
                    while True:
                        asked = v
                        if guards != 0:
                            while guards & 1 == 0:
                                guards >>= 1
                                u += 1
                            asked = u
                        if (tried >> asked) & 1 == 0:
                            tried |= np.int64(1) << asked
                            if cells > 0 and (made >> asked) & 1 == 0 and kinds[asked] == WAY:
                                for c in range(cells):
                                    scratch[asked * cells + c] = ways[w, WAY_HEAD + c]
                                take(scratch, asked * cells, slots, asked, row, tab, base, bases)
                                made |= np.int64(1) << asked
                            if _true(
                                asked, word, kinds, needs, conditions, code, scratch, asked * cells, tab, base,
                                bases, texts, si, sf, sn,
                            ):  # fmt: skip
                                true |= np.int64(1) << asked
                        held = (true >> asked) & 1 != 0
                        if guards != 0:
                            if held:
                                ok = False
                                break
                            guards ^= 1
                            continue
                        ok = held
                        break
                    if not ok:
                        e += 1
                        continue
                    to = edges[e, 1]
                    if pure != 0:
                        if seen[to] == stamp:
                            e += 1
                            continue
                        seen[to] = stamp
                    meta[2] -= 1
                    n = free_nodes[meta[2]]
                    nodes[n, 0] = row + 1
                    nodes[n, 1] = v | edges[e, 3] << 8
                    nodes[n, 2] = ways[w, 1]
                    nodes[n, 3] = 1
                    if ways[w, 1] > 0:
                        nodes[ways[w, 1] - 1, 3] += 1
                    if ends[to] != 0:
                        drop_node(starts[s, 4], nodes, free_nodes, meta)
                        starts[s, 4] = n + 1
                        cut = True
                    if ends[to] != 1:
                        if ends[to] == 2:
                            nodes[n, 3] += 1
                        meta[1] -= 1
                        new = free_ways[meta[1]]
                        ways[new, 0] = to
                        ways[new, 1] = n + 1
                        ways[new, 2] = 0
                        if cells > 0:
                            if (made >> v) & 1 == 0:
                                for c in range(cells):
                                    scratch[v * cells + c] = ways[w, WAY_HEAD + c]
                                take(scratch, v * cells, slots, v, row, tab, base, bases)
                                made |= np.int64(1) << v
                            for c in range(cells):
                                ways[new, WAY_HEAD + c] = scratch[v * cells + c]
                        if tail > 0:
                            ways[tail - 1, 2] = new + 1
                        else:
                            starts[s, 3] = new + 1
                        tail = new + 1
                        index[key, cell0 + 6] += 1
                    e += 1
                _drop_way(w, ways, nodes, free_ways, free_nodes, meta)
                index[key, cell0 + 6] -= 1
            if cut and eager != 0:
                _drop_ways(s, key, starts, ways, nodes, free_ways, free_nodes, meta, index, cell0)
            if starts[s, 3] == 0:
                if starts[s, 4] > 0:
                    starts[s, 6] = 1
                else:
                    _remove_start(
                        s, before, key, starts, ways, nodes, free_starts, free_ways, free_nodes, meta, index, cell0
                    )  # fmt: skip
                    start = following
                    continue
            before = start
            start = following
        failed = _emit(
            key, 2 * now + 1, skip, bits, starts, ways, nodes, free_starts, free_ways, free_nodes, meta, index, cell0,
            tab, number, out,
        )  # fmt: skip
        if failed:
            meta[7] = failed
            return k
        _trim(key, index, cell0, starts, tab, number, killed, meta)
    return len(rows)


@kernel(
    "int64(int64[::1], int64, int64, int64[::1], int64[:, ::1], int64, int64[:, ::1], int64, int64[:, ::1],"
    " int64[:, ::1], int64[:, ::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[:, ::1])"
)
def expire(
    keys, position, now, plan, tab, number, index, cell0, starts, ways, nodes, free_starts, free_ways, free_nodes,
    meta, killed, out,
):  # fmt: skip
    """End the partial matches of some keys that took too long at a time; gives the key at which room or luck ended."""
    for k in range(position, len(keys)):
        key = keys[k]
        if len(out) - meta[3] < index[key, cell0 + 5] + 1:
            meta[6] = 0
            return k
        failed = _expire(
            key, now, plan[0], plan[1], plan[2], starts, ways, nodes, free_starts, free_ways, free_nodes, meta, index,
            cell0, tab, number, out,
        )  # fmt: skip
        if failed:
            meta[7] = failed
            return k
        _trim(key, index, cell0, starts, tab, number, killed, meta)
    return len(keys)


@kernel("void(int64[::1], int64[::1], int64[::1], int64, int64)")
def renumber(old, new, held, stride, at):
    """Rows that moved: ``held`` holds ids plus one at ``at``, ``at + stride`` …; ``old`` ascends."""
    i = at
    while i < len(held):
        wanted = held[i] - 1
        low, high = 0, len(old)
        while low < high:
            mid = (low + high) // 2
            if old[mid] < wanted:
                low = mid + 1
            else:
                high = mid
        if low < len(old) and old[low] == wanted:
            held[i] = new[low] + 1
        i += stride
