"""JSON text to Python values with nothing lost: numbers keep their text, lone surrogates and NaN are refused."""

from __future__ import annotations

import json
import re
from typing import Any

from deras.formats._exact import Number, json_text

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _refuse(name: str) -> Any:
    raise ValueError(f"not valid JSON: {name} is no JSON number")


_decoder = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=_refuse)


def parse(raw: bytes) -> Any:
    """The value of a JSON text (the last of equal keys wins).

    Raises:
        ValueError: what is wrong, with the column (from 1, in bytes for wrong UTF-8, else in characters).
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as e:
        raise ValueError(f"not valid UTF-8 (column {e.start + 1})") from None
    try:
        value = _decoder.decode(text)
        if _SURROGATE.search(text):
            json_text(value).encode("utf-8")
    except json.JSONDecodeError as e:
        line = f"line {e.lineno}, " if e.lineno > 1 else ""
        raise ValueError(f"not valid JSON: {e.msg[:1].lower()}{e.msg[1:]} ({line}column {e.colno})") from None
    except UnicodeEncodeError:
        at = _SURROGATE.search(text)
        raise ValueError(f"not valid JSON: half of a surrogate pair (column {at.start() + 1 if at else 0})") from None
    except RecursionError:
        raise ValueError("not valid JSON: nested too deeply") from None
    return value


def where(raw: bytes, name: str) -> str:
    """The column of a field's key in a record, for a message; "" if it cannot be told."""
    at = raw.find(json.dumps(name, ensure_ascii=False).encode())
    return f" (column {len(raw[:at].decode('utf-8', 'replace')) + 1})" if at >= 0 else ""
