"""Outer, semi and anti joins against nested loops, four ways; and what each change means at one row a step."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core.delta import Delta
from deras.core.schema import Schema
from deras.core.time import Tick
from deras.core.types import BIGINT, INT, STRING, array
from deras.engine.operator import RowErrors
from deras.engine.operators.join import Join
from deras.engine.operators.semi_join import SemiJoin
from deras.testing.engine import Harness, Step, four_ways

LEFT = Schema.of(a=BIGINT, s=STRING)
RIGHT = Schema.of(t=STRING, k=BIGINT)
LONG = "a text of more than twelve bytes"
KINDS = ["LEFT", "RIGHT", "FULL", "SEMI", "ANTI"]


class Less:
    """The residual ``s < t``; fails where t is 'bad'."""

    schema = Schema((*LEFT.fields, *RIGHT.fields))

    def run(self, delta: Delta, tick: Tick) -> tuple[Delta, list[RowErrors]]:
        s, t = delta.columns[1].values(), delta.columns[2].values()
        bad = [i for i, x in enumerate(t) if x == "bad"]
        good = [i for i in range(len(s)) if i not in bad and s[i] is not None and t[i] is not None and s[i] < t[i]]
        errors = [RowErrors(np.array(bad), ["cannot compare"] * len(bad))] if bad else []
        return delta.take(np.array(good, np.int64)), errors


@st.composite
def changes(draw: st.DrawFn, schema: Schema, updating: bool, live: list[Any]) -> Delta | None:
    key = st.none() | st.integers(0, 2)
    text = st.sampled_from([None, "", "x", LONG])
    row = st.tuples(key, text) if schema is LEFT else st.tuples(text, key)
    rows, weights = [], []
    for _ in range(draw(st.integers(0, 6))):
        if updating and live and draw(st.booleans()):
            rows.append(live.pop(draw(st.integers(0, len(live) - 1))))
            weights.append(-1)
        else:
            r = draw(row)
            live.append(r)
            rows.append(r)
            weights.append(1)
    return Delta.of(schema, rows, weights if updating else None) if rows else None


def history(data: st.DataObject, updating: list[bool]) -> tuple[list[Step], tuple[list[Any], list[Any]]]:
    live: tuple[list[Any], list[Any]] = ([], [])
    steps = [
        Step([data.draw(changes(s, u, x)) for s, u, x in zip((LEFT, RIGHT), updating, live, strict=True)])
        for _ in range(data.draw(st.integers(1, 4)))
    ]
    return steps, live


def nested_loop(kind: str, left: list[Any], right: list[Any], match: Any) -> Counter[Any]:
    if kind in ("SEMI", "ANTI"):
        return Counter(a for a in left if any(match(a, b) for b in right) is (kind == "SEMI"))
    out = Counter(a + b for a in left for b in right if match(a, b))
    if kind in ("LEFT", "FULL"):
        out += Counter((*a, None, None) for a in left if not any(match(a, b) for b in right))
    if kind in ("RIGHT", "FULL"):
        out += Counter((None, None, *b) for b in right if not any(match(a, b) for a in left))
    return out


def keys_meet(a: Any, b: Any, safe: bool) -> bool:
    return a[0] == b[1] and (safe or a[0] is not None)


def passes(a: Any, b: Any) -> bool:
    return a[1] is not None and b[0] is not None and a[1] < b[0]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_join_is_the_nested_loop_four_ways(kind: str, data: st.DataObject) -> None:
    updating = [data.draw(st.booleans()), data.draw(st.booleans())]
    residual = data.draw(st.booleans())
    keyed = data.draw(st.booleans())
    safe = keyed and data.draw(st.booleans())
    steps, live = history(data, updating)
    keys = ([0], [1]) if keyed else ([], [])

    def match(a: Any, b: Any) -> bool:
        return (not keyed or keys_meet(a, b, safe)) and (not residual or passes(a, b))

    rows = four_ways(
        lambda: Join(
            LEFT,
            RIGHT,
            *keys,
            Less() if residual else None,
            not updating[0],
            not updating[1],
            kind=kind,
            null_safe=[safe] if keyed else [],
        ),
        steps,
    )
    assert Counter(rows) == nested_loop(kind, *live, match)


@pytest.mark.parametrize("kind", ["SEMI", "ANTI", "NOT IN"])
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_semi_join_is_the_nested_loop_four_ways(kind: str, data: st.DataObject) -> None:
    updating = [data.draw(st.booleans()), data.draw(st.booleans())]
    aware = kind == "NOT IN"
    safe = not aware and data.draw(st.booleans())
    steps, (left, right) = history(data, updating)
    rows = four_ways(
        lambda: SemiJoin(
            LEFT,
            RIGHT,
            [0],
            [1],
            "SEMI" if kind == "SEMI" else "ANTI",
            not updating[0],
            not updating[1],
            null_safe=[safe],
            null_aware=aware,
        ),
        steps,
    )
    if aware:
        values = [b[1] for b in right]
        none = lambda a: not values or (None not in values and a[0] is not None and a[0] not in values)  # noqa: E731
        assert Counter(rows) == Counter(a for a in left if none(a))
    else:
        assert Counter(rows) == nested_loop(kind, left, right, lambda a, b: keys_meet(a, b, safe))


@pytest.mark.parametrize("kind", ["INNER", *KINDS])
@settings(max_examples=20, deadline=None)
@given(st.data())
def test_unique_sides_find_their_rows_by_the_key(kind: str, data: st.DataObject) -> None:
    sides: list[dict[int, Any]] = [{}, {}]
    steps = []
    for _ in range(data.draw(st.integers(1, 4))):
        deltas = []
        for held, schema in zip(sides, (LEFT, RIGHT), strict=True):
            rows, weights = [], []
            for key in data.draw(st.lists(st.integers(0, 3), max_size=6)):
                if key in held:
                    rows.append(held.pop(key))
                    weights.append(-1)
                if data.draw(st.booleans()):
                    text = data.draw(st.sampled_from(["", "x", LONG]))
                    held[key] = (key, text) if schema is LEFT else (text, key)
                    rows.append(held[key])
                    weights.append(1)
            deltas.append(Delta.of(schema, rows, weights) if rows else None)
        steps.append(Step(deltas))
    residual = data.draw(st.booleans())
    unique = [data.draw(st.booleans()), data.draw(st.booleans())]
    rows = four_ways(
        lambda: Join(LEFT, RIGHT, [0], [1], Less() if residual else None, False, False, "j", kind, (), *unique),
        steps,
    )
    left, right = ([*held.values()] for held in sides)
    match = lambda a, b: a[0] == b[1] and (not residual or passes(a, b))  # noqa: E731
    assert Counter(rows) == nested_loop(kind, left, right, match)


def texts(h: Harness, inputs: list[Delta | None]) -> list[str]:
    out = h.step(inputs)
    return [] if out is None else [f"{'+' if w > 0 else '-'}{r}" for w, r in out.changes()]


def one(schema: Schema, *row: Any, weight: int = 1) -> Delta:
    return Delta.of(schema, [row], [weight])


def test_left_join_pads_first_and_takes_that_back() -> None:
    h = Harness(lambda: Join(LEFT, RIGHT, [0], [1], None, False, False, kind="LEFT"))
    assert texts(h, [one(LEFT, 1, "a"), None]) == ["+(1, 'a', None, None)"]
    assert texts(h, [None, one(RIGHT, "x", 1)]) == ["-(1, 'a', None, None)", "+(1, 'a', 'x', 1)"]
    assert texts(h, [None, one(RIGHT, "y", 1)]) == ["+(1, 'a', 'y', 1)"]
    assert texts(h, [one(LEFT, 1, "b"), None]) == ["+(1, 'b', 'x', 1)", "+(1, 'b', 'y', 1)"]
    assert texts(h, [None, one(RIGHT, "x", 1, weight=-1)]) == ["-(1, 'a', 'x', 1)", "-(1, 'b', 'x', 1)"]
    assert texts(h, [None, one(RIGHT, "y", 1, weight=-1)]) == [
        "-(1, 'a', 'y', 1)", "-(1, 'b', 'y', 1)", "+(1, 'a', None, None)", "+(1, 'b', None, None)",
    ]  # fmt: skip
    assert texts(h, [one(LEFT, None, "n"), None]) == ["+(None, 'n', None, None)"]
    assert texts(h, [one(LEFT, None, "n", weight=-1), None]) == ["-(None, 'n', None, None)"]
    assert texts(h, [one(LEFT, 1, "a", weight=-1), None]) == ["-(1, 'a', None, None)"]


def test_full_join_pads_both() -> None:
    h = Harness(lambda: Join(LEFT, RIGHT, [0], [1], Less(), False, False, kind="FULL"))
    assert texts(h, [one(LEFT, 1, "b"), None]) == ["+(1, 'b', None, None)"]
    assert texts(h, [None, one(RIGHT, "a", 1)]) == ["+(None, None, 'a', 1)"]
    assert texts(h, [None, one(RIGHT, "c", 1)]) == ["-(1, 'b', None, None)", "+(1, 'b', 'c', 1)"]
    assert texts(h, [one(LEFT, 1, "", weight=1), None]) == [
        "-(None, None, 'a', 1)", "+(1, '', 'a', 1)", "+(1, '', 'c', 1)",
    ]  # fmt: skip
    assert texts(h, [one(LEFT, 1, "", weight=-1), None]) == [
        "-(1, '', 'a', 1)", "-(1, '', 'c', 1)", "+(None, None, 'a', 1)",
    ]  # fmt: skip


def test_not_in_with_a_null() -> None:
    x = Schema.of(x=INT)
    h = Harness(lambda: SemiJoin(x, x, [0], [0], "ANTI", False, False, null_aware=True))
    assert texts(h, [one(x, 1), None]) == ["+(1,)"]
    assert texts(h, [one(x, None), None]) == ["+(None,)"]
    assert texts(h, [None, one(x, 2)]) == ["-(None,)"]
    assert texts(h, [None, one(x, None)]) == ["-(1,)"]
    assert texts(h, [None, one(x, 1)]) == []
    assert texts(h, [None, one(x, None, weight=-1)]) == []
    assert texts(h, [None, one(x, 1, weight=-1)]) == ["+(1,)"]
    assert texts(h, [None, one(x, 2, weight=-1)]) == ["+(None,)"]


def test_exists_without_a_condition() -> None:
    steps = [
        Step([Delta.of(LEFT, [(1, "a"), (None, "b")]), None]),
        Step([None, Delta.of(RIGHT, [("r", None), ("q", 2)])]),
        Step([Delta.of(LEFT, [(3, "c")]), None]),
    ]
    make = lambda: SemiJoin(LEFT, RIGHT, [], [], "SEMI")  # noqa: E731
    assert four_ways(make, steps) == [(1, "a"), (3, "c"), (None, "b")]
    h = Harness(make)
    assert texts(h, steps[0].inputs(2)) == []
    assert texts(h, steps[1].inputs(2)) == ["+(1, 'a')", "+(None, 'b')"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_that_never_came_is_told_and_changes_nothing(kind: str) -> None:
    make = [lambda: Join(LEFT, RIGHT, [0], [1], Less(), False, False, kind=kind)]
    if kind in ("SEMI", "ANTI"):
        make.append(lambda: SemiJoin(LEFT, RIGHT, [0], [1], kind, False, False))
    for m in make:
        h = Harness(m)
        h.step([one(LEFT, 1, "a"), one(RIGHT, "r", 1)])
        before = h.run.rows()
        assert texts(h, [one(LEFT, 1, "b", weight=-1), one(RIGHT, "s", 2, weight=-1)]) == []
        assert sorted(h.run.dropped) == [("constraint", b'{"a":1,"s":"b"}'), ("constraint", b'{"t":"s","k":2}')]
        assert h.run.rows() == before


def test_nested_columns_are_padded() -> None:
    schema = Schema.of(k=INT, v=array(STRING))
    steps = [
        Step([Delta.of(schema, [(1, ["a", None]), (2, ["b"])]), Delta.of(schema, [(1, []), (3, None)])]),
        Step([Delta.of(schema, [(2, ["b"])], [-1]), Delta.of(schema, [(2, ["c"])])]),
    ]
    rows = four_ways(lambda: Join(schema, schema, [0], [0], None, False, False, kind="FULL"), steps)
    assert Counter(map(repr, rows)) == Counter(
        map(repr, [(1, ["a", None], 1, []), (None, None, 3, None), (None, None, 2, ["c"])])
    )


def test_many_partners_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deras.engine.operators.join.ROOM", 7)
    left = [(i % 5, f"l{i:02}") for i in range(20)]
    right = [(f"m{i}", i % 4) for i in range(30)]
    for residual in (None, Less()):
        h = Harness(lambda r=residual: Join(LEFT, RIGHT, [0], [1], r, False, False, kind="FULL"))
        h.step([None, Delta.of(RIGHT, right)])
        h.step([Delta.of(LEFT, left), None])
        h.run.check_legal()
        want = nested_loop("FULL", left, right, lambda a, b: a[0] == b[1])
        assert Counter(h.run.rows()) == want


@pytest.mark.parametrize("kind", KINDS)
def test_what_went_leaves_nothing(kind: str) -> None:
    makes = [lambda r=r: Join(LEFT, RIGHT, [0], [1], r, False, False, kind=kind) for r in (None, Less())]
    if kind in ("SEMI", "ANTI"):
        makes.append(lambda: SemiJoin(LEFT, RIGHT, [0], [1], kind, False, False))
    for make in makes:
        h = Harness(make)
        left = Delta.of(LEFT, [(j % 50, f"{LONG} {j}") for j in range(200)], [1] * 200)
        right = Delta.of(RIGHT, [(f"{LONG} {j}", j % 70) for j in range(150)], [1] * 150)
        h.step([left, right])
        h.step([-left, -right])
        assert h.run.rows() == []
        size = h.state.size()
        assert (size.keys, size.rows) == (0, 0)
