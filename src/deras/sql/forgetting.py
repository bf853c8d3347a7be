"""State TTL in plans: which operators forget what was not written for a time, and what follows from it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deras.sql.plan import nodes as p
from deras.sql.plan.over import Over
from deras.sql.plan.rank import Deduplicate, Rank
from deras.sql.plan.rel import walk
from deras.sql.plan.show import duration

if TYPE_CHECKING:
    from deras.sql.plan.rel import Rel

PARTS: dict[type[Rel], int] = {p.Aggregate: 1, p.Join: 2, p.ChangelogNormalize: 1, Rank: 1, Deduplicate: 1, Over: 1}
"""How many parts of its state a node forgets by themselves. Exactly these types: what is bounded by watermarks, as
windows and interval joins, forgets in its own way.
"""


def forgetting(rel: Rel, ttl: int) -> Rel:
    """The plan with the TTL of every operator.

    Args:
        rel: the plan after all rules; hints are in its nodes.
        ttl: of the session (``table.exec.state.ttl``), ms; 0: never.
    """
    done: dict[int, Rel] = {}

    def visit(r: Rel) -> Rel:
        found = done.get(id(r))
        if found is None:
            inputs = r.inputs()
            new = tuple(visit(i) for i in inputs)
            found = r if all(a is b for a, b in zip(new, inputs, strict=True)) else r.rebuild(new)
            n = PARTS.get(type(r), 0)
            # Rows that wait are given when the watermark passes them.
            if isinstance(r, Over) and not _forgetting_over(r):
                n = 0
            if isinstance(r, Deduplicate) and r.keep == "first" and r.input.schema[r.time].time == "rowtime":
                n = 0
            given = [*r.ttl[:n], *(-1,) * (n - len(r.ttl))]
            times = tuple(ttl if x < 0 else x for x in given)
            if isinstance(r, p.Join) and r.null_aware and times:
                # The keys of NOT IN say what is not there.
                times = (times[0], 0)
            times = times if any(times) else ()
            if times != found.ttl:
                found = replace(found, ttl=times)
            done[id(r)] = found
        return found

    # A TTL is by the clock: what forgets by the watermark is planned where there is none.
    from deras.sql.rules.expiring_joins import expiring_joins

    return expiring_joins(visit(rel))


def _forgetting_over(over: Over) -> bool:
    """Ranges of time forget by themselves; values of DISTINCT over all rows are not found again by their key."""
    distinct = over.frame.lower is None and any(c.distinct for c in over.calls)
    return over.streaming and "unbounded" in over.kept() and not distinct


def forgets(rel: Rel) -> bool:
    """Whether an operator of the plan forgets, so that what it gives may contradict what it gave."""
    return any(any(r.ttl) for r in walk(rel))


def ttl_warnings(rel: Rel, wanted: bool) -> list[str]:
    """Sentences about what a TTL does to the results.

    Args:
        rel: the plan with its TTLs.
        wanted: whether the session has one.
    """
    found = []
    if wanted:
        for r in walk(rel):
            if not any(r.ttl) and "unbounded" in r.kept():
                name = r.describe().split("(", 1)[0]
                found.append(f"{name} keeps its state for ever: 'table.exec.state.ttl' does not hold for it.")
    if forgets(rel) and not rel.append_only() and not rel.upsert_key() and not rel.single_row():
        found.append(
            "No columns tell the rows of the result apart: where state is forgotten (state TTL), rows that should "
            "replace others come beside them."
        )
    elif forgets(rel):
        longest = max(t for r in walk(rel) for t in r.ttl)
        found.append(
            f"State is forgotten when unchanged for a time (state TTL, {duration(longest)} at most): results are wrong "
            "where a key pauses for longer. Expiries are counted."
        )
    return found
