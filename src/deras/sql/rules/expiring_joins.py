"""A join with the results of windows, on a condition between their bounds and a time, forgets the rows of that time.

The result of a window comes once, when the watermark passes its end. So a row waits only as long as windows may come
that its time lets it meet; one that comes later meets the results that are there, and is not kept.

If the results are an extreme of the same rows, and the join wants it equal to a value of the row, a row whose value is
surpassed in all windows that it may meet never has a partner: it does not get as far as the join.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from deras.core.types import Kind, Layout
from deras.sql.expr import nodes as e
from deras.sql.expr.analysis import movable
from deras.sql.plan import nodes as p
from deras.sql.plan.expiring import CandidateFilter, ExpiringJoin
from deras.sql.plan.reuse import reusable
from deras.sql.plan.windowed import WindowBound, window_bound
from deras.sql.rules.interval_joins import TURNED, linear
from deras.sql.rules.window_extremes import FUNCTIONS, opened, window_candidates

if TYPE_CHECKING:
    from deras.core.types import SqlType

_MOST_WINDOWS = 16
"""Of more windows that a row may meet or is in the filter would cost more than it saves."""


@dataclass(slots=True)
class _Reach:
    """How far the ends of windows that a row can meet are from its time, ms."""

    low: int | None = None
    high: int | None = None


def expiring_joins(rel: p.Rel) -> p.Rel:
    """The plan with expiring joins.

    Args:
        rel: the plan after all other rules, with its TTLs.
    """
    done: dict[int, p.Rel] = {}

    def visit(r: p.Rel) -> p.Rel:
        found = done.get(id(r))
        if found is None:
            inputs = r.inputs()
            new = tuple(map(visit, inputs))
            found = r if all(a is b for a, b in zip(new, inputs, strict=True)) else r.rebuild(new)
            if type(found) is p.Join:
                found = expiring_join(found) or found
            elif type(found) is p.WindowJoin:
                found = window_candidates(found)
            done[id(r)] = found
        return found

    return visit(rel)


def expiring_join(rel: p.Join) -> ExpiringJoin | None:
    """The join as one that forgets; None if it is none."""
    if rel.kind != "INNER" or any(rel.ttl) or not rel.append_only():
        return None
    n = len(rel.left.schema)
    for side in (0, 1):
        own, other = (rel.left, rel.right) if side == 0 else (rel.right, rel.left)
        first, others = (0, n) if side == 0 else (n, 0)
        reaches: dict[int, _Reach] = {}
        if _results(other) is None:
            continue
        for t in e.conjuncts(rel.residual):
            _note(t, own, other, first, others, reaches)
        for time, reach in reaches.items():
            if reach.high is None:
                continue
            sides = [rel.left, rel.right]
            sides[side] = _candidates(rel, side, time, reach) or own
            held = {f.name: getattr(rel, f.name) for f in fields(rel)} | {"left": sides[0], "right": sides[1]}
            return ExpiringJoin(**held, expiring=side, time=time, reach=reach.high)
    return None


def _results(rel: p.Rel) -> p.WindowAggregate | None:
    """The aggregate of which a plan gives the final results of windows, as they end."""
    while isinstance(rel, p.Calc):
        rel = rel.input
    plain = isinstance(rel, p.WindowAggregate) and rel.time is not None and rel.early is None and rel.zone is None
    return rel if plain else None  # type: ignore[return-value]


def _note(t: e.Expr, own: p.Rel, other: p.Rel, first: int, others: int, reaches: dict[int, _Reach]) -> None:
    """What a condition says about the ends of windows."""
    if not isinstance(t, e.Call) or t.function.name not in TURNED or len(t.args) != 2:
        return
    x, y = linear(t.args[0]), linear(t.args[1])
    if x is None or y is None:
        return
    op = t.function.name
    if not 0 <= x[0] - first < len(own.schema):
        x, y, op = y, x, TURNED[op]
    (i, more_x), (j, more_y) = (x[0] - first, x[1]), (y[0] - others, y[1])
    if not (0 <= i < len(own.schema) and 0 <= j < len(other.schema)):
        return
    types = own.schema[i].type, other.schema[j].type
    bound = window_bound(other, j)
    if bound is None or bound.zone is not None or not all(map(_plain, types)):
        return
    # time + more_x op bound + more_y, so bound - time is compared with d the other way round.
    d = more_x - more_y
    least, most = _before_end(bound)
    reach = reaches.setdefault(i, _Reach())
    if op in ("<", "<=", "="):
        low = d + (op == "<") + least
        reach.low = low if reach.low is None else max(reach.low, low)
    if op in (">", ">=", "="):
        high = d - (op == ">") + most
        reach.high = high if reach.high is None else min(reach.high, high)


def _plain(type_: SqlType) -> bool:
    return type_.kind is Kind.TIMESTAMP and type_.precision <= 3


def _before_end(bound: WindowBound) -> tuple[int, int]:
    """How far a bound of a window is from its end, at least and at most, ms."""
    if bound.mark == "end":
        return 0, 0
    if bound.mark == "time":
        return 1, 1
    return (bound.slide if bound.kind == "cumulate" else bound.size), bound.size


# ---------------------------------------------------------------- extremes


def _candidates(rel: p.Join, side: int, time: int, reach: _Reach) -> CandidateFilter | None:
    """The rows of a side that may have partners, where an extreme of these same rows is asked for."""
    own, other = (rel.left, rel.right) if side == 0 else (rel.right, rel.left)
    keys = (rel.left_keys, rel.right_keys) if side == 0 else (rel.right_keys, rel.left_keys)
    window = _results(other)
    if window is None or window.keys or window.kind not in ("tumble", "hop", "cumulate") or window.time is None:
        return None
    step = window.size if window.kind == "tumble" else window.slide
    most = _MOST_WINDOWS * step
    if reach.low is None or reach.high is None or reach.high - reach.low > most or window.size > most:
        return None
    below, columns, terms = opened(own)
    source, inside, filters = opened(window.input)
    # Every row of the side is one of the aggregate's, so that what it surpasses the aggregate surpasses.
    if below.normal() != source.normal() or not reusable(below) or not all(t in terms for t in filters):
        return None
    if not all(map(movable, [*inside, *filters])) or columns[time] != inside[window.time]:
        return None
    for mine, theirs, safe in zip(*keys, rel.safe, strict=True):
        place = _column(other, theirs)
        if safe or place is None or not 0 <= place < len(window.calls):
            continue
        call = window.calls[place]
        function = next((f for f in FUNCTIONS if f == call.function), None)
        if function is None or call.filter is not None or call.arg is None or call.user is not None:
            continue
        if columns[mine] == inside[call.arg] and own.schema[mine].type.layout is Layout.WORDS:
            return CandidateFilter(
                own.schema, own, mine, time, function, window.kind, window.size, window.slide, window.offset,
                reach.low, reach.high,
            )  # fmt: skip
    return None


def _column(rel: p.Rel, i: int) -> int | None:
    """Which column of the aggregate below projections a column is."""
    while isinstance(rel, p.Calc):
        if rel.exprs is not None:
            x = rel.exprs[i]
            if not isinstance(x, e.InputRef):
                return None
            i = x.index
        rel = rel.input
    return i
