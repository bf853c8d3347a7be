"""Key columns as rows of words, and their stable hash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from deras.core.column import Column, Views
from deras.core.errors import InternalError
from deras.core.types import Layout, SqlType
from deras.engine.kernels import index as k
from deras.engine.kernels import pack as pk
from deras.engine.kernels import segments as sk

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


def address(array: Any) -> int:
    """Where a contiguous array begins; several times faster than ``array.ctypes.data``."""
    return pa.py_buffer(array).address  # type: ignore[no-any-return]


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
        self._known: dict[tuple[int, ...], tuple[Any, int, int, bool]] = {}
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
                    pk.pack_words(plain(column.words(), np.int64), valid, keys, j, mask, i % 64, hashes)
                case Layout.FLOATS:
                    words = plain(column.floats(), np.float64).view(np.int64)
                    pk.pack_words(words, valid, keys, j, mask, i % 64, hashes)
                case Layout.LIMBS:
                    pk.pack_limbs(plain(column.limbs(), np.int64), valid, keys, j, mask, i % 64, hashes)
                case _:
                    views = column.views()
                    at = plain(views.views, np.uint64)
                    pk.pack_views(at, views.bases(), valid, keys, j, mask, i % 64, hashes)
        return keys, hashes

    def plan(self, columns: Sequence[Column], n: int, rows: Any = None) -> tuple[npt.NDArray[np.int64], list[Any]]:
        """Where kernels find the values of the first ``n`` rows (or of ``rows`` among them).

        Gives int64[columns, 6]: kind, first word, NULL mask word or -1, addresses of the values, of the validity bytes
        (0: no NULLs) and of the text buffers' addresses.

        The second result keeps the memory alive: hold it as long as the first is used.
        """
        plan = np.zeros((len(columns), 6), np.int64)
        plan[:, :3] = self.columns
        keep: list[Any] = []
        for i, column in enumerate(columns):
            if column.length < n:
                raise InternalError(f"column {i} has {column.length} rows where {n} are needed")
            match self.types[i].layout:
                case Layout.WORDS:
                    values = plain(column.words(), np.int64)
                case Layout.FLOATS:
                    values = plain(column.floats(), np.float64)
                case Layout.LIMBS:
                    values = plain(column.limbs(), np.int64)
                case _:
                    views = column.views()
                    values = plain(views.views, np.uint64)
                    bases = views.bases()
                    keep += [views, bases]
                    plan[i, 5] = address(bases)
            plan[i, 3] = address(values)
            keep.append(values)
            valid = column.valid()
            if valid is None:
                continue
            if plan[i, 2] < 0:
                if not (valid[:n] if rows is None else valid[rows]).all():
                    raise InternalError(f"NULL in key column {i} of type {self.types[i]}")
                continue
            valid = plain(valid, np.uint8)
            plan[i, 4] = address(valid)
            keep.append(valid)
        return plan, keep

    def groups(self, columns: Sequence[Column], n: int) -> npt.NDArray[np.uint8]:
        """The key-group (0..127) of each row: stable between versions, machines and runs."""
        _, hashes = self.pack(columns, n)
        groups = np.empty(n, np.uint8)
        pk.key_groups(hashes, groups)
        return groups

    def read(
        self, tab: Any, chunks: Sequence[Any], bases: Any, ids: Any, which: Sequence[int] | None = None
    ) -> list[Column]:
        """Columns of rows as they lie in ``tab``; long text points into the chunks.

        Args:
            tab: int64[rows, at least width].
            chunks: of the long text.
            bases: their addresses.
            ids: int64[n] rows.
            which: positions of the columns wanted; None for all.
        """
        ids = np.ascontiguousarray(ids, np.int64)
        n = len(ids)
        picks, singles, doubles, masked = self._picks(tuple(range(len(self.types))) if which is None else tuple(which))
        words = np.empty((singles, n), np.int64)
        pairs = np.empty((doubles, n, 2), np.int64)
        valid = np.empty((len(picks) if masked else 0, n), np.uint8)
        nulls = np.zeros(len(picks), np.int64)
        local = np.full(len(chunks), -1, np.int64)
        used = np.empty(len(chunks) + 1, np.int64)
        sk.columns(ids, tab, picks, self.width, words, pairs, valid, nulls, local, used)
        used = used[: used[-1]]
        buffers = [chunks[c] for c in used.tolist()]
        held = bases[used] if buffers else np.zeros(1, np.int64)
        out = []
        for c, (at, missing) in enumerate(zip(picks[:, 4].tolist(), nulls.tolist())):
            t = self.types[c if which is None else which[c]]
            bits = valid[c] if missing else None
            match t.layout:
                case Layout.WORDS:
                    out.append(Column.of_words(t, words[at], bits))
                case Layout.FLOATS:
                    out.append(Column.of_floats(t, words[at].view(np.float64), bits))
                case Layout.LIMBS:
                    out.append(Column.of_limbs(t, pairs[at], bits))
                case _:
                    out.append(Column.of_views(t, Views(pairs[at].view(np.uint64), buffers, held), bits))
        return out

    def _picks(self, which: tuple[int, ...]) -> tuple[Any, int, int, bool]:
        known = self._known.get(which)
        if known is None:
            picks = np.zeros((len(which), 5), np.int64)
            counts = [0, 0]
            for c, i in enumerate(which):
                kind, j, mask = self.columns[i].tolist()
                picks[c] = (kind, j, mask, i % 64, counts[kind > 0])
                counts[kind > 0] += 1
            known = self._known[which] = (picks, counts[0], counts[1], bool((picks[:, 2] >= 0).any()))
        return known


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
