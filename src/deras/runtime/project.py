"""The project folder: where things lie, and the lock that makes one process its owner."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deras.core.errors import ConfigError, ProjectBusyError
from deras.core.time import Clock, SystemClock
from deras.runtime.storage import disk_error

LOCK = "deras.lock"
FOLDERS = ("checkpoints", "intake", "history", "quarantine", "run")


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that runs a project: its pid, where it listens (or ""), since when (ms), and whether it lives."""

    pid: int
    address: str
    started: int
    alive: bool


class Project:
    """An owned project folder.

    ``Project.open(folder)`` makes the layout and takes the lock; ``close()`` gives it back. The lock is the kernel's
    (``flock``), so a killed owner leaves none behind; the text in the file only tells others whom to talk to.
    """

    def __init__(self, folder: Path, fd: int, clock: Clock, stale: int | None) -> None:
        self.folder = folder
        self.stale_pid = stale
        """Pid of an earlier owner that did not end cleanly, or None."""
        self._fd = fd
        self._clock = clock
        self._started = clock.now()
        self.publish("")

    @classmethod
    def open(cls, folder: Path | str, clock: Clock | None = None) -> Project:
        """Make the folder if need be and own it.

        Raises:
            ProjectBusyError: another process (named by its pid) owns it.
            ConfigError: the path is a file.
            ExternalError: it cannot be made or written.
        """
        path = Path(folder).expanduser().absolute()
        if path.exists() and not path.is_dir():
            raise ConfigError(f"'{path}' is a file, not a folder", hint="Give the path of a folder for the project.")
        try:
            path.mkdir(parents=True, exist_ok=True)
            fd = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as e:
            raise disk_error(e, f"use the project folder '{path}'") from None
        clock = clock or SystemClock()
        if not _take(fd, clock):
            os.close(fd)
            raise _busy(path)
        try:
            before = _read(path)
            for name in FOLDERS:
                (path / name).mkdir(exist_ok=True)
            return cls(path, fd, clock, before.pid if before and before.pid != os.getpid() else None)
        except OSError as e:
            os.close(fd)
            raise disk_error(e, f"use the project folder '{path}'") from None

    def publish(self, address: str) -> None:
        """Write down pid and address (of the local socket) for those who want to attach."""
        about = {"pid": os.getpid(), "address": address, "started": self._started}
        data = (json.dumps(about) + "\n").encode()
        os.pwrite(self._fd, data, 0)
        os.ftruncate(self._fd, len(data))

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def close(self) -> None:
        """Give the folder back. Twice is fine."""
        if self._fd < 0:
            return
        with contextlib.suppress(OSError):  # a full disk must not keep the lock
            os.ftruncate(self._fd, 0)
        os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()


def owner(folder: Path | str) -> Owner | None:
    """Who owns a project, without taking it; None if nobody ever said so or the last one ended cleanly."""
    path = Path(folder).expanduser().absolute()
    return _read(path, probe=True)


def socket_path(folder: Path | str) -> Path:
    """Where the owner's local socket may lie: in the project, or in a private place where that path is too long."""
    import hashlib

    path = Path(folder).expanduser().absolute() / "run" / "deras.sock"
    if len(os.fsencode(path)) < 100:  # sun_path holds 104 (macOS) to 108 bytes
        return path
    short = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(base) / f"deras-{os.getuid()}-{short}.sock"


def _take(fd: int, clock: Clock) -> bool:
    for attempt in range(3):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            if attempt < 2:
                clock.sleep(0.01)  # somebody may only be asking who the owner is
    return False


def _read(folder: Path, probe: bool = False) -> Owner | None:
    try:
        about = json.loads((folder / LOCK).read_bytes() or b"null")
        found = Owner(int(about["pid"]), str(about["address"]), int(about["started"]), False)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not probe:
        return found
    try:
        fd = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return found
    except OSError:
        return Owner(found.pid, found.address, found.started, True)
    finally:
        os.close(fd)


def _busy(folder: Path) -> ProjectBusyError:
    found = _read(folder)
    if found is None:
        return ProjectBusyError(f"another process owns the project '{folder}'", hint="Stop it, or use another folder.")
    if found.pid == os.getpid():
        return ProjectBusyError(
            f"this process has the project '{folder}' open already", hint="Close the other session first, or use it."
        )
    return ProjectBusyError(
        f"process {found.pid} runs the project '{folder}'",
        hint="Attach to it with 'deras sql', stop it with 'deras stop', or use another folder.",
    )
