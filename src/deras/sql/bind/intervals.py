"""INTERVAL literals as months or milliseconds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from deras.core.errors import BindError
from deras.core.types import INTERVAL_DAY, INTERVAL_MONTH, SqlType

if TYPE_CHECKING:
    from deras.sql.syntax.ast import IntervalLiteral

UNIT_MS = {
    "MILLISECOND": 1, "SECOND": 1000, "MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000, "WEEK": 604_800_000,
}  # fmt: skip
UNIT_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_ORDER = ("DAY", "HOUR", "MINUTE", "SECOND")
_PATTERN = {"DAY": r"(\d+)", "HOUR": r"(\d+)", "MINUTE": r"(\d+)", "SECOND": r"(\d+(?:\.\d{1,9})?)"}


def interval_value(x: IntervalLiteral) -> tuple[SqlType, int]:
    """The type and value (months or ms) of a literal; ``BindError`` if its text does not fit its unit."""
    sign = -1 if x.negative else 1
    text = x.value.strip()
    if text[:1] in "+-" and text:
        sign = -sign if text[0] == "-" else sign
        text = text[1:].strip()
    unit, to = x.unit.upper(), (x.to_unit or "").upper()
    if unit in UNIT_MONTHS:
        if to == "MONTH" and unit == "YEAR":
            m = re.fullmatch(r"(\d+)-(\d+)", text)
            if m is None or int(m[2]) > 11:
                raise _wrong(x, "INTERVAL '1-6' YEAR TO MONTH")
            return INTERVAL_MONTH, sign * (int(m[1]) * 12 + int(m[2]))
        if not text.isdigit():
            raise _wrong(x, f"INTERVAL '2' {unit}")
        return INTERVAL_MONTH, sign * int(text) * UNIT_MONTHS[unit]
    if unit not in UNIT_MS:
        raise BindError(f"there is no interval unit {x.unit}", span=x.span)
    if not to or to == unit:
        m = re.fullmatch(r"\d+(\.\d{1,9})?" if unit == "SECOND" else r"\d+", text)
        if m is None:
            raise _wrong(x, f"INTERVAL '10' {unit}")
        whole, _, part = text.partition(".")
        return INTERVAL_DAY, sign * (int(whole) * UNIT_MS[unit] + int(part.ljust(3, "0")[:3] or 0))
    span = _ORDER[_ORDER.index(unit) : _ORDER.index(to) + 1]
    pattern = _PATTERN[span[0]]
    for part in span[1:]:
        pattern += (r"\s+" if part == "HOUR" else ":") + _PATTERN[part]
    m = re.fullmatch(pattern, text)
    if m is None:
        raise _wrong(x, f"INTERVAL '1 02:03:04' DAY TO SECOND for {unit} TO {to}")
    total = 0
    for part, value in zip(span, m.groups(), strict=True):
        whole, _, rest = value.partition(".")
        total += int(whole) * UNIT_MS[part] + int(rest.ljust(3, "0")[:3] or 0)
    return INTERVAL_DAY, sign * total


def _wrong(x: IntervalLiteral, example: str) -> BindError:
    return BindError(f"'{x.value}' does not fit the interval's unit", span=x.span, hint=f"Write for example {example}.")
