"""The Nexmark generator and connector: proportions, ids, hot keys, restart, options."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import deras
from deras.connectors._nexmark import EVENTS, KINDS, Events, Shape
from deras.connectors.nexmark import Connector
from deras.core import types as t
from deras.core.contracts import TableContext
from deras.core.delta import hashable
from deras.core.errors import OptionError
from deras.core.options import read_options
from deras.core.schema import Schema
from deras.core.time import VirtualClock
from deras.testing.conformance import check_source

if TYPE_CHECKING:
    from deras.core.contracts import Reader

BASE = 1_767_225_600_000


def context(schema: Schema = EVENTS, clock: Any = None, **texts: str) -> TableContext:
    named = {k.replace("__", "-").replace("_", "."): v for k, v in texts.items()}
    options = read_options(Connector.options, named, what="connector 'nexmark'")
    return TableContext("t", schema, options, clock=clock or VirtualClock(BASE))


def take(reader: Reader, limit: int = 1 << 20, most: int = 1 << 30) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    while len(found) < most and (records := reader.poll(limit, 1)) is not None:
        if records.delta is not None:
            found += records.delta.rows()
    return found


def column(table: Any, name: str) -> np.ndarray[Any, Any]:
    return np.array(table.columns[table.schema.index(name)].values())


def test_one_person_three_auctions_46_bids() -> None:
    kinds = Events(Shape(), BASE).kinds(np.arange(5000))
    assert Counter(kinds.tolist()) == {0: 100, 1: 300, 2: 4600}
    # The suite counts from event 2, so it begins with the second auction of the first 50.
    assert kinds[:50].tolist() == [1, 1] + [2] * 46 + [0, 1]


def test_ids_count_up_and_times_follow_the_rate() -> None:
    events = Events(Shape(rate=500), BASE)
    persons, auctions = events.table("person", 0, 20_000), events.table("auction", 0, 20_000)
    assert column(persons, "id").tolist() == list(range(1001, 1401))
    assert column(auctions, "id").tolist() == list(range(1001, 2201))
    at = [x.replace(tzinfo=dt.UTC).timestamp() * 1000 for x in column(auctions, "dateTime").tolist()[:4]]
    assert [x - BASE for x in at] == [2, 4, 100, 102]
    assert (column(auctions, "expires") > column(auctions, "dateTime")).all()


def test_keys_exist_and_the_hot_ones_are_hot() -> None:
    events = Events(Shape(), BASE)
    n = 100_000
    bids, auctions = events.table("bid", 0, n), events.table("auction", 0, n)
    auction, bidder, seller = column(bids, "auction"), column(bids, "bidder"), column(auctions, "seller")
    last = 1000 + 3 * n // 50
    assert auction.min() >= 1000
    assert auction.max() <= last + 10
    assert abs(np.mean((auction - 1000) % 100 == 0) - 0.5) < 0.02
    # A quarter of the bidders and sellers is anybody; two of the first persons' ids are added to a bidder.
    assert abs(np.mean((bidder - 2000) % 100 == 1) - 0.75) < 0.02
    assert abs(np.mean((seller - 1000) % 100 == 0) - 0.75) < 0.03
    assert set(column(auctions, "category").tolist()) == {10, 11, 12, 13, 14}
    price = column(bids, "price")
    assert price.min() >= 100
    assert price.max() <= 100_000_000
    # Prices are even on a logarithmic scale.
    assert abs(np.mean(np.log10(price / 100)) - 3) < 0.05


def test_texts() -> None:
    events = Events(Shape(), BASE)
    bids = events.table("bid", 0, 50_000)
    channel, url, extra = (column(bids, c) for c in ("channel", "url", "extra"))
    hot = np.isin(channel, ["Google", "Facebook", "Baidu", "Apple"])
    assert abs(hot.mean() - 0.5) < 0.02
    assert all(u.startswith("https://www.nexmark.com/") and u.count("/") == 6 for u in url)
    assert abs(np.mean([("channel_id=" in u) for u in url[~hot]]) - 0.9) < 0.02
    # One URL a channel.
    assert len(set(zip(channel.tolist(), url.tolist(), strict=True))) == len(set(channel.tolist()))
    lengths = np.char.str_len(extra)
    assert (lengths.min(), lengths.max()) == (54, 81)
    persons = events.table("person", 0, 50_000)
    sizes = 8 + sum(np.char.str_len(column(persons, f.name)) for f in persons.schema if f.type == t.STRING)
    assert abs(sizes.mean() - 200) < 3
    assert all("@" in e and e.endswith(".com") for e in column(persons, "emailAddress"))
    assert all(len(c) == 19 for c in column(persons, "creditCard"))
    auctions = events.table("auction", 0, 50_000)
    assert max(map(len, column(auctions, "itemName"))) == 19


def test_small_sizes_leave_the_extra_short_or_empty() -> None:
    events = Events(Shape(bid_bytes=40, person_bytes=10), BASE)
    lengths = np.char.str_len(column(events.table("bid", 0, 1000), "extra"))
    assert (lengths.min(), lengths.max()) == (6, 9)
    assert set(column(events.table("person", 0, 1000), "extra").tolist()) == {""}


def test_events_are_the_three_tables() -> None:
    events = Events(Shape(), BASE)
    whole = events.events(0, 333)
    for kind, name in enumerate(KINDS):
        rows = [r[1 + kind] for r in whole.rows() if r[0] == kind]
        assert [tuple(r.values()) for r in rows] == events.table(name, 0, 333).rows()
    for r in whole.rows():
        assert [x is not None for x in r[1:]] == [r[0] == k for k in range(3)]
    assert not len(events.table("person", 0, 10))
    assert [r[1] for r in events.events(0, 3).rows()] == [None] * 3


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 400), max_size=4), seed=st.integers(0, 3))
def test_any_stretch_is_the_same(cuts: list[int], seed: int) -> None:
    events = Events(Shape(seed=seed), BASE)
    ends = [0, *sorted(cuts), 400]
    parts = [r for a, b in itertools.pairwise(ends) if b > a for r in events.events(a, b).rows()]
    assert parts == events.events(0, 400).rows()
    assert parts != Events(Shape(seed=seed + 1), BASE).events(0, 400).rows()


def test_conformance() -> None:
    table = context(events_num="300")
    found = check_source(lambda: Connector().source(table), limit=5000)
    assert len(found) == 300


def test_restart_keeps_event_time() -> None:
    clock = VirtualClock(BASE)
    table = context(events_num="100", clock=clock)
    reader = Connector().source(table).open("", None)
    whole = take(Connector().source(table).open("", None))
    first = reader.poll(40 * 128, 0)
    assert first is not None
    assert first.delta is not None
    clock.advance(3_600_000)
    rest = take(Connector().source(table).open("", first.resume))
    assert hashable(first.delta.rows() + rest) == hashable(whole)


def test_bounds() -> None:
    assert not Connector().source(context()).bounded
    assert Connector().source(context(events_num="5")).bounded
    assert not Connector().source(context(events_num="5", keep__alive="true")).bounded
    assert len(take(Connector().source(context(events_num="50", stop__at="7")).open("", None))) == 7
    reader = Connector().source(context(events_num="5", keep__alive="true")).open("", None)
    assert len(take(reader, most=5)) == 5
    records = reader.poll(1000, 1)
    assert records is not None
    assert records.delta is None
    assert reader.idle()
    reader.close()
    assert reader.poll(1000, 0) is None


def test_paced() -> None:
    clock = VirtualClock(BASE)
    source = Connector().source(context(first__event_rate="100", max__emit__speed="false", clock=clock))
    reader = source.open("", None)
    assert len(take(reader, most=1)) == 1
    before = clock.now()
    take(reader, most=100)
    assert 950 <= clock.now() - before <= 1050


def test_some_columns_in_another_order() -> None:
    schema = Schema.of(bid=EVENTS[3].type, event_type=t.INT.with_nullable(False))
    rows = take(Connector().source(context(schema, events_num="60")).open("", None))
    assert [r[1] for r in rows[:3]] == [1, 1, 2]
    assert rows[2][0]["auction"] == 1000


@pytest.mark.parametrize(
    ("schema", "message", "hint"),
    [
        (Schema.of(bids=EVENTS[3].type), "connector 'nexmark' has no column 'bids'", "bid"),
        (Schema.of(event_type=t.STRING), "column 'event_type' of connector 'nexmark' cannot be STRING", "as INT"),
        (Schema.of(bid=t.row(auction=t.BIGINT)), "cannot be ROW<`auction` BIGINT>", "Declare it as ROW<"),
    ],
)
def test_wrong_columns(schema: Schema, message: str, hint: str) -> None:
    with pytest.raises(OptionError, match=message) as e:
        Connector().source(context(schema))
    assert hint in (e.value.hint or "")


def test_wrong_options() -> None:
    with pytest.raises(OptionError, match=r"has no option 'event\.num'") as e:
        context(event_num="5")
    assert "events.num" in (e.value.hint or "")
    with pytest.raises(OptionError, match="greater than 0"):
        context(first__event_rate="0")


def test_the_standard_script() -> None:
    folder = Path(__file__).parents[2] / "bench" / "nexmark" / "queries"
    script = (folder / "ddl_gen.sql").read_text() + (folder / "ddl_views.sql").read_text()
    given_ = {"TPS": 1000, "EVENTS_NUM": 5000, "PERSON_PROPORTION": 1, "AUCTION_PROPORTION": 3, "BID_PROPORTION": 46}
    for name, value in given_.items():
        script = script.replace(f"${{{name}}}", str(value))
    with deras.connect() as session:
        session.sql(script)
        rows = session.sql("SELECT COUNT(*), COUNT(DISTINCT auction), MIN(price) >= 100 FROM bid").rows()
        assert rows[0][0] == 4600
        assert rows[0][2]
        assert session.sql("SELECT COUNT(*) FROM person").rows() == [(100,)]
