"""Columns that nobody reads are not carried: not decoded, not kept in joins, not multiplied by hops."""

from __future__ import annotations

from dataclasses import replace

from deras.core.schema import Schema
from deras.sql.expr import nodes as e
from deras.sql.plan import nodes as p

Place = dict[int, int]


def prune_columns(rel: p.Rel) -> p.Rel:
    """The same result with less underway."""
    made, place = _prune(rel, set(range(len(rel.schema))))
    return made if all(place[i] == i for i in range(len(rel.schema))) else _project(made, rel.schema, place)


def _project(made: p.Rel, schema: Schema, place: Place) -> p.Rel:
    return p.Calc(schema, made, tuple(e.InputRef(f.type, place[i]) for i, f in enumerate(schema)))


def _narrow(rel: p.Rel, needed: set[int]) -> tuple[p.Rel, Place]:
    """Pruned, and without any column that is not needed."""
    made, place = _prune(rel, needed)
    wanted = sorted(needed)
    if len(made.schema) == len(wanted):
        return made, place
    fields = tuple(made.schema[place[i]] for i in wanted)
    exprs = tuple(e.InputRef(f.type, place[i]) for f, i in zip(fields, wanted, strict=True))
    return p.Calc(Schema(fields), made, exprs), {i: k for k, i in enumerate(wanted)}


def _move(x: e.Expr, place: Place) -> e.Expr:
    return e.remap(x, lambda i: place[i])


def _prune(rel: p.Rel, needed: set[int]) -> tuple[p.Rel, Place]:
    same = {i: i for i in range(len(rel.schema))}
    match rel:
        case p.Calc():
            return _calc(rel, needed)
        case p.Scan():
            used = set(needed)
            if rel.watermark is not None:
                used |= e.refs(rel.watermark)
            if rel.rowtime is not None:
                used.add(rel.rowtime)
            if rel.computed is not None:
                used |= e.refs(rel.computed)
            return replace(rel, used=tuple(sorted(used))), same
        case p.Aggregate():
            return _aggregate(rel, needed)
        case p.WindowAggregate():
            return _window_aggregate(rel, needed)
        case p.WindowTvf():
            return _tvf(rel, needed)
        case p.Join():
            return _join(rel, needed)
        case p.Union():
            return _union(rel, needed)
        case p.Detect():
            n = len(rel.input.schema)
            below = {i for i in needed if i < n} | set(rel.keys) | {rel.time, rel.value}
            made, place = _prune(rel.input, below)
            width = len(made.schema)
            schema = Schema((*made.schema.fields, *rel.schema.fields[n:]))
            keys = tuple(place[k] for k in rel.keys)
            found = replace(rel, schema=schema, input=made, keys=keys, time=place[rel.time], value=place[rel.value])
            return found, place | {n + i: width + i for i in range(len(rel.schema) - n)}
        case p.Limit():
            made, place = _prune(rel.input, needed)
            return replace(rel, schema=made.schema, input=made), place
    return rel, same


def _calc(rel: p.Calc, needed: set[int]) -> tuple[p.Rel, Place]:
    tested = set() if rel.predicate is None else e.refs(rel.predicate)
    if rel.exprs is None:
        made, place = _prune(rel.input, needed | tested)
        kept = sorted(needed)
        predicate = None if rel.predicate is None else _move(rel.predicate, place)
        fields = tuple(rel.schema[i] for i in kept)
        exprs: tuple[e.Expr, ...] = tuple(e.InputRef(f.type, place[i]) for f, i in zip(fields, kept, strict=True))
        return p.Calc(Schema(fields), made, exprs, predicate), {i: k for k, i in enumerate(kept)}
    kept = sorted(needed)
    exprs = tuple(rel.exprs[i] for i in kept)
    used = tested.union(*(e.refs(x) for x in exprs))
    made, place = _prune(rel.input, used)
    predicate = None if rel.predicate is None else _move(rel.predicate, place)
    schema = rel.schema.select(kept)
    return p.Calc(schema, made, tuple(_move(x, place) for x in exprs), predicate), {i: k for k, i in enumerate(kept)}


def _calls(calls: tuple[p.AggCall, ...], place: Place) -> tuple[p.AggCall, ...]:
    return tuple(
        replace(c, arg=None if c.arg is None else place[c.arg], filter=None if c.filter is None else place[c.filter])
        for c in calls
    )


def _called(calls: tuple[p.AggCall, ...]) -> set[int]:
    return {i for c in calls for i in (c.arg, c.filter) if i is not None}


def _aggregate(rel: p.Aggregate, needed: set[int]) -> tuple[p.Rel, Place]:
    n = len(rel.keys)
    kept = [i for i in range(len(rel.calls)) if n + i in needed]
    calls = tuple(rel.calls[i] for i in kept)
    made, place = _prune(rel.input, set(rel.keys) | _called(calls))
    positions = [*range(n), *(n + i for i in kept)]
    schema = rel.schema.select(positions)
    found = p.Aggregate(schema, made, tuple(place[k] for k in rel.keys), _calls(calls, place))
    return found, {i: k for k, i in enumerate(positions)}


def _window_aggregate(rel: p.WindowAggregate, needed: set[int]) -> tuple[p.Rel, Place]:
    n = len(rel.keys)
    first = n + len(rel.calls)
    kept = [i for i in range(len(rel.calls)) if n + i in needed]
    calls = tuple(rel.calls[i] for i in kept)
    marks = [i for i in range(len(rel.window)) if first + i in needed]
    used = set(rel.keys) | _called(calls) | (set() if rel.time is None else {rel.time})
    made, place = _prune(rel.input, used)
    positions = [*range(n), *(n + i for i in kept), *(first + i for i in marks)]
    found = replace(
        rel,
        schema=rel.schema.select(positions),
        input=made,
        time=None if rel.time is None else place[rel.time],
        keys=tuple(place[k] for k in rel.keys),
        calls=_calls(calls, place),
        window=tuple(rel.window[i] for i in marks),
    )
    return found, {i: k for k, i in enumerate(positions)}


def _tvf(rel: p.WindowTvf, needed: set[int]) -> tuple[p.Rel, Place]:
    n = len(rel.input.schema)
    below = {i for i in needed if i < n} | (set() if rel.time is None else {rel.time})
    made, place = (_narrow if rel.kind != "tumble" else _prune)(rel.input, below)
    width = len(made.schema)
    schema = Schema((*made.schema.fields, *rel.schema.fields[n:]))
    found = replace(rel, schema=schema, input=made, time=None if rel.time is None else place[rel.time])
    return found, place | {n + i: width + i for i in range(3)}


def _join(rel: p.Join, needed: set[int]) -> tuple[p.Rel, Place]:
    n = len(rel.left.schema)
    used = set(needed) if rel.residual is None else needed | e.refs(rel.residual)
    left, left_place = _narrow(rel.left, {i for i in used if i < n} | set(rel.left_keys))
    right, right_place = _narrow(rel.right, {i - n for i in used if i >= n} | set(rel.right_keys))
    width = len(left.schema)
    place = {i: k for i, k in left_place.items() if i < n} | {n + i: width + k for i, k in right_place.items()}
    schema = Schema(tuple(f.without_time() for f in (*left.schema, *right.schema)))
    found = p.Join(
        schema,
        left,
        right,
        rel.kind,
        tuple(left_place[k] for k in rel.left_keys),
        tuple(right_place[k] for k in rel.right_keys),
        None if rel.residual is None else _move(rel.residual, place),
    )
    return found, place


def _union(rel: p.Union, needed: set[int]) -> tuple[p.Rel, Place]:
    wanted = sorted(needed)
    parts = []
    for part in rel.parts:
        made, place = _narrow(part, needed)
        if [place[i] for i in wanted] != list(range(len(wanted))):
            fields = tuple(part.schema[i] for i in wanted)
            made = p.Calc(
                Schema(fields), made, tuple(e.InputRef(f.type, place[i]) for f, i in zip(fields, wanted, strict=True))
            )
        parts.append(made)
    return p.Union(rel.schema.select(wanted), tuple(parts)), {i: k for k, i in enumerate(wanted)}
