"""Made-up values: each is a pure function of (seed, field, row number), so any row can be made again."""

from __future__ import annotations

import abc
import zlib
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from deras.core.column import Column
from deras.core.errors import OptionError
from deras.core.types import BIGINT, Kind, Layout, SqlType, polars_type

if TYPE_CHECKING:
    from collections.abc import Mapping

Rows = npt.NDArray[np.uint64]

STRING_LENGTH = 100
COLLECTION_LENGTH = 3

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


def random_words(rows: Rows, key: int) -> Rows:
    """64 random bits a row (SplitMix64 of row number and key; Steele, Lea, Flood 2014)."""
    z = rows * _GOLDEN + np.uint64(key)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def random_units(rows: Rows, key: int) -> npt.NDArray[np.float64]:
    """Numbers in [0, 1)."""
    return (random_words(rows, key) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _between(rows: Rows, key: int, low: int, high: int) -> npt.NDArray[np.int64]:
    """Whole numbers in [low, high]."""
    words = random_words(rows, key)
    span = high - low + 1
    if span >= 1 << 64:
        return words.view(np.int64)
    # The bias of the remainder is at most span / 2^64.
    return (words % np.uint64(span) + np.uint64(low & (1 << 64) - 1)).view(np.int64)


@dataclass(frozen=True, slots=True)
class Field:
    """What is known of one field: its path for messages and seeds, type, options below it."""

    path: str
    type: SqlType
    options: Mapping[str, Any]
    seed: int

    def key(self, salt: str = "") -> int:
        """The key of its random numbers."""
        text = f"{self.seed}\0{self.path}\0{salt}".encode()
        return zlib.crc32(text) << 32 | zlib.crc32(b"2" + text)

    def get(self, name: str) -> Any:
        """One of its options, or None."""
        return self.options.get(f"{self.path}.{name}")

    def wrong(self, name: str, why: str) -> OptionError:
        """The error for one of its options."""
        return OptionError(f"option 'fields.{self.path}.{name}': {why}")

    def number(self, name: str, default: Any) -> Any:
        """A number option in units of the type's word (DECIMAL: scaled)."""
        text = self.get(name)
        if text is None:
            return default
        try:
            value = Decimal(str(text).strip())
        except InvalidOperation:
            raise self.wrong(name, f"{text!r} is no number") from None
        if self.type.is_approximate:
            return float(value)
        if self.type.kind is Kind.DECIMAL:
            value = value.scaleb(self.type.scale)
        if value != value.to_integral_value():
            raise self.wrong(name, f"{text} does not fit {self.type}")
        return int(value)

    def below(self, name: str, type_: SqlType) -> Field:
        """A field inside this one."""
        return Field(f"{self.path}.{name}", type_, self.options, self.seed)


class Generator(abc.ABC):
    """Makes a column.

    Args:
        field: what to make.
    """

    end: int | None = None
    """The number of rows after which it has no more values, or None."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.type = field.type
        self.key = field.key()
        self.null_rate = float(field.get("null-rate") or 0.0)
        self._null_key = field.key("null")

    def column(self, rows: Rows, now_us: int) -> Column:
        """The values of rows by number, with NULLs at the rate asked for."""
        made = self.values(rows, now_us)
        if not self.null_rate:
            return made
        valid = random_units(rows, self._null_key) >= self.null_rate
        if valid.all():
            return made
        s = made.series()
        nulls = pl.Series("", [None], dtype=s.dtype).extend_constant(None, 0)
        return Column.of_series(self.type, s.zip_with(pl.Series(valid), nulls.new_from_index(0, len(s))))

    @abc.abstractmethod
    def values(self, rows: Rows, now_us: int) -> Column:
        """The values of rows by number."""


class _Sequence(Generator):
    def __init__(self, field: Field) -> None:
        super().__init__(field)
        t = field.type
        if not (t.is_exact or t.is_approximate or t.is_text):
            raise field.wrong("kind", f"{t} cannot be a sequence")
        if field.get("start") is None or field.get("end") is None:
            raise OptionError(
                f"field '{field.path}' is a sequence and needs options 'fields.{field.path}.start' and '.end'"
            )
        whole = Field(field.path, BIGINT, field.options, field.seed)
        self.start, last = whole.number("start", 0), whole.number("end", 0)
        if last < self.start:
            raise field.wrong("end", f"{last} is less than the start, {self.start}")
        self.end = last - self.start + 1

    def values(self, rows: Rows, now_us: int) -> Column:
        n = rows.view(np.int64) + self.start
        t = self.type
        if t.is_text:
            return Column.of_series(t, pl.Series(n).cast(pl.String))
        if t.is_approximate:
            return Column.of_floats(t, n.astype(np.float64))
        if t.kind is Kind.DECIMAL:
            return _decimals(t, n * 10**t.scale) if t.scale else _decimals(t, n)
        return Column.of_words(t, n)


class _Whole(Generator):
    def __init__(self, field: Field) -> None:
        super().__init__(field)
        t = field.type
        bits = t.bits if t.is_integer else 32 if t.kind is Kind.INTERVAL_MONTH else 64
        low, high = -(1 << bits - 1), (1 << bits - 1) - 1
        if t.kind is Kind.DECIMAL:
            low, high = 0, 10 ** min(t.precision, 18) - 1
        elif t.is_interval:
            low, high = 0, 1_200_000 if t.kind is Kind.INTERVAL_MONTH else 10_000 * 86_400_000
        self.low, self.high = field.number("min", low), field.number("max", high)
        if self.high < self.low:
            raise field.wrong("max", "it is less than the minimum")
        if t.is_integer and (self.low < low or self.high > high):
            raise field.wrong("min" if self.low < low else "max", f"it does not fit {t}")

    def values(self, rows: Rows, now_us: int) -> Column:
        words = _between(rows, self.key, self.low, self.high)
        return _decimals(self.type, words) if self.type.kind is Kind.DECIMAL else Column.of_words(self.type, words)


def _decimals(t: SqlType, words: npt.NDArray[np.int64]) -> Column:
    if t.layout is Layout.WORDS:
        return Column.of_words(t, words)
    return Column.of_limbs(t, np.stack([words, words >> 63], axis=1))


class _Real(Generator):
    def __init__(self, field: Field) -> None:
        super().__init__(field)
        greatest = float(np.finfo(np.float32 if field.type.kind is Kind.FLOAT else np.float64).max)
        self.low, self.high = field.number("min", 0.0), field.number("max", greatest)
        if self.high < self.low:
            raise field.wrong("max", "it is less than the minimum")

    def values(self, rows: Rows, now_us: int) -> Column:
        u = random_units(rows, self.key)
        made = self.low * (1 - u) + self.high * u  # in this form nothing overflows
        if self.type.kind is Kind.FLOAT:
            made = made.astype(np.float32).astype(np.float64)
        return Column.of_floats(self.type, made)


class _Boolean(Generator):
    def values(self, rows: Rows, now_us: int) -> Column:
        return Column.of_words(self.type, (random_words(rows, self.key) & np.uint64(1)).view(np.int64))


class _Text(Generator):
    """Hexadecimal digits, as Flink's; random bytes for binary types."""

    def __init__(self, field: Field) -> None:
        super().__init__(field)
        t = field.type
        bounded = t.kind in (Kind.CHAR, Kind.BINARY) or t.precision < STRING_LENGTH
        length = field.get("length")
        self.length = int(length) if length is not None else (t.precision if bounded else STRING_LENGTH)
        if self.length > t.precision:
            raise field.wrong("length", f"{self.length} does not fit {t}")
        if t.kind in (Kind.CHAR, Kind.BINARY) and self.length != t.precision:
            raise field.wrong("length", f"{t} has a fixed length")
        self.varies = bool(field.get("var-len"))
        if self.varies and t.kind in (Kind.CHAR, Kind.BINARY):
            raise field.wrong("var-len", f"{t} has a fixed length")

    def values(self, rows: Rows, now_us: int) -> Column:
        n, length = len(rows), self.length
        per_word = 16 if self.type.is_text else 8
        words = -(-length // per_word)
        raw = random_words(_inner(rows, words), self.key).view(np.uint8).reshape(n, words * 8)
        if self.type.is_text:
            digits = np.empty((n, words * 16), np.uint8)
            digits[:, 0::2] = _HEX[raw >> 4]
            digits[:, 1::2] = _HEX[raw & 15]
            raw = digits
        data = raw[:, :length]
        if self.varies and length:
            lengths = _between(rows, self.field.key("length"), 1, length)
            data = data[np.arange(length) < lengths[:, None]]
            offsets = np.concatenate([[0], np.cumsum(lengths)])
        else:
            offsets = np.arange(n + 1, dtype=np.int64) * length
        kind = pa.large_string() if self.type.is_text else pa.large_binary()
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data).ravel())]
        return Column.of_series(self.type, pl.Series("", pa.Array.from_buffers(kind, n, buffers)))


class _Moment(Generator):
    """The present, or with ``max-past`` a moment before it."""

    def __init__(self, field: Field) -> None:
        super().__init__(field)
        self.past = round((field.get("max-past") or 0.0) * 1000)
        if self.past and not field.type.is_timestamp:
            raise field.wrong("max-past", f"it is for timestamps, not for {field.type}")

    def values(self, rows: Rows, now_us: int) -> Column:
        us = np.full(len(rows), now_us, np.int64)
        t = self.type
        if self.past:
            us -= _between(rows, self.key, 0, self.past)
        if t.kind is Kind.DATE:
            return Column.of_words(t, us // 86_400_000_000)
        if t.kind is Kind.TIME:
            unit = 10 ** max(0, 6 - t.precision)
            return Column.of_words(t, us % 86_400_000_000 // unit * unit * 1000)
        if t.nanoseconds:
            return Column.of_words(t, us * 1000)
        unit = 10 ** (6 - t.precision)
        return Column.of_words(t, us // unit * unit)


class _Array(Generator):
    def __init__(self, field: Field) -> None:
        super().__init__(field)
        self.length = int(field.get("length") or COLLECTION_LENGTH)
        self.element = generator(field.below("element", field.type.children[0]))

    def values(self, rows: Rows, now_us: int) -> Column:
        inner = self.element.column(_inner(rows, self.length), now_us).series()
        offsets = pa.array(np.arange(len(rows) + 1, dtype=np.int64) * self.length)
        lists = pl.Series("", pa.LargeListArray.from_arrays(offsets, inner.to_arrow()))
        return Column.of_series(self.type, lists.cast(polars_type(self.type)))


class _Map(Generator):
    """MAP, and MULTISET as a map of counts; equal keys leave fewer entries."""

    def __init__(self, field: Field) -> None:
        super().__init__(field)
        self.length = int(field.get("length") or COLLECTION_LENGTH)
        many = field.type.kind is Kind.MULTISET
        self.keys = generator(field.below("element" if many else "key", field.type.children[0]))
        self.items = None if many else generator(field.below("value", field.type.children[1]))

    def values(self, rows: Rows, now_us: int) -> Column:
        inner = _inner(rows, self.length)
        keys = self.keys.column(inner, now_us).values()
        made: list[Any] = []
        values = [1] * len(keys) if self.items is None else self.items.column(inner, now_us).values()
        for i in range(0, len(keys), self.length):
            found: dict[Any, Any] = {}
            for k, v in zip(keys[i : i + self.length], values[i : i + self.length], strict=True):
                found[k] = found.get(k, 0) + 1 if self.items is None else v
            made.append([{"key": k, "value": v} for k, v in found.items()])
        return Column.of_series(self.type, pl.Series("", made, dtype=polars_type(self.type)))


class _Row(Generator):
    def __init__(self, field: Field) -> None:
        super().__init__(field)
        t = field.type
        self.fields = [generator(field.below(n, c)) for n, c in zip(t.names, t.children, strict=True)]

    def values(self, rows: Rows, now_us: int) -> Column:
        parts = [g.column(rows, now_us).series().alias(n) for g, n in zip(self.fields, self.type.names, strict=True)]
        return Column.of_series(self.type, pl.DataFrame(parts).to_struct("").alias(""))


def _inner(rows: Rows, length: int) -> Rows:
    """The numbers of ``length`` values for each row."""
    numbers = rows[:, None] * np.uint64(length) + np.arange(length, dtype=np.uint64)
    return numbers.ravel().astype(np.uint64, copy=False)


def generator(field: Field) -> Generator:
    """The generator of a field; ``OptionError`` where its options do not fit its type."""
    t = field.type
    if (field.get("kind") or "random") == "sequence":
        return _Sequence(field)
    if t.is_exact or t.is_interval:
        return _Whole(field)
    if t.is_approximate:
        return _Real(field)
    if t.is_text or t.is_bytes:
        return _Text(field)
    if t.is_timestamp or t.kind in (Kind.DATE, Kind.TIME):
        return _Moment(field)
    match t.kind:
        case Kind.BOOLEAN:
            return _Boolean(field)
        case Kind.ARRAY:
            return _Array(field)
        case Kind.MAP | Kind.MULTISET:
            return _Map(field)
        case Kind.ROW:
            return _Row(field)
        case _:
            raise OptionError(f"datagen cannot make values of type {t} (field '{field.path}')")


def paths(name: str, t: SqlType) -> list[str]:
    """The option paths of a column: its own and those of what it holds."""
    found = [name]
    if t.kind in (Kind.ARRAY, Kind.MULTISET):
        found += paths(f"{name}.element", t.children[0])
    elif t.kind is Kind.MAP:
        found += [*paths(f"{name}.key", t.children[0]), *paths(f"{name}.value", t.children[1])]
    elif t.kind is Kind.ROW:
        for n, c in zip(t.names, t.children, strict=True):
            found += paths(f"{name}.{n}", c)
    return found
