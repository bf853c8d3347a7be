"""Joins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.core.errors import InternalError
from deras.core.schema import Schema
from deras.sql.expr import nodes as e
from deras.sql.forgetting import forgets
from deras.sql.lower.lowering import lowers
from deras.sql.plan.joins import Join, KeyJoin, WindowJoin
from deras.sql.plan.rel import walk
from deras.sql.plan.windowed import window_bound

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine.operator import Operator, Program
    from deras.sql.lower.lowering import Lowering


@lowers(Join)
def _join(lowering: Lowering, rel: Join) -> Callable[[], Operator]:
    left, right, zone = rel.left.schema, rel.right.schema, lowering.zone
    residual, keys, kind, safe, aware = (
        rel.residual,
        (rel.left_keys, rel.right_keys),
        rel.kind,
        rel.safe,
        rel.null_aware,
    )
    appends = rel.left.append_only(), rel.right.append_only()
    unique = rel.left_unique and bool(rel.left_keys), rel.right_unique and bool(rel.right_keys)
    origin = lowering.origin("Join")
    ttl, forgetful = rel.ttl or (0, 0), forgets(rel.left) or forgets(rel.right)
    if aware and (residual is not None or len(rel.left_keys) != 1):
        raise InternalError("a null-aware join has one key and no other condition")

    def make() -> Operator:
        from deras.engine.operators import join as engine
        from deras.engine.operators.semi_join import SemiJoin
        from deras.sql.expr.program import RowProgram

        if (kind == "SEMI" or kind == "ANTI") and residual is None:
            return SemiJoin(left, right, *keys, kind, *appends, safe, aware, unique[0], origin, ttl, forgetful)
        both = Schema((*left.fields, *right.fields))
        program = None if residual is None else RowProgram(both, both, None, residual, zone)
        return engine.Join(left, right, *keys, program, *appends, origin, kind, safe, *unique, ttl, forgetful)

    return make


@lowers(KeyJoin)
def _key_join(lowering: Lowering, rel: KeyJoin) -> Callable[[], Operator]:
    left, right, zone = rel.left.schema, rel.right.schema, lowering.zone
    keys, safe, keyed, ttl = (rel.left_keys, rel.right_keys), rel.safe, rel.keyed, rel.ttl or (0, 0)
    mark = len((left, right)[keyed]) - 1 if rel.marked else None
    origin = lowering.origin("KeyJoin")
    columns = [f for side in rel.sides for f in side.fields]
    residual, reads = rel.residual, [] if rel.residual is None else sorted(e.refs(rel.residual))

    def make() -> Operator:
        from deras.engine.operators.key_join import KeyJoin as Engine
        from deras.sql.expr.conditions import WordsFilter, passing
        from deras.sql.expr.program import RowProgram

        program: Program | None = None
        if residual is not None:
            read = Schema(tuple(columns[i] for i in reads))
            moved = e.remap(residual, reads.index)
            condition = passing(moved, zone)
            program = WordsFilter(read, condition) if condition else RowProgram(read, read, None, moved, zone)
        return Engine(left, right, *keys, keyed, mark, program, reads, origin, safe, ttl)

    return make


@lowers(WindowJoin)
def _window_join(lowering: Lowering, rel: WindowJoin) -> Callable[[], Operator]:
    left, right, zone = rel.left.schema, rel.right.schema, lowering.zone
    residual, kind, window_zone = rel.residual, rel.kind, rel.zone
    ends = rel.left_keys[rel.end], rel.right_keys[rel.end]
    # The window's own bounds are equal in all rows that meet.
    bounds = [
        at
        for at, (a, b) in enumerate(zip(rel.left_keys, rel.right_keys, strict=True))
        if window_bound(rel.left, a) is not None and window_bound(rel.left, a) == window_bound(rel.right, b)
    ]
    rest = [at for at in range(len(rel.left_keys)) if at not in bounds]
    keys = [rel.left_keys[at] for at in rest], [rel.right_keys[at] for at in rest]
    safe = [rel.safe[at] for at in rest]
    origin = lowering.origin("WindowJoin")
    tables = [{r.normal() for r in walk(side) if not r.inputs()} for side in rel.inputs()]
    shared = tables[0] == tables[1] and len(tables[0]) == 1

    def make() -> Operator:
        from deras.engine.operators import window_join as engine
        from deras.sql.expr.program import RowProgram

        both = Schema((*left.fields, *right.fields))
        program = None if residual is None else RowProgram(both, both, None, residual, zone)
        return engine.WindowJoin(left, right, *keys, *ends, window_zone, kind, program, safe, shared, origin)

    return make
