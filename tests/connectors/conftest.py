"""A tiny exact format, so that connectors are tested without the real ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from deras.core.contracts import Connector, Decoder, Encoder, Format, TableContext
from deras.core.delta import Delta
from deras.core.options import read_options
from deras.core.records import Block, Decoded, Rejected
from deras.core.time import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

    from deras.core.schema import Schema


class LineDecoder(Decoder):
    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def decode(self, block: Block) -> Decoded:
        rows, messages, raws, positions = [], [], [], []
        at, line = block.start, block.line
        for raw in block.data[block.start : block.end].tobytes().split(b"\n"):
            if raw.strip():
                try:
                    row = json.loads(raw)
                    rows.append([row.get(f.name) for f in self.schema])
                except ValueError as e:
                    messages.append(str(e))
                    raws.append(raw)
                    positions.append(f"line {line} (byte {block.position + at - block.start})")
            at += len(raw) + 1
            line += 1
        bad = [Rejected("decode", block.origin, messages, raws, positions, [None] * len(raws))] if raws else []
        return Decoded(Delta.of(self.schema, rows), bad, len(rows) + len(raws))


class LineEncoder(Encoder):
    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def encode(self, delta: Delta) -> bytes:
        rows = [dict(zip(self.schema.names, r, strict=True)) for r in delta.rows()]
        return b"".join(json.dumps(r, default=str).encode() + b"\n" for r in rows)


class LineFormat(Format):
    name = "json"
    extension = "json"

    def decoder(self, schema: Schema, wanted: Any = None, origin: str = "") -> Decoder:
        return LineDecoder(schema)

    def encoder(self, schema: Schema) -> Encoder:
        return LineEncoder(schema)


class Tables:
    """Makes table contexts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.format = LineFormat(read_options([], {}, what="format 'json'"))

    def options(self, connector: type[Connector], schema: Schema, texts: dict[str, str], **more: Any) -> TableContext:
        options = read_options(connector.options, texts, what=f"connector '{connector.name}'")
        clock = more.get("clock") or SystemClock()
        format_ = self.format if connector.formats == "required" else None
        return TableContext("t", schema, options, format_, self.folder, clock, more.get("rowtime"))


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(tmp_path)


@pytest.fixture(scope="session")
def make_tables() -> type[Tables]:
    return Tables
