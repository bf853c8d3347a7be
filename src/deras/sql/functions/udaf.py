"""Python aggregate functions: many rows become one value."""

from __future__ import annotations

import typing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deras.core.errors import ConfigError
from deras.sql.functions.udf import FuncType, declared_inputs, opened, steady, type_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deras.core.types import SqlType
    from deras.engine.user_aggregates import AggregateProgram

_METHODS = ("create_accumulator", "accumulate", "get_value")


@dataclass(frozen=True, eq=False, slots=True)
class UserAggregate:
    """A Python aggregate function with its SQL types.

    Args:
        function: an object with ``create_accumulator()``, ``accumulate(accumulator, *args)``,
            ``get_value(accumulator)`` and, for inputs that take rows back, ``retract(accumulator, *args)``; or, if
            ``func_type`` is not ``general``, a function of whole columns that gives one value.
        result_type: type of the result.
        input_types: types that the arguments are cast to, or None: whatever comes.
        name: the name in SQL.
        deterministic: whether the same rows always give the same value.
        func_type: ``general``, or ``polars``, ``numpy`` or ``pandas``: called with the group's rows as columns.
    """

    function: Any
    result_type: SqlType
    input_types: tuple[SqlType, ...] | None = None
    name: str = ""
    deterministic: bool = True
    func_type: FuncType = "general"

    def named(self, name: str) -> UserAggregate:
        """The same under another name."""
        return replace(self, name=name)

    def __str__(self) -> str:
        return self.name

    def program(self, types: Sequence[SqlType]) -> AggregateProgram:
        """What computes it over arguments of these types."""
        from deras.sql.expr.aggregate_calls import AggregateCalls, ColumnCalls

        return (AggregateCalls if self.func_type == "general" else ColumnCalls)(self, types)


def is_aggregate(f: Any) -> bool:
    """Whether an object or class has an aggregate function's methods."""
    return all(callable(getattr(f, m, None)) for m in _METHODS)


def udaf(
    f: Any = None,
    input_types: Any = None,
    result_type: Any = None,
    accumulator_type: Any = None,  # noqa: ARG001 (PyFlink's; accumulators say themselves what they are)
    deterministic: bool | None = None,
    name: str | None = None,
    func_type: str = "general",
) -> Any:
    """Make a Python class an aggregate function in SQL; as a decorator or as a call.

    Args:
        f: a class or object with ``create_accumulator()``, ``accumulate(accumulator, *args)`` and
            ``get_value(accumulator)``; also ``retract(accumulator, *args)`` if rows may be taken back. With another
            ``func_type`` than ``general``: a function of columns that gives one value.
        input_types: a type or a list of types; default: from annotations, else whatever comes.
        result_type: type of the result; default: what ``get_result_type()`` or the annotation of ``get_value`` says.
        accumulator_type: ignored: accumulators are kept as they are. They hold numbers, texts, bytes, dates, times,
            Decimals and lists, tuples, sets, dicts or Rows of them.
        deterministic: False if the same rows may give different values.
        name: name in SQL; default: the class's or function's.
        func_type: ``general``, or ``polars``, ``numpy`` or ``pandas``.

    Raises:
        ConfigError: no result type, an unknown type or ``func_type``, or a method is missing.
    """
    if f is None:
        return lambda g: udaf(g, input_types, result_type, None, deterministic, name, func_type)
    if isinstance(f, UserAggregate):
        return f
    f = opened(f)
    given: str = name or getattr(f, "__name__", None) or type(f).__name__
    if func_type not in typing.get_args(FuncType):
        raise ConfigError(
            f"func_type {func_type!r} of function '{given}' is unknown", hint="Use general, polars, numpy or pandas."
        )
    if func_type == "general":
        for method in _METHODS:
            if not callable(getattr(f, method, None)):
                raise ConfigError(
                    f"aggregate function '{given}' has no method {method}",
                    hint="Give it create_accumulator(), accumulate(accumulator, …) and get_value(accumulator).",
                )
        target, giving = f.accumulate, f.get_value
    elif not callable(f):
        raise ConfigError(f"aggregate function '{given}' of columns must be callable")
    else:
        target = giving = f
    if result_type is None and callable(getattr(f, "get_result_type", None)):
        result_type = f.get_result_type()
    result = type_of(result_type) if result_type is not None else _annotated(giving)
    if result is None:
        raise ConfigError(f"aggregate function '{given}' has no result type", hint="Write @udaf(result_type='DOUBLE').")
    inputs = declared_inputs(input_types, target, {})
    return UserAggregate(f, result, inputs, given, steady(f, deterministic), func_type)  # type: ignore[arg-type]


def _annotated(giving: Callable[..., Any]) -> SqlType | None:
    from deras.sql.functions.udf import annotated

    try:
        return annotated(typing.get_type_hints(giving).get("return"))
    except (NameError, TypeError):
        return None
