"""What an owner and those attached to it say to each other over the local socket: frames, rows, errors.

A frame is a JSON head and a body of bytes (Arrow IPC), both after their lengths. A connection begins with ``hello``
from both sides, which carries the protocol's number and the version of Deras.
"""

from __future__ import annotations

import io
import json
import struct
from typing import TYPE_CHECKING, Any

from deras.core.errors import (
    BindError,
    ConfigError,
    CorruptError,
    DerasError,
    ExternalError,
    InternalError,
    OptionError,
    PlanError,
    ProjectBusyError,
    RowError,
    Span,
    SqlError,
    SqlSyntaxError,
)
from deras.core.schema import Field, Schema

if TYPE_CHECKING:
    import socket

    from deras.core.delta import Delta

PROTOCOL = 1
_LENGTHS = struct.Struct(">IQ")
_MOST_HEAD = 64 << 20
_WEIGHT = "w"

_KINDS: dict[str, type[DerasError]] = {
    c.code: c
    for c in (
        SqlError, SqlSyntaxError, BindError, PlanError, OptionError, ConfigError, ProjectBusyError, ExternalError,
        CorruptError, RowError, InternalError,
    )
}  # fmt: skip


class ClosedError(Exception):
    """The other side is gone."""


# ---- frames


def send(sock: socket.socket, head: dict[str, Any], body: bytes = b"") -> None:
    """Send one frame; ``OSError`` if the other side is gone."""
    raw = json.dumps(head, ensure_ascii=False).encode()
    sock.sendall(_LENGTHS.pack(len(raw), len(body)) + raw)
    if body:
        sock.sendall(body)


def receive(sock: socket.socket) -> tuple[dict[str, Any], bytes]:
    """The next frame; ``ClosedError`` when the other side is gone or does not speak our language."""
    head_length, body_length = _LENGTHS.unpack(_exactly(sock, _LENGTHS.size))
    if head_length > _MOST_HEAD:
        raise ClosedError
    raw = _exactly(sock, head_length)
    body = _exactly(sock, body_length)
    try:
        head = json.loads(raw)
    except ValueError:
        raise ClosedError from None
    if not isinstance(head, dict):
        raise ClosedError
    return head, body


def _exactly(sock: socket.socket, n: int) -> bytes:
    parts = []
    while n:
        try:
            part = sock.recv(min(n, 1 << 20))
        except OSError:
            raise ClosedError from None
        if not part:
            raise ClosedError
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


# ---- schema and rows


def schema_to_json(schema: Schema) -> list[dict[str, Any]]:
    """Names, SQL types, time attributes."""
    return [{"name": f.name, "type": str(f.type), "time": f.time, "comment": f.comment} for f in schema]


def schema_of_json(fields: list[dict[str, Any]], key: list[int] | tuple[int, ...] = ()) -> Schema:
    """The way back."""
    from deras.core.types import NULL
    from deras.sql.types import parse_type

    def of(text: str) -> Any:
        return NULL if text.startswith("NULL") else parse_type(text)

    return Schema(tuple(Field(f["name"], of(f["type"]), f["time"], f.get("comment", "")) for f in fields), tuple(key))


def delta_to_bytes(delta: Delta) -> bytes:
    """Rows and weights as an Arrow IPC stream."""
    import polars as pl

    frame = delta.frame().with_columns(pl.Series(_WEIGHT, delta.weight_array()))
    out = io.BytesIO()
    frame.write_ipc_stream(out)
    return out.getvalue()


def delta_of_bytes(schema: Schema, body: bytes) -> Delta:
    """The way back."""
    import polars as pl

    from deras.core.column import Column
    from deras.core.delta import Delta

    frame = pl.read_ipc_stream(io.BytesIO(body))
    weights = frame.to_series(frame.width - 1).to_numpy()
    columns = [Column.of_series(f.type, frame.to_series(i)) for i, f in enumerate(schema)]
    return Delta(schema, columns, None if (weights == 1).all() else weights, length=frame.height)


def table_to_bytes(table: Any) -> bytes:
    """An Arrow table as an IPC stream."""
    import pyarrow as pa

    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def table_of_bytes(body: bytes) -> Any:
    """The way back."""
    import pyarrow as pa

    with pa.ipc.open_stream(body) as reader:
        return reader.read_all()


# ---- errors


def error_to_json(e: BaseException) -> dict[str, Any]:
    """An error with all that is needed to show it elsewhere."""
    if not isinstance(e, DerasError):
        e = InternalError(f"{type(e).__name__}: {e}", hint="This is a fault of Deras; please report it.")
    found = e.to_json()
    if isinstance(e, SqlError) and e.span is not None:
        found["text"] = e.text
    return found


def error_of_json(found: dict[str, Any]) -> DerasError:
    """The same error again, of the same class."""
    kind = _KINDS.get(str(found.get("code")), DerasError)
    message, detail, hint = (str(found.get(k, "")) for k in ("message", "detail", "hint"))
    if issubclass(kind, SqlError):
        span = Span(int(found["start"]), int(found["end"])) if "start" in found else None
        return kind(message, text=str(found.get("text", "")), span=span, detail=detail, hint=hint)
    e = kind(message, detail=detail, hint=hint)
    e.code = str(found.get("code", kind.code))
    e.retry = "backoff" if found.get("retry") == "backoff" else "never"
    return e
