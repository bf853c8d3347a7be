"""The filesystem sink: exactly once, whatever happens between prepare and commit."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.connectors.filesystem import Connector
from deras.core.delta import Delta
from deras.core.errors import ConfigError, ExternalError, InternalError, OptionError
from deras.core.schema import Schema
from deras.core.time import Tick, VirtualClock
from deras.core.types import BIGINT

if TYPE_CHECKING:
    from deras.core.contracts import Sink

SCHEMA = Schema.of(a=BIGINT)


def sink(tables: Any, clock: Any = None, **texts: str) -> Sink:
    named = {"path": "out"} | {f"sink.rolling-policy.{k.replace('_', '-')}": v for k, v in texts.items()}
    return Connector().sink(tables.options(Connector, SCHEMA, named, clock=clock or VirtualClock()))


def rows(*numbers: int) -> Delta:
    return Delta.of(SCHEMA, [[n] for n in numbers])


def crash(writer: Any) -> None:
    """The process is gone: its descriptors are closed, nothing else happens."""
    if writer._part is not None and writer._part.file is not None:
        writer._part.file.close()


def visible(tables: Any) -> list[int]:
    """What a reader of the folder sees, read by the source."""
    found: list[int] = []
    source = Connector().source(tables.options(Connector, SCHEMA, {"path": "out"}))
    for part in source.parts():
        reader = source.open(part, None)
        while (records := reader.poll(1 << 20, 0)) is not None:
            for b in records.blocks:
                found += [r[0] for r in tables.format.decoder(SCHEMA).decode(b).delta.rows()]
    return sorted(found)


def hidden(tmp_path: Path) -> list[str]:
    return sorted(p.name for p in (tmp_path / "out").glob(".*"))


def test_rows_are_visible_after_the_commit(tables: Any, tmp_path: Path) -> None:
    s = sink(tables)
    writer = s.open(SCHEMA)
    writer.write(rows(1, 2), Tick())
    writer.write(Delta.of(SCHEMA, [[3], [4]], [2, 0]), Tick())
    assert visible(tables) == []
    token = json.loads(json.dumps(writer.prepare(1)))
    assert visible(tables) == []
    s.commit(token)
    s.commit(token)
    assert visible(tables) == [1, 2, 3, 3]
    assert writer.prepare(2) is None
    (part,) = (tmp_path / "out").iterdir()
    assert part.name.startswith("part-")
    assert part.name.endswith("-0.json")
    writer.close()
    writer.close()
    assert hidden(tmp_path) == []


def test_a_crash_between_prepare_and_commit(tables: Any) -> None:
    first = sink(tables).open(SCHEMA)
    first.write(rows(1), Tick())
    token = first.prepare(1)
    assert token is not None
    first.write(rows(2), Tick())  # after the checkpoint, lost with the process
    crash(first)
    again = sink(tables)
    again.commit(token)
    writer = again.open(SCHEMA, token)
    assert visible(tables) == [1]
    writer.write(rows(2, 3), Tick())
    after = writer.prepare(2)
    assert after is not None
    again.commit(after)
    again.commit(after)
    assert visible(tables) == [1, 2, 3]


def test_a_prepared_file_without_checkpoint_is_cleared(tables: Any, tmp_path: Path) -> None:
    s = sink(tables)
    first = s.open(SCHEMA)
    first.write(rows(1), Tick())
    token = first.prepare(1)
    assert token is not None
    s.commit(token)
    first.write(rows(2), Tick())
    first.prepare(2)  # the manifest was never written
    other = sink(tables).open(SCHEMA)  # somebody else's open file stays
    other.write(rows(100), Tick())
    assert len(hidden(tmp_path)) == 2
    writer = sink(tables).open(SCHEMA, token)
    assert len(hidden(tmp_path)) == 1
    writer.write(rows(2), Tick())
    again = writer.prepare(2)
    assert again is not None
    s.commit(again)
    theirs = other.prepare(1)
    assert theirs is not None
    s.commit(theirs)
    assert visible(tables) == [1, 2, 100]


def test_an_older_checkpoint_takes_later_files_back(tables: Any, tmp_path: Path) -> None:
    s = sink(tables)
    writer = s.open(SCHEMA)
    tokens = []
    for i in range(3):
        writer.write(rows(i), Tick())
        token = writer.prepare(i)
        assert token is not None
        s.commit(token)
        tokens.append(token)
    again = sink(tables)
    again.commit(tokens[0])
    writer = again.open(SCHEMA, tokens[0])
    assert visible(tables) == [0]
    assert len(hidden(tmp_path)) == 2
    writer.write(rows(1, 2), Tick())
    token = writer.prepare(1)
    assert token is not None
    again.commit(token)
    assert visible(tables) == [0, 1, 2]


def test_files_roll_by_size(tables: Any) -> None:
    s = sink(tables, file_size="30")
    writer = s.open(SCHEMA)
    for i in range(10):
        writer.write(rows(i), Tick())
    token = writer.prepare(1)
    assert token is not None
    assert len(token["files"]) == 3
    s.commit(token)
    assert visible(tables) == list(range(10))


def test_a_file_is_kept_open_over_checkpoints(tables: Any, tmp_path: Path) -> None:
    clock = VirtualClock()
    s = sink(tables, clock, rollover_interval="1 min")
    writer = s.open(SCHEMA)
    writer.write(rows(1), Tick())
    token = writer.prepare(1)
    assert token is not None
    s.commit(token)
    assert visible(tables) == []
    assert writer.prepare(2) is None
    writer.write(rows(99), Tick())
    writer.close()
    assert visible(tables) == []  # 99 is in no checkpoint
    again = sink(tables, clock, rollover_interval="1 min")
    again.commit(token)
    writer = again.open(SCHEMA, token)
    writer.write(rows(2), Tick())
    clock.advance(60_000)
    token = writer.prepare(3)
    assert token is not None
    again.commit(token)
    assert visible(tables) == [1, 2]
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_a_clean_end_shows_the_kept_file(tables: Any) -> None:
    s = sink(tables, rollover_interval="1 min")
    writer = s.open(SCHEMA)
    writer.write(rows(1), Tick())
    token = writer.prepare(1)
    assert token is not None
    s.commit(token)
    writer.close()
    assert visible(tables) == [1]
    again = sink(tables, rollover_interval="1 min")
    again.commit(token)
    writer = again.open(SCHEMA, token)
    writer.write(rows(2), Tick())
    token = writer.prepare(2)
    assert token is not None
    again.commit(token)
    writer.close()
    assert visible(tables) == [1, 2]


@settings(max_examples=60, deadline=None)
@given(
    acts=st.lists(
        st.sampled_from(["write", "write", "checkpoint", "crash", "crash after prepare", "crash after manifest"])
    ),
    size=st.sampled_from(["1", "40", "1 mb"]),
    hold=st.booleans(),
)
def test_any_crash_leaves_each_row_once(
    make_tables: Any, tmp_path_factory: pytest.TempPathFactory, acts: list[str], size: str, hold: bool
) -> None:
    tables = make_tables(tmp_path_factory.mktemp("sink"))
    options = {"file_size": size} | ({"rollover_interval": "3 s"} if hold else {})
    clock = VirtualClock()
    s = sink(tables, clock, **options)
    writer = s.open(SCHEMA)
    saved: tuple[int, dict[str, Any] | None] = (0, None)
    given_, epoch = 0, 0
    pending: list[dict[str, Any]] = []
    last: dict[str, Any] | None = None
    for act in acts:
        clock.advance(1000)
        if act == "write":
            writer.write(rows(given_, given_ + 1), Tick())
            given_ += 2
            continue
        if act != "crash":
            epoch += 1
            token = writer.prepare(epoch)
            if act != "crash after prepare":
                last = json.loads(json.dumps(token)) if token is not None else last
                saved = (given_, last)
                pending = [token] if token is not None else []
                if act == "checkpoint":
                    for t in pending:
                        s.commit(t)
                    pending = []
                    continue
        crash(writer)
        s = sink(tables, clock, **options)
        for t in pending:
            s.commit(t)
        pending = []
        given_, last = saved
        writer = s.open(SCHEMA, last)
    token = writer.prepare(epoch + 1)
    if token is not None:
        s.commit(token)
    writer.close()
    assert visible(tables) == list(range(given_))


def test_columnar_files(tables: Any, tmp_path: Path) -> None:
    class Columnar(type(tables.format)):  # type: ignore[misc]
        columnar = True
        extension = ".parquet"

        def file_writer(self, path: Path, schema: Schema) -> Any:
            class Made:
                def __init__(self) -> None:
                    self.rows: list[Any] = []
                    path.touch()

                def write(self, delta: Delta) -> None:
                    self.rows += delta.rows()

                def close(self) -> None:
                    path.write_text(json.dumps(self.rows))

            return Made()

    tables.format = Columnar(tables.format.options_)
    s = sink(tables, rollover_interval="1 h")
    writer = s.open(SCHEMA)
    writer.write(rows(1, 2), Tick())
    token = writer.prepare(1)
    assert token is not None
    s.commit(token)
    (path,) = (tmp_path / "out").iterdir()
    assert path.suffix == ".parquet"
    assert json.loads(path.read_text()) == [[1], [2]]


def test_disk_full(tables: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    s = sink(tables)
    writer = s.open(SCHEMA)
    writer.write(rows(1), Tick())
    token = writer.prepare(1)
    assert token is not None
    s.commit(token)

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as m:
        m.setattr("os.fsync", full)
        writer.write(rows(2), Tick())
        with pytest.raises(ExternalError, match="No space left") as e:
            writer.prepare(2)
        assert e.value.retry == "backoff"
    writer.close()
    again = sink(tables)
    again.commit(token)
    writer = again.open(SCHEMA, token)
    writer.write(rows(2), Tick())
    token = writer.prepare(2)
    assert token is not None
    again.commit(token)
    assert visible(tables) == [1, 2]


def test_trouble_is_told(tables: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="a glob cannot be written to"):
        Connector().sink(tables.options(Connector, SCHEMA, {"path": "a/*.json"}))
    writer = sink(tables).open(SCHEMA)
    with pytest.raises(InternalError, match="retraction"):
        writer.write(-rows(1), Tick())

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as m:
        m.setattr(Path, "open", refuse)
        with pytest.raises(ExternalError, match=r"cannot write to .*out: Permission denied"):
            writer.write(rows(1), Tick())
    (tmp_path / "out").rmdir()
    (tmp_path / "out").write_text("x")
    with pytest.raises(ConfigError, match="it is a file, not a folder"):
        sink(tables).open(SCHEMA)
