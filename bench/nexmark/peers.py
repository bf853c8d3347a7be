"""Nexmark in the engines that are compared with Deras, each in an environment of its own.

Apache Flink runs the suite's texts into its black hole: one warm JVM, two slots, object reuse, checkpoints every 10 s.
clink runs them in its dialect (``clink/``): moments are BIGINT there (milliseconds), so it reads the same rows with
those in their place. Of each query the second run counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import suite

if TYPE_CHECKING:
    from collections.abc import Sequence

CHANGING = {"q4", "q5", "q9", "q15", "q16", "q17", "q18", "q19"}
"""Their results change, and clink writes no such rows into a file: only their time is known."""
EVENT_TIME = {"q12"}
"""clink has no windows of processing time."""

PACKAGES = {"flink": "apache-flink==2.3.0", "clink": "pyclink==0.12.2"}

Answers = dict[str, dict[str, Any]]


def environment(peer: str) -> str:
    """The Python of an environment of the peer's own: in the user's cache, made from the package index once.

    ``DERAS_FLINK_ENV`` and ``DERAS_CLINK_ENV`` name one that is there already.
    """
    if made := os.environ.get(f"DERAS_{peer.upper()}_ENV"):
        return str(Path(made) / "bin" / "python")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deras"
    folder = cache / PACKAGES[peer].removeprefix("apache-").removeprefix("py").replace("==", "-")
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        print(f"installing {PACKAGES[peer]} into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", PACKAGES[peer]], check=True)
        (folder / "installed").touch()
    return str(python)


def flink(queries: Sequence[str], folder: Path, python: str) -> Answers:
    """Of each query that Flink can run ``{"seconds"}`` or ``{"failed"}``."""
    scripts = []
    wanted = [q for q in queries if q not in suite.NOT_FLINK - {"q12"}]
    for q in wanted:
        statements = flink_statements(q, folder)
        scripts += [[f"{q} first", statements], [q, statements]]
    with tempfile.TemporaryDirectory(prefix="deras-flink-") as scratch:
        settings = {
            "execution.checkpointing.interval": "10 s",
            "execution.checkpointing.dir": f"file://{scratch}/checkpoints",
            "parallelism.default": "2",
            "pipeline.object-reuse": "true",
        }
        environment = {**os.environ, "_JAVA_OPTIONS": "-Xmx4g", "FLINK_PID_DIR": scratch}
        return _run(python, "flink_run.py", scripts, scratch, json.dumps(settings), environment, wanted)


def flink_statements(query: str, folder: Path | str) -> list[str]:
    """The query's statements for Flink, into its black hole."""
    print_ = f"'print', 'print-identifier' = '{query}'"
    return [s.replace(print_, "'blackhole'") for s in suite.script(query, folder, flink=True)]


def clink(queries: Sequence[str], folder: Path, python: str) -> Answers:
    """Of each query that has a text for clink ``{"seconds"}`` or ``{"failed"}``."""
    wanted = [q for q in queries if suite.clink(q, folder) is not None]
    data = _in_milliseconds(folder)
    scripts = [[name, suite.clink(q, data)] for q in wanted for name in (f"{q} first", q)]
    with tempfile.TemporaryDirectory(prefix="deras-clink-") as scratch:
        return _run(python, "clink_run.py", scripts, scratch, f"{scratch}/checkpoints", dict(os.environ), wanted)


def clink_rows(queries: Sequence[str], folder: Path, python: str) -> dict[str, int]:
    """The number of rows that clink writes, of queries whose result only grows."""
    data = _in_milliseconds(folder)
    with tempfile.TemporaryDirectory(prefix="deras-clink-") as scratch:
        wanted = [q for q in queries if q not in CHANGING and suite.clink(q, data) is not None]
        sinks = {q: Path(scratch) / f"{q}.json" for q in wanted}
        scripts = [
            [q, suite.clink(q, data, f"connector='file', format='json', path='{path}'")] for q, path in sinks.items()
        ]
        _run(python, "clink_run.py", scripts, scratch, f"{scratch}/checkpoints", dict(os.environ), wanted)
        return {q: path.read_bytes().count(b"\n") for q, path in sinks.items() if path.exists()}


def _run(
    python: str,
    runner: str,
    scripts: list[Any],
    scratch: str,
    more: str,
    environment: dict[str, str],
    wanted: list[str],
) -> Answers:
    given, taken = Path(scratch) / "scripts.json", Path(scratch) / "answers.json"
    given.write_text(json.dumps(scripts), encoding="utf-8")
    command = [python, str(Path(__file__).with_name(runner)), str(given), str(taken), more]
    done = subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    answers: Answers = json.loads(taken.read_text(encoding="utf-8")) if taken.exists() else {}
    # A process that died took the rest with it.
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [""]
    missing = {"failed": f"exit code {done.returncode}: {last[0][:200]}"}
    return {q: answers.get(q, missing) for q in wanted}


def _in_milliseconds(folder: Path) -> Path:
    """The files with moments as milliseconds since 1970; made once."""
    import polars as pl

    made = folder / "milliseconds"
    if (made / "done").exists():
        return made
    made.mkdir(exist_ok=True)
    for table in suite.TABLES:
        frame = pl.read_ndjson(folder / f"{table}.json", infer_schema_length=1000)
        moments = [c for c in ("dateTime", "expires") if c in frame.columns]
        text = [pl.col(c).cast(pl.String).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="ms") for c in moments]
        frame.with_columns(x.cast(pl.Int64) for x in text).write_ndjson(made / f"{table}.json")
    (made / "done").touch()
    return made
