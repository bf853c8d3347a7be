"""Deras against the stored answers of Apache Flink 2.3.0; ``make flink-ask`` asks Flink again."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from oracle_cases import CASES, all_questions, golden, ours, verdict

ALL = all_questions()
STORED = {g: golden(g) for g in {q.group for q in ALL}}


@pytest.mark.parametrize("q", ALL, ids=[q.id for q in ALL])
def test_as_flink(q) -> None:
    assert q.key in STORED[q.group], "Flink was not asked this: run 'make flink-ask'"
    found = verdict(q, STORED[q.group][q.key], ours(q))
    assert not found, f"{q.title}\n{found}"


def test_no_answer_is_left_over() -> None:
    asked = {q.key for q in ALL}
    assert not [k for answers in STORED.values() for k in answers if k not in asked]
    assert {p.stem for p in CASES.glob("*.json")} == set(STORED)


def test_differences_are_told() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "flink-differences.md").read_text()
    told = Counter(q.differs for q in ALL if q.differs and q.differs != "not yet")
    assert [d for d in told if f"`{d}`" not in page] == []
