"""``'connector' = 'http'``: records that are posted; the answer comes when they are durable."""

from __future__ import annotations

import asyncio
import hmac
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlsplit

import orjson

from deras.connectors._http_body import Limits, Records, RefusedError, inflate, read_json, read_lines, too_large
from deras.connectors._http_server import Listener, is_loopback, parse_address
from deras.core import contracts
from deras.core.contracts import Intake, Reader, Source, SourceDelivery, TableContext
from deras.core.errors import DerasError, OptionError
from deras.core.options import Option
from deras.core.types import SqlType, timestamp_ltz

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deras.connectors._http_server import Receive, Scope, Send
    from deras.core.records import Offset

_log = logging.getLogger("deras.connectors.http")

LARGE = 256 << 10
"""Bytes from which a body is checked beside the event loop, so that it does not hold up the small ones."""

Answer = tuple[int, dict[str, str], bytes]


class HttpIntake:
    """Requests for one table: checked, logged, answered. An ASGI application, and a plain function for other servers.

    Args:
        table: the table's name.
        json: whether records are JSON (then they are checked); else they are lines of another format.
        limits: what a request may bring.
        backlog: bytes that may wait unread before senders are told to wait.
        token: what a sender must show, or None.
    """

    def __init__(
        self, table: str, *, json: bool = True, limits: Limits, backlog: int = 256 << 20, token: str | None = None
    ) -> None:
        self.table = table
        self.limits = limits
        self.accepted = 0
        """Records taken."""
        self.refused: dict[int, int] = {}
        """Requests refused, by status."""
        self._json = json
        self._backlog = backlog
        self._token = token
        self._log: Intake | None = None
        self._pool: ThreadPoolExecutor | None = None

    @property
    def authenticated(self) -> bool:
        """Whether senders must show a token: without one it may only be served on loopback."""
        return self._token is not None

    def attach(self, log: Intake | None) -> None:
        """Where records go; None: the table is not running, senders are told to come back."""
        self._log = log

    # ---- the plain way

    def handle(self, headers: Mapping[str, str], body: bytes, method: str = "POST") -> Answer:
        """Answer a request; returns when its records are durable.

        Args:
            headers: by lower-case name.
            body: as it came (maybe packed).
            method: the HTTP method.

        Returns:
            Status, headers, body.
        """
        try:
            self._admit(method, headers)
            records = self._read(headers, body)
            log = self._room(records)
            if records.count:
                log.append(self.table, records.payload, records.count).result()
        except (RefusedError, DerasError) as e:
            return self._refuse(e)
        return self._accept(records.count)

    # ---- the ASGI way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI (http only)."""
        status, headers, body = await self._answer(scope, receive)
        raw = [(k.encode(), v.encode()) for k, v in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        try:
            self._admit(scope["method"], headers)
            body = await self._receive(receive)
            if len(body) < LARGE and not headers.get("content-encoding"):
                records = self._read(headers, body)
            else:
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(2, f"deras-http-{self.table}")
                loop = asyncio.get_running_loop()
                records = await loop.run_in_executor(self._pool, self._read, headers, body)
            log = self._room(records)
            if records.count:
                await asyncio.wrap_future(log.append(self.table, records.payload, records.count))
        except (RefusedError, DerasError) as e:
            return self._refuse(e)
        return self._accept(records.count)

    async def _receive(self, receive: Receive) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RefusedError(400, "disconnected", "the sender went away before the body was whole")
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > self.limits.body:
                raise too_large(self.limits.body, "body")
            parts.append(part)
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    # ---- the steps

    def _admit(self, method: str, headers: Mapping[str, str]) -> None:
        """Refuse what can be refused without the body."""
        if method != "POST":
            raise RefusedError(405, "method", f"{method} is not allowed here, POST is", {"allow": "POST"})
        if self._token is not None:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            good = hmac.compare_digest(given.strip().encode(), self._token.encode())
            if scheme.lower() != "bearer" or not good:
                raise RefusedError(
                    401,
                    "unauthorized",
                    "the token is missing or wrong",
                    {"www-authenticate": "Bearer"},
                    hint="Send 'Authorization: Bearer <token>' with the token of option 'auth.token'.",
                )
        elif (origin := headers.get("origin")) and not is_loopback(urlsplit(origin).hostname or ""):
            # Any web page may post to loopback from its visitor's browser.
            raise RefusedError(403, "origin", f"pages of {origin} may not post here", hint="Set option 'auth.token'.")
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self.limits.body:
            raise too_large(self.limits.body, "body")

    def _read(self, headers: Mapping[str, str], body: bytes) -> Records:
        if len(body) > self.limits.body:
            raise too_large(self.limits.body, "body")
        body = inflate(body, headers.get("content-encoding", ""), self.limits.body)
        if self._json:
            return read_json(body, headers.get("content-type", ""), self.limits)
        return read_lines(body, self.limits)

    def _room(self, records: Records) -> Intake:
        log = self._log
        if log is None:
            raise RefusedError(503, "stopped", f"table '{self.table}' is not running", {"retry-after": "5"})
        waiting = log.backlog(self.table)
        if waiting and waiting + len(records.payload) > self._backlog:
            raise RefusedError(
                429,
                "backlog",
                f"{waiting} bytes wait to be processed",
                {"retry-after": "1"},
                hint="Send the request again later, or raise 'max-backlog'.",
            )
        return log

    def _accept(self, count: int) -> Answer:
        self.accepted += count
        return _answer(202, {"accepted": count}, {})

    def _refuse(self, e: RefusedError | DerasError) -> Answer:
        if isinstance(e, RefusedError):
            status, body, headers = e.status, {"code": e.code, "message": e.message} | e.more, e.headers
        else:
            full = "space" in e.hint
            status, body, headers = 507 if full else 503, e.to_json(), {"retry-after": "5"}
            _log.error("posted records for table %s could not be stored: %s", self.table, e.message)
        self.refused[status] = self.refused.get(status, 0) + 1
        return _answer(status, body, headers)

    def close(self) -> None:
        """Free its threads."""
        self._log = None
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None


def _answer(status: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
    raw = orjson.dumps(body)
    return status, {"content-type": "application/json", "content-length": str(len(raw)), **headers}, raw


class HttpSource(Source):
    """Posted records as a source.

    ``intake_app`` is the application to serve at ``path``; with option ``listen`` it serves itself.
    """

    delivery: ClassVar[SourceDelivery] = "at-least-once"
    intake: ClassVar[bool] = True

    def __init__(self, table: TableContext) -> None:
        o = table.options
        if table.format is None:
            raise OptionError("connector 'http' needs option 'format'", hint="For example 'format' = 'json'.")
        if table.format.columnar:
            raise OptionError(f"connector 'http' cannot take format '{table.format.name}'", hint="Use 'json' or 'csv'.")
        self.path: str = o["path"] or f"/ingest/{table.name}"
        self.listen = parse_address(o["listen"]) if o["listen"] else None
        self._tls = (o["tls.certificate"], o["tls.key"])
        if self.listen and not is_loopback(self.listen[0]) and not o["auth.token"]:
            raise OptionError(
                f"table '{table.name}' would take records from anybody: it listens on {o['listen']} without a token",
                hint="Set 'auth.token' = '${env:NAME}', or listen on 127.0.0.1.",
            )
        self.intake_app = HttpIntake(
            table.name,
            json=table.format.name.endswith("json"),
            limits=Limits(o["max-body"], o["max-records"]),
            backlog=o["max-backlog"],
            token=o["auth.token"],
        )
        self._listener: Listener | None = None

    @property
    def address(self) -> str | None:
        """The URL where it listens itself, or None."""
        return None if self._listener is None else f"{self._listener.address()}{self.path}"

    def parts(self) -> list[str]:
        """One: the table's stream in the intake log."""
        return [""]

    def open(self, part: str, at: Offset | None) -> Reader:
        """Not here: the runtime reads the intake log."""
        raise NotImplementedError("records of an http table are read from the intake log")

    def collect(self, intake: Intake) -> None:
        """Take requests from now on, and listen if option ``listen`` says so."""
        self.intake_app.attach(intake)
        if self.listen is not None and self._listener is None:
            listener = Listener.share(*self.listen, *self._tls)
            try:
                listener.routes.add(self.path, self.intake_app)
            except OptionError:
                listener.release()
                raise
            self._listener = listener

    def close(self) -> None:
        """Take no more requests."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.routes.remove(self.path)
            listener.release()
        self.intake_app.close()


def _path(text: str) -> str | None:
    return None if text.startswith("/") and not set(text) & set("?# ") else "it must begin with '/' and be a plain path"


def _at_least_one(value: int) -> str | None:
    return None if value >= 1 else "it must be at least 1"


class Connector(contracts.Connector):
    """Records posted over HTTP.

    ``POST`` one JSON object, an array of objects, or an object a line (``application/x-ndjson``), also gzipped. The
    answer ``202 {"accepted": n}`` means that all are durable in the intake log. Otherwise nothing of the request is
    stored: 400 with the positions of what is no JSON (one bad line refuses the request), 401, 413, 415, 429 with
    ``Retry-After`` while too much waits to be processed, 507 when the disk is full. A request whose answer got lost may
    be sent again, and is then stored twice.
    """

    name: ClassVar[str] = "http"
    formats: ClassVar[Literal["required", "none"]] = "required"
    metadata: ClassVar[dict[str, SqlType]] = {"arrival-time": timestamp_ltz(6).with_nullable(False)}
    options: ClassVar[Sequence[Option]] = (
        Option("path", help="Where to post; default '/ingest/<table>'.", check=_path),
        Option("listen", help="host:port of a server of its own; absent: the platform's server."),
        Option(
            "auth.token", help="What senders must show as 'Authorization: Bearer …'; needed off loopback.", secret=True
        ),
        Option("tls.certificate", help="Certificate file (PEM) for option 'listen'."),
        Option("tls.key", help="Its private key file (PEM)."),
        Option("max-body", "memory", "Largest body, packed or not.", default=16 << 20, check=_at_least_one),
        Option("max-records", "int", "Most records in one request; absent: any number.", check=_at_least_one),
        Option("max-backlog", "memory", "Unread bytes above which senders are told to wait.", default=256 << 20),
    )

    def source(self, table: TableContext) -> Source:
        """A place to post to."""
        return HttpSource(table)
