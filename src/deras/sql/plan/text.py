"""Plans as text: the tree of EXPLAIN, and digests for stable names."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from deras.sql.plan.show import duration

if TYPE_CHECKING:
    from deras.sql.plan.rel import Rel


def tree(rel: Rel, *, changelog: bool = False, state: bool = False) -> str:
    """The plan as an indented tree, the output first."""
    lines: list[str] = []

    def add(r: Rel, lead: str, stem: str) -> None:
        notes = []
        if changelog:
            notes.append(f"changes: {r.changelog()}")
        if state and (kept := r.kept()):
            notes.append(f"state: {kept.removesuffix(', unbounded') if r.ttl and all(r.ttl) else kept}")
        if state and any(r.ttl):
            notes.append(f"forgotten when unchanged for {' and '.join(map(_lifetime, r.ttl))}")
        lines.append(f"{lead}{r.describe()}{'  -- ' + '; '.join(notes) if notes else ''}")
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
