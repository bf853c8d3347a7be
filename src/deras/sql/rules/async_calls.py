"""Calls of ``async`` functions in projections and filters become operators of their own."""

from __future__ import annotations

from dataclasses import replace

from deras.core.schema import Field, Schema
from deras.sql.expr import nodes as e
from deras.sql.functions.waiting import AsyncFunction
from deras.sql.plan import nodes as p
from deras.sql.plan.correlate import Correlate


def async_calls(rel: p.Rel) -> p.Rel:
    """A Calc with such calls: below it the calls, innermost first, each adding a column."""
    if not isinstance(rel, p.Calc):
        return rel
    exprs = rel.exprs if rel.exprs is not None else tuple(e.InputRef(f.type, i) for i, f in enumerate(rel.input.schema))
    call = _innermost([*exprs, *([] if rel.predicate is None else [rel.predicate])])
    if call is None:
        return rel
    # What can be asked before the call is: it is the dearest part of the row.
    terms = e.conjuncts(rel.predicate)
    before = [t for t in terms if _innermost([t]) is None]
    after = [t for t in terms if t not in before]
    # Rows wait, so they have only what is read of them.
    kept = sorted(set().union(*(e.refs(x) for x in (*exprs, *after))))
    place = {i: k for k, i in enumerate(kept)}
    columns: list[e.Expr] = [e.InputRef(rel.input.schema[i].type, i) for i in kept]
    fields = [rel.input.schema[i] for i in kept]
    places = []
    for x in call.args:
        if x not in columns:
            columns.append(x)
            fields.append(Field(f"$a{len(fields)}", x.type))
        places.append(columns.index(x))
    below: p.Rel = p.Calc(Schema(tuple(fields)), rel.input, tuple(columns), e.conjunction(before))
    function = AsyncFunction(call.udf)
    # Its lowering makes another operator of it.
    wide = Correlate(Schema((*below.schema.fields, *function.fields)), below, function, tuple(places))  # type: ignore[arg-type]
    result = e.InputRef(call.type, len(below.schema), at=call.at)

    def change(y: e.Expr) -> e.Expr | None:
        if y == call:
            return result
        return replace(y, index=place[y.index]) if isinstance(y, e.InputRef) else None

    made = tuple(e.transform(x, change) for x in exprs)
    tested = e.conjunction([e.transform(t, change) for t in after])
    return async_calls(replace(rel, input=wide, exprs=made, predicate=tested))


def _innermost(exprs: list[e.Expr]) -> e.UdfCall | None:
    for top in exprs:
        for x in top.walk():
            inner = isinstance(x, e.UdfCall) and x.udf.waiting is not None
            if inner and _innermost(list(x.children())) is None:
                return x  # type: ignore[return-value]
    return None
