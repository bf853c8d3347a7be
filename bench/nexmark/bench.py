"""Nexmark from NDJSON files into a black hole: rows a second of whole queries, as ratios to other engines in the same run.

Deras is the streaming engine as users run it: a script through a session with a project folder, watermarks on, checkpoints
every 10 s and one at the end, capped steps, into a ``blackhole`` that touches every column of every row. DuckDB reads the same
files with explicit columns, as a batch, and hands its result over as an Arrow table. Apache Flink (where ``--flink`` names a
Python that has it) and clink (``--clink``) run the queries into their black holes, each query twice, the second run counts.

Every measurement of Deras and DuckDB is a fresh process that has run the same query on a small input first (libraries
loaded, kernels compiled); runs of both alternate; medians are printed. The checksum of what went into the black hole is
compared with that of DuckDB's rows (MATCH_RECOGNIZE: with Deras' own first run only; ``make nexmark`` compares it with
Flink's); of clink's results that only grow the number of rows is, on the small input. Rows are those of all tables that a
query reads. ``--workers 1,2`` prints how Deras scales with its threads instead.

    python bench/nexmark/bench.py [--events N] [--runs N] [--full] [--peers] [--flink PYTHON] [--clink PYTHON]
        [--workers N,N] [--profile QUERY] [query …]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import compare
import files
import machine
import peers
import suite

QUICK = ["q0", "q3", "q4", "q5", "q7", "q9", "q11", "q15", "q18", "q19", "q20", "q22"]
SMALL = files.Input(2000)
IN_MEAN = {f"q{i}" for i in range(23)}


def rows_of(query: str, folder: Path) -> int:
    """Rows of the files that a query reads."""
    return sum((folder / f"{t}.json").read_bytes().count(b"\n") for t in suite.inputs(query))


# ---- in the processes that measure


def deras_run(query: str, folder: Path, settings: dict[str, str]) -> dict[str, Any]:
    """One run of the streaming job: seconds, changes, checksum, memory above idle (MiB)."""
    import deras

    head = "".join(f"SET '{k}' = '{v}';\n" for k, v in settings.items())
    script = head + ";\n".join(suite.script(query, folder)) + ";"
    with tempfile.TemporaryDirectory(prefix="deras-bench-") as project, deras.connect(project) as session:
        machine.reset_peak()
        idle = machine.rss()
        begin = time.perf_counter()
        session.sql(script, origin="script")
        session.wait()
        seconds = time.perf_counter() - begin
        sink = session.job.flows[0].sink.sink
        found = {"seconds": seconds, "memory": machine.peak() - idle, "idle": idle, "changes": sink.rows}
        return found | {"checksum": f"{sink.checksum:016x}"}


def duckdb_run(query: str, folder: Path, threads: int) -> dict[str, Any]:
    """One run of DuckDB: seconds, rows, checksum."""
    import duckdb

    from deras.connectors.blackhole import checksum_of_delta
    from deras.core.column import Column
    from deras.core.delta import Delta
    from deras.core.types import polars_type

    sql = suite.duckdb(query, folder)
    with duckdb.connect(config={"threads": threads}) as connection:
        machine.reset_peak()
        idle = machine.rss()
        begin = time.perf_counter()
        table = connection.sql(sql).to_arrow_table()
        found = {"seconds": time.perf_counter() - begin, "memory": machine.peak() - idle, "rows": table.num_rows}
    import polars as pl

    # Columns of one name (q20) are told apart by their place.
    frame: Any = pl.DataFrame(pl.from_arrow(table.rename_columns([str(i) for i in range(table.num_columns)])))
    schema = compare.schema_of(query)
    columns = [Column.of_series(f.type, frame.to_series(i).cast(polars_type(f.type))) for i, f in enumerate(schema)]
    return found | {"checksum": f"{checksum_of_delta(Delta(schema, columns, length=len(frame))):016x}"}


def child(task: dict[str, Any]) -> None:
    """Warm up, measure one run in this process, print the result as JSON."""
    query, settings, threads = task["query"], task["settings"], task["threads"]
    for folder in (task["small"], task["folder"]):
        if task["engine"] == "deras":
            found = deras_run(query, Path(folder), settings)
        else:
            found = duckdb_run(query, Path(folder), threads)
    print(json.dumps(found))


# ---- in the process that compares


def measure(
    engine: str, query: str, folder: Path, small: Path, args: argparse.Namespace, workers: int = 0
) -> dict[str, Any]:
    """One run in a fresh process; ``{"failed": …}`` where it failed."""
    settings = {"execution.checkpointing.interval": "10 s"} | dict(s.split("=", 1) for s in args.set)
    environment = dict(os.environ)
    if workers:
        settings["deras.workers"] = str(workers)
        environment |= {"POLARS_MAX_THREADS": str(workers), "NUMBA_NUM_THREADS": str(workers)}
    task = {
        "engine": engine, "query": query, "folder": str(folder), "small": str(small), "threads": args.threads,
        "settings": settings,
    }  # fmt: skip
    command = [sys.executable, __file__, "--child", json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()]
        return {"failed": last[-1][-90:] if last else f"exit code {done.returncode}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def profile(query: str, folder: Path, *, markdown: bool) -> None:
    """Run a query in this process and print what decoding, its operators and the sink cost: CPU ns per row read.

    ``markdown``: as a row of a table, with the costs of 3 ns and more.
    """
    from deras.connectors.blackhole import BlackholeWriter
    from deras.engine import graph as engine
    from deras.formats._json_decoder import JsonDecoder

    deras_run(query, files.write(SMALL, folder.parent), {})
    spent: dict[str, float] = {}

    def timed(name: str, call: Any) -> Any:
        spent.setdefault(name, 0.0)

        def run(*args: Any, **kwargs: Any) -> Any:
            begin = time.thread_time()
            try:
                return call(*args, **kwargs)
            finally:
                spent[name] += time.thread_time() - begin

        return run

    original = engine.Graph.add

    def add(self: Any, operator: Any, *args: Any, **kwargs: Any) -> Any:
        for method in ("step", "feed"):
            if hasattr(operator, method):
                setattr(
                    operator, method, timed(f"{len(self.nodes)} {type(operator).__name__}", getattr(operator, method))
                )
        return original(self, operator, *args, **kwargs)

    engine.Graph.add = add  # type: ignore[method-assign]
    JsonDecoder.decode = timed("decode", JsonDecoder.decode)  # type: ignore[method-assign]
    BlackholeWriter.write = timed("sink", BlackholeWriter.write)  # type: ignore[method-assign]
    cpu = time.process_time()
    found = deras_run(query, folder, {})
    cpu = time.process_time() - cpu
    rows = rows_of(query, folder)
    speed = rows / found["seconds"] / 1e6
    if markdown:
        costs: dict[str, list[float]] = {}
        for name, seconds in spent.items():
            if seconds / rows * 1e9 >= 3:
                costs.setdefault(name.split()[-1], []).append(seconds / rows * 1e9)
        largest = sorted(costs.items(), key=lambda c: -sum(c[1]))
        told = ", ".join(f"{name} {' + '.join(f'{x:.0f}' for x in each)}" for name, each in largest)
        print(f"| {query} | {cpu / rows * 1e9:.0f} | {told} |")
        return
    print(
        f"{query}: {speed:.2f} M rows/s, {cpu / rows * 1e9:.0f} ns CPU a row, {found['changes']} changes; of these ns:"
    )
    for name, seconds in spent.items():
        print(f"  {seconds / rows * 1e9:8.1f}  {name}")


def compare_engines(queries: list[str], folder: Path, small: Path, args: argparse.Namespace) -> None:
    """Print a row a query, and geometric means."""
    others = {
        "flink": peers.flink(queries, folder, args.flink) if args.flink else {},
        "clink": peers.clink(queries, folder, args.clink) if args.clink else {},
    }
    counted = peers.clink_rows(queries, small, args.clink) if args.clink else {}
    if not args.json:
        print(f"{args.events / 1e6:g} M events, medians of {args.runs}; DuckDB with {args.threads} threads; M rows/s\n")
        titles = (
            f"{'query':7} {'Deras':>7} {'DuckDB':>7} {'ratio':>6} {'Flink':>6} {'ratio':>6} {'clink':>6} {'ratio':>6}"
        )
        print(f"{titles} {'changes':>9} {'checksum':>9} {'peak MB':>8} {'DuckDB':>7} {'idle':>5} {'load':>5}")
    ratios: dict[str, dict[str, float]] = {"duckdb": {}, "flink": {}, "clink": {}}
    wrong: list[str] = []
    for q in queries:
        rows = rows_of(q, folder)
        engines = ["deras"] if q in suite.NOT_DUCKDB else ["deras", "duckdb"]
        found: dict[str, list[dict[str, Any]]] = {e: [] for e in engines}
        for run in range(args.runs):
            for e in engines if run % 2 == 0 else engines[::-1]:
                found[e].append(measure(e, q, folder, small, args))
        failed = next((r["failed"] for runs in found.values() for r in runs if "failed" in r), None)
        if failed is not None:
            print(json.dumps({"query": q, "failed": failed}) if args.json else f"{q:7} {failed}", flush=True)
            wrong.append(q)
            continue
        seconds = {e: statistics.median(r["seconds"] for r in runs) for e, runs in found.items()}
        seconds |= {e: answers[q]["seconds"] for e, answers in others.items() if "seconds" in answers.get(q, {})}
        truth = found[engines[-1]][0]["checksum"]
        equal = all(r["checksum"] == truth for runs in found.values() for r in runs)
        if q in counted and q not in peers.EVENT_TIME and counted[q] != _rows(q, small):
            equal = False
        wrong += [] if equal else [q]
        ratio = {e: seconds[e] / seconds["deras"] for e in ratios if e in seconds}
        for e, r in ratio.items():
            ratios[e] |= {q: r} if q in IN_MEAN else {}
        memory = {e: statistics.median(r["memory"] for r in runs) for e, runs in found.items()}
        idle = statistics.median(r["idle"] for r in found["deras"])
        told = {e: answers[q]["failed"] for e, answers in others.items() if "failed" in answers.get(q, {})}
        if args.json:
            print(json.dumps({
                "query": q, "rows": rows, "seconds": seconds, "ratio": ratio, "equal": equal, "memory": memory,
                "idle": idle, "changes": found["deras"][0]["changes"], "load": machine.load(), "failed": told,
            }), flush=True)  # fmt: skip
            continue
        speed = {e: f"{rows / x / 1e6:.2f}" for e, x in seconds.items()}
        cells = [f"{speed['deras']:>7}"]
        for e, width in (("duckdb", 7), ("flink", 6), ("clink", 6)):
            cells += [f"{speed.get(e, '-'):>{width}}", f"{ratio[e]:6.2f}" if e in ratio else f"{'-':>6}"]
        said = ("equal" if len(engines) > 1 else "steady") if equal else "DIFFERS"
        cells += [f"{found['deras'][0]['changes']:9}", f"{said:>9}", f"{memory['deras']:8.0f}"]
        cells += [f"{memory['duckdb']:7.0f}" if "duckdb" in memory else f"{'-':>7}", f"{idle:5.0f}"]
        print(f"{q:7} {' '.join(cells)} {machine.load():5.1f}", flush=True)
        for e, text in told.items():
            print(f"        {e}: {text}")
    means = {e: math.exp(statistics.fmean(map(math.log, r.values()))) for e, r in ratios.items() if r}
    least = {e: min(r, key=r.__getitem__) for e, r in ratios.items() if r}
    if args.json:
        print(json.dumps({"machine": machine.facts(), "events": args.events, "means": means, "least": least}))
    else:
        print()
        for e, mean in means.items():
            worst = least[e]
            count = len(ratios[e])
            print(f"geometric mean of {count} queries: {mean:.2f} × {e}; least: {worst} {ratios[e][worst]:.2f}")
    if wrong:
        sys.exit(f"failed, or results differ: {', '.join(wrong)}")


def _rows(query: str, folder: Path) -> int:
    import duckdb

    with duckdb.connect() as connection:
        return len(connection.sql(suite.duckdb(query, folder)).fetchall())


def scaling(queries: list[str], folder: Path, small: Path, args: argparse.Namespace) -> None:
    """Print the speed of Deras with so many threads, and the gain over the first number."""
    numbers = [int(n) for n in args.workers.split(",")]
    if not args.json:
        print(f"{args.events / 1e6:g} M events, medians of {args.runs}; M rows/s of Deras by threads\n")
        print(f"{'query':7} {' '.join(f'{n:>7}' for n in numbers)} {'gain':>6} {'load':>5}")
    gains: list[float] = []
    for q in queries:
        rows = rows_of(q, folder)
        found: dict[int, list[float]] = {n: [] for n in numbers}
        for run in range(args.runs):
            for n in numbers if run % 2 == 0 else numbers[::-1]:
                found[n].append(measure("deras", q, folder, small, args, n).get("seconds", math.nan))
        seconds = {n: statistics.median(x) for n, x in found.items()}
        gain = seconds[numbers[0]] / seconds[numbers[-1]]
        gains.append(gain)
        if args.json:
            print(json.dumps({"query": q, "rows": rows, "seconds": seconds, "gain": gain}), flush=True)
            continue
        cells = " ".join(f"{rows / seconds[n] / 1e6:7.2f}" for n in numbers)
        print(f"{q:7} {cells} {gain:6.2f} {machine.load():5.1f}", flush=True)
    mean = math.exp(statistics.fmean(map(math.log, gains)))
    print(json.dumps({"gain": mean}) if args.json else f"\ngeometric mean: {mean:.2f} ×")


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("queries", nargs="*", help="only these; default: twelve of them")
    parser.add_argument("--full", action="store_true", help="all queries")
    parser.add_argument("--events", type=int, default=1_000_000, help="events of the input")
    parser.add_argument("--runs", type=int, default=3, help="measurements of each engine")
    parser.add_argument("--threads", type=int, default=2, help="threads of DuckDB")
    parser.add_argument("--flink", metavar="PYTHON", default=os.environ.get("FLINK_PYTHON"), help="measure Flink too")
    parser.add_argument("--clink", metavar="PYTHON", default=os.environ.get("CLINK_PYTHON"), help="measure clink too")
    parser.add_argument(
        "--peers", action="store_true", help="measure Flink (needs Java 17) and clink; installs them once"
    )
    parser.add_argument("--workers", metavar="N,N", help="measure Deras with so many threads")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings of Deras' job")
    parser.add_argument("--json", action="store_true", help="one JSON object a query, and one of all")
    parser.add_argument("--profile", metavar="QUERY", help="where the time of one query goes; all: of each, as a table")
    parser.add_argument("--markdown", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(json.loads(args.child))
        return
    if args.peers:
        args.flink, args.clink = (args.flink or peers.environment("flink"), args.clink or peers.environment("clink"))
    data = Path(os.environ.get("DERAS_BENCH", Path(tempfile.gettempdir()) / "deras-bench-data"))
    folder, small = files.write(files.Input(args.events), data), files.write(SMALL, data)
    queries = args.queries or (suite.QUERIES if args.full else QUICK)
    if args.profile == "all":
        for q in args.queries or [q for q in suite.QUERIES if q in IN_MEAN]:
            command = [sys.executable, __file__, "--profile", q, "--markdown", "--events", str(args.events)]
            subprocess.run(command, check=True)
        return
    if args.profile:
        profile(args.profile, folder, markdown=args.markdown)
        return
    if not args.json:
        print(f"{machine.facts()}; load {machine.load():.1f}")
    (scaling if args.workers else compare_engines)(queries, folder, small, args)


if __name__ == "__main__":
    main()
