from __future__ import annotations

import io
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from serve_client import NOW, Client, Events

from deras.core.schema import Field, Schema
from deras.core.types import BIGINT, STRING, decimal
from deras.serve.platform import Mount

if TYPE_CHECKING:
    from serve_fake import Factory, FakePlatform

    from deras.serve.app import Server


def test_lists_views_with_types_and_keys(client: Client, factory: Factory) -> None:
    factory.rows(NOW)
    views = {v["name"]: v for v in client.ask("/v1/views").json()["views"]}
    assert list(views) == ["readings", "alerts", "stats"]
    assert views["stats"]["key"] == ["sensor"]
    assert views["readings"]["columns"][1] == {"name": "ts", "type": "TIMESTAMP_LTZ(3)", "comment": ""}
    assert (views["readings"]["rows"], views["readings"]["append_only"]) == (4, True)


def test_rows_as_json_csv_and_arrow(client: Client, factory: Factory) -> None:
    factory.rows(NOW, odd=False)
    path = "/v1/views/readings?sensor=pump&select=sensor,ts"
    found = client.ask(path)
    assert found.json()["rows"] == [{"sensor": "pump", "ts": "2023-11-14T22:13:20.000Z"}]
    assert found.json()["columns"][1]["type"] == "TIMESTAMP_LTZ(3)"
    assert client.ask(path, Accept="text/csv").body == b"sensor,ts\r\npump,2023-11-14T22:13:20.000Z\r\n"
    arrow = client.ask(path + "&format=arrow")
    assert arrow.headers["content-type"] == "application/vnd.apache.arrow.stream"
    assert pa.ipc.open_stream(io.BytesIO(arrow.body)).read_all().column("sensor").to_pylist() == ["pump"]
    assert (
        client.ask(path, Accept="text/html,application/json;q=0.4,text/csv;q=0.9").headers["content-type"][:8]
        == "text/csv"
    )


def test_an_unchanged_view_answers_304(client: Client, factory: Factory) -> None:
    factory.rows(NOW)
    first = client.ask("/v1/views/stats")
    again = client.ask("/v1/views/stats", If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    factory.rows(NOW + 1000)
    assert client.ask("/v1/views/stats", If_None_Match=first.headers["etag"]).status == 200


def test_hostile_view_names(client: Client, platform: FakePlatform) -> None:
    from urllib.parse import quote

    for name in ['a"; DROP TABLE x; --', "a/b", "../../etc/passwd", "Ünïcode 名", "changes"]:
        platform.add(name, Schema((Field('c"ol', STRING), Field("n", BIGINT))))
        platform.push(name, [("'; --", 1)])
        found = client.ask(f"/v1/views/{quote(name, safe='')}?n=1")
        assert found.json()["rows"] == [{'c"ol': "'; --", "n": 1}], name


def test_decimals_and_doubled_names(client: Client, platform: FakePlatform) -> None:
    platform.add("money", Schema.of(amount=decimal(38, 2)))
    from decimal import Decimal

    platform.push("money", [(Decimal("123456789012345678901234567890.10"),)])
    assert client.ask("/v1/views/money").json()["rows"] == [{"amount": "123456789012345678901234567890.10"}]
    twice = client.post("/v1/query", {"sql": "SELECT 1 AS a, 2 AS a"}).json()
    assert twice["rows"] in ([[1, 2]], [{"a": 1, "a_1": 2}])


@pytest.mark.parametrize(
    ("path", "status", "message", "hint"),
    [
        ("/v1/views/reedings", 404, "there is no view 'reedings'", "Did you mean 'readings'?"),
        ("/v1/views/readings?format=xml", 400, "there is no format 'xml'", "Formats: json, csv, arrow."),
        ("/v1/views/stats/changes?from=1", 400, "'from' is unknown here", "Use snapshot=false or last_event_id=…."),
        ("/v1/dashboards/nope", 404, "there is no dashboard 'nope'", "Dashboards: main."),
        ("/nothing", 404, "there is nothing at /nothing", "Begin at GET /v1/views, or open / in a browser."),
    ],
)
def test_wrong_requests(client: Client, path: str, status: int, message: str, hint: str) -> None:
    found = client.ask(path)
    assert (found.status, found.json()["message"], found.json()["hint"]) == (status, message, hint)


def test_queries(client: Client, factory: Factory) -> None:
    factory.rows(NOW, odd=False)
    found = client.post(
        "/v1/query", {"sql": "SELECT count(*) AS n FROM readings WHERE sensor = ?", "parameters": ["pump"]}
    )
    assert found.json()["rows"] == [{"n": 1}]
    raw = client.ask("/v1/query?format=csv", "POST", b"SELECT 1 AS one", Content_Type="application/sql")
    assert raw.body == b"one\r\n1\r\n"
    wrong = client.post("/v1/query", {"sql": "SELECT nope FROM readings"})
    assert (wrong.status, wrong.json()["code"]) == (400, "sql")
    assert client.post("/v1/query", {"sql": 1}).json()["message"] == "the body has no text 'sql'"
    assert client.post("/v1/query", {"sql": "SELECT 1", "paramters": []}).json()["hint"] == "Did you mean 'parameters'?"
    assert client.ask("/v1/query", "POST", b"{", Content_Type="application/json").status == 400
    assert client.ask("/v1/query", "POST", b"SELECT 1", Content_Type="text/plain").status == 415
    assert client.ask("/v1/query", "POST", b"x" * (1 << 20) + b"x", Content_Type="application/sql").status == 413
    assert client.ask("/v1/query").status == 405


def test_a_query_that_nobody_waits_for_is_cancelled(client: Client, platform: FakePlatform) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    def slow(sql: str, parameters: Any = (), *, timeout: float = 30, cancel: Any = None) -> pa.Table:
        cancel.bind(cancelled.set)
        begun.set()
        assert cancelled.wait(20)
        return pa.table({"a": [1]})

    platform.query = slow  # type: ignore[method-assign]
    body = b'{"sql": "SELECT 1"}'
    with socket.create_connection(("127.0.0.1", client.server.port)) as s:
        head = f"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        s.sendall(head.encode() + body)
        assert begun.wait(20)
    assert cancelled.wait(20)


def test_health_readiness_metrics(client: Client, platform: FakePlatform) -> None:
    from deras.serve.platform import Status

    assert client.ask("/healthz").body == b"ok\n"
    assert client.ask("/readyz").status == 200
    platform.the_status = Status(state="failed", message="the disk is full")
    found = client.ask("/readyz")
    assert (found.status, found.json()["message"]) == (503, "the disk is full")
    assert client.ask("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")


def test_an_unforeseen_error_shows_no_traceback(client: Client, platform: FakePlatform) -> None:
    def broken(*_: Any, **__: Any) -> pa.Table:
        raise RuntimeError("boom")

    platform.query = broken  # type: ignore[method-assign]
    found = client.ask("/v1/views/stats")
    assert (found.status, found.json()["code"], found.json()["detail"]) == (500, "internal", "RuntimeError: boom")


def test_intake_is_mounted_while_running(client: Client, platform: FakePlatform) -> None:
    got: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        got.append(message["body"])
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    assert client.ask("/ingest/readings", "POST", b"{}").status == 404
    platform.mounts.append(Mount("/ingest/readings", app))
    assert client.ask("/ingest/readings", "POST", b'{"a":1}').status == 202
    assert got == [b'{"a":1}']
    assert client.ask("/ingest/readings2", "POST", b"{}").status == 404


# ---- subscriptions


def test_changes_begin_with_a_snapshot_and_follow(server: Server, factory: Factory) -> None:
    factory.rows(NOW, odd=False)
    events = Events(server, "/v1/views/stats/changes")
    assert events.next()[1]["key"] == ["sensor"]
    name, snap, last = events.next()
    assert (name, len(snap["rows"]), snap["last"]) == ("snapshot", 4, True)
    factory.rows(NOW + 1000, odd=False)
    name, change, after = events.next()
    assert name == "change"
    assert [k for k, _ in change["changes"]] == ["-U", "+U"] * 4
    assert change["changes"][0][1] == snap["rows"][0]
    assert last != after
    events.close()


def test_changes_resume_without_gap_or_repeat(server: Server, factory: Factory, platform: FakePlatform) -> None:
    events = Events(server, "/v1/views/readings/changes")
    events.next()
    events.next()
    factory.rows(NOW, odd=False)
    last = events.next()[2]
    events.close()
    for i in range(1, 4):
        factory.rows(NOW + i * 1000, odd=False)
    again = Events(server, "/v1/views/readings/changes", Last_Event_ID=last)
    assert again.next()[0] == "schema"
    times = []
    for _ in range(3):
        name, change, _ = again.next()
        assert name == "change"
        times.append(change["changes"][0][1][1])
    assert times == [f"2023-11-14T22:13:2{i}.000Z" for i in (1, 2, 3)]
    again.close()


@pytest.mark.parametrize("last", ["deadbeef-1", "x", "-", "1-99999999999999999999x"])
def test_an_unknown_place_gets_a_snapshot(server: Server, factory: Factory, last: str) -> None:
    factory.rows(NOW)
    events = Events(server, f"/v1/views/readings/changes?last_event_id={last}")
    assert [events.next()[0], events.next()[0]] == ["schema", "snapshot"]
    events.close()


def test_a_reader_who_fell_behind_starts_again(
    server: Server, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deras.serve.changes._RING_EVENTS", 4)
    events = Events(server, "/v1/views/readings/changes")
    events.next()
    events.next()
    factory.rows(NOW)
    last = events.next()[2]
    events.close()
    for i in range(1, 12):
        factory.rows(NOW + i * 1000)
    late = Events(server, "/v1/views/readings/changes", Last_Event_ID=last)
    late.next()
    # The ring is filled by the server's loop: both orders of its work and ours end with every row told once.
    rows = 0
    while rows < 44:
        name, data, _ = late.next()
        rows = len(data["rows"]) if name == "snapshot" else rows + len(data["changes"])
        rows = rows + 4 if name == "change" and rows == 4 else rows
    assert rows in (44, 48)
    late.close()


def test_large_snapshots_come_in_parts(server: Server, platform: FakePlatform) -> None:
    platform.add("big", Schema.of(n=BIGINT))
    platform.push("big", [(i,) for i in range(4500)])
    events = Events(server, "/v1/views/big/changes")
    events.next()
    parts = [events.next() for _ in range(3)]
    assert [len(p[1]["rows"]) for p in parts] == [2000, 2000, 500]
    assert [p[1]["last"] for p in parts] == [False, False, True]
    assert [bool(p[2]) for p in parts] == [False, False, True]
    events.close()


def test_stop_ends_streams_at_once(platform: FakePlatform, factory: Factory) -> None:
    from deras.serve.app import Server

    server = Server(platform, port=0)
    server.start()
    events = Events(server, "/v1/views/readings/changes")
    events.next()
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 5  # far below the time a client would wait for nothing
    server.stop()
    events.close()
