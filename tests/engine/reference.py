"""Aggregates and windows in plain Python, row at a time: what the kernels are compared with."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal, getcontext
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from deras.core.types import Kind, SqlType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.engine.aggregates import AggregateCall

getcontext().prec = 120
MIN = -(1 << 63)


def wrap(x: int, bits: int) -> int:
    x &= (1 << bits) - 1
    return x - (1 << bits) if x >> (bits - 1) else x


def cut(a: int, b: int) -> int:
    q = abs(a) // abs(b)
    return q if (a < 0) == (b < 0) else -q


def order(x: Any) -> Any:
    if isinstance(x, float):
        if math.isnan(x):
            return (1, 0.0, 0)
        return (0, x, math.copysign(1, x))
    if isinstance(x, str):
        return x.encode()
    return x


def identity(x: Any) -> Any:
    return ("nan" if math.isnan(x) else x.hex()) if isinstance(x, float) else x


def total(values: list[float]) -> float:
    if any(math.isnan(x) for x in values) or {math.inf, -math.inf} <= set(values):
        return math.nan
    special = [x for x in values if math.isinf(x)]
    return special[0] if special else float(sum((Fraction(x) for x in values), Fraction()))


def decimal(x: Fraction, t: SqlType) -> Decimal | None:
    unit = Decimal(1).scaleb(-t.scale)
    found = (Decimal(x.numerator) / Decimal(x.denominator)).quantize(unit, ROUND_HALF_UP)
    return found if abs(found.scaleb(t.scale)) < 10**t.precision else None


def result(call: AggregateCall, t: SqlType | None, values: list[Any]) -> Any:
    """Of the values that count (no NULLs; for ``COUNT(*)`` anything), in order of arrival."""
    if call.distinct:
        values = list({identity(v): v for v in values}.values())
    n = len(values)
    name = call.function
    if name == "COUNT":
        return n
    if n == 0:
        return None
    assert t is not None
    if name in ("MIN", "MAX"):
        return (min if name == "MIN" else max)(values, key=order)
    if name == "FIRST_VALUE":
        return values[0]
    if name == "LAST_VALUE":
        return values[-1]
    if t.is_integer:
        s = sum(values)
        if name == "SUM":
            return wrap(s, t.bits)
        if name == "AVG":
            return wrap(cut(wrap(s, 64), n), t.bits)
        m = n - 1 if "SAMP" in name else n
        if m == 0:
            return None
        x = (n * sum(v * v for v in values) - s * s) // (n * m)  # exact, then cut
        return math.isqrt(max(x, 0)) if "STDDEV" in name else x
    if t.kind is Kind.DECIMAL:
        exact = [Fraction(v) for v in values]
        if name == "SUM":
            return decimal(sum(exact, Fraction()), call.type)
        return decimal(sum(exact, Fraction()) / n, call.type)
    if name == "SUM":
        return total(values)
    if name == "AVG":
        x = total(values)
        return x / n if not math.isfinite(x) else float(sum((Fraction(v) for v in values), Fraction()) / n)
    m = n - 1 if "SAMP" in name else n
    if m == 0:
        return None
    if not all(map(math.isfinite, values)):
        return math.nan
    exact = [Fraction(v) for v in values]
    mean = sum(exact, Fraction()) / n
    x = sum(((v - mean) ** 2 for v in exact), Fraction()) / m
    return math.sqrt(x) if "STDDEV" in name else float(x)


def counted(call: AggregateCall, rows: Sequence[Sequence[Any]]) -> list[Any]:
    """The values of the rows that an aggregate counts."""
    rows = [r for r in rows if call.filter is None or r[call.filter]]
    if call.arg is None:
        return list(rows)
    return [r[call.arg] for r in rows if r[call.arg] is not None]


def aggregate(call: AggregateCall, t: SqlType | None, rows: Sequence[Sequence[Any]]) -> Any:
    return result(call, t, counted(call, rows))


def windows(kind: str, size: int, slide: int, offset: int, t: int) -> list[tuple[int, int]]:
    """Start and end of every window of a time, by end."""
    if kind == "tumble":
        s = (t - offset) // size * size + offset
        return [(s, s + size)]
    if kind == "hop":
        last = (t - offset) // slide * slide + offset
        starts = list(range(last, t - size, -slide))
        return [(s, s + size) for s in reversed(starts)]
    s = (t - offset) // size * size + offset
    first = (t - offset) // slide * slide + offset + slide
    return [(s, e) for e in range(first, s + size + 1, slide)]


def same(a: Any, b: Any) -> bool:
    """Equal, floats to 1e-9."""
    if isinstance(a, float) and isinstance(b, float):
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    return a == b
