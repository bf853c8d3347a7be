"""A job: the one graph of a project, kept running. The door of this room for sessions."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deras.core.errors import DerasError, Domain, ExternalError, InternalError
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK, SystemClock
from deras.runtime import quarantine as q
from deras.runtime.checkpoint import CheckpointStore, Manifest
from deras.runtime.checkpointer import Checkpointer
from deras.runtime.flow import Attached
from deras.runtime.intake_log import IntakeLog
from deras.runtime.metrics import Metrics
from deras.runtime.project import Project
from deras.runtime.quarantine import Quarantine
from deras.runtime.resuming import make_flow_key
from deras.runtime.run import Environment, Run
from deras.runtime.settings import JobSettings, duration_text
from deras.runtime.status import fill_metrics, job_status, why_silent
from deras.runtime.stepper import Stopped
from deras.runtime.switching import FastSwitching
from deras.runtime.targets import Changes, Subscription, as_deras_error
from deras.views.registry import View, Views

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from deras.core.contracts import Source
    from deras.core.time import Clock
    from deras.engine.dataflow import Dataflow

_log = logging.getLogger("deras.job")
JobState = Literal["new", "running", "restarting", "failed", "stopped"]


class Job:
    """Runs dataflows.

    ``attach`` them, ``start``, ``wait`` or ``stop``. Everything may be called from any thread, also while it runs.

    Args:
        folder: the project's folder: checkpoints, intake log, quarantine and history lie there, and one process owns
            it. None: all in memory, nothing survives.
        clock: the time.
        settings: see :class:`JobSettings`.
        project: an owned project instead of ``folder``; it stays the caller's to close.
        base: where relative paths of tables start; default: the project's folder, or the working directory.

    Raises:
        ProjectBusyError: another process owns the folder.
        CorruptError: there are checkpoints, and all are damaged.
        ExternalError: the folder cannot be used.
    """

    def __init__(
        self,
        folder: Path | str | None = None,
        clock: Clock | None = None,
        settings: JobSettings | None = None,
        *,
        project: Project | None = None,
        base: Path | None = None,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self._own_project = project is None and folder is not None
        self.project = Project.open(folder, self.clock) if project is None and folder is not None else project
        self._temporary: Path | None = None
        self._intake_log: IntakeLog | None = None
        self._lock = threading.RLock()
        self._event = threading.Event()
        self._ids = 0
        self._attempts = 0
        self._checkpointing: threading.Thread | None = None
        self._supervisor: threading.Thread | None = None
        self._stop = False
        self._switching = FastSwitching()
        self.state: JobState = "new"
        self.error: DerasError | None = None
        self.notes: list[str] = []
        """Sentences worth telling: damaged checkpoints, restarts."""
        self.plan: Callable[[], dict[str, Any]] = dict
        """Set by the session: what it wants to find in the manifest after a restart (JSON)."""
        self.metrics = Metrics()
        self.views = Views()
        self._flows: dict[int, Attached] = {}
        settings = settings or JobSettings()
        home = self.project.folder if self.project is not None else None
        try:
            store = CheckpointStore(home / "checkpoints", settings.checkpoints_kept) if home is not None else None
            quarantine = Quarantine(home / "quarantine" if home is not None else None, settings.quarantine_rows)
            self._env = Environment(
                base or home or Path.cwd(),
                self.clock,
                settings,
                store,
                quarantine,
                self.metrics,
                self._log,
                home / "history" if home is not None else None,
                lambda: self.plan(),
            )
            manifest = self._load()
        except BaseException:
            if self._own_project and self.project is not None:
                self.project.close()
            raise
        self._run = Run(self._env, manifest)
        self._checkpointer = Checkpointer(self._run)
        self._last_checkpoint = self.clock.monotonic()
        self.views.together = self._together
        self.views.add(q.as_view(quarantine, lambda: self._run.graph.steps))

    def _load(self) -> Manifest | None:
        store = self._env.store
        manifest = store.latest() if store is not None else None
        if store is not None:
            self.notes.extend(store.notes)
        self._env.quarantine.restore(manifest.quarantine if manifest is not None else {})
        self._env.quarantine.prune([manifest.quarantine] if manifest is not None else [])
        return manifest

    def _log(self) -> IntakeLog:
        with self._lock:
            if self._intake_log is None:
                if self.project is not None:
                    folder = self.project / "intake"
                else:
                    folder = self._temporary = Path(tempfile.mkdtemp(prefix="deras-intake-"))
                self._intake_log = IntakeLog(folder, self.clock, keep_history=self._env.settings.keep_history)
            return self._intake_log

    # ---- what was before

    @property
    def settings(self) -> JobSettings:
        """The settings now."""
        return self._env.settings

    def configure(self, texts: Mapping[str, str]) -> None:
        """Apply ``SET`` texts; other keys are left alone. Sizes of a running job hold from its next restart."""
        self._env.settings = self._env.settings.updated(texts)
        self._event.set()

    @property
    def saved_plan(self) -> dict[str, Any] | None:
        """What the session put into the checkpoint that this job goes on from; None if it begins anew."""
        return self._run.manifest.plan if self._run.manifest is not None else None

    @property
    def restored_epoch(self) -> int | None:
        """The epoch of that checkpoint."""
        return self._run.manifest.epoch if self._run.manifest is not None else None

    # ---- dataflows

    def attach(self, dataflow: Dataflow, on_changes: Callable[[Changes], None] | None = None) -> Attached:
        """Add a dataflow, between two steps.

        Before ``start`` tables are shared by all that read them. Later, a table that can be read again is read from its
        beginning for the new flow; another one is shared, and ``notes`` of the result say from when it counts.

        Args:
            dataflow: what the planner made.
            on_changes: called with every :class:`Changes`, from the first on, by the thread that steps. For a view it
                must not block; a query's may, and holds everything back.

        Raises:
            DerasError: a connector refuses; nothing is attached.
        """
        return self.attach_all([dataflow], [on_changes])[0]

    def attach_all(
        self, dataflows: Sequence[Dataflow], listeners: Sequence[Callable[[Changes], None] | None] = ()
    ) -> list[Attached]:
        """Add several dataflows that begin together and share their tables (a statement set)."""
        with self._lock:
            self._check_alive()
            made: list[Attached] = []
            for i, d in enumerate(dataflows):
                self._ids += 1
                key = make_flow_key(d, {f.key for f in [*self._flows.values(), *made]})
                flow = Attached(self._ids, key, d)
                flow.attached_at = self.clock.now()
                if i < len(listeners) and (callback := listeners[i]) is not None:
                    flow.listen(callback)
                made.append(flow)
            try:
                self._attach(self._run, made)
            except BaseException:
                for flow in made:
                    self._drop(self._run, flow)
                raise
            for flow in made:
                self._flows[flow.id] = flow
                self._checkpointer.adopt(flow)
                if flow.kind == "view":
                    self._publish(flow)
            if self.state == "running":
                self._run.intake.update(self._run.sources.values())
            self._event.set()
            return made

    def _attach(self, run: Run, flows: Sequence[Attached]) -> None:
        def insert(flow: Attached) -> None:
            added = run.prepare(flow)
            if run.started:
                for s in added.sources:
                    s.listen()
            try:
                run.stepper.between(lambda: run.add(added))
            except BaseException:
                for s in added.sources:
                    s.close()
                raise

        for flow in flows:
            insert(flow)
        if run.started:
            run.stepper.between(lambda: run.step_now())  # first rows of views that are read

    def _drop(self, run: Run, flow: Attached) -> None:
        try:
            gone = run.stepper.between(lambda: run.remove(flow))
        except Stopped:
            gone = []
        run.intake.update(run.sources.values())
        for s in gone:
            s.close()
        if flow.sink is not None:
            flow.sink.close()

    def _publish(self, flow: Attached) -> None:
        d = flow.dataflow
        self.views.add(
            View(flow.name, d.target.schema, lambda: self._run.snapshot(flow), d.target.comment, d.append_only)
        )

    def detach(self, id_: int) -> None:
        """Take a dataflow away, between two steps; its state goes with the next checkpoint.

        A sink's rows so far are committed first.

        Raises:
            PlanError: a view that others read.
        """
        with self._lock:
            flow = self._flows.get(id_)
            if flow is None:
                return
            if flow.kind == "view" and any(
                flow.name in f.dataflow.views for f in self._flows.values() if f is not flow
            ):
                self._run.stepper.between(lambda: self._run.remove(flow))  # raises the reason
            if self.state == "running" and flow.kind == "sink" and not flow.finished:
                self.checkpoint()
            self._drop(self._run, flow)
            del self._flows[id_]
            if flow.kind == "view":
                self.views.remove(flow.name)
            flow.end(self._run.graph.steps, MIN_WATERMARK)
            self._event.set()

    @property
    def flows(self) -> list[Attached]:
        """Everything attached, in order."""
        return list(self._flows.values())

    def flow(self, name: str) -> Attached | None:
        """The view, sink or query of a name."""
        return next((f for f in self._flows.values() if f.name == name), None)

    def tables(self) -> dict[str, Source]:
        """The sources being read, by table (for the HTTP door)."""
        return {s.table: s.source for s in list(self._run.sources.values())}

    def subscribe(
        self, target: int | str, callback: Callable[[Changes], None], *, snapshot: bool = False
    ) -> Subscription:
        """Hear of every change of a target.

        Args:
            target: id or name.
            callback: called by the stepping thread; must be quick. One that raises is cut off.
            snapshot: also take the view's rows at the moment at which the changes begin (``.snapshot``).
        """
        flow = self._flows.get(target) if isinstance(target, int) else self.flow(target)
        if flow is None:
            self.views.view(str(target))  # raises with "did you mean"
            raise InternalError(f"'{target}' has no changes to subscribe to")

        def begin() -> Subscription:
            s = flow.listen(callback)
            if snapshot:
                s.snapshot = self.views.view(flow.name).snapshot()
            return s

        try:
            found: Subscription = self._run.stepper.between(begin)
        except Stopped:
            return begin()
        return found

    def _together(self, fn: Callable[[], Any]) -> Any:
        try:
            return self._run.stepper.between(fn, timeout=2.0)
        except (Stopped, ExternalError):
            return fn()  # a blocked step must not block readers: each snapshot is whole in itself

    # ---- life

    def start(self) -> None:
        """Begin, or go on from the checkpoint. Twice is fine."""
        with self._lock:
            if self.state == "running":
                return
            self._check_alive()
            self._switching.on()
            self._begin(self._run)
            self.state = "running"
            self._supervisor = threading.Thread(target=self._supervise, name="deras-job", daemon=True)
            self._supervisor.start()

    def _begin(self, run: Run) -> None:
        run.on_progress = self._event.set
        run.stepper.on_error = lambda _: self._event.set()
        self._last_checkpoint = self.clock.monotonic()
        run.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until everything attached has ended, committed included; tells whether it has.

        Raises:
            DerasError: the job failed.
        """
        left = timeout
        for flow in self.flows:
            began = self.clock.monotonic()
            if not flow.wait(left):
                return False
            if left is not None:
                left = max(0.0, left - (self.clock.monotonic() - began))
        if self.error is not None:
            raise self.error
        return True

    def checkpoint(self) -> int:
        """Make one now; gives its epoch when it is durable and committed.

        Raises:
            DerasError: it failed; the job goes on.
        """
        try:
            return self._checkpointer.make()
        except Stopped:
            raise self.error or InternalError("the job is not running") from None

    def stop(self, drain: bool = True, timeout: float = 30.0) -> None:
        """End: read no more, apply what was read, make a last checkpoint, commit, free everything. Twice is fine.

        Args:
            drain: False: no last checkpoint (what came since the last one is read again at the next start).
            timeout: seconds for what is in flight.

        Raises:
            DerasError: the last checkpoint failed; everything is freed nevertheless.
        """
        with self._lock:
            if self.state == "stopped":
                return
            was, self.state = self.state, "stopped"
            self._stop = True
            self._event.set()
        supervisor = self._supervisor
        if supervisor is not None and supervisor is not threading.current_thread():
            supervisor.join(timeout)
        failed: DerasError | None = None
        if was == "running" and drain and self._run.stepper.error is None:
            self._run.intake.halt(timeout)
            try:
                self._checkpointer.make()
            except Stopped:
                pass
            except DerasError as e:
                failed = e
        self._close()
        for flow in self.flows:
            flow.end(self._run.graph.steps, self._run.watermark(flow), None)
        if failed is not None:
            raise failed

    def _close(self) -> None:
        self._run.close()
        worker = self._checkpointing
        if worker is not None and worker is not threading.current_thread():
            worker.join(10.0)
        if self._intake_log is not None:
            self._intake_log.close()
            self._intake_log = None
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
        if self._own_project and self.project is not None:
            self.project.close()
        self._switching.off()

    def __enter__(self) -> Job:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        self.stop(drain=kind is None)

    def _check_alive(self) -> None:
        if self.state == "failed" and self.error is not None:
            raise self.error
        if self.state == "stopped":
            raise InternalError("the job is stopped")

    # ---- the supervisor

    def _supervise(self) -> None:
        discovered: dict[str, float] = {}
        while not self._stop:
            try:
                self._event.wait(self._until_due(discovered))
                self._event.clear()
                if self._stop:
                    return
                run = self._run
                if run.stepper.error is not None:
                    self._failed(run.stepper.error)
                    if self.state == "failed":
                        return
                    continue
                if run.due() == 0.0:
                    run.stepper.between(run.tick)
                self._discover(discovered)
                self._checkpoint_if_due()
                if run.retired and not self._busy:
                    run.free_retired()
            except Stopped:
                continue
            except BaseException as e:  # noqa: BLE001 (the supervisor itself must end in an error that is seen)
                self._run.stepper.fail(e)

    def _until_due(self, discovered: dict[str, float]) -> float:
        if self._run.stepper.error is not None:
            return 0.0
        times = [60.0]
        if (due := self._run.due()) is not None:
            times.append(due)
        now = self.clock.monotonic()
        interval = self._env.settings.checkpoint_interval_ms
        if interval is not None and not self._busy:
            times.append(self._last_checkpoint + interval / 1000 - now)
        sources = [(s.name, s.source.discovery) for s in list(self._run.sources.values())]
        times += [discovered.setdefault(n, now + d) - now for n, d in sources if d is not None]
        left = max(0.0, min(times))
        # A virtual clock does not wake anybody: look often.
        return left if isinstance(self.clock, SystemClock) else min(left, 0.01)

    def _discover(self, discovered: dict[str, float]) -> None:
        now = self.clock.monotonic()
        for s in list(self._run.sources.values()):
            if s.source.discovery is not None and discovered.get(s.name, now + 1) <= now:
                discovered[s.name] = now + s.source.discovery
                self._run.discover(s)

    @property
    def _busy(self) -> bool:
        return self._checkpointing is not None and self._checkpointing.is_alive()

    def _checkpoint_if_due(self) -> None:
        if self._busy:
            return
        now = self.clock.monotonic()
        interval = self._env.settings.checkpoint_interval_ms
        ended = any(f.done and not f.finished for f in self._run.flows)
        wait = min(1.0, 0.05 * 2**self._checkpointer.failures) if self._checkpointer.failures else 0.0
        due = interval is not None and now - self._last_checkpoint >= interval / 1000
        if not due and not (ended and now - self._last_checkpoint >= wait):
            return
        self._last_checkpoint = now
        if not ended and not self._checkpointer.needed():
            return
        self._checkpointing = threading.Thread(target=self._make_one, name="deras-checkpoint", daemon=True)
        self._checkpointing.start()

    def _make_one(self) -> None:
        try:
            self._checkpointer.make()
            self._attempts = 0
        except (Stopped, DerasError):
            pass  # counted, logged and tried again
        except BaseException as e:  # noqa: BLE001 (a fault of ours: the job must not go on without checkpoints in silence)
            self._run.stepper.fail(e)
        finally:
            self._event.set()

    # ---- trouble

    def _failed(self, error: BaseException) -> None:
        e = as_deras_error(error)
        self._run.close()
        if self._busy and self._checkpointing is not None:
            self._checkpointing.join(30.0)
        while True:
            s = self._env.settings
            again = e.domain is Domain.EXTERNAL and e.retry == "backoff" and self._env.store is not None
            if not again or self._attempts >= s.restart_attempts or self._stop:
                self._give_up(e)
                return
            wait = min(s.restart_max_ms, s.restart_initial_ms * 2**self._attempts)
            self._attempts += 1
            self.state = "restarting"
            note = f"restarting in {duration_text(wait)}: {e.message}"
            self.notes.append(note)
            _log.warning("%s", note)
            self.metrics.restarts.inc()
            if self._pause(wait / 1000):
                self._give_up(e)
                return
            try:
                self._restart(e)
                self.state = "running"
                return
            except Exception as again_error:  # noqa: BLE001 (judged by its domain in the next round)
                e = as_deras_error(again_error)

    def _pause(self, seconds: float) -> bool:
        until = self.clock.monotonic() + seconds
        while not self._stop and (left := until - self.clock.monotonic()) > 0:
            self._event.clear()
            self._event.wait(left if isinstance(self.clock, SystemClock) else 0.01)
        return self._stop

    def _restart(self, cause: DerasError) -> None:
        with self._lock:
            manifest = self._load()
            run = Run(self._env, manifest)
            flows = [f for f in self._flows.values() if f.durable]
            for f in [f for f in self._flows.values() if not f.durable]:
                f.end(self._run.graph.steps, MIN_WATERMARK, cause)
                del self._flows[f.id]
            for f in flows:
                f.begin_run()
            try:
                self._attach(run, flows)
            except BaseException:
                run.close()
                raise
            self._run = run
            self._checkpointer = Checkpointer(run)
            for f in flows:
                self._checkpointer.adopt(f)
                f.listeners.send(Changes(None, run.graph.steps, run.watermark(f), reset=True))
            self._begin(run)

    def _give_up(self, e: DerasError) -> None:
        self.error = e
        self.state = "failed"
        _log.error("the job failed: %s", e.message)
        for flow in self.flows:
            flow.end(self._run.graph.steps, MIN_WATERMARK, e)

    # ---- asking

    @property
    def errors(self) -> list[DerasError]:
        """What is wrong now: the job's failure, or the last checkpoint's."""
        return [e for e in (self.error, self._checkpointer.last_error) if e is not None]

    def status(self) -> dict[str, Any]:
        """Everything about the job now, as JSON: state, rates, sources with parts, operators, flows, checkpoints."""
        return job_status(self._run, self._checkpointer, self.flows, self._together) | {
            "state": self.state,
            "error": None if self.error is None else self.error.to_json(),
            "notes": list(self.notes),
        }

    def why_silent(self, name: str) -> str:
        """Why a view or sink gives no output now, as a sentence; "" if nothing seems to hold it back."""
        flow = self.flow(name)
        return "" if flow is None else why_silent(self._run, flow)

    def watermark(self, name: str) -> int | None:
        """Of a view or sink, ms; None before the first and after the end of the input."""
        flow = self.flow(name)
        at = MIN_WATERMARK if flow is None else self._run.watermark(flow)
        return None if at in (MIN_WATERMARK, MAX_WATERMARK) else at

    def metrics_text(self) -> bytes:
        """The metrics in Prometheus' text format."""
        fill_metrics(self.metrics, self._run, self.flows, self._together, self._intake_log)
        return self.metrics.text()
