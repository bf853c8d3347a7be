"""The filesystem source: blocks, offsets, following, replay, trouble."""

from __future__ import annotations

import gzip
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.connectors import _file_reader
from deras.connectors.filesystem import Connector
from deras.core.delta import Delta
from deras.core.errors import CorruptError, ExternalError, OptionError, PlanError
from deras.core.records import PAD, Records
from deras.core.schema import Field, Schema
from deras.core.time import VirtualClock
from deras.core.types import BIGINT, STRING, timestamp, timestamp_ltz

if TYPE_CHECKING:
    from pathlib import Path

    from deras.core.contracts import Reader, Source

SCHEMA = Schema.of(a=BIGINT, b=STRING)


def lines(*numbers: int) -> bytes:
    return b"".join(b'{"a": %d, "b": "x%d"}\n' % (n, n) for n in numbers)


def source(
    tables: Any, path: str, clock: Any = None, schema: Schema = SCHEMA, rowtime: Any = None, **more: str
) -> Source:
    texts = {"path": path} | {k.replace("__", "-").replace("_", "."): v for k, v in more.items()}
    return Connector().source(tables.options(Connector, schema, texts, clock=clock, rowtime=rowtime))


def values(records: Records, tables: Any, schema: Schema = SCHEMA) -> list[int]:
    found = []
    for block in records.blocks:
        assert len(block.data) >= block.end + PAD
        found += [r[0] for r in tables.format.decoder(schema).decode(block).delta.rows()]
    if records.delta is not None:
        found += [r[0] for r in records.delta.rows()]
    return found


def drain(reader: Reader, tables: Any, limit: int = 1 << 20, schema: Schema = SCHEMA) -> list[int]:
    found: list[int] = []
    while (records := reader.poll(limit, 0)) is not None:
        if not records.blocks and records.delta is None:
            break
        found += values(records, tables, schema)
    reader.close()
    return found


def test_reads_a_file_once_and_ends(tables: Any, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(lines(1, 2, 3))
    s = source(tables, "a.json")
    assert s.bounded
    assert s.parts() == [""]
    reader = s.open("", None)
    first = reader.poll(1 << 20, 1)
    assert first is not None
    assert values(first, tables) == [1, 2, 3]
    assert first.blocks[0].origin == str(tmp_path / "a.json")
    assert reader.poll(1 << 20, 1) is None
    assert reader.poll(1 << 20, 1) is None
    reader.close()
    reader.close()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"\n\n", []),
        (lines(1, 2)[:-1], [1, 2]),
        (lines(1, 2).replace(b"\n", b"\r\n"), [1, 2]),
        (b"\n" + lines(7) + b"\n" + lines(8), [7, 8]),
    ],
)
def test_ends_of_lines(tables: Any, tmp_path: Path, content: bytes, expected: list[int]) -> None:
    (tmp_path / "a.json").write_bytes(content)
    assert drain(source(tables, "a.json").open("", None), tables) == expected


def test_a_record_longer_than_the_limit(tables: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_file_reader, "LEAST_READ", 16)
    long = b'{"a": 5, "b": "%s"}\n' % (b"y" * 5000)
    (tmp_path / "a.json").write_bytes(lines(1) + long + lines(2))
    assert drain(source(tables, "a.json").open("", None), tables, 16) == [1, 5, 2]


def test_a_record_without_end_is_given_up(tables: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_file_reader, "LEAST_READ", 16)
    monkeypatch.setattr(_file_reader, "MOST_RECORD", 256)
    (tmp_path / "a.json").write_bytes(b"z" * 10_000)
    with pytest.raises(ExternalError, match="no end of record"):
        drain(source(tables, "a.json").open("", None), tables, 16)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 10**6), st.booleans()), max_size=40),
    limit=st.integers(1, 300),
    stop=st.integers(0, 60),
    newline=st.booleans(),
    pack=st.booleans(),
)
def test_any_restart_gives_each_row_once(
    make_tables: Any,
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, bool]],
    limit: int,
    stop: int,
    newline: bool,
    pack: bool,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    tables = make_tables(folder)
    content = b"".join(lines(n) + (b"\n" if blank else b"") for n, blank in rows)
    if not newline:
        content = content.rstrip(b"\n")
    name = "a.json.gz" if pack else "a.json"
    (folder / name).write_bytes(gzip.compress(content) if pack else content)
    with pytest.MonkeyPatch.context() as m:
        m.setattr(_file_reader, "LEAST_READ", 1)
        found: list[int] = []
        reader = source(tables, name).open("", None)
        offset = None
        for _ in range(stop):
            records = reader.poll(limit, 0)
            if records is None:
                break
            for b in records.blocks:
                before = content[: b.position]
                assert b.line == before.count(b"\n") + 1
                assert content[b.position :].startswith(b.data[b.start : b.end].tobytes())
            found += values(records, tables)
            offset = json.loads(json.dumps(records.resume))
        reader.close()
        found += drain(source(tables, name).open("", offset), tables, limit)
    assert found == [n for n, _ in rows]


def test_a_replaced_file_is_noticed(tables: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(lines(1, 2))
    records = source(tables, "a.json").open("", None).poll(1, 0)
    assert records is not None
    path.write_bytes(lines(8, 9, 10))
    with pytest.raises(ExternalError, match="replaced since the checkpoint"):
        source(tables, "a.json").open("", records.resume).poll(1, 0)
    path.write_bytes(b"")
    with pytest.raises(ExternalError, match="replaced since the checkpoint"):
        source(tables, "a.json").open("", records.resume).poll(1, 0)


def test_a_folder_gives_a_part_per_file(tables: Any, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    (data / ".git").mkdir()
    for name in ("b.json", "a.json", "sub/c.json", ".hidden", "_SUCCESS", ".git/x.json"):
        (data / name).write_bytes(lines(ord(name[0])))
    s = source(tables, "data")
    assert s.parts() == ["a.json", "b.json", "sub/c.json"]
    assert [drain(s.open(p, None), tables) for p in s.parts()] == [[97], [98], [115]]
    only = source(tables, "data", **{"source_path_regex-pattern": r".*/[ab]\.json"})
    assert only.parts() == ["a.json", "b.json"]
    assert source(tables, "data/*.json").parts() == ["a.json", "b.json"]
    assert source(tables, f"file://{data}/a.json").parts() == [""]


def test_many_files_keep_none_open(tables: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deras.connectors.filesystem.MANY_FILES", 2)
    monkeypatch.setattr(_file_reader, "LEAST_READ", 1)
    (tmp_path / "d").mkdir()
    for i in range(4):
        (tmp_path / "d" / f"{i}").write_bytes(lines(i, i + 10, i + 20))
    s = source(tables, "d")
    readers = [s.open(p, None) for p in s.parts()]
    before = len(os.listdir("/proc/self/fd"))
    found = []
    for _ in range(3):
        for r in readers:
            records = r.poll(25, 0)
            assert records is not None
            found += values(records, tables)
        assert len(os.listdir("/proc/self/fd")) == before
    assert found == [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23]


def test_compressed_files(tables: Any, tmp_path: Path) -> None:
    import pyarrow as pa

    content = lines(*range(2000))
    (tmp_path / "a.gz").write_bytes(gzip.compress(content[:1200]) + gzip.compress(content[1200:]))
    with pa.CompressedOutputStream(str(tmp_path / "a.zst"), "zstd") as f:
        f.write(content)
    assert drain(source(tables, "a.gz").open("", None), tables) == list(range(2000))
    assert drain(source(tables, "a.zst").open("", None), tables) == list(range(2000))


def test_a_damaged_compressed_file(tables: Any, tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(lines(*range(2000))))
    packed[len(packed) // 2] ^= 0xFF
    (tmp_path / "a.gz").write_bytes(packed)
    with pytest.raises(CorruptError, match="cannot unpack"):
        drain(source(tables, "a.gz").open("", None), tables)
    (tmp_path / "b.gz").write_bytes(b"no gzip at all")
    with pytest.raises(CorruptError, match="cannot unpack"):
        drain(source(tables, "b.gz").open("", None), tables)


def test_metadata_of_the_file(tables: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(lines(1))
    os.utime(path, ns=(0, 1_700_000_000_123_000_000))
    records = source(tables, "a.json").open("", None).poll(1, 0)
    assert records is not None
    assert records.blocks[0].metadata == {
        "file.path": str(path),
        "file.name": "a.json",
        "file.size": len(lines(1)),
        "file.modification-time": 1_700_000_000_123_000,
    }


# ---- trouble


def test_nothing_there(tables: Any) -> None:
    with pytest.raises(ExternalError, match="no such file or folder"):
        source(tables, "none.json").parts()


def test_a_file_that_vanishes(tables: Any, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(lines(1))
    reader = source(tables, "a.json").open("", None)
    (tmp_path / "a.json").unlink()
    with pytest.raises(ExternalError, match=r"file is gone: .*a\.json"):
        reader.poll(1, 0)


def test_no_permission(tables: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_bytes(lines(1))

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(ExternalError, match=r"cannot open .*a\.json: Permission denied") as e:
        source(tables, "a.json").open("", None).poll(1, 0)
    assert "permission" in e.value.hint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "s3://bucket/x"}, "s3://"),
        ({"path": " "}, "empty"),
        ({}, "needs option 'path'"),
        ({"path": "x", "source.path.regex-pattern": "("}, "no regular expression"),
        ({"path": "x", "scan.replay.speed": "-1"}, "negative"),
        ({"path": "x", "source.monitor-interval": "0 s"}, "greater than 0"),
        ({"path": "x", "pathh": "y"}, "no option 'pathh'"),
    ],
)
def test_wrong_options(tables: Any, options: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Connector().source(tables.options(Connector, SCHEMA, options))


# ---- following


def test_follows_a_growing_file(tables: Any, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(lines(1, 2) + b'{"a": 3, ')
    clock = VirtualClock(10**12)
    s = source(tables, "log", clock, **{"source_monitor-interval": "1 s"})
    assert not s.bounded
    reader = s.open("", None)
    first = reader.poll(1 << 20, 0)
    assert first is not None
    assert values(first, tables) == [1, 2]
    assert not reader.idle()
    nothing = reader.poll(1 << 20, 0)
    assert nothing is not None
    assert not nothing.blocks
    assert reader.idle()
    with path.open("ab") as f:
        f.write(b'"b": "z"}\n')
    before = clock.monotonic()
    more = reader.poll(1 << 20, 5)
    assert more is not None
    assert values(more, tables) == [3]
    assert more.blocks[0].line == 3
    assert clock.monotonic() - before <= 1.5
    reader.close()
    resumed = source(tables, "log", clock, **{"source_monitor-interval": "1 s"}).open("", more.resume)
    with path.open("ab") as f:
        f.write(lines(4))
    assert drain(resumed, tables) == [4]


def test_a_line_without_newline_waits_until_it_settles(tables: Any, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    path = tmp_path / "d" / "whole.json"
    path.write_bytes(lines(1)[:-1])
    os.utime(path, (1000, 1000))
    clock = VirtualClock(1000_000)
    s = source(tables, "d", clock, **{"source_monitor-interval": "1 s"})
    reader = s.open("whole.json", None)
    nothing = reader.poll(1, 2)
    assert nothing is not None
    assert not nothing.blocks
    clock.advance(60_000)
    whole = reader.poll(1, 2)
    assert whole is not None
    assert values(whole, tables) == [1]


def test_new_files_in_a_followed_folder(tables: Any, tmp_path: Path) -> None:
    s = source(tables, "d", **{"source_monitor-interval": "10 ms"})
    assert s.discovery == 0.01
    assert s.parts() == []
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "1").write_bytes(lines(1))
    assert s.parts() == ["1"]
    (tmp_path / "d" / "2").write_bytes(lines(2))
    assert s.parts() == ["1", "2"]


def test_rotation_loses_nothing(tables: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "log"
    path.write_bytes(lines(1))
    clock = VirtualClock()
    reader = source(tables, "log", clock, **{"source_monitor-interval": "1 s"}).open("", None)
    first = reader.poll(1, 0)
    assert first is not None
    assert values(first, tables) == [1]
    with path.open("ab") as f:
        f.write(lines(2) + lines(3)[:-1])
    path.rename(tmp_path / "log.1")
    path.write_bytes(lines(4))
    found: list[int] = []
    for _ in range(6):
        records = reader.poll(1 << 20, 2)
        assert records is not None
        found += values(records, tables)
    assert found == [2, 3, 4]


def test_rotation_while_stopped(tables: Any, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(lines(1))
    clock = VirtualClock()
    options = {"source_monitor-interval": "1 s"}
    first = source(tables, "log", clock, **options).open("", None).poll(1, 0)
    assert first is not None
    with path.open("ab") as f:
        f.write(lines(2))
    path.rename(tmp_path / "log.1")
    path.write_bytes(lines(3))
    reader = source(tables, "log", clock, **options).open("", first.resume)
    found: list[int] = []
    for _ in range(5):
        records = reader.poll(1 << 20, 2)
        assert records is not None
        found += values(records, tables)
    assert found == [2, 3]


def test_truncation_is_said(tables: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "log"
    path.write_bytes(lines(1, 2, 3))
    clock = VirtualClock()
    reader = source(tables, "log", clock, **{"source_monitor-interval": "1 s"}).open("", None)
    first = reader.poll(1 << 20, 0)
    assert first is not None
    assert values(first, tables) == [1, 2, 3]
    path.write_bytes(lines(4))
    records = reader.poll(1 << 20, 3)
    assert records is not None
    assert values(records, tables) == [4]
    assert "truncated" in caplog.text


# ---- replay

TIMED = Schema.of(a=BIGINT, ts=timestamp(3))


def timed(*rows: tuple[int, int]) -> bytes:
    return b"".join(b'{"a": %d, "ts": %d}\n' % (a, second * 1_000_000) for a, second in rows)


def test_replay_keeps_the_pace_over_several_files(tables: Any, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "1").write_bytes(timed((1, 100), (2, 160), (3, 220)))
    (tmp_path / "d" / "2").write_bytes(timed((10, 130), (11, 120), (12, 250)))
    clock = VirtualClock()
    s = source(tables, "d", clock, TIMED, 1, **{"scan_replay_speed": "60"})
    one, two = (s.open(p, None) for p in s.parts())
    assert (one.watermark_hint(), two.watermark_hint()) == (100_000, 130_000)

    def now(reader: Reader) -> list[int]:
        records = reader.poll(1 << 20, 0)
        return [] if records is None else values(records, tables, TIMED)

    assert (now(one), now(two)) == ([1], [])
    clock.advance(500)
    assert (now(one), now(two)) == ([], [10, 11])
    assert two.watermark_hint() == 250_000
    before = clock.monotonic()
    waited = one.poll(1 << 20, 10)
    assert waited is not None
    assert values(waited, tables, TIMED) == [2]
    assert clock.monotonic() - before == pytest.approx(0.5, abs=0.01)
    assert waited.blocks[0].line == 2
    again = source(tables, "d", clock, TIMED, 1, **{"scan_replay_speed": "60"}).open("1", waited.resume)
    assert now(again) == [3]
    assert now(again) == []
    assert again.poll(1, 0) is None


def test_replay_with_bad_rows_loses_none(tables: Any, tmp_path: Path) -> None:
    content = timed((1, 100)) + b"bad\n" + timed((2, 101)) + b"\n" + timed((3, 102))
    (tmp_path / "a").write_bytes(content)
    reader = source(tables, "a", VirtualClock(), TIMED, 1, scan_replay_speed="1").open("", None)
    got = b""
    while (records := reader.poll(1 << 20, 5)) is not None:
        for b in records.blocks:
            assert b.position == len(got)
            got += b.data[b.start : b.end].tobytes()
    assert got == content


def test_replay_needs_a_physical_rowtime(tables: Any, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be replayed"):
        source(tables, "a", None, SCHEMA, None, scan_replay_speed="1")


# ---- columnar files


def test_columnar_files_with_metadata(tables: Any, tmp_path: Path) -> None:
    schema = Schema((*SCHEMA.fields, Field("n", STRING, metadata_key="file.name")))

    class Columnar(type(tables.format)):  # type: ignore[misc]
        columnar = True

        def read_file(self, path: Path, schema: Schema, wanted: Any = None, batch_rows: int = 65536) -> Any:
            for i in range(3):
                yield Delta.of(schema, [[i * 2, "x"], [i * 2 + 1, "y"]])

    tables.format = Columnar(tables.format.options_)
    (tmp_path / "a.parquet").write_bytes(b"x")
    reader = source(tables, "a.parquet", schema=schema).open("", None)
    first = reader.poll(1, 0)
    assert first is not None
    assert first.delta is not None
    assert first.delta.rows() == [(0, "x", "a.parquet"), (1, "y", "a.parquet")]
    odd = dict(first.resume) | {"row": 3}
    rest = source(tables, "a.parquet", schema=schema).open("", odd)
    assert drain(rest, tables) == [3, 4, 5]
    (tmp_path / "a.parquet").write_bytes(b"longer")
    with pytest.raises(ExternalError, match="replaced"):
        source(tables, "a.parquet", schema=schema).open("", odd).poll(1, 0)


def test_metadata_types_are_declared() -> None:
    assert Connector.metadata["file.modification-time"] == timestamp_ltz(3).with_nullable(False)
