"""Queries: WITH, SELECT, set operations, VALUES, ORDER BY and LIMIT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from deras.sql.syntax.expressions import (
    Expr,
    LiteralKind,
    LiteralValue,
    NamedWindow,
    OrderItem,
    RowValue,
    Star,
)
from deras.sql.syntax.lexer import Kind
from deras.sql.syntax.parse_expr import QUERY_START
from deras.sql.syntax.parse_relation import RelationParser
from deras.sql.syntax.queries import (
    Cte,
    GroupBy,
    GroupingElement,
    GroupingSet,
    Query,
    QueryBody,
    Relation,
    Select,
    SelectItem,
    SetOperation,
    TableBody,
    Values,
)

if TYPE_CHECKING:
    from deras.sql.syntax.nodes import Identifier

_SetOp = Literal["UNION", "INTERSECT", "EXCEPT"]


class QueryParser(RelationParser):
    """Reads whole queries."""

    def query(self) -> Query:
        """``[WITH …] body [ORDER BY …] [LIMIT …]``."""
        self.enter()
        start = self.token.start
        ctes: tuple[Cte, ...] = ()
        recursive = False
        if self.accept("WITH"):
            recursive = self.accept_silently("RECURSIVE")
            ctes = self.comma_list(self._cte)
        found = self._ordered(self._union(None, start), start, ctes, recursive=recursive)
        self.depth -= 1
        return found

    def query_after(self, first: Query) -> Query:
        """The rest of a query whose first operand stood in brackets."""
        return self._ordered(self._union(_plain(first), first.span.start), first.span.start, ())

    def _cte(self) -> Cte:
        start = self.token.start
        name = self.identifier()
        columns = self.names() if self.token.key == "(" else ()
        self.expect("AS")
        self.expect("(")
        query = self.query()
        self.expect(")")
        return Cte(name, columns, query, span=self.since(start))

    def _ordered(self, body: QueryBody, start: int, ctes: tuple[Cte, ...], *, recursive: bool = False) -> Query:
        order_by: tuple[OrderItem, ...] = ()
        limit: Expr | None = None
        offset: Expr | None = None
        if self.accept("ORDER"):
            self.expect("BY")
            order_by = self.comma_list(self.order_item)
        if order_by and self.token.key in ("WHERE", "GROUP", "HAVING"):
            word = "GROUP BY" if self.token.key == "GROUP" else self.token.key
            raise self.error(f"{word} must stand before ORDER BY", self.token.span)
        if self.accept("LIMIT") and not self.accept("ALL"):
            limit = self._count()
            if self.token.key == ",":
                raise self.error("LIMIT takes one number", self.token.span, hint="Write LIMIT count OFFSET start.")
        if self.accept("OFFSET"):
            offset = self._count()
            self.accept_any("ROW", "ROWS")
            if limit is None and self.accept("LIMIT"):
                raise self.error("OFFSET must follow LIMIT", self.since(start), hint="Write LIMIT count OFFSET start.")
        if limit is None and self.accept("FETCH"):
            self.expect_any("FIRST", "NEXT")
            limit = self._count()
            self.expect_any("ROW", "ROWS")
            self.expect("ONLY")
        bare = isinstance(body, Query) and not (ctes or order_by or limit or offset)
        if bare and isinstance(body, Query):
            return body
        return Query(body, ctes, recursive, order_by, limit, offset, span=self.since(start))

    def _count(self) -> Expr:
        start = self.token.start
        if self.token.kind is not Kind.INTEGER:
            self.tried.append("a number of rows")
            self.fail("Write a whole number, such as 10.")
        value = self.integer()
        return LiteralValue(LiteralKind.INTEGER, value, span=self.since(start))

    # ------------------------------------------------------------ set operations

    def _union(self, first: QueryBody | None, start: int) -> QueryBody:
        left = self._intersect(first, start)
        while self.token.key in ("UNION", "EXCEPT"):
            op: _SetOp = "UNION" if self.token.key == "UNION" else "EXCEPT"
            every = self._all(op)
            inputs = [left, self._intersect(None, self.token.start)]
            while self.token.key == op and self._next_all() == every:
                self._all(op)
                inputs.append(self._intersect(None, self.token.start))
            left = SetOperation(op, every, tuple(inputs), span=self.since(start))
        if self.token.key == "MINUS":
            raise self.error("MINUS is not Flink SQL", self.token.span, hint="Write EXCEPT.")
        self.tried.extend(("UNION", "INTERSECT", "EXCEPT"))
        return left

    def _intersect(self, first: QueryBody | None, start: int) -> QueryBody:
        left = first or self._body()
        while self.token.key == "INTERSECT":
            every = self._all("INTERSECT")
            inputs = [left, self._body()]
            while self.token.key == "INTERSECT" and self._next_all() == every:
                self._all("INTERSECT")
                inputs.append(self._body())
            left = SetOperation("INTERSECT", every, tuple(inputs), span=self.since(start))
        return left

    def _all(self, op: str) -> bool:
        self.expect(op)
        return self.accept_any("ALL", "DISTINCT") == "ALL"

    def _next_all(self) -> bool:
        return self.peek().key == "ALL"

    def _body(self) -> QueryBody:
        start = self.token.start
        key = self.token.key
        if key == "SELECT":
            return self._select(start)
        if key == "VALUES":
            return self._values(start)
        if key == "TABLE":
            self.advance()
            return TableBody(self.object_name("a name of a table"), span=self.since(start))
        if key == "(":
            self.advance()
            query = self.query()
            self.expect(")")
            return _plain(query)
        if key == "FROM":
            raise self.error("a query starts with SELECT", self.token.span, hint="Write SELECT * FROM …")
        self.tried.extend(("SELECT", "VALUES", "TABLE", "("))
        raise self.unexpected()

    def _values(self, start: int) -> Values:
        self.expect("VALUES")
        rows = self.comma_list(self._values_row)
        return Values(rows, span=self.since(start))

    def _values_row(self) -> RowValue:
        start = self.token.start
        if self.token.key == "(" and self.peek().key not in QUERY_START:
            items = self.bracket_list(self.expression)
            return RowValue(items, explicit=False, span=self.since(start))
        found = self.expression()
        if isinstance(found, RowValue):
            return found
        return RowValue((found,), explicit=False, span=self.since(start))

    # ------------------------------------------------------------ SELECT

    def _select(self, start: int) -> Select:
        self.expect("SELECT")
        hints = self.hints()
        distinct = self.accept_any("DISTINCT", "ALL") == "DISTINCT" if self.token.key in ("DISTINCT", "ALL") else False
        items = self.comma_list(self._item)
        source: Relation | None = None
        where: Expr | None = None
        group_by: GroupBy | None = None
        having: Expr | None = None
        qualify: Expr | None = None
        windows: tuple[NamedWindow, ...] = ()
        if self.accept("FROM"):
            source = self.from_clause()
            where = self.expression() if self.accept("WHERE") else None
            group_by = self._group_by() if self.accept("GROUP") else None
            having = self.expression() if self.accept("HAVING") else None
            if self.accept("WINDOW"):
                windows = self.comma_list(self._named_window)
            qualify = self.expression() if self.accept("QUALIFY") else None
            self._misplaced(where, group_by, having)
        return Select(
            items, source, where, group_by, having, windows, qualify, distinct, hints, span=self.since(start)
        )  # fmt: skip

    def _misplaced(self, where: Expr | None, group_by: GroupBy | None, having: Expr | None) -> None:
        key = self.token.key
        if key == "WHERE" and where is None and (group_by or having):
            raise self.error(
                "WHERE must stand before GROUP BY",
                self.token.span,
                hint="Move WHERE up, or use HAVING to filter groups.",
            )
        if key == "GROUP" and group_by is None and having is not None:
            raise self.error("GROUP BY must stand before HAVING", self.token.span)
        if key == "WHERE" and where is not None:
            raise self.error("there are two WHERE clauses", self.token.span, hint="Join the conditions with AND.")

    def _item(self) -> SelectItem:
        start = self.token.start
        expr = self.expression()
        alias: Identifier | None = None
        if isinstance(expr, Star):
            return SelectItem(expr, span=self.since(start))
        if self.accept("AS"):
            alias = self.identifier("an alias")
        elif self.is_name():
            alias = self.identifier()
        else:
            self.tried.append("an alias")
        if alias is None and self.token.kind is Kind.STRING:
            raise self.error("an alias is not text", self.token.span, hint="Write the alias bare or in backticks.")
        return SelectItem(expr, alias, span=self.since(start))

    def _named_window(self) -> NamedWindow:
        start = self.token.start
        name = self.identifier("a name of a window")
        self.expect("AS")
        return NamedWindow(name, self.window_spec(), span=self.since(start))

    def _group_by(self) -> GroupBy:
        start = self.tokens[self.at - 1].start
        self.expect("BY")
        distinct = self.accept_any("DISTINCT", "ALL") == "DISTINCT" if self.token.key in ("DISTINCT", "ALL") else False
        return GroupBy(self.comma_list(self._grouping), distinct, span=self.since(start))

    def _grouping(self) -> Expr:
        self.enter()
        found = self._grouping_element()
        self.depth -= 1
        return found

    def _grouping_element(self) -> Expr:
        start = self.token.start
        if self.at_words("GROUPING", "SETS"):
            self.expect("GROUPING", "SETS")
            return GroupingElement("GROUPING SETS", self.bracket_list(self._grouping), span=self.since(start))
        if self.token.key in ("CUBE", "ROLLUP"):
            if self.advance().key == "CUBE":
                return GroupingElement("CUBE", self.bracket_list(self._grouping), span=self.since(start))
            return GroupingElement("ROLLUP", self.bracket_list(self._grouping), span=self.since(start))
        if self.accept_silently("("):
            if self.accept_silently(")"):
                return GroupingSet((), span=self.since(start))
            # `(a + b) * 2` is an expression, `(a, b)` a set: the end of the brackets tells
            close = self._closing()
            if self.peek(close - self.at + 1).key in (",", ")", ";", "") or not self._operator_at(close + 1):
                items = self.comma_list(self.expression)
                self.expect(")")
                return GroupingSet(items, span=self.since(start))
            self.at -= 1
            self.token = self.tokens[self.at]
        return self.expression()

    def _closing(self) -> int:
        """The index of the bracket that closes the one just passed."""
        depth, at = 1, self.at
        while at < len(self.tokens) - 1:
            key = self.tokens[at].key
            depth += (key == "(") - (key == ")")
            if depth == 0:
                return at
            at += 1
        return at

    def _operator_at(self, at: int) -> bool:
        token = self.tokens[min(at, len(self.tokens) - 1)]
        if token.kind is Kind.OPERATOR:
            return token.key not in (",", ")", ";")
        return token.key in ("AND", "OR", "IS", "NOT", "BETWEEN", "IN", "LIKE", "SIMILAR")


def _plain(query: Query) -> QueryBody:
    """What stood in brackets, without the brackets where they do nothing."""
    if query.ctes or query.order_by or query.limit is not None or query.offset is not None:
        return query
    return query.body
