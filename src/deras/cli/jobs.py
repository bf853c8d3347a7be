"""``deras jobs``, ``status`` and ``stop``: about the process that runs a project."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from deras.cli.host import say
from deras.cli.output import fit, pad
from deras.core.errors import ConfigError, ExternalError
from deras.core.time import SystemClock
from deras.runtime.project import owner
from deras.session.remote import RemoteSession, attach

if TYPE_CHECKING:
    import argparse
    from pathlib import Path


def _folder(arguments: argparse.Namespace) -> Path:
    found: Path | None = arguments.project
    if found is None:
        raise ConfigError("which project?", hint="Give its folder with --project, or set DERAS_PROJECT.")
    if not found.is_dir():
        raise ConfigError(f"there is no project folder '{found}'", hint="'deras run … --project DIR' makes one.")
    return found


def jobs(arguments: argparse.Namespace) -> int:
    """What runs: a line each."""
    with attach(_folder(arguments)) as session:
        flows = session.status()["flows"]
    _table(
        ["id", "kind", "name", "state", "rows", "watermark", "note"],
        [
            [str(f["id"]), f["kind"], f["name"], f["state"], f"{f['rows']:,}", _moment(f["watermark"]), f["why_silent"]]
            for f in flows
        ],
        {0, 4},
    )
    return 0


def status(arguments: argparse.Namespace) -> int:
    """How it is doing."""
    folder = _folder(arguments)
    with attach(folder) as session:
        facts = session.status()
        facts = {"project": str(folder), "pid": session.pid, **facts}
    if arguments.json:
        sys.stdout.write(json.dumps(facts, ensure_ascii=False, indent=2, default=str) + "\n")
    else:
        _tell(facts)
    return 1 if facts["state"] == "failed" else 0


def _tell(facts: dict[str, Any]) -> None:
    delay = facts["delay_ms"]
    head = f"{facts['project']}: {facts['state']}, process {facts['pid']}, {facts['rows_per_second']:,.0f} rows/s"
    if delay["p50"] is not None:
        head += f", delay {delay['p50']:.1f} ms (p99 {delay['p99']:.1f} ms)"
    lines = [head]
    if facts["error"]:
        lines.append(f"error: {facts['error']['message']}")
    last = facts["checkpoint"]
    made = _moment(last["created"])
    lines.append(f"last checkpoint: {made}" + (f" (epoch {last['epoch']})" if last["epoch"] is not None else ""))
    if last["error"]:
        lines.append(f"last checkpoint failed: {last['error']['message']}")
    counts = facts["quarantine"]["counts"]
    if counts:
        parts = ", ".join(f"{c['rows']:,} {c['reason']} of {c['table']}" for c in counts)
        lines.append(f"quarantine: {parts} (view deras_quarantine)")
    lines += [f"note: {n}" for n in facts["notes"][-5:]]
    sys.stdout.write("\n".join(lines) + "\n")
    if facts["sources"]:
        rows = [
            [s["table"], s["connector"], f"{s['rows']:,}", _moment(s["watermark"]), _moment(s["last"])]
            for s in facts["sources"]
        ]
        _table(["source", "connector", "rows", "watermark", "last record"], rows, {2})
    if facts["flows"]:
        rows = [[f["kind"], f["name"], f["state"], f"{f['rows']:,}", f["why_silent"]] for f in facts["flows"]]
        _table(["kind", "name", "state", "rows", "why silent"], rows, {3})


def _moment(ms: Any) -> str:
    if not isinstance(ms, (int, float)):
        return str(ms) if ms else "–"
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).astimezone().isoformat(" ", "seconds")[:19]


def _table(names: list[str], rows: list[list[str]], right: set[int]) -> None:
    import shutil

    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    widths = fit(names, rows, room)
    for cells in [names, *rows]:
        line = "  ".join(pad(c, w, i in right) for i, (c, w) in enumerate(zip(cells, widths, strict=True)))
        sys.stdout.write(line.rstrip() + "\n")


def stop(arguments: argparse.Namespace) -> int:
    """Ask the owner to end and wait until it has; a process that does not answer gets SIGTERM."""
    folder = _folder(arguments)
    found = owner(folder)
    if found is None or not found.alive:
        say(f"nobody runs the project '{folder}'")
        return 0
    try:
        with attach(folder) as session:
            _ask(session)
    except (ExternalError, ConfigError):
        os.kill(found.pid, signal.SIGTERM)
    clock = SystemClock()
    until = clock.monotonic() + arguments.timeout
    while clock.monotonic() < until:
        now = owner(folder)
        if now is None or not now.alive or now.pid != found.pid:
            return 0
        clock.sleep(0.05)
    raise ExternalError(
        f"process {found.pid} has not ended after {arguments.timeout:g} s",
        hint=f"It may still write its last checkpoint. 'kill -9 {found.pid}' ends it at once, without loss.",
    )


def _ask(session: RemoteSession) -> None:
    session.stop()
