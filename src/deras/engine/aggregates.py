"""Aggregate functions: what they take, what they give, and the cells that they need."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deras.core.errors import InternalError, PlanError
from deras.core.types import BIGINT, Kind, Layout, SqlType, array, decimal
from deras.engine.kernels import agg as k
from deras.engine.kernels import agg_values as v

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.schema import Schema
    from deras.engine.user_aggregates import AggregateProgram

_VARIANCES = {"VAR_POP": 5, "VAR_SAMP": 6, "VARIANCE": 6, "STDDEV_POP": 7, "STDDEV_SAMP": 8, "STDDEV": 8}
LISTS = ("ARRAY_AGG", "LIST")
"""All values of a group in their order; LIST without NULLs."""
FUNCTIONS = ("COUNT", "SUM", "AVG", "MIN", "MAX", "FIRST_VALUE", "LAST_VALUE", *LISTS, *_VARIANCES)
"""Names that :func:`result_type` knows."""


@dataclass(frozen=True, slots=True)
class AggregateCall:
    """One aggregate of a query. Arguments and filters are columns of the input.

    Args:
        function: its name in capitals.
        arg: position of the argument, or None for ``COUNT(*)``.
        type: of the result.
        distinct: each value once.
        filter: position of a BOOLEAN column: only rows where it is TRUE count.
        input_type: of the argument (default: as in the input's schema).
        more: positions of further arguments, for a program.
        program: computes it, for a function of the user.
    """

    function: str
    arg: int | None
    type: SqlType
    distinct: bool = False
    filter: int | None = None
    input_type: SqlType | None = None
    more: tuple[int, ...] = ()
    program: AggregateProgram | None = None

    @property
    def columns(self) -> tuple[int, ...]:
        """Positions of all arguments."""
        return self.more if self.arg is None else (self.arg, *self.more)

    def __str__(self) -> str:
        arg = ", ".join(f"${a}" for a in self.columns) or ("" if self.program is not None else "*")
        text = f"{self.function}({'DISTINCT ' if self.distinct else ''}{arg})"
        return text if self.filter is None else f"{text} FILTER (WHERE ${self.filter})"


def result_type(function: str, argument: SqlType | None) -> SqlType:
    """The type of an aggregate, as Flink has it.

    Args:
        function: name in capitals.
        argument: type of the argument; None for ``COUNT(*)``.

    Raises:
        PlanError: the function is unknown or does not take the type.
    """
    if function == "COUNT":
        return BIGINT.with_nullable(False)
    if function not in FUNCTIONS:
        raise PlanError(
            f"aggregate function {function} is not supported yet", hint=f"There are {', '.join(FUNCTIONS)}."
        )
    if argument is None:
        raise PlanError(f"{function} needs an argument")
    if function in LISTS:
        return array(argument)
    if argument.layout is Layout.NESTED or argument.kind is Kind.NULL:
        raise PlanError(f"{function} does not take {argument}")
    if function in ("MIN", "MAX", "FIRST_VALUE", "LAST_VALUE"):
        return argument.with_nullable(True)
    if not argument.is_numeric:
        raise PlanError(f"{function} takes a number, not {argument}", hint="Use CAST where the text is a number.")
    if argument.kind is Kind.DECIMAL:
        if function == "SUM":
            return decimal(38, argument.scale)
        return decimal(38, max(6, argument.scale))
    return argument.with_nullable(True)


@dataclass(slots=True)
class Op:
    """Cells of one accumulation.

    Args:
        code: what is kept.
        cell: the first of them.
        arg: position of the argument, or None.
        filter: position of the filter, or None.
        values: the set of values that gates its rows (DISTINCT), or None.
        bit: number of the filter in that set.
        as_float: read decimals as doubles.
    """

    code: int
    cell: int
    arg: int | None
    filter: int | None
    values: int | None
    bit: int = 0
    as_float: bool = False


@dataclass(slots=True)
class ValueSet:
    """The values of one argument by group. Aggregates over it that differ in their filters share it.

    Args:
        arg: its position.
        filters: positions of the filters, None: all rows.
        type: of the argument.
        form: ``NONE``, ``CHAIN`` or ``TREE``.
        cell: the group's cell with the link.
        keep: None for a multiset; else only the best value of a group is kept: 0 least, 1 greatest, 2 first, 3 last.
        nulls: NULL is a value like others.
    """

    arg: int
    filters: list[int | None]
    type: SqlType
    form: int
    cell: int
    keep: int | None = None
    nulls: bool = False

    @property
    def filter(self) -> int | None:
        """The filter of a set that is not shared."""
        return self.filters[0]


@dataclass(slots=True)
class ValueList:
    """All values of one argument by group, in the order in which they came.

    Args:
        arg: its position.
        filter: position of the filter, or None.
        type: of the argument.
        nulls: NULLs are kept.
        values: the set of values that gates its rows (DISTINCT), or None.
        cell: the first of the group's three cells of the list.
        bit: number of the filter in that set.
    """

    arg: int
    filter: int | None
    type: SqlType
    nulls: bool
    values: int | None
    cell: int
    bit: int = 0


@dataclass(slots=True)
class Final:
    """How a result is made of cells.

    ``how``: ``words`` (``kind`` as in ``final_words``, ``up``: bits), ``wide`` (``up``: factor of the scale), ``pair``,
    ``floats``, ``value`` (from the set ``values``; ``kind`` 1: the greatest), ``user`` (program number ``cell``).
    """

    call: AggregateCall
    how: str
    cell: int
    kind: int = 0
    up: int = 1
    values: int = -1
    decimal_scale: int | None = None


class Layouts:
    """The cells of a list of aggregates; equal accumulations are shared.

    Args:
        calls: the aggregates.
        input: schema of the rows.
        updating: rows may go again (weights).
        released: groups go before the operator does, so a group's values must be found again.
        shared: sets of values are shared by aggregates with other filters, and know their group by a number of its own.

    Raises:
        PlanError: an aggregate cannot do that.
    """

    def __init__(
        self,
        calls: Sequence[AggregateCall],
        input: Schema,  # noqa: A002
        *,
        updating: bool,
        released: bool,
        shared: bool,
    ) -> None:
        self.ops: list[Op] = []
        self.sets: list[ValueSet] = []
        self.lists: list[ValueList] = []
        self.finals: list[Final] = []
        self.users: list[AggregateCall] = []
        self.cells = k.HEAD
        self.number = -1
        """The cell with the group's own number; -1 where there is none."""
        self._shared = shared
        self._input = input
        self.updating = updating
        self._released = released
        for call in calls:
            if call.input_type is None and call.arg is not None:
                call = replace(call, input_type=input[call.arg].type)
            self.finals.append(self._plan(call))

    def _op(self, code: int, call: AggregateCall, *, as_float: bool = False) -> Op:
        values, bit = None, 0
        if call.distinct and call.arg is not None:
            values, bit = self._set(call, v.CHAIN if self._released else v.NONE)
        for op in self.ops:
            if (op.code, op.arg, op.filter, op.values) == (code, call.arg, call.filter, values):
                return op
        op = Op(code, self.cells, call.arg, call.filter, values, bit, as_float)
        self.cells += k.WIDTH[code]
        self.ops.append(op)
        return op

    def _set(self, call: AggregateCall, form: int, keep: int | None = None, *, nulls: bool = False) -> tuple[int, int]:
        """The set of a call's argument, and the number of its filter there."""
        if call.arg is None or call.input_type is None:
            raise InternalError(f"{call} has no values")
        if self._shared and self.number < 0:
            self.number = self.cells
            self.cells += 1
        for i, s in enumerate(self.sets):
            if (s.arg, s.keep, s.nulls) != (call.arg, keep, nulls):
                continue
            # A tree holds the values of one filter only, and so does a set of the best.
            alone = form == v.TREE or s.form == v.TREE or keep is not None or not self._shared
            if s.filters == [call.filter] or (not alone and call.filter in s.filters):
                s.form = max(s.form, form)
                return i, s.filters.index(call.filter)
            if not alone and len(s.filters) < v.FILTERS:
                s.filters.append(call.filter)
                return i, len(s.filters) - 1
        self.sets.append(ValueSet(call.arg, [call.filter], call.input_type, form, self.cells, keep, nulls))
        self.cells += 1
        return len(self.sets) - 1, 0

    def _list(self, call: AggregateCall, kind: int, *, nulls: bool = False) -> Final:
        if call.arg is None or call.input_type is None:
            raise InternalError(f"{call} has no values")
        values, bit = None, 0
        if call.distinct:
            if call.input_type.layout is Layout.NESTED:
                raise PlanError(f"{call.function}(DISTINCT …) does not take {call.input_type.with_nullable(True)}")
            values, bit = self._set(call, v.CHAIN if self._released else v.NONE, nulls=nulls)
        for i, s in enumerate(self.lists):
            if (s.arg, s.filter, s.nulls, s.values) == (call.arg, call.filter, nulls, values):
                return Final(call, "list", s.cell, kind, values=i)
        self.lists.append(ValueList(call.arg, call.filter, call.input_type, nulls, values, self.cells, bit))
        self.cells += 3
        return Final(call, "list", self.cells - 3, kind, values=len(self.lists) - 1)

    def _plan(self, call: AggregateCall) -> Final:
        name, t = call.function, call.input_type
        if call.program is not None:
            if self.updating and not call.program.retracts:
                raise PlanError(
                    f"aggregate function {name} has no method retract, and its input takes rows back",
                    hint="Give its class retract(accumulator, …), which undoes accumulate.",
                )
            self.users.append(call)
            return Final(call, "user", len(self.users) - 1)
        result_type(name, t)  # refuses what is unknown
        if name == "COUNT":
            certain = call.arg is None or (t is not None and not t.nullable and not call.distinct)
            if certain and call.filter is None:
                return Final(call, "words", 1)
            return Final(call, "words", self._op(k.COUNT, call).cell)
        if t is None:
            raise InternalError(f"{call} has no argument")
        if name in ("MIN", "MAX"):
            return self._extreme(call, t)
        if name in LISTS:
            return self._list(call, 0, nulls=name == "ARRAY_AGG")
        if name in ("FIRST_VALUE", "LAST_VALUE"):
            last = name == "LAST_VALUE"
            if self.updating:
                return self._list(replace(call, distinct=False), 1 + last)
            if t.layout is Layout.VIEWS:
                return Final(call, "value", -1, values=self._set(call, v.NONE, 3 if last else 2)[0])
            if t.layout is Layout.LIMBS:
                return Final(call, "pair", self._op(k.FIRST_LIMBS + last, call).cell)
            return Final(call, "words", self._op(k.FIRST_WORD + last, call).cell, 3, bits_of(call.type))
        if name in _VARIANCES:
            kind = _VARIANCES[name]
            if t.is_integer:
                return Final(call, "words", self._op(k.SUM_SQUARES_WORD, call).cell, kind, bits_of(call.type))
            exact = t.kind is Kind.DECIMAL
            op = self._op(k.SUM_SQUARES, call, as_float=exact)
            return Final(call, "floats", op.cell, kind, decimal_scale=call.type.scale if exact else None)
        kind = 2 if name == "AVG" else 1
        if t.is_approximate:
            return Final(call, "floats", self._op(k.SUM_FLOAT, call).cell, kind)
        if t.kind is Kind.DECIMAL:
            code = k.SUM_WIDE_LIMBS if t.layout is Layout.LIMBS else k.SUM_WIDE
            up = 10 ** max(0, call.type.scale - t.scale)
            return Final(call, "wide", self._op(code, call).cell, kind, up)
        return Final(call, "words", self._op(k.SUM_WORD, call).cell, kind, bits_of(call.type))

    def _extreme(self, call: AggregateCall, t: SqlType) -> Final:
        greatest = call.function == "MAX"
        if self.updating:
            return Final(call, "value", -1, int(greatest), values=self._set(call, v.TREE)[0])
        if t.layout is Layout.VIEWS:
            return Final(call, "value", -1, values=self._set(call, v.NONE, int(greatest))[0])
        call = replace(call, distinct=False)
        if t.layout is Layout.LIMBS:
            return Final(call, "pair", self._op(k.MIN_LIMBS + greatest, call).cell)
        if t.layout is Layout.FLOATS:
            return Final(call, "words", self._op(k.MIN_FLOAT + greatest, call).cell, 4, 64)
        return Final(call, "words", self._op(k.MIN_WORD + greatest, call).cell, 3, 64)


def bits_of(t: SqlType) -> int:
    """The width that an integer result wraps to."""
    return t.bits if t.is_integer else 64
