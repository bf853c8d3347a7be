"""Kernels of the hash index: pack key columns to words, hash, probe, insert, release.

A key is a row of 64-bit words: one per column (two for DECIMAL limbs and for text: the Arrow view), then NULL masks.
In packed keys of a step the second word of long text is the address of its bytes, in the table its arena reference
(chunk number | offset << 32). A slot is ``tag << 32 | id + 1``; the tag's upper bits are the slot's home, so that
neither growth nor deletion looks at a key.

``columns`` is int64[n, 3]: kind (0 word, 1 limbs, 2 text), first word, NULL mask word or -1; bit i % 64 is column i's.
``meta``: [0] ids ever used, [1] free ids on the stack, [2] live ids, [3] rows reserved, [4] why the kernel stopped,
[5] its argument. ``fill``: [0] current arena chunk, [1] its used bytes, [2] its size.
"""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment,return-value,no-any-return"

from __future__ import annotations

import numpy as np

from deras.core.jit import copy32_at, helper, kernel, load8_at, load64, load64_at, prefetch, store64

GROUPS = 128
"""Key-groups: the upper seven bits of a key's hash."""
STOP_SLOTS, STOP_ROWS, STOP_ARENA = 1, 2, 3
TOUCHED, SAVED, ALIVE = 1, 2, 4
"""Flags of an id: changed since the last freeze, in the checkpoint, in use."""
HEADER = 16
"""Bytes before each arena entry: owner, then length | word << 40."""

_BATCH = 64
_SEED = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_F1 = np.uint64(0xFF51AFD7ED558CCD)
_F2 = np.uint64(0xC4CEB9FE1A85EC53)
_NULL = np.uint64(0xA5A5D1D1C3C39696)
_LOW = np.uint64(0xFFFFFFFF)
_S32 = np.uint64(32)
_S33 = np.uint64(33)
_S57 = np.uint64(57)
_S25 = np.uint64(25)
_ONE = np.uint64(1)
_BYTES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)

_RO1 = "Array(int64, 1, 'C', readonly=True)"
_RO2 = "Array(int64, 2, 'C', readonly=True)"


@helper
def mix(h: int, w: int) -> int:
    """One word into the hash."""
    x = (h ^ w) * _M1
    return x ^ (x >> _S32)


@helper
def finish(h: int) -> int:
    """The last mixing (MurmurHash3's fmix64)."""
    h ^= h >> _S33
    h *= _F1
    h ^= h >> _S33
    h *= _F2
    return h ^ (h >> _S33)


@helper
def mix_bytes(h: int, address: int, length: int) -> int:
    """The bytes of a text longer than 12 into the hash, eight at a time, the last eight overlapping."""
    for o in range(0, length - 8, 8):
        h = mix(h, load64_at(address + o))
    return mix(h, load64_at(address + length - 8))


@helper
def clean_view(length: int, v0: int, v1: int) -> tuple[int, int]:
    """A short view with nothing but zeros after its text."""
    if length < 4:
        v0 &= (_ONE << np.uint64(32 + 8 * length)) - _ONE
    if length <= 4:
        v1 = np.uint64(0)
    elif length < 12:
        v1 &= (_ONE << np.uint64(8 * (length - 4))) - _ONE
    return v0, v1


@helper
def same_bytes(a: int, b: int, length: int) -> bool:
    """Equal bytes at two addresses, length > 12."""
    for o in range(0, length - 8, 8):
        if load64_at(a + o) != load64_at(b + o):
            return False
    return load64_at(a + length - 8) == load64_at(b + length - 8)


@helper
def same_key(keys, k, tab, d, width, kinds, bases):
    """Whether a packed key is that of an id."""
    for j in range(width):
        if kinds[j] == 2:
            length = keys[k, j - 1] & 0xFFFFFFFF
            if length > 12:
                ref = np.uint64(tab[d, j])
                held = bases[np.int64(ref & _LOW)] + np.int64(ref >> _S32)
                if not same_bytes(keys[k, j], held, length):
                    return False
                continue
        if keys[k, j] != tab[d, j]:
            return False
    return True


@helper
def row_hash(tab, d, columns, bases):
    """The finished hash of an id's key."""
    h = _SEED
    for i in range(len(columns)):
        j = columns[i, 1]
        mask = columns[i, 2]
        if mask >= 0 and (np.uint64(tab[d, mask]) >> np.uint64(i % 64)) & _ONE:
            h = mix(h, _NULL)
            continue
        h = mix(h, np.uint64(tab[d, j]))
        if columns[i, 0] == 1:
            h = mix(h, np.uint64(tab[d, j + 1]))
        elif columns[i, 0] == 2:
            length = tab[d, j] & 0xFFFFFFFF
            ref = np.uint64(tab[d, j + 1])
            if length <= 12:
                h = mix(h, ref)
            else:
                h = mix_bytes(h, bases[np.int64(ref & _LOW)] + np.int64(ref >> _S32), length)
    return finish(h)


@helper
def copy_long(chunk, at, source, length):
    """The bytes of a text longer than 12 from an address; reads and writes nothing beyond them."""
    if length >= 32:
        for o in range(0, length - 32, 32):
            copy32_at(chunk, at + o, source + o)
        copy32_at(chunk, at + length - 32, source + length - 32)
        return
    last = length - 8
    store64(chunk, at, load64_at(source))
    if length > 16:
        store64(chunk, at + 8, load64_at(source + 8))
        store64(chunk, at + last - 8, load64_at(source + last - 8))
    store64(chunk, at + last, load64_at(source + last))


@helper
def put(chunk, fill, held, owner, word, address, length):
    """A long text into the current arena chunk, which has room; gives its reference."""
    at = fill[1]
    store64(chunk, at, np.uint64(owner))
    store64(chunk, at + 8, np.uint64(length) | np.uint64(word) << np.uint64(40))
    copy_long(chunk, at + HEADER, address, length)
    size = HEADER + ((length + 7) & ~7)
    fill[1] = at + size
    held[fill[0]] += size
    return fill[0] | (at + HEADER) << 32


@helper
def _key_words(plan, c, rows, some, s, m, keys, hashes):
    """One column of words of the m rows from ``s`` on, into the packed keys and the hashes."""
    values = plan[c, 3]
    valid = plan[c, 4]
    j = plan[c, 1]
    if valid == 0:
        for k in range(m):
            r = rows[s + k] if some else s + k
            w = load64_at(values + 8 * r)
            keys[k, j] = np.int64(w)
            hashes[k] = mix(hashes[k], w)
        return
    for k in range(m):
        r = rows[s + k] if some else s + k
        if load8_at(valid + r) == 0:
            _key_null(plan, c, 1, k, keys, hashes)
        else:
            w = load64_at(values + 8 * r)
            keys[k, j] = np.int64(w)
            hashes[k] = mix(hashes[k], w)


@helper
def _key_null(plan, c, words, k, keys, hashes):
    for w in range(words):
        keys[k, plan[c, 1] + w] = 0
    keys[k, plan[c, 2]] |= np.int64(_ONE << np.uint64(c % 64))
    hashes[k] = mix(hashes[k], _NULL)


@helper
def _key_pairs(plan, c, rows, some, s, m, keys, hashes):
    """One column of limbs or text, as :func:`_key_words`; long text by address."""
    valid = plan[c, 4]
    j = plan[c, 1]
    for k in range(m):
        r = rows[s + k] if some else s + k
        if valid != 0 and load8_at(valid + r) == 0:
            _key_null(plan, c, 2, k, keys, hashes)
            continue
        v0 = load64_at(plan[c, 3] + 16 * r)
        v1 = load64_at(plan[c, 3] + 16 * r + 8)
        length = np.int64(v0 & _LOW)
        if plan[c, 0] == 1 or length <= 12:
            if plan[c, 0] == 2:
                v0, v1 = clean_view(length, v0, v1)
            hashes[k] = mix(mix(hashes[k], v0), v1)
        else:
            address = np.int64(load64_at(plan[c, 5] + 8 * np.int64(v1 & _LOW))) + np.int64(v1 >> _S32)
            hashes[k] = mix_bytes(mix(hashes[k], v0), address, length)
            v1 = np.uint64(address)
        keys[k, j] = np.int64(v0)
        keys[k, j + 1] = np.int64(v1)


@kernel(
    f"int64({_RO2}, {_RO1}, int64, int64, int64, int64[::1], int64[:, ::1], uint64[::1], int64[:, ::1], int32[::1], "
    "int64[::1], uint8[::1], int64[::1], int64[::1], boolean, boolean, int64[::1], uint8[::1], int64[::1], int64[::1])"
)
def find(
    plan,
    rows,
    start,
    n,
    width,
    kinds,
    tab,
    slots,
    groups,
    free,
    meta,
    flags,
    init,
    ids,
    insert,
    touch,
    bases,
    chunk,
    fill,
    held,
):
    """Ids of keys from the ``start``-th on; new ones are inserted if asked (else -1).

    Args:
        plan: where the key's columns lie, see ``KeyShape.plan``.
        rows: which rows of the columns, or empty for the first ``n``.
        groups: int64[128, 4]: first slot, log2 of slots, entries, entries at which it must grow.
        held: live bytes a chunk.

    Returns:
        The row where it stopped for want of room (``meta[4]``), or ``n``.
    """
    some = len(rows) > 0
    masked = len(plan) > 0 and plan[0, 2] >= 0
    texts = False
    for c in range(len(plan)):
        texts |= plan[c, 0] == 2
    keys = np.empty((_BATCH, width), np.int64)
    hashes = np.empty(_BATCH, np.uint64)
    place = np.empty(_BATCH, np.int64)
    for s in range(start, n, _BATCH):
        m = min(_BATCH, n - s)
        # The same few steps for a batch of rows: what one row waits for from memory comes while others are hashed.
        for k in range(m):
            hashes[k] = _SEED
        if masked:
            for k in range(m):
                for w in range(plan[0, 2], width):
                    keys[k, w] = 0
        for c in range(len(plan)):
            if plan[c, 0] == 0:
                _key_words(plan, c, rows, some, s, m, keys, hashes)
            else:
                _key_pairs(plan, c, rows, some, s, m, keys, hashes)
        for k in range(m):
            h = finish(hashes[k])
            hashes[k] = h
            g = np.int64(h >> _S57)
            tag = (h >> _S25) & _LOW
            p = np.int64(tag >> np.uint64(32 - groups[g, 1]))
            place[k] = p
            prefetch(slots, groups[g, 0] + p)
        for k in range(m):
            h = hashes[k]
            g = np.int64(h >> _S57)
            tag = (h >> _S25) & _LOW
            base = groups[g, 0]
            last = (np.int64(1) << groups[g, 1]) - 1
            p = place[k]
            while True:
                x = load64(slots, 8 * (base + p))
                if x == 0:
                    break
                if (x >> _S32) == tag:
                    d = np.int64(x & _LOW) - 1
                    prefetch(tab, d)
                    if touch:
                        prefetch(flags, d)
                    break
                p = (p + 1) & last
            place[k] = p
        for k in range(m):
            h = hashes[k]
            g = np.int64(h >> _S57)
            tag = (h >> _S25) & _LOW
            base = groups[g, 0]
            last = (np.int64(1) << groups[g, 1]) - 1
            # Slots before this one have other tags; none becomes empty here.
            p = place[k]
            found = np.int64(-1)
            while True:
                x = load64(slots, 8 * (base + p))
                if x == 0:
                    break
                if (x >> _S32) == tag:
                    d = np.int64(x & _LOW) - 1
                    if texts:
                        same = same_key(keys, k, tab, d, width, kinds, bases)
                    else:
                        same = True
                        for j in range(width):
                            same &= keys[k, j] == tab[d, j]
                    if same:
                        found = d
                        break
                p = (p + 1) & last
            if found >= 0 or not insert:
                ids[s + k] = found
                if touch and found >= 0 and flags[found] & TOUCHED == 0:
                    flags[found] |= np.uint8(TOUCHED)
                continue
            if groups[g, 2] >= groups[g, 3]:
                meta[4] = STOP_SLOTS
                meta[5] = g
                return s + k
            if meta[1] == 0 and meta[0] >= meta[3]:
                meta[4] = STOP_ROWS
                return s + k
            if texts:
                need = np.int64(0)
                for j in range(width):
                    if kinds[j] == 2:
                        length = keys[k, j - 1] & 0xFFFFFFFF
                        if length > 12:
                            need += HEADER + ((length + 7) & ~7)
                if need > fill[2] - fill[1]:
                    meta[4] = STOP_ARENA
                    meta[5] = need
                    return s + k
            if meta[1] > 0:
                meta[1] -= 1
                d = np.int64(free[meta[1]])
            else:
                d = meta[0]
                meta[0] += 1
            meta[2] += 1
            for j in range(width):
                w = keys[k, j]
                if texts and kinds[j] == 2:
                    length = keys[k, j - 1] & 0xFFFFFFFF
                    if length > 12:
                        w = put(chunk, fill, held, d, j, w, length)
                tab[d, j] = w
            for j in range(len(init)):
                tab[d, width + j] = init[j]
            flags[d] = ALIVE | TOUCHED
            slots[base + p] = tag << _S32 | np.uint64(d + 1)
            groups[g, 2] += 1
            ids[s + k] = d
    meta[4] = 0
    return n


@kernel("void(uint64[::1], int64[:, ::1], int64, int64, int64)")
def regrow(slots, groups, first, stop, bits):
    """Copy key-groups first..stop to their places with 2 ** bits slots each, which are empty and lie elsewhere."""
    shift = np.uint64(64 - bits)
    last = (np.int64(1) << bits) - 1
    for g in range(first, stop):
        old = 8 * groups[g, 0]
        start = 8 * (np.int64(GROUPS + g) << bits)
        for p in range(np.int64(1) << groups[g, 1]):
            x = load64(slots, old + 8 * p)
            if x != 0:
                q = np.int64(x >> shift)
                while load64(slots, start + 8 * q) != 0:
                    q = (q + 1) & last
                store64(slots, start + 8 * q, x)
        groups[g, 0] = np.int64(GROUPS + g) << bits
        groups[g, 1] = bits


@kernel(
    f"int64({_RO1}, int64, int64[::1], {_RO2}, int64[:, ::1], uint64[::1], int64[:, ::1], int32[::1], int64[::1], "
    "uint8[::1], int64[::1], int64[::1], int64[::1])"
)
def release(ids, width, kinds, columns, tab, slots, groups, free, meta, flags, bases, held, known):
    """Take keys out; ids not in use are passed over. Gives the arena bytes that died.

    ``known`` (one longer than ``ids``) takes the ids that the checkpoint has, and in the last place their number.
    """
    n = len(ids)
    died = np.int64(0)
    written = np.int64(0)
    hashes = np.empty(_BATCH, np.uint64)
    for s in range(0, n, _BATCH):
        e = min(s + _BATCH, n)
        for k in range(s, e):
            prefetch(tab, ids[k])
            prefetch(flags, ids[k])
        for k in range(s, e):
            if flags[ids[k]] & ALIVE == 0:
                continue
            h = row_hash(tab, ids[k], columns, bases)
            hashes[k - s] = h
            g = np.int64(h >> _S57)
            prefetch(slots, groups[g, 0] + np.int64(((h >> _S25) & _LOW) >> np.uint64(32 - groups[g, 1])))
        for k in range(s, e):
            d = ids[k]
            # An id may be given twice.
            if flags[d] & ALIVE == 0:
                continue
            if flags[d] & SAVED:
                known[written] = d
                written += 1
            h = hashes[k - s]
            g = np.int64(h >> _S57)
            tag = (h >> _S25) & _LOW
            base = groups[g, 0]
            shift = np.uint64(32 - groups[g, 1])
            last = (np.int64(1) << groups[g, 1]) - 1
            p = np.int64(tag >> shift)
            mine = tag << _S32 | np.uint64(d + 1)
            while slots[base + p] != mine:
                p = (p + 1) & last
            q = p
            while True:
                q = (q + 1) & last
                x = slots[base + q]
                if x == 0:
                    break
                home = np.int64((x >> _S32) >> shift)
                if ((q - home) & last) >= ((q - p) & last):
                    slots[base + p] = x
                    p = q
            slots[base + p] = 0
            groups[g, 2] -= 1
            for j in range(width):
                if kinds[j] == 2:
                    length = tab[d, j - 1] & 0xFFFFFFFF
                    if length > 12:
                        size = HEADER + ((length + 7) & ~7)
                        held[tab[d, j] & 0xFFFFFFFF] -= size
                        died += size
            free[meta[1]] = np.int32(d)
            meta[1] += 1
            meta[2] -= 1
            flags[d] = 0
    known[n] = written
    return died


@kernel(f"void({_RO1}, uint8[::1], uint8)")
def mark(ids, flags, bits):
    """Set flag bits of ids in use."""
    for k in range(len(ids)):
        if flags[ids[k]] & ALIVE:
            flags[ids[k]] |= bits


@kernel("int64(uint8[::1], int64, uint8, int64[::1])")
def flagged(flags, n, bits, out):
    """The ids below n in use with all the flag bits, ascending; gives their number."""
    m = 0
    want = np.uint8(bits | ALIVE)
    for d in range(n):
        if flags[d] & want == want:
            out[m] = d
            m += 1
    return m


@helper
def _none_of_eight(x, every):
    """Whether no byte of x has all the bits that the bytes of ``every`` have."""
    y = x ^ every
    # A byte of y is zero where all bits are there.
    return ((y - _BYTES) & ~y & _HIGHS) == np.uint64(0)


@kernel("int64(uint8[::1], int64, uint8)")
def count_flagged(flags, n, bits):
    """The number of ids below n in use with all the flag bits."""
    m = np.int64(0)
    want = np.uint8(bits | ALIVE)
    every = np.uint64(want) * _BYTES
    for s in range(0, n, 8):
        if s + 8 <= n and _none_of_eight(load64(flags, s) & every, every):
            continue
        for d in range(s, min(s + 8, n)):
            m += np.int64(flags[d] & want == want)
    return m


@kernel("int64(uint8[::1], int64, uint8, boolean, int64[:, ::1], int64, int64[::1], int64[:, ::1])")
def snapshot(flags, n, bits, mark, tab, cell, ids, cells):
    """The ids below n in use with all the flag bits and their cells, ascending; gives their number.

    ``mark``: the checkpoint has them from now on, as they are.
    """
    want = np.uint64(bits | ALIVE)
    every = want * _BYTES
    m = np.int64(0)
    for s in range(0, n, 8):
        # Eight flags in one look: most of a large index is untouched.
        if s + 8 <= n and _none_of_eight(load64(flags, s) & every, every):
            continue
        for d in range(s, min(s + 8, n)):
            if np.uint64(flags[d]) & want != want:
                continue
            ids[m] = d
            for j in range(cells.shape[1]):
                cells[m, j] = tab[d, cell + j]
            if mark:
                flags[d] = ALIVE | SAVED
            m += 1
    return m


@kernel("void(uint8[::1], int64[::1])")
def saved(flags, ids):
    """These ids are in the checkpoint as they are."""
    for k in range(len(ids)):
        flags[ids[k]] = ALIVE | SAVED


@kernel(f"void({_RO1}, int64[:, ::1], int64, int64, int64, int64[:, ::1], uint8[::1])")
def take_words(ids, tab, j, mask, bit, out, valid):
    """Key words j.. of ids (as many as ``out`` is wide), and whether each is a value."""
    for k in range(len(ids)):
        for c in range(out.shape[1]):
            out[k, c] = tab[ids[k], j + c]
        valid[k] = 1
        if mask >= 0 and (np.uint64(tab[ids[k], mask]) >> np.uint64(bit)) & _ONE:
            valid[k] = 0


@kernel("int64(uint64[:, ::1], int64[::1], int64[::1])")
def localise(views, local, used):
    """Arena chunk numbers of long views to local buffer numbers; gives how many there are (``local`` starts as -1)."""
    m = 0
    for k in range(len(views)):
        if views[k, 0] & _LOW > np.uint64(12):
            c = np.int64(views[k, 1] & _LOW)
            if local[c] < 0:
                local[c] = m
                used[m] = c
                m += 1
            views[k, 1] = (views[k, 1] >> _S32) << _S32 | np.uint64(local[c])
    return m


@kernel("int64(int64, int64, int64[:, ::1], uint8[::1], int64[::1], uint8[::1], int64[::1], int64[::1])")
def clean(number, used, tab, flags, bases, chunk, fill, held):
    """Move the live texts of an arena chunk to the current one, which has room; gives how many."""
    at = np.int64(0)
    moved = np.int64(0)
    while at < used:
        d = np.int64(load64_at(bases[number] + at))
        x = load64_at(bases[number] + at + 8)
        length = np.int64(x & np.uint64(0xFFFFFFFFFF))
        j = np.int64(x >> np.uint64(40))
        ref = number | (at + HEADER) << 32
        if flags[d] & ALIVE and tab[d, j] == ref and tab[d, j - 1] & 0xFFFFFFFF > 12:
            tab[d, j] = put(chunk, fill, held, d, j, bases[number] + at + HEADER, length)
            moved += 1
        at += HEADER + ((length + 7) & ~7)
    held[number] = 0
    return moved


SEED = _SEED
