"""INSERT INTO: the query's columns on the table's, with Flink's checks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deras.core.errors import BindError, PlanError, did_you_mean
from deras.core.schema import Field, Schema
from deras.core.types import MAX_LENGTH
from deras.sql.bind.expressions import not_yet
from deras.sql.catalog import CatalogTable
from deras.sql.expr import nodes as e
from deras.sql.functions.registry import cast_to
from deras.sql.plan import nodes as p
from deras.sql.plan.constraints import Constraints
from deras.sql.syntax import ast
from deras.sql.types import implicit

if TYPE_CHECKING:
    from deras.sql.bind.query import QueryBinder


def sink_fields(table: CatalogTable) -> list[Field]:
    """The columns that are written: physical ones and metadata that is not VIRTUAL, as plain columns."""
    return [
        Field(f.name, f.type, comment=f.comment, metadata_key=c.metadata_key)
        for f, c in zip(table.schema, table.columns, strict=True)
        if c.expr is None and not c.virtual
    ]


def bind_insert(q: QueryBinder, x: ast.Insert, into: CatalogTable | None = None) -> tuple[p.Rel, CatalogTable]:
    """The rows as the table takes them, and the table (``into``: one that is not in the catalog yet)."""
    if x.overwrite:
        raise not_yet("INSERT OVERWRITE", x.span, "A stream has no end at which it could replace a table.")
    if x.partition is not None and x.partition.items:
        raise not_yet("INSERT … PARTITION", x.partition.span)
    table = into or q.context.catalog.relation(x.table.names, x.table.span)
    if not isinstance(table, CatalogTable):
        raise PlanError(
            f"'{x.table}' is a view and cannot be written to",
            span=x.table.span,
            hint="INSERT INTO takes a table with a connector.",
        )
    rel = q.query(x.query, root=True)
    fields = sink_fields(table)
    names = [f.name for f in fields]
    if x.columns:
        return _some(q, x, rel, table, fields, names), table
    if len(rel.schema) != len(fields):
        raise BindError(
            f"the query has {len(rel.schema)} columns, table '{table.name}' takes {len(fields)}",
            span=x.query.span,
            detail=f"Query: {_columns(rel.schema)}. Table: {_columns(Schema(tuple(fields)))}.",
            hint="Name the columns that you give: INSERT INTO t (a, b) …",
        )
    return _rows(q, rel, list(range(len(fields))), fields, table, x), table


def _some(
    q: QueryBinder, x: ast.Insert, rel: p.Rel, table: CatalogTable, fields: list[Field], names: list[str]
) -> p.Rel:
    places: list[int] = []
    for path in x.columns:
        if len(path) > 1:
            raise not_yet("a field of a ROW in the column list", path[0].span)
        name = path[0]
        if name.name not in names:
            hint = did_you_mean(name.name, names) or f"It takes: {', '.join(names)}."
            raise BindError(f"table '{table.name}' has no column '{name.name}' to write", span=name.span, hint=hint)
        if names.index(name.name) in places:
            raise BindError(f"column '{name.name}' is named twice", span=name.span)
        places.append(names.index(name.name))
    if len(rel.schema) != len(places):
        raise BindError(f"the query has {len(rel.schema)} columns, {len(places)} are named", span=x.query.span)
    for i, f in enumerate(fields):
        if i not in places and not f.type.nullable:
            raise BindError(
                f"column '{f.name}' of table '{table.name}' is NOT NULL and gets no value",
                span=x.table.span,
                hint="Name it in the column list.",
            )
    source = [places.index(i) if i in places else -1 for i in range(len(fields))]
    return _rows(q, rel, source, fields, table, x)


def _rows(
    q: QueryBinder, rel: p.Rel, source: list[int], fields: list[Field], table: CatalogTable, x: ast.Insert
) -> p.Rel:
    exprs: list[e.Expr] = []
    for f, i in zip(fields, source, strict=True):
        if i < 0:
            exprs.append(e.Literal(f.type, None))
            continue
        given = rel.schema[i]
        if not implicit(given.type, f.type):
            raise BindError(
                f"column '{f.name}' of table '{table.name}' is {f.type.with_nullable(True)}, "
                f"the query gives {given.type.with_nullable(True)}",
                span=_item_span(x, i),
                detail=f"Query: {_columns(rel.schema)}. Table: {_columns(Schema(tuple(fields)))}.",
                hint=f"Convert it with CAST(… AS {f.type.with_nullable(True)}).",
            )
        ref = e.InputRef(given.type, i, at=None)
        exprs.append(cast_to(ref, f.type))
    schema = Schema(
        tuple(
            Field(f.name, x.type, comment=f.comment, metadata_key=f.metadata_key)
            for f, x in zip(fields, exprs, strict=True)
        )
    )
    return _constrained(q, p.Calc(schema, rel, tuple(exprs)), fields)


def _constrained(q: QueryBinder, rel: p.Rel, fields: list[Field]) -> p.Rel:
    """With what the table promises enforced: NOT NULL always, lengths where the settings say so."""
    settings = q.context.settings
    null = tuple(
        i for i, (f, g) in enumerate(zip(fields, rel.schema, strict=True)) if g.type.nullable and not f.type.nullable
    )
    fit = settings.get("table.exec.sink.type-length-enforcer")
    sized = tuple(
        i
        for i, f in enumerate(fields)
        if fit != "IGNORE" and (f.type.is_text or f.type.is_bytes) and f.type.precision < MAX_LENGTH
    )
    if not null and not sized:
        return rel
    strict = tuple(
        replace(g, type=g.type.with_nullable(False) if i in null else g.type) for i, g in enumerate(rel.schema)
    )
    drop = settings.get("table.exec.sink.not-null-enforcer") == "DROP"
    return Constraints(Schema(strict), rel, null, sized, "TRIM_PAD" if fit == "TRIM_PAD" else "ERROR", drop)


def _item_span(x: ast.Insert, i: int) -> ast.Span:
    body = x.query.body
    if (
        isinstance(body, ast.Select)
        and not any(isinstance(s.expr, ast.Star) for s in body.items)
        and i < len(body.items)
    ):
        return body.items[i].span
    return x.query.span


def _columns(schema: Schema) -> str:
    return "[" + ", ".join(f"{f.name}: {f.type}" for f in schema) + "]"
