"""The settings of ``SET 'key' = 'value'``: what is known, what is accepted and ignored, what is wrong."""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, available_timezones

from deras.core.errors import OptionError, did_you_mean
from deras.core.options import Option

if TYPE_CHECKING:
    from collections.abc import Mapping


def _zone(text: str) -> str | None:
    if text == "default":
        return None
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        near = did_you_mean(text, available_timezones())
        return f"there is no time zone {text!r}" + (f"; {near}" if near else "")
    return None


KNOWN: tuple[Option, ...] = (
    Option(
        "table.local-time-zone",
        "string",
        "The session's time zone, for example 'Asia/Jakarta'.",
        "default",
        check=_zone,
    ),
    Option(
        "execution.runtime-mode",
        "enum",
        "Streaming, or batch (final rows only).",
        "streaming",
        choices=("streaming", "batch"),
    ),
    Option(
        "table.exec.state.ttl", "duration", "Idle state of keys is dropped after this time; 0 keeps it for ever.", 0.0
    ),
    Option(
        "table.exec.source.idle-timeout",
        "duration",
        "A source silent for so long leaves the minimum of watermarks; 0: never.",
        0.0,
    ),
    Option(
        "table.exec.source.cdc-events-duplicate",
        "bool",
        "Changelog sources may give a change twice: keep the last row of each PRIMARY KEY.",
        False,
    ),
    Option(
        "table.exec.sink.not-null-enforcer",
        "enum",
        "NULL in a NOT NULL column of a sink: error or drop.",
        "ERROR",
        choices=("ERROR", "DROP"),
    ),
    Option(
        "table.exec.sink.type-length-enforcer",
        "enum",
        "Too long text in a sink.",
        "IGNORE",
        choices=("IGNORE", "TRIM_PAD", "ERROR"),
    ),
    Option(
        "table.exec.sink.upsert-materialize",
        "enum",
        "Whether sinks get a materialiser.",
        "AUTO",
        choices=("AUTO", "NONE", "FORCE"),
    ),
    Option(
        "table.optimizer.reuse-sub-plan-enabled",
        "bool",
        "Equal parts of a plan are computed once.",
        True,
    ),
    Option(
        "table.optimizer.source.predicate-pushdown-enabled",
        "bool",
        "Sources are told of filters, so that they can leave out what no reader needs.",
        True,
    ),
    Option("deras.optimizer.key-joins", "bool", "A join on a unique key forgets rows that found their partner.", True),
    Option(
        "deras.optimizer.marks",
        "bool",
        "A filter of a unique key leaves marks: nobody waits for what it excludes.",
        True,
    ),
    Option("table.dml-sync", "bool", "INSERT waits until its job ends.", False),
    Option("table.exec.resource.default-parallelism", "int", "Lanes of keyed state.", -1),
    Option("parallelism.default", "int", "Lanes of keyed state.", -1),
    Option("pipeline.name", "string", "The job's name."),
    Option(
        "pipeline.auto-watermark-interval", "duration", "Deras judges lateness per row (0 ms) whatever is set.", 0.0
    ),
    Option("pipeline.object-reuse", "bool", "Of no effect.", False),
    Option("execution.checkpointing.interval", "duration", "Time between two checkpoints."),
    Option(
        "execution.checkpointing.mode",
        "enum",
        "Always exactly once.",
        "EXACTLY_ONCE",
        choices=("EXACTLY_ONCE", "AT_LEAST_ONCE"),
    ),
    Option("deras.checkpoint.interval", "duration", "Time between two checkpoints.", 10_000.0),
    Option(
        "deras.on-error",
        "enum",
        "Rows that fail: into quarantine, or end the job.",
        None,
        choices=("quarantine", "fail"),
    ),
    Option("table.exec.emit.early-fire.enabled", "bool", "Windows also give their results so far.", False),
    Option("table.exec.emit.early-fire.delay", "duration", "Time between results so far; 0: with every row."),
    Option("deras.strict-flink", "bool", "Refuse what is not Flink's.", False),
    Option("deras.idle-advance", "bool", "While a table is idle its watermark goes on with the clock.", False),
    Option("deras.step.max-rows", "int", "Most rows in one step.", 65_536),
    Option("deras.step.max-bytes", "memory", "Most input bytes in one step.", 16 << 20),
    Option("deras.workers", "int", "Threads that decode; 0 chooses by the number of cores.", 0),
    Option("deras.views.retain", "int", "Rows of an append-only view that stay in memory.", 1_000_000),
)

# Families of Flink's settings that mean nothing here and harm nobody.
ACCEPTED = (
    "sql-client.",
    "pipeline.",
    "execution.",
    "table.exec.mini-batch.",
    "table.optimizer.",
    "table.exec.",
    "table.plan.",
    "table.generated-code.",
    "table.catalog",
    "table.builtin-",
    "table.display.",
    "table.sql-dialect",
    "table.column-expansion-strategy",
    "table.rtas-ctas.",
    "taskmanager.",
    "jobmanager.",
    "state.",
    "restart-strategy",
    "rest.",
    "cluster.",
    "metrics.",
    "python.",
    "parallelism.",
    "high-availability",
    "security.",
    "yarn.",
    "kubernetes.",
    "$internal.",
    "table.resources.",
    "web.",
    "client.",
    "env.",
)
_BY_NAME = {o.name: o for o in KNOWN}


class Settings:
    """The session's settings: typed values by name, and the texts that were set."""

    def __init__(self, texts: Mapping[str, str] | None = None) -> None:
        self.texts: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        for k, v in (texts or {}).items():
            self.set(k, v)

    def set(self, key: str, value: str) -> list[str]:
        """Set one; gives warnings.

        Raises:
            OptionError: an unknown ``deras.*`` key or a wrong value.
        """
        option = _BY_NAME.get(key)
        if option is not None:
            try:
                self._values[key] = option.read(value)
            except ValueError as e:
                raise OptionError(f"setting '{key}': {e}", hint=option.help) from None
            self.texts[key] = value
            return []
        hint = did_you_mean(key, _BY_NAME)
        if key.startswith("deras."):
            known = ", ".join(k for k in _BY_NAME if k.startswith("deras."))
            raise OptionError(f"there is no setting '{key}'", hint=hint or f"Known: {known}.")
        self.texts[key] = value
        if key.startswith(ACCEPTED):
            return []
        return [f"setting '{key}' is unknown and has no effect. {hint}".rstrip()]

    def reset(self, key: str | None = None) -> None:
        """Back to the default: one key, or all."""
        if key is None:
            self.texts.clear()
            self._values.clear()
        else:
            self.texts.pop(key, None)
            self._values.pop(key, None)

    def get(self, key: str) -> Any:
        """The value of a known setting, or its default."""
        if key in self._values:
            return self._values[key]
        return _BY_NAME[key].default

    def copy(self) -> Settings:
        """An independent copy."""
        other = Settings()
        other.texts, other._values = dict(self.texts), dict(self._values)
        return other

    @property
    def zone(self) -> str:
        """The session's time zone by name."""
        zone = self.get("table.local-time-zone")
        return local_zone() if zone == "default" else str(zone)

    @property
    def batch(self) -> bool:
        """Whether only final rows are wanted."""
        return bool(self.get("execution.runtime-mode") == "batch")

    @property
    def reuse_subplans(self) -> bool:
        """Whether equal parts of a plan are one."""
        return bool(self.get("table.optimizer.reuse-sub-plan-enabled"))

    @property
    def push_filters(self) -> bool:
        """Whether sources are told of filters."""
        return bool(self.get("table.optimizer.source.predicate-pushdown-enabled"))

    @property
    def strict_flink(self) -> bool:
        """Whether what is ours is refused."""
        return bool(self.get("deras.strict-flink"))

    @property
    def on_error(self) -> str:
        """``quarantine``, or ``fail``, which is the default under strict-flink."""
        return self.get("deras.on-error") or ("fail" if self.strict_flink else "quarantine")

    @property
    def checkpoint_interval_ms(self) -> float:
        """Time between two checkpoints; ours wins over Flink's key."""
        if "deras.checkpoint.interval" not in self._values and "execution.checkpointing.interval" in self._values:
            return float(self._values["execution.checkpointing.interval"])
        return float(self.get("deras.checkpoint.interval"))

    @property
    def state_ttl_ms(self) -> float:
        """Idle state lives so long; 0: for ever."""
        return float(self.get("table.exec.state.ttl"))


@functools.cache
def local_zone() -> str:
    """The machine's zone by name, UTC if it has none."""
    candidates = [os.environ.get("TZ", "").lstrip(":")]
    with contextlib.suppress(OSError):
        candidates.append(Path("/etc/timezone").read_text(encoding="utf-8").strip())
    with contextlib.suppress(OSError):
        candidates.append(str(Path("/etc/localtime").resolve()).partition("zoneinfo/")[2])
    for name in candidates:
        if name and _zone(name) is None and name != "default":
            return name
    return "UTC"
