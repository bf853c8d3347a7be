"""Columnar files are read by column, whoever reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from deras.core.schema import Schema
from deras.core.time import SystemClock
from deras.core.types import BIGINT, STRING
from deras.engine.dataflow import SourceSpec
from deras.runtime.sources import SourceNode
from deras.session.session import Session

if TYPE_CHECKING:
    from pathlib import Path

TABLE = """CREATE TABLE t (a BIGINT, b STRING, c BIGINT NOT NULL, f STRING METADATA FROM 'file.name')
           WITH ('connector' = 'filesystem', 'path' = 't.parquet', 'format' = 'parquet')"""


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The columns asked of the files."""
    frame = pl.DataFrame({"a": range(100_000), "b": [f"text {i}" for i in range(100_000)], "c": [7] * 100_000})
    frame.write_parquet(tmp_path / "t.parquet")
    asked: list[list[str]] = []
    inner = pq.ParquetFile.iter_batches

    def iter_batches(self: Any, *args: Any, columns: list[str], **more: Any) -> Any:
        asked.append(columns)
        return inner(self, *args, columns=columns, **more)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    return asked


@pytest.mark.parametrize(
    ("query", "columns", "want"),
    [
        ("SELECT COUNT(*) FROM t", [], [(100_000,)]),
        ("SELECT SUM(a) FROM t", ["a"], [(4_999_950_000,)]),
        ("SELECT b FROM t WHERE a = 99999", ["a", "b"], [("text 99999",)]),
        ("SELECT f, MAX(b) FROM t WHERE a < 3 GROUP BY f", ["a", "b"], [("t.parquet", "text 2")]),
        ("SELECT * FROM t WHERE a = 70000", ["a", "b", "c"], [(70_000, "text 70000", 7, "t.parquet")]),
    ],
)
def test_only_columns_that_are_used(
    tmp_path: Path, read: list[list[str]], query: str, columns: list[str], want: list[tuple[Any, ...]]
) -> None:
    with Session(base=tmp_path) as s:
        s.sql(TABLE)
        assert s.sql(query).rows() == want
    assert read == [columns]


def test_views_of_one_table_read_what_all_of_them_need(tmp_path: Path, read: list[list[str]]) -> None:
    with Session(base=tmp_path) as s:
        s.sql(TABLE)
        s.sql("CREATE MATERIALIZED VIEW x AS SELECT SUM(a) AS n FROM t")
        s.sql("CREATE MATERIALIZED VIEW y AS SELECT MAX(b) AS n, SUM(c) AS m FROM t")
        assert s.wait(30)
        assert s.sql("SELECT n FROM x").rows() == [(4_999_950_000,)]
        assert s.sql("SELECT n, m FROM y").rows() == [("text 99999", 700_000)]


def test_columns_are_told_before_reading_begins(tmp_path: Path, read: list[list[str]]) -> None:
    schema = Schema.of(a=BIGINT, b=STRING)
    options = {"connector": "filesystem", "path": "t.parquet", "format": "parquet"}
    spec = SourceSpec("t", "filesystem", options, schema, (0,), lambda: None, "t")  # type: ignore[arg-type, return-value]
    node = SourceNode("t", spec, tmp_path, SystemClock())
    assert node.widen([1])
    node.wanted = frozenset([0])
    part = node.add_part("")
    assert not read
    first = part.open().poll(1 << 20, 0)
    assert first is not None
    assert first.delta is not None
    assert first.delta.columns[1].values()[:3] == [None, None, None]
    assert node.widen([0])
    assert not node.widen([1])
    assert read == [["a"]]
    node.close()
