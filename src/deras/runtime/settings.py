"""What can be set about a running job, read from ``SET`` keys."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from deras.core.errors import OptionError
from deras.core.options import Option

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OPTIONS: tuple[Option, ...] = (
    Option("execution.checkpointing.interval", "duration", "Time between two checkpoints.", 10_000.0),
    Option("deras.checkpoint.interval", "duration", "Time between two checkpoints (our name for it)."),
    Option("deras.checkpoint.kept", "int", "How many checkpoints are kept.", 3),
    Option("deras.on-error", "enum", "What a row that fails does.", "quarantine", choices=("quarantine", "fail")),
    Option("table.exec.source.idle-timeout", "duration", "Silence after which a source part is left out.", 0.0),
    Option("restart-strategy.type", "enum", "What an outside failure does.", "exponential-delay",
           choices=("exponential-delay", "fixed-delay", "none", "off", "disable")),
    Option("restart-strategy.exponential-delay.initial-backoff", "duration", "First wait.", 1_000.0),
    Option("restart-strategy.exponential-delay.max-backoff", "duration", "Longest wait.", 60_000.0),
    Option("restart-strategy.exponential-delay.attempts-before-reset-backoff", "int", "Tries in a row.", 10),
    Option("restart-strategy.fixed-delay.delay", "duration", "Wait between tries.", 1_000.0),
    Option("restart-strategy.fixed-delay.attempts", "int", "Tries in a row.", 1),
    Option("parallelism.default", "int", "Worker threads."),
    Option("deras.workers", "int", "Worker threads; 0 chooses by the number of cores.", 0),
    Option("deras.step.max-rows", "int", "Most rows in one step.", 65_536),
    Option("deras.step.max-bytes", "memory", "Most raw bytes in one step.", 16 << 20),
    Option("deras.intake.keep-history", "bool", "Keep what came through the intake log after the checkpoint.", False),
    Option("deras.views.retain", "int", "Rows of an append-only view kept in memory.", 1_000_000),
    Option("deras.history.retention", "duration", "Age after which history files go; absent: never."),
)  # fmt: skip


def nothing(_: str) -> None:
    """The crash point of normal life."""


@dataclass(frozen=True, slots=True)
class JobSettings:
    """Settings of a job.

    Args:
        checkpoint_interval_ms: time between checkpoints; None: only on demand and at the end.
        checkpoints_kept: how many stay on disk.
        workers: threads that read, decode and step; default: the cores, at most 4.
        step_rows: most rows in one step.
        step_bytes: most raw bytes in one step.
        step_ms: aim for the longest step.
        block_bytes: most bytes asked of a reader at once.
        idle_timeout_ms: silence after which a part leaves the watermark's minimum; 0: never.
        on_error: rows that fail go to quarantine, or the job fails.
        restart_attempts: restarts in a row without a finished checkpoint between them.
        restart_initial_ms: first wait; doubled each time.
        restart_max_ms: longest wait.
        keep_history: whether the intake log keeps what is in a checkpoint, so that later views can be filled from it.
        retain_rows: rows of an append-only view in memory; older ones go to Parquet.
        history_retention_ms: age at which history files are removed; None: never.
        quarantine_rows: rows of quarantine in memory before they go to a file (with a folder) or are let go, counted.
        state_file_bytes: chains of increments below this are not worth rewriting.
        crash_point: called with the name of each act of a checkpoint; tests kill the process there.
    """

    checkpoint_interval_ms: float | None = 10_000.0
    checkpoints_kept: int = 3
    workers: int | None = None
    step_rows: int = 65_536
    step_bytes: int = 16 << 20
    step_ms: float = 20.0
    block_bytes: int = 4 << 20
    idle_timeout_ms: float = 0.0
    on_error: Literal["quarantine", "fail"] = "quarantine"
    restart_attempts: int = 10
    restart_initial_ms: float = 1_000.0
    restart_max_ms: float = 60_000.0
    keep_history: bool = False
    retain_rows: int = 1_000_000
    history_retention_ms: float | None = None
    quarantine_rows: int = 100_000
    state_file_bytes: int = 1 << 20
    crash_point: Callable[[str], None] = field(default=nothing, compare=False)

    @property
    def threads(self) -> int:
        """Worker threads, the default resolved."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.workers if self.workers is not None and self.workers > 0 else max(1, min(cores, 4))

    @property
    def in_flight(self) -> int:
        """Decoded batches that may wait for their step."""
        return max(2, 2 * self.threads)

    def updated(self, texts: Mapping[str, str]) -> JobSettings:
        """These settings with ``SET`` texts applied; keys that are not a job's are left alone.

        Raises:
            OptionError: a value that cannot be read.
        """
        values: dict[str, Any] = {}
        for name, text in texts.items():
            option = next((o for o in OPTIONS if o.name == name), None)
            if option is None:
                continue
            try:
                values[name] = option.read(text)
            except ValueError as e:
                raise OptionError(f"setting '{name}': {e}", hint=option.help) from None
        made = self
        interval = values.get("deras.checkpoint.interval", values.get("execution.checkpointing.interval"))
        if interval is not None:
            made = replace(made, checkpoint_interval_ms=interval or None)
        names = {
            "deras.checkpoint.kept": "checkpoints_kept",
            "deras.on-error": "on_error",
            "table.exec.source.idle-timeout": "idle_timeout_ms",
            "restart-strategy.exponential-delay.initial-backoff": "restart_initial_ms",
            "restart-strategy.exponential-delay.max-backoff": "restart_max_ms",
            "restart-strategy.exponential-delay.attempts-before-reset-backoff": "restart_attempts",
            "parallelism.default": "workers",
            "deras.workers": "workers",
            "deras.step.max-rows": "step_rows",
            "deras.step.max-bytes": "step_bytes",
            "deras.views.retain": "retain_rows",
            "deras.intake.keep-history": "keep_history",
            "deras.history.retention": "history_retention_ms",
        }
        made = replace(made, **{names[k]: v for k, v in values.items() if k in names})
        kind = values.get("restart-strategy.type")
        if kind in ("none", "off", "disable"):
            made = replace(made, restart_attempts=0)
        elif kind == "fixed-delay":
            delay = values.get("restart-strategy.fixed-delay.delay", 1_000.0)
            tries = values.get("restart-strategy.fixed-delay.attempts", 1)
            made = replace(made, restart_initial_ms=delay, restart_max_ms=delay, restart_attempts=tries)
        return made


def duration_text(ms: float) -> str:
    """A duration for people: ``3.2 s``, ``2 min 5 s``."""
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(int(ms / 1000), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


__all__ = ["OPTIONS", "JobSettings", "duration_text", "nothing"]
