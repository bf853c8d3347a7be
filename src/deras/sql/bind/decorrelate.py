"""Conditions that compare a subquery with the query around it are pulled to its top, where they become a join's.

The rewriting keeps the subquery's columns in their places and adds the columns that the conditions need behind them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import TYPE_CHECKING

from deras.core.schema import Field, Schema
from deras.sql.expr import nodes as e
from deras.sql.functions.operators import EQUALS
from deras.sql.plan import nodes as p
from deras.sql.plan.rank import Rank

if TYPE_CHECKING:
    from collections.abc import Iterator


def _expressions(rel: p.Rel) -> Iterator[e.Expr]:
    for f in dataclasses.fields(rel):
        v = getattr(rel, f.name)
        if isinstance(v, e.Expr):
            yield v
        elif isinstance(v, tuple):
            yield from (x for x in v if isinstance(x, e.Expr))


def _reads_outer(x: e.Expr) -> e.Outer | None:
    return next((y for y in x.walk() if isinstance(y, e.Outer)), None)


def correlated(rel: p.Rel) -> e.Outer | None:
    """A value of the query around that a plan reads, if it reads one."""
    for r in p.walk(rel):
        for x in _expressions(r):
            if (found := _reads_outer(x)) is not None:
                return found
    return None


def equality(t: e.Expr) -> int | None:
    """The subquery's column, if a pulled condition is ``outer = column``."""
    if not isinstance(t, e.Call) or (t.function is not EQUALS and t.function.name != "IS NOT DISTINCT FROM"):
        return None
    for a, b in (t.args, t.args[::-1]):
        if isinstance(b, e.InputRef) and not e.refs(a) and _reads_outer(a) is not None:
            return b.index
    return None


def pull(rel: p.Rel, at: e.Where | None) -> tuple[p.Rel, list[e.Expr]]:
    """The plan without its correlated conditions, and these over its columns and ``Outer``.

    Raises:
        PlanError: the query around is read in a place from which it cannot be pulled.
    """
    if correlated(rel) is None:
        return rel, []
    match rel:
        case p.Calc():
            return _calc(rel, at)
        case p.Join():
            return _join(rel, at)
        case p.Aggregate():
            return _aggregate(rel, at)
        case p.WindowTvf():
            return _window(rel, at)
        case Rank() if rel.limit is None:
            return _rank(rel, at)
    raise _refused(rel, at)


def _refused(rel: p.Rel, at: e.Where | None) -> Exception:
    from deras.sql.bind.expressions import not_yet

    found = correlated(rel)
    place = found.at if found is not None and found.at is not None else at
    return not_yet(
        f"a column of the query around inside {rel.describe().partition('(')[0]}",
        place.span if place is not None else None,  # type: ignore[arg-type]
        "Compare with it in WHERE of the subquery, or write the subquery as a join.",
    )


def _picked(rel: p.Rel, order: list[int]) -> p.Rel:
    if order == list(range(len(rel.schema))):
        return rel
    fields = tuple(rel.schema[i] for i in order)
    return p.Calc(Schema(fields), rel, tuple(e.InputRef(f.type, i) for i, f in zip(order, fields, strict=True)))


def _calc(rel: p.Calc, at: e.Where | None) -> tuple[p.Rel, list[e.Expr]]:
    below, terms = pull(rel.input, at)
    own = e.conjuncts(rel.predicate)
    mine = [t for t in own if _reads_outer(t) is not None]
    local = e.conjunction([t for t in own if _reads_outer(t) is None])
    terms = [*terms, *mine]
    exprs = list(rel.exprs) if rel.exprs is not None else [
        e.InputRef(f.type, i) for i, f in enumerate(rel.input.schema)
    ]  # fmt: skip
    if any(_reads_outer(x) is not None for x in exprs):
        raise _refused(rel, at)
    fields = list(rel.schema.fields)
    place: dict[int, int] = {x.index: i for i, x in reversed(list(enumerate(exprs))) if isinstance(x, e.InputRef)}
    for i in sorted({i for t in terms for i in e.refs(t)}):
        if i not in place:
            place[i] = len(exprs)
            fields.append(below.schema[i])
            exprs.append(e.InputRef(below.schema[i].type, i))
    made = p.Calc(Schema(tuple(fields), rel.schema.key), below, tuple(exprs), local)
    return made, [e.remap(t, lambda i: place[i]) for t in terms]


def _join(rel: p.Join, at: e.Where | None) -> tuple[p.Rel, list[e.Expr]]:
    if rel.kind not in ("INNER", "LEFT", "SEMI", "ANTI"):
        raise _refused(rel, at)
    own = e.conjuncts(rel.residual)
    mine = [t for t in own if _reads_outer(t) is not None]
    if rel.kind != "INNER" and (mine or correlated(rel.right) is not None):
        raise _refused(rel, at)
    left, left_terms = pull(rel.left, at)
    right, right_terms = pull(rel.right, at)
    n, m = len(rel.left.schema), len(rel.right.schema)
    wide, more = len(left.schema), len(right.schema)
    two = rel.kind in ("INNER", "LEFT")

    def moved(i: int) -> int:
        return i if i < n else i - n + wide

    residual = e.conjunction([e.remap(t, moved) for t in own if t not in mine])
    if two:
        fields = (*left.schema.fields, *right.schema.fields)
        kept = (*rel.schema.fields[:n], *fields[n:wide], *rel.schema.fields[n:], *fields[wide + m :])
        schema = Schema(tuple(kept))
    else:
        schema = Schema(tuple(f.without_time() for f in left.schema))
    joined = replace(rel, schema=schema, left=left, right=right, residual=residual)
    order = [*range(n)]
    if two:
        order += [*range(wide, wide + m), *range(n, wide), *range(wide + m, wide + more)]
    else:
        order += range(n, wide)
    place = {i: k for k, i in enumerate(order)}
    terms = [e.remap(t, lambda i: place[i]) for t in left_terms]
    terms += [e.remap(t, lambda i: place[i + wide]) for t in right_terms]
    terms += [e.remap(t, lambda i: place[moved(i)]) for t in mine]
    return _picked(joined, order), terms


def _aggregate(rel: p.Aggregate, at: e.Where | None) -> tuple[p.Rel, list[e.Expr]]:
    below, terms = pull(rel.input, at)
    columns: list[e.Expr] = [e.InputRef(f.type, i) for i, f in enumerate(below.schema)]
    added: list[int] = []  # columns below that become keys
    moved: list[e.Expr] = []
    n = len(rel.schema)

    def key(x: e.Expr) -> e.Expr:
        if x not in columns:
            columns.append(x)
        k = columns.index(x)
        if k not in added:
            added.append(k)
        return e.InputRef(x.type, n + added.index(k), at=x.at)

    for t in terms:
        if isinstance(t, e.Call) and (t.function is EQUALS or t.function.name == "IS NOT DISTINCT FROM"):
            a, b = t.args
            if not e.refs(a) and _reads_outer(b) is None:
                moved.append(replace(t, args=(a, key(b))))
                continue
            if not e.refs(b) and _reads_outer(a) is None:
                moved.append(replace(t, args=(key(a), b)))
                continue
        if rel.calls:
            raise _refused(rel, at)
        # Rows of which each kind is kept once may be told apart further: nobody counts them.
        moved.append(e.transform(t, lambda y: key(y) if isinstance(y, e.InputRef) else None))
    source: p.Rel = below
    if len(columns) > len(below.schema):
        fields = (*below.schema.fields, *(Field(f"$c{i}", x.type) for i, x in enumerate(columns[len(below.schema) :])))
        source = p.Calc(Schema(tuple(fields)), below, tuple(columns))
    k = len(rel.keys)
    key_fields = [*rel.schema.fields[:k], *(source.schema[i].without_time() for i in added)]
    schema = Schema((*key_fields, *rel.schema.fields[k:]), tuple(range(k + len(added))))
    made = p.Aggregate(schema, source, (*rel.keys, *added), rel.calls)
    more = len(added)
    return _picked(made, [*range(k), *range(k + more, n + more), *range(k, k + more)]), moved


def _rank(rel: Rank, at: e.Where | None) -> tuple[p.Rel, list[e.Expr]]:
    """The first rows for each row around are the first rows of each key that it is compared with."""
    below, terms = pull(rel.input, at)
    columns: list[e.Expr] = [e.InputRef(f.type, i) for i, f in enumerate(below.schema)]
    keys: list[int] = []
    moved: list[e.Expr] = []
    n = len(rel.schema)
    ranked = n - len(rel.input.schema)  # 1 with the rank's column, else 0

    def key(x: e.Expr) -> e.Expr:
        if x not in columns:
            columns.append(x)
        k = columns.index(x)
        if k not in keys:
            keys.append(k)
        place = k if k < n - ranked else k + ranked
        return e.InputRef(x.type, place, at=x.at)

    for t in terms:
        if not isinstance(t, e.Call) or (t.function is not EQUALS and t.function.name != "IS NOT DISTINCT FROM"):
            raise _refused(rel, at)
        a, b = t.args
        if not e.refs(a) and _reads_outer(b) is None:
            moved.append(replace(t, args=(a, key(b))))
        elif not e.refs(b) and _reads_outer(a) is None:
            moved.append(replace(t, args=(key(a), b)))
        else:
            raise _refused(rel, at)
    source: p.Rel = below
    if len(columns) > len(below.schema):
        fields = (*below.schema.fields, *(Field(f"$c{i}", x.type) for i, x in enumerate(columns[len(below.schema) :])))
        source = p.Calc(Schema(tuple(fields)), below, tuple(columns))
    shown = (*source.schema.fields, *rel.schema.fields[n - ranked :])
    made = replace(rel, schema=Schema(shown), input=source, partition=(*rel.partition, *keys))
    width = len(source.schema)
    order = [*range(n - ranked), *range(width, width + ranked), *range(n - ranked, width)]
    return _picked(made, order), moved


def _window(rel: p.WindowTvf, at: e.Where | None) -> tuple[p.Rel, list[e.Expr]]:
    below, terms = pull(rel.input, at)
    n, wide = len(rel.input.schema), len(below.schema)
    bounds = rel.schema.fields[n:]
    made = replace(rel, schema=Schema((*below.schema.fields, *bounds)), input=below)
    order = [*range(n), *range(wide, wide + len(bounds)), *range(n, wide)]
    place = {i: k for k, i in enumerate(order)}
    return _picked(made, order), [e.remap(t, lambda i: place[i]) for t in terms]
