"""From weights to Flink's row kinds, and from changes to the final table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.changelog import row_kinds
from deras.core.delta import hashable
from deras.core.types import Kind, SqlType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import polars as pl

    from deras.core.column import Column
    from deras.core.delta import Delta
    from deras.core.schema import Schema

Change = tuple[str, tuple[Any, ...]]
"""(row kind, values): +I, -U, +U or -D."""


def python_rows(delta: Delta) -> list[tuple[Any, ...]]:
    """The rows as Python values; a MAP is a dict, a MULTISET a dict of counts, a ROW a dict."""
    if not delta.columns:
        return [()] * delta.length
    return list(zip(*(_values(c) for c in delta.columns), strict=True))


def _values(column: Column) -> list[Any]:
    values = column.values()
    convert = _converter(column.type)
    return values if convert is None else [None if v is None else convert(v) for v in values]


def _converter(t: SqlType) -> Callable[[Any], Any] | None:
    inner = [_converter(c) for c in t.children]
    if t.kind in (Kind.MAP, Kind.MULTISET):
        key = inner[0] or _same
        value = (inner[1] if t.kind is Kind.MAP else None) or _same
        return lambda v: {key(e["key"]): None if e["value"] is None else value(e["value"]) for e in v}
    if t.kind is Kind.ARRAY and inner[0] is not None:
        one = inner[0]
        return lambda v: [None if x is None else one(x) for x in v]
    if t.kind is Kind.ROW and any(inner):
        each = dict(zip(t.names, inner, strict=True))
        return lambda v: {n: f(x) if (f := each[n]) is not None and x is not None else x for n, x in v.items()}
    return None


def _same(v: Any) -> Any:
    return v


def changes(delta: Delta, key: Sequence[int] | None) -> Iterator[Change]:
    """The rows of a delta with Flink's row kinds, in order; a weight beyond one repeats its row.

    Args:
        delta: rows and weights of one step.
        key: positions of the upsert key; () if there is one row in all, None if only whole rows tell rows apart.
    """
    rows = python_rows(delta)
    kinds = row_kinds(delta, key)
    if delta.weights is None:
        yield from zip(kinds, rows, strict=True)
        return
    for kind, weight, row in zip(kinds, delta.weights.tolist(), rows, strict=True):
        for _ in range(abs(weight)):
            yield kind, row


class Fold:
    """The final table of a changelog.

    Args:
        schema: of the rows.
        key: positions of the upsert key; () if there is one row in all, None if only whole rows tell rows apart.
    """

    def __init__(self, schema: Schema, key: Sequence[int] | None) -> None:
        self.schema = schema
        self.key = None if key is None else tuple(key)
        self._frames: list[pl.DataFrame] = []
        self._updating = False
        self.rows = 0
        """Changes taken."""

    def add(self, delta: Delta) -> None:
        """Take the changes of a step."""
        import polars as pl

        self.rows += delta.length
        frame = delta.frame()
        if not delta.columns:
            frame = pl.DataFrame({"_": np.zeros(delta.length, np.int8)})
        if delta.weights is not None:
            self._updating = True
        self._frames.append(frame.with_columns(pl.Series("w", delta.weight_array())))

    def frame(self) -> pl.DataFrame:
        """The rows that are left, in the order of their last change; columns as in SQL (repeated names numbered)."""
        import polars as pl

        from deras.core.delta import Delta

        if not self._frames:
            found = Delta.empty(self.schema).frame()
        else:
            found = pl.concat(self._frames, rechunk=True)
            if self._updating:
                found = self._as_bag(found) if self.key is None else self._by_key(found, self.key)
            found = found.drop("w")
        return found.rename(dict(zip(found.columns, unique_names(self.schema.names), strict=True)))

    @staticmethod
    def _by_key(frame: pl.DataFrame, key: tuple[int, ...]) -> pl.DataFrame:
        import polars as pl

        if not key:
            return frame.tail(1).filter(pl.col("w") > 0)
        subset = [str(k) for k in key]
        return frame.unique(subset=subset, keep="last", maintain_order=True).filter(pl.col("w") > 0)

    @staticmethod
    def _as_bag(frame: pl.DataFrame) -> pl.DataFrame:
        totals: dict[Any, int] = {}
        last: dict[Any, int] = {}
        for i, row in enumerate(frame.rows()):
            k = hashable(row[:-1])
            totals[k] = totals.get(k, 0) + row[-1]
            last[k] = i
        places = [i for k, i in sorted(last.items(), key=lambda e: e[1]) for _ in range(max(0, totals[k]))]
        return frame[places]


def unique_names(names: Sequence[str]) -> list[str]:
    """Column names for a frame: repeated ones get a number."""
    seen: set[str] = set()
    found = []
    for name in names:
        made, i = name, 0
        while made in seen:
            made, i = f"{name}{i}", i + 1
        seen.add(made)
        found.append(made)
    return found
