"""``SET 'execution.runtime-mode' = 'batch'``: bounded inputs, final rows only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deras.core.errors import PlanError
from deras.sql.bind.tables import source_bounded
from deras.sql.plan import nodes as p
from deras.sql.plan.batch import DefaultRow
from deras.sql.plan.rank import Sort

if TYPE_CHECKING:
    from pathlib import Path

    from deras.sql.settings import Settings


def final(rel: p.Rel, settings: Settings, folder: Path) -> p.Rel:
    """The plan as batch mode runs it; the same in streaming mode.

    Raises:
        PlanError: a table never ends.
    """
    if not settings.batch:
        return rel
    for r in p.walk(rel):
        if isinstance(r, p.ViewScan) or (isinstance(r, p.Scan) and not _bounded(r, folder)):
            name = r.view.name if isinstance(r, p.ViewScan) else r.table.name
            raise PlanError(
                f"'{name}' never ends, and batch mode needs inputs that do",
                hint="Read files without 'source.monitor-interval', datagen with 'number-of-rows' and the like, or "
                "SET 'execution.runtime-mode' = 'streaming'.",
            )
    rel = _defaults(rel)
    return rel if rel.append_only() else Sort(replace(rel.schema, key=()), rel, (), "end")


def _bounded(scan: p.Scan, folder: Path) -> bool:
    n = len(scan.schema) - (1 if scan.computed is not None else 0)
    physical = replace(scan.schema, fields=scan.schema.fields[:n], key=())
    return source_bounded(scan.table, physical, dict(scan.options), folder)


def _defaults(rel: p.Rel) -> p.Rel:
    rel = rel.rebuild(tuple(map(_defaults, rel.inputs())))
    if isinstance(rel, p.Aggregate) and not rel.keys:
        row = tuple(0 if c.function.upper().startswith("COUNT") else None for c in rel.calls)
        return DefaultRow(rel.schema, rel, row)
    return rel
