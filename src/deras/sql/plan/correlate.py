"""Table functions over the rows of an input, and rows that come several times."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from deras.core.schema import Schema
from deras.sql.plan.rel import Place, Rel, Unary

if TYPE_CHECKING:
    from deras.core.schema import Field
    from deras.engine.operators.correlate import TableProgram


class TableFunction(Protocol):
    """A table function that is called: plain data that compares and prints."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """The columns that it gives."""
        ...

    @property
    def deterministic(self) -> bool:
        """Whether it gives the same rows for the same arguments."""
        ...

    def program(self, input: Schema, args: tuple[int, ...]) -> TableProgram:  # noqa: A002
        """What runs it over the columns ``args`` of an input."""
        ...

    def __str__(self) -> str:
        """Name and everything that its rows depend on beside the arguments."""
        ...


@dataclass(frozen=True, slots=True)
class UnnestFunction:
    """UNNEST of one collection."""

    fields: tuple[Field, ...]
    ordinality: bool = False
    deterministic: bool = True

    def program(self, input: Schema, args: tuple[int, ...]) -> TableProgram:  # noqa: A002
        """What explodes the column."""
        from deras.engine.operators.correlate import Unnest

        return Unnest(args[0], self.fields, ordinality=self.ordinality)

    def __str__(self) -> str:
        return "UNNEST WITH ORDINALITY" if self.ordinality else "UNNEST"


@dataclass(frozen=True, slots=True)
class Correlate(Unary):
    """Each row with what a table function makes of it: the input's columns, then the function's.

    ``outer``: a row of which nothing is made comes with NULLs.
    """

    function: TableFunction
    args: tuple[int, ...]
    outer: bool = False

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """The arguments are always read."""
        from deras.sql.plan.calc import narrow

        n = len(self.input.schema)
        made, place = narrow(self.input, {i for i in needed if i < n} | set(self.args))
        width = len(made.schema)
        found = replace(
            self,
            schema=Schema((*made.schema.fields, *self.schema.fields[n:])),
            input=made,
            args=tuple(place[a] for a in self.args),
        )
        kept = {i: k for i, k in place.items() if i < n}
        return found, kept | {n + i: width + i for i in range(len(self.schema) - n)}

    def through(self) -> Place:
        """The input's columns."""
        return {i: i for i in range(len(self.input.schema))}

    def describe(self) -> str:
        """Function and arguments."""
        names = self.input.schema.names
        args = ", ".join(names[a] for a in self.args)
        return f"Correlate({self.function}({args}){', outer' if self.outer else ''})"

    def kept(self) -> str:
        """Rows whose answers are not there yet, where the function is waited for."""
        return str(getattr(self.function, "kept", ""))


@dataclass(frozen=True, slots=True)
class Repeat(Unary):
    """Each row as often as column ``times`` says; without that column, which is the last."""

    times: int

    def describe(self) -> str:
        """The column."""
        return f"Repeat({self.input.schema.names[self.times]})"
