"""What ``#{Provider.method 'argument'}`` of the faker connector makes, for many rows at a time.

Names are those of Datafaker (https://www.datafaker.net), case and underscores aside. Python's faker libraries make a
value at a time, some ten thousand a second; these draw from lists, many at once.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from deras.connectors import _faker_regex as regex
from deras.connectors._faker_words import ALIASES, lists
from deras.core.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.connectors._faker_draw import Draw

    Maker = Callable[..., pl.Series]

_DAY = 86_400_000_000
_UNITS = {
    "NANOSECONDS": 0.001,
    "MICROSECONDS": 1,
    "MILLISECONDS": 1_000,
    "SECONDS": 1_000_000,
    "MINUTES": 60_000_000,
    "HOURS": 3_600_000_000,
    "DAYS": _DAY,
}

PROVIDERS: dict[str, Maker] = {}
"""By name in small letters without underscores."""
_SHOWN: dict[str, str] = {}
"""The same as people write it."""


def fold(name: str) -> str:
    """A name as it is looked up."""
    return name.replace("_", "").lower()


def provides(*names: str) -> Callable[[Maker], Maker]:
    """Register a maker: called with a Draw and the arguments' texts, gives a series."""

    def declare(maker: Maker) -> Maker:
        for name in names:
            PROVIDERS[fold(name)] = maker
            _SHOWN[fold(name)] = name
        return maker

    return declare


def find(name: str) -> Maker:
    """The maker of a name; ``ValueError`` with "did you mean"."""
    key = ALIASES.get(fold(name), fold(name))
    if key in PROVIDERS:
        return PROVIDERS[key]
    if key in lists():
        return functools.partial(_listed, key)
    known = sorted([*_SHOWN.values(), *lists()])
    hint = did_you_mean(name, known) or did_you_mean(fold(name), known)
    if not hint:
        family = [k for k in known if fold(k).startswith(fold(name).split(".")[0] + ".")]
        hint = f"Known: {', '.join(family or sorted({k.split('.')[0] for k in known}))}."
    raise LookupError(name, hint)


def check(maker: Maker, name: str, arguments: list[str]) -> None:
    """``ValueError`` where a maker does not take so many arguments."""
    parameters = list(inspect.signature(maker).parameters.values())[1:]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        if not arguments:
            raise ValueError(f"{name} needs arguments")
        return
    least = sum(p.default is p.empty for p in parameters)
    if not least <= len(arguments) <= len(parameters):
        wanted = f"{least}" if least == len(parameters) else f"{least} to {len(parameters)}"
        raise ValueError(f"{name} takes {wanted} arguments, {len(arguments)} are given")


def _listed(key: str, d: Draw) -> pl.Series:
    return d.choice(lists()[key])


def _whole(text: str) -> int:
    try:
        return int(text.strip())
    except ValueError:
        raise ValueError(f"'{text}' is no whole number") from None


def _number(text: str) -> float:
    try:
        return float(text.strip())
    except ValueError:
        raise ValueError(f"'{text}' is no number") from None


# ---- numbers


@provides("number.numberBetween")
def _number_between(d: Draw, low: str, high: str) -> pl.Series:
    least, most = _whole(low), _whole(high)
    if most < least:
        raise ValueError(f"{most} is less than {least}")
    # As in Datafaker the upper end is left out, unless it is the only number.
    return pl.Series(d.between(least, max(least, most - 1)))


@provides("number.randomDouble")
def _random_double(d: Draw, decimals: str, low: str, high: str) -> pl.Series:
    least, most, digits = _number(low), _number(high), _whole(decimals)
    if most < least:
        raise ValueError(f"{high} is less than {low}")
    return pl.Series(np.round(least + d.units() * (most - least), digits))


@provides("number.randomDigit")
def _random_digit(d: Draw) -> pl.Series:
    return pl.Series(d.between(0, 9))


@provides("number.randomDigitNotZero")
def _random_digit_not_zero(d: Draw) -> pl.Series:
    return pl.Series(d.between(1, 9))


@provides("number.randomNumber")
def _random_number(d: Draw, digits: str = "9", strict: str = "false") -> pl.Series:
    n = _whole(digits)
    if not 0 < n < 19:
        raise ValueError("the number of digits must lie between 1 and 18")
    return pl.Series(d.between(10 ** (n - 1) if strict.strip().lower() == "true" else 0, 10**n - 1))


@provides("number.positive")
def _positive(d: Draw) -> pl.Series:
    return pl.Series(d.between(1, 2**31 - 1))


@provides("number.negative")
def _negative(d: Draw) -> pl.Series:
    return pl.Series(d.between(-(2**31), -1))


@provides("number.digit")
def _digit(d: Draw) -> pl.Series:
    return d.choice("0123456789")


@provides("number.digits")
def _digits(d: Draw, count: str) -> pl.Series:
    return d.letters("#" * _whole(count))


# ---- texts by pattern


@provides("regexify", "expression.regexify")
def _regexify(d: Draw, pattern: str) -> pl.Series:
    return regex.draw(_parsed(pattern), d)


@functools.lru_cache(maxsize=256)
def _parsed(pattern: str) -> regex.Node:
    return regex.parse(pattern)


@provides("numerify")
def _numerify(d: Draw, pattern: str) -> pl.Series:
    parts = pattern.split("?")
    made: list[pl.Series | str] = []
    for i, part in enumerate(parts):
        made += [*(["?"] if i else []), d.letters(part, str(i))]
    return d.join(*made)


@provides("letterify")
def _letterify(d: Draw, pattern: str, upper: str = "false") -> pl.Series:
    parts = pattern.split("#")
    made: list[pl.Series | str] = []
    for i, part in enumerate(parts):
        made += [*(["#"] if i else []), d.letters(part, str(i))]
    found = d.join(*made)
    return found.str.to_uppercase() if upper.strip().lower() == "true" else found


@provides("bothify")
def _bothify(d: Draw, pattern: str, upper: str = "false") -> pl.Series:
    found = d.letters(pattern)
    return found.str.to_uppercase() if upper.strip().lower() == "true" else found


@provides("options.option", "options.nextElement")
def _option(d: Draw, *texts: str) -> pl.Series:
    return d.choice(texts)


# ---- dates and times (µs since 1970)


def _unit(text: str) -> float:
    if text.strip().upper() not in _UNITS:
        raise ValueError(f"'{text}' is no unit of time; use {', '.join(_UNITS)}")
    return _UNITS[text.strip().upper()]


def _span(d: Draw, most: str, least_or_unit: str, unit: str | None) -> Any:
    """Random spans of µs between least and most."""
    scale = _unit(least_or_unit if unit is None else unit)
    low, high = 0 if unit is None else int(_whole(least_or_unit) * scale), int(_whole(most) * scale)
    if high < low:
        raise ValueError(f"{most} is less than {least_or_unit}")
    return d.between(low, high)


def _moments(us: Any) -> pl.Series:
    return pl.Series(us, dtype=pl.Int64).cast(pl.Datetime("us"))


@provides("date.past", "timeAndDate.past")
def _past(d: Draw, most: str, least_or_unit: str, unit: str | None = None) -> pl.Series:
    return _moments(d.now_us - _span(d, most, least_or_unit, unit))


@provides("date.future", "timeAndDate.future")
def _future(d: Draw, most: str, least_or_unit: str, unit: str | None = None) -> pl.Series:
    return _moments(d.now_us + _span(d, most, least_or_unit, unit))


@provides("date.birthday", "timeAndDate.birthday")
def _birthday(d: Draw, youngest: str = "18", oldest: str = "65") -> pl.Series:
    low, high = _whole(youngest), _whole(oldest)
    if high < low:
        raise ValueError(f"{oldest} is less than {youngest}")
    return _moments(d.now_us - d.between(round(low * 365.25) * _DAY, round(high * 365.25) * _DAY))


@provides("date.between", "timeAndDate.between")
def _date_between(d: Draw, first: str, last: str) -> pl.Series:
    from datetime import UTC, datetime

    ends = []
    for text in (first, last):
        try:
            moment = datetime.fromisoformat(text.strip()).replace(tzinfo=UTC)
        except ValueError:
            raise ValueError(f"'{text}' is no timestamp like 2026-01-31 12:00:00") from None
        ends.append(round(moment.timestamp() * 1e6))
    if ends[1] < ends[0]:
        raise ValueError(f"{last} is before {first}")
    return _moments(d.between(ends[0], max(ends[0], ends[1] - 1)))


@provides("time.past")
def _time_past(d: Draw, most: str, least_or_unit: str, unit: str | None = None) -> pl.Series:
    return _past(d, most, least_or_unit, unit).dt.time()


@provides("time.future")
def _time_future(d: Draw, most: str, least_or_unit: str, unit: str | None = None) -> pl.Series:
    return _future(d, most, least_or_unit, unit).dt.time()


# ---- people


def _first(d: Draw) -> pl.Series:
    return d.choice(lists()["name.firstname"], "first")


def _last(d: Draw) -> pl.Series:
    return d.choice(lists()["name.lastname"], "last")


@provides("name.fullName", "name.name")
def _full_name(d: Draw) -> pl.Series:
    return d.join(_first(d), " ", _last(d))


@provides("name.nameWithMiddle")
def _with_middle(d: Draw) -> pl.Series:
    return d.join(_first(d), " ", _first(d.sub("middle")), " ", _last(d))


@provides("name.title", "job.title")
def _job(d: Draw) -> pl.Series:
    field, position = d.choice(lists()["job.field"], "field"), d.choice(lists()["job.position"], "position")
    return d.join(d.choice(lists()["job.seniority"], "seniority"), " ", field, " ", position)


@provides("name.username", "internet.username")
def _username(d: Draw) -> pl.Series:
    return d.join(_first(d).str.to_lowercase(), ".", _last(d).str.to_lowercase())


@provides("book.author", "book.publisher")
def _author(d: Draw) -> pl.Series:
    return _full_name(d)


@provides("phoneNumber.phoneNumber", "phoneNumber.cellPhone")
def _phone(d: Draw) -> pl.Series:
    return d.join(pl.Series(d.between(201, 989, "a")), "-", pl.Series(d.between(200, 999, "b")), "-", d.letters("####"))


@provides("idNumber.valid", "idNumber.ssnValid")
def _ssn(d: Draw) -> pl.Series:
    return d.join(pl.Series(d.between(100, 665, "a")), "-", pl.Series(d.between(10, 99, "b")), "-", d.letters("####"))


# ---- the internet


@provides("internet.uuid")
def _uuid(d: Draw) -> pl.Series:
    high, low = d.words("high"), d.words("low")
    # Version 4, variant 1.
    high = (high & np.uint64(0xFFFFFFFFFFFF0FFF)) | np.uint64(0x4000)
    low = (low & np.uint64(0x3FFFFFFFFFFFFFFF)) | np.uint64(0x8000000000000000)
    raw = np.stack([high.byteswap(), low.byteswap()], axis=1).tobytes()
    data = pl.Series([raw[i : i + 16] for i in range(0, len(raw), 16)], dtype=pl.Binary).bin.encode("hex")
    cuts = [data.str.slice(a, n) for a, n in ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))]
    return d.join(cuts[0], "-", cuts[1], "-", cuts[2], "-", cuts[3], "-", cuts[4])


def _octets(d: Draw, *ends: tuple[int, int]) -> pl.Series:
    parts: list[pl.Series | str] = []
    for i, (low, high) in enumerate(ends):
        parts += [*(["."] if i else []), pl.Series(d.between(low, high, str(i)))]
    return d.join(*parts)


@provides("internet.ipV4Address")
def _ip(d: Draw) -> pl.Series:
    return _octets(d, (2, 255), (2, 255), (2, 255), (2, 255))


@provides("internet.publicIpV4Address")
def _public_ip(d: Draw) -> pl.Series:
    found = _octets(d, (11, 126), (0, 255), (0, 255), (1, 254))
    other = _octets(d.sub("other"), (128, 168), (0, 255), (0, 255), (1, 254))
    return pl.select(pl.when(pl.Series(d.units("which") < 0.7)).then(found).otherwise(other)).to_series()


@provides("internet.privateIpV4Address")
def _private_ip(d: Draw) -> pl.Series:
    return _octets(d, (10, 10), (0, 255), (0, 255), (1, 254))


@provides("internet.ipV4Cidr")
def _cidr(d: Draw) -> pl.Series:
    return d.join(_ip(d), "/", pl.Series(d.between(1, 31, "bits")))


@provides("internet.ipV6Address")
def _ip6(d: Draw) -> pl.Series:
    return regex.draw(_parsed("([0-9a-f]{4}:){7}[0-9a-f]{4}"), d)


@provides("internet.macAddress")
def _mac(d: Draw) -> pl.Series:
    return regex.draw(_parsed("([0-9a-f]{2}:){5}[0-9a-f]{2}"), d)


@provides("internet.password")
def _password(d: Draw, least: str = "8", most: str = "16") -> pl.Series:
    return regex.draw(_parsed(f"[a-z0-9]{{{_whole(least)},{_whole(most)}}}"), d)


@provides("internet.slug")
def _slug(d: Draw) -> pl.Series:
    return d.join(d.choice(lists()["lorem.word"], "a"), "_", d.choice(lists()["lorem.word"], "b"))


@provides("internet.domainWord")
def _domain_word(d: Draw) -> pl.Series:
    return _last(d).str.to_lowercase()


@provides("internet.domainName")
def _domain(d: Draw) -> pl.Series:
    return d.join(_domain_word(d), ".", d.choice(lists()["internet.domainsuffix"], "suffix"))


@provides("internet.url", "company.url")
def _url(d: Draw) -> pl.Series:
    return d.join("www.", _domain(d))


@provides("internet.emailAddress")
def _email(d: Draw) -> pl.Series:
    return d.join(_username(d), "@", d.choice(("gmail.com", "yahoo.com", "hotmail.com"), "host"))


@provides("internet.safeEmailAddress")
def _safe_email(d: Draw) -> pl.Series:
    return d.join(_username(d), "@example.com")


@provides("internet.port")
def _port(d: Draw) -> pl.Series:
    return pl.Series(d.between(0, 65535))


@provides("crypto.md5", "hashing.md5")
def _md5(d: Draw) -> pl.Series:
    return regex.draw(_parsed("[0-9a-f]{32}"), d)


@provides("crypto.sha1", "hashing.sha1")
def _sha1(d: Draw) -> pl.Series:
    return regex.draw(_parsed("[0-9a-f]{40}"), d)


@provides("crypto.sha256", "hashing.sha256")
def _sha256(d: Draw) -> pl.Series:
    return regex.draw(_parsed("[0-9a-f]{64}"), d)


# ---- places


@provides("address.buildingNumber", "address.streetAddressNumber")
def _building(d: Draw) -> pl.Series:
    return pl.Series(d.between(1, 9999, "building"))


@provides("address.streetName")
def _street(d: Draw) -> pl.Series:
    return d.join(_last(d), " ", d.choice(lists()["address.streetsuffix"], "street"))


@provides("address.streetAddress")
def _street_address(d: Draw) -> pl.Series:
    return d.join(_building(d), " ", _street(d))


@provides("address.secondaryAddress")
def _secondary(d: Draw) -> pl.Series:
    return d.join(d.choice(("Apt. ", "Suite "), "kind"), d.letters("###"))


@provides("address.zipCode", "address.postcode")
def _zip(d: Draw) -> pl.Series:
    return d.letters("#####", "zip")


@provides("address.fullAddress")
def _full_address(d: Draw) -> pl.Series:
    city, state = d.choice(lists()["address.city"], "city"), d.choice(lists()["address.stateabbr"], "state")
    return d.join(_street_address(d), ", ", city, ", ", state, " ", _zip(d))


@provides("address.latitude", "address.lat")
def _latitude(d: Draw) -> pl.Series:
    return pl.Series(np.round(d.units() * 180 - 90, 8))


@provides("address.longitude", "address.lon")
def _longitude(d: Draw) -> pl.Series:
    return pl.Series(np.round(d.units() * 360 - 180, 8))


# ---- trade


@provides("commerce.productName")
def _product(d: Draw) -> pl.Series:
    return d.join(
        d.choice(lists()["commerce.adjective"], "adjective"),
        " ",
        d.choice(lists()["commerce.material"], "material"),
        " ",
        d.choice(lists()["commerce.product"], "product"),
    )


@provides("commerce.price")
def _price(d: Draw, low: str = "0", high: str = "100") -> pl.Series:
    return _random_double(d, "2", low, high)


@provides("commerce.promotionCode")
def _promotion(d: Draw) -> pl.Series:
    return d.join(
        d.choice(("Amazing", "Awesome", "Cool", "Good", "Great"), "a"),
        d.choice(("Code", "Deal", "Sale"), "b"),
        d.letters("######"),
    )


@provides("company.name")
def _company(d: Draw) -> pl.Series:
    return d.join(_last(d), " ", d.choice(lists()["company.suffix"], "suffix"))


@provides("finance.creditCard", "business.creditCardNumber")
def _card(d: Draw) -> pl.Series:
    return d.join(d.choice("3456", "first"), d.letters("###-####-####-####"))


@provides("business.creditCardExpiry")
def _expiry(d: Draw) -> pl.Series:
    return d.join(pl.Series(d.between(2026, 2035, "y")), "-", d.choice([f"{m:02d}" for m in range(1, 13)], "m"), "-28")


@provides("color.hex")
def _hex(d: Draw) -> pl.Series:
    return d.join("#", regex.draw(_parsed("[0-9A-F]{6}"), d))


@provides("app.version")
def _version(d: Draw) -> pl.Series:
    return _octets(d, (0, 9), (0, 9), (0, 9))


@provides("file.fileName")
def _file(d: Draw) -> pl.Series:
    return d.join(
        d.choice(lists()["lorem.word"], "a"),
        "_",
        d.choice(lists()["lorem.word"], "b"),
        ".",
        d.choice(lists()["file.extension"], "c"),
    )


# ---- text


@provides("lorem.words")
def _words(d: Draw, count: str = "3") -> pl.Series:
    n = _whole(count)
    if n < 1:
        raise ValueError("at least one word")
    parts: list[pl.Series | str] = []
    for i in range(n):
        parts += [*([" "] if i else []), d.choice(lists()["lorem.word"], str(i))]
    return d.join(*parts)


@provides("lorem.sentence")
def _sentence(d: Draw, count: str = "6") -> pl.Series:
    words = _words(d, count)
    return d.join(words.str.head(1).str.to_uppercase(), words.str.slice(1), ".")


@provides("lorem.paragraph")
def _paragraph(d: Draw, count: str = "3") -> pl.Series:
    parts: list[pl.Series | str] = []
    for i in range(max(_whole(count), 1)):
        parts += [*([" "] if i else []), _sentence(d.sub(str(i)))]
    return d.join(*parts)


@provides("lorem.characters")
def _characters(d: Draw, least: str = "255", most: str | None = None) -> pl.Series:
    return regex.draw(_parsed(f"[a-z0-9]{{{_whole(least)},{_whole(most if most is not None else least)}}}"), d)
