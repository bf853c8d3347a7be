"""What in a script is ours and not Flink's: ``deras check --target flink``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deras.core.errors import Span


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that Apache Flink does not know.

    Args:
        what: what it is, e.g. ``CREATE MATERIALIZED VIEW``.
        span: where.
        instead: a sentence: what to write for Flink.
        line: from 1.
        column: from 1.
    """

    what: str
    span: Span
    instead: str
    line: int = 0
    column: int = 0


def check(script: str) -> list[Finding]:
    """Find every statement, clause, option and function of a script that Flink 2.3 does not have."""
    raise NotImplementedError
