"""Streams beside one another, and the first rows of one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deras.core.schema import Schema
from deras.sql.expr import nodes as e
from deras.sql.plan.calc import Calc, narrow
from deras.sql.plan.rel import Place, Rel, Unary


@dataclass(frozen=True, slots=True)
class Union(Rel):
    """UNION ALL."""

    parts: tuple[Rel, ...]

    def inputs(self) -> tuple[Rel, ...]:
        """All parts."""
        return self.parts

    def rebuild(self, inputs: tuple[Rel, ...]) -> Rel:
        """The same of other parts."""
        return replace(self, parts=inputs)

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """Every part gives the needed columns in one order."""
        wanted = sorted(needed)
        parts = []
        for part in self.parts:
            made, place = narrow(part, needed)
            if [place[i] for i in wanted] != list(range(len(wanted))):
                fields = tuple(part.schema[i] for i in wanted)
                refs = tuple(e.InputRef(f.type, place[i]) for f, i in zip(fields, wanted, strict=True))
                made = Calc(Schema(fields), made, refs)
            parts.append(made)
        return Union(self.schema.select(wanted), tuple(parts)), {i: k for k, i in enumerate(wanted)}

    def describe(self) -> str:
        """All of all."""
        return "Union(all)"


@dataclass(frozen=True, slots=True)
class Limit(Unary):
    """The first rows."""

    count: int

    def upsert_key(self) -> tuple[int, ...]:
        """The input's."""
        return self.input.upsert_key()

    def single_row(self) -> bool:
        """As the input."""
        return self.input.single_row()

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """Any columns will do."""
        made, place = self.input.prune(needed)
        return replace(self, schema=made.schema, input=made), place

    def describe(self) -> str:
        """How many."""
        return f"Limit({self.count})"
