"""The window table functions TUMBLE, HOP and CUMULATE: every row with the bounds of its windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.column import Column
from deras.engine.operator import Operator, Out
from deras.engine.rejects import reject_rows, without
from deras.engine.windows import WindowKind, Windows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.delta import Delta
    from deras.core.records import Rejected
    from deras.core.schema import Schema
    from deras.core.time import Tick
    from deras.core.types import SqlType


def time_column(type_: SqlType, ms: np.ndarray[Any, np.dtype[np.int64]]) -> Column:
    """A timestamp column from milliseconds."""
    return Column.of_words(type_, ms * type_.words_per_ms)


class WindowTable(Operator):
    """Adds window_start, window_end and window_time to every row; a row of several windows comes once for each.

    Nothing is kept, and no row is late here. A row without a time is rejected.

    Args:
        input: the input's schema.
        rowtime: position of the time column; None with ``proctime``: the step's processing time counts.
        kind: ``tumble``, ``hop`` or ``cumulate``.
        size_ms: length of the (longest) window.
        slide_ms: distance of hops, or step of cumulate.
        offset_ms: shift of all windows.
        zone: the session's zone where the time column is TIMESTAMP_LTZ (windows follow wall time), else None.
        schema: the output: the input's columns, then the three.
        append_only: whether the input only inserts.
        origin: what rejected rows are said to come from.
    """

    def __init__(
        self,
        input: Schema,  # noqa: A002
        rowtime: int | None,
        kind: WindowKind,
        size_ms: int,
        slide_ms: int,
        offset_ms: int,
        zone: str | None,
        schema: Schema,
        append_only: bool = True,
        origin: str = "WindowTable",
    ) -> None:
        self.input = input
        self.rowtime = rowtime
        self.windows = Windows(kind, size_ms, slide_ms, offset_ms, zone)
        self.schema = schema
        self.append_only = append_only
        self.origin = origin

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Assign windows."""
        delta = deltas[0]
        if delta is None or not delta.length:
            return Out()
        dropped: list[Rejected] = []
        windows = self.windows
        if self.rowtime is None:
            from deras.core.types import timestamp_ltz

            walls = windows.walls(np.full(delta.length, tick.now, np.int64) * 1000, timestamp_ltz(3))
        else:
            column = delta.columns[self.rowtime]
            if (valid := column.valid()) is not None and not valid.all():
                rows = np.flatnonzero(valid == 0)
                message = f"the time column `{self.input[self.rowtime].name}` of {windows} is NULL"
                dropped = [reject_rows(delta, rows, [message] * len(rows), reason="constraint", origin=self.origin)]
                delta = without(delta, rows)
                column = delta.columns[self.rowtime]
            walls = windows.walls(column.words(), column.type)
        rows, starts, ends = windows.assign(walls)
        taken = delta if len(rows) == delta.length and windows.kind == "tumble" else delta.take(rows)
        n = len(self.input)
        types = [f.type for f in self.schema.fields[n:]]
        columns = [
            *taken.columns,
            time_column(types[0], starts),
            time_column(types[1], ends),
            time_column(types[2], windows.fire_at(ends)),
        ]
        return Out(taken.with_columns(self.schema, columns), dropped)

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        return {"operator": "WindowTable", "window": str(self.windows), "state": "none"}
