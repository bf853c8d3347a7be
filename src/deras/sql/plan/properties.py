"""What is known of a plan's changes: whether rows only come, and which columns identify a row."""

from __future__ import annotations

from deras.sql.expr.nodes import InputRef
from deras.sql.plan import nodes as p


def append_only(rel: p.Rel) -> bool:
    """Whether every change is an insertion."""
    match rel:
        case p.Aggregate():
            return False
        case p.ViewScan():
            return rel.view.append_only
        case _:
            return all(append_only(i) for i in rel.inputs())


def upsert_key(rel: p.Rel) -> tuple[int, ...]:
    """Positions of columns of which the latest row replaces the one before; () if only whole rows tell."""
    match rel:
        case p.Aggregate():
            return tuple(range(len(rel.keys)))
        case p.WindowAggregate():
            first = len(rel.keys) + len(rel.calls)
            # Several windows of CUMULATE begin at one moment: there only the end tells them apart.
            telling = ("end", "time") if rel.kind == "cumulate" else ("start", "end", "time")
            marks = [first + i for i, w in enumerate(rel.window) if w in telling]
            return (*range(len(rel.keys)), *marks[:2]) if marks else ()
        case p.ViewScan():
            return rel.view.schema.key
        case p.Calc():
            key = upsert_key(rel.input)
            return project_key(key, rel) if key else ()
        case p.Join():
            left, right = upsert_key(rel.left), upsert_key(rel.right)
            n = len(rel.left.schema)
            if right and set(right) <= set(rel.right_keys) and left:
                return left
            if left and set(left) <= set(rel.left_keys) and right:
                return tuple(n + i for i in right)
            if left and right:
                return (*left, *(n + i for i in right))
            return ()
        case p.Limit():
            return upsert_key(rel.input)
        case _:
            return ()


def single_row(rel: p.Rel) -> bool:
    """Whether there is never more than one row: a global aggregate, however projected or filtered."""
    while isinstance(rel, (p.Calc, p.Limit)):
        rel = rel.input
    return isinstance(rel, p.Aggregate) and not rel.keys


def project_key(key: tuple[int, ...], calc: p.Calc) -> tuple[int, ...]:
    """The key's positions behind a projection; () if a part of it is not kept."""
    if calc.exprs is None:
        return key
    place: dict[int, int] = {}
    for i, e in enumerate(calc.exprs):
        if isinstance(e, InputRef):
            place.setdefault(e.index, i)
    return tuple(place[k] for k in key) if all(k in place for k in key) else ()


def reads_time(rel: p.Rel) -> bool:
    """Whether the result depends on processing time."""
    from deras.sql.expr.nodes import Context

    for r in p.walk(rel):
        if isinstance(r, (p.WindowTvf, p.WindowAggregate)) and r.time is None:
            return True
        if isinstance(r, p.Calc):
            for e in (*(r.exprs or ()), *([r.predicate] if r.predicate is not None else [])):
                if any(isinstance(x, Context) and x.kind != "watermark" for x in e.walk()):
                    return True
    return False
