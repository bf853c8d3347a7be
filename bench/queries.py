"""Three whole queries from NDJSON files, as ratios to DuckDB's batch run of the same query on the same file.

Ours is the streaming engine as users run it: a script through a session with a project folder, watermarks on,
checkpoints every 10 s and one at the end, capped steps, into a ``blackhole`` that touches every column of every row.
DuckDB reads with explicit columns and hands its result over as an Arrow table.

Every measurement is a fresh process that has run the same query on a small file first (libraries loaded, kernels
compiled); runs of both engines alternate; medians are printed. The checksum of what went into the black hole is compared
with the checksum of DuckDB's rows.

Run: ``python bench/queries.py [--rows N] [--runs N] [--query NAME] [--cold]``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import data
import machine

BIDS = """
CREATE TABLE bids (
  auction BIGINT NOT NULL, bidder BIGINT NOT NULL, price BIGINT NOT NULL, channel STRING, url STRING,
  `dateTime` TIMESTAMP(3) NOT NULL, extra STRING, WATERMARK FOR `dateTime` AS `dateTime` - INTERVAL '4' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'json', 'json.timestamp-format.standard' = 'SQL');
"""
EVENTS = """
CREATE TABLE events (
  `key` BIGINT NOT NULL, `value` BIGINT NOT NULL, ts TIMESTAMP(3) NOT NULL,
  WATERMARK FOR ts AS ts - INTERVAL '4' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'json', 'json.timestamp-format.standard' = 'SQL');
"""
READ_BIDS = (
    "read_json('{path}', format = 'newline_delimited', columns = {{auction: 'BIGINT', bidder: 'BIGINT', "
    "price: 'BIGINT', channel: 'VARCHAR', url: 'VARCHAR', dateTime: 'TIMESTAMP', extra: 'VARCHAR'}})"
)
READ_EVENTS = (
    "read_json('{path}', format = 'newline_delimited', columns = {{key: 'BIGINT', value: 'BIGINT', ts: 'TIMESTAMP'}})"
)


@dataclass(frozen=True)
class Query:
    """A query in both dialects.

    Args:
        title: for people.
        file: ``bids`` or ``events``.
        source: our CREATE TABLE.
        columns: of our sink.
        ours: our query.
        reader: DuckDB's call that reads the file.
        theirs: DuckDB's query; ``{source}`` is that call.
    """

    title: str
    file: str
    source: str
    columns: str
    ours: str
    reader: str
    theirs: str


QUERIES = {
    "filter": Query(
        "decode + filter",
        "bids",
        BIDS,
        "auction BIGINT NOT NULL, bidder BIGINT NOT NULL, price BIGINT NOT NULL, channel STRING, "
        "`dateTime` TIMESTAMP(3) NOT NULL",
        "SELECT auction, bidder, price, channel, `dateTime` FROM bids WHERE price > 1000000",
        READ_BIDS,
        "SELECT auction, bidder, price, channel, dateTime FROM {source} WHERE price > 1000000",
    ),
    "tumble": Query(
        "decode + 10 s tumble count by key",
        "bids",
        BIDS,
        "auction BIGINT NOT NULL, window_end TIMESTAMP(3) NOT NULL, c BIGINT NOT NULL",
        "SELECT auction, window_end, COUNT(*) FROM TABLE(TUMBLE(TABLE bids, DESCRIPTOR(`dateTime`), "
        "INTERVAL '10' SECOND)) GROUP BY auction, window_start, window_end",
        READ_BIDS,
        "SELECT auction, time_bucket(INTERVAL 10 SECOND, dateTime) + INTERVAL 10 SECOND, count(*) FROM {source} "
        "GROUP BY ALL",
    ),
    "group": Query(
        "decode + GROUP BY, 1 M keys",
        "events",
        EVENTS,
        "`key` BIGINT NOT NULL, c BIGINT NOT NULL, s BIGINT NOT NULL",
        "SELECT `key`, COUNT(*), SUM(`value`) FROM events GROUP BY `key`",
        READ_EVENTS,
        "SELECT key, count(*), CAST(sum(value) AS BIGINT) FROM {source} GROUP BY key",
    ),
}
KEYS = 1_000_000


def file_of(folder: Path, query: Query, rows: int) -> Path:
    """The query's file, made if need be."""
    if query.file == "bids":
        return data.bids(folder / f"bids-{rows}.json", rows)
    return data.events(folder / f"events-{rows}-{KEYS}.json", rows, KEYS)


# ---- in the processes that measure


def ours(query: Query, path: Path, project: Path, settings: dict[str, str]) -> dict[str, Any]:
    """Run the streaming job; gives seconds, rows, checksum and facts of the run."""
    import deras

    script = query.source.format(path=path)
    script += f"CREATE TABLE nowhere ({query.columns}) WITH ('connector' = 'blackhole');\n"
    script += "".join(f"SET '{k}' = '{v}';\n" for k, v in settings.items())
    script += f"INSERT INTO nowhere {query.ours};\n"
    session = deras.connect(project)
    machine.reset_peak()
    idle = machine.rss()
    begin = time.perf_counter()
    session.sql(script, origin="script")
    session.wait()
    seconds = time.perf_counter() - begin
    found: dict[str, Any] = {"seconds": seconds, "memory": machine.peak() - idle, "idle": idle}
    sink = session.job.flows[0].sink.sink
    found |= {"rows": sink.rows, "checksum": f"{sink.checksum:016x}"}
    session.close()
    return found


def theirs(query: Query, path: Path, threads: int) -> dict[str, Any]:
    """Run DuckDB; gives seconds, rows and checksum."""
    import duckdb

    sql = query.theirs.format(source=query.reader.format(path=path))
    with duckdb.connect(config={"threads": threads}) as con:
        machine.reset_peak()
        idle = machine.rss()
        begin = time.perf_counter()
        table = con.sql(sql).to_arrow_table()
        seconds = time.perf_counter() - begin
        found = {"seconds": seconds, "memory": machine.peak() - idle, "idle": idle, "rows": table.num_rows}
    from deras.connectors.blackhole import checksum_of_table
    from deras.core.schema import Field, Schema
    from deras.core.types import BIGINT, STRING, timestamp

    types = {"BIGINT": BIGINT, "STRING": STRING, "TIMESTAMP(3)": timestamp(3)}
    columns = [c.split() for c in query.columns.split(", ")]
    schema = Schema(tuple(Field(name.strip("`"), types[text]) for name, text, *_ in columns))
    return found | {"checksum": f"{checksum_of_table(table, schema):016x}"}


def child(task: dict[str, Any]) -> None:
    """Measure one run in this process and print the result as JSON."""
    query = QUERIES[task["query"]]
    with tempfile.TemporaryDirectory(prefix="deras-bench-") as folder:
        for name, path in (("warm", task["small"]), ("run", task["path"])):
            if task["engine"] == "deras":
                found = ours(query, Path(path), Path(folder) / name, task["settings"])
            else:
                found = theirs(query, Path(path), task["threads"])
    print(json.dumps(found))


# ---- in the process that compares


def measure(engine: str, query: str, path: Path, small: Path, args: argparse.Namespace) -> dict[str, Any]:
    """One run in a fresh process."""
    settings = dict(s.split("=", 1) for s in args.set)
    task = {
        "engine": engine,
        "query": query,
        "path": str(path),
        "small": str(small),
        "threads": args.threads,
        "settings": {"execution.checkpointing.interval": "10 s"} | settings,
    }
    done = subprocess.run(
        [sys.executable, __file__, "--child", json.dumps(task)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{engine} failed on '{query}':\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_000_000, help="rows of each file")
    parser.add_argument("--runs", type=int, default=5, help="measurements of each engine")
    parser.add_argument("--query", choices=QUERIES, action="append", help="only these")
    parser.add_argument("--threads", type=int, default=2, help="threads of DuckDB")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings of the job")
    parser.add_argument("--json", action="store_true", help="one JSON object a query")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(json.loads(args.child))
        return
    folder = Path(os.environ.get("DERAS_BENCH", Path(tempfile.gettempdir()) / "deras-bench-data"))
    folder.mkdir(parents=True, exist_ok=True)
    if not args.json:
        print(f"{machine.facts()}; load {machine.load():.1f}")
        print(f"{args.rows / 1e6:g} M rows a file, medians of {args.runs}; DuckDB with {args.threads} threads\n")
        print(
            f"{'query':34} {'MB':>5} {'Deras':>15} {'DuckDB':>15} {'ratio':>6} {'(min–max)':>11} "
            f"{'rows out':>9} {'checksum':16} {'peak MB':>15} {'load':>5}"
        )
    wrong = False
    for name in args.query or QUERIES:
        query = QUERIES[name]
        path, small = file_of(folder, query, args.rows), file_of(folder, query, 1000)
        path.read_bytes()  # into the page cache, for both alike
        found: dict[str, list[dict[str, Any]]] = {"deras": [], "duckdb": []}
        for run in range(args.runs):
            for engine in ("deras", "duckdb") if run % 2 == 0 else ("duckdb", "deras"):
                found[engine].append(measure(engine, name, path, small, args))
        times = {e: [r["seconds"] for r in runs] for e, runs in found.items()}
        middle = {e: statistics.median(t) for e, t in times.items()}
        ratios = sorted(b / a for a, b in zip(times["deras"], times["duckdb"], strict=True))
        a, b = found["deras"][0], found["duckdb"][0]
        equal = all(r["checksum"] == b["checksum"] for runs in found.values() for r in runs)
        wrong = wrong or not equal
        ratio = middle["duckdb"] / middle["deras"]
        memory = {e: statistics.median(r["memory"] for r in runs) for e, runs in found.items()}
        if args.json:
            print(
                json.dumps(
                    {
                        "query": name,
                        "seconds": times,
                        "ratio": ratio,
                        "equal": equal,
                        "memory": memory,
                        "rows": args.rows,
                    }
                ),
                flush=True,
            )
            continue
        mega = {e: args.rows / t / 1e6 for e, t in middle.items()}
        print(
            f"{query.title:34} {path.stat().st_size / 1e6:5.0f} {mega['deras']:7.2f} M rows/s {mega['duckdb']:6.2f} M rows/s "
            f"{ratio:6.2f} {ratios[0]:5.2f}–{ratios[-1]:<5.2f} {a['rows']:9} "
            f"{'equal' if equal else a['checksum']:16} {memory['deras']:7.0f}/{memory['duckdb']:<7.0f} {machine.load():5.1f}",
            flush=True,
        )
    if wrong:
        sys.exit("checksums differ")


if __name__ == "__main__":
    main()
