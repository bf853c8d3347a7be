"""Nodes that several flows have alike: one while they are alike, and nobody notices what becomes of the others."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flows_kit import (
    PUSHED,
    PushSource,
    counts,
    counts_of,
    expected_counts,
    expected_windows,
    files,
    files_windows,
    pushed,
    windows,
)
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_recovery import QUIET, abandon, feed, some

from deras.runtime.job import Job

if TYPE_CHECKING:
    from deras.engine.dataflow import Dataflow
    from deras.runtime.flow import Attached

pytestmark = pytest.mark.usefixtures("connectors")


def working(flow: Dataflow, work: str) -> Dataflow:
    """The flow whose first node does what others of the same ``work`` do."""
    first, *rest = flow.nodes
    return replace(flow, nodes=[replace(first, work=work), *rest])


def view(name: str) -> Dataflow:
    return working(counts(pushed(), name), "counts")


def sink(name: str, folder: Path) -> Dataflow:
    return working(windows(pushed(), files(folder / name, name=name)), "windows")


def aggregates(job: Job) -> int:
    return sum(n.label.startswith("GroupAggregate") for n in job._run.graph.nodes.values())


def begin(job: Job, names: tuple[str, ...], folder: Path) -> dict[str, Attached]:
    flows = [sink(n, folder) if n.startswith("s") else view(n) for n in names]
    made = job.attach_all(flows)
    job.start()
    return dict(zip(names, made, strict=True))


def wait(flow: Attached, n: int) -> None:
    """Until so many rows went through a step."""
    for _ in range(5000):
        if all((p.offset or {"n": 0})["n"] >= n for s in flow.sources for p in s.parts.values()):
            return
        threading.Event().wait(0.002)
    raise AssertionError(flow.key)


NAMES = ["a", "b", "c", "s1", "s2"]
PHASES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(NAMES), min_size=1, unique=True).map(tuple),
        st.lists(st.integers(1, 30), min_size=1, max_size=2),
        st.sampled_from(["stop", "crash", "checkpoint, crash"]),
        st.sampled_from(["", *NAMES]),
    ),
    min_size=2,
    max_size=4,
)


@settings(
    max_examples=12,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(phases=PHASES)
def test_flows_come_go_and_return(phases: list[Any]) -> None:
    """Views count every row, whoever else was there; sinks that stay write each window once."""
    PUSHED.clear()
    seen: list[tuple[str, int, int]] = []
    noted: set[str] = set()  # by the last checkpoint
    whole = set(NAMES)  # sinks that have never left
    with tempfile.TemporaryDirectory() as d:
        folder = Path(d)
        for names, sizes, ending, detached in phases:
            PUSHED["p"] = PushSource()
            PUSHED["p"].rows = list(seen)
            job = Job(folder / "project", settings=QUIET)
            whole -= {n for n in NAMES if n not in names and (n in noted)}
            flows = begin(job, names, folder)
            gone: set[str] = set()
            for i, n in enumerate(sizes):
                rows = some(len(seen), n)
                seen += rows
                feed(rows, flows[names[0]])
                if i == 0 and detached in flows and len(flows) > 1:
                    if detached.startswith("s"):
                        noted = set(flows)  # what a sink has is committed first
                    job.detach(flows[detached].id)
                    flows = {k: f for k, f in flows.items() if k != detached}
                    gone, names = {detached}, tuple(flows)
                if i == 0 and ending != "crash":
                    job.checkpoint()
                    noted = set(flows)
            whole -= gone
            for k in flows:
                wait(flows[k], len(seen))
                if not k.startswith("s"):
                    assert counts_of(job.views[k].snapshot()) == expected_counts(seen), k
            if ending == "stop":
                job.stop()
                noted = set(flows)
            else:
                abandon(job)
        PUSHED["p"] = PushSource()
        PUSHED["p"].rows, PUSHED["p"].closed = list(seen), True
        with Job(folder / "project", settings=QUIET) as job:
            whole -= noted - set(names)
            begin(job, names, folder)
            assert job.wait(60)
            for k in names:
                if not k.startswith("s"):
                    assert counts_of(job.views[k].snapshot()) == expected_counts(seen)
        for k in whole & set(names):
            if k.startswith("s"):
                assert files_windows(folder / k) == expected_windows(seen)


def test_one_while_alike(tmp_path: Path) -> None:
    rows = some(0, 100)
    with Job(tmp_path / "project", settings=QUIET) as job:
        flows = begin(job, ("a", "b"), tmp_path)
        assert aggregates(job) == 1
        feed(rows[:40], flows["a"])
        begin(job, ("c",), tmp_path)  # has seen nothing yet
        assert aggregates(job) == 2
        feed(rows[40:60], flows["a"])
    for names, n in ((("c", "b", "a"), 2), (("b",), 1), (("a", "b"), 2), (("b", "a"), 2)):
        with Job(tmp_path / "project", settings=QUIET) as job:
            flows = begin(job, names, tmp_path)
            assert aggregates(job) == n
            for k, f in flows.items():
                wait(f, len(PUSHED["p"].rows))
                assert counts_of(job.views[k].snapshot()) == expected_counts(PUSHED["p"].rows)
        old, PUSHED["p"] = PUSHED["p"], PushSource()
        PUSHED["p"].rows = [*old.rows, *rows[len(old.rows) : len(old.rows) + 10]]


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_who_comes_when_no_one_can_read_again_counts_from_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: tuple[str, str]
) -> None:
    monkeypatch.setattr(PushSource, "delivery", "at-most-once")
    rows = some(0, 90)
    with Job(tmp_path / "project", settings=QUIET) as job:
        feed(rows[:30], begin(job, ("a", "b"), tmp_path)["a"])
        assert aggregates(job) == 1
    # "a", which had brought the node, is gone: it goes on as that of "b", and serves nobody who comes later.
    with Job(tmp_path / "project", settings=QUIET) as job:
        feed(rows[30:60], begin(job, ("b",), tmp_path)["b"])
        assert aggregates(job) == 1
    with Job(tmp_path / "project", settings=QUIET) as job:
        flows = begin(job, order, tmp_path)
        assert aggregates(job) == 2
        feed(rows[60:80], flows["a"])
        begin(job, ("c",), tmp_path)  # while it runs
        assert aggregates(job) == 3
        feed(rows[80:], flows["a"])
        assert counts_of(job.views["c"].snapshot()) == expected_counts(rows[80:])
        assert counts_of(job.views["b"].snapshot()) == expected_counts(rows)
        assert counts_of(job.views["a"].snapshot()) == expected_counts(rows[60:])


def test_views_read_by_several_are_tapped_once(tmp_path: Path) -> None:
    with Job(tmp_path / "project", settings=QUIET) as job:
        flow = counts(pushed(), "a")
        spec = replace(pushed(), connector="view", table="a", name="view:a")
        readers = [
            replace(counts(spec, n), views=("a",), nodes=[], output=~0, target=replace(flow.target, name=n))
            for n in ("x", "y")
        ]
        job.attach_all([flow, *readers])
        job.start()
        feed(some(0, 30), job.flows[0])
        assert sum(n.label == "View(a)" for n in job._run.graph.nodes.values()) == 2  # its rows, one tap
        for n in ("a", "x", "y"):
            assert counts_of(job.views[n].snapshot()) == expected_counts(some(0, 30))
