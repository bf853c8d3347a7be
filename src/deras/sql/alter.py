"""ALTER: a table's declaration is written anew with the change, and checked as if it had been declared so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deras.core.errors import BindError, PlanError, SqlError, did_you_mean
from deras.sql.bind.expressions import not_yet
from deras.sql.bind.tables import check_options, create_table
from deras.sql.catalog import CatalogFunction, CatalogTable, CatalogView
from deras.sql.namespaces import alter_space
from deras.sql.planned import Planned
from deras.sql.shows import KINDS, NAMES, show_create
from deras.sql.syntax import ast

if TYPE_CHECKING:
    from deras.core.errors import Span
    from deras.sql.catalog import Relation
    from deras.sql.planner import Planner


def plan_alter(planner: Planner, x: ast.Alter, text: str) -> Planned:
    """Plan ALTER of a table, view, function, catalog or database."""
    catalog = planner.catalog
    action = f"alter {x.kind.lower()}"
    if x.kind in ("CATALOG", "DATABASE"):
        return alter_space(planner, x)
    if x.kind == "FUNCTION":
        return _function(planner, x)
    if x.kind not in KINDS:
        raise not_yet(f"ALTER {x.kind}", x.span)
    found = catalog.find(x.name.names, x.name.span)
    if found is None and x.if_exists:
        return Planned("ddl", action, x.name.names[-1], message="nothing to alter")
    found = catalog.relation(x.name.names, x.name.span)
    if not isinstance(found, KINDS[x.kind]):
        real = NAMES[type(found)]
        raise BindError(f"'{x.name}' is a {real}", span=x.name.span, hint=f"Write ALTER {real.upper()} {x.name}.")
    match x.action:
        case ast.RenameTo(name):
            return _rename(planner, x, found, name)
        case ast.SetQuery(query) if isinstance(found, CatalogView):
            changed: Relation = _view(planner, found, query, text)
        case ast.SetOptions() | ast.ResetOptions() if isinstance(found, CatalogTable):
            changed = _options(found, x.action)
        case ast.ChangePartitions():
            raise not_yet("ALTER TABLE … PARTITION", x.action.span, "Partitions come with the rows that are written.")
        case _ if isinstance(found, CatalogTable):
            changed = _declared(planner, x, _change(found, x.action))
        case _:
            raise not_yet(f"ALTER {x.kind} with this action", x.span, "Drop it and create it anew.")
    path = catalog.path(x.name.names)
    return Planned(
        "ddl", action, found.name, lambda: catalog.add(changed, path, replace=True), message="OK", object=".".join(path)
    )


def _rename(planner: Planner, x: ast.Alter, found: Relation, name: ast.ObjectName) -> Planned:
    catalog = planner.catalog
    old = catalog.path(x.name.names)
    new = catalog.path(name.names, name.span) if len(name.names) > 1 else (*old[:2], name.names[0])
    if x.kind == "MATERIALIZED VIEW":
        raise not_yet("ALTER MATERIALIZED VIEW … RENAME TO", x.span, "Drop it and create it anew.")
    if catalog.find(new, name.span, temporary=found.temporary) is not None:
        raise BindError(f"'{name}' exists already", span=name.span)
    readers = [r for r in catalog.readers(found.name) if r != found.name]
    if readers:
        raise PlanError(
            f"'{found.name}' is read by {', '.join(readers)}",
            span=x.name.span,
            hint=f"Drop {'it' if len(readers) == 1 else 'them'} first.",
        )
    changed = replace(found, name=new[2])
    if isinstance(changed, CatalogTable):
        changed = replace(changed, ddl=show_create(changed))

    def apply() -> None:
        catalog.remove(old, temporary=found.temporary)
        catalog.add(changed, new)

    return Planned(
        "ddl", f"alter {x.kind.lower()}", found.name, apply, message="OK", object=".".join(new), renamed=".".join(old)
    )


def _view(planner: Planner, view: CatalogView, query: ast.Query, text: str) -> CatalogView:
    from deras.sql.bind.query import QueryBinder

    rel = QueryBinder(planner._context(text).of_text(text, view.name)).query(query)
    written = text[query.span.start : query.span.end]
    temporary = "TEMPORARY " if view.temporary else ""
    ddl = f"CREATE {temporary}VIEW `{view.name}` AS {written}"
    return replace(view, query=query, schema=rel.schema, text=text, columns=(), ddl=ddl)


def _function(planner: Planner, x: ast.Alter) -> Planned:
    from deras.sql.functions.udf import load

    name = x.name.names[-1]
    found = planner.catalog.function(name)
    if found is None:
        if x.if_exists:
            return Planned("ddl", "alter function", name, message="nothing to alter")
        hint = did_you_mean(name, [f.name for f in planner.catalog.functions()])
        raise BindError(f"there is no function '{name}'", span=x.name.span, hint=hint)
    if not isinstance(x.action, ast.SetFunction) or (x.action.language or "PYTHON") != "PYTHON":
        raise PlanError("functions are written in Python here", span=x.span, hint="Write AS 'module.function'.")
    made = load(x.action.identifier, name, planner.folder)
    ddl = (
        f"CREATE {'TEMPORARY ' if found.temporary else ''}FUNCTION `{name}` AS '{x.action.identifier}' LANGUAGE PYTHON"
    )
    changed = CatalogFunction(name, x.action.identifier, made, ddl, temporary=found.temporary)
    return Planned(
        "ddl", "alter function", name, lambda: planner.catalog.add_function(changed, replace=True), message="OK"
    )


def _options(table: CatalogTable, action: ast.SetOptions | ast.ResetOptions) -> CatalogTable:
    options = dict(table.options)
    if isinstance(action, ast.SetOptions):
        options |= {o.key: o.value for o in action.options}
    else:
        if "connector" in action.keys:
            raise PlanError("the connector of a table cannot be reset", span=action.span)
        options = {k: v for k, v in options.items() if k not in action.keys}
    changed = replace(table, options=options)
    check_options(changed, action.options if isinstance(action, ast.SetOptions) else ())
    return replace(changed, ddl=show_create(changed))


# ---------------------------------------------------------------- columns, keys, watermarks


def _declaration(table: CatalogTable) -> ast.CreateTable:
    from deras.sql.syntax.parser import parse_script

    made = parse_script(show_create(table))[0]
    assert isinstance(made, ast.CreateTable)  # noqa: S101 (that is what it wrote)
    return made


def _declared(planner: Planner, x: ast.Alter, changed: ast.CreateTable) -> CatalogTable:
    """The table of a changed declaration."""
    from deras.sql.syntax.parser import parse_script
    from deras.sql.syntax.printer import to_sql

    text = to_sql(changed)
    again = parse_script(text)[0]
    assert isinstance(again, ast.CreateTable)  # noqa: S101 (that is what was printed)
    try:
        made = create_table(planner._context(text), again)
    except SqlError as e:
        e.span = x.action.span  # its own place is in a text that the user has not written
        raise
    return replace(made, ddl=show_create(made))


def _name(c: ast.ColumnDef) -> str:
    assert isinstance(c, (ast.PhysicalColumn, ast.MetadataColumn, ast.ComputedColumn, ast.NamedColumn))  # noqa: S101
    return c.name.name


def _keys(made: ast.CreateTable) -> set[str]:
    found = {c.name.name for c in made.columns if isinstance(c, ast.PhysicalColumn) and c.primary_key}
    return found | {n.name for k in made.constraints for n in k.columns}


def _change(table: CatalogTable, action: ast.AlterAction) -> ast.CreateTable:
    made = _declaration(table)
    match action:
        case ast.ChangeColumns():
            return _columns(table, made, action)
        case ast.RenameColumn(old, new):
            _known(table, old)
            if any(_name(c) == new.name for c in made.columns):
                raise BindError(f"column '{new.name}' exists already", span=new.span)
            _free(table, made, old, "renamed", keys=False)
            columns = tuple(replace(c, name=new) if _name(c) == old.name else c for c in made.columns)  # type: ignore[call-arg]
            constraints = tuple(
                replace(k, columns=tuple(new if n.name == old.name else n for n in k.columns)) for k in made.constraints
            )
            parts = tuple(new if n.name == old.name else n for n in made.partitioned_by)
            return replace(made, columns=columns, constraints=constraints, partitioned_by=parts)
        case ast.DropParts("COLUMNS", names):
            gone = {n.name for n in names}
            for n in names:
                _known(table, n)
                _free(table, made, n, "dropped", keys=True, among=gone)
            return replace(made, columns=tuple(c for c in made.columns if _name(c) not in gone))
        case ast.DropParts("PRIMARY KEY" | "CONSTRAINT"):
            if not table.schema.key:
                raise BindError(f"table '{table.name}' has no PRIMARY KEY", span=action.span)
            named = action.columns[0] if action.what == "CONSTRAINT" else None
            if named is not None and named.name != (
                own := "PK_" + "_".join(table.schema[k].name for k in table.schema.key)
            ):
                raise BindError(f"there is no constraint '{named.name}'", span=named.span, hint=f"It is called {own}.")
            return replace(made, constraints=())
        case ast.DropParts("WATERMARK"):
            if table.watermark is None:
                raise BindError(f"table '{table.name}' has no WATERMARK", span=action.span)
            return replace(made, watermarks=())
    raise not_yet("ALTER TABLE with this action", action.span, "Drop it and create it anew.")


def _known(table: CatalogTable, name: ast.Identifier) -> None:
    if name.name not in table.schema.names:
        hint = did_you_mean(name.name, table.schema.names) or f"It has: {', '.join(table.schema.names)}."
        raise BindError(f"table '{table.name}' has no column '{name.name}'", span=name.span, hint=hint)


def _free(
    table: CatalogTable, made: ast.CreateTable, name: ast.Identifier, what: str, *, keys: bool, among: Any = ()
) -> None:
    """Refuse a change of a column that others need."""
    needs = [
        f"computed column '{c.name.name}'"
        for c in made.columns
        if isinstance(c, ast.ComputedColumn) and c.name.name not in among and _reads(c.expr, name.name)
    ]
    needs += ["the WATERMARK" for w in made.watermarks if w.column[0].name == name.name or _reads(w.expr, name.name)]
    if keys and name.name in _keys(made):
        needs.append("the PRIMARY KEY")
    if keys and name.name in table.partition_keys:
        needs.append("PARTITIONED BY")
    if needs:
        raise PlanError(
            f"column '{name.name}' cannot be {what}: {needs[0]} needs it",
            span=name.span,
            hint=f"Change {needs[0]} first.",
        )


def _reads(x: ast.Expr, name: str) -> bool:
    return any(isinstance(n, ast.ColumnRef) and n.parts[0].name == name for n in x.walk())


def _columns(table: CatalogTable, made: ast.CreateTable, action: ast.ChangeColumns) -> ast.CreateTable:
    columns = list(made.columns)
    for change in action.columns:
        c = change.column
        assert isinstance(c, (ast.PhysicalColumn, ast.MetadataColumn, ast.ComputedColumn))  # noqa: S101 (by the parser)
        names = [_name(k) for k in columns]
        place = names.index(c.name.name) if c.name.name in names else None
        if action.action == "ADD":
            if place is not None:
                raise BindError(f"column '{c.name.name}' exists already", span=c.name.span, hint="MODIFY changes it.")
            place = len(columns)
        else:
            _known(table, c.name)
            assert place is not None  # noqa: S101 (it is known)
            del columns[place]
        if change.first:
            place = 0
        elif change.after is not None:
            _known_here(columns, change.after, table)
            place = [_name(k) for k in columns].index(change.after.name) + 1
        columns.insert(place, c)
    return replace(
        made,
        columns=tuple(columns),
        constraints=_one("PRIMARY KEY", made.constraints, action.constraints, action.action, action.span),
        watermarks=_one("WATERMARK", made.watermarks, action.watermarks, action.action, action.span),
    )


def _known_here(columns: list[ast.ColumnDef], name: ast.Identifier, table: CatalogTable) -> None:
    names = [_name(c) for c in columns]
    if name.name not in names:
        hint = did_you_mean(name.name, names) or f"It has: {', '.join(names)}."
        raise BindError(f"table '{table.name}' has no column '{name.name}'", span=name.span, hint=hint)


def _one(what: str, old: tuple[Any, ...], new: tuple[Any, ...], action: str, span: Span) -> tuple[Any, ...]:
    if not new:
        return old
    if action == "ADD" and old:
        raise BindError(f"the table has a {what} already", span=span, hint=f"MODIFY {what} changes it.")
    if action == "MODIFY" and not old:
        raise BindError(f"the table has no {what}", span=span, hint=f"ADD {what} gives it one.")
    return new
