from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from serve_client import Client

from deras.core.errors import ConfigError, ExternalError
from deras.serve.app import Server
from deras.serve.guard import host_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from serve_fake import FakePlatform

TOKEN = "0123456789abcdef0123"


def test_every_answer_has_the_strict_headers(client: Client) -> None:
    for path in ("/", "/v1/views", "/nothing", "/healthz", "/static/x/css/page.css"):
        found = client.ask(path)
        policy = found.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert found.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in found.headers


def test_foreign_host_names_are_refused(client: Client) -> None:
    assert client.ask("/v1/views", Host="evil.example").status == 421
    assert client.ask("/v1/views", Host="").status == 421
    port = client.server.port
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "LOCALHOST"):
        assert client.ask("/v1/views", Host=host).status == 200, host


@pytest.mark.parametrize(
    ("header", "name"),
    [("A.b:80", "a.b"), ("[::1]:8", "::1"), ("::1", ":"), ("x", "x"), ("localhost:80@evil", "localhost")],
)
def test_names_in_host_headers(header: str, name: str) -> None:
    assert host_name(header) == name


def test_other_sites_may_not_post(client: Client) -> None:
    body = {"sql": "SELECT 1 AS a"}
    assert client.post("/v1/query", body, Origin="http://evil.example").status == 403
    assert client.post("/v1/query", body, Origin="null").status == 403
    assert client.post("/v1/query", body, Origin=f"http://127.0.0.1:{client.server.port}").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/x/../app.py",
        "/static/x/%2e%2e/app.py",
        "/static/x/..%2fapp.py",
        "/static/x//etc/passwd",
        "/static/x/index.html",
        "/static/../../pyproject.toml",
        "/static/x/js/..%5c..%5capp.py",
    ],
)
def test_no_path_leads_out_of_the_static_files(client: Client, path: str) -> None:
    assert client.ask(path).status == 404


def test_static_files_are_kept_for_ever_under_their_hash(client: Client) -> None:
    page = client.ask("/")
    assert page.headers["cache-control"] == "no-cache"
    address = page.body.decode().split('src="')[1].split('"')[0]
    found = client.ask(address, Accept_Encoding="gzip")
    assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert found.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in client.ask(address).headers


def test_the_page_is_small() -> None:
    from deras.serve.assets import Assets

    assert Assets().packed_size() < 400_000


@pytest.fixture
def closed(platform: FakePlatform) -> Iterator[Client]:
    with Server(platform, port=0, token=TOKEN) as server:
        yield Client(server)


def test_a_token_is_asked_everywhere_but_for_health(closed: Client) -> None:
    for path in ("/", "/v1/views", "/metrics", "/v1/dashboards/main/events", "/static/x/js/main.js"):
        found = closed.ask(path)
        assert (found.status, found.headers["www-authenticate"]) == (401, 'Bearer realm="deras"'), path
    assert closed.ask("/healthz").status == 200
    assert closed.ask("/v1/views", Authorization=f"Bearer {TOKEN}").status == 200
    assert closed.ask("/v1/views", Authorization=f"Bearer {TOKEN}x").status == 401
    assert closed.ask("/v1/views", Cookie=f"a=b; deras_token={TOKEN}").status == 200
    assert closed.ask("/v1/views", Cookie="deras_token=").status == 401


def test_a_link_with_the_token_becomes_a_cookie(closed: Client) -> None:
    found = closed.ask(f"/d/x?wall=1&token={TOKEN}")
    assert (found.status, found.headers["location"]) == (303, "/d/x?wall=1")
    assert "HttpOnly; SameSite=Strict" in found.headers["set-cookie"]
    assert closed.ask("/?token=wrong").status == 401
    assert closed.ask(f"//evil.example/?token={TOKEN}").headers["location"].startswith("/evil.example/")


def test_the_refusal_is_a_page_for_browsers(closed: Client) -> None:
    found = closed.ask("/", Accept="text/html")
    assert b"<form" in found.body
    assert b"<script" not in found.body


def test_a_source_with_its_own_token_is_let_through(closed: Client, platform: FakePlatform) -> None:
    from deras.serve.platform import Mount

    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    platform.mounts += [Mount("/ingest/own", app, True), Mount("/ingest/none", app)]
    assert closed.ask("/ingest/own", "POST", b"").status == 202
    assert closed.ask("/ingest/none", "POST", b"").status == 401


def test_off_loopback_needs_a_token(platform: FakePlatform) -> None:
    with pytest.raises(ConfigError, match="would show the data to everybody"):
        Server(platform, host="0.0.0.0", port=0)
    with pytest.raises(ConfigError, match="too short"):
        Server(platform, host="0.0.0.0", port=0, token="short")
    with Server(platform, host="0.0.0.0", port=0, token=TOKEN) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert Client(server).ask("/v1/views", Host="any.name", Authorization=f"Bearer {TOKEN}").status == 200


def test_a_taken_port_is_told_in_one_sentence(platform: FakePlatform) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ExternalError) as e:
            Server(platform, port=port).start()
    assert e.value.message == f"port {port} is taken"
    assert "--port" in e.value.hint
    with pytest.raises(ConfigError, match="70000 is no port"):
        Server(platform, port=70000).start()
