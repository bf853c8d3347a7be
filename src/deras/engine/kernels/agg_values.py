"""Kernels of value sets: by group the values of an argument with their weights, for DISTINCT and retracted MIN and MAX.

A set is an index whose key is the group's number and the value. Cells of a value: [0] a bit for each filter by which
it is there, [1] and [2] links (id + 1, 0 = none), and, where rows may go, from [3] on a weight for each filter. The
group's cell holds the id + 1 of the first: either of a chain in both directions, or of the root
of a treap (a search tree by value that is a heap by a hash of the id), where the least and the greatest value are a
short walk away. Links hold ids, so they are rebuilt after a restore.
"""

# Numba is typed in part only.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,call-arg"

from __future__ import annotations

import numpy as np

from deras.core.jit import helper, kernel, load8_at, prefetch
from deras.engine.kernels.agg import less_limbs, order_of_float

_RO1 = "Array(int64, 1, 'C', readonly=True)"
_ROB = "Array(uint8, 1, 'C', readonly=True)"
_ROV = "Array(uint64, 2, 'C', readonly=True)"

WORD, FLOAT, LIMBS, TEXT = 0, 1, 2, 3
"""Kinds of values."""
NONE, CHAIN, TREE = 0, 1, 2
"""How the values of a group hang together."""
FILTERS = 62
"""How many filters can share a set."""

_LOW = np.uint64(0xFFFFFFFF)
_S32 = np.uint64(32)


@helper
def byte_of(v0, v1, i, bases):
    """Byte i of a text held as a view whose long form is an arena reference or (no bases) an address."""
    length = np.int64(v0 & _LOW)
    if length <= 12:
        if i < 4:
            return (v0 >> np.uint64(32 + 8 * i)) & np.uint64(0xFF)
        return (v1 >> np.uint64(8 * (i - 4))) & np.uint64(0xFF)
    return np.uint64(load8_at(bases[np.int64(v1 & _LOW)] + np.int64(v1 >> _S32) + i))


@helper
def text_compare(a0, a1, bases_a, b0, b1, bases_b):
    """-1, 0 or 1: two texts by their bytes (UTF-8 orders as code points do)."""
    la = np.int64(a0 & _LOW)
    lb = np.int64(b0 & _LOW)
    n = min(la, lb)
    for i in range(n):
        x = byte_of(a0, a1, i, bases_a)
        y = byte_of(b0, b1, i, bases_b)
        if x != y:
            return -1 if x < y else 1
    return 0 if la == lb else (-1 if la < lb else 1)


@helper
def value_less(tab, a, b, j, kind, bases):
    """Whether the value of id a is below that of id b; ``j``: the value's first word in a row."""
    if kind == 0:
        return tab[a, j] < tab[b, j]
    if kind == 1:
        return order_of_float(tab[a, j]) < order_of_float(tab[b, j])
    if kind == 2:
        return less_limbs(tab[a, j], tab[a, j + 1], tab[b, j], tab[b, j + 1])
    return (
        text_compare(
            np.uint64(tab[a, j]), np.uint64(tab[a, j + 1]), bases, np.uint64(tab[b, j]), np.uint64(tab[b, j + 1]), bases
        )
        < 0
    )


@helper
def priority(d):
    """A hash of an id."""
    h = np.uint64(d) * np.uint64(0x9E3779B97F4A7C15)
    h ^= h >> np.uint64(29)
    return h * np.uint64(0xBF58476D1CE4E5B9)


@helper
def set_link(tab, parent, side, groups, g, cell, to):
    """Write a link: of the group where the parent is -1, else of the parent."""
    if parent < 0:
        groups[g, cell] = to
    else:
        tab[parent, side] = to


@helper
def tree_insert(tab, left, d, j, kind, bases, groups, g, cell):
    """Hang id d into the tree of group g. Links are cells ``left`` and ``left + 1``."""
    parent = np.int64(-1)
    side = left
    at = groups[g, cell]
    p = priority(d)
    while at != 0 and priority(at - 1) >= p:
        parent = at - 1
        side = left if value_less(tab, d, parent, j, kind, bases) else left + 1
        at = tab[parent, side]
    set_link(tab, parent, side, groups, g, cell, d + 1)
    # Split what hung there into the values below d and above it.
    low_parent = d
    low_side = left
    high_parent = d
    high_side = left + 1
    while at != 0:
        x = at - 1
        if value_less(tab, x, d, j, kind, bases):
            tab[low_parent, low_side] = at
            low_parent = x
            low_side = left + 1
            at = tab[x, left + 1]
        else:
            tab[high_parent, high_side] = at
            high_parent = x
            high_side = left
            at = tab[x, left]
    tab[low_parent, low_side] = 0
    tab[high_parent, high_side] = 0


@helper
def tree_remove(tab, left, d, j, kind, bases, groups, g, cell):
    """Take id d out of the tree of group g."""
    parent = np.int64(-1)
    side = left
    at = groups[g, cell]
    while at != 0 and at - 1 != d:
        parent = at - 1
        side = left if value_less(tab, d, parent, j, kind, bases) else left + 1
        at = tab[parent, side]
    if at == 0:
        return
    a = tab[d, left]
    b = tab[d, left + 1]
    while a != 0 and b != 0:
        if priority(a - 1) >= priority(b - 1):
            set_link(tab, parent, side, groups, g, cell, a)
            parent = a - 1
            side = left + 1
            a = tab[parent, side]
        else:
            set_link(tab, parent, side, groups, g, cell, b)
            parent = b - 1
            side = left
            b = tab[parent, side]
    set_link(tab, parent, side, groups, g, cell, a if a != 0 else b)
    tab[d, left] = 0
    tab[d, left + 1] = 0


@helper
def link(tab, c, d, form, j, kind, bases, groups, g, cell):
    """Hang a value into its group's chain or tree."""
    if form == 2:
        tree_insert(tab, c + 1, d, j, kind, bases, groups, g, cell)
    elif form == 1:
        head = groups[g, cell]
        tab[d, c + 1] = head
        tab[d, c + 2] = 0
        if head != 0:
            tab[head - 1, c + 2] = d + 1
        groups[g, cell] = d + 1


@helper
def unlink(tab, c, d, form, j, kind, bases, groups, g, cell):
    """Take a value out of its group's chain or tree."""
    if form == 2:
        tree_remove(tab, c + 1, d, j, kind, bases, groups, g, cell)
    elif form == 1:
        after = tab[d, c + 1]
        before = tab[d, c + 2]
        if before == 0:
            groups[g, cell] = after
        else:
            tab[before - 1, c + 1] = after
        if after != 0:
            tab[after - 1, c + 2] = before


@helper
def passed(masks, r):
    """A bit for each filter that row r passes; ``masks``: addresses of uint8, 0: all rows pass."""
    bits = np.int64(0)
    for i in range(len(masks)):
        if masks[i] == 0:
            bits |= np.int64(1) << np.int64(i)
        else:
            bits |= np.int64(load8_at(masks[i] + r) != 0) << np.int64(i)
    return bits


@kernel(
    "int64(int64[::1], int64[::1], int64[::1], int64[:, ::1], int64, uint8[::1], int64, int64[:, ::1], int64,"
    " int64[::1], int64[::1], int64[::1])"
)
def see(values, rows, masks, tab, c, flags, form, groups, cell, ids, hits, came):
    """Note which values there are, where rows only come; tell which rows brought one.

    Args:
        values: ids of the values, one for each of ``rows``.
        rows: positions in the step; empty for all.
        masks: addresses of the filters' masks by row of the step, 0: all rows pass.
        tab: table of the values.
        c: its first cell.
        flags: by value; those that change are marked for the next freeze.
        form: NONE or CHAIN.
        groups: table of the groups.
        cell: where a group's link is in it.
        ids: the group of each row of the step.
        hits: filled with the rows through which a value came for some filter.
        came: filled with a bit for each of these filters.

    Returns:
        The number of hits.
    """
    m = 0
    n = len(values)
    some = len(rows) > 0
    for k in range(n):
        if k + 12 < n:
            prefetch(tab, values[k + 12])
        d = values[k]
        r = rows[k] if some else np.int64(k)
        old = tab[d, c]
        new = passed(masks, r) & ~old
        if new != 0:
            tab[d, c] = old | new
            flags[d] |= np.uint8(1)
            if old == 0 and form == 1:
                head = groups[ids[r], cell]
                tab[d, c + 1] = head
                tab[d, c + 2] = 0
                if head != 0:
                    tab[head - 1, c + 2] = d + 1
                groups[ids[r], cell] = d + 1
            hits[m] = r
            came[m] = new
            m += 1
    return m


@kernel(
    f"int64(int64[::1], int64[::1], {_RO1}, int64[::1], int64[:, ::1], int64, int64, int64, int64, int64[::1],"
    " int64[:, ::1], int64, int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1])"
)
def weigh(
    values, rows, weights, masks, tab, c, form, j, kind, bases, groups, cell, ids, hits, came, went, dead, counts
):
    """Add the rows' weights to their values; tell which rows made a value come or go.

    Args:
        values: ids of the values, one for each of ``rows``.
        rows: positions in the step; empty for all.
        weights: of all rows of the step; empty if all are 1.
        masks: addresses of the filters' masks by row of the step, 0: all rows pass.
        tab: table of the values.
        c: its first cell.
        form: NONE, CHAIN or TREE.
        j: first word of the value in a row of ``tab``.
        kind: of the value.
        bases: addresses of the texts' arenas.
        groups: table of the groups.
        cell: where a group's link is in it.
        ids: the group of each row of the step.
        hits: filled with the rows through which a value came or went for some filter.
        came: filled with a bit for each filter for which it came.
        went: and for which it went.
        dead: filled with values all of whose weights became 0 (and may have risen again).
        counts: [0] the number of entries in ``dead``.

    Returns:
        The number of hits.
    """
    m = 0
    gone = 0
    has = len(weights) > 0
    some = len(rows) > 0
    n = len(values)
    for k in range(n):
        if k + 12 < n:
            prefetch(tab, values[k + 12])
        d = values[k]
        r = rows[k] if some else np.int64(k)
        w = weights[r] if has else np.int64(1)
        bits = passed(masks, r)
        old = tab[d, c]
        up = np.int64(0)
        down = np.int64(0)
        rest = np.int64(0)
        for i in range(len(masks)):
            one = np.int64(1) << np.int64(i)
            was = tab[d, c + 3 + i]
            now = was
            if bits & one:
                now = was + w
                tab[d, c + 3 + i] = now
                if was <= 0 and now > 0:
                    up |= one
                elif was > 0 and now <= 0:
                    down |= one
            rest |= now
        if up != 0 or down != 0:
            new = (old | up) & ~down
            tab[d, c] = new
            if old == 0 and new != 0:
                link(tab, c, d, form, j, kind, bases, groups, ids[r], cell)
            elif old != 0 and new == 0:
                unlink(tab, c, d, form, j, kind, bases, groups, ids[r], cell)
            hits[m] = r
            came[m] = up
            went[m] = down
            m += 1
        if rest == 0:
            dead[gone] = d
            gone += 1
    counts[0] = gone
    return m


@kernel(
    "void(int64[::1], int64[::1], int64[:, ::1], int64, int64, int64, int64, int64[::1], int64[:, ::1], int64, boolean)"
)
def relink(values, ids, tab, c, form, j, kind, bases, groups, cell, keep_one):
    """After a restore: hang all values into their groups' chains or trees (whose links are 0)."""
    for k in range(len(values)):
        d = values[k]
        if keep_one:
            groups[ids[k], cell] = d + 1
        elif tab[d, c] != 0:
            link(tab, c, d, form, j, kind, bases, groups, ids[k], cell)


@kernel("int64(int64[::1], int64[:, ::1], int64, int64[:, ::1], int64, int64, int64[::1])")
def members(ids, groups, cell, tab, left, form, out):
    """All values of some groups, as many as fit: ``out`` filled, their number given (maybe more than fit)."""
    m = 0
    stack = np.empty(1024, np.int64)
    for k in range(len(ids)):
        at = groups[ids[k], cell]
        if form == 1:
            while at != 0:
                if m < len(out):
                    out[m] = at - 1
                m += 1
                at = tab[at - 1, left]
        else:
            top = 0
            while at != 0 or top > 0:
                while at != 0:
                    stack[top] = at
                    top += 1
                    at = tab[at - 1, left]
                top -= 1
                at = stack[top]
                if m < len(out):
                    out[m] = at - 1
                m += 1
                at = tab[at - 1, left + 1]
    return m


@kernel("void(int64[::1], int64[:, ::1], int64, int64[:, ::1], int64, boolean, int64[::1])")
def extremes(ids, groups, cell, tab, left, greatest, out):
    """The id of the least or greatest value of each group's tree, or -1."""
    for k in range(len(ids)):
        at = groups[ids[k], cell]
        side = left + 1 if greatest else left
        while at != 0 and tab[at - 1, side] != 0:
            at = tab[at - 1, side]
        out[k] = at - 1


@kernel("void(int64[::1], int64[:, ::1], int64, int64, int64[:, ::1], uint8[::1])")
def words_of(values, tab, j, width, out, valid):
    """The words of values by id; -1 is NULL."""
    for k in range(len(values)):
        d = values[k]
        valid[k] = d >= 0
        for i in range(width):
            out[k, i] = tab[d, j + i] if d >= 0 else 0


@kernel(
    f"void(int64[::1], int64[:, ::1], int64, {_ROB}, {_ROV}, {_RO1}, int64, int64[::1])",
)
def candidates(ids, groups, cell0, mask, views, bases, code, out):
    """In each touched group the row of a step with the best text: 0 least, 1 greatest, 2 first, 3 last.

    Args:
        ids: the group of each row.
        groups: their table, where ``touch`` has written places.
        cell0: first cell of it.
        mask: 1 where a row counts; empty if all do.
        views: the texts.
        bases: addresses of their buffers.
        code: which is best.
        out: by place in the step: the row, or -1.
    """
    has = len(mask) > 0
    for r in range(len(ids)):
        if has and mask[r] == 0:
            continue
        p = groups[ids[r], cell0] & np.int64(0xFFFFFFFF)
        best = out[p]
        if best >= 0:
            if code == 2:
                continue
            if code < 2:
                x = text_compare(views[r, 0], views[r, 1], bases, views[best, 0], views[best, 1], bases)
                if (x >= 0) if code == 0 else (x <= 0):
                    continue
        out[p] = r


@kernel(f"void(int64[::1], int64[::1], {_ROV}, {_RO1}, int64[:, ::1], int64, int64[::1], int64, uint8[::1])")
def improves(rows, held, views, bases, tab, j, arenas, code, out):
    """Whether each row's text is better than the held value's (held: id, or -1 if there is none)."""
    for k in range(len(rows)):
        d = held[k]
        r = rows[k]
        if d < 0 or code == 3:
            out[k] = 1
        elif code == 2:
            out[k] = 0
        else:
            x = text_compare(views[r, 0], views[r, 1], bases, np.uint64(tab[d, j]), np.uint64(tab[d, j + 1]), arenas)
            out[k] = (x < 0) if code == 0 else (x > 0)
