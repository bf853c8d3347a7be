"""SET of what sizes a job: it holds for the job that the script begins."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import deras

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
SET 'deras.workers' = '{workers}';
SET 'deras.step.max-rows' = '100';
CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'filesystem', 'path' = '{folder}/numbers.csv', 'format' = 'csv');
CREATE MATERIALIZED VIEW total AS SELECT SUM(n) AS s FROM numbers;
"""


def _script(folder: Path, workers: int) -> str:
    (folder / "numbers.csv").write_text("".join(f"{n}\n" for n in range(1, 1001)), encoding="utf-8")
    return SCRIPT.format(workers=workers, folder=folder)


def _workers() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.name.startswith("deras-worker-")}


def test_a_script_sizes_the_job_that_it_begins(tmp_path: Path) -> None:
    for workers in (1, 3):
        before = _workers()
        with deras.connect(tmp_path / str(workers)) as session:
            session.sql(_script(tmp_path, workers), origin="script")
            begun = {t.name for t in _workers() - before}
            session.wait()
            assert begun == {f"deras-worker-{i}" for i in range(workers)}
            assert session.sql("SELECT s FROM total").pl().rows() == [(500500,)]
            assert session.job is not None
            assert session.job.status()["steps"] >= 10  # of at most 100 rows each


def test_a_running_job_keeps_its_size(tmp_path: Path) -> None:
    with deras.connect(tmp_path) as session:
        session.sql(_script(tmp_path, 2), origin="script")
        running = _workers()
        session.sql("SET 'deras.workers' = '4'")
        assert _workers() <= running
        session.wait()
