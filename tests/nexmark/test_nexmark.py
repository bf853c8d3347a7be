"""All of Nexmark against the stored results of a real Flink: 100,000 events from files, by checksum of what is left."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench" / "nexmark"))

import compare
import files
import suite

if TYPE_CHECKING:
    from collections.abc import Iterator

STORED = json.loads(compare.STORED.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = files.write(compare.INPUT, tmp_path_factory.mktemp("nexmark"))
    assert files.digest(made) == STORED["digest"], "the generator's events have changed: ask Flink anew"
    return made


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(suite.FOLDER))
    yield
    sys.modules.pop("count_char", None)


def test_every_query_has_an_answer_with_rows() -> None:
    assert list(STORED["results"]) == suite.QUERIES
    assert all(r["rows"] > 0 for r in STORED["results"].values())
    assert {q for q, r in STORED["results"].items() if r.get("oracle") == "DuckDB"} == suite.NOT_FLINK


@pytest.mark.parametrize("query", suite.QUERIES)
def test_as_flink(query: str, folder: Path) -> None:
    found = compare.deras_summary(query, folder)
    # A wrong result: `python bench/nexmark/compare.py --show q4` names the rows.
    assert found["checksum"] == STORED["results"][query]["checksum"]


@pytest.mark.slow
@pytest.mark.parametrize("query", suite.QUERIES)
def test_in_small_steps(query: str, folder: Path) -> None:
    found = compare.deras_summary(query, folder, {"deras.step.max-rows": "777"})
    assert found["checksum"] == STORED["results"][query]["checksum"]


def test_a_wrong_row_is_noticed() -> None:
    rows = Counter({(1000, 7): 2, (1001, 8): 1})
    checksum = compare.summary("q2", rows)["checksum"]
    assert compare.summary("q2", Counter({(1000, 7): 2, (1001, 9): 1}))["checksum"] != checksum
    assert compare.summary("q2", Counter({(1000, 7): 1, (1001, 8): 1}))["checksum"] != checksum
    assert compare.summary("q2", Counter({(1001, 8): 1, (1000, 7): 2}))["checksum"] == checksum


def test_folding() -> None:
    changes = [("+I", (1, 5)), ("-U", (1, 5)), ("+U", (1, 6)), ("+I", (2, 1)), ("-D", (2, 1))]
    assert compare.fold(changes, None) == {(1, 6): 1}
    assert compare.fold([("+I", (1, 5)), ("+U", (1, 6)), ("+I", (2, 3)), ("-D", (2, 3))], [0]) == {(1, 6): 1}
    with pytest.raises(ValueError, match="taken back but never given"):
        compare.fold([("-D", (1, 5))], None)


def test_q10_writes_its_partitions(folder: Path, tmp_path: Path) -> None:
    """The suite's own sink: CSV files in a folder for each minute, with a file that says that it is whole."""
    import deras

    create, insert = suite.statements("q10")
    create = create.replace("file://${NEXMARK_DIR}/data/output/${SUBMIT_TIME}/bid/", str(tmp_path / "out"))
    with deras.connect(tmp_path / "project") as session:
        session.sql(";\n".join([*suite.tables(folder, ["bid"]), create, insert]) + ";", origin="script")
        session.wait()
    parts = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").glob("*/*"))
    assert parts[0] == "dt=2025-12-31/hm=23%3A58"
    assert parts[-1] == "dt=2026-01-01/hm=00%3A01"
    lines = [x for p in parts for f in (tmp_path / "out" / p).glob("[!._]*") for x in f.read_text().splitlines()]
    assert len(lines) == STORED["results"]["q10"]["rows"]
    assert all((tmp_path / "out" / p / "_SUCCESS").exists() for p in parts)
