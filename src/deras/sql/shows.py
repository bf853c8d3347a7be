"""SHOW and DESCRIBE: what is known of names, as Flink prints it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from deras.core.errors import BindError, did_you_mean
from deras.core.schema import Field, Schema
from deras.core.types import BOOLEAN, STRING
from deras.sql.bind.expressions import not_yet
from deras.sql.catalog import CatalogTable, CatalogView, MaterializedView, Relation
from deras.sql.planned import Planned

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deras.sql.planner import Planner
    from deras.sql.syntax import ast

KINDS: dict[str, type] = {"TABLE": CatalogTable, "VIEW": CatalogView, "MATERIALIZED VIEW": MaterializedView}
NAMES = {CatalogTable: "table", CatalogView: "view", MaterializedView: "materialized view"}


def plan_describe(planner: Planner, x: ast.Describe) -> Planned:
    """Plan DESCRIBE of a table, function, catalog, database or job."""
    if x.kind == "JOB":
        return Planned("session", "describe job", x.job or "", statement=x)
    if x.kind in ("CATALOG", "DATABASE") and x.name is not None:
        return _describe_space(planner, x, x.name)
    if x.kind == "FUNCTION" and x.name is not None:
        return _describe_function(planner, x.name)
    if x.kind != "TABLE" or x.name is None:
        raise not_yet(f"DESCRIBE {x.kind}", x.span)
    found = planner.catalog.relation(x.name.names, x.name.span)
    return Planned("rows", "describe", found.name, schema=_DESCRIBE, rows=describe_rows(found))


_INFO = Schema((Field("info name", STRING), Field("info value", STRING)))


def _describe_space(planner: Planner, x: ast.Describe, name: ast.ObjectName) -> Planned:
    catalog = planner.catalog
    if x.kind == "CATALOG":
        catalog.path(
            (name.names[0], catalog.home(name.names[0]) if name.names[0] in catalog.catalogs else "", ""), name.span
        )
        space = catalog.spaces[name.names[0],]
        rows = [("name", name.names[0]), ("type", space.options.get("type", "generic_in_memory"))]
    else:
        path = catalog.path((*name.names, ""), name.span)[:2]
        space = catalog.spaces[path]
        rows = [("catalog", path[0]), ("name", path[1])]
    rows.append(("comment", space.comment))
    if x.extended:
        rows += [(f"option:{k}", v) for k, v in sorted(space.options.items()) if k != "type"]
    return Planned("rows", "describe", name.names[-1], schema=_INFO, rows=rows)


def _describe_function(planner: Planner, name: ast.ObjectName) -> Planned:
    from deras.sql.functions.aggregates import NAMES as AGGREGATES
    from deras.sql.functions.registry import functions

    own = planner.catalog.function(name.names[-1])
    if own is None and name.names[-1].upper() not in {*functions(), *AGGREGATES}:
        hint = did_you_mean(name.names[-1], [*functions(), *AGGREGATES, *(f.name for f in planner.catalog.functions())])
        raise BindError(f"there is no function '{name}'", span=name.span, hint=hint)
    rows = [("is system function", "true" if own is None else "false")]
    if own is not None:
        rows += [
            ("is temporary", str(own.temporary).lower()),
            ("class name", own.identifier),
            ("function language", own.language),
        ]
    return Planned("rows", "describe", name.names[-1], schema=_INFO, rows=rows)


_DESCRIBE = Schema(
    tuple(
        Field(n, BOOLEAN if n == "null" else STRING)
        for n in ("name", "type", "null", "key", "extras", "watermark", "comment")
    )
)


def describe_rows(r: Relation) -> list[tuple[object, ...]]:
    """The columns of a table or view, as Flink's DESCRIBE shows them."""
    columns = {c.name: c for c in r.columns} if isinstance(r, CatalogTable) else {}
    key = f"PRI({', '.join(r.schema[k].name for k in r.schema.key)})" if r.schema.key else ""
    rows: list[tuple[object, ...]] = []
    for i, f in enumerate(r.schema):
        extras = watermark = None
        if isinstance(r, CatalogTable):
            c = columns[f.name]
            if c.expr is not None:
                extras = f"AS {_written(c.expr)}"
            elif c.metadata_key is not None:
                origin = "" if c.metadata_key == c.name else f" FROM '{c.metadata_key}'"
                extras = f"METADATA{origin}{' VIRTUAL' if c.virtual else ''}"
            if r.watermark is not None and r.watermark[0] == f.name:
                watermark = _written(r.watermark[1])
        shown = str(f.type.with_nullable(True)) + {None: "", "rowtime": " *ROWTIME*", "proctime": " *PROCTIME*"}[f.time]
        rows.append(
            (f.name, shown, f.type.nullable, key if i in r.schema.key else None, extras, watermark, f.comment or None)
        )
    return rows


def _written(x: ast.Expr) -> str:
    from deras.sql.syntax.printer import to_sql

    return to_sql(x)


def show_create(r: Relation) -> str:
    """The statement that makes a table or view again."""
    if not isinstance(r, CatalogTable):
        return r.ddl
    lines = []
    for f, c in zip(r.schema, r.columns, strict=True):
        comment = f" COMMENT {_quote(c.comment)}" if c.comment else ""
        if c.expr is not None:
            lines.append(f"`{f.name}` AS {_written(c.expr)}{comment}")
        elif c.metadata_key is not None:
            origin = "" if c.metadata_key == c.name else f" FROM {_quote(c.metadata_key)}"
            lines.append(f"`{f.name}` {f.type} METADATA{origin}{' VIRTUAL' if c.virtual else ''}{comment}")
        else:
            lines.append(f"`{f.name}` {f.type}{comment}")
    if r.watermark is not None:
        lines.append(f"WATERMARK FOR `{r.watermark[0]}` AS {_written(r.watermark[1])}")
    if r.schema.key:
        lines.append(f"PRIMARY KEY ({', '.join(f'`{r.schema[k].name}`' for k in r.schema.key)}) NOT ENFORCED")
    body = ",\n".join(f"  {line}" for line in lines)
    text = f"CREATE {'TEMPORARY ' if r.temporary else ''}TABLE `{r.name}` (\n{body}\n)"
    if r.comment:
        text += f"\nCOMMENT {_quote(r.comment)}"
    if r.partition_keys:
        text += f"\nPARTITIONED BY ({', '.join(f'`{k}`' for k in r.partition_keys)})"
    if r.options:
        options = ",\n".join(f"  {_quote(k)} = {_quote(v)}" for k, v in r.options.items())
        text += f"\nWITH (\n{options}\n)"
    return text


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def plan_show(planner: Planner, x: ast.Show) -> Planned:
    """Plan SHOW of whatever has names."""
    catalog = planner.catalog
    what = x.what
    if what == "JOBS":
        return Planned("session", "show jobs", statement=x)
    database = catalog.current
    if x.name is not None and what in ("TABLES", "VIEWS", "MATERIALIZED VIEWS", "DATABASES"):
        given = x.name.names
        if what == "DATABASES":
            catalog.path((given[0], catalog.home(given[0]) if given[0] in catalog.catalogs else "", ""), x.name.span)
            database = (given[0], "")
        else:
            database = catalog.path((*given, ""), x.name.span)[:2]
    if what == "CREATE CATALOG" and x.name is not None:
        return _show_catalog(planner, x.name)
    if what == "PARTITIONS" and x.name is not None:
        return _show_partitions(planner, x.name)
    if what == "FULL MODULES":
        schema = Schema((Field("module name", STRING), Field("used", BOOLEAN)))
        return Planned("rows", "show", schema=schema, rows=[("core", True)])
    relations = list(catalog.relations(database)) if what in ("TABLES", "VIEWS", "MATERIALIZED VIEWS") else []
    lists: dict[str, tuple[str, Iterable[str]]] = {
        "TABLES": ("table name", sorted(r.name for r in relations)),
        "VIEWS": ("view name", sorted(r.name for r in relations if isinstance(r, CatalogView))),
        "MATERIALIZED VIEWS": (
            "materialized view name",
            sorted(r.name for r in relations if isinstance(r, MaterializedView)),
        ),
        "CATALOGS": ("catalog name", sorted(catalog.catalogs)),
        "CURRENT CATALOG": ("current catalog name", [catalog.current[0]]),
        "DATABASES": ("database name", sorted(catalog.catalogs[database[0]])),
        "CURRENT DATABASE": ("current database name", [catalog.current[1]]),
        "USER FUNCTIONS": ("function name", sorted(f.name for f in catalog.functions())),
        "MODULES": ("module name", ["core"]),
        "JARS": ("jars", []),
        "PROCEDURES": ("procedure name", []),
        "MODELS": ("model name", []),
    }
    if what == "FUNCTIONS":
        from deras.sql.functions.aggregates import NAMES as AGGREGATES
        from deras.sql.functions.registry import functions

        names = {n.lower() for n in (*functions(), *AGGREGATES)} | {f.name for f in catalog.functions()}
        lists[what] = ("function name", sorted(names))
    if what in lists:
        column, values = lists[what]
        return Planned(
            "rows", "show", schema=Schema((Field(column, STRING),)), rows=[(v,) for v in _like(values, x.like)]
        )
    if what == "COLUMNS" and x.name is not None:
        found = catalog.relation(x.name.names, x.name.span)
        rows = describe_rows(found)
        kept = set(_like([str(r[0]) for r in rows], x.like))
        return Planned("rows", "show", found.name, schema=_DESCRIBE, rows=[r for r in rows if r[0] in kept])
    if what.startswith("CREATE ") and x.name is not None:
        found = catalog.relation(x.name.names, x.name.span)
        kind = KINDS[what.removeprefix("CREATE ")]
        if not isinstance(found, kind):
            real = NAMES[type(found)]
            raise BindError(
                f"'{x.name}' is a {real}", span=x.name.span, hint=f"Write SHOW CREATE {real.upper()} {x.name}."
            )
        return Planned("rows", "show", found.name, schema=Schema.of(result=STRING), rows=[(show_create(found),)])
    raise not_yet(f"SHOW {what}", x.span)


def _show_catalog(planner: Planner, name: ast.ObjectName) -> Planned:
    catalog = planner.catalog
    if name.names[0] not in catalog.catalogs:
        hint = did_you_mean(name.names[0], catalog.catalogs) or "See SHOW CATALOGS."
        raise BindError(f"there is no catalog '{name}'", span=name.span, hint=hint)
    space = catalog.spaces[name.names[0],]
    text = f"CREATE CATALOG `{name.names[0]}`"
    if space.comment:
        text += f" COMMENT {_quote(space.comment)}"
    options = {"type": "generic_in_memory", **space.options}
    text += " WITH (\n" + ",\n".join(f"  {_quote(k)} = {_quote(v)}" for k, v in options.items()) + "\n)"
    return Planned("rows", "show", name.names[0], schema=Schema.of(result=STRING), rows=[(text,)])


def _show_partitions(planner: Planner, name: ast.ObjectName) -> Planned:
    found = planner.catalog.relation(name.names, name.span)
    if not isinstance(found, CatalogTable) or not found.partition_keys:
        raise BindError(f"'{name}' is no partitioned table", span=name.span)
    if found.connector != "filesystem" or "path" not in found.options:
        raise not_yet("SHOW PARTITIONS of a table that is no folder", name.span)
    folder = planner.folder / found.options["path"].removeprefix("file://")
    depth = len(found.partition_keys)
    rows = sorted("/".join(p.relative_to(folder).parts) for p in folder.glob("/".join("*=*" for _ in range(depth))))
    return Planned(
        "rows", "show", found.name, schema=Schema((Field("partition name", STRING),)), rows=[(r,) for r in rows]
    )


def _like(values: Iterable[str], like: ast.ShowLike | None) -> list[str]:
    if like is None:
        return list(values)
    pattern = "".join(".*" if c == "%" else "." if c == "_" else re.escape(c) for c in like.pattern)
    flags = re.IGNORECASE if like.ignore_case else 0
    return [v for v in values if (re.fullmatch(pattern, v, flags) is not None) != like.negated]
