"""``pyflink.table.udf``: decorators and base classes."""

# ruff: noqa: ARG001 -- the signatures are PyFlink's

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from deras.core.errors import ConfigError
from deras.sql.functions import udaf as aggregates
from deras.sql.functions import udf as own
from deras.sql.functions import udtf as tables

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "AggregateFunction",
    "AsyncScalarFunction",
    "FunctionContext",
    "ScalarFunction",
    "TableAggregateFunction",
    "TableFunction",
    "UserDefinedFunction",
    "udaf",
    "udf",
    "udtaf",
    "udtf",
]


FunctionContext = own.Context


class UserDefinedFunction:
    """The base of function classes."""

    def open(self, function_context: FunctionContext) -> None:
        """Set up once, before the first call."""

    def close(self) -> None:
        """Tear down, after the last."""

    def is_deterministic(self) -> bool:
        """Whether the same arguments always give the same result."""
        return True


class ScalarFunction(UserDefinedFunction):
    """A value from values: ``eval(*args)``."""


class AsyncScalarFunction(UserDefinedFunction):
    """A value from values, waited for: ``async def eval(*args)``."""


class TableFunction(UserDefinedFunction):
    """Rows from values: ``eval(*args)`` yields them."""


class AggregateFunction(UserDefinedFunction):
    """A value from rows: ``create_accumulator``, ``accumulate``, ``get_value``, and ``retract`` and ``merge`` where
    needed.
    """


class TableAggregateFunction(AggregateFunction):
    """Rows from rows."""


def udf(
    f: Callable[..., Any] | None = None,
    input_types: Any = None,
    result_type: Any = None,
    deterministic: bool | None = None,
    name: str | None = None,
    func_type: str = "general",
    udf_type: str | None = None,
) -> Any:
    """PyFlink's ``udf``: a scalar function; ``func_type`` is ``general`` or ``pandas``."""
    if f is None:
        return lambda g: udf(g, input_types, result_type, deterministic, name, func_type, udf_type)
    made = own.opened(f)
    target = made.eval if hasattr(made, "eval") else made
    if asyncio.iscoroutinefunction(target):
        return own.udf(made, input_types, result_type, deterministic, name)
    return own.udf(made, input_types, result_type, deterministic, name, udf_type or func_type)


def udtf(
    f: Callable[..., Any] | None = None,
    input_types: Any = None,
    result_types: Any = None,
    deterministic: bool | None = None,
    name: str | None = None,
) -> Any:
    """PyFlink's ``udtf``: a table function."""
    if f is None:
        return lambda g: udtf(g, input_types, result_types, deterministic, name)
    return tables.udtf(own.opened(f), input_types, result_types, deterministic, name)


def udaf(
    f: Callable[..., Any] | None = None,
    input_types: Any = None,
    result_type: Any = None,
    accumulator_type: Any = None,
    deterministic: bool | None = None,
    name: str | None = None,
    func_type: str = "general",
) -> Any:
    """PyFlink's ``udaf``: an aggregate function."""
    if f is None:
        return lambda g: udaf(g, input_types, result_type, accumulator_type, deterministic, name, func_type)
    return aggregates.udaf(f, input_types, result_type, accumulator_type, deterministic, name, func_type)


def udtaf(*args: Any, **options: Any) -> Any:
    """PyFlink's ``udtaf``. Flink's SQL cannot call table aggregate functions either."""
    raise ConfigError("table aggregate functions are not SQL", hint="Use udaf, or ROW_NUMBER() for the first rows.")
