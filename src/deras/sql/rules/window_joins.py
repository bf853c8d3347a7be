"""A join on both bounds of equal windows forgets them when they end: it becomes a window join."""

from __future__ import annotations

from deras.sql.plan import nodes as p
from deras.sql.plan.windowed import window_join


def window_joins(rel: p.Rel) -> p.Rel:
    """Join to WindowJoin, of the same schema."""
    return (window_join(rel) or rel) if isinstance(rel, p.Join) else rel
