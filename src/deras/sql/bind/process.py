"""Calls of process functions: ``f(DATA => TABLE t PARTITION BY k, on_time => DESCRIPTOR(ts), limit => 3)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deras.core.errors import BindError
from deras.core.schema import Field, Schema
from deras.core.types import Kind
from deras.sql.bind.expressions import ExprBinder
from deras.sql.bind.scope import Scope
from deras.sql.bind.windows import partition, time_attribute
from deras.sql.expr import nodes as e
from deras.sql.plan.process import Process
from deras.sql.syntax import ast

if TYPE_CHECKING:
    from deras.sql.bind.query import QueryBinder
    from deras.sql.functions.process import UserProcess
    from deras.sql.plan import nodes as p

_FORM = "Write f(DATA => TABLE t PARTITION BY k, on_time => DESCRIPTOR(ts)); on_time is optional."


def bind_process(q: QueryBinder, function: UserProcess, call: ast.Call) -> p.Rel:
    """The plan of a call.

    Raises:
        BindError: it has no table, two of them, or an argument that is no constant.
    """
    from deras.sql.bind.relations import descriptor, table_argument

    table: ast.Expr | None = None
    time: ast.Expr | None = None
    args: list[tuple[str, Any]] = []
    for a in call.args:
        name = a.name.name.lower() if isinstance(a, ast.NamedArgument) else ""
        value = a.value if isinstance(a, ast.NamedArgument) else a
        if isinstance(value, (ast.TableArgument, ast.ScalarSubquery)):
            if table is not None:
                raise BindError(f"{function} takes one table", span=a.span, hint=_FORM)
            table = value
        elif name == "on_time":
            time = value
        elif name == "uid":
            continue
        elif not name:
            raise BindError(f"arguments of {function} beside the table have names", span=a.span, hint=_FORM)
        else:
            args.append((name, _constant(q, value, name)))
    if table is None:
        raise BindError(f"{function} is a process function, which takes a table", span=call.span, hint=_FORM)
    rel, scope, argument = table_argument(q, table, call)
    if not argument.partition_by:
        raise BindError(f"the table of {function} needs PARTITION BY", span=table.span, hint=_FORM)
    keys = partition(q, scope, argument)
    fields = [rel.schema[k].without_time() for k in keys]
    fields += [Field(f.name, f.type) for f in function.fields]
    at = None
    if time is not None:
        at = descriptor(scope, time, call).index
        field = time_attribute(rel, at, str(function), time.span)
        if field.time != "rowtime":
            raise BindError("on_time takes a column with a WATERMARK", span=time.span)
        fields.append(Field("rowtime", field.type, "rowtime"))
    names = [f.name for f in fields]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise BindError(
            f"{function} gives a column '{twice}', which its result has already",
            span=call.span,
            hint="The columns of PARTITION BY come first, and rowtime last; name the function's otherwise.",
        )
    return Process(Schema(tuple(fields)), rel, keys, at, function, tuple(args))


def _constant(q: QueryBinder, x: ast.Expr, name: str) -> Any:
    bound = ExprBinder(q.context, Scope()).bind(x)
    if not isinstance(bound, e.Literal) or bound.type.kind in (Kind.DATE, Kind.TIME) or bound.type.is_timestamp:
        raise BindError(f"argument {name} must be a number, a text, TRUE, FALSE or an interval", span=x.span)
    if bound.type.kind is Kind.DECIMAL and bound.value is not None:
        from decimal import Decimal

        return Decimal(bound.value).scaleb(-bound.type.scale)
    return bound.value
