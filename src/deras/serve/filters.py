"""``GET /v1/views/{name}?temp=gt.80&select=machine,temp&order=ts.desc&limit=10`` as one SELECT with parameters.

The operators are PostgREST's: ``eq neq gt gte lt lte like ilike in is``, each with ``not.`` before it. A value
without an operator is an equality. A column in double quotes may be named like one of our own words (``"limit"=eq.5``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from deras.core.errors import DerasError, did_you_mean
from deras.core.types import Kind, SqlType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.schema import Field
    from deras.serve.platform import ViewInfo

DEFAULT_LIMIT = 1000
MAX_LIMIT = 100_000
WORDS = ("select", "order", "limit", "offset", "format")
_COMPARE = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "like": "LIKE", "ilike": "ILIKE"}
_OPERATORS = (*_COMPARE, "in", "is")


class RequestError(DerasError):
    """A request that cannot be answered as asked; ``status`` is HTTP's."""

    code = "request"

    def __init__(self, message: str, *, status: int = 400, hint: str = "", detail: str = "") -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.status = status


@dataclass(frozen=True, slots=True)
class Selection:
    """A SELECT over one view. ``fields``: the columns of the answer."""

    sql: str
    parameters: tuple[Any, ...]
    fields: tuple[Field, ...]
    limit: int


def quoted(name: str) -> str:
    """A name as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def sql_name(t: SqlType) -> str:
    """The type's name in DuckDB's dialect."""
    simple = {
        Kind.BOOLEAN: "BOOLEAN", Kind.TINYINT: "TINYINT", Kind.SMALLINT: "SMALLINT", Kind.INT: "INTEGER",
        Kind.BIGINT: "BIGINT", Kind.FLOAT: "FLOAT", Kind.DOUBLE: "DOUBLE", Kind.DATE: "DATE", Kind.TIME: "TIME",
        Kind.TIMESTAMP_LTZ: "TIMESTAMPTZ",
    }  # fmt: skip
    if t.kind is Kind.DECIMAL:
        return f"DECIMAL({t.precision}, {t.scale})"
    if t.kind is Kind.TIMESTAMP:
        return "TIMESTAMP_NS" if t.nanoseconds else "TIMESTAMP"
    return simple.get(t.kind, "VARCHAR")


def _check(field: Field, text: str) -> str:
    """The text if it is a value of the column's type; else a 400 that says so."""
    t = field.type
    try:
        if t.kind is Kind.BOOLEAN:
            if text.lower() not in ("true", "false"):
                raise ValueError
            return text.lower()
        if t.is_integer:
            return str(int(text))
        if t.kind is Kind.DECIMAL:
            if not Decimal(text).is_finite():
                raise ValueError
            return text
        if t.is_approximate:
            return str(float(text))
        if t.is_timestamp:
            moment = datetime.fromisoformat(text)
            if t.kind is Kind.TIMESTAMP_LTZ and moment.tzinfo is None:
                return f"{moment.isoformat()}+00:00"  # without a zone: UTC, on whatever machine
            return text
        if t.kind is Kind.DATE:
            return date.fromisoformat(text).isoformat()
        if t.kind is Kind.TIME:
            return time.fromisoformat(text).isoformat()
    except (ValueError, InvalidOperation):
        raise RequestError(f"column '{field.name}' is {t}: '{text}' is no such value") from None
    if not t.is_text:
        raise RequestError(
            f"column '{field.name}' is {t}, which cannot be filtered here", hint="Ask with POST /v1/query."
        )
    return text


def _split(text: str) -> list[str]:
    """Values of ``in.(a,"b,c",d)``."""
    found: list[str] = []
    for m in re.finditer(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^,]*))\s*(?:,|$)', text):
        if m.start() == len(text) and found and not text.endswith(","):
            break
        found.append(re.sub(r"\\(.)", r"\1", m[1]) if m[1] is not None else m[2].strip())
        if m.end() == len(text) and not text.endswith(","):
            break
    return found


def _condition(field: Field, text: str) -> tuple[str, list[Any]]:
    column = quoted(field.name)
    negated = text.startswith("not.") and text[4:].partition(".")[0] in _OPERATORS
    body = text[4:] if negated else text
    word, dot, rest = body.partition(".")
    if not dot or word not in _OPERATORS:
        word, rest = "eq", body
    cast = f"CAST(? AS {sql_name(field.type)})"
    parameters: list[Any] = []
    if word == "is":
        if rest.lower() not in ("null", "true", "false"):
            raise RequestError(f"'is.{rest}' is unknown", hint="Use is.null, is.true or is.false.")
        sql = f"{column} IS {rest.upper()}"
    elif word == "in":
        if not (rest.startswith("(") and rest.endswith(")")):
            raise RequestError(f"'in.{rest}' has no list", hint="Write in.(a,b,c).")
        values = [_check(field, v) for v in _split(rest[1:-1])]
        parameters += values
        sql = f"{column} IN ({', '.join([cast] * len(values))})" if values else "FALSE"
    else:
        if word in ("like", "ilike"):
            if not field.type.is_text:
                raise RequestError(f"'{word}' needs text, column '{field.name}' is {field.type}")
            rest = rest.replace("*", "%")
        parameters.append(_check(field, rest))
        sql = f"{column} {_COMPARE[word]} {cast}"
    return (f"NOT ({sql})" if negated else sql), parameters


def _number(name: str, text: str, high: int) -> int:
    if not text.isdigit() or int(text) > high:
        raise RequestError(f"'{name}' must be a whole number from 0 to {high}, not '{text}'")
    return int(text)


def _names(text: str) -> list[str]:
    return [m[1].replace('""', '"') if m[1] is not None else m[2].strip() for m in _NAME.finditer(text) if m[0] != ""]


_NAME = re.compile(r'"((?:[^"]|"")*)"(?:,|$)|([^,]+)(?:,|$)')
_ORDER = re.compile(r'(?:"((?:[^"]|"")*)"|(.+?))(?:\.(asc|desc))?(?:\.(nullsfirst|nullslast))?$')


def select(info: ViewInfo, query: Sequence[tuple[str, str]]) -> Selection:
    """The SELECT that a query string means.

    Args:
        info: the view.
        query: decoded (name, value) pairs, in order; a column may stand several times (all must hold).

    Raises:
        RequestError: for an unknown column, operator or value.
    """
    by_name = {f.name: f for f in info.schema}

    def column(name: str) -> Field:
        if name not in by_name:
            hint = did_you_mean(name, by_name) or f"Columns: {', '.join(by_name)}."
            raise RequestError(f"there is no column '{name}' in view '{info.name}'", hint=hint)
        return by_name[name]

    conditions: list[str] = []
    parameters: list[Any] = []
    chosen, order, limit, offset = list(info.schema), "", DEFAULT_LIMIT, 0
    for name, value in query:
        if name == "select":
            if value.strip() not in ("", "*"):
                chosen = [column(n) for n in _names(value)]
        elif name == "order":
            order = ", ".join(_order(column, part) for part in value.split(",") if part.strip())
        elif name == "limit":
            limit = _number(name, value, MAX_LIMIT)
        elif name == "offset":
            offset = _number(name, value, 1 << 62)
        elif name == "format":
            continue
        else:
            plain = name[1:-1].replace('""', '"') if len(name) > 1 and name[0] == name[-1] == '"' else name
            if plain not in by_name and name not in by_name:
                near = did_you_mean(plain, [*by_name, *WORDS])
                raise RequestError(
                    f"there is no column '{plain}' in view '{info.name}'",
                    hint=near or f"Columns: {', '.join(by_name)}; others: {', '.join(WORDS)}.",
                )
            sql, more = _condition(by_name.get(name) or by_name[plain], value)
            conditions.append(sql)
            parameters += more
    sql = f"SELECT {', '.join(quoted(f.name) for f in chosen)} FROM {quoted(info.name)}"  # noqa: S608 (names quoted)
    if conditions:
        sql += f" WHERE {' AND '.join(conditions)}"
    if order:
        sql += f" ORDER BY {order}"
    sql += f" LIMIT {limit}" + (f" OFFSET {offset}" if offset else "")
    return Selection(sql, tuple(parameters), tuple(chosen), limit)


def _order(column: Any, part: str) -> str:
    m = _ORDER.fullmatch(part.strip())
    if m is None:
        raise RequestError(f"'order={part}' is not understood", hint="Write order=ts.desc or order=a,b.desc.nullslast.")
    field = column(m[1].replace('""', '"') if m[1] is not None else m[2])
    nulls = {"nullsfirst": " NULLS FIRST", "nullslast": " NULLS LAST", None: ""}[m[4]]
    return f"{quoted(field.name)} {(m[3] or 'asc').upper()}{nulls}"
