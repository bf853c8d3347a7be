"""What is ours and not Flink's is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from deras.sql.syntax.dialect import beyond_flink
from deras.sql.syntax.parser import parse_script

MATCH = "SELECT * FROM t MATCH_RECOGNIZE ({} PATTERN ({}) DEFINE A AS TRUE)"


def beyond(text: str) -> list[tuple[str, str]]:
    found = beyond_flink(text, parse_script(text))
    return [(b.what, text[b.span.start : b.span.end]) for b in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT a != b; SELECT a <> b", [("!=", "!=")]),
        ("SELECT t.dateTime FROM t", [("the bare name DATETIME", "dateTime")]),
        ("DROP MATERIALIZED VIEW v", [("DROP MATERIALIZED VIEW", "DROP MATERIALIZED VIEW v")]),
        ("SHOW MATERIALIZED VIEWS", [("SHOW MATERIALIZED VIEWS", "SHOW MATERIALIZED VIEWS")]),
        (MATCH.format("", "A | B"), [("alternation in a row pattern", "A | B")]),
        (MATCH.format("", "(A B)+"), [("a repeated group in a row pattern", "(A B)+")]),
        (MATCH.format("", "PERMUTE(A, B)"), [("PERMUTE in a row pattern", "PERMUTE(A, B)")]),
        (MATCH.format("", "A {- B -} C+ D{2,3} E??"), [("exclusion in a row pattern", "{- B -}")]),
    ],
)
def test_what_is_ours(text: str, expected: list[tuple[str, str]]) -> None:
    assert beyond(text) == expected


def test_statements_that_are_ours() -> None:
    text = "CREATE MATERIALIZED VIEW v AS SELECT 1; CREATE OR REPLACE VIEW w AS SELECT 1"
    assert [what for what, _ in beyond(text)] == ["CREATE MATERIALIZED VIEW", "CREATE OR REPLACE VIEW"]
    assert [w for w, _ in beyond(MATCH.format("ALL ROWS PER MATCH", "A"))] == ["ALL ROWS PER MATCH"]
    assert [w for w, _ in beyond("SELECT * FROM a LEFT ASOF JOIN b MATCH_CONDITION (TRUE) ON TRUE")] == [
        "LEFT ASOF JOIN"
    ]


def test_nexmark_is_flink_but_for_one_name() -> None:
    folder = Path(__file__).parents[3] / "bench" / "nexmark" / "queries"
    found = {f.stem: beyond(f.read_text()) for f in folder.glob("*.sql")}
    assert {k: v for k, v in found.items() if v} == {"q23": [("the bare name DATETIME", "dateTime")]}
