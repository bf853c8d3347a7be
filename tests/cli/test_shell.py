"""The shell on a pseudo-terminal, as a person sees it."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from deras.cli.live import Picture
from deras.cli.shell import SqlCompleter
from deras.cli.sql import parts
from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.time import SystemClock
from deras.core.types import BIGINT, STRING
from deras.session.session import Session


class Terminal:
    def __init__(self, *arguments: str, **env: str) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deras.cli.main", *arguments],
            stdin=slave, stdout=slave, stderr=slave, close_fds=True, start_new_session=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24", **env},
        )  # fmt: skip
        os.close(slave)
        self.seen = ""

    def until(self, text: str, seconds: float = 30.0) -> str:
        until = SystemClock().monotonic() + seconds
        while text not in self.seen:
            left = until - SystemClock().monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                pytest.fail(f"{text!r} did not come; seen: {self.seen[-2000:]!r}")
            try:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
            except OSError:
                pytest.fail(f"{text!r} did not come before the end; seen: {self.seen[-2000:]!r}")
            if "\x1b[6n" in self.seen:  # where is the cursor? A terminal answers.
                self.seen = self.seen.replace("\x1b[6n", "")
                os.write(self.master, b"\x1b[1;1R")
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self, seconds: float = 60.0) -> int:
        """The exit code; what is still written is read meanwhile, or the writer would wait for ever."""
        until = SystemClock().monotonic() + seconds
        while self.process.poll() is None and SystemClock().monotonic() < until:
            if select.select([self.master], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.master, 65536).decode(errors="replace")
                except OSError:
                    break
                if "\x1b[6n" in self.seen:
                    self.seen = self.seen.replace("\x1b[6n", "")
                    os.write(self.master, b"\x1b[1;1R")
        try:
            return self.process.wait(5)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it did not end; seen: {self.seen[-2000:]!r}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def test_a_visit(tmp_path):
    # Another home, but the kernels that are compiled already.
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    t = Terminal("sql", HOME=str(tmp_path), XDG_STATE_HOME=str(tmp_path), XDG_CACHE_HOME=cache)
    try:
        t.until("deras>")
        t.type("SELECT 1 +\r 41 AS answer;\r")
        t.until("│     42 │")
        t.until("1 row in")
        t.type("SELEC;\r")
        t.until("Did you mean SELECT?")
        t.type("CREATE TABLE e (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '50');\r")
        t.until("OK")
        t.type("SELECT COUNT(*) AS many FROM e;\r")
        t.until("1 row  (running, q ends)")
        t.type("q")
        t.until("1 row in")
        t.type("SELECT id FROM e;\r")
        t.until("id │")
        t.type("q")
        t.until("deras>")  # only the prompt takes Ctrl-D
        t.type("\x04")
        assert t.end() == 0
    finally:
        t.close()
    assert "answer" in (tmp_path / "deras" / "sql_history").read_text()


def test_completion():
    with Session() as s:
        s.sql("CREATE TABLE readings (sensor STRING, `value` DOUBLE) WITH ('connector' = 'datagen')")
        c = SqlCompleter(s)

        def offered(text: str) -> list[str]:
            return [x.text for x in c.get_completions(Document(text), CompleteEvent())]

        assert offered("SELECT * FROM rea") == ["readings"]
        assert "sensor" in offered("SELECT sen")
        assert "`value`" in offered("SELECT val")
        assert "select" in offered("sel")
        assert "deras_quarantine" in offered("SELECT * FROM der")


def test_parts_keep_places():
    text = "CREATE VIEW a AS SELECT 1;\nINSERT INTO b SELECT 2; SHOW TABLES;\nSELECT 3"
    found = list(parts(text))
    assert [p.strip() for p in found] == [
        "CREATE VIEW a AS SELECT 1;\nINSERT INTO b SELECT 2",
        "SHOW TABLES",
        "SELECT 3",
    ]
    assert all(text.startswith(p.lstrip(), len(p) - len(p.lstrip())) for p in found)


def test_picture_of_a_changing_result():
    schema = Schema.of(k=STRING, n=BIGINT)
    p = Picture(schema, (0,))
    p.apply(Delta.of(schema, [["a", 1], ["b", 1], ["a", 1], ["a", 2]], [1, 1, -1, 1]))
    assert p.rows == [("a", 2), ("b", 1)]
    p.apply(Delta.of(schema, [["b", 1]], [-1]))
    assert p.rows == [("a", 2)]
    bag = Picture(schema, None)
    bag.apply(Delta.of(schema, [["a", 1], ["a", 1], ["a", 1]], [1, 1, -1]))
    assert bag.rows == [("a", 1)]
    lines = p.lines(40, 24, None, "")
    assert lines[1] == "│ k │ n │"
    assert lines[-1] == "1 row"
