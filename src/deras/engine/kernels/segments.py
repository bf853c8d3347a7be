"""Kernels of row segments: rows of words with a birth and a death mark, immutable but for the death and the cells.

A row of ``tab`` is: column words and NULL masks as in :mod:`deras.engine.kernels.index`, then birth,
death (0: alive), then the operator's cells. A row is visible at time T when ``birth < T`` and ``death == 0`` or
``death >= T``.
"""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,no-any-return"

from __future__ import annotations

import numpy as np

from deras.core.jit import helper, kernel, load8_at, load64, load64_at, prefetch_at, store64
from deras.engine.kernels.index import clean_view, copy_long

_AHEAD = 16
_BATCH = 256
_LINES = 64
_SOON = 6
_SHORT = np.uint64(12)
_ONE = np.uint64(1)
_LOW = np.uint64(0xFFFFFFFF)
_S32 = np.uint64(32)
_RO1 = "Array(int64, 1, 'C', readonly=True)"
_RO2 = "Array(int64, 2, 'C', readonly=True)"


@helper
def _text(source, length, chunk, fill):
    """A long text into the current chunk, which has room; gives its reference."""
    at = fill[1]
    copy_long(chunk, at, source, length)
    fill[1] = at + ((length + 7) & ~7)
    return fill[0] | at << 32


@helper
def _long(words, k, kinds, width):
    need = np.int64(0)
    for j in range(width):
        if kinds[j] == 2:
            length = words[k, j - 1] & 0xFFFFFFFF
            if length > 12:
                need += (length + 7) & ~7
    return need


@helper
def _fitting(plan, texts, rows, some, s, m, room, need):
    """How many of the m rows from ``s`` on have room for their long text; ``need`` is scratch."""
    for k in range(m):
        need[k] = 0
    for t in range(len(texts)):
        views = plan[texts[t], 3]
        valid = plan[texts[t], 4]
        for k in range(m):
            r = rows[s + k] if some else s + k
            length = np.int64(load64_at(views + 16 * r) & _LOW)
            if length > 12 and (valid == 0 or load8_at(valid + r) != 0):
                need[k] += (length + 7) & ~7
    for k in range(m):
        room -= need[k]
        if room < 0:
            return k
    return m


@helper
def _words(plan, c, rows, some, s, m, tab, at, step):
    """One column of words (or limbs) of the m rows from ``s`` on, and its NULL marks, to byte ``at`` of ``tab`` on."""
    values = plan[c, 3]
    valid = plan[c, 4]
    to = at + 8 * plan[c, 1]
    if plan[c, 0] == 0 and valid == 0:
        for k in range(m):
            r = rows[s + k] if some else s + k
            store64(tab, to + k * step, load64_at(values + 8 * r))
        return
    mask = at + 8 * plan[c, 2]
    bit = _ONE << np.uint64(c % 64)
    size = np.int64(1) + plan[c, 0]
    for k in range(m):
        r = rows[s + k] if some else s + k
        there = valid == 0 or load8_at(valid + r) != 0
        for w in range(size):
            word = load64_at(values + 8 * (size * r + w)) if there else np.uint64(0)
            store64(tab, to + k * step + 8 * w, word)
        if not there:
            store64(tab, mask + k * step, load64(tab, mask + k * step) | bit)


@helper
def _view(plan, c, r, tab, at, chunk, fill):
    """The text of column ``c`` of row ``r`` to the row at byte ``at`` of ``tab``, which has room in the chunk."""
    to = at + 8 * plan[c, 1]
    if plan[c, 4] != 0 and load8_at(plan[c, 4] + r) == 0:
        store64(tab, to, np.uint64(0))
        store64(tab, to + 8, np.uint64(0))
        mask = at + 8 * plan[c, 2]
        store64(tab, mask, load64(tab, mask) | _ONE << np.uint64(c % 64))
        return
    v0 = load64_at(plan[c, 3] + 16 * r)
    v1 = load64_at(plan[c, 3] + 16 * r + 8)
    length = np.int64(v0 & _LOW)
    if length <= 12:
        v0, v1 = clean_view(length, v0, v1)
    else:
        base = np.int64(load64_at(plan[c, 5] + 8 * np.int64(v1 & _LOW)))
        v1 = np.uint64(_text(base + np.int64(v1 >> _S32), length, chunk, fill))
    store64(tab, to, v0)
    store64(tab, to + 8, v1)


@helper
def _ask(plan, texts, r):
    """The long texts of row ``r`` are wanted soon."""
    for t in range(len(texts)):
        c = texts[t]
        length = np.int64(load64_at(plan[c, 3] + 16 * r) & _LOW)
        if length > 12 and (plan[c, 4] == 0 or load8_at(plan[c, 4] + r) != 0):
            v1 = load64_at(plan[c, 3] + 16 * r + 8)
            at = np.int64(load64_at(plan[c, 5] + 8 * np.int64(v1 & _LOW))) + np.int64(v1 >> _S32)
            for o in range(0, length, 64):
                prefetch_at(at + o)


@kernel(
    f"int64({_RO2}, {_RO1}, int64, int64, int64, int64, {_RO1}, int64, int64[:, ::1], uint8[::1], int64[::1], "
    "int64[::1])"
)
def store(plan, rows, start, stop, to, birth, births, width, tab, chunk, fill, init):
    """Rows start..stop of columns (see ``KeyShape.plan``) to ``tab[to:]``; gives the row where the text chunk was full
    (its need in ``fill[3]``).

    Args:
        rows: which rows of the columns, or empty for rows start..stop themselves.
        birth: birth number of the first one, where ``births`` is empty.
    """
    texts = np.empty(len(plan), np.int64)
    count = 0
    masks = False
    first_mask = width
    for c in range(len(plan)):
        if plan[c, 0] == 2:
            texts[count] = c
            count += 1
        if plan[c, 2] >= 0:
            masks = True
            first_mask = min(first_mask, plan[c, 2])
    texts = texts[:count]
    some = len(rows) > 0
    step = tab.shape[1] * 8
    need = np.empty(_BATCH, np.int64)
    s = start
    # All columns of a batch of rows before the next batch: what they write stays in the nearest cache.
    while s < stop:
        wanted = min(_BATCH, stop - s)
        m = _fitting(plan, texts, rows, some, s, wanted, fill[2] - fill[1], need) if count else wanted
        at = (to + s - start) * step
        if masks:
            for w in range(first_mask, width):
                for k in range(m):
                    store64(tab, at + k * step + 8 * w, np.uint64(0))
        for c in range(len(plan)):
            if plan[c, 0] != 2:
                _words(plan, c, rows, some, s, m, tab, at, step)
        if count:
            for k in range(m):
                if some and k + _SOON < m:  # the machine sees by itself that whole columns are read
                    _ask(plan, texts, rows[s + k + _SOON])
                r = rows[s + k] if some else s + k
                for t in range(count):
                    _view(plan, texts[t], r, tab, at + k * step, chunk, fill)
        for k in range(m):
            born = at + k * step + 8 * width
            b = births[s + k] if len(births) else birth + s + k
            store64(tab, born, np.uint64(b))
            store64(tab, born + 8, np.uint64(0))
            for j in range(len(init)):
                store64(tab, born + 16 + 8 * j, np.uint64(init[j]))
        s += m
        if m < wanted:
            fill[3] = need[m]
            break
    return s


@kernel("int64(int64[::1], int64, int64, int64, int64[:, ::1], int64[::1], int64[::1], uint8[::1], int64[::1], int64)")
def move(ids, start, stop, width, tab, kinds, bases, chunk, fill, to):
    """Copies of the rows ids[start:stop] to ``tab[to:]`` with their births and cells; stops as ``store`` does."""
    for k in range(start, stop):
        s = ids[k]
        need = _long(tab, s, kinds, width)
        if need > fill[2] - fill[1]:
            fill[3] = need
            return k
        d = to + k - start
        for j in range(tab.shape[1]):
            tab[d, j] = tab[s, j]
        for j in range(width):
            if kinds[j] == 2:
                length = tab[s, j - 1] & 0xFFFFFFFF
                if length > 12:
                    ref = np.uint64(tab[s, j])
                    tab[d, j] = _text(bases[np.int64(ref & _LOW)] + np.int64(ref >> _S32), length, chunk, fill)
    return stop


@kernel(f"int64({_RO1}, int64[:, ::1], int64, int64, int64, int64[::1], int64, int64[::1])")
def kill(ids, tab, width, now, frozen, live, shift, births):
    """Rows die now; those born before ``frozen`` are reported by birth. Dead rows are passed over; gives how many died,
    and in the last place of ``births`` (one longer than ``ids``) how many are reported.
    """
    n = len(ids)
    m = np.int64(0)
    died = np.int64(0)
    marks = tab.ctypes.data + 8 * width
    step = 8 * tab.shape[1]
    for k in range(min(_AHEAD, n)):
        prefetch_at(marks + ids[k] * step)
    for k in range(n):
        if k + _AHEAD < n:
            prefetch_at(marks + ids[k + _AHEAD] * step)
        d = ids[k]
        if tab[d, width + 1] != 0:
            continue
        tab[d, width + 1] = now
        live[d >> shift] -= 1
        died += 1
        if tab[d, width] < frozen:
            births[m] = tab[d, width]
            m += 1
    births[n] = m
    return died


@kernel("int64(int64[:, ::1], int64, int64, int64, int64, int64, int64[::1], int64)")
def visible(tab, width, start, stop, low, high, out, m):
    """Rows start..stop with low <= birth that are visible at ``high``, into out[m:]; gives the new m."""
    for d in range(start, stop):
        birth = tab[d, width]
        death = tab[d, width + 1]
        if low <= birth < high and (death == 0 or death >= high):
            out[m] = d
            m += 1
    return m


@kernel(f"boolean({_RO1}, int64[:, ::1], int64)")
def in_order(ids, tab, width):
    """Whether rows stand in the order of their births."""
    for k in range(1, len(ids)):  # noqa: SIM110 (a kernel)
        if tab[ids[k], width] < tab[ids[k - 1], width]:
            return False
    return True


@kernel(f"void({_RO1}, int64[:, ::1], int64, int64[::1])")
def gather(ids, tab, word, out):
    """One word of each row."""
    for k in range(len(ids)):
        out[k] = tab[ids[k], word]


@kernel(f"int64({_RO1}, uint8[::1], int64[::1])")
def note(ids, noted, out):
    """The ids that were not noted yet, each once; gives their number."""
    m = np.int64(0)
    for k in range(len(ids)):
        d = ids[k]
        if noted[d] == 0:
            noted[d] = 1
            out[m] = d
            m += 1
    return m


@kernel(f"int64({_RO1}, uint8[::1], int64[:, ::1], int64, int64, int64[::1], int64[:, ::1])")
def changed(ids, noted, tab, width, frozen, births, cells):
    """Births and first cells of noted rows that are alive and born before ``frozen``; nothing is noted afterwards."""
    m = np.int64(0)
    for k in range(len(ids)):
        d = ids[k]
        noted[d] = 0
        if tab[d, width + 1] == 0 and tab[d, width] < frozen:
            births[m] = tab[d, width]
            for j in range(cells.shape[1]):
                cells[m, j] = tab[d, width + 2 + j]
            m += 1
    return m


@kernel(
    f"void({_RO1}, int64[:, ::1], {_RO2}, int64, int64[:, ::1], int64[:, :, ::1], uint8[:, ::1], int64[::1], "
    "int64[::1], int64[::1])"
)
def columns(ids, tab, picks, width, words, pairs, valid, nulls, local, used):
    """Columns of rows of words.

    Args:
        picks: int64[columns, 5]: kind (0 word, 1 limbs, 2 text), first word, NULL mask word or -1, bit, and which row
            of ``words`` or ``pairs`` is the column's.
        width: words of a row that are read.
        words: int64[n, rows] for columns of one word.
        pairs: int64[n, rows, 2] for the others.
        valid: uint8[columns, rows], written where there is a mask word.
        nulls: int64[columns]: the number of NULLs.
        local: by chunk of long text its number among those in use here, or -1 at first.
        used: the chunks in use, in the order of their numbers; the last place tells how many.
    """
    n = len(ids)
    chunks = np.int64(0)
    step = 8 * tab.shape[1]
    first = tab.ctypes.data
    lines = np.empty(_LINES, np.int64)
    for s in range(0, n, _LINES):
        m = min(_LINES, n - s)
        for k in range(m):
            line = first + ids[s + k] * step
            lines[k] = line
            for o in range(0, 8 * width, 64):
                prefetch_at(line + o)
            prefetch_at(line + 8 * width - 8)
        for c in range(len(picks)):
            j = 8 * picks[c, 1]
            o = picks[c, 4]
            if picks[c, 0] == 0:
                to = 8 * (o * n + s)
                for k in range(m):
                    store64(words, to + 8 * k, load64_at(lines[k] + j))
            else:
                text = picks[c, 0] == 2
                to = 16 * (o * n + s)
                for k in range(m):
                    v0 = load64_at(lines[k] + j)
                    v1 = load64_at(lines[k] + j + 8)
                    if text and v0 & _LOW > _SHORT:
                        chunk = np.int64(v1 & _LOW)
                        if local[chunk] < 0:
                            local[chunk] = chunks
                            used[chunks] = chunk
                            chunks += 1
                        v1 = (v1 >> _S32) << _S32 | np.uint64(local[chunk])
                    store64(pairs, to + 16 * k, v0)
                    store64(pairs, to + 16 * k + 8, v1)
            if picks[c, 2] >= 0:
                mask = 8 * picks[c, 2]
                bit = np.uint64(picks[c, 3])
                missing = np.uint64(0)
                for k in range(m):
                    null = (load64_at(lines[k] + mask) >> bit) & _ONE
                    valid[c, s + k] = np.uint8(_ONE - null)
                    missing += null
                nulls[c] += np.int64(missing)
    used[len(used) - 1] = chunks


@kernel(f"void({_RO1}, int64[:, ::1], int64, int64[:, ::1])")
def cells(ids, tab, first, out):
    """The words from ``first`` on of each row, as many as ``out`` is wide."""
    for k in range(len(ids)):
        for j in range(out.shape[1]):
            out[k, j] = tab[ids[k], first + j]
