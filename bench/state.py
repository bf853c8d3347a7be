"""What state costs as it grows: five operators with few and with many keys, the longest step, memory over an hour.

    python bench/state.py [--keys FEW MANY] [--events N] [--rows N]

Each operator's state is filled before the clock starts: one row (or group, or open session) a key. Then events of keys
chosen at random come as NDJSON blocks of 1 MB; each is decoded and becomes one step. Printed are, per event, the CPU time
of this thread for decoding and step together (end to end, without reading) and for the step alone (engine), with few and
with many keys, and the ratio of the two; and the longest step while the state was filled in steps of 16 k rows and
while it was used. The aims are a ratio of at most 1.5 end to end and 4 for the engine (more keys miss the caches), and
no step above 20 ms.

The last line is an hour of event time with fresh keys in each window of a minute: state and memory of the process after
each ten minutes, which are to be flat.

By default 100 k and 10 M keys (about two minutes and 5 GB); ``--keys 100000 1000000`` is the quick form, half a minute.
"""

from __future__ import annotations

import argparse
import gc
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import machine
import numpy as np
import polars as pl

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.options import Options
from deras.core.records import PAD, Block
from deras.core.schema import Field, Schema
from deras.core.time import Tick
from deras.core.types import BIGINT, STRING, timestamp
from deras.engine.aggregates import AggregateCall, result_type
from deras.engine.operators.deduplicate import Deduplicate
from deras.engine.operators.group_aggregate import GroupAggregate
from deras.engine.operators.join import Join
from deras.engine.operators.rank import Rank
from deras.engine.operators.session_window import SessionAggregate
from deras.engine.operators.window_aggregate import WindowAggregate
from deras.engine.ranking import SortKey
from deras.engine.state import State
from deras.formats.json import Format

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine.operator import Operator

STEP = 1 << 14
BLOCK = 1 << 20
BEGIN = 1_767_225_600_000
HOUR = 3_600_000
T3 = timestamp(3)
S = Schema(
    (
        Field("k", BIGINT.with_nullable(False)),
        Field("v", BIGINT),
        Field("ts", T3.with_nullable(False), "rowtime"),
        Field("t", STRING),
    )
)


def calls(*wanted: tuple[Any, int | None]) -> list[AggregateCall]:
    """Aggregates by function and column."""
    return [AggregateCall(f, a, result_type(f, None if a is None else S[a].type)) for f, a in wanted]


def group_by() -> Operator:
    """COUNT and SUM by key."""
    some = calls(("COUNT", None), ("SUM", 1))
    return GroupAggregate(S, [0], some, Schema.of(k=S[0].type, n=some[0].type, s=some[1].type), True)


def sessions() -> Operator:
    """COUNT by session of a key."""
    some = calls(("COUNT", None))
    out = Schema.of(k=S[0].type, n=some[0].type, a=T3, b=T3)
    return SessionAggregate(S, 2, HOUR, None, [0], some, out, [0, 1, "start", "end"])


def tumbling() -> Operator:
    """COUNT by key and minute."""
    some = calls(("COUNT", None))
    out = Schema.of(k=S[0].type, n=some[0].type, e=T3)
    return WindowAggregate(S, 2, "tumble", 60_000, 0, 0, None, [0], some, out, [0, 1, "end"])


CASES: dict[str, tuple[Callable[[], Operator], int]] = {
    "group-by": (group_by, 0),
    "join": (lambda: Join(S, S, [0], [0]), 1),
    "dedup": (lambda: Deduplicate(S, [0], 2, "last"), 0),
    "top-3": (lambda: Rank(S, [0], [SortKey(1, True)], 1, 3), 0),
    "session": (sessions, 0),
}
"""Operators, and the input that is filled; the events come at input 0."""


def rows(keys: Any, times: Any) -> Delta:
    """Rows of these keys and times (ms)."""
    text = pl.Series("", keys).cast(pl.String)
    columns = [
        Column.of_words(S[0].type, keys),
        Column.of_words(S[1].type, keys % 1000),
        Column.of_words(S[2].type, times * 1000),
        Column.of_series(S[3].type, "a text that comes with " + text),
    ]
    return Delta(S, columns, None, BEGIN - HOUR)


def ndjson(count: int, keys: int) -> list[Block]:
    """Events of random keys as blocks of text."""
    rng = np.random.default_rng(11)
    frame = pl.DataFrame({"k": rng.integers(0, keys, count) * 7919, "v": rng.integers(0, 1000, count)})
    lines = frame.select(
        pl.format(
            '{"k":{},"v":{},"ts":"2026-01-01 00:00:10.000","t":"a text that comes with {}"}\n'.replace("{", "\x01", 1)
            .replace("}\n", "\x02\n"),
            "k", "v", "v",
        )
    ).to_series()  # fmt: skip
    text = "".join(lines.to_list()).replace("\x01", "{").replace("\x02", "}").encode()
    found, at = [], 0
    while at < len(text):
        end = text.find(b"\n", min(at + BLOCK, len(text) - 1)) + 1
        data = np.zeros(end - at + PAD, np.uint8)
        data[: end - at] = np.frombuffer(text[at:end], np.uint8)
        found.append(Block(data, 0, end - at))
        at = end
    return found


@dataclass
class Cost:
    """Of one operator with so many keys.

    Args:
        both: ns of CPU an event, decoding and step.
        step: the step alone.
        filling: longest step while the state grew, ms of CPU.
        using: longest step afterwards.
        size: of the state, bytes.
    """

    both: float
    step: float
    filling: float
    using: float
    size: int


def measure(make: Callable[[], Operator], side: int, keys: int, blocks: list[Block]) -> Cost:
    """Fill the state, then let the events come."""
    operator, state = make(), State()
    operator.open(state)
    n = len(operator.inputs) if hasattr(operator, "inputs") else 1
    tick = Tick(low=BEGIN - HOUR, high=BEGIN - HOUR)

    def step(delta: Delta, at: int) -> float:
        given: list[Delta | None] = [None] * n
        given[at] = delta
        begin = time.thread_time()
        operator.step(given, tick)
        return time.thread_time() - begin

    order = np.random.default_rng(5).permutation(keys) * 7919
    filling = 0.0
    for i in range(0, keys, STEP):
        part = order[i : i + STEP]
        filling = max(filling, step(rows(part, np.full(len(part), BEGIN)), side))
    decoder = Format(Options({}, {})).decoder(S)
    both, alone, using, count = 0.0, 0.0, 0.0, 0
    for block in blocks:
        begin = time.thread_time()
        delta = decoder.decode(block).delta
        delta = Delta(S, delta.columns, None, BEGIN - HOUR, delta.length)
        both += time.thread_time() - begin
        one = step(delta, 0)
        both, alone, using, count = both + one, alone + one, max(using, one), count + delta.length
    return Cost(both / count * 1e9, alone / count * 1e9, filling * 1e3, using * 1e3, state.size().bytes)


def hour(a_minute: int, minutes: int = 60) -> tuple[list[float], list[float], float]:
    """Fresh keys in each window, for an hour of event time: size of state and of the process, MB, by minute; the longest
    step, ms.
    """
    operator, state = tumbling(), State()
    operator.open(state)
    sizes, memory, longest = [], [], 0.0
    low = BEGIN - 1
    for minute in range(minutes):
        keys = (np.arange(a_minute) + minute * a_minute) * 7919
        times = BEGIN + minute * 60_000 + np.arange(a_minute) * 60_000 // a_minute
        for i in range(0, a_minute, STEP):
            part = rows(keys[i : i + STEP], times[i : i + STEP])
            high = int(times[min(i + STEP, a_minute) - 1]) - 1
            given = Delta(S, part.columns, None, low, part.length)
            begin = time.thread_time()
            operator.step([given], Tick(low=low, high=high))
            longest = max(longest, time.thread_time() - begin)
            low = high
        sizes.append(state.size().bytes / 1e6)
        memory.append(machine.rss())
    return sizes, memory, longest * 1e3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--keys", type=int, nargs=2, default=[100_000, 10_000_000])
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--rows", type=int, default=100_000, help="fresh keys a minute")
    parser.add_argument("--case", choices=list(CASES), action="append")
    args = parser.parse_args()
    few, many = args.keys
    few_events, many_events = ndjson(args.events, few), ndjson(args.events, many)
    print(machine.facts(), f"load {machine.load():.1f}")
    print(
        f"{'':10} {'end to end, ns an event':>28} {'ratio':>6} {'engine, ns':>16} {'ratio':>6} {'longest step, ms':>20} {'state MB':>9}"
    )
    for name, (make, side) in CASES.items():
        if args.case and name not in args.case:
            continue
        measure(make, side, 20_000, few_events[:1])  # kernels compiled
        small = measure(make, side, few, few_events)
        gc.collect()
        large = measure(make, side, many, many_events)
        gc.collect()
        print(
            f"{name:10} {small.both:13.0f} {large.both:14.0f} {large.both / small.both:6.2f} {small.step:7.0f} "
            f"{large.step:8.0f} {large.step / small.step:6.2f} {large.filling:7.1f} filling {large.using:5.1f} "
            f"{large.size / 1e6:9.0f}",
            flush=True,
        )
    if args.case:
        return
    hour(1000, 2)
    sizes, memory, longest = hour(args.rows)
    parts = ", ".join(f"{max(sizes[i : i + 10]):.1f}/{max(memory[i : i + 10]):.0f}" for i in range(0, 60, 10))
    print(
        f"an hour, {args.rows} fresh keys a minute: MB of state/process by ten minutes {parts}; longest step {longest:.1f} ms"
    )


if __name__ == "__main__":
    main()
