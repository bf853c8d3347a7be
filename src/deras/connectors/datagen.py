"""``'connector' = 'datagen'``: made-up rows, at a rate; with a seed the same ones every time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from deras.connectors._generate import Field, Generator, generator, paths
from deras.core import contracts
from deras.core.contracts import Reader, Source, SourceDelivery, TableContext
from deras.core.delta import Delta
from deras.core.errors import OptionError, did_you_mean
from deras.core.options import Option
from deras.core.records import Offset, Records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.schema import Schema
    from deras.core.time import Clock

MOST_ROWS = 65536
_ROW_BYTES = 64
"""A guess, to turn a limit of bytes into one of rows."""
CATCH_UP = 1.0
"""Seconds of rows that are made up for after a stall; what is older is not due any more."""


class DatagenReader(Reader):
    """Makes rows when they are due.

    Args:
        schema: the columns.
        generators: one a column.
        rate: rows in a second.
        total: rows in all, or None.
        clock: the time.
        at: where an earlier run stopped.
    """

    def __init__(
        self,
        schema: Schema,
        generators: Sequence[Generator],
        rate: int,
        total: int | None,
        clock: Clock,
        at: Offset | None,
    ) -> None:
        self._schema = schema
        self._generators = generators
        self._rate = rate
        self._total = total
        self._clock = clock
        self._row = int(at["row"]) if at else 0
        self._paid = 0
        self._begun: float | None = None
        self._closed = threading.Event()

    def poll(self, limit: int, wait: float) -> Records | None:
        """The rows that are due by now."""
        left = MOST_ROWS if self._total is None else self._total - self._row
        if left <= 0 or self._closed.is_set():
            return None
        n = min(left, self._due(), max(1, limit // _ROW_BYTES), MOST_ROWS)
        if n <= 0 and wait > 0:
            assert self._begun is not None  # noqa: S101
            until = self._begun + (self._paid + 1) / self._rate - self._clock.monotonic()
            self._clock.wait(self._closed, min(wait, max(until, 0.0001)))
            n = min(left, self._due(), max(1, limit // _ROW_BYTES), MOST_ROWS)
        if n <= 0:
            return Records({"row": self._row})
        rows = np.arange(self._row, self._row + n, dtype=np.uint64)
        now = self._clock.now_us()
        columns = [g.column(rows, now) for g in self._generators]
        self._row += n
        self._paid += n
        return Records({"row": self._row}, delta=Delta(self._schema, columns, length=n), count=n)

    def _due(self) -> int:
        now = self._clock.monotonic()
        if self._begun is None:
            # The first row is due at once.
            self._begun = now - 1 / self._rate
        behind = now - self._begun - self._paid / self._rate
        if behind > CATCH_UP + 1 / self._rate:
            self._begun += behind - CATCH_UP
        return int((now - self._begun) * self._rate + 1e-6) - self._paid

    def close(self) -> None:
        """Stop."""
        self._closed.set()


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
        return DatagenReader(self._table.schema, self._generators, rate, self._total, self._table.clock, at)


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
