"""Expressions that speak of the rows of a match: they stand only in MEASURES and DEFINE, and planning replaces them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deras.sql.expr.nodes import Expr, InputRef


@dataclass(frozen=True, slots=True)
class RowValue(Expr):
    """A value of one row: of those whose variable is in ``bits`` the first or the last but ``offset``.

    ``arg`` is an expression over the input's columns; None: the name of the row's variable. ``shift``: rows away from
    that one, within the match. ``running``: as of the current row.
    """

    arg: Expr | None
    bits: int
    offset: int = 0
    forward: bool = False
    shift: int = 0
    running: bool = False

    def children(self) -> tuple[Expr, ...]:
        """The value."""
        return () if self.arg is None else (self.arg,)

    def rebuild(self, children: tuple[Expr, ...]) -> Expr:
        """The same of another value."""
        return replace(self, arg=children[0]) if children else self

    def __str__(self) -> str:
        return _text(self, "FIRST" if self.forward else "LAST", f"{self.offset} {self.shift}")


@dataclass(frozen=True, slots=True)
class Total(Expr):
    """An aggregate over the rows whose variable is in ``bits``; ``arg`` None: COUNT(*)."""

    function: str
    arg: Expr | None
    bits: int
    distinct: bool = False
    running: bool = False

    def children(self) -> tuple[Expr, ...]:
        """The argument."""
        return () if self.arg is None else (self.arg,)

    def rebuild(self, children: tuple[Expr, ...]) -> Expr:
        """The same over another argument."""
        return replace(self, arg=children[0]) if children else self

    def __str__(self) -> str:
        return _text(self, self.function, "DISTINCT" if self.distinct else "")


def _text(x: RowValue | Total, name: str, more: str) -> str:
    from deras.sql.plan.show import expression

    arg = "*" if x.arg is None else f"${x.arg.index}" if isinstance(x.arg, InputRef) else expression(x.arg)
    return f"{name}({x.bits:b} {arg} {more} {'running' if x.running else ''})"


def speaks_of_rows(x: Expr) -> bool:
    """Whether an expression holds one of these."""
    return any(isinstance(y, (RowValue, Total)) for y in x.walk())
