"""The planner: a statement's syntax tree to dataflows, catalog changes or an answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deras.core.errors import BindError, PlanError, SqlError
from deras.core.schema import Field, Schema
from deras.core.types import STRING
from deras.engine.dataflow import Dataflow, Target
from deras.sql.batch import final
from deras.sql.bind.context import BindContext
from deras.sql.bind.inserts import bind_insert
from deras.sql.bind.query import QueryBinder
from deras.sql.bind.rank import limited
from deras.sql.bind.tables import create_table
from deras.sql.catalog import MaterializedView
from deras.sql.forgetting import forgets, forgetting, ttl_warnings
from deras.sql.lower import Lowering
from deras.sql.lower.scans import agreed
from deras.sql.plan import nodes as p
from deras.sql.plan.joins import replaces
from deras.sql.plan.text import blame, digest, tree
from deras.sql.planned import Planned
from deras.sql.rules import optimise
from deras.sql.rules.key_joins import key_joins
from deras.sql.statements import plan_other
from deras.sql.syntax import ast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.sql.catalog import Catalog, CatalogTable
    from deras.sql.settings import Settings


class Planner:
    """Plans statements against a catalog and settings.

    Args:
        catalog: names; changed only by ``Planned.apply``.
        settings: of the session.
        folder: the project's folder, for relative paths and ``module.function`` of Python functions.
    """

    def __init__(self, catalog: Catalog, settings: Settings, folder: Path | None = None) -> None:
        self.catalog = catalog
        self.settings = settings
        self.folder = folder or Path()

    def plan(self, statement: ast.Statement, text: str) -> Planned:
        """Plan one statement; ``text`` is the script that its spans refer to.

        Raises:
            BindError: a name or type does not fit.
            PlanError: valid, but cannot be run as asked.
            OptionError: a wrong option or setting.
        """
        try:
            return self._plan(statement, text)
        except SqlError as e:
            if e.span is None:
                e.span = statement.span
            raise e.with_text(text) from e.__cause__

    def explain(self, statement: ast.Statement, text: str = "") -> str:
        """The plan of a query, INSERT, statement set or CREATE MATERIALIZED VIEW as text: changes, state, warnings."""
        from deras.sql.explain import explain

        try:
            return explain(self, statement, text)
        except SqlError as e:
            raise e.with_text(text) from e.__cause__

    # ---- statements

    def _context(self, text: str) -> BindContext:
        return BindContext(self.catalog, self.settings, text, self.folder)

    def _plan(self, x: ast.Statement, text: str) -> Planned:
        match x:
            case ast.QueryStatement():
                flow = self._query(x, text)
                return Planned(
                    "dataflows", "select", dataflows=(flow,), schema=flow.target.schema, warnings=flow.warnings
                )
            case ast.Insert():
                flow = self._insert(x, text)
                return Planned("dataflows", "insert", flow.target.name, dataflows=(flow,), warnings=flow.warnings)
            case ast.StatementSet():
                flows = agreed([self._insert(i, text) for i in x.statements])
                warnings = list(dict.fromkeys(w for f in flows for w in f.warnings))
                return Planned("dataflows", "statement set", dataflows=flows, warnings=warnings)
            case ast.CreateMaterializedView():
                return self._materialized(x, text)
            case ast.CreateTable() if x.query is not None:
                return self._create_as(x, x.query, text)
            case ast.Execute():
                return self._plan(x.statement, text)
            case ast.Explain():
                answer = self.explain(x.statement, text)
                return Planned(
                    "rows", "explain", schema=Schema.of(result=STRING.with_nullable(False)), rows=[(answer,)]
                )
        return plan_other(self, x, text)

    # ---- queries

    def logical(self, x: ast.Statement, text: str) -> tuple[p.Rel, BindContext]:
        """The optimised plan of a query or INSERT, and what was noticed on the way."""
        context = self._context(text)
        binder = QueryBinder(context)
        if isinstance(x, ast.QueryStatement):
            rel = binder.query(x.query, top=True)
        elif isinstance(x, ast.Insert):
            rel, _ = bind_insert(binder, x)
        elif isinstance(x, (ast.CreateMaterializedView, ast.CreateView)):
            rel = binder.query(x.query, root=True)
        else:
            raise PlanError("only queries and INSERT have a plan", span=x.span)
        rel = optimise(rel, self.settings.zone, share=self.settings.reuse_subplans, push=self.settings.push_filters)
        if isinstance(rel, p.Limit) and not rel.append_only():
            rel = limited(rel.input, rel.count)
        return final(rel, self.settings, self.folder), context

    def _query(self, x: ast.QueryStatement, text: str) -> Dataflow:
        rel, context = self.logical(x, text)
        limit = rel.count if isinstance(rel, p.Limit) else None
        target = Target("query", "", replace(rel.schema, key=rel.upsert_key()), upsert_key=rel.upsert_key())
        return self._dataflow(rel, target, f"query-{digest(rel.normal())}", x, text, context, limit)

    def _create_as(self, x: ast.CreateTable, query: ast.Query, text: str) -> Planned:
        """CREATE [OR REPLACE] TABLE … AS: the table, and an INSERT into it."""
        old = self.catalog.find(x.name.names, x.name.span, temporary=x.temporary)
        name = x.name.names[-1]
        if old is not None and not x.or_replace:
            if x.if_not_exists:
                return Planned("ddl", "create table as", name, message=f"{name} exists already")
            raise BindError(
                f"'{x.name}' exists already", span=x.name.span, hint="Drop it first, or write CREATE OR REPLACE TABLE."
            )
        given = QueryBinder(self._context(text)).query(query).schema
        table = create_table(self._context(text), x, given)
        columns = tuple((ast.Identifier(f.name, span=query.span),) for f in given)
        flow = self._insert(ast.Insert(x.name, query, columns, span=x.span), text, table)
        path = self.catalog.path(x.name.names)

        def apply() -> None:
            self.catalog.add(table, path, replace=x.or_replace, span=x.name.span)

        return Planned(
            "dataflows", "create table as", name, apply, (flow,), warnings=flow.warnings, object=".".join(path)
        )

    def _insert(self, x: ast.Insert, text: str, into: CatalogTable | None = None) -> Dataflow:
        context = self._context(text)
        rel, table = bind_insert(QueryBinder(context), x, into)
        rel = optimise(rel, self.settings.zone, share=self.settings.reuse_subplans, push=self.settings.push_filters)
        rel = final(rel, self.settings, self.folder)
        schema = Schema(tuple(f.without_time() for f in rel.schema), _sink_key(table, rel.schema))
        options = {**table.options, **{o.key: o.value for o in x.options}}
        target = Target(
            "sink",
            table.name,
            schema,
            options.get("connector", ""),
            options,
            rel.upsert_key(),
            table.comment,
            partition_keys=table.partition_keys,
        )
        self._check_sink(rel, target, x, context)
        return self._dataflow(rel, target, f"{table.name}-{digest(rel.normal())}", x, text, context, None)

    def _check_sink(self, rel: p.Rel, target: Target, x: ast.Insert, context: BindContext) -> None:
        from deras.sql.bind.tables import sink_accepts

        if not target.connector:
            raise PlanError(
                f"table '{target.name}' has no connector",
                span=x.table.span,
                hint="Add WITH ('connector' = '…') to CREATE TABLE.",
            )
        try:
            accepts = sink_accepts(target.name, target.schema, target.options, self.folder)
        except SqlError as e:
            e.span = e.span or x.table.span
            raise
        if rel.append_only() or accepts == "all":
            return
        if accepts == "upsert":
            if not target.schema.key:
                raise PlanError(
                    f"table '{target.name}' needs a PRIMARY KEY to take updates",
                    span=x.table.span,
                    detail=f"Updates come from {blame(rel)}.",
                    hint="Declare PRIMARY KEY (…) NOT ENFORCED in CREATE TABLE.",
                )
            return
        raise PlanError(
            f"table '{target.name}' doesn't support consuming update changes",
            span=x.table.span,
            detail=f"Connector '{target.connector}' takes insertions only; updates come from {blame(rel)}.",
            hint="Group by a window so that results are final, write to a sink that takes updates, or make it a "
            "CREATE MATERIALIZED VIEW.",
        )

    def _materialized(self, x: ast.CreateMaterializedView, text: str) -> Planned:
        if self.settings.strict_flink:
            raise PlanError(
                "CREATE MATERIALIZED VIEW is not Flink SQL",
                span=x.span,
                hint="CREATE TABLE with a connector and INSERT INTO it, or RESET 'deras.strict-flink'.",
            )
        name = x.name.names[-1]
        old = self.catalog.find(x.name.names, x.name.span)
        if old is not None and not x.or_replace:
            if x.if_not_exists:
                return Planned("ddl", "create materialized view", name, message=f"{name} exists already")
            raise BindError(f"'{name}' exists already", span=x.name.span, hint="Drop it first, or write OR REPLACE.")
        rel, context = self.logical(x, text)
        rel = _named(rel, x.columns)
        names = rel.schema.names
        if any(n.startswith("EXPR$") for n in names):
            i = next(i for i, n in enumerate(names) if n.startswith("EXPR$"))
            raise BindError(
                f"column {i + 1} of view '{name}' has no name", span=x.query.span, hint="Give it one with AS."
            )
        own = rel.upsert_key()
        key = own
        if x.primary_key is not None:
            from deras.sql.bind.tables import _unknown

            for c in x.primary_key.columns:
                if c.name not in names:
                    raise _unknown(c, rel.schema.fields)
            key = tuple(names.index(c.name) for c in x.primary_key.columns)
        # A view that only grows needs no key: its rows are kept as they come.
        shown = key if x.primary_key is not None or not rel.append_only() else ()
        schema = Schema(rel.schema.fields, shown)
        ddl = text[x.span.start : x.span.end]
        options = {o.key: o.value for o in x.options}
        grows = rel.append_only() and not shown
        view = MaterializedView(name, schema, grows, ddl, x.query, text, options, x.comment or "")
        target = Target("view", name, schema, options=options, upsert_key=own, comment=x.comment or "")
        flow = self._dataflow(rel, target, name, x, text, context, None)
        replace_ = x.or_replace

        def apply() -> None:
            self.catalog.add(view, x.name.names, replace=replace_, span=x.name.span)

        action = "create or replace materialized view" if replace_ and old is not None else "create materialized view"
        return Planned("dataflows", action, name, apply, (flow,), schema, warnings=flow.warnings, view=view)

    def _check_expressions(self, rel: p.Rel) -> None:
        """Compile once, so that constants that a function does not take are found here and not in the first step."""
        from deras.sql.expr.program import Evaluation

        for r in p.walk(rel):
            if isinstance(r, p.Calc):
                Evaluation(r.input.schema.types, r.expressions(), self.settings.zone)

    def _dataflow(
        self,
        rel: p.Rel,
        target: Target,
        owner: str,
        x: ast.Statement,
        text: str,
        context: BindContext,
        limit: int | None,
    ) -> Dataflow:
        self._check_expressions(rel)
        rel = key_joins(forgetting(rel, int(self.settings.state_ttl_ms)), self.settings)
        share = self.settings.reuse_subplans
        lowering = Lowering(owner, self.settings.zone, share)
        output = lowering.lower(rel)
        warnings = [*context.warnings, *state_warnings(rel, self.settings)]
        target = replace(target, single_row=rel.single_row(), replaces=replaces(rel), forgetful=forgets(rel))
        return Dataflow(
            tuple(lowering.sources),
            tuple(lowering.nodes),
            output,
            target,
            rel.append_only(),
            text[x.span.start : x.span.end],
            tuple(dict.fromkeys(warnings)),
            tuple(dict.fromkeys(lowering.views)),
            not any(r.reads_time() or any(r.ttl) for r in p.walk(rel)),
            limit,
            {"plan": tree(rel, changelog=True, state=True, reuse=share)},
        )


def _sink_key(table: object, schema: Schema) -> tuple[int, ...]:
    from deras.sql.catalog import CatalogTable

    assert isinstance(table, CatalogTable)  # noqa: S101 (for the type checker)
    names = schema.names
    return tuple(names.index(table.schema[k].name) for k in table.schema.key)


def _named(rel: p.Rel, columns: Sequence[ast.Identifier]) -> p.Rel:
    """The plan with a view's column names."""
    from deras.sql.expr import nodes as e

    if not columns:
        return rel
    if len(columns) != len(rel.schema):
        raise BindError(
            f"the view names {len(columns)} columns, its query has {len(rel.schema)}", span=columns[-1].span
        )
    fields: list[Field] = [replace(f, name=c.name) for f, c in zip(rel.schema, columns, strict=True)]
    refs = tuple(e.InputRef(f.type, i) for i, f in enumerate(fields))
    return p.Calc(Schema(tuple(fields), rel.schema.key), rel, refs)


def state_warnings(rel: p.Rel, settings: Settings) -> list[str]:
    """Sentences about state that grows for ever."""
    found = []
    for r in p.walk(rel):
        if not r.ttl or not all(r.ttl):
            found += r.warnings()
    return found + ttl_warnings(rel, bool(settings.state_ttl_ms))
