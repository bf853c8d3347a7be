"""What a job says about itself: state, rates, places, and why there is no output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deras.core.time import MAX_WATERMARK, MIN_WATERMARK
from deras.engine.graph import kind_of
from deras.runtime.settings import duration_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deras.runtime.checkpointer import Checkpointer
    from deras.runtime.flow import Attached
    from deras.runtime.intake_log import IntakeLog
    from deras.runtime.metrics import Metrics
    from deras.runtime.run import Run
    from deras.runtime.sources import SourceNode


def node_facts(run: Run) -> list[dict[str, Any]]:
    """Every operator: counters, watermark, state size."""
    facts = []
    for f in run.graph.explain():
        node = run.graph.nodes.get(f["id"])
        if node is None:
            continue
        size = node.state.size()
        f["watermark"] = _mark(f["watermark"])
        sizes = {"state_bytes": size.bytes, "state_keys": size.keys, "state_rows": size.rows, "expired": size.expired}
        facts.append({**f, **sizes})
    return facts


def _mark(at: int) -> int | str | None:
    return None if at == MIN_WATERMARK else "ended" if at == MAX_WATERMARK else at


def source_facts(run: Run, source: SourceNode) -> dict[str, Any]:
    """One table being read: its parts, places, watermarks."""
    parts = [
        {
            "part": p.name,
            "offset": p.offset,
            "rows": p.rows,
            "bytes": p.bytes,
            "watermark": _mark(source.marks.get(p.name, MIN_WATERMARK)),
            "state": "ended" if p.ended else "idle" if p.idle else "waiting" if p.dry else "reading",
            "last": p.last_ms,
        }
        for p in list(source.parts.values())
    ]
    node = run.graph.nodes.get(source.node)
    return {
        "table": source.table,
        "connector": source.connector.name,
        "name": source.name,
        "rows": sum(p.rows for p in list(source.parts.values())),
        "last": max((p.last_ms for p in list(source.parts.values()) if p.last_ms is not None), default=None),
        "since": source.listening_since,
        "watermark": _mark(MIN_WATERMARK if node is None else node.out),
        "skipped": _skipped(source),
        "parts": parts,
    }


def _skipped(source: SourceNode) -> dict[str, int] | None:
    """What a source left out for filters since it was opened; None if it is told of none."""
    found = source.source.skipped
    if found is None or not source.spec.filters:
        return None
    return {"files": found.files, "row_groups": found.row_groups, "rows": found.rows}


def why_silent(run: Run, flow: Attached) -> str:
    """Why a flow gives no output now, as a sentence; "" if nothing seems to hold it back."""
    if flow.error is not None:
        return f"It failed: {flow.error.message}."
    if flow.done:
        return "All input has been read."
    now = run.env.clock.now()
    writing = run.writing
    if writing is not None and (took := run.env.clock.monotonic() - writing[1]) > 0.5:
        return f"Sink '{writing[0]}' has been busy with one step for {duration_text(took * 1000)}; all wait for it."
    timed = _has_event_time(run, flow)
    for s in flow.sources:
        parts = list(s.parts.values())
        if not parts:
            return f"Table '{s.table}' has nothing to read yet: no file or partition is there."
        if all(p.rows == 0 for p in parts) and not all(p.ended for p in parts):
            return f"No record has come from table '{s.table}' yet."
    if not timed:
        return ""
    least: tuple[int, SourceNode, str] | None = None
    for s in flow.sources:
        for p in list(s.parts.values()):
            if p.ended or p.idle:
                continue
            at = s.marks.get(p.name, MIN_WATERMARK)
            if least is None or at < least[0]:
                least = (at, s, p.label)
    if least is None:
        idle = [p.label for s in flow.sources for p in list(s.parts.values()) if p.idle]
        stands = [s for s in flow.sources if s.operator is None or not getattr(s.operator, "idle_advance", False)]
        how = "stands still" if stands else "goes on with the clock"
        return f"Every part is silent ({', '.join(idle)}), so time {how}." if idle else ""
    at, s, label = least
    if at == MIN_WATERMARK:
        if s.operator is not None and not s.operator.explain().get("watermark", True):
            return f"Table '{s.table}' declares no WATERMARK, so windows over it close only when it has ended."
        return f"'{label}' has given no event time yet and holds the watermark back."
    lag = duration_text(max(0, now - at))
    return f"The watermark is held by '{label}', which is {lag} behind the clock."


def _has_event_time(run: Run, flow: Attached) -> bool:
    words = ("Window", "Over", "Match", "Sort", "Temporal", "Interval")
    return any(kind_of(run.graph.nodes[i].operator).startswith(words) for i in flow.nodes if i in run.graph.nodes)


def flow_facts(run: Run, flow: Attached) -> dict[str, Any]:
    """One attached dataflow."""
    return {
        **flow.facts(),
        "step": flow.step,
        "updated": flow.changed_at,
        "watermark": _mark(run.watermark(flow)),
        "why_silent": why_silent(run, flow),
    }


def job_status(
    run: Run, checkpointer: Checkpointer, flows: Sequence[Attached], together: Callable[[Callable[[], Any]], Any]
) -> dict[str, Any]:
    """Rates, sources with parts, operators, flows, quarantine, checkpoints."""
    env, last, error = run.env, checkpointer.last, checkpointer.last_error

    def facts() -> dict[str, Any]:
        return {
            "sources": [source_facts(run, s) for s in run.sources.values()],
            "operators": node_facts(run),
            "flows": [flow_facts(run, f) for f in flows],
        }

    return {
        "steps": run.graph.steps,
        "epoch": run.epoch,
        "rows_per_second": env.metrics.rate(env.clock.monotonic()),
        "delay_ms": env.metrics.delays(),
        "queue": run.stepper.waiting,
        "quarantine": {
            "rows": env.quarantine.rows,
            "forgotten": env.quarantine.forgotten,
            "counts": [{"table": t, "reason": r, "rows": n} for (t, r), n in env.quarantine.counts.items()],
        },
        "checkpoint": {
            "epoch": None if last is None else last.epoch,
            "created": None if last is None else last.created,
            "failures": checkpointer.failures,
            "error": None if error is None else error.to_json(),
        },
        **together(facts),
    }


def fill_metrics(
    metrics: Metrics,
    run: Run,
    flows: Sequence[Attached],
    together: Callable[[Callable[[], Any]], Any],
    log: IntakeLog | None,
) -> None:
    """Fill the gauges that are only looked at when somebody asks for metrics."""
    metrics.operators(together(lambda: node_facts(run)))
    metrics.queue.set(run.stepper.waiting)
    for flow in flows:
        at = run.watermark(flow)
        if at not in (MIN_WATERMARK, MAX_WATERMARK):
            metrics.watermark_lag.labels(flow.name).set((run.env.clock.now() - at) / 1000)
    metrics.skipped([(s.table, found) for s in list(run.sources.values()) if (found := _skipped(s)) is not None])
    if log is not None:
        for table in log.tables():
            metrics.backlog.labels(table).set(log.backlog(table))
