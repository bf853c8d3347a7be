"""Numba kernels: declared with their types, compiled at first use, kept in the user's cache folder.

``@kernel("int64(uint8[::1], int64)")`` makes a function that other kernels and Python may call; ``@helper`` one for
other kernels only, inlined by LLVM. Nothing is compiled at import. The intrinsics of :mod:`deras.core.simd` come along.

Numba's own cache does not notice an edited helper in another file, and fails at import where the package is read-only
and there is no home. So the folder is ours: ``$XDG_CACHE_HOME/deras/kernels/<machine>/<module>-<sources>``, where
*machine* is a hash of Python, Numba, CPU and the bounds check, *sources* one of the kernel's module and of all modules
of Deras that it imports. Where nothing can be written, kernels are compiled in memory, with one note in the log.
"""

# Numba is typed in part only.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import logging
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llvmlite
import numba
from numba.core import caching, sigutils, types

from deras.core.kernel_loading import rebuild, reduce
from deras.core.simd import (
    BOUNDSCHECK,
    copy32,
    copy32_at,
    copy_from,
    float_bits,
    high_bytes,
    leading_zeros,
    load8,
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

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "BOUNDSCHECK",
    "Kernel",
    "cache_folder",
    "copy32",
    "copy32_at",
    "copy_from",
    "float_bits",
    "helper",
    "high_bytes",
    "kernel",
    "kernels",
    "leading_zeros",
    "load8",
    "load8_at",
    "load32",
    "load64",
    "load64_at",
    "match2",
    "multiply_high",
    "population",
    "prefetch",
    "prefetch_at",
    "quote_stops",
    "routine",
    "store64",
    "string_stops",
    "trailing_zeros",
    "warm_all",
]

_log = logging.getLogger("deras.jit")
_FLAGS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": False, "boundscheck": BOUNDSCHECK}
# Numba counts references to arrays with atomic instructions, at each inlined call too: a fifth of a tight kernel's
# time. Callers hold what they pass, so only a kernel that makes arrays itself needs the counts.
_UNCOUNTED: dict[str, Any] = {**_FLAGS, "_nrt": False}
_MAKERS = frozenset(
    {
        "arange",
        "argsort",
        "array",
        "copy",
        "empty",
        "empty_like",
        "full",
        "full_like",
        "ones",
        "sort",
        "zeros",
        "zeros_like",
    }
)
_registry: dict[str, Kernel] = {}
_noted: set[str] = set()
_lock = threading.RLock()
_IMPORT = re.compile(
    rb"^\s*(?:from\s+(deras[\w.]*)\s+import\s+(\([^)]*\)|[^\n]*)|import\s+(deras[\w.]*))", re.MULTILINE
)


class Kernel:
    """A compiled function; calling it from Python compiles (or loads) it first if that has not happened yet.

    Args:
        function: the Python source of the kernel.
        signatures: Numba signatures, e.g. ``"void(int64[::1])"``.
    """

    def __init__(self, function: Callable[..., Any], signatures: Sequence[str]) -> None:
        self.function = function
        self.signatures = tuple(signatures)
        self.name = f"{function.__module__}.{function.__qualname__}"
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self._call: Callable[..., Any] | None = None
        self._dispatcher: Any = None

    def __call__(self, *args: Any) -> Any:
        """Run it, compiled first if need be."""
        call = self._call
        if call is None:
            call = self.load()
        return call(*args)

    @property
    def loaded(self) -> bool:
        """Whether it is compiled in this process."""
        return self._call is not None

    @property
    def cached(self) -> bool:
        """Whether the cache folder holds it for this machine and these sources."""
        cache = getattr(self._made(), "_cache", None)
        index = getattr(getattr(cache, "_cache_file", None), "_index_path", None)
        return index is not None and Path(index).exists()

    @property
    def _numba_type_(self) -> Any:
        # So that a kernel named in another kernel's body is an ordinary Numba function there.
        return types.Dispatcher(self._made())

    def _makes_arrays(self) -> bool:
        """Whether it allocates, judged by the names in its code; one that does so unnoticed does not compile."""
        return not _MAKERS.isdisjoint(self.function.__code__.co_names)

    def _made(self) -> Any:
        with _lock:
            if self._dispatcher is None:
                dispatcher = numba.njit(**(_FLAGS if self._makes_arrays() else _UNCOUNTED))(self.function)
                folder = _module_folder(self.function.__module__)
                if folder is not None:
                    dispatcher._cache = _Cache(self.function, folder)
                self._dispatcher = dispatcher
            return self._dispatcher

    def load(self) -> Callable[..., Any]:
        """Compile all signatures, or take them from the cache. Safe from several threads; gives the callable."""
        with _lock:
            if self._call is None:
                dispatcher = self._made()
                for signature in self.signatures:
                    args, result = sigutils.normalize_signature(signature)
                    dispatcher.compile(args if result is None else result(*args))
                dispatcher.disable_compile()
                self._call = dispatcher
            return self._call

    def __repr__(self) -> str:
        return f"<kernel {self.name}>"


def kernel(*signatures: str) -> Callable[[Callable[..., Any]], Kernel]:
    """Declare a kernel with its explicit Numba signatures. Nothing is compiled here."""

    def declare(function: Callable[..., Any]) -> Kernel:
        made = Kernel(function, signatures)
        _registry[made.name] = made
        return made

    return declare


def helper(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that kernels call, typed by its use and inlined by LLVM. Not for Python callers; makes no arrays."""
    return numba.njit(forceinline=True, **_UNCOUNTED)(function)  # type: ignore[no-any-return]


def routine(function: Callable[..., Any]) -> Callable[..., Any]:
    """As :func:`helper`, but LLVM decides whether to inline it: for what is rarely called, or long."""
    return numba.njit(**_UNCOUNTED)(function)  # type: ignore[no-any-return]


def kernels() -> dict[str, Kernel]:
    """All kernels declared by the modules imported so far, by full name."""
    return dict(_registry)


def warm_all(progress: Callable[[str, int, int], None] | None = None, *, everything: bool = True) -> int:
    """Compile all kernels, or load them from the cache.

    Args:
        everything: of every module of Deras. False: of the modules imported so far, which are those a planned script
            needs and some more.
        progress: called before each kernel with (name, number done, number of all).

    Returns:
        The number of kernels.
    """
    if everything:
        for module in _kernel_modules():
            importlib.import_module(module)
    found = list(_registry.values())
    done = 0

    def load(some: Sequence[Kernel]) -> None:
        nonlocal done
        for k in some:
            if progress is not None:
                progress(k.name, done, len(found))
            k.load()
            done += 1

    missing = [k for k in found if not k.loaded and not k.cached]
    helper_process = None
    mine, theirs = _shares(missing)
    if theirs and cache_folder() is not None and _cores() > 1:
        # LLVM compiles under one lock a process, so the other half is for a second process, through the cache.
        code = f"from deras.core.jit import _load_some; _load_some({[k.name for k in theirs]!r})"
        with contextlib.suppress(OSError):
            helper_process = subprocess.Popen(  # noqa: S603 (our own interpreter and names)
                [sys.executable, "-c", code],
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},  # the same sources as here
            )
    first = set(map(id, mine if helper_process is not None else missing))
    load([k for k in found if id(k) in first])
    if helper_process is not None:
        helper_process.wait()  # whatever it did not manage is compiled here
    load([k for k in found if id(k) not in first])
    return len(found)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _shares(some: Sequence[Kernel]) -> tuple[list[Kernel], list[Kernel]]:
    """Two halves of about the same work, judged by the length of the code."""
    mine: list[Kernel] = []
    theirs: list[Kernel] = []
    weights = [0, 0]
    for k in sorted(some, key=lambda k: -len(k.function.__code__.co_code)):
        side = 0 if weights[0] <= weights[1] else 1
        weights[side] += len(k.function.__code__.co_code)
        (mine, theirs)[side].append(k)
    return mine, theirs


def _load_some(names: Sequence[str]) -> None:
    """In the second process: compile these kernels into the cache."""
    for name in names:
        parts = name.split(".")
        importlib.import_module(".".join(parts[:-1]))
        _registry[name].load()


# ---- the cache


@functools.cache
def cache_folder() -> Path | None:
    """The folder for this machine's kernels, made if need be; None if it cannot be written."""
    try:
        base = os.environ.get("XDG_CACHE_HOME", "")
        root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"
        folder = root / "deras" / "kernels" / _machine()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except (OSError, RuntimeError, KeyError) as e:
        _note(f"kernels are compiled in memory each time: no cache folder can be written ({e})")
        return None
    return folder


def _note(text: str) -> None:
    if "memory" not in _noted:
        _noted.add("memory")
        _log.warning("%s", text)


def _machine() -> str:
    from llvmlite import binding

    features = binding.get_host_cpu_features().flatten() if hasattr(binding, "get_host_cpu_features") else ""
    parts = (sys.version, numba.__version__, llvmlite.__version__, binding.get_host_cpu_name(), features, BOUNDSCHECK)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


@functools.cache
def _module_folder(module: str) -> Path | None:
    root = cache_folder()
    stamp = _source_stamp(module)
    return root / f"{module}-{stamp}" if root is not None and stamp else None


@functools.cache
def _source(module: str) -> bytes | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    try:
        return Path(spec.origin).read_bytes()
    except OSError:
        return None


def _sources(module: str) -> dict[str, bytes]:
    """The text of a module and of all modules of Deras that it imports, near or far; empty if it has none."""
    todo, texts = [module], {}
    while todo:
        name = todo.pop()
        if name in texts:
            continue
        text = _source(name)
        if text is None:
            continue
        texts[name] = text
        for found in _IMPORT.finditer(text):
            if found[3]:
                todo.append(found[3].decode())
                continue
            parent = found[1].decode()
            todo.append(parent)
            # "from package import module": each name may be a module.
            spec = importlib.util.find_spec(parent)
            if spec is not None and spec.submodule_search_locations:
                todo += [f"{parent}.{n}" for n in re.findall(r"\w+", found[2].decode())]
    return texts


def _source_stamp(module: str) -> str:
    """A hash of the sources of a module's kernels; "" if there are none."""
    texts = _sources(module)
    if module not in texts:
        return ""
    digest = hashlib.sha256()
    for name in sorted(texts):
        digest.update(name.encode() + b"\0" + texts[name] + b"\0")
    return digest.hexdigest()[:16]


def _kernel_modules() -> list[str]:
    """Every module in the package whose text declares a kernel."""
    # The package itself is not imported here: it leads to every module, and then each edit would be one of all kernels.
    folder = Path(__file__).parents[1]
    found = []
    for path in sorted(folder.rglob("*.py")):
        if b"\n@kernel(" in path.read_bytes():
            parts = path.relative_to(folder).with_suffix("").parts
            found.append(".".join((folder.name, *(p for p in parts if p != "__init__"))))
    return found


class _Locator(caching._CacheLocator):
    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        self._folder = folder
        self._line = function.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return self._folder.name

    def get_disambiguator(self) -> str:
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Any, py_file: Any) -> Any:
        raise NotImplementedError


class _Impl(caching.CompileResultCacheImpl):
    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        self._lineno = function.__code__.co_firstlineno
        self._locator = _Locator(function, folder)
        self._filename_base = self.get_filename_base(function.__qualname__, getattr(sys, "abiflags", ""))

    def reduce(self, cres: Any) -> Any:
        return reduce(cres)

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        return rebuild(target_context, payload)


class _Cache(caching.FunctionCache):
    """Numba's cache of one function in our folder; trouble with the folder costs time, never the run."""

    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        self._name = repr(function)
        self._py_func = function
        self._impl = _Impl(function, folder)
        self._cache_path = str(folder)
        self._cache_file = caching.IndexDataCacheFile(self._cache_path, self._impl.filename_base, folder.name)
        self.enable()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return self._load_overload(sig, target_context)
        except Exception as e:  # noqa: BLE001 (a torn or foreign file: compile again)
            _log.info("kernel cache of %s is unreadable: %s", self._name, e)
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as e:
            _note(f"kernels are compiled in memory: the cache folder cannot be written ({e})")
