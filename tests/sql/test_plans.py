"""Plans as text beside their queries; ``DERAS_BLESS=1`` rewrites them, the diff is the review."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from harness import Session

from deras.sql.syntax.parser import parse_statement

FOLDER = Path(__file__).parent / "plans"
QUERIES = sorted(p for p in FOLDER.glob("*.sql") if p.stem != "tables")


@pytest.mark.parametrize("path", QUERIES, ids=lambda p: p.stem)
def test_plan(path: Path) -> None:
    session = Session((FOLDER / "tables.sql").read_text(encoding="utf-8"))
    text = path.read_text(encoding="utf-8")
    plan = session.planner.explain(parse_statement(text), text) + "\n"
    golden = path.with_suffix(".txt")
    if os.environ.get("DERAS_BLESS") == "1":
        golden.write_text(plan, encoding="utf-8")
    assert plan == golden.read_text(encoding="utf-8")
    flow = session.plan(text).dataflows[0]
    assert all(callable(n.make) and n.make() is not None for n in flow.nodes)


def test_there_are_plans() -> None:
    assert len(QUERIES) >= 8
