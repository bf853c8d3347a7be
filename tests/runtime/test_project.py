"""The project folder: one owner, clear words for everybody else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deras.core.errors import ConfigError, ExternalError, ProjectBusyError
from deras.runtime.project import FOLDERS, LOCK, Project, owner, socket_path

HOLD = """
import sys, time
from deras.runtime.project import Project
p = Project.open(sys.argv[1])
p.publish("unix:/tmp/x.sock")
print("held", flush=True)
sys.stdin.read()
"""


def test_layout_and_owner(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "project"
    assert owner(folder) is None
    with Project.open(folder) as project:
        assert all((folder / f).is_dir() for f in FOLDERS)
        assert project / "checkpoints" == folder / "checkpoints"
        project.publish("unix:x" * 20)
        project.publish("unix:y")
        found = owner(folder)
        assert found is not None
        assert (found.pid, found.address, found.alive) == (os.getpid(), "unix:y", True)
    assert owner(folder) is None
    Project.open(folder).close()


def test_the_same_process_twice(tmp_path: Path) -> None:
    with Project.open(tmp_path), pytest.raises(ProjectBusyError, match="this process"):
        Project.open(tmp_path)


def test_another_process_is_named(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as p:
        assert p.stdout is not None
        assert p.stdout.readline() == "held\n"
        with pytest.raises(ProjectBusyError, match=f"process {p.pid} runs") as e:
            Project.open(tmp_path)
        assert "deras stop" in e.value.hint
        found = owner(tmp_path)
        assert found is not None
        assert (found.pid, found.address, found.alive) == (p.pid, "unix:/tmp/x.sock", True)
        os.kill(p.pid, signal.SIGKILL)
        p.wait()
    left = owner(tmp_path)
    assert left is not None
    assert not left.alive
    with Project.open(tmp_path) as project:  # a killed owner leaves no lock
        assert project.stale_pid == left.pid


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with pytest.raises(ConfigError, match="is a file"):
        Project.open(tmp_path / "f")


def test_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_text("x")
    with pytest.raises(ExternalError, match="cannot use the project folder"):
        Project.open(tmp_path / "f" / "below")

    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ExternalError, match="permission denied") as e:
        Project.open(tmp_path / "p")
    assert e.value.hint
    assert e.value.retry == "never"


def test_a_damaged_lock_text_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("{nonsense")
    assert owner(tmp_path) is None
    with Project.open(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


def test_socket_path_is_short_enough(tmp_path: Path) -> None:
    assert socket_path("/tmp/p") == Path("/tmp/p/run/deras.sock")
    long = tmp_path / ("x" * 100)
    assert len(os.fsencode(socket_path(long))) < 100
    assert socket_path(long) == socket_path(str(long))
    assert socket_path(long) != socket_path(tmp_path / ("y" * 100))
