"""Plans to dataflows: which operator of the engine does what, under which stable name. One file a family of nodes."""

from __future__ import annotations

from deras.sql.lower import (
    aggregates,
    batch,
    calc,
    changes,
    constraints,
    correlate,
    detect,
    expiring,
    joins,
    match,
    over,
    process,
    rank,
    scans,
    sets,
    time_joins,
    windows,
)
from deras.sql.lower.lowering import Lowering, lowers

__all__ = [
    "Lowering",
    "aggregates",
    "batch",
    "calc",
    "changes",
    "constraints",
    "correlate",
    "detect",
    "expiring",
    "joins",
    "lowers",
    "match",
    "over",
    "process",
    "rank",
    "scans",
    "sets",
    "time_joins",
    "windows",
]
