"""Bound expressions: typed trees over the columns of one input, by position.

Equality and hash ignore where an expression was written, so equal subtrees are found by comparing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from typing import Literal as Word

from deras.core.errors import Span, line_column
from deras.core.types import BOOLEAN, SqlType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deras.sql.functions.registry import Function
    from deras.sql.functions.udaf import UserAggregate
    from deras.sql.functions.udf import UserFunction


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a SQL text, for messages about rows."""

    text: str
    span: Span

    def __str__(self) -> str:
        if not self.text:
            return ""
        line, column = line_column(self.text, self.span.start)
        snippet = " ".join(self.text[self.span.start : self.span.end].split())
        if len(snippet) > 60:
            snippet = snippet[:59] + "…"
        return f"in `{snippet}` (line {line}, column {column})"


@dataclass(frozen=True, slots=True)
class Expr:
    """The base: every expression has a type and knows where it was written."""

    type: SqlType
    at: Where | None = field(default=None, compare=False, repr=False, kw_only=True)

    def children(self) -> tuple[Expr, ...]:
        """The direct operands."""
        return ()

    def rebuild(self, children: tuple[Expr, ...]) -> Expr:
        """The same with other operands."""
        return self

    def walk(self) -> Iterator[Expr]:
        """This and everything below, parents first."""
        stack: list[Expr] = [self]
        while stack:
            e = stack.pop()
            yield e
            stack.extend(reversed(e.children()))


@dataclass(frozen=True, slots=True)
class InputRef(Expr):
    """A column of the input."""

    index: int


@dataclass(frozen=True, slots=True)
class Literal(Expr):
    """A constant in physical form: scaled DECIMAL, µs (ns) of TIMESTAMP, days, ns of day, months, ms; None: NULL."""

    value: Any


@dataclass(frozen=True, slots=True)
class Call(Expr):
    """A built-in scalar function."""

    function: Function
    args: tuple[Expr, ...]

    def children(self) -> tuple[Expr, ...]:
        """The arguments."""
        return self.args

    def rebuild(self, children: tuple[Expr, ...]) -> Expr:
        """The same call with other arguments."""
        return replace(self, args=children)


@dataclass(frozen=True, slots=True)
class UdfCall(Expr):
    """A user's Python function."""

    udf: UserFunction
    args: tuple[Expr, ...]

    def children(self) -> tuple[Expr, ...]:
        """The arguments."""
        return self.args

    def rebuild(self, children: tuple[Expr, ...]) -> Expr:
        """The same call with other arguments."""
        return replace(self, args=children)


@dataclass(frozen=True, slots=True)
class Cast(Expr):
    """CAST, or TRY_CAST where ``safe``."""

    arg: Expr
    safe: bool = False

    def children(self) -> tuple[Expr, ...]:
        """The operand."""
        return (self.arg,)

    def rebuild(self, children: tuple[Expr, ...]) -> Expr:
        """The same cast of another operand."""
        return replace(self, arg=children[0])


@dataclass(frozen=True, slots=True)
class Case(Expr):
    """``conditions[i]`` chooses ``results[i]``, else ``results[-1]``."""

    conditions: tuple[Expr, ...]
    results: tuple[Expr, ...]

    def children(self) -> tuple[Expr, ...]:
        """Conditions, then results."""
        return self.conditions + self.results

    def rebuild(self, children: tuple[Expr, ...]) -> Expr:
        """The same shape with other operands."""
        n = len(self.conditions)
        return replace(self, conditions=children[:n], results=children[n:])


@dataclass(frozen=True, slots=True)
class Logic(Expr):
    """AND or OR of two or more terms."""

    op: Word["AND", "OR"]
    terms: tuple[Expr, ...]

    def children(self) -> tuple[Expr, ...]:
        """The terms."""
        return self.terms

    def rebuild(self, children: tuple[Expr, ...]) -> Expr:
        """The same with other terms."""
        return replace(self, terms=children)


@dataclass(frozen=True, slots=True)
class Context(Expr):
    """A value of the step: ``now`` and ``proctime`` (processing time), or ``watermark`` (what the row saw)."""

    kind: Word["now", "proctime", "watermark"]


@dataclass(frozen=True, slots=True)
class AggregateRef(Expr):
    """An aggregate call while its SELECT is being bound; planning replaces it by a column."""

    function: str
    args: tuple[Expr, ...]
    distinct: bool = False
    filter: Expr | None = None
    user: UserAggregate | None = None

    def children(self) -> tuple[Expr, ...]:
        """The arguments (not rewritten through: they speak of the aggregate's input)."""
        return ()


@dataclass(frozen=True, slots=True)
class Outer(Expr):
    """In a subquery's plan: a value of the query around it, by position in ``Subquery.outer``."""

    index: int


@dataclass(frozen=True, slots=True)
class Subquery(Expr):
    """A subquery while its SELECT is being bound; it becomes a join.

    Args:
        kind: ``SCALAR``: its one value; ``EXISTS``: whether it has rows; ``IN``: whether ``operands`` are among them.
        plan: a ``Rel``; its expressions may hold ``Outer``.
        operands: what is searched, one per column.
        outer: what each ``Outer`` of the plan means here.
    """

    kind: Word["SCALAR", "EXISTS", "IN"]
    plan: Any
    operands: tuple[Expr, ...] = ()
    outer: tuple[Expr, ...] = ()

    def children(self) -> tuple[Expr, ...]:
        """What it reads of the query around it."""
        return self.operands + self.outer

    def rebuild(self, children: tuple[Expr, ...]) -> Expr:
        """The same over another input."""
        n = len(self.operands)
        return replace(self, operands=children[:n], outer=children[n:])


def transform(e: Expr, change: Callable[[Expr], Expr | None]) -> Expr:
    """Replace from the top: where ``change`` gives an expression it is taken and not entered; None goes on below."""
    found = change(e)
    if found is not None:
        return found
    children = e.children()
    if not children:
        return e
    new = tuple(transform(c, change) for c in children)
    return e if all(a is b for a, b in zip(new, children, strict=True)) else e.rebuild(new)


def refs(e: Expr) -> set[int]:
    """Positions of the input columns that an expression reads."""
    return {x.index for x in e.walk() if isinstance(x, InputRef)}


def shift(e: Expr, by: int) -> Expr:
    """The same over an input whose columns begin ``by`` further."""
    return remap(e, lambda i: i + by) if by else e


def remap(e: Expr, place: Callable[[int], int]) -> Expr:
    """The same with other column positions."""
    return transform(e, lambda x: replace(x, index=place(x.index)) if isinstance(x, InputRef) else None)


def substitute(e: Expr, columns: tuple[Expr, ...]) -> Expr:
    """The same with every column replaced by its definition."""
    return transform(e, lambda x: columns[x.index] if isinstance(x, InputRef) else None)


def conjuncts(e: Expr | None) -> list[Expr]:
    """The terms of an AND (nested ones opened)."""
    if e is None:
        return []
    if isinstance(e, Logic) and e.op == "AND":
        return [c for t in e.terms for c in conjuncts(t)]
    return [e]


def conjunction(terms: list[Expr]) -> Expr | None:
    """AND of the terms; None for none."""
    if not terms:
        return None
    if len(terms) == 1:
        return terms[0]
    return Logic(BOOLEAN.with_nullable(any(t.type.nullable for t in terms)), "AND", tuple(terms))


def deterministic(e: Expr) -> bool:
    """Whether the same row always gives the same value."""
    for x in e.walk():
        if isinstance(x, Context):
            return False
        if isinstance(x, Call) and not x.function.deterministic:
            return False
        if isinstance(x, UdfCall) and not x.udf.deterministic:
            return False
    return True
