"""The print sink shows updates by the query's own key, declared or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from deras.core.time import SystemClock, Tick
from deras.runtime.targets import SinkTarget
from deras.testing.text import Arrival, Block, Case, Runner

DDL = """
CREATE TABLE n (id BIGINT) WITH ('connector' = 'filesystem', 'path' = 'n', 'format' = 'json');
CREATE TABLE p (a BIGINT, b BIGINT) WITH ('connector' = 'print');
CREATE TABLE k (a BIGINT, b BIGINT, PRIMARY KEY (b) NOT ENFORCED) WITH ('connector' = 'print');
"""


@pytest.mark.parametrize(
    ("insert", "lines"),
    [
        ("INSERT INTO p SELECT COUNT(*), SUM(id) FROM n", ["+I[1, 1]", "-U[1, 1]", "+U[2, 3]", "-U[2, 3]", "+U[3, 6]"]),
        (
            "INSERT INTO p SELECT id / 3, COUNT(*) FROM n GROUP BY id / 3",
            ["+I[0, 1]", "-U[0, 1]", "+U[0, 2]", "+I[1, 1]"],
        ),
        # The table's key is not the query's: the latest row of each is kept.
        (
            "INSERT INTO k SELECT id / 3, COUNT(*) FROM n GROUP BY id / 3",
            ["+I[0, 1]", "-D[0, 1]", "+I[0, 2]", "+I[1, 1]"],
        ),
        (
            "INSERT INTO p SELECT a.id, b.c FROM n a JOIN (SELECT id / 3 AS k, COUNT(*) AS c FROM n GROUP BY id / 3) b "
            "ON a.id / 3 = b.k WHERE a.id = 1",
            ["+I[1, 1]", "-D[1, 1]", "+I[1, 2]"],
        ),
    ],
)
def test_kinds(insert: str, lines: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [Arrival("n", [str(i)]) for i in (1, 2, 3)]
    stage = Runner(Case(tmp_path / "x", Block("query", "", 1, insert, [], (0, 0)), DDL, rows)).straight(1)
    target = SinkTarget("sink:p", stage.flows[0], tmp_path, SystemClock())
    target.open(None)
    for delta in stage.outputs[0].deltas:
        target.write(delta, Tick(0, 0, 0, 0, 0))
    target.close()
    assert capsys.readouterr().out.split("\n")[:-1] == lines
