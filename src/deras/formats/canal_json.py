"""Format ``canal-json``: changes of MySQL rows as Canal writes them: several rows a record, and what updates replaced.

A table names metadata columns ``METADATA FROM 'value.table'``. Statements that change no row (CREATE, ALTER, QUERY …)
are passed over; TRUNCATE and ERASE are refused, as the rows that go are not known.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from deras.core.options import Option
from deras.core.types import INT, STRING, SqlType, array, map_of, timestamp_ltz
from deras.formats._changes import ChangeFormat, RowChanges, Texts, codes, milliseconds, parsed
from deras.formats.maxwell_json import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.column import Column

_TYPES = {"INSERT": 1, "DELETE": 2, "UPDATE": 3}
_PASSED = ("CREATE", "ALTER", "QUERY", "RENAME", "CINDEX", "DINDEX")


def _pattern(text: str) -> str | None:
    try:
        re.compile(text)
    except re.error as e:
        return f"{text!r} is no regular expression: {e}"
    return None


class Format(ChangeFormat):
    """Canal's records; see the module."""

    name = "canal-json"
    options: ClassVar[Sequence[Option]] = (
        *ChangeFormat.options,
        Option("database.include", help="Only records whose database matches this pattern.", check=_pattern),
        Option("table.include", help="Only records whose table matches this pattern.", check=_pattern),
    )
    metadata: ClassVar[dict[str, SqlType]] = {
        "database": STRING,
        "table": STRING,
        "sql-type": map_of(STRING, INT),
        "pk-names": array(STRING),
        "ingestion-timestamp": timestamp_ltz(3),
        "event-timestamp": timestamp_ltz(3),
    }
    envelope: ClassVar[dict[str, str]] = {
        "type": "text",
        "data": "raw",
        "old": "raw",
        "database": "text",
        "table": "text",
    }
    reads: ClassVar[dict[str, dict[str, str]]] = {
        "database": {},
        "table": {},
        "sql-type": {"sqlType": "raw"},
        "pk-names": {"pkNames": "raw"},
        "ingestion-timestamp": {"ts": "number"},
        "event-timestamp": {"es": "number"},
    }
    wraps: ClassVar[dict[int, tuple[str, str, str]]] = {
        1: ('{"data":[', '],"type":"INSERT"}', '{"data":['),
        -1: ('{"data":[', '],"type":"DELETE"}', '{"data":['),
    }

    def changes_of(self, envelope: dict[str, Column], n: int) -> RowChanges:
        """All rows of each record; before an update they had the fields of their object in ``old``."""
        what = codes(envelope["type"], {**_TYPES, **dict.fromkeys(_PASSED, 0)})
        for name, option in (("database", "database.include"), ("table", "table.include")):
            pattern = self.option(option)
            if pattern is not None:
                what[~_matches(envelope[name], pattern)] = 0
        wrong: dict[int, str] = {}
        for i in np.flatnonzero(what < 0).tolist():
            given = envelope["type"].slice(i, i + 1).values()[0]
            wrong[i] = "the record has no 'type'" if given is None else f"unknown type '{given}'"
        data, old = Texts.of(envelope["data"]), Texts.of(envelope["old"])
        data.spans[what <= 0] = -1
        old.spans[what != _TYPES["UPDATE"]] = -1
        for i in np.flatnonzero((what > 0) & data.missing).tolist():
            wrong[i] = "the record has no 'data'"
        rows, counts = data.elements()
        replaced, fewer = old.elements()
        updates = what == _TYPES["UPDATE"]
        for i in np.flatnonzero((counts < 0) | (updates & (counts != fewer))).tolist():
            wrong.setdefault(i, "'data' is no array" if counts[i] < 0 else "'old' has not as many rows as 'data'")
        counts = np.maximum(counts, 0)
        records = np.repeat(np.arange(n), counts)
        before = np.full((len(records), 2), -1, np.int64)
        # Where the numbers differ the record is refused, so that its rows need no partner.
        paired = updates & (counts == fewer)
        before[paired[records]] = replaced.spans[np.repeat(paired, np.maximum(fewer, 0))]
        return rows_of(what[records], rows, Texts(replaced.data, before), records, wrong)

    def metadata_of(self, key: str, type_: SqlType, envelope: dict[str, Column], schemas: Column | None) -> Column:
        """See :class:`ChangeFormat`."""
        if key.endswith("-timestamp"):
            return milliseconds(envelope["ts" if key.startswith("ingestion") else "es"], type_)
        if key == "sql-type":
            return parsed(envelope["sqlType"], type_)
        if key == "pk-names":
            return parsed(envelope["pkNames"], type_)
        return envelope[key].with_type(type_)


def _matches(column: Column, pattern: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which texts match a pattern as a whole; few differ, so each is asked once."""
    s = column.series()
    known = s.unique().to_list()
    good = [t for t in known if t is not None and re.fullmatch(pattern, t)]
    return s.is_in(good).fill_null(value=False).to_numpy()
