"""Moments as text."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deras.core.jit import helper, kernel, load64
from deras.sql.kernels.views import first_bytes

_YEAR, _MONTH, _DAY, _HOUR, _MINUTE, _SECOND, _FRACTION = range(7)
_FIELDS = {
    "yyyy": _YEAR, "uuuu": _YEAR, "MM": _MONTH, "dd": _DAY, "HH": _HOUR, "mm": _MINUTE, "ss": _SECOND,
    "SSS": _FRACTION, "SSSSSS": _FRACTION,
}  # fmt: skip
_SECONDS = {_YEAR: 86400, _MONTH: 86400, _DAY: 86400, _HOUR: 3600, _MINUTE: 60, _SECOND: 1}
_PIECE = re.compile(r"'([^']*)'|([A-Za-z])\2*|[^A-Za-z']")


@dataclass(frozen=True)
class Template:
    """A date pattern whose texts are all of one length.

    Args:
        text: uint8, with room for the fields; at least 16 bytes, of which ``size`` count.
        size: bytes of each text.
        fields: int64[f, 3]: place, what, digits.
        seconds: for so long the text stays the same; 0: with a fraction of ``digits``.
        digits: of the fraction.
    """

    text: npt.NDArray[np.uint8]
    size: int
    fields: npt.NDArray[np.int64]
    seconds: int
    digits: int


def template(pattern: str) -> Template | None:
    """A Java date pattern as a template, or None if a field of it has no fixed length here."""
    text = b""
    fields: list[tuple[int, int, int]] = []
    at = 0
    while at < len(pattern):
        m = _PIECE.match(pattern, at)
        if m is None or (m[1] is None and not m[0].isascii()):
            return None
        at = m.end()
        piece = m[0]
        if m[2]:
            what = _FIELDS.get(piece)
            if what is None:
                return None
            fields.append((len(text), what, len(piece)))
            text += b"0" * len(piece)
        else:
            text += (piece if m[1] is None else m[1] or "'").encode()
    if not fields:
        return None
    digits = max((n for _, what, n in fields if what == _FRACTION), default=0)
    seconds = 0 if digits else min(_SECONDS[what] for _, what, _ in fields)
    room = np.frombuffer(text.ljust(16, b"\0"), np.uint8).copy()
    return Template(room, len(text), np.array(fields, np.int64), seconds, digits)


@helper
def put_digits(text, at, value, n):  # type: ignore[no-untyped-def]
    """The last n decimal digits of a number."""
    for k in range(n):
        text[at + n - np.int64(1) - k] = np.uint8(np.int64(48) + value % np.int64(10))
        value //= np.int64(10)


@kernel(
    "int64(int64[::1], uint8[::1], int64, int64, int64[:, ::1], uint8[::1], int64, uint64[:, ::1], uint8[::1],"
    " uint8[::1])",
)
def moment_texts(words, valid, per_second, unit, fields, text, size, out, heap, said):  # type: ignore[no-untyped-def]
    """Each moment (``per_second`` words a second) by a template; gives the number of undecided rows.

    The text is the same for ``unit`` words; ``heap`` has room for a text of ``size`` bytes a row if size > 12.
    Years other than 0 to 9999 are undecided.
    """
    day_words = np.int64(86400) * per_second
    undecided = np.int64(0)
    used = np.int64(0)
    begin, stop = np.int64(0), np.int64(0)
    day, year, month, date = np.int64(-(1 << 62)), np.int64(0), np.int64(0), np.int64(0)
    w0, w1, good = np.uint64(0), np.uint64(0), True
    for i in range(len(words)):
        if len(valid) and valid[i] == 0:
            said[i] = 0
            out[i, 0] = np.uint64(0)
            out[i, 1] = np.uint64(0)
            continue
        x = words[i]
        if x < begin or x >= stop:
            begin = x // unit * unit
            stop = begin + unit
            today = x // day_words
            if today != day:
                day = today
                z = day + np.int64(719468)
                era = z // np.int64(146097)
                doe = z - era * np.int64(146097)
                yoe = (doe - doe // np.int64(1460) + doe // np.int64(36524) - doe // np.int64(146096)) // np.int64(365)
                doy = doe - (np.int64(365) * yoe + yoe // np.int64(4) - yoe // np.int64(100))
                mp = (np.int64(5) * doy + np.int64(2)) // np.int64(153)
                date = doy - (np.int64(153) * mp + np.int64(2)) // np.int64(5) + np.int64(1)
                month = mp + np.int64(3) if mp < np.int64(10) else mp - np.int64(9)
                year = yoe + era * np.int64(400) + (np.int64(1) if month <= np.int64(2) else np.int64(0))
            good = bool(np.int64(0) <= year <= np.int64(9999))
            rest = x - day * day_words
            second = rest // per_second
            for k in range(len(fields)):
                what, n = fields[k, 1], fields[k, 2]
                if what == np.int64(0):
                    value = year
                elif what == np.int64(1):
                    value = month
                elif what == np.int64(2):
                    value = date
                elif what == np.int64(3):
                    value = second // np.int64(3600)
                elif what == np.int64(4):
                    value = second // np.int64(60) % np.int64(60)
                elif what == np.int64(5):
                    value = second % np.int64(60)
                else:
                    value = rest % per_second * (np.int64(1000000000) // per_second)
                    for _ in range(np.int64(9) - n):
                        value //= np.int64(10)
                put_digits(text, fields[k, 0], value, n)
            a = load64(text, np.int64(0))
            if size <= np.int64(12):
                a = first_bytes(a, min(size, np.int64(8)))
                b = first_bytes(load64(text, np.int64(8)), size - np.int64(8))
                w1 = (a >> np.uint64(32)) | (b << np.uint64(32))
            elif good:
                for k in range(size):
                    heap[used + k] = text[k]
                w1 = np.uint64(used) << np.uint64(32)
                used += size
            w0 = np.uint64(size) | (a << np.uint64(32))
        if good:
            said[i] = 1
            out[i, 0] = w0
            out[i, 1] = w1
        else:
            said[i] = 2
            out[i, 0] = np.uint64(0)
            out[i, 1] = np.uint64(0)
            undecided += np.int64(1)
    return undecided
