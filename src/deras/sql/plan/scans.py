"""Where rows come from: tables, materialized views, constants."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deras.sql.expr import nodes as e
from deras.sql.plan.rel import Place, Rel
from deras.sql.plan.show import clause, expression

if TYPE_CHECKING:
    from deras.core.contracts import Changes
    from deras.core.predicates import Filters
    from deras.sql.catalog import CatalogTable, MaterializedView
    from deras.sql.expr.nodes import Expr


@dataclass(frozen=True, slots=True)
class Scan(Rel):
    """A table: its physical and metadata columns, and the rowtime column if that is computed.

    ``computed`` is None or the rowtime's expression over the columns before it; ``watermark`` is an expression over
    ``schema``. ``changes``: what the source gives; ``key``: positions of the PRIMARY KEY in ``schema``; ``filters``:
    what its source may leave out, since all that is above removes it.
    """

    table: CatalogTable
    options: tuple[tuple[str, str], ...]
    rowtime: int | None = None
    computed: Expr | None = None
    watermark: Expr | None = None
    used: tuple[int, ...] | None = None
    changes: Changes = "insert"
    key: tuple[int, ...] = ()
    filters: Filters = ()

    def makes_updates(self) -> bool:
        """A changelog source does."""
        return self.changes != "insert"

    def changelog(self) -> str:
        """Without the row before, where the source does not give it."""
        return {"insert": "I", "upsert": "I,UA,D", "all": "I,UB,UA,D"}[self.changes]

    def upsert_key(self) -> tuple[int, ...]:
        """The PRIMARY KEY. It is trusted, as NOT ENFORCED says."""
        return self.key

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """Note which columns are read; the positions stay."""
        used = set(needed)
        if self.watermark is not None:
            used |= e.refs(self.watermark)
        if self.rowtime is not None:
            used.add(self.rowtime)
        if self.computed is not None:
            used |= e.refs(self.computed)
        if self.changes == "upsert":
            used |= set(self.key)
        return replace(self, used=tuple(sorted(used))), {i: i for i in range(len(self.schema))}

    def describe(self) -> str:
        """Table, columns that are read, watermark, what the source is told of filters."""
        shown = self.used if self.used is not None else range(len(self.schema))
        names = self.schema.names
        mark = ""
        if self.watermark is not None and self.rowtime is not None:
            mark = f", watermark: {names[self.rowtime]} AS {expression(self.watermark, names)}"
        if self.filters:
            mark += f", filter: [{' AND '.join(clause(c, self.schema) for c in self.filters)}]"
        return f"Scan(table: {self.table.name}, columns: [{', '.join(names[i] for i in shown)}]{mark})"

    def normal(self) -> str:
        """Without the columns that are read and what is told of filters: neither is part of what the table is."""
        options = ";".join(f"{k}={v}" for k, v in sorted(self.options))
        columns = ",".join(f"{f.name} {f.type}" for f in self.schema)
        parts = [self.table.name, columns, options]
        parts += [expression(x) for x in (self.computed, self.watermark) if x is not None]
        if self.changes != "insert":
            parts.append(self.changes)
        return f"scan[{'|'.join(parts)}]"


@dataclass(frozen=True, slots=True)
class ViewScan(Rel):
    """The changes of a materialized view."""

    view: MaterializedView

    def makes_updates(self) -> bool:
        """As the view."""
        return not self.view.append_only

    def upsert_key(self) -> tuple[int, ...]:
        """The view's."""
        return self.view.schema.key

    def describe(self) -> str:
        """The view's name."""
        return f"Scan(view: {self.view.name})"

    def normal(self) -> str:
        """Name and types."""
        return f"view[{self.view.name}|{','.join(str(f.type) for f in self.schema)}]"


@dataclass(frozen=True, slots=True)
class Values(Rel):
    """Constant rows."""

    rows: tuple[tuple[Expr, ...], ...]

    def describe(self) -> str:
        """How many."""
        return f"Values(rows: {len(self.rows)})"
