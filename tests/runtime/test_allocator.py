"""The C library is set up once, only where nobody else did, and frees what it is told to."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

GLIBC = sys.platform == "linux" and platform.libc_ver()[0] == "glibc"

# Blocks of growing size: by its own rules glibc gives every other one back.
CODE = """
import resource, sys
import numpy as np
from deras.runtime import allocator
from deras.runtime.allocator import give_back_freed_memory, keep_freed_memory
done = keep_freed_memory()
assert keep_freed_memory() == done
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
kept = [np.ones(1 << 20, np.uint8) for _ in range(60)]
held = resident()
kept.clear()
left = resident()
give_back_freed_memory()
print(done, left > held - (8 << 20), resident() < held - (32 << 20))
"""


def run(**more: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment | more, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.skipif(not GLIBC, reason="only glibc is set up")
def test_freed_blocks_stay_until_they_are_given_back() -> None:
    assert run() == "True True True"


@pytest.mark.skipif(not GLIBC, reason="only glibc is set up")
@pytest.mark.parametrize(
    "more", [{"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072"}]
)
def test_what_the_environment_says_holds(more: dict[str, str]) -> None:
    assert run(**more).startswith("False")
