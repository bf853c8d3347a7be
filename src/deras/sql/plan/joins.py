"""Joins of whole streams."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deras.core.schema import Schema
from deras.sql.expr import nodes as e
from deras.sql.plan.calc import narrow
from deras.sql.plan.rel import Place, Rel, move
from deras.sql.plan.show import expression

if TYPE_CHECKING:
    from deras.sql.expr.nodes import Expr


@dataclass(frozen=True, slots=True)
class Join(Rel):
    """An equi-join with a residual condition over left then right columns."""

    left: Rel
    right: Rel
    kind: str
    left_keys: tuple[int, ...] = ()
    right_keys: tuple[int, ...] = ()
    residual: Expr | None = None

    def inputs(self) -> tuple[Rel, ...]:
        """Left and right."""
        return (self.left, self.right)

    def rebuild(self, inputs: tuple[Rel, ...]) -> Rel:
        """The same over other inputs."""
        return replace(self, left=inputs[0], right=inputs[1])

    def upsert_key(self) -> tuple[int, ...]:
        """One side's, where the other has at most one partner; else both."""
        left, right = self.left.upsert_key(), self.right.upsert_key()
        n = len(self.left.schema)
        if right and set(right) <= set(self.right_keys) and left:
            return left
        if left and set(left) <= set(self.left_keys) and right:
            return tuple(n + i for i in right)
        if left and right:
            return (*left, *(n + i for i in right))
        return ()

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """Both sides keep only what is read, and their keys."""
        n = len(self.left.schema)
        used = set(needed) if self.residual is None else needed | e.refs(self.residual)
        left, left_place = narrow(self.left, {i for i in used if i < n} | set(self.left_keys))
        right, right_place = narrow(self.right, {i - n for i in used if i >= n} | set(self.right_keys))
        width = len(left.schema)
        place = {i: k for i, k in left_place.items() if i < n} | {n + i: width + k for i, k in right_place.items()}
        found = replace(
            self,
            schema=Schema(tuple(f.without_time() for f in (*left.schema, *right.schema))),
            left=left,
            right=right,
            left_keys=tuple(left_place[k] for k in self.left_keys),
            right_keys=tuple(right_place[k] for k in self.right_keys),
            residual=None if self.residual is None else move(self.residual, place),
        )
        return found, place

    def describe(self) -> str:
        """Kind and condition."""
        left, right = self.left.schema.names, self.right.schema.names
        on = [f"{left[a]} = {right[b]}" for a, b in zip(self.left_keys, self.right_keys, strict=True)]
        rest = "" if self.residual is None else f", where: {expression(self.residual, [*left, *right])}"
        return f"Join(kind: {self.kind}, on: [{', '.join(on)}]{rest})"

    def kept(self) -> str:
        """Everything."""
        return "all rows of both sides, unbounded"

    def warnings(self) -> list[str]:
        """Rows are never forgotten."""
        return ["The join keeps all rows of both sides: its state grows with its inputs."]
