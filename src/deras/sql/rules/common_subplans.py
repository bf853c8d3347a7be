"""Equal subplans become one with several users, pruned to what all of them read.

What is compared is the plan before pruning: two uses of one aggregate differ in nothing but the columns that are
read. Filters have gone down into their branches by then, so that a use with a better filter stays what it is. Where an
operator takes rows back, its users share it only if they read the same columns: of a change in a column that it does
not read a user would get a row taken back and given again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from deras.sql.plan.calc import whole
from deras.sql.plan.rel import Place, Rel, Unary, walk
from deras.sql.plan.reuse import LIGHT, may_repeat, reusable, subplan_text


@dataclass(slots=True)
class _Shared:
    """One subplan with several users.

    Args:
        body: the subplan; parts of it that have other users, too, are uses in it.
        needed: the columns that each user reads.
        made: the pruned subplan and where its columns went, once it is known what all read.
        split: each user gets its own after all.
    """

    body: Rel
    needed: list[frozenset[int]] = field(default_factory=list)
    made: tuple[Rel, Place] | None = None
    split: bool = False


@dataclass(frozen=True, slots=True)
class _Use(Unary):
    """Stands for a shared subplan while columns are pruned: at first it only notes what is read."""

    shared: _Shared = field(repr=False)
    noting: list[bool] = field(repr=False)

    def upsert_key(self) -> tuple[int, ...]:
        return self.input.upsert_key()

    def single_row(self) -> bool:
        return self.input.single_row()

    def reads_time(self) -> bool:
        return self.input.reads_time()

    def window_bounds(self) -> frozenset[int]:
        return self.input.window_bounds()

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        s = self.shared
        if self.noting[0]:
            s.needed.append(frozenset(needed))
            return self, {i: i for i in range(len(self.schema))}
        if s.split:
            return s.body.prune(needed)
        if s.made is None:
            s.made = s.body.prune(set().union(*s.needed))
        return s.made


def prune_shared(rel: Rel) -> Rel:
    """The plan without columns that nobody reads; equal subplans with state stay equal."""
    if not may_repeat(rel):
        return whole(rel)
    texts = {id(r): subplan_text(r) for r in walk(rel) if not isinstance(r, LIGHT) and reusable(r)}
    counts = Counter(texts[id(r)] for r in walk(rel) if id(r) in texts)
    shared: dict[str, _Shared] = {}
    noting = [True]

    def mark(r: Rel) -> Rel:
        text = texts.get(id(r), "")
        if text in shared:
            return _Use(r.schema, shared[text].body, shared[text], noting)
        inputs = r.inputs()
        new = tuple(map(mark, inputs))
        body = r if all(a is b for a, b in zip(new, inputs, strict=True)) else r.rebuild(new)
        if counts[text] < 2:
            return body
        shared[text] = _Shared(body)
        return _Use(r.schema, body, shared[text], noting)

    marked = mark(rel)
    if not shared:
        return whole(rel)
    whole(marked)
    # Those that hold others come first: only then is it known what is read of the others.
    for s in reversed(shared.values()):
        wanted = dict.fromkeys(s.needed)
        if len(wanted) > 1 and not s.body.append_only():
            s.split = True
            for needed in wanted:
                s.body.prune(set(needed))
        else:
            s.body.prune(set().union(*wanted))
    noting[0] = False
    return whole(marked)
