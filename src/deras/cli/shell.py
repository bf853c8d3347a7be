"""The interactive shell of ``deras sql``."""

from __future__ import annotations

import contextlib
import re
import sys
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer  # type: ignore[import-untyped,unused-ignore]

from deras.cli.host import say
from deras.cli.sql import Output, history_file, interruptible, parts, show
from deras.core.errors import DerasError, SqlError
from deras.core.time import SystemClock
from deras.session import connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

_HELP = """\
A statement ends with ; and may take several lines. Ctrl-C clears the line, Ctrl-D ends the shell.
While a query runs, q or Ctrl-C ends the query. SHOW TABLES; DESCRIBE t; EXPLAIN SELECT …; SHOW JOBS;
help  this text          clear  empty the screen          exit, quit  end the shell"""
_WORD = re.compile(r"[\w$]+|`[^`]*")
_TABLES = re.compile(r"\b(FROM|JOIN|INTO|TABLE|DESCRIBE|DESC|VIEW|UPDATE)\s+[\w`]*$", re.IGNORECASE)


class SqlCompleter(Completer):
    """Keywords, tables, columns, functions: tables after FROM and the like; columns of the tables in the text first."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._names: dict[str, Any] = {"tables": {}, "functions": []}
        self.refresh()

    def refresh(self) -> None:
        """Ask again what there is; after every statement."""
        with contextlib.suppress(DerasError):  # the owner is gone: the next statement says so
            self._names = self._session.names()

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """What may stand here."""
        from deras.sql.syntax.words import RESERVED

        before = document.text_before_cursor
        found = re.search(r"(`?)([\w$]*)$", before)
        word = found[2] if found else ""
        quoted = bool(found and found[1])
        if not word and not _TABLES.search(before):
            return
        tables: dict[str, list[str]] = self._names["tables"]
        text = document.text
        used = [t for t in tables if re.search(rf"\b{re.escape(t)}\b", text)]
        columns = [c for t in used for c in tables[t]] or [c for cs in tables.values() for c in cs]
        groups: list[tuple[str, Any]] = [("table", tables)]
        if not _TABLES.search(before):
            groups = [("column", columns), *groups]
            if not quoted:
                groups += [("function", self._names["functions"]), ("", sorted(RESERVED))]
        seen: set[str] = set()
        for kind, names in groups:
            for name in names:
                if not name.lower().startswith(word.lower()) or name in seen:
                    continue
                seen.add(name)
                plain = kind in ("", "function") or (
                    re.fullmatch(r"[A-Za-z_]\w*", name) and name.upper() not in RESERVED
                )
                made = name if plain else f"{'' if quoted else '`'}{name}`"
                if kind == "" and word.islower():
                    made = made.lower()
                yield Completion(made, -len(word), display=name, display_meta=kind or "keyword")


def _history(project: Path | None) -> History:
    path = history_file(project)
    if path is not None:
        try:
            path.touch(mode=0o600)
            return FileHistory(str(path))
        except OSError:
            pass
    return InMemoryHistory()


def _keys() -> KeyBindings:
    from deras.sql.syntax.parser import is_complete

    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        text = buffer.text
        at_end = not buffer.document.text_after_cursor.strip()
        if at_end and (not text.strip() or _command(text) or _complete(text)):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    def _complete(text: str) -> bool:
        try:
            return is_complete(text)
        except SqlError:
            return text.rstrip().endswith(";")

    return keys


def _command(text: str) -> str:
    word = text.strip().rstrip(";").strip().lower()
    return word if word in ("help", "exit", "quit", "clear", "\\q", "\\?", "?") else ""


def shell(project: Path | None, output: Output) -> int:
    """Read statements and run them until Ctrl-D; gives the exit code."""
    with connect(project) as session:
        if session.attached:
            say(f"attached to process {session.pid}, which runs '{session.folder}'")
        elif project is not None:
            for note in session.job.notes:
                say(f"note: {note}")
        completer = SqlCompleter(session)
        prompt: PromptSession[str] = PromptSession(
            history=_history(project),
            completer=completer,
            complete_while_typing=False,
            auto_suggest=AutoSuggestFromHistory(),
            lexer=PygmentsLexer(SqlLexer),
            multiline=True,
            key_bindings=_keys(),
            prompt_continuation=lambda width, *_: " " * (width - 2) + "> ",
        )
        say("Deras SQL. help; tells more, Ctrl-D ends.")
        while True:
            try:
                text = prompt.prompt("deras> ")
            except KeyboardInterrupt:
                continue
            except EOFError:
                break
            word = _command(text)
            if word in ("exit", "quit", "\\q"):
                break
            if word == "clear":
                sys.stdout.write("\x1b[2J\x1b[H")
                sys.stdout.flush()
            elif word:
                say(_HELP)
            elif text.strip():
                _run(session, text, output)
                completer.refresh()
        if not session.attached:
            running = sum(f.kind != "query" and not f.finished for f in session.job.flows)
            if running:
                ending = "they end" if running > 1 else "it ends"
                later = "; the project goes on from here when it is opened again" if project is not None else ""
                say(f"{running} running dataflow{'s' if running > 1 else ''}: {ending} with this shell{later}")
    return 0


def _run(session: Any, text: str, output: Output) -> None:
    from deras.sql.syntax.parser import parse_script

    clock = SystemClock()
    try:
        parse_script(text)
        for part in parts(text):
            began = clock.monotonic()
            result = interruptible(session, part)
            rows = show(session, result, output, tell=True)
            took = clock.monotonic() - began
            if len(result.schema):
                say(f"{rows:,} row{'s' if rows != 1 else ''} in {took:.2f} s")
    except KeyboardInterrupt:
        say("stopped")
    except SqlError as e:
        e.text = text if e.text.strip() and len(e.text) <= len(text) else e.text
        say(e.render())
    except DerasError as e:
        say(e.render())
    except BrokenPipeError:
        raise
    except Exception as e:  # noqa: BLE001 (one statement's fault must not end the shell)
        say(f"error: {type(e).__name__}: {e}\nHint: This is a fault of Deras; please report it.")
