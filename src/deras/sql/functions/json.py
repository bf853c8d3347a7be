"""JSON: the SQL functions with their clauses, and values as JSON text."""

from __future__ import annotations

import base64
import json
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from deras.core import types as t
from deras.core.types import Kind, SqlType
from deras.sql.expr.cast import java_float
from deras.sql.expr.nodes import Call, Expr, Literal, Where
from deras.sql.functions.hosts import FAILED, call_host, each, host
from deras.sql.functions.json_path import PathError, parse_path
from deras.sql.functions.registry import ArgumentError, cast_to, scalar

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Sequence

RETURNING = (Kind.BOOLEAN, Kind.INT, Kind.DOUBLE)
"""What JSON_VALUE may give but text."""


_EXACT = re.compile(r"\d[.eE]|\d{19}")


class _Bad(Exception):
    """The text is no JSON, or the path leads nowhere in strict mode."""


def parse(text: str) -> Any:
    """The value of a JSON text, fractions as floats; ``_Bad`` where it is none."""
    try:
        return orjson.loads(text)
    except ValueError:
        raise _Bad from None


def parse_exactly(text: str) -> Any:
    """The same with the digits of fractions as they are, and whole numbers without bounds."""
    if not _EXACT.search(text):
        return parse(text)
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise _Bad from None


def _refuse(_: str) -> Any:
    raise _Bad


def dump(v: Any) -> str:
    """JSON text without spaces, objects in order of their keys; numbers as Java writes them."""
    if v is None:
        return "null"
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, int):
        return str(v)
    if isinstance(v, float):
        return str(Decimal(java_float(v))) if math.isfinite(v) else f'"{java_float(v)}"'
    if isinstance(v, Decimal):
        return str(v)
    if isinstance(v, str):
        return json.dumps(v, ensure_ascii=False)
    if isinstance(v, dict):
        return "{" + ",".join(f"{dump(str(k))}:{dump(x)}" for k, x in sorted(v.items())) + "}"
    return "[" + ",".join(map(dump, v)) + "]"


def _look(text: str, path: str) -> tuple[bool, Any]:
    """(lax, the value at a path); ``_Bad`` where there is none or the text is no JSON."""
    try:
        found = parse_path(path)
    except PathError:
        raise _Bad from None
    try:
        value = found.read(parse(text))
        if isinstance(value, (float, dict, list)):
            value = found.read(parse_exactly(text))
        return found.lax, value
    except LookupError:
        if found.lax:
            return True, None
        raise _Bad from None


def _scalar(v: Any) -> bool:
    return not isinstance(v, (dict, list))


@dataclass(frozen=True, slots=True)
class _Otherwise:
    """What is done ON EMPTY and ON ERROR; ``value``: of DEFAULT."""

    kind: str
    value: Any = None

    def give(self) -> Any:
        if self.kind == "ERROR":
            return FAILED
        return self.value


def _text_of(v: Any) -> str:
    if isinstance(v, bool):
        return "true" if v else "false"
    return java_float(v) if isinstance(v, float) else str(v)


def _as(v: Any, type_: SqlType) -> Any:
    """A scalar of JSON as a SQL value; ``_Bad`` where it is none of the type."""
    try:
        match type_.kind:
            case Kind.BOOLEAN:
                if isinstance(v, str) and v.lower() in ("true", "false"):
                    return v.lower() == "true"
                if isinstance(v, bool):
                    return v
                raise _Bad
            case Kind.INT:
                whole = int(v) if isinstance(v, str) else v
                if isinstance(whole, bool) or not isinstance(whole, (int, float, Decimal)) or int(whole) != whole:
                    raise _Bad
                if not -1 << 31 <= whole < 1 << 31:
                    raise _Bad
                return int(whole)
            case Kind.DOUBLE:
                if isinstance(v, bool):
                    raise _Bad
                return float(v)
            case _:
                return _text_of(v)
    except (ValueError, OverflowError):
        raise _Bad from None


def _value(type_: SqlType, empty: _Otherwise, error: _Otherwise, text: str | None, path: str | None, *d: Any) -> Any:
    if text is None or path is None:
        return None
    places = iter(d)
    if empty.kind == "DEFAULT":
        empty = _Otherwise("DEFAULT", next(places))
    if error.kind == "DEFAULT":
        error = _Otherwise("DEFAULT", next(places))
    try:
        lax, v = _look(text, path)
        if v is None and not lax:
            return None
        if v is None or (lax and not _scalar(v)):
            return empty.give()
        if not _scalar(v):
            raise _Bad
        return _as(v, type_)
    except _Bad:
        return error.give()


def _query(wrapper: str, array: bool, empty: _Otherwise, error: _Otherwise, text: str, path: str) -> Any:
    try:
        lax, v = _look(text, path)
        if v is not None and (
            wrapper == "WITH UNCONDITIONAL" or (wrapper == "WITH CONDITIONAL" and not isinstance(v, list))
        ):
            v = [v]
        if v is None or (lax and _scalar(v)):
            return empty.give()
        if _scalar(v):
            raise _Bad
        if array:
            if not isinstance(v, list):
                raise _Bad
            return [None if x is None else x if isinstance(x, str) else dump(x) for x in v]
        return dump(v)
    except _Bad:
        return error.give()


def _exists(error: Any, text: str, path: str) -> Any:
    try:
        return _look(text, path)[1] is not None
    except _Bad:
        return error


# ---------------------------------------------------------------- calls with clauses


def json_value(
    args: Sequence[Expr], clauses: Any, returning: SqlType | None, defaults: Sequence[Expr], at: Any
) -> Expr:
    """JSON_VALUE with what is done ON EMPTY and ON ERROR (kinds), and the values of DEFAULT, cast already."""
    type_ = (returning or t.STRING).with_nullable(True)
    if not (type_.is_text or type_.kind in RETURNING):
        raise ArgumentError(
            f"JSON_VALUE cannot return {type_}", "It returns STRING, BOOLEAN, INTEGER or DOUBLE; use CAST for others."
        )
    if type_.is_text:
        type_ = t.STRING
    empty, error = (_Otherwise(k) for k in clauses)
    build = _clause(lambda *v: _value(type_, empty, error, *v), ("JSON_VALUE", type_, empty, error))
    return call_host(build, type_, [*args, *(cast_to(d, type_) for d in defaults)], at)


def json_query(args: Sequence[Expr], wrapper: str, array: bool, clauses: Sequence[str], at: Any) -> Expr:
    """JSON_QUERY; ``clauses``: NULL, ERROR, EMPTY ARRAY or EMPTY OBJECT, on empty and on error."""
    made = {"EMPTY ARRAY": [] if array else "[]", "EMPTY OBJECT": "{}"}
    if array and "EMPTY OBJECT" in clauses:
        raise ArgumentError("an empty object is no ARRAY", "Write EMPTY ARRAY.")
    empty, error = (_Otherwise(k, made.get(k)) for k in clauses)
    build = _clause(
        lambda *v: None if None in v else _query(wrapper, array, empty, error, *v),
        ("JSON_QUERY", wrapper, array, *clauses),
    )
    return call_host(build, t.array(t.STRING) if array else t.STRING, args, at)


def json_exists(args: Sequence[Expr], on_error: str, at: Any) -> Expr:
    """JSON_EXISTS; ``on_error``: TRUE, FALSE, UNKNOWN or ERROR."""
    value: Any = {"TRUE": True, "FALSE": False, "UNKNOWN": None}.get(on_error, FAILED)
    build = _clause(lambda *v: None if None in v else _exists(value, *v), ("JSON_EXISTS", on_error))
    return call_host(build, t.BOOLEAN, args, at)


_clauses: dict[Any, Any] = {}


def _clause(f: Callable[..., Any], key: tuple[Any, ...]) -> Any:
    """One function for equal clauses, so that equal calls are equal expressions."""
    if (known := _clauses.get(str(key))) is None:
        f.__module__ = __name__
        known = _clauses[str(key)] = host(str(key[0]), f, nulls=True)
    return known


def _plain_path(args: Sequence[Expr]) -> None:
    if isinstance(args[1], Literal) and isinstance(args[1].value, str):
        try:
            parse_path(args[1].value)
        except PathError as err:
            raise ArgumentError(f"'{args[1].value}' is no JSON path: {err}", "Write for example '$.a.b[0]'.") from None


@scalar("JSON_VALUE(text, text)", kind="macro")
def value_(args: Sequence[Expr], at: Where | None) -> Expr:
    """The scalar at a path of a JSON text, as STRING or as RETURNING says; NULL, or what ON EMPTY and ON ERROR say.

    Example:
        >>> JSON_VALUE('{"a": {"b": 1}}', '$.a.b' RETURNING INTEGER)
        1
    """
    _plain_path(args)
    return json_value(args, ("NULL", "NULL"), None, (), at)


@scalar("JSON_QUERY(text, text)", kind="macro")
def query_(args: Sequence[Expr], at: Where | None) -> Expr:
    """The object or array at a path of a JSON text, as JSON.

    Example:
        >>> JSON_QUERY('{"a": {"b": 1}}', '$.a')
        {"b":1}
    """
    _plain_path(args)
    return json_query(args, "WITHOUT", False, ("NULL", "NULL"), at)


@scalar("JSON_EXISTS(text, text)", kind="macro")
def exists_(args: Sequence[Expr], at: Where | None) -> Expr:
    """Whether a JSON text has a value at a path; FALSE (or what ON ERROR says) where it cannot be told.

    Example:
        >>> JSON_EXISTS('{"a": 1}', '$.a')
        TRUE
    """
    _plain_path(args)
    return json_exists(args, "FALSE", at)


# ---------------------------------------------------------------- values to JSON


def is_json(x: Expr) -> bool:
    """Whether a value is JSON already: what JSON_OBJECT, JSON_ARRAY, JSON and the aggregates give."""
    return isinstance(x, Call) and x.function.name in (
        "JSON_OBJECT",
        "JSON_ARRAY",
        "JSON",
        "JSON_OBJECTAGG",
        "JSON_ARRAYAGG",
    )


def tree(v: Any, type_: SqlType) -> Any:
    """A SQL value as what JSON is written of."""
    if v is None:
        return None
    match type_.kind:
        case Kind.ARRAY:
            return [tree(x, type_.children[0]) for x in v]
        case Kind.MAP:
            return {_key(e["key"]): tree(e["value"], type_.children[1]) for e in v}
        case Kind.MULTISET:
            return {_key(e["key"]): e["value"] for e in v}
        case Kind.ROW:
            return {n: tree(v[n], c) for n, c in zip(type_.names, type_.children, strict=True)}
        case Kind.BINARY | Kind.VARBINARY:
            return base64.b64encode(bytes(v)).decode()
        case Kind.DECIMAL:
            return v
        case Kind.TIMESTAMP | Kind.TIMESTAMP_LTZ:
            return _moment(v, type_)
        case _:
            return v if isinstance(v, (bool, int, float, str)) else str(v)


def _key(v: Any) -> str:
    return v if isinstance(v, str) else str(v)


def _moment(v: datetime.datetime, type_: SqlType) -> str:
    text = v.replace(tzinfo=None).isoformat(timespec="microseconds")
    text = text.rstrip("0").rstrip(".")
    return text + ("Z" if type_.kind is Kind.TIMESTAMP_LTZ else "")


def _member(x: Expr) -> Expr:
    """A value as JSON text; NULL stays."""
    if is_json(x):
        return cast_to(x, t.STRING)
    type_ = x.type
    if type_.kind is Kind.NULL:
        return Literal(t.STRING, None, at=x.at)
    return call_host(_json_text(type_), t.STRING.with_nullable(type_.nullable), [x], x.at)


def _json_text(type_: SqlType) -> Any:
    return _clause(lambda v: None if v is None else dump(tree(v, type_)), ("JSON_STRING", type_))


member = _member
"""For the aggregates."""


def _object(absent: bool, *values: Any) -> Any:
    found: dict[str, str] = {}
    for k, v in zip(values[::2], values[1::2], strict=True):
        if k is None:
            return FAILED
        if v is None and absent:
            continue
        found[k] = "null" if v is None else v
    return object_text(found.items())


def object_text(pairs: Any) -> str:
    """An object of keys and JSON texts, in order of the keys as Flink gives them."""
    return "{" + ",".join(f"{dump(k)}:{v}" for k, v in sorted(pairs)) + "}"


def _array(absent: bool, *values: Any) -> str:
    return "[" + ",".join("null" if v is None else v for v in values if v is not None or not absent) + "]"


def json_object(args: Sequence[Expr], absent: bool, at: Any) -> Expr:
    """JSON_OBJECT of keys and values in turn."""
    if len(args) % 2:
        raise ArgumentError("JSON_OBJECT needs keys and values in turn")
    for k in args[::2]:
        if not k.type.is_text:
            raise ArgumentError(f"the keys of JSON_OBJECT are text, not {k.type.with_nullable(True)}")
    made = [cast_to(a, t.STRING) if i % 2 == 0 else _member(a) for i, a in enumerate(args)]
    if not made:
        return Literal(t.STRING.with_nullable(False), "{}", at=at)
    function = _clause(lambda *v: _object(absent, *v), ("JSON_OBJECT", absent))
    return call_host(function, t.STRING.with_nullable(False), made, at)


def json_array(args: Sequence[Expr], absent: bool, at: Any) -> Expr:
    """JSON_ARRAY of values."""
    if not args:
        return Literal(t.STRING.with_nullable(False), "[]", at=at)
    function = _clause(lambda *v: _array(absent, *v), ("JSON_ARRAY", absent))
    return call_host(function, t.STRING.with_nullable(False), [_member(a) for a in args], at)


@scalar("JSON_OBJECT([any...])", kind="macro")
def object_(args: Sequence[Expr], at: Where | None) -> Expr:
    """A JSON object of keys and values (``KEY k VALUE v``, or with ``:``); NULL ON NULL, or ABSENT ON NULL.

    Example:
        >>> JSON_OBJECT('b' VALUE 1, KEY 'a' VALUE 'x')
        {"a":"x","b":1}
    """
    return json_object(args, False, at)


@scalar("JSON_ARRAY([any...])", kind="macro")
def array_(args: Sequence[Expr], at: Where | None) -> Expr:
    """A JSON array of values; ABSENT ON NULL, or NULL ON NULL.

    Example:
        >>> JSON_ARRAY(1, 'a', TRUE)
        [1,"a",true]
    """
    return json_array(args, True, at)


@scalar("JSON_STRING(any)", kind="macro")
def json_string(args: Sequence[Expr], at: Where | None) -> Expr:
    """A value as JSON; NULL stays NULL.

    Example:
        >>> JSON_STRING(ARRAY[1, 2])
        [1,2]
    """
    type_ = args[0].type
    if type_.kind is Kind.NULL:
        return Literal(t.STRING, None, at=at)
    return call_host(_json_text(type_), t.STRING.with_nullable(type_.nullable), args, at)


def _normal(x: str) -> Any:
    try:
        return dump(parse_exactly(x))
    except _Bad:
        return FAILED


@scalar("JSON(text) -> STRING", kind="host")
@each
def json_(x: str) -> Any:
    """A text that is JSON already, for JSON_OBJECT and JSON_ARRAY; fails where it is not.

    Example:
        >>> JSON_OBJECT('a' VALUE JSON('{"b": 1}'))
        {"a":{"b":1}}
    """
    return _normal(x)


@scalar("JSON_QUOTE(text) -> STRING", kind="host")
@each
def json_quote(x: str) -> str:
    r"""The text as a JSON string.

    Example:
        >>> JSON_QUOTE('a"b')
        "a\"b"
    """
    text = json.dumps(x)
    return text.replace("/", "\\/")


@scalar("JSON_UNQUOTE(text) -> STRING", kind="host")
@each
def json_unquote(x: str) -> str:
    r"""The text of a JSON string; other texts stay.

    Example:
        >>> JSON_UNQUOTE('"a\u0062"')
        ab
    """
    if len(x) < 2 or x[0] != '"' or x[-1] != '"':
        return x
    try:
        return str(parse(x))
    except _Bad:
        return x


_IS: dict[str, Any] = {
    "JSON": object, "JSON VALUE": object, "JSON OBJECT": dict, "JSON ARRAY": list,
    "JSON SCALAR": (str, int, float, Decimal, bool, type(None)),
}  # fmt: skip


def _is(kind: str, x: str | None) -> bool:
    try:
        return x is not None and isinstance(parse(x), _IS[kind])
    except _Bad:
        return False


def test(a: Expr, what: str, at: Where | None) -> Expr:
    """``a IS [NOT] JSON …``."""
    kind = what.removeprefix("NOT ")
    if kind not in _IS:
        raise ArgumentError(f"there is no IS {kind}")
    if a.type.kind is Kind.NULL:
        a = cast_to(a, t.STRING)
    if not a.type.is_text:
        raise ArgumentError(f"IS JSON takes text, not {a.type.with_nullable(True)}")
    wanted = not what.startswith("NOT ")
    function = _clause(lambda x: _is(kind, x) is wanted, ("IS JSON", what))
    return call_host(function, t.BOOLEAN.with_nullable(False), [a], at)
