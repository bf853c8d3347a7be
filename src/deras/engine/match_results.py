"""From the rows of matches to what their measures read: values of single rows, aggregates, names of variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.types import BIGINT, STRING
from deras.engine.accumulator import Accumulator
from deras.engine.kernels import match_rows as k
from deras.engine.state import State

if TYPE_CHECKING:
    from deras.core.schema import Schema
    from deras.engine.match_plan import MatchPlan, Pick, Total

Words = npt.NDArray[np.int64]

_BIG = BIGINT.with_nullable(False)
_HIDDEN = 256


@dataclass(slots=True)
class Found:
    """Some matches.

    Args:
        first: int64[matches + 1]: the rows of match i are ``first[i]:first[i + 1]``.
        variables: int64[rows]: the variable of each row.
        keys: the key columns of the rows.
        kept: the kept columns of the rows.
    """

    first: Words
    variables: Words
    keys: list[Column]
    kept: list[Column]


class Results:
    """Makes the columns that the last projection reads.

    Args:
        plan: what is asked.
        kept: schema of the kept columns.
    """

    def __init__(self, plan: MatchPlan, kept: Schema) -> None:
        self.plan = plan
        self.kept = kept
        groups: dict[tuple[int, bool], list[Total]] = {}
        for t in plan.totals:
            groups.setdefault((t.bits, t.running), []).append(t)
        self._groups: list[tuple[int, bool, list[Total], Accumulator]] = []
        for (bits, running), totals in groups.items():
            # The number of the match is the group; nothing is left in it when a step is over.
            made = Accumulator([_BIG], [t.call for t in totals], kept, updating=False, released=True)
            made.open(State("totals"))
            self._groups.append((bits, running, totals, made))

    def columns(self, found: Found) -> tuple[list[Column], Words]:
        """The columns of :func:`deras.engine.match_plan.finish_input`, and the match of each row."""
        shown = found.first[1:] - 1
        owner = np.arange(len(shown))
        columns: list[Column] = []
        if self.plan.all_rows:
            shown = np.flatnonzero(found.variables < _HIDDEN)
            owner = np.searchsorted(found.first, shown, "right") - 1
            columns += [c.take(shown) for c in found.kept]
        columns += [c.take(shown) for c in found.keys]
        columns += [self._pick(p, found, shown, owner) for p in self.plan.picks]
        made: dict[int, Column] = {}
        for bits, running, totals, accumulator in self._groups:
            places, groups, wanted = _prefixes(found, shown, owner) if running else _wholes(found)
            given = self._total(accumulator, found, bits, places, groups, wanted)
            made |= {id(t): c if running else c.take(owner) for t, c in zip(totals, given, strict=True)}
        columns += [made[id(t)] for t in self.plan.totals]
        return columns, owner

    def _pick(self, pick: Pick, found: Found, shown: Words, owner: Words) -> Column:
        first, variables = found.first, found.variables
        places = np.empty(len(shown), np.int64)
        if pick.running:
            k.pick_running(first, variables, shown, owner, pick.bits, pick.offset, pick.forward, places)
        else:
            each = np.empty(len(first) - 1, np.int64)
            k.pick(first, variables, pick.bits, pick.offset, pick.forward, each)
            places = each[owner]
        if pick.shift:
            moved = places + pick.shift
            outside = (moved < first[owner]) | (moved >= first[owner + 1])
            places = np.where((places < 0) | outside, -1, moved)
        missing = places < 0
        places = np.where(missing, 0, places)
        if pick.column < 0:
            names = pl.Series("", list(self.plan.names), dtype=pl.String)
            column = Column.of_series(STRING, names.gather(pl.Series(variables[places] % _HIDDEN)))
        else:
            column = found.kept[pick.column].take(places)
        if not missing.any():
            return column
        s = column.series()
        return Column.of_series(column.type.with_nullable(True), s.zip_with(pl.Series(~missing), s.clear(1)))

    def _total(
        self, accumulator: Accumulator, found: Found, bits: int, places: Words, groups: Words, wanted: int
    ) -> list[Column]:
        counted = (bits >> (found.variables[places] % _HIDDEN)) & 1 == 1
        if not counted.all():
            places, groups = places[counted], groups[counted]
        if len(places):
            below = Delta(self.kept, [c.take(places) for c in found.kept], length=len(places))
            accumulator.update(below, [Column.of_words(_BIG, groups)], keep_old=False)
        # A match without such rows has its group, too: COUNT is 0, everything else NULL.
        ids = accumulator.groups.lookup([Column.of_words(_BIG, np.arange(wanted))])
        made = accumulator.results(accumulator.cells(ids), ids)
        accumulator.tidy()
        accumulator.release(ids)
        return made


def _wholes(found: Found) -> tuple[Words, Words, int]:
    """All rows, each with its match."""
    n = len(found.first) - 1
    return np.arange(len(found.variables)), np.repeat(np.arange(n), np.diff(found.first)), n


def _prefixes(found: Found, shown: Words, owner: Words) -> tuple[Words, Words, int]:
    """For each shown row all rows of its match up to it, with the number of the shown row."""
    begins = found.first[owner]
    sizes = shown - begins + 1
    ends = np.cumsum(sizes)
    places = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - sizes - begins, sizes)
    return places, np.repeat(np.arange(len(shown)), sizes), len(shown)
