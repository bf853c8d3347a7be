"""The logical plan: few nodes, plain data, one file a family. Each knows the schema of what it gives, and its facts."""

from __future__ import annotations

from deras.sql.plan.aggregates import AggCall, Aggregate
from deras.sql.plan.calc import Calc
from deras.sql.plan.changes import ChangelogNormalize
from deras.sql.plan.correlate import Correlate, Repeat
from deras.sql.plan.detect import Detect
from deras.sql.plan.joins import Join, KeyJoin, WindowJoin
from deras.sql.plan.over import Frame, OrderKey, Over, OverCall
from deras.sql.plan.rel import Rel, Unary, walk
from deras.sql.plan.scans import Scan, Values, ViewScan
from deras.sql.plan.sets import Limit, Union
from deras.sql.plan.windows import SessionAggregate, SessionTvf, SlidingTvf, WindowAggregate, WindowKind, WindowTvf

__all__ = [
    "AggCall",
    "Aggregate",
    "Calc",
    "ChangelogNormalize",
    "Correlate",
    "Detect",
    "Frame",
    "Join",
    "KeyJoin",
    "Limit",
    "OrderKey",
    "Over",
    "OverCall",
    "Rel",
    "Repeat",
    "Scan",
    "SessionAggregate",
    "SessionTvf",
    "SlidingTvf",
    "Unary",
    "Union",
    "Values",
    "ViewScan",
    "WindowAggregate",
    "WindowJoin",
    "WindowKind",
    "WindowTvf",
    "walk",
]
