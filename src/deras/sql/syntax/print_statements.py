"""The text of statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.sql.syntax import statements as s  # noqa: TC001 - singledispatch reads it
from deras.sql.syntax.printer import brackets, commas, quote, to_sql

if TYPE_CHECKING:
    from deras.sql.syntax.nodes import Property


def _words(*parts: str) -> str:
    return " ".join(p for p in parts if p)


def _if(condition: object, text: str) -> str:
    return text if condition else ""


def _comment(text: str | None) -> str:
    return "" if text is None else f"COMMENT {quote(text)}"


def _with(options: tuple[Property, ...]) -> str:
    return f"WITH {brackets(options)}" if options else ""


def _enforced(value: bool | None) -> str:
    return "" if value is None else "ENFORCED" if value else "NOT ENFORCED"


@to_sql.register
def _(node: s.PhysicalColumn) -> str:
    key = _words("PRIMARY KEY", _enforced(node.enforced)) if node.primary_key else ""
    return _words(to_sql(node.name), to_sql(node.type), key, _comment(node.comment))


@to_sql.register
def _(node: s.MetadataColumn) -> str:
    source = "" if node.key is None else f"FROM {quote(node.key)}"
    virtual = _if(node.virtual, "VIRTUAL")
    return _words(to_sql(node.name), to_sql(node.type), "METADATA", source, virtual, _comment(node.comment))


@to_sql.register
def _(node: s.ComputedColumn) -> str:
    return _words(to_sql(node.name), "AS", to_sql(node.expr), _comment(node.comment))


@to_sql.register
def _(node: s.NamedColumn) -> str:
    return to_sql(node.name)


@to_sql.register
def _(node: s.Watermark) -> str:
    return f"WATERMARK FOR {'.'.join(map(to_sql, node.column))} AS {to_sql(node.expr)}"


@to_sql.register
def _(node: s.PrimaryKey) -> str:
    name = "" if node.constraint is None else f"CONSTRAINT {to_sql(node.constraint)}"
    return _words(name, "UNIQUE" if node.unique else "PRIMARY KEY", brackets(node.columns), _enforced(node.enforced))


@to_sql.register
def _(node: s.Distribution) -> str:
    buckets = "" if node.buckets is None else f"INTO {node.buckets} BUCKETS"
    by = f"BY {node.kind or ''}{brackets(node.columns)}" if node.columns else ""
    return _words("DISTRIBUTED", by, buckets)


@to_sql.register
def _(node: s.LikeOption) -> str:
    return f"{node.merge} {node.feature}"


@to_sql.register
def _(node: s.LikeClause) -> str:
    options = f"({' '.join(map(to_sql, node.options))})" if node.options else ""
    return _words("LIKE", to_sql(node.source), options)


@to_sql.register
def _(node: s.CreateTable) -> str:
    elements = (*node.columns, *node.watermarks, *node.constraints)
    return _words(
        "CREATE",
        _if(node.or_replace, "OR REPLACE"),
        _if(node.temporary, "TEMPORARY"),
        "TABLE",
        _if(node.if_not_exists, "IF NOT EXISTS"),
        to_sql(node.name),
        brackets(elements) if elements else "",
        _comment(node.comment),
        "" if node.distribution is None else to_sql(node.distribution),
        f"PARTITIONED BY {brackets(node.partitioned_by)}" if node.partitioned_by else "",
        _with(node.options),
        "" if node.like is None else to_sql(node.like),
        "" if node.query is None else f"AS {to_sql(node.query)}",
    )


@to_sql.register
def _(node: s.CreateView) -> str:
    return _words(
        "CREATE",
        _if(node.or_replace, "OR REPLACE"),
        _if(node.temporary, "TEMPORARY"),
        "VIEW",
        _if(node.if_not_exists, "IF NOT EXISTS"),
        to_sql(node.name),
        brackets(node.columns) if node.columns else "",
        _comment(node.comment),
        f"AS {to_sql(node.query)}",
    )


@to_sql.register
def _(node: s.CreateMaterializedView) -> str:
    return _words(
        "CREATE",
        _if(node.or_replace, "OR REPLACE"),
        "MATERIALIZED VIEW",
        _if(node.if_not_exists, "IF NOT EXISTS"),
        to_sql(node.name),
        brackets(node.columns) if node.columns else "",
        "" if node.primary_key is None else to_sql(node.primary_key),
        _comment(node.comment),
        _with(node.options),
        f"AS {to_sql(node.query)}",
    )


@to_sql.register
def _(node: s.CreateFunction) -> str:
    resources = ", ".join(f"{kind} {quote(path)}" for kind, path in node.resources)
    return _words(
        "CREATE",
        _if(node.temporary, "TEMPORARY"),
        _if(node.system, "SYSTEM"),
        "FUNCTION",
        _if(node.if_not_exists, "IF NOT EXISTS"),
        to_sql(node.name),
        f"AS {quote(node.identifier)}",
        "" if node.language is None else f"LANGUAGE {node.language}",
        _if(resources, f"USING {resources}"),
        _with(node.options),
    )


@to_sql.register
def _(node: s.CreateCatalog) -> str:
    lenient = _if(node.if_not_exists, "IF NOT EXISTS")
    return _words("CREATE CATALOG", lenient, to_sql(node.name), _comment(node.comment), _with(node.options))


@to_sql.register
def _(node: s.CreateDatabase) -> str:
    lenient = _if(node.if_not_exists, "IF NOT EXISTS")
    return _words("CREATE DATABASE", lenient, to_sql(node.name), _comment(node.comment), _with(node.options))


# ---------------------------------------------------------------- DROP, ALTER


@to_sql.register
def _(node: s.Drop) -> str:
    cascade = "" if node.cascade is None else "CASCADE" if node.cascade else "RESTRICT"
    scope = _words(_if(node.temporary, "TEMPORARY"), _if(node.system, "SYSTEM"))
    return _words("DROP", scope, node.kind, _if(node.if_exists, "IF EXISTS"), to_sql(node.name), cascade)


@to_sql.register
def _(node: s.Alter) -> str:
    scope = _words(_if(node.temporary, "TEMPORARY"), _if(node.system, "SYSTEM"))
    lenient = _if(node.if_exists, "IF EXISTS")
    return _words("ALTER", scope, node.kind, lenient, to_sql(node.name), to_sql(node.action))


@to_sql.register
def _(node: s.RenameTo) -> str:
    return f"RENAME TO {to_sql(node.name)}"


@to_sql.register
def _(node: s.SetOptions) -> str:
    return f"SET {brackets(node.options)}"


@to_sql.register
def _(node: s.ResetOptions) -> str:
    return f"RESET ({', '.join(map(quote, node.keys))})"


@to_sql.register
def _(node: s.SetComment) -> str:
    return _comment(node.comment)


@to_sql.register
def _(node: s.SetQuery) -> str:
    return f"AS {to_sql(node.query)}"


@to_sql.register
def _(node: s.SetFunction) -> str:
    return _words("AS", quote(node.identifier), "" if node.language is None else f"LANGUAGE {node.language}")


@to_sql.register
def _(node: s.ColumnChange) -> str:
    after = "" if node.after is None else f"AFTER {to_sql(node.after)}"
    return _words(to_sql(node.column), _if(node.first, "FIRST"), after)


@to_sql.register
def _(node: s.ChangeColumns) -> str:
    if node.distribution is not None:
        return f"{node.action} {to_sql(node.distribution)}"
    return f"{node.action} {brackets((*node.columns, *node.constraints, *node.watermarks))}"


@to_sql.register
def _(node: s.RenameColumn) -> str:
    return f"RENAME {to_sql(node.old)} TO {to_sql(node.new)}"


@to_sql.register
def _(node: s.DropParts) -> str:
    if node.what == "COLUMNS":
        return f"DROP {brackets(node.columns)}"
    return _words("DROP", node.what, commas(node.columns))


@to_sql.register
def _(node: s.PartitionSpec) -> str:
    items = (to_sql(k) + ("" if v is None else f" = {to_sql(v)}") for k, v in node.items)
    return f"PARTITION ({', '.join(items)})"


@to_sql.register
def _(node: s.ChangePartitions) -> str:
    if node.action == "DROP":
        return _words("DROP", _if(node.lenient, "IF EXISTS"), commas(node.partitions))
    added = (_words(to_sql(p), _with(o)) for p, o in zip(node.partitions, node.options))
    return _words("ADD", _if(node.lenient, "IF NOT EXISTS"), *added)


# ---------------------------------------------------------------- rows


@to_sql.register
def _(node: s.QueryStatement) -> str:
    return to_sql(node.query)


@to_sql.register
def _(node: s.Insert) -> str:
    paths = ", ".join(".".join(map(to_sql, path)) for path in node.columns)
    hint = f"/*+ OPTIONS{brackets(node.options)} */" if node.options else ""
    partition = "" if node.partition is None else to_sql(node.partition)
    word = "INSERT OVERWRITE" if node.overwrite else "INSERT INTO"
    return _words(word, to_sql(node.table), hint, partition, _if(paths, f"({paths})"), to_sql(node.query))


@to_sql.register
def _(node: s.StatementSet) -> str:
    inner = " ".join(f"{to_sql(i)};" for i in node.statements)
    return f"{'EXECUTE STATEMENT SET BEGIN' if node.execute else 'BEGIN STATEMENT SET;'} {inner} END"


@to_sql.register
def _(node: s.Execute) -> str:
    return f"EXECUTE {to_sql(node.statement)}"


@to_sql.register
def _(node: s.Explain) -> str:
    return _words("EXPLAIN", _if(node.plan_for, "PLAN FOR"), ", ".join(node.details), to_sql(node.statement))


@to_sql.register
def _(node: s.Delete) -> str:
    alias = "" if node.alias is None else f"AS {to_sql(node.alias)}"
    where = "" if node.where is None else f"WHERE {to_sql(node.where)}"
    return _words("DELETE FROM", to_sql(node.table), alias, where)


@to_sql.register
def _(node: s.Update) -> str:
    alias = "" if node.alias is None else f"AS {to_sql(node.alias)}"
    where = "" if node.where is None else f"WHERE {to_sql(node.where)}"
    changes = ", ".join(f"{to_sql(k)} = {to_sql(v)}" for k, v in node.assignments)
    return _words("UPDATE", to_sql(node.table), alias, f"SET {changes}", where)


@to_sql.register
def _(node: s.Truncate) -> str:
    return f"TRUNCATE TABLE {to_sql(node.table)}"


@to_sql.register
def _(node: s.Analyze) -> str:
    partition = "" if node.partition is None else to_sql(node.partition)
    columns = "FOR ALL COLUMNS" if node.all_columns else _if(node.columns, f"FOR COLUMNS {commas(node.columns)}")
    return _words("ANALYZE TABLE", to_sql(node.table), partition, "COMPUTE STATISTICS", columns)


# ---------------------------------------------------------------- session


@to_sql.register
def _(node: s.Describe) -> str:
    if node.kind == "JOB":
        return f"DESCRIBE JOB {quote(node.job or '')}"
    name = "" if node.name is None else to_sql(node.name)
    return _words("DESCRIBE", node.kind, _if(node.extended, "EXTENDED"), name)


@to_sql.register
def _(node: s.ShowLike) -> str:
    return _words(_if(node.negated, "NOT"), "ILIKE" if node.ignore_case else "LIKE", quote(node.pattern))


@to_sql.register
def _(node: s.Show) -> str:
    direct = node.what.startswith("CREATE ") or node.what == "PARTITIONS"
    name = "" if node.name is None else to_sql(node.name) if direct else f"FROM {to_sql(node.name)}"
    like = "" if node.like is None else to_sql(node.like)
    return _words("SHOW", node.what, name, "" if node.partition is None else to_sql(node.partition), like)


@to_sql.register
def _(node: s.SetOption) -> str:
    return "SET" if node.option is None else f"SET {to_sql(node.option)}"


@to_sql.register
def _(node: s.ResetOption) -> str:
    return "RESET" if node.key is None else f"RESET {quote(node.key)}"


@to_sql.register
def _(node: s.Use) -> str:
    return _words("USE", node.kind, commas(node.names))


@to_sql.register
def _(node: s.Module) -> str:
    return _words(node.action, "MODULE", to_sql(node.name), _with(node.options))


@to_sql.register
def _(node: s.Jar) -> str:
    return f"{node.action} JAR {quote(node.path)}"


@to_sql.register
def _(node: s.StopJob) -> str:
    return _words("STOP JOB", quote(node.job), _if(node.savepoint, "WITH SAVEPOINT"), _if(node.drain, "WITH DRAIN"))
