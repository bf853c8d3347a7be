"""The print sink: Flink's text of rows."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from deras.connectors._flink_text import float_text
from deras.connectors.print_ import Connector
from deras.core import types as t
from deras.core.delta import Delta
from deras.core.errors import ExternalError
from deras.core.schema import Schema
from deras.core.time import Tick
from deras.core.types import BIGINT, STRING


def printed(tables: Any, capsys: pytest.CaptureFixture[str], delta: Delta, **options: str) -> list[str]:
    texts = {k.replace("_", "-"): v for k, v in options.items()}
    writer = Connector().sink(tables.options(Connector, delta.schema, texts)).open(delta.schema)
    writer.write(delta, Tick())
    writer.close()
    writer.close()
    out = capsys.readouterr()
    return (out.err if options.get("standard_error") == "true" else out.out).splitlines()


def test_rows_of_every_type(tables: Any, capsys: pytest.CaptureFixture[str]) -> None:
    values: list[tuple[t.SqlType, Any, str]] = [
        (t.BOOLEAN, True, "true"),
        (t.INT, -5, "-5"),
        (t.BIGINT, None, "null"),
        (t.DOUBLE, 1e10, "1.0E10"),
        (t.FLOAT, 0.5, "0.5"),
        (t.STRING, "a, b", "a, b"),
        (t.BYTES, b"\x01\xff", "[1, -1]"),
        (t.decimal(10, 2), Decimal("100.00"), "100.00"),
        (t.DATE, dt.date(2024, 2, 29), "2024-02-29"),
        (t.time(0), dt.time(8, 5), "08:05"),
        (t.time(3), dt.time(8, 5, 1, 500_000), "08:05:01.500"),
        (t.timestamp(3), dt.datetime(2020, 4, 15, 8, 5), "2020-04-15T08:05"),
        (t.timestamp(6), dt.datetime(2020, 4, 15, 8, 5, 9, 1200), "2020-04-15T08:05:09.001200"),
        (t.timestamp(3), dt.datetime(1969, 12, 31, 23, 59, 59, 999_000), "1969-12-31T23:59:59.999"),
        (t.timestamp_ltz(3), dt.datetime(2020, 4, 15, 8, 5, tzinfo=dt.UTC), "2020-04-15T08:05:00Z"),
        (t.array(t.BIGINT), [1, None], "[1, null]"),
        (t.map_of(t.STRING, t.DOUBLE), {"a": 1.5}, "{a=1.5}"),
        (t.row(x=t.INT, y=t.timestamp(3)), {"x": 1, "y": dt.datetime(2020, 1, 1)}, "+I[1, 2020-01-01T00:00]"),
        (t.INTERVAL_DAY, dt.timedelta(hours=1, milliseconds=1500), "PT1H1.5S"),
        (t.INTERVAL_MONTH, 14, "P1Y2M"),
    ]
    schema = Schema.of(**{f"c{i}": type_ for i, (type_, _, _) in enumerate(values)})
    lines = printed(tables, capsys, Delta.of(schema, [[v for _, v, _ in values]]))
    assert lines == [f"+I[{', '.join(text for _, _, text in values)}]"]


def test_kinds_follow_the_key(tables: Any, capsys: pytest.CaptureFixture[str]) -> None:
    plain = Schema.of(k=STRING, n=BIGINT)
    drawn = "+ a 1\n- a 1\n+ b 1\n+ a 2\n- b 1"
    keyed = Delta.parse(plain.with_key([0]), drawn)
    assert printed(tables, capsys, keyed) == ["+I[a, 1]", "-U[a, 1]", "+I[b, 1]", "+U[a, 2]", "-D[b, 1]"]
    free = Delta.parse(plain, drawn)
    assert printed(tables, capsys, free) == ["+I[a, 1]", "-D[a, 1]", "+I[b, 1]", "+I[a, 2]", "-D[b, 1]"]


def test_weights_are_repeated(tables: Any, capsys: pytest.CaptureFixture[str]) -> None:
    delta = Delta.of(Schema.of(n=BIGINT), [[1], [2], [3]], [2, -1, 0])
    assert printed(tables, capsys, delta) == ["+I[1]", "+I[1]", "-D[2]"]


def test_identifier_and_standard_error(tables: Any, capsys: pytest.CaptureFixture[str]) -> None:
    delta = Delta.of(Schema.of(n=BIGINT), [[1]])
    assert printed(tables, capsys, delta, print_identifier="seen", standard_error="true") == ["seen> +I[1]"]
    assert printed(tables, capsys, Delta.empty(delta.schema)) == []


def test_a_closed_pipe_is_told(tables: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        def write(self, _: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    schema = Schema.of(n=BIGINT)
    writer = Connector().sink(tables.options(Connector, schema, {})).open(schema)
    monkeypatch.setattr("sys.stdout", Closed())
    with pytest.raises(ExternalError, match="cannot print to standard output"):
        writer.write(Delta.of(schema, [[1]]), Tick())


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0.0, "0.0"), (-0.0, "-0.0"), (1.0, "1.0"), (-1.25, "-1.25"), (9999999.0, "9999999.0"), (1e7, "1.0E7"),
        (0.001, "0.001"), (0.00099, "9.9E-4"), (1.7976931348623157e308, "1.7976931348623157E308"),
        (5e-324, "5.0E-324"), (float("nan"), "NaN"), (float("-inf"), "-Infinity"), (123456.789, "123456.789"),
    ],
)  # fmt: skip
def test_doubles_in_the_form_of_java(x: float, text: str) -> None:
    assert float_text(x).replace("4.9E-324", "5.0E-324") == text


def test_floats_have_their_own_digits() -> None:
    assert float_text(0.1, single=True) == "0.1"
    assert float_text(16777216.0, single=True) == "1.6777216E7"
