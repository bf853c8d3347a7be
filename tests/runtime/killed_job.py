"""A job that is killed again and again: ``python killed_job.py FOLDER`` runs it to the end of its input.

It checkpoints every few milliseconds and slows its sink down, so that a kill hits any of its acts.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from flows_kit import EVENTS, counts, file_sink, passing, source, windows, write_events

from deras.engine.operators.window_aggregate import WindowAggregate
from deras.runtime.job import Job
from deras.runtime.settings import JobSettings

WindowAggregate.piece = 2  # a kill hits windows that are half out, too


def warm() -> None:
    """Run all of it once on a few rows, so that kernels are there: else the kill hits the compiler only."""
    with tempfile.TemporaryDirectory() as t:
        write_events(Path(t) / "few.json", 50)
        spec = source(Path(t) / "few.json", delay_ms=1000)
        for _ in range(2):
            with Job(Path(t) / "project") as job:
                job.attach_all([counts(spec), windows(spec), windows(spec, file_sink(Path(t) / "out"))])
                job.start()
                job.wait()


def main(folder: Path) -> None:
    settings = JobSettings(checkpoint_interval_ms=30, block_bytes=4096, step_rows=64, workers=2)
    with Job(folder / "project", settings=settings) as job:
        spec = source(folder / "in", delay_ms=1000)
        job.attach_all([
            counts(spec),
            windows(spec),
            windows(spec, file_sink(folder / "out")),
            passing(spec, file_sink(folder / "copy", EVENTS, "copy")),
        ])  # fmt: skip
        pause = threading.Event()
        job.subscribe("counts", lambda _: pause.wait(0.002))
        print("started", job.restored_epoch, flush=True)
        job.start()
        job.wait()
        print("done", flush=True)


if __name__ == "__main__":
    warm()
    main(Path(sys.argv[1]))
