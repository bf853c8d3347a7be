"""The word that flows: columns of rows with weights and the watermark each row saw.

A delta is a Z-set in arrival order: weight +1 came, -1 went. Flink's +I -U +U -D exist only at the edge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from deras.core.column import Column
from deras.core.time import MIN_WATERMARK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deras.core.schema import Schema

Weights = npt.NDArray[np.int64]
Marks = npt.NDArray[np.int64]


class Delta:
    """A batch of changes.

    Args:
        schema: names and types of the columns.
        columns: one per field, all of the same length.
        weights: int64[n], or None if all are +1 (an append-only stream carries none).
        marks: int64[n]: the watermark (ms) that each row saw on arrival, i.e. before its own timestamp counted;
            or one int if all rows saw the same.
        length: needed only when there are no columns.
    """

    __slots__ = ("columns", "length", "marks", "schema", "weights")

    def __init__(
        self,
        schema: Schema,
        columns: Sequence[Column],
        weights: Weights | None = None,
        marks: Marks | int = MIN_WATERMARK,
        length: int | None = None,
    ) -> None:
        self.schema = schema
        self.columns = tuple(columns)
        self.weights = weights
        self.marks = marks
        self.length = len(columns[0]) if columns else (length or 0)

    # ---- making

    @classmethod
    def empty(cls, schema: Schema) -> Delta:
        """No rows."""
        return cls(schema, [Column.of_values(f.type, []) for f in schema])

    @classmethod
    def of(cls, schema: Schema, rows: Sequence[Sequence[Any]], weights: Sequence[int] | None = None) -> Delta:
        """From Python rows; for tests and small things."""
        columns = [Column.of_values(f.type, [r[i] for r in rows]) for i, f in enumerate(schema)]
        w = None if weights is None else np.array(weights, np.int64)
        return cls(schema, columns, w, length=len(rows))

    @classmethod
    def parse(cls, schema: Schema, text: str) -> Delta:
        """From a drawing, a row a line: ``+ 1 4`` came, ``- 7 5`` went; ``NULL``, 'quoted text' as in SQL."""
        import shlex

        rows, weights = [], []
        for line in text.strip().splitlines():
            sign, *cells = shlex.split(line.split("//")[0])
            weights.append({"+": 1, "-": -1, "+I": 1, "+U": 1, "-U": -1, "-D": -1}[sign])
            rows.append([None if c == "NULL" else c for c in cells])
        texts = [pl.Series("", [r[i] for r in rows], dtype=pl.String) for i in range(len(schema))]
        columns = []
        for f, s in zip(schema, texts, strict=True):
            from deras.core.types import Kind, polars_type

            target = polars_type(f.type)
            if f.type.kind is Kind.BOOLEAN:
                s = s.replace_strict({"true": True, "false": False, "TRUE": True, "FALSE": False}, default=None)
            elif f.type.is_timestamp:
                s = s.str.to_datetime(time_unit="ns" if f.type.nanoseconds else "us", strict=True).cast(target)
            else:
                s = s.cast(target)
            columns.append(Column.of_series(f.type, s))
        w = np.array(weights, np.int64)
        return cls(schema, columns, None if (w == 1).all() else w, length=len(rows))

    # ---- reading

    def __len__(self) -> int:
        return self.length

    def frame(self) -> pl.DataFrame:
        """The columns as a Polars frame named by position: ``"0"``, ``"1"``, … (SQL names may repeat)."""
        return pl.DataFrame([c.series().alias(str(i)) for i, c in enumerate(self.columns)])

    def weight_array(self) -> Weights:
        """The weights, ones where there are none."""
        return np.ones(self.length, np.int64) if self.weights is None else self.weights

    def mark_array(self) -> Marks:
        """The marks, one per row."""
        if isinstance(self.marks, np.ndarray):
            return self.marks
        return np.full(self.length, self.marks, np.int64)

    def rows(self) -> list[tuple[Any, ...]]:
        """Python rows without weights; for tests and small things."""
        if not self.columns:
            return [()] * self.length
        return list(zip(*(c.values() for c in self.columns), strict=True))

    def changes(self) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """(weight, row) in order."""
        return zip(self.weight_array().tolist(), self.rows(), strict=True)

    # ---- algebra

    def take(self, rows: npt.NDArray[np.int64]) -> Delta:
        """The rows at these positions, in this order."""
        return Delta(
            self.schema,
            [c.take(rows) for c in self.columns],
            None if self.weights is None else self.weights[rows],
            self.marks[rows] if isinstance(self.marks, np.ndarray) else self.marks,
            len(rows),
        )

    def slice(self, start: int, stop: int) -> Delta:
        """Rows start..stop, sharing memory."""
        return Delta(
            self.schema,
            [c.slice(start, stop) for c in self.columns],
            None if self.weights is None else self.weights[start:stop],
            self.marks[start:stop] if isinstance(self.marks, np.ndarray) else self.marks,
            stop - start,
        )

    def with_columns(self, schema: Schema, columns: Sequence[Column]) -> Delta:
        """Other columns for the same rows."""
        return Delta(schema, columns, self.weights, self.marks, self.length)

    def __neg__(self) -> Delta:
        return Delta(self.schema, self.columns, -self.weight_array(), self.marks, self.length)

    def __add__(self, other: Delta) -> Delta:
        return Delta.concat([self, other])

    def __sub__(self, other: Delta) -> Delta:
        return Delta.concat([self, -other])

    @staticmethod
    def concat(deltas: Sequence[Delta]) -> Delta:
        """One after the other, in order."""
        some = [d for d in deltas if d.length]
        if not some:
            return deltas[0]
        if len(some) == 1:
            return some[0]
        first = some[0]
        columns = [Column.concat([d.columns[i] for d in some]) for i in range(len(first.columns))]
        weights = None if all(d.weights is None for d in some) else np.concatenate([d.weight_array() for d in some])
        marks: Marks | int
        if all(isinstance(d.marks, int) and d.marks == first.marks for d in some):
            marks = first.marks
        else:
            marks = np.concatenate([d.mark_array() for d in some])
        return Delta(first.schema, columns, weights, marks, sum(d.length for d in some))

    def consolidate(self) -> Delta:
        """Equal rows merged (first arrival keeps its place), weights summed, zeros gone. For tests and the edge."""
        totals: dict[Any, int] = {}
        for w, r in self.changes():
            k = hashable(r)
            totals[k] = totals.get(k, 0) + w
        keep, weights, seen = [], [], set()
        for i, r in enumerate(self.rows()):
            k = hashable(r)
            if k not in seen and totals[k]:
                seen.add(k)
                keep.append(i)
                weights.append(totals[k])
        taken = self.take(np.array(keep, np.int64))
        summed = np.array(weights, np.int64)
        return Delta(self.schema, taken.columns, None if (summed == 1).all() else summed, taken.marks, len(keep))

    def __repr__(self) -> str:
        head = [f"{'+' if w > 0 else '-'}{abs(w) if abs(w) != 1 else ''} {r}" for w, r in list(self.changes())[:20]]
        return f"Delta[{', '.join(self.schema.names)}] {self.length} rows\n" + "\n".join(head)


def hashable(v: Any) -> Any:
    """A stand-in for a value that can be a key of a dict; floats are told apart by their bits, all NaNs are one."""
    if isinstance(v, (list, tuple)):
        return tuple(hashable(x) for x in v)
    if isinstance(v, dict):
        return tuple((k, hashable(x)) for k, x in v.items())
    if isinstance(v, float):
        return ("f", v.hex())
    return v
