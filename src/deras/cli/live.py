"""A result that changes, drawn in place on a terminal; and single keys without Enter."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import sys
from typing import TYPE_CHECKING, Any

from deras.cli.output import fit, pad
from deras.cli.values import clean, is_number, text_of
from deras.core.delta import hashable
from deras.core.time import SystemClock
from deras.session.changelog import changes

if TYPE_CHECKING:
    from deras.cli.sql import Output
    from deras.core.delta import Delta
    from deras.core.schema import Schema
    from deras.session.result import Result

_PAUSE = 0.1
"""Seconds between two pictures."""


class Keys:
    """Reads ``q`` while a query runs. The terminal's mode is put back whatever happens.

    Args:
        on: False: not a terminal; nothing is read.
    """

    def __init__(self, on: bool) -> None:
        self._on = on and sys.stdin.isatty()
        self._before: list[Any] | None = None

    def __enter__(self) -> Keys:
        if self._on:
            import termios
            import tty

            fd = sys.stdin.fileno()
            self._before = termios.tcgetattr(fd)
            tty.setcbreak(fd)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            import termios

            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._before)

    def quit(self) -> bool:
        """Whether q was pressed, or the terminal is gone."""
        if not self._on:
            return False
        fd = sys.stdin.fileno()
        while select.select([fd], [], [], 0)[0]:
            try:
                read = os.read(fd, 64)
            except OSError:
                return True
            if not read or b"q" in read or b"Q" in read or b"\x04" in read:
                return True
        return False


class Picture:
    """The rows of a changing result, by key, in the order of their first arrival.

    Args:
        schema: of the rows.
        key: what tells rows apart; None: whole rows.
    """

    def __init__(self, schema: Schema, key: tuple[int, ...] | None) -> None:
        self.schema = schema
        self._key = key
        self._rows: dict[Any, tuple[Any, ...]] = {}
        self._counts: dict[Any, int] = {}

    def apply(self, delta: Delta) -> None:
        """Take the changes of a step."""
        for kind, row in changes(delta, self._key):
            if self._key is not None:
                k = hashable([row[i] for i in self._key])
                if kind == "-D":
                    self._rows.pop(k, None)
                elif kind != "-U":
                    self._rows[k] = row
                continue
            k = hashable(row)
            count = self._counts.pop(k, 0) + (1 if kind in ("+I", "+U") else -1)
            if count > 0:
                self._counts[k] = count
                self._rows[k] = row
            else:
                self._rows.pop(k, None)

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """All rows now."""
        if self._key is not None:
            return list(self._rows.values())
        return [r for k, r in self._rows.items() for _ in range(self._counts.get(k, 1))]

    def lines(self, width: int, height: int, zone: Any, footer: str) -> list[str]:
        """The table as at most ``height`` lines of at most ``width`` columns."""
        rows = self.rows
        shown = rows[: max(1, height - 6)]
        cells = [[clean(text_of(v, t, zone)) for v, t in zip(r, self.schema.types, strict=True)] for r in shown]
        names = [clean(n) for n in self.schema.names]
        widths = fit(names, cells, width)
        right = [is_number(t) for t in self.schema.types]

        def line(values: list[str]) -> str:
            made = (pad(c, w, r) for c, w, r in zip(values, widths, right, strict=True))
            return "│ " + " │ ".join(made) + " │"

        def rule(ends: str) -> str:
            return ends[0] + ends[1].join("─" * (w + 2) for w in widths) + ends[2]

        more = len(rows) - len(shown)
        foot = f"{len(rows)} row{'s' if len(rows) != 1 else ''}" + (f" ({more} not shown)" if more else "") + footer
        return [rule("┌┬┐"), line(names), rule("├┼┤"), *map(line, cells), rule("└┴┘"), pad(foot, width).rstrip()]


def live(result: Result, output: Output) -> int:
    """Draw a query's result in place until it ends, ``q`` or Ctrl-C; gives the number of rows at the end."""
    picture = Picture(result.schema, result.key)
    clock = SystemClock()
    began = drawn = clock.monotonic()
    drawn -= _PAUSE
    height, changed, over = 0, True, False
    out = sys.stdout

    def draw(footer: str) -> None:
        nonlocal height
        size = shutil.get_terminal_size()
        lines = picture.lines(size.columns, size.lines, output.zone, footer)
        up = f"\x1b[{height}A" if height else ""
        out.write(up + "".join(f"\x1b[2K{line}\n" for line in lines) + "\x1b[J")
        out.flush()
        height = len(lines)

    out.write("\x1b[?25l")  # no cursor while it is drawn
    try:
        with Keys(on=True) as keys, contextlib.suppress(KeyboardInterrupt):
            while not over:
                try:
                    delta = result.take(_PAUSE)
                    over = delta is None
                    if delta is not None:
                        picture.apply(delta)
                        changed = True
                except TimeoutError:
                    pass
                now = clock.monotonic()
                if changed and now - drawn >= _PAUSE:
                    draw("  (running, q ends)")
                    drawn, changed = now, False
                over = over or keys.quit() or (output.timeout is not None and now - began >= output.timeout)
        draw("")
    finally:
        out.write("\x1b[?25h")
        out.flush()
        result.close()
    return len(picture.rows)
