"""Python functions in SQL: per value, and vectorised over whole columns."""

from __future__ import annotations

import atexit
import contextlib
import datetime
import decimal
import inspect
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from deras.core import types as t
from deras.core.errors import ConfigError
from deras.core.types import SqlType
from deras.sql.functions.waiting import Waiting

if TYPE_CHECKING:
    from deras.sql.functions.process import UserProcess
    from deras.sql.functions.udaf import UserAggregate
    from deras.sql.functions.udtf import UserTableFunction

FuncType = Literal["general", "polars", "numpy", "pandas"]

_ANNOTATIONS: dict[Any, SqlType] = {
    bool: t.BOOLEAN,
    int: t.BIGINT,
    float: t.DOUBLE,
    str: t.STRING,
    bytes: t.BYTES,
    decimal.Decimal: t.decimal(38, 18),
    datetime.datetime: t.timestamp(6),
    datetime.date: t.DATE,
    datetime.time: t.time(0),
}


@dataclass(frozen=True, eq=False, slots=True)
class UserFunction:
    """A Python function with its SQL types.

    Args:
        function: what is called.
        result_type: type of the result.
        input_types: types that the arguments are cast to, or None: whatever comes.
        name: the name in SQL.
        deterministic: whether the same arguments always give the same value.
        func_type: ``general``: called per row with Python values; ``polars``: with Polars series, ``numpy``: with
            arrays, ``pandas``: with pandas series; each gives back a column of the same length.
        waiting: for ``async`` functions, how they are called.
    """

    function: Callable[..., Any]
    result_type: SqlType
    input_types: tuple[SqlType, ...] | None = None
    name: str = ""
    deterministic: bool = True
    func_type: FuncType = "general"
    waiting: Waiting | None = None

    def __call__(self, *args: Any) -> Any:
        """Call the Python function as it is."""
        return self.function(*args)

    def named(self, name: str) -> UserFunction:
        """The same under another name."""
        return replace(self, name=name)


if TYPE_CHECKING:
    AnyFunction: typing.TypeAlias = UserFunction | UserTableFunction | UserAggregate | UserProcess


def type_of(given: Any) -> SqlType:
    """A type from its SQL text, a Python class or an object of ``DataTypes``.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(given, SqlType):
        return given
    if isinstance(given, str):
        from deras.sql.types import parse_type

        return parse_type(given)
    if given in _ANNOTATIONS:
        return _ANNOTATIONS[given]
    text = getattr(given, "as_sql", None)
    if callable(text):
        return type_of(text())
    raise ConfigError(f"{given!r} is no SQL type", hint="Write for example result_type='DOUBLE'.")


def annotated(hint: Any) -> SqlType | None:
    """The SQL type of a Python annotation, or None."""
    args = [a for a in typing.get_args(hint) if a is not type(None)]
    if len(args) == 1 and len(typing.get_args(hint)) == 2:
        hint = args[0]
    return _ANNOTATIONS.get(hint)


def udf(
    f: Callable[..., Any] | None = None,
    input_types: Any = None,
    result_type: Any = None,
    deterministic: bool | None = None,
    name: str | None = None,
    func_type: str = "general",
    *,
    ordered: bool | None = None,
    timeout: float | None = None,
    capacity: int | None = None,
    retry: int | None = None,
    cache: int | None = None,
    rate_limit: float | None = None,
) -> Any:
    """Make a Python function usable in SQL; as a decorator or as a call.

    Args:
        f: the function.
        input_types: a type or a list of types (texts like ``'BIGINT'``); default: from annotations, else whatever
            comes.
        result_type: type of the result; default: from the annotation.
        deterministic: False if the same arguments may give different values. Default True.
        name: name in SQL; default: the function's.
        func_type: ``general`` (per value), ``polars``, ``numpy`` or ``pandas`` (vectorised).
        ordered: of an ``async def``: results leave in the order of the rows (default), or as they come.
        timeout: of an ``async def``: seconds for an attempt. Default 180.
        capacity: of an ``async def``: calls at once. Default 100.
        retry: of an ``async def``: attempts after a failed one, with growing pauses. Default 3.
        cache: of an ``async def``: results that are kept, by arguments. Default 0.
        rate_limit: of an ``async def``: calls per second. Default: no limit.

    Raises:
        ConfigError: no result type, an unknown type or ``func_type``, or options of ``async`` for another function.
    """
    asked = {
        "ordered": ordered, "timeout": timeout, "capacity": capacity, "retry": retry, "cache": cache,
        "rate_limit": rate_limit,
    }  # fmt: skip
    options: dict[str, Any] = {k: v for k, v in asked.items() if v is not None}
    if f is None:
        return lambda g: udf(g, input_types, result_type, deterministic, name, func_type, **options)
    if isinstance(f, UserFunction):
        return f
    f = opened(f)
    target = f.eval if hasattr(f, "eval") else f
    given: str = name or getattr(f, "__name__", None) or type(f).__name__
    if func_type not in typing.get_args(FuncType):
        raise ConfigError(
            f"func_type {func_type!r} of function '{given}' is unknown", hint="Use general, polars, numpy or pandas."
        )
    waits = inspect.iscoroutinefunction(target)
    if options and not waits:
        raise ConfigError(
            f"{', '.join(options)} of function '{given}' is for async functions", hint="Write it as async def."
        )
    if waits and func_type != "general":
        raise ConfigError(f"function '{given}' is async, so its func_type cannot be {func_type}")
    try:
        hints = typing.get_type_hints(target)
    except (NameError, TypeError):
        hints = {}
    result = type_of(result_type) if result_type is not None else annotated(hints.get("return"))
    if result is None:
        raise ConfigError(
            f"function '{given}' has no result type",
            hint="Write @udf(result_type='DOUBLE'), or annotate what it returns.",
        )
    inputs = declared_inputs(input_types, target, hints if func_type == "general" else {})
    kind: Any = func_type
    return UserFunction(
        target, result, inputs, given, steady(f, deterministic), kind, Waiting(**options) if waits else None
    )


class Context:
    """What ``open`` is given. One process, one task: the parallelism is 1."""

    def get_job_parameter(self, key: str, default_value: str) -> str:
        """There are no job parameters: the default."""
        return default_value

    def get_number_of_parallel_subtasks(self) -> int:
        """One."""
        return 1

    def get_index_of_this_subtask(self) -> int:
        """The first."""
        return 0

    def get_attempt_number(self) -> int:
        """The first."""
        return 0


def opened(f: Any) -> Any:
    """A function object: made from its class if need be, and set up once by its ``open``; ``close`` is called when the
    process ends.
    """
    if isinstance(f, type):
        f = f()
    if inspect.isroutine(f) or getattr(f, "_deras_opened", False):
        return f
    if callable(set_up := getattr(f, "open", None)):
        set_up(*([Context()] if len(inspect.signature(set_up).parameters) else []))
        with contextlib.suppress(AttributeError):
            f._deras_opened = True
    if callable(tear_down := getattr(f, "close", None)):
        atexit.register(tear_down)
    return f


def declared_inputs(input_types: Any, target: Any, hints: dict[str, Any]) -> tuple[SqlType, ...] | None:
    """Types of the arguments as declared, or as annotated if all are; None: whatever comes."""
    if input_types is not None:
        many = input_types if isinstance(input_types, Sequence) and not isinstance(input_types, str) else [input_types]
        return tuple(type_of(x) for x in many)
    try:
        parameters = [p for p in inspect.signature(target).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    except (TypeError, ValueError):
        return None
    found = [annotated(hints.get(p.name)) for p in parameters]
    if found and all(x is not None for x in found):
        return tuple(x for x in found if x is not None)
    return None


def optional(target: Any) -> int:
    """How many arguments have a default."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return 0
    return sum(p.kind is p.POSITIONAL_OR_KEYWORD and p.default is not p.empty for p in parameters)


def misfit(target: Any, given: int) -> str:
    """Why a Python function does not take so many arguments; "" if it does."""
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return ""
    try:
        signature.bind(*[None] * given)
    except TypeError as e:
        return str(e)
    return ""


def steady(f: Any, deterministic: bool | None) -> bool:
    """Whether a function says that it is deterministic; it is unless it says otherwise."""
    said = getattr(f, "is_deterministic", None)
    return deterministic if deterministic is not None else bool(said()) if callable(said) else True


def load(identifier: str, name: str, folder: Any = None) -> AnyFunction:
    """The function of ``'module.function'``, looked for in the project's folder first.

    Raises:
        ConfigError: there is no such module or function, or importing it failed.
    """
    import importlib
    import sys

    module, _, attribute = identifier.rpartition(".")
    if not module:
        raise ConfigError(
            f"'{identifier}' is no 'module.function'", hint="Name the Python module and the function in it."
        )
    place = str(folder.resolve()) if folder is not None else ""
    if place and place not in sys.path:
        sys.path.insert(0, place)
        importlib.invalidate_caches()
    from deras.sql.functions import pyflink

    pyflink.stand_in()
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as e:
        raise ConfigError(
            f"cannot import Python module '{module}': {e}",
            hint=f"It is looked for in {place or 'the Python path'} and the Python path.",
        ) from e
    except AttributeError as e:
        raise ConfigError(f"Python module '{module}' has no function '{attribute}'", hint=str(e)) from e
    except Exception as e:
        raise ConfigError(f"importing Python module '{module}' failed", detail=f"{type(e).__name__}: {e}") from e
    return declared(found).named(name)


def declared(found: Any) -> AnyFunction:
    """A function of a user's module as what it says it is.

    Raises:
        ConfigError: it lacks a result type.
    """
    from deras.sql.functions.process import UserProcess
    from deras.sql.functions.udaf import UserAggregate, is_aggregate, udaf
    from deras.sql.functions.udtf import UserTableFunction

    if isinstance(found, (UserFunction, UserTableFunction, UserAggregate, UserProcess)):
        return found
    if not (callable(found) or hasattr(found, "eval") or is_aggregate(found)):
        raise ConfigError(f"{found!r} is no function", hint="Name a function, or what udf, udtf or udaf gave.")
    if is_aggregate(found):
        aggregate: UserAggregate = udaf(found)
        return aggregate
    made: UserFunction = udf(found)
    return made
