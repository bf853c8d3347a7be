"""Blocks and decoders for the tests of formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.options import read_options
from deras.core.records import PAD, Block, Decoded
from deras.core.registry import format_

if TYPE_CHECKING:
    from deras.core.contracts import Decoder
    from deras.core.schema import Schema


def block(text: bytes | str, line: int = 1, junk: int = 0, **metadata: Any) -> Block:
    """A block of a text, with garbage before it and (``junk``) after it."""
    raw = text.encode() if isinstance(text, str) else text
    data = np.full(len(raw) + PAD + 7, junk, np.uint8)
    data[7 : 7 + len(raw)] = np.frombuffer(raw, np.uint8)
    return Block(data, 7, 7 + len(raw), "t.json", 0, line, metadata)


def make(name: str, **options: str) -> Any:
    """A format with options (``_`` stands for ``-``, ``__`` for a dot)."""
    cls = format_(name)
    texts = {k.replace("__", ".").replace("_", "-"): v for k, v in options.items()}
    return cls(read_options(cls.options, texts, what=f"format '{name}'"))


def decode(name: str, schema: Schema, text: bytes | str, wanted: Any = None, **options: str) -> Decoded:
    """Decode one text with a fresh decoder."""
    decoder: Decoder = make(name, **options).decoder(schema, wanted)
    return decoder.decode(block(text))


def refused(decoded: Decoded) -> list[tuple[str, str]]:
    """(reason, message) of all rejected records."""
    return [(r.reason, m) for r in decoded.rejected for m in r.messages]
