"""Which changes a table gives when it is read, and what makes a whole changelog of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deras.core.errors import PlanError
from deras.sql.bind.tables import check_options, source_changes
from deras.sql.plan import nodes as p

if TYPE_CHECKING:
    from deras.sql.bind.query import QueryBinder

DUPLICATES = "table.exec.source.cdc-events-duplicate"


def changelog(q: QueryBinder, scan: p.Scan, place: dict[str, int]) -> p.Rel:
    """A table's changes, completed where its source does not say which row a change replaces.

    Args:
        q: the query.
        scan: of the table.
        place: positions of the table's columns in the scan.

    Raises:
        PlanError: the source needs a PRIMARY KEY that the table does not declare.
    """
    table = scan.table
    if dict(scan.options) != table.options:  # a hint
        check_options(replace(table, options=dict(scan.options)), ())
    changes = source_changes(dict(scan.options))
    names = table.schema.names
    key = tuple(place[names[k]] for k in table.schema.key)
    if changes == "insert":
        return replace(scan, key=key)
    duplicates = changes == "all" and q.context.settings.get(DUPLICATES)
    if not key and (duplicates or changes == "upsert"):
        why = "its source gives updates without the row before"
        if duplicates:
            why = f"'{DUPLICATES}' is set"
        raise PlanError(
            f"table '{table.name}' needs a PRIMARY KEY: {why}",
            hint="Declare PRIMARY KEY (…) NOT ENFORCED in CREATE TABLE.",
        )
    rel = replace(scan, changes="upsert" if duplicates else changes, key=key)
    return p.ChangelogNormalize(rel.schema, rel, key, bool(duplicates)) if rel.changes == "upsert" else rel
