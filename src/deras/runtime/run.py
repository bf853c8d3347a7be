"""One life of a job between two restarts: the graph, its sources and targets, and the step that joins them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from time import thread_time
from typing import TYPE_CHECKING, Any

from deras.core.errors import DerasError, ExternalError, PlanError, RowError
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK, Tick
from deras.engine.graph import Graph
from deras.engine.operator import AT_ONCE, Feed, Operator
from deras.runtime.allocator import give_back_freed_memory
from deras.runtime.intake import Intake
from deras.runtime.placing import Placement, Placing
from deras.runtime.resuming import resumes, without
from deras.runtime.sources import Batch, SourceNode
from deras.runtime.stepper import Stepper, Stopped
from deras.runtime.tables import operator_of
from deras.runtime.targets import Changes, SinkTarget
from deras.runtime.view_tap import ViewTap, as_delta
from deras.views.history import History, folder_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deras.core.records import Rejected
    from deras.core.time import Clock
    from deras.engine.dataflow import NodeSpec, SourceSpec
    from deras.engine.graph import StepResult
    from deras.engine.state import State
    from deras.runtime.checkpoint import CheckpointStore, Manifest
    from deras.runtime.flow import Attached
    from deras.runtime.intake_log import IntakeLog
    from deras.runtime.metrics import Metrics
    from deras.runtime.quarantine import Quarantine
    from deras.runtime.settings import JobSettings

_log = logging.getLogger("deras.job")


@dataclass(slots=True)
class Environment:
    """What outlives a run.

    Args:
        folder: where relative paths start.
        clock: the time.
        settings: of the job.
        store: the checkpoints, or None (in memory).
        quarantine: the rejected rows.
        metrics: the numbers.
        log: opens the intake log when a source needs it.
        history: where files of views' old rows lie, or None.
        plan: gives what the session wants to find in the manifest.
    """

    folder: Path
    clock: Clock
    settings: JobSettings
    store: CheckpointStore | None
    quarantine: Quarantine
    metrics: Metrics
    log: Callable[[], IntakeLog]
    history: Path | None = None
    plan: Callable[[], dict[str, Any]] = dict


@dataclass(slots=True)
class Added:
    """Nodes made for a flow that is not in the graph yet."""

    flow: Attached
    sources: list[SourceNode] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Run:
    """The running graph.

    Args:
        env: what outlives it.
        manifest: the checkpoint to go on from, or None.
    """

    def __init__(self, env: Environment, manifest: Manifest | None = None) -> None:
        self.env = env
        self.manifest = manifest
        self.graph = Graph()
        self.epoch = 1 if manifest is None else manifest.epoch + 1
        self.graph.steps = 0 if manifest is None else manifest.steps
        self.flows: list[Attached] = []
        self.sources: dict[str, SourceNode] = {}
        self.placing = Placing(self.graph, env.store)
        self.views: dict[str, Attached] = {}
        s = env.settings
        self.stepper = Stepper(
            self._step, most_rows=s.step_rows, most_bytes=s.step_bytes, in_flight=s.in_flight,
            owes=lambda: self.started and self.next_wake == AT_ONCE,
        )  # fmt: skip
        self.intake = Intake(self.stepper, s, env.clock)
        self.on_progress: Callable[[], None] = lambda: None
        """Called when a flow is done or an operator wants to be woken earlier."""
        self.next_wake: int | None = None
        self.started = False
        self.writing: tuple[str, float] | None = None
        """The sink that is being written to, and since when (monotonic s)."""
        self.retired: list[tuple[Operator, State]] = []
        """Operators that are over, with their states, until :meth:`free_retired`."""
        self._wakers: list[Operator] = []
        self._rows_cap = s.step_rows
        self._wanted: tuple[tuple[Attached, int], ...] = ()

    # ---- shape

    def prepare(self, flow: Attached) -> Added:
        """Open what a flow needs from outside: sources and their parts, its sink. Changes nothing in the graph."""
        added = Added(flow)
        flow.resumed = resumes(flow, self.manifest, self.views, self.sources)
        try:
            for i, spec in enumerate(flow.dataflow.sources):
                if spec.connector == "view":
                    if spec.table not in self.views:
                        raise PlanError(f"there is no materialized view '{spec.table}' to read from")
                    continue
                self._prepare_source(flow, i, spec, added)
            if flow.kind == "sink":
                flow.sink = SinkTarget(flow.key, flow.dataflow, self.env.folder, self.env.clock)
                saved = self.manifest.sinks.get(flow.key) if self.manifest is not None else None
                if self.manifest is not None:
                    for token in self.manifest.tokens.get(flow.key, ()):
                        flow.sink.sink.commit(token)
                flow.sink.open(saved)
        except BaseException:
            for s in added.sources:
                s.close()
            if flow.sink is not None:
                flow.sink.close()
            raise
        return added

    def _prepare_source(self, flow: Attached, index: int, spec: SourceSpec, added: Added) -> None:
        saved = self.manifest.flows.get(flow.key) if self.manifest is not None and flow.resumed else None
        name = self._source_name(flow, index, spec, saved, added)
        held = self.sources.get(name) or next((s for s in added.sources if s.name == name), None)
        if held is None:
            held = SourceNode(name, spec, self.env.folder, self.env.clock, self.env.log)
            about = self.manifest.sources.get(name) if self.manifest is not None else None
            unread = held.make_parts(about["parts"] if about else None)
            if unread:
                added.notes.append(
                    f"table '{spec.table}' had ended: {', '.join(unread[:3])}{' …' if len(unread) > 3 else ''} came "
                    "later and stays unread (a table with 'source.monitor-interval' would read it)"
                )
            added.sources.append(held)
        elif held.progressed and saved is None and not held.replayable:
            now = self.env.clock.now()
            import datetime

            at = datetime.datetime.fromtimestamp(now / 1000, datetime.UTC).isoformat(sep=" ", timespec="seconds")
            added.notes.append(f"counts from {at}: table '{spec.table}' cannot be read again")
        if not held.widen(spec.wanted):
            raise PlanError(f"table '{spec.table}' is being read without the columns that '{flow.key}' needs")
        flow.sources.append(held)

    def _source_name(
        self, flow: Attached, index: int, spec: SourceSpec, saved: dict[str, Any] | None, added: Added
    ) -> str:
        if saved is not None and index < len(saved["sources"]):
            name = str(saved["sources"][index])
            held = self.sources.get(name) or next((s for s in added.sources if s.name == name), None)
            if name.split("#")[0] == spec.name and (held is None or held.leaves_out(spec.filters)):
                return name
        name, n = spec.name, 1
        while True:
            held = self.sources.get(name) or next((s for s in added.sources if s.name == name), None)
            about = self.manifest.sources.get(name) if self.manifest is not None else None
            if held is None and (about is None or not about["replayable"]):
                return name
            if held is not None and not (held.progressed and held.replayable) and held.serves(spec):
                return name
            if held is None and not flow.durable:
                return f"{name}@{flow.id}"
            n += 1
            name = f"{spec.name}#{n}"

    def add(self, added: Added) -> None:
        """Put a prepared flow into the graph. Between two steps."""
        flow = added.flow
        dataflow = flow.dataflow
        for s in added.sources:
            self.sources[s.name] = s
            operator = s.spec.make()
            s.operator = operator
            wanted = Placement(s.name, (), f"Source({s.table})", s.spec.make)
            s.node = self.placing.source(self.manifest, wanted, operator, flow.durable)
            operator.declare(list(s.parts))
            s.marks = operator.watermarks()
        inputs: list[int] = []
        held = iter(flow.sources)
        for i, spec in enumerate(dataflow.sources):
            if spec.connector == "view":
                inputs.append(self._add_tap(flow, i, spec))
            else:
                s = next(held)
                if flow.durable:  # a query may have made it: from now on checkpoints keep it
                    self.placing.ephemeral.discard(s.name)
                inputs.append(s.node)
        ids: list[int] = []
        for node in dataflow.nodes:
            reads = tuple(ids[i] if i >= 0 else inputs[~i] for i in node.inputs)
            name = node.name if flow.durable else f"query{flow.id}:{node.name}"
            wanted = Placement(name, reads, node.label, node.make, node.work)

            def operator_now(_: bool, node: NodeSpec = node) -> Operator:
                return operator_of(node, self.env.folder, self.env.clock)

            ids.append(self.placing.node(self.manifest, flow, wanted, operator_now))
        flow.nodes = ids
        flow.output = ids[dataflow.output] if dataflow.output >= 0 else inputs[~dataflow.output]
        if dataflow.materialised and not hasattr(self.graph.nodes[flow.output].operator, "snapshot"):
            self._materialize(flow)
        if flow.kind == "view":
            self.views[flow.name] = flow
            self._open_history(flow)
        flow.notes.extend(added.notes)
        self.flows.append(flow)
        self._reshaped()

    def _open_history(self, flow: Attached) -> None:
        operator = self.graph.nodes[flow.output].operator
        if self.env.history is None or not operator.append_only or not hasattr(operator, "closed_chunks"):
            return
        flow.history = History(self.env.history / folder_name(flow.name))
        flow.history.restore(self.manifest.history.get(flow.key, []) if self.manifest is not None else [])
        flow.history.prune([])

    def snapshot(self, flow: Attached) -> Any:
        """The rows of a view now, history included."""
        node = self.graph.nodes.get(flow.output)
        if node is None:
            raise ExternalError(f"view '{flow.name}' is restarting", hint="Ask again in a moment.")
        take = node.operator.snapshot  # type: ignore[attr-defined]
        return take() if flow.history is None else flow.history.snapshot(take)

    def _materialize(self, flow: Attached) -> None:
        from deras.engine.operators.materialize import Materialize

        d = flow.dataflow

        def make() -> Operator:  # what the plan left without rows of its own
            t = d.target
            return Materialize(t.schema, t.schema.key, d.append_only, t.upsert_key, forgetful=t.forgetful)

        name = f"{flow.key}:{d.nodes[d.output].name if d.output >= 0 else 'source'}:rows"
        wanted = Placement(name, (flow.output,), f"Materialize({flow.name})", make)
        flow.output = self.placing.node(self.manifest, flow, wanted)
        flow.nodes.append(flow.output)

    def _add_tap(self, flow: Attached, index: int, spec: SourceSpec) -> int:
        view = self.views[spec.table]
        upstream = self.graph.nodes[view.output]
        name = f"{flow.key}:view:{spec.table}:{index}"
        if not flow.durable:
            name = f"query{flow.id}:{name}"
        append = upstream.operator.append_only

        def make() -> Operator:
            return ViewTap(upstream.operator.schema, append)

        def with_rows(restored: bool) -> Operator:
            first = None if restored else as_delta(self.snapshot(view), upstream.operator.schema)
            return ViewTap(upstream.operator.schema, append, first)

        wanted = Placement(name, (view.output,), f"View({spec.table})", make, f"rows of view {spec.table}")
        return self.placing.node(self.manifest, flow, wanted, with_rows)

    def _reshaped(self) -> None:
        self._wakers = [n.operator for n in self.graph.nodes.values() if type(n.operator).wake is not Operator.wake]
        self._wanted = tuple((f, f.output) for f in self.flows if not f.done)
        groups: dict[int, int] = {}

        def root(i: int) -> int:
            while groups.setdefault(i, i) != i:
                i = groups[i]
            return i

        for node in self.graph.nodes.values():
            for p in node.inputs:
                groups[root(node.id)] = root(p)
        for s in self.sources.values():
            s.group = root(s.node)
        self.next_wake = self.wake_time()

    def remove(self, flow: Attached) -> list[SourceNode]:
        """Take a flow out. Between two steps. Gives the sources that nobody reads any more: close them outside."""
        if flow not in self.flows:
            return []
        if flow.kind == "view":
            readers = [f.name for f in self.flows if f is not flow and flow.name in f.dataflow.views]
            if readers:
                raise PlanError(
                    f"materialized view '{flow.name}' is read by {', '.join(repr(r) for r in readers)}",
                    hint="Drop those first.",
                )
            self.views.pop(flow.name, None)
        self.flows.remove(flow)
        removed = self.graph.prune([f.output for f in self.flows])
        for n in removed:
            self.placing.forget(n.name)
        if self.manifest is not None:  # one of its name that comes later is another
            self.manifest = without(self.manifest, flow.key, {n.name for n in removed})
        gone = [s for s in self.sources.values() if s.node not in self.graph.nodes]
        for s in gone:
            del self.sources[s.name]
        self._reshaped()
        return gone

    # ---- running

    def start(self) -> None:
        """Let rows in, with the sizes that the settings have now."""
        s = self.env.settings
        self.stepper.resize(s.step_rows, s.step_bytes, s.in_flight)
        self.intake.resize(s)
        self._rows_cap = s.step_rows
        self.started = True
        for source in list(self.sources.values()):
            source.listen()
        self.stepper.between(self.step_now)
        self.intake.update(self.sources.values())
        self.intake.start()

    def step_now(self) -> None:
        """A step without rows: for what waits for none (VALUES, the first rows of a view that is read)."""
        empty = [
            Batch(p, None, ended=True)
            for s in self.sources.values()
            for p in s.parts.values()
            if p.polled_out and not p.ended and p.reader is None
        ]  # of a bounded table without any part
        self._step(empty)

    def wake_time(self) -> int | None:
        """The least time that an operator wants to be woken at, ms."""
        return min((t for o in self._wakers if (t := o.wake()) is not None), default=None)

    def _step(self, batches: list[Batch]) -> None:
        """One step with these batches (several if one of them is large)."""
        clock = self.env.clock
        feeds: dict[int, list[Feed]] = {}
        live: list[Batch] = []
        for b in batches:
            s = b.part.source
            if self.sources.get(s.name) is not s:
                continue  # detached while the batch was on its way
            if b.version != s.version and b.records is not None:
                s.decode(b)  # somebody who reads more columns came meanwhile
            live.append(b)
            delta = b.delta
            if delta is not None and delta.length > self._rows_cap:
                at = 0
                while delta.length - at > self._rows_cap:
                    part = delta.slice(at, at + self._rows_cap)
                    at += self._rows_cap
                    feeds.setdefault(s.node, []).append(Feed(b.part.name, part))
                    self._one(feeds)
                    feeds = {}
                delta = delta.slice(at, delta.length)
            feeds.setdefault(s.node, []).append(Feed(b.part.name, delta, b.ended, b.idle))
        now, moment = clock.now(), clock.monotonic()
        for b in live:
            self._reject(b.part.source.table, b.rejected, now)
        self._one(feeds)
        done_us = clock.now_us()
        metrics = self.env.metrics
        for b in live:
            p, s = b.part, b.part.source
            if b.records is not None:
                p.offset = b.records.resume
            p.ended = p.ended or b.ended
            if b.count or b.bytes:
                p.rows += b.count
                p.bytes += b.bytes
                p.last_rows, p.last_ms = moment, now
                metrics.read(s.table, b.count, b.bytes)
            if b.polled_us:
                metrics.delayed((done_us - b.polled_us) / 1e6)
        for node in feeds:
            s = next(s for s in self.sources.values() if s.node == node)
            if s.operator is not None:
                s.marks = s.operator.watermarks()
        self._look_for_ends()
        self._retire()

    def _one(self, feeds: dict[int, list[Feed]]) -> None:
        clock = self.env.clock
        began, worked, now = clock.monotonic(), thread_time(), clock.now()
        result = self.graph.step(feeds, epoch=self.epoch, now=now)
        for r, node in zip(result.dropped, result.droppers):
            self._reject(self._table_of(node), [r], now)
        self._deliver(result, now)
        ended = clock.monotonic()
        took = (thread_time() - worked) * 1000  # work: smaller steps do not help against waiting
        s = self.env.settings
        if took > 1.5 * s.step_ms:
            self._rows_cap = max(1024, self._rows_cap // 2)
            self.intake.block_bytes = max(64 << 10, self.intake.block_bytes // 2)
        elif took < 0.5 * s.step_ms:
            self._rows_cap = min(s.step_rows, self._rows_cap * 2)
            self.intake.block_bytes = min(s.block_bytes, self.intake.block_bytes * 2)
        self.env.metrics.stepped(ended - began, ended)
        if self._wakers:
            before, self.next_wake = self.next_wake, self.wake_time()
            soon = self.next_wake is not None and self.next_wake != AT_ONCE
            if soon and (before is None or before == AT_ONCE or self.next_wake < before):  # type: ignore[operator]
                self.on_progress()

    def _deliver(self, result: StepResult, now: int) -> None:
        for flow, output in self._wanted:
            delta = result.deltas.get(output)
            if delta is None or flow.done:
                continue
            wm = self.graph.nodes[output].out
            if flow.dataflow.limit is not None:
                n = flow.limit(delta.length)
                delta = delta if n == delta.length else delta.slice(0, n)
            flow.rows += delta.length
            flow.changed_at, flow.step = now, self.graph.steps
            self.env.metrics.target_rows.labels(flow.kind, flow.name).inc(delta.length)
            if flow.sink is not None:
                node = self.graph.nodes[output]
                self.writing = (flow.name, self.env.clock.monotonic())
                flow.sink.write(delta, Tick(self.epoch, now, node.low, node.out, self.graph.steps))
                self.writing = None
            if flow.listeners:
                flow.listeners.send(Changes(delta, self.graph.steps, wm))
            if flow.full:
                self._done(flow)

    def _look_for_ends(self) -> None:
        for flow in self.flows:
            if flow.done or not all(s.ended for s in flow.sources):
                continue
            if any(not self.views[v].done for v in flow.dataflow.views if v in self.views):
                continue
            if self.graph.nodes[flow.output].out == MAX_WATERMARK:
                self._done(flow)

    def _retire(self) -> None:
        if not self.graph.ending:
            return
        answers = {f.output for f in self.flows if f.kind == "view"}
        gone = self.graph.retire({s.node for s in self.sources.values() if s.over}, answers)
        if gone:
            self.retired += gone
            self._reshaped()
            self.on_progress()

    def free_retired(self) -> None:
        """Give back the memory of operators that are over (large state takes a while). Any thread."""
        gone, self.retired = self.retired, []
        if gone:
            while gone:
                vars(gone.pop()[0]).clear()  # cycles of operator and state would wait for the collector
            give_back_freed_memory()

    def _done(self, flow: Attached) -> None:
        flow.done = True
        if flow.kind == "query":
            flow.end(self.graph.steps, self.graph.nodes[flow.output].out)
        self._wanted = tuple((f, o) for f, o in self._wanted if not f.done)
        self.on_progress()

    def _reject(self, table: str, rejected: Sequence[Rejected], now: int) -> None:
        for r in rejected:
            self.env.metrics.rejected.labels(table, r.reason).inc(len(r))
            self.env.quarantine.add(table, r, seen_at=now, epoch=self.epoch)
            if self.env.settings.on_error == "fail" and r.reason != "late" and not r.meant and len(r):
                where = f" at {r.positions[0]}" if r.positions[0] else ""
                raise RowError(
                    f"a row of {r.origin or table}{where} failed: {r.messages[0]}",
                    detail=f"The row: {r.raw[0][:500]!r}",
                    hint="Correct it, or SET 'deras.on-error' = 'quarantine' to put such rows aside and go on.",
                )

    def _table_of(self, node: int) -> str:
        for s in self.sources.values():
            if s.node == node:
                return s.table
        return next((f.name for f in self.flows if node in f.nodes), "")

    # ---- time

    def tick(self) -> None:
        """What time alone brings: processing-time wake-ups and silent parts. Between two steps."""
        clock = self.env.clock
        now, at = clock.now(), clock.monotonic()
        feeds: dict[int, list[Feed]] = {}
        for s in self.sources.values():
            timeout = s.idle_timeout_ms or self.env.settings.idle_timeout_ms
            if not timeout:
                continue
            for p in s.parts.values():
                if not p.idle and not p.ended and (at - p.last_rows) * 1000 >= timeout and not self.stepper.waiting:
                    p.idle = True
                    feeds.setdefault(s.node, []).append(Feed(p.name, idle=True))
        if feeds or (self.next_wake is not None and self.next_wake <= now):
            self._one(feeds)
            for node in feeds:
                source = next(s for s in self.sources.values() if s.node == node)
                if source.operator is not None:
                    source.marks = source.operator.watermarks()
            self._retire()

    def due(self) -> float | None:
        """Seconds until ``tick`` has something to do, or None."""
        clock = self.env.clock
        times: list[float] = []
        if self.next_wake is not None and self.next_wake != AT_ONCE:
            times.append((self.next_wake - clock.now()) / 1000)
        at = clock.monotonic()
        for s in list(self.sources.values()):
            timeout = s.idle_timeout_ms or self.env.settings.idle_timeout_ms
            if timeout:
                times += [
                    p.last_rows + timeout / 1000 - at for p in list(s.parts.values()) if not p.idle and not p.ended
                ]
        return max(0.0, min(times)) if times else None

    def discover(self, source: SourceNode) -> int:
        """Look for new parts of a source; gives how many came."""
        names = source.discover()
        if names:

            def add() -> None:
                for n in names:
                    source.add_part(n)
                if source.operator is not None:
                    source.operator.declare(names)
                    source.marks = source.operator.watermarks()

            self.stepper.between(add)
            self.intake.update(self.sources.values())
        return len(names)

    # ---- the end

    def watermark(self, flow: Attached) -> int:
        """Of a flow's output, ms."""
        node = self.graph.nodes.get(flow.output)
        return MIN_WATERMARK if node is None else node.out

    def close(self) -> None:
        """Free readers and writers; nothing is committed."""
        self.stepper.fail(Stopped("the run is closed"))
        self.intake.halt()
        for s in list(self.sources.values()):
            try:
                s.close()
            except Exception:  # noqa: BLE001
                _log.warning("closing table '%s' failed", s.table, exc_info=True)
        for f in self.flows:
            if f.sink is not None:
                try:
                    f.sink.close()
                except DerasError as e:
                    _log.warning("closing sink '%s' failed: %s", f.name, e.message)
                except Exception:  # noqa: BLE001
                    _log.warning("closing sink '%s' failed", f.name, exc_info=True)
