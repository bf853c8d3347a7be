"""Process functions over partitioned tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deras.sql.plan.rel import Place, Unary

if TYPE_CHECKING:
    from deras.sql.functions.process import UserProcess


@dataclass(frozen=True, slots=True)
class Process(Unary):
    """A process function: the keys, what it gives and, with ``time``, the event time as ``rowtime``."""

    keys: tuple[int, ...]
    time: int | None
    function: UserProcess
    args: tuple[tuple[str, Any], ...] = ()

    def through(self) -> Place:
        """The keys."""
        return dict(enumerate(self.keys))

    def describe(self) -> str:
        """Function, keys, time, arguments."""
        below = self.input.schema.names
        parts = [f"by: [{', '.join(below[k] for k in self.keys)}]"]
        if self.time is not None:
            parts.append(f"time: {below[self.time]}")
        parts += [f"{k}: {v}" for k, v in self.args]
        return f"Process({self.function}, {', '.join(parts)})"

    def kept(self) -> str:
        """What the function wants."""
        return "what the function keeps of each key, and its timers"
