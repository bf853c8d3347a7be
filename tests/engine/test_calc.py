"""Calc and rejected rows."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.errors import ConfigError
from deras.core.schema import Field, Schema
from deras.core.time import Tick
from deras.core.types import (
    BIGINT,
    BOOLEAN,
    BYTES,
    DATE,
    DOUBLE,
    INT,
    INTERVAL_DAY,
    STRING,
    array,
    decimal,
    map_of,
    row,
    time,
    timestamp,
    timestamp_ltz,
)
from deras.engine.operator import RowErrors
from deras.engine.operators.calc import Calc
from deras.engine.rejects import rows_as_json
from deras.engine.zones import zone

S = Schema((Field("ts", timestamp(3), "rowtime"), Field("a", INT), Field("b", INT)))


class Divide:
    """a / b; rows with a below 0 are filtered."""

    schema = Schema.of(q=INT)

    def run(self, delta: Delta, tick: Tick) -> Any:
        a, b = delta.columns[1].words(), delta.columns[2].words()
        bad = np.flatnonzero((a >= 0) & (b == 0))
        rows = np.flatnonzero((a >= 0) & (b != 0))
        taken = delta.take(rows)
        out = taken.with_columns(self.schema, [Column.of_words(INT, a[rows] // b[rows])])
        return out, [RowErrors(bad, [f"division by zero in row {i}" for i in bad.tolist()])] if len(bad) else ()


def test_failed_rows_are_rejected_once() -> None:
    op = Calc(S, Divide(), origin="view v")
    t = dt.datetime(1970, 1, 1, 0, 0, 1)
    delta = Delta.of(S, [(t, 6, 3), (t, 1, 0), (t, 2, 0), (t, -1, 0), (t, 8, 2)], [1, -1, 1, 1, -1])
    delta.marks = np.arange(5)
    out = op.step([delta], Tick())
    assert out.delta is not None
    assert list(out.delta.changes()) == [(1, (2,)), (-1, (4,))]
    assert out.delta.mark_array().tolist() == [0, 4]
    (dropped,) = out.dropped
    assert (dropped.reason, dropped.origin) == ("expression", "view v")
    assert dropped.messages == ["division by zero in row 2"]
    assert dropped.times == [1000]
    assert [json.loads(r) for r in dropped.raw] == [{"ts": "1970-01-01 00:00:01", "a": 2, "b": 0}]
    assert op.step([None], Tick()).delta is None


def test_rows_as_json_keep_every_type() -> None:
    types = {
        "i": BIGINT,
        "d": decimal(38, 2),
        "f": DOUBLE,
        "g": DOUBLE,
        "h": DOUBLE,
        "s": STRING,
        "y": BYTES,
        "b": BOOLEAN,
        "z": timestamp_ltz(3),
        "day": DATE,
        "clock": time(0),
        "span": INTERVAL_DAY,
        "list": array(decimal(5, 1)),
        "map": map_of(STRING, INT),
        "row": row(p=INT, q=DATE),
        "none": STRING,
    }
    schema = Schema((*tuple(Field(n, t) for n, t in types.items()), Field("i", INT)))
    values = (
        2**62,
        Decimal("123456789012345678901234567890.10"),
        math.nan,
        -math.inf,
        0.1,
        'quoted "é"',
        b"\x00\xff",
        True,
        dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC),
        dt.date(2024, 5, 1),
        dt.time(1, 2, 3),
        dt.timedelta(seconds=1.5),
        [Decimal("1.5"), None],
        {"k": 1},
        {"p": 1, "q": dt.date(2024, 5, 1)},
        None,
        7,
    )
    (text,) = rows_as_json(Delta.of(schema, [values]), np.array([0]))
    assert text.decode() == (
        '{"i":4611686018427387904,"d":123456789012345678901234567890.10,"f":"NaN","g":"-Infinity","h":0.1,'
        '"s":"quoted \\"é\\"","y":"AP8=","b":true,"z":"2024-05-01 12:00:00Z","day":"2024-05-01","clock":"01:02:03",'
        '"span":1500,"list":[1.5,null],"map":{"k":1},"row":{"p":1,"q":"2024-05-01"},"none":null,"i_2":7}'
    )


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Jakarta", "UTC"])
def test_zones_agree_with_python(name: str) -> None:
    import zoneinfo

    info = zoneinfo.ZoneInfo(name)
    rng = np.random.default_rng(1)
    instants = rng.integers(-(10**12), 4 * 10**12, 3000)
    near = np.concatenate([instants, *(zone(name).starts[1:] + d for d in (-1, 0, 1))])
    walls = zone(name).wall(near, 1)
    for t, wall in zip(near.tolist(), walls.tolist(), strict=True):
        moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=t)
        local = moment.astimezone(info).replace(tzinfo=None)
        assert (local - dt.datetime(1970, 1, 1)) // dt.timedelta(milliseconds=1) == wall
    back = zone(name).instant(walls)
    assert (back >= near).all()  # the later of two
    assert (zone(name).wall(back, 1) == walls).all()


def test_zone_names() -> None:
    assert zone("GMT+07:00").offsets.tolist() == [7 * 3600_000]
    assert zone("UTC-3").offsets.tolist() == [-3 * 3600_000]
    assert zone(None).fixed
    with pytest.raises(ConfigError, match="unknown time zone 'Mars/Base'"):
        zone("Mars/Base")
