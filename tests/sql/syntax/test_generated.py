"""Drawn trees come back from their text, and broken scripts only ever give a syntax error."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from deras.core.errors import SqlSyntaxError
from deras.sql.syntax import ast as a
from deras.sql.syntax.parser import parse_expression, parse_query, parse_script
from deras.sql.syntax.printer import to_sql

HERE = Path(__file__).parent
NEXMARK = HERE.parents[2] / "bench" / "nexmark" / "queries"

bare = st.sampled_from(["a", "b", "t", "Key", "state", "first", "x1", "desc", "type", "final", "map", "hop"])
anything = st.text(min_size=1, max_size=5)
names = st.one_of(bare.map(a.Identifier), anything.map(lambda n: a.Identifier(n, quoted=True)))
columns = st.lists(names, min_size=1, max_size=3).map(lambda p: a.ColumnRef(tuple(p)))
some = st.integers(0, 3)


def tuples(items: st.SearchStrategy, least: int = 1, most: int = 3) -> st.SearchStrategy:
    return st.lists(items, min_size=least, max_size=most).map(tuple)


literals = st.one_of(
    st.integers(0, 10**20).map(lambda v: a.LiteralValue(a.LiteralKind.INTEGER, v)),
    st.from_regex(r"[0-9]{1,3}\.[0-9]{0,3}", fullmatch=True).map(lambda v: a.LiteralValue(a.LiteralKind.DECIMAL, v)),
    st.from_regex(r"[0-9]\.?[0-9]?[eE][+-]?[0-9]", fullmatch=True).map(
        lambda v: a.LiteralValue(a.LiteralKind.DOUBLE, v)
    ),
    st.text(max_size=6).map(lambda v: a.LiteralValue(a.LiteralKind.STRING, v)),
    st.binary(max_size=4).map(lambda v: a.LiteralValue(a.LiteralKind.BINARY, v)),
    st.booleans().map(lambda v: a.LiteralValue(a.LiteralKind.BOOLEAN, v)),
    st.just(a.LiteralValue(a.LiteralKind.NULL)),
    st.dates().map(lambda v: a.LiteralValue(a.LiteralKind.DATE, str(v))),
    st.datetimes().map(lambda v: a.LiteralValue(a.LiteralKind.TIMESTAMP, v.isoformat(" "))),
    st.builds(a.IntervalLiteral, st.integers(0, 99).map(str), st.sampled_from(["DAY", "HOUR", "SECOND", "MONTH"]),
              st.none(), st.booleans(), st.none() | some),
)  # fmt: skip
types = st.recursive(
    st.one_of(
        st.builds(a.DataType, st.sampled_from(["INT", "STRING", "BOOLEAN", "DATE", "BYTES"]),
                  nullable=st.none() | st.booleans()),
        st.builds(a.DataType, st.just("DECIMAL"), st.sampled_from([(), (5,), (10, 2)])),
        st.builds(a.DataType, st.just("TIMESTAMP_LTZ"), st.sampled_from([(), (3,)])),
    ),
    lambda inner: st.one_of(
        st.builds(a.DataType, st.sampled_from(["ARRAY", "MULTISET"]), st.just(()), tuples(inner, 1, 1)),
        st.builds(a.DataType, st.just("MAP"), st.just(()), tuples(inner, 2, 2)),
        st.builds(a.DataType, st.just("ROW"), fields=tuples(st.builds(a.TypeField, names, inner), 0)),
    ),
    max_leaves=4,
)  # fmt: skip
functions = st.one_of(names, st.sampled_from(["COUNT", "LEFT", "YEAR", "MOD"]).map(a.Identifier)).map(
    lambda n: a.ObjectName((n,))
)
# forms with a syntax of their own are drawn below
_SPECIAL = {"MAP"}


def plain(name: a.ObjectName) -> bool:
    return name.parts[0].quoted or name.parts[0].name.upper() not in _SPECIAL | {"FINAL"}


def order(expr: st.SearchStrategy) -> st.SearchStrategy:
    return st.builds(a.OrderItem, expr, st.booleans(), st.none() | st.booleans())


def windows(expr: st.SearchStrategy) -> st.SearchStrategy:
    bound = st.one_of(
        st.sampled_from(["UNBOUNDED PRECEDING", "CURRENT ROW", "UNBOUNDED FOLLOWING"]).map(a.FrameBound),
        st.builds(a.FrameBound, st.sampled_from(["PRECEDING", "FOLLOWING"]), literals),
    )
    frame = st.builds(a.Frame, st.sampled_from(["ROWS", "RANGE"]), bound, st.none() | bound)
    return st.builds(a.WindowSpec, st.none() | names, tuples(expr, 0), tuples(order(expr), 0), st.none() | frame)


def chained(expr: st.SearchStrategy) -> st.SearchStrategy:
    return st.builds(a.Chain, st.sampled_from(["AND", "OR", "||"]), tuples(expr, 2, 4))


def special(expr: st.SearchStrategy) -> st.SearchStrategy:
    def call(name: str, *args: st.SearchStrategy) -> st.SearchStrategy:
        made = a.ObjectName((a.Identifier(name),))
        return st.tuples(*args).map(lambda found: a.Call(made, found))

    unit = st.sampled_from(["YEAR", "DAY", "SECOND"]).map(a.Keyword)
    where = st.sampled_from(["BOTH", "LEADING", "TRAILING"]).map(a.Keyword)
    return st.one_of(
        call("EXTRACT", unit, expr),
        call("FLOOR", expr, unit),
        call("CEIL", expr),
        call("TRIM", where, expr, expr),
        call("TRIM", expr),
        call("POSITION", expr, expr),
        call("SUBSTRING", expr, expr),
        call("OVERLAY", expr, expr, expr),
        call("TIMESTAMPADD", unit, expr, expr),
        call("JSON_OBJECT", expr, expr),
        call("CURRENT_DATE"),
    )


def grow(expr: st.SearchStrategy) -> st.SearchStrategy:
    return st.one_of(
        st.builds(a.Unary, st.sampled_from(["NOT", "-", "+"]), expr),
        st.builds(a.Binary, st.sampled_from(["+", "-", "*", "/", "%", "=", "<>", "<", ">=", "IS DISTINCT FROM"]), expr, expr),
        chained(expr),
        st.builds(a.Is, expr, st.sampled_from(["NULL", "TRUE", "UNKNOWN", "JSON OBJECT"]), st.booleans()),
        st.builds(a.Between, expr, expr, expr, st.booleans(), st.booleans()),
        st.builds(a.InList, expr, tuples(expr), st.booleans()),
        st.builds(a.Like, expr, expr, st.none() | expr, st.sampled_from(["LIKE", "SIMILAR TO"]), st.booleans()),
        st.builds(a.Case, st.none() | expr, tuples(st.builds(a.When, expr, expr)), st.none() | expr),
        st.builds(a.Cast, expr, types, st.booleans()),
        st.builds(a.RowValue, tuples(expr, 2), st.booleans()),
        st.builds(a.ArrayValue, tuples(expr, 0), st.sampled_from(["ARRAY", "MULTISET"])),
        st.builds(a.MapValue, st.tuples(expr, expr)),
        st.builds(a.ItemAccess, expr, expr),
        st.builds(a.FieldAccess, expr, st.none() | names).filter(lambda f: not isinstance(f.base, a.LiteralValue)),
        st.builds(a.Call, functions.filter(plain), tuples(expr, 1), st.booleans(), tuples(order(expr), 0, 1),
                  filter=st.none() | expr, over=st.none() | windows(expr) | names),
        special(expr),
    )  # fmt: skip


expressions = st.recursive(st.one_of(columns, literals), grow, max_leaves=8)
small = st.recursive(st.one_of(columns, literals), grow, max_leaves=3)


def relation(query: st.SearchStrategy) -> st.SearchStrategy:
    alias = st.builds(a.Alias, names, tuples(names, 0, 2))
    one = st.one_of(
        st.builds(a.TableRef, tuples(names).map(a.ObjectName), st.none() | alias, as_of=st.none() | columns),
        st.builds(a.SubqueryRelation, query, st.none() | alias, st.booleans()),
        st.builds(a.Unnest, tuples(columns, 1, 2), st.booleans(), alias),
    )
    joined = st.builds(a.Join, one, one, st.sampled_from(["INNER", "LEFT", "RIGHT", "FULL"]), small)
    return st.one_of(one, joined, st.builds(a.Join, joined, one, st.sampled_from(["COMMA", "CROSS"])))


def make_query(query: st.SearchStrategy) -> st.SearchStrategy:
    item = st.one_of(st.builds(a.SelectItem, small, st.none() | names), st.just(a.SelectItem(a.Star())))
    select = st.builds(
        a.Select, tuples(item), relation(query), st.none() | small,
        st.none() | st.builds(a.GroupBy, tuples(columns)), st.none() | small, distinct=st.booleans(),
    )  # fmt: skip
    union = st.builds(
        a.SetOperation, st.sampled_from(["UNION", "INTERSECT", "EXCEPT"]), st.booleans(), tuples(select, 2)
    )
    count = st.none() | some.map(lambda v: a.LiteralValue(a.LiteralKind.INTEGER, v))
    return st.builds(a.Query, st.one_of(select, union), order_by=tuples(order(small), 0, 2), limit=count, offset=count)


first_query = st.builds(a.Query, st.builds(a.Select, tuples(st.builds(a.SelectItem, small))))
queries = st.recursive(first_query, make_query, max_leaves=3)

many = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
some_of = settings(many, max_examples=120)


FINAL = a.ColumnRef((a.Identifier("final"),))


@many
@given(expressions)
@example(a.InList(FINAL, (FINAL,)))
@example(a.Chain("AND", (FINAL, a.RowValue((FINAL, FINAL), explicit=False))))
def test_an_expression_comes_back_from_its_text(tree: a.Expr) -> None:
    assert parse_expression(to_sql(tree)) == tree


@some_of
@given(queries)
def test_a_query_comes_back_from_its_text(tree: a.Query) -> None:
    assert parse_query(to_sql(tree)) == tree


@cache
def pieces() -> list[str]:
    """Single statements of all test scripts, the short ones."""
    found = []
    for file in sorted([*NEXMARK.glob("q*.sql"), *(HERE / "scripts").glob("*.sql")]):
        text = file.read_text()
        found += [text[s.span.start : s.span.end] for s in parse_script(text)]
    return [f for f in found if len(f) < 1500]


def read(text: str) -> list[a.Statement]:
    """The statements; none for a syntax error, whose place must lie in the text."""
    try:
        return parse_script(text)
    except SqlSyntaxError as error:
        span, shown = error.span, error.render()
    assert span is not None
    assert 0 <= span.start <= span.end <= len(text)
    assert shown
    return []


NOISE = ["(", ")", ",", ";", "'", "`", "\"", ".", "SELECT", " FROM ", " AS ", "/*", "*/", "--", "\n", "-", "$", "é", "0",
         "'x'", "`y`", " NOT ", "END", "[", "]", "<", ">", "/*+", "{", "=>", "\x00", "\ud7ff", "1e", "U&'", "X'"]  # fmt: skip


@many
@given(st.data())
def test_a_broken_statement_gives_a_syntax_error_or_a_tree(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(pieces()))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        end = min(len(text), at + data.draw(st.integers(0, 8)))
        text = text[:at] + data.draw(st.sampled_from(["", *NOISE])) + text[end:]
    trees = read(text)
    for tree in trees:
        assert parse_script(to_sql(tree)) == [tree]


@many
@given(st.lists(st.sampled_from([*NOISE, "a", "1", "+", " ", "*", "CASE", "WHEN", "IN", "BETWEEN", "AND", "JOIN", "ON", "VALUES",
                                 "CREATE", "TABLE", "INT", "WITH", "MAP", "INTERVAL", "OVER", "f(", "CAST("]), max_size=25))  # fmt: skip
def test_any_words_give_a_syntax_error_or_a_tree(words: list[str]) -> None:
    for text in ("".join(words), " ".join(words), "SELECT " + " ".join(words)):
        read(text)
