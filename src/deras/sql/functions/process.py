"""Python process functions: rows of a partitioned table, with state and timers of each key."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deras.core.errors import ConfigError
from deras.sql.functions.udf import opened
from deras.sql.functions.udtf import result_fields

if TYPE_CHECKING:
    from deras.core.schema import Field, Schema
    from deras.engine.operators.process import ProcessProgram


@dataclass(frozen=True, eq=False, slots=True)
class UserProcess:
    """A Python process function with the columns that it gives.

    Args:
        function: a class (each statement makes one of it) or an object with ``process(context, row)`` and, with
            timers, ``on_timer(context, timestamp)``; both give rows as a table function does.
        fields: names and types of the columns that it gives.
        name: the name in SQL.
    """

    function: Any
    fields: tuple[Field, ...]
    name: str = ""

    def named(self, name: str) -> UserProcess:
        """The same under another name."""
        return replace(self, name=name)

    def __str__(self) -> str:
        return self.name

    def program(self, input: Schema, args: dict[str, Any]) -> ProcessProgram:  # noqa: A002
        """What calls it over rows of a schema."""
        from deras.sql.expr.process_calls import ProcessCalls

        return ProcessCalls(self, opened(self.function), input, args)


def process_function(f: Any = None, result_types: Any = None, name: str | None = None) -> Any:
    """Make a Python class a process function in SQL, as a decorator or as a call.

    In SQL it takes a table: ``SELECT * FROM f(DATA => TABLE t PARTITION BY k, on_time => DESCRIPTOR(ts))``.

    Args:
        f: a class or object with ``process(context, row)`` and, with timers, ``on_timer(context, timestamp)``; see
            ``deras.engine.operators.process.Context``. The row has its columns as attributes.
        result_types: ``'ROW<n INT, word STRING>'``, a list of types (columns f0, f1 …), or one type.
        name: name in SQL; default: the class's.

    Raises:
        ConfigError: no result types, an unknown type, or no method ``process``.
    """
    if f is None:
        return lambda g: process_function(g, result_types, name)
    if isinstance(f, UserProcess):
        return f
    given: str = name or getattr(f, "__name__", None) or type(f).__name__
    if not callable(getattr(f, "process", None)):
        raise ConfigError(
            f"process function '{given}' has no method process", hint="Give it process(self, context, row)."
        )
    if inspect.isroutine(f):
        raise ConfigError(f"process function '{given}' must be a class", hint="Use udtf for a plain function.")
    return UserProcess(f, result_fields(result_types, given), given)
