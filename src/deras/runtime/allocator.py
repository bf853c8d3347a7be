"""Keeps freed blocks in the process: glibc gives large arrays back at each ``free``, to be faulted in anew at the next.

A job takes and frees arrays of some MiB for every block that it decodes. With glibc's defaults most of them are mapped
and unmapped each time, or the top of the heap is cut off: a page fault for every 4 KiB, a sixth of the time of a plain
query. Other allocators, and other systems, are left alone, and so is glibc where the environment sets it up.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGEST = 32 << 20  # glibc takes no greater one
_KEPT = 128 << 20

_libc: Any = None
_asked = False


def keep_freed_memory() -> bool:
    """Set up the C library once for this process; tells whether it was done, now or before."""
    global _libc, _asked
    if _asked:
        return _libc is not None
    _asked = True
    if sys.platform != "linux" or _set_by_hand():
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 (whether it is there)
        set_, library.malloc_trim.argtypes = library.mallopt, [ctypes.c_size_t]
    except (OSError, AttributeError):
        return False
    # Few arenas: what one thread frees the next one takes, so that less lies about.
    done = [set_(_MMAP_THRESHOLD, _LARGEST), set_(_TRIM_THRESHOLD, _KEPT), set_(_ARENA_MAX, 1)]
    _libc = library if all(done) else None
    return _libc is not None


def _set_by_hand() -> bool:
    names = [n for n in os.environ if n.startswith("MALLOC_")]
    return bool(names) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")


def give_back_freed_memory() -> None:
    """Return to the system what is free now, e.g. after large state went. Takes milliseconds."""
    if _libc is not None:
        _libc.malloc_trim(0)
