"""Filters are told to the sources that can leave rows out for them; the plan keeps them.

A row that a source leaves out must not be missed by anybody, so only these filters are told:

- Those right above their table, the whole of which can neither fail nor change: a row that fails is put in quarantine,
  also where another part of the filter would remove it.
- Of tables without WATERMARK: a row that is left out would have moved the watermark, and been rejected where its
  rowtime is NULL.
- Of tables that only insert.

A table that a plan reads several times is one source: it is told what holds for all of its readers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deras.core.predicates import FLIPPED, Clause, Comparison, Filters, comparable, either
from deras.core.types import Kind
from deras.sql.bind.tables import source_filterable
from deras.sql.expr import nodes as e
from deras.sql.expr.analysis import movable
from deras.sql.plan import nodes as p

if TYPE_CHECKING:
    from deras.core.types import SqlType


def source_filters(rel: p.Rel) -> p.Rel:
    """The plan, with what its tables are told of the filters above them."""
    found: dict[str, Filters] = {}
    _collect(rel, found)
    found = {text: filters for text, filters in found.items() if filters}
    return _told(rel, found) if found else rel


def _collect(rel: p.Rel, found: dict[str, Filters]) -> None:
    above: p.Calc | None = None
    while True:
        if isinstance(rel, p.Scan):
            text = rel.normal()
            own = filters_of(rel, None if above is None else above.predicate) if found.get(text) != () else ()
            found[text] = either(found[text], own) if text in found else own
            return
        inputs = rel.inputs()
        if len(inputs) != 1:
            for i in inputs:
                _collect(i, found)
            return
        above = rel if isinstance(rel, p.Calc) else None
        rel = inputs[0]


def _told(rel: p.Rel, found: dict[str, Filters]) -> p.Rel:
    if isinstance(rel, p.Scan):
        filters = found.get(rel.normal())
        return replace(rel, filters=filters) if filters else rel
    inputs = rel.inputs()
    new = tuple(_told(i, found) for i in inputs)
    return rel if all(a is b for a, b in zip(new, inputs, strict=True)) else rel.rebuild(new)


def filters_of(scan: p.Scan, predicate: e.Expr | None) -> Filters:
    """What a table is told of the filter right above it.

    Args:
        scan: the table.
        predicate: over its columns; None: there is no filter.
    """
    if predicate is None or scan.changes != "insert":
        return ()
    if scan.watermark is not None or scan.rowtime is not None or scan.computed is not None:
        return ()
    columns = source_filterable(dict(scan.options), scan.schema)
    if not columns or not movable(predicate):
        return ()
    clauses = [_clause(term, columns) for term in e.conjuncts(predicate)]
    return tuple(c for c in clauses if c is not None)


def _clause(x: e.Expr, columns: frozenset[int]) -> Clause | None:
    if isinstance(x, e.Logic):
        if x.op != "OR":
            return None
        parts = [_clause(t, columns) for t in x.terms]
        return None if None in parts else tuple(c for part in parts for c in part or ())
    if isinstance(x, e.InputRef) and x.type.kind is Kind.BOOLEAN:
        return (Comparison(x.index, "=", 1),) if x.index in columns else None
    if not isinstance(x, e.Call):
        return None
    name, args = x.function.name, x.args
    if name in ("IS NULL", "IS NOT NULL") and len(args) == 1:
        asked = args[0]
        if not isinstance(asked, e.InputRef) or asked.index not in columns:
            return None
        return (Comparison(asked.index, "IS NULL" if name == "IS NULL" else "IS NOT NULL"),)
    if name == "NOT" and isinstance(args[0], e.InputRef) and args[0].index in columns:
        return (Comparison(args[0].index, "=", 0),)
    if name not in FLIPPED or len(args) != 2:
        return None
    a, b = args
    op = FLIPPED[FLIPPED[name]]
    if isinstance(a, e.Literal):
        a, b, op = b, a, FLIPPED[op]
    column = _column(a)
    if column is None or not isinstance(b, e.Literal) or column.index not in columns:
        return None
    if not (_kinship(column.type) == _kinship(a.type) == _kinship(b.type)):
        return None
    value = comparable(b.value, b.type)
    return None if value is None or value != value else (Comparison(column.index, op, value),)


def _column(x: e.Expr) -> e.InputRef | None:
    """The column whose values an expression has, perhaps in a type that holds more."""
    if isinstance(x, e.InputRef):
        return x
    if isinstance(x, e.Cast) and isinstance(x.arg, e.InputRef) and _widens(x.arg.type, x.type):
        return x.arg
    return None


def _widens(a: SqlType, b: SqlType) -> bool:
    if a.kind is Kind.FLOAT:
        return b.kind is Kind.DOUBLE
    if a.is_integer and b.is_integer:
        return bool(a.bits <= b.bits)
    if b.kind is not Kind.DECIMAL:
        return False
    if a.is_integer:
        return bool(b.precision - b.scale >= len(str(1 << (a.bits - 1))))
    return a.kind is Kind.DECIMAL and b.scale >= a.scale and b.precision - b.scale >= a.precision - a.scale


def _kinship(t: SqlType) -> Any:
    """Types of one kinship compare as their exact values do."""
    if t.is_exact or t.is_approximate:
        # FLOAT and DOUBLE are compared in DOUBLE, which holds both; the others exactly.
        return t.is_approximate
    if t.is_text:
        return "text"
    return t.kind
