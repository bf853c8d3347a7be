"""Rows a second of the JSON decoder and encoder, as ratios to other readers of the same files in the same run.

    python bench/decode.py [ROWS]

One core each (thread time for ours and orjson; DuckDB and Polars are held to one thread). The data are Nexmark bids, about
260 bytes a row, made with a fixed seed: regular; with spaces; keys in random order; keys missing, NULLs, unknown nested values.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "1")

from typing import TYPE_CHECKING

import duckdb
import numpy as np
import orjson
import polars as pl

from deras.core.options import Options
from deras.core.records import PAD, Block
from deras.core.schema import Schema
from deras.core.types import BIGINT, STRING, timestamp
from deras.formats.json import Format

if TYPE_CHECKING:
    from collections.abc import Callable

BID = Schema.of(
    auction=BIGINT, bidder=BIGINT, price=BIGINT, channel=STRING, url=STRING, dateTime=timestamp(3), extra=STRING
)  # fmt: skip
BLOCK = 2 << 20
Row = dict[str, object]


def bids(rows: int) -> list[Row]:
    """Nexmark bids."""
    r = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyz"
    found: list[Row] = []
    for i in range(rows):
        channel = r.choice(["Google", "Facebook", "Baidu", "Apple", f"channel-{r.randint(0, 9999)}"])
        found.append({
            "auction": r.randint(1000, 99_999), "bidder": r.randint(1000, 99_999), "price": r.randint(100, 10**7),
            "channel": channel, "url": f"https://www.nexmark.com/{''.join(r.choices(letters, k=12))}/item.htm?query=1",
            "dateTime": f"2024-01-{1 + i % 28:02d} {i % 24:02d}:{i % 60:02d}:{r.randint(0, 59):02d}.{r.randint(0, 999):03d}",
            "extra": "".join(r.choices(letters, k=r.randint(40, 90))),
        })  # fmt: skip
    return found


def write(rows: list[Row], shape: str) -> bytes:
    """The rows as JSON lines of one shape."""
    r = random.Random(11)
    separators = (", ", ": ") if shape == "spaces" else (",", ":")
    lines = []
    for row in rows:
        if shape == "random order":
            row = dict(r.sample(list(row.items()), len(row)))
        elif shape == "gaps":
            row = {k: (None if r.random() < 0.1 else v) for k, v in row.items() if r.random() < 0.9}
            row["tags"] = {"a": [1, {"b": "x"}], "c": None}
        lines.append(json.dumps(row, separators=separators))
    return ("\n".join(lines) + "\n").encode()


def blocks(text: bytes) -> list[Block]:
    """The text cut at line ends."""
    found, at = [], 0
    while at < len(text):
        end = text.find(b"\n", min(at + BLOCK, len(text) - 1)) + 1
        data = np.zeros(end - at + PAD, np.uint8)
        data[: end - at] = np.frombuffer(text[at:end], np.uint8)
        found.append(Block(data, 0, end - at))
        at = end
    return found


def best(act: Callable[[], object], rounds: int = 5) -> float:
    """Shortest time of some rounds, seconds of this thread (or of the process, for readers with own threads)."""
    found = float("inf")
    for _ in range(rounds):
        begin = time.process_time()
        act()
        found = min(found, time.process_time() - begin)
    return found


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    rows = bids(count)
    db = duckdb.connect()
    db.execute("SET threads = 1")
    columns = "{auction:'BIGINT',bidder:'BIGINT',price:'BIGINT',channel:'VARCHAR',url:'VARCHAR',dateTime:'TIMESTAMP',extra:'VARCHAR'}"
    dtypes = {f.name: pl.Int64 if f.type == BIGINT else pl.String for f in BID}
    for shape in ("regular", "spaces", "random order", "gaps"):
        text = write(rows, shape)
        parts = blocks(text)
        decoder = Format(Options({}, {})).decoder(BID)

        def ours(decoder=decoder, parts=parts) -> None:  # type: ignore[no-untyped-def]
            assert sum(len(decoder.decode(b).delta) for b in parts) == count

        ours()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bids.ndjson"
            path.write_bytes(text)
            query = f"SELECT max(hash(t)) FROM read_json('{path}', format='newline_delimited', columns={columns}) t"
            peers = {
                "DuckDB": best(lambda query=query: db.execute(query).fetchall(), 2),
                "Polars": best(lambda path=path: pl.read_ndjson(path, schema=dtypes), 2),
                "orjson": best(lambda text=text: [orjson.loads(x) for x in text.splitlines()], 1),
            }
        own = best(ours)
        ratios = ", ".join(f"{n} {count / t / 1e6:.2f} ({t / own:.1f}x)" for n, t in peers.items())
        size = len(text) // count
        print(
            f"{shape:13} {size} B/row: Deras {count / own / 1e6:.2f} M rows/s, {len(text) / own / 1e9:.2f} GB/s; {ratios}"
        )
    delta = Format(Options({}, {})).decoder(BID).decode(parts[0]).delta
    encoder = Format(Options({}, {})).encoder(BID)
    encoder.encode(delta)
    print(f"encode        {len(delta) / best(lambda: encoder.encode(delta)) / 1e6:.2f} M rows/s")
    data = np.zeros(300, np.uint8)
    line = orjson.dumps(rows[0]) + b"\n"
    data[: len(line)] = np.frombuffer(line, np.uint8)
    single = Block(data, 0, len(line))
    own = best(lambda: [decoder.decode(single) for _ in range(1000)])
    print(f"one row       {own * 1000:.0f} µs a block")


if __name__ == "__main__":
    main()
