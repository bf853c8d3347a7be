from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core.column import Column, Views
from deras.core.errors import InternalError
from deras.core.schema import Schema
from deras.core.types import BIGINT, DOUBLE, INT, STRING, array, decimal, map_of
from deras.engine.state import Rows, Segments, State, compact
from deras.engine.state.segments import BLOCK

SCHEMA = Schema.of(a=BIGINT, b=STRING, c=array(STRING), d=decimal(30, 2), e=DOUBLE)


def columns(rows: list[tuple[Any, ...]], schema: Schema = SCHEMA) -> list[Column]:
    return [Column.of_values(f.type, [r[i] for r in rows]) for i, f in enumerate(schema)]


def contents(rows: Rows) -> list[str]:
    return [repr(r) for r in zip(*(c.values() for c in rows.columns()), strict=True)]


def row(rnd: random.Random, n: int) -> tuple[Any, ...]:
    return (
        rnd.choice([None, n]),
        rnd.choice([None, "", f"short {n}", f"a text that is long enough {n}"]),
        rnd.choice([None, [], [f"part {n}", None]]),
        rnd.choice([None, Decimal(n * 10**15).scaleb(-2)]),
        rnd.choice([None, n / 7]),
    )


@pytest.mark.parametrize("seed", range(3))
def test_segments_are_a_list_with_removals(seed: int) -> None:
    rnd = random.Random(seed)
    state = State("a")
    segments = state.segments("r", SCHEMA, 2, 1, [1, -1])
    live: dict[int, str] = {}
    weights: dict[int, int] = {}
    log: list[Any] = []
    snapshots: list[tuple[Rows, list[str]]] = []
    moves = n = 0
    for step in range(70):
        rows = [row(rnd, n := n + 1) for _ in range(rnd.choice([1, 5, 3000]))]
        ids = segments.append(columns(rows), len(rows)).tolist()
        assert not set(ids) & set(live)
        live |= dict(zip(ids, map(repr, rows), strict=True))
        weights |= dict.fromkeys(ids, 1)
        gone = rnd.sample(list(live), int(len(live) * rnd.choice([0, 0.3, 0.6])))
        segments.kill(np.array(gone * 2, np.int64))  # the second time without effect
        for i in gone:
            del live[i]
        some = rnd.sample(list(live), min(5, len(live)))
        for i in some:
            weights[i] = int(segments.tab[i, segments.cell0]) + 1
            segments.tab[i, segments.cell0] += 1
        segments.touch(np.array(some, np.int64))
        for old, new in segments.tidy():
            moves += len(old)
            for o, i in zip(old.tolist(), new.tolist(), strict=True):
                live[i] = live.pop(o)
                weights[i] = weights[o]
        assert len(segments) == len(live)
        if step % 9 == 0:
            snapshots.append((segments.snapshot(), sorted(live.values())))
            if len(snapshots) > 3:
                del snapshots[rnd.randrange(3)]
        if rnd.random() < 0.1:
            log += [(k, name, bytes(b)) for k, name, b in state.freeze(step).chunks()]
            if rnd.random() < 0.3:
                log = list(compact("a", step, log).chunks())
            other = State("a")
            again = other.segments("r", SCHEMA, 2, 1, [1, -1])
            other.restore(log)
            rows_now, rows_then = segments.snapshot(), again.snapshot()
            assert contents(rows_then) == contents(rows_now)
            cell = segments.cell0
            assert rows_then.word(rows_then.ids(), cell).tolist() == rows_now.word(rows_now.ids(), cell).tolist()
        for s, want in snapshots:
            assert sorted(contents(s)) == want
    ids_now = segments.snapshot().ids()
    assert sorted(ids_now.tolist()) == sorted(live)
    assert [weights[i] for i in ids_now.tolist()] == segments.tab[ids_now, segments.cell0].tolist()
    assert moves > 0


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_restored_anywhere(data: st.DataObject) -> None:
    schema = Schema.of(a=BIGINT, b=STRING)
    state = State("a")
    segments = state.segments("r", schema)
    log: list[Any] = []
    live: list[int] = []
    for step in range(data.draw(st.integers(1, 8))):
        rows = data.draw(
            st.lists(st.tuples(st.none() | st.integers(-9, 9), st.none() | st.text(max_size=20)), max_size=9)
        )
        live += segments.append(columns(rows, schema), len(rows)).tolist()
        if live:
            gone = data.draw(st.lists(st.sampled_from(live), unique=True))
            segments.kill(np.array(gone, np.int64))
            live = [i for i in live if i not in gone]
        want = contents(segments.snapshot())
        if data.draw(st.booleans()):
            log += [(k, name, bytes(b)) for k, name, b in state.freeze(step).chunks()]
            if data.draw(st.booleans()):
                log = list(compact("a", step, log).chunks())
            if data.draw(st.booleans()):
                state = State("a")
                segments = state.segments("r", schema)
                state.restore(log)
                assert contents(segments.snapshot()) == want
                live = segments.snapshot().ids().tolist()
    assert len(segments) == len(live)


def test_rows_stay_in_order_of_arrival_through_moves() -> None:
    schema = Schema.of(a=BIGINT)
    segments = Segments(schema)
    n = 6 * BLOCK
    ids = segments.append(columns([(i,) for i in range(n)], schema), n)
    keep = np.arange(n) % 5 == 0
    segments.kill(ids[~keep])
    assert segments.tidy()
    segments.append(columns([(n,)], schema), 1)
    assert segments.snapshot().columns()[0].values() == [*range(0, n, 5), n]


def test_memory_is_flat_under_updates_and_grows_only_with_readers() -> None:
    schema = Schema.of(a=BIGINT, b=STRING)
    segments = Segments(schema)
    ids = np.zeros(0, np.int64)
    sizes = []
    given = columns([(j, f"a text of more than twelve bytes {j}") for j in range(1000)], schema)
    for _ in range(900):
        segments.kill(ids)
        ids = segments.append(given, 1000)
        for old, new in segments.tidy():
            place = dict(zip(old.tolist(), new.tolist(), strict=True))
            ids = np.array([place.get(x, x) for x in ids.tolist()])
        sizes.append(segments.bytes)
    assert max(sizes[300:]) <= max(sizes[:300]) * 1.1
    reader = segments.snapshot()
    want = contents(reader)
    for _ in range(60):
        segments.kill(ids)
        ids = segments.append(columns([(1, "another text of more than twelve bytes")] * 1000, schema), 1000)
        for old, new in segments.tidy():
            place = dict(zip(old.tolist(), new.tolist(), strict=True))
            ids = np.array([place.get(x, x) for x in ids.tolist()])
    assert contents(reader) == want


def test_rows_point_into_nothing_of_the_input() -> None:
    text = Column.of_values(STRING, ["the first long text of all", "the second long text of all"])
    views = text.views()
    buffers = [b.copy() for b in views.buffers]
    words = np.array([1, 2])
    schema = Schema.of(a=BIGINT, b=STRING)
    segments = Segments(schema)
    ids = segments.append(
        [Column.of_words(BIGINT, words), Column.of_views(STRING, Views(views.views.copy(), buffers))], 2
    )
    for b in buffers:
        b[:] = 0
    words[:] = 0
    assert [c.values() for c in segments.take(ids)] == [
        [1, 2],
        ["the first long text of all", "the second long text of all"],
    ]


def test_taken_columns_outlive_their_rows() -> None:
    schema = Schema.of(b=STRING)
    segments = Segments(schema)
    rows = [(f"a text of more than twelve bytes {i}",) for i in range(3 * BLOCK)]
    ids = segments.append(columns(rows, schema), len(rows))
    seen = segments.take(ids[:5])
    segments.kill(ids)
    segments.tidy()
    segments.append(columns([("something else, and longer than that",)] * 3 * BLOCK, schema), 3 * BLOCK)
    assert seen[0].values() == [r[0] for r in rows[:5]]


def test_freeze_is_of_its_moment() -> None:
    schema = Schema.of(a=BIGINT)
    state = State("a")
    segments = state.segments("r", schema, 1, 1, [1])
    ids = segments.append(columns([(i,) for i in range(10)], schema), 10)
    frozen = state.freeze(1)
    segments.tab[ids, segments.cell0] = 5
    segments.kill(ids[:9])
    segments.append(columns([(99,)], schema), 1)
    other = State("a")
    again = other.segments("r", schema, 1, 1, [1])
    other.restore(frozen.chunks())
    assert again.snapshot().columns()[0].values() == list(range(10))
    assert (again.tab[again.snapshot().ids(), again.cell0] == 1).all()


def test_row_that_came_and_went_between_checkpoints_is_not_written() -> None:
    schema = Schema.of(a=BIGINT)
    state = State("a")
    segments = state.segments("r", schema)
    state.freeze(0)
    segments.kill(segments.append(columns([(i,) for i in range(1000)], schema), 1000))
    assert sum(len(bytes(b)) for _, _, b in state.freeze(1).chunks()) < 1000


def test_block_used_twice_between_checkpoints_is_written_once() -> None:
    schema = Schema.of(a=BIGINT)
    state = State("a")
    segments = state.segments("r", schema)
    state.freeze(0)
    gone = segments.append(columns([(i,) for i in range(BLOCK)], schema), BLOCK)
    segments.append(columns([(-1,)], schema), 1)
    segments.kill(gone)
    segments.tidy()
    n = 2 * BLOCK
    assert set(segments.append(columns([(i,) for i in range(n)], schema), n)) & set(gone)
    other = State("a")
    again = other.segments("r", schema)
    other.restore(state.freeze(1).chunks())
    assert again.snapshot().columns()[0].values() == [-1, *range(n)]
    assert len(again) == len(segments)


def test_cells_that_changed_are_saved_wherever_the_row_lies_now() -> None:
    schema = Schema.of(a=BIGINT)
    state = State("a")
    segments = state.segments("r", schema, 1, 1)
    n = 6 * BLOCK
    ids = segments.append(columns([(i,) for i in range(n)], schema), n)
    log = [(k, name, bytes(b)) for k, name, b in state.freeze(1).chunks()]
    segments.tab[ids, segments.cell0] = 7
    segments.touch(ids)
    segments.touch(ids)
    segments.kill(ids[np.arange(n) % 3 > 0])
    moved = segments.tidy()
    assert moved
    for _, new in moved:
        segments.tab[new[:5], segments.cell0] = 8
        segments.touch(new[:5])
    log += [(k, name, bytes(b)) for k, name, b in state.freeze(2).chunks()]
    assert not state.freeze(3).segments["r"].changed
    other = State("a")
    again = other.segments("r", schema, 1, 1)
    other.restore(log)
    now, then = segments.snapshot(), again.snapshot()
    assert then.columns()[0].values() == now.columns()[0].values() == list(range(0, n, 3))
    assert then.word(then.ids(), segments.cell0).tolist() == now.word(now.ids(), segments.cell0).tolist()
    assert then.word(then.ids(), segments.cell0).tolist().count(8) == 5 * len(moved)


def test_text_of_blocks_given_back_is_given_back() -> None:
    # A few long-lived rows between many short-lived ones do not keep the chunks of text that they share.
    schema = Schema.of(b=STRING)
    segments = Segments(schema)
    keep: dict[int, str] = {}
    text = "a text of some bytes"
    for i in range(60):
        long_lived = i % 8 == 0
        rows = [(f"{text} {i} {j}",) for j in range(BLOCK)]
        ids = segments.append(columns(rows, schema), BLOCK)
        if long_lived:
            keep |= dict(zip(ids.tolist(), (r[0] for r in rows)))
        else:
            segments.kill(ids)
        for old, new in segments.tidy():
            keep |= {n: keep.pop(o) for o, n in zip(old.tolist(), new.tolist(), strict=True)}
    live = np.array(list(keep))
    assert segments.take(live)[0].values() == list(keep.values())
    assert segments._arena.bytes < 4 * sum(map(len, keep.values()))


CELLS = st.none() | st.integers(-9, 9)
ROWS = st.lists(
    st.tuples(
        CELLS,
        st.none() | st.text(max_size=40),
        st.none() | st.lists(st.none() | st.text(max_size=15), max_size=2),
        st.none() | st.integers(-(10**28), 10**28).map(lambda n: Decimal(n).scaleb(-2)),
        st.none() | st.floats(allow_nan=False),
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=100, deadline=None)
@given(ROWS, st.data())
def test_chosen_rows_and_columns(rows: list[tuple[Any, ...]], data: st.DataObject) -> None:
    segments = Segments(SCHEMA, 2, 0, [3, 4])
    at = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=30)), np.int64)
    ids = segments.append(columns(rows), len(at), rows=at)
    assert [len(segments), len(ids)] == [len(at)] * 2
    order = np.array(data.draw(st.permutations(range(len(at)))), np.int64)
    only = data.draw(st.sets(st.integers(0, 4), min_size=1))
    found = segments.take(ids[order], only)
    assert [c.values() for c in found] == [[rows[at[i]][c] for i in order] for c in sorted(only)]
    assert [c.type for c in found] == [SCHEMA[c].type for c in sorted(only)]
    assert (segments.tab[ids, segments.cell0 : segments.cell0 + 2] == [3, 4]).all()


def test_rows_that_are_not_there_are_refused() -> None:
    segments = Segments(Schema.of(a=BIGINT))
    for bad in ([3], [-1]):
        with pytest.raises((IndexError, InternalError)):
            segments.append([Column.of_values(BIGINT, [1, 2, 3])], 1, rows=np.array(bad))
    with pytest.raises(InternalError):
        segments.append([Column.of_values(BIGINT, [1, 2, 3])], 4)


def test_maps_and_lists_come_back() -> None:
    schema = Schema.of(m=map_of(STRING, INT), l=array(array(INT)))
    state = State("a")
    segments = state.segments("r", schema)
    rows: list[tuple[Any, ...]] = [({"a": 1, "b": None}, [[1], [], None]), (None, None), ({}, [])]
    segments.append(columns(rows, schema), 3)
    other = State("a")
    again = other.segments("r", schema)
    other.restore(state.freeze(1).chunks())
    assert Counter(contents(again.snapshot())) == Counter(contents(segments.snapshot()))
    assert again.snapshot().columns()[1].values() == [[[1], [], None], None, []]
