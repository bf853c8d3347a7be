"""The faker source: expressions of the Flink cookbook, types, errors, restart."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.connectors import _faker_providers as providers
from deras.connectors import _faker_regex as regex
from deras.connectors._faker import parse
from deras.connectors._faker_draw import Draw
from deras.connectors._faker_words import ALIASES, lists
from deras.connectors.faker import Connector
from deras.core import types as t
from deras.core.errors import OptionError
from deras.core.schema import Schema
from deras.core.time import VirtualClock
from deras.testing.conformance import check_source

if TYPE_CHECKING:
    from deras.core.types import SqlType

NOW = 10**12
ROWS = 200


def values(tables: Any, type_: SqlType, expression: str | None = None, rows: int = ROWS, **more: str) -> list[Any]:
    """Values of one field ``x``."""
    texts = {"number-of-rows": str(rows), "rows-per-second": "1000000"}
    if expression is not None:
        texts["fields.x.expression"] = expression
    texts |= {f"fields.x.{k.replace('__', '-').replace('_', '.')}": v for k, v in more.items()}
    table = tables.options(Connector, Schema.of(x=type_), texts, clock=VirtualClock(NOW))
    reader = Connector().source(table).open("", None)
    found: list[Any] = []
    while (records := reader.poll(1 << 20, 1)) is not None:
        found += [r[0] for r in records.delta.rows()] if records.delta else []
    assert len(found) == rows
    return found


@pytest.mark.parametrize(
    ("expression", "pattern"),
    [
        ("-", "-"),
        ("#{Internet.publicIpV4Address}", r"(\d{1,3}\.){3}\d{1,3}"),
        ("#{Internet.uuid}", r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
        ("#{Internet.UUID}", r"[0-9a-f-]{36}"),
        ("#{Internet.userAgentAny}", r"(Mozilla|curl).+"),
        ("#{Internet.emailAddress}", r"[a-z]+\.[a-z]+@(gmail|yahoo|hotmail)\.com"),
        ("#{Internet.macAddress}", r"([0-9a-f]{2}:){5}[0-9a-f]{2}"),
        (
            r"#{regexify '(GET|POST|PUT|PATCH){1}'} #{regexify '(/search\.html|cart\.html){1}'} #{regexify '(HTTP/2){1}'}",
            r"(GET|POST|PUT|PATCH) (/search\.html|cart\.html) HTTP/2",
        ),
        (r"#{regexify '(Deja\ Brew|Lawn\ \&\ Order){1}'}", r"Deja Brew|Lawn & Order"),
        (r"#{regexify '[a-c]{2,4}x?\d+[^!-y]'}", r"[a-c]{2,4}x?\d+[z-~]"),
        ("#{Name.firstName} #{Name.lastName}", r"[A-Z][a-z]+ [A-Z][a-z]+"),
        ("#{Name.full_name}", r"[A-Z][a-z]+ [A-Z][a-z]+"),
        ("#{harry_potter.spells}", r"[A-Z][A-Za-z ]+"),
        ("#{dr_who.the_doctors}", r"\w+ Doctor"),
        ("#{HitchhikersGuideToTheGalaxy.starship}", r".+"),
        ("#{Options.option 'RECEIVED','SHIPPED','CANCELLED')}", r"RECEIVED|SHIPPED|CANCELLED"),
        ("#{Address.fullAddress}", r"\d+ \w+ \w+, [\w ]+, [A-Z]{2} \d{5}"),
        ("#{Commerce.productName}", r"[A-Z].+ [A-Z]\w+ [A-Z]\w+"),
        ("#{Currency.code}", r"[A-Z]{3}"),
        ("#{numerify '##-??'}", r"\d\d-\?\?"),
        ("#{bothify '##-??', 'true'}", r"\d\d-[A-Z]{2}"),
        ("#{letterify '?#'}", r"[a-z]#"),
        ("#{lorem.sentence '4'}", r"[A-Z][a-z]*( [a-z]+){3}\."),
        ("id-#{number.numberBetween '5','7'}!", r"id-[56]!"),
        ("#{date.past '15','SECONDS'}", r"2001-09-09 01:46:(2[4-9]|3\d|40)\.\d+"),
    ],
)
def test_expressions(tables: Any, expression: str, pattern: str) -> None:
    found = values(tables, t.STRING, expression)
    assert [v for v in found if not re.fullmatch(pattern, v)] == []
    if "|" in pattern or "[" in pattern:
        assert len(set(found)) > 1


def test_numbers(tables: Any) -> None:
    assert set(values(tables, t.INT, "#{number.numberBetween '1','4'}")) == {1, 2, 3}
    assert set(values(tables, t.BIGINT, "#{number.numberBetween '7','7'}")) == {7}
    found = values(tables, t.DOUBLE, "#{Number.randomDouble '2','1','150'}")
    assert all(1 <= v <= 150 and round(v, 2) == v for v in found)
    assert len(set(found)) > 100
    prices = values(tables, t.decimal(10, 2), "#{Number.randomDouble '2','10','1000'}")
    assert all(isinstance(v, Decimal) and 10 <= v <= 1000 for v in prices)
    assert set(values(tables, t.INT, "#{regexify '(1|2|3){1}'}")) == {1, 2, 3}
    assert set(values(tables, t.decimal(20, 3), r"#{regexify '(1\.5|2){1}'}")) == {Decimal("1.500"), Decimal("2.000")}
    assert set(values(tables, t.FLOAT, "0.5")) == {0.5}
    assert set(values(tables, t.BOOLEAN, "#{bool.bool}")) == {True, False}
    assert set(values(tables, t.BOOLEAN, "#{Options.option 'TRUE','no'}")) == {True, False}


def test_moments(tables: Any) -> None:
    now = dt.datetime.fromtimestamp(NOW / 1000, dt.UTC).replace(tzinfo=None)
    second = dt.timedelta(seconds=1)
    found = values(tables, t.timestamp(3), "#{date.past '15','5','SECONDS'}")
    assert all(5 * second <= now - v <= 15 * second for v in found)
    assert all(v.microsecond % 1000 == 0 for v in found)
    assert max(found) - min(found) > 8 * second
    found = values(tables, t.timestamp_ltz(3), "#{date.future '15','DAYS'}")
    assert all(0 * second <= v.replace(tzinfo=None) - now <= 15 * 86400 * second for v in found)
    assert all(v.year in (1982, 1983) or 1936 <= v.year <= 1983 for v in values(tables, t.DATE, "#{date.birthday}"))
    times = values(tables, t.time(0), "#{time.future '15','5','SECONDS'}")
    assert all(dt.time(1, 46, 45) <= v <= dt.time(1, 46, 55) for v in times)
    assert set(values(tables, t.timestamp(9), "2020-01-02 03:04:05.6")) == {dt.datetime(2020, 1, 2, 3, 4, 5, 600_000)}
    between = values(tables, t.timestamp(0), "#{date.between '2024-01-01 00:00:00','2024-01-01 00:00:10'}")
    assert len(set(between)) == 10


def test_collections(tables: Any) -> None:
    arrays = values(tables, t.array(t.STRING), "#{harry_potter.house}", length="3")
    assert all(len(a) == 3 for a in arrays)
    assert {x for a in arrays for x in a} == {"Gryffindor", "Hufflepuff", "Ravenclaw", "Slytherin"}
    maps = values(
        tables, t.map_of(t.STRING, t.INT), length="2",
        key_expression="#{Options.option 'a','b','c'}", value_expression="#{number.numberBetween '0','9'}",
    )  # fmt: skip
    assert {len({e["key"]: e["value"] for e in m} if isinstance(m, list) else m) for m in maps} == {1, 2}
    rows = values(
        tables, t.row(house=t.STRING, points=t.INT),
        house_expression="#{harry_potter.house}", points_expression="#{number.numberBetween '10','12'}",
    )  # fmt: skip
    assert {r["points"] for r in rows} == {10, 11}
    assert all(len(a) == 1 for a in values(tables, t.array(t.INT), "1"))


def test_multiset_counts(tables: Any) -> None:
    found = values(tables, t.SqlType(t.Kind.MULTISET, children=(t.STRING,)), "#{Options.option 'a','b'}", length="5")
    counts = [sum((e["value"] for e in m) if isinstance(m, list) else m.values()) for m in found]
    assert set(counts) == {5}


def test_texts_fit_their_types(tables: Any) -> None:
    assert set(values(tables, t.varchar(3), "#{Options.option 'abcde','x'}")) == {"abc", "x"}
    assert set(values(tables, t.char(3), "#{Options.option 'abcde','x'}")) == {"abc", "x  "}


def test_null_rate(tables: Any) -> None:
    found = values(tables, t.STRING, "#{Name.firstName}", rows=2000, null__rate="0.25")
    assert abs(sum(v is None for v in found) / 2000 - 0.25) < 0.05
    assert values(tables, t.INT, "1", null__rate="1", rows=3) == [None] * 3
    inner = values(tables, t.array(t.STRING), "#{Name.firstName}", length="2", null__rate="0.5")
    assert {None if a is None else len(a) for a in inner} == {None, 2}
    assert all(x is not None for a in inner if a is not None for x in a)


def test_seed_and_restart(tables: Any) -> None:
    schema = Schema.of(a=t.STRING, b=t.INT)
    texts = {
        "number-of-rows": "300", "rows-per-second": "1000000",
        "fields.a.expression": "#{Internet.uuid}", "fields.b.expression": "#{number.numberBetween '0','1000'}",
    }  # fmt: skip

    def source(seed: str) -> Any:
        return Connector().source(tables.options(Connector, schema, texts | {"seed": seed}, clock=VirtualClock(NOW)))

    found = check_source(lambda: source("1"), limit=2000)
    assert len({r[0] for r in found}) == 300
    assert check_source(lambda: source("1"), limit=700) == found
    assert check_source(lambda: source("2"), limit=2000) != found


def test_bounds(tables: Any) -> None:
    texts = {"fields.x.expression": "1"}
    assert not Connector().source(tables.options(Connector, Schema.of(x=t.INT), texts)).bounded
    assert Connector().source(tables.options(Connector, Schema.of(x=t.INT), texts | {"number-of-rows": "1"})).bounded


@pytest.mark.parametrize(
    ("type_", "options", "message", "hint"),
    [
        (t.STRING, {}, "field 'x' has no expression", "'fields.x.expression'"),
        (t.STRING, {"expression": "#{Name.fullNam}"}, "no provider 'Name.fullNam'", "ullName"),
        (t.STRING, {"expression": "#{internet.nope}"}, "no provider 'internet.nope'", "internet.url"),
        (t.STRING, {"expression": "#{Name.fullName"}, "has no end", ""),
        (t.STRING, {"expression": "#{regexify 'a{1}}"}, "after a quote", ""),
        (t.STRING, {"expression": "#{}"}, "names no provider", ""),
        (t.STRING, {"expression": "#{number.numberBetween 1,2}"}, "arguments stand in quotes", ""),
        (t.STRING, {"expression": "#{number.numberBetween '1'}"}, "takes 2 arguments, 1 are given", ""),
        (t.STRING, {"expression": "#{number.numberBetween '9','1'}"}, "1 is less than 9", ""),
        (t.STRING, {"expression": "#{number.numberBetween 'a','1'}"}, "'a' is no whole number", ""),
        (t.STRING, {"expression": "#{date.past '5','SECS'}"}, "'SECS' is no unit of time", ""),
        (t.STRING, {"expression": "#{options.option}"}, "needs arguments", ""),
        (t.STRING, {"expression": "#{regexify '(a|b'}"}, "ends too early", ""),
        (t.STRING, {"expression": "#{regexify '*a'}"}, "nothing to repeat", ""),
        (t.INT, {"expression": "#{Name.fullName}"}, "which is no INT", ""),
        (t.INT, {"expression": "#{Number.randomDouble '2','1','9'}"}, "which is no INT", ""),
        (t.TINYINT, {"expression": "#{number.numberBetween '1000','2000'}"}, "which is no TINYINT", ""),
        (t.decimal(3, 2), {"expression": "#{Number.randomDouble '2','100','200'}"}, r"which is no DECIMAL\(3, 2\)", ""),
        (t.timestamp(3), {"expression": "#{Name.fullName}"}, r"which is no TIMESTAMP\(3\)", ""),
        (t.STRING, {"expression": "a", "length": "2"}, "for ARRAY, MAP and MULTISET", ""),
        (t.array(t.INT), {"expression": "1", "length": "0"}, "greater than 0", ""),
        (t.STRING, {"expression": "a", "null-rate": "2"}, "between 0 and 1", ""),
        (t.BYTES, {"expression": "a"}, "cannot make values of type BYTES", ""),
        (t.map_of(t.STRING, t.INT), {"key.expression": "a"}, "field 'x.value' has no expression", ""),
        (t.STRING, {"expression": "a", "y.expression": "b"}, "no field 'x.y'", "x"),
    ],
)
def test_errors(tables: Any, type_: SqlType, options: dict[str, str], message: str, hint: str) -> None:
    texts = {f"fields.x.{k}": v for k, v in options.items()}
    with pytest.raises(OptionError, match=message) as e:
        Connector().source(tables.options(Connector, Schema.of(x=type_), texts))
    assert hint in (e.value.hint or "")


def test_every_provider_makes_a_value_for_each_row() -> None:
    d = Draw(np.arange(7, dtype=np.uint64), 3, NOW * 1000)
    for name in lists():
        assert len(providers.find(name)(d)) == 7, name
        assert all(word.strip() == word != "" for word in lists()[name]), name
    assert all(target in lists() or target in providers.PROVIDERS for target in ALIASES.values())
    needs = {"between": ("1", "3"), "digits": ("2",), "past": ("1", "DAYS"), "future": ("1", "DAYS")}
    for name, maker in providers.PROVIDERS.items():
        method = name.split(".")[-1]
        arguments: tuple[str, ...] = needs.get(method, ())
        if method in ("regexify", "numerify", "letterify", "bothify", "option", "nextelement"):
            arguments = ("#?a",)
        elif method == "numberbetween":
            arguments = ("1", "3")
        elif method == "randomdouble":
            arguments = ("1", "1", "3")
        elif name in ("date.between", "timeanddate.between"):
            arguments = ("2024-01-01", "2024-01-02 10:00:00")
        if method == "regexify":
            arguments = ("[ab]+c",)
        made = maker(d, *arguments)
        assert len(made) == 7, name
        assert made.null_count() == 0, name


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.sampled_from(["a", "bc", r"\d", "[x-z]", "[^a-y]", r"\.", "q?"]),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map("".join),
            st.lists(inner, min_size=2, max_size=3).map(lambda b: "(" + "|".join(b) + ")"),
            st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,2}"])).map(lambda p: f"({p[0]}){p[1]}"),
        ),
        max_leaves=6,
    ),
    st.integers(0, 5),
)
def test_regexify_matches_its_expression(text: str, key: int) -> None:
    d = Draw(np.arange(20, dtype=np.uint64), key, 0)
    for found in regex.draw(regex.parse(text), d).to_list():
        assert re.fullmatch(text, found), (text, found)


@given(st.text(max_size=20))
def test_any_text_parses_or_says_why(text: str) -> None:
    try:
        parts = parse(text)
    except (ValueError, LookupError):
        return
    assert parts
    if "#{" not in text:
        assert parts == [text]
