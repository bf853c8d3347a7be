"""Operations of :mod:`deras.sql.expr.direct`: values and where they are known, by NumPy.

Of a BOOLEAN the values are a mask that is True where it is TRUE, and so never where it is NULL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deras.core.column import Column, Views
from deras.core.types import Kind, Layout, SqlType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Mask = npt.NDArray[np.bool_]
Part = tuple[Any, "Mask | None"]
"""Values (int64, float64, bool, int64[n, 2] or ``Views``; a constant: one value) and where they are not NULL."""

_INLINE = 12


def known_of(c: Column) -> Mask | None:
    """Where a column is not NULL; None: everywhere."""
    valid = c.valid()
    return None if valid is None else valid.view(np.bool_)


def read_truth(c: Column) -> Part:
    """A BOOLEAN column."""
    known = known_of(c)
    return truth(c.words() != 0, known)


READ: dict[Layout, Callable[[Column], Part]] = {
    Layout.WORDS: lambda c: (c.words(), known_of(c)),
    Layout.FLOATS: lambda c: (c.floats(), known_of(c)),
    Layout.LIMBS: lambda c: (c.limbs(), known_of(c)),
    Layout.VIEWS: lambda c: (c.views(), known_of(c)),
}
ARITHMETIC: dict[str, Any] = {"+": np.add, "-": np.subtract, "*": np.multiply}


def truth(found: Mask, known: Mask | None) -> Part:
    """A comparison of values that are known there."""
    return (found, None) if known is None else (found & known, known)


def both_known(a: Mask | None, b: Mask | None) -> Mask | None:
    """Where both are known."""
    return b if a is None else a if b is None else a & b


def all_of(_: Any, *parts: Part) -> Part:
    """AND."""
    true = parts[0][0]
    for found, _ in parts[1:]:
        true = true & found
    if all(known is None for _, known in parts):
        return true, None
    # Known where all are known, and where one is FALSE.
    all_known: Mask | None = None
    some_false: Any = np.False_
    for found, known in parts:
        all_known = both_known(all_known, known)
        some_false = some_false | (~found if known is None else known & ~found)
    return true, all_known | some_false


def any_of(_: Any, *parts: Part) -> Part:
    """OR."""
    true = parts[0][0]
    for found, _ in parts[1:]:
        true = true | found
    known: Mask | None = None
    for _, k in parts:
        known = both_known(known, k)
    return true, None if known is None else known | true


def negated(_: Any, a: Part) -> Part:
    """NOT."""
    true, known = a
    return (~true, None) if known is None else (known & ~true, known)


def null(known: Mask | None, n: int, *, wanted: bool) -> Part:
    """IS [NOT] NULL of what is known there."""
    if known is None:
        return np.full(n, not wanted), None
    return (~known if wanted else known), None


def truth_test(what: str, a: Part) -> Part:
    """IS TRUE, NOT TRUE … UNKNOWN."""
    true, known = a
    if "UNKNOWN" in what:
        return null(known, len(true), wanted=what == "UNKNOWN")
    found = true if "TRUE" in what else negated(None, a)[0]
    return (~found if what.startswith("NOT") else found), None


def quiet(do: Any, a: Any, b: Any) -> Any:
    """Arithmetic of floats without warnings."""
    with np.errstate(all="ignore"):
        return do(a, b)


def wrapped(words: Any, narrow: Any) -> Any:
    """Words cut to a narrower integer; None: as they are."""
    return words if narrow is None else words.astype(narrow).astype(np.int64)


def quotient(a: Any, divisor: Any) -> Any:
    """Toward zero."""
    found = a // divisor
    return found + ((a < 0) & (found * divisor != a))


def remainder(a: Any, divisor: Any) -> Any:
    """With the sign of ``a``."""
    rest = a - (a // divisor) * divisor
    low = a < 0
    return np.where(low & (rest != 0), rest - divisor, rest) if low.any() else rest


def choose_values(n: int, masks: list[Mask], constant: list[bool], results: list[Any], t: SqlType) -> Part:
    """CASE of values in arrays: the first mask that is True chooses, else the last result (None: NULL)."""
    truth = t.kind is Kind.BOOLEAN
    shape = (n, 2) if t.layout is Layout.LIMBS else n
    out = np.zeros(shape, np.bool_ if truth else np.float64 if t.layout is Layout.FLOATS else np.int64)
    known = np.ones(n, np.bool_)
    nulls = False
    for k in range(len(results) - 1, -1, -1):
        where: Any = masks[k] if k < len(masks) else True
        values, sure = (results[k], None) if constant[k] else results[k]
        if constant[k] and values is None:
            values, sure = out.dtype.type(0), np.False_
        at = where[:, None] if t.layout is Layout.LIMBS and k < len(masks) else where
        np.copyto(out, values, where=at)
        if sure is not None or nulls:
            np.copyto(known, np.True_ if sure is None else sure, where=where)
            nulls = True
    return out, known if nulls else None


def constant_views(texts: Sequence[bytes | None]) -> tuple[npt.NDArray[np.uint64], list[Any]]:
    """The views of constants (of None: an empty one), and the buffer of the long ones, if there are any."""
    heads = np.zeros((len(texts), 2), np.uint64)
    long = b""
    for k, text in enumerate(texts):
        if text is None:
            continue
        inside = text.ljust(_INLINE, b"\0")
        if len(text) > _INLINE:
            inside = text[:4] + b"\0" * 4 + len(long).to_bytes(4, "little")
            long += text
        heads[k] = np.frombuffer(len(text).to_bytes(4, "little") + inside, np.uint64)
    return heads, [np.frombuffer(long, np.uint8)] if long else []


def choose_views(
    n: int,
    masks: list[Mask],
    constant: list[bool],
    results: list[Any],
    constants: tuple[npt.NDArray[np.uint64], list[Any]],
) -> Part:
    """CASE of texts: as :func:`choose_values`; ``constants``: the views of all results, of those that are constant."""
    heads, buffers = constants
    last = len(masks)
    pick = np.full(n, last, np.int64)
    for k in range(last - 1, -1, -1):
        np.copyto(pick, k, where=masks[k])
    out = heads.take(pick, axis=0)
    present = np.array([r is not None for r in results])
    known = None if present.all() else present.take(pick)
    for k, given in enumerate(results):
        if constant[k]:
            continue
        rows = np.flatnonzero(pick == k)
        views, sure = given
        moved = views.views.take(rows, axis=0)
        if buffers and views.buffers:
            moved[:, 1] += ((moved[:, 0] & np.uint64(0xFFFFFFFF)) > _INLINE) * np.uint64(len(buffers))
        buffers = [*buffers, *views.buffers]
        out[rows] = moved
        if sure is not None:
            known = np.ones(n, np.bool_) if known is None else known
            known[rows] = sure.take(rows)
    return Views(out, buffers), known
