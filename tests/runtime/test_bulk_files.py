"""Files of chunks: what is written is what is read, whatever the system allows, and every damage is found."""

from __future__ import annotations

import errno
import os
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deras.core.errors import CorruptError
from deras.engine.state import codec
from deras.runtime import bulk_files
from deras.runtime.bulk_files import BulkWriter, read_pieces
from deras.runtime.storage import ChunkFile, check_file, read_chunks

if TYPE_CHECKING:
    from pathlib import Path

BUFFER = bulk_files._BUFFER


@pytest.fixture(params=["direct", "plain", "refused", "short"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    real = os.write
    if request.param == "plain":
        monkeypatch.setattr(bulk_files, "_DIRECT", 0)
    elif request.param == "refused":  # opened, but then not written
        once = [True]

        def refuse(fd: int, data: Any) -> int:
            if once:
                once.pop()
                raise OSError(errno.EINVAL, "no")
            return real(fd, data)

        monkeypatch.setattr(bulk_files.os, "write", refuse)
    elif request.param == "short":
        monkeypatch.setattr(bulk_files.os, "write", lambda fd, data: real(fd, data[: max(1, len(data) * 2 // 3)]))
    return str(request.param)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, BUFFER - 1, BUFFER, BUFFER + 1, 2 * BUFFER + 5000])
def test_what_is_written_is_read(tmp_path: Path, system: str, size: int) -> None:
    r = random.Random(size)
    data = memoryview(r.randbytes(size))
    path = tmp_path / system
    path.write_bytes(b"something longer that was there" * 200_000)
    writer = BulkWriter(path)
    at = 0
    while at < size:
        n = r.choice([1, 7, 4096, 100_000, BUFFER])
        writer.write(data[at : at + n])
        at += n
    assert writer.size == size
    writer.close()
    writer.abandon()
    assert path.read_bytes() == data
    assert b"".join(bytes(p) for p in read_pieces(path)) == data


def chunks(n: int = 3) -> list[codec.Chunk]:
    made: list[codec.Chunk] = []
    for i in range(n):
        rows = np.arange(i * 1000 + 3)
        arrays = {"a": rows, "b": (rows % 7).astype(np.uint8), "none": np.zeros((0, 2), np.int64), "c": rows[::2]}
        made.append(("blobs", f"part{i}", codec.pack({"kind": "blobs", "rows": len(rows)}, arrays)))
    return made


def test_chunks_of_both_forms(tmp_path: Path) -> None:
    made = chunks()
    path = tmp_path / "x.state"
    file = ChunkFile(path)
    start, size, n = file.add([made[0], (made[1][0], made[1][1], bytes(made[1][2])), made[2]])
    file.close()
    assert (start, n) == (8, 3)
    check_file(path, start + size)
    read = list(read_chunks(path, start, size))
    assert [(k, name) for k, name, _ in read] == [(k, name) for k, name, _ in made]
    for (_, _, was), (_, _, now) in zip(made, read, strict=True):
        assert bytes(was) == now
        head, arrays = codec.unpack(now)
        assert head["rows"] == len(arrays["a"])
        assert arrays["a"][::2].tolist() == arrays["c"].tolist()
        assert arrays["b"].tolist() == (arrays["a"] % 7).tolist()
        assert arrays["none"].shape == (0, 2)


def test_every_damage_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.state"
    file = ChunkFile(path)
    start, size, _ = file.add(chunks(2))
    file.close()
    whole = path.read_bytes()
    assert len(whole) == start + size
    r = random.Random(5)
    places = {*range(60), *(r.randrange(len(whole)) for _ in range(300)), len(whole) - 1}
    for at in places:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        with pytest.raises(CorruptError):
            check_file(path, len(whole))
        with pytest.raises(CorruptError):
            list(read_chunks(path, 8, len(whole) - 8))
    for cut in (0, 7, 8, 20, 100, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(CorruptError):
            check_file(path, len(whole))
    path.write_bytes(whole + b"\0")
    with pytest.raises(CorruptError):
        check_file(path, len(whole))
