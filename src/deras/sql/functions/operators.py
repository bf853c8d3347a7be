"""Operators: arithmetic, comparison, concatenation, tests for NULL and truth, patterns."""

# ruff: noqa: ARG001, ARG005 -- every implementation takes the same arguments

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import polars as pl

from deras.core import types as t
from deras.core.types import Kind, SqlType
from deras.sql.expr import decimals
from deras.sql.expr.nodes import Call, Case, Expr, Literal, Where
from deras.sql.functions.registry import ArgumentError, CallContext, Function, cast_to, scalar
from deras.sql.kernels import plans
from deras.sql.types import as_decimal, common_type, decimal_result

if TYPE_CHECKING:
    from collections.abc import Sequence


def _function(
    name: str, build: Any, *, kind: Any = "expression", nullable: bool | None = None, kernel: Any = None
) -> Function:
    return Function(name, kind, (), build, nullable=nullable, family="operators", kernel=kernel)


def _nullable(*args: Expr) -> bool:
    return any(a.type.nullable for a in args)


# ---------------------------------------------------------------- numbers


def _add(c: CallContext, a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return _scaled_sum(c, a, b, 1) if c.type.kind is Kind.DECIMAL else a + b


def _subtract(c: CallContext, a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return _scaled_sum(c, a, b, -1) if c.type.kind is Kind.DECIMAL else a - b


def _sum_exact(sign: int) -> Any:
    def build(c: CallContext, a: pl.Series, b: pl.Series) -> pl.Series:
        x, y = c.types
        s = max(x.scale, y.scale)
        left, right, drop = 10 ** (s - x.scale), sign * 10 ** (s - y.scale), 10 ** (s - c.type.scale)
        limit = 10**c.type.precision
        out: list[int | None] = []
        for v, w in zip(a, b, strict=True):
            total = None if v is None or w is None else decimals.round_quotient(v * left + w * right, drop)
            out.append(total if total is not None and abs(total) < limit else None)
        return decimals.series(out, c.type)

    return build


def _scaled_sum(c: CallContext, a: pl.Expr, b: pl.Expr, sign: int) -> pl.Expr:
    x, y = c.types
    s = max(x.scale, y.scale)
    if c.type.precision <= 18:
        left = a * 10 ** (s - x.scale) if s > x.scale else a
        right = b * 10 ** (s - y.scale) if s > y.scale else b
        return left + right if sign > 0 else left - right
    whole = t.decimal(38, s)
    left = decimals.wide(decimals.rescale(a, x, whole))
    right = decimals.wide(decimals.rescale(b, y, whole))
    total = left + right if sign > 0 else left - right
    # Both sides have fewer than 38 digits here, so the sum itself is exact.
    return decimals.fit(total, c.type)


def _multiply(c: CallContext, a: pl.Expr, b: pl.Expr) -> pl.Expr:
    if c.type.kind is not Kind.DECIMAL:
        return a * b
    if c.type.precision <= 18:
        return a * b
    return decimals.wide(a) * decimals.wide(b)


def _multiply_exact(c: CallContext, a: pl.Series, b: pl.Series) -> pl.Series:
    x, y = c.types
    drop = 10 ** (x.scale + y.scale - c.type.scale)
    limit = 10**c.type.precision
    out: list[int | None] = []
    for v, w in zip(a, b, strict=True):
        product = None if v is None or w is None else decimals.round_quotient(v * w, drop)
        out.append(product if product is not None and abs(product) < limit else None)
    return decimals.series(out, c.type)


def _check_divisor(c: CallContext, b: pl.Expr) -> None:
    if not (c.literal and c.literal[1] and c.constants[1]):
        c.fail(b == 0, "division by zero")


def _divide(c: CallContext, a: pl.Expr, b: pl.Expr) -> pl.Expr:
    _check_divisor(c, b)
    if c.type.is_approximate:
        made = decimals.quotient(a, b) if c.literal and c.literal[1] else a / b
        return made if c.type.kind is Kind.DOUBLE else made.cast(pl.Float32)
    quotient = a // b
    # Polars rounds down, SQL toward zero.
    return quotient + ((quotient * b != a) & ((a < 0) != (b < 0))).cast(quotient_type(c.type))


def quotient_type(x: SqlType) -> Any:
    """The dtype of an integer type."""
    return t.polars_type(x)


def _divide_exact(c: CallContext, a: pl.Series, b: pl.Series) -> Any:
    import numpy as np

    x, y = c.types
    up = c.type.scale - x.scale + y.scale
    limit = 10**c.type.precision
    failed = np.zeros(len(a), np.bool_)
    out: list[int | None] = []
    for i, (v, w) in enumerate(zip(a, b, strict=True)):
        found = None
        if v is not None and w is not None:
            if w == 0:
                failed[i] = True
            else:
                found = decimals.round_quotient(v * 10**up, w) if up >= 0 else decimals.round_quotient(v, w * 10**-up)
                found = found if abs(found) < limit else None
        out.append(found)
    return decimals.series(out, c.type), (failed if failed.any() else None)


def _remainder(c: CallContext, a: pl.Expr, b: pl.Expr) -> pl.Expr:
    _check_divisor(c, b)
    if c.type.kind is Kind.DECIMAL:
        x, y = c.types
        s = max(x.scale, y.scale)
        whole = t.decimal(38, s)
        a, b = decimals.wide(decimals.rescale(a, x, whole)), decimals.wide(decimals.rescale(b, y, whole))
        rest = a - decimals.divide_down(a, b) * b
        return decimals.fit(rest, c.type)
    if c.type.is_approximate:
        return a - (a / b).fill_nan(0.0).sign() * (a / b).abs().floor() * b
    rest = a % b
    other_sign = a < 0 if c.literal and c.literal[1] and (c.constants[1] or 0) > 0 else (a < 0) != (b < 0)
    return pl.when((rest != 0) & other_sign).then(rest - b).otherwise(rest)


_ADD = _function("+", _add)
_SUBTRACT = _function("-", _subtract)
_MULTIPLY = _function("*", _multiply, kernel=plans.multiply)
_ADD_EXACT = _function("+", _sum_exact(1), kind="host")
_SUBTRACT_EXACT = _function("-", _sum_exact(-1), kind="host")
_MULTIPLY_EXACT = _function("*", _multiply_exact, kind="host")
_DIVIDE = _function("/", _divide)
_DIVIDE_EXACT = _function("/", _divide_exact, kind="host")
_REMAINDER = _function("%", _remainder)
_NUMERIC = {"+": _ADD, "-": _SUBTRACT, "*": _MULTIPLY, "/": _DIVIDE, "%": _REMAINDER}


def arithmetic(op: str, a: Expr, b: Expr, at: Where | None = None) -> Expr:
    """``a op b`` for ``+ - * / %`` over numbers, moments and intervals.

    Raises:
        ArgumentError: the operator is not defined for these types.
    """
    if a.type.kind is Kind.NULL and b.type.kind is Kind.NULL:
        a, b = cast_to(a, t.INT), cast_to(b, t.INT)
    elif a.type.kind is Kind.NULL:
        a = cast_to(a, b.type)
    elif b.type.kind is Kind.NULL:
        b = cast_to(b, a.type)
    x, y = a.type, b.type
    if x.is_numeric and y.is_numeric:
        return _numeric(op, a, b, at)
    from deras.sql.functions.times import shift_moment

    found = shift_moment(op, a, b, at)
    if found is None:
        hint = "Convert with CAST." if x.is_text or y.is_text else ""
        if op == "+" and x.is_text and y.is_text:
            hint = "Text is joined with || or CONCAT."
        raise ArgumentError(f"'{op}' is not defined for {x.with_nullable(True)} and {y.with_nullable(True)}", hint)
    return found


def first_approximate(types: Sequence[SqlType]) -> SqlType | None:
    """FLOAT and DOUBLE together are of the first one's type in arithmetic and CASE, as in Flink; None for others."""
    kinds = [x for x in types if x.kind is not Kind.NULL]
    if kinds and all(x.is_approximate for x in kinds):
        return kinds[0].with_nullable(any(x.nullable for x in types))
    return None


def _numeric(op: str, a: Expr, b: Expr, at: Where | None) -> Expr:
    nullable = _nullable(a, b)
    if a.type.is_exact and b.type.is_exact and Kind.DECIMAL in (a.type.kind, b.type.kind):
        type_ = decimal_result(op, a.type, b.type).with_nullable(nullable)
        a, b = cast_to(a, as_decimal(a.type)), cast_to(b, as_decimal(b.type))
        # Flink gives NULL where the result does not fit.
        type_ = type_ if type_.precision < 38 and op in "+-*" else type_.with_nullable(True)
        function = _NUMERIC[op]
        if op == "/":
            function = _DIVIDE_EXACT
        elif op == "*" and a.type.precision + b.type.precision > 38:
            function = _MULTIPLY_EXACT
        elif op in "+-" and type_.precision == 38:
            function = _ADD_EXACT if op == "+" else _SUBTRACT_EXACT
        return Call(type_, function, (a, b), at=at)
    common = first_approximate([a.type, b.type]) or common_type([a.type, b.type])
    assert common is not None  # noqa: S101 (for the type checker)
    if op == "%" and common.is_approximate:
        raise ArgumentError("'%' and MOD take exact numbers", "Convert with CAST(… AS DECIMAL(38, 10)).")
    type_ = common.with_nullable(nullable)
    return Call(type_, _NUMERIC[op], (cast_to(a, common), cast_to(b, common)), at=at)


def _negate(c: CallContext, a: pl.Expr) -> pl.Expr:
    if c.type.kind is Kind.DECIMAL and c.type.precision > 18:
        return pl.lit(0, dtype=pl.Int128) - a
    return -a


_NEGATE = _function("-", _negate)


def negative(a: Expr, at: Where | None = None) -> Expr:
    """``-a``."""
    if not (a.type.is_numeric or a.type.is_interval):
        raise ArgumentError(f"'-' is not defined for {a.type.with_nullable(True)}")
    if isinstance(a, Literal) and a.value is not None:
        return Literal(a.type, -a.value, at=at)
    return Call(a.type, _NEGATE, (a,), at=at)


# ---------------------------------------------------------------- comparison


def _compare(op: str) -> Any:
    def build(c: CallContext, a: pl.Expr, b: pl.Expr) -> pl.Expr:
        if c.types[0].is_approximate:
            # IEEE: NaN equals nothing; Polars says that it equals itself.
            nan = a.is_nan() | b.is_nan()
            plain: pl.Expr = _COMPARE[op](a, b)
            return plain & nan.not_() if op != "<>" else plain | nan
        made: pl.Expr = _COMPARE[op](a, b)
        return made

    return build


_COMPARE: dict[str, Any] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_COMPARISONS = {op: _function(op, _compare(op)) for op in _COMPARE}
COMPARISONS = frozenset(_COMPARE)
_DISTINCT = _function("IS DISTINCT FROM", lambda c, a, b: a.ne_missing(b), nullable=False)
_NOT_DISTINCT = _function("IS NOT DISTINCT FROM", lambda c, a, b: a.eq_missing(b), nullable=False)
EQUALS = _COMPARISONS["="]
NOT_DISTINCT = _NOT_DISTINCT


def comparable(a: Expr, b: Expr, what: str) -> tuple[Expr, Expr]:
    """Both sides in the type that they are compared in.

    Raises:
        ArgumentError: they cannot be compared.
    """
    x, y = a.type, b.type
    common = common_type([x, y])
    if common is not None and common.kind is Kind.NULL:
        common = t.INT
    if common is not None and common.is_timestamp and Kind.DATE in (x.kind, y.kind):
        common = None  # Flink does not compare them
    if common is None:
        # A text beside a moment is read as one, as in Flink.
        moment = next((z for z in (x, y) if z.is_timestamp or z.kind in (Kind.DATE, Kind.TIME)), None)
        if moment is not None and (x.is_text or y.is_text):
            common = moment
    if common is None:
        raise ArgumentError(
            f"{what} cannot compare {x.with_nullable(True)} with {y.with_nullable(True)}", "Convert one side with CAST."
        )
    return cast_to(a, common), cast_to(b, common)


def comparison(op: str, a: Expr, b: Expr, at: Where | None = None) -> Expr:
    """``a op b`` for ``= <> < <= > >=`` and IS [NOT] DISTINCT FROM."""
    a, b = comparable(a, b, f"'{op}'")
    if op in _COMPARISONS:
        if a.type.kind in (Kind.ARRAY, Kind.MAP, Kind.MULTISET, Kind.ROW) and op not in ("=", "<>"):
            raise ArgumentError(f"'{op}' is not defined for {a.type}")
        return Call(t.BOOLEAN.with_nullable(_nullable(a, b)), _COMPARISONS[op], (a, b), at=at)
    function = _DISTINCT if op == "IS DISTINCT FROM" else _NOT_DISTINCT
    return Call(t.BOOLEAN.with_nullable(False), function, (a, b), at=at)


# ---------------------------------------------------------------- truth

_NOT = _function("NOT", lambda c, a: a.not_())
_IS: dict[str, Function] = {
    "NULL": _function("IS NULL", lambda c, a: a.is_null(), nullable=False),
    "NOT NULL": _function("IS NOT NULL", lambda c, a: a.is_not_null(), nullable=False),
    "TRUE": _function("IS TRUE", lambda c, a: a.fill_null(value=False), nullable=False),
    "NOT TRUE": _function("IS NOT TRUE", lambda c, a: a.fill_null(value=False).not_(), nullable=False),
    "FALSE": _function("IS FALSE", lambda c, a: a.fill_null(value=True).not_(), nullable=False),
    "NOT FALSE": _function("IS NOT FALSE", lambda c, a: a.fill_null(value=True), nullable=False),
    "UNKNOWN": _function("IS UNKNOWN", lambda c, a: a.is_null(), nullable=False),
    "NOT UNKNOWN": _function("IS NOT UNKNOWN", lambda c, a: a.is_not_null(), nullable=False),
}


def negation(a: Expr, at: Where | None = None) -> Expr:
    """``NOT a``."""
    a = boolean(a, "NOT")
    return Call(a.type, _NOT, (a,), at=at)


def boolean(a: Expr, what: str) -> Expr:
    """The expression as a condition; ``ArgumentError`` if it is none."""
    if a.type.kind is Kind.NULL:
        return cast_to(a, t.BOOLEAN)
    if a.type.kind is not Kind.BOOLEAN:
        raise ArgumentError(f"{what} needs a BOOLEAN, not {a.type.with_nullable(True)}")
    return a


def test(a: Expr, what: str, at: Where | None = None) -> Expr:  # noqa: PT028 (no test)
    """``a IS what`` (``NULL``, ``NOT TRUE`` …)."""
    if "JSON" in what:
        from deras.sql.functions.json import test as json_test

        return json_test(a, what, at)
    if what not in _IS:
        raise ArgumentError(f"IS {what} is not supported yet")
    if "NULL" not in what:
        a = boolean(a, f"IS {what}")
    return Call(t.BOOLEAN.with_nullable(False), _IS[what], (a,), at=at)


# ---------------------------------------------------------------- text


def _concat(c: CallContext, *args: pl.Expr) -> pl.Expr:
    return pl.concat_str(args, ignore_nulls=False)


_CONCAT = _function("||", _concat)


def concatenation(args: Sequence[Expr], at: Where | None = None) -> Expr:
    """``a || b || …``; NULL if one is."""
    kinds = [a for a in args if a.type.kind is not Kind.NULL]
    for a in kinds:
        if not a.type.is_text:
            raise ArgumentError(f"'||' joins text, not {a.type.with_nullable(True)}", "Convert with CAST(… AS STRING).")
    cast = tuple(cast_to(a, t.STRING) if a.type.kind is Kind.NULL else a for a in args)
    fixed = all(a.type.kind is Kind.CHAR for a in cast)
    length = min(t.MAX_LENGTH, sum(a.type.precision for a in cast))
    type_ = SqlType(Kind.CHAR if fixed else Kind.VARCHAR, length)
    return Call(type_.with_nullable(_nullable(*args)), _CONCAT, cast, at=at)


_CLASSES = {
    "alpha": "A-Za-z",
    "digit": "0-9",
    "alnum": "A-Za-z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": " ",
    "whitespace": r"\s",
}
_CLASS = re.compile(rf"(\[:({'|'.join(_CLASSES)}):\])+")


def like_regex(pattern: str, escape: str | None, *, similar: bool = False) -> str:
    """The regular expression of a LIKE (or SIMILAR TO) pattern.

    Raises:
        ValueError: the escape character stands before a letter that needs none.
    """
    out: list[str] = []
    i = 0
    while i < len(pattern):
        ch = pattern[i]
        if escape is not None and ch == escape:
            if i + 1 >= len(pattern) or pattern[i + 1] not in ("%", "_", escape, *("|*+?{}()[]^" if similar else "")):
                raise ValueError(f"invalid escape in pattern '{pattern}'")
            out.append(re.escape(pattern[i + 1]))
            i += 2
            continue
        if similar and ch == "[" and (name := _CLASS.match(pattern, i + 1)):
            out.append("[" + "".join(_CLASSES[c] for c in re.findall(r":(\w+):", name[0])))
            i = name.end()
            continue
        if ch == "%":
            out.append(".*")
        elif ch == "_":
            out.append(".")
        elif similar and ch in "|*+?{}()[]^-.":
            out.append(ch)  # Calcite leaves the dot as it is, too: it matches any character
        else:
            out.append(re.escape(ch))
        i += 1
    return f"(?s)^(?:{''.join(out)})$"


def _like(c: CallContext, a: pl.Expr, b: pl.Expr, *rest: pl.Expr) -> pl.Expr:
    pattern = c.constants[1]
    escape = c.constants[2] if len(c.constants) > 2 else None
    if pattern is None:
        return pl.lit(None, dtype=pl.Boolean)
    plain = pattern.strip("%")
    if escape is None and "%" not in plain and "_" not in plain:
        # The usual patterns need no regular expression.
        head, tail = pattern.startswith("%"), pattern.endswith("%")
        if not head and not tail:
            return a == pl.lit(plain)
        if head and tail:
            return a.str.contains(plain, literal=True) if plain else a.is_not_null() | pl.lit(None, dtype=pl.Boolean)
        if plain:
            return a.str.ends_with(plain) if head else a.str.starts_with(plain)
    return a.str.contains(like_regex(pattern, escape))


def _like_rows(c: CallContext, a: pl.Series, b: pl.Series, *rest: pl.Series) -> pl.Series:
    escapes = rest[0].to_list() if rest else [None] * len(a)
    out = [
        None if v is None or p is None else re.match(like_regex(p, e), v) is not None
        for v, p, e in zip(a, b, escapes, strict=True)
    ]
    return pl.Series("", out, dtype=pl.Boolean)


def _similar(c: CallContext, a: pl.Series, b: pl.Series, *rest: pl.Series) -> pl.Series:
    escapes = rest[0].to_list() if rest else [None] * len(a)
    out = [
        None if v is None or p is None else re.match(like_regex(p, e, similar=True), v) is not None
        for v, p, e in zip(a, b, escapes, strict=True)
    ]
    return pl.Series("", out, dtype=pl.Boolean)


_LIKE = _function("LIKE", _like)
_LIKE_ROWS = _function("LIKE", _like_rows, kind="host")
_SIMILAR = _function("SIMILAR TO", _similar, kind="host")


def like(op: str, a: Expr, pattern: Expr, escape: Expr | None, at: Where | None = None) -> Expr:
    """``a LIKE pattern [ESCAPE e]`` or SIMILAR TO."""
    args = [a, pattern] + ([escape] if escape is not None else [])
    for x in args:
        if not x.type.is_text and x.type.kind is not Kind.NULL:
            raise ArgumentError(
                f"{op} compares text, not {x.type.with_nullable(True)}", "Convert with CAST(… AS STRING)."
            )
    args = [cast_to(x, t.STRING) if x.type.kind is Kind.NULL else x for x in args]
    constant = all(isinstance(x, Literal) for x in args[1:])
    if constant and args[1].value is not None:  # type: ignore[attr-defined]
        mark = args[2].value if len(args) > 2 else None  # type: ignore[attr-defined]
        if mark is not None and len(mark) != 1:
            raise ArgumentError(f"the escape of {op} must be one character, not '{mark}'")
        try:
            like_regex(args[1].value, mark, similar=op == "SIMILAR TO")  # type: ignore[attr-defined]
        except ValueError as e:
            raise ArgumentError(str(e)) from None
    function = _SIMILAR if op == "SIMILAR TO" else _LIKE if constant else _LIKE_ROWS
    return Call(t.BOOLEAN.with_nullable(_nullable(*args)), function, tuple(args), at=at)


# ---------------------------------------------------------------- conditions


def case(conditions: Sequence[Expr], results: Sequence[Expr], at: Where | None = None) -> Expr:
    """CASE: ``results`` has one more entry than ``conditions``.

    Raises:
        ArgumentError: the results have no common type.
    """
    types = [r.type for r in results]
    common = first_approximate(types) or common_type(types)
    if common is None:
        kinds = " and ".join(
            dict.fromkeys(str(r.type.with_nullable(True)) for r in results if r.type.kind is not Kind.NULL)
        )
        raise ArgumentError(f"the results of CASE have no common type: {kinds}", "Convert them with CAST.")
    if common.kind is Kind.NULL:
        raise ArgumentError("CASE has only NULL as result", "Give one of them a type: CAST(NULL AS INT).")
    return Case(common, tuple(conditions), tuple(cast_to(r, common) for r in results), at=at)


@scalar("MOD(number, number)", kind="macro")
def mod(args: Sequence[Expr], at: Where | None) -> Expr:
    """The remainder, with the sign of the first number.

    Example:
        >>> MOD(-7, 3)
        -1
    """
    return arithmetic("%", args[0], args[1], at)
