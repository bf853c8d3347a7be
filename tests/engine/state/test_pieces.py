from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pytest

from deras.engine.state import pieces
from deras.engine.state.ahead import HUGE
from deras.engine.state.pieces import LARGEST, piece, spare


@pytest.fixture(autouse=True)
def nothing_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "_spare", {})


def test_memory_is_used_again_only_when_nobody_points_into_it() -> None:
    made = piece(HUGE)
    made[:] = 7
    place = made.ctypes.data
    part, buffer = made[5:9].view(np.int32), pa.py_buffer(made[100:200])
    del made
    assert piece(HUGE).ctypes.data != place
    held = spare()
    del part
    assert spare() == held
    assert buffer.to_pybytes() == bytes([7] * 100)
    del buffer
    assert spare() == held + HUGE
    assert piece(HUGE).ctypes.data == place


def test_sizes_are_kept_apart_and_not_without_end() -> None:
    for size in (HUGE, 2 * HUGE, LARGEST):
        made = piece(size)
        assert len(made) == size
        assert made.ctypes.data % HUGE == 0
    many = [piece(LARGEST) for _ in range(9)]
    many.append(piece(3 * LARGEST))
    del many, made
    assert spare() <= 4 * LARGEST
    assert len(piece(100)) == 100
    assert len(piece(HUGE + 1)) == HUGE + 1


def test_threads_share_it() -> None:
    def work() -> None:
        for i in range(200):
            mine = piece(HUGE)
            mine[:8].view(np.int64)[0] = i
            assert mine[:8].view(np.int64)[0] == i

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert 0 < spare() <= 4 * HUGE
