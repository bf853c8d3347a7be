"""Collecting a statement's sources and operators."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from deras.core.errors import PlanError
from deras.engine.dataflow import NodeSpec
from deras.sql.plan.reuse import TABLES, functions_of, reusable, subplan_text
from deras.sql.plan.text import digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.engine.dataflow import SourceSpec
    from deras.engine.operator import Operator
    from deras.sql.plan.rel import Rel

    Make = Callable[[], Operator]

F = TypeVar("F", bound="Callable[..., Any]")

_OPERATORS: dict[type[Rel], Callable[[Lowering, Any], Make]] = {}
_PLACES: dict[type[Rel], Callable[[Lowering, Any, list[int], str], int]] = {}


def lowers(node: type[Rel]) -> Callable[[F], F]:
    """Register a function ``(lowering, rel) -> make``: what gives the operator of a plan node."""

    def add(f: F) -> F:
        _OPERATORS[node] = f
        return f

    return add


def places(node: type[Rel]) -> Callable[[F], F]:
    """Register a function ``(lowering, rel, inputs, text) -> index`` for a node that is not simply one operator.

    ``inputs`` are indexes of what it reads, ``text`` is its canonical text; the result is an index into the nodes, or
    ``~i`` for a source.
    """

    def add(f: F) -> F:
        _PLACES[node] = f
        return f

    return add


@dataclass(slots=True)
class Lowering:
    """Collects sources and nodes of one statement.

    Args:
        owner: name of the view, sink or query, part of every node's stable name.
        zone: the session's time zone.
        share: whether equal subplans become one node (tables always do).
    """

    owner: str
    zone: str
    share: bool = True
    sources: list[SourceSpec] = field(default_factory=list)
    nodes: list[NodeSpec] = field(default_factory=list)
    views: list[str] = field(default_factory=list)
    _known: dict[str, int] = field(default_factory=dict)
    _work: tuple[object, ...] | None = None
    """Of the node that is being lowered, if it may be shared."""

    def lower(self, rel: Rel) -> int:
        """The node (or ``~source``) that gives the plan's rows."""
        text = rel.normal()
        place = _PLACES.get(type(rel))
        key: str | None = text
        if not isinstance(rel, TABLES):
            key = subplan_text(rel) if self.share and reusable(rel) else None
        found = None if key is None else self._known.get(key)
        if found is not None:
            if found < 0:
                from deras.sql.lower.scans import widen

                widen(self, ~found, rel)
            return found
        inputs = [self.lower(i) for i in rel.inputs()]
        self._work = None if key is None else (key, self.zone, *functions_of(rel))
        if place is not None:
            made = place(self, rel, inputs, text)
        elif type(rel) in _OPERATORS:
            made = self.add(rel.describe(), inputs, text, _OPERATORS[type(rel)](self, rel))
        else:
            raise PlanError(f"{type(rel).__name__} is not supported yet")
        if key is not None:
            self._known[key] = made
        return made

    def add(self, label: str, inputs: list[int], text: str, make: Make) -> int:
        """Add an operator under the name that follows from ``text``; gives its index."""
        name = base = f"{self.owner}/{digest(text)}"
        n = 1
        while any(node.name == name for node in self.nodes):
            n += 1
            name = f"{base}#{n}"
        work = None if self._work is None else (base.removeprefix(self.owner), *self._work)
        self.nodes.append(NodeSpec(name, make, tuple(inputs), label, work=work))
        return len(self.nodes) - 1

    def origin(self, what: str) -> str:
        """Who rejects rows: statement and operator."""
        return f"{self.owner}: {what}"
