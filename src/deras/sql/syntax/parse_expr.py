"""Expressions: operators by precedence, and everything that can be an operand."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Literal

from deras.sql.syntax.cursor import EXPRESSION, OPERATOR
from deras.sql.syntax.expressions import (
    ArrayValue,
    Between,
    Binary,
    Case,
    Chain,
    CollectionQuery,
    ColumnRef,
    Exists,
    Expr,
    FieldAccess,
    InList,
    InQuery,
    IntervalExpr,
    IntervalLiteral,
    Is,
    ItemAccess,
    Like,
    LiteralKind,
    LiteralValue,
    MapValue,
    Quantified,
    RowValue,
    ScalarSubquery,
    Star,
    Unary,
    When,
)
from deras.sql.syntax.lexer import Kind, Token
from deras.sql.syntax.parse_types import TypeParser
from deras.sql.syntax.words import FUNCTION_WORDS, NILADIC, RESERVED

if TYPE_CHECKING:
    from deras.sql.syntax.queries import Query

# binding strength, as in Calcite's operator table; all are left-associative
OR, AND, NOT, IS, COMPARE, RANGE, ADD, MULTIPLY, SIGN = 22, 24, 26, 28, 30, 32, 40, 60, 80
_BINARY = {
    "=": COMPARE, "<>": COMPARE, "!=": COMPARE, "<": COMPARE, "<=": COMPARE, ">": COMPARE, ">=": COMPARE,
    "OVERLAPS": COMPARE, "CONTAINS": COMPARE, "PRECEDES": COMPARE, "SUCCEEDS": COMPARE,
    "+": ADD, "-": ADD, "*": MULTIPLY, "/": MULTIPLY, "%": MULTIPLY,
}  # fmt: skip
_CHAINS = {"OR": OR, "AND": AND, "||": MULTIPLY}
_RANGE_WORDS = ("BETWEEN", "IN", "LIKE", "SIMILAR", "ILIKE", "RLIKE")
QUERY_START = ("SELECT", "WITH", "VALUES", "TABLE")
QUERY_GOES_ON = ("UNION", "INTERSECT", "EXCEPT", "ORDER", "LIMIT", "OFFSET", "FETCH")
_SPACE_OF_CHAIN = 60
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}")
_TIME = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d{1,9})?")


class OperatorParser(TypeParser):
    """Operators and operands; calls are in ``CallParser`` and queries in ``QueryParser``."""

    # ------------------------------------------------------------ given by those who build on this

    def query(self) -> Query:
        """A whole query."""
        raise NotImplementedError

    def query_after(self, first: Query) -> Query:
        """The rest of a query whose first operand stood in brackets."""
        raise NotImplementedError

    def call_or_special(self) -> Expr | None:
        """A function call or special form, if one starts here."""
        raise NotImplementedError

    # ------------------------------------------------------------ operators

    def expression(self, least: int = 0) -> Expr:
        """An expression whose operators all bind at least as strongly as ``least``."""
        self.enter()
        start = self.token.start
        left = self._prefix(start)
        length = 0
        while True:
            length += 1
            if length == _SPACE_OF_CHAIN:
                self.long_chain = True
            key = self.token.key
            strength = _BINARY.get(key)
            if strength is not None:
                if strength < least:
                    break
                left = self._binary(left, key, strength, start)
                continue
            strength = _CHAINS.get(key)
            if strength is not None:
                if strength < least:
                    break
                left = self._chain(left, key, strength, start)
                continue
            if key == "IS" and least <= COMPARE:
                found = self._is(left, start, least)
                if found is None:
                    break
                left = found
                continue
            if least <= RANGE and (key in _RANGE_WORDS or (key == "NOT" and self.peek().key in _RANGE_WORDS)):
                left = self._range(left, start)
                continue
            break
        self.tried.append(OPERATOR)
        self.depth -= 1
        return left

    def _prefix(self, start: int) -> Expr:
        key = self.token.key
        if key == "NOT":
            self.advance()
            operand = self.expression(NOT)
            return Unary("NOT", operand, span=self.since(start))
        if key in ("-", "+"):
            self.advance()
            operand = self.expression(SIGN)
            return Unary("-" if key == "-" else "+", operand, span=self.since(start))
        return self.postfix()

    def _binary(self, left: Expr, key: str, strength: int, start: int) -> Expr:
        self.advance()
        op = "<>" if key == "!=" else key
        if strength == COMPARE and self.token.key in ("SOME", "ANY", "ALL") and self.peek().key == "(":
            quantifier: Literal["SOME", "ALL"] = "ALL" if self.advance().key == "ALL" else "SOME"
            found = self._query_or_items()
            if isinstance(found, tuple):
                return Quantified(op, left, quantifier, None, found, span=self.since(start))
            return Quantified(op, left, quantifier, found, span=self.since(start))
        right = self.expression(strength + 1)
        return Binary(op, left, right, span=self.since(start))

    def _chain(self, left: Expr, key: str, strength: int, start: int) -> Expr:
        terms = [left]
        while self.token.key == key:
            self.advance()
            terms.append(self.expression(strength + 1))
        op: Literal["AND", "OR", "||"] = "AND" if key == "AND" else "OR" if key == "OR" else "||"
        return Chain(op, tuple(terms), span=self.since(start))

    def _is(self, left: Expr, start: int, least: int) -> Expr | None:
        ahead = 2 if self.peek().key == "NOT" else 1
        if self.peek(ahead).key == "DISTINCT":
            if least > COMPARE:
                return None
            self.advance()
            negated = self.accept("NOT")
            self.expect("DISTINCT", "FROM")
            right = self.expression(COMPARE + 1)
            return Binary(
                "IS NOT DISTINCT FROM" if negated else "IS DISTINCT FROM", left, right, span=self.since(start)
            )
        if least > IS:
            return None
        self.advance()
        negated = self.accept("NOT")
        test = (
            "A" if self.accept_silently("A") else self.accept_any("NULL", "TRUE", "FALSE", "UNKNOWN", "JSON", "EMPTY")
        )
        if not test:
            self.tried.extend(("DISTINCT FROM",) if negated else ("NOT", "DISTINCT FROM"))
            hint = "NULL is tested with IS NULL; values are compared with =."
            self.fail(hint if self.token.kind in (Kind.INTEGER, Kind.STRING, Kind.DECIMAL) else "")
        if test == "JSON" and (kind := self.accept_any("VALUE", "OBJECT", "ARRAY", "SCALAR")):
            test = f"JSON {kind}"
        elif test == "A":
            self.expect("SET")
            test = "A SET"
        return Is(left, test, negated, span=self.since(start))

    def _range(self, left: Expr, start: int) -> Expr:
        negated = self.accept("NOT")
        word = self.advance().key
        if word == "BETWEEN":
            symmetric = self.accept("SYMMETRIC")
            if not symmetric:
                self.accept("ASYMMETRIC")
            low = self.expression(RANGE + 1)
            self.expect("AND")
            high = self.expression(RANGE + 1)
            return Between(left, low, high, negated, symmetric, span=self.since(start))
        if word == "IN":
            found = self._query_or_items()
            if isinstance(found, tuple):
                return InList(left, found, negated, span=self.since(start))
            return InQuery(left, found, negated, span=self.since(start))
        if word == "SIMILAR":
            self.expect("TO")
        pattern = self.expression(RANGE + 1)
        escape = self.expression(RANGE + 1) if self.accept("ESCAPE") else None
        op: Literal["LIKE", "SIMILAR TO", "RLIKE", "ILIKE"] = (
            "LIKE" if word == "LIKE" else "SIMILAR TO" if word == "SIMILAR" else "RLIKE" if word == "RLIKE" else "ILIKE"
        )
        return Like(left, pattern, escape, op, negated, span=self.since(start))

    def _query_or_items(self) -> Query | tuple[Expr, ...]:
        self.expect("(")
        if self.token.key in QUERY_START:
            query = self.query()
            self.expect(")")
            return query
        bracketed = self.token.key == "("
        items = self.comma_list(self.expression)
        first = items[0]
        if bracketed and len(items) == 1 and isinstance(first, ScalarSubquery):
            query = self.query_after(first.query)
            self.expect(")")
            return query
        self.expect(")")
        return items

    # ------------------------------------------------------------ operands

    def postfix(self) -> Expr:
        """An operand with ``[index]`` and ``.field`` behind it."""
        start = self.token.start
        found = self._operand(start)
        length = 0
        while True:
            length += 1
            if length == _SPACE_OF_CHAIN:
                self.long_chain = True
            key = self.token.key
            if key == "[":
                self.advance()
                index = self.expression()
                self.expect("]")
                found = ItemAccess(found, index, span=self.since(start))
            elif key == "." and not isinstance(found, Star):
                self.advance()
                if self.accept("*"):
                    return FieldAccess(found, None, span=self.since(start))
                name = self.identifier("a name of a field")
                found = FieldAccess(found, name, span=self.since(start))
            else:
                return found

    def _operand(self, start: int) -> Expr:
        token = self.token
        kind, key = token.kind, token.key
        if kind is Kind.WORD:
            if key not in RESERVED or key in FUNCTION_WORDS or key in NILADIC:
                found = self.call_or_special()
                if found is not None:
                    return found
                if key not in RESERVED:
                    return self._column(start)
            found = self._word(token, start)
            if found is not None:
                return found
            found = self.call_or_special()
            if found is not None:
                return found
        elif kind is Kind.QUOTED:
            found = self.call_or_special()
            return self._column(start) if found is None else found
        elif key == "0":
            self.advance()
            if kind is Kind.INTEGER:
                if len(token.value) > 4000:
                    raise self.error("number is too long", token.span)
                return LiteralValue(LiteralKind.INTEGER, int(token.value), span=token.span)
            which = LiteralKind.DECIMAL if kind is Kind.DECIMAL else LiteralKind.DOUBLE
            return LiteralValue(which, token.value, span=token.span)
        elif kind is Kind.STRING:
            return LiteralValue(LiteralKind.STRING, self.string(), span=self.since(start))
        elif kind is Kind.BINARY:
            self.advance()
            return LiteralValue(LiteralKind.BINARY, token.raw, span=token.span)
        elif key == "(":
            return self._brackets(start)
        elif key == "*":
            self.advance()
            return Star(span=token.span)
        elif key == "?":
            raise self.error("parameters are not supported", token.span, hint="Write the value itself.")
        self.tried.append(EXPRESSION)
        raise self.unexpected()

    def _column(self, start: int) -> Expr:
        parts = [self.identifier()]
        while self.accept_silently("."):
            if self.accept("*"):
                return Star(tuple(parts), span=self.since(start))
            parts.append(self.identifier())
        return ColumnRef(tuple(parts), span=self.since(start))

    def _brackets(self, start: int) -> Expr:
        self.expect("(")
        if self.token.key in QUERY_START:
            query = self.query()
            self.expect(")")
            return ScalarSubquery(query, span=self.since(start))
        bracketed = self.token.key == "("
        first = self.expression()
        if bracketed and isinstance(first, ScalarSubquery) and self.token.key in (*QUERY_GOES_ON, ")"):
            query = self.query_after(first.query)
            self.expect(")")
            return ScalarSubquery(query, span=self.since(start))
        if not self.accept(","):
            self.expect(")")
            return first
        items = (first, *self.comma_list(self.expression))
        self.expect(")")
        return RowValue(items, explicit=False, span=self.since(start))

    def _word(self, token: Token, start: int) -> Expr | None:
        key = token.key
        after = self.peek()
        if key in ("TRUE", "FALSE", "NULL", "UNKNOWN"):
            self.advance()
            if key in ("NULL", "UNKNOWN"):
                return LiteralValue(LiteralKind.NULL, None, span=token.span)
            return LiteralValue(LiteralKind.BOOLEAN, key == "TRUE", span=token.span)
        if key == "CASE":
            return self._case(start)
        if key in ("DATE", "TIME", "TIMESTAMP") and (after.kind is Kind.STRING or after.key == "WITH"):
            return self._temporal(key, start)
        if key == "INTERVAL":
            return self._interval_value(start)
        if key == "EXISTS":
            self.advance()
            self.expect("(")
            query = self.query()
            self.expect(")")
            return Exists(query, span=self.since(start))
        if key == "ROW" and after.key == "(":
            self.advance()
            if self.accept("(", ")"):
                return RowValue((), span=self.since(start))
            return RowValue(self.bracket_list(self.expression), span=self.since(start))
        if key in ("ARRAY", "MULTISET") and after.key in ("[", "("):
            return self.collection(key, start)
        return None

    def collection(self, key: str, start: int) -> Expr:
        """``ARRAY[…]``, ``MAP[…]``, ``MULTISET[…]`` or with a query in round brackets."""
        self.advance()
        kind: Literal["ARRAY", "MULTISET", "MAP"] = "ARRAY" if key == "ARRAY" else "MAP" if key == "MAP" else "MULTISET"
        if self.accept("("):
            query = self.query()
            self.expect(")")
            return CollectionQuery(kind, query, span=self.since(start))
        self.expect("[")
        items = () if self.token.key == "]" else self.comma_list(self.expression)
        self.expect("]")
        span = self.since(start)
        if kind != "MAP":
            return ArrayValue(items, kind, span=span)
        if len(items) % 2:
            raise self.error("a MAP needs a value for each key", span, hint="Write MAP[key1, value1, key2, value2].")
        return MapValue(items, span=span)

    def _case(self, start: int) -> Expr:
        self.advance()
        operand = None if self.token.key == "WHEN" else self.expression()
        whens: list[When] = []
        while True:
            here = self.token.start
            if whens and not self.accept("WHEN"):
                break
            if not whens:
                self.expect("WHEN")
            conditions = self.comma_list(self.expression) if operand is not None else (self.expression(),)
            self.expect("THEN")
            result = self.expression()
            span = self.since(here)
            whens += [When(condition, result, span=span) for condition in conditions]
        otherwise = self.expression() if self.accept("ELSE") else None
        self.expect("END")
        return Case(operand, tuple(whens), otherwise, span=self.since(start))

    def _temporal(self, key: str, start: int) -> Expr:
        self.advance()
        kind = LiteralKind[key]
        if key == "TIMESTAMP" and self.token.key == "WITH":
            self.expect("WITH", "LOCAL", "TIME", "ZONE")
            kind = LiteralKind.TIMESTAMP_LTZ
        token = self.token
        value = self.string()
        if not _is_temporal(kind, value):
            shape = {LiteralKind.DATE: "2024-12-31", LiteralKind.TIME: "23:59:59"}.get(kind, "2024-12-31 23:59:59.999")
            raise self.error(f"malformed {kind.value} literal", token.span, hint=f"Write it like '{shape}'.")
        return LiteralValue(kind, value, span=self.since(start))

    def _interval_value(self, start: int) -> Expr:
        self.advance()
        negative = self.token.key == "-" and self.peek().kind is Kind.STRING
        if negative or (self.token.key == "+" and self.peek().kind is Kind.STRING):
            self.advance()
        if self.token.kind is Kind.STRING:
            value = self.string()
            token = self.token
            unit, to_unit, precision, fraction = self.interval_qualifier()
            if not re.fullmatch(r"\s*[-+]?[\d .:-]*\d[\d.]*\s*", value):
                raise self.error(
                    f"malformed interval '{value}'",
                    self.since(start),
                    hint=f"The text holds a number and the unit stands outside: INTERVAL '5' {token.key}.",
                )
            return IntervalLiteral(value, unit, to_unit, negative, precision, fraction, span=self.since(start))
        if self.token.key in ("-", "+"):
            self.tried.extend(("text in single quotes",))
            self.fail()
        amount = self.postfix()
        return IntervalExpr(amount, self.interval_unit(), span=self.since(start))


def _is_temporal(kind: LiteralKind, value: str) -> bool:
    parts = value.strip().split(" ") if kind in (LiteralKind.TIMESTAMP, LiteralKind.TIMESTAMP_LTZ) else [value.strip()]
    if len(parts) > 2:
        return False
    if kind is not LiteralKind.TIME:
        if not _DATE.fullmatch(parts[0]):
            return False
        try:
            datetime.date(*(int(p) for p in parts[0].split("-")))
        except ValueError:
            return False
        parts = parts[1:]
    for part in parts:
        found = _TIME.fullmatch(part)
        if not found or int(found[1]) > 23 or int(found[2]) > 59 or int(found[3]) > 59:
            return False
    return True
