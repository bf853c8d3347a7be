"""What a sink's table promises of its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deras.sql.plan.rel import Unary


@dataclass(frozen=True, slots=True)
class Constraints(Unary):
    """Rows that do not keep NOT NULL (and lengths, where they are enforced) are put aside or made to fit."""

    not_null: tuple[int, ...]
    lengths: tuple[int, ...] = ()
    fit: Literal["TRIM_PAD", "ERROR"] = "ERROR"
    drop: bool = False

    def upsert_key(self) -> tuple[int, ...]:
        """The input's."""
        return self.input.upsert_key()

    def single_row(self) -> bool:
        """As the input."""
        return self.input.single_row()

    def describe(self) -> str:
        """The columns."""
        names = self.schema.names
        parts = []
        if self.not_null:
            parts.append(f"not null: [{', '.join(names[i] for i in self.not_null)}]")
        if self.lengths:
            parts.append(f"{self.fit.lower()}: [{', '.join(names[i] for i in self.lengths)}]")
        return f"Constraints({', '.join(parts)})"
