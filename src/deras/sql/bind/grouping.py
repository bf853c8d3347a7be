"""GROUP BY: its keys, and the sets of GROUPING SETS, CUBE and ROLLUP."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deras.core.errors import BindError, PlanError
from deras.core.schema import Field, Schema
from deras.core.types import BIGINT
from deras.sql.expr import nodes as e
from deras.sql.functions.aggregates import GROUPING
from deras.sql.plan import nodes as p
from deras.sql.syntax import ast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Keys = list[e.Expr]

MAX_SETS = 128
"""Each set is an aggregate of its own."""
_WORD = BIGINT.with_nullable(False)


@dataclass(slots=True)
class Grouping:
    """What a GROUP BY groups by.

    Args:
        keys: all of them, each once.
        sets: of positions in ``keys``; one set where there are no GROUPING SETS.
    """

    keys: list[e.Expr]
    sets: list[tuple[int, ...]]

    def number(self, ref: e.AggregateRef, one: tuple[int, ...]) -> int:
        """The value of GROUPING(…) in a set: a bit for each argument, 1 where the set is without it.

        Raises:
            BindError: an argument is not grouped.
        """
        found = 0
        for x in ref.args:
            if x not in self.keys:
                raise BindError(
                    f"{ref.function} takes expressions of GROUP BY",
                    span=x.at.span if x.at is not None else ref.at.span if ref.at is not None else None,
                )
            found = 2 * found + (self.keys.index(x) not in one)
        return found


def is_grouping(x: e.Expr) -> bool:
    """Whether it is GROUPING(…), GROUPING_ID(…) or GROUP_ID()."""
    return isinstance(x, e.AggregateRef) and x.function in GROUPING


def grouping(group: ast.GroupBy | None, keys_of: Callable[[ast.Expr], Keys]) -> Grouping:
    """The sets of a GROUP BY.

    Args:
        group: the clause.
        keys_of: binds an item; a legacy window is several keys.

    Raises:
        PlanError: more sets than ``MAX_SETS``.
    """
    items = group.items if group is not None else ()
    many = 1
    parts: list[list[Keys]] = []
    for item in items:
        parts.append(_expand(item, keys_of))
        many *= len(parts[-1])
        if many > MAX_SETS:
            raise PlanError(
                f"GROUP BY makes more than {MAX_SETS} grouping sets",
                span=item.span,
                hint="List those that are needed with GROUPING SETS.",
            )
    every: Keys = []
    sets: list[tuple[int, ...]] = []
    for chosen in itertools.product(*parts):
        one: list[int] = []
        for key in itertools.chain.from_iterable(chosen):
            if key not in every:
                every.append(key)
            if (i := every.index(key)) not in one:
                one.append(i)
        if not (group is not None and group.distinct and tuple(one) in sets):
            sets.append(tuple(one))
    return Grouping(every, sets)


def _expand(item: ast.Expr, keys_of: Callable[[ast.Expr], Keys]) -> list[Keys]:
    if isinstance(item, ast.GroupingElement):
        if item.kind == "GROUPING SETS":
            return [one for i in item.items for one in _expand(i, keys_of)]
        parts = [_flat(i, keys_of) for i in item.items]
        if item.kind == "ROLLUP":
            return [_joined(parts[:n]) for n in range(len(parts), -1, -1)]
        if len(parts) > 10:
            raise PlanError("CUBE of more than ten expressions makes too many grouping sets", span=item.span)
        choices = itertools.product((True, False), repeat=len(parts))
        return [_joined(list(itertools.compress(parts, chosen))) for chosen in choices]
    return [_flat(item, keys_of)]


def _flat(item: ast.Expr, keys_of: Callable[[ast.Expr], Keys]) -> Keys:
    if isinstance(item, ast.GroupingElement):
        raise PlanError(f"{item.kind} cannot stand here", span=item.span, hint="Nest it in GROUPING SETS only.")
    if isinstance(item, ast.GroupingSet) or (isinstance(item, ast.RowValue) and not item.explicit):
        return _joined([keys_of(i) for i in item.items])
    return keys_of(item)


def _joined(parts: Sequence[Keys]) -> Keys:
    return list(itertools.chain.from_iterable(parts))


def kept_times(fields: Sequence[Field], keys: Sequence[e.Expr], bounds: frozenset[int]) -> list[Field]:
    """The keys as columns of the result: a time attribute is one only in the result of a window.

    Args:
        fields: of the keys.
        keys: what is grouped by.
        bounds: columns of the input that are bounds of a window.
    """
    windowed = [isinstance(x, e.InputRef) and x.index in bounds for x in keys]
    final = sum(windowed) > 1
    return [
        f if final and of_window and f.time == "rowtime" else f.without_time()
        for f, of_window in zip(fields, windowed, strict=True)
    ]


def aggregate_sets(
    source: p.Rel,
    shown: Sequence[Field],
    found: Grouping,
    calls: tuple[p.AggCall, ...],
    numbers: Sequence[e.AggregateRef],
) -> p.Rel:
    """All keys (NULL where a set is without), calls and GROUPING numbers: each set aggregated for itself, then a union.

    So no row is multiplied, and no set keeps keys that it is without.

    Args:
        source: the keys in order, then what the calls read.
        shown: the keys as columns of the result.
        found: keys and sets.
        calls: the aggregates.
        numbers: calls of GROUPING.
    """
    n = len(found.keys)
    certain = [all(i in one for one in found.sets) for i in range(n)]
    fields = [
        f if sure else replace(f.without_time(), type=f.type.with_nullable(True))
        for f, sure in zip(shown, certain, strict=True)
    ]
    fields += [Field(f"${n + i}", c.type) for i, c in enumerate(calls)]
    fields += [Field(f"${n + len(calls) + i}", _WORD) for i in range(len(numbers))]
    schema = Schema(tuple(fields))
    parts: list[p.Rel] = []
    for one in found.sets:
        kept = [replace(fields[i], type=source.schema[i].type) for i in one]
        own = Schema((*kept, *fields[n : n + len(calls)]), tuple(range(len(one))))
        made = p.Aggregate(own, source, one, calls)
        exprs: list[e.Expr] = [
            e.InputRef(own[one.index(i)].type, one.index(i)) if i in one else e.Literal(fields[i].type, None)
            for i in range(n)
        ]
        exprs += [e.InputRef(c.type, len(one) + i) for i, c in enumerate(calls)]
        exprs += [e.Literal(_WORD, found.number(r, one)) for r in numbers]
        parts.append(p.Calc(schema, made, tuple(exprs)))
    return p.Union(schema, tuple(parts)) if len(parts) > 1 else parts[0]
