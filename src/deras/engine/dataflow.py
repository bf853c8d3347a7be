"""A dataflow as plain data: what the SQL room makes of a statement and the runtime attaches to the running graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deras.core.predicates import Filters
    from deras.core.schema import Schema
    from deras.engine.operator import Operator, SourceOperator


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A table to be read.

    Args:
        table: the table's name in the catalog.
        connector: its connector's name.
        options: the texts of its WITH clause (hints merged in).
        schema: physical and metadata columns, in the order in which the source operator expects them.
        wanted: positions in ``schema`` that anybody reads.
        make: makes the source operator (computed columns, watermark).
        name: stable name of the source operator's state.
        rowtime: position in ``schema`` of the physical column that is (or feeds) the rowtime, if any.
        partition_keys: PARTITIONED BY.
        filters: rows of which they are not TRUE need not come.
    """

    table: str
    connector: str
    options: dict[str, str]
    schema: Schema
    wanted: tuple[int, ...]
    make: Callable[[], SourceOperator]
    name: str
    rowtime: int | None = None
    alignment: str | None = None
    partition_keys: tuple[str, ...] = ()
    filters: Filters = ()


@dataclass(frozen=True, slots=True)
class LookupSpec:
    """A table that an operator asks by key.

    Args:
        table: the table's name.
        options: the texts of its WITH clause (hints merged in).
        schema: the columns that it gives.
        keys: positions of the columns that are compared.
    """

    table: str
    options: dict[str, str]
    schema: Schema
    keys: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """An operator to be added.

    Args:
        name: stable name: a hash of the normalised subplan plus the view's name.
        make: makes the operator.
        inputs: each an index into ``Dataflow.nodes`` (>= 0) or ``~i`` for ``Dataflow.sources[i]``.
        label: for EXPLAIN, metrics and messages, e.g. ``GroupAggregate(sensor)``.
        lookup: the table that the operator asks by key; it is given to the operator's ``attach``.
        work: what the operator does to the rows of its inputs, comparable by ``==``: dataflows that begin together may
            share nodes of equal work over the same inputs; None: never.
    """

    name: str
    make: Callable[[], Operator]
    inputs: tuple[int, ...]
    label: str = ""
    lookup: LookupSpec | None = None
    work: object = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where the changes go.

    Args:
        kind: ``view`` (a materialised view), ``sink`` (a table), ``query`` (a caller that reads changes).
        name: the view's or table's name.
        connector: of a sink.
        options: of a sink.
        schema: the rows that arrive; ``schema.key`` is the upsert key.
        upsert_key: positions of the query's own upsert key, or () if only the whole row identifies it.
        single_row: there is never more than one row (a global aggregate), so each replaces the one before.
        comment: for views.
        partition_keys: of a sink: PARTITIONED BY.
        replaces: whether a row that takes another's place is an update; False: row kinds are +I and -D only.
        forgetful: an operator forgets what was not written for a time, so that rows may be taken back that are not
            there.
    """

    kind: Literal["view", "sink", "query"]
    name: str
    schema: Schema
    connector: str = ""
    options: dict[str, str] = field(default_factory=dict)
    upsert_key: tuple[int, ...] = ()
    comment: str = ""
    single_row: bool = False
    partition_keys: tuple[str, ...] = ()
    replaces: bool = True
    forgetful: bool = False

    @property
    def identity(self) -> tuple[int, ...] | None:
        """What makes two rows an update: the upsert key, () for a single row, None if nothing does."""
        return self.upsert_key if self.replaces and (self.upsert_key or self.single_row) else None


@dataclass(frozen=True, slots=True)
class Dataflow:
    """One statement's operators.

    Args:
        sources: tables to read.
        nodes: operators in topological order.
        output: the node (or ``~source``) whose changes go to the target.
        target: where to.
        append_only: whether the output only inserts.
        sql: the statement's text.
        warnings: sentences for EXPLAIN and the log (state that grows for ever …).
        views: materialised views that are read: their changes are inputs, as sources with connector ``view``.
        deterministic: False with processing time or non-deterministic functions.
        limit: rows after which a query target is complete, if the query ends in LIMIT.
    """

    sources: Sequence[SourceSpec]
    nodes: Sequence[NodeSpec]
    output: int
    target: Target
    append_only: bool
    sql: str = ""
    warnings: Sequence[str] = ()
    views: Sequence[str] = ()
    deterministic: bool = True
    limit: int | None = None
    explain: dict[str, Any] = field(default_factory=dict)

    @property
    def materialised(self) -> bool:
        """Whether the target's rows must be kept to find the one of each key.

        So it is for views, and for sinks whose primary key is not the query's own upsert key: the last arrived row of a
        key wins, and when it goes the one before comes back.
        """
        t = self.target
        if t.kind == "view":
            return True
        own = bool(t.upsert_key) and set(t.upsert_key) <= set(t.schema.key)
        return t.kind == "sink" and bool(t.schema.key) and not self.append_only and not own

    @property
    def identity(self) -> tuple[int, ...] | None:
        """What tells the rows that reach the target apart: positions, () for a single row, None for the whole row."""
        key = self.target.schema.key
        return key if key and self.materialised else self.target.identity
