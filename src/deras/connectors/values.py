"""Constant rows: what ``VALUES`` in a statement reads. Made by the planner; in CREATE TABLE it is for tests.

With ``'changelog-mode'`` a table is a changelog whose changes a test gives; such a table has no rows of its own.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from deras.core.column import Column
from deras.core.contracts import Connector as BaseConnector
from deras.core.contracts import Reader, Source, SourceDelivery, TableContext
from deras.core.delta import Delta
from deras.core.options import Option
from deras.core.records import Records
from deras.core.types import Layout, SqlType, polars_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deras.core.contracts import Changes, Format
    from deras.core.records import Offset
    from deras.core.schema import Schema


def _value(v: Any) -> Any:
    if isinstance(v, dict):
        return bytes.fromhex(v["b"]) if "b" in v else float.fromhex(v["f"])
    return v


def column(type_: SqlType, values: list[Any]) -> Column:
    """A column of physical values (scaled integers, µs, days …)."""
    if type_.layout in (Layout.WORDS, Layout.LIMBS):
        valid = np.array([v is not None for v in values], np.uint8)
        numbers = [0 if v is None else int(v) for v in values]
        mask = None if valid.all() else valid
        if type_.layout is Layout.WORDS:
            return Column.of_words(type_, np.array(numbers, np.int64), mask)
        limbs = np.array([[((v + (1 << 63)) % (1 << 64)) - (1 << 63), v >> 64] for v in numbers], np.int64)
        return Column.of_limbs(type_, limbs.reshape(-1, 2), mask)
    import polars as pl

    return Column.of_series(type_, pl.Series("", values, dtype=polars_type(type_)))


class _Reader(Reader):
    def __init__(self, schema: Schema, rows: list[list[Any]], done: bool) -> None:
        self._schema = schema
        self._rows = rows
        self._done = done

    def poll(self, limit: int, wait: float) -> Records | None:
        if self._done:
            return None
        self._done = True
        columns = [column(f.type, [_value(r[i]) for r in self._rows]) for i, f in enumerate(self._schema)]
        delta = Delta(self._schema, columns, length=len(self._rows))
        return Records({"done": True}, delta=delta, count=len(self._rows))


class _Source(Source):
    delivery: ClassVar[SourceDelivery] = "exactly-once"
    bounded = True

    def __init__(self, table: TableContext) -> None:
        self._schema = table.schema
        self._rows: list[list[Any]] = json.loads(table.options["rows"])

    def parts(self) -> list[str]:
        return ["values"]

    def open(self, part: str, at: Offset | None) -> Reader:
        return _Reader(self._schema, self._rows, bool(at and at.get("done")))


class Connector(BaseConnector):
    """Constant rows."""

    name = "values"
    options: ClassVar[Sequence[Option]] = (
        Option("rows", help="The rows as JSON arrays of physical values.", default="[]"),
        Option(
            "changelog-mode",
            "enum",
            "Which changes it gives: insertions, upserts by PRIMARY KEY (without or with the row before), all.",
            "I",
            choices=("I", "I,UA,D", "I,UB,UA,D"),
        ),
        Option("count", "int", "The number of rows."),
    )

    @classmethod
    def changes(cls, options: Mapping[str, str], format_: type[Format] | None) -> Changes:  # noqa: ARG003
        """As ``'changelog-mode'`` says."""
        modes: dict[str, Changes] = {"I,UA,D": "upsert", "I,UB,UA,D": "all"}
        return modes.get(options.get("changelog-mode", "I"), "insert")

    def source(self, table: TableContext) -> Source:
        """The rows, once."""
        return _Source(table)
