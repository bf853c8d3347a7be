"""What binding needs to know beside the statement."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deras.sql.catalog import Catalog
    from deras.sql.settings import Settings


@dataclass(slots=True)
class BindContext:
    """Names, settings, and the text that spans refer to.

    Args:
        catalog: names.
        settings: of the session.
        text: the script.
        folder: the project's folder.
        warnings: sentences for the user, collected while planning.
        expanding: names of the views being expanded, against cycles.
    """

    catalog: Catalog
    settings: Settings
    text: str = ""
    folder: Path = field(default_factory=Path)
    warnings: list[str] = field(default_factory=list)
    expanding: tuple[str, ...] = ()

    def of_text(self, text: str, name: str) -> BindContext:
        """The same for the text of a view."""
        return BindContext(self.catalog, self.settings, text, self.folder, self.warnings, (*self.expanding, name))
