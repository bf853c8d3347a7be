"""Filters and projections, and the projections that pruning leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deras.core.schema import Schema
from deras.sql.expr import nodes as e
from deras.sql.plan.rel import Place, Rel, Unary, move
from deras.sql.plan.show import expression

if TYPE_CHECKING:
    from deras.sql.expr.nodes import Expr


@dataclass(frozen=True, slots=True)
class Calc(Unary):
    """A filter, then projections; ``exprs`` None keeps all columns, ``predicate`` None keeps all rows."""

    exprs: tuple[Expr, ...] | None = None
    predicate: Expr | None = None

    def expressions(self) -> list[Expr]:
        """All of them, the filter last."""
        return [*(self.exprs or ()), *([] if self.predicate is None else [self.predicate])]

    def upsert_key(self) -> tuple[int, ...]:
        """The input's, where all of it is kept."""
        key = self.input.upsert_key()
        return project_key(key, self) if key else ()

    def single_row(self) -> bool:
        """As the input."""
        return self.input.single_row()

    def reads_time(self) -> bool:
        """Whether an expression does."""
        return any(isinstance(x, e.Context) and x.kind != "watermark" for top in self.expressions() for x in top.walk())

    def window_bounds(self) -> frozenset[int]:
        """Those of the input that are kept."""
        below = self.input.window_bounds()
        if self.exprs is None:
            return below
        return frozenset(i for i, x in enumerate(self.exprs) if isinstance(x, e.InputRef) and x.index in below)

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """Only the needed expressions, over only what they read."""
        tested = set() if self.predicate is None else e.refs(self.predicate)
        kept = sorted(needed)
        if self.exprs is None:
            made, place = self.input.prune(needed | tested)
            fields = tuple(self.schema[i] for i in kept)
            exprs: tuple[e.Expr, ...] = tuple(e.InputRef(f.type, place[i]) for f, i in zip(fields, kept, strict=True))
            schema = Schema(fields)
        else:
            picked = [self.exprs[i] for i in kept]
            made, place = self.input.prune(tested.union(*(e.refs(x) for x in picked)))
            exprs = tuple(move(x, place) for x in picked)
            schema = self.schema.select(kept)
        predicate = None if self.predicate is None else move(self.predicate, place)
        return Calc(schema, made, exprs, predicate), {i: k for k, i in enumerate(kept)}

    def describe(self) -> str:
        """Projections and filter."""
        below = self.input.schema.names
        parts = []
        if self.exprs is not None:
            shown = [
                n if isinstance(x, e.InputRef) and below[x.index] == n else f"{expression(x, below)} AS {n}"
                for x, n in zip(self.exprs, self.schema.names, strict=True)
            ]
            parts.append(f"select: [{', '.join(shown)}]")
        if self.predicate is not None:
            parts.append(f"where: {expression(self.predicate, below)}")
        return f"Calc({', '.join(parts)})"


def project_key(key: tuple[int, ...], calc: Calc) -> tuple[int, ...]:
    """The key's positions behind a projection; () if a part of it is not kept."""
    if calc.exprs is None:
        return key
    place: dict[int, int] = {}
    for i, x in enumerate(calc.exprs):
        if isinstance(x, e.InputRef):
            place.setdefault(x.index, i)
    return tuple(place[k] for k in key) if all(k in place for k in key) else ()


def picked(rel: Rel, schema: Schema, place: Place) -> Rel:
    """The columns of ``schema``, each from where it went."""
    return Calc(schema, rel, tuple(e.InputRef(f.type, place[i]) for i, f in enumerate(schema)))


def whole(rel: Rel) -> Rel:
    """Pruned below, with all columns where they were."""
    made, place = rel.prune(set(range(len(rel.schema))))
    if len(made.schema) == len(rel.schema) and all(place[i] == i for i in range(len(rel.schema))):
        return made
    return picked(made, rel.schema, place)


def narrow(rel: Rel, needed: set[int]) -> tuple[Rel, Place]:
    """Pruned, and without any column that is not needed."""
    made, place = rel.prune(needed)
    wanted = sorted(needed)
    if len(made.schema) == len(wanted):
        return made, place
    fields = tuple(made.schema[place[i]] for i in wanted)
    exprs = tuple(e.InputRef(f.type, place[i]) for f, i in zip(fields, wanted, strict=True))
    return Calc(Schema(fields), made, exprs), {i: k for k, i in enumerate(wanted)}
