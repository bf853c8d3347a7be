"""Kernels of MATCH_RECOGNIZE: conditions that look at other rows of a match, as operations on a small stack.

A partial match keeps *cells* of what its conditions ask for: ids of rows plus one (0: none), and running aggregates
with the number of their values. Slots say what is kept where: 0 kind, 1 variables (bits), 2 first cell, 3 greatest
offset, 4 and 5 the column's word in a row and its NULL bit (``word << 8 | bit``, -1: never NULL).
"""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,no-any-return"

from __future__ import annotations

import numpy as np

from deras.core.jit import float_bits, helper, routine
from deras.engine.kernels.order import compare_text

# Slots: what a way keeps for the conditions.
LAST, FIRST, COUNT, SUM, SUM_FLOAT, MIN, MAX, MIN_FLOAT, MAX_FLOAT, MIN_TEXT, MAX_TEXT = range(11)

# Operations of conditions.
(
    CONST, CONST_FLOAT, CONST_TEXT, NULL, LOAD, LOAD_FLOAT, LOAD_TEXT, LOAD_LIMBS, CELL, CELL_FLOAT, CELL_TEXT,
    AVG, AVG_FLOAT, AVG_DECIMAL, TO_FLOAT, SCALE_UP, SCALE_DOWN, ADD, SUB, MUL, DIV, MOD, NEG, ABS,
    ADD_FLOAT, SUB_FLOAT, MUL_FLOAT, DIV_FLOAT, MOD_FLOAT, NEG_FLOAT, ABS_FLOAT,
    COMPARE, COMPARE_FLOAT, COMPARE_TEXT, AND, OR, NOT, IS_NULL, IS_TRUE, IS_FALSE, SELECT, WRAP, DIV_DECIMAL, SINGLE,
) = range(44)  # fmt: skip

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
    """X / by, rounded half away from zero."""
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
            elif op in (DIV, MOD, DIV_DECIMAL):
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
            elif op in (DIV_FLOAT, MOD_FLOAT):
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
