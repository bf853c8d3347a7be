"""Rows of windows that are joined with the greatest value of their window: those that are surpassed go no further.

Rows of X meet MAX(v) of X by window, where v is to be not less than it, or equal. When a row before had a greater v in
the same window, a row never has a partner. So it is with MIN.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from deras.core.types import Layout
from deras.sql.expr import nodes as e
from deras.sql.expr.analysis import movable
from deras.sql.plan import nodes as p
from deras.sql.plan.expiring import CandidateFilter
from deras.sql.plan.reuse import reusable
from deras.sql.plan.windowed import window_bound

FUNCTIONS: tuple[Literal["MAX", "MIN"], ...] = ("MAX", "MIN")
_NOT_WORSE = {("MAX", ">="), ("MAX", "="), ("MIN", "<="), ("MIN", "=")}
_TURNED = {">=": "<=", "<=": ">=", "=": "="}


@dataclass(slots=True)
class _Extreme:
    """The extremes of the windows of a plan.

    Args:
        source: the plan.
        value: its column.
        time: its column with the last millisecond of the window.
        function: MAX or MIN.
        columns: what each column of the result is of a row that has the extreme; None: nothing of it.
        at: which column of the result is the extreme.
    """

    source: p.Rel
    value: int
    time: int
    function: Literal["MAX", "MIN"]
    columns: list[e.Expr | None]
    at: int


def window_candidates(rel: p.WindowJoin) -> p.WindowJoin:
    """The join with filters before it, if it is of that form. After pruning: equal subplans are equal then."""
    if rel.kind != "INNER":
        return rel
    sides = list(rel.inputs())
    for side in (0, 1):
        sides[side] = _filtered(rel, side) or sides[side]
    return rel if sides == list(rel.inputs()) else replace(rel, left=sides[0], right=sides[1])


def _filtered(rel: p.WindowJoin, side: int) -> p.Rel | None:
    """A side without rows that are surpassed, where the other has the extremes of their windows."""
    own, other = (rel.left, rel.right) if side == 0 else (rel.right, rel.left)
    extreme = _extreme(other)
    if extreme is None:
        return None
    below, columns, _ = opened(own)
    if below.normal() != extreme.source.normal() or not reusable(below) or not below.append_only():
        return None
    n = len(rel.left.schema)
    first, others = (0, n) if side == 0 else (n, 0)
    value = e.InputRef(below.schema[extreme.value].type, extreme.value)
    same_window = asked = False
    for a, b, safe in zip(rel.left_keys, rel.right_keys, rel.safe, strict=True):
        mine, theirs = (a, b) if side == 0 else (b, a)
        if theirs == extreme.at:
            asked = asked or (columns[mine] == value and not safe)
        elif columns[mine] == extreme.columns[theirs]:
            x = columns[mine]
            same_window = same_window or (isinstance(x, e.InputRef) and mark_of(below, x.index) == "end")
    for t in e.conjuncts(rel.residual):
        if isinstance(t, e.Call) and t.function.name in _TURNED and len(t.args) == 2:
            a_, b_, op = *t.args, t.function.name
            if isinstance(a_, e.InputRef) and a_.index == others + extreme.at:
                a_, b_, op = b_, a_, _TURNED[op]
            if isinstance(a_, e.InputRef) and b_ == e.InputRef(b_.type, others + extreme.at):
                mine = a_.index - first
                is_value = 0 <= mine < len(columns) and columns[mine] == value
                asked = asked or (is_value and (extreme.function, op) in _NOT_WORSE)
    if not same_window or not asked:
        return None
    made = CandidateFilter(
        below.schema, below, extreme.value, extreme.time, extreme.function, "attached", 1, 1, 0, 1, 1
    )
    return replace(own, input=made) if isinstance(own, p.Calc) else made


def _extreme(rel: p.Rel) -> _Extreme | None:
    """The extremes that a plan gives, a row a window, if it does nothing else."""
    made, outer, _ = opened(rel)
    if (
        not isinstance(made, p.WindowAggregate)
        or made.kind != "attached"
        or made.time is None
        or made.early is not None
    ):
        return None
    source, inside, filters = opened(made.input)
    time = inside[made.time]
    if filters or not isinstance(time, e.InputRef) or mark_of(source, time.index) != "time":
        return None
    # All rows of a window are of one group: its bounds are all that is grouped by.
    keys = [inside[k] for k in made.keys]
    if not all(isinstance(x, e.InputRef) and mark_of(source, x.index) in ("start", "end") for x in keys):
        return None
    if not all(map(movable, inside)):
        return None
    for k, call in enumerate(made.calls):
        if call.arg is None or call.filter is not None or call.user is not None:
            continue
        value = inside[call.arg]
        at = [i for i, x in enumerate(outer) if isinstance(x, e.InputRef) and x.index == len(keys) + k]
        if not at or not isinstance(value, e.InputRef) or value.type.layout is not Layout.WORDS:
            continue
        places = {mark_of(source, i): i for i in source.window_bounds()}
        marks = [
            e.InputRef(source.schema[i].type, i) if (i := places.get(w)) is not None else None for w in made.window
        ]
        below: list[e.Expr | None] = [*keys, *(value if c is call else None for c in made.calls), *marks]
        columns = [below[x.index] if isinstance(x, e.InputRef) else None for x in outer]
        for function in FUNCTIONS:
            if call.function == function:
                return _Extreme(source, value.index, time.index, function, columns, at[0])
    return None


def mark_of(rel: p.Rel, i: int) -> str | None:
    """Which bound of its window a column is."""
    bound = window_bound(rel, i)
    return None if bound is None else bound.mark


def opened(rel: p.Rel) -> tuple[p.Rel, list[e.Expr], list[e.Expr]]:
    """What is below a projection and filter, what each column is of it, and the filter's terms."""
    if isinstance(rel, p.Calc):
        refs = tuple(e.InputRef(f.type, i) for i, f in enumerate(rel.schema)) if rel.exprs is None else rel.exprs
        return rel.input, list(refs), e.conjuncts(rel.predicate)
    return rel, [e.InputRef(f.type, i) for i, f in enumerate(rel.schema)], []
