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
from deras.sql.plan.time_joins import Bounded


def keep_values(rel: p.Rel) -> p.Rel:
    """The plan in which rows go as they came.

    Raises:
        PlanError: no key tells which row goes.
    """
    rel = _conditions(rel.rebuild(tuple(map(keep_values, rel.inputs()))))
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


def _conditions(rel: p.Rel) -> p.Rel:
    """A join whose condition is left to chance, over rows that are taken back: of an inner one it is a filter above.

    Raises:
        PlanError: it is another kind of join, where the condition decides about partners.
    """
    if not isinstance(rel, (p.Join, Bounded)) or all(i.append_only() for i in rel.inputs()):
        return rel
    loose = [t for t in e.conjuncts(rel.residual) if not e.deterministic(t)]
    if not loose:
        return rel
    if rel.kind != "INNER":
        updating = next(i for i in rel.inputs() if not i.append_only())
        at = loose[0].at or next((y.at for y in loose[0].walk() if y.at is not None), None)
        raise PlanError(
            f"the condition of a {rel.kind} JOIN over rows that are taken back must give the same value each time",
            span=at.span if at is not None else None,
            detail=f"Whether a row had a partner would be forgotten. Updates come from {blame(updating)}.",
            hint="Compute the value before rows are updated, or join rows that only come.",
        )
    rest = e.conjunction([t for t in e.conjuncts(rel.residual) if e.deterministic(t)])
    return p.Calc(rel.schema, replace(rel, residual=rest), None, e.conjunction(loose))
