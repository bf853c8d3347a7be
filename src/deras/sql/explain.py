"""EXPLAIN: the plan, what each operator keeps, which changes flow, and what to mind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.core.errors import PlanError
from deras.sql.plan.text import trees
from deras.sql.syntax import ast

if TYPE_CHECKING:
    from deras.sql.plan.rel import Rel
    from deras.sql.planner import Planner


def explain(planner: Planner, x: ast.Statement, text: str) -> str:
    """The text of EXPLAIN for a query, INSERT, statement set or CREATE MATERIALIZED VIEW."""
    if isinstance(x, (ast.Explain, ast.Execute)):
        return explain(planner, x.statement, text)
    parts = [_planned(planner, i, text) for i in (x.statements if isinstance(x, ast.StatementSet) else (x,))]
    reuse = planner.settings.reuse_subplans
    plans = trees([rel for rel, _, _ in parts], changelog=True, state=True, reuse=reuse)
    return "\n\n".join(_shown(*part, plan.splitlines()) for part, plan in zip(parts, plans, strict=True))


def _planned(planner: Planner, x: ast.Statement, text: str) -> tuple[Rel, str, list[str]]:
    """The plan of one statement, what it ends in, and what to mind."""
    from deras.sql.forgetting import forgetting
    from deras.sql.planner import state_warnings
    from deras.sql.rules.key_joins import key_joins

    if not isinstance(x, (ast.QueryStatement, ast.Insert, ast.CreateMaterializedView, ast.CreateView)):
        raise PlanError("EXPLAIN takes a query, INSERT, a statement set or CREATE MATERIALIZED VIEW", span=x.span)
    rel, context = planner.logical(x, text)
    if isinstance(x, ast.Insert):
        planner.plan(x, text)  # its checks
        head = f"Sink(table: {x.table})"
    elif isinstance(x, ast.CreateMaterializedView):
        head = f"View({x.name})"
    else:
        head = "Result"
    rel = key_joins(forgetting(rel, int(planner.settings.state_ttl_ms)), planner.settings)
    return rel, head, [*context.warnings, *state_warnings(rel, planner.settings)]


def _shown(rel: Rel, head: str, notes: list[str], below: list[str]) -> str:
    key = rel.upsert_key()
    names = rel.schema.names
    facts = ["insert-only" if rel.append_only() else "updates"]
    if key:
        facts.append(f"key: ({', '.join(names[k] for k in key)})")
    lines = ["== Optimized Execution Plan ==", f"{head}  -- {'; '.join(facts)}"]
    lines += [f"+- {below[0]}", *(f"   {line}" for line in below[1:])]
    if notes:
        lines += ["", "== Warnings ==", *dict.fromkeys(notes)]
    return "\n".join(lines)
