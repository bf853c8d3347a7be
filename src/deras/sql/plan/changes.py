"""Changelogs: what completes one that does not say which row a change replaces."""

from __future__ import annotations

from dataclasses import dataclass

from deras.sql.plan.rel import Place, Rel, Unary


@dataclass(frozen=True, slots=True)
class ChangelogNormalize(Unary):
    """The last row of each key, with the row before at every change of it.

    ``pairs``: a -1 right before a +1 of its key is the first half of an update.
    """

    keys: tuple[int, ...]
    pairs: bool = False

    def makes_updates(self) -> bool:
        """Always."""
        return True

    def upsert_key(self) -> tuple[int, ...]:
        """The key."""
        return self.keys

    def single_row(self) -> bool:
        """Without a key there is one row in all."""
        return not self.keys

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """The key is needed, too: the rest only if somebody reads it."""
        from deras.sql.plan.calc import narrow

        made, place = narrow(self.input, needed | set(self.keys))
        return ChangelogNormalize(made.schema, made, tuple(place[k] for k in self.keys), self.pairs), place

    def through(self) -> Place:
        """Conditions on the key hold for all versions of a row or for none."""
        return {k: k for k in self.keys}

    def describe(self) -> str:
        """The key."""
        return f"ChangelogNormalize(key: [{', '.join(self.schema.names[k] for k in self.keys)}])"

    def kept(self) -> str:
        """A row for each key."""
        return "the last row of each key, unbounded"
