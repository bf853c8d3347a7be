"""Statements that are not queries: DDL, SET, SHOW, DESCRIBE, USE."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from deras.core.errors import BindError, DerasError, PlanError, did_you_mean
from deras.core.schema import Field, Schema
from deras.core.types import BOOLEAN, STRING
from deras.sql.bind.expressions import not_yet
from deras.sql.bind.query import QueryBinder
from deras.sql.bind.tables import create_table
from deras.sql.catalog import CatalogFunction, CatalogTable, CatalogView, MaterializedView, Relation
from deras.sql.planned import Planned
from deras.sql.syntax import ast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deras.sql.planner import Planner

_KINDS: dict[str, type] = {"TABLE": CatalogTable, "VIEW": CatalogView, "MATERIALIZED VIEW": MaterializedView}
_NAMES = {CatalogTable: "table", CatalogView: "view", MaterializedView: "materialized view"}


def plan_other(planner: Planner, x: ast.Statement, text: str) -> Planned:
    """Plan a statement that makes no dataflow."""
    match x:
        case ast.CreateTable():
            return _create_table(planner, x, text)
        case ast.CreateView():
            return _create_view(planner, x, text)
        case ast.CreateFunction():
            return _create_function(planner, x, text)
        case ast.Drop():
            return _drop(planner, x)
        case ast.Alter():
            return _alter(planner, x)
        case ast.SetOption():
            return _set(planner, x)
        case ast.ResetOption():
            key = x.key
            return Planned("set", "reset", key or "", lambda: planner.settings.reset(key))
        case ast.Describe():
            return _describe(planner, x)
        case ast.Show():
            return _show(planner, x)
        case ast.Use():
            return _use(planner, x)
        case ast.CreateDatabase():
            return _create_database(planner, x)
        case ast.StopJob():
            return Planned("session", "stop job", x.job, statement=x)
        case ast.CreateCatalog():
            raise not_yet("CREATE CATALOG", x.span)
        case ast.Module():
            return Planned("ddl", f"{x.action.lower()} module", x.name.name, message="modules have no effect")
        case ast.Jar():
            raise PlanError(
                "JAR files cannot be used: there is no JVM", span=x.span, hint="Write the function in Python."
            )
        case ast.Delete() | ast.Update() | ast.Truncate():
            what = type(x).__name__.upper()
            raise PlanError(
                f"{what} is not possible on a stream",
                span=x.span,
                hint="Rows change when their source says so; see upsert sources.",
            )
        case ast.Analyze():
            raise not_yet("ANALYZE TABLE", x.span)
    raise not_yet(type(x).__name__, x.span)


# ---------------------------------------------------------------- CREATE


def _exists(planner: Planner, name: ast.ObjectName) -> Relation | None:
    return planner.catalog.find(name.names, name.span)


def _taken(old: Relation, x: ast.CreateTable | ast.CreateView) -> BindError:
    return BindError(
        f"{_NAMES[type(old)]} '{x.name}' exists already",
        span=x.name.span,
        hint="Drop it first, or write IF NOT EXISTS.",
    )


def _create_table(planner: Planner, x: ast.CreateTable, text: str) -> Planned:
    table = create_table(planner._context(text), x)
    old = _exists(planner, x.name)
    if old is not None and not x.or_replace:
        if x.if_not_exists:
            return Planned("ddl", "create table", table.name, message=f"{table.name} exists already")
        raise _taken(old, x)
    return Planned(
        "ddl",
        "create table",
        table.name,
        lambda: planner.catalog.add(table, x.name.names, replace=x.or_replace),
        message="OK",
    )


def _create_view(planner: Planner, x: ast.CreateView, text: str) -> Planned:
    name = x.name.names[-1]
    old = _exists(planner, x.name)
    if old is not None and not x.or_replace:
        if x.if_not_exists:
            return Planned("ddl", "create view", name, message=f"{name} exists already")
        raise _taken(old, x)
    from deras.sql.planner import _named

    rel = _named(QueryBinder(planner._context(text)).query(x.query), x.columns)
    view = CatalogView(
        name,
        x.query,
        rel.schema,
        text[x.span.start : x.span.end],
        text,
        tuple(c.name for c in x.columns),
        x.comment or "",
        x.temporary,
    )
    return Planned(
        "ddl", "create view", name, lambda: planner.catalog.add(view, x.name.names, replace=x.or_replace), message="OK"
    )


def _create_function(planner: Planner, x: ast.CreateFunction, text: str) -> Planned:
    from deras.sql.functions.udf import load

    if x.language != "PYTHON":
        raise PlanError(
            "functions are written in Python here",
            span=x.span,
            hint="Write CREATE FUNCTION f AS 'module.function' LANGUAGE PYTHON.",
        )
    name = x.name.names[-1]
    if planner.catalog.function(name) is not None:
        if x.if_not_exists:
            return Planned("ddl", "create function", name, message=f"{name} exists already")
        raise BindError(
            f"function '{name}' exists already", span=x.name.span, hint="Drop it first, or write IF NOT EXISTS."
        )
    try:
        udf = load(x.identifier, name, planner.folder)
    except DerasError as e:
        raise BindError(e.message, span=x.span, detail=e.detail, hint=e.hint) from e
    function = CatalogFunction(
        name, x.identifier, udf, text[x.span.start : x.span.end], "PYTHON", temporary=x.temporary
    )
    return Planned("ddl", "create function", name, lambda: planner.catalog.add_function(function), message="OK")


def _create_database(planner: Planner, x: ast.CreateDatabase) -> Planned:
    names = x.name.names
    catalog, name = (names[0], names[1]) if len(names) > 1 else (planner.catalog.current[0], names[0])
    known = planner.catalog.catalogs.get(catalog)
    if known is None:
        raise BindError(f"there is no catalog '{catalog}'", span=x.name.span)
    if name in known and not x.if_not_exists:
        raise BindError(f"database '{name}' exists already", span=x.name.span)
    return Planned("ddl", "create database", name, lambda: known.add(name), message="OK")


# ---------------------------------------------------------------- DROP, ALTER


def _drop(planner: Planner, x: ast.Drop) -> Planned:
    catalog, name = planner.catalog, x.name.names[-1]
    action = f"drop {x.kind.lower()}"
    if x.kind == "FUNCTION":
        if catalog.function(name) is None:
            if x.if_exists:
                return Planned("ddl", action, name, message="nothing to drop")
            hint = did_you_mean(name, [f.name for f in catalog.functions()])
            raise BindError(f"there is no function '{name}'", span=x.name.span, hint=hint)
        return Planned("ddl", action, name, lambda: _ignore(catalog.remove_function(name)), message="OK")
    if x.kind not in _KINDS:
        raise not_yet(f"DROP {x.kind}", x.span)
    found = catalog.find(x.name.names, x.name.span)
    if found is None:
        if x.if_exists:
            return Planned("ddl", action, name, message="nothing to drop")
        found = catalog.relation(x.name.names, x.name.span)
    if not isinstance(found, _KINDS[x.kind]):
        real = _NAMES[type(found)]
        raise BindError(f"'{name}' is a {real}", span=x.name.span, hint=f"Write DROP {real.upper()} {name}.")
    readers = [r for r in catalog.readers(name) if r != name]
    if readers:
        raise PlanError(
            f"'{name}' is read by {', '.join(readers)}",
            span=x.name.span,
            hint=f"Drop {'it' if len(readers) == 1 else 'them'} first.",
        )
    view = found if isinstance(found, MaterializedView) else None
    return Planned("ddl", action, name, lambda: _ignore(catalog.remove(x.name.names)), view=view, message="OK")


def _ignore(_: object) -> None:
    return None


def _alter(planner: Planner, x: ast.Alter) -> Planned:
    from dataclasses import replace

    catalog = planner.catalog
    if x.kind not in _KINDS:
        raise not_yet(f"ALTER {x.kind}", x.span)
    found = catalog.find(x.name.names, x.name.span)
    if found is None and x.if_exists:
        return Planned("ddl", f"alter {x.kind.lower()}", x.name.names[-1], message="nothing to alter")
    found = catalog.relation(x.name.names, x.name.span)
    action = x.action
    if isinstance(action, (ast.SetOptions, ast.ResetOptions)) and isinstance(found, CatalogTable):
        from deras.sql.bind.tables import check_options

        options = dict(found.options)
        if isinstance(action, ast.SetOptions):
            options |= {o.key: o.value for o in action.options}
        else:
            options = {k: v for k, v in options.items() if k not in action.keys}
        changed = replace(found, options=options)
        check_options(changed, action.options if isinstance(action, ast.SetOptions) else ())
        changed = replace(changed, ddl=show_create(changed))
        return Planned(
            "ddl", "alter table", found.name, lambda: catalog.add(changed, x.name.names, replace=True), message="OK"
        )
    raise not_yet(f"ALTER {x.kind} with this action", x.span, "Drop it and create it anew.")


# ---------------------------------------------------------------- SET, USE


def _set(planner: Planner, x: ast.SetOption) -> Planned:
    if x.option is None:
        rows = [(k, v) for k, v in sorted(planner.settings.texts.items())]
        return Planned("rows", "set", schema=Schema((Field("key", STRING), Field("value", STRING))), rows=rows)
    key, value = x.option.key, x.option.value
    from deras.core.errors import OptionError

    try:
        warnings = planner.settings.copy().set(key, value)
    except OptionError as e:
        e.span = x.option.key_span if e.message.startswith("there is no") else x.option.value_span
        raise
    return Planned(
        "set", "set", key, lambda: _ignore(planner.settings.set(key, value)), warnings=warnings, message="OK"
    )


def _use(planner: Planner, x: ast.Use) -> Planned:
    catalog = planner.catalog
    if x.kind == "MODULES":
        return Planned("ddl", "use modules", message="modules have no effect")
    names = x.names[0].names
    if x.kind == "CATALOG":
        if names[0] not in catalog.catalogs:
            raise BindError(
                f"there is no catalog '{names[0]}'", span=x.names[0].span, hint=did_you_mean(names[0], catalog.catalogs)
            )
        current = (names[0], min(catalog.catalogs[names[0]]))
    else:
        current = (names[0], names[1]) if len(names) > 1 else (catalog.current[0], names[0])
        catalog.path((*current, "x"), x.names[0].span)

    def apply() -> None:
        catalog.current = current

    return Planned("ddl", "use", ".".join(current), apply, message="OK")


# ---------------------------------------------------------------- SHOW, DESCRIBE


def _describe(planner: Planner, x: ast.Describe) -> Planned:
    if x.kind == "JOB":
        return Planned("session", "describe job", x.job or "", statement=x)
    if x.kind != "TABLE" or x.name is None:
        raise not_yet(f"DESCRIBE {x.kind}", x.span)
    found = planner.catalog.relation(x.name.names, x.name.span)
    return Planned("rows", "describe", found.name, schema=_DESCRIBE, rows=describe_rows(found))


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


def _show(planner: Planner, x: ast.Show) -> Planned:
    catalog = planner.catalog
    what = x.what
    if what == "JOBS":
        return Planned("session", "show jobs", statement=x)
    lists: dict[str, tuple[str, Iterable[str]]] = {
        "TABLES": ("table name", sorted(r.name for r in catalog.relations())),
        "VIEWS": ("view name", sorted(v.name for v in catalog.views())),
        "MATERIALIZED VIEWS": ("materialized view name", sorted(v.name for v in catalog.materialized_views())),
        "CATALOGS": ("catalog name", sorted(catalog.catalogs)),
        "CURRENT CATALOG": ("current catalog name", [catalog.current[0]]),
        "DATABASES": ("database name", sorted(catalog.catalogs[catalog.current[0]])),
        "CURRENT DATABASE": ("current database name", [catalog.current[1]]),
        "USER FUNCTIONS": ("function name", sorted(f.name for f in catalog.functions())),
        "MODULES": ("module name", ["core"]),
        "JARS": ("jars", []),
        "PROCEDURES": ("procedure name", []),
        "MODELS": ("model name", []),
    }
    if what == "FUNCTIONS":
        from deras.sql.functions.aggregates import NAMES
        from deras.sql.functions.registry import functions

        names = {n.lower() for n in (*functions(), *NAMES)} | {f.name for f in catalog.functions()}
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
    if what.startswith("CREATE ") and x.name is not None and what != "CREATE CATALOG":
        found = catalog.relation(x.name.names, x.name.span)
        kind = _KINDS[what.removeprefix("CREATE ")]
        if not isinstance(found, kind):
            real = _NAMES[type(found)]
            raise BindError(
                f"'{x.name}' is a {real}", span=x.name.span, hint=f"Write SHOW CREATE {real.upper()} {x.name}."
            )
        return Planned("rows", "show", found.name, schema=Schema.of(result=STRING), rows=[(show_create(found),)])
    raise not_yet(f"SHOW {what}", x.span)


def _like(values: Iterable[str], like: ast.ShowLike | None) -> list[str]:
    if like is None:
        return list(values)
    pattern = "".join(".*" if c == "%" else "." if c == "_" else re.escape(c) for c in like.pattern)
    flags = re.IGNORECASE if like.ignore_case else 0
    return [v for v in values if (re.fullmatch(pattern, v, flags) is not None) != like.negated]
