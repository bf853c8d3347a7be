"""FROM: tables, subqueries, table functions, joins, hints, MATCH_RECOGNIZE."""

from __future__ import annotations

import dataclasses
from typing import Literal

from deras.sql.syntax.expressions import Call, Expr, NamedArgument, ScalarSubquery, TableArgument
from deras.sql.syntax.lexer import Kind
from deras.sql.syntax.nodes import Hint, Property
from deras.sql.syntax.parse_expr import QUERY_GOES_ON, QUERY_START
from deras.sql.syntax.parse_match import MatchParser
from deras.sql.syntax.queries import (
    Alias,
    FunctionRelation,
    Join,
    ParenRelation,
    Relation,
    SubqueryRelation,
    TableRef,
    Unnest,
)

_Kind = Literal["INNER", "LEFT", "RIGHT", "FULL", "CROSS", "COMMA", "ASOF", "LEFT ASOF"]
_JOIN_WORDS = ("JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "NATURAL")
_SPACE_OF_CHAIN = 60


class RelationParser(MatchParser):
    """Reads what stands in FROM."""

    def from_clause(self) -> Relation:
        """Relations with commas; each may be a chain of joins."""
        start = self.token.start
        left = self._joins()
        length = 0
        while self.accept(","):
            length += 1
            if length == _SPACE_OF_CHAIN:
                self.long_chain = True
            if self.token.key in ("WHERE", "GROUP", "ORDER", "LIMIT"):
                self.tried.append("a table")
                self.fail()
            left = Join(left, self._joins(), "COMMA", span=self.since(start))
        return left

    def _joins(self) -> Relation:
        start = self.token.start
        left = self._primary()
        length = 0
        while True:
            length += 1
            if length == _SPACE_OF_CHAIN:
                self.long_chain = True
            if self.token.key not in _JOIN_WORDS and not self.at_words("ASOF", "JOIN"):
                self.tried.extend(_JOIN_WORDS)
                return left
            left = self._join(left, start)

    def _join(self, left: Relation, start: int) -> Relation:
        natural = self.accept("NATURAL")
        kind = self._join_kind()
        right = self._primary()
        match_condition: Expr | None = None
        if kind in ("ASOF", "LEFT ASOF"):
            self.expect("MATCH_CONDITION")
            match_condition = self.expression()
        if self.accept_silently("ON"):
            if kind == "CROSS" or natural:
                name = "CROSS JOIN" if kind == "CROSS" else "NATURAL JOIN"
                raise self.error(f"{name} takes no ON", self.tokens[self.at - 1].span, hint="Write JOIN … ON ….")
            on = self.expression()
            return Join(left, right, kind, on, (), natural, match_condition, span=self.since(start))
        if self.accept_silently("USING"):
            using = self.names()
            return Join(left, right, kind, None, using, natural, match_condition, span=self.since(start))
        if kind != "CROSS" and not natural:
            self.tried.extend(("ON", "USING"))
            self.fail("A join needs a condition; a product of all rows is CROSS JOIN." if not self.is_name() else "")
        return Join(left, right, kind, None, (), natural, match_condition, span=self.since(start))

    def _join_kind(self) -> _Kind:
        if self.at_words("ASOF", "JOIN"):
            self.expect("ASOF", "JOIN")
            return "ASOF"
        word = self.accept_any("INNER", "LEFT", "RIGHT", "FULL", "CROSS")
        if word == "LEFT" and self.at_words("ASOF", "JOIN"):
            self.expect("ASOF", "JOIN")
            return "LEFT ASOF"
        if word == "LEFT" and self.token.key in ("SEMI", "ANTI"):
            semi = self.token.key == "SEMI"
            hint = f"Write WHERE {'' if semi else 'NOT '}EXISTS (SELECT …) or {'' if semi else 'NOT '}IN (SELECT …)."
            raise self.error(f"LEFT {self.token.key} JOIN is not Flink SQL", self.token.span, hint=hint)
        if word in ("LEFT", "RIGHT", "FULL"):
            self.accept("OUTER")
        self.expect("JOIN")
        kinds: dict[str, _Kind] = {"LEFT": "LEFT", "RIGHT": "RIGHT", "FULL": "FULL", "CROSS": "CROSS"}
        return kinds.get(word, "INNER")

    # ------------------------------------------------------------ one relation

    def _primary(self) -> Relation:
        self.enter()
        start = self.token.start
        lateral = self.accept_silently("LATERAL")
        found: Relation
        key = self.token.key
        if key == "(":
            found = self._bracketed(start, lateral=lateral)
        elif key == "UNNEST" and self.token.kind is Kind.WORD:
            found = self._unnest(start)
        elif key == "TABLE" and self.peek().key == "(":
            self.expect("TABLE", "(")
            call = self._table_call()
            self.expect(")")
            found = FunctionRelation(call, lateral=lateral, span=self.since(start))
        elif self._function_parts():
            call = self._table_call()
            found = FunctionRelation(call, lateral=lateral, wrapped=False, span=self.since(start))
        elif lateral:
            self.tried.extend(("TABLE", "("))
            self.fail()
        else:
            found = self._table(start)
        if self.token.key == "MATCH_RECOGNIZE":
            found = self.match_recognize(found, start)
        found = self._aliased(found, start)
        if self.token.key == "FOR" and self.peek().key == "SYSTEM_TIME":
            raise self.error(
                "FOR SYSTEM_TIME AS OF must stand before the alias",
                self.token.span,
                hint="Write table FOR SYSTEM_TIME AS OF time AS alias.",
            )
        if self.token.key == "MATCH_RECOGNIZE":
            raise self.error(
                "MATCH_RECOGNIZE must stand before the alias",
                self.token.span,
                hint="Write table MATCH_RECOGNIZE (…) AS alias.",
            )
        if self.token.key in ("TABLESAMPLE", "PIVOT", "UNPIVOT"):
            raise self.error(f"{self.token.key} is not supported", self.token.span)
        self.depth -= 1
        return found

    def _table(self, start: int) -> Relation:
        if not self.is_name():
            token = self.token
            self.tried.extend(("a name of a table", "("))
            if token.key in QUERY_START:
                self.fail("Put the subquery in brackets.")
            self.fail()
        name = self.object_name("a name of a table")
        hints = self.hints()
        as_of: Expr | None = None
        if self.at_words("FOR", "SYSTEM_TIME"):
            self.expect("FOR", "SYSTEM_TIME", "AS", "OF")
            as_of = self.expression()
        return TableRef(name, None, hints, as_of, span=self.since(start))

    def _bracketed(self, start: int, *, lateral: bool) -> Relation:
        self.enter()
        self.expect("(")
        found: Relation
        if self.token.key in QUERY_START:
            query = self.query()
            self.expect(")")
            found = SubqueryRelation(query, lateral=lateral, span=self.since(start))
        else:
            inner = self.from_clause()
            plain = isinstance(inner, SubqueryRelation) and inner.alias is None and not inner.lateral
            if plain and isinstance(inner, SubqueryRelation) and self.token.key in (*QUERY_GOES_ON, ")"):
                query = self.query_after(inner.query)
                self.expect(")")
                found = SubqueryRelation(query, lateral=lateral, span=self.since(start))
            else:
                self.expect(")")
                if lateral:
                    raise self.error("LATERAL takes a query or a table function", self.since(start))
                found = ParenRelation(inner, span=self.since(start))
        self.depth -= 1
        return found

    def _unnest(self, start: int) -> Relation:
        self.expect("UNNEST")
        args = self.bracket_list(self.expression)
        ordinality = False
        if self.at_words("WITH", "ORDINALITY"):
            self.expect("WITH", "ORDINALITY")
            ordinality = True
        return Unnest(args, ordinality, span=self.since(start))

    def _table_call(self) -> Call:
        if not self._function_parts():
            self.tried.append("a table function")
            self.fail()
        call = self.call()
        args = tuple(_as_table(a) for a in call.args)
        return dataclasses.replace(call, args=args)

    def _aliased(self, found: Relation, start: int) -> Relation:
        here = self.token.start
        if self.accept("AS"):
            name = self.identifier("an alias")
        elif self.is_name() and not (self.at_words("ASOF", "JOIN") or self.at_words("MATCH_CONDITION", "(")):
            name = self.identifier()
        else:
            return found
        columns = self.names() if self.token.key == "(" else ()
        alias = Alias(name, columns, span=self.since(here))
        return dataclasses.replace(found, alias=alias, span=self.since(start))  # type: ignore[call-arg]

    # ------------------------------------------------------------ hints

    def hints(self) -> tuple[Hint, ...]:
        """``/*+ NAME('k'='v'), NAME(a, b) */`` where one stands."""
        if not self.accept_silently("/*+"):
            return ()
        found: list[Hint] = []
        while not self.accept("*/"):
            found.append(self._hint_item())
            self.accept(",")
        return tuple(found)

    def _hint_item(self) -> Hint:
        start = self.token.start
        if self.token.kind is not Kind.WORD:
            self.tried.append("a hint")
            self.fail()
        name = self.advance().key
        options: list[Property] = []
        args: list[str] = []
        if self.accept("("):
            while self.token.key != ")":
                token = self.token
                if token.kind is Kind.STRING and self.peek().key == "=":
                    options.append(self.property())
                elif token.kind is Kind.WORD and self.peek().key == "=":
                    self.advance()
                    self.expect("=")
                    value = self.token
                    text = self.string()
                    options.append(Property(token.value, text, token.span, value.span, span=self.since(token.start)))
                elif token.kind in (Kind.WORD, Kind.QUOTED, Kind.STRING, Kind.INTEGER):
                    args.append(self._hint_argument())
                else:
                    self.tried.extend(("'key' = 'value'", "a name"))
                    self.fail()
                if not self.accept(","):
                    break
            self.expect(")")
        return Hint(name, tuple(options), tuple(args), span=self.since(start))

    def _hint_argument(self) -> str:
        text = self.advance().value
        while self.accept("."):
            text += f".{self.identifier().name}"
        return text

    def property(self) -> Property:
        """``'key' = 'value'``."""
        key = self.token
        name = self._quoted("key")
        self.expect("=")
        value = self.token
        text = self._quoted("value")
        return Property(name, text, key.span, value.span, span=self.since(key.start))

    def _quoted(self, what: str) -> str:
        token = self.token
        if token.kind is Kind.STRING:
            return self.string()
        self.tried.append(f"a {what} in single quotes")
        if token.kind in (Kind.WORD, Kind.QUOTED, Kind.INTEGER, Kind.DECIMAL, Kind.DOUBLE):
            text = token.value
            ahead = 1
            while self.peek(ahead).key in (".", "-") and self.peek(ahead + 1).kind in (Kind.WORD, Kind.INTEGER):
                text += self.peek(ahead).key + self.peek(ahead + 1).value
                ahead += 2
            self.fail(f"Keys and values are text: write '{text}'.")
        raise self.unexpected()


def _as_table(arg: Expr) -> Expr:
    if isinstance(arg, ScalarSubquery):
        return TableArgument(arg.query, span=arg.span)
    if isinstance(arg, NamedArgument) and isinstance(arg.value, ScalarSubquery):
        return dataclasses.replace(arg, value=TableArgument(arg.value.query, span=arg.value.span))
    return arg
