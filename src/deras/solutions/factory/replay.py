"""Posts the shipped recordings to a running platform over HTTP, as the machines themselves would.

The first rows come in one burst with times in the past, so that the screen has a quarter of an hour to show and the
detector has learned; from there on a few readings a second. The place is kept in a file: started again, it goes on.
"""

from __future__ import annotations

import http.client
import json
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from deras.core.errors import ExternalError
from deras.core.time import Clock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HISTORY = 900.0
"""Seconds before the start that the first burst fills."""


@dataclass(frozen=True, slots=True)
class Machine:
    """How a sensor is replayed.

    Args:
        sensor: its name in the data.
        rate: readings a second at speed 1.
        start: the row that is "now" at the first start. Chosen so that something happens within the first minute.
    """

    sensor: str
    rate: float
    start: int


MACHINES = (
    Machine("machine-temperature", 10.0, 18_980),
    Machine("controller-cpu", 2.0, 16_900),
    Machine("gateway-latency", 2.0, 1_990),
    Machine("database-cpu", 2.0, 3_010),
)


def series() -> dict[str, list[tuple[str, float]]]:
    """The recordings: sensor to (recorded_at in ISO form, value) in order."""
    import pyarrow.parquet as pq

    with (files("deras.solutions.factory") / "data" / "nab.parquet").open("rb") as f:
        table = pq.read_table(f)
    found: dict[str, list[tuple[str, float]]] = {}
    names, times, values = (table.column(c).to_pylist() for c in ("sensor", "recorded_at", "value"))
    for name, time, value in zip(names, times, values, strict=True):
        found.setdefault(name, []).append((time.isoformat(timespec="seconds"), value))
    return found


class Replayer:
    """A thread that posts.

    Args:
        url: where to post, e.g. ``http://127.0.0.1:8765/ingest/readings``.
        place: file that remembers how far each sensor has come.
        speed: 1 is the pace of :data:`MACHINES`; 10 is ten times as fast.
        clock: the time that readings are stamped with.
        note: told once about each kind of trouble (platform away, refused).
    """

    def __init__(
        self,
        url: str,
        place: Path | None = None,
        *,
        speed: float = 1.0,
        clock: Clock | None = None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._path = parts.hostname or "127.0.0.1", parts.port or 80, parts.path
        self._place = place
        self.speed = speed
        self.clock = clock or SystemClock()
        self.note = note
        self.posted = 0
        self._series = series()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._done = self._load()

    # ---- the place

    def _load(self) -> dict[str, int] | None:
        if self._place is None or not self._place.exists():
            return None
        try:
            found = json.loads(self._place.read_text(encoding="utf-8"))
            return {m.sensor: int(found[m.sensor]) for m in MACHINES}
        except (OSError, ValueError, KeyError):
            return None

    def _save(self, done: dict[str, int]) -> None:
        if self._place is not None:
            new = self._place.with_suffix(".new")
            new.write_text(json.dumps(done), encoding="utf-8")
            new.replace(self._place)

    # ---- rows

    def _line(self, sensor: str, row: int, at_ms: int) -> bytes:
        rows = self._series[sensor]
        recorded, value = rows[row % len(rows)]
        ts = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        reading: dict[str, Any] = {"sensor": sensor, "value": value, "ts": ts, "recorded_at": recorded}
        return json.dumps(reading, separators=(",", ":")).encode()

    def history(self, now_ms: int) -> tuple[list[bytes], dict[str, int]]:
        """The burst: the last quarter of an hour before ``now_ms``, in order of time; and the place after it."""
        rows: list[tuple[int, bytes]] = []
        done: dict[str, int] = {}
        for m in MACHINES:
            step = 1000.0 / m.rate
            count = min(int(HISTORY * m.rate), m.start)
            for i in range(count):
                at = now_ms - round((count - i) * step)
                rows.append((at, self._line(m.sensor, m.start - count + i, at)))
            done[m.sensor] = m.start
        rows.sort(key=lambda r: r[0])
        return [line for _, line in rows], done

    def _due(self, begun_ms: int, base: dict[str, int], done: dict[str, int], now_ms: int) -> list[bytes]:
        rows: list[tuple[int, bytes]] = []
        for m in MACHINES:
            rate = m.rate * self.speed
            want = base[m.sensor] + int((now_ms - begun_ms) / 1000 * rate)
            for row in range(done[m.sensor], want):
                at = begun_ms + round((row + 1 - base[m.sensor]) * 1000 / rate)
                rows.append((at, self._line(m.sensor, row, at)))
            done[m.sensor] = max(want, done[m.sensor])
        rows.sort(key=lambda r: r[0])
        return [line for _, line in rows]

    # ---- posting

    def post(self, lines: list[bytes]) -> None:
        """Post lines and wait for the 202; tries again while the platform is away or busy."""
        body = b"\n".join(lines) + b"\n"
        wait = 0.1
        while not self._stop.is_set():
            try:
                if self._connection is None:
                    self._connection = http.client.HTTPConnection(self._host, self._port, timeout=30)
                self._connection.request("POST", self._path, body, {"Content-Type": "application/x-ndjson"})
                answer = self._connection.getresponse()
                text = answer.read()
                if answer.status == 202:
                    self.posted += len(lines)
                    return
                if answer.status in (429, 503, 507):
                    wait = float(answer.headers.get("Retry-After") or wait)
                    self.note(f"the platform is busy ({answer.status}), trying again")
                else:
                    raise ExternalError(f"the platform refused readings: {answer.status} {text[:200].decode()}")
            except (OSError, http.client.HTTPException) as e:
                self._hang_up()
                self.note(f"the platform does not answer ({e}), trying again")
            self.clock.wait(self._stop, wait)
            wait = min(wait * 2, 5.0)

    def run(self) -> None:
        """Post until stopped."""
        now = self.clock.now()
        done = self._done
        if done is None:
            burst, done = self.history(now)
            self._post_all(burst)
            self._save(done)
        base, begun, saved = dict(done), now, now
        while not self.clock.wait(self._stop, 0.1):
            now = self.clock.now()
            self._post_all(self._due(begun, base, done, now))
            if now - saved >= 1000 and not self._stop.is_set():
                self._save(done)
                saved = now

    def _post_all(self, lines: list[bytes]) -> None:
        for i in range(0, len(lines), 2000):
            self.post(lines[i : i + 2000])

    def start(self) -> None:
        """Begin in a thread of its own."""
        self._thread = threading.Thread(target=self._guarded, name="replay", daemon=True)
        self._thread.start()

    def _guarded(self) -> None:
        try:
            self.run()
        except ExternalError as e:
            self.note(e.render())
        finally:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def stop(self) -> None:
        """End; what was not yet answered is posted again next time."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)
