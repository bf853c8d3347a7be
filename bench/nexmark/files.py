"""Nexmark's events as NDJSON files, one a kind, and the side input of q13; the same for the same numbers and seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deras.connectors._nexmark import KINDS, Events, Shape
from deras.core.options import read_options
from deras.formats.json import Format

if TYPE_CHECKING:
    from pathlib import Path

SIDE_ROWS = 10_000
_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Input:
    """A set of files.

    Args:
        events: events in all.
        rate: events in a second of event time.
        base: event time (ms since 1970) of the beginning.
        seed: other events for another number.
    """

    events: int
    rate: int = 10_000
    base: int = 1_767_225_600_000
    seed: int = 0

    @property
    def name(self) -> str:
        """The folder's name."""
        return f"nexmark-{self.events}-{self.rate}-{self.base}-{self.seed}"


def write(wanted: Input, folder: Path) -> Path:
    """Write ``person.json``, ``auction.json``, ``bid.json`` and ``side_input.csv`` into a folder of their own.

    Files that are there are kept. Gives that folder.
    """
    made = folder / wanted.name
    if (made / "done").exists():
        return made
    made.mkdir(parents=True, exist_ok=True)
    events = Events(Shape(rate=wanted.rate, seed=wanted.seed), wanted.base)
    options = read_options(Format.options, {"timestamp-format.standard": "SQL"}, what="format 'json'")
    for kind, schema in KINDS.items():
        encoder = Format(options).encoder(schema)
        with (made / f"{kind}.json").open("wb") as out:
            for start in range(0, wanted.events, _AT_ONCE):
                rows = events.table(kind, start, min(start + _AT_ONCE, wanted.events))
                chunks = encoder.encode(rows) if len(rows) else b""
                out.writelines([chunks] if isinstance(chunks, bytes) else chunks)
    (made / "side_input.csv").write_text("".join(f"{i},{i}\n" for i in range(SIDE_ROWS)), encoding="ascii")
    (made / "done").touch()
    return made


def digest(folder: Path) -> str:
    """Says whether two sets of files are the same."""
    found = hashlib.sha256()
    for kind in KINDS:
        found.update((folder / f"{kind}.json").read_bytes())
    return found.hexdigest()[:16]
