"""What the planner makes of a statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deras.core.schema import Schema
    from deras.engine.dataflow import Dataflow
    from deras.sql.catalog import MaterializedView

PlannedKind = Literal["ddl", "dataflows", "rows", "set", "session"]


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Planned:
    """A statement, ready to be carried out. Planning changes nothing: :attr:`apply` does.

    Args:
        kind: ``ddl`` (catalog changes only), ``dataflows`` (INSERT, statement set, SELECT, CREATE MATERIALIZED VIEW:
            attach them, then
            apply), ``rows`` (SHOW, DESCRIBE, EXPLAIN: the answer is here), ``set`` (a setting), ``session`` (for the
            session: SHOW JOBS,
            STOP JOB).
        action: ``create table``, ``drop materialized view``, ``insert``, ``select``, …
        name: the object concerned, or "".
        apply: makes the change in catalog or settings.
        dataflows: to be attached together.
        schema: of ``rows``.
        rows: of ``rows``.
        warnings: sentences to be shown.
        view: of CREATE MATERIALIZED VIEW.
        message: a sentence to be shown when done.
        statement: the syntax tree (for ``session``).
        object: full path of the table, view, catalog or database that a DDL statement makes, changes or drops.
        renamed: its path before ALTER … RENAME TO.
    """

    kind: PlannedKind
    action: str
    name: str = ""
    apply: Callable[[], None] = _nothing
    dataflows: Sequence[Dataflow] = ()
    schema: Schema | None = None
    rows: Sequence[tuple[Any, ...]] = ()
    warnings: Sequence[str] = ()
    view: MaterializedView | None = None
    message: str = ""
    statement: Any = None
    object: str = ""
    renamed: str = ""
