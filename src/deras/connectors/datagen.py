"""``'connector' = 'datagen'``: made-up rows, at a rate; with a seed the same ones every time."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from deras.connectors._generate import Field, generator, paths
from deras.connectors._generate_reader import GeneratorReader
from deras.core import contracts
from deras.core.contracts import Source, SourceDelivery, TableContext
from deras.core.errors import OptionError, did_you_mean
from deras.core.options import Option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.contracts import Reader
    from deras.core.records import Offset


class DatagenSource(Source):
    """Made-up rows."""

    delivery: ClassVar[SourceDelivery] = "exactly-once"

    def __init__(self, table: TableContext) -> None:
        o = table.options
        self._table = table
        below = o.starting("fields.")
        known = [p for f in table.schema for p in paths(f.name, f.type)]
        for name in below:
            field = name.rpartition(".")[0]
            if field not in known:
                raise OptionError(
                    f"option 'fields.{name}': table '{table.name}' has no field '{field}'",
                    hint=did_you_mean(field, known) or f"Fields: {', '.join(known)}.",
                )
        self._generators = [generator(Field(f.name, f.type, below, o["seed"])) for f in table.schema]
        ends = [g.end for g in self._generators if g.end is not None]
        if o["number-of-rows"] is not None:
            ends.append(o["number-of-rows"])
        self._total = min(ends) if ends else None
        self.bounded = self._total is not None

    def parts(self) -> list[str]:
        """One."""
        return [""]

    def open(self, part: str, at: Offset | None) -> Reader:
        """Begin, or go on with the row after the last."""
        rate = self._table.options["rows-per-second"]
        return GeneratorReader(self._table.schema, self._generators, rate, self._total, self._table.clock, at)


def _positive(value: int) -> str | None:
    return None if value > 0 else "it must be greater than 0"


def _not_negative(value: int) -> str | None:
    return None if value >= 0 else "it must not be negative"


def _rate(value: float) -> str | None:
    return None if 0 <= value <= 1 else "it must lie between 0 and 1"


class Connector(contracts.Connector):
    """Made-up rows with Flink's options; text is hexadecimal digits, timestamps are the present or the past.

    The same ``seed`` gives the same rows (apart from timestamps, dates and times, which come from the clock). A table
    with ``number-of-rows`` or a sequence is bounded.
    """

    name: ClassVar[str] = "datagen"
    options: ClassVar[Sequence[Option]] = (
        Option("rows-per-second", "int", "How fast rows are made.", default=10_000, check=_positive),
        Option("number-of-rows", "int", "Rows in all; absent: no end.", check=_not_negative),
        Option("seed", "int", "Ours: other rows for another number.", default=0),
        Option("scan.parallelism", "int", "Accepted for Flink's sake; one reader is used."),
        Option("fields.*.kind", "enum", "How values are made.", choices=("random", "sequence")),
        Option("fields.*.min", help="Least random number."),
        Option("fields.*.max", help="Greatest random number."),
        Option("fields.*.max-past", "duration", "Timestamps lie up to this long in the past; default: now."),
        Option(
            "fields.*.length", "int", "Length of text or bytes (100), entries of collections (3).", check=_not_negative
        ),
        Option("fields.*.var-len", "bool", "Text and bytes have a random length up to 'length'."),
        Option("fields.*.start", help="First value of a sequence."),
        Option("fields.*.end", help="Last value of a sequence."),
        Option("fields.*.null-rate", "float", "Share of NULLs.", check=_rate),
    )

    def source(self, table: TableContext) -> Source:
        """A generator."""
        return DatagenSource(table)
