"""Format ``maxwell-json``: changes of MySQL rows as Maxwell writes them, with the fields that an update replaced.

A table names metadata columns ``METADATA FROM 'value.table'``. Rows of a bootstrap are insertions, its
begin and end are passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from deras.core.types import STRING, SqlType, array, timestamp_ltz
from deras.formats._changes import ChangeFormat, RowChanges, Texts, codes, joined, milliseconds, parsed

if TYPE_CHECKING:
    from deras.core.column import Column

_TYPES = {"insert": 1, "bootstrap-insert": 1, "delete": 2, "update": 3, "bootstrap-start": 0, "bootstrap-complete": 0}


class Format(ChangeFormat):
    """Maxwell's records; see the module."""

    name = "maxwell-json"
    metadata: ClassVar[dict[str, SqlType]] = {
        "database": STRING,
        "table": STRING,
        "primary-key-columns": array(STRING),
        "ingestion-timestamp": timestamp_ltz(3),
    }
    envelope: ClassVar[dict[str, str]] = {"type": "text", "data": "raw", "old": "raw"}
    reads: ClassVar[dict[str, dict[str, str]]] = {
        "database": {"database": "text"},
        "table": {"table": "text"},
        "primary-key-columns": {"primary_key_columns": "raw"},
        "ingestion-timestamp": {"ts": "number"},
    }
    wraps: ClassVar[dict[int, tuple[str, str, str]]] = {
        1: ('{"data":', ',"type":"insert"}', '{"data":'),
        -1: ('{"data":', ',"type":"delete"}', '{"data":'),
    }

    def changes_of(self, envelope: dict[str, Column], n: int) -> RowChanges:
        """The row of each record; before an update it had the fields of ``old``."""
        what = codes(envelope["type"], _TYPES)
        data, old = Texts.of(envelope["data"]), Texts.of(envelope["old"])
        return rows_of(what, data, old, np.arange(n), _unknown(envelope["type"], what))

    def metadata_of(self, key: str, type_: SqlType, envelope: dict[str, Column], schemas: Column | None) -> Column:
        """See :class:`ChangeFormat`."""
        if key == "ingestion-timestamp":
            return milliseconds(envelope["ts"], type_)
        if key == "primary-key-columns":
            return parsed(envelope["primary_key_columns"], type_)
        return envelope[key].with_type(type_)


def _unknown(types: Column, what: np.ndarray[tuple[int], np.dtype[np.int64]]) -> dict[int, str]:
    wrong = {}
    for i in np.flatnonzero(what < 0).tolist():
        name = types.slice(i, i + 1).values()[0]
        wrong[i] = "the record has no 'type'" if name is None else f"unknown type '{name}'"
    return wrong


def rows_of(
    what: np.ndarray[tuple[int], np.dtype[np.int64]],
    data: Texts,
    old: Texts,
    records: np.ndarray[tuple[int], np.dtype[np.int64]],
    wrong: dict[int, str],
) -> RowChanges:
    """Rows and the fields that they had before.

    Args:
        what: of each row: bit 0: it comes, bit 1: it goes, both: it is updated.
        data: the rows.
        old: for each row the fields that an update replaced.
        records: which envelope each belongs to.
        wrong: envelopes that are refused already.
    """
    n = len(what)
    goes, comes = (what > 0) & (what & 2 > 0), (what > 0) & (what & 1 > 0)
    for i in np.flatnonzero((goes | comes) & data.missing).tolist():
        wrong.setdefault(int(records[i]), "the record has no 'data'")
    for i in np.flatnonzero(goes & comes & old.missing).tolist():
        wrong.setdefault(int(records[i]), "an update without 'old'")
    good = ~np.isin(records, np.fromiter(wrong, np.int64, len(wrong)))
    gone, came = np.flatnonzero(goes & good), np.flatnonzero(comes & good)
    rows = np.concatenate([gone, came])
    order = np.argsort(rows, kind="stable")
    patches = np.concatenate([np.where(comes[gone], n + gone, -1), np.full(len(came), -1)])[order]
    weights = np.concatenate([np.full(len(gone), -1), np.full(len(came), 1)])[order]
    return RowChanges(joined([data, old]), rows[order], patches, records[rows[order]], weights, wrong)
