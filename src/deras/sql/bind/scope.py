"""Which columns a name can mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deras.core.errors import BindError, did_you_mean
from deras.core.types import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.schema import Field, Schema
    from deras.sql.bind.subqueries import Correlation
    from deras.sql.syntax.ast import Identifier


@dataclass(slots=True)
class ScopeColumn:
    """A column that can be named: its position in the input, its field, and the alias that may qualify it."""

    index: int
    field: Field
    qualifier: str = ""
    path: tuple[str, ...] = ()
    hidden: bool = False  # by USING: reachable with a qualifier only


class AmbiguousError(BindError):
    """A name means several columns."""


@dataclass(slots=True)
class Scope:
    """The columns of FROM.

    Args:
        columns: in order.
        outer: what a subquery may read of the query around it.
    """

    columns: list[ScopeColumn] = field(default_factory=list)
    outer: Correlation | None = None

    @classmethod
    def of(cls, schema: Schema, qualifier: str = "", path: tuple[str, ...] = ()) -> Scope:
        """All columns of one relation."""
        return cls([ScopeColumn(i, f, qualifier, path) for i, f in enumerate(schema)])

    def joined(self, other: Scope, offset: int) -> Scope:
        """This relation's columns, then another's."""
        moved = [ScopeColumn(c.index + offset, c.field, c.qualifier, c.path, c.hidden) for c in other.columns]
        return Scope([*self.columns, *moved])

    def qualifiers(self) -> list[str]:
        """The tables' names and aliases, each once."""
        return list(dict.fromkeys(c.qualifier for c in self.columns if c.qualifier))

    def star(self, qualifier: Sequence[Identifier] = ()) -> list[ScopeColumn]:
        """The columns of ``*`` or ``t.*``."""
        if not qualifier:
            return [c for c in self.columns if not c.hidden]
        name = qualifier[-1].name
        found = [c for c in self.columns if c.qualifier == name]
        if not found:
            span = qualifier[0].span.to(qualifier[-1].span)
            known = self.qualifiers()
            raise BindError(
                f"there is no table '{name}' in FROM",
                span=span,
                hint=did_you_mean(name, known) or f"Known here: {', '.join(known)}.",
            )
        return found

    def resolve(self, parts: Sequence[Identifier]) -> tuple[ScopeColumn, Sequence[Identifier]]:
        """The column that a name means, and the rest of its parts (fields of a ROW).

        Raises:
            BindError: there is none, or more than one.
        """
        span = parts[0].span.to(parts[-1].span)
        names = [p.name for p in parts]
        for used in range(min(len(parts) - 1, 3), 0, -1):  # t.c, then db.t.c
            qualifier = names[:used]
            found = [c for c in self.columns if c.field.name == names[used] and self._qualified(c, qualifier)]
            if found:
                return self._one(found, names[: used + 1], span), parts[used + 1 :]
        found = [c for c in self.columns if c.field.name == names[0] and not c.hidden]
        if found:
            return self._one(found, names[:1], span), parts[1:]
        if len(parts) > 1 and any(c.qualifier == names[0] for c in self.columns):
            known = [c.field.name for c in self.columns if c.qualifier == names[0]]
            hint = did_you_mean(names[1], known) or f"Its columns: {', '.join(known[:20])}."
            raise BindError(f"'{names[0]}' has no column '{names[1]}'", span=parts[1].span, hint=hint)
        if not self.columns:
            raise BindError(
                f"there is no column '{names[0]}' here", span=parts[0].span, hint="Text is written in single quotes."
            )
        known = [c.field.name for c in self.columns]
        hint = did_you_mean(names[0], [*known, *(self.qualifiers() if len(parts) > 1 else [])])
        if not hint:
            hint = f"Known here: {', '.join(dict.fromkeys(known))}." if len(known) <= 30 else ""
        what = "table or column" if len(parts) > 1 else "column"
        raise BindError(f"there is no {what} '{names[0]}'", span=parts[0].span, hint=hint)

    @staticmethod
    def _qualified(c: ScopeColumn, qualifier: list[str]) -> bool:
        if len(qualifier) == 1:
            return c.qualifier == qualifier[0]
        return bool(c.path) and list(c.path[-len(qualifier) :]) == qualifier

    @staticmethod
    def _one(found: list[ScopeColumn], names: list[str], span: object) -> ScopeColumn:
        if len(found) > 1:
            options = [f"{c.qualifier}.{c.field.name}" for c in found if c.qualifier]
            raise AmbiguousError(
                f"column '{'.'.join(names)}' is ambiguous",
                span=span,  # type: ignore[arg-type]
                hint=f"Write {' or '.join(dict.fromkeys(options))}." if options else "Give the tables aliases.",
            )
        return found[0]


def nested(field_type: object, name: Identifier) -> int:
    """The position of a field of a ROW type; ``BindError`` if there is none."""
    from deras.core.types import SqlType

    assert isinstance(field_type, SqlType)  # noqa: S101 (for the type checker)
    if field_type.kind is not Kind.ROW:
        raise BindError(f"a {field_type.with_nullable(True)} has no field '{name.name}'", span=name.span)
    if name.name not in field_type.names:
        hint = did_you_mean(name.name, field_type.names) or f"Its fields: {', '.join(field_type.names)}."
        raise BindError(f"there is no field '{name.name}'", span=name.span, hint=hint)
    return field_type.names.index(name.name)
