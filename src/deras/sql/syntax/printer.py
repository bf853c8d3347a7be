"""Syntax tree to text: ``parse(to_sql(tree))`` gives the same tree again."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING

from deras.sql.syntax import expressions as e
from deras.sql.syntax import nodes as n
from deras.sql.syntax import queries as q
from deras.sql.syntax.parse_expr import ADD, AND, COMPARE, IS, MULTIPLY, NOT, OR, RANGE, SIGN
from deras.sql.syntax.words import NILADIC

if TYPE_CHECKING:
    from collections.abc import Iterable

_STRENGTH_OF_OPERAND = 100
_BINARY = {"+": ADD, "-": ADD, "*": MULTIPLY, "/": MULTIPLY, "%": MULTIPLY}
_CHAINS = {"OR": OR, "AND": AND, "||": MULTIPLY}


@singledispatch
def to_sql(node: n.Node) -> str:
    """The SQL text of any node, on one line."""
    msg = f"no SQL form for {type(node).__name__}"
    raise TypeError(msg)


def quote(text: str) -> str:
    """A text literal."""
    return "'" + text.replace("'", "''") + "'"


def commas(nodes: Iterable[n.Node]) -> str:
    """Nodes with commas."""
    return ", ".join(map(to_sql, nodes))


def brackets(nodes: Iterable[n.Node]) -> str:
    """Nodes with commas in round brackets."""
    return f"({commas(nodes)})"


# ---------------------------------------------------------------- names, types, options


@to_sql.register
def _(node: n.Identifier) -> str:
    return "`" + node.name.replace("`", "``") + "`" if node.quoted else node.name


@to_sql.register
def _(node: n.ObjectName) -> str:
    return ".".join(map(to_sql, node.parts))


@to_sql.register
def _(node: n.DataType) -> str:
    if node.elements:
        text = f"{node.name}<{commas(node.elements)}>"
    elif node.name == "ROW":
        text = f"ROW<{commas(node.fields)}>"
    elif node.name == "INTERVAL":
        text = _interval_type(node)
    elif node.args:
        text = f"{node.name}({', '.join(map(str, node.args))})"
    else:
        text = node.name
    if node.nullable is None:
        return text
    return f"{text} NULL" if node.nullable else f"{text} NOT NULL"


def _interval_type(node: n.DataType) -> str:
    unit, _, to_unit = (node.unit or "SECOND").partition(" TO ")
    if not to_unit:
        args = f"({', '.join(map(str, node.args))})" if node.args else ""
        return f"INTERVAL {unit}{args}"
    first = f"({node.args[0]})" if node.args else ""
    second = f"({node.args[1]})" if len(node.args) > 1 else ""
    return f"INTERVAL {unit}{first} TO {to_unit}{second}"


@to_sql.register
def _(node: n.TypeField) -> str:
    comment = "" if node.comment is None else f" {quote(node.comment)}"
    return f"{to_sql(node.name)} {to_sql(node.type)}{comment}"


@to_sql.register
def _(node: n.Property) -> str:
    return f"{quote(node.key)} = {quote(node.value)}"


@to_sql.register
def _(node: n.Hint) -> str:
    inner = [to_sql(o) for o in node.options] + [quote(a) for a in node.args]
    return f"{node.name}({', '.join(inner)})"


def hints(found: tuple[n.Hint, ...]) -> str:
    """Hints with a space before them, or nothing."""
    return f" /*+ {commas(found)} */" if found else ""


# ---------------------------------------------------------------- expressions


def _strength(node: e.Expr) -> int:
    if isinstance(node, e.Chain):
        return _CHAINS[node.op]
    if isinstance(node, e.Binary):
        return _BINARY.get(node.op, COMPARE)
    if isinstance(node, e.Unary):
        return NOT if node.op == "NOT" else SIGN
    if isinstance(node, e.Is):
        return IS
    if isinstance(node, e.Quantified):
        return COMPARE
    if isinstance(node, (e.Between, e.InList, e.InQuery, e.Like)):
        return RANGE
    if isinstance(node, e.FieldAccess) and node.name is None:
        return SIGN  # nothing can follow the star
    return _STRENGTH_OF_OPERAND


def operand(node: e.Expr, least: int) -> str:
    """An expression, in brackets where it binds less than ``least``."""
    text = to_sql(node)
    return f"({text})" if _strength(node) < least else text


@to_sql.register
def _(node: e.LiteralValue) -> str:
    kind, value = node.kind, node.value
    if kind is e.LiteralKind.NULL:
        return "NULL"
    if kind is e.LiteralKind.BOOLEAN:
        return "TRUE" if value else "FALSE"
    if kind is e.LiteralKind.STRING:
        return quote(str(value))
    if kind is e.LiteralKind.BINARY:
        return f"X'{value.hex().upper()}'" if isinstance(value, bytes) else "X''"
    if kind in (e.LiteralKind.INTEGER, e.LiteralKind.DECIMAL, e.LiteralKind.DOUBLE):
        return str(value)
    return f"{kind.value} {quote(str(value))}"


@to_sql.register
def _(node: e.IntervalLiteral) -> str:
    sign = "-" if node.negative else ""
    to_unit = ""
    inner = "" if node.precision is None else str(node.precision)
    if node.to_unit:
        to_unit = f" TO {node.to_unit}" + ("" if node.fraction is None else f"({node.fraction})")
    elif node.fraction is not None:
        inner += f", {node.fraction}"
    return f"INTERVAL {sign}{quote(node.value)} {node.unit}{f'({inner})' if inner else ''}{to_unit}"


@to_sql.register
def _(node: e.IntervalExpr) -> str:
    plain = isinstance(node.value, e.LiteralValue) and node.value.kind is not e.LiteralKind.STRING
    value = to_sql(node.value) if plain else f"({to_sql(node.value)})"
    return f"INTERVAL {value} {node.unit}"


@to_sql.register
def _(node: e.ColumnRef) -> str:
    return ".".join(map(to_sql, node.parts))


@to_sql.register
def _(node: e.Star) -> str:
    return "".join(f"{to_sql(p)}." for p in node.qualifier) + "*"


@to_sql.register
def _(node: e.Keyword) -> str:
    return node.word


@to_sql.register
def _(node: e.FieldAccess) -> str:
    base = to_sql(node.base)
    # a name, number or text in brackets is not what it is without them
    bare = (e.Call, e.FieldAccess, e.ItemAccess, e.Cast, e.RowValue, e.ScalarSubquery)
    stands = isinstance(node.base, bare) and not _niladic(node.base) and _strength(node.base) > SIGN
    base = base if stands else f"({base})"
    return f"{base}.{'*' if node.name is None else to_sql(node.name)}"


@to_sql.register
def _(node: e.ItemAccess) -> str:
    return f"{operand(node.base, _STRENGTH_OF_OPERAND)}[{to_sql(node.index)}]"


@to_sql.register
def _(node: e.Unary) -> str:
    if node.op == "NOT":
        return f"NOT {operand(node.operand, NOT)}"
    # a second sign right after the first would start a comment
    return f"{node.op}{operand(node.operand, SIGN + 1)}"


@to_sql.register
def _(node: e.Binary) -> str:
    strength = _BINARY.get(node.op, COMPARE)
    return f"{operand(node.left, strength)} {node.op} {operand(node.right, strength + 1)}"


@to_sql.register
def _(node: e.Chain) -> str:
    strength = _CHAINS[node.op]
    first = operand(node.terms[0], strength + 1 if isinstance(node.terms[0], e.Chain) else strength)
    rest = (operand(t, strength + 1) for t in node.terms[1:])
    return f" {node.op} ".join([first, *rest])


@to_sql.register
def _(node: e.Is) -> str:
    return f"{operand(node.operand, IS)} IS {'NOT ' if node.negated else ''}{node.test}"


@to_sql.register
def _(node: e.Between) -> str:
    words = ("NOT " if node.negated else "") + "BETWEEN" + (" SYMMETRIC" if node.symmetric else "")
    low, high = operand(node.low, RANGE + 1), operand(node.high, RANGE + 1)
    return f"{operand(node.operand, RANGE)} {words} {low} AND {high}"


@to_sql.register
def _(node: e.InList) -> str:
    return f"{operand(node.operand, RANGE)} {'NOT ' if node.negated else ''}IN {brackets(node.items)}"


@to_sql.register
def _(node: e.InQuery) -> str:
    return f"{operand(node.operand, RANGE)} {'NOT ' if node.negated else ''}IN ({to_sql(node.query)})"


@to_sql.register
def _(node: e.Like) -> str:
    escape = "" if node.escape is None else f" ESCAPE {operand(node.escape, RANGE + 1)}"
    word = f"{'NOT ' if node.negated else ''}{node.op}"
    return f"{operand(node.operand, RANGE)} {word} {operand(node.pattern, RANGE + 1)}{escape}"


@to_sql.register
def _(node: e.Exists) -> str:
    return f"EXISTS ({to_sql(node.query)})"


@to_sql.register
def _(node: e.Quantified) -> str:
    inner = commas(node.items) if node.query is None else to_sql(node.query)
    return f"{operand(node.left, COMPARE)} {node.op} {node.quantifier} ({inner})"


@to_sql.register
def _(node: e.ScalarSubquery) -> str:
    return f"({to_sql(node.query)})"


@to_sql.register
def _(node: e.When) -> str:
    return f"WHEN {to_sql(node.condition)} THEN {to_sql(node.result)}"


@to_sql.register
def _(node: e.Case) -> str:
    first = "" if node.operand is None else f" {to_sql(node.operand)}"
    last = "" if node.otherwise is None else f" ELSE {to_sql(node.otherwise)}"
    return f"CASE{first} {' '.join(map(to_sql, node.whens))}{last} END"


@to_sql.register
def _(node: e.Cast) -> str:
    return f"{'TRY_CAST' if node.safe else 'CAST'}({to_sql(node.operand)} AS {to_sql(node.type)})"


@to_sql.register
def _(node: e.RowValue) -> str:
    return f"{'ROW' if node.explicit else ''}{brackets(node.items)}"


@to_sql.register
def _(node: e.ArrayValue) -> str:
    return f"{node.kind}[{commas(node.items)}]"


@to_sql.register
def _(node: e.MapValue) -> str:
    return f"MAP[{commas(node.items)}]"


@to_sql.register
def _(node: e.CollectionQuery) -> str:
    return f"{node.kind}({to_sql(node.query)})"


@to_sql.register
def _(node: e.NamedArgument) -> str:
    return f"{to_sql(node.name)} => {to_sql(node.value)}"


@to_sql.register
def _(node: e.TableArgument) -> str:
    text = f"TABLE {to_sql(node.source)}" if isinstance(node.source, n.ObjectName) else f"({to_sql(node.source)})"
    if node.partition_by:
        text += f" PARTITION BY {brackets(node.partition_by)}"
    if node.order_by:
        text += f" ORDER BY {brackets(node.order_by)}"
    return text


@to_sql.register
def _(node: e.Descriptor) -> str:
    return f"DESCRIPTOR{brackets(node.columns)}"


@to_sql.register
def _(node: e.JsonBehavior) -> str:
    return node.kind + ("" if node.default is None else f" {to_sql(node.default)}")


@to_sql.register
def _(node: e.JsonClauses) -> str:
    parts: list[str] = []
    if node.returning is not None:
        parts.append(f"RETURNING {to_sql(node.returning)}")
    if node.wrapper is not None:
        parts.append(f"{node.wrapper} ARRAY WRAPPER")
    if node.on_empty is not None:
        parts.append(f"{to_sql(node.on_empty)} ON EMPTY")
    if node.on_error is not None:
        parts.append(f"{to_sql(node.on_error)} ON ERROR")
    if node.on_null is not None:
        parts.append(f"{node.on_null} ON NULL")
    return " ".join(parts)


# ---------------------------------------------------------------- calls


def _niladic(node: e.Expr) -> bool:
    return isinstance(node, e.Call) and not node.args and node.function in NILADIC and _unquoted(node)


def _unquoted(node: e.Call) -> bool:
    return len(node.name.parts) == 1 and not node.name.parts[0].quoted


def _arguments(node: e.Call) -> str:
    args, name = node.args, node.function
    special = _unquoted(node)
    if special and name == "EXTRACT":
        return f"{to_sql(args[0])} FROM {to_sql(args[1])}"
    if special and name in ("FLOOR", "CEIL", "CEILING") and len(args) == 2 and isinstance(args[1], e.Keyword):
        # an interval before TO would take the unit for its own
        simple = isinstance(args[0], (e.ColumnRef, e.Call, e.Cast))
        return f"{to_sql(args[0]) if simple else f'({to_sql(args[0])})'} TO {to_sql(args[1])}"
    if special and name == "TRIM" and len(args) == 3:
        return f"{to_sql(args[0])} {to_sql(args[1])} FROM {to_sql(args[2])}"
    if special and name == "POSITION":
        last = f" FROM {to_sql(args[2])}" if len(args) > 2 else ""
        return f"{operand(args[0], _STRENGTH_OF_OPERAND)} IN {to_sql(args[1])}{last}"
    if special and name in ("JSON_OBJECT", "JSON_OBJECTAGG"):
        pairs = (f"{to_sql(k)} VALUE {to_sql(v)}" for k, v in zip(args[::2], args[1::2]))
        return ", ".join(pairs)
    return commas(args)


@to_sql.register
def _(node: e.Call) -> str:
    if _niladic(node):
        return to_sql(node.name)
    inner = [_arguments(node)] if node.args else []
    if node.distinct:
        inner.insert(0, "DISTINCT")
    if node.order_by:
        inner.append(f"ORDER BY {commas(node.order_by)}")
    if node.json is not None:
        inner.append(to_sql(node.json))
    text = f"{to_sql(node.name)}({' '.join(inner)})"
    if node.match_scope is not None:
        text = f"{node.match_scope} {text}"
    if node.nulls is not None:
        text += f" {node.nulls} NULLS"
    if node.within_group:
        text += f" WITHIN GROUP (ORDER BY {commas(node.within_group)})"
    if node.filter is not None:
        text += f" FILTER (WHERE {to_sql(node.filter)})"
    if node.over is not None:
        text += f" OVER {to_sql(node.over)}"
    return text


@to_sql.register
def _(node: e.OrderItem) -> str:
    nulls = "" if node.nulls_first is None else f" NULLS {'FIRST' if node.nulls_first else 'LAST'}"
    return f"{to_sql(node.expr)}{' DESC' if node.descending else ''}{nulls}"


@to_sql.register
def _(node: e.FrameBound) -> str:
    return node.kind if node.value is None else f"{operand(node.value, AND + 1)} {node.kind}"


@to_sql.register
def _(node: e.Frame) -> str:
    if node.end is None:
        return f"{node.unit} {to_sql(node.start)}"
    return f"{node.unit} BETWEEN {to_sql(node.start)} AND {to_sql(node.end)}"


@to_sql.register
def _(node: e.WindowSpec) -> str:
    parts: list[str] = []
    if node.base is not None:
        parts.append(to_sql(node.base))
    if node.partition_by:
        parts.append(f"PARTITION BY {commas(node.partition_by)}")
    if node.order_by:
        parts.append(f"ORDER BY {commas(node.order_by)}")
    if node.frame is not None:
        parts.append(to_sql(node.frame))
    return f"({' '.join(parts)})"


@to_sql.register
def _(node: e.NamedWindow) -> str:
    return f"{to_sql(node.name)} AS {to_sql(node.spec)}"


# ---------------------------------------------------------------- queries


@to_sql.register
def _(node: q.Cte) -> str:
    columns = f" {brackets(node.columns)}" if node.columns else ""
    return f"{to_sql(node.name)}{columns} AS ({to_sql(node.query)})"


def _body(node: q.QueryBody) -> str:
    return f"({to_sql(node)})" if isinstance(node, (q.Query, q.SetOperation)) else to_sql(node)


@to_sql.register
def _(node: q.Query) -> str:
    text = ""
    if node.ctes:
        text = f"WITH {'RECURSIVE ' if node.recursive else ''}{commas(node.ctes)} "
    text += f"({to_sql(node.body)})" if isinstance(node.body, q.Query) else to_sql(node.body)
    if node.order_by:
        text += f" ORDER BY {commas(node.order_by)}"
    if node.limit is not None:
        text += f" LIMIT {to_sql(node.limit)}"
    if node.offset is not None:
        text += f" OFFSET {to_sql(node.offset)}"
    return text


@to_sql.register
def _(node: q.SetOperation) -> str:
    return f" {node.op}{' ALL' if node.all else ''} ".join(map(_body, node.inputs))


@to_sql.register
def _(node: q.Values) -> str:
    return f"VALUES {commas(node.rows)}"


@to_sql.register
def _(node: q.TableBody) -> str:
    return f"TABLE {to_sql(node.name)}"


@to_sql.register
def _(node: q.SelectItem) -> str:
    return to_sql(node.expr) + ("" if node.alias is None else f" AS {to_sql(node.alias)}")


@to_sql.register
def _(node: q.GroupingElement) -> str:
    return f"{node.kind} {brackets(node.items)}"


@to_sql.register
def _(node: q.GroupingSet) -> str:
    return brackets(node.items)


@to_sql.register
def _(node: q.GroupBy) -> str:
    return f"GROUP BY {'DISTINCT ' if node.distinct else ''}{', '.join(map(_grouping, node.items))}"


def _grouping(node: e.Expr) -> str:
    # `(a, b)` would be a set again, so a row is written with its word
    return to_sql(node)


@to_sql.register
def _(node: q.Select) -> str:
    text = f"SELECT{hints(node.hints)}{' DISTINCT' if node.distinct else ''} {commas(node.items)}"
    if node.source is not None:
        text += f" FROM {to_sql(node.source)}"
    if node.where is not None:
        text += f" WHERE {to_sql(node.where)}"
    if node.group_by is not None:
        text += f" {to_sql(node.group_by)}"
    if node.having is not None:
        text += f" HAVING {to_sql(node.having)}"
    if node.windows:
        text += f" WINDOW {commas(node.windows)}"
    if node.qualify is not None:
        text += f" QUALIFY {to_sql(node.qualify)}"
    return text


# the other nodes register themselves
from deras.sql.syntax import print_relations, print_statements  # noqa: E402, F401
