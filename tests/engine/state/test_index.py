from __future__ import annotations

import math
import os
import random
import struct
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core.column import Column
from deras.core.errors import CorruptError, InternalError
from deras.core.types import BIGINT, BOOLEAN, BYTES, DOUBLE, INT, STRING, SqlType, array, decimal
from deras.engine.state import State, compact
from deras.engine.state.index import Index
from deras.engine.state.keys import KeyShape

if TYPE_CHECKING:
    from deras.engine.state.index import Index

BIG = decimal(38, 2)
TYPES = [BIGINT, STRING, DOUBLE, BIG, BOOLEAN, BYTES, INT.with_nullable(False)]


def value(t: SqlType) -> st.SearchStrategy[object]:
    some: st.SearchStrategy[object]
    if t.is_text:
        some = st.sampled_from(
            ["", "a", "b", "abcd", "abcdefghijkl", "abcdefghijklm", "abcdefghijklM", "ä" * 9, "x" * 300]
        )
    elif t.is_bytes:
        some = st.sampled_from([b"", b"\0", b"\0\0", b"\0" * 12, b"\0" * 13, b"\xff" * 20])
    elif t == DOUBLE:
        some = st.sampled_from([0.0, -0.0, 1.5, math.nan, math.inf, -math.inf, 5e-324])
    elif t == BIG:
        some = st.sampled_from([Decimal(x) for x in ("0.00", "-0.01", "9" * 30 + ".25", "-" + "9" * 30 + ".25")])
    elif t == BOOLEAN:
        some = st.booleans()
    else:
        some = st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31)])
    return st.none() | some if t.nullable else some


def columns(types: list[SqlType], rows: list[tuple[object, ...]]) -> list[Column]:
    return [Column.of_values(t, [r[i] for r in rows]) for i, t in enumerate(types)]


def bits(v: object) -> object:
    return struct.pack("<d", v) if isinstance(v, float) else (type(v).__name__, v)


def key(row: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(map(bits, row))


def keys_of(index: Index, ids: np.ndarray) -> list[tuple[object, ...]]:
    found = [c.values() for c in index.key_columns(ids)]
    return [key(r) for r in zip(*found, strict=True)] if found else [()] * len(ids)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_index_is_a_dictionary(data: st.DataObject) -> None:
    types = data.draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=4))
    row = st.tuples(*(value(t) for t in types))
    state = State("a")
    index = state.index("i", types, 2, [7, -7])
    held: dict[tuple[object, ...], int] = {}
    cells: dict[tuple[object, ...], int] = {}
    log: list[tuple[str, str, bytes]] = []
    for round_ in range(data.draw(st.integers(1, 6))):
        rows = data.draw(st.lists(row, max_size=30))
        insert = data.draw(st.booleans())
        ids = index.lookup(columns(types, rows), insert=insert).tolist()
        for r, i in zip(rows, ids, strict=True):
            k = key(r)
            if k in held:
                assert i == held[k]
                if insert:  # which marks it as changed
                    index.cells[i, 0] = cells[k] = round_ * 1000 + 500
            elif insert:
                assert i not in held.values()
                held[k] = i
                cells[k] = 7
                assert index.cells[i].tolist() == [7, -7]
                index.cells[i, 0] = cells[k] = round_ * 1000 + len(held)
            else:
                assert i == -1
        if held and data.draw(st.booleans()):
            gone = data.draw(st.lists(st.sampled_from(sorted(held, key=repr)), unique=True))
            index.release(np.array([held.pop(k) for k in gone], np.int64))
        if data.draw(st.booleans()):
            log += [(k, n, bytes(b)) for k, n, b in state.freeze(round_).chunks()]
            if data.draw(st.booleans()):
                log = [(k, n, bytes(b)) for k, n, b in compact("a", round_, log).chunks()]
            if data.draw(st.booleans()):
                state = State("a")
                index = state.index("i", types, 2, [7, -7])
                state.restore(log)
                ids_now = index.ids()
                held = dict(zip(keys_of(index, ids_now), ids_now.tolist(), strict=True))
        assert len(index) == len(held)
        live = index.ids()
        assert sorted(keys_of(index, live), key=repr) == sorted(held, key=repr)
        for k, i in held.items():
            assert index.cells[i].tolist() == [cells[k], -7]


def test_first_equal_row_of_a_batch_names_all() -> None:
    index = State().index("i", [STRING], 0)
    assert index.lookup([Column.of_values(STRING, ["b", "a", "b", None, "a", None])]).tolist() == [0, 1, 0, 2, 1, 2]


def test_rows_picks_positions() -> None:
    index = State().index("i", [BIGINT], 0)
    assert index.lookup([Column.of_values(BIGINT, [5, 6, 7])], np.array([2, 0])).tolist() == [0, 1]
    assert index.key_columns(np.array([0, 1]))[0].values() == [7, 5]
    for bad in ([3], [-1]):
        with pytest.raises((IndexError, InternalError)):
            index.lookup([Column.of_values(BIGINT, [5, 6, 7])], np.array(bad))


def test_null_in_a_row_that_is_not_asked_for_is_no_matter() -> None:
    key = BIGINT.with_nullable(False)
    column = Column.of_words(key, np.array([5, 6, 7]), np.array([1, 0, 1], np.uint8))
    index = State().index("i", [key], 0)
    assert index.lookup([column], np.array([2, 0])).tolist() == [0, 1]
    with pytest.raises(InternalError):
        index.lookup([column], np.array([1]))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_chosen_rows_are_the_keys_of_those_rows(data: st.DataObject) -> None:
    types = data.draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=4))
    rows = data.draw(st.lists(st.tuples(*(value(t) for t in types)), min_size=1, max_size=100))
    at = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=200)), np.int64)
    index, other = State().index("i", types, 0), State().index("i", types, 0)
    given_columns = columns(types, rows)
    ids = index.lookup(given_columns, at)
    assert ids.tolist() == other.lookup([c.take(at) for c in given_columns], length=len(at)).tolist()
    assert keys_of(index, ids) == [key(rows[i]) for i in at]


def test_no_key_columns_is_one_key() -> None:
    index = State().index("i", [], 1, [3])
    assert index.lookup([], length=4).tolist() == [0, 0, 0, 0]
    assert len(index) == 1
    assert index.cells[0].tolist() == [3]
    index.release(np.array([0]))
    assert index.lookup([], length=1, insert=False).tolist() == [-1]


def test_garbage_after_a_short_text_does_not_count() -> None:
    clean = Column.of_values(STRING, ["abc", "abcdefgh"])
    dirty = clean.views().views.copy()
    dirty[0, 0] |= np.uint64(0xEE << 56)
    dirty[0, 1] = 99
    dirty[1, 1] |= np.uint64(0xEE << 40)
    from deras.core.column import Views

    index = State().index("i", [STRING], 0)
    first = index.lookup([clean])
    assert index.lookup([Column.of_views(STRING, Views(dirty, []))]).tolist() == first.tolist()


def test_a_null_where_the_type_has_none_is_our_fault() -> None:
    index = State().index("i", [BIGINT.with_nullable(False)], 0)
    with pytest.raises(InternalError, match="NULL in key"):
        index.lookup([Column.of_values(BIGINT, [None])])


def test_nested_types_are_no_keys() -> None:
    with pytest.raises(InternalError, match="no word form"):
        State().index("i", [array(INT)], 0)


@pytest.mark.parametrize("types", [[BIGINT.with_nullable(False)], [BIGINT, STRING]])
def test_growth_keeps_every_id(types: list[SqlType]) -> None:
    n = 300_000
    numbers = np.random.default_rng(0).permutation(n) * 7919
    cols = [Column.of_words(BIGINT, numbers)]
    if len(types) > 1:
        cols.append(Column.of_values(STRING, [f"a rather long name {i % 1000}" if i % 3 else str(i) for i in range(n)]))
    index = State().index("i", types, 1)
    for a in range(0, n, 65536):
        part = [c.slice(a, min(a + 65536, n)) for c in cols]
        assert index.lookup(part).tolist() == list(range(a, min(a + 65536, n)))
    assert (index.lookup(cols, insert=False) == np.arange(n)).all()
    index.release(np.arange(0, n, 2))
    found = index.lookup(cols, insert=False)
    assert (found[::2] == -1).all()
    assert (found[1::2] == np.arange(1, n, 2)).all()


def test_fresh_keys_for_many_rounds_leave_memory_flat() -> None:
    state = State()
    index = state.index("i", [STRING, BIGINT], 2)
    sizes = []
    for i in range(120):
        cols = [
            Column.of_values(STRING, [f"sensor number {j} of round {i}" for j in range(2000)]),
            Column.of_values(BIGINT, list(range(2000))),
        ]
        ids = index.lookup(cols)
        if i % 10 == 0:
            list(state.freeze(i).chunks())
        index.release(ids)
        sizes.append(index.bytes)
    assert len(index) == 0
    assert index.used <= 2000
    assert max(sizes[60:]) <= max(sizes[:60])


def test_few_long_lived_texts_do_not_pin_the_dead_ones() -> None:
    index = State().index("i", [STRING], 0)
    kept: dict[str, int] = {}
    for i in range(200):
        names = [f"a name that is long enough {i} {j} " + "x" * 100 for j in range(500)]
        ids = index.lookup([Column.of_values(STRING, names)])
        kept[names[7]] = int(ids[7])
        index.release(np.delete(ids, 7))
    assert index.lookup([Column.of_values(STRING, list(kept))], insert=False).tolist() == list(kept.values())
    assert index.key_columns(np.array(list(kept.values())))[0].values() == list(kept)
    assert index.bytes < 6_000_000  # 100 000 texts of 150 bytes went through


def test_keys_point_into_nothing_of_the_input() -> None:
    names = ["the first long name of all", "the second long name of all"]
    column = Column.of_values(STRING, names)
    views = column.views()
    from deras.core.column import Views

    buffers = [b.copy() for b in views.buffers]
    index = State().index("i", [STRING], 0)
    ids = index.lookup([Column.of_views(STRING, Views(views.views.copy(), buffers))])
    for b in buffers:
        b[:] = 0
    assert index.key_columns(ids)[0].values() == names


def test_key_columns_outlive_their_keys() -> None:
    index = State().index("i", [STRING], 0)
    names = [f"a name that is long enough {j}" for j in range(3000)]
    ids = index.lookup([Column.of_values(STRING, names)])
    seen = index.key_columns(ids)[0]
    index.release(ids)
    for i in range(50):
        other = index.lookup([Column.of_values(STRING, [f"other {i} {n}" for n in names])])
        index.release(other)
    assert seen.values() == names


M = (1 << 64) - 1


def reference_group(row: list[bytes | int | None]) -> int:
    """The hash as docs/reference/checkpoint-format.md describes it."""
    h = 0x9E3779B97F4A7C15

    def mix(h: int, w: int) -> int:
        x = ((h ^ w) * 0xBF58476D1CE4E5B9) & M
        return x ^ (x >> 32)

    for v in row:
        if v is None:
            h = mix(h, 0xA5A5D1D1C3C39696)
        elif isinstance(v, int):
            h = mix(h, v & M)
        else:
            h = mix(h, len(v) | int.from_bytes(v[:4].ljust(4, b"\0"), "little") << 32)
            if len(v) <= 12:
                h = mix(h, int.from_bytes(v[4:].ljust(8, b"\0"), "little"))
            else:
                for o in range(0, len(v) - 8, 8):
                    h = mix(h, int.from_bytes(v[o : o + 8], "little"))
                h = mix(h, int.from_bytes(v[-8:], "little"))
    h ^= h >> 33
    h = h * 0xFF51AFD7ED558CCD & M
    h ^= h >> 33
    h = h * 0xC4CEB9FE1A85EC53 & M
    h ^= h >> 33
    return h >> 57


@given(
    st.lists(st.tuples(st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | st.binary(max_size=40)), min_size=1)
)
def test_key_groups_are_the_documented_ones(rows: list[tuple[int | None, bytes | None]]) -> None:
    shape = KeyShape([BIGINT, BYTES])
    groups = shape.groups(columns([BIGINT, BYTES], rows), len(rows))
    assert groups.tolist() == [reference_group(list(r)) for r in rows]


def test_key_groups_never_change() -> None:
    # Checkpoints hold them: a change of these numbers breaks every checkpoint there is.
    shape = KeyShape([STRING])
    names = ["", "a", "sensor-1", "a key that is longer than twelve bytes", None]
    assert shape.groups([Column.of_values(STRING, names)], 5).tolist() == [
        reference_group([None if n is None else n.encode()]) for n in names
    ]
    assert KeyShape([BIGINT]).groups([Column.of_values(BIGINT, [0, 1, 2])], 3).tolist() == [
        reference_group([i]) for i in range(3)
    ]


def test_freeze_holds_only_what_was_touched() -> None:
    state = State()
    index = state.index("i", [BIGINT], 1)
    index.lookup([Column.of_values(BIGINT, list(range(100)))])
    assert len(state.freeze(1).indexes["i"].cells) == 100
    assert len(state.freeze(2).indexes["i"].cells) == 0
    index.lookup([Column.of_values(BIGINT, [5, 6])])
    index.lookup([Column.of_values(BIGINT, [7])], insert=False)
    index.touch(np.array([9]))
    frozen = state.freeze(3)
    assert frozen.indexes["i"].columns[0].values() == [5, 6, 9]
    assert len(state.base(3).indexes["i"].cells) == 100


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.sets(st.integers(0, 69)), st.sets(st.integers(0, 69)))
def test_freeze_finds_the_touched_wherever_they_lie(n: int, touched: set[int], gone: set[int]) -> None:
    state = State()
    index = state.index("i", [BIGINT], 2, [1, 2])
    ids = index.lookup([Column.of_values(BIGINT, list(range(n)))])
    state.freeze(1)
    index.cells[:n, 1] = ids + 100
    index.release(np.array([i for i in gone if i < n], np.int64))
    index.touch(np.array([i for i in touched if i < n], np.int64))
    want = [i for i in range(n) if i in touched and i not in gone]
    full = state.base(2).indexes["i"]
    frozen = state.freeze(2).indexes["i"]
    assert frozen.columns[0].values() == want
    assert frozen.cells.tolist() == [[1, i + 100] for i in want]
    assert full.columns[0].values() == [i for i in range(n) if i not in gone]
    assert sum(frozen.deleted_rows) == len(gone & set(range(n)))
    assert not len(state.freeze(3).indexes["i"].cells)


def test_a_frozen_state_does_not_change() -> None:
    state = State()
    index = state.index("i", [STRING], 1)
    index.lookup([Column.of_values(STRING, ["a long name for the first key"])])
    frozen = state.freeze(1)
    index.cells[0, 0] = 99
    index.release(np.array([0]))
    other = State()
    again = other.index("i", [STRING], 1)
    other.restore(frozen.chunks())
    assert again.cells[0].tolist() == [0]
    assert again.key_columns(np.array([0]))[0].values() == ["a long name for the first key"]


def test_damage_and_misfits_are_named() -> None:
    state = State("view/orders")
    state.index("i", [BIGINT], 1).lookup([Column.of_values(BIGINT, [1])])
    [(kind, name, data)] = state.freeze(1).chunks()
    for at in (0, 8, 20, len(data) - 1):
        bad = bytearray(bytes(data))
        bad[at] ^= 1
        fresh = State("view/orders")
        fresh.index("i", [BIGINT], 1)
        with pytest.raises(CorruptError, match="view/orders"):
            fresh.restore([(kind, name, bad)])
    other = State("view/orders")
    other.index("i", [BIGINT], 2)
    with pytest.raises(CorruptError, match="another shape"):
        other.restore([(kind, name, data)])


def test_values_and_blobs_come_back() -> None:
    state = State()
    state.values().update({"n": 2**62, "x": 0.1, "s": "ä", "l": [1, None], "b": True})
    state.blobs()["a"] = np.arange(5)
    frozen = state.freeze(1)
    state.values()["n"] = 0
    state.blobs()["a"][0] = 9
    other = State()
    seen = []
    other.on_restore(lambda: seen.append(other.values()["n"]))
    other.restore(frozen.chunks())
    assert other.values() == {"n": 2**62, "x": 0.1, "s": "ä", "l": [1, None], "b": True}
    assert other.blobs()["a"].tolist() == [0, 1, 2, 3, 4]
    assert seen == [2**62]


def test_random_long_run_with_releases() -> None:
    rnd = random.Random(4)
    index = State().index("i", [BIGINT, STRING], 1)
    held: dict[tuple[int, str], int] = {}
    for _ in range(120):
        rows = [(rnd.randrange(3000), rnd.choice(["s", "long enough to lie in the arena"])) for _ in range(700)]
        ids = index.lookup(columns([BIGINT, STRING], rows)).tolist()
        for r, i in zip(rows, ids, strict=True):
            assert held.setdefault(r, i) == i
        gone = rnd.sample(sorted(held), min(len(held), 600))
        index.release(np.array([held.pop(r) for r in gone]))
        assert len(index) == len(held) == len(set(held.values()))


@pytest.mark.slow
def test_state_kernels_stay_inside_their_arrays() -> None:
    here = Path(__file__).parent
    files = [
        here / "test_index.py",
        here / "test_segments.py",
        here.parent / "test_join.py",
        here.parent / "test_materialize.py",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow", *map(str, files)],
        env={**os.environ, "DERAS_BOUNDSCHECK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("step", [1, 2000, 100_000])
def test_keys_keep_their_ids_while_groups_of_slots_move(step: int) -> None:
    n = 150_000 if step > 1 else 3000
    keys = np.random.default_rng(step).permutation(n).astype(np.int64) * 7919
    index = Index([BIGINT], 1)
    given = np.concatenate([index.lookup([Column.of_words(BIGINT, keys[s : s + step])]) for s in range(0, n, step)])
    assert (given == np.arange(n)).all()
    gone = given[::3]
    index.release(gone)
    left = np.ones(n, bool)
    left[::3] = False
    for known, more in ((left, 0), (left, n)):
        if more:
            # The slots of released keys are used again, and groups grow with holes in them.
            index.lookup([Column.of_words(BIGINT, -1 - np.arange(more, dtype=np.int64))])
        found = index.lookup([Column.of_words(BIGINT, keys)], insert=False)
        assert (found[known] == given[known]).all()
        assert (found[~known] == -1).all()
    assert len(index) == n - len(gone) + n
    bits = index._groups[:, 1]
    assert bits.max() - bits.min() <= 1
    # Each group has slots of its own.
    order = np.argsort(index._groups[:, 0])
    assert (np.diff(index._groups[order, 0]) >= (1 << bits[order])[:-1]).all()
    assert (index._groups[:, 2] <= index._groups[:, 3]).all()
