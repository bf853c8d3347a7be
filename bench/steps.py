"""What a step of one row costs: CPU time and wall time of a step, from the decoded row to the sink.

A job reads files with steps of one row ('deras.step.max-rows' = '1'); only steps with a row count. The aim is 1 ms for
filter, join and aggregate together. Run: ``python bench/steps.py [rows]``.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine

import deras
from deras.runtime.run import Run

QUERIES = {
    "as they are": "INSERT INTO o SELECT k, v, v FROM t",
    "filter, projection": "INSERT INTO o SELECT k, v + 1, v FROM t WHERE v >= 0",
    "aggregate by key": "INSERT INTO o SELECT k, COUNT(*), SUM(v) FROM t GROUP BY k",
    "filter, join, aggregate": "INSERT INTO o SELECT t.k, COUNT(*), SUM(u.w) FROM t JOIN u ON t.k = u.k WHERE t.v >= 0 GROUP BY t.k",
}
_TABLE = "CREATE TABLE {} ({}) WITH ('connector' = '{}'{});\n"


def script(folder: Path, query: str) -> str:
    """The tables, one row a step, and the query."""
    made = "SET 'deras.step.max-rows' = '1';\n"
    for name, columns in (("t", "k BIGINT, v BIGINT"), ("u", "k BIGINT, w BIGINT")):
        made += _TABLE.format(name, columns, "filesystem", f", 'path' = '{folder}/{name}.json', 'format' = 'json'")
    return made + _TABLE.format("o", "k BIGINT, n BIGINT, m BIGINT", "blackhole", "") + query + ";"


def main() -> None:
    """Measure."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    real = Run._one
    wall: list[float] = []
    cpu: list[float] = []

    def one(self: Run, feeds: Any) -> None:
        begin, worked = time.perf_counter(), time.thread_time()
        real(self, feeds)
        wall.append((time.perf_counter() - begin) * 1e6)
        cpu.append((time.thread_time() - worked) * 1e6)

    Run._one = one  # type: ignore[method-assign]
    print(f"{machine.facts()}; load {machine.load():.1f}")
    print(f"{'one row through':26} {'CPU µs':>8} {'p50 µs':>8} {'p99 µs':>8}")
    with tempfile.TemporaryDirectory(prefix="deras-steps-") as name:
        folder = Path(name)
        (folder / "t.json").write_text("".join(json.dumps({"k": i % 100, "v": i}) + "\n" for i in range(rows)))
        (folder / "u.json").write_text("".join(json.dumps({"k": i, "w": i * 2}) + "\n" for i in range(100)))
        for text, query in QUERIES.items():
            for _ in range(2):  # the first one loads kernels
                wall.clear()
                cpu.clear()
                with deras.connect() as session:
                    session.sql(script(folder, query), origin="script")
                    session.wait()
            p99 = statistics.quantiles(wall, n=100)[-1]
            print(f"{text:26} {statistics.mean(cpu):8.0f} {statistics.median(wall):8.0f} {p99:8.0f}", flush=True)


if __name__ == "__main__":
    main()
