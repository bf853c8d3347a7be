"""DEFINE: what is asked of a row alone becomes a column; what asks for other rows becomes operations of the kernels."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from deras.core.errors import PlanError
from deras.core.types import Kind, Layout, SqlType
from deras.engine.kernels import match_conditions as k
from deras.sql.expr import nodes as e
from deras.sql.expr.patterns import RowValue, Total, speaks_of_rows

if TYPE_CHECKING:
    from deras.sql.plan.match import MatchRecognize

_COMPARISONS = {"=": 0, "<>": 1, "<": 2, "<=": 3, ">": 4, ">=": 5}
_MIRRORED = {"IS NOT NULL": k.IS_NULL, "IS NOT TRUE": k.IS_TRUE, "IS NOT FALSE": k.IS_FALSE}
_TESTS = {"IS NULL": k.IS_NULL, "IS TRUE": k.IS_TRUE, "IS FALSE": k.IS_FALSE, "IS UNKNOWN": k.IS_NULL}
_ARITHMETIC = {"+": (k.ADD, k.ADD_FLOAT), "-": (k.SUB, k.SUB_FLOAT), "*": (k.MUL, k.MUL_FLOAT)}
_WRAPS = {Kind.TINYINT: 56, Kind.SMALLINT: 48, Kind.INT: 32}
# Functions whose result is not NULL where an argument is.
_NOT_STRICT = frozenset({"CONCAT_WS", "IS DISTINCT FROM", "IS NOT DISTINCT FROM", "ARRAY", "MAP", "ROW"})
_DEEP = 1000


class Kept:
    """The columns that are kept of every row."""

    def __init__(self) -> None:
        self.exprs: list[e.Expr] = []

    def column(self, x: e.Expr) -> int:
        """The place of an expression over the input."""
        if x not in self.exprs:
            self.exprs.append(x)
        return self.exprs.index(x)


class Conditions:
    """The conditions of all variables, in both parts, and what partial matches must keep for them.

    Attributes:
        rows: per variable the condition on the row alone, over the input, or None.
        codes: per variable the operations of the rest, or None.
        slots: see the kernels.
        cells: words of a partial match.
        row_cells: which of them hold rows.
        texts: constants.
    """

    def __init__(self, kept: Kept, rel: MatchRecognize) -> None:
        self.kept = kept
        self.rows: list[e.Expr | None] = []
        self.codes: list[np.ndarray[tuple[int, ...], np.dtype[np.int64]] | None] = []
        self.cells = 0
        self.row_cells: tuple[int, ...] = ()
        self.texts = bytearray()
        self._slots: list[tuple[int, ...]] = []
        self._values: dict[tuple[int, bool], int] = {}
        self._totals: dict[Total, int] = {}
        rest: list[list[e.Expr]] = []
        for v, condition in enumerate(rel.defines):
            alone: list[e.Expr] = []
            others: list[e.Expr] = []
            for term in e.conjuncts(condition):
                if e.deterministic(term) and (row := _of_row(term, v)) is not None:
                    alone.append(row)
                else:
                    others.append(self._merged(term))
            self.rows.append(e.conjunction(alone))
            rest.append(others)
        self._lay_out([t for terms in rest for t in terms])
        for terms in rest:
            self._ops: list[tuple[int, int, int, int]] = []
            for i, term in enumerate(terms):
                self._emit(term)
                if i:
                    self._add(k.AND)
            self.codes.append(np.array(self._ops, np.int64) if terms else None)

    @property
    def slots(self) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """int64[n, 6]."""
        return np.array(self._slots, np.int64).reshape(-1, 6)

    # ---- layout

    def _merged(self, x: e.Expr) -> e.Expr:
        """With expressions over one row of one variable as values of it: those are computed when the row comes."""

        def change(y: e.Expr) -> e.Expr | None:
            if isinstance(y, (RowValue, Total)):
                return y
            found = [z for z in y.walk() if isinstance(z, (RowValue, Total))]
            first = found[0] if found else None
            if not isinstance(first, RowValue) or not _strict(y) or not e.deterministic(y):
                return None
            if any(not isinstance(z, RowValue) or _where(z) != _where(first) for z in found):
                return None
            arg = e.transform(y, lambda z: z.arg if isinstance(z, RowValue) else None)
            return RowValue(y.type, arg, *_where(first), at=y.at)

        return e.transform(x, change)

    def _lay_out(self, terms: list[e.Expr]) -> None:
        deepest: dict[tuple[int, bool], int] = defaultdict(int)
        totals: list[Total] = []
        for term in terms:
            for x in term.walk():
                if isinstance(x, RowValue):
                    if x.offset > _DEEP:
                        raise PlanError(
                            f"an offset is at most {_DEEP} in DEFINE", span=x.at.span if x.at is not None else None
                        )
                    deepest[x.bits, x.forward] = max(deepest[x.bits, x.forward], x.offset)
                elif isinstance(x, Total) and x not in totals:
                    totals.append(x)
        row_cells: list[int] = []
        for (bits, forward), depth in deepest.items():
            self._values[bits, forward] = self.cells
            self._slots.append((k.FIRST if forward else k.LAST, bits, self.cells, depth, -1, -1))
            row_cells += range(self.cells, self.cells + depth + 1)
            self.cells += depth + (2 if forward else 1)
        for total in totals:
            kind, column = self._total(total)
            self._totals[total] = self.cells
            self._slots.append((kind, total.bits, self.cells, 0, column, -1))
            if kind in (k.MIN_TEXT, k.MAX_TEXT):
                row_cells.append(self.cells)
            self.cells += 1 if kind == k.COUNT else 2
        self.row_cells = tuple(row_cells)

    def _total(self, x: Total) -> tuple[int, int]:
        if x.arg is None:
            return k.COUNT, -1
        t = x.arg.type
        if x.function == "COUNT" and t.layout is not Layout.NESTED:
            return k.COUNT, self.kept.column(x.arg)
        kinds: tuple[int, ...] | None = None
        if t.layout is Layout.FLOATS:
            kinds = (k.SUM_FLOAT, k.MIN_FLOAT, k.MAX_FLOAT)
        elif t.layout is Layout.WORDS:
            kinds = (k.SUM, k.MIN, k.MAX)
        elif t.layout is Layout.VIEWS and x.function in ("MIN", "MAX"):
            kinds = (0, k.MIN_TEXT, k.MAX_TEXT)
        place = {"SUM": 0, "AVG": 0, "MIN": 1, "MAX": 2}.get(x.function)
        if kinds is None or place is None:
            raise _unknown(x, f"{x.function} of {t.with_nullable(True)}")
        return kinds[place], self.kept.column(x.arg)

    # ---- operations

    def _add(self, op: int, a: int = 0, b: int = 0, c: int = -1) -> None:
        self._ops.append((op, a, b, c))

    def _emit(self, x: e.Expr) -> None:
        match x:
            case e.Literal():
                self._literal(x)
            case RowValue():
                self._value(x)
            case Total():
                self._aggregate(x)
            case e.Cast():
                self._emit(x.arg)
                self._convert(x.arg.type, x.type, x)
            case e.Logic():
                self._emit(x.terms[0])
                for term in x.terms[1:]:
                    self._emit(term)
                    self._add(k.AND if x.op == "AND" else k.OR)
            case e.Case():
                self._case(x, 0)
            case e.Call():
                self._call(x)
            case _:
                raise _unknown(x, "this")

    def _literal(self, x: e.Literal) -> None:
        if x.value is None:
            self._add(k.NULL)
        elif x.type.layout is Layout.FLOATS:
            self._add(k.CONST_FLOAT, int(np.float64(x.value).view(np.int64)))
        elif x.type.layout is Layout.WORDS:
            self._add(k.CONST, int(x.value))
        elif x.type.layout is Layout.VIEWS:
            raw = x.value if isinstance(x.value, bytes) else str(x.value).encode()
            self._add(k.CONST_TEXT, len(self.texts), len(raw))
            self.texts += raw
        elif x.type.layout is Layout.LIMBS and -(1 << 62) < x.value < 1 << 62:
            self._add(k.CONST, int(x.value))
        else:
            raise _unknown(x, "this constant")

    def _value(self, x: RowValue) -> None:
        assert x.arg is not None  # noqa: S101 (the binder lets no CLASSIFIER in)
        op = {
            Layout.WORDS: k.LOAD,
            Layout.FLOATS: k.LOAD_FLOAT,
            Layout.VIEWS: k.LOAD_TEXT,
            Layout.LIMBS: k.LOAD_LIMBS,
        }.get(x.arg.type.layout)
        if op is None:
            raise _unknown(x, f"a value of {x.arg.type.with_nullable(True)}")
        self._add(op, self._values[x.bits, x.forward] + x.offset, self.kept.column(x.arg))

    def _aggregate(self, x: Total) -> None:
        cell = self._totals[x]
        if x.function == "COUNT":
            self._add(k.CELL, cell, -1)
            return
        assert x.arg is not None  # noqa: S101 (only COUNT has none)
        t = x.arg.type
        floats = t.layout is Layout.FLOATS
        if x.function == "AVG":
            if floats:
                self._add(k.AVG_FLOAT, cell, cell + 1)
            elif t.kind is Kind.DECIMAL:
                self._add(k.AVG_DECIMAL, cell, cell + 1, 10 ** (x.type.scale - t.scale))
            else:
                self._add(k.AVG, cell, cell + 1)
        elif t.layout is Layout.VIEWS:
            self._add(k.CELL_TEXT, cell, cell + 1, self.kept.column(x.arg))
            return
        else:
            self._add(k.CELL_FLOAT if floats else k.CELL, cell, cell + 1)
        self._fit(x.type)

    def _fit(self, t: SqlType) -> None:
        """Integers wrap, FLOAT rounds."""
        if t.kind in _WRAPS:
            self._add(k.WRAP, _WRAPS[t.kind])
        elif t.kind is Kind.FLOAT:
            self._add(k.SINGLE)

    def _convert(self, given: SqlType, wanted: SqlType, x: e.Expr) -> None:
        if given.same(wanted) or (given.is_text and wanted.is_text and _wider(wanted, given)):
            return
        if given.is_approximate and wanted.is_approximate:
            self._fit(wanted)
        elif given.is_exact and wanted.is_approximate:
            self._add(k.TO_FLOAT, given.scale)
            self._fit(wanted)
        elif given.is_exact and wanted.is_exact:
            self._scale(wanted.scale - given.scale, down_is_cut=wanted.kind is not Kind.DECIMAL)
            self._fit(wanted)
        elif given.kind is wanted.kind and given.is_timestamp:
            if given.words_per_ms != wanted.words_per_ms:
                if wanted.words_per_ms < given.words_per_ms:
                    raise _unknown(x, f"CAST to {wanted}")
                self._add(k.SCALE_UP, wanted.words_per_ms // given.words_per_ms)
        elif given.is_interval and given.kind is wanted.kind:
            return
        else:
            raise _unknown(x, f"CAST of {given.with_nullable(True)} to {wanted.with_nullable(True)}")

    def _scale(self, by: int, *, down_is_cut: bool = False) -> None:
        if by > 0:
            self._add(k.SCALE_UP, 10**by)
        elif by < 0 and down_is_cut:
            self._add(k.CONST, 10**-by)
            self._add(k.DIV)
        elif by < 0:
            self._add(k.SCALE_DOWN, 10**-by)

    def _case(self, x: e.Case, i: int) -> None:
        if i == len(x.conditions):
            self._emit(x.results[-1])
            return
        self._emit(x.conditions[i])
        self._emit(x.results[i])
        self._case(x, i + 1)
        self._add(k.SELECT)

    def _call(self, x: e.Call) -> None:
        name, args = x.function.name, x.args
        if name in _COMPARISONS and len(args) == 2:
            self._compare(x)
        elif name in _TESTS or name in _MIRRORED:
            self._emit(args[0])
            self._add(_TESTS.get(name, _MIRRORED.get(name, 0)))
            if name in _MIRRORED:
                self._add(k.NOT)
        elif name == "NOT":
            self._emit(args[0])
            self._add(k.NOT)
        elif name in ("-", "ABS") and len(args) == 1 and args[0].type.layout in (Layout.WORDS, Layout.FLOATS):
            self._emit(args[0])
            floats = args[0].type.layout is Layout.FLOATS
            if name == "-":
                self._add(k.NEG_FLOAT if floats else k.NEG)
            else:
                self._add(k.ABS_FLOAT if floats else k.ABS)
            self._fit(x.type)
        elif name in ("+", "-", "*", "/", "%") and len(args) == 2 and all(a.type.is_numeric for a in args):
            self._arithmetic(x)
        else:
            raise _unknown(x, name)

    def _compare(self, x: e.Call) -> None:
        a, b = x.args
        code = _COMPARISONS[x.function.name]
        kinds = {a.type.layout, b.type.layout}
        if kinds == {Layout.VIEWS}:
            self._emit(a)
            self._emit(b)
            self._add(k.COMPARE_TEXT, code)
        elif a.type.is_approximate or b.type.is_approximate:
            self._number(a)
            self._number(b)
            self._add(k.COMPARE_FLOAT, code)
        elif a.type.is_exact and b.type.is_exact:
            scale = max(a.type.scale, b.type.scale)
            self._exact(a, scale)
            self._exact(b, scale)
            self._add(k.COMPARE, code)
        elif kinds == {Layout.WORDS} and a.type.kind is b.type.kind:
            self._emit(a)
            self._emit(b)
            if a.type.is_timestamp and a.type.words_per_ms != b.type.words_per_ms:
                raise _unknown(x, "comparing times of different precision")
            self._add(k.COMPARE, code)
        else:
            raise _unknown(x, f"comparing {a.type.with_nullable(True)} with {b.type.with_nullable(True)}")

    def _number(self, x: e.Expr) -> None:
        """A value as a float."""
        self._emit(x)
        if x.type.is_exact:
            self._add(k.TO_FLOAT, x.type.scale)

    def _exact(self, x: e.Expr, scale: int) -> None:
        self._emit(x)
        self._scale(scale - x.type.scale)

    def _arithmetic(self, x: e.Call) -> None:
        a, b = x.args
        t, name = x.type, x.function.name
        if t.is_approximate:
            self._number(a)
            self._number(b)
            floats = {"/": k.DIV_FLOAT, "%": k.MOD_FLOAT}
            self._add(floats[name] if name in floats else _ARITHMETIC[name][1])
        elif name in ("+", "-") or name == "%":
            scale = max(a.type.scale, b.type.scale)
            self._exact(a, scale)
            self._exact(b, scale)
            self._add(k.MOD if name == "%" else _ARITHMETIC[name][0])
            self._scale(t.scale - scale)
        elif name == "*":
            self._emit(a)
            self._emit(b)
            self._add(k.MUL, int(t.kind is Kind.DECIMAL))
            self._scale(t.scale - a.type.scale - b.type.scale)
        elif t.kind is Kind.DECIMAL:
            up = t.scale - a.type.scale + b.type.scale
            self._emit(a)
            self._exact(b, b.type.scale + max(0, -up))
            self._add(k.DIV_DECIMAL, 10 ** max(0, up))
        else:
            self._emit(a)
            self._emit(b)
            self._add(k.DIV)
        self._fit(t)


def _where(x: RowValue) -> tuple[int, int, bool]:
    return x.bits, x.offset, x.forward


def _of_row(x: e.Expr, variable: int) -> e.Expr | None:
    """A condition over the input's columns, if it speaks of the row itself only."""
    if any(isinstance(y, Total) or (isinstance(y, RowValue) and not _current(y, variable)) for y in x.walk()):
        return None
    return e.transform(x, lambda y: y.arg if isinstance(y, RowValue) else None)


def _current(x: RowValue, variable: int) -> bool:
    return bool(x.bits >> variable & 1) and not x.offset and not x.forward


def _strict(x: e.Expr) -> bool:
    """Whether it is NULL wherever a value of a row in it is."""
    if isinstance(x, (RowValue, e.InputRef)):
        return True
    if isinstance(x, e.Cast):
        return _strict(x.arg)
    if isinstance(x, e.Literal):
        return x.value is not None
    if isinstance(x, e.Call):
        if x.function.nullable is not None or x.function.name in _NOT_STRICT:
            return False
        return all(_strict(a) for a in x.args)
    return not speaks_of_rows(x)


def _wider(a: SqlType, b: SqlType) -> bool:
    return a.kind is Kind.VARCHAR and (a.precision >= b.precision)


def _unknown(x: e.Expr, what: str) -> PlanError:
    return PlanError(
        f"{what} between rows of a match is not supported yet in DEFINE",
        span=x.at.span if x.at is not None else None,
        detail="Conditions over several rows know arithmetic, comparisons, ABS, CASE, logic and aggregates.",
        hint="Put what belongs to one row into a function of its own, or compare: B.ts < A.ts + INTERVAL '5' SECOND.",
    )
