"""Questions that planning asks of expressions."""

from __future__ import annotations

from deras.core.types import Kind
from deras.sql.expr import nodes as e


def fallible(x: e.Expr) -> bool:
    """Whether a row can fail in this expression."""
    from deras.sql.expr.compile import Compiler

    top = max(e.refs(x), default=-1) + 1
    return Compiler([x.type] * top).compile(x).error is not None


def movable(x: e.Expr) -> bool:
    """Whether a condition may be asked of other rows than it was written for: it neither fails nor changes."""
    return e.deterministic(x) and not fallible(x)


def volatile(x: e.Expr) -> bool:
    """Whether two evaluations for one row in one step may differ (RAND, UUID, such Python functions)."""
    for y in x.walk():
        if isinstance(y, e.Call) and not y.function.deterministic and y.function.name != "PROCTIME":
            return True
        if isinstance(y, e.UdfCall) and not y.udf.deterministic:
            return True
    return False


def bound(x: e.Expr) -> int | None:
    """What the absolute value of an exact number never exceeds (of a DECIMAL: of its scaled integer); None: unknown."""
    if isinstance(x, e.Literal):
        return int(abs(x.value)) if isinstance(x.value, int) else None
    if x.type.is_integer:
        return int(1 << (x.type.bits - 1))
    if x.type.kind is not Kind.DECIMAL:
        return None
    most: int = 10**x.type.precision - 1
    if isinstance(x, e.Cast) and x.arg.type.is_integer:
        found, unit = bound(x.arg), int(10**x.type.scale)
        return None if found is None else min(found * unit, most)
    if isinstance(x, e.Call) and x.function.name == "*" and len(x.args) == 2:
        a, b = x.args
        left, right = bound(a), bound(b)
        # A product of another scale is rounded.
        if left is not None and right is not None and x.type.scale == a.type.scale + b.type.scale:
            return min(left * right, most)
    return most
