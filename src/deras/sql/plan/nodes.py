"""The logical plan: few nodes, plain data. Each knows the schema of what it gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from deras.core.schema import Schema
    from deras.core.types import SqlType
    from deras.sql.catalog import CatalogTable, MaterializedView
    from deras.sql.expr.nodes import Expr

WindowKind = Literal["tumble", "hop", "cumulate"]


@dataclass(frozen=True, slots=True)
class Rel:
    """The base of plan nodes."""

    schema: Schema

    def inputs(self) -> tuple[Rel, ...]:
        """The nodes that this one reads."""
        return ()

    def rebuild(self, inputs: tuple[Rel, ...]) -> Rel:
        """The same over other inputs of the same schemas."""
        return self


@dataclass(frozen=True, slots=True)
class Scan(Rel):
    """A table: its physical and metadata columns, and the rowtime column if that is computed.

    ``computed`` is None or the rowtime's expression over the columns before it; ``watermark`` is an expression over
    ``schema``.
    """

    table: CatalogTable
    options: tuple[tuple[str, str], ...]
    rowtime: int | None = None
    computed: Expr | None = None
    watermark: Expr | None = None
    used: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class ViewScan(Rel):
    """The changes of a materialized view."""

    view: MaterializedView


@dataclass(frozen=True, slots=True)
class Values(Rel):
    """Constant rows."""

    rows: tuple[tuple[Expr, ...], ...]


@dataclass(frozen=True, slots=True)
class Unary(Rel):
    """The base of nodes with one input."""

    input: Rel

    def inputs(self) -> tuple[Rel, ...]:
        """The input."""
        return (self.input,)

    def rebuild(self, inputs: tuple[Rel, ...]) -> Rel:
        """The same over another input."""
        return replace(self, input=inputs[0])


@dataclass(frozen=True, slots=True)
class Calc(Unary):
    """A filter, then projections; ``exprs`` None keeps all columns, ``predicate`` None keeps all rows."""

    exprs: tuple[Expr, ...] | None = None
    predicate: Expr | None = None


@dataclass(frozen=True, slots=True)
class AggCall:
    """One aggregate over columns of the input. ``window``: START, END or TIME of the window instead of an aggregate."""

    function: str
    arg: int | None
    type: SqlType
    distinct: bool = False
    filter: int | None = None
    input_type: SqlType | None = None


@dataclass(frozen=True, slots=True)
class Aggregate(Unary):
    """Groups by ``keys``; gives the keys, then the calls."""

    keys: tuple[int, ...]
    calls: tuple[AggCall, ...]


@dataclass(frozen=True, slots=True)
class WindowTvf(Unary):
    """TUMBLE, HOP or CUMULATE: the input's columns, then start, end and time. ``time`` None: processing time."""

    time: int | None
    kind: WindowKind
    size: int
    slide: int
    offset: int = 0
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class WindowAggregate(Unary):
    """Groups by the window of ``time`` and by ``keys``; gives keys, calls, and the columns named in ``window``."""

    time: int | None
    kind: WindowKind
    size: int
    slide: int
    offset: int
    zone: str | None
    keys: tuple[int, ...]
    calls: tuple[AggCall, ...]
    window: tuple[str, ...]


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


@dataclass(frozen=True, slots=True)
class Limit(Unary):
    """The first rows."""

    count: int


@dataclass(frozen=True, slots=True)
class Detect(Unary):
    """DETECT_ANOMALIES: the input's columns and five of the detector."""

    keys: tuple[int, ...]
    time: int
    value: int
    options: tuple[tuple[str, str], ...] = ()


def walk(rel: Rel) -> list[Rel]:
    """All nodes, inputs before users."""
    found: list[Rel] = []
    stack: list[tuple[Rel, bool]] = [(rel, False)]
    while stack:
        r, done = stack.pop()
        if done:
            found.append(r)
            continue
        stack.append((r, True))
        stack.extend((i, False) for i in reversed(r.inputs()))
    return found
