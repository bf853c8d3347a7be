"""Joins in which one side has at most one row of a key keep no row that has found its partner.

That holds for inner joins of sides that only insert. A PRIMARY KEY is trusted; a side whose operators forget (state
TTL) may bring a key again, and is not.

Where a filter stands directly above the keyed side, the rows that it excludes come to the join as marks: rows of the
other side with their keys need not wait for ever.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from deras.core.schema import Field, Schema
from deras.core.types import BOOLEAN
from deras.sql.expr import nodes as e
from deras.sql.expr.analysis import movable
from deras.sql.forgetting import forgets
from deras.sql.plan import nodes as p

if TYPE_CHECKING:
    from deras.sql.settings import Settings


def key_joins(rel: p.Rel, settings: Settings) -> p.Rel:
    """The plan with key joins.

    Args:
        rel: the plan after all other rules, with its TTLs.
        settings: of the session: whether there are key joins, and marks.
    """
    if not settings.get("deras.optimizer.key-joins"):
        return rel
    marks = bool(settings.get("deras.optimizer.marks"))
    done: dict[int, p.Rel] = {}

    def visit(r: p.Rel) -> p.Rel:
        found = done.get(id(r))
        if found is None:
            inputs = r.inputs()
            new = tuple(map(visit, inputs))
            found = r if all(a is b for a, b in zip(new, inputs, strict=True)) else r.rebuild(new)
            if type(found) is p.Join:
                found = key_join(found, marks)
            done[id(r)] = found
        return found

    return visit(rel)


def key_join(rel: p.Join, marks: bool) -> p.Join:
    """The join as a key join, if it is one."""
    if rel.kind != "INNER" or not rel.left_keys or not rel.append_only():
        return rel
    unique = [u and not forgets(i) for u, i in zip((rel.left_unique, rel.right_unique), rel.inputs(), strict=True)]
    if not any(unique):
        return rel
    filtered = [_marked(i) if u and marks else None for u, i in zip(unique, rel.inputs(), strict=True)]
    # Of two unique sides the one that can have marks.
    keyed = 0 if unique[0] and (not unique[1] or filtered[0] is not None or filtered[1] is None) else 1
    side = filtered[keyed]
    sides = list(rel.inputs())
    if side is not None:
        sides[keyed] = side
    held = {f.name: getattr(rel, f.name) for f in fields(rel)} | {"left": sides[0], "right": sides[1]}
    return p.KeyJoin(**held, keyed=keyed, marked=side is not None)


def _marked(rel: p.Rel) -> p.Calc | None:
    """A filtered side with all rows, and a last column that says which of them pass; None if it has no filter."""
    if not isinstance(rel, p.Calc) or rel.predicate is None or not e.deterministic(rel.predicate):
        return None
    exprs = rel.exprs
    if exprs is None:
        exprs = tuple(e.InputRef(f.type, i) for i, f in enumerate(rel.schema))
    elif not all(map(movable, exprs)):
        # A row that the filter excludes could fail there.
        return None
    schema = Schema((*rel.schema.fields, Field("$joins", BOOLEAN)))
    return p.Calc(schema, rel.input, (*exprs, rel.predicate))
