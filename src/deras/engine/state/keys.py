"""Key columns as rows of words, and their stable hash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.column import Column, Views
from deras.core.errors import InternalError
from deras.core.types import Layout, SqlType
from deras.engine.kernels import index as k

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_BITS = np.zeros(0, np.uint8)
_WIDTH = {Layout.WORDS: 1, Layout.FLOATS: 1, Layout.LIMBS: 2, Layout.VIEWS: 2}
_KIND = {Layout.WORDS: 0, Layout.FLOATS: 0, Layout.LIMBS: 1, Layout.VIEWS: 2}


def plain(array: Any, dtype: Any) -> Any:
    """The array as kernels want it: contiguous and aligned."""
    flags = array.flags
    if array.dtype == dtype and flags.c_contiguous and flags.aligned:
        return array
    return np.require(array, dtype, ["C", "A"])


class KeyShape:
    """Where each column of a key lies in its row of words.

    Args:
        types: of the key columns; nested types cannot be keys.
    """

    def __init__(self, types: Sequence[SqlType]) -> None:
        self.types = tuple(types)
        kinds: list[int] = []
        columns: list[tuple[int, int]] = []
        for t in types:
            if t.layout not in _WIDTH:
                raise InternalError(f"a key of type {t} has no word form")
            columns.append((_KIND[t.layout], len(kinds)))
            kinds += [0, 2] if t.layout is Layout.VIEWS else [0] * _WIDTH[t.layout]
        nullable = any(t.nullable for t in types)
        first_mask = len(kinds)
        if nullable:
            kinds += [0] * ((len(types) + 63) // 64)
        self.nullable = nullable
        self.width = len(kinds)
        """Words of a key."""
        self.kinds = np.array(kinds, np.int64)
        masks = [first_mask + i // 64 if nullable else -1 for i in range(len(types))]
        self.columns = np.array([(*c, m) for c, m in zip(columns, masks)], np.int64).reshape(-1, 3)
        self.has_text = any(t.layout is Layout.VIEWS for t in types)

    def pack(self, columns: Sequence[Column], n: int) -> tuple[Any, npt.NDArray[np.uint64]]:
        """The keys int64[n, width] (long text by address: keep the columns alive) and their unfinished hashes."""
        hashes = np.full(n, k.SEED, np.uint64)
        if not columns:
            return np.empty((n, 0), np.int64), hashes
        keys = np.empty((n, self.width), np.int64)
        if self.nullable:
            keys[:, self.columns[0, 2] :] = 0
        for i, column in enumerate(columns):
            _, j, mask = self.columns[i].tolist()
            valid = column.valid()
            if valid is None:
                valid = _NO_BITS
            elif mask < 0:
                if not valid.all():
                    raise InternalError(f"NULL in key column {i} of type {self.types[i]}")
                valid = _NO_BITS
            else:
                valid = plain(valid, np.uint8)
            match self.types[i].layout:
                case Layout.WORDS:
                    k.pack_words(plain(column.words(), np.int64), valid, keys, j, mask, i % 64, hashes)
                case Layout.FLOATS:
                    words = plain(column.floats(), np.float64).view(np.int64)
                    k.pack_words(words, valid, keys, j, mask, i % 64, hashes)
                case Layout.LIMBS:
                    k.pack_limbs(plain(column.limbs(), np.int64), valid, keys, j, mask, i % 64, hashes)
                case _:
                    views = column.views()
                    at = plain(views.views, np.uint64)
                    k.pack_views(at, views.bases(), valid, keys, j, mask, i % 64, hashes)
        return keys, hashes

    def groups(self, columns: Sequence[Column], n: int) -> npt.NDArray[np.uint8]:
        """The key-group (0..127) of each row: stable between versions, machines and runs."""
        _, hashes = self.pack(columns, n)
        groups = np.empty(n, np.uint8)
        k.key_groups(hashes, groups)
        return groups


def column_of_words(type_: SqlType, words: Any, valid: Any, buffers: Sequence[Any] = ()) -> Column:
    """A column of int64[n, 1 or 2] words as they lie in state."""
    bits = None if valid is None or valid.all() else valid
    match type_.layout:
        case Layout.WORDS:
            return Column.of_words(type_, words.reshape(-1), bits)
        case Layout.FLOATS:
            return Column.of_floats(type_, words.reshape(-1).view(np.float64), bits)
        case Layout.LIMBS:
            return Column.of_limbs(type_, words, bits)
        case _:
            return Column.of_views(type_, Views(words.view(np.uint64), buffers), bits)
