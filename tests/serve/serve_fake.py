"""An in-memory platform for tests of the serving room, and a factory that makes rows for it.

Run it by hand to look at the page: ``python tests/serve/serve_fake.py``.
"""

from __future__ import annotations

import math
import random
import threading
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from deras.core.delta import Delta
from deras.core.errors import DerasError, ExternalError, SqlError
from deras.core.schema import Schema
from deras.core.time import Clock, SystemClock
from deras.core.types import BIGINT, BOOLEAN, DOUBLE, STRING, arrow_type, timestamp_ltz
from deras.serve.platform import Cancellation, Change, Mount, Snapshot, SourceStatus, Status, ViewInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class FakeView:
    def __init__(self, name: str, schema: Schema, append_only: bool, comment: str) -> None:
        self.name, self.schema, self.append_only, self.comment = name, schema, append_only, comment
        self.rows: list[tuple[Any, ...]] = []
        self.keyed: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self.step = 0
        self.watermark: int | None = None
        self.updated: int | None = None
        self.callbacks: list[Callable[[Change], None]] = []
        self.cache: tuple[int, pa.Table] | None = None

    def table(self) -> pa.Table:
        if self.cache is None or self.cache[0] != self.step:
            keyed = bool(self.schema.key) and not self.append_only
            done = 0 if keyed or not self.append_only or self.cache is None else self.cache[1].num_rows
            rows = list(self.keyed.values()) if keyed else self.rows[done:]
            delta = Delta.of(self.schema, rows)
            arrays = [c.to_arrow().cast(arrow_type(c.type)) for c in delta.columns]
            table = pa.table(arrays, names=self.schema.names)
            if done and self.cache is not None:
                table = pa.concat_tables([self.cache[1], table]).combine_chunks()
            self.cache = (self.step, table)
        return self.cache[1]


class FakePlatform:
    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._views: dict[str, FakeView] = {}
        self.mounts: list[Mount] = []
        self.the_status = Status(state="live")
        self.queries = 0
        self.step = 0

    @property
    def name(self) -> str:
        return "factory"

    @property
    def clock(self) -> Clock:
        return self._clock

    def add(self, name: str, schema: Schema, append_only: bool = True, comment: str = "") -> FakeView:
        view = FakeView(name, schema, append_only, comment)
        with self._lock:
            self._views[name] = view
        return view

    def push(self, name: str, rows: Sequence[Sequence[Any]], weights: Sequence[int] | None = None) -> None:
        with self._lock:
            view = self._views[name]
            delta = Delta.of(view.schema, rows, weights)
            self.step += 1
            view.step, view.updated = self.step, self._clock.now()
            for w, row in delta.changes():
                key = tuple(row[i] for i in view.schema.key)
                if view.append_only or not view.schema.key:
                    if w > 0:
                        view.rows.append(row)
                    else:
                        view.rows.remove(row)
                elif w > 0:
                    view.keyed[key] = row
                elif view.keyed.get(key) == row:
                    del view.keyed[key]
            change = Change(view.step, view.watermark, delta)
            callbacks = list(view.callbacks)
        for callback in callbacks:
            callback(change)

    def views(self) -> list[ViewInfo]:
        with self._lock:
            return [
                ViewInfo(
                    v.name,
                    v.schema,
                    v.comment,
                    len(v.rows) or len(v.keyed),
                    v.step,
                    v.watermark,
                    v.updated,
                    v.append_only,
                )
                for v in self._views.values()
            ]

    def snapshot(self, view: str) -> Snapshot:
        with self._lock:
            if view not in self._views:
                raise DerasError(f"there is no view '{view}'")
            v = self._views[view]
            return Snapshot(v.table(), v.step, v.watermark)

    def query(
        self, sql: str, parameters: Sequence[Any] = (), *, timeout: float = 30.0, cancel: Cancellation | None = None
    ) -> pa.Table:
        with self._lock:
            self.queries += 1
            tables = {n: v.table() for n, v in self._views.items()}
        con = duckdb.connect(":memory:")
        try:
            con.execute("SET enable_external_access = false")
            for n, t in tables.items():
                con.register(n, t)
            if cancel is not None:
                cancel.bind(con.interrupt)
            return con.sql(sql, params=list(parameters)).to_arrow_table()
        except duckdb.InterruptException:
            raise ExternalError("the query was cancelled") from None
        except duckdb.Error as e:
            raise SqlError(str(e).splitlines()[0]) from None
        finally:
            con.close()

    def subscribe(self, view: str, callback: Callable[[Change], None]) -> Callable[[], None]:
        with self._lock:
            if view not in self._views:
                raise DerasError(f"there is no view '{view}'")
            callbacks = self._views[view].callbacks
            callbacks.append(callback)

        def stop() -> None:
            with self._lock:
                if callback in callbacks:
                    callbacks.remove(callback)

        return stop

    def status(self) -> Status:
        return self.the_status

    def metrics(self) -> bytes:
        return b"# HELP deras_up The platform runs.\n# TYPE deras_up gauge\nderas_up 1\n"

    def ingest(self) -> Sequence[Mount]:
        return self.mounts


READINGS = Schema.of(
    sensor=STRING,
    ts=timestamp_ltz(3),
    value=DOUBLE,
    expected=DOUBLE,
    lower=DOUBLE,
    upper=DOUBLE,
    score=DOUBLE,
    anomaly=BOOLEAN,
)
ALERTS = Schema.of(ts=timestamp_ltz(3), sensor=STRING, severity=STRING, value=DOUBLE, score=DOUBLE, message=STRING)
STATS = Schema.of(key=["sensor"], sensor=STRING, last=DOUBLE, mean=DOUBLE, readings=BIGINT)

DASHBOARD = """
title: Factory floor
description: Four machines, their sensors and what is unusual about them
refresh: 100 ms
window: 5 min
tiles:
  - {title: Readings, sql: SELECT count(*) AS n FROM readings, unit: rows, format: integer}
  - title: Spindle temperature
    sql: SELECT value FROM readings WHERE sensor = 'spindle' ORDER BY ts DESC LIMIT 1
    unit: °C
    digits: 1
    thresholds: {warn: 84, alarm: 92}
  - {title: Anomalies, sql: "SELECT count(*) AS n FROM alerts WHERE severity = 'critical'", format: integer}
  - {title: Machines watched, sql: SELECT count(*) AS n FROM stats, format: integer, spark: false}
panels:
  - title: Spindle temperature
    subtitle: every second, with the range that was expected
    view: readings
    where: {sensor: spindle}
    width: 6
    x: ts
    y: value
    unit: °C
    digits: 1
    band: {lower: lower, upper: upper, expected: expected}
    marks: {when: anomaly, label: anomaly, score: score, why: [value, expected, score]}
    thresholds: {alarm: 96, label: shut down}
  - title: Bearing vibration
    view: readings
    where: {sensor: bearing}
    width: 6
    x: ts
    y: value
    unit: mm/s
    band: {lower: lower, upper: upper, expected: expected}
    marks: {when: anomaly, why: [value, expected, score], score: score}
  - title: All sensors
    subtitle: as a share of what is expected
    sql: SELECT sensor, ts, value / expected * 100 AS share FROM readings
    width: 8
    x: ts
    y: share
    by: sensor
    unit: '%'
  - title: Readings per machine
    view: stats
    mark: bar
    width: 4
    x: sensor
    y: readings
    format: integer
  - title: Latest alerts
    view: alerts
    mark: table
    sort: ts
    notify: true
    columns:
      - {name: ts, title: When, format: relative}
      - {name: severity, title: Severity, format: severity}
      - {name: sensor, title: Machine}
      - {name: value, title: Value, digits: 1}
      - {name: score, title: Score, digits: 1}
      - {name: message, title: What}
"""


class Factory:
    """Four sensors; deterministic by seed, apart from the time."""

    SENSORS = {"spindle": (78.0, 6.0), "bearing": (2.4, 0.3), "motor": (41.0, 3.0), "pump": (5.2, 0.4)}

    def __init__(self, platform: FakePlatform, seed: int = 7) -> None:
        self.platform = platform
        self.random = random.Random(seed)
        platform.add("readings", READINGS, comment="every reading with what was expected")
        platform.add("alerts", ALERTS, comment="readings that were not expected")
        platform.add("stats", STATS, append_only=False)
        self.count = 0
        self.means: dict[str, tuple[Any, ...]] = {}

    def rows(self, now: int, odd: bool | None = None) -> None:
        import datetime as dt

        ts = dt.datetime.fromtimestamp(now / 1000, dt.UTC)
        readings, alerts, stats, weights = [], [], [], []
        for i, (sensor, (mean, spread)) in enumerate(self.SENSORS.items()):
            expected = mean + spread * 0.6 * math.sin(now / 24_000 + i)
            value = expected + self.random.gauss(0, spread * 0.12)
            strange = self.random.random() < 0.008 if odd is None else odd
            if strange:
                value += spread * 1.7
            score = abs(value - expected) / (spread * 0.12)
            half = spread * 0.5
            anomaly = score > 4.5
            readings.append((sensor, ts, value, expected, expected - half, expected + half, score, anomaly))
            if anomaly:
                severity = "critical" if score > 12 else "warning"
                text = f"{sensor} reads {value:.1f}, expected {expected:.1f}"
                alerts.append((ts, sensor, severity, value, score, text))
            before = self.means.get(sensor)
            after = (sensor, value, value if before is None else 0.9 * before[2] + 0.1 * value, self.count + 1)
            if before is not None:
                stats.append(before)
                weights.append(-1)
            stats.append(after)
            weights.append(1)
            self.means[sensor] = after
        self.count += 1
        for view in self.platform._views.values():
            view.watermark = now - 1000
        self.platform.push("readings", readings)
        self.platform.push("stats", stats, weights)
        if alerts:
            self.platform.push("alerts", alerts)
        self.platform.the_status = Status(
            state="live",
            events_per_second=9_840 + self.random.random() * 400,
            delay_p50=2.1 + self.random.random(),
            delay_p99=7 + 3 * self.random.random(),
            watermark=now - 1000,
            sources=(SourceStatus("readings", self.count * 4, now, now - 60_000),),
        )


def main() -> None:
    import sys
    import tempfile
    import time
    from pathlib import Path

    from deras.serve.app import Server
    from deras.serve.definition import Dashboards

    mode = sys.argv[1] if len(sys.argv) > 1 else "run"
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 8787
    platform = FakePlatform()
    factory = Factory(platform)
    now = platform.clock.now()
    if mode == "run":
        for back in range(280_000, 0, -500):
            factory.rows(now - back)
    else:
        hint = f'curl -d \'{{"sensor":"spindle","value":78.2}}\' http://127.0.0.1:{port}/ingest/readings'
        platform.the_status = Status(state="live", sources=(SourceStatus("readings", 0, None, now, hint),))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "dashboard.yaml").write_text(DASHBOARD, "utf-8")
        server = Server(platform, Dashboards(Path(folder)), port=port)
        server.start()
        print(server.link, flush=True)
        try:
            while True:
                if mode == "run":
                    factory.rows(platform.clock.now())
                time.sleep(0.2)
        except KeyboardInterrupt:
            server.stop()


if __name__ == "__main__":
    main()
