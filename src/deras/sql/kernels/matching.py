"""Texts that are a constant, or begin with it, end with it or hold it: by their bytes, as UTF-8 allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deras.core.jit import kernel
from deras.sql.kernels.views import ask, find_text, rare_byte, region, same_bytes, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from deras.core.column import Views

_HOW = {"equal": 0, "prefix": 1, "suffix": 2, "contains": 3}
_LENGTH = np.uint64(0xFFFFFFFF)


@kernel("void(uint64[:, ::1], int64[::1], uint64[::1], int64, int64, int64, boolean[::1])")
def match_texts(views, bases, words, size, rare, how, out):  # type: ignore[no-untyped-def]
    """Which texts match the ``size`` > 0 bytes of ``words``; ``how``: 0 equal, 1 prefix, 2 suffix, 3 contains."""
    here = np.int64(views.ctypes.data)
    for i in range(len(views)):
        length = np.int64(views[i, 0] & _LENGTH)
        out[i] = False
        if length < size or (how == np.int64(0) and length != size):
            continue
        ask(views, i, bases)
        start, length, limit = region(views, here, i, bases)
        if how == np.int64(3):
            out[i] = find_text(start, start + length, limit, words, size, rare) >= np.int64(0)
        else:
            at = start + length - size if how == np.int64(2) else start
            out[i] = same_bytes(at, limit, words, size)


def matches(how: str, text: bytes) -> Callable[[Views], npt.NDArray[np.bool_]]:
    """A function of texts: which of them match a constant.

    Args:
        how: ``equal``, ``prefix``, ``suffix`` or ``contains``.
        text: the constant's bytes.
    """
    size, words, rare, code = len(text), words_of(text), rare_byte(text), _HOW[how]
    if how == "equal" and size <= 12:
        # The view of a short text is all of it.
        first, second = np.frombuffer(size.to_bytes(4, "little") + text.ljust(12, b"\0"), np.uint64)

        def short(x: Views) -> npt.NDArray[np.bool_]:
            found: npt.NDArray[np.bool_] = x.views[:, 0] == first
            if size > 4:
                found &= x.views[:, 1] == second
            return found

        return short
    if not size:
        return lambda x: np.ones(len(x.views), np.bool_)

    def run(x: Views) -> npt.NDArray[np.bool_]:
        out = np.empty(len(x.views), np.bool_)
        match_texts(x.views, x.bases(), words, size, rare, code, out)
        return out

    return run
