"""Numbers of a job: counted per step, never per row; told to Prometheus and to ``status``."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from collections.abc import Iterable

_STEP = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0)
_DELAY = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
_PAUSE = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0)


class Metrics:
    """The metrics of one job, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = r = CollectorRegistry()
        self.steps = Counter("deras_steps", "Steps made.", registry=r)
        self.step_seconds = Histogram("deras_step_seconds", "Time of a step.", buckets=_STEP, registry=r)
        self.delay_seconds = Histogram(
            "deras_event_to_view_seconds", "From read to applied to every view and sink.", buckets=_DELAY, registry=r
        )
        self.source_rows = Counter("deras_source_rows", "Records read.", ["table"], registry=r)
        self.source_bytes = Counter("deras_source_bytes", "Raw bytes read.", ["table"], registry=r)
        self.source_skipped = Gauge(
            "deras_source_skipped", "Left out for filters since it was opened.", ["table", "what"], registry=r
        )
        self.rejected = Counter("deras_rejected_rows", "Rows put in quarantine.", ["table", "reason"], registry=r)
        self.target_rows = Counter("deras_target_rows", "Changes that reached a target.", ["kind", "name"], registry=r)
        self.operator_in = Gauge("deras_operator_rows_in", "Rows into an operator.", ["node", "operator"], registry=r)
        self.operator_out = Gauge("deras_operator_rows_out", "Rows out of one.", ["node", "operator"], registry=r)
        self.operator_dropped = Gauge(
            "deras_operator_dropped", "Rows rejected in one.", ["node", "operator"], registry=r
        )
        self.state_bytes = Gauge("deras_state_bytes", "State of an operator.", ["node", "operator"], registry=r)
        self.state_keys = Gauge("deras_state_keys", "Keys in its state.", ["node", "operator"], registry=r)
        self.state_expired = Gauge(
            "deras_state_expired", "Keys and rows that state TTL made it forget.", ["node", "operator"], registry=r
        )
        self.watermark_lag = Gauge(
            "deras_watermark_lag_seconds", "How far a target's watermark is behind the clock.", ["name"], registry=r
        )
        self.queue = Gauge("deras_queue_batches", "Decoded batches that wait for their step.", registry=r)
        self.backlog = Gauge("deras_intake_backlog_bytes", "Logged and not yet read.", ["table"], registry=r)
        self.checkpoints = Counter("deras_checkpoints", "Checkpoints finished.", registry=r)
        self.checkpoints_failed = Counter("deras_checkpoints_failed", "Checkpoints that failed.", registry=r)
        self.checkpoint_seconds = Histogram(
            "deras_checkpoint_seconds", "Time of a checkpoint, writing included.", registry=r
        )
        self.checkpoint_pause = Histogram(
            "deras_checkpoint_pause_seconds", "Time that steps waited for one.", buckets=_PAUSE, registry=r
        )
        self.checkpoint_bytes = Gauge("deras_checkpoint_bytes", "Bytes written by the last one.", registry=r)
        self.restarts = Counter("deras_restarts", "Restarts from a checkpoint.", registry=r)
        self._tables: dict[str, tuple[Any, Any]] = {}
        self._delays: deque[float] = deque(maxlen=2048)
        self._rates: deque[tuple[float, int]] = deque(maxlen=256)
        self._rows = 0

    def read(self, table: str, rows: int, size: int) -> None:
        """Records that went into a step."""
        held = self._tables.get(table)
        if held is None:
            held = self._tables[table] = (self.source_rows.labels(table), self.source_bytes.labels(table))
        held[0].inc(rows)
        held[1].inc(size)
        self._rows += rows

    def stepped(self, seconds: float, at: float) -> None:
        """A step is done (``at``: monotonic seconds)."""
        self.steps.inc()
        self.step_seconds.observe(seconds)
        if not self._rates or at - self._rates[-1][0] >= 0.1:
            self._rates.append((at, self._rows))

    def delayed(self, seconds: float) -> None:
        """Time from reading a batch to its being everywhere."""
        self.delay_seconds.observe(seconds)
        self._delays.append(seconds)

    def rate(self, now: float, over: float = 5.0) -> float:
        """Records a second in the last seconds."""
        while len(self._rates) > 1 and self._rates[0][0] < now - over:
            self._rates.popleft()
        if not self._rates:
            return 0.0
        at, rows = self._rates[0]
        return (self._rows - rows) / max(now - at, 0.1) if now - at < 2 * over else 0.0

    def delays(self) -> dict[str, float | None]:
        """Milliseconds: p50 and p99 of the last batches."""
        some = sorted(self._delays)
        if not some:
            return {"p50": None, "p99": None}
        return {"p50": some[len(some) // 2] * 1e3, "p99": some[min(len(some) - 1, len(some) * 99 // 100)] * 1e3}

    def skipped(self, facts: Iterable[tuple[str, dict[str, int]]]) -> None:
        """Fill what sources left out, by table (sources of one table together)."""
        self.source_skipped.clear()
        for table, found in facts:
            for what, n in found.items():
                self.source_skipped.labels(table, what).inc(n)

    def operators(self, facts: Iterable[dict[str, Any]]) -> None:
        """Fill the gauges that are only looked at when asked for."""
        for gauge in (
            self.operator_in,
            self.operator_out,
            self.operator_dropped,
            self.state_bytes,
            self.state_keys,
            self.state_expired,
        ):
            gauge.clear()
        for f in facts:
            labels = (str(f["id"]), str(f["label"]))
            self.operator_in.labels(*labels).set(f["rows_in"])
            self.operator_out.labels(*labels).set(f["rows_out"])
            self.operator_dropped.labels(*labels).set(f["dropped"])
            self.state_bytes.labels(*labels).set(f["state_bytes"])
            self.state_keys.labels(*labels).set(f["state_keys"])
            self.state_expired.labels(*labels).set(f["expired"])

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)
