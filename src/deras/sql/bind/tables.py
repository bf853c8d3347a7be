"""CREATE TABLE: columns, watermark, key and options, each checked where it stands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deras.core import registry
from deras.core.contracts import TableContext
from deras.core.errors import BindError, OptionError, PlanError, Span, did_you_mean
from deras.core.lookups import TABLE_OPTIONS as LOOKUP_OPTIONS
from deras.core.options import Option, read_options
from deras.core.schema import Field, Schema
from deras.core.types import Kind, SqlType
from deras.sql.bind.expressions import ExprBinder, not_yet
from deras.sql.bind.scope import Scope
from deras.sql.catalog import CatalogTable, TableColumn
from deras.sql.expr import nodes as e
from deras.sql.syntax import ast
from deras.sql.types import sql_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from deras.core.contracts import Changes, Connector
    from deras.sql.bind.context import BindContext

COMMON: tuple[Option, ...] = (
    *LOOKUP_OPTIONS,
    Option("scan.watermark.idle-timeout", "duration", "A part silent for so long leaves the minimum of watermarks."),
    Option("scan.watermark.idle-advance", "bool", "While all parts are idle the watermark goes on with the clock."),
    Option("scan.watermark.alignment.group", help="Tables of one group advance together."),
    Option("scan.watermark.alignment.max-drift", "duration", "How far a part may run ahead of its group."),
    Option("scan.watermark.alignment.update-interval", "duration", "Accepted; alignment is checked at every read."),
    Option("scan.watermark.emit.strategy", help="Accepted; watermarks are exact per row."),
    Option("scan.parallelism", "int", "Accepted; work is spread by itself."),
    Option("sink.parallelism", "int", "Accepted; work is spread by itself."),
)
"""Options that any table may have."""


def create_table(context: BindContext, x: ast.CreateTable, query: Schema | None = None) -> CatalogTable:
    """The table that a statement declares; nothing is changed.

    Args:
        context: names and settings.
        x: the statement.
        query: what the query of CREATE TABLE … AS gives.
    """
    if x.distribution is not None:
        raise not_yet("DISTRIBUTED", x.distribution.span)
    columns = list(x.columns)
    watermarks, constraints = list(x.watermarks), list(x.constraints)
    inherited: list[TableColumn] = []
    base: CatalogTable | None = None
    if x.like is not None:
        base = _like(context, x.like, x)
        inherited = list(base.columns)
    options = _options(x.options)
    if base is not None and _includes(x.like, "OPTIONS"):
        options = {**base.options, **options}
    found = [*inherited]
    fields: list[Field] = [f.without_time() for f in base.schema] if base is not None else []
    keys: list[ast.PhysicalColumn] = []
    given = {f.name: f for f in query or ()}
    for c in columns:
        name, column, made = _column(c, given)
        if column.expr is not None and made.name in given:
            raise BindError(
                f"column '{made.name}' is computed, and the query gives it, too",
                span=name.span,
                hint="Give one of them another name.",
            )
        if any(f.name == made.name for f in fields):
            raise BindError(f"column '{made.name}' is declared twice", span=name.span)
        found.append(column)
        fields.append(made)
        if isinstance(c, ast.PhysicalColumn) and c.primary_key:
            keys.append(c)
    if columns and all(isinstance(c, ast.NamedColumn) for c in columns) and len(columns) != len(given):
        raise BindError(
            f"{len(columns)} columns are named, the query gives {len(given)}",
            span=columns[0].span.to(columns[-1].span),
            hint="Name all of the query's columns, in the order that the table shall have.",
        )
    for f in query or ():
        if not any(f.name == d.name for d in found):
            plain = f.without_time()
            found.append(TableColumn(plain.name, plain.type))
            fields.append(Field(plain.name, plain.type))
    # Computed columns are bound after all others: they may stand before what they read.
    physical = Schema(tuple(f for f, d in zip(fields, found, strict=True) if d.expr is None))
    binder = ExprBinder(context, Scope.of(physical, x.name.names[-1]), clause="a computed column")
    for i, d in enumerate(found):
        if d.expr is not None:
            bound = binder.bind(d.expr)
            if bound.type.kind is Kind.NULL:
                raise BindError(
                    f"computed column '{d.name}' has no type",
                    span=d.expr.span,
                    hint="CAST(NULL AS STRING) gives it one.",
                )
            proctime = isinstance(bound, e.Context) and bound.kind == "proctime"
            fields[i] = replace(fields[i], type=bound.type, time="proctime" if proctime else None)
            found[i] = replace(d, type=bound.type)
    watermark: tuple[str, ast.Expr] | None = None
    if base is not None and base.watermark is not None and _includes(x.like, "WATERMARKS") and not watermarks:
        watermark = base.watermark
        _mark(fields, watermark[0])
    if len(watermarks) > 1:
        raise BindError("a table has one WATERMARK", span=watermarks[1].span)
    if watermarks:
        watermark = _watermark(context, watermarks[0], fields, x)
    key = _key(constraints, keys, fields)
    for k in key:
        if not found[k].physical:
            raise BindError(
                f"'{found[k].name}' is no physical column and cannot be part of the PRIMARY KEY",
                span=(constraints[0] if constraints else x.name).span,
            )
    if base is not None and not key and _includes(x.like, "CONSTRAINTS"):
        key = base.schema.key
    fields = [replace(f, type=f.type.with_nullable(False)) if i in key else f for i, f in enumerate(fields)]
    found = [replace(c, type=f.type) for c, f in zip(found, fields, strict=True)]
    for partition in x.partitioned_by:
        if partition.name not in [f.name for f in fields]:
            raise _unknown(partition, fields)
        if found[[f.name for f in fields].index(partition.name)].expr is not None:
            raise BindError(f"'{partition.name}' is computed and cannot be a partition", span=partition.span)
    partitions = tuple(i.name for i in x.partitioned_by)
    if base is not None and not partitions and _includes(x.like, "PARTITIONS"):
        partitions = base.partition_keys
    ddl = context.text[x.span.start : x.span.end] if context.text else ""
    table = CatalogTable(
        x.name.names[-1],
        Schema(tuple(fields), tuple(key)),
        tuple(found),
        watermark,
        options,
        partitions,
        x.comment or "",
        ddl,
        context.text,
        x.temporary,
    )
    check_options(table, x.options)
    _check_metadata(table, x)
    return table


def _options(given: Sequence[ast.Property]) -> dict[str, str]:
    options: dict[str, str] = {}
    for o in given:
        if o.key in options:
            raise OptionError(f"option '{o.key}' is given twice", span=o.key_span)
        options[o.key] = o.value
    return options


_LIKE = {"OPTIONS": "OVERWRITING"}
"""What LIKE does with a part of the table if it is not told otherwise: everything else is INCLUDING."""


def _merge(like: ast.LikeClause, feature: str) -> str:
    choice = _LIKE.get(feature, "INCLUDING")
    for o in like.options:
        if o.feature in (feature, "ALL"):
            choice = o.merge
    return choice


def _includes(like: ast.LikeClause | None, feature: str) -> bool:
    return like is not None and _merge(like, feature) != "EXCLUDING"


def _collides(like: ast.LikeClause, feature: str, what: str, span: Span, *, overwriting: bool = True) -> None:
    """Refuse a part that both tables have, unless one of them is told to win."""
    if _merge(like, feature) == "INCLUDING":
        hint = f"LIKE … (EXCLUDING {feature}) leaves it out"
        hint += f", (OVERWRITING {feature}) takes yours." if overwriting else "."
        raise BindError(f"{what} is in table '{like.source}' already", span=span, hint=hint)


def _like(context: BindContext, like: ast.LikeClause, x: ast.CreateTable) -> CatalogTable:
    """What LIKE takes over."""
    found = context.catalog.relation(like.source.names, like.source.span)
    if not isinstance(found, CatalogTable):
        raise BindError(f"'{like.source}' is no table", span=like.source.span, hint="LIKE takes a table.")
    own = {c.name.name: c for c in x.columns if isinstance(c, (ast.ComputedColumn, ast.MetadataColumn))}
    columns = []
    for c in found.columns:
        feature = "GENERATED" if c.expr is not None else "METADATA" if c.metadata_key is not None else ""
        kind = ast.ComputedColumn if c.expr is not None else ast.MetadataColumn
        replaced = bool(feature) and isinstance(own.get(c.name), kind) and _merge(like, feature) == "OVERWRITING"
        if not replaced and (not feature or _includes(like, feature)):
            columns.append(c)
    for o in x.options:
        if o.key in found.options:
            _collides(like, "OPTIONS", f"option '{o.key}'", o.key_span)
    if x.watermarks and found.watermark is not None:
        _collides(like, "WATERMARKS", "a WATERMARK", x.watermarks[0].span)
    if x.constraints and found.schema.key:
        _collides(like, "CONSTRAINTS", "a PRIMARY KEY", x.constraints[0].span, overwriting=False)
    if x.partitioned_by and found.partition_keys:
        _collides(like, "PARTITIONS", "PARTITIONED BY", x.partitioned_by[0].span, overwriting=False)
    names = {c.name for c in columns}
    fields = tuple(f for f in found.schema if f.name in names)
    kept = {found.schema[k].name for k in found.schema.key}
    key = tuple(i for i, f in enumerate(fields) if f.name in kept)
    watermark = found.watermark if found.watermark is not None and found.watermark[0] in names else None
    return replace(found, columns=tuple(columns), schema=Schema(fields, key), watermark=watermark)


def _column(c: ast.ColumnDef, given: dict[str, Field]) -> tuple[ast.Identifier, TableColumn, Field]:
    match c:
        case ast.NamedColumn() if given:
            if c.name.name not in given:
                raise _unknown(c.name, list(given.values()))
            taken = given[c.name.name].type
            return c.name, TableColumn(c.name.name, taken), Field(c.name.name, taken)
        case ast.PhysicalColumn():
            type_ = sql_type(c.type)
            return (
                c.name,
                TableColumn(c.name.name, type_, comment=c.comment or ""),
                Field(c.name.name, type_, comment=c.comment or ""),
            )
        case ast.MetadataColumn():
            type_ = sql_type(c.type)
            key = c.key or c.name.name
            column = TableColumn(c.name.name, type_, metadata_key=key, virtual=c.virtual, comment=c.comment or "")
            return c.name, column, Field(c.name.name, type_, comment=c.comment or "", metadata_key=key)
        case ast.ComputedColumn():
            unknown = SqlType(Kind.NULL)
            column = TableColumn(c.name.name, unknown, expr=c.expr, comment=c.comment or "")
            return c.name, column, Field(c.name.name, unknown, comment=c.comment or "")
    raise BindError("a column needs a type", span=c.span, hint="Write name TYPE.")


def _unknown(name: ast.Identifier, fields: Sequence[Field]) -> BindError:
    known = [f.name for f in fields]
    return BindError(
        f"there is no column '{name.name}'",
        span=name.span,
        hint=did_you_mean(name.name, known) or f"Declared: {', '.join(known)}.",
    )


def _mark(fields: list[Field], name: str) -> None:
    for i, f in enumerate(fields):
        if f.name == name:
            fields[i] = replace(f, time="rowtime")


def _watermark(context: BindContext, w: ast.Watermark, fields: list[Field], x: ast.CreateTable) -> tuple[str, ast.Expr]:
    if len(w.column) > 1:
        raise not_yet("a WATERMARK on a field of a ROW", w.span, "Compute a column from the field first.")
    name = w.column[0]
    place = next((i for i, f in enumerate(fields) if f.name == name.name), None)
    if place is None:
        raise _unknown(name, fields)
    type_ = fields[place].type
    if not type_.is_timestamp or type_.precision > 3:
        hint = "Declare it TIMESTAMP(3) or TIMESTAMP_LTZ(3)."
        if not type_.is_timestamp:
            hint = "Compute one, for example: ts AS TO_TIMESTAMP_LTZ(millis, 3)."
        raise BindError(
            f"a rowtime column must be TIMESTAMP(p) or TIMESTAMP_LTZ(p) with p <= 3, "
            f"'{name.name}' is {type_.with_nullable(True)}",
            span=name.span,
            hint=hint,
        )
    _mark(fields, name.name)
    bound = ExprBinder(context, Scope.of(Schema(tuple(fields)), x.name.names[-1]), clause="WATERMARK").bind(w.expr)
    if not bound.type.is_timestamp or bound.type.kind is not type_.kind:
        raise BindError(
            f"the watermark must be a {type_.kind.value} as its column is, not {bound.type.with_nullable(True)}",
            span=w.expr.span,
        )
    return name.name, w.expr


def _key(constraints: list[ast.PrimaryKey], keys: list[ast.PhysicalColumn], fields: list[Field]) -> tuple[int, ...]:
    if len(constraints) + len(keys) > 1:
        span = (constraints[-1] if constraints else keys[-1]).span
        raise BindError("a table has one PRIMARY KEY", span=span)
    found: list[int] = []
    names = [f.name for f in fields]
    for c in constraints:
        if c.unique:
            raise BindError(
                "UNIQUE is not supported", span=c.span, hint="Flink SQL has PRIMARY KEY (…) NOT ENFORCED only."
            )
        if c.enforced is not False:
            raise _enforced(c.span)
        for name in c.columns:
            if name.name not in names:
                raise _unknown(name, fields)
            found.append(names.index(name.name))
    for k in keys:
        if k.enforced is not False:
            raise _enforced(k.span)
        found.append(names.index(k.name.name))
    return tuple(found)


def _enforced(span: Span) -> PlanError:
    return PlanError(
        "a PRIMARY KEY cannot be enforced: the rows belong to the outside system",
        span=span,
        hint="Write PRIMARY KEY (…) NOT ENFORCED.",
    )


# ---------------------------------------------------------------- options


def check_options(table: CatalogTable, given: Sequence[ast.Property]) -> None:
    """Check connector, format and their options.

    Raises:
        OptionError: with the place of the option.
    """
    texts = dict(table.options)
    if "connector" not in texts:
        return  # a table without a connector may be declared, as in Flink; using it is an error
    try:
        kind = registry.connector(texts["connector"])
        declared = [*kind.options, *(o for o in COMMON if o.name not in {k.name for k in kind.options})]
        name = texts.get("format", texts.get("value.format"))
        extra = ["connector"]
        if kind.formats == "required" or name is not None:
            if name is None:
                odd = {k: t for k, t in texts.items() if "." not in k}
                named = [replace(o, required=False) for o in declared]
                read_options(named, odd, what=f"connector '{kind.name}'", extra=[*extra, "format"])  # 'formt' …
                raise OptionError(
                    f"connector '{kind.name}' needs option 'format'", hint="For example 'format' = 'json'."
                )
            if kind.formats == "none":
                raise OptionError(f"connector '{kind.name}' takes no option 'format'", hint="Leave it out.")
            chosen = registry.format_(name)
            extra += ["format", "value.format"]
            for prefix in (f"{name}.", f"value.{name}."):
                own = {k.removeprefix(prefix): v for k, v in texts.items() if k.startswith(prefix)}
                read_options(chosen.options, own, what=f"format '{name}'")
                declared += [replace(o, name=prefix + o.name, required=False) for o in chosen.options]
        read_options(declared, texts, what=f"connector '{kind.name}'", extra=extra)
    except OptionError as err:
        if err.span is None:
            err.span = _place(err.message, given)
        raise


def source_changes(texts: Mapping[str, str]) -> Changes:
    """Which changes a table with these options gives when it is read."""
    if "connector" not in texts:
        return "insert"
    kind = registry.connector(texts["connector"])
    name = texts.get("format", texts.get("value.format"))
    return kind.changes(texts, None if name is None else registry.format_(name))


def source_filterable(texts: Mapping[str, str], schema: Schema) -> frozenset[int]:
    """Positions of the columns by whose filters a table with these options leaves rows out."""
    if "connector" not in texts:
        return frozenset()
    name = texts.get("format", texts.get("value.format"))
    return registry.connector(texts["connector"]).filterable(
        texts, schema, None if name is None else registry.format_(name)
    )


def sink_accepts(name: str, schema: Schema, texts: dict[str, str], folder: Path) -> str:
    """Which changes the table's sink takes: ``append``, ``upsert`` or ``all``.

    Raises:
        PlanError: the connector cannot be written to.
        OptionError: a wrong option.
    """
    kind, context = _opened(name, schema, texts, folder)
    return kind().sink(context).accepts


def source_bounded(table: CatalogTable, schema: Schema, texts: dict[str, str], folder: Path) -> bool:
    """Whether the table ends by itself when it is read."""
    kind, context = _opened(table.name, schema, texts, folder)
    source = kind().source(replace(context, partition_keys=table.partition_keys))
    try:
        return source.bounded
    finally:
        source.close()


def _opened(name: str, schema: Schema, texts: dict[str, str], folder: Path) -> tuple[type[Connector], TableContext]:
    kind = registry.connector(texts["connector"])
    declared = [*kind.options, *(o for o in COMMON if o.name not in {k.name for k in kind.options})]
    made = None
    form = texts.get("format", texts.get("value.format"))
    extra = ["connector", "format", "value.format"]
    if form is not None and kind.formats == "required":
        chosen = registry.format_(form)
        prefixes = (f"{form}.", f"value.{form}.")
        own = {k.removeprefix(q): v for q in prefixes for k, v in texts.items() if k.startswith(q)}
        made = chosen(read_options(chosen.options, own, what=f"format '{form}'"))
        extra += [k for k in texts if k.startswith(prefixes)]
    options = read_options(declared, texts, what=f"connector '{kind.name}'", extra=extra)
    return kind, TableContext(name, schema, options, made, folder)


def _place(message: str, given: Sequence[ast.Property]) -> Span | None:
    for o in given:
        if f"'{o.key}'" in message or message.startswith(f"option '{o.key.split('.', 1)[-1]}'"):
            return o.value_span if message.startswith("option") else o.key_span
    for o in given:
        if f"'{o.key.split('.', 1)[-1]}'" in message:
            return o.key_span
    for o in given:
        if f"'{o.value}'" in message:
            return o.value_span
    return None


def _check_metadata(table: CatalogTable, x: ast.CreateTable) -> None:
    if not table.connector:
        return
    known = dict(registry.connector(table.connector).metadata)
    name = table.options.get("format", table.options.get("value.format"))
    if name is not None:
        known |= {f"value.{key}": t for key, t in registry.format_(name).metadata.items()}
    for c in x.columns:
        if isinstance(c, ast.MetadataColumn):
            key = c.key or c.name.name
            if key not in known:
                hint = did_you_mean(key, known) or (f"It has: {', '.join(known)}." if known else "It has none.")
                raise BindError(f"connector '{table.connector}' has no metadata '{key}'", span=c.span, hint=hint)
