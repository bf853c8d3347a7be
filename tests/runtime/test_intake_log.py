"""The intake log: durability, crashes, damage, disk full, cutting."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core.errors import CorruptError, ExternalError
from deras.core.records import PAD
from deras.core.time import VirtualClock
from deras.runtime import intake_log
from deras.runtime.intake_log import IntakeLog, LoggedReader
from deras.runtime.intake_segment import HEADER

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "intake"


def payload(i: int, size: int = 0) -> bytes:
    return b'{"n":%d%s}\n' % (i, b',"pad":"%s"' % (b"x" * size) if size else b"")


def put(log: IntakeLog, table: str, *payloads: bytes) -> list[int]:
    return [log.append(table, p).result(10) for p in payloads]


def everything(log: IntakeLog, table: str, sequence: int | None = None, limit: int = 1 << 20) -> bytes:
    at = log.first(table) if sequence is None else sequence
    found = b""
    while (chunk := log.read(table, at, limit, 0)) is not None:
        assert chunk.sequence == at
        assert len(chunk.data) >= chunk.end + PAD
        found += chunk.data[: chunk.end].tobytes()
        at = chunk.next
    return found


def settled(folder: Path, count: int) -> bool:
    """Whether there are so many segments, as soon as the writer's thread has rolled (it does so after the receipt)."""
    for _ in range(1000):
        if len(files(folder)) == count:
            return True
        threading.Event().wait(0.005)
    return False


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("intake-*.log"))


def test_what_was_acknowledged_is_there(folder: Path) -> None:
    log = IntakeLog(folder)
    parts = [payload(i) for i in range(50)]
    sequences = put(log, "a", *parts)
    put(log, "b", b"other\n")
    assert sequences == [sum(len(p) for p in parts[:i]) for i in range(50)]
    assert everything(log, "a") == b"".join(parts)
    assert everything(log, "a") == b"".join(parts)  # the second time from disk
    log.close()
    log.close()
    again = IntakeLog(folder)
    assert everything(again, "a") == b"".join(parts)
    assert everything(again, "b") == b"other\n"
    put(again, "a", b"more\n")
    assert everything(again, "a", sequences[-1]) == parts[-1] + b"more\n"
    again.close()


def test_many_appends_share_a_sync(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = IntakeLog(folder)
    gate, entered, syncs = threading.Event(), threading.Event(), []

    def slow(fd: int) -> None:
        syncs.append(fd)
        entered.set()
        gate.wait(10)
        os.fdatasync(fd)

    monkeypatch.setattr(intake_log, "sync", slow)
    first = log.append("a", payload(0))
    assert entered.wait(10)
    rest = [log.append("a", payload(i)) for i in range(1, 200)]
    assert not first.done()
    assert not any(f.done() for f in rest)
    assert log.backlog("a") == sum(len(payload(i)) for i in range(200))
    assert log.read("a", 0, 100, 0) is None  # not durable, not readable
    gate.set()
    assert [f.result(10) for f in rest] == [sum(len(payload(j)) for j in range(i)) for i in range(1, 200)]
    assert len(syncs) == 2
    log.close()


def test_readers_wait_and_wake(folder: Path) -> None:
    log = IntakeLog(folder)
    reader = LoggedReader(log, "a")
    nothing = reader.poll(100, 0)
    assert nothing is not None
    assert not nothing.blocks
    assert nothing.resume == {"seq": 0}
    got: list[Any] = []
    t = threading.Thread(target=lambda: got.append(reader.poll(100, 30)))
    t.start()
    put(log, "a", b"hello\n")
    t.join(30)
    (records,) = got
    (block,) = records.blocks
    assert block.data[block.start : block.end].tobytes() == b"hello\n"
    assert (block.origin, block.position, records.resume) == ("http:a", 0, {"seq": 6})
    log.close()


def test_a_virtual_clock_jumps(folder: Path) -> None:
    clock = VirtualClock(1_000)
    log = IntakeLog(folder, clock)
    assert log.read("a", 0, 100, 5) is None
    assert clock.monotonic() == pytest.approx(6)
    put(log, "a", b"x\n")
    reader = LoggedReader(log, "a", arrival=True)
    records = reader.poll(100, 0)
    assert records is not None
    assert records.blocks[0].metadata == {"arrival-time": 6_000_000}
    log.close()


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 300)), min_size=1, max_size=40),
    segment=st.integers(200, 5_000),
    memory=st.integers(0, 400),
    limit=st.integers(1, 1000),
    stop=st.integers(0, 20),
    reopen=st.booleans(),
)
def test_any_restart_reads_each_byte_once(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[tuple[str, int]],
    segment: int,
    memory: int,
    limit: int,
    stop: int,
    reopen: bool,
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = IntakeLog(folder, segment_bytes=segment, memory_bytes=memory)
    expected = {"a": b"", "b": b""}
    for i, (table, size) in enumerate(sizes):
        expected[table] += payload(i, size)
        put(log, table, payload(i, size))
    reader = LoggedReader(log, "a")
    found, offset = b"", None
    for _ in range(stop):
        records = reader.poll(limit, 0)
        assert records is not None
        for b in records.blocks:
            assert b.position == len(found)
            found += b.data[: b.end].tobytes()
        offset = records.resume
    if offset is not None:
        reader.ack(offset)
    if reopen:
        log.close()
        log = IntakeLog(folder, segment_bytes=segment, memory_bytes=memory)
    rest = LoggedReader(log, "a", offset)
    while True:
        records = rest.poll(limit, 0)
        assert records is not None
        if not records.blocks:
            break
        found += b"".join(b.data[: b.end].tobytes() for b in records.blocks)
    assert found == expected["a"]
    assert everything(log, "b", limit=limit) == expected["b"]
    log.close()


# ---- cutting


def test_cut_frees_whole_segments_that_nobody_needs(folder: Path) -> None:
    log = IntakeLog(folder, segment_bytes=1000)
    for i in range(20):
        put(log, "a", payload(i, 400))
        if i == 10:
            put(log, "b", b"b\n")
    assert len(files(folder)) > 5
    end = log.tables()["a"]["next"]
    log.cut("a", end)
    held = files(folder)
    assert len(held) > 1  # b's row is in one of them
    assert everything(log, "b") == b"b\n"
    with pytest.raises(CorruptError, match="has no place 0 of table 'a'"):
        log.read("a", 0, 100, 0)
    with pytest.raises(CorruptError, match="has no place 0 of table 'a'"):
        LoggedReader(log, "a", {"seq": 0})
    log.forget("b")
    assert settled(folder, 1)
    log.close()
    again = IntakeLog(folder)
    assert again.tables()["a"]["next"] == end
    assert again.first("a") > 0
    LoggedReader(again, "a", {"seq": end})
    assert again.backlog("a") == 0
    again.close()


def test_nothing_is_removed_before_its_checkpoint(folder: Path) -> None:
    log = IntakeLog(folder, segment_bytes=500)
    put(log, "a", *[payload(i, 300) for i in range(10)])
    for sequence in range(0, log.tables()["a"]["next"], 37):
        log.cut("a", sequence)
        assert log.first("a") <= sequence
        assert everything(log, "a", max(sequence, log.first("a")))
    log.close()


def test_history_is_kept_and_replayed(folder: Path) -> None:
    log = IntakeLog(folder, segment_bytes=500, keep_history=True)
    parts = [payload(i, 300) for i in range(10)]
    sequences = put(log, "a", *parts)
    log.cut("a", log.tables()["a"]["next"])
    assert settled(folder, 1)
    assert [f.payload for f in log.replay("a")] == parts
    assert [f.payload for f in log.replay("a", sequences[7])] == parts[7:]
    log.close()
    again = IntakeLog(folder, keep_history=True)
    assert [f.payload for f in again.replay("a")] == parts
    again.close()


# ---- crashes


def test_every_torn_end_keeps_whole_frames(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = IntakeLog(folder)
    parts = [payload(i, 20) for i in range(4)]
    put(log, "a", *parts)
    (path,) = files(folder)
    whole = path.read_bytes()
    log.close()
    last = whole.rindex(b"DRIL")
    first = whole.index(parts[0]) - HEADER.size
    for size in range(first, len(whole)):
        copy = folder.parent / f"copy{size}"
        copy.mkdir()
        (copy / path.name).write_bytes(whole[:size] + b"\0" * (size % 3) * 10)
        torn = IntakeLog(copy)
        kept = everything(torn, "a")
        assert b"".join(parts).startswith(kept)
        if size >= last:
            assert kept == b"".join(parts[:3])
        put(torn, "a", b"new\n")
        torn.close()
        healed = IntakeLog(copy)
        assert everything(healed, "a") == kept + b"new\n"
        healed.close()
        shutil.rmtree(copy)
    assert "set aside" in caplog.text


def test_torn_bytes_are_set_aside(folder: Path) -> None:
    log = IntakeLog(folder)
    put(log, "a", payload(1))
    log.close()
    (path,) = files(folder)
    with path.open("ab") as f:
        f.write(b"DRIL-half")
    IntakeLog(folder).close()
    (torn,) = folder.glob("*.torn-*")
    assert torn.read_bytes() == b"DRIL-half"


def test_a_crash_while_a_file_is_begun(folder: Path) -> None:
    log = IntakeLog(folder)
    put(log, "a", payload(1))
    log.close()
    (folder / "intake-000000000002.log").write_bytes(b"DRIL\0\0")
    again = IntakeLog(folder)
    assert everything(again, "a") == payload(1)
    put(again, "a", payload(2))
    assert everything(again, "a") == payload(1) + payload(2)
    again.close()


def test_a_flipped_byte_is_found_wherever_it_is(folder: Path) -> None:
    log = IntakeLog(folder)
    put(log, "a", *[payload(i) for i in range(3)])
    log.close()
    (path,) = files(folder)
    whole = path.read_bytes()
    for at in range(len(whole) - HEADER.size):  # the end mark itself is nobody's row
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        with pytest.raises(CorruptError, match=rf"{path.name} at byte \d+"):
            IntakeLog(folder)
    path.write_bytes(whole)
    IntakeLog(folder).close()


def test_a_flipped_byte_in_an_old_segment_is_found_when_read(folder: Path) -> None:
    log = IntakeLog(folder, segment_bytes=500)
    put(log, "a", *[payload(i, 300) for i in range(6)])
    log.close()
    path = files(folder)[1]
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    again = IntakeLog(folder)
    with pytest.raises(CorruptError, match=path.name):
        everything(again, "a")
    again.close()
    path.unlink()
    with pytest.raises(CorruptError, match="is missing"):
        IntakeLog(folder)


_VICTIM = """
import sys
from pathlib import Path
from deras.runtime.intake_log import IntakeLog
log = IntakeLog(Path(sys.argv[1]), segment_bytes=20_000)
i = 0
while True:
    futures = [log.append("t", b"%d\\n" % (i + k)) for k in range(7)]
    for k, f in enumerate(futures):
        f.result()
    i += 7
    print(i, flush=True)
"""


@pytest.mark.parametrize("rows", [1, 700, 3_000])
def test_kill_9_loses_nothing_acknowledged(folder: Path, rows: int) -> None:
    victim = subprocess.Popen([sys.executable, "-c", _VICTIM, str(folder)], stdout=subprocess.PIPE, text=True)
    assert victim.stdout is not None
    acknowledged = 0
    for line in victim.stdout:
        acknowledged = int(line)
        if acknowledged >= rows:
            break
    victim.send_signal(signal.SIGKILL)
    rest = victim.stdout.read().split("\n")
    complete = [int(x) for x in rest[:-1] if x]
    acknowledged = max([acknowledged, *complete])
    victim.wait()
    victim.stdout.close()
    log = IntakeLog(folder)
    found = [int(x) for x in everything(log, "t").split()]
    assert found == list(range(len(found)))
    assert acknowledged <= len(found) <= acknowledged + 7
    log.close()


# ---- trouble with the disk


@pytest.mark.parametrize("written", [0, 10, 60])
def test_disk_full_refuses_and_heals(folder: Path, monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    log = IntakeLog(folder)
    put(log, "a", b"before\n")
    real = intake_log.write_all

    def full(fd: int, data: bytes) -> None:
        real(fd, data[:written])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(intake_log, "write_all", full)
    for _ in range(3):
        with pytest.raises(ExternalError, match="no space left") as e:
            log.append("a", b"lost\n").result(10)
        assert e.value.retry == "backoff"
        assert "space" in e.value.hint
    assert everything(log, "a") == b"before\n"
    monkeypatch.setattr(intake_log, "write_all", real)
    assert put(log, "a", b"after\n") == [7]
    assert everything(log, "a") == b"before\nafter\n"
    assert log.backlog("a") == 0
    log.close()
    again = IntakeLog(folder)
    assert everything(again, "a") == b"before\nafter\n"
    again.close()


def test_a_failed_sync_is_not_trusted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = IntakeLog(folder)
    put(log, "a", b"before\n")

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as m:
        m.setattr(intake_log, "sync", fail)
        m.setattr("os.ftruncate", lambda *_: fail(0))
        with pytest.raises(ExternalError, match="input/output error"):
            log.append("a", b"lost\n").result(10)
    put(log, "a", b"after\n", b"later\n")
    assert len(files(folder)) == 2
    assert everything(log, "a", 0) == b"before\nafter\nlater\n"
    log.close()
    again = IntakeLog(folder)
    assert everything(again, "a") == b"before\nafter\nlater\n"
    again.close()


def test_no_permission_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(ExternalError, match=r"cannot open the intake log in .*permission denied"):
        IntakeLog(folder)


def test_a_closed_log_refuses(folder: Path) -> None:
    log = IntakeLog(folder)
    pending = [log.append("a", payload(i)) for i in range(20)]
    log.close()
    assert all(f.result(10) >= 0 for f in pending)
    with pytest.raises(ExternalError, match="closed"):
        log.append("a", b"x\n").result(1)


def test_a_checkpoint_from_another_time_is_told(folder: Path) -> None:
    log = IntakeLog(folder)
    put(log, "a", b"x\n")
    with pytest.raises(CorruptError, match="has no place 99 of table 'a'"):
        LoggedReader(log, "a", {"seq": 99})
    log.close()
