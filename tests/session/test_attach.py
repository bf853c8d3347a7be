"""Attaching to the owner of a project through its socket."""

from __future__ import annotations

import stat

import pytest

from deras.core.delta import Delta
from deras.core.errors import BindError, DerasError, ExternalError
from deras.core.schema import Schema
from deras.core.types import BIGINT, STRING, array, row
from deras.runtime.project import owner
from deras.session import wire
from deras.session.remote import attach
from deras.session.session import Session

NUMBERS = """CREATE TABLE numbers (id BIGINT) WITH (
  'connector' = 'datagen', 'number-of-rows' = '20',
  'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '20');"""
ENDLESS = "CREATE TABLE endless (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '200');"


@pytest.fixture
def folder(tmp_path):
    with Session(tmp_path / "p") as s:
        s.run(NUMBERS + ENDLESS)
        s.listen()
        yield tmp_path / "p"


def test_socket_is_private(folder):
    found = owner(folder)
    assert found is not None
    assert found.alive
    mode = (folder / "run" / "deras.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_answers_and_changes(folder):
    with attach(folder) as s:
        assert s.sql("SHOW TABLES").rows() == [("endless",), ("numbers",)]
        r = s.sql("SELECT id % 2 AS odd, COUNT(*) AS n FROM numbers GROUP BY id % 2")
        assert r.bounded
        assert [str(t) for t in r.schema.types] == ["BIGINT", "BIGINT NOT NULL"]
        assert sorted(r.rows()) == [(0, 10), (1, 10)]


def test_types_survive_the_wire(folder):
    with attach(folder) as s:
        r = s.sql(
            "SELECT CAST(1.50 AS DECIMAL(10, 2)) AS d, TIMESTAMP '2026-01-02 03:04:05.678' AS t, "
            "CAST(NULL AS STRING) AS s, CAST('ab' AS BYTES) AS b, DATE '2026-01-02' AS d1"
        )
        with Session() as own:
            same = own.sql(
                "SELECT CAST(1.50 AS DECIMAL(10, 2)) AS d, TIMESTAMP '2026-01-02 03:04:05.678' AS t, "
                "CAST(NULL AS STRING) AS s, CAST('ab' AS BYTES) AS b, DATE '2026-01-02' AS d1"
            )
            assert r.rows() == same.rows()
            assert r.schema.types == same.schema.types


def test_statements_of_one_are_seen_by_others(folder):
    with attach(folder) as a, attach(folder) as b:
        a.sql("CREATE MATERIALIZED VIEW v AS SELECT COUNT(*) AS n FROM numbers")
        for _ in range(300):
            if b.sql("SELECT n FROM v").rows() == [(20,)]:
                break
        assert b.sql("SELECT n FROM v").rows() == [(20,)]
        assert "v" in b.names()["tables"]
        assert [f["name"] for f in b.status()["flows"] if f["kind"] == "view"] == ["v"]


def test_settings_are_each_ones_own(folder):
    with attach(folder) as a, attach(folder) as b:
        a.sql("SET 'table.local-time-zone' = 'Asia/Jakarta'")
        a.sql("SHOW TABLES")
        b.sql("SHOW TABLES")
        assert a.zone == "Asia/Jakarta"
        assert b.zone != "Asia/Jakarta"


def test_errors_come_whole(folder):
    with attach(folder) as s:
        with pytest.raises(BindError) as e:
            s.sql("SELECT idd FROM numbers")
        assert "^^^" in e.value.render()
        assert "'id'" in e.value.hint
        assert s.sql("SELECT 1 AS x").rows() == [(1,)]


def test_endless_query_ends_with_its_reader(folder):
    with attach(folder) as s:
        r = s.sql("SELECT id FROM endless")
        seen = [c for _, c in zip(range(3), r.changes(), strict=False)]
        assert [k for k, _ in seen] == ["+I"] * 3
        r.close()
        for _ in range(300):
            if not any(f["kind"] == "query" for f in s.status()["flows"]):
                break
        assert not any(f["kind"] == "query" for f in s.status()["flows"])


def test_quiet_query_times_out(folder):
    with attach(folder) as s:
        r = s.sql("SELECT id FROM endless WHERE id = -1")
        with pytest.raises(TimeoutError):
            r.take(0.05)
        r.close()


def test_function_of_this_process_is_refused(folder):
    with attach(folder) as s, pytest.raises(DerasError, match="cannot be used by process"):
        s.register(lambda x: x)


def test_owner_ends(tmp_path):
    with Session(tmp_path / "p") as own:
        own.run(ENDLESS)
        own.listen()
        s = attach(tmp_path / "p")
        r = s.sql("SELECT id FROM endless WHERE id = -1")
    with pytest.raises(ExternalError, match="has ended"):
        s.sql("SHOW TABLES")
    with pytest.raises(ExternalError, match="has ended"):
        r.take()
    s.close()
    with pytest.raises(ExternalError, match="nobody runs"):
        attach(tmp_path / "p")


def test_stop_is_passed_on(tmp_path):
    asked = []
    with Session(tmp_path / "p") as own:
        own.run(ENDLESS)
        own.on_stop = lambda: asked.append(True)
        own.listen()
        with attach(tmp_path / "p") as s:
            s.stop()
            for _ in range(300):
                if asked:
                    break
                own.clock.sleep(0.01)
    assert asked == [True]


def test_long_path(tmp_path):
    folder = tmp_path / ("d" * 120)
    with Session(folder) as own:
        own.listen()
        with attach(folder) as s:
            assert s.sql("SELECT 1 AS x").rows() == [(1,)]


def test_another_protocol_is_named(folder, monkeypatch):
    monkeypatch.setattr(wire, "PROTOCOL", 99)

    import deras.session.remote as remote

    real = wire.receive

    def old(sock):
        head, body = real(sock)
        return (
            {**head, "protocol": 1, "version": "0.0.1"} if head.get("op") == "hello" and "pid" in head else head
        ), body

    monkeypatch.setattr(remote.wire, "receive", old)
    with pytest.raises(ExternalError, match=r"Deras 0\.0\.1"):
        attach(folder)


def test_nested_rows_survive_the_wire():
    schema = Schema.of(a=array(BIGINT), r=row(x=BIGINT, y=STRING))
    delta = Delta.of(schema, [[[1, None], {"x": 1, "y": "z"}], [None, None]], [1, -1])
    found = wire.delta_of_bytes(wire.schema_of_json(wire.schema_to_json(schema)), wire.delta_to_bytes(delta))
    assert found.schema.types == schema.types
    assert list(found.changes()) == list(delta.changes())
