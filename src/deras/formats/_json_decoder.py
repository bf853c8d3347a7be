"""Blocks of JSON records to deltas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.records import PAD, Block, Decoded
from deras.formats import _json_kernel as k
from deras.formats._common import Bits, writable
from deras.formats._json_exact import parse, where
from deras.formats._json_key_kernel import MAX_KEY
from deras.formats._text_decoder import RefusedError, Run, TextDecoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.column import Column
    from deras.core.schema import Schema
    from deras.formats._exact import Style
    from deras.formats._json_nested import NestedDecoder

_M = (1 << 64) - 1
_LEARNED = 256  # unknown keys that a decoder remembers
_BOM = b"\xef\xbb\xbf"


def key_hash(text: bytes) -> int:
    """The twin of the kernel's ``key_hash``."""
    n = len(text)
    first = int.from_bytes(text[:8], "little")
    last = int.from_bytes(text[n - 8 :], "little") if n >= 8 else n
    h = (first * 0x9E3779B97F4A7C15 & _M) ^ ((last ^ n) * 0xC2B2AE3D27D4EB4F & _M)
    return h ^ h >> 29


class JsonDecoder(TextDecoder):
    """Decodes records that stand one a line, or in JSON arrays.

    A key has bytes ``keys[koff:koff + klen]`` (quotes included), is found by the open-addressing ``table`` and was last
    followed by ``follower[key]`` (the last entry: what came first in a record). The first keys are the schema's,
    unknown ones are learned behind them. ``stamp[key]`` holds the number of the record that gave the key a value last.
    """

    def __init__(self, schema: Schema, wanted: Sequence[int] | None, origin: str, style: Style) -> None:
        n = len(schema)
        room = n + _LEARNED
        super().__init__(schema, wanted, origin, style, room)
        names = [b'"' + f.name.encode() + b'"' for f in schema]
        self._keys = np.zeros(sum(map(len, names)) + _LEARNED * 24 + MAX_KEY + PAD, np.uint8)
        self._koff = np.zeros(room, np.int64)
        self._klen = np.zeros(room, np.int64)
        self._table = np.full(1 << (4 * room).bit_length(), -1, np.int64)
        self._follower = np.full(room + 1, -1, np.int64)
        self._stamp = np.zeros(room, np.int64)
        self._nested: dict[int, NestedDecoder] = {}
        self._wanted_keys = np.array(self.wanted, np.int64)
        at = 0
        for i, name in enumerate(names):
            self._keys[at : at + len(name)] = np.frombuffer(name, np.uint8)
            self._koff[i], self._klen[i] = at, len(name)
            at += len(name)
            slot = key_hash(name[1:-1]) >> 20 & len(self._table) - 1
            while self._table[slot] >= 0:
                slot = slot + 1 & len(self._table) - 1
            self._table[slot] = i
        self.state[k.KEYS], self.state[k.KEY_BYTES] = n, at

    def call(self, run: Run, spans: npt.NDArray[np.int64], side: Bits, odd: npt.NDArray[np.int64]) -> int:
        """See :class:`TextDecoder`."""
        answer: int = k.decode(
            run.data, spans, self.state, self.params, self._keys, self._koff, self._klen, self._table, self._follower,
            run.words, run.wide, run.valid, run.nulls, self._stamp, self._wanted_keys, side, odd, self.powers,
        )  # fmt: skip
        return answer

    def read(self, raw: bytes) -> list[Any] | None:
        """See :class:`TextDecoder`."""
        try:
            record = parse(raw)
        except ValueError as e:
            raise RefusedError("decode", str(e)) from None
        if isinstance(record, list):
            return None
        if not isinstance(record, dict):
            raise RefusedError("decode", "the record is no JSON object")
        found = []
        for i in self.wanted:
            field = self.schema[i]
            value = record.get(field.name)
            if value is None:
                if field.name not in record and self.style.fail_on_missing:
                    text = f"column '{field.name}' is missing and 'fail-on-missing-field' is set"
                    raise RefusedError("decode", text)
                if not field.type.nullable:
                    text = f"column '{field.name}' is NOT NULL, but the record has no value for it"
                    raise RefusedError("constraint", text)
            try:
                found.append(self.exact[i](value))
            except ValueError as e:
                text = f"column '{field.name}' ({field.type}): {e}{where(raw, field.name)}"
                raise RefusedError("decode", text) from None
        return found

    def nested(self, i: int, text: bytes) -> Any:
        """See :class:`TextDecoder`."""
        return self.exact[i](text.decode() if self.schema[i].type.is_bytes else parse(text))

    def nested_column(self, i: int, texts: Column) -> tuple[Column, npt.NDArray[np.int64]] | None:
        """See :class:`TextDecoder`."""
        from deras.formats._json_nested import NestedDecoder, supported
        from deras.formats._json_texts import Texts

        t = self.schema[i].type
        if not supported(t):
            return None
        if i not in self._nested:
            self._nested[i] = NestedDecoder(t, self.style)
        return self._nested[i].decode(Texts.of(texts))

    def array(self, run: Run, start: int, end: int) -> Decoded:
        """A line that is an array of records: they take the place of its row."""
        found = self._array(run.data, start, end)
        spans = np.empty((0, 2), np.int64) if found is None else found
        # Another decoder: this one's state is in use.
        part = Run(JsonDecoder(self.schema, self.wanted, self.origin, self.style), run.block, run.data)
        part.refusals = run.refusals
        decoded = part.decode(start, end, spans)
        if found is None:
            run.refusals.add("decode", "not valid JSON: nested too deeply", start, end)
            decoded.count = 1
        return decoded

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
                return Run(self, block, data).decode(start, end, spans)
        return Run(self, block, data).decode(start, end, None)

    @staticmethod
    def _array(data: Bits, start: int, end: int) -> npt.NDArray[np.int64] | None:
        """The elements of a text that is one JSON array, or None if it is not."""
        spans = np.empty((max(16, (end - start) // 16), 2), np.int64)
        n = k.split_array(data, start, end, spans)
        if n > len(spans):
            spans = np.empty((n, 2), np.int64)
            k.split_array(data, start, end, spans)
        return None if n < 0 else spans[:n]
