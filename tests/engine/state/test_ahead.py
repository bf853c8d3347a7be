from __future__ import annotations

import resource
import sys
import time

import numpy as np
import pytest

from deras.engine.state import ahead, pieces
from deras.engine.state.ahead import HUGE
from deras.engine.state.arena import Arena
from deras.engine.state.memory import Reserve
from deras.engine.state.pieces import LARGEST

MAY = sys.platform == "linux" and not ahead._unable


def settled() -> bool:
    """Whether the thread has done all that it was asked for; False where the system cannot."""
    end = time.monotonic() + 20
    done = ahead._waiting
    while done.unfinished_tasks and time.monotonic() < end:
        time.sleep(0.002)
    return MAY and not ahead._unable


def faults(array: np.ndarray, begin: int, end: int) -> int:
    """Page faults of this thread when it writes to these bytes."""
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    array[begin:end:4096] = 1
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before


def test_pages_after_what_is_used_are_there_and_no_others() -> None:
    reserve = Reserve(1 << 20, 32, np.int64)  # 256 MiB
    flat = reserve.array.reshape(-1).view(np.uint8)
    used = 80 << 20
    reserve.fills(used // 256)
    if not settled():
        pytest.skip("no memory can be touched ahead here")
    assert faults(flat, used, used + 3 * HUGE) == 0
    # What lies before is the business of who wrote it; what lies further ahead is not wanted yet.
    assert faults(flat, used - 4 * HUGE, used - 2 * HUGE) > 0
    assert faults(flat, used + 8 * HUGE, used + 9 * HUGE) > 0


def test_asked_as_it_fills_every_page_is_there_before_it_is_written() -> None:
    reserve = Reserve(1 << 20, 32, np.int64)
    flat = reserve.array.reshape(-1).view(np.uint8)
    late = 0
    for used in range(32 << 20, 96 << 20, 1 << 20):
        reserve.fills(used // 256)
        if not settled():
            pytest.skip("no memory can be touched ahead here")
        late += faults(flat, used, used + (1 << 20))
    assert late == 0
    assert flat[32 << 20 : 96 << 20 : 4096].all()


def test_the_end_of_the_reservation_and_small_ones() -> None:
    reserve = Reserve(20 << 20, 0, np.uint8)
    reserve.fills(1000)
    assert reserve._ahead is None or reserve._ahead._touched == 0
    reserve.fills(19 << 20)
    reserve.fills(20 << 20)
    settled()
    assert reserve._ahead is None or reserve._ahead._touched <= reserve.array.nbytes
    assert not reserve.array[-HUGE:].any()


def test_memory_that_is_asked_for_stays_until_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    settled()
    monkeypatch.setattr(pieces, "_spare", {})
    kept = []

    def slow(address: int, size: int) -> bool:
        time.sleep(0.05)
        kept.append(pieces.spare())
        return True

    monkeypatch.setattr(ahead, "_populate", slow)
    made = pieces.piece(LARGEST, later=True)
    made[:] = 5
    assert (made == 5).all()
    del made
    settled()
    assert kept == [0] * len(kept)
    end = time.monotonic() + 20
    while pieces.spare() != LARGEST and time.monotonic() < end:
        time.sleep(0.002)
    assert pieces.spare() == LARGEST
    assert len(kept) == (LARGEST // HUGE if MAY else 0)


def test_who_is_far_behind_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    if not MAY:
        pytest.skip("no memory can be touched ahead here")
    settled()
    monkeypatch.setattr(ahead, "_populate", lambda *_: time.sleep(0.05) or True)
    room = np.zeros(HUGE, np.uint8)
    asked = [ahead.touch(room, room.ctypes.data, HUGE) for _ in range(3 * ahead._MOST)]
    assert asked[0]
    assert not asked[-1]
    settled()


def test_where_the_system_cannot_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    settled()
    monkeypatch.setattr(ahead, "_unable", False)
    monkeypatch.setattr(ahead, "_madvise", lambda *_: -1)
    room = np.zeros(2 * HUGE, np.uint8)
    assert ahead.touch(room, room.ctypes.data, 2 * HUGE)
    end = time.monotonic() + 20
    while not ahead._unable and time.monotonic() < end:
        time.sleep(0.002)
    assert not ahead.touch(room, room.ctypes.data, 2 * HUGE)


def test_chunks_of_an_arena_are_ready_before_they_are_opened() -> None:
    arena = Arena()
    while arena.fill[2] < HUGE:
        arena.open(1)
    for _ in range(3):
        following = arena._next
        assert following is not None
        arena.open(1)
        if arena.fill[2] == len(following):
            assert arena.chunk is following
            settled()
    before = arena._next
    arena.open(3 * LARGEST)
    assert len(arena.chunk) == 3 * LARGEST
    assert arena.chunk is not before
