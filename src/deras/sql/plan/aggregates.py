"""Grouping without windows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deras.sql.plan.calc import Calc
from deras.sql.plan.rel import Place, Rel, Unary
from deras.sql.plan.show import call, expression

if TYPE_CHECKING:
    from deras.core.types import SqlType
    from deras.sql.functions.udaf import UserAggregate


LISTS = ("ARRAY_AGG", "LIST")
"""Calls that keep every value."""


@dataclass(frozen=True, slots=True)
class AggCall:
    """One aggregate over columns of the input."""

    function: str
    arg: int | None
    type: SqlType
    distinct: bool = False
    filter: int | None = None
    input_type: SqlType | None = None
    more: tuple[int, ...] = ()
    """Further arguments of a user's function."""
    user: UserAggregate | None = None

    @property
    def args(self) -> tuple[int, ...]:
        """All arguments."""
        return self.more if self.arg is None else (self.arg, *self.more)

    def moved(self, place: Place) -> AggCall:
        """Over columns that went elsewhere."""
        return replace(
            self,
            arg=None if self.arg is None else place[self.arg],
            filter=None if self.filter is None else place[self.filter],
            more=tuple(place[a] for a in self.more),
        )


def called(calls: tuple[AggCall, ...]) -> set[int]:
    """Positions of the columns that calls read."""
    return {i for c in calls for i in (*c.args, c.filter) if i is not None}


@dataclass(frozen=True, slots=True)
class Aggregate(Unary):
    """Groups by ``keys``; gives the keys, then the calls. Without calls: each row once."""

    keys: tuple[int, ...]
    calls: tuple[AggCall, ...]

    def makes_updates(self) -> bool:
        """A group's row is replaced when a row comes."""
        return True

    def upsert_key(self) -> tuple[int, ...]:
        """The group's key."""
        return tuple(range(len(self.keys)))

    def single_row(self) -> bool:
        """Without keys there is one group."""
        return not self.keys

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """Only the needed calls; all keys."""
        n = len(self.keys)
        kept = [i for i in range(len(self.calls)) if n + i in needed]
        calls = tuple(self.calls[i] for i in kept)
        made, place = self.input.prune(set(self.keys) | called(calls))
        positions = [*range(n), *(n + i for i in kept)]
        found = replace(
            self,
            schema=self.schema.select(positions),
            input=made,
            keys=tuple(place[k] for k in self.keys),
            calls=tuple(c.moved(place) for c in calls),
        )
        return found, {i: k for k, i in enumerate(positions)}

    def through(self) -> Place:
        """Keys; but what asks for a window's bounds stays above: there they are columns of the result."""
        bounds = self.input.window_bounds()
        return {i: k for i, k in enumerate(self.keys) if k not in bounds}

    def describe(self) -> str:
        """Keys and calls."""
        below = self.input.schema.names
        keys = ", ".join(below[k] for k in self.keys)
        if not self.calls:
            return f"Distinct(by: [{keys}])"
        return f"GroupAggregate(by: [{keys}], select: [{', '.join(call(c, below) for c in self.calls)}])"

    def kept(self) -> str:
        """An entry for every group."""
        values = " with all its values" if any(c.function in LISTS for c in self.calls) else ""
        if not self.keys:
            return f"one group{values}{', unbounded' if values else ''}"
        return f"one entry a group of ({', '.join(map(self._shown, range(len(self.keys))))}){values}, unbounded"

    def _shown(self, i: int) -> str:
        """A key as a person wrote it."""
        name, key = self.schema.names[i], self.keys[i]
        below = self.input
        if name.startswith("$") and isinstance(below, Calc) and below.exprs is not None:
            return expression(below.exprs[key], list(below.input.schema.names))
        return name

    def warnings(self) -> list[str]:
        """Groups are never forgotten."""
        if not self.keys:
            return []
        keys = ", ".join(self._shown(i) for i in range(len(self.keys)))
        return [f"Grouping by {keys} keeps an entry for every group for ever."]
