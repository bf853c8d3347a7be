"""Keys of JSON records: found by a hash of their first and last eight bytes, and remembered."""

# mypy: disable-error-code="no-untyped-def,assignment"

from __future__ import annotations

import numpy as np

from deras.core.jit import helper, load8, load64, routine, string_stops, trailing_zeros

U = np.uint64

# Places in the decode kernel's ``state``.
KEYS, KEY_BYTES = 5, 6

MAX_KEY = 128
"""Longer keys, and keys beyond the table's room, are looked up each time but never expected."""

_HASH_A = U(0x9E3779B97F4A7C15)
_HASH_B = U(0xC2B2AE3D27D4EB4F)
_FIRST = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)
"""The first n bytes of a word."""


@helper
def same(data, i, keys, k, n):
    """Whether n bytes at load8(data, i) and keys[k] are equal."""
    while n >= 8:
        if load64(data, i) != load64(keys, k):
            return False
        i += 8
        k += 8
        n -= 8
    return n == 0 or (load64(data, i) ^ load64(keys, k)) << U(8 * (8 - n)) == 0


@helper
def key_hash(data, i, n):
    """A hash of the n bytes at i (:func:`deras.formats._json_decoder.key_hash` is its twin in Python)."""
    first = load64(data, i) & _FIRST[U(min(n, 8))]
    end = load64(data, max(i + n - 8, i))
    last = end if n >= 8 else U(n)
    h = first * _HASH_A ^ (last ^ U(n)) * _HASH_B
    return h ^ h >> U(29)


@helper
def find_key(data, i, n, keys, koff, klen, table):
    """The key of n bytes at i: its number, or -1 - the slot where it would stand."""
    mask = len(table) - 1
    slot = np.int64(key_hash(data, i, n) >> U(20)) & mask
    while True:
        f = table[U(slot)]
        if f < 0:
            return -1 - slot
        if klen[U(f)] == n + 2 and same(data, i, keys, koff[U(f)] + 1, n):
            return f
        slot = (slot + 1) & mask


@routine
def learn_key(data, i, n, slot, keys, koff, klen, table, state):
    """Remember an unknown key; gives its number, or -1 if there is no room (a table is at most half full)."""
    f = state[KEYS]
    place = state[KEY_BYTES]
    if n > MAX_KEY or f >= len(koff) or place + n + 2 + 64 > len(keys) or 2 * f >= len(table):
        return -1
    for j in range(n + 2):
        keys[place + j] = load8(data, i - 1 + j)
    koff[f] = place
    klen[f] = n + 2
    table[slot] = f
    state[KEYS] = f + 1
    state[KEY_BYTES] = place + n + 2
    return f


@helper
def key_at(data, i, end, keys, koff, klen, table):
    """The number of the known key whose opening quote is at i, or -1: it must be looked at more closely.

    Keys of up to 16 bytes cost no branch that depends on the key, as any may come.
    """
    m = string_stops(data, i + 1)
    if m == 0:
        return -1
    n = trailing_zeros(m)
    if load8(data, i + 1 + n) != 34 or i + 1 + n >= end:
        return -1
    f = table[U(np.int64(key_hash(data, i + 1, n) >> U(20)) & (len(table) - 1))]
    if f < 0 or klen[U(f)] != n + 2:
        return -1
    k = koff[U(f)] + 1
    if n > 16:
        return f if same(data, i + 1, keys, k, n) else -1
    low = (load64(data, i + 1) ^ load64(keys, k)) & _FIRST[U(min(n, 8))]
    high = (load64(data, i + 9) ^ load64(keys, k + 8)) & _FIRST[U(max(n - 8, 0))]
    return f if low | high == U(0) else -1
