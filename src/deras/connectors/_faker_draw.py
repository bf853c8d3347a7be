"""Random draws of the faker connector, for many rows at a time: pure functions of key and row number."""

from __future__ import annotations

import functools
import zlib
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from deras.connectors._generate import Rows, random_units, random_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


@functools.lru_cache(maxsize=4096)
def _series(texts: tuple[str, ...]) -> pl.Series:
    return pl.Series("", texts, dtype=pl.String)


class Draw:
    """What providers draw from.

    Args:
        rows: the numbers of the rows.
        key: of the expression.
        now_us: the time (µs since 1970).
    """

    def __init__(self, rows: Rows, key: int, now_us: int) -> None:
        self.rows = rows
        self.key = key
        self.now_us = now_us

    def __len__(self) -> int:
        return len(self.rows)

    def sub(self, salt: str) -> Draw:
        """Draws that have nothing to do with these."""
        return Draw(self.rows, self._key(salt), self.now_us)

    def _key(self, salt: str) -> int:
        text = f"{self.key}\0{salt}".encode()
        return zlib.crc32(text) << 32 | zlib.crc32(b"2" + text)

    def words(self, salt: str = "") -> Rows:
        """64 random bits a row."""
        return random_words(self.rows, self._key(salt))

    def units(self, salt: str = "") -> npt.NDArray[np.float64]:
        """Numbers in [0, 1)."""
        return random_units(self.rows, self._key(salt))

    def between(self, low: int, high: int, salt: str = "") -> npt.NDArray[np.int64]:
        """Whole numbers in [low, high]."""
        span = high - low + 1
        if span >= 1 << 64:
            return self.words(salt).view(np.int64)
        return (self.words(salt) % np.uint64(span) + np.uint64(low & (1 << 64) - 1)).view(np.int64)

    def choice(self, texts: Sequence[str], salt: str = "") -> pl.Series:
        """One of some texts."""
        if len(texts) == 1:
            return pl.Series("", [texts[0]], dtype=pl.String).new_from_index(0, len(self))
        return _series(tuple(texts)).gather(pl.Series(self.between(0, len(texts) - 1, salt)))

    def join(self, *parts: pl.Series | str) -> pl.Series:
        """Texts one after the other."""
        named = [pl.lit(p) if isinstance(p, str) else pl.lit(p.cast(pl.String)) for p in parts]
        return pl.select(pl.concat_str(named)).to_series().alias("")

    def letters(self, pattern: str, salt: str = "") -> pl.Series:
        """``#`` becomes a digit, ``?`` a letter (``bothify``)."""
        parts: list[pl.Series | str] = []
        plain = ""
        for i, c in enumerate(pattern):
            if c in "#?":
                if plain:
                    parts.append(plain)
                plain = ""
                parts.append(self.choice("0123456789" if c == "#" else "abcdefghijklmnopqrstuvwxyz", f"{salt}{i}"))
            else:
                plain += c
        if plain or not parts:
            parts.append(plain)
        made = self.join(*parts)
        return made if len(made) == len(self) else made.new_from_index(0, len(self))
