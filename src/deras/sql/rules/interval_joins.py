"""A join whose time attributes are bounded on both sides forgets rows: it becomes an interval join."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deras.core.types import Kind
from deras.sql.expr import nodes as e
from deras.sql.expr.analysis import movable
from deras.sql.plan import nodes as p
from deras.sql.plan.rank import Deduplicate
from deras.sql.plan.time_joins import Bounded, IntervalJoin, TemporalJoin, joined_schema

if TYPE_CHECKING:
    from deras.core.schema import Schema

TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}
KINDS = ("INNER", "LEFT", "RIGHT", "FULL")


@dataclass(slots=True)
class _Bounds:
    """What is known of right time minus left time, ms, and which conditions say so."""

    low: int | None
    high: int | None
    terms: list[e.Expr]


def interval_joins(rel: p.Rel) -> p.Rel:
    """Rewrite a join of insert-only inputs; the schema stays, so that it can be a rule."""
    if isinstance(rel, p.Calc):
        return _filtered(rel)
    if isinstance(rel, TemporalJoin):
        return _history(rel)
    made = interval_join(rel) if isinstance(rel, p.Join) else None
    if made is None:
        return rel
    return IntervalJoin(
        rel.schema, made.left, made.right, made.kind, made.left_keys, made.right_keys, made.left_time,
        made.right_time, made.residual, made.low, made.high,
    )  # fmt: skip


def interval_join(rel: p.Join) -> IntervalJoin | None:
    """The interval join that a join with keys is, with the time attributes of both sides; None if it is not one."""
    if type(rel) is not p.Join or rel.kind not in KINDS or any(rel.null_safe):
        return None
    left, right = rel.left.schema, rel.right.schema
    n = len(left)
    terms = e.conjuncts(rel.residual)
    found: dict[tuple[int, int], _Bounds] = {}
    for t in terms:
        bound = _bound(t, left, right, n)
        if bound is not None:
            pair, low, high = bound
            _note(found.setdefault(pair, _Bounds(None, None, [])), low, high).terms.append(t)
    for a, b in zip(rel.left_keys, rel.right_keys, strict=True):
        if left[a].time is not None and left[a].time == right[b].time:
            _note(found.setdefault((a, b), _Bounds(None, None, [])), 0, 0)
    for (a, b), bounds in found.items():
        if bounds.low is None or bounds.high is None:
            continue
        if not (rel.left.append_only() and rel.right.append_only()):
            return None
        rest = [t for t in terms if not any(t is x for x in bounds.terms)]
        keys = [(i, j) for i, j in zip(rel.left_keys, rel.right_keys, strict=True) if (i, j) != (a, b)]
        event = left[a].time == "rowtime"
        return IntervalJoin(
            joined_schema(left, right, rel.kind, keep_right=True),
            rel.left,
            rel.right,
            rel.kind,
            tuple(i for i, _ in keys),
            tuple(j for _, j in keys),
            a if event else None,
            b if event else None,
            e.conjunction(rest),
            bounds.low,
            bounds.high,
        )
    return None


def _filtered(rel: p.Calc) -> p.Rel:
    """Conditions above a join bounded in time about one of its sides go below it, where that side is never padded.

    Below a join with versions only those about the left: a filtered version would let an older one shine through.
    """
    join = rel.input
    if rel.predicate is None or not isinstance(join, Bounded):
        return rel
    n = len(join.left.schema)
    left: list[e.Expr] = []
    right: list[e.Expr] = []
    stay: list[e.Expr] = []
    for t in e.conjuncts(rel.predicate):
        used = e.refs(t)
        if used and join.kind in ("INNER", "LEFT") and max(used) < n and movable(t):
            left.append(t)
        elif (
            used
            and isinstance(join, IntervalJoin)
            and join.kind in ("INNER", "RIGHT")
            and min(used) >= n
            and movable(t)
        ):
            right.append(e.shift(t, -n))
        else:
            stay.append(t)
    if not left and not right:
        return rel
    made = join.rebuild((_filter(join.left, left), _filter(join.right, right)))
    return p.Calc(rel.schema, made, rel.exprs, e.conjunction(stay))


def _history(rel: TemporalJoin) -> p.Rel:
    """The versions of a view of the latest rows are the rows below it, so none is lost that a step replaces."""
    assert rel.right_time is not None  # noqa: S101
    calcs: list[p.Calc] = []
    below = rel.right
    columns = [*rel.right_keys, rel.right_time]
    while isinstance(below, p.Calc) and below.predicate is None:
        if below.exprs is not None:
            exprs = [below.exprs[i] for i in columns]
            columns = [x.index for x in exprs if isinstance(x, e.InputRef)]
            if len(columns) < len(exprs):
                return rel
        calcs.append(below)
        below = below.input
    if not isinstance(below, Deduplicate) or below.keep != "last" or below.time != columns[-1]:
        return rel
    if set(below.partition) != set(columns[:-1]):
        return rel
    made = below.input
    for c in reversed(calcs):
        made = replace(c, input=made)
    return replace(rel, right=made, newest=True)


def _filter(rel: p.Rel, terms: list[e.Expr]) -> p.Rel:
    predicate = e.conjunction(terms)
    return rel if predicate is None else p.Calc(rel.schema, rel, None, predicate)


def _note(bounds: _Bounds, low: int | None, high: int | None) -> _Bounds:
    if low is not None:
        bounds.low = low if bounds.low is None else max(bounds.low, low)
    if high is not None:
        bounds.high = high if bounds.high is None else min(bounds.high, high)
    return bounds


def _bound(t: e.Expr, left: Schema, right: Schema, n: int) -> tuple[tuple[int, int], int | None, int | None] | None:
    """``(left time, right time), low, high`` of a comparison between time attributes of the two sides."""
    if not isinstance(t, e.Call) or t.function.name not in TURNED or len(t.args) != 2:
        return None
    x, y = linear(t.args[0]), linear(t.args[1])
    if x is None or y is None:
        return None
    op = t.function.name
    (i, more_x), (j, more_y) = x, y
    if i >= n > j:
        (i, more_x), (j, more_y), op = (j, more_y), (i, more_x), TURNED[op]
    if not i < n <= j:
        return None
    j -= n
    if left[i].time is None or left[i].time != right[j].time or left[i].type.kind is not right[j].type.kind:
        return None
    # left + more_x op right + more_y, so right - left is compared with d the other way round.
    d = more_x - more_y
    match op:
        case "<=":
            return (i, j), d, None
        case "<":
            return (i, j), d + 1, None
        case ">=":
            return (i, j), None, d
        case ">":
            return (i, j), None, d - 1
    return (i, j), d, d


def linear(x: e.Expr) -> tuple[int, int] | None:
    """A column plus milliseconds."""
    if isinstance(x, e.InputRef):
        return x.index, 0
    if isinstance(x, e.Cast) and isinstance(x.arg, e.InputRef):
        same = x.type.kind is x.arg.type.kind and x.type.precision >= x.arg.type.precision
        return (x.arg.index, 0) if same and x.type.is_timestamp else None
    if isinstance(x, e.Call) and x.function.name in ("+", "-") and len(x.args) == 2:
        a, b = x.args
        if x.function.name == "+" and isinstance(a, e.Literal):
            a, b = b, a
        inner = linear(a)
        if inner is None or not isinstance(b, e.Literal) or b.value is None or b.type.kind is not Kind.INTERVAL_DAY:
            return None
        sign = 1 if x.function.name == "+" else -1
        return inner[0], inner[1] + sign * int(b.value)
    return None
