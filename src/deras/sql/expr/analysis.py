"""Questions that planning asks of expressions."""

from __future__ import annotations

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
