"""Anomalies in a column, learned per key while the rows go by (DSPOT)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.column import Column
from deras.core.errors import PlanError
from deras.core.options import Option, read_options
from deras.core.schema import Field, Schema
from deras.core.types import BOOLEAN, DOUBLE, Layout
from deras.engine.kernels.detect import HEAD, dspot
from deras.engine.operator import Operator, Out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deras.core.delta import Delta
    from deras.core.time import Tick
    from deras.engine.state import State


def _positive(value: Any) -> str | None:
    return None if value > 0 else "it must be greater than 0"


def _fraction(value: Any) -> str | None:
    return None if 0 < value < 1 else "it must lie between 0 and 1"


OPTIONS = (
    Option("risk", "float", "Chance below which a value is an anomaly.", 3e-4, check=_fraction),
    Option("depth", "int", "Rows of the moving mean that follows the drift.", 30, check=_positive),
    Option("calibrate", "int", "Rows learned before the first judgement.", 500, check=_positive),
    Option("level", "float", "Quantile above which a residual counts as a peak.", 0.98, check=_fraction),
    Option("peaks", "int", "Newest peaks kept for each tail.", 200, check=_positive),
    Option("rearm", "int", "Rows after an anomaly in which no other is raised; 0: raise every one.", 200),
)


def output_fields() -> tuple[Field, ...]:
    """The columns that a detector adds, with their types."""
    return (
        Field("is_anomaly", BOOLEAN.with_nullable(False)),
        Field("score", DOUBLE),
        Field("expected", DOUBLE),
        Field("lower_bound", DOUBLE),
        Field("upper_bound", DOUBLE),
    )


class Detect(Operator):
    """Adds ``is_anomaly, score, expected, lower_bound, upper_bound`` to every row.

    Rows are judged in arrival order, each by the model learned from the rows of its key before it. A row older than the
    newest of its key is judged, but not learned. NULL and non-finite values pass with NULLs. ``score`` is -log10 of the
    chance of a value at least as far out (4 means one in ten thousand); it is NULL until ``depth + calibrate`` rows
    of the key have been learned.

    Args:
        input: schema of the input; append-only.
        keys: positions of the partition key.
        rowtime: position of the event time.
        value: position of the column to judge (any number).
        options: texts of :data:`OPTIONS`.
        schema: output schema: the input's fields and :func:`output_fields`.
    """

    def __init__(
        self,
        input: Schema,  # noqa: A002 (the word of all operators)
        keys: Sequence[int],
        rowtime: int,
        value: int,
        options: Mapping[str, str],
        schema: Schema,
    ) -> None:
        self.keys = tuple(keys)
        self.rowtime = rowtime
        self.value = value
        self.schema = schema
        self.append_only = True
        self.input = input
        o = read_options(OPTIONS, options, what="DETECT_ANOMALIES")
        self.risk, self.level = float(o["risk"]), float(o["level"])
        self.depth, self.calibrate = int(o["depth"]), int(o["calibrate"])
        self.peaks, self.rearm = int(o["peaks"]), int(o["rearm"])
        if not input[value].type.is_numeric:
            raise PlanError(f"DETECT_ANOMALIES judges numbers, not {input[value].type}")

    def open(self, state: State) -> None:
        """One row of cells per key."""
        width = HEAD + self.depth + self.calibrate + 2 * self.peaks
        self._index = state.index("models", [self.input[k].type for k in self.keys], width)

    def step(self, deltas: Sequence[Delta | None], tick: Tick) -> Out:
        """Judge and learn."""
        delta = deltas[0]
        if delta is None or not delta.length:
            return Out()
        n = delta.length
        ids = self._index.lookup([delta.columns[k] for k in self.keys], length=n)
        values, valid = self._numbers(delta.columns[self.value])
        time = delta.columns[self.rowtime]
        times = time.words() // time.type.words_per_ms if time.type.is_timestamp else np.zeros(n, np.int64)
        anomaly, known = np.empty(n, np.uint8), np.empty(n, np.uint8)
        out = np.empty((4, n), np.float64)
        table = self._index.tab.view(np.float64)
        dspot(
            table, self._index.cell0, ids, values, valid, np.ascontiguousarray(times),
            self.depth, self.calibrate, self.peaks, self.level, self.risk, self.rearm, anomaly, out, known,
        )  # fmt: skip
        judged = (known & 1).astype(np.uint8)
        bounded = (known >> 1).astype(np.uint8)
        added = [Column.of_words(BOOLEAN, anomaly.astype(np.int64))]
        for row, seen in zip(out, (judged, judged, bounded, bounded), strict=True):
            added.append(Column.of_floats(DOUBLE, row, None if seen.all() else seen))
        return Out(delta.with_columns(self.schema, [*delta.columns, *added]))

    @staticmethod
    def _numbers(column: Column) -> tuple[Any, Any]:
        valid = column.valid()
        if column.type.layout is Layout.FLOATS:
            values = column.floats()
        elif column.type.layout is Layout.WORDS:
            values = column.words() / 10.0**column.type.scale
        else:
            limbs = column.limbs()
            low = limbs[:, 0].astype(np.uint64).astype(np.float64)
            values = (limbs[:, 1] * 2.0**64 + low) / 10.0**column.type.scale
        return np.ascontiguousarray(values, dtype=np.float64), np.ones(
            len(column), np.uint8
        ) if valid is None else valid

    def explain(self) -> dict[str, Any]:
        """Facts for EXPLAIN."""
        width = HEAD + self.depth + self.calibrate + 2 * self.peaks
        return {
            "operator": "Detect",
            "method": "DSPOT (Siffer et al., KDD 2017)",
            "keys": [self.input[k].name for k in self.keys],
            "value": self.input[self.value].name,
            "state": f"one model of {width * 8 // 1024} KiB per key",
            "bounded": "by the number of keys",
        }
