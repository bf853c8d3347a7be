"""Parquet files: round trips, casts, what is missing or wrong."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest
from formats_kit import make

from deras.core import types as t
from deras.core.delta import Delta
from deras.core.errors import CorruptError, ExternalError, RowError
from deras.core.schema import Schema

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = Schema.of(
    a=t.BIGINT, b=t.STRING, c=t.timestamp(3), d=t.timestamp_ltz(9), e=t.decimal(20, 2), f=t.BOOLEAN, g=t.BYTES, h=t.DATE,
    i=t.array(t.STRING), j=t.row(x=t.INT), k=t.map_of(t.STRING, t.INT), l=t.time(3),
)  # fmt: skip
ROWS = [
    (
        i, f"text {i} that is long enough", dt.datetime(2024, 1, 1, 0, 0, i), dt.datetime(2024, 1, 1, 0, 0, i, tzinfo=dt.UTC),
        Decimal(i) / 4, i % 2 == 0, b"\x00" * i, dt.date(2024, 1, 1 + i), ["x", None], {"x": i}, [{"key": "k", "value": i}],
        dt.time(1, 2, i),
    )
    for i in range(20)
]  # fmt: skip
NULLS = [(None,) * 12]


def write(path: Path, *deltas: Delta) -> None:
    writer = make("parquet").file_writer(path, deltas[0].schema)
    for d in deltas:
        writer.write(d)
    writer.close()
    writer.close()


def read(path: Path, schema: Schema, **more: object) -> Delta:
    return Delta.concat(list(make("parquet").read_file(path, schema, **more)))


def test_round_trip_in_batches(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write(path, Delta.of(SCHEMA, [(*r[:10], {"k": r[0]}, r[11]) for r in ROWS]), Delta.of(SCHEMA, NULLS))
    assert read(path, SCHEMA).rows() == ROWS + NULLS
    parts = list(make("parquet").read_file(path, SCHEMA, batch_rows=8))
    assert [len(p) for p in parts] == [8, 8, 5]
    assert Delta.concat(parts).rows() == ROWS + NULLS


def test_projection_and_missing_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write(path, Delta.of(Schema.of(a=t.BIGINT, b=t.STRING), [(1, "x")]))
    schema = Schema.of(b=t.STRING, z=t.INT, a=t.BIGINT)
    assert read(path, schema).rows() == [("x", None, 1)]
    assert read(path, schema, wanted=[2]).rows() == [(None, None, 1)]
    assert read(path, schema, wanted=[1]).rows() == [(None, None, None)]
    with pytest.raises(RowError, match="no such column"):
        read(path, Schema.of(z=t.INT.with_nullable(False)))


def test_casts_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    frame = pl.DataFrame({"i": [1, 300], "f": [1.0, 2.5], "t": [dt.datetime(2024, 1, 1), None], "s": ["a", "b"]})
    frame.with_columns(pl.col("t").cast(pl.Datetime("ms"))).write_parquet(path)
    assert read(path, Schema.of(i=t.INT, t=t.timestamp(3))).rows() == [(1, dt.datetime(2024, 1, 1)), (300, None)]
    assert read(path, Schema.of(i=t.DOUBLE, f=t.DOUBLE)).rows() == [(1.0, 1.0), (300.0, 2.5)]
    for schema in (
        Schema.of(i=t.TINYINT),
        Schema.of(f=t.INT),
        Schema.of(s=t.INT),
        Schema.of(t=t.timestamp(3).with_nullable(False)),
    ):
        with pytest.raises(RowError):
            read(path, schema)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ExternalError):
        read(tmp_path / "absent", SCHEMA)
    path = tmp_path / "x.parquet"
    path.write_bytes(b"no parquet")
    with pytest.raises(CorruptError):
        read(path, SCHEMA)
    with pytest.raises(ExternalError):
        make("parquet").file_writer(tmp_path / "no folder" / "x", SCHEMA)
