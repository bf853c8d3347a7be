"""The hint STATE_TTL: how long a query block's joins and groupings keep the rows of its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.core.errors import BindError
from deras.core.options import parse_duration

if TYPE_CHECKING:
    from deras.sql.bind.scope import Scope
    from deras.sql.syntax import ast


class Lifetimes:
    """What the hints of one SELECT say, by table name or alias.

    Args:
        hints: of the SELECT.

    Raises:
        BindError: a table without a time, a time that is none, a table named twice.
    """

    def __init__(self, hints: tuple[ast.Hint, ...] = ()) -> None:
        self._times: dict[str, int] = {}
        self._given: dict[str, ast.Property] = {}
        for hint in hints:
            if hint.name.upper() != "STATE_TTL":
                continue
            if not hint.options:
                raise BindError(
                    "STATE_TTL needs a table and a time", span=hint.span, hint="Write STATE_TTL('orders' = '1 d')."
                )
            for o in hint.options:
                if o.key in self._times:
                    raise BindError(f"STATE_TTL names '{o.key}' twice", span=o.key_span, hint="One time a table.")
                try:
                    self._times[o.key] = int(parse_duration(o.value))
                except ValueError as e:
                    raise BindError(f"STATE_TTL of '{o.key}': {e}", span=o.value_span) from None
                self._given[o.key] = o

    def of(self, *sides: Scope) -> tuple[int, ...]:
        """The TTL of state that is kept for each of some relations, -1 where no hint says it; () if none does.

        Only a relation that is one table has a name that a hint can mean.
        """
        times = []
        for side in sides:
            names = side.qualifiers()
            times.append(self._times.get(names[0], -1) if len(names) == 1 else -1)
        return tuple(times) if any(t >= 0 for t in times) else ()

    def check(self, scope: Scope) -> None:
        """``BindError`` if a hint names what is not in FROM."""
        known = scope.qualifiers()
        for name, given in self._given.items():
            if name not in known:
                raise BindError(
                    f"STATE_TTL names '{name}', which is no table of this query",
                    span=given.key_span,
                    hint=f"It reads: {', '.join(known)}. With an alias, name the alias." if known else "",
                )
