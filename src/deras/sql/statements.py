"""Statements that are not queries: DDL, SET, SHOW, DESCRIBE, USE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.core.errors import BindError, DerasError, PlanError, did_you_mean
from deras.core.schema import Field, Schema
from deras.core.types import STRING
from deras.sql.alter import plan_alter
from deras.sql.bind.expressions import not_yet
from deras.sql.bind.query import QueryBinder
from deras.sql.bind.tables import create_table
from deras.sql.catalog import CatalogFunction, CatalogView, MaterializedView, Relation
from deras.sql.namespaces import create_catalog, create_database, drop_space
from deras.sql.planned import Planned
from deras.sql.shows import KINDS, NAMES, plan_describe, plan_show
from deras.sql.syntax import ast

if TYPE_CHECKING:
    from deras.sql.planner import Planner


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
            return plan_alter(planner, x, text)
        case ast.SetOption():
            return _set(planner, x)
        case ast.ResetOption():
            key = x.key
            return Planned("set", "reset", key or "", lambda: planner.settings.reset(key))
        case ast.Describe():
            return plan_describe(planner, x)
        case ast.Show():
            return plan_show(planner, x)
        case ast.Use():
            return _use(planner, x)
        case ast.CreateDatabase():
            return create_database(planner, x, text)
        case ast.StopJob():
            return Planned("session", "stop job", x.job, statement=x)
        case ast.CreateCatalog():
            return create_catalog(planner, x, text)
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


def _exists(planner: Planner, x: ast.CreateTable | ast.CreateView) -> Relation | None:
    # A temporary object hides a permanent one, so both may have one name.
    return planner.catalog.find(x.name.names, x.name.span, temporary=x.temporary)


def _taken(old: Relation, x: ast.CreateTable | ast.CreateView) -> BindError:
    return BindError(
        f"{NAMES[type(old)]} '{x.name}' exists already",
        span=x.name.span,
        hint="Drop it first, or write IF NOT EXISTS.",
    )


def _create_table(planner: Planner, x: ast.CreateTable, text: str) -> Planned:
    table = create_table(planner._context(text), x)
    old = _exists(planner, x)
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
        object=".".join(planner.catalog.path(x.name.names)),
    )


def _create_view(planner: Planner, x: ast.CreateView, text: str) -> Planned:
    name = x.name.names[-1]
    old = _exists(planner, x)
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
        "ddl",
        "create view",
        name,
        lambda: planner.catalog.add(view, x.name.names, replace=x.or_replace),
        message="OK",
        object=".".join(planner.catalog.path(x.name.names)),
    )


def _create_function(planner: Planner, x: ast.CreateFunction, text: str) -> Planned:
    from deras.sql.functions.udf import load

    if x.language != "PYTHON":
        raise PlanError(
            "functions are written in Python here",
            span=x.span,
            hint="Write CREATE FUNCTION f AS 'module.function' LANGUAGE PYTHON.",
        )
    if x.resources:
        raise PlanError(
            f"CREATE FUNCTION takes no USING {x.resources[0][0]} here",
            span=x.span,
            hint="Python functions are imported from the project's folder and the Python path.",
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


# ---------------------------------------------------------------- DROP


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
    if x.kind in ("CATALOG", "DATABASE"):
        return drop_space(planner, x)
    if x.kind not in KINDS:
        raise not_yet(f"DROP {x.kind}", x.span)
    found = catalog.find(x.name.names, x.name.span, temporary=x.temporary)
    hidden = catalog.find(x.name.names, x.name.span, temporary=not x.temporary)
    if hidden is not None and not x.temporary and isinstance(hidden, KINDS[x.kind]):
        raise BindError(
            f"a temporary {NAMES[type(hidden)]} '{name}' exists",
            span=x.name.span,
            hint=f"DROP TEMPORARY {x.kind} {name} drops it.",
        )
    if found is None:
        if x.if_exists:
            return Planned("ddl", action, name, message="nothing to drop")
        if hidden is not None:
            raise BindError(
                f"{NAMES[type(hidden)]} '{name}' is not temporary",
                span=x.name.span,
                hint=f"Write DROP {x.kind} {name}.",
            )
        found = catalog.relation(x.name.names, x.name.span)
    if not isinstance(found, KINDS[x.kind]):
        real = NAMES[type(found)]
        raise BindError(f"'{name}' is a {real}", span=x.name.span, hint=f"Write DROP {real.upper()} {name}.")
    # What a temporary object hides takes its place.
    covered = x.temporary and hidden is not None
    readers = [] if covered else [r for r in catalog.readers(name) if r != name]
    if readers:
        raise PlanError(
            f"'{name}' is read by {', '.join(readers)}",
            span=x.name.span,
            hint=f"Drop {'it' if len(readers) == 1 else 'them'} first.",
        )
    view = found if isinstance(found, MaterializedView) else None
    path = ".".join(catalog.path(x.name.names))

    def apply() -> None:
        catalog.remove(x.name.names, temporary=x.temporary)

    return Planned("ddl", action, name, apply, view=view, message="OK", object=path)


def _ignore(_: object) -> None:
    return None


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
        current = (names[0], catalog.home(names[0]))
    else:
        current = (names[0], names[1]) if len(names) > 1 else (catalog.current[0], names[0])
        catalog.path((*current, "x"), x.names[0].span)

    def apply() -> None:
        catalog.current = current

    return Planned("ddl", "use", ".".join(current), apply, message="OK")
