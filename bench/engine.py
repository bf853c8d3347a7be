"""Operators alone, one core: rows a second of GROUP BY and of window aggregation, beside DuckDB on the same columns.

Run: ``python bench/engine.py [rows]``. Data are in memory for both; steps are of 64 k rows; every output row is made.
DuckDB runs with one thread.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Field, Schema
from deras.core.time import MAX_WATERMARK, Tick
from deras.core.types import BIGINT, DOUBLE, timestamp
from deras.engine.aggregates import AggregateCall, result_type
from deras.engine.operators.group_aggregate import GroupAggregate
from deras.engine.operators.window_aggregate import WindowAggregate
from deras.engine.state import State

STEP = 65536
T3 = timestamp(3)
S = Schema(
    (Field("ts", T3, "rowtime"), Field("k", BIGINT.with_nullable(False)), Field("x", BIGINT), Field("d", DOUBLE))
)


def data(rows: int, keys: int) -> Delta:
    rng = np.random.default_rng(7)
    ts = (np.arange(rows) // 1000 + rng.integers(-5, 5, rows)) * 1000
    columns = [
        Column.of_words(S[0].type, ts),
        Column.of_words(S[1].type, rng.integers(0, keys, rows) * 7919),
        Column.of_words(S[2].type, rng.integers(0, 1000, rows)),
        Column.of_floats(S[3].type, rng.random(rows)),
    ]
    marks = np.maximum.accumulate(ts // 1000) - 11
    return Delta(S, columns, None, marks)


def calls(*wanted: Any) -> list[AggregateCall]:
    return [AggregateCall(f, a, result_type(f, None if a is None else S[a].type)) for f, a in wanted]


def ours(make: Any, delta: Delta) -> tuple[float, int]:
    warm = make()
    warm.open(State())
    warm.step([delta.slice(0, 1000)], Tick(high=MAX_WATERMARK))
    op = make()
    op.open(State())
    out = 0
    begin = time.perf_counter()
    low = -(1 << 63)
    for i in range(0, delta.length, STEP):
        part = delta.slice(i, min(i + STEP, delta.length))
        high = int(part.marks[-1])
        found = op.step([part], Tick(low=low, high=high)).delta
        low = high
        out += 0 if found is None else found.length
    found = op.step([None], Tick(low=low, high=MAX_WATERMARK)).delta
    out += 0 if found is None else found.length
    return time.perf_counter() - begin, out


def theirs(sql: str, delta: Delta) -> float:
    source = pa.table({f.name: c.to_arrow() for f, c in zip(S, delta.columns)})
    con = duckdb.connect(config={"threads": 1})
    con.register("source", source)
    con.execute("CREATE TABLE t AS SELECT * FROM source")
    begin = time.perf_counter()
    con.sql(sql).to_arrow_table()
    return time.perf_counter() - begin


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 4_000_000
    count, several = calls(("COUNT", None)), calls(("COUNT", None), ("SUM", 2), ("AVG", 3), ("MAX", 2))
    one = "SELECT k, count(*) FROM t GROUP BY k"
    more = "SELECT k, count(*), sum(x), avg(d), max(x) FROM t GROUP BY k"

    def group(c: Any) -> Any:
        out = Schema.of(k=S[1].type, **{f"c{i}": x.type for i, x in enumerate(c)})
        return lambda: GroupAggregate(S, [1], c, out, True)

    def window(c: Any, kind: str, size: int, slide: int) -> Any:
        out = Schema.of(k=S[1].type, **{f"c{i}": x.type for i, x in enumerate(c)}, e=T3)
        layout = [*range(len(c) + 1), "end"]
        return lambda: WindowAggregate(S, 0, kind, size, slide, 0, None, [1], c, out, layout)

    print(f"{'query':44} {'M rows/s':>9} {'DuckDB':>8} {'ratio':>6} {'rows out':>10}")
    for keys in (10_000, 1_000_000):
        delta = data(rows, keys)
        cases = [
            (f"count by key, {keys} keys", group(count), one),
            (f"count, sum, avg, max by key, {keys} keys", group(several), more),
        ]
        if keys == 10_000:
            tumble = (
                "SELECT k, ts // 1000, count(*) FROM (SELECT k, CAST(epoch_ms(ts) AS BIGINT) ts FROM t) GROUP BY ALL"
            )
            cases += [
                ("tumble count by key, 1 s, 10 k keys", window(count, "tumble", 1000, 0), tumble),
                ("hop count by key, 5 s / 1 s", window(count, "hop", 5000, 1000), tumble),
            ]
        for name, make, sql in cases:
            seconds, out = ours(make, delta)
            their = theirs(sql, delta)
            print(f"{name:44} {rows / seconds / 1e6:9.1f} {rows / their / 1e6:8.1f} {their / seconds:6.2f} {out:10}")


if __name__ == "__main__":
    main()
