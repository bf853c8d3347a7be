"""Format ``csv``: separated values, one record a line (line feeds in quotes belong to the value).

Options and forms are Flink's. Ours: ``header`` (Flink's format knows none), and an empty field of a type other than
text is NULL (Flink fails on it). Wrong values are refused as in :mod:`deras.formats.json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from deras.core.contracts import Decoder, Encoder
from deras.core.contracts import Format as FormatContract
from deras.core.errors import OptionError
from deras.core.options import Option
from deras.core.types import Kind, Layout, SqlType
from deras.formats import _csv_kernel as ck
from deras.formats._common import Bits, writable
from deras.formats._exact import Style
from deras.formats._text_decoder import RefusedError, Run, TextDecoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.records import Block, Decoded
    from deras.core.schema import Schema

_BOM = b"\xef\xbb\xbf"


def _one_byte(text: str) -> str | None:
    decoded = {"\\t": "\t", "\\n": "\n", "\\\\": "\\"}.get(text, text)
    return None if len(decoded.encode()) == 1 else f"{text!r} is no single ASCII character"


class Format(FormatContract):
    """Separated values; see the module."""

    name = "csv"
    extension = ".csv"
    options: ClassVar[Sequence[Option]] = (
        Option("field-delimiter", "string", "The character between fields ('\\t' for a tab).", ",", check=_one_byte),
        Option("disable-quote-character", "bool", "Whether quotes mean nothing.", False),
        Option("quote-character", "string", "The character around values.", '"', check=_one_byte),
        Option("allow-comments", "bool", "Whether lines that begin with # are skipped.", False),
        Option("ignore-parse-errors", "bool", "Whether a wrong value becomes NULL, not refusing its record.", False),
        Option("array-element-delimiter", "string", "What stands between the elements of an array or row.", ";"),
        Option("escape-character", "string", "The character that takes the meaning from the next.", check=_one_byte),
        Option("null-literal", "string", "The text (unquoted) that means NULL."),
        Option("write-bigdecimal-in-scientific-notation", "bool", "Whether decimals may be written as 1E+2.", True),
        Option("header", "bool", "Whether the first line of a file names the columns (ours).", False),
    )

    def _option(self, name: str) -> Any:
        for key in (name, f"{self.name}.{name}"):
            if key in self.options_:
                return self.options_[key]
        return next(o.default for o in self.options if o.name == name)

    def _byte(self, name: str) -> int:
        text = self._option(name)
        return -1 if text is None else ord({"\\t": "\t", "\\n": "\n", "\\\\": "\\"}.get(text, text))

    def marks(self) -> tuple[int, int, int, int]:
        """Delimiter, quote, escape and comment byte, -1 for none."""
        quote = -1 if self._option("disable-quote-character") else self._byte("quote-character")
        return (
            self._byte("field-delimiter"),
            quote,
            self._byte("escape-character"),
            ord("#") if self._option("allow-comments") else -1,
        )

    def decoder(self, schema: Schema, wanted: Sequence[int] | None = None, origin: str = "") -> Decoder:
        """A decoder; columns stand in the schema's order."""
        return CsvDecoder(schema, wanted, origin, self)

    def encoder(self, schema: Schema) -> Encoder:
        """An encoder; lines end with a line feed."""
        from deras.formats._csv_encoder import CsvEncoder

        delimiter, quote, escape, _ = self.marks()
        return CsvEncoder(
            schema,
            delimiter=delimiter,
            quote=quote,
            escape=escape,
            null=self._option("null-literal") or "",
            element=self._option("array-element-delimiter"),
            plain=not self._option("write-bigdecimal-in-scientific-notation"),
            header=self._option("header"),
        )


class CsvDecoder(TextDecoder):
    """Blocks of CSV to deltas."""

    def __init__(self, schema: Schema, wanted: Sequence[int] | None, origin: str, format_: Format) -> None:
        style = Style(ignore_errors=format_._option("ignore-parse-errors"))
        fields = [i for i, f in enumerate(schema) if f.metadata_key is None]
        super().__init__(schema, wanted, origin, style, max(len(schema), 1))
        for i in fields:
            t = schema[i].type
            if t.kind in (Kind.MAP, Kind.MULTISET) or any(c.layout is Layout.NESTED for c in t.children):
                raise OptionError(f"format 'csv' cannot hold column '{schema[i].name}' of type {t}")
        self._fields = fields
        self._marks = np.array([*format_.marks(), len(fields)], np.int64)
        literal = format_._option("null-literal")
        self._literal: str | None = literal
        self._null = np.frombuffer((literal or "").encode() or b"\0", np.uint8).copy()[: len((literal or "").encode())]
        self._element = format_._option("array-element-delimiter")
        self._header = format_._option("header")
        # The kernel counts physical columns only.
        self._by_field = np.zeros((len(fields) or 1, 6), np.int64)
        self._number = np.full(len(fields) or 1, -1, np.int64)
        for place, i in enumerate(fields):
            self._by_field[place] = self.params[i]
            if i in self.wanted:
                self._number[place] = self.wanted.index(i)

    def decode(self, block: Block) -> Decoded:
        """All records of the block; see :class:`deras.core.contracts.Decoder`."""
        data = writable(block.data)
        start, end = block.start, block.end
        if block.position == 0 and data[start : min(end, start + 3)].tobytes() == _BOM:
            start += 3
        if self._header and block.position == 0 and block.line <= 1:
            start = min(end, ck.record_end(data, start, end, self._marks) + 1)
        return Run(self, block, data).decode(start, end, None)

    def call(self, run: Run, spans: npt.NDArray[np.int64], side: Bits, odd: npt.NDArray[np.int64]) -> int:
        """See :class:`TextDecoder`."""
        answer: int = ck.decode(
            run.data, self.state, self._by_field, self._marks, self._null, self._literal is not None, self._number,
            run.words, run.wide, run.valid, run.nulls, side, odd, self.powers,
        )  # fmt: skip
        return answer

    def read(self, raw: bytes) -> list[Any] | None:
        """See :class:`TextDecoder`."""
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as e:
            raise RefusedError("decode", f"not valid UTF-8 (column {e.start + 1})") from None
        cells = self.cells(text.removesuffix("\r"))
        if len(cells) != len(self._fields):
            raise RefusedError("decode", f"{len(cells)} fields where {len(self._fields)} are expected")
        found: dict[int, Any] = {}
        for i, (cell, quoted, column) in zip(self._fields, cells, strict=True):
            if i not in self.wanted:
                continue
            field = self.schema[i]
            null = not quoted and (cell == self._literal or (cell == "" and not field.type.is_text))
            if null and not field.type.nullable:
                text = f"column '{field.name}' is NOT NULL, but the field is empty (column {column} of the line)"
                raise RefusedError("constraint", text)
            try:
                found[i] = None if null else self._value(i, cell)
            except ValueError as e:
                text = f"column '{field.name}' ({field.type}): {e} (column {column})"
                raise RefusedError("decode", text) from None
        return [found[i] for i in self.wanted]

    def cells(self, text: str) -> list[tuple[str, bool, int]]:
        """The fields of one record: text, whether it was quoted, column of the line from 1; ``RefusedError``."""
        delimiter, quote, escape = (chr(m) if m >= 0 else None for m in self._marks[:3].tolist())
        found: list[tuple[str, bool, int]] = []
        i = 0
        while True:
            begin, parts = i, []
            quoted = i < len(text) and text[i] == quote
            i += quoted
            while True:
                if i >= len(text):
                    if quoted:
                        raise RefusedError("decode", f"a quote is not closed (column {begin + 1})")
                    break
                c = text[i]
                if c == escape:
                    if i + 1 >= len(text):
                        raise RefusedError("decode", f"nothing follows the escape character (column {i + 1})")
                    parts.append(text[i + 1])
                    i += 2
                elif quoted and c == quote:
                    if text[i + 1 : i + 2] == quote:
                        parts.append(c)
                        i += 2
                    else:
                        i += 1
                        break
                elif not quoted and c == delimiter:
                    break
                else:
                    parts.append(c)
                    i += 1
            found.append(("".join(parts), quoted, begin + 1))
            if i >= len(text):
                return found
            if text[i] != delimiter:
                raise RefusedError("decode", f"a character stands after a closing quote (column {i + 1})")
            i += 1

    def _value(self, i: int, cell: str) -> Any:
        t = self.schema[i].type
        value: Any = cell
        if t.layout is Layout.NESTED:
            parts = cell.split(self._element) if cell else []
            items = [self._element_value(p) for p in parts]
            if t.kind is Kind.ROW:
                if len(items) != len(t.names):
                    raise ValueError(f"{len(items)} values where {len(t.names)} are expected")
                value = dict(zip(t.names, items, strict=True))
            else:
                value = items
        return self.exact[i](value)

    def _element_value(self, text: str) -> str | None:
        return None if text == self._literal else text

    def nested(self, i: int, text: bytes) -> Any:
        """See :class:`TextDecoder`."""
        return self._value(i, text.decode())


__all__ = ["CsvDecoder", "Format", "SqlType"]
