"""The first node of a table: computed columns, the watermark of every part, and the mark that each row saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.delta import Delta
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK
from deras.engine.kernels.time import marks_of_rows
from deras.engine.operator import Feed, Out, Program, SourceOperator
from deras.engine.rejects import reject_errors, reject_rows, without

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.records import Rejected
    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.engine.state import State

_ACTIVE, _IDLE, _ENDED = 0, 1, 2
_PULSE_MS = 200
"""How often the watermark of a silent table goes on."""
_NO_NULLS = np.zeros(0, np.uint8)


class SourceInput(SourceOperator):
    """Takes the feeds of a table's parts.

    Every part has its own watermark: the greatest value of the watermark expression so far, NULL ignored. The table's
    is the least of its active parts'; ended ones leave, idle ones until their next row, and it never falls. A row sees
    the table's watermark before its own value counted.

    Args:
        schema_in: physical and metadata columns.
        program: computed columns, or None if there are none.
        watermark: a program over the computed schema that gives one TIMESTAMP column, or None: no watermark until the
            table has ended.
        rowtime: position of the rowtime in the computed schema; a row where it is NULL is rejected.
        table: the table's name.
        append_only: whether all rows have weight +1.
        tombstones: whether rows that go have no columns but the key's, so that their rowtime may be NULL.
        idle_advance: while all parts are idle the watermark goes on with processing time, so that the last windows
            close; after a restart only when the parts are found idle again.
    """

    def __init__(
        self,
        schema_in: Schema,
        program: Program | None,
        watermark: Program | None,
        rowtime: int | None,
        table: str,
        append_only: bool = True,
        tombstones: bool = False,
        idle_advance: bool = False,
    ) -> None:
        self.input = schema_in
        self.program = program
        self.schema = schema_in if program is None else program.schema
        self.mark = watermark
        self.rowtime = rowtime
        self.table = table
        self.append_only = append_only
        self.tombstones = tombstones
        self.idle_advance = idle_advance
        self._parts: dict[str, Any] = {}
        self._values: dict[str, Any] = {}
        self._declared = False

    def open(self, state: State) -> None:
        """The parts' watermarks and the table's."""
        self._parts = state.values("parts")
        self._values = state.values("table")

    def declare(self, parts: Sequence[str]) -> None:
        """Name the parts. The first call after a restart also drops parts that are gone."""
        if not self._declared:
            for gone in self._parts.keys() - set(parts):
                del self._parts[gone]
            # What passed while nothing ran is no silence: rows may have gathered meanwhile.
            self._values.pop("silent", None)
        self._declared = True
        for part in parts:
            self._parts.setdefault(part, [MIN_WATERMARK, _ACTIVE])

    def watermark(self) -> int:
        """The table's watermark, ms."""
        if self._parts and all(flag == _ENDED for _, flag in self._parts.values()):
            return MAX_WATERMARK
        return int(self._values.get("watermark", MIN_WATERMARK))

    def watermarks(self) -> dict[str, int]:
        """Watermark of each part, ms; of an ended one, ``MAX_WATERMARK``."""
        return {p: MAX_WATERMARK if flag == _ENDED else at for p, (at, flag) in self._parts.items()}

    def feed(self, feeds: Sequence[Feed], tick: Tick) -> Out:
        """Take the feeds in order."""
        deltas: list[Delta] = []
        dropped: list[Rejected] = []
        for f in feeds:
            part = self._parts.setdefault(f.part, [MIN_WATERMARK, _ACTIVE])
            if f.delta is not None and f.delta.length:
                part[1] = _ACTIVE
                deltas.append(self._take(f.part, f.delta, tick, dropped))
            if f.ended:
                part[1] = _ENDED
            elif f.idle and part[1] == _ACTIVE:
                part[1] = _IDLE
            if f.ended or f.idle:
                self._advance()
        if self.idle_advance:
            self._go_on(feeds, tick.now)
        return Out(Delta.concat(deltas) if deltas else None, dropped)

    def _others(self, part: str | None) -> int:
        return min(
            (at for p, (at, flag) in self._parts.items() if flag == _ACTIVE and p != part), default=MAX_WATERMARK
        )

    def _advance(self) -> None:
        least = self._others(None)
        if least != MAX_WATERMARK and least > self._values.get("watermark", MIN_WATERMARK):
            self._values["watermark"] = least

    def _go_on(self, feeds: Sequence[Feed], now: int) -> None:
        """The watermark of a silent table: what it was, and the time since."""
        flags = [flag for _, flag in self._parts.values()]
        if _ACTIVE in flags or _IDLE not in flags:
            self._values.pop("silent", None)
            return
        silent = self._values.get("silent")
        watermark = self._values.get("watermark", MIN_WATERMARK)
        if silent is None:
            if watermark != MIN_WATERMARK and any(f.idle or f.ended for f in feeds):
                self._values["silent"] = [now, watermark, now]
            return
        since, base, _ = silent
        self._values["silent"] = [since, base, now]
        self._values["watermark"] = max(watermark, base + now - since)

    def wake(self) -> int | None:
        """When the watermark of a silent table goes on, or None."""
        silent = self._values.get("silent") if self.idle_advance and self._declared else None
        return None if silent is None else int(silent[2]) + _PULSE_MS

    def _take(self, part: str, delta: Delta, tick: Tick, dropped: list[Rejected]) -> Delta:
        if self.program is not None:
            found, errors = self.program.run(delta, tick)
            dropped.extend(reject_errors(delta, errors, self.table))
            delta = found
        if self.rowtime is not None and (valid := delta.columns[self.rowtime].valid()) is not None:
            rows = lacking = np.flatnonzero(valid == 0)
            if delta.weights is not None:  # one that goes was reported when it came
                rows = rows[delta.weights[rows] > 0]
            if len(rows):
                name = self.schema[self.rowtime].name
                message = f"the rowtime `{name}` of table {self.table} is NULL"
                dropped.append(reject_rows(delta, rows, [message] * len(rows), reason="constraint", origin=self.table))
            if len(lacking := rows if self.tombstones else lacking):
                delta = without(delta, lacking)
        if self.mark is None or not delta.length:
            return delta
        found, errors = self.mark.run(delta, tick)
        if errors:
            dropped.extend(reject_errors(delta, errors, self.table, self.rowtime))
            delta = without(delta, np.concatenate([e.rows for e in errors]))
        at = found.columns[0]
        valid = at.valid()
        marks = np.empty(delta.length, np.int64)
        result = np.empty(2, np.int64)
        marks_of_rows(
            np.ascontiguousarray(at.words()),
            _NO_NULLS if valid is None else valid,
            at.type.words_per_ms,
            self._parts[part][0],
            self._others(part),
            self._values.get("watermark", MIN_WATERMARK),
            marks,
            result,
        )
        self._parts[part][0] = int(result[0])
        self._values["watermark"] = int(result[1])
        return Delta(delta.schema, delta.columns, delta.weights, marks, delta.length)

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {
            "operator": "SourceInput",
            "table": self.table,
            "watermark": self.mark is not None,
            "rowtime": None if self.rowtime is None else self.schema[self.rowtime].name,
            "state": "a watermark per part",
            **({"idle": "the watermark goes on with processing time"} if self.idle_advance else {}),
        }
