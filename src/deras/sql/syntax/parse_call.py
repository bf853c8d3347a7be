"""Function calls: plain, aggregate, windowed, and the forms with keywords between the arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from deras.sql.syntax.cursor import OPERANDS
from deras.sql.syntax.expressions import (
    Call,
    Cast,
    Descriptor,
    Expr,
    Frame,
    FrameBound,
    JsonBehavior,
    JsonClauses,
    Keyword,
    LiteralKind,
    LiteralValue,
    NamedArgument,
    OrderItem,
    ScalarSubquery,
    TableArgument,
    WindowSpec,
)
from deras.sql.syntax.lexer import Kind, Token
from deras.sql.syntax.nodes import DataType, Identifier, ObjectName
from deras.sql.syntax.parse_expr import AND, QUERY_START, OperatorParser
from deras.sql.syntax.parse_types import UNITS
from deras.sql.syntax.words import FUNCTION_WORDS, NILADIC, RESERVED

if TYPE_CHECKING:
    from collections.abc import Callable

_SQL_TSI = {f"SQL_TSI_{u}": u for u in ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND")}
_SQL_TSI |= {"SQL_TSI_MICROSECOND": "MICROSECOND", "SQL_TSI_FRAC_SECOND": "FRAC_SECOND"}
_MORE_UNITS = (
    "MILLISECOND", "MICROSECOND", "NANOSECOND", "DOW", "DOY", "ISODOW", "ISOYEAR", "EPOCH", "DECADE", "CENTURY",
    "MILLENNIUM", "FRAC_SECOND", "DAYOFWEEK", "DAYOFYEAR",
)  # fmt: skip
_ALL_UNITS = {**{u: u for u in UNITS.values()}, **{u: u for u in _MORE_UNITS}, **_SQL_TSI}
_SHOWN_UNITS = ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND")
_JSON = ("JSON_VALUE", "JSON_QUERY", "JSON_EXISTS", "JSON_OBJECT", "JSON_ARRAY", "JSON_OBJECTAGG", "JSON_ARRAYAGG")

_AFTER_OPERAND = frozenset(
    (
        "VALUE",
        "IS",
        "IN",
        "LIKE",
        "ILIKE",
        "RLIKE",
        "SIMILAR",
        "BETWEEN",
        "NOT",
        "AND",
        "OR",
        "OVERLAPS",
        "CONTAINS",
        "PRECEDES",
        "SUCCEEDS",
    )
)


class CallParser(OperatorParser):
    """Reads calls."""

    def call_or_special(self) -> Expr | None:
        """A call or special form; None where the word is a plain name."""
        token, after = self.token, self.peek()
        start, key = token.start, token.key
        if token.kind is Kind.WORD:
            if key in NILADIC and after.key != "(":
                self.advance()
                return Call(_function_name(token), span=token.span)
            # not FINAL IN (…): there it is a column's name
            called = after.kind is Kind.WORD and (after.key not in RESERVED or after.key in FUNCTION_WORDS)
            if key in ("RUNNING", "FINAL") and called and self.peek(2).key == "(":
                return self._scoped(start)
            if key == "MAP" and after.key == "[":
                return self.collection("MAP", start)
            if after.key == "(":
                special = self._SPECIAL.get(key)
                if special is not None:
                    return special(self, start)
        length = self._function_parts()
        return None if length == 0 else self.call()

    def _function_parts(self) -> int:
        """How many name parts stand before an opening bracket; 0 when this is no call."""
        token = self.token
        if not (self.is_name() or (token.key in FUNCTION_WORDS and self.peek().key == "(")):
            return 0
        ahead = 1
        while self.peek(ahead).key == "." and self.is_name(self.peek(ahead + 1)):
            ahead += 2
        return (ahead + 1) // 2 if self.peek(ahead).key == "(" else 0

    def _scoped(self, start: int) -> Expr:
        scope: Literal["RUNNING", "FINAL"] = "RUNNING" if self.advance().key == "RUNNING" else "FINAL"
        inner = self.call_or_special()
        if not isinstance(inner, Call):
            raise self.error(f"{scope} must stand before an aggregate or LAST/FIRST", self.since(start))
        return Call(inner.name, inner.args, inner.distinct, match_scope=scope, span=self.since(start))

    def call(self) -> Call:
        """``name(arguments)`` and what may follow: null treatment, WITHIN GROUP, FILTER, OVER."""
        start = self.token.start
        if self.token.kind is Kind.WORD and self.token.key in RESERVED:
            name = _function_name(self.advance())
        else:
            name = self.object_name("a name of a function")
        self.expect("(")
        distinct = False
        args: tuple[Expr, ...] = ()
        order_by: tuple[OrderItem, ...] = ()
        nulls: Literal["RESPECT", "IGNORE"] | None = None
        if self.accept_silently(")"):
            return self.call_tail(name, args, start)
        distinct = bool(self.accept_any("DISTINCT", "ALL") == "DISTINCT") if self._quantified() else False
        args = self.comma_list(self.argument)
        nulls = self._nulls()
        if self.accept("ORDER", "BY"):
            order_by = self.comma_list(self.order_item)
        if self.token.key == "SEPARATOR":
            raise self.error("SEPARATOR is not Flink SQL", self.token.span, hint="Write LISTAGG(value, separator).")
        self.expect(")")
        return self.call_tail(name, args, start, distinct=distinct, order_by=order_by, nulls=nulls)

    def _quantified(self) -> bool:
        return self.token.key in ("DISTINCT", "ALL")

    def _nulls(self) -> Literal["RESPECT", "IGNORE"] | None:
        if self.at_words("RESPECT", "NULLS"):
            self.expect("RESPECT", "NULLS")
            return "RESPECT"
        if self.at_words("IGNORE", "NULLS"):
            self.expect("IGNORE", "NULLS")
            return "IGNORE"
        return None

    def call_tail(
        self,
        name: ObjectName,
        args: tuple[Expr, ...],
        start: int,
        *,
        distinct: bool = False,
        order_by: tuple[OrderItem, ...] = (),
        nulls: Literal["RESPECT", "IGNORE"] | None = None,
        json: JsonClauses | None = None,
    ) -> Call:
        """What may stand behind the brackets of a call."""
        within: tuple[OrderItem, ...] = ()
        condition: Expr | None = None
        over: WindowSpec | Identifier | None = None
        nulls = nulls or self._nulls()
        if self.at_words("WITHIN", "GROUP"):
            self.expect("WITHIN", "GROUP", "(", "ORDER", "BY")
            within = self.comma_list(self.order_item)
            self.expect(")")
        if self.at_words("FILTER", "("):
            self.expect("FILTER", "(", "WHERE")
            condition = self.expression()
            self.expect(")")
        if self.accept_silently("OVER"):
            if self.token.key == "(":
                over = self.window_spec()
            else:
                self.tried.append("(")
                over = self.identifier("a name of a window")
        return Call(
            name, args, distinct, order_by, within, condition, nulls, over, None, json, span=self.since(start)
        )  # fmt: skip

    def argument(self) -> Expr:
        """One argument: a value, ``name => value``, ``TABLE t``, a query, ``DEFAULT``."""
        token = self.token
        start = token.start
        if self.peek().key == "=>" and token.kind in (Kind.WORD, Kind.QUOTED):
            # argument names may be reserved words: TUMBLE(DATA => …, SIZE => …)
            self.advance()
            name = Identifier(token.value, token.kind is Kind.QUOTED, span=token.span)
            self.expect("=>")
            value = self.argument()
            return NamedArgument(name, value, span=self.since(start))
        if token.key == "TABLE":
            return self._table_argument(start)
        if token.key == "DEFAULT":
            self.advance()
            return Keyword("DEFAULT", span=token.span)
        if token.key in QUERY_START and token.kind is Kind.WORD:
            query = self.query()
            return ScalarSubquery(query, span=self.since(start))
        found = self.expression()
        if isinstance(found, ScalarSubquery) and self.token.key in ("PARTITION", "ORDER"):
            partition_by, order_by = self._partition_and_order()
            return TableArgument(found.query, partition_by, order_by, span=self.since(start))
        return found

    def _table_argument(self, start: int) -> Expr:
        self.expect("TABLE")
        if self.accept("("):
            source: ObjectName | None = None
            query = None
            if self.token.key in QUERY_START or self.token.key == "(":
                query = self.query()
            else:
                source = self.object_name("a name of a table")
            self.expect(")")
        else:
            source, query = self.object_name("a name of a table"), None
        partition_by, order_by = self._partition_and_order()
        found = source or query
        if found is None:
            self.fail()
        return TableArgument(found, partition_by, order_by, span=self.since(start))

    def _partition_and_order(self) -> tuple[tuple[Expr, ...], tuple[OrderItem, ...]]:
        partition_by: tuple[Expr, ...] = ()
        order_by: tuple[OrderItem, ...] = ()
        # one key or a bracketed list: a bare comma goes on with the next argument
        if self.accept("PARTITION"):
            self.expect("BY")
            partition_by = self.bracket_list(self.expression) if self.token.key == "(" else (self.expression(),)
        if self.accept("ORDER"):
            self.expect("BY")
            order_by = self.bracket_list(self.order_item) if self.token.key == "(" else (self.order_item(),)
        return partition_by, order_by

    # ------------------------------------------------------------ windows and order

    def order_item(self) -> OrderItem:
        """``expr [ASC|DESC] [NULLS FIRST|LAST]``."""
        start = self.token.start
        expr = self.expression()
        descending = self.accept_any("ASC", "DESC") == "DESC"
        nulls_first: bool | None = None
        if self.accept("NULLS"):
            nulls_first = self.expect_any("FIRST", "LAST") == "FIRST"
        return OrderItem(expr, descending, nulls_first, span=self.since(start))

    def window_spec(self) -> WindowSpec:
        """``([base] [PARTITION BY …] [ORDER BY …] [frame])``."""
        start = self.token.start
        self.expect("(")
        base = self.identifier() if self.is_name() else None
        partition_by: tuple[Expr, ...] = ()
        order_by: tuple[OrderItem, ...] = ()
        if self.accept("PARTITION"):
            self.expect("BY")
            partition_by = self.comma_list(self.expression)
        if self.accept("ORDER"):
            self.expect("BY")
            order_by = self.comma_list(self.order_item)
        frame = None
        here = self.token.start
        if unit := self.accept_any("ROWS", "RANGE"):
            frame = self._frame("ROWS" if unit == "ROWS" else "RANGE", here)
        self.expect(")")
        return WindowSpec(base, partition_by, order_by, frame, span=self.since(start))

    def _frame(self, unit: Literal["ROWS", "RANGE"], start: int) -> Frame:
        if self.accept("BETWEEN"):
            first = self._bound()
            self.expect("AND")
            last = self._bound()
            return Frame(unit, first, last, span=self.since(start))
        return Frame(unit, self._bound(), span=self.since(start))

    def _bound(self) -> FrameBound:
        start = self.token.start
        if self.token.key == "UNBOUNDED" and self.peek().key in ("PRECEDING", "FOLLOWING"):
            self.advance()
            if self.advance().key == "PRECEDING":
                return FrameBound("UNBOUNDED PRECEDING", span=self.since(start))
            return FrameBound("UNBOUNDED FOLLOWING", span=self.since(start))
        if self.accept("CURRENT"):
            self.expect("ROW")
            return FrameBound("CURRENT ROW", span=self.since(start))
        value = self.expression(AND + 1)
        if self.expect_any("PRECEDING", "FOLLOWING") == "PRECEDING":
            return FrameBound("PRECEDING", value, span=self.since(start))
        return FrameBound("FOLLOWING", value, span=self.since(start))

    # ------------------------------------------------------------ forms with keywords

    def _open(self) -> ObjectName:
        name = _function_name(self.advance())
        self.expect("(")
        return name

    def _cast(self, start: int) -> Expr:
        safe = self.advance().key == "TRY_CAST"
        self.expect("(")
        operand = self.expression()
        self.expect("AS")
        found: DataType = self.data_type()
        self.expect(")")
        return Cast(operand, found, safe, span=self.since(start))

    def _unit(self) -> Keyword:
        token = self.token
        unit = _ALL_UNITS.get(token.key)
        if unit is None or token.kind is not Kind.WORD:
            self.tried.extend(_SHOWN_UNITS)
            self.fail()
        self.advance()
        return Keyword(unit, span=token.span)

    def _extract(self, start: int) -> Expr:
        name = self._open()
        unit = self._unit()
        self.expect("FROM")
        operand = self.expression()
        self.expect(")")
        return Call(name, (unit, operand), span=self.since(start))

    def _timestamp_arithmetic(self, start: int) -> Expr:
        name = self._open()
        unit = self._unit()
        self.expect(",")
        first = self.expression()
        self.expect(",")
        second = self.expression()
        self.expect(")")
        return Call(name, (unit, first, second), span=self.since(start))

    def _round(self, start: int) -> Expr:
        name = self._open()
        args: tuple[Expr, ...] = (self.expression(),)
        if self.accept("TO"):
            args = (*args, self._unit())
        elif self.accept(","):
            args = (*args, self.expression())
        self.expect(")")
        return self.call_tail(name, args, start)

    def _trim(self, start: int) -> Expr:
        name = self._open()
        token = self.token
        where = self.accept_any("BOTH", "LEADING", "TRAILING")
        space = LiteralValue(LiteralKind.STRING, " ", span=token.span)
        if where and self.accept("FROM"):
            what: Expr = space
        else:
            what = self.expression()
            if not where and self.accept(")"):
                return Call(name, (what,), span=self.since(start))
            if not where and self.accept(","):
                both: tuple[Expr, ...] = (what, self.expression())
                self.expect(")")
                return Call(name, both, span=self.since(start))
            self.expect("FROM")
        source = self.expression()
        self.expect(")")
        return Call(name, (Keyword(where or "BOTH", span=token.span), what, source), span=self.since(start))

    def _position(self, start: int) -> Expr:
        name = self._open()
        what = self.postfix()
        self.expect("IN")
        args: tuple[Expr, ...] = (what, self.expression())
        if self.accept("FROM"):
            args = (*args, self.expression())
        self.expect(")")
        return Call(name, args, span=self.since(start))

    def _substring(self, start: int) -> Expr:
        name = self._open()
        args: tuple[Expr, ...] = (self.expression(),)
        word = self.expect_any("FROM", ",")
        args = (*args, self.expression())
        if self.accept("FOR" if word == "FROM" else ","):
            args = (*args, self.expression())
        self.expect(")")
        return Call(name, args, span=self.since(start))

    def _overlay(self, start: int) -> Expr:
        name = self._open()
        args: tuple[Expr, ...] = (self.expression(),)
        word = self.expect_any("PLACING", ",")
        args = (*args, self.expression())
        self.expect("FROM" if word == "PLACING" else ",")
        args = (*args, self.expression())
        if self.accept("FOR" if word == "PLACING" else ","):
            args = (*args, self.expression())
        self.expect(")")
        return Call(name, args, span=self.since(start))

    def _descriptor(self, start: int) -> Expr:
        self.advance()
        return Descriptor(self.names(), span=self.since(start))

    # ------------------------------------------------------------ JSON

    def _json(self, start: int) -> Expr:
        key = self.token.key
        name = self._open()
        args: list[Expr] = []
        order_by: tuple[OrderItem, ...] = ()
        clauses: JsonClauses | None
        here = self.token.start
        if key in ("JSON_VALUE", "JSON_QUERY", "JSON_EXISTS"):
            args.append(self.expression())
            self.expect(",")
            args.append(self.expression())
            clauses = self._json_path_clauses(key)
        else:
            if self.token.key not in (")", "NULL", "ABSENT") or self.peek().key != "ON":
                if key in ("JSON_OBJECT", "JSON_OBJECTAGG"):
                    if self.token.key != ")":
                        self._json_pair(args)
                    while key == "JSON_OBJECT" and args and self.accept(","):
                        self._json_pair(args)
                elif self.token.key != ")":
                    args.append(self.expression())
                    while key == "JSON_ARRAY" and self.accept(","):
                        args.append(self.expression())
                if key == "JSON_ARRAYAGG" and self.accept("ORDER", "BY"):
                    order_by = self.comma_list(self.order_item)
            clauses = None
            word = self.accept_any("NULL", "ABSENT")
            if word:
                self.expect("ON", "NULL")
                clauses = JsonClauses(on_null="NULL" if word == "NULL" else "ABSENT", span=self.since(here))
        self.expect(")")
        return self.call_tail(name, tuple(args), start, order_by=order_by, json=clauses)

    def _json_pair(self, args: list[Expr]) -> None:
        after = self.peek()
        if self.token.key == "KEY" and after.kind in OPERANDS and after.key not in _AFTER_OPERAND:
            self.advance()
        args.append(self.expression())
        self.expect_any("VALUE", ":")
        args.append(self.expression())

    def _json_path_clauses(self, key: str) -> JsonClauses | None:
        start = self.token.start
        returning = self.data_type() if key != "JSON_EXISTS" and self.accept("RETURNING") else None
        wrapper = self._json_wrapper() if key == "JSON_QUERY" else None
        on_empty: JsonBehavior | None = None
        on_error: JsonBehavior | None = None
        while self.token.key != ")":
            behavior = self._json_behavior(key)
            self.expect("ON")
            words = ("ERROR",) if key == "JSON_EXISTS" or on_empty is not None else ("EMPTY", "ERROR")
            if self.expect_any(*words) == "EMPTY":
                on_empty = behavior
            else:
                on_error = behavior
                break
        if returning is None and wrapper is None and on_empty is None and on_error is None:
            return None
        return JsonClauses(returning, wrapper, on_empty, on_error, span=self.since(start))

    def _json_wrapper(self) -> str | None:
        if self.accept("WITHOUT"):
            self.accept("ARRAY")
            self.expect("WRAPPER")
            return "WITHOUT"
        if self.accept("WITH"):
            kind = self.accept_any("CONDITIONAL", "UNCONDITIONAL") or "UNCONDITIONAL"
            self.accept("ARRAY")
            self.expect("WRAPPER")
            return f"WITH {kind}"
        return None

    def _json_behavior(self, key: str) -> JsonBehavior:
        start = self.token.start
        words = {
            "JSON_EXISTS": ("TRUE", "FALSE", "UNKNOWN", "ERROR"),
            "JSON_VALUE": ("NULL", "ERROR", "DEFAULT"),
            "JSON_QUERY": ("NULL", "ERROR", "EMPTY"),
        }[key]
        word = self.expect_any(*words)
        if word == "DEFAULT":
            return JsonBehavior(word, self.expression(), span=self.since(start))
        if word == "EMPTY":
            word = f"EMPTY {self.expect_any('ARRAY', 'OBJECT')}"
        return JsonBehavior(word, span=self.since(start))

    _SPECIAL: dict[str, Callable[[CallParser, int], Expr]] = {
        "CAST": _cast,
        "TRY_CAST": _cast,
        "EXTRACT": _extract,
        "TIMESTAMPADD": _timestamp_arithmetic,
        "TIMESTAMPDIFF": _timestamp_arithmetic,
        "FLOOR": _round,
        "CEIL": _round,
        "CEILING": _round,
        "TRIM": _trim,
        "POSITION": _position,
        "SUBSTRING": _substring,
        "OVERLAY": _overlay,
        "DESCRIPTOR": _descriptor,
        **dict.fromkeys(_JSON, _json),
    }


def _function_name(token: Token) -> ObjectName:
    return ObjectName((Identifier(token.value, span=token.span),), span=token.span)
