"""Joins of a stream with final results of windows: rows go with the watermark, or never come in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from deras.sql.plan.joins import Join, condition_text, prune_sides
from deras.sql.plan.rel import Place, Rel, Unary
from deras.sql.plan.show import duration
from deras.sql.plan.windows import WindowAggregate, WindowKind, window_text


@dataclass(frozen=True, slots=True)
class ExpiringJoin(Join):
    """An inner join that forgets rows of one side: the other brings final results of windows, in time.

    Args:
        expiring: the side that is forgotten, 0 or 1.
        time: position of a timestamp in that side.
        reach: a row can only meet results of windows that end at most so many ms after its time.
    """

    expiring: int = 0
    time: int = 0
    reach: int = 0

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """Both sides keep only what is read, their keys and the time."""
        n = len(self.left.schema)
        at = self.time if self.expiring == 0 else n + self.time
        found, place = prune_sides(self, needed | {at})
        assert isinstance(found, ExpiringJoin)  # noqa: S101 (for the type checker)
        first = 0 if self.expiring == 0 else len(found.left.schema)
        return replace(found, time=place[at] - first), place

    def describe(self) -> str:
        """Condition, and what goes when."""
        side = (self.left, self.right)[self.expiring].schema.names
        after = f" + {duration(self.reach)}" if self.reach > 0 else f" - {duration(-self.reach)}" if self.reach else ""
        return f"ExpiringJoin({condition_text(self)}, {self._side} until: {side[self.time]}{after})"

    @property
    def _side(self) -> str:
        return ("left", "right")[self.expiring]

    def kept(self) -> str:
        """One side by the watermark, the other for rows that come late."""
        other = ("right", "left")[self.expiring]
        return (
            f"rows of the {self._side} until the watermark has passed their windows, all rows of the {other}, unbounded"
        )

    def warnings(self) -> list[str]:
        """Late rows still find the results of their windows."""
        other = ("right", "left")[self.expiring]
        return [f"The join keeps all rows of the {other}, the results of windows: its state grows with them."]


@dataclass(frozen=True, slots=True)
class CandidateFilter(Unary):
    """Rows whose value may be the extreme of a window that they are joined with; others have been surpassed already.

    Args:
        value: position of the value.
        time: position of the time by which rows fall into windows.
        function: MAX or MIN.
        window: the aggregate that gives the extreme.
        low: least difference between the end of a window that a row may meet and its time, ms.
        high: greatest difference, ms.
    """

    value: int
    time: int
    function: Literal["MAX", "MIN"]
    kind: WindowKind
    size: int
    slide: int
    offset: int
    low: int
    high: int

    def upsert_key(self) -> tuple[int, ...]:
        """The input's."""
        return self.input.upsert_key()

    def through(self) -> Place:
        """All columns: of fewer rows the extremes are no greater."""
        return {i: i for i in range(len(self.schema))}

    def window_bounds(self) -> frozenset[int]:
        """Those of the input."""
        return self.input.window_bounds()

    def describe(self) -> str:
        """Value and window."""
        names = self.input.schema.names
        like = WindowAggregate(
            self.schema,
            self.input,
            self.time,
            self.kind,
            self.size,
            self.slide,
            self.offset,
            None,
            (),
            (),
            (),
        )
        sign = ">=" if self.function == "MAX" else "<="
        value = names[self.value]
        return f"CandidateFilter({value} {sign} {self.function}({value}) so far, window: {window_text(like)})"

    def kept(self) -> str:
        """A value a window."""
        return f"the {self.function} so far of open windows, bounded by the watermark"
