"""Nexmark in Deras against the results of Apache Flink 2.3 that are stored beside this file, and against DuckDB.

    python bench/nexmark/compare.py [query …]                 # Deras and DuckDB against what is stored: the table
    python bench/nexmark/compare.py --flink PYTHON [query …]  # ask Flink anew (PYTHON: of an environment with apache-flink)
    python bench/nexmark/compare.py --show q4                 # the rows in which Deras and DuckDB differ

A result is the rows that are left of the changes at the end of the input, as a number of rows and a checksum that does not
depend on their order. Input: 100,000 events at 500 a second, over midnight, the same for the same seed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import files
import suite

STORED = Path(__file__).with_name("flink_results.json")
INPUT = files.Input(100_000, 500, 1_767_225_600_000 - 100_000)

Row = tuple[Any, ...]


# ---- results as rows and checksums


def schema_of(query: str) -> Any:
    """The columns that a query writes."""
    from deras.core.schema import Field, Schema
    from deras.sql.types import parse_type

    return Schema(tuple(Field(name, parse_type(text)) for name, text in suite.sink_columns(query)))


def summary(query: str, rows: Counter[Row]) -> dict[str, Any]:
    """Number, checksum, and a few of the rows."""
    from deras.connectors.blackhole import checksum_of_delta
    from deras.core.delta import Delta

    listed = sorted(rows.elements(), key=str)
    some = [
        [str(v) if isinstance(v, (dt.datetime, Decimal)) else v for v in r] for r in listed[:: len(listed) // 2 or 1]
    ]
    checksum = checksum_of_delta(Delta.of(schema_of(query), listed)) if listed else 0
    return {"rows": len(listed), "checksum": f"{checksum:016x}", "some": some[:3]}


def fold(changes: list[tuple[str, Row]], key: list[int] | None) -> Counter[Row]:
    """The rows that are left of changes; with a key, the last of each key."""
    if key is not None:
        last: dict[Row, Row] = {}
        for kind, row in changes:
            at = tuple(row[i] for i in key)
            if kind in ("+I", "+U"):
                last[at] = row
            else:
                last.pop(at, None)
        return Counter(last.values())
    left: Counter[Row] = Counter()
    for kind, row in changes:
        left[row] += 1 if kind in ("+I", "+U") else -1
    wrong = [r for r, n in left.items() if n < 0]
    if wrong:
        raise ValueError(f"taken back but never given: {wrong[:3]}")
    return +left


def value(text: str, type_: str) -> Any:
    """A value of Flink's print sink."""
    if text == "null":
        return None
    match type_.split("(")[0]:
        case "BIGINT":
            return int(text)
        case "DECIMAL":
            return Decimal(text)
        case "TIMESTAMP":
            return dt.datetime.fromisoformat(text)
        case _:
            return text


def printed(query: str, lines: list[str]) -> list[tuple[str, Row]]:
    """The changes in what Flink's print sink said."""
    types = [t for _, t in suite.sink_columns(query)]
    found = []
    for line in lines:
        kind, inner = line[:2], line.rstrip("\n")[3:-1]
        cells = inner.split(", ")
        if len(cells) != len(types):
            raise ValueError(f"{query}: {len(types)} columns expected: {line}")
        found.append((kind, tuple(value(c, t) for c, t in zip(cells, types, strict=True))))
    return found


# ---- the three engines


def deras_summary(query: str, folder: Path, settings: dict[str, str] | None = None) -> dict[str, Any]:
    """What Deras leaves in its black hole."""
    import deras

    with tempfile.TemporaryDirectory(prefix="deras-nexmark-") as project, deras.connect(project) as session:
        head = "".join(f"SET '{k}' = '{v}';\n" for k, v in (settings or {}).items())
        session.sql(head + ";\n".join(suite.script(query, folder)) + ";", origin="script")
        session.wait()
        sink = session.job.flows[0].sink.sink
        return {"changes": sink.rows, "checksum": f"{sink.checksum:016x}"}


def deras_rows(query: str, folder: Path) -> Counter[Row]:
    """What Deras leaves, as rows."""
    import deras

    *setup, insert = suite.script(query, folder)
    select = insert[insert.index("SELECT") :]
    with tempfile.TemporaryDirectory(prefix="deras-nexmark-") as project, deras.connect(project) as session:
        session.sql(";\n".join(setup) + ";")
        return Counter(session.sql(select).rows())


def duckdb_rows(query: str, folder: Path) -> Counter[Row] | None:
    """What DuckDB gives, or None where there is no SQL for it."""
    import duckdb

    sql = suite.duckdb(query, folder)
    return None if sql is None else Counter(duckdb.sql(sql).fetchall())


def flink_results(queries: list[str], folder: Path, python: str) -> dict[str, Any]:
    """What Flink leaves, by query."""
    scripts = [[q, suite.script(q, folder, flink=True)] for q in queries]
    with tempfile.TemporaryDirectory(prefix="deras-flink-") as scratch:
        given, taken, said = (Path(scratch) / n for n in ("scripts.json", "answers.json", "said.txt"))
        given.write_text(json.dumps(scripts), encoding="utf-8")
        runner = Path(__file__).with_name("flink_run.py")
        environment = {**os.environ, "_JAVA_OPTIONS": "-Xmx2g", "FLINK_PID_DIR": scratch}
        with said.open("wb") as out:
            subprocess.run([python, str(runner), str(given), str(taken)], stdout=out, env=environment, check=True)
        lines: dict[str, list[str]] = {q: [] for q in queries}
        with said.open(encoding="utf-8") as text:
            for line in text:
                name, mark, rest = line.partition("> ")
                if mark and name in lines:
                    lines[name].append(rest)
        answers = json.loads(taken.read_text(encoding="utf-8"))
    found: dict[str, Any] = {}
    for q in queries:
        if "failed" in answers[q]:
            found[q] = answers[q]
            continue
        names = [n for n, _ in suite.sink_columns(q)]
        key = [names.index(k) for k in suite.KEYS[q]] if q in suite.KEYS else None
        changes = printed(q, lines[q])
        found[q] = summary(q, fold(changes, key)) | {"changes": len(changes)}
    return found


def store(folder: Path, python: str, queries: list[str]) -> None:
    """Ask Flink, and DuckDB where Flink cannot answer; write the file."""
    before = json.loads(STORED.read_text(encoding="utf-8"))["results"] if STORED.exists() else {}
    results = {**before, **flink_results([q for q in queries if q not in suite.NOT_FLINK], folder, python)}
    for q in suite.NOT_FLINK & set(queries):
        rows = duckdb_rows(q, folder)
        if rows is None:
            raise ValueError(f"nobody can answer {q}")
        results[q] = summary(q, rows) | {"oracle": "DuckDB"}
    found = {
        "flink": "2.3.0",
        "input": vars(INPUT),
        "digest": files.digest(folder),
        "results": {q: results[q] for q in suite.QUERIES if q in results},
    }
    text = json.dumps(found, indent=1, ensure_ascii=False)
    STORED.write_text(text + "\n", encoding="utf-8")


# ---- the table


def show(query: str, folder: Path) -> None:
    """Print the rows that only one of Deras and DuckDB gives."""
    ours, theirs = deras_rows(query, folder), duckdb_rows(query, folder)
    if theirs is None:
        sys.exit(f"there is no SQL for DuckDB of {query}")
    print(f"{query}: Deras {ours.total()} rows, DuckDB {theirs.total()} rows")
    for title, rows in (("only Deras", ours - theirs), ("only DuckDB", theirs - ours)):
        print(f"{title}: {rows.total()}")
        for row in sorted(rows.elements(), key=str)[:10]:
            print("  ", *row)


def main() -> None:
    """Compare, or ask Flink."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("queries", nargs="*", help="only these")
    parser.add_argument("--flink", metavar="PYTHON", help="ask Flink with this Python")
    parser.add_argument("--show", metavar="QUERY", help="show different rows")
    args = parser.parse_args()
    data = Path(os.environ.get("DERAS_BENCH", Path(tempfile.gettempdir()) / "deras-bench-data"))
    folder = files.write(INPUT, data)
    queries = args.queries or suite.QUERIES
    if args.show:
        show(args.show, folder)
        return
    if args.flink:
        store(folder, args.flink, queries)
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    if stored["digest"] != files.digest(folder):
        sys.exit("the input is not the one that Flink was asked about; the generator has changed")
    good = 0
    print(f"{'query':8} {'rows':>7} {'oracle':>8} {'DuckDB':>8} {'Deras':>8}")
    for q in queries:
        expected = stored["results"].get(q, {})
        rows = duckdb_rows(q, folder)
        theirs = (
            "-" if rows is None else "equal" if summary(q, rows)["checksum"] == expected.get("checksum") else "DIFFERS"
        )
        try:
            ours = "equal" if deras_summary(q, folder)["checksum"] == expected.get("checksum") else "DIFFERS"
        except Exception as e:  # noqa: BLE001 (any failure is a line of the table)
            ours = f"{type(e).__name__}: {e}".splitlines()[0][:100]
        good += ours == "equal"
        oracle = expected.get("oracle", "Flink") if "checksum" in expected else "none"
        print(f"{q:8} {expected.get('rows', ''):>7} {oracle:>8} {theirs:>8} {ours:>8}", flush=True)
    print(f"{good}/{len(queries)} equal")
    if good < len(queries):
        sys.exit(1)


if __name__ == "__main__":
    main()
