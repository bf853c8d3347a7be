"""Change records from files to files, through SQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from deras.core.errors import PlanError
from deras.session.session import Session

if TYPE_CHECKING:
    from pathlib import Path

A, B, C = {"k": "a", "v": 1}, {"k": "a", "v": 5}, {"k": "b", "v": 2}
RECORDS = {
    "debezium-json": [
        {"op": "c", "after": A, "source": {"table": "t"}},
        {"op": "u", "before": A, "after": B},
        {"op": "r", "after": C},
        {"op": "x"},
        {"op": "d", "before": C},
    ],
    "maxwell-json": [
        {"type": "insert", "data": A, "table": "t"},
        {"type": "update", "data": B, "old": {"v": 1}},
        {"type": "insert", "data": C},
        {"type": "x"},
        {"type": "delete", "data": C},
    ],
    "canal-json": [
        {"type": "INSERT", "data": [A], "table": "t"},
        {"type": "UPDATE", "data": [B], "old": [{"v": 1}]},
        {"type": "INSERT", "data": [C]},
        {"type": "x"},
        {"type": "DELETE", "data": [C]},
    ],
}


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_changes_from_files_and_into_files(tmp_path: Path, name: str) -> None:
    (tmp_path / "in.json").write_text("".join(json.dumps(r) + "\n" for r in RECORDS[name]))
    key = "value.source.table" if name == "debezium-json" else "value.table"
    with Session(base=tmp_path) as s:
        s.sql(
            f"""CREATE TABLE t (v INT, k STRING, f STRING METADATA FROM 'file.name' VIRTUAL,
                  o STRING METADATA FROM '{key}' VIRTUAL, PRIMARY KEY (k) NOT ENFORCED)
                WITH ('connector' = 'filesystem', 'path' = 'in.json', 'format' = '{name}');
                CREATE TABLE written (k STRING, total INT)
                WITH ('connector' = 'filesystem', 'path' = 'out', 'format' = '{name}')"""
        )
        found = list(s.sql("SELECT k, v, f, o FROM t").changes())
        assert found[0] == ("+I", ("a", 1, "in.json", "t"))
        assert [(kind, r[:2]) for kind, r in found] == [
            ("+I", ("a", 1)), ("-U", ("a", 1)), ("+U", ("a", 5)), ("+I", ("b", 2)), ("-D", ("b", 2))
        ]  # fmt: skip
        s.sql("INSERT INTO written SELECT k, SUM(v) FROM t GROUP BY k")
        assert s.wait(30)
        s.sql(
            f"""CREATE TABLE again (k STRING, total INT)
                WITH ('connector' = 'filesystem', 'path' = 'out', 'format' = '{name}')"""
        )
        left: dict[Any, int] = {}
        for kind, row in s.sql("SELECT * FROM again").changes():
            left[row] = left.get(row, 0) + (1 if kind[0] == "+" else -1)
        assert {r: n for r, n in left.items() if n} == {("a", 5): 1}


def test_an_append_only_format_refuses_updates(tmp_path: Path) -> None:
    with Session(base=tmp_path) as s:
        s.sql(
            """CREATE TABLE t (k STRING) WITH ('connector' = 'filesystem', 'path' = 'x', 'format' = 'canal-json');
               CREATE TABLE o (k STRING) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'json')"""
        )
        with pytest.raises(PlanError, match="doesn't support consuming update changes"):
            s.sql("INSERT INTO o SELECT * FROM t")
