"""Nested values written by the kernel against the exact path, which writes value by value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from formats_kit import make
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core import types as t
from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.formats._text_encoder import TextEncoder, json_value

if TYPE_CHECKING:
    from collections.abc import Iterable

scalars = st.sampled_from(
    [
        t.BIGINT,
        t.INT,
        t.STRING,
        t.BOOLEAN,
        t.BYTES,
        t.decimal(10, 2),
        t.decimal(30, 3),
        t.timestamp(3),
        t.DATE,
        t.time(3),
    ]
)
types = st.recursive(
    scalars,
    lambda inner: st.one_of(
        inner.map(t.array),
        st.dictionaries(st.sampled_from(["a", 'b"', "long name", "ä"]), inner, min_size=1, max_size=3).map(
            lambda fields: t.row(**fields)
        ),
    ),
    max_leaves=5,
)

# Other control characters are written as Jackson writes them: see below.
TEXTS = st.text(
    st.one_of(st.characters(exclude_categories=["Cs", "Cc"]), st.sampled_from('\n\t\r\b\f"\\')), max_size=20
)


def values(x: t.SqlType) -> st.SearchStrategy[Any]:
    """Physical values as :func:`deras.formats._exact.build` takes them."""
    if x.kind is t.Kind.ARRAY:
        return st.one_of(st.none(), st.lists(values(x.children[0]), max_size=4))
    if x.kind is t.Kind.ROW:
        return st.one_of(st.none(), st.tuples(*map(values, x.children)).map(list))
    plain = {
        "BOOLEAN": st.integers(0, 1), "VARCHAR": TEXTS.map(str.encode), "VARBINARY": st.binary(max_size=9),
        "INT": st.integers(-(2**31), 2**31 - 1), "DECIMAL": st.integers(-(10**9), 10**9), "DATE": st.integers(0, 40000),
        "TIMESTAMP": st.integers(0, 2**40).map(lambda ms: ms * 1000), "TIME": st.integers(0, 86_399_999).map(lambda ms: ms * 10**6),
    }.get(x.kind.name, st.integers(-(2**63), 2**63 - 1))  # fmt: skip
    return st.one_of(st.none(), plain)


def lines(found: bytes | list[bytes]) -> list[str]:
    return (found if isinstance(found, bytes) else b"".join(found)).decode().split("\n")[:-1]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_as_by_the_exact_path(data: st.DataObject) -> None:
    from deras.formats._exact import build

    type_ = data.draw(types.filter(lambda x: x.kind in (t.Kind.ARRAY, t.Kind.ROW)))
    column = build(type_, data.draw(st.lists(values(type_), max_size=6)))
    start = data.draw(st.integers(0, len(column)))
    column = column.slice(start, len(column))
    leave_out = data.draw(st.booleans())
    options = {"encode__ignore_null_fields": "true"} if leave_out else {}
    encoder = make("json", **options).encoder(Schema.of(x=type_))
    found = lines(encoder.encode(Delta(encoder.schema, [column], length=len(column))))

    def one(v: Any) -> str:
        if v is None and leave_out:
            return "{}"
        return f'{{"x":{json_value(v, type_, encoder.forms, "FAIL", "null", leave_out)}}}'

    assert found == [one(v) for v in column.values()]


def test_floats_nanoseconds_and_no_numbers_are_written_as_at_the_top() -> None:
    kinds = (t.DOUBLE, t.FLOAT, t.timestamp(9))
    top = Schema.of(a=t.DOUBLE, b=t.FLOAT, c=t.timestamp(9))
    rows: Iterable[Any] = [
        [float("nan"), float("-inf"), None], [1e16, 0.1, None], [-1.5e-9, 3.0, None], [None, None, None],
    ]  # fmt: skip
    flat = Delta.of(top, list(rows))
    columns = [*flat.columns[:2], Column.of_words(kinds[2], flat.columns[2].words() + 1_234_567_891)]
    flat = Delta(top, columns)
    nested_type = t.row(a=t.DOUBLE, b=t.FLOAT, c=t.timestamp(9))
    import polars as pl

    series = pl.DataFrame([c.series().alias(n) for c, n in zip(columns, "abc", strict=True)]).to_struct("")
    nested = Delta(Schema.of(r=nested_type), [Column.of_series(nested_type, series)])
    want = lines(make("json").encoder(top).encode(flat))
    assert lines(make("json").encoder(nested.schema).encode(nested)) == [f'{{"r":{line}}}' for line in want]


def test_nothing_is_written_value_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    from deras.formats._exact import build

    type_ = t.array(t.row(a=t.array(t.BIGINT), b=t.STRING))
    column = build(type_, [[[[1, None], b"x"], None], [], None, [[None, None]]] * 500)
    encoder = make("json").encoder(Schema.of(x=type_))
    monkeypatch.setattr(TextEncoder, "texts", lambda *_: pytest.fail("written value by value"))
    monkeypatch.setattr(type(encoder), "value", lambda *_: pytest.fail("written value by value"))
    found = lines(encoder.encode(Delta(encoder.schema, [column], length=len(column))))
    assert (
        found == ['{"x":[{"a":[1,null],"b":"x"},null]}', '{"x":[]}', '{"x":null}', '{"x":[{"a":null,"b":null}]}'] * 500
    )


def test_control_characters_are_written_as_at_the_top() -> None:
    flat = Delta.of(Schema.of(a=t.STRING), [["\x1f\n"]])
    nested = Delta.of(Schema.of(a=t.array(t.STRING)), [[["\x1f\n"]]])
    assert lines(make("json").encoder(flat.schema).encode(flat)) == ['{"a":"\\u001F\\n"}']
    assert lines(make("json").encoder(nested.schema).encode(nested)) == ['{"a":["\\u001F\\n"]}']
