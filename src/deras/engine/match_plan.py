"""What MATCH_RECOGNIZE is asked to find and to give: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deras.core.schema import Field, Schema
from deras.core.types import STRING, SqlType

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from deras.engine.aggregates import AggregateCall
    from deras.engine.patterns import Automaton

PAST_LAST, NEXT_ROW, FIRST_OF, LAST_OF = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Condition:
    """When a row may be taken by a variable.

    Args:
        row: whether there is a condition on the row alone (the variable's column of ``prepare``).
        code: int64[n, 4]: operations of the condition that looks at other rows (see the kernels), or None.
    """

    row: bool = False
    code: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Pick:
    """A value of one row of a match: of the rows whose variable is in ``bits`` the first or last but ``offset``.

    Args:
        column: of the kept columns; -1: the variable's name.
        bits: variables.
        offset: how many are passed over.
        forward: counted from the first.
        shift: rows away from the one that was found, within the match (PREV: negative, NEXT: positive).
        running: as of the row that is given (ALL ROWS PER MATCH only).
    """

    column: int
    bits: int
    offset: int = 0
    forward: bool = False
    shift: int = 0
    running: bool = False


@dataclass(frozen=True, slots=True)
class Total:
    """An aggregate over the rows of a match whose variable is in ``bits``; its argument is a kept column."""

    call: AggregateCall
    bits: int
    running: bool = False


@dataclass(frozen=True, slots=True)
class MatchPlan:
    """What is matched and what a match gives.

    Args:
        automaton: the pattern.
        names: of the variables.
        conditions: one per variable.
        slots: int64[n, 6]: what partial matches keep for the conditions (see the kernels).
        cells: words of that.
        row_cells: which of them hold rows.
        texts: constants of the conditions.
        skip: where the next match may begin: PAST_LAST, NEXT_ROW, FIRST_OF or LAST_OF a variable in ``skip_bits``.
        within_ms: the longest time from first to last row, exclusive; 0: no bound.
        picks: values of single rows.
        totals: aggregates.
        all_rows: every row of a match is given, not one row for all.
    """

    automaton: Automaton
    names: tuple[str, ...]
    conditions: tuple[Condition, ...]
    slots: npt.NDArray[np.int64]
    cells: int = 0
    row_cells: tuple[int, ...] = ()
    texts: bytes = b""
    skip: int = NEXT_ROW
    skip_bits: int = 0
    within_ms: int = 0
    picks: tuple[Pick, ...] = ()
    totals: tuple[Total, ...] = ()
    all_rows: bool = False


def finish_input(keys: Sequence[SqlType], kept: Sequence[SqlType], plan: MatchPlan) -> Schema:
    """What ``finish`` reads: with ``all_rows`` the kept columns, then keys, picks and totals."""
    types = [*(kept if plan.all_rows else ()), *keys]
    types += [STRING if p.column < 0 else kept[p.column].with_nullable(True) for p in plan.picks]
    types += [t.call.type for t in plan.totals]
    return Schema(tuple(Field(f"c{i}", t) for i, t in enumerate(types)))
