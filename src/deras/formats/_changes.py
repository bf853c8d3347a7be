"""What the formats of change records share: an envelope says what happened to rows, which lie in it as JSON objects.

The envelope is decoded with the rows as raw text; their texts are put one after the other in the order of the changes,
and decoded in one go. Nothing of it works row by row in Python, but records that are refused.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl

from deras.core.column import Column
from deras.core.contracts import Decoder, Encoder
from deras.core.contracts import Format as FormatContract
from deras.core.delta import Delta
from deras.core.options import Option
from deras.core.records import PAD, Block, Decoded
from deras.core.schema import Field, Schema
from deras.core.types import BIGINT, BYTES, STRING, SqlType
from deras.formats import _change_kernel as ck
from deras.formats import _json_kernel as k
from deras.formats._common import Bits, Refusals, metadata_column, writable
from deras.formats._exact import Nested, Style, build, json_text
from deras.formats._json_decoder import JsonDecoder
from deras.formats._json_exact import parse
from deras.formats._json_texts import Ids, Texts
from deras.formats._text_decoder import RefusedError, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deras.core.contracts import Accepts, Changes

_NONE = np.array([[-1, -1]], np.int64)


# ---------------------------------------------------------------- texts


def joined(parts: Sequence[Texts]) -> Texts:
    """All texts in one buffer, one part after the other."""
    spans, at = [], 0
    for p in parts:
        spans.append(np.where(p.spans < 0, -1, p.spans + at))
        at += len(p.data)
    return Texts(np.concatenate([p.data for p in parts]), np.ascontiguousarray(np.concatenate(spans)))


# ---------------------------------------------------------------- decoding


class _Run(Run):
    """A run that leaves the raw texts of an envelope as they are."""

    def _nested(self, j: int, i: int, t: SqlType, rows: int) -> Column:
        if not isinstance(self.d, RawDecoder) or i not in self.d.raw:
            return super()._nested(j, i, t, rows)
        from deras.core.column import Views

        slot = self.d.params[i, k.SLOT]
        present = self.valid[j, :rows] if self.nulls[j] else None
        found = Column.of_views(BYTES, Views(self.wide[slot, :rows], self.buffers), present)
        known = self.parsed[i]
        if known:
            values = found.values()
            for row, v in known.items():
                values[row] = v
            found = Column.of_values(BYTES, values)
        return found


class RawDecoder(JsonDecoder):
    """Decodes objects (no arrays of them); columns in ``raw`` keep their JSON text."""

    def __init__(self, schema: Schema, wanted: Sequence[int] | None, origin: str, style: Style, raw: set[int]) -> None:
        super().__init__(schema, wanted, origin, style)
        self.raw = raw
        for i in raw:
            self.params[i, k.KIND] = k.RAW
            self.exact[i] = lambda v: json_text(v).encode()  # type: ignore[assignment]

    def read(self, raw: bytes) -> list[Any] | None:
        """See :class:`JsonDecoder`."""
        found = super().read(raw)
        if found is None:
            raise RefusedError("decode", "the record is no JSON object")
        return [None if v == b"null" and i in self.raw else v for i, v in zip(self.wanted, found, strict=True)]

    def run(self, block: Block, spans: Ids | None) -> tuple[Delta, Ids, _Run]:
        """Decode; gives the good rows, their positions among all records, and the run with what was refused."""
        run = _Run(self, block, writable(block.data))
        start, end = block.start, block.end
        if spans is None and block.data[start : start + 3].tobytes() == b"\xef\xbb\xbf":
            start += 3
        decoded = run.decode(start, end, spans)
        rows = int(self.state[k.ROW])
        return decoded.delta, np.delete(np.arange(rows), run.dropped), run

    def inner(self, texts: Texts) -> tuple[Delta, Ids, dict[int, tuple[Any, str]]]:
        """Decode texts that lie in order; gives the good rows, their positions, and what is wrong with the others."""
        block = Block(texts.data, 0, len(texts.data) - PAD, self.origin)
        delta, kept, run = self.run(block, texts.spans)
        starts = texts.spans[:, 0]
        wrong = {
            int(np.searchsorted(starts, start, side="right")) - 1: (reason, message)
            for start, reason, message, _ in run.refusals._items
        }
        return delta, kept, wrong


@dataclass(slots=True)
class RowChanges:
    """The rows of envelopes, in the order of the changes.

    Args:
        texts: where they lie.
        rows: place in ``texts`` of each row.
        patches: place of the object whose fields replace the row's, -1 where there is none.
        records: which envelope each row belongs to, ascending.
        weights: +1 or -1.
        wrong: envelopes that are refused: what is wrong.
    """

    texts: Texts
    rows: Ids
    patches: Ids
    records: Ids
    weights: Ids
    wrong: dict[int, str] = field(default_factory=dict)

    def assembled(self) -> Texts:
        """The rows' texts one after the other."""
        spans = self.texts.spans
        first = np.ascontiguousarray(spans[self.rows])
        second = np.ascontiguousarray(np.where(self.patches[:, None] >= 0, spans[self.patches], -1))
        room = int((first[:, 1] - first[:, 0]).sum() + (second[:, 1] - second[:, 0]).sum()) + len(first)
        out = np.zeros(room + PAD, np.uint8)
        placed = np.empty_like(first)
        n = ck.assemble(self.texts.data, first, second, out, placed)
        return Texts(out[: n + PAD], placed)


class ChangeDecoder(Decoder):
    """Envelopes to rows with weights.

    Args:
        format_: what the envelopes look like.
        schema: physical columns, and metadata columns with ``metadata_key``.
        wanted: positions that anybody reads.
        origin: of rejected records.
    """

    def __init__(self, format_: ChangeFormat, schema: Schema, wanted: Sequence[int] | None, origin: str) -> None:
        self.format = format_
        self.schema = schema
        self.origin = origin
        chosen = set(range(len(schema)) if wanted is None else wanted)
        self._metadata = {
            i: f.metadata_key.removeprefix("value.")
            for i, f in enumerate(schema)
            if f.metadata_key is not None and i in chosen and f.metadata_key.removeprefix("value.") in format_.metadata
        }
        self._physical = [i for i, f in enumerate(schema) if f.metadata_key is None]
        rows = schema.select(self._physical)
        kept = [p for p, i in enumerate(self._physical) if i in chosen]
        style = replace(format_.style(), ignore_errors=False)
        self._rows = RawDecoder(rows, kept, origin, style, set())
        names = dict(format_.envelope)
        for key in self._metadata.values():
            names |= format_.reads[key]
        types = {"raw": BYTES, "text": STRING, "number": BIGINT}
        self._names = list(names)
        fields = Schema(tuple(Field(n, types[form]) for n, form in names.items()))
        raw = {i for i, form in enumerate(names.values()) if form == "raw"}
        self._envelopes = RawDecoder(fields, None, origin, Style(), raw)
        outer = Schema((Field("schema", BYTES), Field("payload", BYTES)))
        self._outer = RawDecoder(outer, None, origin, Style(), {0, 1}) if format_.wrapped() else None

    def decode(self, block: Block) -> Decoded:
        """All records of the block; see :class:`deras.core.contracts.Decoder`."""
        wrong: dict[int, tuple[Any, str]] = {}
        schemas: Column | None = None
        if self._outer is None:
            delta, kept, run = self._envelopes.run(block, None)
            count = int(self._envelopes.state[k.ROW])
        else:
            around, outer_kept, run = self._outer.run(block, None)
            count = int(self._outer.state[k.ROW])
            payloads = Texts.of(around.columns[1])
            for i in np.flatnonzero(payloads.missing).tolist():
                wrong[int(outer_kept[i])] = ("decode", "the record has no 'payload', although 'schema-include' is set")
            there = np.flatnonzero(~payloads.missing)
            none = np.full(len(there), -1)
            texts = RowChanges(payloads, there, none, there, none).assembled()
            delta, inner_kept, bad = self._envelopes.inner(texts)
            for i, what in bad.items():
                wrong[int(outer_kept[there[i]])] = what
            kept = outer_kept[there[inner_kept]]
            schemas = around.columns[0].take(there[inner_kept])
        envelope = dict(zip(self._names, delta.columns, strict=True))
        changes = self.format.changes_of(envelope, delta.length)
        wrong |= {int(kept[i]): ("decode", text) for i, text in changes.wrong.items()}
        made, alive = self._decode_rows(changes, kept, wrong)
        records = changes.records[alive]
        columns = self._columns(made, envelope, schemas, records, block, kept)
        weights = changes.weights[alive]
        if wrong:
            lines = _lines(writable(block.data), block)
            for row, (reason, message) in wrong.items():
                run.refusals.add(reason, message, *lines[row])
        rejected = run.refusals.rejected() if len(run.refusals) else []
        out = Delta(self.schema, columns, None if (weights > 0).all() else weights, length=len(records))
        return Decoded(out, rejected, count)

    def _decode_rows(self, changes: RowChanges, kept: Ids, wrong: dict[int, tuple[Any, str]]) -> tuple[Delta, Ids]:
        """The rows of good records, and their positions in ``changes``; a record with one bad row is refused whole."""
        made, alive, bad = self._rows.inner(changes.assembled())
        for i, (reason, message) in bad.items():
            side = "before" if changes.weights[i] < 0 else "after"
            wrong.setdefault(int(kept[changes.records[i]]), (reason, f"the row {side} the change: {message}"))
        if wrong:
            whole = ~np.isin(kept[changes.records[alive]], np.fromiter(wrong, np.int64, len(wrong)))
            made, alive = made.take(np.flatnonzero(whole)), alive[whole]
        return made, alive

    def _columns(
        self,
        made: Delta,
        envelope: dict[str, Column],
        schemas: Column | None,
        records: Ids,
        block: Block,
        kept: Ids,
    ) -> list[Column]:
        rows = iter(made.columns)
        columns = []
        for i, f in enumerate(self.schema):
            if f.metadata_key is None:
                columns.append(next(rows))
            elif i in self._metadata:
                given = self.format.metadata_of(self._metadata[i], f.type, envelope, schemas)
                columns.append(given.take(records))
            else:
                value = block.metadata.get(f.metadata_key)
                columns.append(metadata_column(f.type, value, len(records), kept[records]))
        return columns


def _lines(data: Bits, block: Block) -> list[tuple[int, int]]:
    """First byte and one after the last of each line that is not blank."""
    feeds = (np.flatnonzero(data[block.start : block.end] == 10) + block.start).tolist()
    found = []
    for a, b in zip([block.start, *(f + 1 for f in feeds)], [*feeds, block.end], strict=True):
        if data[a:b].tobytes().strip():
            found.append((a, b))
    return found


# ---------------------------------------------------------------- formats


class ChangeFormat(FormatContract):
    """The base of formats whose records are changes of rows."""

    extension = ".json"
    changes: ClassVar[Changes] = "all"
    accepts: ClassVar[Accepts] = "all"
    options: ClassVar[Sequence[Option]] = (
        Option(
            "ignore-parse-errors",
            "bool",
            "Accepted for Flink's sake: records that cannot be read never stop the others.",
            False,
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
    )
    envelope: ClassVar[dict[str, str]] = {}
    """Fields that every envelope is read for: name to ``raw``, ``text`` or ``number``."""
    reads: ClassVar[dict[str, dict[str, str]]] = {}
    """Fields that a metadata column needs, by its key."""
    wraps: ClassVar[dict[int, tuple[str, str, str]]] = {}
    """What stands before and behind a row that came (1) or went (-1) in an envelope, and before it without NULLs."""

    def option(self, name: str) -> Any:
        """The value of an option of the format."""
        for key in (name, f"{self.name}.{name}"):
            if key in self.options_:
                return self.options_[key]
        return next(o.default for o in self.options if o.name == name)

    def style(self) -> Style:
        """How values are read."""
        return Style(iso=self.option("timestamp-format.standard") == "ISO-8601")

    def wrapped(self) -> bool:
        """Whether the envelope itself is the ``payload`` of another one."""
        return False

    def decoder(self, schema: Schema, wanted: Sequence[int] | None = None, origin: str = "") -> Decoder:
        """A decoder; it learns the order of keys, so keep it."""
        return ChangeDecoder(self, schema, wanted, origin)

    def encoder(self, schema: Schema) -> Encoder:
        """An encoder of one envelope a line: a row that came, or one that went."""
        return ChangeEncoder(self, schema)

    @abc.abstractmethod
    def changes_of(self, envelope: dict[str, Column], n: int) -> RowChanges:
        """The rows of n envelopes."""

    @abc.abstractmethod
    def metadata_of(self, key: str, type_: SqlType, envelope: dict[str, Column], schemas: Column | None) -> Column:
        """A metadata column: one value an envelope."""


def codes(column: Column, known: dict[str, int]) -> Ids:
    """The number of each text, -1 where it is unknown or NULL."""
    s = column.series()
    found = s.replace_strict(pl.Series(list(known)), pl.Series(list(known.values())), default=-1, return_dtype=pl.Int64)
    return np.array(found.fill_null(-1).to_numpy(), np.int64)


def milliseconds(column: Column, type_: SqlType) -> Column:
    """A BIGINT of ms since 1970 as a timestamp."""
    return Column.of_words(type_, column.words() * type_.words_per_ms, column.valid())


def parsed(column: Column, type_: SqlType, one: Callable[[Any], Any] = lambda v: v) -> Column:
    """Raw JSON texts as values of any type; what does not fit is NULL (metadata never refuses a row)."""
    nested = Nested(type_.with_nullable(True), Style(ignore_errors=True))
    made = []
    for text in column.values():
        try:
            made.append(None if text is None else nested(one(parse(text))))
        except (ValueError, TypeError, AttributeError):
            made.append(None)
    return build(type_, made)


class ChangeEncoder(Encoder):
    """Rows with weights as envelopes, one a line."""

    def __init__(self, format_: ChangeFormat, schema: Schema) -> None:
        from deras.formats._json_encoder import JsonEncoder

        self._bare = bool(format_.option("encode.ignore-null-fields"))
        self._json = JsonEncoder(
            schema,
            iso=format_.option("timestamp-format.standard") == "ISO-8601",
            plain=format_.option("encode.decimal-as-plain-number"),
            leave_out_nulls=self._bare,
            null_key=format_.option("map-null-key.mode"),
            null_key_literal=format_.option("map-null-key.literal"),
        )
        self._wraps = format_.wraps

    def encode(self, delta: Delta) -> list[bytes] | bytes:
        """An update is the row that went, then the row that came, as Flink writes it."""
        chunks = self._json.encode(delta)
        text = chunks if isinstance(chunks, bytes) else b"".join(chunks)
        weights = delta.weight_array()
        # JSON has no bare line feed inside of a value, so lines are rows.
        lines = pl.Series("", text.decode().splitlines() if not text else text.decode().rstrip("\n").split("\n"))
        frame = pl.DataFrame({"line": lines, "n": np.abs(weights), "came": weights > 0})
        place = 2 if self._bare else 0
        came, went = self._wraps[1], self._wraps[-1]
        wrapped = pl.concat_str(
            pl.when("came").then(pl.lit(came[place])).otherwise(pl.lit(went[place])),
            "line",
            pl.when("came").then(pl.lit(came[1])).otherwise(pl.lit(went[1])),
        )
        if (np.abs(weights) != 1).any():
            frame = frame.select(pl.all().repeat_by("n").explode())
        out = frame.select(wrapped.str.join("\n")).item()
        return f"{out}\n".encode() if len(frame) else b""


__all__ = ["ChangeFormat", "Refusals", "RowChanges", "Texts", "codes", "joined", "milliseconds", "parsed"]
