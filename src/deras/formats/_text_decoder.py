"""What decoders of text formats share: they drive a kernel and take what it left through the exact path."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from deras.core.column import Column, Views
from deras.core.contracts import Decoder
from deras.core.delta import Delta
from deras.core.errors import InternalError
from deras.core.records import PAD, Block, Decoded, Reason, Rejected
from deras.core.types import Kind, Layout, SqlType
from deras.formats import _json_kernel as k
from deras.formats._common import Bits, Nulls, Refusals, metadata_column, physical
from deras.formats._exact import Nested, Style, build
from deras.formats._text_kernel import power_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.schema import Schema

_ODD = 4096  # records for the exact path in one call of the kernel


def _params(t: SqlType, iso: bool) -> tuple[int, int, int, int]:
    """Kind and A, B, C of a type for the kernel."""
    match t.kind:
        case Kind.BOOLEAN:
            return k.BOOLEAN, 0, 0, 0
        case Kind.TINYINT | Kind.SMALLINT | Kind.INT | Kind.BIGINT:
            return k.INTEGER, 0, (1 << t.bits - 1) - 1, 0
        case Kind.INTERVAL_DAY:
            return k.INTEGER, 0, (1 << 63) - 1, 0
        case Kind.INTERVAL_MONTH:
            return k.INTEGER, 0, (1 << 31) - 1, 0
        case Kind.FLOAT:
            return k.FLOAT, 0, 0, 0
        case Kind.DOUBLE:
            return k.DOUBLE, 0, 0, 0
        case Kind.DECIMAL:
            return (k.DECIMAL if t.precision <= 18 else k.WIDE_DECIMAL), t.precision, t.scale, 0
        case Kind.CHAR | Kind.VARCHAR:
            return k.TEXT, 0, 0, 0
        case Kind.BINARY | Kind.VARBINARY:
            return k.BINARY, 0, 0, 0
        case Kind.DATE:
            return k.DATE, 0, 0, 0
        case Kind.TIME:
            return k.TIME, 0, t.precision, 0
        case Kind.TIMESTAMP | Kind.TIMESTAMP_LTZ:
            unit = int(t.nanoseconds) | 2 * (t.kind is Kind.TIMESTAMP_LTZ)
            return k.TIMESTAMP, ord("T" if iso else " "), t.precision, unit
        case _:
            return k.RAW, 0, 0, 0


class RefusedError(Exception):
    """A record is refused: the reason's class, and the message as its text."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TextDecoder(Decoder):
    """The columns that a kernel fills.

    ``params[key]`` says how a field is read and where it goes: values to ``words[slot, row]`` or ``wide[slot, row]``
    (views, limbs); a NULL to ``valid[j, row]`` for the j-th wanted column, written only where ``nulls[j]``. Unescaped
    text goes to ``side``; ``odd`` lists records for the exact path.
    """

    def __init__(self, schema: Schema, wanted: Sequence[int] | None, origin: str, style: Style, room: int) -> None:
        self.schema = schema
        self.origin = origin
        self.style = style
        self.wanted = physical(schema, wanted)
        self.params = np.zeros((room, 6), np.int64)
        self.n_words = self.n_wide = 0
        self.records = 1
        self.side_room = 0
        for i in self.wanted:
            t = schema[i].type
            kind, a, b, c = _params(t, style.iso)
            wide = kind in (k.TEXT, k.BINARY, k.RAW, k.WIDE_DECIMAL)
            slot = self.n_wide if wide else self.n_words
            self.n_wide += wide
            self.n_words += not wide
            self.params[i] = kind, slot, a, b, c, not t.nullable
        self.exact = {i: Nested(schema[i].type, style) for i in self.wanted}
        self.state = np.zeros(k.STATES, np.int64)
        self.state[k.WANTED], self.state[k.FAIL_MISSING] = len(self.wanted), style.fail_on_missing
        self.powers = power_table()
        self.nulls = Nulls()

    @abc.abstractmethod
    def call(self, run: Run, spans: npt.NDArray[np.int64], side: Bits, odd: npt.NDArray[np.int64]) -> int:
        """Let the kernel go on; gives its answer."""

    @abc.abstractmethod
    def read(self, raw: bytes) -> list[Any] | None:
        """The physical values of the wanted columns of one record; None if the record is an array of records.

        Raises:
            RefusedError: what is wrong.
        """

    @abc.abstractmethod
    def nested(self, i: int, text: bytes) -> Any:
        """The physical value of a nested column from its raw text, or of a BYTES column; ``ValueError``."""

    def nested_column(self, i: int, texts: Column) -> tuple[Column, npt.NDArray[np.int64]] | None:
        """A nested column from raw texts, and the rows that are left to :meth:`nested`; None: all are."""
        return None

    def array(self, run: Run, start: int, end: int) -> Decoded:
        """The records of an array for which :meth:`read` gave None."""
        raise NotImplementedError


class Run:
    """One block on its way."""

    def __init__(self, decoder: TextDecoder, block: Block, data: Bits) -> None:
        self.d = decoder
        self.block = block
        self.data = data
        self.refusals = Refusals(block, decoder.origin)
        self.buffers: list[Bits] = [block.data]
        self.dropped: list[int] = []
        self.parsed: dict[int, dict[int, Any]] = {i: {} for i in decoder.wanted}
        self.arrays: list[tuple[int, Decoded]] = []

    def decode(self, start: int, end: int, spans: npt.NDArray[np.int64] | None) -> Decoded:
        d, data, state = self.d, self.data, self.d.state
        self.start, self.end, self.spans = start, end, spans
        n = len(d.wanted)
        if spans is not None:
            capacity = len(spans)
        elif self.block.lines >= 0:
            capacity = self.block.lines + int(end > start and data[end - 1] != 10)
        else:
            capacity = k.count_lines(data, start, end)
        self.words = np.empty((d.n_words, capacity), np.int64)
        self.wide = np.empty((d.n_wide, capacity, 2), np.uint64)
        self.valid = np.empty((n, capacity), np.uint8)
        self.nulls = np.zeros(n, np.int64)
        side = np.empty(d.side_room, np.uint8)
        odd = np.empty((min(capacity, _ODD), 3), np.int64)
        state[k.AT], state[k.ROW], state[k.END], state[k.ODD] = start, 0, end, 0
        state[k.CAPACITY] = capacity
        state[k.SIDE], state[k.SIDE_BUFFER] = 0, 1
        state[k.SPANS] = -1 if spans is None else 0
        given = np.empty((0, 2), np.int64) if spans is None else spans
        self.buffers.append(side)
        while True:
            state[k.STAMP] = d.records
            d.records += capacity + 1
            answer = d.call(self, given, side, odd)
            if state[k.ODD]:
                # The kernel's list is emptied before it goes on, so that it may be short.
                for a, b, row in odd[: state[k.ODD]].tolist():
                    self._one(a, b, row)
                state[k.ODD] = 0
            if answer == k.DONE:
                break
            if answer == k.MORE_SIDE:
                # Unescaped text is never longer than the text it comes from.
                side = np.empty(end - int(state[k.AT]) + 2 * PAD, np.uint8)
                state[k.SIDE] = 0
                state[k.SIDE_BUFFER] = len(self.buffers)
                self.buffers.append(side)
                d.side_room = end - start + 2 * PAD
            elif state[k.ROW] >= capacity:
                raise InternalError("a block has more records than lines")
        if len(side) > 1 << 16 and state[k.SIDE] < len(side) // 2:
            self.buffers[int(state[k.SIDE_BUFFER])] = side[: state[k.SIDE] + PAD].copy()
        if state[k.SIDE] == 0 and state[k.SIDE_BUFFER] == 1:
            d.side_room = 0
        return self._finish(int(state[k.ROW]))

    # ---- the exact path

    def _one(self, start: int, end: int, row: int) -> None:
        """Decode one record that the kernel left."""
        d = self.d
        try:
            found = d.read(self.data[start:end].tobytes())
        except RefusedError as e:
            self._refuse(row, e.reason, str(e), start, end)
            return
        if found is None:
            self.arrays.append((row, d.array(self, start, end)))
            self.dropped.append(row)
            found = [None] * len(d.wanted)
        for j, (i, value) in enumerate(zip(d.wanted, found, strict=True)):
            self._put(j, i, row, value)

    def _refuse(self, row: int, reason: Any, message: str, start: int, end: int) -> None:
        self.refusals.add(reason, message, start, end)
        self.dropped.append(row)
        for j in range(len(self.d.wanted)):
            self._put(j, self.d.wanted[j], row, None)

    def _put(self, j: int, i: int, row: int, value: Any) -> None:
        """Write a physical value where the kernel would have written it."""
        t = self.d.schema[i].type
        slot = self.d.params[i, k.SLOT]
        if value is None and self.nulls[j] == 0:
            self.valid[j, :] = 1
            self.nulls[j] = 1
        if self.nulls[j]:
            self.valid[j, row] = value is not None
        if t.layout is Layout.NESTED or t.is_bytes:
            # Their kernel output is raw text; what is parsed already is kept aside.
            self.wide[slot, row] = 0
            self.parsed[i][row] = value
        elif t.layout is Layout.VIEWS:
            self.wide[slot, row] = self._text(value or b"")
        elif t.layout is Layout.LIMBS:
            self.wide[slot, row] = np.frombuffer((value or 0).to_bytes(16, "little", signed=True), np.uint64)
        elif t.layout is Layout.FLOATS:
            self.words[slot, row] = np.float64(value or 0.0).view(np.int64)
        else:
            self.words[slot, row] = value or 0

    def _text(self, text: bytes) -> tuple[int, int]:
        n = len(text)
        head = n | int.from_bytes(text[:4], "little") << 32
        if n <= 12:
            return head, int.from_bytes(text[4:], "little")
        self.buffers.append(np.frombuffer(text + bytes(PAD), np.uint8))
        return head, len(self.buffers) - 1

    # ---- the columns

    def _finish(self, rows: int) -> Decoded:
        d = self.d
        made: dict[int, Column] = {}
        for j, i in enumerate(d.wanted):
            t = d.schema[i].type
            slot = d.params[i, k.SLOT]
            valid = self.valid[j, :rows] if self.nulls[j] else None
            if t.layout is Layout.NESTED or t.is_bytes:
                made[i] = self._nested(j, i, t, rows)
            elif t.layout is Layout.VIEWS:
                made[i] = Column.of_views(t, Views(self.wide[slot, :rows], self.buffers), valid)
            elif t.layout is Layout.LIMBS:
                made[i] = Column.of_limbs(t, self.wide[slot, :rows].view(np.int64), valid)
            elif t.layout is Layout.FLOATS:
                made[i] = Column.of_floats(t, self.words[slot, :rows].view(np.float64), valid)
            else:
                made[i] = Column.of_words(t, self.words[slot, :rows], valid)
        kept: npt.NDArray[np.int64] | None = None
        n = rows
        if self.dropped:
            mask = np.ones(rows, bool)
            mask[self.dropped] = False
            kept = np.flatnonzero(mask)
            n = len(kept)
        columns = []
        for i, f in enumerate(d.schema):
            if i in made:
                columns.append(made[i] if kept is None else made[i].take(kept))
            elif f.metadata_key is not None:
                columns.append(metadata_column(f.type, self.block.metadata.get(f.metadata_key), n, kept))
            else:
                columns.append(d.nulls.column(f.type, n))
        delta = Delta(d.schema, columns, length=n)
        count = rows
        rejected: list[Rejected] = self.refusals.rejected() if len(self.refusals) else []
        if self.arrays:
            parts, at = [], 0
            for row, decoded in self.arrays:
                before = int(np.searchsorted(kept, row)) if kept is not None else row
                parts += [delta.slice(at, before), decoded.delta]
                at = before
                count += decoded.count - 1
            delta = Delta.concat([*parts, delta.slice(at, n)])
        return Decoded(delta, rejected, count)

    def by_kernel(self, j: int, i: int, t: SqlType, rows: int) -> tuple[Column, npt.NDArray[np.int64]]:
        """A column whose raw text the kernel found, and the rows whose text must be read by the exact path."""
        slot = self.d.params[i, k.SLOT]
        present = self.valid[j, :rows] if self.nulls[j] else None
        texts = Column.of_views(_BINARY, Views(self.wide[slot, :rows], self.buffers), present)
        if t.is_bytes:
            found = texts.series().bin.decode("base64", strict=False)
            left = found.is_null() & texts.series().is_not_null() if found.null_count() else pl.Series([False])
            return Column.of_series(t, found), left.arg_true().cast(pl.Int64).to_numpy()
        made = self.d.nested_column(i, texts)
        if made is not None:
            return made
        there = texts.valid()
        left_all = np.arange(rows) if there is None else np.flatnonzero(there)
        return Column.nulls(t, rows), left_all

    def _nested(self, j: int, i: int, t: SqlType, rows: int) -> Column:
        """A column whose raw JSON text (or base64 text) the kernel found."""
        column, left = self.by_kernel(j, i, t, rows)
        known = self.parsed[i]
        again = sorted({*left.tolist(), *known})
        if not again:
            return column
        slot = self.d.params[i, k.SLOT]
        raw = Views(self.wide[slot, :rows], self.buffers)
        texts = Column.of_views(_BINARY, raw).take(np.array(again, np.int64)).series().to_list()
        values: list[Any] = []
        for row, text in zip(again, texts, strict=True):
            if row in known:
                values.append(known[row])
                continue
            try:
                values.append(self.d.nested(i, text))
            except ValueError as e:
                values.append(None)
                if row not in self.dropped:
                    self.dropped.append(row)
                    message = f"column '{self.d.schema[i].name}' ({t}): {e}"
                    self.refusals.add("decode", message, *self._record(row))
        place = np.arange(rows)
        place[again] = np.arange(rows, rows + len(again))
        return Column.concat([column, build(t, values)]).take(place)

    def _record(self, row: int) -> tuple[int, int]:
        """First and last byte of the record of a row: walked again, as good records' places are not kept."""
        if self.spans is not None:
            return int(self.spans[row, 0]), int(self.spans[row, 1])
        at = self.start
        while True:
            feed = self.data[at : self.end].tobytes().find(b"\n")
            stop = self.end if feed < 0 else at + feed
            if self.data[at:stop].tobytes().strip():
                if row == 0:
                    return at, stop
                row -= 1
            at = stop + 1


_BINARY = SqlType(Kind.VARBINARY, 2147483647)
