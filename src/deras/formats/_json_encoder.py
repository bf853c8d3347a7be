"""Deltas to JSON lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl

from deras.formats import _encode_kernel as e
from deras.formats._text_encoder import Forms, TextEncoder, json_value

if TYPE_CHECKING:
    from deras.core.schema import Schema
    from deras.core.types import SqlType


class JsonEncoder(TextEncoder):
    """One object a line, keys in the schema's order."""

    text_kind = e.JSON_TEXT
    quotes_words = True

    def __init__(
        self, schema: Schema, *, iso: bool, plain: bool, leave_out_nulls: bool, null_key: str, null_key_literal: str
    ) -> None:
        prefixes = [json.dumps(f.name, ensure_ascii=False).encode() + b":" for f in schema]
        style = (ord("{"), ord("}"), ord(","), -1, -1, int(leave_out_nulls))
        super().__init__(schema, Forms(iso, plain), style, prefixes, b"null")
        self._maps = (null_key, null_key_literal, leave_out_nulls)

    def no_number(self, text: str) -> str:
        """See :class:`TextEncoder`."""
        return f'"{text}"'

    def bytes_(self, s: pl.Series) -> pl.Series:
        """See :class:`TextEncoder`."""
        return pl.select('"' + pl.lit(super().bytes_(s)) + '"').to_series()

    def value(self, value: Any, t: SqlType) -> str:
        """See :class:`TextEncoder`."""
        return json_value(value, t, self.forms, *self._maps)
