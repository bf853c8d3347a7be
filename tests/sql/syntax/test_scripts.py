"""Whole scripts: every form of statement, every Nexmark query, pipelines in the usual style."""

from __future__ import annotations

from pathlib import Path

import pytest

from deras.sql.syntax import ast
from deras.sql.syntax.ast import Node, Statement
from deras.sql.syntax.parser import is_complete, parse_script, parse_statement, split_script
from deras.sql.syntax.printer import to_sql

HERE = Path(__file__).parent
NEXMARK = HERE.parents[2] / "bench" / "nexmark" / "queries"
FILES = sorted([*NEXMARK.glob("*.sql"), *(HERE / "scripts").glob("*.sql")])


@pytest.fixture(params=FILES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def text(request: pytest.FixtureRequest) -> str:
    return Path(request.param).read_text()


def test_all_of_nexmark_is_here() -> None:
    names = {p.stem for p in NEXMARK.glob("*.sql")}
    assert {f"q{i}" for i in range(24)} | {f"cep_q{i}" for i in range(4)} <= names


def test_printing_and_parsing_gives_the_same_tree(text: str) -> None:
    statements = parse_script(text)
    assert statements
    for statement in statements:
        printed = to_sql(statement)
        assert parse_statement(printed) == statement, printed


def test_every_span_lies_within_its_parent_and_is_not_blank(text: str) -> None:
    def check(node: Node, outer: Node) -> None:
        assert outer.span.start <= node.span.start < node.span.end <= outer.span.end, (node, outer)
        part = text[node.span.start : node.span.end]
        assert part == part.strip(), node
        for child in node.children():
            check(child, node)

    for statement in parse_script(text):
        check(statement, statement)


def test_splitting_agrees_with_parsing(text: str) -> None:
    statements = parse_script(text)
    assert split_script(text) == [s.span for s in statements]
    for statement in statements:
        assert parse_statement(text[statement.span.start : statement.span.end]) == statement


def test_all_kinds_of_statements_are_covered() -> None:
    seen = {type(s) for f in FILES for s in parse_script(f.read_text())}
    known = {k for k in vars(ast).values() if isinstance(k, type) and issubclass(k, Statement) and k is not Statement}
    assert seen == known


def test_all_kinds_of_nodes_are_covered() -> None:
    seen = {type(n) for f in FILES for s in parse_script(f.read_text()) for n in s.walk()}
    bases = {"Node", "Expr", "Statement", "Relation", "Pattern", "QueryBody", "ColumnDef", "AlterAction"}
    known = {k for k in vars(ast).values() if isinstance(k, type) and issubclass(k, Node) and k.__name__ not in bases}
    assert seen == known


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("SELECT 1;", True),
        ("SELECT 1; -- done", True),
        ("SELECT 1", False),
        ("SELECT ';", False),
        ("SELECT 1 /* ;", False),
        (";", False),
        ("", False),
        ("BEGIN STATEMENT SET;", False),
        ("BEGIN STATEMENT SET; INSERT INTO a SELECT 1;", False),
        ("BEGIN STATEMENT SET; INSERT INTO a SELECT 1; END;", True),
        ("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT CASE WHEN b THEN 1 END;", False),
        ("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; END;", True),
        ("EXPLAIN STATEMENT SET BEGIN INSERT INTO a SELECT 1; END;", True),
    ],
)
def test_a_shell_knows_when_to_run(text: str, complete: bool) -> None:
    assert is_complete(text) is complete
