"""Comparisons of words: which types compare as their words do, and a product against a constant."""

from __future__ import annotations

import operator
from typing import Any

from deras.core.types import Kind, Layout, SqlType
from deras.sql.expr import nodes as e

COMPARE: dict[str, Any] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
FLIPPED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
LEAST, MOST = -(1 << 63), (1 << 63) - 1


def alike(a: SqlType, b: SqlType) -> bool:
    """Whether the words of two types compare as their values do."""
    if a.layout is not Layout.WORDS or b.layout is not Layout.WORDS:
        return False
    if a.is_integer and b.is_integer:
        return True
    if a.kind is not b.kind or a.kind is Kind.BOOLEAN:
        return False
    return a.nanoseconds == b.nanoseconds and (a.kind is not Kind.DECIMAL or a.scale == b.scale)


def whole_factor(op: str, product: e.Expr, value: int) -> tuple[str, e.Expr, Any] | None:
    """``x * constant op value`` as ``x op limit`` of words, for an exact DECIMAL product; None: not of this form.

    Args:
        op: a comparison.
        product: its left side.
        value: its right side, in the product's scale.
    """
    import numpy as np

    t = product.type
    if not isinstance(product, e.Call) or product.function.name != "*" or t.kind is not Kind.DECIMAL:
        return None
    if len(product.args) != 2 or sum(isinstance(a, e.Literal) for a in product.args) != 1:
        return None
    x, c = product.args if isinstance(product.args[1], e.Literal) else product.args[::-1]
    factor = c.value if isinstance(c, e.Literal) else None
    # A product of another scale is rounded, and one that may need more than 38 digits becomes NULL.
    if not factor or product.function.kind != "expression" or x.type.scale + c.type.scale != t.scale:
        return None
    if isinstance(x, e.Cast) and x.arg.type.is_integer and x.type.kind is Kind.DECIMAL and x.type.scale == 0:
        if 10**x.type.precision < 1 << (x.arg.type.bits - 1):
            return None
        x = x.arg
    if x.type.layout is not Layout.WORDS or isinstance(x, e.Literal):
        return None
    if factor < 0:
        op, factor, value = FLIPPED[op], -factor, -value
    whole, rest = divmod(value, factor)
    if op in ("=", "<>") and rest:
        return None
    limit = whole + 1 if rest and op in ("<", ">=") else whole
    return (op, x, np.int64(limit)) if LEAST <= limit <= MOST else None
