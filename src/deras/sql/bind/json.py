"""The JSON functions with clauses of their own: RETURNING, wrappers, ON EMPTY, ON ERROR, ON NULL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.core.errors import BindError
from deras.core.types import Kind
from deras.sql.expr import nodes as e
from deras.sql.functions import json, registry
from deras.sql.functions.registry import ArgumentError
from deras.sql.types import implicit, sql_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.sql.bind.expressions import ExprBinder
    from deras.sql.syntax import ast


def bind_json(binder: ExprBinder, x: ast.Call, args: Sequence[e.Expr]) -> e.Expr:
    """Bind a call with clauses.

    Raises:
        ArgumentError: it does not take the arguments or clauses.
    """
    clauses = x.json
    assert clauses is not None  # noqa: S101 (for the type checker)
    at = e.Where(binder.context.text, x.span)
    name = x.function
    if name == "JSON_OBJECT":
        return json.json_object(args, clauses.on_null == "ABSENT", at)
    if name == "JSON_ARRAY":
        return json.json_array(args, clauses.on_null != "NULL", at)
    function = registry.find(name)
    assert function is not None  # noqa: S101 (for the type checker)
    plain = registry.call(function, args, at)  # refuses what is no text and no path
    args = plain.children()
    on_empty = "NULL" if clauses.on_empty is None else clauses.on_empty.kind
    on_error = "NULL" if clauses.on_error is None else clauses.on_error.kind
    returning = None if clauses.returning is None else sql_type(clauses.returning)
    if name == "JSON_EXISTS":
        return json.json_exists(args, "FALSE" if clauses.on_error is None else on_error, at)
    if name == "JSON_QUERY":
        array = returning is not None and returning.kind is Kind.ARRAY and returning.children[0].is_text
        if returning is not None and not array and not returning.is_text:
            raise ArgumentError(f"JSON_QUERY cannot return {returning}", "It returns STRING or ARRAY<STRING>.")
        return json.json_query(args, clauses.wrapper or "WITHOUT", array, (on_empty, on_error), at)
    defaults = []
    for behavior in (clauses.on_empty, clauses.on_error):
        if behavior is None or behavior.default is None:
            continue
        bound = binder.bind(behavior.default)
        if returning is not None and not implicit(bound.type, returning):
            raise BindError(
                f"DEFAULT is {bound.type.with_nullable(True)}, but {returning} is returned",
                span=behavior.default.span,
                hint=f"Convert with CAST(… AS {returning}).",
            )
        defaults.append(bound)
    return json.json_value(args, (on_empty, on_error), returning, defaults, at)
