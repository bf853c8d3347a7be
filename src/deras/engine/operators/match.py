"""MATCH_RECOGNIZE: rows of a key in the order of their time, matched against a pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.errors import RowError
from deras.core.schema import Field, Schema
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK
from deras.core.types import BIGINT, SqlType
from deras.engine.kernels import match as k
from deras.engine.kernels import match_conditions as c
from deras.engine.kernels import match_rows as r
from deras.engine.match_plan import finish_input
from deras.engine.match_results import Found, Results
from deras.engine.operator import Operator, Out, Program
from deras.engine.rejects import reject_errors, reject_rows, without
from deras.engine.windows import time_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.records import Rejected
    from deras.core.time import Tick
    from deras.engine.match_plan import MatchPlan
    from deras.engine.state import State

Words = npt.NDArray[np.int64]

_BIG = BIGINT.with_nullable(False)
_HEAD = (Field("bits", _BIG), Field("ms", _BIG))
_FIRST_ROOM = 256


class Match(Operator):
    """Finds the matches of a pattern in the rows of each key; insert-only, by the rows that completed them.

    Rows wait until the watermark has passed them and are then taken by time (equal times by ``order``, then by
    arrival). A row that the watermark has passed on arrival is late and rejected. The state is the rows that partial
    matches may still need; the partial matches themselves are made anew from them after a restore.

    Args:
        input: schema of the rows.
        keys: positions of the partition key.
        rowtime: position of the time attribute; None: processing time.
        order: more sort keys: (position, descending).
        prepare: gives for each row one BOOLEAN per variable (its condition on the row alone), then the kept columns.
        plan: the pattern and what is asked of its matches.
        finish: makes the output of key columns, picks and totals (and, with ``all_rows``, the kept columns first).
        schema: the output.
        origin: what rejected rows are said to come from.
    """

    append_only = True

    def __init__(
        self,
        input: Schema,  # noqa: A002
        keys: Sequence[int],
        rowtime: int | None,
        order: Sequence[tuple[int, bool]],
        prepare: Program,
        plan: MatchPlan,
        finish: Program,
        schema: Schema,
        origin: str = "MatchRecognize",
    ) -> None:
        self.input = input
        self.keys = tuple(keys)
        self.rowtime = rowtime
        self.order = tuple(order)
        self.prepare = prepare
        self.plan = plan
        self.finish = finish
        self.schema = schema
        self.origin = origin
        self._variables = len(plan.names)
        self._key_types: list[SqlType] = [input[i].type for i in self.keys]
        kept = prepare.schema.fields[self._variables :]
        numbered = [Field(f"c{i}", f.type) for i, f in enumerate([*(input[i] for i in self.keys), *kept])]
        self._stored = Schema((*_HEAD, *numbered))
        self._first_kept = 2 + len(self.keys)
        automaton = plan.automaton
        kinds, needs, begin, code = [], [], [0], []
        for v, condition in enumerate(plan.conditions):
            kinds.append(k.WAY if condition.code is not None else k.ROW if condition.row else k.ALWAYS)
            needs.append(1 << v if condition.row else 0)
            if condition.code is not None:
                code.append(condition.code)
            begin.append(begin[-1] + (0 if condition.code is None else len(condition.code)))
        self._kinds, self._needs, self._begin = (np.array(x, np.int64) for x in (kinds, needs, begin))
        self._raw_code = np.concatenate(code) if code else np.zeros((0, 4), np.int64)
        pure = not code
        self._numbers = np.array(
            [
                plan.within_ms, plan.skip, plan.skip_bits, automaton.eager, pure, 0 if pure else plan.cells,
                automaton.width,
            ],
            np.int64,
        )  # fmt: skip
        self._cells = 0 if pure else plan.cells
        self._texts = np.frombuffer(plan.texts + bytes(8), np.uint8).copy()
        self._below = finish_input(self._key_types, [f.type for f in kept], plan)
        self._rebuild = False
        self._values: dict[str, Any] = {}
        self._results = Results(plan, Schema(self._stored.fields[self._first_kept :]))
        self._clear()

    def _clear(self) -> None:
        self._pending: list[tuple[Words, Words]] = []  # (time, row) of rows that wait, in pieces
        self._next = MAX_WATERMARK  # the least of their times
        self._due: list[tuple[Words, Words]] = []  # (time, key) of possible partial matches
        self._starts = np.zeros((0, k.START_WIDTH), np.int64)
        self._ways = np.zeros((0, k.WAY_HEAD + self._cells), np.int64)
        self._nodes = np.zeros((0, k.NODE_WIDTH), np.int64)
        self._free = [np.zeros(0, np.int64) for _ in range(3)]
        self._meta = np.zeros(8, np.int64)
        self._dead: list[Words] = []  # rows that nobody needs when the step is over
        self._idle: list[Words] = []  # keys that may go then
        self._out = np.zeros((_FIRST_ROOM, 4), np.int64)
        self._seen = np.zeros(len(self.plan.automaton.ends), np.int64)
        depth = 4 + len(self._raw_code)
        self._stack = (np.zeros((depth, 2), np.int64), np.zeros(depth), np.zeros(depth, np.uint8))
        self._scratch = np.zeros(max(1, self._variables * self._cells), np.int64)
        self._room(_FIRST_ROOM)

    def open(self, state: State) -> None:
        """The rows of partial matches and those that wait: all else follows from them."""
        self._index = state.index("keys", self._key_types, k.KEY_CELLS, saved=False)
        self._rows = state.segments("rows", self._stored, 3)
        self._number = self._rows.cell0
        self._values = state.values("match")
        self._resolve()
        state.on_restore(self._restored)

    def _resolve(self) -> None:
        """Kept columns in conditions and slots to words of rows."""
        shape = self._rows.shape

        def place(column: int) -> tuple[int, int]:
            _, j, mask = shape.columns[column + self._first_kept].tolist()
            return j, -1 if mask < 0 else mask << 8 | (column + self._first_kept) % 64

        self._code = self._raw_code.copy()
        for line in self._code:
            if c.LOAD <= line[0] <= c.LOAD_LIMBS:
                line[2], line[3] = place(int(line[2]))
            elif line[0] == c.CELL_TEXT:
                line[3], _ = place(int(line[3]))
        self._slots = np.ascontiguousarray(self.plan.slots.copy().reshape(-1, 6))
        for line in self._slots:
            if line[4] >= 0:
                line[4], line[5] = place(int(line[4]))

    def _restored(self) -> None:
        self._rebuild = True

    # ---- a step

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Take the rows, match those that the watermark has passed."""
        event_time = self.rowtime is not None
        low = max(tick.low, int(self._values.get("watermark", MIN_WATERMARK)))
        if self._rebuild:
            self._rebuild = False
            self._replay(low if event_time else int(self._values.get("now", MIN_WATERMARK)))
        delta = deltas[0]
        dropped: list[Rejected] = []
        high = max(low, tick.high)
        self._values["watermark"] = high
        now = max(tick.now, int(self._values.get("now", MIN_WATERMARK)))
        if not event_time:
            self._values["now"] = now
        seen = np.array([low], np.int64)
        if delta is not None and delta.length:
            delta, marks = self._on_time(delta, low, dropped)
            seen = np.concatenate([seen, np.unique(marks)])
            if delta.length:
                self._keep(delta, tick, None if event_time else now, dropped)
        limit = high if event_time else MAX_WATERMARK
        matches = self._advance(limit, now=None if event_time else now, end=tick.high == MAX_WATERMARK)
        made = self._result(matches, tick, seen, dropped) if len(matches) else None
        self._tidy()
        return Out(made, dropped)

    def wake(self) -> int | None:
        """The processing time (ms) at which a partial match has taken too long, or None."""
        if self.rowtime is not None or not self.plan.within_ms:
            return None
        if self._rebuild:
            return MIN_WATERMARK if len(self._rows) else None
        return int(self._due[0][0][0]) + self.plan.within_ms if self._due else None

    def _on_time(self, delta: Delta, low: int, dropped: list[Rejected]) -> tuple[Delta, Words]:
        """Without rows that are late or have no time; the marks of all."""
        marks = np.maximum.accumulate(np.maximum(delta.mark_array(), low))
        if self.rowtime is None:
            return delta, marks
        column = delta.columns[self.rowtime]
        times = column.words() // column.type.words_per_ms
        bad = times <= marks
        valid = column.valid()
        if valid is not None and not valid.all():
            empty = np.flatnonzero(valid == 0)
            bad[empty] = False
            text = f"the time column `{self.input[self.rowtime].name}` of MATCH_RECOGNIZE is NULL"
            dropped.append(reject_rows(delta, empty, [text] * len(empty), reason="constraint", origin=self.origin))
        late = np.flatnonzero(bad)
        if len(late):
            texts = [f"late for MATCH_RECOGNIZE: the watermark was {time_text(m)}" for m in marks[late].tolist()]
            dropped.append(reject_rows(delta, late, texts, reason="late", origin=self.origin, rowtime=self.rowtime))
        good = ~bad if valid is None else ~bad & (valid != 0)
        return (delta if good.all() else delta.take(np.flatnonzero(good))), marks

    def _keep(self, delta: Delta, tick: Tick, now: int | None, dropped: list[Rejected]) -> None:
        """Rows into the state, where they wait for the watermark."""
        prepared, errors = self.prepare.run(delta, tick)
        if errors:
            dropped += reject_errors(delta, errors, self.origin, self.rowtime)
            delta = without(delta, np.concatenate([e.rows for e in errors]))
            if not delta.length:
                return
        n = delta.length
        bits = np.zeros(n, np.int64)
        for v, condition in enumerate(self.plan.conditions):
            if condition.row:
                column = prepared.columns[v]
                true = column.words() & 1
                valid = column.valid()
                bits |= (true if valid is None else true * valid) << v
        if now is None:
            assert self.rowtime is not None  # noqa: S101 (for the type checker)
            moments = delta.columns[self.rowtime]
            times = moments.words() // moments.type.words_per_ms
        else:
            times = np.full(n, now, np.int64)
        key_columns = [delta.columns[i] for i in self.keys]
        columns = [
            Column.of_words(_BIG, bits), Column.of_words(_BIG, times), *key_columns,
            *prepared.columns[self._variables :],
        ]  # fmt: skip
        ids = self._rows.append(columns, n)
        owners = self._index.lookup(key_columns, length=n)
        self._wait(times, ids, owners)

    def _wait(self, times: Words, ids: Words, owners: Words) -> None:
        np.add.at(self._index.tab[:, self._index.cell0], owners, 1)
        self._rows.tab[ids, self._number + 2] = owners
        self._pending.append((times, ids))
        self._next = min(self._next, int(times.min()))

    def _sorted(self, limit: int) -> tuple[Words, Words]:
        """Times and rows that wait no longer, in order."""
        none = np.zeros(0, np.int64)
        if not self._pending or self._next > limit:
            return none, none
        times = np.concatenate([t for t, _ in self._pending])
        ids = np.concatenate([i for _, i in self._pending])
        if len(times) > 1 and (np.diff(times) < 0).any():
            order = np.argsort(times, kind="stable")
            times, ids = times[order], ids[order]
        m = int(np.searchsorted(times, limit, "right"))
        rest = times[m:], ids[m:]
        self._pending = [rest] if len(rest[0]) else []
        self._next = int(rest[0][0]) if len(rest[0]) else MAX_WATERMARK
        times, ids = times[:m], ids[:m]
        if self.order and m > 1:
            ids = ids[self._ordered(times, ids)]
        return times, ids

    def _ordered(self, times: Words, ids: Words) -> Words:
        """The order of rows by time, further sort keys and arrival."""
        columns = self._rows.take(ids)
        frame = {"t": pl.Series(times)}
        for i, (column, _) in enumerate(self.order):
            frame[f"k{i}"] = columns[self._first_kept + column].series()
        places = pl.DataFrame(frame).with_row_index("row")
        names = ["t", *(f"k{i}" for i in range(len(self.order)))]
        falling = [False, *(d for _, d in self.order)]
        ordered = places.sort(names, descending=falling, nulls_last=falling, maintain_order=True)
        return ordered["row"].cast(pl.Int64).to_numpy()

    # ---- matching

    def _advance(self, limit: int, *, now: int | None, end: bool) -> Words:
        """Match all rows up to a time; gives the matches: key, node, when (twice the ms), number of the first row."""
        found: list[Words] = []
        times, ids = self._sorted(limit)
        if len(ids):
            found += self._run(times, ids)
        within = self.plan.within_ms
        keys: Words = np.zeros(0, np.int64)
        passed = limit if now is None else now
        if end and (within or not self.plan.automaton.eager):
            live = self._index.ids()
            keys = live[self._index.tab[live, self._index.cell0 + 1] > 0]
            passed = MAX_WATERMARK
            self._due = []
        elif within:
            keys = self._expired(passed)
        if len(keys):
            found += self._expire(np.unique(keys), passed)
        if not found:
            return np.zeros((0, 4), np.int64)
        matches = np.concatenate(found)
        return matches[np.argsort(matches[:, 2], kind="stable")]

    def _run(self, times: Words, ids: Words) -> list[Words]:
        index, rows = self._index, self._rows
        keys = rows.tab[ids, self._number + 2]
        least = int(self._values.get("next", 1))
        self._values["next"] = least + len(ids)
        killed = np.empty(len(rows), np.int64)
        arena = rows._arena
        found: list[Words] = []
        at = 0
        while True:
            tab = rows.tab
            at = k.run(
                ids, times, keys, at, self._numbers, self.plan.automaton.edges, self.plan.automaton.first,
                self.plan.automaton.ends, self._kinds, self._needs, self._begin, self._code, self._slots,
                self._texts.ctypes.data, tab, tab.ctypes.data, arena.bases, self._number, least, index.tab,
                index.cell0, self._starts, self._ways, self._nodes, *self._free, self._meta, killed, self._out,
                self._seen, *self._stack, self._scratch,
            )  # fmt: skip
            self._check()
            if at == len(ids):
                break
            found += self._taken()
            self._room(max(int(self._meta[6]), 1), int(index.tab[keys[at], index.cell0 + 5]) + 1)
        found += self._taken()
        alive = index.tab[keys, index.cell0 + 3] > 0
        if self.plan.within_ms and alive.any():
            self._due.append((times[alive], keys[alive]))
        self._gone(killed, keys)
        return found

    def _expire(self, keys: Words, now: int) -> list[Words]:
        index, rows = self._index, self._rows
        numbers = self._numbers.copy()
        numbers[0] = max(1, numbers[0])
        killed = np.empty(len(rows), np.int64)
        found: list[Words] = []
        at = 0
        while True:
            at = k.expire(
                keys, at, now, numbers, rows.tab, self._number, index.tab, index.cell0, self._starts, self._ways,
                self._nodes, *self._free, self._meta, killed, self._out,
            )  # fmt: skip
            self._check()
            if at == len(keys):
                break
            found += self._taken()
            self._room(0, int(index.tab[keys[at], index.cell0 + 5]) + 1)
        found += self._taken()
        self._gone(killed, keys)
        return found

    def _expired(self, now: int) -> Words:
        """Keys whose oldest partial matches may have taken too long."""
        limit = now - self.plan.within_ms
        keys: list[Words] = []
        while self._due and self._due[0][0][0] <= limit:
            times, owners = self._due[0]
            m = int(np.searchsorted(times, limit, "right"))
            keys.append(owners[:m])
            if m < len(times):
                self._due[0] = times[m:], owners[m:]
            else:
                self._due.pop(0)
        return np.concatenate(keys) if keys else np.zeros(0, np.int64)

    def _taken(self) -> list[Words]:
        m = int(self._meta[3])
        self._meta[3] = 0
        found = [self._out[:m].copy()] if m else []
        if 2 * m > len(self._out):
            self._out = np.zeros((4 * m, 4), np.int64)
        return found

    def _gone(self, killed: Words, keys: Words) -> None:
        """Remember the rows that no partial match needs, and the keys that may go; they go when the step is over."""
        m = int(self._meta[4])
        self._meta[4] = 0
        self._dead.append(killed[:m].copy())
        self._idle.append(keys)

    def _check(self) -> None:
        failed = int(self._meta[7])
        if not failed:
            return
        what = ", ".join(n for v, n in enumerate(self.plan.names) if self.plan.skip_bits >> v & 1)
        if failed == k.FAIL_BEGIN:
            raise RowError(
                f"AFTER MATCH SKIP TO {what}: that is the first row of the match, which would be found again for ever",
                hint="Skip to a variable behind the first one, to the next row or past the last row.",
            )
        raise RowError(
            f"AFTER MATCH SKIP TO {what}: the match has no row of that variable",
            hint="Skip to a variable that every match has, to the next row or past the last row.",
        )

    def _room(self, need: int, out: int = 0) -> None:
        """More room for records."""
        for i, name in enumerate(("_starts", "_ways", "_nodes")):
            held = getattr(self, name)
            if self._meta[i] >= need + 1:
                continue
            size = max(2 * len(held), len(held) + need + 1)
            grown = np.zeros((size, held.shape[1]), np.int64)
            grown[: len(held)] = held
            setattr(self, name, grown)
            free = np.empty(size, np.int64)
            m = int(self._meta[i])
            free[:m] = self._free[i][:m]
            added = np.arange(size - 1, len(held) - 1, -1)
            free[m : m + len(added)] = added
            self._free[i] = free
            self._meta[i] = m + len(added)
        if len(self._out) < out:
            self._out = np.zeros((max(out, 2 * len(self._out)), 4), np.int64)

    # ---- results

    def _result(self, matches: Words, tick: Tick, seen: Words, dropped: list[Rejected]) -> Delta | None:
        first, rows, variables = self._unfolded(matches)
        kept = self._rows.take(rows)
        cut = self._first_kept
        columns, owner = self._results.columns(Found(first, variables, kept[2:cut], kept[cut:]))
        moments = (matches[:, 2] >> 1)[owner]
        # What was the watermark just before the one that made it complete: the greatest one seen below.
        marks = seen[np.maximum(np.searchsorted(seen, moments, "left") - 1, 0)]
        if self.rowtime is None:
            marks = np.full(len(owner), seen[-1], np.int64)
        below = Delta(self._below, columns, None, marks, len(owner))
        out, errors = self.finish.run(below, tick)
        if errors:
            dropped += reject_errors(below, errors, self.origin)
        return out if out.length else None

    def _unfolded(self, matches: Words) -> tuple[Words, Words, Words]:
        """Where the rows of each match begin, the rows and their variables; the matches' nodes are let go."""
        nodes = np.ascontiguousarray(matches[:, 1])
        sizes = np.empty(len(nodes), np.int64)
        r.lengths(nodes, self._nodes, sizes)
        first = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        rows, variables = np.empty(int(first[-1]), np.int64), np.empty(int(first[-1]), np.int64)
        r.unfold(nodes, self._nodes, first, rows, variables, self._free[2], self._meta)
        return first, rows, variables

    # ---- state

    def _replay(self, passed: int) -> None:
        """After a restore: partial matches from the rows that were kept for them."""
        self._clear()
        index, rows = self._index, self._rows
        index.tab[index.ids(), index.cell0 : index.cell0 + k.KEY_CELLS] = 0
        ids = rows.snapshot().ids()
        if not len(ids):
            return
        # A row that the watermark had passed had been matched: rows before a partial match are never kept.
        times = rows.tab[ids, rows.shape.columns[1, 1]]
        owners = index.lookup(rows.take(ids)[2 : self._first_kept], length=len(ids))
        self._wait(times, ids, owners)
        times, done = self._sorted(passed)
        if len(done):
            found = self._run(times, done)
            if self.plan.within_ms:
                keys = self._expired(passed)
                found += self._expire(np.unique(keys), passed) if len(keys) else []
            for matches in found:
                # They were given before the checkpoint.
                self._unfolded(matches)
        self._tidy()

    def _tidy(self) -> None:
        index, rows = self._index, self._rows
        dead, idle = self._dead, self._idle
        self._dead, self._idle = [], []
        for ids in dead:
            rows.kill(ids)
        if idle:
            keys = np.unique(np.concatenate(idle))
            empty = (index.tab[keys, index.cell0 : index.cell0 + k.KEY_CELLS] == 0).all(axis=1)
            index.release(keys[empty])
        for old, new in rows.tidy():
            self._renumber(old, new)

    def _renumber(self, old: Words, new: Words) -> None:
        order = np.argsort(old)
        old, new = np.ascontiguousarray(old[order]), np.ascontiguousarray(new[order])
        index, rows = self._index, self._rows
        k.renumber(old, new, self._nodes.reshape(-1), k.NODE_WIDTH, 0)
        width = self._ways.shape[1]
        for cell in self.plan.row_cells if self._cells else ():
            k.renumber(old, new, self._ways.reshape(-1), width, k.WAY_HEAD + cell)
        tab = index.tab
        flat = tab[: index.used].reshape(-1)
        for cell in (3, 4):
            k.renumber(old, new, flat, tab.shape[1], index.cell0 + cell)
        ids = rows.snapshot().ids()
        links = rows.tab[ids, self._number + 1]
        k.renumber(old, new, links, 1, 0)
        rows.tab[ids, self._number + 1] = links
        moved = []
        for times, waiting in self._pending:
            held = waiting + 1
            k.renumber(old, new, held, 1, 0)
            moved.append((times, held - 1))
        self._pending = moved

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        within = self.plan.within_ms
        return {
            "operator": "Match",
            "time": "processing time" if self.rowtime is None else self.input[self.rowtime].name,
            "keys": [self.input[i].name for i in self.keys],
            "variables": list(self.plan.names),
            "state": "rows of partial matches" + (f" of at most {within} ms" if within else ""),
            "bounded": bool(within),
        }
