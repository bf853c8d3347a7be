"""What ``deras check --target flink`` says of Nexmark: Flink runs all of it but q6."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deras.cli.main import main
from deras.sql.strict import check

sys.path.insert(0, str(Path(__file__).parents[2] / "bench" / "nexmark"))

import suite

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(suite.FOLDER))
    yield
    sys.modules.pop("count_char", None)


def script(query: str, folder: Path) -> str:
    return ";\n".join(suite.script(query, folder)) + ";"


@pytest.mark.parametrize("query", suite.QUERIES)
def test_the_words_are_flinks(query: str, tmp_path: Path) -> None:
    assert check(script(query, tmp_path)) == []


@pytest.mark.parametrize("query", ["q6", "q9", "q18", "cep_q2"])
def test_the_plan_tells_what_the_words_do_not(query: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"{query}.sql"
    path.write_text(script(query, tmp_path))
    code = main(["check", "--target", "flink", str(path)])
    told = "".join(capsys.readouterr())
    if query == "q6":
        assert code == 1
        assert "not Flink: error: non-time attribute sort is not supported for bounded OVER window (line 19" in told
    else:
        assert (code, "not Flink" in told) == (0, False)


def test_one_thing_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ours.sql"
    path.write_text(
        "CREATE TABLE t (k INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) "
        "WITH ('connector' = 'filesystem', 'path' = 't', 'format' = 'json');\n"
        "CREATE MATERIALIZED VIEW v AS SELECT k, COUNT(*) AS n FROM t GROUP BY k;\n"
        "SELECT * FROM v;\n"
    )
    assert main(["check", "--target", "flink", str(path)]) == 1
    told = "".join(capsys.readouterr())
    assert told.count("not Flink") == 1
    assert "1 finding in" in told
