"""Kernels of MATCH_RECOGNIZE: partial matches of many keys, moved on row by row.

Everything here is derived: it is made anew from the rows that are kept. Numbers of records are stored plus one, so that
0 means none.

Cells of a key: 0 the first row (by number) at which a match may begin, 1 and 2 first and last start, 3 and 4 first and
last kept row, 5 rows that wait for the watermark, 6 starts, 7 ways.

A *start* is a row at which matches begin: 1 its time, 2 its number, 3 first of its ways, 4 node of the match that it
has, 5 next start, 6 whether that match is final. A *way* is a partial match: 0 state, 1 node, 2 next way, 3 …
cells of what conditions ask for. A *node* is a row in a match: 0 row plus one, 1 variable (256: hidden), 2 node before, 3 users.
"""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,no-any-return"

from __future__ import annotations

import numpy as np

from deras.core.jit import float_bits, helper, kernel, routine
from deras.engine.kernels.order import compare_text

KEY_CELLS = 8
START_WIDTH = 8
WAY_HEAD = 3
NODE_WIDTH = 4

# Slots: what a way keeps for the conditions.
LAST, FIRST, COUNT, SUM, SUM_FLOAT, MIN, MAX, MIN_FLOAT, MAX_FLOAT, MIN_TEXT, MAX_TEXT = range(11)

# Operations of conditions.
(
    CONST, CONST_FLOAT, CONST_TEXT, NULL, LOAD, LOAD_FLOAT, LOAD_TEXT, LOAD_LIMBS, CELL, CELL_FLOAT, CELL_TEXT,
    AVG, AVG_FLOAT, AVG_DECIMAL, TO_FLOAT, SCALE_UP, SCALE_DOWN, ADD, SUB, MUL, DIV, MOD, NEG, ABS,
    ADD_FLOAT, SUB_FLOAT, MUL_FLOAT, DIV_FLOAT, MOD_FLOAT, NEG_FLOAT, ABS_FLOAT,
    COMPARE, COMPARE_FLOAT, COMPARE_TEXT, AND, OR, NOT, IS_NULL, IS_TRUE, IS_FALSE, SELECT, WRAP, DIV_DECIMAL, SINGLE,
) = range(44)  # fmt: skip

# Kinds of conditions.
ALWAYS, ROW, WAY = 0, 1, 2

# Why a run stopped.
STOP_ROOM = 1
FAIL_MISSING, FAIL_BEGIN = 2, 3

_LOW = np.uint64(0xFFFFFFFF)
_S32 = np.uint64(32)
_LIMIT = 9.2e18


@helper
def _float(w):
    return float_bits(np.uint64(w))


@helper
def _is_null(tab, row, mask):
    return mask >= 0 and (tab[row, mask >> 8] >> (mask & 255)) & 1 != 0


@helper
def _text_at(tab, row, j, base, bases):
    """The address of a text of a kept row."""
    if tab[row, j] & 0xFFFFFFFF <= 12:
        return base + (row * tab.shape[1] + j) * 8 + 4
    ref = np.uint64(tab[row, j + 1])
    return bases[np.int64(ref & _LOW)] + np.int64(ref >> _S32)


@helper
def _down(x, by):
    """x / by, rounded half away from zero."""
    q = abs(x) // by
    if abs(x) - q * by >= by - (abs(x) - q * by):
        q += 1
    return q if x >= 0 else -q


@helper
def _quotient(x, y):
    q = abs(x) // abs(y)
    return q if (x >= 0) == (y >= 0) else -q


@routine
def take(cells, at, slots, variable, row, tab, base, bases):
    """What conditions ask for, after the row has been taken by the variable."""
    for s in range(len(slots)):
        if (slots[s, 1] >> variable) & 1 == 0:
            continue
        kind = slots[s, 0]
        c = at + slots[s, 2]
        if kind == LAST:
            for i in range(slots[s, 3], 0, -1):
                cells[c + i] = cells[c + i - 1]
            cells[c] = row + 1
            continue
        if kind == FIRST:
            seen = cells[c + slots[s, 3] + 1]
            if seen <= slots[s, 3]:
                cells[c + seen] = row + 1
                cells[c + slots[s, 3] + 1] = seen + 1
            continue
        j = slots[s, 4]
        if j >= 0 and _is_null(tab, row, slots[s, 5]):
            continue
        if kind == COUNT:
            cells[c] += 1
            continue
        seen = cells[c + 1]
        cells[c + 1] = seen + 1
        value = tab[row, j]
        if kind == SUM:
            cells[c] += value
        elif kind == SUM_FLOAT:
            cells[c] = np.float64(_float(cells[c]) + _float(value)).view(np.int64)
        elif kind == MIN:
            cells[c] = value if seen == 0 else min(cells[c], value)
        elif kind == MAX:
            cells[c] = value if seen == 0 else max(cells[c], value)
        elif kind == MIN_FLOAT:
            if seen == 0 or _float(value) < _float(cells[c]):
                cells[c] = value
        elif kind == MAX_FLOAT:
            if seen == 0 or _float(value) > _float(cells[c]):
                cells[c] = value
        else:
            better = seen == 0
            if not better:
                held = cells[c] - 1
                order = compare_text(
                    _text_at(tab, row, j, base, bases), tab[row, j] & 0xFFFFFFFF,
                    _text_at(tab, held, j, base, bases), tab[held, j] & 0xFFFFFFFF,
                )  # fmt: skip
                better = order < 0 if kind == MIN_TEXT else order > 0
            if better:
                cells[c] = row + 1


@helper
def _ordered(code, order):
    if code == 0:
        return order == 0
    if code == 1:
        return order != 0
    if code == 2:
        return order < 0
    if code == 3:
        return order <= 0
    if code == 4:
        return order > 0
    return order >= 0


@helper
def _compared(code, a, b):
    if code == 0:
        return a == b
    if code == 1:
        return a != b
    if code == 2:
        return a < b
    if code == 3:
        return a <= b
    if code == 4:
        return a > b
    return a >= b


@routine
def holds(code, begin, end, cells, at, tab, base, bases, texts, si, sf, sn):
    """Whether a condition is TRUE. ``si``, ``sf``, ``sn``: a stack of words (int64[n, 2]), floats and NULLs."""
    top = 0
    for pc in range(begin, end):
        op, a, b, c = code[pc, 0], code[pc, 1], code[pc, 2], code[pc, 3]
        if op <= AVG_DECIMAL:
            sn[top] = 0
            if op == CONST:
                si[top, 0] = a
            elif op == CONST_FLOAT:
                sf[top] = _float(a)
            elif op == CONST_TEXT:
                si[top, 0] = texts + a
                si[top, 1] = b
            elif op == NULL:
                sn[top] = 1
            elif op <= LOAD_LIMBS:
                row = cells[at + a] - 1
                if row < 0 or _is_null(tab, row, c):
                    sn[top] = 1
                elif op == LOAD:
                    si[top, 0] = tab[row, b]
                elif op == LOAD_FLOAT:
                    sf[top] = _float(tab[row, b])
                elif op == LOAD_TEXT:
                    si[top, 0] = _text_at(tab, row, b, base, bases)
                    si[top, 1] = tab[row, b] & 0xFFFFFFFF
                else:
                    si[top, 0] = tab[row, b]
                    if tab[row, b + 1] != tab[row, b] >> 63:
                        sn[top] = 1
            else:
                if b >= 0 and cells[at + b] == 0:
                    sn[top] = 1
                elif op == CELL:
                    si[top, 0] = cells[at + a]
                elif op == CELL_FLOAT:
                    sf[top] = _float(cells[at + a])
                elif op == CELL_TEXT:
                    row = cells[at + a] - 1
                    si[top, 0] = _text_at(tab, row, c, base, bases)
                    si[top, 1] = tab[row, c] & 0xFFFFFFFF
                elif op == AVG:
                    si[top, 0] = _quotient(cells[at + a], cells[at + b])
                elif op == AVG_FLOAT:
                    sf[top] = _float(cells[at + a]) / cells[at + b]
                elif abs(np.float64(cells[at + a])) * c > _LIMIT:
                    sn[top] = 1
                else:
                    si[top, 0] = _down(cells[at + a] * c, cells[at + b])
            top += 1
            continue
        x = top - 1
        if op == TO_FLOAT:
            sf[x] = np.float64(si[x, 0]) / 10.0**a
        elif op == SCALE_UP:
            if abs(np.float64(si[x, 0])) * a > _LIMIT:
                sn[x] = 1
            si[x, 0] *= a
        elif op == SCALE_DOWN:
            si[x, 0] = _down(si[x, 0], a)
        elif op == NEG:
            si[x, 0] = -si[x, 0]
        elif op == ABS:
            si[x, 0] = abs(si[x, 0])
        elif op == NEG_FLOAT:
            sf[x] = -sf[x]
        elif op == ABS_FLOAT:
            sf[x] = abs(sf[x])
        elif op == NOT:
            si[x, 0] = 1 - si[x, 0]
        elif op == IS_NULL:
            si[x, 0] = sn[x]
            sn[x] = 0
        elif op == IS_TRUE:
            si[x, 0] = np.int64(sn[x] == 0 and si[x, 0] != 0)
            sn[x] = 0
        elif op == IS_FALSE:
            si[x, 0] = np.int64(sn[x] == 0 and si[x, 0] == 0)
            sn[x] = 0
        elif op == WRAP:
            si[x, 0] = (si[x, 0] << a) >> a
        elif op == SINGLE:
            sf[x] = np.float64(np.float32(sf[x]))
        elif op == SELECT:
            top -= 2
            y = top - 1 + (1 if sn[top - 1] == 0 and si[top - 1, 0] != 0 else 2)
            si[top - 1, 0] = si[y, 0]
            si[top - 1, 1] = si[y, 1]
            sf[top - 1] = sf[y]
            sn[top - 1] = sn[y]
        else:
            top -= 1
            y = top
            x = top - 1
            if op == AND:
                if (sn[x] == 0 and si[x, 0] == 0) or (sn[y] == 0 and si[y, 0] == 0):
                    si[x, 0] = 0
                    sn[x] = 0
                else:
                    sn[x] |= sn[y]
                    si[x, 0] = 1
                continue
            if op == OR:
                if (sn[x] == 0 and si[x, 0] != 0) or (sn[y] == 0 and si[y, 0] != 0):
                    si[x, 0] = 1
                    sn[x] = 0
                else:
                    sn[x] |= sn[y]
                    si[x, 0] = 0
                continue
            sn[x] |= sn[y]
            if sn[x] != 0:
                continue
            if op == ADD:
                si[x, 0] += si[y, 0]
            elif op == SUB:
                si[x, 0] -= si[y, 0]
            elif op == MUL:
                if a == 1 and abs(np.float64(si[x, 0]) * np.float64(si[y, 0])) > _LIMIT:
                    sn[x] = 1
                si[x, 0] *= si[y, 0]
            elif op == DIV or op == MOD or op == DIV_DECIMAL:
                if si[y, 0] == 0 or (op == DIV_DECIMAL and abs(np.float64(si[x, 0])) * a > _LIMIT):
                    sn[x] = 1
                elif op == DIV:
                    si[x, 0] = _quotient(si[x, 0], si[y, 0])
                elif op == DIV_DECIMAL:
                    down = _down(abs(si[x, 0] * a), abs(si[y, 0]))
                    si[x, 0] = down if (si[x, 0] >= 0) == (si[y, 0] >= 0) else -down
                else:
                    si[x, 0] -= _quotient(si[x, 0], si[y, 0]) * si[y, 0]
            elif op == ADD_FLOAT:
                sf[x] += sf[y]
            elif op == SUB_FLOAT:
                sf[x] -= sf[y]
            elif op == MUL_FLOAT:
                sf[x] *= sf[y]
            elif op == DIV_FLOAT or op == MOD_FLOAT:
                if sf[y] == 0.0:
                    sn[x] = 1
                elif op == DIV_FLOAT:
                    sf[x] /= sf[y]
                else:
                    q = sf[x] / sf[y]
                    sf[x] -= (np.floor(q) if q >= 0 else np.ceil(q)) * sf[y]
            elif op == COMPARE:
                si[x, 0] = np.int64(_compared(a, si[x, 0], si[y, 0]))
            elif op == COMPARE_FLOAT:
                si[x, 0] = np.int64(_compared(a, sf[x], sf[y]))
            else:
                order = compare_text(si[x, 0], si[x, 1], si[y, 0], si[y, 1])
                si[x, 0] = np.int64(_ordered(a, order))
    return sn[0] == 0 and si[0, 0] != 0


@helper
def _drop_node(node, nodes, free_nodes, meta):
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
    _drop_node(ways[way, 1], nodes, free_nodes, meta)
    free_ways[meta[1]] = way
    meta[1] += 1


@helper
def _drop_ways(start, key, starts, ways, nodes, free_ways, free_nodes, meta, index, cell0):
    way = starts[start, 3]
    starts[start, 3] = 0
    while way > 0:
        after = ways[way - 1, 2]
        _drop_way(way - 1, ways, nodes, free_ways, free_nodes, meta)
        index[key, cell0 + 7] -= 1
        way = after


@routine
def _remove_start(
    start, before, key, starts, ways, nodes, free_starts, free_ways, free_nodes, meta, index, cell0
):  # fmt: skip
    """Take a start (its number) out of its key's list, with all that it has. ``before``: number plus one."""
    _drop_ways(start, key, starts, ways, nodes, free_ways, free_nodes, meta, index, cell0)
    _drop_node(starts[start, 4], nodes, free_nodes, meta)
    after = starts[start, 5]
    if before > 0:
        starts[before - 1, 5] = after
    else:
        index[key, cell0 + 1] = after
    if after == 0:
        index[key, cell0 + 2] = before
    index[key, cell0 + 6] -= 1
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
        if bound > index[key, cell0]:
            index[key, cell0] = bound
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
    v, row, word, kinds, needs, conditions, code, cells, at, tab, base, bases, texts, si, sf, sn
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
    way, 6 variables, 7 greatest number of edges, 8 replay. ``number``: the row's word with its number; the link to the
    next row of the key follows. ``least``: the first of the rows' numbers.
    """
    within, skip, bits, eager, pure = plan[0], plan[1], plan[2], plan[3], plan[4]
    cells, variables, width, replay = plan[5], plan[6], plan[7], plan[8]
    for k in range(position, len(rows)):
        row, now, key = rows[k], times[k], keys[k]
        need = (index[key, cell0 + 7] + 1) * width + 2
        if meta[1] < need or meta[2] < need or meta[0] < 1 or len(out) - meta[3] < index[key, cell0 + 6] + 1:
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
        if replay == 0:
            tab[row, number] = least + k
            index[key, cell0 + 5] -= 1
        tab[row, number + 1] = 0
        if index[key, cell0 + 4] > 0:
            tab[index[key, cell0 + 4] - 1, number + 1] = row + 1
        else:
            index[key, cell0 + 3] = row + 1
        index[key, cell0 + 4] = row + 1
        word = tab[row, 0]
        # May a match begin here?
        begins = tab[row, number] >= index[key, cell0]
        if begins:
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
            index[key, cell0 + 6] += 1
            index[key, cell0 + 7] += 1
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
                                asked, row, word, kinds, needs, conditions, code, scratch, asked * cells, tab, base,
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
                        _drop_node(starts[s, 4], nodes, free_nodes, meta)
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
                        index[key, cell0 + 7] += 1
                    e += 1
                _drop_way(w, ways, nodes, free_ways, free_nodes, meta)
                index[key, cell0 + 7] -= 1
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
        if len(out) - meta[3] < index[key, cell0 + 6] + 1:
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
        _drop_node(matches[i] + 1, nodes, free_nodes, meta)


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
