"""``'connector' = 'blackhole'``: swallows everything, but touches every column of every row and keeps a checksum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from deras.connectors import _kernels as k
from deras.core import contracts
from deras.core.column import Column
from deras.core.contracts import Sink, SinkDelivery, TableContext, Writer
from deras.core.types import STRING, Layout, polars_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.contracts import Accepts
    from deras.core.delta import Delta
    from deras.core.options import Option
    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.core.types import SqlType

Hashes = npt.NDArray[np.uint64]

_SEED = 0x243F6A8885A308D3
_MASK = (1 << 64) - 1
_NO_VALID = np.zeros(0, np.uint8)
_NO_WEIGHTS = np.zeros(0, np.int64)
_NAN = np.int64(0x7FF8000000000000)
_CHUNK = 8192
"""Rows hashed at a time, so that their hashes stay in the nearest cache."""


def checksum_of_delta(delta: Delta) -> int:
    """Σ weight · hash(row) mod 2^64: equal for equal multisets of rows, in any order and any batches."""
    total = 0
    columns = [_prepared(c) for c in delta.columns]
    for start in range(0, delta.length, _CHUNK):
        stop = min(start + _CHUNK, delta.length)
        hashes: Hashes = np.full(stop - start, _SEED, np.uint64)
        for layout, array, bases, valid in columns:
            part = _NO_VALID if valid is None else valid[start:stop]
            if layout is Layout.VIEWS:
                k.mix_views(hashes, array[start:stop], bases, part)
                continue
            for words in array:
                if valid is None:
                    k.mix_words(hashes, words[start:stop])
                else:
                    k.mix_words_valid(hashes, words[start:stop], part)
        weights = _NO_WEIGHTS if delta.weights is None else np.ascontiguousarray(delta.weights[start:stop])
        total += int(k.total_hash(hashes, weights))
    return total & _MASK


def _prepared(column: Column) -> tuple[Layout, Any, Any, npt.NDArray[np.uint8] | None]:
    """A column as arrays for the kernels: layout, words (a list) or views, the buffers' addresses, valid."""
    valid = column.valid()
    match column.type.layout:
        case Layout.VIEWS:
            views = column.views()
            return Layout.VIEWS, np.ascontiguousarray(views.views), views.bases(), valid
        case Layout.WORDS:
            return Layout.WORDS, [np.ascontiguousarray(column.words())], None, valid
        case Layout.FLOATS:
            return Layout.WORDS, [_float_words(column)], None, valid
        case Layout.LIMBS:
            limbs = column.limbs()
            return Layout.WORDS, [np.ascontiguousarray(limbs[:, i]) for i in range(2)], None, valid
        case _:
            return _prepared(_as_text(column))


def _float_words(column: Column) -> npt.NDArray[np.int64]:
    """The bits of the numbers; all NaNs alike."""
    floats = np.ascontiguousarray(column.floats())
    words = floats.view(np.int64)
    nan = np.isnan(floats)
    return np.where(nan, _NAN, words) if nan.any() else words


def _as_text(column: Column) -> Column:
    """Nested values as canonical text: slow, exact."""
    texts = [None if v is None else _canonical(v) for v in column.values()]
    return Column.of_values(STRING, texts)


def _canonical(v: Any) -> str:
    if isinstance(v, dict):
        return "(" + ",".join(_canonical(x) for x in v.values()) + ")"
    if isinstance(v, (list, tuple)):
        return "[" + ",".join(map(_canonical, v)) + "]"
    if isinstance(v, float):
        return "nan" if v != v else v.hex()
    return repr(v)


def checksum_of(columns: Sequence[Column], weights: npt.NDArray[np.int64] | None = None) -> int:
    """The same checksum in plain NumPy and Python: to test the kernels, and to hash an oracle's result."""
    n = len(columns[0]) if columns else 0
    hashes: Hashes = np.full(n, _SEED, np.uint64)
    m, s32, s29 = np.uint64(k.MULTIPLIER), np.uint64(32), np.uint64(29)
    for column in columns:
        for words in _reference_words(column):
            x = (hashes ^ words) * m
            hashes = x ^ (x >> s32)
    x = hashes * m
    x ^= x >> s29
    if weights is not None:
        x = x * weights.astype(np.uint64)
    return int(x.sum(dtype=np.uint64))


def checksum_of_table(table: Any, schema: Schema) -> int:
    """:func:`checksum_of` of an Arrow table or Polars frame whose columns are cast to a schema's types by position."""
    import polars as pl

    frame = table if isinstance(table, pl.DataFrame) else pl.DataFrame(pl.from_arrow(table))
    series = [frame.to_series(i).cast(polars_type(f.type)) for i, f in enumerate(schema)]
    return checksum_of([Column.of_series(f.type, s) for f, s in zip(schema, series, strict=True)])


def _reference_words(column: Column) -> list[Hashes]:
    t: SqlType = column.type
    null = np.uint64(k.NULL_WORD)
    if t.layout in (Layout.VIEWS, Layout.NESTED):
        if t.layout is Layout.NESTED:
            column = _as_text(column)
        words = [k.NULL_WORD if v is None else _bytes_word(v) for v in column.series().cast(_binary()).to_list()]
        return [np.array(words, np.uint64)]
    made: list[Any] = _prepared(column)[1]
    valid = column.valid()
    found = [w.astype(np.uint64) for w in made]
    return found if valid is None else [np.where(valid == 1, w, null) for w in found]


def _binary() -> Any:
    import polars as pl

    return pl.Binary


def _bytes_word(v: bytes) -> int:
    w = len(v) * k.LENGTH_MULTIPLIER & _MASK
    for i in range(0, len(v), 8):
        w = (w ^ int.from_bytes(v[i : i + 8], "little")) * k.MULTIPLIER & _MASK
        w ^= w >> 29
    return w


class BlackholeWriter(Writer):
    """Counts and hashes.

    Args:
        state: the counts of the checkpoint restored from.
    """

    def __init__(self, state: dict[str, Any] | None) -> None:
        self.rows = int(state["rows"]) if state else 0
        self.checksum = int(state["checksum"], 16) if state else 0

    def write(self, delta: Delta, tick: Tick) -> None:
        """Touch every column of every row."""
        self.rows += delta.length
        self.checksum = (self.checksum + checksum_of_delta(delta)) & _MASK

    def prepare(self, epoch: int) -> dict[str, Any] | None:
        """The counts, so that a restored job goes on counting."""
        return {"rows": self.rows, "checksum": f"{self.checksum:016x}"}


class BlackholeSink(Sink):
    """Takes any changelog.

    ``rows`` counts changes, ``checksum`` is order-independent; both are of the writer opened last.
    """

    accepts: Accepts = "all"
    delivery: ClassVar[SinkDelivery] = "exactly-once"

    def __init__(self) -> None:
        self._writer: BlackholeWriter | None = None
        self._committed: dict[str, Any] | None = None

    @property
    def rows(self) -> int:
        """Changes taken so far."""
        return self._writer.rows if self._writer else 0

    @property
    def checksum(self) -> int:
        """Σ weight · hash(row) mod 2^64 of all changes so far: of the final multiset, as retractions cancel."""
        return self._writer.checksum if self._writer else 0

    def open(self, schema: Schema, state: dict[str, Any] | None = None) -> Writer:
        """Begin to swallow."""
        self._writer = BlackholeWriter(state or self._committed)
        return self._writer

    def commit(self, token: dict[str, Any]) -> None:
        """Remember the counts: on recovery this comes before ``open``."""
        self._committed = token


class Connector(contracts.Connector):
    """Swallows all rows; for measuring. ``rows`` and ``checksum`` of its sink say what came."""

    name: ClassVar[str] = "blackhole"
    options: ClassVar[Sequence[Option]] = ()

    def sink(self, table: TableContext) -> Sink:
        """A black hole."""
        return BlackholeSink()
