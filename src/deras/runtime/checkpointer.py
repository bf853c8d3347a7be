"""The acts of a checkpoint, in their order: prepare, freeze, write, commit, acknowledge, remove what is old.

Between two steps: sinks prepare, states freeze, offsets are noted. Then, on another thread while steps go on: files
are written and synced, the manifest last; sinks commit, readers hear what is durable, older ones go. A checkpoint that
fails loses nothing: what was frozen waits in memory for the next one.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import deras
from deras.core.errors import DerasError
from deras.engine.graph import kind_of
from deras.engine.state import State
from deras.runtime.checkpoint import Manifest, NodeState
from deras.runtime.checkpoint import Run as Chain
from deras.runtime.resuming import names_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deras.engine.state import Frozen
    from deras.runtime.flow import Attached
    from deras.runtime.run import Run

_log = logging.getLogger("deras.checkpoint")
_SMALL = 16 << 20
"""States up to this size are written anew between two steps; larger chains are merged by the writing thread."""
_LONGEST = 12
_MOST_UNSAVED = 4


class Checkpointer:
    """Makes the checkpoints of one run.

    Args:
        run: the run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._env = run.env
        self._one = threading.Lock()
        self._chains: dict[str, list[Chain]] = {}
        self._owners: dict[str, int] = {}
        """Ids of the nodes that the chains belong to."""
        self._unsaved: dict[str, list[Frozen]] = {}
        self._anew: set[str] = set()
        self._tokens: dict[str, list[dict[str, Any]]] = {}
        self._orphans: dict[str, list[dict[str, Any]]] = {}
        self.last: Manifest | None = run.manifest
        self.last_error: DerasError | None = None
        self.failures = 0
        """In a row."""
        if run.manifest is not None:
            self._chains = {n: list(s.chain) for n, s in run.manifest.nodes.items()}
            self._orphans = {k: list(t) for k, t in run.manifest.tokens.items()}

    @property
    def busy(self) -> bool:
        """Whether one is under way."""
        return self._one.locked()

    def needed(self) -> bool:
        """Whether anything has happened since the last one."""
        last, run = self.last, self._run
        if last is None or self.failures or last.steps != run.graph.steps or any(self._tokens.values()):
            return True
        return last.plan != self._env.plan() or set(last.flows) != {f.key for f in run.flows if f.durable}

    def adopt(self, flow: Attached) -> None:
        """The flow's sink has committed its tokens of the checkpoint that the run began with."""
        self._orphans.pop(flow.key, None)

    def make(self) -> int:
        """Make one and wait for it; gives its epoch.

        Raises:
            DerasError: it failed; the job goes on with the last good one.
        """
        metrics, clock = self._env.metrics, self._env.clock
        with self._one:
            began = clock.monotonic()
            try:
                manifest, done = self._run.stepper.between(self._freeze)
                paused = clock.monotonic() - began
                metrics.checkpoint_pause.observe(paused)
                size = self._write(manifest)
                self._commit(manifest)
            except DerasError as e:
                self.failures += 1
                self.last_error = e
                metrics.checkpoints_failed.inc()
                _log.warning("checkpoint failed: %s", e.message)
                raise
            self.failures = 0
            self.last_error = None
            self.last = manifest
            self._after(manifest)
            metrics.checkpoints.inc()
            metrics.checkpoint_bytes.set(size)
            metrics.checkpoint_seconds.observe(clock.monotonic() - began)
            self._finish(done)
            self._run.free_retired()
            return int(manifest.epoch)

    # ---- between two steps

    def _freeze(self) -> tuple[Manifest, list[Attached]]:
        run, crash = self._run, self._env.settings.crash_point
        epoch = run.epoch
        crash("begin")
        for flow in run.flows:
            if flow.sink is not None:
                token = flow.sink.prepare(epoch, run.graph.nodes[flow.output].out)
                if token is not None:
                    self._tokens.setdefault(flow.key, []).append(token)
        crash("prepared")
        self._move_history()
        nodes: dict[str, NodeState] = {}
        for node in run.graph.nodes.values():
            if node.name in run.placing.ephemeral:
                continue
            if self._owners.get(node.name) != node.id:
                self._owners[node.name] = node.id
                if not node.restored:  # another bearer of the name
                    self._chains.pop(node.name, None)
                    self._unsaved.pop(node.name, None)
            if not node.ended:
                self._freeze_node(node.name, node.state, epoch)
            reads = [run.graph.nodes[i].name for i in node.inputs]
            nodes[node.name] = NodeState([], node.low, node.out, node.label, kind_of(node.operator), node.ended, reads)
        kept = {n.name for n in run.graph.nodes.values()} - run.placing.ephemeral
        for name in [n for n in self._unsaved if n not in kept or nodes[n].over]:
            del self._unsaved[name]
        sources = {s.name: s.snapshot() for s in run.sources.values() if s.name in kept}
        flows = {
            f.key: {
                "sources": [s.name for s in f.sources],
                "notes": f.notes,
                "nodes": names_of(f),
                "names": dict(f.names),
            }
            for f in run.flows
            if f.durable
        }
        manifest = Manifest(
            epoch,
            self._env.clock.now(),
            run.graph.steps,
            deras.__version__,
            nodes,
            sources,
            flows,
            {**self._orphans, **{k: list(t) for k, t in self._tokens.items()}},
            {f.key: f.sink.last_token for f in run.flows if f.sink is not None and f.sink.last_token is not None},
            self._env.plan(),
            self._env.quarantine.cut(),
            {f.key: f.history.files for f in run.flows if f.history is not None},
        )
        run.epoch += 1
        crash("frozen")
        return manifest, [f for f in run.flows if f.done and not f.finished]

    def _move_history(self) -> None:
        settings = self._env.settings
        for flow in self._run.flows:
            if flow.history is None:
                continue
            operator: Any = self._run.graph.nodes[flow.output].operator
            if flow.closed is not None:
                about, chunks = flow.closed
                flow.closed = None
                flow.history.list_file(about, lambda o=operator, c=chunks: o.drop_chunks(c))  # type: ignore[misc]
            if settings.history_retention_ms is not None:
                flow.history.expire(int(self._env.clock.now() - settings.history_retention_ms))
            flow.closing = operator.closed_chunks(settings.retain_rows)

    def _write_history(self, epoch: int) -> None:
        for flow in list(self._run.flows):
            chunks, flow.closing = flow.closing, []
            if flow.history is None or not chunks:
                continue
            try:
                flow.closed = (flow.history.write(chunks, epoch, self._env.clock.now()), chunks)
            except OSError as e:
                _log.warning("history of view '%s' stays in memory: %s", flow.name, e.strerror)

    def _freeze_node(self, name: str, state: State, epoch: int) -> None:
        frozen = state.freeze(epoch)
        if self._env.store is None:
            return
        waiting = self._unsaved.setdefault(name, [])
        waiting.append(frozen)
        chain = self._chains.get(name, [])
        size = sum(r.bytes for r in chain[1:])
        long = len(chain) >= _LONGEST or (chain and size > max(chain[0].bytes, self._env.settings.state_file_bytes))
        if len(waiting) > _MOST_UNSAVED or (long and state.size().bytes <= _SMALL):
            waiting[:] = [state.base(epoch)]
            self._anew.add(name)

    # ---- on the writing thread

    def _write(self, manifest: Manifest) -> int:
        store, crash = self._env.store, self._env.settings.crash_point
        if store is None:
            self._env.quarantine.saved(self._env.quarantine.save(manifest.epoch, manifest.quarantine))
            return 0
        self._merge_long_chains(manifest.epoch)
        states: dict[str, Iterable[Any]] = {n: [f.chunks() for f in fs] for n, fs in self._unsaved.items()}
        runs = store.write_states(manifest.epoch, states)
        crash("states")
        manifest.quarantine = self._env.quarantine.save(manifest.epoch, manifest.quarantine)
        crash("quarantine")
        chains: dict[str, list[Chain]] = {}
        for name, node in manifest.nodes.items():
            before = [] if name in self._anew or node.over else self._chains.get(name, [])
            node.chain = chains[name] = [*before, *([runs[name]] if name in runs else [])]
        store.write_manifest(manifest)
        crash("manifest")
        self._chains = chains
        self._unsaved.clear()
        self._anew.clear()
        self._env.quarantine.saved(manifest.quarantine)
        store.check_written(manifest.epoch, runs)
        return sum(r.bytes for r in runs.values())

    def _merge_long_chains(self, epoch: int) -> None:
        store = self._env.store
        assert store is not None  # noqa: S101 (the caller looks)
        for name, waiting in self._unsaved.items():
            chain = self._chains.get(name, [])
            make = self._run.placing.makers.get(name)
            if len(chain) < 2 * _LONGEST or name in self._anew or make is None:
                continue
            operator, state = make(), State(name)
            operator.open(state)

            def all_chunks(chain: list[Chain] = chain, waiting: list[Frozen] = waiting) -> Iterable[Any]:
                yield from store.chunks(NodeState(chain))
                for f in waiting:
                    yield from f.chunks()

            state.restore(all_chunks())
            waiting[:] = [state.base(epoch)]
            self._anew.add(name)

    def _commit(self, manifest: Manifest) -> None:
        crash = self._env.settings.crash_point
        for flow in list(self._run.flows):
            if flow.sink is None:
                continue
            waiting = self._tokens.get(flow.key, [])
            while waiting:
                self._commit_one(flow, waiting[0])
                waiting.pop(0)
                crash("committed one")
        crash("committed")

    def _commit_one(self, flow: Attached, token: dict[str, Any]) -> None:
        assert flow.sink is not None  # noqa: S101 (the caller looks)
        wait = 0.1
        for attempt in range(4):
            try:
                flow.sink.sink.commit(token)
                return
            except DerasError as e:
                if attempt == 3 or e.retry == "never":
                    raise
                self._env.clock.sleep(wait)
                wait *= 3

    def _after(self, manifest: Manifest) -> None:
        crash = self._env.settings.crash_point
        store = self._env.store
        oldest = manifest
        if store is not None:
            try:
                kept = store.prune()
                self._env.quarantine.prune(m.quarantine for m in kept)
                oldest = kept[-1] if kept else manifest
                for flow in list(self._run.flows):
                    if flow.history is not None:
                        flow.history.prune(f["file"] for m in kept for f in m.history.get(flow.key, ()))
            except (DerasError, OSError) as e:
                _log.warning("old checkpoints could not be removed: %s", e)
        crash("pruned")
        # Only what the oldest kept checkpoint holds may be forgotten outside: it may be the one that is needed.
        for s in list(self._run.sources.values()):
            about = oldest.sources.get(s.name)
            if about is not None:
                try:
                    s.ack(about["parts"])
                except DerasError as e:
                    _log.warning("table '%s' could not be told of the checkpoint: %s", s.table, e.message)
        crash("acked")
        if store is not None:
            self._write_history(manifest.epoch)
        crash("history")

    def _finish(self, done: list[Attached]) -> None:
        for flow in done:
            if flow.sink is not None:
                sink = flow.sink
                self._run.stepper.between(sink.close)
            flow.end(self._run.graph.steps, self._run.watermark(flow))
