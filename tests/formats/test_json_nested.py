"""Nested columns of the kernel against the exact path, which reads value by value."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from formats_kit import block, decode, make, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core import types as t
from deras.core.schema import Schema
from deras.formats._exact import Nested, Style, build
from deras.formats._json_exact import parse

scalars = st.sampled_from(
    [
        t.BIGINT,
        t.INT,
        t.STRING,
        t.DOUBLE,
        t.BOOLEAN,
        t.BYTES,
        t.decimal(10, 2),
        t.decimal(30, 3),
        t.timestamp(3),
        t.DATE,
    ]
)
types = st.recursive(
    st.one_of(scalars, scalars.map(lambda x: x.with_nullable(False))),
    lambda inner: st.one_of(
        inner.map(t.array),
        st.dictionaries(st.sampled_from(["a", "b", "long_name_of_a_field", "ä"]), inner, min_size=1, max_size=3).map(
            lambda fields: t.row(**fields)
        ),
    ),
    max_leaves=5,
)
WORDS = ["", "x", "a text of more than twelve bytes", "ä 漢\U0001f600 \n\"\\", "12", "-7", "2024-02-29", "2024-02-29 12:30:00.123",
         "YWJj", "!", "true", "null"]  # fmt: skip
wild = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**66), 2**66), st.floats(-1e6, 1e6), st.sampled_from(WORDS)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=3)
    ),
    max_leaves=4,
)


def fitting(x: t.SqlType) -> st.SearchStrategy[Any]:
    """Values of a type, mostly; NULL, missing and unknown fields."""
    if x.kind is t.Kind.ARRAY:
        return st.one_of(st.none(), st.lists(fitting(x.children[0]), max_size=4))
    if x.kind is t.Kind.ROW:
        parts = {n: fitting(c) for n, c in zip(x.names, x.children, strict=True)}
        return st.one_of(st.none(), st.fixed_dictionaries({}, optional=parts | {"other": wild}))
    name = x.kind.name
    plain = {
        "BIGINT": st.integers(-(2**63), 2**63 - 1), "INT": st.integers(-(2**31), 2**31 - 1), "DOUBLE": st.floats(-1e9, 1e9),
        "BOOLEAN": st.booleans(), "DECIMAL": st.integers(-9999, 9999), "DATE": st.just("2024-02-29"),
        "TIMESTAMP": st.just("2024-02-29 12:30:00.123"), "VARBINARY": st.just("YWJj"),
    }.get(name, st.sampled_from(WORDS))  # fmt: skip
    return plain if not x.nullable else st.one_of(plain, plain, plain, st.none())


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_as_by_the_exact_path(data: st.DataObject) -> None:
    type_ = data.draw(types.filter(lambda x: x.kind in (t.Kind.ARRAY, t.Kind.ROW)))
    good = data.draw(st.lists(fitting(type_), max_size=6))
    values = [data.draw(wild) if data.draw(st.integers(0, 9)) == 0 else v for v in good]
    separators = data.draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :\r")]))
    escape = data.draw(st.booleans())
    options = {k: "true" for k in ("ignore_parse_errors", "fail_on_missing_field") if data.draw(st.booleans())}
    lines = [json.dumps({"k": i, "x": v}, ensure_ascii=escape, separators=separators) for i, v in enumerate(values)]
    found = decode("json", Schema.of(k=t.BIGINT, x=type_), "\n".join(lines), **options)

    exact = Nested(type_, Style(False, "ignore_parse_errors" in options, "fail_on_missing_field" in options))
    kept, want, wrong = [], [], []
    for i, line in enumerate(lines):
        try:
            want.append(exact(parse(line.encode())["x"]))
            kept.append(i)
        except ValueError as e:
            wrong.append(f"column 'x' ({type_}): {e}")
    assert found.delta.columns[0].values() == kept
    assert found.delta.columns[1].values() == build(type_, want).values()
    assert [m.split(" (byte")[0] for _, m in refused(found)] == wrong


def test_one_decoder_over_many_blocks_and_columns() -> None:
    place = t.row(at=t.array(t.DOUBLE), name=t.STRING)
    decoder = make("json").decoder(Schema.of(a=place, b=t.array(place), c=t.array(t.array(t.STRING))))
    for k in range(5):
        item = {"at": [k / 4, None], "name": f"a longer name than twelve bytes {k}"}
        record = {"b": [item, None, {"name": "\n", "at": []}], "c": [[], ["x" * k], None], "a": item}
        found = decoder.decode(block((json.dumps(record) + "\n") * (k + 1)))
        assert not found.rejected
        want = (item, [item, None, {"at": [], "name": "\n"}], [[], ["x" * k], None])
        assert found.delta.rows() == [want] * (k + 1)


@pytest.mark.parametrize(
    "value", ["[1,]", "[1 2]", "{}", "1", '"[1]"', "[01]", "[1", "[1]]", "[9223372036854775808]", "[1.5]", "[[1]]"]
)
def test_what_is_no_array_of_numbers_is_refused(value: str) -> None:
    text = f'{{"x":[1]}}\n{{"x":{value}}}\n{{"x":null}}\n{{"x":[2,null]}}'
    found = decode("json", Schema.of(x=t.array(t.BIGINT)), text)
    assert found.delta.rows() == [([1],), (None,), ([2, None],)]
    assert len(refused(found)) == 1
    assert found.rejected[0].positions[0].startswith("line 2 ")


def test_a_nested_column_costs_no_python_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = Schema.of(x=t.row(a=t.array(t.BIGINT), b=t.STRING))
    decoder: Any = make("json").decoder(schema)
    monkeypatch.setattr(decoder, "nested", lambda i, text: pytest.fail("read by the exact path"))
    monkeypatch.setattr(decoder, "read", lambda raw: pytest.fail("read by the exact path"))
    found = decoder.decode(block('{"x":{"a":[1,2],"b":"c"}}\n{"x":{"b":null}}\n{}\n' * 50))
    assert len(found.delta) == 150
    assert np.array_equal(found.delta.columns[0].series().is_null().to_numpy(), np.tile([False, False, True], 50))
