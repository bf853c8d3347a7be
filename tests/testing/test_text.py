"""The runner of texts finds what is wrong, and blesses what is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.types import BIGINT, STRING
from deras.engine.operators.calc import Calc
from deras.engine.operators.group_aggregate import GroupAggregate
from deras.testing.stage import Output
from deras.testing.text import _cells, blocks, cases, check, four_ways, observed

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """# A file.

ddl
CREATE TABLE t (k STRING, n INT) WITH ('connector' = 'filesystem', 'path' = 't', 'format' = 'csv')

input t
a, 1
'b, c', 2

# A comment before a block.
query counts
SELECT k, SUM(n) FROM t
GROUP BY k
----
+I[a, 1]
+I[b, c, 2]

input t
a, 5
a, NULL

query counts once more
SELECT k, SUM(n) FROM t GROUP BY k
----
+I[a, 5]

error
SELECT m FROM t
----
error: there is no column 'm' (line 1, column 8)
1 | SELECT m FROM t
  |        ^
Hint: Its columns: k, n.
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "some.test"
    made.write_text(TEXT)
    return made


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DERAS_BLESS", raising=False)


def test_blocks() -> None:
    found = blocks(TEXT)
    assert [(b.kind, b.title) for b in found] == [
        ("ddl", ""),
        ("input", "t"),
        ("query", "counts"),
        ("input", "t"),
        ("query", "counts once more"),
        ("error", ""),
    ]
    assert found[2].body == "SELECT k, SUM(n) FROM t\nGROUP BY k"
    assert found[2].expected == ["----", "+I[a, 1]", "+I[b, c, 2]"]


def test_inputs_add_up_until_a_query(path: Path) -> None:
    first, second, _ = cases(path)
    assert [a.cells for a in first.arrivals] == [["a", "1"], ["b, c", "2"]]
    assert [a.cells for a in second.arrivals] == [["a", "5"], ["a", None]]


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ("a, 1", ["a", "1"]),
        ("'it''s', NULL,x y", ["it's", None, "x y"]),
        ("'NULL'", ["NULL"]),
        ("'', 1", ["", "1"]),
        ("2020-01-01 10:00:00.5, -0.0", ["2020-01-01 10:00:00.5", "-0.0"]),
    ],
)
def test_cells(line: str, cells: list[str | None]) -> None:
    assert _cells(line) == cells


def test_what_is_right_passes(path: Path) -> None:
    for case in list(cases(path))[:2]:
        check(case)


def test_what_is_wrong_fails_and_can_be_blessed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(TEXT.replace("+I[a, 5]", "+I[a, 6]").replace("Its columns: k, n.", "?"))
    _, second, third = cases(path)
    for case in (second, third):
        with pytest.raises(AssertionError, match="some"):
            check(case)
    monkeypatch.setenv("DERAS_BLESS", "1")
    for case in cases(path):
        check(case)
    monkeypatch.delenv("DERAS_BLESS")
    for case in cases(path):
        check(case)
    assert path.read_text().startswith(TEXT[: TEXT.index("error\n")])


def test_an_error_that_does_not_come_fails(path: Path) -> None:
    path.write_text(TEXT.replace("SELECT m FROM t", "SELECT n FROM t"))
    with pytest.raises(AssertionError, match="no error"):
        observed(list(cases(path))[2])


SCHEMA = Schema.of(k=STRING, n=BIGINT)


def _output(key: tuple[int, ...] | None, *changes: tuple[int, str, int]) -> Output:
    made = Output("o", "query", key)
    made.deltas = [Delta.of(SCHEMA, [(k, n)], [w]) for w, k, n in changes]
    return made


def test_legal_changelogs() -> None:
    _output((0,), (1, "a", 1), (-1, "a", 1), (1, "a", 2), (1, "b", 1)).check_legal()
    _output(None, (1, "a", 1), (1, "a", 1), (-1, "a", 1), (1, "a", 2)).check_legal()
    _output((), (1, "a", 1), (-1, "a", 1), (1, "b", 2)).check_legal()


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        (None, [(-1, "a", 1), (1, "a", 1)]),
        (None, [(1, "a", 1), (-1, "a", 2)]),
        ((0,), [(1, "a", 1), (1, "a", 2)]),
        ((0,), [(1, "a", 1), (1, "a", 2), (-1, "a", 1)]),
        ((), [(1, "a", 1), (1, "b", 1)]),
    ],
)
def test_illegal_changelogs(key: tuple[int, ...] | None, changes: list[tuple[int, str, int]]) -> None:
    with pytest.raises(AssertionError):
        _output(key, *changes).check_legal()


# ---- faults on purpose: each must be found


def test_a_lost_state_is_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, second, _ = cases(path)
    monkeypatch.setattr("deras.engine.state.State.restore", lambda self, chunks: None)
    found = []
    for seed in range(20):
        try:
            four_ways(second, seed=seed)
        except AssertionError as e:
            found.append(str(e).split(":")[0])
    assert len(found) > 10  # where the state mattered for the rows after the checkpoint
    assert set(found) <= {"with crashes", "one row a step, with crashes", "restored from disk"}


def test_a_missing_before_is_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(TEXT.replace("a, NULL", "a, 7"))
    _, second, _ = cases(path)
    step = GroupAggregate.step

    def only_after(self, deltas, tick):  # type: ignore[no-untyped-def]
        out = step(self, deltas, tick)
        if out.delta is not None and out.delta.weights is not None:
            out.delta = out.delta.take((out.delta.weights > 0).nonzero()[0])
        return out

    monkeypatch.setattr(GroupAggregate, "step", only_after)
    with pytest.raises(AssertionError):
        four_ways(second)


def test_a_dependence_on_the_steps_is_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(TEXT.replace("SELECT k, SUM(n) FROM t GROUP BY k", "SELECT k, n + 1 FROM t"))
    _, second, _ = cases(path)
    step = Calc.step

    def first_row_only(self, deltas, tick):  # type: ignore[no-untyped-def]
        return step(self, [None if d is None else d.slice(0, 1) for d in deltas], tick)

    monkeypatch.setattr(Calc, "step", first_row_only)
    with pytest.raises(AssertionError, match="one batch"):
        four_ways(second)
