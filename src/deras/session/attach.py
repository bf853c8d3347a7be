"""The owner's end of the local socket: lets other processes of the same user work with the running project."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import queue
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

from deras import __version__
from deras.core.errors import DerasError, ExternalError
from deras.runtime.project import socket_path
from deras.session import wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deras.runtime.project import Project
    from deras.session.result import Result
    from deras.session.session import Session

_log = logging.getLogger("deras.attach")
_WAITING = 64
"""Requests of one connection that may wait."""


class Door:
    """Listens on the project's socket and carries out what is asked.

    A connection is either a *session* (requests, answered in order; ``cancel`` is heard at once) or the *stream* of one
    query's changes: what its reader does not fetch stays in the socket, so nobody needs to count credits.

    Args:
        session: the owner.
        on_stop: called when somebody asks the owner to end (``deras stop``).
    """

    def __init__(self, session: Session, on_stop: Callable[[], None] | None = None) -> None:
        self.session = session
        self.on_stop = on_stop
        self.path: Path | None = None
        self._socket: socket.socket | None = None
        self._connections: set[_Connection] = set()
        self._results: dict[str, Result] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._closed = False

    def open(self, project: Project) -> None:
        """Listen, and write the address into the lock file.

        Raises:
            ExternalError: the socket cannot be made.
        """
        path = socket_path(project.folder)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path.unlink(missing_ok=True)  # we hold the project's lock: whoever left it is gone
            before = os.umask(0o177)
            try:
                sock.bind(str(path))
            finally:
                os.umask(before)
            path.chmod(0o600)
            sock.listen(16)
            project.publish(str(path))
        except OSError as e:
            sock.close()
            raise ExternalError(
                f"cannot open the project's socket '{path}'", detail=str(e), hint="Use a folder on a local disk."
            ) from None
        self.path = path
        self._socket = sock
        threading.Thread(target=self._accept, name="attach", daemon=True).start()

    def _accept(self) -> None:
        sock = self._socket
        while sock is not None and not self._closed:
            try:
                peer, _ = sock.accept()
            except OSError:
                return
            if not _same_user(peer):
                peer.close()
                continue
            connection = _Connection(self, peer)
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=connection.run, name="attached", daemon=True).start()

    def keep(self, result: Result) -> str:
        """Keep a running query until its reader fetches it; gives the name to fetch it by."""
        name = f"r{next(self._ids)}"
        with self._lock:
            self._results[name] = result
        return name

    def take(self, name: str) -> Result | None:
        """The kept query of a name; no longer kept."""
        with self._lock:
            return self._results.pop(name, None)

    def gone(self, connection: _Connection) -> None:
        """A connection ended."""
        with self._lock:
            self._connections.discard(connection)

    def close(self) -> None:
        """Listen no more and hang up. Twice is fine."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            connections, results = list(self._connections), list(self._results.values())
            self._results.clear()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)
        for result in results:
            result.close()
        for connection in connections:
            connection.hang_up()


def _same_user(peer: socket.socket) -> bool:
    """Whether the other process is ours: the socket's mode says so already, this holds if somebody changed it."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return bool(uid in (os.getuid(), 0))


class _Connection:
    """One attached process's connection."""

    def __init__(self, door: Door, sock: socket.socket) -> None:
        self.door = door
        self.sock = sock
        self.session: Session | None = None
        self._requests: queue.Queue[dict[str, Any] | None] = queue.Queue(_WAITING)
        self._mine: set[str] = set()
        self._running: tuple[int, threading.Event] | None = None
        self._cancelled: set[int] = set()
        self._sending = threading.Lock()

    def run(self) -> None:
        try:
            if self._hello():
                self._listen()
        except wire.ClosedError:
            pass
        finally:
            self._requests.put(None)
            for name in self._mine:
                result = self.door.take(name)
                if result is not None:
                    result.close()
            self.hang_up()
            self.door.gone(self)

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self.sock.close()

    def _hello(self) -> bool:
        head, _ = wire.receive(self.sock)
        answer = {"op": "hello", "protocol": wire.PROTOCOL, "version": __version__, "pid": os.getpid()}
        self._send(answer)
        return head.get("op") == "hello" and head.get("protocol") == wire.PROTOCOL

    def _send(self, head: dict[str, Any], body: bytes = b"") -> None:
        with self._sending:
            try:
                wire.send(self.sock, head, body)
            except OSError:
                raise wire.ClosedError from None

    def _listen(self) -> None:
        worker: threading.Thread | None = None
        while True:
            head, _ = wire.receive(self.sock)
            op = head.get("op")
            if op == "cancel":
                self._cancel(head)
            elif op == "stream":
                self._stream(str(head.get("result")))
                return
            else:
                if worker is None:
                    self.session = self.door.session.guest()
                    worker = threading.Thread(target=self._work, name="attached-work", daemon=True)
                    worker.start()
                self._requests.put(head)

    # ---- requests

    def _work(self) -> None:
        while (head := self._requests.get()) is not None:
            try:
                self._answer(head)
            except wire.ClosedError:
                return

    def _answer(self, head: dict[str, Any]) -> None:
        number = head.get("id")
        session = self.session
        assert session is not None  # noqa: S101
        try:
            match head.get("op"):
                case "sql":
                    self._result(head, session.sql(str(head["text"])))
                case "explain":
                    self._send({"id": number, "ok": True, "text": session.explain(str(head["text"]))})
                case "check":
                    errors = [wire.error_to_json(e) for e in session.check_all(str(head["text"]))]
                    self._send({"id": number, "ok": True, "errors": errors})
                case "names":
                    self._send({"id": number, "ok": True, "names": session.names()})
                case "status":
                    self._send({"id": number, "ok": True, "status": session.status()})
                case "checkpoint":
                    self._send({"id": number, "ok": True, "epoch": session.checkpoint()})
                case "stop":
                    self._send({"id": number, "ok": True})
                    if self.door.on_stop is not None:
                        self.door.on_stop()
                case other:
                    raise DerasError(f"the running process does not know the request '{other}'", hint="Restart it.")
        except wire.ClosedError:
            raise
        except Exception as e:  # noqa: BLE001 (told to the one who asked)
            if not isinstance(e, DerasError):
                _log.exception("a request of an attached process failed")
            self._send({"id": number, "ok": False, "error": wire.error_to_json(e)})

    def _result(self, head: dict[str, Any], result: Result) -> None:
        number = head.get("id")
        about: dict[str, Any] = {
            "id": number,
            "ok": True,
            "schema": wire.schema_to_json(result.schema),
            "key": None if result.key is None else list(result.key),
            "bounded": result.bounded,
            "message": result.message,
            "warnings": result.warnings,
            "final": result.final,
            "append_only": result.append_only,
            "zone": self.session.zone if self.session is not None else "UTC",
        }
        body = b""
        if result.streaming:
            if number in self._cancelled:
                result.close()
            name = self.door.keep(result)
            self._mine.add(name)
            about["result"] = name
        elif len(result.schema):
            body, about["as"] = _whole(result)
        self._send(about, body)

    def _cancel(self, head: dict[str, Any]) -> None:
        if "result" in head:
            result = self.door.take(str(head["result"]))
            if result is not None:
                result.close()
        elif isinstance(head.get("id"), int):
            self._cancelled.add(head["id"])
            if self.session is not None:
                self.session.cancel()

    # ---- the changes of a query

    def _stream(self, name: str) -> None:
        result = self.door.take(name)
        if result is None:
            self._send({"end": True})
            return
        # Whoever hangs up wants no more, even while no rows come.
        threading.Thread(target=self._until_gone, args=(result,), name="attached-watch", daemon=True).start()
        try:
            for delta in result.deltas():
                self._send({"rows": delta.length}, wire.delta_to_bytes(delta))
            self._send({"end": True})
        except DerasError as e:
            self._send({"end": True, "error": wire.error_to_json(e)})
        finally:
            result.close()

    def _until_gone(self, result: Result) -> None:
        with contextlib.suppress(wire.ClosedError):
            while True:
                wire.receive(self.sock)
        result.close()


def _whole(result: Result) -> tuple[bytes, str]:
    """The rows of a complete answer, and how they are written."""
    table = result.table
    if table is not None:
        return wire.table_to_bytes(table), "arrow"
    from deras.core.delta import Delta

    return wire.delta_to_bytes(Delta.of(result.schema, result.rows())), "delta"
