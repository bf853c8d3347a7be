"""The syntax tree of Flink SQL: what was written, before any name is looked up.

Every node is a frozen dataclass with a ``span`` (character offsets in the text it was parsed from) that does not
take part in comparison. Keywords are kept in upper case; identifiers keep their case and whether they were quoted.
Chains of ``AND``, ``OR``, ``||`` and of one set operation are flat (n-ary), so that generated SQL with thousands of
terms makes no deep tree.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, cast

from deras.core.errors import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NO_SPAN = Span(0, 0)


_FIELDS: dict[type, tuple[str, ...]] = {}


def _slots(kind: type[Node]) -> tuple[str, ...]:
    found = _FIELDS.get(kind)
    if found is None:
        found = _FIELDS[kind] = tuple(f.name for f in dataclasses.fields(kind) if f.name != "span")
    return found


def _nodes(value: object) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _nodes(item)


@dataclass(frozen=True, slots=True)
class Node:
    """The base of all nodes."""

    span: Span = field(default=NO_SPAN, compare=False, repr=False, kw_only=True)

    def children(self) -> Iterator[Node]:
        """The direct child nodes, in the order of the fields."""
        for name in _slots(type(self)):
            yield from _nodes(getattr(self, name))

    def walk(self) -> Iterator[Node]:
        """This node and all below it, parents first, in text order."""
        stack: list[Node] = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(list(node.children())))


N = TypeVar("N", bound=Node)


def transform(node: N, change: Callable[[Node], Node]) -> N:
    """A copy with ``change`` applied to every node, children first; nodes that do not change are shared.

    Args:
        node: the root.
        change: gets a node whose children are already changed; gives it back or another one that may stand in its
        place.
    """

    def inner(value: object) -> object:
        if isinstance(value, Node):
            return transform(value, change)
        if isinstance(value, tuple):
            new = tuple(inner(v) for v in value)
            return new if any(a is not b for a, b in zip(new, value)) else value
        return value

    changed: dict[str, object] = {}
    for name in _slots(type(node)):
        old = getattr(node, name)
        new = inner(old)
        if new is not old:
            changed[name] = new
    copy = dataclasses.replace(node, **changed) if changed else node  # type: ignore[arg-type]
    return cast("N", change(copy))


@dataclass(frozen=True, slots=True)
class Identifier(Node):
    """One name, as written; ``quoted`` when it stood in backticks."""

    name: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class ObjectName(Node):
    """A catalog object: ``[catalog.][database.]object``."""

    parts: tuple[Identifier, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The plain names."""
        return tuple(p.name for p in self.parts)

    def __str__(self) -> str:
        return ".".join(self.names)


@dataclass(frozen=True, slots=True)
class TypeField(Node):
    """A field of ROW."""

    name: Identifier
    type: DataType
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class DataType(Node):
    """A type as written, the name normalised (``INT``, ``TIMESTAMP_LTZ``, ``DOUBLE``, ``STRING``, ``ROW`` …).

    ``args`` are lengths or precisions; ``elements`` the inner types of ARRAY (1), MULTISET (1), MAP (2); ``fields``
    those of ROW. ``nullable`` is None when neither NULL nor NOT NULL was written. INTERVAL has ``unit`` (``DAY TO
    SECOND``) and a name not in the list of built-in types is a user-defined one, kept with its dots.
    """

    name: str
    args: tuple[int, ...] = ()
    elements: tuple[DataType, ...] = ()
    fields: tuple[TypeField, ...] = ()
    nullable: bool | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Property(Node):
    """``'key' = 'value'``; the spans of both halves serve messages."""

    key: str
    value: str
    key_span: Span = field(default=NO_SPAN, compare=False, repr=False)
    value_span: Span = field(default=NO_SPAN, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Hint(Node):
    """One hint of ``/*+ … */``: ``OPTIONS('k'='v')`` fills ``options``, ``STATE_TTL('t'='1d')`` too,
    ``BROADCAST(t)`` ``args``.
    """

    name: str
    options: tuple[Property, ...] = ()
    args: tuple[str, ...] = ()
