"""``deras doctor``: what this installation and a project look like from inside."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

_PACKAGES = ("polars", "numpy", "numba", "pyarrow", "duckdb", "starlette", "uvicorn")


def doctor(arguments: argparse.Namespace) -> int:
    """Print facts; exit 1 if something is wrong."""
    from deras import __version__
    from deras.core.jit import cache_folder

    wrong: list[str] = []
    lines = [f"deras {__version__}, Python {platform.python_version()} on {platform.machine()} {platform.system()}"]
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"package {name} is missing: pip install deras")
    lines.append(", ".join(found))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    lines.append(f"{cores} cores")
    kernels = cache_folder()
    if kernels is None:
        wrong.append("no folder for compiled kernels can be written; set XDG_CACHE_HOME")
    else:
        lines.append(f"compiled kernels in {kernels}")
    if arguments.project is not None:
        _project(arguments.project, lines, wrong)
    sys.stdout.write("\n".join(lines) + "\n")
    for text in wrong:
        sys.stdout.write(f"wrong: {text}\n")
    return 1 if wrong else 0


def _project(folder: Path, lines: list[str], wrong: list[str]) -> None:
    from deras.runtime.checkpoint import CheckpointStore
    from deras.runtime.project import owner

    if not folder.is_dir():
        wrong.append(f"there is no folder '{folder}'")
        return
    found = owner(folder)
    running = found is not None and found.alive
    if found is None:
        lines.append(f"{folder}: not running")
    elif found.alive:
        lines.append(f"{folder}: process {found.pid} runs it")
    else:
        lines.append(
            f"{folder}: process {found.pid} ended without a last checkpoint; the next start goes on from the one before"
        )
    if not os.access(folder, os.W_OK):
        wrong.append(f"'{folder}' cannot be written")
    free = shutil.disk_usage(folder).free
    lines.append(f"{free / 1e9:,.1f} GB free")
    if free < 100e6:
        wrong.append("the disk is almost full")
    if running or not (folder / "checkpoints").is_dir():
        return
    store = CheckpointStore(folder / "checkpoints", 3)
    manifest = store.latest()
    wrong.extend(store.notes)
    lines.append("no checkpoint yet" if manifest is None else f"checkpoint of epoch {manifest.epoch} is whole")
