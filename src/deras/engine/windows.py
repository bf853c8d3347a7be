"""Windows of time: which there are, which a row falls into, when they end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from deras.core.time import MAX_WATERMARK, MIN_WATERMARK
from deras.engine.kernels import time as kernels
from deras.engine.zones import zone as zone_of

if TYPE_CHECKING:
    from deras.core.types import SqlType

Words = npt.NDArray[np.int64]
WindowKind = Literal["tumble", "hop", "cumulate"]

_CODES: dict[str, int] = {"tumble": 0, "hop": 1, "cumulate": 2}


@dataclass(frozen=True, slots=True)
class Windows:
    """A windowing of a time column. All times are ms; windows are aligned in wall time.

    Args:
        kind: ``tumble``, ``hop`` or ``cumulate``.
        size: length of a window (of the longest one of cumulate).
        slide: distance of hops, step of cumulate; 0 for tumble.
        offset: shift of all windows.
        zone: the session's zone for a TIMESTAMP_LTZ column, None for TIMESTAMP.

    Raises:
        ValueError: a size or slide that is not positive, or a cumulate size that its step does not divide.
    """

    kind: WindowKind
    size: int
    slide: int = 0
    offset: int = 0
    zone: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in _CODES:
            raise ValueError(f"unknown window kind {self.kind!r}")
        if self.size <= 0 or (self.kind != "tumble" and self.slide <= 0):
            raise ValueError(f"the size and slide of a {self.kind} window must be positive")
        if self.kind == "cumulate" and self.size % self.slide:
            raise ValueError("the size of a cumulate window must be a multiple of its step")

    @property
    def code(self) -> int:
        """The kind as kernels know it."""
        return _CODES[self.kind]

    def walls(self, words: Words, type_: SqlType) -> Words:
        """Wall times in ms of a rowtime column's words."""
        return zone_of(self.zone).wall(np.ascontiguousarray(words), type_.words_per_ms)

    def fire_at(self, ends: Words) -> Words:
        """The watermark (ms) from which each window with this wall-time end fires: its last ms, as an instant."""
        last = np.ascontiguousarray(ends) - 1
        return last if self.zone is None else zone_of(self.zone).instant(last)

    def last_end(self, walls: Words) -> tuple[Words, int]:
        """The end of the last window of each row, and the number of all (row, window) pairs."""
        last = np.empty(len(walls), np.int64)
        total = kernels.count_windows(walls, self.code, self.size, self.slide, self.offset, last)
        return last, int(total)

    def assign(self, walls: Words) -> tuple[Words, Words, Words]:
        """All (row, window start, window end) triples: rows in order, a row's windows by end."""
        _, total = self.last_end(walls)
        rows, starts, ends = np.empty(total, np.int64), np.empty(total, np.int64), np.empty(total, np.int64)
        kernels.assign_windows(walls, self.code, self.size, self.slide, self.offset, rows, starts, ends)
        return rows, starts, ends

    def places(
        self, words: Words, type_: SqlType, marks: Words, low: int, *, slices: bool
    ) -> tuple[Words, Words] | None:
        """In one pass what most steps need: the place of each row, and the watermarks seen.

        Args:
            words: of the time column.
            type_: of it.
            marks: the watermark that each row saw.
            low: the watermark before the step.
            slices: the place is the start of the row's slice, else the end of its (tumbling) window.

        Returns:
            None where a row is late for a window, or wall time is not always as far from UTC.
        """
        zone = zone_of(self.zone)
        if not zone.fixed:
            return None
        span = self.slide if slices else self.size
        n = len(words)
        places, seen = np.empty(n, np.int64), np.empty(n + 1, np.int64)
        m = kernels.places_of_rows(
            np.ascontiguousarray(words), type_.words_per_ms, int(zone.offsets[0]), span, self.offset, span,
            0 if slices else span, np.ascontiguousarray(marks), low, places, seen,
        )  # fmt: skip
        return None if m < 0 else (places, seen[:m])

    def start_of(self, ends: Words) -> Words:
        """The starts of the windows with these ends."""
        if self.kind == "cumulate":
            return (ends - self.slide - self.offset) // self.size * self.size + self.offset
        return ends - self.size

    def first_end(self, slices: Words) -> Words:
        """The end of the first window that holds each slice; slices are as long as the slide, given by their starts."""
        return slices + self.slide

    def ends_of_slice(self, start: int) -> range:
        """The ends of all windows that hold a slice."""
        if self.kind == "cumulate":
            last = (start - self.offset) // self.size * self.size + self.offset + self.size
        else:
            last = start + self.size
        return range(start + self.slide, last + 1, self.slide)

    def last_fired(self, marks: Words) -> Words:
        """The end of the last window that each watermark has fired (sizes being multiples of the slide)."""
        zone = zone_of(self.zone)
        ends = (zone.wall(marks + 1, 1) - self.offset) // self.slide * self.slide + self.offset
        while (early := self.fire_at(ends) > marks).any():
            ends = ends - early * self.slide
        return ends

    def __str__(self) -> str:
        slide = f"{self.slide} ms, " if self.kind != "tumble" else ""
        return f"{self.kind.upper()}({slide}{self.size} ms)"


def passed_walls(zone: str | None, marks: Words) -> Words:
    """The last wall time (ms) that each watermark has passed: what happened then is over, on both sides of a change."""
    if zone is None or not len(marks):
        return marks
    table = zone_of(zone)
    out = marks.copy()
    real = np.flatnonzero((marks != MIN_WATERMARK) & (marks != MAX_WATERMARK))
    seen = marks[real]
    walls = table.wall(np.ascontiguousarray(seen), 1)
    early = np.flatnonzero(table.instant(walls) > seen)
    if len(early):
        # In an autumn night a wall time comes twice, and the later one counts: search for one that is over.
        high = walls[early]
        low = high - 90_000_000
        while (high - low > 1).any():
            middle = (low + high) >> 1
            ahead = table.instant(middle) > seen[early]
            high = np.where(ahead, middle, high)
            low = np.where(ahead, low, middle)
        walls[early] = low
    out[real] = walls
    return out


def time_text(ms: int) -> str:
    """A time in ms for a message."""
    if ms == MIN_WATERMARK:
        return "not there yet"
    if ms == MAX_WATERMARK:
        return "the end of the input"
    return str(np.datetime64(ms, "ms")).replace("T", " ").removesuffix(".000")


def by_place(ids: Words, places: Words) -> list[tuple[int, Words]]:
    """The ids of each window or slice, in order."""
    if places[0] == places[-1] and (places == places[0]).all():
        return [(int(places[0]), ids)]
    order = np.argsort(places, kind="stable")
    ids, places = ids[order], places[order]
    bounds = np.flatnonzero(np.diff(places)) + 1
    firsts = np.concatenate([np.zeros(1, np.int64), bounds])
    return list(zip(places[firsts].tolist(), np.split(ids, bounds), strict=True))


def distinct_marks(marks: Words) -> Words:
    """The distinct values of watermarks that rise."""
    fresh = np.ones(len(marks), np.bool_)
    fresh[1:] = marks[1:] != marks[:-1]
    found: Words = marks[fresh]
    return found
