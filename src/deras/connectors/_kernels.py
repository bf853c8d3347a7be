"""Kernels of the connectors: counting lines, hashing rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from deras.core.jit import kernel
from deras.core.jit import load64_at as _load64_at
from deras.core.jit import match2 as _match2
from deras.core.jit import population as _population
from deras.core.jit import prefetch_at as _prefetch_at

# Intrinsics take a typing context in Python's eyes.
load64_at: Any = _load64_at
match2: Any = _match2
population: Any = _population
prefetch_at: Any = _prefetch_at

MULTIPLIER = 0x9E3779B97F4A7C15
NULL_WORD = 0xA5A5A5A55A5A5A5A
LENGTH_MULTIPLIER = 0xC2B2AE3D27D4EB4F

_M = np.uint64(MULTIPLIER)
_NULL = np.uint64(NULL_WORD)
_L = np.uint64(LENGTH_MULTIPLIER)
_32 = np.uint64(32)
_29 = np.uint64(29)
_LOW = np.uint64(0xFFFFFFFF)
_AHEAD = 12
"""Rows whose text is asked for before it is hashed."""

# Columns made of Arrow memory may not be written to, and say so.
_WORDS = "Array(int64, 1, 'C', readonly=True)"
_VALID = "Array(uint8, 1, 'C', readonly=True)"
_VIEWS = "Array(uint64, 2, 'C', readonly=True)"


@kernel("int64(uint8[::1], int64, int64)")
def count_lines(data: Any, start: Any, end: Any) -> Any:
    """The newlines in ``data[start:end]``."""
    total = np.int64(0)
    i = np.int64(start)
    while i + 64 <= end:
        low = np.uint64(match2(data, i, np.uint8(10), np.uint8(10)))
        high = np.uint64(match2(data, i + 32, np.uint8(10), np.uint8(10)))
        total += population(low | (high << _32))
        i += 64
    while i < end:
        total += np.int64(data[i] == np.uint8(10))
        i += 1
    return total


@kernel(f"void(uint64[::1], {_WORDS})")
def mix_words(hashes: Any, words: Any) -> None:
    """Take one word of each row into its hash."""
    for i in range(len(hashes)):
        x = (hashes[i] ^ np.uint64(words[i])) * _M
        hashes[i] = x ^ (x >> _32)


@kernel(f"void(uint64[::1], {_WORDS}, {_VALID})")
def mix_words_valid(hashes: Any, words: Any, valid: Any) -> None:
    """Take one word of each row into its hash; NULLs have a word of their own."""
    for i in range(len(hashes)):
        w = np.uint64(words[i]) if valid[i] else _NULL
        x = (hashes[i] ^ w) * _M
        hashes[i] = x ^ (x >> _32)


@kernel(f"void(uint64[::1], {_VIEWS}, {_WORDS}, {_VALID})")
def mix_views(hashes: Any, views: Any, bases: Any, valid: Any) -> None:
    """Take the bytes of each row's text into its hash (``valid`` empty: no NULLs)."""
    nulls = len(valid) > 0
    count = len(hashes)
    for i in range(count):
        if i + _AHEAD < count:
            # Texts of joined or sorted rows lie anywhere.
            head = views[i + _AHEAD, 0]
            tail = views[i + _AHEAD, 1]
            if head & _LOW > np.uint64(12) and not (nulls and not valid[i + _AHEAD]):
                at = bases[np.int64(tail & _LOW)] + np.int64(tail >> _32)
                prefetch_at(at)
                prefetch_at(at + np.int64(head & _LOW) - 1)
        if nulls and not valid[i]:
            w = _NULL
        else:
            head = views[i, 0]
            tail = views[i, 1]
            n = np.int64(head & _LOW)
            w = np.uint64(n) * _L
            if n <= 12:
                if n > 0:
                    first = (head >> _32) | (tail << _32)
                    if n < 8:
                        first &= (np.uint64(1) << np.uint64(8 * n)) - np.uint64(1)
                    w = (w ^ first) * _M
                    w ^= w >> _29
                if n > 8:
                    second = (tail >> _32) & ((np.uint64(1) << np.uint64(8 * (n - 8))) - np.uint64(1))
                    w = (w ^ second) * _M
                    w ^= w >> _29
            else:
                at = bases[np.int64(tail & _LOW)] + np.int64(tail >> _32)
                k = np.int64(0)
                while k + 8 <= n:
                    w = (w ^ load64_at(at + k)) * _M
                    w ^= w >> _29
                    k += 8
                if k < n:
                    # The text's last eight bytes: nothing is promised to be readable after it.
                    rest = load64_at(at + n - 8) >> np.uint64(8 * (8 - (n - k)))
                    w = (w ^ rest) * _M
                    w ^= w >> _29
        x = (hashes[i] ^ w) * _M
        hashes[i] = x ^ (x >> _32)


@kernel(f"uint64(uint64[::1], {_WORDS})")
def total_hash(hashes: Any, weights: Any) -> Any:
    """Sum of weight times final hash (``weights`` empty: all 1), mod 2^64."""
    total = np.uint64(0)
    weighted = len(weights) > 0
    for i in range(len(hashes)):
        x = hashes[i] * _M
        x ^= x >> _29
        if weighted:
            x = x * np.uint64(weights[i])
        total += x
    return total


@kernel("int64(uint8[::1])")
def flatten_array(data: Any) -> Any:
    """Make lines of a valid JSON array, in place: its elements are ended by newlines, other newlines become spaces.

    Gives the number of separators, or -1 if brackets do not match.
    """
    depth = np.int64(0)
    separators = np.int64(0)
    inside = False
    i = np.int64(0)
    n = len(data)
    while i < n:
        c = data[i]
        if inside:
            if c == np.uint8(92):
                i += 1
            elif c == np.uint8(34):
                inside = False
        elif c == np.uint8(34):
            inside = True
        elif c == np.uint8(123) or c == np.uint8(91):
            depth += 1
            if depth == 1:
                data[i] = np.uint8(32)
        elif c == np.uint8(125) or c == np.uint8(93):
            depth -= 1
            if depth == 0:
                data[i] = np.uint8(32)
        elif c == np.uint8(44):
            if depth == 1:
                data[i] = np.uint8(10)
                separators += 1
        elif c == np.uint8(10) or c == np.uint8(13):
            data[i] = np.uint8(32)
        i += 1
    return separators if depth == 0 and not inside else np.int64(-1)
