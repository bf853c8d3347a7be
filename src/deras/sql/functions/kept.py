"""Values that users' functions keep (accumulators, state of process functions) as JSON, for checkpoints."""

from __future__ import annotations

import base64
import collections
import datetime
import json
from decimal import Decimal
from typing import Any

import numpy as np

from deras.core.errors import ConfigError
from deras.sql.functions.pyflink.row import Row, RowKind
from deras.sql.functions.pyflink.views import ListView, MapView

HINT = (
    "Keep numbers, texts, bytes, dates, times, Decimals, and lists, tuples, sets, dicts, deques, Counters or Rows of "
    "them."
)
_PLAIN = (type(None), bool, int, float, str)


def dumps(value: Any, who: str) -> str:
    """A value as text.

    Args:
        value: numbers, texts, bytes, dates, times, Decimals, and collections of them.
        who: whose it is, for the message.

    Raises:
        ConfigError: something in it cannot be kept.
    """
    return json.dumps(_json(value, who), ensure_ascii=False, separators=(",", ":"))


def loads(text: str) -> Any:
    """What :func:`dumps` wrote."""
    return _value(json.loads(text))


def _json(x: Any, who: str) -> Any:
    t = type(x)
    if t in _PLAIN:
        return x
    if t is list:
        return [_json(v, who) for v in x]
    if isinstance(x, np.generic):
        return _json(x.item(), who)
    match x:
        case tuple() if t is tuple:
            return {"tuple": [_json(v, who) for v in x]}
        case collections.Counter() if t is collections.Counter:
            return {"counter": _items(x, who)}
        case dict() if t in (dict, collections.OrderedDict):
            return {"dict": _items(x, who)}
        case set() | frozenset():
            return {t.__name__: sorted((_json(v, who) for v in x), key=json.dumps)}
        case collections.deque():
            return {"deque": [x.maxlen, [_json(v, who) for v in x]]}
        case bytes() | bytearray():
            return {t.__name__: base64.b64encode(x).decode()}
        case Decimal():
            return {"decimal": str(x)}
        case datetime.datetime():
            return {"datetime": x.isoformat()}
        case datetime.date():
            return {"date": x.isoformat()}
        case datetime.time():
            return {"time": x.isoformat()}
        case datetime.timedelta():
            return {"timedelta": [x.days, x.seconds, x.microseconds]}
        case Row():
            return {"row": [x._names, x._kind.value, [_json(v, who) for v in x._values]]}
        case ListView():
            return {"list_view": [_json(v, who) for v in x]}
        case MapView():
            return {"map_view": _items(dict(x.items()), who)}
    raise ConfigError(f"{who} keeps a {t.__module__}.{t.__qualname__}, which a checkpoint cannot hold", hint=HINT)


def _items(x: Any, who: str) -> list[Any]:
    return [[_json(k, who), _json(v, who)] for k, v in x.items()]


def _dict(x: list[Any]) -> dict[Any, Any]:
    return {_value(k): _value(v) for k, v in x}


def _list(x: list[Any]) -> list[Any]:
    return [_value(v) for v in x]


def _row(x: list[Any]) -> Row:
    names, kind, values = x
    row = Row(*_list(values))
    row.set_field_names(names)
    row.set_row_kind(RowKind(kind))
    return row


_MADE: dict[str, Any] = {
    "tuple": lambda x: tuple(_list(x)),
    "counter": lambda x: collections.Counter(_dict(x)),
    "dict": _dict,
    "set": lambda x: set(_list(x)),
    "frozenset": lambda x: frozenset(_list(x)),
    "deque": lambda x: collections.deque(_list(x[1]), x[0]),
    "bytes": base64.b64decode,
    "bytearray": lambda x: bytearray(base64.b64decode(x)),
    "decimal": Decimal,
    "datetime": datetime.datetime.fromisoformat,
    "date": datetime.date.fromisoformat,
    "time": datetime.time.fromisoformat,
    "timedelta": lambda x: datetime.timedelta(*x),
    "row": _row,
    "list_view": lambda x: ListView(_list(x)),
    "map_view": lambda x: MapView(_dict(x)),
}


def _value(x: Any) -> Any:
    if isinstance(x, list):
        return _list(x)
    if isinstance(x, dict):
        [(kind, given)] = x.items()
        return _MADE[kind](given)
    return x
