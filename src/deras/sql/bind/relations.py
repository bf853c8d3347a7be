"""What stands in FROM: tables, views, subqueries, joins and table functions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deras.core.errors import BindError, PlanError, Span, did_you_mean
from deras.core.schema import Field, Schema
from deras.core.types import Kind
from deras.sql.bind.expressions import ExprBinder, not_yet, same_columns
from deras.sql.bind.joins import bind_join
from deras.sql.bind.late_rows import bind_late_rows
from deras.sql.bind.lateral import alone, reads_left
from deras.sql.bind.match import bind_match
from deras.sql.bind.scope import Scope, ScopeColumn
from deras.sql.bind.sources import changelog
from deras.sql.bind.time_joins import as_of, bind_as_of, bind_asof, keep_time
from deras.sql.bind.windows import bind_window
from deras.sql.catalog import CatalogTable, CatalogView, MaterializedView
from deras.sql.expr import decimals
from deras.sql.expr import nodes as e
from deras.sql.plan import nodes as p
from deras.sql.syntax import ast

if TYPE_CHECKING:
    from deras.sql.bind.query import QueryBinder

WINDOW_FUNCTIONS = ("TUMBLE", "HOP", "CUMULATE", "SESSION", "SNAPSHOT", "SLIDING")
_IDLE_ADVANCE = "scan.watermark.idle-advance"
OURS = ("DETECT_ANOMALIES", "LATE_ROWS")


def bind_relation(q: QueryBinder, r: ast.Relation) -> tuple[p.Rel, Scope]:
    """The plan of a relation and the names of its columns."""
    match r:
        case ast.TableRef():
            return _table(q, r)
        case ast.SubqueryRelation():
            # Without something on its left there is nothing that LATERAL could read.
            rel = q.query(r.query)
            return aliased(rel, r.alias, "")
        case ast.Join():
            if "ASOF" in r.kind:
                return bind_asof(q, r)
            versions = as_of(r)
            return bind_as_of(q, r, versions) if versions is not None else keep_time(*bind_join(q, r))
        case ast.ParenRelation():
            rel, scope = bind_relation(q, r.inner)
            return aliased(rel, r.alias, "") if r.alias is not None else (rel, scope)
        case ast.FunctionRelation() if not reads_left(r):
            return _function(q, r)
        case ast.FunctionRelation() | ast.Unnest():
            return alone(q, r)
        case ast.MatchRecognize():
            return aliased(bind_match(q, r), r.alias, "")
    raise not_yet(type(r).__name__, r.span)


def aliased(rel: p.Rel, alias: ast.Alias | None, name: str, path: tuple[str, ...] = ()) -> tuple[p.Rel, Scope]:
    """A relation under its alias, or under its own name."""
    if alias is None:
        return rel, Scope.of(rel.schema, name, path)
    schema = rel.schema
    if alias.columns:
        if len(alias.columns) != len(schema):
            raise BindError(
                f"alias '{alias.name.name}' names {len(alias.columns)} columns, the relation has {len(schema)}",
                span=alias.span,
            )
        fields = tuple(replace(f, name=c.name) for f, c in zip(schema, alias.columns, strict=True))
        schema = Schema(fields, schema.key)
        exprs = tuple(e.InputRef(f.type, i) for i, f in enumerate(schema))
        rel = p.Calc(schema, rel, exprs)
    return rel, Scope.of(schema, alias.name.name)


# ---------------------------------------------------------------- tables and views


def _table(q: QueryBinder, r: ast.TableRef) -> tuple[p.Rel, Scope]:
    if r.as_of is not None:
        raise BindError(
            "FOR SYSTEM_TIME AS OF needs a join",
            span=r.span,
            hint="Write … JOIN table FOR SYSTEM_TIME AS OF left.time ON …; tables keep no history to be read alone.",
        )
    options: dict[str, str] = {}
    for hint in r.hints:
        if hint.name.upper() == "OPTIONS":
            options |= {o.key: o.value for o in hint.options}
        elif hint.name.upper() not in ("BROADCAST", "SHUFFLE_HASH", "SHUFFLE_MERGE", "NEST_LOOP"):
            raise not_yet(f"hint {hint.name}", hint.span)
    name = r.name.names[-1]
    rel = relation_named(q, r.name, options)
    path = q.context.catalog.path(r.name.names, r.name.span) if r.name.names[0] not in q.ctes else ()
    return aliased(rel, r.alias, name, (*path[:-1], name) if path else ())


def relation_named(q: QueryBinder, name: ast.ObjectName, options: dict[str, str]) -> p.Rel:
    """The plan of a table, view or WITH query by name."""
    if len(name.parts) == 1 and name.names[0] in q.ctes:
        return q.ctes[name.names[0]]
    if len(name.parts) == 1 and q.ctes:
        catalog = q.context.catalog
        if catalog.find(name.names, name.span) is None:
            known = [*q.ctes, *(x.name for x in catalog.relations())]
            hint = did_you_mean(name.names[0], known)
            if hint:
                raise BindError(f"there is no table or view '{name}'", span=name.span, hint=hint)
    found = q.context.catalog.relation(name.names, name.span)
    if isinstance(found, CatalogTable):
        return scan(q, found, options)
    if options:
        raise BindError(f"'{name}' is a view and takes no OPTIONS", span=name.span)
    if isinstance(found, MaterializedView):
        return p.ViewScan(found.schema, found)
    return expand(q, found, name.span)


def expand(q: QueryBinder, view: CatalogView, span: Span) -> p.Rel:
    """The plan of a plain view's query."""
    if view.name in q.context.expanding:
        raise BindError(f"view '{view.name}' reads itself", span=span)
    from deras.sql.bind.query import QueryBinder

    inner = QueryBinder(q.context.of_text(view.text, view.name))
    try:
        rel = inner.query(view.query)
    except (BindError, PlanError) as err:
        err.with_text(view.text)
        raise
    if view.columns:
        fields = tuple(replace(f, name=n) for f, n in zip(rel.schema, view.columns, strict=True))
        rel = p.Calc(Schema(fields, rel.schema.key), rel, tuple(e.InputRef(f.type, i) for i, f in enumerate(fields)))
    return rel


def scan(q: QueryBinder, table: CatalogTable, options: dict[str, str]) -> p.Rel:
    """A table: its source columns, and a projection for computed ones."""
    fields: list[Field] = []
    place: dict[str, int] = {}
    by_name = {f.name: f for f in table.schema}
    for c in table.columns:
        if c.expr is None:
            place[c.name] = len(fields)
            # Files do not hold the partition columns: the names of their folders do.
            folder = c.name in table.partition_keys and table.connector == "filesystem"
            fields.append(replace(by_name[c.name], metadata_key=f"partition.{c.name}" if folder else c.metadata_key))
    physical = Schema(tuple(f.without_time() for f in fields))
    context = q.context.of_text(table.text, table.name) if table.text else q.context
    binder = ExprBinder(context, Scope.of(physical, table.name), clause="a computed column")
    computed: e.Expr | None = None
    watermark: e.Expr | None = None
    rowtime: int | None = None
    columns = {c.name: c for c in table.columns}
    exprs: dict[str, e.Expr] = {}
    for c in table.columns:
        if c.expr is not None:
            exprs[c.name] = binder.bind(c.expr)
    if table.watermark is not None:
        name, expr = table.watermark
        source = columns.get(name)
        if source is not None and source.expr is not None:
            computed = exprs[name]
            place[name] = len(fields)
            fields.append(by_name[name])
        rowtime = place[name]
        fields[rowtime] = by_name[name]
        everything = Schema(tuple(fields))
        watermark = ExprBinder(context, Scope.of(everything, table.name), clause="WATERMARK").bind(expr)
    schema = Schema(tuple(fields))
    merged = {**table.options, **options}
    if watermark is not None and q.context.settings.get("deras.idle-advance"):
        merged.setdefault(_IDLE_ADVANCE, "true")
    if _IDLE_ADVANCE in merged and q.context.settings.strict_flink:
        raise PlanError(
            f"option '{_IDLE_ADVANCE}' of table '{table.name}' is not Flink's",
            hint="Leave it out, or RESET 'deras.strict-flink'.",
        )
    source_rel: p.Rel = changelog(q, p.Scan(schema, table, tuple(merged.items()), rowtime, computed, watermark), place)
    if not exprs and len(schema) == len(table.schema):
        return replace(source_rel, schema=Schema(schema.fields, table.schema.key))
    out: list[e.Expr] = []
    for f in table.schema:
        if f.name in place:
            out.append(e.InputRef(f.type, place[f.name]))
        else:
            out.append(exprs[f.name])
    return p.Calc(table.schema, source_rel, tuple(out))


# ---------------------------------------------------------------- table functions


def _function(q: QueryBinder, r: ast.FunctionRelation) -> tuple[p.Rel, Scope]:
    name = r.call.function
    if name in WINDOW_FUNCTIONS:
        rel = bind_window(q, r.call)
    elif name == "DETECT_ANOMALIES":
        rel = _detect(q, r.call)
    elif name == "LATE_ROWS":
        rel = bind_late_rows(q, r.call)
    else:
        raise no_table_function(q, r)
    return aliased(rel, r.alias, "")


def is_relation_function(r: ast.FunctionRelation) -> bool:
    """Whether a function takes a table as a whole: windows and those that are ours."""
    return r.call.function in (*WINDOW_FUNCTIONS, *OURS)


def no_table_function(q: QueryBinder, r: ast.FunctionRelation) -> BindError:
    """The error for a name that is no table function."""
    own = q.context.catalog.function(r.call.name.parts[-1].name)
    if own is not None:
        return BindError(
            f"'{r.call.name}' gives one value, not rows", span=r.call.name.span, hint="Call it in SELECT or WHERE."
        )
    hint = did_you_mean(r.call.function, [*WINDOW_FUNCTIONS, *OURS])
    return BindError(f"there is no table function '{r.call.name}'", span=r.call.name.span, hint=hint)


def named_arguments(call: ast.Call, names: tuple[str, ...]) -> dict[str, ast.Expr]:
    """The arguments of a table function by name, whether written by place or by name."""
    found: dict[str, ast.Expr] = {}
    for i, a in enumerate(call.args):
        if isinstance(a, ast.NamedArgument):
            key = a.name.name.upper()
            if key in found:
                raise BindError(f"argument {a.name.name} of {call.function} is given twice", span=a.span)
            found[key] = a.value
        elif any(isinstance(b, ast.NamedArgument) for b in call.args[:i]):
            raise BindError("arguments by place must stand before arguments by name", span=a.span)
        elif i < len(names):
            found[names[i]] = a
        else:
            raise BindError(
                f"{call.function} takes at most {len(names)} arguments",
                span=a.span,
                hint=f"They are: {', '.join(names)}.",
            )
    return found


def table_argument(q: QueryBinder, a: ast.Expr, call: ast.Call) -> tuple[p.Rel, Scope, ast.TableArgument]:
    """The input of a table function."""
    if isinstance(a, ast.ScalarSubquery):
        a = ast.TableArgument(a.query, span=a.span)
    if isinstance(a, ast.ColumnRef):
        raise BindError(
            f"{call.function} needs a table here", span=a.span, hint=f"Write TABLE {'.'.join(x.name for x in a.parts)}."
        )
    if not isinstance(a, ast.TableArgument):
        raise BindError(f"{call.function} needs a table here", span=a.span, hint="Write TABLE name.")
    if isinstance(a.source, ast.Query):
        rel = q.query(a.source)
        return rel, Scope.of(rel.schema), a
    rel = relation_named(q, a.source, {})
    return rel, Scope.of(rel.schema, a.source.names[-1]), a


def descriptor(scope: Scope, a: ast.Expr, call: ast.Call) -> ScopeColumn:
    """The one column of ``DESCRIPTOR(c)``."""
    if not isinstance(a, ast.Descriptor) or len(a.columns) != 1:
        raise BindError(f"{call.function} needs DESCRIPTOR(column) here", span=a.span)
    column, _ = scope.resolve([a.columns[0]])
    return column


def _detect(q: QueryBinder, call: ast.Call) -> p.Rel:
    if q.context.settings.strict_flink:
        raise PlanError(
            "DETECT_ANOMALIES is not Flink SQL", span=call.span, hint="RESET 'deras.strict-flink' to use it."
        )
    names = ("DATA", "TIMECOL", "VALUECOL")
    args = named_arguments(call, names)
    for needed in names:
        if needed not in args:
            raise BindError(
                f"DETECT_ANOMALIES needs {needed}", span=call.span, hint=f"Its arguments: {', '.join(names)}."
            )
    rel, scope, table = table_argument(q, args["DATA"], call)
    time = descriptor(scope, args["TIMECOL"], call)
    value = descriptor(scope, args["VALUECOL"], call)
    if time.field.time != "rowtime":
        raise BindError(
            f"TIMECOL needs a column with a WATERMARK, which '{time.field.name}' has not", span=args["TIMECOL"].span
        )
    if not value.field.type.is_numeric:
        raise BindError(f"VALUECOL needs a number, not {value.field.type}", span=args["VALUECOL"].span)
    keys: list[int] = []
    for k in table.partition_by:
        bound = ExprBinder(q.context, scope, clause="PARTITION BY").bind(k)
        if not isinstance(bound, e.InputRef):
            raise BindError("PARTITION BY takes columns here", span=k.span, hint="Compute it in a subquery.")
        keys.append(bound.index)
    options = _detect_options(q, args, names)
    from deras.engine.operators.detect import output_fields

    schema = Schema((*rel.schema.fields, *output_fields()))
    return p.Detect(schema, rel, tuple(keys), time.index, value.index, tuple(options.items()))


def _detect_options(q: QueryBinder, args: dict[str, ast.Expr], names: tuple[str, ...]) -> dict[str, str]:
    from deras.engine.operators.detect import OPTIONS

    known = {o.name.upper(): o for o in OPTIONS}
    options: dict[str, str] = {}
    for name, given in args.items():
        if name in names:
            continue
        if name not in known:
            hint = did_you_mean(name, [*names, *known]) or f"Its arguments: {', '.join([*names, *known])}."
            raise BindError(f"DETECT_ANOMALIES has no argument {name}", span=given.span, hint=hint)
        bound = ExprBinder(q.context, Scope()).bind(given)
        if not isinstance(bound, e.Literal) or bound.value is None:
            raise BindError(f"argument {name} must be a constant", span=given.span)
        scaled = bound.type.kind is Kind.DECIMAL
        text = decimals.text(bound.value, bound.type.scale) if scaled else str(bound.value)
        try:
            known[name].read(text)
        except ValueError as err:
            raise BindError(f"argument {name}: {err}", span=given.span, hint=known[name].help) from None
        options[known[name].name] = text
    return options


def identity(rel: p.Rel, exprs: tuple[e.Expr, ...]) -> bool:
    """Whether a projection changes nothing."""
    return len(exprs) == len(rel.schema) and same_columns(exprs)
