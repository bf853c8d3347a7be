"""The factory demo: its script, its data through the front door, its replayer."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import pytest

from deras.core.time import VirtualClock
from deras.serve.definition import parse_dashboard
from deras.session.session import Session
from deras.solutions.factory.replay import HISTORY, MACHINES, Replayer, series

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FACTORY = files("deras.solutions.factory")
NOW = 1_767_225_600_000


def test_the_recordings_are_whole() -> None:
    found = series()
    assert {k: len(v) for k, v in found.items()} == {
        "machine-temperature": 22_695,
        "controller-cpu": 18_050,
        "gateway-latency": 4_032,
        "database-cpu": 4_032,
    }
    assert all(m.sensor in found and m.start <= len(found[m.sensor]) for m in MACHINES)


def test_the_dashboard_names_only_views_and_columns_that_exist() -> None:
    with as_file(FACTORY) as folder, Session(None, base=folder) as session:
        session.check((folder / "pipeline.sql").read_text("utf-8"))
        session.sql((folder / "pipeline.sql").read_text("utf-8"))
        dashboard = parse_dashboard((folder / "dashboard.yaml").read_text("utf-8"))
        assert len(dashboard.tiles) == 4
        for part in (*dashboard.tiles, *dashboard.panels):
            if part.query.view:
                names = session.job.views.view(part.query.view).schema.names
                assert {c for c, _ in part.query.where} <= set(names)
                if not isinstance(part, type(dashboard.tiles[0])):
                    assert set(part.used_columns()) | {c.name for c in part.columns} <= set(names)
            else:
                columns = session.ask.query(part.query.sql).column_names
                assert part.value in columns


@pytest.fixture
def running() -> Iterator[Session]:
    with as_file(FACTORY) as folder, Session(None, base=folder) as session:
        session.run(folder / "pipeline.sql")
        yield session


def test_real_data_through_the_front_door(running: Session) -> None:
    app: Any = running.job.tables()["readings"]
    replayer = Replayer("http://127.0.0.1:1/ingest/readings", clock=VirtualClock(NOW))
    lines, place = replayer.history(NOW)
    assert len(lines) == sum(min(int(HISTORY * m.rate), m.start) for m in MACHINES)
    assert place == {m.sensor: m.start for m in MACHINES}
    for i in range(0, len(lines), 2000):
        status, _, _ = app.intake_app.handle({}, b"\n".join(lines[i : i + 2000]) + b"\n")
        assert status == 202
    app.intake_app.handle({}, b'{"sensor": 5, "value": "x", "ts": "yesterday"}\n')
    views = running.job.views
    for _ in range(600):
        if views["live"].snapshot().rows == len(lines) and views["deras_quarantine"].snapshot().rows:
            break
        time.sleep(0.1)
    assert views["live"].snapshot().rows == len(lines)
    counted = dict(running.sql("SELECT sensor, readings FROM sensors").rows())
    assert counted == {m.sensor: min(int(HISTORY * m.rate), m.start) for m in MACHINES}
    found = running.sql("SELECT sensor, count(*) FROM alerts GROUP BY sensor").rows()
    assert {s for s, _ in found} == set(counted)
    closed = running.sql("SELECT count(*), sum(readings) FROM statistics_10s WHERE sensor = 'gateway-latency'").rows()
    # 900 s at two readings a second, less the windows that the watermark (2 s behind) has not closed.
    assert closed[0][0] in (89, 90)
    assert closed[0][1] in range(1770, 1801)
    (bad,) = running.sql("SELECT reason, text FROM deras_quarantine").rows()
    assert bad[0] == "decode"
    assert "yesterday" in bad[1]


class _Platform(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers = server.answers.pop(0) if server.answers else (202, {})
                if status == 202:
                    server.rows += [json.loads(line) for line in body.splitlines()]
                self.send_response(status)
                for k, v in headers.items():
                    self.send_header(k, v)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/ingest/readings"


@pytest.fixture
def platform() -> Iterator[_Platform]:
    server = _Platform()
    yield server
    server.shutdown()
    server.server_close()


def _wait(condition: Any) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def test_the_replayer_goes_on_where_it_was(platform: _Platform, tmp_path: Path) -> None:
    place = tmp_path / "replay.json"
    platform.answers += [(429, {"Retry-After": "0.01"}), (503, {})]
    notes: list[str] = []
    first = Replayer(platform.url, place, speed=50, note=notes.append)
    first.start()
    burst = sum(min(int(HISTORY * m.rate), m.start) for m in MACHINES)
    _wait(lambda: len(platform.rows) > burst + 100)
    first.stop()
    assert any("busy" in n for n in notes)
    assert len(platform.rows) == first.posted
    came = len(platform.rows)
    saved = json.loads(place.read_text())
    second = Replayer(platform.url, place, speed=50)
    second.start()
    _wait(lambda: len(platform.rows) > came + 100)
    second.stop()
    again = platform.rows[came:]
    # No second burst: the first row of each sensor is the one after the saved place.
    for m in MACHINES:
        recorded = next(r["recorded_at"] for r in again if r["sensor"] == m.sensor)
        assert recorded == series()[m.sensor][saved[m.sensor] % len(series()[m.sensor])][0]


def test_the_replayer_waits_for_a_platform_that_is_away(tmp_path: Path) -> None:
    notes: list[str] = []
    replayer = Replayer("http://127.0.0.1:9/ingest/readings", tmp_path / "p.json", note=notes.append)
    replayer.start()
    _wait(lambda: notes)
    replayer.stop()
    assert "does not answer" in notes[0]
    assert replayer.posted == 0


def test_a_refusal_ends_the_replay_with_its_reason(platform: _Platform) -> None:
    platform.answers += [(400, {})]
    notes: list[str] = []
    replayer = Replayer(platform.url, note=notes.append)
    replayer.start()
    _wait(lambda: notes)
    replayer.stop()
    assert "refused readings: 400" in notes[0]
