"""GROUP BY window_start, window_end over a window function: final rows, and state that goes with its window."""

from __future__ import annotations

from dataclasses import replace

from deras.core.errors import PlanError
from deras.core.schema import Field, Schema
from deras.sql.expr import nodes as e
from deras.sql.plan import nodes as p

_NAMES = ("start", "end", "time")


def window_aggregates(rel: p.Rel) -> p.Rel:
    """Aggregate over (Calc over) WindowTvf to WindowAggregate, if both bounds of the window are grouped."""
    if not isinstance(rel, p.Aggregate):
        return rel
    calc = rel.input if isinstance(rel.input, p.Calc) else None
    below = calc.input if calc is not None else rel.input
    columns: list[e.Expr] = (
        list(calc.exprs)
        if calc is not None and calc.exprs is not None
        else [e.InputRef(f.type, i) for i, f in enumerate(below.schema)]
    )
    if isinstance(below, p.WindowTvf):
        n = len(below.input.schema)
        marks = {n: "start", n + 1: "end", n + 2: "time"}
    elif isinstance(below, p.WindowAggregate):
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
    if isinstance(below, p.WindowAggregate):
        return _attached(rel, below, columns, terms, named)
    return _fresh(rel, below, columns, terms, named, marks)


def _fresh(
    rel: p.Aggregate,
    tvf: p.WindowTvf,
    columns: list[e.Expr],
    terms: list[e.Expr],
    named: dict[int, str],
    marks: dict[int, str],
) -> p.Rel:
    # Conditions on the window alone are asked of the result: the bounds are columns of it.
    after = [t for t in terms if e.refs(t) and e.refs(t) <= set(marks)]
    before = [t for t in terms if t not in after]
    plain = [i for i in range(len(columns)) if i not in named]
    for x in [columns[i] for i in plain] + before:
        if e.refs(x) & set(marks):
            raise PlanError(
                "an aggregate over the window's own bounds is not supported yet",
                span=x.at.span if x.at is not None else None,
                hint="Compute it from window_start and window_end of the result, in an outer query.",
            )
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
    calls = tuple(c.moved(place) for c in rel.calls if not _on_window(c, named))
    if len(calls) < len(rel.calls):
        raise PlanError(
            "an aggregate over the window's own bounds is not supported yet", hint="Use the bounds themselves."
        )
    window = tuple(w for w in _NAMES if w in named.values() or any(marks[i] == w for t in after for i in e.refs(t)))
    bounds = {w: tvf.schema[len(tvf.input.schema) + _NAMES.index(w)] for w in _NAMES}
    return _finish(rel, source, tvf, time, keys, calls, window, bounds, named, _renamed(after, marks))


def _renamed(after: list[e.Expr], marks: dict[int, str]) -> list[tuple[e.Expr, dict[int, str]]]:
    return [(t, {i: marks[i] for i in e.refs(t)}) for t in after]


def _on_window(c: p.AggCall, named: dict[int, str]) -> bool:
    return c.arg in named or c.filter in named


def _field(schema: Schema, x: e.Expr, name: str) -> Field:
    return schema[x.index] if isinstance(x, e.InputRef) else Field(name, x.type)


def _finish(
    rel: p.Aggregate,
    source: p.Rel,
    like: p.WindowTvf,
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
    made: p.Rel = p.WindowAggregate(
        schema, source, time, like.kind, like.size, like.slide, like.offset, like.zone, keys, calls, window
    )
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
    rel: p.Aggregate, inner: p.WindowAggregate, columns: list[e.Expr], terms: list[e.Expr], named: dict[int, str]
) -> p.Rel:
    """Aggregate windows again by the same windows.

    Every row of the inner result stands at its window's last millisecond, so a tumble as long as the slide finds the
    window again; the
    start is a key that follows from the end.
    """
    window = inner.window if "time" in inner.window else (*inner.window, "time")
    first = len(inner.keys) + len(inner.calls)
    if window != inner.window:
        start = inner.schema[first]
        extra = Field("window_time", start.type, "rowtime" if inner.time is not None else "proctime")
        inner = replace(inner, schema=Schema((*inner.schema.fields, extra)), window=window)
    if inner.time is None:
        return rel
    at = first + window.index("time")
    plain = [i for i in range(len(columns)) if i not in named or named[i] == "start"]
    exprs = [columns[i] for i in plain]
    place = {i: k for k, i in enumerate(plain)}
    exprs.append(e.InputRef(inner.schema[at].type, at))
    fields = tuple(_field(inner.schema, x, f"${k}") for k, x in enumerate(exprs))
    source = p.Calc(Schema(fields), inner, tuple(exprs), e.conjunction(terms))
    if any(_on_window(c, named) and named.get(c.arg if c.arg is not None else -1) != "start" for c in rel.calls):
        raise PlanError(
            "an aggregate over the window's own bounds is not supported yet", hint="Use the bounds themselves."
        )
    keys = tuple(place[k] for k in rel.keys if k not in named or named[k] == "start")
    calls = tuple(c.moved(place) for c in rel.calls)
    marks = tuple(w for w in ("end", "time") if w in named.values())
    bounds = {w: inner.schema[first + window.index(w)] for w in window}
    like = p.WindowTvf(inner.schema, inner, at, "tumble", inner.slide, inner.slide, inner.offset, inner.zone)
    others = {k: w for k, w in named.items() if w != "start"}
    return _finish(rel, source, like, len(exprs) - 1, keys, calls, marks, bounds, others, [])
