"""The command ``deras``: reads the arguments and hands over; loads nothing that a command does not need."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

OK, FAILED, USAGE = 0, 1, 2


class _Parser(argparse.ArgumentParser):
    """argparse with messages of our form, and a guess what was meant."""

    def error(self, message: str) -> NoReturn:
        from deras.core.errors import did_you_mean

        hint = f"See '{self.prog} --help'."
        if "invalid choice: " in message:
            word = message.split("invalid choice: ")[1].split("'")[1]
            near = did_you_mean(word, COMMANDS if "COMMAND" in message else ())
            message = f"there is no command '{word}'" if "COMMAND" in message else message
            hint = f"{near} {hint}".strip()
        sys.stderr.write(f"error: {message}\nHint: {hint}\n")
        raise SystemExit(USAGE)


COMMANDS = {
    "run": "run a pipeline until its inputs end, or until it is stopped",
    "sql": "ask and change a project in SQL: a shell, or one statement",
    "check": "find what is wrong in a script without running it",
    "explain": "show the plans of a script's queries",
    "demo": "run one of the solutions that come with Deras",
    "jobs": "list what a running project runs",
    "status": "tell how a running project is doing",
    "stop": "stop a running project: a last checkpoint, then it ends",
    "warm": "compile all kernels now",
    "doctor": "look for trouble in this installation and in a project",
}


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    from deras import __version__

    top = _Parser(prog="deras", description="Flink SQL, embedded: a real-time data platform in one package.")
    top.add_argument("--version", action="version", version=f"deras {__version__}")
    common = _Parser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show tracebacks and the log")
    place = _Parser(add_help=False)
    place.add_argument(
        "--project",
        type=Path,
        metavar="DIR",
        default=os.environ.get("DERAS_PROJECT") or None,
        help="the project's folder (default: $DERAS_PROJECT)",
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")

    def add(name: str, *parents: _Parser) -> _Parser:
        found = commands.add_parser(name, help=COMMANDS[name], description=_sentence(name), parents=[common, *parents])
        found.set_defaults(command=name)
        return found

    run = add("run", place)
    run.add_argument("script", type=Path, help="the SQL script")
    _add_serving(run)

    sql = add("sql", place)
    what = sql.add_mutually_exclusive_group()
    what.add_argument("-c", "--command", dest="text", metavar="SQL", help="run these statements and end")
    what.add_argument("-f", "--file", type=Path, metavar="FILE", help="run a script and end; '-' reads standard input")
    sql.add_argument("--output", choices=("table", "csv", "json"), help="how rows are written (default: table)")
    sql.add_argument("--changelog", action="store_true", help="write every change with its row kind")
    sql.add_argument("--limit", type=_count, metavar="N", help="stop a query after N rows or changes")
    sql.add_argument("--timeout", type=_seconds, metavar="S", help="stop a query after S seconds")

    check = add("check", place)
    check.add_argument("script", type=Path, help="the SQL script")
    check.add_argument(
        "--target", choices=("deras", "flink"), default="deras", help="flink: name all that is not Flink's"
    )
    check.add_argument("--live", action="store_true", help="against the tables and views of the running project")

    explain = add("explain", place)
    explain.add_argument("script", type=Path, nargs="?", help="the SQL script")
    explain.add_argument("-c", "--command", dest="text", metavar="SQL", help="explain these statements")

    demo = add("demo", place)
    demo.add_argument("name", nargs="?", help="which one; absent: list them")
    demo.add_argument("--speed", type=_seconds, default=1.0, metavar="X", help="pace of the data (default: 1)")
    _add_serving(demo)

    add("jobs", place)
    status = add("status", place)
    status.add_argument("--json", action="store_true", help="everything, as JSON")
    stop = add("stop", place)
    stop.add_argument("--timeout", type=_seconds, default=60.0, metavar="S", help="how long to wait (default: 60)")
    add("warm")
    add("doctor", place)
    return top


def _add_serving(p: argparse.ArgumentParser) -> None:
    p.add_argument("--host", default="127.0.0.1", help="address of dashboard and REST (default: 127.0.0.1)")
    p.add_argument(
        "--port", type=_port, metavar="N", help="port of dashboard and REST (default: 8765 or the next free)"
    )
    p.add_argument("--no-serve", action="store_true", help="serve nothing over HTTP")
    p.add_argument("--dashboards", type=Path, metavar="DIR", help="folder of dashboard.yaml (default: the script's)")


def _sentence(name: str) -> str:
    text = COMMANDS[name]
    return text[0].upper() + text[1:] + "."


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no port; ports go from 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is no number of rows")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"'{text}' is no number above 0")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit code: 0 done, 1 failed, 2 wrong use."""
    try:
        arguments = parser().parse_args(argv)
    except SystemExit as e:
        return e.code if isinstance(e.code, int) else FAILED
    if isinstance(getattr(arguments, "project", None), str):
        arguments.project = Path(arguments.project)
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader (``| head``) has enough. The interpreter must not complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return OK
    except KeyboardInterrupt:
        return 130
    except Exception as e:  # noqa: BLE001 (the edge: everything becomes a sentence and a code)
        return _told(e, arguments.debug)


def _dispatch(arguments: argparse.Namespace) -> int:
    import gc
    import importlib
    import logging

    from deras.core.loading import uncollected

    level = logging.DEBUG if arguments.debug else logging.ERROR
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    if not arguments.debug:
        logging.getLogger("deras.job").setLevel(logging.CRITICAL)  # told by the command itself, once
    modules = {
        "run": "run", "sql": "sql", "check": "check", "explain": "check", "demo": "demo", "jobs": "jobs",
        "status": "jobs", "stop": "jobs", "warm": "warm", "doctor": "doctor",
    }  # fmt: skip
    # Loading makes some hundred thousand objects that stay: looking through them again and again costs a tenth of a
    # second at the start, and pauses of several milliseconds later.
    gc.set_threshold(50_000, 20, 50)
    # NumPy's BLAS has a thread for each core that spins for tens of milliseconds whenever it has nothing to do; this
    # lets them sleep at once, and leaves their number to the user.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    with uncollected():
        module = importlib.import_module(f"deras.cli.{modules[arguments.command]}")
    return int(getattr(module, arguments.command)(arguments))


def _told(e: Exception, debug: bool) -> int:
    from deras.core.errors import ConfigError, DerasError, Domain

    if debug:
        import traceback

        traceback.print_exc()
    if isinstance(e, DerasError):
        sys.stderr.write(e.render() + "\n")
        return USAGE if isinstance(e, ConfigError) and e.domain is Domain.USER else FAILED
    if isinstance(e, (MemoryError, OSError)):
        text = e.strerror if isinstance(e, OSError) and e.strerror else str(e) or type(e).__name__
        place = f" ('{e.filename}')" if isinstance(e, OSError) and e.filename else ""
        sys.stderr.write(f"error: {text[0].lower() + text[1:]}{place}\n")
        return FAILED
    sys.stderr.write(
        f"error: {type(e).__name__}: {e}\n"
        "Hint: This is a fault of Deras; run the command again with --debug and report what it prints.\n"
    )
    return FAILED


if __name__ == "__main__":
    raise SystemExit(main())
