"""What a benchmark says about the machine that it ran on, and about the memory of its process."""

from __future__ import annotations

import contextlib
import os
import platform
from pathlib import Path


def facts() -> str:
    """One line: processor, cores that may be used, memory, system, Python, libraries."""
    from importlib.metadata import version

    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    libraries = ", ".join(f"{n} {version(n)}" for n in ("duckdb", "numba", "numpy", "polars"))
    return (
        f"{model}, {cores} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {libraries}"
    )


def load() -> float:
    """Load average of the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def rss() -> float:
    """Resident memory now, MiB (0 where /proc is not there)."""
    return _status("VmRSS")


def peak() -> float:
    """Greatest resident memory since :func:`reset_peak`, MiB (0 where /proc is not there)."""
    return _status("VmHWM")


def reset_peak() -> None:
    """Begin to measure :func:`peak` anew."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(key: str) -> float:
    return next((int(line.split()[1]) / 1024 for line in _lines("/proc/self/status") if line.startswith(key)), 0.0)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
