"""Aggregates and ranks over the rows around each row: ``f(…) OVER (PARTITION BY … ORDER BY … ROWS|RANGE …)``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from deras.core.schema import Schema
from deras.sql.plan.rel import Place, Rel, Unary, plain
from deras.sql.plan.show import duration

if TYPE_CHECKING:
    from deras.core.types import SqlType
    from deras.sql.expr.nodes import Where

RANKS = frozenset({"ROW_NUMBER", "RANK", "DENSE_RANK", "PERCENT_RANK", "CUME_DIST", "NTILE"})
"""Functions of a row's place among the rows of its partition; they have no frame."""
SHIFTS = frozenset({"LAG", "LEAD"})
"""Functions of another row of the partition; they have no frame."""


@dataclass(frozen=True, slots=True)
class OrderKey:
    """A column that rows are ordered by. Flink's default: NULLs first where ascending, last where descending."""

    column: int
    descending: bool = False
    nulls_first: bool = True


@dataclass(frozen=True, slots=True)
class Frame:
    """Which rows around a row count.

    Args:
        unit: ``rows`` counts rows; ``range`` compares the order key, and peers (equal keys) see one another.
        lower: first row: so many rows (or ms, or units of the key's physical form) before; 0: the row itself; negative:
            after it; None: all before.
        upper: last row: so many after; 0: the row itself (with its peers for ``range``); negative: before; None: all.
    """

    unit: Literal["rows", "range"]
    lower: int | None
    upper: int | None = 0

    @property
    def bounded(self) -> bool:
        """Whether rows leave the frame again."""
        return self.lower is not None

    def text(self, *, time: bool) -> str:
        """As in SQL."""

        def bound(n: int | None, to: str, fro: str) -> str:
            if n is None:
                return f"UNBOUNDED {to}"
            if n == 0:
                return "CURRENT ROW"
            size = duration(abs(n)) if time and self.unit == "range" else str(abs(n))
            return f"{size} {to if n > 0 else fro}"

        lower, upper = bound(self.lower, "PRECEDING", "FOLLOWING"), bound(self.upper, "FOLLOWING", "PRECEDING")
        return f"{self.unit.upper()} BETWEEN {lower} AND {upper}"


@dataclass(frozen=True, slots=True)
class OverCall:
    """One function over the frame of each row.

    Args:
        function: an aggregate's canonical name, or one of :data:`RANKS` and :data:`SHIFTS`.
        args: columns of the input; LAG and LEAD: the value and, if there is one, the default.
        type: of the result.
        distinct: each value once.
        filter: a BOOLEAN column: only rows where it is TRUE count.
        input_type: of the first argument.
        offset: distance of LAG and LEAD; parts of NTILE.
    """

    function: str
    args: tuple[int, ...]
    type: SqlType
    distinct: bool = False
    filter: int | None = None
    input_type: SqlType | None = None
    offset: int = 1

    def moved(self, place: Place) -> OverCall:
        """Over columns that went elsewhere."""
        filter_ = None if self.filter is None else place[self.filter]
        return replace(self, args=tuple(place[a] for a in self.args), filter=filter_)

    def reads(self) -> set[int]:
        """Columns that it reads."""
        return {*self.args, *([] if self.filter is None else [self.filter])}

    def text(self, names: list[str]) -> str:
        """As in SQL, without OVER."""
        args = [names[a] for a in self.args]
        if self.function in SHIFTS:
            args.insert(1, str(self.offset))
        elif self.function == "NTILE":
            args = [str(self.offset)]
        elif self.function == "COUNT" and not args:
            args = ["*"]
        text = f"{self.function}({'DISTINCT ' if self.distinct else ''}{', '.join(args)})"
        return text if self.filter is None else f"{text} FILTER (WHERE {names[self.filter]})"


@dataclass(frozen=True, slots=True)
class Over(Unary):
    """The input's columns, then one per call. All calls share partition, order and frame.

    Args:
        partition: columns of the key; () for one partition.
        order: what the rows of a partition are ordered by; () for order of arrival.
        frame: which rows count for aggregates (ranks, LAG and LEAD ignore it).
        calls: the functions.
        spans: where each call and the window's order and frame are written, for messages: by ``call``, ``order``,
            ``frame``.
        strict: refuse what Flink refuses.
    """

    partition: tuple[int, ...]
    order: tuple[OrderKey, ...]
    frame: Frame
    calls: tuple[OverCall, ...]
    spans: tuple[tuple[str, Where], ...] = field(default=(), compare=False)
    strict: bool = field(default=False, compare=False)

    # ---- facts

    @property
    def time(self) -> Literal["rowtime", "proctime"] | None:
        """The kind of time that the rows come in, if they are ordered by an ascending time attribute alone."""
        if len(self.order) != 1 or self.order[0].descending:
            return None
        return self.input.schema[self.order[0].column].time

    @property
    def streaming(self) -> bool:
        """Whether every row's result is final when it is given: rows only come, and in the order of time."""
        return self.time is not None and self.frame.upper == 0 and self.input.append_only()

    def makes_updates(self) -> bool:
        """Rows that come between others, or go, change the results of those around them."""
        return not self.streaming

    def upsert_key(self) -> tuple[int, ...]:
        """What tells the input's rows apart."""
        return self.input.upsert_key()

    def reads_time(self) -> bool:
        """Whether rows are ordered by processing time."""
        return self.time == "proctime"

    # ---- optimisation

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """Only the needed calls and what they read. Without any call there is no window."""
        n = len(self.input.schema)
        kept = [i for i in range(len(self.calls)) if n + i in needed]
        below = {i for i in needed if i < n}
        if not kept and self.streaming and self.time == "proctime":
            return self.input.prune(below)
        if not kept:
            kept = [0]  # late rows are rejected whether or not somebody looks at the result
        calls = tuple(self.calls[i] for i in kept)
        below |= set(self.partition) | {k.column for k in self.order}
        made, place = self.input.prune(below.union(*(c.reads() for c in calls)))
        width = len(made.schema)
        schema = Schema((*made.schema.fields, *(self.schema[n + i] for i in kept)))
        found = replace(
            self,
            schema=schema,
            input=made,
            partition=tuple(place[k] for k in self.partition),
            order=tuple(replace(k, column=place[k.column]) for k in self.order),
            calls=tuple(c.moved(place) for c in calls),
        )
        return found, {i: k for i, k in place.items() if i < n} | {n + i: width + k for k, i in enumerate(kept)}

    def through(self) -> Place:
        """The partition's columns: a filter on them takes whole partitions."""
        return {k: k for k in self.partition}

    # ---- text

    def describe(self) -> str:
        """Partition, order, frame and calls."""
        below = self.input.schema.names
        parts = []
        if self.partition:
            parts.append(f"by: [{', '.join(below[k] for k in self.partition)}]")
        if self.order:
            keys = [below[k.column] + (" DESC" if k.descending else "") for k in self.order]
            parts.append(f"order: [{', '.join(keys)}]")
        if any(c.function not in RANKS | SHIFTS for c in self.calls):
            parts.append(f"frame: {self.frame.text(time=self.time is not None)}")
        parts.append(f"select: [{', '.join(c.text(below) for c in self.calls)}]")
        return f"OverAggregate({', '.join(parts)})"

    def kept(self) -> str:
        """Rows that wait, rows in frames, cells."""
        if not self.streaming:
            return "all rows of the input, unbounded"
        waits = "rows ahead of the watermark" if self.time == "rowtime" else ""
        if self.frame.lower is None:
            held = "cells of every partition" if self.partition else "cells of one partition"
        elif self.frame.unit == "rows":
            held = f"the last {self.frame.lower} rows" + (" of every partition" if self.partition else "")
        else:
            held = f"rows of the last {duration(self.frame.lower)}"
        bounded = not self.partition or (self.frame.unit == "range" and self.frame.lower is not None)
        return f"{waits}{', ' if waits else ''}{held}{'' if bounded else ', unbounded'}"

    def warnings(self) -> list[str]:
        """Partitions are forgotten only where a range of time bounds them."""
        if not self.streaming:
            return ["This OVER keeps every row of its input for ever, and a change may update many rows."]
        if not self.partition or (self.frame.unit == "range" and self.frame.lower is not None):
            return []
        keys = ", ".join(self.input.schema[k].name for k in self.partition)
        return [f"OVER (PARTITION BY {keys} …) keeps an entry for every partition for ever."]

    def normal(self) -> str:
        """As of all nodes, but for the places in the text."""
        held = [f"{n}={plain(getattr(self, n))}" for n in ("partition", "order", "frame", "calls")]
        return f"over[{'|'.join(held)}]({self.input.normal()})"

    def place_of(self, what: str) -> Where | None:
        """Where a part of it is written."""
        return dict(self.spans).get(what)
