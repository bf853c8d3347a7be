"""LATE_ROWS(TABLE t): the rows of a table that came behind its watermark, as a table of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deras.core.errors import BindError, PlanError
from deras.core.schema import Field, Schema
from deras.sql.expr import nodes as e
from deras.sql.functions import operators
from deras.sql.functions.times import current_watermark, milliseconds_between
from deras.sql.plan import nodes as p
from deras.sql.plan.text import blame

if TYPE_CHECKING:
    from deras.sql.bind.query import QueryBinder
    from deras.sql.syntax import ast

_ARGUMENTS = ("DATA", "TIMECOL")


def bind_late_rows(q: QueryBinder, call: ast.Call) -> p.Rel:
    """A row is late when its time is not after the watermark that it saw; ``lateness_ms`` tells by how much.

    The result only inserts and has no time attribute: its rows come in no order of time that a watermark could follow.

    Raises:
        BindError: no table, or no rowtime.
        PlanError: under ``deras.strict-flink``, or the input updates its rows.
    """
    from deras.sql.bind.relations import descriptor, named_arguments, table_argument

    if q.context.settings.strict_flink:
        raise PlanError(
            "LATE_ROWS is not Flink SQL",
            span=call.span,
            hint="Write WHERE ts <= CURRENT_WATERMARK(ts), or RESET 'deras.strict-flink'.",
        )
    args = named_arguments(call, _ARGUMENTS)
    for given in args:
        if given not in _ARGUMENTS:
            raise BindError(
                f"LATE_ROWS has no argument {given}",
                span=args[given].span,
                hint=f"Its arguments: {', '.join(_ARGUMENTS)}.",
            )
    if "DATA" not in args:
        raise BindError("LATE_ROWS needs DATA", span=call.span, hint="Write LATE_ROWS(TABLE name).")
    rel, scope, table = table_argument(q, args["DATA"], call)
    if table.partition_by:
        raise BindError("LATE_ROWS takes no PARTITION BY", span=args["DATA"].span, hint="A watermark is a table's.")
    if not rel.append_only():
        raise PlanError(
            "LATE_ROWS needs an input that only inserts",
            span=args["DATA"].span,
            detail=f"Updates come from {blame(rel)}.",
            hint="Read the raw rows.",
        )
    if "TIMECOL" in args:
        index = descriptor(scope, args["TIMECOL"], call).index
        if rel.schema[index].time != "rowtime":
            raise BindError(
                f"TIMECOL needs a column with a WATERMARK, which '{rel.schema[index].name}' has not",
                span=args["TIMECOL"].span,
            )
    else:
        times = [i for i, f in enumerate(rel.schema) if f.time == "rowtime"]
        if not times:
            raise BindError(
                "LATE_ROWS needs a table with a WATERMARK",
                span=args["DATA"].span,
                hint="Declare WATERMARK FOR its time in CREATE TABLE: without one no row is late.",
            )
        if len(times) > 1:
            names = " and ".join(rel.schema[i].name for i in times)
            raise BindError(
                f"LATE_ROWS needs TIMECOL here: {names} are times",
                span=args["DATA"].span,
                hint="Write LATE_ROWS(TABLE name, DESCRIPTOR(column)).",
            )
        index = times[0]
    field = rel.schema[index]
    time = e.InputRef(field.type, index)
    mark = current_watermark((time,), None)
    late = operators.comparison("<=", time, mark)
    behind = milliseconds_between(time, mark)
    name, n = "lateness_ms", 0
    while name in rel.schema.names:
        name, n = f"lateness_ms{n}", n + 1
    schema = Schema((*(f.without_time() for f in rel.schema), Field(name, behind.type)))
    exprs = (*(e.InputRef(f.type, i) for i, f in enumerate(rel.schema)), behind)
    return p.Calc(schema, rel, exprs, late)
