"""The kernel decorator, its cache and the intrinsics."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deras.core import jit
from deras.core.jit import (
    copy32,
    copy32_at,
    copy_from,
    float_bits,
    helper,
    high_bytes,
    kernel,
    leading_zeros,
    load8_at,
    load32,
    load64,
    load64_at,
    match2,
    multiply_high,
    population,
    prefetch,
    prefetch_at,
    quote_stops,
    store64,
    string_stops,
    trailing_zeros,
)

SOURCE = """
import logging, sys
logging.basicConfig(stream=sys.stderr, format="%(message)s")
sys.path.insert(0, {folder!r})
import deras.core.jit as jit
from kernels_of_test import twice
before = twice.loaded
print(before, twice(21), jit.cache_folder())
"""
MODULE = """
from deras.core.jit import kernel

@kernel("int64(int64)")
def twice(x):
    return x * 2
"""


@helper
def _plus(a: int, b: int) -> int:
    return a + b


@kernel("int64(int64, int64)")
def inner(a, b):
    return _plus(a, b)


@kernel("int64(int64)", "float64(float64)")
def outer(a):
    return inner(int(a), 1) + a


@kernel("void(uint8[::1], int64, uint64[::1])")
def everything(data, i, out):
    out[0] = load64(data, i)
    out[1] = load32(data, i)
    out[2] = load64_at(data.ctypes.data + i)
    out[3] = load8_at(data.ctypes.data + i)
    out[4] = string_stops(data, i)
    out[5] = quote_stops(data, i)
    out[6] = high_bytes(data, i)
    out[7] = match2(data, i, np.uint8(10), np.uint8(44))
    prefetch(data, i)
    prefetch_at(data.ctypes.data)


@kernel("void(uint64, uint64, uint64[::1])")
def bits(a, b, out):
    out[0] = trailing_zeros(a)
    out[1] = leading_zeros(a)
    out[2] = population(a)
    out[3] = multiply_high(a, b)
    out[4] = trailing_zeros(np.uint32(a | np.uint64(1 << 31)))


@kernel("float64(uint64)")
def as_float(x):
    return float_bits(x)


@kernel("void(uint8[::1], uint8[::1], int64, int64)")
def copies(target, source, i, k):
    copy32(target, i, source, k)
    copy32_at(target, i + 32, source.ctypes.data + k)
    copy_from(target, i + 64, source.ctypes.data + k, 7)
    store64(target, i + 71, np.uint64(0x0807060504030201))


def test_kernels_call_helpers_and_one_another() -> None:
    assert outer(3) == 7
    assert outer(2.5) == 5.5
    assert outer.loaded
    assert jit.kernels()[outer.name] is outer


@kernel("int64(int64[::1])")
def _first_of_a_copy(numbers: Any) -> Any:
    made = np.empty(1, np.int64)
    made[0] = numbers[0]
    return made[0]


@helper
def _last(numbers: Any) -> Any:
    return numbers[len(numbers) - 1]


@kernel("int64(int64[::1])")
def _without_arrays(numbers: Any) -> Any:
    total = 0
    for k in range(1, len(numbers)):
        total += _last(numbers[:k])
    return total


def test_only_kernels_that_make_arrays_count_references(monkeypatch: pytest.MonkeyPatch) -> None:
    # Numba can show the code of what it compiled itself, not of what it found in the cache.
    monkeypatch.setattr(jit, "_module_folder", lambda module: None)
    numbers = np.arange(5)
    for declared, result, counts in ((_first_of_a_copy, 0, True), (_without_arrays, 6, False)):
        made = jit.Kernel(declared.function, declared.signatures)
        assert made(numbers) == result
        code = "".join(made._made().inspect_llvm().values())
        assert ("NRT" in code) == counts


def test_a_kernel_takes_no_other_types() -> None:
    with pytest.raises(TypeError):
        inner("a", 1)


def test_loads_and_masks_at_every_alignment() -> None:
    data = np.random.default_rng(7).integers(0, 256, 256).astype(np.uint8)
    data[40:60] = [34, 92, 31, 32, 127, 128, 255, 10, 44, 0] * 2
    out = np.zeros(8, np.uint64)
    raw = data.tobytes()
    for i in range(200):
        everything(data, i, out)
        part = raw[i : i + 32]
        assert int(out[0]) == int(out[2]) == int.from_bytes(part[:8], "little")
        assert int(out[1]) == int.from_bytes(part[:4], "little")
        assert int(out[3]) == part[0]
        mask = [sum(1 << b for b, c in enumerate(part) if test(c)) for test in (
            lambda c: c in (34, 92) or c < 32 or c >= 128,
            lambda c: c in (34, 92) or c < 32,
            lambda c: c >= 128,
            lambda c: c in (10, 44),
        )]  # fmt: skip
        assert out[4:8].tolist() == mask


@pytest.mark.parametrize("a", [1, 2, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF, 0x123456789ABCDEF0])
@pytest.mark.parametrize("b", [0, 1, 0xFFFFFFFFFFFFFFFF, 0xFEDCBA9876543210])
def test_bit_tricks(a: int, b: int) -> None:
    out = np.zeros(5, np.uint64)
    bits(a, b, out)
    low = (a | 1 << 31) & 0xFFFFFFFF
    want = [(a & -a).bit_length() - 1, 64 - a.bit_length(), a.bit_count(), (a * b) >> 64, (low & -low).bit_length() - 1]
    assert out.tolist() == want


def test_float_bits() -> None:
    assert as_float(np.float64(-1.5).view(np.uint64)) == -1.5


def test_copies() -> None:
    source = np.arange(100, dtype=np.uint8)
    target = np.full(120, 255, np.uint8)
    copies(target, source, 5, 3)
    want = [255] * 5 + [*range(3, 35)] * 2 + [*range(3, 10)] + [1, 2, 3, 4, 5, 6, 7, 8]
    assert target.tolist() == want + [255] * (120 - len(want))


def test_threads_load_once() -> None:
    @kernel("int64(int64)")
    def square(x):
        return x * x

    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(square(9))) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found == [81] * 4


def run(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    (folder / "kernels_of_test.py").write_text(MODULE) if not (folder / "kernels_of_test.py").exists() else None
    base = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME", "DERAS_BOUNDSCHECK")}
    code = SOURCE.format(folder=str(folder))
    path = os.pathsep.join([str(Path(jit.__file__).parents[2]), str(folder)])
    return subprocess.run(
        [sys.executable, "-c", code], env=base | {"PYTHONPATH": path} | env, capture_output=True, text=True, check=True
    )


def cached(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.nbc"))


def test_the_cache_is_found_again_and_follows_the_source(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert run(tmp_path, XDG_CACHE_HOME=str(cache)).stdout.startswith("False 42 " + str(cache))
    one = cached(cache)
    assert len(one) == 1
    stamp = one[0].stat().st_mtime_ns
    run(tmp_path, XDG_CACHE_HOME=str(cache))
    assert [p.stat().st_mtime_ns for p in cached(cache)] == [stamp]
    (tmp_path / "kernels_of_test.py").write_text(MODULE.replace("* 2", "* 3"))
    assert "False 63" in run(tmp_path, XDG_CACHE_HOME=str(cache)).stdout
    assert len(cached(cache)) == 2


def test_only_kernels_are_the_sources_of_kernels() -> None:
    """Else an edit of anything is one of every kernel, and all are compiled again."""
    modules = jit._kernel_modules()
    assert len(modules) > 20
    for module in modules:
        others = [m for m in jit._sources(module) if not m.startswith("deras.core.") and "kernel" not in m]
        assert others == [], f"{module} imports {others}"


def test_a_torn_cache_file_is_replaced(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    run(tmp_path, XDG_CACHE_HOME=str(cache))
    for p in [*cached(cache), *cache.rglob("*.nbi")]:
        p.write_bytes(p.read_bytes()[:50])
    assert "False 42" in run(tmp_path, XDG_CACHE_HOME=str(cache)).stdout


LINKED = """
import numpy as np
from deras.core.jit import kernel

@kernel("int64(int64)")
def twice(x):
    return x * 2

@kernel("int64[::1](int64)")
def numbers(n):
    made = np.empty(n, np.int64)
    for i in range(n):
        made[i] = i
    return made

@kernel("int64(int64)")
def fails(x):
    if x < 0:
        raise ValueError("below zero")
    return x

@kernel("int64(int64)")
def caller(x):
    return twice(x) + fails(x) + numbers(x)[x - 1]
"""
FROM_THE_CACHE = """
import sys
import kernels_of_test as k
# Loaded before anything was compiled: with arrays of their own, errors, and code that the last one inlines.
assert k.twice.cached and k.numbers.cached and k.fails.cached and not k.caller.cached
made = k.numbers(5)
assert made.tolist() == [0, 1, 2, 3, 4] and made.flags.owndata is False
assert k.twice(21) == 42
try:
    k.fails(-1)
except ValueError as e:
    assert str(e) == "below zero"
else:
    raise AssertionError
assert "numba.np.linalg" not in sys.modules, "loading has set up what only compiling needs"
assert k.caller(4) == 8 + 4 + 3
assert made.tolist() == [0, 1, 2, 3, 4]
print("done")
"""


def test_loaded_kernels_do_what_compiled_ones_do_and_can_be_inlined(tmp_path: Path) -> None:
    (tmp_path / "kernels_of_test.py").write_text(LINKED)
    path = os.pathsep.join([str(Path(jit.__file__).parents[2]), str(tmp_path)])
    env = os.environ | {"PYTHONPATH": path, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    first = "import kernels_of_test as k; k.twice(1); k.numbers(1); k.fails(1)"
    for code in (first, FROM_THE_CACHE, FROM_THE_CACHE.replace("not k.caller.cached", "k.caller.cached")):
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"


def test_no_place_to_write_is_one_note(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    found = run(tmp_path, XDG_CACHE_HOME=str(blocked / "x"))
    assert found.stdout.strip() == "False 42 None"
    assert found.stderr.count("compiled in memory") == 1


def test_bounds_checks(tmp_path: Path) -> None:
    code = """
import numpy as np
from deras.core.jit import BOUNDSCHECK, kernel, load64
assert BOUNDSCHECK
@kernel("uint64(uint8[::1], int64)")
def f(b, i):
    return load64(b, i)
@kernel("uint8(uint8[::1], int64)")
def g(b, i):
    return b[i]
b = np.zeros(16, np.uint8)
assert f(b, 8) == 0
for k, i in ((f, 9), (f, -1), (g, 16)):
    try:
        k(b, i)
    except IndexError:
        continue
    raise SystemExit(f"no error at {i}")
"""
    env = os.environ | {"DERAS_BOUNDSCHECK": "1", "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
