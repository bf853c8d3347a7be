"""How calls of ``async`` functions are made: how many at once, for how long, how often again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deras.core.errors import ConfigError
from deras.core.schema import Field

if TYPE_CHECKING:
    from deras.core.schema import Schema
    from deras.sql.expr.async_calls import AsyncCalls
    from deras.sql.functions.udf import UserFunction


@dataclass(frozen=True, slots=True)
class Waiting:
    """Options of an ``async`` function.

    Args:
        ordered: results leave in the order of the rows; else as they come.
        timeout: seconds for one attempt.
        capacity: calls at once; when so many wait, the flow waits, too.
        retry: attempts after one that failed, 0.1 s later, then twice as long each time (10 s at most).
        cache: results that are kept, by arguments; the least recently used one goes. 0: none.
        rate_limit: calls per second; 0: as fast as can be.

    Raises:
        ConfigError: a value that cannot be.
    """

    ordered: bool = True
    timeout: float = 180.0
    capacity: int = 100
    retry: int = 3
    cache: int = 0
    rate_limit: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("timeout", 0.001), ("capacity", 1), ("retry", 0), ("cache", 0), ("rate_limit", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} of an async function cannot be {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class AsyncFunction:
    """A call of an ``async`` function as a table function that adds one column."""

    function: UserFunction

    @property
    def kept(self) -> str:
        """What its operator keeps."""
        return "rows that wait for an answer"

    @property
    def fields(self) -> tuple[Field, ...]:
        """The result."""
        return (Field(self.function.name, self.function.result_type.with_nullable(True)),)

    @property
    def deterministic(self) -> bool:
        """What the function says."""
        return self.function.deterministic

    def program(self, input: Schema, args: tuple[int, ...]) -> AsyncCalls:  # noqa: A002
        """What calls it."""
        from deras.sql.expr.async_calls import AsyncCalls

        return AsyncCalls(self.function, input, args)

    def __str__(self) -> str:
        return f"async {self.function.name}"
