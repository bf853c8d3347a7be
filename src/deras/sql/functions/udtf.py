"""Python table functions: each row becomes some rows."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deras.core.errors import ConfigError
from deras.core.schema import Field
from deras.core.types import Kind, SqlType
from deras.sql.functions.udf import declared_inputs, opened, steady, type_of

if TYPE_CHECKING:
    from deras.core.schema import Schema
    from deras.engine.operators.correlate import TableProgram


@dataclass(frozen=True, eq=False, slots=True)
class UserTableFunction:
    """A Python function that gives rows, with its SQL types.

    Args:
        function: what is called per row; gives an iterable of rows (tuples, mappings, or bare values of a single
            column), one row, or None for no row.
        fields: names and types of the columns that it gives.
        input_types: types that the arguments are cast to, or None: whatever comes.
        name: the name in SQL.
        deterministic: whether the same arguments always give the same rows. A changing input needs that.
    """

    function: Callable[..., Any]
    fields: tuple[Field, ...]
    input_types: tuple[SqlType, ...] | None = None
    name: str = ""
    deterministic: bool = True

    def __call__(self, *args: Any) -> Any:
        """Call the Python function as it is."""
        return self.function(*args)

    def named(self, name: str) -> UserTableFunction:
        """The same under another name."""
        return replace(self, name=name)

    def __str__(self) -> str:
        return self.name

    def program(self, input: Schema, args: tuple[int, ...]) -> TableProgram:  # noqa: A002
        """What calls it over the columns ``args`` of an input."""
        from deras.sql.expr.table_calls import TableCalls

        return TableCalls(self, [input[i].type for i in args], args)


def result_fields(given: Any, what: str) -> tuple[Field, ...]:
    """The columns of a declaration: a ROW type, a list of types, or one type.

    Raises:
        ConfigError: it is none of these.
    """
    if given is None:
        raise ConfigError(
            f"table function '{what}' has no result type",
            hint="Write @udtf(result_types='ROW<word STRING, n INT>'), or a list of types.",
        )
    if isinstance(given, Sequence) and not isinstance(given, str):
        return tuple(Field(f"f{i}", type_of(x)) for i, x in enumerate(given))
    found = type_of(given)
    if found.kind is Kind.ROW:
        return tuple(Field(n, c) for n, c in zip(found.names, found.children, strict=True))
    return (Field("f0", found),)


def udtf(
    f: Callable[..., Any] | None = None,
    input_types: Any = None,
    result_types: Any = None,
    deterministic: bool | None = None,
    name: str | None = None,
) -> Any:
    """Make a Python function that yields rows usable in FROM; as a decorator or as a call.

    Args:
        f: the function, or a class or object with a method ``eval``.
        input_types: a type or a list of types; default: from annotations, else whatever comes.
        result_types: ``'ROW<word STRING, n INT>'``, a list of types (columns f0, f1 …), or one type.
        deterministic: False if the same arguments may give different rows. Default True.
        name: name in SQL; default: the function's.

    Raises:
        ConfigError: no result types, or an unknown type.
    """
    if f is None:
        return lambda g: udtf(g, input_types, result_types, deterministic, name)
    if isinstance(f, UserTableFunction):
        return f
    f = opened(f)
    target = f.eval if hasattr(f, "eval") else f
    given: str = name or getattr(f, "__name__", None) or type(f).__name__
    fields = result_fields(result_types, given)
    try:
        hints = typing.get_type_hints(target)
    except (NameError, TypeError):
        hints = {}
    inputs = declared_inputs(input_types, target, hints)
    return UserTableFunction(target, fields, inputs, given, steady(f, deterministic))


def rows_of(found: Any, width: int) -> list[tuple[Any, ...]]:
    """What a call gave, as rows of ``width`` values.

    Raises:
        ValueError: a row has another width.
    """
    if found is None:
        return []
    if isinstance(found, (str, bytes, Mapping)) or not isinstance(found, Iterable) or _is_row(found, width):
        found = [found]
    rows = []
    for r in found:
        if isinstance(r, Mapping):
            row = tuple(r.values())
        elif isinstance(r, (tuple, list)) or hasattr(r, "_values"):
            row = tuple(r)
        else:
            row = (r,)
        if len(row) != width:
            raise ValueError(f"gave a row of {len(row)} values, {width} were declared: {row!r}")
        rows.append(row)
    return rows


def _is_row(found: Any, width: int) -> bool:
    """Whether a tuple is one row, and not a collection of rows."""
    if hasattr(found, "_values"):
        return True
    if not isinstance(found, tuple):
        return False
    return len(found) == width and not any(isinstance(x, (tuple, list)) for x in found)
