"""Touches memory before it is needed, on a thread of its own: a fresh huge page can cost the step milliseconds.

State that grows asks for the pages that come next. The system zeroes them while the step goes on, on a core that is
idle; a page that the thread has not reached yet costs the step what it always did.
"""

from __future__ import annotations

import ctypes
import os
import queue
import sys
import threading
from typing import Any

HUGE = 2 << 20
"""Size of a huge page."""
_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE, since Linux 5.14
_IDLE = 5.0  # seconds after which the thread ends
_MOST = 16  # what waits; who is so far behind is of no use

_waiting: queue.Queue[tuple[Any, int, int]] = queue.Queue(_MOST)
_lock = threading.Lock()
_thread: threading.Thread | None = None
_madvise: Any = None
_unable = sys.platform != "linux" or (os.cpu_count() or 1) < 2


def touch(owner: Any, address: int, size: int) -> bool:
    """Ask for the pages of a piece of private memory; tells whether that was asked. Never waits, never fails.

    Args:
        owner: kept until it is done, so that the memory stays mapped.
        address: of the first byte, at the start of a page.
        size: in bytes.
    """
    if _unable:
        return False
    global _thread
    with _lock:
        try:
            _waiting.put_nowait((owner, address, size))
        except queue.Full:
            return False
        if _thread is None:
            _thread = threading.Thread(target=_work, name="deras-memory", daemon=True)
            _thread.start()
    return True


def _forked() -> None:
    global _lock, _waiting, _thread
    _lock, _waiting, _thread = threading.Lock(), queue.Queue(_MOST), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _work() -> None:
    global _thread
    while True:
        try:
            owner, address, size = _waiting.get(timeout=_IDLE)
        except queue.Empty:
            with _lock:
                if _waiting.empty():
                    # Who asks from now on begins another one.
                    _thread = None
                    return
            continue
        # A page at a time: the process can map and unmap memory in between.
        for at in range(address, address + size, HUGE):
            if not _populate(at, min(HUGE, address + size - at)):
                break
        del owner
        _waiting.task_done()


def _populate(address: int, size: int) -> bool:
    """Have the system provide pages, without the GIL; False where it cannot."""
    global _madvise, _unable
    if _madvise is None:
        try:
            made = ctypes.CDLL(None).madvise
        except (OSError, AttributeError):
            _unable = True
            return False
        made.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        _madvise = made
    if _madvise(address, size, _POPULATE_WRITE) != 0:
        # An older system, a seccomp filter, or no memory: then ahead of time is the wrong moment.
        _unable = True
        return False
    return True


class Ahead:
    """What is touched ahead in one array that fills from its start.

    Args:
        owner: of the memory.
        address: of its first byte.
        size: of it all, in bytes.
    """

    LEAST = 8 * HUGE
    """Small state touches nothing ahead."""

    __slots__ = ("_address", "_owner", "_size", "_touched", "at")

    def __init__(self, owner: Any, address: int, size: int) -> None:
        self._owner = owner
        self._address = address
        self._size = size
        self._touched = 0
        self.at = self.LEAST
        """Bytes in use from which on :meth:`ask` has something to do."""

    def ask(self, used: int) -> None:
        """So many bytes are in use now: the pages that follow, up to a quarter as many, are touched."""
        window = min(4 * HUGE, max(2 * HUGE, used // 8))
        end = min((self._address + used + window) // HUGE * HUGE - self._address, self._size)
        begin = max(self._touched, (self._address + used) // HUGE * HUGE - self._address)
        if end > begin and touch(self._owner, self._address + begin, end - begin):
            self._touched = end
        self.at = used + max(HUGE, window // 2)

    def ask_for(self, at: int, stop: int) -> None:
        """The pages from byte ``at`` on, two huge ones at most and none beyond ``stop``, are touched."""
        begin = (self._address + at) // HUGE * HUGE - self._address
        size = min(2 * HUGE, stop - begin)
        if at < stop and begin != self._touched and touch(self._owner, self._address + begin, size):
            self._touched = begin
