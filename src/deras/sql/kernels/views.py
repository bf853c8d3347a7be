"""Bytes of string views, for kernels: where a text lies, its words, and views of its parts.

A text is a *region*: its first byte's address and the address behind it. A text of up to 12 bytes lies in its view,
whose 12 bytes may all be read; a longer one has at least 13 bytes in a buffer. So every region can be read in words of
eight bytes without leaving it.
"""

from __future__ import annotations

import numpy as np

from deras.core.jit import helper, load64_at, prefetch_at, trailing_zeros

_LOW = np.uint64(0x7F7F7F7F7F7F7F7F)
_ONES = np.uint64(0x0101010101010101)
_FULL = np.uint64(0xFFFFFFFFFFFFFFFF)
_LENGTH = np.uint64(0xFFFFFFFF)


@helper
def region(views, here, i, bases):  # type: ignore[no-untyped-def]
    """(address of the first byte, length, address up to which may be read) of row i; ``here``: address of views."""
    length = np.int64(views[i, 0] & _LENGTH)
    if length <= np.int64(12):
        start = here + np.int64(16) * i + np.int64(4)
        return start, length, start + np.int64(12)
    place = views[i, 1]
    start = bases[np.int64(place & _LENGTH)] + np.int64(place >> np.uint64(32))
    return start, length, start + length


@helper
def ask(views, i, bases):  # type: ignore[no-untyped-def]
    """Ask for the bytes of the text some rows behind row i: the column's bytes are often in no cache any more."""
    i += np.int64(16)
    if i < len(views) and np.int64(views[i, 0] & _LENGTH) > np.int64(12):
        place = views[i, 1]
        at = bases[np.int64(place & _LENGTH)] + np.int64(place >> np.uint64(32))
        prefetch_at(at)
        prefetch_at(at + np.int64(64))


@helper
def fetch8(at, limit):  # type: ignore[no-untyped-def]
    """Eight bytes from an address; those behind the limit are 0. There are at least twelve bytes before the limit."""
    if at + np.int64(8) <= limit:
        return load64_at(at)
    beyond = at + np.int64(8) - limit
    if beyond >= np.int64(8):
        return np.uint64(0)
    return load64_at(limit - np.int64(8)) >> np.uint64(8 * beyond)


@helper
def first_bytes(word, n):  # type: ignore[no-untyped-def]
    """The first n bytes of a word (n from 0 to 8), the others 0."""
    if n <= np.int64(0):
        return np.uint64(0)
    return word & (_FULL >> np.uint64(64 - 8 * n))


@helper
def find_byte(at, end, limit, byte):  # type: ignore[no-untyped-def]
    """The address of the first such byte from ``at`` on; ``end`` if there is none."""
    wanted = np.uint64(byte) * _ONES
    while at < end:
        x = fetch8(at, limit) ^ wanted
        # The high bit of every byte that is zero, exactly.
        zero = ~(((x & _LOW) + _LOW) | x | _LOW)
        if zero != np.uint64(0):
            return min(at + (trailing_zeros(zero) >> np.int64(3)), end)
        at += np.int64(8)
    return end


@helper
def same_bytes(at, limit, text, n):  # type: ignore[no-untyped-def]
    """Whether the n bytes at an address are those of ``text``: uint64 words, the last filled with zeros."""
    k = np.int64(0)
    done = np.int64(0)
    while done < n:
        if first_bytes(fetch8(at + done, limit), min(n - done, np.int64(8))) != text[k]:
            return False
        done += np.int64(8)
        k += np.int64(1)
    return True


@helper
def find_text(at, end, limit, text, n, rare):  # type: ignore[no-untyped-def]
    """The address of the first place of a text of n > 0 bytes (words as in :func:`same_bytes`); -1: nowhere.

    ``rare``: which of its bytes to look for (:func:`rare_byte`).
    """
    byte = (text[rare >> np.int64(3)] >> np.uint64(8 * (rare & np.int64(7)))) & np.uint64(0xFF)
    last = end - n
    while at <= last:
        at = find_byte(at + rare, last + rare + np.int64(1), limit, byte) - rare
        if at > last:
            break
        if same_bytes(at, limit, text, n):
            return at
        at += np.int64(1)
    return np.int64(-1)


@helper
def put_part(out, i, views, row, start, first, length, limit):  # type: ignore[no-untyped-def]
    """Into view i of ``out``: the bytes from ``first`` of the text of a row that begins at ``start``."""
    a = fetch8(first, limit)
    if length <= np.int64(12):
        x = first_bytes(a, min(length, np.int64(8)))
        y = np.uint64(0)
        if length > np.int64(8):
            y = first_bytes(fetch8(first + np.int64(8), limit), length - np.int64(8))
        out[i, 0] = np.uint64(length) | (x << np.uint64(32))
        out[i, 1] = (x >> np.uint64(32)) | (y << np.uint64(32))
    else:
        out[i, 0] = np.uint64(length) | (a << np.uint64(32))
        out[i, 1] = views[row, 1] + (np.uint64(first - start) << np.uint64(32))


def words_of(text: bytes) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Bytes as uint64 words, the last filled with zeros; at least one."""
    size = max(1, -(-len(text) // 8)) * 8
    return np.frombuffer(text.ljust(size, b"\0"), np.uint64).copy()


def rare_byte(text: bytes) -> int:
    """The place of the byte that other texts have least: not a letter or digit, else one of the rarer letters."""
    often = b"etaoinshrdlucmwfygpbvkxqjz0123456789 "[::-1]
    return min(range(len(text)), key=lambda i: (often.find(text[i : i + 1].lower()), -i), default=0)
