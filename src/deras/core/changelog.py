"""Flink's row kinds, which exist only at the edge: what a delta's weights mean to someone who reads changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deras.core.delta import hashable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.delta import Delta

INSERT, UPDATE_BEFORE, UPDATE_AFTER, DELETE = "+I", "-U", "+U", "-D"


def row_kinds(delta: Delta, key: Sequence[int] | None = None) -> list[str]:
    """The kind of each row of a delta.

    A -1 whose key's next change is a +1 is an update's two halves, everything else comes or goes.

    Args:
        delta: the changes, in order.
        key: positions of a unique key (``()``: there is one row in all), or None if none is known: then nothing is
            called an update.
    """
    if delta.weights is None:
        return [INSERT] * delta.length
    signs = delta.weights.tolist()
    kinds = [INSERT if w > 0 else DELETE for w in signs]
    if key is None:
        return kinds
    columns = [delta.columns[i].values() for i in key]
    open_: dict[Any, int] = {}
    for i, w in enumerate(signs):
        of = tuple(hashable(c[i]) for c in columns)
        if w < 0:
            open_[of] = i
        elif (before := open_.pop(of, None)) is not None:
            kinds[before], kinds[i] = UPDATE_BEFORE, UPDATE_AFTER
    return kinds
