"""Blocks of JSON records to deltas: drives the kernel, and takes the records that it left through the exact path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.column import Column, Views
from deras.core.contracts import Decoder
from deras.core.delta import Delta
from deras.core.errors import InternalError
from deras.core.records import PAD, Block, Decoded, Rejected
from deras.core.types import Kind, Layout, SqlType
from deras.formats import _json_kernel as k
from deras.formats._common import Bits, Nulls, Refusals, metadata_column, physical, writable
from deras.formats._exact import Nested, Style, build
from deras.formats._json_exact import parse, where
from deras.formats._text_kernel import power_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.schema import Schema

_M = (1 << 64) - 1
_LEARNED = 256  # unknown keys that a decoder remembers
_ODD = 4096  # records for the exact path in one call of the kernel
_BOM = b"\xef\xbb\xbf"


def key_hash(text: bytes) -> int:
    """The twin of the kernel's ``key_hash``."""
    n = len(text)
    first = int.from_bytes(text[:8], "little")
    last = int.from_bytes(text[n - 8 :], "little") if n >= 8 else n
    h = (first * 0x9E3779B97F4A7C15 & _M) ^ ((last ^ n) * 0xC2B2AE3D27D4EB4F & _M)
    return h ^ h >> 29


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


class JsonDecoder(Decoder):
    """Decodes records that stand one a line, or in JSON arrays.

    The kernel's arrays: ``params[key]`` says how a key's value is read and where it goes; a key has bytes
    ``keys[koff:koff + klen]`` (quotes included), is found by the open-addressing ``table`` and was last followed by
    ``follower[key]`` (the last entry: what came first in a record). Keys 0 … len(schema) - 1 are the schema's, unknown
    ones are learned behind them. Values go to ``words[slot, row]`` or ``wide[slot, row]`` (views, limbs), a NULL to
    ``valid[j, row]`` for the j-th wanted column, written only where ``nulls[j]``. ``stamp[key]`` holds the number of the
    record that gave the key a value last. Unescaped text goes to ``side``; ``odd`` lists records for the exact path.
    """

    def __init__(self, schema: Schema, wanted: Sequence[int] | None, origin: str, style: Style) -> None:
        self._schema = schema
        self._origin = origin
        self._style = style
        self._wanted = physical(schema, wanted)
        n = len(schema)
        room = n + _LEARNED
        self._params = np.zeros((room, 6), np.int64)
        names = [b'"' + f.name.encode() + b'"' for f in schema]
        self._keys = np.zeros(sum(map(len, names)) + _LEARNED * 24 + k.MAX_KEY + PAD, np.uint8)
        self._koff = np.zeros(room, np.int64)
        self._klen = np.zeros(room, np.int64)
        self._table = np.full(1 << (4 * room).bit_length(), -1, np.int64)
        self._follower = np.full(room + 1, -1, np.int64)
        at = 0
        for i, name in enumerate(names):
            self._keys[at : at + len(name)] = np.frombuffer(name, np.uint8)
            self._koff[i], self._klen[i] = at, len(name)
            at += len(name)
            slot = key_hash(name[1:-1]) >> 20 & len(self._table) - 1
            while self._table[slot] >= 0:
                slot = slot + 1 & len(self._table) - 1
            self._table[slot] = i
        self._n_words = self._n_wide = 0
        self._stamp = np.zeros(room, np.int64)
        self._records = 1
        self._side_room = 0
        for i in self._wanted:
            t = schema[i].type
            kind, a, b, c = _params(t, style.iso)
            wide = kind in (k.TEXT, k.BINARY, k.RAW, k.WIDE_DECIMAL)
            slot = self._n_wide if wide else self._n_words
            self._n_wide += wide
            self._n_words += not wide
            self._params[i] = kind, slot, a, b, c, not t.nullable
        self._wanted_keys = np.array(self._wanted, np.int64)
        self._exact = {i: Nested(schema[i].type, style) for i in self._wanted}
        self._state = np.zeros(13, np.int64)
        self._state[k.KEYS], self._state[k.KEY_BYTES] = n, at
        self._state[k.WANTED], self._state[k.FAIL_MISSING] = len(self._wanted), style.fail_on_missing
        self._powers = power_table()
        self._nulls = Nulls()

    def decode(self, block: Block) -> Decoded:
        """All records of the block; see :class:`deras.core.contracts.Decoder`."""
        data = writable(block.data)
        start, end = block.start, block.end
        if data[start : start + 3].tobytes() == _BOM:
            start += 3
        head = start
        while head < end and data[head] in b" \t\r\n":
            head += 1
        if head < end and data[head] == ord("["):
            spans = self._array(data, start, end)
            if spans is not None:
                return _Run(self, block, data).decode(start, end, spans)
        return _Run(self, block, data).decode(start, end, None)

    @staticmethod
    def _array(data: Bits, start: int, end: int) -> npt.NDArray[np.int64] | None:
        """The elements of a text that is one JSON array, or None if it is not."""
        spans = np.empty((max(16, (end - start) // 16), 2), np.int64)
        n = k.split_array(data, start, end, spans)
        if n > len(spans):
            spans = np.empty((n, 2), np.int64)
            k.split_array(data, start, end, spans)
        return None if n < 0 else spans[:n]


class _Run:
    """One block on its way."""

    def __init__(self, decoder: JsonDecoder, block: Block, data: Bits) -> None:
        self.d = decoder
        self.block = block
        self.data = data
        self.refusals = Refusals(block, decoder._origin)
        self.buffers: list[Bits] = [block.data]
        self.dropped: list[int] = []
        self.parsed: dict[int, dict[int, Any]] = {i: {} for i in decoder._wanted}
        self.arrays: list[tuple[int, Decoded]] = []

    def decode(self, start: int, end: int, spans: npt.NDArray[np.int64] | None) -> Decoded:
        d, data, state = self.d, self.data, self.d._state
        self.start, self.end, self.spans = start, end, spans
        n = len(d._wanted)
        capacity = k.count_lines(data, start, end) if spans is None else len(spans)
        self.words = words = np.empty((d._n_words, capacity), np.int64)
        self.wide = wide = np.empty((d._n_wide, capacity, 2), np.uint64)
        self.valid = valid = np.empty((n, capacity), np.uint8)
        self.nulls = nulls = np.zeros(n, np.int64)
        side = np.empty(d._side_room, np.uint8)
        odd = np.empty((min(capacity, _ODD), 3), np.int64)
        state[k.AT], state[k.ROW], state[k.END], state[k.ODD] = start, 0, end, 0
        state[k.CAPACITY] = capacity
        state[k.SIDE], state[k.SIDE_BUFFER] = 0, 1
        state[k.SPANS] = -1 if spans is None else 0
        given = np.empty((0, 2), np.int64) if spans is None else spans
        self.buffers.append(side)
        while True:
            state[k.STAMP] = d._records
            d._records += capacity + 1
            answer = k.decode(
                data, given, state, d._params, d._keys, d._koff, d._klen, d._table, d._follower,
                words, wide, valid, nulls, d._stamp, d._wanted_keys, side, odd, d._powers,
            )  # fmt: skip
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
                d._side_room = end - start + 2 * PAD
            elif state[k.ROW] >= capacity:
                raise InternalError("a block has more records than lines")
        if len(side) > 1 << 16 and state[k.SIDE] < len(side) // 2:
            self.buffers[int(state[k.SIDE_BUFFER])] = side[: state[k.SIDE] + PAD].copy()
        if state[k.SIDE] == 0 and state[k.SIDE_BUFFER] == 1:
            d._side_room = 0
        return self._finish(int(state[k.ROW]))

    # ---- the exact path

    def _one(self, start: int, end: int, row: int) -> None:
        """Decode one record that the kernel left."""
        d = self.d
        raw = self.data[start:end].tobytes()
        try:
            record = parse(raw)
        except ValueError as e:
            self._refuse(row, "decode", str(e), start, end)
            return
        if isinstance(record, list):
            self._nested_array(start, end, row)
            return
        if not isinstance(record, dict):
            self._refuse(row, "decode", "the record is no JSON object", start, end)
            return
        found = []
        for i in d._wanted:
            field = d._schema[i]
            value = record.get(field.name)
            if value is None:
                if field.name not in record and d._style.fail_on_missing:
                    text = f"column '{field.name}' is missing and 'fail-on-missing-field' is set"
                    self._refuse(row, "decode", text, start, end)
                    return
                if not field.type.nullable:
                    text = f"column '{field.name}' is NOT NULL, but the record has no value for it"
                    self._refuse(row, "constraint", text, start, end)
                    return
            try:
                found.append(d._exact[i](value))
            except ValueError as e:
                text = f"column '{field.name}' ({field.type}): {e}{where(raw, field.name)}"
                self._refuse(row, "decode", text, start, end)
                return
        for j, (i, value) in enumerate(zip(d._wanted, found, strict=True)):
            self._put(j, i, row, value)

    def _refuse(self, row: int, reason: Any, message: str, start: int, end: int) -> None:
        self.refusals.add(reason, message, start, end)
        self.dropped.append(row)
        for j in range(len(self.d._wanted)):
            self._put(j, self.d._wanted[j], row, None)

    def _nested_array(self, start: int, end: int, row: int) -> None:
        """A line that is an array of records: they take the place of its row."""
        spans = JsonDecoder._array(self.data, start, end)
        part = JsonDecoder(self.d._schema, self.d._wanted, self.d._origin, self.d._style)
        run = _Run(part, self.block, self.data)
        run.refusals = self.refusals
        self.arrays.append((row, run.decode(start, end, spans)))
        self.dropped.append(row)
        for j, i in enumerate(self.d._wanted):
            self._put(j, i, row, None)

    def _put(self, j: int, i: int, row: int, value: Any) -> None:
        """Write a physical value where the kernel would have written it."""
        t = self.d._schema[i].type
        slot = self.d._params[i, k.SLOT]
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
        for j, i in enumerate(d._wanted):
            t = d._schema[i].type
            slot = d._params[i, k.SLOT]
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
        for i, f in enumerate(d._schema):
            if i in made:
                columns.append(made[i] if kept is None else made[i].take(kept))
            elif f.metadata_key is not None:
                columns.append(metadata_column(f.type, self.block.metadata.get(f.metadata_key), n, kept))
            else:
                columns.append(d._nulls.column(f.type, n))
        delta = Delta(d._schema, columns, length=n)
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

    def _nested(self, j: int, i: int, t: SqlType, rows: int) -> Column:
        """A column whose raw JSON text (or base64 text) the kernel found."""
        slot = self.d._params[i, k.SLOT]
        raw = Views(self.wide[slot, :rows], self.buffers)
        known = self.parsed[i]
        present = self.valid[j, :rows] if self.nulls[j] else None
        texts = Column.of_views(_BINARY, raw, present).series()
        if t.is_bytes and not known:
            found = texts.bin.decode("base64", strict=False)
            if found.null_count() == texts.null_count():
                return Column.of_series(t, found)
        values: list[Any] = texts.to_list()
        exact = self.d._exact[i]
        for row, text in enumerate(values):
            if row in known:
                values[row] = known[row]
            elif text is not None:
                try:
                    values[row] = exact(text.decode() if t.is_bytes else parse(text))
                except ValueError as e:
                    field = self.d._schema[i]
                    values[row] = None
                    start, end = self._record(row)
                    if row not in self.dropped:
                        self.dropped.append(row)
                        message = f"column '{field.name}' ({t}): {e}"
                        self.refusals.add("decode", message, start, end)
        return build(t, values)

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
