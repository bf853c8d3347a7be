from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serve_fake import FakePlatform

from deras.core.schema import Field, Schema
from deras.core.types import BIGINT, BOOLEAN, BYTES, DOUBLE, STRING, decimal, timestamp, timestamp_ltz
from deras.serve.filters import RequestError, select
from deras.serve.platform import ViewInfo

T0 = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
SCHEMA = Schema.of(id=BIGINT, name=STRING, v=DOUBLE, d=decimal(10, 2), ok=BOOLEAN, at=timestamp_ltz(3))
ROWS = [
    (1, "anna", 1.5, Decimal("1.10"), True, T0),
    (2, "b,ob", -2.0, Decimal("2.20"), False, T0 + dt.timedelta(hours=1)),
    (3, None, None, None, None, None),
    (4, "null", 1e300, Decimal("4.40"), True, T0 + dt.timedelta(days=1)),
]


@pytest.fixture
def data() -> FakePlatform:
    platform = FakePlatform()
    platform.add("t", SCHEMA)
    platform.push("t", ROWS)
    return platform


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ([], [1, 2, 3, 4]),
        ([("id", "2")], [2]),
        ([("id", "eq.2")], [2]),
        ([("id", "neq.2")], [1, 3, 4]),
        ([("v", "gt.0"), ("v", "lt.10")], [1]),
        ([("v", "1.5")], [1]),
        ([("v", "gte.-2"), ("v", "lte.1.5")], [1, 2]),
        ([("name", 'in.("b,ob",anna)')], [1, 2]),
        ([("name", "in.()")], []),
        ([("name", "is.null")], [3]),
        ([("name", "not.is.null")], [1, 2, 4]),
        ([("name", "null")], [4]),
        ([("name", "like.a*")], [1]),
        ([("name", "ilike.*OB")], [2]),
        ([("name", "not.like.a*")], [2, 4]),
        ([("ok", "is.true")], [1, 4]),
        ([("ok", "eq.false")], [2]),
        ([("d", "2.2")], [2]),
        ([("at", "gt.2024-01-01T00:30:00")], [2, 4]),
        ([("at", "gt.2024-01-01T07:30:00+07:00")], [2, 4]),
        ([("order", "id.desc"), ("limit", "2")], [4, 3]),
        ([("order", "v.desc.nullslast,id"), ("offset", "1")], [1, 2, 3]),
        ([("limit", "0")], []),
    ],
)
def test_filters(data: FakePlatform, query, ids) -> None:
    chosen = select(data.views()[0], query)
    found = data.query(chosen.sql, chosen.parameters).column("id").to_pylist()
    assert (found if any(k in ("order", "limit") for k, _ in query) else sorted(found)) == ids


@pytest.mark.parametrize(
    ("query", "message", "hint"),
    [
        ([("nmae", "x")], "there is no column 'nmae' in view 't'", "Did you mean 'name'?"),
        ([("select", "id,nam")], "there is no column 'nam' in view 't'", "Did you mean 'name'?"),
        ([("lmit", "1")], "there is no column 'lmit' in view 't'", "Did you mean 'limit'?"),
        ([("id", "gt.abc")], "column 'id' is BIGINT: 'abc' is no such value", ""),
        ([("v", "like.1*")], "'like' needs text, column 'v' is DOUBLE", ""),
        ([("limit", "-1")], "'limit' must be a whole number from 0 to 100000, not '-1'", ""),
        ([("limit", "100001")], "'limit' must be a whole number from 0 to 100000, not '100001'", ""),
        ([("id", "is.maybe")], "'is.maybe' is unknown", "Use is.null, is.true or is.false."),
        ([("id", "in.1,2")], "'in.1,2' has no list", "Write in.(a,b,c)."),
    ],
)
def test_wrong_requests_say_what_is_wrong(data: FakePlatform, query, message, hint) -> None:
    with pytest.raises(RequestError) as e:
        select(data.views()[0], query)
    assert (e.value.message, e.value.hint) == (message, hint)
    assert e.value.status == 400


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@given(view=NAMES, column=NAMES, value=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_hostile_names_and_values_stay_names_and_values(view: str, column: str, value: str) -> None:
    info = ViewInfo(view, Schema((Field(column, STRING),)))
    chosen = select(
        info,
        [
            (f'"{column.replace(chr(34), chr(34) * 2)}"', f"eq.{value}"),
            ("order", f'"{column.replace(chr(34), chr(34) * 2)}".desc'),
        ]
        if "," not in column
        else [],
    )
    quoted_view = '"' + view.replace('"', '""') + '"'
    quoted_column = '"' + column.replace('"', '""') + '"'
    where = f" WHERE {quoted_column} = CAST(? AS VARCHAR) ORDER BY {quoted_column} DESC" if "," not in column else ""
    assert chosen.sql == f"SELECT {quoted_column} FROM {quoted_view}{where} LIMIT 1000"
    assert chosen.parameters == ((value,) if where else ())


def test_columns_named_like_our_words_can_be_asked() -> None:
    info = ViewInfo("t", Schema.of(limit=BIGINT, select=STRING))
    chosen = select(info, [('"limit"', "gt.3"), ("select", '"select"'), ("limit", "7")])
    assert chosen.sql == 'SELECT "select" FROM "t" WHERE "limit" > CAST(? AS BIGINT) LIMIT 7'


def test_bytes_cannot_be_filtered_here() -> None:
    with pytest.raises(RequestError, match="cannot be filtered"):
        select(ViewInfo("t", Schema.of(b=BYTES)), [("b", "x")])


def test_wall_time_takes_no_zone() -> None:
    chosen = select(ViewInfo("t", Schema.of(ts=timestamp(3))), [("ts", "gte.2024-01-01")])
    assert chosen.sql == 'SELECT "ts" FROM "t" WHERE "ts" >= CAST(? AS TIMESTAMP) LIMIT 1000'
    assert chosen.parameters == ("2024-01-01",)
