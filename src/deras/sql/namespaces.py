"""CREATE, ALTER and DROP of catalogs and databases: names that tables live under."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.core.errors import BindError, OptionError, PlanError, did_you_mean
from deras.sql.bind.expressions import not_yet
from deras.sql.catalog import Namespace
from deras.sql.planned import Planned
from deras.sql.syntax import ast

if TYPE_CHECKING:
    from deras.core.errors import Span
    from deras.sql.catalog import Catalog
    from deras.sql.planner import Planner

_MEMORY = "generic_in_memory"


def create_catalog(planner: Planner, x: ast.CreateCatalog, text: str) -> Planned:
    """CREATE CATALOG: the type that every Flink knows; its objects live in the project."""
    catalog, name = planner.catalog, x.name.name
    if name in catalog.catalogs:
        if x.if_not_exists:
            return Planned("ddl", "create catalog", name, message=f"{name} exists already")
        raise BindError(f"catalog '{name}' exists already", span=x.name.span, hint="Write IF NOT EXISTS.")
    options = {o.key: o.value for o in x.options}
    kind = options.get("type")
    if kind is None:
        raise OptionError("a catalog needs option 'type'", span=x.span, hint=f"Write WITH ('type' = '{_MEMORY}').")
    for o in x.options:
        if o.key == "type" and o.value != _MEMORY:
            raise OptionError(
                f"there is no catalog type '{o.value}'",
                span=o.value_span,
                hint=f"Known: {_MEMORY}. Tables of other systems are declared by CREATE TABLE.",
            )
        if o.key not in ("type", "default-database"):
            raise OptionError(
                f"a catalog of type '{_MEMORY}' has no option '{o.key}'",
                span=o.key_span,
                hint=did_you_mean(o.key, ["default-database"]) or "It has 'default-database'.",
            )
    space = Namespace(options, x.comment or "", text[x.span.start : x.span.end])
    first = options.get("default-database", "default")
    return Planned("ddl", "create catalog", name, lambda: catalog.add_space((name,), space, first), message="OK")


def create_database(planner: Planner, x: ast.CreateDatabase, text: str) -> Planned:
    """CREATE DATABASE."""
    path = _database(planner.catalog, x.name.names, x.name.span)
    if path in planner.catalog.spaces:
        if x.if_not_exists:
            return Planned("ddl", "create database", path[1], message=f"{path[1]} exists already")
        raise BindError(f"database '{path[1]}' exists already", span=x.name.span, hint="Write IF NOT EXISTS.")
    space = Namespace({o.key: o.value for o in x.options}, x.comment or "", text[x.span.start : x.span.end])
    return Planned("ddl", "create database", path[1], lambda: planner.catalog.add_space(path, space), message="OK")


def _database(catalog: Catalog, names: tuple[str, ...], span: Span) -> tuple[str, str]:
    above = names[0] if len(names) > 1 else catalog.current[0]
    if above not in catalog.catalogs:
        hint = did_you_mean(above, catalog.catalogs) or "See SHOW CATALOGS."
        raise BindError(f"there is no catalog '{above}'", span=span, hint=hint)
    return above, names[-1]


def drop_space(planner: Planner, x: ast.Drop) -> Planned:
    """DROP CATALOG and DROP DATABASE [RESTRICT | CASCADE]; what is current stays."""
    catalog, names, action = planner.catalog, x.name.names, f"drop {x.kind.lower()}"
    path = (names[0],) if x.kind == "CATALOG" else _database(catalog, names, x.name.span)
    if path not in catalog.spaces:
        if x.if_exists:
            return Planned("ddl", action, path[-1], message="nothing to drop")
        known = [s[-1] for s in catalog.spaces if len(s) == len(path)]
        hint = did_you_mean(path[-1], known) or f"See SHOW {x.kind}S."
        raise BindError(f"there is no {x.kind.lower()} '{path[-1]}'", span=x.name.span, hint=hint)
    if catalog.current[: len(path)] == path:
        raise PlanError(
            f"{x.kind.lower()} '{path[-1]}' is the current one", span=x.name.span, hint=f"USE {x.kind} another first."
        )
    held = [p[2] for p in catalog.paths(*path)]
    if held and not x.cascade:
        if x.kind == "CATALOG":
            raise PlanError(
                f"catalog '{path[0]}' is not empty: {', '.join(held[:8])}", span=x.name.span, hint="Drop these first."
            )
        raise PlanError(
            f"database '{path[-1]}' is not empty: {', '.join(held[:8])}", span=x.name.span, hint="Add CASCADE."
        )
    gone = ".".join(path)
    return Planned("ddl", action, path[-1], lambda: catalog.remove_space(path), message="OK", object=gone)


def alter_space(planner: Planner, x: ast.Alter) -> Planned:
    """ALTER CATALOG and ALTER DATABASE: options and comments."""
    catalog, names = planner.catalog, x.name.names
    path = (names[0],) if x.kind == "CATALOG" else _database(catalog, names, x.name.span)
    space = catalog.spaces.get(path)
    if space is None:
        hint = did_you_mean(path[-1], [s[-1] for s in catalog.spaces if len(s) == len(path)]) or f"See SHOW {x.kind}S."
        raise BindError(f"there is no {x.kind.lower()} '{path[-1]}'", span=x.name.span, hint=hint)
    options, comment = dict(space.options), space.comment
    match x.action:
        case ast.SetOptions(given):
            options |= {o.key: o.value for o in given}
        case ast.ResetOptions(keys):
            options = {k: v for k, v in options.items() if k not in keys}
        case ast.SetComment(text):
            comment = text
        case _:
            raise not_yet(f"ALTER {x.kind} with this action", x.span)
    if x.kind == "CATALOG" and options.get("type", _MEMORY) != space.options.get("type", _MEMORY):
        raise PlanError("the type of a catalog cannot be changed", span=x.action.span)
    changed = Namespace(options, comment, space.ddl)

    def apply() -> None:
        catalog.spaces[path] = changed

    return Planned("ddl", f"alter {x.kind.lower()}", path[-1], apply, message="OK", object=".".join(path))
