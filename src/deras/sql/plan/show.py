"""Expressions and calls as text: for EXPLAIN, for golden tests, and (without names) for stable state names."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from deras.core.types import Kind
from deras.sql.expr import nodes as e
from deras.sql.expr.decimals import text as decimal_text
from deras.sql.expr.patterns import RowValue, Total

if TYPE_CHECKING:
    from deras.core.predicates import Clause, Comparison, Value
    from deras.core.schema import Schema
    from deras.core.types import SqlType
    from deras.sql.plan.aggregates import AggCall

_INFIX = frozenset({"+", "-", "*", "/", "%", "=", "<>", "<", "<=", ">", ">=", "||", "LIKE", "SIMILAR TO"})
_INFIX_WORDS = frozenset({"IS DISTINCT FROM", "IS NOT DISTINCT FROM"})


def expression(x: e.Expr, names: list[str] | None = None) -> str:
    """An expression over columns of these names, or ``$0`` … without."""
    match x:
        case e.InputRef():
            return f"${x.index}" if names is None else names[x.index]
        case e.Literal():
            return _literal(x)
        case e.Cast():
            return f"{'TRY_CAST' if x.safe else 'CAST'}({expression(x.arg, names)} AS {x.type.with_nullable(True)})"
        case e.Logic():
            return "(" + f" {x.op} ".join(expression(t, names) for t in x.terms) + ")"
        case e.Case():
            whens = " ".join(
                f"WHEN {expression(c, names)} THEN {expression(r, names)}"
                for c, r in zip(x.conditions, x.results, strict=False)
            )
            return f"CASE {whens} ELSE {expression(x.results[-1], names)} END"
        case e.Context():
            return {"proctime": "PROCTIME()", "now": "NOW()"}.get(x.kind, "CURRENT_WATERMARK()")
        case e.UdfCall():
            return f"{x.udf.name}({', '.join(expression(a, names) for a in x.args)})"
        case e.Call():
            args = [expression(a, names) for a in x.args]
            name = x.function.name
            if (name in _INFIX or name in _INFIX_WORDS) and len(args) >= 2:
                return "(" + f" {name} ".join(args) + ")"
            if name.startswith("IS ") and len(args) == 1:
                return f"({args[0]} {name})"
            if name in ("NOT", "-") and len(args) == 1:
                return f"{name} {args[0]}" if name == "NOT" else f"-{args[0]}"
            return f"{name}({', '.join(args)})"
        case RowValue() | Total():
            return str(x)
    return type(x).__name__


def clause(c: Clause, schema: Schema) -> str:
    """What a source is told, over columns of a schema."""

    def one(x: Comparison) -> str:
        column = schema[x.column]
        return f"{column.name} {x.op}" + ("" if x.value is None else f" {_constant(x.value, column.type)}")

    text = " OR ".join(map(one, c))
    return f"({text})" if len(c) > 1 else text


def _constant(v: Value, t: SqlType) -> str:
    if t.is_text and isinstance(v, bytes):
        return "'" + v.decode("utf-8", "surrogatepass").replace("'", "''") + "'"
    if isinstance(v, bytes):
        return f"X'{v.hex()}'"
    if t.kind is Kind.BOOLEAN:
        return "TRUE" if v else "FALSE"
    if t.is_timestamp:
        v = int(v) // (1 if t.nanoseconds else 1000)
    if t.is_timestamp or t.kind is Kind.DATE:
        return f"{t.kind.value} {_moment(e.Literal(t, v))}"
    return str(float(v)) if isinstance(v, Fraction) and v.denominator != 1 else str(v)


def _literal(x: e.Literal) -> str:
    if x.value is None:
        return "NULL"
    t = x.type
    if t.is_text:
        return "'" + str(x.value).replace("'", "''") + "'"
    if t.kind is Kind.DECIMAL:
        return decimal_text(x.value, t.scale)
    if t.kind is Kind.BOOLEAN:
        return "TRUE" if x.value else "FALSE"
    if t.kind is Kind.INTERVAL_DAY:
        return f"INTERVAL {x.value} ms"
    if t.kind is Kind.INTERVAL_MONTH:
        return f"INTERVAL {x.value} months"
    if t.is_timestamp or t.kind in (Kind.DATE, Kind.TIME):
        return f"{t.kind.value} {_moment(x)}"
    if t.kind is Kind.DOUBLE:
        return f"{x.value!r}E0" if "e" not in repr(x.value) and "n" not in repr(x.value) else repr(x.value).upper()
    return str(x.value)


def _moment(x: e.Literal) -> str:
    import datetime

    t = x.type
    if t.kind is Kind.DATE:
        return f"'{datetime.date(1970, 1, 1) + datetime.timedelta(days=x.value)}'"
    if t.kind is Kind.TIME:
        at = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=x.value // 1000)
        return f"'{at.time()}'"
    unit = 1000 if t.nanoseconds else 1
    at = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=x.value // unit)
    return f"'{at.replace(tzinfo=None).isoformat(sep=' ')}'"


def call(c: AggCall, names: list[str]) -> str:
    """An aggregate over columns of these names."""
    arg = ", ".join(names[a] for a in c.args) or ("*" if c.user is None else "")
    text = f"{c.function}({'DISTINCT ' if c.distinct else ''}{arg})"
    return text if c.filter is None else f"{text} FILTER (WHERE {names[c.filter]})"


def duration(ms: int) -> str:
    """Milliseconds in the largest unit that divides them."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if ms and ms % size == 0:
            return f"{ms // size} {unit}"
    return f"{ms} ms"
