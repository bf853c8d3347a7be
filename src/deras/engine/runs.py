"""Runs: neighbouring rows with one key, which is then looked up once for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.types import Layout
from deras.engine.kernels import runs as k
from deras.engine.state.keys import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.column import Column

Words = npt.NDArray[np.int64]
_NO_BITS = np.zeros(0, np.uint8)
_LEAST = 64
_SAMPLE = 512
_LENGTH = 8  # rows a run, on average, from which on runs are worth their search


def starts(columns: Sequence[Column], n: int) -> Words | None:
    """Where runs of equal keys begin, and at last ``n``; None where they are too short to be worth it.

    Two runs side by side may have equal keys.
    """
    if n < _LEAST:
        return None
    if not columns:
        return np.array([0, n], np.int64)
    if n > 2 * _SAMPLE:
        sample = _heads([c.slice(0, _SAMPLE) for c in columns], _SAMPLE)
        if sample is None:
            return None
    heads = _heads(columns, n)
    if heads is None:
        return None
    return np.append(np.flatnonzero(heads), n)


def _heads(columns: Sequence[Column], n: int) -> Any:
    heads = np.zeros(n, np.uint8)
    heads[0] = 1
    for column in columns:
        valid = column.valid()
        bits = _NO_BITS if valid is None else plain(valid, np.uint8)
        match column.type.layout:
            case Layout.WORDS:
                m = k.heads_of_words(plain(column.words(), np.int64), bits, heads)
            case Layout.FLOATS:
                m = k.heads_of_words(plain(column.floats(), np.float64).view(np.int64), bits, heads)
            case Layout.LIMBS:
                m = k.heads_of_pairs(plain(column.limbs(), np.int64), bits, heads)
            case Layout.VIEWS:
                m = k.heads_of_pairs(plain(column.views().views, np.uint64).view(np.int64), bits, heads)
            case _:
                return None
        if (m + 1) * _LENGTH > n:
            return None
    return heads


def spread(begins: Words, owners: Words) -> Words:
    """By row the owner of its run."""
    ids = np.empty(int(begins[-1]), np.int64)
    k.spread(begins, owners, ids)
    return ids
