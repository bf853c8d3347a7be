"""Expressions that NumPy and kernels answer on the columns as they are: no frame, no call of Polars.

An expression is made into a list of operations, equal subtrees once. Each gives values and where they are known: of a
BOOLEAN a mask that is True where it is TRUE. What is not known here (:func:`direct` gives None) the general compiler
does, which means the same. Nothing here can fail a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deras.core.column import Column
from deras.core.types import MAX_LENGTH, Kind, Layout, SqlType
from deras.sql.expr import nodes as e
from deras.sql.expr.analysis import bound
from deras.sql.expr.comparing import COMPARE, FLIPPED, LEAST, MOST, alike, whole_factor
from deras.sql.expr.operations import (
    ARITHMETIC,
    READ,
    Mask,
    Part,
    all_of,
    any_of,
    both_known,
    choose_values,
    choose_views,
    constant_views,
    known_of,
    negated,
    null,
    quiet,
    quotient,
    read_truth,
    remainder,
    truth,
    truth_test,
    wrapped,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_WRAPS: dict[Kind, Any] = {Kind.TINYINT: np.int8, Kind.SMALLINT: np.int16, Kind.INT: np.int32}
_PARTS = {"HOUR": (3600, 24), "MINUTE": (60, 60), "SECOND": (1, 60)}
_IS = {"TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "UNKNOWN", "NOT UNKNOWN"}


class _Other(Exception):
    """Not of these forms."""


class Direct:
    """An expression as operations.

    Args:
        type: of the result.
        leaves: what the operations read: columns, one for each argument of the call.
        operations: functions of the columns and of the results at the places; the last gives the result.
    """

    def __init__(
        self,
        type_: SqlType,
        leaves: list[e.Expr],
        operations: list[tuple[Callable[..., Part], tuple[int, ...]]],
    ) -> None:
        self.type = type_
        self.leaves = leaves
        self._operations = operations

    def _run(self, columns: Sequence[Column]) -> Part:
        found: list[Part] = []
        for do, places in self._operations:
            found.append(do(columns, *[found[k] for k in places]))
        return found[-1]

    def __call__(self, *columns: Column) -> Column:
        """The values for columns of at least one row."""
        values, known = self._run(columns)
        valid = None if known is None or known.all() else known.view(np.uint8)
        match self.type.layout:
            case Layout.VIEWS:
                return Column.of_views(self.type, values, valid)
            case Layout.FLOATS:
                return Column.of_floats(self.type, values, valid)
            case Layout.LIMBS:
                return Column.of_limbs(self.type, values, valid)
            case _:
                words = values.astype(np.int64) if values.dtype == np.bool_ else values
                return Column.of_words(self.type, words, valid)

    def true(self, columns: Sequence[Column]) -> Mask:
        """Where a condition is TRUE."""
        return self._run(columns)[0]  # type: ignore[no-any-return]


def direct(x: e.Expr, zone: str = "UTC") -> Direct | None:
    """The expression as operations, or None if the general compiler must do it (or nothing is to be done)."""
    builder = _Builder(zone)
    try:
        builder.place(x)
    except (_Other, TypeError):  # a constant that cannot be hashed
        return None
    return Direct(x.type, list(builder.leaves), builder.operations) if builder.computes else None


class _Builder:
    def __init__(self, zone: str) -> None:
        self.zone = zone
        self.leaves: dict[e.Expr, int] = {}
        self.operations: list[tuple[Callable[..., Part], tuple[int, ...]]] = []
        self.computes = False
        self._places: dict[e.Expr, int] = {}

    def place(self, x: e.Expr) -> int:
        """The place of an expression's result."""
        found = self._places.get(x)
        if found is None:
            found = self._places[x] = self._make(x)
        return found

    def _add(self, do: Callable[..., Part], *places: int) -> int:
        self.operations.append((do, places))
        self.computes = True
        return len(self.operations) - 1

    def _leaf(self, x: e.Expr) -> int:
        return self.leaves.setdefault(x, len(self.leaves))

    def _load(self, x: e.Expr) -> int:
        i, layout = self._leaf(x), x.type.layout
        if layout is Layout.NESTED:
            raise _Other
        read = read_truth if x.type.kind is Kind.BOOLEAN else READ[layout]
        self.operations.append((lambda columns: read(columns[i]), ()))
        return len(self.operations) - 1

    def _make(self, x: e.Expr) -> int:
        match x:
            case e.InputRef():
                return self._load(x)
            case e.Logic():
                if any(isinstance(y, e.Literal) for y in x.terms):
                    raise _Other
                return self._add(all_of if x.op == "AND" else any_of, *map(self.place, x.terms))
            case e.Case():
                return self._case(x)
            case e.Cast():
                return self._cast(x)
            case e.Call() if x.args and not all(isinstance(a, e.Literal) for a in x.args):
                return self._call(x)
        raise _Other

    def _operand(self, x: e.Expr) -> int:
        """The place of an operand: a constant, too."""
        if not isinstance(x, e.Literal):
            return self.place(x)
        value: Any
        if x.type.layout is Layout.WORDS and type(x.value) is int and LEAST <= x.value <= MOST:
            value = np.int64(x.value)
        elif x.type.kind is Kind.DOUBLE and isinstance(x.value, (int, float)):
            value = np.float64(x.value)
        else:
            raise _Other
        self.operations.append((lambda _: (value, None), ()))
        return len(self.operations) - 1

    # ---- calls

    def _call(self, x: e.Call) -> int:
        name, args = x.function.name, x.args
        if x.function.family == "operators":
            if name in COMPARE and len(args) == 2:
                return self._compare(name, *args)
            if name in ("+", "-", "*", "/", "%") and len(args) == 2:
                return self._arithmetic(x)
            if name == "NOT":
                return self._add(negated, self.place(args[0]))
            if name in ("IS NULL", "IS NOT NULL"):
                return self._is_null(args[0], wanted=name == "IS NULL")
            if name.removeprefix("IS ") in _IS:
                what = name.removeprefix("IS ")
                return self._add(lambda _, a: truth_test(what, a), self.place(args[0]))
            if name == "LIKE":
                return self._like(x)
        elif x.function.family == "times":
            what = args[0].value if name == "EXTRACT" and isinstance(args[0], e.Literal) else name
            if what in _PARTS:
                return self._part(what, args[-1])
        elif x.function.family == "strings" and args[0].type.is_text:
            if name in ("CHAR_LENGTH", "CHARACTER_LENGTH", "LENGTH"):
                from deras.sql.kernels.parts import characters

                return self._add(lambda _, a: (characters(a[0]), a[1]), self.place(args[0]))
            if name in ("SUBSTRING", "SUBSTR"):
                return self._substring(*args)
        if x.function.kernel is not None:
            return self._load(x)
        raise _Other

    def _compare(self, op: str, a: e.Expr, b: e.Expr) -> int:
        if isinstance(a, e.Literal):
            a, b, op = b, a, FLIPPED[op]
        if a.type.is_text and b.type.is_text and op in ("=", "<>"):
            return self._same_text(op, a, b)
        if isinstance(b, e.Literal) and type(b.value) is int:
            made = whole_factor(op, a, b.value)
            if made is not None:
                op, a, limit = made
                compare = COMPARE[op]
                return self._add(lambda _, x: truth(compare(x[0], limit), x[1]), self.place(a))
        if not alike(a.type, b.type) and not a.type.kind is b.type.kind is Kind.DOUBLE:
            raise _Other
        compare = COMPARE[op]
        return self._add(
            lambda _, x, y: truth(compare(x[0], y[0]), both_known(x[1], y[1])), self.place(a), self._operand(b)
        )

    def _same_text(self, op: str, a: e.Expr, b: e.Expr) -> int:
        if not isinstance(b, e.Literal) or not isinstance(b.value, str):
            raise _Other
        found = self._matching("equal", a, b.value.encode())
        return found if op == "=" else self._add(negated, found)

    def _matching(self, how: str, a: e.Expr, text: bytes) -> int:
        from deras.sql.kernels.matching import matches

        match = matches(how, text)
        return self._add(lambda _, x: truth(match(x[0]), x[1]), self.place(a))

    def _like(self, x: e.Call) -> int:
        a, pattern = x.args[0], x.args[1]
        if len(x.args) > 2 or not isinstance(pattern, e.Literal) or pattern.value is None:
            raise _Other
        plain = pattern.value.strip("%")
        if not plain or "%" in plain or "_" in plain:
            raise _Other
        head, tail = pattern.value.startswith("%"), pattern.value.endswith("%")
        how = ("contains" if tail else "suffix") if head else ("prefix" if tail else "equal")
        return self._matching(how, a, plain.encode())

    def _substring(self, a: e.Expr, *place: e.Expr) -> int:
        numbers = [p.value for p in place if isinstance(p, e.Literal) and type(p.value) is int]
        # A place from the end, and a negative length, which gives NULL, are left.
        if len(numbers) != len(place) or not all(0 <= n < 1 << 31 for n in numbers):
            raise _Other
        from deras.sql.kernels.parts import part

        cut = part(max(0, numbers[0] - 1), numbers[1] if len(numbers) > 1 else None)
        return self._add(lambda _, x: (cut(x[0]), x[1]), self.place(a))

    def _is_null(self, x: e.Expr, *, wanted: bool) -> int:
        if isinstance(x, e.InputRef):
            i = self._leaf(x)
            return self._add(lambda columns: null(known_of(columns[i]), len(columns[i]), wanted=wanted))
        return self._add(
            lambda columns, a: null(a[1], len(columns[0]), wanted=wanted),
            self.place(x),
        )

    def _arithmetic(self, x: e.Call) -> int:
        op, (a, b), type_ = x.function.name, x.args, x.type
        if type_.kind is Kind.DOUBLE and a.type.kind is b.type.kind is Kind.DOUBLE and op in ("+", "-", "*"):
            do = ARITHMETIC[op]
            return self._add(
                lambda _, x, y: (quiet(do, x[0], y[0]), both_known(x[1], y[1])), self._operand(a), self._operand(b)
            )
        if type_.is_integer and a.type.kind is b.type.kind is type_.kind:
            if op in ("/", "%"):
                if not isinstance(b, e.Literal) or type(b.value) is not int or not 1 <= b.value <= MOST:
                    raise _Other
                divisor, divide = np.int64(b.value), quotient if op == "/" else remainder
                return self._add(lambda _, x: (divide(x[0], divisor), x[1]), self.place(a))
            do, wrap = ARITHMETIC[op], _WRAPS.get(type_.kind)
            return self._add(
                lambda _, x, y: (wrapped(do(x[0], y[0]), wrap), both_known(x[1], y[1])),
                self._operand(a),
                self._operand(b),
            )
        exact = type_.kind is a.type.kind is b.type.kind is Kind.DECIMAL and type_.precision <= 18
        if exact and op in ("+", "-", "*"):
            do = ARITHMETIC[op]
            scale = max(a.type.scale, b.type.scale)
            if (scale if op != "*" else a.type.scale + b.type.scale) != type_.scale:
                raise _Other
            up, more = (1, 1) if op == "*" else (10 ** (scale - a.type.scale), 10 ** (scale - b.type.scale))
            return self._add(
                lambda _, x, y: (do(x[0] * np.int64(up), y[0] * np.int64(more)), both_known(x[1], y[1])),
                self._operand(a),
                self._operand(b),
            )
        raise _Other

    def _part(self, unit: str, x: e.Expr) -> int:
        t = x.type
        if not t.is_timestamp or (t.kind is Kind.TIMESTAMP_LTZ and self.zone != "UTC"):
            raise _Other
        seconds, of = _PARTS[unit]
        words, many = np.int64(seconds * t.words_per_ms * 1000), np.int64(of)

        def part(_: Any, a: Part) -> Part:
            whole = a[0] // words
            return whole - (whole // many) * many, a[1]

        return self._add(part, self.place(x))

    def _cast(self, x: e.Cast) -> int:
        s, d = x.arg.type, x.type
        if isinstance(x.arg, e.Literal):
            raise _Other
        if s.is_integer and d.is_integer:
            wrap = _WRAPS.get(d.kind) if d.bits < s.bits else None
            place = self.place(x.arg)
            return place if wrap is None else self._add(lambda _, a: (wrapped(a[0], wrap), a[1]), place)
        if s.is_integer and d.kind is Kind.DOUBLE:
            return self._add(lambda _, a: (a[0].astype(np.float64), a[1]), self.place(x.arg))
        if s.is_text and d.kind is Kind.VARCHAR and (d.precision == MAX_LENGTH or s.precision <= d.precision):
            return self.place(x.arg)
        if d.kind is Kind.DECIMAL and d.precision <= 18 and (s.is_integer or (s.kind is d.kind and s.scale <= d.scale)):
            most, up = bound(x.arg), 10 ** (d.scale - (0 if s.is_integer else s.scale))
            if most is not None and s.layout is Layout.WORDS and most * up < 10**d.precision:
                place = self.place(x.arg)
                return place if up == 1 else self._add(lambda _, a: (a[0] * np.int64(up), a[1]), place)
        raise _Other

    # ---- CASE

    def _case(self, x: e.Case) -> int:
        layout = x.type.layout
        if layout is Layout.NESTED or x.type.kind is Kind.NULL:
            raise _Other
        conditions = [self.place(c) for c in x.conditions if not isinstance(c, e.Literal)]
        if len(conditions) != len(x.conditions):
            raise _Other
        places: list[int] = []
        constants: list[tuple[bool, Any]] = []
        for r in x.results:
            # A value of its own type would need a cast here that the binder has left to the dtype.
            if not isinstance(r, e.Literal) and not _alike_results(r.type, x.type):
                raise _Other
            if isinstance(r, e.Literal):
                constants.append((True, _constant(r.value, x.type)))
            else:
                constants.append((False, len(places)))
                places.append(self.place(r))
        many, flags = len(conditions), [c for c, _ in constants]
        heads = constant_views([v if c else None for c, v in constants]) if layout is Layout.VIEWS else None

        def run(columns: Sequence[Column], *given: Part) -> Part:
            masks, computed = [g[0] for g in given[:many]], given[many:]
            results = [(v if constant else computed[v]) for constant, v in constants]
            if heads is not None:
                return choose_views(len(columns[0]), masks, flags, results, heads)
            return choose_values(len(columns[0]), masks, flags, results, x.type)

        return self._add(run, *conditions, *places)


def _alike_results(a: SqlType, b: SqlType) -> bool:
    if b.layout is Layout.VIEWS:
        return a.is_text == b.is_text and a.is_bytes == b.is_bytes
    return a.kind is b.kind and a.layout is b.layout and a.scale == b.scale and a.nanoseconds == b.nanoseconds


def _constant(value: Any, t: SqlType) -> Any:
    """A constant result of CASE; None: NULL."""
    if value is None:
        return None
    match t.layout:
        case Layout.VIEWS:
            if isinstance(value, str):
                return value.encode()
            if isinstance(value, bytes):
                return value
        case Layout.WORDS:
            if t.kind is Kind.BOOLEAN:
                return np.bool_(value)
            if type(value) is int and LEAST <= value <= MOST:
                return np.int64(value)
        case Layout.FLOATS:
            if t.kind is Kind.DOUBLE and isinstance(value, (int, float)):
                return np.float64(value)
    raise _Other


def condition(x: e.Expr, zone: str = "UTC") -> Callable[[Sequence[Column]], Mask] | None:
    """Where a condition over columns is TRUE, from all columns; None if it is not made of these forms alone."""
    made = direct(x, zone)
    if made is None or x.type.kind is not Kind.BOOLEAN or not all(isinstance(leaf, e.InputRef) for leaf in made.leaves):
        return None
    places = [leaf.index for leaf in made.leaves if isinstance(leaf, e.InputRef)]
    return lambda columns: made.true([columns[i] for i in places])
