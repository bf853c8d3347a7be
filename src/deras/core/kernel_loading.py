"""Loads compiled kernels from the cache without what only compiling needs.

Numba's own loader first sets up its typing for every function of Python and NumPy (a tenth of a second a process), and
parses the bitcode that stands beside each kernel's machine code, which only a kernel that inlines it wants (most of the
time of a load). Here both wait until something is compiled.
"""

# Numba is typed in part only.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import functools
from typing import Any

from llvmlite import binding as llvm
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompileResult
from numba.core.runtime import _nrt_python as runtime  # type: ignore[attr-defined]
from numba.core.runtime import rtsys  # type: ignore[attr-defined]


def reduce(compiled: Any) -> tuple[tuple[Any, ...], bool]:
    """What the cache keeps of a compiled kernel: Numba's own, and whether it calls what Numba's runtime compiles.

    Args:
        compiled: Numba's ``CompileResult``.
    """
    functions = compiled.library._final_module.functions
    outside = {f.name for f in functions if f.is_declaration and f.name.lower().startswith("nrt_")}
    return compiled._reduce(), not outside <= _memory_symbols().keys()


def rebuild(context: Any, kept: tuple[tuple[Any, ...], bool]) -> Any:
    """The ``CompileResult`` of a kernel from what :func:`reduce` made of it. Numba's compiler lock is held.

    Args:
        context: Numba's target context; it need not have been refreshed.
        kept: as it was pickled.
    """
    saved, runtime_compiled = kept
    if runtime_compiled:
        rtsys.initialize(context)
    described, codegen = saved[1], context.codegen()
    codegen._library_class = _Unpacker(
        {
            described.llvm_cpython_wrapper_name,
            described.llvm_cfunc_wrapper_name,
            described.llvm_func_name,
            context.get_env_name(described),
        }
    )
    try:
        return CompileResult._rebuild(context, *saved)
    finally:
        del codegen._library_class


class _Unpacker:
    """Stands in for Numba's class of libraries while one is read.

    Args:
        symbols: what it defines, as far as Numba asks for it.
    """

    def __init__(self, symbols: set[str]) -> None:
        self._symbols = symbols

    def _unserialize(self, codegen: Any, state: tuple[str, str, Any]) -> Any:
        name, kind, data = state
        if kind != "object":
            return JITCodeLibrary._unserialize(codegen, state)
        machine_code, bitcode = data
        if b"NRT_" in machine_code:  # it makes arrays
            _add_memory_symbols()
        library = _LoadedLibrary(codegen, name)
        library._bitcode = bitcode
        library.enable_object_caching()
        library._set_compiled_object(machine_code)
        library._finalize_final_module()
        # LLVM ends the process where a symbol is not there, so Numba asks only for those that it knows of.
        codegen._engine._defined_symbols |= self._symbols
        return library


class _LoadedLibrary(JITCodeLibrary):
    """Machine code from the cache; its bitcode is parsed when another kernel links it."""

    _bitcode: bytes = b""

    def _get_module_for_linking(self) -> Any:
        if self._shared_module is None:
            self._shared_module = llvm.parse_bitcode(self._bitcode)
            self._codegen._engine._load_defined_symbols(self._shared_module)
        return self._shared_module


def _memory_symbols() -> dict[str, int]:
    """Name and address of what kernels call that make arrays."""
    return {n if n.startswith("_") else f"NRT_{n}": address for n, address in runtime.c_helpers.items()}


@functools.cache
def _add_memory_symbols() -> None:
    for name, address in _memory_symbols().items():
        llvm.add_symbol(name, address)
