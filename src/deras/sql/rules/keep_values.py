"""Expressions that give another value each time, over rows that are taken back: computed once, and kept.

Behind a projection or filter with RAND, UUID, the time, or a function that is declared so, the last row of each key is
kept: a row that goes has the values that it came with.
"""

from __future__ import annotations

from dataclasses import replace

from deras.core.errors import PlanError
from deras.core.schema import Field, Schema
from deras.sql.expr import nodes as e
from deras.sql.plan import nodes as p
from deras.sql.plan.text import blame


def keep_values(rel: p.Rel) -> p.Rel:
    """The plan in which rows go as they came.

    Raises:
        PlanError: no key tells which row goes.
    """
    rel = rel.rebuild(tuple(map(keep_values, rel.inputs())))
    if not isinstance(rel, p.Calc) or rel.input.append_only() or all(map(e.deterministic, rel.expressions())):
        return rel
    key = rel.upsert_key()
    stable = all(rel.exprs is None or e.deterministic(rel.exprs[k]) for k in key)
    if not stable or not (key or rel.single_row()):
        loose = next(x for x in rel.expressions() if not e.deterministic(x))
        raise PlanError(
            "an expression that gives another value each time cannot stand over rows that are taken back "
            "and have no key",
            span=loose.at.span if loose.at is not None else None,
            detail=f"A row that goes would not equal the one that came. Updates come from {blame(rel.input)}.",
            hint="Compute it before rows are updated, or select the key beside it.",
        )
    if rel.predicate is None or e.deterministic(rel.predicate):
        return p.ChangelogNormalize(rel.schema, rel, key, pairs=True)
    # The answer of the filter is kept beside the row.
    n = len(rel.schema)
    refs = tuple(e.InputRef(f.type, i) for i, f in enumerate(rel.schema))
    wide = Schema((*rel.schema.fields, Field("kept", rel.predicate.type)))
    asked = replace(rel, schema=wide, exprs=(*(rel.exprs or refs), rel.predicate), predicate=None)
    held = p.ChangelogNormalize(wide, asked, key, pairs=True)
    return p.Calc(rel.schema, held, refs, e.InputRef(rel.predicate.type, n))
