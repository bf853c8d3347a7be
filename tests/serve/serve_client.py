"""A plain HTTP client and a reader of server-sent events, for tests."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deras.serve.app import Server

NOW = 1_700_000_000_000


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = response.read()

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    def __init__(self, server: Server) -> None:
        self.server = server

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        try:
            connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return self.ask(path, "POST", json.dumps(body).encode(), Content_Type="application/json", **headers)


class Events:
    """A reader of server-sent events: ``next()`` gives (event, data, id) and waits for it."""

    def __init__(self, server: Server, path: str, **headers: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        self.connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        self.response = self.connection.getresponse()
        assert self.response.status == 200, self.response.read()

    def next(self) -> tuple[str, Any, str]:
        event, data, last = "", "", ""
        while True:
            line = self.response.readline().decode().rstrip("\n")
            if line == "":
                if data:
                    return event, json.loads(data), last
                if self.response.isclosed():
                    raise EOFError
                continue
            name, _, value = line.partition(": ")
            if name == "event":
                event = value
            elif name == "data":
                data += value
            elif name == "id":
                last = value

    def until(self, wanted: Any, limit: int = 400) -> Any:
        """The first event that ``wanted(event, data)`` gives something true for."""
        for _ in range(limit):
            event, data, _ = self.next()
            found = wanted(event, data)
            if found:
                return found
        raise AssertionError("the event did not come")

    def close(self) -> None:
        self.response.close()
        self.connection.close()
