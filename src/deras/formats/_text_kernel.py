"""What kernels for text formats share: UTF-8, numbers, dates and string views, read from hostile bytes.

All functions take a byte array with ``PAD`` readable bytes after ``end`` and never loop past ``end``.
"""

# mypy: disable-error-code="no-untyped-def,assignment"

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from deras.core.jit import float_bits, helper, leading_zeros, load8, load64, multiply_high, trailing_zeros

U = np.uint64

ASCII_ZEROS = U(0x3030303030303030)
SIXES = U(0x0606060606060606)
HIGH_NIBBLES = U(0xF0F0F0F0F0F0F0F0)

POW10 = np.array([10**k for k in range(20)], np.uint64)
FLOAT10 = np.array([10.0**k for k in range(23)], np.float64)
MONTH_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)

# A date or clock text xor its pattern has bytes < 10 at digits and 0 elsewhere.
DATE_PATTERN = U(int.from_bytes(b"0000-00-", "little"))
DATE_CARRY = U(int.from_bytes(b"\x06\x06\x06\x06\x7f\x06\x06\x7f", "little"))
CLOCK_CARRY = U(int.from_bytes(b"\x06\x06\x7f\x06\x06\x7f\x06\x06", "little"))
# A digit fails by its upper four bits, anything else by carrying into its highest bit.
DATE_BAD = U(int.from_bytes(b"\xf0\xf0\xf0\xf0\x80\xf0\xf0\x80", "little"))
CLOCK_BAD = U(int.from_bytes(b"\xf0\xf0\x80\xf0\xf0\x80\xf0\xf0", "little"))
TIME_PATTERN = U(int.from_bytes(b"00:00:00", "little"))


@functools.cache
def power_table() -> npt.NDArray[np.uint64]:
    """128 bits of 5^q for q = -342 … 308, as the Eisel-Lemire algorithm wants them (Lemire 2021, section 5).

    Returns:
        uint64[651, 2]: upper and lower half.
    """
    rows = []
    for q in range(-342, 309):
        if q < 0:
            power = 5**-q
            z = (power - 1).bit_length()
            c = (1 << (z + 127 if q >= -27 else 2 * z + 128)) // power + 1
        else:
            c = 5**q << 128
        c >>= max(0, c.bit_length() - 128)
        rows.append((c >> 64, c & 0xFFFFFFFFFFFFFFFF))
    return np.array(rows, np.uint64)


@helper
def utf8_length(data, i):
    """Length of the well-formed multi-byte sequence at i (Unicode table 3-7), or 0."""
    c = np.int64(load8(data, i))
    d = np.int64(load8(data, i + 1))
    if c < 0xC2 or c > 0xF4:
        return 0
    if c < 0xE0:
        return 2 if d & 0xC0 == 0x80 else 0
    e = np.int64(load8(data, i + 2))
    if c < 0xF0:
        if d & 0xC0 != 0x80 or e & 0xC0 != 0x80 or (c == 0xE0 and d < 0xA0) or (c == 0xED and d > 0x9F):
            return 0
        return 3
    g = np.int64(load8(data, i + 3))
    if d & 0xC0 != 0x80 or e & 0xC0 != 0x80 or g & 0xC0 != 0x80 or (c == 0xF0 and d < 0x90) or (c == 0xF4 and d > 0x8F):
        return 0
    return 4


@helper
def view_head(data, first, length):
    """Word 0 of a string view: length and the first four bytes."""
    head = load64(data, first) & U(0xFFFFFFFF)
    if length < 4:
        head &= (U(1) << U(8 * length)) - U(1)
    return U(length) | head << U(32)


@helper
def view_tail(data, first, length, buffer):
    """Word 1 of a string view: the other bytes of a short one, else buffer number and offset."""
    if length > 12:
        return U(buffer) | U(first) << U(32)
    if length <= 4:
        return U(0)
    tail = load64(data, first + 4)
    if length < 12:
        tail &= (U(1) << U(8 * (length - 4))) - U(1)
    return tail


@helper
def digits8(t):
    """The number written by eight digit values (0–9) in the bytes of a word, the first in the lowest byte."""
    t = t * U(10) + (t >> U(8))
    a = (t & U(0x000000FF000000FF)) * U(0x000F424000000064)
    b = ((t >> U(16)) & U(0x000000FF000000FF)) * U(0x0000271000000001)
    return (a + b) >> U(32)


@helper
def digit_run(word):
    """How many of the eight bytes of a word, from the first, are digits."""
    t = word ^ ASCII_ZEROS
    other = ((t + SIXES) | t) & HIGH_NIBBLES
    # The lowest byte that is none is found rightly: a carry out of a byte comes only from a byte that is none itself.
    return 8 if other == 0 else trailing_zeros(other) >> 3


@helper
def take_digits(data, i, x, n):
    """Read digits at i into x, which has n digits already.

    Returns:
        (place after them, x, n); n > 19 means that x is worthless and that digits may be left.
    """
    while n <= 19:
        word = load64(data, i)
        run = digit_run(word)
        if run == 0:
            break
        if n + run > 19:
            n += run
            i += run
            break
        t = word ^ ASCII_ZEROS
        x = x * POW10[run] + digits8(t << U(8 * (8 - run)))
        n += run
        i += run
        if run < 8:
            break
    return i, x, n


@helper
def read_number(data, i):
    """A JSON number at i.

    Returns:
        (place after it, negative, mantissa, decimal exponent, whole): ±mantissa · 10^exponent; ``whole`` if it has
        neither fraction nor exponent. The place is -1 if it is no number, or has more than 19 digits.
    """
    negative = load8(data, i) == 45
    if negative:
        i += 1
    begin = i
    i, x, n = take_digits(data, i, U(0), 0)
    if n == 0 or n > 19 or (n > 1 and load8(data, begin) == 48):
        return -1, negative, x, 0, True
    exponent = 0
    whole = True
    if load8(data, i) == 46:
        whole = False
        before = n
        i, x, n = take_digits(data, i + 1, x, n)
        if n == before or n > 19:
            return -1, negative, x, 0, True
        exponent = before - n
    if load8(data, i) | 32 == 101:
        whole = False
        i += 1
        down = load8(data, i) == 45
        if down or load8(data, i) == 43:
            i += 1
        word = load64(data, i)
        m = digit_run(word)
        if m == 0 or m == 8:
            return -1, negative, x, 0, True
        e = digits8((word ^ ASCII_ZEROS) << U(8 * (8 - m)))
        i += m
        exponent += -np.int64(e) if down else np.int64(e)
    return i, negative, x, exponent, whole


@helper
def to_double(x, q, powers):
    """The double nearest to x · 10^q, ties to even (Clinger; Eisel-Lemire); NaN where another must judge."""
    if x == 0:
        return 0.0
    if x <= U(1 << 53) and -22 <= q <= 22:
        return np.float64(x) / FLOAT10[-q] if q < 0 else np.float64(x) * FLOAT10[q]
    if q < -342 or q > 308:
        return np.nan
    lz = leading_zeros(x)
    w = x << U(lz)
    high = powers[q + 342, 0]
    upper = multiply_high(w, high)
    lower = w * high
    if upper & U(0x1FF) == U(0x1FF):
        second = multiply_high(w, powers[q + 342, 1])
        lower += second
        if second > lower:
            upper += U(1)
    if lower == U(0xFFFFFFFFFFFFFFFF) and (q < -27 or q > 55):
        return np.nan
    top = upper >> U(63)
    shift = top + U(9)
    mantissa = upper >> shift
    power = ((217706 * q) >> 16) + 63 + np.int64(top) - lz + 1023
    if power <= 0 or power >= 0x7FE:
        return np.nan
    if lower <= U(1) and -4 <= q <= 23 and mantissa & U(3) == U(1) and mantissa << shift == upper:
        mantissa &= ~U(1)
    mantissa = (mantissa + (mantissa & U(1))) >> U(1)
    if mantissa >= U(1 << 53):
        mantissa = U(1 << 52)
        power += 1
    return float_bits((mantissa & U((1 << 52) - 1)) | U(power) << U(52))


@helper
def to_scaled(x, exponent, precision, scale):
    """X · 10^exponent as a whole number of 10^-scale, rounded HALF_UP; -1 if it does not fit ``precision`` <= 18."""
    shift = exponent + scale
    if shift >= 0:
        if x == 0:
            return 0
        if shift > 18 or x >= POW10[18] or multiply_high(x, POW10[shift]) != 0:
            return -1
        x = x * POW10[shift]
    else:
        if shift < -19:
            return 0 if shift < -20 or x < U(5) * POW10[19] else -1
        unit = POW10[-shift]
        x = (x + (unit >> U(1))) // unit
    return np.int64(x) if x < POW10[precision] else -1


@helper
def days_from_civil(y, m, d):
    """Days since 1970-01-01 of a proleptic Gregorian date."""
    y -= m <= 2
    era = y // 400
    yoe = y - era * 400
    doy = (153 * (m + (-3 if m > 2 else 9)) + 2) // 5 + d - 1
    return era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468


@helper
def pair(t, shift):
    """Two digit values in the bytes of a word as a number."""
    t = t >> U(shift)
    return np.int64(t & U(15)) * 10 + np.int64((t >> U(8)) & U(15))


@helper
def read_date(data, i):
    """Days of the ``yyyy-MM-dd`` at i, or a number below -10^9."""
    t = load64(data, i) ^ DATE_PATTERN
    if ((t + DATE_CARRY) | t) & DATE_BAD != 0:
        return -2_000_000_000
    y = pair(t, 0) * 100 + pair(t, 16)
    m = pair(t, 40)
    a = np.int64(load8(data, i + 8)) - 48
    b = np.int64(load8(data, i + 9)) - 48
    d = a * 10 + b
    if a < 0 or a > 9 or b < 0 or b > 9 or m < 1 or m > 12 or d < 1:
        return -2_000_000_000
    if d > MONTH_DAYS[m - 1] and not (m == 2 and d == 29 and y % 4 == 0 and (y % 100 != 0 or y % 400 == 0)):
        return -2_000_000_000
    return days_from_civil(y, m, d)


@helper
def read_clock(data, i):
    """Seconds of the ``HH:mm:ss`` at i, or -1."""
    t = load64(data, i) ^ TIME_PATTERN
    if ((t + CLOCK_CARRY) | t) & CLOCK_BAD != 0:
        return -1
    h = pair(t, 0)
    m = pair(t, 24)
    s = pair(t, 48)
    if h > 23 or m > 59 or s > 59:
        return -1
    return h * 3600 + m * 60 + s


@helper
def read_fraction(data, i, precision):
    """The fraction of a second at i: a dot and 1 to 9 digits, or nothing.

    Returns:
        (place after it, nanoseconds cut to ``precision`` digits); the place is -1 if it is wrong.
    """
    if load8(data, i) != 46:
        return i, 0
    after, x, n = take_digits(data, i + 1, U(0), 0)
    if n == 0 or n > 9:
        return -1, 0
    cut = POW10[9 - precision]
    return after, np.int64(x * POW10[9 - n] // cut * cut)
