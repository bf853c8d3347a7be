"""Plans as text: the tree of EXPLAIN, and digests for stable names."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from deras.sql.plan.show import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.sql.plan.rel import Rel


def tree(rel: Rel, *, changelog: bool = False, state: bool = False, reuse: bool = False) -> str:
    """The plan as an indented tree, the output first; ``reuse``: what is planned once is shown once, as in Flink."""
    return trees([rel], changelog=changelog, state=state, reuse=reuse)[0]


def trees(plans: Sequence[Rel], *, changelog: bool, state: bool, reuse: bool) -> list[str]:
    """Plans that run together, each as an indented tree."""
    from deras.sql.plan.reuse import repeated

    numbers = repeated(*plans) if reuse else {}
    shown: set[int] = set()
    return [_tree(rel, changelog, state, numbers, shown) for rel in plans]


def _tree(rel: Rel, changelog: bool, state: bool, numbers: dict[str, int], shown: set[int]) -> str:
    from deras.sql.plan.reuse import subplan_text

    lines: list[str] = []

    def add(r: Rel, lead: str, stem: str) -> None:
        number = numbers.get(subplan_text(r)) if numbers else None
        if number in shown:
            lines.append(f"{lead}Reused(reference_id=[{number}])")
            return
        mark = ""
        if number is not None:
            shown.add(number)
            mark = f"(reuse_id=[{number}])"
        notes = []
        if changelog:
            notes.append(f"changes: {r.changelog()}")
        if state and (kept := r.kept()):
            notes.append(f"state: {kept.removesuffix(', unbounded') if r.ttl and all(r.ttl) else kept}")
        if state and any(r.ttl):
            notes.append(f"forgotten when unchanged for {' and '.join(map(_lifetime, r.ttl))}")
        lines.append(f"{lead}{r.describe()}{mark}{'  -- ' + '; '.join(notes) if notes else ''}")
        inputs = r.inputs()
        for i, below in enumerate(inputs):
            last = i == len(inputs) - 1
            add(below, f"{stem}{'+- ' if last else ':- '}", f"{stem}{'   ' if last else ':  '}")

    add(rel, "", "")
    return "\n".join(lines)


def _lifetime(ms: int) -> str:
    return duration(ms) if ms else "ever"


def blame(rel: Rel) -> str:
    """The node nearest to the output that makes updates, in words."""
    if rel.makes_updates():
        return rel.describe()
    for i in rel.inputs():
        if not i.append_only():
            return blame(i)
    return rel.describe()


def digest(text: str) -> str:
    """16 hex digits of a canonical text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
