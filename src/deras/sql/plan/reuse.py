"""Which subplans of a plan are one: what they have in common, and where EXPLAIN names them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from enum import Enum

from deras.core.schema import Schema
from deras.core.types import SqlType
from deras.sql.catalog import CatalogTable
from deras.sql.expr import nodes as e
from deras.sql.expr.analysis import volatile
from deras.sql.plan.aggregates import AggCall
from deras.sql.plan.calc import Calc
from deras.sql.plan.process import Process
from deras.sql.plan.rel import Rel, walk
from deras.sql.plan.scans import Scan, Values, ViewScan
from deras.sql.plan.sets import Union
from deras.sql.plan.time_joins import LookupJoin

TABLES = (Scan, Values, ViewScan)
LIGHT = (*TABLES, Calc, Union)
"""Nodes without state: for these alone a plan keeps its form."""

_PLAIN = (str, int, float, bytes, type(None), Enum, SqlType, Schema, CatalogTable)
"""What says nothing of chance, and has many parts: what tables compute stands in their scans."""


def reusable(rel: Rel) -> bool:
    """Whether one evaluation may stand for several: nothing is left to chance, to Python or to the world outside."""
    for r in walk(rel):
        if isinstance(r, (Process, LookupJoin)):
            return False
        for f in dataclasses.fields(r):
            if f.name != "schema" and not _steady(getattr(r, f.name)):
                return False
    return True


def _steady(v: object) -> bool:
    if isinstance(v, _PLAIN):
        return True
    if isinstance(v, e.Expr):
        return not volatile(v)
    if isinstance(v, Rel):
        return True
    if isinstance(v, tuple):
        return all(map(_steady, v))
    if getattr(v, "deterministic", True) is False:
        return False
    if dataclasses.is_dataclass(v) and not isinstance(v, type):
        return all(_steady(getattr(v, f.name)) for f in dataclasses.fields(v))
    return True


def functions_of(rel: Rel) -> list[object]:
    """The users' functions that a node itself calls: its text has but their names."""
    found: list[object] = []

    def visit(v: object) -> None:
        if isinstance(v, _PLAIN):
            return
        if isinstance(v, e.UdfCall):
            found.append(v.udf)
        if isinstance(v, AggCall) and v.user is not None:
            found.append(v.user)
        if isinstance(v, tuple):
            for x in v:
                visit(x)
        elif isinstance(v, e.Expr):
            for x in v.children():
                visit(x)
        elif dataclasses.is_dataclass(v) and not isinstance(v, (type, Rel)):
            for f in dataclasses.fields(v):
                visit(getattr(v, f.name))

    for f in dataclasses.fields(rel):
        if f.name != "schema":
            visit(getattr(rel, f.name))
    return found


def subplan_text(rel: Rel) -> str:
    """The canonical text of a subplan, with what that leaves out: types, and how long state lives."""
    types = ",".join(f"{f.type} {f.time}" for f in rel.schema)
    return f"{rel.normal()}|{types}|{[r.ttl for r in walk(rel) if r.ttl]}"


def may_repeat(*plans: Rel) -> bool:
    """Whether a subplan with state may stand in plans several times, judged quickly by kinds of nodes and types."""
    nodes = [r for rel in plans for r in walk(rel) if not isinstance(r, LIGHT)]
    return len({(type(r), tuple((f.type, f.time) for f in r.schema)) for r in nodes}) < len(nodes)


def repeated(*plans: Rel) -> dict[str, int]:
    """The subplans with state that plans have several times, by text, with their numbers for EXPLAIN.

    A part of a repeated subplan is one of its own only if somebody else reads it, too.

    Args:
        plans: that run together.
    """
    if not may_repeat(*plans):
        return {}
    nodes = [r for rel in plans for r in walk(rel)]
    texts = {id(r): subplan_text(r) for r in nodes if not isinstance(r, TABLES) and reusable(r)}
    counts = Counter(texts[id(r)] for r in nodes if id(r) in texts)
    found: dict[str, int] = {}

    def visit(r: Rel, above: int) -> None:
        text = texts.get(id(r))
        if text is not None and counts[text] > above:
            if text in found:
                return
            if not all(isinstance(x, LIGHT) for x in walk(r)):
                found[text] = len(found) + 1
                above = counts[text]
        for i in r.inputs():
            visit(i, above)

    for rel in plans:
        visit(rel, 1)
    return found
