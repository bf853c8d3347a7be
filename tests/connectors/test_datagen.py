"""The datagen source: Flink's options, rate, restart."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.connectors.datagen import Connector
from deras.core import types as t
from deras.core.errors import OptionError
from deras.core.schema import Schema
from deras.core.time import VirtualClock

if TYPE_CHECKING:
    from deras.core.contracts import Reader, Source


def source(tables: Any, schema: Schema, clock: Any = None, **texts: str) -> Source:
    named = {k.replace("__", "-").replace("_", "."): v for k, v in texts.items()}
    return Connector().source(tables.options(Connector, schema, named, clock=clock or VirtualClock(10**12)))


def take(reader: Reader, rows: int | None = None, limit: int = 1 << 20) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    while (records := reader.poll(limit, 1)) is not None and (rows is None or len(found) < rows):
        if records.delta is not None:
            found += records.delta.rows()
    return found


ALL = Schema.of(
    b=t.BOOLEAN, i8=t.TINYINT, i16=t.SMALLINT, i32=t.INT, i64=t.BIGINT, f=t.FLOAT, d=t.DOUBLE, dec=t.decimal(10, 2),
    wide=t.decimal(38, 4), c=t.char(7), v=t.varchar(20), s=t.STRING, y=t.BYTES, day=t.DATE, tm=t.time(3),
    ts=t.timestamp(3), ltz=t.timestamp_ltz(6), ns=t.timestamp(9), iy=t.INTERVAL_MONTH, id=t.INTERVAL_DAY,
    a=t.array(t.INT), m=t.map_of(t.STRING, t.DOUBLE), r=t.row(x=t.INT, y=t.STRING), aa=t.array(t.row(z=t.array(t.STRING))),
)  # fmt: skip


def test_every_type(tables: Any) -> None:
    rows = take(source(tables, ALL, number__of__rows="200").open("", None))
    assert len(rows) == 200
    row = dict(zip(ALL.names, rows[0], strict=True))
    assert -128 <= row["i8"] <= 127
    assert len(row["c"]) == 7
    assert len(row["v"]) == 20
    assert len(row["s"]) == 100
    assert len(row["y"]) == 100
    assert set(row["s"]) <= set("0123456789abcdef")
    assert row["ts"] == dt.datetime(2001, 9, 9, 1, 46, 40)
    assert row["day"] == dt.date(2001, 9, 9)
    assert row["tm"] == dt.time(1, 46, 40)
    assert len(row["a"]) == 3
    assert len(row["m"]) == 3
    assert len(row["aa"][0]["z"]) == 3
    for name in ("b", "i8", "i64", "d", "dec", "wide", "s", "y"):
        assert len({r[ALL.index(name)] for r in rows}) > (1 if name == "b" else 100), name
    assert take(source(tables, ALL, number__of__rows="200").open("", None)) == rows
    assert take(source(tables, ALL, number__of__rows="200", seed="1").open("", None)) != rows


@settings(max_examples=12, deadline=None)
@given(stop=st.integers(0, 30), limit=st.integers(1, 3000))
def test_any_restart_gives_the_same_rows(make_tables: Any, tmp_path_factory: Any, stop: int, limit: int) -> None:
    tables = make_tables(tmp_path_factory.getbasetemp())
    schema = Schema.of(i=t.BIGINT, s=t.STRING, x=t.DOUBLE, a=t.array(t.INT))
    options = {"number__of__rows": "500", "fields_s_length": "5", "fields_x_null__rate": "0.3"}
    clock = VirtualClock(10**12)
    whole = take(source(tables, schema, clock, **options).open("", None))
    assert len(whole) == 500
    reader = source(tables, schema, clock, **options).open("", None)
    found: list[tuple[Any, ...]] = []
    offset = None
    for _ in range(stop):
        records = reader.poll(limit, 1)
        if records is None:
            break
        found += records.delta.rows() if records.delta is not None else []
        offset = records.resume
    assert found + take(source(tables, schema, clock, **options).open("", offset), limit=limit) == whole


def test_sequences_end(tables: Any) -> None:
    schema = Schema.of(n=t.BIGINT, s=t.STRING, d=t.decimal(10, 2), x=t.DOUBLE, w=t.decimal(30, 2))
    options = {f"fields_{f}_{k}": v for f in "nsdxw" for k, v in (("kind", "sequence"), ("start", "3"), ("end", "9"))}
    s = source(tables, schema, **options | {"fields_s_end": "5"})
    assert s.bounded
    rows = take(s.open("", None))
    assert [(n, text, float(d), x, float(w)) for n, text, d, x, w in rows] == [
        (i, str(i), float(i), float(i), float(i)) for i in (3, 4, 5)
    ]


def test_bounds_lengths_and_nulls(tables: Any) -> None:
    schema = Schema.of(
        n=t.INT, x=t.DOUBLE, d=t.decimal(5, 2), s=t.STRING, z=t.STRING, ts=t.timestamp(3), m=t.map_of(t.INT, t.INT)
    )
    options = {
        "number-of-rows": "2000", "fields.n.min": "-3", "fields.n.max": "3", "fields.x.min": "1.5", "fields.x.max": "2",
        "fields.d.min": "0.10", "fields.d.max": "0.12", "fields.s.length": "4", "fields.s.var-len": "true",
        "fields.z.null-rate": "0.25", "fields.ts.max-past": "1 min", "fields.m.key.min": "0", "fields.m.key.max": "1",
        "fields.m.length": "5",
    }  # fmt: skip
    clock = VirtualClock(10**12)
    rows = take(Connector().source(tables.options(Connector, schema, options, clock=clock)).open("", None))
    columns = dict(zip(schema.names, zip(*rows, strict=True), strict=True))
    assert set(columns["n"]) == set(range(-3, 4))
    assert all(1.5 <= x < 2 for x in columns["x"])
    assert {str(d) for d in columns["d"]} == {"0.10", "0.11", "0.12"}
    assert {len(s) for s in columns["s"]} == {1, 2, 3, 4}
    assert 400 < sum(z is None for z in columns["z"]) < 600
    now = dt.datetime(2001, 9, 9, 1, 46, 40)
    assert all(now - dt.timedelta(minutes=1) <= ts <= now + dt.timedelta(seconds=1) for ts in columns["ts"])
    assert len(set(columns["ts"])) > 1000
    assert all(len({e["key"] for e in m}) == len(m) <= 2 for m in columns["m"])


def test_the_rate(tables: Any) -> None:
    clock = VirtualClock(0)
    reader = source(tables, Schema.of(n=t.BIGINT), clock, rows__per__second="100").open("", None)
    first = reader.poll(1 << 20, 0)
    assert first is not None
    assert first.count == 1  # the first row is due at once
    nothing = reader.poll(1 << 20, 0)
    assert nothing is not None
    assert nothing.delta is None
    clock.advance(250)
    some = reader.poll(1 << 20, 0)
    assert some is not None
    assert some.count == 25
    waited = reader.poll(1 << 20, 1)
    assert waited is not None
    assert waited.count == 1
    assert clock.monotonic() == pytest.approx(0.26, abs=0.001)
    clock.advance(60_000)
    late = reader.poll(1 << 20, 0)
    assert late is not None
    assert late.count == 100  # a stall is not made up for without end


def test_a_limit_is_kept_and_rows_end(tables: Any) -> None:
    clock = VirtualClock(0)
    reader = source(tables, Schema.of(n=t.BIGINT), clock, rows__per__second="1000000", number__of__rows="70000").open(
        "", None
    )
    reader.poll(1 << 20, 0)
    clock.advance(1000)
    records = reader.poll(640, 0)
    assert records is not None
    assert records.count == 10
    assert len(take(reader)) == 70_000 - 11
    assert reader.poll(1, 1) is None
    reader.close()
    reader.close()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"fields.nn.min": "1"}, "has no field 'nn'"),
        ({"fields.n.min": "x"}, "'x' is no number"),
        ({"fields.n.min": "1.5"}, "1.5 does not fit INT"),
        ({"fields.n.min": "5", "fields.n.max": "4"}, "less than the minimum"),
        ({"fields.n.max": "9999999999"}, "does not fit INT"),
        ({"fields.n.kind": "sequence"}, "needs options 'fields.n.start'"),
        ({"fields.n.kind": "sequence", "fields.n.start": "3", "fields.n.end": "1"}, "less than the start"),
        ({"fields.n.kind": "other"}, "none of 'random', 'sequence'"),
        ({"fields.n.null-rate": "2"}, "between 0 and 1"),
        ({"fields.c.length": "2"}, "fixed length"),
        ({"rows-per-second": "0"}, "greater than 0"),
        ({"rows-per-sec": "1"}, "no option 'rows-per-sec'"),
    ],
)
def test_wrong_options(tables: Any, texts: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Connector().source(tables.options(Connector, Schema.of(n=t.INT, c=t.char(3)), texts))
