"""INTERSECT and EXCEPT, with and without ALL, as joins and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.core.schema import Field, Schema
from deras.core.types import BIGINT, BOOLEAN
from deras.sql.expr import nodes as e
from deras.sql.functions import operators
from deras.sql.plan import nodes as p

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.sql.plan.joins import JoinKind


def set_operation(op: str, parts: Sequence[p.Rel], schema: Schema, *, all_rows: bool) -> p.Rel:
    """``a INTERSECT|EXCEPT [ALL] b …`` from the left; all parts have the types of ``schema``."""
    rel = parts[0]
    for part in parts[1:]:
        rel = _counted(op, rel, part, schema) if all_rows else _once(op, rel, part, schema)
    return rel


def _once(op: str, left: p.Rel, right: p.Rel, schema: Schema) -> p.Rel:
    """Each row once, if it has an equal on the right (or none); NULLs are equal here."""
    from deras.sql.bind.query import distinct

    n = len(schema)
    on: list[e.Expr] = [
        operators.comparison("IS NOT DISTINCT FROM", e.InputRef(a.type, i), e.InputRef(b.type, n + i))
        for i, (a, b) in enumerate(zip(left.schema, right.schema, strict=True))
    ]
    fields = Schema(tuple(f.without_time() for f in schema))
    kind: JoinKind = "SEMI" if op == "INTERSECT" else "ANTI"
    return p.Join(fields, distinct(left), right, kind, (), (), e.conjunction(on))


def _counted(op: str, left: p.Rel, right: p.Rel, schema: Schema) -> p.Rel:
    """Each row as often as the counts of both sides say."""
    n = len(schema)
    fields = tuple(f.without_time() for f in schema)

    def tagged(rel: p.Rel, first: bool) -> p.Rel:
        flag = e.Literal(BOOLEAN.with_nullable(False), first)
        refs = tuple(e.InputRef(f.type, i) for i, f in enumerate(rel.schema))
        made = Schema((*fields, Field("$left", flag.type), Field("$right", flag.type)))
        other = e.Literal(BOOLEAN.with_nullable(False), not first)
        return p.Calc(made, rel, (*refs, flag, other))

    both = p.Union(tagged(left, True).schema, (tagged(left, True), tagged(right, False)))
    count = BIGINT.with_nullable(False)
    calls = (p.AggCall("COUNT", None, count, filter=n), p.AggCall("COUNT", None, count, filter=n + 1))
    counted = Schema((*fields, Field("$l", count), Field("$r", count)), tuple(range(n)))
    groups = p.Aggregate(counted, both, tuple(range(n)), calls)
    refs = tuple(e.InputRef(f.type, i) for i, f in enumerate(fields))
    l, r = e.InputRef(count, n), e.InputRef(count, n + 1)  # noqa: E741 (left and right)
    smaller = operators.comparison("<", l, r)
    times = operators.case([smaller], [l, r]) if op == "INTERSECT" else operators.arithmetic("-", l, r)
    some = operators.comparison(">", times, e.Literal(count, 0))
    wanted = p.Calc(Schema((*fields, Field("$times", count))), groups, (*refs, times), some)
    return p.Repeat(Schema(fields), wanted, n)
