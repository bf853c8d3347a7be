"""JSON texts that lie in one buffer, to be decoded as records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from deras.core.records import PAD
from deras.formats import _change_kernel as ck

if TYPE_CHECKING:
    from deras.core.column import Column
    from deras.formats._common import Bits

Ids = npt.NDArray[np.int64]


@dataclass(slots=True)
class Texts:
    """Byte strings in one buffer with ``PAD`` readable bytes behind it.

    Args:
        data: the buffer.
        spans: [n, 2]: first byte and one after the last of each; -1, -1: NULL.
    """

    data: Bits
    spans: Ids

    @classmethod
    def of(cls, column: Column) -> Texts:
        """The values of a column of bytes."""
        array = column.series().to_arrow().cast(pa.large_binary())
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        _, offsets, data = array.buffers()
        at = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
        spans = np.stack([at[:-1], at[1:]], axis=1)
        if array.null_count:
            spans[array.is_null().to_numpy(zero_copy_only=False)] = -1
        held = np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
        return cls(np.concatenate([held, np.zeros(PAD, np.uint8)]), np.ascontiguousarray(spans))

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Which are NULL."""
        return np.asarray(self.spans[:, 0] < 0)

    def elements(self) -> tuple[Texts, Ids]:
        """The elements of all texts, which are JSON arrays, and how many each has (-1: it is no array)."""
        counts = np.empty(len(self.spans), np.int64)
        out = np.empty((max(16, 2 * len(self.spans)), 2), np.int64)
        n = ck.split_arrays(self.data, self.spans, out, counts)
        if n > len(out):
            out = np.empty((n, 2), np.int64)
            ck.split_arrays(self.data, self.spans, out, counts)
        return Texts(self.data, out[:n]), counts
