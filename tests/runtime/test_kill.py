"""``kill -9`` at random moments: the views, the sinks and the quarantine are as if nothing had happened."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from flows_kit import (
    counts,
    counts_of,
    expected_counts,
    expected_windows,
    source,
    windows,
    windows_of,
    write_events,
)

from deras.runtime.job import Job

SCRIPT = Path(__file__).with_name("killed_job.py")


def lines(folder: Path) -> list[dict[str, Any]]:
    found = []
    for p in sorted(folder.rglob("*")):
        if p.is_file() and not p.name.startswith((".", "_")):
            found += [json.loads(x) for x in p.read_text().splitlines()]
    return found


def run_until_killed(folder: Path, after: float) -> tuple[int, str]:
    """Start the job, kill it some time after its start; gives the exit status and what it printed."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", str(SCRIPT), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as p:
        assert p.stdout is not None
        first = p.stdout.readline()
        timer = threading.Timer(after, p.kill)
        timer.start()
        out, err = p.communicate(timeout=100)
        timer.cancel()
    assert p.returncode in (0, -signal.SIGKILL), err
    return p.returncode, first + out


@pytest.mark.slow
def test_twenty_kills(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    rows, bad = [], 0
    for i in range(4):
        path = tmp_path / "in" / f"{i}.json"
        for j in range(50):
            rows += write_events(path, 100, start=j * 100, step_ms=37)
            with path.open("a") as f:
                f.write(f"bad {i} {j}\n")
            bad += 1
    chance = random.Random(7)
    kills, resumed, longest = 0, 0, 0.4
    for _ in range(60):
        status, text = run_until_killed(tmp_path, chance.uniform(0.01, longest) if kills < 20 else 90)
        resumed += "started None" not in text
        if not resumed:
            longest = min(longest * 1.25, 4.0)  # a slower machine: live long enough for a first checkpoint
        if status == 0:
            break
        kills += 1
    assert status == 0
    assert kills >= 5
    assert resumed >= 3
    assert windows_of(lines(tmp_path / "out")) == expected_windows(rows)
    copied = sorted((r["k"], r["v"]) for r in lines(tmp_path / "copy"))
    assert copied == sorted((k, v) for k, v, _ in rows)
    with Job(tmp_path / "project") as job:
        spec = source(tmp_path / "in", delay_ms=1000)
        job.attach_all([counts(spec), windows(spec)])
        assert counts_of(job.views["counts"].snapshot()) == expected_counts(rows)
        assert windows_of(job.views["windows"].snapshot().arrow().to_pylist()) == expected_windows(rows)
        found = job.views["deras_quarantine"].snapshot().arrow().to_pylist()
        assert sorted(r["text"] for r in found) == sorted(f"bad {i} {j}" for i in range(4) for j in range(50))
        assert len({r["id"] for r in found}) == bad
