"""``deras check`` and ``deras explain``: look at a script without running it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from deras.cli.host import say
from deras.core.errors import ConfigError, DerasError, SqlError, caret
from deras.session.scripts import read_script

if TYPE_CHECKING:
    import argparse

    from deras.core.errors import Span


def check(arguments: argparse.Namespace) -> int:
    """Name everything that is wrong in a script; exit 1 if there is something."""
    from deras.sql.syntax.parser import parse_script

    script = arguments.script
    text = read_script(script)
    if not parse_one(text):
        raise ConfigError(f"'{script}' holds no statement", hint="Write one, for example SELECT 1;")
    if arguments.live:
        from deras.session.remote import attach

        with attach(_project(arguments)) as session:
            errors = session.check_all(text)
        refused: list[DerasError] = []
    else:
        from deras.session.session import Session

        with Session(base=script.absolute().parent) as own:
            errors = own.check_all(text)
            refused = own.check_flink(text) if arguments.target == "flink" and not errors else []
    found = len(errors)
    for e in errors:
        say(f"{script}: {e.render()}\n")
    if arguments.target == "flink":
        found += _beyond(text, str(script), errors, refused)
    if found:
        say(f"{found} finding{'s' if found != 1 else ''} in {script}")
        return 1
    statements = len(parse_script(text))
    sys.stdout.write(f"{script}: {statements} statement{'s' if statements != 1 else ''}, nothing wrong\n")
    return 0


def parse_one(text: str) -> bool:
    """Whether there is anything to read; wrong SQL counts, it is told later."""
    from deras.sql.syntax.parser import split_script

    try:
        return bool(split_script(text))
    except SqlError:
        return True


def _beyond(text: str, script: str, errors: list[DerasError], refused: list[DerasError]) -> int:
    from deras.sql.strict import check as strict

    if any(e.code == "syntax" for e in errors):
        return 0
    found = strict(text)
    for f in found:
        say(f"{script}: not Flink: {f.what} (line {f.line}, column {f.column})\n{caret(text, f.span)}")
        say(f"Hint: {f.instead}\n" if f.instead else "")
    # What only the plan shows, where the words alone have not told it already.
    told = [e for e in refused if not any(_overlaps(e, f.span) for f in found)]
    for e in told:
        say(f"{script}: not Flink: {e.render()}\n")
    return len(found) + len(told)


def _overlaps(e: DerasError, span: Span) -> bool:
    own = e.span if isinstance(e, SqlError) else None
    return own is not None and own.start < span.end and span.start < own.end


def _project(arguments: argparse.Namespace) -> str:
    if arguments.project is None:
        raise ConfigError("which project?", hint="Give its folder with --project, or set DERAS_PROJECT.")
    return str(arguments.project)


def explain(arguments: argparse.Namespace) -> int:
    """Print the plans of a script's queries, or of ``-c`` against a project."""
    if (arguments.script is None) == (arguments.text is None):
        raise ConfigError("what is to be explained?", hint="Give a script, or a statement with -c.")
    text = arguments.text
    base = None
    if text is None:
        text = read_script(arguments.script)
        base = arguments.script.absolute().parent
    from deras.session import connect
    from deras.session.session import Session

    with Session(base=base) if arguments.project is None else connect(arguments.project) as session:
        plan = session.explain(text)
    if not plan:
        raise ConfigError("there is no query in the text", hint="EXPLAIN takes SELECT, INSERT, materialized views.")
    sys.stdout.write(plan + "\n")
    return 0
