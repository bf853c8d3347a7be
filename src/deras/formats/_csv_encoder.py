"""Deltas to CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deras.core.types import Kind
from deras.formats import _encode_kernel as e
from deras.formats._text_encoder import Forms, TextEncoder

if TYPE_CHECKING:
    import polars as pl

    from deras.core.schema import Schema
    from deras.core.types import SqlType


class CsvEncoder(TextEncoder):
    """One record a line; text is quoted only where it must be."""

    text_kind = e.CSV_TEXT

    def __init__(
        self,
        schema: Schema,
        *,
        delimiter: int,
        quote: int,
        escape: int,
        null: str,
        element: str,
        plain: bool,
        header: bool,
    ) -> None:
        style = (-1, -1, delimiter, quote, escape, 0)
        super().__init__(schema, Forms(False, plain), style, [b""] * len(schema), null.encode())
        self._element = element
        self._null_text = null
        self._marks = (chr(delimiter), chr(quote) if quote >= 0 else "", chr(escape) if escape >= 0 else "")
        self._header = header

    def header(self) -> bytes:
        """The names of the columns, if asked."""
        if not self._header:
            return b""
        return (self._marks[0].join(self._quoted(f.name) for f in self.schema) + "\n").encode()

    def bytes_(self, s: pl.Series) -> pl.Series:
        """See :class:`TextEncoder`; an empty unquoted field would be read as NULL."""
        found = super().bytes_(s)
        quote = self._marks[1]
        return found.replace("", quote * 2) if quote else found

    def value(self, value: Any, t: SqlType) -> str:
        """See :class:`TextEncoder`."""
        if t.kind is Kind.ROW:
            parts = [(value[n], c) for n, c in zip(t.names, t.children, strict=True)]
        elif t.kind is Kind.ARRAY:
            parts = [(v, t.children[0]) for v in value]
        else:
            return self.forms.text(value, t)
        return self._quoted(
            self._element.join(self._null_text if v is None else self.forms.text(v, c) for v, c in parts)
        )

    def _quoted(self, text: str) -> str:
        delimiter, quote, escape = self._marks
        special = {delimiter, quote, escape, "\n", "\r"} - {""}
        if escape:
            text = text.replace(escape, escape * 2)
        if not quote or (text and not special & set(text)):
            return text
        return quote + text.replace(quote, (escape or quote) + quote) + quote
