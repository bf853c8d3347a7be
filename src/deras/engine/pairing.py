"""What joins share: conditions on pairs of rows, and rows with their partners or with NULLs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.column import Column
from deras.core.delta import Delta
from deras.engine.rejects import reject_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deras.core.records import Rejected
    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.operator import Program

Words = npt.NDArray[np.int64]


def all_valid(columns: Sequence[Column]) -> npt.NDArray[np.bool_] | None:
    """Where no column is NULL; None if nowhere one is."""
    ok: Any = None
    for c in columns:
        valid = c.valid()
        if valid is not None:
            ok = valid if ok is None else ok & valid
    return None if ok is None or ok.all() else ok.astype(np.bool_)


def surviving(
    program: Program, delta: Delta, tick: Tick, origin: str, dropped: list[Rejected]
) -> tuple[Delta, Words, Words]:
    """Run a filter and tell which rows passed.

    Args:
        program: the filter.
        delta: rows without weights.
        tick: the step.
        origin: what failed rows are said to come from.
        dropped: gets the failed rows.

    Returns:
        The rows that passed, their positions, and the positions of those that failed.
    """
    # Weights travel with their rows, so they can say where a row stood.
    numbered = Delta(delta.schema, delta.columns, np.arange(1, delta.length + 1), delta.marks, delta.length)
    found, errors = program.run(numbered, tick)
    dropped += reject_errors(delta, errors, origin)
    failed = np.concatenate([x.rows for x in errors]) if errors else np.empty(0, np.int64)
    return (
        Delta(found.schema, found.columns, None, found.marks, found.length),
        found.weight_array() - 1,
        failed,
    )


def with_partners(
    mine: Delta,
    outer: Words,
    inner: Words,
    take: Callable[[Words], list[Column]],
    *,
    keep_all: bool,
    schema: Schema,
    residual: Program | None,
    joined: Schema,
    tick: Tick,
    origin: str,
    dropped: list[Rejected],
) -> Delta | None:
    """Rows beside their partners, in the order of the rows.

    Args:
        mine: the rows.
        outer: positions in ``mine`` of each pair, ascending.
        inner: the partner of each pair, as ``take`` knows it.
        take: gives the columns of partners.
        keep_all: whether rows without a partner come with NULLs.
        schema: of the result.
        residual: a condition on pairs; a row all of whose pairs it refuses has no partner.
        joined: the schema that ``residual`` sees.
        tick: the step.
        origin: what failed rows are said to come from.
        dropped: gets pairs whose condition failed; their rows do not come with NULLs for it.

    Returns:
        The result, or None if there is none.
    """
    failed = np.empty(0, np.int64)
    if residual is not None and len(outer):
        pairs = Delta(
            joined, [*mine.take(outer).columns, *take(inner)], None, mine.mark_array()[outer], len(outer)
        )  # fmt: skip
        _, kept, lost = surviving(residual, pairs, tick, origin, dropped)
        failed = outer[lost]
        outer, inner = outer[kept], inner[kept]
    if keep_all:
        lonely = np.ones(mine.length, np.bool_)
        lonely[outer] = False
        lonely[failed] = False
        alone = np.flatnonzero(lonely)
    else:
        alone = np.empty(0, np.int64)
    if not len(outer) and not len(alone):
        return None
    theirs = take(inner)
    if len(alone):
        nothing = [Column.nulls(c.type.with_nullable(True), 1) for c in theirs]
        theirs = [Column.concat([c.with_type(n.type), n]) for c, n in zip(theirs, nothing, strict=True)]
        place = np.concatenate([outer, alone])
        order = np.argsort(place, kind="stable")
        partner = np.concatenate([np.arange(len(outer)), np.full(len(alone), len(outer))])[order]
        outer, theirs = place[order], [c.take(partner) for c in theirs]
    rows = mine if len(outer) == mine.length and bool((outer == np.arange(len(outer))).all()) else mine.take(outer)
    columns = [c.with_type(t) for c, t in zip([*rows.columns, *theirs], schema.types, strict=True)]
    return Delta(schema, columns, rows.weights, rows.marks, rows.length)
