"""Time: clocks that are given, watermarks, ticks.

Watermarks and ticks count milliseconds since 1970 (UTC for instants, wall time for TIMESTAMP), as Flink's do.
"""

from __future__ import annotations

import threading
import time as _time
from dataclasses import dataclass
from typing import Protocol

MIN_WATERMARK = -(1 << 63)
"""No watermark yet: nothing is late."""
MAX_WATERMARK = (1 << 63) - 1
"""The input has ended: everything may fire."""


class Clock(Protocol):
    """Where the present comes from. Operators and connectors never ask the system."""

    def now(self) -> int:
        """Milliseconds since 1970, UTC."""
        ...

    def now_us(self) -> int:
        """Microseconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait (a virtual clock jumps)."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set or the time is over; tells whether it is set."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """Milliseconds since 1970, UTC."""
        return _time.time_ns() // 1_000_000

    def now_us(self) -> int:
        """Microseconds since 1970, UTC."""
        return _time.time_ns() // 1_000

    def monotonic(self) -> float:
        """Seconds from an arbitrary start."""
        return _time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep in real time."""
        _time.sleep(seconds)  # noqa: TID251 (the one place that may)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for the event in real time."""
        return event.wait(seconds)


class VirtualClock:
    """A clock for tests: stands still until told to move; ``sleep`` jumps."""

    def __init__(self, now_ms: int = 0) -> None:
        self._us = now_ms * 1000
        self._lock = threading.Lock()

    def now(self) -> int:
        """Milliseconds since 1970, UTC."""
        return self._us // 1000

    def now_us(self) -> int:
        """Microseconds since 1970, UTC."""
        return self._us

    def monotonic(self) -> float:
        """Seconds of virtual time."""
        return self._us / 1e6

    def advance(self, milliseconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._us += round(milliseconds * 1000)

    def sleep(self, seconds: float) -> None:
        """Jump ahead."""
        self.advance(seconds * 1000)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Jump ahead unless the event is set."""
        if not event.is_set():
            self.advance(seconds * 1000)
        return event.is_set()


@dataclass(frozen=True, slots=True)
class Watermark:
    """No row with an earlier time is expected. ``idle``: this input is silent and leaves the minimum."""

    at: int = MIN_WATERMARK
    idle: bool = False

    @staticmethod
    def meet(*marks: Watermark) -> Watermark:
        """The watermark of several inputs: the least of those not idle; idle if all are."""
        active = [m.at for m in marks if not m.idle]
        if active:
            return Watermark(min(active))
        return Watermark(max((m.at for m in marks), default=MIN_WATERMARK), idle=True)


@dataclass(frozen=True, slots=True)
class Tick:
    """The moment of a step, as one operator sees it.

    Args:
        epoch: number of the checkpoint epoch that the step belongs to.
        now: processing time, ms.
        low: the operator's input watermark before the step: rows below may be late.
        high: its input watermark at the end of the step: windows that end at or before ``high + 1`` fire.
        step: number of the step since the job began.
    """

    epoch: int = 0
    now: int = 0
    low: int = MIN_WATERMARK
    high: int = MIN_WATERMARK
    step: int = 0
