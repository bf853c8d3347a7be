"""``'connector' = 'faker'``: made-up rows that look like real ones, by expressions like ``#{Name.fullName}``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from deras.connectors._faker import generator, paths
from deras.connectors._generate import Field
from deras.connectors._generate_reader import GeneratorReader
from deras.core import contracts
from deras.core.contracts import Source, SourceDelivery, TableContext
from deras.core.errors import OptionError, did_you_mean
from deras.core.options import Option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.contracts import Reader
    from deras.core.records import Offset


class FakerSource(Source):
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
        total = o["number-of-rows"]
        self._total = None if total is None or total < 0 else total
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


def _rate(value: float) -> str | None:
    return None if 0 <= value <= 1 else "it must lie between 0 and 1"


class Connector(contracts.Connector):
    """Made-up rows, with the options of flink-faker and Datafaker's names.

    An expression mixes text and ``#{Provider.method 'argument', …}``; its values are turned into the field's type. ROWs
    have expressions for their fields (``fields.address.city.expression``), MAPs for ``key`` and ``value``. The same
    ``seed`` gives the same rows (apart from moments, which come from the clock).
    """

    name: ClassVar[str] = "faker"
    options: ClassVar[Sequence[Option]] = (
        Option("rows-per-second", "int", "How fast rows are made.", default=10_000, check=_positive),
        Option("number-of-rows", "int", "Rows in all; absent or -1: no end."),
        Option("seed", "int", "Ours: other rows for another number.", default=0),
        Option("fields.*.expression", help="What the field's values are, for example '#{Name.fullName}'."),
        Option("fields.*.null-rate", "float", "Share of NULLs.", check=_rate),
        Option("fields.*.length", "int", "Entries of an ARRAY, MAP or MULTISET (1).", check=_positive),
    )

    def source(self, table: TableContext) -> Source:
        """A generator."""
        return FakerSource(table)
