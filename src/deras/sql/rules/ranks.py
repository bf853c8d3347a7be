"""``WHERE rn <= n`` over ``ROW_NUMBER() OVER (…)``: Top-N, deduplication, and both in windows, as Flink finds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deras.core.errors import PlanError
from deras.core.schema import Field, Schema
from deras.sql.expr import nodes as e
from deras.sql.plan import nodes as p
from deras.sql.plan.over import Over
from deras.sql.plan.rank import Deduplicate, Rank, WindowRank

if TYPE_CHECKING:
    from deras.core.schema import TimeAttribute

_FUNCTIONS = frozenset({"ROW_NUMBER", "RANK", "DENSE_RANK"})
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}


@dataclass(slots=True)
class Range:
    """Which ranks a filter lets through, and what else it asks."""

    first: int
    last: int | None
    limit: int | None
    rest: list[e.Expr]


def ranks(rel: p.Rel) -> p.Rel:
    """A filter with an upper bound of a rank, over the node that ranks, to a node that keeps only what is shown."""
    if not isinstance(rel, p.Calc) or rel.predicate is None or not isinstance(rel.input, Over):
        return rel
    over = rel.input
    if len(over.calls) != 1 or over.calls[0].function not in _FUNCTIONS:
        return rel
    n = len(over.input.schema)
    found = _range(e.conjuncts(rel.predicate), n)
    if found is None:
        return rel
    if over.strict and over.calls[0].function != "ROW_NUMBER":
        place = over.place_of("call")
        raise PlanError(
            f"{over.calls[0].function}() on a stream is not Flink SQL",
            span=None if place is None else place.span,
            hint="Use ROW_NUMBER(), or RESET 'deras.strict-flink'.",
        )
    rank = over.schema[n]
    exprs = rel.exprs if rel.exprs is not None else tuple(e.InputRef(f.type, i) for i, f in enumerate(over.schema))
    if found.first == found.last:
        # There is only this rank: it need not be made.
        constant = e.Literal(rank.type, found.first)
        exprs = tuple(_constant(x, n, constant) for x in exprs)
        found.rest = [_constant(x, n, constant) for x in found.rest]
    made = _node(over, found, rank)
    return p.Calc(rel.schema, made, exprs, e.conjunction(found.rest))


def _constant(x: e.Expr, rank: int, value: e.Expr) -> e.Expr:
    return e.transform(x, lambda y: value if isinstance(y, e.InputRef) and y.index == rank else None)


def _range(terms: list[e.Expr], rank: int) -> Range | None:
    found = Range(1, None, None, [])
    for t in terms:
        if not _bound(t, rank, found):
            found.rest.append(t)
    return found if found.last is not None or found.limit is not None else None


def _bound(t: e.Expr, rank: int, found: Range) -> bool:
    """Whether a condition is a bound of the rank; then it is in ``found``."""
    if not isinstance(t, e.Call) or t.function.name not in _TURNED or len(t.args) != 2:
        return False
    op = t.function.name
    a, b = map(_bare, t.args)
    if isinstance(b, e.InputRef) and b.index == rank:
        a, b, op = b, a, _TURNED[op]
    if not isinstance(a, e.InputRef) or a.index != rank:
        return False
    if isinstance(b, e.InputRef) and b.index != rank and b.type.is_integer and op == "<=":
        if found.limit is not None or found.last is not None:
            return False
        found.limit = b.index
        return True
    if not isinstance(b, e.Literal) or not b.type.is_integer or b.value is None:
        return False
    value = int(b.value)
    if op in ("<", "<=", "=") and found.limit is not None:
        return False
    if op in ("<", "<="):
        last = value - 1 if op == "<" else value
        found.last = last if found.last is None else min(found.last, last)
    elif op in (">", ">="):
        found.first = max(found.first, value + 1 if op == ">" else value)
    else:
        found.first = max(found.first, value)
        found.last = value if found.last is None else min(found.last, value)
    return True


def _bare(x: e.Expr) -> e.Expr:
    """Without a cast between whole numbers."""
    if isinstance(x, e.Cast) and x.type.is_integer and x.arg.type.is_integer and x.type.bits >= x.arg.type.bits:
        return x.arg
    return x


def _node(over: Over, found: Range, rank: Field) -> p.Rel:
    schema = Schema(over.schema.fields)
    function = over.calls[0].function
    one = function == "ROW_NUMBER" and found.first == 1 and found.last == 1
    first_key = over.order[0] if len(over.order) == 1 else None
    time: TimeAttribute | None = None if first_key is None else over.input.schema[first_key.column].time
    append = over.input.append_only()
    window = _window(over) if append and found.last is not None else None
    if window is not None and found.last is not None:
        end, zone = window
        bounds = tuple(i for i in over.partition if i in over.input.window_bounds())
        partition = tuple(i for i in over.partition if i not in bounds)
        latest = one and time == "rowtime" and first_key is not None and first_key.descending
        return WindowRank(
            schema, over.input, end, bounds, partition, over.order, function, found.first, found.last, rank, zone,
            latest,
        )  # fmt: skip
    if one and append and time is not None and first_key is not None:
        keep: Literal["first", "last"] = "last" if first_key.descending else "first"
        made = Deduplicate(Schema(over.input.schema.fields), over.input, over.partition, first_key.column, keep)
        refs = [e.InputRef(f.type, i) for i, f in enumerate(made.schema)]
        return p.Calc(schema, made, (*refs, e.Literal(rank.type, 1)))
    return Rank(schema, over.input, over.partition, over.order, function, found.first, found.last, found.limit, rank)


def _window(over: Over) -> tuple[int, str | None] | None:
    """The column of the window's end and its zone, if the partition holds both bounds of an event-time window."""
    marks: dict[str, int] = {}
    zone: str | None = None
    for i in over.partition:
        if i in over.input.window_bounds():
            found = _bound_of(over.input, i)
            if found is None:
                return None
            mark, zone = found
            marks.setdefault(mark, i)
    return (marks["end"], zone) if "start" in marks and "end" in marks else None


def _bound_of(rel: p.Rel, i: int) -> tuple[str, str | None] | None:
    """Which bound of which event-time window a column is: start, end or time, and the zone."""
    while True:
        if isinstance(rel, p.Calc):
            if rel.exprs is not None:
                x = rel.exprs[i]
                if not isinstance(x, e.InputRef):
                    return None
                i = x.index
            rel = rel.input
        elif isinstance(rel, WindowRank) and i < len(rel.input.schema):
            rel = rel.input
        else:
            break
    time = getattr(rel, "time", None)
    zone = getattr(rel, "zone", None)
    if not isinstance(rel, p.Unary) or time is None:
        return None
    if isinstance(rel, p.WindowAggregate) or hasattr(rel, "window"):
        first = len(rel.schema) - len(rel.window)
        return (rel.window[i - first], zone) if i >= first else None
    first = len(rel.input.schema)
    return (("start", "end", "time")[i - first], zone) if i >= first else None
