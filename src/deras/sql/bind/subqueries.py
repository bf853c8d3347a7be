"""Subqueries in expressions: bound with the columns of the query around them, then turned into joins."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deras.core.errors import BindError
from deras.core.schema import Field, Schema
from deras.core.types import BIGINT, BOOLEAN
from deras.sql.bind.decorrelate import equality, pull
from deras.sql.expr import nodes as e
from deras.sql.functions import aggregates, operators
from deras.sql.functions.operators import case
from deras.sql.functions.registry import ArgumentError, CallContext, Function
from deras.sql.plan import nodes as p
from deras.sql.syntax import ast

if TYPE_CHECKING:
    import polars as pl

    from deras.core.errors import Span
    from deras.sql.bind.expressions import ExprBinder
    from deras.sql.bind.query import QueryBinder


class Correlation:
    """What a subquery reads of the query around it.

    Args:
        around: binds names of the query around.
    """

    def __init__(self, around: ExprBinder) -> None:
        self.around = around
        self.values: list[e.Expr] = []

    def column(self, x: ast.ColumnRef) -> e.Expr:
        """A name of the query around, as the subquery sees it.

        Raises:
            BindError: it has no such name either.
        """
        bound = self.around.bind(x)
        if bound not in self.values:
            self.values.append(bound)
        return e.Outer(bound.type, self.values.index(bound), at=bound.at)


# ---------------------------------------------------------------- binding


def bind_subquery(q: QueryBinder, binder: ExprBinder, x: ast.Expr) -> e.Expr:
    """IN, EXISTS, SOME/ALL or a scalar subquery as an expression."""
    at = e.Where(binder.context.text, x.span)
    match x:
        case ast.ScalarSubquery():
            plan, outer = _plan(q, binder, x.query)
            if len(plan.schema) != 1:
                raise BindError(
                    f"a subquery that stands for a value has one column, this has {len(plan.schema)}", span=x.span
                )
            return e.Subquery(plan.schema[0].type.with_nullable(True), "SCALAR", plan, (), outer, at=at)
        case ast.Exists():
            plan, outer = _plan(q, binder, x.query)
            return e.Subquery(BOOLEAN.with_nullable(False), "EXISTS", plan, (), outer, at=at)
        case ast.InQuery():
            found = _in(q, binder, x.operand, x.query, at, x.span)
            return operators.negation(found, at) if x.negated else found
        case ast.Quantified() if x.query is not None and (x.op, x.quantifier) in (("=", "SOME"), ("<>", "ALL")):
            found = _in(q, binder, x.left, x.query, at, x.span)
            return operators.negation(found, at) if x.quantifier == "ALL" else found
    from deras.sql.bind.expressions import not_yet

    if isinstance(x, ast.Quantified):
        raise not_yet(f"{x.op} {x.quantifier} (subquery)", x.span, "Compare with (SELECT MIN(…) …) or MAX.")
    raise not_yet("a collection made by a subquery", x.span, "Use ARRAY_AGG in a scalar subquery.")


def _plan(q: QueryBinder, binder: ExprBinder, query: ast.Query) -> tuple[p.Rel, tuple[e.Expr, ...]]:
    correlation = Correlation(binder)
    plan = q.inner(correlation).query(query)
    return plan, tuple(correlation.values)


def _in(q: QueryBinder, binder: ExprBinder, operand: ast.Expr, query: ast.Query, at: e.Where, span: Span) -> e.Expr:
    items = operand.items if isinstance(operand, ast.RowValue) else (operand,)
    operands = [binder.bind(i) for i in items]
    plan, outer = _plan(q, binder, query)
    if len(plan.schema) != len(operands):
        raise BindError(
            f"IN compares {len(operands)} value{'s' * (len(operands) > 1)} with {len(plan.schema)} columns", span=span
        )
    found: list[e.Expr] = []
    exprs: list[e.Expr] = []
    for i, (a, f) in enumerate(zip(operands, plan.schema, strict=True)):
        try:
            left, right = operators.comparable(a, e.InputRef(f.type, i, at=at), "IN")
        except ArgumentError as err:
            raise BindError(str(err), span=span, hint=err.hint) from None
        found.append(left)
        exprs.append(right)
    if not all(isinstance(x, e.InputRef) for x in exprs):
        fields = tuple(Field(f.name, x.type) for f, x in zip(plan.schema, exprs, strict=True))
        plan = p.Calc(Schema(fields), plan, tuple(exprs))
    nullable = any(a.type.nullable for a in (*found, *exprs))
    return e.Subquery(BOOLEAN.with_nullable(nullable), "IN", plan, tuple(found), outer, at=at)


# ---------------------------------------------------------------- removal


def has_subquery(x: e.Expr) -> bool:
    """Whether there is one in an expression."""
    return any(isinstance(y, e.Subquery) for y in x.walk())


def where(rel: p.Rel, predicate: e.Expr) -> p.Rel:
    """A filter whose subqueries are joins: semi and anti joins where a condition is one as a whole."""
    plain, tests, rest = [], [], []
    for t in e.conjuncts(predicate):
        sub, negated = _test(t)
        if sub is not None:
            tests.append((sub, negated))
        elif has_subquery(t):
            rest.append(t)
        else:
            plain.append(t)
    first = e.conjunction(plain)
    if first is not None:
        rel = p.Calc(rel.schema, rel, None, first)
    for sub, negated in tests:
        rel = _semi(rel, sub, negated)
    if rest:
        schema = rel.schema
        made, terms = attach(rel, rest)
        rel = p.Calc(made.schema, made, None, e.conjunction(terms))
        rel = p.Calc(schema, rel, tuple(e.InputRef(f.type, i) for i, f in enumerate(schema)))
    return rel


def _test(t: e.Expr) -> tuple[e.Subquery | None, bool]:
    """The subquery that a condition is, and whether it is negated."""
    negated = False
    while isinstance(t, e.Call) and t.function.name == "NOT":
        t, negated = t.args[0], not negated
    if isinstance(t, e.Subquery) and t.kind != "SCALAR" and not any(has_subquery(c) for c in t.children()):
        return t, negated
    return None, False


def attach(rel: p.Rel, exprs: list[e.Expr]) -> tuple[p.Rel, list[e.Expr]]:
    """Join what the subqueries of some expressions give, as columns behind those of ``rel``.

    Returns:
        The wider input (its first columns as before) and the expressions over it.
    """
    found: list[tuple[e.Subquery, e.Expr]] = []

    def change(y: e.Expr) -> e.Expr | None:
        nonlocal rel
        if not isinstance(y, e.Subquery):
            return None
        # What it reads of this query may hold subqueries itself.
        n = len(y.operands)
        children = tuple(e.transform(c, change) for c in y.children())
        sub = replace(y, operands=children[:n], outer=children[n:])
        known = next((v for k, v in found if k == sub), None)
        if known is None:
            rel, known = _value(rel, sub)
            found.append((sub, known))
        return known

    made = [e.transform(x, change) for x in exprs]
    return rel, made


def _condition(rel: p.Rel, sub: e.Subquery, terms: list[e.Expr]) -> list[e.Expr]:
    """Conditions of the subquery over its columns and ``Outer``, as conditions over both inputs of a join."""
    n = len(rel.schema)

    def change(y: e.Expr) -> e.Expr | None:
        if isinstance(y, e.Outer):
            return sub.outer[y.index]
        if isinstance(y, e.InputRef):
            return replace(y, index=y.index + n)
        return None

    return [e.transform(t, change) for t in terms]


def _semi(rel: p.Rel, sub: e.Subquery, negated: bool) -> p.Rel:
    plan: p.Rel = sub.plan
    if sub.kind == "EXISTS" and isinstance(plan, p.Calc) and plan.exprs is not None:
        # What EXISTS selects does not matter.
        plan = p.Calc(plan.input.schema, plan.input, None, plan.predicate)
    right, terms = pull(plan, sub.at)
    on = _condition(rel, sub, terms)
    schema = Schema(tuple(f.without_time() for f in rel.schema), rel.schema.key)
    same = [
        operators.comparison("=", a, e.InputRef(f.type, len(rel.schema) + i, at=sub.at), sub.at)
        for i, (a, f) in enumerate(zip(sub.operands, right.schema, strict=False))
    ]
    if negated and any(x.type.nullable for x in same):
        return _not_in(rel, right, sub.operands, e.conjunction(on), schema)
    from deras.sql.bind.time_joins import timed

    join = p.Join(schema, rel, right, "ANTI" if negated else "SEMI", (), (), e.conjunction([*on, *same]))
    return timed(join) or join


def _not_in(rel: p.Rel, right: p.Rel, operands: tuple[e.Expr, ...], condition: e.Expr | None, schema: Schema) -> p.Rel:
    from deras.sql.bind.joins import not_in

    n, m = len(rel.schema), len(right.schema)
    computed = [x for x in operands if not isinstance(x, e.InputRef)]
    wide = rel
    refs = tuple(e.InputRef(f.type, i) for i, f in enumerate(rel.schema))
    if computed:
        fields = (*rel.schema.fields, *(Field(f"$in{i}", x.type) for i, x in enumerate(computed)))
        wide = p.Calc(Schema(fields), rel, (*refs, *computed))
        if condition is not None:
            condition = e.transform(condition, lambda y: _shifted(y, n, len(fields)))
    pairs = [
        (x.index if isinstance(x, e.InputRef) else n + computed.index(x), min(i, m)) for i, x in enumerate(operands)
    ]
    joined = not_in(wide, right, pairs, condition)
    return p.Calc(schema, joined, refs)


def _left(rel: p.Rel, right: p.Rel, on: list[e.Expr]) -> p.Rel:
    fields = [f.without_time() for f in rel.schema]
    fields += [replace(f.without_time(), type=f.type.with_nullable(True)) for f in right.schema]
    return p.Join(Schema(tuple(fields)), rel, right, "LEFT", (), (), e.conjunction(on))


def _value(rel: p.Rel, sub: e.Subquery) -> tuple[p.Rel, e.Expr]:
    match sub.kind:
        case "SCALAR":
            return _scalar(rel, sub)
        case "EXISTS":
            return _exists(rel, sub)
    return _membership(rel, sub)


def _scalar(rel: p.Rel, sub: e.Subquery) -> tuple[p.Rel, e.Expr]:
    right, terms = pull(sub.plan, sub.at)
    keys = [k for t in terms if (k := equality(t)) is not None]
    if len(keys) < len(terms):
        from deras.sql.bind.expressions import not_yet

        raise not_yet(
            "a scalar subquery that compares with the query around it other than by equality",
            sub.at.span if sub.at is not None else None,  # type: ignore[arg-type]
            "Write it as a join with GROUP BY.",
        )
    nothing = _of_nothing(sub.plan)
    own = right.upsert_key()
    if not (own and set(own) <= set(keys)) and not (not keys and right.single_row()):
        right, keys = _single(right, keys)
        terms = [_rekeyed(t, i + 1) for i, t in enumerate(terms)]
    at = len(rel.schema)
    made = _left(rel, right, _condition(rel, sub, terms))
    value: e.Expr = e.InputRef(right.schema[0].type.with_nullable(True), at, at=sub.at)
    if nothing is not None and keys:
        # Without partners there is no group, but the count of no rows is 0.
        value = case([operators.test(value, "NULL", sub.at)], [nothing, value], sub.at)
    return made, value


def _of_nothing(plan: p.Rel) -> e.Expr | None:
    """What an aggregate without GROUP BY gives for no rows, if that is a value: COUNT gives 0."""
    if isinstance(plan, p.Calc) and plan.exprs is not None and plan.predicate is None:
        below = plan.input
        if not isinstance(below, p.Aggregate) or below.keys or not isinstance(plan.exprs[0], e.InputRef):
            return None
        call = below.calls[plan.exprs[0].index]
    elif isinstance(plan, p.Aggregate) and not plan.keys:
        call = plan.calls[0]
    else:
        return None
    return e.Literal(BIGINT.with_nullable(False), 0) if call.function == "COUNT" else None


def _rekeyed(t: e.Expr, place: int) -> e.Expr:
    return e.remap(t, lambda _: place)


def _only(c: CallContext, n: pl.Expr, value: pl.Expr) -> pl.Expr:
    c.fail(n > 1, "a subquery that stands for a value gave more than one row")
    return value


_ONLY = Function("ONLY_VALUE", "expression", (), _only, nullable=True, family="subqueries")


def _single(right: p.Rel, keys: list[int]) -> tuple[p.Rel, list[int]]:
    """One row a key: value, then keys. More than one row is the user's error, told when it happens."""
    value = right.schema[0].type
    try:
        type_, _ = aggregates.bind("MAX", [e.InputRef(value, 0)], star=False)
    except ArgumentError as err:
        raise BindError(f"a subquery that may give several rows cannot stand for a value: {err}") from None
    n = len(keys)
    calls = (
        p.AggCall("COUNT", None, BIGINT.with_nullable(False)),
        p.AggCall("MAX", 0, type_.with_nullable(True), input_type=value),
    )
    fields = [
        *(right.schema[k].without_time() for k in keys),
        Field("$n", calls[0].type),
        Field("$value", calls[1].type),
    ]
    made = p.Aggregate(Schema(tuple(fields), tuple(range(n))), right, tuple(keys), calls)
    only = e.Call(calls[1].type, _ONLY, (e.InputRef(fields[n].type, n), e.InputRef(fields[n + 1].type, n + 1)))
    picked = Schema((fields[n + 1], *fields[:n]))
    refs = (only, *(e.InputRef(fields[i].type, i) for i in range(n)))
    return p.Calc(picked, made, refs), list(range(1, n + 1))


def _groups(right: p.Rel, keys: list[int], counted: int | None) -> p.Rel:
    """Per key: how many rows, and how many with a value in column ``counted``."""
    calls = [p.AggCall("COUNT", None, BIGINT.with_nullable(False))]
    if counted is not None:
        type_ = right.schema[counted].type
        calls.append(p.AggCall("COUNT", counted, BIGINT.with_nullable(False), input_type=type_))
    fields = [*(right.schema[k].without_time() for k in keys), *(Field(f"$n{i}", c.type) for i, c in enumerate(calls))]
    return p.Aggregate(Schema(tuple(fields), tuple(range(len(keys)))), right, tuple(keys), tuple(calls))


def _only_equalities(sub: e.Subquery, terms: list[e.Expr]) -> list[int]:
    keys = [k for t in terms if (k := equality(t)) is not None]
    if len(keys) < len(terms):
        from deras.sql.bind.expressions import not_yet

        raise not_yet(
            f"{sub.kind} inside a larger condition, compared with the query around it other than by equality",
            sub.at.span if sub.at is not None else None,  # type: ignore[arg-type]
            "Let it stand alone between ANDs, or write it as a join.",
        )
    return keys


def _exists(rel: p.Rel, sub: e.Subquery) -> tuple[p.Rel, e.Expr]:
    plan: p.Rel = sub.plan
    if isinstance(plan, p.Calc) and plan.exprs is not None:
        plan = p.Calc(plan.input.schema, plan.input, None, plan.predicate)
    right, terms = pull(plan, sub.at)
    keys = _only_equalities(sub, terms)
    counts = _groups(right, keys, None)
    n = len(rel.schema)
    on = _condition(rel, sub, [_rekeyed(t, i) for i, t in enumerate(terms)])
    made = _left(rel, counts, on)
    count = e.InputRef(BIGINT, n + len(keys), at=sub.at)
    return made, operators.test(count, "NOT NULL", sub.at)


def _membership(rel: p.Rel, sub: e.Subquery) -> tuple[p.Rel, e.Expr]:
    """``x IN (…)`` as a value: TRUE for a partner, FALSE for no rows, NULL if a NULL may have been the partner."""
    right, terms = pull(sub.plan, sub.at)
    keys = _only_equalities(sub, terms)
    columns = list(range(len(sub.operands)))
    n = len(rel.schema)
    found = _groups(right, [*keys, *columns], None)
    on = _condition(rel, sub, [_rekeyed(t, i) for i, t in enumerate(terms)])
    for i, a in enumerate(sub.operands):
        b = e.InputRef(right.schema[i].type, n + len(keys) + i, at=sub.at)
        on.append(operators.comparison("=", a, b, sub.at))
    made = _left(rel, found, on)
    hit = operators.test(e.InputRef(BIGINT, len(made.schema) - 1, at=sub.at), "NOT NULL", sub.at)
    if not sub.type.nullable:
        return made, hit
    if len(columns) > 1:
        from deras.sql.bind.expressions import not_yet

        raise not_yet(
            "IN over several columns that may be NULL, inside a larger condition",
            sub.at.span if sub.at is not None else None,  # type: ignore[arg-type]
        )
    counts = _groups(right, keys, 0)
    m = len(made.schema)
    on = _condition(rel, sub, [_rekeyed(t, i) for i, t in enumerate(terms)])
    on = [e.transform(t, lambda y: _shifted(y, n, m)) for t in on]
    made = _left(made, counts, on)
    rows = e.InputRef(BIGINT, m + len(keys), at=sub.at)
    valued = e.InputRef(BIGINT, m + len(keys) + 1, at=sub.at)
    null = e.Literal(BOOLEAN, None, at=sub.at)
    yes, no = (e.Literal(BOOLEAN.with_nullable(False), v, at=sub.at) for v in (True, False))
    doubt = e.Logic(
        BOOLEAN,
        "OR",
        (operators.test(sub.operands[0], "NULL", sub.at), operators.comparison("<", valued, rows, sub.at)),
        at=sub.at,
    )
    value = case([operators.test(rows, "NULL", sub.at), hit, doubt], [no, yes, null, no], sub.at)
    return made, value


def _shifted(y: e.Expr, n: int, m: int) -> e.Expr | None:
    return replace(y, index=y.index - n + m) if isinstance(y, e.InputRef) and y.index >= n else None
