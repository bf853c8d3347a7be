"""Aggregates that are a function of all values of a group: the engine keeps the values, these make the result."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deras.core import types as t
from deras.core.types import Kind, SqlType
from deras.sql.expr.nodes import AggregateRef, Call, Expr, Literal, Where
from deras.sql.functions.conditional import coalesce
from deras.sql.functions.hosts import FAILED, call_host, frozen, host
from deras.sql.functions.json import member, object_text
from deras.sql.functions.registry import ArgumentError, CallContext, Function, cast_to

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl

NAMES = ("LISTAGG", "COLLECT", "ARRAY_AGG", "JSON_OBJECTAGG", "JSON_ARRAYAGG", "PERCENTILE", "SUM0")


_JSON = SqlType(Kind.VARCHAR, 2000, nullable=False)


class _Made:
    """How a call is made; ``ref`` gives the aggregate of an argument."""

    def __init__(self, name: str, distinct: bool, condition: Expr | None, at: Where | None) -> None:
        self.name = name
        self.distinct = distinct
        self.condition = condition
        self.at = at

    def values(self, x: Expr, *, nulls: bool = False) -> AggregateRef:
        """All values of a group, as an array; NULL if there is none."""
        function = "ARRAY_AGG" if nulls else "LIST"
        return AggregateRef(
            t.array(x.type.with_nullable(nulls and x.type.nullable)),
            function,
            (x,),
            self.distinct,
            self.condition,
            at=self.at,
        )


def build(
    name: str,
    args: Sequence[Expr],
    *,
    distinct: bool,
    condition: Expr | None,
    ignore_nulls: bool,
    on_null: str | None,
    at: Where | None,
) -> Expr:
    """The expression of a call.

    Args:
        name: one of ``NAMES``.
        args: its arguments.
        distinct: each value once.
        condition: of FILTER.
        ignore_nulls: IGNORE NULLS was written.
        on_null: ABSENT or NULL of the JSON aggregates.
        at: where it was written.

    Raises:
        ArgumentError: it does not take these.
    """
    made = _Made(name, distinct, condition, at)
    if name == "SUM0":
        return _sum0(made, _one(name, args))
    if name == "LISTAGG":
        return _listagg(made, args)
    if name == "PERCENTILE":
        return _percentile(made, args)
    if name == "JSON_OBJECTAGG":
        return _objectagg(made, args, absent=on_null == "ABSENT")
    x = _one(name, args)
    if x.type.kind is Kind.NULL:
        raise ArgumentError(f"{name}(NULL) has no type", "Give it one: CAST(NULL AS INT).")
    if name == "ARRAY_AGG":
        found = made.values(x, nulls=not ignore_nulls)
        return replace(found, type=t.array(x.type))
    if name == "JSON_ARRAYAGG":
        text = member(x)
        if on_null == "NULL":
            text = coalesce([text, Literal(t.STRING.with_nullable(False), "null")], at)
        return call_host(_JSON_ARRAYAGG, _JSON, [made.values(text)], at)
    type_ = SqlType(Kind.MULTISET, children=(x.type,), nullable=False)
    return call_host(_COLLECT, type_, [made.values(x)], at)


def _one(name: str, args: Sequence[Expr]) -> Expr:
    if len(args) != 1:
        raise ArgumentError(f"{name} takes one argument, not {len(args)}")
    return args[0]


def _sum0(made: _Made, x: Expr) -> Expr:
    from deras.sql.functions.aggregates import bind

    type_, args = bind("SUM", [x], star=False)
    ref = AggregateRef(type_.with_nullable(True), "SUM", tuple(args), made.distinct, made.condition, at=made.at)
    zero = cast_to(Literal(t.INT.with_nullable(False), 0), type_.with_nullable(False))
    return coalesce([ref, zero], made.at)  # type: ignore[no-any-return]


# ---------------------------------------------------------------- text


def _joined(_: CallContext, x: pl.Expr, separator: pl.Expr) -> pl.Expr:
    return x.list.join(separator)


_JOIN = Function("LISTAGG", "expression", (), _joined, family="collecting")


def _listagg(made: _Made, args: Sequence[Expr]) -> Expr:
    if not 1 <= len(args) <= 2:
        raise ArgumentError(f"LISTAGG takes a text and a separator, not {len(args)} arguments")
    x = args[0]
    if not x.type.is_text and x.type.kind is not Kind.NULL:
        raise ArgumentError(f"LISTAGG takes text, not {x.type.with_nullable(True)}", "Convert with CAST(… AS STRING).")
    separator: Expr = Literal(t.char(1).with_nullable(False), ",")
    if len(args) == 2:
        separator = args[1]
        if not isinstance(separator, Literal) or not separator.type.is_text or separator.value is None:
            raise ArgumentError(
                "the separator of LISTAGG is a text, written out", "Write for example LISTAGG(x, '; ')."
            )
    return Call(t.STRING, _JOIN, (made.values(cast_to(x, t.STRING)), separator), at=made.at)


# ---------------------------------------------------------------- numbers


def _interpolated(values: Sequence[float], counts: Sequence[int], p: float) -> float | None:
    """The value at the share p of sorted values, each as often as its count says."""
    total = sum(counts)
    if not total:
        return None
    at = p * (total - 1)
    low = math.floor(at)

    def value(place: int) -> float:
        for v, n in zip(values, counts, strict=True):
            place -= n
            if place < 0:
                return v
        return values[-1]

    below, share = value(low), at - low
    if not share:
        return below
    return below * (1 - share) + value(low + 1) * share


def _percentiles(values: list[Any] | None, p: Any) -> Any:
    if values is None or p is None:
        return None
    many = [x["EXPR$0"] for x in values] if values and isinstance(values[0], dict) else values
    times = [x["EXPR$1"] for x in values] if values and isinstance(values[0], dict) else [1] * len(values)
    pairs = sorted((float(v), n) for v, n in zip(many, times, strict=True) if v is not None and n and n > 0)
    found = [
        _interpolated([v for v, _ in pairs], [n for _, n in pairs], float(x))
        if x is not None and 0 <= x <= 1
        else FAILED
        for x in (p if isinstance(p, list) else [p])
    ]
    if FAILED in found:
        return FAILED
    return found if isinstance(p, list) else found[0]


_PERCENTILE = host("PERCENTILE", _percentiles, nulls=True)


def _percentile(made: _Made, args: Sequence[Expr]) -> Expr:
    if not 2 <= len(args) <= 3:
        raise ArgumentError(f"PERCENTILE takes a number, a share and a frequency, not {len(args)} arguments")
    x, p = args[0], args[1]
    if not x.type.is_numeric:
        raise ArgumentError(f"PERCENTILE takes numbers, not {x.type.with_nullable(True)}")
    many = p.type.kind is Kind.ARRAY
    share = p.type.children[0] if many else p.type
    if not share.is_numeric or (not many and not isinstance(p, Literal)):
        raise ArgumentError("the share of PERCENTILE is a number from 0 to 1 (or an ARRAY of such), written out")
    if isinstance(p, Literal) and p.value is not None and not 0 <= p.value <= 10**p.type.scale:
        raise ArgumentError("the share of PERCENTILE is a number from 0 to 1")
    x = cast_to(x, t.DOUBLE)
    if len(args) == 3:
        if not args[2].type.is_integer:
            raise ArgumentError(f"the frequency of PERCENTILE is an integer, not {args[2].type.with_nullable(True)}")
        from deras.sql.functions.collections import row

        x = row([x, cast_to(args[2], t.BIGINT)], made.at)
    wanted = cast_to(p, t.array(t.DOUBLE) if many else t.DOUBLE)
    type_ = t.array(t.DOUBLE) if many else t.DOUBLE
    return call_host(_PERCENTILE, type_, [made.values(x), wanted], made.at)


# ---------------------------------------------------------------- sets and JSON


def _counted(values: list[Any] | None) -> list[dict[str, Any]]:
    known = {frozen(v): v for v in values or ()}
    return [{"key": known[k], "value": n} for k, n in Counter(frozen(v) for v in values or ()).items()]


def _json_array(values: list[str] | None) -> str:
    return "[" + ",".join(values or ()) + "]"


def _pair(absent: bool, key: str | None, value: str | None) -> Any:
    if key is None:
        return FAILED
    if value is None and absent:
        return None
    return f"{json.dumps(key)} {'null' if value is None else value}"


def _json_object(values: list[str] | None) -> str:
    decode: Callable[[str], tuple[Any, int]] = json.JSONDecoder().raw_decode
    pairs: dict[str, str] = {}
    for text in values or ():
        key, end = decode(text)
        pairs[key] = text[end + 1 :]
    return object_text(pairs.items())


_COLLECT = host("COLLECT", _counted, nulls=True)
_JSON_ARRAYAGG = host("JSON_ARRAYAGG", _json_array, nulls=True)
_JSON_OBJECTAGG = host("JSON_OBJECTAGG", _json_object, nulls=True)
_PAIR_NULL = host("JSON_OBJECTAGG", lambda k, v: _pair(False, k, v), nulls=True)
_PAIR_ABSENT = host("JSON_OBJECTAGG", lambda k, v: _pair(True, k, v), nulls=True)


def _objectagg(made: _Made, args: Sequence[Expr], *, absent: bool) -> Expr:
    if len(args) != 2:
        raise ArgumentError("JSON_OBJECTAGG takes a key and a value", "Write JSON_OBJECTAGG(KEY k VALUE v).")
    key, value = args
    if not key.type.is_text:
        raise ArgumentError(f"the key of JSON_OBJECTAGG is text, not {key.type.with_nullable(True)}")
    pair = call_host(_PAIR_ABSENT if absent else _PAIR_NULL, t.STRING, [cast_to(key, t.STRING), member(value)], made.at)
    return call_host(_JSON_OBJECTAGG, _JSON, [made.values(pair)], made.at)
