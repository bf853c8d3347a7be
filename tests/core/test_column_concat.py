"""Texts one after the other: views into other buffers, series, NULLs only."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from deras.core import types as t
from deras.core.column import Column, Views

TEXT = st.one_of(st.none(), st.text(max_size=5), st.text("ab\u00e9", min_size=11, max_size=20))
PART = st.tuples(st.lists(TEXT, max_size=5), st.sampled_from(["series", "views", "slice", "nulls"]))


def column(values: list[str | None], how: str) -> Column:
    made = Column.of_values(t.STRING, values)
    if how == "nulls":
        return Column.nulls(t.STRING, len(values))
    if how == "series" or not values:
        return made
    if how == "slice":
        twice = Column.of_values(t.STRING, [*values, "x" * 40, *values])
        return Column.of_views(t.STRING, twice.views(), twice.valid()).slice(len(values) + 1, 2 * len(values) + 1)
    return Column.of_views(t.STRING, Views(made.views().views, made.views().buffers), made.valid())


@given(st.lists(PART, min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_concat_of_texts(parts: list[tuple[list[str | None], str]]) -> None:
    columns = [column(*p) for p in parts]
    whole = Column.concat(columns)
    wanted = [None if how == "nulls" else v for values, how in parts for v in values]
    assert whole.values() == wanted
    # What came before is as it was.
    assert [v for c in columns for v in c.values()] == wanted
    assert whole.length == len(wanted)
    assert Column.concat([whole, whole]).values() == wanted * 2
