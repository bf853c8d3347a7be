"""Kernels that pack key columns to rows of words with their hashes, for those who need the words themselves."""

# Numba types the bodies, not mypy.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,call-arg,arg-type,assignment"

from __future__ import annotations

import numpy as np

from deras.core.jit import kernel
from deras.engine.kernels.index import clean_view, finish, mix, mix_bytes

_NULL = np.uint64(0xA5A5D1D1C3C39696)
_LOW = np.uint64(0xFFFFFFFF)
_S32 = np.uint64(32)
_S57 = np.uint64(57)
_ONE = np.uint64(1)

_RO1 = "Array(int64, 1, 'C', readonly=True)"
_RO2 = "Array(int64, 2, 'C', readonly=True)"
_ROV = "Array(uint64, 2, 'C', readonly=True)"
_ROB = "Array(uint8, 1, 'C', readonly=True)"


@kernel(f"void({_RO1}, {_ROB}, int64[:, ::1], int64, int64, int64, uint64[::1])")
def pack_words(words, valid, keys, j, mask, bit, hashes):
    """One column of words into the packed keys and the hashes."""
    nulls = len(valid) > 0
    for k in range(len(words)):
        if nulls and valid[k] == 0:
            keys[k, j] = 0
            keys[k, mask] |= np.int64(_ONE << np.uint64(bit))
            hashes[k] = mix(hashes[k], _NULL)
        else:
            keys[k, j] = words[k]
            hashes[k] = mix(hashes[k], np.uint64(words[k]))


@kernel(f"void({_RO2}, {_ROB}, int64[:, ::1], int64, int64, int64, uint64[::1])")
def pack_limbs(limbs, valid, keys, j, mask, bit, hashes):
    """One wide DECIMAL column into the packed keys and the hashes."""
    nulls = len(valid) > 0
    for k in range(len(limbs)):
        if nulls and valid[k] == 0:
            keys[k, j] = 0
            keys[k, j + 1] = 0
            keys[k, mask] |= np.int64(_ONE << np.uint64(bit))
            hashes[k] = mix(hashes[k], _NULL)
        else:
            keys[k, j] = limbs[k, 0]
            keys[k, j + 1] = limbs[k, 1]
            hashes[k] = mix(mix(hashes[k], np.uint64(limbs[k, 0])), np.uint64(limbs[k, 1]))


@kernel(f"void({_ROV}, {_RO1}, {_ROB}, int64[:, ::1], int64, int64, int64, uint64[::1])")
def pack_views(views, bases, valid, keys, j, mask, bit, hashes):
    """One text column into the packed keys and the hashes; long texts by address."""
    nulls = len(valid) > 0
    for k in range(len(views)):
        if nulls and valid[k] == 0:
            keys[k, j] = 0
            keys[k, j + 1] = 0
            keys[k, mask] |= np.int64(_ONE << np.uint64(bit))
            hashes[k] = mix(hashes[k], _NULL)
            continue
        v0 = views[k, 0]
        v1 = views[k, 1]
        length = np.int64(v0 & _LOW)
        if length <= 12:
            v0, v1 = clean_view(length, v0, v1)
            hashes[k] = mix(mix(hashes[k], v0), v1)
            keys[k, j + 1] = np.int64(v1)
        else:
            address = bases[np.int64(v1 & _LOW)] + np.int64(v1 >> _S32)
            hashes[k] = mix_bytes(mix(hashes[k], v0), address, length)
            keys[k, j + 1] = address
        keys[k, j] = np.int64(v0)


@kernel("void(uint64[::1], uint8[::1])")
def key_groups(hashes, groups):
    """The key-group of each hash that the pack kernels made."""
    for k in range(len(hashes)):
        groups[k] = np.uint8(finish(hashes[k]) >> _S57)
