"""A session in a process that does not own the project: everything is asked of the owner, through its local socket."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deras import __version__
from deras.core.errors import DerasError, ExternalError, ProjectBusyError
from deras.runtime.project import owner, socket_path
from deras.session import wire
from deras.session.result import Result, Stream
from deras.sql.settings import local_zone

if TYPE_CHECKING:
    from deras.core.delta import Delta
    from deras.core.schema import Schema


def connect(address: str, pid: int) -> socket.socket:
    """A connection to the owner, greeted.

    Raises:
        ExternalError: nobody answers, or it is another version of Deras.
    """
    path = Path(address)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.stat().st_uid not in (os.getuid(), 0):
            raise ExternalError(f"the socket '{path}' belongs to another user", retry="never")
        sock.connect(address)
        wire.send(sock, {"op": "hello", "protocol": wire.PROTOCOL, "version": __version__})
        head, _ = wire.receive(sock)
    except (OSError, wire.ClosedError):
        sock.close()
        raise ExternalError(
            f"process {pid} runs the project, but does not answer",
            hint=f"Wait until it has started or ended, or stop it with 'kill {pid}'.",
        ) from None
    except ExternalError:
        sock.close()
        raise
    if head.get("protocol") != wire.PROTOCOL:
        sock.close()
        raise ExternalError(
            f"process {pid} runs the project with Deras {head.get('version')}, this is {__version__}",
            hint="Restart it, so that both are the same.",
            retry="never",
        )
    return sock


def attach(folder: Path | str) -> RemoteSession:
    """Attach to the process that runs a project.

    Raises:
        ExternalError: nobody runs it, or the process does not answer.
    """
    found = owner(folder)
    if found is None or not found.alive:
        raise ExternalError(
            f"nobody runs the project '{Path(folder)}'",
            hint="Start it with 'deras run pipeline.sql --project …'.",
            retry="never",
        )
    address = found.address
    if not address:
        address = str(socket_path(folder))
        if not Path(address).exists():
            raise ProjectBusyError(
                f"process {found.pid} uses the project '{Path(folder)}' and does not listen (yet)",
                hint="Try again in a moment, or use another folder.",
            )
    return RemoteSession(Path(folder), address, found.pid)


class RemoteSession:
    """The same door as a :class:`~deras.session.session.Session`, to a project that another process runs.

    Args:
        folder: the project's.
        address: of the owner's socket.
        pid: of the owner.
    """

    attached = True

    def __init__(self, folder: Path, address: str, pid: int) -> None:
        self.folder = folder
        self.pid = pid
        self._address = address
        self.zone = local_zone()
        """The session's time zone by name."""
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._now: int | None = None
        self._sock: socket.socket | None = connect(address, pid)

    # ---- asking

    def ask(self, op: str, **more: Any) -> tuple[dict[str, Any], bytes]:
        """One request and its answer.

        Raises:
            DerasError: what the owner said.
            ExternalError: it is gone.
        """
        with self._lock:
            sock = self._sock
            if sock is None:
                raise DerasError("this session is closed", hint="Call deras.connect() again.")
            number = next(self._ids)
            self._now = number
            try:
                wire.send(sock, {"op": op, "id": number, **more})
                head, body = wire.receive(sock)
            except (OSError, wire.ClosedError):
                raise self.gone() from None
            finally:
                self._now = None
        if not head.get("ok"):
            raise wire.error_of_json(head.get("error") or {})
        return head, body

    def gone(self) -> ExternalError:
        """What is said when the owner is no more there."""
        return ExternalError(
            f"process {self.pid}, which ran the project '{self.folder}', has ended",
            hint="Start it again; it goes on from its last checkpoint.",
            retry="never",
        )

    def cancel(self) -> None:
        """Stop the statement that another thread waits for; harmless if there is none."""
        number, sock = self._now, self._sock
        if number is not None and sock is not None:
            with contextlib.suppress(OSError):
                wire.send(sock, {"op": "cancel", "id": number})

    # ---- the door

    def sql(self, text: str) -> Result:
        """Run a script of statements; gives the result of the last one."""
        head, body = self.ask("sql", text=text)
        self.zone = str(head["zone"])
        schema = wire.schema_of_json(head["schema"], head["key"] or ())
        stream = rows = table = None
        if "result" in head:
            stream = _RemoteStream(self, str(head["result"]), schema)
        elif head.get("as") == "arrow":
            table = wire.table_of_bytes(body)
        elif body:
            from deras.session.changelog import python_rows

            rows = python_rows(wire.delta_of_bytes(schema, body))
        else:
            rows = []
        return Result(
            schema,
            rows=rows,
            table=table,
            stream=stream,
            key=head["key"],
            bounded=head["bounded"],
            message=head["message"],
            final=head["final"],
            append_only=head["append_only"],
            warnings=head["warnings"],
        )

    def run(self, script: Path | str) -> Result:
        """Run a script: a path, or its text."""
        from deras.session.scripts import script_text

        return self.sql(script_text(script))

    def table(self, name: str) -> Result:
        """The rows of a table or view."""
        return self.sql("TABLE " + quoted(name))

    def explain(self, sql: str) -> str:
        """The plan of a statement."""
        return str(self.ask("explain", text=sql)[0]["text"])

    def check_all(self, text: str) -> list[DerasError]:
        """What is wrong in a script, run against the running project; nothing is changed."""
        return [wire.error_of_json(e) for e in self.ask("check", text=text)[0]["errors"]]

    def names(self) -> dict[str, Any]:
        """Tables with their columns, and functions."""
        found: dict[str, Any] = self.ask("names")[0]["names"]
        return found

    def status(self) -> dict[str, Any]:
        """Everything about the running job."""
        found: dict[str, Any] = self.ask("status")[0]["status"]
        return found

    def checkpoint(self) -> int:
        """Make a checkpoint now; gives its epoch."""
        return int(self.ask("checkpoint")[0]["epoch"])

    def stop(self) -> None:
        """Ask the owner to end: a last checkpoint, then it goes."""
        self.ask("stop")

    def register(self, function: Any, name: str | None = None) -> None:
        """Not possible: a function lives in the owner's process."""
        raise DerasError(
            f"functions of this process cannot be used by process {self.pid}, which runs the project",
            hint="Put it into a module and write CREATE FUNCTION … AS 'module.function' LANGUAGE PYTHON.",
        )

    def stream(self) -> socket.socket:
        """A further connection, for the changes of a query."""
        try:
            return connect(self._address, self.pid)
        except ExternalError:
            raise self.gone() from None

    def forget(self, result: str) -> None:
        """A query whose changes nobody fetched is not wanted any more."""
        sock = self._sock
        if sock is not None:
            with contextlib.suppress(OSError):
                wire.send(sock, {"op": "cancel", "result": result})

    def close(self) -> None:
        """Detach; the project runs on. Twice is fine."""
        sock, self._sock = self._sock, None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def __enter__(self) -> RemoteSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _RemoteStream(Stream):
    """The changes of a query, out of a connection of its own that is opened when the first is asked for."""

    def __init__(self, session: RemoteSession, name: str, schema: Schema) -> None:
        super().__init__(patient=True)
        self._session = session
        self._name = name
        self._schema = schema
        self._sock: socket.socket | None = None
        self._over = False
        self._guard = threading.Lock()
        self._taking = threading.RLock()

    def take(self, timeout: float | None = None) -> Delta | None:
        with self._taking:
            if self._over:
                if self.error is not None:
                    raise self.error
                return None
            try:
                return self._take(timeout)
            finally:
                if self._over and self._sock is not None:
                    self._sock.close()

    def _take(self, timeout: float | None) -> Delta | None:
        with self._guard:
            if self._over:
                return None
            if self._sock is None:
                self._sock = self._session.stream()
                wire.send(self._sock, {"op": "stream", "result": self._name})
            sock = self._sock
        if not select.select([sock], [], [], timeout)[0]:
            raise TimeoutError
        try:
            head, body = wire.receive(sock)
        except wire.ClosedError:
            if self._over:  # closed by another thread
                return None
            head, body = {"error": wire.error_to_json(self._session.gone())}, b""
        if "rows" in head:
            return wire.delta_of_bytes(self._schema, body)
        self._over = True
        if "error" in head:
            self.error = wire.error_of_json(head["error"])
            raise self.error
        return None

    def close(self) -> None:
        with self._guard:
            if self._over:
                return
            self._over = True
            sock = self._sock
        if sock is None:
            self._session.forget(self._name)
            return
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)  # wakes the one who takes
        if self._taking.acquire(timeout=1.0):
            sock.close()
            self._taking.release()


def quoted(name: str) -> str:
    """A name as an identifier: dots part catalog, database and object."""
    return ".".join("`" + part.replace("`", "``") + "`" for part in name.split("."))
