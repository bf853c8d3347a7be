"""``deras demo``: one of the solutions that come with Deras, with its data."""

from __future__ import annotations

import importlib
import sys
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deras.cli import host
from deras.cli.warm import Progress
from deras.core.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    import argparse

    from deras.session.session import Session


def names() -> dict[str, str]:
    """The solutions and their first lines: every package of ``deras.solutions`` that has a pipeline."""
    found = {}
    for entry in sorted(files("deras.solutions").iterdir(), key=lambda e: e.name):
        script = entry / "pipeline.sql"
        if script.is_file():
            first = script.read_text("utf-8").splitlines()[0]
            found[entry.name] = first.removeprefix("--").strip()
    return found


def demo(arguments: argparse.Namespace) -> int:
    """Run a solution and show it in a browser until Ctrl-C; started again, it goes on."""
    known = names()
    name = arguments.name
    if name is None:
        sys.stdout.write("".join(f"{n:12}{text}\n" for n, text in known.items()))
        host.say("Run one with 'deras demo NAME'.")
        return 0
    if name not in known:
        hint = did_you_mean(name, known) or f"There are: {', '.join(known)}."
        raise ConfigError(f"there is no demo '{name}'", hint=hint)
    if arguments.no_serve:
        raise ConfigError("a demo sends its data over HTTP, so it must serve", hint="Leave out --no-serve.")
    project = arguments.project or Path(".deras") / name
    with as_file(files(f"deras.solutions.{name}")) as folder, host.signals() as asked:
        arguments.project = project
        return _run(arguments, name, folder, asked)


def _run(arguments: argparse.Namespace, name: str, folder: Path, asked: Any) -> int:
    from deras.session.scripts import read_script
    from deras.session.session import Session

    session = Session(arguments.project, base=folder, restore=False)
    server = replayer = None
    try:
        session.check(read_script(folder / "pipeline.sql"))  # imports what the script needs
        _compile()
        if asked.is_set():
            session.close(drain=False)
            return 0
        session.run(folder / "pipeline.sql")
        session.resume(("session",))
        host.notes(session)
        session.on_stop = asked.set
        session.listen()
        server = host.serve(session, arguments, name.title(), arguments.dashboards or folder)
        replayer = _replayer(session, name, server.url, arguments)
        replayer.start()
        host.say(f"{name} is running: {server.link}   (Ctrl-C ends it)")
        host.wait(session, asked)
    except BaseException:
        if replayer is not None:
            replayer.stop()
        if server is not None:
            server.stop()
        session.close(drain=False)
        raise
    replayer.stop()
    return host.end(session, server)


def _compile() -> None:
    """The kernels, with progress where it takes time: so that the first rows do not wait."""
    from deras.core.jit import warm_all

    progress = Progress("preparing, first time only:")
    try:
        warm_all(progress, everything=False)
    finally:
        progress.end()


def _replayer(session: Session, name: str, url: str, arguments: argparse.Namespace) -> Any:
    module = importlib.import_module(f"deras.solutions.{name}.replay")
    path = next(p for p in (getattr(s, "path", None) for s in session.job.tables().values()) if p)
    place = session.folder / "replay.json" if session.folder is not None else None
    return module.Replayer(url + path, place, speed=arguments.speed, clock=session.clock, note=host.say)
