"""The house rules that a machine can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "deras").rglob("*.py"))
BIN = Path(sys.executable).parent
LONGEST = 600
# One kernel is one function: calls across files would cost it a fifth of its speed.
LONG = {"_json_kernel.py": 800}


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_import_loads_nothing_heavy() -> None:
    code = "import sys, deras; print([m for m in ('numpy', 'polars', 'numba', 'pyarrow', 'duckdb', 'starlette') if m in sys.modules])"
    done = _run(sys.executable, "-c", code)
    assert done.stdout.strip() == "[]", done.stderr


def test_light_modules_import_no_third_party_package() -> None:
    modules = "errors options types schema registry time"
    code = (
        "import sys\nbefore = set(sys.modules)\n"
        + "\n".join(f"import deras.core.{m}" for m in modules.split())
        + "\nfound = {m.split('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names) - {'deras'}"
        + "\nprint(sorted(found))"
    )
    done = _run(sys.executable, "-c", code)
    assert done.stdout.strip() == "[]", done.stderr


def test_rooms_point_one_way() -> None:
    done = _run(str(BIN / "lint-imports"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_is_content() -> None:
    done = _run(str(BIN / "ruff"), "check", "--no-cache", ".")
    assert done.returncode == 0, done.stdout[-4000:]
    done = _run(str(BIN / "ruff"), "format", "--no-cache", "--check", ".")
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.slow
def test_mypy_is_content() -> None:
    done = _run(str(BIN / "mypy"))
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT / "src" / "deras")))
def test_files_stay_small(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= LONG.get(path.name, LONGEST), f"{lines} lines: usually two rooms are hidden in such a file"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT / "src" / "deras")))
def test_no_builtin_hash(path: Path) -> None:
    # hash() of text differs from process to process: nothing that is kept or compared may come from it.
    calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
    found = [c.lineno for c in calls if isinstance(c.func, ast.Name) and c.func.id == "hash"]
    assert not found, f"builtin hash() in line {found[0]}"


def test_lock_files_hold_every_dependency() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [re.split(r"[<>=!;\[ ]", d)[0].lower() for d in project["project"]["dependencies"]]
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8").lower()
    missing = [w for w in wanted if f"\n{w}==" not in "\n" + locked]
    assert not missing, f"run `make lock`: {missing}"
