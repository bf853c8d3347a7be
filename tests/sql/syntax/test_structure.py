"""What is parsed into what: precedence, names, calls, limits."""

from __future__ import annotations

import pytest

from deras.core.errors import SqlSyntaxError
from deras.sql.syntax.ast import (
    Call,
    Chain,
    ColumnRef,
    CreateTable,
    Identifier,
    InQuery,
    Join,
    Keyword,
    LiteralValue,
    Node,
    PhysicalColumn,
    Query,
    ScalarSubquery,
    Select,
    SetOperation,
    TableRef,
    transform,
)
from deras.sql.syntax.parser import parse_expression, parse_query, parse_script, parse_statement, parse_type
from deras.sql.syntax.printer import to_sql


def shape(text: str) -> str:
    """An expression with all brackets written."""

    def show(node: Node) -> str:
        if isinstance(node, (ColumnRef, LiteralValue, Identifier)):
            return to_sql(node)
        name = getattr(node, "op", "") or type(node).__name__
        return f"({' '.join([name, *map(show, node.children())])})"

    return show(parse_expression(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a OR b AND NOT c", "(OR a (AND b (NOT c)))"),
        ("NOT a = b AND c", "(AND (NOT (= a b)) c)"),
        ("NOT a IS NULL", "(NOT (Is a))"),
        ("a = b IS NULL", "(Is (= a b))"),
        ("a + b * c - d", "(- (+ a (* b c)) d)"),
        ("a - b - c", "(- (- a b) c)"),
        ("-a * b", "(* (- a) b)"),
        ("-a[1]", "(- (ItemAccess a 1))"),
        ("a || b || c", "(|| a b c)"),
        ("a || b * c", "(* (|| a b) c)"),
        ("a + b || c", "(+ a (|| b c))"),
        ("a AND b AND (c AND d)", "(AND a b (AND c d))"),
        ("(a AND b) AND c", "(AND (AND a b) c)"),
        ("a < b = c", "(= (< a b) c)"),
        ("a = b BETWEEN c AND d", "(= a (Between b c d))"),
        ("a BETWEEN b + 1 AND c AND d", "(AND (Between a (+ b 1) c) d)"),
        ("a LIKE b || c", "(LIKE a (|| b c))"),
        ("a IS DISTINCT FROM b + c", "(IS DISTINCT FROM a (+ b c))"),
        ("a IN (1, 2) AND b", "(AND (InList a 1 2) b)"),
        ("a NOT IN (1) IS TRUE", "(Is (InList a 1))"),
        ("a = NOT b", "(= a (NOT b))"),
        ("(a)", "a"),
        ("((a + b))", "(+ a b)"),
        ("f(x).y[1].z", "(FieldAccess (ItemAccess (FieldAccess (Call (ObjectName f) x) y) 1) z)"),
    ],
)
def test_precedence(text: str, expected: str) -> None:
    assert shape(text) == expected


def test_special_forms_are_plain_calls() -> None:
    call = parse_expression("EXTRACT(year FROM ts)")
    assert isinstance(call, Call)
    assert call.function == "EXTRACT"
    assert call.args == (Keyword("YEAR"), ColumnRef((Identifier("ts"),)))
    trim = parse_expression("TRIM('x' FROM a)")
    assert isinstance(trim, Call)
    assert trim.args[0] == Keyword("BOTH")
    now = parse_expression("current_timestamp")
    assert isinstance(now, Call)
    assert (now.function, now.args) == ("CURRENT_TIMESTAMP", ())


def test_a_quoted_special_name_is_an_ordinary_function() -> None:
    call = parse_expression("`trim`(a, b, c)")
    assert isinstance(call, Call)
    assert parse_expression(to_sql(call)) == call


def test_names_keep_case_and_quotes() -> None:
    ref = parse_expression("Cat.`my col`.X")
    assert ref == ColumnRef((Identifier("Cat"), Identifier("my col", quoted=True), Identifier("X")))
    assert Identifier("a") != Identifier("A")


def test_brackets_around_a_query_do_not_matter() -> None:
    plain = parse_expression("(SELECT 1)")
    assert isinstance(plain, ScalarSubquery)
    assert parse_expression("((SELECT 1))") == plain
    assert isinstance(parse_expression("a IN ((SELECT 1))"), InQuery)
    assert shape("((SELECT 1) + 2)").startswith("(+ (ScalarSubquery")
    both = parse_expression("((SELECT 1) UNION (SELECT 2))")
    assert isinstance(both, ScalarSubquery)
    assert isinstance(both.query.body, SetOperation)


def test_set_operations_bind_and_stay_flat() -> None:
    query = parse_query("SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION SELECT 4 INTERSECT SELECT 5")
    assert isinstance(query.body, SetOperation)
    assert (query.body.op, query.body.all, len(query.body.inputs)) == ("UNION", False, 2)
    first, second = query.body.inputs
    assert isinstance(first, SetOperation)
    assert (first.all, len(first.inputs)) == (True, 3)
    assert isinstance(second, SetOperation)
    assert second.op == "INTERSECT"


def test_order_and_limit_belong_to_the_whole_union() -> None:
    query = parse_query("SELECT 1 UNION ALL SELECT 2 ORDER BY 1 LIMIT 3")
    assert query.limit is not None
    inner = parse_query("(SELECT 1 LIMIT 3) UNION ALL SELECT 2")
    assert inner.limit is None
    assert isinstance(inner.body, SetOperation)
    assert isinstance(inner.body.inputs[0], Query)


def test_joins_bind_from_the_left_and_tighter_than_commas() -> None:
    query = parse_query("SELECT * FROM a, b JOIN c ON TRUE LEFT JOIN d ON TRUE")
    assert isinstance(query.body, Select)
    source = query.body.source
    assert isinstance(source, Join)
    assert source.kind == "COMMA"
    assert isinstance(source.right, Join)
    assert source.right.kind == "LEFT"
    assert isinstance(source.right.left, Join)


def test_the_alias_of_a_table_in_time_follows_the_time() -> None:
    query = parse_query("SELECT * FROM o JOIN r FOR SYSTEM_TIME AS OF o.ts AS x ON TRUE")
    assert isinstance(query.body, Select)
    assert isinstance(query.body.source, Join)
    right = query.body.source.right
    assert isinstance(right, TableRef)
    assert right.as_of == parse_expression("o.ts")
    assert right.alias is not None
    assert right.alias.name.name == "x"


@pytest.mark.parametrize(
    ("text", "name", "args", "nullable"),
    [
        ("INTEGER", "INT", (), None),
        ("NUMERIC(10, 2) NOT NULL", "DECIMAL", (10, 2), False),
        ("CHARACTER VARYING(3)", "VARCHAR", (3,), None),
        ("TIMESTAMP(3) WITH LOCAL TIME ZONE", "TIMESTAMP_LTZ", (3,), None),
        ("TIMESTAMP WITHOUT TIME ZONE", "TIMESTAMP", (), None),
        ("DOUBLE PRECISION NULL", "DOUBLE", (), True),
        ("real", "FLOAT", (), None),
        ("INTERVAL DAY TO SECOND(3)", "INTERVAL", (2, 3), None),
        ("INT ARRAY", "ARRAY", (), None),
    ],
)
def test_types_are_normalised(text: str, name: str, args: tuple[int, ...], nullable: bool | None) -> None:
    found = parse_type(text)
    assert (found.name, found.args, found.nullable) == (name, args, nullable)
    assert parse_type(to_sql(found)) == found


def test_nested_types() -> None:
    found = parse_type("MAP<STRING NOT NULL, ARRAY<ROW<a INT, `b c` ARRAY<INT NOT NULL>>>>")
    assert [e.name for e in found.elements] == ["STRING", "ARRAY"]
    row = found.elements[1].elements[0]
    assert [f.name.name for f in row.fields] == ["a", "b c"]
    assert row.fields[1].type.elements[0].nullable is False


def test_options_know_their_places() -> None:
    text = "CREATE TABLE t (a INT) WITH ('connector' = 'x', 'k'='v')"
    table = parse_statement(text)
    assert isinstance(table, CreateTable)
    option = table.options[1]
    assert text[option.key_span.start : option.key_span.end] == "'k'"
    assert text[option.value_span.start : option.value_span.end] == "'v'"


def test_transform_changes_and_shares() -> None:
    table = parse_statement("CREATE TABLE t (a INT, b STRING)")
    assert transform(table, lambda n: n) is table

    def rename(node: Node) -> Node:
        return Identifier("z") if node == Identifier("a") else node

    changed = transform(table, rename)
    assert isinstance(changed, CreateTable)
    assert isinstance(table, CreateTable)
    first = changed.columns[0]
    assert isinstance(first, PhysicalColumn)
    assert first.name.name == "z"
    assert changed.columns[1] is table.columns[1]


def test_walk_is_in_text_order() -> None:
    names = [n.name for n in parse_expression("a + f(b, c) * d").walk() if isinstance(n, Identifier)]
    assert names == ["a", "f", "b", "c", "d"]


@pytest.mark.parametrize("op", ["AND", "OR", "||"])
def test_long_chains_are_flat(op: str) -> None:
    found = parse_expression(f" {op} ".join(f"a{i}" for i in range(5000)))
    assert isinstance(found, Chain)
    assert len(found.terms) == 5000
    assert parse_expression(to_sql(found)) == found


def test_long_unions_and_lists_are_flat() -> None:
    union = parse_query(" UNION ALL ".join(["SELECT 1"] * 2000))
    assert isinstance(union.body, SetOperation)
    assert len(union.body.inputs) == 2000
    assert len(parse_script("INSERT INTO t VALUES " + ", ".join(["(1, 'a')"] * 5000))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "1" + ")" * 10_000,
        "NOT " * 10_000 + "a",
        "- " * 10_000 + "a",
        "f(" * 10_000 + "1" + ")" * 10_000,
        "CASE WHEN a THEN " * 10_000,
        "(SELECT " * 10_000,
        "ARRAY[" * 10_000,
        "CAST(a AS " + "ARRAY<" * 10_000,
        "x IN (" * 10_000,
        " + ".join(["a"] * 10_000),
        "a" + "[1]" * 10_000,
        "f(a)" + ".b" * 10_000,
        "a BETWEEN (" * 10_000,
        "a IS NULL" + " IS NULL" * 10_000,
    ],
    ids=lambda t: t[:12],
)
def test_deep_nesting_is_an_error_and_not_a_crash(text: str) -> None:
    with pytest.raises(SqlSyntaxError, match="nested"):
        parse_expression(text)


@pytest.mark.parametrize("text", ["SELECT * FROM " + "(" * 5000, "SELECT * FROM a" + ", b" * 3000,
                                  "SELECT * FROM a" + " CROSS JOIN b" * 3000, "WITH a AS (" * 3000,
                                  "SELECT 1 GROUP BY ROLLUP(" * 10, "SELECT a FROM t GROUP BY " + "CUBE(" * 5000,
                                  "SELECT * FROM t MATCH_RECOGNIZE (PATTERN (" + "(" * 5000,
                                  "EXPLAIN " * 5000])  # fmt: skip
def test_deep_statements_are_errors_too(text: str) -> None:
    with pytest.raises(SqlSyntaxError):
        parse_script(text)


def test_what_people_nest_is_allowed() -> None:
    parse_expression("(" * 60 + "a" + ")" * 60)
    parse_query("SELECT * FROM (" * 25 + "SELECT 1" + ")" * 25)
    parse_expression(" + ".join(["a"] * 200))


def test_one_statement_means_one() -> None:
    assert parse_statement("SELECT 1;") == parse_statement("SELECT 1")
    with pytest.raises(SqlSyntaxError, match="more than one"):
        parse_statement("SELECT 1; SELECT 2")
    with pytest.raises(SqlSyntaxError, match="no statement"):
        parse_statement(" -- nothing\n")
    assert parse_script(" ;; ") == []


def test_keywords_ignore_case() -> None:
    text = "create temporary table t (a int metadata from 'x' virtual, primary key (a) not enforced) with ('a'='b')"
    assert parse_statement(text) == parse_statement(
        "CREATE TEMPORARY TABLE t (a INT METADATA FROM 'x' VIRTUAL, PRIMARY KEY (a) NOT ENFORCED) WITH ('a' = 'b')"
    )
