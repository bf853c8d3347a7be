"""What ``run`` and ``demo`` share: a project that runs in the foreground, served, until it ends or is told to."""

from __future__ import annotations

import contextlib
import functools
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deras.core.errors import DerasError, ExternalError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from types import FrameType

    from deras.serve.app import Server
    from deras.session.session import Session

PORT = 8765
_TRIES = 20


def say(text: str) -> None:
    """A line for the person, beside the output."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@contextlib.contextmanager
def signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a second signal ends the process at once, as it would without us."""
    asked = threading.Event()
    kept: dict[int, Any] = {}

    def ask(_number: int, _: FrameType | None) -> None:
        asked.set()
        for n, before in kept.items():
            signal.signal(n, before)

    for number in (signal.SIGINT, signal.SIGTERM):
        kept[number] = signal.signal(number, ask)
    try:
        yield asked
    finally:
        for n, before in kept.items():
            signal.signal(n, before)


def serve(session: Session, arguments: argparse.Namespace, name: str, folder: Path | None) -> Server:
    """Serve dashboard, REST and intake of a session.

    With ``--port`` that port is taken or it is an error; without, the next free one from :data:`PORT` on.

    Raises:
        ExternalError: the port is taken.
    """
    import os

    from deras.serve.app import Server
    from deras.serve.definition import Dashboards
    from deras.serve.session_platform import SessionPlatform

    given: int | None = arguments.port
    ports = [given] if given is not None else [*range(PORT, PORT + _TRIES), 0]
    trouble: ExternalError | None = None
    for port in ports:
        holder: list[Server] = []
        platform = SessionPlatform(session, name, functools.partial(_url, holder))
        token = os.environ.get("DERAS_TOKEN") or None
        server = Server(platform, Dashboards(folder), host=arguments.host, port=port, token=token)
        holder.append(server)
        try:
            server.start()
            return server
        except ExternalError as e:
            if given is not None or "taken" not in e.message:
                raise
            trouble = e
    raise trouble or ExternalError("no port is free")


def _url(holder: list[Server]) -> str:
    return holder[0].url if holder else ""


def wait(session: Session, asked: threading.Event) -> bool:
    """Wait until all has ended or a signal came; tells whether all has ended. Raises the job's error."""
    while not asked.is_set():
        if session.wait(0.1):
            return True
    return False


def dashboards_folder(arguments: argparse.Namespace, beside: Path | None) -> Path | None:
    """Where dashboards are defined: as told, else beside the script, else in the project."""
    if arguments.dashboards is not None:
        return Path(arguments.dashboards)
    for folder in (beside, arguments.project):
        if folder is not None and ((folder / "dashboard.yaml").is_file() or (folder / "dashboards").is_dir()):
            return Path(folder)
    return beside


def notes(session: Session) -> None:
    """Say what the job noticed at its start: damaged checkpoints, what could not be resumed."""
    for note in session.job.notes:
        say(f"note: {note}")


def end(session: Session, server: Server | None) -> int:
    """Stop serving, make a last checkpoint, close; gives the exit code."""
    if server is not None:
        server.stop()
    try:
        session.close()
    except DerasError as e:
        say(e.render())
        return 1
    return 0
