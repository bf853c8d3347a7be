"""The blackhole sink: its checksum."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.connectors.blackhole import (
    BlackholeSink,
    Connector,
    checksum_of,
    checksum_of_delta,
    checksum_of_table,
)
from deras.core import types as t
from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.time import Tick

SCHEMA = Schema.of(
    i=t.INT, n=t.BIGINT, x=t.DOUBLE, s=t.STRING, b=t.BYTES, ok=t.BOOLEAN, d=t.decimal(30, 2), a=t.array(t.INT)
)
ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**31), 2**31 - 1),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.floats(),
        st.none() | st.text(max_size=40),
        st.none() | st.binary(max_size=40),
        st.none() | st.booleans(),
        st.none() | st.decimals(min_value=-(10**20), max_value=10**20, places=2),
        st.none() | st.lists(st.none() | st.integers(0, 9), max_size=3),
    ),
    max_size=20,
)


@settings(max_examples=100, deadline=None)
@given(rows=ROWS, data=st.data())
def test_kernels_agree_with_the_reference(rows: list[Any], data: st.DataObject) -> None:
    weights = data.draw(st.none() | st.lists(st.integers(-3, 3), min_size=len(rows), max_size=len(rows)))
    delta = Delta.of(SCHEMA, rows, weights)
    expected = checksum_of(delta.columns, delta.weights)
    assert checksum_of_delta(delta) == expected
    order = np.array(data.draw(st.permutations(range(len(rows)))), np.int64)
    assert checksum_of_delta(delta.take(order)) == expected


@settings(max_examples=60, deadline=None)
@given(rows=ROWS.filter(len), place=st.data())
def test_any_changed_cell_changes_it(rows: list[Any], place: st.DataObject) -> None:
    i = place.draw(st.integers(0, len(rows) - 1))
    j = place.draw(st.integers(0, len(SCHEMA) - 1))
    other = [list(r) for r in rows]
    different: list[Any] = [7, 7, 7.5, "seven", b"seven", True, 7, [7]]
    other[i][j] = None if other[i][j] == different[j] else different[j]
    assert checksum_of_delta(Delta.of(SCHEMA, rows)) != checksum_of_delta(Delta.of(SCHEMA, other))


def test_swapped_columns_and_moved_cells_count() -> None:
    two = Schema.of(a=t.BIGINT, b=t.BIGINT)
    assert checksum_of_delta(Delta.of(two, [[1, 2]])) != checksum_of_delta(Delta.of(two, [[2, 1]]))
    assert checksum_of_delta(Delta.of(two, [[1, 2], [3, 4]])) != checksum_of_delta(Delta.of(two, [[1, 4], [3, 2]]))


def test_batches_and_retractions_do_not_matter(tables: Any) -> None:
    schema = Schema.of(n=t.BIGINT, s=t.STRING)
    n = 20_000
    whole = Delta.of(schema, [[i, f"text number {i}"] for i in range(n)])
    sink = Connector().sink(tables.options(Connector, schema, {}))
    assert isinstance(sink, BlackholeSink)
    writer = sink.open(schema)
    writer.write(whole.slice(0, 7), Tick())
    writer.write(whole.slice(7, 15_000), Tick())
    writer.write(-whole.slice(0, 5), Tick())
    writer.write(whole.slice(0, 5), Tick())
    token = json.loads(json.dumps(writer.prepare(1)))
    writer.write(whole, Tick())
    again = Connector().sink(tables.options(Connector, schema, {}))
    assert isinstance(again, BlackholeSink)
    resumed = again.open(schema, token)
    resumed.write(whole.slice(15_000, n), Tick())
    assert again.rows == n + 10
    assert again.checksum == checksum_of(whole.columns) == checksum_of_delta(whole)
    late = BlackholeSink()
    late.commit(token)
    late.commit(token)
    late.open(schema).write(whole.slice(15_000, n), Tick())
    assert late.checksum == again.checksum


def test_an_oracles_table_is_hashed_alike() -> None:
    schema = Schema.of(n=t.BIGINT, x=t.DOUBLE, s=t.STRING, at=t.timestamp(3))
    frame = pl.DataFrame({"n": [1, 2], "x": [0.5, None], "s": ["a", "long enough to lie in a buffer"], "at": [0, 1]})
    frame = frame.with_columns(pl.col("at").cast(pl.Datetime("ms")), pl.col("n").cast(pl.Int32))
    rows = [[1, 0.5, "a", 0], [2, None, "long enough to lie in a buffer", 1000]]
    expected = checksum_of_delta(Delta.of(schema, rows))
    assert checksum_of_table(frame, schema) == expected
    assert checksum_of_table(frame.to_arrow(), schema) == expected
