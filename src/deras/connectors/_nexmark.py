"""Nexmark's events: each a pure function of (seed, event number), so that any stretch of them can be made again.

Ids, proportions, hot keys, prices and event times follow the generator of the Nexmark suite for Flink
(https://github.com/nexmark/nexmark, Apache-2.0); its random texts are drawn from the same alphabets and lengths.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from deras.connectors._generate import random_units, random_words
from deras.core.column import Column, Views
from deras.core.delta import Delta
from deras.core.schema import Field, Schema
from deras.core.types import BIGINT, INT, STRING, row, timestamp

Ints = npt.NDArray[np.int64]

PERSON, AUCTION, BID = 0, 1, 2

PERSONS = Schema.of(
    id=BIGINT, name=STRING, emailAddress=STRING, creditCard=STRING, city=STRING, state=STRING,
    dateTime=timestamp(3), extra=STRING,
)  # fmt: skip
AUCTIONS = Schema.of(
    id=BIGINT, itemName=STRING, description=STRING, initialBid=BIGINT, reserve=BIGINT, dateTime=timestamp(3),
    expires=timestamp(3), seller=BIGINT, category=BIGINT, extra=STRING,
)  # fmt: skip
BIDS = Schema.of(
    auction=BIGINT, bidder=BIGINT, price=BIGINT, channel=STRING, url=STRING, dateTime=timestamp(3), extra=STRING
)
KINDS = {"person": PERSONS, "auction": AUCTIONS, "bid": BIDS}
EVENTS = Schema(
    (
        Field("event_type", INT),
        *(Field(name, row(**{f.name: f.type for f in schema})) for name, schema in KINDS.items()),
    )
)

# The suite gives its first event this id and number, so its first event is an auction.
_FIRST_ID = 2
_FIRST_NUMBER = 1
_FIRST_AUCTION = 1000
_FIRST_PERSON = 1000
_FIRST_CATEGORY = 10
_CATEGORIES = 5
_LEAD = 10
"""How far ahead of the last one an id may be drawn: events that seem to come before what they speak of."""
_HOT_BATCH = 100
"""One hot auction, seller and bidder in so many."""
_HOT_CHANNELS = ("Google", "Facebook", "Baidu", "Apple")
_CHANNELS = 10_000

_STATES = ["AZ", "CA", "ID", "OR", "WA", "WY"]
_CITIES = [
    "Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"
]  # fmt: skip
_FIRST_NAMES = ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"]
_LAST_NAMES = ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"]

_POOL = 1 << 18
_WORDS = 1 << 14
_32 = np.uint64(32)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the events look like; the defaults are the suite's.

    Args:
        rate: events in a second of event time.
        persons: of so many events together (with ``auctions`` and ``bids``).
        auctions: see ``persons``.
        bids: see ``persons``.
        person_bytes: average size of a person, reached with ``extra``.
        auction_bytes: average size of an auction.
        bid_bytes: average size of a bid.
        hot_auctions: one bid in so many is for any auction, the others for a hot one.
        hot_bidders: one bid in so many is by any person, the others by a hot one.
        hot_sellers: one auction in so many is by any person, the others by a hot one.
        seed: other events for another number.
    """

    rate: int = 10_000
    persons: int = 1
    auctions: int = 3
    bids: int = 46
    person_bytes: int = 200
    auction_bytes: int = 500
    bid_bytes: int = 100
    hot_auctions: int = 2
    hot_bidders: int = 4
    hot_sellers: int = 4
    seed: int = 0

    @property
    def together(self) -> int:
        """The period of the kinds of events."""
        return self.persons + self.auctions + self.bids


IN_FLIGHT_AUCTIONS = 100
ACTIVE_PEOPLE = 1000


class Events:
    """Makes events.

    Args:
        shape: what they look like.
        base: event time (ms) that the first events follow.
    """

    def __init__(self, shape: Shape, base: int) -> None:
        self.shape = shape
        self.base = base

    # ---- numbers

    def kinds(self, numbers: Ints) -> Ints:
        """PERSON, AUCTION or BID for events by number (from 0)."""
        s = self.shape
        place = (numbers + _FIRST_ID) % s.together
        return (place >= s.persons).astype(np.int64) + (place >= s.persons + s.auctions)

    def times(self, numbers: Ints) -> Ints:
        """The event times, in ms."""
        return self.base + ((numbers + _FIRST_NUMBER) * (1e6 / self.shape.rate)).astype(np.int64) // 1000

    def _last_auction(self, ids: Ints) -> Ints:
        s = self.shape
        epoch, place = np.divmod(ids, s.together)
        before = place < s.persons
        place = np.where(before, s.auctions - 1, np.minimum(place - s.persons, s.auctions - 1))
        return (epoch - before) * s.auctions + place

    def _last_person(self, ids: Ints) -> Ints:
        s = self.shape
        epoch, place = np.divmod(ids, s.together)
        return epoch * s.persons + np.minimum(place, s.persons - 1)

    def _words(self, numbers: Ints, what: int) -> npt.NDArray[np.uint64]:
        return random_words(numbers.view(np.uint64), (self.shape.seed * 64 + what) * 0xD1B54A32D192ED03 & (1 << 64) - 1)

    def _below(self, numbers: Ints, what: int, n: int | Ints) -> Ints:
        """Whole numbers in [0, n), n < 2^32."""
        return ((self._words(numbers, what) >> _32) * np.asarray(n).astype(np.uint64) >> _32).view(np.int64)

    def _price(self, numbers: Ints, what: int) -> Ints:
        key = (self.shape.seed * 64 + what) * 0xD1B54A32D192ED03 & (1 << 64) - 1
        units = random_units(numbers.view(np.uint64), key)
        return np.floor(np.power(10.0, units * 6.0) * 100.0 + 0.5).astype(np.int64)

    def _person(self, numbers: Ints, ids: Ints, what: int) -> Ints:
        people = self._last_person(ids) + 1
        active = np.minimum(people, ACTIVE_PEOPLE)
        return people - active + self._below(numbers, what, active + _LEAD)

    def _extra(self, numbers: Ints, what: int, average: int | Ints) -> Column:
        """Letters that fill a row up to its size: within a fifth of the average."""
        room = np.maximum(np.asarray(average), 0)
        spread = np.floor(room * 0.2 + 0.5).astype(np.int64)
        lengths = room - spread + self._below(numbers, what, np.maximum(2 * spread, 1))
        pool, first = _letters()
        begins = self._below(numbers, what + 1, _POOL - (1 << 12))
        views = np.empty((len(numbers), 2), np.uint64)
        views[:, 0] = lengths.astype(np.uint64) | first[begins] << _32
        views[:, 1] = begins.astype(np.uint64) << _32
        if len(lengths) and int(lengths.min()) <= 12:
            short = np.flatnonzero(lengths <= 12)
            texts = [pool[b : b + n].tobytes().decode() for b, n in zip(begins[short], lengths[short], strict=True)]
            views[short] = Column.of_series(STRING, pl.Series(texts, dtype=pl.String)).views().views
        return Column.of_views(STRING, Views(views, [pool]))

    def _choice(self, numbers: Ints, what: int, texts: Column) -> Column:
        return texts.take(self._below(numbers, what, len(texts)))

    # ---- rows

    def persons(self, numbers: Ints) -> list[Column]:
        """The columns of persons."""
        ids = numbers + _FIRST_ID
        one, two, cities, states = (_texts(tuple(x)) for x in (_FIRST_NAMES, _LAST_NAMES, _CITIES, _STATES))
        name = _joined(self._choice(numbers, 0, one), " ", self._choice(numbers, 1, two))
        email = _joined(self._choice(numbers, 2, _made_words(7)), "@", self._choice(numbers, 3, _made_words(5)), ".com")
        groups = [self._choice(numbers, 4 + i, _texts(_FOUR_DIGITS)) for i in range(4)]
        card = _joined(groups[0], " ", groups[1], " ", groups[2], " ", groups[3])
        city, state = self._choice(numbers, 8, cities), self._choice(numbers, 9, states)
        size = 8 + sum(_lengths(c) for c in (name, email, card, city, state))
        extra = self._extra(numbers, 10, self.shape.person_bytes - size)
        person = Column.of_words(BIGINT, self._last_person(ids) + _FIRST_PERSON)
        return [person, name, email, card, city, state, self._time(self.times(numbers)), extra]

    def auctions(self, numbers: Ints) -> list[Column]:
        """The columns of auctions."""
        s, ids = self.shape, numbers + _FIRST_ID
        times = self.times(numbers)
        hot = self._below(numbers, 16, s.hot_sellers) > 0
        seller = np.where(
            hot, self._last_person(ids) // _HOT_BATCH * _HOT_BATCH, self._person(numbers, ids, 17)
        ) + _FIRST_PERSON  # fmt: skip
        initial = self._price(numbers, 19)
        reserve = initial + self._price(numbers, 20)
        ahead = IN_FLIGHT_AUCTIONS * s.together // max(s.auctions, 1)
        horizon = self.times(numbers + ahead) - times
        expires = times + 1 + self._below(numbers, 21, np.maximum(horizon * 2, 1))
        name, text = self._choice(numbers, 22, _made_words(20)), self._choice(numbers, 23, _made_words(100))
        extra = self._extra(numbers, 24, s.auction_bytes - 48 - _lengths(name) - _lengths(text))
        return [
            Column.of_words(BIGINT, self._last_auction(ids) + _FIRST_AUCTION), name, text,
            Column.of_words(BIGINT, initial), Column.of_words(BIGINT, reserve), self._time(times), self._time(expires),
            Column.of_words(BIGINT, seller),
            Column.of_words(BIGINT, _FIRST_CATEGORY + self._below(numbers, 18, _CATEGORIES)), extra,
        ]  # fmt: skip

    def bids(self, numbers: Ints) -> list[Column]:
        """The columns of bids."""
        s, ids = self.shape, numbers + _FIRST_ID
        last = self._last_auction(ids)
        least = np.maximum(last - IN_FLIGHT_AUCTIONS, 0)
        auction = np.where(
            self._below(numbers, 32, s.hot_auctions) > 0,
            last // _HOT_BATCH * _HOT_BATCH,
            least + self._below(numbers, 33, last - least + 1 + _LEAD),
        )
        bidder = np.where(
            self._below(numbers, 34, s.hot_bidders) > 0,
            self._last_person(ids) // _HOT_BATCH * _HOT_BATCH + 1,
            self._person(numbers, ids, 35),
        )
        channels, urls = _channels()
        hot = self._below(numbers, 36, 2) > 0
        choice = np.where(hot, self._below(numbers, 37, len(_HOT_CHANNELS)), self._below(numbers, 38, _CHANNELS) + 4)
        return [
            Column.of_words(BIGINT, auction + _FIRST_AUCTION),
            # The suite adds the first person's id twice.
            Column.of_words(BIGINT, bidder + 2 * _FIRST_PERSON),
            Column.of_words(BIGINT, self._price(numbers, 39)),
            channels.take(choice), urls.take(choice), self._time(self.times(numbers)),
            self._extra(numbers, 40, s.bid_bytes - 32),
        ]  # fmt: skip

    @staticmethod
    def _time(ms: Ints) -> Column:
        return Column.of_words(timestamp(3), ms * 1000)

    def table(self, name: str, start: int, stop: int) -> Delta:
        """The events of one kind (``person``, ``auction``, ``bid``) from event ``start`` to ``stop``, in order."""
        numbers = np.arange(start, stop, dtype=np.int64)
        chosen = numbers[self.kinds(numbers) == list(KINDS).index(name)]
        columns = {"person": self.persons, "auction": self.auctions, "bid": self.bids}[name](chosen)
        return Delta(KINDS[name], columns, length=len(chosen))

    def events(self, start: int, stop: int) -> Delta:
        """Events as rows of Flink's table: an ``event_type`` and a ROW for each kind, two of them NULL."""
        numbers = np.arange(start, stop, dtype=np.int64)
        kinds = self.kinds(numbers)
        columns = [Column.of_words(INT, kinds)]
        for kind, (name, field) in enumerate(zip(KINDS, list(EVENTS)[1:], strict=True)):
            mine = kinds == kind
            rows = self.table(name, start, stop)
            if not len(rows):
                columns.append(Column.nulls(field.type, len(numbers)))
                continue
            parts = [c.series().alias(f.name) for c, f in zip(rows.columns, KINDS[name], strict=True)]
            place = pl.Series(np.cumsum(mine) - 1, dtype=pl.Int64)
            place = pl.select(pl.when(pl.Series(mine)).then(place)).to_series()
            columns.append(Column.of_series(field.type, pl.DataFrame(parts).to_struct("").gather(place).alias("")))
        return Delta(EVENTS, columns, length=len(numbers))


_FOUR_DIGITS = tuple(f"{i:04d}" for i in range(10_000))


@functools.cache
def _texts(texts: tuple[str, ...]) -> Column:
    column = Column.of_series(STRING, pl.Series("", texts, dtype=pl.String))
    column.views()
    return Column.of_views(STRING, column.views())


def _lengths(column: Column) -> Ints:
    return (column.views().views[:, 0] & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _joined(*parts: Any) -> Column:
    named = [p.series() if isinstance(p, Column) else pl.lit(p) for p in parts]
    return Column.of_series(STRING, pl.select(pl.concat_str(named)).to_series().alias(""))


@functools.cache
def _letters() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint64]]:
    """Random letters, and the first four from each of them on."""
    pool = (random_words(np.arange(_POOL, dtype=np.uint64), 1) % np.uint64(26)).astype(np.uint8) + np.uint8(97)
    first = np.zeros(_POOL, np.uint64)
    for i in range(4):
        first[: _POOL - 4] |= pool[i : _POOL - 4 + i].astype(np.uint64) << np.uint64(8 * i)
    return pool, first


@functools.cache
def _words(length: int, n: int, special: str) -> list[str]:
    """Texts of 3 to ``length`` - 1 characters, one in 13 of them special; cut at its ends where that is a space."""
    places = np.arange(n * length, dtype=np.uint64)
    letters = (random_words(places, 2 * length) % np.uint64(26)).astype(np.uint8) + np.uint8(97)
    letters[random_words(places, 2 * length + 1) % np.uint64(13) == 0] = ord(special)
    lengths = 3 + random_words(np.arange(n, dtype=np.uint64), 1000 + length) % np.uint64(max(length - 3, 1))
    rows = letters.reshape(n, length)
    return [bytes(rows[i, : lengths[i]]).decode().strip() for i in range(n)]


@functools.cache
def _made_words(length: int) -> Column:
    return _texts(tuple(_words(length, _WORDS, " ")))


@functools.cache
def _channels() -> tuple[Column, Column]:
    """Channels and their URLs, the hot ones first."""
    n = len(_HOT_CHANNELS) + _CHANNELS
    words = _words(5, 3 * n, "_")
    has_id = random_words(np.arange(n, dtype=np.uint64), 3) % np.uint64(10) > 0
    names, urls = list(_HOT_CHANNELS), []
    for i in range(n):
        url = f"https://www.nexmark.com/{'/'.join(words[3 * i : 3 * i + 3])}/item.htm?query=1"
        number = i - len(_HOT_CHANNELS)
        if number >= 0:
            names.append(f"channel-{number}")
            if has_id[i]:
                url += f"&channel_id={_reversed(number)}"
        urls.append(url)
    return _texts(tuple(names)), _texts(tuple(urls))


def _reversed(i: int) -> int:
    """The 32 bits of a number in reverse, as an absolute number."""
    word = int(f"{i:032b}"[::-1], 2)
    return abs(word - (1 << 32) if word >= 1 << 31 else word)
