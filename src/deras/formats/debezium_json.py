"""Format ``debezium-json``: changes of database rows as Debezium writes them, with the row before and after.

Read: ``op`` c and r are insertions, u an update, d a deletion. Written: an update is a deletion and an insertion, as
Flink's. Options and metadata columns are Flink's; a table names the latter ``METADATA FROM 'value.source.table'``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from deras.core.column import Column
from deras.core.options import Option
from deras.core.types import STRING, SqlType, map_of, timestamp_ltz
from deras.formats._changes import ChangeFormat, RowChanges, Texts, codes, joined, parsed
from deras.formats._exact import json_text

if TYPE_CHECKING:
    from collections.abc import Sequence

_OPS = {"c": 1, "r": 1, "u": 3, "d": 2}  # bit 0: a row comes, bit 1: a row goes
_SOURCE = {"timestamp": "ts_ms", "database": "db", "schema": "schema", "table": "table"}


class Format(ChangeFormat):
    """Debezium's records; see the module."""

    name = "debezium-json"
    options: ClassVar[Sequence[Option]] = (
        Option("schema-include", "bool", "Whether records hold their schema beside the 'payload'.", False),
        *ChangeFormat.options,
    )
    metadata: ClassVar[dict[str, SqlType]] = {
        "schema": STRING,
        "ingestion-timestamp": timestamp_ltz(3),
        "source.timestamp": timestamp_ltz(3),
        "source.database": STRING,
        "source.schema": STRING,
        "source.table": STRING,
        "source.properties": map_of(STRING, STRING),
    }
    envelope: ClassVar[dict[str, str]] = {"before": "raw", "after": "raw", "op": "text"}
    reads: ClassVar[dict[str, dict[str, str]]] = {
        "schema": {},
        "ingestion-timestamp": {"ts_ms": "number"},
        **{f"source.{x}": {"source": "raw"} for x in (*_SOURCE, "properties")},
    }
    wraps: ClassVar[dict[int, tuple[str, str, str]]] = {
        1: ('{"before":null,"after":', ',"op":"c"}', '{"after":'),
        -1: ('{"before":', ',"after":null,"op":"d"}', '{"before":'),
    }

    def wrapped(self) -> bool:
        """As ``schema-include`` says."""
        return bool(self.option("schema-include"))

    def changes_of(self, envelope: dict[str, Column], n: int) -> RowChanges:
        """Before and after of each record, as its op asks."""
        what = codes(envelope["op"], _OPS)
        before, after = Texts.of(envelope["before"]), Texts.of(envelope["after"])
        known = what >= 0
        goes, comes = known & (what & 2 > 0), known & (what & 1 > 0)
        wrong: dict[int, str] = {}
        for i in np.flatnonzero(~known).tolist():
            op = envelope["op"].slice(i, i + 1).values()[0]
            wrong[i] = "the record has no 'op'" if op is None else f"unknown op '{op}'"
        for i in np.flatnonzero(goes & before.missing).tolist():
            wrong[i] = (
                "the row before the change is missing: does the table of the database give it "
                "(PostgreSQL: REPLICA IDENTITY FULL)?"
            )
        for i in np.flatnonzero(comes & after.missing).tolist():
            wrong.setdefault(i, "the row after the change is missing")
        goes, comes = goes & ~before.missing, comes & ~after.missing
        bad = np.zeros(n, bool)
        bad[list(wrong)] = True
        gone, came = np.flatnonzero(goes & ~bad), np.flatnonzero(comes & ~bad)
        records = np.concatenate([gone, came])
        order = np.argsort(records, kind="stable")
        rows = np.concatenate([gone, n + came])[order]
        weights = np.concatenate([np.full(len(gone), -1), np.full(len(came), 1)])[order]
        return RowChanges(joined([before, after]), rows, np.full(len(rows), -1), records[order], weights, wrong)

    def metadata_of(self, key: str, type_: SqlType, envelope: dict[str, Column], schemas: Column | None) -> Column:
        """See :class:`ChangeFormat`."""
        n = len(envelope["op"])
        if key == "schema":
            if schemas is None:
                return Column.nulls(type_, n)
            return Column.of_values(type_, [None if v is None else v.decode() for v in schemas.values()])
        if key == "ingestion-timestamp":
            from deras.formats._changes import milliseconds

            return milliseconds(envelope["ts_ms"], type_)
        if key == "source.properties":
            return parsed(envelope["source"], type_, lambda v: {k: _text(x) for k, x in v.items()})
        field = _SOURCE[key.removeprefix("source.")]
        if field == "ts_ms":
            return parsed(envelope["source"], type_, lambda v: _instant(v.get(field)))
        return parsed(envelope["source"], type_, lambda v: v.get(field))


def _text(v: Any) -> str | None:
    return v if v is None or isinstance(v, str) else json_text(v)


def _instant(v: Any) -> str | None:
    import datetime as dt

    if v is None:
        return None
    at = dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=int(v))  # noqa: DTZ001 (UTC, written as such)
    return f"{at.isoformat(' ', 'milliseconds')}Z"
