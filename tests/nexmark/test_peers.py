"""The texts for other engines are whole: the benchmark itself needs those engines."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench" / "nexmark"))

import peers
import suite


@pytest.mark.parametrize("query", suite.QUERIES)
def test_clink_has_a_text_or_none(query: str) -> None:
    found = suite.clink(query, "/data", "connector='file', path='/out'")
    if query in ("q6", "q13", "q23") or query.startswith("cep"):
        assert found is None
        return
    assert found is not None
    assert not re.search(r"[{}`]|TIMESTAMP|WATERMARK|ENFORCED", found)
    assert found.count("CREATE TABLE") == len(suite.inputs(query)) + 1
    assert found.count("path='/data/") == len(suite.inputs(query))
    assert found.count("path='/out'") == 1
    assert len(re.findall(r"^INSERT INTO s SELECT ", found, re.MULTILINE)) == 1
    # Each column is there that the query names.
    assert {"dateTime"} <= set(re.findall(r'"(\w+)"', found))


@pytest.mark.parametrize("query", [q for q in suite.QUERIES if q not in suite.NOT_FLINK])
def test_flink_writes_into_its_black_hole(query: str) -> None:
    statements = peers.flink_statements(query, "/data")
    assert sum("'connector' = 'blackhole'" in s for s in statements) == 1
    assert not any("'print'" in s for s in statements)
