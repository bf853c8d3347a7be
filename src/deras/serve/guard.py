"""Who may ask: host names, origins, the access token; and the headers that every answer carries."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import orjson

from deras.core.errors import DerasError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from deras.serve.platform import AsgiApp

COOKIE = "deras_token"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
OPEN_PATHS = ("/healthz", "/readyz")

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
]


class AccessError(DerasError):
    """The caller may not do this."""

    code = "access"

    def __init__(self, message: str, *, status: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


def is_loopback(host: str) -> bool:
    """Whether a listening address cannot be reached from another machine."""
    return host in LOOPBACK or host.startswith("127.")


def host_name(header: str) -> str:
    """The name in a ``Host`` header, lower case, without port and brackets."""
    header = header.strip().lower()
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.rpartition(":")[0] if ":" in header else header


class Guard:
    """ASGI: checks the request, then lets the application answer.

    Args:
        app: what is guarded.
        token: the access token, or None where none is asked (loopback only).
        hosts: names under which the server may be called; None: any (a token is asked then).
        authenticates: tells whether a path checks a token of its own.
    """

    def __init__(
        self,
        app: AsgiApp,
        token: str | None,
        hosts: Collection[str] | None,
        authenticates: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._app = app
        self._token = token.encode() if token else None
        self._hosts = None if hosts is None else frozenset(h.lower() for h in hosts)
        self._authenticates = authenticates

    async def __call__(
        self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                given = {k for k, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(h for h in HEADERS if h[0] not in given)]
            await send(message)

        headers = {k.lower(): v for k, v in scope["headers"]}
        try:
            cookie = self._check(scope, headers)
        except AccessError as e:
            await _refuse(scope, headers, guarded, e)
            return
        if cookie is not None:
            await _enter(guarded, cookie[0], cookie[1])
            return
        await self._app(scope, receive, guarded)

    def _check(self, scope: Any, headers: dict[bytes, bytes]) -> tuple[str, str] | None:
        """Raise ``AccessError``, or give (token, target) where a link with a token must become a cookie."""
        host = headers.get(b"host", b"").decode("latin-1")
        if self._hosts is not None and host_name(host) not in self._hosts:
            raise AccessError(
                f"this server does not answer to the name '{host_name(host)}'",
                status=421,
                hint="Call it by the address that it printed, or add the name to the allowed hosts.",
            )
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            origin = headers.get(b"origin")
            if origin is not None and urlsplit(origin.decode("latin-1")).netloc.lower() != host.lower():
                raise AccessError(
                    "a page of another site may not send to this server", status=403, hint="Send without a browser."
                )
        if self._token is None or scope["path"] in OPEN_PATHS or self._authenticates(scope["path"]):
            return None
        bearer = headers.get(b"authorization", b"")
        if bearer[:7].lower() == b"bearer " and hmac.compare_digest(bearer[7:].strip(), self._token):
            return None
        for part in headers.get(b"cookie", b"").split(b";"):
            name, _, value = part.strip().partition(b"=")
            if name == COOKIE.encode() and hmac.compare_digest(value, self._token):
                return None
        if scope["method"] == "GET" and b"token=" in scope["query_string"]:
            from urllib.parse import parse_qsl

            pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            given = dict(pairs).get("token", "")
            if hmac.compare_digest(given.encode(), self._token):
                rest = urlencode([(k, v) for k, v in pairs if k != "token"])
                # Two slashes at the start would lead to another host.
                path = "/" + scope["path"].lstrip("/\\")
                return given, path + (f"?{rest}" if rest else "")
        raise AccessError(
            "an access token is needed",
            status=401,
            hint="Open the link that the server printed, or send 'Authorization: Bearer <token>'.",
        )


async def _enter(send: Callable[[Any], Awaitable[None]], token: str, target: str) -> None:
    headers = [
        (b"location", target.encode("latin-1", "replace")),
        (b"set-cookie", f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000".encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(
    scope: Any, headers: dict[bytes, bytes], send: Callable[[Any], Awaitable[None]], error: AccessError
) -> None:
    wants_page = scope["method"] == "GET" and b"text/html" in headers.get(b"accept", b"")
    if wants_page:
        body, kind = _page(error), b"text/html; charset=utf-8"
    else:
        body, kind = orjson.dumps(error.to_json()), b"application/json"
    answer = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    if error.status == 401:
        answer.append((b"www-authenticate", b'Bearer realm="deras"'))
    await send({"type": "http.response.start", "status": error.status, "headers": answer})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _page(error: AccessError) -> bytes:
    from html import escape

    # No style sheet: those who are refused get nothing of the page.
    form = ""
    if error.status == 401:
        form = (
            '<form method="get"><p><label>Access token <input type="password" name="token" autofocus '
            'autocomplete="current-password"></label> <button>Open</button></p></form>'
        )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Access refused</title><main><h1>{escape(error.message.capitalize())}</h1>"
        f"<p>{escape(error.hint)}</p>{form}</main></html>"
    ).encode()
