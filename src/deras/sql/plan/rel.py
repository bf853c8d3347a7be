"""The base of plan nodes: what every node knows of itself."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from deras.sql.expr import nodes as e
from deras.sql.plan.show import expression

if TYPE_CHECKING:
    from deras.core.schema import Schema

Place = dict[int, int]
"""Where columns went: old position to new position."""


@dataclass(frozen=True, slots=True)
class Rel:
    """A plan node: plain data, and the facts that planning asks for. A new node overrides what is true of it.

    Args:
        schema: of the rows that it gives.
        ttl: after how many ms of processing time without a write its operator forgets state, of each part that can be
            forgotten; 0: never. Before the plan is complete: what hints say, -1 where they say nothing.
    """

    schema: Schema
    ttl: tuple[int, ...] = field(default=(), kw_only=True, repr=False)

    # ---- shape

    def inputs(self) -> tuple[Rel, ...]:
        """The nodes that this one reads."""
        return ()

    def rebuild(self, inputs: tuple[Rel, ...]) -> Rel:
        """The same over other inputs of the same schemas."""
        return self

    # ---- changes

    def makes_updates(self) -> bool:
        """Whether it takes back rows that it gave, even if its inputs only insert."""
        return False

    def append_only(self) -> bool:
        """Whether every change that it gives is an insertion."""
        return not self.makes_updates() and all(i.append_only() for i in self.inputs())

    def changelog(self) -> str:
        """The row kinds that it gives, for EXPLAIN, as Flink names them."""
        return "I" if self.append_only() else "I,UB,UA,D"

    def upsert_key(self) -> tuple[int, ...]:
        """Positions of columns of which the latest row replaces the one before; () if only whole rows tell."""
        return ()

    def single_row(self) -> bool:
        """Whether there is never more than one row."""
        return False

    def reads_time(self) -> bool:
        """Whether the node's own work depends on processing time or chance."""
        return False

    # ---- optimisation

    def prune(self, needed: set[int]) -> tuple[Rel, Place]:
        """The same without columns that nobody reads.

        Args:
            needed: positions that are read above.

        Returns:
            The new node, and the new position of at least every needed column. The default keeps everything of its
            inputs.
        """
        from deras.sql.plan.calc import whole

        return self.rebuild(tuple(whole(i) for i in self.inputs())), {i: i for i in range(len(self.schema))}

    def through(self) -> Place:
        """Columns whose filters mean the same below a node with one input: position here to position there."""
        return {}

    def window_bounds(self) -> frozenset[int]:
        """Positions of columns that are bounds of windows."""
        return frozenset()

    # ---- text

    def describe(self) -> str:
        """The node in one line, without its inputs."""
        return type(self).__name__

    def kept(self) -> str:
        """What its operator keeps and whether that is bounded, for EXPLAIN; "" if nothing."""
        return ""

    def warnings(self) -> list[str]:
        """Sentences about what its user should mind, such as state that grows for ever."""
        return []

    def normal(self) -> str:
        """The subplan as canonical text: no aliases, no order of discovery, nothing of this process.

        The hash of it names the operator's state, so it must hold everything that the state depends on; not the TTL,
        so that a longer one finds the state of the one before.
        """
        held = [
            f"{f.name}={plain(v)}"
            for f in dataclasses.fields(self)
            if f.name not in ("schema", "ttl") and not _rels(v := getattr(self, f.name))
        ]
        inputs = ",".join(i.normal() for i in self.inputs())
        return f"{type(self).__name__.lower()}[{'|'.join(held)}]({inputs})"


@dataclass(frozen=True, slots=True)
class Unary(Rel):
    """The base of nodes with one input."""

    input: Rel

    def inputs(self) -> tuple[Rel, ...]:
        """The input."""
        return (self.input,)

    def rebuild(self, inputs: tuple[Rel, ...]) -> Rel:
        """The same over another input."""
        return replace(self, input=inputs[0])


def _rels(v: object) -> bool:
    return isinstance(v, Rel) or (isinstance(v, tuple) and bool(v) and all(isinstance(x, Rel) for x in v))


def plain(v: Any) -> str:
    """A field of a node as canonical text."""
    if isinstance(v, e.Expr):
        return f"{expression(v)}:{v.type}"
    if isinstance(v, tuple):
        return f"({','.join(plain(x) for x in v)})"
    if dataclasses.is_dataclass(v) and not isinstance(v, type) and type(v).__str__ is object.__str__:
        return f"<{','.join(plain(getattr(v, f.name)) for f in dataclasses.fields(v))}>"
    return str(v)


def move(x: e.Expr, place: Place) -> e.Expr:
    """An expression whose columns went elsewhere."""
    return e.remap(x, lambda i: place[i])


def walk(rel: Rel) -> list[Rel]:
    """All nodes, inputs before users."""
    found: list[Rel] = []
    stack: list[tuple[Rel, bool]] = [(rel, False)]
    while stack:
        r, done = stack.pop()
        if done:
            found.append(r)
            continue
        stack.append((r, True))
        stack.extend((i, False) for i in reversed(r.inputs()))
    return found
