"""Text to syntax tree: the door of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from deras.core.errors import Span, SqlSyntaxError
from deras.sql.syntax.lexer import Kind, tokenize
from deras.sql.syntax.parse_statement import StatementParser

if TYPE_CHECKING:
    from collections.abc import Callable

    from deras.sql.syntax.expressions import Expr
    from deras.sql.syntax.nodes import DataType, Node
    from deras.sql.syntax.queries import Query
    from deras.sql.syntax.statements import Statement

T = TypeVar("T")

MAX_HEIGHT = 250
"""How high a syntax tree may be; chains of AND, OR, || and of one set operation count as one level."""


def parse_script(text: str) -> list[Statement]:
    """All statements of a script, in order; a statement set is one statement.

    Raises:
        SqlSyntaxError: with the place, what was found, what was expected and a hint.
    """
    return _guarded(text, StatementParser.script)


def parse_statement(text: str) -> Statement:
    """The one statement of a text; a closing semicolon is allowed.

    Raises:
        SqlSyntaxError: also when the text holds no or more than one statement.
    """

    def one(parser: StatementParser) -> Statement:
        found = parser.script()
        if not found:
            raise parser.error("the text holds no statement", Span(0, len(text)), hint="Write a statement.")
        if len(found) > 1:
            raise parser.error("the text holds more than one statement", found[1].span, hint="Give one at a time.")
        return found[0]

    return _guarded(text, one)


def parse_query(text: str) -> Query:
    """The one query of a text.

    Raises:
        SqlSyntaxError: with place and hint.
    """

    def one(parser: StatementParser) -> Query:
        found = parser.query()
        parser.accept_silently(";")
        _at_end(parser)
        return found

    return _guarded(text, one)


def parse_expression(text: str) -> Expr:
    """The one expression of a text.

    Raises:
        SqlSyntaxError: with place and hint.
    """

    def one(parser: StatementParser) -> Expr:
        found = parser.expression()
        _at_end(parser)
        return found

    return _guarded(text, one)


def parse_type(text: str) -> DataType:
    """The one type of a text.

    Raises:
        SqlSyntaxError: with place and hint.
    """

    def one(parser: StatementParser) -> DataType:
        found = parser.data_type()
        _at_end(parser)
        return found

    return _guarded(text, one)


def split_script(text: str) -> list[Span]:
    """The spans of the statements of a script, without parsing: for editors, and to run statements one by one.

    Statement sets are kept whole. A span leaves out the semicolon.
    """
    return _pieces(text)[0]


def _pieces(text: str) -> tuple[list[Span], bool]:
    """The spans, and whether the last one is still open: without its semicolon, or an unfinished set."""
    found: list[Span] = []
    start = end = -1
    in_set = False
    words: list[str] = []
    for token in tokenize(text):
        if token.kind is Kind.END:
            break
        if token.key == ";":
            if in_set and words != ["END"] and words[-2:] != ["BEGIN", "END"]:
                words = []
                continue
            if start >= 0:
                found.append(Span(start, end))
            start, in_set, words = -1, False, []
            continue
        if start < 0:
            start = token.start
        end = token.end
        words.append(token.key)
        if words[-3:] in (["BEGIN", "STATEMENT", "SET"], ["STATEMENT", "SET", "BEGIN"]):
            in_set = True
    if start >= 0:
        found.append(Span(start, end))
    return found, start >= 0


def is_complete(text: str) -> bool:
    """Whether a shell may run this text: it ends with a semicolon, and nothing is left open."""
    found, is_open = _pieces(text)
    return bool(found) and not is_open


def _at_end(parser: StatementParser) -> None:
    if parser.token.kind is not Kind.END:
        parser.tried.append("the end of the text")
        parser.fail()


def _guarded(text: str, read: Callable[[StatementParser], T]) -> T:
    parser = StatementParser(text)
    try:
        found = read(parser)
    except RecursionError:
        span = parser.token.span
        hint = "Take a part out into a view or a WITH clause."
        raise SqlSyntaxError("nested too deeply", text=text, span=span, hint=hint) from None
    if parser.long_chain:
        _check_height(parser, found)
    return found


def _check_height(parser: StatementParser, found: object) -> None:
    roots: list[Node] = list(found) if isinstance(found, list) else [found]  # type: ignore[list-item]
    stack = [(root, 1) for root in roots]
    while stack:
        node, height = stack.pop()
        if height > MAX_HEIGHT:
            raise parser.error(
                "the expression is nested too deeply",
                node.span,
                hint="Put brackets around parts of a long chain, or take a part out into a view.",
            )
        stack.extend((child, height + 1) for child in node.children())
