"""Deterministic NDJSON files for the benchmarks: bids as in Nexmark (262 bytes a row), and events with a million keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

_LETTERS = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", np.uint8)
_CHANNELS = ["Google", "Facebook", "Baidu", "Apple"]


def bids(path: Path, rows: int, seed: int = 7) -> Path:
    """``rows`` bids, event time rising by 1 ms on average every row; written once and kept."""
    if path.exists():
        return path
    rng = np.random.default_rng(seed)
    auction = 1000 + np.minimum((rng.pareto(1.2, rows) * 50).astype(np.int64), 60_000)
    bidder = 1000 + rng.integers(0, 50_000, rows)
    price = (10 ** (rng.random(rows) * 6) * 100).astype(np.int64)
    channel = rng.integers(0, 4, rows)
    base = np.datetime64("2026-01-01T00:00:00.000", "ms")
    times = np.datetime_as_string(base + np.arange(rows) // 10, unit="ms")
    extra = _LETTERS[rng.integers(0, 26, (rows, 80))].view("S80").ravel()
    with path.open("w", encoding="ascii") as f:
        chunk = []
        for i in range(rows):
            c = _CHANNELS[channel[i]]
            chunk.append(
                f'{{"auction":{auction[i]},"bidder":{bidder[i]},"price":{price[i]},"channel":"{c}",'
                f'"url":"https://www.nexmark.com/{c.lower()}/item.htm?query=1","dateTime":"{times[i].replace("T", " ")}",'
                f'"extra":"{extra[i].decode()}"}}\n'
            )
            if len(chunk) == 50_000:
                f.write("".join(chunk))
                chunk.clear()
        f.write("".join(chunk))
    return path


def events(path: Path, rows: int, keys: int, seed: int = 8) -> Path:
    """``rows`` small events over ``keys`` keys in random order."""
    if path.exists():
        return path
    rng = np.random.default_rng(seed)
    key = rng.integers(0, keys, rows)
    value = rng.integers(0, 10_000, rows)
    base = np.datetime64("2026-01-01T00:00:00.000", "ms")
    times = np.datetime_as_string(base + np.arange(rows) // 10, unit="ms")
    with path.open("w", encoding="ascii") as f:
        for a in range(0, rows, 50_000):
            b = min(rows, a + 50_000)
            f.write(
                "".join(
                    f'{{"key":{key[i]},"value":{value[i]},"ts":"{times[i].replace("T", " ")}"}}\n' for i in range(a, b)
                )
            )
    return path
