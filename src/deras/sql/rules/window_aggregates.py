"""GROUP BY window_start, window_end over a window function: final rows, and state that goes with its window."""

from __future__ import annotations

from dataclasses import replace

from deras.core.schema import Field, Schema
from deras.sql.expr import nodes as e
from deras.sql.plan import nodes as p
from deras.sql.plan.aggregates import called

_NAMES = ("start", "end", "time")


def window_aggregates(rel: p.Rel) -> p.Rel:
    """Aggregate over (Calc over) rows with windows to one aggregate per window, if both of its bounds are grouped.

    Straight over a window function the windows are made in the aggregate. Rows that have their window already (of an
    aggregate, of a session with other keys, or because something else asks for the bounds) are grouped by what they
    have, and a group is final when the watermark has reached the last millisecond of its window.
    """
    if not isinstance(rel, p.Aggregate):
        return rel
    calc = rel.input if isinstance(rel.input, p.Calc) else None
    below = calc.input if calc is not None else rel.input
    columns: list[e.Expr] = (
        list(calc.exprs)
        if calc is not None and calc.exprs is not None
        else [e.InputRef(f.type, i) for i, f in enumerate(below.schema)]
    )
    if isinstance(below, (p.WindowTvf, p.SessionTvf, p.SlidingTvf)):
        n = len(below.input.schema)
        marks = {n: "start", n + 1: "end", n + 2: "time"}
    elif isinstance(below, (p.WindowAggregate, p.SessionAggregate)):
        first = len(below.keys) + len(below.calls)
        marks = {first + i: w for i, w in enumerate(below.window)}
    else:
        return rel
    named: dict[int, str] = {}
    for k in rel.keys:
        x = columns[k]
        if isinstance(x, e.InputRef) and x.index in marks:
            named[k] = marks[x.index]
    if not {"start", "end"} <= set(named.values()):
        return rel
    terms = e.conjuncts(calc.predicate if calc is not None else None)
    if isinstance(below, (p.WindowAggregate, p.SessionAggregate)):
        return _attached(rel, below, columns, terms, named)
    if isinstance(below, p.SlidingTvf):
        return _attached(rel, below, columns, terms, named)
    # Conditions on the window alone are asked of the result: the bounds are columns of it.
    after = [t for t in terms if e.refs(t) and e.refs(t) <= set(marks)]
    before = [t for t in terms if t not in after]
    plain = [i for i in range(len(columns)) if i not in named]
    inside = any(e.refs(x) & set(marks) for x in [columns[i] for i in plain] + before)
    if inside or called(rel.calls) & set(named):
        return _attached(rel, below, columns, terms, named)
    if isinstance(below, p.SessionTvf):
        keys = {columns[k] for k in rel.keys if k not in named}
        own = None if below.keys is None else {e.InputRef(below.schema[k].type, k) for k in below.keys}
        if before or (own is not None and keys != own):
            return _attached(rel, below, columns, terms, named)
    elif below.kind == "hop" and below.size % below.slide:
        return _attached(rel, below, columns, terms, named)
    return _fresh(rel, below, columns, before, after, named, marks)


def _fresh(
    rel: p.Aggregate,
    tvf: p.WindowTvf | p.SessionTvf,
    columns: list[e.Expr],
    before: list[e.Expr],
    after: list[e.Expr],
    named: dict[int, str],
    marks: dict[int, str],
) -> p.Rel:
    plain = [i for i in range(len(columns)) if i not in named]
    time = tvf.time
    exprs = [columns[i] for i in plain]
    place = {i: k for k, i in enumerate(plain)}
    if time is not None:
        ref = e.InputRef(tvf.input.schema[time].type, time)
        time = exprs.index(ref) if ref in exprs else len(exprs)
        if time == len(exprs):
            exprs.append(ref)
    fields = tuple(_field(tvf.input.schema, x, f"${k}") for k, x in enumerate(exprs))
    source = p.Calc(Schema(fields), tvf.input, tuple(exprs), e.conjunction(before))
    keys = tuple(place[k] for k in rel.keys if k not in named)
    calls = tuple(c.moved(place) for c in rel.calls)
    # All bounds, whoever reads them: two uses of one aggregate are equal then. Pruning takes away what nobody reads.
    window = _NAMES
    bounds = {w: tvf.schema[len(tvf.input.schema) + _NAMES.index(w)] for w in _NAMES}
    return _finish(rel, source, tvf, time, keys, calls, window, bounds, named, _renamed(after, marks))


def _renamed(after: list[e.Expr], marks: dict[int, str]) -> list[tuple[e.Expr, dict[int, str]]]:
    return [(t, {i: marks[i] for i in e.refs(t)}) for t in after]


def _field(schema: Schema, x: e.Expr, name: str) -> Field:
    return schema[x.index] if isinstance(x, e.InputRef) else Field(name, x.type)


def _finish(
    rel: p.Aggregate,
    source: p.Rel,
    like: p.WindowTvf | p.SessionTvf,
    time: int | None,
    keys: tuple[int, ...],
    calls: tuple[p.AggCall, ...],
    window: tuple[str, ...],
    bounds: dict[str, Field],
    named: dict[int, str],
    after: list[tuple[e.Expr, dict[int, str]]],
) -> p.Rel:
    fields = [source.schema[k] for k in keys]
    fields += [rel.schema[len(rel.keys) + i] for i in range(len(calls))]
    first = len(fields)
    fields += [bounds[w] for w in window]
    schema = Schema(tuple(fields))
    made: p.Rel
    if isinstance(like, p.SessionTvf):
        made = p.SessionAggregate(schema, source, time, like.gap, like.zone, keys, calls, window)
    else:
        made = p.WindowAggregate(
            schema, source, time, like.kind, like.size, like.slide, like.offset, like.zone, keys, calls, window,
            like.early,
        )  # fmt: skip
    terms = [e.remap(t, lambda i, w=where: first + window.index(w[i])) for t, where in after]  # type: ignore[misc]
    # The columns in the order of the aggregate that it stands for.
    out: list[e.Expr] = []
    plain = iter(range(len(keys)))
    for k in rel.keys:
        i = first + window.index(named[k]) if k in named else next(plain)
        out.append(e.InputRef(schema[i].type, i))
    out += [e.InputRef(schema[len(keys) + i].type, len(keys) + i) for i in range(len(calls))]
    shown = tuple(
        replace(f, type=x.type, time=bounds[named[k]].time if k in named else f.time)
        for f, x, k in zip(rel.schema, out, (*rel.keys, *([-1] * len(calls))), strict=True)
    )
    return p.Calc(Schema(shown, rel.schema.key), made, tuple(out), e.conjunction(terms))


def _attached(
    rel: p.Aggregate,
    below: p.WindowTvf | p.SessionTvf | p.SlidingTvf | p.WindowAggregate | p.SessionAggregate,
    columns: list[e.Expr],
    terms: list[e.Expr],
    named: dict[int, str],
) -> p.Rel:
    """Group rows by windows that they have.

    Every row stands at its window's last millisecond, so a tumble of one millisecond finds the window again; the start
    is a key that follows from the end. Windows of SLIDING are told apart by their moment, not by wall times, of which
    an hour comes twice in an autumn night: there the end is such a key, too.
    """
    sliding = isinstance(below, p.SlidingTvf)
    held = ("start", "end") if sliding else ("start",)
    if below.time is None:
        return rel
    if isinstance(below, (p.WindowAggregate, p.SessionAggregate)):
        first = len(below.keys) + len(below.calls)
        if "time" not in below.window:
            start = below.schema[first]
            ltz = below.input.schema[below.time].type
            extra = Field("window_time", ltz.with_nullable(start.type.nullable), "rowtime")
            below = replace(below, schema=Schema((*below.schema.fields, extra)), window=(*below.window, "time"))
        bounds = {w: below.schema[first + i] for i, w in enumerate(below.window)}
        at = first + below.window.index("time")
    else:
        first = len(below.input.schema)
        bounds = {w: below.schema[first + i] for i, w in enumerate(_NAMES)}
        at = first + 2
    calls = rel.calls
    used = called(calls)
    plain = [i for i in range(len(columns)) if i not in named or named[i] in held or i in used]
    exprs = [columns[i] for i in plain]
    place = {i: k for k, i in enumerate(plain)}
    ref = e.InputRef(below.schema[at].type, at)
    time = exprs.index(ref) if ref in exprs else len(exprs)
    if time == len(exprs):
        exprs.append(ref)
    fields = tuple(_field(below.schema, x, f"${k}") for k, x in enumerate(exprs))
    source = p.Calc(Schema(fields), below, tuple(exprs), e.conjunction(terms))
    keys = tuple(place[k] for k in rel.keys if k not in named or named[k] in held)
    marks = tuple(w for w in ("end", "time") if w in named.values() and w not in held)
    like = p.WindowTvf(below.schema, below, at, "attached", 1, 1, 0, None if sliding else below.zone)
    others = {k: w for k, w in named.items() if w not in held}
    return _finish(rel, source, like, time, keys, tuple(c.moved(place) for c in calls), marks, bounds, others, [])
