"""Rows a second of the decoders and encoders, as ratios to other readers of the same files in the same run.

    python bench/decode.py [ROWS] [CASE …]

One core each: CPU time of this process, DuckDB and Polars held to one thread; the best of some rounds. The data are made
with a fixed seed. ``bids`` are Nexmark's, about 260 bytes a row: regular; with spaces; keys in random order; keys
missing, NULLs and unknown nested values. The other cases are about one kind of value each. Every reader makes columns of
the same types; DuckDB's are hashed as text is otherwise not made, orjson only makes Python objects.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "1")

from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import orjson
import polars as pl

from deras.core.options import read_options
from deras.core.records import PAD, Block
from deras.core.registry import format_
from deras.core.schema import Schema
from deras.core.types import BIGINT, BOOLEAN, DOUBLE, STRING, array, decimal, polars_type, row, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deras.core.types import SqlType

BLOCK = 2 << 20
LETTERS = "abcdefghijklmnopqrstuvwxyz"
Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One kind of rows.

    Args:
        name: of the case.
        schema: columns that are read.
        rows: made by the case.
        text: the rows as bytes.
        format: ``json`` or ``csv``.
    """

    name: str
    schema: Schema
    rows: list[Row]
    text: bytes
    format: str = "json"


BID = Schema.of(
    auction=BIGINT, bidder=BIGINT, price=BIGINT, channel=STRING, url=STRING, dateTime=timestamp(3), extra=STRING
)  # fmt: skip


def bids(rows: int) -> list[Row]:
    """Nexmark bids."""
    r = random.Random(7)
    found: list[Row] = []
    for i in range(rows):
        channel = r.choice(["Google", "Facebook", "Baidu", "Apple", f"channel-{r.randint(0, 9999)}"])
        found.append({
            "auction": r.randint(1000, 99_999), "bidder": r.randint(1000, 99_999), "price": r.randint(100, 10**7),
            "channel": channel, "url": f"https://www.nexmark.com/{''.join(r.choices(LETTERS, k=12))}/item.htm?query=1",
            "dateTime": f"2024-01-{1 + i % 28:02d} {i % 24:02d}:{i % 60:02d}:{r.randint(0, 59):02d}.{r.randint(0, 999):03d}",
            "extra": "".join(r.choices(LETTERS, k=r.randint(40, 90))),
        })  # fmt: skip
    return found


def lines(rows: list[Row], spaces: bool = False, escape: bool = False) -> bytes:
    """The rows as JSON lines; ``escape``: non-ASCII as escapes."""
    separators = (", ", ": ") if spaces else (",", ":")
    return ("\n".join(json.dumps(r, separators=separators, ensure_ascii=escape) for r in rows) + "\n").encode()


def table(rows: list[Row]) -> bytes:
    """The rows as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows(r.values() for r in rows)
    return out.getvalue().encode()


def cases(count: int) -> Iterator[Case]:
    """All cases."""
    r = random.Random(11)
    rows = bids(count)
    yield Case("bids, regular", BID, rows, lines(rows))
    yield Case("bids, spaces", BID, rows, lines(rows, spaces=True))
    mixed = [dict(r.sample(list(x.items()), len(x))) for x in rows]
    yield Case("bids, any order", BID, mixed, lines(mixed))
    gaps: list[Row] = [
        {k: (None if r.random() < 0.1 else v) for k, v in x.items() if r.random() < 0.9}
        | {"tags": {"a": [1, {"b": "x"}], "c": None}}
        for x in rows
    ]
    yield Case("bids, gaps", BID, gaps, lines(gaps))
    yield Case("two of seven", BID.select([0, 2]), rows, lines(rows))
    some: list[Row] = [{f"x{k}": r.uniform(-1e6, 1e6) for k in range(6)} for _ in range(count)]
    yield Case("6 doubles", Schema.of(**{f"x{k}": DOUBLE for k in range(6)}), some, lines(some))
    some = [{f"x{k}": round(r.uniform(0, 1e4), 2) for k in range(6)} for _ in range(count)]
    yield Case("6 decimals", Schema.of(**{f"x{k}": decimal(10, 2) for k in range(6)}), some, lines(some))
    some = [{f"x{k}": r.randint(-(2**62), 2**62) >> r.randint(0, 60) for k in range(6)} for _ in range(count)]
    yield Case("6 integers", Schema.of(**{f"x{k}": BIGINT for k in range(6)}), some, lines(some))
    some = [{f"x{k}": r.random() < 0.5 for k in range(6)} for _ in range(count)]
    yield Case("6 booleans", Schema.of(**{f"x{k}": BOOLEAN for k in range(6)}), some, lines(some))
    texts = Schema.of(a=STRING, b=STRING, c=BIGINT)
    some = [
        {"a": 'say "hi"\n' + "".join(r.choices(LETTERS, k=20)), "b": "C:\\temp\\" + r.choice(LETTERS), "c": k}
        for k in range(count)
    ]
    yield Case("escapes", texts, some, lines(some))
    some = [{"a": "".join(r.choices("äöüßéñ日本語 abc", k=20)), "b": "Zürich", "c": k} for k in range(count)]
    yield Case("non-ASCII", texts, some, lines(some))
    yield Case("non-ASCII, escaped", texts, some, lines(some, escape=True))
    wide: list[Row] = [{f"column_{k}": r.randint(0, 999) for k in range(100)} for _ in range(count // 10)]
    hundred = Schema.of(**{f"column_{k}": BIGINT for k in range(100)})
    yield Case("100 columns", hundred, wide, lines(wide))
    wide = [dict(r.sample(list(x.items()), 100)) for x in wide]
    yield Case("100, any order", hundred, wide, lines(wide))
    place = row(lat=DOUBLE, lon=DOUBLE, name=STRING)
    some = [
        {"k": k, "place": {"lat": r.uniform(-90, 90), "lon": r.uniform(0, 9), "name": "x" * 9}} for k in range(count)
    ]
    yield Case("ROW", Schema.of(k=BIGINT, place=place), some, lines(some))
    some = [{"k": k, "list": [r.randint(0, 999) for _ in range(r.randint(0, 6))]} for k in range(count)]
    yield Case("ARRAY of BIGINT", Schema.of(k=BIGINT, list=array(BIGINT)), some, lines(some))
    some = [{"k": k, "list": [r.choice(["red", "green"]) for _ in range(r.randint(0, 4))]} for k in range(count)]
    yield Case("ARRAY of STRING", Schema.of(k=BIGINT, list=array(STRING)), some, lines(some))
    item = array(row(id=BIGINT, name=STRING))
    some = [{"k": k, "items": [{"id": j, "name": "n" * j} for j in range(r.randint(0, 4))]} for k in range(count)]
    yield Case("ARRAY of ROW", Schema.of(k=BIGINT, items=item), some, lines(some))
    yield Case("CSV bids", BID, rows, table(rows), "csv")
    some = [{"a": f'say, "{r.randint(0, 99)}"', "b": "x" * r.randint(0, 40), "c": k} for k in range(count)]
    yield Case("CSV quotes", texts, some, table(some), "csv")
    some = [{f"x{k}": r.uniform(-1e6, 1e6) for k in range(6)} for _ in range(count)]
    yield Case("CSV 6 doubles", Schema.of(**{f"x{k}": DOUBLE for k in range(6)}), some, table(some), "csv")


def blocks(text: bytes) -> list[Block]:
    """The text cut at line ends."""
    found, at = [], 0
    while at < len(text):
        end = text.find(b"\n", min(at + BLOCK, len(text) - 1)) + 1
        data = np.zeros(end - at + PAD, np.uint8)
        data[: end - at] = np.frombuffer(text[at:end], np.uint8)
        found.append(Block(data, 0, end - at, position=at))
        at = end
    return found


def best(act: Callable[[], object], rounds: int = 3) -> float:
    """Shortest CPU time of some rounds, seconds."""
    found = float("inf")
    for _ in range(rounds):
        begin = time.process_time()
        act()
        found = min(found, time.process_time() - begin)
    return found


def _duck(t: SqlType) -> str:
    if t.children:
        inner = [_duck(c) for c in t.children]
        if t.names:
            return "STRUCT(" + ", ".join(f"{n} {c}" for n, c in zip(t.names, inner, strict=True)) + ")"
        return f"{inner[0]}[]"
    return "TIMESTAMP" if t.is_timestamp else "VARCHAR" if t.is_text else str(t)


def peers(case: Case, path: Path, db: Any) -> dict[str, float]:
    """CPU seconds of the other readers."""
    path.write_bytes(case.text)
    columns = "{" + ", ".join(f"{f.name}: '{_duck(f.type)}'" for f in case.schema) + "}"
    if case.format == "csv":
        read = f"read_csv('{path}', columns={columns}, header=false, auto_detect=false, delim=',', quote='\"')"
    else:
        read = f"read_json('{path}', format='newline_delimited', columns={columns})"
    found = {"DuckDB": best(lambda: db.execute(f"SELECT max(hash(t)) FROM {read} t").fetchall(), 2)}
    # Polars reads neither decimals nor this form of timestamps from JSON: it gets the nearest type.
    types: dict[str, Any] = {
        f.name: pl.String if f.type.is_timestamp else pl.Float64 if str(f.type)[:3] == "DEC" else polars_type(f.type)
        for f in case.schema
    }
    if case.format == "csv":
        found["Polars"] = best(lambda: pl.read_csv(path, schema=types, has_header=False), 2)
    else:
        found["Polars"] = best(lambda: pl.read_ndjson(path, schema=types), 2)
        found["orjson"] = best(lambda: [orjson.loads(x) for x in case.text.splitlines()], 1)
    return found


def main() -> None:
    """Print the table."""
    args = sys.argv[1:]
    count = int(args.pop(0)) if args and args[0].isdigit() else 100_000
    db = duckdb.connect()
    db.execute("SET threads = 1")
    print(
        f"{'case':20}{'B/row':>6}{'decode':>9}{'GB/s':>7}{'DuckDB':>16}{'Polars':>16}{'orjson':>16}{'encode':>9}   M rows/s (ours / theirs)"
    )
    for case in cases(count):
        if args and not any(a in case.name for a in args):
            continue
        made = format_(case.format)(read_options(format_(case.format).options, {}, what=case.format))
        parts = blocks(case.text)
        decoder = made.decoder(case.schema)
        n = len(case.rows)

        def ours(decoder: Any = decoder, parts: list[Block] = parts, n: int = n) -> None:
            rows = sum(len(decoder.decode(b).delta) for b in parts)
            if rows != n:
                raise AssertionError(f"{rows} rows of {n}")

        ours()
        with tempfile.TemporaryDirectory() as folder:
            others = peers(case, Path(folder) / "rows", db)
        own = best(ours)
        delta = decoder.decode(parts[0]).delta
        encoder = made.encoder(case.schema)
        encoder.encode(delta)
        encode = len(delta) / best(lambda e=encoder, d=delta: e.encode(d)) / 1e6
        ratios = "".join(f"{n / others[k] / 1e6:8.2f} ({others[k] / own:4.1f}x)" if k in others else " " * 16 for k in ("DuckDB", "Polars", "orjson"))  # fmt: skip
        size = len(case.text)
        print(
            f"{case.name:20}{size // n:6}{n / own / 1e6:9.2f}{size / own / 1e9:7.2f}{ratios}{encode:9.2f}", flush=True
        )
    line = lines(bids(1))
    decoder = format_("json")(read_options(format_("json").options, {}, what="json")).decoder(BID)
    single = blocks(line)[0]
    decoder.decode(single)
    print(f"a block of one row: {best(lambda: [decoder.decode(single) for _ in range(1000)]) * 1000:.0f} µs")


if __name__ == "__main__":
    main()
