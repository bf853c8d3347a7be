"""The first node of a table: watermarks of parts, marks of rows, rejected rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core.column import Column
from deras.core.delta import Delta
from deras.core.schema import Field, Schema
from deras.core.time import MAX_WATERMARK, MIN_WATERMARK, Tick
from deras.core.types import INT, timestamp
from deras.engine.kernels.time import marks_of_rows
from deras.engine.operator import Feed, RowErrors
from deras.engine.operators.source import SourceInput
from deras.engine.state import State

T3, T9 = timestamp(3), timestamp(9)
S = Schema((Field("ts", T3, "rowtime"), Field("x", INT)))


class Behind:
    """Two ms behind, NULL where x is NULL; in ns, so that the floor shows."""

    schema = Schema.of(w=T9)

    def run(self, delta: Delta, tick: Tick) -> Any:
        words = delta.columns[0].words() * 1000 - 2_000_000 + 999_999
        return delta.with_columns(self.schema, [Column.of_words(T9, words, delta.columns[1].valid())]), ()


class Doubled:
    """Adds y = 100 / x; fails where x is 0."""

    schema = Schema((*S.fields, Field("y", INT)))

    def run(self, delta: Delta, tick: Tick) -> Any:
        x = delta.columns[1].words()
        bad = np.flatnonzero(x == 0)
        good = delta.take(np.flatnonzero(x != 0))
        y = Column.of_words(INT, 100 // good.columns[1].words())
        out = good.with_columns(self.schema, [*good.columns, y])
        return out, [RowErrors(bad, ["division by zero"] * len(bad))] if len(bad) else ()


def rows(*pairs: tuple[int | None, int | None]) -> Delta:
    words = np.array([0 if t is None else t * 1000 for t, _ in pairs], np.int64)
    valid = np.array([t is not None for t, _ in pairs], np.uint8)
    return Delta(S, [Column.of_words(T3, words, valid), Column.of_values(INT, [x for _, x in pairs])])


def source(parts: list[str], mark: Any = None, program: Any = None) -> SourceInput:
    op = SourceInput(S, program, mark, 0, "readings")
    op.open(State())
    op.declare(parts)
    return op


def feed(op: SourceInput, *feeds: Feed) -> list[int]:
    out = op.feed(feeds, Tick()).delta
    return [] if out is None else out.mark_array().tolist()


def test_a_row_sees_the_watermark_before_itself() -> None:
    op = source(["a"], Behind())
    assert feed(op, Feed("a", rows((10, 1), (20, 1), (5, 1), (30, None), (31, 1)))) == [MIN_WATERMARK, 8, 18, 18, 18]
    assert op.watermark() == 29
    assert op.watermarks() == {"a": 29}


def test_the_least_part_counts_until_it_ends() -> None:
    op = source(["a", "b"], Behind())
    assert feed(op, Feed("a", rows((10, 1), (20, 1)))) == [MIN_WATERMARK] * 2
    assert op.watermark() == MIN_WATERMARK  # b has not been read
    assert feed(op, Feed("b", rows((12, 1), (15, 1), (40, 1), (41, 1)))) == [MIN_WATERMARK, 10, 13, 18]
    assert op.watermark() == 18
    feed(op, Feed("a", ended=True))
    assert op.watermark() == 39
    feed(op, Feed("b", ended=True))
    assert op.watermark() == MAX_WATERMARK
    assert op.watermarks() == {"a": MAX_WATERMARK, "b": MAX_WATERMARK}


def test_idle_parts_leave_until_their_next_row() -> None:
    op = source(["a", "b"], Behind())
    feed(op, Feed("a", rows((10, 1))), Feed("b", idle=True))
    assert op.watermark() == 8
    feed(op, Feed("a", idle=True))
    assert op.watermark() == 8  # all idle: it stays
    assert feed(op, Feed("b", rows((4, 1), (20, 1), (21, 1)))) == [8, 8, 18]  # it never falls
    feed(op, Feed("a", rows((11, 1))))
    assert op.watermark() == 19
    assert op.watermarks() == {"a": 9, "b": 19}


def test_without_a_watermark_only_the_end_counts() -> None:
    op = source(["a"])
    assert feed(op, Feed("a", rows((10, 1)))) == [MIN_WATERMARK]
    assert op.watermark() == MIN_WATERMARK
    feed(op, Feed("a", rows((11, 1)), ended=True))
    assert op.watermark() == MAX_WATERMARK


def test_rows_without_rowtime_and_failed_rows_are_rejected() -> None:
    op = source(["a"], Behind(), Doubled())
    out = op.feed([Feed("a", rows((10, 1), (None, 2), (11, 0), (12, 5)))], Tick())
    assert out.delta is not None
    assert [r[1:] for r in out.delta.rows()] == [(1, 100), (5, 20)]
    assert out.delta.mark_array().tolist() == [MIN_WATERMARK, 8]
    failed, missing = out.dropped
    assert (failed.reason, failed.messages, failed.times) == ("expression", ["division by zero"], [None])
    assert failed.raw == [b'{"ts":"1970-01-01 00:00:00.011000","x":0}']
    assert (missing.reason, missing.origin) == ("constraint", "readings")
    assert missing.messages == ["the rowtime `ts` of table readings is NULL"]
    assert missing.raw == [b'{"ts":null,"x":2,"y":50}']


def test_watermarks_survive_a_restart_and_parts_that_are_gone_do_not_hold_it() -> None:
    op = SourceInput(S, None, Behind(), 0, "t")
    state = State()
    op.open(state)
    op.declare(["a", "b", "c"])
    feed(op, Feed("a", rows((10, 1))), Feed("b", rows((20, 1))), Feed("c", rows((5, 1))))
    chunks = list(state.freeze(0).chunks())
    again = SourceInput(S, None, Behind(), 0, "t")
    state = State()
    again.open(state)
    state.restore(chunks)
    assert again.watermark() == 3
    again.declare(["a", "b"])
    assert feed(again, Feed("b", rows((21, 1), (22, 1)))) == [8, 8]
    assert again.watermarks() == {"a": 8, "b": 20}


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.sampled_from([None, 1])), max_size=30), st.data()
)
def test_marks_do_not_depend_on_batches(events: list[Any], data: st.DataObject) -> None:
    op = source(["a", "b", "c"], Behind())
    own = dict.fromkeys("abc", MIN_WATERMARK)
    expected = []
    table = MIN_WATERMARK
    for part, t, x in events:
        table = max(table, min(own.values()))
        expected.append(table)
        if x is not None:
            own[part] = max(own[part], t - 2)
    found: list[int] = []
    i = 0
    while i < len(events):
        feeds = []
        for _ in range(data.draw(st.integers(1, 4))):  # several feeds a step, each of rows of one part
            j = i
            while j < len(events) and events[j][0] == events[i][0] and j - i < 3:
                j += 1
            if j > i:
                feeds.append(Feed(events[i][0], rows(*(e[1:] for e in events[i:j]))))
                i = j
        found += feed(op, *feeds)
    assert found == expected
    assert op.watermark() == max(table, min(own.values()))


def advancing(state: State) -> SourceInput:
    op = SourceInput(S, None, Behind(), 0, "t", idle_advance=True)
    op.open(state)
    return op


def at(op: SourceInput, now: int, *feeds: Feed) -> int:
    """The watermark after a step at that processing time."""
    op.feed(feeds, Tick(now=now))
    return op.watermark()


def test_a_silent_table_goes_on_with_the_clock() -> None:
    op = advancing(State())
    op.declare(["a", "b"])
    assert at(op, 1000, Feed("a", idle=True), Feed("b", idle=True)) == MIN_WATERMARK
    assert op.wake() is None  # no row has come: there is nothing to go on from
    assert at(op, 2000, Feed("b", rows((50, 1))), Feed("a", rows((100, 1)))) == 48
    assert at(op, 3000, Feed("b", idle=True)) == 98
    assert op.wake() is None
    assert at(op, 4000, Feed("a", idle=True)) == 98
    assert op.wake() == 4200
    assert at(op, 4250) == 348
    assert op.wake() == 4450
    # A row stops it, and is late behind what passed; it never falls.
    assert feed(op, Feed("b", rows((120, 1)))) == [348]
    assert op.wake() is None
    assert op.watermark() == 348
    assert at(op, 9000, Feed("b", idle=True)) == 348
    assert at(op, 9300, Feed("a", ended=True)) == 648
    assert at(op, 9500, Feed("b", ended=True)) == MAX_WATERMARK


def test_the_time_in_which_nothing_ran_is_no_silence() -> None:
    state = State()
    op = advancing(state)
    op.declare(["a"])
    at(op, 1000, Feed("a", rows((100, 1))), Feed("a", idle=True))
    assert at(op, 1500) == 598
    chunks = list(state.freeze(0).chunks())
    state = State()
    again = advancing(state)
    state.restore(chunks)
    again.declare(["a"])
    assert again.watermark() == 598
    assert again.wake() is None
    assert at(again, 900_000, Feed("a", idle=True)) == 598
    assert at(again, 900_100) == 698


_WORDS = st.one_of(st.integers(-5000, 5000), st.sampled_from([-(2**63), 2**63 - 1, 2**63 - 2]))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(_WORDS, st.booleans()), max_size=20),
    st.sampled_from([1, 1000, 1_000_000]),
    st.tuples(*[st.one_of(st.just(MIN_WATERMARK), st.integers(-4, 4))] * 3),
    st.booleans(),
)
def test_marks_of_rows_as_told_one_by_one(
    rows: list[tuple[int, bool]], unit: int, before: tuple[int, int, int], nulls: bool
) -> None:
    own, others, table = before
    words = np.array([w for w, _ in rows], np.int64)
    valid = np.array([v for _, v in rows], np.uint8) if nulls else np.zeros(0, np.uint8)
    marks, result = np.empty(len(rows), np.int64), np.empty(2, np.int64)
    marks_of_rows(words, valid, unit, own, others, table, marks, result)
    want = []
    for word, present in rows:
        table = max(table, min(own, others))
        want.append(table)
        if present or not nulls:
            own = max(own, word // unit)
    assert marks.tolist() == want
    assert result.tolist() == [own, max(table, min(own, others))]
