"""Rows that leave the flow, as quarantine keeps them: the row as JSON text with reason, origin and time."""

from __future__ import annotations

import base64
import datetime
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from deras.core.records import Reason, Rejected
from deras.core.types import Kind, SqlType

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from deras.core.delta import Delta
    from deras.engine.operator import RowErrors


def rows_as_json(delta: Delta, rows: npt.NDArray[np.int64]) -> list[bytes]:
    """Some rows of a delta as JSON objects, one per row.

    Numbers keep all their digits, times are in SQL's form, bytes in base64; NaN and infinities are texts. A name that
    repeats gets a number.

    Args:
        delta: the rows.
        rows: positions to write, in this order.
    """
    names = _unique(delta.schema.names)
    taken = [(c.type, c.take(rows).values()) for c in delta.columns]
    columns = [[_json(t, v) for v in values] for t, values in taken]
    return [orjson.dumps({n: c[i] for n, c in zip(names, columns, strict=True)}) for i in range(len(rows))]


def _unique(names: Sequence[str]) -> list[str]:
    seen: set[str] = set()
    found = []
    for name in names:
        unique, n = name, 1
        while unique in seen:
            n += 1
            unique = f"{name}_{n}"
        seen.add(unique)
        found.append(unique)
    return found


def _json(t: SqlType, v: Any) -> Any:
    if v is None:
        return None
    kind = t.kind
    if kind is Kind.DECIMAL:
        return orjson.Fragment(format(v, "f"))
    if t.is_approximate:
        return v if math.isfinite(v) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(v, "NaN")
    if t.is_bytes:
        return base64.b64encode(v).decode()
    if kind is Kind.TIMESTAMP:
        return v.isoformat(" ")
    if kind is Kind.TIMESTAMP_LTZ:
        return v.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(" ") + "Z"
    if kind in (Kind.DATE, Kind.TIME):
        return v.isoformat()
    if kind is Kind.INTERVAL_DAY:
        return v // datetime.timedelta(milliseconds=1)
    if kind is Kind.ARRAY:
        return [_json(t.children[0], x) for x in v]
    if kind is Kind.ROW:
        return {n: _json(c, v[n]) for n, c in zip(t.names, t.children, strict=True)}
    if kind in (Kind.MAP, Kind.MULTISET):
        return {str(x["key"]): _json(t.children[1], x["value"]) if kind is Kind.MAP else x["value"] for x in v}
    return v


def event_times(delta: Delta, rowtime: int | None, rows: npt.NDArray[np.int64]) -> list[int | None]:
    """The rows' event times in ms, None where there is none."""
    if rowtime is None:
        return [None] * len(rows)
    column = delta.columns[rowtime].take(rows)
    valid = column.valid()
    ms = (column.words() // column.type.words_per_ms).tolist()
    return ms if valid is None else [t if ok else None for t, ok in zip(ms, valid.tolist(), strict=True)]


def reject_rows(
    delta: Delta,
    rows: npt.NDArray[np.int64],
    messages: Sequence[str],
    *,
    reason: Reason,
    origin: str,
    rowtime: int | None = None,
) -> Rejected:
    """Some rows of a delta as rejected ones.

    Args:
        delta: where the rows lie.
        rows: their positions.
        messages: one per row.
        reason: the class of the trouble.
        origin: table or operator.
        rowtime: position of the column with the event time, if there is one.
    """
    return Rejected(
        reason,
        origin,
        list(messages),
        rows_as_json(delta, rows),
        [""] * len(rows),
        event_times(delta, rowtime, rows),
    )


def reject_errors(delta: Delta, errors: Sequence[RowErrors], origin: str, rowtime: int | None = None) -> list[Rejected]:
    """The failed rows of a program. A row that goes (weight -1) was reported when it came, and is not again."""
    found = []
    for e in errors:
        rows, messages = e.rows, e.messages
        if delta.weights is not None:
            came = np.flatnonzero(delta.weights[rows] > 0)
            if len(came) < len(rows):
                rows, messages = rows[came], [messages[i] for i in came.tolist()]
        if len(rows):
            found.append(reject_rows(delta, rows, messages, reason=e.reason, origin=origin, rowtime=rowtime))
    return found


def without(delta: Delta, rows: npt.NDArray[np.int64]) -> Delta:
    """All rows but these."""
    keep = np.ones(delta.length, np.bool_)
    keep[rows] = False
    return delta.take(np.flatnonzero(keep))
