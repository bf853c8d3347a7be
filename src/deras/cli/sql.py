"""``deras sql``: statements from the command line, a file or a pipe; without any, the shell."""

from __future__ import annotations

import re
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deras.cli.host import say
from deras.cli.output import TableWriter, writer
from deras.core.errors import ConfigError, DerasError, PlanError, SqlError
from deras.core.time import SystemClock
from deras.session import connect
from deras.session.changelog import changes
from deras.session.scripts import read_script

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from deras.session.changelog import Change
    from deras.session.result import Result

_ROWS = re.compile(r"(?:\(|SELECT|WITH|VALUES|TABLE|SHOW|DESC|DESCRIBE|EXPLAIN|STOP|SET\s*$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Output:
    """How rows are shown.

    Args:
        kind: table, csv, json.
        changelog: with row kinds.
        limit: most rows or changes.
        timeout: seconds a query may take.
        zone: for instants.
        live: on a terminal: results that change are drawn in place, and ``q`` ends a query.
    """

    kind: str = "table"
    changelog: bool = False
    limit: int | None = None
    timeout: float | None = None
    zone: ZoneInfo | None = None
    live: bool = False


def sql(arguments: argparse.Namespace) -> int:
    """Run statements, or the shell."""
    text: str | None = arguments.text
    if arguments.file is not None:
        text = _stdin() if str(arguments.file) == "-" else read_script(arguments.file)
    elif text is None and not sys.stdin.isatty():
        text = _stdin()
    output = Output(
        arguments.output or "table",
        arguments.changelog,
        arguments.limit,
        arguments.timeout,
        live=sys.stdout.isatty() and sys.stdin.isatty() and not arguments.changelog and arguments.output is None,
    )
    if text is None:
        from deras.cli.shell import shell

        return int(shell(arguments.project, output))
    if not text.strip():
        raise ConfigError("there is no SQL to run", hint="Give it with -c or -f, or on standard input.")
    with connect(arguments.project) as session:
        for note in [] if session.attached else session.job.notes:
            say(f"note: {note}")
        before = set() if session.attached else {f.id for f in session.job.flows}
        try:
            run_text(session, text, output)
            if not session.attached:
                _finish(session, before, output.timeout)
        except KeyboardInterrupt:
            return 130
    return 0


def _stdin() -> str:
    raw = sys.stdin.buffer.read()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise ConfigError(f"standard input is not UTF-8 (byte {e.start + 1})") from None


def _finish(session: Any, before: set[int], timeout: float | None) -> None:
    """What was started here ends here: wait for it. What the project ran before (``before``) goes on another time."""
    clock = SystemClock()
    until = None if timeout is None else clock.monotonic() + timeout
    for flow in session.job.flows:
        while flow.id not in before and not flow.wait(0.1):
            if until is not None and clock.monotonic() >= until:
                return


def run_text(session: Any, text: str, output: Output) -> None:
    """Run a script and print what gives rows; dataflows between two queries begin together."""
    from deras.sql.syntax.parser import parse_script

    parse_script(text)  # nothing is run if the text is not SQL
    for part in parts(text):
        try:
            result = session.sql(part)
        except SqlError as e:
            if e.text == part:
                e.text = text  # the same places, with what stands around them
            raise
        show(session, result, output)


def parts(text: str) -> Iterator[str]:
    """Pieces to be run one by one: each statement with rows, and what is between them; places are kept."""
    from deras.sql.syntax.parser import split_script

    begin: int | None = None
    end = 0
    for span in split_script(text):
        if _ROWS.match(text[span.start : span.end]):
            if begin is not None:
                yield _placed(text, begin, end)
                begin = None
            yield _placed(text, span.start, span.end)
        else:
            begin = span.start if begin is None else begin
            end = span.end
    if begin is not None:
        yield _placed(text, begin, end)


def _placed(text: str, start: int, end: int) -> str:
    """A part of a text at its own line and column, so that errors name the right place."""
    return re.sub(r"[^\n\t]", " ", text[:start]) + text[start:end]


def show(session: Any, result: Result, output: Output, *, tell: bool = False) -> int:
    """Print a result; gives the number of its rows. ``tell``: also say OK (the shell)."""
    from dataclasses import replace
    from zoneinfo import ZoneInfo

    # State that grows does not matter to a query that ends.
    for warning in result.warnings if tell or not (result.streaming and result.bounded) else ():
        say(f"warning: {warning}")
    if not len(result.schema) and not result.streaming:
        if tell:
            say(result.message or "OK")
        return 0
    return print_result(result, replace(output, zone=ZoneInfo(session.zone)))


def print_result(result: Result, output: Output) -> int:
    """Write a result's rows; gives how many."""
    if _plan_text(result) and output.kind == "table":
        for row in result.rows():
            sys.stdout.write(f"{row[0]}\n")
        return 0
    as_changes = output.changelog or output.kind == "json"
    if result.streaming and not result.final and not as_changes and not result.append_only:
        if output.live:
            from deras.cli.live import live

            return live(result, output)
        if not result.bounded and output.limit is None and output.timeout is None:
            result.close()
            raise PlanError(
                "this query never ends and its rows change, so there is no final table",
                hint="Add --changelog, --output json, --limit or --timeout.",
            )
        return _final(result, output)
    w = writer(output.kind, result.schema, changelog=output.changelog, zone=output.zone)
    if isinstance(w, TableWriter) and result.streaming and not result.bounded:
        w.live()
    w.begin()
    count = 0
    try:
        for batch in _batches(result, output):
            room = len(batch) if output.limit is None else min(len(batch), output.limit - count)
            w.write(batch[:room])
            count += room
            if output.limit is not None and count >= output.limit:
                break
    finally:
        result.close()
    w.end()
    return count


def _plan_text(result: Result) -> bool:
    return not result.streaming and result.schema.names == ["result"] and "\n" in str((result.rows() or [("",)])[0][0])


def _final(result: Result, output: Output) -> int:
    """The final table of a query, or what it is when the time is up or enough has come."""
    from deras.session.changelog import Fold, python_rows
    from deras.session.result import frame_delta

    fold = Fold(result.schema, result.schema.key or result.key)
    try:
        for delta in _deltas(result, output):
            fold.add(delta)
            if not result.bounded and output.limit is not None and fold.rows >= output.limit:
                break
    finally:
        result.close()
    rows = python_rows(frame_delta(result.schema, fold.frame()))[: output.limit]
    w = writer(output.kind, result.schema, changelog=False, zone=output.zone)
    w.begin()
    w.write(("+I", row) for row in rows)
    w.end()
    return len(rows)


def _batches(result: Result, output: Output) -> Iterator[list[Change]]:
    if not result.streaming or result.final:
        rows = result.rows()
        for i in range(0, len(rows), 1000):
            yield [("+I", row) for row in rows[i : i + 1000]]
        return
    for delta in _deltas(result, output):
        yield list(changes(delta, result.key))


def _deltas(result: Result, output: Output) -> Iterator[Any]:
    """Batches until the end or the timeout; with a terminal also until ``q``."""
    from deras.cli.live import Keys

    clock = SystemClock()
    until = None if output.timeout is None else clock.monotonic() + output.timeout
    with Keys(output.live) as keys:
        while True:
            left = None if until is None else max(0.0, until - clock.monotonic())
            try:
                delta = result.take(min(0.2, left) if left is not None else 0.2)
            except TimeoutError:
                if (left is not None and left <= 0) or keys.quit():
                    return
                continue
            if delta is None:
                return
            yield delta
            if keys.quit() or (until is not None and clock.monotonic() >= until):
                return


def interruptible(session: Any, text: str) -> Result:
    """``session.sql`` in a thread, so that Ctrl-C reaches us while it waits; it then cancels the statement."""
    found: list[Result] = []
    trouble: list[BaseException] = []

    def work() -> None:
        try:
            found.append(session.sql(text))
        except BaseException as e:  # noqa: BLE001 (raised again by the one who waits)
            trouble.append(e)

    thread = threading.Thread(target=work, name="statement", daemon=True)
    thread.start()
    asked = False
    while thread.is_alive():
        try:
            thread.join(0.1)
        except KeyboardInterrupt:
            if asked:
                raise
            asked = True
            session.cancel()
    if trouble:
        raise trouble[0]
    if asked:
        found[0].close()
        raise DerasError("the statement was cancelled")
    return found[0]


def history_file(project: Path | None) -> Path | None:
    """Where the shell keeps what was typed: in the project, else in the user's state folder; None: nowhere."""
    import os

    if project is not None:
        return project / "run" / "sql_history"
    try:
        base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        folder = Path(base) / "deras"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return folder / "sql_history"
