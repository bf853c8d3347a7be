"""What is over keeps no state: restarts, edited scripts, new files and crashes around the end of inputs."""

from __future__ import annotations

import contextlib
import gc
import json
import threading
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from flows_kit import (
    PUSHED,
    counts,
    counts_of,
    expected_counts,
    expected_windows,
    files,
    files_windows,
    pushed,
    read_files,
    source,
    windows,
    write_events,
)
from test_recovery import ACTS, QUIET, Crash, CrashAt, abandon, feed, some

from deras.core.delta import Delta
from deras.core.errors import DerasError, InternalError
from deras.core.time import MAX_WATERMARK, Tick
from deras.engine.graph import Ended
from deras.runtime import checkpoint
from deras.runtime.job import Job
from deras.session.session import Session

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("connectors")


def numbers(folder: Path, name: str, *ids: int) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps({"k": i % 3, "v": i}) + "\n" for i in ids))


def script(folder: Path, *statements: str, monitor: bool = False) -> str:
    more = ", 'source.monitor-interval' = '10 ms'" if monitor else ""
    table = f"CREATE TABLE t (k BIGINT, v BIGINT) WITH ('connector' = 'filesystem', 'path' = '{folder}', 'format' = 'json'{more});"
    return table + "".join(f"{s};" for s in statements)


class Ran:
    """One run of a script to its end, as ``deras run`` does it: what it answered and kept."""

    def __init__(self, project: Path, sql: str, *views: str, sink: Path | None = None) -> None:
        with Session(project, restore=False) as session:
            session.sql(sql, origin="script")
            assert session.wait(60)
            job = session.job
            self.rows = {
                v: sorted(tuple(r.values()) for r in job.views[v].snapshot().arrow().to_pylist()) for v in views
            }
            self.notes = [n for f in job.flows for n in f.notes]
            self.epoch = job.checkpoint()
            store = job._env.store
            assert store is not None
            self.manifest = store.load(self.epoch)

    def kept(self) -> set[str]:
        """Operators with state in the checkpoint."""
        return {n.operator for n in self.manifest.nodes.values() if n.chain}


JOIN = "CREATE MATERIALIZED VIEW m AS SELECT a.k, COUNT(*) AS n FROM t a JOIN t b ON a.v = b.v GROUP BY a.k"
SUM = JOIN.replace("COUNT(*)", "SUM(a.v)")


def test_only_answers_and_sources_stay_in_the_last_checkpoint(tmp_path: Path) -> None:
    numbers(tmp_path / "in", "a.json", *range(9))
    first = Ran(tmp_path / "p", script(tmp_path / "in", JOIN), "m")
    assert first.rows["m"] == [(0, 3), (1, 3), (2, 3)]
    over = {n.operator: n.over for n in first.manifest.nodes.values()}
    assert over["Join"]
    assert over["GroupAggregate"]
    assert first.kept() == {"SourceInput", "Materialize"}
    again = Ran(tmp_path / "p", script(tmp_path / "in", JOIN), "m")
    assert again.rows == first.rows
    assert again.kept() == first.kept()


def test_an_operator_and_its_state_are_freed(tmp_path: Path) -> None:
    write_events(tmp_path / "in.json", 500)
    job = Job(tmp_path / "project", settings=QUIET)
    with job:
        flow = job.attach(counts(source(tmp_path / "in.json")))
        node = job._run.graph.nodes[flow.nodes[0]]
        operator = weakref.ref(node.operator)
        parts = [weakref.ref(i) for i in node.state._indexes.values()]
        assert parts
        gc.collect()
        gc.disable()
        try:
            job.start()
            assert job.wait(60)
            while job._run.retired or job._checkpointer.busy:
                threading.Event().wait(0.002)
            assert node.ended
            assert [p() for p in parts] == [None] * len(parts)
            assert operator() is None
        finally:
            gc.enable()


def test_a_flow_that_ended_beside_one_that_runs(tmp_path: Path) -> None:
    rows = some(0, 40)
    for again in (False, True):
        with Job(tmp_path / "project", settings=QUIET) as job:
            left, right = job.attach_all([counts(pushed("a"), "one"), counts(pushed("b"), "two")])
            job.start()
            PUSHED["a"].push(*([] if again else rows), close=True)
            PUSHED["b"].push(*(rows[20:] if again else rows[:20]), close=again)
            part = right.sources[0].parts["0"]
            while not left.finished or (part.offset or {"n": 0})["n"] < (40 if again else 20):
                threading.Event().wait(0.002)
            store = job._env.store
            assert store is not None
            nodes = store.load(job.checkpoint()).nodes
            assert [n for n, s in nodes.items() if s.over] == (["agg-one", "agg-two"] if again else ["agg-one"])
            assert [n for n, s in nodes.items() if not s.chain] == [n for n, s in nodes.items() if s.over]
    with Job(tmp_path / "project", settings=QUIET) as job:
        job.attach_all([counts(pushed("a"), "one"), counts(pushed("b"), "two")])
        for v in ("one", "two"):
            assert counts_of(job.views[v].snapshot()) == expected_counts(rows)


def test_new_files_of_an_ended_table_stay_unread_and_that_is_said(tmp_path: Path) -> None:
    numbers(tmp_path / "in", "a.json", *range(9))
    before = Ran(tmp_path / "p", script(tmp_path / "in", JOIN), "m")
    numbers(tmp_path / "in", "b.json", *range(9, 12))
    after = Ran(tmp_path / "p", script(tmp_path / "in", JOIN), "m")
    assert after.rows == before.rows
    assert "table 't' had ended: b.json came later and stays unread" in after.notes[0]


def test_new_files_of_a_table_that_had_not_ended_are_read(tmp_path: Path) -> None:
    numbers(tmp_path / "in", "a.json", *range(9))
    sql = script(
        tmp_path / "in", "CREATE MATERIALIZED VIEW m AS SELECT k, COUNT(*) AS n FROM t GROUP BY k", monitor=True
    )
    for i, name in enumerate(("", "b.json")):
        if name:
            numbers(tmp_path / "in", name, *range(9, 12))
        with Session(tmp_path / "p", restore=False) as session:
            session.sql(sql, origin="script")
            want = [(0, 3 + i), (1, 3 + i), (2, 3 + i)]
            for _ in range(5000):
                found = sorted(tuple(r.values()) for r in session.job.views["m"].snapshot().arrow().to_pylist())
                if found == want:
                    break
                threading.Event().wait(0.002)
            assert found == want


@pytest.mark.parametrize("first", [JOIN, "CREATE MATERIALIZED VIEW m AS SELECT k, v AS n FROM t"])
def test_an_edited_view_is_computed_from_the_start(tmp_path: Path, first: str) -> None:
    numbers(tmp_path / "in", "a.json", *range(9))
    tap = "CREATE MATERIALIZED VIEW m2 AS SELECT COUNT(*) AS c, SUM(n) AS s FROM m"
    Ran(tmp_path / "p", script(tmp_path / "in", first, tap), "m", "m2")
    edited = Ran(tmp_path / "p", script(tmp_path / "in", SUM, tap), "m", "m2")
    assert edited.rows == {"m": [(0, 9), (1, 12), (2, 15)], "m2": [(3, 36)]}
    again = Ran(tmp_path / "p", script(tmp_path / "in", SUM, tap), "m", "m2")
    assert again.rows == edited.rows


def test_views_added_on_what_has_ended(tmp_path: Path) -> None:
    numbers(tmp_path / "in", "a.json", *range(9))
    Ran(tmp_path / "p", script(tmp_path / "in", JOIN), "m")
    more = (
        "CREATE MATERIALIZED VIEW m2 AS SELECT k, n FROM m WHERE k > 0",
        "CREATE MATERIALIZED VIEW m3 AS SELECT k, MAX(v) AS top FROM t GROUP BY k",
        "CREATE MATERIALIZED VIEW m4 AS SELECT t.v, m.n FROM t JOIN m ON t.k = m.k WHERE t.v < 2",
    )
    want = {
        "m": [(0, 3), (1, 3), (2, 3)],
        "m2": [(1, 3), (2, 3)],
        "m3": [(0, 6), (1, 7), (2, 8)],
        "m4": [(0, 3), (1, 3)],
    }
    for _ in range(2):
        assert Ran(tmp_path / "p", script(tmp_path / "in", JOIN, *more), *want).rows == want


def lines(folder: Path) -> list[str]:
    return sorted(
        x for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".") for x in p.read_text().split()
    )


def test_an_insert_that_is_run_again_after_its_commit_writes_nothing(tmp_path: Path) -> None:
    numbers(tmp_path / "in", "a.json", *range(9))
    out = f"CREATE TABLE o (k BIGINT, v BIGINT) WITH ('connector' = 'filesystem', 'path' = '{tmp_path / 'out'}', 'format' = 'json')"
    insert = "INSERT INTO o SELECT a.k, b.v FROM t a JOIN t b ON a.v = b.v"
    Ran(tmp_path / "p", script(tmp_path / "in", out, insert))
    once = lines(tmp_path / "out")
    assert len(once) == 9
    again = Ran(tmp_path / "p", script(tmp_path / "in", out, insert))
    assert lines(tmp_path / "out") == once
    assert again.kept() == {"SourceInput"}
    # An edited INSERT is another one: it reads from the start, and what it shares with the old one counts once.
    Ran(tmp_path / "p", script(tmp_path / "in", out, insert + " WHERE a.k = 0"))
    assert len(lines(tmp_path / "out")) == 12


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("times", [1, 2])
def test_crash_at_every_act_around_the_end(tmp_path: Path, act: str, times: int) -> None:
    rows = some(0, 200)
    crash = CrashAt(act, times)

    def attach(job: Job) -> Any:
        return job.attach_all([counts(pushed("a")), windows(pushed("b"), files(tmp_path / "out"))])

    job = Job(tmp_path / "project", settings=replace(QUIET, crash_point=crash))
    flows = attach(job)
    PUSHED["a"].push(*rows, close=True)
    job.start()
    with contextlib.suppress(Crash, DerasError):  # here, or on the job's own thread
        for i in range(times):
            PUSHED["b"].push(*rows[i * 50 : i * 50 + 50])
            part = flows[1].sources[0].parts["0"]
            while (part.offset or {"n": 0})["n"] < len(PUSHED["b"].rows) and job.state == "running":
                threading.Event().wait(0.002)
            job.checkpoint()
    assert crash.left <= 0
    abandon(job)
    with Job(tmp_path / "project", settings=QUIET) as job:
        attach(job)
        PUSHED["b"].push(*rows[len(PUSHED["b"].rows) :], close=True)
        job.start()
        assert job.wait(60)
        assert counts_of(job.views["counts"].snapshot()) == expected_counts(rows)
    assert files_windows(tmp_path / "out") == expected_windows(rows)
    before = read_files(tmp_path / "out")
    with Job(tmp_path / "project", settings=QUIET) as job:
        attach(job)
        job.start()
        assert job.wait(60)
        assert counts_of(job.views["counts"].snapshot()) == expected_counts(rows)
    assert read_files(tmp_path / "out") == before


def test_a_checkpoint_of_format_1_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = some(0, 100)
    real = checkpoint.write_json

    def old(path: Path, body: dict[str, Any]) -> None:
        body = {**body, "format": 1}
        body["nodes"] = {
            k: {a: b for a, b in n.items() if a not in ("over", "inputs")} for k, n in body["nodes"].items()
        }
        body["flows"] = {k: {a: b for a, b in f.items() if a != "nodes"} for k, f in body["flows"].items()}
        real(path, body)

    with monkeypatch.context() as m, Job(tmp_path / "project", settings=QUIET) as job:
        m.setattr(checkpoint, "write_json", old)
        flow = job.attach(counts(pushed()))
        job.start()
        feed(rows[:50], flow)
        job.checkpoint()
    with Job(tmp_path / "project", settings=QUIET) as job:
        job.attach(counts(pushed()))
        job.start()
        PUSHED["p"].push(*rows[50:], close=True)
        assert job.wait(60)
        assert counts_of(job.views["counts"].snapshot()) == expected_counts(rows)


def test_rows_for_an_operator_that_has_ended_are_our_fault(tmp_path: Path) -> None:
    operator = counts(pushed()).nodes[0].make()
    ended = Ended(operator)
    tick = Tick(1, 0, MAX_WATERMARK, MAX_WATERMARK, 1)
    assert ended.step([None], tick).delta is None
    with pytest.raises(InternalError, match="has ended"):
        ended.step([Delta.of(operator.schema, [("a", 1, 1)])], tick)
    assert ended.explain()["ended"]
