"""A whole job: files through the graph into views and sinks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows_kit import counts, counts_of, expected_counts, expected_windows, source, windows, windows_of, write_events

from deras.runtime.job import Job

if TYPE_CHECKING:
    from pathlib import Path


def test_files_to_views(tmp_path: Path) -> None:
    rows = write_events(tmp_path / "events.json", 5000)
    spec = source(tmp_path / "events.json")
    with Job() as job:
        job.attach_all([counts(spec), windows(spec)])
        job.start()
        assert job.wait(60)
        assert counts_of(job.views["counts"].snapshot()) == expected_counts(rows)
        assert windows_of(job.views["windows"].snapshot().arrow().to_pylist()) == expected_windows(rows)
