"""``'connector' = 'nexmark'``: the auction site of the Nexmark benchmark, its people, auctions and bids."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, ClassVar

from deras.connectors._nexmark import EVENTS, Events, Shape
from deras.core import contracts
from deras.core.contracts import Reader, Source, SourceDelivery, TableContext
from deras.core.delta import Delta
from deras.core.errors import OptionError, did_you_mean
from deras.core.options import Option
from deras.core.records import Offset, Records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.types import SqlType

MOST_ROWS = 65536
_ROW_BYTES = 128
"""A guess, to turn a limit of bytes into one of rows."""
CATCH_UP = 1.0
"""Seconds of events that are made up for after a stall, where the rate is kept."""


class NexmarkReader(Reader):
    """Makes events, as fast as they are asked for or at their rate.

    Args:
        table: its schema and clock.
        columns: positions of the table's columns among those of the events.
        shape: what the events look like.
        total: events in all, or None.
        paced: whether the rate holds for the clock too.
        stays: whether the table stays open after the last event.
        at: where an earlier run stopped.
        base: event time (ms) of the beginning, or None for now.
    """

    def __init__(
        self,
        table: TableContext,
        columns: Sequence[int],
        shape: Shape,
        total: int | None,
        *,
        paced: bool,
        stays: bool,
        at: Offset | None,
        base: int | None,
    ) -> None:
        self._schema = table.schema
        self._columns = columns
        self._clock = table.clock
        self._total = total
        self._rate = shape.rate
        self._paced = paced
        self._stays = stays
        self._next = int(at["event"]) if at else 0
        # Without it, a restored job would jump in event time.
        self._base = int(at["base"]) if at else (table.clock.now() if base is None else base)
        self._events = Events(shape, self._base)
        self._paid = 0
        self._begun: float | None = None
        self._closed = threading.Event()

    def poll(self, limit: int, wait: float) -> Records | None:
        """The events that are due."""
        left = MOST_ROWS if self._total is None else self._total - self._next
        if self._closed.is_set() or (left <= 0 and not self._stays):
            return None
        if left <= 0:
            self._clock.wait(self._closed, wait)
            return Records(self._offset())
        most = min(left, max(1, limit // _ROW_BYTES), MOST_ROWS)
        n = most
        if self._paced:
            n = min(most, self._due())
            if n <= 0 and wait > 0:
                assert self._begun is not None  # noqa: S101
                until = self._begun + (self._paid + 1) / self._rate - self._clock.monotonic()
                self._clock.wait(self._closed, min(wait, max(until, 0.0001)))
                n = min(most, self._due())
            if n <= 0:
                return Records(self._offset())
        made = self._events.events(self._next, self._next + n)
        self._next += n
        self._paid += n
        delta = Delta(self._schema, [made.columns[i] for i in self._columns], length=n)
        return Records(self._offset(), delta=delta, count=n)

    def _offset(self) -> Offset:
        return {"event": self._next, "base": self._base}

    def _due(self) -> int:
        now = self._clock.monotonic()
        if self._begun is None:
            self._begun = now - 1 / self._rate
        behind = now - self._begun - self._paid / self._rate
        if behind > CATCH_UP + 1 / self._rate:
            self._begun += behind - CATCH_UP
        return int((now - self._begun) * self._rate + 1e-6) - self._paid

    def idle(self) -> bool:
        """Whether all events are out while the table stays open."""
        return self._stays and self._total is not None and self._next >= self._total

    def close(self) -> None:
        """Stop."""
        self._closed.set()


class NexmarkSource(Source):
    """The events."""

    delivery: ClassVar[SourceDelivery] = "exactly-once"

    def __init__(self, table: TableContext) -> None:
        o = table.options
        self._table = table
        self._columns = [_position(table, f.name, f.type) for f in table.schema]
        self._shape = Shape(
            o["first-event.rate"], o["person.proportion"], o["auction.proportion"], o["bid.proportion"],
            o["person.avg-size"], o["auction.avg-size"], o["bid.avg-size"], o["bid.hot-ratio.auctions"],
            o["bid.hot-ratio.bidders"], o["auction.hot-ratio.sellers"], o["seed"],
        )  # fmt: skip
        total = o["events.num"] or None
        if o["stop-at"] >= 0:
            total = o["stop-at"] if total is None else min(total, o["stop-at"])
        self._total = total
        self.bounded = total is not None and not o["keep-alive"]

    def parts(self) -> list[str]:
        """One."""
        return [""]

    def open(self, part: str, at: Offset | None) -> Reader:
        """Begin, or go on with the event after the last."""
        o = self._table.options
        return NexmarkReader(
            self._table, self._columns, self._shape, self._total,
            paced=not o["max-emit-speed"], stays=o["keep-alive"], at=at, base=o["base-time"],
        )  # fmt: skip


def _position(table: TableContext, name: str, type_: SqlType) -> int:
    """Where a column of the table stands among the events' columns; ``OptionError`` if it is none of them."""
    if name not in EVENTS.names:
        raise OptionError(
            f"table '{table.name}': connector 'nexmark' has no column '{name}'",
            hint=did_you_mean(name, EVENTS.names) or f"Columns: {', '.join(EVENTS.names)}.",
        )
    i = EVENTS.index(name)
    if _bare(type_) != _bare(EVENTS[i].type):
        raise OptionError(
            f"table '{table.name}': column '{name}' of connector 'nexmark' cannot be {type_}",
            hint=f"Declare it as {EVENTS[i].type}.",
        )
    return i


def _bare(t: SqlType) -> Any:
    """A type without nullability."""
    return t.kind, t.precision, t.scale, t.names, tuple(_bare(c) for c in t.children)


def _positive(value: int) -> str | None:
    return None if value > 0 else "it must be greater than 0"


def _not_negative(value: int) -> str | None:
    return None if value >= 0 else "it must not be negative"


class Connector(contracts.Connector):
    """The events of the Nexmark benchmark, with the options of its connector for Flink.

    Columns: ``event_type`` INT (0: person, 1: auction, 2: bid) and the ROWs ``person``, ``auction`` and ``bid``, two of
    which are NULL. Event times rise at ``first-event.rate``, whatever the clock says. The same ``seed`` and
    ``base-time`` give the same events.
    """

    name: ClassVar[str] = "nexmark"
    options: ClassVar[Sequence[Option]] = (
        Option("events.num", "int", "Events in all; 0: no end.", default=0, check=_not_negative),
        Option("first-event.rate", "int", "Events in a second of event time.", default=10_000, check=_positive),
        Option("next-event.rate", "int", "Accepted; the rate does not change (as in the suite).", check=_positive),
        Option("max-emit-speed", "bool", "False: the rate holds for the clock too.", default=True),
        Option("keep-alive", "bool", "Whether the table stays open after the last event.", default=False),
        Option("stop-at", "int", "Stop after so many events; -1: never.", default=-1),
        Option("person.proportion", "int", "People among the events.", default=1, check=_positive),
        Option("auction.proportion", "int", "Auctions among the events.", default=3, check=_positive),
        Option("bid.proportion", "int", "Bids among the events.", default=46, check=_not_negative),
        Option("person.avg-size", "memory", "Average size of a person.", default=200),
        Option("auction.avg-size", "memory", "Average size of an auction.", default=500),
        Option("bid.avg-size", "memory", "Average size of a bid.", default=100),
        Option("bid.hot-ratio.auctions", "int", "One bid in so many is for any auction.", default=2, check=_positive),
        Option("bid.hot-ratio.bidders", "int", "One bid in so many is by anybody.", default=4, check=_positive),
        Option("auction.hot-ratio.sellers", "int", "One auction in so many is by anybody.", default=4, check=_positive),
        Option("rate.shape", "enum", "Accepted; unused (as in the suite).", choices=("SQUARE", "SINE")),
        Option("rate.period", "duration", "Accepted; unused (as in the suite)."),
        Option("rate.limited", "bool", "Accepted; unused (as in the suite)."),
        Option("seed", "int", "Ours: other events for another number.", default=0, check=_not_negative),
        Option("base-time", "int", "Ours: event time (ms since 1970) of the beginning; default: now."),
    )

    def source(self, table: TableContext) -> Source:
        """The events."""
        return NexmarkSource(table)
