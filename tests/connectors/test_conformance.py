"""All connectors against the public kit."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest

from deras.connectors import _file_reader, blackhole, datagen, filesystem
from deras.core import registry
from deras.core.contracts import Reader, Source
from deras.core.delta import Delta
from deras.core.records import Records
from deras.core.schema import Schema
from deras.core.types import BIGINT, DOUBLE, STRING, array
from deras.runtime.intake_log import IntakeLog, LoggedReader
from deras.testing.conformance import check_sink, check_source

if TYPE_CHECKING:
    from pathlib import Path

    from deras.core.time import Tick

SCHEMA = Schema.of(a=BIGINT, s=STRING)


@pytest.fixture(autouse=True)
def _small_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_file_reader, "LEAST_READ", 1)


def content(n: int) -> bytes:
    return b"".join(b'{"a":%d,"s":"%s"}\n' % (i, b"x" * (i % 30)) for i in range(n))


def test_filesystem_source(tables: Any, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "1.json").write_bytes(content(60) + b"bad\n" + content(5)[:-1])
    (tmp_path / "d" / "2.json.gz").write_bytes(gzip.compress(content(40)))
    (tmp_path / "d" / "3.json").write_bytes(b"")
    decode = tables.format.decoder(SCHEMA).decode
    for more, rows in (({}, None), ({"source.monitor-interval": "1 ms"}, 30)):
        if rows:
            (tmp_path / "d" / "3.json").unlink()
        table = tables.options(filesystem.Connector, SCHEMA, {"path": "d", **more})
        found = check_source(lambda t=table: filesystem.Connector().source(t), decode, rows=rows)  # type: ignore[misc]
        assert len(found) == (106 if rows is None else 60)


def test_replayed_files(tables: Any, tmp_path: Path) -> None:
    from deras.core.types import timestamp

    schema = Schema.of(a=BIGINT, ts=timestamp(3))
    lines = b"".join(b'{"a":%d,"ts":%d}\n' % (i, i * 1_000_000) for i in range(50))
    (tmp_path / "a").write_bytes(lines)
    table = tables.options(filesystem.Connector, schema, {"path": "a", "scan.replay.speed": "100000"}, rowtime=1)
    found = check_source(lambda: filesystem.Connector().source(table), tables.format.decoder(schema).decode)
    assert [r[0] for r in found] == list(range(50))


def test_datagen(tables: Any) -> None:
    schema = Schema.of(a=BIGINT, s=STRING, x=DOUBLE, l=array(BIGINT))
    options = {"number-of-rows": "300", "rows-per-second": "1000000", "fields.s.length": "8"}
    table = tables.options(datagen.Connector, schema, options)
    assert len(check_source(lambda: datagen.Connector().source(table), limit=2000)) == 300


class Logged(Source):
    """An intake log as a source, as the runtime sees it."""

    def __init__(self, log: IntakeLog) -> None:
        self.log = log

    def parts(self) -> list[str]:
        return [""]

    def open(self, part: str, at: Any) -> Reader:
        return LoggedReader(self.log, "t", at)


def test_the_intake_log(tables: Any, tmp_path: Path) -> None:
    log = IntakeLog(tmp_path / "log", segment_bytes=400, memory_bytes=300)
    for i in range(40):
        log.append("t", content(i % 4 + 1), i % 4 + 1).result(10)
    found = check_source(lambda: Logged(log), tables.format.decoder(SCHEMA).decode, rows=100)
    assert len(found) == 100
    log.close()


BATCHES = [Delta.of(SCHEMA, [[i * 10 + j, "x" * j] for j in range(4)]) for i in range(6)]


@pytest.mark.parametrize("size", ["1", "50", "1 mb"])
def test_filesystem_sink(tables: Any, tmp_path: Path, size: str) -> None:
    table = tables.options(filesystem.Connector, SCHEMA, {"path": "out", "sink.rolling-policy.file-size": size})

    def read_back() -> list[tuple[Any, ...]]:
        source = filesystem.Connector().source(table)
        decode = tables.format.decoder(SCHEMA).decode
        return check_source(lambda: source, decode) if source.parts() else []

    def crash(writer: Any) -> None:
        if writer._part is not None:
            writer._part.file.close()

    check_sink(lambda: filesystem.Connector().sink(table), SCHEMA, BATCHES, read_back, crash)


def test_blackhole(tables: Any) -> None:
    """It has no rows to read back: its checksum stands for them."""
    made: list[blackhole.BlackholeSink] = []

    def sink() -> blackhole.BlackholeSink:
        s = blackhole.Connector().sink(tables.options(blackhole.Connector, SCHEMA, {}))
        assert isinstance(s, blackhole.BlackholeSink)
        made.append(s)
        return s

    def read_back() -> list[tuple[Any, ...]]:
        for n in range(len(BATCHES) + 1):
            if blackhole.checksum_of_delta(Delta.concat([Delta.empty(SCHEMA), *BATCHES[:n]])) == made[-1].checksum:
                return [r for b in BATCHES[:n] for r in b.rows()]
        return []

    check_sink(sink, SCHEMA, BATCHES, read_back)


# ---- the kit finds faults


class Broken(Reader):
    """A reader whose offsets are one row off."""

    def __init__(self, at: Any) -> None:
        self.row = at["row"] if at else 0

    def poll(self, limit: int, wait: float) -> Records | None:
        if self.row >= 5:
            return None
        self.row += 1
        return Records({"row": self.row - 1}, delta=Delta.of(SCHEMA, [[self.row, "x"]]))


def test_the_kit_sees_a_doubled_row() -> None:
    class Doubling(Source):
        bounded = True

        def parts(self) -> list[str]:
            return [""]

        def open(self, part: str, at: Any) -> Reader:
            return Broken(at)

    with pytest.raises(AssertionError, match="lost, doubled or changed"):
        check_source(Doubling)


def test_the_kit_sees_rows_that_are_visible_too_early(tables: Any) -> None:
    seen: list[Any] = []

    class Early(blackhole.BlackholeSink):
        def open(self, schema: Schema, state: Any = None) -> Any:
            class W(blackhole.BlackholeWriter):
                def write(self, delta: Delta, tick: Tick) -> None:
                    seen.extend(delta.rows())

            return W(None)

    with pytest.raises(AssertionError, match=r"after a crash between prepare and commit: missing .*, too many"):
        check_sink(Early, SCHEMA, BATCHES, lambda: seen)


def test_all_connectors_are_found_by_name() -> None:
    assert {"filesystem", "http", "datagen", "print", "blackhole"} <= set(registry.available("connectors"))
    for name in ("filesystem", "http", "datagen", "print", "blackhole"):
        connector = registry.connector(name)
        assert connector.name == name
        assert connector.__doc__
        assert all(o.help for o in connector.options)
