"""Records through the front door: logged before they are answered, counted once whatever happens."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows_kit import counts, counts_of, expected_counts, line, source
from test_recovery import QUIET, abandon

from deras.runtime.job import Job


def http() -> Any:
    spec = source(Path("/"))
    return replace(spec, connector="http", options={"connector": "http", "format": "json"}, name="source-http")


def post(job: Job, rows: list[tuple[str, int, int]]) -> None:
    body = "".join(line(*r) + "\n" for r in rows).encode()
    source_: Any = job.tables()["events"]
    answer = source_.intake_app.handle({"content-type": "application/x-ndjson"}, body)
    assert answer[0] == 202, answer


def until(job: Job, n: int) -> None:
    while sum(a for a, _ in counts_of(job.views["counts"].snapshot()).values()) < n:
        assert job.error is None, job.error
        threading.Event().wait(0.002)


def test_what_was_answered_is_counted_once(tmp_path: Path) -> None:
    rows = [(f"k{i % 3}", i, 1_700_000_000_000 + i) for i in range(90)]
    done = 0
    for checkpoint in (False, True, False, False, True, False):
        job = Job(tmp_path / "project", settings=QUIET)
        job.attach(counts(http()))
        job.start()
        post(job, rows[done : done + 10])
        until(job, done + 10)
        if checkpoint:
            job.checkpoint()
        post(job, rows[done + 10 : done + 15])  # answered, perhaps not in a step when the process dies
        done += 15
        abandon(job)
    with Job(tmp_path / "project", settings=QUIET) as job:
        job.attach(counts(http()))
        job.start()
        until(job, done)
        assert counts_of(job.views["counts"].snapshot()) == expected_counts(rows)


def test_in_memory_job_leaves_no_log_behind() -> None:
    job = Job(settings=QUIET)
    job.attach(counts(http()))
    job.start()
    post(job, [("a", 1, 1_700_000_000_000)])
    until(job, 1)
    folder = job._temporary
    assert folder is not None
    assert folder.exists()
    job.stop()
    assert not folder.exists()
    shutil.rmtree(folder, ignore_errors=True)
