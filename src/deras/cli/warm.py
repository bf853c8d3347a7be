"""``deras warm``: compile every kernel now, so that nobody waits for it later."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from deras.cli.host import say
from deras.core.time import SystemClock

if TYPE_CHECKING:
    import argparse


class Progress:
    """A line that counts, on a terminal; nothing elsewhere.

    Args:
        what: what is being done.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown = False
        self._on = sys.stderr.isatty()

    def __call__(self, name: str, done: int, all_: int) -> None:
        """So far."""
        if self._on:
            short = name.rsplit(".", 1)[-1]
            sys.stderr.write(f"\r\x1b[2K{self._what} {done + 1}/{all_} {short}")
            sys.stderr.flush()
            self._shown = True

    def end(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._shown = False


def warm(_: argparse.Namespace) -> int:
    """Compile all kernels into the user's cache."""
    from deras.core.jit import cache_folder, warm_all

    clock = SystemClock()
    began = clock.monotonic()
    progress = Progress("compiling kernel")
    try:
        count = warm_all(progress)
    finally:
        progress.end()
    folder = cache_folder()
    if folder is None:
        say("note: no cache folder can be written, so kernels are compiled again by every process")
    sys.stdout.write(f"{count} kernels ready in {clock.monotonic() - began:.1f} s\n")
    return 0
