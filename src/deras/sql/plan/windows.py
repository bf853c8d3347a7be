"""Windows over time: the table functions, and grouping by a window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from deras.core.schema import Schema
from deras.sql.plan.aggregates import AggCall, called
from deras.sql.plan.calc import narrow
from deras.sql.plan.rel import Place, Rel, Unary
from deras.sql.plan.show import call, duration

if TYPE_CHECKING:
    from collections.abc import Sequence

WindowKind = Literal["tumble", "hop", "cumulate", "attached"]
"""``attached``: the time column is the last millisecond of a window that rows have already."""


@dataclass(frozen=True, slots=True)
class WindowTvf(Unary):
    """TUMBLE, HOP or CUMULATE: the input's columns, then start, end and time. ``time`` None: processing time.

    ``early``: an aggregate of these windows also gives its results so far, every so many ms of processing time.
    """

    time: int | None
    kind: WindowKind
    size: int
    slide: int
    offset: int = 0
    zone: str | None = None
    early: int | None = None

    def reads_time(self) -> bool:
        """Whether the window is of processing time."""
        return self.time is None

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """Hops multiply their rows, so only what is needed goes in."""
        n = len(self.input.schema)
        below = {i for i in needed if i < n} | (set() if self.time is None else {self.time})
        made, place = narrow(self.input, below) if self.kind != "tumble" else self.input.prune(below)
        width = len(made.schema)
        schema = Schema((*made.schema.fields, *self.schema.fields[n:]))
        found = replace(self, schema=schema, input=made, time=None if self.time is None else place[self.time])
        return found, place | {n + i: width + i for i in range(3)}

    def through(self) -> Place:
        """All columns of the input."""
        return {i: i for i in range(len(self.input.schema))}

    def window_bounds(self) -> frozenset[int]:
        """The last three."""
        return frozenset(range(len(self.input.schema), len(self.schema)))

    def describe(self) -> str:
        """The window."""
        return f"WindowTable({window_text(self)})"


@dataclass(frozen=True, slots=True)
class WindowAggregate(Unary):
    """Groups by the window of ``time`` and by ``keys``; gives keys, calls, and the columns named in ``window``."""

    time: int | None
    kind: WindowKind
    size: int
    slide: int
    offset: int
    zone: str | None
    keys: tuple[int, ...]
    calls: tuple[AggCall, ...]
    window: tuple[str, ...]
    early: int | None = None

    def makes_updates(self) -> bool:
        """Results so far are corrected."""
        return self.early is not None

    def upsert_key(self) -> tuple[int, ...]:
        """Key and window."""
        first = len(self.keys) + len(self.calls)
        # Several windows of CUMULATE begin at one moment: there only the end tells them apart.
        telling = ("end", "time") if self.kind == "cumulate" else ("start", "end", "time")
        marks = [first + i for i, w in enumerate(self.window) if w in telling]
        return (*range(len(self.keys)), *marks[:2]) if marks else ()

    def reads_time(self) -> bool:
        """Whether the window is of processing time."""
        return self.time is None

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """Only the needed calls and bounds."""
        return _pruned(self, needed)

    def through(self) -> Place:
        """The keys."""
        return dict(enumerate(self.keys))

    def window_bounds(self) -> frozenset[int]:
        """Columns behind the calls."""
        return frozenset(range(len(self.keys) + len(self.calls), len(self.schema)))

    def describe(self) -> str:
        """Keys, window, calls."""
        below = self.input.schema.names
        keys = ", ".join(below[k] for k in self.keys)
        calls = ", ".join([*(call(c, below) for c in self.calls), *(f"window_{w}" for w in self.window)])
        early = "" if self.early is None else f", early: {f'every {duration(self.early)}' if self.early else 'always'}"
        return f"WindowAggregate(by: [{keys}], window: {window_text(self)}, select: [{calls}]{early})"

    def kept(self) -> str:
        """Open windows."""
        return "open windows only, bounded by the watermark"


@dataclass(frozen=True, slots=True)
class SessionTvf(Unary):
    """SESSION: the input's columns, then start, end and time, when the session is over.

    ``keys`` None: those of the GROUP BY above, as the legacy form has it. ``time`` None: processing time.
    """

    time: int | None
    gap: int
    zone: str | None
    keys: tuple[int, ...] | None

    def reads_time(self) -> bool:
        """Whether the session is of processing time."""
        return self.time is None

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """The rows are kept, so only what is needed goes in."""
        n = len(self.input.schema)
        below = {i for i in needed if i < n} | set(self.keys or ()) | (set() if self.time is None else {self.time})
        made, place = narrow(self.input, below)
        width = len(made.schema)
        found = replace(
            self,
            schema=Schema((*made.schema.fields, *self.schema.fields[n:])),
            input=made,
            time=None if self.time is None else place[self.time],
            keys=None if self.keys is None else tuple(place[k] for k in self.keys),
        )
        return found, place | {n + i: width + i for i in range(3)}

    def through(self) -> Place:
        """Only the keys: without some of its rows a session is another one."""
        return {k: k for k in self.keys or ()}

    def window_bounds(self) -> frozenset[int]:
        """The last three."""
        return frozenset(range(len(self.input.schema), len(self.schema)))

    def describe(self) -> str:
        """Keys and gap."""
        return f"SessionTable({session_text(self)})"

    def kept(self) -> str:
        """Rows of open sessions."""
        return "the rows of open sessions, bounded by the watermark"


@dataclass(frozen=True, slots=True)
class SlidingTvf(Unary):
    """SLIDING: a window for every moment at which its content changes; the input's columns, then start, end, time."""

    time: int
    size: int
    zone: str | None
    keys: tuple[int, ...]

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """The rows are kept and multiplied, so only what is needed goes in."""
        n = len(self.input.schema)
        made, place = narrow(self.input, {i for i in needed if i < n} | set(self.keys) | {self.time})
        width = len(made.schema)
        found = replace(
            self,
            schema=Schema((*made.schema.fields, *self.schema.fields[n:])),
            input=made,
            time=place[self.time],
            keys=tuple(place[k] for k in self.keys),
        )
        return found, place | {n + i: width + i for i in range(3)}

    def through(self) -> Place:
        """Only the keys: without some of its rows there are other windows."""
        return {k: k for k in self.keys}

    def window_bounds(self) -> frozenset[int]:
        """The last three."""
        return frozenset(range(len(self.input.schema), len(self.schema)))

    def describe(self) -> str:
        """Keys and size."""
        names = self.input.schema.names
        zone = f", zone {self.zone}" if self.zone else ""
        window = f"SLIDING({names[self.time]}, size {duration(self.size)}{zone})"
        return f"SlidingTable(by: [{', '.join(names[k] for k in self.keys)}], window: {window})"

    def kept(self) -> str:
        """Rows of windows to come."""
        return "the rows of windows to come, bounded by the watermark"


@dataclass(frozen=True, slots=True)
class SessionAggregate(Unary):
    """Groups by ``keys`` and sessions of them; gives keys, calls, and the columns named in ``window``."""

    time: int | None
    gap: int
    zone: str | None
    keys: tuple[int, ...]
    calls: tuple[AggCall, ...]
    window: tuple[str, ...]

    def upsert_key(self) -> tuple[int, ...]:
        """Key and window."""
        first = len(self.keys) + len(self.calls)
        marks = range(first, first + min(2, len(self.window)))
        return (*range(len(self.keys)), *marks) if marks else ()

    def reads_time(self) -> bool:
        """Whether the session is of processing time."""
        return self.time is None

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """Only the needed calls and bounds."""
        return _pruned(self, needed)

    def through(self) -> Place:
        """The keys."""
        return dict(enumerate(self.keys))

    def window_bounds(self) -> frozenset[int]:
        """Columns behind the calls."""
        return frozenset(range(len(self.keys) + len(self.calls), len(self.schema)))

    def describe(self) -> str:
        """Keys, gap, calls."""
        below = self.input.schema.names
        calls = ", ".join([*(call(c, below) for c in self.calls), *(f"window_{w}" for w in self.window)])
        return f"SessionAggregate({session_text(self)}, select: [{calls}])"

    def kept(self) -> str:
        """Open sessions."""
        return "open sessions only, bounded by the watermark"


def _pruned(rel: WindowAggregate | SessionAggregate, needed: set[int]) -> tuple[Rel, Place]:
    n = len(rel.keys)
    first = n + len(rel.calls)
    kept = [i for i in range(len(rel.calls)) if n + i in needed]
    calls = tuple(rel.calls[i] for i in kept)
    marks = [i for i in range(len(rel.window)) if first + i in needed]
    used = set(rel.keys) | called(calls) | (set() if rel.time is None else {rel.time})
    made, place = rel.input.prune(used)
    positions = [*range(n), *(n + i for i in kept), *(first + i for i in marks)]
    found = replace(
        rel,
        schema=rel.schema.select(positions),
        input=made,
        time=None if rel.time is None else place[rel.time],
        keys=tuple(place[k] for k in rel.keys),
        calls=tuple(c.moved(place) for c in calls),
        window=tuple(rel.window[i] for i in marks),
    )
    return found, {i: k for k, i in enumerate(positions)}


def session_text(rel: SessionTvf | SessionAggregate) -> str:
    """A session window as EXPLAIN shows it."""
    names: Sequence[str] = rel.input.schema.names
    on = "PROCTIME" if rel.time is None else names[rel.time]
    zone = f", zone {rel.zone}" if rel.zone else ""
    keys = ", ".join(names[k] for k in rel.keys or ())
    return f"by: [{keys}], window: SESSION({on}, gap {duration(rel.gap)}{zone})"


def window_text(rel: WindowTvf | WindowAggregate) -> str:
    """A window as EXPLAIN shows it."""
    names: Sequence[str] = rel.input.schema.names
    on = "PROCTIME" if rel.time is None else names[rel.time]
    if rel.kind == "attached":
        return f"the one that ends with {on}"
    if rel.kind == "tumble" and rel.size == 1:
        return f"SNAPSHOT({on}{f', zone {rel.zone}' if rel.zone else ''})"
    parts = [on, f"size {duration(rel.size)}"]
    if rel.kind != "tumble":
        parts.append(f"{'slide' if rel.kind == 'hop' else 'step'} {duration(rel.slide)}")
    if rel.offset:
        parts.append(f"offset {duration(rel.offset)}")
    if rel.zone:
        parts.append(f"zone {rel.zone}")
    return f"{rel.kind.upper()}({', '.join(parts)})"
