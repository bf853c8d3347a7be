"""Functions of arrays. Elements are counted from 1; two NULL elements are equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deras.core import types as t
from deras.core.types import Kind, SqlType
from deras.sql.functions.hosts import array_as, call_host, each, element_with, frozen, host
from deras.sql.functions.registry import ArgumentError, CallContext, cast_to, scalar
from deras.sql.types import common_type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl

    from deras.sql.expr.nodes import Expr, Where


def _nullable(args: Sequence[Expr]) -> bool:
    return any(a.type.nullable for a in args)


def _first(args: Sequence[Expr]) -> SqlType:
    return args[0].type


def _needle(name: str, type_: SqlType | None, f: Callable[..., Any], *, strict: bool = False) -> Any:
    """A macro of an array and an element: both get their common type; ``type_`` None: the array's."""
    function = host(name, f, nulls=True)

    def build(args: Sequence[Expr], at: Where | None) -> Expr:
        array, value = args[0], args[1]
        element = element_with(array, value)
        wide = array_as(array, element.with_nullable(array.type.children[0].nullable))
        out = wide.type if type_ is None else type_
        nullable = array.type.nullable or (strict and value.type.nullable)
        return call_host(function, out.with_nullable(nullable), [wide, cast_to(value, element)], at)

    return build


def _macro(signature: str, build: Any, doc: str) -> None:
    build.__doc__ = doc
    build.__module__ = __name__
    scalar(signature, kind="macro")(build)


def _distinct(a: list[Any]) -> list[Any]:
    seen: dict[Any, Any] = {}
    for v in a:
        seen.setdefault(frozen(v), v)
    return list(seen.values())


def _contains(a: list[Any] | None, v: Any) -> bool | None:
    return None if a is None else v in a


_macro(
    "ARRAY_CONTAINS(array, any)",
    _needle("ARRAY_CONTAINS", t.BOOLEAN, _contains),
    """Whether an element equals the value; NULL is looked for, too.

    Example:
        >>> ARRAY_CONTAINS(ARRAY[1, 2], 2)
        TRUE
    """,
)


def _position(a: list[Any] | None, v: Any) -> int | None:
    if a is None or v is None:
        return None
    return a.index(v) + 1 if v in a else 0


_macro(
    "ARRAY_POSITION(array, any)",
    _needle("ARRAY_POSITION", t.INT, _position, strict=True),
    """The place of the first element that equals the value; 0 if there is none.

    Example:
        >>> ARRAY_POSITION(ARRAY['a', 'b'], 'b')
        2
    """,
)


def _remove(a: list[Any] | None, v: Any) -> list[Any] | None:
    return None if a is None else [x for x in a if x != v]


_macro(
    "ARRAY_REMOVE(array, any)",
    _needle("ARRAY_REMOVE", None, _remove),
    """The array without the elements that equal the value.

    Example:
        >>> ARRAY_REMOVE(ARRAY[1, 2, 1], 1)
        [2]
    """,
)


def _appending(name: str, f: Callable[..., Any]) -> Any:
    function = host(name, f, nulls=True)

    def build(args: Sequence[Expr], at: Where | None) -> Expr:
        array, value = args
        element = element_with(array, value)
        element = element.with_nullable(array.type.children[0].nullable or value.type.nullable)
        wide = array_as(array, element)
        nullable = array.type.nullable or value.type.nullable  # as Flink has it
        return call_host(function, wide.type.with_nullable(nullable), [wide, cast_to(value, element)], at)

    return build


_macro(
    "ARRAY_APPEND(array, any)",
    _appending("ARRAY_APPEND", lambda a, v: None if a is None else [*a, v]),
    """The array with one element more at its end.

    Example:
        >>> ARRAY_APPEND(ARRAY[1, 2], 3)
        [1, 2, 3]
    """,
)
_macro(
    "ARRAY_PREPEND(array, any)",
    _appending("ARRAY_PREPEND", lambda a, v: None if a is None else [v, *a]),
    """The array with one element more at its start.

    Example:
        >>> ARRAY_PREPEND(ARRAY[1, 2], 3)
        [3, 1, 2]
    """,
)


@scalar("ARRAY_DISTINCT(array) -> STRING", kind="host", result=_first)
@each
def array_distinct(a: list[Any]) -> list[Any]:
    """The elements, each once, in the order of their first places.

    Example:
        >>> ARRAY_DISTINCT(ARRAY[1, 2, 1])
        [1, 2]
    """
    return _distinct(a)


@scalar("ARRAY_REVERSE(array) -> STRING", kind="host", result=_first)
@each
def array_reverse(a: list[Any]) -> list[Any]:
    """The elements backwards.

    Example:
        >>> ARRAY_REVERSE(ARRAY[1, 2, 3])
        [3, 2, 1]
    """
    return a[::-1]


@scalar("ARRAY_SLICE(array, integer[, integer]) -> STRING", kind="host", result=_first)
@each
def array_slice(a: list[Any], start: int, end: int | None = None) -> list[Any]:
    """The elements from one place to another, both included; negative places count from the end, 0 is 1.

    Example:
        >>> ARRAY_SLICE(ARRAY['a', 'b', 'c', 'd'], 2, 3)
        [b, c]
    """
    n = len(a)
    low = start + n + 1 if start < 0 else max(start, 1)
    last = n if end is None else end + n + 1 if end < 0 else max(end, 1)
    if low > n or last < 1 or low > last:
        return []
    return a[max(low, 1) - 1 : last]


def _sorted(a: list[Any] | None, ascending: bool | None = True, nulls_first: bool | None = None) -> Any:
    if a is None or ascending is None:
        return None
    first = ascending if nulls_first is None else nulls_first
    some = sorted((v for v in a if v is not None), reverse=not ascending)
    nulls = [None] * (len(a) - len(some))
    return nulls + some if first else some + nulls


@scalar("ARRAY_SORT(array[, boolean, boolean]) -> STRING", kind="host", result=_first)
@each
def array_sort(a: list[Any], ascending: bool = True, nulls_first: bool | None = None) -> list[Any]:
    """The elements in order (or, with FALSE, in the opposite order); NULLs come first, or where the third says.

    Example:
        >>> ARRAY_SORT(ARRAY[3, 1, 2])
        [1, 2, 3]
    """
    return _sorted(a, ascending, nulls_first)  # type: ignore[no-any-return]


def _arrays(name: str, f: Callable[..., Any]) -> Any:
    """A macro of arrays with a common type."""
    function = host(name, f)

    def build(args: Sequence[Expr], at: Where | None) -> Expr:
        element = common_type([a.type.children[0] for a in args])
        if element is None:
            raise ArgumentError(f"the arrays of {name} have no common type", "Convert them with CAST.")
        out = SqlType(Kind.ARRAY, children=(element,), nullable=_nullable(args))
        return call_host(function, out, [array_as(a, element) for a in args], at)

    return build


_macro(
    "ARRAY_CONCAT(array...)",
    _arrays("ARRAY_CONCAT", lambda *arrays: [v for a in arrays for v in a]),
    """The elements of all arrays, one after the other; NULL if one is.

    Example:
        >>> ARRAY_CONCAT(ARRAY[1], ARRAY[2, 1])
        [1, 2, 1]
    """,
)
_macro(
    "ARRAY_UNION(array, array)",
    _arrays("ARRAY_UNION", lambda a, b: _distinct([*a, *b])),
    """The elements of both arrays, each once.

    Example:
        >>> ARRAY_UNION(ARRAY[1, 2], ARRAY[2, 3])
        [1, 2, 3]
    """,
)
_macro(
    "ARRAY_EXCEPT(array, array)",
    _arrays("ARRAY_EXCEPT", lambda a, b: [v for v in _distinct(a) if v not in b]),
    """The elements of the first array that are not in the second, each once.

    Example:
        >>> ARRAY_EXCEPT(ARRAY[1, 2, 3], ARRAY[2])
        [1, 3]
    """,
)
_macro(
    "ARRAY_INTERSECT(array, array)",
    _arrays("ARRAY_INTERSECT", lambda a, b: [v for v in _distinct(a) if v in b]),
    """The elements that both arrays have, each once.

    Example:
        >>> ARRAY_INTERSECT(ARRAY[1, 2, 3], ARRAY[3, 2])
        [2, 3]
    """,
)


@scalar("ARRAY_JOIN(array, text[, text]) -> STRING", kind="host")
@each
def array_join(a: list[Any], separator: str, null: str | None = None) -> str:
    """The elements as one text with a separator between them; NULLs are left out, or are the third text.

    Example:
        >>> ARRAY_JOIN(ARRAY['a', CAST(NULL AS STRING), 'b'], '-', '?')
        a-?-b
    """
    return separator.join(v if v is not None else str(null) for v in a if v is not None or null is not None)


def _member(args: Sequence[Expr]) -> SqlType:
    return args[0].type.children[0].with_nullable(True)


@scalar("ARRAY_MAX(array) -> STRING", kind="host", result=_member, nullable=True)
@each
def array_max(a: list[Any]) -> Any:
    """The greatest element; NULLs do not count.

    Example:
        >>> ARRAY_MAX(ARRAY[1, 3, 2])
        3
    """
    return max((v for v in a if v is not None), default=None)


@scalar("ARRAY_MIN(array) -> STRING", kind="host", result=_member, nullable=True)
@each
def array_min(a: list[Any]) -> Any:
    """The least element; NULLs do not count.

    Example:
        >>> ARRAY_MIN(ARRAY[2, 1, 3])
        1
    """
    return min((v for v in a if v is not None), default=None)


def _split(x: str, separator: str) -> list[str]:
    return x.split(separator) if separator else list(x)


_split_each = each(_split)


@scalar("SPLIT(text, text) -> ARRAY<STRING>", kind="host", result=lambda _: t.array(t.STRING))
def split(c: CallContext, x: pl.Series, separator: pl.Series) -> Any:
    """The parts of a text between separators; an empty separator parts all characters.

    Example:
        >>> SPLIT('a,b', ',')
        [a, b]
    """
    if c.literal[1] and len(x) and separator[0]:
        return x.str.split(separator[0])
    return _split_each(c, x, separator)
