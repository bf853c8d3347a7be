"""The HTTP server: one thread with its own loop, on loopback unless told otherwise."""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from deras.core.errors import ConfigError, DerasError, ExternalError, InternalError
from deras.serve.assets import Assets
from deras.serve.changes import Streams
from deras.serve.definition import NAME, Dashboard, Dashboards
from deras.serve.filters import RequestError
from deras.serve.guard import LOOPBACK, Guard, is_loopback
from deras.serve.hub import Hub
from deras.serve.platform import Mount
from deras.serve.rest import SSE_HEADERS, Rest, error_answer, json_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    import uvicorn
    from starlette.requests import Request
    from starlette.responses import Response

    from deras.serve.platform import AsgiApp, Platform

DEFAULT_PORT = 8787
_START_S = 20.0
_STOP_S = 5.0


class Site:
    """The ASGI application: sources' intake, REST, dashboards. Made on the server's loop.

    Args:
        platform: what is served.
        dashboards: the pages.
    """

    def __init__(self, platform: Platform, dashboards: Dashboards) -> None:
        from starlette.applications import Starlette
        from starlette.routing import Route

        self.platform = platform
        self.dashboards = dashboards
        self.boot = secrets.token_hex(4)
        self.pool = ThreadPoolExecutor(3, thread_name_prefix="serve")
        self.assets = Assets()
        self.streams = Streams(platform, self.boot, self.pool)
        self.hubs: dict[str, Hub] = {}
        rest = Rest(platform, self.streams, self.pool, self.boot)
        self.app = Starlette(
            routes=[
                Route("/", self.page),
                Route("/d/{name}", self.page),
                Route("/static/{build}/{name:path}", self.static),
                Route("/v1/dashboards", self.list),
                Route("/v1/dashboards/{name}", self.definition),
                Route("/v1/dashboards/{name}/events", self.events),
                *rest.routes(),
            ],
            exception_handlers={DerasError: _told, 404: _not_found, 405: _not_allowed, Exception: _told},
        )

    # ---- intake

    def mount(self, path: str) -> Mount | None:
        """The intake application for a path."""
        for found in self.platform.ingest():
            m = Mount(*found)
            if path == m.path or path.startswith(m.path.rstrip("/") + "/"):
                return m
        return None

    async def __call__(
        self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Serve one request; intake goes past everything else, for it is the hot path."""
        if scope["type"] == "http":
            found = self.mount(scope["path"])
            if found is not None:
                await found.app(scope, receive, send)
                return
        await self.app(scope, receive, send)

    # ---- pages

    async def page(self, request: Request) -> Response:
        """The page's shell; it asks for its definition itself."""
        return self.assets.index()

    async def static(self, request: Request) -> Response:
        """The page's files."""
        return self.assets.answer(request)

    async def list(self, request: Request) -> Response:
        """Names and titles of all dashboards."""
        return json_answer({"dashboards": [self._title(n) for n in self.dashboards.names()]})

    def _title(self, name: str) -> dict[str, str]:
        try:
            found = self.dashboards.get(name, self.platform.views())
        except ConfigError:
            found = None
        return {"name": name, "title": found.title if found else name}

    def _dashboard(self, name: str) -> Dashboard:
        found = self.dashboards.get(name, self.platform.views()) if NAME.fullmatch(name) else None
        if found is None:
            names = ", ".join(self.dashboards.names())
            raise RequestError(f"there is no dashboard '{name}'", status=404, hint=f"Dashboards: {names}.")
        return found

    async def definition(self, request: Request) -> Response:
        """What the page draws."""
        found = self._dashboard(request.path_params["name"])
        body = found.to_json() | {"project": self.platform.name, "dashboards": self.dashboards.names()}
        return json_answer(body, headers={"cache-control": "no-store"})

    async def events(self, request: Request) -> Response:
        """The page's stream."""
        from starlette.responses import StreamingResponse

        hub = await self.hub(request.path_params["name"])
        return StreamingResponse(hub.stream(), media_type="text/event-stream", headers=SSE_HEADERS)

    async def hub(self, name: str) -> Hub:
        """The running feeds of a dashboard; new ones if its file changed."""
        dashboard = self._dashboard(name)
        hub = self.hubs.get(name)
        if hub is None or hub.closed or hub.dashboard != dashboard:
            if hub is not None:
                hub.outdated = True
                await hub.close()
            hub = Hub(self.platform, dashboard, self.pool, self.boot, lambda: self._current(dashboard))
            self.hubs[name] = hub
        return hub

    def _current(self, dashboard: Dashboard) -> bool:
        try:
            return self.dashboards.get(dashboard.name, self.platform.views()) == dashboard
        except ConfigError:
            return False  # the page loads again and shows what is wrong

    async def close(self) -> None:
        """End all streams and threads."""
        self.streams.close()
        for hub in self.hubs.values():
            await hub.close()
        self.pool.shutdown(wait=False, cancel_futures=True)


async def _told(_: Request, error: Exception) -> Response:
    return error_answer(error)


async def _not_found(request: Request, _: Exception) -> Response:
    hint = "Begin at GET /v1/views, or open / in a browser."
    return error_answer(RequestError(f"there is nothing at {request.url.path}", status=404, hint=hint))


async def _not_allowed(request: Request, _: Exception) -> Response:
    return error_answer(RequestError(f"{request.method} is not possible at {request.url.path}", status=405))


class Server:
    """Serves a platform over HTTP from a thread of its own.

    Args:
        platform: what is served.
        dashboards: the pages; by default those of no folder (one table a view).
        host: the address to listen on. Off loopback a token is needed.
        port: 0 takes a free one.
        token: the access token (at least 16 characters), or None.
        allowed_hosts: further names in the ``Host`` header, for example behind a proxy.

    Raises:
        ConfigError: off loopback without a token, or a token that is too short.
    """

    def __init__(
        self,
        platform: Platform,
        dashboards: Dashboards | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        token: str | None = None,
        allowed_hosts: Collection[str] = (),
    ) -> None:
        if token is not None and (len(token) < 16 or not token.isascii() or any(c in token for c in ' ;,"\\\r\n')):
            raise ConfigError(
                "the access token is too short or has characters that a header cannot carry",
                hint="Use 16 or more letters and digits, for example from 'openssl rand -hex 16'.",
            )
        if not is_loopback(host) and token is None:
            raise ConfigError(
                f"listening on {host} would show the data to everybody on the network",
                hint="Set an access token, or listen on 127.0.0.1.",
            )
        self.platform = platform
        self.dashboards = dashboards or Dashboards(None)
        self.host = host
        self.port = port
        self.token = token
        # With a token, a foreign name gains nothing: its pages have no cookie of ours.
        loopback = None if token is not None and not allowed_hosts else {*LOOPBACK, host, *allowed_hosts}
        self._hosts = loopback
        self._site: Site | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        """The address to open, without the token."""
        name = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(self.host, self.host)  # noqa: S104
        return f"http://{name}:{self.port}"

    @property
    def link(self) -> str:
        """The address to open in a browser, with the token where one is asked."""
        return f"{self.url}/?token={self.token}" if self.token else f"{self.url}/"

    def start(self) -> None:
        """Listen; comes back when requests are answered.

        Raises:
            ExternalError: the port is taken, or the address is not this machine's.
        """
        sock = self._bind()
        self.port = sock.getsockname()[1]
        began: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(sock, began), name="http", daemon=True)
        self._thread.start()
        try:
            began.result(_START_S)
        except TimeoutError:
            raise InternalError("the HTTP server did not start in time") from None

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self.host, self.port))
            sock.listen(512)
        except OSError as e:
            sock.close()
            if e.errno == errno.EADDRINUSE:
                raise ExternalError(
                    f"port {self.port} is taken",
                    hint="Another program, or another Deras, listens there: stop it or choose a port with --port.",
                    retry="never",
                ) from None
            if e.errno == errno.EACCES:
                raise ExternalError(
                    f"port {self.port} may not be used by this user", hint="Choose one above 1023.", retry="never"
                ) from None
            raise ExternalError(
                f"cannot listen on {self.host}:{self.port}", detail=str(e), hint="Listen on 127.0.0.1.", retry="never"
            ) from None
        except OverflowError:
            sock.close()
            raise ConfigError(f"{self.port} is no port", hint="Ports go from 0 to 65535.") from None
        return sock

    def _run(self, sock: socket.socket, began: Future[None]) -> None:
        import uvicorn

        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            site = Site(self.platform, self.dashboards)
            self._site = site

            def authenticates(path: str) -> bool:
                found = site.mount(path)
                return found is not None and found.authenticates

            app: AsgiApp = Guard(site, self.token, self._hosts, authenticates)
            config = uvicorn.Config(
                app,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=True,
                ws="none",
                timeout_keep_alive=30,
                timeout_graceful_shutdown=2,
                h11_max_incomplete_event_size=64 << 10,
            )
            server = uvicorn.Server(config)
            self._server = server
            serving = asyncio.ensure_future(server.serve(sockets=[sock]))
            while not server.started and not serving.done():  # noqa: ASYNC110 (uvicorn tells by a flag only)
                await asyncio.sleep(0.005)
            if not began.done():
                began.set_result(None)
            await serving

        try:
            import uvloop

            factory: Any = uvloop.new_event_loop
        except ImportError:
            factory = None
        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(main())
        except BaseException as e:
            if not began.done():
                began.set_exception(e)
            else:
                raise
        finally:
            sock.close()

    def stop(self) -> None:
        """End all streams, answer what has begun, close. Harmless when not started."""
        thread, server, loop, site = self._thread, self._server, self._loop, self._site
        if thread is None or server is None or loop is None:
            return
        if site is not None and thread.is_alive():
            ended = asyncio.run_coroutine_threadsafe(site.close(), loop)
            try:
                ended.result(_STOP_S)
            except TimeoutError:
                ended.cancel()
        server.should_exit = True
        thread.join(_STOP_S)
        self._thread = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
