"""A request's body as whole records: inflated within bounds, checked, one record a line."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from deras.connectors._kernels import flatten_array

SHOWN = 100
"""Positions of bad lines that an answer lists; the number of all is told too."""

LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines")
# What clients send when nobody told them: curl -d says it is a form.
ANY = ("", "text/plain", "application/octet-stream", "application/x-www-form-urlencoded")


class RefusedError(Exception):
    """The request is answered with an error; nothing of it is stored.

    Args:
        status: the HTTP status.
        code: a word for machines.
        message: what is wrong, lower case.
        more: further fields of the answer's body.
        headers: further headers.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.more = more
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may bring: bytes (inflated too) and records (None: any number)."""

    body: int
    records: int | None = None


@dataclass(slots=True)
class Records:
    """Whole records, each ended by a newline."""

    payload: bytes
    count: int


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its ``Content-Encoding``, never more than ``limit`` bytes."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise RefusedError(
            415,
            "encoding",
            f"content encoding '{encoding}' is not supported",
            {"accept-encoding": "gzip, deflate"},
        )
    parts: list[bytes] = []
    size = 0
    rest = body
    try:
        while rest:
            # A body of several gzip members is one body; deflate may come bare or in zlib's wrapper.
            unpacker = zlib.decompressobj(47 if encoding != "deflate" or rest[0] & 0x0F == 8 else -15)
            part = unpacker.decompress(rest, limit + 1 - size)
            size += len(part)
            if size > limit:
                raise too_large(limit, "inflated body")
            parts.append(part)
            if not unpacker.eof:
                raise RefusedError(400, "encoding", f"the {encoding} body is cut short")
            rest = unpacker.unused_data
    except zlib.error as e:
        raise RefusedError(400, "encoding", f"the body is no {encoding}: {e}") from None
    return b"".join(parts)


def too_large(limit: int, what: str) -> RefusedError:
    """The answer to a body over the limit."""
    return RefusedError(
        413, "too-large", f"{what} is larger than {limit} bytes", hint="Send smaller batches, or raise 'max-body'."
    )


def read_json(body: bytes, content_type: str, limits: Limits) -> Records:
    """JSON records of a body: one object, an array of objects, or an object a line.

    The content type decides, and where it says nothing (or ``application/json``) the first byte: ``[`` begins an array,
    else it is one object if the whole is one, else lines. One bad line refuses all.
    """
    kind = content_type.partition(";")[0].strip().lower()
    known = kind in LINES or kind in ANY or kind == "application/json" or kind.endswith("+json")
    if not known:
        raise RefusedError(
            415,
            "media-type",
            f"content type '{kind}' is not supported",
            {"accept": "application/json, application/x-ndjson"},
            hint="Send application/json (an object or an array) or application/x-ndjson (an object a line).",
        )
    if body.startswith(b"\xef\xbb\xbf"):
        body = body[3:]
    start = body.lstrip()[:1]
    if not start:
        raise RefusedError(400, "empty", "the body holds no record")
    if kind in LINES:
        return _lines(body, limits)
    if start == b"[":
        return _array(body, limits)
    return _single(body, limits)


def read_lines(body: bytes, limits: Limits) -> Records:
    """Records of another line format: not looked into."""
    lines = [line for line in body.split(b"\n") if line.strip()]
    if not lines:
        raise RefusedError(400, "empty", "the body holds no record")
    _count(len(lines), limits)
    return Records(b"\n".join(lines) + b"\n", len(lines))


def _count(n: int, limits: Limits) -> None:
    if limits.records is not None and n > limits.records:
        raise RefusedError(
            413,
            "too-many",
            f"{n} records in one request, at most {limits.records} are taken",
            hint="Send smaller batches, or raise 'max-records'.",
        )


def _single(body: bytes, limits: Limits) -> Records:
    """One object, or else an object a line."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as e:
        whole = _bad([_place(e, e.lineno, e.colno)], 1)
        lines = sum(1 for line in body.split(b"\n") if line.strip())
        if lines == 1:
            raise whole from None
        try:
            return _lines(body, limits)
        except RefusedError as wrong:
            # No line is good by itself: it was meant as one object.
            raise (whole if wrong.more.get("bad") == lines else wrong) from None
    if type(value) is not dict:
        raise _bad([{"line": 1, "column": 1, "message": f"expected an object, found {_name(value)}"}], 1)
    return Records(body.replace(b"\n", b" ").replace(b"\r", b" ").strip() + b"\n", 1)


def _array(body: bytes, limits: Limits) -> Records:
    try:
        values = orjson.loads(body)
    except orjson.JSONDecodeError as e:
        raise _bad([_place(e, e.lineno, e.colno)], 1) from None
    wrong = [i for i, v in enumerate(values) if type(v) is not dict]
    if wrong:
        places = [{"element": i + 1, "message": f"expected an object, found {_name(values[i])}"} for i in wrong[:SHOWN]]
        raise _bad(places, len(wrong))
    _count(len(values), limits)
    if not values:
        return Records(b"", 0)
    data = np.frombuffer(body, np.uint8).copy()
    if flatten_array(data) != len(values) - 1:
        raise RefusedError(400, "decode", "the array cannot be taken apart")
    return Records(data.tobytes().strip() + b"\n", len(values))


def _lines(body: bytes, limits: Limits) -> Records:
    lines = body.split(b"\n")
    loads = orjson.loads
    places: list[dict[str, Any]] = []
    bad = blank = 0
    for i, line in enumerate(lines):
        try:
            value = loads(line)
        except orjson.JSONDecodeError as e:
            if not line.strip():
                blank += 1
                continue
            bad += 1
            if len(places) < SHOWN:
                places.append(_place(e, i + 1, e.colno))
        else:
            if type(value) is not dict:
                bad += 1
                if len(places) < SHOWN:
                    places.append({"line": i + 1, "column": 1, "message": f"expected an object, found {_name(value)}"})
    if bad:
        raise _bad(places, bad)
    n = len(lines) - blank
    if not n:
        raise RefusedError(400, "empty", "the body holds no record")
    _count(n, limits)
    if blank == (1 if not lines[-1] else 0):
        return Records(body if body.endswith(b"\n") else body + b"\n", n)
    return Records(b"\n".join(line for line in lines if line.strip()) + b"\n", n)


def _place(e: orjson.JSONDecodeError, line: int, column: int) -> dict[str, Any]:
    return {"line": line, "column": column, "message": e.msg}


def _bad(places: list[dict[str, Any]], count: int) -> RefusedError:
    first = places[0]
    where = f"element {first['element']}" if "element" in first else f"line {first['line']}, column {first['column']}"
    return RefusedError(
        400,
        "decode",
        f"bad JSON at {where}: {first['message']}",
        detail="Nothing of the request was stored.",
        positions=places,
        bad=count,
    )


def _name(value: Any) -> str:
    if value is None:
        return "null"
    return {list: "an array", str: "a string", bool: "a boolean"}.get(type(value), "a number")
