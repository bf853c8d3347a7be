"""The kernel against an exact parser, on valid, mutated and random bytes; once more with bounds checks on."""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import sys
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from formats_kit import block, decode, make, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core import types as t
from deras.core.schema import Schema
from deras.formats._json_decoder import JsonDecoder
from deras.formats._text_decoder import Run

SCHEMA = Schema.of(a=t.BIGINT, b=t.STRING, c=t.DOUBLE, d=t.BOOLEAN, e=t.decimal(12, 3), n=t.array(t.BIGINT))

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
numbers = st.one_of(st.integers(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.dictionaries(st.one_of(st.sampled_from("bx"), texts), values, max_size=6), max_size=8), st.data())
def test_valid_json_of_any_shape_gives_its_text_columns(records: list[dict[str, Any]], data: st.DataObject) -> None:
    lines = []
    for r in records:
        separators = data.draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " : ")]))
        lines.append(json.dumps(r, ensure_ascii=data.draw(st.booleans()), separators=separators))
    found = decode("json", Schema.of(b=t.STRING), "\n".join(lines))
    assert not found.rejected
    for (got,), r in zip(found.delta.rows(), records, strict=True):
        want = r.get("b")
        if isinstance(want, str):
            assert got == want
        elif want is None:
            assert got is None
        elif isinstance(want, bool):
            assert got == str(want).lower()
        else:
            assert json.loads(got) == want


_NAMES = ["a", "b", "ab", "kex", "keys", "column_1", "column_2", "column_10", "column_01", "the_same_sixteen", "the_same_sixteen_and_more_1",
          "the_same_sixteen_and_more_2", "x" * 31, "x" * 32, "x" * 33, "x" * 60, "ä", "äö", "12345678", "12345679", "1234567x8"]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(_NAMES), min_size=1, unique=True), st.integers(0, 1 << 30))
def test_keys_in_any_order(names: list[str], seed: int) -> None:
    r = random.Random(seed)
    schema = Schema.of(**dict.fromkeys(names, t.BIGINT))
    wanted = [i for i in range(len(names)) if r.random() < 0.7] or [0]
    decoder = make("json").decoder(schema, wanted)
    order = [*names, *r.sample(_NAMES, 3)]
    for mode in ("in order", "any order", "gaps", "in order", "any order"):
        records = []
        for _ in range(12):
            if mode == "any order":
                r.shuffle(order)
            kept = [n for n in order if mode != "gaps" or r.random() < 0.8]
            records.append({n: r.randint(-99, 99) for n in kept})
        text = "".join(
            json.dumps(x, separators=r.choice([(",", ":"), (", ", ": ")]), ensure_ascii=False) + "\n" for x in records
        )
        found = decoder.decode(block(text))
        assert not found.rejected
        rows = found.delta.rows()
        assert [[row[i] for i in wanted] for row in rows] == [[x.get(names[i]) for i in wanted] for x in records]


def test_keys_that_share_their_hash() -> None:
    """Equal first and last eight bytes and length: only the middle differs."""
    names = [f"startend{c}{d}startend" for c in "abc" for d in "xyz"]
    r = random.Random(3)
    schema = Schema.of(**dict.fromkeys(names, t.BIGINT))
    records = [{n: r.randint(0, 9) for n in r.sample(names, len(names))} for _ in range(50)]
    found = decode("json", schema, "\n".join(map(json.dumps, records)))
    assert found.delta.rows() == [tuple(x[n] for n in names) for x in records]


_DAYS = ["2024-02-29", "2023-02-29", "2024-02-28", "2024-02-2x", "0001-01-01", "1970-01-01", "2024-13-01", "9999-12-31"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(_DAYS), st.sampled_from(_DAYS), st.sampled_from(" T")), max_size=12))
def test_times_of_the_same_and_of_other_days(days: list[tuple[str, str, str]]) -> None:
    schema = Schema.of(a=t.timestamp(3), b=t.timestamp(3))
    lines = [f'{{"a":"{a} 01:02:03.004","b":"{b}{c}23:59:59"}}\n' for a, b, c in days]
    together = decode("json", schema, "".join(lines))
    alone = [decode("json", schema, line) for line in lines]
    assert together.delta.rows() == [row for one in alone for row in one.delta.rows()]
    assert [m for _, m in refused(together)] == [m for one in alone for _, m in refused(one)]
    good = [d for d in days if {d[0], d[1]} <= {"2024-02-29", "2024-02-28", "0001-01-01", "1970-01-01", "9999-12-31"}]
    assert len(together.delta) == len([d for d in good if d[2] == " "])


@pytest.mark.parametrize(
    "text", ["01", "1.", "1e", "-", "1e+", "--1", "1.e3", "+1", ".5", "1x", "1 2", "0x1", "/1", "1e5e5"]
)
def test_wrong_numbers_are_refused_in_columns_that_nobody_reads(text: str) -> None:
    schema = Schema.of(a=t.BIGINT, b=t.STRING)
    found = decode(
        "json",
        schema,
        f'{{"a":{text},"b":"x"}}\n{{"a":12345678901234567890123,"b":"y"}}\n{{"a":-0.5E-10,"b":"z"}}',
        [1],
    )
    assert [row[1] for row in found.delta.rows()] == ["y", "z"]
    assert len(refused(found)) == 1


@settings(max_examples=500, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([repr, "{:.17e}".format, "{:.20g}".format]))
def test_doubles_are_exact(x: float, write: Any) -> None:
    text = write(x)
    assert decode("json", Schema.of(x=t.DOUBLE), f'{{"x":{text}}}').delta.rows() == [(float(text),)]


@settings(max_examples=500, deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=None), st.integers(1, 38), st.data())
def test_decimals_round_half_up_or_are_refused(x: Decimal, precision: int, data: st.DataObject) -> None:
    scale = data.draw(st.integers(0, precision))
    if not -300 < x.adjusted() < 300:
        return
    found = decode("json", Schema.of(x=t.decimal(precision, scale)), f'{{"x":{x}}}')
    import decimal

    with decimal.localcontext() as context:
        context.prec = 800
        want = x.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
    if abs(want) < Decimal(10) ** (precision - scale):
        assert found.delta.rows() == [(want,)]
    else:
        assert "does not fit" in refused(found)[0][1] or "out of range" in refused(found)[0][1]


def strict(line: bytes) -> Any:
    """What a strict parser makes of a record: a dict, None if it is refused, text if only a number is out of range."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as e:
        return str(e) if "infinity" in str(e) else None
    return value if isinstance(value, dict) else None


PIECES = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\t", b"\r", b"0", b"-", b".", b"e", b"E", b"+", b"9",
          b"null", b"true", b"false", b"\\u", b"\\ud83d", b"\\ude00", b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98\x80",
          b"\x00", b"\x1f", b"\x7f", b'"a":', b'"x":', b"NaN", b"1e400", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"]  # fmt: skip


def hostile(r: random.Random) -> bytes:
    """A record that was valid before it was mutated (or not)."""
    record: dict[str, Any] = {}
    for k in r.sample(["a", "b", "c", "d", "e", "n", "x", "yy"], r.randint(0, 8)):
        record[k] = r.choice([
            r.randint(-(10 ** r.randint(1, 19)), 10 ** r.randint(1, 19)), r.random(), "text" * r.randint(0, 12), None, True,
            [1, 2], {"z": [{}]}, "ü€😀" * r.randint(0, 9), 'q"\n\\' * r.randint(0, 9),
        ])  # fmt: skip
    line = bytearray(
        json.dumps(record, ensure_ascii=r.random() < 0.5, separators=r.choice([(",", ":"), (", ", ": ")])).encode()
    )
    for _ in range(r.choice([0, 0, 1, 1, 2, 5])):
        at = r.randint(0, len(line))
        match r.randint(0, 4):
            case 0:
                line[at:at] = r.choice(PIECES)
            case 1:
                del line[at : at + r.randint(1, 3)]
            case 2:
                line[at : at + 1] = r.choice(PIECES)
            case 3:
                line = line[:at]
            case 4:
                line[at : at + 1] = bytes([r.randint(0, 255)])
    return bytes(line).replace(b"\n", b" ")


def differential(seed: int, rows: int) -> None:
    r = random.Random(seed)
    # orjson refuses numbers out of range even where nobody reads them; arrays are records in another way.
    lines = [x for x in (hostile(r) for _ in range(rows)) if x.strip(b" \t\r") and not isinstance(strict(x), str)]
    lines = [x for x in lines if not x.lstrip(b" \t\r").startswith(b"[")]
    # Only a text column is read: every strictly valid object must be taken, and nothing else.
    decoder = make("json").decoder(Schema.of(b=t.STRING))
    found = decoder.decode(block(b"\n".join(lines), junk=r.choice([0, 48, 34, 32, 91, 255])))
    records = [strict(x) for x in lines]
    bad = sorted(x.lstrip(b" \t\r").rstrip(b"\r") for x, y in zip(lines, records, strict=True) if y is None)
    assert sorted(raw for x in found.rejected for raw in x.raw) == bad
    good = [y for y in records if y is not None]
    assert len(found.delta) == len(good)
    for got, record in zip(found.delta.columns[0].values(), good, strict=True):
        want = record.get("b")
        assert got == want if want is None or isinstance(want, str) else got is not None
    assert found.count == len(lines)


def check_values(seed: int, rows: int) -> None:
    """The kernel and the exact path agree on every value and refusal, record by record."""
    r = random.Random(seed)
    decoder = make("json").decoder(SCHEMA)
    assert isinstance(decoder, JsonDecoder)
    for _ in range(rows):
        line = hostile(r)
        b = block(line, junk=r.choice([0, 48, 34, 32, 57]))
        fast = decoder.decode(b)
        slow = Run(decoder, b, b.data)
        slow.decode(b.start, b.start, None)
        if not line.strip(b" \t\r") or line.lstrip().startswith(b"["):
            continue
        import numpy as np

        slow.words = np.zeros((decoder.n_words, 1), np.int64)
        slow.wide = np.zeros((decoder.n_wide, 1, 2), np.uint64)
        slow.valid = np.ones((len(decoder.wanted), 1), np.uint8)
        slow.start, slow.end = b.start, b.end
        slow._one(b.start, b.end, 0)
        exact = slow._finish(1)
        assert fast.delta.rows() == exact.delta.rows(), line
        assert len(fast.rejected) == len(exact.rejected), line


def noise(seed: int, rounds: int) -> None:
    """Random bytes and cut-off records: nothing but counts is known, and that nothing breaks."""
    r = random.Random(seed)
    decoder = make("json").decoder(SCHEMA)
    for _ in range(rounds):
        raw = b"".join(
            r.choice(PIECES) if r.random() < 0.8 else r.randbytes(r.randint(1, 9)) for _ in range(r.randint(1, 60))
        )
        if r.random() < 0.5:
            raw = b"\n".join([raw, hostile(r), hostile(r)])
        found = decoder.decode(block(raw[: r.randint(0, len(raw))], junk=r.choice([0, 48, 34, 32, 57, 255])))
        assert found.count == len(found.delta) + sum(map(len, found.rejected))
        assert len(found.delta.rows()) == len(found.delta)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_records_are_judged_as_by_a_strict_parser(seed: int) -> None:
    differential(seed, 3000)


@pytest.mark.parametrize("seed", range(3))
def test_kernel_and_exact_path_agree(seed: int) -> None:
    check_values(seed, 1500)


def test_noise() -> None:
    noise(5, 1500)


def test_random_bit_patterns_of_doubles() -> None:
    r = random.Random(3)
    xs = [struct.unpack("d", r.randbytes(8))[0] for _ in range(20_000)]
    texts_ = [repr(x) for x in xs if x == x and abs(x) != float("inf")]
    text = "\n".join(f'{{"x":{x}}}' for x in texts_)
    got = decode("json", Schema.of(x=t.DOUBLE), text).delta.columns[0].floats().tolist()
    assert got == [float(x) for x in texts_]


def test_fuzz_with_bounds_checks_on(tmp_path: Path) -> None:
    here = Path(__file__).parent
    code = (
        "import deras.core.jit as j; assert j.BOUNDSCHECK\n"
        "import test_json_fuzz as f\n"
        "f.differential(11, 3000); f.check_values(12, 800); f.noise(13, 1500)\n"
        "import test_json_decode as d\n"
        "d.test_depth(); d.test_many_unknown_keys_and_long_ones(); d.test_wide_schemas()\n"
    )
    path = os.pathsep.join([str(here), str(here.parents[1] / "src")])
    env = os.environ | {"DERAS_BOUNDSCHECK": "1", "PYTHONPATH": path, "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
