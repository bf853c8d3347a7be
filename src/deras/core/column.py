"""A column of a delta: NumPy for kernels, Polars for expressions, each made from the other when first asked for.

Both forms share memory where the layout allows it (words of BIGINT, TIMESTAMP, DOUBLE and all 16-byte string views).
A column is immutable: nobody writes into the arrays of a column that he did not make in the same call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from deras.core.types import Kind, Layout, SqlType, polars_type

if TYPE_CHECKING:
    from collections.abc import Sequence

Words = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint8]

# The dtype in which Polars holds a word of the kind, where it is not int64 itself.
_NARROW: dict[Kind, Any] = {
    Kind.BOOLEAN: pl.Boolean,
    Kind.TINYINT: pl.Int8,
    Kind.SMALLINT: pl.Int16,
    Kind.INT: pl.Int32,
    Kind.DATE: pl.Int32,
    Kind.INTERVAL_MONTH: pl.Int32,
}


_MANY = 256


class Views:
    """Text or bytes: ``views[n, 2]`` uint64 as in Arrow's ``string_view``, and the buffers that they point into.

    Word 0: length | first four bytes << 32. Word 1: up to length 12 the other bytes, else buffer number | offset << 32.
    """

    __slots__ = ("_bases", "buffers", "views")

    def __init__(
        self, views: npt.NDArray[np.uint64], buffers: Sequence[Bits], bases: npt.NDArray[np.int64] | None = None
    ) -> None:
        self.views = views
        self.buffers = list(buffers)
        self._bases = bases

    def bases(self) -> npt.NDArray[np.int64]:
        """The address of each buffer, for kernels (at least one entry)."""
        if self._bases is None:
            # Several times faster than ``b.ctypes.data``.
            self._bases = np.array([pa.py_buffer(b).address for b in self.buffers] or [0], np.int64)
        return self._bases

    def of(self, views: npt.NDArray[np.uint64]) -> Views:
        """Other views into the same buffers."""
        return Views(views, self.buffers, self._bases)


def _pack(valid: Bits | None) -> pa.Buffer | None:
    return None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))


class Column:
    """Values of one SQL type.

    Make one with :meth:`of_words`, :meth:`of_floats`, :meth:`of_limbs`, :meth:`of_views`, :meth:`of_series`,
    :meth:`of_values`. Ask for ``words()``, ``floats()``, ``limbs()``, ``views()``, ``valid()`` or ``series()``.
    With neither array nor series it holds NULLs only: columns that nobody reads cost nothing.
    """

    __slots__ = ("_array", "_has_valid", "_series", "_valid", "length", "type")

    def __init__(self, type_: SqlType, length: int) -> None:
        self.type = type_
        self.length = length
        self._array: Any = None
        self._valid: Bits | None = None
        self._has_valid = False
        self._series: pl.Series | None = None

    # ---- making

    @classmethod
    def _of(cls, type_: SqlType, array: Any, length: int, valid: Bits | None) -> Column:
        c = cls(type_, length)
        c._array = array
        c._valid = valid
        c._has_valid = True
        return c

    @classmethod
    def of_words(cls, type_: SqlType, words: Words, valid: Bits | None = None) -> Column:
        """From int64 words; ``valid``: uint8 (1 = not NULL), or None if nothing is NULL."""
        return cls._of(type_, words, len(words), valid)

    @classmethod
    def of_floats(cls, type_: SqlType, floats: npt.NDArray[np.float64], valid: Bits | None = None) -> Column:
        """From float64 values (FLOAT too)."""
        return cls._of(type_, floats, len(floats), valid)

    @classmethod
    def of_limbs(cls, type_: SqlType, limbs: npt.NDArray[np.int64], valid: Bits | None = None) -> Column:
        """From int64[n, 2] (low, high) of a wide DECIMAL."""
        return cls._of(type_, limbs, len(limbs), valid)

    @classmethod
    def of_views(cls, type_: SqlType, views: Views, valid: Bits | None = None) -> Column:
        """From string views."""
        return cls._of(type_, views, len(views.views), valid)

    @classmethod
    def of_series(cls, type_: SqlType, series: pl.Series) -> Column:
        """From a Polars series of :func:`deras.core.types.polars_type`."""
        c = cls(type_, len(series))
        c._series = series
        return c

    @classmethod
    def of_values(cls, type_: SqlType, values: Sequence[Any]) -> Column:
        """From Python values (None is NULL); for tests and small things."""
        if type_.kind is Kind.MAP:
            values = [None if v is None else [{"key": k, "value": x} for k, x in dict(v).items()] for v in values]
        return cls.of_series(type_, pl.Series("", values, dtype=polars_type(type_), strict=False))

    @classmethod
    def nulls(cls, type_: SqlType, n: int) -> Column:
        """N NULLs; they take no memory until somebody looks at them."""
        return cls(type_, n)

    # ---- reading

    def __len__(self) -> int:
        return self.length

    @property
    def _void(self) -> bool:
        """Whether it holds NULLs only and has not been looked at."""
        return self._array is None and self._series is None

    def valid(self) -> Bits | None:
        """uint8[n] with 1 for values and 0 for NULLs, or None if there is no NULL."""
        if not self._has_valid:
            if self._void and self.length and self.type.layout is not Layout.NESTED:
                self._array = self._to_numpy()
                return self._valid
            s = self.series()
            self._valid = _plain(s.is_not_null().cast(pl.UInt8).to_numpy()) if s.null_count() else None
            self._has_valid = True
        return self._valid

    def _numpy(self) -> Any:
        if self._array is None:
            self._array = self._to_numpy()
        return self._array

    def words(self) -> Words:
        """int64[n]; the word of a NULL is unspecified but readable."""
        return self._numpy()  # type: ignore[no-any-return]

    def floats(self) -> npt.NDArray[np.float64]:
        """float64[n]."""
        return self._numpy()  # type: ignore[no-any-return]

    def limbs(self) -> npt.NDArray[np.int64]:
        """int64[n, 2]."""
        return self._numpy()  # type: ignore[no-any-return]

    def views(self) -> Views:
        """The string views; NULLs have length 0 or anything readable."""
        return self._numpy()  # type: ignore[no-any-return]

    def series(self) -> pl.Series:
        """The Polars series (nameless)."""
        if self._series is None:
            self._series = _no_values(self.type, self.length) if self._array is None else self._to_series()
        return self._series

    def to_arrow(self) -> pa.Array:
        """The Arrow array of :func:`deras.core.types.arrow_type` (maps as lists of structs)."""
        return self.series().to_arrow(compat_level=pl.CompatLevel.newest())

    def values(self) -> list[Any]:
        """Python values."""
        return self.series().to_list()

    # ---- conversions

    def _to_series(self) -> pl.Series:
        n, bits = self.length, _pack(self._valid)
        t = self.type
        match t.layout:
            case Layout.VIEWS:
                v: Views = self._array
                kind = pa.string_view() if t.is_text else pa.binary_view()
                buffers = [bits, pa.py_buffer(v.views), *(pa.py_buffer(b) for b in v.buffers)]
                return _series(pa.Array.from_buffers(kind, n, buffers))
            case Layout.FLOATS:
                s = _series(pa.Array.from_buffers(pa.float64(), n, [bits, pa.py_buffer(self._array)]))
                return s.cast(pl.Float32) if t.kind is Kind.FLOAT else s
            case Layout.LIMBS:
                kind = pa.decimal128(t.precision, t.scale)
                return _series(pa.Array.from_buffers(kind, n, [bits, pa.py_buffer(np.ascontiguousarray(self._array))]))
            case Layout.WORDS:
                words = np.ascontiguousarray(self._array, dtype=np.int64)
                if t.kind is Kind.DECIMAL:
                    limbs = np.empty((n, 2), np.int64)
                    limbs[:, 0] = words
                    limbs[:, 1] = words >> 63
                    kind = pa.decimal128(t.precision, t.scale)
                    return _series(pa.Array.from_buffers(kind, n, [bits, pa.py_buffer(limbs)]))
                if t.is_timestamp:
                    unit = "ns" if t.nanoseconds else "us"
                    kind = pa.timestamp(unit, tz="UTC" if t.kind is Kind.TIMESTAMP_LTZ else None)
                elif t.kind is Kind.TIME:
                    kind = pa.time64("ns")
                elif t.kind is Kind.INTERVAL_DAY:
                    kind = pa.duration("ms")
                else:
                    kind = pa.int64()
                s = _series(pa.Array.from_buffers(kind, n, [bits, pa.py_buffer(words)]))
                if t.kind in _NARROW:
                    s = s.cast(_NARROW[t.kind])
                    if t.kind is Kind.DATE:
                        s = s.cast(pl.Date)
                return s
            case _:
                raise TypeError(f"{t} has no array form")

    def _to_numpy(self) -> Any:
        n, t = self.length, self.type
        if self._void and n and t.layout is not Layout.NESTED:
            self._valid, self._has_valid = np.zeros(n, np.uint8), True
            match t.layout:
                case Layout.WORDS:
                    return np.zeros(n, np.int64)
                case Layout.FLOATS:
                    return np.zeros(n, np.float64)
                case Layout.LIMBS:
                    return np.zeros((n, 2), np.int64)
                case _:
                    return Views(np.zeros((n, 2), np.uint64), [])
        s = self.series()
        match t.layout:
            case Layout.WORDS:
                if t.kind is Kind.DECIMAL:
                    return np.ascontiguousarray(_limbs(s)[:, 0])
                s = s.cast(pl.Int64) if t.kind is Kind.BOOLEAN else s.to_physical().cast(pl.Int64)
                if s.null_count():
                    s = s.fill_null(0)
                return _plain(s.to_numpy())
            case Layout.FLOATS:
                s = s.cast(pl.Float64)
                if s.null_count():
                    s = s.fill_null(0.0)
                return _plain(s.to_numpy())
            case Layout.LIMBS:
                return _limbs(s)
            case Layout.VIEWS:
                a = s.rechunk().to_arrow(compat_level=pl.CompatLevel.newest())
                bufs = a.buffers()
                raw = np.frombuffer(bufs[1], np.uint64) if bufs[1] is not None else np.zeros(0, np.uint64)
                views = raw.reshape(-1, 2)[a.offset : a.offset + len(a)]
                if a.null_count:
                    views = views.copy()
                    views[s.is_null().to_numpy()] = 0
                return Views(_plain(views), [np.frombuffer(b, np.uint8) for b in bufs[2:] if b is not None])
            case _:
                raise TypeError(f"{t} has no array form")

    # ---- rows

    def take(self, rows: npt.NDArray[np.int64]) -> Column:
        """The rows at these positions, in this order."""
        if self._array is None and len(rows) >= _MANY and self._series is not None and self.type.layout is Layout.VIEWS:
            # Polars gathers text five times slower than NumPy gathers views.
            self.views()
        if self._array is not None:
            # ``take`` copies whole rows: of two words, ten times as fast as an index.
            valid = None if self._valid is None else self._valid.take(rows)
            if isinstance(self._array, Views):
                taken: Any = self._array.of(self._array.views.take(rows, axis=0))
            else:
                taken = self._array.take(rows, axis=0)
            return Column._of(self.type, taken, len(rows), valid)
        if self._series is None:
            return Column.nulls(self.type, len(rows))
        return Column.of_series(self.type, self.series().gather(pl.Series(rows)))

    def slice(self, start: int, stop: int) -> Column:
        """Rows start..stop, sharing memory."""
        if self._array is not None:
            valid = None if self._valid is None else self._valid[start:stop]
            if isinstance(self._array, Views):
                part: Any = self._array.of(self._array.views[start:stop])
            else:
                part = self._array[start:stop]
            return Column._of(self.type, part, stop - start, valid)
        if self._series is None:
            return Column.nulls(self.type, stop - start)
        return Column.of_series(self.type, self.series().slice(start, stop - start))

    def where(self, keep: Bits) -> Column:
        """The same values, NULL where ``keep`` (uint8[n]) is 0."""
        if self._void:
            return self
        if self.type.layout is Layout.NESTED:
            mask = pl.Series(keep.astype(np.bool_))
            return Column.of_series(self.type, self.series().zip_with(mask, _no_values(self.type, self.length)))
        valid = self.valid()
        return Column._of(self.type, self._numpy(), self.length, keep if valid is None else valid & keep)

    def with_type(self, type_: SqlType) -> Column:
        """The same memory under another type of the same layout (nullability, length, names)."""
        c = Column(type_, self.length)
        c._array, c._valid, c._has_valid, c._series = self._array, self._valid, self._has_valid, self._series
        return c

    @staticmethod
    def concat(columns: Sequence[Column]) -> Column:
        """One column after the other."""
        if len(columns) == 1:
            return columns[0]
        t = columns[0].type
        if all(c._void for c in columns):
            return Column.nulls(t, sum(map(len, columns)))
        if t.layout in (Layout.WORDS, Layout.FLOATS, Layout.LIMBS):
            parts = [c._numpy() for c in columns]
            return Column._of(t, np.concatenate(parts), sum(map(len, columns)), _concat_valid(columns))
        if t.layout is Layout.VIEWS and any(c._array is not None for c in columns):
            return _concat_views(t, columns)
        return Column.of_series(t, pl.concat([c.series() for c in columns], rechunk=True))

    def __repr__(self) -> str:
        return f"Column({self.type}, {self.values()[:10]}{'…' if self.length > 10 else ''})"


def _concat_valid(columns: Sequence[Column]) -> Bits | None:
    valids = [c.valid() for c in columns]
    if all(v is None for v in valids):
        return None
    return np.concatenate([np.ones(len(c), np.uint8) if v is None else v for c, v in zip(columns, valids, strict=True)])


def _concat_views(type_: SqlType, columns: Sequence[Column]) -> Column:
    """Views one after the other; those of long texts point behind the buffers of the columns before."""
    parts = [c.views() for c in columns]
    whole = np.concatenate([p.views for p in parts])
    buffers: list[Bits] = []
    at = 0
    for c, p in zip(columns, parts, strict=True):
        if buffers and p.buffers:
            mine = whole[at : at + c.length]
            long = (mine[:, 0] & np.uint64(0xFFFFFFFF)) > np.uint64(12)
            np.add(mine[:, 1], np.uint64(len(buffers)), out=mine[:, 1], where=long)
        buffers += p.buffers
        at += c.length
    return Column._of(type_, Views(whole, buffers), at, _concat_valid(columns))


class _Alias:
    """Says of an array's memory that it may be written, and keeps the array alive."""

    __slots__ = ("__array_interface__", "_array")

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self._array = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def _plain(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same memory as an array of the type that kernels are compiled for: contiguous and not read-only.

    Polars and Arrow hand out read-only arrays, which are another type to Numba. Nobody writes into a column.
    """
    array = np.ascontiguousarray(array)
    return array if array.flags.writeable or not array.size else np.asarray(_Alias(array))


def _no_values(t: SqlType, n: int) -> pl.Series:
    one = pl.Series("", [None] if n else [], dtype=polars_type(t))
    return one.new_from_index(0, n) if n else one


class _Exported:
    """An Arrow array as its C interface only: from a whole one Polars imports all of Arrow's functions first."""

    __slots__ = ("__arrow_c_array__",)

    def __init__(self, array: pa.Array) -> None:
        self.__arrow_c_array__ = array.__arrow_c_array__


def _series(array: pa.Array) -> pl.Series:
    return pl.Series("", _Exported(array))


def _limbs(s: pl.Series) -> npt.NDArray[np.int64]:
    a = s.rechunk().to_arrow(compat_level=pl.CompatLevel.newest())
    raw = np.frombuffer(a.buffers()[1], np.int64).reshape(-1, 2)[a.offset : a.offset + len(a)]
    if a.null_count:
        raw = raw.copy()
        raw[s.is_null().to_numpy()] = 0
    return _plain(raw)
