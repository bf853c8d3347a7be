"""A selective filter over a Parquet file: what telling the reader gains, and DuckDB's batch run beside it.

    python bench/parquet.py [--rows N] [--runs N]

The rows lie in the order of ``id`` (as events lie in the order of time), in row groups of 100,000. Each query keeps about
one row in a thousand: by ``id``, so that most row groups are excluded; by a column in no order, so that none is.
Everything runs in this process, alternating; the best CPU and wall times are printed. Results are compared.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import polars as pl

from deras.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

QUERIES = {
    "in order": "id BETWEEN 1000000 AND {n} AND price > 10",
    "in no order": "price = 4711 AND id >= 0",
}
TABLE = """CREATE TABLE t (id BIGINT, price BIGINT, name STRING, extra STRING)
WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'parquet')"""
PUSH = "table.optimizer.source.predicate-pushdown-enabled"


def made(path: Path, rows: int) -> Path:
    """The file, with a fixed seed."""
    rng = np.random.default_rng(11)
    price = rng.integers(0, 5000, rows)
    texts = pl.Series([f"{k:032x}" * 2 for k in range(1000)])
    frame = pl.DataFrame({"id": np.arange(rows), "price": price})
    frame = frame.with_columns(
        name=pl.lit("name ") + pl.col("price").cast(pl.String), extra=texts.gather(rng.integers(0, 1000, rows))
    )
    frame.write_parquet(path, row_group_size=100_000)
    return path


def timed(run: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall and CPU seconds, and what came."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = run()
    return time.perf_counter() - wall, time.process_time() - cpu, found


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Session(base=folder) as session:
        path = made(Path(folder) / "t.parquet", arguments.rows)
        session.sql(TABLE.format(path=path))
        duck = duckdb.connect()

        def ours(query: str, push: bool) -> list[Any]:
            session.sql(f"SET '{PUSH}' = '{str(push).lower()}'")
            return sorted(session.sql(query).rows())

        print(f"{'':14}{'':24}{'wall ms':>10}{'CPU ms':>10}")
        for title, condition in QUERIES.items():
            query = (
                f"SELECT id, price, name, extra FROM t WHERE {condition.format(n=1_000_000 + arguments.rows // 1000)}"
            )
            theirs = query.replace("FROM t", f"FROM '{path}'")
            runs: dict[str, Callable[[], Any]] = {
                "the reader is told": lambda q=query: ours(q, True),  # type: ignore[misc]
                "it is not": lambda q=query: ours(q, False),  # type: ignore[misc]
                "DuckDB": lambda q=theirs: sorted(duck.execute(q).fetchall()),  # type: ignore[misc]
            }
            times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
            results = {}
            for _ in range(arguments.runs + 1):
                for name, run in runs.items():
                    wall, cpu, results[name] = timed(run)
                    times[name].append((wall, cpu))
            equal = all(r == results["DuckDB"] for r in results.values())
            for name, some in times.items():
                wall, cpu = (min(x[k] for x in some[1:]) * 1e3 for k in (0, 1))
                print(f"{title:14}{name:24}{wall:>10.1f}{cpu:>10.1f}")
            print(f"{'':14}{len(results['DuckDB'])} rows, {'equal' if equal else 'DIFFERENT'}")


if __name__ == "__main__":
    main()
