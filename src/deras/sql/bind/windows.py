"""TUMBLE, HOP, CUMULATE, SESSION, SNAPSHOT and SLIDING in FROM, and the legacy group windows of GROUP BY."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deras.core import types as t
from deras.core.errors import BindError, PlanError, Span
from deras.core.schema import Field, Schema
from deras.core.types import Kind, SqlType
from deras.sql.bind.expressions import ExprBinder
from deras.sql.bind.scope import Scope
from deras.sql.expr import nodes as e
from deras.sql.plan import nodes as p
from deras.sql.plan.text import blame
from deras.sql.syntax import ast

if TYPE_CHECKING:
    from deras.sql.bind.query import QueryBinder

_ARGUMENTS = {
    "TUMBLE": ("DATA", "TIMECOL", "SIZE", "OFFSET"),
    "HOP": ("DATA", "TIMECOL", "SLIDE", "SIZE", "OFFSET"),
    "CUMULATE": ("DATA", "TIMECOL", "STEP", "SIZE", "OFFSET"),
    "SESSION": ("DATA", "TIMECOL", "GAP"),
    "SNAPSHOT": ("DATA", "TIMECOL"),
    "SLIDING": ("DATA", "TIMECOL", "SIZE"),
}
_INSTEAD = {
    "SNAPSHOT": "Write TUMBLE(TABLE …, DESCRIPTOR(…), INTERVAL '0.001' SECOND), or RESET 'deras.strict-flink'.",
    "SLIDING": "Use HOP, or OVER with RANGE BETWEEN INTERVAL … PRECEDING, or RESET 'deras.strict-flink'.",
}


def bind_window(q: QueryBinder, call: ast.Call) -> p.Rel:
    """The plan of a window table function."""
    from deras.sql.bind.relations import descriptor, named_arguments, table_argument

    name = call.function
    if name in _INSTEAD and q.context.settings.strict_flink:
        raise PlanError(f"{name} is not Flink SQL", span=call.span, hint=_INSTEAD[name])
    names = _ARGUMENTS[name]
    args = named_arguments(call, names)
    for given in args:
        if given not in names:
            raise BindError(
                f"{name} has no argument {given}", span=args[given].span, hint=f"Its arguments: {', '.join(names)}."
            )
    for needed in names:
        if needed not in args and needed != "OFFSET":
            raise BindError(f"{name} needs {needed}", span=call.span, hint=f"Its arguments: {', '.join(names)}.")
    rel, scope, table = table_argument(q, args["DATA"], call)
    if name == "SESSION":
        column = descriptor(scope, args["TIMECOL"], call)
        gap = _interval(q, args["GAP"], "GAP")
        return session(q, rel, column.index, gap, partition(q, scope, table), args["TIMECOL"].span)
    if name == "SLIDING":
        size = _interval(q, args["SIZE"], "SIZE")
        return _sliding(q, rel, args, call, size, partition(q, scope, table))
    if q.context.settings.strict_flink and _early(q) is not None:
        raise PlanError(
            "window table functions give no early results in Flink",
            span=call.span,
            hint="RESET 'table.exec.emit.early-fire.enabled', or group by the window: GROUP BY TUMBLE(…).",
        )
    if table.partition_by:
        raise BindError(
            f"{name} takes no PARTITION BY", span=args["DATA"].span, hint="Group by the key beside the window."
        )
    column = descriptor(scope, args["TIMECOL"], call)
    if name == "SNAPSHOT":  # rows of one millisecond
        time_attribute(rel, column.index, name, args["TIMECOL"].span)
        return window(q, rel, column.index, "TUMBLE", 1, 1, 0, args["TIMECOL"].span)
    size = _interval(q, args["SIZE"], "SIZE")
    step = names[2]
    slide = size if step == "SIZE" else _interval(q, args[step], step)
    offset = _interval(q, args["OFFSET"], "OFFSET", signed=True) if "OFFSET" in args else 0
    if name != "TUMBLE" and size % slide:
        raise BindError(
            f"the size of {name} must be a multiple of its {step.lower()}",
            span=args["SIZE"].span,
            hint=f"The order is: {', '.join(names)}.",
        )
    return window(q, rel, column.index, name, size, slide, offset, args["TIMECOL"].span)


def _interval(q: QueryBinder, x: ast.Expr, what: str, *, signed: bool = False) -> int:
    bound = ExprBinder(q.context, Scope()).bind(x)
    if not isinstance(bound, e.Literal) or bound.type.kind is not Kind.INTERVAL_DAY or bound.value is None:
        if bound.type.kind is Kind.INTERVAL_MONTH:
            raise BindError(f"{what} must have a fixed length, which months and years have not", span=x.span)
        raise BindError(f"{what} must be an interval", span=x.span, hint="Write for example INTERVAL '10' MINUTE.")
    value = int(bound.value)
    if value <= 0 and not signed:
        raise BindError(f"{what} must be longer than nothing", span=x.span)
    return value


def partition(q: QueryBinder, scope: Scope, table: ast.TableArgument) -> tuple[int, ...]:
    """The columns of ``TABLE t PARTITION BY …``."""
    binder = ExprBinder(q.context, scope, clause="PARTITION BY")
    keys: list[int] = []
    for x in table.partition_by:
        for item in x.items if isinstance(x, ast.RowValue) and not x.explicit else (x,):
            bound = binder.bind(item)
            if not isinstance(bound, e.InputRef):
                raise BindError(
                    "PARTITION BY of a table takes columns", span=item.span, hint="Compute the key in a subquery."
                )
            if bound.index not in keys:
                keys.append(bound.index)
    return tuple(keys)


def window(q: QueryBinder, rel: p.Rel, index: int, name: str, size: int, slide: int, offset: int, span: Span) -> p.Rel:
    """The node that adds window_start, window_end and window_time."""
    field = time_attribute(rel, index, name, span)
    rel, schema = _with_bounds(rel, field)
    time = None if field.time == "proctime" else index
    kind: p.WindowKind = name.lower()  # type: ignore[assignment]
    return p.WindowTvf(schema, rel, time, kind, size, slide, offset, _zone(q, field), _early(q))


def _early(q: QueryBinder) -> int | None:
    """After how many ms windows give their results so far; None: only when they end."""
    settings = q.context.settings
    if not settings.get("table.exec.emit.early-fire.enabled"):
        return None
    delay = settings.get("table.exec.emit.early-fire.delay")
    if delay is None:
        raise PlanError(
            "'table.exec.emit.early-fire.enabled' needs 'table.exec.emit.early-fire.delay'",
            hint="SET 'table.exec.emit.early-fire.delay' = '1 s'; '0 s' gives a result with every row.",
        )
    return int(delay)


def session(q: QueryBinder, rel: p.Rel, index: int, gap: int, keys: tuple[int, ...] | None, span: Span) -> p.Rel:
    """The node that adds the bounds of sessions; ``keys`` None: of the GROUP BY that follows."""
    field = time_attribute(rel, index, "SESSION", span)
    rel, schema = _with_bounds(rel, field)
    return p.SessionTvf(schema, rel, None if field.time == "proctime" else index, gap, _zone(q, field), keys)


def _sliding(
    q: QueryBinder, rel: p.Rel, args: dict[str, ast.Expr], call: ast.Call, size: int, keys: tuple[int, ...]
) -> p.Rel:
    from deras.sql.bind.relations import descriptor

    span = args["TIMECOL"].span
    index = descriptor(Scope.of(rel.schema), args["TIMECOL"], call).index
    field = time_attribute(rel, index, "SLIDING", span)
    if field.time == "proctime":
        raise BindError(
            f"SLIDING needs a rowtime, and '{field.name}' is a processing time",
            span=span,
            hint="Declare WATERMARK FOR a time of the rows in CREATE TABLE.",
        )
    if not rel.append_only():
        raise PlanError(
            "SLIDING needs an input that only inserts",
            span=args["DATA"].span,
            detail=f"Updates come from {blame(rel)}.",
            hint="Slide over the raw rows.",
        )
    rel, schema = _with_bounds(rel, field)
    return p.SlidingTvf(schema, rel, index, size, _zone(q, field), keys)


def time_attribute(rel: p.Rel, index: int, name: str, span: Span) -> Field:
    """The column that windows are made of.

    Raises:
        BindError: it is no time attribute.
    """
    field = rel.schema[index]
    if field.time is None:
        hint = "Declare WATERMARK FOR it in CREATE TABLE"
        if field.type.is_timestamp:
            hint += ", and pass the column on as it is (a CAST or function makes it an ordinary column)"
        raise BindError(f"{name} needs a time attribute, which '{field.name}' is not", span=span, hint=f"{hint}.")
    return field


def _zone(q: QueryBinder, field: Field) -> str | None:
    return q.context.settings.zone if field.type.kind is Kind.TIMESTAMP_LTZ else None


def _with_bounds(rel: p.Rel, field: Field) -> tuple[p.Rel, Schema]:
    """The input, and the schema with the three columns of a window."""
    bound = SqlType(Kind.TIMESTAMP, 3, nullable=False)
    own = t.timestamp_ltz(3) if field.type.kind is Kind.TIMESTAMP_LTZ else t.timestamp(3)
    extra = (
        Field("window_start", bound),
        Field("window_end", bound),
        Field("window_time", own.with_nullable(False), time=field.time),
    )
    # Windows over the result of windows: the names mean the new bounds, the old ones are still there as window_time0 …
    added = {f.name for f in extra}
    taken = {f.name for f in rel.schema} | added
    if added & {f.name for f in rel.schema}:
        fields = []
        for f in rel.schema:
            new, n = f.name, 0
            while new in (taken if f.name in added else ()):
                new, n = f"{f.name}{n}", n + 1
            fields.append(replace(f, name=new))
        rel = p.Calc(Schema(tuple(fields)), rel, tuple(e.InputRef(f.type, i) for i, f in enumerate(fields)))
    return rel, Schema((*rel.schema.fields, *extra))


# ---------------------------------------------------------------- legacy


def legacy_window(q: QueryBinder, rel: p.Rel, scope: Scope, call: ast.Call) -> p.Rel:
    """The window node of ``GROUP BY TUMBLE(ts, INTERVAL …)``; its window columns stand at the end with odd names."""
    name = call.function
    wanted = 3 if name == "HOP" else 2
    if len(call.args) not in (wanted, wanted + 1):
        form = {"TUMBLE": "TUMBLE(time, size)", "HOP": "HOP(time, slide, size)"}.get(name, "SESSION(time, gap)")
        raise BindError(f"{name} in GROUP BY takes {wanted} arguments", span=call.span, hint=f"Write {form}.")
    if len(call.args) > wanted:
        raise PlanError(
            f"{name} with an alignment is not supported",
            span=call.args[-1].span,
            detail="Apache Flink refuses it, too.",
            hint=f"Write FROM {name}(TABLE …, DESCRIPTOR(…), …, offset), and group by window_start and window_end."
            if name != "SESSION"
            else "A session has no alignment: it begins with its first row.",
        )
    column = ExprBinder(q.context, scope).bind(call.args[0])
    if not isinstance(column, e.InputRef):
        raise BindError(
            f"{name} needs a time attribute", span=call.args[0].span, hint="Give it the column of the WATERMARK."
        )
    renamed = Schema(tuple(replace(f, name=f"${i}") for i, f in enumerate(rel.schema)))
    plain = p.Calc(renamed, rel, tuple(e.InputRef(f.type, i) for i, f in enumerate(renamed)))
    if name == "SESSION":
        time_attribute(rel, column.index, name, call.args[0].span)
        gap = _interval(q, call.args[-1], "the gap")
        return _legacy(session(q, plain, column.index, gap, None, call.args[0].span))
    size = _interval(q, call.args[-1], "the size")
    slide = size if name == "TUMBLE" else _interval(q, call.args[1], "the slide")
    time_attribute(rel, column.index, name, call.args[0].span)
    return _legacy(window(q, plain, column.index, name, size, slide, 0, call.args[0].span))


def _legacy(rel: p.Rel) -> p.Rel:
    """With a window time that may be NULL, as ``TUMBLE_ROWTIME`` says of itself in Flink."""
    *fields, last = rel.schema.fields
    return replace(rel, schema=Schema((*fields, replace(last, type=last.type.with_nullable(True)))))
