"""Partitioned folders: written exactly once, marked complete, read back with their columns."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest

from deras.connectors._file_partitions import escaped, values_of
from deras.core.contracts import TableContext
from deras.core.delta import Delta
from deras.core.options import read_options
from deras.core.registry import connector, format_
from deras.core.schema import Schema
from deras.core.time import MAX_WATERMARK, Tick
from deras.core.types import BIGINT, DATE, INT, STRING
from deras.session.session import Session

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [
    {"id": 1, "ts": "2024-01-01 08:05:00", "kind": "a b"},
    {"id": 2, "ts": "2024-01-01 08:59:00", "kind": "x/y"},
    {"id": 3, "ts": "2024-01-01 09:10:00", "kind": None},
    {"id": 4, "ts": "2024-01-02 00:00:00", "kind": "a b"},
]


def tree(folder: Path) -> list[str]:
    return sorted({str(p.parent.relative_to(folder)) for p in folder.rglob("part-*")})


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_written_and_read(tmp_path: Path, form: str) -> None:
    (tmp_path / "in.json").write_text("".join(json.dumps(r) + "\n" for r in ROWS))
    with Session(base=tmp_path) as s:
        s.sql(
            f"""CREATE TABLE events (id BIGINT, ts TIMESTAMP(3), kind STRING, WATERMARK FOR ts AS ts)
                WITH ('connector' = 'filesystem', 'path' = 'in.json', 'format' = 'json');
                CREATE TABLE parts (dt STRING, id BIGINT, hr INT, kind STRING) PARTITIONED BY (dt, hr)
                WITH ('connector' = 'filesystem', 'path' = 'parts', 'format' = '{form}',
                  'partition.time-extractor.timestamp-pattern' = '$dt $hr:00:00',
                  'sink.partition-commit.trigger' = 'partition-time', 'sink.partition-commit.delay' = '1 h',
                  'sink.partition-commit.policy.kind' = 'success-file');
                INSERT INTO parts SELECT DATE_FORMAT(ts, 'yyyy-MM-dd'), id, CAST(HOUR(ts) AS INT), kind FROM events"""
        )
        assert s.wait(30)
        assert tree(tmp_path / "parts") == ["dt=2024-01-01/hr=8", "dt=2024-01-01/hr=9", "dt=2024-01-02/hr=0"]
        assert len(list((tmp_path / "parts").rglob("_SUCCESS"))) == 3
        if form == "json":
            first = next((tmp_path / "parts/dt=2024-01-01/hr=9").glob("part-*")).read_text()
            assert json.loads(first) == {"id": 3, "kind": None}
        assert s.sql("SHOW PARTITIONS parts").rows() == [(t,) for t in tree(tmp_path / "parts")]
        found = [r for _, r in s.sql("SELECT dt, hr, id, kind FROM parts WHERE hr > 7").changes()]
        assert sorted(found, key=lambda r: r[2]) == [
            ("2024-01-01", 8, 1, "a b"), ("2024-01-01", 8, 2, "x/y"), ("2024-01-01", 9, 3, "" if form == "csv" else None)
        ]  # fmt: skip


SCHEMA = Schema.of(id=BIGINT, kind=STRING, n=INT)


def sink(folder: Path, clock: Any, **options: str) -> Any:
    kind = connector("filesystem")()
    texts = {"path": str(folder), **options}
    made = format_("json")(read_options(format_("json").options, {}, what="json"))
    read = read_options(kind.options, texts, what="filesystem")
    return kind.sink(TableContext("t", SCHEMA, read, made, folder, clock, partition_keys=("kind",)))


class Clock:
    """A time that stands until it is moved."""

    at = 1_000_000

    def now(self) -> int:
        return self.at

    def monotonic(self) -> float:
        return self.at / 1000


def rows(*kinds: str | None) -> Delta:
    return Delta.of(SCHEMA, [(i, k, 0) for i, k in enumerate(kinds)])


def visible(folder: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for p in folder.rglob("part-*"):
        name = str(p.parent.relative_to(folder))
        found[name] = found.get(name, 0) + len(p.read_text().splitlines())
    return found


def test_a_crash_leaves_each_row_once(tmp_path: Path) -> None:
    clock = Clock()
    first = sink(tmp_path, clock)
    w = first.open(SCHEMA)
    w.write(rows("a", "b", "a", None), Tick(0, 0, 0, 0, 1))
    token = w.prepare(1)
    w.write(rows("a", "c"), Tick(0, 0, 0, 0, 2))  # after the checkpoint, in an old and in a new partition
    w.close()
    assert visible(tmp_path) == {}
    # Crash before commit: the token is committed on recovery, what came later is written again.
    again = sink(tmp_path, clock)
    again.commit(token)
    again.commit(token)
    w = again.open(SCHEMA, token)
    assert visible(tmp_path) == {"kind=a": 2, "kind=b": 1, "kind=__DEFAULT_PARTITION__": 1}
    w.write(rows("a", "c"), Tick(0, 0, 0, 0, 2))
    again.commit(w.prepare(2))
    w.close()
    assert visible(tmp_path) == {"kind=a": 3, "kind=b": 1, "kind=c": 1, "kind=__DEFAULT_PARTITION__": 1}
    assert not list(tmp_path.rglob("*.inprogress"))


def test_when_a_partition_is_complete(tmp_path: Path) -> None:
    clock = Clock()
    options = {
        "sink.partition-commit.policy.kind": "success-file",
        "sink.partition-commit.delay": "10 s",
        "sink.partition-commit.success-file.name": "_DONE",
    }
    s = sink(tmp_path, clock, **options)
    w = s.open(SCHEMA)
    w.write(rows("a"), Tick(0, 0, 0, 0, 1))
    s.commit(w.prepare(1))
    assert not list(tmp_path.rglob("_DONE"))
    clock.at += 5_000
    w.write(rows("b"), Tick(0, 0, 0, 0, 1))
    s.commit(w.prepare(2))
    clock.at += 5_000
    token = w.prepare(3)
    s.commit(token)
    assert [str(p.parent.name) for p in tmp_path.rglob("_DONE")] == ["kind=a"]
    w = sink(tmp_path, clock, **options).open(SCHEMA, token)  # what waits is kept across a restart
    w.advance(MAX_WATERMARK)
    s.commit(w.prepare(4))
    assert sorted(p.parent.name for p in tmp_path.rglob("_DONE")) == ["kind=a", "kind=b"]


def test_names_of_folders() -> None:
    assert escaped("a/b=c:d%") == "a%2Fb%3Dc%3Ad%25"
    path = "k=a%2Fb/d=2024-02-03/n=__DEFAULT_PARTITION__/part-0.json"
    found = values_of(path, ["k", "d", "n"], [STRING, DATE, INT], "__DEFAULT_PARTITION__")
    assert found == {"partition.k": "a/b", "partition.d": dt.date(2024, 2, 3), "partition.n": None}
