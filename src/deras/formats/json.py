"""Format ``json``: one JSON object a record; records stand one a line or in arrays.

Options and forms are Flink's. Where Flink changes a value in silence, the record is refused (see
:mod:`deras.formats._exact`), so that it can be found in quarantine and replayed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from deras.core.contracts import Decoder, Encoder
from deras.core.contracts import Format as FormatContract
from deras.core.options import Option
from deras.formats._exact import Style
from deras.formats._json_decoder import JsonDecoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.schema import Schema


class Format(FormatContract):
    """JSON records; see the module."""

    name = "json"
    extension = ".json"
    options: ClassVar[Sequence[Option]] = (
        Option("fail-on-missing-field", "bool", "Whether a missing field refuses the record (else it is NULL).", False),
        Option(
            "ignore-parse-errors", "bool", "Whether a wrong value becomes NULL instead of refusing its record.", False
        ),
        Option(
            "timestamp-format.standard",
            "enum",
            "SQL: '2020-12-30 12:13:14.123'; ISO-8601: '2020-12-30T12:13:14.123'.",
            "SQL",
            choices=("SQL", "ISO-8601"),
        ),
        Option(
            "map-null-key.mode",
            "enum",
            "What to do with a NULL key of a map.",
            "FAIL",
            choices=("FAIL", "DROP", "LITERAL"),
        ),
        Option("map-null-key.literal", "string", "The key for NULL in mode LITERAL.", "null"),
        Option("encode.decimal-as-plain-number", "bool", "Whether decimals are never written as 1E+2.", False),
        Option("encode.ignore-null-fields", "bool", "Whether NULL fields are left out.", False),
        Option("decode.json-parser.enabled", "bool", "Accepted for Flink's sake; there is one parser.", True),
    )

    def _option(self, name: str) -> Any:
        for key in (name, f"{self.name}.{name}"):
            if key in self.options_:
                return self.options_[key]
        return next(o.default for o in self.options if o.name == name)

    def style(self) -> Style:
        """How values are read."""
        return Style(
            iso=self._option("timestamp-format.standard") == "ISO-8601",
            ignore_errors=self._option("ignore-parse-errors"),
            fail_on_missing=self._option("fail-on-missing-field"),
        )

    def decoder(self, schema: Schema, wanted: Sequence[int] | None = None, origin: str = "") -> Decoder:
        """A decoder; it learns the order of keys, so keep it."""
        return JsonDecoder(schema, wanted, origin, self.style())

    def encoder(self, schema: Schema) -> Encoder:
        """An encoder of one object a line."""
        from deras.formats._json_encoder import JsonEncoder

        return JsonEncoder(
            schema,
            iso=self._option("timestamp-format.standard") == "ISO-8601",
            plain=self._option("encode.decimal-as-plain-number"),
            leave_out_nulls=self._option("encode.ignore-null-fields"),
            null_key=self._option("map-null-key.mode"),
            null_key_literal=self._option("map-null-key.literal"),
        )
