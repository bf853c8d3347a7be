"""Serving intakes: by path, inside the platform's server or alone on an address of their own."""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from deras.core.errors import ExternalError, OptionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger("deras.connectors.http")


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine only."""
    host = host.strip("[]").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_address(text: str) -> tuple[str, int]:
    """``host:port`` (``[::1]:8080``, ``:0``: loopback, any free port); ``OptionError`` if it is none."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise OptionError(f"option 'listen': {text!r} is no address", hint="Write host:port, e.g. '127.0.0.1:8080'.")
    return host.strip("[]") or "127.0.0.1", int(port)


class Routes:
    """An ASGI application that gives requests to intakes by their exact path. Changes at any time, from any thread."""

    def __init__(self) -> None:
        self._apps: dict[str, App] = {}

    def add(self, path: str, app: App) -> None:
        """Serve an application at a path; ``OptionError`` if the path is taken."""
        if self._apps.setdefault(path, app) is not app:
            raise OptionError(
                f"path '{path}' is served for another table already", hint="Give one of them another 'path'."
            )

    def remove(self, path: str) -> None:
        """Serve it no longer."""
        self._apps.pop(path, None)

    def paths(self) -> list[str]:
        """The paths that are served, sorted."""
        return sorted(self._apps)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return
        app = self._apps.get(scope["path"]) or self._apps.get(scope["path"].rstrip("/"))
        if app is not None:
            await app(scope, receive, send)
            return
        body = orjson.dumps({"code": "not-found", "message": f"nothing is collected at {scope['path']}"})
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Listener:
    """A server of its own for the intakes that share an address, in a thread; ends with the last of them.

    Get one with :meth:`share`, give it back with :meth:`release`.
    """

    _all: ClassVar[dict[tuple[str, int], Listener]] = {}
    _guard: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, host: str, port: int, certificate: str | None, key: str | None) -> None:
        import uvicorn

        self.routes = Routes()
        self._users = 0
        self._asked = (host, port)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen(1024)
        except OSError as e:
            self._socket.close()
            raise _cannot_listen(host, port, e) from e
        self.host, self.port = self._socket.getsockname()[:2]
        self.scheme = "https" if certificate else "http"
        try:
            config = uvicorn.Config(
                self.routes,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                ssl_certfile=certificate,
                ssl_keyfile=key,
                timeout_graceful_shutdown=5,
            )
            config.load()
        except OSError as e:
            self._socket.close()
            raise OptionError(f"cannot use the TLS certificate '{certificate}': {e}") from e
        self._server = uvicorn.Server(config)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"deras-http-{self.port}", daemon=True)

    def _serve(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        except Exception:  # noqa: BLE001 (a thread's last word)
            _log.exception("the server at %s:%d has failed", self.host, self.port)

    @classmethod
    def share(cls, host: str, port: int, certificate: str | None = None, key: str | None = None) -> Listener:
        """The server at an address, begun if nobody had asked for it (port 0: always a new one)."""
        with cls._guard:
            found = cls._all.get((host, port)) if port else None
            if found is None:
                found = cls(host, port, certificate, key)
                found._thread.start()
                if port:
                    cls._all[host, port] = found
            found._users += 1
            return found

    def release(self) -> None:
        """One user less; the last one ends the server (requests that are being answered are finished)."""
        with self._guard:
            self._users -= 1
            if self._users > 0:
                return
            self._all.pop(self._asked, None)
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    def address(self) -> str:
        """Where it listens, as the begin of an URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def _cannot_listen(host: str, port: int, e: OSError) -> ExternalError:
    hints = {
        errno.EADDRINUSE: "Another program uses this port: choose another one, or end that program.",
        errno.EACCES: "Ports below 1024 need rights: choose a higher one.",
        errno.EADDRNOTAVAIL: "This machine has no such address: use 127.0.0.1 or 0.0.0.0.",
    }
    said = (e.strerror or str(e)).lower()
    return ExternalError(f"cannot listen on {host}:{port}: {said}", hint=hints.get(e.errno or 0, ""), retry="never")
