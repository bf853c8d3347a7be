"""The planner: a statement's syntax tree to dataflows, catalog changes or an answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deras.sql.catalog import Catalog
from deras.sql.planned import Planned
from deras.sql.settings import Settings

if TYPE_CHECKING:
    from deras.sql.syntax.ast import Statement


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

    def plan(self, statement: Statement, text: str) -> Planned:
        """Plan one statement; ``text`` is the script that its spans refer to.

        Raises:
            BindError: a name or type does not fit.
            PlanError: valid, but cannot be run as asked.
            OptionError: a wrong option or setting.
        """
        raise NotImplementedError

    def explain(self, statement: Statement, text: str = "") -> str:
        """The plan of a query, INSERT or CREATE MATERIALIZED VIEW as text."""
        raise NotImplementedError
