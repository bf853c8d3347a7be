"""Runs scripts in clink (package ``pyclink``). Runs in clink's own environment, with nothing of ours.

Reads ``[[name, script], …]`` as JSON from the file named first and writes ``{name: {"seconds"} or {"failed"}}`` to the
file named second; the third argument is a folder for checkpoints.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pyclink

PARALLELISM = 1
"""Each of more subtasks of its file source reads the whole file, and every row comes as often as there are some."""


def run(script: str, checkpoints: str) -> dict[str, Any]:
    """Run a script in a fresh engine and wait for its jobs."""
    try:
        with pyclink.Engine(
            parallelism=PARALLELISM, checkpoint_dir=checkpoints, checkpoint_interval_ms=10_000, fresh=True
        ) as engine:
            begin = time.perf_counter()
            engine.execute(script)
            engine.await_all(600_000)
            return {"seconds": time.perf_counter() - begin, "version": engine.version}
    except Exception as e:  # noqa: BLE001 (any failure is an answer)
        return {"failed": " ".join(str(e).split())[:300] or type(e).__name__}


def main() -> None:
    """Run all scripts, one after the other."""
    found: dict[str, Any] = {}
    for name, script in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        found[name] = run(script, sys.argv[3])
        Path(sys.argv[2]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
