"""A whole job: sources through the graph into views, sinks and callers."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from flows_kit import (
    EVENTS,
    PUSHED,
    WINDOWS,
    FilesSink,
    PushSource,
    counts,
    counts_of,
    expected_counts,
    expected_windows,
    files,
    files_windows,
    line,
    passing,
    pushed,
    source,
    windows,
    windows_of,
    write_events,
)

from deras.core.errors import DerasError, ExternalError, PlanError, RowError
from deras.core.time import MAX_WATERMARK
from deras.engine.dataflow import Dataflow, SourceSpec, Target
from deras.engine.operators.materialize import Materialize
from deras.engine.operators.window_aggregate import WindowAggregate
from deras.runtime.job import Job
from deras.runtime.settings import JobSettings

if TYPE_CHECKING:
    from pathlib import Path

    from deras.runtime.targets import Changes

pytestmark = pytest.mark.usefixtures("connectors")
T0 = 1_700_000_000_000
QUIET = JobSettings(checkpoint_interval_ms=None)


def test_files_to_views(tmp_path: Path) -> None:
    rows = write_events(tmp_path / "events.json", 5000)
    spec = source(tmp_path / "events.json")
    with Job() as job:
        job.attach_all([counts(spec), windows(spec)])
        job.start()
        assert job.wait(60)
        assert counts_of(job.views["counts"].snapshot()) == expected_counts(rows)
        assert windows_of(job.views["windows"].snapshot().arrow().to_pylist()) == expected_windows(rows)


def test_a_window_of_many_keys_comes_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WindowAggregate, "piece", 64)
    rows = write_events(tmp_path / "events.json", 5000, keys=1000, step_ms=10)
    largest: list[int] = []
    with Job() as job:
        spec = source(tmp_path / "events.json")
        job.attach_all([counts(spec), windows(spec)])
        node = next(n for n in job._run.graph.nodes.values() if isinstance(n.operator, Materialize) and n.inputs)
        step = type(node.operator).step

        def measured(self: Any, deltas: Any, tick: Any) -> Any:
            if len(self.schema) == len(WINDOWS):
                largest.extend(d.length for d in deltas if d is not None)
            return step(self, deltas, tick)

        monkeypatch.setattr(Materialize, "step", measured)
        job.start()
        assert job.wait(60)
        assert windows_of(job.views["windows"].snapshot().arrow().to_pylist()) == expected_windows(rows)
    assert sum(largest) == len(expected_windows(rows))
    assert max(largest) <= 64


def test_a_sink_is_committed_before_wait_returns(tmp_path: Path) -> None:
    rows = write_events(tmp_path / "events.json", 3000)
    with Job() as job:
        job.attach(windows(source(tmp_path / "events.json"), files(tmp_path / "out")))
        job.start()
        assert job.wait(60)
        assert files_windows(tmp_path / "out") == expected_windows(rows)


def test_many_files_share_one_watermark(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    rows = []
    for i in range(20):  # each file covers the whole time: without the minimum over all, rows would be late
        rows += write_events(folder / f"{i:02}.json", 200, step_ms=1000)
    with Job() as job:
        job.attach(windows(source(folder)))
        job.start()
        assert job.wait(60)
        assert windows_of(job.views["windows"].snapshot().arrow().to_pylist()) == expected_windows(rows)
        assert job.status()["quarantine"]["rows"] == 0


def test_an_empty_folder_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with Job() as job:
        job.attach(windows(source(tmp_path / "in")))
        job.start()
        assert job.wait(60)
        assert job.views["windows"].snapshot().rows == 0


def test_one_row_is_seen_at_once(tmp_path: Path) -> None:
    seen = threading.Event()
    got: list[Changes] = []

    def listen(c: Changes) -> None:
        got.append(c)
        seen.set()

    with Job(settings=QUIET) as job:
        flow = job.attach(counts(pushed()))
        job.start()
        job.subscribe(flow.id, listen)
        PUSHED["p"].push(("a", 1, T0))
        assert seen.wait(30)
        assert [list(c.delta.changes()) for c in got if c.delta] == [[(1, ("a", 1, 1))]]
        assert counts_of(job.views["counts"].snapshot()) == {"a": (1, 1)}
        assert got[0].watermark == T0


def test_a_query_gets_all_changes_and_the_end(tmp_path: Path) -> None:
    rows = write_events(tmp_path / "events.json", 500)
    got: list[Changes] = []
    target = Target("query", "q", EVENTS)
    with Job() as job:
        flow = job.attach(passing(source(tmp_path / "events.json"), target), got.append)
        job.start()
        assert flow.wait(60)
    assert [(k, v) for c in got if c.delta for k, v, _ in c.delta.rows()] == [(k, v) for k, v, _ in rows]
    assert got[-1].ended
    assert got[-1].error is None
    assert got[-1].watermark == MAX_WATERMARK


def test_limit_ends_a_query(tmp_path: Path) -> None:
    got: list[Changes] = []
    with Job() as job:
        flow = job.attach(replace(passing(pushed(), Target("query", "q", EVENTS)), limit=3), got.append)
        PUSHED["p"].push(*[("a", i, T0 + i) for i in range(10)])
        job.start()
        assert flow.wait(60)
    assert [v for c in got if c.delta for _, v, _ in c.delta.rows()] == [0, 1, 2]


def test_a_failing_listener_is_cut_off(tmp_path: Path) -> None:
    rows = write_events(tmp_path / "events.json", 500)

    def bad(_: Changes) -> None:
        raise ValueError("no")

    with Job() as job:
        flow = job.attach(counts(source(tmp_path / "events.json")), bad)
        job.start()
        assert flow.wait(60)
        assert counts_of(job.views["counts"].snapshot()) == expected_counts(rows)


def test_a_late_view_reads_files_from_the_start(tmp_path: Path) -> None:
    rows = write_events(tmp_path / "events.json", 2000)
    spec = source(tmp_path / "events.json")
    with Job() as job:
        job.attach(counts(spec))
        job.start()
        assert job.wait(60)
        late = job.attach(counts(spec, "late"))
        assert job.wait(60)
        assert late.notes == []
        assert counts_of(job.views["late"].snapshot()) == expected_counts(rows)
        assert counts_of(job.views["counts"].snapshot()) == expected_counts(rows)


def test_a_late_view_of_what_cannot_be_read_again_says_from_when_it_counts(tmp_path: Path) -> None:
    source_ = PUSHED["p"] = type("Live", (PushSource,), {"delivery": "at-most-once"})()
    with Job(settings=QUIET) as job:
        first = job.attach(counts(pushed()))
        job.start()
        seen = threading.Event()
        job.subscribe(first.id, lambda _: seen.set())
        source_.push(("a", 1, T0))
        assert seen.wait(30)
        late = job.attach(counts(pushed(), "late"))
        assert late.notes
        assert late.notes[0].startswith("counts from ")
        source_.push(("a", 5, T0), close=True)
        assert job.wait(60)
        assert counts_of(job.views["counts"].snapshot()) == {"a": (2, 6)}
        assert counts_of(job.views["late"].snapshot()) == {"a": (1, 5)}


def test_a_view_reads_a_view(tmp_path: Path) -> None:
    rows = write_events(tmp_path / "events.json", 1000)
    spec = source(tmp_path / "events.json")
    view = SourceSpec("windows", "view", {}, WINDOWS, (0, 1, 2, 3, 4), lambda: None, "view-windows")  # type: ignore[arg-type, return-value]
    with Job() as job:
        job.attach(windows(spec))
        job.start()
        assert job.wait(60)
        got: list[Changes] = []
        flow = job.attach(Dataflow([view], [], ~0, Target("query", "q", WINDOWS), True, views=("windows",)), got.append)
        assert flow.wait(60)
        found = sorted(r[:3] for c in got if c.delta for r in c.delta.rows())
        assert found == sorted(w[:3] for w in expected_windows(rows))
        job.detach(flow.id)
        reader = job.attach(Dataflow([view], [], ~0, Target("query", "q2", WINDOWS), True, views=("windows",)))
        with pytest.raises(PlanError, match="is read by"):
            job.detach(next(f.id for f in job.flows if f.name == "windows"))
        job.detach(reader.id)
        job.detach(next(f.id for f in job.flows if f.name == "windows"))
        assert "windows" not in job.views


def test_detach_frees_source_and_view(tmp_path: Path) -> None:
    with Job(settings=QUIET) as job:
        a = job.attach(counts(pushed()))
        job.attach(counts(pushed("other"), "second"))
        job.start()
        job.detach(a.id)
        assert a.finished
        assert set(job.tables()) == {"events"}
        assert [s["name"] for s in job.status()["sources"]] == ["source-other"]
        assert "counts" not in job.views
        PUSHED["other"].push(("a", 1, T0), close=True)
        assert job.wait(60)
        assert counts_of(job.views["second"].snapshot()) == {"a": (1, 1)}


def test_bad_rows_go_to_quarantine(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    rows = write_events(path, 100)
    with path.open("ab") as f:
        f.write(b'{"k": "x", "v": oops}\n' + b"\xff\xfe\n" + line("late", 1, T0 - 100_000).encode() + b"\n")
    with Job() as job:
        job.attach(windows(source(path)))
        job.start()
        assert job.wait(60)
        found = job.views["deras_quarantine"].snapshot().arrow().to_pylist()
        assert [r["reason"] for r in found] == ["decode", "decode", "late"]
        assert found[0]["record"] == b'{"k": "x", "v": oops}'
        assert found[1]["text"] is None
        assert "line 101" in found[0]["place"]
        assert [r["id"] for r in found] == [1, 2, 3]
        assert [r["source"] for r in found] == ["events", "events", "windows"]
        assert windows_of(job.views["windows"].snapshot().arrow().to_pylist()) == expected_windows(rows)
        assert b'deras_rejected_rows_total{reason="decode",table="events"} 2.0' in job.metrics_text()


def test_on_error_fail_names_the_place(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    write_events(path, 10)
    with path.open("a") as f:
        f.write("{\n")
    with Job(settings=JobSettings(on_error="fail")) as job:
        job.attach(windows(source(path)))
        job.start()
        with pytest.raises(RowError, match=r"line 11"):
            job.wait(60)
        assert job.state == "failed"
        with pytest.raises(RowError):
            job.attach(counts(source(path)))


def test_an_operator_that_breaks_is_our_fault(tmp_path: Path) -> None:
    write_events(tmp_path / "events.json", 10)
    flow = windows(source(tmp_path / "events.json"), files(tmp_path / "out"))

    def broken(_: object) -> None:
        raise ZeroDivisionError("boom")

    FilesSink.before_write = staticmethod(broken)
    ended: list[Changes] = []
    with Job() as job:
        job.attach(flow, ended.append)
        job.start()
        with pytest.raises(DerasError, match="boom") as e:
            job.wait(60)
        assert e.value.domain.value == "internal"
        assert "ZeroDivisionError" in e.value.detail
    assert ended[-1].ended
    assert ended[-1].error is not None


def test_attach_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with Job() as job:
        with pytest.raises(ExternalError):
            job.attach(counts(source(tmp_path / "absent.json")))
        assert job.flows == []
        assert job.status()["sources"] == []


def test_a_slow_sink_holds_the_source_back(tmp_path: Path) -> None:
    go = threading.Event()
    FilesSink.before_write = staticmethod(lambda _: go.wait(60))
    with Job(settings=replace(QUIET, workers=2)) as job:
        job.attach(passing(pushed(), files(tmp_path / "out", EVENTS)))
        s = PUSHED["p"]
        s.most = 10
        s.push(*[("a", i, T0 + i) for i in range(10_000)])
        job.start()
        for _ in range(200):  # every step blocks: nothing more is read than a few batches
            if s.polls >= 5:
                break
            threading.Event().wait(0.01)
        threading.Event().wait(0.7)
        assert 1 <= s.polls <= 12
        assert job.why_silent("out").startswith("Sink 'out' has been busy")  # asking works while the step is blocked
        go.set()
        s.push(close=True)
        assert job.wait(60)
        assert s.polls == 1000


def test_idle_part_lets_the_others_go_on(tmp_path: Path) -> None:
    two = type("Two", (PushSource,), {"parts": lambda self: ["0", "1"]})()
    PUSHED["p"] = two
    fired = threading.Event()
    with Job(settings=replace(QUIET, idle_timeout_ms=50)) as job:
        flow = job.attach(windows(pushed()))
        job.subscribe(flow.id, lambda _: fired.set())
        two.open = lambda part, at: Silent() if part == "1" else PushSource.open(two, part, at)
        job.start()
        two.push(("a", 1, T0), ("a", 2, T0 + 60_000))
        assert fired.wait(30)
        assert job.status()["sources"][0]["parts"][1]["state"] == "idle"


def test_a_silent_table_closes_its_last_window(tmp_path: Path) -> None:
    fired = threading.Event()
    spec = pushed()
    made = spec.make

    def make() -> Any:
        op = made()
        op.idle_advance = True
        return op

    with Job(settings=replace(QUIET, idle_timeout_ms=50)) as job:
        flow = job.attach(windows(replace(spec, make=make)))
        job.subscribe(flow.id, lambda _: fired.set())
        job.start()
        PUSHED["p"].push(("a", 1, T0 + 9_500))
        assert fired.wait(30)


class Silent:
    """A part that never gives anything."""

    def poll(self, limit: int, wait: float) -> object:
        from deras.core.records import Records

        threading.Event().wait(wait)
        return Records({})

    def idle(self) -> bool:
        return False

    def watermark_hint(self) -> None:
        return None

    def ack(self, offset: object) -> None:
        pass

    def close(self) -> None:
        pass


def test_why_silent_names_the_part(tmp_path: Path) -> None:
    with Job(settings=QUIET) as job:
        flow = job.attach(windows(pushed()))
        job.start()
        assert "No record has come from table 'events'" in job.why_silent("windows")
        PUSHED["p"].push(("a", 1, T0))
        while flow.sources[0].parts["0"].rows == 0:
            threading.Event().wait(0.005)
        assert "held by 'events/0'" in job.why_silent("windows")
        status = job.status()
        assert status["state"] == "running"
        assert status["sources"][0]["parts"][0]["watermark"] == T0
        assert {o["operator"] for o in status["operators"]} >= {"SourceInput", "WindowAggregate", "Materialize"}


def test_stop_twice_and_after_stop(tmp_path: Path) -> None:
    job = Job()
    job.attach(counts(pushed()))
    job.start()
    job.stop()
    job.stop()
    with pytest.raises(DerasError, match="stopped"):
        job.attach(counts(pushed(), "again"))
