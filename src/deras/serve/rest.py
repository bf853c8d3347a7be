"""REST over the views: lists, rows, changes, queries, health, metrics."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from deras.core.errors import DerasError, Domain, InternalError, did_you_mean
from deras.serve import filters
from deras.serve.filters import RequestError
from deras.serve.platform import Cancellation
from deras.serve.values import csv_text, json_column, plain, sql_type_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from starlette.requests import Request

    from deras.core.schema import Field
    from deras.serve.changes import Streams
    from deras.serve.platform import Platform, ViewInfo

ARROW = "application/vnd.apache.arrow.stream"
_KINDS = {"json": "application/json", "csv": "text/csv", "arrow": ARROW}
_MAX_QUERY_BYTES = 1 << 20
_MAX_QUERY_ROWS = 100_000
SSE_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


def json_answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(body), status, headers=headers, media_type="application/json")


def error_answer(error: Exception) -> Response:
    """Any error as JSON with code, message, hint; its status says whose fault it is."""
    if not isinstance(error, DerasError):
        error = InternalError("the request failed", detail=f"{type(error).__name__}: {error}")
    status = getattr(error, "status", None)
    if status is None:
        status = {Domain.USER: 400, Domain.EXTERNAL: 503, Domain.INTERNAL: 500}[error.domain]
    return json_answer(error.to_json(), int(status), {"cache-control": "no-store"})


def wanted_format(request: Request) -> str:
    """``json``, ``csv`` or ``arrow`` by ``?format=``, else by ``Accept``, else JSON."""
    asked = request.query_params.get("format")
    if asked is not None:
        if asked not in _KINDS:
            hint = did_you_mean(asked, _KINDS) or f"Formats: {', '.join(_KINDS)}."
            raise RequestError(f"there is no format '{asked}'", hint=hint)
        return asked
    accept = request.headers.get("accept", "")
    best, best_quality = "json", -1.0
    for part in accept.split(","):
        kind, *parameters = (p.strip() for p in part.split(";"))
        quality = 1.0
        for p in parameters:
            if p.startswith("q="):
                try:
                    quality = float(p[2:])
                except ValueError:
                    quality = 0.0
        for name, media in (*_KINDS.items(), ("json", "application/*"), ("json", "*/*"), ("csv", "text/*")):
            if kind == media and quality > best_quality:
                best, best_quality = name, quality
    return best


def rows_answer(table: pa.Table, fields: Sequence[Field] | None, kind: str, head: dict[str, Any]) -> Response:
    """A table as JSON objects, CSV or an Arrow stream."""
    names = table.column_names
    if kind == "arrow":
        sink = io.BytesIO()
        flat = plain(table)
        with pa.ipc.new_stream(sink, flat.schema) as writer:
            writer.write_table(flat)
        return Response(sink.getvalue(), media_type=ARROW)
    types = [f.type for f in fields] if fields is not None else [None] * len(names)
    columns = [json_column(table.column(i).combine_chunks(), t) for i, t in enumerate(types)]
    if kind == "csv":
        text = csv_text(names, columns, table.num_rows)
        return Response(text, media_type="text/csv; charset=utf-8; header=present")
    head = dict(head)
    described = [
        {"name": n, "type": str(t) if t is not None else sql_type_text(table.schema.field(i).type)}
        for i, (n, t) in enumerate(zip(names, types, strict=True))
    ]
    if len(set(names)) == len(names):
        head |= {"columns": described, "rows": [dict(zip(names, r, strict=True)) for r in zip(*columns, strict=True)]}
    else:  # doubled names would lose values in objects
        head |= {"columns": described, "rows": [list(r) for r in zip(*columns, strict=True)]}
    return json_answer(head)


class Rest:
    """The endpoints.

    Args:
        platform: what is asked.
        streams: the subscriptions.
        pool: threads for queries.
        boot: a word that changes with each start of the server; part of ETags.
    """

    def __init__(self, platform: Platform, streams: Streams, pool: Executor, boot: str) -> None:
        self.platform = platform
        self.streams = streams
        self.pool = pool
        self.boot = boot

    def routes(self) -> list[Route]:
        """All routes."""
        return [
            Route("/healthz", self.health),
            Route("/readyz", self.ready),
            Route("/metrics", self.metrics),
            Route("/v1/status", self.status),
            Route("/v1/views", self.views),
            # Names may hold anything, slashes too: 'path' takes them as they come, %2F decoded.
            Route("/v1/views/{name:path}/changes", self.changes),
            Route("/v1/views/{name:path}", self.rows),
            Route("/v1/query", self.query, methods=["POST"]),
        ]

    def _view(self, name: str) -> ViewInfo:
        views = self.platform.views()
        for v in views:
            if v.name == name:
                return v
        known = [v.name for v in views]
        hint = did_you_mean(name, known) or (f"Views: {', '.join(known[:10])}." if known else "No view is defined yet.")
        raise RequestError(f"there is no view '{name}'", status=404, hint=hint)

    async def health(self, request: Request) -> Response:
        """The process answers."""
        return PlainTextResponse("ok\n", headers={"cache-control": "no-store"})

    async def ready(self, request: Request) -> Response:
        """The platform takes and gives rows."""
        status = self.platform.status()
        good = status.state not in ("starting", "failed")
        body = {"state": status.state, "message": status.message}
        return json_answer(body, 200 if good else 503, {"cache-control": "no-store"})

    async def metrics(self, request: Request) -> Response:
        """Prometheus' text format."""
        body = await self._threaded(self.platform.metrics)
        return Response(body, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def status(self, request: Request) -> Response:
        """The header's figures."""
        from dataclasses import asdict

        return json_answer(asdict(self.platform.status()), headers={"cache-control": "no-store"})

    async def views(self, request: Request) -> Response:
        """All views with columns and counts."""
        return json_answer({"views": [_info_json(v) for v in self.platform.views()]})

    async def rows(self, request: Request) -> Response:
        """Rows of one view, filtered."""
        info = self._view(request.path_params["name"])
        kind = wanted_format(request)
        chosen = filters.select(info, request.query_params.multi_items())
        tag = f'W/"{self.boot}-{info.step}-{kind}"'
        headers = {"etag": tag, "cache-control": "no-cache", "vary": "accept"}
        if tag in [t.strip() for t in request.headers.get("if-none-match", "").split(",")]:
            return Response(None, 304, headers=headers)

        def answer() -> Response:
            table = self.platform.query(chosen.sql, chosen.parameters)
            head = {"view": info.name, "step": info.step, "watermark": info.watermark, "limit": chosen.limit}
            return rows_answer(table, chosen.fields, kind, head)

        response: Response = await self._threaded(answer)
        response.headers.update(headers)
        return response

    async def changes(self, request: Request) -> Response:
        """Server-sent events: ``schema``, ``snapshot``, then each ``change``."""
        self._view(request.path_params["name"])
        unknown = set(request.query_params) - {"snapshot", "last_event_id"}
        if unknown:
            raise RequestError(f"'{min(unknown)}' is unknown here", hint="Use snapshot=false or last_event_id=….")
        last = request.headers.get("last-event-id") or request.query_params.get("last_event_id", "")
        snapshot = request.query_params.get("snapshot", "true") != "false"
        events = self.streams.read(request.path_params["name"], last, snapshot)
        return StreamingResponse(events, media_type="text/event-stream", headers=SSE_HEADERS)

    async def query(self, request: Request) -> Response:
        """``POST``: one SELECT, as ``application/json`` {sql, parameters, timeout} or ``application/sql``."""
        kind = wanted_format(request)
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media not in ("application/json", "application/sql"):
            hint = 'Send {"sql": "SELECT …"} as application/json, or the SQL itself as application/sql.'
            raise RequestError(f"a query cannot come as '{media or 'nothing'}'", status=415, hint=hint)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_QUERY_BYTES:
                raise RequestError("the query is longer than 1 MiB", status=413)
        sql, parameters, timeout = _query_body(bytes(body), media)
        cancel = Cancellation()

        def answer() -> Response:
            table = self.platform.query(sql, parameters, timeout=timeout, cancel=cancel)
            cut = table.num_rows > _MAX_QUERY_ROWS and kind != "arrow"
            shown = table.slice(0, _MAX_QUERY_ROWS) if cut else table
            return rows_answer(shown, None, kind, {"truncated": cut})

        running = asyncio.ensure_future(self._threaded(answer))
        gone = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait({running, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                cancel.cancel()  # nobody waits for it any more
            response: Response = await running
        finally:
            if not running.done():
                cancel.cancel()
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
        response.headers["cache-control"] = "no-store"
        return response

    async def _threaded(self, work: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.pool, work)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _query_body(body: bytes, media: str) -> tuple[str, list[Any], float]:
    if media == "application/sql":
        try:
            return body.decode(), [], 30.0
        except UnicodeDecodeError as e:
            raise RequestError("the SQL is not UTF-8", detail=str(e)) from None
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as e:
        raise RequestError("the body is no JSON", detail=str(e)) from None
    if not isinstance(found, dict) or not isinstance(found.get("sql"), str):
        raise RequestError("the body has no text 'sql'", hint='Send {"sql": "SELECT …"}.')
    known = ("sql", "parameters", "timeout")
    for name in found:
        if name not in known:
            raise RequestError(f"'{name}' is unknown in a query", hint=did_you_mean(name, known) or "")
    parameters, timeout = found.get("parameters", []), found.get("timeout", 30.0)
    if not isinstance(parameters, list):
        raise RequestError("'parameters' must be a list")
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= 300:
        raise RequestError("'timeout' must be seconds, more than 0 and at most 300")
    return found["sql"], parameters, float(timeout)


def _info_json(v: ViewInfo) -> dict[str, Any]:
    return {
        "name": v.name,
        "comment": v.comment,
        "columns": [{"name": f.name, "type": str(f.type), "comment": f.comment} for f in v.schema],
        "key": [v.schema.names[i] for i in v.schema.key],
        "append_only": v.append_only,
        "rows": v.rows,
        "step": v.step,
        "watermark": v.watermark,
        "updated": v.updated,
    }
