"""MATCH_RECOGNIZE."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deras.core.schema import Field, Schema
from deras.core.types import BOOLEAN
from deras.engine import match_plan as plans
from deras.engine.match_plan import Condition, MatchPlan, Pick, finish_input
from deras.engine.patterns import compile_pattern
from deras.sql.expr import nodes as e
from deras.sql.expr.patterns import RowValue, Total
from deras.sql.lower.lowering import lowers
from deras.sql.lower.match_conditions import Conditions, Kept
from deras.sql.plan.match import MatchRecognize

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine.operator import Operator
    from deras.sql.lower.lowering import Lowering

_SKIPS = {"PAST LAST ROW": 0, "NEXT ROW": 1, "FIRST": 2, "LAST": 3}


@lowers(MatchRecognize)
def _match(lowering: Lowering, rel: MatchRecognize) -> Callable[[], Operator]:
    below, zone = rel.input.schema, lowering.zone
    kept = Kept()
    conditions = Conditions(kept, rel)
    automaton = compile_pattern(rel.pattern)
    order = tuple((kept.column(e.InputRef(below[i].type, i)), d) for i, d in rel.order)
    rows = [tuple(kept.column(e.InputRef(below[i].type, i)) for i in part) for part in rel.rows]
    picks: list[Any] = []
    totals: list[Any] = []

    def place(x: e.Expr) -> e.Expr | None:
        """What stands for a value of the match; negative until all are known."""
        if isinstance(x, RowValue):
            column = -1 if x.arg is None else kept.column(x.arg)
            pick = Pick(column, x.bits, x.offset, x.forward, x.shift, x.running)
            if pick not in picks:
                picks.append(pick)
            return e.InputRef(x.type, picks.index(pick), at=x.at)
        if isinstance(x, Total):
            from deras.engine.aggregates import AggregateCall

            arg = None if x.arg is None else kept.column(x.arg)
            call = AggregateCall(x.function, arg, x.type, x.distinct, None, None if x.arg is None else x.arg.type)
            total = plans.Total(call, x.bits, x.running)
            if total not in totals:
                totals.append(total)
            return e.InputRef(x.type, -1 - totals.index(total), at=x.at)
        return None

    measures = [e.transform(m, place) for m in rel.measures]
    codes = conditions.codes
    plan = MatchPlan(
        automaton,
        rel.names,
        tuple(Condition(row is not None, code) for row, code in zip(conditions.rows, codes, strict=True)),
        conditions.slots,
        conditions.cells,
        conditions.row_cells,
        bytes(conditions.texts),
        _SKIPS[rel.skip],
        rel.skip_bits,
        rel.within,
        tuple(picks),
        tuple(totals),
        rel.all_rows,
    )
    true = e.Literal(BOOLEAN.with_nullable(False), value=True)
    tests = [true if row is None else row for row in conditions.rows]
    stored = Schema(tuple(Field(f"c{i}", x.type) for i, x in enumerate((*tests, *kept.exprs))))
    given = finish_input([below[i].type for i in rel.keys], [x.type for x in kept.exprs], plan)
    first_key = len(kept.exprs) if rel.all_rows else 0
    first_pick = first_key + len(rel.keys)

    def final(x: e.Expr) -> e.Expr:
        return e.remap(x, lambda i: first_pick + i if i >= 0 else first_pick + len(picks) - 1 - i)

    if rel.all_rows:
        before, behind = ([e.InputRef(given[c].type, c) for c in part] for part in rows)
        outputs: list[e.Expr] = [*before, *map(final, measures), *behind]
    else:
        outputs = [e.InputRef(given[i].type, i) for i in range(len(rel.keys))] + [final(m) for m in measures]
    # What a program reads may be NULL where a measure of a variable without rows stands.
    outputs = [e.transform(x, lambda y: _typed(y, given)) for x in outputs]
    schema, keys, rowtime = rel.schema, rel.keys, None if rel.proctime else rel.time
    origin = lowering.origin("MatchRecognize")
    exprs = (*tests, *kept.exprs)

    def make() -> Operator:
        from deras.engine.operators import match as engine
        from deras.sql.expr.program import RowProgram

        prepare = RowProgram(below, stored, exprs, None, zone)
        finish = RowProgram(given, schema, outputs, None, zone)
        return engine.Match(below, keys, rowtime, order, prepare, plan, finish, schema, origin)

    return make


def _typed(x: e.Expr, given: Schema) -> e.Expr | None:
    return replace(x, type=given[x.index].type) if isinstance(x, e.InputRef) else None
