"""Changelogs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.sql.lower.lowering import lowers
from deras.sql.plan.changes import ChangelogNormalize

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine.operator import Operator
    from deras.sql.lower.lowering import Lowering


@lowers(ChangelogNormalize)
def _normalize(lowering: Lowering, rel: ChangelogNormalize) -> Callable[[], Operator]:
    schema, keys, pairs = rel.input.schema, rel.keys, rel.pairs
    ttl = (rel.ttl or (0,))[0]

    def make() -> Operator:
        from deras.engine.operators import changelog_normalize as engine

        return engine.ChangelogNormalize(schema, keys, pairs, ttl)

    return make
