"""debezium-json, canal-json and maxwell-json: envelopes to rows with weights, and back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from formats_kit import block, decode, make, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core.delta import Delta
from deras.core.schema import Field, Schema
from deras.core.types import BIGINT, INT, STRING, array, decimal, map_of, row, timestamp, timestamp_ltz

SCHEMA = Schema.of(id=BIGINT, name=STRING, price=decimal(10, 2))
A = {"id": 1, "name": "a name of some length", "price": 2.5}
B = {"id": 1, "name": "b", "price": 3}


def lines(*records: Any) -> str:
    return "\n".join(r if isinstance(r, str) else json.dumps(r) for r in records) + "\n"


def changes(found: Any) -> list[tuple[int, tuple[Any, ...]]]:
    return [
        (w, tuple(str(v) if i == 2 and v is not None else v for i, v in enumerate(r))) for w, r in found.delta.changes()
    ]


ROW_A, ROW_B = (1, "a name of some length", "2.50"), (1, "b", "3.00")


def test_debezium() -> None:
    text = lines(
        {"before": None, "after": A, "op": "c", "source": {"db": "x"}},
        {"op": "u", "before": A, "after": B},
        {"op": "r", "after": A},
        {"before": B, "after": None, "op": "d", "ts_ms": 5},
    )
    found = decode("debezium-json", SCHEMA, text)
    assert changes(found) == [(1, ROW_A), (-1, ROW_A), (1, ROW_B), (1, ROW_A), (-1, ROW_B)]
    assert found.count == 4
    assert not found.rejected


def test_debezium_with_schema_and_metadata() -> None:
    schema = Schema(
        (
            Field("id", BIGINT),
            Field("t", STRING, metadata_key="value.source.table"),
            Field("at", timestamp_ltz(3), metadata_key="value.source.timestamp"),
            Field("read", timestamp_ltz(3), metadata_key="value.ingestion-timestamp"),
            Field("all", map_of(STRING, STRING), metadata_key="value.source.properties"),
            Field("s", STRING, metadata_key="value.schema"),
            Field("path", STRING, metadata_key="file.name"),
        )
    )
    source = {"db": "d", "table": "orders", "ts_ms": 1_700_000_000_123, "snapshot": False}
    payload = {"before": {"id": 1}, "after": {"id": 2}, "op": "u", "source": source, "ts_ms": 1_700_000_001_000}
    record = {"schema": {"type": "struct"}, "payload": payload}
    meta: dict[str, Any] = {"file.name": "f.json"}
    decoder = make("debezium-json", schema_include="true").decoder(schema)
    found = decoder.decode(block(lines(record, {"schema": None}, record), 1, 0, **meta))
    rows = found.delta.rows()
    assert found.delta.weight_array().tolist() == [-1, 1, -1, 1]
    assert [r[0] for r in rows] == [1, 2, 1, 2]
    at, read = rows[1][2], rows[1][3]
    assert (rows[1][1], at.isoformat(), read.isoformat()) == (
        "orders",
        "2023-11-14T22:13:20.123000+00:00",
        "2023-11-14T22:13:21+00:00",
    )
    assert {e["key"]: e["value"] for e in rows[0][4]} == {
        "db": "d", "table": "orders", "ts_ms": "1700000000123", "snapshot": "false"
    }  # fmt: skip
    assert json.loads(rows[0][5]) == {"type": "struct"}
    assert rows[3][6] == "f.json"
    assert refused(found) == [("decode", "the record has no 'payload', although 'schema-include' is set")]
    assert found.rejected[0].positions[0].startswith("line 2 ")


def test_what_is_wrong_is_refused_whole_with_its_place() -> None:
    good = {"before": None, "after": A, "op": "c"}
    text = lines(
        good,
        {"op": "u", "before": None, "after": A},
        {"op": "u", "before": A, "after": {"id": "x"}},
        "",
        {"op": "z", "after": A},
        {"after": A},
        "[1, 2]",
        '{"op": "c", "after": [1]}',
        '{"op": "c"',
        {"op": "c", "after": None},
        good,
    )
    found = decode("debezium-json", SCHEMA, text)
    assert changes(found) == [(1, ROW_A), (1, ROW_A)]
    messages = [m for _, m in refused(found)]
    assert len(messages) == 8
    assert "REPLICA IDENTITY" in messages[0]
    assert messages[1].startswith("the row after the change: column 'id' (BIGINT)")
    assert messages[2:4] == ["unknown op 'z'", "the record has no 'op'"]
    assert messages[5] == "the row after the change: the record is no JSON object"
    assert found.rejected[0].raw[1] == lines({"op": "u", "before": A, "after": {"id": "x"}}).strip().encode()
    assert [p.split(" (")[0] for p in found.rejected[0].positions] == [f"line {n}" for n in (2, 3, 5, 6, 7, 8, 9, 10)]
    assert found.count == 10


def test_maxwell() -> None:
    text = lines(
        {"database": "d", "table": "t", "type": "insert", "ts": 1, "data": A},
        {"type": "update", "data": B, "old": {"name": A["name"], "price": A["price"]}},
        {"type": "update", "data": A, "old": {}},
        {"type": "update", "data": A, "old": {"price": None}},
        {"type": "bootstrap-start"},
        {"type": "bootstrap-insert", "data": B},
        {"type": "delete", "data": B},
        {"type": "update", "data": B},
        {"type": "drop"},
    )
    found = decode("maxwell-json", SCHEMA, text)
    without = (1, "a name of some length", None)
    assert changes(found) == [
        (1, ROW_A), (-1, ROW_A), (1, ROW_B), (-1, ROW_A), (1, ROW_A), (-1, without), (1, ROW_A), (1, ROW_B), (-1, ROW_B)
    ]  # fmt: skip
    assert [m for _, m in refused(found)] == ["an update without 'old'", "unknown type 'drop'"]


def test_canal() -> None:
    text = lines(
        {"data": [A, B], "type": "INSERT", "database": "shop", "table": "t"},
        {"data": [B, A], "old": [{"name": A["name"], "price": A["price"]}, {"price": None}], "type": "UPDATE"},
        {"data": None, "type": "CREATE", "isDdl": True},
        {"data": [], "type": "INSERT"},
        {"data": [A], "type": "DELETE", "old": None},
        {"data": [A, B], "old": [{}], "type": "UPDATE"},
        {"data": A, "type": "INSERT"},
        {"data": [A, {"id": "x"}], "type": "INSERT"},
        {"type": "TRUNCATE"},
    )
    found = decode("canal-json", SCHEMA, text)
    without = (1, "a name of some length", None)
    assert changes(found) == [
        (1, ROW_A), (1, ROW_B), (-1, ROW_A), (1, ROW_B), (-1, without), (1, ROW_A), (-1, ROW_A)
    ]  # fmt: skip
    messages = [m for _, m in refused(found)]
    assert messages[:2] == ["'old' has not as many rows as 'data'", "'data' is no array"]
    assert messages[2].startswith("the row after the change: column 'id' (BIGINT)")
    assert messages[3] == "unknown type 'TRUNCATE'"


def test_canal_takes_some_tables_only_and_gives_metadata() -> None:
    schema = Schema(
        (
            Field("id", BIGINT),
            Field("d", STRING, metadata_key="value.database"),
            Field("k", array(STRING), metadata_key="value.pk-names"),
            Field("t", map_of(STRING, INT), metadata_key="value.sql-type"),
            Field("e", timestamp_ltz(3), metadata_key="value.event-timestamp"),
        )
    )
    more = {"type": "INSERT", "pkNames": ["id"], "sqlType": {"id": 4}, "es": 5}
    text = lines(
        {"data": [A], "database": "shop", "table": "x1", **more},
        {"data": [A], "database": "shop", "table": "y", **more},
        {"data": [A], "database": "other", "table": "x1", **more},
        {"data": [A, A], "database": "shop", "table": "x2", "type": "INSERT"},
    )
    found = decode("canal-json", schema, text, database__include="shop", table__include="x.*")
    rows = found.delta.rows()
    assert [r[1] for r in rows] == ["shop"] * 3
    assert (rows[0][2], rows[0][3], rows[0][4].microsecond) == (["id"], [{"key": "id", "value": 4}], 5000)
    assert rows[1][2:] == rows[2][2:] == (None, None, None)


@pytest.mark.parametrize("name", ["debezium-json", "canal-json", "maxwell-json"])
def test_only_what_is_wanted_is_read(name: str) -> None:
    text = make(name).encoder(SCHEMA).encode(Delta.of(SCHEMA, [(1, "x", None), (2, None, None)], [1, -1]))
    found = decode(name, SCHEMA, text if isinstance(text, bytes) else b"".join(text), wanted=[1])
    assert list(found.delta.changes()) == [(1, (None, "x", None)), (-1, (None, None, None))]


NESTED = Schema.of(id=BIGINT, s=STRING, t=timestamp(3), r=row(a=INT, b=array(STRING)))
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
ROWS = st.tuples(
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | TEXT,
    st.none(),
    st.none()
    | st.fixed_dictionaries({"a": st.none() | st.integers(0, 9), "b": st.none() | st.lists(TEXT, max_size=2)}),
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["debezium-json", "canal-json", "maxwell-json"]),
    st.lists(st.tuples(st.sampled_from([1, -1]), ROWS), max_size=12),
    st.booleans(),
)
def test_what_is_written_is_read(name: str, rows: list[Any], bare: bool) -> None:
    delta = Delta.of(NESTED, [r for _, r in rows], [w for w, _ in rows])
    options = {"encode__ignore_null_fields": "true"} if bare else {}
    text = make(name, **options).encoder(NESTED).encode(delta)
    raw = text if isinstance(text, bytes) else b"".join(text)
    assert all(json.loads(line) for line in raw.decode().split("\n") if line)
    found = decode(name, NESTED, raw)
    if not bare:  # a missing ROW field is NULL, too, but a row of nothing but NULLs is not told from none
        assert list(found.delta.changes()) == list(delta.changes())
    assert found.delta.weight_array().tolist() == delta.weight_array().tolist()


def test_weights_beyond_one_are_repeated() -> None:
    delta = Delta.of(SCHEMA, [(1, "x", None), (2, "y", None)], [2, -3])
    text = make("debezium-json").encoder(SCHEMA).encode(delta)
    assert decode("debezium-json", SCHEMA, text).delta.weight_array().tolist() == [1, 1, -1, -1, -1]


def test_as_flink_writes_it() -> None:
    delta = Delta.of(SCHEMA, [(1, "x", None), (1, "x", None)], [1, -1])
    assert make("debezium-json").encoder(SCHEMA).encode(delta) == (
        b'{"before":null,"after":{"id":1,"name":"x","price":null},"op":"c"}\n'
        b'{"before":{"id":1,"name":"x","price":null},"after":null,"op":"d"}\n'
    )
    assert make("canal-json").encoder(SCHEMA).encode(delta) == (
        b'{"data":[{"id":1,"name":"x","price":null}],"type":"INSERT"}\n'
        b'{"data":[{"id":1,"name":"x","price":null}],"type":"DELETE"}\n'
    )
    assert make("maxwell-json").encoder(SCHEMA).encode(delta) == (
        b'{"data":{"id":1,"name":"x","price":null},"type":"insert"}\n'
        b'{"data":{"id":1,"name":"x","price":null},"type":"delete"}\n'
    )


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["debezium-json", "canal-json", "maxwell-json"]), st.data())
def test_damaged_records_never_spoil_others(name: str, data: st.DataObject) -> None:
    good = {
        "debezium-json": {"before": A, "after": B, "op": "u"},
        "canal-json": {"data": [B, A], "old": [A, {}], "type": "UPDATE"},
        "maxwell-json": {"data": B, "old": A, "type": "update"},
    }[name]
    whole = json.dumps(good).encode()
    bad = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(bad) - 1))
        bad[at] = data.draw(st.sampled_from(b'{}[],:"\\x0 \tn-') if data.draw(st.booleans()) else st.integers(32, 255))
    alone = decode(name, SCHEMA, bytes(bad) + b"\n")
    found = decode(name, SCHEMA, whole + b"\n" + bytes(bad) + b"\n" + whole + b"\n")
    first = decode(name, SCHEMA, whole).delta
    n = len(first)
    assert list(found.delta.changes())[:n] == list(first.changes())
    assert list(found.delta.changes())[-n:] == list(first.changes())
    assert list(found.delta.changes())[n:-n] == list(alone.delta.changes())
    assert found.count == 2 + alone.count
    assert np.abs(found.delta.weight_array()).max() == 1
