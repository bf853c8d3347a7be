"""Raw lines."""

from __future__ import annotations

import pytest
from formats_kit import decode, make, refused
from hypothesis import given
from hypothesis import strategies as st

from deras.core import types as t
from deras.core.errors import OptionError
from deras.core.schema import Schema


@given(st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b"")), max_size=20))
def test_bytes(lines: list[bytes]) -> None:
    found = decode("raw", Schema.of(x=t.BYTES), b"".join(x + b"\n" for x in lines))
    assert [r[0] for r in found.delta.rows()] == lines
    assert make("raw").encoder(Schema.of(x=t.BYTES)).encode(found.delta) == b"".join(x + b"\n" for x in lines)


def test_text() -> None:
    found = decode("raw", Schema.of(x=t.STRING), b"plain\r\ngr\xc3\xbcn und lang genug\n\n\xff\nlast")
    assert found.delta.rows() == [("plain",), ("grün und lang genug",), ("",), ("last",)]
    assert refused(found) == [("decode", "not valid UTF-8 (column 1)")]
    assert found.count == 5


def test_other_schemas_are_refused() -> None:
    for schema in (Schema.of(x=t.INT), Schema.of(x=t.STRING, y=t.STRING)):
        with pytest.raises(OptionError, match="single column"):
            make("raw").decoder(schema)
