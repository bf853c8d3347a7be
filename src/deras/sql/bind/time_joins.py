"""Joins that time bounds: interval joins keep the time attributes of both inputs, and so do joins with versions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deras.core.errors import BindError, PlanError
from deras.core.schema import Schema
from deras.sql.bind.expressions import ExprBinder
from deras.sql.bind.joins import joined
from deras.sql.bind.lookups import check_lookup
from deras.sql.bind.scope import Scope
from deras.sql.expr import nodes as e
from deras.sql.functions.operators import comparison
from deras.sql.plan import nodes as p
from deras.sql.plan.time_joins import LookupJoin, PresentJoin, TemporalJoin, joined_schema
from deras.sql.rules.join_keys import join_keys
from deras.sql.syntax import ast

if TYPE_CHECKING:
    from deras.core.errors import Span
    from deras.sql.bind.lookups import Settings
    from deras.sql.bind.query import QueryBinder
    from deras.sql.plan.joins import JoinKind


def keep_time(rel: p.Rel, scope: Scope) -> tuple[p.Rel, Scope]:
    """If a join is one of intervals or of windows, make it one, so that what stands above can use its time attributes.

    Args:
        rel: the plan of FROM, or of FROM and WHERE.
        scope: its columns.
    """
    made = timed(rel)
    if made is None:
        return rel, scope
    columns = [replace(c, field=replace(made.schema[c.index], name=c.field.name)) for c in scope.columns]
    return made, Scope(columns, scope.outer)


def timed(rel: p.Rel) -> p.Rel | None:
    """The interval or window join that a plan is, with its time attributes; None if it is none."""
    from deras.sql.rules.interval_joins import interval_join
    from deras.sql.rules.join_filters import join_filters

    join = rel
    if isinstance(rel, p.Calc):
        if rel.exprs is not None or not isinstance(rel.input, p.Join):
            return None
        join = join_filters(rel)
    if not isinstance(join, p.Join):
        return None
    keyed = join_keys(join_filters(join))
    inner = keyed.input if isinstance(keyed, p.Calc) else keyed
    found: p.Rel | None = interval_join(inner) or _of_windows(inner) if isinstance(inner, p.Join) else None
    if found is None or not isinstance(keyed, p.Calc) or keyed.exprs is None:
        return found
    fields = tuple(
        replace(f, time=found.schema[x.index].time)
        for f, x in zip(keyed.schema, keyed.exprs, strict=True)
        if isinstance(x, e.InputRef)
    )
    return replace(keyed, schema=Schema(fields), input=found)


def _of_windows(join: p.Join) -> p.Rel | None:
    """The window join that a join is: its rows come when the window ends, so watermarks hold for its times."""
    from deras.sql.plan.windowed import window_join

    made = window_join(join)
    if made is None:
        return None
    below = [*made.left.schema, *made.right.schema]
    fields = (replace(f, time=b.time) for f, b in zip(made.schema, below, strict=False))
    return replace(made, schema=Schema(tuple(fields), made.schema.key))


# ---------------------------------------------------------------- ASOF JOIN


def bind_asof(q: QueryBinder, r: ast.Join) -> tuple[p.Rel, Scope]:
    """``a ASOF [LEFT] JOIN b MATCH_CONDITION (a.time >= b.time) ON …``: the last row of the right up to the time.

    Raises:
        BindError: the condition does not compare the rowtimes of both sides that way, or there is no equality.
    """
    from deras.sql.bind.relations import bind_relation

    if q.context.settings.strict_flink:
        raise PlanError("ASOF JOIN is not Flink SQL", span=r.span, hint="Join FOR SYSTEM_TIME AS OF a versioned table.")
    left, left_scope = bind_relation(q, r.left)
    right, right_scope = bind_relation(q, r.right)
    kind: JoinKind = "LEFT" if r.kind == "LEFT ASOF" else "INNER"
    if not left.append_only() or not right.append_only():
        raise PlanError("ASOF JOIN needs rows that only come on both sides", span=r.span)
    plain = replace(r, kind="LEFT" if kind == "LEFT" else "INNER", match_condition=None)
    rel, scope = joined(q, plain, kind, left, left_scope, right, right_scope)
    join = rel.input if isinstance(rel, p.Calc) else rel
    assert isinstance(join, p.Join)  # noqa: S101
    terms = e.conjuncts(join.residual)
    n = len(left.schema)
    inside = Scope([replace(c, field=replace(c.field, time=None)) for c in left_scope.joined(right_scope, n).columns])
    if r.match_condition is not None:
        terms = [*terms, ExprBinder(q.context, inside, clause="MATCH_CONDITION").condition(r.match_condition, "ON")]
    found: list[tuple[int, int, bool]] = []
    rest: list[e.Expr] = []
    for t in terms:
        times = _nearest(t, join.left.schema, join.right.schema)
        if times is None:
            rest.append(t)
        else:
            found.append(times)
    if len(found) != 1:
        raise BindError(
            "ASOF JOIN compares the rowtimes of both sides once, with >= or >",
            span=r.span if r.match_condition is None else r.match_condition.span,
            hint="For example a ASOF JOIN b MATCH_CONDITION (a.ts >= b.ts) ON a.k = b.k, where both have a WATERMARK.",
        )
    a, b, strict = found[0]
    keyed = join_keys(replace(join, residual=e.conjunction(rest)), fallible=True)
    inner = keyed.input if isinstance(keyed, p.Calc) else keyed
    assert isinstance(inner, p.Join)  # noqa: S101
    if not inner.left_keys:
        raise BindError("ASOF JOIN needs an equality", span=r.span, hint="Add one to ON.")
    made: p.Rel = TemporalJoin(
        joined_schema(inner.left.schema, inner.right.schema, kind, keep_right=False),
        inner.left, inner.right, kind, inner.left_keys, inner.right_keys, a, b, inner.residual, strict,
    )  # fmt: skip
    if isinstance(keyed, p.Calc):
        made = _over(keyed, made)
    if isinstance(rel, p.Calc):
        made = _over(rel, made)
    columns = [replace(c, field=replace(made.schema[c.index], name=c.field.name)) for c in scope.columns]
    return made, Scope(columns, scope.outer)


def _nearest(t: e.Expr, left: Schema, right: Schema) -> tuple[int, int, bool] | None:
    """The two rowtimes of ``left.time >= right.time`` and whether it is strict."""
    if not isinstance(t, e.Call) or t.function.name not in (">", ">=", "<", "<=") or len(t.args) != 2:
        return None
    x, y = t.args
    name = t.function.name
    if name.startswith("<"):
        x, y, name = y, x, name.replace("<", ">")
    n = len(left)
    if not isinstance(x, e.InputRef) or not isinstance(y, e.InputRef) or not x.index < n <= y.index:
        return None
    if left[x.index].time != "rowtime" or right[y.index - n].time != "rowtime":
        return None
    return (x.index, y.index - n, name == ">") if left[x.index].type.kind is right[y.index - n].type.kind else None


# ---------------------------------------------------------------- versions of a moment


def as_of(r: ast.Join) -> ast.TableRef | None:
    """The right side of a join, if it is asked for as of a moment."""
    right = r.right
    return right if isinstance(right, ast.TableRef) and right.as_of is not None else None


def bind_as_of(q: QueryBinder, r: ast.Join, right_ref: ast.TableRef) -> tuple[p.Rel, Scope]:
    """``JOIN t FOR SYSTEM_TIME AS OF time ON …``.

    Raises:
        BindError: the time is no time attribute of the left, or what stands on the right has no versions.
    """
    from deras.sql.bind.relations import bind_relation

    assert right_ref.as_of is not None  # noqa: S101
    if r.kind not in ("INNER", "LEFT", "COMMA", "CROSS"):
        raise BindError(
            f"{r.kind} JOIN cannot look at versions",
            span=r.span,
            detail="FOR SYSTEM_TIME AS OF asks for the version that fits a row of the left.",
            hint="Use JOIN or LEFT JOIN.",
        )
    left, left_scope = bind_relation(q, r.left)
    time = ExprBinder(q.context, left_scope, clause="FOR SYSTEM_TIME AS OF").bind(right_ref.as_of)
    attribute = left.schema[time.index].time if isinstance(time, e.InputRef) else None
    if not isinstance(time, e.InputRef) or attribute is None:
        raise BindError(
            "FOR SYSTEM_TIME AS OF takes a time attribute of the left table",
            span=right_ref.as_of.span,
            hint="Name a column with a WATERMARK, or one AS PROCTIME().",
        )
    right, right_scope = bind_relation(q, replace(right_ref, as_of=None))
    kind: JoinKind = "LEFT" if r.kind == "LEFT" else "INNER"
    plain = replace(r, kind=r.kind if r.kind != "COMMA" else "CROSS")
    rel, scope = joined(q, plain, kind, left, left_scope, right, right_scope)
    if attribute == "proctime":
        alias = () if right_ref.alias is None else (right_ref.alias.name.name,)
        said = () if q.lookups is None else q.lookups.take((*alias, right_ref.name.names[-1]))
        if said and isinstance(right, p.ViewScan):
            q.context.warnings.append("LOOKUP changes nothing here: a materialized view is read as it is.")
        found = _present(rel, right, right_ref.span, said)
    else:
        found = _versions(rel, time.index, right_ref.span, q.context.settings.zone)
    columns = [replace(c, field=replace(found.schema[c.index], name=c.field.name)) for c in scope.columns]
    return found, Scope(columns, scope.outer)


def _versions(rel: p.Rel, time: int, span: Span, zone: str) -> p.Rel:
    """The plan with its join as one with versions; projections above it stay."""
    if isinstance(rel, p.Calc):
        made = _versions(rel.input, time, span, zone)
        return _over(rel, made)
    assert isinstance(rel, p.Join)  # noqa: S101
    keyed = join_keys(rel, fallible=True)
    join = keyed.input if isinstance(keyed, p.Calc) else keyed
    assert isinstance(join, p.Join)  # noqa: S101
    found = _temporal(join, rel.right, time, span, zone)
    return _over(keyed, found) if isinstance(keyed, p.Calc) else found


def _present(rel: p.Rel, table: p.Rel, span: Span, said: Settings) -> p.Rel:
    """The join with what a table holds now; projections above it stay."""
    if isinstance(rel, p.Calc):
        return _over(rel, _present(rel.input, table, span, said))
    assert isinstance(rel, p.Join)  # noqa: S101
    keyed = join_keys(rel, fallible=True)
    join = keyed.input if isinstance(keyed, p.Calc) else keyed
    assert isinstance(join, p.Join)  # noqa: S101
    found: p.Rel
    schema = joined_schema(join.left.schema, join.right.schema, join.kind, keep_right=False)
    if not join.left_keys:
        raise PlanError("a lookup join needs an equality", span=span, hint="Compare a column of the table in ON.")
    if isinstance(table, p.ViewScan):
        found = PresentJoin(
            schema, join.left, join.right, join.kind, join.left_keys, join.right_keys, None, None, join.residual
        )  # fmt: skip
    elif isinstance(table, p.Scan) and len(table.schema) == len(table.table.schema):
        check_lookup(table.table.name, dict(table.options), span)
        found = replace(_lookup(join, table, schema, span), settings=said)
    else:
        raise PlanError(
            "only a table without computed columns or a materialized view can be looked up",
            span=span,
            hint="Join a rowtime for the version of a moment, or make a materialized view of the right side.",
        )
    return _over(keyed, found) if isinstance(keyed, p.Calc) else found


def _lookup(join: p.Join, table: p.Scan, schema: Schema, span: Span) -> LookupJoin:
    n, width = len(join.left.schema), len(table.schema)
    keys: list[tuple[int, int]] = []
    rest: list[e.Expr] = []
    for a, b in zip(join.left_keys, join.right_keys, strict=True):
        if b < width:
            keys.append((a, b))
            continue
        assert isinstance(join.right, p.Calc) and join.right.exprs is not None  # noqa: S101, PT018
        rest.append(
            comparison("=", e.InputRef(join.left.schema[a].type, a), e.shift(join.right.exprs[b], n))
        )  # fmt: skip
    if not keys:
        raise PlanError(
            f"a lookup in '{table.table.name}' needs an equality with one of its columns as it is",
            span=span,
            hint="Convert the other side of the comparison instead.",
        )
    return LookupJoin(
        Schema(schema.fields[: n + width]),
        join.left,
        table.table,
        table.options,
        table.schema,
        join.kind,
        tuple(a for a, _ in keys),
        tuple(b for _, b in keys),
        e.conjunction([*rest, *e.conjuncts(join.residual)]),
    )


def _over(rel: p.Calc, made: p.Rel) -> p.Rel:
    """The projection over another input, with the input's time attributes."""
    if rel.exprs is None:
        return replace(rel, schema=made.schema, input=made)
    fields = tuple(
        replace(f, time=made.schema[x.index].time) if isinstance(x, e.InputRef) else f
        for f, x in zip(rel.schema, rel.exprs, strict=True)
    )
    return replace(rel, schema=Schema(fields), input=made)


def _temporal(join: p.Join, table: p.Rel, time: int, span: Span, zone: str) -> TemporalJoin:
    """The join with versions of a table; ``join`` may have columns added to the right for computed keys."""
    from deras.sql.rules import optimise

    # Only the rules see that a rank of one is a latest row.
    key = table.schema.key or optimise(table, zone).upsert_key()
    names = table.schema.names
    if not key:
        raise PlanError(
            "a table with versions needs a PRIMARY KEY",
            span=span,
            hint="Declare PRIMARY KEY (…) NOT ENFORCED, or join a view of the latest rows: ROW_NUMBER() OVER "
            "(PARTITION BY key ORDER BY time DESC) … WHERE rn = 1.",
        )
    times = [i for i, f in enumerate(table.schema) if f.time == "rowtime"]
    if not times:
        raise PlanError(
            "a table with versions needs a rowtime",
            span=span,
            hint="Declare WATERMARK FOR the column that says from when a row holds.",
        )
    mine, theirs = join.left.schema[time].type, table.schema[times[0]].type
    if mine.kind is not theirs.kind:
        raise PlanError(
            f"the times of the two sides are of different types: {mine} and {theirs}",
            span=span,
            hint="Declare both rowtimes as TIMESTAMP, or both as TIMESTAMP_LTZ.",
        )
    pairs = list(zip(join.left_keys, join.right_keys, strict=True))
    own: dict[int, int] = {}
    for n, (_, b) in enumerate(pairs):
        own.setdefault(_origin(join.right, b, len(table.schema)), n)
    missing = [names[i] for i in key if i not in own]
    if missing:
        raise PlanError(
            f"the join must compare the whole primary key of the table with versions: {', '.join(missing)} is missing",
            span=span,
            detail=f"Its key is ({', '.join(names[i] for i in key)}).",
            hint="Add an equality for it to ON.",
        )
    used = [own[i] for i in key]
    n = len(join.left.schema)
    rest = [_equal(join, a, n + b) for i, (a, b) in enumerate(pairs) if i not in used]
    return TemporalJoin(
        joined_schema(join.left.schema, join.right.schema, join.kind, keep_right=False),
        join.left,
        join.right,
        join.kind,
        tuple(pairs[i][0] for i in used),
        tuple(pairs[i][1] for i in used),
        time,
        times[0],
        e.conjunction([*rest, *e.conjuncts(join.residual)]),
    )


def _origin(rel: p.Rel, column: int, width: int) -> int:
    """The table's column that a key is, perhaps in a wider type; -1 for anything else."""
    if column < width:
        return column
    x = rel.exprs[column] if isinstance(rel, p.Calc) and rel.exprs is not None else None
    if isinstance(x, e.Cast) and isinstance(x.arg, e.InputRef) and not x.safe:
        a, b = x.arg.type, x.type
        if (a.is_integer and b.is_integer and b.bits >= a.bits) or (a.is_text and b.is_text):
            return x.arg.index
    return -1


def _equal(join: p.Join, a: int, b: int) -> e.Expr:
    n = len(join.left.schema)
    return comparison("=", e.InputRef(join.left.schema[a].type, a), e.InputRef(join.right.schema[b - n].type, b))
