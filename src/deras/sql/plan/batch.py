"""What batch mode adds to a plan: one row for an empty group, and nothing but final rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deras.sql.plan.rel import Unary


@dataclass(frozen=True, slots=True)
class DefaultRow(Unary):
    """A global aggregate that gives a row even if nothing came."""

    row: tuple[Any, ...]

    def makes_updates(self) -> bool:
        """As any aggregate."""
        return True

    def single_row(self) -> bool:
        """Always."""
        return True

    def describe(self) -> str:
        """The row."""
        return f"DefaultRow({', '.join('NULL' if v is None else str(v) for v in self.row)})"
