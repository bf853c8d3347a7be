"""Threads that read: the next block by ticket, decoded at once, applied in order by whoever is free."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from deras.core.time import MIN_WATERMARK
from deras.runtime.allocator import keep_freed_memory
from deras.runtime.sources import Batch
from deras.runtime.stepper import Stopped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deras.core.time import Clock
    from deras.runtime.settings import JobSettings
    from deras.runtime.sources import Part, SourceNode
    from deras.runtime.stepper import Stepper

_log = logging.getLogger("deras.intake")
_WAIT = 0.25
_MOST_THREADS = 32


class Intake:
    """The reading threads of a run.

    ``workers`` threads take whatever is ready: among the groups of tables that flow together the one that had the least
    time so far, in it the part that is furthest behind in event time. For every part that has nothing at present one
    more thread waits in ``poll``, so that a record that comes is decoded and stepped at once.

    Args:
        stepper: takes the batches.
        settings: sizes.
        clock: the time.
    """

    def __init__(self, stepper: Stepper, settings: JobSettings, clock: Clock) -> None:
        self._stepper = stepper
        self._settings = settings
        self._clock = clock
        self._changed = threading.Condition(threading.RLock())
        self._sources: dict[str, SourceNode] = {}
        self._threads: list[threading.Thread] = []
        self._waiting = 0
        self._turns = 0
        self._spent: dict[int, float] = {}
        self._halt = False
        self._paused = False
        self.block_bytes = settings.block_bytes

    def resize(self, settings: JobSettings) -> None:
        """Other sizes, before :meth:`start`."""
        self._settings, self.block_bytes = settings, settings.block_bytes

    # ---- what is read

    def update(self, sources: Iterable[SourceNode]) -> None:
        """Read these sources from now on."""
        with self._changed:
            self._sources = {s.name: s for s in sources}
            groups = {s.group for s in self._sources.values()}
            least = min((self._spent[g] for g in groups if g in self._spent), default=0.0)
            self._spent = {g: self._spent.get(g, least) for g in groups}
            self._changed.notify_all()
        self._grow()

    def wake(self) -> None:
        """Something may be ready (a part came, a drift closed)."""
        with self._changed:
            self._changed.notify_all()

    def start(self) -> None:
        """Let the threads run."""
        keep_freed_memory()
        self._grow()

    def _grow(self) -> None:
        with self._changed:
            if self._halt:
                return
            parts = [p for s in self._sources.values() for p in s.parts.values()]
            endless = sum(1 for p in parts if p.waits or not p.source.source.bounded)
            target = min(_MOST_THREADS, self._settings.threads + endless)
            new = []
            while len(self._threads) < target:
                t = threading.Thread(target=self._work, name=f"deras-worker-{len(self._threads)}", daemon=True)
                self._threads.append(t)
                new.append(t)
        for t in new:
            t.start()

    def halt(self, timeout: float = 5.0) -> bool:
        """Stop reading and wait for the threads; tells whether all are gone."""
        with self._changed:
            self._halt = True
            self._changed.notify_all()
        me = threading.current_thread()
        for t in self._threads:
            if t is not me and t.is_alive():
                t.join(timeout)
        return not any(t.is_alive() for t in self._threads if t is not me)

    def pause(self, paused: bool) -> None:
        """Take no new blocks for a while (what is in flight goes through)."""
        with self._changed:
            self._paused = paused
            self._changed.notify_all()

    # ---- choosing

    def _choose(self) -> tuple[Part, float] | None:
        """The next part and how long to wait in its poll; None to go home. Marks it busy."""
        with self._changed:
            while True:
                if self._halt or self._stepper.error is not None:
                    return None
                found = None if self._paused else self._pick()
                if found is not None:
                    part, wait = found
                    part.busy = True
                    self._turns += 1
                    part.turn = self._turns
                    if wait:
                        self._waiting += 1
                    return found
                self._changed.wait(1.0)

    def _pick(self) -> tuple[Part, float] | None:
        dry = []
        best: tuple[float, int, int, Part] | None = None
        floors: dict[str, int] = {}
        for s in self._sources.values():
            if s.alignment is not None:
                at = min(
                    (s.part_watermark(p) for p in s.parts.values() if not p.polled_out and not p.idle), default=None
                )
                if at is not None:
                    floors[s.alignment] = min(at, floors.get(s.alignment, at))
        for s in self._sources.values():
            spent = self._spent.get(s.group, 0.0)
            for p in s.parts.values():
                if p.busy or p.polled_out:
                    continue
                if p.dry:
                    dry.append(p)
                    continue
                if best is not None and spent > best[0]:
                    break
                at = s.part_watermark(p)
                if s.alignment is not None and s.max_drift_ms is not None and at != MIN_WATERMARK:
                    floor = floors.get(s.alignment, at)
                    if floor != MIN_WATERMARK and at > floor + s.max_drift_ms:
                        continue
                key = (spent, at, p.turn, p)
                if best is None or key[:3] < best[:3]:
                    best = key
        running = len(self._threads) - self._waiting
        if dry and (best is None or running > self._settings.threads):
            p = min(dry, key=lambda p: p.turn)
            crowd = len(dry) + self._waiting
            share = max(1, len(self._threads) - self._settings.threads)
            return p, _WAIT if crowd <= share else max(0.005, _WAIT * share / crowd)
        return None if best is None else (best[3], 0.0)

    # ---- working

    def _work(self) -> None:
        try:
            while (chosen := self._choose()) is not None:
                self._take(*chosen)
        except Stopped:
            pass
        except BaseException as e:  # noqa: BLE001
            self._stepper.fail(e)
            self.wake()

    def _take(self, part: Part, wait: float) -> None:
        waited = wait > 0
        started = self._clock.monotonic()
        number = -1
        batch: Batch | None = None
        try:
            with part.lock:
                if part.polled_out:
                    return
                reader = part.open()
                records = reader.poll(self.block_bytes, wait)
                if waited:
                    with self._changed:
                        self._waiting -= 1
                    waited = False
                    started = self._clock.monotonic()
                if self._halt:
                    return  # not applied: the next run reads it again
                now_us = self._clock.now_us()
                if records is None:
                    batch = Batch(part, None, ended=True)
                    part.polled_out = True
                elif records.blocks or (records.delta is not None and records.delta.length):
                    size = sum(b.end - b.start for b in records.blocks)
                    batch = Batch(part, records, bytes=size, polled_us=now_us)
                    part.dry = False
                    part.idle = False
                else:
                    part.dry = True
                    if not part.waits:
                        part.waits = True  # a bounded part that paces itself (replay in time)
                        self._grow()
                    moved = records.resume != part.offset and not self._in_flight(part)
                    idle = not part.idle and reader.idle()
                    if idle or moved:
                        batch = Batch(part, records, idle=idle)
                        part.idle = part.idle or idle
                if batch is not None:
                    number = self._stepper.reserve()
        finally:
            with self._changed:
                if waited:
                    self._waiting -= 1
                part.busy = False
                self._changed.notify()
        if batch is None:
            return
        part.source.decode(batch)
        self._stepper.submit(number, batch)
        group = part.source.group
        self._spent[group] = self._spent.get(group, 0.0) + self._clock.monotonic() - started

    def _in_flight(self, part: Part) -> bool:
        return self._stepper.waiting > 0
