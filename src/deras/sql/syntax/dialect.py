"""What in a script is ours and not Flink's, as far as the grammar shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deras.sql.syntax import queries as q
from deras.sql.syntax import statements as s
from deras.sql.syntax.lexer import Kind, tokenize

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deras.core.errors import Span
    from deras.sql.syntax.nodes import Node


@dataclass(frozen=True, slots=True)
class Beyond:
    """A place that Flink 2.3 would refuse.

    ``what`` names it, ``instead`` says what to write for Flink (empty where there is nothing alike).
    """

    span: Span
    what: str
    instead: str = ""


def beyond_flink(text: str, statements: Iterable[s.Statement]) -> list[Beyond]:
    """All such places of a parsed script, in text order.

    Args:
        text: the script.
        statements: what ``parse_script(text)`` gave.
    """
    found = [one for statement in statements for node in statement.walk() if (one := _node(node)) is not None]
    for token in tokenize(text):
        if token.key == "!=":
            found.append(Beyond(token.span, "!=", "Write <>."))
        elif token.kind is Kind.WORD and token.key == "DATETIME":
            found.append(Beyond(token.span, "the bare name DATETIME", f"Write `{token.value}` in backticks."))
    return sorted(found, key=lambda b: b.span.start)


def _node(node: Node) -> Beyond | None:
    what = instead = ""
    if isinstance(node, s.CreateMaterializedView):
        what, instead = "CREATE MATERIALIZED VIEW", "Write CREATE TABLE with a connector, and INSERT INTO it."
    elif isinstance(node, (s.Drop, s.Alter)) and node.kind == "MATERIALIZED VIEW":
        what = f"{type(node).__name__.upper()} MATERIALIZED VIEW"
    elif isinstance(node, s.Show) and "MATERIALIZED VIEW" in node.what:
        what = f"SHOW {node.what}"
    elif isinstance(node, s.CreateView) and node.or_replace:
        what, instead = "CREATE OR REPLACE VIEW", "Write DROP VIEW IF EXISTS and CREATE VIEW."
    elif isinstance(node, q.Join) and node.kind in ("ASOF", "LEFT ASOF"):
        what, instead = f"{node.kind} JOIN", "Write JOIN … FOR SYSTEM_TIME AS OF …."
    elif isinstance(node, q.PatternAlternation):
        what = "alternation in a row pattern"
    elif isinstance(node, q.PatternPermute):
        what = "PERMUTE in a row pattern"
    elif isinstance(node, q.PatternExclude):
        what = "exclusion in a row pattern"
    elif isinstance(node, q.PatternRepeat) and not isinstance(node.item, q.PatternVariable):
        what = "a repeated group in a row pattern"
    elif isinstance(node, q.MatchRecognize) and node.rows_per_match == "ALL":
        what, instead = "ALL ROWS PER MATCH", "Write ONE ROW PER MATCH with MEASURES."
    return Beyond(node.span, what, instead) if what else None
