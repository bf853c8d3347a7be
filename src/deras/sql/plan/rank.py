"""Rows by rank: Top-N, deduplication, Top-N of windows, ORDER BY and LIMIT."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from deras.sql.plan.rel import Place, Rel, Unary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.schema import Field
    from deras.sql.plan.over import OrderKey


def order_text(order: Sequence[OrderKey], names: Sequence[str]) -> str:
    """An order as EXPLAIN shows it; the place of NULLs only where it is not Flink's default."""
    found = []
    for k in order:
        nulls = "" if k.nulls_first is not k.descending else " NULLS FIRST" if k.nulls_first else " NULLS LAST"
        found.append(f"{names[k.column]} {'DESC' if k.descending else 'ASC'}{nulls}")
    return ", ".join(found)


def _moved(order: tuple[OrderKey, ...], place: Place) -> tuple[OrderKey, ...]:
    return tuple(replace(k, column=place[k.column]) for k in order)


@dataclass(frozen=True, slots=True)
class Rank(Unary):
    """Of each key the rows whose rank lies in a range: the input's columns, then the rank where it is wanted.

    Args:
        partition: columns of the key.
        order: by what; (): by arrival.
        function: ``ROW_NUMBER``, ``RANK`` or ``DENSE_RANK``.
        first: least rank.
        last: greatest rank; None where ``limit`` tells it, or for all.
        limit: a column with the greatest rank.
        rank: the rank's column, or None.
        name: what EXPLAIN calls it.
    """

    partition: tuple[int, ...]
    order: tuple[OrderKey, ...]
    function: str
    first: int
    last: int | None
    limit: int | None
    rank: Field | None
    name: str = "Rank"

    def makes_updates(self) -> bool:
        """Rows push others out; only the first by arrival stay."""
        return bool(self.order)

    def upsert_key(self) -> tuple[int, ...]:
        """Key and rank; without the rank, the key of a single row, or what tells the input's rows apart."""
        if self.function == "ROW_NUMBER" and self.rank is not None:
            return (*self.partition, len(self.schema) - 1)
        if self.function == "ROW_NUMBER" and self.first == self.last:
            return self.partition
        return self.input.upsert_key()

    def single_row(self) -> bool:
        """One rank of one key."""
        return self.input.single_row() or (
            not self.partition and self.function == "ROW_NUMBER" and self.first == self.last
        )

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """The rank only where somebody reads it: then fewer rows change."""
        n = len(self.input.schema)
        limit = set() if self.limit is None else {self.limit}
        used = {i for i in needed if i < n} | set(self.partition) | {k.column for k in self.order} | limit
        if not self.input.append_only():
            used |= set(self.input.upsert_key())
        made, place = self.input.prune(used)
        rank = self.rank if n in needed else None
        fields = made.schema.fields if rank is None else (*made.schema.fields, rank)
        found = replace(
            self,
            schema=replace(self.schema, fields=fields, key=()),
            input=made,
            partition=tuple(place[i] for i in self.partition),
            order=_moved(self.order, place),
            limit=None if self.limit is None else place[self.limit],
            rank=rank,
        )
        return found, {i: k for i, k in place.items() if i < n} | ({n: len(made.schema)} if rank is not None else {})

    def through(self) -> Place:
        """The key's columns: a filter on them takes whole keys."""
        return {i: i for i in self.partition}

    def describe(self) -> str:
        """Key, order, ranks."""
        below = self.input.schema.names
        parts = []
        if self.partition:
            parts.append(f"by: [{', '.join(below[i] for i in self.partition)}]")
        if self.order:
            parts.append(f"order: [{order_text(self.order, below)}]")
        last = below[self.limit] if self.limit is not None else self.last
        if self.name == "Rank":
            ranks = f"{self.function} {self.first} to {'all' if last is None else last}"
            parts.append(f"ranks: {ranks}{'' if self.rank is None else f' AS {self.rank.name}'}")
        else:
            if self.first > 1:
                parts.append(f"offset: {self.first - 1}")
            if self.last is not None:
                parts.append(f"fetch: {self.last - self.first + 1}")
        return f"{self.name}({', '.join(parts)})"

    def _keys(self) -> str:
        return f" of every ({', '.join(self.input.schema.names[i] for i in self.partition)})" if self.partition else ""

    def kept(self) -> str:
        """The first rows; under retraction all."""
        if not self.input.append_only():
            return "all rows of the input, unbounded"
        last = self.input.schema.names[self.limit] if self.limit is not None else self.last
        if last is None:
            return "a number" if not self.order else "all rows of the input, unbounded"
        if not self.order and not self.partition:
            return "a number"
        return f"the first {last} rows{self._keys()}{', unbounded' if self.partition else ''}"

    def warnings(self) -> list[str]:
        """Keys are never forgotten; under retraction no row is."""
        if not self.input.append_only():
            return [f"{self.name} over updates keeps every row of its input, so that the next can take a place."]
        if self.partition:
            keys = ", ".join(self.input.schema.names[i] for i in self.partition)
            return [f"Ranking by {keys} keeps rows of every key for ever."]
        return []


@dataclass(frozen=True, slots=True)
class Deduplicate(Unary):
    """One row per key: the first or the last by a time attribute. The input only inserts."""

    partition: tuple[int, ...]
    time: int
    keep: Literal["first", "last"]

    def makes_updates(self) -> bool:
        """The last row changes."""
        return self.keep == "last"

    def upsert_key(self) -> tuple[int, ...]:
        """The key."""
        return self.partition

    def single_row(self) -> bool:
        """Without keys there is one."""
        return not self.partition

    def reads_time(self) -> bool:
        """Rows in the order of arrival are so by processing time."""
        return self.input.schema[self.time].time == "proctime"

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """Only what is needed is kept."""
        made, place = self.input.prune(needed | set(self.partition) | {self.time})
        found = replace(
            self,
            schema=replace(made.schema, key=()),
            input=made,
            partition=tuple(place[i] for i in self.partition),
            time=place[self.time],
        )
        return found, place

    def through(self) -> Place:
        """The key's columns."""
        return {i: i for i in self.partition}

    def describe(self) -> str:
        """Key, order, which row."""
        names = self.input.schema.names
        keys = ", ".join(names[i] for i in self.partition)
        return f"Deduplicate(keep: {self.keep} row, by: [{keys}], order: {names[self.time]})"

    def kept(self) -> str:
        """A row or a mark for every key."""
        if not self.partition:
            return "one row"
        keys = ", ".join(self.input.schema.names[i] for i in self.partition)
        return f"one {'row' if self.keep == 'last' else 'entry'} for every ({keys}), unbounded"

    def warnings(self) -> list[str]:
        """Keys are never forgotten."""
        if not self.partition:
            return []
        keys = ", ".join(self.input.schema.names[i] for i in self.partition)
        return [f"Deduplicating by {keys} keeps an entry for every key for ever."]


@dataclass(frozen=True, slots=True)
class WindowRank(Unary):
    """Top-N of windows: final rows when a window ends. The input only inserts.

    Args:
        end: column with the window's end.
        window: columns of the partition that are bounds of the window.
        partition: the other columns of the partition.
        order: by what.
        function: ``ROW_NUMBER``, ``RANK`` or ``DENSE_RANK``.
        first: least rank.
        last: greatest rank.
        rank: the rank's column, or None.
        zone: the session's zone where the window's time is TIMESTAMP_LTZ.
        latest: of equal rows the last arrived comes first (the last row by event time).
    """

    end: int
    window: tuple[int, ...]
    partition: tuple[int, ...]
    order: tuple[OrderKey, ...]
    function: str
    first: int
    last: int
    rank: Field | None
    zone: str | None = None
    latest: bool = False

    def upsert_key(self) -> tuple[int, ...]:
        """Window, key, rank."""
        if self.function != "ROW_NUMBER":
            return ()
        if self.rank is not None:
            return (self.end, *self.partition, len(self.schema) - 1)
        return (self.end, *self.partition) if self.first == self.last else ()

    def window_bounds(self) -> frozenset[int]:
        """Those of the input."""
        return self.input.window_bounds()

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """The rank only where somebody reads it."""
        n = len(self.input.schema)
        used = {i for i in needed if i < n} | {self.end, *self.partition} | {k.column for k in self.order}
        made, place = self.input.prune(used)
        rank = self.rank if n in needed else None
        fields = made.schema.fields if rank is None else (*made.schema.fields, rank)
        found = replace(
            self,
            schema=replace(self.schema, fields=fields, key=()),
            input=made,
            end=place[self.end],
            window=tuple(place[i] for i in self.window if i in place),
            partition=tuple(place[i] for i in self.partition),
            order=_moved(self.order, place),
            rank=rank,
        )
        return found, {i: k for i, k in place.items() if i < n} | ({n: len(made.schema)} if rank is not None else {})

    def through(self) -> Place:
        """The key's columns; what asks for the window's bounds stays above."""
        return {i: i for i in self.partition}

    def describe(self) -> str:
        """Window, key, order, ranks."""
        below = self.input.schema.names
        by = ", ".join(below[i] for i in (self.end, *self.partition))
        rank = "" if self.rank is None else f" AS {self.rank.name}"
        order = order_text(self.order, below)
        return f"WindowRank(by: [{by}], order: [{order}], ranks: {self.function} {self.first} to {self.last}{rank})"

    def kept(self) -> str:
        """Open windows."""
        return f"the first {self.last} rows of each key in open windows, bounded by the watermark"


@dataclass(frozen=True, slots=True)
class Sort(Unary):
    """ORDER BY of a whole result.

    Args:
        order: by what.
        kind: ``rowtime`` (first key is an ascending rowtime: rows go with the watermark), ``proctime`` (first key is an
            ascending processing time) or ``end`` (batch mode: rows go when the input has ended).
        first: number of the first row that is given, with ``end``.
        last: number of the last one.
    """

    order: tuple[OrderKey, ...]
    kind: Literal["rowtime", "proctime", "end"]
    first: int = 1
    last: int | None = None

    def append_only(self) -> bool:
        """Rows go once; at the end of the input there is nothing to take back."""
        return True

    def upsert_key(self) -> tuple[int, ...]:
        """The input's."""
        return self.input.upsert_key()

    def single_row(self) -> bool:
        """As the input."""
        return self.input.single_row()

    def reads_time(self) -> bool:
        """Whether the order is of processing time."""
        return self.kind == "proctime"

    def window_bounds(self) -> frozenset[int]:
        """Those of the input."""
        return self.input.window_bounds()

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """Also what the order needs."""
        used = needed | {k.column for k in self.order}
        if not self.input.append_only():
            used |= set(self.input.upsert_key())
        made, place = self.input.prune(used)
        return replace(self, schema=made.schema, input=made, order=_moved(self.order, place)), place

    def describe(self) -> str:
        """The order."""
        name = {"rowtime": "TemporalSort", "proctime": "ProctimeSort", "end": "Sort"}[self.kind]
        rows = "" if self.first == 1 and self.last is None else f", rows: {self.first} to {self.last or 'all'}"
        return f"{name}(order: [{order_text(self.order, self.input.schema.names)}]{rows})"

    def kept(self) -> str:
        """Rows that wait."""
        return {"rowtime": "rows ahead of the watermark", "proctime": "", "end": "all rows until the end"}[self.kind]
