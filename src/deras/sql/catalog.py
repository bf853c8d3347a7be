"""The catalog: tables, views, materialized views and functions by name.

It is rebuilt from the texts of its DDL statements in order (:meth:`Catalog.ddl`), so the project's manifest keeps
texts, not pickles.
Names are case-sensitive, as in Flink. One catalog and database exist (``default_catalog.default_database``); more are
accepted as names and created by ``CREATE DATABASE``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deras.core.errors import BindError, Span, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deras.core.schema import Schema
    from deras.core.types import SqlType
    from deras.sql.syntax.ast import Expr, Query

CATALOG = "default_catalog"
DATABASE = "default_database"

Path = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column of a table, in the order of its declaration.

    Args:
        name: the column's name.
        type: its type.
        expr: of a computed column, else None.
        metadata_key: of a metadata column, else None.
        virtual: a metadata column that is not written.
        comment: the user's words.
    """

    name: str
    type: SqlType
    expr: Expr | None = None
    metadata_key: str | None = None
    virtual: bool = False
    comment: str = ""

    @property
    def physical(self) -> bool:
        """Whether the connector's format carries it."""
        return self.expr is None and self.metadata_key is None


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A table over a connector.

    Args:
        name: the table's name.
        schema: all columns with time attributes, in order; ``schema.key`` is the primary key.
        columns: what each column is.
        watermark: (column, expression) or None.
        options: the texts of the WITH clause.
        partition_keys: PARTITIONED BY.
        comment: the user's words.
        ddl: the statement's text.
        text: the script that the expressions' spans refer to.
        temporary: whether it ends with the session.
    """

    name: str
    schema: Schema
    columns: tuple[TableColumn, ...]
    watermark: tuple[str, Expr] | None = None
    options: dict[str, str] = field(default_factory=dict)
    partition_keys: tuple[str, ...] = ()
    comment: str = ""
    ddl: str = ""
    text: str = ""
    temporary: bool = False

    @property
    def primary_key(self) -> tuple[int, ...]:
        """Positions of the primary key, or ()."""
        return self.schema.key

    @property
    def connector(self) -> str:
        """The connector's name."""
        return self.options.get("connector", "")


@dataclass(frozen=True, slots=True)
class CatalogView:
    """A named query, expanded where it is used."""

    name: str
    query: Query
    schema: Schema
    ddl: str = ""
    text: str = ""
    columns: tuple[str, ...] = ()
    comment: str = ""
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class MaterializedView:
    """A view kept up to date by the running job. ``schema.key`` is its key; ``append_only``: rows only ever come."""

    name: str
    schema: Schema
    append_only: bool
    ddl: str = ""
    query: Query | None = None
    text: str = ""
    options: dict[str, str] = field(default_factory=dict)
    comment: str = ""
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class CatalogFunction:
    """A user's function. ``identifier`` is ``module.function``; ``udf`` is set once it is loaded or was registered."""

    name: str
    identifier: str = ""
    udf: Any = None
    ddl: str = ""
    language: str = "PYTHON"
    comment: str = ""
    temporary: bool = False

    def loaded(self, folder: Any = None) -> Any:
        """What runs: registered, or imported from its module.

        Raises:
            ConfigError: it cannot be imported.
        """
        if self.udf is not None:
            return self.udf
        from deras.sql.functions.udf import load

        return load(self.identifier, self.name, folder)


@dataclass(slots=True)
class Namespace:
    """A catalog or database: what was said when it was made.

    Args:
        options: the texts of its WITH clause.
        comment: the user's words.
        ddl: the statement's text.
    """

    options: dict[str, str] = field(default_factory=dict)
    comment: str = ""
    ddl: str = ""


Relation = CatalogTable | CatalogView | MaterializedView
_WHAT = {CatalogTable: "table", CatalogView: "view", MaterializedView: "materialized view"}


class Catalog:
    """All named objects of a project. Not thread-safe: the session guards it."""

    def __init__(self) -> None:
        self.catalogs: dict[str, set[str]] = {CATALOG: {DATABASE}}
        self.current: tuple[str, str] = (CATALOG, DATABASE)
        self.spaces: dict[tuple[str, ...], Namespace] = {(CATALOG,): Namespace(), (CATALOG, DATABASE): Namespace()}
        """What is known of catalogs, ``(name,)``, and databases, ``(catalog, name)``."""
        self._relations: dict[Path, Relation] = {}
        self._temporary: dict[Path, Relation] = {}
        self._functions: dict[str, CatalogFunction] = {}
        self._order: list[str] = []
        self._other_ddl: dict[str, str] = {}

    # ---- names

    def path(self, names: tuple[str, ...], span: Span | None = None) -> Path:
        """The full path of a name; ``BindError`` if its catalog or database does not exist."""
        if len(names) > 3:
            raise BindError(f"a name has at most three parts, not {len(names)}", span=span)
        catalog, database = self.current
        if len(names) == 3:
            catalog, database = names[0], names[1]
        elif len(names) == 2:
            database = names[0]
        if catalog not in self.catalogs:
            raise BindError(
                f"there is no catalog '{catalog}'",
                span=span,
                hint=did_you_mean(catalog, self.catalogs) or "See SHOW CATALOGS.",
            )
        if database not in self.catalogs[catalog]:
            known = self.catalogs[catalog]
            raise BindError(
                f"there is no database '{database}'",
                span=span,
                hint=did_you_mean(database, known) or "See SHOW DATABASES.",
            )
        return catalog, database, names[-1]

    def relation(self, names: tuple[str, ...], span: Span | None = None) -> Relation:
        """The table or view of a name; ``BindError`` with "did you mean" if there is none."""
        found = self.find(names, span)
        if found is None:
            name = ".".join(names)
            known = [r.name for r in self.relations()]
            hint = did_you_mean(names[-1], known)
            if not hint:
                hint = (
                    f"Known tables and views: {', '.join(sorted(known)[:12])}."
                    if known
                    else "Create it first with CREATE TABLE."
                )
            raise BindError(f"there is no table or view '{name}'", span=span, hint=hint)
        return found

    def find(
        self, names: tuple[str, ...], span: Span | None = None, *, temporary: bool | None = None
    ) -> Relation | None:
        """The table or view of a name, or None; a temporary one hides a permanent one of the same name.

        Args:
            names: the name's parts.
            span: where it stands.
            temporary: look among temporary or among permanent ones only.
        """
        path = self.path(names, span)
        if temporary is not None:
            return (self._temporary if temporary else self._relations).get(path)
        return self._temporary.get(path) or self._relations.get(path)

    def relations(self, database: tuple[str, str] | None = None) -> Iterator[Relation]:
        """All tables and views of a database (default: the current one), in the order of their creation."""
        of = database or self.current
        for path, r in self._relations.items():
            if path[:2] == of and path not in self._temporary:
                yield r
        for path, r in self._temporary.items():
            if path[:2] == of:
                yield r

    def paths(self, catalog: str, database: str | None = None) -> list[Path]:
        """The permanent tables and views of a catalog or database."""
        return [p for p in self._relations if p[0] == catalog and database in (None, p[1])]

    def tables(self) -> list[CatalogTable]:
        """All tables."""
        return [r for r in self.relations() if isinstance(r, CatalogTable)]

    def views(self) -> list[CatalogView]:
        """All plain views."""
        return [r for r in self.relations() if isinstance(r, CatalogView)]

    def functions(self) -> list[CatalogFunction]:
        """All user functions."""
        return list(self._functions.values())

    def function(self, name: str) -> CatalogFunction | None:
        """The user function of a name (case-insensitive, as Flink's), or None."""
        return self._functions.get(name.lower())

    # ---- changes

    def add(
        self, relation: Relation, names: tuple[str, ...] = (), *, replace: bool = False, span: Span | None = None
    ) -> None:
        """Add a table or view; ``BindError`` if the name is taken and not ``replace``."""
        path = self.path(names or (relation.name,), span)
        held = self._temporary if relation.temporary else self._relations
        old = held.get(path)
        if old is not None and not replace:
            what = _WHAT[type(old)]
            raise BindError(
                f"{what} '{path[2]}' exists already",
                span=span,
                hint="Drop it first, or write IF NOT EXISTS or OR REPLACE.",
            )
        held[path] = relation

    def remove(self, names: tuple[str, ...], *, temporary: bool = False) -> Relation | None:
        """Remove a table or view; gives it, or None if there was none."""
        return (self._temporary if temporary else self._relations).pop(self.path(names), None)

    def add_space(self, name: tuple[str, ...], space: Namespace, database: str = "") -> None:
        """Add a catalog with its first database, or a database."""
        self.spaces[name] = space
        if len(name) == 1:
            self.catalogs[name[0]] = {database}
            self.spaces[name[0], database] = Namespace()
        else:
            self.catalogs[name[0]].add(name[1])

    def remove_space(self, name: tuple[str, ...]) -> None:
        """Remove a catalog or database with all that is in it."""
        for held in (self._relations, self._temporary):
            for path in [p for p in held if p[: len(name)] == name]:
                del held[path]
        for space in [s for s in self.spaces if s[: len(name)] == name]:
            del self.spaces[space]
        if len(name) == 1:
            self.catalogs.pop(name[0], None)
        else:
            self.catalogs[name[0]].discard(name[1])

    def home(self, catalog: str) -> str:
        """The database that is current after USE CATALOG."""
        first = self.spaces.get((catalog,), Namespace()).options.get("default-database", DATABASE)
        known = self.catalogs[catalog]
        if first in known:
            return first
        return "default" if "default" in known else min(known, default="default")

    def add_function(self, function: CatalogFunction, *, replace: bool = False, span: Span | None = None) -> None:
        """Add a user function."""
        key = function.name.lower()
        if key in self._functions and not replace:
            raise BindError(
                f"function '{function.name}' exists already", span=span, hint="Drop it first, or write IF NOT EXISTS."
            )
        self._functions[key] = function

    def remove_function(self, name: str) -> CatalogFunction | None:
        """Remove a user function; gives it, or None."""
        return self._functions.pop(name.lower(), None)

    def ddl(self, *, temporary: bool = False) -> list[str]:
        """The DDL texts that make this catalog again: functions, then tables and views in the order of creation."""
        found = [f.ddl for f in self._functions.values() if f.ddl and (temporary or not f.temporary)]
        found += [r.ddl for r in self._relations.values() if r.ddl]
        found += [r.ddl for r in self._temporary.values() if r.ddl and temporary]
        return found

    def readers(self, name: str) -> list[str]:
        """Names of views whose query names this object (for DROP)."""
        from deras.sql.syntax.ast import TableArgument, TableRef

        found = []
        for r in (*self._relations.values(), *self._temporary.values()):
            query = None if isinstance(r, CatalogTable) else r.query
            if query is None:
                continue
            for node in query.walk():
                target = (
                    node.name
                    if isinstance(node, TableRef)
                    else getattr(node, "source", None)
                    if isinstance(node, TableArgument)
                    else None
                )
                names = getattr(target, "names", None)
                if names and names[-1] == name:
                    found.append(r.name)
                    break
        return found
