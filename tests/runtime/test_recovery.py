"""Crashes at every act of a checkpoint, full disks, damaged files: nothing lost, nothing doubled."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from flows_kit import (
    EVENTS,
    PUSHED,
    FilesSink,
    counts,
    counts_of,
    expected_counts,
    expected_windows,
    files,
    files_windows,
    line,
    passing,
    pushed,
    read_files,
    source,
    windows,
)

from deras.core.errors import CorruptError, DerasError, ExternalError
from deras.runtime import storage
from deras.runtime.job import Job
from deras.runtime.settings import JobSettings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("connectors")
T0 = 1_700_000_000_000
QUIET = JobSettings(checkpoint_interval_ms=None)
ACTS = [
    "begin", "prepared", "frozen", "states", "quarantine", "manifest", "committed one", "committed", "pruned", "acked",
]  # fmt: skip


class Crash(BaseException):
    """The process is gone."""


class CrashAt:
    """A crash point that raises when an act comes for the so-manieth time; ``left``: how often it has yet to come."""

    def __init__(self, act: str | None, times: int) -> None:
        self.act = act
        self.left = times

    def __call__(self, name: str) -> None:
        if name == self.act:
            self.left -= 1
            if self.left == 0:
                raise Crash


def abandon(job: Job) -> None:
    """Leave a job as ``kill -9`` would: nothing is flushed, committed or closed in order."""
    job._stop = True
    job._event.set()
    if job._supervisor is not None:
        job._supervisor.join(10)
    job._run.stepper.fail(Crash())
    job._run.intake.halt(10)
    if job._checkpointing is not None:
        job._checkpointing.join(10)
    for f in job.flows:
        f.sink = None
    job._close()


def feed(rows: list[tuple[str, int, int]], flow: Any) -> None:
    """Push rows and wait until they went through a step."""
    PUSHED["p"].push(*rows)
    part = flow.sources[0].parts["0"]
    n = len(PUSHED["p"].rows)
    while (part.offset or {"n": 0})["n"] < n:
        if flow.error is not None:
            raise flow.error
        threading.Event().wait(0.002)


def some(start: int, n: int) -> list[tuple[str, int, int]]:
    return [(f"k{i % 5}", i, T0 + i * 400) for i in range(start, start + n)]


def pipeline(job: Job, tmp_path: Path) -> list[Any]:
    spec = pushed(delay_ms=0)
    return job.attach_all([counts(spec), windows(spec, files(tmp_path / "out"))])


def finish(tmp_path: Path, rows: list[tuple[str, int, int]]) -> Job:
    """Go on in a new job until the end of input, and compare everything."""
    with Job(tmp_path / "project", settings=QUIET) as job:
        pipeline(job, tmp_path)
        job.start()
        PUSHED["p"].push(*rows[len(PUSHED["p"].rows) :], close=True)
        assert job.wait(60)
        assert counts_of(job.views["counts"].snapshot()) == expected_counts(rows)
        assert files_windows(tmp_path / "out") == expected_windows(rows)
        assert job.status()["quarantine"]["rows"] == 0
    return job


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("times", [1, 2])
def test_crash_at_every_act_of_a_checkpoint(tmp_path: Path, act: str, times: int) -> None:
    rows = some(0, 300)
    crash = CrashAt(act, times)
    job = Job(tmp_path / "project", settings=replace(QUIET, crash_point=crash))
    flow = pipeline(job, tmp_path)[0]
    job.start()
    crashed = False
    for i in range(4):
        feed(rows[i * 60 : i * 60 + 60], flow)
        try:
            job.checkpoint()
        except Crash:
            crashed = True
            break
    assert crashed
    abandon(job)
    finish(tmp_path, rows)


def test_stop_and_go_on(tmp_path: Path) -> None:
    rows = some(0, 300)
    with Job(tmp_path / "project", settings=QUIET) as job:
        job.plan = lambda: {"script": ["CREATE …"]}
        feed_to = pipeline(job, tmp_path)[0]
        job.start()
        feed(rows[:100], feed_to)
        assert job.saved_plan is None
    with Job(tmp_path / "project", settings=QUIET) as job:
        assert job.saved_plan == {"script": ["CREATE …"]}
        assert job.restored_epoch == 1
        pipeline(job, tmp_path)
        assert counts_of(job.views["counts"].snapshot()) == expected_counts(rows[:100])
    finish(tmp_path, rows)
    # Everything had ended: one more start finds all of it and has nothing to do.
    with Job(tmp_path / "project", settings=QUIET) as job:
        pipeline(job, tmp_path)
        job.start()
        assert job.wait(60)
        assert counts_of(job.views["counts"].snapshot()) == expected_counts(rows)
    assert files_windows(tmp_path / "out") == expected_windows(rows)


def test_checkpoints_by_the_clock(tmp_path: Path) -> None:
    with Job(tmp_path / "project", settings=replace(QUIET, checkpoint_interval_ms=20)) as job:
        flow = pipeline(job, tmp_path)[0]
        job.start()
        for i in range(60):
            feed(some(i * 5, 5), flow)
            threading.Event().wait(0.01)
        kept = sorted((tmp_path / "project" / "checkpoints").glob("*.json"))
        assert job.status()["checkpoint"]["epoch"] > 3
        assert 1 <= len(kept) <= 4
    abandoned = Job(tmp_path / "project", settings=QUIET)
    pipeline(abandoned, tmp_path)
    abandon(abandoned)
    finish(tmp_path, some(0, 300))


def test_long_chains_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deras.runtime import checkpointer

    rows = some(0, 400)
    monkeypatch.setattr(checkpointer, "_LONGEST", 3)
    for small in (1 << 30, 0):  # written anew between two steps, then by the writing thread
        shutil.rmtree(tmp_path / "project", ignore_errors=True)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        PUSHED.clear()
        monkeypatch.setattr(checkpointer, "_SMALL", small)
        job = Job(tmp_path / "project", settings=replace(QUIET, state_file_bytes=1 << 30))
        flow = pipeline(job, tmp_path)[0]
        job.start()
        for i in range(20):
            feed(rows[i * 10 : i * 10 + 10], flow)
            job.checkpoint()
        last = job._checkpointer.last
        assert last is not None
        assert all(len(n.chain) <= 7 for n in last.nodes.values())
        assert any(len(n.chain) > 1 for n in last.nodes.values())
        abandon(job)
        finish(tmp_path, rows)


def test_full_disk_during_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = some(0, 300)
    job = Job(tmp_path / "project", settings=QUIET)
    flow = pipeline(job, tmp_path)[0]
    job.start()
    feed(rows[:60], flow)
    assert job.checkpoint() == 1
    real = storage.ChunkFile.add

    def full(self: Any, chunks: Any) -> Any:
        real(self, chunks)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(storage.ChunkFile, "add", full)
    for i in range(1, 4):
        feed(rows[i * 20 + 40 : i * 20 + 60], flow)
        with pytest.raises(ExternalError, match="no space left"):
            job.checkpoint()
    assert job.state == "running"
    assert [e.code for e in job.errors] == ["external"]
    folder = tmp_path / "project" / "checkpoints"
    assert [p.name for p in folder.glob("*.json")] == ["epoch-000000000001.json"]
    monkeypatch.setattr(storage.ChunkFile, "add", real)
    feed(rows[120:200], flow)
    assert job.checkpoint() == 5
    assert job.errors == []
    feed(rows[200:240], flow)
    abandon(job)
    finish(tmp_path, rows)


def test_full_disk_while_the_manifest_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = some(0, 300)
    job = Job(tmp_path / "project", settings=QUIET)
    flow = pipeline(job, tmp_path)[0]
    job.start()
    feed(rows[:60], flow)
    job.checkpoint()
    feed(rows[60:120], flow)
    with monkeypatch.context() as m:
        m.setattr(storage.os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(errno.ENOSPC, "no space")))
        with pytest.raises(ExternalError):
            job.checkpoint()
    feed(rows[120:180], flow)
    job.checkpoint()
    abandon(job)
    finish(tmp_path, rows)


@pytest.mark.parametrize("what", ["state", "manifest", "truncated", "missing"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, what: str) -> None:
    rows = some(0, 300)
    job = Job(tmp_path / "project", settings=QUIET)
    flow = job.attach(counts(pushed()))
    job.start()
    for i in range(3):
        feed(rows[i * 60 : i * 60 + 60], flow)
        job.checkpoint()
    abandon(job)
    newest = tmp_path / "project" / "checkpoints" / f"epoch-{3:012d}.{'json' if what == 'manifest' else 'state'}"
    data = bytearray(newest.read_bytes())
    if what == "missing":
        newest.unlink()
    elif what == "truncated":
        newest.write_bytes(data[:-7])
    else:
        data[len(data) // 2] ^= 1
        newest.write_bytes(data)
    with Job(tmp_path / "project", settings=QUIET) as job:
        assert job.restored_epoch == 2
        assert newest.name in job.notes[0]
        assert "Going on from checkpoint 2" in job.notes[1]
        job.attach(counts(pushed()))
        job.start()
        PUSHED["p"].push(*rows[180:], close=True)
        assert job.wait(60)
        assert counts_of(job.views["counts"].snapshot()) == expected_counts(rows)


def test_all_checkpoints_damaged_is_an_error(tmp_path: Path) -> None:
    with Job(tmp_path / "project", settings=QUIET) as job:
        flow = job.attach(counts(pushed()))
        job.start()
        feed(some(0, 10), flow)
    for p in (tmp_path / "project" / "checkpoints").glob("*.state"):
        p.write_bytes(b"nonsense")
    with pytest.raises(CorruptError, match="no checkpoint") as e:
        Job(tmp_path / "project")
    assert "epoch-000000000001.state" in e.value.detail
    assert e.value.hint
    with pytest.raises(CorruptError):  # and the folder is free again
        Job(tmp_path / "project")


def test_readers_hear_only_of_what_the_oldest_kept_checkpoint_holds(tmp_path: Path) -> None:
    with Job(tmp_path / "project", settings=replace(QUIET, checkpoints_kept=2)) as job:
        flow = job.attach(counts(pushed()))
        job.start()
        for i in range(4):
            feed(some(i * 10, 10), flow)
            job.checkpoint()
        assert PUSHED["p"].acked == [10, 10, 20, 30]


def test_quarantine_is_exactly_once(tmp_path: Path) -> None:
    """Bad rows of an epoch that was not finished come again, and are there once."""
    path = tmp_path / "events.json"
    lines = [line(f"k{i % 3}", i, T0 + i * 100) if i % 10 else f"bad {i}" for i in range(200)]
    flow = counts(source(path, source__monitor_interval="10 ms"))

    def run(upto: int, checkpoint: bool) -> Job:
        job = Job(tmp_path / "project", settings=QUIET)
        attached = job.attach(flow)
        job.start()
        # Appended: a file that is written anew is short for a moment, and then read as another one.
        with path.open("a") as file:
            file.writelines(x + "\n" for x in lines[path.read_text().count("\n") : upto])
        while sum(p.rows for s in attached.sources for p in s.parts.values()) < upto:
            threading.Event().wait(0.005)
        if checkpoint:
            job.checkpoint()
        return job

    path.write_text("")
    abandon(run(50, True))
    abandon(run(90, False))
    abandon(run(120, True))
    abandon(run(150, False))
    job = run(200, False)
    found = job.views["deras_quarantine"].snapshot().arrow().to_pylist()
    assert [r["text"] for r in found] == [f"bad {i}" for i in range(0, 200, 10)]
    assert [r["id"] for r in found] == list(range(1, 21))
    assert job.status()["quarantine"]["counts"] == [{"table": "events", "reason": "decode", "rows": 20}]
    job.stop()
    with Job(tmp_path / "project") as again:
        assert again.views["deras_quarantine"].snapshot().rows == 20


def test_an_outside_failure_restarts_from_the_checkpoint(tmp_path: Path) -> None:
    rows = some(0, 300)
    fails = 2

    def sometimes(_: Any) -> None:
        nonlocal fails
        if fails and len(PUSHED["p"].rows) > 60:
            fails -= 1
            raise ExternalError("the disk is away")

    FilesSink.before_write = staticmethod(sometimes)
    resets: list[Any] = []
    with Job(tmp_path / "project", settings=replace(QUIET, restart_initial_ms=5)) as job:
        flow = pipeline(job, tmp_path)[0]
        job.start()
        job.subscribe("counts", lambda c: resets.append(c) if c.reset else None)
        feed(rows[:60], flow)
        job.checkpoint()
        PUSHED["p"].push(*rows[60:], close=True)
        assert job.wait(60)
        assert counts_of(job.views["counts"].snapshot()) == expected_counts(rows)
        assert len(resets) == 2
        assert [n.split(":")[0] for n in job.notes] == ["restarting in 5 ms", "restarting in 10 ms"]
    assert files_windows(tmp_path / "out") == expected_windows(rows)


def test_an_outside_failure_that_stays_ends_the_job(tmp_path: Path) -> None:
    def always(_: Any) -> None:
        raise ExternalError("the disk is away")

    FilesSink.before_write = staticmethod(always)
    settings = replace(QUIET, restart_initial_ms=1, restart_attempts=3)
    with Job(tmp_path / "project", settings=settings) as job:
        job.attach(passing(pushed(), files(tmp_path / "out", EVENTS)))
        job.start()
        PUSHED["p"].push(*some(0, 10))
        with pytest.raises(ExternalError, match="the disk is away"):
            job.wait(60)
        assert len(job.notes) == 3
        assert job.state == "failed"


def test_a_commit_that_fails_is_tried_again_and_never_lost(tmp_path: Path) -> None:
    rows = some(0, 300)
    fails = 6

    def sometimes(_: Any) -> None:
        nonlocal fails
        if fails:
            fails -= 1
            raise ExternalError("the store is away")

    FilesSink.before_commit = staticmethod(sometimes)
    job = Job(tmp_path / "project", settings=QUIET)
    flow = pipeline(job, tmp_path)[0]
    job.start()
    feed(rows[:150], flow)
    with pytest.raises(DerasError, match="the store is away"):
        job.checkpoint()
    assert read_files(tmp_path / "out") == []
    feed(rows[150:200], flow)
    job.checkpoint()
    assert read_files(tmp_path / "out") != []
    abandon(job)
    finish(tmp_path, rows)


def test_a_new_view_on_a_restored_project_is_filled(tmp_path: Path) -> None:
    rows = some(0, 300)
    with Job(tmp_path / "project", settings=QUIET) as job:
        flow = job.attach(counts(pushed()))
        job.start()
        feed(rows[:100], flow)
    with Job(tmp_path / "project", settings=QUIET) as job:
        job.attach_all([counts(pushed()), counts(pushed(), "new")])
        job.start()
        PUSHED["p"].push(*rows[100:200])
        for f in job.flows:
            while (f.sources[0].parts["0"].offset or {"n": 0})["n"] < 200:
                threading.Event().wait(0.002)
        assert counts_of(job.views["new"].snapshot()) == expected_counts(rows[:200])
    with Job(tmp_path / "project", settings=QUIET) as job:  # both remember their own place
        job.attach_all([counts(pushed()), counts(pushed(), "new")])
        job.start()
        PUSHED["p"].push(*rows[200:], close=True)
        assert job.wait(60)
        for name in ("counts", "new"):
            assert counts_of(job.views[name].snapshot()) == expected_counts(rows)


def test_queries_leave_no_trace_in_checkpoints(tmp_path: Path) -> None:
    from deras.engine.dataflow import Target

    with Job(tmp_path / "project", settings=QUIET) as job:
        flow = job.attach(counts(pushed()))
        job.start()
        feed(some(0, 10), flow)
        query = job.attach(passing(pushed(), Target("query", "q", EVENTS)))
        feed(some(10, 10), query)
        job.checkpoint()
        last = job._checkpointer.last
        assert last is not None
        assert set(last.sources) == {"source-p"}
        assert set(last.nodes) == {"source-p", "agg-counts", "rows-counts"}
        assert set(last.flows) == {"view:counts"}


def test_a_quiet_job_writes_nothing(tmp_path: Path) -> None:
    with Job(tmp_path / "project", settings=replace(QUIET, checkpoint_interval_ms=10)) as job:
        flow = job.attach(counts(pushed()))
        job.start()
        feed(some(0, 10), flow)
        before = -1
        while (epoch := job._run.epoch) != before or job._checkpointer.needed():
            before = epoch
            threading.Event().wait(0.05)
        threading.Event().wait(0.1)
        assert job._run.epoch == epoch
        job.plan = lambda: {"script": ["something new"]}
        while job._run.epoch == epoch:
            threading.Event().wait(0.005)


@pytest.mark.parametrize("act", [None, "history", "states", "manifest"])
def test_history_takes_old_rows_and_loses_none(tmp_path: Path, act: str | None) -> None:
    """Rows go from memory to Parquet; whenever the crash comes, each is in exactly one of the two."""
    from deras.engine.dataflow import Target
    from deras.views.query import AdHoc

    n, batch = 700_000, 50_000
    crash = CrashAt(act, 5)
    settings = replace(QUIET, retain_rows=100_000)
    flow = passing(pushed(), Target("view", "all_events", EVENTS))
    job = Job(tmp_path / "project", settings=replace(settings, crash_point=crash))
    attached = job.attach(flow)
    PUSHED["p"].most = batch
    job.start()
    rows = [("a", i, T0 + i) for i in range(n)]
    crashed = False
    for at in range(0, n, batch):
        feed(rows[at : at + batch], attached)
        try:
            job.checkpoint()
        except Crash:
            crashed = True
            break
    assert crashed is (act is not None)
    if act is None:
        folder = tmp_path / "project" / "history" / "all_events"
        assert list(folder.glob("*.parquet"))
        assert attached.history is not None
        assert attached.history.rows > 300_000
        memory = job._run.graph.nodes[attached.output].operator.snapshot().rows
        assert memory + attached.history.rows == n
    abandon(job)
    with Job(tmp_path / "project", settings=settings) as job:
        attached = job.attach(flow)
        job.start()
        PUSHED["p"].push(*rows[len(PUSHED["p"].rows) :], close=True)
        assert job.wait(60)
        snapshot = job.views["all_events"].snapshot()
        assert snapshot.rows == n
        ask = AdHoc(job.views, threads=1)
        sql = "SELECT count(*) AS n, count(DISTINCT v) AS d, min(v) AS lo, max(v) AS hi FROM all_events"
        assert ask.query(sql).to_pylist() == [{"n": n, "d": n, "lo": 0, "hi": n - 1}]
        assert ask.query("SELECT k FROM all_events WHERE v = 17").to_pylist() == [{"k": "a"}]
        assert snapshot.arrow().num_rows == n
        ask.close()
