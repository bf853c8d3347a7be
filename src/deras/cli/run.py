"""``deras run``: a pipeline in the foreground."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from deras.cli import host
from deras.session.scripts import read_script
from deras.session.session import Session

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from deras.core.errors import DerasError
    from deras.serve.app import Server
    from deras.session.result import Result


def run(arguments: argparse.Namespace) -> int:
    """Run a script until all its inputs have ended, or until SIGINT or SIGTERM: then a checkpoint, and exit 0."""
    script: Path = arguments.script
    text = read_script(script)
    with host.signals() as asked:
        session = Session(arguments.project, base=script.absolute().parent, restore=False)
        server: Server | None = None
        shown: threading.Thread | None = None
        try:
            errors = session.check_all(text)
            if errors:
                report(errors, script)
                return 1
            if arguments.port is not None and not arguments.no_serve:
                server = host.serve(session, arguments, _name(arguments), _boards(arguments))
            result = session.sql(text, origin="script")
            session.resume(("session",))
            host.notes(session)
            session.on_stop = asked.set
            session.listen()
            if server is None and not arguments.no_serve and _worth_serving(session):
                server = host.serve(session, arguments, _name(arguments), _boards(arguments))
            if server is not None:
                host.say(f"serving {server.link}")
            _warn(session)
            if result.streaming:
                shown = _show(result)
            if host.wait(session, asked) and shown is not None:
                shown.join()
        except BaseException:
            if server is not None:
                server.stop()
            session.close(drain=False)
            raise
        return host.end(session, server)


def report(errors: list[DerasError], script: Path) -> None:
    """All that is wrong in a script."""
    from deras.cli.host import say

    for e in errors:
        say(f"{script}: {e.render()}\n")
    n = len(errors)
    say(f"{n} error{'s' if n != 1 else ''}; nothing was run")


def _name(arguments: argparse.Namespace) -> str:
    return str(arguments.project.name if arguments.project is not None else arguments.script.stem)


def _boards(arguments: argparse.Namespace) -> Path | None:
    return host.dashboards_folder(arguments, arguments.script.absolute().parent)


def _worth_serving(session: Session) -> bool:
    """Whether there is a door to post to, or a view to look at that goes on changing."""
    sources = session.job.tables().values()
    doors = any(getattr(s, "intake_app", None) is not None and getattr(s, "listen", None) is None for s in sources)
    views = any(f.kind == "view" for f in session.job.flows)
    return doors or (views and any(not s.bounded for s in sources))


def _warn(session: Session) -> None:
    for flow in session.job.flows:
        for note in flow.notes:
            host.say(f"note: {flow.name}: {note}")


def _show(result: Result) -> threading.Thread:
    from deras.cli.sql import Output, print_result

    # Rows of a SELECT at the end of a pipeline go to standard output, beside everything else.
    thread = threading.Thread(target=print_result, args=(result, Output("table")), name="rows", daemon=True)
    thread.start()
    return thread
