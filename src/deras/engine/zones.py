"""Time zones as tables of offsets, so that kernels can go from instants to wall time and back."""

from __future__ import annotations

import datetime
import functools
import re
import zoneinfo

import numpy as np
import numpy.typing as npt

from deras.core.errors import ConfigError
from deras.engine.kernels import time as kernels

Words = npt.NDArray[np.int64]

_FIXED = re.compile(r"^(?:(?:UTC|GMT|UT)?([+-])(\d{1,2})(?::?(\d{2}))?|UTC|GMT|UT|Z)$")
_DAY = 86_400
_FIRST, _LAST = -70 * 365 * _DAY, 180 * 365 * _DAY  # about 1900 to 2150


class Zone:
    """A time zone: offsets with the instants from which they count.

    Args:
        name: an IANA name (``Asia/Jakarta``) or an offset (``UTC``, ``GMT+07:00``, ``-03:00``).

    Raises:
        ConfigError: the zone is unknown.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.starts, self.offsets = _table(name)

    @property
    def fixed(self) -> bool:
        """Whether wall time is always the same distance from UTC."""
        return len(self.starts) == 1

    def wall(self, words: Words, unit: int) -> Words:
        """Wall time in ms of timestamp words (``unit`` words in a ms)."""
        out = np.empty(len(words), np.int64)
        kernels.wall_times(words, unit, self.starts, self.offsets, out)
        return out

    def instant(self, walls: Words) -> Words:
        """Instants in ms of wall times in ms; the later of two, and the moment of the change in a gap."""
        out = np.empty(len(walls), np.int64)
        kernels.instants(walls, self.starts, self.offsets, out)
        return out


@functools.cache
def zone(name: str | None) -> Zone:
    """The zone of a name; None is UTC (and stands for "no zone" where the column is wall time already)."""
    return Zone(name or "UTC")


@functools.cache
def _table(name: str) -> tuple[Words, Words]:
    fixed = _FIXED.match(name)
    if fixed:
        sign, hours, minutes = fixed.groups()
        offset = 0 if sign is None else (1 if sign == "+" else -1) * (int(hours) * 60 + int(minutes or 0)) * 60_000
        return np.zeros(1, np.int64), np.array([offset], np.int64)
    try:
        info = zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"unknown time zone '{name}'",
            hint="Use an IANA name such as 'Asia/Jakarta' or an offset such as 'GMT+07:00'.",
        ) from None

    def offset_at(second: int) -> int:
        moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=second)
        found = info.utcoffset(moment.astimezone(info))
        return round((found or datetime.timedelta()).total_seconds() * 1000)

    starts, offsets = [_FIRST * 1000], [offset_at(_FIRST)]
    before = _FIRST
    for second in range(_FIRST, _LAST, 5 * _DAY):
        if offset_at(second) != offsets[-1]:
            lo, hi = before, second
            while hi - lo > 1:
                mid = (lo + hi) // 2
                if offset_at(mid) == offsets[-1]:
                    lo = mid
                else:
                    hi = mid
            starts.append(hi * 1000)
            offsets.append(offset_at(second))
        before = second
    return np.array(starts, np.int64), np.array(offsets, np.int64)
